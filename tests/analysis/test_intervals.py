"""Intervals and the corrected t: equal to other libraries and published numbers, and right as often as they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import sem, t, ttest_1samp
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC
from statistical import within

from fitwell.analysis.intervals import Interval, corrected_t
from fitwell.errors import InputError


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.2913, 0.2101, 0.3725, 0.95), "0.29 (95% interval 0.21 to 0.37)"),
        ((-0.0004, -0.013, 0.012, 0.9), "0.000 (90% interval -0.013 to 0.012)"),
        ((12345.6, 12000.2, 12700.8, 0.9), "12,346 (90% interval 12,000 to 12,701)"),
        ((1.5, 1.5, 1.5, 0.95), "1.5 (95% interval 1.5 to 1.5)"),
        ((0.25, -np.inf, np.inf, 0.95), "0.25 (95% interval -inf to inf)"),
        ((1e-9, 0.9e-9, 1.1e-9, 0.99), "1e-09 (99% interval 9e-10 to 1.1e-09)"),
    ],
)
def test_an_interval_in_words(numbers: tuple[float, float, float, float], text: str) -> None:
    """Digits are those that the width supports."""
    assert str(Interval(*numbers)) == text


def test_the_corrected_t_by_hand() -> None:
    """Four differences, one row held out for three trained on: each number worked out."""
    test = corrected_t(np.array([0.1, 0.3, 0.2, 0.4]), 1 / 3, 0.9)
    error = np.sqrt((1 / 4 + 1 / 3) * (0.0225 + 0.0025 + 0.0025 + 0.0225) / 3)
    assert (test.difference, test.standard_error) == pytest.approx((0.25, error), rel=1e-12)
    assert test.degrees == 3
    assert test.p_greater == pytest.approx(t.sf(0.25 / error, 3), rel=1e-12)
    assert test.p_value == pytest.approx(2 * t.sf(0.25 / error, 3), rel=1e-12)
    assert test.interval == Interval(test.difference, test.low, test.high, 0.9)
    assert (test.low, test.high) == pytest.approx((0.25 - 2.3533634 * error, 0.25 + 2.3533634 * error), rel=1e-6)


@given(arrays(float, st.integers(2, 9), elements=st.floats(-5, 5).map(lambda x: round(x, 2))))
def test_without_held_out_rows_it_is_the_usual_t(differences: np.ndarray) -> None:
    """With a ratio of 0 all numbers are SciPy's; with more it is wider and less sure."""
    if np.ptp(differences) == 0:
        return
    ours, corrected = corrected_t(differences, 0.0, 0.9), corrected_t(differences, 0.25, 0.9)
    theirs = ttest_1samp(differences, 0)
    limits = theirs.confidence_interval(0.9)
    assert (ours.low, ours.high) == pytest.approx((limits.low, limits.high), rel=1e-9, abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.p_greater == pytest.approx(ttest_1samp(differences, 0, alternative="greater").pvalue, rel=1e-9)
    assert ours.standard_error == pytest.approx(sem(differences), rel=1e-9)
    assert corrected.high - corrected.low > ours.high - ours.low
    assert corrected.p_value >= ours.p_value


def test_the_published_numbers_of_scikit_learn() -> None:
    """Its gallery's comparison of models by grid search prints 0.750 and 0.227; uncorrected 2.611 and 0.005."""
    inputs, targets = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    areas = [cross_val_score(SVC(kernel=k), inputs, targets, cv=folds, scoring="roc_auc") for k in ("rbf", "linear")]
    for ratio, statistic, p in [(1 / 9, 0.750, 0.227), (0.0, 2.611, 0.005)]:
        test = corrected_t(areas[0] - areas[1], ratio)
        assert (test.difference / test.standard_error, test.p_greater) == pytest.approx((statistic, p), abs=5e-4)


@pytest.mark.parametrize(("same", "p_greater", "p_value"), [(0.5, 0.0, 0.0), (-0.5, 1.0, 0.0), (0.0, 0.5, 1.0)])
def test_differences_that_are_all_the_same(same: float, p_greater: float, p_value: float) -> None:
    """The interval is a point, without a division by zero."""
    test = corrected_t(np.full(4, same), 0.25)
    assert (test.low, test.high, test.standard_error) == (same, same, 0)
    assert (test.p_greater, test.p_value) == (p_greater, p_value)


@pytest.mark.parametrize("differences", [[], [0.3], [0.1, np.nan, 0.2], [0.1, np.inf], [-np.inf, np.inf]])
def test_too_little_is_known(differences: list[float]) -> None:
    """One row set, or one that diverged, gives an infinite interval and no significance."""
    test = corrected_t(np.array(differences), 0.25)
    assert np.isnan(test.standard_error)
    assert (test.low, test.high, test.p_greater, test.p_value) == (-np.inf, np.inf, 1, 1)


def test_dependent_row_sets_need_the_correction(seed: int) -> None:
    """With a fifth of the variance in common, 95% intervals cover 95%; the usual ones about 40%."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(1000, 1)), rng.normal(size=(1000, 50))
    differences = np.sqrt(0.2) * common + np.sqrt(0.8) * own
    covered = [np.mean([within(corrected_t(d, ratio).interval, 0) for d in differences]) for ratio in (0.25, 0.0)]
    assert 0.93 < covered[0] < 0.97
    assert covered[1] < 0.5  # the break


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrected_t(np.zeros(3), -0.1), "'test_to_train' must be a ratio of at least 0. Got -0.1."),
        (lambda: corrected_t(np.zeros(3), 0.1, 95), "'level' must lie between 0 and 1. Got 95."),
    ],
)
def test_what_cannot_be_used(call: Any, message: str) -> None:
    """An InputError says what was expected and what came."""
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)
