"""Training a search: plan, train, join what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine.executor import Executor, Job
from fitwell.engine.histories import Histories
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.listening import Listener
from fitwell.engine.losses import Loss
from fitwell.engine.network import PureNetwork, Variables
from fitwell.engine.plan import Plan
from fitwell.engine.settings import Dataset, Settings
from fitwell.engine.training import Training
from fitwell.regularization.strengths import Candidates


@dataclass(frozen=True)
class Trained:
    """A finished search.

    Attributes
    ----------
    histories
        See `Histories`.
    plan
        How it was cut.
    best
        Variables of all strengths at their best epochs, a tree of host arrays [R, G, ...].
    seconds
        Time of `"compile"`, `"train"` and `"measure"`.
    compilations
        Programs compiled for training: one, whatever the number of blocks and waves.
    dataset
        What was trained on.
    """

    histories: Histories
    plan: Plan
    best: Variables
    seconds: dict[str, float]
    compilations: int
    dataset: Dataset
    _executor: Executor[Any]
    _job: Job

    def variables(self, strength: int) -> Variables:
        """Return one strength's networks at its best epoch, a tree [R, ...]."""
        return jax.tree.map(lambda leaf: leaf[:, strength], self.best)

    def held_out_predictions(self, strengths: list[int]) -> Any:
        """Predict every row by the networks that did not train on it.

        Returns
        -------
        float [len(strengths), n, k] of probabilities, or [len(strengths), n] of values, or a tree of such as the loss
        predicts; NaN for rows never held out, the mean for rows held out several times.
        """
        measured = list(self._executor.measure(jax.tree.map(lambda leaf: leaf[:, strengths], self.best)))
        outputs = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *(part.outputs for part in measured))
        parts = [self._predicted(outputs, r, len(rows)) for r, rows in enumerate(self._job.row_sets.held_out)]
        return jax.tree.map(lambda *leaves: self._mean_by_row(leaves), *parts)

    def _predicted(self, outputs: Any, r: int, count: int) -> Any:
        """Predictions [strengths, count, ...] of one row set's held-out rows."""
        shift, scale = self.dataset.shift[r], self.dataset.scale[r]
        return self._job.loss.predict(jax.tree.map(lambda leaf: shift + scale * leaf[r][:, :count], outputs))

    def _mean_by_row(self, parts: tuple[Any, ...]) -> np.ndarray:
        """Join [strengths, h_r, ...] of all row sets to [strengths, n, ...]."""
        first = np.asarray(parts[0])
        sums = np.zeros((len(first), self.dataset.rows, *first.shape[2:]))
        counts = np.zeros(self.dataset.rows)
        for rows, part in zip(self._job.row_sets.held_out, parts, strict=True):
            sums[:, rows] += np.asarray(part, float)
            counts[rows] += 1
        with np.errstate(invalid="ignore"):
            return sums / counts.reshape(1, -1, *(1,) * (sums.ndim - 2))


def train_all(
    network: PureNetwork,
    dataset: Dataset,
    row_sets: RowSets,
    candidates: Candidates,
    *,
    loss: Loss,
    settings: Settings | None = None,
    listener: Listener | None = None,
    beside: Callable[[], None] | None = None,
) -> Trained:
    """Train every row set times every strength at once.

    Parameters
    ----------
    network, dataset, row_sets, candidates, loss
        See `Job`.
    settings
        How to train.
    listener
        Called once before training, and after every few epochs; with None the machine's speed is not measured for it.
    beside
        Called in a thread of its own once the first epochs are done, when no compilation wants the processor.

    Raises
    ------
    TrainingError
        Every network diverged, or the memory budget is too small.
    """
    settings = settings or Settings()
    job = Job(network, dataset, row_sets, candidates, loss)
    # it plans before it compiles: memory that does not suffice is said at once
    executor: Executor[Any] = (settings.executor or JaxExecutor)(job, settings, listener is not None)
    if listener:
        listener.on_plan(executor.plan)
    begin = time.perf_counter()
    training = Training(job, executor, settings, listener, beside)
    for wave in executor.plan.waves:
        training.train_wave(wave)
    # after all waves: one of them may hold the only strengths that train
    training.check_some_trained()
    # the first wave compiles on its way
    train_seconds = time.perf_counter() - begin - executor.compile_seconds
    row_loss = _row_losses(executor, training.best, row_sets)
    measure_seconds = time.perf_counter() - begin - executor.compile_seconds - train_seconds
    return Trained(
        histories=training.histories(row_loss),
        plan=executor.plan,
        best=training.best,
        seconds={"compile": executor.compile_seconds, "train": train_seconds, "measure": measure_seconds},
        compilations=executor.compilations,
        dataset=dataset,
        _executor=executor,
        _job=job,
    )


def _row_losses(executor: Executor[Any], best: Variables, row_sets: RowSets) -> np.ndarray:
    """Average the held-out loss of every row over the row sets that hold it out: [G, n]."""
    total = np.zeros((executor.plan.strengths, row_sets.n_rows))
    counts = np.zeros(row_sets.n_rows)
    for held_out in row_sets.held_out:
        counts[held_out] += 1
    if counts.any():  # in a refit no row is held out
        for places, _, losses in executor.measure(best):
            for r, held_out in enumerate(row_sets.held_out):
                total[np.ix_(places, held_out)] += losses[r][:, : len(held_out)]
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a row that was never held out
        return total / counts
