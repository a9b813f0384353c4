"""Keras models from files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitwell.keras.layers
import keras
from fitwell.errors import FileError
from fitwell.keras.model_files import load_compiled


def compiled(*layers: Any) -> Any:
    made = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2, "softmax")])
    made.compile(keras.optimizers.SGD(0.25), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


@pytest.mark.parametrize("fitted", [False, True], ids=["new", "fitted"])
def test_a_round_trip(tmp_path: Path, fitted: bool) -> None:
    """A saved model comes back with its weights, its loss and its optimizer, with layers of fitwell's too."""
    model = compiled(fitwell.keras.layers.Dense(4, "relu", dropout_rate=0.25))
    x, y = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 1] * 3)
    if fitted:
        model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    found = load_compiled(tmp_path / "model.keras")
    np.testing.assert_array_equal(found.predict(x, verbose=0), model.predict(x, verbose=0))
    assert found.loss == "sparse_categorical_crossentropy"
    assert float(found.optimizer.learning_rate) == 0.25
    assert found.layers[0].get_config()["dropout_rate"] == 0.25


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    """A Lambda layer's function is refused by a sentence, and Keras itself would run it if told so."""
    model = compiled(keras.layers.Lambda(lambda t: t * 2))
    model.save(tmp_path / "model.keras")
    with pytest.raises(FileError, match=r"holds code \(a Lambda layer\), and no code of a file is run"):
        load_compiled(tmp_path / "model.keras")
    unsafe = keras.saving.load_model(tmp_path / "model.keras", safe_mode=False)  # the break: there was code to run
    assert unsafe.layers[0].function(3) == 6


def text(path: Path) -> None:
    path.write_text("no model")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")


def torn(path: Path) -> None:
    compiled().save(path)
    path.write_bytes(path.read_bytes()[:-100])


def uncompiled(path: Path) -> None:
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)


def nothing(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("write", "name", "sentence"),
    [
        (nothing, "model.keras", "There is no file"),
        (Path.mkdir, "model.keras", "There is no file"),
        (text, "model.h5", "must be a .keras file"),
        (text, "model", "must be a .keras file"),
        (text, "model.keras", "cannot be loaded as a Keras model"),
        (empty, "model.keras", "cannot be loaded as a Keras model"),
        (archive, "model.keras", "cannot be loaded as a Keras model"),
        (torn, "model.keras", "cannot be loaded as a Keras model"),
        (uncompiled, "model.keras", r"is not compiled: call model.compile\(...\) before it is saved"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, write: Any, name: str, sentence: str) -> None:
    """Each gets one short line that names the file."""
    write(tmp_path / name)
    with pytest.raises(FileError, match=sentence) as caught:
        load_compiled(tmp_path / name)
    said = str(caught.value)
    assert name in said
    assert "\n" not in said
    assert len(said) < 300 + len(str(tmp_path))
