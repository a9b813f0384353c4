"""What a row set's training rows must have, said by name."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK

import fitwell
import keras
from fitwell.data.row_sets import RowSets, folds
from fitwell.data.training_rows import check_weights, warn_of_unseen_classes
from fitwell.errors import FitwellWarning, InputError
from fitwell.problems.tables import read_table

FARMS = ["north", "south", "west", "east"] * 6
"""The farm of each row."""


def told(*arguments: Any, **options: Any) -> list[str]:
    """The warnings of a function of unseen classes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_unseen_classes(*arguments, **options)
    return [str(one.message) for one in caught if one.category is FitwellWarning]


def by_farm(cv: int = 4, repeats: int = 1) -> RowSets:
    return folds(np.arange(24.0), "regression", cv=cv, repeats=repeats, groups=FARMS)


def fold_of(rows: RowSets, farm: str) -> int:
    """The row set, counted from 1, that holds a farm out."""
    return next(r + 1 for r, held_out in enumerate(rows.held_out) if FARMS[held_out[0]] == farm)


def test_weights_of_nothing_are_refused_by_fold_and_group() -> None:
    """A row set whose training rows all weigh 0 is named with the group it holds out; so is one that scores none."""
    weight, rows = np.where(np.array(FARMS) == "south", 1.0, 0.0), by_farm()
    number = fold_of(rows, "south")
    message = f"Row set {number} of 4, which holds out the group 'south', would train on nothing, for all its"
    with pytest.raises(InputError, match=message):
        check_weights(rows, weight, None)
    with pytest.raises(InputError, match=r"holds out the group '(north|west|east)', would be measured on nothing"):
        check_weights(rows, None, weight)
    check_weights(rows, np.where(np.array(FARMS) == "south", 0.0, 1.0), None)  # others train it
    check_weights(rows, None, None)


def test_weights_without_groups() -> None:
    """Without groups the row set is named by its number; rows held out of a refit are none, and weigh nothing."""
    rows = RowSets((np.array([0, 1], np.int32),) * 2, (np.array([2], np.int32), np.zeros(0, np.int32)), 3)
    with pytest.raises(InputError, match=r"^Row set 1 of 2 would train on nothing"):
        check_weights(rows, np.array([0, 0, 1.0]), None)
    check_weights(rows, np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))


def test_a_class_of_one_group_is_named() -> None:
    """A class that lives in one group only is named with the group and its row sets; classes in all groups are not."""
    rare, rows = np.where((np.arange(24) % 4 == 3) & (np.arange(24) > 8), 2, np.arange(24) // 4 % 2), by_farm()
    assert told(rows, rare, ("calf", "cow", "yak")) == [
        "Class 'yak' is in the group 'east' only: it is held out and not trained on in row set "
        f"{fold_of(rows, 'east')} of 4, where its loss says nothing. Add groups that have it, or leave the class out."
    ]
    twice = by_farm(repeats=2)
    assert "in row sets " in told(twice, rare)[0]
    assert told(rows, np.arange(24) // 4 % 2) == []


def test_a_class_of_groups_that_one_fold_holds_out() -> None:
    """Two groups that are held out together hide their class as one does; held out apart they do not."""
    rare = np.where(np.isin(FARMS, ["north", "east"]), 1, 0)
    train, held_out = (np.flatnonzero(rare == value).astype(np.int32) for value in (0, 1))
    together = RowSets((train,), (held_out,), 24, 0, by_farm().groups, by_farm().group_names)
    assert "Class '1' is in the groups 'east', 'north' only" in told(together, rare)[0]
    assert told(by_farm(), rare) == []


def test_many_classes_are_counted() -> None:
    """No more than three classes are named."""
    said = told(by_farm(), np.arange(24) % 4)
    assert len(said) == 4
    assert said[-1] == "1 more class is held out by row sets that never train on it."


def test_a_class_that_comes_late() -> None:
    """With time a class that no earlier row has is named, too."""
    table = pl.DataFrame({"day": range(40), "x": np.sin(range(40)), "y": ["a", "b"] * 15 + ["c"] * 10})
    with pytest.warns(FitwellWarning, match=r"Class 'c' is held out and not trained on in row set 3 of 4, where"):
        read_table(table, "y", cv=4, time="day")


def test_a_table_says_it() -> None:
    """`tune` of a table warns by the names of the class and the group, once, and goes on."""
    random = np.random.default_rng(0)
    y = np.where(np.array(FARMS) == "west", "yak", np.where(np.arange(24) < 12, "cow", "calf"))
    table = pl.DataFrame({"x": random.normal(size=24), "farm": FARMS, "y": y})
    with pytest.warns(FitwellWarning, match="Class 'yak' is in the group 'west' only") as caught:
        fitwell.tune(table, "y", **{**QUICK, "groups": "farm", "cv": 4, "strengths": 1, "epochs": 1})
    assert len([one for one in caught if one.category is FitwellWarning]) == 1


def test_a_keras_model_says_it() -> None:
    """`tune` of a model on arrays refuses weights of nothing, also by class_weight, and warns of unseen classes."""
    x, y = np.random.default_rng(0).normal(size=(24, 3)), np.where(np.array(FARMS) == "west", 2, np.arange(24) // 4 % 2)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    options = {"groups": FARMS, "cv": 4, "strengths": 1, "epochs": 1}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitwellWarning)
        fitwell.tune(model, x, y, **options)
    assert [str(one.message)[:41] for one in caught] == ["Class '2' is in the group 'west' only: it"]
    refused = "which holds out the group 'west', would train on nothing"
    with pytest.raises(InputError, match=refused):
        fitwell.tune(model, x, y, sample_weight=(y == 2).astype(float), **options)
    with pytest.raises(InputError, match=refused):
        fitwell.tune(model, x, y, class_weight={0: 0.0, 1: 0.0}, **options)
