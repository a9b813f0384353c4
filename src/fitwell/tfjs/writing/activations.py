"""Activations: TensorFlow.js's own by name, others as layers behind a linear activation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from fitwell.keras.backend import import_keras
from fitwell.tfjs.writing.sheet import LayerCall, Value

TFJS_ACTIVATIONS = {
    "elu": "elu", "gelu": "gelu", "linear": "linear", "log_softmax": "log_softmax", "mish": "mish", "relu": "relu",
    "relu6": "relu6", "selu": "selu", "sigmoid": "sigmoid", "silu": "swish", "softmax": "softmax",
    "softplus": "softplus", "softsign": "softsign", "tanh": "tanh",
}  # fmt: skip
"""Functions of `keras.activations` that TensorFlow.js has, and what it calls them."""

ALONG_AXES = ("log_softmax", "softmax")
"""Those of them that look at more than one number."""

INEXPRESSIBLE = {
    "exponential": "TensorFlow.js has no exponential",
    "glu": "it halves its input, which an activation of TensorFlow.js cannot",
    "sparsemax": "TensorFlow.js cannot sort",
    "squareplus": "TensorFlow.js has no layer that takes roots",
    "threshold": "TensorFlow.js has no such activation",
}
"""Functions of `keras.activations` that no layers of TensorFlow.js can express, and why."""


def written(call: LayerCall, activation: Any, make: Callable[[str], Value], part: str = "activation") -> Value:
    """Return a layer's output behind its activation.

    Parameters
    ----------
    activation
        Function of Keras; None for linear.
    make
        Writes the layer with an activation of TensorFlow.js of its own.
    """
    name = own_name(activation)
    if name is not None:
        return make(name)
    return add_activation(call, activation, make("linear"), part)


def split(activation: Any, *, moved: bool) -> tuple[Any, Any]:
    """Return what of an activation a layer may apply itself, and what must wait until its axes are back in place.

    A softmax takes the last axis, and a layer such as PReLU has weights along axes: both would find others if axes are
    `moved` around the layer.
    """
    name = keras_name(activation)
    by_number = activation is None or (name in TFJS_ACTIVATIONS and name not in ALONG_AXES) or name in RECIPES
    return (activation, None) if by_number or not moved else (None, activation)


def own_name(activation: Any) -> str | None:
    """Return TensorFlow.js's name of an activation, None where it has none."""
    if activation is None:
        return "linear"
    return TFJS_ACTIVATIONS.get(keras_name(activation) or "")


def keras_name(activation: Any) -> str | None:
    """Return the name in `keras.activations` of a function, None for anything else."""
    known = import_keras().activations
    name = getattr(activation, "__name__", "")
    # by the function itself: somebody's own may be called relu
    return name if name and getattr(known, name, None) is activation else None


def add_activation(call: LayerCall, activation: Any, value: Value, part: str = "activation") -> Value:
    """Write an activation as layers of its own."""
    name = keras_name(activation)
    if activation is None:
        return value
    if name in TFJS_ACTIVATIONS:
        return call.activate(value, TFJS_ACTIVATIONS[name], part)
    if name in RECIPES:
        return RECIPES[name](call, value, part)
    if name in INEXPRESSIBLE:
        call.refuse(f"its activation '{name}' cannot be expressed: {INEXPRESSIBLE[name]}; use another activation.")
    if isinstance(activation, import_keras().layers.Layer):
        return call.write(call.sheet, activation, [value], {}, [value.shape])[0]
    described = getattr(activation, "__name__", type(activation).__name__)
    call.refuse(
        f"its activation '{described}' is none that TensorFlow.js knows; use one of keras.activations by its name."
    )


def add_clip(call: LayerCall, value: Value, scale: float, offset: float, top: float, part: str) -> Value:
    """Write ``clip(value * scale + offset, 0, top)``."""
    moved = call.rescale(value, scale, offset, f"{part}_move")
    return call.add("ReLU", moved, f"{part}_clip", max_value=top)


def add_negative(call: LayerCall, value: Value, part: str) -> Value:
    """Write ``-value``."""
    return call.rescale(value, -1, 0, part)


def add_leaky_relu(call: LayerCall, value: Value, part: str, slope: float = 0.2) -> Value:
    """Write a leaky ReLU."""
    return call.add("LeakyReLU", value, part, alpha=float(slope))


def add_hard_sigmoid(call: LayerCall, value: Value, part: str) -> Value:
    """Write Keras's hard sigmoid: TensorFlow.js's has the slope 1/5 instead of 1/6."""
    return call.activate(call.rescale(value, 5 / 6, 0, f"{part}_slope"), "hard_sigmoid", part)


def add_gelu_tanh(call: LayerCall, value: Value, part: str) -> Value:
    """Write the approximate GELU, ``x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))``."""
    cube = call.rescale(call.merge("Multiply", [value] * 3, f"{part}_cube"), 0.044715, 0, f"{part}_cubic")
    inner = call.rescale(call.merge("Add", [value, cube], f"{part}_sum"), 2 * math.sqrt(2 / math.pi), 0, f"{part}_in")
    return call.merge("Multiply", [value, call.activate(inner, "sigmoid", f"{part}_gate")], part)


