"""Losses of rows, summed by unit: a mean over rows and its standard error, where only units are independent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fitwell.analysis.intervals import error_by_groups
from fitwell.errors import InputError


@dataclass(frozen=True, eq=False)
class UnitLosses:
    """Sums of losses of U units.

    Attributes
    ----------
    sums
        float [U], of the losses of each unit's rows.
    sizes
        [U], how many losses each sum is of, or what these weigh; above 0.
    """

    sums: np.ndarray
    sizes: np.ndarray

    @staticmethod
    def of_rows(losses: np.ndarray, groups: np.ndarray | None = None) -> UnitLosses:
        """Sum losses of rows [n], by groups [n] if they have some; rows that are NaN were never held out."""
        losses = np.asarray(losses, float)
        known = ~np.isnan(losses)
        names = np.arange(len(losses))[known] if groups is None else np.asarray(groups)[known]
        unit = np.unique(names, return_inverse=True)[1]
        return UnitLosses(np.bincount(unit, losses[known]), np.bincount(unit))

    @staticmethod
    def joined(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> UnitLosses:
        """Add up numbers of units, sums and sizes, [u] each: a unit in several parts is one."""
        units, sums, sizes = (np.concatenate(column) for column in zip(*parts, strict=True))
        place = np.unique(units, return_inverse=True)[1]
        return UnitLosses(np.bincount(place, sums), np.bincount(place, sizes))

    @property
    def count(self) -> int:
        """U."""
        return len(self.sums)

    @property
    def mean(self) -> float:
        """Of the losses of all rows."""
        if not self.count:
            raise InputError("No row was held out.")
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def error(self) -> float:
        """Standard error of the mean, units being independent; NaN if there are fewer than two."""
        return error_by_groups(self.sums, self.sizes) if self.count > 1 else np.nan
