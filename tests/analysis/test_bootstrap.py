"""BBC-CV: the plain loop over draws, whatever groups and chunks, and right as often as it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, sem
from statistical import WHOLE, within

from fitwell.analysis import bootstrap
from fitwell.analysis.bootstrap import bbc
from fitwell.errors import InputError


def by_row(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses [n, J] as sums of units of one row each."""
    return losses.T, np.ones(len(losses), int)


def by_unit(losses: np.ndarray, units: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Losses [n, J] as sums of units, and their sizes."""
    return np.stack([losses[unit].sum(axis=0) for unit in units], axis=1), np.array([len(unit) for unit in units])


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
    result = bbc(*by_unit(losses, units), draws=200, level=0.8, seed=seed)
    mean, low, high, chosen, apart = plain_bbc(losses, units, 200, 0.8, seed)
    expected = pytest.approx((mean, low, high), rel=1e-10)
    assert (result.interval.estimate, result.interval.low, result.interval.high) == expected
    assert result.chosen_counts.tolist() == chosen
    assert result.naive == pytest.approx(losses.mean(axis=0).min(), rel=1e-12)
    if not grouped:
        assert result.standard_error == pytest.approx(sem(apart), rel=1e-10)
    if grouped:  # the break: rows drawn one by one are something else
        assert bbc(*by_row(losses), draws=200, level=0.8, seed=seed).interval.estimate != result.interval.estimate
        sums = [(apart[unit] - apart.mean()).sum() for unit in units]  # a linearised mean of sums over groups
        expected = np.sqrt(len(units) / (len(units) - 1) * np.square(sums).sum()) / 40
        assert result.standard_error == pytest.approx(expected, rel=1e-10)


def test_rows_of_a_group_are_no_news(seed: int) -> None:
    """Every row twice, as groups of two: the standard error of the rows once. Taken for rows it is too small."""
    losses = np.repeat(np.random.default_rng(seed).exponential(size=(60, 1)), 2, axis=0)
    once = bbc(*by_row(losses[::2])).standard_error
    pairs = [np.array([i, i + 1]) for i in range(0, 120, 2)]
    assert bbc(*by_unit(losses, pairs)).standard_error == pytest.approx(once, rel=1e-9)
    assert bbc(*by_row(losses)).standard_error < 0.75 * once


def test_a_draw_of_every_row_does_not_count(seed: int) -> None:
    """Of three rows, two draws in nine leave none to score; the rest are those of the plain loop."""
    losses = np.random.default_rng(seed).normal(size=(3, 2))
    result = bbc(*by_row(losses), draws=300, seed=seed)
    mean, low, high, chosen, _ = plain_bbc(losses, [np.array([i]) for i in range(3)], 300, 0.9, seed)
    assert result.chosen_counts.tolist() == chosen
    assert 190 < result.chosen_counts.sum() < 270
    assert (result.interval.estimate, result.interval.low, result.interval.high) == pytest.approx((mean, low, high))


def test_draws_of_every_row_only() -> None:
    """If no draw leaves a row to score, nothing is known but the uncorrected loss."""
    seed = next(s for s in range(99) if len(set(np.random.default_rng(s).integers(2, size=2).tolist())) == 2)
    result = bbc(*by_row(np.array([[1.0], [2.0]])), draws=1, seed=seed)
    assert np.isnan([result.interval.estimate, result.standard_error]).all()
    assert (result.interval.low, result.interval.high, result.naive) == (-np.inf, np.inf, 1.5)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Less memory, the same draws."""
    losses = np.random.default_rng(seed).normal(size=(30, 5))
    whole = bbc(*by_row(losses), draws=50)
    monkeypatch.setattr(bootstrap, "_BYTES", 20_000)
    in_chunks = bbc(*by_row(losses), draws=50)
    assert in_chunks.interval == pytest.approx(whole.interval)
    assert in_chunks.chosen_counts.tolist() == whole.chosen_counts.tolist()


def test_a_choice_of_ones_own(seed: int) -> None:
    """A function of how often each unit was drawn that takes the lowest mean gives the default's numbers."""
    losses = np.random.default_rng(seed).normal(size=(30, 4))
    sums, sizes = by_unit(losses, [np.array([i, i + 1]) for i in range(0, 30, 2)])
    default = bbc(sums, sizes, draws=100)
    own = bbc(
        sums, sizes, draws=100, choose=lambda counts: (counts @ sums.T / (counts @ sizes)[:, None]).argmin(axis=1)
    )
    assert own.naive == pytest.approx(default.naive)
    assert vars(own.interval) == pytest.approx(vars(default.interval))
    assert own.chosen_counts.tolist() == default.chosen_counts.tolist()
    always = bbc(*by_row(losses), draws=100, choose=lambda counts: np.full(len(counts), 2))
    assert always.chosen_counts.tolist() == [0, 0, 100, 0]
    assert always.naive == pytest.approx(losses[:, 2].mean())


def test_candidates_that_diverged(seed: int) -> None:
    """A candidate with NaN or infinity somewhere is as if absent, but numbers stay."""
    losses = np.random.default_rng(seed).normal(size=(25, 3))
    expected = bbc(*by_row(losses), draws=100)
    wide = np.full((25, 5), np.nan)
    wide[:, [1, 3, 4]] = losses
    wide[:, 0], wide[:, 2] = -np.inf, -5
    wide[3, 2] = np.nan
    result = bbc(*by_row(wide), draws=100)
    assert vars(result.interval) == pytest.approx(vars(expected.interval))
    assert result.chosen_counts[[1, 3, 4]].tolist() == expected.chosen_counts.tolist()
    assert result.chosen_counts.sum() == expected.chosen_counts.sum()


@given(arrays(float, (12, 3), elements=WHOLE), st.integers(0, 5))
def test_bbc_shifts_and_scales(losses: np.ndarray, seed: int) -> None:
    """Numbers are in the unit of the loss and move with its zero; the choices stay."""
    one, other = (bbc(*by_row(of), draws=30, seed=seed) for of in (losses, 4 * losses + 3))
    assert other.chosen_counts.tolist() == one.chosen_counts.tolist()
    for name in ("estimate", "low", "high"):
        assert getattr(other.interval, name) == pytest.approx(4 * getattr(one.interval, name) + 3, abs=1e-9)
    assert other.naive == pytest.approx(4 * one.naive + 3)


def test_without_a_choice_the_interval_is_the_usual_one(seed: int) -> None:
    """One candidate: as wide as a mean over all rows supposes. Quantiles of scores as they are would be 31% wider."""
    losses = np.random.default_rng(seed).normal(size=(300, 1))
    interval = bbc(*by_row(losses), draws=4000).interval
    usual = 2 * norm.ppf(0.95) * sem(losses)[0]
    assert interval.high - interval.low == pytest.approx(usual, rel=0.06)
    assert interval.estimate == pytest.approx(losses.mean(), abs=0.1 * usual)


def test_bbc_covers_the_truth_and_the_naive_loss_does_not(seed: int) -> None:
    """At level 0.9: one candidate in about 90% of data sets, the best of 100 noise ones in all; naive in hardly any."""
    rng = np.random.default_rng(seed)
    covered, off = np.zeros(3), np.zeros(2)
    for k in range(300):
        one, many = rng.normal(1, 1, (100, 1)), rng.normal(1, 1, (100, 100))
        result = bbc(*by_row(many), draws=100, seed=k)
        naive_error = many[:, many.mean(axis=0).argmin()].std(ddof=1) / 10
        covered += [
            within(bbc(*by_row(one), draws=100, seed=k).interval, 1),
            within(result.interval, 1),
            abs(result.naive - 1) < norm.ppf(0.95) * naive_error,
        ]
        off += [result.interval.estimate - 1, result.naive - 1]
    assert 0.84 < covered[0] / 300 < 0.95
    assert covered[1] / 300 > 0.97
    assert covered[2] / 300 < 0.1  # the break
    assert abs(off[0] / 300) < 0.02
    assert off[1] / 300 < -0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bbc(*by_row(np.zeros((1, 2)))), "at least two rows or groups"),
        (lambda: bbc(*by_row(np.array([[1, np.inf], [np.nan, 1]]))), "No candidate has a finite loss on every row"),
        (lambda: bbc(*by_row(np.zeros((4, 2))), draws=0), "'draws' must be at least 1. Got 0."),
        (lambda: bbc(*by_row(np.array([[1, np.inf], [2, 1]])), choose=lambda c: np.ones(len(c), int)), "'choose' must"),
    ],
)
def test_what_cannot_be_used(call: Any, message: str) -> None:
    """An InputError says what was expected and what came."""
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)
