"""`keras.ops` in a model's graph: arithmetic of tensors and numbers, activations, axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fitwell.keras.backend import import_keras
from fitwell.keras.internals import kind_of_operation
from fitwell.tfjs.writing import activations
from fitwell.tfjs.writing.sheet import LayerCall, Value, Writer, total_size
from fitwell.tfjs.writing.write_layers import along_last, resolved

ACTIVATION_OPERATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Softplus": "softplus", "Softsign": "softsign",
    "Silu": "silu", "LogSigmoid": "log_sigmoid", "Selu": "selu", "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu", "HardTanh": "hard_tanh", "TanhShrink": "tanh_shrink", "SparsePlus": "sparse_plus",
    "SparseSigmoid": "sparse_sigmoid",
}  # fmt: skip
"""Classes of operations of `keras.ops.nn` without arguments, and the activations that they are."""


def _operands(call: LayerCall) -> tuple[Any, Any]:
    names = ("x1", "x2")
    first, second = (_operand(call, call.arguments[name]) for name in names)
    # Keras lines axes up from the last, TensorFlow.js's merges put new ones behind the batch
    if isinstance(first, Value) and isinstance(second, Value) and len(first.shape) != len(second.shape):
        call.refuse("tensors of different rank are not offered; reshape one of them.")
    return first, second


def _operand(call: LayerCall, given: Any) -> Any:
    """Return a tensor, or a number or array that broadcasts along the axes behind the batch."""
    if isinstance(given, Value):
        return given
    array = np.asarray(import_keras().ops.convert_to_numpy(given), np.float64)
    # axes of one in front broadcast anyway, the batch's among them
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    rank = max(len(value.shape) for value in call.arguments.values() if isinstance(value, Value))
    if array.ndim >= rank:
        call.refuse("an array along the batch is not offered; use one for the axes behind it.")
    return array


def _fits(call: LayerCall, value: Value, array: Any) -> None:
    """Check that an array does not widen the tensor, as TensorFlow.js would not expect."""
    shape = np.shape(array)
    if any(size not in (1, known) for size, known in zip(shape[::-1], value.shape[::-1], strict=False)):
        call.refuse("an array that widens the tensor is not offered; use a layer that repeats it.")


def _write_add(call: LayerCall, _: list[Value]) -> Value:
    """Write a sum."""
    first, second = _operands(call)
    if isinstance(first, Value) and isinstance(second, Value):
        return call.add("Add", [first, second], shape=call.shapes[0])
    value, array = (first, second) if isinstance(first, Value) else (second, first)
    _fits(call, value, array)
    return call.rescale(value, 1, array, "")


def _write_subtract(call: LayerCall, _: list[Value]) -> Value:
    """Write a difference."""
    first, second = _operands(call)
    if isinstance(first, Value) and isinstance(second, Value):
        return call.add("Add", [first, activations.add_negative(call, second, "turn")], shape=call.shapes[0])
    if isinstance(first, Value):
        _fits(call, first, second)
        return call.rescale(first, 1, -second, "")
    _fits(call, second, first)
    return call.rescale(second, -1, first, "")


def _write_multiply(call: LayerCall, _: list[Value]) -> Value:
    """Write a product."""
    first, second = _operands(call)
    if isinstance(first, Value) and isinstance(second, Value):
        return call.add("Multiply", [first, second], shape=call.shapes[0])
    value, array = (first, second) if isinstance(first, Value) else (second, first)
    _fits(call, value, array)
    return call.rescale(value, array, 0, "")


def _write_divide(call: LayerCall, _: list[Value]) -> Value:
    """Write a quotient by numbers."""
    first, second = _operands(call)
    if isinstance(second, Value):
        call.refuse("TensorFlow.js has no layer that divides by a tensor; multiply, or divide by a number.")
    _fits(call, first, second)
    return call.rescale(first, 1 / second, 0, "")


def _extreme_writer(class_name: str) -> Writer:
    """Return the writer of a maximum or minimum of two tensors, or of a tensor and a number."""

    def write(call: LayerCall, _: list[Value]) -> Value:
        first, second = _operands(call)
        if isinstance(first, Value) and isinstance(second, Value):
            return call.add(class_name, [first, second], shape=call.shapes[0])
        value, number = (first, second) if isinstance(first, Value) else (second, first)
        if np.ndim(number):
            call.refuse("an array is not offered here; use a number.")
        sign = 1.0 if class_name == "Maximum" else -1.0
        # max(x, a) is relu(x - a) + a: TensorFlow.js's Maximum takes no numbers
        distance = call.rescale(value, sign, -sign * number, "distance")
        return call.rescale(call.add("ReLU", distance, "above", max_value=None), sign, number, "")

    return write


def _write_square(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a square."""
    return call.merge("Multiply", [inputs[0], inputs[0]], "")


