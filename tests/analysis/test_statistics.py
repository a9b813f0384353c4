"""Statistics: equal to other libraries, plain loops and published numbers, and right as often as they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, sem, t, ttest_1samp
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from fitwell.analysis import statistics
from fitwell.analysis.statistics import (
    Interval,
    bates,
    bbc,
    confidence_set,
    corrected_t,
    cross_fitted,
    nested,
)
from fitwell.errors import InputError

# whole numbers, so that sums are exact in any order and ties are ties
WHOLE = st.integers(0, 20).map(float)
ROW_SETS = st.tuples(st.integers(1, 3), st.integers(2, 4), st.integers(1, 5)).flatmap(
    lambda s: st.tuples(st.just(s[1]), arrays(float, (s[0] * s[1], s[2]), elements=WHOLE))
)


def within(interval: Interval, truth: float) -> bool:
    """Whether an interval contains the truth."""
    return interval.low <= truth <= interval.high


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


def plain_bbc(losses: np.ndarray, units: list[np.ndarray], draws: int, level: float, seed: int) -> tuple[Any, ...]:
    """BBC-CV by a loop over draws: estimate, low, high, the choices, and each row's losses where it was not drawn."""
    scores, deviations, chosen = [], [], np.zeros(losses.shape[1], int)
    apart: list[list[float]] = [[] for _ in losses]
    for drawn in np.random.default_rng(seed).integers(len(units), size=(draws, len(units))):
        rest = [u for u in range(len(units)) if u not in drawn]
        if not rest:
            continue
        best = losses[np.concatenate([units[u] for u in drawn])].mean(axis=0).argmin()
        chosen[best] += 1
        scores.append(losses[np.concatenate([units[u] for u in rest]), best].mean())
        deviations.append(np.sqrt(len(rest) / (len(units) - len(rest))))
        for row in np.concatenate([units[u] for u in rest]):
            apart[row].append(losses[row, best])
    mean = np.mean(scores)
    low, high = np.quantile((scores - mean) * deviations, [(1 - level) / 2, (1 + level) / 2])
    return mean, mean + low, mean + high, chosen.tolist(), np.array([np.mean(own) for own in apart])


@pytest.mark.parametrize("grouped", [False, True])
def test_bbc_is_the_loop_over_draws(grouped: bool, seed: int) -> None:
    """The same random numbers give the same numbers, by rows and by groups of unequal size."""
    rng = np.random.default_rng(seed)
    losses = rng.exponential(size=(40, 6))
    groups = rng.integers(0, 9, 40) if grouped else np.arange(40)
    units = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    result = bbc(losses, draws=200, level=0.8, seed=seed, groups=groups if grouped else None)
    mean, low, high, chosen, apart = plain_bbc(losses, units, 200, 0.8, seed)
    expected = pytest.approx((mean, low, high), rel=1e-10)
    assert (result.interval.estimate, result.interval.low, result.interval.high) == expected
    assert result.chosen_counts.tolist() == chosen
    assert result.naive == pytest.approx(losses.mean(axis=0).min(), rel=1e-12)
    if not grouped:
        assert result.standard_error == pytest.approx(sem(apart), rel=1e-10)
    if grouped:  # the break: rows drawn one by one are something else
        assert bbc(losses, draws=200, level=0.8, seed=seed).interval.estimate != result.interval.estimate
        sums = [(apart[unit] - apart.mean()).sum() for unit in units]  # a linearised mean of sums over groups
        expected = np.sqrt(len(units) / (len(units) - 1) * np.square(sums).sum()) / 40
        assert result.standard_error == pytest.approx(expected, rel=1e-10)


