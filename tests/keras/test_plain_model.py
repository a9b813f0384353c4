"""A table's model written without Keras is the one that Keras writes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_towers import build_model

import keras
from fitwell.keras.plain_model import CONFIG_FILE, WEIGHTS_FILE, PlainModel, plain_model, read_plain_model
from fitwell.keras.towers import Tower
from fitwell.regularization.strengths import Regularization

RANDOM = np.random.default_rng(0)
WIDTHS = (4, 3)
"""Of two encodings."""


def tower(encoding: int, hidden: tuple[int, ...], outputs: int, activation: str = "relu", **strengths: Any) -> Tower:
    """A tower of random weights."""
    sizes = (WIDTHS[encoding], *hidden, outputs)
    layers = [
        (RANDOM.normal(size=(a, b)).astype(np.float32), RANDOM.normal(size=b).astype(np.float32))
        for a, b in itertools.pairwise(sizes)
    ]
    shift, scale = (3.0, 7.0) if outputs == 1 else (0.0, 1.0)
    return Tower(encoding, layers, activation, Regularization(**strengths), shift, scale)


MODELS: dict[str, tuple[list[Tower], bool]] = {
    "one tower": ([tower(0, (5, 4), 3, l2=0.01, dropout=0.3)], True),
    "linear": ([tower(0, (), 2)], True),
    "values, two towers": ([tower(0, (5,), 1, "tanh", l1=0.1), tower(0, (5,), 1, "silu")], False),
    "two encodings": ([tower(0, (5, 4), 2, dropout=0.2), tower(1, (5, 4), 2), tower(0, (5, 4), 2, l2=0.1)], True),
    "the second encoding first": ([tower(1, (5,), 2, dropout=0.2), tower(0, (5, 4), 2)], True),
    "by layer": ([tower(0, (5, 4), 3, l2={"hidden_1": 0.1}, dropout={"hidden_2": 0.5})], True),
}


@pytest.fixture(params=MODELS)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[PlainModel, Path, Any, Path]:
    """A model of ours and its file, and Keras's of the same towers."""
    towers, classification = MODELS[request.param]
    ours, theirs = (
        plain_model(towers, classification=classification),
        build_model(towers, classification=classification),
    )
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    return ours, tmp_path / "ours.keras", theirs, tmp_path / "theirs.keras"


def without_identities(config: Any) -> Any:
    """A configuration without the addresses of shared objects, which differ by run."""
    if isinstance(config, dict):
        return {key: without_identities(value) for key, value in config.items() if key != "shared_object_id"}
    return [without_identities(item) for item in config] if isinstance(config, list) else config


def stored(path: Path) -> tuple[Any, dict[str, Any]]:
    """The configuration and every group and array of a `.keras` file."""
    found: dict[str, Any] = {}

    def keep(name: str, item: Any) -> None:
        found[name] = (dict(item.attrs), item[()].tobytes() if isinstance(item, h5py.Dataset) else None)

    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("metadata.json"))["keras_version"] == keras.__version__
        config = without_identities(json.loads(archive.read(CONFIG_FILE)))
        with archive.open(WEIGHTS_FILE) as content, h5py.File(content) as file:
            file.visititems(keep)
    return config, found


def inputs_of(model: PlainModel) -> list[np.ndarray]:
    """Rows for every input."""
    return [RANDOM.normal(size=(6, WIDTHS[int(name[-1])])).astype(np.float32) for name in model.inputs]


def test_the_file_is_what_keras_writes(both: tuple[PlainModel, Path, Any, Path]) -> None:
    """Configuration, names and weights, bit for bit; of other weights it is not."""
    ours, our_file, _, their_file = both
    (config, weights), (expected, their_weights) = stored(our_file), stored(their_file)
    assert config == expected
    assert weights == their_weights
    name = next(iter(ours.weights))
    kernel, bias = ours.weights[name]
    PlainModel(ours.config, {**ours.weights, name: (kernel, bias + 1)}).save(our_file)
    assert stored(our_file)[1] != their_weights


def test_keras_loads_it(both: tuple[PlainModel, Path, Any, Path]) -> None:
    """And predicts exactly what it predicts by its own model; `model` is the same without a file."""
    ours, our_file, theirs, _ = both
    inputs = inputs_of(ours)
    given = inputs if len(inputs) > 1 else inputs[0]
    expected = theirs.predict(given, verbose=0)
    np.testing.assert_array_equal(keras.saving.load_model(our_file).predict(given, verbose=0), expected)
    np.testing.assert_array_equal(ours.model.predict(given, verbose=0), expected)
    configs = [json.loads(json.dumps(model.get_config())) for model in (ours.model, theirs)]
    assert without_identities(configs[0]) == without_identities(configs[1])


def test_numpy_predicts_alike(both: tuple[PlainModel, Path, Any, Path]) -> None:
    """By the model that was made, and by the one read from the file; swapped rows give other numbers."""
    ours, our_file, theirs, their_file = both
    inputs = inputs_of(ours)
    expected = theirs.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    for model in (ours, read_plain_model(our_file), read_plain_model(their_file)):
        assert model is not None
        np.testing.assert_allclose(model.predict(inputs), expected, rtol=1e-5, atol=1e-6)
        assert not np.allclose(model.predict([x[::-1] for x in inputs]), expected)
        assert model.predict(inputs).dtype == np.float32
        assert len(model.predict([x[:0] for x in inputs])) == 0


