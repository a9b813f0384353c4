"""Ray as an executor: blocks on workers of a cluster, decisions here.

What strengths in training are made of is kept here, too, brought back with the results of a call. So a worker that dies
costs a call that another one does again, from the same state: the same numbers bit for bit.
"""

from __future__ import annotations

import itertools
import math
import os
import pickle
import sys
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import numpy as np

from fitwell.engine.block_worker import Advanced, Group, GroupState, Shipment, Shipped
from fitwell.engine.ending import AT_THE_END
from fitwell.engine.executor import Epochs, Job, Measured, SavedBlock
from fitwell.engine.job import Settings
from fitwell.engine.network import Variables
from fitwell.engine.plan import Plan
from fitwell.engine.ray_options import Ray
from fitwell.engine.ray_workers import CallLostError, RayWorker, RayWorkers, workers_of
from fitwell.errors import InputError, TrainingError
from fitwell.startup import cpu_devices
from fitwell.trees import tree_leaves, tree_map

MOST_ATTEMPTS = 4
"""Of one call, on a worker each; what kills so many is the call itself."""

WORTH_MOVING = 0.15
"""Share of a call's time that must be saved by it before strengths move to another worker."""

_keys = itertools.count()


@dataclass(eq=False)
class RayBlock:
    """Strengths in training together on one worker, with all row sets.

    Attributes
    ----------
    numbers
        See `Block`.
    worker
        Who trains them; None if that is still to be decided.
    state
        What they are made of, here.
    held
        Whether the worker holds them already.
    key
        See `Group`.
    """

    numbers: np.ndarray
    worker: RayWorker | None = None
    state: GroupState = field(default_factory=GroupState)
    held: bool = False
    key: int = field(default_factory=lambda: next(_keys))


@dataclass(eq=False)
class RayCall:
    """A call on its way, which can be sent again.

    Attributes
    ----------
    method, arguments
        Of `BlockWorker`, without what says where the search and the block are found.
    block
        Whose it is; None for what is no block's.
    worker, reference
        Who was asked, and where the answer will be.
    failed
        How many workers died of it, or lost what it needs.
    """

    method: str
    arguments: tuple[Any, ...]
    block: RayBlock | None = None
    worker: RayWorker | None = None
    reference: Any = None
    failed: int = 0


