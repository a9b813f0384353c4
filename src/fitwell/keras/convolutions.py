"""Convolutions and poolings that stay fast under `vmap`: the same values and gradients as Keras's, of other operations.

Where kernels and inputs differ from network to network, `vmap` makes a grouped convolution of Keras's, which a CPU
computes up to 4 times slower than the networks one by one. Here a convolution is written as

    patches [..., offsets * channels in] @ kernel [offsets * channels in, channels out]

of shifted slices of the input, and `vmap` makes of it a batched matrix product; where the inputs are shared by all
strengths, as in a first layer, their patches are shared too. A largest value of windows that do not overlap is found
by comparisons, as the gradient of XLA's window reduction takes up to half of a step.

The patches must stay in cache: with `networks_at_once` networks in a program (and blocks of them one after another)
this took 0.4 to 0.9 of the time of Keras's own networks one by one, with 40 networks at once up to 1.6
(`benchmarks/convolutions.py`, one core). A `lax.map` over Keras's convolutions took 1.2 to 7 times as long: in a loop
XLA gave their gradients another layout than in a program of their own.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

import keras

PATCH_BYTES = 4 * 2**20
"""Of patches in one program; between 12 and 24 MiB it became slower than one by one (32 MiB of shared cache)."""

_DENSE = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_MAX = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D)


def batched_call(layer: Any) -> Callable[[Any], jax.Array] | None:
    """
    Give a function equal to ``layer.call`` in values and gradients that stays fast under `vmap`.

    Like ``layer.call`` it reads the layer's variables when it is called, from a stateless scope if there is one, and
    as Keras's precision policy casts them: to call it where Keras would call ``layer.call``, that is inside the
    layer's own ``__call__``, matters only for policies of mixed precision.

    Parameters
    ----------
    layer
        A Keras layer.

    Returns
    -------
    function or None
        None for a layer of another kind or of a class of its own, whose ``call`` is not known here, and for a pooling
        whose windows overlap, leave gaps or are padded.
    """
    kind = type(layer)
    if kind in _DENSE:
        return functools.partial(_convolve, layer, _dense)
    if kind in _DEPTHWISE:
        return functools.partial(_convolve, layer, _depthwise)
    if kind in _SEPARABLE:
        return functools.partial(_convolve, layer, _separable)
    # only windows side by side can be cut by a reshape; others stay Keras's
    if kind in _MAX and layer.padding == "valid" and tuple(layer.strides) == tuple(layer.pool_size):
        return functools.partial(_max_pool, layer)
    return None


def patch_elements(layer: Any, input_shape: Sequence[int]) -> int:
    """
    Count the numbers in the patches of one network, by which a caller can bound how many networks run at once.

    Parameters
    ----------
    layer
        A built layer.
    input_shape
        Of its inputs, the batch included.

    Returns
    -------
    int
        0 for a layer that makes no patches: only `Conv1D`, `Conv2D` and `Conv3D` do.
    """
    # depthwise and separable layers add slices up and make no patches
    if type(layer) not in _DENSE:
        return 0
    output_shape = layer.compute_output_shape(tuple(input_shape))
    channels = input_shape[_channel_axis(layer)]
    positions = math.prod(output_shape) // output_shape[_channel_axis(layer)]
    return positions * math.prod(layer.kernel_size) * channels


def input_shape(layer: Any) -> tuple[int, ...] | None:
    """Return the shape of a row of what a layer takes; None where it is not known (in subclassed models)."""
    try:
        shape = layer.input.shape[1:]
    except (AttributeError, ValueError):
        return None
    return None if any(length is None for length in shape) else tuple(shape)


def networks_at_once(elements: int, itemsize: int = 4) -> int:
    """
    Say how many networks a program should train at once, at most, on a CPU.

    Parameters
    ----------
    elements
        The sum of `patch_elements` over a network's layers.
    itemsize
        Bytes of a number.

    Returns
    -------
    int
        At least 1: also where the patches of one network are beyond any cache, they are faster than a native
        convolution (64x64x3 images, 29 MB: 0.77).
    """
    return max(1, PATCH_BYTES // max(1, elements * itemsize))


def _convolve(layer: Any, product: Callable[[Any, jax.Array], jax.Array], inputs: Any) -> jax.Array:
    """Put the channels last, convolve, put them back; then bias and activation, which may look at the last axis."""
    axis = _channel_axis(layer)
    outputs: Any = jnp.moveaxis(product(layer, jnp.moveaxis(jnp.asarray(inputs), axis, -1)), -1, axis)
    if layer.use_bias:
        bias = _read(layer.bias)
        shape = [1] * outputs.ndim
        shape[axis] = bias.size
        outputs = outputs + bias.reshape(shape)
    return outputs if layer.activation is None else layer.activation(outputs)


def _dense(layer: Any, inputs: jax.Array) -> jax.Array:
    kernel = _read(layer.kernel)
    slices = _slices(inputs.astype(kernel.dtype), layer)
    return _product(slices, kernel, layer.groups)


def _depthwise(layer: Any, inputs: jax.Array) -> jax.Array:
    return _multiplied(layer, inputs, _read(layer.kernel))


def _separable(layer: Any, inputs: jax.Array) -> jax.Array:
    between = _multiplied(layer, inputs, _read(layer.depthwise_kernel))
    return _product([between], _read(layer.pointwise_kernel), groups=1)


def _product(slices: Sequence[jax.Array], kernel: jax.Array, groups: int) -> jax.Array:
    """Multiply patches by the kernel: one product, of two axes only, was the fastest of all ways tried."""
    shape, offsets = slices[0].shape[:-1], len(slices)
    units_in, units_out = kernel.shape[-2:]
    # apart from the einsum below, which is no product of two axes only
    if groups == 1:
        patches = jnp.concatenate(slices, axis=-1).reshape(-1, offsets * units_in)
        return (patches @ kernel.reshape(-1, units_out)).reshape(*shape, units_out)
    patches = jnp.concatenate(slices, axis=-1).reshape(-1, offsets, groups, units_in)
    kernel = kernel.reshape(offsets, units_in, groups, units_out // groups)
    return jnp.einsum("nkgi,kigo->ngo", patches, kernel).reshape(*shape, units_out)


def _multiplied(layer: Any, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiply each channel by numbers of its own: nothing to contract but the offsets, so no matrix product."""
    by_offset = kernel.reshape(-1, *kernel.shape[-2:])
    slices = _slices(inputs.astype(kernel.dtype), layer)
    terms = (part[..., None] * _leading(by_offset[i], part.ndim + 1) for i, part in enumerate(slices))
    total = functools.reduce(jnp.add, terms)
    return total.reshape(*total.shape[:-2], -1)


