"""Blocks on devices: the program compiled once, and strengths moved in and out of blocks of one shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as Split

from fitwell.engine import noise
from fitwell.engine.devices import Device, compiler_options
from fitwell.engine.network import Variables
from fitwell.engine.plan import Plan
from fitwell.engine.program import Data, Program, Rows, State, Trace, lift
from fitwell.engine.settings import Dataset
from fitwell.regularization.strengths import Candidates

STRENGTHS = "strengths"


@dataclass(frozen=True)
class Block:
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

    def real(self) -> Iterator[tuple[int, int]]:
        """Yield (place in the block, number of the strength), repeats left out."""
        return ((place, int(g)) for place, g in enumerate(self.strengths[: self.count]))


class Compiled:
    """The program, compiled for one block shape and bound to its data and devices."""

    def __init__(
        self,
        program: Program,
        plan: Plan,
        dataset: Dataset,
        rows: Rows,
        candidates: Candidates,
        seed: int,
        devices: list[Device],
    ) -> None:
        self.program, self.plan, self.candidates = program, plan, candidates
        self.dtype = dataset.dtype
        self._first = dataset.first
        self.call_epochs = program.call_epochs
        self.held_out_rows = rows.held_out.shape[1]
        self.measures = self.held_out_rows > 0
        self.compilations = 0
        mesh = Mesh(np.array(devices[: plan.devices]), (STRENGTHS,), axis_types=(AxisType.Auto,))
        self._everywhere = NamedSharding(mesh, Split())
        self._by_strength = NamedSharding(mesh, Split(STRENGTHS))
        self._by_second = NamedSharding(mesh, Split(None, STRENGTHS))
        self._key = jax.device_put(noise.make_key(seed), self._everywhere)
        self._rows = jax.device_put(rows, self._everywhere)
        # squares of extreme scales leave float32's range, so the device sees losses in units of a typical scale
        reference = float(np.median(dataset.scale))
        self.loss_unit = reference**2
        unit = np.asarray((dataset.scale / reference) ** 2, self.dtype)
        self._data = jax.device_put(Data(dataset.inputs, dataset.targets, unit), self._everywhere)
        self._compile(mesh, dataset.own, compiler_options(devices[0]))

    def start(self, strengths: np.ndarray) -> list[Block]:
        """Put strengths at their first weights into blocks."""
        state = self._start(self._rows.id, self._key, self._first)
        return [self._block(part, count, state) for part, count in self._cut(strengths)]

    def advance(self, block: Block, first: int, count: int) -> tuple[Block, Trace]:
        """Train a block for `count` epochs from epoch `first` on; its old state is used up."""
        state, trace = self._advance(
            block.state, block.values, self._rows, self._data, self._key, np.int32(first), np.int32(count)
        )
        return Block(block.strengths, block.count, state, block.values), trace

    def repack(self, blocks: list[Block], strengths: np.ndarray) -> list[Block]:
        """Move the strengths that train on into as few blocks of the same shape as possible."""
        if len(strengths) == 0:
            return []
        places = {g: (b, place) for b, block in enumerate(blocks) for place, g in block.real()}
        hosts = [jax.tree.map(np.asarray, block.state) for block in blocks]

        def gather(part: np.ndarray) -> State:
            found = [places[int(g)] for g in part]
            return jax.tree.map(lambda *leaves: np.stack([leaves[b][:, p] for b, p in found], axis=1), *hosts)

        return [
            self._block(part, count, jax.device_put(gather(part), self._by_second))
            for part, count in self._cut(strengths)
        ]

    def measure(self, best: Variables) -> tuple[Any, np.ndarray]:
        """Apply networks [R, any number, ...] to the held-out rows of their row sets.

        Returns
        -------
        Raw outputs [R, strengths, h_max, k], or a tree of such, and losses [R, strengths, h_max] in units of
        `Data.targets`; what stands beyond a row set's own held-out rows is padding.
        """
        _, outputs, losses = zip(*self.measured_parts(best), strict=True)
        joined = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *outputs)
        return joined, np.concatenate(losses, axis=1)

    def measured_parts(self, best: Variables) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
        """Yield the numbers of one block of strengths after another, with what `measure` returns for them."""
        for part, count in self._cut(np.arange(jax.tree.leaves(best)[0].shape[1])):
            variables = jax.tree.map(lambda leaf: leaf[:, part], best)  # noqa: B023
            output, loss = self._measure(jax.device_put(variables, self._by_second), self._rows, self._data)
            outputs = jax.tree.map(lambda leaf: np.asarray(leaf)[:, :count], output)  # noqa: B023
            yield part[:count], outputs, np.asarray(loss)[:, :count]

    def empty_variables(self) -> Variables:
        """Return host arrays [R, G, ...] that hold the variables of all strengths."""
        variables = jax.eval_shape(lambda: self._start(self._rows.id, self._key, self._first).variables)
        strengths = self.plan.strengths
        return jax.tree.map(lambda leaf: np.zeros((leaf.shape[0], strengths, *leaf.shape[1:]), leaf.dtype), variables)

    def _compile(self, mesh: Mesh, own: bool, options: dict[str, str]) -> None:
        second, first, whole = Split(None, STRENGTHS), Split(STRENGTHS), Split()
        axes = Data(0, 0, 0) if own else Data(None, None, 0)

        def spread(run: Any, inputs: tuple[Any, ...]) -> Any:
            # no strength reads another's values, so nothing needs to be checked or sent between devices
            return jax.shard_map(run, mesh=mesh, in_specs=inputs, out_specs=second, check_vma=False)

        epochs = lift(self.program.epochs, own_data=own)
        advance = spread(epochs, (second, first, whole, whole, whole, whole, whole))
        jitted = jax.jit(self._counted(advance), donate_argnums=0, compiler_options=options or None)
        measure = jax.vmap(jax.vmap(self._measure_one, in_axes=(0, None, None)), in_axes=(0, 0, axes))
        measuring = jax.jit(spread(measure, (second, whole, whole)), compiler_options=options or None)
        self._start = jax.jit(
            jax.vmap(
                lambda row_set, key, first: self.program.start(key, row_set, self.dtype, first), in_axes=(0, None, 0)
            )
        )
        block = self.start(np.arange(1))[0]
        count = np.int32(1)
        self._advance = jitted.lower(
            block.state, block.values, self._rows, self._data, self._key, count, count
        ).compile()
        if self.measures:
            self._measure = measuring.lower(block.state.best, self._rows, self._data).compile()

    def _counted(self, run: Any) -> Any:
        """Count tracings: jit traces once for every program it compiles."""

        def traced(*arguments: Any) -> Any:
            self.compilations += 1
            return run(*arguments)

        return traced

    def _measure_one(self, variables: Variables, rows: Rows, data: Data) -> tuple[Any, jax.Array]:
        def predict(index: jax.Array) -> tuple[Any, jax.Array]:
            inputs, targets = jax.tree.map(lambda leaf: leaf[index][None], (data.inputs, data.targets))
            outputs = self.program.predict(variables, inputs)
            return jax.tree.map(lambda leaf: leaf[0], outputs), self.program.loss.per_row(outputs, targets)[0]

        return jax.lax.map(predict, rows.held_out, batch_size=self.program.evaluation_rows)

    def _cut(self, strengths: np.ndarray) -> list[tuple[np.ndarray, int]]:
        size = self.plan.block_strengths
        parts = [strengths[i : i + size] for i in range(0, len(strengths), size)]
        return [(np.pad(part, (0, size - len(part)), mode="edge"), len(part)) for part in parts]

    def _block(self, strengths: np.ndarray, count: int, state: State) -> Block:
        chosen = self.candidates.take(strengths)
        values = {**chosen.strengths, "learning_rate": chosen.learning_rate}
        values |= {} if chosen.own is None else {"own": chosen.own}
        on_devices = {k: jax.device_put(np.asarray(v, self.dtype), self._by_strength) for k, v in values.items()}
        return Block(strengths, count, self._repeat(state), on_devices)

    def _repeat(self, state: State) -> State:
        """Give first weights [R, ...] the axis of strengths: all of them start alike."""
        if state.best_loss.ndim == 2:
            return state
        size = self.plan.block_strengths
        return jax.tree.map(
            lambda leaf: jax.device_put(
                np.ascontiguousarray(
                    np.broadcast_to(np.asarray(leaf)[:, None], (leaf.shape[0], size, *leaf.shape[1:]))
                ),
                self._by_second,
            ),
            state,
        )
