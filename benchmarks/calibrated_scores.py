"""How often the honest score's interval covers the truth, by rule and by kind of problem; a part of `calibration.py`.

Every rule answers for the same searches. Strengths leave as in a search of its own: that is played on the recorded
curves of each replication, for in a batch it would be decided by all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import measuring
import numpy as np
from cells import rate, verdict_on, with_error
from scipy.special import ndtri
from simulated import FOLDS, LEVEL, Batch, Problem, batches, bumps, coin, logistic, plane, standardised

from fitwell.analysis.bootstrap import bbc
from fitwell.analysis.selection import RULES, choose
from fitwell.data.row_sets import RowSets
from fitwell.engine.histories import Histories
from fitwell.engine.stopping import Stopping, still_running
from fitwell.problems.options import Options
from fitwell.regularization.strengths import Candidates
from fitwell.studies.honesty import honest_score
from fitwell.studies.search import Searched

BATCH = 40
"""Replications that are trained together: with fresh rows held out they take more memory."""

DRAWS = 300
"""Of the bootstrap, not 1,000: 4,800 scores are computed."""

CALL_EPOCHS = 5
"""Between two decisions who leaves, as in a search."""


def noise(inputs: np.ndarray) -> np.ndarray:
    """Three classes that have nothing to do with the inputs."""
    return np.full((len(inputs), 3), 1 / 3)


SCORED = (
    Problem("coin", coin, False, 100, 10, (16,), 40),
    Problem("logistic", logistic, False, 100, 10, (16,), 40),
    Problem("bumps", standardised(bumps, 0.2), True, 150, 5, (16,), 40),
    Problem("three classes of noise", noise, False, 150, 5, (16,), 40, classes=3),
    Problem("tails of t, 5 degrees", standardised(plane, 0.5), True, 200, 5, (16,), 40, tails=5),
    Problem("tails of t, 3 degrees", standardised(plane, 0.5), True, 200, 5, (16,), 40, tails=3),
    Problem("groups of five", standardised(plane, 0.5), True, 200, 5, (16,), 40, group=5),
    Problem("a Keras model", logistic, False, 100, 10, (16,), 40, keras=True),
    Problem("a Keras model, noise", noise, False, 150, 5, (16,), 40, classes=3, keras=True),
)


@dataclass(frozen=True)
class Scores:
    """What a search says its choice would lose on new rows, and what it does, one number for each replication.

    Attributes
    ----------
    truth
        Mean loss on fresh rows of the row sets' networks at the strength and epoch chosen.
    estimate, low, high
        The corrected loss and its interval.
    naive
        The mean held-out loss of the choice.
    naive_error
        Its standard error by rows.
    """

    truth: np.ndarray
    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    naive: np.ndarray
    naive_error: np.ndarray

    @staticmethod
    def joined(parts: list[Scores]) -> Scores:
        """Put batches in a row."""
        return Scores(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Scores)))

    def covers(self, value: np.ndarray | float) -> np.ndarray:
        """Whether the interval contains a value."""
        return (self.low <= value) & (value <= self.high)

    def naive_covers(self, value: np.ndarray | float) -> np.ndarray:
        """Whether the naive loss plus or minus 1.64 standard errors contains a value."""
        return np.abs(self.naive - value) <= ndtri((1 + LEVEL) / 2) * self.naive_error


def score_all(problem: Problem, replications: int, first: int = 0) -> dict[str, Scores]:
    """Search and score all replications of a problem, from a number on, by every rule."""
    parts = [score_batch(batch) for batch in batches(problem, replications, BATCH, first)]
    return {rule: Scores.joined([part[rule] for part in parts]) for rule in parts[0]}


def score_batch(batch: Batch) -> dict[str, Scores]:
    """Search and score the replications of a batch."""
    found = batch.train(batch.row_sets, record=True).histories
    truth = batch.train(batch.row_sets, fresh=True).histories.held_out_loss
    rows: dict[str, list[tuple[float, ...]]] = {rule: [] for rule in RULES}
    for mine, sets in zip(batch.slices(), batch.row_sets, strict=True):
        histories = as_searched(found, mine, batch.problem.candidates)
        for rule in RULES:
            rows[rule].append(score_one(batch.problem, sets, histories, truth[mine], rule))
    return {rule: Scores(*np.array(numbers).T) for rule, numbers in rows.items()}


def score_one(problem: Problem, sets: RowSets, histories: Histories, truth: np.ndarray, rule: str) -> tuple[float, ...]:
    """Score one replication as `fitwell.tune` does, and look its choice up in the true curves [R, G, E]."""
    candidates = problem.candidates
    asked: Any = SimpleNamespace(row_sets=sets, loss=problem.loss, may_stay=problem.keras)
    trained: Any = SimpleNamespace(histories=histories)
    options = Options(rule=rule, refit="single")
    choice = choose(histories, candidates, FOLDS, test_to_train=sets.test_to_train, keep_given=problem.keras)
    with patch.dict(bbc.__kwdefaults__, draws=DRAWS):
        score = honest_score(Searched(asked, options, candidates, options.settings(), trained, 0.0), choice)
    g = choice.chosen(rule)
    e = histories.best_epoch[g] - 1
    assert histories.records is not None
    sums = sum(
        np.bincount(u, s[g, e], minlength=int(1 + max(v.max() for v in histories.records.units)))
        for u, s in zip(histories.records.units, histories.records.sums, strict=True)
    )
    units = np.unique(np.concatenate(histories.records.units))
    sizes = np.bincount(np.concatenate(histories.records.units), np.concatenate(histories.records.sizes))[units]
    error = (sums[units] / sizes).std(ddof=1) / np.sqrt(len(units))
    interval = score.interval
    return float(truth[:, g, e].mean()), interval.estimate, interval.low, interval.high, score.naive, float(error)


def as_searched(histories: Histories, mine: slice, candidates: Candidates) -> Histories:
    """Cut one replication out of a batch, and let strengths leave as they do in a search of its own."""
    curves = histories.held_out_loss[mine]
    mean = curves.mean(axis=0)
    assert np.isfinite(mean).all(), "a network diverged"
    left, cut = leave(mean, (0, candidates.given))
    trained = np.arange(mean.shape[1]) < left[:, None]
    seen = np.where(trained, mean, np.inf)
    assert histories.records is not None
    records = replace(
        histories.records, **{name: getattr(histories.records, name)[mine] for name in ("units", "sizes", "sums")}
    )
    return replace(
        histories,
        **{
            name: np.where(trained, getattr(histories, name)[mine], np.nan)
            for name in ("train_loss", "held_out_loss", "train_metric", "held_out_metric")
        },
        best_epoch=seen.argmin(axis=1) + 1,
        best_loss=seen.min(axis=1),
        epochs=left,
        diverged=histories.diverged[mine],
        row_loss=np.zeros((len(mean), 0)),
        cut=cut,
        records=records,
    )


def leave(mean: np.ndarray, protected: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Play who leaves when on mean curves [G, E]: epochs trained, and who had to leave while improving."""
    rules, (count, epochs) = Stopping(), mean.shape
    running, left, cut = np.ones(count, bool), np.zeros(count, int), np.zeros(count, bool)
    for after in range(CALL_EPOCHS, epochs + 1, CALL_EPOCHS):
        left[running] = after
        seen = np.where(np.arange(epochs) < left[:, None], mean, np.inf)
        best, at = seen.min(axis=1), seen.argmin(axis=1) + 1
        earlier = seen[:, : after // 2].min(axis=1)
        staying = still_running(
            rules, running, best, at, after - CALL_EPOCHS, after, earlier=earlier, protected=protected
        )
        cut |= running & ~staying & (after - at < rules.patience)
        running = staying
    return left, cut


def score_table(found: Mapping[str, Mapping[str, Scores]]) -> str:
    """How well the corrected and the naive loss of the choice, and their intervals, meet the truth."""
    rows = []
    for name, by_rule in found.items():
        for rule, scores in by_rule.items():
            covered = scores.covers(scores.truth)
            rows.append(
                [
                    name,
                    rule,
                    float(scores.truth.mean()),
                    with_error(scores.estimate - scores.truth),
                    with_error(scores.naive - scores.truth),
                    rate(covered),
                    verdict_on(0.85 <= covered.mean() <= 0.95),
                    f"{rate(scores.truth < scores.low, False)} / {rate(scores.truth > scores.high, False)}",
                    rate(scores.naive_covers(scores.truth)),
                ]
            )
    header = ["problem", "rule", "true loss of the choice", "corrected minus true", "naive minus true"]
    header += ["90% interval covers the truth", "85% to 95%", "truth below / above it"]
    return measuring.table([*header, "naive ± 1.64 SE covers"], rows)


def noise_table(found: Mapping[str, Mapping[str, Scores]]) -> str:
    """Where there is nothing to learn, no network beats chance: who says that it does."""
    rows = []
    for name, chance in CHANCE.items():
        for rule, scores in found[name].items():
            low = rate(scores.high < chance)
            rows.append([name, rule, chance, float(scores.estimate.mean()), rate(scores.covers(chance)), low])
        naive = next(iter(found[name].values()))
        rows.append([name, "naive", chance, float(naive.naive.mean()), "", rate(naive.naive < chance)])
    header = ["pure noise", "rule", "chance", "mean", "interval covers chance", "says better than chance"]
    return measuring.table(header, rows)


CHANCE = {
    "coin": float(np.log(2)),
    "three classes of noise": float(np.log(3)),
    "a Keras model, noise": float(np.log(3)),
}


def score_section(count: int, first: int) -> Iterator[str]:
    """Yield the tables of the scores."""
    found = {}
    for problem in SCORED:
        measuring.note(f"score: {problem.name}")
        found[problem.name] = score_all(problem, count, first)
        yield score_table({problem.name: found[problem.name]})
    yield score_table(found)
    yield noise_table(found)
