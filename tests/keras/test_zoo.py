from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import ZOO, Animal, computing, strengths_of, tolerance

import fitwell
import keras
from fitwell.data.arrays import read_arrays
from fitwell.data.row_sets import RowSets
from fitwell.engine import noise
from fitwell.engine.job import Dataset, Rows, Settings, make_rows
from fitwell.engine.network import Variables
from fitwell.engine.optimizers import make_schedule
from fitwell.engine.program import Data, Program, lift
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.keras.closing import close
from fitwell.keras.compiled import Targets
from fitwell.keras.keras_network import KerasNetwork, keras_inputs
from fitwell.keras.opening import Opened
from fitwell.problems.model_data import ModelData, make_data, model_candidates, own_strengths
from fitwell.problems.options import Options
from fitwell.regularization.strengths import Candidates
from fitwell.regularization.table import BUILT_IN

EVERYTHING = {"l1": 0.003, "l2": 0.02, "weight_dropout": 0.3, "dropout": 0.2, "weight_decay": 0.2}
SETTINGS = [{"l2": 0.05, "dropout": 0.4}, EVERYTHING]
LAST = -1
"""Number of the candidate in which all regularizers are on."""

EPOCHS, BATCH, SEED = 2, 12, 0
ROW_SETS = RowSets(
    (np.arange(16, 48, dtype=np.int32), np.arange(0, 31, dtype=np.int32)),
    (np.arange(0, 16, dtype=np.int32), np.arange(31, 48, dtype=np.int32)),
    48,
)
NORMALISED = ["batch_normalised", "conv2d", "shared_model"]
EQUAL = [
    *("with_dropout", "batch_normalised", "two_outputs", "shared_layer", "nested_sequential", "conv2d", "separable"),
    *("gru", "masked_steps", "transformer", "selu", "constrained", "other_penalties", "adds_loss", "own_layers"),
]
"""Models that are trained in one program and one by one: each has something that no other has."""

TUNED = ["two_outputs", "inputs_by_name", "nested_functional", "conv1d", "masked", "frozen", "subclassed", "own_layers"]
"""Models that `fitwell.tune` tunes from end to end."""

OPTIMISED = ["with_dropout", "separable", "gru"]
"""Of these, those whose programs are compiled as a person's would be: dense, convolutions, recurrent.

Not attention: so compiled, one weight of "transformer" (layer normalisation, AdamW) was 4e-5 off; see `tolerance`.
"""

QUICK = ["branches", "embedding", "name_taken"]
"""Models that the tests of all models also meet in `make check`: some that are not trained in full and cost little."""

