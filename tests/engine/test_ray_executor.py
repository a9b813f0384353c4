"""Ray as an executor, on a real cluster of several nodes: the numbers of a search without it, whatever dies."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from example_tables import QUICK, QUICK_ARGUMENTS, mixed

from fitwell.api.tune import tune
from fitwell.engine.checkpoints import Checkpoints
from fitwell.engine.engines import with_ray
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Settings
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.plan import Listener, Progress
from fitwell.engine.ray_options import Ray
from fitwell.engine.stopping import Stopping
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import FitwellWarning, InputError, TrainingError
from fitwell.regularization.regularizer import Regularizer
from fitwell.regularization.strengths import Candidates

ray = pytest.importorskip("ray")
import ray_faults  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from fitwell.engine import ray_executor, ray_workers  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("cluster"),
    pytest.mark.filterwarnings("ignore:A worker of Ray was lost"),
    # a cluster's processes are forked, and become other programs at once
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
]

SEVEN = Candidates(
    {"l2": np.array([0, 1e-3, 1e-2, 3e-2, 1e-1, 0.3, 0]), "dropout": np.array([0, 0, 0.1, 0.2, 0.3, 0.4, 0.5])},
    np.geomspace(1e-3, 3e-2, 7),
)
HALVING = Stopping(patience=100, rungs=(2, 6), kept=0.6, finalists=2)
STORE = {"object_store_memory": 80 * 2**20}
# a node that is slow to answer is none that died: its port is closed, which is told within a second or two
HEALTH = {"health_check_period_ms": 500, "health_check_timeout_ms": 60_000, "health_check_failure_threshold": 3}


def in_time(start: Callable[[], Any]) -> Any:
    """Start a node, which gives itself up after half a minute: that is too little on a machine with much else to do."""
    for _ in range(3):
        with suppress(Exception):
            return start()
    return start()


def started() -> Cluster:
    """Two nodes, one of which is the head; that has a processor more than the searches of this process take."""
    head = {"num_cpus": 2, "include_dashboard": False, "_system_config": HEALTH, **STORE}
    found = Cluster(initialize_head=True, head_node_args=head)
    try:
        in_time(lambda: found.add_node(num_cpus=1, **STORE))
        ray.init(found.address, log_to_driver=False, logging_level="error")
    except BaseException:
        ray.shutdown()
        found.shutdown()
        raise
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster, and the workers that all searches of these tests share."""
    try:
        found = in_time(started)
    except Exception as error:  # of whatever kind: Ray itself does not run here, of which fitwell knows nothing
        pytest.skip(f"Ray did not start, so nothing was tested on a cluster: {error}")
    # nodes cannot import what only tests have
    ray.cloudpickle.register_pickle_by_value(ray_faults)
    pool = ray_workers.workers_of(Ray(), "numpy", 2, 2)
    yield found
    del pool
    ray.shutdown()
    found.shutdown()


def settings(**others: Any) -> Settings:
    """Ten epochs, in calls of two, of which a part trains to the end."""
    return Settings(**{"epochs": 10, "batch_size": 8, "stopping": HALVING, "call_epochs": 2, **others})


def trained(
    case: Any, executor: Any, listener: Listener | None = None, candidates: Candidates = SEVEN, **others: Any
) -> Trained:
    """Train seven strengths."""
    chosen = settings(executor=executor, **others)
    return train_all(*case[:3], candidates, loss=case.loss, settings=chosen, listener=listener)


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
def test_the_numbers_are_those_without_ray(problem: Any, alone: Trained, every: int) -> None:
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
    """The node of a worker, and all it stores; one that comes later takes part."""
    (node,) = cluster.worker_nodes
    assert node.node_id in {ray_faults.node_of(worker) for worker in workers()}
    cluster.remove_node(node, allow_graceful=False)
    # told before others ask for room there
    until = time.monotonic() + 60
    while any(one["Alive"] and one["NodeID"] == node.node_id for one in ray.nodes()) and time.monotonic() < until:
        time.sleep(0.1)
    in_time(lambda: cluster.add_node(num_cpus=1, **STORE))


def run_out_of_memory(cluster: Cluster) -> None:
    """Of one worker."""
    del cluster
    ray_faults.let_run_out_of_memory(workers()[0])


def lose_the_table(cluster: Cluster) -> None:
    """And kill a worker, so that another one needs it."""
    del cluster
    gone = ray_faults.put_and_lost(EXECUTORS[-1]._shipment)
    EXECUTORS[-1]._shipped = EXECUTORS[-1]._shipped._replace(fetch=partial(ray.get, gone))
    ray_faults.kill_process(workers()[0])


EXECUTORS: list[Any] = []
"""Those of the tests, the last one last."""


