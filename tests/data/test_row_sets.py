"""Row sets, and the folds that scikit-learn makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import (
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

from fitwell.data.row_sets import RowSets, folds, from_splitter
from fitwell.errors import InputError, InputTypeError

LABELS = np.array([0, 1, 1, 0, 1] * 8)
NUMBERS = np.linspace(0, 1, 40)


def rows(*values: int) -> Any:
    """Row numbers."""
    return np.array(values, np.int32)


def assert_same(sets: RowSets, pairs: Any) -> None:
    """The row sets are scikit-learn's pairs, in its order."""
    pairs = list(pairs)
    assert sets.count == len(pairs)
    for train, held_out, pair in zip(sets.train, sets.held_out, pairs, strict=True):
        np.testing.assert_array_equal(train, pair[0])
        np.testing.assert_array_equal(held_out, pair[1])


def test_sizes_and_padding() -> None:
    """Ragged row sets are padded with row 0, and the sizes say what is real."""
    sets = RowSets((rows(3, 1, 2), rows(4)), (rows(0), rows(2, 3)), 5)
    train, n_train, held_out, n_held_out = sets.padded()
    assert train.tolist() == [[3, 1, 2], [4, 0, 0]]
    assert held_out.tolist() == [[0, 0], [2, 3]]
    assert (n_train.tolist(), n_held_out.tolist()) == ([3, 1], [1, 2])
    assert (sets.count, sets.ids.tolist()) == (2, [0, 1])
    assert all(array.dtype == np.int32 for array in (*sets.padded(), sets.ids, *sets.train, *sets.held_out))


@pytest.mark.parametrize(
    ("train", "held_out", "message"),
    [
        ([rows(0, 1)], [rows(1, 2)], "Row set 1 has 1 rows that both train and are held out, first 1"),
        ([rows(0), rows()], [rows(1), rows(1)], "Row set 2 has no training rows"),
        ([rows(0, 5)], [rows(1)], "has row 5, but rows run from 0 to 4"),
        ([rows(0)], [rows(-1)], "has row -1"),
        ([], [], "Got 0 and 0"),
        ([rows(0)], [], "Got 1 and 0"),
    ],
    ids=str,
)
def test_row_sets_that_leak_or_cannot_train_are_refused(train: list[Any], held_out: list[Any], message: str) -> None:
    """No row may both train and be held out, and every row set must train on rows that exist."""
    with pytest.raises(InputError, match=message):
        RowSets(tuple(train), tuple(held_out), 5)


def test_bootstraps_and_full_fits_are_row_sets() -> None:
    """Rows may train twice, and nothing need be held out."""
    assert RowSets((rows(1, 1, 2),), (rows(),), 3).n_held_out.tolist() == [0]


@pytest.mark.parametrize(
    ("splitter", "independent"),
    [(KFold(4), 4), (RepeatedKFold(n_splits=4, n_repeats=3), 4), (TimeSeriesSplit(3), 3), (ShuffleSplit(6), 6)],
    ids=str,
)
def test_repeats_of_a_splitter_are_seen(splitter: Any, independent: int) -> None:
    """Row sets of repeats are no more evidence than one repeat; where held-out rows overlap otherwise, that is said."""
    sets = from_splitter(splitter, 40)
    assert sets.independent == independent
    if isinstance(splitter, ShuffleSplit):
        with pytest.raises(InputError, match="held-out rows of 'cv' overlap"):
            sets.check_apart()
    else:
        sets.check_apart()


@pytest.mark.parametrize("splitter", [KFold(3), LeaveOneOut(), StratifiedKFold(4), TimeSeriesSplit(3)], ids=str)
def test_any_splitter_is_taken_as_it_is(splitter: Any) -> None:
    """The row sets of a splitter are its splits."""
    assert_same(from_splitter(splitter, 40, target=LABELS), splitter.split(np.zeros((40, 1)), LABELS))
    assert_same(folds(LABELS, "classification", cv=splitter), splitter.split(np.zeros((40, 1)), LABELS))


