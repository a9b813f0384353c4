"""Losses and metrics: scikit-learn's numbers, row by row."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics

from fitwell.engine.losses import (
    CLASSIFICATION,
    LABELS,
    REGRESSION,
    SEVERAL_VALUES,
    absolute_error,
    correct,
    log_loss,
    squared_error,
    weighed,
)


def logits_and_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of 40 rows for four classes."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(40, 4)) * 3, rng.integers(0, 4, 40).astype(np.int32)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_classification_equals_scikit_learn(seed: int) -> None:
    """The mean over rows is scikit-learn's log loss of the predicted probabilities, and its accuracy."""
    logits, classes = logits_and_classes(seed)
    probabilities = np.asarray(CLASSIFICATION.predict(logits))
    np.testing.assert_allclose(probabilities, softmax(logits, axis=1), rtol=1e-12)
    rows = np.asarray(CLASSIFICATION.per_row(logits, classes))
    assert rows.shape == (40,)
    assert rows.mean() == pytest.approx(metrics.log_loss(classes, probabilities), rel=1e-12)
    right = np.asarray(CLASSIFICATION.metric(logits, classes))
    assert right.mean() == metrics.accuracy_score(classes, logits.argmax(axis=1))


@pytest.mark.usefixtures("float64")
def test_regression_equals_scikit_learn(seed: int) -> None:
    """The mean over rows is scikit-learn's mean squared error (not halved) and mean absolute error."""
    rng = np.random.default_rng(seed)
    outputs, targets = rng.normal(size=(40, 1)), rng.normal(size=40)
    values = np.asarray(REGRESSION.predict(outputs))
    assert values.shape == (40,)
    assert np.mean(squared_error(outputs, targets)) == pytest.approx(metrics.mean_squared_error(targets, values))
    assert np.mean(absolute_error(outputs, targets)) == pytest.approx(metrics.mean_absolute_error(targets, values))


@pytest.mark.usefixtures("float64")
def test_several_values_equal_scikit_learn(seed: int) -> None:
    """Means over outputs, too."""
    rng = np.random.default_rng(seed)
    outputs, targets = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    assert SEVERAL_VALUES.predict(outputs).shape == (40, 3)
    squares = metrics.mean_squared_error(targets, outputs)
    assert np.mean(SEVERAL_VALUES.per_row(outputs, targets)) == pytest.approx(squares)
    assert np.mean(SEVERAL_VALUES.metric(outputs, targets)) == pytest.approx(
        metrics.mean_absolute_error(targets, outputs)
    )


@pytest.mark.usefixtures("float64")
def test_labels_equal_scikit_learn(seed: int) -> None:
    """The mean over labels of the log loss of each by itself, and one less the Hamming loss."""
    rng = np.random.default_rng(seed)
    outputs, targets = 3 * rng.normal(size=(40, 3)), rng.integers(0, 2, (40, 3))
    probabilities = np.asarray(LABELS.predict(outputs))
    expected = np.mean([metrics.log_loss(targets[:, j], probabilities[:, j]) for j in range(3)])
    assert np.mean(LABELS.per_row(outputs, targets)) == pytest.approx(expected, rel=1e-12)
    right = metrics.hamming_loss(targets, probabilities > 0.5)
    assert np.mean(LABELS.metric(outputs, targets)) == pytest.approx(1 - right, rel=1e-12)


def test_log_loss_of_large_logits() -> None:
    """Logits that overflow an exponential give exact losses: zero if right, else the distance."""
    outputs = np.array([[1e4, 0.0], [1e4, 0.0]], np.float32)
    assert np.asarray(log_loss(outputs, np.array([0, 1], np.int32))).tolist() == [0, 1e4]


def test_classes_may_be_floats(seed: int) -> None:
    """Class indices stored as numbers (a tree of one floating type) count like integers."""
    logits, classes = logits_and_classes(seed)
    logits = logits.astype(np.float32)
    for of in (log_loss, correct):
        assert (of(logits, classes) == of(logits, classes.astype(np.float32))).all()


def test_a_class_that_is_not_there_spoils_only_its_row() -> None:
    """Infinite logits of one row leave the other rows' losses what they are."""
    outputs = np.array([[np.inf, 0.0], [1.0, 0.0]], np.float32)
    found = np.asarray(log_loss(outputs, np.array([1, 0], np.int32)))
    assert not np.isfinite(found[0])
    assert found[1] == pytest.approx(np.log1p(np.exp(-1)))


def test_predictions_keep_leading_axes() -> None:
    """Networks and row sets stay in front: [R, G, rows, k] of probabilities, [R, G, rows] of values."""
    outputs = np.zeros((2, 3, 5, 4), np.float32)
    assert CLASSIFICATION.predict(outputs).shape == (2, 3, 5, 4)
    assert REGRESSION.predict(outputs[..., :1]).shape == (2, 3, 5)


@pytest.mark.usefixtures("float64")
def test_a_weighted_batch() -> None:
    """The mean of weight times loss, as a step minimises; a row of weight 0 counts nothing, however large its loss."""
    outputs, targets = jnp.array([[1.0], [2.0], [1e200], [4.0]]), jnp.array([0.0, 1.0, -1e200, 2.0])
    weight = np.array([2.0, 0.5, 0.0, 1.5])
    found = REGRESSION.of_batch(outputs, targets, weight)
    assert float(found) == pytest.approx((2 * 1 + 0.5 * 1 + 1.5 * 4) / 4, rel=1e-12)
    assert not np.isfinite(REGRESSION.of_batch(outputs, targets))
    np.testing.assert_array_equal(weighed(jnp.array([np.inf, 3.0]), jnp.array([0.0, 2.0])), [0.0, 6.0])
