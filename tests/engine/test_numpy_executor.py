"""NumPy as an executor: the numbers of JAX's program, and the same bits however strengths are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from measuring_executors import check_measured

from fitwell.engine import fused_training
from fitwell.engine.executor import Epochs, Job
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Settings
from fitwell.engine.network import Variables
from fitwell.engine.numpy_executor import (
    NumpyBlock,
    NumpyExecutor,
    plain_schedule,
    why_not,
)
from fitwell.engine.optimizers import adam, make_schedule, sgd
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import InputError, TrainingError
from fitwell.regularization.strengths import Candidates
from fitwell.regularization.table import L2

ON = Candidates(
    {
        "l1": np.array([0, 1e-2, 0, 3e-3, 0]),
        "l2": np.array([0, 0, 1e-2, 3e-2, 1e-1]),
        "dropout": np.array([0, 0.4, 0, 0.2, 0.5]),
        "weight_dropout": np.array([0, 0, 0.3, 0.2, 0]),
        "weight_decay": np.array([0, 0.5, 0, 0.1, 2.0]),
    },
    np.array([3e-3, 1e-2, 3e-3, 2e-3, 5e-2]),
)
BY_LAYER = Candidates(
    {
        "l1": np.array([[0, 0, 0], [0.01, 0, 0.03]]),
        "l2": np.array([[0, 0, 0], [0, 0.1, 0.2]]),
        "dropout": np.array([[0, 0], [0.1, 0.5]]),
        "weight_decay": np.array([[0, 0, 0], [1, 0, 0.5]]),
    },
    np.array([3e-3, 1e-2]),
)

SCALED = Candidates({**ON.strengths, "input_scaling": np.array([0, 3.0, 0, 8.0, 1.0])}, ON.learning_rate)
# named before L1, which all the same comes first
GROUPED = Candidates({"l1_inputs": np.array([0, 0.3, 0.01, 0, 0.1]), **ON.strengths}, ON.learning_rate)


def settings(seed: int, **others: Any) -> Settings:
    """Six epochs, in calls of two."""
    return Settings(**{"epochs": 6, "batch_size": 8, "stopping": None, "seed": seed, "call_epochs": 2, **others})


def numbers(trained: Trained) -> list[np.ndarray]:
    """All that a search found."""
    found = trained.histories
    curves = [found.train_loss, found.held_out_loss, found.train_metric, found.held_out_metric]
    sums = found.records.sums if found.records else ()
    return [*jax.tree.leaves(trained.best), *curves, found.best_epoch, found.best_loss, found.row_loss, *sums]


def by(executor: Any, case: Any, candidates: Candidates, chosen: Settings) -> Trained:
    """Train with an executor."""
    with jax.enable_x64(case.dataset.dtype == np.float64):
        return train_all(*case[:3], candidates, loss=case.loss, settings=replace(chosen, executor=executor))


@pytest.mark.parametrize(
    ("kind", "candidates", "others"),
    [
        pytest.param({}, ON, {"units": np.arange(41)}, id="classes, losses of rows"),
        pytest.param({"regression": True}, ON, {"schedule": "cosine", "schedule_epochs": 4}, id="values, cosine"),
        pytest.param({"own": False, "hidden": ()}, ON, {}, id="shared data, linear"),
        pytest.param({"hidden": (6, 5)}, BY_LAYER, {}, id="by layer"),
        pytest.param({}, SCALED, {"schedule": "cooldown"}, id="learned scales, cooldown"),
        pytest.param({}, GROUPED, {}, id="whole columns"),
        pytest.param({"regression": True, "hidden": ()}, GROUPED, {}, id="whole columns, linear"),
        pytest.param({"hidden": (6, 5)}, Candidates({}, np.array([1e-3, 1e-2])), {}, id="nothing searched"),
    ],
)
def test_the_numbers_are_jaxs(
    problem: Callable[..., Any], seed: int, kind: dict[str, Any], candidates: Candidates, others: dict[str, Any]
) -> None:
    """Weights, curves, best epochs, losses of rows: in float64 to 1e-10."""
    case = problem(seed, dtype=np.float64, **kind)
    columns = tuple(number // 2 for number in range(case.network.inputs)) if candidates is GROUPED else ()
    case = case._replace(network=replace(case.network, scaled=candidates is SCALED, groups=columns))
    chosen = settings(seed, **others)
    ours, theirs = (by(executor, case, candidates, chosen) for executor in (NumpyExecutor, JaxExecutor))
    for mine, other in zip(numbers(ours), numbers(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)
    with jax.enable_x64(True):
        predicted = [run.held_out_predictions([1, 0]) for run in (ours, theirs)]
    np.testing.assert_allclose(*predicted, rtol=1e-10, atol=1e-12)
    another = by(NumpyExecutor, case, candidates, replace(chosen, seed=seed + 1))
    assert not np.allclose(another.histories.train_loss, theirs.histories.train_loss, rtol=1e-3)


def with_counts(case: Any, seed: int) -> Any:
    """A problem whose rows do not count alike, some of them nothing."""
    rng = np.random.default_rng(seed)
    rows, dtype = case.dataset.rows, case.dataset.dtype
    weight, train_weight = rng.gamma(1.0, size=rows), rng.gamma(1.0, size=(case.row_sets.count, rows))
    weight[::4], train_weight[:, ::3] = 0, 0
    dataset = replace(case.dataset, weight=weight.astype(dtype), train_weight=train_weight.astype(dtype))
    return case._replace(dataset=dataset)


@pytest.mark.parametrize(
    "kind", [{}, {"regression": True}, {"own": False, "hidden": ()}], ids=["classes", "values", "shared data, linear"]
)
def test_weighted_numbers_are_jaxs(problem: Callable[..., Any], seed: int, kind: dict[str, Any]) -> None:
    """In float64 to 1e-10, losses of units included; without the weights in training, or where measured, not."""
    case, chosen = with_counts(problem(seed, dtype=np.float64, **kind), seed), settings(seed, units=np.arange(41) // 2)
    ours, theirs = (by(executor, case, ON, chosen) for executor in (NumpyExecutor, JaxExecutor))
    for mine, other in zip(numbers(ours), numbers(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)
    for left_out in ("weight", "train_weight"):
        without = case._replace(dataset=replace(case.dataset, **{left_out: None}))
        found = by(NumpyExecutor, without, ON, chosen).histories.held_out_loss
        assert not np.allclose(found, theirs.histories.held_out_loss, rtol=1e-3)


@pytest.mark.usefixtures("either")
def test_weights_of_one_are_none(problem: Callable[..., Any], seed: int) -> None:
    """Bit for bit what is trained, and to rounding what is measured: so no row's weight enters by another road."""
    case = problem(seed)
    ones = replace(case.dataset, weight=np.ones(41, np.float32), train_weight=np.ones((3, 41), np.float32))
    one, other = (by(NumpyExecutor, each, ON, settings(seed, epochs=1)) for each in (case, case._replace(dataset=ones)))
    for mine, theirs in zip(jax.tree.leaves(one.best), jax.tree.leaves(other.best), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(one.histories.held_out_loss, other.histories.held_out_loss, rtol=1e-12)


@pytest.mark.parametrize("executor", [NumpyExecutor, JaxExecutor])
def test_a_row_of_no_weight_may_be_far_out(problem: Callable[..., Any], seed: int, executor: Any) -> None:
    """Its loss is infinite in float32, and neither the network nor a mean notices; with a weight both do."""
    case, chosen = problem(seed, regression=True), settings(seed, units=np.arange(41))
    counts = np.ones(41, np.float32)
    counts[[3, 7]] = 0

    def found(far: float, weights: np.ndarray) -> Trained:
        targets = case.dataset.targets.copy()
        targets[:, [3, 7]] = far
        dataset = replace(case.dataset, targets=targets, weight=weights, train_weight=np.stack([weights] * 3))
        return by(executor, case._replace(dataset=dataset), ON.take([0]), chosen)

    near, far = found(0.0, counts), found(1e30, counts)
    np.testing.assert_array_equal(near.histories.held_out_loss, far.histories.held_out_loss)
    np.testing.assert_array_equal(near.histories.train_loss, far.histories.train_loss)
    assert far.histories.records is not None
    assert all(np.isfinite(sums).all() for sums in far.histories.records.sums)
    with pytest.raises(TrainingError, match="diverged"):
        found(1e30, np.ones(41, np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "silu"])
def test_other_activations(problem: Callable[..., Any], seed: int, activation: str) -> None:
    """They train as in JAX, too."""
    case = problem(seed, dtype=np.float64)
    case = case._replace(network=replace(case.network, activation=activation))
    ours, theirs = (by(executor, case, ON, settings(seed)) for executor in (NumpyExecutor, JaxExecutor))
    for mine, other in zip(numbers(ours), numbers(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)


@pytest.fixture(params=["in C", "in NumPy"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trains in float32."""
    if request.param == "in NumPy":
        monkeypatch.setattr(fused_training, "library", lambda: None)
    elif fused_training.library() is None:
        pytest.skip("fitwell was installed without a C compiler")


@pytest.mark.slow
@pytest.mark.usefixtures("either")
def test_in_float32_losses_agree(problem: Callable[..., Any], seed: int) -> None:
    """To 1e-5, and nothing becomes float64 on the way."""
    case = problem(seed)
    ours, theirs = (by(executor, case, ON, settings(seed)) for executor in (NumpyExecutor, JaxExecutor))
    np.testing.assert_allclose(ours.histories.held_out_loss, theirs.histories.held_out_loss, rtol=1e-5)
    assert {leaf.dtype for leaf in jax.tree.leaves(ours.best)} == {np.dtype(np.float32)}


@pytest.mark.slow
@pytest.mark.parametrize("equal_steps", [False, True])
def test_unequal_row_sets(problem: Callable[..., Any], seed: int, equal_steps: bool) -> None:
    """Row sets of very different size take the steps of their own epochs, or as many as the largest, as in JAX."""
    case = problem(seed, dtype=np.float64)
    sets = case.row_sets
    case = case._replace(row_sets=replace(sets, train=(sets.train[0][:9], *sets.train[1:])))
    chosen = settings(seed, equal_steps=equal_steps)
    ours, theirs = (by(executor, case, ON, chosen) for executor in (NumpyExecutor, JaxExecutor))
    for mine, other in zip(numbers(ours), numbers(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_a_refit_and_given_weights(problem: Callable[..., Any], seed: int) -> None:
    """Without held-out rows the last epoch is kept; training goes on from the weights that are given."""
    case = problem(seed, dtype=np.float64)
    everything = np.arange(41, dtype=np.int32)
    sets = replace(case.row_sets, train=(everything,) * 3, held_out=(everything[:0],) * 3)
    case = case._replace(row_sets=sets)
    first = by(NumpyExecutor, case, ON, settings(seed))
    weights = Variables([{name: leaf[:, 0] for name, leaf in layer.items()} for layer in first.best.trainable], ())
    case = case._replace(dataset=replace(case.dataset, first=weights))
    ours, theirs = (by(executor, case, ON, settings(seed)) for executor in (NumpyExecutor, JaxExecutor))
    assert ours.histories.best_epoch.tolist() == [6] * 5
    for mine, other in zip(jax.tree.leaves(ours.best), jax.tree.leaves(theirs.best), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)
        assert not np.allclose(mine[:, 1], 0)


def same_bits(one: Trained, other: Trained, strengths: Any = slice(None)) -> bool:
    """Whether `one` is that part of `other`, to the last bit."""
    found, whole = one.histories, other.histories
    pairs = [
        *((a, b[:, strengths]) for a, b in zip(jax.tree.leaves(one.best), jax.tree.leaves(other.best), strict=True)),
        (found.held_out_loss, whole.held_out_loss[:, strengths]),
        (found.train_loss, whole.train_loss[:, strengths]),
        (found.row_loss, whole.row_loss[strengths]),
    ]
    return all(a.tobytes() == np.ascontiguousarray(b).tobytes() for a, b in pairs)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize(
    "placement", [{"block_strengths": 1}, {"block_strengths": 2, "devices": 1}, {"devices": 2}, {}], ids=str
)
def test_placement_changes_no_bit(problem: Callable[..., Any], seed: int, placement: dict[str, int]) -> None:
    """However strengths are cut into blocks, on one thread or two: in float32, bit for bit."""
    case = problem(seed, hidden=(40, 30))
    whole = by(NumpyExecutor, case, ON, settings(seed, block_strengths=5))
    assert same_bits(by(NumpyExecutor, case, ON, settings(seed, **placement)), whole)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("g", range(1, 5))
def test_alone_is_among_others_bit_for_bit(problem: Callable[..., Any], seed: int, g: int) -> None:
    """A strength with the unregularized network for company is what it is among five; with another rate it is not."""
    case, chosen = problem(seed, hidden=(40, 30)), ON.take([0, g])
    whole = by(NumpyExecutor, case, ON, settings(seed))
    assert same_bits(by(NumpyExecutor, case, chosen, settings(seed)), whole, [0, g])
    other = replace(chosen, learning_rate=chosen.learning_rate * 2)
    assert not same_bits(by(NumpyExecutor, case, other, settings(seed)), whole, [0, g])


@pytest.fixture(scope="module")
def executor(problem: Callable[..., Any], seed: int) -> NumpyExecutor:
    """Five strengths in blocks of two."""
    case = problem(seed)
    chosen = settings(seed, block_strengths=2, units=np.arange(41))
    return NumpyExecutor(Job(case.network, case.dataset, case.row_sets, ON, case.loss), chosen)


def trained(executor: NumpyExecutor, blocks: list[NumpyBlock], first: int, count: int) -> tuple[Any, list[Epochs]]:
    """Train all blocks."""
    blocks_after, given = executor.advance(blocks, first, count)
    return blocks_after, list(given)


def test_start(executor: NumpyExecutor) -> None:
    """All strengths start alike, in blocks of nearly one size; nothing is compiled."""
    blocks = executor.start(np.arange(5))
    assert [block.numbers.tolist() for block in blocks] == [[0, 1], [2, 3], [4]]
    assert all(np.array_equal(block.weights[:, [0]], blocks[0].weights[:, [0]]) for block in blocks)
    assert (executor.compilations, executor.compile_seconds, executor.plan.seconds) == (0, 0, 0)
    assert (executor.plan.steps, executor.plan.block_strengths) == (4, 2)


def test_repacking_changes_no_bit(executor: NumpyExecutor) -> None:
    """Strengths that go on are moved with all that they are; none is none."""
    blocks, _ = trained(executor, executor.start(np.arange(5)), 0, 2)
    some = executor.repack(blocks, np.array([1, 2, 4]))
    assert [block.numbers.tolist() for block in some] == [[1, 2], [4]]
    expected, _ = trained(executor, blocks, 2, 2)
    moved, _ = trained(executor, some, 2, 2)
    assert np.array_equal(moved[0].weights[:, 0], expected[0].weights[:, 1])
    assert np.array_equal(moved[0].best[:, 1], expected[1].best[:, 0])
    assert np.array_equal(moved[1].weights, expected[2].weights)
    assert not np.array_equal(moved[0].weights[:, 0], expected[0].weights[:, 0])
    assert executor.repack(blocks, np.array([], int)) == []


def test_read_and_measure(executor: NumpyExecutor, problem: Callable[..., Any], seed: int) -> None:
    """Variables at the best epochs in the order asked for; outputs and losses are the network's own."""
    blocks, _ = trained(executor, executor.start(np.arange(5)), 0, 2)
    best = executor.read(blocks, np.array([4, 0, 3]))
    np.testing.assert_array_equal(best.trainable[0]["kernel"][:, 0], best_kernel(executor, blocks, 4))
    np.testing.assert_array_equal(best.trainable[0]["kernel"][:, 2], best_kernel(executor, blocks, 3))
    parts = list(executor.measure(best))
    assert np.concatenate([part.places for part in parts]).tolist() == [0, 1, 2]
    check_measured(problem(seed), best, parts)


def best_kernel(executor: NumpyExecutor, blocks: list[NumpyBlock], g: int) -> np.ndarray:
    """The first kernel at the best epoch of a strength, [R, units, d]."""
    block = next(block for block in blocks if g in block.numbers)
    return executor.layout.layers(block.best)[0][0][:, block.numbers.tolist().index(g)]


def test_no_leak(problem: Callable[..., Any], seed: int) -> None:
    """Whatever held-out rows hold, weights and training losses keep every bit; a smuggled row moves its row set."""
    case = problem(seed)
    held_out = case.row_sets.held_out[0]
    inputs = case.dataset.inputs.copy()
    inputs[0, held_out] = np.nan

    def last(dataset: Any, smuggled: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
        job = Job(case.network, dataset, case.row_sets, ON, case.loss)
        made = NumpyExecutor(job, settings(seed, block_strengths=5))
        made.rows.train[0, : len(smuggled)] = smuggled
        (block,), given = made.advance(made.start(np.arange(5)), 0, 3)
        return block.weights, next(iter(given)).curves[0]

    clean, changed = case.dataset, replace(case.dataset, inputs=inputs)
    for one, other in zip(last(clean), last(changed), strict=True):
        assert one.tobytes() == other.tobytes()
    (one, _), (other, _) = (last(dataset, smuggled=(held_out[2],)) for dataset in (clean, changed))
    assert not np.array_equal(one[0], other[0])
    assert one[1:].tobytes() == other[1:].tobytes()


def test_what_numpy_cannot_train(problem: Callable[..., Any], seed: int) -> None:
    """Each is named, and refused with a sentence where NumPy was asked for."""
    case = problem(seed)
    job, plain = Job(case.network, case.dataset, case.row_sets, ON, case.loss), settings(seed)
    own = replace(L2, name="mine")
    mine = replace(ON, strengths={"mine": np.array([0.0, 0.1])}, learning_rate=np.ones(2), table={"mine": own})
    cases = [
        (replace(job, network=object()), plain, "this network"),
        (replace(job, loss=replace(case.loss, name="mine")), plain, "the loss 'mine'"),
        (job, replace(plain, optimizer=sgd()), "the optimizer 'sgd'"),
        (job, replace(plain, optimizer=adam(b1=0.5)), "the optimizer 'adam'"),
        (job, replace(plain, schedule=lambda step: step), "a schedule of your own"),
        (replace(job, candidates=replace(ON, own=np.zeros(5))), plain, "regularization of its own"),
        (replace(job, candidates=mine), plain, "the regularizer 'mine'"),
    ]
    assert why_not(job, plain) == ""
    for asked, how, reason in cases:
        assert reason in why_not(asked, how)
        with pytest.raises(InputError, match=reason):
            NumpyExecutor(asked, how)


@pytest.mark.parametrize("step", [0, 3, 10, 15])
def test_schedules_are_jaxs(step: int) -> None:
    """The same factors by the number of the step, also beyond the schedule's end."""
    chosen = Settings(epochs=5, schedule="cosine", schedule_epochs=3)
    for name in ("cosine", "cooldown"):
        expected = pytest.approx(float(make_schedule(name, 12)(step)), abs=1e-6)
        assert plain_schedule(replace(chosen, schedule=name), 4)(step) == expected
    assert plain_schedule(replace(chosen, schedule="constant"), 4)(step) == 1
