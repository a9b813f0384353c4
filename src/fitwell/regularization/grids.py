"""The default grid of strengths, a Sobol sequence.

The grid starts with all zeros: the unregularized network is always in the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fitwell.arguments import whole_number
from fitwell.errors import InputError
from fitwell.regularization.by_layer import SHAPES, Layers
from fitwell.regularization.regularizer import Regularizer, resolve
from fitwell.regularization.sobol_points import sobol_points
from fitwell.regularization.strengths import DEFAULT_LEARNING_RATE, Candidates
from fitwell.regularization.table import BUILT_IN, DEFAULT_REGULARIZERS

DEFAULT_COUNT = 32
# around Adam's usual 1e-3
LEARNING_RATES = (5e-4, 3e-3)


def sobol(
    count: int = DEFAULT_COUNT,
    regularizers: Sequence[str | Regularizer] = DEFAULT_REGULARIZERS,
    *,
    learning_rate: float | None = None,
    seed: int = 0,
    layers: Layers | None = None,
    depth: str = "constant",
) -> Candidates:
    """Spread `count` candidates over the regularizers' ranges by a scrambled Sobol sequence, all-zero first.

    Each regularizer is exactly zero in about 15% of the candidates, else log-uniform (penalties) or uniform (rates)
    over its range. The learning rate is log-uniform over 5e-4 to 3e-3, because the best strength depends on it; the
    all-zero candidate has 1e-3.

    Parameters
    ----------
    count
        G, at least 1.
    regularizers
        Which to search, by name or your own.
    learning_rate
        Fixes it for all candidates.
    seed
        Of the scrambling (Owen 1998, as in `scipy.stats.qmc.Sobol`).
    layers
        The network's places; needed for a `depth` other than `"constant"`.
    depth
        How strengths change over depth: `"constant"`, `"funnel"`, `"rising"`, or `"search"`, which draws the shape of
        every regularizer beside its scale (see `fitwell.regularization.by_layer.Depth`).

    Examples
    --------
    >>> candidates = sobol(8, ["l2", "dropout"])
    >>> candidates.count, float(candidates.strengths["dropout"][0])
    (8, 0.0)
    """
    count = whole_number("strengths", count)
    rows = [resolve(one, BUILT_IN) for one in regularizers]
    searched = len(rows) if depth == "search" else 0
    points = sobol_points(count - 1, len(rows) + 1 + searched, seed)
    strengths = {row.name: _with_zero_first(row.spread(points[:, i])) for i, row in enumerate(rows)}
    low, high = np.log(LEARNING_RATES)
    rates = np.concatenate([[DEFAULT_LEARNING_RATE], np.exp(low + (high - low) * points[:, len(rows)])])
    rates = rates if learning_rate is None else np.full(count, float(learning_rate))
    if depth != "constant":
        shapes = _shapes(depth, points[:, len(rows) + 1 :], len(rows))
        strengths = _over_depth(rows, strengths, shapes, layers)
    return Candidates(strengths, rates, layers, table={**BUILT_IN, **{row.name: row for row in rows}})


def _shapes(depth: str, points: np.ndarray, names: int) -> np.ndarray:
    """Shapes [G, names] in [-1, 1]."""
    if depth == "search":
        return np.vstack([np.zeros(names), 2 * points - 1])
    if depth not in SHAPES:
        raise InputError(f"'depth' must be 'search' or one of {', '.join(map(repr, SHAPES))}. Got {depth!r}.")
    return np.full((len(points) + 1, names), SHAPES[depth])


def _over_depth(
    rows: Sequence[Regularizer], strengths: dict[str, np.ndarray], shapes: np.ndarray, layers: Layers | None
) -> dict[str, np.ndarray]:
    if layers is None:
        raise InputError("'depth' needs the names of the network's layers.")
    return {row.name: layers.over_depth(row, strengths[row.name], shapes[:, i]) for i, row in enumerate(rows)}


def _with_zero_first(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], values])
