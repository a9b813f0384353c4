"""Output that is all there or not there at all: written aside, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from fitwell.errors import FileError

RUN_FILE = "run.json"
"""The file that tells a run's directory from any other."""

DIAGNOSIS_FILE = "diagnosis.json"
"""Likewise, of a diagnosis."""


def check_directory(directory: Path, *, force: bool, mark: str) -> None:
    """Raise a FileError unless `directory` can be made (or, with `force`, replaced).

    Parameters
    ----------
    mark
        File that tells a directory of ours: with `force`, only such a directory or an empty one is replaced.
    """
    shown, directory = directory, _checked(directory)
    here = _resolved(Path())
    # a shell whose directory is renamed away stands in one that is gone
    if here.is_relative_to(directory):
        relation = "is" if here == directory else "holds"
        raise FileError(
            f"'{shown}' {relation} the current directory, which cannot be replaced: name another directory."
        )
    if directory.exists() or directory.is_symlink():
        if not directory.is_dir():
            raise FileError(f"'{shown}' is a file: name a directory for the output.")
        if not force:
            raise FileError(f"'{shown}' exists already: name another directory, or use --force to replace it.")
        # --force must never delete what fitwell did not write
        if any(directory.iterdir()) and not (directory / mark).is_file():
            raise FileError(f"'{shown}' holds other files than a run of fitwell: name another directory.")
    parent = _existing_parent(directory)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise FileError(f"'{shown}' cannot be made, since '{parent}' cannot be written: name another place.")
    _try_to_make(shown, directory)


@contextmanager
def fresh_directory(directory: Path, *, force: bool, mark: str, ours: Collection[str]) -> Iterator[Path]:
    """Yield a directory to write into; it takes its name when all has gone well, and vanishes otherwise.

    Parameters
    ----------
    mark
        See `check_directory`.
    ours
        Patterns of the names that are written into such a directory: what is called otherwise is somebody's own, and
        is still there when the rest has been replaced.
    """
    check_directory(directory, force=force, mark=mark)
    shown, directory = directory, _resolved(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # beside it: a rename is all or nothing within one file system only
        aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise FileError(f"'{shown}' cannot be made ({error.strerror}): name another place.") from error
    try:
        yield aside
        # mkdtemp makes it readable for its owner only
        aside.chmod(0o777 & ~_umask())
        if directory.is_dir():
            _take_along(directory, aside, ours)
        _swap(aside, directory)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"'{shown}' cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def scratch_error(error: OSError) -> FileError:
    """Say that what is written for a while cannot be."""
    return FileError(
        f"What does not fit memory cannot be written to '{tempfile.gettempdir()}' ({error.strerror or error}): "
        "make room there, or name another directory by the environment's TMPDIR."
    )


_passing: set[Path] = set()


@contextmanager
def passing_directory() -> Iterator[Path]:
    """Yield a directory where ``TMPDIR`` says, for what is needed for a while; it vanishes at the end."""
    try:
        directory = Path(tempfile.mkdtemp(prefix="fitwell-"))
    except OSError as error:
        raise scratch_error(error) from error
    _passing.add(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        _passing.discard(directory)


def remove_passing() -> None:
    """Remove what `passing_directory` has made, for a process that ends at once."""
    for directory in tuple(_passing):
        shutil.rmtree(directory, ignore_errors=True)


def check_file(path: Path, *, force: bool) -> None:
    """Raise a FileError if a file cannot be written to `path` (over an earlier one only with `force`)."""
    if path.name:
        _check_name(path)
    if path.is_dir():
        raise FileError(f"'{path}' is a directory: name a file.")
    if not path.absolute().parent.is_dir():
        raise FileError(f"There is no directory '{path.absolute().parent}' for '{path.name}'.")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise FileError(f"'{path}' cannot be written, since its directory cannot: name another place.")
    if not force and (path.exists() or path.is_symlink()):
        raise FileError(f"'{path}' exists already: name another file, or use --force to replace it.")


def _check_name(path: Path) -> None:
    """Refuse a name that no file can have: too long, or with a NUL."""
    try:
        path.with_name(f".{path.name}.12345678").exists()  # as it is called while it is written
    except (OSError, ValueError) as error:
        raise FileError(f"'{path}' cannot be written ({_reason(error)}): name another file.") from error


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary path)`` and rename the file it made to `path`."""
    if not path.parent.is_dir():
        raise FileError(f"There is no directory '{path.parent}' for '{path.name}'.")
    if path.is_dir():
        raise FileError(f"'{path}' is a directory: name a file.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        # the writer opens it by name, and Windows renames no open file
        os.close(handle)
    except OSError as error:
        raise FileError(f"'{path}' cannot be written ({error.strerror}).") from error
    aside = Path(name)
    try:
        write(aside)
        # likewise mkstemp
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)
    except FileError:
        # of a file that is read while this one is written
        raise
    except OSError as error:
        raise FileError(f"'{path}' cannot be written ({error.strerror or error}).") from error
    finally:
        aside.unlink(missing_ok=True)


def _take_along(directory: Path, aside: Path, ours: Collection[str]) -> None:
    """Copy what is somebody's own; what could still fail must not touch what is there."""
    for entry in directory.iterdir():
        new = aside / entry.name
        if os.path.lexists(new) or any(fnmatch(entry.name, pattern) for pattern in ours):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, new, symlinks=True)
        else:
            shutil.copy2(entry, new, follow_symlinks=False)


