"""Keras layers from the settings of TensorFlow.js's layers: which class is read, and by what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fitwell.keras.backend import import_keras
from fitwell.tfjs.reading.layer_settings import STRETCH, TANH_GELU, LayerSettings


@dataclass(frozen=True)
class Made:
    """What stands for a layer in Keras.

    Attributes
    ----------
    parts
        Keras layers, or functions of a tensor, one behind the other. The first has the layer's name and weights.
    weights
        TensorFlow.js's names of its weights, in the order of Keras's variables.
    stretched
        From the number of a weight to the columns of it that are multiplied by `STRETCH`: all, or a slice.
    notices
        Sentences for a person.
    """

    parts: tuple[Any, ...]
    weights: tuple[str, ...] = ()
    stretched: tuple[tuple[int, slice], ...] = ()
    notices: tuple[str, ...] = ()


Reader = Callable[[LayerSettings, str], Made]
"""``reader(settings, name)`` makes the Keras layer of that name."""


def keras_layers() -> Any:
    """Return `keras.layers`, imported only now."""
    return import_keras().layers


def with_activation(settings: LayerSettings, make: Callable[..., Any], name: str, weights: Sequence[str]) -> Made:
    """Make a layer with an activation; what has no name in Keras becomes parts behind it."""
    kind = settings.activation(also=(TANH_GELU,))
    # the layer itself is linear then, and keeps the name under which its weights are found
    if kind in BEHIND:
        return Made((make(activation="linear", name=name), *BEHIND[kind](f"{name}_stretch", name)), tuple(weights))
    return Made((make(activation=kind, name=name),), tuple(weights))


def _hard_sigmoid(first: str, name: str) -> tuple[Any, ...]:
    """Return TensorFlow.js's hard sigmoid: the gradients are its own too, as those of stretched weights are not."""
    layers = keras_layers()
    return layers.Rescaling(STRETCH, name=first), layers.Activation("hard_sigmoid", name=f"{name}_hard_sigmoid")


def _tanh_gelu(first: str, name: str) -> tuple[Any, ...]:
    del first, name
    keras = import_keras()
    # operations of Keras, so that the model is saved without code
    return (lambda tensor: keras.ops.gelu(tensor, approximate=True),)


BEHIND: dict[str, Callable[[str, str], tuple[Any, ...]]] = {"hard_sigmoid": _hard_sigmoid, TANH_GELU: _tanh_gelu}
"""Activations as parts of their own."""


def about(settings: LayerSettings, *parts: str, stretch: float = 1.0) -> dict[str, Any]:
    """Return initializers, regularizers and constraints of weights such as `kernel`."""
    found: dict[str, Any] = {}
    for part in parts:
        initializer = settings.initializer(f"{part}_initializer")
        found |= {f"{part}_initializer": initializer} if initializer is not None else {}
        found[f"{part}_regularizer"] = settings.regularizer(f"{part}_regularizer", stretch)
        found[f"{part}_constraint"] = settings.constraint(f"{part}_constraint")
    return found


def read_dense(settings: LayerSettings, name: str) -> Made:
    """Read a `Dense`; one that holds a rate drops weights, as its author meant."""
    use_bias = settings.flag("use_bias", True)
    options = {"units": settings.whole("units"), "use_bias": use_bias, **about(settings, "kernel", "bias")}
    weights = ("kernel", "bias")[: 1 + use_bias]
    if not settings.has("dropout_rate"):
        return with_activation(settings, partial(keras_layers().Dense, **options), name, weights)
    from fitwell.keras.layers import Dense

    rate = settings.share("dropout_rate")
    made = with_activation(settings, partial(Dense, **options, dropout_rate=rate), name, weights)
    notice = (
        f"The layer '{settings.layer}' holds dropoutRate {rate:g}, which TensorFlow.js ignores: it is read as "
        "fitwell.layers.Dense, which drops this share of its weights in training."
    )
    return Made(made.parts, made.weights, notices=(notice,))


def read_activation(settings: LayerSettings, name: str) -> Made:
    """Read an `Activation`."""
    kind = settings.activation(also=(TANH_GELU,))
    return Made(BEHIND[kind](name, name) if kind in BEHIND else (keras_layers().Activation(kind, name=name),))


def read_dropout(settings: LayerSettings, name: str) -> Made:
    """Read a `Dropout`; a rate of 1 does nothing in TensorFlow.js."""
    rate = settings.number("rate")
    if not 0 <= rate <= 1:
        raise settings.refuse(f"must have a rate from 0 to 1. Got {rate:g}.")
    shape = settings.wholes("noise_shape", 1, unknown=None) if settings.has("noise_shape") else None
    return Made((keras_layers().Dropout(0.0 if rate == 1 else rate, noise_shape=shape, name=name),))


def simple_reader(keras_name: str, **fields: str) -> Reader:
    """Return a reader of a layer without weights; fields are read as the types that they name."""

    def read(settings: LayerSettings, name: str) -> Made:
        options = {field: getattr(settings, kind)(field) for field, kind in fields.items()}
        return Made((getattr(keras_layers(), keras_name)(**options, name=name),))

    return read


def read_reshape(settings: LayerSettings, name: str) -> Made:
    """Read a `Reshape`."""
    # null is what TensorFlow.js writes for the size that follows from the others
    shape = tuple(settings.wholes("target_shape", -1, unknown=-1))
    return Made((keras_layers().Reshape(shape, name=name),))


