"""A graph of TensorFlow.js's layers built as a Keras model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.errors import FileError, FitwellError
from fitwell.keras.backend import import_keras
from fitwell.keras.internals import forget_unbuilt_variables
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.reading.keras_names import given_back, safe_names
from fitwell.tfjs.reading.keras_three import ADVICE, as_tensorflow_js, is_of_keras_three
from fitwell.tfjs.reading.layer_settings import LayerSettings
from fitwell.tfjs.reading.masks import KEEPING, MERGES, RECURRENT, Masks, check_none_lingers
from fitwell.tfjs.reading.notices import Notices
from fitwell.tfjs.reading.read_layers import Made
from fitwell.tfjs.reading.readers import LAYER_READERS, NOT_READ
from fitwell.tfjs.reading.stored import Place, Stored, give
from fitwell.tfjs.topology import MOST_NUMBERS

LISTS = MERGES | {"Concatenate", "Dot"}
"""Classes that take their tensors as a list."""


@dataclass(frozen=True)
class Read:
    """A Keras model, what a person should know of it, a sentence each, and its layers' names, from the file's on."""

    model: Any
    notices: tuple[str, ...]
    names: Mapping[str, str]


def from_tfjs(graph: TfjsGraph, weights: Mapping[str, np.ndarray], keras_names: Any = None) -> Read:
    """Build a plain Keras model that computes what TensorFlow.js does with a graph and its weights.

    Sequential stays Sequential where every layer has a counterpart; else the model is functional. It computes in
    float32, whatever Keras's policy is. `keras_names` are the layers' names in Keras, as far as they are sound; see
    `given_back`.

    Raises
    ------
    FileError
        A class is not known or cannot be equal, a setting is odd, or weights are missing, too many, or misshapen.
    """
    if not is_of_keras_three(graph, weights):
        return _built(graph, weights, keras_names)
    try:
        read = _built(as_tensorflow_js(graph), weights, keras_names, as_in_keras=True)
    except FileError as error:
        raise FileError(f"{error} {ADVICE}") from error
    return read


def _built(graph: TfjsGraph, weights: Mapping[str, np.ndarray], keras_names: Any, *, as_in_keras: bool = False) -> Read:
    """Build the model; `as_in_keras` refuses what Keras computes otherwise than TensorFlow.js."""
    stored, notices, all_masks = Stored(weights, (layer.name for layer in graph.walk())), Notices(), list[Masks]()
    # Keras's policy may be half precision, which would round the file's weights
    with _float32():
        builder = _Builder(graph, stored, notices, all_masks, keras_names)
        model = builder.build()
    check_none_lingers(all_masks)
    if as_in_keras and notices.ignored:
        raise FileError(f"{notices.ignored[0]}, so that it would be lost.")
    if as_in_keras and any(masks.dropped() for masks in all_masks):
        raise FileError(f"The model '{graph.name}' has a mask, which its layers use in Keras and not in TensorFlow.js.")
    # weights that are left over mean that another model was built than was saved
    stored.check_all_used()
    return Read(model, notices.sentences(), builder.names)


@contextmanager
def _float32() -> Iterator[None]:
    """Make layers compute in float32, as TensorFlow.js does."""
    config = import_keras().config
    before = config.dtype_policy()
    config.set_dtype_policy("float32")
    try:
        yield
    finally:
        config.set_dtype_policy(before)


@contextmanager
def _saying(which: str) -> Iterator[None]:
    """Turn what Keras and JAX raise, of many kinds, for settings that do not fit."""
    try:
        yield
    # ours say more already, and lack of memory is no fault of the file
    except (FitwellError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileError(f"{which} cannot be made: {first[:300]}") from error


def _described(layer: TfjsLayer) -> str:
    return f"The layer '{layer.name}' ({layer.class_name})"


class _Builder:
    """Builds one model; nested ones have builders of their own."""

    def __init__(
        self, graph: TfjsGraph, stored: Stored, notices: Notices, all_masks: list[Masks], keras_names: Any = None,
        around: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.models = (*around, graph.name)
        self.graph, self.stored, self.notices, self.all_masks = graph, stored, notices, all_masks
        self.keras = import_keras()
        safe = safe_names([graph.name, *(layer.name for layer in graph.layers)])
        self.names = given_back(keras_names, safe)
        self.taken = {self.names[layer.name] for layer in graph.layers}
        notices.renamed.update({name: new for name, new in self.names.items() if "/" in name})
        self.tensors: dict[TfjsTensor, Any] = {}
        self.made: dict[str, Made] = {}

    def build(self) -> Any:
        """Make the model."""
        with _saying(f"The model '{self.graph.name}'"):
            return self._sequential() or self._functional()

    def _new_masks(self) -> Masks:
        """Follow masks from here on; nested models do so for themselves."""
        self.masks = Masks(self.graph)
        return self.masks

    # ---- one layer ---------------------------------------------------------------------------------------------------

    def _input(self, layer: TfjsLayer) -> Any:
        config = layer.config
        return self.keras.Input(config["batch_input_shape"][1:], dtype=config["dtype"], name=self.names[layer.name])

    def _layer(self, layer: TfjsLayer, inputs: list[Any]) -> Made:
        """Return what stands for a layer, made and given its weights by the first call."""
        if layer.name not in self.made:
            if not inputs:
                raise FileError(f"{_described(layer)} takes no tensor.")
            self.made[layer.name] = self._nested(layer) if layer.graph is not None else self._make(layer, inputs)
        return self.made[layer.name]

    def _nested(self, layer: TfjsLayer) -> Made:
        assert layer.graph is not None
        inner = _Builder(layer.graph, self.stored, self.notices, self.all_masks, around=self.models)
        return Made((inner.build(),))

    def _place(self, layer: TfjsLayer) -> Place:
        return Place(layer.name, self.models)

    def _make(self, layer: TfjsLayer, inputs: list[Any]) -> Made:
        kind = layer.class_name
        if kind in NOT_READ:
            raise FileError(f"{_described(layer)} is not read. {NOT_READ[kind]}")
        if kind not in LAYER_READERS:
            raise FileError(
                f"The layer '{layer.name}' has the class {kind[:100]!r}, which TensorFlow.js does not have."
            )
        place = self._place(layer)
        settings = LayerSettings(layer.name, kind, layer.config, lambda weight: self.stored.shape(place, weight))
        if settings.has("activity_regularizer"):
            raise settings.refuse("has an activity regularizer, with which TensorFlow.js calls no layer: leave it out.")
        made = LAYER_READERS[kind](settings, self.names[layer.name])
        self._name_apart(made)
        if made.weights:
            self._give_weights(layer, made, inputs)
        if layer.config.get("trainable") is False and hasattr(made.parts[0], "trainable"):
            made.parts[0].trainable = False
        self.notices.see(settings, made, inputs)
        return made

    def _name_apart(self, made: Made) -> None:
        """Give the layers behind the first names that no other layer of the model has."""
        for part in made.parts[1:]:
            while getattr(part, "name", None) in self.taken:
                part.name += "_"
            self.taken.add(getattr(part, "name", ""))

    def _give_weights(self, layer: TfjsLayer, made: Made, inputs: list[Any]) -> None:
        """Build a layer without memory for its variables until their shapes are known to be those of the file."""
        first = made.parts[0]
        try:
            # a few bytes of settings can ask for gigabytes of kernel: nothing is taken before the shapes agree
            with self.keras.StatelessScope(initialize_variables=False):
                first.build(inputs[0].shape)
            give(first, self.stored.of(self._place(layer), made, first.weights))
        finally:
            forget_unbuilt_variables()

    def _check_size(self, layer: TfjsLayer, outputs: Any) -> Any:
        for output in outputs if isinstance(outputs, list | tuple) else [outputs]:
            # a chain of harmless layers (repeats, up-sampling) can grow beyond any memory
            if math.prod(size or 1 for size in output.shape[1:]) > MOST_NUMBERS:
                raise FileError(f"{_described(layer)} makes more than {MOST_NUMBERS:,} numbers of one row.")
        return outputs

    # ---- a chain -----------------------------------------------------------------------------------------------------

    def _sequential(self) -> Any:
        """Make a Sequential, or None if that cannot be: its layers are called by Keras alone, and so just once."""
        source, *layers = self.graph.layers
        masks = self._new_masks()
        if not self.graph.sequential or not layers or masks.dropped():
            return None
        start = tensor = self._input(source)
        parts: list[Any] = []
        for layer in layers:
            with _saying(_described(layer)):
                masks.see(layer, 0, len(tensor.shape))
                made = self._layer(layer, [tensor])
                # a function has no place in a Sequential; the model becomes functional
                if not all(isinstance(part, self.keras.layers.Layer) for part in made.parts):
                    return None
                for part in made.parts:
                    tensor = self._check_size(layer, self._shape_behind(part, tensor))
            parts += made.parts
        self.all_masks.append(masks)
        return self.keras.Sequential([start, *parts], name=self.names[self.graph.name])

    @staticmethod
    def _shape_behind(part: Any, tensor: Any) -> Any:
        if not part.built:
            part.build(tensor.shape)
        return part.compute_output_spec(tensor)

    # ---- any other graph ---------------------------------------------------------------------------------------------

    def _functional(self) -> Any:
        """Call every layer as often as the graph does."""
        self.all_masks.append(self._new_masks())
        # by calls, since the order of layers does not say which call of a shared one comes first
        waiting = [(layer, number) for layer in self.graph.layers for number in range(len(layer.calls))]
        while waiting:
            later = [(layer, number) for layer, number in waiting if not self._called(layer, number)]
            # none of them could be called: nor would any in the next round
            if len(later) == len(waiting):
                raise FileError(f"{_described(later[0][0])} takes a tensor that no layer gives.")
            waiting = later
        inputs, outputs = ([self._tensor(t) for t in tensors] for tensors in (self.graph.inputs, self.graph.outputs))
        # Keras takes a list of one for another structure than a tensor
        ends = [values[0] if len(values) == 1 else values for values in (inputs, outputs)]
        return self.keras.Model(*ends, name=self.names[self.graph.name])

    def _called(self, layer: TfjsLayer, number: int) -> bool:
        """Call a layer if its tensors are there."""
        if layer.class_name == "InputLayer":
            self.tensors[TfjsTensor(layer.name)] = self._input(layer)
            return True
        if not all(tensor in self.tensors for tensor in layer.calls[number]):
            for tensor in layer.calls[number]:
                self._check_output(tensor)
            return False
        inputs = [self.tensors[tensor] for tensor in layer.calls[number]]
        with _saying(_described(layer)):
            self.masks.see(layer, number, len(inputs[0].shape) if inputs else 0)
            made = self._layer(layer, inputs)
            outputs = self._check_size(layer, self._run(layer, made, self._masked_as_there(layer, number, inputs)))
        for place, output in enumerate(outputs if isinstance(outputs, list | tuple) else [outputs]):
            self.tensors[TfjsTensor(layer.name, number, place)] = output
        return True

    def _masked_as_there(self, layer: TfjsLayer, number: int, inputs: list[Any]) -> list[Any]:
        """Return the tensors with the masks that TensorFlow.js's layer looks at; a copy has none."""
        if layer.class_name in KEEPING:
            return inputs
        masked = map(self.masks.is_masked, layer.calls[number])
        copy = self.keras.ops.copy
        return [copy(tensor) if has else tensor for tensor, has in zip(inputs, masked, strict=True)]

    def _run(self, layer: TfjsLayer, made: Made, inputs: list[Any]) -> Any:
        first, *rest = made.parts
        if layer.class_name in LISTS or (layer.graph is not None and len(inputs) > 1):
            outputs = first(inputs)
        elif len(inputs) > 1 and layer.class_name in RECURRENT:
            # TensorFlow.js lists states as further inputs of the same call
            outputs = first(inputs[0], initial_state=inputs[1:])
        elif len(inputs) > 1:
            raise FileError(f"{_described(layer)} takes one tensor. Got {len(inputs)}.")
        else:
            outputs = first(inputs[0])
        for part in rest:
            outputs = part(outputs)
        return outputs

    def _tensor(self, tensor: TfjsTensor) -> Any:
        self._check_output(tensor)
        if tensor not in self.tensors:
            raise FileError(f"The model's output '{tensor.layer}' is not there.")
        return self.tensors[tensor]

    def _check_output(self, tensor: TfjsTensor) -> None:
        if tensor not in self.tensors and TfjsTensor(tensor.layer, tensor.call) in self.tensors:
            raise FileError(f"The layer '{tensor.layer}' has no output number {tensor.output}.")
