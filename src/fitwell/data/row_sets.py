"""Row sets: which rows train and which are held out. Folds of every sort are row sets.

scikit-learn makes the splits; it is imported when called, for it takes a second to load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fitwell.arguments import is_whole, whole_number
from fitwell.data.row_keys import moments_of, read_groups
from fitwell.data.shuffled_folds import shuffled_folds
from fitwell.errors import InputError, InputTypeError, counted

# 32 bits, as JAX indexes
RowNumbers = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class RowSets:
    """R row sets over the rows of one table.

    Attributes
    ----------
    train : tuple of int32 [m_r]
        The training rows of each row set; never none, and repeated rows (a bootstrap) are fine.
    held_out : tuple of int32 [h_r]
        The held-out rows of each row set; disjoint from its training rows, perhaps none.
    n_rows : int
        Rows of the table; every index is below it.
    folds_per_repeat : int
        K: row sets that make up one repeat, 0 when they are not repeats of one another.
    groups : int [n_rows] or None
        Rows of one group belong together: what is drawn from them is drawn by groups. None: each row stands alone.
    group_names : tuple of str
        Name of each group, for messages; empty if they have none.
    again : function or None
        Draws so many repeats, of which these row sets are the first; None where they can be drawn in one way only.
    """

    train: tuple[RowNumbers, ...]
    held_out: tuple[RowNumbers, ...]
    n_rows: int
    folds_per_repeat: int = 0
    groups: NDArray[Any] | None = None
    group_names: tuple[str, ...] = ()
    again: Callable[[int], RowSets] | None = None

    def __post_init__(self) -> None:
        """Refuse row sets that leak or cannot train."""
        if not self.train or len(self.train) != len(self.held_out):
            raise InputError(
                f"Row sets need training and held-out rows, one of each per row set. "
                f"Got {len(self.train)} and {len(self.held_out)}."
            )
        for number, (train, held_out) in enumerate(zip(self.train, self.held_out, strict=True), start=1):
            _check_rows(number, train, held_out, self.n_rows)

    @property
    def count(self) -> int:
        """R."""
        return len(self.train)

    @property
    def independent(self) -> int:
        """Row sets that carry separate information: repeats hold out the same rows again."""
        return self.folds_per_repeat or self.count

    @property
    def ids(self) -> NDArray[np.int32]:
        """What each row set is [R], 0 to R - 1: random keys come from it, wherever the row set is trained."""
        return np.arange(self.count, dtype=np.int32)

    @property
    def n_train(self) -> NDArray[np.int32]:
        """Training rows in each row set [R]."""
        return np.array([len(rows) for rows in self.train], np.int32)

    @property
    def n_held_out(self) -> NDArray[np.int32]:
        """Held-out rows in each row set [R]."""
        return np.array([len(rows) for rows in self.held_out], np.int32)

    @property
    def test_to_train(self) -> float:
        """Held-out rows by training rows, the mean over row sets."""
        return float((self.n_held_out / self.n_train).mean())

    def further(self, repeats: int) -> tuple[RowSets, RowSets] | None:
        """Draw the folds anew until there are so many repeats: all row sets, and the new ones; None if that fails.

        It fails where folds can be drawn in one way only, or where the new ones lack something, such as a class.
        """
        try:
            every = self.again(repeats) if self.again else None
        except InputError:
            return None
        if every is None or every.count <= self.count:
            return None
        new = replace(every, train=every.train[self.count :], held_out=every.held_out[self.count :])
        return every, new

    def check_apart(self) -> None:
        """Raise an InputError if row sets that count as independent hold out the same rows."""
        if np.bincount(np.concatenate(self.held_out[: self.independent])).max(initial=0) > 1:
            raise InputError(
                "The held-out rows of 'cv' overlap, so that rows would be scored by what they themselves chose: use a "
                "number of folds, KFold or RepeatedKFold."
            )

    def padded(self) -> tuple[RowNumbers, RowNumbers, RowNumbers, RowNumbers]:
        """Train [R, m_max], n_train [R], held_out [R, h_max], n_held_out [R]; row 0 fills what is over."""
        return _pad(self.train), self.n_train, _pad(self.held_out), self.n_held_out


def _check_rows(number: int, train: RowNumbers, held_out: RowNumbers, n_rows: int) -> None:
    if train.size == 0:
        raise InputError(f"Row set {number} has no training rows.")
    used = np.concatenate([train, held_out])
    if used.min() < 0 or used.max() >= n_rows:
        wrong = used.min() if used.min() < 0 else used.max()
        raise InputError(f"Row set {number} has row {wrong}, but rows run from 0 to {n_rows - 1}.")
    both = np.intersect1d(train, held_out)
    if both.size:
        raise InputError(f"Row set {number} has {both.size} rows that both train and are held out, first {both[0]}.")


def _pad(rows: tuple[RowNumbers, ...]) -> RowNumbers:
    padded = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for place, values in zip(padded, rows, strict=True):
        place[: len(values)] = values
    return padded


def on_all_rows(n: int, count: int = 1) -> RowSets:
    """Row sets that train on all `n` rows and hold none out: for a refit."""
    every, none = np.arange(n, dtype=np.int32), np.zeros(0, np.int32)
    return RowSets((every,) * count, (none,) * count, n)


def from_splitter(splitter: Any, n: int, *, target: Any = None, groups: Any = None) -> RowSets:
    """Row sets from a scikit-learn splitter, or from pairs (train, held-out) of row numbers or masks."""
    # text has a `split` too
    if hasattr(splitter, "split") and not isinstance(splitter, str):
        try:
            # splitters look at how many rows there are, not at what they hold
            pairs = list(splitter.split(np.zeros((n, 1)), target, groups))
        except ValueError as error:
            raise InputError(f"The splitter {splitter!r} cannot split this table: {error}") from None
    else:
        pairs = _as_pairs(splitter)
    train = tuple(_as_rows(pair[0], n) for pair in pairs)
    held_out = tuple(_as_rows(pair[1], n) for pair in pairs)
    return RowSets(train, held_out, n, _length_of_repeat(held_out))


def _length_of_repeat(held_out: Sequence[RowNumbers]) -> int:
    """Return after how many row sets the same rows are held out again, as `RepeatedKFold` does; 0 if they are not."""
    # the first repeat ends where a row is held out again; all others must then be as long and hold out the same
    seen, folds = np.zeros(0, np.int32), 0
    while folds < len(held_out) and not np.isin(held_out[folds], seen).any():
        seen, folds = np.concatenate([seen, held_out[folds]]), folds + 1
    if folds == len(held_out):
        return 0
    repeats = [np.concatenate(held_out[first : first + folds]) for first in range(0, len(held_out), folds)]
    return folds if all(np.array_equal(np.sort(rows), np.sort(seen)) for rows in repeats) else 0


def _as_pairs(splits: Any) -> list[Any]:
    expected = "must be a number of folds, a scikit-learn splitter or (train, held-out) pairs of rows"
    if not isinstance(splits, Iterable) or isinstance(splits, str):
        raise InputTypeError(f"The argument 'cv' {expected}. Got {splits!r}.")
    pairs = list(splits)
    for index, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputTypeError(f"The argument 'cv' {expected}. Its item {index} is no such pair.")
    return pairs


def _as_rows(rows: ArrayLike, n: int) -> RowNumbers:
    array = np.asarray(rows)
    if array.dtype == np.bool_ and array.shape == (n,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise InputTypeError(f"Rows must be row numbers or a mask of {n} booleans. Got {array.dtype} values.")
    return array.astype(np.int32)


def folds(
    target_values: NDArray[Any],
    task: str,
    *,
    cv: Any = 5,
    repeats: int = 1,
    groups: Any = None,
    time: Any = None,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> RowSets:
    """The row sets of a cross-validation; `cv` is a number of folds, a splitter, or (train, held-out) pairs.

    With a number: stratified for classification, shuffled by `seed`, anew for each of `repeats`. Rows of one
    group (`groups` [n]) stay together; with `time` [n] each row set is held out later than it trains, rows of
    one moment staying together. `classes` are the names used in messages. Every row set holds rows out, and
    for classification trains on more than one class.
    """
    cv, repeats = int(cv) if is_whole(cv) else cv, whole_number("repeats", repeats)
    row_sets = _folds(target_values, task, cv, repeats, groups, time, seed, classes)
    _check_held_out(row_sets)
    if task == "classification":
        _check_training_classes(row_sets, target_values, classes)
    # repeats hold the same rows out again, and must not count as more data
    row_sets = replace(row_sets, folds_per_repeat=cv) if repeats > 1 else row_sets
    if not is_whole(cv) or time is not None:
        return row_sets  # others decide how they are drawn

    def again(more: int) -> RowSets:
        options = {"groups": groups, "seed": seed, "classes": classes}
        return folds(target_values, task, cv=cv, repeats=more, **options)

    return replace(row_sets, again=again)


def _folds(
    target_values: NDArray[Any],
    task: str,
    cv: Any,
    repeats: int,
    groups: Any,
    time: Any,
    seed: int,
    classes: Sequence[str],
) -> RowSets:
    n = len(target_values)
    if groups is not None and time is not None:
        raise InputError("Give either groups or a time column, not both: each says differently what is held out.")
    groups, names = (None, ()) if groups is None else read_groups(groups, n)
    if not is_whole(cv):
        if repeats != 1 or time is not None:
            raise InputError("Repeats and a time column need a number of folds as 'cv'; a splitter decides itself.")
        return replace(from_splitter(cv, n, target=target_values, groups=groups), groups=groups, group_names=names)
    _check_counts(cv, n)
    if time is not None:
        return _time_folds(moments_of(time, n), cv, repeats)
    if task == "classification":
        _check_classes(target_values, cv, classes)
    if groups is not None:
        dealt = _group_folds(target_values, groups, _group_splitters(task, cv, repeats, seed))
        return replace(dealt, group_names=names)
    return _shuffled_folds(target_values, task, cv, repeats, seed)


def _check_counts(cv: int, n: int) -> None:
    if cv < 2:
        raise InputError(f"The argument 'cv' must be at least 2 folds. Got {cv}.")
    if n < cv:
        raise InputError(
            f"The table has {counted(n, 'row')} with a target, fewer than the {cv} folds: "
            f"{_fewer(n, 'add rows with a target')}."
        )


def _shuffled_folds(target: NDArray[Any], task: str, cv: int, repeats: int, seed: int) -> RowSets:
    drawn = shuffled_folds(len(target), cv, repeats, seed, target if task == "classification" else None)
    return from_splitter(
        [(folds != fold, folds == fold) for folds in drawn for fold in range(cv)], len(target), target=target
    )


def _group_folds(target: NDArray[Any], groups: NDArray[Any], splitters: Sequence[Any]) -> RowSets:
    """The row sets of every splitter, one after the other."""
    cv, count = splitters[0].n_splits, len(np.unique(groups))
    if count < cv:
        are = "is" if count == 1 else "are"
        raise InputError(
            f"There {are} {counted(count, 'group')}, fewer than the {cv} folds: "
            f"{_fewer(count, 'group the rows another way')}."
        )
    parts = [from_splitter(splitter, len(target), target=target, groups=groups) for splitter in splitters]
    joined = RowSets(
        tuple(rows for part in parts for rows in part.train),
        tuple(rows for part in parts for rows in part.held_out),
        len(target),
        groups=groups,
    )
    # scikit-learn may leave folds by groups and classes empty, without a word
    if not joined.n_held_out.all():
        groups_of = counted(count, "group")
        raise InputError(f"{groups_of} cannot be dealt to {cv} folds without an empty one: use fewer folds.")
    return joined


def _group_splitters(task: str, cv: int, repeats: int, seed: int) -> list[Any]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    kind = StratifiedGroupKFold if task == "classification" else GroupKFold
    # a seed for each repeat: with the same one all would be the same
    return [kind(n_splits=cv, shuffle=True, random_state=seed + repeat) for repeat in range(repeats)]


def _time_folds(moments: NDArray[np.float64], cv: int, repeats: int) -> RowSets:
    from sklearn.model_selection import TimeSeriesSplit

    if repeats != 1:
        raise InputError(f"With a time column the folds are fixed: 'repeats' must be 1. Got {repeats}.")
    distinct, rank = np.unique(moments, return_inverse=True)
    if len(distinct) <= cv:
        raise InputError(
            f"The time column has {counted(len(distinct), 'different time')}, but {cv} folds need at least {cv + 1}: "
            f"{_fewer(len(distinct) - 1, 'give a column with more of them')}."
        )
    # stable, so that rows of one moment keep their order on every machine
    order = np.argsort(moments, kind="stable")
    pairs = TimeSeriesSplit(n_splits=cv).split(distinct)
    # Whole moments are dealt, so that no moment both trains and is held out.
    dealt = [tuple(order[np.isin(rank[order], part)] for part in pair) for pair in pairs]
    return from_splitter(dealt, len(moments))


def _check_classes(target: NDArray[Any], cv: int, classes: Sequence[str]) -> None:
    values, counts = np.unique(target, return_counts=True)
    rarest = int(counts.argmin())
    if counts[rarest] < cv:
        raise InputError(
            f"Class {_class_name(values[rarest], classes)!r} has {counted(int(counts[rarest]), 'row')}, fewer than the "
            f"{cv} folds: {_fewer(int(counts[rarest]), 'add rows of it, or leave it out')}."
        )


def _fewer(most: int, other: str) -> str:
    """Say how many folds could be had; where that is less than two, what else to do."""
    return f"use at most {most} folds" if most >= 2 else f"no folds can be had (at least 2), so {other}"


def _check_held_out(row_sets: RowSets) -> None:
    empty = np.flatnonzero(row_sets.n_held_out == 0)
    if empty.size:
        raise InputError(
            f"Row set {empty[0] + 1} of 'cv' holds no rows out: give it rows to be measured on, or leave it out."
        )


def _check_training_classes(row_sets: RowSets, target: NDArray[Any], classes: Sequence[str]) -> None:
    for number, train in enumerate(row_sets.train, start=1):
        values = target[train]
        if (values == values[0]).all():
            raise InputError(
                f"Row set {number} of {row_sets.count} trains on rows of one class only, "
                f"{_class_name(values[0], classes)!r}: use fewer folds, or split the rows another way."
            )


def _class_name(value: Any, classes: Sequence[str]) -> str:
    return classes[int(value)] if len(classes) else str(value)
