"""A search while it trains: blocks advance together, what they did is recorded, the hopeless leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fitwell.engine.blocks import Block, Compiled
from fitwell.engine.histories import Histories
from fitwell.engine.plan import Plan
from fitwell.engine.settings import Settings
from fitwell.engine.stopping import still_running


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


class Search:
    """The strengths in training, and what has been recorded of them."""

    def __init__(
        self,
        compiled: Compiled,
        plan: Plan,
        settings: Settings,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.compiled, self.plan, self.settings = compiled, plan, settings
        self.on_progress = on_progress
        shape = (plan.row_sets, plan.strengths, plan.epochs)
        self.curves = [np.full(shape, np.nan) for _ in range(4)]
        recorded = (*shape, compiled.held_out_rows) if settings.record_rows else (0,)
        self.row_losses = np.full(recorded, np.nan)
        self.best_loss = np.full(plan.strengths, np.inf)
        self.best_epoch = np.zeros(plan.strengths, int)
        self.epochs = np.zeros(plan.strengths, int)
        self.running = np.zeros(plan.strengths, bool)
        self.halved = np.zeros(plan.strengths, bool)
        self.best = compiled.empty_variables()

    def train_wave(self, wave: range) -> None:
        """Train the strengths of a wave until all have left or the epochs are over."""
        self.running[wave.start : wave.stop] = True
        blocks = self.compiled.start(np.array(wave))
        epoch = 0
        while blocks and epoch < self.plan.epochs:
            count = min(self.compiled.call_epochs, self.plan.epochs - epoch)
            # all blocks are dispatched before the first result is read
            advanced = [self.compiled.advance(block, epoch, count) for block in blocks]
            for block, (_, trace) in zip(blocks, advanced, strict=True):
                self._record(block, trace, epoch, count)
            blocks = [block for block, _ in advanced]
            for block in blocks:
                self._record_best(block)
            epoch += count
            blocks = self._let_go(blocks, wave, epoch - count, epoch)
            self._report(wave, epoch)

    def histories(self, row_loss: np.ndarray) -> Histories:
        """Join what was recorded."""
        return Histories(
            *self.curves,
            row_losses=self.row_losses if self.settings.record_rows else None,
            best_epoch=self.best_epoch,
            best_loss=self.best_loss,
            epochs=self.epochs,
            diverged=self.diverged(),
            row_loss=row_loss,
            halved=self.halved,
        )

    def _record(self, block: Block, trace: Any, epoch: int, count: int) -> None:
        loss_unit = self.compiled.loss_unit
        for curve, values, unit in zip(self.curves, trace[:4], (loss_unit, loss_unit, 1.0, 1.0), strict=True):
            host = np.asarray(values, float)
            for place, g in block.real():
                if self.running[g]:
                    curve[:, g, epoch : epoch + count] = host[:, place, :count] * unit
        for _, g in block.real():
            if self.running[g]:
                self.epochs[g] = epoch + count
        if self.settings.record_rows:
            rows = np.asarray(trace.row_loss, float)
            for place, g in block.real():
                if self.running[g]:
                    self.row_losses[:, g, epoch : epoch + count] = rows[:, place, :count] * loss_unit

    def _record_best(self, block: Block) -> None:
        loss, best_epoch = np.asarray(block.state.best_loss)[0], np.asarray(block.state.best_epoch)[0]
        for place, g in block.real():
            if self.running[g]:
                self.best_loss[g] = float(loss[place]) * self.compiled.loss_unit
                self.best_epoch[g] = best_epoch[place]

    def _let_go(self, blocks: list[Block], wave: range, before: int, after: int) -> list[Block]:
        self.best_loss[self.diverged().any(axis=0)] = np.inf
        staying = self._staying(wave, before, after)
        self.halved |= self.running & ~staying & self._improving(after)
        staying &= after < self.plan.epochs
        leaving = np.flatnonzero(self.running & ~staying)
        self._take_snapshots(blocks, leaving)
        self.running = staying
        needed = -(-int(staying.sum()) // self.plan.block_strengths)
        if needed < len(blocks):
            return self.compiled.repack(blocks, np.flatnonzero(staying))
        return blocks

    def _staying(self, wave: range, before: int, after: int) -> np.ndarray:
        if self.settings.stopping is None:
            return self.running & np.isfinite(self.best_loss)
        here = slice(wave.start, wave.stop)
        running, best_loss, best_epoch = self.running[here], self.best_loss[here], self.best_epoch[here]
        staying = np.zeros_like(self.running)
        protected = tuple(g - wave.start for g in {0, self.compiled.candidates.given} if g in wave)
        staying[here] = still_running(
            self.settings.stopping, running, best_loss, best_epoch, before, after, protected=protected
        )
        return staying

    def _improving(self, epoch: int) -> np.ndarray:
        """Whether a strength might have improved further: it did so within the last `patience` epochs."""
        patience = self.settings.stopping.patience if self.settings.stopping else 0
        return np.isfinite(self.best_loss) & (epoch - self.best_epoch < patience)

    def _take_snapshots(self, blocks: list[Block], leaving: np.ndarray) -> None:
        gone = set(leaving.tolist())
        for block in blocks:
            places = [(place, g) for place, g in block.real() if g in gone]
            if places:
                here, there = (list(numbers) for numbers in zip(*places, strict=True))
                for kept, leaf in zip(jax.tree.leaves(self.best), jax.tree.leaves(block.state.best), strict=True):
                    kept[:, there] = np.asarray(leaf)[:, here]

    def diverged(self) -> np.ndarray:
        """Mark the networks whose loss was not finite, bool [R, G]."""
        trained = np.arange(self.plan.epochs)[None, None, :] < self.epochs[None, :, None]
        finite = np.isfinite(self.curves[0]) & np.isfinite(self.curves[1])
        if not self.compiled.measures:
            return np.zeros(finite.shape[:2], bool)
        return np.any(trained & ~finite, axis=2)

    def _report(self, wave: range, epoch: int) -> None:
        if not self.on_progress:
            return
        running = int(self.running.sum())
        waves_done = wave.start + (wave.stop - wave.start) * (epoch / self.plan.epochs if running else 1.0)
        self.on_progress(
            Progress(
                epoch=epoch,
                epochs=self.plan.epochs,
                running=running * self.plan.row_sets,
                networks=self.plan.networks,
                best_loss=float(self.best_loss.min()),
                done=waves_done / self.plan.strengths,
            )
        )
