"""Graphs: those that cannot be run are refused, and the layers of the others come in order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from fitwell.errors import FileError, InputError
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.soundness import checked

INPUT = {"batch_input_shape": [None, 4], "dtype": "float32"}


def graph(*layers: TfjsLayer, inputs: Any = ("x",), outputs: Any = ("y",), sequential: bool = False) -> TfjsGraph:
    return TfjsGraph("m", layers, tuple(map(TfjsTensor, inputs)), tuple(map(TfjsTensor, outputs)), sequential)


def calls(*tensors: TfjsTensor) -> tuple[tuple[TfjsTensor, ...], ...]:
    return (tensors,)


IN, OUT = TfjsLayer("InputLayer", "x", INPUT), TfjsLayer("Dense", "y", {}, calls(TfjsTensor("x")))
UNWRITABLE = {
    "layer": (
        graph(IN, replace(OUT, calls=calls(TfjsTensor("w")))),
        "refers to the layer 'w', which is not in the model",
    ),
    "call": (graph(IN, replace(OUT, calls=calls(TfjsTensor("x", 1)))), "refers to call 1"),
    "negative": (graph(IN, replace(OUT, calls=calls(TfjsTensor("x", -1)))), "refers to call -1"),
    "output": (graph(IN, replace(OUT, calls=calls(TfjsTensor("x", 0, 1)))), "refers to output 1"),
    "cycle": (graph(IN, replace(OUT, calls=calls(TfjsTensor("y")))), "has a cycle"),
    "twice": (graph(IN, OUT, OUT), "Two layers of 'm' are called 'y'"),
    "no tensors": (graph(IN, TfjsLayer("Dense", "y")), "is called with no tensors"),
    "empty": (graph(inputs=(), outputs=(), sequential=True), "must have inputs and outputs"),
    "end": (graph(IN, OUT, outputs=("z",)), "An input or output of 'm' refers to the layer 'z'"),
    "input": (graph(IN, OUT, inputs=("y",)), "must be its input layers, each once"),
    "no chain": (
        graph(IN, OUT, TfjsLayer("Dense", "z", {}, calls(TfjsTensor("x"))), outputs=("z",), sequential=True),
        "The layer 'z' of the Sequential 'm' must take the one before it only"),
    "two calls": (
        graph(IN, replace(OUT, calls=((TfjsTensor("x"),), (TfjsTensor("x"),))), sequential=True),
        "must take the one before it only"),
    "other end": (graph(IN, OUT, outputs=("x",), sequential=True), "must begin with its input and end with its output"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNWRITABLE)
@pytest.mark.parametrize("error", [FileError, InputError])
def test_what_cannot_be_run_is_refused(case: str, error: type[Exception]) -> None:
    """As the fault of the file that says so, or of the caller."""
    made, said = UNWRITABLE[case]
    with pytest.raises(error, match=re.escape(said)):
        checked(made, error)


def test_what_the_cases_are_made_of_is_fine() -> None:
    """Or they would be refused for something else."""
    for sequential in (False, True):
        sound = graph(IN, OUT, sequential=sequential)
        assert checked(sound, InputError) == sound


def dense(name: str, *taken: tuple[str, int] | str) -> TfjsLayer:
    """A layer that is called with each of some tensors."""
    tensors = [TfjsTensor(one) if isinstance(one, str) else TfjsTensor(*one) for one in taken]
    return TfjsLayer("Dense", name, {}, tuple((tensor,) for tensor in tensors))


def test_layers_come_behind_what_they_take() -> None:
    """In whatever order they are given, and a layer that is called again later, too."""
    both = TfjsLayer("Add", "y", {}, calls(TfjsTensor("b"), TfjsTensor("a", 1)))
    found = checked(graph(both, dense("a", "x", "b"), dense("b", "c"), IN, dense("c", "x")), InputError)
    assert [layer.name for layer in found.layers] == ["x", "c", "b", "a", "y"]
    found = checked(graph(dense("y", ("a", 1)), dense("b", "a"), dense("a", "x", "b"), IN), InputError)
    assert [layer.name for layer in found.layers] == ["x", "a", "b", "y"]


def test_a_long_chain_needs_no_recursion() -> None:
    """Thousands of layers, the last one first."""
    count = 5000
    layers = [dense(f"d{n}", f"d{n - 1}" if n else "x") for n in reversed(range(count))]
    found = checked(graph(*layers, IN, outputs=(f"d{count - 1}",)), InputError)
    assert [layer.name for layer in found.layers] == ["x", *(f"d{n}" for n in range(count))]
