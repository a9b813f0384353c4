"""Tables as files, written aside and renamed; a table may come in parts, one after the other."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl

from fitwell.directories import check_file, write_aside
from fitwell.errors import FileError

Tables = Iterator[pl.DataFrame]

ROWS_OF_GROUP = 2**16
"""Of Parquet and Arrow files: given, so that they do not depend on the parts in which a table came."""


def append_csv(tables: Tables, file: IO[bytes], separator: str = ",") -> int:
    """Write the parts of a table as one CSV; return its rows."""
    rows = 0
    for number, table in enumerate(tables):
        table.write_csv(file, include_header=number == 0, separator=separator)
        rows += table.height
    return rows


def _append_lines(tables: Tables, file: IO[bytes]) -> int:
    rows = 0
    for table in tables:
        table.write_ndjson(file)
        rows += table.height
    return rows


def _appended(write: Callable[[Tables, IO[bytes]], int]) -> Callable[[Tables, Path], int]:
    def written(tables: Tables, path: Path) -> int:
        with path.open("wb") as file:
            return write(tables, file)

    return written


def _joined(sink: Callable[[pl.LazyFrame, Path], Any]) -> Callable[[Tables, Path], int]:
    """Formats that know all rows before they end: parts are kept as files, and one is made of them."""

    def written(tables: Tables, path: Path) -> int:
        first = next(tables)
        second = next(tables, None)
        if second is None:
            sink(first.lazy(), path)
            return first.height
        with tempfile.TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as folder:
            parts = [*_keep((first, second), folder, 0), *_keep(tables, folder, 2)]
            # the folder is called as the file that is written, and brackets in a name mean nothing here
            sink(pl.scan_ipc([glob.escape(str(part)) for part, _ in parts], hive_partitioning=False), path)
        return sum(rows for _, rows in parts)

    return written


def _keep(tables: Any, folder: str, start: int) -> Iterator[tuple[Path, int]]:
    for number, table in enumerate(tables, start):
        path = Path(folder) / f"{number}.arrow"
        table.write_ipc(path)
        yield path, table.height


_ipc = _joined(lambda table, path: table.sink_ipc(path, record_batch_size=ROWS_OF_GROUP))
_lines = _appended(_append_lines)

WRITERS: dict[str, Callable[[Tables, Path], int]] = {
    ".csv": _appended(append_csv),
    ".tsv": _appended(lambda tables, file: append_csv(tables, file, "\t")),
    ".parquet": _joined(lambda table, path: table.sink_parquet(path, row_group_size=ROWS_OF_GROUP)),
    ".arrow": _ipc,
    ".feather": _ipc,
    ".jsonl": _lines,
    ".ndjson": _lines,
}
"""By the file's ending; each returns the rows."""


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


def write_tables(tables: Tables, path: Path, *, force: bool) -> int:
    """Write the parts of a table in the format of the file's ending; return its rows.

    With `force`, over a file that stays whole until the end. An error in any part leaves everything as it was.
    """
    rows = 0

    def write(aside: Path) -> None:
        nonlocal rows
        rows = WRITERS[path.suffix.lower()](tables, aside)
        # again, for the file may have come while networks predicted
        check_table_file(path, force=force)

    check_table_file(path, force=force)
    write_aside(path, write)
    return rows
