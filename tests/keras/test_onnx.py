"""ONNX: what Keras's exporter writes is compared with the model before it is believed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras
from fitwell.api.export import export
from fitwell.errors import InputError
from fitwell.keras import onnx
from fitwell.keras.onnx import export_onnx
from fitwell.keras.probing import probes
from fitwell.results.predictors import ModelPredictor

pytestmark = pytest.mark.slow  # jax2onnx takes long to load

L = keras.layers
runtime: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is missing: pip install 'fitwell[onnx]'")


def dense() -> Any:
    """What a tuned table is: dense layers and dropout."""
    return keras.Sequential([keras.Input((4,)), L.Dense(8, "relu"), L.Dropout(0.3), L.Dense(3, "softmax")])


def towers() -> Any:
    """Two inputs, averaged."""
    inputs = [keras.Input((width,), name=f"encoding_{i}") for i, width in enumerate((4, 5))]
    return keras.Model(inputs, L.Average()([L.Dense(3, "softmax")(values) for values in inputs]))


def labels() -> Any:
    """Several labels, each with a probability of its own."""
    return keras.Sequential([keras.Input((4,)), L.Dense(8, "relu"), L.Dense(3, "sigmoid")])


def recurrent() -> Any:
    """An embedding and an LSTM."""
    return keras.Sequential([keras.Input((6,)), L.Embedding(11, 3), L.LSTM(4), L.Dense(2)])


@pytest.mark.parametrize("make", [dense, towers, labels, recurrent])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onnxruntime_predicts_what_keras_does(make: Callable[[], Any], tmp_path: Path) -> None:
    """For any number of rows, through inputs of the same names."""
    model = make()
    assert export_onnx(model, tmp_path / "m.onnx") < 1e-6
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    for rows in (1, 13):
        inputs = probes(model, rows, seed=rows)
        places = [place.name for place in session.get_inputs()]
        (found,) = session.run(None, dict(zip(places, inputs, strict=True)))
        expected = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_is_exported(tmp_path: Path) -> None:
    """`fitwell.export` writes the model of a saved run; the file appears when it has been compared."""
    model = dense()
    (tmp_path / "run").mkdir()
    ModelPredictor(model).write(tmp_path / "run")
    assert export(tmp_path / "run", "onnx", tmp_path / "m.onnx") == ()
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    (rows,) = probes(model, 5)
    (found,) = session.run(None, {session.get_inputs()[0].name: rows})
    np.testing.assert_allclose(found, model.predict(rows, verbose=0), rtol=1e-5, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "run"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_another_prediction_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The break: an exporter that changes a weight is found out."""
    model = dense()
    export = model.export

    def faulty(*arguments: Any, **options: Any) -> None:
        kept = model.get_weights()
        model.set_weights([weight + 0.01 for weight in kept])
        export(*arguments, **options)
        model.set_weights(kept)

    monkeypatch.setattr(model, "export", faulty)
    with pytest.raises(InputError, match="predicts something else than Keras"):
        export_onnx(model, tmp_path / "m.onnx")


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence says what to install."""
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(InputError, match=r"jax2onnx, which is not installed: pip install 'fitwell\[onnx\]'"):
        export_onnx(dense(), tmp_path / "m.onnx")


def test_what_the_exporter_cannot_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its first line is in the sentence, and what to do instead."""
    model = dense()

    def failing(*_: Any, **__: Any) -> None:
        raise NotImplementedError("no such operator\nand more")

    monkeypatch.setattr(model, "export", failing)
    with pytest.raises(InputError, match=r"cannot write '.*' as ONNX \(no such operator\): use tfjs"):
        export_onnx(model, tmp_path / "m.onnx")
    assert onnx.TOLERANCE < 1e-3
