"""The losses of a table in NumPy, with their slopes: of the networks of some strengths at once.

Outputs are [S, k, rows], as the dense network computes them; targets are [rows], or of several outputs [rows, k].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fitwell.engine.losses import CLASSIFICATION, LABELS, REGRESSION, SEVERAL_VALUES, Loss, sigmoid


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


def mean_squared_error_slope(outputs: np.ndarray, targets: np.ndarray, out: np.ndarray) -> None:
    """Twice the difference, over the outputs and the rows of the batch."""
    np.subtract(outputs, targets.T, out=out)
    out *= 2 / (outputs.shape[1] * outputs.shape[2])


def mean_squared_error_by_row(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over outputs of the squared and of the absolute difference."""
    difference = outputs - targets.T
    return (difference**2).mean(axis=1), np.abs(difference).mean(axis=1)


def label_log_loss_slope(outputs: np.ndarray, targets: np.ndarray, out: np.ndarray) -> None:
    """Probabilities less the labels, over their number and the rows of the batch."""
    np.subtract(sigmoid(outputs), targets.T, out=out)
    out *= 1 / (outputs.shape[1] * outputs.shape[2])


def label_log_loss_by_row(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over labels of the binary log loss, and the share of labels that are right."""
    labels = targets.T
    right = (outputs > 0) == (labels > 0)
    losses = np.logaddexp(outputs.dtype.type(0), outputs) - outputs * labels
    return losses.mean(axis=1), right.mean(axis=1, dtype=outputs.dtype)


PLAIN_LOSSES: Mapping[Loss, PlainLoss] = {
    CLASSIFICATION: PlainLoss(log_loss_slope, log_loss_by_row),
    REGRESSION: PlainLoss(squared_error_slope, squared_error_by_row),
    SEVERAL_VALUES: PlainLoss(mean_squared_error_slope, mean_squared_error_by_row),
    LABELS: PlainLoss(label_log_loss_slope, label_log_loss_by_row),
}
"""A table's losses."""
