"""Weights of rows and of classes: scikit-learn's numbers, read from what people give."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from fitwell.data.row_sets import RowSets
from fitwell.data.row_weights import BALANCED, RowWeights, read_sample_weight, weights_of_rows
from fitwell.data.target import Target, read_target
from fitwell.errors import InputError, InputTypeError

ROWS = 30


def target_of(values: Any, task: str | None = "classification") -> Target:
    """A column, as a table's target is read."""
    return read_target(pl.DataFrame({"y": values}), "y", task)[0]


CLASSES = target_of(np.array(["a", "b", "c"])[np.random.default_rng(0).choice(3, ROWS, p=[0.6, 0.3, 0.1])])
WEIGHTS = np.random.default_rng(1).gamma(1.0, size=ROWS)


def weighed(*arguments: Any) -> RowWeights:
    """What rows count, which is not alike."""
    found = weights_of_rows(CLASSES, *arguments)
    assert found is not None
    return found


@pytest.mark.parametrize("sample_weight", [None, WEIGHTS])
def test_balanced_is_scikit_learns(sample_weight: np.ndarray | None) -> None:
    """Among any rows, but for a constant: the counts of classes are weighted, too, and every class weighs the same."""
    found, y = weighed(sample_weight, BALANCED), CLASSES.values
    for rows in (np.arange(ROWS), np.arange(0, ROWS, 2)):
        mine = np.ones(ROWS) if sample_weight is None else sample_weight
        totals = np.bincount(y[rows], mine[rows])
        expected = mine * (totals.sum() / (3 * totals))[y]
        if sample_weight is None:  # its function for rows does not know of their weights
            np.testing.assert_allclose(expected[rows], compute_sample_weight("balanced", y[rows]))
        np.testing.assert_allclose(found.among(rows), expected / expected[rows].mean(), rtol=1e-12)
        np.testing.assert_allclose(np.bincount(y[rows], found.among(rows)[rows]), len(rows) / 3, rtol=1e-12)
    assert not np.allclose(found.among(np.arange(0, ROWS, 2)), found.measured, rtol=1e-3)


def test_classes_by_name() -> None:
    """The weight of a row is its own times that of its class; a class that is not named has 1, as in scikit-learn."""
    found = weighed(WEIGHTS, {"b": 5, "c": 0})
    expected = WEIGHTS * np.array([1, 5, 0])[CLASSES.values]
    np.testing.assert_allclose(found.measured, expected / expected.mean(), rtol=1e-12)
    np.testing.assert_array_equal(found.among(np.arange(9)), found.values / found.values[:9].mean())
    assert found.words == {"sample_weight": None, "class_weight": {"a": 1.0, "b": 5.0, "c": 0.0}}
    assert not np.allclose(weighed(WEIGHTS, {"b": 6, "c": 0}).measured, found.measured)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ([0, 1] * 5, [1, "1", 1.0, np.int64(1), "01"]),
        ([False, True] * 5, [True, "true", np.bool_(True), "True"]),
        ([0.5, 2.0] * 5, [2.0, 2, "2"]),
        (["no", "yes"] * 5, ["yes", " yes "]),
    ],
)
def test_a_class_is_called_as_the_table_has_it(values: list[Any], keys: list[Any]) -> None:
    """Whatever type its label arrives in, by the rule that tells equal labels of a table."""
    for key in keys:
        found = weights_of_rows(target_of(values), None, {key: 3})
        assert found is not None
        np.testing.assert_array_equal(found.values, [1 / 3, 1] * 5)


def test_a_constant_changes_nothing() -> None:
    """Only ratios matter: times 4 to the last bit, times 3 to rounding; rows that all count alike have no weights."""
    one = weighed(WEIGHTS, BALANCED)
    np.testing.assert_array_equal(weighed(4 * WEIGHTS, BALANCED).measured, one.measured)
    np.testing.assert_allclose(weighed(3e300 * WEIGHTS, BALANCED).measured, one.measured, rtol=1e-12)
    assert not np.allclose(weighed(WEIGHTS + 1, BALANCED).measured, one.measured)
    assert weights_of_rows(CLASSES, np.full(ROWS, 0.3), None) is None
    assert weights_of_rows(CLASSES, None, {"a": 2, "b": 2, "c": 2}) is None
    assert weights_of_rows(CLASSES, 1 / np.array([1, 2, 4])[CLASSES.values], {"b": 2, "c": 4}) is None


