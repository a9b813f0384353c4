from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtr, stdtrit

from fitwell.analysis.student_t import t_below, t_quantile

DEGREES = st.one_of(st.integers(1, 60), st.integers(61, 2000))


@given(DEGREES, st.floats(-1e6, 1e6))
def test_probabilities_are_scipys(degrees: int, value: float) -> None:
    """Absolutely to 1e-13: p-values that are smaller are shown as such."""
    assert abs(t_below(degrees, value) - stdtr(degrees, value)) < 1e-13
    assert 0 <= t_below(degrees, value) <= 1


@given(DEGREES, st.floats(1e-4, 1 - 1e-4))
def test_quantiles_are_scipys(degrees: int, share: float) -> None:
    """To ten digits, and the way back leads to the share."""
    found = t_quantile(degrees, share)
    np.testing.assert_allclose(found, stdtrit(degrees, share), rtol=1e-9, atol=1e-12)
    assert abs(t_below(degrees, found) - share) < 1e-13


def test_other_degrees_are_others() -> None:
    """The break: with one degree more no number is right."""
    values = np.linspace(-4, 4, 33)
    for degrees in (1, 2, 5, 30):
        np.testing.assert_allclose(t_below(degrees, values), stdtr(degrees, values), rtol=0, atol=1e-14)
        assert np.abs(t_below(degrees + 1, values) - stdtr(degrees, values)).max() > 1e-4


def test_limits() -> None:
    """Infinite values are certain, no value is none, and arrays keep their shape."""
    assert t_below(3, np.inf) == t_below(4, np.inf) == 1
    assert t_below(3, -np.inf) == t_below(4, -np.inf) == 0
    assert np.isnan(t_below(3, np.nan))
    assert t_below(7, np.zeros((2, 3))).shape == (2, 3)
    assert t_quantile(5, 0.5) == 0
    # one degree is the Cauchy distribution
    assert t_below(1, np.tan(np.pi * 0.3)) == pytest.approx(0.8, abs=1e-15)
