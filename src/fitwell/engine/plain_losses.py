"""The losses of a table in NumPy, with their slopes: of the networks of some strengths at once.

Outputs are [S, k, rows], as the dense network computes them; targets are [rows].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fitwell.engine.losses import CLASSIFICATION, REGRESSION, Loss


class Slope(Protocol):
    """How the mean loss of a batch changes with the outputs."""

    def __call__(self, outputs: np.ndarray, targets: np.ndarray, out: np.ndarray) -> None:
        """Write the slope, [S, k, rows], into `out`."""
        ...


class ByRow(Protocol):
    """Loss and metric of every row."""

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both, [S, rows]."""
        ...


@dataclass(frozen=True)
class PlainLoss:
    """What training needs of a loss."""

    slope: Slope
    by_row: ByRow


def log_loss_slope(outputs: np.ndarray, targets: np.ndarray, out: np.ndarray) -> None:
    """Probabilities less the right class, over the rows of the batch."""
    np.subtract(outputs, outputs.max(axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)
    out -= np.arange(outputs.shape[1])[:, None] == targets
    out *= 1 / outputs.shape[2]


def log_loss_by_row(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minus the log probability of the right class, and whether the most probable class is right."""
    largest = outputs.max(axis=1, keepdims=True)
    # of differences from the largest: nothing overflows
    total = np.log(np.exp(outputs - largest).sum(axis=1)) + largest[:, 0]
    rows = np.arange(len(targets))
    most = outputs == largest
    # of classes equally probable the first counts, as by `argmax`, which takes six times as long along this axis
    earlier = (most & (np.arange(outputs.shape[1])[:, None] < targets)).any(axis=1)
    accurate = most[:, targets, rows] & ~earlier
    return total - outputs[:, targets, rows], accurate.astype(outputs.dtype)


def squared_error_slope(outputs: np.ndarray, targets: np.ndarray, out: np.ndarray) -> None:
    """Twice the difference, over the rows of the batch."""
    np.subtract(outputs, targets, out=out)
    out *= 2 / outputs.shape[2]


def squared_error_by_row(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The squared and the absolute difference."""
    difference = outputs[:, 0] - targets
    return difference**2, np.abs(difference)


PLAIN_LOSSES: Mapping[Loss, PlainLoss] = {
    CLASSIFICATION: PlainLoss(log_loss_slope, log_loss_by_row),
    REGRESSION: PlainLoss(squared_error_slope, squared_error_by_row),
}
"""A table's two losses."""
