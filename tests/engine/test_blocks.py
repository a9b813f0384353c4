"""Blocks: strengths move in and out of programs of one shape without a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from fitwell.engine.blocks import Block, Compiled
from fitwell.engine.optimizers import adam, make_schedule
from fitwell.engine.plan import Work, make_plan
from fitwell.engine.program import Program
from fitwell.engine.run import make_rows
from fitwell.regularization.strengths import Candidates

CANDIDATES = Candidates({"l2": np.array([0, 0.01, 0.1, 0.2, 0.3])}, np.array([0.01, 0.02, 0.03, 0.02, 0.01]))


@pytest.fixture(scope="module")
def compiled(problem: Callable[..., Any], seed: int) -> Compiled:
    """Five strengths in blocks of two, over two devices."""
    case = problem(seed)
    program = Program(
        network=case.network,
        loss=case.loss,
        optimizer=adam(),
        schedule=make_schedule("constant", 1),
        regularizers=("l2",),
        batch_size=8,
        steps=4,
        call_epochs=2,
    )
    plan = make_plan(
        row_sets=3,
        strengths=5,
        epochs=4,
        steps=4,
        batch_size=8,
        devices=2,
        work=Work(1, 1, 1),
        data_bytes=0,
        budget=2**30,
        block_strengths=2,
    )
    rows = make_rows(case.row_sets, seed)
    return Compiled(program, plan, case.dataset, rows, CANDIDATES, seed, jax.local_devices())


def kernels(blocks: list[Block]) -> dict[int, np.ndarray]:
    """The first kernel [R, units, d] of every strength."""
    leaves = [np.asarray(block.state.variables.trainable[0]["kernel"]) for block in blocks]
    return {g: leaf[:, place] for leaf, block in zip(leaves, blocks, strict=True) for place, g in block.real()}


def advance(compiled: Compiled, blocks: list[Block], first: int, count: int) -> list[Block]:
    """Train all blocks."""
    return [compiled.advance(block, first, count)[0] for block in blocks]


def test_start(compiled: Compiled) -> None:
    """Blocks have one shape, the last filled up with repeats that do not count; all strengths start alike."""
    blocks = compiled.start(np.arange(5))
    assert [block.strengths.tolist() for block in blocks] == [[0, 1], [2, 3], [4, 4]]
    assert [list(block.real()) for block in blocks] == [[(0, 0), (1, 1)], [(0, 2), (1, 3)], [(0, 4)]]
    first = kernels(blocks)
    assert all(np.array_equal(kernel, first[0]) for kernel in first.values())
    assert np.asarray(blocks[1].values["l2"]).tolist() == pytest.approx([0.1, 0.2])
    assert np.asarray(blocks[1].values["learning_rate"]).tolist() == pytest.approx([0.03, 0.02])


def test_strengths_are_spread_over_the_devices(compiled: Compiled) -> None:
    """Each device holds its share of a block's strengths, for all row sets, before and after training."""
    blocks = compiled.start(np.arange(4))
    blocks[1], _ = compiled.advance(blocks[1], 0, 1)
    for block in blocks:
        shards = block.state.best_loss.addressable_shards
        assert {shard.device for shard in shards} == set(jax.local_devices())
        assert [shard.data.shape for shard in shards] == [(3, 1), (3, 1)]


def test_repacking_changes_no_number(compiled: Compiled) -> None:
    """Strengths moved into other blocks take all along that they are, and train on to the same numbers."""
    whole = advance(compiled, compiled.start(np.arange(5)), 0, 2)
    some = compiled.repack(whole, np.array([1, 2, 4]))
    assert [block.strengths.tolist() for block in some] == [[1, 2], [4, 4]]
    assert [block.count for block in some] == [2, 1]
    before, after = kernels(whole), kernels(some)
    assert all(np.array_equal(after[g], before[g]) for g in (1, 2, 4))
    expected = kernels(advance(compiled, whole, 2, 2))
    trained = kernels(advance(compiled, some, 2, 2))
    for g in (1, 2, 4):
        np.testing.assert_allclose(trained[g], expected[g], rtol=1e-5, atol=1e-7)
        assert not np.allclose(trained[g], before[g], rtol=1e-3)


def test_repacking_none(compiled: Compiled) -> None:
    """When no strength goes on there are no blocks."""
    assert compiled.repack(compiled.start(np.arange(2)), np.array([], int)) == []


def test_advance(compiled: Compiled) -> None:
    """A call trains as many epochs as asked for, and two calls of one are one call of two."""
    once, trace = compiled.advance(compiled.start(np.arange(2))[0], 0, 2)
    half, first = compiled.advance(compiled.start(np.arange(2))[0], 0, 1)
    twice, second = compiled.advance(half, 1, 1)
    assert np.isfinite(trace.train_loss).all()
    assert np.isnan(first.train_loss[..., 1]).all()
    joined = np.stack([first.train_loss[..., 0], second.train_loss[..., 0]], axis=-1)
    np.testing.assert_array_equal(joined, trace.train_loss)
    assert np.array_equal(kernels([once])[1], kernels([twice])[1])


def test_measure(compiled: Compiled, problem: Callable[..., Any], seed: int) -> None:
    """Outputs and losses of any number of networks are the network's own on the held-out rows."""
    case = problem(seed)
    block, _ = compiled.advance(compiled.start(np.arange(2))[0], 0, 2)
    best = jax.tree.map(lambda leaf: np.asarray(leaf)[:, [0, 1, 1]], block.state.variables)
    outputs, losses = compiled.measure(best)
    assert outputs.shape == (3, 3, 14, 3)
    assert losses.shape == (3, 3, 14)
    for r, held_out in enumerate(case.row_sets.held_out):
        for g in range(3):
            variables = jax.tree.map(lambda leaf, at=(r, g): leaf[at], best)
            expected = case.network.apply(variables, case.dataset.inputs[r, held_out], None)[0]
            np.testing.assert_allclose(outputs[r, g, : len(held_out)], expected, rtol=1e-4, atol=1e-5)
            loss = case.loss.per_row(expected, case.dataset.targets[r, held_out])
            np.testing.assert_allclose(losses[r, g, : len(held_out)], loss, rtol=1e-4, atol=1e-5)


def test_one_tracing(compiled: Compiled) -> None:
    """Whatever blocks were trained above, the program was traced once."""
    advance(compiled, compiled.start(np.arange(5)), 0, 1)
    assert compiled.compilations == 1
