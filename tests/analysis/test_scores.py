"""Scores: the numbers of scikit-learn, on the rows that have predictions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from fitwell.analysis.scores import score_of


def chances(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Class indices, and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + np.eye(classes)[targets]
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 4])
def test_classification_equals_scikit_learn(classes: int, seed: int) -> None:
    """Log loss and accuracy, and for two classes the area under the curve, are scikit-learn's."""
    targets, probabilities = chances(seed, 50, classes)
    expected = {
        "log loss": metrics.log_loss(targets, probabilities),
        "accuracy": metrics.accuracy_score(targets, probabilities.argmax(axis=1)),
    }
    if classes == 2:
        expected["AUC"] = metrics.roc_auc_score(targets, probabilities[:, 1])
    assert score_of("classification", targets, probabilities) == pytest.approx(expected, rel=1e-12)


def test_regression_equals_scikit_learn(seed: int) -> None:
    """Root mean squared error, R2 and mean absolute error are scikit-learn's."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=40)
    values = targets + rng.normal(size=40)
    assert score_of("regression", targets, values) == pytest.approx(
        {
            "RMSE": metrics.root_mean_squared_error(targets, values),
            "R2": metrics.r2_score(targets, values),
            "mean absolute error": metrics.mean_absolute_error(targets, values),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_weighted_classification_equals_scikit_learn(classes: int, seed: int) -> None:
    """With weights of rows, some of them 0, and ties; without the weights the numbers differ."""
    targets, probabilities = chances(seed, 50, classes)
    probabilities = probabilities.round(1) + 0.01
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    weight = np.random.default_rng(seed).gamma(1.0, size=50)
    weight[::6] = 0
    expected = {
        "log loss": metrics.log_loss(targets, probabilities, sample_weight=weight),
        "accuracy": metrics.accuracy_score(targets, probabilities.argmax(axis=1), sample_weight=weight),
    }
    if classes == 2:
        expected["AUC"] = metrics.roc_auc_score(targets, probabilities[:, 1], sample_weight=weight)
    assert score_of("classification", targets, probabilities, weight) == pytest.approx(expected, rel=1e-12)
    assert score_of("classification", targets, probabilities, 3 * weight) == pytest.approx(expected, rel=1e-12)
    plain = score_of("classification", targets, probabilities)
    assert all(abs(plain[name] - value) > 1e-4 for name, value in expected.items())


def test_weighted_regression_equals_scikit_learn(seed: int) -> None:
    """Likewise; a row of weight 0 may be anything."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=40)
    values, weight = targets + rng.normal(size=40), rng.gamma(1.0, size=40)
    weight[5] = 0
    expected = {
        "RMSE": metrics.root_mean_squared_error(targets, values, sample_weight=weight),
        "R2": metrics.r2_score(targets, values, sample_weight=weight),
        "mean absolute error": metrics.mean_absolute_error(targets, values, sample_weight=weight),
    }
    values[5] = 1e200
    assert score_of("regression", targets, values, weight) == pytest.approx(expected, rel=1e-12)
    values[5] = targets[5]
    plain = score_of("regression", targets, values)
    assert all(abs(plain[name] - value) > 1e-4 for name, value in expected.items())


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


def test_one_class_has_no_curve() -> None:
    """With two classes of which one is there, the area under the curve is left out, without a warning."""
    found = score_of("classification", np.zeros(3, int), np.full((3, 2), 0.5))
    assert set(found) == {"log loss", "accuracy"}


def test_a_constant_target_has_no_r2() -> None:
    """R2 of a target that does not vary is not a number, and the other numbers stand."""
    found = score_of("regression", np.full(4, 2.0), np.array([1.0, 2.0, 3.0, 2.0]))
    assert np.isnan(found["R2"])
    assert found["mean absolute error"] == 0.5


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_network_without_predictions_has_no_scores(task: str) -> None:
    """A network that diverged in every fold is scored by nothing, and without a warning."""
    assert score_of(task, np.array([0, 1, 1]), np.full((3, 2) if task == "classification" else 3, np.nan)) == {}
