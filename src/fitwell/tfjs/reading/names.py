"""Names of layers that Keras allows."""

from __future__ import annotations

from collections.abc import Iterable


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Return from names to names without ``/``, all different."""
    names = list(dict.fromkeys(names))
    safe = {name: name for name in names if "/" not in name}
    taken = set(safe)
    for name in names:
        if name not in safe:
            new = name.replace("/", "_")
            while new in taken:
                new += "_"
            taken.add(new)
            safe[name] = new
    return safe
