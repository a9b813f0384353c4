"""Which columns networks use: at which strength each comes in, in how many folds, and how heavily.

NumPy and tables only. R row sets, G strengths, K columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

CHANCE_OF_NEEDED = 0.005
"""The chance (of a rise of the held-out loss as large, see `fitwell.studies.importance`) below which a column is
needed. The same rows chose strength and epoch, so that a few times as many columns pass that tell nothing
(`benchmarks/columns.py`)."""

COUNTED_WEIGHT = 0.2
"""Share of the heaviest column's weights from which on a column counts as used. Few become exactly zero at strengths
that predict well: steps on batches push them off it again, and training ends before it is over."""

ENOUGH_FOLDS = 0.5
"""Share of the row sets whose networks must use a column for it to have come in at a strength."""


@dataclass(frozen=True, eq=False)
class InputsUsed:
    """What a search with a regularizer of whole columns shows of them.

    Attributes
    ----------
    columns
        One row for each column, the first to come in first. `column`; `enters`, the largest strength at which most row
        sets' networks use it (null if none does), that is, at which the norm of its weights is at least
        `COUNTED_WEIGHT` times that of the heaviest column; `used_in`, the share of row sets whose network at the chosen
        strength does; `weight`, that norm there by the heaviest column's, of means over row sets, exactly 0 for a
        column that no network looks at; `chance`, see `fitwell.studies.importance`; `needed`, whether that is below
        `CHANCE_OF_NEEDED`.
    paths
        `strength` (its number), what its `value` is, and for every column `column`, `used_in` and `weight`, of the
        strengths that were trained to their end and beat a constant: others have not learned what to use.
    """

    columns: pl.DataFrame
    paths: pl.DataFrame


def used_and_weights(norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of row sets that use each column, and its weight by the heaviest's, float [K] each.

    Examples
    --------
    >>> used_and_weights(np.array([[2.0, 1.0, 0.0], [2.0, 0.1, 0.0]]))
    (array([1. , 0.5, 0. ]), array([1.   , 0.275, 0.   ]))
    """
    heaviest = norms.max(axis=1, keepdims=True, initial=0.0)
    mean = norms.mean(axis=0)
    used = (norms >= COUNTED_WEIGHT * heaviest) & (norms > 0)
    return used.mean(axis=0), mean / max(mean.max(initial=0.0), np.finfo(float).tiny)


def inputs_used_of(
    names: Sequence[str], norms: np.ndarray, values: np.ndarray, learned: Sequence[int], chosen: int
) -> InputsUsed:
    """Read off the weights of networks which columns they use; `chance` and `needed` are for who knows the former.

    Parameters
    ----------
    names
        Of the columns [K].
    norms
        float [G, R, K], of the weights of each column.
    values
        float [G], strengths of the regularizer.
    learned
        Numbers of the strengths that show what networks use.
    chosen
        Number of the chosen strength.
    """
    found = [used_and_weights(of_strength) for of_strength in norms]
    order = sorted(learned, key=lambda g: (values[g], g))
    enters = [
        max((float(values[g]) for g in order if found[g][0][k] >= ENOUGH_FOLDS), default=None)
        for k in range(len(names))
    ]
    columns = pl.DataFrame(
        {
            "column": names,
            "enters": pl.Series(enters, dtype=pl.Float64),
            "used_in": found[chosen][0],
            "weight": found[chosen][1],
        }
    )
    schema = {"strength": pl.Int64, "value": pl.Float64, "column": pl.String}
    schema |= {"used_in": pl.Float64, "weight": pl.Float64}
    paths = pl.DataFrame(
        {
            "strength": np.repeat(np.asarray(order, np.int64), len(names)),
            "value": np.repeat(np.asarray(values, float)[order], len(names)),
            "column": list(names) * len(order),
            "used_in": np.concatenate([np.empty(0), *(found[g][0] for g in order)]),
            "weight": np.concatenate([np.empty(0), *(found[g][1] for g in order)]),
        },
        schema=schema,
    )
    first = columns.sort(["enters", "weight"], descending=True, nulls_last=True, maintain_order=True)
    return InputsUsed(first, paths)


def with_chances(columns: pl.DataFrame, chances: pl.DataFrame) -> pl.DataFrame:
    """Add `chance` and `needed` to `InputsUsed.columns`, from a table of `column` and `chance`."""
    joined = columns.join(chances.select("column", "chance"), on="column", how="left", maintain_order="left")
    return joined.with_columns(needed=pl.col("chance") < CHANCE_OF_NEEDED)