def test_pairs_of_rows_or_masks_are_row_sets() -> None:
    """Pairs of row numbers, of masks, and a generator of them are taken."""
    mask = np.array([True, False, True])
    for pairs in ([([0, 2], [1])], [(mask, ~mask)], (pair for pair in [(np.array([0, 2]), np.array([1]))])):
        sets = from_splitter(pairs, 3)
        assert (sets.train[0].tolist(), sets.held_out[0].tolist()) == ([0, 2], [1])


def test_the_default_folds_are_scikit_learns() -> None:
    """Classes are stratified, numbers shuffled, by scikit-learn and the seed."""
    expected = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=3).split(LABELS, LABELS)
    assert_same(folds(LABELS, "classification", repeats=2, seed=3), expected)
    assert folds(NUMBERS, "regression", repeats=3).count == 15
    first, again, other = (folds(NUMBERS, "regression", seed=seed).train[0] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 60), st.integers(2, 4), st.integers(1, 2), st.integers(0, 99))
def test_folds_are_partitions(n: int, cv: int, repeats: int, seed: int) -> None:
    """In every repeat each row is held out once, and trains wherever it is not held out."""
    sets = folds(np.arange(n, dtype=float), "regression", cv=cv, repeats=repeats, seed=seed)
    for start in range(0, sets.count, cv):
        assert sorted(np.concatenate(sets.held_out[start : start + cv])) == list(range(n))
    for train, held_out in zip(sets.train, sets.held_out, strict=True):
        assert sorted([*train, *held_out]) == list(range(n))


@pytest.mark.parametrize(("target", "task"), [(LABELS, "classification"), (NUMBERS, "regression")])
def test_groups_stay_together(target: Any, task: str) -> None:
    """No group is on both sides of a row set, whereas without groups some are."""
    groups = np.repeat(np.arange(10), 4)

    def shared(sets: RowSets) -> int:
        return sum(np.intersect1d(groups[a], groups[b]).size for a, b in zip(sets.train, sets.held_out, strict=True))

    names = [f"patient {group}" for group in groups]
    assert shared(folds(target, task, groups=names, cv=3, repeats=2)) == 0
    assert folds(target, task, groups=names, cv=3, repeats=2).count == 6
    assert shared(folds(target, task, cv=3)) > 0


def test_numbers_may_be_alike_in_a_row_set() -> None:
    """One class only is refused for classes; a regression may train on equal numbers."""
    assert folds(np.array([1.0, 1.0, 2.0]), "regression", cv=[([0, 1], [2])]).count == 1


def test_repeats_are_not_independent() -> None:
    """Repeats of folds carry the information of one, whoever repeats them; row sets of any other sort count each."""
    groups = np.repeat(np.arange(10), 4)
    for options in ({}, {"groups": groups}):
        repeated = folds(LABELS, "classification", cv=4, repeats=3, **options)
        assert (repeated.count, repeated.folds_per_repeat, repeated.independent) == (12, 4, 4)
        once = folds(LABELS, "classification", cv=4, **options)
        assert (once.count, once.folds_per_repeat, once.independent) == (4, 0, 4)
    assert folds(LABELS, "classification", cv=RepeatedStratifiedKFold(n_splits=4, n_repeats=3)).independent == 4


def test_time_folds_hold_out_the_future() -> None:
    """With distinct times the folds are scikit-learn's on the sorted rows."""
    time = np.random.default_rng(0).permutation(40)
    order = np.argsort(time)
    expected = [(order[a], order[b]) for a, b in TimeSeriesSplit(4).split(order)]
    assert_same(folds(NUMBERS, "regression", cv=4, time=time), expected)


