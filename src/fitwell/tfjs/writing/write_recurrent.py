"""Recurrent layers and the wrappers around layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fitwell.keras.backend import import_keras, is_keras_own
from fitwell.tfjs.graph import TfjsTensor
from fitwell.tfjs.writing import activations
from fitwell.tfjs.writing.fields import weight_fields
from fitwell.tfjs.writing.sheet import LayerCall, Sheet, Value, Writer, as_float32
from fitwell.tfjs.writing.spatial import LAST

GATES = {"SimpleRNN": (1, ()), "LSTM": (4, (0, 1, 3)), "GRU": (3, (0, 1)), "ConvLSTM2D": (4, (0, 1, 3))}
"""By kind of cell: into how many parts its kernels fall, and which of them the recurrent activation is for."""

CANDIDATE = {"SimpleRNN": 0, "GRU": 2}
"""The part that only the activation is for: an LSTM applies it to its state too, which no weight scales."""

RESET_AFTER = (
    "TensorFlow.js has no GRU with reset_after=True, Keras's default, and none of its layers can express one; "
    "train a GRU(reset_after=False), or an LSTM."
)
STATEFUL = "stateful layers keep what they saw between calls; write the model with stateful=False."


def recurrent_writer(kind: str) -> Writer:
    """Return the writer of a recurrent layer with a cell of a kind."""

    def write(call: LayerCall, inputs: list[Value]) -> Any:
        layer = call.layer
        config, weights = cell_config(call, layer.cell, kind)
        return _call(call, kind, inputs, layer, config, weights)

    return write


def write_conv_lstm(call: LayerCall, inputs: list[Value]) -> Any:
    """Write a `ConvLSTM2D`."""
    layer, cell = call.layer, call.layer.cell
    if cell.data_format != LAST:
        call.refuse("channels first are not offered; use channels_last.")
    config, weights = cell_config(call, cell, "ConvLSTM2D")
    config |= {
        "kernel_size": list(cell.kernel_size), "strides": list(cell.strides), "padding": cell.padding,
        "data_format": LAST, "dilation_rate": list(cell.dilation_rate),
    }  # fmt: skip
    return _call(call, "ConvLSTM2D", inputs, layer, config, weights)


def write_rnn(call: LayerCall, inputs: list[Value]) -> Any:
    """Write an `RNN` over one of Keras's cells or a stack of them."""
    layer, keras = call.layer, import_keras()
    stacked = type(layer.cell) is keras.layers.StackedRNNCells
    cells = layer.cell.cells if stacked else [layer.cell]
    made, weights = [], {}
    for number, cell in enumerate(cells):
        kind = CELLS.get(type(cell).__name__) if is_keras_own(cell) else None
        if kind is None:
            call.refuse(f"its cell {type(cell).__name__} is none of Keras's SimpleRNNCell, LSTMCell and GRUCell.")
        config, own = cell_config(call, cell, kind)
        made.append({"class_name": f"{kind}Cell", "config": {"name": f"cell_{number}", **config}})
        prefix = f"RNNCell_{number}/" if stacked else ""
        weights |= {prefix + name: value for name, value in own.items()}
    if not stacked:
        return _call(call, "RNN", inputs, layer, {"cell": made[0]}, weights)
    if layer.return_state or len(inputs) > 1 or inputs[0].keras_mask is not None:
        call.refuse("stacked cells are written without states and masks; use one layer for each cell.")
    return _call(call, "RNN", inputs, layer, {"cell": {"class_name": "StackedRNNCells", "config": {"cells": made}}},
                 weights)  # fmt: skip


CELLS = {"SimpleRNNCell": "SimpleRNN", "LSTMCell": "LSTM", "GRUCell": "GRU"}


