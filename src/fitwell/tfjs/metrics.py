"""Metrics as `trainingConfig` names them: read as Keras's, and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitwell.keras.backend import has_default_settings, import_keras
from fitwell.tfjs.spelling import snake

METRICS = {
    "accuracy": "accuracy", "acc": "accuracy", "binary_accuracy": "binary_accuracy",
    "categorical_accuracy": "categorical_accuracy", "mse": "mean_squared_error", "mean_squared_error":
    "mean_squared_error", "mae": "mean_absolute_error", "mean_absolute_error": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "categorical_crossentropy": "categorical_crossentropy",
    "sparse_categorical_crossentropy": "sparse_categorical_crossentropy",
}  # fmt: skip
"""TensorFlow.js's names of metrics to Keras's; others are left out with a notice."""

METRICS_BACK = {
    "accuracy": "accuracy", "binary_accuracy": "binaryAccuracy", "categorical_accuracy": "categoricalAccuracy",
    "mean_squared_error": "mse", "mean_absolute_error": "mae", "mean_absolute_percentage_error": "mape",
    "categorical_crossentropy": "categoricalCrossentropy",
    "sparse_categorical_crossentropy": "sparseCategoricalCrossentropy",
}  # fmt: skip


def read_metrics(found: Any, notices: list[str], outputs: int = 1) -> Any:
    """Return Keras's names of metrics; others give a notice. Of several outputs, a list there means each of them."""
    if isinstance(found, dict):
        return {str(key): _read(value, notices) for key, value in found.items()}
    names = _read(found, notices)
    # Keras would deal a flat list out, one metric to each output
    return names if outputs == 1 or not names else [names] * outputs


def _read(found: Any, notices: list[str]) -> list[str]:
    known = []
    for name in found if isinstance(found, list) else [] if found is None else [found]:
        keras_name = METRICS.get(snake(name)) if isinstance(name, str) else None
        if keras_name is None:
            notices.append(f"The metric {str(name)[:100]!r} was left out: Keras has none that is the same.")
        else:
            known.append(keras_name)
    return known


def output_keys(model: Any) -> list[str]:
    """Return how a Keras model's outputs are called where losses and metrics are given by output."""
    if not hasattr(model, "output_names"):  # a Sequential
        return [model.layers[-1].name]
    paths = [path for path, _ in import_keras().tree.flatten_with_path(model.output)]
    named = all(len(path) == 1 and isinstance(path[0], str) for path in paths)
    return [path[0] for path in paths] if named else list(model.output_names)


def written_metrics(found: Any, keys: Sequence[str], outputs: Sequence[str]) -> tuple[Any, list[str]]:
    """Return names of metrics there, and those that are left out.

    Parameters
    ----------
    found
        As Keras's `compile` was given them.
    keys, outputs
        How the outputs are called in Keras and there. If they do not all have the same metrics, only the first of
        each is written, because TensorFlow.js cannot save a model that has lists of them; and outputs that have one
        name there cannot be told apart.
    """
    left_out: list[str] = []
    if len(outputs) == 1:
        return _written(_flat(found), left_out), left_out
    given = found if isinstance(found, dict) else dict(zip(keys, found or [], strict=False))
    names = [_written(_flat(given.get(key)), left_out) for key in keys]
    if all(one == names[0] for one in names):
        return names[0], left_out
    if len(set(outputs)) < len(outputs):
        return [], [_shown(metric) for metric in _flat(found)]
    left_out += [name for one in names for name in one[1:]]
    return {output: one[0] for output, one in zip(outputs, names, strict=True) if one}, left_out


def _written(metrics: Sequence[Any], left_out: list[str]) -> list[str]:
    names = [METRICS_BACK.get(METRICS.get(_metric_name(metric), "")) for metric in metrics]
    left_out += [_shown(metric) for metric, name in zip(metrics, names, strict=True) if name is None]
    return [name for name in names if name is not None]


def _metric_name(metric: Any) -> str:
    """Return the name of what a metric computes, whatever it is called; none of one with settings of its own."""
    if isinstance(metric, str):
        return metric
    if not isinstance(metric, import_keras().metrics.Metric) or not has_default_settings(metric):
        # a threshold of one's own, say, would be lost without a word
        return ""
    return snake(type(metric).__name__)


def _shown(metric: Any) -> str:
    return metric if isinstance(metric, str) else str(getattr(metric, "name", None) or metric)[:100]


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for part in value.values() for item in _flat(part)]
    if isinstance(value, list | tuple):
        return [item for part in value for item in _flat(part)]
    return [] if value is None else [value]
