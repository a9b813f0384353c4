"""JAX as an executor: the program compiled once for one block shape, and strengths moved in and out of blocks."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as Split

from fitwell.data.encoded_later import at_once
from fitwell.engine import noise
from fitwell.engine.compiled_programs import LoweredProgram, directory_of_programs, lower_program, surroundings
from fitwell.engine.devices import available_devices, compiler_options, measure_speed, training_memory
from fitwell.engine.executor import Epochs, Job, Measured, SavedBlock
from fitwell.engine.job import Rows, Settings, make_batching, make_rows
from fitwell.engine.network import Variables
from fitwell.engine.optimizers import adam, make_schedule
from fitwell.engine.plan import Plan, Work, make_plan
from fitwell.engine.program import ROW_SETS, Data, Program, State, Trace, lift
from fitwell.engine.repeated_programs import OF_THIS_PROCESS, Programs, Traced, shapes_of, what_they_compute
from fitwell.engine.stopping import share_of_work

STRENGTHS = "strengths"
"""Name of the axis of devices over which strengths are spread."""


@dataclass(frozen=True, eq=False)
class JaxBlock:
    """Some strengths in training together, with all row sets.

    Attributes
    ----------
    strengths
        int [strengths of a block], their numbers in the search; the last block is filled up with repeats.
    count
        How many are no repeats.
    state
        `State` of arrays [R, strengths of a block, ...] on the devices.
    values
        Regularizer's name, `"learning_rate"` and perhaps `"own"` to an array [strengths of a block], or [strengths of a
        block, L], on the devices.
    """

    strengths: np.ndarray
    count: int
    state: State
    values: dict[str, jax.Array]

    @property
    def numbers(self) -> np.ndarray:
        """See `Block`: repeats are left out."""
        return self.strengths[: self.count]


class JaxExecutor:
    """The `Executor` of JAX: any network, on any device."""

    def __init__(self, job: Job, settings: Settings, estimate: bool = False) -> None:
        self.job, self.settings = job, settings
        self.devices = available_devices(settings.devices)
        self.program = make_program(job, settings)
        self.plan = _plan(job, settings, self.program, len(self.devices), estimate)
        self.compilations = 0
        self.compile_seconds = 0.0
        self._advance: Any = None
        self._measuring: Any = None

    def start(self, strengths: np.ndarray) -> list[JaxBlock]:
        """See `Executor`; the first call compiles."""
        self._be_compiled()
        return self._started(strengths)

    def advance(self, blocks: Sequence[JaxBlock], first: int, count: int) -> tuple[list[JaxBlock], Iterable[Epochs]]:
        """See `Executor`; all blocks are dispatched before the first result is read, so that no device waits."""
        # a list, not a generator: every block must be on its way before the first one is waited for
        advanced = [self._dispatch(block, first, count) for block in blocks]
        return [block for block, _ in advanced], (self._epochs(block, trace, count) for block, trace in advanced)

    def repack(self, blocks: Sequence[JaxBlock], strengths: np.ndarray) -> list[JaxBlock]:
        """See `Executor`; states pass through the host, where parts of several blocks can be joined."""
        if len(strengths) == 0:
            return []
        # packing moves all states, so it pays only where a whole block becomes free
        if math.ceil(len(strengths) / self.plan.block_strengths) == len(blocks):
            return list(blocks)
        return self.gathered(blocks, strengths)

    def gathered(self, blocks: Sequence[JaxBlock], strengths: np.ndarray) -> list[JaxBlock]:
        """Join strengths of several blocks to new ones, whatever it costs; see `MovingExecutor`."""
        places = {int(g): (b, place) for b, block in enumerate(blocks) for place, g in enumerate(block.numbers)}
        # each block once, not once for every strength that is taken from it
        hosts = [jax.tree.map(np.asarray, block.state) for block in blocks]

        def gather(part: np.ndarray) -> State:
            found = [places[int(g)] for g in part]
            return jax.tree.map(lambda *leaves: np.stack([leaves[b][:, p] for b, p in found], axis=1), *hosts)

        return [
            self._block(part, count, jax.device_put(gather(part), self._by_second))
            for part, count in self._cut(strengths)
        ]

    def measure(self, variables: Variables) -> Iterator[Measured]:
        """See `Executor`; as many networks at a time as are in a block."""
        # the target's own units: the device measures standardised targets
        scale = np.asarray(self.job.dataset.loss_scale, float)[:, None, None]
        for part, count in self._cut(np.arange(jax.tree.leaves(variables)[0].shape[1])):
            chosen = jax.tree.map(lambda leaf: leaf[:, part], variables)  # noqa: B023
            output, loss = self._measuring(jax.device_put(chosen, self._by_second), self._rows, self._data)
            outputs = jax.tree.map(lambda leaf: np.asarray(leaf)[:, :count], output)  # noqa: B023
            # the repeats that fill up the last block are cut off
            yield Measured(part[:count], outputs, np.asarray(loss)[:, :count].astype(float) * scale**2)

    def read(self, blocks: Sequence[JaxBlock], strengths: np.ndarray) -> Variables:
        """See `Executor`."""
        wanted = {int(g): place for place, g in enumerate(strengths)}
        found: Any = None
        for block in blocks:
            here = [place for place, g in enumerate(block.numbers) if int(g) in wanted]
            if here:
                there = [wanted[int(block.numbers[place])] for place in here]
                best = jax.tree.map(np.asarray, block.state.best)
                if found is None:
                    shape = (len(strengths),)
                    # only now are the shapes known; every place is filled, as each strength is in one block
                    found = jax.tree.map(lambda leaf: np.empty((len(leaf), *shape, *leaf.shape[2:]), leaf.dtype), best)  # noqa: B023
                for into, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(best), strict=True):
                    into[:, there] = leaf[:, here]
        return found

    def saved(self, blocks: Sequence[JaxBlock]) -> list[SavedBlock]:
        """See `Executor`."""
        return [
            SavedBlock(block.strengths, block.count, [np.asarray(leaf) for leaf in jax.tree.leaves(block.state)])
            for block in blocks
        ]

    def restored(self, blocks: Sequence[SavedBlock]) -> list[JaxBlock]:
        """See `Executor`."""
        self._be_compiled()
        structure = jax.tree.structure(self._state)
        return [
            self._block(
                one.strengths, one.count, jax.device_put(jax.tree.unflatten(structure, one.arrays), self._by_second)
            )
            for one in blocks
        ]

    @property
    def structure(self) -> Variables:
        """See `Executor`."""
        return self._state.best

    def _started(self, strengths: np.ndarray) -> list[JaxBlock]:
        # each block its own state, made where it trains: advancing uses it up
        return [
            self._block(part, count, self._start(self._rows.id, self._key, self.job.dataset.first))
            for part, count in self._cut(strengths)
        ]

    def _dispatch(self, block: JaxBlock, first: int, count: int) -> tuple[JaxBlock, Trace]:
        state, trace = self._advance(
            block.state, block.values, self._rows, self._data, self._key, np.int32(first), np.int32(count)
        )
        return JaxBlock(block.strengths, block.count, state, block.values), trace

    def _epochs(self, block: JaxBlock, trace: Trace, count: int) -> Epochs:
        """Bring what a call recorded to the host, in the target's own units."""
        real = slice(block.count)
        # one program records `call_epochs` epochs, and the last call may train fewer
        curves = np.array([np.asarray(values, float)[:, real, :count] for values in trace[:4]])
        curves[:2] *= self._loss_unit  # metrics have no unit
        row_loss = None
        if self.settings.units is not None:
            # float64 on the host, where float32's range no longer matters
            row_loss = np.asarray(trace.row_loss)[:, real, :count].astype(float)
            row_loss *= self._loss_unit
        # the mean over row sets is the same in all of them: the first one's is taken
        best_loss = np.asarray(block.state.best_loss)[0, real].astype(float) * self._loss_unit
        best_epoch = np.asarray(block.state.best_epoch)[0, real]
        return Epochs(curves, row_loss, best_loss, best_epoch)

    def _be_compiled(self) -> None:
        # waves after the first find it compiled: all blocks have one shape
        if self._advance is None:
            begin = time.perf_counter()
            self._make_programs()
            self.compile_seconds = time.perf_counter() - begin

    def _put_data(self) -> None:
        """Copy rows and data to every device."""
        dataset, plan = self.job.dataset, self.plan
        self._mesh = Mesh(np.array(self.devices[: plan.devices]), (STRENGTHS,), axis_types=(AxisType.Auto,))
        self._by_strength = NamedSharding(self._mesh, Split(STRENGTHS))
        self._by_second = NamedSharding(self._mesh, Split(None, STRENGTHS))
        everywhere = NamedSharding(self._mesh, Split())
        self._key = jax.device_put(noise.make_key(self.settings.seed), everywhere)
        self._rows = jax.device_put(make_rows(self.job.row_sets, self.settings.seed, dataset.weight), everywhere)
        # squares of extreme scales leave float32's range, so the device sees losses in units of a typical scale
        reference = float(np.median(dataset.loss_scale))
        self._loss_unit = reference**2
        unit = np.asarray((dataset.loss_scale / reference) ** 2, dataset.dtype)
        data = Data(at_once(dataset.inputs), dataset.targets, unit, dataset.weight, dataset.train_weight)
        self._data = jax.device_put(data, everywhere)
        self._options = compiler_options(self.devices[0])

    def _make_programs(self) -> None:
        """Take what a search like this one has run in this process, or make it."""
        self._put_data()
        shapes, one = self._shapes(), _OneNetwork(self)
        computed = one.computed if OF_THIS_PROCESS.knows_shapes(shapes) else None
        programs = OF_THIS_PROCESS.find(shapes, computed)
        if programs is None:
            programs, computed = self._compiled(one)
            OF_THIS_PROCESS.keep(shapes, computed, programs)
        self.compilations += 1
        self._state, self._start, self._advance, self._measuring = programs

    def _compiled(self, one: _OneNetwork) -> tuple[Programs, str | None]:
        """Compile what a search runs, or load what was compiled before; and say what it computes."""
        # a warning of it is for this thread to say
        directory = directory_of_programs()
        with ThreadPoolExecutor() as threads:
            # the longest first: XLA needs no Python, so the others are traced meanwhile
            start = self._lower_start(one)
            state = jax.tree.map(self._placed, start.lowered.out_info)
            advance = threads.submit(self._lower_advance(one, state).compiled, directory)
            starting = threads.submit(start.compiled, directory)
            measuring = self._lower_measure(one, state).compiled(directory) if self._measures else None
            computed = one.computed
            return Programs(state, starting.result(), advance.result(), measuring), computed

    @property
    def _measures(self) -> bool:
        """A refit holds nothing out, so there is nothing to measure."""
        return self._rows.held_out.shape[1] > 0

    def _shapes(self) -> Hashable:
        """What the programs are lifted over, and compiled for."""
        values = self._values(np.zeros(self.plan.block_strengths, int))
        arguments = shapes_of(values, self._rows, self._data, self._key, self.job.dataset.first)
        own, options = self.job.dataset.own, tuple(sorted(self._options.items()))
        return arguments, own, self.plan.block_strengths, options, surroundings(self._mesh.devices.tolist())

    def _lower_start(self, one: _OneNetwork) -> LoweredProgram:
        # traced here, and not while it is lifted, where the devices' axis would be in it
        begin, here = one.start, self.plan.block_strengths // self.plan.devices

        def start(row_set: jax.Array, key: noise.Key, first: Variables | None) -> State:
            # all strengths start alike
            return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (here, *leaf.shape)), begin(key, row_set, first))

        starts = self._spread(jax.vmap(start, in_axes=(0, None, 0)), (Split(), Split(), Split()))
        return self._lower(starts, (self._rows.id, self._key, self.job.dataset.first), {})

    def _lower_advance(self, one: _OneNetwork, state: State) -> LoweredProgram:
        second, first, whole = Split(None, STRENGTHS), Split(STRENGTHS), Split()
        epochs = lift(one.epochs, own_data=self.job.dataset.own)
        advance = self._spread(epochs, (second, first, whole, whole, whole, whole, whole))
        values = self._values(np.zeros(self.plan.block_strengths, int))
        count = np.int32(1)
        arguments = (state, values, self._rows, self._data, self._key, count, count)
        # the old state's memory is used for the new one: two would not always fit
        return self._lower(advance, arguments, self._options, donate=(0,))

    def _lower_measure(self, one: _OneNetwork, state: State) -> LoweredProgram:
        # data that all row sets share are not copied for each: they have no axis to map over
        axes = Data.axes(self.job.dataset.own)
        measure = jax.vmap(jax.vmap(one.measure, in_axes=(0, None, None)), in_axes=(0, 0, axes))
        spread = self._spread(measure, (Split(None, STRENGTHS), Split(), Split()))
        return self._lower(spread, (state.best, self._rows, self._data), self._options)

    def _lower(
        self, run: Any, arguments: tuple[Any, ...], options: dict[str, str], donate: tuple[int, ...] = ()
    ) -> LoweredProgram:
        return lower_program(run, arguments, devices=self._mesh.devices.tolist(), options=options, donate=donate)

    def _spread(self, run: Any, inputs: tuple[Any, ...]) -> Any:
        # no strength reads another's values, so nothing needs to be checked or sent between devices
        return jax.shard_map(run, mesh=self._mesh, in_specs=inputs, out_specs=Split(None, STRENGTHS), check_vma=False)

    def _placed(self, leaf: Any) -> jax.ShapeDtypeStruct:
        """Say of a leaf of a block's state that its strengths are spread over the devices."""
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._by_second)

    def _measure_one(self, variables: Variables, rows: Rows, data: Data) -> tuple[Any, jax.Array]:
        def predict(index: jax.Array) -> tuple[Any, jax.Array]:
            inputs, targets = jax.tree.map(lambda leaf: leaf[index][None], (data.inputs, data.targets))
            outputs = self.program.predict(variables, inputs)
            return jax.tree.map(lambda leaf: leaf[0], outputs), self.program.loss.per_row(outputs, targets)[0]

        # some rows at a time: the outputs of all rows at once may be beyond memory
        return jax.lax.map(predict, rows.held_out, batch_size=self.program.evaluation_rows)

    def _cut(self, strengths: np.ndarray) -> list[tuple[np.ndarray, int]]:
        size = self.plan.block_strengths
        parts = [strengths[i : i + size] for i in range(0, len(strengths), size)]
        # padded with repeats, for another shape would be another compilation
        return [(np.pad(part, (0, size - len(part)), mode="edge"), len(part)) for part in parts]

    def _block(self, strengths: np.ndarray, count: int, state: State) -> JaxBlock:
        return JaxBlock(strengths, count, state, self._values(strengths))

    def _values(self, strengths: np.ndarray) -> dict[str, jax.Array]:
        chosen = self.job.candidates.take(strengths)
        values = {**chosen.strengths, "learning_rate": chosen.learning_rate}
        values |= {} if chosen.own is None else {"own": chosen.own}
        dtype = self.job.dataset.dtype
        return {k: jax.device_put(np.asarray(v, dtype), self._by_strength) for k, v in values.items()}


