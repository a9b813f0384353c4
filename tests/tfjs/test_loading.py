"""Loading: notices as warnings, metadata, and training settings for files that hold none."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitwell
import keras
from fitwell.errors import FileError
from fitwell.tfjs.loading import kept_metadata, with_training


def model(activation: str = "softmax", units: int = 3) -> keras.Sequential:
    """A small model."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation, name="last")])


def test_a_directory_or_its_file(tmp_path: Path) -> None:
    """Both name the model; without training settings it is not compiled."""
    fitwell.tfjs.save(model(), tmp_path / "m")
    for path in (tmp_path / "m", str(tmp_path / "m" / "model.json")):
        assert not fitwell.tfjs.load(path).compiled


def test_metadata_are_read_and_given_on(tmp_path: Path) -> None:
    """What the file holds is had by its path or its directory's, and is written again where it is given."""
    mine = {"labels": ["a", "b", "c"], "version": 2}
    fitwell.tfjs.save(model(), tmp_path / "m", metadata=mine)
    loaded = fitwell.tfjs.load(tmp_path / "m")
    for path in (tmp_path / "m", str(tmp_path / "m" / "model.json")):
        assert fitwell.tfjs.metadata(path) == mine
    fitwell.tfjs.save(loaded, tmp_path / "again", metadata=fitwell.tfjs.metadata(tmp_path / "m"))
    assert fitwell.tfjs.metadata(tmp_path / "again") == mine


def test_metadata_ride_on_no_model(tmp_path: Path) -> None:
    """The model of a file with metadata has the attributes of one without, and is written without."""
    for name, metadata in (("plain", None), ("mine", {"mine": 1})):
        fitwell.tfjs.save(model(), tmp_path / name, metadata=metadata)
    plain, loaded = (fitwell.tfjs.load(tmp_path / name) for name in ("plain", "mine"))
    assert set(vars(loaded)) == set(vars(plain))
    fitwell.tfjs.save(loaded, tmp_path / "again")
    assert fitwell.tfjs.metadata(tmp_path / "again") == {}
    assert "userDefinedMetadata" not in (tmp_path / "again" / "model.json").read_text()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "There is no file"),
        ("{", "It is no JSON"),
        ("[]", "It must hold one JSON object"),
        ('{"userDefinedMetadata": 3}', "'userDefinedMetadata' must be an object. Got int"),
    ],
)
def test_metadata_of_no_file(text: str | None, part: str, tmp_path: Path) -> None:
    """A wrong path or a damaged file is said in a sentence that names it, never taken for a file without metadata."""
    path = tmp_path / "model.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FileError, match=part) as caught:
        fitwell.tfjs.metadata(path)
    assert str(path) in str(caught.value)


def test_metadata_need_no_weights(tmp_path: Path) -> None:
    """They are read of the model.json alone."""
    fitwell.tfjs.save(model(), tmp_path / "m", metadata={"mine": 1})
    for path in (tmp_path / "m").glob("*.bin"):
        path.unlink()
    assert fitwell.tfjs.metadata(tmp_path / "m") == {"mine": 1}


def test_layers_have_their_keras_names_again(tmp_path: Path) -> None:
    """Names that TensorFlow.js refuses come back, losses and metrics of outputs too; the map is nobody's metadata."""
    inputs = keras.Input((4,), name="my input")
    outputs = [keras.layers.Dense(2, name=name)(inputs) for name in ("my layer", "ü", "my_layer")]
    made = keras.Model(inputs, outputs)
    made.compile("adam", ["mse", "mae", "mse"], metrics={"my layer": ["mae"], "my_layer": ["mse"]})
    fitwell.tfjs.save(made, tmp_path / "m")
    loaded = fitwell.tfjs.load(tmp_path / "m")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in made.layers]
    assert [tensor._keras_history.operation.name for tensor in loaded.outputs] == ["my layer", "ü", "my_layer"]
    assert fitwell.tfjs.metadata(tmp_path / "m") == {}
    for one, two in zip(made.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    loaded.fit(np.ones((4, 4)), [np.ones((4, 2))] * 3, verbose=0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"a": "my a", "b": "b/c"}, ["my a", "b"]),
        ({"a": "b", "b": "a"}, ["b", "a"]),
        ({"a": "b"}, ["a", "b"]),
        ({"a": "x", "b": "x"}, ["a", "b"]),
        ({"a": "b", "b": "x", "x": "a"}, ["b", "x"]),
        ({"a": 1, "b": ""}, ["a", "b"]),
        ({"a": "x" * 2000, "b": "\n"}, ["a", "b"]),
        (["a"], ["a", "b"]),
        ("a", ["a", "b"]),
    ],
    ids=str,
)
def test_odd_keras_names_are_not_given_back(names: Any, expected: list[str], tmp_path: Path) -> None:
    """A stranger may write anything there: what is no name, or one that another layer has, is left alone."""
    layers = [keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")]
    fitwell.tfjs.save(keras.Sequential(layers), tmp_path / "m", metadata={"kerasNames": names})
    loaded = fitwell.tfjs.load(tmp_path / "m")
    assert [layer.name for layer in loaded.layers] == expected
    assert fitwell.tfjs.metadata(tmp_path / "m") == {}


def test_metadata_of_a_damaged_run_are_none(tmp_path: Path) -> None:
    """What a run's file says is taken as far as it can be read."""
    path = tmp_path / "model.json"
    assert kept_metadata(path) == {}
    for text in ("{", "[]", '{"userDefinedMetadata": 3}'):
        path.write_text(text)
        assert kept_metadata(path) == {}
    path.write_text('{"userDefinedMetadata": {"mine": 3, "kerasNames": {}}}')
    assert kept_metadata(path) == {"mine": 3}


def test_notices_are_warnings(tmp_path: Path) -> None:
    """A person sees them; a file without any gives none."""
    fitwell.tfjs.save(model(), tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitwell.tfjs.load(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    path.write_text(path.read_text().replace('"units": 3', '"units": 3, "dropoutRate": 0.1'))
    with pytest.warns(UserWarning, match="TensorFlow.js ignores"):
        loaded = fitwell.tfjs.load(path)
    assert isinstance(loaded.layers[0], fitwell.layers.Dense)


@pytest.mark.parametrize(
    ("activation", "units", "loss"),
    [
        ("softmax", 3, "sparse_categorical_crossentropy"),
        ("sigmoid", 1, "binary_crossentropy"),
        ("linear", 1, "mean_squared_error"),
    ],
)
def test_the_last_layer_says_the_loss(activation: str, units: int, loss: str) -> None:
    """A model without training settings gets Adam and the usual loss, and a notice."""
    compiled, notice = with_training(model(activation, units))
    assert compiled.loss == loss
    assert notice is not None
    assert loss.replace("_", " ") in notice
    assert with_training(compiled) == (compiled, None)


@pytest.mark.parametrize(("activation", "units"), [("tanh", 1), ("linear", 3), ("sigmoid", 3)])
def test_a_last_layer_that_does_not_say_it(activation: str, units: int) -> None:
    """Nothing is guessed."""
    with pytest.raises(FileError, match="does not say which loss"):
        with_training(model(activation, units))
