"""Losses summed by unit: means and errors of rows, of groups, and of units that lie in several parts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import sem

from fitwell.analysis.losses_of_units import UnitLosses
from fitwell.errors import InputError


def test_rows_are_units_of_one(seed: int) -> None:
    """Their mean and its standard error are NumPy's and SciPy's; rows never held out are left out."""
    losses = np.random.default_rng(seed).exponential(size=30)
    found = UnitLosses.of_rows(np.insert(losses, [2, 9], np.nan))
    assert (found.count, found.mean, found.error) == (30, pytest.approx(losses.mean()), pytest.approx(sem(losses)))


def test_groups_are_units(seed: int) -> None:
    """Rows given twice as groups of two have the error of the rows once; taken for rows a smaller one."""
    losses = np.random.default_rng(seed).exponential(size=30)
    twice = np.repeat(losses, 2)
    assert UnitLosses.of_rows(twice, np.arange(60) // 2).error == pytest.approx(sem(losses))
    assert UnitLosses.of_rows(twice).error < 0.8 * sem(losses)


def test_a_unit_in_two_parts_is_one() -> None:
    """Sums and sizes add up, whatever the order of the parts."""
    first = np.array([1, 4]), np.array([2.0, 3.0]), np.array([1, 2])
    second = np.array([4, 7]), np.array([5.0, 1.0]), np.array([2, 1])
    for parts in ([first, second], [second, first]):
        found = UnitLosses.joined(parts)
        assert (found.sums.tolist(), found.sizes.tolist()) == ([2.0, 8.0, 1.0], [1, 4, 1])


def test_one_unit_has_no_error_and_none_no_mean() -> None:
    """The error is NaN, not zero; a mean of nothing is refused."""
    assert np.isnan(UnitLosses.of_rows(np.ones(4), np.zeros(4)).error)
    with pytest.raises(InputError, match="No row was held out"):
        _ = UnitLosses.of_rows(np.full(3, np.nan)).mean