def cell_config(call: LayerCall, cell: Any, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration of a cell and its weights, scaled where an activation means something else."""
    if kind == "GRU" and cell.reset_after:
        call.refuse(RESET_AFTER)
    biases = ["bias"] if cell.use_bias else []
    fields = weight_fields(call, "kernel", "recurrent", *biases, of=cell)
    size = {"filters": int(cell.filters)} if kind == "ConvLSTM2D" else {"units": int(cell.units)}
    config = {
        **size, "use_bias": bool(cell.use_bias), "dropout": float(cell.dropout),
        "recurrent_dropout": float(cell.recurrent_dropout), **fields,
    }  # fmt: skip
    if kind in ("LSTM", "ConvLSTM2D"):
        config["unit_forget_bias"] = bool(cell.unit_forget_bias)
    if kind == "GRU":
        config["reset_after"] = False
    weights = {name: as_float32(getattr(cell, name)) for name in ("kernel", "recurrent_kernel", *biases)}
    parts, gates = GATES[kind]
    config["activation"] = _activation(call, cell.activation, weights, parts, [CANDIDATE.get(kind)])
    if gates:
        config["recurrent_activation"] = _activation(call, cell.recurrent_activation, weights, parts, gates)
    return config, weights


def _activation(call: LayerCall, activation: Any, weights: dict[str, np.ndarray], parts: int, columns: Any) -> str:
    """Return TensorFlow.js's name of an activation inside a cell; scales the columns that it sees, if it has to."""
    name = activations.own_name(activation)
    if name is not None:
        return name
    if activations.keras_name(activation) != "hard_sigmoid" or None in columns:
        described = getattr(activation, "__name__", type(activation).__name__)
        call.refuse(f"its activation '{described}' is none that TensorFlow.js has inside a recurrent layer.")
    # Keras clips x / 6 + 1/2, TensorFlow.js x / 5 + 1/2
    call.note("its weights are scaled by 5/6 for hard_sigmoid, of which TensorFlow.js has another; penalties stay.")
    for name in weights:
        pieces = np.split(weights[name], parts, axis=-1)
        # only the gates: the candidate has an activation of its own
        scaled = [piece * np.float32(5 / 6) if n in columns else piece for n, piece in enumerate(pieces)]
        weights[name] = np.concatenate(scaled, axis=-1)
    return "hard_sigmoid"


def _flags(call: LayerCall, layer: Any, inputs: list[Value]) -> dict[str, Any]:
    """Return the fields of the loop over steps, and check the masks that it reads."""
    if layer.stateful:
        call.refuse(STATEFUL)
    # also where there is no mask: TensorFlow.js may hand an earlier layer's mask to it
    call.read_mask(inputs[0])
    if inputs[0].mask is not None and getattr(layer, "zero_output_for_mask", False) and layer.return_sequences:
        call.refuse(
            "its outputs at masked steps are zeros, which TensorFlow.js does not offer; train without the mask."
        )
    if len(inputs) > 1:
        call.sheet.states_given = True
    return {name: bool(getattr(layer, name)) for name in ("return_sequences", "return_state", "go_backwards")}


def _call(
    call: LayerCall, class_name: str, inputs: list[Value], layer: Any, config: dict[str, Any], weights: dict[str, Any]
) -> Any:
    flags = _flags(call, layer, inputs)
    outputs = call.add_many(
        class_name, inputs, "", len(call.shapes), weights, shape=call.shapes[0], stateful=False, **flags, **config
    )
    return outputs


def write_bidirectional(call: LayerCall, inputs: list[Value]) -> Any:
    """Write a `Bidirectional` around one of Keras's recurrent layers; the two ways are alike but for their weights."""
    layer = call.layer
    forward, backward = layer.forward_layer, layer.backward_layer
    keras = import_keras()
    kind = {keras.layers.SimpleRNN: "SimpleRNN", keras.layers.LSTM: "LSTM", keras.layers.GRU: "GRU"}.get(type(forward))
    if kind is None or type(backward) is not type(forward):
        call.refuse("around a layer other than SimpleRNN, LSTM and GRU it is not offered.")
    config, weights = cell_config(call, forward.cell, kind)
    other, other_weights = cell_config(call, backward.cell, kind)
    # the file holds the forward layer alone, and both ways are made of it; their weights are there, however they began
    if without_beginnings(config) != without_beginnings(other):
        call.refuse("its backward layer must be configured as its forward layer.")
    if len(inputs) > 1:
        call.refuse("initial states are not offered; use two layers.")
    flags = _flags(call, forward, inputs)
    inner = kind.lower()
    config = {"name": inner, "trainable": bool(layer.trainable), "stateful": False, **flags, **config}
    named = {f"{way}_{inner}/{name}": value for way, own in (("forward", weights), ("backward", other_weights))
             for name, value in own.items()}  # fmt: skip
    return call.add_many(
        "Bidirectional", inputs, "", len(call.shapes), named, shape=call.shapes[0],
        merge_mode=layer.merge_mode, layer={"class_name": kind, "config": config},
        return_sequences=flags["return_sequences"],
    )  # fmt: skip


def without_beginnings(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without initializers."""
    return {key: value for key, value in config.items() if not key.endswith("_initializer")}


def write_time_distributed(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `TimeDistributed` as one around each of the layers that the inner one is written as."""
    layer, value = call.layer.layer, inputs[0]
    # the inner layer sees one step, without the axis of steps
    step = Value(TfjsTensor("step"), (value.shape[0], *value.shape[2:]))
    # a sheet of its own: what the inner layer becomes is wrapped piece by piece
    sheet = Sheet(keep_masks=False)
    shapes = [layer.compute_output_shape(step.shape)]
    [last] = call.write(sheet, layer, [step], {}, shapes)
    for notice in sheet.notices:
        call.sheet.note(notice)
    if sheet.readers_without_mask:
        call.read_mask(value)
        call.refuse_mask(value)
    chain = list(sheet.written.values())
    tensors = [step.tensor, *(TfjsTensor(one.name) for one in chain)]
    if [one.calls for one in chain] != [[(tensor,)] for tensor in tensors[:-1]] or last.tensor != tensors[-1]:
        call.refuse(f"its layer '{layer.name}' is several layers in TensorFlow.js that are no chain; use it outside.")
    for number, one in enumerate(chain):
        inner = {"class_name": one.class_name, "config": {"name": one.name, **one.config}}
        shape = (*value.shape[:2], *one.shape[1:])
        part = "" if number == 0 else one.name
        value = call.add("TimeDistributed", value, part, weights=one.weights, shape=shape, layer=inner)
    return value
