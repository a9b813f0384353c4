"""NumPy as an executor: the dense network of tables on the cores of a CPU, with nothing to compile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fitwell.data.encoded_later import EncodedCopies, EncodedLater
from fitwell.engine import plain_noise
from fitwell.engine.dense_training import (
    ACTIVATIONS_AND_SLOPES,
    EVALUATED_ROWS,
    DenseTraining,
    Scratch,
    WeightLayout,
    drawn_weights,
)
from fitwell.engine.executor import Epochs, Job, Measured, SavedBlock
from fitwell.engine.fused_training import can_fuse, make_training
from fitwell.engine.job import Settings, make_batching, make_rows
from fitwell.engine.memory import give_back_freed, host_memory
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.engine.numpy_costs import FUSED_EFFICIENCY, block_size, measure_products, step_operations, useful_threads
from fitwell.engine.one_core import blas_on_one_core
from fitwell.engine.plain_losses import PLAIN_LOSSES
from fitwell.engine.plan import TYPICAL_EFFICIENCY, Plan, Work, make_plan
from fitwell.engine.stopping import share_of_work
from fitwell.errors import InputError, TrainingError
from fitwell.regularization.table import BUILT_IN
from fitwell.startup import cpu_devices
from fitwell.trees import tree_map

if TYPE_CHECKING:
    from fitwell.engine.optimizers import Optimizer


@dataclass(eq=False)
class NumpyBlock:
    """Some strengths in training together, with all row sets; changed in place.

    Attributes
    ----------
    numbers
        int [S], their numbers in the search.
    training
        Trains them.
    weights, means, squares, best
        [R, S, P]: as they are, Adam's moments, and at the best epoch.
    steps
        int [R], taken so far.
    best_loss, best_epoch
        [S], of the mean over row sets.
    """

    numbers: np.ndarray
    training: DenseTraining
    weights: np.ndarray
    means: np.ndarray
    squares: np.ndarray
    best: np.ndarray
    steps: np.ndarray
    best_loss: np.ndarray
    best_epoch: np.ndarray


STATE = ("weights", "means", "squares", "best", "steps", "best_loss", "best_epoch")
"""What is kept of a block, in this order."""


class NumpyExecutor:
    """The `Executor` of NumPy.

    Raises
    ------
    InputError
        The job is none that NumPy can do, see `why_not`.
    """

    compilations = 0
    compile_seconds = 0.0

    def __init__(self, job: Job, settings: Settings, estimate: bool = False) -> None:
        if reason := why_not(job, settings):
            raise InputError(f"NumPy cannot train {reason}: leave out the engine, or choose 'jax'.")
        self.job, self.settings = job, settings
        self.network: DenseNetwork = cast(DenseNetwork, job.network)
        self.loss, self.layout = PLAIN_LOSSES[job.loss], WeightLayout(self.network.sizes, self.network.scaled)
        self.rows = make_rows(job.row_sets, settings.seed, job.dataset.weight)
        self.batching = make_batching(job.row_sets, settings)
        useful = useful_threads(self.network, self.batching, job.dataset.dtype)
        self.threads = min(settings.devices, cpu_devices()) if settings.devices else useful
        inputs = job.dataset.inputs
        self._later = inputs if isinstance(inputs, EncodedLater) else None
        if self._later is not None:
            give_back_freed()  # by what was read, trained and measured before
        self.plan, copies = self._make_plan(estimate)
        self.copies = None if self._later is None else EncodedCopies(self._later, copies)
        self.schedule = plain_schedule(settings, self.batching.steps)
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="fitwell")
        self._scratch: SimpleQueue[Scratch] = SimpleQueue()
        for _ in range(self.threads):
            self._scratch.put(Scratch())

    def start(self, strengths: np.ndarray) -> list[NumpyBlock]:
        """See `Executor`."""
        first = self._first_weights()
        return [self._started(part, first) for part in self._cut(strengths)]

    def advance(
        self, blocks: Sequence[NumpyBlock], first: int, count: int
    ) -> tuple[Sequence[NumpyBlock], Iterable[Epochs]]:
        """See `Executor`; row sets times blocks are spread over the threads, which meet after every epoch."""
        done = [self._nothing_yet(block, count) for block in blocks]
        for place, epoch in enumerate(range(first, first + count)):
            # all blocks of a row set while its inputs are encoded; there and back, for those of the last ones still are
            order = range(self.plan.row_sets)[:: -1 if epoch % 2 else 1]
            tasks = [(b, r) for r in order for b in range(len(blocks))]
            self._each(lambda scratch, b, r: self._epoch(blocks[b], r, epoch, scratch, done[b], place), tasks)  # noqa: B023
            for block, epochs in zip(blocks, done, strict=True):
                self._keep_best(block, epochs.curves[1, :, :, place], epoch + 1)
        return blocks, (
            epochs._replace(best_loss=block.best_loss.copy(), best_epoch=block.best_epoch.copy())
            for block, epochs in zip(blocks, done, strict=True)
        )

    def repack(self, blocks: Sequence[NumpyBlock], strengths: np.ndarray) -> list[NumpyBlock]:
        """See `Executor`; who has left costs nothing any more."""
        return self.gathered(blocks, strengths)

    def gathered(self, blocks: Sequence[NumpyBlock], strengths: np.ndarray) -> list[NumpyBlock]:
        """Join strengths of several blocks to new ones; see `MovingExecutor`."""
        places = {int(g): (block, place) for block in blocks for place, g in enumerate(block.numbers)}
        return [self._moved([places[int(g)] for g in part], part) for part in self._cut(strengths)]

    def measure(self, variables: Variables) -> Iterator[Measured]:
        """See `Executor`; as many networks at a time as are in a block."""
        if self.copies is not None:
            self.copies.forget()  # held-out rows are encoded as they are measured
        total = variables.trainable[0]["kernel"].shape[1]
        k, longest = self.layout.sizes[-1], self.rows.held_out.shape[1]
        for places in self._cut(np.arange(total)):
            shape = (self.plan.row_sets, len(places), longest)
            outputs, losses = np.full((*shape, k), np.nan, self.job.dataset.dtype), np.full(shape, np.nan)
            training = self._training(np.zeros(len(places), int))

            def measure(scratch: Scratch, r: int) -> None:
                weights = self.layout.joined(tree_map(lambda leaf: leaf[r, places], variables))  # noqa: B023
                held_out = self.rows.held_out[r, : self.rows.n_held_out[r]]
                at = 0
                for part, targets in self._parts(r, held_out):
                    raw = training.outputs(weights, self._inputs_of(r, part), scratch)  # noqa: B023
                    here = slice(at, at := at + len(targets))
                    outputs[r, :, here] = raw.swapaxes(1, 2)  # noqa: B023
                    losses[r, :, here] = self.loss.by_row(raw, targets)[0] * self._unit(r)  # noqa: B023

            self._each(measure, [(r,) for r in range(self.plan.row_sets)])
            yield Measured(places, outputs, losses)

    def read(self, blocks: Sequence[NumpyBlock], strengths: np.ndarray) -> Variables:
        """See `Executor`."""
        places = {int(g): (block, place) for block in blocks for place, g in enumerate(block.numbers)}
        found = [places[int(g)] for g in strengths]
        best = np.stack([block.best[:, place] for block, place in found], axis=1)
        return self.layout.variables(best)

    def saved(self, blocks: Sequence[NumpyBlock]) -> list[SavedBlock]:
        """See `Executor`."""
        return [
            SavedBlock(block.numbers, len(block.numbers), [getattr(block, name) for name in STATE]) for block in blocks
        ]

    def restored(self, blocks: Sequence[SavedBlock]) -> list[NumpyBlock]:
        """See `Executor`."""
        return [
            # changed in place, so they are copies
            NumpyBlock(
                one.strengths,
                self._training(one.strengths),
                **{name: array.copy() for name, array in zip(STATE, one.arrays, strict=True)},
            )
            for one in blocks
        ]

    @property
    def structure(self) -> Variables:
        """See `Executor`."""
        return tree_map(lambda _: 0, self.layout.variables(np.empty(self.layout.count)))

    def _epoch(self, block: NumpyBlock, r: int, epoch: int, scratch: Scratch, done: Epochs, place: int) -> None:
        """Train one epoch of a block's networks on one row set, and measure them."""
        key, order = self._order(r, epoch)
        factors, batch_size = self._factors(len(order), epoch), self.plan.batch_size
        weight = self.job.dataset.train_weight
        state, taken = (block.weights[r], block.means[r], block.squares[r]), int(block.steps[r])
        mine = None if weight is None else weight[r]
        with self._inputs(r) as inputs:
            data = inputs, self._targets(r)
            block.training.epoch(*state, taken, factors, *data, order, batch_size, key, scratch, mine)
            block.steps[r] += len(factors)
            self._measure(block, r, inputs, scratch, done, place)

    def _order(self, r: int, epoch: int) -> tuple[plain_noise.Words, np.ndarray]:
        """The key of a row set's noise in an epoch, and its training rows as they are seen there."""
        key = plain_noise.words_of(self.settings.seed)
        # by what a network is, never by where or when it runs: row set, 1 for training, epoch
        for number in (int(self.rows.id[r]), 1, epoch):
            key = plain_noise.folded(key, number)
        mine = self.rows.train[r, : self.rows.n_train[r]]
        return key, mine[np.argsort(plain_noise.levels(plain_noise.folded(key, 0), len(mine)), kind="stable")]

    def _factors(self, rows: int, epoch: int) -> np.ndarray:
        """Factors of the learning rate in the steps that an epoch of so many training rows takes."""
        steps = -(-rows // self.plan.batch_size) if self.batching.unequal else self.plan.steps
        return np.array([self.schedule(epoch * self.plan.steps + number) for number in range(steps)])

    def _measure(
        self, block: NumpyBlock, r: int, inputs: np.ndarray, scratch: Scratch, done: Epochs, place: int
    ) -> None:
        """Mean loss and metric on the measured training rows and on the held-out rows, without noise."""
        groups = (self.rows.measured[r, : self.rows.n_measured[r]], self.rows.held_out[r, : self.rows.n_held_out[r]])
        for group, rows in enumerate(groups):
            if not len(rows):
                continue
            found = []
            for part, targets in self._parts(r, rows):
                outputs = block.training.outputs(block.weights[r], inputs[part], scratch)
                found.append(self.loss.by_row(outputs, targets))
            loss, metric = (np.concatenate(parts, axis=1).astype(float) for parts in zip(*found, strict=True))
            loss *= self._unit(r)
            done.curves[group, r, :, place] = self._mean(loss, rows)
            done.curves[2 + group, r, :, place] = self._mean(metric, rows)
            if group == 1 and done.row_loss is not None:
                done.row_loss[r, :, place, : len(rows)] = loss

    def _mean(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mean [S] of what some rows have, [S, rows], by their weights."""
        if self.job.dataset.weight is None:
            return values.mean(axis=1)
        weight = self.job.dataset.weight[rows].astype(float)
        counts = weight > 0  # a row of no weight may be far out, and infinity times 0 is no number
        return (values[:, counts] * weight[counts]).sum(axis=1) / weight.sum()

    def _keep_best(self, block: NumpyBlock, held_out_loss: np.ndarray, epoch: int) -> None:
        """Snapshot the weights where the mean over row sets improved; without held-out rows, always."""
        nothing_held_out = self.rows.held_out.shape[1] == 0
        mean = np.full(len(block.numbers), -float(epoch)) if nothing_held_out else held_out_loss.mean(axis=0)
        improved = mean < block.best_loss
        block.best[:, improved] = block.weights[:, improved]
        block.best_loss[improved], block.best_epoch[improved] = mean[improved], epoch

    def _nothing_yet(self, block: NumpyBlock, count: int) -> Epochs:
        shape = (self.plan.row_sets, len(block.numbers), count)
        recorded = self.settings.units is not None
        row_loss = np.full((*shape, self.rows.held_out.shape[1]), np.nan) if recorded else None
        return Epochs(np.full((4, *shape), np.nan), row_loss, block.best_loss, block.best_epoch)

    def _each(self, work: Callable[..., None], tasks: Sequence[tuple[Any, ...]]) -> None:
        """Do all tasks on the threads, each with a scratch of its own and BLAS on one core."""

        def one(task: tuple[Any, ...]) -> None:
            scratch = self._scratch.get()
            try:
                # networks diverge, and that is found in their losses; the state of errors is a thread's own
                with np.errstate(all="ignore"):
                    work(scratch, *task)
            finally:
                self._scratch.put(scratch)

        with blas_on_one_core():
            # a list: so that what was raised in a thread is raised here
            list(map(one, tasks) if self.threads == 1 else self._pool.map(one, tasks))

    @contextmanager
    def _inputs(self, r: int) -> Iterator[np.ndarray]:
        """Lend the inputs of all rows, as a row set sees them."""
        dataset = self.job.dataset
        if self.copies is not None:
            with self.copies.lent(r) as inputs:
                yield inputs
        else:
            yield dataset.inputs[r] if dataset.own else dataset.inputs

    def _inputs_of(self, r: int, rows: np.ndarray) -> np.ndarray:
        """Inputs of some rows, as a row set sees them."""
        dataset = self.job.dataset
        if self._later is not None:
            return self._later.rows(r, rows)
        return dataset.inputs[r][rows] if dataset.own else dataset.inputs[rows]

    def _targets(self, r: int) -> np.ndarray:
        """Targets of all rows, as a row set sees them."""
        dataset = self.job.dataset
        return dataset.targets[r] if dataset.own else dataset.targets

    def _parts(self, r: int, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some rows at a time, and their targets: the outputs of all at once may be beyond memory."""
        targets = self._targets(r)
        for at in range(0, len(rows), EVALUATED_ROWS):
            part = rows[at : at + EVALUATED_ROWS]
            yield part, targets[part]

    def _unit(self, r: int) -> float:
        """The loss in the target's own units over that of the targets trained on."""
        return float(self.job.dataset.loss_scale[r]) ** 2

    def _make_plan(self, estimate: bool) -> tuple[Plan, int]:
        """Plan, and say of how many row sets the inputs are encoded at a time, if they are encoded later."""
        speed = measure_products(self.threads) if estimate else 0.0
        budget = host_memory() if self.settings.memory is None else self.settings.memory
        if (later := self._later) is None:
            return self._plan_of(self.job.dataset.bytes, budget, speed), 0
        # what is free does not count the features, which are there already
        budget += later.nbytes if self.settings.memory is None else 0

        def plan_of(copies: int) -> Plan:
            return self._plan_of(self.job.dataset.bytes + copies * later.copy_bytes, budget, speed)

        # with one copy threads may wait for it, but strengths would rather not train in waves for the sake of others
        copies, plan = 1, plan_of(1)
        # one for each thread, and one of the epoch before
        for more in range(2, min(self.threads + 1, later.different) + 1):
            with suppress(TrainingError):
                larger = plan_of(more)
                if larger.wave_strengths == plan.wave_strengths:
                    copies, plan = more, larger
        return plan, copies

    def _plan_of(self, data_bytes: int, budget: int, speed: float) -> Plan:
        job, settings, batching = self.job, self.settings, self.batching
        row_sets, strengths = job.row_sets.count, job.candidates.count
        size = block_size(row_sets, strengths, self.threads)
        plan = make_plan(
            row_sets=row_sets,
            strengths=strengths,
            epochs=settings.epochs,
            steps=batching.steps,
            batch_size=batching.batch_size,
            devices=1,  # blocks are not cut further: threads take whole ones, one row set at a time
            work=self._work(),
            data_bytes=data_bytes + sum(part.nbytes for part in self.rows),
            recorded_bytes=self._recorded_bytes(),
            budget=budget,
            block_strengths=settings.block_strengths,
            block_networks=size * row_sets,
            flops_per_second=speed,
            share=share_of_work(settings.stopping, strengths, settings.epochs),
            efficiency=FUSED_EFFICIENCY if can_fuse(self.network, job.dataset.dtype) else TYPICAL_EFFICIENCY,
            compile_seconds=0.0,
        )
        return replace(plan, devices=self.threads)

    def _recorded_bytes(self) -> int:
        return self.job.recorded_bytes(self.settings)

    def _recorded_numbers(self) -> int:
        """Of one network in one epoch and row set, at most."""
        return int(self.job.row_sets.n_held_out.max()) if self.settings.units is not None else 0

    def _work(self) -> Work:
        """What one network costs."""
        sizes, dtype, rows = self.layout.sizes, self.job.dataset.dtype, self.batching.batch_size
        weights = self.layout.count * dtype.itemsize
        # of a layer: values, slopes and factors, and the way back
        units = 4 * sum(sizes[1:]) * max(rows, EVALUATED_ROWS) * dtype.itemsize
        recorded = self._recorded_numbers()
        return Work(
            variable_bytes=weights,
            # gradient, perturbed kernels and their factors; only as many row sets are at work as there are threads
            step_bytes=int((units + 4 * weights) * self.threads / self.job.row_sets.count),
            step_flops=step_operations(self.network, rows),
            host_traces=2,  # what is kept of a block, and the units' order of a row set's part
            trace_bytes=min(self.settings.call_epochs, self.settings.epochs) * recorded * np.dtype(float).itemsize,
        )

    def _first_weights(self) -> np.ndarray:
        """Return first weights, [R, P]."""
        dtype, first = self.job.dataset.dtype, self.job.dataset.first
        weights = np.empty((self.plan.row_sets, self.layout.count), dtype)
        key = plain_noise.words_of(self.settings.seed)
        for r, identity in enumerate(self.rows.id):
            weights[r] = drawn_weights(
                self.network, plain_noise.folded(plain_noise.folded(key, int(identity)), 0), dtype
            )
        if first is not None:
            weights[:] = self.layout.joined(first)
        return weights

    def _started(self, numbers: np.ndarray, first: np.ndarray) -> NumpyBlock:
        weights = np.repeat(first[:, None], len(numbers), axis=1)
        return NumpyBlock(
            numbers=numbers,
            training=self._training(numbers),
            weights=weights,
            means=np.zeros_like(weights),
            squares=np.zeros_like(weights),
            best=weights.copy(),
            steps=np.zeros(self.plan.row_sets, int),
            best_loss=np.full(len(numbers), np.inf),
            best_epoch=np.zeros(len(numbers), int),
        )

    def _moved(self, found: Sequence[tuple[NumpyBlock, int]], numbers: np.ndarray) -> NumpyBlock:
        """Join networks of several blocks to one."""

        def gathered(name: str, axis: int) -> np.ndarray:
            return np.stack([getattr(block, name).take(place, axis=axis) for block, place in found], axis=axis)

        return NumpyBlock(
            numbers=numbers,
            training=self._training(numbers),
            steps=found[0][0].steps.copy(),
            **{name: gathered(name, 1) for name in ("weights", "means", "squares", "best")},
            **{name: gathered(name, 0) for name in ("best_loss", "best_epoch")},
        )

    def _training(self, numbers: np.ndarray) -> DenseTraining:
        chosen = self.job.candidates.take(numbers)
        return make_training(self.network, self.loss, chosen.strengths, chosen.learning_rate, self.job.dataset.dtype)

    def _cut(self, strengths: np.ndarray) -> list[np.ndarray]:
        """Cut strengths into blocks of nearly one size; which ones stand together changes no number."""
        if not len(strengths):
            return []
        size = self.settings.block_strengths or block_size(self.plan.row_sets, len(strengths), self.threads)
        size = min(size, self.plan.block_strengths)  # what memory allows
        return np.array_split(strengths, math.ceil(len(strengths) / size))


def why_not(job: Job, settings: Settings) -> str:
    """Return what of a job NumPy cannot train, in words; empty if it can train all."""
    if not isinstance(job.network, DenseNetwork) or job.network.activation not in ACTIVATIONS_AND_SLOPES:
        return "this network"
    if job.loss not in PLAIN_LOSSES:
        return f"the loss {job.loss.name!r}"
    if settings.optimizer is not None and not _is_adam(settings.optimizer):
        return f"the optimizer {settings.optimizer.name!r}"
    if callable(settings.schedule):
        return "a schedule of your own"
    if job.candidates.own is not None:
        return "a network with regularization of its own"
    unknown = [row.name for row in job.candidates.regularizers if BUILT_IN.get(row.name) is not row]
    return f"the regularizer {unknown[0]!r}" if unknown else ""


def _is_adam(optimizer: Optimizer) -> bool:
    from fitwell.engine.optimizers import adam

    return optimizer is adam()


def plain_schedule(settings: Settings, steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate by step, see `fitwell.engine.optimizers.make_schedule`."""
    if settings.schedule == "constant":
        return lambda step: 1.0
    total = (settings.schedule_epochs or settings.epochs) * steps
    if settings.schedule == "cooldown":
        return lambda step: min(max(2 * (1 - step / total), 0.0), 1.0)
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(step / total, 1)))
