"""Folds drawn at random: those of scikit-learn's splitters at the same seed, whose import takes a second."""

from __future__ import annotations

import numpy as np


def shuffled_folds(
    rows: int, count: int, repeats: int, seed: int, classes: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return the fold of every row, int [rows], once for each repeat.

    Parameters
    ----------
    classes
        int [rows]: each fold holds out as many rows of a class as the others, or one more; None does not look at them.

    Returns
    -------
    What `sklearn.model_selection.RepeatedStratifiedKFold`, or `RepeatedKFold`, draw with ``random_state=seed``.
    """
    generator = np.random.RandomState(seed)  # the generator of scikit-learn
    if classes is None:
        return [_fold_of_rows(rows, count, generator) for _ in range(repeats)]
    return [_fold_of_classes(classes, count, generator) for _ in range(repeats)]


def _fold_of_rows(rows: int, count: int, generator: np.random.RandomState) -> np.ndarray:
    order = np.arange(rows)
    generator.shuffle(order)
    folds = np.empty(rows, int)
    for fold, part in enumerate(np.array_split(order, count)):  # the first ones are larger by a row
        folds[part] = fold
    return folds


def _fold_of_classes(classes: np.ndarray, count: int, generator: np.random.RandomState) -> np.ndarray:
    _, first, inverse = np.unique(classes, return_index=True, return_inverse=True)
    # by their first row: so scikit-learn takes the classes one after the other
    appearance = np.argsort(np.argsort(first))[inverse]
    # dealt round by round over the sorted classes, so that the folds are of one size, too
    dealt = np.sort(appearance)
    shares = np.stack([np.bincount(dealt[fold::count], minlength=len(first)) for fold in range(count)])
    folds = np.empty(len(classes), int)
    for number, share in enumerate(shares.T):
        own = np.repeat(np.arange(count), share)
        generator.shuffle(own)
        folds[appearance == number] = own
    return folds
