"""What an argument is: whole numbers as Python and as NumPy write them, and never a truth value."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np

from fitwell.errors import InputError


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number, of Python or NumPy; True and False are none, though Python counts with them.

    Examples
    --------
    >>> [is_whole(value) for value in (3, np.int32(3), True, 3.0, "3")]
    [True, True, False, False, False]
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """Return an argument that must be a whole number as Python's own, which JSON can write and no size overflows.

    Raises
    ------
    InputError
        It is none, or less than `least`.
    """
    if not is_whole(value) or value < least:
        raise InputError(f"'{name}' must be a whole number of at least {least}. Got {value!r}.")
    return int(value)
