"""TensorFlow.js in Node, one process for each backend and test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tfjs_node import MISSING, Node, available


def _node(backend: str) -> Iterator[Node]:
    if not available():
        pytest.skip(MISSING)
    node = Node(backend)
    yield node
    node.close()


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """TensorFlow.js on the cpu backend."""
    yield from _node("cpu")


@pytest.fixture(scope="session")
def wasm() -> Iterator[Node]:
    """TensorFlow.js on the wasm backend."""
    yield from _node("wasm")
