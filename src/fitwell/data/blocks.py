"""Large table files a block of rows at a time: the rows of all blocks are those of the file read whole."""

from __future__ import annotations

import glob
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

import polars as pl

from fitwell.data.delimited import TextTable
from fitwell.data.row_names import fill_names
from fitwell.data.table_files import tidy

VALUES_AT_ONCE = 2**19
"""Of a block, about: as texts of a few characters they take 25 MB on their way."""


BLOCKS_OF_SLICE = 2
"""Read at once where values take less than as texts: for each slice polars unpacks the rows before it, too."""


class ReadWholeError(Exception):
    """What stands in this file means the same only if it is read at once."""


class RowBlock(NamedTuple):
    """Some rows of a file.

    Attributes
    ----------
    table
        As `open_table` gives a whole file.
    done
        The share of the file that has been read, in [0, 1].
    """

    table: pl.DataFrame | TextTable
    done: float


class Blocks(Protocol):
    """A file, read anew by each iteration; that may raise `ReadWholeError`, or any error in the file."""

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        ...

    def __iter__(self) -> Iterator[RowBlock]: ...


def rows_of_block(columns: int, multiple: int) -> int:
    """Rows of all blocks but the last one: as many parts of `multiple` rows as make about `VALUES_AT_ONCE`."""
    return max(VALUES_AT_ONCE // (columns * multiple), 1) * multiple


@contextmanager
def content_of(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file as it is, which knows its place, and its content."""
    with path.open("rb") as raw:
        if path.suffix.lower() != ".gz":
            yield raw, raw
            return
        try:
            # buffered, for lines of the zipped file itself come slowly
            yield raw, io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw)), 1 << 20)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            # the reader of whole files says what is wrong
            raise ReadWholeError from error


@dataclass(frozen=True)
class LazyBlocks:
    """A file in which polars finds any rows by itself: Parquet, Arrow.

    Attributes
    ----------
    table
        The file, unread.
    schema
        Its columns.
    height
        Rows.
    multiple
        The rows of a block are a multiple of it.
    holder
        Begins messages.
    """

    table: pl.LazyFrame
    schema: pl.Schema
    height: int
    multiple: int
    holder: str

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return fill_names(self.schema.names())

    def __iter__(self) -> Iterator[RowBlock]:
        """Read block after block."""
        rows = rows_of_block(len(self.schema), self.multiple)
        for start in range(0, self.height, BLOCKS_OF_SLICE * rows):
            for number, frame in enumerate(self._slice(start, BLOCKS_OF_SLICE * rows).iter_slices(rows), start=1):
                yield RowBlock(tidy(frame, self.holder), min((start + number * rows) / self.height, 1.0))

    def _slice(self, start: int, rows: int) -> pl.DataFrame:
        try:
            return self.table.slice(start, rows).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            # the reader of whole files says what is wrong with it
            raise ReadWholeError from error


def open_lazily(path: Path, multiple: int) -> LazyBlocks | None:
    """Open a Parquet or Arrow file; None if it cannot be read in blocks."""
    try:
        table = _scan(path)
        schema = table.collect_schema()
        height = table.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None
    if not height or not is_plain(schema):
        return None
    return LazyBlocks(table, schema, height, multiple, f"The file {path}")


def _scan(path: Path) -> pl.LazyFrame:
    # a name with a star or brackets, or a folder called a=1, means nothing here
    scan = pl.scan_parquet if path.suffix.lower() == ".parquet" else pl.scan_ipc
    return scan(glob.escape(str(path)), hive_partitioning=False)


def is_plain(schema: pl.Schema) -> bool:
    """Whether no column's meaning depends on all its values, as that of bytes does."""
    strange = (pl.Binary, pl.Object, pl.List, pl.Array, pl.Struct)
    return all(not isinstance(dtype, strange) and type(dtype).__name__ != "Extension" for dtype in schema.dtypes())
