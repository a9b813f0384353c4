"""Training a search: blocks advance together, what they did is recorded, the hopeless leave; others compute."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine.ending import SHARE_OF_A_CALL, Ended, Pacing, affordable_strengths
from fitwell.engine.engines import with_jax
from fitwell.engine.executor import Block, Epochs, Executor, Job
from fitwell.engine.histories import Histories
from fitwell.engine.job import Dataset, Settings, paced
from fitwell.engine.losses import Loss
from fitwell.engine.network import PureNetwork, Variables
from fitwell.engine.plan import Listener, Plan, Progress
from fitwell.engine.records import Records
from fitwell.engine.stopping import Stopping, still_running
from fitwell.errors import TrainingError, UnfinishedError
from fitwell.regularization.strengths import Candidates
from fitwell.trees import tree_leaves, tree_map


class Training:
    """The strengths in training, and what has been recorded of them.

    Attributes
    ----------
    best
        Variables of all strengths at their best epochs, a tree of host arrays [R, G, ...]; complete at the end.
    ended
        That it was ended before its epochs were over.
    """

    best: Variables
    ended: Ended | None = None

    def __init__(
        self,
        job: Job,
        executor: Executor[Any],
        plan: Plan,
        settings: Settings,
        listener: Listener | None,
        beside: Callable[[], None] | None,
    ) -> None:
        self.executor, self.settings, self.listener, self.beside = executor, settings, listener, beside
        self.plan = plan
        # what all are compared with is never cut away: the unregularized network, and the one as given
        self.protected = {0, job.candidates.given}
        most_held_out = int(job.row_sets.n_held_out.max())
        self.measures = most_held_out > 0  # a refit holds nothing out, so no loss tells a diverged network
        shape = (plan.row_sets, plan.strengths, plan.epochs)
        # NaN says "not trained"; zero would be a perfect loss
        self.curves = np.full((4, *shape), np.nan)
        units = settings.units
        self.records = None
        if units is not None:
            self.records = Records.empty(job.row_sets, units, plan.strengths, plan.epochs, job.dataset.weight)
        # infinite ranks last, so a strength that never trained is never chosen
        self.best_loss = np.full(plan.strengths, np.inf)
        self.best_epoch = np.zeros(plan.strengths, int)
        self.epochs = np.zeros(plan.strengths, int)
        self.running = np.zeros(plan.strengths, bool)
        self.cut = np.zeros(plan.strengths, bool)
        self.ending = settings.ending
        # of one strength's epoch in all row sets: estimated, then measured
        self.epoch_seconds = plan.epoch_seconds
        self.begun = time.perf_counter()

    def train_wave(self, wave: range) -> None:
        """Train the strengths of a wave until all have left, the epochs are over, or the search is ended."""
        self.running[wave.start : wave.stop] = True
        blocks = self.executor.start(np.array(wave))
        pacing, epoch = Pacing(self.settings.stopping, self.plan.epochs), 0
        while blocks and epoch < self.plan.epochs:
            running, count, begin = int(self.running.sum()), self._epochs_of_call(epoch), time.perf_counter()
            blocks, done = self.executor.advance(blocks, epoch, count)
            for block, epochs in zip(blocks, done, strict=True):
                self._record(block.numbers, epochs, slice(epoch, epoch + count))
            epoch += count
            self.epoch_seconds = (time.perf_counter() - begin) / (running * count)
            pacing.fit(running, epoch, self._affordable(wave))
            self._perhaps_end(wave, epoch)
            blocks = self._let_go(blocks, wave, pacing.rules(epoch), epoch)
            self._report(wave, epoch)

    @property
    def trained(self) -> int:
        """Strengths that were trained: the first so many."""
        return self.ended.trained if self.ended else self.plan.strengths

    def histories(self, row_loss: np.ndarray) -> Histories:
        """Join what was recorded of the strengths that were trained."""
        here = slice(self.trained)
        return Histories(
            *self.curves[:, :, here],
            records=self.records and self.records.first(self.trained),
            best_epoch=self.best_epoch[here],
            best_loss=self.best_loss[here],
            epochs=self.epochs[here],
            diverged=self.diverged()[:, here],
            row_loss=row_loss,
            cut=self.cut[here],
        )

    def _epochs_of_call(self, epoch: int) -> int:
        """As many as always, or fewer where time is short."""
        most = min(self.settings.call_epochs, self.plan.epochs - epoch)
        seconds = self.epoch_seconds * self.running.sum()
        left = self.ending.left(self.executor.compile_seconds)
        if math.isinf(left) or seconds * most <= SHARE_OF_A_CALL * left:
            return most
        return max(1, min(most, int(SHARE_OF_A_CALL * left / seconds)))

    def _affordable(self, wave: range) -> float:
        """Epochs of one strength for which this wave has time; other waves are to have theirs."""
        left = self.ending.left(self.executor.compile_seconds)
        return left / self.epoch_seconds * len(wave) / (self.plan.strengths - wave.start)

    def _perhaps_end(self, wave: range, epoch: int) -> None:
        """End the search if there is a reason, and no time for one more epoch of those in training."""
        running = int(self.running.sum())
        reason = self.ending.reason(self.epoch_seconds * running, self.executor.compile_seconds)
        if reason is None or self.ended:
            return
        if self.ending.complete:
            raise UnfinishedError("The time was over before all epochs were.")
        self.ended = Ended(reason, epoch, running, wave.stop, self.plan.asked)

    def diverged(self) -> np.ndarray:
        """Mark the networks whose loss was not finite, bool [R, G]."""
        # curves are NaN after a strength has left, too, which is no divergence
        trained = np.arange(self.plan.epochs)[None, None, :] < self.epochs[None, :, None]
        # losses only: a metric may be undefined where training is sound
        finite = np.isfinite(self.curves[:2]).all(axis=0)
        if not self.measures:
            return np.zeros(finite.shape[:2], bool)
        return np.any(trained & ~finite, axis=2)

    def check_some_trained(self) -> None:
        """Raise a TrainingError if every strength diverged."""
        if not np.isinf(self.best_loss).all():
            return
        diverged = int(self.diverged().sum())
        which = f"All {self.plan.networks}" if diverged == self.plan.networks else f"{diverged} of {self.plan.networks}"
        more = "" if diverged == self.plan.networks else ", of every strength at least one"
        raise TrainingError(
            f"{which} networks diverged (their loss was not finite){more}: lower the learning rate, or look for "
            "extreme values in the target."
        )

    def _record(self, numbers: np.ndarray, epochs: Epochs, when: slice) -> None:
        # of a strength that has left, a block that was not packed anew yet trains a copy on: that counts no more
        still = self.running[numbers]
        places, strengths = np.flatnonzero(still), numbers[still]
        self.curves[:, :, strengths, when] = epochs.curves[:, :, places]
        self.epochs[strengths] = when.stop
        self.best_loss[strengths] = epochs.best_loss[places]
        self.best_epoch[strengths] = epochs.best_epoch[places]
        if self.records is not None:
            assert epochs.row_loss is not None, "an executor gives losses of rows where they are asked for"
            self.records.keep(strengths, when, epochs.row_loss[:, places])

    def _let_go(self, blocks: Sequence[Block], wave: range, rules: Stopping | None, after: int) -> Sequence[Block]:
        diverged = self.diverged()
        # one diverged fold is enough: the mean over the others would be of other rows
        self.best_loss[diverged.any(axis=0)] = np.inf
        # where nobody is to leave, its other folds train on: nested cross-validation asks each about itself alone
        everyone = self.running & ~diverged.all(axis=0)
        staying = everyone if rules is None else self._staying(wave, rules, after)
        self.cut |= self.running & ~staying & self._improving(after)
        # at the end all leave, so that their variables are read; that is no cut, whoever ended it
        staying &= after < self.plan.epochs and self.ended is None
        self._keep_best(blocks, np.flatnonzero(self.running & ~staying))
        left = self.running & ~staying
        self.running = staying
        return self.executor.repack(blocks, np.flatnonzero(staying)) if left.any() else blocks

    def _staying(self, wave: range, rules: Stopping, after: int) -> np.ndarray:
        here = slice(wave.start, wave.stop)
        running, best_loss, best_epoch = self.running[here], self.best_loss[here], self.best_epoch[here]
        staying = np.zeros_like(self.running)
        protected = tuple(g - wave.start for g in self.protected if g in wave)
        staying[here] = still_running(
            rules,
            running,
            best_loss,
            best_epoch,
            after - 1,
            after,
            earlier=self._best_until(here, after // 2),
            protected=protected,
        )
        return staying

    def _best_until(self, strengths: slice, epoch: int) -> np.ndarray:
        """The lowest mean held-out loss of the first `epoch` epochs, float [strengths]; infinite if there is none."""
        mean = self.curves[1][:, strengths, :epoch].mean(axis=0)
        return np.where(np.isnan(mean), np.inf, mean).min(axis=1, initial=np.inf)

    def _improving(self, epoch: int) -> np.ndarray:
        """Whether a strength might have improved further: it did so within the last `patience` epochs."""
        patience = self.settings.stopping.patience if self.settings.stopping else 0
        return np.isfinite(self.best_loss) & (epoch - self.best_epoch < patience)

    def _keep_best(self, blocks: Sequence[Block], leaving: np.ndarray) -> None:
        # a block at a time: read at once, those that leave together at the end would be in memory once more
        for block in blocks:
            here = leaving[np.isin(leaving, block.numbers)]
            if here.size:
                self._keep(here, self.executor.read([block], here))

    def _keep(self, leaving: np.ndarray, read: Variables) -> None:
        if not hasattr(self, "best"):  # only now are the shapes known
            self.best = tree_map(
                lambda leaf: np.zeros((len(leaf), self.plan.strengths, *leaf.shape[2:]), leaf.dtype), read
            )
        for kept, leaf in zip(tree_leaves(self.best), tree_leaves(read), strict=True):
            kept[:, leaving] = leaf

    def _report(self, wave: range, epoch: int) -> None:
        if self.beside:
            # a daemon: an interrupted search must not wait for an import
            threading.Thread(target=self.beside, name="beside", daemon=True).start()
            self.beside = None
        if not self.listener:
            return
        running = int(self.running.sum())
        # a wave that ended early is done, however few epochs it took
        waves_done = wave.start + (wave.stop - wave.start) * (epoch / self.plan.epochs if running else 1.0)
        self.listener.on_progress(
            Progress(
                epoch=epoch,
                epochs=self.plan.epochs,
                running=running * self.plan.row_sets,
                networks=self.plan.networks,
                best_loss=float(self.best_loss.min()),
                done=max(waves_done / self.plan.strengths, self._time_gone()),
            )
        )

    def _time_gone(self) -> float:
        """Share of the time in which may be trained."""
        now, left = time.perf_counter(), self.ending.left(self.executor.compile_seconds)
        return 0.0 if math.isinf(left) else min((now - self.begun) / max(now - self.begun + left, 1e-9), 1.0)


@dataclass(frozen=True)
class Trained:
    """A finished search.

    Attributes
    ----------
    histories
        See `Histories`.
    plan
        How it was cut.
    best
        Variables of all strengths at their best epochs, a tree of host arrays [R, G, ...].
    seconds
        Time of `"compile"`, `"train"` and `"measure"`.
    compilations
        Programs compiled for training: one, whatever the number of blocks and waves.
    dataset
        What was trained on.
    candidates
        The strengths: all that were asked for, or the first of them, see `Ended` and `Plan.asked`.
    ended
        That the search was ended before its epochs were over.
    """

    histories: Histories
    plan: Plan
    best: Variables
    seconds: dict[str, float]
    compilations: int
    dataset: Dataset
    candidates: Candidates
    ended: Ended | None
    _executor: Executor[Any]
    _job: Job

    def variables(self, strength: int) -> Variables:
        """Return one strength's networks at its best epoch, a tree [R, ...]."""
        return tree_map(lambda leaf: leaf[:, strength], self.best)

    def held_out_predictions(self, strengths: list[int]) -> Any:
        """Predict every row by the networks that did not train on it.

        Returns
        -------
        float [len(strengths), n, k] of probabilities, or [len(strengths), n] of values, or a tree of such as the loss
        predicts; NaN for rows never held out, the mean for rows held out several times.
        """
        return tree_map(lambda *leaves: self._mean_by_row(leaves), *self.predictions_by_row_set(strengths))

    def predictions_by_row_set(self, strengths: list[int]) -> list[Any]:
        """Predict the held-out rows of each row set by its networks: arrays [len(strengths), h_r, ...], or trees."""
        measured = list(self._executor.measure(tree_map(lambda leaf: leaf[:, strengths], self.best)))
        outputs = tree_map(lambda *parts: np.concatenate(parts, axis=1), *(part.outputs for part in measured))
        return [self._predicted(outputs, r, len(rows)) for r, rows in enumerate(self._job.row_sets.held_out)]

    def held_out_of(self, strength: int, row_set: int, count: int) -> Any:
        """Predict the first `count` held-out rows of one row set by its network: [count, k], [count] or a tree."""
        variables = tree_map(lambda leaf: leaf[:, [strength]], self.best)
        (measured,) = self._executor.measure(variables)
        return tree_map(lambda leaf: leaf[0], self._predicted(measured.outputs, row_set, count))

    def _predicted(self, outputs: Any, r: int, count: int) -> Any:
        """Predictions [strengths, count, ...] of one row set's held-out rows."""
        shift, scale = self.dataset.shift[r], self.dataset.scale[r]
        return self._job.loss.predict(tree_map(lambda leaf: shift + scale * leaf[r][:, :count], outputs))

    def _mean_by_row(self, parts: tuple[Any, ...]) -> np.ndarray:
        """Join [strengths, h_r, ...] of all row sets to [strengths, n, ...]."""
        first = np.asarray(parts[0])
        sums = np.zeros((len(first), self.dataset.rows, *first.shape[2:]))
        counts = np.zeros(self.dataset.rows)
        for rows, part in zip(self._job.row_sets.held_out, parts, strict=True):
            sums[:, rows] += np.asarray(part, float)
            counts[rows] += 1
        with np.errstate(invalid="ignore"):
            return sums / counts.reshape(1, -1, *(1,) * (sums.ndim - 2))


