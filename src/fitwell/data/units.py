"""Units: the rows that are drawn together when a score asks how far it might be off."""

from __future__ import annotations

import numpy as np

from fitwell.data.row_sets import RowSets

FEWEST_BUNDLES = 100
"""However little may be kept, rows are gathered into no fewer bundles: the spread over them tells the error."""


def units_of_rows(row_sets: RowSets, most: int, seed: int) -> np.ndarray:
    """Number the unit of each row, int [n]: rows stand alone, rows of a group together.

    Where that makes more numbers than may be kept, rows (or groups) are gathered at random into bundles. A mean over
    rows is the same whatever they are gathered in, and so is its standard error but for chance: with 100 bundles it is
    known to 7%.

    Parameters
    ----------
    most
        Units that may be kept, summed over the row sets that hold rows of them out.
    seed
        Of the bundles.
    """
    units = np.arange(row_sets.n_rows)
    if row_sets.groups is not None:
        units = np.unique(row_sets.groups, return_inverse=True)[1]
    if sum(units_held_out(row_sets, units)) <= most:
        return units
    bundles = max(FEWEST_BUNDLES, most // row_sets.count)
    count = int(units.max()) + 1
    return np.random.default_rng([seed, count]).permutation(count)[units] % bundles


def units_held_out(row_sets: RowSets, units: np.ndarray) -> list[int]:
    """Count the units of which each row set holds rows out."""
    return [len(np.unique(units[rows])) for rows in row_sets.held_out]
