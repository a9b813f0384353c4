"""Training a search: blocks advance together, what they did is recorded, the hopeless leave; others compute."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.engine.checkpoints import Checkpoints, Snapshot
from fitwell.engine.ending import SHARE_OF_A_CALL, Ended, Pacing, beginning_of
from fitwell.engine.engines import with_jax
from fitwell.engine.executor import Block, Epochs, Executor, Job
from fitwell.engine.histories import Histories
from fitwell.engine.job import Dataset, Settings, paced
from fitwell.engine.losses import Loss
from fitwell.engine.network import PureNetwork, Variables
from fitwell.engine.plan import Listener, Plan, Progress
from fitwell.engine.records import Records
from fitwell.engine.snapshots import Wave, check_identity, identity_of, restore, snapshot_of
from fitwell.engine.stopping import Screening, Stopping, still_running
from fitwell.engine.trained import Trained
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
    kept
        Numbers of the strengths that begin, among those asked for; None if they are the first ones.
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
        kept: Sequence[int] | None = None,
    ) -> None:
        self.kept = kept
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

    def begin_wave(self, strengths: range) -> Wave:
        """Put the strengths of a wave at their first weights."""
        self.running[strengths.start : strengths.stop] = True
        pacing = Pacing(self.settings.stopping, self.plan.epochs)
        return Wave(strengths, 0, pacing, self.executor.start(np.array(strengths)))

    def train_wave(self, begun: Wave, write: Callable[[Wave], None] | None = None) -> None:
        """Train the strengths of a wave until all have left, the epochs are over, or the search is ended.

        `write` is called between two calls.
        """
        wave, epoch, pacing, blocks = begun.strengths, begun.epoch, begun.pacing, begun.blocks
        while blocks and epoch < self.plan.epochs:
            running, count, begin = int(self.running.sum()), self._epochs_of_call(epoch), time.perf_counter()
            blocks, done = self.executor.advance(blocks, epoch, count)
            for block, epochs in zip(blocks, done, strict=True):
                self._record(block.numbers, epochs, slice(epoch, epoch + count))
            epoch += count
            self.epoch_seconds = (time.perf_counter() - begin) / (running * count)
            pacing.fit(running, epoch, self._affordable(wave))
            blocks = self._let_go(blocks, wave, pacing.rules(epoch), epoch)
            self._report(wave, epoch)
            if write:
                write(Wave(wave, epoch, pacing, blocks))

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

    def is_over(self, trained: int, epoch: int, going_on: int) -> bool:
        """End the search if there is a reason, such as no time for one more epoch of those that would go on.

        Parameters
        ----------
        trained
            Strengths of this wave and of those before.
        epoch, going_on
            Epochs done of the strengths that would train on, and their number.
        """
        if not going_on:
            return False
        reason = self.ending.reason(self.epoch_seconds * going_on, self.executor.compile_seconds)
        if reason is None:
            return False
        if self.ending.complete:
            raise UnfinishedError("The time was over before all epochs were.")
        self.ended = Ended(reason, epoch, going_on if epoch else 0, trained, self.plan.asked)
        return True

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
            if epochs.unit_losses is not None:
                self.records.keep_sums(strengths, when, [sums[places] for sums in epochs.unit_losses])
                return
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
        staying &= after < self.plan.epochs
        staying &= not self.is_over(wave.stop, after, int(staying.sum()))
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
    found = None if settings.checkpoints is None else settings.checkpoints.latest()
    whole = job
    executor, job, plan, screening = _planned(job, settings, listener is not None, found)
    if listener:
        listener.on_plan(plan)
    begin = time.perf_counter()
    kept = found.about["kept"] if found else None
    if screening is not None:
        from fitwell.engine.screening import best_on_a_part  # only large searches need it

        kept = best_on_a_part(whole, settings, screening, plan.strengths)
        job = replace(job, candidates=whole.candidates.take(kept))
        executor = (settings.executor or with_jax)(job, settings, False)
    training = Training(job, executor, plan, settings, listener, beside, kept)
    _train_waves(training, job, found)
    # after all waves: one of them may hold the only strengths that train
    training.check_some_trained()
    # the first wave compiles on its way
    train_seconds = time.perf_counter() - begin - executor.compile_seconds
    best = tree_map(lambda leaf: leaf[:, : training.trained], training.best)
    row_loss = _row_losses(executor, best, row_sets, getattr(dataset.inputs, "room", np.zeros))
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


def _train_waves(training: Training, job: Job, found: Snapshot | None) -> None:
    """Train one wave after another, from where a search stood on, and write down where it stands."""
    checkpoints, write, begun = training.settings.checkpoints, None, None
    if checkpoints is not None:
        # of a large table it takes seconds: only a search that is written down needs it
        identity = cache(lambda: identity_of(job, training.settings, training.plan, training.executor))
        write = partial(_write_down, training, checkpoints, identity)
        if found is not None:
            check_identity(found.about["identity"], identity(), checkpoints.directory)
            begun = restore(training, found)
    for strengths in training.plan.waves:
        if begun is not None and strengths.stop < begun.strengths.stop:
            continue  # it was over when the search was written down
        # the first wave is begun in any case: without one strength there is no answer
        if strengths.start and begun is None and training.is_over(strengths.start, 0, len(strengths)):
            break
        training.train_wave(begun or training.begin_wave(strengths), write)
        begun = None
        if training.ended:
            break


def _write_down(
    training: Training, checkpoints: Checkpoints, identity: Callable[[], Mapping[str, str]], wave: Wave
) -> None:
    # what was ended by hand goes on from before; and the end of a long search is written, for what follows may die, too
    over = not wave.blocks and checkpoints.has_written
    if training.ended is None and (over or checkpoints.is_due):
        checkpoints.write(snapshot_of(training, wave, identity()))


def _planned(
    job: Job, settings: Settings, estimate: bool, found: Snapshot | None
) -> tuple[Executor[Any], Job, Plan, Screening | None]:
    """Make the executor, with fewer strengths where fewer are to begin, or where so many were begun.

    Which ones begin is found by the screening that is returned, if there is one; until then they are the first.
    """
    make, ending, asked = settings.executor or with_jax, settings.ending, job.candidates.count
    hurry = not math.isinf(ending.deadline)
    if found is not None:
        job = replace(job, candidates=_begun(job.candidates, found))
    # it plans before it compiles: memory that does not suffice is said at once
    executor: Executor[Any] = make(job, settings, estimate or hurry)
    compiling = executor.plan.compile_seconds
    budget = ending.left(compiling) - compiling
    if ending.complete and executor.plan.seconds - compiling > budget:
        raise UnfinishedError("There is no time for all epochs.")
    done = {"begun": int(found.about["epoch"]), "screened": int(found.about["screened"])} if found else {}
    screening = None
    if found is None and job.candidates.given == 0:
        count, screening = beginning_of(executor.plan, settings.stopping, settings.screening, budget, ending.droppable)
        if count < asked:
            job = replace(job, candidates=job.candidates.first(count))
            executor = make(job, settings, estimate or hurry)
    plan = replace(executor.plan, asked=asked, **done)
    if screening is not None:
        seconds = plan.seconds + screening.work(asked) * plan.epoch_seconds
        plan = replace(plan, screened=screening.begin(asked), seconds=seconds)
    return executor, job, replace(plan, budget=max(budget, 0.0) + compiling) if hurry else plan, screening


def _begun(candidates: Candidates, found: Snapshot) -> Candidates:
    """Return the strengths that a search began with."""
    kept, there = found.about["kept"], candidates.count
    # if fewer are asked for now, those that are there: it is another search, and their digest says so
    return candidates.take([g for g in kept if g < there]) if kept else candidates.first(found.about["strengths"])


def _row_losses(
    executor: Executor[Any], best: Variables, row_sets: RowSets, room: Callable[[tuple[int, int]], np.ndarray]
) -> np.ndarray:
    """Average the held-out loss of every row over the row sets that hold it out: [G, n], in `room` for as many."""
    total = room((tree_leaves(best)[0].shape[1], row_sets.n_rows))
    counts = np.zeros(row_sets.n_rows)
    for held_out in row_sets.held_out:
        counts[held_out] += 1
    if counts.any():  # in a refit no row is held out
        for places, _, losses in executor.measure(best):
            for r, held_out in enumerate(row_sets.held_out):
                total[np.ix_(places, held_out)] += losses[r][:, : len(held_out)]
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a row that was never held out
        return np.divide(total, counts, out=total)
