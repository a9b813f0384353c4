"""Row sets of row sets: smaller ones are parts of the larger, inner ones never see two folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fitwell.data.resampling import inner_number, nested_folds, part_of, with_fewer_rows
from fitwell.data.row_sets import RowNumbers, RowSets, folds
from fitwell.errors import InputError

SHARES = (0.125, 0.25, 0.5, 1.0)
CLASSES = np.array([0] * 60 + [1] * 25 + [2] * 11)[np.random.default_rng(3).permutation(96)]
SETS = folds(CLASSES, "classification", cv=4, repeats=2, seed=1)


def ints(*values: int) -> RowNumbers:
    """Row numbers."""
    return np.array(values, np.int32)


def by_share(sets: RowSets, shares: tuple[float, ...] = SHARES, *, stratified: bool = True, seed: int = 0) -> list:
    """The training rows of every row set, for each share."""
    made = with_fewer_rows(sets, shares, CLASSES if stratified else None, seed)
    return [made.train[i : i + sets.count] for i in range(0, made.count, sets.count)]


@pytest.mark.parametrize("stratified", [True, False])
def test_smaller_sets_are_parts_of_the_larger(stratified: bool) -> None:
    """Each share's rows are among those of the next share and among the training rows, none twice."""
    sizes = by_share(SETS, stratified=stratified)
    for share, trained in zip(SHARES, sizes, strict=True):
        assert [len(rows) for rows in trained] == [round(share * len(rows)) for rows in SETS.train]
        assert all(len(set(rows)) == len(rows) for rows in trained)
    for fewer, more in zip(sizes, [*sizes[1:], SETS.train], strict=True):
        assert all(set(small) <= set(large) for small, large in zip(fewer, more, strict=True))


def test_held_out_rows_stay() -> None:
    """Every size is measured on the same rows, and repeats are still known as repeats."""
    made = with_fewer_rows(SETS, SHARES, CLASSES, 0)
    assert (made.n_rows, made.folds_per_repeat, made.independent) == (SETS.n_rows, SETS.count, SETS.count)
    for s in range(len(SHARES)):
        for r in range(SETS.count):
            np.testing.assert_array_equal(made.held_out[s * SETS.count + r], SETS.held_out[r])


def test_share_one_keeps_all_rows() -> None:
    """All rows train, in another order; the order alone is random."""
    for mine, theirs in zip(by_share(SETS)[-1], SETS.train, strict=True):
        np.testing.assert_array_equal(np.sort(mine), np.sort(theirs))
        assert (mine != theirs).any()


def test_a_share_is_at_least_one_row() -> None:
    """However small the share, something trains."""
    assert {len(rows) for rows in by_share(SETS, (1e-6,))[0]} == {1}


@given(arrays(int, st.integers(8, 60), elements=st.integers(0, 1)), st.floats(0.05, 1.0), st.integers(0, 99))
def test_two_classes_keep_their_shares_to_a_row(labels: np.ndarray, share: float, seed: int) -> None:
    """Of two classes each has its share of the smaller set, off by less than one row."""
    sets = RowSets((np.arange(len(labels), dtype=np.int32),), (ints(),), len(labels))
    kept = with_fewer_rows(sets, [share], labels, seed).train[0]
    for label in (0, 1):
        expected = (labels == label).mean() * len(kept)
        assert abs((labels[kept] == label).sum() - expected) < 1 + 1e-9


def worst(stratified: bool) -> float:
    """How far a class is from its share of a smaller set, in rows, at most."""
    found = []
    for trained in by_share(SETS, (0.2, 0.4, 0.6, 0.8), stratified=stratified):
        for rows, all_rows in zip(trained, SETS.train, strict=True):
            counts, every = (np.bincount(CLASSES[part], minlength=3) for part in (rows, all_rows))
            found.append(np.abs(counts - every * len(rows) / len(all_rows)).max())
    return max(found)


def test_three_classes_keep_their_shares() -> None:
    """Of three classes none is off by two rows; drawn without classes (the break) one is off by more."""
    assert worst(stratified=True) < 2
    assert worst(stratified=False) > 2


def test_groups_are_drawn_whole() -> None:
    """But for the last of them, which is cut; without groups rows of most are drawn."""
    groups = np.arange(60) % 12
    made = folds(np.arange(60) % 2, "classification", cv=3, groups=groups)
    assert made.groups is not None
    half = with_fewer_rows(made, [0.5], np.arange(60) % 2, 0)
    for train, rows in zip(half.train, made.train, strict=True):
        sizes = np.bincount(groups[train])
        assert len(train) == round(len(rows) / 2)
        assert np.sum((sizes > 0) & (sizes < 5)) <= 1
    alone = with_fewer_rows(replace(made, groups=None), [0.5], None, 0)
    assert np.sum(np.bincount(groups[alone.train[0]]) % 5 > 0) > 1
    assert nested_folds(made).groups is made.groups


def test_the_seed_says_which_rows() -> None:
    """The same seed draws the same rows, another seed others, and every row set its own."""
    one, again, other = (by_share(SETS, (0.5,), seed=seed)[0] for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], one[1])


