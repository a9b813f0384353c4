"""Pictures of a classifier: scikit-learn's numbers, in few points that draw the same lines."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import calibration, metrics

from fitwell.analysis.class_pictures import (
    MOST_POINTS,
    calibration_of,
    confusion_of,
    precision_recall_of,
    roc_curve_of,
)

Picture = Callable[..., pl.DataFrame]
Curve = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(1, 3)), min_size=1, max_size=40)
"""Whether positive, score in eighths (hence ties), weight."""


def columns(rows: list[tuple[bool, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive, score, weight."""
    positive, eighths, weights = map(np.array, zip(*rows, strict=True))
    return positive, eighths / 8, weights.astype(float)


def distance(points: np.ndarray, line: np.ndarray) -> float:
    """How far, at most, points are from a polyline."""
    starts, along = line[:-1], np.diff(line, axis=0)
    away = points[:, None] - starts
    share = (away * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-300)
    return float(np.linalg.norm(away - np.clip(share, 0, 1)[..., None] * along, axis=-1).min(axis=1).max())


def roc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """scikit-learn's points, [n, 3], none of them dropped."""
    return np.column_stack(metrics.roc_curve(positive, scores, sample_weight=weights, drop_intermediate=False))


def precision_recall(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """scikit-learn's points, [n, 3], as the threshold falls; the first has none."""
    precision, recall, thresholds = metrics.precision_recall_curve(positive, scores, sample_weight=weights)
    return np.column_stack([recall, precision, np.append(thresholds, np.inf)])[::-1]


def is_subset(some: np.ndarray, of: np.ndarray) -> bool:
    """Whether each point is, to rounding, one of others."""
    return all(np.isclose(of, one, rtol=0, atol=1e-12).all(axis=1).any() for one in some)


def points(frame: pl.DataFrame) -> np.ndarray:
    """What is drawn, [n, 3], the threshold above all scores as infinity."""
    return frame.with_columns(pl.col("threshold").fill_null(np.inf)).to_numpy()


CURVES = pytest.mark.parametrize(
    ("ours", "theirs"), [(roc_curve_of, roc), (precision_recall_of, precision_recall)], ids=["roc", "precision_recall"]
)


@CURVES
@given(rows=ROWS)
def test_a_curve_is_scikit_learns(ours: Picture, theirs: Curve, rows: list[tuple[bool, int, int]]) -> None:
    """Its points are some of scikit-learn's, and scikit-learn's others lie on the lines between them."""
    positive, scores, weights = columns(rows)
    drawn = points(ours(positive, scores, weights))
    if positive.all() or not positive.any():
        assert not len(drawn)
        return
    expected = theirs(positive, scores, weights)
    assert is_subset(drawn, expected)
    assert distance(expected[:, :2], drawn[:, :2]) < 1e-9
    # the break: without any one of them the line is another, so none is superfluous
    for place in range(1, len(drawn) - 1):
        assert distance(drawn[place : place + 1, :2], np.delete(drawn, place, axis=0)[:, :2]) > 1e-9


@CURVES
def test_a_long_curve_looks_the_same(ours: Picture, theirs: Curve, seed: int) -> None:
    """At most 200 points of scikit-learn's, and no other farther than half a pixel of 250; 20 would not do."""
    rng = np.random.default_rng(seed)
    positive = rng.random(20_000) < 0.2
    scores = rng.normal(size=20_000) + positive
    weights = np.ones(20_000)
    expected = theirs(positive, scores, weights)
    drawn = points(ours(positive, scores))
    assert 20 < len(drawn) <= MOST_POINTS
    assert is_subset(drawn, expected)
    assert distance(expected[:, :2], drawn[:, :2]) < 0.002
    assert distance(expected[:, :2], drawn[:: len(drawn) // 20, :2]) > 0.002


def test_the_area_of_few_points_is_that_of_all(seed: int) -> None:
    """The area below the points that are drawn is scikit-learn's area of all rows, to a ten-thousandth."""
    rng = np.random.default_rng(seed)
    positive = rng.random(5_000) < 0.1
    scores = rng.normal(size=5_000) + positive
    drawn = roc_curve_of(positive, scores)
    area = np.trapezoid(drawn["true_positive_rate"], drawn["false_positive_rate"])
    assert area == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-4)


def test_rows_that_were_never_held_out_are_not_drawn(seed: int) -> None:
    """Scores of NaN, and rows of weight 0, leave the pictures of the other rows; other rows would change them."""
    rng = np.random.default_rng(seed)
    positive, scores = rng.random(60) < 0.5, rng.random(60)
    kept = np.arange(60) % 3 > 0
    holes = np.where(kept, scores, np.nan)
    for picture in (roc_curve_of, precision_recall_of, calibration_of):
        expected = picture(positive[kept], scores[kept])
        assert picture(positive, holes).equals(expected)
        assert picture(positive, scores, weights=kept.astype(float)).equals(expected)
        assert not picture(positive, scores).equals(expected)
        assert not picture(positive, np.full(60, np.nan)).height


@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 100))
def test_calibration_is_scikit_learns(bins: int, rows: int, seed: int) -> None:
    """Mean probabilities and observed shares by bin are those of scikit-learn's quantiles, where bins are of a size."""
    rng = np.random.default_rng(seed)
    probabilities = rng.permutation(np.linspace(0.01, 0.97, bins * rows))
    positive = rng.random(bins * rows) < probabilities
    found = calibration_of(positive, probabilities, bins)
    observed, predicted = calibration.calibration_curve(positive, probabilities, n_bins=bins, strategy="quantile")
    np.testing.assert_allclose(found["predicted"], predicted, rtol=1e-12)
    np.testing.assert_allclose(found["observed"], observed, rtol=1e-12)
    assert found["count"].to_list() == [rows] * bins
    # the break: bins of equal width are others
    if bins > 2 and rows > 1:
        skewed = probabilities**3
        wide = calibration.calibration_curve(positive, skewed, n_bins=bins, strategy="uniform")[1]
        assert len(wide) != bins or not np.allclose(calibration_of(positive, skewed, bins)["predicted"], wide)