@pytest.mark.parametrize(
    ("fault", "every"),
    [
        (kill_a_node, 1),
        (kill_a_process, 1),
        (kill_a_process, 3),
        (kill_all_processes, 1),
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
        EXECUTORS.append(make(*arguments))
        return EXECUTORS[-1]

    with pytest.warns(FitwellWarning, match="A worker of Ray was lost"):
        found = trained(problem(), remembered, at(4, lambda: fault(cluster)), units=np.arange(41))
    EXECUTORS.clear()
    assert same(found, alone)


def test_a_state_that_is_not_the_last_is_seen(
    cluster: Any, problem: Any, alone: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The break: what is trained again from a state before the last one has other numbers."""
    state = ray_executor.GroupState
    monkeypatch.setattr(
        ray_executor, "GroupState", lambda saved=(), calls=(): state(saved)
    )  # calls since are forgotten
    listener = at(8, lambda: kill_a_process(cluster))
    assert not same(trained(problem(), on_ray(every=3), listener, units=np.arange(41)), alone)


def test_it_is_given_up(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What kills one worker after the other is given up, in a sentence."""
    send = ray_workers.RayWorker.send

    def killed(self: Any, method: str, *arguments: Any) -> Any:
        if method == "advance":
            with suppress(ray.exceptions.RayActorError):  # it is dead already
                ray_faults.kill_process(self)
        return send(self, method, *arguments)

    monkeypatch.setattr(ray_workers.RayWorker, "send", killed)
    with pytest.raises(TrainingError, match=r"^A call of the search failed on 4 workers in a row") as error:
        trained(problem(), on_ray())
    assert error.value.__suppress_context__
    monkeypatch.undo()


def test_blocks_of_jax_are_those_without_ray(problem: Any) -> None:
    """Bit for bit, and a penalty of one's own goes with them: blocks are cut as they would be here, and stay whole."""
    largest = Regularizer(
        "largest", "bounds weights", "log", 1e-3, 1.0, penalty=lambda strength, kernel, axes: strength * kernel.max()
    )
    own = Candidates({"largest": np.geomspace(1e-3, 1, 7)}, SEVEN.learning_rate, table={"largest": largest})
    block = {"candidates": own, "block_strengths": 2, "epochs": 8}
    alone = trained(problem(), JaxExecutor, **block)  # compiles; the workers load that
    found = trained(problem(), on_ray(train="auto"), **block)
    assert same(found, alone)
    assert found.compilations == alone.compilations == 1
    assert found.plan.blocks == alone.plan.blocks == 4


def test_nested_cross_validation_runs_on_it() -> None:
    """Through the front door, an address and all: the same score, and the same refit on all rows."""
    table, how = mixed(60), {**QUICK, "strengths": 3, "honest": "nested", "refit": "single"}
    alone = tune(table, "ill", **how, engine="numpy")
    found = tune(table, "ill", **how, engine=Ray(train="numpy"))
    assert found.score.interval == alone.score.interval
    assert found.predict(table).equals(alone.predict(table))


def test_getting_ready_is_no_part_of_an_epochs_time(problem: Any) -> None:
    """Workers fetch the search and compile before the first epochs: a budget would take that for slow training else."""
    case = problem()
    job = ray_executor.Job(*case[:3], SEVEN, case.loss)
    executor = on_ray()(job, settings(), False)
    called: list[str] = []
    for worker in executor._workers.ready():
        worker.send = lambda method, *arguments, to=worker: (  # type: ignore[method-assign]
            called.append(method),
            getattr(to.actor, method).remote(*arguments),
        )[1]
    executor.start(np.arange(7))
    for worker in executor._workers.ready():
        del worker.send
    assert called == ["prepare"] * len(executor._workers.ready())


def test_what_cannot_be_sent_is_named(problem: Any) -> None:
    """A schedule that holds a lock stays in its process: a sentence says so."""
    lock = threading.Lock()
    schedule = partial(lambda held, step: 1.0, lock)
    with pytest.raises(InputError, match=r"^Ray cannot send the schedule of this search to its workers \("):
        trained(problem(), on_ray(train="jax"), schedule=schedule)


def test_errors_of_workers_are_those_without_ray(problem: Any) -> None:
    """One sentence, the same; no lines of Ray's around it."""
    with pytest.raises(TrainingError) as alone:
        trained(problem(), NumpyExecutor, memory=1)
    with pytest.raises(TrainingError) as error:
        trained(problem(), on_ray(), memory=1)
    assert str(error.value) == str(alone.value)
    assert type(error.value) is TrainingError


def test_a_search_on_ray_goes_on(problem: Any, alone: Trained, tmp_path: Path) -> None:
    """Written down and ended in the middle, it goes on with the numbers of the whole."""
    how = {"units": np.arange(41), "checkpoints": Checkpoints(tmp_path, soonest=0, share=np.inf)}
    broken = Listener(on_progress=lambda progress: 1 / (progress.epoch - 6))
    with pytest.raises(ZeroDivisionError):
        trained(problem(), on_ray(every=3), broken, **how)
    assert same(trained(problem(), on_ray(every=3), **how), alone)


def test_the_command_joins_a_cluster(tmp_path: Path) -> None:
    """By its address: the same answer as without it, one document and nothing else."""
    mixed(60).write_csv(tmp_path / "table.csv")
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "fitwell", "tune", "table.csv", "--target", "ill", "--json", *QUICK_ARGUMENTS]
    found = []
    for engine in ("numpy", f"ray:{address},workers=1,train=numpy"):
        run = subprocess.run([*command, "--engine", engine], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert "ray" not in run.stderr
        found.append(json.loads(run.stdout))
    for part in ("strengths", "choice", "members", "score", "scores", "importance"):
        assert found[0][part] == found[1][part]
