"""What a person should know of a model that was read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fitwell.tfjs.reading.layer_settings import LayerSettings
from fitwell.tfjs.reading.read_layers import Made

MOST_NAMES = 5


class Notices:
    """Collects by kind, so that each kind is said once for all layers.

    Attributes
    ----------
    renamed
        From names in the file to those in Keras.
    ignored
        Settings that TensorFlow.js does not know, sentences without an end.
    """

    def __init__(self) -> None:
        self.renamed: dict[str, str] = {}
        self.ignored: list[str] = []
        self._sentences: list[str] = []
        self._stretched: list[str] = []
        self._penalties: list[str] = []
        self._constrained: list[str] = []

    def see(self, settings: LayerSettings, made: Made, inputs: list[Any]) -> None:
        """Look at a layer that was made."""
        self._sentences += made.notices
        config = settings.given()
        if made.stretched:
            self._stretched.append(settings.layer)
            # of a whole stretched weight the penalty was scaled along, of some columns it cannot be
            if any(columns != slice(None) for _, columns in made.stretched) and _holds(config, "regularizer"):
                self._penalties.append(settings.layer)
        if _holds(config, "constraint") and not settings.is_regularizer("depthwise_constraint"):
            self._constrained.append(settings.layer)
        for key, value in settings.ignored().items():
            self.ignored.append(
                f"The layer '{settings.layer}' ({settings.class_name}) holds {key} = {repr(value)[:60]}, which "
                "TensorFlow.js does not know there"
            )
            self._sentences.append(f"{self.ignored[-1]}: it is left out.")
        if settings.class_name == "BatchNormalization" and config.get("axis") is not None:
            axis = settings.whole("axis", -1, least=-8)
            if axis not in (-1, len(inputs[0].shape) - 1):
                self._sentences.append(
                    f"The layer '{settings.layer}' normalizes axis {axis}, which TensorFlow.js computes by WebGL only "
                    "(on cpu and wasm it is wrong): Keras computes what WebGL does."
                )

    def sentences(self) -> tuple[str, ...]:
        """Return all, each once."""
        found = list(self._sentences)
        if self.renamed:
            pairs = [f"'{old}' is '{new}'" for old, new in self.renamed.items()]
            found.append(f"Keras allows no '/' in names: {_some(pairs)}.")
        if self._stretched:
            found.append(
                "TensorFlow.js's hardSigmoid is another function than Keras's hard_sigmoid: in "
                f"{_some(self._stretched)} the gates' weights are 6/5 of those in the file, so that the outputs are "
                "the same."
            )
        if self._penalties:
            found.append(f"The penalties of {_some(self._penalties)} see these larger weights.")
        if self._constrained:
            found.append(
                f"The constraints of {_some(self._constrained)} act in Keras's training; in that of TensorFlow.js they "
                "never do, but when it loads the file."
            )
        return tuple(dict.fromkeys(found))


def _holds(config: Any, ending: str) -> bool:
    """Whether settings, those of inner layers and cells too, hold something under a key with an ending."""
    if isinstance(config, list):
        return any(_holds(item, ending) for item in config)
    if not isinstance(config, dict):
        return False
    return any((key.endswith(ending) and value is not None) or _holds(value, ending) for key, value in config.items())


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
