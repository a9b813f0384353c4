"""A score after choosing by it: equal to a plain loop over draws, and of a mean to what is done with losses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fitwell.analysis import replayed_scores
from fitwell.analysis.bootstrap import bbc
from fitwell.analysis.replayed_scores import HeldOutScores
from fitwell.analysis.scoring import scoring_named
from fitwell.errors import InputError

SETS, ROWS, STRENGTHS, DRAWS = 3, 40, 4, 10


def held_out(name: str = "average_precision", seed: int = 0, *, weighted: bool = False) -> HeldOutScores:
    """Make predictions of three folds by four strengths, of which the second diverged; units are the rows."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(2, size=(SETS, ROWS))
    raw = targets * 0.8 + rng.normal(size=(STRENGTHS - 1, SETS, ROWS)) * np.array([0.9, 1.0, 1.1])[:, None, None]
    second = 1 / (1 + np.exp(-raw))
    predictions = np.stack([1 - second, second], axis=-1)
    weights = rng.gamma(2.0, size=(SETS, ROWS)) if weighted else np.ones((SETS, ROWS))
    return HeldOutScores(
        units=tuple(np.arange(r * ROWS, (r + 1) * ROWS) for r in range(SETS)),
        strength=np.array([0, 2, 3]),
        strengths=STRENGTHS,
        folds=SETS,
        scoring=scoring_named(name),
        unit_of_row=(np.arange(ROWS),) * SETS,
        targets=tuple(targets),
        weights=tuple(weights),
        predictions=tuple(predictions[:, r] for r in range(SETS)),
    )


def by_hand(found: HeldOutScores, j: int, times: np.ndarray) -> float:
    """Score candidate j, with every row there `times` [SETS, ROWS], by scikit-learn."""
    scored = []
    for r in range(SETS):
        there = times[r] > 0
        weight = (times[r] * found.weights[r])[there]
        scored.append(
            average_precision_score(found.targets[r][there], found.predictions[r][j][there, 1], sample_weight=weight)
        )
    return float(np.mean(scored))


def plain_loop(found: HeldOutScores, chosen: int, *, leak: bool = False) -> float:
    """Choose in every draw by the rows drawn and score on the others; with a leak all rows choose."""
    rng, size, lost = np.random.default_rng(0), SETS * ROWS, []
    whole = np.ones((SETS, ROWS))
    draws = [np.bincount(rng.integers(size, size=size), minlength=size) for _ in range(DRAWS)]
    for counts in draws:
        times = counts.reshape(SETS, ROWS)
        left = (times == 0).astype(float)
        best = int(np.argmax([by_hand(found, j, whole if leak else times) for j in range(3)]))
        reference = list(found.strength).index(chosen)
        lost.append(by_hand(found, reference, left) - by_hand(found, best, left))
    return by_hand(found, list(found.strength).index(chosen), whole) - float(np.mean(lost))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that a plain loop follows."""
    for name in ("DRAWS", "FEWEST_DRAWS"):
        monkeypatch.setattr(replayed_scores, name, DRAWS)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_replay_is_a_plain_loop(weighted: bool) -> None:
    """Of scikit-learn's average precision, draw by draw, row weights heeded; a choice by all rows is another number."""
    found = held_out(weighted=weighted)
    chosen = int(found.of_strengths.mean(axis=0).argmax())
    score = found.corrected(chosen, None, test_to_train=0.5, level=0.9)
    assert score.value == pytest.approx(plain_loop(found, chosen), abs=1e-12)
    assert score.naive == pytest.approx(by_hand(found, list(found.strength).index(chosen), np.ones((SETS, ROWS))))
    assert score.value != pytest.approx(plain_loop(found, chosen, leak=True), abs=1e-6)
    assert score.interval.low < score.value < score.interval.high <= 1.0


