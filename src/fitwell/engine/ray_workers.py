"""The workers of a search on Ray: started, waited for, replaced when they die. The one file that imports Ray."""

from __future__ import annotations

import math
import os
import re
import signal
import socket
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from fitwell.engine.block_worker import BlockWorker, about_rounding
from fitwell.engine.ray_options import Ray
from fitwell.errors import FitwellWarning, InputError, TrainingError
from fitwell.extras import import_extra
from fitwell.startup import cpu_devices

START_SECONDS = 120.0
"""Waited for the first worker, and for another one where none is left."""

LATER_SECONDS = 15.0
"""Waited for the others once the first is there; who comes later joins the search then."""

CONNECT_SECONDS = 10.0
"""Waited for somebody to answer at an address."""

LOOK_SECONDS = 5.0
"""Between two looks at whether the cluster has room for more workers."""

MOST_FAILED = 10
"""Workers that may die before they are there; then no more are asked for."""


class CallLostError(Exception):
    """A call whose answer will never come.

    Attributes
    ----------
    why
        In a few words.
    dead
        Whether the worker is.
    """

    def __init__(self, why: str, dead: bool) -> None:
        super().__init__(why)
        self.why, self.dead = why, dead


@dataclass(eq=False)
class RayWorker:
    """A worker that is there: Ray's handle of a `BlockWorker`."""

    actor: Any

    def send(self, method: str, *arguments: Any) -> Any:
        """Have a method called, and return where its answer will be."""
        return getattr(self.actor, method).remote(*arguments)


