"""Losses and metrics of one row, from a network's raw outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax

PerRow = Callable[[Any, Any], "jax.Array"]
"""``f(outputs [rows, k], targets [rows]) -> [rows]``; both may be trees of arrays [rows, ...]."""


@dataclass(frozen=True)
class Loss:
    """What training minimises (the mean of `per_row`), and what is measured beside it.

    Attributes
    ----------
    name
        For people.
    per_row
        The loss of each row; lower is better.
    metric_name, metric
        A second number of each row whose mean is recorded every epoch.
    predict
        Raw outputs ``[..., k]`` to predictions: probabilities ``[..., k]``, or values ``[...]`` (of several targets
        ``[..., k]``).
    batch
        What a training step minimises over its rows, a scalar; None is the mean of `per_row`.
    """

    name: str
    per_row: PerRow
    metric_name: str
    metric: PerRow
    predict: Callable[[Any], Any]
    batch: Callable[[Any, Any], jax.Array] | None = None

    def of_batch(self, outputs: Any, targets: Any, weight: Any = None) -> jax.Array:
        """Return what a training step minimises; `weight` [rows] multiplies the losses of rows, whose mean is taken."""
        if self.batch:
            return self.batch(outputs, targets)
        losses = self.per_row(outputs, targets)
        return losses.mean() if weight is None else weighed(losses, weight).mean()


def weighed(values: jax.Array, weight: jax.Array) -> jax.Array:
    """Weights times values; 0 where the weight is 0, whatever the value."""
    import jax.numpy as jnp

    # a row of no weight may be far out, and infinity times 0 is no number
    return jnp.where(weight > 0, values * weight, 0)


def log_loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Minus the log probability (natural log) of the right class, from logits; targets are class indices."""
    import jax
    import jax.numpy as jnp

    # compared, not looked up: under `vmap` an index becomes a gather, and its gradient a scatter
    chosen = jnp.arange(outputs.shape[-1], dtype=targets.dtype)[None, :] == targets[:, None]
    # from logits: the logarithm of a probability that rounds to zero would be infinite
    return jax.nn.logsumexp(outputs, axis=-1) - jnp.where(chosen, outputs, 0).sum(axis=-1)


def correct(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """1 where the most probable class is the right one, else 0: its mean is the accuracy."""
    import jax.numpy as jnp

    return (jnp.argmax(outputs, axis=-1).astype(targets.dtype) == targets).astype(outputs.dtype)


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared difference (not halved); outputs ``[rows, 1]``."""
    return (outputs[:, 0] - targets) ** 2


def absolute_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Absolute difference; outputs ``[rows, 1]``."""
    return abs(outputs[:, 0] - targets)


def mean_squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean over outputs of the squared difference; both ``[rows, k]``."""
    return ((outputs - targets) ** 2).mean(axis=-1)


def mean_absolute_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean over outputs of the absolute difference; both ``[rows, k]``."""
    return abs(outputs - targets).mean(axis=-1)


def label_log_loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean over labels of the binary log loss, from logits; targets are 0 or 1, both ``[rows, k]``."""
    import jax.numpy as jnp

    # minus log(p) where the label is 1 and minus log(1 - p) where it is 0: nothing overflows
    return (jnp.logaddexp(0, outputs) - outputs * targets).mean(axis=-1)


def right_labels(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Share of the labels that are right, more probable than not where they are 1."""
    return ((outputs > 0) == (targets > 0)).astype(outputs.dtype).mean(axis=-1)


def sigmoid(outputs: Any) -> np.ndarray:
    """Probabilities of logits, each by itself, host arrays."""
    # the smaller one of p and 1 - p keeps its digits, and nothing overflows
    return np.exp(-np.logaddexp(0, -outputs))


def softmax(outputs: Any) -> np.ndarray:
    """Probabilities of logits ``[..., k]``, host arrays."""
    # the largest becomes 0, so that no exponential overflows
    shifted = np.exp(outputs - np.max(outputs, axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def only_output(outputs: Any) -> Any:
    """Values of one output, ``[...]`` of ``[..., 1]``."""
    return outputs[..., 0]


def as_they_are(outputs: Any) -> Any:
    """Values of several outputs are the outputs."""
    return outputs


# JAX is imported where it is at work: NumPy has its own of these (`plain_losses.py`).
# No lambdas: they cannot be pickled.
CLASSIFICATION = Loss("log loss", log_loss, "accuracy", correct, softmax)
REGRESSION = Loss("squared error", squared_error, "absolute error", absolute_error, only_output)
SEVERAL_VALUES = Loss(
    "relative squared error",
    mean_squared_error,
    "relative absolute error",
    mean_absolute_error,
    as_they_are,
)
LABELS = Loss("label log loss", label_log_loss, "label accuracy", right_labels, sigmoid)
