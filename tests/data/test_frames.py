"""Tables in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fitwell.data.frames import as_series, to_polars
from fitwell.errors import InputError, InputTypeError

ROWS = [(1, "x"), (None, "y"), (3, None)]


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"a": [1, None, 3], "b": ["x", "y", None]}),
        pl.LazyFrame({"a": [1, None, 3], "b": ["x", "y", None]}),
        pa.table({"a": [1, None, 3], "b": ["x", "y", None]}),
        {"a": [1, None, 3], "b": np.array(["x", "y", None], object)},
        {"a": [1, float("nan"), 3], "b": ("x", "y", None)},
        [{"a": 1, "b": "x"}, {"b": "y"}, {"a": 3, "b": None}],
        np.array([[1, "x"], [None, "y"], [3, None]], object),
    ],
    ids=["polars", "lazy", "pyarrow", "dict", "nan", "records", "array"],
)
def test_tables_of_every_kind_hold_the_same_rows(table: Any) -> None:
    """One table, in every form it can arrive in."""
    assert to_polars(table).rows() == ROWS


def test_arrays_have_numbered_columns() -> None:
    """The columns of an array are x0, x1, ..., and NaN is missing."""
    frame = to_polars(np.array([[1.0, np.nan], [2.0, 3.0]]))
    assert frame.to_dict(as_series=False) == {"x0": [1.0, 2.0], "x1": [None, 3.0]}


def test_mixed_values_become_text() -> None:
    """Numbers among words are text, not an error."""
    assert to_polars({"a": [1, "x", None]})["a"].to_list() == ["1", "x", None]


def test_one_record_is_one_row() -> None:
    """A dict of single values is a table of one row."""
    assert to_polars({"a": 1, "b": "text"}).rows() == [(1, "text")]


def test_unnamed_columns_get_names() -> None:
    """An empty name becomes the column's place."""
    assert to_polars(pl.DataFrame({"a": [1], " ": [2]})).columns == ["a", "column_2"]


def test_pyarrow_dictionaries_stay_categories() -> None:
    """Categories that are numbers stay categories."""
    table = pa.table({"c": pa.array([10, 20, None]).dictionary_encode()})
    column = to_polars(table)["c"]
    assert column.dtype == pl.Categorical
    assert column.to_list() == ["10", "20", None]


def test_pandas_columns_come_through() -> None:
    """Object columns of mixed values, nullable types, categories, dates and odd labels of pandas are read."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(
        {
            0: pd.array([1, None], dtype="Int64"),
            "mixed": [1, "x"],
            "flag": [True, None],
            "number": pd.Categorical([5, 6]),
            "when": pd.to_datetime(["2020-01-01", None]),
            "float": [0.5, np.nan],
        }
    )
    frame = to_polars(table)
    assert frame.columns == ["0", "mixed", "flag", "number", "when", "float"]
    assert frame["mixed"].to_list() == ["1", "x"]
    assert frame["number"].dtype == pl.Categorical
    assert frame.row(1)[2:] == (None, "6", None, None)


def test_duplicate_pandas_columns_are_refused() -> None:
    """Two columns of one name are refused by that name."""
    pd = pytest.importorskip("pandas")
    with pytest.raises(InputError, match="more than one column named 'a'"):
        to_polars(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (3, InputTypeError, "must be a file path, a dataframe.*Got int"),
        (None, InputTypeError, "Got NoneType"),
        (np.zeros(3), InputTypeError, r"2-D array.*shape \(3,\)"),
        ([1, 2], InputTypeError, "a dict per row. Got int at index 0"),
        ([], InputError, "no rows"),
        ({}, InputError, "no columns"),
        ({"a": []}, InputError, "no rows"),
        (pl.DataFrame({"a": [1]}).filter(pl.col("a") > 1), InputError, "no rows"),
        ({"a": [1, 2], "b": [1]}, InputError, "equally long; 'a' has 2, 'b' has 1"),
        (pa.table([[1], [2]], names=["a", "a"]), InputError, "more than one column named 'a'"),
        (pl.DataFrame({"a": [1], " a": [2]}), InputError, "more than one column named 'a'"),
    ],
    ids=str,
)
def test_bad_tables_get_a_sentence(table: Any, error: type[Exception], message: str) -> None:
    """What is no table, or an unusable one, is refused in one sentence."""
    with pytest.raises(error, match=message):
        to_polars(table)


def test_one_column_of_any_kind() -> None:
    """A series, an array and a list are one column; a number is none."""
    for values in (pl.Series([1, 2]), np.array([1, 2]), [1, 2], pa.chunked_array([[1, 2]])):
        assert as_series("g", values).to_list() == [1, 2]
    with pytest.raises(InputTypeError, match="g column must be"):
        as_series("g", 3)
