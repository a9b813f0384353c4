"""What stands between a search and whatever multiplies: seven verbs. The search decides, an executor computes.

An executor alone knows of devices, host copies, padding and the units that losses have while they are computed; what
it gives back are host arrays in the target's own units. A new one is one class: pass it as `Settings.executor`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import Loss
from fitwell.engine.network import PureNetwork, Variables
from fitwell.engine.plan import Plan
from fitwell.engine.records import recorded_bytes
from fitwell.regularization.strengths import Candidates


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be trained.

    Attributes
    ----------
    network
        A model as pure functions.
    dataset
        The rows.
    row_sets
        Which rows train and which are held out, R times.
    candidates
        The strengths, G.
    loss
        What is minimised and measured.
    """

    network: PureNetwork
    dataset: Dataset
    row_sets: RowSets
    candidates: Candidates
    loss: Loss

    def recorded_bytes(self, settings: Settings) -> int:
        """Return the memory of the losses that are kept of rows."""
        if settings.units is None:
            return 0
        one = recorded_bytes(self.row_sets, settings.units, self.candidates.count, settings.epochs)
        rows = self.row_sets.n_rows
        # the rows' units, their order by unit in every row set, and at the end each row's loss by every strength
        numbers = rows + int(self.row_sets.n_held_out.sum()) + self.candidates.count * rows
        # a score copies what may be chosen, and adds it up over repeats
        return 3 * one + numbers * np.dtype(float).itemsize


@dataclass(frozen=True, eq=False)
class SavedBlock:
    """A block as host arrays.

    Attributes
    ----------
    strengths
        int, numbers of its strengths; there may be repeats behind them that fill it up.
    count
        How many are no repeats.
    arrays
        What it holds, in an order that its executor knows.
    """

    strengths: np.ndarray
    count: int
    arrays: list[np.ndarray]


class Block(Protocol):
    """Some strengths in training together, with all row sets; what else it holds is its executor's affair."""

    @property
    def numbers(self) -> np.ndarray:
        """Their numbers in the search, int [S]."""
        ...


B = TypeVar("B", bound=Block)


class Epochs(NamedTuple):
    """What some epochs of one block gave, in the order of `Block.numbers`.

    Attributes
    ----------
    curves
        Training loss, held-out loss, training metric and held-out metric, float [4, R, S, epochs]. NaN where a network
        diverged.
    row_loss
        float [R, S, epochs, h_max], the loss of every held-out row; None where it is not recorded.
    best_loss, best_epoch
        [S], of the mean over row sets until now, epochs counted from 1: that of the snapshot that is kept.
    unit_losses
        In the place of `row_loss` where there are more rows than memory has room for: for each row set the sums over
        the rows of each of its units, float [S, epochs, u_r], see `fitwell.engine.records.Records`.
    """

    curves: np.ndarray
    row_loss: np.ndarray | None
    best_loss: np.ndarray
    best_epoch: np.ndarray
    unit_losses: Sequence[np.ndarray] | None = None


class Measured(NamedTuple):
    """Networks applied to the held-out rows of their row sets.

    Attributes
    ----------
    places
        int [S], which of the networks that were asked about.
    outputs
        Raw outputs [R, S, h_max, k], or a tree of such.
    losses
        float [R, S, h_max].
    """

    places: np.ndarray
    outputs: Any
    losses: np.ndarray


class Executor(Protocol[B]):
    """Trains networks; made by ``executor(job, settings, estimate)``, which only plans."""

    @property
    def plan(self) -> Plan:
        """How the job is cut."""
        ...

    @property
    def compile_seconds(self) -> float:
        """Time spent on compilation so far."""
        ...

    @property
    def compilations(self) -> int:
        """Programs for training made, or taken from an earlier search: one at most, for all blocks and waves."""
        ...

    def start(self, strengths: np.ndarray) -> Sequence[B]:
        """Put strengths at their first weights into blocks."""
        ...

    def advance(self, blocks: Sequence[B], first: int, count: int) -> tuple[Sequence[B], Iterable[Epochs]]:
        """Train blocks for `count` epochs from epoch `first` (counted from 0) on; the old blocks are used up.

        What the epochs gave is read once, block after block, before any other verb: so that only one block's losses of
        rows need be on the host at a time.
        """
        ...

    def repack(self, blocks: Sequence[B], strengths: np.ndarray) -> Sequence[B]:
        """Let the strengths that do not train on go, where that pays; blocks may be given back as they are."""
        ...

    def measure(self, variables: Variables) -> Iterator[Measured]:
        """Apply networks [R, any number, ...] to the held-out rows of their row sets, some at a time."""
        ...

    def read(self, blocks: Sequence[B], strengths: np.ndarray) -> Variables:
        """Return the variables of some strengths at their best epochs, a tree of host arrays [R, S, ...]."""
        ...

    def saved(self, blocks: Sequence[B]) -> list[SavedBlock]:
        """Bring blocks to the host as they are, to go on from there some other time."""
        ...

    def restored(self, blocks: Sequence[SavedBlock]) -> Sequence[B]:
        """Make blocks of what `saved` gave: trained on, they have the same numbers bit for bit."""
        ...

    @property
    def structure(self) -> Variables:
        """A tree of the kind that `read` gives, with anything for leaves; known once there have been blocks."""
        ...
