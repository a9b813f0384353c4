"""Attention: as dot products, a softmax and dense layers, one set of them for each head."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import Any

import numpy as np

from fitwell.keras.internals import has_gate, projections, sliding_window_of
from fitwell.tfjs.writing import activations
from fitwell.tfjs.writing.fields import regularizer, tell_left_out, weight_fields
from fitwell.tfjs.writing.sheet import LayerCall, Value, as_float32, total_size
from fitwell.tfjs.writing.write_layers import check_quantized

# infinity is no JSON; exp of this is zero in float32 beside any score
FAR = -1e9
"""Added to the scores of places that must not be seen: their softmax is then exactly zero."""


def write_attention(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `Attention` with dot products."""
    layer = call.layer
    if layer.score_mode != "dot":
        call.refuse(f"its score_mode '{layer.score_mode}' is not offered; use 'dot' or AdditiveAttention.")
    scale = 1.0 if layer.scale is None else float(layer.scale.numpy())

    def score(query: Value, key: Value) -> Value:
        return _scores(call, query, key, scale, "")

    return _attend(call, inputs, score)


def write_additive_attention(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `AdditiveAttention`: each query meets each key in a table of its own."""
    layer = call.layer

    def score(query: Value, key: Value) -> Value:
        (_, rows, width), columns = query.shape, key.shape[1]
        if rows is None or columns is None:
            call.refuse("it needs known numbers of steps; give them to the model's Input.")
        pair = [call.reshape(query, [rows, 1, width], "rows"), call.reshape(key, [1, columns, width], "columns")]
        table = call.add("Add", pair, "table", shape=(query.shape[0], rows, columns, width))
        scale = np.ones(width or 0) if layer.scale is None else as_float32(layer.scale)
        sums = call.dense(call.activate(table, "tanh", "tanh"), scale.reshape(-1, 1), None, "scores")
        return call.reshape(sums, [rows, columns], "table_scores")

    return _attend(call, inputs, score)


def _attend(call: LayerCall, inputs: list[Value], score: Callable[[Value, Value], Value]) -> Value:
    call.refuse_mask(*inputs)
    _check_arguments(call)
    if call.layer.scale is not None:
        call.note("its scale is written as a constant or as a kernel of its own.")
    query, value = inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    scores = score(query, key)
    if call.arguments.get("use_causal_mask"):
        scores = _causal(call, scores, "causal")
    return _weighted(call, scores, value, "", call.layer.dropout)


def _check_arguments(call: LayerCall) -> None:
    if call.arguments.get("return_attention_scores"):
        call.refuse("return_attention_scores is not offered; leave it out.")
    if any(call.arguments.get(name) is not None for name in ("mask", "attention_mask")):
        call.refuse("a mask of its own is not offered; use_causal_mask is.")


def _scores(call: LayerCall, query: Value, key: Value, scale: float, part: str) -> Value:
    shape = (query.shape[0], query.shape[1], key.shape[1])
    scores = call.add("Dot", [query, key], f"{part}scores", axes=[2, 2], normalize=False, shape=shape)
    return scores if scale == 1 else call.rescale(scores, scale, 0, f"{part}scale")


def _causal(call: LayerCall, scores: Value, part: str) -> Value:
    rows, columns = scores.shape[1:]
    if rows is None or columns is None:
        call.refuse("use_causal_mask needs known numbers of steps; give them to the model's Input.")
    return call.rescale(scores, 1, np.triu(np.full((rows, columns), FAR), k=1), part)


def _weighted(call: LayerCall, scores: Value, value: Value, part: str, dropout: float) -> Value:
    """Write the mean of values, weighted by the softmax of scores."""
    shares = call.activate(scores, "softmax", f"{part}softmax" if part else "softmax")
    if dropout:
        shares = call.add("Dropout", shares, f"{part}dropout", rate=float(dropout), noise_shape=None, seed=None)
    shape = (scores.shape[0], scores.shape[1], value.shape[2])
    return call.add("Dot", [shares, value], f"{part}values", axes=[2, 1], normalize=False, shape=shape)


def write_multi_head_attention(call: LayerCall, _: list[Value]) -> Value:
    """Write a `MultiHeadAttention` of sequences."""
    layer = call.layer
    if sliding_window_of(layer) is not None or layer.attention_axes not in (None, (1,), [1]):
        call.refuse("attention_axes and sliding windows are not offered; use the whole sequence.")
    return _heads(call, layer.num_heads, layer.num_heads, layer.key_dim, layer.dropout, has_gate(layer))


def write_grouped_query_attention(call: LayerCall, _: list[Value]) -> Value:
    """Write a `GroupQueryAttention`."""
    layer = call.layer
    if layer.sliding_window is not None:
        call.refuse("sliding windows are not offered; use the whole sequence.")
    return _heads(call, layer.num_query_heads, layer.num_key_value_heads, layer.head_dim, layer.dropout, layer.use_gate)


def _heads(call: LayerCall, heads: int, shared: int, width: int, dropout: float, gate: bool) -> Value:
    arguments, dense = call.arguments, projections(call.layer)
    _check_arguments(call)
    if gate:
        call.refuse("use_gate is not offered; leave it out.")
    query, value = arguments["query"], arguments["value"]
    key = arguments.get("key")
    key = value if key is None else key
    call.refuse_mask(query, value, key)
    if any(len(one.shape) != 3 for one in (query, value, key)):
        call.refuse("only inputs [rows, steps, features] are offered; reshape them before it.")
    call.note("each head is written as layers of its own.")
    # Keras scales the query by it before the product; here the scores, which is the same
    scale = 1 / math.sqrt(width)
    keys = [_projection(call, dense.key, key, head, "key") for head in range(shared)]
    values = [_projection(call, dense.value, value, head, "value") for head in range(shared)]
    # TensorFlow.js's Dot takes rank 3 at most, so that heads cannot be an axis of their own
    made = []
    for head in range(heads):
        # of grouped queries several heads share one key and value
        part, other = f"head_{head}_", head * shared // heads
        own = _projection(call, dense.query, query, head, "query")
        scores = _scores(call, own, keys[other], scale, part)
        if arguments.get("use_causal_mask"):
            scores = _causal(call, scores, f"{part}causal")
        made.append(_weighted(call, scores, values[other], part, dropout))
    kernel = as_float32(dense.output.kernel)
    if kernel.ndim != 3:
        call.refuse("an output_shape of several sizes is not offered; reshape behind it.")
    # heads one behind the other, as they are concatenated
    whole = kernel.reshape(-1, kernel.shape[-1])
    joined = made[0] if len(made) == 1 else call.add(
        "Concatenate", made, "heads", axis=2, shape=(*made[0].shape[:2], whole.shape[0])
    )  # fmt: skip
    return call.dense(joined, whole, dense.output.bias, "", **_dense_fields(call, dense.output))


def _projection(call: LayerCall, dense: Any, value: Value, head: int, part: str) -> Value:
    check_sub_quantized(call, dense)
    bias = None if dense.bias is None else as_float32(dense.bias)[head]
    kernel = as_float32(dense.kernel)[:, head]
    return call.dense(value, kernel, bias, f"head_{head}_{part}", **_dense_fields(call, dense))


def check_sub_quantized(call: LayerCall, dense: Any) -> None:
    """Refuse a quantized layer within another."""
    if getattr(dense, "quantization_mode", None) is not None:
        call.refuse("it is quantized; write the model as it was before quantize().")


def _dense_fields(call: LayerCall, dense: Any) -> dict[str, Any]:
    tell_left_out(call, dense)
    return {f"{name}_regularizer": regularizer(call, getattr(dense, f"{name}_regularizer"))
            for name in ("kernel", "bias")}  # fmt: skip


def write_einsum_dense(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `EinsumDense` that contracts the last axes of its input with the first of its kernel."""
    layer, value = call.layer, inputs[0]
    check_quantized(call)
    left, right, out = _equation(layer.equation, len(value.shape))
    shared = [letter for letter in left if letter in right]
    count = len(shared)
    free = right[count:]
    rest = left[: len(left) - count]
    if not shared or left[-count:] != right[:count] or out != rest + free or set(rest) & set(free) or not rest:
        call.refuse(
            f"its equation '{layer.equation}' is no product of the last axes of the input with the first of "
            "the kernel; permute or reshape around it."
        )
    kernel = as_float32(layer.kernel)
    ends = value.shape[len(rest) :]
    flat = call.reshape(value, [*value.shape[1 : len(rest)], total_size(ends)], "flat")
    sizes = kernel.shape[count:]
    units = math.prod(sizes)
    bias = None
    if layer.bias is not None:
        given = as_float32(layer.bias)
        if given.ndim > len(sizes):
            call.refuse("a bias along axes of the input is not offered; use bias_axes of the kernel.")
        bias = np.broadcast_to(given, sizes).reshape(-1)
        if given.size != units:
            call.note("its bias is written once for each unit.")
    fields = weight_fields(call, *(["kernel"] if bias is None else ["kernel", "bias"]))
    # initializers know the kernel's own shape, and it is written as a matrix
    fields = {key: item for key, item in fields.items() if key.endswith("_regularizer")}
    matrix = kernel.reshape(-1, units)
    inner, outer = activations.split(layer.activation, moved=len(sizes) != 1)
    made = activations.written(call, inner, lambda name: call.dense(flat, matrix, bias, "", activation=name, **fields))
    return activations.add_activation(call, outer, call.reshape(made, [*value.shape[1 : len(rest)], *sizes], "shape"))


def _equation(equation: str, rank: int) -> tuple[str, str, str]:
    """Return the letters of input, kernel and output, those of an ellipsis among them."""
    equation = equation.replace(" ", "")
    inputs, out = equation.split("->")
    left, right = inputs.split(",")
    if "..." in left:
        # an ellipsis stands for axes without letters: they get unused ones
        free = [letter for letter in string.ascii_uppercase if letter not in equation]
        dots = "".join(free[: rank - len(left.replace("...", ""))])
        left, out = left.replace("...", dots), out.replace("...", dots)
    return left, right, out
