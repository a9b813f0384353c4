"""What tests of statistics share."""

from __future__ import annotations

from hypothesis import strategies as st

from fitwell.analysis.intervals import Interval

WHOLE = st.integers(0, 20).map(float)
"""Whole numbers: sums are exact in any order, and ties are ties."""


def within(interval: Interval, truth: float) -> bool:
    """Whether an interval contains the truth."""
    return interval.low <= truth <= interval.high
