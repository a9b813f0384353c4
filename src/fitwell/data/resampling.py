"""Row sets made of other row sets: smaller ones for a learning curve, inner ones for nested cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.errors import InputError


def with_fewer_rows(row_sets: RowSets, shares: Sequence[float], strata: np.ndarray | None, seed: int) -> RowSets:
    """Keep a share of each row set's training rows, for every share; the held-out rows stay.

    The smaller sets are parts of the larger, drawn once for each row set; with `strata` every class keeps its share.
    Where rows have groups, groups are drawn, as they would come with more data; only the last is cut.

    Parameters
    ----------
    shares
        Of the training rows, in (0, 1].
    strata
        Class of each row, int [n], or None.

    Returns
    -------
    len(shares) x R row sets: all of the first share, then all of the second, and so on.
    """
    ordered = [
        # a stream for each row set: what one draws does not depend on how many there are
        _ordered(train, strata, row_sets.groups, np.random.default_rng([seed, r]))
        for r, train in enumerate(row_sets.train)
    ]
    # at least one row, however small the share
    train = tuple(rows[: max(1, round(share * len(rows)))] for share in shares for rows in ordered)
    held_out = row_sets.held_out * len(shares)
    return RowSets(train, held_out, row_sets.n_rows, row_sets.count, row_sets.groups)


def part_of(row_sets: RowSets, share: float, least_held_out: int, strata: np.ndarray | None, seed: int) -> RowSets:
    """Keep a share of each row set's training rows and of its held-out rows, but so many of these if there are.

    Training rows are drawn as by `with_fewer_rows`; held-out rows are a random part, each class in its share.
    """
    parts = []
    for r, rows in enumerate(row_sets.held_out):
        count = min(len(rows), max(round(share * len(rows)), least_held_out))
        # rows of a group that is held out need not stand together: more groups measure better
        parts.append(np.sort(_ordered(rows, strata, None, np.random.default_rng([seed, r, 1]))[:count]))
    # sorted, as folds are: all rows are then in the order of the whole, and train as it does
    train = tuple(np.sort(rows) for rows in with_fewer_rows(row_sets, [share], strata, seed).train)
    return RowSets(train, tuple(parts), row_sets.n_rows, row_sets.folds_per_repeat, row_sets.groups)


def nested_folds(row_sets: RowSets) -> RowSets:
    """Each fold, and all other folds inside its training rows, for every repeat.

    Returns
    -------
    For each repeat of K folds K * K row sets: the K folds themselves (outer), then K (K - 1) inner ones, with fold j
    held out and neither fold j nor fold k in training, for k = 0, 1, ... (outer) and all j other than k, in order.
    `inner_number` gives their place.

    Raises
    ------
    InputError
        The held-out rows of the row sets are no folds: some overlap, or not all others train.
    """
    train: list[np.ndarray] = []
    held_out: list[np.ndarray] = []
    folds = row_sets.independent
    for first in range(0, row_sets.count, folds):
        repeat = range(first, first + folds)
        _check_folds(row_sets, repeat)
        pairs = [(k, j) for k in repeat for j in repeat if j != k]
        train += [row_sets.train[k] for k in repeat]
        train += [np.setdiff1d(row_sets.train[k], row_sets.held_out[j]).astype(np.int32) for k, j in pairs]
        held_out += [row_sets.held_out[k] for k in repeat] + [row_sets.held_out[j] for _, j in pairs]
    return RowSets(tuple(train), tuple(held_out), row_sets.n_rows, folds * folds, row_sets.groups)


def _check_folds(row_sets: RowSets, repeat: range) -> None:
    every = sum(len(row_sets.held_out[k]) for k in repeat)
    rows = np.unique(np.concatenate([row_sets.held_out[k] for k in repeat]))
    rest = all(np.array_equal(np.sort(row_sets.train[k]), np.setdiff1d(rows, row_sets.held_out[k])) for k in repeat)
    if len(repeat) < 3 or every != len(rows) or not rest:
        raise InputError(
            "Nested cross-validation needs at least 3 folds, each of which holds out other rows and trains on all the "
            "rest: use cv=5 without 'time'."
        )


def inner_number(folds: int, outer: int, held_out: int) -> int:
    """Return where a repeat of `nested_folds` has the row set without the folds `outer` and `held_out` in training."""
    # the outer ones come first; fold `outer` itself is no inner one, so those after it move up
    return folds + outer * (folds - 1) + held_out - (held_out > outer)


def _ordered(
    rows: np.ndarray, strata: np.ndarray | None, groups: np.ndarray | None, generator: np.random.Generator
) -> np.ndarray:
    """Shuffle rows: group by group, or so that every beginning has all classes in their shares."""
    shuffled = generator.permutation(rows)
    if groups is not None:
        # groups come in random order; the stable sort leaves the rows of each shuffled
        place = generator.permutation(groups.max() + 1)[groups[shuffled]]
        return shuffled[np.argsort(place, kind="stable")]
    if strata is None:
        return shuffled
    place = np.zeros(len(rows))
    for label in np.unique(strata[shuffled]):
        mine = np.flatnonzero(strata[shuffled] == label)
        # each class is spread evenly over [0, 1), from a random start: every beginning has all in their shares
        place[mine] = (np.arange(len(mine)) + generator.uniform()) / len(mine)
    return shuffled[np.argsort(place, kind="stable")]