class RayWorkers:
    """Workers, shared by all searches of a process that ask for the same.

    Parameters
    ----------
    options
        Which cluster, and what each worker has.
    trains
        `"numpy"` or `"jax"`: what the first search trains with, which says what a worker has unless options do.
    most
        Workers for which that search has work.
    devices
        JAX's devices on processors, as many in every worker as there would be without Ray.

    Raises
    ------
    InputError
        There is no such cluster, or no node has room for a worker.
    """

    def __init__(self, options: Ray, trains: str, most: int, devices: int) -> None:
        self.ray, opened = _connected(options.address)
        self._ready: list[RayWorker] = []
        self._pending: dict[Any, RayWorker] = {}
        self._about: dict[str, str] = {}
        self._failed: list[str] = []
        # by a function that knows nothing of this object, which could never be let go else
        self._close = weakref.finalize(self, _closed, self.ray, self._ready, self._pending, opened)
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        self.cpus, self.gpus = _shares(options, trains, devices, nodes)
        room = sum(_room(node, self.cpus, self.gpus) for node in nodes)
        if not room:
            gpus = f" and {self.gpus:g} GPUs" if self.gpus else ""
            raise InputError(
                f"No node of the Ray cluster has {self.cpus} CPUs{gpus} for a worker: ask for less of them."
            )
        environment = {"JAX_NUM_CPU_DEVICES": str(devices), "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "jax")}
        remote = self.ray.remote(BlockWorker).options(
            num_cpus=self.cpus, num_gpus=self.gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        self._make = partial(remote.remote, self.cpus, environment)
        self._options, self.most, self._left_out, self._looked = options, most, 0, -math.inf
        self._ask_for_more()
        self._settle(START_SECONDS, enough=1)
        self._settle(LATER_SECONDS, enough=len(self._pending))

    def ready(self) -> list[RayWorker]:
        """Return the workers that are there, waiting for one if there is none.

        Raises
        ------
        TrainingError
            None came.
        """
        self._ask_for_more()
        self._settle(0.0 if self._ready else START_SECONDS, enough=0 if self._ready else 1)
        if not self._ready:
            why = f" ({self._failed[-1]})" if self._failed else ""
            raise TrainingError(
                f"No worker of the Ray cluster is there, and none came within {START_SECONDS:.0f} s{why}: add "
                "nodes, or ask for fewer CPUs and GPUs for each worker."
            )
        return list(self._ready)

    def is_alive(self, worker: RayWorker | None) -> bool:
        """Return whether a worker is there, as far as is known."""
        return worker in self._ready

    def bury(self, worker: RayWorker, why: str) -> None:
        """Give a dead worker up, and ask for another one in its place."""
        if worker not in self._ready:
            return
        self._ready.remove(worker)
        _killed(self.ray, worker)
        warnings.warn(
            f"A worker of Ray was lost ({why}): what it trained last is trained again elsewhere.",
            FitwellWarning,
            stacklevel=2,
        )
        self._ask_for_one()

    def tell_all(self, method: str, *arguments: Any) -> None:
        """Have a method called of all workers, and wait for none."""
        if self.ray.is_initialized():
            for worker in self._ready:
                worker.send(method, *arguments)

    def put(self, what: Any) -> Any:
        """Put something into the object store, once for all workers, and return where it is."""
        return self.ray.put(what)

    def get(self, reference: Any) -> Any:
        """Return an answer.

        Raises
        ------
        CallLostError
            It will never come.
        FitwellError
            What the worker raised; errors of other kinds likewise.
        """
        errors = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except errors.RayTaskError as error:
            raise _cause_of(error, errors) from None
        except errors.ObjectLostError as error:
            raise CallLostError(_in_words(error), dead=False) from None
        except errors.RayError as error:
            raise CallLostError(_in_words(error), dead=True) from None

    def _ask_for_more(self) -> None:
        """Ask for as many workers as the cluster has room for by now, and there is work for."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        room = sum(_room(node, self.cpus, self.gpus) for node in nodes)
        wanted = min(room, self._options.workers or room, self.most)
        for _ in range(wanted - len(self._ready) - len(self._pending) - self._left_out):
            if len(self._failed) < MOST_FAILED:
                self._ask_for_one()

    def _ask_for_one(self) -> None:
        worker = RayWorker(self._make())
        self._pending[worker.send("about")] = worker

    def _settle(self, seconds: float, enough: int) -> None:
        """Take in who has come, waiting so long for so many."""
        until = time.monotonic() + seconds
        while self._pending:
            left = max(until - time.monotonic(), 0.0) if enough > 0 else 0.0
            come, _ = self.ray.wait(list(self._pending), num_returns=1, timeout=left)
            if not come:
                return
            enough -= self._taken_in(come[0], self._pending.pop(come[0]))

    def _taken_in(self, reference: Any, worker: RayWorker) -> bool:
        """Take in a worker that rounds as the others do."""
        try:
            about = self.get(reference)
        except CallLostError as lost:  # it died before it was there
            self._failed.append(lost.why)
            if len(self._failed) < MOST_FAILED:
                self._ask_for_one()
            return False
        except ImportError as error:  # of a machine without fitwell, or without what it needs
            if not self._ready:
                raise
            about = {"fitwell": f"none ({error})"}
        own = about_rounding()["fitwell"]
        if about["fitwell"] != own and not self._ready:
            raise InputError(
                f"A worker of the Ray cluster has fitwell {about['fitwell']}, and this is {own}: install one version."
            )
        self._about = self._about or about
        # who comes while others train is left out, whatever is wrong with it
        other = [
            f"{name} {about.get(name)}, not {value}" for name, value in self._about.items() if about.get(name) != value
        ]
        if other:
            self._left_out += 1
            _killed(self.ray, worker)
            warnings.warn(
                f"A worker of the Ray cluster is left out, for its numbers would be others: {'; '.join(other)}.",
                FitwellWarning,
                stacklevel=2,
            )
            return False
        self._ready.append(worker)
        return True


_shared: weakref.WeakValueDictionary[Ray, RayWorkers] = weakref.WeakValueDictionary()


def workers_of(options: Ray, trains: str, most: int, devices: int) -> RayWorkers:
    """Return the workers that searches with these options share; they end with the last of these searches."""
    asked = replace(options, every=1, train="auto")  # that is no worker's affair
    found = _shared.get(asked)
    if found is None:
        found = _shared[asked] = RayWorkers(asked, trains, most, devices)
    return found


def _connected(address: str) -> tuple[ModuleType, bool]:
    """Join a cluster, or start one; return Ray, and whether that was done here."""
    # numbers of how Ray is used are sent nowhere, unless somebody wants that
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = import_extra("ray", "ray", "ray")
    if ray.is_initialized():
        return ray, False
    quiet = {"log_to_driver": False, "logging_level": "error"}
    with _own_signals(), warnings.catch_warnings():
        # Ray starts its processes by a fork that becomes another program at once: JAX's threads need not fear it
        warnings.filterwarnings("ignore", message=r"os\.fork", category=RuntimeWarning)
        if address or os.environ.get("RAY_ADDRESS"):
            _joined(ray, address or os.environ["RAY_ADDRESS"], quiet)
        else:
            ray.init("local", num_cpus=cpu_devices(), include_dashboard=False, **quiet)
    return ray, True


def _joined(ray: ModuleType, address: str, quiet: dict[str, Any]) -> None:
    try:
        _check_answers(address)
        ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise InputError(
            f"The Ray cluster at '{address}' cannot be joined ({str(error).splitlines()[0]}): give its address, or "
            "leave it out to start one on this machine."
        ) from error


def _check_answers(address: str) -> None:
    """Raise an OSError if nobody answers at ``HOST:PORT``: Ray itself would try for minutes, and log it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what signals do: Ray takes some for itself when it starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shares(options: Ray, trains: str, devices: int, nodes: list[dict[str, float]]) -> tuple[int, float]:
    """CPUs and GPUs of a worker."""
    gpus = options.gpus or float(trains == "jax" and any(node.get("GPU") for node in nodes))
    largest = int(max((node.get("CPU", 0) for node in nodes), default=1))
    wide = trains == "jax" and not gpus
    return options.cpus or (max(1, min(devices, largest)) if wide else 1), gpus


def _room(node: dict[str, float], cpus: int, gpus: float) -> int:
    """Workers that fit a node."""
    return int(min(node.get("CPU", 0) // cpus, node.get("GPU", 0) // gpus if gpus else float("inf")))


def _cause_of(error: Any, errors: Any) -> BaseException:
    """What was raised in a worker, without Ray's own lines around it."""
    cause = error.cause
    if isinstance(cause, MemoryError):
        return CallLostError("out of memory", dead=True)
    if isinstance(cause, errors.ObjectLostError):
        return CallLostError("the table was lost", dead=False)
    return cause


def _in_words(error: BaseException) -> str:
    """Ray's name of what happened, and what Python said of it, if that is the end of a long text."""
    said = [line.strip() for line in str(error).splitlines() if re.match(r"\s*\w*(Error|Exception): ", line)]
    return ": ".join([type(error).__name__, *said[-1:]])


def _killed(ray: ModuleType, worker: RayWorker) -> None:
    # it may be dead, or never have lived
    with suppress(Exception):
        ray.kill(worker.actor)


def _closed(ray: ModuleType, ready: list[RayWorker], pending: dict[Any, RayWorker], opened: bool) -> None:
    """End the workers, and Ray if it was started or joined for them."""
    if not ray.is_initialized():
        return
    for worker in (*ready, *pending.values()):
        _killed(ray, worker)
    ready.clear()
    pending.clear()
    if opened:
        ray.shutdown()
