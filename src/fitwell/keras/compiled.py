"""What a Keras model was compiled with, as the engine takes it: loss, metrics, optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitwell.engine.losses import Loss
from fitwell.errors import InputError
from fitwell.keras.backend import import_keras
from fitwell.keras.internals import given_to_compile, set_mask
from fitwell.keras.keras_network import Outputs, first_line


class Targets(NamedTuple):
    """The targets of a Keras model.

    Attributes
    ----------
    values
        As the loss takes them, [n, ...] or a tree of such.
    weight
        [n], each row's weight where losses are measured; None is 1.
    train_weight
        [n], the same in training, where weights of classes count too; None is 1.
    """

    values: Any
    weight: Any
    train_weight: Any


def compile_arguments(model: Any) -> dict[str, Any]:
    """Return what `model.compile` was given, with new metrics and a new optimizer (both have state).

    Raises
    ------
    InputError
        The model is not compiled, or trains in its own way.
    """
    keras = import_keras()
    if not model.compiled or model.optimizer is None or getattr(model, "loss", None) is None:
        raise InputError(
            f"The model '{model.name}' is not compiled: call model.compile(optimizer=..., loss=...) first."
        )
    # steps here are the program's, and losses are of single rows: no override can be trusted to mean the same
    for method in ("train_step", "compute_loss", "fit"):
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise InputError(
                f"The model '{model.name}' has its own {method}(), which fitwell cannot train many of at once: "
                "write it as a loss and layers, or use fitwell.train with functions of your own."
            )
    given = dict(given_to_compile(model))
    # the object given holds the slots of the user's own training, which must not be touched
    given["optimizer"] = type(model.optimizer).from_config(model.optimizer.get_config())
    return {name: _anew(keras, value) for name, value in given.items()}


def compile_alike(new: Any, model: Any, exempt: Sequence[Any]) -> None:
    """Compile a model as another; `exempt` are variables of the new one that its optimizer does not let decay.

    No configuration knows of these (`exclude_from_weight_decay`), so that they would be forgotten.
    """
    new.compile(**compile_arguments(model))
    if exempt:
        new.optimizer.exclude_from_weight_decay(var_list=list(exempt))


def make_loss(copy: Any, targets: Targets, sample_outputs: Any) -> Loss:
    """Return a compiled copy's loss and its first metric, of rows and of batches.

    Parameters
    ----------
    copy
        Compiled, without regularizers.
    targets, sample_outputs
        Of some rows, and of a row or two: Keras makes its metrics when it sees the first.
    """
    sample = jax.tree.map(lambda leaf: leaf[:2], targets)

    def measured() -> Any:
        copy.compute_loss(None, keras_targets(sample.values), sample_outputs, None, training=False)
        return copy.compute_metrics(None, keras_targets(sample.values), sample_outputs, None)

    try:
        # traced only: computed, each operation in it would be compiled for itself
        with import_keras().StatelessScope():
            found = jax.eval_shape(measured)
    except Exception as error:
        raise InputError(
            f"The loss that the model was compiled with does not take these targets ({first_line(error)})."
        ) from error
    copy.reset_metrics()
    # the loss is among them, and is recorded anyway
    metric = next((name for name in found if name != "loss"), None) if _has_mean_metric(copy) else None

    def one_loss(outputs: Outputs, row: Targets) -> jax.Array:
        return _loss_of(copy, outputs, row.values, row.weight)

    def one_metric(outputs: Outputs, row: Targets) -> jax.Array:
        with _scope(copy):
            return copy.compute_metrics(None, keras_targets(row.values), _masked(outputs), None)[metric]

    def per_row(outputs: Outputs, rows: Targets) -> jax.Array:
        # Keras's losses give one mean of a batch, so each row is a batch of its own
        losses = _by_row(one_loss, outputs, rows)
        return losses if outputs.added is None else losses + outputs.added

    def batch(outputs: Outputs, rows: Targets) -> jax.Array:
        loss = _loss_of(copy, outputs, rows.values, rows.train_weight)
        return loss if outputs.added is None else loss + outputs.added

    return Loss(
        name=_name(copy.loss),
        per_row=per_row,
        metric_name=metric or "loss",
        metric=(lambda outputs, rows: _by_row(one_metric, outputs, rows)) if metric else per_row,
        predict=lambda outputs: outputs.predictions,
        batch=batch,
    )


def compiled_scores(copy: Any, targets: Targets, predictions: Any) -> dict[str, float]:
    """Score predictions of all rows by the compiled metrics; rows with NaN (never held out) are left out."""
    flat = [np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(predictions)]
    known = np.all([np.isfinite(leaf).all(axis=1) for leaf in flat], axis=0)
    if not known.any():
        return {}
    dtype = jnp.asarray(0.0).dtype
    kept, outputs = jax.tree.map(lambda leaf: leaf[known], (targets, predictions))
    outputs = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), outputs)
    copy.reset_metrics()
    found = copy.compute_metrics(None, keras_targets(kept.values), outputs, kept.weight)
    copy.reset_metrics()
    # float32 holds seven digits: more would be rounding
    return {name: float(f"{value:.7g}") for name, value in found.items() if not name.endswith("loss")}


def keras_targets(values: Any) -> Any:
    """Return targets as Keras takes them: several in a list or a dict."""
    return list(values) if isinstance(values, tuple) else values


def _loss_of(copy: Any, outputs: Outputs, values: Any, weight: Any) -> jax.Array:
    with _scope(copy):
        return copy.compute_loss(None, keras_targets(values), _masked(outputs), weight, training=False)


def _masked(outputs: Outputs) -> Any:
    """Predictions with their masks, as Keras's losses and metrics look for them."""
    for leaf, mask in zip(jax.tree.leaves(outputs.predictions), outputs.masks, strict=False):
        set_mask(leaf, mask)
    return outputs.predictions


