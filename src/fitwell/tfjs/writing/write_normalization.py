"""Normalisation and scaling: by TensorFlow.js's own layers, and what can be made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitwell.tfjs.writing.fields import tell_left_out, weight_fields
from fitwell.tfjs.writing.sheet import LayerCall, Value, as_float32, numbers, total_size
from fitwell.tfjs.writing.write_layers import along_last, as_json

CONSTANT = "its weights are written as constants, which TensorFlow.js does not train."


def write_batch_normalization(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `BatchNormalization`: along the last axis of ranks 2 to 4, which TensorFlow.js gets right."""
    axis = call.layer.axis
    if isinstance(axis, list | tuple):
        if len(axis) != 1:
            call.refuse("several axes are not offered; use one.")
        axis = axis[0]
    return along_last(call, inputs[0], axis, lambda value: _batch_last(call, value))


def _batch_last(call: LayerCall, value: Value) -> Value:
    layer = call.layer
    channels = value.shape[-1]
    scale = layer.gamma if layer.scale else np.ones(channels or 0)
    center = layer.beta if layer.center else np.zeros(channels or 0)
    weights = {
        "gamma": scale, "beta": center,
        "moving_mean": layer.moving_mean, "moving_variance": layer.moving_variance,
    }  # fmt: skip
    config = {
        "axis": -1, "momentum": float(layer.momentum), "epsilon": float(layer.epsilon),
        # TensorFlow.js cannot train one without either
        "center": True, "scale": True, **weight_fields(call, "gamma", "beta"),
    }  # fmt: skip
    flat = value
    # TensorFlow.js normalises ranks 2 to 4
    if len(value.shape) > 4:
        flat = call.reshape(value, [total_size(value.shape[1:-1]), channels], "flat")
    made = call.add("BatchNormalization", flat, weights=weights, **config)
    return made if flat is value else call.reshape(made, value.shape[1:], "back")


