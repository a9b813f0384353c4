"""A wider model: every hidden layer twice as wide, everything else as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from zoo import ZOO, computing

import keras
from fitwell.keras.widening import widen

L = keras.layers

WIDENED = {
    "sequential": [(6, 12), (5, 10), (3, 3)],
    "batch_normalised": [(6, 12), (3, 3)],
    "branches": [(6, 12), (6, 12), (6, 12), (6, 12), (3, 3)],
    "inputs_by_name": [(5, 10), (6, 12), (1, 1)],
    "inputs_in_a_list": [(5, 10), (5, 10), (1, 1)],
    "two_outputs": [(6, 12), (3, 3), (1, 1)],
    "outputs_in_a_list": [(6, 12), (2, 2), (3, 3)],
    "shared_layer": [(5, 10), (1, 1)],
    "shared_model": [(4, 8), (5, 10), (1, 1)],
    "conv1d": [(4, 8), (3, 6), (3, 3)],
    "conv2d": [(3, 6), (4, 8), (3, 3)],
    "lstm": [(4, 8), (3, 3)],
    "own_layers": [(6, 12), (5, 10), (3, 3)],
}
"""Animals, and the units or filters of each layer before and after."""


def layers_of(model: Any) -> list[Any]:
    """Dense, convolutional and recurrent layers, those of nested models too; cells of recurrent ones are not meant."""
    return [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model) and size(layer)]


def size(layer: Any) -> int | None:
    """Units or filters."""
    if "Cell" in type(layer).__name__:
        return None
    return getattr(layer, "units", None) or getattr(layer, "filters", None)


def settings(model: Any) -> dict[str, Any]:
    """What `compile` was given, with objects as their configurations."""

    def plain(value: Any) -> Any:
        return value.get_config() if hasattr(value, "get_config") else value

    given = dict(model._compile_config.config)
    return {name: keras.tree.map_structure(plain, value) for name, value in given.items()} | {
        "optimizer": [type(model.optimizer).__name__, model.optimizer.get_config()]
    }


@pytest.fixture(scope="module", autouse=True)
def little_optimised() -> Iterator[None]:
    """Most of the time would go into compiling."""
    with computing("float32"):
        yield


@pytest.fixture(scope="module", params=list(WIDENED))
def pair(request: pytest.FixtureRequest) -> tuple[str, Any, Any, list[Any]]:
    """A model's name, the model, the wider one, and the model's weights before it was widened."""
    model = ZOO[request.param].model()
    before = [np.asarray(v).copy() for v in model.variables]
    return request.param, model, widen(model, 2), before


def test_hidden_layers_are_twice_as_wide(pair: tuple[str, Any, Any, list[Any]]) -> None:
    """Every hidden layer has twice the units or filters, and the layers that make the outputs what they had."""
    name, model, wide, _ = pair
    by_name = zip(layers_of(model), layers_of(wide), strict=True)
    assert [(size(old), size(new)) for old, new in by_name] == WIDENED[name]
    assert wide.count_params() > model.count_params()  # the weights are as wide as they say


def test_outputs_have_their_shape(pair: tuple[str, Any, Any, list[Any]]) -> None:
    """Inputs and outputs have the shape that they had."""
    _, model, wide, _ = pair
    assert wide.input_shape == model.input_shape
    assert wide.output_shape == model.output_shape


def test_it_predicts_for_the_same_rows() -> None:
    """A wider model with two outputs takes the model's own rows and answers by the same names."""
    animal = ZOO["two_outputs"]
    outputs = widen(animal.model(), 2)(animal.data()[0])
    assert {name: leaf.shape for name, leaf in outputs.items()} == {"kind": (48, 3), "size": (48, 1)}


def test_compiled_alike(pair: tuple[str, Any, Any, list[Any]]) -> None:
    """Loss, weights of losses, metrics and optimizer are those of the model; the optimizer is another object."""
    _, model, wide, _ = pair
    assert settings(wide) == settings(model)
    assert wide.optimizer is not model.optimizer
    other = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    other.compile("adam", "mse")
    assert settings(other) != settings(model)  # the break


def test_the_original_is_untouched(pair: tuple[str, Any, Any, list[Any]]) -> None:
    """No weight of the model changes, and the wider one shares no layer with it."""
    _, model, wide, before = pair
    for was, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(was, np.asarray(variable))
    assert not {id(v) for v in model.variables} & {id(v) for v in wide.variables}
    assert {layer.name for layer in wide.layers if layer.weights} == {
        layer.name for layer in model.layers if layer.weights
    }


