"""Intervals and tests of losses over row sets."""

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
from statistical import WHOLE, within

from fitwell.analysis.intervals import (
    Interval,
    chance_of_rise,
    confidence_set,
    corrected_t,
    cross_fitted,
    p_of_each,
)
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


ROW_SETS = st.tuples(st.integers(1, 3), st.integers(2, 4), st.integers(1, 5)).flatmap(
    lambda s: st.tuples(st.just(s[1]), arrays(float, (s[0] * s[1], s[2]), elements=WHOLE))
)


def brute_force(losses: np.ndarray, folds: int) -> list[int]:
    """Cross-fitted choices, one at a time."""
    chosen = []
    for r in range(len(losses)):
        first = r - r % folds
        others = [s for s in range(first, first + folds) if s != r]
        means = [sum(losses[s, j] for s in others) / len(others) for j in range(losses.shape[1])]
        chosen.append(means.index(min(means)))
    return chosen


@given(ROW_SETS, st.data())
def test_cross_fitting_by_its_definition(case: tuple[int, np.ndarray], data: st.DataObject) -> None:
    """The choices are those of a plain loop; a loss that is not finite is never the lowest mean."""
    folds, losses = case
    bad = data.draw(arrays(bool, losses.shape, elements=st.sampled_from([False] * 5 + [True])))
    kind = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    expected = brute_force(np.where(bad, np.inf, losses), folds)
    assert cross_fitted(np.where(bad, kind, losses), folds).tolist() == expected


@given(ROW_SETS, st.data())
def test_cross_fitting_follows_permutations_and_units(case: tuple[int, np.ndarray], data: st.DataObject) -> None:
    """Row sets reordered within repeats reorder the choices; added constants and positive factors change nothing."""
    folds, losses = case
    chosen = cross_fitted(losses, folds)
    repeats = np.arange(len(losses)).reshape(-1, folds)
    order = np.concatenate([np.array(data.draw(st.permutations(repeat.tolist()))) for repeat in repeats])
    assert cross_fitted(losses[order], folds).tolist() == chosen[order].tolist()
    assert cross_fitted(4 * losses + 3, folds).tolist() == chosen.tolist()


def test_a_row_set_has_no_part_in_its_own_choice() -> None:
    """A loss as low as can be changes the choices of the others of its repeat only."""
    losses = np.zeros((6, 3))
    losses[:, 2] = 1
    losses[1, 2] = -99
    assert cross_fitted(losses, 3).tolist() == [2, 0, 2, 0, 0, 0]


def against(losses: np.ndarray, reference: np.ndarray, test_to_train: float, folds: int) -> Any:
    """Whether searching beats a reference, by choices that no row set had a part in."""
    chosen = losses[np.arange(len(losses)), cross_fitted(losses, folds)]
    return corrected_t(reference - chosen, test_to_train)


def test_searching_noise_finds_nothing(seed: int) -> None:
    """Fifty candidates no better than the reference beat it at 5% in about 5% of data sets, the lowest mean in more."""
    rng = np.random.default_rng(seed)
    found = np.zeros(2)
    for _ in range(400):
        losses = rng.normal(size=(5, 20, 51)).mean(axis=1)  # 5 folds of 20 independent rows
        found[0] += against(losses[:, 1:], losses[:, 0], 0.25, 5).p_greater < 0.05
        best = losses[:, 1:].mean(axis=0).argmin() + 1
        found[1] += corrected_t(losses[:, 0] - losses[:, best], 0.25).p_greater < 0.05
    assert found[0] / 400 < 0.08
    assert found[1] / 400 > 0.09  # the break


def test_searching_finds_what_is_there() -> None:
    """What is better on all row sets is found, by its difference to the reference."""
    reference = np.array([1.0, 1.2, 0.9, 1.1])
    losses = np.stack([reference + 1, reference - [0.3, 0.5, 0.4, 0.4], reference], axis=1)
    test = against(losses, reference, 1 / 3, 4)
    assert vars(test) == pytest.approx(vars(corrected_t(np.array([0.3, 0.5, 0.4, 0.4]), 1 / 3)))
    assert test.low > 0


@given(ROW_SETS, st.floats(0.5, 0.99))
def test_the_lowest_mean_is_always_in_the_set(case: tuple[int, np.ndarray], level: float) -> None:
    """Whatever the losses, and a candidate without a finite loss is never."""
    folds, losses = case
    broken = losses.copy()
    broken[-1, 0] = np.nan
    assert confidence_set(losses, 1 / 3, folds, level)[losses.mean(axis=0).argmin()]
    kept = confidence_set(broken, 1 / 3, folds, level)
    assert not kept[0]
    assert kept.any() == (losses.shape[1] > 1)


@given(ROW_SETS, st.data())
def test_the_set_follows_permutations_and_units(case: tuple[int, np.ndarray], data: st.DataObject) -> None:
    """Row sets reordered within repeats change nothing, nor do constants and factors; a lower level keeps fewer."""
    folds, losses = case
    repeats = np.arange(len(losses)).reshape(-1, folds)
    order = np.concatenate([np.array(data.draw(st.permutations(repeat.tolist()))) for repeat in repeats])
    kept = confidence_set(losses, 1 / 3, folds)
    assert confidence_set(losses[order], 1 / 3, folds).tolist() == kept.tolist()
    assert confidence_set(4 * losses + 3, 1 / 3, folds).tolist() == kept.tolist()
    assert not (confidence_set(losses, 1 / 3, folds, 0.6) & ~kept).any()