def _scope(copy: Any) -> Any:
    """A scope in which metrics start at zero and what is assigned to them is forgotten."""
    zeros = [(v, jnp.zeros(v.shape, v.dtype)) for v in copy.metrics_variables]
    return import_keras().StatelessScope(state_mapping=zeros)


def _by_row(of_one: Any, outputs: Outputs, rows: Targets) -> jax.Array:
    """Apply a function of batches to every row as a batch of one."""

    def one(*arguments: Any) -> jax.Array:
        predictions, masks, row = jax.tree.map(lambda leaf: leaf[None], arguments)
        return of_one(Outputs(predictions, None, masks), row)

    return jax.vmap(one)(outputs.predictions, outputs.masks, rows)


def _has_mean_metric(copy: Any) -> bool:
    """Whether the first metric is a mean over rows (accuracy, absolute error): others say nothing of a single row."""
    keras = import_keras()
    metrics = [inner for metric in copy.metrics for inner in getattr(metric, "metrics", [metric])]
    # Keras tracks the losses of single outputs as metrics too
    metrics = [metric for metric in metrics if metric.name != "loss" and not metric.name.endswith("_loss")]
    return bool(metrics) and isinstance(metrics[0], keras.metrics.Mean)


def _anew(keras: Any, value: Any) -> Any:
    def one(item: Any) -> Any:
        # a metric object goes on counting: two models with one would count each other's rows
        return type(item).from_config(item.get_config()) if isinstance(item, keras.metrics.Metric) else item

    if isinstance(value, dict):
        return {key: _anew(keras, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_anew(keras, item) for item in value]
    return one(value)


def _name(loss: Any) -> str:
    if isinstance(loss, str):
        return loss.replace("_", " ")
    if isinstance(loss, dict | list | tuple):
        return "loss"
    return getattr(loss, "name", None) or getattr(loss, "__name__", "loss")
