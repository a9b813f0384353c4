"""A search written down while it goes on, so that it can go on after the process has died: the same to the last bit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fitwell.errors import FileError, FitwellWarning

FORMAT = 2
"""Of the files: another one is not read."""

SHARE = 0.05
"""Of the time of a search, that writing it down may take."""

SOONEST = 10.0
"""Seconds between two files: what is lost with less is trained again as soon."""

DIGEST_BYTES = 16

FILES_KEPT = 2
"""Files: if the last one is damaged, the one before is taken."""

# the digest of what is in it, so that damage is noticed before anything is read
_FILE = re.compile(r"search-(\d+)-([0-9a-f]{32})\.npz")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Where a search stood between two calls.

    Attributes
    ----------
    about
        Numbers and texts, as JSON has them.
    arrays
        By name.
    """

    about: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


class Checkpoints:
    """The directory that a search is written into: made when there is something to write.

    Parameters
    ----------
    directory
        Where.
    note
        Plain types that are kept with every file, such as the command that began the search.
    soonest
        Seconds between two files, at least; None is `SOONEST`.
    share
        Of the time, that writing may take; None is `SHARE`.

    Attributes
    ----------
    has_written
        Whether there is a file of this search.
    """

    def __init__(
        self, directory: str | Path, note: Any = None, soonest: float | None = None, share: float | None = None
    ) -> None:
        self.directory, self.note = Path(directory), note
        self.share = SHARE if share is None else share
        self.soonest = SOONEST if soonest is None else soonest
        self._last, self._cost, self._warned, self.has_written = time.perf_counter(), 0.0, False, False

    @property
    def is_due(self) -> bool:
        """Whether enough was trained since the last file for another."""
        return time.perf_counter() - self._last >= max(self.soonest, self._cost / self.share)

    def latest(self) -> Snapshot | None:
        """Read the newest file that is whole; None if there is none."""
        for path in reversed(self._files()):
            if _digest_of(path) == _parts(path)[1]:
                found = _read(path)
                self.has_written = True  # it, or the process that died
                return found
            warnings.warn(
                f"'{path}' is damaged: the search goes on from an earlier file, or anew.", FitwellWarning, stacklevel=2
            )
        return None

    def write(self, snapshot: Snapshot) -> None:
        """Write a file, and delete all but the last ones. A disk that is full ends no search: it is warned of once."""
        begin = time.perf_counter()
        files = self._files()
        number = _parts(files[-1])[0] + 1 if files else 1
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _write(self.directory, number, self._noted(snapshot))
        except OSError as error:
            if not self._warned:
                warnings.warn(
                    f"The search cannot be written down in '{self.directory}' ({error.strerror or error}): it goes on, "
                    "and what it has trained is lost if it is interrupted.",
                    FitwellWarning,
                    stacklevel=2,
                )
            self._warned = True
        else:
            self.has_written = True
            for path in self._files()[:-FILES_KEPT]:
                path.unlink(missing_ok=True)
        self._last = time.perf_counter()
        self._cost = self._last - begin

    def clear(self) -> None:
        """Delete what was written, and the directory if it is empty then."""
        self.has_written = False
        for path in [*self._files(), *self.directory.glob(".search-*")]:
            path.unlink(missing_ok=True)
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()

    def _noted(self, snapshot: Snapshot) -> Snapshot:
        return Snapshot({**snapshot.about, "format": FORMAT, "note": self.note}, snapshot.arrays)

    def _files(self) -> list[Path]:
        """All files, the oldest first."""
        try:
            found = [path for path in self.directory.iterdir() if _FILE.fullmatch(path.name)]
        except OSError:  # there is no such directory
            return []
        return sorted(found, key=_parts)


def _parts(path: Path) -> tuple[int, str]:
    """Number and digest in the name of a file."""
    found = _FILE.fullmatch(path.name)
    assert found is not None, "others are not listed"
    return int(found[1]), found[2]


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def _read(path: Path) -> Snapshot:
    with np.load(path, allow_pickle=False) as parts:
        arrays = {name: parts[name] for name in parts.files}
    about = json.loads(arrays.pop("about").tobytes())
    if about["format"] != FORMAT:
        raise FileError(f"'{path}' was written by another version of fitwell: delete its directory to begin anew.")
    return Snapshot(about, arrays)


def _write(directory: Path, number: int, snapshot: Snapshot) -> None:
    """Write aside, and rename once it is on the disk."""
    about = np.frombuffer(json.dumps(snapshot.about).encode(), np.uint8)
    handle, name = tempfile.mkstemp(prefix=".search-", dir=directory)
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, about=about, **snapshot.arrays)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(directory / f"search-{number:06d}-{_digest_of(aside)}.npz")
    finally:
        aside.unlink(missing_ok=True)


def read_note(directory: Path) -> Any:
    """Return the note of the search that was written down in a directory.

    Raises
    ------
    FileError
        There is none that is whole.
    """
    found = Checkpoints(directory).latest()
    if found is None:
        raise FileError(f"'{directory}' holds no search that could go on.")
    return found.about["note"]
