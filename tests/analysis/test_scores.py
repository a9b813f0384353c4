"""Scores: the numbers of scikit-learn, on the rows that have predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from fitwell.analysis.class_scores import calibration_error
from fitwell.analysis.ranking import at_best_threshold
from fitwell.analysis.scores import score_of, scores_of_each


def chances(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Class indices, and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + np.eye(classes)[targets]
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


NAMES = ["log loss", "accuracy", "AUC", "average precision", "balanced accuracy", "Brier score", "calibration error"]
"""Of classification, where all classes have rows; F1 follows."""


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_classification_equals_scikit_learn(classes: int, weighted: bool, seed: int) -> None:
    """All scores are scikit-learn's: of two classes those of the second, of more the mean over classes."""
    targets, probabilities = chances(seed, 50, classes)
    weights = np.random.default_rng([seed, 1]).integers(0, 3, 50) * 0.5 if weighted else None
    called = probabilities.argmax(axis=1)
    options: dict[str, Any] = {"sample_weight": weights}
    of_classes = probabilities[:, 1] if classes == 2 else probabilities
    expected = {
        "log loss": metrics.log_loss(targets, probabilities, **options),
        "accuracy": metrics.accuracy_score(targets, called, **options),
        "AUC": metrics.roc_auc_score(targets, of_classes, multi_class="ovr", **options),
        "average precision": metrics.average_precision_score(targets, of_classes, **options),
        "balanced accuracy": metrics.balanced_accuracy_score(targets, called, **options),
        "Brier score": metrics.brier_score_loss(targets, probabilities, labels=range(classes), **options),
    }
    found = score_of("classification", targets, probabilities, weights)
    assert list(found)[:7] == NAMES
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    # the break: the first class's average precision is another, and so is that of rows that all count the same
    assert found["average precision"] != pytest.approx(
        metrics.average_precision_score(targets == 0, probabilities[:, 0], **options)
    )
    assert weights is None or found["AUC"] != score_of("classification", targets, probabilities)["AUC"]


def test_of_two_classes_the_second_is_decided_by_a_threshold(seed: int) -> None:
    """F1, precision, recall and calibration are of the second class's probability; of the first they are others."""
    targets, probabilities = chances(seed, 60, 2)
    found = score_of("classification", targets, probabilities)
    decided = at_best_threshold(targets == 1, probabilities[:, 1])
    assert list(found) == [*NAMES, *decided] == [*NAMES, "F1", "precision", "recall", "threshold"]
    assert {name: found[name] for name in decided} == decided
    assert found["calibration error"] == calibration_error(targets == 1, probabilities[:, 1])
    assert decided != at_best_threshold(targets == 0, probabilities[:, 0])


