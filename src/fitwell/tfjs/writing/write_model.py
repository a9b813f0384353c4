"""Walks a live Keras model and writes each call of a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.errors import InputError
from fitwell.keras.backend import import_keras
from fitwell.keras.internals import graph_of_sequential, nodes_behind, operation_of
from fitwell.keras.rebuilding import is_graph
from fitwell.tfjs.graph import TfjsGraph
from fitwell.tfjs.writing import write_layers, write_operations
from fitwell.tfjs.writing.nodes import MASKS, arguments_of, data_of, in_order, mask_name, masks_of
from fitwell.tfjs.writing.sheet import LayerCall, Shape, Sheet, Value, mask_made_by
from fitwell.tfjs.writing.tfjs_names import safe
from fitwell.tfjs.writing.writers import LAYER_WRITERS, NOT_WRITTEN, UNKNOWN


@dataclass(frozen=True)
class Written:
    """A Keras model as TensorFlow.js can have it.

    Attributes
    ----------
    graph
        Without nested models: their layers are among the others.
    weights
        By TensorFlow.js's names of them.
    names
        Of layers whose Keras name could not be kept: the new one to the old one.
    notices
        What was left out or is written another way.
    """

    graph: TfjsGraph
    weights: dict[str, np.ndarray]
    names: dict[str, str]
    notices: tuple[str, ...]


def to_tfjs(model: Any) -> Written:
    """Write a Keras model as layers that TensorFlow.js has; the model is left as it is.

    Parameters
    ----------
    model
        A `Sequential` or functional model that is built, of Keras's own layers and fitwell's.

    Raises
    ------
    InputError
        A layer, an option or the kind of the model cannot be the same in TensorFlow.js.
    """
    walker = _written(model, keep_masks=True)
    # masks that nobody reads would still reach later layers in TensorFlow.js
    if walker.sheet.masks_made and not walker.sheet.masks_read:
        walker = _written(model, keep_masks=False)
    # at the end: only then is it known who reads masks and who lacks one
    walker.check_masks()
    return walker.result()


def _written(model: Any, *, keep_masks: bool) -> _Walker:
    walker = _Walker(model, Sheet(keep_masks=keep_masks))
    walker.walk()
    return walker


class _Walker:
    """Writes one model on one sheet."""

    def __init__(self, model: Any, sheet: Sheet) -> None:
        self.model, self.sheet = model, sheet
        self.names: dict[str, str] = {}
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []

    def walk(self) -> None:
        """Write the whole model."""
        function = _function_of(self.model)
        for tensor in function.inputs:
            name = operation_of(tensor).name
            if len(tensor.shape) < 2:
                raise InputError(
                    f"The input '{name}' has the shape {tuple(tensor.shape)}, and TensorFlow.js predicts only from "
                    "inputs [rows, ...] of two axes or more; give it the shape (1,)."
                )
            self.inputs.append(self.sheet.input(name, _shape(tensor.shape), _input_dtype(tensor)))
        outputs = self._run(function, self.inputs)
        taken = {value.tensor for value in self.inputs}
        for value in outputs:
            if value.tensor in taken:  # TensorFlow.js wants outputs that are none of its inputs, each once
                value = self._copy(value, len(self.outputs))
            taken.add(value.tensor)
            self.outputs.append(value)
        if _policies(function):
            self.sheet.note("The model computes in less than float32 in Keras; TensorFlow.js computes in float32.")

    def _copy(self, value: Value, number: int) -> Value:
        tensor = self.sheet.call(
            id(self), f"output_{number}", f"output_{number}", "Activation",
            {"trainable": True, "activation": "linear"}, {}, [value], 1, value.shape,
        )  # fmt: skip
        return dataclasses.replace(value, tensor=tensor)

    def check_masks(self) -> None:
        """Refuse what TensorFlow.js computes from masks and states that belong to other layers."""
        sheet = self.sheet
        if sheet.masks_made and sheet.readers_without_mask:
            raise InputError(
                f"Layer '{sheet.readers_without_mask[0]}' has no mask, but TensorFlow.js would hand it that of another "
                "layer; let all recurrent layers of the model have the mask, or none (mask_zero=False)."
            )
        if sheet.masks_made and sheet.states_given:
            raise InputError(
                "Masks and initial states in one model are not offered: TensorFlow.js hands both on to other layers; "
                "use mask_zero=False."
            )

    def result(self) -> Written:
        """Return what was written."""
        graph = self.sheet.graph(safe(self.model.name), self.inputs, self.outputs)
        return Written(graph, self.sheet.weights(), self._renamed(), tuple(self.sheet.notices))

    def _renamed(self) -> dict[str, str]:
        return {new: old for new, old in self.sheet.renamed().items() if new != old}

    def _run(self, function: Any, inputs: list[Value]) -> list[Value]:
        """Write the calls that lead from the inputs of a graph to its outputs, and return those."""
        values = {id(tensor): value for tensor, value in zip(function.inputs, inputs, strict=True)}
        for node in in_order(function.outputs, values):
            outputs = self._node(node, values)
            values |= {id(tensor): value for tensor, value in zip(node.outputs, outputs, strict=True)}
        return [values[id(tensor)] for tensor in function.outputs]

    def _node(self, node: Any, values: dict[int, Value]) -> list[Value]:
        operation = node.operation
        given = [values[id(tensor)] for tensor in data_of(node)]
        arguments = _bound(node, values)
        self._check_mask(node, given, values)
        if _is_model(operation):
            _check_types(operation, data_of(node))
        shapes = [_shape(tensor.shape) for tensor in node.outputs]
        return self._layer(self.sheet, operation, given, arguments, shapes)

    def _layer(
        self, sheet: Sheet, layer: Any, inputs: list[Value], arguments: dict[str, Any], shapes: list[Shape]
    ) -> list[Value]:
        if _is_model(layer):
            return _Inner(self, sheet).run(layer, inputs)
        call = LayerCall(sheet, layer, arguments, shapes, self._layer)
        written = _writer(call)(call, inputs)
        outputs = [written] if isinstance(written, Value) else list(written)
        # by Keras's rules, beside the mask that TensorFlow.js will have: where they differ is refused
        mask = _keras_mask(layer, inputs)
        sized = [dataclasses.replace(value, shape=shape) for value, shape in zip(outputs, shapes, strict=True)]
        return [dataclasses.replace(sized[0], keras_mask=mask), *sized[1:]]

    def _check_mask(self, node: Any, given: list[Value], values: dict[int, Value]) -> None:
        """Refuse a mask that was given by hand: Keras's own ones are written with the layers that make them."""
        for name, mask in masks_of(node):
            own = {value.keras_mask for value in given}
            if mask is not None and mask_name(mask, values) not in own - {None}:
                raise InputError(
                    f"Layer '{node.operation.name}' is called with {name}=..., which TensorFlow.js has no place for; "
                    "use Masking or mask_zero=True."
                )


