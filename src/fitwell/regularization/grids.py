"""The default grid of strengths, a Sobol sequence, and where a strength stands in its range.

The grid starts with all zeros: the unregularized network is always in the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fitwell.errors import InputError
from fitwell.regularization.by_layer import SHAPES, Layers
from fitwell.regularization.strengths import DEFAULT_LEARNING_RATE, Candidates, check_strengths
from fitwell.regularization.table import REGULARIZERS

DEFAULT_REGULARIZERS = ("l2", "dropout")
DEFAULT_COUNT = 32
# a search that never switches one off could not say that it is not needed
ZERO_SHARE = 0.15
# around Adam's usual 1e-3
LEARNING_RATES = (5e-4, 3e-3)


def sobol(
    count: int = DEFAULT_COUNT,
    names: Sequence[str] = DEFAULT_REGULARIZERS,
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
    names
        The regularizers to search.
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
    if count < 1:
        raise InputError(f"The number of strengths must be at least 1. Got {count}.")
    for name in names:
        check_strengths(name, [])
    searched = len(names) if depth == "search" else 0
    points = _sobol_points(count - 1, len(names) + 1 + searched, seed)
    strengths = {name: _with_zero_first(_spread(name, points[:, i])) for i, name in enumerate(names)}
    low, high = np.log(LEARNING_RATES)
    rates = np.concatenate([[DEFAULT_LEARNING_RATE], np.exp(low + (high - low) * points[:, len(names)])])
    rates = rates if learning_rate is None else np.full(count, float(learning_rate))
    if depth != "constant":
        shapes = _shapes(depth, points[:, len(names) + 1 :], len(names))
        strengths = _over_depth(strengths, shapes, layers)
    return Candidates(strengths, rates, layers)


def _shapes(depth: str, points: np.ndarray, names: int) -> np.ndarray:
    """Shapes [G, names] in [-1, 1]."""
    if depth == "search":
        return np.vstack([np.zeros(names), 2 * points - 1])
    if depth not in SHAPES:
        raise InputError(f"'depth' must be 'search' or one of {', '.join(map(repr, SHAPES))}. Got {depth!r}.")
    return np.full((len(points) + 1, names), SHAPES[depth])


def _over_depth(strengths: dict[str, np.ndarray], shapes: np.ndarray, layers: Layers | None) -> dict[str, np.ndarray]:
    if layers is None:
        raise InputError("'depth' needs the names of the network's layers.")
    return {name: layers.over_depth(name, scales, shapes[:, i]) for i, (name, scales) in enumerate(strengths.items())}


def position(name: str, values: np.ndarray) -> np.ndarray:
    """Return where strengths stand in the regularizer's range: 0 for off, above 0 to 1 (and beyond) otherwise."""
    row = REGULARIZERS[name]
    if row.scale == "linear":
        return np.asarray(values) / row.high
    floor = row.low * (row.low / row.high)  # the range again below `low`, so that `low` itself stands in the middle
    safe = np.maximum(values, floor)
    return np.where(np.asarray(values) > 0, np.log(safe / floor) / np.log(row.high / floor), 0.0)


def _sobol_points(count: int, dimensions: int, seed: int) -> np.ndarray:
    from scipy.stats import qmc  # scipy.stats takes half a second to import

    exponent = max(0, int(np.ceil(np.log2(max(count, 1)))))
    return qmc.Sobol(dimensions, scramble=True, rng=seed).random_base2(exponent)[:count]


def _spread(name: str, unit: np.ndarray) -> np.ndarray:
    row = REGULARIZERS[name]
    share = np.clip((unit - ZERO_SHARE) / (1 - ZERO_SHARE), 0, 1)
    if row.scale == "linear":
        values = row.low + (row.high - row.low) * share
    else:
        values = np.exp(np.log(row.low) + np.log(row.high / row.low) * share)
    return np.where(unit < ZERO_SHARE, 0.0, values)


def _with_zero_first(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], values])
