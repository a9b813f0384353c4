"""Optimizers as `trainingConfig` names them: read as Keras's, and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.errors import FileError
from fitwell.keras.backend import import_keras, is_keras_own
from fitwell.tfjs.spelling import camel, snake


@dataclass(frozen=True)
class OptimizerKind:
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
    "SGD": OptimizerKind("SGD", _RATE, {"momentum": 0.0, "nesterov": False}),
    "Momentum": OptimizerKind("SGD", {**_RATE, "momentum": ("momentum", 0.9), "use_nesterov": ("nesterov", False)}, {}),
    "Adam": OptimizerKind("Adam", {**_BETAS, "epsilon": ("epsilon", 1e-7)}, {"amsgrad": False}),
    "Adamax": OptimizerKind("Adamax", {**_BETAS, "epsilon": ("epsilon", 1e-7)}, {}),
    "RMSProp": OptimizerKind(
        "RMSprop",
        {"learning_rate": ("learning_rate", 0.01), "decay": ("rho", 0.9), "momentum": ("momentum", 0.0),
         "epsilon": ("epsilon", 1e-7), "centered": ("centered", False)},
        {},
    ),
    "Adagrad": OptimizerKind(
        "Adagrad",
        {"learning_rate": ("learning_rate", 0.01), "initial_accumulator_value": ("initial_accumulator_value", 0.1)},
        {},
    ),
    "Adadelta": OptimizerKind(
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


def read_optimizer(found: Any) -> Any:
    """Return Keras's optimizer of an `optimizer_config`, or of a class name alone.

    Raises
    ------
    FileError
        TensorFlow.js has none of that name, or a setting is no number.
    """
    entry = found if isinstance(found, dict) else {"class_name": found}
    name = entry.get("class_name", entry.get("className"))
    if not isinstance(name, str) or name not in OPTIMIZERS:
        raise FileError(f"'trainingConfig' must name one of {', '.join(OPTIMIZERS)}. Got {str(name)[:100]!r}.")
    kind, config = OPTIMIZERS[name], entry.get("config")
    given = {snake(str(key)): value for key, value in config.items()} if isinstance(config, dict) else {}
    # TensorFlow.js loads both spellings
    given |= {short: given[long] for short, long in (("beta1", "beta_1"), ("beta2", "beta_2")) if long in given}
    settings: dict[str, Any] = dict(kind.fixed)
    for name, (keras_name, default) in kind.fields.items():
        value = given.get(name)
        value = default if value is None else value
        # true is a number to Python, and no learning rate
        is_truth = isinstance(value, bool) and not isinstance(default, bool)
        if is_truth or not isinstance(value, int | float) or not 0 <= value < 1e300:
            raise FileError(f"The optimizer's '{name}' must be a number. Got {str(value)[:100]!r}.")
        settings[keras_name] = bool(value) if isinstance(default, bool) else float(value)
    try:
        return getattr(import_keras().optimizers, kind.keras)(**settings)
    except (TypeError, ValueError) as error:
        raise FileError(f"The optimizer's settings are none of {kind.keras}'s ({error}).") from error


def takes_other_steps(optimizer: Any) -> bool:
    """Whether TensorFlow.js's optimizer of the same name and settings trains otherwise."""
    return type(optimizer).__name__ == "Adadelta" or bool(getattr(optimizer, "centered", False))


def written_optimizer(optimizer: Any) -> dict[str, Any] | None:
    """Return the `optimizer_config` of Keras's optimizer, None if TensorFlow.js has no such one."""
    config = optimizer.get_config()
    if any(config.get(name) for name in NEVER) or config.get("use_ema") or takes_other_steps(optimizer):
        return None
    # without its decay, which is never written, AdamW is Adam
    kind = {"AdamW": "Adam"}.get(type(optimizer).__name__, type(optimizer).__name__)
    names = [name for name, found in OPTIMIZERS.items() if found.keras == kind]
    if not names or not is_keras_own(optimizer):
        return None
    # TensorFlow.js has two classes for what is one in Keras
    name = "Momentum" if kind == "SGD" and config.get("momentum") else names[0]
    found = OPTIMIZERS[name]
    # what TensorFlow.js has not must be off, or it would train otherwise
    if any(config.get(key) not in (value, None) for key, value in found.fixed.items()):
        return None
    settings = {ours: config.get(keras_name) for ours, (keras_name, _) in found.fields.items()}
    if not all(isinstance(value, int | float) for value in settings.values()):
        return None  # such as a schedule of the learning rate
    return {"class_name": name, "config": {camel(key): _shortest(value) for key, value in settings.items()}}


def _shortest(value: Any) -> Any:
    """Return the shortest decimal of the same float32: 0.001, not 0.0010000000474974513."""
    return value if isinstance(value, bool) else float(str(np.float32(value)))
