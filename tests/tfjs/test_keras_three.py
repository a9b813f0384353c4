"""What the official converter makes of a Sequential of Keras 3, whose weights bear the model's name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tfjs_read import quick_compiling
from tfjs_written import CASES, data, no_drawing, randomised

import fitwell
import keras
from fitwell.errors import FileError
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.reading import from_tfjs
from fitwell.tfjs.reading.keras_three import ADVICE, is_of_keras_three
from keras import layers

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled() -> Iterator[None]:
    """Compile without optimising."""
    with quick_compiling():
        yield


def sequential(shape: tuple[int, ...], *parts: Any, name: str | None = None) -> keras.Model:
    """Return a built model with weights of its own."""
    return randomised(keras.Sequential([keras.Input(shape), *parts], name=name))


def named(group: Any) -> dict[str, np.ndarray]:
    """Return the weights in an HDF5 file by their names, in the file's order."""
    if "weight_names" in group.attrs:
        return {str(name): np.array(group[name]) for name in group.attrs["weight_names"]}
    return {name: value for inner in group.values() for name, value in named(inner).items()}


def converted(model: keras.Model, folder: Path, rename: Any = lambda name: name) -> Path:
    """Write a model.json as the converter does: from the HDF5 file that Keras saves, config and names unchanged."""
    model.save(folder / "model.h5")
    with h5py.File(folder / "model.h5") as file:
        config = json.loads(str(file.attrs["model_config"]))
        version = str(file.attrs["keras_version"])
        weights = {rename(name): value for name, value in named(file["model_weights"]).items()}
    entries = [{"name": n, "shape": list(v.shape), "dtype": "float32"} for n, v in weights.items()]
    document = {
        "format": "layers-model", "generatedBy": f"keras v{version}",
        "convertedBy": "TensorFlow.js Converter v4.22.0",
        "modelTopology": {"keras_version": version, "backend": "tensorflow", "model_config": config},
        "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": entries}],
    }  # fmt: skip
    (folder / "group1-shard1of1.bin").write_bytes(b"".join(value.tobytes() for value in weights.values()))
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    return folder / "model.json"


def built_before() -> keras.Model:
    """Return a model of a model that was built by itself: its weights bear its own name alone."""
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3, "tanh"), layers.Dense(3)], name="inner")
    return sequential((4,), layers.Dense(3, "silu"), inner, layers.Dense(1))


def built_within(*, same: bool = False) -> keras.Model:
    """Return a model of models that it built itself; `same` gives their layers like names and shapes."""
    names = ["dense", "dense"] if same else ["one", "other"]
    inside = [keras.Sequential([layers.Dense(4, "tanh", name=name)]) for name in names]
    return sequential((4,), layers.Dense(4, name="dense" if same else "first"), *inside, layers.Dense(1, name="last"))


MODELS = {
    "dense layers": lambda: sequential((4,), layers.Dense(4), layers.Dense(4, "relu"), layers.Dense(4)),
    "named as its layer": lambda: sequential((4,), layers.Dense(4, name="m"), layers.Dense(4, name="n"), name="m"),
    "in time": lambda: sequential(
        (5, 4), layers.LSTM(3, return_sequences=True), layers.LSTM(3, return_sequences=True), layers.SimpleRNN(3),
        layers.Dropout(0.5),
    ),
    "a GRU": lambda: sequential((5, 4), layers.GRU(3, reset_after=False), layers.BatchNormalization()),
    "both ways": lambda: sequential(
        (5, 4), layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.Bidirectional(layers.GRU(3, reset_after=False), merge_mode="sum"),
    ),
    "in each step": lambda: sequential((5, 4), layers.TimeDistributed(layers.Dense(3)), layers.Flatten()),
    "a cell": lambda: sequential((5, 4), layers.RNN(layers.LSTMCell(3))),
    "a stack of like cells": lambda: sequential((5, 3), layers.RNN([layers.LSTMCell(3) for _ in range(3)])),
    "images": lambda: sequential(
        (6, 6, 2), layers.Conv2D(3, 2, activation="relu"), layers.DepthwiseConv2D(2, depth_multiplier=2),
        layers.SeparableConv2D(3, 2), layers.PReLU(), layers.Flatten(), layers.LayerNormalization(),
    ),
    "a leaky slope": lambda: sequential((4,), layers.Dense(3), layers.LeakyReLU(0.1)),
    "a model built before": built_before,
    "models built within": built_within,
    "like names in models": lambda: built_within(same=True),
    "a mask": lambda: sequential((5, 4), layers.Masking(), layers.LSTM(3)),
}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> keras.Model:
    """Each of them, with numbers for weights."""
    with no_drawing():
        return MODELS[request.param]()


def outputs(model: keras.Model) -> np.ndarray:
    """Return what it makes of some rows."""
    return np.asarray(model(data(model)[0]))


