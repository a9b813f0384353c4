"""Losses of held-out rows at every strength and epoch, summed over the rows of each unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fitwell.data.row_sets import RowSets
from fitwell.data.units import units_held_out


def recorded_bytes(row_sets: RowSets, units: np.ndarray, strengths: int, epochs: int) -> int:
    """Bytes of `Records`: row sets differ in size, so it is the sum over them, with no padding."""
    return sum(units_held_out(row_sets, units)) * strengths * epochs * np.dtype(float).itemsize


@dataclass(frozen=True, eq=False)
class Records:
    """What every unit lost in every row set that held rows of it out. R row sets, G strengths, E epochs.

    Attributes
    ----------
    units, sizes
        int [u_r] for each row set: numbers of the units in rising order, and how many rows of each it holds out.
    sums
        float [G, E, u_r] for each row set, sums of losses in the target's own units; NaN where none was trained.
    """

    units: tuple[np.ndarray, ...]
    sizes: tuple[np.ndarray, ...]
    sums: tuple[np.ndarray, ...]
    _orders: tuple[np.ndarray, ...]

    @staticmethod
    def empty(row_sets: RowSets, units: np.ndarray, strengths: int, epochs: int) -> Records:
        """Make room for a search."""
        found = [np.unique(units[rows], return_counts=True) for rows in row_sets.held_out]
        return Records(
            units=tuple(names for names, _ in found),
            sizes=tuple(sizes for _, sizes in found),
            # NaN says "not trained"; zero would be a perfect loss
            sums=tuple(np.full((strengths, epochs, len(names)), np.nan) for names, _ in found),
            # the rows of a unit together, so that they can be summed in one pass
            _orders=tuple(np.argsort(units[rows], kind="stable") for rows in row_sets.held_out),
        )

    def keep(self, strengths: np.ndarray, epochs: slice, losses: np.ndarray) -> None:
        """Sum and keep the losses of every held-out row, float [R, strengths, epochs, h_max]."""
        for sums, sizes, order, mine in zip(self.sums, self.sizes, self._orders, losses, strict=True):
            if len(sizes):  # a refit holds nothing out
                sums[strengths, epochs] = np.add.reduceat(mine[:, :, order], np.cumsum(sizes) - sizes, axis=-1)
