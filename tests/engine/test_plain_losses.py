"""The losses in NumPy are those of `fitwell.engine.losses`, and their slopes what JAX differentiates."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fitwell.engine.losses import CLASSIFICATION, LABELS, REGRESSION, SEVERAL_VALUES, Loss
from fitwell.engine.plain_losses import PLAIN_LOSSES

ROWS = 7
CASES = [
    pytest.param(CLASSIFICATION, 3, id="three classes"),
    pytest.param(CLASSIFICATION, 2, id="two"),
    pytest.param(REGRESSION, 1, id="value"),
    pytest.param(SEVERAL_VALUES, 3, id="values"),
    pytest.param(LABELS, 3, id="labels"),
]


def given(loss: Loss, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of two networks [2, k, rows], and targets [rows] or [rows, k]."""
    rng = np.random.default_rng(outputs)
    if loss in (SEVERAL_VALUES, LABELS):
        several = rng.normal(size=(ROWS, outputs))
        return 3 * rng.normal(size=(2, outputs, ROWS)), several if loss is SEVERAL_VALUES else (several > 0) * 1.0
    targets = rng.integers(0, outputs, ROWS) if loss is CLASSIFICATION else rng.normal(size=ROWS)
    return 3 * rng.normal(size=(2, outputs, ROWS)), targets


@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_by_row(loss: Loss, outputs: int, float64: None) -> None:
    """Loss and metric of every row."""
    del float64
    raw, targets = given(loss, outputs)
    losses, metrics = PLAIN_LOSSES[loss].by_row(raw, targets)
    for one, own, metric in zip(raw, losses, metrics, strict=True):
        np.testing.assert_allclose(own, loss.per_row(one.T, targets), rtol=1e-12)
        np.testing.assert_allclose(metric, loss.metric(one.T, targets), rtol=1e-12)


@pytest.mark.parametrize(("loss", "outputs"), CASES)
def test_slope(loss: Loss, outputs: int, float64: None) -> None:
    """The derivative of the mean over the batch; of other targets it is another."""
    del float64
    raw, targets = given(loss, outputs)
    found, other = np.empty_like(raw), np.empty_like(raw)
    PLAIN_LOSSES[loss].slope(raw, targets, found)
    for one, slope in zip(raw, found, strict=True):
        expected = jax.grad(lambda x: loss.of_batch(x, targets))(one.T)
        np.testing.assert_allclose(slope, expected.T, rtol=1e-10, atol=1e-14)
    PLAIN_LOSSES[loss].slope(raw, targets[::-1], other)
    assert not np.allclose(found, other)


def test_extreme_logits_are_finite() -> None:
    """Nothing overflows that the loss can say."""
    raw = np.array([[[1e4], [-1e4]]], np.float32)
    plain = PLAIN_LOSSES[CLASSIFICATION]
    slope = np.empty_like(raw)
    plain.slope(raw, np.array([1]), slope)
    assert slope[0, :, 0].tolist() == [1, -1]
    assert plain.by_row(raw, np.array([1]))[0].item() == 2e4


def test_extreme_logits_of_labels_are_finite() -> None:
    """Of labels, too: certain and right costs nothing, certain and wrong the logit."""
    raw, targets = np.array([[[1e4], [-1e4]]], np.float32), np.array([[0, 0]], np.float32)
    plain, slope = PLAIN_LOSSES[LABELS], np.empty_like(raw)
    plain.slope(raw, targets, slope)
    assert slope[0, :, 0].tolist() == [0.5, 0]
    assert plain.by_row(raw, targets)[0].item() == 5e3


def test_of_one_output_the_losses_are_those_of_one_target() -> None:
    """The mean over one is that one, bit for bit; over two it is not."""
    raw, targets = given(REGRESSION, 1)
    one, several = PLAIN_LOSSES[REGRESSION], PLAIN_LOSSES[SEVERAL_VALUES]
    for own, other in zip(one.by_row(raw, targets), several.by_row(raw, targets[:, None]), strict=True):
        np.testing.assert_array_equal(own, other)
    slopes = np.empty((2, *raw.shape))
    one.slope(raw, targets, slopes[0])
    several.slope(raw, targets[:, None], slopes[1])
    np.testing.assert_array_equal(*slopes)
    both = several.by_row(raw.repeat(2, axis=1), np.stack([targets, -targets], axis=1))
    assert not np.allclose(both[0], one.by_row(raw, targets)[0])


def test_of_equal_classes_the_first_counts() -> None:
    """As `argmax` has it; of all equally probable classes only one is right."""
    raw = np.zeros((1, 3, 4))
    raw[0, 1:, 3] = 1
    targets = np.array([0, 1, 2, 1])
    accurate = PLAIN_LOSSES[CLASSIFICATION].by_row(raw, targets)[1]
    assert accurate.tolist() == (raw.argmax(axis=1) == targets).astype(float).tolist() == [[1, 0, 0, 1]]
