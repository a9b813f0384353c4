"""Nested cross-validation: the outer loop as SciPy has it, and the algorithm of Bates et al. line by line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, sem, t
from statistical import within

from fitwell.analysis.losses_of_units import UnitLosses
from fitwell.analysis.nested import bates_interval, nested_interval
from fitwell.errors import InputError


def test_the_outer_loop_is_a_mean_over_rows(seed: int) -> None:
    """SciPy's t interval; rows that are NaN were never held out."""
    losses = np.random.default_rng(seed).exponential(size=50)
    low, high = t.interval(0.8, 49, losses.mean(), sem(losses))
    interval = nested_interval(UnitLosses.of_rows(losses), level=0.8)
    expected = pytest.approx((losses.mean(), low, high), rel=1e-12)
    assert (interval.estimate, interval.low, interval.high) == expected
    alone = nested_interval(UnitLosses(np.array([3.0]), np.array([2])))
    assert (alone.estimate, alone.low, alone.high) == (1.5, -np.inf, np.inf)


def by_folds(
    inner: np.ndarray, outer: np.ndarray, fold: np.ndarray, groups: np.ndarray | None = None
) -> tuple[list[list[UnitLosses]], list[list[UnitLosses]]]:
    """Arrays [T, K, n], [T, n] and [T, n] as `bates_interval` takes them."""
    repeats, folds, _ = inner.shape
    names = np.arange(len(outer[0])) if groups is None else groups
    return (
        [[UnitLosses.of_rows(inner[t, k], names) for k in range(folds)] for t in range(repeats)],
        [
            [UnitLosses.of_rows(np.where(fold[t] == k, outer[t], np.nan), names) for k in range(folds)]
            for t in range(repeats)
        ],
    )


def nested_losses(rng: np.random.Generator, repeats: int, folds: int, rows: int) -> tuple[np.ndarray, ...]:
    """Losses of any kind: inner [T, K, n] and NaN for the rows of fold k, outer [T, n], and folds [T, n]."""
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
    naive = np.sqrt(np.var(outer, axis=1, ddof=1).mean() / rows)
    root = np.sqrt(4 / 5 * max(0, np.mean(a) - np.mean(b)))
    bias = (1 + 3 / 5) * (np.mean(errors) - outer.mean())
    half = norm.ppf(0.95) * min(max(root, naive), np.sqrt(5) * naive)
    interval = bates_interval(*by_folds(inner, outer, fold))
    expected = pytest.approx((np.mean(errors) - bias - half, np.mean(errors) - bias, np.mean(errors) - bias + half))
    assert (interval.low, interval.estimate, interval.high) == expected


def test_bates_keeps_the_error_within_its_bounds(seed: int) -> None:
    """Folds that agree too well have the naive error, folds that differ too much sqrt(K) times it, others their own."""
    inner, outer, fold = nested_losses(np.random.default_rng(seed), 3, 5, 40)
    inner = np.where(np.isnan(inner), np.nan, 1.0)
    for repeat, k in np.ndindex(3, 5):
        outer[repeat, fold[repeat] == k] -= outer[repeat, fold[repeat] == k].mean() - 1
    outer = 1 + (outer - 1) / outer.std(axis=1, keepdims=True)
    ratios = []
    for spread in (0.0, 0.35, 9.0):
        apart = outer + spread * (fold - 2)
        interval = bates_interval(*by_folds(inner, apart, fold))
        ratios.append(
            (interval.high - interval.low) / (2 * norm.ppf(0.95) * np.sqrt(apart.var(axis=1, ddof=1).mean() / 40))
        )
    assert (ratios[0], ratios[2]) == pytest.approx((1, np.sqrt(5)))
    # variance within folds 1, so b is 1 / 7; between them 2 spread^2
    own = np.sqrt(4 / 5 * (2 * 0.35**2 - 1 / 7)) / np.sqrt((1 + 2 * 0.35**2) / 39)
    assert ratios[1] == pytest.approx(own)
    assert 1 < own < np.sqrt(5)


def test_groups_count_once_in_nested_cross_validation(seed: int) -> None:
    """Every row twice, as groups of two: the intervals of the rows once. Taken for rows they are others."""
    inner, outer, fold = nested_losses(np.random.default_rng(seed), 1, 5, 40)
    groups = np.repeat(np.arange(40), 2)
    twice = inner.repeat(2, axis=2), outer.repeat(2, axis=1), fold.repeat(2, axis=1)
    for once, grouped, apart in [
        [nested_interval(UnitLosses.of_rows(*a)) for a in [(outer[0],), (twice[1][0], groups), (twice[1][0],)]],
        [bates_interval(*by_folds(*a)) for a in [(inner, outer, fold), (*twice, groups), twice]],
    ]:
        assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high), rel=1e-12)
        assert abs(apart.high - once.high) > 0.1 * (once.high - once.low)
    # a group to a fold: nothing is known of it
    assert bates_interval(*by_folds(*twice, np.repeat(fold[0], 2))).high < np.inf


def test_bates_of_equal_losses_is_a_point() -> None:
    """All losses the same: that loss, for certain."""
    inner, outer, fold = nested_losses(np.random.default_rng(0), 2, 4, 12)
    interval = bates_interval(*by_folds(np.where(np.isnan(inner), np.nan, 0.5), np.full_like(outer, 0.5), fold))
    assert (interval.low, interval.estimate, interval.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_bias_correction_reaches_all_rows() -> None:
    """If the loss is c + d / rows trained with, the estimate is c + d / n: exactly, for any number of folds."""
    for folds in (3, 4, 10):
        rows = 20 * folds
        inner, outer, fold = nested_losses(np.random.default_rng(0), 1, folds, rows)
        inner = np.where(np.isnan(inner), np.nan, 1 + 7 / (rows * (folds - 2) / folds))
        outer[:] = 1 + 7 / (rows * (folds - 1) / folds)
        assert bates_interval(*by_folds(inner, outer, fold)).estimate == pytest.approx(1 + 7 / rows, rel=1e-12)


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
        covered += [
            within(bates_interval(*by_folds(inner, outer, fold)), truth),
            within(nested_interval(UnitLosses.of_rows(outer[0])), truth),
        ]
    assert covered[0] > 84
    assert covered[1] < 82  # the break


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nested_interval(UnitLosses.of_rows(np.full(3, np.nan))), "No row was held out."),
        (
            lambda: bates_interval(*by_folds(np.zeros((1, 2, 4)), np.zeros((1, 4)), np.zeros((1, 4)))),
            "at least 3 folds. Got 2.",
        ),
    ],
)
def test_what_cannot_be_used(call: Any, message: str) -> None:
    """An InputError says what was expected and what came."""
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)
