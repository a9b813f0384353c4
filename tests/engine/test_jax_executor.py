"""JAX as an executor: strengths move in and out of programs of one shape without a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from measuring_executors import check_measured

from fitwell.engine.executor import Epochs, Job
from fitwell.engine.jax_executor import JaxBlock, JaxExecutor
from fitwell.engine.job import Settings
from fitwell.regularization.strengths import Candidates

CANDIDATES = Candidates({"l2": np.array([0, 0.01, 0.1, 0.2, 0.3])}, np.array([0.01, 0.02, 0.03, 0.02, 0.01]))


@pytest.fixture(scope="module")
def executor(problem: Callable[..., Any], seed: int) -> JaxExecutor:
    """Five strengths in blocks of two, over two devices."""
    case = problem(seed)
    settings = Settings(epochs=4, batch_size=8, call_epochs=2, block_strengths=2, seed=seed, units=np.arange(41))
    made = JaxExecutor(Job(case.network, case.dataset, case.row_sets, CANDIDATES, case.loss), settings)
    assert (made.plan.steps, made.plan.devices, made.plan.seconds, made.compile_seconds) == (4, 2, 0, 0)
    return made


def kernels(blocks: list[JaxBlock]) -> dict[int, np.ndarray]:
    """The first kernel [R, units, d] of every strength."""
    leaves = [np.asarray(block.state.variables.trainable[0]["kernel"]) for block in blocks]
    return {
        g: leaf[:, place] for leaf, block in zip(leaves, blocks, strict=True) for place, g in enumerate(block.numbers)
    }


def advance(executor: JaxExecutor, blocks: list[JaxBlock], first: int, count: int) -> list[JaxBlock]:
    """Train all blocks."""
    return executor.advance(blocks, first, count)[0]


def advance_one(executor: JaxExecutor, block: JaxBlock, first: int, count: int) -> tuple[JaxBlock, Epochs]:
    """Train one block."""
    (trained,), given = executor.advance([block], first, count)
    (epochs,) = given
    return trained, epochs


@pytest.mark.slow
def test_start(executor: JaxExecutor) -> None:
    """Blocks have one shape, the last filled up with repeats that do not count; all strengths start alike."""
    blocks = executor.start(np.arange(5))
    assert [block.strengths.tolist() for block in blocks] == [[0, 1], [2, 3], [4, 4]]
    assert [block.numbers.tolist() for block in blocks] == [[0, 1], [2, 3], [4]]
    first = kernels(blocks)
    assert all(np.array_equal(kernel, first[0]) for kernel in first.values())
    assert np.asarray(blocks[1].values["l2"]).tolist() == pytest.approx([0.1, 0.2])
    assert np.asarray(blocks[1].values["learning_rate"]).tolist() == pytest.approx([0.03, 0.02])


@pytest.mark.slow
def test_strengths_are_spread_over_the_devices(executor: JaxExecutor) -> None:
    """Each device holds its share of a block's strengths, for all row sets, before and after training."""
    blocks = executor.start(np.arange(4))
    blocks[1], _ = advance_one(executor, blocks[1], 0, 1)
    for block in blocks:
        shards = block.state.best_loss.addressable_shards
        assert {shard.device for shard in shards} == set(jax.local_devices())
        assert [shard.data.shape for shard in shards] == [(3, 1), (3, 1)]


@pytest.mark.slow
def test_repacking_changes_no_number(executor: JaxExecutor) -> None:
    """Strengths moved into other blocks take all along that they are, and train on to the same numbers."""
    whole = advance(executor, executor.start(np.arange(5)), 0, 2)
    some = executor.repack(whole, np.array([1, 2, 4]))
    assert [block.strengths.tolist() for block in some] == [[1, 2], [4, 4]]
    assert [block.count for block in some] == [2, 1]
    before, after = kernels(whole), kernels(some)
    assert all(np.array_equal(after[g], before[g]) for g in (1, 2, 4))
    expected = kernels(advance(executor, whole, 2, 2))
    trained = kernels(advance(executor, some, 2, 2))
    for g in (1, 2, 4):
        np.testing.assert_allclose(trained[g], expected[g], rtol=1e-5, atol=1e-7)
        assert not np.allclose(trained[g], before[g], rtol=1e-3)