def train_all(
    network: PureNetwork,
    dataset: Dataset,
    row_sets: RowSets,
    candidates: Candidates,
    *,
    loss: Loss,
    settings: Settings | None = None,
    listener: Listener | None = None,
    beside: Callable[[], None] | None = None,
) -> Trained:
    """Train every row set times every strength at once.

    Parameters
    ----------
    network, dataset, row_sets, candidates, loss
        See `Job`.
    settings
        How to train.
    listener
        Called once before training, and after every few epochs; with None the machine's speed is not measured for it.
    beside
        Called in a thread of its own once the first epochs are done, when no compilation wants the processor.

    Raises
    ------
    TrainingError
        Every network diverged, or the memory budget is too small.
    UnfinishedError
        It was to be trained completely (`Ending.complete`), and was ended.
    """
    settings = paced(settings or Settings(), row_sets)
    job = Job(network, dataset, row_sets, candidates, loss)
    executor, job, plan = _planned(job, settings, listener is not None)
    if listener:
        listener.on_plan(plan)
    begin = time.perf_counter()
    training = Training(job, executor, plan, settings, listener, beside)
    for wave in plan.waves:
        training.train_wave(wave)
        if training.ended:
            break
    # after all waves: one of them may hold the only strengths that train
    training.check_some_trained()
    # the first wave compiles on its way
    train_seconds = time.perf_counter() - begin - executor.compile_seconds
    best = tree_map(lambda leaf: leaf[:, : training.trained], training.best)
    row_loss = _row_losses(executor, best, row_sets)
    measure_seconds = time.perf_counter() - begin - executor.compile_seconds - train_seconds
    return Trained(
        histories=training.histories(row_loss),
        plan=replace(plan, strengths=training.trained),
        best=best,
        seconds={"compile": executor.compile_seconds, "train": train_seconds, "measure": measure_seconds},
        compilations=executor.compilations,
        dataset=dataset,
        candidates=job.candidates.first(training.trained),
        ended=training.ended,
        _executor=executor,
        _job=job,
    )


