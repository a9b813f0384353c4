"""`fitwell cache`: what is kept of compiled programs, in words. Imports nothing heavy."""

from __future__ import annotations

from fitwell.engine.program_directory import (
    CACHE_VARIABLE,
    MOST_KEPT,
    ProgramDirectory,
    programs_path,
    unused,
    why_unsafe,
)
from fitwell.errors import FileError, counted

NOWHERE = f"No compiled programs are kept: {CACHE_VARIABLE} is off, or there is no home directory."

_MIB = 2**20


def describe_cache() -> list[str]:
    """Return lines that say where compiled programs are, how many, and how large; nothing is made."""
    directory = _existing()
    path = programs_path()
    if path is None:
        return [NOWHERE]
    count, size = directory.size() if directory else (0, 0)
    return [
        f"Directory  {path}",
        f"Programs   {count:,}",
        f"Size       {size / _MIB:,.1f} MiB, at most {MOST_KEPT / _MIB:,.0f}",
    ]


def clear_cache() -> list[str]:
    """Delete all compiled programs, and return a line that says how many."""
    directory = _existing()
    if programs_path() is None:
        return [f"{NOWHERE} Nothing was deleted."]
    return [f"Deleted {counted(directory.clear() if directory else 0, 'compiled program')}."]


def _existing() -> ProgramDirectory | None:
    """Return the directory if it is there.

    Raises
    ------
    FileError
        It is not this user's alone, so what is in it is neither read nor deleted.
    """
    path = programs_path()
    if path is None:
        return None
    try:
        reason = why_unsafe(path.stat())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"'{path}' cannot be read ({error.strerror}).") from error
    if not path.is_dir():
        raise FileError(unused(path, "is no directory"))
    if reason is not None:
        raise FileError(unused(path, reason))
    return ProgramDirectory(path)
