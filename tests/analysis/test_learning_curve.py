"""The power law: exact curves come back, and its intervals contain the truth as often as they promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.stats import t

from fitwell.analysis.learning_curve import RATES, fit_power_law
from fitwell.errors import InputError

SIZES = np.array([100, 200, 400, 800])


def law(limit: float, scale: float, rate: float, sizes: np.ndarray = SIZES) -> np.ndarray:
    """Losses of a power law, [sizes]."""
    return limit + scale * sizes.astype(float) ** -rate


def noisy(rng: np.random.Generator, means: np.ndarray, row_sets: int, common: float = 0.05) -> np.ndarray:
    """Losses [S, R]: what a row set's rows have in common, and noise of each network's own."""
    return means[:, None] + common * rng.normal(size=row_sets) + 0.02 * rng.normal(size=(len(means), row_sets))


@settings(max_examples=60)
@given(st.floats(0, 2), st.floats(0.5, 50), st.floats(0.1, 1.9))
def test_an_exact_curve_comes_back(limit: float, scale: float, rate: float) -> None:
    """Limit, scale and rate, and the loss at any size, without doubt."""
    fitted = fit_power_law(SIZES, np.stack([law(limit, scale, rate)] * 3, axis=1))
    height = scale * 100**-rate
    assert fitted.limit == pytest.approx(limit, abs=1e-4 * height + 1e-9)
    assert fitted.rate == pytest.approx(rate, rel=1e-3)
    assert not fitted.rate_fixed
    after, gain = fitted.at(1600), fitted.change(800, 1600)
    assert after.estimate == pytest.approx(limit + scale * 1600**-rate, abs=1e-5 * height)
    assert gain.estimate == pytest.approx(scale * (800**-rate - 1600**-rate), abs=1e-5 * height)
    assert gain.high - gain.low < 1e-4 * height


@pytest.mark.parametrize("truth", [(0.3, 4, 0.5), (0.0, 3, 0.3), (0.2, 500, 1.5)])
def test_the_best_fit_is_that_of_a_general_optimizer(truth: tuple[float, float, float], seed: int) -> None:
    """With equal weights: SciPy's bounded least squares, started at the truth, ends no lower."""
    means = np.maximum(noisy(np.random.default_rng(seed), law(*truth), 1)[:, 0], 0.0)
    fitted = fit_power_law(SIZES, means[:, None])
    units = (SIZES / 800).astype(float)

    def residuals(p: np.ndarray) -> np.ndarray:
        return p[0] + p[1] * units ** -p[2] - means

    start = [truth[0] + 1e-3, truth[1] * 800 ** -truth[2], truth[2]]
    found = least_squares(residuals, start, bounds=([0, 0, RATES[0]], [np.inf, np.inf, RATES[1]]), xtol=1e-14)
    ours = law(fitted.limit, fitted.scale, fitted.rate) - means
    assert (ours**2).sum() <= 2 * found.cost * (1 + 1e-6) + 1e-15


@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([0.25, 8.0]), st.permutations(range(5)))
def test_units_and_orders_do_not_matter(seed: int, factor: float, order: list[int]) -> None:
    """A loss in another unit has its numbers in that unit; sizes and row sets may come in any order."""
    losses = noisy(np.random.default_rng(seed), law(0.5, 4, 0.5), 5)
    one, scaled = fit_power_law(SIZES, losses), fit_power_law(SIZES, factor * losses)
    assert scaled.rate == pytest.approx(one.rate, rel=1e-5)
    shuffled = fit_power_law(SIZES[::-1], losses[::-1, order])
    for name in ("estimate", "low", "high"):
        expected = getattr(one.change(800, 1600), name)
        assert getattr(scaled.change(800, 1600), name) == pytest.approx(factor * expected, rel=1e-4, abs=1e-7)
        assert getattr(shuffled.change(800, 1600), name) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_the_interval_is_a_jackknife(seed: int) -> None:
    """By hand, for a mean at two sizes, where leaving one out is a difference of means: the usual t of the gain."""
    losses = noisy(np.random.default_rng(seed), law(0.5, 4, 0.5, SIZES[:2]), 6)
    gain = fit_power_law(SIZES[:2], losses, 0.8).change(100, 200)
    differences = losses[0] - losses[1]
    half = t.ppf(0.9, 5) * differences.std(ddof=1) / np.sqrt(6)
    expected = pytest.approx((differences.mean(), differences.mean() - half, differences.mean() + half), rel=1e-9)
    assert (gain.estimate, gain.low, gain.high) == expected
    corrected = fit_power_law(SIZES[:2], losses, 0.8, test_to_train=0.2).change(100, 200)
    assert corrected.high - corrected.low == pytest.approx(2 * half * np.sqrt(1 + 6 * 0.2), rel=1e-9)


