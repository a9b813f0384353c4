"""How often the numbers and the verdicts are right: simulated problems whose truth is known (`simulated.py`)."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from unittest.mock import patch

import jax
import measuring
import numpy as np
from calibrated_scores import score_section
from cells import percent, rate, verdict_on
from simulated import (
    FOLDS,
    REPEATS,
    STRENGTHS,
    Batch,
    Problem,
    batches,
    flipped,
    folded,
    plane,
    smooth,
    standardised,
)

from fitwell.analysis.verdict import VERDICTS
from fitwell.data.resampling import with_fewer_rows
from fitwell.data.row_sets import RowSets
from fitwell.engine.histories import Histories
from fitwell.engine.job import Settings
from fitwell.engine.losses import Loss
from fitwell.engine.trained import Trained
from fitwell.problems.options import Options
from fitwell.regularization.strengths import Candidates
from fitwell.studies import evidence
from fitwell.studies import search as one_road
from fitwell.studies.evidence import MORE_REPEATS, Questions, judge_problem

JUDGE_BATCH, LOOK_BATCH = 100, 20
LEAST_GAP, GAP_SHARE = 0.03, 0.1
"""A threshold on the gap, as one tool has it: this much, and this share of the training score."""


FOUND, FALSE_ALARMS = 0.9, 0.05
"""Targets: a verdict that is right is found so often at least, one that is wrong is said so often at most."""

TRUTHS = 20
"""Replications in which the truth of a judged problem is measured: 200 networks for each number."""

OVERFITS, UNDERFITS, NEEDS_DATA = VERDICTS[:3]

JUDGED = (
    Problem(
        "no cure exists",
        standardised(smooth, 0.0),
        regression=True,
        rows=200,
        inputs=3,
        hidden=(16,),
        epochs=40,
        learning_rate=3e-3,
        wrong=(OVERFITS, NEEDS_DATA),
    ),
    Problem(
        "few rows, flipped labels",
        flipped,
        regression=False,
        rows=60,
        inputs=20,
        hidden=(64,),
        epochs=80,
        expected=OVERFITS,
        wrong=(UNDERFITS, NEEDS_DATA),
    ),
    Problem(
        "two units for three folds",
        standardised(folded, 0.1),
        regression=True,
        rows=400,
        inputs=3,
        hidden=(2,),
        epochs=60,
        expected=UNDERFITS,
        wrong=(OVERFITS, NEEDS_DATA),
    ),
    Problem(
        "few rows, little noise",
        standardised(folded, 0.02),
        regression=True,
        rows=160,
        inputs=8,
        hidden=(32,),
        epochs=80,
        learning_rate=2e-2,
        expected=NEEDS_DATA,
        wrong=(OVERFITS, UNDERFITS),
    ),
    Problem(
        "a plane with noise",
        standardised(plane, 0.5),
        regression=True,
        rows=400,
        inputs=3,
        hidden=(4,),
        epochs=40,
        wrong=(OVERFITS, UNDERFITS, NEEDS_DATA),
    ),
)


# --- the verdict


@dataclass(frozen=True)
class Kept:
    """Histories of one replication, from a batch's search; looks like `Trained` to a diagnosis."""

    histories: Histories
    candidates: Candidates
    plan: None = None
    ended: None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Replayed:
    """One replication as a diagnosis asks for it: everything was trained before, with all the others.

    All networks were trained to the end: when to leave is decided by all row sets of a search, so that one replication
    would decide for another.

    Attributes
    ----------
    problem, row_sets, strata
        See `fitwell.problems.problem.Problem`.
    trained
        From `"search"`, `"wider"`, `"deeper"`, `"longer"` and `"curve"` to what was trained.
    asked
        Which of them this is.
    """

    problem: Problem
    row_sets: RowSets
    strata: np.ndarray | None
    trained: Callable[[str], Histories]
    asked: str = "search"
    constant_loss: None = None

    @property
    def summary(self) -> dict[str, Any]:
        """Nothing was read."""
        return {}

    @property
    def loss(self) -> Loss:
        """What is measured."""
        return self.problem.loss

    def check(self, _: Options) -> None:
        """Do nothing: all is trained already."""

    def warm_up(self) -> None:
        """Do nothing: nothing will be finished."""

    def candidates(self, _: Options) -> Candidates:
        """Return the strengths that were trained."""
        return self.problem.candidates

    def settings(self, _: Options) -> Settings:
        """Return how they were trained."""
        return Settings(epochs=self.problem.epochs)

    def train(self, candidates: Candidates, settings: Settings) -> Kept:
        """Return what was trained."""
        asked = "longer" if settings.epochs > self.problem.epochs else self.asked
        histories = self.trained(asked)
        assert histories.train_loss.shape[1:] == (candidates.count, settings.epochs), "another search was trained"
        return Kept(histories, candidates)

    def on(self, row_sets: RowSets) -> Replayed:
        """Return the learning curve's row sets: no others are asked for."""
        return replace(self, row_sets=row_sets, asked="curve")

    def larger(self) -> dict[str, Replayed]:
        """Return the larger networks."""
        return {name: replace(self, asked=name) for name in self.problem.larger()}

    def shuffled(self, seed: int) -> Replayed:
        """Return nothing: it is not asked for."""
        raise NotImplementedError


