"""Columns as float64 numbers, NaN for missing, with a sentence for whatever is not a finite number."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.data.canonical import MISSING_MARKS, plain_text
from fitwell.errors import InputError

MICROSECONDS = 1e6  # in a second
NANOSECONDS = 1e9

# "1,234.5", "1 234", "1'234": the marks between thousands, the two last being no-break spaces.
THOUSANDS = r"^[+-]?\d{1,3}([, '_\x{a0}\x{202f}]\d{3})+(\.\d+)?$"
THOUSANDS_MARK = r"[, '_\x{a0}\x{202f}]"


def parse_numbers(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Numbers written as text, and whether each value is neither a number nor missing.

    Spaces around a number and marks between thousands are fine; the missing marks of CSV files are null.
    """
    text = plain_text(values)
    text = text.set(text.is_in(list(MISSING_MARKS)).fill_null(False), None)
    grouped = text.str.contains(THOUSANDS).fill_null(False)
    if grouped.any():
        text = text.str.replace_all(THOUSANDS_MARK, "").zip_with(grouped, text)
    numbers = text.cast(pl.Float64, strict=False)
    return numbers.fill_nan(None), numbers.is_null() & text.is_not_null()


def is_number_like(dtype: pl.DataType) -> bool:
    """Whether a column of this type is numbers: integers, floats, decimals, durations and times of day."""
    return dtype.is_numeric() or dtype == pl.Time or isinstance(dtype, pl.Duration)


def as_numbers(values: pl.Series) -> NDArray[np.float64]:
    """Float64 [n], NaN for missing; durations and times of day in seconds, booleans 0 and 1.

    Raises an `InputError` that names the column, the data row (from 1) and the value for text that is no
    number and for infinities.
    """
    numbers = _to_float(values).fill_null(np.nan).to_numpy().astype(np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        raise InputError(
            f"Column {values.name!r} holds an infinite value in data row {infinite[0] + 1}: "
            f"replace it with a finite number or leave it empty."
        )
    return numbers


def _to_float(values: pl.Series) -> pl.Series:
    dtype = values.dtype
    if isinstance(dtype, pl.Duration):
        return values.cast(pl.Duration("us")).cast(pl.Int64).cast(pl.Float64) / MICROSECONDS
    if dtype == pl.Time:
        return values.cast(pl.Int64).cast(pl.Float64) / NANOSECONDS
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return values.cast(pl.Float64)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return _text_to_float(values)
    raise InputError(f"Column {values.name!r} must hold numbers, as in training; it holds {dtype} values.")


def _text_to_float(values: pl.Series) -> pl.Series:
    numbers, failed = parse_numbers(values)
    row = failed.arg_max() if failed.any() else None
    if row is not None:
        raise InputError(
            f"Column {values.name!r} must hold numbers, but data row {row + 1} holds the text "
            f"{values[row]!r}: write a number there or leave it empty."
        )
    return numbers
