"""`fitwell.tune(table, target, model=model)`: a Keras model on a table's encoded columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fitwell
import keras
from fitwell.errors import FitwellError, InputError

pytestmark = pytest.mark.slow

L, LOSSES = keras.layers, keras.losses
OPTIONS: dict[str, Any] = {"cv": 2, "epochs": 2, "batch_size": 10, "strengths": [{"l2": 0.1}], "learning_rate": 0.05}
RANDOM = np.random.default_rng(0)
ROWS = 60
SIZE = RANDOM.normal(size=ROWS)
TABLE = pl.DataFrame(
    {
        "size": SIZE,
        "colour": RANDOM.choice(["red", "blue"], ROWS),
        "sort": np.where(SIZE > 0.5, "great", np.where(SIZE < -0.5, "small", "usual")),
        "good": np.where(SIZE + RANDOM.normal(size=ROWS) / 3 > 0, "yes", "no"),
        "price": 100 + 10 * SIZE + RANDOM.normal(size=ROWS) / 10,
    }
)
INPUTS = 4
"""Once encoded: a number, two colours, and any other."""


def make(units: int, loss: Any, activation: str | None = None, inputs: int = INPUTS) -> Any:
    model = keras.Sequential([keras.Input((inputs,)), L.Dense(4, "relu"), L.Dense(units, activation)], name="mine")
    model.compile("sgd", loss)
    return model


def tuned(target: str, units: int, loss: Any, activation: str | None = None) -> fitwell.Result:
    features = TABLE.select("size", "colour", target)
    return fitwell.tune(features, target, model=make(units, loss, activation), **OPTIONS)


@pytest.fixture(scope="module")
def three() -> dict[str, fitwell.Result]:
    """Three classes, in the four ways in which Keras can say them."""
    cases = {
        "probabilities, indices": (3, "sparse_categorical_crossentropy", "softmax"),
        "probabilities, one-hot": (3, "categorical_crossentropy", "softmax"),
        "logits, indices": (3, LOSSES.SparseCategoricalCrossentropy(from_logits=True)),
        "logits, one-hot": (3, LOSSES.CategoricalCrossentropy(from_logits=True)),
    }
    return {name: tuned("sort", *case) for name, case in cases.items()}


@pytest.fixture(scope="module")
def two() -> dict[str, fitwell.Result]:
    """Two classes by one number."""
    cases = {
        "probability": (1, "binary_crossentropy", "sigmoid"),
        "logit": (1, LOSSES.BinaryCrossentropy(from_logits=True)),
    }
    return {name: tuned("good", *case) for name, case in cases.items()}


@pytest.fixture(scope="module")
def price() -> fitwell.Result:
    return tuned("price", 1, "mse")


def test_all_ways_to_say_classes_agree(three: dict[str, Any], two: dict[str, Any]) -> None:
    """Indices or one-hot, probabilities or logits: the same losses, predictions and scores."""
    for results in (three, two):
        first, *others = results.values()
        for other in others:
            np.testing.assert_allclose(
                other.search.histories.held_out_loss, first.search.histories.held_out_loss, rtol=1e-4, atol=1e-6
            )
            found, expected = (result.predictor.predict_numbers(TABLE) for result in (other, first))
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
            for name, score in first.scores["minimum"].items():
                assert other.scores["minimum"][name] == pytest.approx(score, rel=1e-3)
    raw = three["logits, indices"].model.predict(np.zeros((2, INPUTS)), verbose=0)
    assert not np.allclose(raw.sum(axis=1), 1)  # the break: the model itself does give logits


def test_predictions_are_probabilities(three: dict[str, Any], two: dict[str, Any]) -> None:
    """They sum to one in the order of the classes, and the class named is the most probable one."""
    for target, results in (("sort", three), ("good", two)):
        classes = sorted(set(TABLE[target]))
        for result in results.values():
            frame = result.predict(TABLE)
            assert frame.columns == [target, *(f"probability of {name}" for name in classes)]
            numbers = frame.drop(target).to_numpy()
            np.testing.assert_allclose(numbers.sum(axis=1), 1, rtol=1e-5)
            assert frame[target].to_list() == [classes[i] for i in numbers.argmax(axis=1)]
            assert np.nanmin(result.answer.held_out_predictions["minimum"]) >= 0


def test_scores_are_of_held_out_rows(two: dict[str, Any]) -> None:
    """Log loss, accuracy and AUC are those of the held-out probabilities, by the loss the model was compiled with."""
    result = two["logit"]
    held_out = result.answer.held_out_predictions["minimum"]
    right = (TABLE["good"] == "yes").to_numpy().astype(int)
    assert result.scores["minimum"]["log loss"] == pytest.approx(-np.log(held_out[np.arange(ROWS), right]).mean())
    assert result.scores["minimum"]["log loss"] == pytest.approx(result.search.histories.best_loss.min(), rel=1e-3)
    assert {"log loss", "accuracy", "AUC", "average precision", "threshold"} < set(result.scores["minimum"])


def test_regression_is_in_the_targets_units(price: fitwell.Result) -> None:
    """The user's model sees the target as it is, and predicts one number a row."""
    frame = price.predict(TABLE)
    assert frame.columns == ["price"]
    assert frame.height == ROWS
    held_out = price.answer.held_out_predictions["minimum"]
    assert price.scores["minimum"]["RMSE"] == pytest.approx(
        np.sqrt(((held_out - TABLE["price"].to_numpy()) ** 2).mean())
    )
    assert price.search.loss_name == "mse"


