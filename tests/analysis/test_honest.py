"""Honest scores: surfaces of units by a plain loop, and choices of strength and epoch by draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri
from statistical import within

from fitwell.analysis import honest
from fitwell.analysis.bootstrap import bbc
from fitwell.analysis.honest import Rule, Surface, bbc_score, for_positive
from fitwell.analysis.intervals import Interval
from fitwell.data.row_sets import RowSets
from fitwell.engine.records import Records

SETS = RowSets(
    tuple(np.array(rows, np.int32) for rows in ([1, 2, 4], [0, 3, 5], [3, 4], [0, 1, 2])),
    tuple(np.array(rows, np.int32) for rows in ([0, 3, 5], [1, 4, 2], [2, 0, 1], [4, 3])),
    7,
    folds_per_repeat=2,
)
"""Two repeats of two folds; row 6 is never held out, row 5 once."""
STRENGTHS, EPOCHS = 3, 4


def recorded(units: np.ndarray, seed: int = 0) -> tuple[Records, np.ndarray]:
    """Records of losses [R, G, E, h_max], and these."""
    losses = np.random.default_rng(seed).gamma(2.0, size=(SETS.count, STRENGTHS, EPOCHS, 3))
    records = Records.empty(SETS, units, STRENGTHS, EPOCHS)
    records.keep(np.arange(STRENGTHS), slice(0, EPOCHS), losses)
    return records, losses


USABLE = np.array([[True] * 4, [True, True, False, False], [False] * 4])
"""Strength 1 left after two epochs, strength 2 diverged."""
CANDIDATES = [(g, e) for g, e in np.argwhere(USABLE)]


def one_row_set(losses: np.ndarray) -> Surface:
    """Losses [n, J] of n units of one row, J strengths of one epoch, in one row set."""
    rows, count = losses.shape
    return Surface((np.arange(rows),), np.arange(count), count, 1, (np.ones(rows, int),), (losses.T,))


@pytest.mark.parametrize("units", [np.arange(7), np.array([0, 0, 1, 1, 1, 2, 2])])
def test_the_surface_by_a_plain_loop(units: np.ndarray) -> None:
    """Sums over all row sets, and means of each over the rows drawn, by loops over rows."""
    records, losses = recorded(units)
    surface = Surface.of(records, USABLE, folds=2)
    assert surface.strength.tolist() == [g for g, _ in CANDIDATES]
    sums, sizes = surface.joined()
    names = np.unique(units[:6])
    counts = np.random.default_rng(1).integers(1, 3, size=(5, len(names)))
    means = surface.means(counts)
    for column, (g, e) in enumerate(CANDIDATES):
        for u, name in enumerate(names):
            of = [
                losses[r, g, e, p]
                for r, held in enumerate(SETS.held_out)
                for p, i in enumerate(held)
                if units[i] == name
            ]
            assert (sums[column, u], sizes[u]) == (pytest.approx(sum(of)), len(of))
        for draw, r in np.ndindex(5, SETS.count):
            times = [counts[draw, list(names).index(units[i])] for i in SETS.held_out[r]]
            expected = np.average(losses[r, g, e, : len(times)], weights=times)
            assert means[draw, r, column] == pytest.approx(expected)


def plain_choice(means: np.ndarray, rule: Rule | None, folds: int) -> int:
    """Candidate of one draw [R, J] by loops: strengths at their best epochs, then the rule."""
    kept = [r for r in range(len(means)) if not np.isnan(means[r, 0])]
    overall = means[kept].mean(axis=0)
    best = {g: min((j for j, (h, _) in enumerate(CANDIDATES) if h == g), key=lambda j: overall[j]) for g in (0, 1)}
    if rule is None:
        return min(best.values(), key=lambda j: overall[j])
    if len(kept) < len(means):
        first = [r for r in kept if r < folds] or [r for r in kept if r < 2 * folds]
        kept, folds = first, len(first)
    losses = np.full((len(kept), STRENGTHS), np.inf)
    for g, j in best.items():
        losses[:, g] = means[kept, j]
    return best[rule(losses, folds)]


@pytest.mark.parametrize("rule", [None, lambda losses, folds: int(losses.max(axis=0).argmin())])
def test_every_draw_chooses_strength_and_epoch(rule: Rule | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a plain loop does, also where a draw misses a fold, and in whatever chunks; strength 2 never."""
    surface = Surface.of(recorded(np.arange(7))[0], USABLE, folds=2)
    counts = np.random.default_rng(2).multinomial(6, np.full(6, 1 / 6), size=300)
    counts[0] = [3, 0, 0, 3, 0, 0]
    means = surface.means(counts)
    assert np.isnan(means[0, 1]).all()
    expected = [plain_choice(one, rule, 2) for one in means]
    assert surface.choosing(rule)(counts).tolist() == expected
    assert len(set(expected)) > 2
    monkeypatch.setattr(honest, "_BYTES", 1000)
    assert surface.choosing(rule)(counts).tolist() == expected


