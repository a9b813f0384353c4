"""Scores of decisions: scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fitwell.analysis.decisions import balanced_accuracy, confusion_matrix, macro_f1

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 3)), max_size=30)
"""Class, what it is called, weight."""

ALL_CLASSES = [(0, 0, 1), (1, 2, 2), (2, 1, 1)]
"""Rows of each, and rows that are called each."""


@settings(max_examples=50)
@given(ROWS)
def test_they_are_scikit_learns(rows: list[tuple[int, int, int]]) -> None:
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
