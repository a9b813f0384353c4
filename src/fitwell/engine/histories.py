"""What a search leaves behind: losses by epoch, best epochs, losses of single rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fitwell.engine.records import Records


@dataclass(frozen=True)
class Histories:
    """The curves of every network. R row sets, G strengths, E epochs, n rows; losses in the target's own units.

    Attributes
    ----------
    train_loss, held_out_loss
        float [R, G, E], without noise and penalties; NaN where a network did not train (any more). The training loss is
        measured on as many training rows as are held out, drawn at random once.
    train_metric, held_out_metric
        float [R, G, E], accuracy or mean absolute error (in standard deviations of the target).
    best_epoch
        int [G], counted from 1: where the mean over row sets of the held-out loss was lowest.
    best_loss
        float [G], that lowest mean; infinite for strengths that diverged, so that they rank last.
    epochs
        int [G], epochs trained.
    diverged
        bool [R, G], networks whose loss was not finite at some epoch.
    row_loss
        float [G, n], loss of every row while held out, at the strength's best epoch, averaged if it was held out
        several times; NaN if it never was.
    cut
        bool [G], strengths that had to leave while they were still improving: their loss might have fallen further, so
        they rank behind all that finished.
    records
        Losses of held-out rows at every epoch, by unit; None unless they were asked for.
    """

    train_loss: np.ndarray
    held_out_loss: np.ndarray
    train_metric: np.ndarray
    held_out_metric: np.ndarray
    best_epoch: np.ndarray
    best_loss: np.ndarray
    epochs: np.ndarray
    diverged: np.ndarray
    row_loss: np.ndarray
    cut: np.ndarray
    records: Records | None = None

    @property
    def order(self) -> np.ndarray:
        """Strengths from the best to the worst, int [G]: those that finished, those that were cut, those that diverged.

        The loss of one that was cut is of a network that was still improving, and ranks with none that finished.
        """
        return self.order_by(self.best_loss)

    def order_by(self, loss: np.ndarray) -> np.ndarray:
        """Rank strengths likewise by another loss, float [G]."""
        # stable: of equals the first, on every machine
        return np.lexsort((loss, self.cut & np.isfinite(self.best_loss), np.isinf(self.best_loss)))

    def at_best(self, name: str) -> np.ndarray:
        """Return a curve's value at each strength's best epoch, float [R, G]; NaN where there is none."""
        return self._at(name, self.best_epoch)

    def at_last(self, name: str) -> np.ndarray:
        """Return a curve's value at the last epoch each strength trained, float [R, G]."""
        return self._at(name, self.epochs)

    def _at(self, name: str, epoch: np.ndarray) -> np.ndarray:
        curve = getattr(self, name)
        # epoch 0 says "never", and would be read as the last one
        index = np.maximum(epoch, 1)[None, :, None] - 1
        values = np.take_along_axis(curve, np.broadcast_to(index, (*curve.shape[:2], 1)), axis=2)[:, :, 0]
        return np.where(epoch > 0, values, np.nan)


def joined(parts: Sequence[Histories]) -> Histories:
    """Put row sets of several searches of the same strengths side by side; best epochs are those of all together."""
    curves = [
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("train_loss", "held_out_loss", "train_metric", "held_out_metric")
    ]
    diverged = np.concatenate([part.diverged for part in parts])
    mean = curves[1].mean(axis=0)
    usable = np.isfinite(mean) & ~np.any(diverged, axis=0, keepdims=True).T
    seen = np.where(usable, mean, np.inf)
    return Histories(
        *curves,
        best_epoch=np.where(usable.any(axis=1), seen.argmin(axis=1) + 1, 0),
        best_loss=seen.min(axis=1),
        # what all of them trained
        epochs=np.min([part.epochs for part in parts], axis=0),
        diverged=diverged,
        row_loss=np.nanmean([part.row_loss for part in parts], axis=0),
        cut=np.any([part.cut for part in parts], axis=0),
    )
