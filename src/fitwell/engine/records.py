"""Losses of held-out rows at every strength and epoch, summed over the rows of each unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        [u_r] for each row set: numbers of the units in rising order, and how many rows of each it holds out, or what
        these weigh. A unit that weighs nothing is none.
    sums
        float [G, E, u_r] for each row set, sums of losses (by the rows' weights) in the target's own units; NaN where
        none was trained.
    """

    units: tuple[np.ndarray, ...]
    sizes: tuple[np.ndarray, ...]
    sums: tuple[np.ndarray, ...]
    _layouts: tuple[_UnitRows, ...]

    @staticmethod
    def empty(
        row_sets: RowSets, units: np.ndarray, strengths: int, epochs: int, weight: np.ndarray | None = None
    ) -> Records:
        """Make room for a search; `weight` is that of each row, float [n], None is 1."""
        layouts = tuple(
            _UnitRows.of(units[rows], None if weight is None else weight[rows]) for rows in row_sets.held_out
        )
        return Records(
            units=tuple(one.names for one in layouts),
            sizes=tuple(one.sizes for one in layouts),
            # NaN says "not trained"; zero would be a perfect loss
            sums=tuple(np.full((strengths, epochs, len(one.names)), np.nan) for one in layouts),
            _layouts=layouts,
        )

    def first(self, strengths: int) -> Records:
        """Return those of the first strengths."""
        return replace(self, sums=tuple(sums[:strengths] for sums in self.sums))

    def keep_sums(self, strengths: np.ndarray, epochs: slice, sums: Sequence[np.ndarray]) -> None:
        """Keep what was summed already: for each row set float [strengths, epochs, u_r]."""
        for kept, found in zip(self.sums, sums, strict=True):
            kept[strengths, epochs] = found

    def keep(self, strengths: np.ndarray, epochs: slice, losses: np.ndarray) -> None:
        """Sum and keep the losses of every held-out row, float [R, strengths, epochs, h_max]."""
        for sums, layout, mine in zip(self.sums, self._layouts, losses, strict=True):
            if len(layout.names):  # a refit holds nothing out
                sums[strengths, epochs] = layout.summed(mine)


@dataclass(frozen=True, eq=False)
class _UnitRows:
    """The held-out rows of one row set, the rows of a unit together, so that they can be summed in one pass.

    Attributes
    ----------
    names, starts
        int [u], of the units, and where each begins among the ordered rows.
    order
        int, places of the rows that weigh anything, unit by unit.
    weight
        float, of the ordered rows; None is 1.
    """

    names: np.ndarray
    starts: np.ndarray
    order: np.ndarray
    weight: np.ndarray | None

    @staticmethod
    def of(units: np.ndarray, weight: np.ndarray | None) -> _UnitRows:
        order = np.argsort(units, kind="stable")
        if weight is not None:
            order = order[weight[order] > 0]
        names, starts = np.unique(units[order], return_index=True)
        return _UnitRows(names, starts, order, None if weight is None else weight[order].astype(float))

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each unit, or what they weigh, [u]."""
        if self.weight is None:
            return np.diff(self.starts, append=len(self.order))
        return np.add.reduceat(self.weight, self.starts) if len(self.starts) else self.weight

    def summed(self, losses: np.ndarray) -> np.ndarray:
        """Sums over the rows of each unit of losses [..., h_max] by their weights: [..., u]."""
        mine = losses[..., self.order]
        return np.add.reduceat(mine if self.weight is None else mine * self.weight, self.starts, axis=-1)
