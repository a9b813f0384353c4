"""What a search was made of, and results as plain types, for JSON."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell.extras import installed_version

LIBRARIES = ("jax", "jaxlib", "keras", "numpy", "optax", "polars", "scikit-learn")
"""Those whose versions may change a number."""


@dataclass(frozen=True)
class Record:
    """What a search was made of, for the record.

    Attributes
    ----------
    summary
        What was read: rows, columns by kind, task, classes.
    seed
        Of all random numbers.
    seconds
        Time of `"compile"`, `"train"`, `"measure"` and `"total"`.
    command
        As it was given to a shell; empty in Python.
    """

    summary: dict[str, Any]
    seed: int
    seconds: dict[str, float]
    command: str = ""


def plain_types(value: Any) -> Any:
    """Return dicts, lists and numbers only; numbers that JSON does not know (a diverged loss) become None."""
    if isinstance(value, dict):
        return {key: plain_types(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_types(item) for item in value]
    if isinstance(value, np.generic):
        return plain_types(value.item())
    # Python would write NaN, which is no JSON and which other readers refuse
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a search ran on, and of Python; of those that are installed."""
    versions = {name: installed_version(name) for name in LIBRARIES}
    return {name: version for name, version in versions.items() if version} | {"python": platform.python_version()}
