"""Simulated problems whose truth is known: populations, samples of them, and many samples trained together.

Rows come from a known conditional distribution, so what a network would lose on endlessly many new rows is measured on
fresh rows that carry that distribution in place of a drawn target. Replications are trained together: the row sets of
many tables are the row sets of one search. Training does not depend on what is held out, and its random numbers depend
on the number of the row set only. So the same search with fresh rows held out gives the true curves of the same
networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import jax
import jax.numpy as jnp
import numpy as np

from fitwell.data.row_sets import RowSets, folds
from fitwell.engine.histories import Histories
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import Loss
from fitwell.engine.network import DenseNetwork, PureNetwork
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.keras.backend import import_keras
from fitwell.keras.keras_network import open_network
from fitwell.regularization.grids import sobol
from fitwell.regularization.strengths import Candidates
from fitwell.studies.evidence import FEWEST_ROWS, SHARES

FOLDS, REPEATS = 5, 2
STRENGTHS = 12
BATCH_SIZE = 40
FRESH_ROWS = 1000
LEVEL = 0.9
"""Of the interval of a score."""
AS_GIVEN = {"l2": 3e-3}
"""Regularization of a Keras model as it is given."""

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


@cache
def of_keras(loss: Loss) -> Loss:
    """Return a loss of what a Keras network gives, of which its predictions are one part."""
    return replace(
        loss,
        per_row=lambda outputs, targets: loss.per_row(outputs.predictions, targets),
        metric=lambda outputs, targets: loss.metric(outputs.predictions, targets),
        predict=lambda outputs: loss.predict(outputs.predictions),
    )


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
    classes
        Of targets that are no values.
    tails
        Degrees of freedom of the noise's t distribution, scaled to its variance; 0 for normal noise.
    group
        Rows of a group, which have half of their inputs' variance in common and `shared` of their noise's; 0 if each
        row stands alone. Fresh rows are of new groups.
    keras
        Whether the network is a Keras model with regularization of its own, which may be left alone.
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
    classes: int = 2
    tails: int = 0
    group: int = 0
    shared: float = 0.5
    keras: bool = False

    @property
    def loss(self) -> Loss:
        """What is minimised, and the truth of it."""
        plain = VALUES if self.regression else CLASSES
        return of_keras(plain) if self.keras else plain

    @property
    def outputs(self) -> int:
        """Of the network."""
        return 1 if self.regression else self.classes

    @property
    def candidates(self) -> Candidates:
        """The strengths of the search, none first; with the Keras model's own in the place of the last."""
        found = sobol(STRENGTHS, learning_rate=self.learning_rate)
        if not self.keras:
            return found
        strengths = {name: np.append(values[:-1], AS_GIVEN.get(name, 0.0)) for name, values in found.strengths.items()}
        return replace(found, strengths=strengths, given=STRENGTHS - 1)

    def network(self, hidden: tuple[int, ...] | None = None) -> PureNetwork:
        """Return the network, or a larger one."""
        if not self.keras:
            return DenseNetwork(self.inputs, hidden or self.hidden, self.outputs)
        keras = import_keras()
        layers = [keras.layers.Dense(units, activation="relu") for units in hidden or self.hidden]
        model = keras.Sequential([keras.Input((self.inputs,)), *layers, keras.layers.Dense(self.outputs)])
        return open_network(model, np.zeros((1, self.inputs), np.float32))

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
        """Draw a sample: inputs [rows, d] and distributions that are all in one point [rows, k]."""
        inputs, chances = self.fresh(rng, rows)
        if self.group:
            inputs = self._alike(inputs, self._shared(rng, rows, self.inputs), 0.5)
            chances = self.conditional(inputs)
        if self.regression:
            noise = self._noise(rng, rows)
            if self.group:
                noise = self._alike(noise[:, None], self._shared(rng, rows, 1), self.shared)[:, 0]
            return inputs, np.stack([chances[:, 0] + np.sqrt(chances[:, 1]) * noise, np.zeros(rows)], axis=1)
        below = rng.uniform(size=rows)[:, None] < np.cumsum(chances[:, ::-1], axis=1)
        return inputs, np.eye(self.classes)[self.classes - 1 - below.argmax(axis=1)]

    def groups(self, rows: int) -> np.ndarray | None:
        """Number the group of each row of a sample, int [rows]."""
        return np.arange(rows) // self.group if self.group else None

    def _noise(self, rng: np.random.Generator, rows: int) -> np.ndarray:
        if not self.tails:
            return rng.normal(size=rows)
        return rng.standard_t(self.tails, size=rows) * np.sqrt((self.tails - 2) / self.tails)

    def _shared(self, rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
        return rng.normal(size=(-(-rows // self.group), columns))[np.arange(rows) // self.group]

    def _alike(self, own: np.ndarray, shared: np.ndarray, share: float) -> np.ndarray:
        return np.sqrt(1 - share) * own + np.sqrt(share) * shared

    def fresh(self, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw new inputs [rows, d] with the distribution of their targets [rows, k]."""
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
    def drawn(problem: Problem, first: int, count: int, repeats: int = REPEATS) -> Batch:
        """Draw the samples `first` to `first + count`: each has a seed of its own, whatever the batch."""
        number = sum(map(ord, problem.name))
        rngs = [np.random.default_rng([number, replication]) for replication in range(first, first + count)]
        samples = [problem.draw(rng, 2 * problem.rows) for rng in rngs]
        samples.append(problem.fresh(np.random.default_rng([number, first, 1]), FRESH_ROWS))
        inputs, targets = (np.concatenate(parts).astype(np.float32) for parts in zip(*samples, strict=True))
        sets = []
        for replication, (_, target) in enumerate(samples[:-1], start=first):
            mine = target[: problem.rows, 0] if problem.regression else target[: problem.rows].argmax(axis=1)
            task = "regression" if problem.regression else "classification"
            groups = problem.groups(problem.rows)
            sets.append(folds(mine, task, cv=FOLDS, repeats=repeats, seed=replication, groups=groups))
        return Batch(problem, count, inputs, targets, tuple(sets))

    def strata(self, replication: int) -> np.ndarray | None:
        """Class of each row of a sample, None for values."""
        first = 2 * self.problem.rows * replication
        return None if self.problem.regression else self.targets[first : first + self.problem.rows].argmax(axis=1)

    def slices(self, histories: Histories | None = None) -> list[slice]:
        """Return which row sets of a search are of which replication."""
        size = self.row_sets[0].count if histories is None else len(histories.train_loss) // self.replications
        return [slice(first, first + size) for first in range(0, self.replications * size, size)]

    @cached_property
    def units(self) -> np.ndarray:
        """Number the group of each row of all samples, int [rows]; or each row."""
        rows = np.arange(len(self.inputs))
        return rows // self.problem.group if self.problem.group else rows

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
        record
            Whether the losses of units are kept at every epoch.
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
            problem.network(hidden),
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
                units=self.units if record else None,
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


def batches(problem: Problem, replications: int, size: int, first: int = 0, repeats: int = REPEATS) -> Iterator[Batch]:
    """Cut the replications from a number on into batches of one size."""
    for start in range(0, replications, size):
        yield Batch.drawn(problem, first + start, min(size, replications - start), repeats)