def _write_negative(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a change of sign."""
    return activations.add_negative(call, inputs[0], "")


def _write_absolute(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an absolute value, the larger of x and -x."""
    return call.merge("Maximum", [inputs[0], activations.add_negative(call, inputs[0], "turn")], "")


def _activation_writer(name: str) -> Writer:
    """Return the writer of an operation that is an activation."""

    def write(call: LayerCall, inputs: list[Value]) -> Value:
        return activations.add_activation(call, getattr(import_keras().activations, name), inputs[0], "")

    return write


def _write_gelu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a GELU, exact or approximate."""
    if call.layer.approximate:
        return activations.add_gelu_tanh(call, inputs[0], "")
    return call.activate(inputs[0], "gelu", "")


def _softmax_writer(name: str) -> Writer:
    """Return the writer of a softmax or its logarithm along an axis."""

    def write(call: LayerCall, inputs: list[Value]) -> Value:
        if call.layer.axis is None:
            call.refuse("axis=None joins all rows of a batch; give the axis.")
        return along_last(call, inputs[0], call.layer.axis, lambda value: call.activate(value, name, ""))

    return write


def _write_leaky_relu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a leaky ReLU."""
    return activations.add_leaky_relu(call, inputs[0], "", float(call.layer.negative_slope))


def _write_elu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an ELU."""
    return activations.add_elu(call, inputs[0], "", float(call.layer.alpha))


def _write_relu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write `keras.activations.relu` with its arguments."""
    made = call.layer
    top = None if made.max_value is None else float(made.max_value)
    return activations.add_relu(call, inputs[0], "", float(made.negative_slope), top, float(made.threshold))


def _write_threshold(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a threshold with zeros at and below it."""
    made = call.layer
    if made.default_value != 0:
        call.refuse("TensorFlow.js has only zeros below a threshold; use 0 as the default value.")
    return call.add("ThresholdedReLU", inputs[0], theta=float(made.threshold))


def _write_copy(_: LayerCall, inputs: list[Value]) -> Value:
    """Write nothing: the numbers are the same; that Keras's copy has no mask is seen by who would read one."""
    return inputs[0]


def _write_concatenate(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a concatenation."""
    axis = (call.layer.axis or 0) % len(inputs[0].shape)
    if axis == 0 or len(inputs) == 1:
        call.refuse("only several tensors are joined, and not along the batch.")
    return call.add("Concatenate", inputs, axis=axis)


def _write_reshape(call: LayerCall, inputs: list[Value]) -> Value:
    """Write another shape of the same rows."""
    before, after = inputs[0].shape, call.shapes[0]
    if before[0] != after[0] or total_size(after[1:]) not in (None, total_size(before[1:])):
        call.refuse("the batch must stay the first axis; use a Reshape layer.")
    return call.reshape(inputs[0], resolved(call, inputs[0]), "")


def _write_transpose(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an order of the axes."""
    axes: Sequence[int] = call.layer.axes or ()
    # None turns all axes round, the batch's too
    if not axes or axes[0] != 0:
        call.refuse("the batch must stay the first axis.")
    # Permute counts axes from 1, the batch being 0
    return call.permute(inputs[0], list(axes)[1:], "")


def _write_einsum(call: LayerCall, inputs: list[Value]) -> Value:
    """Write the product of one axis with a fixed matrix, as interpolations are: a dense layer multiplies the last."""
    terms, _, made = call.layer.subscripts.replace(" ", "").partition("->")
    operands = list(call.arguments["operands"])
    places = [place for place, operand in enumerate(operands) if isinstance(operand, Value)]
    if len(operands) != 2 or len(places) != 1 or not made:
        call.refuse(_EINSUM)
    axes, names = (terms.split(",")[place] for place in (places[0], 1 - places[0]))
    old, new = ("".join(name for name in names if (name in axes) == kept) for kept in (True, False))
    # the batch stays the first axis, and no axis is named twice or by dots
    plain = axes.isalpha() and len(set(axes)) == len(axes) and axes[0] != old
    if len(names) != 2 or len(old) != 1 or not plain or made != axes.replace(old, new):
        call.refuse(_EINSUM)
    matrix = np.asarray(import_keras().ops.convert_to_numpy(operands[1 - places[0]]), np.float64)
    count, axis = len(axes) - 1, axes.index(old)
    turn = [*(place for place in range(1, count + 1) if place != axis), axis]
    turned = call.permute(inputs[0], turn, "turn")
    product = call.dense(turned, matrix if names[0] == old else matrix.T, None, "matrix", constant=True)
    return call.permute(product, [turn.index(place) + 1 for place in range(1, count + 1)], "turn_back")


_EINSUM = "only the product of one axis with a fixed matrix is offered; use an EinsumDense or other layers."

OPERATIONS: dict[str, Writer] = {
    "numpy.Absolute": _write_absolute,
    "numpy.Add": _write_add,
    "numpy.Copy": _write_copy,
    "numpy.Concatenate": _write_concatenate,
    "numpy.Divide": _write_divide,
    "numpy.Einsum": _write_einsum,
    "numpy.ExpandDims": _write_reshape,
    "numpy.Maximum": _extreme_writer("Maximum"),
    "numpy.Minimum": _extreme_writer("Minimum"),
    "numpy.Multiply": _write_multiply,
    "numpy.Negative": _write_negative,
    "numpy.Reshape": _write_reshape,
    "numpy.Square": _write_square,
    "numpy.Squeeze": _write_reshape,
    "numpy.Subtract": _write_subtract,
    "numpy.Transpose": _write_transpose,
    "numpy.TrueDivide": _write_divide,
    "numpy.Tanh": _activation_writer("tanh"),
    "nn.Gelu": _write_gelu,
    "nn.Softmax": _softmax_writer("softmax"),
    "nn.LogSoftmax": _softmax_writer("log_softmax"),
    "nn.LeakyRelu": _write_leaky_relu,
    "nn.Elu": _write_elu,
    "nn.Threshold": _write_threshold,
    "activations.ReLU": _write_relu,
    "activations.Mish": _activation_writer("mish"),
    **{f"nn.{name}": _activation_writer(function) for name, function in ACTIVATION_OPERATIONS.items()},
}
"""By module and class of the operation."""


def writer_of(operation: Any) -> Writer | None:
    """Return the writer of an operation of Keras's own."""
    # by module and class: `nn.Softmax` is an operation, and there is a layer of that name
    return OPERATIONS.get(kind_of_operation(operation) or "")
