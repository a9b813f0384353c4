"""The names of columns that a person gives, looked up in a table: which are meant, and which nearest one if none is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from fitwell.errors import InputError, InputTypeError

COLUMNS_SHOWN = 10
"""In a message, so that it stays readable."""


def column_hint(name: str, columns: Sequence[str]) -> str:
    """A sentence that helps a person who gave a name that is not there: the nearest one, else which there are."""
    close = difflib.get_close_matches(name, columns, n=1)
    if not close:
        # capitals are soon forgotten, and few letters in common are no likeness to difflib
        close = [column for column in columns if column.casefold() == name.strip().casefold()]
    if close:
        return f"Did you mean {close[0]!r}?"
    shown = ", ".join(map(repr, columns[:COLUMNS_SHOWN])) + (", ..." if len(columns) > COLUMNS_SHOWN else "")
    return f"The columns are {shown}."


def names_to_drop(drop: Any, columns: Sequence[str], needed: Mapping[str, str | None]) -> frozenset[str]:
    """The columns that are to be left out.

    Parameters
    ----------
    drop
        A name or several; None and nothing are the same.
    columns
        The table's.
    needed
        What a column is needed for ("target") to its name; these cannot be left out.
    """
    names = [drop] if isinstance(drop, str) else [] if drop is None else drop
    try:
        names = list(names)
    except TypeError:
        raise InputTypeError(f"'drop' must be names of columns, such as ['name']. Got {drop!r}.") from None
    known = set(columns)
    for name in names:
        if not isinstance(name, str):
            raise InputTypeError(f"'drop' must be names of columns, such as ['name']. Got {name!r} among them.")
        if name not in known:
            raise InputError(f"There is no column {name!r} to leave out ('drop'). {column_hint(name, columns)}")
        for use, column in needed.items():
            if name == column:
                raise InputError(f"The column {name!r} is the {use} and cannot be left out ('drop').")
    return frozenset(names)
