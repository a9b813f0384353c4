"""Convolutions, pooling, and what changes the size of images."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fitwell.keras.backend import import_keras
from fitwell.tfjs.reading.layer_settings import LayerSettings
from fitwell.tfjs.reading.read_layers import Made, Reader, about, keras_layers, with_activation

# 64 MiB as float32: enough to double images of 2,896 places a side
MOST_PLACES = 2**24
"""Numbers in a matrix that interpolates."""


def convolution_reader(
    keras_name: str, rank: int, *weights: str, dilated: bool = True, channels_first: bool = False
) -> Reader:
    """Return a reader of a convolution with these kernels and a bias."""
    kernels = weights or ("kernel",)

    def read(settings: LayerSettings, name: str) -> Made:
        use_bias = settings.flag("use_bias", True)
        options: dict[str, Any] = {
            "data_format": settings.data_format(first=channels_first),
            "kernel_size": settings.lengths("kernel_size", rank),
            "strides": settings.lengths("strides", rank, 1),
            "padding": settings.choice("padding", ("valid", "same"), "valid"),
            "use_bias": use_bias,
            **about(settings, *(kernel.removesuffix("_kernel") for kernel in kernels), "bias"),
        }
        if dilated:
            options["dilation_rate"] = settings.lengths("dilation_rate", rank, 1)
        # its filters follow from the channels and the multiplier
        if settings.class_name != "DepthwiseConv2D":
            options["filters"] = settings.whole("filters")
        if settings.class_name in ("DepthwiseConv2D", "SeparableConv2D"):
            options["depth_multiplier"] = settings.whole("depth_multiplier", _multiplier(settings))
        if settings.is_regularizer("depthwise_constraint"):
            options["depthwise_regularizer"] = settings.regularizer("depthwise_constraint")
        short = any(size < stride for size, stride in zip(options["kernel_size"], options["strides"], strict=True))
        if short and settings.class_name == "Conv3DTranspose" and options["padding"] == "same":
            raise settings.refuse(
                "has strides longer than its kernel, of which TensorFlow.js gives the bias alone: use padding 'valid' "
                "or a larger kernel."
            )
        make = partial(getattr(keras_layers(), keras_name), **options)
        return with_activation(settings, make, name, (*kernels, *(("bias",) if use_bias else ())))

    return read


def _multiplier(settings: LayerSettings) -> int:
    """Return the depth multiplier of a layer that does not say it, as TensorFlow.js writes a SeparableConv2D."""
    shape = settings.stored_shape("depthwise_kernel")
    return shape[-1] if settings.class_name == "SeparableConv2D" and shape and shape[-1] else 1


def pooling_reader(keras_name: str, rank: int) -> Reader:
    """Return a reader of a pooling layer; without strides they are the windows' sizes."""

    def read(settings: LayerSettings, name: str) -> Made:
        data_format = settings.data_format(first=rank == 2)
        # None is Keras's word for the windows' sizes, too
        strides = settings.lengths("strides", rank) if settings.has("strides") else None
        padding = settings.choice("padding", ("valid", "same"), "valid")
        size = settings.lengths("pool_size", rank, 2)
        make = getattr(keras_layers(), keras_name)
        return Made((make(size, strides=strides, padding=padding, data_format=data_format, name=name),))

    return read


def global_pooling_reader(keras_name: str, rank: int) -> Reader:
    """Return a reader of a global pooling layer."""

    def read(settings: LayerSettings, name: str) -> Made:
        data_format = settings.data_format(first=rank == 2)
        return Made((getattr(keras_layers(), keras_name)(data_format=data_format, name=name),))

    return read


def read_zero_padding(settings: LayerSettings, name: str) -> Made:
    """Read a `ZeroPadding2D`."""
    data_format = settings.data_format(first=True)
    return Made((keras_layers().ZeroPadding2D(settings.sides("padding"), data_format=data_format, name=name),))


def read_cropping(settings: LayerSettings, name: str) -> Made:
    """Read a `Cropping2D`."""
    data_format = settings.data_format(first=True)
    return Made((keras_layers().Cropping2D(settings.sides("cropping"), data_format=data_format, name=name),))


def read_up_sampling(settings: LayerSettings, name: str) -> Made:
    """Read an `UpSampling2D`; bilinearly it takes other places than Keras's, so that becomes a product."""
    size = settings.lengths("size", 2, 2)
    if settings.choice("interpolation", ("nearest", "bilinear"), "nearest") == "nearest":
        data_format = settings.data_format(first=True)
        return Made((keras_layers().UpSampling2D(size, data_format=data_format, name=name),))
    settings.data_format()
    einsum = import_keras().ops.einsum

    def between(tensor: Any) -> Any:
        lengths = tensor.shape[1:3]
        # a matrix has one size, and a small file could ask for a huge one
        if None in lengths or max(n * n * f for n, f in zip(lengths, size, strict=True)) > MOST_PLACES:
            raise settings.refuse("interpolates images of unknown or huge size: fix it in inputShape, or use nearest.")
        rows, columns = (_between(n, f) for n, f in zip(lengths, size, strict=True))
        return einsum("qw,bpwc->bpqc", columns, einsum("ph,bhwc->bpwc", rows, tensor))

    return Made((between,))


def _between(length: int, factor: int) -> np.ndarray:
    """Return the matrix that takes places to those between: number i lies at i / factor, the last is repeated."""
    matrix = np.zeros((length * factor, length), np.float32)
    places = np.arange(length * factor)
    low, share = places // factor, (places % factor) / factor
    # added, since at the last place both numbers are the same
    np.add.at(matrix, (places, low), 1 - share)
    np.add.at(matrix, (places, np.minimum(low + 1, length - 1)), share)
    return matrix
