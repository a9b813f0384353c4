"""Initializers, regularizers and constraints: read, written, read again, and what a file means that leaves some out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfjs_node import Node

import keras
from fitwell.errors import FileError
from fitwell.tfjs.document import write_document
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.reading import from_tfjs
from fitwell.tfjs.reading.layer_settings import KERAS_CONSTRAINTS, KERAS_INITIALIZERS
from fitwell.tfjs.writing import to_tfjs
from keras import layers

SIZE = 4
EXTRA = {
    "value": 0.25, "minval": -0.5, "maxval": 0.75, "mean": 0.5, "stddev": 0.25, "gain": 1.5, "scale": 3.0,
    "mode": "fan_out", "distribution": "uniform", "seed": 7, "max_value": 0.75, "min_value": 0.125, "rate": 0.5,
    "axis": 1,
}  # fmt: skip
"""A value for each setting, none of them a default."""

INITIALIZERS: list[Any] = [
    *({"class_name": name, "config": {}} for name in KERAS_INITIALIZERS if name != "Constant"),
    *({"class_name": name, "config": {key: EXTRA[key] for key in keys}}
      for name, (_, keys) in KERAS_INITIALIZERS.items()),
    {"class_name": "VarianceScaling", "config": {"scale": 0.5, "mode": "fan_avg", "distribution": "normal"}},
]  # fmt: skip
"""As in files: each class without settings, and with all."""

REGULARIZERS: list[Any] = [
    {"class_name": "L1L2", "config": {"l1": l1, "l2": l2}} for l1, l2 in ((0.125, 0.25), (0.125, 0), (0, 0.25), (0, 0))
]


def one_layer(config: dict[str, Any], class_name: str = "Dense", shape: tuple[int, ...] = (SIZE,)) -> TfjsGraph:
    """Return the graph of one layer."""
    source = TfjsLayer("InputLayer", "x", {"batch_input_shape": [None, *shape], "dtype": "float32"})
    layer = TfjsLayer(class_name, "a", config, ((TfjsTensor("x"),),))
    return TfjsGraph("m", (source, layer), (TfjsTensor("x"),), (TfjsTensor("a"),), sequential=True)


def dense(**config: Any) -> tuple[TfjsGraph, dict[str, np.ndarray]]:
    """Return the graph and the weights of a square dense layer with some settings."""
    random = np.random.default_rng(0)
    weights = {"a/kernel": random.normal(size=(SIZE, SIZE)), "a/bias": random.normal(size=SIZE)}
    return one_layer({"units": SIZE, **config}), {name: value.astype("float32") for name, value in weights.items()}


def held(thing: Any) -> dict[str, Any] | None:
    """Return what a Keras object means, whether it is of a class or of a case of it (`GlorotUniform`)."""
    if thing is None:
        return None
    named = keras.initializers.VarianceScaling
    kind = named.__name__ if isinstance(thing, named) else type(thing).__name__
    settings = {key: value for key, value in vars(thing).items() if not key.startswith("_") and key != "seed"}
    # a seed that nobody gave is drawn anew by each object
    return {"class": kind, "given seed": getattr(thing, "_init_seed", None), **settings}


def there_and_back(**config: Any) -> tuple[Any, Any, Any]:
    """Return a layer that was read, what was written of its model, and the layer that is read from that."""
    first = from_tfjs(*dense(**config)).model
    written = to_tfjs(first)
    second = from_tfjs(written.graph, written.weights).model
    for one, other in zip(first.weights, second.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    return first.layers[0], written, second.layers[0]


@pytest.mark.parametrize("entry", INITIALIZERS, ids=lambda entry: f"{entry['class_name']}-{len(entry['config'])}")
def test_an_initializer_comes_back(entry: dict[str, Any]) -> None:
    """What `load` gives, `save` writes with all its settings; break: with other settings it is another."""
    first, _, second = there_and_back(kernel_initializer=entry)
    assert held(first.kernel_initializer) == held(second.kernel_initializer)
    for key, value in entry["config"].items():
        expected = {"normal": "truncated_normal"}.get(value, value)
        assert getattr(first.kernel_initializer, key) == expected
    # without settings, another object of the class is another only by those
    other, _, _ = there_and_back(kernel_initializer={"class_name": "Constant", "config": {"value": 0.5}})
    assert held(other.kernel_initializer) != held(second.kernel_initializer)


@pytest.mark.parametrize("entry", REGULARIZERS, ids=str)
def test_a_regularizer_comes_back(entry: dict[str, Any]) -> None:
    """L1, L2, both or none, with the numbers of the file."""
    first, _, second = there_and_back(kernel_regularizer=entry, bias_regularizer=entry)
    for layer in (first, second):
        for found in (layer.kernel_regularizer, layer.bias_regularizer):
            assert {key: float(getattr(found, key, 0)) for key in ("l1", "l2")} == entry["config"]
            assert (found is None) == (not any(entry["config"].values()))


@pytest.mark.parametrize("name", KERAS_CONSTRAINTS)
def test_a_constraint_is_read_and_said_to_be_left_out(name: str) -> None:
    """TensorFlow.js would change the weights by it while it loads them: they are written as they are."""
    entry = {"class_name": name, "config": {key: EXTRA[key] for key in KERAS_CONSTRAINTS[name][1]}}
    first, written, second = there_and_back(kernel_constraint=entry, bias_constraint={"class_name": name, "config": {}})
    assert {key: getattr(first.kernel_constraint, key) for key in entry["config"]} == entry["config"]
    assert type(first.bias_constraint).__name__ == name
    assert any("constraints are left out" in notice for notice in written.notices)
    assert second.kernel_constraint is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("glorotUniform", keras.initializers.GlorotUniform),
        ("he_normal", keras.initializers.HeNormal),
        ("le_cun_normal", keras.initializers.LecunNormal),
        ("zeros", keras.initializers.Zeros),
        ("Orthogonal", keras.initializers.Orthogonal),
    ],
)
def test_a_text_in_place_of_an_object(text: str, expected: type) -> None:
    """TensorFlow.js takes its short names in files too; one that it does not have is refused."""
    from fitwell.tfjs.spelling import snake_case

    config = snake_case({"kernel_initializer": text, "kernel_constraint": "nonNeg", "kernel_regularizer": "l1l2"})
    layer = from_tfjs(*dense(**config)).model.layers[0]
    assert type(layer.kernel_initializer) is expected
    assert isinstance(layer.kernel_constraint, keras.constraints.NonNeg)
    assert float(layer.kernel_regularizer.l1) == float(layer.kernel_regularizer.l2) == pytest.approx(0.01)
    with pytest.raises(FileError, match="kernel_initializer"):
        from_tfjs(*dense(kernel_initializer="glorot"))


@pytest.mark.parametrize("seed", [0.5, -1, 2**32, True, {"class_name": "SeedGenerator", "config": {"seed": 1}}])
def test_a_seed_that_keras_would_not_take(seed: Any) -> None:
    """It says nothing to Keras: the layer is read without it."""
    entry = {"class_name": "Orthogonal", "config": {"gain": 2, "seed": seed}}
    layer = from_tfjs(*dense(kernel_initializer=entry)).model.layers[0]
    assert held(layer.kernel_initializer) == {"class": "Orthogonal", "given seed": None, "gain": 2}


def test_an_identity_of_keras_is_written() -> None:
    """Its `get_config()` has no gain; one of a generator has no seed that a file could hold."""
    generator = keras.random.SeedGenerator(3)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2, kernel_initializer=keras.initializers.Identity(3.0)),
            layers.Dense(2, kernel_initializer=keras.initializers.Orthogonal(2.0, generator)),
        ]
    )
    found = [layer.config["kernel_initializer"] for layer in to_tfjs(model).graph.layers[1:]]
    assert found == [
        {"class_name": "Identity", "config": {"gain": 3.0}},
        {"class_name": "Orthogonal", "config": {"gain": 2.0, "seed": None}},
    ]


# ---- in TensorFlow.js ------------------------------------------------------------------------------------------------

ABOUT = """
const model = await load(given.path);
const about = model.layers.filter(layer => layer.kernelInitializer).map(layer => ({
  initializer: [layer.kernelInitializer.constructor.className, layer.kernelInitializer.getConfig()],
  regularizer: layer.kernelRegularizer && layer.kernelRegularizer.getConfig(),
  drawn: layer.kernelInitializer.apply([4, 4], 'float32'),
}));
return {about, outputs: model.predict(given.rows)};
"""


def test_tensorflow_js_loads_each_initializer_and_regularizer(node: Node, tmp_path: Path) -> None:
    """All in one model: their settings there are those that were read, and the outputs those of Keras."""
    parts = []
    for number, entry in enumerate(INITIALIZERS):
        config = {"kernel_initializer": entry, "kernel_regularizer": REGULARIZERS[number % len(REGULARIZERS)]}
        parts.append(from_tfjs(*dense(**config)).model.layers[0])
    model = keras.Sequential([keras.Input((SIZE,))])
    for number, part in enumerate(parts):
        made = layers.Dense(
            SIZE, "tanh", name=f"d{number}",
            kernel_initializer=part.kernel_initializer, kernel_regularizer=part.kernel_regularizer,
        )  # fmt: skip
        model.add(made)
        made.set_weights(part.get_weights())
    written = to_tfjs(model)
    write_document(tmp_path, written.graph, written.weights)
    rows = np.random.default_rng(1).normal(size=(3, SIZE)).astype("float32")
    answer = node(ABOUT, path=tmp_path / "model.json", rows=rows)
    assert np.allclose(answer["outputs"], np.asarray(model(rows)), atol=1e-5)
    for number, (entry, there) in enumerate(zip(INITIALIZERS, answer["about"], strict=True)):
        name, settings = there["initializer"]
        expected = entry["config"] if name != "VarianceScaling" or entry["class_name"] == name else {}
        mine = {"mode": lambda text: {"fan_out": "fanOut", "fan_avg": "fanAvg"}[text]}
        for key, value in expected.items():
            assert settings[key] == mine.get(key, lambda same: same)(value)
        strengths = REGULARIZERS[number % len(REGULARIZERS)]["config"]
        assert there["regularizer"] == (strengths if any(strengths.values()) else None)
        if name in ("Zeros", "Ones", "Constant", "Identity"):
            assert np.allclose(there["drawn"], np.asarray(parts[number].kernel_initializer((SIZE, SIZE))))
        if name == "Orthogonal":
            gain = parts[number].kernel_initializer.gain
            assert np.allclose(there["drawn"] @ there["drawn"].T, gain**2 * np.eye(SIZE), atol=1e-5)


LEFT_OUT = [{}, {"l1": 0.5}, {"l2": 0.5}, {"l1": None, "l2": 0.5}, {"l1": 0}, {"l1": 0.25, "l2": 0.5}]


def test_a_strength_that_is_left_out_is_that_of_tensorflow_js(node: Node, tmp_path: Path) -> None:
    """It means 0.01 there; break: as zero the penalty would be another."""
    for number, strengths in enumerate(LEFT_OUT):
        graph, weights = dense(kernel_regularizer={"class_name": "L1L2", "config": strengths})
        folder = tmp_path / str(number)
        folder.mkdir()
        write_document(folder, graph, weights)
        about = node(ABOUT, path=folder / "model.json", rows=np.zeros((1, SIZE)))["about"][0]["regularizer"]
        found = from_tfjs(graph, weights).model.layers[0].kernel_regularizer
        assert {key: float(getattr(found, key, 0)) for key in ("l1", "l2")} == pytest.approx(about)
        assert about == {key: 0.01 if strengths.get(key) is None else strengths[key] for key in ("l1", "l2")}


@pytest.mark.parametrize(("name", "expected"), [("L1", (0.01, 0)), ("L2", (0, 0.01))])
def test_a_regularizer_of_keras_has_one_strength(name: str, expected: tuple[float, float]) -> None:
    """The classes `L1` and `L2`, which TensorFlow.js does not know, mean what they do in Keras."""
    for config, factor in (({}, 1), ({name.lower(): 0.03}, 3)):
        layer = from_tfjs(*dense(kernel_regularizer={"class_name": name, "config": config})).model.layers[0]
        found = [float(getattr(layer.kernel_regularizer, key, 0)) for key in ("l1", "l2")]
        assert found == pytest.approx([factor * strength for strength in expected])


# ---- activations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("class_name", ["SimpleRNN", "LSTM", "GRU"])
def test_an_activation_that_is_null(class_name: str, node: Node, tmp_path: Path) -> None:
    """It is none in an LSTM and a GRU, and tanh in a SimpleRNN; left out it is tanh in each."""
    random = np.random.default_rng(0)
    columns = 2 * {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}[class_name]
    shapes = {"kernel": (3, columns), "recurrent_kernel": (2, columns), "bias": (columns,)}
    weights = {f"a/{name}": random.normal(0, 0.5, shape).astype("float32") for name, shape in shapes.items()}
    rows = random.normal(size=(3, 5, 3)).astype("float32")
    outputs = []
    for number, given in enumerate([{"activation": None, "recurrent_activation": None}, {}]):
        config = {"units": 2, **(given if class_name != "SimpleRNN" else {"activation": None} if given else {})}
        graph = one_layer(config, class_name, (5, 3))
        folder = tmp_path / str(number)
        folder.mkdir()
        write_document(folder, graph, weights)
        assert json.loads((folder / "model.json").read_text())["modelTopology"]["config"]["layers"][1]["config"] == {
            "name": "a",
            **config,
        }
        expected = node("return (await load(given.path)).predict(given.rows)", path=folder / "model.json", rows=rows)
        outputs.append(expected)
        assert np.allclose(np.asarray(from_tfjs(graph, weights).model(rows)), expected, atol=1e-5)
    assert np.allclose(*outputs) == (class_name == "SimpleRNN")