def noise_inputs(rng: np.random.Generator, candidates: int, rows: int = 100, folds: int = 5) -> np.ndarray:
    """Losses [folds, candidates] of least squares fits, each to a noise input of its own: all are equally good."""
    inputs, targets = rng.normal(size=(rows, candidates)), rng.normal(size=rows)
    squares, products = inputs**2, inputs * targets[:, None]
    losses = []
    for part in np.array_split(rng.permutation(rows), folds):
        slope = (products.sum(axis=0) - products[part].sum(axis=0)) / (squares.sum(axis=0) - squares[part].sum(axis=0))
        losses.append(((targets[part, None] - inputs[part] * slope) ** 2).mean(axis=0))
    return np.array(losses)


def test_the_set_contains_the_best_as_often_as_promised(seed: int) -> None:
    """At level 0.9, among 50 equally good candidates; comparing with the lowest mean loses it too often."""
    rng = np.random.default_rng(seed)
    kept = np.zeros(2)
    for _ in range(150):
        losses = noise_inputs(rng, 50)
        kept[0] += confidence_set(losses, 0.25, 5)[7]
        lowest = losses[:, losses.mean(axis=0).argmin()]
        kept[1] += corrected_t(losses[:, 7] - lowest, 0.25).p_greater > 0.1
    assert kept[0] / 150 >= 0.88
    assert kept[1] / 150 < 0.85  # the break


def test_the_set_leaves_out_what_is_clearly_worse(seed: int) -> None:
    """A candidate that is worse by ten standard deviations is out."""
    losses = np.random.default_rng(seed).normal(size=(10, 4)) + np.array([0, 0, 0, 10])
    assert confidence_set(losses, 0.25, 5).tolist()[3] is False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_fitted(np.zeros((6, 2)), 1), "'folds' must be at least 2 and divide the 6 row sets. Got 1."),
        (lambda: cross_fitted(np.zeros((6, 2)), 4), "Got 4."),
    ],
)
def test_what_cannot_be_compared(call: Any, message: str) -> None:
    """An InputError says what was expected and what came."""
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)


@given(st.integers(1, 6).flatmap(lambda r: arrays(float, (r, 4), elements=WHOLE)))
def test_p_of_each_column_is_that_of_its_test(differences: np.ndarray) -> None:
    """All columns at once have the chances that the corrected t gives each alone."""
    alone = [corrected_t(column, 0.25).p_greater for column in differences.T]
    np.testing.assert_allclose(p_of_each(differences, 0.25), alone, rtol=1e-12)


def test_chance_of_rise_is_a_t_test_of_rows(seed: int) -> None:
    """SciPy's, one-sided; a row that stands twice in a unit is one; the order is no matter."""
    rng = np.random.default_rng(seed)
    rises = rng.normal(0.1, 1, 60)
    alone = chance_of_rise(rises, np.arange(60))
    assert alone == pytest.approx(ttest_1samp(rises, 0, alternative="greater").pvalue, rel=1e-9)
    twice, units = np.repeat(rises, 2), np.repeat(np.arange(60), 2)
    assert chance_of_rise(twice, units) == pytest.approx(alone, rel=1e-9)
    assert chance_of_rise(twice, np.arange(120)) < alone or rises.mean() < 0
    order = rng.permutation(120)
    assert chance_of_rise(twice[order], 7 * units[order]) == pytest.approx(alone, rel=1e-9)


def test_chance_of_rise_with_weights(seed: int) -> None:
    """Rows of weight zero are not there but as units; whole weights are rows that stand several times in a unit."""
    rng = np.random.default_rng(seed)
    rises, weight = rng.normal(0.2, 1, 40), rng.integers(1, 4, 40)
    found = chance_of_rise(rises, np.arange(40), weight.astype(float))
    times = np.repeat(np.arange(40), weight)
    assert found == pytest.approx(chance_of_rise(rises[times], times), rel=1e-9)
    assert found != pytest.approx(chance_of_rise(rises, np.arange(40)), rel=1e-3)


@pytest.mark.parametrize(
    ("rises", "chance"), [([], 1.0), ([0.3], 1.0), ([0.2, 0.2], 0.0), ([-0.2, -0.2], 1.0), ([0.0, 0.0], 1.0)]
)
def test_chance_of_rise_where_little_is_known(rises: list[float], chance: float) -> None:
    """One unit has no spread; what is the same everywhere is certain, on the side of its sign."""
    assert chance_of_rise(np.array(rises), np.arange(len(rises))) == chance


def test_chance_of_rise_of_nothing_is_uniform(seed: int) -> None:
    """Of rises whose mean is zero a twentieth lies below one in twenty."""
    rng = np.random.default_rng(seed)
    found = [chance_of_rise(rng.normal(size=50), np.arange(50)) for _ in range(400)]
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09
