"""Tables as files, written aside and renamed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from fitwell.directories import check_file, write_aside
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


def check_table_file(path: Path, *, force: bool, source: Path | None = None) -> None:
    """Raise a FileError if a table cannot be written to `path`, before any work is done for it.

    Parameters
    ----------
    force
        Whether a file that exists is replaced.
    source
        The file that is read for it: never replaced.
    """
    if path.suffix.lower() not in WRITERS:
        raise FileError(f"'{path}' must end in one of {', '.join(WRITERS)}, which says the format.")
    # even with --force: a typing error must not cost the table
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise FileError(f"'{path}' is the table that is read: name another file.")
    check_file(path, force=force)


def write_table(table: pl.DataFrame, path: Path, *, force: bool) -> None:
    """Write a table in the format of the file's ending; with `force`, over a file that stays whole until the end."""
    # again, for the file may have come while networks predicted
    check_table_file(path, force=force)
    write_aside(path, lambda aside: WRITERS[path.suffix.lower()](table, aside))
