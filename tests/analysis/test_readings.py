"""Losses in the unit that people read."""

from __future__ import annotations

import math

import pytest

from fitwell.analysis.honest import Score
from fitwell.analysis.intervals import Interval
from fitwell.analysis.readings import as_read, reading_of


def test_a_squared_error_is_read_as_its_root() -> None:
    """Values, ends of intervals (in their order, never below zero) and, to first order, errors."""
    reading = reading_of("squared error")
    assert (reading.name, reading.value(16.0)) == ("RMSE", 4.0)
    assert reading.interval(Interval(4.0, -1.0, 9.0, 0.9)) == Interval(2.0, 0.0, 3.0, 0.9)
    step = 1e-6
    assert reading.error(16.0, step) == pytest.approx(math.sqrt(16 + step) - 4, rel=1e-4)
    assert reading.error(0.0, 0.5) == 0.5


def test_any_other_loss_is_read_as_it_is() -> None:
    """A log loss is no square; a Keras model's own squared error has its owner's name for it."""
    for name in ("log loss", "mean_squared_error"):
        reading = reading_of(name)
        assert (reading.name, reading.value(16.0), reading.error(16.0, 2.0)) == (name, 16.0, 2.0)


def test_a_score_and_its_table_have_one_unit() -> None:
    """The honest score of a table of numbers is an RMSE as its scores are."""
    score = as_read(Score("squared error", "bbc", 9.0, Interval(16.0, 4.0, 25.0, 0.9)))
    assert (score.name, score.naive, score.interval) == ("RMSE", 3.0, Interval(4.0, 2.0, 5.0, 0.9))
    assert str(score).startswith("RMSE on new rows: 4")
