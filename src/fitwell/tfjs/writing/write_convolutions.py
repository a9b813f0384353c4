"""Convolutions of all kinds, with channels last; one-dimensional ones that TensorFlow.js lacks as images one wide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fitwell.keras.internals import transposed_padding
from fitwell.tfjs.writing import activations
from fitwell.tfjs.writing.fields import tell_left_out, weight_fields
from fitwell.tfjs.writing.sheet import LayerCall, Value, as_float32
from fitwell.tfjs.writing.spatial import LAST, as_line, as_plane, channels_last, effective, length, pad, spread
from fitwell.tfjs.writing.write_layers import check_quantized


def write_convolution(call: LayerCall, inputs: list[Value]) -> Value:
    """Write `Conv1D`, `Conv2D` or `Conv3D`."""
    check_quantized(call)
    # channels that come first are turned around the layer, and a softmax would take another axis
    inner, outer = activations.split(call.layer.activation, moved=call.layer.data_format != LAST)
    made = channels_last(call, inputs[0], lambda value: _convolution(call, value, inner))
    return activations.add_activation(call, outer, made)


def _convolution(call: LayerCall, value: Value, activation: Any) -> Value:
    layer = call.layer
    padding, dilation = layer.padding, list(layer.dilation_rate)
    if padding == "causal":
        # TensorFlow.js loads causal padding and cannot predict with it: zeros in front, and none else
        ahead = (layer.kernel_size[0] - 1) * dilation[0]
        value = as_line(call, pad(call, as_plane(call, value), [[ahead, 0], [0, 0]], "past"))
        padding = "valid"
    kernel = as_float32(layer.kernel)
    # TensorFlow.js knows no groups, and would find the kernel misshapen
    if layer.groups > 1:
        call.note("its groups are written as one kernel with zeros between them, which training may fill.")
        kernel = _blocks(kernel, layer.groups)
    config = {
        "filters": int(layer.filters), "kernel_size": list(layer.kernel_size), "strides": list(layer.strides),
        "padding": padding, "data_format": LAST, "dilation_rate": dilation, **_bias_fields(call, "kernel"),
    }  # fmt: skip
    sizes = _sizes(value, effective(layer.kernel_size, dilation), layer.strides, padding)
    shape = (value.shape[0], *sizes, int(layer.filters))
    return activations.written(
        call, activation,
        lambda name: call.add(
            f"Conv{layer.rank}D", value, weights=_weights(layer, kernel=kernel), shape=shape, activation=name, **config
        ),
    )  # fmt: skip


def _sizes(value: Value, kernel: Sequence[int], strides: Sequence[int], padding: str) -> list[int | None]:
    spatial = value.shape[1:-1]
    return [length(n, k, s, padding) for n, k, s in zip(spatial, kernel, strides, strict=True)]


def _bias_fields(call: LayerCall, *kernels: str) -> dict[str, Any]:
    """Return the fields of a layer with kernels and maybe a bias."""
    biases = ["bias"] if call.layer.use_bias else []
    return {"use_bias": bool(call.layer.use_bias), **weight_fields(call, *kernels, *biases)}


def _weights(layer: Any, **kernels: Any) -> dict[str, Any]:
    return kernels | ({"bias": layer.bias} if layer.use_bias else {})


def _blocks(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Return the kernel over all channels of a convolution in groups."""
    *window, within, filters = kernel.shape
    each = filters // groups
    whole = np.zeros((*window, within * groups, filters), kernel.dtype)
    for group in range(groups):
        outs = slice(group * each, (group + 1) * each)
        whole[..., group * within : (group + 1) * within, outs] = kernel[..., outs]
    return whole


def write_depthwise(call: LayerCall, inputs: list[Value]) -> Value:
    """Write `DepthwiseConv1D` or `DepthwiseConv2D`."""
    return _on_planes(call, inputs[0], _depthwise)


def write_separable(call: LayerCall, inputs: list[Value]) -> Value:
    """Write `SeparableConv1D` or `SeparableConv2D`."""
    return _on_planes(call, inputs[0], _separable)


def _on_planes(call: LayerCall, value: Value, write: Callable[[LayerCall, Value, Any], Value]) -> Value:
    """Write a layer with the channels last, one of sequences as one of images that are one wide.

    `write` is given the activation that it may apply.
    """
    layer = call.layer
    moved = layer.data_format != LAST or layer.rank == 1
    inner, outer = activations.split(layer.activation, moved=moved)

    def turned(value: Value) -> Value:
        if layer.rank > 1:
            return write(call, value, inner)
        return as_line(call, write(call, as_plane(call, value), inner))

    return activations.add_activation(call, outer, channels_last(call, value, turned))


