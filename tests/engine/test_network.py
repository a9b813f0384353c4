"""The dense network: plain formulas, first weights, and what the engine asks of a network."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit

from fitwell.engine import noise
from fitwell.engine.network import ACTIVATIONS, DenseNetwork
from fitwell.regularization.regularizer import Axes

PLAIN = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "gelu": lambda z: z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2,
    "silu": lambda z: z * expit(z),
}


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.usefixtures("float64")
def test_apply_equals_plain_products(activation: str, seed: int) -> None:
    """Outputs are the textbook's products with one activation between them."""
    network = DenseNetwork(3, (4, 5), 2, activation)
    variables = network.init(noise.make_key(seed), jnp.float64)
    inputs = np.random.default_rng(seed).normal(size=(7, 3))
    values = inputs
    for number, layer in enumerate(variables.trainable):
        layer["bias"] = layer["bias"] + 0.1 * number
        values = values @ np.asarray(layer["kernel"]).T + np.asarray(layer["bias"]).T
        values = PLAIN[activation](values) if number < 2 else values
    outputs, state = network.apply(variables, jnp.asarray(inputs), None)
    np.testing.assert_allclose(outputs, values, rtol=1e-9)
    assert state == ()
    assert abs(PLAIN["gelu"](1.0) - (1 + erf(np.sqrt(0.5))) / 2) < 1e-3  # the usual approximation of GELU


@pytest.mark.slow
def test_first_weights(seed: int) -> None:
    """Kernels start normal with variance 2 / inputs, the output's at a tenth of the size, biases at zero."""
    network = DenseNetwork(50, (400,), 30)
    hidden, output = network.init(noise.make_key(seed)).trainable
    assert hidden["kernel"].shape == (400, 50)
    assert output["kernel"].shape == (30, 400)
    assert float(hidden["kernel"].std()) == pytest.approx(np.sqrt(2 / 50), rel=0.03)
    assert float(output["kernel"].std()) == pytest.approx(0.1 * np.sqrt(2 / 400), rel=0.03)
    assert abs(float(hidden["kernel"].mean())) < 0.01
    assert not hidden["bias"].any()
    assert not output["bias"].any()
    assert (hidden["kernel"] != network.init(noise.make_key(seed + 1)).trainable[0]["kernel"]).all()


def test_layers_start_differently(seed: int) -> None:
    """Two layers of the same shape do not start with the same kernel."""
    first, second, _ = DenseNetwork(4, (4, 4), 2).init(noise.make_key(seed)).trainable
    assert (first["kernel"] != second["kernel"]).all()


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_variables_have_the_type_asked_for() -> None:
    """float64 networks are float64 through and through, and float32 ones stay float32."""
    for dtype in (jnp.float32, jnp.float64):
        network = DenseNetwork(3, (4,), 2)
        variables = network.init(noise.make_key(0), dtype)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(dtype)}
        assert network.apply(variables, jnp.ones((2, 3), dtype), None)[0].dtype == dtype


def test_only_kernels_are_penalised() -> None:
    """The flags are a tree like the trainable variables: kernels yes, biases no."""
    network = DenseNetwork(3, (4, 5), 2)
    trainable = network.init(noise.make_key(0)).trainable
    assert network.penalised(trainable) == [{"kernel": Axes(inputs=(1,), outputs=(0,)), "bias": False}] * 3


@pytest.mark.usefixtures("float64")
def test_scales_of_the_inputs(seed: int) -> None:
    """They start at 1, which changes nothing; a scale of 2 is an input of twice the size; no penalty acts on them."""
    plain, scaled = DenseNetwork(3, (4,), 2), DenseNetwork(3, (4,), 2, scaled=True)
    key, inputs = noise.make_key(seed), jnp.asarray(np.random.default_rng(seed).normal(size=(5, 3)))
    first, variables = plain.init(key, jnp.float64), scaled.init(key, jnp.float64)
    np.testing.assert_array_equal(scaled.apply(variables, inputs)[0], plain.apply(first, inputs)[0])
    variables.trainable[-1]["scales"] = scales = jnp.array([[2.0, 1.0, 0.0]])
    expected = plain.apply(first, inputs * scales)[0]
    np.testing.assert_allclose(scaled.apply(variables, inputs)[0], expected, rtol=1e-12)
    assert scaled.penalised(variables.trainable)[-1] == {"scales": False}
    assert scaled.input_scales(variables.trainable)[-1] == {"scales": Axes(inputs=(1,), outputs=())}
    assert not any(any(layer.values()) for layer in scaled.input_scales(variables.trainable)[:-1])


def test_hidden_units_are_offered_once_each() -> None:
    """`on_units` sees every hidden layer's activations, numbered from 0, and never the outputs."""
    network, seen = DenseNetwork(3, (4, 5), 2), []

    def on_units(units: jax.Array, layer: int) -> jax.Array:
        seen.append((layer, units.shape, float(units.min()) >= 0))
        return units * 0

    variables = network.init(noise.make_key(0))
    outputs, _ = network.apply(variables, jnp.ones((6, 3)), on_units)
    assert seen == [(0, (4, 6), True), (1, (5, 6), True)]
    assert not outputs.any()  # what it returns goes on: all units off leave the biases


def test_without_hidden_layers_it_is_linear() -> None:
    """No hidden layer makes a linear model, and there are no units to drop."""
    network = DenseNetwork(3, (), 2)
    variables = network.init(noise.make_key(0))
    outputs, _ = network.apply(variables, jnp.eye(3), lambda units, _: units * 0)
    np.testing.assert_allclose(outputs, variables.trainable[0]["kernel"].T, rtol=1e-6)


def test_it_can_be_static() -> None:
    """A network is hashable and equal by its sizes, so it can be a static argument of a compiled function."""
    assert hash(DenseNetwork(3, (4,), 2)) == hash(DenseNetwork(3, (4,), 2))
    assert DenseNetwork(3, (4,), 2) != DenseNetwork(3, (5,), 2)
