"""Pooling, padding, cropping and resizing of images, volumes and sequences."""

from __future__ import annotations

from typing import Any

from fitwell.keras.backend import import_keras
from fitwell.tfjs.writing.sheet import LayerCall, Value, Writer, total_size
from fitwell.tfjs.writing.spatial import (
    LAST,
    along_axes,
    as_line,
    as_plane,
    channels_last,
    length,
    matrix_of,
    pad,
    volume,
)
from fitwell.tfjs.writing.write_layers import as_json


def pooling_writer(class_name: str) -> Writer:
    """Return the writer of a pooling over windows."""

    def write(call: LayerCall, value: Value) -> Value:
        layer = call.layer
        windows = zip(value.shape[1:-1], layer.pool_size, layer.strides, strict=True)
        sizes = [length(n, k, s, layer.padding) for n, k, s in windows]
        config = {"pool_size": as_json(layer.pool_size), "strides": as_json(layer.strides), "padding": layer.padding}
        shape = (value.shape[0], *sizes, value.shape[-1])
        return call.add(class_name, value, shape=shape, data_format=LAST, **config)

    return lambda call, inputs: channels_last(call, inputs[0], lambda value: write(call, value))


def global_pooling_writer(kind: str, rank: int) -> Writer:
    """Return the writer of a pooling over all places; of a volume as over one line of them."""

    def write(call: LayerCall, inputs: list[Value]) -> Value:
        layer, value = call.layer, inputs[0]
        call.refuse_mask(value)
        first = layer.data_format != LAST
        # turned at any rank: pooling of lines takes channels last only
        if first:
            value = call.permute(value, [*range(2, len(value.shape)), 1], "to_last")
        channels = value.shape[-1]
        if rank == 3:
            value = call.reshape(value, [total_size(value.shape[1:-1]), channels], "line")
        # the pooling of lines knows no such option
        config: dict[str, Any] = {"data_format": LAST} if rank == 2 else {}
        made = call.add(f"Global{kind}Pooling{min(rank, 2) if rank < 3 else 1}D", value,
                        shape=(value.shape[0], channels), **config)  # fmt: skip
        ones = [1] * rank
        return call.reshape(made, [channels, *ones] if first else [*ones, channels], "keep") if layer.keepdims else made

    return write


def resize_sides_writer(key: str, sign: int) -> Writer:
    """Return the writer of a zero padding (`sign` 1) or cropping (-1) of any rank."""

    def write(call: LayerCall, value: Value) -> Value:
        given = as_json(getattr(call.layer, key))
        sides = [[sign * side for side in pair] for pair in (given if isinstance(given[0], list) else [given])]
        if len(sides) == 1:
            return as_line(call, pad(call, as_plane(call, value), [sides[0], [0, 0]], ""))
        if len(sides) == 2:
            return pad(call, value, sides, "")
        steps = [sides[:2], [[0, 0], sides[2]]]
        return volume(
            call, value,
            lambda image, n, part: pad(call, image, steps[n], part),
            lambda size, axis: None if size is None else size + sum(sides[axis]),
        )  # fmt: skip

    return lambda call, inputs: channels_last(call, inputs[0], lambda value: write(call, value))


def write_center_crop(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `CenterCrop` of larger images; TensorFlow.js's own cannot be called."""

    def write(value: Value) -> Value:
        sides = []
        for size, wanted in zip(value.shape[1:3], (call.layer.height, call.layer.width), strict=True):
            # Keras enlarges smaller images, which cropping cannot
            if size is None or size < wanted:
                call.refuse("only larger images of a known size are cropped; give the size to the model's Input.")
            start = (size - wanted) // 2
            sides.append([-start, wanted + start - size])
        return pad(call, value, sides, "")

    return channels_last(call, inputs[0], write)


def _repeat(call: LayerCall, value: Value, size: list[int], part: str) -> Value:
    grown = [None if n is None else n * s for n, s in zip(value.shape[1:3], size, strict=True)]
    shape = (value.shape[0], *grown, value.shape[3])
    config = {"size": size, "data_format": LAST, "interpolation": "nearest"}
    return call.add("UpSampling2D", value, part, shape=shape, **config)


def write_up_sampling_1d(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `UpSampling1D`."""
    size = call.layer.size
    size = int(size[0] if isinstance(size, tuple | list) else size)
    return as_line(call, _repeat(call, as_plane(call, inputs[0]), [size, 1], ""))


def write_up_sampling_2d(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `UpSampling2D`: TensorFlow.js interpolates without half-pixel centres, so that matrices do it."""
    layer = call.layer
    keras = import_keras()
    height, width = as_json(layer.size)

    def write(value: Value) -> Value:
        if layer.interpolation == "nearest":
            return _repeat(call, value, [height, width], "")
        # Keras itself is asked what it interpolates: linear in each axis, so that a matrix says it all
        made = {"interpolation": layer.interpolation, "data_format": LAST}
        sizes = [(height, 1), (1, width)]
        matrices = [
            matrix_of(call, value.shape[axis + 1], axis, lambda size=size: keras.layers.UpSampling2D(size, **made))
            for axis, size in enumerate(sizes)
        ]
        return along_axes(call, value, matrices)

    return channels_last(call, inputs[0], write)


def write_up_sampling_3d(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `UpSampling3D`."""
    a, b, c = as_json(call.layer.size)
    # the second image has the rows joined in front, so its first axis stays
    steps = [[a, b], [1, c]]

    def write(value: Value) -> Value:
        return volume(
            call, value,
            lambda image, n, part: _repeat(call, image, steps[n], part),
            lambda size, axis: None if size is None else size * c,
        )  # fmt: skip

    return channels_last(call, inputs[0], write)


def write_resizing(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Resizing` as fixed matrices; TensorFlow.js's own cannot be called."""
    layer = call.layer
    keras = import_keras()
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        call.refuse("neither crop_to_aspect_ratio nor pad_to_aspect_ratio is offered; crop or pad by a layer.")
    made: dict[str, Any] = {
        "interpolation": layer.interpolation, "antialias": layer.antialias, "data_format": LAST,
    }  # fmt: skip

    def write(value: Value) -> Value:
        sizes = [(layer.height, 1), (1, layer.width)]
        matrices = [
            matrix_of(call, value.shape[axis + 1], axis, lambda size=size: keras.layers.Resizing(*size, **made))
            for axis, size in enumerate(sizes)
        ]
        return along_axes(call, value, matrices)

    return channels_last(call, inputs[0], write)
