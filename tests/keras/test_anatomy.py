"""Where regularization acts in a Keras model: which axes of a kernel are inputs and which outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import keras
from fitwell.keras.anatomy import axes_of, kernels
from fitwell.regularization.regularizer import Axes


def built(layer: Any, *shape: int) -> Any:
    """A layer that has seen inputs."""
    layer(np.zeros((2, *shape), "float32"))
    return layer


@pytest.mark.parametrize(
    ("make", "inputs", "outputs"),
    [
        (lambda: built(keras.layers.Dense(5), 3), 3, 5),
        (lambda: built(keras.layers.Conv2D(5, 2), 4, 4, 3), 3, 5),
        (lambda: built(keras.layers.EinsumDense("abc,cde->abde", (None, 2, 5)), 4, 3), 3, 10),
        (lambda: built(keras.layers.EinsumDense("abcd,cde->abe", (None, 5)), 4, 2, 3), 6, 5),
        (lambda: built(keras.layers.EinsumDense("...x,xy->...y", (5,)), 3), 3, 5),
    ],
    ids=["dense", "convolution", "projection to heads", "projection of heads", "any rank"],
)
def test_axes_of_a_kernel(make: Any, inputs: int, outputs: int) -> None:
    """As many numbers stand along the axes of inputs as go into the layer, and along the others as come out."""
    layer = make()
    axes, shape = axes_of(layer, layer.kernel), layer.kernel.shape
    assert np.prod([shape[i] for i in axes.inputs]) == inputs
    assert np.prod([shape[i] for i in axes.outputs]) == outputs
    assert not {i % len(shape) for i in axes.inputs} & {i % len(shape) for i in axes.outputs}


def test_the_axes_of_attention_reach_its_kernels() -> None:
    """Query, key and value take the width of the sequence, the last projection takes the heads."""
    sequence = keras.Input((4, 6))
    model = keras.Model(sequence, keras.layers.MultiHeadAttention(2, 3)(sequence, sequence))
    found = [kernel.axes for kernel in kernels(model)]
    assert found == [Axes((0,), (1, 2))] * 3 + [Axes((0, 1), (2,))]
