"""Recurrent layers, their cells and their wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fitwell.keras.backend import import_keras
from fitwell.tfjs.reading.layer_settings import STRETCH, LayerSettings
from fitwell.tfjs.reading.read_layers import Made, Reader, about
from fitwell.tfjs.weights import MOST_NAME

CELL_KINDS = ("SimpleRNN", "LSTM", "GRU")
STRETCHED = {"LSTM": ((0, 2), (3, 4)), "GRU": ((0, 2),), "SimpleRNN": ()}
"""Places of the gates that the recurrent activation acts on: i, f and o of i, f, c, o; z and r of z, r, h."""

OUTER = {"GRU": ((2, 3),), "SimpleRNN": ((None, None),)}
"""Places (all of a SimpleRNN) that the activation acts on; that of an LSTM acts on its state too: no weights."""


def _options(settings: LayerSettings, kind: str) -> dict[str, Any]:
    """Return what layers and cells have in common."""
    activation = _activation(settings, "activation", "tanh", kind)
    found: dict[str, Any] = {
        "units": settings.whole("units"),
        "use_bias": settings.flag("use_bias", True),
        "activation": activation,
        "dropout": settings.share("dropout", 0.0),
        "recurrent_dropout": settings.share("recurrent_dropout", 0.0),
    }
    if kind != "SimpleRNN":
        # TensorFlow.js's default; Keras's is the sigmoid
        found["recurrent_activation"] = _activation(settings, "recurrent_activation", "hard_sigmoid", kind)
    if kind == "LSTM":
        found["unit_forget_bias"] = settings.flag("unit_forget_bias", True)
    if kind == "GRU":
        if settings.flag("reset_after", False):
            raise settings.refuse("resets after the product, which TensorFlow.js does not offer: leave resetAfter out.")
        # Keras's default is True
        found["reset_after"] = False
    # an LSTM applies it to its state, which no weight can stretch
    if activation == "hard_sigmoid" and kind not in OUTER:
        raise settings.refuse("has the activation hardSigmoid, whose scale Keras does not share: use another.")
    # only where all columns are stretched alike can a penalty be scaled along
    whole = kind == "SimpleRNN" and activation == "hard_sigmoid"
    return {**found, **about(settings, "kernel", "recurrent", "bias", stretch=STRETCH if whole else 1.0)}


def _activation(settings: LayerSettings, name: str, default: str, kind: str) -> str:
    """Return Keras's name of an activation; a null is the default of a SimpleRNN, and elsewhere no activation."""
    return settings.activation(name, "linear" if kind != "SimpleRNN" and settings.is_null(name) else default)


def _stretched(kind: str, options: Mapping[str, Any], first: int = 0) -> tuple[tuple[int, slice], ...]:
    """Return which columns of kernel, recurrent kernel and bias must be stretched."""
    places = STRETCHED[kind] if options.get("recurrent_activation") == "hard_sigmoid" else ()
    places += OUTER[kind] if options["activation"] == "hard_sigmoid" else ()
    units = options["units"]
    return tuple(
        (first + number, slice(None) if start is None else slice(start * units, stop * units))
        for number in range(2 + options["use_bias"])
        for start, stop in places
    )


def _weights(options: Mapping[str, Any], prefix: str = "") -> tuple[str, ...]:
    names = ("kernel", "recurrent_kernel", "bias")[: 2 + options["use_bias"]]
    return tuple(prefix + name for name in names)


def _run(settings: LayerSettings) -> dict[str, Any]:
    """Return how a recurrent layer runs."""
    if settings.flag("stateful", False):
        raise settings.refuse("is stateful, and no state is kept from one batch to the next here: leave stateful out.")
    flags = ("return_sequences", "return_state", "go_backwards")
    return {name: settings.flag(name, False) for name in flags}


def recurrent_reader(kind: str) -> Reader:
    """Return a reader of `SimpleRNN`, `LSTM` or `GRU`."""

    def read(settings: LayerSettings, name: str) -> Made:
        options = _options(settings, kind)
        made = getattr(import_keras().layers, kind)(**options, **_run(settings), name=name)
        return Made((made,), _weights(options), _stretched(kind, options))

    return read