def add_relu(call: LayerCall, value: Value, part: str, slope: float, top: float | None, threshold: float) -> Value:
    """Write any ReLU of Keras: a slope below the threshold, a largest value, a threshold."""
    # the plain cases first: one layer each, which people know again in the file
    if threshold == 0 and slope == 0:
        return call.add("ReLU", value, part, max_value=None if top is None else float(top))
    if threshold == 0 and top is None:
        return add_leaky_relu(call, value, part, slope)
    upper, at = value, f"{part}_above"
    if threshold != 0:
        upper = call.add("ThresholdedReLU", upper, f"{part}_threshold", theta=float(threshold))
    if top is not None or threshold == 0:
        upper = call.add("ReLU", upper, at, max_value=None if top is None else float(top))
    if slope == 0:
        return upper
    below = call.add("ReLU", call.rescale(value, -1, threshold, f"{part}_below"), f"{part}_distance", max_value=None)
    return call.merge("Add", [upper, call.rescale(below, -slope, 0, f"{part}_slope")], part)


def add_elu(call: LayerCall, value: Value, part: str, alpha: float) -> Value:
    """Write an ELU: ``relu(x) + alpha * elu(min(x, 0))``."""
    # TensorFlow.js's ELU refuses any other alpha
    if alpha == 1:
        return call.add("ELU", value, part, alpha=1.0)
    upper = call.add("ReLU", value, f"{part}_above", max_value=None)
    below = call.add("ReLU", add_negative(call, value, f"{part}_turn"), f"{part}_below", max_value=None)
    curve = call.activate(add_negative(call, below, f"{part}_back"), "elu", f"{part}_curve")
    return call.merge("Add", [upper, call.rescale(curve, alpha, 0, f"{part}_alpha")], part)


def _add_hard_silu(call: LayerCall, value: Value, part: str) -> Value:
    return call.merge("Multiply", [value, add_hard_sigmoid(call, value, f"{part}_gate")], part)


def _add_hard_tanh(call: LayerCall, value: Value, part: str) -> Value:
    return call.rescale(add_clip(call, value, 1, 1, 2, part), 1, -1, part)


def _add_log_sigmoid(call: LayerCall, value: Value, part: str) -> Value:
    turned = call.activate(add_negative(call, value, f"{part}_turn"), "softplus", f"{part}_softplus")
    return add_negative(call, turned, part)


def _add_tanh_shrink(call: LayerCall, value: Value, part: str) -> Value:
    return call.merge(
        "Add", [value, add_negative(call, call.activate(value, "tanh", f"{part}_tanh"), f"{part}_turn")], part
    )


def _add_shrink(call: LayerCall, value: Value, part: str, *, hard: bool) -> Value:
    """Write ``above(x) - above(-x)`` with what lies above 0.5, for a hard shrink unmoved."""

    def above(sign: float, side: str) -> Value:
        if hard:
            turned = call.rescale(value, sign, 0, f"{part}_{side}_move")
            return call.add("ThresholdedReLU", turned, f"{part}_{side}", theta=0.5)
        return call.add(
            "ReLU", call.rescale(value, sign, -0.5, f"{part}_{side}_move"), f"{part}_{side}", max_value=None
        )

    return call.merge("Add", [above(1, "right"), add_negative(call, above(-1, "left"), f"{part}_turn")], part)


def _add_sparse_sigmoid(call: LayerCall, value: Value, part: str) -> Value:
    return add_clip(call, value, 0.5, 0.5, 1, part)


def _add_sparse_plus(call: LayerCall, value: Value, part: str) -> Value:
    half = add_clip(call, value, 0.5, 0.5, 1, f"{part}_half")
    square = call.merge("Multiply", [half, half], f"{part}_square")
    beyond = call.add("ReLU", call.rescale(value, 1, -1, f"{part}_beyond_move"), f"{part}_beyond", max_value=None)
    return call.merge("Add", [square, beyond], part)


RECIPES: dict[str | None, Callable[[LayerCall, Value, str], Value]] = {
    "celu": lambda call, value, part: call.activate(value, "elu", part),
    "hard_shrink": functools.partial(_add_shrink, hard=True),
    "hard_sigmoid": add_hard_sigmoid,
    "hard_silu": _add_hard_silu,
    "hard_tanh": _add_hard_tanh,
    "leaky_relu": add_leaky_relu,
    "log_sigmoid": _add_log_sigmoid,
    "soft_shrink": functools.partial(_add_shrink, hard=False),
    "sparse_plus": _add_sparse_plus,
    "sparse_sigmoid": _add_sparse_sigmoid,
    "tanh_shrink": _add_tanh_shrink,
}
"""Functions of `keras.activations` that are written as several layers."""
