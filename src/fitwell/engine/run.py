"""Training a search: plan, compile, train, join what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine import devices as machine
from fitwell.engine import noise
from fitwell.engine.blocks import Compiled
from fitwell.engine.histories import Histories
from fitwell.engine.losses import Loss
from fitwell.engine.network import Network, Variables
from fitwell.engine.optimizers import make_schedule
from fitwell.engine.plan import Plan, Work, make_plan
from fitwell.engine.program import Program, Rows
from fitwell.engine.search import Progress, Search
from fitwell.engine.settings import Dataset, Settings
from fitwell.errors import TrainingError
from fitwell.regularization.strengths import Candidates

UNEQUAL = 1.25
"""Row sets take the steps of their own epochs when the largest has this many times the rows of the smallest."""


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
    _measure: Callable[[Variables], tuple[Any, np.ndarray]]
    _row_sets: RowSets
    _loss: Loss

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
        outputs, _ = self._measure(jax.tree.map(lambda leaf: leaf[:, strengths], self.best))
        parts = [self._predicted(outputs, r, len(rows)) for r, rows in enumerate(self._row_sets.held_out)]
        return jax.tree.map(lambda *leaves: self._mean_by_row(leaves), *parts)

    def _predicted(self, outputs: Any, r: int, count: int) -> Any:
        """Predictions [strengths, count, ...] of one row set's held-out rows."""
        shift, scale = self.dataset.shift[r], self.dataset.scale[r]
        return self._loss.predict(jax.tree.map(lambda leaf: shift + scale * leaf[r][:, :count], outputs))

    def _mean_by_row(self, parts: tuple[Any, ...]) -> np.ndarray:
        """Join [strengths, h_r, ...] of all row sets to [strengths, n, ...]."""
        first = np.asarray(parts[0])
        sums = np.zeros((len(first), self.dataset.rows, *first.shape[2:]))
        counts = np.zeros(self.dataset.rows)
        for rows, part in zip(self._row_sets.held_out, parts, strict=True):
            sums[:, rows] += np.asarray(part, float)
            counts[rows] += 1
        with np.errstate(invalid="ignore"):
            return sums / counts.reshape(1, -1, *(1,) * (sums.ndim - 2))