def test_no_moment_is_on_both_sides() -> None:
    """Rows of one moment stay together, and all training rows are earlier than the held-out ones."""
    time = np.repeat(np.arange(8), 5)[::-1]
    sets = folds(LABELS, "classification", cv=3, time=time)
    for train, held_out in zip(sets.train, sets.held_out, strict=True):
        assert time[train].max() < time[held_out].min()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cv": 1}, "'cv' must be at least 2 folds. Got 1"),
        ({"cv": 41}, "40 rows with a target, fewer than the 41 folds"),
        ({"cv": 20}, "Class 'no' has 16 rows, fewer than the 20 folds: use at most 16 folds"),
        ({"repeats": 0}, "'repeats' must be a whole number of at least 1. Got 0"),
        ({"repeats": 2, "cv": KFold(3)}, "need a number of folds"),
        ({"groups": [1, 2] * 20, "time": list(range(40))}, "either groups or a time column"),
        ({"groups": [1, 2] * 20}, "2 groups, fewer than the 5 folds"),
        ({"groups": [1, None] * 20}, "groups column has 20 missing values, first in data row 2"),
        ({"groups": [1]}, "groups column must have 40 values"),
        ({"time": [1, 2] * 20}, "2 different times, but 5 folds need at least 6"),
        ({"time": list(range(40)), "repeats": 2}, "'repeats' must be 1"),
        ({"cv": StratifiedKFold(30)}, "cannot split this table"),
        ({"cv": [([0], [0])]}, "both train and are held out"),
        ({"cv": [([0, 1], [2]), ([0, 1], [])]}, "Row set 2 of 'cv' holds no rows out: give it rows"),
        ({"cv": [([0, 1], [2]), ([1, 2], [0])]}, "Row set 2 of 2 trains on rows of one class only, 'yes': use fewer"),
        ({"cv": PredefinedSplit(1 - LABELS)}, "Row set 1 of 2 trains on rows of one class only, 'no'"),
        ({"cv": 2, "groups": LABELS}, "trains on rows of one class only"),
        ({"cv": 3, "time": np.argsort(np.argsort(LABELS, kind="stable"))}, "Row set 1 of 3 .* only, 'no'"),
    ],
    ids=str,
)
def test_bad_folds_get_a_sentence(options: dict[str, Any], message: str) -> None:
    """Folds that cannot be made are refused with the reason and what to do."""
    with pytest.raises(InputError, match=message):
        folds(LABELS, "classification", classes=("no", "yes"), **options)


@pytest.mark.parametrize("cv", [2.5, "five", None, True, [1, 2], [([0.5], [1])]], ids=str)
def test_cv_of_another_type_is_refused(cv: Any) -> None:
    """A `cv` that is no number, splitter or list of pairs says what it may be."""
    with pytest.raises(InputTypeError, match=r"'cv' must be|row numbers"):
        folds(LABELS, "classification", cv=cv)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("grouped", [False, True])
def test_further_repeats_begin_with_those_that_were_drawn(task: str, grouped: bool) -> None:
    """Drawing the folds anew adds repeats behind the first, which stay as they are; the new ones are others."""
    target, groups = np.arange(60) % 2, np.arange(60) // 2 if grouped else None
    first = folds(target, task, cv=3, repeats=2, groups=groups, seed=4)
    found = first.further(8)
    assert found is not None
    every, new = found
    assert (every.count, new.count, every.independent, new.independent) == (24, 18, 3, 3)
    for r in range(24):
        mine = first if r < 6 else new
        np.testing.assert_array_equal(every.held_out[r], mine.held_out[r if r < 6 else r - 6])
    assert len({tuple(sorted(rows)) for rows in every.held_out}) == 24


def test_folds_that_can_be_drawn_in_one_way_only() -> None:
    """A splitter of one's own and moments in time decide themselves; as many as there are is nothing new."""
    target = np.arange(40.0)
    assert folds(target, "regression", cv=KFold(4)).further(4) is None
    assert folds(target, "regression", cv=4, time=np.arange(40)).further(4) is None
    assert folds(target, "regression", cv=4, repeats=2).further(2) is None
