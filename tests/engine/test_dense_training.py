"""Training of dense networks written out: each part against JAX, which differentiates by itself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitwell.engine import network as pure
from fitwell.engine import noise
from fitwell.engine.dense_training import ACTIVATIONS_AND_SLOPES, DenseTraining, Scratch, WeightLayout, drawn_weights
from fitwell.engine.losses import CLASSIFICATION, REGRESSION
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.engine.plain_losses import PLAIN_LOSSES

FLOAT64 = np.dtype(np.float64)


def test_layout_is_of_views() -> None:
    """All kernels, then all biases, of any number of networks: what is written into a layer stands in the row."""
    layout = WeightLayout((4, 3, 2))
    assert layout.count == 4 * 3 + 3 * 2 + 3 + 2
    weights = np.zeros((5, layout.count))
    layers = layout.layers(weights)
    assert [(kernel.shape, bias.shape) for kernel, bias in layers] == [((5, 3, 4), (5, 3, 1)), ((5, 2, 3), (5, 2, 1))]
    for number, (kernel, bias) in enumerate(layers, 1):
        kernel[:], bias[:] = number, 10 * number
    assert weights[2].tolist() == [1] * 12 + [2] * 6 + [10] * 3 + [20] * 2


@pytest.mark.parametrize("scaled", [False, True])
def test_variables_and_rows_are_the_same_numbers(scaled: bool) -> None:
    """There and back, for any leading axes; scales stand at the end."""
    layout = WeightLayout((4, 3, 2), scaled)
    weights = np.arange(6.0 * layout.count).reshape(2, 3, layout.count)
    variables = layout.variables(weights)
    np.testing.assert_array_equal(layout.joined(variables), weights)
    assert len(variables.trainable) == 2 + scaled
    if scaled:
        assert variables.trainable[-1]["scales"].shape == (2, 3, 1, 4)
        np.testing.assert_array_equal(variables.trainable[-1]["scales"][1, 2, 0], weights[1, 2, -4:])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("hidden", [(), (5,), (6, 5)], ids=str)
def test_first_weights_are_the_networks(hidden: tuple[int, ...], scaled: bool, float64: None) -> None:
    """Bit for bit what `DenseNetwork.init` draws of the same key."""
    del float64
    network, key = DenseNetwork(4, hidden, 3, scaled=scaled), (11, 12)
    found = WeightLayout(network.sizes, scaled).variables(drawn_weights(network, key, FLOAT64))
    expected = network.init(jnp.array(key, jnp.uint32), jnp.float64)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("name", ACTIVATIONS_AND_SLOPES)
def test_activations(name: str, float64: None) -> None:
    """Values and slopes are those of JAX's functions, and a value is the same without its slope."""
    del float64
    points = np.linspace(-3, 3, 14)  # not at zero, where a ReLU has no slope
    values, slope, alone = points.copy(), np.empty_like(points), points.copy()
    ACTIVATIONS_AND_SLOPES[name](values, slope, Scratch())
    ACTIVATIONS_AND_SLOPES[name](alone, None, Scratch())
    np.testing.assert_allclose(values, pure.ACTIVATIONS[name](points), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(pure.ACTIVATIONS[name]))(points), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(values, alone)


def test_every_activation_of_the_network_is_known() -> None:
    """So that no dense network is left to JAX."""
    assert set(ACTIVATIONS_AND_SLOPES) == set(pure.ACTIVATIONS)