def test_rows_of_a_group_are_no_news(seed: int) -> None:
    """Every row twice, as groups of two: the standard error of the rows once. Taken for rows it is too small."""
    losses = np.repeat(np.random.default_rng(seed).exponential(size=(60, 1)), 2, axis=0)
    once = bbc(losses[::2]).standard_error
    assert bbc(losses, groups=np.arange(120) // 2).standard_error == pytest.approx(once, rel=0.02)
    assert bbc(losses).standard_error < 0.75 * once


def test_a_draw_of_every_row_does_not_count(seed: int) -> None:
    """Of three rows, two draws in nine leave none to score; the rest are those of the plain loop."""
    losses = np.random.default_rng(seed).normal(size=(3, 2))
    result = bbc(losses, draws=300, seed=seed)
    mean, low, high, chosen, _ = plain_bbc(losses, [np.array([i]) for i in range(3)], 300, 0.9, seed)
    assert result.chosen_counts.tolist() == chosen
    assert 190 < result.chosen_counts.sum() < 270
    assert (result.interval.estimate, result.interval.low, result.interval.high) == pytest.approx((mean, low, high))


def test_draws_of_every_row_only() -> None:
    """If no draw leaves a row to score, nothing is known but the uncorrected loss."""
    seed = next(s for s in range(99) if len(set(np.random.default_rng(s).integers(2, size=2).tolist())) == 2)
    result = bbc(np.array([[1.0], [2.0]]), draws=1, seed=seed)
    assert np.isnan([result.interval.estimate, result.standard_error]).all()
    assert (result.interval.low, result.interval.high, result.naive) == (-np.inf, np.inf, 1.5)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Less memory, the same draws."""
    losses = np.random.default_rng(seed).normal(size=(30, 5))
    whole = bbc(losses, draws=50)
    monkeypatch.setattr(statistics, "_BYTES", 20_000)
    in_chunks = bbc(losses, draws=50)
    assert in_chunks.interval == pytest.approx(whole.interval)
    assert in_chunks.chosen_counts.tolist() == whole.chosen_counts.tolist()


def test_a_choice_of_ones_own(seed: int) -> None:
    """A function that takes the lowest mean gives the default's numbers, with rows as in the losses."""
    losses = np.random.default_rng(seed).normal(size=(30, 4))
    losses[[3, 17]] = np.nan
    groups = np.arange(30) // 2
    default = bbc(losses, draws=100, groups=groups)
    own = bbc(losses, draws=100, groups=groups, choose=lambda rows: int(losses[rows].mean(axis=0).argmin()))
    assert own.naive == pytest.approx(default.naive)
    assert vars(own.interval) == pytest.approx(vars(default.interval))
    assert own.chosen_counts.tolist() == default.chosen_counts.tolist()
    always = bbc(losses, draws=100, choose=lambda rows: 2)
    assert always.chosen_counts.tolist() == [0, 0, 100, 0]
    assert always.naive == pytest.approx(np.nanmean(losses[:, 2]))


def test_rows_never_held_out_and_candidates_that_diverged(seed: int) -> None:
    """All-NaN rows are as if absent; so is a candidate with NaN or infinity elsewhere, but numbers stay."""
    losses = np.random.default_rng(seed).normal(size=(25, 3))
    expected = bbc(losses, draws=100)
    wide = np.full((30, 5), np.nan)
    kept = np.r_[1:11, 14:29]
    wide[np.ix_(kept, [1, 3, 4])] = losses
    wide[kept, 0], wide[kept, 2] = -np.inf, -5
    wide[kept[3], 2] = np.nan
    result = bbc(wide, draws=100)
    assert vars(result.interval) == pytest.approx(vars(expected.interval))
    assert result.chosen_counts[[1, 3, 4]].tolist() == expected.chosen_counts.tolist()
    assert result.chosen_counts.sum() == expected.chosen_counts.sum()


@given(arrays(float, (12, 3), elements=WHOLE), st.integers(0, 5))
def test_bbc_shifts_and_scales(losses: np.ndarray, seed: int) -> None:
    """Numbers are in the unit of the loss and move with its zero; the choices stay."""
    one, other = bbc(losses, draws=30, seed=seed), bbc(4 * losses + 3, draws=30, seed=seed)
    assert other.chosen_counts.tolist() == one.chosen_counts.tolist()
    for name in ("estimate", "low", "high"):
        assert getattr(other.interval, name) == pytest.approx(4 * getattr(one.interval, name) + 3, abs=1e-9)
    assert other.naive == pytest.approx(4 * one.naive + 3)


def test_without_a_choice_the_interval_is_the_usual_one(seed: int) -> None:
    """One candidate: as wide as a mean over all rows supposes. Quantiles of scores as they are would be 31% wider."""
    losses = np.random.default_rng(seed).normal(size=(300, 1))
    interval = bbc(losses, draws=4000).interval
    usual = 2 * norm.ppf(0.95) * sem(losses)[0]
    assert interval.high - interval.low == pytest.approx(usual, rel=0.06)
    assert interval.estimate == pytest.approx(losses.mean(), abs=0.1 * usual)


def test_bbc_covers_the_truth_and_the_naive_loss_does_not(seed: int) -> None:
    """At level 0.9: one candidate in about 90% of data sets, the best of 100 noise ones in all; naive in hardly any."""
    rng = np.random.default_rng(seed)
    covered, off = np.zeros(3), np.zeros(2)
    for k in range(300):
        one, many = rng.normal(1, 1, (100, 1)), rng.normal(1, 1, (100, 100))
        result = bbc(many, draws=100, seed=k)
        naive_error = many[:, many.mean(axis=0).argmin()].std(ddof=1) / 10
        covered += [
            within(bbc(one, draws=100, seed=k).interval, 1),
            within(result.interval, 1),
            abs(result.naive - 1) < norm.ppf(0.95) * naive_error,
        ]
        off += [result.interval.estimate - 1, result.naive - 1]
    assert 0.84 < covered[0] / 300 < 0.95
    assert covered[1] / 300 > 0.97
    assert covered[2] / 300 < 0.1  # the break
    assert abs(off[0] / 300) < 0.02
    assert off[1] / 300 < -0.2


def test_the_outer_loop_is_a_mean_over_rows(seed: int) -> None:
    """SciPy's t interval; rows that are NaN were never held out."""
    losses = np.random.default_rng(seed).exponential(size=50)
    low, high = t.interval(0.8, 49, losses.mean(), sem(losses))
    with_holes = np.insert(losses, [3, 20], np.nan)
    expected = pytest.approx((losses.mean(), low, high), rel=1e-12)
    for interval in (nested(losses, level=0.8), nested(with_holes, level=0.8)):
        assert (interval.estimate, interval.low, interval.high) == expected


def nested_losses(rng: np.random.Generator, repeats: int, folds: int, rows: int) -> tuple[np.ndarray, ...]:
    """Losses of any kind, in the arrays that `bates` takes."""
    fold = np.stack([rng.permutation(rows) % folds for _ in range(repeats)])
    inner = rng.exponential(size=(repeats, folds, rows))
    inner[fold[:, None, :] == np.arange(folds)[:, None]] = np.nan
    return inner, rng.exponential(size=(repeats, rows)), fold


@pytest.mark.parametrize("rows", [30, 32])
def test_bates_is_the_algorithm_of_the_paper(rows: int, seed: int) -> None:
    """Algorithm 1 line by line, on folds of equal and unequal size."""
    inner, outer, fold = nested_losses(np.random.default_rng(seed), 4, 5, rows)
    errors, a, b = [], [], []
    for repeat in range(4):
        for k in range(5):
            e_in = [inner[repeat, k, i] for i in range(rows) if fold[repeat, i] != k]
            e_out = [outer[repeat, i] for i in range(rows) if fold[repeat, i] == k]
            errors += e_in
            a.append((np.mean(e_in) - np.mean(e_out)) ** 2)
            b.append(np.var(e_out, ddof=1) / len(e_out))
    naive = np.std(outer.ravel(), ddof=1) / np.sqrt(rows)
    root = np.sqrt(4 / 5 * max(0, np.mean(a) - np.mean(b)))
    bias = (1 + 3 / 5) * (np.mean(errors) - outer.mean())
    half = norm.ppf(0.95) * min(max(root, naive), np.sqrt(5) * naive)
    interval = bates(inner, outer, fold)
    expected = pytest.approx((np.mean(errors) - bias - half, np.mean(errors) - bias, np.mean(errors) - bias + half))
    assert (interval.low, interval.estimate, interval.high) == expected


def test_bates_keeps_the_error_within_its_bounds(seed: int) -> None:
    """Folds that agree too well have the naive error, folds that differ too much sqrt(K) times it, others their own."""
    inner, outer, fold = nested_losses(np.random.default_rng(seed), 3, 5, 40)
    inner = np.where(np.isnan(inner), np.nan, 1.0)
    for repeat, k in np.ndindex(3, 5):
        outer[repeat, fold[repeat] == k] -= outer[repeat, fold[repeat] == k].mean() - 1
    outer = 1 + (outer - 1) / outer.std()
    ratios = []
    for spread in (0.0, 0.35, 9.0):
        apart = outer + spread * (fold - 2)
        interval = bates(inner, apart, fold)
        ratios.append((interval.high - interval.low) / (2 * norm.ppf(0.95) * apart.std(ddof=1) / np.sqrt(40)))
    assert (ratios[0], ratios[2]) == pytest.approx((1, np.sqrt(5)))
    # variance within folds 1, so b is 1 / 7; between them 2 spread^2
    own = np.sqrt(4 / 5 * (2 * 0.35**2 - 1 / 7)) / np.sqrt((1 + 2 * 0.35**2) * 120 / 119 / 40)
    assert ratios[1] == pytest.approx(own)
    assert 1 < own < np.sqrt(5)


def test_groups_count_once_in_nested_cross_validation(seed: int) -> None:
    """Every row twice, as groups of two: the intervals of the rows once. Taken for rows they are others."""
    inner, outer, fold = nested_losses(np.random.default_rng(seed), 1, 5, 40)
    groups = np.repeat(np.arange(40), 2)
    twice = inner.repeat(2, axis=2), outer.repeat(2, axis=1), fold.repeat(2, axis=1)
    for once, grouped, apart in [
        (nested(outer[0]), nested(twice[1][0], groups=groups), nested(twice[1][0])),
        (bates(inner, outer, fold), bates(*twice, groups=groups), bates(*twice)),
    ]:
        assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high), rel=1e-12)
        assert abs(apart.high - once.high) > 0.1 * (once.high - once.low)
    assert bates(*twice, groups=np.repeat(fold[0], 2)).high < np.inf  # a group to a fold: nothing is known of it