def _cell(settings: LayerSettings, found: tuple[str, Mapping[str, Any]]) -> tuple[str, Any, dict[str, Any]]:
    class_name, config = found
    kind = class_name.removesuffix("Cell")
    if kind not in CELL_KINDS or not class_name.endswith("Cell"):
        raise settings.refuse(f"holds the cell {class_name[:50]!r}, and only SimpleRNN, LSTM and GRU cells are read.")
    options = _options(settings.inside(class_name, config), kind)
    return kind, getattr(import_keras().layers, class_name)(**options, name=_own_name(config)), options


def _own_name(config: Mapping[str, Any]) -> str | None:
    """Return the name of a cell, by which Keras 3 names its weights."""
    name = config.get("name")
    return name.replace("/", "_") if isinstance(name, str) and 0 < len(name) <= MOST_NAME else None


def read_rnn(settings: LayerSettings, name: str) -> Made:
    """Read an `RNN` of a cell or of a stack of cells."""
    class_name, config = settings.nested("cell")
    stacked = class_name == "StackedRNNCells"
    entries = settings.inside(class_name, config).entries("cells") if stacked else [(class_name, config)]
    cells = [_cell(settings, entry) for entry in entries]
    weights: tuple[str, ...] = ()
    stretched: tuple[tuple[int, slice], ...] = ()
    for number, (kind, _, options) in enumerate(cells):
        stretched += _stretched(kind, options, len(weights))
        # a single cell's weights have no prefix in the file
        weights += _weights(options, f"RNNCell_{number}/" if stacked else "")
    layers = import_keras().layers
    cell = layers.StackedRNNCells([made for _, made, _ in cells], name=_own_name(config)) if stacked else cells[0][1]
    return Made((layers.RNN(cell, **_run(settings), name=name),), weights, stretched)


def read_conv_lstm(settings: LayerSettings, name: str) -> Made:
    """Read a `ConvLSTM2D`."""
    options: dict[str, Any] = {
        "data_format": settings.data_format(),
        "filters": settings.whole("filters"),
        "kernel_size": settings.lengths("kernel_size", 2),
        "strides": settings.lengths("strides", 2, 1),
        "padding": settings.choice("padding", ("valid", "same"), "valid"),
        "dilation_rate": settings.lengths("dilation_rate", 2, 1),
        "activation": _activation(settings, "activation", "tanh", "ConvLSTM2D"),
        "recurrent_activation": _activation(settings, "recurrent_activation", "hard_sigmoid", "ConvLSTM2D"),
        "use_bias": settings.flag("use_bias", True),
        "unit_forget_bias": settings.flag("unit_forget_bias", True),
        **about(settings, "kernel", "recurrent", "bias"),
    }
    if options["activation"] == "hard_sigmoid":
        raise settings.refuse("has the activation hardSigmoid, whose scale Keras does not share: use another.")
    made = import_keras().layers.ConvLSTM2D(**options, **_run(settings), name=name)
    stretched = _stretched("LSTM", {**options, "units": options["filters"]})
    return Made((made,), _weights(options), stretched)


def read_bidirectional(settings: LayerSettings, name: str) -> Made:
    """Read a `Bidirectional` layer: both directions have the settings of the one that the file holds."""
    class_name, config = settings.nested("layer")
    if class_name not in CELL_KINDS:
        raise settings.refuse(f"wraps a {class_name[:50]!r}, and only SimpleRNN, LSTM and GRU are read.")
    # the file names the forward layer, and weights by both ways
    inner = str(config.get("name", class_name.lower()))[:200].removeprefix("forward_")
    safe = inner.replace("/", "_")
    one = recurrent_reader(class_name)(settings.inside(class_name, config), safe)
    against = None  # Keras makes it of the first, except where that itself runs backwards
    if config.get("go_backwards"):
        forward = LayerSettings(settings.layer, class_name, {**config, "go_backwards": False})
        against = recurrent_reader(class_name)(forward, safe)
    merge = None
    if not settings.is_null("merge_mode"):
        merge = settings.choice("merge_mode", ("concat", "sum", "mul", "ave"), "concat")
    made = import_keras().layers.Bidirectional(
        one.parts[0], merge_mode=merge, backward_layer=against and against.parts[0], name=name
    )
    weights = tuple(f"{way}_{inner}/{weight}" for way in ("forward", "backward") for weight in one.weights)
    count = len(one.weights)
    # Keras lists the weights of both ways one behind the other
    stretched = one.stretched + tuple((number + count, columns) for number, columns in one.stretched)
    return Made((made,), weights, stretched)
