"""Raw features of training and of new tables."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.columns import Column, describe_columns
from fitwell.data.raw import extra_columns, extract, number_names
from fitwell.errors import InputError

TRAINING = pl.DataFrame(
    {
        "age": [31.5, None, 40.0, 22.0],
        "city": ["Oslo", None, "Rome", "Oslo"],
        "code": ["1", "2", "none", "1"],
        "smokes": [True, False, None, True],
        "since": [date(2000, 1, 2), date(2001, 5, 6), None, date(2002, 3, 4)],
        "constant": [1, 1, 1, 1],
    }
)
COLUMNS = describe_columns(TRAINING)


def new(**changes: Any) -> pl.DataFrame:
    """The first training row with some columns changed."""
    return TRAINING.head(1).with_columns(pl.Series(name, [value]) for name, value in changes.items())


def test_training_table() -> None:
    """Numbers in column order with NaN for missing; codes by level, V for missing."""
    raw = extract(TRAINING, COLUMNS)
    assert raw.numbers.dtype == np.float64
    assert raw.codes.dtype == np.int32
    assert raw.numbers.shape == (len(raw), sum(len(number_names(column)) for column in COLUMNS))
    np.testing.assert_array_equal(
        raw.numbers[:, :3], [[31.5, 1, 1], [np.nan, 0, 491], [40, *[np.nan] * 2], [22, 1, 793]]
    )
    assert raw.codes.tolist() == [[0, 0], [2, 1], [1, 2], [0, 0]]


@pytest.mark.parametrize("value", ["1", "1.0", " 1", 1, 1.0])
def test_a_level_is_found_in_every_type(value: Any) -> None:
    """The level "1" is the same as text, integer or float: a file's other rows decide how it is read."""
    assert extract(new(code=value), COLUMNS).codes[0, 1] == 0


@pytest.mark.parametrize("value", ["Paris", "oslo", 3, True])
def test_unseen_levels_are_other(value: Any) -> None:
    """A level that training did not have is V + 1, not an error and not missing."""
    assert extract(new(city=value), COLUMNS).codes[0, 0] == 3


@pytest.mark.parametrize("name", ["age", "city", "code", "smokes", "since"])
def test_a_column_without_any_value_is_missing(name: str) -> None:
    """A new table whose column is all empty, and so has no type, reads as missing."""
    training, raw = extract(TRAINING, COLUMNS), extract(new(**{name: None}), COLUMNS)
    changed = np.isnan(raw.numbers[0]).any() or (raw.codes[0] != training.codes[0]).any()
    assert changed


@pytest.mark.parametrize("value", [True, "True", "true", 1, 1.0, "1"])
def test_booleans_in_every_type(value: Any) -> None:
    """True is 1 as a boolean, as text and as a number."""
    assert extract(new(smokes=value), COLUMNS).numbers[0, 1] == 1


@pytest.mark.parametrize("value", ["2000-01-02", "2000-01-02T00:00", datetime(2000, 1, 2)])
def test_dates_in_every_type(value: Any) -> None:
    """A date reads the same as text, date or datetime."""
    np.testing.assert_array_equal(
        extract(new(since=value), COLUMNS).numbers[0, 2:], extract(new(), COLUMNS).numbers[0, 2:]
    )


def test_day_first_dates_are_remembered() -> None:
    """A new table with only ambiguous dates is read in the format that training found."""
    columns = (Column("d", "date", date_format="%d/%m/%Y"),)
    assert extract(pl.DataFrame({"d": ["03/01/2000"]}), columns).numbers[0, 0] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": "old"}, "'age' must hold numbers, but data row 1 holds the text 'old'"),
        ({"age": float("inf")}, "'age' holds an infinite value in data row 1"),
        ({"age": date(2020, 1, 1)}, "'age' must hold numbers, as in training"),
        ({"smokes": "maybe"}, "'smokes' must hold true or false, but data row 1 holds 'maybe'"),
        ({"smokes": 2}, "'smokes' must hold true or false, but data row 1 holds 2"),
        ({"since": "soon"}, "'since' must hold dates, but data row 1 holds 'soon'"),
        ({"since": 3}, "'since' must hold dates, as in training"),
        ({"city": [1]}, "'city' must hold categories"),
    ],
    ids=str,
)
def test_bad_values_get_a_sentence(changes: dict[str, Any], message: str) -> None:
    """A value of another kind than in training is named by column, data row and text."""
    with pytest.raises(InputError, match=message):
        extract(new(**changes), COLUMNS)


def test_missing_columns_are_named_together() -> None:
    """All columns that a new table lacks are named at once; those set aside are not needed."""
    with pytest.raises(InputError, match=r"lacks 2 columns .*: 'age', 'since'"):
        extract(TRAINING.drop("age", "since"), COLUMNS)
    assert len(extract(TRAINING.drop("constant"), COLUMNS)) == 4


def test_extra_columns_are_listed_and_ignored() -> None:
    """Columns that training did not have change nothing, and are listed."""
    wider = TRAINING.with_columns(new_one=1)
    assert extra_columns(wider, COLUMNS) == ("new_one",)
    np.testing.assert_array_equal(extract(wider, COLUMNS).numbers, extract(TRAINING, COLUMNS).numbers)


@settings(max_examples=30, deadline=None)
@given(st.permutations(TRAINING.columns), st.permutations(range(4)))
def test_order_does_not_matter(names: list[str], rows: list[int]) -> None:
    """Columns are found by name, and a row's features do not depend on other rows."""
    raw, moved = extract(TRAINING, COLUMNS), extract(TRAINING.select(names)[rows], COLUMNS)
    np.testing.assert_array_equal(moved.numbers, raw.numbers[rows])
    np.testing.assert_array_equal(moved.codes, raw.codes[rows])
