"""Training a search: check, plan, run the blocks, drop the hopeless, join what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine import devices as machine
from fitwell.engine.blocks import Block, Compiled
from fitwell.engine.histories import Histories
from fitwell.engine.losses import Loss
from fitwell.engine.network import Network, Variables
from fitwell.engine.optimizers import Optimizer, adam, make_schedule
from fitwell.engine.plan import Plan, Work, make_plan
from fitwell.engine.program import Program, Rows
from fitwell.engine.stopping import Stopping, still_running
from fitwell.errors import InputError, TrainingError
from fitwell.regularization.strengths import Candidates


@dataclass(frozen=True)
class Dataset:
    """The rows of a search, on the host.

    Attributes
    ----------
    inputs
        Array ``[R, n, ...]`` if `own` (each row set has its own encoding), else ``[n, ...]``; or a tree of such arrays.
    targets
        ``[R, n]`` or ``[n]``: int32 class indices, or values standardised inside the row set.
    own
        Whether row sets have their own inputs and targets.
    shift, scale
        float [R]: predictions in the target's units are ``shift + scale * output``; 0 and 1 for classes. Losses are
        reported in units of ``scale**2``.
    """

    inputs: Any
    targets: np.ndarray
    own: bool
    shift: np.ndarray
    scale: np.ndarray

    @property
    def bytes(self) -> int:
        """Of all arrays."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.inputs)) + self.targets.nbytes

    @property
    def rows(self) -> int:
        """Number of rows, n."""
        return self.targets.shape[-1]


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes
    ----------
    epochs
        The most epochs of a network.
    batch_size
        Rows of a batch; None takes an eighth of the training rows as a power of two, 16 to 256.
    stopping
        Who leaves when; None trains all strengths for all epochs.
    optimizer, schedule
        Adam with a constant learning rate unless told otherwise.
    seed
        Of first weights, row orders and noise.
    devices, block_strengths, memory
        Placement: at most so many devices, strengths of a block, bytes. None decides by the machine; numbers only
        change by rounding.
    call_epochs
        Epochs trained between two decisions.
    """

    epochs: int = 150
    batch_size: int | None = None
    stopping: Stopping | None = field(default_factory=Stopping)
    optimizer: Optimizer = field(default_factory=adam)
    schedule: str = "constant"
    seed: int = 0
    devices: int | None = None
    block_strengths: int | None = None
    memory: int | None = None
    call_epochs: int = 5

    def __post_init__(self) -> None:
        for name in ("epochs", "call_epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"'{name}' must be at least 1. Got {getattr(self, name)}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"'batch_size' must be at least 1. Got {self.batch_size}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"'seed' must lie in [0, 4294967296). Got {self.seed}.")


@dataclass(frozen=True)
class Progress:
    """Where a search stands.

    Attributes
    ----------
    epoch, epochs
        Epochs done, of the most there can be.
    running, networks
        Networks still in training, of all.
    best_loss
        The lowest mean held-out loss so far.
    done
        Share of the whole work done or saved, 0 to 1.
    """

    epoch: int
    epochs: int
    running: int
    networks: int
    best_loss: float
    done: float


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
    _measure: Callable[[Variables], tuple[np.ndarray, np.ndarray]]
    _row_sets: RowSets
    _loss: Loss

    def variables(self, strength: int) -> Variables:
        """Return one strength's networks at its best epoch, a tree [R, ...]."""
        return jax.tree.map(lambda leaf: leaf[:, strength], self.best)

    def held_out_predictions(self, strengths: list[int]) -> np.ndarray:
        """Predict every row by the networks that did not train on it.

        Returns
        -------
        float [len(strengths), n, k] of probabilities, or [len(strengths), n] of values; NaN for rows never held out,
        the mean for rows held out several times.
        """
        outputs, _ = self._measure(jax.tree.map(lambda leaf: leaf[:, strengths], self.best))
        sums: np.ndarray | None = None
        counts = np.zeros(self.dataset.rows)
        for r, rows in enumerate(self._row_sets.held_out):
            raw = self.dataset.shift[r] + self.dataset.scale[r] * outputs[r][:, : len(rows)]
            predicted = np.asarray(self._loss.predict(raw), dtype=float)
            if sums is None:
                sums = np.zeros((len(strengths), self.dataset.rows, *predicted.shape[2:]))
            sums[:, rows] += predicted
            counts[rows] += 1
        assert sums is not None
        shape = (1, -1) + (1,) * (sums.ndim - 2)
        with np.errstate(invalid="ignore"):
            return sums / counts.reshape(shape)


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
    search = _Search(compiled, plan, candidates, settings, on_progress)
    for wave in plan.waves:
        search.train_wave(wave)
    if np.isinf(search.best_loss).all():
        raise TrainingError(
            f"All {plan.networks} networks diverged (their loss was not finite): lower the learning rate, or look for "
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
    batch_size = min(settings.batch_size or default_batch_size(most), int(np.min(row_sets.n_train)))
    steps = -(-most // batch_size)
    program = Program(
        network=network,
        loss=loss,
        optimizer=settings.optimizer,
        schedule=make_schedule(settings.schedule, settings.epochs * steps),
        regularizers=tuple(candidates.strengths),
        batch_size=batch_size,
        steps=steps,
        call_epochs=min(settings.call_epochs, settings.epochs),
    )
    plan = make_plan(
        row_sets=row_sets.count,
        strengths=candidates.count,
        epochs=settings.epochs,
        steps=steps,
        batch_size=batch_size,
        devices=len(devices),
        work=_work(network, dataset, batch_size),
        data_bytes=dataset.bytes,
        budget=settings.memory or machine.memory_budget(devices),
        block_strengths=settings.block_strengths,
        flops_per_second=machine.measure_speed() if estimate else 0.0,
        halving=settings.stopping is not None,
    )
    return plan, program


def _work(network: Network, dataset: Dataset, batch_size: int) -> Work:
    """Read one network's cost off its shapes: nothing is computed."""
    rows = 1 if dataset.own else 0
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[rows + 1 :]), leaf.dtype), dataset.inputs
    )
    dtype = jax.tree.leaves(dataset.inputs)[0].dtype
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), dtype))
    forward = jax.jit(lambda v, x: network.apply(v, x, lambda units, layer: units)).lower(variables, shapes)
    cost: Any = forward.cost_analysis() or {}
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(variables))
    return Work(size, int(2 * cost.get("bytes accessed", 0)), 3.0 * cost.get("flops", 0.0))


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
            share = losses[r][:, : len(held_out)] * float(dataset.scale[r]) ** 2
            total[np.ix_(strengths, held_out)] += share
    with np.errstate(invalid="ignore"):
        return total / counts


