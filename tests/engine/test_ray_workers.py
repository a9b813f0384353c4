"""Workers of a cluster, as far as it needs none: what each has, how many fit, what is said where Ray is not there."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from fitwell.engine import ray_workers
from fitwell.engine.ray_options import Ray
from fitwell.engine.ray_workers import CallLostError, workers_of
from fitwell.errors import InputError

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
