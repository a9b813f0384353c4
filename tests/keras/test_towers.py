from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pytest

from fitwell.engine import noise
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.keras.plain_model import plain_model
from fitwell.keras.towers import tower
from fitwell.regularization.strengths import Regularization

NETWORK = DenseNetwork(4, (6, 5), 3, output_scale=1.0)
REGULARIZATION = Regularization(l1=0.001, l2=0.01, dropout=0.25)


def variables(seed: int, network: DenseNetwork = NETWORK) -> Variables:
    made = network.init(noise.make_key(seed))
    shifted = [{**layer, "bias": layer["bias"] + 0.1 * (i + 1)} for i, layer in enumerate(made.trainable)]
    return Variables(shifted, made.state)


def as_tower(made: Variables, encoding: int = 0, shift: float = 0.0, scale: float = 1.0):
    return tower(made, encoding=encoding, activation="relu", regularization=REGULARIZATION, shift=shift, scale=scale)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)


@pytest.mark.slow
def test_one_tower_predicts_what_the_network_does(rows: np.ndarray) -> None:
    """A Keras model of one network gives the network's own probabilities."""
    made = variables(0)
    model = plain_model([as_tower(made)], classification=True).model
    expected = jax.nn.softmax(NETWORK.apply(made, rows)[0])
    np.testing.assert_allclose(model.predict(rows, verbose=0), expected, rtol=1e-5, atol=1e-7)


def test_scales_of_the_inputs_become_part_of_the_first_kernel(rows: np.ndarray) -> None:
    """The network with its scales predicts what the model without them does; without them it would not."""
    network = DenseNetwork(4, (6, 5), 3, output_scale=1.0, scaled=True)
    made = network.init(noise.make_key(0))
    made.trainable[-1]["scales"] = np.array([[2.0, 1.0, 0.0, -0.5]], np.float32)
    found = plain_model([as_tower(made)], classification=True).predict([rows])
    np.testing.assert_allclose(found, jax.nn.softmax(network.apply(made, rows)[0]), rtol=1e-5, atol=1e-7)
    without = plain_model([as_tower(made._replace(trainable=made.trainable[:-1]))], classification=True)
    assert not np.allclose(without.predict([rows]), found, rtol=1e-2)


@pytest.mark.slow
def test_towers_are_averaged_each_on_its_own_encoding(rows: np.ndarray) -> None:
    """Two towers with an input each give the mean of their probabilities, and swapped inputs do not."""
    first, second = variables(0), variables(1)
    model = plain_model([as_tower(first, 0), as_tower(second, 1)], classification=True).model
    inputs = [rows, rows[::-1].copy()]
    parts = [jax.nn.softmax(NETWORK.apply(v, x)[0]) for v, x in zip((first, second), inputs, strict=True)]
    found = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(found, (parts[0] + parts[1]) / 2, rtol=1e-5, atol=1e-7)
    assert not np.allclose(model.predict(inputs[::-1], verbose=0), found)


def test_regression_comes_back_in_the_targets_units(rows: np.ndarray) -> None:
    """The target's mean and scale are folded into the last layer."""
    network = DenseNetwork(4, (6,), 1, output_scale=1.0)
    made = variables(2, network)
    model = plain_model([as_tower(made, shift=100.0, scale=7.0)], classification=False).model
    expected = 100.0 + 7.0 * np.asarray(network.apply(made, rows)[0])
    np.testing.assert_allclose(model.predict(rows, verbose=0), expected, rtol=1e-5)


def test_chosen_strengths_are_ordinary_keras_parts() -> None:
    """Dropout and penalties stand in the model as Keras's own layers and regularizers, and act when it is trained."""
    model = plain_model([as_tower(variables(0))], classification=True).model
    rates = [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"]
    penalties = [layer.kernel_regularizer for layer in model.layers if type(layer).__name__ == "Dense"]
    assert rates == [0.25, 0.25]
    assert all(np.isclose(p.l1, 0.001) and np.isclose(p.l2, 0.01) for p in penalties)
    kernels = [layer.kernel for layer in model.layers if type(layer).__name__ == "Dense"]
    expected = sum(0.001 * np.abs(k).sum() + 0.01 * (np.asarray(k) ** 2).sum() for k in kernels)
    np.testing.assert_allclose(float(sum(model.losses)), expected, rtol=1e-5)


def test_no_regularization_leaves_no_trace() -> None:
    """A tower without strengths has no dropout layer and no regularizer."""
    made = variables(0)
    plain = tower(made, encoding=0, activation="relu", regularization=Regularization(), shift=0.0, scale=1.0)
    model = plain_model([plain], classification=True).model
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense", "Dense", "Dense"]
    assert all(layer.kernel_regularizer is None for layer in model.layers[1:])


@pytest.mark.slow
def test_the_saved_model_loads_without_fitwell(rows: np.ndarray, tmp_path) -> None:
    """Another process loads the file with Keras alone and predicts the same numbers."""
    model = plain_model([as_tower(variables(i), i) for i in range(2)], classification=True).model
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "rows.npy", rows)
    code = (
        "import os, sys; os.environ['KERAS_BACKEND'] = 'jax'; import keras, numpy as np\n"
        "x = np.load('rows.npy'); model = keras.saving.load_model('model.keras')\n"
        "np.save('found.npy', model.predict([x, x], verbose=0)); assert 'fitwell' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), model.predict([rows, rows], verbose=0))
