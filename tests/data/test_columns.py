"""What each column is."""

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

from fitwell.data.columns import MAX_LEVELS, Column, describe_columns, is_id_name
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
        ([[1], [2]], "List.* not understood"),
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", True),
        ("PassengerId", True),
        ("customerID", True),
        ("row_number", True),
        ("Unnamed: 0", True),
        ("idea", False),
        ("humid", False),
        ("price index", False),
        ("", False),
    ],
)
def test_id_names(name: str, expected: bool) -> None:
    """A name says that it identifies rows by its last word or by a few whole names."""
    assert is_id_name(name) is expected


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
