"""What is written so far: TensorFlow.js layers, their calls and weights, and where masks have come to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from fitwell.errors import InputError
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.writing.tfjs_names import Names

Shape = tuple[int | None, ...]

PASS_MASKS = {
    "Activation", "AlphaDropout", "BatchNormalization", "Bidirectional", "ConvLSTM2D", "Dense", "Dropout", "GRU",
    "GaussianDropout", "GaussianNoise", "LSTM", "LayerNormalization", "PReLU", "RNN", "ReLU", "SimpleRNN",
    "SpatialDropout1D", "TimeDistributed",
}  # fmt: skip
"""Classes that hand the mask of their input on; recurrent ones only with their sequences."""

MERGE_MASKS = {"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply"}
"""Classes whose mask TensorFlow.js computes in a way of its own."""


@dataclass(frozen=True)
class Value:
    """A tensor of the written graph, with the masks that it has there and in Keras.

    Attributes
    ----------
    shape
        With the batch.
    mask, keras_mask
        Equal where both are the same mask; None for no mask.
    """

    tensor: TfjsTensor
    shape: Shape
    mask: Any = None
    keras_mask: Any = None


@dataclass
class _Written:
    """A layer that may get further calls."""

    class_name: str
    name: str
    config: dict[str, Any]
    weights: dict[str, np.ndarray]
    outputs: int
    shape: Shape = ()
    calls: list[tuple[TfjsTensor, ...]] = field(default_factory=list)


class Sheet:
    """Collects layers.

    Parameters
    ----------
    keep_masks
        Whether embeddings write masks; masks that nobody reads are better left out, since TensorFlow.js shows a mask
        to all layers that run after the one that it belongs to.
    """

    def __init__(self, *, keep_masks: bool = True) -> None:
        self.keep_masks = keep_masks
        self.names = Names()
        self.notices: dict[str, None] = {}  # a set in order
        self.written: dict[str, _Written] = {}
        self._parts: dict[tuple[int, str], list[_Written]] = {}
        self._originals: dict[str, str] = {}
        self.masks_made = self.masks_read = self.states_given = False
        self.readers_without_mask: list[str] = []

    def note(self, text: str) -> None:
        """Keep a notice, once."""
        self.notices[text] = None

    def input(self, name: str, shape: Shape, dtype: str) -> Value:
        """Write an input."""
        config = {"batch_input_shape": list(shape), "dtype": dtype}
        made = _Written("InputLayer", self.names.take(name), config, {}, 1, shape, [()])
        self.written[made.name] = made
        self._originals[made.name] = name
        return Value(TfjsTensor(made.name), tuple(shape))

    def call(
        self, owner: int, part: str, wanted: str, class_name: str, config: dict[str, Any],
        weights: dict[str, np.ndarray], inputs: Sequence[Value], outputs: int, shape: Shape,
    ) -> TfjsTensor:  # fmt: skip
        """Write a call of a layer, which is a new one unless the same Keras layer has written the same part before."""
        parts = self._parts.setdefault((owner, part), [])
        # a shared layer is written once and called again, unless its shapes made something else of it
        layer = next((one for one in parts if _same(one, class_name, config, weights)), None)
        if layer is None:
            layer = _Written(class_name, self.names.take(wanted), config, weights, outputs, shape)
            if not part:
                self._originals[layer.name] = wanted
            parts.append(layer)
            self.written[layer.name] = layer
        layer.calls.append(tuple(value.tensor for value in inputs))
        return TfjsTensor(layer.name, len(layer.calls) - 1)

    def mask_of(self, class_name: str, config: dict[str, Any], inputs: Sequence[Value]) -> Any:
        """Return the mask that TensorFlow.js gives the output of a layer."""
        if class_name == "Masking" or config.get("mask_zero"):
            self.masks_made = True
            return mask_made_by(class_name, config, inputs[0])
        if not any(value.mask is not None for value in inputs):
            return None
        if class_name in MERGE_MASKS:
            return object()  # equal to no other
        if class_name not in PASS_MASKS or config.get("return_sequences") is False:
            return None
        return inputs[0].mask

    def graph(self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]) -> TfjsGraph:
        """Return all that was written."""
        layers = tuple(TfjsLayer(w.class_name, w.name, w.config, tuple(w.calls)) for w in self.written.values())
        ins, outs = tuple(value.tensor for value in inputs), tuple(value.tensor for value in outputs)
        return TfjsGraph(name, layers, ins, outs, self._is_chain(ins, outs))

    def renamed(self) -> dict[str, str]:
        """Return the names of layers that are a Keras layer's own, and what Keras calls those."""
        return dict(self._originals)

    def weights(self) -> dict[str, np.ndarray]:
        """Return all weights by TensorFlow.js's names of them."""
        return {
            f"{layer.name}/{name}": value for layer in self.written.values() for name, value in layer.weights.items()
        }

    def _is_chain(self, inputs: tuple[TfjsTensor, ...], outputs: tuple[TfjsTensor, ...]) -> bool:
        layers = list(self.written.values())
        if len(inputs) != 1 or len(outputs) != 1 or any(layer.outputs > 1 for layer in layers):
            return False
        takes = [layer.calls for layer in layers[1:]]
        return takes == [[(TfjsTensor(layer.name),)] for layer in layers[:-1]] and outputs[0] == TfjsTensor(
            layers[-1].name
        )