class _Search:
    """The strengths in training, and what has been recorded of them."""

    def __init__(
        self,
        compiled: Compiled,
        plan: Plan,
        candidates: Candidates,
        settings: Settings,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.compiled, self.plan, self.candidates, self.settings = compiled, plan, candidates, settings
        self.on_progress = on_progress
        shape = (plan.row_sets, plan.strengths, plan.epochs)
        self.curves = [np.full(shape, np.nan, compiled.dtype) for _ in range(4)]
        self.best_loss = np.full(plan.strengths, np.inf)
        self.best_epoch = np.zeros(plan.strengths, int)
        self.epochs = np.zeros(plan.strengths, int)
        self.running = np.zeros(plan.strengths, bool)
        self.best = compiled.empty_variables()

    def train_wave(self, wave: range) -> None:
        """Train the strengths of a wave until all have left or the epochs are over."""
        self.running[wave.start : wave.stop] = True
        blocks = self.compiled.start(np.array(wave))
        epoch = 0
        while blocks and epoch < self.plan.epochs:
            count = min(self.compiled.call_epochs, self.plan.epochs - epoch)
            # all blocks are dispatched before the first result is read
            advanced = [self.compiled.advance(block, epoch, count) for block in blocks]
            for block, (_, trace) in zip(blocks, advanced, strict=True):
                self._record(block, trace, epoch, count)
            blocks = [block for block, _ in advanced]
            for block in blocks:
                self._record_best(block)
            epoch += count
            blocks = self._let_go(blocks, epoch - count, epoch)
            self._report(wave, epoch)

    def histories(self, row_loss: np.ndarray) -> Histories:
        """Join what was recorded."""
        return Histories(
            *self.curves,
            best_epoch=self.best_epoch,
            best_loss=self.best_loss,
            epochs=self.epochs,
            diverged=self._diverged(),
            row_loss=row_loss,
        )

    def _record(self, block: Block, trace: Any, epoch: int, count: int) -> None:
        for curve, values in zip(self.curves, trace, strict=True):
            host = np.asarray(values)
            for place, g in block.real():
                if self.running[g]:
                    curve[:, g, epoch : epoch + count] = host[:, place, :count]
        for _, g in block.real():
            if self.running[g]:
                self.epochs[g] = epoch + count

    def _record_best(self, block: Block) -> None:
        loss, best_epoch = np.asarray(block.state.best_loss)[0], np.asarray(block.state.best_epoch)[0]
        for place, g in block.real():
            if self.running[g]:
                self.best_loss[g], self.best_epoch[g] = loss[place], best_epoch[place]

    def _let_go(self, blocks: list[Block], before: int, after: int) -> list[Block]:
        self.best_loss[self._diverged().any(axis=0)] = np.inf
        staying = self._staying(before, after) & (after < self.plan.epochs)
        leaving = np.flatnonzero(self.running & ~staying)
        self._take_snapshots(blocks, leaving)
        self.running = staying
        needed = -(-int(staying.sum()) // self.plan.block_strengths)
        if needed < len(blocks):
            return self.compiled.repack(blocks, np.flatnonzero(staying))
        return blocks

    def _staying(self, before: int, after: int) -> np.ndarray:
        if self.settings.stopping is None:
            return self.running & np.isfinite(self.best_loss)
        return still_running(self.settings.stopping, self.running, self.best_loss, self.best_epoch, before, after)

    def _take_snapshots(self, blocks: list[Block], leaving: np.ndarray) -> None:
        gone = set(leaving.tolist())
        for block in blocks:
            places = [(place, g) for place, g in block.real() if g in gone]
            if places:
                here, there = (list(numbers) for numbers in zip(*places, strict=True))
                for kept, leaf in zip(jax.tree.leaves(self.best), jax.tree.leaves(block.state.best), strict=True):
                    kept[:, there] = np.asarray(leaf)[:, here]

    def _diverged(self) -> np.ndarray:
        trained = np.arange(self.plan.epochs)[None, None, :] < self.epochs[None, :, None]
        finite = np.isfinite(self.curves[0]) & np.isfinite(self.curves[1])
        if not self.compiled.measures:
            return np.zeros(finite.shape[:2], bool)
        return np.any(trained & ~finite, axis=2)

    def _report(self, wave: range, epoch: int) -> None:
        if not self.on_progress:
            return
        running = int(self.running.sum())
        waves_done = wave.start + (wave.stop - wave.start) * (epoch / self.plan.epochs if running else 1.0)
        self.on_progress(
            Progress(
                epoch=epoch,
                epochs=self.plan.epochs,
                running=running * self.plan.row_sets,
                networks=self.plan.networks,
                best_loss=float(self.best_loss.min()),
                done=waves_done / self.plan.strengths,
            )
        )
