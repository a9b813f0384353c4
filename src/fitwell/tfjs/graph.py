"""A TensorFlow.js layers model as data: layers, their calls, and which tensor goes where. Neither Keras nor JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TfjsTensor:
    """An output of a layer's call, of which there are several where layers are shared; all numbers count from 0."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True)
class TfjsLayer:
    """A layer and everywhere it is called.

    Attributes
    ----------
    class_name
        As TensorFlow.js registers it.
    name
        Unique in its graph.
    config
        In TensorFlow.js's spelling of files: snake_case keys; without the name.
    calls
        The tensors that each call takes; of an `InputLayer` one call that takes none.
    graph
        Of a nested model, else None.
    """

    class_name: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    calls: tuple[tuple[TfjsTensor, ...], ...] = ((),)
    graph: TfjsGraph | None = None


@dataclass(frozen=True)
class TfjsGraph:
    """A model: every layer after those that it takes tensors of.

    Attributes
    ----------
    name
        Of the model.
    layers
        Among them an `InputLayer` for each input, with ``batch_input_shape`` and ``dtype`` in its config.
    inputs, outputs
        In the order in which arrays are passed and returned.
    sequential
        Whether TensorFlow.js's class is `Sequential`: one chain of layers, each called once.
    """

    name: str
    layers: tuple[TfjsLayer, ...]
    inputs: tuple[TfjsTensor, ...]
    outputs: tuple[TfjsTensor, ...]
    sequential: bool = False

    def layer(self, name: str) -> TfjsLayer:
        """Return the layer of a name."""
        return next(layer for layer in self.layers if layer.name == name)

    def walk(self) -> Iterator[TfjsLayer]:
        """Yield all layers, those of nested models too."""
        for layer in self.layers:
            yield layer
            if layer.graph is not None:
                yield from layer.graph.walk()
