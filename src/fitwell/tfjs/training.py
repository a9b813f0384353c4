"""How a model was trained: TensorFlow.js's `trainingConfig` as arguments of Keras's `compile`, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.errors import FileError
from fitwell.keras.backend import import_keras
from fitwell.keras.heads import from_logits, loss_name

LOSSES = (
    "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error",
    "squared_hinge", "hinge", "categorical_hinge", "logcosh", "categorical_crossentropy",
    "sparse_categorical_crossentropy", "binary_crossentropy", "kullback_leibler_divergence", "poisson",
    "cosine_proximity",
)  # fmt: skip
"""Losses that TensorFlow.js knows, by its names."""

TO_KERAS = {"kullback_leibler_divergence": "kl_divergence", "logcosh": "log_cosh", "cosine_proximity": None}
"""Losses with another name in Keras; None for one that is another there (its sign, and where it takes means)."""

FROM_KERAS = {keras: ours for ours, keras in TO_KERAS.items() if keras}

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


@dataclass(frozen=True)
class Kind:
    """An optimizer of TensorFlow.js.

    Attributes
    ----------
    keras
        Its class in Keras.
    fields
        From TensorFlow.js's names of its settings to Keras's, and what they are if they are not given.
    fixed
        Settings of Keras's that TensorFlow.js does not have, at the values that leave them out.
    """

    keras: str
    fields: Mapping[str, tuple[str, float]]
    fixed: Mapping[str, Any]


_RATE = {"learning_rate": ("learning_rate", 0.01)}
_BETAS = {"learning_rate": ("learning_rate", 0.001), "beta1": ("beta_1", 0.9), "beta2": ("beta_2", 0.999)}
OPTIMIZERS = {
    "SGD": Kind("SGD", _RATE, {"momentum": 0.0, "nesterov": False}),
    "Momentum": Kind("SGD", {**_RATE, "momentum": ("momentum", 0.9), "use_nesterov": ("nesterov", False)}, {}),
    "Adam": Kind("Adam", {**_BETAS, "epsilon": ("epsilon", 1e-7)}, {"amsgrad": False}),
    "Adamax": Kind("Adamax", {**_BETAS, "epsilon": ("epsilon", 1e-7)}, {}),
    "RMSProp": Kind(
        "RMSprop",
        {"learning_rate": ("learning_rate", 0.01), "decay": ("rho", 0.9), "momentum": ("momentum", 0.0),
         "epsilon": ("epsilon", 1e-7), "centered": ("centered", False)},
        {},
    ),
    "Adagrad": Kind(
        "Adagrad",
        {"learning_rate": ("learning_rate", 0.01), "initial_accumulator_value": ("initial_accumulator_value", 0.1)},
        {},
    ),
    "Adadelta": Kind(
        "Adadelta",
        {"learning_rate": ("learning_rate", 0.001), "rho": ("rho", 0.95), "epsilon": ("epsilon", 1e-7)},
        {},
    ),
}  # fmt: skip
"""By TensorFlow.js's class names."""

OTHER_STEPS = "TensorFlow.js's {} takes other steps than Keras's of the same settings."
"""Of Adadelta, and of RMSProp that is centered: the first steps of both were compared."""

NEVER = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor", "gradient_accumulation_steps")
"""Settings of Keras's optimizers that TensorFlow.js has no counterpart for: they must be off."""