def _swap(aside: Path, directory: Path) -> None:
    """Give `aside` the name `directory`; an earlier one is deleted only once the new one is in its place."""
    if not directory.exists():
        aside.rename(directory)
        return
    earlier = Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent)) / directory.name
    try:
        directory.rename(earlier)
        aside.rename(directory)
    # Ctrl-C between the two renames must not lose the earlier run either
    except BaseException:
        if earlier.exists():
            _put_back(earlier, directory)
        earlier.parent.rmdir()
        raise
    shutil.rmtree(earlier.parent, ignore_errors=True)


def _put_back(earlier: Path, directory: Path) -> None:
    try:
        earlier.rename(directory)
    except OSError as error:
        raise FileError(
            f"'{directory}' cannot be written ({error.strerror or error}); what was there is now '{earlier}'."
        ) from error


def _checked(shown: Path) -> Path:
    """Return a path resolved; names that no directory can have (too long, or with a NUL) are refused."""
    try:
        directory = _resolved(shown)
        directory.is_dir()
        # what is written beside it has a longer name
        (directory.parent / f".{directory.name}.old.12345678").exists()
    except (OSError, ValueError) as error:
        raise FileError(f"'{shown}' cannot be made ({_reason(error)}): name another place.") from error
    return directory


def _try_to_make(shown: Path, directory: Path) -> None:
    """Make what is missing and take it away again: only a directory that was made shows that it can be made."""
    missing = [directory, *directory.parents]
    missing = missing[: next(number for number, path in enumerate(missing) if path.is_dir())]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir()
            made.append(path)
        # an earlier run is replaced by one that is written beside it
        if not missing:
            Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent)).rmdir()
    except OSError as error:
        raise FileError(f"'{shown}' cannot be made ({_reason(error)}): name another place.") from error
    finally:
        for path in reversed(made):
            path.rmdir()


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _resolved(path: Path) -> Path:
    """Without `.`, `..` and links: what can be renamed, and has a name and a parent."""
    return Path(os.path.realpath(path))  # unlike `Path.resolve`, takes links that run in a circle


def _existing_parent(path: Path) -> Path:
    parent = path.absolute().parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    return parent


def _umask() -> int:
    # it can only be read by setting it
    # with the strictest mask meanwhile: another thread's new file must not be open to all
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
