"""What a worker does, without Ray: it holds groups, trains them, and makes them again from what was brought back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fitwell.engine.block_worker import BlockWorker, Group, GroupState, Shipment, Shipped, about_rounding, joined_epochs
from fitwell.engine.executor import Epochs, Job
from fitwell.engine.job import Settings
from fitwell.regularization.strengths import Candidates
from fitwell.regularization.table import L2

FIVE = Candidates({"l2": np.array([0, 1e-3, 1e-2, 3e-2, 1e-1])}, np.geomspace(1e-3, 3e-2, 5))


def fetch_again(shipment: Shipment) -> Shipped:
    """As from another machine: a copy for everyone who asks."""
    return Shipped("search", lambda: sent(shipment))


@pytest.fixture
def shipped(problem: Callable[..., Any]) -> Shipped:
    """A search of five strengths."""
    case = problem()
    job = Job(case.network, case.dataset, case.row_sets, FIVE, case.loss)
    return fetch_again(Shipment(job, Settings(epochs=6, batch_size=8, units=np.arange(41)), "numpy"))


def sent(what: Any) -> Any:
    """As from one machine to another: a copy."""
    return pickle.loads(pickle.dumps(what))


def advanced(worker: BlockWorker, shipped: Shipped, group: Group, first: int) -> Any:
    """What two epochs of a group gave, sent back."""
    return sent(worker.advance(shipped, sent(group), first, 2, bring=True))


def curves(worker: BlockWorker, shipped: Shipped, group: Group, first: int) -> np.ndarray:
    """The losses of two epochs."""
    return advanced(worker, shipped, group, first).epochs.curves


def test_what_was_brought_back_is_enough(shipped: Shipped) -> None:
    """Another worker goes on with the same numbers bit for bit, from the last state or one before and the calls."""
    numbers, first = np.arange(5), BlockWorker(1, {})
    begun = advanced(first, shipped, Group(0, numbers, GroupState()), 0)
    again = advanced(first, shipped, Group(0, numbers, None), 2)
    last = curves(first, shipped, Group(0, numbers, None), 4)
    for state in (
        GroupState(again.saved),
        GroupState(begun.saved, ((2, 2),)),
        GroupState((), ((0, 2), (2, 2))),
    ):
        np.testing.assert_array_equal(curves(BlockWorker(1, {}), shipped, Group(7, numbers, state), 4), last)
    # the break: a state that is not the last
    assert (curves(BlockWorker(1, {}), shipped, Group(7, numbers, GroupState(begun.saved)), 4) != last).any()


def test_who_has_left_is_not_trained(shipped: Shipped) -> None:
    """Strengths that are named no more go, others come from another group's state: their numbers stay the same."""
    worker, numbers = BlockWorker(1, {}), np.arange(5)
    begun = advanced(worker, shipped, Group(0, numbers, GroupState()), 0)
    expected = curves(BlockWorker(1, {}), shipped, Group(0, numbers, GroupState(begun.saved)), 2)
    few = np.array([1, 3])
    np.testing.assert_array_equal(curves(worker, shipped, Group(0, few, None), 2), expected[:, :, few])
    moved = np.array([4, 0])
    state = GroupState(begun.saved)
    np.testing.assert_array_equal(curves(worker, shipped, Group(1, moved, state), 2), expected[:, :, moved])


def test_what_is_forgotten_is_gone(shipped: Shipped) -> None:
    """A group, or a whole search; another search of the same worker stays."""
    worker, numbers, other = BlockWorker(1, {}), np.arange(5), shipped._replace(number="other")
    for key, search in ((0, shipped), (1, shipped), (0, other)):
        worker.advance(search, Group(key, numbers, GroupState()), 0, 2, bring=False)
    worker.forget("search", [0])
    with pytest.raises(KeyError):
        worker.saved(shipped, Group(0, numbers, None))
    assert len(worker.saved(shipped, Group(1, numbers, None))) > 0
    worker.forget("search")
    with pytest.raises(KeyError):
        worker.saved(shipped, Group(1, numbers, None))
    assert len(worker.saved(other, Group(0, numbers, None))) > 0


def test_a_copy_is_known_as_the_original(shipped: Shipped) -> None:
    """Fitwell's own regularizers and losses are the same objects after pickling, or NumPy would not train them."""
    job = shipped.fetch().job
    assert job.candidates.table["l2"] is L2
    assert job.loss == shipped.fetch().job.loss


def test_what_rounds_is_said() -> None:
    """Versions, the processor and whether C trains."""
    assert {"fitwell", "numpy", "jax", "processor", "training in C"} <= set(about_rounding())


def test_blocks_are_joined_in_their_order() -> None:
    """Along the strengths, with and without losses of rows."""
    one = Epochs(np.zeros((4, 2, 1, 3)), np.zeros((2, 1, 3, 5)), np.zeros(1), np.zeros(1, int))
    two = Epochs(np.ones((4, 2, 2, 3)), np.ones((2, 2, 3, 5)), np.ones(2), np.ones(2, int))
    joined = joined_epochs([one, two])
    assert joined.curves.shape == (4, 2, 3, 3)
    assert joined.row_loss is not None
    assert joined.row_loss[0, :, 0, 0].tolist() == joined.best_loss.tolist() == [0, 1, 1]
    assert joined_epochs([one._replace(row_loss=None)] * 2).row_loss is None


def test_all_workers_keep_to_one_plan(shipped: Shipped) -> None:
    """Each for itself would plan by its own machine; told of a plan a worker cuts blocks and waves as that does."""
    own = BlockWorker(1, {}).plan(shipped, estimate=False)
    told = replace(own, block_strengths=2, memory=own.memory + 1)
    worker = BlockWorker(1, {})
    assert worker.prepare(shipped._replace(plan=told)) == (0.0, 0)
    obeyed = worker.plan(shipped._replace(plan=told), estimate=False)
    assert (obeyed.block_strengths, obeyed.wave_strengths) == (2, own.wave_strengths + 1)
    assert own.block_strengths != 2
