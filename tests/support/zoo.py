"""Small Keras models of every kind, each with 48 rows of data: what fitwell must open, train and close.

A builder takes the strengths of the model's own regularization, so that a test can ask for the same model without its
noise (`rate=0`) or without its penalties (`penalty=0`). Nothing here imports fitwell, but for the models that are made
of its layers: the process that loads saved models without fitwell takes its own classes from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from keras.regularizers import L1, L2

import keras
from keras import layers, ops

ROWS = 48
SEED = 5

Build = Callable[[float, float], Any]
"""``f(rate, penalty)``: a model that is built but not compiled."""


@dataclass(frozen=True)
class Animal:
    """One model of the zoo.

    Attributes
    ----------
    name
        For people.
    build
        Makes the model.
    inputs, targets
        ``f(generator)``, arrays of 48 rows or a list or dict of them.
    settings
        Makes the arguments of `compile`.
    classes
        Of the model's own, which whoever loads it must have.
    """

    name: str
    build: Build
    inputs: Callable[[np.random.Generator], Any]
    targets: Callable[[np.random.Generator], Any]
    settings: Callable[[], dict[str, Any]]
    classes: tuple[type, ...] = ()

    def model(self, rate: float = 0.3, penalty: float = 0.01) -> Any:
        """Return the model, compiled; its first weights are always the same, but for what Keras makes random."""
        keras.utils.set_random_seed(SEED)
        made = self.build(rate, penalty)
        made.compile(**self.settings())
        return made

    def data(self) -> tuple[Any, Any]:
        """Return x and y."""
        generator = np.random.default_rng(SEED)
        return self.inputs(generator), self.targets(generator)


@keras.saving.register_keras_serializable(package="zoo")
class AddsLoss(layers.Layer):
    """Scales its inputs, and adds a loss of its own."""

    def __init__(self, factor: float = 0.1, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def build(self, input_shape: Any) -> None:
        """Make one scale for each unit."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        """Return the scaled inputs."""
        self.add_loss(self.factor * ops.mean(ops.square(inputs)))
        return inputs * self.scale

    def get_config(self) -> dict[str, Any]:
        """Return what `__init__` takes."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="zoo")
class Block(layers.Layer):
    """A layer of layers: dense, normalised, dropped, and added to what came in."""

    def __init__(self, units: int = 6, rate: float = 0.2, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.rate = units, rate
        self.dense = layers.Dense(units, "softsign")
        self.norm = layers.BatchNormalization(momentum=0.8)
        self.drop = layers.Dropout(rate)

    def build(self, input_shape: Any) -> None:
        """Build the layers inside."""
        self.dense.build(input_shape)
        self.norm.build((*input_shape[:-1], self.units))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the sum."""
        return inputs + self.drop(self.norm(self.dense(inputs), training=training), training=training)

    def get_config(self) -> dict[str, Any]:
        """Return what `__init__` takes."""
        return {**super().get_config(), "units": self.units, "rate": self.rate}


@keras.saving.register_keras_serializable(package="zoo")
class Subclassed(keras.Model):
    """A model whose graph only its `call` knows."""

    def __init__(self, units: int = 7, rate: float = 0.2, penalty: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.rate, self.penalty = units, rate, penalty
        self.hidden = layers.Dense(units, "relu", kernel_regularizer=_l2(penalty))
        self.norm = layers.BatchNormalization(momentum=0.9)
        self.drop = layers.Dropout(rate)
        self.out = layers.Dense(3, "softmax")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return probabilities."""
        return self.out(self.drop(self.norm(self.hidden(inputs), training=training), training=training))

    def get_config(self) -> dict[str, Any]:
        """Return what `__init__` takes."""
        own = {"units": self.units, "rate": self.rate, "penalty": self.penalty}
        return {**super().get_config(), **own}


def _l2(penalty: float) -> Any:
    return L2(penalty) if penalty else None


def _l1(penalty: float) -> Any:
    return L1(penalty / 10) if penalty else None


def sequential(rate: float, penalty: float) -> Any:
    """Two hidden layers."""
    del rate
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", kernel_regularizer=_l2(penalty)),
            layers.Dense(5, "softsign"),
            layers.Dense(3, "softmax"),
        ]
    )


def with_dropout(rate: float, penalty: float) -> Any:
    """Dropout of its own behind one hidden layer."""
    del penalty
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", name="one"),
            layers.Dropout(rate, name="drop"),
            layers.Dense(5, "relu", name="two"),
            layers.Dense(3, "softmax", name="out"),
        ]
    )


