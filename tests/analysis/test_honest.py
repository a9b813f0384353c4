"""Honest scores: surfaces of rows by a plain loop, and choices dealt to the folds that held their rows out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from fitwell.analysis.bootstrap import bbc
from fitwell.analysis.honest import bbc_score, for_positive, row_surface, rule_on_rows
from fitwell.analysis.intervals import Interval

HELD_OUT = tuple(np.array(rows) for rows in ([0, 3, 5], [1, 4], [2, 0, 1], [4, 3]))
"""Two repeats of two folds; row 6 is never held out, rows 2 and 5 once."""
ROWS = 7


def losses(seed: int = 0, strengths: int = 3, epochs: int = 4) -> np.ndarray:
    """Losses [R, G, E, h_max]; strength 1 left after two epochs, padding is NaN."""
    made = np.random.default_rng(seed).gamma(2.0, size=(len(HELD_OUT), strengths, epochs, 3))
    made[:, 1, 2:] = np.nan
    for r, rows in enumerate(HELD_OUT):
        made[r, :, :, len(rows) :] = np.nan
    return made


def test_the_surface_by_a_plain_loop() -> None:
    """Each row has the mean over the row sets that held it out, at each strength and epoch that was trained."""
    made = losses()
    surface = row_surface(made, HELD_OUT, ROWS)
    trained = [(g, e) for g in range(3) for e in range(4) if g != 1 or e < 2]
    assert surface.shape == (ROWS, len(trained))
    for i in range(ROWS):
        for column, (g, e) in enumerate(trained):
            values = [made[r, g, e, list(rows).index(i)] for r, rows in enumerate(HELD_OUT) if i in rows]
            expected = np.mean(values) if values else np.nan
            np.testing.assert_allclose(surface[i, column], expected, rtol=1e-12)


def test_rows_never_held_out_are_left_out() -> None:
    """They are NaN in the surface, and a score is that of the others alone."""
    surface = row_surface(losses(), HELD_OUT, ROWS)
    assert np.isnan(surface[6]).all()
    assert np.isfinite(surface[:6]).all()
    assert bbc_score(surface, "loss") == bbc_score(surface[:6], "loss")


def test_a_network_that_diverged_on_one_row_set_is_no_candidate() -> None:
    """Where a strength has no losses on one row set it has no column, at whatever epoch."""
    made = losses()
    made[2, 0, 1:] = np.nan
    assert row_surface(made, HELD_OUT, ROWS).shape == (ROWS, 1 + 2 + 4)


def test_one_column_is_the_mean() -> None:
    """Without a choice there is nothing to correct: the score is the mean up to the noise of the draws."""
    column = np.random.default_rng(1).gamma(2.0, size=(200, 1))
    score = bbc_score(column, "loss")
    assert score.naive == pytest.approx(column.mean(), rel=1e-12)
    assert score.value == pytest.approx(column.mean(), rel=0.005)
    assert score.interval.low < column.mean() < score.interval.high


def test_a_constant_column_is_certain() -> None:
    """Losses that are all the same have a point for an interval."""
    score = bbc_score(np.full((20, 1), 0.5), "loss", test_to_train=0.25)
    assert (score.naive, score.value, score.interval.low, score.interval.high) == pytest.approx((0.5,) * 4)


def test_the_choice_is_corrected() -> None:
    """Of a hundred columns of noise the lowest is too good; the score is what they all are. The naive is the break."""
    surface = 1 + 0.5 * np.random.default_rng(2).normal(size=(150, 100))
    score = bbc_score(surface, "loss")
    assert score.naive == pytest.approx(surface.mean(axis=0).min())
    assert score.naive < 0.92
    assert abs(score.value - 1) < 0.03


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_by_hand(level: float) -> None:
    """The variance over rows and the share of rows in common, symmetric for the logarithm of the loss."""
    surface = np.random.default_rng(3).gamma(2.0, size=(80, 3))
    score, plain = bbc_score(surface, "loss", test_to_train=0.25, level=level), bbc(surface, level=level)
    reach = ndtri((1 + level) / 2)
    half = reach * plain.standard_error * np.sqrt(1.5) / plain.interval.estimate
    expected = plain.interval.estimate * np.exp([-half, half])
    assert (score.interval.low, score.interval.high) == pytest.approx(tuple(expected))
    alone = bbc_score(surface, "loss", level=level).interval
    assert alone.high - alone.low < score.interval.high - score.interval.low  # folds share rows


def test_a_loss_below_zero_has_an_interval_too() -> None:
    """It is symmetric for the loss itself, which has no logarithm."""
    interval = bbc_score(-np.random.default_rng(4).gamma(2.0, size=(80, 2)), "loss").interval
    assert interval.estimate - interval.low == pytest.approx(interval.high - interval.estimate)
    assert interval.low < interval.estimate < 0


def test_a_loss_that_may_be_negative_has_no_logarithm() -> None:
    """A mean just above zero has an interval that reaches below it; of losses that are never negative, none does."""
    losses = np.random.default_rng(2).normal(0.02, 1, (200, 1))
    interval = bbc_score(losses - losses.mean() + 0.01, "nll").interval
    assert interval.low < 0 < interval.estimate
    assert interval.high - interval.estimate == pytest.approx(interval.estimate - interval.low)
    symmetric = Interval(1.0, -1.0, 3.0, 0.9)
    assert for_positive(symmetric, np.array([-0.1, 2.0])) == symmetric
    positive = for_positive(symmetric, np.array([0.0, 2.0, np.nan]))
    assert (positive.low, positive.high) == pytest.approx((np.exp(-2), np.exp(2)))


def test_rows_are_dealt_to_their_folds() -> None:
    """A rule sees, fold by fold, the mean of the drawn rows that the fold held out, as often as they were drawn."""
    row_loss = np.arange(12.0).reshape(6, 2) ** 2
    held_out = (np.array([4, 0]), np.array([1, 5]), np.array([2]))
    seen: list[Any] = []

    def rule(by_fold: np.ndarray) -> int:
        seen.append(by_fold)
        return 1

    choose = rule_on_rows(rule, row_loss, held_out)
    assert choose(np.array([0, 0, 4, 5, 2, 2])) == 1
    np.testing.assert_allclose(seen[0], [(2 * row_loss[0] + row_loss[4]) / 3, row_loss[5], row_loss[2]])
    choose(np.array([0, 2]))  # no row of the second fold was drawn
    np.testing.assert_allclose(seen[1], [row_loss[0], row_loss[2]])
    choose(np.array([3, 0]))  # row 3 was never held out
    np.testing.assert_allclose(seen[2], [row_loss[0]])


def test_a_score_in_words() -> None:
    """It names the loss and says which number is optimistic."""
    text = str(bbc_score(np.random.default_rng(5).gamma(2.0, size=(60, 4)), "log loss"))
    assert text.startswith("log loss on new rows: ")
    assert "uncorrected, which is optimistic: " in text