def test_bates_of_equal_losses_is_a_point() -> None:
    """All losses the same: that loss, for certain."""
    inner, outer, fold = nested_losses(np.random.default_rng(0), 2, 4, 12)
    interval = bates(np.where(np.isnan(inner), np.nan, 0.5), np.full_like(outer, 0.5), fold)
    assert (interval.low, interval.estimate, interval.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_bias_correction_reaches_all_rows() -> None:
    """If the loss is c + d / rows trained with, the estimate is c + d / n: exactly, for any number of folds."""
    for folds in (3, 4, 10):
        rows = 20 * folds
        inner, outer, fold = nested_losses(np.random.default_rng(0), 1, folds, rows)
        inner = np.where(np.isnan(inner), np.nan, 1 + 7 / (rows * (folds - 2) / folds))
        outer[:] = 1 + 7 / (rows * (folds - 1) / folds)
        assert bates(inner, outer, fold).estimate == pytest.approx(1 + 7 / rows, rel=1e-12)


def test_bates_covers_where_the_naive_interval_does_not(seed: int) -> None:
    """Least squares of 50 rows on 15 inputs, level 0.9: about 90% against about 70%."""
    rng = np.random.default_rng(seed)
    rows, inputs, folds, repeats = 50, 15, 5, 4
    covered = np.zeros(2)
    for _ in range(100):
        x = rng.normal(size=(rows, inputs))
        y = x[:, 0] + rng.normal(size=rows)
        fold = np.stack([rng.permutation(rows) % folds for _ in range(repeats)])
        inner, outer = np.full((repeats, folds, rows), np.nan), np.zeros((repeats, rows))

        def fit(train: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> np.ndarray:
            return np.linalg.solve(x[train].T @ x[train], x[train].T @ y[train])

        for r, k, m in np.ndindex(repeats, folds, folds):
            held_out = fold[r] == m
            out = (y - x @ fit((fold[r] != k) & ~held_out)) ** 2
            (outer[r] if k == m else inner[r, k])[held_out] = out[held_out]
        beta = fit(np.ones(rows, bool)) - np.eye(inputs)[0]
        truth = 1 + beta @ beta
        covered += [within(bates(inner, outer, fold), truth), within(nested(outer[0]), truth)]
    assert covered[0] > 84
    assert covered[1] < 82  # the break


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_fitted(np.zeros((6, 2)), 1), "'folds' must be at least 2 and divide the 6 row sets. Got 1."),
        (lambda: cross_fitted(np.zeros((6, 2)), 4), "Got 4."),
        (lambda: corrected_t(np.zeros(3), -0.1), "'test_to_train' must be a ratio of at least 0. Got -0.1."),
        (lambda: corrected_t(np.zeros(3), 0.1, 95), "'level' must lie between 0 and 1. Got 95."),
        (lambda: bbc(np.zeros((1, 2))), "at least two rows or groups"),
        (lambda: bbc(np.zeros((4, 2)), groups=np.zeros(4)), "at least two rows or groups"),
        (lambda: bbc(np.array([[1, np.inf], [np.nan, 1]])), "No candidate has a finite loss on every row"),
        (lambda: bbc(np.zeros((4, 2)), draws=0), "'draws' must be at least 1. Got 0."),
        (lambda: bbc(np.array([[1, np.inf], [2, 1]]), choose=lambda rows: 1), "'choose' must return"),
        (lambda: nested(np.full(3, np.nan)), "No row was held out."),
        (lambda: bates(np.zeros((1, 2, 4)), np.zeros((1, 4)), np.zeros((1, 4))), "at least 3 folds. Got 2."),
    ],
)
def test_what_cannot_be_used(call: Any, message: str) -> None:
    """An InputError says what was expected and what came."""
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)