def _flat(layer: Any, sizes: Sequence[int], *, fill: int = 1) -> list[int]:
    return [*sizes, fill] if layer.rank == 1 else list(sizes)


def _wide(layer: Any, kernel: Any) -> np.ndarray:
    array = as_float32(kernel)
    # a kernel of a line is one of an image that is one wide
    return array[:, None] if layer.rank == 1 else array


def _depthwise(call: LayerCall, value: Value, activation: Any) -> Value:
    layer = call.layer
    fields = _bias_fields(call, "depthwise")
    _drop_depthwise(call, fields)
    return activations.written(
        call, activation,
        lambda name: _depthwise_part(call, value, layer.kernel, "", _weights(layer), activation=name, **fields),
    )  # fmt: skip


def _drop_depthwise(call: LayerCall, fields: dict[str, Any]) -> None:
    if fields.pop("depthwise_regularizer", None) is not None:
        call.note("its depthwise regularizer is left out, since TensorFlow.js saves it as a constraint.")


def _depthwise_part(
    call: LayerCall, value: Value, kernel: Any, part: str, weights: dict[str, Any], **config: Any
) -> Value:  # fmt: skip
    layer = call.layer
    wide = _wide(layer, kernel)
    dilation = _flat(layer, layer.dilation_rate)
    if max(dilation) > 1:
        call.note("its dilation is written as zeros in the kernel, which training may fill.")
        wide = spread(wide, dilation)
    strides = _flat(layer, layer.strides, fill=layer.strides[0])  # equal ones: the width stays 1
    config |= {
        "kernel_size": list(wide.shape[:2]), "strides": strides, "padding": layer.padding, "data_format": LAST,
        "depth_multiplier": int(wide.shape[3]),
    }  # fmt: skip
    shape = (value.shape[0], *_sizes(value, wide.shape[:2], strides, layer.padding), wide.shape[2] * wide.shape[3])
    return call.add(
        "DepthwiseConv2D", value, part, weights={"depthwise_kernel": wide, **weights}, shape=shape, **config
    )


def _separable(call: LayerCall, value: Value, activation: Any) -> Value:
    layer = call.layer
    fields = _bias_fields(call, "depthwise", "pointwise")
    _drop_depthwise(call, fields)
    plain = layer.rank == 2 and layer.depth_multiplier == 1 and max(layer.dilation_rate) == 1
    write = _separable_whole if plain else _separable_parts
    return activations.written(call, activation, lambda name: write(call, value, name, fields))


def _separable_whole(call: LayerCall, value: Value, activation: str, fields: dict[str, Any]) -> Value:
    layer = call.layer
    config = {
        "filters": int(layer.filters), "kernel_size": list(layer.kernel_size), "strides": list(layer.strides),
        "padding": layer.padding, "data_format": LAST, "depth_multiplier": 1, "activation": activation, **fields,
    }  # fmt: skip
    kernels = {"depthwise_kernel": layer.depthwise_kernel, "pointwise_kernel": layer.pointwise_kernel}
    shape = (value.shape[0], *_sizes(value, layer.kernel_size, layer.strides, layer.padding), int(layer.filters))
    return call.add("SeparableConv2D", value, weights=_weights(layer, **kernels), shape=shape, **config)


def _separable_parts(call: LayerCall, value: Value, activation: str, fields: dict[str, Any]) -> Value:
    """Write the two convolutions: TensorFlow.js cannot load its own SeparableConv2D with a depth multiplier."""
    layer = call.layer
    deep = _depthwise_part(call, value, layer.depthwise_kernel, "depthwise", {}, use_bias=False, activation="linear")
    pointwise = {key.replace("pointwise", "kernel"): item for key, item in fields.items() if "depthwise" not in key}
    config = {
        "filters": int(layer.filters), "kernel_size": [1, 1], "strides": [1, 1], "padding": "valid",
        "data_format": LAST, "dilation_rate": [1, 1], "activation": activation, **pointwise,
    }  # fmt: skip
    kernel = _wide(layer, layer.pointwise_kernel)
    shape = (*deep.shape[:-1], int(layer.filters))
    return call.add("Conv2D", deep, weights=_weights(layer, kernel=kernel), shape=shape, **config)


