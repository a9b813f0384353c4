"""Targets: the task, the classes and the values."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.data.target import Target, labels_of, read_target, read_targets, standardise
from fitwell.errors import InputError


def read(values: Any, task: str | None = None) -> Target:
    """Read a target column."""
    return read_target(pl.DataFrame({"y": values}), "y", task)[0]


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a", "b"], "classification", ("a", "b")),
        ([True, False], "classification", ("false", "true")),
        ([0, 1, 1], "classification", ("0", "1")),
        ([10, 9] * 2, "classification", ("9", "10")),
        ([1.0, 2.0, 1.0], "classification", ("1", "2")),
        (["10", "9", "9"], "classification", ("9", "10")),
        (["no", "10", "9"], "classification", ("9", "10", "no")),
        (list(range(20)) * 20, "classification", tuple(map(str, range(20)))),
        (list(range(20)) * 19, "regression", ()),
        (list(range(21)) * 30, "regression", ()),
        ([1, 2, 3], "regression", ()),
        ([0.5, 1.0], "regression", ()),
        (["0.5", "1,000"], "regression", ()),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_task_is_guessed(values: list[Any], task: str, classes: tuple[str, ...]) -> None:
    """Text, booleans and few integers are classes, sorted (by value if numbers); other numbers regression."""
    target = read(values)
    assert (target.task, target.classes) == (task, classes)
    assert target.values.dtype == (np.int32 if classes else np.float64)


def test_the_task_can_be_chosen() -> None:
    """A chosen task overrides the guess, both ways."""
    assert read([0, 1, 1], "regression").values.tolist() == [0, 1, 1]
    assert read([0.5, 1.5, 0.5], "classification").classes == ("0.5", "1.5")


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (["a", None, "b"], [0, 2]),
        ([None, 0.5, 1.5], [1, 2]),
        ([1, 2, None], [0, 1]),
        (["", "a", " b"], [1, 2]),
    ],
    ids=str,
)
def test_rows_without_a_target_are_set_aside(values: list[Any], rows: list[int]) -> None:
    """The rows that have a target are returned, and the values are theirs."""
    target, kept = read_target(pl.DataFrame({"y": values}), "y")
    assert kept.dtype == np.int64
    assert kept.tolist() == rows
    assert len(target.values) == len(rows)


@pytest.mark.parametrize(
    ("values", "label_type"),
    [
        ([0, 1, 1], "int"),
        ([True, False], "bool"),
        (["1", "x"], "str"),
        (["1.0", "2.0"], "str"),
        ([1.0, 2.0], "float"),
    ],
    ids=str,
)
def test_predictions_are_written_as_the_table_has_them(values: list[Any], label_type: str) -> None:
    """Labels of the class indices are the table's own values in their own type."""
    target = read(values)
    assert target.label_type == label_type
    assert labels_of(target.values, target.classes, target.label_type).tolist() == values


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=3).filter(lambda text: text.strip() == text != ""), min_size=2, max_size=9))
def test_labels_come_back_up_to_spelling(values: list[str]) -> None:
    """Any text labels survive, and read again they are the same classes."""
    frame = pl.DataFrame({"y": [*values, "p", "q"]})
    target, _ = read_target(frame, "y", "classification")
    labels = labels_of(target.values, target.classes, target.label_type)
    again, _ = read_target(pl.DataFrame({"y": labels.tolist()}), "y", "classification")
    assert again.classes == target.classes
    np.testing.assert_array_equal(again.values, target.values)


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([1, 1, None], None, "same value, '1'"),
        (["a", "a"], None, "same value, 'a'"),
        ([0.5, 0.5], None, "same value"),
        ([None, None], None, "no values"),
        (["", " "], None, "no values"),
        ([float("nan")] * 2, None, "no values"),
        ([1.5, float("inf")], None, "'y' holds an infinite value in data row 2"),
        ([1.5, float("inf")], "classification", "'y' holds an infinite value in data row 2"),
        ([date(2020, 1, 1), date(2020, 1, 2)], None, "must hold classes or numbers. It holds dates"),
        ([[1], [2]], None, "must hold classes or numbers"),
        (["1", "2", "many"], "regression", "'many' in data row 3"),
        ([1, 2], "clasification", "must be 'classification' or 'regression'. Got 'clasification'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_targets_get_a_sentence(values: list[Any], task: str | None, message: str) -> None:
    """What cannot be predicted is refused, with the column and what was found."""
    with pytest.raises(InputError, match=message):
        read(values, task)


def test_an_unknown_column_gets_the_nearest_name() -> None:
    """A misspelt target is answered with the nearest name, else with the names there are."""
    frame = pl.DataFrame({"price": [1], "city": [2]})
    with pytest.raises(InputError, match=r"no column named 'prize' to predict\. Did you mean 'price'"):
        read_target(frame, "prize")
    with pytest.raises(InputError, match="The columns are 'price', 'city'"):
        read_target(frame, "xyz")


def test_standardise_looks_at_training_rows_only() -> None:
    """Mean and deviation are of the given rows; a constant has scale 1."""
    values = np.array([1.0, 3.0, 1e9, 5.0, 5.0])
    assert standardise(values, [0, 1]) == (2.0, 1.0)
    assert standardise(values, np.array([3, 4])) == (5.0, 1.0)
    assert standardise(values, [0, 2]) != standardise(values, [0, 1])


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([1.5, -1e160, 3.0], None, r"'y' has sizes above 1e\+37, .* data row 2 has -1e\+160"),
        (["1.5", None, "2e38"], None, r"data row 3 has 2e\+38"),
        ([1e-40, 3e-300], None, r"sizes all below 1e-37, .* data row 1 has 1e-40"),
        ([2**53 + i for i in range(8)], None, r"beyond 2\*\*53: 8 differ, and 5 still do"),
        (
            pl.Series([2**63 + i % 4 for i in range(20)], dtype=pl.UInt64),
            None,
            r"beyond 2\*\*53: 4 differ, and 1 still",
        ),
        ([str(2**60 + i % 4) for i in range(20)], None, r"4 differ, and 1 still"),
        ([2**60, 2**60 + 1] * 20, "regression", r"2 differ, and 1 still"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_numbers_that_floats_do_not_hold(values: Any, task: str | None, message: str) -> None:
    """Targets beyond float32's range, and whole numbers that floats make one of, get a sentence and no classes."""
    with pytest.raises(InputError, match=message):
        read(values, task)


def test_large_numbers_that_floats_hold() -> None:
    """Large targets that differ as floats are read; as classes whole numbers are exact, however large."""
    assert read([1e37, -1e36, 2e-300]).values.tolist() == [1e37, -1e36, 2e-300]
    assert read([2**60 + 1024 * i for i in range(8)]).values.tolist() == [2.0**60 + 1024 * i for i in range(8)]
    assert read([2**60, 2**60 + 1] * 20).classes == (str(2**60), str(2**60 + 1))
    assert read([str(2**70), str(2**70 + 1)] * 20).classes == (str(2**70), str(2**70 + 1))


def test_weighted_standardisation() -> None:
    """A row of weight 3 is three rows, and of weight 0 none, whatever it holds; sizes of 1e300 do not overflow."""
    values, counts = np.array([1.0, 4.0, 2.0, 8.0, 1e9]), np.array([1.0, 3.0, 0.0, 2.0, 0.0])
    rows = np.array([0, 1, 3, 4])
    for scale in (1.0, 1e300):
        found = standardise(scale * values[:4], rows[:3], counts[:4])
        assert found == pytest.approx(standardise(scale * np.repeat(values, counts.astype(int)), range(6)), rel=1e-12)
    assert standardise(values, rows, counts) == pytest.approx(textbook_moments(values, rows, counts), rel=1e-12)
    assert standardise(values, rows, 7 * counts) == pytest.approx(standardise(values, rows, counts), rel=1e-12)
    assert standardise(values, rows[:3]) != pytest.approx(standardise(values, rows[:3], counts), rel=1e-3)
    assert standardise(values, rows, np.array([0, 1.0, 1, 0, 0])) == (4.0, 1.0)  # one value is left: constant


def textbook_moments(values: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The textbook's weighted mean and standard deviation."""
    mine, by = values[rows], counts[rows] / counts[rows].sum()
    mean = (by * mine).sum()
    return float(mean), float(np.sqrt((by * (mine - mean) ** 2).sum()))


# ---- several targets -------------------------------------------------------------------------------------------------

SEVERAL = pl.DataFrame(
    {
        "value": [1.5, 2.5, None, 4.0, 5.0],
        "other": [10.0, 20.0, 30.0, 40.0, 50.5],
        "label": ["no", "yes", "no", "yes", "no"],
        "flag": [True, False, True, None, True],
        "kind": ["a", "b", "c", "a", "b"],
        "same": ["x", "x", "x", "y", "x"],
    }
)


def test_several_numbers() -> None:
    """Rows that have all of them, in the order of the names; each by itself is what it is alone."""
    target, rows = read_targets(SEVERAL, ["other", "value"])
    assert rows.tolist() == [0, 1, 3, 4]
    assert (target.task, target.names, target.classes) == ("regression", ("other", "value"), ())
    np.testing.assert_array_equal(target.values, SEVERAL[rows.tolist()].select("other", "value").to_numpy())
    assert [(one.task, one.name, one.values.tolist(), one.outputs) for one in target.each] == [
        ("regression", "other", [10.0, 20.0, 40.0, 50.5], ()),
        ("regression", "value", [1.5, 2.5, 4.0, 5.0], ()),
    ]


def test_several_labels() -> None:
    """Each has its two classes and their type; the second one is 1."""
    target, rows = read_targets(SEVERAL, ["label", "flag"])
    assert rows.tolist() == [0, 1, 2, 4]
    assert target.task == "multilabel"
    assert target.values.tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    found = [(one.name, one.classes, one.label_type) for one in target.outputs]
    assert found == [("label", ("no", "yes"), "str"), ("flag", ("false", "true"), "bool")]
    assert [one.task for one in target.each] == ["classification", "classification"]


def test_one_of_several_is_one() -> None:
    """A list of one name is that target, and it is the only one that it has."""
    target, _ = read_targets(SEVERAL, ["label"])
    assert (target.task, target.outputs, target.each) == ("classification", (), (target,))


@pytest.mark.parametrize(
    ("names", "task", "sentence"),
    [
        (["value", "label"], None, "'value' is read as numbers and 'label' as classes"),
        (["label", "kind"], None, "'kind' has 3: predict it by itself"),
        (["label", "nothing"], None, "no column named 'nothing'"),
        (["value", "label"], "regression", "'label' holds them in 0 of 5 values"),
        (["same", "flag"], None, "'same' has the same value, '0', in every row"),  # of those that have the other, too
    ],
)
def test_what_are_no_targets_together(names: list[str], task: str | None, sentence: str) -> None:
    """A sentence says which, and what to do."""
    with pytest.raises(InputError, match=sentence):
        read_targets(SEVERAL, names, task)
