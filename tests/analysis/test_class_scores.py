"""Scores of classes and of their probabilities: scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import calibration, metrics

from fitwell.analysis.class_scores import (
    BINS,
    balanced_accuracy,
    brier_score,
    calibration_error,
    confusion_matrix,
    equal_mass_bins,
    macro_f1,
)


@given(st.integers(2, 5), st.integers(1, 30), st.integers(0, 1000), st.booleans())
def test_the_brier_score_is_scikit_learns(classes: int, rows: int, seed: int, weighted: bool) -> None:
    """Of two classes from 0 to 1, of more from 0 to 2, with weights and without; of two, the sum is twice as much."""
    rng = np.random.default_rng(seed)
    targets, probabilities = rng.integers(0, classes, rows), rng.dirichlet(np.ones(classes), rows)
    weights = rng.integers(1, 4, rows) if weighted else None
    options: dict[str, Any] = {"sample_weight": weights, "labels": range(classes)}
    found = brier_score(targets, probabilities, weights)
    assert found == pytest.approx(metrics.brier_score_loss(targets, probabilities, **options), rel=1e-12)
    summed = metrics.brier_score_loss(targets, probabilities, scale_by_half=False, **options)
    assert found == pytest.approx(summed / 2 if classes == 2 else summed, rel=1e-12)


@given(st.integers(1, 20), st.integers(0, 1000))
def test_the_calibration_error_is_that_of_scikit_learns_bins(rows: int, seed: int) -> None:
    """The mean distance between scikit-learn's predicted and observed shares, where its quantiles part rows evenly."""
    rng = np.random.default_rng(seed)
    probabilities = rng.permutation(np.linspace(0.001, 0.999, BINS * rows)) ** 2
    happened = rng.random(BINS * rows) < probabilities
    observed, predicted = calibration.calibration_curve(happened, probabilities, n_bins=BINS, strategy="quantile")
    found = calibration_error(happened, probabilities)
    assert found == pytest.approx(np.abs(observed - predicted).mean(), rel=1e-9)
    # the break: bins of equal width are others
    observed, predicted = calibration.calibration_curve(happened, probabilities, n_bins=BINS, strategy="uniform")
    assert found != pytest.approx(np.abs(observed - predicted).mean(), rel=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(1, 3)), min_size=1, max_size=40))
def test_weights_are_copies(rows: list[tuple[bool, int, int]]) -> None:
    """A row of weight 2 is two rows, for both scores and all ties; other weights are other rows."""
    happened, eighths, weights = map(np.array, zip(*rows, strict=True))
    probabilities = eighths / 8
    copies = np.repeat(np.arange(len(rows)), weights)
    assert calibration_error(happened, probabilities, weights) == pytest.approx(
        calibration_error(happened[copies], probabilities[copies]), abs=1e-12
    )
    both = np.column_stack([1 - probabilities, probabilities])
    assert brier_score(happened.astype(int), both, weights) == pytest.approx(
        brier_score(happened[copies].astype(int), both[copies]), abs=1e-12
    )
    np.testing.assert_array_equal(
        equal_mass_bins(probabilities, weights, 5)[copies],
        equal_mass_bins(probabilities[copies], np.ones(len(copies)), 5),
    )
    # the break: a row that weighs as much as all others together
    heavy = np.where(np.arange(len(rows)) == 0, weights.sum(), weights)
    squares = (probabilities - happened) ** 2
    assert brier_score(happened.astype(int), both, heavy) == pytest.approx(np.average(squares, weights=heavy))


def test_one_probability_is_one_bin() -> None:
    """Rows that share a probability are never parted: a constant is as wrong as its mean, however rows are sorted."""
    happened = np.arange(40) < 10
    assert calibration_error(happened, np.full(40, 0.25)) == 0
    assert calibration_error(happened, np.full(40, 0.5)) == 0.25
    # in bins that part them, the first rows would all have happened
    assert calibration_error(happened, np.linspace(0.2500001, 0.25, 40)) > 0.3


def test_true_probabilities_have_an_error_too() -> None:
    """It is luck of the rows in a bin, about as large as the docs say, and goes with more of them."""
    rng = np.random.default_rng(0)

    def mean_error(rows: int) -> float:
        probabilities = rng.random((50, rows))
        happened = rng.random((50, rows)) < probabilities
        return float(np.mean([calibration_error(*one) for one in zip(happened, probabilities, strict=True)]))

    few, many = mean_error(100), mean_error(10_000)
    assert 0.05 < few < 0.15
    assert many == pytest.approx(few / 10, rel=0.2)


DECISIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 3)), max_size=30)
"""Class, what it is called, weight."""

ALL_CLASSES = [(0, 0, 1), (1, 2, 2), (2, 1, 1)]
"""Rows of each, and rows that are called each."""


@settings(max_examples=50)
@given(DECISIONS)
def test_decisions_are_scikit_learns(rows: list[tuple[int, int, int]]) -> None:
    """Of three classes that all have rows, with weights and without."""
    targets, called, weights = map(np.array, zip(*rows, *ALL_CLASSES, strict=True))
    for given_weights in (None, weights):
        options: dict[str, Any] = {"sample_weight": given_weights}
        matrix = confusion_matrix(targets, called, 3, given_weights)
        np.testing.assert_array_equal(matrix, metrics.confusion_matrix(targets, called, **options))
        assert balanced_accuracy(matrix) == pytest.approx(metrics.balanced_accuracy_score(targets, called, **options))
        assert macro_f1(matrix) == pytest.approx(
            metrics.f1_score(targets, called, average="macro", zero_division=0.0, **options)
        )
    # the break: of the matrix turned over, it is the mean precision
    precision = metrics.precision_score(targets, called, average="macro", sample_weight=weights)
    assert balanced_accuracy(matrix.T) == pytest.approx(precision)


def test_a_rare_class_counts_as_much_as_a_common_one() -> None:
    """Calling every row the common class is right for 99 in 100, and for one class of two."""
    targets = np.arange(100) // 99
    matrix = confusion_matrix(targets, np.zeros(100, int), 2)
    assert np.trace(matrix) / matrix.sum() == 0.99
    assert balanced_accuracy(matrix) == 0.5
    assert macro_f1(matrix) < 0.5