class RayExecutor:
    """The `Executor` of Ray; in its workers NumPy's or JAX's trains.

    Parameters
    ----------
    job, settings, estimate
        See `Executor`.
    options
        Which cluster, and how it is used.
    trains
        `"numpy"` or `"jax"`.

    Raises
    ------
    InputError
        The job holds something that cannot be sent to another process.
    """

    def __init__(self, job: Job, settings: Settings, estimate: bool, *, options: Ray, trains: str) -> None:
        self.compile_seconds, self.compilations = 0.0, 0
        self._options, self._whole = options, trains == "jax"  # JAX's numbers depend on who is in a block
        self._workers = workers_of(options, trains, job.candidates.count, jax_devices(settings.devices))
        self._shipment = shipment_of(job, settings, trains)
        self._turns = itertools.count()
        self._ship(uuid.uuid4().hex)
        weakref.finalize(self, _forgotten, self._workers, self._shipped.number)
        self._blocks: list[RayBlock] = []
        first: Plan = self._answer(RayCall("plan", (estimate,)))
        self._shipped = self._shipped._replace(plan=first)
        self.plan = spread_plan(first, len(self._workers.ready()), whole=self._whole)

    def start(self, strengths: np.ndarray) -> list[RayBlock]:
        """See `Executor`; workers draw first weights when they train first."""
        self._prepare()
        return self._placed([RayBlock(part) for part in self._cut(strengths)])

    def advance(self, blocks: Sequence[RayBlock], first: int, count: int) -> tuple[list[RayBlock], Iterable[Epochs]]:
        """See `Executor`; all workers are at work before the first result is waited for."""
        blocks = self._balanced(list(blocks))
        calls = [self._sent(RayCall("advance", (first, count, self._brings(block)), block)) for block in blocks]
        return blocks, self._epochs(calls, first, count)

    def repack(self, blocks: Sequence[RayBlock], strengths: np.ndarray) -> list[RayBlock]:
        """See `Executor`; blocks of JAX are cut exactly as without Ray."""
        if not len(strengths):
            return self._placed([])
        if self._whole:
            size = self.plan.block_strengths
            if math.ceil(len(strengths) / size) == len(blocks):
                return list(blocks)
            for block in blocks:
                self._bring(block)
            return self._placed([self._joined(blocks, part) for part in self._cut(strengths)])
        for block in blocks:
            block.numbers = block.numbers[np.isin(block.numbers, strengths)]
        return self._placed([block for block in blocks if len(block.numbers)])

    def measure(self, variables: Variables) -> Iterator[Measured]:
        """See `Executor`; as many parts at a time as there are workers."""
        total, workers = tree_leaves(variables)[0].shape[1], len(self._workers.ready())
        size = self.plan.block_strengths
        size = size if self._whole else max(1, min(size, math.ceil(total / workers)))
        parts = [slice(at, at + size) for at in range(0, total, size)]
        for at in range(0, len(parts), workers):
            some = parts[at : at + workers]
            calls = [
                self._sent(RayCall("measure", (tree_map(lambda leaf: leaf[:, part], variables),)))  # noqa: B023
                for part in some
            ]
            for part, call in zip(some, calls, strict=True):
                for measured in self._awaited(call, calls):
                    yield measured._replace(places=measured.places + part.start)

    def read(self, blocks: Sequence[RayBlock], strengths: np.ndarray) -> Variables:
        """See `Executor`."""
        found = [(block, strengths[np.isin(strengths, block.numbers)]) for block in blocks]
        calls = [self._sent(RayCall("read", (here,), block)) for block, here in found if len(here)]
        parts = [self._awaited(call, calls) for call in calls]
        order = np.concatenate([here for _, here in found])
        places = np.argsort(order)[np.searchsorted(np.sort(order), strengths)]
        return tree_map(lambda *leaves: np.concatenate(leaves, axis=1)[:, places], *parts)

    def saved(self, blocks: Sequence[RayBlock]) -> list[SavedBlock]:
        """See `Executor`."""
        for block in blocks:
            self._bring(block, exactly=True)
        return [saved for block in blocks for saved in block.state.saved]

    def restored(self, blocks: Sequence[SavedBlock]) -> list[RayBlock]:
        """See `Executor`."""
        self._prepare()
        return self._placed([RayBlock(one.strengths[: one.count], state=GroupState([one])) for one in blocks])

    @property
    def structure(self) -> Variables:
        """See `Executor`."""
        return self._answer(RayCall("structure", ()))

    def _prepare(self) -> None:
        """Have all workers fetch the search and compile: that is no part of the time that an epoch takes."""
        calls = [self._sent(RayCall("prepare", ())) for _ in self._workers.ready()]
        for call in calls:
            seconds, compilations = self._awaited(call, calls)
            self.compile_seconds = max(self.compile_seconds, seconds)
            self.compilations = max(self.compilations, compilations)

    def _epochs(self, calls: Sequence[RayCall], first: int, count: int) -> Iterator[Epochs]:
        for call in calls:
            done: Advanced = self._awaited(call, calls)
            assert call.block is not None, "epochs are a block's"
            before = call.block.state
            if done.saved is None:
                call.block.state = GroupState(before.saved, (*before.calls, (first, count)))
            else:
                call.block.state = GroupState(done.saved)
            self.compile_seconds = max(self.compile_seconds, done.compile_seconds)
            self.compilations = max(self.compilations, done.compilations)
            yield done.epochs

    def _brings(self, block: RayBlock) -> bool:
        """Whether the next call of a block brings its state back."""
        return len(block.state.calls) + 1 >= self._options.every

    def _bring(self, block: RayBlock, exactly: bool = False) -> None:
        """Have a block's state as it is now; `exactly` of its strengths, and no others that have left."""
        state = block.state
        others = sum(one.count for one in state.saved) != len(block.numbers)
        if state.calls or (exactly and others):
            block.state = GroupState(self._answer(RayCall("saved", (), block)))

    def _cut(self, strengths: np.ndarray) -> list[np.ndarray]:
        """Cut strengths into blocks: as without Ray where that decides numbers, else one for each worker."""
        if self._whole:
            size = self.plan.block_strengths
            return [strengths[at : at + size] for at in range(0, len(strengths), size)]
        return np.array_split(strengths, min(len(self._workers.ready()), len(strengths)))

    def _joined(self, blocks: Sequence[RayBlock], strengths: np.ndarray) -> RayBlock:
        """Make a block of strengths that stand in several."""
        here = [one for block in blocks for one in block.state.saved if np.isin(strengths, one.strengths).any()]
        return RayBlock(strengths, state=GroupState(here))

    def _placed(self, blocks: list[RayBlock]) -> list[RayBlock]:
        """Give every block a worker, and have the others forgotten."""
        kept = {block.key for block in blocks}
        for block in self._blocks:
            if block.key not in kept and block.held and block.worker is not None:
                block.worker.send("forget", self._shipped.number, [block.key])
        self._blocks = blocks
        for block in blocks:
            if not self._workers.is_alive(block.worker):
                block.worker, block.held = self._least_loaded(), False
        return blocks

    def _load(self, worker: RayWorker) -> int:
        """What a worker has to do: strengths, or blocks where these stay whole."""
        return sum(self._size(block) for block in self._blocks if block.worker is worker)

    def _size(self, block: RayBlock) -> int:
        return 1 if self._whole else len(block.numbers)

    def _least_loaded(self) -> RayWorker:
        return min(self._workers.ready(), key=self._load)

    def _balanced(self, blocks: list[RayBlock]) -> list[RayBlock]:
        """Move strengths to workers that have less to do, or came later, where that pays."""
        self._blocks = blocks
        workers = self._workers.ready()
        ideal = math.ceil(sum(map(self._size, blocks)) / len(workers))
        most = max(map(self._load, workers), default=0)
        if most - ideal <= WORTH_MOVING * most:
            return blocks
        for block in list(blocks):
            over = min(self._load(block.worker) - ideal, self._size(block)) if block.worker else 0
            if over > 0:
                self._moved(block, over, ideal)
        return self._placed([block for block in self._blocks if len(block.numbers)])

    def _moved(self, block: RayBlock, over: int, ideal: int) -> None:
        """Hand so much of a block over to those who have the least to do, and less than is ideal."""
        self._bring(block)
        if self._whole:
            if block.held and block.worker is not None:
                block.worker.send("forget", self._shipped.number, [block.key])
            block.worker, block.held = self._least_loaded(), False
            return
        block.numbers, moving = block.numbers[:-over], block.numbers[-over:]
        while len(moving):
            worker = self._least_loaded()
            room = max(1, ideal - self._load(worker))
            part, moving = moving[:room], moving[room:]
            self._blocks = [*self._blocks, RayBlock(part, worker, block.state)]

    def _ship(self, number: str) -> None:
        """Put what all workers need into the object store."""
        try:
            reference = self._workers.put(self._shipment)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise InputError(not_sendable(self._shipment, error)) from None
        plan = self._shipped.plan if hasattr(self, "_shipped") else None
        self._shipped = Shipped(number, partial(self._workers.ray.get, reference), plan)

    def _sent(self, call: RayCall) -> RayCall:
        """Send a call, with the state of its block where the worker does not hold it."""
        block, arguments = call.block, call.arguments
        if block is not None:
            if not self._workers.is_alive(block.worker):
                block.worker, block.held = self._least_loaded(), False
            group = Group(block.key, block.numbers, None if block.held else block.state)
            arguments, block.held = (group, *arguments), True
        worker = self._next_worker() if block is None or block.worker is None else block.worker
        call.worker = worker
        call.reference = worker.send(call.method, self._shipped, *arguments)
        return call

    def _next_worker(self) -> RayWorker:
        """One after the other."""
        workers = self._workers.ready()
        return workers[next(self._turns) % len(workers)]

    def _answer(self, call: RayCall) -> Any:
        return self._awaited(self._sent(call), [call])

    def _awaited(self, call: RayCall, calls: Sequence[RayCall]) -> Any:
        """Wait for an answer; of a worker that died all calls are sent again, elsewhere and from the state before."""
        while True:
            try:
                return self._workers.get(call.reference)
            except CallLostError as lost:
                call.failed += 1
                if call.failed >= MOST_ATTEMPTS:
                    raise TrainingError(
                        f"A call of the search failed on {MOST_ATTEMPTS} workers in a row, the last time by "
                        f"{lost.why}: give each worker more memory, or make the search smaller."
                    ) from None
                self._lost(call, lost, calls)

    def _lost(self, call: RayCall, lost: CallLostError, calls: Sequence[RayCall]) -> None:
        if lost.dead and call.worker is not None:
            self._workers.bury(call.worker, lost.why)
        elif not lost.dead:
            self._ship(self._shipped.number)
        for other in calls[calls.index(call) :]:
            if other is call or not self._workers.is_alive(other.worker):
                if other.block is not None:
                    other.block.held = False
                self._sent(other)