def _slices(inputs: jax.Array, layer: Any) -> list[jax.Array]:
    """Slice the padded inputs [n, ..., c] at every offset of the kernel, in the order of the kernel's own axes."""
    reach = [(size - 1) * rate for size, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    padded = jnp.pad(inputs, [(0, 0), *_pads(inputs.shape[1:-1], reach, layer), (0, 0)])
    counts = [
        (length - far - 1) // stride + 1
        for length, far, stride in zip(padded.shape[1:-1], reach, layer.strides, strict=True)
    ]

    def cut(offset: tuple[int, ...]) -> jax.Array:
        starts = [i * rate for i, rate in zip(offset, layer.dilation_rate, strict=True)]
        steps = zip(starts, counts, layer.strides, strict=True)
        stops = [start + (count - 1) * stride + 1 for start, count, stride in steps]
        whole, channels = padded.shape[0], padded.shape[-1]
        return jax.lax.slice(padded, (0, *starts, 0), (whole, *stops, channels), (1, *layer.strides, 1))

    return [cut(offset) for offset in itertools.product(*map(range, layer.kernel_size))]


def _pads(lengths: Sequence[int], reach: Sequence[int], layer: Any) -> Sequence[tuple[int, int]]:
    if layer.padding == "causal":
        # an output sees nothing that comes after it
        return [(far, 0) for far in reach]
    # a dilated kernel reaches as far as a larger one
    windows = [far + 1 for far in reach]
    return jax.lax.padtype_to_pads(lengths, windows, layer.strides, layer.padding.upper())


def _max_pool(layer: Any, inputs: Any) -> jax.Array:
    """Take the first largest of each window, as XLA's gradient does: after a ReLU many are equal, all zero."""
    values = jnp.asarray(inputs)
    first = 1 if layer.data_format == "channels_last" else 2
    # last axis first: then of equal values the one that comes first in the order of memory wins
    for axis, size in reversed(list(enumerate(layer.pool_size, start=first))):
        count = values.shape[axis] // size
        whole = jax.lax.slice_in_dim(values, 0, count * size, axis=axis)
        windows = whole.reshape(*values.shape[:axis], count, size, *values.shape[axis + 1 :])
        parts = (jax.lax.index_in_dim(windows, i, axis + 1, keepdims=False) for i in range(size))
        values = functools.reduce(_larger, parts)
    return values


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """Choose `a` where equal, for the gradient goes to the first, and where it is NaN, which must not get lost."""
    return jnp.where((a >= b) | jnp.isnan(a), a, b)


def _channel_axis(layer: Any) -> int:
    return -1 if layer.data_format == "channels_last" else 1


def _leading(array: jax.Array, ndim: int) -> jax.Array:
    return array.reshape((1,) * (ndim - array.ndim) + array.shape)


def _read(variable: Any) -> jax.Array:
    """The variable's value now: in a stateless scope the one given there, cast as the layer's policy says."""
    value: Any = keras.ops.convert_to_tensor(variable)
    return value
