"""Tables as files, written aside and renamed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from fitwell.directories import write_aside
from fitwell.errors import FileError

Write = Callable[[pl.DataFrame, Path], object]

WRITERS: dict[str, Write] = {
    ".csv": lambda table, path: table.write_csv(path),
    ".tsv": lambda table, path: table.write_csv(path, separator="\t"),
    ".parquet": lambda table, path: table.write_parquet(path),
    ".arrow": lambda table, path: table.write_ipc(path),
    ".feather": lambda table, path: table.write_ipc(path),
    ".jsonl": lambda table, path: table.write_ndjson(path),
    ".ndjson": lambda table, path: table.write_ndjson(path),
}


def check_table_file(path: Path) -> None:
    """Raise a FileError if a table could not be written to `path`, before any work is done for it."""
    if path.suffix.lower() not in WRITERS:
        raise FileError(f"'{path}' must end in one of {', '.join(WRITERS)}, which says the format.")
    if path.is_dir():
        raise FileError(f"'{path}' is a directory: name a file.")
    if not path.absolute().parent.is_dir():
        raise FileError(f"There is no directory '{path.absolute().parent}' for '{path.name}'.")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table in the format of the file's ending; a file that was there stays whole until the end."""
    check_table_file(path)
    write_aside(path, lambda aside: WRITERS[path.suffix.lower()](table, aside))
