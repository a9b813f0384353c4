"""Loading: notices as warnings, metadata, and training settings for files that hold none."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import fitwell
import keras
from fitwell.errors import FileError
from fitwell.tfjs.loading import with_training


def model(activation: str = "softmax", units: int = 3) -> keras.Sequential:
    """A small model."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation, name="last")])


def test_a_directory_or_its_file(tmp_path: Path) -> None:
    """Both name the model; without training settings it is not compiled."""
    fitwell.tfjs.save(model(), tmp_path / "m")
    for path in (tmp_path / "m", str(tmp_path / "m" / "model.json")):
        assert not fitwell.tfjs.load(path).compiled


def test_metadata_are_kept(tmp_path: Path) -> None:
    """What the file holds comes along, and is written again."""
    fitwell.tfjs.save(model(), tmp_path / "m", metadata={"labels": ["a", "b", "c"], "version": 2})
    loaded = fitwell.tfjs.load(tmp_path / "m")
    assert loaded.tfjs_metadata == {"labels": ["a", "b", "c"], "version": 2}
    fitwell.tfjs.save(loaded, tmp_path / "again")
    assert fitwell.tfjs.load(tmp_path / "again").tfjs_metadata == loaded.tfjs_metadata


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