def alone(histories: Histories, mine: slice | np.ndarray) -> Histories:
    """Cut one replication out of a batch's search, with best epochs of its own."""
    curves = [curve[mine] for curve in (histories.train_loss, histories.held_out_loss)]
    metrics = [curve[mine] for curve in (histories.train_metric, histories.held_out_metric)]
    mean = curves[1].mean(axis=0)
    assert np.isfinite(mean).all(), "a network diverged"
    best, none = mean.argmin(axis=1) + 1, np.zeros(len(mean), bool)
    whole = np.full(len(mean), mean.shape[1])
    empty = np.zeros((len(mean), 0))
    return Histories(*curves, *metrics, best, mean.min(axis=1), whole, histories.diverged[mine], empty, none)


@dataclass(frozen=True)
class Judged:
    """What is said of each replication.

    Attributes
    ----------
    words
        The verdicts.
    gaps, scores
        Training score minus held-out score of the network as given at its last epoch, and the training score.
    """

    words: list[str]
    gaps: np.ndarray
    scores: np.ndarray

    @property
    def by_threshold(self) -> np.ndarray:
        """Whether a threshold on the gap says that the network overfits."""
        return self.gaps > np.maximum(LEAST_GAP, GAP_SHARE * self.scores)


def judge_all(problem: Problem, replications: int, first: int = 0) -> Judged:
    """Diagnose all replications of a problem, from a number on."""
    parts = [judge_batch(batch) for batch in batches(problem, replications, JUDGE_BATCH, first)]
    return Judged(
        [word for part in parts for word in part.words],
        np.concatenate([part.gaps for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


@contextmanager
def replaying() -> Iterator[None]:
    """Let problems that were trained already answer for the engine."""

    def replay(problem: Replayed, candidates: Candidates, settings: Settings, **_: Any) -> Kept:
        return problem.train(candidates, settings)

    with patch.object(one_road, "train_networks", replay), patch.object(evidence, "train_networks", replay):
        yield


def judge_batch(batch: Batch) -> Judged:
    """Diagnose each replication; what the first one asks for is trained for all."""
    trained = training_of(batch)
    words = [judge_one(batch, trained, c, REPEATS) for c in range(batch.replications)]
    return Judged(words, *gaps(batch.problem, trained("search"), batch.slices()))


def looks_of(problem: Problem, replications: int, first: int) -> list[tuple[str, str]]:
    """Diagnose replications by the first repeats of the folds, and where that is undecided by four times as many."""
    found = []
    for batch in batches(problem, replications, LOOK_BATCH, first, MORE_REPEATS * REPEATS):
        trained = training_of(batch)
        for c in range(batch.replications):
            word = judge_one(batch, trained, c, REPEATS)
            again = judge_one(batch, trained, c, MORE_REPEATS * REPEATS) if word == "undecided" else word
            found.append((word, again))
    return found


def judge_one(batch: Batch, trained: Callable[[str], Histories], c: int, repeats: int) -> str:
    """Return what a diagnosis by the first repeats of a replication's row sets says."""
    problem, sets, count = batch.problem, batch.row_sets[c], FOLDS * repeats
    mine = replace(sets, train=sets.train[:count], held_out=sets.held_out[:count], again=None)

    def asked_for(asked: str) -> Histories:
        histories = trained(asked)
        # of a learning curve every size has all row sets
        own = batch.slices(histories)[c]
        starts = range(own.start, own.stop, sets.count)
        return alone(histories, np.concatenate([start + np.arange(count) for start in starts]))

    options = Options(strengths=problem.candidates, epochs=problem.epochs, refit="single", to_the_end=True)
    with replaying():
        return judge_problem(Replayed(problem, mine, batch.strata(c), asked_for), options, Questions()).verdict


def training_of(batch: Batch) -> Callable[[str], Histories]:
    """Return what trains a batch as a diagnosis asks for it, each once."""
    problem = batch.problem

    @cache
    def trained(asked: str) -> Histories:
        if asked == "search":
            return batch.train(batch.row_sets).histories
        if asked == "curve":
            parts = enumerate(batch.row_sets)
            fewer = [with_fewer_rows(sets, problem.shares, batch.strata(c), 0) for c, sets in parts]
            return batch.train(fewer, given_only=True, equal_steps=True).histories
        hidden, epochs = problem.growth()[asked]
        return batch.train(batch.row_sets, hidden=hidden, epochs=epochs, given_only=True).histories

    return trained


def gaps(problem: Problem, histories: Histories, slices: list[slice]) -> tuple[np.ndarray, np.ndarray]:
    """Return each replication's gap and training score, accuracy or R2, of the network as given at its last epoch."""
    kind = "loss" if problem.regression else "metric"
    train, held_out = (getattr(histories, f"{part}_{kind}")[:, 0, -1] for part in ("train", "held_out"))
    if problem.regression:  # the target's variance is 1
        train, held_out = 1 - train, 1 - held_out
    means = np.array([(train[mine].mean(), held_out[mine].mean()) for mine in slices])
    return means[:, 0] - means[:, 1], means[:, 0]


@dataclass(frozen=True)
class Truth:
    """By which share something lowers the true loss of the network as given, on average over samples.

    Attributes
    ----------
    loss
        Of the network as given, on fresh rows.
    cure, growth, rows
        The best strength and epoch; the best larger or longer trained network and epoch (the better of all these and
        the network as given at any epoch); twice the rows in as many steps, against the best epoch as given.
    """

    loss: float
    cure: float
    growth: float
    rows: float


def truth_of(problem: Problem, replications: int) -> Truth:
    """Measure the truth on fresh rows."""
    batch = Batch.drawn(problem, 0, replications)
    search = true_curves(batch.train(batch.row_sets, fresh=True))
    given = search[0, -1]
    grown = [
        true_curves(batch.train(batch.row_sets, hidden=hidden, epochs=epochs, given_only=True, fresh=True)).min()
        for hidden, epochs in problem.growth().values()
    ]
    twice = batch.train(
        [batch.doubled(sets) for sets in batch.row_sets], epochs=problem.epochs // 2, given_only=True, fresh=True
    )
    more = true_curves(twice).min()
    return Truth(given, 1 - search.min() / given, 1 - min(grown) / given, 1 - more / search[0].min())


def true_curves(trained: Trained) -> np.ndarray:
    """Mean over row sets of the loss on fresh rows [G, E]."""
    return trained.histories.held_out_loss.mean(axis=0)


# --- tables


def truth_table(truths: Mapping[str, tuple[Problem, Truth]]) -> str:
    """What is true of the judged problems."""
    rows = []
    for name, (problem, truth) in truths.items():
        hidden = "-".join(map(str, problem.hidden))
        sizes = f"{problem.rows} x {problem.inputs}, {hidden} units, {problem.epochs} epochs"
        shares = [percent(share) for share in (truth.cure, truth.growth, truth.rows)]
        rows.append([name, sizes, truth.loss, *shares, problem.expected, ", ".join(problem.wrong)])
    header = ["problem", "rows x inputs, network", "true loss as given", "best strength and epoch lowers it by"]
    return measuring.table([*header, "best growth by", "twice the rows by", "must be found", "wrong"], rows)


def verdict_table(found: Mapping[str, tuple[Problem, Judged]]) -> str:
    """What was said of them, and what a threshold on the gap says."""
    rows = []
    for name, (_, judged) in found.items():
        counts = [judged.words.count(word) for word in VERDICTS]
        rows.append([name, *counts, int(judged.by_threshold.sum())])
    return measuring.table(["problem", *VERDICTS, "threshold on the gap: overfits"], rows)


def target_table(found: Mapping[str, tuple[Problem, Judged]]) -> str:
    """Found and false alarms of each verdict against its targets; for `overfits` by the threshold too."""
    rows = []
    for word in (OVERFITS, UNDERFITS, NEEDS_DATA):
        for name, (problem, judged) in found.items():
            if word not in (problem.expected, *problem.wrong):
                continue
            said = np.array(judged.words) == word
            right = problem.expected == word
            met = said.mean() >= FOUND if right else said.mean() <= FALSE_ALARMS
            target = f"at least {FOUND:.0%}" if right else f"at most {FALSE_ALARMS:.0%}"
            by_threshold = rate(judged.by_threshold) if word == OVERFITS else ""
            rows.append([word, name, "yes" if right else "no", rate(said), target, verdict_on(met), by_threshold])
    header = ["verdict", "problem", "is it true", "said", "target", "", "threshold on the gap says it"]
    return measuring.table(header, rows)


def verdict_section(count: int, first: int) -> Iterator[str]:
    """Yield the tables of the verdicts."""
    truths, judged = {}, {}
    for problem in JUDGED:
        measuring.note(f"verdict: {problem.name}")
        truths[problem.name] = problem, truth_of(problem, min(count, TRUTHS))
        judged[problem.name] = problem, judge_all(problem, count, first)
    yield truth_table(truths)
    yield verdict_table(judged)
    yield target_table(judged)


def look_section(count: int, first: int) -> Iterator[str]:
    """Yield the table of the second look, of the kinds that are undecided most often."""
    rows = []
    for problem in (JUDGED[4], JUDGED[0]):
        measuring.note(f"looks: {problem.name}")
        found = looks_of(problem, count, first)
        once, twice = (np.array(words) for words in zip(*found, strict=True))
        said = ", ".join(f"{word} {np.sum(twice == word)}" for word in VERDICTS[:-1])
        rows.append([problem.name, rate(once == "undecided"), rate(twice == "undecided"), said])
    yield measuring.table(["problem", "undecided at the first look", "undecided after both", "said after both"], rows)


SECTIONS = {"scores": score_section, "verdicts": verdict_section, "looks": look_section}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few replications: shows that it runs, no more")
    parser.add_argument("--replications", type=int, default=200, help="samples of each problem")
    parser.add_argument("--first", type=int, default=0, help="number of the first sample: others are other samples")
    parser.add_argument("--only", choices=SECTIONS, help="simulate one section")
    options = parser.parse_args()
    count = 4 if options.quick else options.replications
    begin = time.perf_counter()
    print(measuring.heading("Calibration: scores and verdicts where the truth is known", options))
    samples = f"{count} samples of each problem (from number {options.first} on)"
    print(f"{samples}, {FOLDS} folds x {REPEATS} repeats, {STRENGTHS} strengths.\n")
    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", folder)  # batches of one problem are one program
        for name in [options.only] if options.only else SECTIONS:
            for part in SECTIONS[name](count, options.first):
                print(part, flush=True)
    print(f"{time.perf_counter() - begin:.0f} s in all.")


if __name__ == "__main__":
    main()