def _same(layer: _Written, class_name: str, config: dict[str, Any], weights: dict[str, np.ndarray]) -> bool:
    if (layer.class_name, layer.config, layer.weights.keys()) != (class_name, config, weights.keys()):
        return False
    return all(np.array_equal(layer.weights[name], weights[name]) for name in weights)


def mask_made_by(class_name: str, config: dict[str, Any], value: Value) -> tuple[Any, ...]:
    """Return the name of the mask that an `Embedding` or `Masking` layer makes of its input."""
    if class_name == "Masking":
        return ("Any", value.tensor, float(config["mask_value"]))
    return ("NotEqual", value.tensor, 0.0)


class LayerCall:
    """The call of one Keras layer: what its writer writes with.

    Attributes
    ----------
    layer
        Of Keras.
    arguments
        Other than tensors, of this call.
    shapes
        Of the outputs, as Keras computes them.
    write
        Writes a call of another Keras layer: ``write(sheet, layer, inputs, arguments, shapes)``.
    """

    def __init__(
        self, sheet: Sheet, layer: Any, arguments: dict[str, Any], shapes: Sequence[Shape], write: Any
    ) -> None:  # fmt: skip
        self.sheet, self.layer, self.arguments, self.shapes = sheet, layer, arguments, tuple(shapes)
        self.write = write

    def add(
        self, class_name: str, inputs: Value | Sequence[Value], part: str = "", *,
        weights: dict[str, Any] | None = None, shape: Shape | None = None, constant: bool = False, **config: Any,
    ) -> Value:  # fmt: skip
        """Write one layer and return its output; `constant` for weights that are none of the Keras layer's.

        Without a `shape` the output is taken to be shaped as the first input.
        """
        return self.add_many(class_name, inputs, part, 1, weights, shape=shape, constant=constant, **config)[0]

    def add_many(
        self, class_name: str, inputs: Value | Sequence[Value], part: str, outputs: int,
        weights: dict[str, Any] | None = None, *, shape: Shape | None = None, constant: bool = False, **config: Any,
    ) -> list[Value]:  # fmt: skip
        """Write one layer and return its outputs."""
        values = [inputs] if isinstance(inputs, Value) else list(inputs)
        # constants of a recipe are no weights of the model: training on must not move them
        config = {"trainable": not constant and bool(getattr(self.layer, "trainable", True)), **config}
        mask = self.sheet.mask_of(class_name, config, values)
        arrays = {name: as_float32(value) for name, value in (weights or {}).items()}
        wanted = f"{self.layer.name}_{part}" if part else self.layer.name
        shape = shape or values[0].shape
        tensor = self.sheet.call(id(self.layer), part, wanted, class_name, config, arrays, values, outputs, shape)
        # only the first output has a mask: states have none
        made = [Value(dataclasses.replace(tensor, output=n), shape) for n in range(outputs)]
        return [dataclasses.replace(made[0], mask=mask), *made[1:]]

    def note(self, text: str) -> None:
        """Keep a notice about this layer."""
        self.sheet.note(f"Layer '{self.layer.name}' ({type(self.layer).__name__}): {text}")

    def refuse(self, text: str) -> NoReturn:
        """Raise that this layer cannot be written."""
        raise InputError(f"Layer '{self.layer.name}' ({type(self.layer).__name__}) cannot be written: {text}")

    def read_mask(self, value: Value) -> None:
        """Check that a layer that reads masks finds the mask in TensorFlow.js that it finds in Keras."""
        if value.keras_mask != value.mask:
            self.refuse("the mask that Keras hands to it is lost or another one in TensorFlow.js; train without it.")
        if value.mask is None:
            self.sheet.readers_without_mask.append(self.layer.name)
        else:
            self.sheet.masks_read = True

    def refuse_mask(self, *values: Value) -> None:
        """Refuse inputs with a mask, which TensorFlow.js ignores here."""
        if any(value.keras_mask is not None for value in values):
            self.refuse("Keras leaves masked steps out here and TensorFlow.js counts them; train without the mask.")

    # the small steps that recipes are made of

    def reshape(self, value: Value, sizes: Sequence[int | None], part: str) -> Value:
        """Write the sizes without the batch, of which one may be None."""
        if list(value.shape[1:]) == list(sizes) and None not in sizes:
            return value
        if sum(size is None for size in sizes) > 1:
            self.refuse("more than one size of its input is unknown; give the sizes to the model's Input.")
        return self.add("Reshape", value, part, shape=(value.shape[0], *sizes), target_shape=list(sizes))

    def permute(self, value: Value, order: Sequence[int], part: str) -> Value:
        """Write an order of the axes, which count from 1."""
        if list(order) == list(range(1, len(order) + 1)):
            return value
        shape = (value.shape[0], *(value.shape[axis] for axis in order))
        return self.add("Permute", value, part, shape=shape, dims=list(order))

    def rescale(self, value: Value, scale: Any, offset: Any, part: str) -> Value:
        """Write ``value * scale + offset``."""
        return self.add("Rescaling", value, part, scale=numbers(scale), offset=numbers(offset))

    def activate(self, value: Value, name: str, part: str) -> Value:
        """Write an activation of TensorFlow.js."""
        return self.add("Activation", value, part, activation=name)

    def dense(self, value: Value, kernel: Any, bias: Any, part: str, *, constant: bool = False, **config: Any) -> Value:
        """Write a dense layer; without a bias for None."""
        weights = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
        units = int(np.shape(kernel)[1])
        config = {"activation": "linear", **config, "units": units, "use_bias": bias is not None}
        return self.add(
            "Dense", value, part, weights=weights, shape=(*value.shape[:-1], units), constant=constant, **config
        )

    def merge(self, class_name: str, values: Sequence[Value], part: str) -> Value:
        """Write a merge of equal shapes."""
        return self.add(class_name, values, part)


Writer = Callable[[LayerCall, list[Value]], Any]
"""``writer(call, inputs)`` writes a layer or an operation, and returns its output or a list of them."""


def total_size(sizes: Sequence[int | None]) -> int | None:
    """Return the product, None where a size is unknown."""
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def as_float32(value: Any) -> np.ndarray:
    """Return a weight as TensorFlow.js holds it.

    Raises
    ------
    InputError
        It is larger than any float32.
    """
    if hasattr(value, "numpy"):
        value = value.numpy()
    array = np.asarray(value)
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(array.astype(np.float32))
    # infinite weights of the model's own are kept as they are
    if (np.isinf(made) & np.isfinite(array)).any():
        raise InputError(
            f"A weight is {array.flat[np.abs(array).argmax()]:g}, and TensorFlow.js's numbers end at 3.4e38: scale the "
            "model down."
        )
    return made


def numbers(value: Any) -> Any:
    """Return a number or nested lists of them for a configuration."""
    return np.asarray(value, dtype=np.float64).tolist()
