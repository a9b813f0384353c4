"""How often the numbers and the verdicts are right: simulated problems whose truth is known.

Rows come from a known conditional distribution, so what a network would lose on endlessly many new rows is measured on
fresh rows that carry that distribution in place of a drawn target. Replications are trained together: the row sets of
many tables are the row sets of one search. Training does not depend on what is held out, and its random numbers depend
on the number of the row set only. So the same search with fresh rows held out gives the true curves of the same
networks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import measuring
import numpy as np
from scipy.special import ndtri
from scipy.stats import binomtest

from fitwell.analysis.honest import bbc_score, row_surface
from fitwell.analysis.verdict import VERDICTS
from fitwell.data.resampling import with_fewer_rows
from fitwell.data.row_sets import RowSets, folds
from fitwell.engine.histories import Histories
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import Loss
from fitwell.engine.network import DenseNetwork
from fitwell.engine.training import Trained, train_all
from fitwell.problems.options import Options
from fitwell.regularization.grids import sobol
from fitwell.regularization.strengths import Candidates
from fitwell.studies import evidence
from fitwell.studies import search as one_road
from fitwell.studies.evidence import FEWEST_ROWS, SHARES, Questions, judge_problem

FOLDS, REPEATS = 5, 2
STRENGTHS = 12
BATCH_SIZE = 40
FRESH_ROWS = 1000
SCORE_BATCH, JUDGE_BATCH = 40, 100
"""Replications that are trained together: with fresh rows held out they take more memory."""

LEVEL = 0.9
"""Of the interval of a score."""

LEAST_GAP, GAP_SHARE = 0.03, 0.1
"""A threshold on the gap, as one tool has it: this much, and this share of the training score."""


FOUND, FALSE_ALARMS = 0.9, 0.05
"""Targets: a verdict that is right is found so often at least, one that is wrong is said so often at most."""

TRUTHS = 20
"""Replications in which the truth of a judged problem is measured: 200 networks for each number."""

Conditional = Callable[[np.ndarray], np.ndarray]
"""Inputs [n, d] to the targets' distribution [n, k]: class probabilities, or mean and variance."""


def expected_log_loss(outputs: jax.Array, chances: jax.Array) -> jax.Array:
    """Mean log loss if the class is drawn with these chances [rows, k]; a drawn class has chance 1."""
    return jax.nn.logsumexp(outputs, axis=-1) - (chances * outputs).sum(axis=-1)


def expected_correct(outputs: jax.Array, chances: jax.Array) -> jax.Array:
    """Chance that the most probable class is the right one."""
    return jnp.take_along_axis(chances, jnp.argmax(outputs, axis=-1)[:, None], axis=-1)[:, 0]


def expected_squared_error(outputs: jax.Array, moments: jax.Array) -> jax.Array:
    """Mean squared error if the target has this mean and variance [rows, 2]; a drawn target has variance 0."""
    return (outputs[:, 0] - moments[:, 0]) ** 2 + moments[:, 1]


CLASSES = Loss("log loss", expected_log_loss, "accuracy", expected_correct, jax.nn.softmax)
VALUES = Loss("squared error", expected_squared_error, "squared error", expected_squared_error, lambda o: o[..., 0])


