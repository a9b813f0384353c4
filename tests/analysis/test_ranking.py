"""Rankings: scikit-learn's areas, and decisions by thresholds that other rows chose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fitwell.analysis.ranking import PARTS, Ranking, at_best_threshold

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=40)
"""Whether positive, score in eighths (hence ties), weight."""


def columns(rows: list[tuple[bool, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive, score, weight: rows of both classes that weigh something."""
    positive, eighths, weights = map(np.array, zip(*rows, strict=True))
    assume(0 < weights[positive].sum() < weights.sum())
    return positive, eighths / 8, weights.astype(float)


@given(ROWS)
def test_the_areas_are_scikit_learns(rows: list[tuple[bool, int, int]]) -> None:
    """AUC and average precision, with weights and ties, are scikit-learn's; one other row would change them."""
    positive, scores, weights = columns(rows)
    found = Ranking.of(positive, scores, weights)
    expected = (
        metrics.roc_auc_score(positive, scores, sample_weight=weights),
        metrics.average_precision_score(positive, scores, sample_weight=weights),
    )
    assert (found.area_under_curve, found.average_precision) == pytest.approx(expected, rel=1e-12)
    # the break: one more positive row, above all that are there, raises both or leaves both at 1
    more = Ranking.of(np.append(positive, True), np.append(scores, 2.0), np.append(weights, 1.0))
    assert more.area_under_curve > found.area_under_curve or found.area_under_curve == more.area_under_curve == 1
    assert more.average_precision > found.average_precision or found.average_precision == more.average_precision == 1


@given(ROWS)
def test_weights_are_copies_of_rows(rows: list[tuple[bool, int, int]]) -> None:
    """A row of weight 2 is two rows, one of weight 0 is none, to the last bit; without weights each is one."""
    positive, scores, weights = columns(rows)
    copies = np.repeat(np.arange(len(rows)), weights.astype(int))
    one, other = Ranking.of(positive, scores, weights), Ranking.of(positive[copies], scores[copies])
    for name in ("thresholds", "true_positives", "false_positives", "f1"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.area_under_curve, one.average_precision) == (other.area_under_curve, other.average_precision)


def area_by_ranks(positive: np.ndarray, scores: np.ndarray) -> float:
    """The AUC as fitwell had it before rows had weights: by ranks."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above, below = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - above * (above + 1) / 2) / (above * below))


def test_the_area_is_that_of_ranks_to_the_last_bit(seed: int) -> None:
    """Counted down the scores it is what it was by ranks; that ties count half decides."""
    rng = np.random.default_rng(seed)
    for rows in (2, 7, 569, 5_000):
        positive = rng.permutation(np.arange(rows) % 3 == 0)
        scores = np.round(rng.normal(size=rows) + positive, 2)
        assert Ranking.of(positive, scores).area_under_curve == area_by_ranks(positive, scores)
    assert Ranking.of(positive, scores + 1e-6 * positive).area_under_curve != area_by_ranks(positive, scores)


@settings(max_examples=25)
@given(ROWS)
def test_every_threshold_is_scikit_learns(rows: list[tuple[bool, int, int]]) -> None:
    """Precision, recall and F1 at each distinct score are scikit-learn's of the rows that reach it."""
    positive, scores, weights = columns(rows)
    found = Ranking.of(positive, scores, weights)
    assert found.thresholds.tolist() == sorted(set(scores[weights > 0]), reverse=True)
    for place, threshold in enumerate(found.thresholds):
        options: dict[str, Any] = {"sample_weight": weights, "zero_division": 0.0}
        called = scores >= threshold
        assert found.precision[place] == pytest.approx(metrics.precision_score(positive, called, **options))
        assert found.recall[place] == pytest.approx(metrics.recall_score(positive, called, **options))
        assert found.f1[place] == pytest.approx(metrics.f1_score(positive, called, **options))
        # the break: without the rows that just reach it, recall is lower
        above = metrics.recall_score(positive, scores > threshold, **options)
        assert (above < found.recall[place]) == bool(weights[positive & (scores == threshold)].sum())


def plain_f1(positive: np.ndarray, called: np.ndarray, weights: np.ndarray) -> float:
    """Twice the true positives by the rows that are positive and those that are called so."""
    return float(2 * weights[positive & called].sum() / (weights[positive].sum() + weights[called].sum()))


def best_of(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """The highest of the thresholds of highest F1, tried one by one."""
    return max(sorted(set(scores), reverse=True), key=lambda one: plain_f1(positive, scores >= one, weights))


@settings(max_examples=50)
@given(ROWS)
def test_rows_are_decided_by_thresholds_of_others(rows: list[tuple[bool, int, int]]) -> None:
    """F1, precision and recall are scikit-learn's of decisions by thresholds searched one by one in the other parts."""
    positive, scores, weights = columns(rows)
    called = np.zeros(len(rows), bool)
    for part in np.array_split(np.random.default_rng(0).permutation(len(rows)), PARTS):
        others = np.setdiff1d(np.arange(len(rows)), part)
        # others of whom none is positive choose to call as few as they can: the highest score of all
        any_positive = weights[others][positive[others]].sum() > 0
        chosen = best_of(positive[others], scores[others], weights[others]) if any_positive else scores.max()
        called[part] = scores[part] >= chosen
    options: dict[str, Any] = {"sample_weight": weights, "zero_division": 0.0}
    expected = {
        "F1": metrics.f1_score(positive, called, **options),
        "precision": metrics.precision_score(positive, called, **options),
        "recall": metrics.recall_score(positive, called, **options),
        "threshold": best_of(positive, scores, weights),
    }
    assert at_best_threshold(positive, scores, weights) == pytest.approx(expected, rel=1e-12)


def test_the_choice_of_a_threshold_is_paid_for() -> None:
    """On scores that say little, F1 on average is that of new rows; the highest F1 of the same rows is far above."""
    rng = np.random.default_rng(0)

    def draw(rows: int) -> tuple[np.ndarray, np.ndarray]:
        positive = rng.random(rows) < 0.1
        return positive, rng.normal(size=rows) + 1.5 * positive

    new, new_scores = draw(50_000)
    ones = np.ones(50_000)
    truth, ours, best = [], [], []
    for _ in range(150):
        positive, scores = draw(200)
        found = at_best_threshold(positive, scores)
        truth.append(plain_f1(new, new_scores >= found["threshold"], ones))
        ours.append(found["F1"])
        best.append(Ranking.of(positive, scores).f1.max())
    assert np.mean(ours) == pytest.approx(np.mean(truth), abs=0.03)
    assert np.mean(best) > np.mean(truth) + 0.06


def test_one_positive_row_cannot_choose_for_itself() -> None:
    """Where the others have no positive row, as few as can be are called, and a precision of none is 0."""
    positive, scores = np.arange(20) == 3, np.where(np.arange(20) == 3, 0.4, np.linspace(0.5, 0.9, 20))
    assert at_best_threshold(positive, scores) == {"F1": 0, "precision": 0, "recall": 0, "threshold": 0.4}
    assert at_best_threshold(positive, np.ones(20))["recall"] == 1


def test_two_classes_are_needed() -> None:
    """Rows of one class, rows of weight 0, and no rows at all are no two classes."""
    positive, scores = np.array([True, True, False]), np.array([0.1, 0.2, 0.3])
    assert Ranking.of(positive, scores).two_classes
    assert not Ranking.of(positive, scores, np.array([1.0, 1.0, 0.0])).two_classes
    assert not Ranking.of(~positive[:2], scores[:2]).two_classes
    assert not Ranking.of(positive[:0], scores[:0]).two_classes
