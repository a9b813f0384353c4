"""Units of rows: rows, groups, and bundles where there are too many of either."""

from __future__ import annotations

import numpy as np

from fitwell.data.row_sets import folds
from fitwell.data.units import FEWEST_BUNDLES, units_held_out, units_of_rows

ROWS = 400
ENOUGH = 10**6


def test_rows_and_groups() -> None:
    """Rows stand alone, rows of a group together, whatever the groups are called."""
    target = np.zeros(ROWS)
    alone = units_of_rows(folds(target, "regression", cv=4, repeats=2, seed=0), ENOUGH, 0)
    assert alone.tolist() == list(range(ROWS))
    groups = np.arange(ROWS) // 20 * 7
    together = units_of_rows(folds(target, "regression", cv=4, repeats=1, seed=0, groups=groups), ENOUGH, 0)
    assert np.array_equal(together[:, None] == together, groups[:, None] == groups)
    assert sorted(set(together)) == list(range(ROWS // 20))


def test_as_many_as_may_be_kept() -> None:
    """Rows stand alone up to the limit, every repeat counted; beyond it they are gathered into bundles of one size."""
    sets = folds(np.zeros(ROWS), "regression", cv=4, repeats=2, seed=0)
    assert sum(units_held_out(sets, np.arange(ROWS))) == 2 * ROWS
    assert len(np.unique(units_of_rows(sets, 2 * ROWS, 0))) == ROWS
    bundles = units_of_rows(sets, 2 * ROWS - 1, 0)
    sizes = np.bincount(bundles)
    assert len(sizes) == FEWEST_BUNDLES
    assert set(sizes) == {ROWS // FEWEST_BUNDLES}
    assert np.array_equal(bundles, units_of_rows(sets, 2 * ROWS - 1, 0))
    assert not np.array_equal(bundles, units_of_rows(sets, 2 * ROWS - 1, 1))


def test_never_too_few_bundles() -> None:
    """However little may be kept there are a hundred, for the spread over them tells the error."""
    sets = folds(np.zeros(ROWS), "regression", cv=4, repeats=1, seed=0)
    assert len(np.unique(units_of_rows(sets, 1, 0))) == FEWEST_BUNDLES


def test_groups_stay_whole_in_bundles() -> None:
    """Rows of one group are in one bundle."""
    groups = np.arange(ROWS) // 2
    sets = folds(np.zeros(ROWS), "regression", cv=4, repeats=1, seed=0, groups=groups)
    bundles = units_of_rows(sets, 100, 0)
    assert len(np.unique(bundles)) == FEWEST_BUNDLES
    assert np.array_equal(bundles[::2], bundles[1::2])