@dataclass(frozen=True)
class Problem:
    """A population, and a network that is trained on samples of it.

    Attributes
    ----------
    name
        For people, and the seed of its samples.
    conditional
        What the targets are distributed like, given standard normal inputs.
    regression
        Whether the targets are values; their variance in the population is 1.
    rows, inputs
        n and d of a sample.
    hidden, epochs, learning_rate
        Of the network.
    expected, wrong
        The verdict that must be found, if one must, and those that the truth rules out.
    """

    name: str
    conditional: Conditional
    regression: bool
    rows: int
    inputs: int
    hidden: tuple[int, ...]
    epochs: int
    learning_rate: float = 1e-2
    expected: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def loss(self) -> Loss:
        """What is minimised, and the truth of it."""
        return VALUES if self.regression else CLASSES

    @property
    def outputs(self) -> int:
        """Of the network."""
        return 1 if self.regression else 2

    @property
    def candidates(self) -> Candidates:
        """The strengths of the search, none first."""
        return sobol(STRENGTHS, learning_rate=self.learning_rate)

    @property
    def shares(self) -> list[float]:
        """Of the training rows, in the learning curve."""
        fewest = self.rows - -(-self.rows // FOLDS)
        return [share for share in SHARES if share * fewest >= FEWEST_ROWS]

    def growth(self) -> dict[str, tuple[tuple[int, ...], int]]:
        """Return hidden layers and epochs of the networks among which a diagnosis looks for a better one."""
        larger = {name: (hidden, self.epochs) for name, hidden in self.larger().items()}
        return {**larger, "longer": (self.hidden, 2 * self.epochs)}

    def larger(self) -> dict[str, tuple[int, ...]]:
        """Return the larger networks that a diagnosis tries, as `DenseOnTable.larger` names and makes them."""
        return {"wider": tuple(4 * units for units in self.hidden), "deeper": (max(self.hidden), *self.hidden)}

    def draw(self, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a sample: inputs [rows, d] and distributions that are all in one point [rows, 2]."""
        inputs, chances = self.fresh(rng, rows)
        if self.regression:
            drawn = chances[:, 0] + np.sqrt(chances[:, 1]) * rng.normal(size=rows)
            return inputs, np.stack([drawn, np.zeros(rows)], axis=1)
        return inputs, np.eye(2)[(rng.uniform(size=rows) < chances[:, 1]).astype(int)]

    def fresh(self, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw new inputs [rows, d] with the distribution of their targets [rows, 2]."""
        inputs = rng.normal(size=(rows, self.inputs))
        return inputs, self.conditional(inputs)


@dataclass(frozen=True)
class Batch:
    """Samples of a problem that are trained together, and the fresh rows.

    Attributes
    ----------
    problem, replications
        What and how many.
    dataset
        Twice the rows of every sample (the second half only trains where the question is what twice the rows bring),
        then the fresh rows.
    row_sets
        Folds of each sample, repeated; rows are numbered within the sample.
    """

    problem: Problem
    replications: int
    inputs: np.ndarray
    targets: np.ndarray
    row_sets: tuple[RowSets, ...]

    @staticmethod
    def drawn(problem: Problem, first: int, count: int) -> Batch:
        """Draw the samples `first` to `first + count`: each has a seed of its own, whatever the batch."""
        number = sum(map(ord, problem.name))
        rngs = [np.random.default_rng([number, replication]) for replication in range(first, first + count)]
        samples = [problem.draw(rng, 2 * problem.rows) for rng in rngs]
        samples.append(problem.fresh(np.random.default_rng([number, first, 1]), FRESH_ROWS))
        inputs, targets = (np.concatenate(parts).astype(np.float32) for parts in zip(*samples, strict=True))
        sets = []
        for replication, (_, target) in enumerate(samples[:-1], start=first):
            mine = target[: problem.rows, 0] if problem.regression else target[: problem.rows, 1].astype(int)
            task = "regression" if problem.regression else "classification"
            sets.append(folds(mine, task, cv=FOLDS, repeats=REPEATS, seed=replication))
        return Batch(problem, count, inputs, targets, tuple(sets))

    def strata(self, replication: int) -> np.ndarray | None:
        """Class of each row of a sample, None for values."""
        first = 2 * self.problem.rows * replication
        return None if self.problem.regression else self.targets[first : first + self.problem.rows, 1].astype(int)

    def slices(self, histories: Histories | None = None) -> list[slice]:
        """Return which row sets of a search are of which replication."""
        size = FOLDS * REPEATS if histories is None else len(histories.train_loss) // self.replications
        return [slice(first, first + size) for first in range(0, self.replications * size, size)]

    def doubled(self, row_sets: RowSets) -> RowSets:
        """Train on as many further rows of the sample."""
        n = row_sets.n_rows
        learn = tuple(np.concatenate([rows, np.arange(n, n + len(rows))]) for rows in row_sets.train)
        return RowSets(learn, row_sets.held_out, 2 * n)

    def train(
        self,
        row_sets: Iterable[RowSets],
        *,
        hidden: tuple[int, ...] | None = None,
        epochs: int | None = None,
        given_only: bool = False,
        fresh: bool = False,
        record: bool = False,
        equal_steps: bool = False,
    ) -> Trained:
        """Train the row sets of all samples, in a row.

        Parameters
        ----------
        hidden, epochs
            Of the network, if not the problem's.
        given_only
            Whether only the network without regularization is trained.
        fresh
            Whether the fresh rows are held out instead.
        """
        problem = self.problem
        starts = 2 * problem.rows * np.arange(self.replications)
        pairs = list(zip(row_sets, starts, strict=True))
        new = np.arange(2 * problem.rows * self.replications, len(self.inputs), dtype=np.int32)
        learn = tuple((rows + start).astype(np.int32) for sets, start in pairs for rows in sets.train)
        held_out = tuple((rows + start).astype(np.int32) for sets, start in pairs for rows in sets.held_out)
        joined = RowSets(learn, (new,) * len(learn) if fresh else held_out, len(self.inputs))
        count = joined.count
        return train_all(
            DenseNetwork(problem.inputs, hidden or problem.hidden, problem.outputs),
            Dataset(self.inputs, self.targets, False, np.zeros(count), np.ones(count)),
            joined,
            problem.candidates.take([0]) if given_only else problem.candidates,
            loss=problem.loss,
            settings=Settings(
                epochs=epochs or problem.epochs,
                batch_size=BATCH_SIZE,
                stopping=None,
                devices=1 if given_only else None,
                block_strengths=None if given_only else STRENGTHS,
                call_epochs=20,
                record_rows=record,
                equal_steps=equal_steps,
            ),
        )


# --- populations


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def _two(chance: np.ndarray) -> np.ndarray:
    """Chances of two classes, from that of the second."""
    return np.stack([1 - chance, chance], axis=1)


def coin(inputs: np.ndarray) -> np.ndarray:
    """Two classes that have nothing to do with the inputs."""
    return _two(np.full(len(inputs), 0.5))


def logistic(inputs: np.ndarray) -> np.ndarray:
    """Two classes whose log odds are linear in the inputs."""
    return _two(_sigmoid(1.5 * inputs @ _unit(np.arange(1, inputs.shape[1] + 1))))


def standardised(mean: Callable[[np.ndarray], np.ndarray], noise: float) -> Conditional:
    """Return values with mean `mean`, shifted and scaled so that mean and noise (a share) have variance 1 together."""
    found: dict[int, tuple[float, float]] = {}

    def conditional(inputs: np.ndarray) -> np.ndarray:
        d = inputs.shape[1]
        if d not in found:
            many = mean(np.random.default_rng(0).normal(size=(200_000, d)))
            found[d] = float(many.mean()), float(many.std())
        shift, scale = found[d]
        value = (mean(inputs) - shift) / scale * np.sqrt(1 - noise)
        return np.stack([value, np.full(len(value), noise)], axis=1)

    return conditional


def bumps(inputs: np.ndarray) -> np.ndarray:
    """A product, a square and a sine."""
    return inputs[:, 0] * inputs[:, 1] + inputs[:, 2] ** 2 + np.sin(2 * inputs[:, 3])


SCORED = (
    Problem("coin", coin, False, 100, 10, (16,), 40),
    Problem("logistic", logistic, False, 100, 10, (16,), 40),
    Problem("bumps", standardised(bumps, 0.2), True, 150, 5, (16,), 40),
)


def smooth(inputs: np.ndarray) -> np.ndarray:
    """A sine and a product."""
    return np.sin(inputs[:, 0]) + 0.5 * inputs[:, 1] * inputs[:, 2]


def flipped(inputs: np.ndarray) -> np.ndarray:
    """Two classes by a plane, a quarter of the labels wrong."""
    return _two(np.where(inputs[:, 0] + inputs[:, 1] > 0, 0.75, 0.25))


def folded(inputs: np.ndarray) -> np.ndarray:
    """One fold for every input: each takes two units."""
    return np.abs(inputs).sum(axis=1)


def plane(inputs: np.ndarray) -> np.ndarray:
    """A sum."""
    return inputs.sum(axis=1)


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


# --- the score


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
        The lowest mean held-out loss.
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


def score_all(problem: Problem, replications: int, first: int = 0) -> Scores:
    """Search and score all replications of a problem, from a number on."""
    return Scores.joined([score_batch(batch) for batch in batches(problem, replications, SCORE_BATCH, first)])


def score_batch(batch: Batch) -> Scores:
    """Search and score the replications of a batch."""
    found = batch.train(batch.row_sets, record=True).histories
    truth = batch.train(batch.row_sets, fresh=True).histories.held_out_loss
    assert found.row_losses is not None
    rows = []
    for mine, sets in zip(batch.slices(), batch.row_sets, strict=True):
        surface = row_surface(found.row_losses[mine], sets.held_out, sets.n_rows)
        score = bbc_score(surface, batch.problem.loss.name, level=LEVEL, test_to_train=1 / (FOLDS - 1))
        chosen = int(surface.mean(axis=0).argmin())
        error = surface[:, chosen].std(ddof=1) / np.sqrt(sets.n_rows)
        true = truth[mine].reshape(sets.count, -1)[:, chosen].mean()
        interval = score.interval
        rows.append((true, interval.estimate, interval.low, interval.high, score.naive, error))
    return Scores(*np.array(rows).T)


def batches(problem: Problem, replications: int, size: int, first: int = 0) -> Iterator[Batch]:
    """Cut the replications from a number on into batches of one size."""
    for start in range(0, replications, size):
        yield Batch.drawn(problem, first + start, min(size, replications - start))


# --- the verdict


@dataclass(frozen=True)
class Kept:
    """Histories of one replication, from a batch's search; looks like `Trained` to a diagnosis."""

    histories: Histories
    plan: None = None
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
        return Kept(histories)

    def on(self, row_sets: RowSets) -> Replayed:
        """Return the learning curve's row sets: no others are asked for."""
        return replace(self, row_sets=row_sets, asked="curve")

    def larger(self) -> dict[str, Replayed]:
        """Return the larger networks."""
        return {name: replace(self, asked=name) for name in self.problem.larger()}

    def shuffled(self, seed: int) -> Replayed:
        """Return nothing: it is not asked for."""
        raise NotImplementedError


def alone(histories: Histories, mine: slice) -> Histories:
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

    options = Options(strengths=problem.candidates, epochs=problem.epochs, refit="single", to_the_end=True)
    words = []
    for c, sets in enumerate(batch.row_sets):

        def mine(asked: str, c: int = c) -> Histories:
            histories = trained(asked)
            return alone(histories, batch.slices(histories)[c])

        replayed = Replayed(problem, sets, batch.strata(c), mine)
        with replaying():
            words.append(judge_problem(replayed, options, Questions()).verdict)
    return Judged(words, *gaps(problem, trained("search"), batch.slices()))


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


def score_table(found: Mapping[str, Scores]) -> str:
    """How well the corrected and the naive loss of the choice, and their intervals, meet the truth."""
    rows = []
    for name, scores in found.items():
        covered = scores.covers(scores.truth)
        rows.append(
            [
                name,
                float(scores.truth.mean()),
                with_error(scores.estimate - scores.truth),
                with_error(scores.naive - scores.truth),
                rate(scores.naive < scores.truth),
                rate(covered),
                verdict_on(0.85 <= covered.mean() <= 0.95),
                f"{rate(scores.truth < scores.low, False)} / {rate(scores.truth > scores.high, False)}",
                rate(scores.naive_covers(scores.truth)),
            ]
        )
    header = ["problem", "true loss of the choice", "corrected minus true", "naive minus true", "naive below the truth"]
    header += ["90% interval covers the truth", "85% to 95%", "truth below / above it"]
    return measuring.table([*header, "naive ± 1.64 SE covers"], rows)


def noise_table(scores: Scores) -> str:
    """Where there is nothing to learn, no network beats chance: who says that it does."""
    chance = float(np.log(2))
    rows = [
        ["corrected", float(scores.estimate.mean()), rate(scores.covers(chance)), rate(scores.high < chance)],
        [
            "naive ± 1.64 SE",
            float(scores.naive.mean()),
            rate(scores.naive_covers(chance)),
            rate(scores.naive + ndtri((1 + LEVEL) / 2) * scores.naive_error < chance),
        ],
    ]
    rows += [["naive, no interval", float(scores.naive.mean()), "", rate(scores.naive < chance)]]
    return measuring.table(["pure noise", "mean", "interval covers chance, 0.693", "says better than chance"], rows)


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


def rate(hits: np.ndarray, interval: bool = True) -> str:
    """Write a share with its 95% binomial interval (Clopper and Pearson)."""
    share = f"{np.mean(hits):.1%}"
    if not interval:
        return share
    low, high = binomtest(int(np.sum(hits)), len(hits)).proportion_ci(0.95)
    return f"{share} ({low:.1%} to {high:.1%})"


def percent(share: float) -> str:
    """Write a share."""
    return f"{share:.1%}"


def with_error(values: np.ndarray) -> str:
    """Write a mean with its standard error."""
    return f"{values.mean():+.4f} ± {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def verdict_on(met: bool | np.bool_) -> str:
    """Say whether a target is met."""
    return "pass" if met else "FAIL"


def score_section(count: int, first: int) -> Iterator[str]:
    """Yield the tables of the scores."""
    found = {}
    for problem in SCORED:
        measuring.note(f"score: {problem.name}")
        found[problem.name] = score_all(problem, count, first)
    yield score_table(found)
    yield noise_table(found[SCORED[0].name])


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


SECTIONS = {"scores": score_section, "verdicts": verdict_section}


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
