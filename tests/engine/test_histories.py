"""Histories: curves read at the right epochs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fitwell.engine.histories import Histories, joined

NAN = np.nan


@pytest.fixture
def histories() -> Histories:
    """Two row sets, three strengths, four epochs; the second stopped after two, the third never began."""
    curve = np.array([[[4, 3, 2, 3], [6, 5, NAN, NAN], [NAN] * 4], [[8, 7, 6, 7], [9, 8, NAN, NAN], [NAN] * 4]])
    return Histories(
        train_loss=curve / 2,
        held_out_loss=curve,
        train_metric=curve * 10,
        held_out_metric=curve * 100,
        best_epoch=np.array([3, 1, 0]),
        best_loss=np.array([4.0, 7.5, np.inf]),
        epochs=np.array([4, 2, 0]),
        diverged=np.zeros((2, 3), bool),
        row_loss=np.zeros((3, 5)),
        cut=np.zeros(3, bool),
    )


def test_at_best(histories: Histories) -> None:
    """Each strength is read at its own best epoch, counted from 1; where there is none stands NaN."""
    np.testing.assert_array_equal(histories.at_best("held_out_loss"), [[2, 6, NAN], [6, 9, NAN]])
    np.testing.assert_array_equal(histories.at_best("train_loss"), [[1, 3, NAN], [3, 4.5, NAN]])


def test_at_last(histories: Histories) -> None:
    """Each strength is read at the last epoch it trained."""
    np.testing.assert_array_equal(histories.at_last("held_out_metric"), [[300, 500, NAN], [700, 800, NAN]])


def test_order(histories: Histories) -> None:
    """Strengths stand from the lowest loss to the highest, ties in the order of the search."""
    assert histories.order.tolist() == [0, 1, 2]
    tied = np.array([np.inf, 2.0, 1.0, 2.0])
    none = np.zeros(4, bool)
    assert Histories(*[histories.train_loss] * 4, tied, tied, tied, tied, tied, none).order.tolist() == [2, 1, 3, 0]


def test_what_was_cut_ranks_behind_what_finished(histories: Histories) -> None:
    """Its loss might have fallen further, so it is compared with none; what diverged is behind it still."""
    losses, cut = np.array([np.inf, 2.0, 1.0, 2.5]), np.array([False, False, True, False])
    of = Histories(*[histories.train_loss] * 4, losses, losses, losses, losses, losses, cut)
    assert of.order.tolist() == [1, 3, 2, 0]


def test_joined_row_sets_choose_together(histories: Histories) -> None:
    """Best epochs are those of the mean over all; what one part did not train, or diverged in, is not usable."""
    other = replace(
        histories,
        held_out_loss=np.array([[[1, 9, 9, 9], [1, 1, 1, NAN], [NAN] * 4]]),
        **{
            name: getattr(histories, name)[:1] for name in ("train_loss", "train_metric", "held_out_metric", "diverged")
        },
        epochs=np.array([4, 3, 0]),
        cut=np.array([False, True, False]),
    )
    both = joined([histories, other])
    assert both.held_out_loss.shape == (3, 3, 4)
    assert both.best_epoch.tolist() == [1, 2, 0]
    assert both.best_loss.tolist() == pytest.approx([13 / 3, 14 / 3, np.inf])
    assert both.epochs.tolist() == [4, 2, 0]
    assert both.cut.tolist() == [False, True, False]
    broken = joined([histories, replace(other, diverged=np.array([[True, False, False]]))])
    assert broken.best_loss.tolist() == pytest.approx([np.inf, 14 / 3, np.inf])
