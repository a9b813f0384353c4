"""What fitwell sees in a Keras model, as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fitwell
import keras
from fitwell.errors import InputError, InputTypeError
from fitwell.keras.opening import Opened, opened

L = keras.layers
COLUMNS = [
    *("layer", "kind", "parameters", "penalised", "l1", "l2", "weight_dropout"),
    *("dropout_after", "dropout", "weight_decay"),
]


def dense() -> Any:
    layers = [
        fitwell.layers.Dense(4, "relu", name="first", kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2)),
        L.BatchNormalization(name="norm"),
        fitwell.layers.Dense(3, "relu", name="second", dropout_rate=0.25),
        L.Dropout(0.5, name="drop"),
        L.Dense(2, name="last"),
    ]
    return keras.Sequential([keras.Input((3,)), *layers])


def convolution() -> Any:
    layers = [
        L.Conv2D(3, 3, activation="relu", name="conv"),
        L.MaxPooling2D(name="pool"),
        L.SpatialDropout2D(0.25, name="maps"),
        L.Flatten(name="flat"),
        L.Dense(2, name="last"),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def recurrent() -> Any:
    layers = [L.Embedding(5, 4, name="words"), L.LSTM(3, name="lstm", recurrent_regularizer="l2"), L.Dense(1, name="o")]
    return keras.Sequential([keras.Input((None,), dtype="int32"), *layers])


def nested() -> Any:
    inner = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu", name="a"), L.Dense(3, "relu", name="b")], name="in")
    inputs = keras.Input((3,), name="x")
    return keras.Model(inputs, L.Dense(1, name="a")(inner(inputs)), name="out")


@keras.saving.register_keras_serializable(package="tests")
class Own(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.hidden, self.drop = L.Dense(4, "relu", name="hidden"), L.Dropout(0.5, name="drop")
        self.last = L.Dense(2, name="last")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Two layers with dropout between them."""
        return self.last(self.drop(self.hidden(inputs), training=training))


def subclassed() -> Any:
    model = Own(name="own")
    model(np.zeros((2, 3), "float32"))
    return model


DENSE = {
    "first": ("Dense", 16, "kernel", 0.1, 0.2, 0.0, "norm", 0.0),
    "norm": ("BatchNormalization", 16, "", None, None, None, "", None),
    "second": ("Dense", 15, "kernel", 0.0, 0.0, 0.25, "", None),
    "drop": ("Dropout", 0, "", None, None, None, "drop", 0.5),
    "last": ("Dense", 8, "kernel", 0.0, 0.0, 0.0, "", None),
}
CONVOLUTION = {
    "conv": ("Conv2D", 30, "kernel", 0.0, 0.0, 0.0, "", None),
    "pool": ("MaxPooling2D", 0, "", None, None, None, "", None),
    "maps": ("SpatialDropout2D", 0, "", None, None, None, "maps", 0.25),
    "flat": ("Flatten", 0, "", None, None, None, "", None),
    "last": ("Dense", 56, "kernel", 0.0, 0.0, 0.0, "", None),
}
RECURRENT = {
    "words": ("Embedding", 20, "", None, None, None, "", None),
    "lstm": ("LSTM", 96, "kernel, recurrent_kernel", 0.0, 0.01, 0.0, "lstm", 0.0),
    "o": ("Dense", 4, "kernel", 0.0, 0.0, 0.0, "", None),
}
NESTED = {
    "x": ("InputLayer", 0, "", None, None, None, "", None),
    "in/a": ("Dense", 16, "kernel", 0.0, 0.0, 0.0, "in/a", 0.0),
    "b": ("Dense", 15, "kernel", 0.0, 0.0, 0.0, "b", 0.0),
    "out/a": ("Dense", 4, "kernel", 0.0, 0.0, 0.0, "", None),
}
SUBCLASSED = {
    "hidden": ("Dense", 16, "kernel", 0.0, 0.0, 0.0, "", None),
    "drop": ("Dropout", 0, "", None, None, None, "drop", 0.5),
    "last": ("Dense", 10, "kernel", 0.0, 0.0, 0.0, "", None),
}
MODELS = [
    (dense, DENSE),
    (convolution, CONVOLUTION),
    (recurrent, RECURRENT),
    (nested, NESTED),
    (subclassed, SUBCLASSED),
]


