"""A trained network back as a plain Keras model: what no other test of models says, the optimizer's weight decay."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import keras
from fitwell.errors import FitwellWarning
from fitwell.keras.closing import close
from fitwell.keras.internals import decays
from fitwell.keras.opening import Opened
from fitwell.regularization.strengths import Regularization

L, OPT = keras.layers, keras.optimizers
SAMPLE = np.zeros((2, 3), "float32")


def make(optimizer: Any) -> Any:
    """A compiled model with weights that are no kernels."""
    layers = [L.Dense(4, "relu", name="first"), L.BatchNormalization(name="norm"), L.Dense(1, name="last")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(optimizer, "mse")
    return model


def closed(model: Any, chosen: Regularization | None) -> Any:
    """The model as it comes back with its own weights."""
    network = Opened(model).network()
    return close(model, network, jax.tree.map(np.asarray, network.values), chosen, SAMPLE)


def exempt(model: Any) -> list[str]:
    """Names of the variables that the model's optimizer does not let decay."""
    return [v.path.split("/", 1)[-1] for v in model.trainable_variables if not decays(model.optimizer, v)]


@pytest.mark.parametrize(
    ("optimizer", "strength", "expected"),
    [
        (lambda: OPT.AdamW(weight_decay=10.0), 0.0, 0.0),
        (lambda: OPT.AdamW(weight_decay=10.0), 0.25, 0.25),
        (lambda: OPT.Lion(weight_decay=3.0), 0.0, 0.0),
        (lambda: OPT.Adam(), 0.0, None),
        (lambda: OPT.SGD(), 0.25, 0.25),
    ],
)
def test_the_optimizer_has_the_chosen_weight_decay(optimizer: Any, strength: float, expected: float | None) -> None:
    """Never the given one in the place of the chosen: saved and loaded it is the same, and dropout put in keeps it."""
    chosen = Regularization(weight_decay=strength, dropout=0.5)
    model = make(optimizer())
    back = closed(model, chosen)
    assert back.optimizer.weight_decay == expected
    assert type(back.optimizer).from_config(back.optimizer.get_config()).weight_decay == expected
    assert exempt(back) == []
    assert model.optimizer.weight_decay == make(optimizer()).optimizer.weight_decay


def test_left_alone_it_keeps_its_own() -> None:
    """The model as given comes back with its decay, and with what it excludes, which no configuration says."""
    optimizer = OPT.AdamW(weight_decay=10.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    for chosen, number in ((None, 10.0), (Regularization(l2=0.1, dropout=0.2), 0.0)):
        back = closed(make(optimizer), chosen)
        assert back.optimizer.weight_decay == number
        assert exempt(back) == ["first/bias", "norm/gamma", "norm/beta", "last/bias"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_decay_of_some_layers() -> None:
    """One number on some layers exempts the others; several numbers fit no optimizer, and that is said."""
    back = closed(make(OPT.Adam()), Regularization(weight_decay={"first": 0.5, "norm": 0.5}))
    assert back.optimizer.weight_decay == 0.5
    assert exempt(back) == ["last/kernel", "last/bias"]
    with pytest.warns(FitwellWarning, match="one weight decay for all layers, and the chosen one differs"):
        back = closed(make(OPT.Adam()), Regularization(weight_decay={"first": 0.5, "last": 0.25}))
    assert back.optimizer.weight_decay is None
