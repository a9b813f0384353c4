"""Steps that layers of images, volumes and sequences share: axes, planes, padding, fixed matrices along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fitwell.keras.backend import import_keras
from fitwell.tfjs.writing.sheet import LayerCall, Value, total_size

LAST = "channels_last"


def channels_last(call: LayerCall, value: Value, write: Callable[[Value], Value]) -> Value:
    """Write with the channels last; for a Keras layer with channels first the axes are turned around it."""
    if getattr(call.layer, "data_format", LAST) == LAST:
        return write(value)
    axes = range(2, len(value.shape))
    made = write(call.permute(value, [*axes, 1], "to_last"))
    rank = len(made.shape)
    # a global pooling leaves no places, and nothing to turn back
    return made if rank == 2 else call.permute(made, [rank - 1, *range(1, rank - 1)], "from_last")


def as_plane(call: LayerCall, value: Value, part: str = "plane") -> Value:
    """Write [steps, channels] as [steps, 1, channels]."""
    return call.reshape(value, [value.shape[1], 1, value.shape[2]], part)


def as_line(call: LayerCall, value: Value, part: str = "line") -> Value:
    """Write [steps, 1, channels] as [steps, channels]."""
    return call.reshape(value, [value.shape[1], value.shape[3]], part)


def length(size: int | None, kernel: int, stride: int, padding: str) -> int | None:
    """Return how many places a window has along an axis."""
    if size is None:
        return None
    return -(-size // stride) if padding == "same" else -(-(size - kernel + 1) // stride)


def pad(call: LayerCall, value: Value, sides: Sequence[Sequence[int]], part: str) -> Value:
    """Write zeros around an image; negative numbers cut."""
    zeros = [[max(side, 0) for side in pair] for pair in sides]
    cuts = [[max(-side, 0) for side in pair] for pair in sides]
    for class_name, key, pairs, sign in (("ZeroPadding2D", "padding", zeros, 1), ("Cropping2D", "cropping", cuts, -1)):
        if any(map(any, pairs)):
            if sign == -1 and any(n is None and any(pair) for n, pair in zip(value.shape[1:3], pairs, strict=True)):
                call.refuse("TensorFlow.js crops only known sizes; give the size to the model's Input.")
            height, width = (_grown(n, sign * sum(pair)) for n, pair in zip(value.shape[1:3], pairs, strict=True))
            shape = (value.shape[0], height, width, value.shape[3])
            config = {key: pairs, "data_format": LAST}
            value = call.add(class_name, value, part if sign == 1 else f"{part}_cut", shape=shape, **config)
    return value


def _grown(size: int | None, by: int) -> int | None:
    return None if size is None else size + by


def volume(
    call: LayerCall,
    value: Value,
    step: Callable[[Value, int, str], Value],
    sizes: Callable[[int | None, int], int | None],
) -> Value:
    """Write something that works on each axis by itself for a volume [a, b, c, channels], as two steps on images.

    `step(image, n, part)` writes the n-th step: n = 0 for the axes a and b, 1 for c (the second axis of its image).
    """
    _, a, b, c, channels = value.shape
    first = step(call.reshape(value, [a, b, total_size([c, channels])], "front"), 0, "front_step")
    rows = total_size(first.shape[1:3])
    second = step(call.reshape(first, [rows, c, channels], "back"), 1, "back_step")
    return call.reshape(second, [first.shape[1], first.shape[2], sizes(c, 2), channels], "volume")


def along_axes(call: LayerCall, value: Value, matrices: Sequence[np.ndarray]) -> Value:
    """Write the product of [a, b, channels] with a fixed matrix along a and one along b."""
    for number, matrix in enumerate(matrices):
        # a dense layer multiplies the last axis: each turn brings the next one there
        turned = call.permute(value, [2, 3, 1], f"turn_{number}")
        value = call.dense(turned, matrix, None, f"matrix_{number}", constant=True)
    return call.permute(value, [2, 3, 1], "turn_last")


def matrix_of(call: LayerCall, size: int | None, axis: int, make: Callable[[], Any]) -> np.ndarray:
    """Return the matrix by which a linear layer multiplies an axis of images: what it makes of the identity's rows."""
    if size is None:
        call.refuse("it needs a known image size; give it to the model's Input.")
    keras = import_keras()
    eye = np.eye(size, dtype=np.float32)[None]
    image = eye[:, :, None] if axis == 0 else eye[:, None]
    made = np.asarray(keras.ops.convert_to_numpy(make()(image)))
    return made.reshape(-1, size).T


def effective(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Return the sizes of a kernel with its gaps."""
    return [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]


def spread(kernel: np.ndarray, dilation: Sequence[int]) -> np.ndarray:
    """Return a kernel with zeros in its gaps: what `dilation_rate` means."""
    sizes = effective(kernel.shape[: len(dilation)], dilation)
    wide = np.zeros((*sizes, *kernel.shape[len(dilation) :]), kernel.dtype)
    wide[tuple(slice(None, None, step) for step in dilation)] = kernel
    return wide