def batch_normalised(rate: float, penalty: float) -> Any:
    """Dense, BatchNormalization, Activation."""
    del rate
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, use_bias=False, kernel_regularizer=_l2(penalty)),
            layers.BatchNormalization(momentum=0.7),
            layers.Activation("relu"),
            layers.Dense(3, "softmax"),
        ]
    )


def layer_normalised(rate: float, penalty: float) -> Any:
    """LayerNormalization."""
    del rate, penalty
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(6), layers.LayerNormalization(), layers.ReLU(), layers.Dense(1)]
    )


def branches(rate: float, penalty: float) -> Any:
    """Two branches, joined, and two residual additions: by a layer and by the operator."""
    inputs = keras.Input((4,))
    first = layers.Dense(6, "relu")(inputs)
    one = layers.Dropout(rate)(layers.Dense(6, "softsign", kernel_regularizer=_l2(penalty))(first))
    two = layers.BatchNormalization()(layers.Dense(6, "relu")(first))
    joined = layers.Add()([one, two, first])
    after = layers.Dense(6, "relu")(joined) + joined
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.Concatenate()([after, inputs])))


def inputs_by_name(rate: float, penalty: float) -> Any:
    """Two inputs in a dict, one of them a number a row."""
    del penalty
    inputs = {"b_many": keras.Input((4,), name="b_many"), "a_one": keras.Input((1,), name="a_one")}
    joined = layers.Concatenate()([layers.Dense(5, "relu")(inputs["b_many"]), inputs["a_one"]])
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(rate)(layers.Dense(6, "relu")(joined))))


def inputs_in_a_list(rate: float, penalty: float) -> Any:
    """Two inputs in a list."""
    del rate
    inputs = [keras.Input((4,)), keras.Input((3,))]
    parts = [layers.Dense(5, "relu", kernel_regularizer=_l1(penalty))(part) for part in inputs]
    return keras.Model(inputs, layers.Dense(1)(layers.Multiply()(parts)))


def two_outputs(rate: float, penalty: float) -> Any:
    """A class and a value, by name."""
    inputs = keras.Input((4,))
    hidden = layers.Dropout(rate)(layers.Dense(6, "relu", kernel_regularizer=_l2(penalty))(inputs))
    outputs = {"kind": layers.Dense(3, "softmax", name="kind")(hidden), "size": layers.Dense(1, name="size")(hidden)}
    return keras.Model(inputs, outputs)


def outputs_in_a_list(rate: float, penalty: float) -> Any:
    """Two outputs in a list, one of them of a hidden layer."""
    del rate, penalty
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, "relu", name="hidden")(inputs)
    small = layers.Dense(2, name="small")(hidden)
    return keras.Model(inputs, [layers.Dense(3, "softmax", name="kind")(small), small])


def shared_layer(rate: float, penalty: float) -> Any:
    """One dense layer and one dropout, called twice each."""
    inputs = [keras.Input((4,)), keras.Input((4,))]
    shared, drop = layers.Dense(5, "relu", kernel_regularizer=_l2(penalty)), layers.Dropout(rate)
    parts = [drop(shared(part)) for part in inputs]
    return keras.Model(inputs, layers.Dense(1)(layers.Subtract()(parts)))


def nested_sequential(rate: float, penalty: float) -> Any:
    """A Sequential model in a functional one, whose layers have the names of those outside."""
    inner = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "relu", name="dense"), layers.Dropout(rate, name="drop")], name="inner"
    )
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, "relu", name="dense", kernel_regularizer=_l2(penalty))(inputs)
    return keras.Model(inputs, layers.Dense(3, "softmax", name="out")(inner(hidden)))


def nested_functional(rate: float, penalty: float) -> Any:
    """A functional model in a functional model in a Sequential one."""
    del rate
    deep_in = keras.Input((5,))
    deep = keras.Model(deep_in, layers.BatchNormalization()(layers.Dense(5, "relu")(deep_in)) + deep_in, name="deep")
    inner_in = keras.Input((6,))
    inner = keras.Model(inner_in, deep(layers.Dense(5, "softsign", kernel_regularizer=_l2(penalty))(inner_in)))
    return keras.Sequential([keras.Input((4,)), layers.Dense(6, "relu"), inner, layers.Dense(3, "softmax")])


