"""Models made in TensorFlow.js and read into Keras compute there what they compute in TensorFlow.js."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tfjs_node import Node
from tfjs_read import CASES, difference, document, make, outputs_of, quick_compiling

from fitwell.errors import InputError
from fitwell.tfjs.reading import LAYER_READERS, NOT_READ, from_tfjs
from fitwell.tfjs.writing import to_tfjs

TOLERANCE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled() -> Iterator[None]:
    """Compile without optimising."""
    with quick_compiling():
        yield


@pytest.fixture(scope="module")
def made(node: Node, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All cases, made in TensorFlow.js at once."""
    return make(node, tmp_path_factory.mktemp("cases"), CASES)


@pytest.mark.parametrize("key", sorted(CASES))
def test_the_outputs_are_the_same(made: dict[str, dict[str, Any]], key: str) -> None:
    """Break: with other inputs the outputs are others."""
    case = made[key]
    assert "error" not in case, case["error"]
    found = document(case)
    model = from_tfjs(found.graph, found.weights).model
    assert difference(outputs_of(model, case["inputs"]), case["outputs"]) <= TOLERANCE


NOT_BACK = {
    "Bidirectional: given states": "initial states are not offered",
    "Masking: behind a recurrent layer": "that of another layer",
    "Masking: concatenated": "is called with mask=",
    "Masking: in time": "is called with mask=",
}
"""What is read by operations or masks that are not written, and what its refusal says."""


@pytest.mark.parametrize("key", sorted(CASES))
def test_what_is_read_can_be_written_and_read_again(made: dict[str, dict[str, Any]], key: str) -> None:
    """With the same outputs: a model that `load` gives, `save` takes, or says in a sentence why not."""
    case = made[key]
    found = document(case)
    model = from_tfjs(found.graph, found.weights).model
    if key in NOT_BACK:
        with pytest.raises(InputError, match=re.escape(NOT_BACK[key])):
            to_tfjs(model)
        return
    written = to_tfjs(model)
    again = from_tfjs(written.graph, written.weights).model
    assert difference(outputs_of(again, case["inputs"]), case["outputs"]) <= TOLERANCE


def test_other_inputs_are_noticed(made: dict[str, dict[str, Any]]) -> None:
    """The comparison sees what it is there for."""
    case = made["Dense: linear"]
    found = document(case)
    model = from_tfjs(found.graph, found.weights).model
    assert difference(outputs_of(model, [case["inputs"][0] * 1.001]), case["outputs"]) > TOLERANCE


def test_every_class_has_a_case() -> None:
    """No class is read that nothing compares, and none is read and refused."""
    compared = {key.split(":")[0] for key in CASES}
    assert set(LAYER_READERS) <= compared
    assert compared - set(LAYER_READERS) == {"Model"}
    assert not set(LAYER_READERS) & set(NOT_READ)
