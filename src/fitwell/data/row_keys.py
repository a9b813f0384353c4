"""The columns that decide which rows are held out together: groups and times."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fitwell.data.numbers import find_style, parse_numbers
from fitwell.data.table_files import as_series
from fitwell.data.values import (
    AMBIGUOUS,
    ISO,
    as_moments,
    as_numbers,
    canonical_text,
    find_date_format,
    is_number_like,
)
from fitwell.errors import InputError, counted


def read_groups(groups: Any, n: int, used: pl.Series | None = None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The group of each row [n] as a number, and the groups' names; none may be missing in `used` rows (None: all)."""
    text = canonical_text(_full_column("groups", groups, n))
    _refuse_missing("groups", text.is_null(), used)
    # missing only in rows that nobody uses, and NumPy cannot sort None among text
    names, indices = np.unique(text.fill_null("").to_numpy(), return_inverse=True)
    return indices, tuple(names.tolist())


def moments_of(time: Any, n: int, used: pl.Series | None = None) -> NDArray[np.float64]:
    """The time column as numbers that sort as it does: from numbers, dates, or text that is either.

    None may be missing in the rows that are `used` (all if None); elsewhere a missing one is NaN.
    """
    values = _full_column("time", time, n)
    # numbers before dates: years sort as they are
    if values.dtype == pl.String:
        style = find_style(values.str.strip_chars())
        numbers, failed = parse_numbers(values, style.decimal, style.sign)
        values = values if failed.any() else numbers
    if not is_number_like(values.dtype) and values.dtype != pl.Null:
        # microseconds; only their order counts
        values = as_moments(values, _date_format(values)).cast(pl.Int64)
    numbers = as_numbers(values.alias("time"))
    _refuse_missing("time", pl.Series(np.isnan(numbers)), used)
    return numbers


def _date_format(values: pl.Series) -> str:
    format = find_date_format(values) if values.dtype == pl.String else None
    if format == AMBIGUOUS:
        raise InputError("The time column's dates do not show whether day or month comes first: write YYYY-MM-DD.")
    return format or ISO


def _full_column(argument: str, values: Any, n: int) -> pl.Series:
    column = as_series(argument, values)
    if len(column) != n:
        raise InputError(f"The {argument} column must have {counted(n, 'value')}, one per row. Got {len(column)}.")
    return column


def _refuse_missing(argument: str, missing: pl.Series, used: pl.Series | None) -> None:
    missing = missing if used is None else missing & used
    if missing.any():
        raise InputError(
            f"The {argument} column has {counted(int(missing.sum()), 'missing value')}, first in data row "
            f"{(missing.arg_max() or 0) + 1}: fill them or leave out those rows."
        )