class _Inner:
    """Writes the graph of a nested model on the sheet of the outer one."""

    def __init__(self, walker: _Walker, sheet: Sheet) -> None:
        # on the same sheet: TensorFlow.js cannot load two nested models with like-named layers
        self.walker = _Walker(walker.model, sheet)

    def run(self, model: Any, inputs: list[Value]) -> list[Value]:
        """Write a call of the model."""
        function = _function_of(model)
        fitted = [self._fit(model, value, tensor) for value, tensor in zip(inputs, function.inputs, strict=True)]
        return self.walker._run(function, fitted)

    def _fit(self, model: Any, value: Value, tensor: Any) -> Value:
        if len(value.shape) != len(tensor.shape):
            raise InputError(f"The nested model '{model.name}' is called with a tensor of another rank; reshape it.")
        return value


def _check_types(model: Any, given: Sequence[Any]) -> None:
    """Refuse a nested model for which Keras would cut off decimals: only embeddings of TensorFlow.js do that."""
    function = _function_of(model)
    for tensor, inner in zip(given, function.inputs, strict=True):
        if tensor.dtype == inner.dtype or not inner.dtype.startswith(("int", "uint", "bool")):
            continue
        if inner.dtype in ("int32", "int64") and tensor.dtype.startswith(("int", "uint", "bool")):
            continue
        takers = [node.operation for node in in_order(function.outputs, {id(one): one for one in function.inputs})
                  if any(one is inner for one in data_of(node))]  # fmt: skip
        if not all(isinstance(taker, import_keras().layers.Embedding) for taker in takers):
            raise InputError(
                f"The nested model '{model.name}' has an input of {inner.dtype} and is called with {tensor.dtype}: "
                "Keras cuts off decimals there, and no layer of TensorFlow.js does. Give both the same type."
            )