ON_UNITS = BUILT_IN["dropout"].on_units
LOAD = """
import json, sys
from pathlib import Path
import jax, keras, numpy as np
import zoo
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)
folder, seen = Path(sys.argv[1]), {}
for path in sorted(folder.glob("*.keras")):
    model = keras.models.load_model(path, safe_mode=path.stem != "with_lambda")
    x, _ = zoo.ZOO[path.stem].data()
    x = jax.tree.map(lambda leaf: np.asarray(leaf, "float64" if leaf.dtype.kind == "f" else leaf.dtype), x)
    weights = [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]
    call = jax.jit(lambda model, weights, x: model.stateless_call(*weights, x, training=False)[0], static_argnums=0)
    outputs = jax.tree.leaves(call(model, weights, x))
    np.savez(path.with_suffix(".npz"), *outputs)
    seen[path.stem] = zoo.strengths_of(model)
assert "fitwell" not in sys.modules
print(json.dumps(seen))
"""


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Keras and JAX in float64."""
    with computing("float64"):
        yield


@dataclass(frozen=True, eq=False)
class Case:
    """One model of the zoo; every part is made when it is first asked for, and shared by all tests."""

    animal: Animal

    @cached_property
    def model(self) -> Any:
        """The model as given."""
        return self.animal.model()

    @cached_property
    def problem(self) -> ModelData:
        """Opened, with its data."""
        x, y = self.animal.data()
        arrays = read_arrays(x, y, dtype=np.dtype("float64"))
        targets = Targets(arrays.targets, None, None)
        return make_data(Opened(self.model), arrays.inputs, targets, own=False, weights="fresh")

    @cached_property
    def candidates(self) -> Candidates:
        """No regularization, the model as given if it has some, and `SETTINGS`."""
        network = self.problem.network
        settings = [{k: v for k, v in setting.items() if network.layers.of(BUILT_IN[k])} for setting in SETTINGS]
        options = Options(strengths=settings, refit="single")
        return model_candidates(network, options, self.problem.optimizer.learning_rate)

    @cached_property
    def trained(self) -> Trained:
        """All candidates on both row sets, in one program."""
        optimizer, schedule = self.problem.optimizer.optimizer, self.problem.optimizer.schedule or "constant"
        settings = Settings(EPOCHS, BATCH, None, optimizer, schedule, SEED, devices=1, call_epochs=EPOCHS)
        network, loss = self.problem.network, self.problem.loss
        with computing("float64", optimised=self.animal.name in OPTIMISED):
            return train_all(network, self.dataset, ROW_SETS, self.candidates, loss=loss, settings=settings)

    @cached_property
    def dataset(self) -> Dataset:
        """Its rows, with first weights for each row set."""
        return self.problem.dataset(ROW_SETS, SEED)

    @cached_property
    def program(self) -> Program:
        """The program that this was, for one network."""
        return Program(
            network=self.problem.network,
            loss=self.problem.loss,
            optimizer=self.problem.optimizer.optimizer,
            schedule=make_schedule(self.problem.optimizer.schedule or "constant", 6),
            regularizers=self.candidates.regularizers,
            batch_size=BATCH,
            steps=3,
            call_epochs=EPOCHS,
        )

    @cached_property
    def predicted(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What the network gives without noise, with `variables`; and what the closed model does."""
        network, closed = self.problem.network, self.closed
        weights = [v.value for v in closed.trainable_variables], [v.value for v in closed.non_trainable_variables]

        def both(variables: Variables, weights: Any, inputs: Any) -> Any:
            of_closed = closed.stateless_call(*weights, keras_inputs(inputs), training=False)[0]
            return network.apply(variables, inputs, None)[0].predictions, of_closed

        of_network, of_closed = jax.jit(both)(self.variables, weights, self.problem.inputs)
        return leaves(of_network), leaves(of_closed)

    @cached_property
    def variables(self) -> Variables:
        """Trained with all regularizers on, on the first row set; in models that are not trained here, any others."""
        if self.animal.name in EQUAL:
            return jax.tree.map(lambda leaf: leaf[0], self.trained.variables(self.candidates.count - 1))
        generator = np.random.default_rng(SEED)
        values = self.problem.network.values

        def changed(leaf: np.ndarray) -> np.ndarray:
            moved = leaf + 0.1 * generator.normal(size=leaf.shape)
            return leaf if leaf.dtype.kind != "f" else moved.astype(leaf.dtype)  # seeds stay

        return Variables(jax.tree.map(changed, values.trainable), [np.abs(changed(leaf)) for leaf in values.state])

    @cached_property
    def tolerance(self) -> dict[str, float]:
        """How far two computations may be apart."""
        return tolerance(self.model)

    @cached_property
    def closed(self) -> Any:
        """The model that comes back with `variables`."""
        chosen = self.candidates.regularization(LAST)
        return close(self.model, self.problem.network, self.variables, chosen, self.problem.sample)


@cache
def case(name: str) -> Case:
    """A model of the zoo; every test works on the same."""
    return Case(ZOO[name])


everyone = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]
)