def test_rows_in_another_order() -> None:
    """What a row counts goes with it, its class included."""
    order = np.random.default_rng(2).permutation(ROWS)
    for given in ((WEIGHTS, BALANCED), (WEIGHTS, {"b": 2})):
        found = weighed(*given)
        np.testing.assert_allclose(found.permuted(order).measured, found.measured[order], rtol=1e-12)
        assert not np.allclose(found.permuted(order).measured, found.measured)


def test_row_sets_that_weigh_nothing() -> None:
    """Training on nothing, or measured on nothing; a class that does not train is no reason."""
    weights = np.r_[np.zeros(10), WEIGHTS[10:]]
    every = np.arange(ROWS, dtype=np.int32)
    early, late = every[:10], every[10:]
    found = weighed(weights, BALANCED)
    found.check(RowSets((every[12:],), (every[5:12],), ROWS))
    with pytest.raises(InputError, match="would train on nothing"):
        found.check(RowSets((early,), (late,), ROWS))
    with pytest.raises(InputError, match="would be measured on nothing"):
        found.check(RowSets((late,), (early,), ROWS))
    only_a = np.flatnonzero(CLASSES.values == 0)
    assert np.isfinite(weighed(None, BALANCED).among(only_a)).all()


@pytest.mark.parametrize(
    ("class_weight", "sentence"),
    [
        ({"d": 2}, r"names the class 'd', and the target 'y' has the classes 'a', 'b', 'c'\."),
        ({"a": -1}, "finite weights of 0 or more. Got -1 for the class 'a'"),
        ({"a": np.inf}, "finite weights of 0 or more. Got inf"),
        ({"a": "much"}, "finite weights of 0 or more. Got 'much'"),
        ({"a": 1, " a": 2}, "names the class 'a' twice"),
        ({"a": 0, "b": 0, "c": 0}, "must not leave all rows a weight of 0"),
        ("balance", "must be 'balanced', or a dict from class to weight, such as {'c': 5}. Got 'balance'"),
        ([1, 2, 3], r"must be 'balanced', or a dict.*Got \[1, 2, 3\]"),
    ],
)
def test_wrong_weights_of_classes(class_weight: Any, sentence: str) -> None:
    """Each gets its sentence."""
    with pytest.raises((InputError, InputTypeError), match=sentence):
        weights_of_rows(CLASSES, None, class_weight)


@pytest.mark.parametrize("class_weight", ["balanced", {"1": 2}])
def test_numbers_have_no_classes(class_weight: Any) -> None:
    """Of a regression weights of classes are refused, and those of rows are not."""
    numbers = target_of(np.arange(ROWS) * 0.5, "regression")
    with pytest.raises(InputError, match="'class_weight' needs classes, and the target 'y' is read as numbers"):
        weights_of_rows(numbers, None, class_weight)
    assert weights_of_rows(numbers, WEIGHTS, None) is not None


def test_a_column_of_weights() -> None:
    """Numbers of any type, and text as the table writes numbers."""
    rows = np.arange(3)
    for values in ([1, 0, 2], [1.0, 0.0, 2.0], [True, False, True], ["1", "0", "2"]):
        found = read_sample_weight(pl.Series("w", values), "", rows)
        np.testing.assert_array_equal(found, np.array(values, float))
    np.testing.assert_array_equal(read_sample_weight(pl.Series("w", ["1,5", "0", "2"]), ",", rows), [1.5, 0, 2])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1.0, None, 2.0], "must be a number in every row, and data row 8 has none"),
        ([1.0, np.nan, 2.0], "data row 8 has none"),
        (["1", "much", "2"], "data row 8 has none"),
        ([1.0, -2.5, 2.0], r"must not be negative. Got -2.5 in data row 8\."),
        ([1.0, np.inf, 2.0], "'w' holds an infinite value in data row 8"),
        ([0, 0, 0], "must not be zero in every row"),
    ],
)
def test_wrong_weights_of_rows(values: list[Any], sentence: str) -> None:
    """Each gets its sentence, with the row as the person numbers it."""
    with pytest.raises(InputError, match=sentence):
        read_sample_weight(pl.Series("w", values, strict=False), "", np.array([4, 7, 9]))
