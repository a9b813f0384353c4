"""The one program: epochs of training for one network, lifted over strengths and row sets.

Everything here is written for a single network: `Program.epochs` reads like ordinary training, with row indices in
place of a data loader. `lift` adds the axes: strengths inside (they share batches and noise), row sets outside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from fitwell.engine import noise
from fitwell.engine.job import Leaf, Rows
from fitwell.engine.losses import Loss, weighed
from fitwell.engine.network import PureNetwork, Variables
from fitwell.engine.optimizers import Optimizer
from fitwell.regularization.regularizer import Axes, Regularizer, Step

ROW_SETS = "row_sets"
"""Name of the mapped axis R, over which the held-out loss is averaged."""


TRAIN, HELD_OUT, NEITHER = 0, 1, 2
"""Groups of rows on which losses are measured; padding is in neither."""


class Data(NamedTuple):
    """What a row set sees of the data.

    Attributes
    ----------
    inputs
        Array [n, ...] or a tree of such arrays.
    targets
        [n], class indices or (standardised) values; or a tree of arrays [n, ...] that the loss understands.
    loss_unit
        [], the loss in the target's own units over the loss of `targets`: the square of the scale, 1 for classes.
    weight, train_weight
        [n] each, of rows where losses are measured and in training, see `Dataset`; None is 1, and not in the program.
    """

    inputs: Any
    targets: Any
    loss_unit: Leaf
    weight: Leaf | None = None
    train_weight: Leaf | None = None

    @staticmethod
    def axes(own: bool) -> Data:
        """Axes of row sets in the data of all: 0, or None for what they share; `own` as in `Dataset`."""
        shared = 0 if own else None
        # an axis of what is not there is the axis of nothing
        return Data(shared, shared, 0, None, 0)


class State(NamedTuple):
    """A network in training, with the snapshot of its best epoch.

    `best_loss` and `best_epoch` (counted from 1, 0 before the first) are of the mean over row sets, so they are the
    same in every row set of a strength.
    """

    variables: Variables
    optimizer: Any
    best: Variables
    best_loss: jax.Array
    best_epoch: jax.Array


class Trace(NamedTuple):
    """Losses and metrics of the epochs of one call: [epochs of a call] each, NaN where not trained.

    `row_loss` is [epochs of a call, h_max], the loss of every held-out row; h_max is 0 where it is not recorded.
    """

    train_loss: jax.Array
    held_out_loss: jax.Array
    train_metric: jax.Array
    held_out_metric: jax.Array
    row_loss: jax.Array


@dataclass(frozen=True)
class Program:
    """What is compiled: everything here is fixed for a whole search.

    Attributes
    ----------
    network, loss, optimizer, schedule
        The parts. `schedule` gives the learning rate's factor by step.
    regularizers
        Those that are searched; the others are not in the program.
    batch_size, steps
        Rows of a batch, and batches of an epoch. Batches wrap round to the start of a row set's order.
    call_epochs
        The most epochs one call trains: the length of a `Trace`.
    unequal
        Whether row sets differ so much in size that each takes the steps of its own epoch only: the others of `steps`
        leave it as it is. (Sizes that differ by a row, as in k folds, need no such care.)
    evaluation_rows
        Rows evaluated at once when losses are measured, so that memory does not grow with the held-out rows.
    record_rows
        Whether the loss of every held-out row is recorded at every epoch.
    """

    network: PureNetwork
    loss: Loss
    optimizer: Optimizer
    schedule: Callable[[jax.Array], jax.Array]
    regularizers: tuple[Regularizer, ...]
    batch_size: int
    steps: int
    call_epochs: int
    unequal: bool = False
    evaluation_rows: int = 512
    record_rows: bool = False

    def start(self, key: noise.Key, row_set: jax.Array | int, dtype: Any, first: Variables | None = None) -> State:
        """Return a network at its first weights, which depend on the seed and the row set only (or are given)."""
        variables = self.network.init(noise.fold(noise.fold(key, row_set), 0), dtype) if first is None else first
        optimizer = self.optimizer.transform.init(variables.trainable)
        return State(variables, optimizer, variables, jnp.asarray(jnp.inf, dtype), jnp.int32(0))

    def epochs(
        self, state: State, strength: Any, rows: Rows, data: Data, key: noise.Key, first: jax.Array, count: jax.Array
    ) -> tuple[State, Trace]:
        """Train `count` epochs from epoch `first` (counted from 0) on.

        Parameters
        ----------
        state
            Where to go on from.
        strength
            Regularizer's name to a number [], or one for each place [L]; `"learning_rate"`, and perhaps `"own"`, to a
            number.
        """
        # keys come from what a network is, never from where or when it runs: resumed or moved it draws the same
        row_set_key = noise.fold(noise.fold(key, rows.id), 1)
        recorded = rows.held_out.shape[0] if self.record_rows else 0
        shapes: list[tuple[int, ...]] = [(), (), (), (), (recorded,)]
        # NaN, made of the state: what is mapped from the start JAX need not trace once more to find that it is
        nothing = (state.best_loss * jnp.nan).astype(data.loss_unit.dtype)
        empty = Trace(*(jnp.broadcast_to(nothing, (self.call_epochs, *shape)) for shape in shapes))

        def epoch(i: jax.Array, carry: tuple[State, Trace]) -> tuple[State, Trace]:
            state, trace = carry
            state = self._train_epoch(state, strength, rows, data, noise.fold(row_set_key, first + i), first + i)
            measured = self._measure(state.variables, rows, data)
            trace = jax.tree.map(lambda column, value: column.at[i].set(value), trace, measured)
            return _keep_best(state, measured.held_out_loss, rows, first + i + 1), trace

        # how many epochs is data and no shape, so that calls of any length are one program
        return lax.fori_loop(0, count, epoch, (state, empty))

    def predict(self, variables: Variables, inputs: Any) -> Any:
        """Return raw outputs [rows, k], or a tree of such, without any noise."""
        return self.network.apply(variables, inputs, None)[0]

    def _train_epoch(
        self, state: State, strength: Any, rows: Rows, data: Data, key: noise.Key, epoch: jax.Array
    ) -> State:
        order = self._order(rows, noise.fold(key, 0))
        own_steps = -(-rows.n_train // self.batch_size)

        def step(carry: tuple[Variables, Any], number: jax.Array) -> tuple[tuple[Variables, Any], None]:
            variables, optimizer = carry
            # wraps round: row sets that differ by a row share one shape, and no batch is short
            batch = order[(number * self.batch_size + jnp.arange(self.batch_size)) % rows.n_train]
            inputs, targets, weight = (_take(part, batch) for part in (data.inputs, data.targets, data.train_weight))
            factor = self.schedule(epoch * self.steps + number)
            noise_key = noise.fold(key, 1 + number)
            after = self._step(variables, optimizer, strength, factor, inputs, targets, noise_key, weight)
            if self.unequal:  # it waits for larger row sets: they share the shape, so the step is taken and thrown away
                after = jax.tree.map(lambda new, old: jnp.where(number < own_steps, new, old), after, carry)
            return after, None

        trained, _ = lax.scan(step, (state.variables, state.optimizer), jnp.arange(self.steps, dtype=jnp.int32))
        return state._replace(variables=trained[0], optimizer=trained[1])

    def _order(self, rows: Rows, key: noise.Key) -> jax.Array:
        """Shuffle the row set's own training rows; padding goes to the end, where no batch reaches."""
        length = rows.train.shape[0]
        rank = noise.uniform(key, (length,))
        return rows.train[jnp.argsort(jnp.where(jnp.arange(length) < rows.n_train, rank, jnp.inf))]

    def _step(
        self,
        variables: Variables,
        optimizer: Any,
        strength: Any,
        factor: jax.Array,
        inputs: Any,
        targets: Any,
        key: noise.Key,
        weight: jax.Array | None = None,
    ) -> tuple[Variables, Any]:
        penalised = self.network.penalised(variables.trainable)

        def objective(trainable: Any) -> tuple[jax.Array, Any]:
            seen = self._perturb_kernels(trainable, penalised, strength, key)
            on_units = _OnUnits(self.regularizers, strength, key)
            outputs, new_state = self.network.apply(Variables(seen, variables.state), inputs, on_units)
            loss = self.loss.of_batch(outputs, targets, weight)
            # of the whole kernels, as in Keras: not of what dropped weights have left of them
            return loss + self._penalty(trainable, penalised, strength), new_state

        gradients, new_state = jax.grad(objective, has_aux=True)(variables.trainable)
        update = optax.with_extra_args_support(self.optimizer.transform).update
        direction, optimizer = update(gradients, optimizer, variables.trainable, factor=factor)
        # a schedule gives float32, and must not make the weights of a float64 training so
        rate = (strength["learning_rate"] * factor).astype(strength["learning_rate"].dtype)
        trainable = self._before_step(variables.trainable, penalised, strength, rate)
        trainable = jax.tree.map(lambda weight, way: weight - rate * way, trainable, direction)
        # before constraints, which have the last word: a max-norm must hold for what is kept
        trainable = self._after_step(variables.trainable, trainable, penalised, strength, optimizer, rate)
        return Variables(self.network.constrain(trainable), new_state), optimizer

    def _penalty(self, trainable: Any, penalised: Any, strength: Any) -> jax.Array | float:
        kernels = [(leaf, axes) for leaf, axes in _with_axes(trainable, penalised) if axes]
        active = [(strength[row.name], row.penalty) for row in self.regularizers if row.penalty]
        return sum(
            penalty(_at(s, place), kernel, axes)
            for s, penalty in active
            for place, (kernel, axes) in enumerate(kernels)
        )

    def _perturb_kernels(self, trainable: Any, penalised: Any, strength: Any, key: noise.Key) -> Any:
        for row in self.regularizers:
            if row.on_kernel:
                key = noise.fold(key, 1)  # each regularizer draws for itself: two that drop must not drop the same
                trainable = _map_kernels(_perturbed(row.on_kernel, strength[row.name], key), trainable, penalised)
        return trainable

    def _before_step(self, trainable: Any, penalised: Any, strength: Any, rate: jax.Array) -> Any:
        for row in self.regularizers:
            if row.before_step:
                where = self.network.decayed(trainable) if row.acts_on == "decayed" else penalised
                trainable = _map_kernels(_shrunk(row.before_step, strength[row.name], rate), trainable, where)
        return trainable

    def _after_step(
        self, before: Any, trainable: Any, penalised: Any, strength: Any, optimizer: Any, rate: jax.Array
    ) -> Any:
        # the regularizers that are not smooth, or not part of the gradient: after Adam has scaled it, they act unscaled
        # whole inputs last: what single weights have left of a group decides whether it stays
        for row in sorted(self.regularizers, key=lambda row: bool(row.on_inputs)):
            if change := row.after_step or row.on_scales or row.on_inputs:
                where = self._where(row, trainable, penalised)
                sizes = jax.tree.leaves(self.optimizer.step_size(optimizer, trainable))
                changed = _stepped(change, strength[row.name], jax.tree.leaves(before), rate, sizes)
                trainable = _map_kernels(changed, trainable, where)
        return trainable

    def _where(self, row: Regularizer, trainable: Any, penalised: Any) -> Any:
        """Return which variables a regularizer changes after a step, as a tree of `Axes`."""
        if row.on_inputs:
            return self.network.input_kernels(trainable)
        return self.network.input_scales(trainable) if row.on_scales else penalised

    def _measure(self, variables: Variables, rows: Rows, data: Data) -> Trace:
        """Mean loss and metric on the measured training rows and on the held-out rows, without noise, in one pass.

        The losses of single rows are as they are: whoever takes means of them knows the weights.
        """
        indices = jnp.concatenate([rows.measured, rows.held_out])
        group = jnp.concatenate(
            [_mark(rows.measured, rows.n_measured, TRAIN), _mark(rows.held_out, rows.n_held_out, HELD_OUT)]
        )
        loss, metric, row_loss = self._sums(variables, indices, group, data)
        counts = jnp.stack([rows.n_measured, rows.n_held_out])
        if data.weight is not None:
            counts = jnp.where(_members(group), data.weight[indices][None, :], 0).sum(axis=1)
        loss, metric = loss / counts * data.loss_unit, metric / counts
        recorded = row_loss[rows.measured.shape[0] :] * data.loss_unit
        return Trace(loss[TRAIN], loss[HELD_OUT], metric[TRAIN], metric[HELD_OUT], recorded)

    def _sums(
        self, variables: Variables, indices: jax.Array, group: jax.Array, data: Data
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Sum the loss and the metric over the rows of each group: [2] each; a few rows at a time.

        The third is the loss of every row, or nothing if that is not recorded.
        """
        zero, nothing = jnp.zeros_like(data.loss_unit, shape=2), jnp.zeros_like(data.loss_unit, shape=0)
        total = indices.shape[0]
        if total == 0:
            return zero, zero, nothing
        parts = -(-total // self.evaluation_rows)
        length = -(-total // parts)
        padding = (0, parts * length - total)
        indices = jnp.pad(indices, padding).reshape(parts, length)
        group = jnp.pad(group, padding, constant_values=NEITHER).reshape(parts, length)

        def part(sums: tuple[jax.Array, jax.Array], number: jax.Array) -> tuple[tuple[jax.Array, jax.Array], Any]:
            chosen = indices[number]
            outputs, targets = self.predict(variables, _take(data.inputs, chosen)), _take(data.targets, chosen)
            member = _members(group[number])

            def summed(values: jax.Array) -> jax.Array:
                counted = values if data.weight is None else weighed(values, data.weight[chosen])
                return jnp.where(member, counted[None, :], 0).sum(axis=1)

            row_loss = self.loss.per_row(outputs, targets)
            loss, metric = summed(row_loss), summed(self.loss.metric(outputs, targets))
            return (sums[0] + loss, sums[1] + metric), row_loss if self.record_rows else None

        sums, row_loss = lax.scan(part, (zero, zero), jnp.arange(parts, dtype=jnp.int32))
        return *sums, nothing if row_loss is None else row_loss.reshape(-1)[:total]


@dataclass(frozen=True)
class _OnUnits:
    """`OnUnits` of one training step: every regularizer that acts on units, one after another."""

    regularizers: tuple[Regularizer, ...]
    strength: Any
    key: noise.Key

    @property
    def own(self) -> jax.Array | float:
        return self.strength.get("own", 0.0)

    def __call__(
        self, units: jax.Array, layer: int, *, draw: int | None = None, noise_shape: tuple[int, ...] | None = None
    ) -> jax.Array:
        key = self.key
        for row in self.regularizers:
            if row.on_units:
                key = noise.fold(key, 2 + (layer if draw is None else draw))
                drawn = noise.uniform(key, noise_shape or units.shape, units.dtype)
                units = row.on_units(_at(self.strength[row.name], layer), units, drawn)
        return units


def lift(epochs: Callable[..., Any], *, own_data: bool) -> Callable[..., Any]:
    """Lift a run for one network over strengths (inside) and row sets (outside).

    Parameters
    ----------
    epochs
        ``f(state, strength, rows, data, key, first, count)`` for one network.
    own_data
        Whether each row set has its own inputs and targets (a leading axis R), or all share them.

    Returns
    -------
    Callable
        The same function with `state` [R, G, ...], `strength` [G], `rows` [R, ...], results [R, G, ...].
    """
    over_strengths = jax.vmap(epochs, in_axes=(0, 0, None, None, None, None, None))
    axes = (0, None, 0, Data.axes(own_data), None, None, None)
    return jax.vmap(over_strengths, in_axes=axes, axis_name=ROW_SETS)


def _keep_best(state: State, held_out_loss: jax.Array, rows: Rows, epoch: jax.Array) -> State:
    """Snapshot the variables where the mean over row sets improved; without held-out rows, always."""
    nothing_held_out = rows.held_out.shape[0] == 0
    mean = lax.pmean(-epoch.astype(held_out_loss.dtype) if nothing_held_out else held_out_loss, ROW_SETS)
    improved = mean < state.best_loss
    best = jax.tree.map(lambda new, old: jnp.where(improved, new, old), state.variables, state.best)
    return state._replace(
        best=best,
        best_loss=jnp.where(improved, mean, state.best_loss),
        best_epoch=jnp.where(improved, epoch.astype(jnp.int32), state.best_epoch),
    )


def _mark(indices: jax.Array, real: jax.Array, group: int) -> jax.Array:
    """Give the first `real` indices the number of their group, and the padding none."""
    return jnp.where(jnp.arange(indices.shape[0]) < real, group, NEITHER)


def _members(group: jax.Array) -> jax.Array:
    """Which rows are of the training rows, and which are held out: bool [2, rows]."""
    return group[None, :] == jnp.array([[TRAIN], [HELD_OUT]])


def _take(inputs: Any, indices: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[indices], inputs)


Kernels = Callable[[int, int, jax.Array, Axes], jax.Array]
"""``f(number of the leaf, of the place, kernel, its axes)``; places count kernels (or what is in their place) only."""


def _with_axes(trainable: Any, penalised: Any) -> list[tuple[jax.Array, Axes | None]]:
    """Pair every leaf with the axes of its kernel; None for what is no kernel."""
    return [(leaf, axes or None) for leaf, axes in zip(_leaves(trainable), _leaves(penalised), strict=True)]


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree)


def _map_kernels(change: Kernels, trainable: Any, penalised: Any) -> Any:
    """Apply a function to every kernel."""
    places = itertools.count()
    leaves = [
        change(i, next(places), leaf, axes) if axes else leaf
        for i, (leaf, axes) in enumerate(_with_axes(trainable, penalised))
    ]
    return jax.tree.unflatten(jax.tree.structure(trainable), leaves)


def _perturbed(on_kernel: Callable[..., Any], strength: Leaf, key: noise.Key) -> Kernels:
    def change(leaf: int, place: int, kernel: jax.Array, axes: Axes) -> jax.Array:
        del axes
        drawn = noise.uniform(noise.fold(key, leaf), kernel.shape, kernel.dtype)
        return on_kernel(_at(strength, place), kernel, drawn)

    return change


def _shrunk(before_step: Callable[..., Any], strength: Leaf, rate: jax.Array) -> Kernels:
    def change(leaf: int, place: int, kernel: jax.Array, axes: Axes) -> jax.Array:
        del leaf, axes
        return before_step(_at(strength, place), kernel, rate)

    return change


def _stepped(
    after_step: Callable[..., Any], strength: Leaf, before: list[jax.Array], rate: jax.Array, sizes: list[Any]
) -> Kernels:
    def change(leaf: int, place: int, kernel: jax.Array, axes: Axes) -> jax.Array:
        return after_step(_at(strength, place), kernel, Step(before[leaf], rate, rate * sizes[leaf], axes))

    return change


def _at(strength: Leaf, place: int) -> Leaf:
    """Return a strength at one place: the same everywhere, or one of [L]."""
    return strength[place] if strength.ndim else strength
