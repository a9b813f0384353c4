"""The plan of a search (blocks, waves, memory, work), and who is told of it and of how it goes on.

Sizes only: no data, no decisions later on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fitwell.errors import InputError, TrainingError

BLOCK_NETWORKS = 40
"""Networks trained in one block; 40 to 160 small ones are equally fast (`benchmarks/RESULTS.md`)."""

TYPICAL_EFFICIENCY = 0.4
"""Share of a large matrix product's speed that training reaches, all overheads counted."""

COMPILE_SECONDS = 4.0
"""Of JAX's program, for the estimate of the time: it is compiled once, whatever the size of the search."""


@dataclass(frozen=True)
class Work:
    """What one network costs.

    Attributes
    ----------
    variable_bytes
        Of its trainable and other variables.
    step_bytes
        Of the intermediate values of one training step.
    step_flops
        Floating point operations of one training step.
    trace_bytes
        Of the losses of held-out rows that one call records; 0 where they are not kept.
    host_traces
        How often as much is needed on the host while a block's losses are read: by default they come as they are, then
        as float64, of which the units' order makes another.
    """

    variable_bytes: int
    step_bytes: int
    step_flops: float
    trace_bytes: int = 0
    host_traces: int = 5

    STATE_COPIES = 4  # variables, two moments of Adam, the best epoch's snapshot

    @property
    def state_bytes(self) -> int:
        """Of a network in training between two calls."""
        return self.STATE_COPIES * self.variable_bytes + self.trace_bytes

    @property
    def call_bytes(self) -> int:
        """Of a network of the block that is at work: what a step needs, then what is read of its rows."""
        return max(self.step_bytes, self.host_traces * self.trace_bytes)


@dataclass(frozen=True)
class Plan:
    """How a search is cut into programs; the same plan gives the same numbers bit for bit on one machine.

    Attributes
    ----------
    row_sets, strengths
        R and G.
    epochs, steps, batch_size
        Most epochs, batches of an epoch, rows of a batch.
    devices
        Over which the strengths of a block are spread.
    block_strengths
        Strengths trained together in one block, with all row sets: a multiple of `devices`.
    wave_strengths
        Strengths that are in memory at a time; waves follow one another.
    memory
        Estimated bytes in use at the peak, data included.
    seconds
        Estimated time of training with compilation, 0 if the machine's speed was not measured.
    epoch_seconds
        Estimated time of one epoch of one strength, in all row sets; 0 likewise.
    compile_seconds
        Of `seconds`, what compilation takes.
    asked
        Strengths that were asked for; there are fewer where a budget has no time for all of them, or where many rows
        make it worth while to compare them on a part of these first.
    screened
        Strengths that are to begin after all were compared on a part of the rows, those that were best there; 0 where
        all are to begin.
    begun
        Epochs that were done before, of the strengths in training: the search goes on from there.
    budget
        Seconds of the deadline from the start of training on; 0 if there is none.
    windows, window_rows
        Of a table that is larger than memory: how many windows an epoch reads one after another, and the rows of one;
        both 0 where all rows are in memory.
    """

    row_sets: int
    strengths: int
    epochs: int
    steps: int
    batch_size: int
    devices: int
    block_strengths: int
    wave_strengths: int
    memory: int
    seconds: float
    epoch_seconds: float = 0.0
    compile_seconds: float = 0.0
    asked: int = 0
    screened: int = 0
    begun: int = 0
    budget: float = 0.0
    windows: int = 0
    window_rows: int = 0

    @property
    def networks(self) -> int:
        """R times G."""
        return self.row_sets * self.strengths

    @property
    def waves(self) -> list[range]:
        """The strengths of each wave."""
        return [
            range(i, min(i + self.wave_strengths, self.strengths))
            for i in range(0, self.strengths, self.wave_strengths)
        ]

    @property
    def blocks(self) -> int:
        """Blocks at the start of the search, over all waves."""
        return sum(math.ceil(len(wave) / self.block_strengths) for wave in self.waves)


def default_batch_size(n_train: int) -> int:
    """An eighth of the training rows, as a power of two from 16 to 256, and never more than there are."""
    # a power of two, so that tables of nearly one size train alike
    power = 2 ** round(math.log2(max(n_train / 8, 1)))
    return min(max(16, min(power, 256)), n_train)