@given(ROWS, st.integers(1, 12))
def test_bins_do_not_part_rows_of_one_probability(rows: list[tuple[bool, int, int]], bins: int) -> None:
    """A bin has all rows whose middle lies in its share of the weights, found by counting them one by one."""
    positive, scores, weights = columns(rows)
    members: dict[int, list[int]] = {}
    for place, value in enumerate(scores):
        below = sum(Fraction(weight) for score, weight in zip(scores, weights, strict=True) if score < value)
        level = sum(Fraction(weight) for score, weight in zip(scores, weights, strict=True) if score == value)
        number = (below + level / 2) * bins // Fraction(weights.sum())
        members.setdefault(int(number), []).append(place)
    found = calibration_of(positive, scores, bins, weights)
    assert found["count"].to_list() == [len(members[number]) for number in sorted(members)]
    expected = [np.average(positive[members[number]], weights=weights[members[number]]) for number in sorted(members)]
    np.testing.assert_allclose(found["observed"], expected, rtol=1e-12)


@pytest.mark.parametrize(("happened", "count"), [(0, 7), (3, 10), (10, 10), (40, 100)])
def test_the_interval_is_wilsons(happened: int, count: int) -> None:
    """It is SciPy's; the exact interval is another."""
    found = calibration_of(np.arange(count) < happened, np.full(count, 0.5)).row(0, named=True)
    test = binomtest(happened, count)
    assert (found["low"], found["high"]) == pytest.approx(tuple(test.proportion_ci(method="wilson")), abs=1e-12)
    assert (found["low"], found["high"]) != pytest.approx(tuple(test.proportion_ci(method="exact")), abs=1e-3)
    # weights of one size say nothing of how many rows there are
    weighted = calibration_of(np.arange(count) < happened, np.full(count, 0.5), weights=np.full(count, 3.0))
    assert weighted.row(0) == pytest.approx(tuple(found.values()))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)), min_size=1))
def test_confusion_is_scikit_learns(rows: list[tuple[int, int, int]]) -> None:
    """Counts, with and without weights, and shares of each class; null for a class that has no rows."""
    targets, predicted, weights = map(np.array, zip(*rows, strict=True))
    found = confusion_of(targets, predicted, ["a", 1, None, "d"])
    expected = metrics.confusion_matrix(targets, predicted, labels=range(4))
    assert found["class"].to_list()[::4] == found["predicted"].to_list()[:4] == ["a", "1", "None", "d"]
    assert found["count"].to_numpy().reshape(4, 4).tolist() == expected.tolist()
    of_class = expected.sum(axis=1)
    shares = found["share"].to_numpy().reshape(4, 4)
    assert [bool(np.isnan(share).all()) for share in shares] == (of_class == 0).tolist()
    assert found["share"].null_count() == 4 * (of_class == 0).sum()
    np.testing.assert_allclose(np.nansum(shares, axis=1), of_class > 0)
    weighted = confusion_of(targets, predicted, range(4), weights)["count"].to_numpy().reshape(4, 4)
    np.testing.assert_allclose(
        weighted, metrics.confusion_matrix(targets, predicted, labels=range(4), sample_weight=weights)
    )
    # the break: what was predicted, and what it was, are not the same
    turned = metrics.confusion_matrix(predicted, targets, labels=range(4))
    assert (turned.tolist() == expected.tolist()) == bool((expected == expected.T).all())