@pytest.mark.slow
def test_repacking_none(executor: JaxExecutor) -> None:
    """When no strength goes on there are no blocks."""
    assert executor.repack(executor.start(np.arange(2)), np.array([], int)) == []


@pytest.mark.slow
def test_advance(executor: JaxExecutor) -> None:
    """A call trains as many epochs as asked for, and two calls of one are one call of two."""
    once, both = advance_one(executor, executor.start(np.arange(2))[0], 0, 2)
    half, first = advance_one(executor, executor.start(np.arange(2))[0], 0, 1)
    twice, second = advance_one(executor, half, 1, 1)
    assert both.curves.shape == (4, 3, 2, 2)
    assert np.isfinite(both.curves).all()
    np.testing.assert_array_equal(np.concatenate([first.curves, second.curves], axis=-1), both.curves)
    np.testing.assert_array_equal(second.best_loss, both.best_loss)
    np.testing.assert_array_equal(second.best_epoch, both.best_epoch)
    assert np.array_equal(kernels([once])[1], kernels([twice])[1])


@pytest.mark.slow
def test_what_epochs_gave(executor: JaxExecutor, problem: Callable[..., Any], seed: int) -> None:
    """The mean of the rows' losses is the curve, and the lowest mean over row sets the best so far."""
    (_, last), given = executor.advance(executor.start(np.arange(3)), 0, 2)
    _, epochs = given
    assert last.numbers.tolist() == [2]
    assert epochs.curves.shape == (4, 3, 1, 2)  # repeats that fill a block up are not there
    assert epochs.row_loss is not None
    for r, held_out in enumerate(problem(seed).row_sets.held_out):
        mean = epochs.row_loss[r, 0, :, : len(held_out)].mean(axis=-1)
        np.testing.assert_allclose(mean, epochs.curves[1, r, 0], rtol=1e-5)
    lowest = epochs.curves[1, :, 0].mean(axis=0)
    assert epochs.best_loss == pytest.approx(lowest.min(), rel=1e-5)
    assert epochs.best_epoch == lowest.argmin() + 1


@pytest.mark.slow
def test_read(executor: JaxExecutor) -> None:
    """Variables of the best epochs come in the order that was asked for, from whichever block."""
    blocks = advance(executor, executor.start(np.arange(5)), 0, 2)
    read = executor.read(blocks, np.array([4, 0, 3]))
    assert isinstance(jax.tree.leaves(read)[0], np.ndarray)
    best = [np.asarray(block.state.best.trainable[0]["kernel"]) for block in blocks]
    expected = np.stack([best[2][:, 0], best[0][:, 0], best[1][:, 1]], axis=1)
    np.testing.assert_array_equal(read.trainable[0]["kernel"], expected)
    assert not np.array_equal(expected, expected[:, ::-1])  # the break: another order is another answer


@pytest.mark.slow
def test_measure(executor: JaxExecutor, problem: Callable[..., Any], seed: int) -> None:
    """Outputs and losses of any number of networks are the network's own on the held-out rows."""
    case = problem(seed)
    block, _ = advance_one(executor, executor.start(np.arange(2))[0], 0, 2)
    best = jax.tree.map(lambda leaf: np.asarray(leaf)[:, [0, 1, 1]], block.state.variables)
    parts = list(executor.measure(best))
    assert [part.places.tolist() for part in parts] == [[0, 1], [2]]
    outputs, losses = (np.concatenate([part[i] for part in parts], axis=1) for i in (1, 2))
    assert outputs.shape == (3, 3, 14, 3)
    assert losses.shape == (3, 3, 14)
    check_measured(case, best, parts)


@pytest.mark.slow
def test_one_tracing(executor: JaxExecutor) -> None:
    """Whatever blocks were trained above, the program was traced once."""
    advance(executor, executor.start(np.arange(5)), 0, 1)
    assert executor.compilations == 1