def read_masking(settings: LayerSettings, name: str) -> Made:
    """Read a `Masking`."""
    return Made((keras_layers().Masking(settings.number("mask_value", 0.0), name=name),))


def read_embedding(settings: LayerSettings, name: str) -> Made:
    """Read an `Embedding`."""
    sizes = settings.whole("input_dim"), settings.whole("output_dim")
    options = about(settings, "embeddings")
    return Made(
        (keras_layers().Embedding(*sizes, mask_zero=settings.flag("mask_zero", False), name=name, **options),),
        ("embeddings",),
    )


def read_batch_normalization(settings: LayerSettings, name: str) -> Made:
    """Read a `BatchNormalization`."""
    scale, center = settings.flag("scale", True), settings.flag("center", True)
    own = [part for part, used in (("gamma", scale), ("beta", center)) if used]
    moving = {f"{part}_initializer": settings.initializer(f"{part}_initializer")
              for part in ("moving_mean", "moving_variance")}  # fmt: skip
    made = keras_layers().BatchNormalization(
        axis=settings.whole("axis", -1, least=-8),
        momentum=settings.number("momentum", 0.99),
        epsilon=settings.number("epsilon", 1e-3),
        scale=scale,
        center=center,
        name=name,
        **{key: value for key, value in moving.items() if value is not None},
        **about(settings, "gamma", "beta"),
    )
    return Made((made,), (*own, "moving_mean", "moving_variance"))


def read_layer_normalization(settings: LayerSettings, name: str) -> Made:
    """Read a `LayerNormalization`."""
    scale, center = settings.flag("scale", True), settings.flag("center", True)
    axis = settings.wholes("axis") if settings.has("axis") else [-1]
    options = about(settings, "gamma", "beta")
    for part in ("gamma", "beta"):
        # TensorFlow.js's LayerNormalization knows none, whatever stands in a file
        options.pop(f"{part}_constraint")
    epsilon = settings.number("epsilon", 1e-3)
    made = keras_layers().LayerNormalization(
        axis=axis[0] if len(axis) == 1 else axis, epsilon=epsilon, scale=scale, center=center, name=name, **options
    )
    return Made((made,), tuple(part for part, used in (("gamma", scale), ("beta", center)) if used))


def read_relu(settings: LayerSettings, name: str) -> Made:
    """Read a `ReLU`."""
    most = settings.number("max_value") if settings.has("max_value") else None
    return Made((keras_layers().ReLU(max_value=most, name=name),))


def read_leaky_relu(settings: LayerSettings, name: str) -> Made:
    """Read a `LeakyReLU`."""
    # TensorFlow.js's name of it, and its default
    return Made((keras_layers().LeakyReLU(negative_slope=settings.number("alpha", 0.3), name=name),))


def read_prelu(settings: LayerSettings, name: str) -> Made:
    """Read a `PReLU`."""
    shared = settings.wholes("shared_axes") if settings.has("shared_axes") else None
    return Made((keras_layers().PReLU(shared_axes=shared, name=name, **about(settings, "alpha")),), ("alpha",))


def read_elu(settings: LayerSettings, name: str) -> Made:
    """Read an `ELU`."""
    return Made((keras_layers().ELU(alpha=settings.number("alpha", 1.0), name=name),))


def read_thresholded_relu(settings: LayerSettings, name: str) -> Made:
    """Read a `ThresholdedReLU`: a `ReLU`, or below zero, where Keras has no layer, an operation that loads anywhere."""
    theta = settings.number("theta", 1.0)
    if theta >= 0:
        return Made((keras_layers().ReLU(threshold=theta, name=name),))
    ops = import_keras().ops
    return Made((lambda tensor: ops.threshold(tensor, theta, 0.0),))


def read_softmax(settings: LayerSettings, name: str) -> Made:
    """Read a `Softmax`."""
    axis = settings.wholes("axis")[0] if settings.has("axis") else 1
    return Made((keras_layers().Softmax(axis=axis, name=name),))


def read_flatten(settings: LayerSettings, name: str) -> Made:
    """Read a `Flatten`."""
    return Made((keras_layers().Flatten(data_format=settings.data_format(first=True), name=name),))


def merge_reader(keras_name: str) -> Reader:
    """Return a reader of a layer without settings."""

    def read(settings: LayerSettings, name: str) -> Made:
        del settings
        return Made((getattr(keras_layers(), keras_name)(name=name),))

    return read


def read_concatenate(settings: LayerSettings, name: str) -> Made:
    """Read a `Concatenate`."""
    axis = settings.wholes("axis")[0] if settings.has("axis") else -1
    return Made((keras_layers().Concatenate(axis=axis, name=name),))


def read_dot(settings: LayerSettings, name: str) -> Made:
    """Read a `Dot`."""
    axes = settings.wholes("axes")
    normalize = settings.flag("normalize", False)
    return Made((keras_layers().Dot(axes=axes[0] if len(axes) == 1 else tuple(axes), normalize=normalize, name=name),))


def read_rescaling(settings: LayerSettings, name: str) -> Made:
    """Read a `Rescaling`."""
    return Made((keras_layers().Rescaling(settings.numbers("scale", 1.0), settings.numbers("offset", 0.0), name=name),))
