"""Keras layers whose dropout rate is a variable: `Dense` with DropConnect, and `Dropout`.

A Keras layer that holds its rate as a Python number has it compiled into the training step, where a later
``layer.rate = 0.3`` changes nothing. Here the rate is read anew in every step, and one program serves all rates.

The rate is state, yet no weight, just as the state of a random seed: `variables` and `non_trainable_variables` have it
(so compiled steps and `stateless_call` take it as an argument), `weights` has not. So ``set_weights([kernel, bias])``
and ``.weights.h5`` files fit `keras.layers.Dense` in both directions, loading weights leaves the rate alone, and the
configuration, which `.keras` files and `clone_model` use, carries the rate of the moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import keras
from fitwell.arguments import is_whole
from fitwell.errors import InputError
from fitwell.regularization.table import drop

Tensor = Any
"""What Keras hands to a layer: an array of the backend, traced or not."""


@keras.saving.register_keras_serializable(package="fitwell")
class Dense(keras.layers.Dense):
    """A dense layer with DropConnect: each training step sets a fraction of the kernel's weights to zero.

    The kept weights are scaled by ``1 / (1 - dropout_rate)``, so that the expected kernel is the kernel. One mask
    serves the whole batch of a step. At inference all weights stay. The bias is never dropped.

    Parameters
    ----------
    units
        Number of outputs.
    activation, use_bias, **options
        Those of `keras.layers.Dense`.
    dropout_rate
        Fraction of weights, in [0, 1). Zero multiplies each weight by exactly one: `keras.layers.Dense`, in training
        too (on CPUs, where this is tested, to the bit).
    seed
        Of the masks; None takes a random one.

    Raises
    ------
    InputError
        `dropout_rate` is no number in [0, 1), here or when it is set later.

    Notes
    -----
    Inputs have the shape [rows, ..., d], outputs [rows, ..., units], the kernel [d, units]. A penalty, a constraint and
    LoRA see what they see in `keras.layers.Dense`: the whole kernel (with LoRA, weights of the sum are dropped).
    Quantizing is refused by Keras, as for every subclass of its `Dense`.

    Loading a `.keras` file needs this module imported before. Source: Wan et al., "Regularization of Neural Networks
    using DropConnect", ICML 2013 (one mask per step instead of per row; no sampling at inference).

    Examples
    --------
    The rows of the identity show the kernel that a training step sees:

    >>> layer = Dense(3, use_bias=False, kernel_initializer="ones", dropout_rate=0.5, seed=1)
    >>> np.unique(layer(np.eye(4), training=True)).tolist()
    [0.0, 2.0]
    >>> layer.dropout_rate = 0.2
    >>> np.unique(layer(np.eye(4), training=True)).tolist()
    [0.0, 1.25]
    >>> np.unique(layer(np.eye(4))).tolist()
    [1.0]
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        *,
        dropout_rate: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(units, activation=activation, use_bias=use_bias, **options)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        _keep_rate(self, "dropout_rate", dropout_rate)

    @property
    def dropout_rate(self) -> Any:
        """The rate, a `keras.Variable` of shape (), which can be set to a number at any time.

        Setting checks it; ``dropout_rate.assign`` does not, and so also takes traced values. A callback must reach the
        layer through its own ``self.model``: on JAX that is what makes `fit` see a change within an epoch.
        """
        return self._rate

    @dropout_rate.setter
    def dropout_rate(self, rate: float) -> None:
        self._rate.assign(_checked("dropout_rate", rate))

    @property
    def variables(self) -> list[Any]:
        """All state: kernel, bias, the seed's state and the rate, which is not among the `weights`."""
        return [*super().variables, self._rate]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Return ``activation(inputs @ kernel + bias)``, in training with a part of the kernel at zero."""
        if not training:
            return super().call(inputs, training=training)
        kernel: Tensor = keras.ops.convert_to_tensor(self.kernel)
        # the order of operations of keras.layers.Dense, whose bits a rate of zero must give
        outputs = keras.ops.matmul(inputs, _drop(kernel, kernel.shape, self._rate, self.seed_generator))
        if self.bias is not None:
            outputs = keras.ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes the layer of, with the rate of the moment."""
        return {**super().get_config(), "dropout_rate": _as_number(self._rate), "seed": self.seed}