def leaves(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_close(one: Any, other: Any, **tolerance: float) -> None:
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def far(one: Any, other: Any) -> bool:
    """Whether some numbers differ by much more than rounding."""
    return any(np.abs(a - b).max() > 1e-6 for a, b in zip(leaves(one), leaves(other), strict=True))


# 1. Opened, with all strengths zero


class Everywhere:
    """`OnUnits` with one rate for all places, by the engine's own arithmetic."""

    def __init__(self, rate: float = 0.0, own: float = 0.0) -> None:
        self.rate, self.own = rate, own

    def __call__(self, units: Any, layer: int, *, draw: int | None = None, noise_shape: Any = None) -> Any:
        """Drop units as a training step does."""
        drawn = noise.uniform(noise.make_key(draw or layer), noise_shape or units.shape, units.dtype)
        assert ON_UNITS is not None
        return ON_UNITS(jnp.asarray(self.rate), units, drawn)


ZERO, OWN = Everywhere(), Everywhere(own=1.0)


class Side(NamedTuple):
    """A training step by Keras or by fitwell: outputs, non-trainable weights after it (no seeds), losses it adds."""

    outputs: Any
    kept: Any
    added: Any


def values_of(model: Any) -> tuple[list[Any], list[Any]]:
    return [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]


def by_keras(model: Any, values: Any, inputs: Any) -> Side:
    outputs, after, losses = model.stateless_call(*values, keras_inputs(inputs), training=True, return_losses=True)
    return Side(outputs, kept(model, after), jnp.asarray(0.0) + sum(jnp.sum(loss) for loss in losses))


def by_fitwell(network: KerasNetwork, values: Variables, inputs: Any, on_units: Any) -> Side:
    outputs, state = network.apply(values, inputs, on_units)
    after = network.variables_of(Variables(values.trainable, state))[1]
    return Side(
        outputs.predictions, kept(network.copy, after), jnp.asarray(0.0 if outputs.added is None else outputs.added)
    )


def kept(model: Any, after: Any) -> list[Any]:
    weights = {id(v) for v in model.non_trainable_weights}
    return [jnp.asarray(a) for v, a in zip(model.non_trainable_variables, after, strict=True) if id(v) in weights]


def stripped(found: Case, penalty: float = 0.0) -> Any:
    """The same model without dropout, and without penalties, of its own, at the same weights."""
    bare = found.animal.model(rate=0.0, penalty=penalty)
    bare.set_weights(found.model.get_weights())
    return bare


class Sides(NamedTuple):
    """The same calls by Keras and by fitwell: of the original without noise (and without penalties), and as opened."""

    bare: Side
    quiet_added: Any
    predicted: Any
    of_zero: Side
    of_own_added: Any
    of_predicted: Any


@cache
def sides(name: str) -> Sides:
    """All that is compared of an opened model, in one program."""
    found = case(name)
    network, inputs, model = found.problem.network, found.problem.inputs, found.model
    bare, quiet = stripped(found), stripped(found, penalty=0.01)

    def together(of_bare: Any, of_quiet: Any, of_model: Any, values: Variables, inputs: Any) -> Sides:
        return Sides(
            by_keras(bare, of_bare, inputs),
            by_keras(quiet, of_quiet, inputs).added,
            model.stateless_call(*of_model, keras_inputs(inputs), training=False)[0],
            by_fitwell(network, values, inputs, ZERO),
            by_fitwell(network, values, inputs, OWN).added,
            network.apply(values, inputs, None)[0].predictions,
        )

    return jax.jit(together)(values_of(bare), values_of(quiet), values_of(model), network.values, inputs)


@everyone
def test_all_strengths_zero_are_the_model_without_regularization(name: str) -> None:
    """With all strengths zero the network is the model stripped of its own regularization, also in a training step.

    Outputs, moving statistics and what layers add to the loss agree. Gaussian noise acts in both: it is no dropout, and
    its seed is given, so that both draw the same.
    """
    found = sides(name)
    assert_close(found.bare, found.of_zero, **case(name).tolerance)
    assert_close(found.predicted, found.of_predicted, **case(name).tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["with_dropout", "separable"])
def test_a_strength_that_is_not_zero_is_seen(name: str) -> None:
    """The comparison above can fail: a rate of a tenth moves the outputs."""
    network, inputs = case(name).problem.network, case(name).problem.inputs
    with_noise = jax.jit(lambda values: by_fitwell(network, values, inputs, Everywhere(0.1)))(network.values)
    assert far(sides(name).bare.outputs, with_noise.outputs)


@pytest.mark.slow
def test_another_momentum_is_seen() -> None:
    """The comparison above can fail: batch normalisation of another momentum has other moving statistics."""
    found = case("batch_normalised")
    bare, inputs = stripped(found), found.problem.inputs
    bare.layers[1].momentum = 0.71
    other = jax.jit(lambda values: by_keras(bare, values, inputs))(values_of(bare))
    assert_close(other.outputs, sides("batch_normalised").of_zero.outputs, **found.tolerance)
    assert far(other.kept, sides("batch_normalised").of_zero.kept)


@everyone
def test_the_model_as_given_has_its_own_penalties(name: str) -> None:
    """The objective of the model as given adds to the loss what Keras adds, whatever the penalties act on."""
    added = float(sides(name).of_own_added)
    for kernel in case(name).problem.network.kernels:
        l1, l2 = (kernel.strength(BUILT_IN[name]) for name in ("l1", "l2"))
        added += l1 * np.abs(kernel.variable).sum() + l2 * np.square(kernel.variable).sum()
    np.testing.assert_allclose(added, sides(name).quiet_added, **case(name).tolerance)


# 2. One program or one by one


def one_by_one(found: Case, r: int, g: int) -> tuple[list[Variables], np.ndarray]:
    """Train one row set at one strength by a plain loop: variables after each epoch, and held-out losses."""
    program, step = found.program, plain_step(found)
    dataset, rows = found.dataset, jax.tree.map(lambda leaf: leaf[r], make_rows(ROW_SETS, SEED))
    held_out = ROW_SETS.held_out[r]
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf[r]), dataset.first)
    optimizer = program.optimizer.transform.init(variables.trainable)
    chosen = found.candidates.take([g])
    strength = {**chosen.strengths, "learning_rate": chosen.learning_rate, "own": chosen.own}
    strength = {key: jnp.asarray(values[0]) for key, values in strength.items() if values is not None}
    after, losses = [], []
    for epoch in range(EPOCHS):
        key = noise.fold(noise.fold(noise.fold(noise.make_key(SEED), r), 1), epoch)
        order = np.asarray(program._order(rows, noise.fold(key, 0)))[: len(ROW_SETS.train[r])]
        for number in range(3):
            batch = np.resize(order, (number + 1) * BATCH)[-BATCH:]
            inputs, targets = jax.tree.map(lambda leaf: leaf[batch], (dataset.inputs, dataset.targets))  # noqa: B023
            factor = program.schedule(jnp.int32(3 * epoch + number))
            key_of_step = noise.fold(key, 1 + number)
            variables, optimizer = step(variables, optimizer, strength, factor, inputs, targets, key_of_step)
        after.append(variables)
        inputs, targets = jax.tree.map(lambda leaf: leaf[held_out], (dataset.inputs, dataset.targets))
        losses.append(plain_loss(found)(variables, inputs, targets).mean())
    return after, np.array(losses)