def spread_plan(plan: Plan, workers: int, *, whole: bool) -> Plan:
    """Return one worker's plan with the time that so many take; what decides numbers is as it was."""
    least = max(1, min(workers, plan.blocks if whole else plan.strengths))
    seconds = plan.compile_seconds + (plan.seconds - plan.compile_seconds) / least if plan.seconds else 0.0
    return replace(plan, seconds=seconds, epoch_seconds=plan.epoch_seconds / least)


def shipment_of(job: Job, settings: Settings, trains: str) -> Shipment:
    """Return what workers need to know; what only decides, and what cannot leave this process, stays here."""
    job = replace(job, row_sets=replace(job.row_sets, again=None))
    settings = replace(settings, executor=None, ending=AT_THE_END, checkpoints=None)
    if "jax" not in sys.modules:
        return Shipment(job, settings, trains)
    config = sys.modules["jax"].config
    return Shipment(job, settings, trains, config.jax_enable_x64, config.jax_default_matmul_precision)


def jax_devices(wanted: int | None) -> int:
    """Return with how many devices JAX would train on this machine's processor."""
    chosen = getattr(sys.modules["jax"].config, "jax_num_cpu_devices", -1) if "jax" in sys.modules else -1
    there = chosen if chosen > 0 else int(os.environ.get("JAX_NUM_CPU_DEVICES") or cpu_devices())
    return min(wanted or there, there)


def not_sendable(shipment: Shipment, error: Exception) -> str:
    """Say which part of a search cannot be sent to another process."""
    import cloudpickle

    parts = {field.name: getattr(shipment.job, field.name) for field in fields(shipment.job)}
    parts |= {name: getattr(shipment.settings, name) for name in ("optimizer", "schedule")}
    found = []
    for name, part in parts.items():
        try:
            cloudpickle.dumps(part)
        except (TypeError, AttributeError, pickle.PicklingError):
            found.append(name.replace("_", " "))
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return (
        f"Ray cannot send the {' and the '.join(found) or 'search'} of this search to its workers ({said}): leave out "
        "what belongs to this process only, such as open files and locks, or search without Ray."
    )


def _forgotten(workers: RayWorkers, number: str) -> None:
    """Have all workers let a search go."""
    workers.tell_all("forget", number)