def test_a_rule_is_asked_in_every_draw() -> None:
    """It gets losses [R, G], infinite for what diverged; one that always says the same is not corrected."""
    found, asked = held_out(), []

    def always_third(losses: np.ndarray, folds: int) -> int:
        asked.append((losses.copy(), folds))
        return 3

    score = found.corrected(3, always_third, test_to_train=0.5, level=0.9)
    assert score.value == pytest.approx(score.naive, abs=1e-12)
    assert len(asked) == DRAWS
    assert all(losses.shape == (SETS, STRENGTHS) and np.isinf(losses[:, 1]).all() for losses, _ in asked)


def test_of_a_mean_loss_it_is_bbc(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many draws, one fold and the log loss both estimates meet; without the correction they do not."""
    monkeypatch.setattr(replayed_scores, "DRAWS", 1000)
    rng = np.random.default_rng(3)
    targets, raw = rng.integers(2, size=80), rng.normal(size=(12, 80))
    second = 1 / (1 + np.exp(-raw))
    losses = -np.log(np.where(targets == 1, second, 1 - second))
    found = replace(
        held_out("neg_log_loss"),
        units=(np.arange(80),),
        strength=np.arange(12),
        strengths=12,
        folds=1,
        unit_of_row=(np.arange(80),),
        targets=(targets,),
        weights=(np.ones(80),),
        predictions=(np.stack([1 - second, second], axis=-1),),
    )
    chosen = int(losses.mean(axis=1).argmin())
    score, usual = found.corrected(chosen, None, test_to_train=0.0, level=0.9), bbc(losses, np.ones(80, int))
    assert -score.naive == pytest.approx(usual.naive)
    assert -score.value == pytest.approx(usual.interval.estimate, abs=0.005)
    assert abs(usual.naive - usual.interval.estimate) > 0.02


def test_a_row_set_that_does_not_say_is_named() -> None:
    """A fold without a positive row has no average precision."""
    found = held_out()
    broken = replace(found, targets=(found.targets[0], np.zeros(ROWS, int), found.targets[2]))
    with pytest.raises(InputError, match="no value on the 40 of row set 2"):
        _ = broken.of_strengths


def test_groups_are_drawn_whole() -> None:
    """Rows of one unit come and go together."""
    found = held_out()
    units: tuple[Any, ...] = tuple(np.arange(r * 4, r * 4 + 4) for r in range(SETS))
    grouped = replace(found, units=units, unit_of_row=(np.arange(ROWS) % 4,) * SETS)
    counts = np.array([[2, 0, 1, 0] * SETS])
    rows = np.tile(counts.reshape(SETS, 4), 10)
    np.testing.assert_allclose(grouped.scores(1, counts).mean(), by_hand(found, 1, rows))


def test_a_slow_score_looks_at_the_best_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of scikit-learn's own scorers, and at the strength that all rows choose."""
    monkeypatch.setattr(replayed_scores, "SLOW_STRENGTHS", 1)
    monkeypatch.setattr(replayed_scores, "SLOW_DRAWS", 3)
    found = held_out("matthews_corrcoef")
    looked_at: list[list[int]] = []

    def rule(losses: np.ndarray, folds: int) -> int:
        del folds
        looked_at.append(np.flatnonzero(np.isfinite(losses[0])).tolist())
        return int(losses.mean(axis=0).argmin())

    order = np.argsort(-found.of_strengths.mean(axis=0), kind="stable")[: STRENGTHS - 1].tolist()
    for chosen in order:
        found.corrected(chosen, rule, test_to_train=0.5, level=0.9)
    assert looked_at == [sorted({order[0], chosen}) for chosen in order for _ in range(3)]


@pytest.mark.parametrize("name", ["f1", "f1_macro", "balanced_accuracy", "accuracy", "roc_auc", "matthews_corrcoef"])
def test_a_row_set_that_no_draw_takes_is_left_out(name: str) -> None:
    """Of no rows there is no score, which some scorers would call 0; the other row sets are scored as ever."""
    found = held_out(name)
    counts = np.ones((2, SETS * ROWS), int)
    counts[1, :ROWS] = 0
    both, one = found.scores(0, counts)
    assert np.isfinite(both).all()
    assert np.isnan(one[0])
    np.testing.assert_array_equal(one[1:], both[1:])
