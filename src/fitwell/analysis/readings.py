"""A loss in the unit that people read: of a squared error its root."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fitwell.analysis.honest import Score
from fitwell.analysis.intervals import Interval

SQUARED_ERROR = "squared error"
"""Name of the loss of tables of numbers; a Keras model's loss stays what its owner compiled."""


@dataclass(frozen=True)
class Reading:
    """How losses of one name are read.

    Attributes
    ----------
    name
        What is read.
    is_root
        Whether that is the root of the loss.

    Examples
    --------
    >>> reading = reading_of("squared error")
    >>> reading.name, reading.value(9.0), reading.error(9.0, 0.6)
    ('RMSE', 3.0, 0.1)
    """

    name: str
    is_root: bool

    def value(self, loss: float) -> float:
        """A mean loss as it is read."""
        # a squared error is never below zero, but the end of an interval may be
        return float(np.sqrt(np.maximum(loss, 0))) if self.is_root else float(loss)

    def error(self, loss: float, error: float) -> float:
        """A standard error as it is read, to first order (the delta method)."""
        # of a loss of zero a root has no slope
        return error / (2 * self.value(loss)) if self.is_root and loss > 0 else error

    def interval(self, found: Interval) -> Interval:
        """An interval as it is read: a root keeps the order of its ends, hence the level."""
        return Interval(self.value(found.estimate), self.value(found.low), self.value(found.high), found.level)


def reading_of(loss_name: str) -> Reading:
    """Say how losses of this name are read."""
    return Reading("RMSE", True) if loss_name == SQUARED_ERROR else Reading(loss_name, False)


def as_read(score: Score) -> Score:
    """Return a score in the unit that people read."""
    reading = reading_of(score.name)
    return replace(
        score, name=reading.name, naive=reading.value(score.naive), interval=reading.interval(score.interval)
    )
