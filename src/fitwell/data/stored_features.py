"""The features of a table that memory does not hold: on disk, column after column, and mapped into memory.

The files have no name, so that nothing of them is left whatever ends the process.
"""

from __future__ import annotations

import math
import mmap
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import DTypeLike, NDArray

from fitwell.data.columns import Column, RawFeatures, extract, number_names
from fitwell.directories import scratch_error

ROWS_AT_ONCE = 4096
"""Of a window that is read: so many rows of all columns are turned while they are in the cache."""


ZEROS_AT_ONCE = 2**24
"""Bytes that are written at once."""


class ByColumns(Protocol):
    """A table of which columns can be had one at a time: a frame, or what is on disk."""

    def __getitem__(self, name: str, /) -> pl.Series: ...


@dataclass(frozen=True, eq=False)
class StoredFeatures(RawFeatures):
    """`RawFeatures` whose arrays are files: column-major, as they were written.

    Attributes
    ----------
    maps
        Of the files into memory.
    """

    maps: tuple[mmap.mmap, ...] = ()

    def window(self, rows: slice) -> RawFeatures:
        """Read consecutive rows into memory, row-major."""
        numbers, codes = (_turned(array[rows]) for array in (self.numbers, self.codes))
        self.forget()
        return RawFeatures(numbers, codes)

    def forget(self) -> None:
        """See `RawFeatures.forget`; what is asked for again is read again."""
        for one in self.maps:
            if hasattr(one, "madvise"):  # not on Windows, which looks after it itself
                one.madvise(mmap.MADV_DONTNEED)


def store(frame: ByColumns, columns: Sequence[Column], *, rows: NDArray[np.int64] | None = None) -> StoredFeatures:
    """Write what `extract` gives, one column in memory at a time; `rows` as there.

    Raises
    ------
    FileError
        The disk is full, or cannot be written.
    """
    used = [column for column in columns if column.kind != "set aside"]
    count = 0
    with scratch_file() as numbers, scratch_file() as codes:
        for column in used:
            part = extract(frame[column.name].to_frame(), [column], rows=rows)
            count = len(part)
            file, array = (codes, part.codes) if column.kind == "categorical" else (numbers, part.numbers)
            write_array(file, array)
        number_map = mapped_array(numbers, (count, sum(len(number_names(column)) for column in used)), np.float64)
        code_map = mapped_array(codes, (count, sum(column.kind == "categorical" for column in used)), np.int32)
    maps = tuple(one for _, one in (number_map, code_map) if one is not None)
    return StoredFeatures(number_map[0], code_map[0], maps)


@contextmanager
def scratch_file() -> Iterator[IO[bytes]]:
    """Open a file without a name where ``TMPDIR`` says; what is mapped of it stays until that is freed."""
    try:
        file = tempfile.TemporaryFile(prefix="fitwell-")  # noqa: SIM115
    except OSError as error:
        raise scratch_error(error) from error
    with file:
        yield file


def write_array(file: IO[bytes], array: NDArray[Any]) -> None:
    """Append the columns of an array, one after another."""
    try:
        # not through a map, where a full disk is a signal that ends the process
        file.write(np.ascontiguousarray(array.T).data)
    except OSError as error:
        raise scratch_error(error) from error


def mapped_array(file: IO[bytes], shape: tuple[int, int], dtype: DTypeLike) -> tuple[NDArray[Any], mmap.mmap | None]:
    """Map what was written, column-major, and the map itself; an array of nothing has none."""
    try:
        file.flush()
    except OSError as error:
        raise scratch_error(error) from error
    if 0 in shape:
        return np.empty(shape, dtype), None
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype).reshape(shape, order="F"), mapped


def scratch_zeros(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return zeros that can be written, row-major, and whose place is on disk.

    Raises
    ------
    FileError
        The disk is full, or cannot be written.
    """
    size = math.prod(shape) * np.dtype(float).itemsize
    if not size:
        return np.zeros(shape)
    with scratch_file() as file:
        try:
            # all of it now: once it is mapped, a full disk is a signal that ends the process
            for at in range(0, size, ZEROS_AT_ONCE):
                file.write(bytes(min(ZEROS_AT_ONCE, size - at)))
            file.flush()
        except OSError as error:
            raise scratch_error(error) from error
        return np.frombuffer(mmap.mmap(file.fileno(), 0), float).reshape(shape)


def _turned(array: NDArray[Any]) -> NDArray[Any]:
    """A row-major copy."""
    found = np.empty(array.shape, array.dtype)
    for at in range(0, len(array), ROWS_AT_ONCE):
        found[at : at + ROWS_AT_ONCE] = array[at : at + ROWS_AT_ONCE]
    return found
