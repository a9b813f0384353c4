"""Folds are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from fitwell.data.shuffled_folds import shuffled_folds


@given(st.integers(2, 7), st.integers(1, 3), st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 4))
def test_they_are_scikit_learns(count: int, repeats: int, seed: int, more: int, kinds: int) -> None:
    """The same rows in the same folds, for any number of rows, folds, repeats and classes."""
    rows = count * kinds + more
    classes = np.concatenate([np.repeat(np.arange(kinds), count), np.random.default_rng(seed).integers(0, kinds, more)])
    np.random.default_rng(more).shuffle(classes)
    for given_classes, kind in ((None, RepeatedKFold), (classes, RepeatedStratifiedKFold)):
        drawn = shuffled_folds(rows, count, repeats, seed, given_classes)
        splits = list(kind(n_splits=count, n_repeats=repeats, random_state=seed).split(np.zeros((rows, 1)), classes))
        for number, (train, held_out) in enumerate(splits):
            folds = drawn[number // count]
            np.testing.assert_array_equal(np.flatnonzero(folds == number % count), held_out)
            np.testing.assert_array_equal(np.flatnonzero(folds != number % count), train)


@pytest.mark.parametrize("classes", [None, np.tile([0, 1, 1], 20)])
def test_another_seed_draws_others(classes: np.ndarray | None) -> None:
    """And so does another repeat."""
    first, second = shuffled_folds(60, 5, 2, 0, classes)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, shuffled_folds(60, 5, 1, 1, classes)[0])