def test_a_flat_loss_gains_nothing_and_says_how_sure(seed: int) -> None:
    """A gain near 0, with an interval that contains 0 as often as promised and that more noise widens."""
    rng = np.random.default_rng(seed)
    exact = fit_power_law(SIZES, np.full((4, 10), 0.5))
    assert exact.scale == 0
    assert vars(exact.change(800, 1600)) == pytest.approx({"estimate": 0, "low": 0, "high": 0, "level": 0.9}, abs=1e-12)
    widths = []
    for noise in (0.002, 0.02):
        gains = [fit_power_law(SIZES, 0.5 + noise * rng.normal(size=(4, 10))).change(800, 1600) for _ in range(50)]
        assert np.mean([gain.low <= 0 <= gain.high for gain in gains]) > 0.85
        assert np.mean([gain.estimate for gain in gains]) < noise / 5
        widths.append(np.mean([gain.high - gain.low for gain in gains]))
    assert widths[1] > 5 * widths[0] > 0


def test_a_rising_loss_has_scale_zero_yet_a_wide_interval(seed: int) -> None:
    """The law never rises, so the gain is 0; the interval is around the rise that was seen, not a point."""
    losses = noisy(np.random.default_rng(seed), np.array([0.5, 0.51, 0.52, 0.53]), 8)
    fitted = fit_power_law(SIZES, losses)
    assert fitted.scale == 0
    assert fitted.limit == pytest.approx(losses.mean(), rel=0.02)
    gain = fitted.change(400, 800)
    assert gain.estimate == 0
    assert gain.low < 0
    ends = fit_power_law(SIZES[[0, 3]], losses[[0, 3]]).change(100, 800)
    rise = losses[0] - losses[3]
    half = t.ppf(0.95, 7) * rise.std(ddof=1) / np.sqrt(8)
    expected = (0, rise.mean() - half, max(0, rise.mean() + half))
    assert (ends.estimate, ends.low, ends.high) == pytest.approx(expected, abs=1e-12)
    clipped = replace(fitted, left_out=np.array([[fitted.limit, 0, fitted.rate]] * 8), signed=np.array([0.5, 0, 0.5]))
    assert clipped.change(400, 800).low == 0  # the break: a law that cannot rise is sure of itself


def test_a_limit_below_zero_only_where_losses_are() -> None:
    """A loss that cannot be negative has no negative limit; one that is may have."""
    falling = law(-0.5, 10, 0.5)
    assert falling.min() < 0
    assert fit_power_law(SIZES, falling[:, None]).limit == pytest.approx(-0.5, abs=1e-4)
    steep = np.array([1.0, 0.5, 0.2, 0.01])
    assert fit_power_law(SIZES, steep[:, None]).limit == 0


