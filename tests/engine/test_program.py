"""The program: which rows a run sees, what it measures, which epoch it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitwell.engine import noise
from fitwell.engine.job import Rows, make_rows
from fitwell.engine.losses import CLASSIFICATION, REGRESSION
from fitwell.engine.network import Variables
from fitwell.engine.optimizers import adam, make_schedule
from fitwell.engine.program import Data, Program, State, Trace, lift
from fitwell.regularization.regularizer import Axes
from fitwell.regularization.table import BUILT_IN

Outcome = tuple[State, Trace]


def program_for(case: Any, **parts: Any) -> Program:
    """A program of four steps of eight rows and up to three epochs a call."""
    ordinary: dict[str, Any] = {
        "network": case.network,
        "loss": case.loss,
        "optimizer": adam(),
        "schedule": make_schedule("constant", 1),
        "regularizers": (BUILT_IN["l2"], BUILT_IN["dropout"]),
        "batch_size": 8,
        "steps": 4,
        "call_epochs": 3,
    }
    return Program(**{**ordinary, **parts})


def start(program: Program, rows: Rows, seed: int, dtype: Any, strengths: int = 2) -> State:
    """First weights [R, G, ...]."""
    state = jax.vmap(lambda r: program.start(noise.make_key(seed), r, dtype))(jnp.asarray(rows.id))
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf[:, None], (leaf.shape[0], strengths, *leaf.shape[1:])), state
    )


def strength_of(program: Program, dtype: Any) -> dict[str, jax.Array]:
    """Two strengths: none, and a middling one of all."""
    on = {one.name: [0.0, 0.3] for one in program.regularizers}
    return {name: jnp.asarray(value, dtype) for name, value in (on | {"learning_rate": [0.01, 0.01]}).items()}


@pytest.fixture(scope="module")
def trained(problem: Callable[..., Any], seed: int) -> Callable[..., tuple[Any, Program, Rows, Outcome]]:
    """Train some epochs of a float64 problem by the lifted program; the same question is answered once."""

    @cache
    def run(
        epochs: tuple[int, ...] = (3,), scale: float = 1.0, held_out: bool = True, **parts: Any
    ) -> tuple[Any, Program, Rows, Outcome]:
        case = problem(seed, dtype=np.float64)
        program = program_for(case, **parts)
        rows = make_rows(case.row_sets, seed)
        if not held_out:
            none = np.zeros(3, np.int32)
            empty = np.zeros((3, 0), np.int32)
            rows = rows._replace(measured=empty, n_measured=none, held_out=empty, n_held_out=none)
        with jax.enable_x64(True):
            data = Data(case.dataset.inputs, case.dataset.targets, np.full(3, scale))
            state, traces = start(program, rows, seed, jnp.float64), []
            call = jax.jit(lift(program.epochs, own_data=True))
            for index, count in enumerate(epochs):
                first = sum(epochs[:index])
                strength, key = strength_of(program, jnp.float64), noise.make_key(seed)
                state, trace = call(state, strength, rows, data, key, np.int32(first), np.int32(count))
                traces.append(jax.tree.map(lambda leaf, count=count: np.asarray(leaf)[..., :count], trace))
            joined = jax.tree.map(lambda *parts: np.concatenate(parts, axis=-1), *traces)
            return case, program, rows, (jax.tree.map(np.asarray, state), joined)

    return run


@dataclass(frozen=True)
class CountingNetwork:
    """Counts in its state how often it saw each row in training; inputs are rows of the identity matrix."""

    rows: int

    def init(self, key: jax.Array, dtype: Any) -> Variables:
        """One weight that does not matter."""
        del key
        return Variables({"weight": jnp.ones((1, 1), dtype)}, jnp.zeros(self.rows, dtype))

    def penalised(self, trainable: Any) -> Any:
        """The weight."""
        return dict.fromkeys(trainable, Axes())

    def decayed(self, trainable: Any) -> Any:
        """The same."""
        return self.penalised(trainable)

    def constrain(self, trainable: Any) -> Any:
        """Every value is allowed."""
        return trainable

    def apply(self, variables: Variables, inputs: jax.Array, on_units: Any) -> tuple[jax.Array, Any]:
        """Outputs are the weight; the state grows by the rows of a batch."""
        outputs = jnp.broadcast_to(variables.trainable["weight"], (len(inputs), 1))
        return outputs, variables.state + (inputs.sum(axis=0) if on_units else 0)


@pytest.fixture(scope="module")
def counts(problem: Callable[..., Any], seed: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """How often each row was seen in one epoch and in the next two, [R, n] each."""
    case = problem(seed, regression=True)
    program = program_for(case, network=CountingNetwork(41), regularizers=())
    rows = make_rows(case.row_sets, seed)
    data = Data(np.stack([np.eye(41, dtype=np.float32)] * 3), case.dataset.targets, np.ones(3, np.float32))
    state = start(program, rows, seed, jnp.float32)
    call = jax.jit(lift(program.epochs, own_data=True))
    strength, key = strength_of(program, jnp.float32), noise.make_key(seed)
    one, _ = call(state, strength, rows, data, key, np.int32(0), np.int32(1))
    three, _ = call(one, strength, rows, data, key, np.int32(1), np.int32(2))
    seen = [np.asarray(state.variables.state)[:, 0] for state in (one, three)]
    return case, seen[0], seen[1] - seen[0]


def test_an_epoch_sees_every_training_row(counts: tuple[Any, np.ndarray, np.ndarray]) -> None:
    """Every own row once in an epoch, some twice where the last batch wraps round, and no other row ever."""
    case, first, later = counts
    for r, (train, held_out) in enumerate(zip(case.row_sets.train, case.row_sets.held_out, strict=True)):
        assert set(first[r, train]) <= {1, 2}
        assert first[r].sum() == 4 * 8  # all steps of all row sets are full batches
        assert (first[r, train] == 2).sum() == 4 * 8 - len(train)
        assert not first[r, held_out].any()
        assert not later[r, held_out].any()
        assert later[r].sum() == 2 * 4 * 8


@pytest.mark.parametrize("unequal", [False, True])
def test_unequal_row_sets_take_their_own_steps(problem: Callable[..., Any], seed: int, unequal: bool) -> None:
    """Where sizes differ much a small row set takes two steps of four, and wraps round twice where they do not."""
    case = problem(seed, regression=True)
    program = program_for(case, network=CountingNetwork(41), regularizers=(), unequal=unequal)
    rows = make_rows(case.row_sets, seed)
    rows = rows._replace(n_train=np.array([10, 27, 28], np.int32))
    data = Data(np.stack([np.eye(41, dtype=np.float32)] * 3), case.dataset.targets, np.ones(3, np.float32))
    call, key = jax.jit(lift(program.epochs, own_data=True)), noise.make_key(seed)
    state, strength = start(program, rows, seed, jnp.float32), strength_of(program, jnp.float32)
    after, _ = call(state, strength, rows, data, key, np.int32(0), np.int32(1))
    seen = np.asarray(after.variables.state)[:, 0]
    assert seen.sum(axis=1).tolist() == [16 if unequal else 32, 32, 32]
    assert set(seen[0, case.row_sets.train[0][:10]]) <= ({1, 2} if unequal else {3, 4})
    assert np.asarray(after.optimizer.count)[:, 0].tolist() == [2 if unequal else 4, 4, 4]


def test_rows_are_shuffled_anew(counts: tuple[Any, np.ndarray, np.ndarray], seed: int) -> None:
    """Other rows wrap round in other epochs and row sets, and another seed draws others."""
    case, first, _ = counts
    twice = [np.flatnonzero(row == 2) for row in first]
    assert len({tuple(rows) for rows in twice}) == 3
    program, rows = program_for(case), make_rows(case.row_sets, seed)
    one = Rows(*(leaf[0] for leaf in rows))
    orders = [np.asarray(program._order(one, noise.make_key(key))) for key in range(3)]
    real = [order[: one.n_train] for order in orders]
    assert all((np.sort(order) == np.sort(case.row_sets.train[0])).all() for order in real)
    assert len({tuple(order) for order in real}) == 3


@pytest.mark.slow
def test_two_calls_are_one(trained: Callable[..., Any]) -> None:
    """Two epochs and then one more are three epochs, bit for bit: a call can be cut anywhere."""
    *_, (whole, whole_trace) = trained((3,))
    *_, (cut, cut_trace) = trained((2, 1))
    assert jax.tree.all(jax.tree.map(np.array_equal, whole, cut))
    assert jax.tree.all(jax.tree.map(np.array_equal, whole_trace, cut_trace))


@pytest.mark.slow
def test_the_epoch_number_matters(trained: Callable[..., Any], seed: int) -> None:
    """The counterpart: every epoch has its own noise and order, so epochs trained again differ."""
    case, program, rows, (after_two, _) = trained((2,))
    *_, (after_three, _) = trained((2, 1))
    with jax.enable_x64(True):
        data = Data(case.dataset.inputs, case.dataset.targets, np.ones(3))
        call, key = jax.jit(lift(program.epochs, own_data=True)), noise.make_key(seed)
        again, _ = call(after_two, strength_of(program, float), rows, data, key, np.int32(0), np.int32(1))
    assert not np.allclose(again.variables.trainable[0]["kernel"], after_three.variables.trainable[0]["kernel"])


def test_what_a_call_does_not_train_is_nan(problem: Callable[..., Any], seed: int) -> None:
    """A call of one epoch where three are possible records one epoch."""
    case = problem(seed, dtype=np.float64)
    program, rows = program_for(case), make_rows(case.row_sets, seed)
    with jax.enable_x64(True):
        data = Data(case.dataset.inputs, case.dataset.targets, np.ones(3))
        call, state = jax.jit(lift(program.epochs, own_data=True)), start(program, rows, seed, jnp.float64)
        strength, key = strength_of(program, jnp.float64), noise.make_key(seed)
        _, trace = call(state, strength, rows, data, key, np.int32(0), np.int32(1))
    for curve in trace[:4]:
        assert curve.shape == (3, 2, 3)
        assert np.isfinite(curve).all(axis=(0, 1)).tolist() == [True, False, False]
    assert trace.row_loss.shape == (3, 2, 3, 0)  # not asked for


def test_measuring_in_parts_is_measuring_at_once(trained: Callable[..., Any]) -> None:
    """Losses measured five rows at a time, padding in the last part, are those measured at once."""
    *_, (_, whole) = trained()
    *_, (_, parts) = trained(evaluation_rows=5)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.slow
def test_measured_without_noise(trained: Callable[..., Any]) -> None:
    """Recorded losses and metrics are plain means over the rows measured, no dropout in them."""
    case, program, rows, (state, trace) = trained()
    with jax.enable_x64(True):
        for r in range(3):
            for which, loss, metric in (
                (rows.held_out[r, : rows.n_held_out[r]], trace.held_out_loss, trace.held_out_metric),
                (rows.measured[r, : rows.n_measured[r]], trace.train_loss, trace.train_metric),
            ):
                variables = jax.tree.map(lambda leaf, r=r: leaf[r, 1], state.variables)
                outputs = program.predict(variables, jnp.asarray(case.dataset.inputs[r, which]))
                targets = case.dataset.targets[r, which]
                assert loss[r, 1, -1] == pytest.approx(float(CLASSIFICATION.per_row(outputs, targets).mean()))
                assert metric[r, 1, -1] == pytest.approx(float(CLASSIFICATION.metric(outputs, targets).mean()))


def test_losses_are_in_the_targets_units(trained: Callable[..., Any]) -> None:
    """The loss unit multiplies what is recorded and changes no training."""
    *_, (state, trace) = trained()
    *_, (scaled_state, scaled) = trained(scale=9.0)
    np.testing.assert_allclose(scaled.held_out_loss, 9 * trace.held_out_loss, rtol=1e-12)
    np.testing.assert_allclose(scaled.train_loss, 9 * trace.train_loss, rtol=1e-12)
    np.testing.assert_array_equal(scaled.held_out_metric, trace.held_out_metric)
    assert jax.tree.all(jax.tree.map(np.array_equal, scaled_state.variables, state.variables))


def test_the_best_epoch_is_kept(trained: Callable[..., Any]) -> None:
    """The snapshot is the network of the epoch with the lowest mean over row sets, the same epoch in all of them."""
    *_, (state, trace) = trained((3, 3))
    means = trace.held_out_loss.mean(axis=0)
    for g in range(2):
        best = int(1 + means[g].argmin())
        assert state.best_loss[:, g] == pytest.approx(means[g].min())
        assert state.best_epoch[:, g].tolist() == [best] * 3
        *_, (then, _) = trained((1,) * best)
        kept, expected = (jax.tree.map(lambda leaf, g=g: leaf[:, g], tree) for tree in (state.best, then.variables))
        assert jax.tree.all(jax.tree.map(np.array_equal, kept, expected))


def test_without_held_out_rows_the_last_epoch_is_kept(trained: Callable[..., Any]) -> None:
    """A refit on all rows keeps the network after the last epoch, and records no losses."""
    *_, (state, trace) = trained(held_out=False)
    assert jax.tree.all(jax.tree.map(np.array_equal, state.best, state.variables))
    assert (state.best_epoch == 3).all()
    assert all(np.isnan(curve).all() for curve in trace)


def test_strengths_of_a_row_set_start_alike(problem: Callable[..., Any], seed: int) -> None:
    """First weights depend on the seed and the row set's id, not on its place or the other row sets."""
    case = problem(seed)
    program = program_for(case)

    def kernel(of: int, row_set: int) -> np.ndarray:
        state = program.start(noise.make_key(of), jnp.int32(row_set), jnp.float32)
        return np.asarray(state.variables.trainable[0]["kernel"])

    together = start(program, make_rows(case.row_sets, seed), seed, jnp.float32).variables.trainable[0]["kernel"]
    for r in range(3):
        for g in range(2):
            np.testing.assert_allclose(together[r, g], kernel(seed, r), rtol=1e-6)
    assert (kernel(seed, 0) != kernel(seed, 1)).all()
    assert (kernel(seed, 0) != kernel(seed + 1, 0)).all()


def test_a_regularizer_that_is_not_searched_is_not_there(problem: Callable[..., Any], seed: int) -> None:
    """Only the named regularizers are in the program: dropout left out draws no noise."""
    case = problem(seed, regression=True)
    assert case.loss is REGRESSION
    with_it, without = program_for(case), replace(program_for(case), regularizers=(BUILT_IN["l2"],))
    state = with_it.start(noise.make_key(seed), jnp.int32(0), jnp.float32)
    inputs, targets = case.dataset.inputs[0, :8], case.dataset.targets[0, :8]

    def step(program: Program) -> str:
        names = [*(one.name for one in program.regularizers), "learning_rate"]
        strength = {name: jnp.float32(0.1) for name in names}
        rest = (inputs, targets, noise.make_key(seed))
        one = jax.make_jaxpr(program._step)(state.variables, state.optimizer, strength, jnp.float32(1), *rest)
        return str(one)

    assert "shift_right_logical" in step(with_it)
    assert "shift_right_logical" not in step(without)
