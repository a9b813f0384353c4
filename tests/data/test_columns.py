"""The columns of a table: their kinds, and their values before encoding."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.columns import MAX_LEVELS, Column, describe_columns, extra_columns, extract, number_names
from fitwell.errors import InputError

NAMES = [f"name {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]


def describe(values: Any, name: str = "x") -> Column:
    """Describe a column that is not the first of its table."""
    column = pl.Series(name, values)
    return describe_columns(pl.DataFrame({"first": pl.Series([0.5] * len(column)), name: column}))[1]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 2], "numeric"),
        ([1.5, None, 2.5], "numeric"),
        ([timedelta(1), timedelta(2)], "numeric"),
        ([True, False, None], "boolean"),
        (["a", "b", "a"], "categorical"),
        (["yes", "no", "yes"], "categorical"),
        (["1", "2", "unknown"], "categorical"),
        ([date(2020, 1, 1), date(2020, 1, 2)], "date"),
        (["2020-01-01", "2020-01-02", None], "date"),
        (["13/01/2020", "01/02/2020"], "date"),
        ([" 1", "2,000", "3.5"], "numeric"),
        ([[1], [2]], "set aside"),
        ([{"a": 1}, {"a": 2}], "set aside"),
        ([None, None], "set aside"),
        ([float("nan"), None], "set aside"),
        ([3, 3, 3], "set aside"),
        (["a", "a"], "set aside"),
    ],
    ids=str,
)
def test_kinds(values: list[object], kind: str) -> None:
    """Each type of values has its kind."""
    assert describe(values).kind == kind


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["1", "2"])], ids=str)
def test_declared_categories_stay_categories(dtype: pl.DataType) -> None:
    """Categories that look like numbers were declared categories."""
    assert describe(pl.Series("x", ["1", "2", "1"], dtype=dtype)).levels == ("1", "2")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([None, None], "no values"),
        ([3, 3], "only one value"),
        ([[1], [2]], "lists are not understood"),
        (NAMES, "60 different values in 60 rows"),
        ([f"a long story about {name}" for name in NAMES[:30]], "free text"),
        (["01/02/2020", "03/04/2020"], "day and month cannot be told apart"),
        (["1", "2"], "numbers written as text"),
    ],
    ids=str,
)
def test_reasons(values: list[object], reason: str) -> None:
    """What is set aside, or read otherwise than written, says why."""
    assert re.search(reason, describe(values).reason)


def test_one_value_and_missing_are_two_states() -> None:
    """A column of one value is kept if it can be missing: then it tells two rows apart."""
    assert describe(["x", None, "x"]).kind == "categorical"
    assert describe([1.0, None, 1.0]).has_missing


def test_distinct_integers_that_name_rows_are_set_aside() -> None:
    """Distinct integers are an id by name, a row number if they count up in the first column."""
    values = [30, 10, 20]
    assert describe(values, "PassengerId").reason == "a number that names the row"
    assert describe(values, "age").kind == "numeric"
    assert describe([30, 10, 10], "PassengerId").kind == "numeric"
    for start in (0, 1):
        frame = pl.DataFrame({"a": range(start, start + 5), "b": [2, 1, 3, 5, 4]})
        assert [column.kind for column in describe_columns(frame)] == ["set aside", "numeric"]
        assert describe_columns(frame.select("b", "a"))[1].kind == "numeric"
    assert describe_columns(pl.DataFrame({"a": range(5)}))[0].kind == "numeric"


def test_the_most_frequent_levels_are_kept() -> None:
    """Of many levels the most frequent are kept, ties by name, and the reason says that others are not."""
    values = [f"l{i:03d}" for i in range(MAX_LEVELS + 20)] * 3 + ["l119"]
    column = describe(values)
    assert len(column.levels) == MAX_LEVELS
    assert column.levels == (*(f"l{i:03d}" for i in range(MAX_LEVELS - 1)), "l119")
    assert "120 levels: the 100 most frequent" in column.reason


def test_infinities_are_named() -> None:
    """An infinite value is refused at the door, with its column and data row."""
    with pytest.raises(InputError, match="'x' holds an infinite value in data row 2"):
        describe([1.0, float("inf")])


def test_times_of_day_are_noticed() -> None:
    """A date column has a time part only if some moment is not midnight."""
    assert not describe([datetime(2020, 1, 1), datetime(2020, 1, 2)]).has_time
    assert describe([datetime(2020, 1, 1), datetime(2020, 1, 2, 3)]).has_time


def test_columns_without_are_not_described() -> None:
    """The target and its like are left out."""
    frame = pl.DataFrame({"a": [1, 2], "y": [1, 2], "b": [1.5, 2]})
    assert [column.name for column in describe_columns(frame, without=["y"])] == ["a", "b"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["1", "2020-01-01"])), min_size=1))
def test_any_text_is_described_and_survives_json(values: list[str | None]) -> None:
    """Every text column has a kind, and its description is the same after JSON."""
    column = describe(pl.Series("x", values, dtype=pl.String))
    assert Column.from_json(json.loads(json.dumps(column.to_json()))) == column


def test_missing_is_noticed_where_it_is() -> None:
    """`has_missing` is true for null, NaN and missing marks, and only then."""
    assert [describe(values).has_missing for values in ([1, 2], [1, 2, None], ["1", "2", "?"])] == [
        False,
        True,
        True,
    ]
    assert describe(np.array([1.0, 2.0, np.nan])).has_missing


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
    assert extra_columns(wider.columns, COLUMNS) == ("new_one",)
    np.testing.assert_array_equal(extract(wider, COLUMNS).numbers, extract(TRAINING, COLUMNS).numbers)


@settings(max_examples=30, deadline=None)
@given(st.permutations(TRAINING.columns), st.permutations(range(4)))
def test_order_does_not_matter(names: list[str], rows: list[int]) -> None:
    """Columns are found by name, and a row's features do not depend on other rows."""
    raw, moved = extract(TRAINING, COLUMNS), extract(TRAINING.select(names)[rows], COLUMNS)
    np.testing.assert_array_equal(moved.numbers, raw.numbers[rows])
    np.testing.assert_array_equal(moved.codes, raw.codes[rows])