def _function_of(model: Any) -> Any:
    """Return the graph of a Sequential or functional model."""
    keras = import_keras()
    kind = type(model).__name__
    if not isinstance(model, keras.Model):
        raise InputError(f"A Keras model is needed to write a TensorFlow.js model. Got {kind}.")
    if isinstance(model, keras.Sequential):
        function = graph_of_sequential(model)
        if function is None:
            raise InputError(f"The model '{model.name}' is not built: add an Input, or call it once on data.")
        # a subclass may compute anything
        if type(model).call is not keras.Sequential.call:
            raise InputError(_OWN.format(name=model.name, kind=kind))
        return function
    if not is_graph(model) or not type(model).call.__module__.startswith("keras."):
        raise InputError(_OWN.format(name=model.name, kind=kind))
    return model


_OWN = (
    "The model '{name}' ({kind}) computes by Python code of its own, which TensorFlow.js cannot run; build it as a "
    "Sequential or functional model."
)


def _is_model(layer: Any) -> bool:
    return isinstance(layer, import_keras().Model)


def _writer(call: LayerCall) -> Any:
    """Return the writer of a layer or an operation."""
    layer, made = call.layer, type(call.layer)
    keras = import_keras()
    # by the class itself: a class of somebody else's may have the same name
    name = next((one for one in (*LAYER_WRITERS, *NOT_WRITTEN) if getattr(keras.layers, one, None) is made), None)
    if name in LAYER_WRITERS:
        return LAYER_WRITERS[name]
    if name in NOT_WRITTEN:
        call.refuse(NOT_WRITTEN[name])
    if not isinstance(layer, keras.layers.Layer):
        writer = write_operations.writer_of(layer)
        if writer is not None:
            return writer
        call.refuse("no layers of TensorFlow.js can express this operation; use layers, or arithmetic with numbers.")
    own = _fitwell().get(made)
    if own is None:
        call.refuse(UNKNOWN)
    return own


def _fitwell() -> dict[type, Any]:
    """Return the writers of fitwell's layers: at inference they are Keras's."""
    from fitwell.keras import layers

    return {layers.Dense: write_layers.write_dense, layers.Dropout: write_layers.write_dropout}


def _bound(node: Any, values: dict[int, Value]) -> dict[str, Any]:
    """Return the arguments of a call by name, tensors as what was written for them."""
    keras = import_keras()

    def seen(value: Any) -> Any:
        return values[id(value)] if isinstance(value, keras.KerasTensor) else value

    return {key: keras.tree.map_structure(seen, value) for key, value in arguments_of(node).items() if key not in MASKS}


def _keras_mask(layer: Any, inputs: list[Value]) -> Any:
    """Return the mask that Keras gives the output of a layer."""
    name = type(layer).__name__
    if name == "Masking" or (name == "Embedding" and layer.mask_zero):
        return mask_made_by(name, {"mask_value": getattr(layer, "mask_value", 0.0)}, inputs[0])
    masks = {value.keras_mask for value in inputs}
    if masks == {None} or not getattr(layer, "supports_masking", False):
        return None
    if name in _JOINING:
        return masks.pop() if len(masks) == 1 and name != "Concatenate" else None if None in masks else object()
    if name in _FORGETTING or getattr(layer, "return_sequences", None) is False:
        return None
    return inputs[0].keras_mask


_JOINING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
_FORGETTING = ("Dot", "GlobalAveragePooling1D")


def _shape(shape: Any) -> Shape:
    return tuple(None if size is None else int(size) for size in shape)


def _input_dtype(tensor: Any) -> str:
    """Return float32, and int32 for whole numbers that embeddings alone take: arithmetic there needs float32."""
    if tensor.dtype == "string":
        raise InputError(f"The input '{tensor.name}' holds strings, which TensorFlow.js's layers do not take.")
    whole = str(tensor.dtype).startswith(("int", "uint"))
    users = {type(node.operation).__name__ for node in nodes_behind(operation_of(tensor))}
    # NotEqual is what Keras makes the mask of an embedding with
    return "int32" if whole and users <= {"Embedding", "NotEqual"} and users else "float32"


def _policies(function: Any) -> bool:
    return any(getattr(layer, "compute_dtype", "float32") in ("float16", "bfloat16") for layer in function.layers)