@keras.saving.register_keras_serializable(package="fitwell")
class Dropout(keras.layers.Layer):
    """Dropout of units: each training step sets a fraction of the inputs to zero.

    The kept ones are scaled by ``1 / (1 - rate)``, so that the expected output is the input. At inference all stay.

    Parameters
    ----------
    rate
        Fraction of units, in [0, 1). Zero is exactly the identity.
    noise_shape
        Shape of the mask, as in `keras.layers.Dropout`: ``(None, 1, 8)`` gives all steps of a sequence one mask; None
        stands for the size of the input.
    seed
        Of the masks; None takes a random one.
    **options
        Those of `keras.layers.Layer`.

    Raises
    ------
    InputError
        `rate` is no number in [0, 1), here or when it is set later; or `noise_shape` is no sequence of sizes.

    Notes
    -----
    Inputs and outputs have the same shape, of any rank. Masks of sequences pass through. Loading a `.keras` file needs
    this module imported before. Source: Srivastava et al., "Dropout", JMLR 15, 2014.

    Examples
    --------
    >>> layer = Dropout(0.5, seed=1)
    >>> np.unique(layer(np.ones((4, 3)), training=True)).tolist()
    [0.0, 2.0]
    >>> layer.rate = 0
    >>> np.unique(layer(np.ones((4, 3)), training=True)).tolist()
    [1.0]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.noise_shape = _checked_shape(noise_shape)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        _keep_rate(self, "rate", rate)
        self.built = True  # no state waits for the shape of the inputs

    @property
    def rate(self) -> Any:
        """The rate, a `keras.Variable` of shape (), which can be set to a number at any time.

        Setting checks it; ``rate.assign`` does not, and so also takes traced values. A callback must reach the layer
        through its own ``self.model``: on JAX that is what makes `fit` see a change within an epoch.
        """
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate.assign(_checked("rate", rate))

    @property
    def variables(self) -> list[Any]:
        """All state: the seed's state and the rate. There are no `weights`."""
        return [*super().variables, self._rate]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Return the inputs, in training with a part of them at zero."""
        if not training:
            return inputs
        return _drop(inputs, self._mask_shape(inputs), self._rate, self.seed_generator)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes the layer of, with the rate of the moment."""
        own = {"rate": _as_number(self._rate), "noise_shape": self.noise_shape, "seed": self.seed}
        return {**super().get_config(), **own}

    def _mask_shape(self, inputs: Tensor) -> tuple[int, ...]:
        sizes: Any = keras.ops.shape(inputs)
        if self.noise_shape is None:
            return sizes
        return tuple(sizes[axis] if size is None else size for axis, size in enumerate(self.noise_shape))


def _keep_rate(layer: keras.layers.Layer, argument: str, rate: float) -> None:
    """Put the rate's variable into ``layer._rate``, past Keras's list of the layer's weights.

    In that list it would be one of the `weights`; and `keras.layers.Dense`, which saves its kernel and bias by name
    but counts the list when it loads, could not load its own file.
    """
    # at least float32: bfloat16 would make 0.1 of 0.1001 and know 256 noises; not cast for mixed precision either
    dtype = "float64" if layer.variable_dtype == "float64" else "float32"
    with keras.name_scope(layer.name):
        variable = keras.Variable(_checked(argument, rate), trainable=False, dtype=dtype, autocast=False, name=argument)
    object.__setattr__(layer, "_rate", variable)


def _drop(values: Tensor, mask_shape: Sequence[int], rate: Any, seeds: Any) -> Tensor:
    noise = keras.random.uniform(mask_shape, dtype=rate.dtype, seed=seeds)
    dropped = drop(rate.value, values, noise)
    # whole numbers become floating, since 1 / (1 - rate) is
    return keras.ops.cast(dropped, values.dtype) if keras.backend.is_float_dtype(values.dtype) else dropped


def _as_number(rate: Any) -> float:
    """Return the shortest decimal that gives the same variable: 0.1, not 0.10000000149011612."""
    return float(str(rate.numpy()))


def _checked(argument: str, rate: Any) -> float:
    number = np.asarray(rate)
    # float32 makes 1 of 0.99999999, and no weight would be left to scale
    if number.ndim or number.dtype.kind not in "iuf" or not (0 <= number < 1 and np.float32(number) < 1):
        raise InputError(f"'{argument}' must lie in [0, 1). Got {rate!r}.")
    return float(number)


def _checked_shape(shape: Any) -> tuple[int | None, ...] | None:
    if shape is None:
        return None
    if not isinstance(shape, Sequence) or not all(size is None or (is_whole(size) and size > 0) for size in shape):
        raise InputError(f"'noise_shape' must be a sequence of sizes, None for that of the input. Got {shape!r}.")
    return tuple(None if size is None else int(size) for size in shape)