def make_plan(
    *,
    row_sets: int,
    strengths: int,
    epochs: int,
    steps: int,
    batch_size: int,
    devices: int,
    work: Work,
    data_bytes: int,
    recorded_bytes: int = 0,
    budget: int,
    block_strengths: int | None = None,
    block_networks: int = BLOCK_NETWORKS,
    flops_per_second: float = 0.0,
    share: float = 1.0,
    efficiency: float = TYPICAL_EFFICIENCY,
    compile_seconds: float = COMPILE_SECONDS,
) -> Plan:
    """Cut a search of `row_sets` times `strengths` networks into blocks that fit `budget` bytes.

    All memory is counted here: `data_bytes` of the rows, `recorded_bytes` of the losses that are kept of them, the best
    variables of every strength, and what the networks of a wave and a block take while they train.

    Raises
    ------
    TrainingError
        Not even one block fits.
    InputError
        `block_strengths` is not a multiple of the devices.
    """
    # a device without a strength of its own would train repeats
    devices = min(devices, strengths)
    block = block_strengths or _block_strengths(row_sets, strengths, devices, block_networks)
    if block % devices:
        raise InputError(f"The strengths of a block must be a multiple of the {devices} devices. Got {block}.")
    kept = (
        data_bytes + recorded_bytes + row_sets * strengths * work.variable_bytes
    )  # every strength's best variables, on the host
    room = budget - kept
    # smaller blocks before waves: waves halve by themselves, blocks change nothing
    while block > devices and _bytes(row_sets * block, row_sets * block, work) > room and block_strengths is None:
        block -= devices
    step = row_sets * block * work.call_bytes
    # whole blocks only, for all have one shape; one step at a time is in memory
    fitting = int((room - step) // max(1, row_sets * work.state_bytes)) // block * block
    if fitting < 1:
        needed = kept + _bytes(row_sets * block, row_sets * block, work)
        raise TrainingError(
            f"The smallest block ({row_sets} row sets x {block} strengths) needs about {needed / 2**20:,.0f} MiB, and "
            f"the memory budget is {budget / 2**20:,.0f} MiB: raise it, "
            "or use a smaller network, smaller batches or fewer folds."
        )
    wave = min(fitting, math.ceil(strengths / block) * block)
    flops = row_sets * steps * work.step_flops
    epoch_seconds = flops / (flops_per_second * efficiency) if flops_per_second else 0.0
    return Plan(
        row_sets=row_sets,
        strengths=strengths,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        devices=devices,
        block_strengths=block,
        wave_strengths=wave,
        memory=kept + step + row_sets * wave * work.state_bytes,
        seconds=compile_seconds + strengths * epochs * share * epoch_seconds if epoch_seconds else 0.0,
        epoch_seconds=epoch_seconds,
        compile_seconds=compile_seconds,
        asked=strengths,
    )


def _block_strengths(row_sets: int, strengths: int, devices: int, networks: int) -> int:
    """About so many networks, spread evenly over the blocks and the devices."""
    most = max(devices, networks // row_sets // devices * devices)
    blocks = math.ceil(strengths / most)
    return math.ceil(strengths / blocks / devices) * devices


def _bytes(networks: int, training: int, work: Work) -> int:
    return networks * work.state_bytes + training * work.call_bytes


@dataclass(frozen=True)
class Progress:
    """Where a search stands.

    Attributes
    ----------
    epoch, epochs
        Epochs done, of the most there can be.
    running, networks
        Networks still in training, of all.
    best_loss
        The lowest mean held-out loss so far.
    done
        Share of the whole work done or saved, 0 to 1.
    """

    epoch: int
    epochs: int
    running: int
    networks: int
    best_loss: float
    done: float


class Listener:
    """What is told while a search goes on; by default it does nothing.

    Give functions for what you want to hear, or make a class of your own with methods of these names. An error that one
    of them raises ends the search.

    Parameters
    ----------
    on_read, on_plan, on_progress, wants_end
        Functions that take the place of the methods; None leaves these.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fitwell.api.tune import tune
    >>> class Losses(Listener):
    ...     def __init__(self) -> None:
    ...         self.seen: list[float] = []
    ...
    ...     def on_progress(self, progress: Progress) -> None:
    ...         self.seen.append(progress.best_loss)
    >>> losses, networks = Losses(), []
    >>> x, y = load_iris(return_X_y=True)
    >>> _ = tune(x, y, strengths=2, epochs=10, listener=losses)
    >>> losses.seen == sorted(losses.seen, reverse=True)
    True
    >>> _ = tune(x, y, strengths=2, epochs=10, listener=Listener(on_plan=lambda plan: networks.append(plan.networks)))
    >>> networks
    [10]
    """

    def __init__(
        self,
        *,
        on_read: Callable[[dict[str, Any]], object] | None = None,
        on_plan: Callable[[Plan], object] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        wants_end: Callable[[], bool] | None = None,
    ) -> None:
        given = {"on_read": on_read, "on_plan": on_plan, "on_progress": on_progress, "wants_end": wants_end}
        # an object's own attribute comes before its class's method
        vars(self).update({name: function for name, function in given.items() if function is not None})

    def on_read(self, summary: dict[str, Any], /) -> object:
        """Hear what was read, as plain types, before anything is trained."""
        del summary

    def on_plan(self, plan: Plan, /) -> object:
        """Hear how the search is cut, before it is compiled; a diagnosis that looks again plans again."""
        del plan

    def on_progress(self, progress: Progress, /) -> object:
        """Hear where the search stands, every few epochs."""
        del progress

    def wants_end(self) -> bool:
        """Say whether the search shall end now, with the best so far as its answer; asked every few epochs."""
        return False


QUIET = Listener()
