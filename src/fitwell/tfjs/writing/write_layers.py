"""Layers that TensorFlow.js has too, with the configurations that it needs, and small relatives of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fitwell.tfjs.writing import activations
from fitwell.tfjs.writing.fields import tell_left_out, weight_fields
from fitwell.tfjs.writing.sheet import LayerCall, Value, Writer, total_size


def simple_writer(class_name: str, **fields: str) -> Writer:
    """Return the writer of a layer without weights: `fields` name attributes of the Keras layer."""

    def write(call: LayerCall, inputs: list[Value]) -> Value:
        config = {key: as_json(getattr(call.layer, attribute)) for key, attribute in fields.items()}
        return call.add(class_name, inputs, **config)

    return write


def as_json(value: Any) -> Any:
    """Return a value of a configuration as JSON has it."""
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def left_out_writer(reason: str) -> Writer:
    """Return the writer of a layer that does nothing at inference."""

    def write(call: LayerCall, inputs: list[Value]) -> Value:
        tell_left_out(call, call.layer)
        call.note(f"it is left out: {reason}.")
        return inputs[0]

    return write


def write_dense(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Dense` layer."""
    layer = call.layer
    check_quantized(call)
    if float(getattr(layer, "dropout_rate", 0.0)) > 0:
        call.note("its dropping of weights (dropout_rate) is left out, since no layer of TensorFlow.js does that.")
    fields = weight_fields(call, "kernel", "bias") if layer.use_bias else weight_fields(call, "kernel")
    bias = layer.bias if layer.use_bias else None
    return activations.written(
        call, layer.activation, lambda name: call.dense(inputs[0], layer.kernel, bias, "", activation=name, **fields)
    )


def check_quantized(call: LayerCall) -> None:
    """Refuse a quantized layer, and tell that LoRA's matrices are merged."""
    if getattr(call.layer, "quantization_mode", None) is not None:
        call.refuse("it is quantized; write the model as it was before quantize().")
    if getattr(call.layer, "lora_enabled", False):
        call.note("its LoRA matrices are merged into its kernel.")