def shared_model(rate: float, penalty: float) -> Any:
    """A nested model that is called twice, with batch normalisation and dropout in it."""
    tower_in = keras.Input((4,))
    hidden = layers.BatchNormalization()(layers.Dense(5, "relu", kernel_regularizer=_l2(penalty))(tower_in))
    tower = keras.Model(tower_in, layers.Dense(4, "softsign")(layers.Dropout(rate)(hidden)), name="tower")
    inputs = {"left": keras.Input((4,), name="left"), "right": keras.Input((4,), name="right")}
    return keras.Model(inputs, layers.Dense(1, "sigmoid")(tower(inputs["left"]) * tower(inputs["right"])))


def conv1d(rate: float, penalty: float) -> Any:
    """Convolutions over steps."""
    return keras.Sequential(
        [
            keras.Input((8, 2)),
            layers.Conv1D(4, 3, activation="relu", kernel_regularizer=_l2(penalty)),
            layers.SpatialDropout1D(rate),
            layers.Conv1D(3, 2, strides=2, padding="causal", activation="relu"),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )


def conv2d(rate: float, penalty: float) -> Any:
    """Convolution, pooling, batch normalisation."""
    del rate
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            # no bias, whose gradient would be nothing but rounding, which Adam would make steps of
            layers.Conv2D(3, 3, padding="same", use_bias=False, kernel_regularizer=_l2(penalty)),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax"),
        ]
    )


def separable(rate: float, penalty: float) -> Any:
    """Separable and depthwise convolutions, units dropped by channel."""
    return keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            layers.SeparableConv2D(4, 2, activation="relu", depthwise_regularizer=_l2(penalty)),
            layers.SpatialDropout2D(rate),
            layers.DepthwiseConv2D(2, depthwise_regularizer=_l1(penalty)),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


def lstm(rate: float, penalty: float) -> Any:
    """LSTM."""
    del rate
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.LSTM(4, kernel_regularizer=_l2(penalty), recurrent_regularizer=_l2(penalty / 2)),
            layers.Dense(3, "softmax"),
        ]
    )


def gru(rate: float, penalty: float) -> Any:
    """GRU with dropout inside."""
    del penalty
    return keras.Sequential(
        [keras.Input((5, 3)), layers.GRU(4, dropout=rate, recurrent_dropout=rate / 2), layers.Dense(1)]
    )


def bidirectional(rate: float, penalty: float) -> Any:
    """A value for every step."""
    return keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True, kernel_regularizer=_l2(penalty))),
            layers.Dropout(rate),
            layers.TimeDistributed(layers.Dense(2, "softsign", kernel_regularizer=_l2(penalty))),
            layers.TimeDistributed(layers.Dense(1)),
        ]
    )


def masked(rate: float, penalty: float) -> Any:
    """Words with padding, which a mask takes out."""
    del penalty
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True),
            layers.Dropout(rate),
            layers.LSTM(4),
            layers.Dense(3, "softmax"),
        ]
    )


def masked_steps(rate: float, penalty: float) -> Any:
    """A value for every step, padding left out of the loss by the mask that reaches the output."""
    del rate
    return keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Masking(),
            layers.GRU(3, return_sequences=True, recurrent_regularizer=_l2(penalty)),
            layers.Dense(1),
        ]
    )


def embedding(rate: float, penalty: float) -> Any:
    """A bag of words."""
    del rate
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 4, embeddings_regularizer=_l2(penalty)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(5, "relu"),
            layers.Dense(3, "softmax"),
        ]
    )


def transformer(rate: float, penalty: float) -> Any:
    """Attention and a dense part, both residual."""
    inputs = keras.Input((4, 6))
    attention = layers.MultiHeadAttention(2, 3, dropout=rate, kernel_regularizer=_l2(penalty))
    hidden = layers.LayerNormalization()(inputs + attention(inputs, inputs))
    dense = layers.Dropout(rate)(layers.Dense(6)(layers.Dense(8, "silu")(hidden)))
    hidden = layers.LayerNormalization()(layers.Add()([hidden, dense]))
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(hidden)))


def einsum(rate: float, penalty: float) -> Any:
    """EinsumDense."""
    del rate
    return keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.EinsumDense("abc,cd->abd", (3, 5), "relu", "d", kernel_regularizer=_l2(penalty)),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


def normalisation(rate: float, penalty: float) -> Any:
    """Inputs standardised by what was seen before."""
    del rate, penalty
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(9).normal(2, 3, (60, 4)))
    return keras.Sequential([keras.Input((4,)), adapted, layers.Dense(6, "relu"), layers.Dense(3, "softmax")])


