"""What the training rows of a row set must have: weight, and the classes on which it is scored."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitwell.data.row_sets import RowSets
from fitwell.errors import FitwellWarning, InputError

MOST_NAMED = 3
"""Groups, row sets and classes that a sentence names; of more it gives the number."""


def check_weights(row_sets: RowSets, train_weight: NDArray[Any] | None, weight: NDArray[Any] | None) -> None:
    """Raise an InputError if a row set would train on nothing, or be measured on nothing.

    Parameters
    ----------
    train_weight, weight
        float [n] of the rows in training, and where losses are measured; None is 1.
    """
    for r in range(row_sets.count):
        if train_weight is not None and not train_weight[row_sets.train[r]].any():
            raise InputError(
                f"{_name(row_sets, r)} would train on nothing, for all its training rows weigh 0: leave rows of weight "
                "0 out, or split the rows another way."
            )
        held_out = row_sets.held_out[r]
        if weight is not None and held_out.size and not weight[held_out].any():
            raise InputError(
                f"{_name(row_sets, r)} would be measured on nothing, for all rows that it holds out weigh 0: "
                "leave rows of weight 0 out, or split the rows another way."
            )


def warn_of_unseen_classes(row_sets: RowSets, target: NDArray[Any], classes: Sequence[str] = ()) -> None:
    """Warn by name of classes that a row set is scored on and never trains on.

    Parameters
    ----------
    target
        Class of each row, int [n].
    classes
        Names of the classes.
    """
    unseen: dict[int, list[int]] = {}
    for r in range(row_sets.count):
        for value in np.setdiff1d(target[row_sets.held_out[r]], target[row_sets.train[r]]):
            unseen.setdefault(int(value), []).append(r)
    for value, sets in list(unseen.items())[:MOST_NAMED]:
        name = classes[value] if len(classes) else str(value)
        warnings.warn(_unseen(row_sets, target == value, name, sets), FitwellWarning, stacklevel=2)
    if len(unseen) > MOST_NAMED:
        more = len(unseen) - MOST_NAMED
        what, it = ("class is", "it") if more == 1 else ("classes are", "them")
        text = f"{more} more {what} held out by row sets that never train on {it}."
        warnings.warn(text, FitwellWarning, stacklevel=2)


def _unseen(row_sets: RowSets, mine: NDArray[np.bool_], name: str, sets: list[int]) -> str:
    which = f"row set{'s' if len(sets) > 1 else ''} {_listed([str(r + 1) for r in sets])} of {row_sets.count}"
    if row_sets.groups is None:
        return (
            f"Class '{name}' is held out and not trained on in {which}, where its loss says nothing: use fewer folds, "
            "split the rows another way, or leave the class out."
        )
    return (
        f"Class '{name}' is in the {_groups(row_sets, mine)} only: it is held out and not trained on in {which}, where "
        "its loss says nothing. Add groups that have it, or leave the class out."
    )


def _name(row_sets: RowSets, r: int) -> str:
    number = f"Row set {r + 1} of {row_sets.count}"
    if row_sets.groups is None or not row_sets.held_out[r].size:
        return number
    mine = np.zeros(row_sets.n_rows, bool)
    mine[row_sets.held_out[r]] = True
    return f"{number}, which holds out the {_groups(row_sets, mine)},"


def _groups(row_sets: RowSets, mine: NDArray[np.bool_]) -> str:
    """Name the groups of some rows: "group 'a'", "groups 'a', 'b'"."""
    assert row_sets.groups is not None
    found = np.unique(row_sets.groups[mine])
    names = [f"'{row_sets.group_names[g]}'" if row_sets.group_names else str(g) for g in found]
    return f"group{'s' if len(names) > 1 else ''} {_listed(names)}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