def test_a_rule_hears_of_the_folds() -> None:
    """It is given the row sets of one repeat, and where a draw misses some the others of a repeat that it has."""
    surface = Surface.of(recorded(np.arange(7))[0], USABLE, folds=2)
    heard = []

    def rule(losses: np.ndarray, folds: int) -> int:
        heard.append((losses.shape, folds))
        return 0

    surface.choosing(rule)(np.array([[1, 1, 1, 1, 1, 1], [3, 0, 0, 3, 0, 0], [0, 6, 0, 0, 0, 0]]))
    assert heard == [((4, 3), 2), ((1, 3), 1), ((1, 3), 1)]


def test_the_epoch_is_corrected_too() -> None:
    """One strength, a hundred epochs of noise: the score is what they all are. The naive is the break."""
    losses = 1 + 0.5 * np.random.default_rng(2).normal(size=(150, 100))
    surface = Surface((np.arange(150),), np.zeros(100, int), 1, 1, (np.ones(150, int),), (losses.T,))
    for rule in (None, lambda *_: 0):
        score = bbc_score(surface, "loss", rule=rule)
        assert abs(score.value - 1) < 0.03
        assert score.naive == pytest.approx(losses.mean(axis=0).min())
        assert score.naive < 0.92


def test_one_column_is_the_mean() -> None:
    """Without a choice there is nothing to correct: the score is the mean up to the noise of the draws."""
    column = np.random.default_rng(1).gamma(2.0, size=(200, 1))
    score = bbc_score(one_row_set(column), "loss")
    assert score.naive == pytest.approx(column.mean(), rel=1e-12)
    assert score.value == pytest.approx(column.mean(), rel=0.005)
    assert score.interval.low < column.mean() < score.interval.high


def test_a_constant_column_is_certain() -> None:
    """Losses that are all the same have a point for an interval."""
    score = bbc_score(one_row_set(np.full((20, 1), 0.5)), "loss", test_to_train=0.25)
    assert (score.naive, score.value, score.interval.low, score.interval.high) == pytest.approx((0.5,) * 4)


def test_a_constant_loss_is_certain_whatever_rows_weigh() -> None:
    """Sizes are weights, too: where every row loses the same, weights add no error. Sizes of rows are the break."""
    losses, weight = np.full((1, 1, 1, 3), 0.4), np.array([0.1, 3.0, 0.7, 1.0])
    sets = RowSets((np.array([3], np.int32),), (np.arange(3, dtype=np.int32),), 4)
    records = Records.empty(sets, np.arange(4), 1, 1, weight)
    records.keep(np.array([0]), slice(0, 1), losses)
    surface = Surface.of(records, np.ones((1, 1), bool), folds=1)
    score = bbc_score(surface, "loss")
    assert (score.naive, score.value) == (pytest.approx(0.4), pytest.approx(0.4))
    assert score.interval.high - score.interval.low < 1e-9
    counted = bbc_score(replace(surface, sizes=(np.ones(3),)), "loss")
    assert counted.interval.high - counted.interval.low > 0.1