def frozen(rate: float, penalty: float) -> Any:
    """A first part that does not train, with batch normalisation in it, and its layers in a model of their own."""
    base = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, "relu", kernel_regularizer=_l2(penalty)), layers.BatchNormalization()]
    )
    base.trainable = False
    frozen_dense = layers.Dense(6, "softsign", trainable=False)
    inputs = keras.Input((4,))
    hidden = layers.Dropout(rate)(layers.Dense(6, "relu", kernel_regularizer=_l2(penalty))(base(inputs)))
    return keras.Model(inputs, layers.Dense(3, "softmax")(frozen_dense(hidden)))


def gaussian_noise(rate: float, penalty: float) -> Any:
    """Noise that is no dropout: it acts whatever the strength."""
    del rate, penalty
    return keras.Sequential(
        [keras.Input((4,)), layers.GaussianNoise(0.1, seed=3), layers.Dense(6, "relu"), layers.Dense(3, "softmax")]
    )


def selu(rate: float, penalty: float) -> Any:
    """AlphaDropout and GaussianDropout: dropout of other kinds."""
    del penalty
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "selu", kernel_initializer="lecun_normal"),
            layers.AlphaDropout(rate),
            layers.Dense(5, "selu", kernel_initializer="lecun_normal"),
            layers.GaussianDropout(rate),
            layers.Dense(3, "softmax"),
        ]
    )


def with_lambda(rate: float, penalty: float) -> Any:
    """A Lambda layer and an operation of `keras.ops`."""
    del rate
    inputs = keras.Input((4,))
    hidden = layers.Lambda(lambda values: values * 2)(ops.softsign(inputs))
    return keras.Model(inputs, layers.Dense(1)(layers.Dense(5, "relu", kernel_regularizer=_l2(penalty))(hidden)))


def constrained(rate: float, penalty: float) -> Any:
    """Kernels that must stay short, or positive."""
    del rate, penalty
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", kernel_constraint=keras.constraints.MaxNorm(0.7)),
            layers.Dense(3, "softmax", kernel_constraint="non_neg", bias_constraint="unit_norm"),
        ]
    )


def other_penalties(rate: float, penalty: float) -> Any:
    """Penalties of activities and of biases, and one of a kernel that is no L1 or L2."""
    del rate
    extra = keras.regularizers.OrthogonalRegularizer(penalty) if penalty else None
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", activity_regularizer=_l2(penalty), bias_regularizer=_l2(penalty)),
            layers.ActivityRegularization(l1=penalty / 10),
            layers.Dense(5, "softsign", kernel_regularizer=extra),
            layers.Dense(3, "softmax"),
        ]
    )


def adds_loss(rate: float, penalty: float) -> Any:
    """A layer of somebody's own that adds to the loss, in every candidate."""
    del rate
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, "relu", kernel_regularizer=_l2(penalty)),
            AddsLoss(),
            layers.Dense(3, "softmax"),
        ]
    )


def custom_block(rate: float, penalty: float) -> Any:
    """A layer of layers, dropout among them."""
    inputs = keras.Input((4,))
    hidden = Block(6, rate)(layers.Dense(6, "relu", kernel_regularizer=_l2(penalty))(inputs))
    return keras.Model(inputs, layers.Dense(3, "softmax")(hidden))


def subclassed(rate: float, penalty: float) -> Any:
    """A subclassed model."""
    made = Subclassed(7, rate, penalty)
    made(np.zeros((1, 4)))
    return made


def own_layers(rate: float, penalty: float) -> Any:
    """The layers of fitwell, with their own rates."""
    import fitwell

    return keras.Sequential(
        [
            keras.Input((4,)),
            fitwell.layers.Dense(6, "relu", kernel_regularizer=_l2(penalty)),
            fitwell.layers.Dropout(rate),
            fitwell.layers.Dense(5, "relu", dropout_rate=rate / 2),
            layers.Dense(3, "softmax"),
        ]
    )


def linear(rate: float, penalty: float) -> Any:
    """A model of one layer, with a number a row for its output."""
    del rate
    return keras.Sequential([keras.Input((4,)), layers.Dense(1, "sigmoid", kernel_regularizer=_l2(penalty))])


def logits(rate: float, penalty: float) -> Any:
    """A model that gives logits."""
    del penalty
    return keras.Sequential([keras.Input((4,)), layers.Dense(6, "relu"), layers.Dropout(rate), layers.Dense(3)])


