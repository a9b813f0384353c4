"""A model as pure functions of its variables, and the dense network for tables. No Keras in here.

Write a network for one set of rows and one strength; the engine lifts it over both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fitwell.regularization.by_layer import Layers
from fitwell.regularization.regularizer import Axes

if TYPE_CHECKING:
    import jax

    from fitwell.engine import noise


class OnUnits(Protocol):
    """What training does to hidden units (dropout)."""

    @property
    def own(self) -> jax.Array | float:
        """1 where the network's own regularization acts that has no row in the table: as given; else 0."""
        ...

    def __call__(
        self, units: jax.Array, layer: int, *, draw: int | None = None, noise_shape: tuple[int, ...] | None = None
    ) -> jax.Array:
        """Return what the next layer sees in place of `units`.

        Parameters
        ----------
        units
            Outputs of a hidden layer.
        layer
            Number of the place, among those where units are dropped: its strength is taken.
        draw
            Number of the random draw, if not `layer`: a layer that is called twice draws twice.
        noise_shape
            Shape of the noise if not that of `units`, with 1 where units are dropped together.
        """
        ...


# JAX is imported where it is at work, here and below: NumPy trains this network without it


def _relu(values: jax.Array) -> jax.Array:
    import jax

    return jax.nn.relu(values)


def _tanh(values: jax.Array) -> jax.Array:
    import jax

    return jax.numpy.tanh(values)


def _silu(values: jax.Array) -> jax.Array:
    import jax

    return jax.nn.silu(values)


ACTIVATIONS = {"relu": _relu, "tanh": _tanh, "silu": _silu}
"""By Keras's names, and equal to Keras's functions."""


class Variables(NamedTuple):
    """What a network is made of: two trees of arrays.

    `trainable` gets gradients; `state` does not but may change in training (moving statistics).
    """

    trainable: Any
    state: Any


class PureNetwork(Protocol):
    """A model as pure functions, for one network: the engine adds the axes [R, G]."""

    def init(self, key: noise.Key, dtype: Any) -> Variables:
        """Return fresh variables. `key` is of `fitwell.engine.noise`; `jax.random.wrap_key_data` makes JAX's of it."""
        ...

    def penalised(self, trainable: Any) -> Any:
        """Return a tree like `trainable`: `Axes` for the kernels that regularizers act on, False for all else."""
        ...

    def decayed(self, trainable: Any) -> Any:
        """Return a tree like `trainable`: `Axes` for the variables that weight decay acts on, False for all else."""
        ...

    def input_scales(self, trainable: Any) -> Any:
        """Return a tree like `trainable`: `Axes` for learned scales of the inputs, False for all else."""
        ...

    def input_kernels(self, trainable: Any) -> Any:
        """Return a tree like `trainable`: `Axes` with groups for kernels that see a table, False for all else."""
        ...

    def apply(self, variables: Variables, inputs: Any, on_units: OnUnits | None) -> tuple[Any, Any]:
        """Return ``(outputs [rows, k], new state)``; outputs may be a tree of arrays [rows, ...].

        `on_units` is given in training and None in prediction; call it on the output of every hidden layer.
        """
        ...

    def constrain(self, trainable: Any) -> Any:
        """Return the variables after an optimizer's step moved back to where they may be (max-norm, non-negative)."""
        ...