def write_dropout(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Dropout` of Keras or of fitwell."""
    layer = call.layer
    shape = getattr(layer, "noise_shape", None)
    # no seed: a seeded dropout of TensorFlow.js drops the same units in every batch
    config = {"rate": float(layer.rate.numpy() if hasattr(layer.rate, "numpy") else layer.rate), "seed": None}
    return call.add("Dropout", inputs, noise_shape=as_json(shape), **config)


def write_alpha_dropout(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `AlphaDropout`, which TensorFlow.js gets wrong in training."""
    call.note("TensorFlow.js's AlphaDropout shifts the mean when it trains; at inference it does nothing.")
    return call.add("AlphaDropout", inputs, rate=float(call.layer.rate))


def write_embedding(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `Embedding`."""
    layer = call.layer
    check_quantized(call)
    fields = {
        "input_dim": int(layer.input_dim), "output_dim": int(layer.output_dim), **weight_fields(call, "embeddings"),
        "mask_zero": bool(layer.mask_zero) and call.sheet.keep_masks,
    }  # fmt: skip
    shape = (*inputs[0].shape, int(layer.output_dim))
    return call.add("Embedding", inputs, shape=shape, weights={"embeddings": layer.embeddings}, **fields)


def write_activation(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `Activation`."""
    tell_left_out(call, call.layer)
    return activations.add_activation(call, call.layer.activation, inputs[0], "")


def write_relu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `ReLU`."""
    layer = call.layer
    top = None if layer.max_value is None else float(layer.max_value)
    return activations.add_relu(call, inputs[0], "", float(layer.negative_slope), top, float(layer.threshold))


def write_prelu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `PReLU`."""
    layer = call.layer
    fields = weight_fields(call, "alpha")
    return call.add("PReLU", inputs, weights={"alpha": layer.alpha}, shared_axes=as_json(layer.shared_axes), **fields)


def write_softmax(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Softmax` over one axis: as an `Activation`, since TensorFlow.js's layer reads masks of others."""
    call.refuse_mask(*inputs)
    if call.arguments.get("mask") is not None:
        call.refuse("TensorFlow.js's softmax takes no mask; leave the mask out.")
    axis = call.layer.axis
    if isinstance(axis, list | tuple):
        if len(axis) != 1:
            call.refuse("a softmax over several axes is not offered; reshape them to one axis before it.")
        axis = axis[0]
    return along_last(call, inputs[0], axis, lambda value: call.activate(value, "softmax", ""))


def along_last(call: LayerCall, value: Value, axis: int, write: Callable[[Value], Value]) -> Value:
    """Write something that works along the last axis for another one."""
    rank = len(value.shape)
    axis %= rank
    if axis == 0:
        call.refuse("it works along the batch, which TensorFlow.js's layers cannot.")
    order = [number for number in range(1, rank) if number != axis] + [axis]
    # the inverse order, counted from 1 as Permute does
    back = [order.index(number) + 1 for number in range(1, rank)]
    return call.permute(write(call.permute(value, order, "to_last")), back, "from_last")


def write_flatten(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Flatten`; TensorFlow.js refuses one on rows that are flat."""
    value = inputs[0]
    if len(value.shape) == 2:
        return value
    if len(value.shape) == 1:
        return call.reshape(value, [1], "")
    if call.layer.data_format == "channels_first":
        value = call.permute(value, [*range(2, len(value.shape)), 1], "to_last")
    size = total_size(value.shape[1:])
    if size is None:
        call.refuse("TensorFlow.js flattens only known sizes; give all sizes to the model's Input.")
    return call.add("Flatten", value, shape=(value.shape[0], size))


def write_reshape(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Reshape` with its sizes resolved."""
    return call.add("Reshape", inputs, target_shape=resolved(call, inputs[0]))


def resolved(call: LayerCall, value: Value) -> list[int | None]:
    """Return the sizes that Keras computes for the output, of which one may be None."""
    sizes = [as_json(size) for size in call.shapes[0][1:]]
    unknown = [place for place, size in enumerate(sizes) if size is None]
    whole = total_size(value.shape[1:])
    if len(unknown) == 1 and whole is not None:
        known = [size for size in sizes if size is not None]
        sizes[unknown[0]] = whole // int(np.prod(known))
    elif len(unknown) > 1:
        call.refuse("more than one size of its output is unknown; give the sizes to the model's Input.")
    return sizes


def merge_writer(class_name: str) -> Writer:
    """Return the writer of a merge: like Keras, TensorFlow.js adds missing axes behind the batch."""

    def write(call: LayerCall, inputs: list[Value]) -> Value:
        return inputs[0] if len(inputs) == 1 else call.add(class_name, inputs)

    return write


def write_subtract(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Subtract` of two."""
    return call.merge("Add", [inputs[0], activations.add_negative(call, inputs[1], "turn")], "")


def write_concatenate(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Concatenate`."""
    axis = call.layer.axis % len(inputs[0].shape)
    if axis == 0:
        call.refuse("it joins rows of the batch, which TensorFlow.js's layers cannot.")
    return inputs[0] if len(inputs) == 1 else call.add("Concatenate", inputs, axis=axis)


def write_dot(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Dot`, which TensorFlow.js has for ranks up to 3."""
    if any(len(value.shape) > 3 for value in inputs):
        call.refuse("TensorFlow.js's Dot takes inputs of rank 2 or 3; reshape them before it.")
    axes = call.layer.axes
    pair = [axes, axes] if isinstance(axes, int) else list(axes)
    pair = [axis % len(value.shape) for axis, value in zip(pair, inputs, strict=True)]
    return call.add("Dot", inputs, axes=pair, normalize=bool(call.layer.normalize))


def write_category_encoding(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `CategoryEncoding`."""
    if call.arguments.get("count_weights") is not None:
        call.refuse("count_weights are not offered; leave them out.")
    return _encoded(call, inputs[0], int(call.layer.num_tokens), call.layer.output_mode)


def _encoded(call: LayerCall, value: Value, tokens: int, mode: str) -> Value:
    """Write categories as rows of the identity, one or the sum or the largest of several."""
    if len(value.shape) == 1:  # one number a row
        value = call.reshape(value, [1], "row")
    numbers_a_row = value.shape[len(value.shape) - 1]
    if len(value.shape) > 2 and (mode != "one_hot" or numbers_a_row == 1):
        call.refuse("only rows of numbers are encoded; reshape the input to [rows, numbers].")
    table = {"embeddings": np.eye(tokens, dtype=np.float32)}
    config = {"input_dim": tokens, "output_dim": tokens, "mask_zero": False}
    shape = (*value.shape, tokens)
    one_hot = call.add("Embedding", value, "one_hot", weights=table, shape=shape, constant=True, **config)
    if mode == "one_hot":
        return call.reshape(one_hot, [tokens], "flat") if numbers_a_row == 1 else one_hot
    if mode == "multi_hot":
        # the largest of one-hot rows is 1 for every category that occurs
        return call.add("GlobalMaxPooling1D", one_hot, shape=(shape[0], tokens))
    if numbers_a_row is None:
        call.refuse("counting needs a known number of categories a row; give it to the model's Input.")
    columns = call.permute(one_hot, [2, 1], "columns")
    # a sum over rows, which no layer of TensorFlow.js takes: a product with ones
    counts = call.dense(columns, np.ones((numbers_a_row, 1)), None, "count", constant=True)
    return call.reshape(counts, [tokens], "")


def write_discretization(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Discretization` as the sum of one steep step for each boundary."""
    layer, value = call.layer, inputs[0]
    if layer.bin_boundaries is None:
        call.refuse("it has no boundaries yet; call its adapt() first.")
    # as float32, in which both compare
    limits = np.asarray(layer.bin_boundaries, np.float32)
    each = call.reshape(value, [*value.shape[1:], 1], "each")
    distance = call.dense(each, np.ones((1, len(limits))), -limits, "distance", constant=True)
    # 1 from a distance of 0 on, 0 from the next smaller number on: TensorFlow.js clips 0.2 x + 0.5
    steps = call.activate(call.rescale(distance, 1e30, 10, "steep"), "hard_sigmoid", "steps")
    total = call.dense(steps, np.ones((len(limits), 1)), None, "sum", constant=True)
    bins = call.reshape(total, value.shape[1:], "bins")
    if layer.output_mode == "int":
        return bins
    return _encoded(call, bins, len(limits) + 1, layer.output_mode)