def name_taken(rate: float, penalty: float) -> Any:
    """Dropout on one of two ways behind "dense", with the name that fitwell would give to dropout behind it."""
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, "relu", name="dense", kernel_regularizer=_l2(penalty))(inputs)
    dropped = layers.Dropout(rate, name="dense_dropout")(hidden)
    both = layers.Dense(4, "relu", name="dense_dropout_1")(layers.Concatenate()([hidden, dropped]))
    return keras.Model(inputs, layers.Dense(3, "softmax", name="out")(both))


def flat_rows(rate: float, penalty: float) -> Any:
    """Rows that are single numbers, with no axis of features."""
    del rate
    inputs = keras.Input(())
    hidden = layers.Dense(5, "relu", kernel_regularizer=_l2(penalty))(layers.Reshape((1,))(inputs))
    return keras.Model(inputs, layers.Dense(1)(hidden))


def _rows(*shape: int) -> Callable[[np.random.Generator], Any]:
    return lambda generator: generator.normal(size=(ROWS, *shape))


def _words(generator: np.random.Generator) -> np.ndarray:
    words = generator.integers(1, 9, (ROWS, 6)).astype(np.int32)
    words[np.arange(6) >= generator.integers(2, 7, ROWS)[:, None]] = 0
    return words


def _padded_steps(generator: np.random.Generator) -> np.ndarray:
    steps = generator.normal(size=(ROWS, 4, 3))
    steps[np.arange(4) >= generator.integers(1, 5, ROWS)[:, None]] = 0
    return steps


