"""Tables that memory does not hold, read column after column: Parquet, and delimited text by a first pass into it.

A column is read as `table_files` reads it of the whole table, so that all that is decided by it is decided alike.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import polars as pl
from numpy.typing import NDArray

from fitwell.data.blocks import ReadWholeError
from fitwell.data.delimited import TextTable, refuse_duplicates
from fitwell.data.notation import Notation, decide_notation, without_marks
from fitwell.data.opened_blocks import open_blocks
from fitwell.data.row_names import fill_names
from fitwell.data.table_files import differing_files, files_of, tidy
from fitwell.directories import passing_directory, scratch_error
from fitwell.errors import FileError, InputError

PIECE_VALUES = 2**22
"""Texts of a delimited file that are written at once: some 100 MB on their way."""

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class DiskTable:
    """A table in Parquet files, of which a column at a time is in memory; to its readers it is like a frame.

    Attributes
    ----------
    path
        What a person named.
    files
        Parquet files with the same columns, one after another.
    places
        Of its columns in the files, by name.
    height
        Rows.
    separator
        Of delimited text, whose columns are text still; None for columns that have types.
    change
        What is done to a column once it is read.
    """

    path: Path
    files: tuple[Path, ...]
    places: Mapping[str, int]
    height: int
    separator: str | None = None
    change: Callable[[pl.Series], pl.Series] = lambda values: values

    @property
    def columns(self) -> list[str]:
        """Names."""
        return list(self.places)

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.places)

    def __getitem__(self, name: str) -> pl.Series:
        """Read a column."""
        place = self.places[name]
        read = _reading(self.path, lambda: _scan(self.files).select(pl.nth(place)).collect())
        return self.change(tidy(read.rename({read.columns[0]: name}), f"The file {self.path}").to_series())

    def iter_columns(self) -> Iterator[pl.Series]:
        """Read one column after another."""
        return map(self.__getitem__, self.places)

    def select(self, names: Sequence[str]) -> DiskTable:
        """Return the table of some columns."""
        return replace(self, places={name: self.places[name] for name in names})

    def typed(self, missing: Sequence[str]) -> tuple[DiskTable, Notation]:
        """Return the table with null for marks of missing values, and how it is written; see `read_training`."""
        marked = self._then(lambda values: without_marks(values.to_frame(), missing).to_series())
        # only columns of text show it; the function goes from column to column, of whatever has them
        texts = cast(pl.DataFrame, marked.select(self._texts()))
        notation = decide_notation(texts, missing, self.separator)
        if (separator := self.separator) is None:
            return marked, notation
        return self._then(lambda values: TextTable(values.to_frame(), separator).typed(notation).to_series()), notation

    def taken(self, rows: NDArray[Any]) -> DiskTable:
        """Return the table of some rows."""
        return replace(self._then(lambda values: values.gather(rows)), height=len(rows))

    def blanked(self, used: pl.Series) -> DiskTable:
        """Return the table with nulls in the rows that are not used."""
        return self._then(lambda values: values.to_frame().select(pl.when(used).then(pl.col("*"))).to_series())

    def _then(self, change: Callable[[pl.Series], pl.Series]) -> DiskTable:
        before = self.change
        return replace(self, change=lambda values: change(before(values)))

    def _texts(self) -> list[str]:
        if self.separator is not None:
            return self.columns
        dtypes = _reading(self.path, lambda: _scan(self.files).collect_schema().dtypes())
        return [name for name, place in self.places.items() if dtypes[place] in (pl.String, pl.Binary)]


@contextmanager
def on_disk(path: Path) -> Iterator[DiskTable]:
    """Open a Parquet file, a directory of such, or delimited text, which is written anew while this lasts.

    Raises
    ------
    FileError, InputError
        It cannot be read, or not in parts.
    """
    if files := files_of(path):
        yield _of_parquet(path, files, None)
        return
    with passing_directory() as folder:
        yield _of_parquet(path, *_in_pieces(path, folder))


def _of_parquet(path: Path, files: Sequence[Path], separator: str | None) -> DiskTable:
    schemas = [_reading(file, lambda: pl.scan_parquet(_plain(file)).collect_schema()) for file in files]  # noqa: B023
    for file, schema in zip(files, schemas, strict=True):
        if schema != schemas[0]:
            raise FileError(differing_files(path, schemas[0], schema, files[0], file))
    names = fill_names(schemas[0].names())
    refuse_duplicates(names, f"The file {path}")
    height = _reading(path, lambda: _scan(files).select(pl.len()).collect().item())
    if not height:
        raise InputError(f"The file {path} has no rows: check the filter or file that it came from.")
    places = {name: place for place, name in enumerate(names)}
    return DiskTable(path, tuple(files), places, height, separator)


def _in_pieces(path: Path, folder: Path) -> tuple[list[Path], str | None]:
    """Write a delimited file as Parquet files of text, and return them with what separates its fields."""
    blocks = open_blocks(path, 1)
    if blocks is None:
        raise InputError(_whole(path))
    pieces: list[Path] = []
    gathered: list[pl.DataFrame] = []
    separator = None

    def write() -> None:
        pieces.append(folder / f"{len(pieces):06d}.parquet")
        try:
            pl.concat(gathered).write_parquet(pieces[-1], compression="lz4")
        except (OSError, pl.exceptions.PolarsError) as error:  # as either comes a full disk
            raise scratch_error(OSError(str(error))) from error
        gathered.clear()

    try:
        for block in blocks:
            if not isinstance(block.table, TextTable):
                raise ReadWholeError
            separator = block.table.separator
            gathered.append(block.table.frame)
            if sum(one.height * one.width for one in gathered) >= PIECE_VALUES:
                write()
    except ReadWholeError as error:
        raise InputError(_whole(path)) from error
    if gathered:
        write()
    return pieces, separator


def _whole(path: Path) -> str:
    return (
        f"The file {path} does not fit the memory budget, and cannot be read in parts as it is written: save it as "
        "Parquet, or raise 'memory'."
    )


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    return pl.scan_parquet([_plain(file) for file in files], hive_partitioning=False)


def _plain(file: Path) -> str:
    # a name with a star or brackets means nothing here
    return glob.escape(str(file))


def _reading(path: Path, read: Callable[[], Found]) -> Found:
    try:
        return read()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise FileError(
            f"{path} cannot be read as Parquet: {reason}. Check that it was copied whole, and is still there."
        ) from None
