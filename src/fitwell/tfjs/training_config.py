"""How a model was trained: TensorFlow.js's `trainingConfig` as arguments of Keras's `compile`, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fitwell.errors import FileError
from fitwell.keras.backend import has_default_settings, import_keras
from fitwell.keras.heads import from_logits, loss_name
from fitwell.keras.internals import given_to_compile
from fitwell.tfjs.metrics import output_keys, read_metrics, written_metrics
from fitwell.tfjs.optimizer_config import OTHER_STEPS, read_optimizer, takes_other_steps, written_optimizer
from fitwell.tfjs.spelling import snake

TFJS_LOSSES = (
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
    "squared_hinge", "hinge", "categorical_hinge", "logcosh", "categorical_crossentropy",
    "sparse_categorical_crossentropy", "binary_crossentropy", "kullback_leibler_divergence", "poisson",
    "cosine_proximity",
)  # fmt: skip
"""Losses that TensorFlow.js knows, by its names."""

TO_KERAS = {"kullback_leibler_divergence": "kl_divergence", "logcosh": "log_cosh", "cosine_proximity": None}
"""Losses with another name in Keras; None for one that is another there (its sign, and where it takes means)."""

SIGNS = ("hinge", "squared_hinge")
"""Losses of targets -1 and 1, into which Keras turns 0 and 1."""

FROM_KERAS = {keras: ours for ours, keras in TO_KERAS.items() if keras}


def read_training_config(training: Mapping[str, Any], outputs: int = 1) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Translate the `trainingConfig` of a model with so many outputs.

    Returns
    -------
    Arguments for ``model.compile``, and notices.

    Raises
    ------
    FileError
        It names a loss or an optimizer that TensorFlow.js does not have, or holds what is no setting.
    """
    notices: list[str] = []
    # files made by hand or by other programs are in camelCase
    found = training.get("optimizer_config", training.get("optimizerConfig"))
    loss = _mapped(training.get("loss"), _loss)
    if loss is None or loss == [] or loss == {}:
        raise FileError("'trainingConfig' names no loss: compile the model before it is saved.")
    metrics = read_metrics(training.get("metrics"), notices, outputs)
    optimizer = read_optimizer(found)
    # said, not refused: the model predicts the same, and only training on differs
    if takes_other_steps(optimizer):
        notices.append(OTHER_STEPS.format(type(optimizer).__name__))
    return {"optimizer": optimizer, "loss": loss, "metrics": metrics}, tuple(notices)


def written_training_config(model: Any, outputs: Sequence[str]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Translate how a Keras model is compiled; None, with a notice, if TensorFlow.js cannot train it so.

    Parameters
    ----------
    outputs
        The layers that give its outputs where it is written, which may have other names there.

    Returns
    -------
    A `trainingConfig` or None, and notices.
    """
    if not getattr(model, "compiled", False):
        return None, ()
    # as they were given: `model.metrics` holds what Keras has wrapped
    config = given_to_compile(model)
    why = _why_not(model, config)
    optimizer = None if why else written_optimizer(model.optimizer)
    if why is None and optimizer is None:
        why = f"the optimizer {type(model.optimizer).__name__} with its settings"
    keys = output_keys(model)
    loss = None if why else _written_losses(model.loss, keys)
    if why is None and loss is None:
        why = "its loss"
    if why is not None:
        return None, (f"Without training settings: TensorFlow.js does not have {why}; compile the model there.",)
    metrics, left_out = written_metrics(config.get("metrics"), keys, outputs)
    notices: tuple[str, ...] = ()
    if left_out:
        notices += (f"Without the metrics {', '.join(left_out)}, which a TensorFlow.js model cannot keep.",)
    if any(name in SIGNS for name in _each(loss)):
        notices += ("TensorFlow.js's hinge losses take targets -1 and 1; 0 and 1, which Keras takes too, they do not.",)
    return {"optimizer_config": optimizer, "loss": loss, "metrics": metrics}, notices


def _loss(name: Any) -> str:
    ours = snake(name) if isinstance(name, str) else name
    if ours not in TFJS_LOSSES or TO_KERAS.get(ours, ours) is None:
        raise FileError(
            f"'trainingConfig' has the loss {str(name)[:100]!r}, which is not read: use one of Keras's too."
        )
    return str(TO_KERAS.get(ours, ours))


def _mapped(value: Any, one: Any) -> Any:
    """Translate a value, each of a list, or each of an object."""
    if isinstance(value, list):
        return [one(item) for item in value]
    if isinstance(value, dict):
        return {str(key): one(item) for key, item in value.items()}
    return None if value is None else one(value)


def _why_not(model: Any, config: Mapping[str, Any]) -> str | None:
    # TensorFlow.js throws when it loads a file that has them
    for name in ("loss_weights", "weighted_metrics"):
        if config.get(name):
            return name.replace("_", " ")
    if getattr(model.optimizer, "weight_decay", None):
        return f"weight decay ({model.optimizer.weight_decay:g} here)"
    for loss in _each(model.loss):
        if loss is None or from_logits(loss):
            return "losses of logits" if loss is not None else "outputs without a loss"
        if hasattr(loss, "get_config") and loss.get_config().get("label_smoothing"):
            return "label smoothing"
    return None


def _each(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def _written_losses(loss: Any, keys: Sequence[str]) -> Any:
    """Return the name of a loss, or a list of them in the order of the outputs."""
    if not isinstance(loss, dict | list | tuple):
        return _written_loss(loss)
    if isinstance(loss, dict):
        if set(loss) != set(keys):
            return None
        loss = [loss[key] for key in keys]
    names = [_written_loss(item) for item in loss]
    return None if None in names or len(names) != len(keys) else names if len(names) > 1 else names[0]


def _written_loss(loss: Any) -> str | None:
    if not _is_as_keras_makes_it(loss):
        return None
    name = FROM_KERAS.get(loss_name(loss), loss_name(loss))
    return name if name in TFJS_LOSSES and TO_KERAS.get(name, name) is not None else None


def _is_as_keras_makes_it(loss: Any) -> bool:
    """Whether a loss is one of Keras's own with its usual settings: a sum, say, would be a mean there."""
    if isinstance(loss, str):
        return True
    losses = import_keras().losses
    if isinstance(loss, losses.Loss):
        return has_default_settings(loss)
    return getattr(losses, loss_name(loss), None) is loss