@dataclass(frozen=True)
class DenseNetwork:
    """Dense hidden layers with one activation, and a linear output layer.

    Kernels are stored ``[units out, units in]`` and hidden activations ``[units, rows]``: lifted over strengths, the
    first layer is then one matrix product ``[G * units, d] @ [d, rows]`` without a transposition.

    Attributes
    ----------
    inputs
        d, width of a row.
    hidden
        Units of each hidden layer; empty makes a linear model.
    outputs
        k: classes (outputs are logits), or 1 for regression.
    activation
        One of `ACTIVATIONS`.
    output_scale
        The output kernel starts at this fraction of the usual scale, so that the first predictions are near chance.
    scaled
        Whether the first kernel is multiplied by learned scales of the inputs, which start at 1: then the trainable
        variables end with them, ``{"scales": [1, d]}``. How fast they are learned is a strength
        (`fitwell.regularization.table.INPUT_SCALING`), and without one they must not be there.
    groups
        The number of the column that each input is of [d], counted from 0; empty where every input is one.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"
    output_scale: float = 0.1
    scaled: bool = False
    groups: tuple[int, ...] = ()

    @property
    def layers(self) -> Layers:
        """Where strengths act."""
        return self.layers_of(self.hidden)

    @staticmethod
    def layers_of(hidden: tuple[int, ...]) -> Layers:
        """Return where strengths act with these hidden layers."""
        names = tuple(f"hidden_{number}" for number in range(1, len(hidden) + 1))
        return Layers((*names, "output"), names, inputs=("inputs",))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from inputs to outputs."""
        return (self.inputs, *self.hidden, self.outputs)

    def init(self, key: noise.Key, dtype: Any = np.float32) -> Variables:
        """Draw kernels uniform with variance 2 / units in (He et al. 2015); biases are zero.

        JAX's normal numbers would take longer to compile than the whole of training does for a small network.
        """
        import jax.numpy as jnp

        from fitwell.engine import noise

        layers = []
        for number, (units_in, units_out) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            bound = np.sqrt(6 / units_in) * (self.output_scale if number == len(self.hidden) else 1.0)
            unit = noise.uniform(noise.fold(key, number), (units_out, units_in), dtype)
            bias = jnp.zeros((units_out, 1), dtype)
            layers.append({"kernel": (2 * unit - 1) * jnp.asarray(bound, dtype), "bias": bias})
        scales = [{"scales": jnp.ones((1, self.inputs), dtype)}] if self.scaled else []
        return Variables([*layers, *scales], ())

    def penalised(self, trainable: Any) -> Any:
        """Every kernel, no bias."""
        layers = len(self.hidden) + 1
        kernels = [{"kernel": Axes(inputs=(1,), outputs=(0,)), "bias": False} for _ in range(layers)]
        return [*kernels, *({"scales": False} for _ in trainable[layers:])]

    def decayed(self, trainable: Any) -> Any:
        """Every kernel, no bias."""
        return self.penalised(trainable)

    def input_scales(self, trainable: Any) -> Any:
        """Return a tree like `trainable`: `Axes` for the scales of the inputs, False for all else."""
        layers = len(self.hidden) + 1
        others = [{"kernel": False, "bias": False} for _ in range(layers)]
        return [*others, *({"scales": Axes(inputs=(1,), outputs=())} for _ in trainable[layers:])]

    def input_kernels(self, trainable: Any) -> Any:
        """Return a tree like `trainable`: `Axes` with the columns for the first kernel, False for all else."""
        first = Axes(inputs=(1,), outputs=(0,), groups=self.groups or tuple(range(self.inputs)))
        others = [dict.fromkeys(part, False) for part in trainable[1:]]
        return [{"kernel": first, "bias": False}, *others]

    def constrain(self, trainable: Any) -> Any:
        """Every value is allowed."""
        return trainable

    def apply(self, variables: Variables, inputs: jax.Array, on_units: OnUnits | None = None) -> tuple[jax.Array, Any]:
        """Return ``(outputs [rows, k], ())``; see `PureNetwork.apply`."""
        activation = ACTIVATIONS[self.activation]
        values, scales = inputs.T, variables.trainable[len(self.hidden) + 1 :]
        for number, layer in enumerate(variables.trainable[: len(self.hidden) + 1]):
            kernel = layer["kernel"] * scales[0]["scales"] if scales and number == 0 else layer["kernel"]
            values = kernel @ values + layer["bias"]
            if number < len(self.hidden):
                values = activation(values)
                values = on_units(values, number) if on_units else values
        return values.T, ()
