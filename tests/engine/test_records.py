"""Records of losses by unit: sums over the rows of each unit, and the memory that they take."""

from __future__ import annotations

import numpy as np
import pytest

from fitwell.data.row_sets import RowSets
from fitwell.engine.records import Records, recorded_bytes

SETS = RowSets(
    (np.array([4, 5, 6], np.int32), np.array([0, 1], np.int32)),
    (np.array([3, 0, 2, 1], np.int32), np.array([5, 6], np.int32)),
    7,
)
UNITS = np.array([8, 8, 2, 8, 0, 1, 1])
STRENGTHS, EPOCHS, MOST = 3, 5, 4


def test_sums_by_a_plain_loop(seed: int) -> None:
    """Each unit has the sum over its held-out rows; padding behind a row set's rows is in none."""
    losses = np.random.default_rng(seed).exponential(size=(2, 2, 3, MOST))
    losses[1, :, :, 2:] = np.nan  # padding
    records = Records.empty(SETS, UNITS, STRENGTHS, EPOCHS)
    records.keep(np.array([2, 0]), slice(1, 4), losses)
    assert [units.tolist() for units in records.units] == [[2, 8], [1]]
    assert [sizes.tolist() for sizes in records.sizes] == [[1, 3], [2]]
    for r, (units, sums) in enumerate(zip(records.units, records.sums, strict=True)):
        for u, unit in enumerate(units):
            rows = [place for place, row in enumerate(SETS.held_out[r]) if UNITS[row] == unit]
            np.testing.assert_allclose(sums[[2, 0], 1:4, u], losses[r][:, :, rows].sum(axis=-1))
    # what did not train is not a perfect loss
    assert all(np.isnan(sums[1]).all() and np.isnan(sums[:, [0, 4]]).all() for sums in records.sums)


def test_weighted_sums_by_a_plain_loop(seed: int) -> None:
    """Sums of weight times loss, and of weights; a unit of no weight is none, and its loss may be infinite."""
    rng = np.random.default_rng(seed)
    losses, weight = rng.exponential(size=(2, 2, 3, MOST)), rng.gamma(1.0, size=7)
    weight[[2, 3]] = 0
    losses[0][:, :, [0, 2]] = np.inf  # rows 3 and 2
    records = Records.empty(SETS, UNITS, STRENGTHS, EPOCHS, weight)
    records.keep(np.array([2, 0]), slice(1, 4), losses)
    assert [units.tolist() for units in records.units] == [[8], [1]]
    for r, places in enumerate(([1, 3], [0, 1])):
        mine = weight[SETS.held_out[r][places]]
        np.testing.assert_allclose(records.sizes[r], [mine.sum()])
        np.testing.assert_allclose(records.sums[r][[2, 0], 1:4, 0], (losses[r][:, :, places] * mine).sum(axis=-1))
    alike = Records.empty(SETS, UNITS, STRENGTHS, EPOCHS, np.ones(7))
    assert [sizes.tolist() for sizes in alike.sizes] == [[1, 3], [2]]


def test_a_refit_holds_nothing_out() -> None:
    """Then there is nothing to keep, and keeping it is no error."""
    every = RowSets((np.arange(3, dtype=np.int32),), (np.zeros(0, np.int32),), 3)
    records = Records.empty(every, np.arange(3), 1, 2)
    records.keep(np.array([0]), slice(0, 2), np.zeros((1, 1, 2, 0)))
    assert records.sums[0].shape == (1, 2, 0)


@pytest.mark.parametrize("units", [UNITS, np.arange(7)])
def test_the_memory_is_what_is_allocated(units: np.ndarray) -> None:
    """Row sets of unequal size take the sum of theirs, not the largest times their number."""
    records = Records.empty(SETS, units, STRENGTHS, EPOCHS)
    allocated = sum(sums.nbytes for sums in records.sums)
    assert recorded_bytes(SETS, units, STRENGTHS, EPOCHS) == allocated
    if len(np.unique(units)) == 7:
        assert allocated < 2 * MOST * STRENGTHS * EPOCHS * 8  # the break: padded to the largest
