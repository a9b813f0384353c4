"""Random inputs that a Keras model takes, to compare what is made of it with the model itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitwell.errors import InputError
from fitwell.keras.backend import import_keras
from fitwell.keras.internals import nodes_of, same_output

# hardly ever a layer's width: axes that are mixed up then do not fit by chance
UNKNOWN_LENGTH = 7
"""For dimensions that a model leaves open, other than rows."""


def probes(model: Any, rows: int, seed: int = 0) -> list[np.ndarray]:
    """Return an array for each input of a model, in order.

    Normal numbers; whole numbers below its size for an input that an embedding takes.

    Raises
    ------
    InputError
        The model has no known inputs: it was neither built from `keras.Input` nor called.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise InputError(f"The inputs of '{model.name}' are not known: build it from keras.Input, or call it once.")
    random = np.random.default_rng(seed)
    return [_probe(random, tensor, rows, _size_of_embedding(model, tensor)) for tensor in inputs]


def _probe(random: np.random.Generator, tensor: Any, rows: int, size: int | None) -> np.ndarray:
    shape = (rows, *(UNKNOWN_LENGTH if length is None else length for length in tensor.shape[1:]))
    if size is not None:
        # an index beyond the embedding has no answer that two libraries share
        return random.integers(0, size, shape).astype(tensor.dtype)
    if "int" in str(tensor.dtype):
        # flags or indices: nearly all allow 0 and 1
        return random.integers(0, 2, shape).astype(tensor.dtype)
    return random.normal(size=shape).astype("float32")


def _size_of_embedding(model: Any, tensor: Any) -> int | None:
    """Return the size of the embedding that takes a tensor of a model's graph, in a nested model too."""
    embedding = import_keras().layers.Embedding
    for layer in model.layers:
        for node in nodes_of(layer):
            for place, given in enumerate(node.input_tensors):
                if not same_output(given, tensor):
                    continue
                if isinstance(layer, embedding):
                    return int(layer.input_dim)
                # a nested model has inputs of its own, in the order of what it takes
                inner = getattr(layer, "inputs", None) if hasattr(layer, "layers") else None
                size = _size_of_embedding(layer, inner[place]) if inner else None
                if size is not None:
                    return size
    return None