def _classes(generator: np.random.Generator) -> np.ndarray:
    return np.concatenate([np.arange(3)] * (ROWS // 3))[generator.permutation(ROWS)].astype(np.int32)


def _one_hot(generator: np.random.Generator) -> np.ndarray:
    return np.eye(3)[_classes(generator)]


def _yes(generator: np.random.Generator) -> np.ndarray:
    return (_classes(generator) > 0).astype(np.int32)


def _classifying(**changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {
        "optimizer": keras.optimizers.Adam(0.01),
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        **{key: value() if callable(value) else value for key, value in changes.items()},
    }


def _regressing(optimizer: Callable[[], Any] = lambda: keras.optimizers.SGD(0.02)) -> Callable[[], dict[str, Any]]:
    return lambda: {"optimizer": optimizer(), "loss": "mse", "metrics": ["mae"]}


def _two_outputs() -> dict[str, Any]:
    return {
        "optimizer": keras.optimizers.RMSprop(0.01),
        "loss": {"kind": "sparse_categorical_crossentropy", "size": keras.losses.Huber()},
        "loss_weights": {"kind": 0.3, "size": 2.0},
        "metrics": {"kind": ["accuracy"], "size": ["mae"]},
    }


def _list_of_outputs() -> dict[str, Any]:
    losses = ["sparse_categorical_crossentropy", "mse"]
    return {"optimizer": keras.optimizers.Adam(0.01), "loss": losses, "loss_weights": [1.0, 0.5]}


def _both(**parts: Callable[[np.random.Generator], Any]) -> Callable[[np.random.Generator], Any]:
    return lambda generator: {name: part(generator) for name, part in parts.items()}


def _pair(*parts: Callable[[np.random.Generator], Any]) -> Callable[[np.random.Generator], Any]:
    return lambda generator: [part(generator) for part in parts]


def _animals() -> list[Animal]:
    dense, wide, classify, regress = _rows(4), _rows(1), _classifying(), _regressing()
    one_hot = _classifying(loss="categorical_crossentropy")
    binary = _classifying(loss="binary_crossentropy")
    momentum = _regressing(lambda: keras.optimizers.SGD(0.01, momentum=0.8, nesterov=True))
    of_logits = _classifying(loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    decayed = _classifying(optimizer=lambda: keras.optimizers.AdamW(0.01, weight_decay=0.05))
    by_name = _both(b_many=dense, a_one=wide)
    return [
        Animal("sequential", sequential, dense, _classes, classify),
        Animal("with_dropout", with_dropout, dense, _one_hot, one_hot),
        Animal("batch_normalised", batch_normalised, dense, _classes, classify),
        Animal("layer_normalised", layer_normalised, dense, wide, momentum),
        Animal("branches", branches, dense, _classes, classify),
        Animal("inputs_by_name", inputs_by_name, by_name, wide, regress),
        Animal("inputs_in_a_list", inputs_in_a_list, _pair(dense, _rows(3)), wide, regress),
        Animal("two_outputs", two_outputs, dense, _both(kind=_classes, size=wide), _two_outputs),
        Animal("outputs_in_a_list", outputs_in_a_list, dense, _pair(_classes, _rows(2)), _list_of_outputs),
        Animal("shared_layer", shared_layer, _pair(dense, dense), wide, regress),
        Animal("nested_sequential", nested_sequential, dense, _classes, classify),
        Animal("nested_functional", nested_functional, dense, _classes, classify),
        Animal("shared_model", shared_model, _both(left=dense, right=dense), _yes, binary),
        Animal("conv1d", conv1d, _rows(8, 2), _classes, classify),
        Animal("conv2d", conv2d, _rows(6, 6, 2), _classes, classify),
        Animal("separable", separable, _rows(5, 5, 2), wide, regress),
        Animal("lstm", lstm, _rows(5, 3), _classes, classify),
        Animal("gru", gru, _rows(5, 3), wide, regress),
        Animal("bidirectional", bidirectional, _rows(4, 3), _rows(4, 1), regress),
        Animal("masked", masked, _words, _classes, classify),
        Animal("masked_steps", masked_steps, _padded_steps, _rows(4, 1), regress),
        Animal("embedding", embedding, _words, _classes, classify),
        Animal("transformer", transformer, _rows(4, 6), _classes, decayed),
        Animal("einsum", einsum, _rows(3, 4), wide, regress),
        Animal("normalisation", normalisation, dense, _classes, classify),
        Animal("frozen", frozen, dense, _classes, classify),
        Animal("gaussian_noise", gaussian_noise, dense, _classes, classify),
        Animal("selu", selu, dense, _classes, classify),
        Animal("with_lambda", with_lambda, dense, wide, regress),
        Animal("constrained", constrained, dense, _classes, classify),
        Animal("other_penalties", other_penalties, dense, _classes, classify),
        Animal("adds_loss", adds_loss, dense, _classes, classify, (AddsLoss,)),
        Animal("custom_block", custom_block, dense, _classes, classify, (Block,)),
        Animal("subclassed", subclassed, dense, _classes, classify, (Subclassed,)),
        Animal("own_layers", own_layers, dense, _classes, classify),
        Animal("linear", linear, dense, _yes, binary),
        Animal("logits", logits, dense, _classes, of_logits),
        Animal("name_taken", name_taken, dense, _classes, classify),
        Animal("flat_rows", flat_rows, _rows(), wide, regress),
    ]


ZOO: dict[str, Animal] = {animal.name: animal for animal in _animals()}


@contextmanager
def computing(floatx: str, optimised: bool = False) -> Iterator[None]:
    """Let Keras and JAX compute in a precision; little optimised, where most of the time would go into compiling."""
    little = "jax_disable_most_optimizations"
    before = keras.config.floatx(), keras.config.dtype_policy(), jax.config.read(little)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)  # which Keras makes of `floatx` at its first layer only
    jax.config.update(little, not optimised)
    try:
        with jax.enable_x64(floatx == "float64"):
            yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
        jax.config.update(little, before[2])


def tolerance(model: Any) -> dict[str, float]:
    """Return how far two computations of a model in float64 may be apart, as arguments of `assert_allclose`.

    Keras computes the moments of batch and layer normalisation in float32 whatever `floatx` says
    (``keras.backend.result_type("float64", "float32")`` is "float32"), and XLA's tanh in float64 is one of several
    approximations, by what it is fused with (Adam makes more of that where gradients are small). Everything else
    differs by rounding only.
    """
    kinds = {type(layer).__name__ for layer in model._flatten_layers()}
    if kinds & {"BatchNormalization", "LayerNormalization"}:
        return {"rtol": 2e-5, "atol": 2e-6}
    if any(kind.startswith(("LSTM", "GRU")) for kind in kinds):
        return {"rtol": 1e-6, "atol": 1e-8}
    return {"rtol": 1e-9, "atol": 1e-11}


def strengths_of(model: Any) -> dict[str, Any]:
    """Return the penalties [l1, l2] of all trainable kernels and all rates in a model that are not zero, sorted."""
    variables = [variable for variable in model.trainable_variables if variable.name.endswith("kernel")]
    penalties = [[float(getattr(v.regularizer, name, 0.0)) for name in ("l1", "l2")] for v in variables]
    dropped = [layer for layer in model._flatten_layers() if "Dropout" in type(layer).__name__]
    rates = [float(np.asarray(layer.rate)) for layer in dropped]
    return {"penalties": sorted(pair for pair in penalties if any(pair)), "rates": sorted(filter(None, rates))}