def test_of_more_classes_the_most_probable_is_called(seed: int) -> None:
    """F1 is macro F1 of the most probable class, without a threshold; calibration is of the highest probability."""
    targets, probabilities = chances(seed, 60, 3)
    found = score_of("classification", targets, probabilities)
    called = probabilities.argmax(axis=1)
    assert list(found) == [*NAMES, "F1"]
    assert found["F1"] == pytest.approx(metrics.f1_score(targets, called, average="macro"))
    assert found["F1"] != pytest.approx(metrics.f1_score(targets, called, average="micro"))
    assert found["calibration error"] == calibration_error(called == targets, probabilities.max(axis=1))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_without_weights_the_bits_are_those_of_before(kind: type, seed: int) -> None:
    """Log loss, accuracy and regression's scores are plain means, as they were before rows could have weights."""
    targets, probabilities = chances(seed, 569, 2)
    found = score_of("classification", targets, probabilities := probabilities.astype(kind))
    right = probabilities[np.arange(569), targets]
    assert found["log loss"] == float(-np.log(np.maximum(right, np.finfo(float).tiny)).mean())
    assert found["accuracy"] == float((probabilities.argmax(axis=1) == targets).mean())
    values = np.random.default_rng(seed).normal(size=569)
    found = score_of("regression", values, probabilities[:, 0])
    errors = values - probabilities[:, 0]
    assert found == {
        "RMSE": float(np.sqrt((errors**2).mean())),
        "R2": float(1 - (errors**2).sum() / ((values - values.mean()) ** 2).sum()),
        "mean absolute error": float(np.abs(errors).mean()),
    }
    # the break: weights of 1 divide by their sum, which may round otherwise, and agree to rounding only
    assert score_of("regression", values, probabilities[:, 0], np.ones(569)) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_regression_equals_scikit_learn(weighted: bool, seed: int) -> None:
    """Root mean squared error, R2 and mean absolute error are scikit-learn's."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=40)
    values = targets + rng.normal(size=40)
    weights = rng.integers(0, 3, 40) * 0.5 if weighted else None
    expected = {
        "RMSE": metrics.root_mean_squared_error(targets, values, sample_weight=weights),
        "R2": metrics.r2_score(targets, values, sample_weight=weights),
        "mean absolute error": metrics.mean_absolute_error(targets, values, sample_weight=weights),
    }
    assert score_of("regression", targets, values, weights) == pytest.approx(expected, rel=1e-12)
    assert weights is None or score_of("regression", targets, values) != pytest.approx(expected, rel=1e-3)


def test_rows_without_predictions_are_left_out(seed: int) -> None:
    """Rows never held out have NaN and do not count, of one output or of many."""
    targets, probabilities = chances(seed, 30, 3)
    holes = probabilities.copy()
    holes[::4] = np.nan
    kept = np.arange(30) % 4 > 0
    assert score_of("classification", targets, holes) == score_of("classification", targets[kept], probabilities[kept])
    values, full = np.where(kept, probabilities[:, 0], np.nan), probabilities[:, 0]
    assert score_of("regression", targets, values) == score_of("regression", targets[kept], full[kept])


def test_a_certain_mistake_is_finite() -> None:
    """A probability of zero for what happened costs much, but no infinity."""
    found = score_of("classification", np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert 300 < found["log loss"] < 400
    assert found["accuracy"] == 0.5


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_without_rows_is_compared_with_none(classes: int) -> None:
    """What compares classes is left out, without a warning, where one has no rows, or only such as do not count."""
    targets = np.arange(12) % (classes - 1)
    probabilities = np.full((12, classes), 1 / classes)
    found = score_of("classification", targets, probabilities)
    assert list(found) == ["log loss", "accuracy", "Brier score", "calibration error"]
    there = np.append(targets, classes - 1)
    more = np.full((13, classes), 1 / classes)
    assert score_of("classification", there, more, np.append(np.ones(12), 0.0)) == pytest.approx(found)
    assert score_of("classification", there, more)["AUC"] == 0.5


@pytest.mark.parametrize("classes", [2, 3])
def test_constant_predictions_tell_nothing_apart(classes: int) -> None:
    """The same probabilities for all rows: AUC and balanced accuracy are those of chance, and all is finite."""
    targets = np.arange(30) % classes * (np.arange(30) > 9)
    found = score_of("classification", targets, np.tile(np.bincount(targets) / 30, (30, 1)))
    assert found["AUC"] == 0.5
    assert found["balanced accuracy"] == pytest.approx(1 / classes)
    assert found["average precision"] == pytest.approx(np.bincount(targets)[1:].mean() / 30 if classes == 2 else 1 / 3)
    assert found["calibration error"] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(list(found.values())).all()


def test_a_constant_target_has_no_r2() -> None:
    """R2 of a target that does not vary is not a number, and the other numbers stand."""
    found = score_of("regression", np.full(4, 2.0), np.array([1.0, 2.0, 3.0, 2.0]))
    assert np.isnan(found["R2"])
    assert found["mean absolute error"] == 0.5


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_network_without_predictions_has_no_scores(task: str) -> None:
    """A network that diverged in every fold is scored by nothing, and without a warning."""
    assert score_of(task, np.array([0, 1, 1]), np.full((3, 2) if task == "classification" else 3, np.nan)) == {}


@pytest.mark.parametrize("weights", [None, np.arange(1, 41.0)], ids=["alike", "weighted"])
def test_several_values_equal_scikit_learn(weights: np.ndarray | None) -> None:
    """The mean of R2 over targets, and what is left of it; each by itself is what it is alone."""
    random = np.random.default_rng(0)
    targets = random.normal(size=(40, 3)) * [1, 10, 100]
    values = targets + random.normal(size=(40, 3)) * [1, 2, 3]
    expected = metrics.r2_score(targets, values, sample_weight=weights)
    found = score_of("regression", targets, values, weights)
    assert found == pytest.approx({"relative squared error": 1 - expected, "R2": expected}, rel=1e-12)
    each = scores_of_each("regression", targets, values, weights)
    assert each[2] == score_of("regression", targets[:, 2], values[:, 2], weights)


def test_labels_equal_scikit_learn() -> None:
    """Macro averages, and the share of rows without a mistake."""
    random = np.random.default_rng(0)
    targets, values = random.integers(0, 2, (60, 3)), random.uniform(size=(60, 3))
    found = score_of("multilabel", targets, values)
    assert found["all labels right"] == metrics.accuracy_score(targets, values > 0.5)
    assert found["label accuracy"] == pytest.approx(1 - metrics.hamming_loss(targets, values > 0.5))
    assert found["AUC"] == pytest.approx(metrics.roc_auc_score(targets, values, average="macro"))
    assert found["average precision"] == pytest.approx(metrics.average_precision_score(targets, values))
    losses = [metrics.log_loss(one, other) for one, other in zip(targets.T, values.T, strict=True)]
    assert found["label log loss"] == pytest.approx(np.mean(losses))