def residual_from_the_inputs() -> Any:
    """A branch that is added to the inputs: it must stay as wide as they are."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(3, "softmax")(L.Dense(4, "relu")(inputs) + inputs))


def residual_layer() -> Any:
    """The same by a layer."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Dense(3, "softmax")(L.Add()([inputs, L.Dense(4, "relu")(inputs)])))


def only_frozen() -> Any:
    """A hidden layer that does not train."""
    return keras.Sequential([keras.Input((4,)), L.Dense(6, trainable=False), L.Dense(3, "softmax")])


def fixed_shape() -> Any:
    """Hidden units put into a shape of their number."""
    return keras.Sequential([keras.Input((4,)), L.Dense(6), L.Reshape((2, 3)), L.Flatten(), L.Dense(3, "softmax")])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(residual_from_the_inputs, id="residual"),
        pytest.param(residual_layer, id="residual layer"),
        pytest.param(only_frozen, id="frozen"),
        pytest.param(fixed_shape, id="fixed shape"),
        pytest.param(lambda: ZOO["linear"].build(0, 0), id="only an output layer"),
        pytest.param(lambda: ZOO["subclassed"].build(0, 0), id="subclassed"),
    ],
)
def test_what_cannot_be_widened(make: Callable[[], Any]) -> None:
    """A model without a layer to widen, or that would not fit together, gives None."""
    model = make()
    model.compile("adam", "sparse_categorical_crossentropy")
    assert widen(model, 2) is None


def test_a_residual_of_two_widened_layers_is_no_obstacle() -> None:
    """The counterpart: where both sides of an addition are hidden, both are widened."""
    inputs = keras.Input((4,))
    hidden = L.Dense(6, "relu")(inputs)
    model = keras.Model(inputs, L.Dense(3, "softmax")(L.Dense(6, "relu")(hidden) + hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    assert [size(layer) for layer in layers_of(widen(model, 2))] == [12, 12, 3]


def test_a_shared_layer_is_shared_again() -> None:
    """A layer that is called twice is one layer in the wider model too, with as many weights as one."""
    wide = widen(ZOO["shared_layer"].model(), 3)
    kernels = [v.shape for v in wide.trainable_variables if v.name == "kernel"]
    assert kernels == [(4, 15), (15, 1)]


def test_the_factor_counts() -> None:
    """Three times the units are three times the units."""
    assert [size(layer) for layer in layers_of(widen(ZOO["sequential"].model(), 3))] == [18, 15, 3]


def test_regularization_stays() -> None:
    """A wider layer keeps its own penalty and dropout its rate."""
    wide = widen(ZOO["sequential"].model(penalty=0.03), 2)
    assert float(wide.layers[0].kernel_regularizer.l2) == pytest.approx(0.03)
    assert next(layer.rate for layer in widen(ZOO["with_dropout"].model(0.4), 2).layers if "drop" in layer.name) == 0.4


def test_adapted_normalisation_stays() -> None:
    """A Normalization layer keeps the means that it was adapted to: a wider model sees the same inputs."""
    animal = ZOO["normalisation"]
    model = animal.model()
    wide, rows = widen(model, 2), animal.data()[0]
    expected = np.asarray(model.layers[0](rows))
    np.testing.assert_allclose(np.asarray(wide.layers[0](rows)), expected, rtol=1e-6)
    assert not np.allclose(expected, rows)  # the break: unadapted, it changes nothing


def test_frozen_weights_stay() -> None:
    """A frozen first part, trained elsewhere, keeps its weights: with random ones the wider model would be worse."""
    base = keras.Sequential([keras.Input((4,)), L.Dense(6, "relu")], name="base")
    base.trainable = False
    model = keras.Sequential([keras.Input((4,)), base, L.Dense(5, "relu"), L.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    wide = widen(model, 2)
    assert [size(layer) for layer in layers_of(wide)] == [6, 10, 3]
    np.testing.assert_array_equal(np.asarray(wide.layers[0].layers[0].kernel), np.asarray(base.layers[0].kernel))


def test_a_frozen_layer_that_would_not_fit_its_weights() -> None:
    """A frozen layer behind one that would be wider cannot keep its weights: nothing is widened before it."""
    inputs = keras.Input((4,))
    hidden = L.Dense(5, "relu", trainable=False)(L.Dense(6, "relu")(inputs))
    model = keras.Model(inputs, L.Dense(3, "softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    assert widen(model, 2) is None
