"""Which tables are larger than memory, told before they are read: these are trained on from disk, in windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from fitwell.arguments import is_whole
from fitwell.data.table_files import ARROW_SUFFIXES, LINES_SUFFIXES, SPREADSHEET_SUFFIXES, files_of
from fitwell.engine.memory import host_memory
from fitwell.problems.tables import MOST_COPIED, TableData, read_table

VALUE_BYTES, INPUT_BYTES = 8, 4
"""Of a value of a table in memory: as a number, and encoded."""

SMALL = 2**26
"""Bytes of a file (64 MiB) up to which nobody asks whether it fits, unless a budget is given."""

COUNTED_BYTES = 2**16
"""Bytes of a text file by which its values are counted."""

ZIPPED = 6
"""How much longer a zipped text is, about."""


def is_streamed(
    table: Any,
    target: Any,
    *,
    memory: int | None = None,
    engine: Any = "auto",
    sample_weight: Any = None,
    cv: Any = 5,
    repeats: Any = 1,
) -> bool:
    """Whether a table is beyond the memory budget, and of a kind that is trained on from disk.

    That is a Parquet file, a directory of such, or delimited text, with all that it is asked for in its columns. A
    given budget must be too small for its inputs, of which there is one copy at least, and one for each row set of
    small tables; without one, all memory that is free for the table as it comes, as numbers and encoded.
    """
    # nobody else reads in windows: another engine says what it has no memory for
    if engine not in ("auto", "numpy") or not isinstance(table, str | Path) or not _are_names(target, sample_weight):
        return False
    path = Path(table)
    try:
        if not path.exists() or (memory is None and _size(path) < SMALL):
            return False
        values = values_in(path)
    except OSError:  # what is wrong with a file is said by whoever reads it
        return False
    sets = cv * repeats if is_whole(cv) and is_whole(repeats) else 1
    if memory is None:
        return values * (2 * VALUE_BYTES + INPUT_BYTES) > 2 * host_memory()
    copied = values * sets * INPUT_BYTES
    return (copied if copied <= MOST_COPIED else values * (VALUE_BYTES + INPUT_BYTES)) > memory


def read_on_disk(path: Path, target: Any, **options: Any) -> TableData:
    """Read a table that memory does not hold; see `fitwell.problems.tables.read_table` for the options."""
    from fitwell.data.disk_tables import on_disk  # whoever only asks reads nothing

    with on_disk(path) as table:
        return read_table(table, target, on_disk=True, **options)


def values_in(path: Path) -> int:
    """Return about how many values (rows times columns) a table file holds; 0 if it is of a kind that is read whole."""
    if files := files_of(path):
        try:
            # what is wrong with a file is said by whoever reads it
            scans = [pl.scan_parquet(file, glob=False, hive_partitioning=False) for file in files]
            return sum(scan.select(pl.len()).collect().item() * len(scan.collect_schema()) for scan in scans)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            return 0
    suffix = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if not path.is_file() or suffix in (*ARROW_SUFFIXES, *LINES_SUFFIXES, *SPREADSHEET_SUFFIXES, ".parquet"):
        return 0
    if path.suffix.lower() == ".gz":
        return ZIPPED * path.stat().st_size // 8
    with path.open("rb") as file:
        head = file.read(COUNTED_BYTES)
    marks = max(head.count(mark) for mark in (b",", b";", b"\t", b"|")) + head.count(b"\n")
    return path.stat().st_size * marks // max(len(head), 1)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in files_of(path) or [path] if file.is_file())


def _are_names(target: Any, sample_weight: Any) -> bool:
    """Whether columns of the table are meant: an array beside it is in memory anyhow."""
    several = isinstance(target, list | tuple) and all(isinstance(name, str) for name in target)
    return (isinstance(target, str) or several) and (sample_weight is None or isinstance(sample_weight, str))
