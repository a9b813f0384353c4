"""Training on a table that memory does not hold: an epoch reads it once, window after window, for all row sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fitwell.data.streamed_inputs import StreamedInputs
from fitwell.data.windows import Route, Windows, even_windows
from fitwell.engine import plain_noise
from fitwell.engine.dense_training import EVALUATED_ROWS, DenseTraining, Scratch
from fitwell.engine.executor import Epochs, Executor, Job, Measured
from fitwell.engine.feeding import Feed
from fitwell.engine.job import Settings
from fitwell.engine.memory import host_memory
from fitwell.engine.network import Variables
from fitwell.engine.numpy_costs import MOST_STRENGTHS, measure_products
from fitwell.engine.numpy_executor import NumpyBlock, NumpyExecutor, why_not
from fitwell.engine.plan import Plan
from fitwell.engine.records import recorded_bytes
from fitwell.errors import InputError
from fitwell.trees import tree_map

ENCODED_AT_ONCE = 4
"""How many times the rows of a window may be encoded at a time: of five folds what trains of them is as much."""

WINDOW_SHARE = 0.5
"""Of the memory budget, for a window and what is encoded of it. The rest is for networks, and for what is kept of rows.

By the table and the budget only, never by what trains: a strength alone has the same windows as among others."""

LEAST_ROWS = 4096
"""Of a window: with fewer, reading and encoding are many small pieces, and rows are hardly shuffled."""

ANSWER_SHARE = 0.25
"""Of the budget, for the outputs of all held-out rows by some networks, when a search is over."""

ORDER_OF_WINDOWS = plain_noise.WORD
"""In the place of a row set's number, for random numbers that all of them share."""


def streamed(job: Job, settings: Settings, estimate: bool = False) -> Executor[Any]:
    """Train on a table on disk; where all of it is one window, as on any other."""
    if reason := why_not(job, settings):
        raise InputError(
            f"A table that is larger than memory is trained by NumPy, which cannot train {reason}: leave that out, or "
            "raise 'memory'."
        )
    inputs = job.dataset.inputs
    if windows_of(inputs, settings).count > 1:
        return StreamedExecutor(job, settings, estimate)
    dataset = replace(job.dataset, inputs=inputs.in_memory())
    return NumpyExecutor(replace(job, dataset=dataset), settings, estimate)


