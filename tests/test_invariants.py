"""The invariants of the design, each with a deliberate break beside it that is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from fitwell.data.columns import RawFeatures, describe_columns, extract
from fitwell.data.encoding import fit_encoding, make_layout, stack
from fitwell.data.row_weights import RowWeights
from fitwell.engine import noise
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Dataset, Settings, make_rows
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.optimizers import adam, make_schedule
from fitwell.engine.plan import Listener, Progress, Work
from fitwell.engine.program import Data, Program, State, Trace, lift
from fitwell.engine.stopping import Stopping
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import TrainingError
from fitwell.regularization.regularizer import Axes
from fitwell.regularization.strengths import Candidates
from fitwell.regularization.table import BUILT_IN
from fitwell.studies.search import made_for

EPOCHS, BATCH = 3, 8
ENGINES = {"jax": JaxExecutor, "numpy": NumpyExecutor}
ALL_ON = Candidates(
    {
        "l1": np.array([0, 1e-2, 0, 0, 0, 3e-2, 3e-3, 1e-3]),
        "l2": np.array([0, 0, 1e-2, 0, 0, 1e-3, 3e-2, 1e-1]),
        "dropout": np.array([0, 0, 0, 0.4, 0, 0.2, 0.5, 0.1]),
        "weight_dropout": np.array([0, 0, 0, 0, 0.3, 0.2, 0.1, 0.5]),
    },
    np.array([3e-3, 3e-3, 3e-3, 3e-3, 3e-3, 1e-2, 2e-3, 5e-2]),
)
ROUNDING = {"rtol": 1e-9, "atol": 1e-12}


def equal_bits(one: Any, other: Any) -> bool:
    """Whether two trees of arrays are the same to the last bit, NaN included."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def close(one: Any, other: Any, **tolerance: float) -> bool:
    """Whether two trees of arrays agree to rounding, NaN equal to NaN."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.allclose(a, b, equal_nan=True, **(tolerance or ROUNDING)) for a, b in pairs)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    """What trains: every invariant holds for all."""
    return ENGINES[request.param]


# 1. Alone or together


@dataclass(frozen=True)
class Alone:
    """One network trained by plain loops in NumPy float64: the ordinary way, to compare with.

    `weights[epoch][layer]` is a pair (kernel, bias) after that epoch; losses are of every epoch.
    """

    weights: list[list[tuple[np.ndarray, np.ndarray]]]
    train_loss: np.ndarray
    held_out_loss: np.ndarray


@partial(jax.jit, static_argnames="shape")
def uniform_of(numbers: tuple[int, ...], shape: tuple[int, ...]) -> jax.Array:
    """Noise of a key made by folding numbers in, one after the other."""
    key = noise.make_key(numbers[0])
    for number in numbers[1:]:
        key = noise.fold(key, number)
    return noise.uniform(key, shape)


@cache
def drawn(seed: int, row_set: int, *what: int, shape: tuple[int, ...]) -> np.ndarray:
    """Noise by the engine's keys: seed, row set, 1 for training, epoch, 0 for the order or 1 + step, ..."""
    return np.asarray(uniform_of((seed, row_set, 1, *what), shape))


def first_weights(network: DenseNetwork, seed: int, row_set: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The weights that every strength of a row set starts from, float64."""
    words = noise.fold(noise.fold(noise.make_key(seed), row_set), 0)
    with jax.enable_x64(True):
        layers = network.init(words, jnp.float64).trainable
    return [(np.asarray(layer["kernel"]), np.asarray(layer["bias"])) for layer in layers]


def forward(weights: Sequence[tuple[np.ndarray, np.ndarray]], inputs: np.ndarray) -> np.ndarray:
    """Logits [rows, k] of a ReLU network without noise."""
    values = inputs.T
    for kernel, bias in weights[:-1]:
        values = np.maximum(kernel @ values + bias, 0)
    return (weights[-1][0] @ values + weights[-1][1]).T


def mean_log_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """The textbook's formula."""
    return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets]).mean())