def train(
    network: Network,
    dataset: Dataset,
    row_sets: RowSets,
    candidates: Candidates,
    *,
    loss: Loss,
    settings: Settings | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train every row set times every strength at once.

    Parameters
    ----------
    network
        A model as pure functions.
    dataset
        The rows.
    row_sets
        Which rows train and which are held out, R times.
    candidates
        The strengths, G.
    loss
        What is minimised and measured.
    settings
        How to train.
    on_plan, on_progress
        Called once before training, and after every few epochs.

    Raises
    ------
    TrainingError
        Every network diverged, or the memory budget is too small.
    """
    settings = settings or Settings()
    devices = machine.available_devices(settings.devices)
    plan, program = _prepare(network, dataset, row_sets, candidates, loss, settings, devices, on_plan is not None)
    if on_plan:
        on_plan(plan)
    begin = time.perf_counter()
    rows = make_rows(row_sets, settings.seed)
    compiled = Compiled(program, plan, dataset, rows, candidates, settings.seed, devices)
    compile_seconds = time.perf_counter() - begin
    search = Search(compiled, plan, settings, on_progress)
    for wave in plan.waves:
        search.train_wave(wave)
    if np.isinf(search.best_loss).all():
        diverged = int(search.diverged().sum())
        which = f"All {plan.networks}" if diverged == plan.networks else f"{diverged} of {plan.networks}"
        more = "" if diverged == plan.networks else ", of every strength at least one"
        raise TrainingError(
            f"{which} networks diverged (their loss was not finite){more}: lower the learning rate, or look for "
            "extreme values in the target."
        )
    train_seconds = time.perf_counter() - begin - compile_seconds
    row_loss = _row_losses(compiled, search.best, row_sets, dataset)
    seconds = {"compile": compile_seconds, "train": train_seconds}
    seconds["measure"] = time.perf_counter() - begin - compile_seconds - train_seconds
    return Trained(
        histories=search.histories(row_loss),
        plan=plan,
        best=search.best,
        seconds=seconds,
        compilations=compiled.compilations,
        dataset=dataset,
        _measure=compiled.measure,
        _row_sets=row_sets,
        _loss=loss,
    )


def default_batch_size(n_train: int) -> int:
    """An eighth of the training rows, as a power of two from 16 to 256, and never more than there are."""
    power = 2 ** round(np.log2(max(n_train / 8, 1)))
    return int(min(np.clip(power, 16, 256), n_train))


def make_rows(row_sets: RowSets, seed: int) -> Rows:
    """Turn row sets into padded index arrays [R, ...], and draw the training rows on which loss is measured."""
    train, n_train, held_out, n_held_out = row_sets.padded()
    n_measured = np.minimum(n_train, n_held_out).astype(np.int32)
    measured = np.zeros((row_sets.count, int(n_measured.max(initial=0))), np.int32)
    for r, identity in enumerate(row_sets.ids):
        generator = np.random.default_rng([seed, int(identity)])
        measured[r, : n_measured[r]] = generator.permutation(train[r, : n_train[r]])[: n_measured[r]]
    ids = np.asarray(row_sets.ids, np.int32)
    return Rows(ids, train, n_train.astype(np.int32), measured, n_measured, held_out, n_held_out.astype(np.int32))


def _prepare(
    network: Network,
    dataset: Dataset,
    row_sets: RowSets,
    candidates: Candidates,
    loss: Loss,
    settings: Settings,
    devices: list[machine.Device],
    estimate: bool,
) -> tuple[Plan, Program]:
    most = int(np.max(row_sets.n_train))
    batch_size = min(settings.batch_size or default_batch_size(most), most)
    steps = -(-most // batch_size)
    program = Program(
        network=network,
        loss=loss,
        optimizer=settings.optimizer,
        schedule=make_schedule(settings.schedule, (settings.schedule_epochs or settings.epochs) * steps),
        regularizers=tuple(candidates.strengths),
        batch_size=batch_size,
        steps=steps,
        call_epochs=min(settings.call_epochs, settings.epochs),
        unequal=not settings.equal_steps and most > UNEQUAL * int(np.min(row_sets.n_train)),
        record_rows=settings.record_rows,
    )
    plan = make_plan(
        row_sets=row_sets.count,
        strengths=candidates.count,
        epochs=settings.epochs,
        steps=steps,
        batch_size=batch_size,
        devices=len(devices),
        work=_work(network, dataset, batch_size, _evaluated(program, row_sets)),
        data_bytes=dataset.bytes * (1 + len(devices)),  # the host's, and a copy on each device
        budget=machine.memory_budget(devices) if settings.memory is None else settings.memory,
        block_strengths=settings.block_strengths,
        block_networks=settings.block_networks,
        flops_per_second=machine.measure_speed() if estimate else 0.0,
        halving=settings.stopping is not None,
    )
    return plan, program


def _evaluated(program: Program, row_sets: RowSets) -> int:
    """Rows whose loss is measured at once."""
    return min(program.evaluation_rows, 2 * int(np.max(row_sets.n_held_out)))


def _work(network: Network, dataset: Dataset, batch_size: int, evaluated: int) -> Work:
    """Read one network's cost off its shapes: nothing is computed."""
    rows = 1 if dataset.own else 0
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[rows + 1 :]), leaf.dtype), dataset.inputs
    )
    variables = jax.eval_shape(lambda: network.init(noise.make_key(0), dataset.dtype))
    forward = jax.jit(lambda v, x: network.apply(v, x, None)).lower(variables, shapes)
    cost: Any = forward.cost_analysis() or {}
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(variables))
    step_bytes = 2 * cost.get("bytes accessed", 0) * max(1.0, evaluated / (2 * batch_size))
    return Work(size, int(step_bytes), 3.0 * cost.get("flops", 0.0))


def _row_losses(compiled: Compiled, best: Variables, row_sets: RowSets, dataset: Dataset) -> np.ndarray:
    """Average the held-out loss of every row over the row sets that hold it out: [G, n]."""
    if not compiled.measures:
        return np.full((compiled.plan.strengths, dataset.rows), np.nan)
    total = np.zeros((compiled.plan.strengths, dataset.rows))
    counts = np.zeros(dataset.rows)
    for held_out in row_sets.held_out:
        counts[held_out] += 1
    for strengths, _, losses in compiled.measured_parts(best):
        for r, held_out in enumerate(row_sets.held_out):
            share = losses[r][:, : len(held_out)].astype(float) * float(dataset.scale[r]) ** 2
            total[np.ix_(strengths, held_out)] += share
    with np.errstate(invalid="ignore"):
        return total / counts
