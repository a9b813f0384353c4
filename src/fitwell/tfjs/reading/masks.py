"""Masks: which of TensorFlow.js's layers look at them, and which hand them on. Keras's are others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from fitwell.errors import FileError
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor

RECURRENT = frozenset(("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM2D", "Bidirectional"))
MERGES = frozenset(("Add", "Average", "Multiply", "Maximum", "Minimum"))
"""They are called with a list, as `Concatenate` and `Dot` are; of masked tensors TensorFlow.js joins no masks."""

KEEPING = RECURRENT | {
    "Dense", "Activation", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Masking",
    "TimeDistributed", "BatchNormalization", "LayerNormalization", "ReLU", "PReLU", "Concatenate",
}  # fmt: skip
"""Classes that take a mask in both. Before all others it is taken away, since those of Keras would use it."""

CallKey = tuple[str, int]
"""A layer's name and the number of a call."""


def begins(layer: TfjsLayer) -> bool:
    """Whether a layer makes a mask."""
    return layer.class_name == "Masking" or bool(layer.class_name == "Embedding" and layer.config.get("mask_zero"))


class Masks:
    """The masks of one graph, followed from call to call."""

    def __init__(self, graph: TfjsGraph) -> None:
        self.graph = graph
        self.masked: set[CallKey] = set()
        self.unmasked: set[CallKey] = set()
        self._of: dict[TfjsTensor, TfjsTensor] = {}

    def dropped(self) -> bool:
        """Whether a chain has a layer before which the mask must be taken away, or masks in nested models."""
        masked = False
        for layer in self.graph.layers:
            # a Sequential of Keras hands masks on by itself, and nothing can stand between its layers
            if masked and layer.class_name not in KEEPING:
                return True
            masked = (masked or begins(layer)) and _hands_on(layer)
            if layer.graph is not None and any(map(begins, layer.graph.walk())):
                return True
        return False

    def is_masked(self, tensor: TfjsTensor) -> bool:
        """Whether a tensor has a mask."""
        return tensor in self._of

    def see(self, layer: TfjsLayer, number: int, rank: int) -> None:
        """Follow the masks through a call whose first tensor has so many axes.

        Raises
        ------
        FileError
            TensorFlow.js uses the mask otherwise than Keras.
        """
        sources = [self._of.get(tensor) for tensor in layer.calls[number]]
        any_mask = any(source is not None for source in sources)
        if any_mask:
            self.masked.add((layer.name, number))
            why = _why_not(layer, sources, rank)
            if why is not None:
                raise FileError(f"The layer '{layer.name}' ({layer.class_name}) {why}")
        elif layer.class_name in RECURRENT or _inner(layer) in RECURRENT:
            self.unmasked.add((layer.name, number))
        # a joined mask is a new one, equal to none of those it came of
        if begins(layer) or (any_mask and layer.class_name == "Concatenate"):
            self._of[TfjsTensor(layer.name, number)] = TfjsTensor(layer.name, number)
        elif any_mask and layer.class_name in KEEPING and _hands_on(layer) and sources[0] is not None:
            self._of[TfjsTensor(layer.name, number)] = sources[0]

    def behind(self, call: CallKey) -> set[CallKey]:
        """Return all calls that take what a call gives, by whatever way."""
        takers: dict[CallKey, list[CallKey]] = defaultdict(list)
        for layer in self.graph.layers:
            for number, tensors in enumerate(layer.calls):
                for tensor in tensors:
                    takers[tensor.layer, tensor.call].append((layer.name, number))
        found: set[CallKey] = set()
        waiting = [call]
        while waiting:
            new = [taker for taker in takers[waiting.pop()] if taker not in found]
            found.update(new)
            waiting += new
        return found


def check_none_lingers(all_masks: Iterable[Masks]) -> None:
    """Refuse recurrent layers that TensorFlow.js runs with the mask of an earlier layer.

    It hands a mask to every layer that it runs after the one that the mask was for, and recurrent layers use it.
    """
    all_masks = list(all_masks)
    for masks in all_masks:
        # in what order TensorFlow.js runs nested models is not known here, so any mask elsewhere may be the earlier one
        elsewhere = any(other.masked for other in all_masks if other is not masks)
        for call in sorted(masks.unmasked):
            if elsewhere or (masks.masked and masks.masked - masks.behind(call)):
                raise FileError(
                    f"The layer '{call[0]}' has no mask, and TensorFlow.js hands it that of an earlier layer, so that "
                    "Keras would give other outputs: leave out Masking and maskZero, or use them for it too."
                )


def _hands_on(layer: TfjsLayer) -> bool:
    """Whether a recurrent layer gives a sequence; others always hand a mask on."""
    if layer.class_name not in RECURRENT:
        return True
    inner = layer.config.get("layer")
    config = inner.get("config") if isinstance(inner, dict) else layer.config
    return bool(isinstance(config, dict) and config.get("return_sequences"))


def _inner(layer: TfjsLayer) -> str | None:
    inner = layer.config.get("layer")
    return inner.get("class_name") if isinstance(inner, dict) and layer.class_name == "TimeDistributed" else None


def _why_not(layer: TfjsLayer, sources: list[TfjsTensor | None], rank: int) -> str | None:
    """Return why a layer cannot be called with masked tensors, or None."""
    if layer.graph is not None:
        return "is a nested model that takes a sequence with a mask: put the layers that use it into one model."
    if layer.class_name in RECURRENT and len(sources) > 1:
        return (
            "takes states and a sequence with a mask: where a sequence begins with masked steps, Keras and "
            "TensorFlow.js give different outputs. Leave the mask out."
        )
    if layer.class_name == "Bidirectional" and _hands_on(layer):
        return (
            "gives a sequence behind a mask: at masked steps Keras gives zero, and TensorFlow.js what the step before "
            "gave. Leave the mask out."
        )
    last = layer.config.get("axis") in (None, -1, rank - 1)
    if layer.class_name == "Concatenate" and last and len(set(sources)) > 1:
        return "joins sequences of which not all have the same mask, which Keras and TensorFlow.js do differently."
    if layer.class_name == "TimeDistributed" and _inner(layer) not in KEEPING - RECURRENT:
        return f"wraps a {str(_inner(layer))[:50]} behind a mask, which Keras would hand to it: leave the mask out."
    return None
