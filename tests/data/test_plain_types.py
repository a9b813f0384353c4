"""Columns of types that only some libraries have: what they become, and what is said of those that become nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fitwell.data.plain_types import plain_series, textual, unusable_values
from fitwell.data.table_files import as_frame, as_series
from fitwell.errors import InputError
from fitwell.problems.tables import read_table

ROWS = 60
PLACES = np.random.default_rng(0).integers(0, 4, ROWS)
NUMBERS = np.random.default_rng(1).normal(size=ROWS).round(2)
FLAGS = np.random.default_rng(2).choice(["no", "yes"], ROWS)
UUIDS = [uuid.UUID(int=2**100 + 7**i) for i in range(4)]
MONTHS = pd.period_range("2020-01", periods=4, freq="M")
CUT = pd.cut(NUMBERS, 4)

# Columns of pandas, and the texts that `to_csv` writes of their values.
TEXTS: dict[str, tuple[Any, list[str]]] = {
    "cut": (CUT, [str(value) for value in CUT]),
    "qcut": (pd.qcut(NUMBERS, 3), [str(value) for value in pd.qcut(NUMBERS, 3)]),
    "whole numbers": (pd.cut(PLACES, [-1, 0, 2, 3]), [str(value) for value in pd.cut(PLACES, [-1, 0, 2, 3])]),
    "left closed": (
        pd.arrays.IntervalArray.from_arrays(PLACES, PLACES + 1, "left"),
        [f"[{i}, {i + 1})" for i in PLACES],
    ),
    "months": (MONTHS.take(PLACES), [f"2020-0{i + 1}" for i in PLACES]),
    "quarters": (pd.period_range("2020Q1", periods=4, freq="Q").take(PLACES), [f"2020Q{i + 1}" for i in PLACES]),
    "uuid": ([UUIDS[i] for i in PLACES], [str(UUIDS[i]) for i in PLACES]),
    "bytes": ([b"abcd"[i : i + 1] for i in PLACES], ["abcd"[i] for i in PLACES]),
}
# and those in which each value is several, or has no text
NO_TEXTS: dict[str, tuple[list[Any], str]] = {
    "lists": ([[int(i), 1] for i in PLACES], "lists"),
    "arrays": ([np.array([i, 2.0]) for i in PLACES], "lists"),
    "records": ([{"a": int(i)} for i in PLACES], "records"),
    "bytes": ([bytes([255, i]) for i in PLACES], "bytes that are no UTF-8 text"),
    "objects": ([object() for _ in PLACES], "Python objects"),
    "complex": ([1 + 2j * i for i in PLACES], "Python objects"),
}


def with_column(column: Any) -> pd.DataFrame:
    """A table in which `c` is the column."""
    return pd.DataFrame({"x": NUMBERS, "c": column, "y": FLAGS})


@pytest.mark.parametrize(("column", "texts"), TEXTS.values(), ids=TEXTS)
def test_what_has_a_text_is_that_text(column: Any, texts: list[str]) -> None:
    """Such a column is the same table as its CSV file: a category, and a target or group likewise."""
    frame, plain = with_column(column), with_column(texts)
    assert as_frame(frame)["c"].cast(pl.String).to_list() == texts
    assert as_frame({"c": list(column)})["c"].to_list() == texts
    assert as_series("groups", pd.Series(column)).cast(pl.String).to_list() == texts
    found, expected = read_table(frame, "y", cv=3), read_table(plain, "y", cv=3)
    assert found.columns == expected.columns
    np.testing.assert_array_equal(found.dataset().inputs, expected.dataset().inputs)
    np.testing.assert_array_equal(
        read_table(frame, "c", cv=3).target.values, read_table(plain, "c", cv=3).target.values
    )
    grouped = [read_table(table, "y", cv=3, groups="c").row_sets.held_out for table in (frame, plain)]
    assert all(np.array_equal(a, b) for a, b in zip(*grouped, strict=True))


WAYS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "parquet": lambda frame, path: frame.to_parquet(path),
    "feather": lambda frame, path: frame.to_feather(path),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("suffix", WAYS)
def test_files_hold_the_same(tmp_path: Path, suffix: str, name: str) -> None:
    """What pandas writes into Parquet and Feather files is read as the frame itself."""
    column, texts = TEXTS[name]
    if suffix == "parquet" and isinstance(getattr(column, "dtype", None), pd.CategoricalDtype):
        pytest.skip("pandas cannot write it")
    WAYS[suffix](with_column(column), tmp_path / f"t.{suffix}")
    assert as_frame(tmp_path / f"t.{suffix}")["c"].cast(pl.String).to_list() == texts


@pytest.mark.parametrize("missing", [False, True], ids=["all targets", "without a target"])
@pytest.mark.parametrize(("column", "what"), NO_TEXTS.values(), ids=NO_TEXTS)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_what_has_no_text_gets_a_sentence(library: str, column: list[Any], what: str, missing: bool) -> None:
    """As a feature it is set aside; as a target, group or time it is refused; nothing ends in a traceback."""
    flags = [None if missing and i == 3 else flag for i, flag in enumerate(FLAGS)]
    if library == "pandas":
        frame: Any = with_column(column).assign(y=flags)
    else:
        frame = pl.DataFrame({"x": NUMBERS, "c": as_series("c", column), "y": flags})
    found = read_table(frame, "y", cv=3).columns[1]
    assert (found.kind, found.reason) == ("set aside", f"{what} are not understood")
    with pytest.raises(InputError, match=f"target 'c' must hold classes or numbers. It holds {what}"):
        read_table(frame, "c", cv=3)
    with pytest.raises(InputError, match=f"'groups' must hold texts, numbers or dates. It holds {what}"):
        read_table(frame, "y", cv=3, groups="c")
    with pytest.raises(InputError, match="'time' must hold dates"):
        read_table(frame, "y", cv=3, time="c")


def test_days_are_dates() -> None:
    """A period of a day is that date, as it is in a CSV file."""
    frame = with_column(pd.period_range("2020-01-01", periods=ROWS, freq="D"))
    assert read_table(frame, "y", cv=3).columns[1].kind == "date"


def test_durations_are_seconds() -> None:
    """A duration is its number of seconds, as a feature, as a target and as a group."""
    spans = pd.to_timedelta(PLACES * 1.5, unit="h")
    frame, seconds = with_column(spans), with_column(PLACES * 5400.0)
    found = read_table(frame, "y", cv=3)
    assert found.columns[1].reason == "durations, in seconds"
    np.testing.assert_array_equal(found.dataset().inputs, read_table(seconds, "y", cv=3).dataset().inputs)
    np.testing.assert_array_equal(read_table(frame, "c", cv=3).target.values, PLACES * 5400.0)
    assert read_table(frame, "c", cv=3, task="classification").target.classes == ("0", "5400", "10800", "16200")
    held_out = [read_table(table, "y", cv=3, groups="c").row_sets.held_out for table in (frame, seconds)]
    assert all(np.array_equal(a, b) for a, b in zip(*held_out, strict=True))


def test_missing_values_stay_missing() -> None:
    """A gap in a column of any of these types is a gap in its text."""
    for column in (
        pd.cut([0.5, np.nan, 2.5], [0, 1, 3]),
        pd.PeriodIndex(["2020-01", None, "2020-02"], freq="M"),
        [UUIDS[0], None, UUIDS[1]],
        [b"a", None, b"b"],
        pd.arrays.IntervalArray.from_tuples([(0, 1), np.nan, (1, 2)]),
    ):
        assert as_frame(pd.DataFrame({"c": column}))["c"].is_null().to_list() == [False, True, False]
        assert as_frame({"c": list(column)})["c"].is_null().to_list() == [False, True, False]


def test_declared_categories_are_classes() -> None:
    """A target of categories that are numbers is one of classes, however few rows each has."""
    assert read_table(with_column(pd.Categorical(PLACES)), "c", cv=3).target.classes == ("0", "1", "2", "3")
    assert read_table(with_column(PLACES), "c", cv=3).target.task == "regression"


def test_dates_are_written_alike() -> None:
    """The text of a moment at midnight is its day, whatever the other values are."""
    moments = pl.Series(
        "c", [datetime(2020, 1, 1), datetime(2020, 1, 2, 3, 30), datetime(2020, 1, 2, 3, 30, 1, 500_000)]
    )
    assert textual(moments).to_list() == ["2020-01-01", "2020-01-02 03:30:00", "2020-01-02 03:30:01.500"]
    days = pd.Categorical(pd.to_datetime(["2020-01-01", "2020-01-02"]))
    assert as_frame(pd.DataFrame({"c": days}))["c"].cast(pl.String).to_list() == ["2020-01-01", "2020-01-02"]


def test_plain_types_are_left_alone() -> None:
    """Numbers, texts, truth and time come back as they were given."""
    for values in ([1, 2], [0.5], ["a"], [True], [datetime(2020, 1, 1)], [time(3)], [timedelta(1)], [None]):
        column = pl.Series("c", values)
        assert plain_series(column) is column
        assert unusable_values(column.dtype) == ""
