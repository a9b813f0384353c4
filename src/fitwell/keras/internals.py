"""All that fitwell uses of Keras's private API: what Keras knows and has no public name for. No other file uses any.

Each function has a test in `tests/keras/test_internals.py` that fails when a new Keras does it otherwise.

A *node* is one call of a layer or operation in the graph of a model. Of it other files read
``operation``, ``arguments`` (with ``args`` and ``kwargs``), ``input_tensors`` and ``outputs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fitwell.keras.backend import import_keras

MODULE_OF_FUNCTIONAL = "keras.src.models.functional"
"""What a file of a functional model names as its module."""


class Projections(NamedTuple):
    """The dense layers inside an attention layer with heads; each holds the kernels of all heads."""

    query: Any
    key: Any
    value: Any
    output: Any


# ---- layers within layers --------------------------------------------------------------------------------------------


def inner_layers(layer: Any) -> list[Any]:
    """Return the layers that a layer holds directly: of a Bidirectional the two directions, not their cells."""
    return layer._flatten_layers(include_self=False, recursive=False)


def all_layers(layer: Any) -> list[Any]:
    """Return a layer or model and all the layers within it, however deep."""
    return layer._flatten_layers()


def projections(attention: Any) -> Projections:
    """Return the dense layers of a built `MultiHeadAttention` or `GroupQueryAttention`."""
    return Projections(attention._query_dense, attention._key_dense, attention._value_dense, attention._output_dense)


def has_gate(attention: Any) -> bool:
    """Return whether a `MultiHeadAttention` multiplies its heads by a gate."""
    return attention._use_gate


def sliding_window_of(attention: Any) -> int | None:
    """Return how far a `MultiHeadAttention` looks, None for the whole sequence."""
    return attention._sliding_window


# ---- the graph -------------------------------------------------------------------------------------------------------


def graph_of_sequential(model: Any) -> Any | None:
    """Return the functional model that a Sequential computes by; None as long as it does not know its inputs."""
    return getattr(model, "_functional", None)


def operation_of(tensor: Any) -> Any:
    """Return the layer or operation that made a symbolic tensor."""
    return tensor._keras_history.operation


def node_of(tensor: Any) -> Any:
    """Return the node that made a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def nodes_of(operation: Any) -> list[Any]:
    """Return all nodes of a layer or operation, the first call first."""
    return operation._inbound_nodes


def nodes_behind(operation: Any) -> list[Any]:
    """Return the nodes, of whatever layers and operations, that take what a layer or operation gives."""
    return operation._outbound_nodes


def same_output(one: Any, two: Any) -> bool:
    """Return whether two symbolic tensors are the same output of the same layer, perhaps of different calls."""
    history = [getattr(tensor, "_keras_history", None) for tensor in (one, two)]
    # an array of numbers has no history
    if history[0] is None or history[1] is None:
        return one is two
    return history[0].operation is history[1].operation and history[0].tensor_index == history[1].tensor_index


def kind_of_operation(operation: Any) -> str | None:
    """Return the module and class of one of Keras's operations, such as ``numpy.Add``; None for anybody else's."""
    package, _, module = type(operation).__module__.rpartition(".")
    return f"{module}.{type(operation).__name__}" if package.startswith("keras.src.") else None


# ---- masks -----------------------------------------------------------------------------------------------------------


def mask_of(array: Any) -> Any | None:
    """Return the mask that Keras carries along with an array, None if there is none."""
    import_keras()
    from keras.src.backend import get_keras_mask

    return get_keras_mask(array)


def set_mask(array: Any, mask: Any | None) -> None:
    """Let an array carry a mask, where Keras's losses and metrics look for it."""
    import_keras()
    from keras.src.backend import set_keras_mask

    set_keras_mask(array, mask)


# ---- compiling and training ------------------------------------------------------------------------------------------


def given_to_compile(model: Any) -> Mapping[str, Any]:
    """Return the arguments that a model was compiled with, the objects themselves; none of a model that was not.

    The public `get_compile_config` gives configurations, and knows registered objects only.
    """
    found = getattr(model, "_compile_config", None)
    return {} if found is None else found.config


def decays(optimizer: Any, variable: Any) -> bool:
    """Return whether an optimizer's weight decay acts on a variable.

    Keras keeps what `exclude_from_weight_decay` was given (variables by identity, or patterns) and answers only so: it
    is in no configuration, so no copy of the optimizer knows it, and to ask by a step would build the user's own.
    """
    return optimizer._use_weight_decay(variable)


def forget_unbuilt_variables() -> None:
    """Drop variables that were announced and have no values: Keras would make them at the end of another scope."""
    import_keras()
    from keras.src.backend.common import global_state

    global_state.set_global_attribute("uninitialized_variables", [])


def transposed_padding(
    kernel: int, stride: int, dilation: int, padding: str, output_padding: int | None
) -> tuple[int, int]:
    """Return the zeros (left, right) that a transposed convolution of Keras puts around an axis on JAX.

    The axis is one whose places stand a stride apart; the convolution that follows pads nothing. Negative numbers cut.
    """
    import_keras()
    from keras.src.backend.common.backend_utils import compute_conv_transpose_padding_args_for_jax as paddings

    [(left, right)] = paddings((1, None, 1), (kernel, 1, 1), stride, padding, output_padding, dilation)
    return left, right