def windows_of(inputs: StreamedInputs, settings: Settings) -> Windows:
    """Cut a table into windows by the memory budget.

    Without one, by the power of two below what is free: so that the same search has the same windows, mostly.
    """
    budget = settings.memory
    if budget is None:
        # once for a table: what its networks take must not make other windows of it
        inputs.free = inputs.free or host_memory()
        budget = 2 ** int(math.log2(max(inputs.free, 1)))
    row = inputs.row_bytes + ENCODED_AT_ONCE * inputs.input_bytes
    return even_windows(inputs.shape[1], max(LEAST_ROWS, int(WINDOW_SHARE * budget) // row))


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows of a row set on which losses are measured: 0 in training, 1 held out, as in `Epochs.curves`.

    `sums` are, for each block, those of loss and metric until now, float [2, S].
    """

    number: int
    feed: Feed
    sums: list[np.ndarray]


class StreamedExecutor(NumpyExecutor):
    """The `Executor` of NumPy with the rows on disk.

    An epoch is two passes: rows train in windows whose order is drawn anew, the rows of a window shuffled; then losses
    are measured, window after window. Either way a window is read once for all row sets and blocks.

    Parameters
    ----------
    windows
        How the table is cut; None decides by memory.
    """

    def __init__(self, job: Job, settings: Settings, estimate: bool = False, windows: Windows | None = None) -> None:
        self.inputs: StreamedInputs = job.dataset.inputs
        self.windows = windows or windows_of(self.inputs, settings)
        self._units = _units_held_out(job, settings)
        super().__init__(job, settings, estimate)

    def advance(
        self, blocks: Sequence[NumpyBlock], first: int, count: int
    ) -> tuple[Sequence[NumpyBlock], Iterable[Epochs]]:
        """See `Executor`."""
        done = [self._nothing_yet(block, count) for block in blocks]
        for place, epoch in enumerate(range(first, first + count)):
            self._train(blocks, epoch)
            self._look(blocks, done, place)
            for block, epochs in zip(blocks, done, strict=True):
                self._keep_best(block, epochs.curves[1, :, :, place], epoch + 1)
        return blocks, (
            epochs._replace(best_loss=block.best_loss.copy(), best_epoch=block.best_epoch.copy())
            for block, epochs in zip(blocks, done, strict=True)
        )

    def visits(self, epoch: int) -> np.ndarray:
        """Draw the order of the windows in an epoch, int [W]."""
        key = plain_noise.words_of(self.settings.seed)
        for number in (ORDER_OF_WINDOWS, epoch):
            key = plain_noise.folded(key, number)
        return np.argsort(plain_noise.levels(key, self.windows.count), kind="stable")

    def measure(self, variables: Variables) -> Iterator[Measured]:
        """See `Executor`; a pass for as many networks as memory has outputs of."""
        total = variables.trainable[0]["kernel"].shape[1]
        for places in np.array_split(np.arange(total), math.ceil(total / self._networks_at_once(total))):
            yield self._measured(variables, places)

    def _measured(self, variables: Variables, places: np.ndarray) -> Measured:
        shape = (self.plan.row_sets, len(places), self.rows.held_out.shape[1])
        k, dtype = self.layout.sizes[-1], self.job.dataset.dtype
        outputs, losses = np.full((*shape, k), np.nan, dtype), np.full(shape, np.nan)
        training = self._training(np.zeros(len(places), int))
        weights = self.layout.joined(tree_map(lambda leaf: leaf[:, places], variables))
        routes: dict[int, Route] = {}
        feeds: list[Feed] = []
        for r in range(self.plan.row_sets):
            if len(held_out := self.rows.held_out[r, : self.rows.n_held_out[r]]):
                routes[r] = self._route(held_out)
                feeds.append(self._measuring(r, held_out, routes[r]))

        def apply(feed: Feed, count: int, scratch: Scratch) -> None:
            r = feed.r
            for rows, raw, targets in self._outputs(training, weights[r], feed, count, scratch):
                here = routes[r].places[rows]
                outputs[r][:, here] = raw.swapaxes(1, 2)
                losses[r][:, here] = self.loss.by_row(raw, targets)[0] * self._unit(r)

        self._pass(range(self.windows.count), feeds, lambda feed, count: [partial(apply, feed, count)])
        return Measured(places, outputs, losses)

    def _train(self, blocks: Sequence[NumpyBlock], epoch: int) -> None:
        """Train all blocks on all row sets in one pass."""
        visits, batch_size = self.visits(epoch), self.plan.batch_size
        weight = self.job.dataset.train_weight
        keys, feeds, factors = {}, {}, {}

        def begin(scratch: Scratch, r: int) -> None:
            del scratch
            keys[r], order = self._order(r, epoch)
            factors[r], route = self._factors(len(order), epoch), self.windows.route(order, visits)
            feeds[r] = Feed(self.inputs, self.windows, r, order, route, batch_size, len(factors[r]) * batch_size)

        def train(feed: Feed, count: int, block: NumpyBlock, scratch: Scratch) -> None:
            r, rows, earlier = feed.r, feed.numbers(count), feed.handed // batch_size
            mine, some = (
                None if weight is None else weight[r][rows],
                factors[r][earlier : earlier + count // batch_size],
            )
            state, taken = (block.weights[r], block.means[r], block.squares[r]), int(block.steps[r])
            data = feed.buffer[:count], self._targets(r)[rows], np.arange(count)
            block.training.epoch(*state, taken, some, *data, batch_size, keys[r], scratch, mine, earlier)
            block.steps[r] += len(some)

        self._each(begin, [(r,) for r in range(self.plan.row_sets)])
        ordered = [feeds[r] for r in range(self.plan.row_sets)]
        self._pass(visits.tolist(), ordered, lambda feed, count: [partial(train, feed, count, one) for one in blocks])

    def _look(self, blocks: Sequence[NumpyBlock], done: Sequence[Epochs], place: int) -> None:
        """Measure all blocks on all row sets in one pass: mean loss and metric, without noise."""
        groups: dict[Feed, _Group] = {}
        for r in range(self.plan.row_sets):
            of_r = self.rows.measured[r, : self.rows.n_measured[r]], self.rows.held_out[r, : self.rows.n_held_out[r]]
            for number, rows in enumerate(of_r):
                if len(rows):
                    feed = self._measuring(r, rows, self._route(rows))
                    groups[feed] = _Group(number, feed, [np.zeros((2, len(block.numbers))) for block in blocks])

        def look(feed: Feed, count: int, b: int, scratch: Scratch) -> None:
            training, weights = blocks[b].training, blocks[b].weights[feed.r]
            for rows, outputs, targets in self._outputs(training, weights, feed, count, scratch):
                self._add(groups[feed], b, feed.rows[rows], self.loss.by_row(outputs, targets), done[b], place)

        def work(feed: Feed, count: int) -> list[Callable[[Scratch], None]]:
            return [partial(look, feed, count, b) for b in range(len(blocks))]

        self._pass(range(self.windows.count), list(groups), work)
        for feed, group in groups.items():
            weight = self.job.dataset.weight
            total = len(feed.rows) if weight is None else weight[feed.rows].astype(float).sum()
            for sums, epochs in zip(group.sums, done, strict=True):
                epochs.curves[[group.number, 2 + group.number], feed.r, :, place] = sums / total

    def _add(
        self, group: _Group, b: int, rows: np.ndarray, found: tuple[np.ndarray, np.ndarray], done: Epochs, place: int
    ) -> None:
        """Add what some rows lost, [S, rows], to the sums of a block."""
        r, weight = group.feed.r, self.job.dataset.weight
        loss, metric = (part.astype(float) for part in found)
        loss *= self._unit(r)
        if weight is not None:
            mine = weight[rows].astype(float)
            counts = mine > 0  # a row of no weight may be far out, and infinity times 0 is no number
            rows, mine = rows[counts], mine[counts]
            loss, metric = loss[:, counts] * mine, metric[:, counts] * mine
        group.sums[b] += loss.sum(axis=1), metric.sum(axis=1)
        if group.number == 1 and done.unit_losses is not None:
            names, of = self._units[r]
            for sums, losses in zip(done.unit_losses[r][:, place], loss, strict=True):
                sums += np.bincount(np.searchsorted(names, of[rows]), losses, minlength=len(names))

    def _outputs(
        self, training: DenseTraining, weights: np.ndarray, feed: Feed, count: int, scratch: Scratch
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Apply networks to what a feed hands out: which of its rows, raw outputs [S, k, rows], and targets."""
        targets = self._targets(feed.r)
        for at in range(0, count, EVALUATED_ROWS):
            part = slice(at, min(at + EVALUATED_ROWS, count))
            rows = slice(feed.handed + part.start, feed.handed + part.stop)
            yield rows, training.outputs(weights, feed.buffer[part], scratch), targets[feed.rows[rows]]

    def _pass(
        self, visits: Iterable[int], feeds: Sequence[Feed], work: Callable[[Feed, int], list[Callable[..., None]]]
    ) -> None:
        """Read every window once; encode its rows for each feed, and do its work with whole batches of them."""
        for visit, window in enumerate(visits):
            features = self.inputs.window(self.windows.span(window))
            for some in self._some_at_a_time(feeds, visit):
                self._each(_encode, [(feed, part) for feed in some for part in feed.open(visit, window, features)])
                ready = [(feed, count) for feed in some if (count := feed.ready(visit))]
                self._each(_do, [(task,) for feed, count in ready for task in work(feed, count)])
                handed = dict(ready)
                for feed in some:
                    feed.close(handed.get(feed, 0))

    def _some_at_a_time(self, feeds: Sequence[Feed], visit: int) -> Iterator[list[Feed]]:
        """Group feeds so that what is encoded of a window fits memory."""
        room, some = ENCODED_AT_ONCE * self.windows.rows, []
        for feed in feeds:
            if some and sum(one.waiting(visit) for one in [*some, feed]) > room:
                yield some
                some = []
            some.append(feed)
        if some:
            yield some

    def _route(self, rows: np.ndarray) -> Route:
        return self.windows.route(rows, np.arange(self.windows.count))

    def _measuring(self, r: int, rows: np.ndarray, route: Route) -> Feed:
        # in parts as large as those of a table in memory: of other sizes BLAS may round rows otherwise
        return Feed(self.inputs, self.windows, r, rows, route, EVALUATED_ROWS)

    def _nothing_yet(self, block: NumpyBlock, count: int) -> Epochs:
        curves = np.full((4, self.plan.row_sets, len(block.numbers), count), np.nan)
        sums = [np.zeros((len(block.numbers), count, len(names))) for names, _ in self._units]
        return Epochs(curves, None, block.best_loss, block.best_epoch, sums or None)

    def _make_plan(self, estimate: bool) -> tuple[Plan, int]:
        speed, inputs = measure_products(self.threads) if estimate else 0.0, self.inputs
        again = self.batching.steps * self.batching.batch_size - int(self.rows.n_train.min())
        if again > self.batching.batch_size and self.windows.count > 1:
            # the beginning of an order, which its end needs, is kept: of row sets that differ much it would be too much
            self.batching = replace(self.batching, unequal=True)
        window = self.windows.rows * (inputs.row_bytes + ENCODED_AT_ONCE * inputs.input_bytes)
        # the orders of all row sets, and what one is made by
        orders = 4 * int(self.rows.n_train.sum()) + 24 * int(self.rows.n_train.max())
        plan = self._plan_of(self.job.dataset.bytes + window + orders, self._budget, speed)
        return replace(plan, windows=self.windows.count, window_rows=self.windows.rows), 0

    def _recorded_bytes(self) -> int:
        job, settings = self.job, self.settings
        if settings.units is None:
            return 0
        # each row's loss by every strength is on disk
        return 3 * recorded_bytes(job.row_sets, settings.units, job.candidates.count, settings.epochs)

    def _recorded_numbers(self) -> int:
        return max((len(names) for names, _ in self._units), default=0)

    @property
    def _budget(self) -> int:
        return host_memory() if self.settings.memory is None else self.settings.memory

    def _networks_at_once(self, total: int) -> int:
        rows, k = int(self.rows.n_held_out.sum()), self.layout.sizes[-1]
        one = rows * (8 + k * self.job.dataset.dtype.itemsize)
        return max(1, min(total, MOST_STRENGTHS, int(ANSWER_SHARE * self._budget) // max(one, 1)))


def _encode(scratch: Scratch, feed: Feed, part: slice) -> None:
    del scratch
    feed.encode(part)


def _do(scratch: Scratch, task: Callable[[Scratch], None]) -> None:
    task(scratch)


def _units_held_out(job: Job, settings: Settings) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each row set the units that it holds rows of out, rising, and the unit of every row; none if not asked."""
    if (units := settings.units) is None:
        return []
    weight = job.dataset.weight
    counting = [rows if weight is None else rows[weight[rows] > 0] for rows in job.row_sets.held_out]
    return [(np.unique(units[rows]), units) for rows in counting]
