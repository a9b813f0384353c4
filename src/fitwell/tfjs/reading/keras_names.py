"""Names of layers in Keras: those that it allows, and those that a model had there before it was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fitwell.tfjs.weights import MOST_NAME

KERAS_NAMES = "kerasNames"
"""Among a file's metadata: a layer's name in the file to its name in Keras, where TensorFlow.js allows only another."""


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Return from names to names without ``/``, all different."""
    names = list(dict.fromkeys(names))
    safe = {name: name for name in names if "/" not in name}
    taken = set(safe)
    for name in names:
        if name not in safe:
            new = name.replace("/", "_")
            # "a/b" and "a_b" may both be there
            while new in taken:
                new += "_"
            taken.add(new)
            safe[name] = new
    return safe


def given_back(found: Any, names: Mapping[str, str]) -> dict[str, str]:
    """Return names in Keras with those given back that layers had before they were written.

    Parameters
    ----------
    found
        What stands under `KERAS_NAMES`: anything, since the file may be a stranger's.
    names
        Of the layers, from the file's to Keras's, all different. They stay so: a name that would be there twice is
        not given back.
    """
    entries = found.items() if isinstance(found, dict) else ()
    wanted = {name: old for name, old in entries if name in names and _is_name(old)}
    times = Counter({**names, **wanted}.values())
    # a name that two layers would have is given to neither
    renamed = {**names, **{name: old for name, old in wanted.items() if times[old] == 1}}
    return renamed if len(set(renamed.values())) == len(renamed) else dict(names)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MOST_NAME and name.isprintable() and "/" not in name