@pytest.mark.filterwarnings(
    "ignore:Skipping variable loading for optimizer", "ignore:Categories that training did not have"
)
@pytest.mark.parametrize("which", ["three", "two", "price"])
def test_saved_and_loaded_it_predicts_the_same(
    three: dict[str, Any], two: dict[str, Any], price: fitwell.Result, which: str, tmp_path: Path
) -> None:
    """`fitwell.load` knows what the outputs mean: the same frame, for new rows too."""
    result = {"three": three["logits, one-hot"], "two": two["logit"], "price": price}[which]
    loaded = fitwell.load(result.save(tmp_path / "run"))
    new = TABLE.head(5).with_columns(pl.lit("violet").alias("colour"))
    for table in (TABLE, new):
        assert loaded.predict(table).equals(result.predict(table))
    assert keras.saving.load_model(tmp_path / "run" / "model.keras").output_shape == result.model.output_shape


def test_the_model_is_the_users_own(two: dict[str, Any]) -> None:
    """Architecture, name and loss are the user's; what is reported are its layers."""
    model = two["probability"].model
    assert model.name == "mine"
    assert model.loss == "binary_crossentropy"
    assert [layer.units for layer in model.layers if type(layer).__name__ == "Dense"] == [4, 1]
    assert two["probability"].layers is not None
    assert two["probability"].layers["layer"].len() == 2
    assert two["probability"].answer.refit == "single"


@pytest.mark.parametrize(
    ("model", "target", "options", "sentence"),
    [
        (
            make(2, "sparse_categorical_crossentropy", "softmax", inputs=7),
            "good",
            {},
            "gives 4 inputs once encoded, and",
        ),
        (make(2, "sparse_categorical_crossentropy", "softmax"), "sort", {}, r"3 classes: end it with Dense\(3\)"),
        (make(2, "mse"), "price", {}, r"one number: end it with Dense\(1\)"),
        (keras.Sequential([L.Dense(2)]), "good", {}, "is not compiled"),
        ("model.keras", "good", {}, r"'model' must be a keras.Model or fitwell.opened\(model\). Got str"),
        (make(1, "mse"), "price", {"refit": "ensemble"}, "comes back as one network of its own architecture"),
        (make(1, "mse"), "price", {"weights": "given"}, "go with a Keras model and arrays"),
        (make(1, "mse"), "price", {"sample_weight": np.ones(ROWS)}, "leave them out with 'model'"),
        (make(1, "mse"), "cost", {}, "cost"),
    ],
)
def test_wrong_arguments(model: Any, target: str, options: dict[str, Any], sentence: str) -> None:
    """A model that does not fit the table, or an argument that has no meaning here, gets its sentence."""
    features = TABLE.select("size", "colour", *({target} & set(TABLE.columns)))
    with pytest.raises(FitwellError, match=sentence):
        fitwell.tune(features, target, model=model, **{**OPTIONS, **options})


def test_a_model_that_is_not_built() -> None:
    """Without its shapes it cannot be known whether a model fits the table."""
    model = keras.Sequential([L.Dense(2)], name="mine")
    model.compile("sgd", "mse")
    with pytest.raises(InputError, match=r"the shapes of 'mine' must be known: build it from keras\.Input"):
        fitwell.tune(TABLE.select("size", "good"), "good", model=model, **OPTIONS)


def test_several_targets_are_the_dense_networks() -> None:
    """A model on a table predicts one; the sentence says what takes several."""
    table = pl.DataFrame({"x": np.arange(30.0), "a": np.sin(np.arange(30)), "b": np.cos(np.arange(30))})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    with pytest.raises(InputError, match=r"A Keras model on a table predicts one target\. Got 2: leave out 'model'"):
        fitwell.tune(table, ["a", "b"], model=model, strengths=2, epochs=2)
