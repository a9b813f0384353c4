"""Workers of a cluster, as far as it needs none: what each has, how many fit, what is said where Ray is not there."""

from __future__ import annotations

import math
import socket
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fitwell.engine import ray_workers
from fitwell.engine.block_worker import about_rounding
from fitwell.engine.ray_options import Ray
from fitwell.engine.ray_workers import CallLostError, RayWorker, workers_of
from fitwell.errors import FitwellWarning, InputError

NODES = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0}, {"memory": 1.0}]


@pytest.mark.parametrize(
    ("options", "trains", "nodes", "shares"),
    [
        (Ray(), "numpy", NODES, (1, 0)),
        (Ray(), "jax", NODES, (1, 1)),
        (Ray(), "jax", NODES[1:], (4, 0)),
        (Ray(cpus=2, gpus=0.5), "jax", NODES, (2, 0.5)),
        (Ray(cpus=2), "numpy", [], (2, 0)),
    ],
)
def test_what_a_worker_has(options: Ray, trains: str, nodes: list[Any], shares: tuple[int, float]) -> None:
    """What was asked for; else a processor for NumPy, a GPU for JAX, or all of its devices that a node has."""
    assert ray_workers._shares(options, trains, 6, nodes) == shares


@pytest.mark.parametrize(
    ("cpus", "gpus", "room"), [(1, 0, [8, 4, 0]), (3, 0, [2, 1, 0]), (1, 1, [2, 0, 0]), (1, 0.25, [8, 0, 0])]
)
def test_how_many_fit(cpus: int, gpus: float, room: list[int]) -> None:
    """By what runs out first on a node."""
    assert [ray_workers._room(node, cpus, gpus) for node in NODES] == room


def test_without_ray_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is imported before somebody asks for it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'package ray, which is not installed .*: pip install "fitwell\[ray\]"\.$'):
        workers_of(Ray(), "numpy", 1, 1)


def test_what_ray_says_is_shortened() -> None:
    """Its own name of what happened, and the last error of a long text."""
    assert ray_workers._in_words(CallLostError("\n at x\nImportError: no fitwell\nmore", dead=True)) == (
        "CallLostError: ImportError: no fitwell"
    )
    assert ray_workers._in_words(CallLostError("gone", dead=True)) == "CallLostError"


def test_nobody_answers_at_an_address() -> None:
    """It is said at once, before Ray tries for minutes; where somebody answers, Ray is asked to join."""
    joined: list[str] = []
    fake = SimpleNamespace(init=lambda address, **_: joined.append(address))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"^The Ray cluster at '{address}' cannot be joined \("):
            ray_workers._joined(cast(Any, fake), address, {})
        assert joined == []
        listening.listen()
        for reached in (address, f"ray://{address}", "auto"):
            ray_workers._joined(cast(Any, fake), reached, {})
    assert joined == [address, f"ray://{address}", "auto"]


def pool_of(nodes: list[dict[str, float]], most: int = 9) -> Any:
    """Workers of a cluster that is not there: who is asked for is counted."""
    pool: Any = object.__new__(ray_workers.RayWorkers)
    told = [{"Alive": True, "Resources": node} for node in nodes]
    pool.ray = SimpleNamespace(nodes=lambda: told, kill=lambda actor: None)
    pool.cpus, pool.gpus, pool.most, pool._options = 1, 0.0, most, Ray()
    pool._ready, pool._pending, pool._about, pool._failed = [], {}, {}, []
    pool._left_out, pool._looked = 0, -math.inf
    pool._ask_for_one = lambda: pool._pending.update({len(pool._pending): RayWorker(None)})
    return pool


def test_who_joins_a_cluster_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as there is room, but no more than there is work for, and not in the place of one that was left out."""
    nodes = [{"CPU": 2.0}]
    pool = pool_of(nodes, most=5)
    pool._ask_for_more()
    assert len(pool._pending) == 2
    pool.ray.nodes().append({"Alive": True, "Resources": {"CPU": 2.0}})
    pool._ask_for_more()  # somebody has looked just now
    assert len(pool._pending) == 2
    monkeypatch.setattr(ray_workers, "LOOK_SECONDS", 0.0)
    pool._left_out = 1
    pool._ask_for_more()
    assert len(pool._pending) == 3
    pool._left_out = 0
    pool.ray.nodes().append({"Alive": True, "Resources": {"CPU": 64.0}})
    pool._ask_for_more()
    assert len(pool._pending) == 5


@pytest.mark.parametrize("wrong", ["another version", "no fitwell"])
def test_a_newcomer_that_is_wrong_ends_no_search(wrong: str) -> None:
    """Beside others it is left out with a warning; alone it is an error, for then nobody can train."""
    about = {**about_rounding(), "fitwell": "0.0"}

    def get(_: Any) -> dict[str, str]:
        if wrong == "no fitwell":
            raise ModuleNotFoundError("No module named 'fitwell'")
        return about

    pool = pool_of([{"CPU": 2.0}])
    pool.get = get
    with pytest.raises((InputError, ModuleNotFoundError)):
        pool._taken_in(0, RayWorker(None))
    pool._ready, pool._about = [RayWorker(None)], about_rounding()
    with pytest.warns(FitwellWarning, match="is left out, for its numbers would be others: fitwell"):
        assert not pool._taken_in(0, RayWorker(None))
    assert (len(pool._ready), pool._left_out) == (1, 1)
