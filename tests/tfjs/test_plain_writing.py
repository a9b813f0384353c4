"""A table's model for TensorFlow.js without Keras is the one that is written of the Keras model."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitwell.keras.plain_model import PlainModel, plain_model
from fitwell.keras.towers import Tower
from fitwell.regularization.strengths import Regularization
from fitwell.tfjs.plain_writing import plain_to_tfjs, write_plain_model
from fitwell.tfjs.saving import write
from fitwell.tfjs.writing import to_tfjs

RANDOM = np.random.default_rng(0)


def tower(encoding: int, *sizes: int, **strengths: Any) -> Tower:
    """A tower of random weights."""
    shapes = itertools.pairwise(sizes)
    layers = [(RANDOM.normal(size=s).astype(np.float32), RANDOM.normal(size=s[1]).astype(np.float32)) for s in shapes]
    return Tower(encoding, layers, "relu", Regularization(**strengths))


MODELS = {
    "one": plain_model([tower(0, 3, 5, 4, 2, l2=0.1, dropout=0.3)], classification=True),
    "values": plain_model([tower(0, 3, 5, 1), tower(0, 3, 5, 1, l1=0.01)], classification=False),
    "several values": plain_model([tower(0, 3, 5, 2)], classification=False),
    "labels": plain_model([tower(0, 3, 5, 2, l2=0.1), tower(0, 3, 2)], classification=False, labels=True),
    "two encodings": plain_model(
        [tower(1, 4, 5, 2, dropout=0.2), tower(0, 3, 5, 2), tower(1, 4, 5, 5, 2)], classification=True
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_is_what_is_written_of_the_keras_model(name: str, tmp_path: Path) -> None:
    """The same layers in the same order, the same weights, and the same files; of another model they differ."""
    model = MODELS[name]
    graph, weights = plain_to_tfjs(model)
    expected = to_tfjs(model.model)
    assert graph == expected.graph
    assert list(weights) == list(expected.weights)
    for key, array in weights.items():
        np.testing.assert_array_equal(array, expected.weights[key])
    for directory, writer in (("ours", write_plain_model), ("theirs", write)):
        (tmp_path / directory).mkdir()
        given: Any = model if directory == "ours" else model.model
        writer(given, tmp_path / directory, metadata={"about": "it"})
    found = sorted(path.name for path in (tmp_path / "ours").iterdir())
    assert found == sorted(path.name for path in (tmp_path / "theirs").iterdir())
    for file in found:
        assert (tmp_path / "ours" / file).read_bytes() == (tmp_path / "theirs" / file).read_bytes()
    changed: Any = json.loads(json.dumps(model.config).replace('"relu"', '"tanh"'))
    assert plain_to_tfjs(PlainModel(changed, model.weights))[0] != expected.graph
