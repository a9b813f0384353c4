"""Scores of the classes that rows are called."""

from __future__ import annotations

import numpy as np


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
