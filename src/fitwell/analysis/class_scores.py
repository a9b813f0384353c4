"""Scores of predicted classes and of their probabilities, each by its formula."""

from __future__ import annotations

import numpy as np

BINS = 10
"""Bins of the calibration error, and of its picture."""


def brier_score(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the mean squared distance of probabilities [n, k] from what happened (Brier 1950).

    Of two classes ``(p - y)**2`` of the second, from 0 to 1. Of more the sum over classes, from 0 to 2: of two classes
    that sum would be twice as much. This is scikit-learn's `brier_score_loss` with its ``scale_by_half="auto"``.
    """
    happened = np.eye(probabilities.shape[1])[targets]
    squares = (probabilities.astype(float) - happened) ** 2
    return float(np.average(squares[:, 1] if squares.shape[1] == 2 else squares.sum(axis=1), weights=weights))


def calibration_error(
    happened: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS
) -> float:
    """Return the mean distance between predicted probability and observed share, over bins of equal mass.

    The expected calibration error (Naeini, Cooper and Hauskrecht 2015), in bins that hold equally many rows (Nixon et
    al. 2019), whose error is less biased than that of equally wide ones (Roelofs et al. 2022). It is biased upwards
    even so: the share of a bin of m rows is off by about ``sqrt(p (1 - p) / m)`` where every probability is true.

    Parameters
    ----------
    happened
        bool [n].
    probabilities
        [n], of its happening.
    weights
        [n], of rows; None is 1 each.
    """
    weights = np.ones(len(probabilities)) if weights is None else np.asarray(weights, float)
    place = equal_mass_bins(probabilities, weights, bins)
    excess = np.bincount(place, weights * (probabilities.astype(float) - happened))
    return float(np.abs(excess).sum() / weights.sum())


def equal_mass_bins(values: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """Number the bin of each row by its value, int [n]: a bin for each equal share of the weights.

    Rows of one value are not parted: they are in the bin of the middle of their weight, and bins may be empty.
    """
    distinct, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weights, len(distinct))
    # twice the weight up to the middle, so that whole weights stay exact until the one division
    middle = 2 * mass.cumsum() - mass
    return np.minimum((middle * bins / (2 * mass.sum())).astype(int), bins - 1)[place]


def confusion_matrix(
    targets: np.ndarray, called: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Sum the weights of rows [n] (None is 1 each) by their class and the class they are called, float [k, k]."""
    cells = np.bincount(targets * classes + called, weights, classes**2)
    return cells.reshape(classes, classes).astype(float)


def balanced_accuracy(matrix: np.ndarray) -> float:
    """Return the mean over classes of the share of their rows that is called right (macro recall).

    A class that is called without looking at the rows has 1 / k, whatever the classes' shares.
    """
    return float((np.diag(matrix) / matrix.sum(axis=1)).mean())


def macro_f1(matrix: np.ndarray) -> float:
    """Return the mean over classes of F1, ``2 TP / (2 TP + FP + FN)``: 0 for a class that no row is called."""
    return float((2 * np.diag(matrix) / (matrix.sum(axis=0) + matrix.sum(axis=1))).mean())
