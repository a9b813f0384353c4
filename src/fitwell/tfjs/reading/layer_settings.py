"""A layer's settings in a file: each is read by its type, and what is not as expected is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fitwell.errors import FileError
from fitwell.keras.backend import import_keras
from fitwell.tfjs.spelling import snake

MOST = 2**31
"""Of units, filters, lengths: more is no model."""

KERAS_ACTIVATIONS = {
    "elu": "elu", "selu": "selu", "relu": "relu", "relu6": "relu6", "linear": "linear", "sigmoid": "sigmoid",
    "softplus": "softplus", "softsign": "softsign", "tanh": "tanh", "softmax": "softmax",
    "log_softmax": "log_softmax", "gelu": "gelu", "mish": "mish", "swish": "silu", "hard_sigmoid": "hard_sigmoid",
}  # fmt: skip
"""TensorFlow.js's names to Keras's."""

STRETCH = 6 / 5
"""TensorFlow.js's hard sigmoid is that of Keras of 6/5 of the number: clip(0.2 x + 0.5) is relu6(1.2 x + 3) / 6."""

TANH_GELU = "gelu_new"
"""An activation that is no name in Keras, but a function with an option."""

SILENT = frozenset((
    "batch_input_shape", "input_shape", "input_length", "input_dtype", "batch_size", "dtype", "name", "trainable",
    "implementation", "unroll", "time_major", "seed", "ragged", "sparse", "fused", "registered_name", "module",
    "build_config", "build_input_shape", "shared_object_id", "zero_output_for_mask", "unit_forget_bias", "optional",
    "data_format", "supports_masking", "updatable", "weights", "synchronized", "num_constants", "renorm_momentum",
    "renorm_clipping",
))  # fmt: skip
"""Settings that change no output, or that another part of the reader looks at."""

OFF = (None, False, 0, 1, "linear", [1], [1, 1], [1, 1, 1], [], {})
"""Values of settings that do nothing, wherever TensorFlow.js would not read the setting."""

KERAS_INITIALIZERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Zeros": ("Zeros", ()),
    "Ones": ("Ones", ()),
    "Constant": ("Constant", ("value",)),
    "RandomUniform": ("RandomUniform", ("minval", "maxval", "seed")),
    "RandomNormal": ("RandomNormal", ("mean", "stddev", "seed")),
    "TruncatedNormal": ("TruncatedNormal", ("mean", "stddev", "seed")),
    "Identity": ("Identity", ("gain",)),
    "Orthogonal": ("Orthogonal", ("gain", "seed")),
    "VarianceScaling": ("VarianceScaling", ("scale", "mode", "distribution", "seed")),
    **{f"{name}{kind}": (f"{name}{kind}", ("seed",)) for name in ("Glorot", "He") for kind in ("Normal", "Uniform")},
    **{f"Le{letter}un{kind}": (f"Lecun{kind}", ("seed",)) for letter in "cC" for kind in ("Normal", "Uniform")},
}
"""TensorFlow.js's names to Keras's, and the settings that both have, by the same name."""

LEFT_OUT = {"L1L2": {"l1": 0.01, "l2": 0.01}, "L1": {"l1": 0.01}, "L2": {"l2": 0.01}}
"""Regularizers to what a strength means that is left out: TensorFlow.js's class, and Keras's two, which have one."""

TEXTS_OF_L1L2 = ("L1L2", "l1l2")
"""In place of an object."""

MOST_SEED = 2**32
"""Keras takes the whole numbers below as seeds."""

KERAS_CONSTRAINTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "MaxNorm": ("MaxNorm", ("max_value", "axis")),
    "MinMaxNorm": ("MinMaxNorm", ("min_value", "max_value", "rate", "axis")),
    "NonNeg": ("NonNeg", ()),
    "UnitNorm": ("UnitNorm", ("axis",)),
}