def compile_arguments(training: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Translate a `trainingConfig`.

    Returns
    -------
    Arguments for ``model.compile``, and notices.

    Raises
    ------
    FileError
        It names a loss or an optimizer that TensorFlow.js does not have, or holds what is no setting.
    """
    notices: list[str] = []
    found = training.get("optimizer_config", training.get("optimizerConfig"))
    loss = _mapped(training.get("loss"), _loss)
    if loss is None or loss == [] or loss == {}:
        raise FileError("'trainingConfig' names no loss: compile the model before it is saved.")
    metrics = _metrics(training.get("metrics"), notices)
    optimizer = _optimizer(found)
    if _takes_other_steps(optimizer):
        notices.append(OTHER_STEPS.format(type(optimizer).__name__))
    return {"optimizer": optimizer, "loss": loss, "metrics": metrics}, tuple(notices)


def training_config(model: Any) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Translate how a Keras model is compiled; None, with a notice, if TensorFlow.js cannot train it so.

    Returns
    -------
    A `trainingConfig` or None, and notices.
    """
    if not getattr(model, "compiled", False):
        return None, ()
    config = getattr(model, "_compile_config", None)
    config = config.config if config is not None else {}
    why = _why_not(model, config)
    optimizer = None if why else _optimizer_back(model.optimizer)
    if why is None and optimizer is None:
        why = f"the optimizer {type(model.optimizer).__name__} with its settings"
    loss = None if why else _losses_back(model.loss)
    if why is None and loss is None:
        why = "its loss"
    if why is not None:
        return None, (f"Without training settings: TensorFlow.js does not have {why}; compile the model there.",)
    metrics, left_out = _metrics_back(config.get("metrics"), several=len(model.outputs) > 1)
    notices = (f"Without the metrics {', '.join(left_out)}, which TensorFlow.js does not have.",) if left_out else ()
    return {"optimizer_config": optimizer, "loss": loss, "metrics": metrics}, notices


def _optimizer(found: Any) -> Any:
    entry = found if isinstance(found, dict) else {"class_name": found}
    name = entry.get("class_name", entry.get("className"))
    if not isinstance(name, str) or name not in OPTIMIZERS:
        raise FileError(f"'trainingConfig' must name one of {', '.join(OPTIMIZERS)}. Got {str(name)[:100]!r}.")
    kind, config = OPTIMIZERS[name], entry.get("config")
    given = {_snake(str(key)): value for key, value in config.items()} if isinstance(config, dict) else {}
    given |= {short: given[long] for short, long in (("beta1", "beta_1"), ("beta2", "beta_2")) if long in given}
    settings: dict[str, Any] = dict(kind.fixed)
    for name, (keras_name, default) in kind.fields.items():
        value = given.get(name)
        value = default if value is None else value
        is_truth = isinstance(value, bool) and not isinstance(default, bool)
        if is_truth or not isinstance(value, int | float) or not 0 <= value < 1e300:
            raise FileError(f"The optimizer's '{name}' must be a number. Got {str(value)[:100]!r}.")
        settings[keras_name] = bool(value) if isinstance(default, bool) else float(value)
    try:
        return getattr(import_keras().optimizers, kind.keras)(**settings)
    except (TypeError, ValueError) as error:
        raise FileError(f"The optimizer's settings are none of {kind.keras}'s ({error}).") from error


def _takes_other_steps(optimizer: Any) -> bool:
    return type(optimizer).__name__ == "Adadelta" or bool(getattr(optimizer, "centered", False))


def _loss(name: Any) -> str:
    snake = _snake(name) if isinstance(name, str) else name
    if snake not in LOSSES or TO_KERAS.get(snake, snake) is None:
        raise FileError(
            f"'trainingConfig' has the loss {str(name)[:100]!r}, which is not read: use one of Keras's too."
        )
    return str(TO_KERAS.get(snake, snake))


def _mapped(value: Any, one: Any) -> Any:
    """Translate a value, each of a list, or each of an object."""
    if isinstance(value, list):
        return [one(item) for item in value]
    if isinstance(value, dict):
        return {str(key): one(item) for key, item in value.items()}
    return None if value is None else one(value)


def _metrics(found: Any, notices: list[str]) -> Any:
    if isinstance(found, dict):
        return {
            str(key): _metrics(value if isinstance(value, list) else [value], notices) for key, value in found.items()
        }
    known = []
    for name in found if isinstance(found, list) else [] if found is None else [found]:
        keras_name = METRICS.get(_snake(name)) if isinstance(name, str) else None
        if keras_name is None:
            notices.append(f"The metric {str(name)[:100]!r} was left out: Keras has none that is the same.")
        else:
            known.append(keras_name)
    return known


def _why_not(model: Any, config: Mapping[str, Any]) -> str | None:
    for name in ("loss_weights", "weighted_metrics"):
        if config.get(name):
            return name.replace("_", " ")
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


def _losses_back(loss: Any) -> Any:
    if isinstance(loss, dict):
        names = {str(key): _loss_back(item) for key, item in loss.items()}
        return None if None in names.values() else names
    if isinstance(loss, list | tuple):
        listed = [_loss_back(item) for item in loss]
        return None if None in listed else listed
    return _loss_back(loss)


def _loss_back(loss: Any) -> str | None:
    if not _is_as_keras_makes_it(loss):
        return None
    name = FROM_KERAS.get(loss_name(loss), loss_name(loss))
    return name if name in LOSSES and TO_KERAS.get(name, name) is not None else None


def _is_as_keras_makes_it(loss: Any) -> bool:
    """Whether a loss is one of Keras's own with its usual settings: a sum, say, would be a mean there."""
    if isinstance(loss, str):
        return True
    losses = import_keras().losses
    if isinstance(loss, losses.Loss):
        return _is_own(loss) and _settings(loss) == _settings(type(loss)())
    return getattr(losses, loss_name(loss), None) is loss


def _is_own(made: Any) -> bool:
    """Whether the class of an object is Keras's, and no one's subclass of the same name."""
    return type(made).__module__.split(".")[0] == "keras"


def _settings(made: Any) -> dict[str, Any]:
    return {key: value for key, value in made.get_config().items() if key not in ("name", "dtype")}


def _optimizer_back(optimizer: Any) -> dict[str, Any] | None:
    config = optimizer.get_config()
    if any(config.get(name) for name in NEVER) or config.get("use_ema") or _takes_other_steps(optimizer):
        return None
    kind = type(optimizer).__name__
    names = [name for name, found in OPTIMIZERS.items() if found.keras == kind]
    if not names or not _is_own(optimizer):
        return None
    name = "Momentum" if kind == "SGD" and config.get("momentum") else names[0]
    found = OPTIMIZERS[name]
    if any(config.get(key) not in (value, None) for key, value in found.fixed.items()):
        return None
    settings = {ours: config.get(keras_name) for ours, (keras_name, _) in found.fields.items()}
    if not all(isinstance(value, int | float) for value in settings.values()):
        return None  # such as a schedule of the learning rate
    return {"class_name": name, "config": {_camel(key): _shortest(value) for key, value in settings.items()}}


def _shortest(value: Any) -> Any:
    """Return the shortest decimal of the same float32: 0.001, not 0.0010000000474974513."""
    return value if isinstance(value, bool) else float(str(np.float32(value)))


def _metrics_back(found: Any, *, several: bool) -> tuple[list[str], list[str]]:
    """Return names of metrics there, and those left out; with several outputs a list there means all of them."""
    known, left_out = [], []
    for metric in _flat(found):
        name = METRICS_BACK.get(METRICS.get(_metric_name(metric), ""))
        if name is None or several:
            left_out.append(_shown(metric))
        else:
            known.append(name)
    return known, left_out


def _metric_name(metric: Any) -> str:
    """Return the name of what a metric computes, whatever it is called; none of one with settings of its own."""
    if isinstance(metric, str):
        return metric
    metrics = import_keras().metrics
    if not isinstance(metric, metrics.Metric) or not _is_own(metric):
        return ""
    try:
        usual = _settings(type(metric)())
    except TypeError:  # it cannot be made without settings
        return ""
    return _snake(type(metric).__name__) if _settings(metric) == usual else ""


def _shown(metric: Any) -> str:
    return metric if isinstance(metric, str) else str(getattr(metric, "name", None) or metric)[:100]


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for part in value.values() for item in _flat(part)]
    if isinstance(value, list | tuple):
        return [item for part in value for item in _flat(part)]
    return [] if value is None else [value]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
