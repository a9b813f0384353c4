"""Faults of a Ray cluster, done to a worker where it runs. On the workers' path, so that they can import it."""

from __future__ import annotations

import os
import signal
from typing import Any

import ray


def _process(worker: Any) -> int:
    del worker
    return os.getpid()


def _node(worker: Any) -> str:
    del worker
    return ray.get_runtime_context().get_node_id()


def _out_of_memory(worker: Any) -> None:
    def advance(*_: Any) -> None:
        raise MemoryError

    for executor in worker._executors.values():
        executor.advance = advance


def node_of(worker: Any) -> str:
    """Return the id of the node on which a worker runs."""
    return ray.get(worker.actor.__ray_call__.remote(_node))


def kill_process(worker: Any) -> None:
    """Kill a worker as the kernel does when memory is short."""
    os.kill(ray.get(worker.actor.__ray_call__.remote(_process)), signal.SIGKILL)


def let_run_out_of_memory(worker: Any) -> None:
    """Let a worker's next call of training run out of memory."""
    ray.get(worker.actor.__ray_call__.remote(_out_of_memory))


class _Keeper:
    def put(self, what: Any) -> list[Any]:
        return [ray.put(what)]


def put_and_lost(what: Any) -> Any:
    """Return where an object was whose keeper has died: nobody can fetch it any more."""
    keeper = ray.remote(_Keeper).options(num_cpus=0).remote()
    (reference,) = ray.get(keeper.put.remote(what))
    ray.kill(keeper)
    return reference
