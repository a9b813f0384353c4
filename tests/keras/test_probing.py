"""Random inputs for a Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keras
from fitwell.errors import InputError
from fitwell.keras.probing import UNKNOWN_LENGTH, probes

L = keras.layers


def test_shapes_and_order() -> None:
    """An array for each input, in order; an open length is made up, and the same seed gives the same numbers."""
    one, two = keras.Input((4,), name="b"), keras.Input((None, 3), name="a")
    model = keras.Model([one, two], L.Concatenate()([one, L.GlobalMaxPooling1D()(two)]))
    found = probes(model, 5)
    assert [values.shape for values in found] == [(5, 4), (5, UNKNOWN_LENGTH, 3)]
    assert model(found).shape == (5, 7)
    np.testing.assert_array_equal(found[0], probes(model, 5)[0])
    assert not np.array_equal(found[0], probes(model, 5, seed=1)[0])


@pytest.mark.parametrize("nested", [False, True])
def test_an_embedding_gets_whole_numbers_below_its_size(nested: bool) -> None:
    """Also where the embedding lies in a nested model; another input of the same model gets normal numbers."""
    words, rest = keras.Input((6,), name="words"), keras.Input((2,), name="rest")
    embedding: Any = L.Embedding(5, 3)
    if nested:
        inner = keras.Input((6,))
        embedding = keras.Model(inner, embedding(inner))
    model = keras.Model([words, rest], L.Concatenate()([L.Flatten()(embedding(words)), rest]))
    found = probes(model, 200)
    assert set(np.unique(found[0])) == set(range(5))
    assert len(np.unique(found[1])) == 400


def test_a_model_without_known_inputs() -> None:
    """Of a model that was never built nothing can be made up."""
    with pytest.raises(InputError, match=r"build it from keras\.Input, or call it once"):
        probes(keras.Sequential([L.Dense(2)]), 3)