def train_alone(
    problem: Any,
    row_set: int,
    strength: dict[str, float],
    seed: int,
    *,
    noise_of: int | None = None,
    correct_bias: bool = True,
    soft_threshold: bool = True,
) -> Alone:
    """Train one network on one row set; the keywords break something on purpose."""
    inputs, targets = problem.dataset.inputs[row_set], problem.dataset.targets[row_set]
    rows, held_out = problem.row_sets.train[row_set], problem.row_sets.held_out[row_set]
    measured = np.random.default_rng([seed, row_set]).permutation(rows)[: len(held_out)]
    weights = first_weights(problem.network, seed, row_set)
    slow = [[np.zeros_like(leaf), np.zeros_like(leaf)] for pair in weights for leaf in pair]
    of = row_set if noise_of is None else noise_of
    most = int(problem.row_sets.n_train.max())
    result: dict[str, list[Any]] = {"weights": [], "train_loss": [], "held_out_loss": []}
    count = 0
    for epoch in range(EPOCHS):
        ranks = drawn(seed, of, epoch, 0, shape=(most,))[: len(rows)]
        order = rows[np.argsort(ranks, kind="stable")]
        for step in range(-(-most // BATCH)):
            batch = [order[(step * BATCH + place) % len(order)] for place in range(BATCH)]
            gradients = gradient(weights, inputs[batch], targets[batch], strength, (seed, of, epoch, 1 + step))
            count += 1
            for index, moved in enumerate(gradients):
                kernel = index % 2 == 0
                leaf = weights[index // 2][index % 2]
                if kernel and not soft_threshold:
                    moved = moved + strength["l1"] * np.sign(leaf)
                mean, square = slow[index]
                mean += 0.1 * (moved - mean)
                square += 0.001 * (moved**2 - square)
                corrections = (1 - 0.9**count, 1 - 0.999**count) if correct_bias else (1.0, 1.0)
                size = strength["learning_rate"] / (np.sqrt(square / corrections[1]) + 1e-8)
                leaf = leaf - size * mean / corrections[0]
                if kernel and soft_threshold:
                    leaf = np.sign(leaf) * np.maximum(abs(leaf) - size * strength["l1"], 0)
                pair = list(weights[index // 2])
                pair[index % 2] = leaf
                weights[index // 2] = (pair[0], pair[1])
        result["weights"].append(list(weights))
        result["train_loss"].append(mean_log_loss(forward(weights, inputs[measured]), targets[measured]))
        result["held_out_loss"].append(mean_log_loss(forward(weights, inputs[held_out]), targets[held_out]))
    return Alone(result["weights"], np.array(result["train_loss"]), np.array(result["held_out_loss"]))


def gradient(
    weights: Sequence[tuple[np.ndarray, np.ndarray]],
    inputs: np.ndarray,
    targets: np.ndarray,
    strength: dict[str, float],
    key: tuple[int, int, int, int],
) -> list[np.ndarray]:
    """Mean log loss plus L2, with both kinds of dropout, backpropagated by hand: kernel, bias, kernel, ..."""
    seed, row_set, epoch, step = key
    values, kept, seen = [inputs.T], [], []
    for number, (kernel, bias) in enumerate(weights):
        keep = 1 - strength["weight_dropout"]
        # the leaves of a layer are its bias, then its kernel
        mask = (drawn(seed, row_set, epoch, step, 1, 2 * number + 1, shape=kernel.shape) < keep) / keep
        seen.append((kernel * mask, mask))
        values.append(seen[-1][0] @ values[-1] + bias)
        if number < len(weights) - 1:
            keep = 1 - strength["dropout"]
            units = (drawn(seed, row_set, epoch, step, 2 + number, shape=values[-1].shape) < keep) / keep
            kept.append(units * (values[-1] > 0))
            values[-1] = values[-1] * kept[-1]
    chances = np.exp(values[-1]) / np.exp(values[-1]).sum(axis=0)
    way = (chances - (np.arange(len(chances))[:, None] == targets)) / len(targets)
    result: list[np.ndarray] = []
    for number in reversed(range(len(weights))):
        kernel, mask = seen[number]
        own = (way @ values[number].T) * mask + 2 * strength["l2"] * weights[number][0]
        result = [own, way.sum(axis=1, keepdims=True), *result]
        way = (kernel.T @ way) * kept[number - 1] if number else way
    return result


def strength_of(candidates: Candidates, g: int) -> dict[str, float]:
    """Candidate `g` as numbers, all regularizers named."""
    on = {name: float(values[g]) for name, values in candidates.strengths.items()}
    return {**on, "learning_rate": float(candidates.learning_rate[g])}


@pytest.fixture(scope="module")
def together(problem: Callable[..., Any], seed: int, engine: Any) -> tuple[Any, Trained]:
    """3 row sets times 8 strengths trained at once, float64."""
    case = problem(seed, dtype=np.float64, hidden=(6, 5))
    settings = Settings(epochs=EPOCHS, batch_size=BATCH, stopping=None, seed=seed, call_epochs=2, executor=engine)
    with jax.enable_x64(True):
        return case, train_all(*case[:3], ALL_ON, loss=case.loss, settings=settings)


def test_alone_or_together(together: tuple[Any, Trained], seed: int) -> None:
    """Each of 24 networks trained at once equals itself trained alone: curves, best epoch, weights."""
    case, trained = together
    histories = trained.histories
    assert {leaf.dtype for leaf in jax.tree.leaves(trained.best)} == {np.dtype(np.float64)}
    for g in range(ALL_ON.count):
        alone = [train_alone(case, r, strength_of(ALL_ON, g), seed) for r in range(case.row_sets.count)]
        means = np.mean([run.held_out_loss for run in alone], axis=0)
        assert histories.best_epoch[g] == 1 + means.argmin()
        np.testing.assert_allclose(histories.best_loss[g], means.min(), rtol=1e-9)
        for r, run in enumerate(alone):
            np.testing.assert_allclose(histories.train_loss[r, g], run.train_loss, rtol=1e-9)
            np.testing.assert_allclose(histories.held_out_loss[r, g], run.held_out_loss, rtol=1e-9)
            layers = jax.tree.map(lambda leaf, r=r: leaf[r], trained.variables(g).trainable)
            found = [(layer["kernel"], layer["bias"]) for layer in layers]
            assert close(found, run.weights[means.argmin()])
    assert len({*histories.best_epoch.tolist()}) > 1  # so that the comparison of best epochs could fail
    zeros = sum((layer["kernel"] == 0).sum(axis=(0, 2, 3)) for layer in trained.best.trainable)
    assert not zeros[ALL_ON.strengths["l1"] == 0].any()
    assert (zeros > 0).sum() > 1  # and so that the comparison of soft thresholds could


@pytest.mark.parametrize(
    "break_it",
    [
        *({"off": name} for name in ALL_ON.strengths),
        {"noise_of": 1},
        {"correct_bias": False},
        {"soft_threshold": False},
    ],
    ids=str,
)
def test_alone_or_together_can_fail(together: tuple[Any, Trained], seed: int, break_it: dict[str, Any]) -> None:
    """A network alone with one thing changed does not equal the one trained among others."""
    case, trained = together
    g, break_it = 5, dict(break_it)
    strength = strength_of(ALL_ON, g) | ({break_it.pop("off"): 0.0} if "off" in break_it else {})
    run = train_alone(case, 0, strength, seed, **break_it)
    assert not np.allclose(trained.histories.train_loss[0, g], run.train_loss, rtol=1e-7)


# 2. No leak


@dataclass(frozen=True)
class BatchNormNetwork:
    """Two dense layers with batch normalisation between them: moving statistics live in `state`."""

    inputs: int
    units: int
    outputs: int

    def init(self, key: jax.Array, dtype: Any) -> Variables:
        """Ordinary kernels; statistics of a standard normal distribution."""
        first, second = jax.random.split(jax.random.wrap_key_data(key))
        trainable = {
            "first": jax.random.normal(first, (self.inputs, self.units), dtype),
            "scale": jnp.ones((1, self.units), dtype),
            "second": jax.random.normal(second, (self.units, self.outputs), dtype),
        }
        return Variables(
            trainable, {"mean": jnp.zeros((1, self.units), dtype), "var": jnp.ones((1, self.units), dtype)}
        )

    def penalised(self, trainable: Any) -> Any:
        """The kernels, not the scale."""
        return {name: Axes() if name != "scale" else False for name in trainable}

    def decayed(self, trainable: Any) -> Any:
        """The same."""
        return self.penalised(trainable)

    def constrain(self, trainable: Any) -> Any:
        """Every value is allowed."""
        return trainable

    def apply(self, variables: Variables, inputs: jax.Array, on_units: Any) -> tuple[jax.Array, Any]:
        """Normalise by the batch in training, by the moving statistics in prediction."""
        weights, state = variables
        values = inputs @ weights["first"]
        if on_units:
            mean, var = values.mean(axis=0, keepdims=True), values.var(axis=0, keepdims=True)
            new = {"mean": 0.9 * state["mean"] + 0.1 * mean, "var": 0.9 * state["var"] + 0.1 * var}
            state, values = new, (values - mean) / jnp.sqrt(var + 1e-3)
        else:
            values = (values - state["mean"]) / jnp.sqrt(state["var"] + 1e-3)
        values = jax.nn.relu(values * weights["scale"])
        values = on_units(values, 0) if on_units else values
        return values @ weights["second"], state


Run = Callable[..., tuple[State, Trace]]


def lifted(case: Any, seed: int, network: Any = None) -> Run:
    """Compile the program for a problem's shapes; the result trains on any data and row sets of these."""
    program = Program(
        network=network or case.network,
        loss=case.loss,
        optimizer=adam(),
        schedule=make_schedule("constant", 1),
        regularizers=ALL_ON.regularizers,
        batch_size=BATCH,
        steps=4,
        call_epochs=EPOCHS,
    )
    key = noise.make_key(seed)
    values = {**ALL_ON.strengths, "learning_rate": ALL_ON.learning_rate}
    strength = {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
    epochs = jax.jit(lift(program.epochs, own_data=True))

    def start(row_set: jax.Array) -> State:
        return program.start(key, row_set, jnp.float32)

    def run(dataset: Dataset, rows: Any, first_weights_of: Any = None) -> tuple[State, Trace]:
        first = jax.vmap(start)(jnp.asarray(rows.id if first_weights_of is None else first_weights_of))
        shape = (ALL_ON.count,)
        state = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf[:, None], (leaf.shape[0], *shape, *leaf.shape[1:])), first
        )
        data = Data(dataset.inputs, dataset.targets, np.asarray(dataset.scale, np.float32) ** 2)
        return epochs(state, strength, rows, data, key, np.int32(0), np.int32(EPOCHS))

    return run


@pytest.fixture(scope="module", params=["dense", "batch normalisation"])
def leak_case(request: pytest.FixtureRequest, problem: Callable[..., Any], seed: int) -> tuple[Any, Run]:
    """A problem and its compiled program, without and with batch normalisation."""
    case = problem(seed)
    network = BatchNormNetwork(4, 6, 3) if request.param == "batch normalisation" else case.network
    return case, lifted(case, seed, network)


def perturb(dataset: Dataset, row_set: int, rows: np.ndarray, how: str) -> Dataset:
    """The same data with some rows of one row set changed."""
    inputs, targets = dataset.inputs.copy(), dataset.targets.copy()
    rng = np.random.default_rng(7)
    if how == "values":
        inputs[row_set, rows] = rng.normal(5, 3, size=inputs[row_set, rows].shape)
    elif how == "targets":
        targets[row_set, rows] = (targets[row_set, rows] + 1) % 3
    else:
        inputs[row_set, rows] = float(how)
    return replace(dataset, inputs=inputs, targets=targets)


@pytest.mark.parametrize("how", ["values", "targets", "nan", "inf"])
@pytest.mark.parametrize("row_set", [0, 2])
def test_no_leak(leak_case: tuple[Any, Run], seed: int, how: str, row_set: int) -> None:
    """Whatever held-out rows hold, the network after the last epoch and its training curve keep every bit."""
    case, run = leak_case
    rows = make_rows(case.row_sets, seed)
    changed = perturb(case.dataset, row_set, case.row_sets.held_out[row_set], how)
    state, trace = run(case.dataset, rows)
    other, other_trace = run(changed, rows)
    assert equal_bits(state.variables, other.variables)
    assert equal_bits((trace.train_loss, trace.train_metric), (other_trace.train_loss, other_trace.train_metric))
    assert not equal_bits(trace.held_out_loss[row_set], other_trace.held_out_loss[row_set])


def test_no_leak_can_fail(leak_case: tuple[Any, Run], seed: int) -> None:
    """A single held-out row among the training rows moves the network, and only that of its row set."""
    case, run = leak_case
    rows = make_rows(case.row_sets, seed)
    smuggled = rows._replace(train=rows.train.copy())
    smuggled.train[0, 3] = case.row_sets.held_out[0][2]
    changed = perturb(case.dataset, 0, case.row_sets.held_out[0], "values")
    state, other = (run(dataset, smuggled)[0].variables for dataset in (case.dataset, changed))
    first, rest = (jax.tree.map(lambda leaf, at=at: leaf[at], (state, other)) for at in (slice(0, 1), slice(1, None)))
    assert not equal_bits(*first)
    assert equal_bits(*rest)


def test_the_noise_of_a_row_set_is_its_own(leak_case: tuple[Any, Run], seed: int) -> None:
    """Row sets in another order train the same networks bit for bit if their ids go with them."""
    case, run = leak_case
    rows, order = make_rows(case.row_sets, seed), np.array([2, 0, 1])
    shared = replace(case.dataset, inputs=np.stack([case.dataset.inputs[0]] * 3))
    state, _ = run(shared, rows)
    moved = type(rows)(*(leaf[order] for leaf in rows))
    expected = jax.tree.map(lambda leaf: np.asarray(leaf)[order], state.variables)
    assert equal_bits(run(shared, moved)[0].variables, expected)
    others_noise = run(shared, moved._replace(id=rows.id), first_weights_of=moved.id)
    assert not equal_bits(others_noise[0].variables, expected)


def mixed_table(seed: int) -> RawFeatures:
    """Numbers with missing values, and categories with rare levels and missing values."""
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "size": [None if rng.random() < 0.2 else float(x) for x in rng.normal(3, 2, 41)],
            "weight": rng.gamma(2.0, size=41),
            "city": [None if x == 4 else "abcde"[x] for x in rng.integers(0, 5, 41)],
        }
    )
    return extract(frame, describe_columns(frame))


@pytest.mark.slow
def test_no_leak_through_encodings(problem: Callable[..., Any], seed: int) -> None:
    """Imputation, scaling and categories fitted per row set let no held-out row in; fitted on all they do."""
    case, raw = problem(seed), mixed_table(seed)
    columns = describe_columns(
        pl.DataFrame({"size": [1.5, None] * 20, "weight": [0.5, 1.5] * 20, "city": ["a", "b", "c", "d", None] * 8})
    )
    layout = make_layout(columns, raw)
    held_out = case.row_sets.held_out[0]
    rng = np.random.default_rng(seed + 1)
    changed = RawFeatures(raw.numbers.copy(), raw.codes.copy())
    changed.numbers[held_out] = np.where(rng.random((len(held_out), 2)) < 0.4, np.nan, 1e6)
    changed.codes[held_out] = rng.integers(0, 6, (len(held_out), 1))
    rows = make_rows(case.row_sets, seed)
    run = lifted(case, seed, DenseNetwork(layout.width, (5,), 3))

    def trained(raw: RawFeatures, fit_on: Sequence[np.ndarray]) -> Any:
        inputs = stack([fit_encoding(layout, raw, part) for part in fit_on], raw)
        state, trace = run(replace(case.dataset, inputs=inputs), rows)
        return jax.tree.map(lambda leaf: leaf[0], (state.variables, trace.train_loss))

    assert equal_bits(*(trained(table, case.row_sets.train) for table in (raw, changed)))
    assert not equal_bits(*(trained(table, [np.arange(41)] * 3) for table in (raw, changed)))


@pytest.mark.parametrize("sample_weight", [False, True], ids=["classes balanced", "rows weighted too"])
def test_no_leak_through_weights(problem: Callable[..., Any], seed: int, engine: Any, sample_weight: bool) -> None:
    """Balanced classes are counted among training rows: held-out rows of other classes and weights move no bit.

    Counted among all rows, as where losses are measured, they do.
    """
    case = problem(seed)
    held_out, rng = case.row_sets.held_out[0], np.random.default_rng(seed)
    classes, values = case.dataset.targets[0], rng.gamma(1.0, size=41) if sample_weight else np.ones(41)
    other, others = classes.copy(), values.copy()
    other[held_out], others[held_out] = 2, 5 * values[held_out]

    def trained(weights: RowWeights, among: Sequence[np.ndarray]) -> Any:
        assert weights.classes is not None
        train_weight = np.stack([weights.among(rows) for rows in among]).astype(np.float32)
        dataset = replace(
            case.dataset,
            targets=np.stack([weights.classes] * 3),
            weight=weights.measured.astype(np.float32),
            train_weight=train_weight,
        )
        # after one epoch that is the best one, whatever is held out
        settings = Settings(epochs=1, batch_size=BATCH, stopping=None, seed=seed, executor=engine)
        found = train_all(case.network, dataset, case.row_sets, ALL_ON, loss=case.loss, settings=settings)
        return jax.tree.map(lambda leaf: leaf[0], found.best)

    given = RowWeights(values, classes, {}), RowWeights(others, other, {})
    assert equal_bits(*(trained(weights, case.row_sets.train) for weights in given))
    assert not equal_bits(*(trained(weights, [np.arange(41)] * 3) for weights in given))


# 3. Placement does not matter, 6. one compilation

HALVING = Stopping(patience=100, rungs=(2, 4), kept=0.5, credit=0.0, finalists=2)


@pytest.fixture(scope="module")
def search(problem: Callable[..., Any], seed: int, engine: Any) -> Callable[..., Trained]:
    """Train the same 3 row sets times 8 strengths in float64, placed as asked; every placement once."""
    case = problem(seed, dtype=np.float64)

    @cache
    def run(stopping: Stopping | None = None, **placement: Any) -> Trained:
        settings = Settings(
            epochs=6, batch_size=BATCH, stopping=stopping, seed=seed, call_epochs=2, executor=engine, **placement
        )
        with jax.enable_x64(True):
            return train_all(*case[:3], ALL_ON, loss=case.loss, settings=settings)

    return run


def numbers(trained: Trained) -> Any:
    """All that a search found."""
    found = trained.histories
    return (
        trained.best,
        found.train_loss,
        found.held_out_loss,
        found.best_epoch,
        found.best_loss,
        found.row_loss,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "placement",
    [
        {"block_strengths": 2, "devices": 1},
        {"block_strengths": 4, "devices": 2},
        {"block_strengths": 8, "devices": 2},
    ],
    ids=str,
)
def test_placement_does_not_matter(search: Callable[..., Trained], placement: dict[str, int]) -> None:
    """Blocks of 2, 4 and 8 strengths on one device or two give the same numbers, to rounding in float64."""
    whole, cut = search(block_strengths=8, devices=1), search(**placement)
    assert (cut.plan.block_strengths, cut.plan.devices) == tuple(placement.values())
    assert close(numbers(whole), numbers(cut))


def test_the_same_cut_is_the_same_bits(
    problem: Callable[..., Any], search: Callable[..., Trained], seed: int, engine: Any
) -> None:
    """A search placed the same way a second time is the same bit for bit; with another seed it is not."""
    case = problem(seed, dtype=np.float64)

    def again(seed: int) -> Trained:
        settings = replace(two_at_a_time(seed), block_strengths=8, executor=engine)
        with jax.enable_x64(True):
            return train_all(*case[:3], ALL_ON, loss=case.loss, settings=settings)

    first = search(block_strengths=8, devices=1)
    assert equal_bits(numbers(again(seed)), numbers(first))
    assert not close(numbers(again(seed + 1)), numbers(first), rtol=1e-3)


def wave_memory(trained: Trained, strengths: int) -> int:
    """A budget with room for the state of so many strengths less than `trained` had in memory."""
    networks = trained.plan.row_sets * trained.plan.strengths
    variables = sum(leaf.nbytes for leaf in jax.tree.leaves(trained.best)) // networks
    return trained.plan.memory - trained.plan.row_sets * strengths * Work.STATE_COPIES * variables


def test_little_memory_gives_the_same_numbers(search: Callable[..., Trained]) -> None:
    """A search that must go in waves for want of memory keeps every bit, its blocks being the same."""
    blocks = search(block_strengths=2, devices=1)
    waves = search(block_strengths=2, devices=1, memory=wave_memory(blocks, 4))
    assert (len(blocks.plan.waves), len(waves.plan.waves)) == (1, 2)
    assert equal_bits(numbers(waves), numbers(blocks))


def test_a_later_wave_trains_to_its_end(search: Callable[..., Trained]) -> None:
    """With halving, every wave goes on with the better half of its own, whatever earlier waves reached."""
    waves = search(HALVING, block_strengths=2, devices=1, memory=wave_memory(search(block_strengths=2, devices=1), 4))
    assert len(waves.plan.waves) == 2
    for wave in waves.plan.waves:
        assert waves.histories.epochs[list(wave)].max() == 6


@pytest.mark.slow
@pytest.mark.parametrize("placement", [(2, 1), (4, 2)], ids=str)
def test_halving_changes_no_survivor(search: Callable[..., Trained], placement: tuple[int, int]) -> None:
    """What halving lets go on, repacked into fewer blocks, trains as if all had gone on."""
    size, devices = placement
    whole = search(block_strengths=size, devices=devices)
    halved = search(HALVING, block_strengths=size, devices=devices)
    epochs = halved.histories.epochs
    assert sorted(set(epochs.tolist())) == [2, 4, 6]
    for curve in ("train_loss", "held_out_loss", "train_metric", "held_out_metric"):
        full, cut = getattr(whole.histories, curve), getattr(halved.histories, curve)
        trained = np.arange(6) < epochs[:, None]
        assert np.isnan(cut[:, ~trained]).all()
        np.testing.assert_allclose(cut[:, trained], full[:, trained], **ROUNDING)
    survivors = np.flatnonzero(epochs == 6)
    kept = [jax.tree.map(lambda leaf: leaf[:, survivors], run.best) for run in (whole, halved)]
    assert close(*kept)


def test_halving_keeps_the_better_half(search: Callable[..., Trained]) -> None:
    """The strengths that leave at the first halving are the half with the worst best means so far."""
    whole, halved = search(block_strengths=2, devices=1), search(HALVING, block_strengths=2, devices=1)
    best_so_far = whole.histories.held_out_loss[:, :, :2].mean(axis=0).min(axis=1)
    worse_half = set(np.argsort(best_so_far)[4:].tolist()) - {0}
    assert set(np.flatnonzero(halved.histories.epochs == 2).tolist()) == worse_half


def two_at_a_time(seed: int) -> Settings:
    """Six epochs on one device, in blocks of two strengths."""
    return Settings(
        epochs=6,
        batch_size=BATCH,
        stopping=None,
        seed=seed,
        devices=1,
        block_strengths=2,
        call_epochs=2,
    )


class Compilations:
    """Counts the programs that XLA compiles, by JAX's own events."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def _hear(self, event: str, seconds: float, **details: Any) -> None:
        del seconds, details
        self.count += event == "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def compilations() -> Compilations:
    """A counter that has been listening from here on."""
    return Compilations()


@pytest.mark.slow
def test_one_compilation_for_a_search(problem: Callable[..., Any], compilations: Compilations, seed: int) -> None:
    """Waves, blocks, halving and repacking share one program: nothing is compiled once training has begun."""
    case, before = problem(seed), compilations.count
    settings = replace(two_at_a_time(seed), stopping=HALVING)
    counts: list[int] = []

    def listen(progress: Progress) -> None:
        del progress
        counts.append(compilations.count)

    memory = 0
    for _ in range(2):  # the first search shows how much memory one wave takes
        counts.clear()
        trained = train_all(
            *case[:3],
            ALL_ON,
            loss=case.loss,
            settings=replace(settings, memory=memory or None),
            listener=Listener(on_progress=listen),
        )
        memory = wave_memory(trained, 4)
    assert len(trained.plan.waves) == 2
    assert trained.plan.blocks == 4
    assert len(set(trained.histories.epochs.tolist())) > 1
    assert trained.compilations == 1
    assert len(counts) > 3
    assert len(set(counts)) == 1
    assert counts[0] > before
    jax.jit(lambda x: x * 3 + seed)(np.float32(1))
    assert compilations.count > counts[-1]  # the counter does hear a compilation


# 4. Zero is off


@pytest.mark.slow
def test_zero_is_off(problem: Callable[..., Any], seed: int, engine: Any) -> None:
    """A search with all regularizers at zero equals one that has none; a step away from zero does not."""
    case = problem(seed, dtype=np.float64)
    settings = replace(two_at_a_time(seed), epochs=EPOCHS, block_strengths=8, executor=engine)

    def run(strengths: dict[str, np.ndarray]) -> Any:
        candidates = Candidates(strengths, ALL_ON.learning_rate)
        network = made_for(case.network, candidates)
        with jax.enable_x64(True):
            trained = train_all(network, *case[1:3], candidates, loss=case.loss, settings=settings)
        best, *others = numbers(trained)
        layers, ends = best.trainable[: len(case.network.hidden) + 1], best.trainable[len(case.network.hidden) + 1 :]
        learned = np.any(strengths.get("input_scaling", 0))
        assert all(bool(np.any(end["scales"] != 1)) == learned for end in ends)  # else they multiply nothing
        return layers, *others

    tight = {"rtol": 1e-12, "atol": 1e-14}
    without = run({})
    assert close(run({name: np.zeros(8) for name in BUILT_IN}), without, **tight)
    for name in BUILT_IN:
        one_on = {other: np.full(8, 1e-4 if other == name else 0.0) for other in BUILT_IN}
        assert not close(run(one_on), without, **tight), name


# 5. One bad run harms no other


@pytest.fixture(scope="module")
def with_third(problem: Callable[..., Any], seed: int, engine: Any) -> Callable[[float], Trained]:
    """Four strengths whose third has this learning rate, float32."""
    case = problem(seed)

    @cache
    def run(learning_rate: float) -> Trained:
        chosen = ALL_ON.take([0, 5, 6, 7])
        rates = np.array([3e-3, 1e-2, learning_rate, 2e-2])
        candidates = replace(chosen, learning_rate=rates)
        settings = replace(two_at_a_time(seed), executor=engine)
        return train_all(*case[:3], candidates, loss=case.loss, settings=settings)

    return run


def test_one_bad_run_harms_no_other(with_third: Callable[[float], Trained]) -> None:
    """A strength that diverges is marked, ranked last and leaves; its neighbours keep every bit."""
    good, bad = with_third(2e-3), with_third(1e30)
    assert not good.histories.diverged.any()
    assert bad.histories.diverged.tolist() == [[False, False, True, False]] * 3
    assert np.isinf(bad.histories.best_loss[2])
    assert bad.histories.order[-1] == 2
    assert bad.histories.epochs.tolist() == [6, 6, 2, 6]
    others = np.array([0, 1, 3])

    def of(trained: Trained, strengths: np.ndarray) -> Any:
        found = trained.histories
        curves = (found.train_loss, found.held_out_loss, found.train_metric, found.held_out_metric)
        by_second = jax.tree.map(lambda leaf: leaf[:, strengths], (trained.best, curves))
        return by_second, found.best_loss[strengths], found.best_epoch[strengths], found.row_loss[strengths]

    assert equal_bits(of(good, others), of(bad, others))
    assert not equal_bits(of(good, np.array([2])), of(bad, np.array([2])))


@pytest.mark.slow
def test_all_bad_is_an_error(problem: Callable[..., Any], seed: int, engine: Any) -> None:
    """A search of which nothing is left says so in a sentence."""
    case, chosen = problem(seed), replace(ALL_ON.take([0, 1]), learning_rate=np.full(2, 1e30))
    with pytest.raises(TrainingError, match=r"All 6 networks diverged.*lower the learning rate"):
        train_all(*case[:3], chosen, loss=case.loss, settings=replace(two_at_a_time(seed), executor=engine))