@st.composite
def repeated_folds(draw: st.DrawFn) -> RowSets:
    """K folds of unequal sizes, dealt anew for each repeat."""
    count, repeats = draw(st.integers(3, 6)), draw(st.integers(1, 3))
    n = draw(st.integers(2 * count, 20))
    generator = np.random.default_rng(draw(st.integers(0, 999)))
    dealt = [generator.permutation(np.arange(n) % count) for _ in range(repeats)]
    held_out = [np.flatnonzero(fold == k).astype(np.int32) for fold in dealt for k in range(count)]
    train = [np.flatnonzero(fold != k).astype(np.int32) for fold in dealt for k in range(count)]
    return RowSets(tuple(train), tuple(held_out), n, count if repeats > 1 else 0)


@given(repeated_folds())
def test_nested_by_its_definition(sets: RowSets) -> None:
    """Outer folds are as given; inner row set (k, j) holds out fold j and trains on all rows but folds j and k."""
    made, count = nested_folds(sets), sets.independent
    assert (made.count, made.independent) == (sets.count * count, count * count)
    for repeat in range(sets.count // count):
        first, place = repeat * count * count, 0
        fold = [set(sets.held_out[repeat * count + k].tolist()) for k in range(count)]
        for k in range(count):
            assert set(made.held_out[first + k].tolist()) == fold[k]
            assert set(made.train[first + k].tolist()) == set(range(sets.n_rows)) - fold[k]
        for k in range(count):
            for j in range(count):
                if j == k:
                    continue
                number = first + inner_number(count, k, j)
                assert number == first + count + place  # every place once, in order
                assert set(made.held_out[number].tolist()) == fold[j]
                assert set(made.train[number].tolist()) == set(range(sets.n_rows)) - fold[j] - fold[k]
                place += 1


@given(repeated_folds())
def test_no_inner_row_set_sees_its_outer_fold(sets: RowSets) -> None:
    """No row of fold k or j trains in (k, j); with k and j exchanged (the break) the held-out rows are others."""
    made, count = nested_folds(sets), sets.independent
    for repeat in range(sets.count // count):
        for k, j in np.ndindex(count, count):
            if k == j:
                continue
            number = repeat * count * count + inner_number(count, k, j)
            both = np.concatenate([sets.held_out[repeat * count + fold] for fold in (k, j)])
            assert not np.intersect1d(made.train[number], both).size
            exchanged = repeat * count * count + inner_number(count, j, k)
            np.testing.assert_array_equal(made.train[number], made.train[exchanged])
            assert not np.array_equal(made.held_out[number], made.held_out[exchanged])


def exchanged_rows() -> RowSets:
    """Three folds of nine rows of twelve, of which the first trains on as many rows as it should, but not on its."""
    held_out = (ints(0, 1, 2), ints(3, 4, 5), ints(6, 7, 8))
    return RowSets((ints(3, 4, 5, 9, 10, 11), ints(0, 1, 2, 6, 7, 8), ints(0, 1, 2, 3, 4, 5)), held_out, 12)


def overlapping() -> RowSets:
    """Three row sets, two of which hold out row 3."""
    held_out = (ints(0, 1, 3), ints(2, 3), ints(4, 5))
    return RowSets(tuple(np.setdiff1d(np.arange(6, dtype=np.int32), part) for part in held_out), held_out, 6)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: folds(np.arange(40.0), "regression", cv=4, time=np.arange(40)), id="time"),
        pytest.param(lambda: folds(np.arange(40.0), "regression", cv=3, time=np.arange(40)), id="time in three"),
        pytest.param(overlapping, id="overlapping"),
        pytest.param(lambda: folds(np.arange(40.0), "regression", cv=2), id="two folds"),
        pytest.param(lambda: replace(SETS, train=(SETS.train[0][1:], *SETS.train[1:])), id="a row left out"),
        pytest.param(exchanged_rows, id="other rows"),
    ],
)
def test_row_sets_that_are_no_folds(make: Callable[[], RowSets]) -> None:
    """Row sets whose training rows are not exactly the other folds get one sentence, not wrong numbers."""
    sets = make()
    with pytest.raises(InputError, match="needs at least 3 folds, each of which holds out other rows"):
        nested_folds(sets)


def test_a_part_is_of_each_row_sets_own_rows() -> None:
    """Nothing that is held out trains; every class keeps its share, held out too; and all rows are all rows."""
    rng = np.random.default_rng(0)
    strata = (rng.random(1000) < 0.1).astype(int)
    sets = folds(strata, "classification", cv=4, seed=0)
    part = part_of(sets, 0.2, 60, strata, 0)
    for r in range(4):
        assert set(part.train[r]) <= set(sets.train[r])
        assert set(part.held_out[r]) <= set(sets.held_out[r])
        assert (len(part.train[r]), len(part.held_out[r])) == (150, 60)
        for mine, whole in ((part.train[r], sets.train[r]), (part.held_out[r], sets.held_out[r])):
            assert abs(strata[mine].sum() - strata[whole].mean() * len(mine)) <= 1
    every = part_of(sets, 1.0, 0, strata, 0)
    for mine, whole in zip((*every.train, *every.held_out), (*sets.train, *sets.held_out), strict=True):
        np.testing.assert_array_equal(mine, whole)


def test_a_part_keeps_groups_whole() -> None:
    """Of the groups that train all rows are there, but of one."""
    groups = np.arange(600) // 10
    sets = folds(np.zeros(600), "regression", cv=3, groups=groups, seed=0)
    for mine in part_of(sets, 0.25, 0, None, 0).train:
        counts = np.bincount(groups[mine])
        assert (np.sort(counts[counts > 0])[1:] == 10).all()