def test_read_and_written_again_it_is_the_same(both: tuple[PlainModel, Path, Any, Path], tmp_path: Path) -> None:
    """Nothing is lost on the way."""
    _, our_file, _, _ = both
    again = read_plain_model(our_file)
    assert again is not None
    again.save(tmp_path / "again.keras")
    assert stored(tmp_path / "again.keras") == stored(our_file)


@pytest.mark.parametrize("change", ["quantize", "lora", "half", "shared"])
def test_ours_but_changed_is_left_to_keras(change: str, tmp_path: Path) -> None:
    """Weights that are no longer all that a layer computes with, and layers that are called twice."""
    model = plain_model([tower(0, (5,), 2)], classification=True).model
    dense = model.get_layer("tower_0_dense_0")
    if change == "quantize":
        for name in ("tower_0_dense_0", "tower_0_dense_1"):
            model.get_layer(name).quantize("int8")
    elif change == "lora":
        dense.enable_lora(2)
    elif change == "half":
        config = json.loads(json.dumps(model.get_config()).replace('"name": "float32"', '"name": "mixed_float16"'))
        model = keras.Model.from_config(config)
    else:
        square = keras.layers.Dense(4, "relu", name="tower_0_dense_1")
        given = keras.Input((4,), name="encoding_0")
        model = keras.Model(given, square(square(given)), name="fitwell")
    model.save(tmp_path / "model.keras")
    assert read_plain_model(tmp_path / "model.keras") is None


@pytest.mark.parametrize("kind", ["another layer", "another name", "another activation", "sequential"])
def test_other_models_are_left_to_keras(kind: str, tmp_path: Path) -> None:
    """Whatever `predict` does not know."""
    given = keras.Input((4,), name="encoding_0")
    name = "mine" if kind == "another name" else "tower_0_dense_0"
    values = keras.layers.Dense(3, "elu" if kind == "another activation" else "relu", name=name)(given)
    if kind == "another layer":
        values = keras.layers.LayerNormalization(name="mean")(values)
    model = keras.Sequential([given, keras.layers.Dense(3)]) if kind == "sequential" else keras.Model(given, values)
    model.save(tmp_path / "model.keras")
    assert read_plain_model(tmp_path / "model.keras") is None


def test_a_model_trained_further_is_read_with_its_new_weights(tmp_path: Path) -> None:
    """Compiled, trained and saved again by Keras: NumPy predicts what Keras does, and it is known as compiled."""
    made = plain_model([tower(0, (5,), 2)], classification=True)
    model, rows = made.model, RANDOM.normal(size=(8, 4)).astype(np.float32)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(rows, np.arange(8) % 2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = read_plain_model(tmp_path / "model.keras")
    assert again is not None
    assert (made.is_compiled, again.is_compiled) == (False, True)
    np.testing.assert_allclose(again.predict([rows]), model.predict(rows, verbose=0), rtol=1e-5, atol=1e-6)
    assert not np.array_equal(again.predict([rows]), made.predict([rows]))


def test_without_keras_and_jax(tmp_path: Path) -> None:
    """Another process writes and reads a model while neither is imported by it."""
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from fitwell.keras.plain_model import plain_model, read_plain_model\n"
        "from fitwell.keras.towers import Tower\n"
        "from fitwell.regularization.strengths import Regularization\n"
        "made = Tower(0, [(np.ones((2, 3), 'float32'), np.ones(3, 'float32'))], 'relu', Regularization())\n"
        "plain_model([made], classification=True).save(Path('model.keras'))\n"
        "print(read_plain_model(Path('model.keras')).predict([np.ones((1, 2))]))\n"
        "assert not {'keras', 'jax'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[[0.33333334 0.33333334 0.33333334]]"


def test_several_values_have_units_of_their_own() -> None:
    """Shift and scale of each output: added and multiplied outside the same; those of one for all are others."""
    plain, shift, scale = tower(0, (5,), 3), np.array([1.0, -2.0, 0.0]), np.array([3.0, 0.1, 1.0])
    made = plain_model([replace(plain, shift=shift, scale=scale)], classification=False)
    inputs = inputs_of(made)
    raw = plain_model([plain], classification=False).predict(inputs)
    np.testing.assert_allclose(made.predict(inputs), shift + scale * raw, rtol=1e-5, atol=1e-6)
    assert not np.allclose(made.predict(inputs), shift[0] + scale[0] * raw)


def test_labels_end_in_sigmoids(tmp_path: Path) -> None:
    """Of NumPy, of Keras and of the file read again: every probability by itself, and the mean over towers."""
    towers = [tower(0, (5,), 3, l2=0.01), tower(0, (5,), 3)]
    made = plain_model(towers, classification=False, labels=True)
    inputs = inputs_of(made)
    raws = [plain_model([one], classification=False).predict(inputs) for one in towers]
    expected = np.mean([1 / (1 + np.exp(-raw)) for raw in raws], axis=0)
    made.save(tmp_path / "model.keras")
    again = read_plain_model(tmp_path / "model.keras")
    assert again is not None
    for found in (made.predict(inputs), again.predict(inputs), made.model.predict(inputs[0], verbose=0)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(made.predict(inputs).sum(axis=1), 1)