def test_sizes_with_more_noise_weigh_less() -> None:
    """An outlier moves the law less at a size where row sets differ more; one of no spread does not decide alone."""
    sizes = 100 * 2 ** np.arange(6)
    exact, spread = law(0.5, 4, 0.5, sizes), 0.01 * np.array([-1.0, 1.0, -1.0, 1.0])
    moved = []
    for times in (0.0, 1.0, 10.0):
        losses = exact[:, None] + spread
        losses[2] = exact[2] + 0.1 + times * spread
        moved.append(fit_power_law(sizes, losses).at(400).estimate - exact[2])
    assert 0 < moved[2] < 0.3 * moved[1]
    assert moved[1] < moved[0] < 0.08


def test_two_sizes_do_not_tell_a_rate() -> None:
    """The rate is taken as 0.5, and said to be."""
    fitted = fit_power_law(np.array([100, 400, 400]), np.array([[0.6], [0.4], [0.4]]))
    assert (fitted.rate, fitted.rate_fixed) == (0.5, True)
    assert fitted.limit == pytest.approx(0.2)
    assert fitted.scale == pytest.approx(4)


def test_one_row_set_has_no_interval() -> None:
    """There is an estimate, and nothing is known of its error."""
    gain = fit_power_law(SIZES, law(0.5, 4, 0.5)[:, None]).change(100, 400)
    assert gain.estimate == pytest.approx(0.2, abs=1e-6)
    assert (gain.low, gain.high) == (-np.inf, np.inf)


def test_intervals_contain_the_truth_as_often_as_promised(seed: int) -> None:
    """At level 0.9, of independent row sets: the loss with all rows, with twice as many, and the gain."""
    rng = np.random.default_rng(seed)
    truth = (0.3, 4, 0.5)
    now, later = law(*truth, np.array([800, 1600]))
    hits = np.zeros(3)
    for _ in range(100):
        fitted = fit_power_law(SIZES, noisy(rng, law(*truth), 10))
        intervals = fitted.at(800), fitted.at(1600), fitted.change(800, 1600)
        hits += [i.low <= x <= i.high for i, x in zip(intervals, (now, later, now - later), strict=True)]
    assert (hits > 80).all()
    assert (hits[:2] < 98).all()


def test_repeats_need_the_correction(seed: int) -> None:
    """Five folds five times show the same rows five times: without the ratio intervals miss, with it they do not."""
    rng = np.random.default_rng(seed)
    means = law(0.3, 8, 0.5)
    hits = np.zeros(2)
    for _ in range(40):
        rows, own = rng.normal(size=500), 0.3 * rng.normal(size=(4, 500))
        parts = [part for _ in range(5) for part in np.array_split(rng.permutation(500), 5)]
        losses = np.stack([means + rows[part].mean() + own[:, part].mean(axis=1) for part in parts], axis=1)
        fitted = fit_power_law(SIZES, losses - min(losses.min(), 0))
        shifted = means[-1] - min(losses.min(), 0)
        for k, ratio in enumerate((0.25, 0.0)):
            interval = replace(fitted, test_to_train=ratio).at(800)
            hits[k] += interval.low <= shifted <= interval.high
    assert hits[0] > 32
    assert hits[1] < 32  # the break


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_power_law(np.array([100]), np.ones((1, 3))), "at least two different numbers of rows"),
        (lambda: fit_power_law(np.array([100, 100]), np.ones((2, 3))), "at least two different numbers of rows"),
        (lambda: fit_power_law(np.array([0, 100]), np.ones((2, 3))), "all positive"),
        (lambda: fit_power_law(SIZES, np.ones((3, 3))), "one row for each of the 4 sizes. Got shape (3, 3)."),
        (lambda: fit_power_law(SIZES, np.full((4, 2), np.nan)), "must be finite"),
        (lambda: fit_power_law(SIZES, np.ones((4, 2)), 1.0), "'level' must lie between 0 and 1. Got 1.0."),
        (lambda: fit_power_law(SIZES, np.ones((4, 2)), test_to_train=-1), "'test_to_train' must be a ratio"),
    ],
)
def test_what_cannot_be_used(call: Any, message: str) -> None:
    """An InputError says what was expected and what came."""
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)
