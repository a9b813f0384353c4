"""What a search is given: its rows, how to train, and row sets as index arrays of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fitwell.data.encoded_later import EncodedLater
from fitwell.data.row_sets import RowSets
from fitwell.engine.checkpoints import Checkpoints
from fitwell.engine.ending import AT_THE_END, Ending
from fitwell.engine.network import Variables
from fitwell.engine.plan import BLOCK_NETWORKS, default_batch_size
from fitwell.engine.stopping import Screening, Stopping, pace_of
from fitwell.errors import InputError
from fitwell.trees import tree_leaves

if TYPE_CHECKING:
    from fitwell.engine.optimizers import Optimizer


@dataclass(frozen=True)
class Dataset:
    """The rows of a search, on the host.

    Attributes
    ----------
    inputs
        Array ``[R, n, ...]`` if `own` (each row set has its own encoding), else ``[n, ...]``; or a tree of such arrays;
        or, of a large table, `EncodedLater`.
    targets
        ``[R, n]`` or ``[n]``: int32 class indices, or values standardised inside the row set (of several outputs
        ``[R, n, k]``, labels as 0 and 1); or a tree of arrays ``[n, ...]`` (not if `own`).
    own
        Whether row sets have their own inputs and targets.
    shift, scale
        float [R], or [R, k] of several values: predictions in the target's units are ``shift + scale * output``; 0 and
        1 for classes.
    first
        `Variables` ``[R, ...]`` that training starts from; None draws them by the network's `init`.
    weight
        float [n], what each row counts where losses are measured: means over rows are weighted means. None is 1.
    train_weight
        float [R, n], the same in training, of mean 1 over the training rows of each row set: a batch's loss is the mean
        of weight times loss, so that over an epoch the gradient is that of the weighted mean. None is 1.
    """

    inputs: Any
    targets: Any
    own: bool
    shift: np.ndarray
    scale: np.ndarray
    first: Variables | None = None
    weight: np.ndarray | None = None
    train_weight: np.ndarray | None = None

    @property
    def loss_scale(self) -> np.ndarray:
        """Float [R]: losses are reported in units of its square.

        Of one value that is the target's own unit. Several have none in common: their losses stay those of standardised
        values, shares of each target's variance over the training rows.
        """
        return self.scale if self.scale.ndim == 1 else np.ones(len(self.scale))

    @property
    def bytes(self) -> int:
        """Of all that is kept; of inputs that are encoded later, of what they are made of."""
        weights = [part for part in (self.weight, self.train_weight) if part is not None]
        return sum(leaf.nbytes for leaf in [*tree_leaves((self.inputs, self.targets)), *weights])

    @property
    def bytes_at_once(self) -> int:
        """Of all arrays, with the inputs of all row sets encoded."""
        inputs = self.inputs
        return self.bytes + (inputs.stacked_bytes - inputs.nbytes if isinstance(inputs, EncodedLater) else 0)

    @property
    def rows(self) -> int:
        """Number of rows, n."""
        return tree_leaves(self.targets)[0].shape[1 if self.own else 0]

    @property
    def dtype(self) -> np.dtype:
        """Of losses and strengths: that of the first weights, else of the first inputs that are not whole numbers."""
        arrays = tree_leaves((self.first.trainable if self.first else None, self.inputs))
        # whole numbers are indices of embeddings, and no dtype for losses
        floating = [leaf.dtype for leaf in arrays if np.issubdtype(leaf.dtype, np.floating)]
        return np.dtype(floating[0] if floating else np.float32)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes
    ----------
    epochs
        The most epochs of a network.
    batch_size
        Rows of a batch; None takes an eighth of the training rows as a power of two, 16 to 256.
    stopping
        Who leaves when; None trains all strengths for all epochs.
    optimizer, schedule
        None is Adam, and the learning rate is constant unless told otherwise. The schedule is a name, or a function
        from the number of the step to the factor of the learning rate.
    seed
        Of first weights, row orders and noise.
    devices, block_strengths, memory
        Placement: at most so many devices, strengths of a block, bytes. None decides by the machine. Curves only change
        by rounding; when memory is so small that strengths train in waves, each wave halves by itself.
    block_networks
        Networks that are trained together, if memory allows: more of them, and what they compute leaves the cache.
    call_epochs
        Epochs trained between two decisions.
    schedule_epochs
        Epochs after which the schedule ends, if not `epochs`: a refit stops early on the search's schedule.
    equal_steps
        Whether every row set takes as many steps in an epoch as the largest, however many rows it has.
    executor
        What trains: ``executor(job, settings, estimate)`` returns a `fitwell.engine.executor.Executor`. None is JAX's.
    units
        int [n], the unit of each row (`fitwell.data.units`): the losses of all held-out rows are kept by unit at every
        epoch, in `Histories.records`. None keeps none.
    ending
        When to end before all epochs are over.
    checkpoints
        Where the search is written down while it goes on, and goes on from; None is nowhere.
    screening
        Which strengths begin where there are many rows and little time, if `stopping` has rungs; None takes the first.
    """

    epochs: int = 150
    batch_size: int | None = None
    stopping: Stopping | None = field(default_factory=Stopping)
    optimizer: Optimizer | None = None
    schedule: str | Callable[[Any], Any] = "constant"
    seed: int = 0
    devices: int | None = None
    block_strengths: int | None = None
    block_networks: int = BLOCK_NETWORKS
    memory: int | None = None
    # divides all rungs: each is decided at its own epoch
    call_epochs: int = 5
    schedule_epochs: int | None = None
    equal_steps: bool = False
    units: np.ndarray | None = None
    executor: Callable[..., Any] | None = None
    ending: Ending = AT_THE_END
    checkpoints: Checkpoints | None = None
    screening: Screening | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "call_epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"'{name}' must be at least 1. Got {getattr(self, name)}.")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"'batch_size' must be at least 1. Got {self.batch_size}.")
        # a key is two words of 32 bits: a larger seed would be cut off, and two seeds be one
        if not 0 <= self.seed < 2**32:
            raise InputError(f"'seed' must lie in [0, 4294967296). Got {self.seed}.")


