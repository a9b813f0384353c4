"""Columns as numbers."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from fitwell.data.numeric import as_numbers, parse_numbers
from fitwell.errors import InputError


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None], [1.0, np.nan]),
        ([True, False], [1.0, 0.0]),
        ([Decimal("1.25")], [1.25]),
        ([timedelta(minutes=1, milliseconds=500)], [60.5]),
        ([time(1, 0, 1)], [3601.0]),
        ([" 1", "2.5e1 ", "?", "NA", ""], [1.0, 25.0, np.nan, np.nan, np.nan]),
        (["1,234.5", "12 345", "1'000'000", "7"], [1234.5, 12345.0, 1e6, 7.0]),
        ([None], [np.nan]),
    ],
    ids=["integers", "booleans", "decimals", "durations", "times", "text", "thousands", "nulls"],
)
def test_values_become_numbers(values: list[object], expected: list[float]) -> None:
    """Numbers of every type and spelling become float64, durations and times of day seconds."""
    np.testing.assert_array_equal(as_numbers(pl.Series("x", values)), expected)


@pytest.mark.parametrize("text", ["1,23", "12,3456", "1 2", "x1", "0x10"])
def test_what_is_no_number_is_not_guessed(text: str) -> None:
    """Misplaced thousands marks and words are not numbers."""
    numbers, failed = parse_numbers(pl.Series([text]))
    assert failed.to_list() == [True]
    assert numbers.to_list() == [None]


def test_text_among_numbers_is_named() -> None:
    """The message names the column, the data row from 1, and the text."""
    with pytest.raises(InputError, match=r"'age' .* row 3 .* 'old'"):
        as_numbers(pl.Series("age", ["1", "2", "old"]))


@pytest.mark.parametrize("values", [[1.0, float("inf")], ["1", "-inf"]], ids=["float", "text"])
def test_infinities_are_refused(values: list[object]) -> None:
    """An infinite value is named by column and data row, with what to do."""
    with pytest.raises(InputError, match=r"'x' holds an infinite value in data row 2: replace"):
        as_numbers(pl.Series("x", values))


def test_dates_are_no_numbers() -> None:
    """A column of another kind is refused by its type."""
    with pytest.raises(InputError, match="'x' must hold numbers"):
        as_numbers(pl.Series("x", [date(2020, 1, 1)]))