@pytest.mark.parametrize("activation", ACTIVATIONS_AND_SLOPES)
def test_gradient_is_what_jax_differentiates(activation: str, float64: None) -> None:
    """Adam's first step on Adam's first moment: the gradient of the mean loss and of L2, through both dropouts."""
    del float64
    network = DenseNetwork(4, (6, 5), 3, activation, output_scale=1.0, scaled=True)
    strengths = {"l2": np.array([0, 0.1]), "dropout": np.array([0.3, 0.1]), "weight_dropout": np.array([0.2, 0.4])}
    strengths["input_scaling"] = np.array([2.0, 1.0])
    training = DenseTraining(network, PLAIN_LOSSES[CLASSIFICATION], strengths, np.array([1e-3, 1e-2]), FLOAT64)
    rng = np.random.default_rng(0)
    inputs, targets, key = rng.normal(size=(9, 4)), rng.integers(0, 3, 9), (5, 6)
    weights = np.repeat(drawn_weights(network, (1, 2), FLOAT64)[None], 2, axis=0)
    weights[:, training.layout.scales] = [[0.5, 2.0, 1.0, -1.0], [1.0, 1.5, 0.5, 0.0]]
    before, means, squares = weights.copy(), np.zeros_like(weights), np.zeros_like(weights)
    training.step(weights, means, squares, 1, 1.0, inputs, targets, key, Scratch())
    assert not np.allclose(weights, before)

    def objective(flat: jax.Array, strength: dict[str, float]) -> Any:
        words = jnp.array(key, jnp.uint32)
        layers = []
        for number, (kernel, bias) in enumerate(training.layout.layers(flat)):
            drawn = noise.uniform(noise.fold(noise.fold(words, 1), 2 * number + 1), kernel.shape, jnp.float64)
            keep = 1 - strength["weight_dropout"]
            layers.append({"kernel": kernel * (drawn < keep) / keep, "bias": bias})

        def drop(units: jax.Array, layer: int) -> jax.Array:
            keep = 1 - strength["dropout"]
            return units * (noise.uniform(noise.fold(words, 2 + layer), units.shape, jnp.float64) < keep) / keep

        layers.append({"scales": flat[training.layout.scales][None]})
        outputs, _ = network.apply(Variables(layers, ()), inputs, drop)  # type: ignore[arg-type]
        kernels = flat[: training.layout.kernels[-1].stop]
        return CLASSIFICATION.of_batch(outputs, targets) + strength["l2"] * (kernels**2).sum()

    for g in range(2):
        strength = {name: float(values[g]) for name, values in strengths.items()}
        with jax.numpy_rank_promotion("allow"):
            expected = jax.grad(objective)(before[g], strength)
        np.testing.assert_allclose(means[g], expected, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(squares[g], expected**2, rtol=1e-9, atol=1e-16)
    assert not np.allclose(means[0], means[1])


def test_scratch_is_allocated_once() -> None:
    """The same memory under the same name, as long as it suffices; other names do not share it."""
    scratch = Scratch()
    first, other = scratch.array("a", (4, 5), np.float32), scratch.array("b", (4, 5), np.float32)
    assert np.shares_memory(first, scratch.array("a", (3, 2), np.float32))
    assert not np.shares_memory(first, other)
    assert not np.shares_memory(first, scratch.array("a", (5, 5), np.float32))
    assert scratch.positions(3).tolist() == [0, 1, 2]
    assert scratch.positions(5).tolist() == [0, 1, 2, 3, 4]


def gradients(
    network: DenseNetwork, inputs: np.ndarray, targets: np.ndarray, weight: np.ndarray | None, seed: int
) -> np.ndarray:
    """The gradient [P] of one step with all rows in one batch, by Adam's first moment."""
    loss = PLAIN_LOSSES[CLASSIFICATION if network.outputs > 1 else REGRESSION]
    training = DenseTraining(network, loss, {}, np.array([1e-3]), FLOAT64)
    weights = drawn_weights(network, (seed, 2), FLOAT64)[None]
    means, squares = np.zeros_like(weights), np.zeros_like(weights)
    training.step(weights, means, squares, 1, 1.0, inputs, targets, (5, 6), Scratch(), weight)
    return means[0]


def test_a_weighted_step_by_the_textbook(seed: int) -> None:
    """Of a linear model: the mean over rows of weight times (probability less truth) times input."""
    rng = np.random.default_rng(seed)
    network = DenseNetwork(4, (), 3, output_scale=1.0)
    inputs, targets, weight = rng.normal(size=(9, 4)), rng.integers(0, 3, 9), rng.gamma(1.0, size=9)
    kernel = WeightLayout(network.sizes).layers(drawn_weights(network, (seed, 2), FLOAT64))[0][0]
    chances = np.exp(inputs @ kernel.T)
    chances /= chances.sum(axis=1, keepdims=True)
    way = (chances - np.eye(3)[targets]) * weight[:, None] / 9
    expected = np.concatenate([(way.T @ inputs).ravel(), way.sum(axis=0)])
    np.testing.assert_allclose(gradients(network, inputs, targets, weight, seed), expected, rtol=1e-12)
    assert not np.allclose(gradients(network, inputs, targets, weight[::-1], seed), expected, rtol=1e-3)


@pytest.mark.parametrize("outputs", [1, 3])
def test_whole_weights_are_repeated_rows(outputs: int, seed: int) -> None:
    """With all rows in one batch, and weights over their mean: one row of weight 3 is three rows, of weight 0 none."""
    rng = np.random.default_rng(seed)
    network, counts = DenseNetwork(4, (6, 5), outputs, output_scale=1.0), np.array([1, 0, 3, 2, 1, 0, 4, 1, 2])
    inputs = rng.normal(size=(9, 4))
    targets = rng.integers(0, outputs, 9) if outputs > 1 else rng.normal(size=9)
    weighted = gradients(network, inputs, targets, counts / counts.mean(), seed)
    repeated = gradients(network, np.repeat(inputs, counts, axis=0), np.repeat(targets, counts), None, seed)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-13)
    assert not np.allclose(gradients(network, inputs, targets, None, seed), repeated, rtol=1e-3)
    # a constant that is left in would be seen
    assert not np.allclose(gradients(network, inputs, targets, 1.0 * counts, seed), repeated, rtol=1e-3)
