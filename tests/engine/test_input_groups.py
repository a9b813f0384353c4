"""Whole columns in NumPy: what the table's function does, strength by strength."""

from __future__ import annotations

import numpy as np
import pytest

from fitwell.engine.input_groups import InputGroups
from fitwell.engine.network import DenseNetwork
from fitwell.regularization.regularizer import Axes, Step
from fitwell.regularization.table import shrink_inputs

COLUMNS = (2, 0, 1, 0, 2, 2, 3)


def shrunk(columns: tuple[int, ...], kernels: np.ndarray, bend: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Copies of kernels [S, units, d] after it."""
    found = kernels.copy()
    InputGroups(DenseNetwork(7, (5,), 1, groups=columns)).shrink(found, bend.copy(), thresholds)
    return found


@pytest.mark.parametrize(
    "columns",
    [COLUMNS, (), (6, 4, 5, 3, 2, 1, 0), (5, 0, 2, 0, 5, 5, 9)],
    ids=["columns of several inputs", "every input a column", "in another order", "with gaps"],
)
def test_it_is_the_tables_function(columns: tuple[int, ...], seed: int, float64: None) -> None:
    """To 1e-12, of several strengths at once, one of which is zero and one beyond everything; with others it is not."""
    del float64
    rng = np.random.default_rng(seed)
    kernels, bend = rng.normal(size=(4, 5, 7)), rng.gamma(1.0, size=(4, 5, 7))
    strengths, rate = np.array([0.0, 0.5, 2.0, 100.0]), 0.3
    found = shrunk(columns, kernels, bend, rate * strengths[:, None])
    for g, strength in enumerate(strengths):
        axes = Axes((1,), (0,), columns or tuple(range(7)))
        step = Step(kernels[g], np.float64(rate), rate / bend[g], axes)
        np.testing.assert_allclose(found[g], shrink_inputs(strength, kernels[g], step), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(found[0], kernels[0])
    assert (found[3] == 0).all()
    others = shrunk((0, 0, 1, 1, 2, 3, 4), kernels, bend, rate * strengths[:, None])
    assert not np.allclose(found[1], others[1])


def test_alone_is_among_others_bit_for_bit(seed: int) -> None:
    """In float32."""
    rng = np.random.default_rng(seed)
    kernels, bend = rng.normal(size=(3, 5, 7)).astype(np.float32), rng.gamma(1.0, size=(3, 5, 7)).astype(np.float32)
    thresholds = np.array([[0.1], [0.4], [0.8]], np.float32)
    together = shrunk(COLUMNS, kernels, bend, thresholds)
    for g in range(3):
        np.testing.assert_array_equal(shrunk(COLUMNS, kernels[[g]], bend[[g]], thresholds[[g]])[0], together[g])
    assert together.dtype == np.float32


def test_what_is_not_finite_stays_so() -> None:
    """A network that diverges must be seen to: shrinking makes no number of it."""
    kernels = np.ones((1, 5, 7), np.float32)
    kernels[0, 1, 2] = np.nan
    with np.errstate(invalid="ignore"):
        found = shrunk((), kernels, np.ones_like(kernels), np.full((1, 1), 0.1, np.float32))
    assert np.isnan(found[0, 1, 2])
