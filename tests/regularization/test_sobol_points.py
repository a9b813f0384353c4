"""Sobol points are SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from fitwell.regularization.sobol_points import DIRECTIONS, sobol_points


@settings(max_examples=30)
@given(st.integers(0, 9), st.integers(1, len(DIRECTIONS)), st.integers(0, 2**32 - 1))
def test_they_are_scipys(exponent: int, dimensions: int, seed: int) -> None:
    """Bit for bit; another seed scrambles otherwise."""
    found = sobol_points(2**exponent, dimensions, seed)
    np.testing.assert_array_equal(found, qmc.Sobol(dimensions, rng=seed).random_base2(exponent))
    assert not np.array_equal(found, sobol_points(2**exponent, dimensions, seed + 1))


@pytest.mark.parametrize("dimensions", [3, len(DIRECTIONS) + 1])
def test_fewer_are_the_first_ones(dimensions: int) -> None:
    """Of any number, also none, in any dimension."""
    whole = qmc.Sobol(dimensions, rng=5).random_base2(4)
    for count in (0, 1, 3, 16):
        np.testing.assert_array_equal(sobol_points(count, dimensions, 5), whole[:count])