# folds differ by a row or two, so only groups, time and learning curves pay for the further masking
UNEQUAL = 1.25
"""Row sets take the steps of their own epochs when the largest has this many times the rows of the smallest."""


@dataclass(frozen=True)
class Batching:
    """How the training rows of an epoch are cut, alike for all row sets.

    Attributes
    ----------
    batch_size, steps
        Rows of a batch, and batches that an epoch of the largest row set takes.
    unequal
        Whether each row set takes the steps of its own rows only.
    """

    batch_size: int
    steps: int
    unequal: bool


def make_batching(row_sets: RowSets, settings: Settings) -> Batching:
    """Cut epochs by the largest row set: all have one size of batches."""
    most, least = int(np.max(row_sets.n_train)), int(np.min(row_sets.n_train))
    batch_size = min(settings.batch_size or default_batch_size(most), most)
    # rounded up, so that every row is seen; the last batch wraps round
    return Batching(batch_size, -(-most // batch_size), not settings.equal_steps and most > UNEQUAL * least)


def paced(settings: Settings, row_sets: RowSets) -> Settings:
    """Return settings whose rungs, screening, and what is trained between two decisions fit the steps of an epoch."""
    if settings.stopping is None or not settings.stopping.rungs:
        return replace(settings, screening=None)
    steps, screening = make_batching(row_sets, settings).steps, settings.screening
    if screening and (steps < screening.steps or row_sets.n_train.min() < screening.rows):
        screening = None
    pace = pace_of(steps)
    call_epochs = max(1, int(settings.call_epochs * pace))
    return replace(settings, stopping=settings.stopping.paced(pace), screening=screening, call_epochs=call_epochs)


Leaf = Any
"""A JAX array in the program; a NumPy array on the host; the number of a mapped axis in a specification."""


class Rows(NamedTuple):
    """One row set as indices into the data, padded so that all row sets have one shape.

    Attributes
    ----------
    id
        int [], which row set this is: random numbers come from it, never from its place in a block.
    train, n_train
        int [m_max] and how many of them are real.
    measured, n_measured
        int [h_max]: a random part of the training rows, as many as are held out, on which the training loss is
        measured; rows that weigh nothing are the last to be taken.
    held_out, n_held_out
        int [h_max] and how many of them are real; none in a refit on all rows.
    """

    id: Leaf
    train: Leaf
    n_train: Leaf
    measured: Leaf
    n_measured: Leaf
    held_out: Leaf
    n_held_out: Leaf


def make_rows(row_sets: RowSets, seed: int, weight: np.ndarray | None = None) -> Rows:
    """Turn row sets into padded index arrays [R, ...], and draw the training rows on which loss is measured.

    `weight` is that of each row there, float [n].
    """
    train, n_train, held_out, n_held_out = row_sets.padded()
    # as many as are held out are enough to compare, and cost no more
    n_measured = np.minimum(n_train, n_held_out).astype(np.int32)
    measured = np.zeros((row_sets.count, int(n_measured.max(initial=0))), np.int32)
    for r, identity in enumerate(row_sets.ids):
        # by what the row set is, not by its place: alone or among others it measures the same rows
        generator = np.random.default_rng([seed, int(identity)])
        order = generator.permutation(train[r, : n_train[r]])
        if weight is not None:  # a mean over rows that weigh nothing is none
            order = order[np.argsort(weight[order] == 0, kind="stable")]
        measured[r, : n_measured[r]] = order[: n_measured[r]]
    ids = np.asarray(row_sets.ids, np.int32)
    return Rows(ids, train, n_train.astype(np.int32), measured, n_measured, held_out, n_held_out.astype(np.int32))
