"""What an argument is: numbers as Python and as NumPy write them, and never a truth value."""

from __future__ import annotations

import re
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


def is_real(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number, of Python or NumPy (or an array of one); True, False and texts are none.

    Examples
    --------
    >>> [is_real(value) for value in (3, 0.5, np.float32(1), np.inf, True, "3", None, [3], 2j)]
    [True, True, True, False, False, False, False, False, False]
    """
    if isinstance(value, bool | np.bool | str | bytes | list | tuple):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError, OverflowError):
        return False


_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h)")


def seconds_in(name: str, value: Any) -> float:
    """Return the seconds of an argument that is a duration: a number, or a text such as "90s", "5m", "1h 30m".

    Raises
    ------
    InputError
        It is none, or not above 0.

    Examples
    --------
    >>> [seconds_in("time_budget", value) for value in (90, "90s", "1.5m", "1h 30m")]
    [90.0, 90.0, 90.0, 5400.0]
    """
    if is_real(value) and value > 0:
        return float(value)
    text = value.strip().lower() if isinstance(value, str) else ""
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if _DURATION.sub("", text).strip() or seconds <= 0:
        raise InputError(f"'{name}' must be a time above 0, such as '90s', '5m' or '1h 30m'. Got {value!r}.")
    return seconds


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
