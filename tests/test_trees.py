"""Trees without JAX are JAX's."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitwell.trees import tree_leaves, tree_map


class Pair(NamedTuple):
    """A named tuple."""

    one: Any
    other: Any


TREES = st.recursive(
    st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=8,
)


@given(TREES)
def test_they_are_jaxs(tree: Any) -> None:
    """Leaves in the same order, and the same containers around what is made of them."""
    leaves, mapped = jax.tree.leaves(tree), jax.tree.map(lambda one, other: (one, -other), tree, tree)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "jax")
        assert tree_leaves(tree) == leaves
        assert tree_map(lambda one, other: (one, -other), tree, tree) == mapped
    assert tree_leaves(tree) == leaves
    assert tree_map(lambda one, other: (one, -other), tree, tree) == mapped


@pytest.mark.parametrize(("one", "other"), [([1], [1, 2]), ({"a": 1}, {"b": 1}), ([1], (1,)), ([1], 1)])
def test_other_structures_are_refused(one: Any, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is paired with what stands elsewhere."""
    monkeypatch.delitem(sys.modules, "jax")
    with pytest.raises(ValueError, match=r"structure|zip"):
        tree_map(lambda a, b: a, one, other)