def write_transposed(call: LayerCall, inputs: list[Value]) -> Value:
    """Write `Conv1DTranspose`, `Conv2DTranspose` or `Conv3DTranspose`."""
    layer = call.layer
    if layer.rank == 3 and (layer.output_padding is not None or max(layer.dilation_rate) > 1):
        call.refuse("TensorFlow.js's Conv3DTranspose has neither output_padding nor dilation; use neither.")
    return _on_planes(call, inputs[0], _transposed)


def _transposed(call: LayerCall, value: Value, activation: Any) -> Value:
    layer = call.layer
    dilation = _flat(layer, layer.dilation_rate)
    if layer.output_padding is None and max(dilation) == 1:
        fields = _bias_fields(call, "kernel")
        kernel = _wide(layer, layer.kernel)
        if layer.rank == 3:
            call.note("TensorFlow.js's wasm backend computes it wrongly; use webgl, webgpu or cpu.")
            kernel = _at_least(call, kernel)
        return activations.written(
            call, activation,
            lambda name: _transposed_part(
                call, value, kernel, layer.padding, _weights(layer), activation=name, **fields
            ),
        )  # fmt: skip
    kernel = spread(_wide(layer, layer.kernel), dilation)
    tell_left_out(call, layer)
    # the whole product, of which Keras's part is cut: TensorFlow.js has no output_padding
    whole = _transposed_part(call, value, kernel, "valid", {}, use_bias=False, activation="linear")
    cut = pad(call, whole, _margins(call, value, whole), "margin")
    if layer.use_bias:
        call.note("its bias is written as a constant, which TensorFlow.js does not train.")
        # behind the padding, whose zeros get the bias in Keras, too
        cut = call.rescale(cut, 1, as_float32(layer.bias), "bias")
    return activations.add_activation(call, activation, cut)


def _at_least(call: LayerCall, kernel: np.ndarray) -> np.ndarray:
    """Return the kernel with zeros behind it: TensorFlow.js gives the bias alone where a stride is longer."""
    missing = [max(stride - size, 0) for size, stride in zip(kernel.shape, call.layer.strides, strict=False)]
    if any(missing):
        call.note("its kernel is written with zeros up to the strides, which training may fill.")
    return np.pad(kernel, [*((0, more) for more in missing), (0, 0), (0, 0)])


def _transposed_part(
    call: LayerCall, value: Value, kernel: np.ndarray, padding: str, bias: dict[str, Any], **config: Any
) -> Value:  # fmt: skip
    layer = call.layer
    rank = max(layer.rank, 2)
    strides = _flat(layer, layer.strides)
    config |= {
        "filters": int(layer.filters), "kernel_size": list(kernel.shape[:rank]), "strides": strides,
        "padding": padding, "data_format": LAST,
    }  # fmt: skip
    sizes = [
        None if n is None else n * s + (max(k - s, 0) if padding == "valid" else 0)
        for n, k, s in zip(value.shape[1:-1], kernel.shape, strides, strict=False)
    ]
    shape = (value.shape[0], *sizes, int(layer.filters))
    return call.add(f"Conv{rank}DTranspose", value, weights={"kernel": kernel, **bias}, shape=shape, **config)


def _margins(call: LayerCall, value: Value, whole: Value) -> list[list[int]]:
    """Return what Keras keeps of the whole product: its own paddings, told as zeros to add (or to cut, negative)."""
    layer = call.layer
    margins = []
    for axis, (kernel, stride, step) in enumerate(
        zip(layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    ):
        wide = (kernel - 1) * step + 1
        more = None if layer.output_padding is None else layer.output_padding[axis]
        size, made = value.shape[axis + 1], whole.shape[axis + 1]
        if size is None or made is None:
            call.refuse("output_padding and dilation need a known input size; give it to the model's Input.")
        left, final = _kept(size, wide, kernel, stride, step, layer.padding, more)
        margins.append([-left, final - made + left])
    return margins if layer.rank == 2 else [*margins, [0, 0]]


def _kept(
    size: int, wide: int, kernel: int, stride: int, step: int, padding: str, more: int | None
) -> tuple[int, int]:  # fmt: skip
    """Return how much Keras cuts on the left, and the size that it makes."""
    left, right = transposed_padding(kernel, stride, step, padding, more)
    return wide - 1 - left, (size - 1) * stride + 1 + left + right - wide + 1