class _OneNetwork:
    """What is computed for one network of one row set, to be lifted; traced once, part by part when it is asked for."""

    def __init__(self, executor: JaxExecutor) -> None:
        self._executor = executor
        self._rows, self._key = _without(1, executor._rows), _without(0, executor._key)
        axes = Data.axes(executor.job.dataset.own)
        self._data = Data(*(_without(axis == 0, part) for axis, part in zip(axes, executor._data, strict=True)))

    @cached_property
    def start(self) -> Traced:
        """``f(key, row_set, first)``, a state."""
        dataset, program = self._executor.job.dataset, self._executor.program

        def start(key: noise.Key, row_set: jax.Array, first: Variables | None) -> State:
            return program.start(key, row_set, dataset.dtype, first)

        return self._trace(start, self._key, self._rows.id, _without(1, dataset.first))

    @cached_property
    def epochs(self) -> Traced:
        """`Program.epochs`."""
        executor, number = self._executor, jax.ShapeDtypeStruct((), np.dtype("int32"))
        values = _without(1, executor._values(np.zeros(executor.plan.block_strengths, int)))
        arguments = self._state, values, self._rows, self._data, self._key, number, number
        return self._trace(executor.program.epochs, *arguments)

    @cached_property
    def measure(self) -> Traced:
        """``f(variables, rows, data)``, outputs and losses of the rows that are held out."""
        return self._trace(self._executor._measure_one, self._state.best, self._rows, self._data)

    @cached_property
    def computed(self) -> str | None:
        """A digest of all of it, of that which is lifted; None if it cannot be told from others."""
        measured = [self.measure] if self._executor._measures else []
        return what_they_compute([self.start, self.epochs, *measured])

    @property
    def _state(self) -> State:
        # a state that a program is given is of arrays, whose types are not weak, whatever it starts with
        return _without(0, self.start.results)

    def _trace(self, function: Any, *arguments: Any) -> Traced:
        return Traced(function, arguments, (ROW_SETS, self._executor.job.row_sets.count))


