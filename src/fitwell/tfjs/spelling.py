"""Names in camelCase, as JavaScript spells them, and in snake_case, as files and Python do."""

from __future__ import annotations

import re
from typing import Any

KEPT = ("name", "class_name", "backend")
"""Keys whose texts are names, not settings."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SETTING = re.compile(r"[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)+")


def snake(name: str) -> str:
    """Return a name in snake_case.

    Examples
    --------
    >>> snake("meanSquaredError"), snake("BinaryAccuracy")
    ('mean_squared_error', 'binary_accuracy')
    """
    return _HUMP.sub("_", name).lower()


def camel(name: str) -> str:
    """Return a name in camelCase.

    Examples
    --------
    >>> camel("learning_rate")
    'learningRate'
    """
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def snake_case(value: Any, key: str = "") -> Any:
    """Return settings with keys, and texts that are settings, in the spelling of files."""
    if isinstance(value, dict):
        spelled = {snake(str(k)): item for k, item in value.items()}
        return {k: snake_case(item, k) for k, item in spelled.items()}
    if isinstance(value, list):
        return [snake_case(item, key) for item in value]
    # TensorFlow.js spells keys and texts in snake_case when it saves, and a hand-made file may not
    if isinstance(value, str) and key not in KEPT and _SETTING.fullmatch(value):
        return snake(value)
    return value
