"""Ray as an executor, on a real cluster of several nodes: the numbers of a search without it, whatever dies."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from fitwell.engine.engines import with_ray
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Settings
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.plan import Listener, Progress
from fitwell.engine.ray_options import Ray
from fitwell.engine.stopping import Stopping
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import FitwellWarning, TrainingError
from fitwell.regularization.strengths import Candidates

ray = pytest.importorskip("ray")
import ray_faults  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from fitwell.engine import ray_executor, ray_workers  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:A worker of Ray was lost")]

SEVEN = Candidates(
    {"l2": np.array([0, 1e-3, 1e-2, 3e-2, 1e-1, 0.3, 0]), "dropout": np.array([0, 0, 0.1, 0.2, 0.3, 0.4, 0.5])},
    np.geomspace(1e-3, 3e-2, 7),
)
HALVING = Stopping(patience=100, rungs=(2, 6), kept=0.6, finalists=2)
STORE = {"object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without processors, and two nodes with one each."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **STORE})
    for _ in range(2):
        found.add_node(num_cpus=1, **STORE)
    ray.init(found.address, log_to_driver=False, logging_level="error")
    # nodes cannot import what only tests have
    ray.cloudpickle.register_pickle_by_value(ray_faults)
    pool = ray_workers.workers_of(Ray(), "numpy", 2, 2)  # shared by all searches below
    yield found
    del pool
    ray.shutdown()
    found.shutdown()


def settings(**others: Any) -> Settings:
    """Ten epochs, in calls of two, of which a part trains to the end."""
    return Settings(**{"epochs": 10, "batch_size": 8, "stopping": HALVING, "call_epochs": 2, **others})


def trained(case: Any, executor: Any, listener: Listener | None = None, **others: Any) -> Trained:
    """Train seven strengths."""
    chosen = settings(executor=executor, **others)
    return train_all(*case[:3], SEVEN, loss=case.loss, settings=chosen, listener=listener)


def numbers(found: Trained) -> list[np.ndarray]:
    """All that a search found."""
    h = found.histories
    curves = [h.train_loss, h.held_out_loss, h.train_metric, h.held_out_metric]
    sums = h.records.sums if h.records else ()
    return [*jax.tree.leaves(found.best), *curves, h.best_epoch, h.best_loss, h.epochs, h.row_loss, *sums]


def same(one: Trained, other: Trained) -> bool:
    """Whether all numbers of two searches are the same bit for bit."""
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(numbers(one), numbers(other), strict=True))


def on_ray(**options: Any) -> Any:
    """What makes Ray's executor."""
    return partial(with_ray, options=Ray(**{"train": "numpy", **options}))


def workers() -> list[Any]:
    """The workers of the search that is in training."""
    (found,) = ray_workers._shared.values()
    return found.ready()


def at(epoch: int, fault: Callable[[], object]) -> Listener:
    """Let something happen once so many epochs are done."""

    def hear(progress: Progress) -> None:
        if progress.epoch == epoch:
            fault()

    return Listener(on_progress=hear)


@pytest.fixture(scope="module")
def alone(problem: Callable[..., Any]) -> Trained:
    """The search without Ray."""
    return trained(problem(), NumpyExecutor, units=np.arange(41))


@pytest.mark.parametrize("every", [1, 3])
def test_the_numbers_are_those_without_ray(cluster: Any, problem: Any, alone: Trained, every: int) -> None:
    """Bit for bit, with losses of rows and strengths that leave; another seed would be seen."""
    found = trained(problem(), on_ray(every=every), units=np.arange(41))
    assert same(found, alone)
    assert len(set(found.histories.epochs)) > 1
    assert not same(trained(problem(), on_ray(), units=np.arange(41), seed=1), alone)


def kill_a_process(cluster: Cluster) -> None:
    """One worker's process."""
    del cluster
    ray_faults.kill_process(workers()[0])


def kill_all_processes(cluster: Cluster) -> None:
    """Every worker there is."""
    del cluster
    for worker in workers():
        ray_faults.kill_process(worker)


def kill_a_node(cluster: Cluster) -> None:
    """The node of a worker, and all it stores."""
    name = ray_faults.node_of(workers()[0])
    (node,) = [one for one in cluster.worker_nodes if one.node_id == name]
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=1, **STORE)


def run_out_of_memory(cluster: Cluster) -> None:
    """Of one worker."""
    del cluster
    ray_faults.let_run_out_of_memory(workers()[0])


def lose_the_table(cluster: Cluster) -> None:
    """And kill a worker, so that another one needs it."""
    del cluster
    (pool,) = ray_workers._shared.values()
    ray_faults.lose_objects([LAST[-1]._shipped.fetch.args[0]])
    ray_faults.kill_process(pool.ready()[0])


LAST: list[Any] = []
"""Executors, the last one last."""


@pytest.mark.parametrize(
    ("fault", "every"),
    [
        (kill_a_process, 1),
        (kill_a_process, 3),
        (kill_all_processes, 1),
        (kill_a_node, 1),
        (run_out_of_memory, 3),
        (lose_the_table, 1),
    ],
)
def test_what_dies_costs_no_number(
    cluster: Any, problem: Any, alone: Trained, fault: Callable[[Any], None], every: int
) -> None:
    """Whatever dies in the middle of a search, its numbers are the same bit for bit; and it is told."""
    make = on_ray(every=every)

    def remembered(*arguments: Any) -> Any:
        LAST.append(make(*arguments))
        return LAST[-1]

    with pytest.warns(FitwellWarning, match="A worker of Ray was lost"):
        found = trained(problem(), remembered, at(4, lambda: fault(cluster)), units=np.arange(41))
    LAST.clear()
    assert same(found, alone)
