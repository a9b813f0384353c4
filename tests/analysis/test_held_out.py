"""Every row with its held-out predictions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fitwell.analysis.held_out import ANSWER, held_out_rows


def test_classes_have_a_column_for_each_probability() -> None:
    """The loss is the answer's, a class goes by its name, and what was never held out is null."""
    answer = np.array([[0.2, 0.8], [0.5, 0.5], [np.nan, np.nan]])
    frame = held_out_rows("classification", np.array([1, 0, 1]), ("no", "yes"), np.array([1, 3, 4]), {ANSWER: answer})
    assert frame.columns == ["row", "target", "loss", "answer: no", "answer: yes"]
    assert frame["row"].to_list() == [1, 3, 4]
    assert frame["target"].to_list() == ["yes", "no", "yes"]
    assert frame["loss"].to_list()[:2] == pytest.approx([-np.log(0.8), -np.log(0.5)])
    assert frame.row(2)[2:] == (None, None, None)


def test_numbers_have_one_column_for_each_predictor() -> None:
    """In the target's unit, with the squared error of the answer and of no other."""
    predicted = {ANSWER: np.array([1.0, 2.0]), "unregularized": np.array([5.0, 5.0])}
    frame = held_out_rows("regression", np.array([1.0, 4.0]), (), np.array([1, 2]), predicted)
    assert frame.columns == ["row", "target", "loss", "answer", "unregularized"]
    assert frame["loss"].to_list() == [0.0, 4.0]


def test_weights_stand_in_a_column_of_their_own() -> None:
    """Behind what a row is called; the loss is of the row itself, whatever it counts."""
    keys, weights = pl.Series(["a", "b"]), np.array([0.5, 1.5])
    values = "regression", np.array([1.0, 4.0]), (), np.array([1, 2]), {ANSWER: np.array([1.0, 2.0])}
    frame = held_out_rows(*values, keys, weights)
    assert frame.columns == ["row", "key", "weight", "target", "loss", "answer"]
    assert frame["weight"].to_list() == [0.5, 1.5]
    assert frame.drop("weight").equals(held_out_rows(*values, keys))
