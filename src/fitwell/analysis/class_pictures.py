"""The numbers of pictures of a classifier: each a small frame, with few points and the look of all."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from fitwell.analysis.class_scores import BINS, confusion_matrix, equal_mass_bins
from fitwell.analysis.ranking import Ranking

MOST_POINTS = 200
"""Of a curve: a picture of a few hundred pixels shows no more."""

ON_LINE = 1e-9
"""Of the side of a picture: a point this near to a line is on it."""


def roc_curve_of(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> pl.DataFrame:
    """How many positive rows are found, by how many others are called positive, as the threshold falls.

    Parameters
    ----------
    positive
        bool [n].
    scores
        [n], higher for rows more likely to be positive; rows whose score is NaN are left out.
    weights
        [n], of rows; None is 1 each.

    Returns
    -------
    ``false_positive_rate``, ``true_positive_rate`` and ``threshold`` (a row is called positive if its score is at least
    this; null above all scores) of at most 200 points, to be joined by lines from (0, 0) to (1, 1). No rows where one
    of the two classes is absent.

    Examples
    --------
    >>> roc_curve_of(np.array([False, True, True]), np.array([0.1, 0.4, 0.8])).rows()
    [(0.0, 0.0, None), (0.0, 1.0, 0.4), (1.0, 1.0, 0.1)]
    """
    ranking = _ranking(positive, scores, weights)
    if not ranking.two_classes:
        return _nothing("false_positive_rate", "true_positive_rate")
    wrong = ranking.false_positives / ranking.false_positives[-1]
    axes = {"false_positive_rate": np.append(0, wrong), "true_positive_rate": np.append(0, ranking.recall)}
    return _curve(axes, ranking.thresholds)


def precision_recall_of(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> pl.DataFrame:
    """What share of the rows called positive is, by what share of the positive rows is found, as the threshold falls.

    Parameters
    ----------
    positive, scores, weights
        As of `roc_curve_of`.

    Returns
    -------
    ``recall``, ``precision`` and ``threshold`` of at most 200 points, from recall 0, where the precision is 1 by
    convention and the threshold null. The average precision is the area of steps, not of the lines between points. No
    rows where one of the two classes is absent.

    Examples
    --------
    >>> precision_recall_of(np.array([False, True, True]), np.array([0.1, 0.4, 0.8])).row(-2)
    (1.0, 1.0, 0.4)
    """
    ranking = _ranking(positive, scores, weights)
    if not ranking.two_classes:
        return _nothing("recall", "precision")
    axes = {"recall": np.append(0, ranking.recall), "precision": np.append(1, ranking.precision)}
    return _curve(axes, ranking.thresholds)


def calibration_of(
    positive: np.ndarray, probabilities: np.ndarray, bins: int = BINS, weights: np.ndarray | None = None
) -> pl.DataFrame:
    """How frequent what was predicted was, by how probable it was said to be.

    Parameters
    ----------
    positive
        bool [n].
    probabilities
        [n], of being positive; rows with NaN are left out.
    bins
        Bins of equally many rows; those of one probability stay together, so there may be fewer.
    weights
        [n], of rows; None is 1 each.

    Returns
    -------
    By bin: ``predicted``, the mean probability; ``observed``, the share of positive rows; ``count``, its rows; ``low``
    and ``high``, Wilson's 95% interval of the share (1927), of as many rows as the weights are worth (Kish 1965:
    ``sum(w)**2 / sum(w**2)``).

    Examples
    --------
    >>> calibration_of(np.array([False, True, True]), np.array([0.1, 0.4, 0.8]), bins=1)["observed"].round(3).to_list()
    [0.667]
    """
    weights = np.ones(len(probabilities)) if weights is None else np.asarray(weights, float)
    there = np.isfinite(probabilities) & (weights > 0)
    positive, probabilities, weights = positive[there], probabilities[there].astype(float), weights[there]
    numbers, place, counts = np.unique(
        equal_mass_bins(probabilities, weights, bins), return_inverse=True, return_counts=True
    )

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(place, values, len(numbers))

    mass = summed(weights)
    observed = summed(weights * positive) / mass
    low, high = _wilson(observed, mass**2 / summed(weights**2))
    predicted = summed(weights * probabilities) / mass
    return pl.DataFrame({"predicted": predicted, "observed": observed, "count": counts, "low": low, "high": high})


def confusion_of(
    targets: np.ndarray, predicted: np.ndarray, classes: Sequence[Any], weights: np.ndarray | None = None
) -> pl.DataFrame:
    """Which classes rows are taken for: one row for each pair of classes, in their order.

    Parameters
    ----------
    targets, predicted
        int [n], numbers of classes, of rows that have a prediction.
    classes
        Names of all classes.
    weights
        [n], of rows; None is 1 each.

    Returns
    -------
    ``class``, ``predicted``, ``count`` (the sum of weights, if there are any) and ``share``, of the rows of that class;
    null where it has none.

    Examples
    --------
    >>> confusion_of(np.array([0, 1, 1]), np.array([0, 0, 1]), ["no", "yes"]).rows()
    [('no', 'no', 1, 1.0), ('no', 'yes', 0, 0.0), ('yes', 'no', 1, 0.5), ('yes', 'yes', 1, 0.5)]
    """
    matrix = confusion_matrix(targets, predicted, len(classes), weights)
    names = [str(name) for name in classes]
    with np.errstate(invalid="ignore"):  # 0 of 0 rows
        share = matrix / matrix.sum(axis=1, keepdims=True)
    columns = {
        "class": np.repeat(names, len(names)),
        "predicted": np.tile(names, len(names)),
        "count": (matrix if weights is not None else matrix.astype(int)).ravel(),
        "share": pl.Series(share.ravel()).fill_nan(None),
    }
    return pl.DataFrame(columns)


def _ranking(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> Ranking:
    there = np.isfinite(scores)
    return Ranking.of(positive[there], scores[there], None if weights is None else weights[there])


def _nothing(*axes: str) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys((*axes, "threshold"), pl.Float64))


def _curve(axes: dict[str, np.ndarray], thresholds: np.ndarray) -> pl.DataFrame:
    """The points that a curve cannot do without: its two axes, and a threshold for all but the first point."""
    frame = pl.DataFrame(axes | {"threshold": np.append(np.nan, thresholds)})
    return frame[_corners(np.column_stack(list(axes.values())))].with_columns(pl.col("threshold").fill_nan(None))


def _corners(points: np.ndarray) -> list[int]:
    """Number the points [n, 2] that the polyline through all of them needs, at most `MOST_POINTS`.

    After Douglas and Peucker (1973), the most needed first: between two points that are kept, the one that is farthest
    from the line between them.
    """
    kept = [0, len(points) - 1]
    waiting = [_farthest(points, *kept)]
    while waiting and len(kept) < MOST_POINTS:
        distance, place, start, stop = heapq.heappop(waiting)
        if -distance <= ON_LINE:
            break
        kept.append(place)
        heapq.heappush(waiting, _farthest(points, start, place))
        heapq.heappush(waiting, _farthest(points, place, stop))
    kept.sort()
    # of points all equally far from a line that is parallel to theirs, one in the middle may have been taken
    inner = zip(kept[:-2], kept[1:-1], kept[2:], strict=True)
    needed = [three[1] for three in inner if -_farthest(points[list(three)], 0, 2)[0] > ON_LINE]
    return [kept[0], *needed, kept[-1]]


def _farthest(points: np.ndarray, start: int, stop: int) -> tuple[float, int, int, int]:
    """The point between two that is farthest from the line between them: its negative distance, its number, both."""
    if stop - start < 2:
        return 0.0, start, start, stop
    along = points[stop] - points[start]
    away = points[start + 1 : stop] - points[start]
    # to the line between the two and not beyond them
    share = np.clip(away @ along / max(along @ along, np.finfo(float).tiny), 0, 1)
    distances = np.hypot(*(away - share[:, None] * along).T)
    place = int(distances.argmax())
    return -float(distances[place]), start + 1 + place, start, stop


def _wilson(share: np.ndarray, count: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share of this many rows: the shares that the one observed does not refute."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = share + z**2 / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return (middle - half) / scale, (middle + half) / scale