def test_a_sequential_of_keras_three_is_read(model: keras.Model, tmp_path: Path) -> None:
    """It predicts what the model did in Keras, weight for weight; break: with a weight changed it does not."""
    read = fitwell.tfjs.load(converted(model, tmp_path))
    assert [layer.name for layer in read.layers] == [layer.name for layer in model.layers]
    for one, other in zip(model.weights, read.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    assert np.allclose(outputs(read), outputs(model), atol=1e-5)
    read.weights[0].assign(read.weights[0] + 1.0)
    assert not np.allclose(outputs(read), outputs(model), atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The layer .* normalizes axis", "ignore:The constraints of", "ignore:Layer .* mask")
def test_each_case_is_equal_or_refused(tmp_path: Path) -> None:
    """No Sequential of Keras is read as something else: it predicts the same, or is refused with what to do."""
    equal, sentences = 0, list[str]()
    for key, make in sorted(CASES.items()):
        model = make()
        if not isinstance(model, keras.Sequential) or key in UNSAVED:
            continue
        path = converted(model, tmp_path)
        try:
            read = fitwell.tfjs.load(path)
        except FileError as error:
            sentences.append(str(error))
            continue
        assert np.allclose(outputs(read), outputs(model), atol=1e-5), key
        equal += 1
    assert equal > 100
    assert all(sentence.endswith(f" {ADVICE}") for sentence in sentences)


def test_the_converters_other_way(tmp_path: Path) -> None:
    """From a `.keras` file it numbers the weights of each layer; its settings are Keras's there, too."""
    for activation, fits in (("tanh", True), ("hard_sigmoid", False)):
        model = sequential((4,), layers.Dense(3, activation, name="one"), layers.LeakyReLU(0.1), layers.Dense(2))
        numbers = {variable.path: f"{variable.path.split('/')[1]}/{place % 2}"
                   for place, variable in enumerate(model.weights)}  # fmt: skip
        path = converted(model, tmp_path, numbers.__getitem__)
        if fits:
            assert np.allclose(outputs(fitwell.tfjs.load(path)), outputs(model), atol=1e-5)
        else:
            with pytest.raises(FileError, match="another function in TensorFlow"):
                fitwell.tfjs.load(path)


def test_a_model_that_was_renamed(tmp_path: Path) -> None:
    """Where the names begin with a model that is not in the file, the layers' own names tell."""
    for number, key in enumerate(("dense layers", "both ways", "a stack of like cells", "images")):
        model = MODELS[key]()
        folder = tmp_path / str(number)
        folder.mkdir()
        path = converted(model, folder, lambda name: f"before/{name.partition('/')[2]}")
        read = fitwell.tfjs.load(path)
        assert np.allclose(outputs(read), outputs(model), atol=1e-5)


def test_weights_that_may_be_of_two_layers(tmp_path: Path) -> None:
    """A guess might be wrong, so it is said which they are; with the models' names they are told apart."""
    model = built_within(same=True)
    path = converted(model, tmp_path, lambda name: f"gone/{name.partition('/')[2]}".replace("sequential", "away"))
    with pytest.raises(FileError, match=r"'dense/kernel' may be 'gone/\S*dense/kernel' or 'gone/.*cannot be told"):
        fitwell.tfjs.load(path)
    assert np.allclose(outputs(fitwell.tfjs.load(converted(model, tmp_path))), outputs(model), atol=1e-5)


UNSAVED = [f"Random{what}: left out" for what in ("Brightness", "ColorDegeneration", "Posterization", "Saturation",
                                                  "Sharpness")]  # fmt: skip
"""Cases that Keras cannot save as HDF5."""

REFUSED = {
    "hard_sigmoid": lambda: sequential((4,), layers.Dense(3, "hard_sigmoid")),
    "bilinear": lambda: sequential((4, 4, 1), layers.UpSampling2D(interpolation="bilinear"), layers.Conv2D(1, 2)),
    "threshold": lambda: sequential((4,), layers.Dense(3), layers.ReLU(threshold=0.5)),
    "another interpolation": lambda: sequential((4, 4, 1), layers.UpSampling2D(interpolation="bilinear")),
    "resets after": lambda: sequential((5, 4), layers.GRU(3)),
    "keepdims": lambda: sequential((5, 4), layers.Conv1D(2, 2), layers.GlobalAveragePooling1D(keepdims=True)),
    "a mask": lambda: sequential((5, 4), layers.Masking(), layers.Dense(2), layers.GlobalAveragePooling1D()),
    "GroupNormalization": lambda: sequential((4,), layers.Dense(4), layers.GroupNormalization(2)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_keras_computes_otherwise_is_refused(reason: str, tmp_path: Path) -> None:
    """TensorFlow.js has another meaning for it or none, and Keras, which wrote it, is where the model is whole."""
    with pytest.raises(FileError, match=reason) as caught:
        fitwell.tfjs.load(converted(REFUSED[reason](), tmp_path))
    assert str(caught.value).endswith(f" {ADVICE}")
    assert "\n" not in str(caught.value)


def test_a_functional_model_says_what_to_do(tmp_path: Path) -> None:
    """Its calls are written as TensorFlow.js cannot read them."""
    source = keras.Input((4,))
    model = keras.Model(source, layers.Dense(2)(source))
    with pytest.raises(FileError, match=r"load the model in Keras, and write it by fitwell\.tfjs\.save"):
        fitwell.tfjs.load(converted(model, tmp_path))


def test_names_with_slashes_are_layers() -> None:
    """In a file of TensorFlow.js ``m/a`` is a layer, not the layer ``a`` of the model ``m``: each gets its own."""
    made = [TfjsLayer("InputLayer", "x", {"batch_input_shape": [None, 2], "dtype": "float32"})]
    for name in ("a", "m/a"):
        made.append(TfjsLayer("Dense", name, {"units": 2, "use_bias": False}, ((TfjsTensor(made[-1].name),),)))
    graph = TfjsGraph("m", tuple(made), (TfjsTensor("x"),), (TfjsTensor("m/a"),), sequential=True)
    for order in (("a", "m/a"), ("m/a", "a")):
        values = {"a": 1.0, "m/a": 2.0}
        weights = {f"{name}/kernel": np.full((2, 2), values[name], "float32") for name in order}
        assert not is_of_keras_three(graph, weights)
        read = from_tfjs(graph, weights).model
        assert [float(layer.get_weights()[0][0, 0]) for layer in read.layers[-2:]] == [1.0, 2.0]