def _without(axes: int, tree: Any) -> Any:
    """Shapes of arrays without their first axes."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[axes:], leaf.dtype), tree)


def make_program(job: Job, settings: Settings) -> Program:
    """Return what is compiled for a job."""
    batching = make_batching(job.row_sets, settings)
    return Program(
        network=job.network,
        loss=job.loss,
        optimizer=settings.optimizer or adam(),
        schedule=make_schedule(settings.schedule, (settings.schedule_epochs or settings.epochs) * batching.steps),
        regularizers=job.candidates.regularizers,
        batch_size=batching.batch_size,
        steps=batching.steps,
        # a program records room for so many, even if fewer are trained: it is the same for any number of epochs
        call_epochs=settings.call_epochs,
        unequal=batching.unequal,
        record_rows=settings.units is not None,
    )


def _plan(job: Job, settings: Settings, program: Program, devices: int, estimate: bool) -> Plan:
    return make_plan(
        row_sets=job.row_sets.count,
        strengths=job.candidates.count,
        epochs=settings.epochs,
        steps=program.steps,
        batch_size=program.batch_size,
        devices=devices,
        work=_work(job, program),
        data_bytes=job.dataset.bytes_at_once * (1 + devices),  # the host's, and a copy on each device
        recorded_bytes=job.recorded_bytes(settings),
        budget=training_memory(settings.memory),
        block_strengths=settings.block_strengths,
        block_networks=settings.block_networks,
        flops_per_second=measure_speed() if estimate else 0.0,
        share=share_of_work(settings.stopping, job.candidates.count, settings.epochs),
    )


def _evaluated(program: Program, n_held_out: np.ndarray) -> int:
    """Rows whose loss is measured at once."""
    # twice: held-out rows, and as many training rows
    return min(program.evaluation_rows, 2 * int(np.max(n_held_out)))


def _work(job: Job, program: Program) -> Work:
    """Read one network's cost off its shapes: nothing is computed."""
    network, dataset, batch_size = job.network, job.dataset, program.batch_size
    evaluated = _evaluated(program, job.row_sets.n_held_out)
    rows = 1 if dataset.own else 0
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[rows + 1 :]), leaf.dtype), dataset.inputs
    )
    variables = jax.eval_shape(lambda: network.init(noise.make_key(0), dataset.dtype))
    forward = jax.jit(lambda v, x: network.apply(v, x, None)).lower(variables, shapes)
    cost: Any = forward.cost_analysis() or {}
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(variables))
    # twice, for the backward pass keeps what the forward pass made
    step_bytes = 2 * cost.get("bytes accessed", 0) * max(1.0, evaluated / (2 * batch_size))
    recorded = int(job.row_sets.n_held_out.max()) if program.record_rows else 0
    # a backward pass costs two forward ones: the gradients of inputs and of weights
    return Work(
        variable_bytes=size,
        step_bytes=int(step_bytes),
        step_flops=3.0 * cost.get("flops", 0.0),
        trace_bytes=program.call_epochs * recorded * dataset.dtype.itemsize,
    )
