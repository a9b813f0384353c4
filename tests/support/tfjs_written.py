"""Keras models that are written for TensorFlow.js: small ones for each layer and option that is claimed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

import keras
from keras import layers

ROWS = 3


def chain(shape: tuple[int | None, ...], *parts: Any, dtype: str = "float32") -> Callable[[], keras.Model]:
    """Return the maker of a model of one chain; `parts` make its layers."""

    def make() -> keras.Model:
        with no_drawing():
            made = keras.Sequential([keras.Input(shape, dtype=dtype), *(part() for part in parts)], name="model")
        return randomised(made)

    return make


def graph(*shapes: Any, join: Callable[..., Any]) -> Callable[[], keras.Model]:
    """Return the maker of a functional model with inputs of some shapes; `join` takes them and returns outputs."""

    def make() -> keras.Model:
        inputs = [keras.Input(shape, name=f"in{number}") for number, shape in enumerate(shapes)]
        with no_drawing():
            made = keras.Model(inputs[0] if len(inputs) == 1 else inputs, join(*inputs), name="model")
        return randomised(made)

    return make


@contextlib.contextmanager
def no_drawing() -> Iterator[None]:
    """Let all initializers give zeros: the weights are set anyway, and each shape to draw would be compiled."""

    def zeros(_: Any, shape: Any, dtype: Any = None) -> Any:
        return np.zeros(shape, dtype or "float32")

    drawn = (keras.initializers.VarianceScaling, keras.initializers.Orthogonal, keras.initializers.RandomUniform)
    with contextlib.ExitStack() as stack:
        for made in drawn:
            stack.enter_context(mock.patch.object(made, "__call__", zeros))
        yield


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Set all weights to random numbers, variances to positive ones."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path:
            continue
        values = random.normal(0, 0.5, variable.shape)
        positive = any(name in variable.path for name in ("variance", "gamma", "scale"))
        variable.assign(np.abs(values) + 0.3 if positive else values)
    return model


def data(model: keras.Model, seed: int = 1) -> list[np.ndarray]:
    """Return rows for each input, small whole numbers for whole ones."""
    random = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        shape = [ROWS, *(6 if size is None else size for size in tensor.shape[1:])]
        whole = str(tensor.dtype).startswith("int")
        drawn = random.integers(0, 5, shape) if whole else random.normal(0, 1.5, shape)
        arrays.append(drawn.astype("int32" if whole else "float32"))
    return arrays


def _layer(name: str, *args: Any, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(layers, name)(*args, **options)


def _adapted() -> keras.layers.Layer:
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(1e4, 2, (50, 4)).astype("float32"))
    return layer


def _masked(*parts: Any, unit: int = 3) -> Callable[[], keras.Model]:
    return chain((5,), _layer("Embedding", 5, unit, mask_zero=True), *parts, dtype="int32")


def _states(x: Any) -> Any:
    encoded, *states = layers.LSTM(3, return_state=True)(x)
    return layers.LSTM(3, return_sequences=True)(x, initial_state=states), encoded


def _shared(first: Any, second: Any) -> Any:
    tower = layers.Dense(4, activation="hard_silu", name="tower")
    return layers.Concatenate()([tower(first), tower(second)])


def _again(x: Any) -> Any:
    again = layers.Dense(4, activation="tanh", name="again")
    return again(again(x))


def _nested(first: Any, second: Any) -> Any:
    inside = keras.Input((4,))
    inner = keras.Model(inside, layers.Dense(3, name="dense")(layers.Dense(5, activation="silu")(inside)), name="inner")
    deep = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="dense")], name="deep")
    return deep(inner(first)), layers.Subtract()([inner(first), inner(second)])


def _inside(dtype: str, layer: Any) -> keras.Model:
    return keras.Sequential([keras.Input((4,), dtype=dtype), layer], name="inside")


def _arithmetic(first: Any, second: Any) -> Any:
    ops = keras.ops
    mixed = (first * 2 + 1) / 3 - second + ops.square(first) * second
    turned = ops.maximum(1 - mixed, -second) + ops.abs(first) + np.array([1.0, 2, 3, 4], "float32")
    ends = ops.concatenate([ops.tanh(turned), -ops.minimum(second, 0.5)], axis=-1)
    return ops.reshape(ops.transpose(ops.reshape(ends, (-1, 2, 4)), (0, 2, 1)), (-1, 8))


def _operations(x: Any) -> Any:
    ops, names = keras.ops, keras.activations
    made = [
        ops.relu(x), ops.gelu(x), ops.gelu(x, approximate=True), ops.softmax(x), ops.silu(x), ops.leaky_relu(x, 0.1),
        ops.elu(x, 0.5), names.relu(x, negative_slope=0.1, max_value=1.0, threshold=0.2),
        ops.threshold(x, -0.5, 0.0),
        ops.log_softmax(x), ops.squeeze(ops.expand_dims(x, 1), 1),
    ]  # fmt: skip
    return ops.concatenate(made, axis=1)


def _matrices(x: Any) -> Any:
    rows, columns, channels = (np.random.default_rng(0).normal(size=size) for size in ((3, 5), (6, 4), (2, 3)))
    wide = keras.ops.einsum("qw,bhwc->bhqc", columns.astype("float32"), x)
    high = keras.ops.einsum("bhwc,hp->bpwc", wide, rows.astype("float32"))
    return keras.ops.einsum("bhwc,cd->bhwd", high, channels.astype("float32"))


def _copied(x: Any) -> Any:
    masked = layers.Masking()(layers.ReLU()(x))
    return layers.LSTM(3)(masked), layers.GlobalAveragePooling1D()(keras.ops.copy(masked))


def _attend(class_name: str, **options: Any) -> Callable[..., Any]:
    return lambda q, v, *k: getattr(layers, class_name)(**options)([q, v, *k])


def _heads(class_name: str, call: dict[str, Any] | None = None, **options: Any) -> Callable[..., Any]:
    return lambda q, v: getattr(layers, class_name)(**options)(q, v, **(call or {}))


IMAGE, LINE, VOLUME = (6, 7, 3), (8, 3), (5, 4, 6, 2)
FIRST = {"data_format": "channels_first"}

ACTIVATIONS = (
    "celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "linear",
    "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax",
    "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "tanh", "tanh_shrink",
)  # fmt: skip

CASES: dict[str, Callable[[], keras.Model]] = {
    "Dense: plain": chain((4,), _layer("Dense", 3, activation="relu"), _layer("Dense", 2, activation="softmax")),
    "Dense: no bias": chain((4,), _layer("Dense", 3, use_bias=False)),
    "Dense: sequences": chain((5, 4), _layer("Dense", 3, activation="tanh")),
    "Dense: regularized": chain(
        (4,), _layer("Dense", 3, kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1L2(0.1, 0.2))
    ),
    "Dense: a layer as activation": chain((4,), lambda: layers.Dense(3, activation=layers.LeakyReLU(0.1))),
    "Dense: LoRA": chain((4,), lambda: _lora(layers.Dense(5))),
    **{f"Activation: {name}": chain((6,), _layer("Dense", 5), _layer("Activation", name)) for name in ACTIVATIONS},
    **{
        f"Dense: {name}": chain((6,), _layer("Dense", 5, activation=name))
        for name in ("hard_sigmoid", "leaky_relu", "silu", "sparse_plus")
    },
    "Dropout: plain": chain((4,), _layer("Dropout", 0.5)),
    "GaussianDropout: plain": chain((4,), _layer("GaussianDropout", 0.5)),
    "GaussianNoise: plain": chain((4,), _layer("GaussianNoise", 0.5)),
    "AlphaDropout: plain": chain((4,), _layer("AlphaDropout", 0.5)),
    "SpatialDropout1D: plain": chain(LINE, _layer("SpatialDropout1D", 0.5)),
    "SpatialDropout2D: left out": chain(IMAGE, _layer("SpatialDropout2D", 0.5)),
    "SpatialDropout3D: left out": chain(VOLUME, _layer("SpatialDropout3D", 0.5)),
    "BatchNormalization: rows": chain((4,), _layer("BatchNormalization")),
    "BatchNormalization: no scale, no center": chain(LINE, _layer("BatchNormalization", scale=False, center=False)),
    "BatchNormalization: first axis": chain(IMAGE, _layer("BatchNormalization", axis=1)),
    "BatchNormalization: volumes": chain(VOLUME, _layer("BatchNormalization")),
    "LayerNormalization: plain": chain(LINE, _layer("LayerNormalization")),
    "LayerNormalization: two axes": chain(IMAGE, _layer("LayerNormalization", axis=[1, 3], epsilon=0.1)),
    "LayerNormalization: volumes": chain(VOLUME, _layer("LayerNormalization")),
    "LayerNormalization: bare": chain(LINE, _layer("LayerNormalization", scale=False, center=False)),
    "GroupNormalization: images": chain((4, 5, 6), _layer("GroupNormalization", 3)),
    "GroupNormalization: each channel": chain((4, 5, 6), _layer("GroupNormalization", -1)),
    "GroupNormalization: one group": chain((6,), _layer("GroupNormalization", 1, scale=False)),
    "RMSNormalization: rows": chain((5,), _layer("RMSNormalization")),
    "RMSNormalization: images": chain(IMAGE, _layer("RMSNormalization")),
    "UnitNormalization: rows": chain((5,), _layer("UnitNormalization")),
    "UnitNormalization: first axis": chain(IMAGE, _layer("UnitNormalization", axis=1)),
    "Embedding: plain": chain((5,), _layer("Embedding", 5, 3), dtype="int32"),
    "Embedding: mask that nobody reads": _masked(_layer("Conv1D", 2, 2), _layer("LSTM", 2)),
    "Embedding: floats": chain((5,), _layer("Embedding", 5, 3), _layer("Flatten"), _layer("Dense", 2), dtype="int32"),
    "Masking: recurrent": chain(LINE, _layer("ReLU"), _layer("Masking"), _layer("GRU", 3, reset_after=False)),
    "Conv1D: plain": chain(LINE, _layer("Conv1D", 4, 3, activation="relu")),
    "Conv1D: strides": chain(LINE, _layer("Conv1D", 4, 3, strides=2, padding="same")),
    "Conv1D: causal": chain(LINE, _layer("Conv1D", 4, 3, padding="causal", dilation_rate=2)),
    "Conv1D: causal, any length": chain((None, 3), _layer("Conv1D", 4, 3, padding="causal"), _layer("LSTM", 2)),
    "Conv1D: channels first": chain((3, 8), _layer("Conv1D", 4, 3, **FIRST)),
    "Conv2D: plain": chain(IMAGE, _layer("Conv2D", 4, (3, 2), activation="relu")),
    "Conv2D: strides": chain(IMAGE, _layer("Conv2D", 4, 3, strides=(2, 1), padding="same", activation="silu")),
    "Conv2D: dilation": chain(IMAGE, _layer("Conv2D", 4, 2, dilation_rate=(2, 3), activation="leaky_relu")),
    "Conv2D: groups": chain((6, 6, 4), _layer("Conv2D", 6, 3, groups=2)),
    "Conv2D: channels first": chain((3, 6, 7), _layer("Conv2D", 4, 3, padding="same", **FIRST)),
    "Conv2D: any size": chain((None, None, 3), _layer("Conv2D", 4, 3), _layer("GlobalAveragePooling2D")),
    "Conv1D: causal, softmax": chain(LINE, _layer("Conv1D", 4, 3, padding="causal", activation="softmax")),
    **{
        f"{name}: channels first, softmax": chain(shape, _layer(name, *sizes, activation="softmax", **FIRST))
        for name, shape, sizes in (
            ("Conv1D", (3, 8), (4, 3)),
            ("Conv2D", (3, 6, 7), (4, 3)),
            ("Conv3D", (2, 5, 4, 6), (3, 2)),
            ("DepthwiseConv2D", (3, 6, 7), (3,)),
            ("SeparableConv2D", (3, 6, 7), (4, 3)),
            ("SeparableConv1D", (3, 8), (4, 3)),
            ("Conv2DTranspose", (3, 6, 7), (4, 3)),
        )
    },
    "Conv2D: channels first, a layer as activation": chain(
        (3, 6, 7), lambda: layers.Conv2D(4, 3, activation=layers.PReLU(), **FIRST)
    ),
    "SeparableConv1D: a layer as activation": chain(
        LINE, lambda: layers.SeparableConv1D(4, 3, activation=layers.Softmax(axis=-2))
    ),
    "Conv3D: plain": chain(VOLUME, _layer("Conv3D", 3, (2, 3, 2), padding="same", strides=(1, 2, 1))),
    "Conv3D: dilation": chain(VOLUME, _layer("Conv3D", 3, 2, dilation_rate=(2, 1, 2))),
    "Conv1DTranspose: plain": chain(LINE, _layer("Conv1DTranspose", 4, 3, strides=2, activation="relu")),
    "Conv1DTranspose: same": chain(LINE, _layer("Conv1DTranspose", 4, 2, strides=3, padding="same")),
    "Conv2DTranspose: plain": chain(IMAGE, _layer("Conv2DTranspose", 4, 3, strides=2, padding="same")),
    "Conv2DTranspose: valid": chain(IMAGE, _layer("Conv2DTranspose", 4, (2, 3), strides=(3, 1))),
    "Conv2DTranspose: output padding": chain(
        IMAGE, _layer("Conv2DTranspose", 4, 3, strides=2, padding="same", output_padding=1, activation="relu")
    ),
    "Conv2DTranspose: output padding, valid": chain(
        IMAGE, _layer("Conv2DTranspose", 4, 3, strides=3, output_padding=(0, 2))
    ),
    "Conv2DTranspose: dilation": chain(IMAGE, _layer("Conv2DTranspose", 4, 3, padding="same", dilation_rate=2)),
    "Conv3DTranspose: plain": chain(VOLUME, _layer("Conv3DTranspose", 3, 2, strides=2)),
    "Conv3DTranspose: strides longer than the kernel": chain(
        VOLUME, _layer("Conv3DTranspose", 3, (1, 2, 3), strides=(2, 3, 1), padding="same")
    ),
    "DepthwiseConv1D: plain": chain(LINE, _layer("DepthwiseConv1D", 3, depth_multiplier=2)),
    "DepthwiseConv1D: strides": chain(LINE, _layer("DepthwiseConv1D", 3, strides=2, padding="same")),
    "DepthwiseConv2D: plain": chain(IMAGE, _layer("DepthwiseConv2D", 3, depth_multiplier=2, activation="relu6")),
    "DepthwiseConv2D: strides": chain(IMAGE, _layer("DepthwiseConv2D", 3, strides=2, padding="same")),
    "DepthwiseConv2D: dilation": chain(IMAGE, _layer("DepthwiseConv2D", 2, dilation_rate=2)),
    "SeparableConv1D: plain": chain(LINE, _layer("SeparableConv1D", 4, 3, activation="silu")),
    "SeparableConv2D: plain": chain(IMAGE, _layer("SeparableConv2D", 4, 3, padding="same", activation="relu")),
    "SeparableConv2D: multiplier": chain(IMAGE, _layer("SeparableConv2D", 4, 3, depth_multiplier=2, strides=2)),
    "SeparableConv2D: dilation": chain(IMAGE, _layer("SeparableConv2D", 4, 2, dilation_rate=2)),
    **{
        f"{kind}Pooling{rank}D: {padding}": chain(
            (LINE, IMAGE, VOLUME)[rank - 1], _layer(f"{kind}Pooling{rank}D", 2, strides=strides, padding=padding)
        )
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
        for padding, strides in (("valid", None), ("same", 1))
    },
    "MaxPooling2D: channels first": chain((3, 6, 7), _layer("MaxPooling2D", (2, 3), **FIRST)),
    **{
        f"Global{kind}Pooling{rank}D: {'keepdims' if keep else 'plain'}": chain(
            (LINE, IMAGE, VOLUME)[rank - 1], _layer(f"Global{kind}Pooling{rank}D", keepdims=keep)
        )
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
        for keep in (False, True)
    },
    "GlobalAveragePooling2D: channels first": chain(
        (3, 6, 7), _layer("GlobalAveragePooling2D", keepdims=True, **FIRST)
    ),
    "ZeroPadding1D: plain": chain(LINE, _layer("ZeroPadding1D", (1, 2))),
    "ZeroPadding2D: plain": chain(IMAGE, _layer("ZeroPadding2D", ((1, 2), (0, 3)))),
    "ZeroPadding3D: plain": chain(VOLUME, _layer("ZeroPadding3D", ((1, 2), (0, 3), (1, 1)))),
    "Cropping1D: plain": chain(LINE, _layer("Cropping1D", (1, 2))),
    "Cropping2D: plain": chain(IMAGE, _layer("Cropping2D", ((1, 2), (0, 3)))),
    "Cropping3D: plain": chain(VOLUME, _layer("Cropping3D", ((1, 2), (0, 1), (1, 1)))),
    "UpSampling1D: plain": chain(LINE, _layer("UpSampling1D", 3)),
    "UpSampling2D: nearest": chain(IMAGE, _layer("UpSampling2D", (2, 3))),
    "UpSampling2D: bilinear": chain(IMAGE, _layer("UpSampling2D", (2, 3), interpolation="bilinear")),
    "UpSampling2D: bicubic": chain(IMAGE, _layer("UpSampling2D", 2, interpolation="bicubic")),
    "UpSampling3D: plain": chain(VOLUME, _layer("UpSampling3D", (2, 1, 3))),
    "Resizing: bilinear": chain(IMAGE, _layer("Resizing", 4, 9)),
    "Resizing: nearest": chain(IMAGE, _layer("Resizing", 9, 5, interpolation="nearest")),
    "CenterCrop: plain": chain(IMAGE, _layer("CenterCrop", 3, 4)),
    "Flatten: images": chain(IMAGE, _layer("Flatten"), _layer("Dense", 2)),
    "Flatten: rows": chain((4,), _layer("Flatten"), _layer("Dense", 2)),
    "Flatten: channels first": chain((3, 4, 5), _layer("Flatten", **FIRST)),
    "Reshape: inferred": chain((12,), _layer("Reshape", (-1, 3)), _layer("Flatten"), _layer("Dense", 2)),
    "Permute: plain": chain(IMAGE, _layer("Permute", (3, 1, 2))),
    "RepeatVector: plain": chain((4,), _layer("RepeatVector", 3)),
    **{
        f"{name}: {how}": chain(LINE, _layer(name, 3, **extra, **options))
        for name, extra in (("SimpleRNN", {}), ("LSTM", {}), ("GRU", {"reset_after": False}))
        for how, options in {
            "plain": {},
            "sequences": {"return_sequences": True, "dropout": 0.2, "recurrent_dropout": 0.1},
            "backwards": {"return_sequences": True, "go_backwards": True, "use_bias": False},
        }.items()
    },
    "SimpleRNN: hard_sigmoid": chain(LINE, _layer("SimpleRNN", 3, activation="hard_sigmoid")),
    "LSTM: hard_sigmoid": chain(LINE, _layer("LSTM", 3, recurrent_activation="hard_sigmoid", activation="silu")),
    "GRU: hard_sigmoid": chain(
        LINE, _layer("GRU", 3, activation="hard_sigmoid", recurrent_activation="hard_sigmoid", reset_after=False)
    ),
    "LSTM: mask": _masked(_layer("LSTM", 3, return_sequences=True), _layer("Dense", 4), _layer("LSTM", 2)),
    "SpatialDropout1D: mask": _masked(_layer("SpatialDropout1D", 0.5), _layer("LSTM", 2)),
    "GRU: mask": _masked(_layer("GRU", 3, reset_after=False), _layer("Dense", 2)),
    "LSTM: states": graph(LINE, join=_states),
    "RNN: one cell": chain(LINE, lambda: layers.RNN(layers.GRUCell(3, reset_after=False), return_sequences=True)),
    "RNN: mask": _masked(lambda: layers.RNN(layers.LSTMCell(3))),
    "RNN: stack": chain(LINE, lambda: layers.RNN([layers.LSTMCell(3), layers.SimpleRNNCell(2)])),
    "ConvLSTM2D: plain": chain((4, *IMAGE), _layer("ConvLSTM2D", 2, 3, padding="same", return_sequences=True)),
    "ConvLSTM2D: hard_sigmoid": chain((4, *IMAGE), _layer("ConvLSTM2D", 2, 2, recurrent_activation="hard_sigmoid")),
    **{
        f"Bidirectional: {mode}": chain(
            LINE, lambda mode=mode: layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode=mode)
        )
        for mode in ("concat", "sum", "mul", "ave")
    },
    "Bidirectional: both ways apart": graph(
        LINE, join=lambda x: layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode=None)(x)
    ),
    "Bidirectional: GRU": chain(LINE, lambda: layers.Bidirectional(layers.GRU(3, reset_after=False))),
    "Bidirectional: backwards": chain(
        LINE,
        lambda: layers.Bidirectional(
            layers.LSTM(3, return_sequences=True, go_backwards=True),
            backward_layer=layers.LSTM(3, return_sequences=True),
        ),
    ),
    "Bidirectional: begun apart": chain(
        LINE,
        lambda: layers.Bidirectional(
            layers.LSTM(2), backward_layer=layers.LSTM(2, go_backwards=True, recurrent_initializer="zeros")
        ),
    ),
    "Bidirectional: mask": _masked(lambda: layers.Bidirectional(layers.LSTM(3)), _layer("Dense", 2)),
    "TimeDistributed: dense": chain(
        LINE, lambda: layers.TimeDistributed(layers.Dense(4, activation="hard_sigmoid")), _layer("LSTM", 2)
    ),
    "TimeDistributed: images": chain(
        (3, *IMAGE),
        lambda: layers.TimeDistributed(layers.Conv2D(2, 3, activation="relu")),
        lambda: layers.TimeDistributed(layers.MaxPooling2D()),
        lambda: layers.TimeDistributed(layers.Flatten()),
        _layer("GRU", 2, reset_after=False),
    ),
    "TimeDistributed: model": chain(
        LINE,
        lambda: layers.TimeDistributed(
            keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(2)])
        ),
    ),
    "ReLU: plain": chain((6,), _layer("ReLU")),
    "ReLU: all options": chain((6,), _layer("ReLU", max_value=1.5, negative_slope=0.2, threshold=0.3)),
    "ReLU: slope": chain((6,), _layer("ReLU", negative_slope=0.2)),
    "ReLU: slope and largest": chain((6,), _layer("ReLU", max_value=1, negative_slope=0.2)),
    "ReLU: threshold": chain((6,), _layer("ReLU", threshold=0.7)),
    "LeakyReLU: plain": chain((6,), _layer("LeakyReLU", 0.1)),
    "PReLU: plain": chain((6,), _layer("PReLU")),
    "PReLU: shared": chain(IMAGE, _layer("PReLU", shared_axes=[1, 2])),
    "ELU: plain": chain((6,), _layer("ELU")),
    "ELU: alpha": chain((6,), _layer("ELU", alpha=0.4)),
    "Softmax: plain": chain((6,), _layer("Softmax")),
    "Softmax: first axis": chain(IMAGE, _layer("Softmax", axis=1)),
    **{
        f"{name}: three": graph((4,), (4,), (4,), join=lambda *xs, name=name: getattr(layers, name)()(list(xs)))
        for name in ("Add", "Average", "Multiply", "Maximum", "Minimum", "Concatenate")
    },
    "Add: broadcast": graph((5, 4), (1, 4), join=lambda *xs: layers.Add()(list(xs))),
    "Subtract: plain": graph((4,), (4,), join=lambda *xs: layers.Subtract()(list(xs))),
    "Concatenate: first axis": graph((2, 4), (3, 4), join=lambda *xs: layers.Concatenate(axis=1)(list(xs))),
    "Dot: rows": graph((4,), (4,), join=lambda *xs: layers.Dot(-1)(list(xs))),
    "Dot: matrices": graph((3, 4), (5, 4), join=lambda *xs: layers.Dot(2)(list(xs))),
    "Add: ranks": graph((4,), (3, 4), join=lambda *xs: layers.Add()(list(xs))),
    "Dot: normalized": graph((4,), (4,), join=lambda *xs: layers.Dot(1, normalize=True)(list(xs))),
    "Rescaling: number": chain(IMAGE, _layer("Rescaling", 1 / 255, offset=-0.5)),
    "Rescaling: vector": chain(IMAGE, _layer("Rescaling", [1.0, 2.0, 3.0], offset=[0.1, 0.2, 0.3])),
    "Normalization: adapted": chain((4,), _adapted),
    "Normalization: given": chain(IMAGE, _layer("Normalization", mean=[1.0, 2, 3], variance=[4.0, 5, 6])),
    "Normalization: inverted": chain(
        (3,), _layer("Normalization", mean=[1.0, 2, 3], variance=[4.0, 5, 6], invert=True)
    ),
    "Attention: plain": graph((4, 3), (5, 3), join=_attend("Attention")),
    "Attention: scaled, causal": graph(
        (4, 3),
        (4, 3),
        (4, 3),
        join=lambda q, v, k: layers.Attention(use_scale=True, dropout=0.1)([q, v, k], use_causal_mask=True),
    ),
    "AdditiveAttention: plain": graph((4, 3), (5, 3), join=_attend("AdditiveAttention")),
    "MultiHeadAttention: plain": graph((4, 6), (5, 6), join=_heads("MultiHeadAttention", num_heads=2, key_dim=3)),
    "MultiHeadAttention: causal": graph(
        (4, 6),
        (4, 6),
        join=_heads("MultiHeadAttention", {"use_causal_mask": True}, num_heads=3, key_dim=2, value_dim=4, dropout=0.1),
    ),
    "GroupQueryAttention: plain": graph(
        (4, 6), (5, 6), join=_heads("GroupQueryAttention", head_dim=3, num_query_heads=4, num_key_value_heads=2)
    ),
    "EinsumDense: last axis": chain((5, 4), _layer("EinsumDense", "abc,cd->abd", (None, 3), bias_axes="d")),
    "EinsumDense: split": chain(
        (5, 4), _layer("EinsumDense", "...c,cde->...de", (2, 3), bias_axes="de", activation="relu")
    ),
    "EinsumDense: split, softmax": chain(
        (5, 4), _layer("EinsumDense", "abc,cde->abde", (None, 2, 3), activation="softmax")
    ),
    "EinsumDense: join": chain((5, 2, 4), _layer("EinsumDense", "abcd,cde->abe", (None, 3))),
    "Discretization: bins": chain((4,), _layer("Discretization", bin_boundaries=[-1.0, 0.0, 0.5, 2.0])),
    "Discretization: one hot": chain(
        (1,), _layer("Discretization", bin_boundaries=[-1.0, 0.0, 1.0], output_mode="one_hot"), _layer("Dense", 2)
    ),
    **{
        f"CategoryEncoding: {mode}": chain(
            (1 if mode == "one_hot" else 4,), _layer("CategoryEncoding", 5, output_mode=mode), dtype="int32"
        )
        for mode in ("one_hot", "multi_hot", "count")
    },
    "SpectralNormalization: plain": chain((4,), lambda: layers.SpectralNormalization(layers.Dense(3))),
    "Identity: left out": chain((4,), _layer("Identity"), _layer("Dense", 2)),
    "ActivityRegularization: left out": chain((4,), _layer("ActivityRegularization", 0.1), _layer("Dense", 2)),
    "shared: towers": graph((3,), (3,), join=_shared),
    "shared: twice in a row": graph((4,), join=_again),
    "nested: integers": chain((4,), lambda: _inside("int32", layers.Dense(3)), dtype="int32"),
    "nested: integers for an embedding": graph(
        (4,), join=lambda x: _inside("int32", layers.Embedding(9, 3))(keras.ops.abs(x))
    ),
    "nested: names twice": graph((4,), (4,), join=_nested),
    "outputs: input and twice": graph((4,), join=lambda x: [x, (y := layers.Dense(2)(x)), y]),
    "operations: arithmetic": graph((4,), (4,), join=_arithmetic),
    "operations: functions": graph((5,), join=_operations),
    "operations: matrices": graph((3, 4, 2), join=_matrices),
    "operations: a copy without the mask": graph((5, 4), join=_copied),
}
"""Makers by "class: variant"."""

AUGMENTATIONS: dict[str, Any] = {
    "RandomBrightness": {"factor": 0.2}, "RandomContrast": {"factor": 0.2}, "RandomFlip": {},
    "RandomRotation": {"factor": 0.2}, "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2}, "AugMix": {}, "CutMix": {}, "MixUp": {},
    "RandAugment": {}, "RandomColorDegeneration": {"factor": 0.2}, "RandomColorJitter": {},
    "RandomElasticTransform": {}, "RandomErasing": {}, "RandomGaussianBlur": {}, "RandomGrayscale": {},
    "RandomHue": {"factor": 0.2}, "RandomInvert": {}, "RandomPerspective": {},
    "RandomPosterization": {"factor": 4}, "RandomSaturation": {"factor": 0.2}, "RandomSharpness": {"factor": 0.2},
    "RandomShear": {},
}  # fmt: skip
CASES |= {f"{name}: left out": chain(IMAGE, _layer(name, **options)) for name, options in AUGMENTATIONS.items()}


def _lora(layer: keras.layers.Layer) -> keras.layers.Layer:
    layer.build((None, 4))
    layer.enable_lora(2)
    return layer