@cache
def plain_step(found: Case) -> Any:
    return jax.jit(found.program._step)


@cache
def plain_loss(found: Case) -> Any:
    program = found.program
    return jax.jit(lambda variables, x, y: program.loss.per_row(program.predict(variables, x), y))


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUAL)
def test_one_program_trains_what_a_plain_loop_does(name: str) -> None:
    """Row sets times strengths in one program are the networks that a loop over batches trains one by one.

    Among them are the network without regularization, the model as given, and all regularizers at once.
    """
    found = case(name)
    histories = found.trained.histories
    for g in range(found.candidates.count):
        alone = [one_by_one(found, r, g) for r in range(2)]
        assert_close(np.stack([losses for _, losses in alone]), histories.held_out_loss[:, g], **found.tolerance)
        best = np.mean([losses for _, losses in alone], axis=0).argmin()
        assert histories.best_epoch[g] == best + 1
        for r, (after, _) in enumerate(alone):
            in_one_program = jax.tree.map(lambda leaf, r=r, g=g: leaf[r, g], found.trained.best)
            assert_close(after[best], in_one_program, **found.tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nested_sequential"])
def test_a_strength_in_the_wrong_slot_is_seen(name: str) -> None:
    """The comparison above can fail: other strengths, or the first place's at the last, train another network."""
    found = case(name)
    places = found.problem.network.layers.kernels
    first, last = np.zeros((2, len(places)))
    first[0] = last[-1] = 0.1
    rate = found.candidates.learning_rate[:3]
    zero = np.zeros(len(places))
    candidates = Candidates({"l2": np.stack([zero, first, last])}, rate, found.problem.network.layers)
    settings = Settings(1, BATCH, None, found.problem.optimizer.optimizer, seed=SEED, devices=1, call_epochs=1)
    network, loss = found.problem.network, found.problem.loss
    best = train_all(network, found.dataset, ROW_SETS, candidates, loss=loss, settings=settings).best
    without, on_first, on_last = (jax.tree.map(lambda leaf, g=g: leaf[0, g], best) for g in range(3))
    assert far(without, on_first)
    assert far(on_first, on_last)


# 3. No leak


@pytest.mark.slow
@pytest.mark.parametrize("name", NORMALISED)
def test_no_leak_bitwise(name: str) -> None:
    """Whatever the held-out rows of a row set hold, its networks keep every bit, moving statistics too.

    And a single held-out row among the training rows moves them.
    """
    found = case(name)
    dataset, rows = found.dataset, make_rows(ROW_SETS, SEED)
    chosen = found.candidates.take(range(found.candidates.count))
    strength = {**chosen.strengths, "learning_rate": chosen.learning_rate}
    strength |= {} if chosen.own is None else {"own": chosen.own}
    strength = {key: jnp.asarray(values) for key, values in strength.items()}
    run = jax.jit(lift(found.program.epochs, own_data=False))

    def trained_on(inputs: Any, targets: Any, rows: Rows) -> Any:
        start = jax.vmap(lambda first: found.program.start(noise.make_key(SEED), 0, np.dtype("float64"), first))
        state = jax.tree.map(
            lambda leaf: jnp.repeat(leaf[:, None], found.candidates.count, axis=1), start(dataset.first)
        )
        data = Data(inputs, targets, jnp.ones(2))
        after, _ = run(state, strength, rows, data, noise.make_key(SEED), jnp.int32(0), jnp.int32(1))
        return [leaf[0].tobytes() for leaf in leaves(after.variables)]

    held_out = ROW_SETS.held_out[0]
    expected = trained_on(dataset.inputs, dataset.targets, rows)
    rng = np.random.default_rng(3)
    for change in (lambda leaf: rng.normal(5, 3, leaf.shape), lambda leaf: np.full(leaf.shape, np.nan)):
        inputs = changed(dataset.inputs, held_out, change)
        assert trained_on(inputs, dataset.targets, rows) == expected
        targets = changed(dataset.targets, held_out, lambda leaf: (leaf + 1) % 2)
        assert trained_on(inputs, targets, rows) == expected
    smuggled = rows._replace(train=rows.train.copy())
    smuggled.train[0, 3] = held_out[2]
    assert trained_on(inputs, dataset.targets, smuggled) != expected


def changed(tree: Any, rows: np.ndarray, change: Any) -> Any:
    """The same data with other numbers in some rows."""

    def one(leaf: np.ndarray) -> np.ndarray:
        copy = leaf.copy()
        copy[rows] = change(leaf[rows])
        return copy

    return jax.tree.map(one, tree)


# 4. Closed


@everyone
def test_the_closed_model_predicts_what_the_network_did(name: str) -> None:
    """A closed model has the trained weights, and predicts with them what the network did."""
    found = case(name)
    of_network, of_closed = found.predicted
    assert_close(of_closed, of_network, **found.tolerance)
    assert far(jax.tree.leaves(found.problem.network.values.trainable), found.variables.trainable)


@everyone
def test_the_closed_model_is_compiled_as_it_came(name: str) -> None:
    """Loss, loss weights, metrics, optimizer and learning rate are those of the model; none of its classes is ours.

    Only the weight decay is the chosen one.
    """
    found = case(name)
    given, closed = found.model._compile_config.config, found.closed._compile_config.config
    for key in ("loss", "loss_weights"):
        assert closed[key] == given[key]
    assert str(closed["metrics"]) == str(given["metrics"])
    assert found.closed.optimizer is not found.model.optimizer
    expected = {**found.model.optimizer.get_config(), "weight_decay": EVERYTHING["weight_decay"]}
    assert found.closed.optimizer.get_config() == expected
    assert not any(type(layer).__module__.startswith("fitwell") for layer in found.closed._flatten_layers())


def expected_strengths(found: Case) -> dict[str, Any]:
    """What a closed model must have: the penalties of its kernels, and its rates, sorted."""
    network, chosen = found.problem.network, found.candidates.regularization(LAST)
    penalties = [[chosen.at("l1", kernel.place), chosen.at("l2", kernel.place)] for kernel in network.kernels]
    # dropout that stands in the model takes the rate, and so does dropout that is put in
    rates = [chosen.at("dropout", place.place) for place in network.places]
    return {"penalties": sorted(pair for pair in penalties if any(pair)), "rates": sorted(filter(None, rates))}


@everyone
def test_the_closed_model_has_the_chosen_strengths(name: str) -> None:
    """Penalties on exactly the kernels that were penalised, and rates at all places: nothing of the model's own."""
    found = case(name)
    assert strengths_of(found.closed) == expected_strengths(found)


@everyone
def test_the_original_is_untouched(name: str) -> None:
    """Opening, training and closing leave the model's weights, its configuration and its graph as they were."""
    found, fresh = case(name), ZOO[name].model()
    assert found.closed is not found.model
    for one, other in zip(found.model.weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert strengthless(found.model) == strengthless(fresh)
    for layer in found.model.layers:
        assert "call" not in vars(layer)  # hooks are on the copy only
    if name != "subclassed":  # whose layers have no place in a graph
        assert jax.tree.structure(found.model.layers[-1].output) == jax.tree.structure(fresh.layers[-1].output)


def strengthless(model: Any) -> list[tuple[str, Any]]:
    """Classes and strengths of all layers, which do not depend on how many layers were made before."""
    return [(type(layer).__name__, layer.trainable) for layer in model._flatten_layers()] + [
        ("strengths", strengths_of(model))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["with_dropout", "other_penalties", "custom_block", "gru", "own_layers"])
def test_left_alone_it_keeps_its_own(name: str) -> None:
    """Where the model as given is chosen, the closed one has its own rates and penalties."""
    found = case(name)
    closed = close(found.model, found.problem.network, found.variables, None, found.problem.sample)
    if name != "own_layers":  # whose layers come back as plain ones, and a plain Dense has no weight dropout
        assert strengths_of(closed) == strengths_of(found.model)
    assert_close(closed.trainable_variables, found.variables.trainable, rtol=0, atol=0)


# 5. Saved, and loaded without fitwell


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """All closed models saved, and what a process without fitwell found in them: outputs in files, strengths."""
    folder = tmp_path_factory.mktemp("zoo")
    with computing("float64"):
        for name in ZOO:
            case(name).closed.save(folder / f"{name}.keras")
    support = Path(__file__).parents[1] / "support"
    run = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, cwd=support, check=False
    )
    assert run.returncode == 0, run.stderr
    return folder, json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
@everyone
def test_round_trip_without_fitwell(name: str, loaded: tuple[Path, dict[str, Any]]) -> None:
    """A saved model loads where fitwell was never imported, predicts the same and has the same strengths.

    Classes of the user's own (`Animal.classes`) must be known there, as for every Keras file. A subclassed model is
    made anew from its own configuration: what that does not say (its rates and penalties, here) is not in the file.
    """
    found, (folder, strengths) = case(name), loaded
    with np.load(folder / f"{name}.npz") as outputs:
        assert_close([outputs[key] for key in outputs.files], found.predicted[0], **found.tolerance)
    if name != "subclassed":
        assert strengths[name] == expected_strengths(found)


# 6. From end to end


def tuned(model: Any, x: Any, y: Any) -> Any:
    """Tune with three strengths for one epoch: the result, whose model gives finite numbers and is a plain one."""
    result = fitwell.tune(model, x, y, strengths=3, epochs=1, cv=2)
    outputs = result.model.predict_on_batch(x)
    assert all(np.isfinite(leaf.astype("float32")).all() for leaf in leaves(outputs))
    assert np.isfinite(result.search.histories.held_out_loss).all()
    assert not any(type(layer).__module__.startswith("fitwell") for layer in result.model._flatten_layers())
    return result


@pytest.fixture
def single(double: None) -> Iterator[None]:
    """Keras and JAX in float32, as people have them."""
    del double
    with computing("float32"):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("single")
@pytest.mark.parametrize("name", TUNED)
def test_tune_from_end_to_end(name: str) -> None:
    """One call tunes a model: what comes back predicts finite numbers and has no more layers of fitwell's.

    It takes seconds a model: `TUNED` are some of every kind, and those of `EQUAL` are trained above.
    """
    found = ZOO[name]
    model = found.model()
    before = model.get_weights()
    result = tuned(model, *found.data())
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    assert [w.shape for w in result.model.trainable_weights] == [w.shape for w in model.trainable_weights]


@pytest.mark.slow
@pytest.mark.usefixtures("single")
def test_a_sequential_without_input() -> None:
    """A model that is not built learns its shapes from the data."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential([keras.layers.Dense(6, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    result = tuned(model, *ZOO["logits"].data())
    assert not model.built
    assert result.model.output_shape == (None, 3)
    assert [weight.shape for weight in result.model.weights] == [(4, 6), (6,), (6, 3), (3,)]


@pytest.mark.slow
@pytest.mark.usefixtures("single")
@pytest.mark.parametrize("output", ["bfloat16", "float32"])
def test_a_model_in_mixed_precision(output: str) -> None:
    """Under the policy mixed_bfloat16 it computes in bfloat16 and keeps its weights in float32, also once closed.

    What is handed over is compared by steps of bfloat16, also where the last layer alone is float32, as Keras advises:
    by float32's it would not be what was trained.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = ZOO["batch_normalised"].model()
        model.layers[-1].dtype_policy = keras.DTypePolicy("float32" if output == "float32" else "mixed_bfloat16")
        result = tuned(model, *ZOO["batch_normalised"].data())
    finally:
        keras.config.set_dtype_policy(before)
    x, _ = ZOO["batch_normalised"].data()
    assert result.model(x).dtype == model(x).dtype == output
    assert {weight.dtype for weight in result.model.trainable_weights} == {"float32"}


def test_dropout_is_put_in_where_its_name_is_taken() -> None:
    """Dropout behind "dense" takes another name where there are "dense_dropout" and "dense_dropout_1" already."""
    found = case("name_taken")
    names = [layer.name for layer in found.closed.layers]
    assert names.index("dense_dropout_2") == names.index("dense") + 1
    assert found.closed.get_layer("dense_dropout_2").rate == found.candidates.regularization(LAST).at(
        "dropout", "dense"
    )


# 7. A strength that is changed counts


def test_a_changed_strength_takes_effect() -> None:
    """Nothing is kept of a model's strengths: one that is changed after opening is in the table and in the search."""
    model = ZOO["with_dropout"].model()
    opened = fitwell.opened(model)
    assert opened.table["l2"].to_list() == [0.0, None, 0.0, 0.0]
    assert opened.table["dropout"].to_list() == [None, 0.3, 0.0, None]
    before = own_strengths(opened.network())
    model.layers[0].kernel_regularizer = keras.regularizers.L2(0.5)
    model.layers[1].rate = 0.4
    assert opened.table["l2"].to_list() == [0.5, None, 0.0, 0.0]
    assert opened.table["dropout"].to_list() == [None, 0.4, 0.0, None]
    after = own_strengths(opened.network())
    assert "l2" not in before
    np.testing.assert_array_equal(after["l2"], [0.5, 0, 0])
    np.testing.assert_array_equal(after["dropout"], [0.4, 0])
    candidates = model_candidates(opened.network(), Options(strengths=SETTINGS, refit="single"), 0.1)
    np.testing.assert_array_equal(candidates.strengths["l2"][candidates.given], [0.5, 0, 0])


@pytest.mark.slow
def test_penalties_that_are_not_searched_are_the_models_own() -> None:
    """With `penalise`, the penalties of the other layers act in the model as given, and nowhere else."""
    model = ZOO["nested_sequential"].model(rate=0.0)
    network = fitwell.opened(model, penalise=["out"]).network()
    assert network.layers.kernels == ("out",)
    inputs = ZOO["nested_sequential"].data()[0]

    def added(on_units: Any) -> Any:
        return network.apply(jax.tree.map(jnp.asarray, network.values), inputs, on_units)[0].added

    np.testing.assert_allclose(added(OWN), sum(model.losses), rtol=1e-9)
    assert added(ZERO) == 0