FEWEST_STRENGTHS = 4
"""Of a search without rungs that has little time."""


def _planned(job: Job, settings: Settings, estimate: bool) -> tuple[Executor[Any], Job, Plan]:
    """Make the executor, with fewer strengths where there is no time for all."""
    make, ending, asked = settings.executor or with_jax, settings.ending, job.candidates.count
    hurry = not math.isinf(ending.deadline)
    # it plans before it compiles: memory that does not suffice is said at once
    executor: Executor[Any] = make(job, settings, estimate or hurry)
    if not hurry:
        return executor, job, executor.plan
    compiling = executor.plan.compile_seconds
    budget = ending.left(compiling) - compiling
    if ending.complete and executor.plan.seconds - compiling > budget:
        raise UnfinishedError("There is no time for all epochs.")
    if ending.droppable and job.candidates.given == 0:
        fewest = FEWEST_STRENGTHS if settings.stopping is None else settings.stopping.finalists
        fitting = affordable_strengths(executor.plan, settings.stopping, budget, fewest)
        if fitting < asked:
            job = replace(job, candidates=job.candidates.first(fitting))
            executor = make(job, settings, True)
    return executor, job, replace(executor.plan, asked=asked, budget=max(budget, 0.0) + compiling)


def _row_losses(executor: Executor[Any], best: Variables, row_sets: RowSets) -> np.ndarray:
    """Average the held-out loss of every row over the row sets that hold it out: [G, n]."""
    total = np.zeros((tree_leaves(best)[0].shape[1], row_sets.n_rows))
    counts = np.zeros(row_sets.n_rows)
    for held_out in row_sets.held_out:
        counts[held_out] += 1
    if counts.any():  # in a refit no row is held out
        for places, _, losses in executor.measure(best):
            for r, held_out in enumerate(row_sets.held_out):
                total[np.ix_(places, held_out)] += losses[r][:, : len(held_out)]
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a row that was never held out
        return total / counts
