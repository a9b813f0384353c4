"""Which files are read a block of rows at a time, and by what."""

from __future__ import annotations

from pathlib import Path

from fitwell.data.blocks import Blocks, ReadWholeError, open_lazily
from fitwell.data.delimited_blocks import open_delimited
from fitwell.data.line_blocks import open_lines
from fitwell.data.table_files import ARROW_SUFFIXES, LINES_SUFFIXES, SPREADSHEET_SUFFIXES, TAB_SUFFIXES
from fitwell.errors import FitwellError

LARGE = 2**22
"""Bytes of a file from which on it is read in blocks; below, it is read whole."""


def is_large(path: Path) -> bool:
    """Whether a file is worth reading in blocks."""
    try:
        # what comes through a pipe can be read once only
        return path.is_file() and path.stat().st_size >= LARGE
    except (OSError, ValueError):
        return False


def open_blocks(path: Path, multiple: int) -> Blocks | None:
    """Open a file, the rows of all its blocks but the last a multiple of `multiple`.

    None if it can only be read whole: what is wrong with a file is left to `read_file`.
    """
    try:
        return _open(path, multiple)
    except (FitwellError, OSError, ReadWholeError):
        return None


def _open(path: Path, multiple: int) -> Blocks | None:
    zipped = path.suffix.lower() == ".gz"
    suffix = (path.with_suffix("") if zipped else path).suffix.lower()
    if suffix in SPREADSHEET_SUFFIXES:
        return None
    if suffix in (".parquet", *ARROW_SUFFIXES):
        return None if zipped else open_lazily(path, multiple)
    if suffix in LINES_SUFFIXES:
        return open_lines(path, multiple)
    return open_delimited(path, "\t" if suffix in TAB_SUFFIXES else None, multiple)
