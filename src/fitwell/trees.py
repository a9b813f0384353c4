"""Trees of arrays: lists, tuples, named tuples and dicts in one another.

The same as `jax.tree`, which is used where JAX is imported: only then can a tree hold other kinds of containers. Tables
are trained without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def tree_leaves(tree: Any) -> list[Any]:
    """Return what is in a tree, dicts by their sorted keys; None is an empty tree.

    Examples
    --------
    >>> tree_leaves([{"b": 1, "a": 2}, (None, 3)])
    [2, 1, 3]
    """
    if "jax" in sys.modules:
        return sys.modules["jax"].tree.leaves(tree)
    if tree is None:
        return []
    children = _children(tree)
    return [tree] if children is None else [leaf for child in children for leaf in tree_leaves(child)]


def tree_map(change: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Return a tree of what a function makes of every leaf, and of the leaves of others at the same place.

    Examples
    --------
    >>> tree_map(lambda one, other: one + other, {"a": [1, 2]}, {"a": [10, 20]})
    {'a': [11, 22]}
    """
    if "jax" in sys.modules:
        return sys.modules["jax"].tree.map(change, tree, *others)
    if tree is None:
        return None
    children = _children(tree)
    if children is None:
        return change(tree, *others)
    places = zip(children, *map(_same(tree), others), strict=True)
    return _joined(tree, [tree_map(change, *trees) for trees in places])


def _children(tree: Any) -> list[Any] | None:
    """What a container holds; None for a leaf."""
    if isinstance(tree, dict):
        return [tree[key] for key in sorted(tree)]
    return list(tree) if isinstance(tree, list | tuple) else None


def _same(tree: Any) -> Callable[[Any], list[Any]]:
    """Take another tree of the same kind apart."""

    def apart(other: Any) -> list[Any]:
        if type(other) is not type(tree) or (isinstance(tree, dict) and other.keys() != tree.keys()):
            raise ValueError(f"Trees must have one structure. Got {type(tree).__name__} and {type(other).__name__}.")
        return _children(other) or []

    return apart


def _joined(tree: Any, children: list[Any]) -> Any:
    if isinstance(tree, dict):
        return dict(zip(sorted(tree), children, strict=True))
    is_named = isinstance(tree, tuple) and type(tree) is not tuple
    return type(tree)(*children) if is_named else type(tree)(children)
