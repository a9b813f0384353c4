"""Fields that many configurations have: regularizers, initializers."""

from __future__ import annotations

from typing import Any

from fitwell.keras.backend import import_keras, is_keras_own
from fitwell.tfjs.writing.sheet import LayerCall

VARIANCE_SCALING = {"VarianceScaling", "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform",
                    "LecunNormal"}  # fmt: skip
TFJS_INITIALIZERS = {
    "Zeros": (), "Ones": (), "Constant": ("value",), "RandomUniform": ("minval", "maxval"),
    "RandomNormal": ("mean", "stddev"), "TruncatedNormal": ("mean", "stddev"), "Identity": ("gain",),
    "Orthogonal": ("gain",),
}  # fmt: skip
"""Initializers of the same name and meaning in TensorFlow.js, and their fields, which are Keras's attributes too."""

SEEDED = {"RandomUniform", "RandomNormal", "TruncatedNormal", "Orthogonal", *VARIANCE_SCALING}
"""Those that draw, in TensorFlow.js as in Keras."""

DISTRIBUTIONS = {"uniform": "uniform", "truncated_normal": "normal"}
"""What Keras calls truncated_normal is TensorFlow.js's normal; its untruncated one is not offered there."""


def weight_fields(call: LayerCall, *weights: str, of: Any = None) -> dict[str, Any]:
    """Return regularizers and initializers of weights, and tell what is left out."""
    layer = call.layer if of is None else of
    fields: dict[str, Any] = {}
    for weight in weights:
        fields[f"{weight}_regularizer"] = regularizer(call, getattr(layer, f"{weight}_regularizer", None))
        initial = initializer(getattr(layer, f"{weight}_initializer", None))
        if initial is not None:
            fields[f"{weight}_initializer"] = initial
    tell_left_out(call, layer)
    return fields


def tell_left_out(call: LayerCall, layer: Any) -> None:
    """Tell of constraints and activity regularizers."""
    held = [name for name in vars(layer) if name.endswith("_constraint") and getattr(layer, name) is not None]
    if held:
        call.note("its constraints are left out, since TensorFlow.js would apply them while it loads the weights.")
    if getattr(layer, "activity_regularizer", None) is not None:
        call.note("its activity regularizer is left out, since TensorFlow.js cannot call a layer that has one.")


def regularizer(call: LayerCall, given: Any) -> dict[str, Any] | None:
    """Return an L1L2 with both keys, the only class that TensorFlow.js has."""
    if given is None:
        return None
    keras = import_keras()
    # others are no such sums over weights
    if type(given) not in (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2):
        call.note(f"its regularizer {type(given).__name__} is left out, since TensorFlow.js has only L1 and L2.")
        return None
    # both keys, since a missing one is 0.01 in TensorFlow.js
    config = {"l1": float(getattr(given, "l1", 0.0)), "l2": float(getattr(given, "l2", 0.0))}
    return {"class_name": "L1L2", "config": config}


def initializer(given: Any) -> dict[str, Any] | None:
    """Return an initializer that TensorFlow.js has, else None: all weights are in the file, so none is needed."""
    name = type(given).__name__
    # somebody's own may have the same name
    if not is_keras_own(given):
        return None
    seed = {"seed": _seed(given)} if name in SEEDED else {}
    if name in VARIANCE_SCALING:
        distribution = DISTRIBUTIONS.get(given.distribution)
        if distribution is None:
            return None
        fields = {"scale": float(given.scale), "mode": given.mode, "distribution": distribution}
        return {"class_name": "VarianceScaling", "config": {**fields, **seed}}
    if name not in TFJS_INITIALIZERS:
        return None
    # the attributes: the get_config() of Keras's Identity has no gain
    fields = {key: getattr(given, key) for key in TFJS_INITIALIZERS[name]}
    if not all(isinstance(value, int | float) for value in fields.values()):
        return None
    return {"class_name": name, "config": {**fields, **seed}}


def _seed(given: Any) -> int | None:
    """Return the seed that a person gave; what Keras draws for itself, or a generator, is none."""
    seed = given.get_config().get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None