@pytest.mark.slow
def test_weighted_intervals_cover() -> None:
    """Rows with weights of a gamma distribution, on which losses depend: 90% of the intervals hold the true loss.

    With numbers of rows for sizes, as if weights were part of the losses, they are half as wide again.
    """
    rng, held, widths = np.random.default_rng(0), [], []
    train, held_out = np.array([200], np.int32), np.arange(200, dtype=np.int32)

    def loss_of(weight: np.ndarray) -> np.ndarray:
        return rng.gamma(2.0, size=len(weight)) * np.where(weight > 0.7, 1.5, 1)

    drawn = rng.gamma(0.7, size=2_000_000)
    true = (drawn * np.where(drawn > 0.7, 3, 2)).mean() / drawn.mean()  # a gamma of 2 has the mean 2
    for _ in range(200):
        weight = np.append(rng.gamma(0.7, size=200), 1.0)
        records = Records.empty(RowSets((train,), (held_out,), 201), np.arange(201), 1, 1, weight)
        records.keep(np.array([0]), slice(0, 1), loss_of(weight[:200])[None, None, None])
        surface = Surface.of(records, np.ones((1, 1), bool), folds=1)
        counted = replace(surface, sizes=(np.full(200, weight[:200].mean()),))
        one, other = (bbc_score(each, "loss").interval for each in (surface, counted))
        held.append(within(one, true))
        widths.append((other.high - other.low) / (one.high - one.low))
    assert 0.84 < np.mean(held) < 0.95
    assert np.mean(widths) > 1.3


def test_the_choice_is_corrected() -> None:
    """Of a hundred columns of noise the lowest is too good; the score is what they all are. The naive is the break."""
    losses = 1 + 0.5 * np.random.default_rng(2).normal(size=(150, 100))
    score = bbc_score(one_row_set(losses), "loss")
    assert score.naive == pytest.approx(losses.mean(axis=0).min())
    assert score.naive < 0.92
    assert abs(score.value - 1) < 0.03


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_by_hand(level: float) -> None:
    """The variance over rows and the share of rows in common, symmetric for the logarithm of the loss."""
    losses = np.random.default_rng(3).gamma(2.0, size=(80, 3))
    surface, plain = one_row_set(losses), bbc(losses.T, np.ones(80), level=level)
    score = bbc_score(surface, "loss", test_to_train=0.25, level=level)
    reach = ndtri((1 + level) / 2)
    half = reach * plain.standard_error * np.sqrt(1.5) / plain.interval.estimate
    expected = plain.interval.estimate * np.exp([-half, half])
    assert (score.interval.low, score.interval.high) == pytest.approx(tuple(expected))
    alone = bbc_score(surface, "loss", level=level).interval
    assert alone.high - alone.low < score.interval.high - score.interval.low  # folds share rows


def test_a_loss_below_zero_has_an_interval_too() -> None:
    """It is symmetric for the loss itself, which has no logarithm."""
    interval = bbc_score(one_row_set(-np.random.default_rng(4).gamma(2.0, size=(80, 2))), "loss").interval
    assert interval.estimate - interval.low == pytest.approx(interval.high - interval.estimate)
    assert interval.low < interval.estimate < 0


def test_a_loss_that_may_be_negative_has_no_logarithm() -> None:
    """A mean just above zero has an interval that reaches below it; of losses that are never negative, none does."""
    losses = np.random.default_rng(2).normal(0.02, 1, (200, 1))
    interval = bbc_score(one_row_set(losses - losses.mean() + 0.01), "nll").interval
    assert interval.low < 0 < interval.estimate
    assert interval.high - interval.estimate == pytest.approx(interval.estimate - interval.low)
    symmetric = Interval(1.0, -1.0, 3.0, 0.9)
    assert for_positive(symmetric, np.array([-0.1, 2.0])) == symmetric
    positive = for_positive(symmetric, np.array([0.0, 2.0, np.nan]))
    assert (positive.low, positive.high) == pytest.approx((np.exp(-2), np.exp(2)))


def test_a_score_in_words() -> None:
    """It names the loss and says which number is optimistic."""
    text = str(bbc_score(one_row_set(np.random.default_rng(5).gamma(2.0, size=(60, 4))), "log loss"))
    assert text.startswith("log loss on new rows: ")
    assert "uncorrected, which is optimistic: " in text