@pytest.mark.parametrize(("make", "expected"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_table(make: Any, expected: dict[str, tuple]) -> None:
    """One row for each layer, with the strengths it has; null where none can act."""
    model = make()
    found = opened(model).table
    assert found.columns == COLUMNS
    rows = {row[0]: tuple(round(v, 6) if isinstance(v, float) else v for v in row[1:]) for row in found.iter_rows()}
    # the optimizer may let every weight decay, and a model that is not compiled has no decay
    assert rows == {name: (*row, 0.0 if row[1] else None) for name, row in expected.items()}
    assert list(rows) == list(expected)
    assert sum(row[1] for row in rows.values()) == model.count_params()


@pytest.mark.parametrize(("make", "expected"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_it_prints_every_layer(make: Any, expected: dict[str, tuple]) -> None:
    """The text has every layer and nothing is cut off; `repr` is the same."""
    found = opened(make())
    lines = [line for line in str(found).splitlines() if "─" not in line and "═" not in line]
    assert lines[0].split() == COLUMNS
    assert [line.split()[0] for line in lines[1:]] == list(expected)
    assert "…" not in str(found)
    assert "null" not in str(found)
    assert repr(found) == str(found)


def column(found: Opened, name: str) -> dict[str, Any]:
    return {row["layer"]: row[name] for row in found.table.to_dicts()}


def test_layers_are_chosen_by_name() -> None:
    """Only the named layers are penalised and have dropout behind them; the model's own dropout stays."""
    found = opened(dense(), penalise=["last"], dropout_after=["first"])
    assert column(found, "penalised") == {"first": "", "norm": "", "second": "", "drop": "", "last": "kernel"}
    assert column(found, "dropout_after") == {"first": "first", "norm": "", "second": "", "drop": "drop", "last": ""}
    none = opened(dense(), penalise=[], dropout_after=[])
    assert not any(column(none, "penalised").values())
    assert column(none, "dropout") == {"first": None, "norm": None, "second": None, "drop": 0.5, "last": None}
    assert column(opened(nested(), dropout_after=["in/a"]), "dropout_after")["in/a"] == "in/a"


def test_a_changed_strength_counts() -> None:
    """Nothing is kept of the model's strengths: those of the moment are read, and the model is not touched."""
    model = dense()
    found, before = opened(model), model.get_config()
    model.get_layer("drop").rate = 0.75
    assert column(found, "dropout")["drop"] == 0.75
    model.get_layer("drop").rate = 0.5
    assert found.table.height == 5
    assert model.get_config() == before


def test_the_optimizers_weight_decay_is_shown() -> None:
    """By layer: what the optimizer has, and null where it lets no variable of a layer decay."""
    model = dense()
    optimizer = keras.optimizers.SGD(weight_decay=0.25)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, "mse")
    expected = {"first": 0.25, "norm": None, "second": 0.25, "drop": None, "last": 0.25}
    assert column(opened(model), "weight_decay") == expected
    assert not optimizer.built


@pytest.mark.parametrize(
    ("argument", "names", "error", "sentence"),
    [
        (
            "penalise",
            ["frist"],
            InputError,
            "'penalise' must name layers of the model. Got 'frist'; it has: first, norm",
        ),
        ("dropout_after", ["frist"], InputError, "'dropout_after' must name layers of the model. Got 'frist'"),
        ("penalise", "first", InputTypeError, "'penalise' must be a list of names of layers. Got the text 'first'"),
        ("dropout_after", "first", InputTypeError, "'dropout_after' must be a list"),
    ],
)
def test_wrong_names(argument: str, names: Any, error: type[Exception], sentence: str) -> None:
    """A name that no layer has, or a text in the place of a list, gets its sentence."""
    with pytest.raises(error, match=sentence):
        str(opened(dense(), **{argument: names}))


def test_metadata_go_with_the_model() -> None:
    """They are kept beside it, none if none are given, and the model itself is not touched."""
    model, mine = dense(), {"labels": ["é", None], "deep": {"a": [1, 0.5]}}
    before = set(vars(model))
    assert opened(model, metadata=mine).metadata == mine
    assert opened(model).metadata == {}
    assert set(vars(model)) == before


@pytest.mark.parametrize(
    ("metadata", "error", "sentence"),
    [
        (["mine"], InputTypeError, "'metadata' must be a mapping of plain JSON. Got list"),
        ("", InputTypeError, "'metadata' must be a mapping of plain JSON. Got str"),
        ({"mine": float("nan")}, InputError, "'metadata' must be plain JSON: texts, numbers, lists and dicts"),
        ({"mine": {1, 2}}, InputError, "'metadata' must be plain JSON"),
    ],
)
def test_metadata_that_cannot_be_written(metadata: Any, error: type[Exception], sentence: str) -> None:
    """They are refused before the search, not after it."""
    with pytest.raises(error, match=sentence):
        opened(dense(), metadata=metadata)


def test_what_cannot_be_opened() -> None:
    """No model, a model that is not built, a subclass whose graph is not known, and one without weights."""
    with pytest.raises(InputTypeError, match=r"'model' must be a keras.Model. Got Dense"):
        opened(L.Dense(3))
    for model in (Own(name="own"), keras.Sequential([L.Dense(2)], name="own")):
        with pytest.raises(InputError, match=r"'own' is not built: begin it with keras\.Input, call it on some rows"):
            opened(model).table  # noqa: B018
    with pytest.raises(InputError, match="Dropout cannot be put into 'own', a subclassed model"):
        opened(subclassed(), dropout_after=["hidden"]).table  # noqa: B018
    frozen = dense()
    frozen.trainable = False
    with pytest.raises(InputError, match="no trainable weights"):
        opened(frozen).table  # noqa: B018


def test_looking_does_not_build() -> None:
    """`opened` itself computes nothing: a model that is built later is seen as it is then."""
    model = keras.Sequential([L.Dense(2, name="only")])
    found = opened(model)
    model.build((None, 3))
    assert column(found, "parameters") == {"only": 8}
