"""What a call in Keras's graph takes: its arguments, tensors and masks, and which calls come first."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from fitwell.keras.backend import import_keras
from fitwell.keras.internals import node_of
from fitwell.tfjs.writing.sheet import Value, mask_made_by

MASKS = ("mask", "query_mask", "value_mask", "key_mask")
"""Arguments that Keras fills in by itself."""


def in_order(outputs: Any, values: dict[int, Value]) -> Iterator[Any]:
    """Yield the nodes that outputs need, each behind those that it takes tensors of; masks need none."""
    done: set[int] = set()
    stack = [node_of(tensor) for tensor in reversed(outputs) if id(tensor) not in values]
    while stack:
        node = stack[-1]
        before = [node_of(tensor) for tensor in reversed(data_of(node)) if id(tensor) not in values]
        waiting = [one for one in before if id(one) not in done]
        # no recursion, for chains of layers are long
        if waiting and id(node) not in done:
            stack.extend(waiting)
            continue
        stack.pop()
        if id(node) not in done:
            done.add(id(node))
            yield node


def arguments_of(node: Any) -> dict[str, Any]:
    """Return the arguments of a call by name, in the order of the signature."""
    args, kwargs = node.arguments.args, node.arguments.kwargs
    try:
        return dict(inspect.signature(node.operation.call).bind_partial(*args, **kwargs).arguments)
    except TypeError:  # options of the call itself, which its signature has not
        return {**{f"argument_{number}": value for number, value in enumerate(args)}, **kwargs}


def tensors_in(values: Any) -> list[Any]:
    """Return the symbolic tensors in nested arguments, in order."""
    keras = import_keras()
    return [value for value in keras.tree.flatten(values) if isinstance(value, keras.KerasTensor)]


def data_of(node: Any) -> list[Any]:
    """Return the tensors of a call that are no masks, in order."""
    return tensors_in([value for name, value in arguments_of(node).items() if name not in MASKS])


def masks_of(node: Any) -> list[tuple[str, Any]]:
    """Return the masks that a call takes, with the arguments' names."""
    arguments = arguments_of(node)
    return [(name, tensor) for name in MASKS for tensor in tensors_in(arguments.get(name))]


def mask_name(mask: Any, values: dict[int, Value]) -> Any:
    """Return the name of a mask that `Embedding` or `Masking` makes, None for any other."""
    keras = import_keras()
    node = node_of(mask)
    class_name, key = "Embedding", "mask_zero"
    # Masking keeps a step if any of its numbers differs from the value
    if type(node.operation).__name__ == "Any":
        class_name, key = "Masking", "mask_value"
        inner = [one for one in node.arguments.args if isinstance(one, keras.KerasTensor)]
        if not inner:
            return None
        node = node_of(inner[0])
    if type(node.operation).__name__ != "NotEqual":
        return None
    tensor, number = node.arguments.args[:2]
    if id(tensor) not in values or not isinstance(number, int | float):
        return None
    if class_name == "Embedding" and number != 0:
        return None
    return mask_made_by(class_name, {key: number}, values[id(tensor)])