def write_layer_normalization(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `LayerNormalization`."""
    layer, value = call.layer, inputs[0]
    if getattr(layer, "rms_scaling", False):
        call.refuse("rms_scaling divides by the deviation without subtracting the mean; use RMSNormalization.")
    rank = len(value.shape)
    axes = sorted(axis % rank for axis in (layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]))
    held = [name for name, yes in (("gamma", layer.scale), ("beta", layer.center)) if yes]
    config: dict[str, Any] = {
        "axis": axes, "epsilon": float(layer.epsilon), "center": bool(layer.center), "scale": bool(layer.scale),
        **weight_fields(call, *held),
    }  # fmt: skip
    weights = {name: getattr(layer, name) for name in held}
    if rank <= 4:
        return call.add("LayerNormalization", value, weights=weights, **config)
    if axes != [rank - 1]:
        call.refuse("TensorFlow.js normalises ranks up to 4; reshape the input before it, or use the last axis alone.")
    flat = call.reshape(value, [total_size(value.shape[1:-1]), value.shape[-1]], "flat")
    made = call.add("LayerNormalization", flat, weights=weights, **{**config, "axis": [-1]})
    return call.reshape(made, value.shape[1:], "back")


def bare(call: LayerCall, value: Value, epsilon: float, part: str) -> Value:
    """Write a normalisation along the last axis, without weights."""
    return call.add("LayerNormalization", value, part, axis=[-1], epsilon=epsilon, center=False, scale=False)


def write_group_normalization(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `GroupNormalization`: each group's values in one row are normalised, and set back."""
    layer = call.layer
    tell_left_out(call, layer)

    def write(value: Value) -> Value:
        places, channels = total_size(value.shape[1:-1]), value.shape[-1]
        if places is None or channels is None:
            call.refuse("it needs a known input size; give it to the model's Input.")
        # -1 is a group for each channel, as instance normalisation has it
        groups = channels if layer.groups == -1 else int(layer.groups)
        split = call.reshape(value, [places, groups, channels // groups], "split")
        front = call.permute(split, [2, 1, 3], "front")
        normal = bare(call, call.reshape(front, [groups, places * channels // groups], "rows"), layer.epsilon, "")
        back = call.permute(call.reshape(normal, front.shape[1:], "unrow"), [2, 1, 3], "back")
        joined = call.reshape(back, value.shape[1:], "join")
        return _scaled(call, joined, layer.gamma if layer.scale else None, layer.beta if layer.center else None)

    return along_last(call, inputs[0], layer.axis, write)


def _scaled(call: LayerCall, value: Value, scale: Any, offset: Any) -> Value:
    if scale is None and offset is None:
        return value
    call.note(CONSTANT)
    by = 1.0 if scale is None else as_float32(scale)
    return call.rescale(value, by, 0.0 if offset is None else as_float32(offset), "scale")


def rms(call: LayerCall, value: Value, epsilon: float) -> Value:
    """Write ``x / sqrt(mean(x^2) + epsilon)``: with -x beside it, the mean is 0 and the variance the mean square."""
    rows, channels = total_size(value.shape[1:-1]), value.shape[-1]
    if channels is None:
        call.refuse("it needs a known number of channels; give it to the model's Input.")
    flat = call.reshape(value, [rows, channels], "rows")
    turned = call.rescale(flat, -1, 0, "turn")
    both = call.add("Concatenate", [flat, turned], "both", axis=2, shape=(value.shape[0], rows, 2 * channels))
    halves = call.reshape(bare(call, both, epsilon, ""), [rows, 2, channels], "halves")
    # the half of -x has done its work
    cropping = {"cropping": [[0, 0], [0, 1]], "data_format": "channels_last"}
    half = call.add("Cropping2D", halves, "half", shape=(value.shape[0], rows, 1, channels), **cropping)
    return call.reshape(half, value.shape[1:], "back")


def write_rms_normalization(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `RMSNormalization`."""
    layer = call.layer
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) and len(layer.axis) == 1 else layer.axis
    if not isinstance(axis, int):
        call.refuse("several axes are not offered; use one.")
    return along_last(
        call, inputs[0], axis, lambda value: _scaled(call, rms(call, value, float(layer.epsilon)), layer.scale, None)
    )


def write_unit_normalization(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `UnitNormalization`: ``x / sqrt(sum(x^2))``, zeros for zeros."""
    axis = call.layer.axis
    axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    if not isinstance(axis, int):
        call.refuse("several axes are not offered; use one.")

    def write(value: Value) -> Value:
        # tiny beside the squares, and zeros are divided by its root instead of by zero
        normal = rms(call, value, 1e-30)
        return call.rescale(normal, 1 / np.sqrt(float(value.shape[-1] or 0)), 0, "unit")

    return along_last(call, inputs[0], axis, write)


def write_rescaling(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Rescaling`."""
    layer = call.layer
    scale, offset = numbers(layer.scale), numbers(layer.offset)
    if getattr(layer, "data_format", None) == "channels_first" and any(isinstance(n, list) for n in (scale, offset)):
        call.refuse("vectors along channels that come first are not offered; use channels_last.")
    return call.add("Rescaling", inputs, scale=scale, offset=offset)


def write_normalization(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Normalization` in two steps, like Keras: a large mean is subtracted before anything is scaled."""
    from fitwell.keras.backend import import_keras

    layer, value = call.layer, inputs[0]
    if layer.mean is None:
        call.refuse("it has no mean yet; call its adapt() first.")
    mean = as_float32(import_keras().ops.convert_to_numpy(layer.mean))
    variance = as_float32(import_keras().ops.convert_to_numpy(layer.variance))
    # as Keras does: a constant input has deviation zero
    deviation = np.maximum(np.sqrt(variance), np.float32(import_keras().backend.epsilon()))
    mean, deviation = (_trimmed(array) for array in (mean, deviation))
    if layer.invert:
        return call.rescale(value, as_json(deviation.tolist()), mean.tolist(), "")
    centred = call.rescale(value, 1.0, -mean, "center")
    return call.rescale(centred, 1 / deviation.astype(np.float64), 0.0, "")


def _trimmed(array: np.ndarray) -> np.ndarray:
    """Return an array without axes of one in front, which broadcast anyway."""
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return array