class LayerSettings:
    """The settings of one layer.

    Attributes
    ----------
    layer, class_name
        For sentences.
    """

    def __init__(
        self,
        layer: str,
        class_name: str,
        config: Mapping[str, Any],
        shape_of: Callable[[str], Sequence[int] | None] = lambda _: None,
    ) -> None:
        self.layer, self.class_name, self._config, self._shape_of = layer, class_name, config, shape_of
        self._read: set[str] = set()
        self._inner: list[LayerSettings] = []

    def stored_shape(self, weight: str) -> Sequence[int] | None:
        """Return the shape of one of the layer's weights in the file, if it is there by this name."""
        return self._shape_of(weight)

    def inside(self, class_name: str, config: Mapping[str, Any]) -> LayerSettings:
        """Return the settings of a layer or cell in this layer."""
        self._inner.append(LayerSettings(self.layer, class_name, config, self._shape_of))
        return self._inner[-1]

    def ignored(self) -> dict[str, Any]:
        """Return the settings that nobody asked for, and that would do something if TensorFlow.js knew them."""
        left = {key: value for key, value in self._config.items() if key not in self._read | SILENT}
        # a setting at its off value is no loss, and a notice for each would hide those that are
        own = {key: value for key, value in left.items() if value is True or not any(value == off for off in OFF)}
        return own | {key: value for inner in self._inner for key, value in inner.ignored().items()}

    def refuse(self, what: str) -> FileError:
        """Return an error about this layer."""
        return FileError(f"The layer '{self.layer}' ({self.class_name}) {what}")

    def given(self) -> Mapping[str, Any]:
        """Return everything as it stands in the file."""
        return self._config

    def has(self, name: str) -> bool:
        """Whether a setting is given."""
        self._read.add(name)
        return self._config.get(name) is not None

    def is_null(self, name: str) -> bool:
        """Whether a setting is given as null."""
        self._read.add(name)
        return name in self._config and self._config[name] is None

    def whole(self, name: str, default: int | None = None, least: int = 1) -> int:
        """Return a whole number."""
        value = self._value(name, default)
        # files spell the lengths of one axis as [3], too
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        # 3.0 in a file made by hand
        if type(value) is float and value.is_integer():
            value = int(value)
        # `type`: true is a whole number to Python
        if type(value) is not int or not least <= value < MOST:
            raise self.refuse(f"must have a whole number of at least {least} for '{name}'. Got {_shown(value)}.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number."""
        value = self._value(name, default)
        if not _is_number(value):
            raise self.refuse(f"must have a number for '{name}'. Got {_shown(value)}.")
        return float(value)

    def share(self, name: str, default: float | None = None) -> float:
        """Return a number from 0 to below 1."""
        value = self.number(name, default)
        if not 0 <= value < 1:
            raise self.refuse(f"must have a rate from 0 to below 1 for '{name}'. Got {_shown(value)}.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self.refuse(f"must have true or false for '{name}'. Got {_shown(value)}.")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """Return one of several texts."""
        value = self._value(name, default)
        if value not in allowed:
            raise self.refuse(f"must have one of {', '.join(allowed)} for '{name}'. Got {_shown(value)}.")
        return value

    def lengths(self, name: str, count: int, default: int | None = None, least: int = 1) -> tuple[int, ...]:
        """Return so many whole numbers; one stands for all."""
        value = self._value(name, default)
        values = value if isinstance(value, list) else [value] * count
        if len(values) != count or not all(type(v) is int and least <= v < MOST for v in values):
            raise self.refuse(f"must have {count} whole numbers for '{name}'. Got {_shown(value)}.")
        return tuple(values)

    def wholes(self, name: str, least: int = -MOST, unknown: Any = ...) -> list[Any]:
        """Return a list of whole numbers; null is read as `unknown`, if that is given."""
        value = self._value(name, None)
        values = value if isinstance(value, list) else [value]
        if unknown is not ...:
            values = [unknown if v is None else v for v in values]
        # no tensor has more axes
        if len(values) > 16 or not all(
            (type(v) is int and least <= v < MOST) or (v is unknown and unknown is None) for v in values
        ):
            raise self.refuse(f"must have whole numbers for '{name}'. Got {_shown(value)}.")
        return values

    def numbers(self, name: str, default: float) -> Any:
        """Return a number, or a list of them, or of lists of the same length."""
        value = self._value(name, default)
        if not isinstance(value, list):
            return self.number(name, default)
        try:
            # as objects: NumPy would make numbers of texts and of true
            found = np.array(value, dtype=object)
        except ValueError:
            found = np.empty(0)  # lists of several lengths in NumPy's opinion
        if not found.size or found.ndim > 8 or not all(map(_is_number, found.flat)):
            raise self.refuse(f"must have numbers for '{name}', in lists of the same length. Got {_shown(value)}.")
        return found.astype(float).tolist()

    def sides(self, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return what is added or taken at the sides of an image."""
        value = self._value(name, 1)
        rows, columns = value if isinstance(value, list) and len(value) == 2 else (value, value)
        pairs = [pair if isinstance(pair, list) else [pair, pair] for pair in (rows, columns)]
        if not all(len(pair) == 2 and all(type(v) is int and 0 <= v < MOST for v in pair) for pair in pairs):
            raise self.refuse(f"must have whole numbers for '{name}'. Got {_shown(value)}.")
        return (pairs[0][0], pairs[0][1]), (pairs[1][0], pairs[1][1])

    def data_format(self, *, first: bool = False) -> str:
        """Return where the channels are; `first` says whether TensorFlow.js can have them before the places."""
        found = self.choice("data_format", ("channels_last", "channels_first"), "channels_last")
        if found == "channels_first" and not first:
            raise self.refuse("has its channels first, which TensorFlow.js does not compute there: use channelsLast.")
        return found

    def nested(self, name: str) -> tuple[str, Mapping[str, Any]]:
        """Return class and settings of a layer or cell in this layer."""
        found = self._value(name, None)
        if not isinstance(found, dict):
            raise self.refuse(f"must hold a layer under '{name}'. Got {_shown(found)}.")
        return self.entry(found)

    def entry(self, found: Any) -> tuple[str, Mapping[str, Any]]:
        """Return class and settings of an entry."""
        if not isinstance(found, dict) or not isinstance(found.get("class_name"), str):
            raise self.refuse(f"holds something that is no layer: {_shown(found)}.")
        config = found.get("config")
        return found["class_name"], config if isinstance(config, dict) else {}

    def entries(self, name: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Return class and settings of each layer or cell in a list."""
        found = self._value(name, None)
        if not isinstance(found, list) or not 0 < len(found) <= 100:
            raise self.refuse(f"must hold a list of cells under '{name}'. Got {_shown(found)}.")
        return [self.entry(item) for item in found]

    def activation(self, name: str = "activation", default: str = "linear", also: Sequence[str] = ()) -> str:
        """Return Keras's name of an activation, or one of `also`; `hard_sigmoid` means another function there."""
        value = self._value(name, default)
        # an activation may be written as an object with settings, of which there are none
        if isinstance(value, dict):
            value = value.get("class_name")
        spelled = snake(value) if isinstance(value, str) else ""
        if spelled in also:
            return spelled
        if spelled not in KERAS_ACTIVATIONS:
            raise self.refuse(
                f"has the activation {_shown(value)}, and only {', '.join(KERAS_ACTIVATIONS)} are read there."
            )
        return KERAS_ACTIVATIONS[spelled]

    def regularizer(self, name: str, stretch: float = 1.0) -> Any:
        """Return Keras's regularizer, or None; of a weight that is stretched, one that gives the same penalty."""
        found = self._value(name, None)
        if found is None:
            return None
        class_name, config = self.entry({"class_name": "L1L2"} if found in TEXTS_OF_L1L2 else found)
        if class_name not in LEFT_OUT:
            raise self.refuse(f"has the regularizer {_shown(class_name)}, and only L1L2 is read.")
        strengths = LayerSettings(self.layer, class_name, config)
        l1, l2 = (strengths.number(key, LEFT_OUT[class_name].get(key, 0.0)) for key in ("l1", "l2"))
        if l1 < 0 or l2 < 0:
            raise self.refuse(f"has a penalty below zero: {_shown(config)}.")
        # the penalty of a stretched weight is that of the weight: |6/5 w| and (6/5 w)**2 grow along
        l1, l2 = l1 / stretch, l2 / stretch**2
        regularizers = import_keras().regularizers
        if l1 and l2:
            return regularizers.L1L2(l1, l2)
        return regularizers.L1(l1) if l1 else regularizers.L2(l2) if l2 else None

    def initializer(self, name: str) -> Any:
        """Return Keras's initializer, or None for its default."""
        return self._object(name, KERAS_INITIALIZERS, import_keras().initializers)

    def constraint(self, name: str) -> Any:
        """Return Keras's constraint, or None."""
        if self.is_regularizer(name):
            return None
        return self._object(name, KERAS_CONSTRAINTS, import_keras().constraints)

    def is_regularizer(self, name: str) -> bool:
        """Whether a regularizer stands there: TensorFlow.js writes that of a DepthwiseConv2D as its constraint."""
        found = self._value(name, None)
        return isinstance(found, dict) and found.get("class_name") == "L1L2"

    def _object(self, name: str, table: Mapping[str, tuple[str, tuple[str, ...]]], module: Any) -> Any:
        found = self._value(name, None)
        if found is None:
            return None
        if isinstance(found, str):
            # TensorFlow.js takes a text too, "glorotUniform" as well as "GlorotUniform"
            short = {snake(known): known for known in table}
            found = {"class_name": short.get(found, found)}
        class_name, config = self.entry(found)
        if class_name not in table:
            raise self.refuse(f"has {_shown(class_name)} for '{name}', and only {', '.join(table)} are read.")
        keras_name, fields = table[class_name]
        given = {key: value for key, value in config.items() if key in fields and value is not None}
        if given.get("distribution") == "normal":
            given["distribution"] = "truncated_normal"  # what both call so
        # TensorFlow.js takes any number and Keras may write a generator: neither says anything to the other
        if "seed" in given and (type(given["seed"]) is not int or not 0 <= given["seed"] < MOST_SEED):
            del given["seed"]
        for key, value in given.items():
            if not (
                _is_number(value) or key in ("mode", "distribution") or (key == "axis" and isinstance(value, list))
            ):
                raise self.refuse(f"must have a number for '{key}' of '{name}'. Got {_shown(value)}.")
        return getattr(module, keras_name)(**given)

    def _value(self, name: str, default: Any) -> Any:
        self._read.add(name)
        value = self._config.get(name)
        return default if value is None else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _shown(value: Any) -> str:
    return repr(value)[:100]
