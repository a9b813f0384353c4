"""What regularizes a model beside the strengths, by name."""

from __future__ import annotations

from typing import Any

import pytest

import keras
from fitwell.keras.opening import opened

L, R = keras.layers, keras.regularizers


def network(*layers: Any, shape: tuple[int, ...] = (4,), penalise: list[str] | None = None) -> Any:
    """A model of these layers, as the engine takes it."""
    model = keras.Sequential([keras.Input(shape), *layers])
    return opened(model, penalise=penalise).network()


def bidirectional() -> Any:
    return L.Bidirectional(L.GRU(2, dropout=0.25), name="both")


def frozen() -> Any:
    return L.Dropout(0.3, name="drop", trainable=False)


CASES = {
    "lstm": ([L.LSTM, {"dropout": 0.2, "recurrent_dropout": 0.1}], ["dropout = 0.2 (inside it)",
             "recurrent_dropout = 0.1 (inside it)"]),
    "bias": ([L.Dense, {"bias_regularizer": R.L2(0.01)}], ["bias l2 = 0.01 (it)"]),
    "two": ([L.Dense, {"bias_regularizer": R.L1L2(0.5, 0.2)}], ["bias l1 = 0.5 (it)", "bias l2 = 0.2 (it)"]),
    "none at zero": ([L.Dense, {"bias_regularizer": R.L2(0.0)}], []),
    "activity": ([L.Dense, {"activity_regularizer": R.L1(0.03)}], ["activity l1 = 0.03 (it)"]),
    "another": ([L.Dense, {"kernel_regularizer": R.OrthogonalRegularizer()}], ["kernel OrthogonalRegularizer (it)"]),
    "a strength": ([L.Dense, {"kernel_regularizer": R.L2(0.01)}], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_only_the_model_as_given_has(case: str) -> None:
    """What it is, its number, and the layer that has it; what is a strength is not told twice."""
    (make, arguments), expected = CASES[case]
    recurrent = make is L.LSTM
    found = network(make(3, name="it", **arguments), L.Dense(1), shape=(5, 4) if recurrent else (4,))
    assert list(found.own.names) == expected
    assert found.always == ()


def test_layers_that_have_the_same_stand_together() -> None:
    """One text for one thing: two layers alike, and the two directions of one."""
    found = network(*(L.Dense(3, name=name, bias_regularizer="l2") for name in ("a", "b")))
    assert found.own.names == ("bias l2 = 0.01 (a, b)",)
    assert network(bidirectional(), shape=(5, 4)).own.names == ("dropout = 0.25 (inside both)",)


def test_kernels_that_are_not_penalised_keep_their_own() -> None:
    """Where a person names other layers, a kernel's penalty is no strength: it is in the model as given, by name."""
    layers = [L.Dense(3, name="a", kernel_regularizer=R.L2(0.02)), L.Dense(1, name="b")]
    assert network(*layers, penalise=["b"]).own.names == ("kernel l2 = 0.02 (a)",)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: L.GaussianNoise(0.1, name="noise"), ["GaussianNoise = 0.1 (noise)"]),
        (lambda: L.GaussianNoise(0.0, name="noise"), []),
        (lambda: L.Dense(3, kernel_constraint="max_norm", name="it"), ["kernel MaxNorm (it)"]),
        (frozen, ["dropout = 0.3 (drop)"]),
        (lambda: L.Dropout(0.3, name="drop"), []),
        (lambda: L.SpatialDropout1D(0.3, name="drop"), []),
    ],
)
def test_what_every_network_has(layer: Any, expected: list[str]) -> None:
    """Noise, constraints, and dropout that is not searched: no strength takes their place."""
    made = layer()
    shape = (5, 4) if "1D" in type(made).__name__ else (4,)
    found = network(made, L.Dense(1), shape=shape)
    assert list(found.always) == expected
    assert found.own.names == ()


def test_other_noise_is_weighed_and_named() -> None:
    """GaussianDropout is in the model as given only, SpatialDropout is a rate like any other."""
    found = network(L.Dense(3), L.GaussianDropout(0.4, name="noise"), L.Dense(1))
    assert found.own.names == ("GaussianDropout = 0.4 (noise)",)
    assert found.always == ()
