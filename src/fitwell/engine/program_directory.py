"""The directory in which compiled programs stay: whose it is, how large it grows, and files that are whole or no files.

Loading a program runs code that is in its file, so a file is read only if nobody but this user can have written it.
Nothing here may end a search: what cannot be read or written is as if it were not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fitwell.errors import FitwellWarning

CACHE_VARIABLE = "FITWELL_CACHE"
"""Names another directory; empty, `0` or `off`: no programs are kept."""

MOST_KEPT = 2**30
"""What the directory may hold: thousands of programs of some 100 KiB to 1 MiB; those not used for longest go first."""

SUFFIX = ".fitwell-program"
"""Of every file that is written here, and of nobody else's: the directory may hold other things, which stay."""

# of a process that was killed while it wrote
_ABANDONED_SECONDS = 3600.0

_warned: set[Path] = set()


@dataclass(frozen=True)
class ProgramDirectory:
    """A directory of this user's own, of files named by keys.

    Attributes
    ----------
    path
        Is there, and is open to nobody else.
    most_bytes
        The size above which files are deleted.
    """

    path: Path
    most_bytes: int = MOST_KEPT

    def read(self, key: str) -> bytes | None:
        """Return what was written under a key; None if nothing, or nothing sound."""
        try:
            content = _read_own(self._file(key))
        except OSError:
            return None
        found = _unpacked(key, content) if content is not None else None
        if found is None:
            self.remove(key)
            return None
        with contextlib.suppress(OSError):
            # its time of change says when it was last used
            os.utime(self._file(key))
        return found

    def write(self, key: str, program: bytes) -> None:
        """Keep a program under a key, and delete others if there are too many; a full disk is no error."""
        content = _packed(key, program)
        if len(content) > self.most_bytes:
            return
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(prefix=".", suffix=SUFFIX, dir=self.path)  # mode 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                # whole or not at all, whatever other processes do meanwhile
                Path(name).replace(self._file(key))
            finally:
                Path(name).unlink(missing_ok=True)
        self._bound()

    def remove(self, key: str) -> None:
        """Delete what is kept under a key."""
        with contextlib.suppress(OSError):
            self._file(key).unlink()

    def size(self) -> tuple[int, int]:
        """Return the number of programs, and their bytes."""
        sizes = [status.st_size for _, status in self._entries()]
        return len(sizes), sum(sizes)

    def clear(self) -> int:
        """Delete all programs, and nothing else; return how many there were."""
        gone = 0
        for path, _ in list(self._entries()):
            with contextlib.suppress(OSError):
                path.unlink()
                gone += 1
        return gone

    def _file(self, key: str) -> Path:
        return self.path / f"{key}{SUFFIX}"

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        with contextlib.suppress(OSError):
            for path in self.path.iterdir():
                if path.suffix == SUFFIX:
                    with contextlib.suppress(OSError):  # another process has just deleted it
                        yield path, path.lstat()

    def _bound(self) -> None:
        """Delete what was not used for longest until the rest is small enough."""
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime)
        total = sum(status.st_size for _, status in entries)
        for path, status in entries:
            abandoned = path.name.startswith(".") and time.time() - status.st_mtime > _ABANDONED_SECONDS
            if total > self.most_bytes or abandoned:
                with contextlib.suppress(OSError):
                    path.unlink()
                total -= status.st_size


def programs_path() -> Path | None:
    """Return where compiled programs are kept, or would be; None if a person wants none kept."""
    asked = os.environ.get(CACHE_VARIABLE)
    if asked is not None:
        if asked.strip().lower() in ("", "0", "off"):
            return None
        # in a file of settings no shell has put a home in the place of ~
        return Path(os.path.abspath(os.path.expanduser(asked)))  # noqa: PTH100, PTH111
    with contextlib.suppress(RuntimeError):  # no home: a service's user
        return _user_caches() / "fitwell" / "programs"
    return None


def open_directory() -> ProgramDirectory | None:
    """Return the directory of compiled programs, made if need be; None if none can or may be used."""
    path = programs_path()
    if path is None:
        return None
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = why_unsafe(path.stat())
    except OSError:  # a home that cannot be written is as if nothing were kept
        return None
    if reason is None:
        return ProgramDirectory(path)
    if path not in _warned:
        _warned.add(path)
        warnings.warn(unused(path, reason), FitwellWarning, stacklevel=2)
    return None


def unused(path: Path, reason: str) -> str:
    """Say that a directory is not used, and what to do."""
    return (
        f"Compiled programs are not kept, since '{path}' {reason}: name a directory that is yours alone (mode 700) by "
        f"{CACHE_VARIABLE}, or set it to 'off'."
    )


def why_unsafe(status: os.stat_result) -> str | None:
    """Return why a file or directory may hold what others wrote, or None; Windows has no such marks."""
    if not hasattr(os, "getuid"):
        return None
    if status.st_uid != os.getuid():
        return "belongs to another user"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return "is open to other users"
    return None


def _user_caches() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    named = Path(os.environ.get("XDG_CACHE_HOME") or "")
    # the specification says that another than an absolute path is to be ignored
    return named if named.is_absolute() else Path.home() / ".cache"


def _read_own(path: Path) -> bytes | None:
    """Return a file's content, or None if others may have written it; asked of the open file, which cannot change."""
    # no link: it may lead to a file of this user's that is no program
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return None if why_unsafe(os.fstat(file.fileno())) else file.read()


def _packed(key: str, program: bytes) -> bytes:
    # machine code becomes a quarter of its size in milliseconds
    return _digest(key, program) + zlib.compress(program, 1)


def _unpacked(key: str, content: bytes) -> bytes | None:
    """Return a program, or None if the file was cut short, changed or renamed: XLA may crash on such a one."""
    size = hashlib.sha256().digest_size
    try:
        program = zlib.decompress(content[size:])
    except zlib.error:
        return None
    return program if _digest(key, program) == content[:size] else None


def _digest(key: str, program: bytes) -> bytes:
    return hashlib.sha256(key.encode() + program).digest()
