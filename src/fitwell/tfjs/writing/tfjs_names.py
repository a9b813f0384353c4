"""Layer names that TensorFlow.js takes, each given once."""

from __future__ import annotations

import itertools
import re


def safe(name: str) -> str:
    """Return a name with every character replaced that TensorFlow.js refuses in names of tensors.

    It takes "/" too, which parts a layer from its weight, so that no name here has one.
    """
    replaced = re.sub(r"[^-A-Za-z0-9._]", "_", name).lstrip("-._")
    # nothing may be left of a name in another script
    return replaced or "layer"


class Names:
    """Gives names, the same ones in the same order for the same model."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """Return the name wanted, or one like it that TensorFlow.js takes and no other layer has."""
        base = safe(wanted)
        numbered = (f"{base}_{number}" for number in itertools.count(1))
        name = next(one for one in itertools.chain([base], numbered) if one not in self._taken)
        self._taken.add(name)
        return name
