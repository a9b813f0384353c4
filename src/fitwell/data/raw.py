"""Raw features: what the columns hold as plain numbers and level codes, before anything is fitted.

Nothing here depends on which rows train, so it is done once for a table and shared by all row sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.data.canonical import canonical_text
from fitwell.data.columns import Column
from fitwell.data.dates import as_moments, date_numbers, date_parts
from fitwell.data.numeric import as_numbers
from fitwell.errors import InputError


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """The features of a table's rows.

    Attributes
    ----------
    numbers : float64 [n, p]
        In the order of the columns: one number for a numeric or boolean column, several for a date (see
        `dates.date_numbers`). NaN is missing; infinities do not occur.
    codes : int32 [n, q]
        One for each categorical column with V levels: 0 to V - 1 the level, V missing, V + 1 any other value.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        """Rows."""
        return len(self.numbers)


def extract(frame: pl.DataFrame, columns: Sequence[Column]) -> RawFeatures:
    """Raw features of a frame, of the training table or of new rows, by the columns found in training.

    Columns that the frame has beside them are ignored (`extra_columns` lists them).
    """
    used = [column for column in columns if column.kind != "set aside"]
    _require(frame, used)
    numbers = [_numbers(frame[column.name], column) for column in used if column.kind != "categorical"]
    codes = [_codes(frame[column.name], column) for column in used if column.kind == "categorical"]
    return RawFeatures(
        # the empty block is there because concatenate refuses to join nothing
        numbers=np.concatenate([np.empty((len(frame), 0)), *numbers], axis=1),
        codes=np.stack(codes, axis=1) if codes else np.empty((len(frame), 0), np.int32),
    )


def extra_columns(frame: pl.DataFrame, columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of the frame's columns that are not among `columns` (set aside or not)."""
    known = {column.name for column in columns}
    return tuple(name for name in frame.columns if name not in known)


def number_names(column: Column) -> tuple[str, ...]:
    """What the numbers of a column in `RawFeatures.numbers` are called; none for a categorical column."""
    if column.kind == "date":
        return tuple(f"{column.name}: {part}" for part in date_parts(column.has_time))
    return (column.name,) if column.kind in ("numeric", "boolean") else ()


def _require(frame: pl.DataFrame, used: Sequence[Column]) -> None:
    missing = [repr(column.name) for column in used if column.name not in frame.columns]
    if missing:
        noun = "a column" if len(missing) == 1 else f"{len(missing)} columns"
        raise InputError(f"The table lacks {noun} that the network was trained on: {', '.join(missing)}.")


def _numbers(values: pl.Series, column: Column) -> NDArray[np.float64]:
    if column.kind == "date":
        return date_numbers(as_moments(values, column.date_format), has_time=column.has_time)
    numbers = _booleans(values) if column.kind == "boolean" else as_numbers(values)
    return numbers[:, None]


def _booleans(values: pl.Series) -> NDArray[np.float64]:
    """0, 1 or NaN from booleans, from the numbers 0 and 1, or from the texts true and false."""
    text = canonical_text(values) if values.dtype != pl.Null else values.cast(pl.String)
    # other tools write flags as 0 and 1
    known = {"false": 0.0, "0": 0.0, "true": 1.0, "1": 1.0}
    numbers = text.replace_strict(known, default=None, return_dtype=pl.Float64)
    failed = numbers.is_null() & text.is_not_null()
    row = failed.arg_max() if failed.any() else None
    if row is not None:
        raise InputError(
            f"Column {values.name!r} must hold true or false, but data row {row + 1} holds {values[row]!r}."
        )
    return numbers.fill_null(np.nan).to_numpy().astype(np.float64)


def _codes(values: pl.Series, column: Column) -> NDArray[np.int32]:
    if values.dtype.is_nested() or values.dtype == pl.Object:
        raise InputError(f"Column {column.name!r} must hold categories; it holds {values.dtype} values.")
    missing = len(column.levels)
    text = canonical_text(values)
    places = {level: code for code, level in enumerate(column.levels)}
    # a level that training did not have counts as "other"
    codes = text.replace_strict(places, default=missing + 1, return_dtype=pl.Int32)
    # last, because the default above was given to missing values too
    return codes.set(text.is_null(), missing).to_numpy().astype(np.int32)
