"""What a worker on another machine does: it holds blocks of strengths, and trains them when it is told to.

It decides nothing, and whatever it holds can be made again by another worker: of a `Group` with its `GroupState`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
from threadpoolctl import threadpool_info

from fitwell._version import __version__
from fitwell.engine.executor import Block, Epochs, Executor, Job, Measured, SavedBlock
from fitwell.engine.fused_training import library
from fitwell.engine.job import Settings
from fitwell.engine.network import Variables
from fitwell.engine.plan import Plan
from fitwell.extras import check_installed
from fitwell.trees import tree_map

_B = TypeVar("_B", bound=Block)


class MovingExecutor(Executor[_B], Protocol[_B]):
    """An executor whose blocks can be cut anew at any time, wherever they come from."""

    def gathered(self, blocks: Sequence[_B], strengths: np.ndarray) -> Sequence[_B]:
        """Join strengths of several blocks to new blocks, as `repack` does where it pays."""
        ...


@dataclass(frozen=True, eq=False)
class Shipment:
    """What every worker needs to know of a search.

    Attributes
    ----------
    job, settings
        What is trained, how.
    trains
        `"numpy"` or `"jax"`.
    precise
        Whether JAX computes in float64 where it is told to.
    products
        JAX's precision of matrix products; None is its own.
    """

    job: Job
    settings: Settings
    trains: str
    precise: bool = False
    products: str | None = None


class Shipped(NamedTuple):
    """Where a `Shipment` is found: its number, and a function that fetches it; and the plan that all workers keep to.

    Each for itself would plan by the memory that is free on its machine, and cut blocks as no other does.
    """

    number: str
    fetch: Callable[[], Shipment]
    plan: Plan | None = None


@dataclass(frozen=True, eq=False)
class GroupState:
    """All that strengths in training are made of: what was brought back last, and the calls since then.

    Attributes
    ----------
    saved
        Their blocks after the calls before, which may hold others, too; none where they are at their first weights.
    calls
        First epoch and number of epochs of each call since then.
    """

    saved: Sequence[SavedBlock] = ()
    calls: tuple[tuple[int, int], ...] = ()


class Group(NamedTuple):
    """Strengths that a worker trains together.

    Attributes
    ----------
    key
        A number that no other group of the process has.
    numbers
        int [S], of the strengths; fewer than the worker holds where some have left.
    state
        What they are made of; None where the worker holds them already.
    """

    key: int
    numbers: np.ndarray
    state: GroupState | None


class Advanced(NamedTuple):
    """What a call gave.

    Attributes
    ----------
    epochs
        In the order of the group's strengths.
    saved
        The blocks as they are now; None where they stay with the worker.
    compile_seconds, compilations
        See `Executor`.
    """

    epochs: Epochs
    saved: list[SavedBlock] | None
    compile_seconds: float
    compilations: int


class BlockWorker:
    """Trains groups of strengths of any number of searches.

    Parameters
    ----------
    cpus
        Threads that train at most.
    environment
        Environment variables that are set before anything is imported that reads them.
    """

    def __init__(self, cpus: int, environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        self._cpus = cpus
        self._executors: dict[str, MovingExecutor[Any]] = {}
        self._held: dict[tuple[str, int], Sequence[Block]] = {}

    def about(self) -> dict[str, str]:
        """Return what decides how numbers are rounded here."""
        return about_rounding()

    def plan(self, shipped: Shipped, estimate: bool) -> Plan:
        """Plan a search."""
        if shipped.number not in self._executors or estimate:
            self._executors[shipped.number] = self._made(shipped, estimate)
        return self._executors[shipped.number].plan

    def prepare(self, shipped: Shipped) -> tuple[float, int]:
        """Fetch the search, and compile what it runs; return the seconds of compilation, and how many programs."""
        executor = self._executor(shipped)
        executor.restored([])  # of nothing: what trains is compiled
        return executor.compile_seconds, executor.compilations

    def advance(self, shipped: Shipped, group: Group, first: int, count: int, bring: bool) -> Advanced:
        """Train a group for `count` epochs from epoch `first` on, and give its state back if it is to be brought."""
        executor = self._executor(shipped)
        blocks, done = executor.advance(self._blocks(shipped, group), first, count)
        epochs = joined_epochs(list(done))
        self._held[shipped.number, group.key] = blocks
        saved = executor.saved(blocks) if bring else None
        return Advanced(epochs, saved, executor.compile_seconds, executor.compilations)

    def read(self, shipped: Shipped, group: Group, strengths: np.ndarray) -> Variables:
        """Return the variables of some of a group's strengths at their best epochs."""
        return self._executor(shipped).read(self._blocks(shipped, group), strengths)

    def saved(self, shipped: Shipped, group: Group) -> list[SavedBlock]:
        """Return a group's state."""
        return self._executor(shipped).saved(self._blocks(shipped, group))

    def measure(self, shipped: Shipped, variables: Variables) -> list[Measured]:
        """Apply networks to the held-out rows of their row sets."""
        executor = self._executor(shipped)
        executor.restored([])  # of nothing: what measures may have to be compiled
        return list(executor.measure(variables))

    def structure(self, shipped: Shipped) -> Variables:
        """Return a tree of the kind that `read` gives, with zeros for leaves."""
        executor = self._executor(shipped)
        executor.restored([])
        return tree_map(lambda _: 0, executor.structure)

    def forget(self, number: str, keys: Sequence[int] | None = None) -> None:
        """Let groups of a search go; with None the whole search."""
        for key in [key for key in self._held if key[0] == number and (keys is None or key[1] in keys)]:
            del self._held[key]
        if keys is None:
            self._executors.pop(number, None)

    def _executor(self, shipped: Shipped) -> MovingExecutor[Any]:
        if shipped.number not in self._executors:
            self._executors[shipped.number] = self._made(shipped, estimate=False)
        return self._executors[shipped.number]

    def _made(self, shipped: Shipped, estimate: bool) -> MovingExecutor[Any]:
        shipment, plan = shipped.fetch(), shipped.plan
        if plan is not None:
            as_planned = replace(shipment.settings, memory=plan.memory, block_strengths=plan.block_strengths)
            shipment = replace(shipment, settings=as_planned)
        if shipment.trains == "jax":
            return _with_jax(shipment, estimate)
        from fitwell.engine.numpy_executor import NumpyExecutor

        return NumpyExecutor(shipment.job, replace(shipment.settings, devices=self._cpus), estimate)

    def _blocks(self, shipped: Shipped, group: Group) -> Sequence[Block]:
        """Return a group's blocks, made anew if its state was sent, without the strengths that have left."""
        executor, state = self._executor(shipped), group.state
        if state is None:
            blocks = self._held[shipped.number, group.key]
        elif not state.saved:
            blocks = executor.start(group.numbers)
        else:
            blocks = executor.restored(state.saved)
        if not np.array_equal(np.concatenate([block.numbers for block in blocks]), group.numbers):
            blocks = executor.gathered(blocks, group.numbers)
        for first, count in state.calls if state else ():
            blocks, done = executor.advance(blocks, first, count)
            for _ in done:  # read, as every call's is
                pass
        self._held[shipped.number, group.key] = blocks
        return blocks


def about_rounding() -> dict[str, str]:
    """Return what must be the same everywhere for the same numbers: versions, the processor, whether C trains."""
    kinds = {str(one.get("architecture")) for one in threadpool_info() if one["user_api"] == "blas"}
    found = {"fitwell": __version__, "processor": ", ".join(sorted(kinds)), "training in C": str(library() is not None)}
    for name in ("numpy", "jax", "jaxlib", "keras", "optax"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def joined_epochs(parts: Sequence[Epochs]) -> Epochs:
    """Join what blocks gave, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Epochs(
        np.concatenate([part.curves for part in parts], axis=2),
        None if parts[0].row_loss is None else np.concatenate([cast(Any, part.row_loss) for part in parts], axis=1),
        np.concatenate([part.best_loss for part in parts]),
        np.concatenate([part.best_epoch for part in parts]),
    )


def _with_jax(shipment: Shipment, estimate: bool) -> MovingExecutor[Any]:
    check_installed()
    import jax

    from fitwell.engine.jax_executor import JaxExecutor

    jax.config.update("jax_enable_x64", shipment.precise)
    jax.config.update("jax_default_matmul_precision", shipment.products)
    return JaxExecutor(shipment.job, shipment.settings, estimate)
