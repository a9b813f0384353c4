"""`fitwell.tune(model, x, y)`: a Keras model in, a plain Keras model out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fitwell
import keras
from fitwell.errors import InputError
from fitwell.problems.given import read_problem
from fitwell.problems.models import check_model_options, read_model
from fitwell.problems.options import Options, make_options
from fitwell.report import text

pytestmark = pytest.mark.usefixtures("quickly_compiled")

L, R = keras.layers, keras.regularizers
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
NOISE = RANDOM.permutation(Y)
OPTIONS: dict[str, Any] = {"cv": 2, "epochs": 2, "batch_size": 8, "strengths": []}


def make(rate: float = 0.05, *, optimizer: type = keras.optimizers.Adam, named: bool = False, **hidden: Any) -> Any:
    """A small compiled classifier with the same weights every time; `hidden` are options of its hidden layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,), name="x")
    units = L.Dense(6, "relu", name="hidden", **hidden)(inputs)
    outputs = L.Dense(2, "softmax", name="last")(units)
    model = keras.Model({"x": inputs} if named else inputs, outputs, name="small")
    model.compile(optimizer(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def curves(result: fitwell.Result) -> np.ndarray:
    return result.search.histories.held_out_loss


@pytest.mark.slow
def test_metadata_of_a_file_come_along(tmp_path: Path) -> None:
    """What a person wrote into a TensorFlow.js file and gives on goes through the search, a saved run and an export."""
    mine = {"mine": "é", "list": [1, {"a": None}]}
    fitwell.tfjs.save(make(), tmp_path / "node", metadata=mine)
    opened = fitwell.opened(fitwell.tfjs.load(tmp_path / "node"), metadata=fitwell.tfjs.metadata(tmp_path / "node"))
    result = fitwell.tune(opened, X, Y, **OPTIONS)
    assert result.predictor.metadata == mine
    run = result.save(tmp_path / "run")
    fitwell.export(run, "tfjs", tmp_path / "web")
    for place in ("run/tfjs", "web"):
        assert fitwell.tfjs.metadata(tmp_path / place) == mine


def test_metadata_that_are_not_given_are_none(plain: fitwell.Result, tmp_path: Path) -> None:
    """The counterpart: without them a run's file holds none."""
    assert plain.predictor.metadata == {}
    assert fitwell.tfjs.metadata(plain.save(tmp_path / "run") / "tfjs") == {}


@pytest.fixture(scope="module")
def plain() -> fitwell.Result:
    return fitwell.tune(make(), X, Y, **OPTIONS)


@pytest.fixture(scope="module")
def alone() -> tuple[Any, list[Any], fitwell.Result]:
    """Targets that are noise, and a model so regularized that nothing is better; what it was before."""
    model = make(kernel_regularizer=R.L1(1.0))
    before = [model.get_config(), model.get_weights()]
    strengths = [{"l1": {"last": 1e-5}}, {"l2": fitwell.Depth(1e-5, "rising"), "dropout": 0.01}]
    return model, before, fitwell.tune(model, X, NOISE, **{**OPTIONS, "strengths": strengths, "epochs": 12})


@pytest.fixture(scope="module")
def better() -> fitwell.Result:
    """The same targets, and a model without regularization, for which a strong L1 is the cure."""
    strengths = [{"l1": {"hidden": 3.0, "last": 1.0}}]
    return fitwell.tune(make(0.2), X, NOISE, **{**OPTIONS, "strengths": strengths, "epochs": 12, "rule": "min"})


# What is read


def batches() -> list[Any]:
    return [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 48, 10)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("x", "y"),
    [
        pytest.param({"x": X}, Y, id="dict"),
        pytest.param(pl.DataFrame(X), Y.tolist(), id="frame"),
        pytest.param(batches(), None, id="batches"),
    ],
)
def test_however_it_is_given(plain: fitwell.Result, x: Any, y: Any) -> None:
    """Arrays, a dict, a frame and batches of the same rows give the same curves and the same model."""
    result = fitwell.tune(make(named=isinstance(x, dict)), x, y, **OPTIONS)
    np.testing.assert_allclose(curves(result), curves(plain), rtol=1e-6)
    np.testing.assert_allclose(result.predict(x if y is not None else X), plain.predict(X), rtol=1e-5)


@pytest.mark.slow
def test_other_targets_give_another_model(plain: fitwell.Result, alone: Any) -> None:
    """The break: the curves do depend on the data."""
    assert np.abs(curves(alone[2])[:, 1, :2] - curves(plain)[:, 0]).max() > 0.01


@pytest.fixture(scope="module")
def slow_and_fast() -> list[np.ndarray]:
    """Held-out losses of plain gradient descent, compiled with one rate and with twice that."""
    models = [make(rate, optimizer=keras.optimizers.SGD) for rate in (0.1, 0.2)]
    return [curves(fitwell.tune(model, X, Y, **OPTIONS)) for model in models]


@pytest.mark.slow
def test_the_compiled_learning_rate_is_used(slow_and_fast: list[np.ndarray]) -> None:
    """Another rate at `compile` is another training; `learning_rate` takes its place."""
    slow, fast = slow_and_fast
    assert not np.allclose(slow, fast, rtol=1e-3)
    result = fitwell.tune(make(0.1, optimizer=keras.optimizers.SGD), X, Y, **OPTIONS, learning_rate=0.2)
    np.testing.assert_allclose(curves(result), fast, rtol=1e-5)
    assert result.search.candidates.learning_rate.tolist() == [0.2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "measured"),
    [({"class_weight": {0: 2.0, 1: 2.0}}, 1.0), ({"sample_weight": np.full(48, 2.0)}, 2.0)],
    ids=["classes", "rows"],
)
def test_weights_scale_the_loss(slow_and_fast: list[np.ndarray], weights: dict[str, Any], measured: float) -> None:
    """Twice the weight is twice the step of gradient descent; rows' weights count where losses are measured too."""
    result = fitwell.tune(make(0.1, optimizer=keras.optimizers.SGD), X, Y, **OPTIONS, **weights)
    np.testing.assert_allclose(curves(result), measured * slow_and_fast[1], rtol=1e-5)
    assert not np.allclose(curves(result), measured * slow_and_fast[0], rtol=1e-3)


# Where training starts


def knowing() -> Any:
    """A model that has learned the answer."""
    model = make(1e-9, optimizer=keras.optimizers.SGD)
    hidden = np.zeros((3, 6))
    hidden[0, :2] = 20, -20
    last = np.zeros((6, 2))
    last[:2] = [[-20, 20], [20, -20]]
    model.set_weights([hidden, np.zeros(6), last, np.zeros(2)])
    return model


@pytest.mark.slow
def test_fresh_weights_know_nothing_and_given_ones_do() -> None:
    """What a model has learned from all rows is not in fresh weights; `weights="given"` starts where it stands."""
    model = knowing()
    known = model.evaluate(X, Y, verbose=0)[0]
    fresh = fitwell.tune(model, X, Y, **OPTIONS)
    given = fitwell.tune(model, X, Y, **OPTIONS, weights="given")
    assert known < 0.1
    assert curves(given).mean() == pytest.approx(known, rel=1e-3)
    assert curves(fresh).min() > 0.4
    starts = [fresh.model.get_weights()[0], model.get_weights()[0]]
    assert not np.allclose(*starts)
    np.testing.assert_allclose(given.model.get_weights()[0], starts[1], rtol=1e-5)
    assert (np.abs(curves(fresh)[0] - curves(fresh)[1]) > 1e-3).all()  # row sets draw their own


@pytest.mark.slow
def test_frozen_layers_keep_their_weights() -> None:
    """A frozen layer stays as it is through search and refit, with fresh weights too, and is not penalised."""
    model = make()
    frozen = model.get_layer("hidden")
    frozen.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    result = fitwell.tune(model, X, Y, **OPTIONS)
    for found, before in zip(result.model.get_layer("hidden").get_weights(), frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(found, before)
    assert not result.model.get_layer("hidden").trainable
    assert not np.allclose(result.model.get_layer("last").get_weights()[0], model.get_layer("last").get_weights()[0])
    assert result.search.candidates.layers is not None
    assert result.search.candidates.layers.kernels == ("last",)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("kind", ["array", "list", "batches", "table"])
def test_targets_too_large_for_their_differences_are_told(kind: str) -> None:
    """Before anything is trained, of targets as they were given: here no two of them are told apart in float32."""
    y = 1e9 + 0.06 * X.sum(axis=1).astype(float)
    made = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    made.compile("adam", "mse")
    table = pl.DataFrame(X, schema=["a", "b", "c"]).with_columns(pl.Series("t", y))
    given = {
        "array": (made, X, y),
        "list": (made, X, y.tolist()),
        "batches": (made, [(X, y)], None),
        "table": (table, "t", None),
    }
    splits = {"cv": 2, "repeats": 1, "groups": None, "time": None}
    others = {"model": made if kind == "table" else None, "task": None, "sample_weight": None, "class_weight": None}
    with pytest.warns(fitwell.FitwellWarning, match="float32, in which the model computes"):
        read_problem(*given[kind], Options(refit="single"), splits=splits, weights="fresh", **others)


# What it has as given


@pytest.fixture(scope="module")
def recurrent() -> fitwell.Result:
    """An LSTM with dropout inside, a penalty of one layer, another of a bias, and noise that no strength replaces."""
    keras.utils.set_random_seed(0)
    layers = [
        L.GaussianNoise(0.1, name="noise"),
        L.LSTM(3, dropout=0.2, name="lstm"),
        L.Dense(4, "relu", name="hidden", kernel_regularizer=R.L2(0.01)),
        L.Dense(1, name="last", bias_regularizer=R.L1(0.5)),
    ]
    model = keras.Sequential([keras.Input((3, 1)), *layers])
    model.compile("adam", "mse")
    return fitwell.tune(model, X[..., None], X[:, 0], **{**OPTIONS, "strengths": [{"l2": 0.02}]})


@pytest.mark.slow
def test_what_a_model_has_is_told_by_layer(recurrent: fitwell.Result) -> None:
    """In the table, the comparison, the text and JSON: no mean over layers, and "none" only where there is none."""
    noise, own = "GaussianNoise = 0.1 (noise)", "dropout = 0.2 (inside lstm), bias l1 = 0.5 (last)"
    expected = [noise, f"l2 = 0.01 (hidden), {own}, {noise}", f"l2 = 0.02, {noise}"]
    table = recurrent.table.sort("strength")
    assert table["regularization"].to_list() == expected
    assert table["l2"].to_list() == [0.0, None, 0.02]
    assert recurrent.comparison["regularization"].to_list()[:2] == [expected[1], expected[0]]
    assert expected[1] in str(recurrent)
    assert "none" not in str(recurrent)
    rows = {row["strength"]: row for row in recurrent.to_json()["strengths"]}
    layers = {"lstm:kernel": 0.0, "lstm:recurrent_kernel": 0.0, "hidden": 0.01, "last": 0.0}
    assert rows[1]["l2"] == layers
    assert (rows[1]["regularization"], rows[2]["l2"]) == (expected[1], 0.02)
    assert recurrent.record.summary["in_every_network"] == [noise]


# Weight decay


def adamw(decay: float) -> Any:
    """A maker of AdamW with a weight decay."""
    return lambda rate: keras.optimizers.AdamW(rate, weight_decay=decay)


@pytest.fixture(scope="module")
def decaying() -> fitwell.Result:
    """A model whose optimizer shrinks all weights by half in every step, beside a search of weight decay."""
    strengths = [{"weight_decay": 0.01}, {"l2": 1e-4}]
    return fitwell.tune(make(optimizer=adamw(10.0)), X, Y, **{**OPTIONS, "strengths": strengths, "epochs": 8})


def test_weight_decay_of_the_optimizer_is_regularization_of_its_own(decaying: fitwell.Result) -> None:
    """It is named where it acts, is 0 in the unregularized network, and does not outlive a better choice."""
    candidates = decaying.search.candidates
    texts = [str(candidates.regularization(g)) for g in range(candidates.count)]
    assert texts == ["none", "weight_decay = 10", "weight_decay = 0.01", "l2 = 0.0001"]
    assert candidates.given == 1
    assert decaying.table.sort("strength")["weight_decay"].to_list() == [0.0, 10.0, 0.01, 0.0]
    assert decaying.comparison["regularization"].to_list()[:2] == ["weight_decay = 10", "none"]
    assert decaying.to_json()["strengths"][-1]["weight_decay"] == 10.0
    chosen = decaying.answer.chosen
    assert chosen != 1
    assert decaying.model.optimizer.weight_decay == candidates.regularization(chosen).weight_decay
    assert decaying.layers is not None
    assert decaying.layers["weight_decay"].to_list() == [decaying.model.optimizer.weight_decay] * 2


def test_without_its_decay_adamw_trains_as_adam(decaying: fitwell.Result) -> None:
    """The unregularized network is that of the same model with Adam; as given it is another."""
    adam = fitwell.tune(make(), X, Y, **{**OPTIONS, "epochs": 8})
    np.testing.assert_allclose(curves(decaying)[:, 0], curves(adam)[:, 0], rtol=1e-5)
    assert np.abs(curves(decaying)[:, 1] - curves(adam)[:, 0])[:, :8].max() > 0.1


# What comes back


@pytest.mark.slow
def test_it_can_be_left_alone(alone: Any) -> None:
    """The model as given is the second candidate, and comes back with its own regularizers where none is better."""
    _, _, result = alone
    assert result.search.candidates.given == 1
    assert result.choice.leave_alone
    assert result.answer.members == (1,)
    assert result.regularization == fitwell.Regularization(l1={"hidden": 1.0, "last": 0.0})
    assert result.model.get_layer("hidden").get_config()["kernel_regularizer"]["config"] == {"l1": 1.0}
    assert result.model.get_layer("last").kernel_regularizer is None
    assert [type(layer).__name__ for layer in result.model.layers] == ["InputLayer", "Dense", "Dense"]
    assert "Leave it alone" in str(result)


@pytest.mark.slow
def test_a_better_strength_takes_its_place(better: fitwell.Result) -> None:
    """Where a strength is clearly better, the model comes back with it, and only with it."""
    assert not better.choice.leave_alone
    assert better.answer.members == (1,)
    found = [better.model.get_layer(name).kernel_regularizer for name in ("hidden", "last")]
    assert [float(np.asarray(one.l1)) for one in found] == [3.0, 1.0]
    assert "Leave it alone" not in str(better)
    assert str(better).splitlines()[-2].endswith("l1 = {hidden: 3, last: 1}")


@pytest.mark.slow
def test_strengths_by_layer_are_searched(alone: Any) -> None:
    """A mapping by layer and a shape over depth become strengths of the layers, behind unregularized and as given."""
    _, _, result = alone
    candidates = result.search.candidates
    assert [str(candidates.regularization(g)) for g in range(2)] == ["none", "l1 = 1 (hidden)"]
    assert candidates.regularization(2) == fitwell.Regularization(l1={"hidden": 0.0, "last": 1e-5})
    last = candidates.regularization(3)
    assert last.at("l2", "hidden") == pytest.approx(1e-5 / 4)
    assert last.at("l2", "last") == pytest.approx(4e-5)
    assert last.at("dropout", "hidden") == 0.01


@pytest.mark.slow
@pytest.mark.parametrize("which", ["alone", "better"])
def test_l1_gives_exact_zeros(which: str, alone: Any, better: fitwell.Result) -> None:
    """The reported share of zeros is that of the model's kernels, counted here; without L1 there is none."""
    result = alone[2] if which == "alone" else better
    assert result.layers is not None
    rows = {row["layer"]: row for row in result.layers.to_dicts()}
    assert list(rows) == ["hidden", "last"]
    for name, row in rows.items():
        kernel = np.asarray(result.model.get_layer(name).kernel)
        assert row["share_of_zeros"] == (kernel == 0).mean()
        assert row["l1"] == result.regularization.at("l1", name)
        assert (row["share_of_zeros"] > 0.5) == (row["l1"] > 0)
    assert rows["hidden"]["dropout"] == 0
    assert rows["last"]["dropout"] is None


@pytest.mark.slow
def test_it_prints_side_by_side(alone: Any, better: fitwell.Result) -> None:
    """As given, unregularized and chosen stand below one another; without own regularization there is no first."""
    lines = str(alone[2]).splitlines()
    assert lines[0] == "2 row sets x 4 strengths = 8 networks; sparse categorical crossentropy"
    assert [line[:16].strip() for line in lines[2:5]] == ["as given", "unregularized", "chosen"]
    assert [line[:16].strip() for line in str(better).splitlines()[2:-1]] == ["unregularized", "chosen"]
    assert alone[2].comparison["difference"].to_list()[0] == alone[2].comparison["difference"].to_list()[2] == 0


@pytest.mark.slow
def test_the_command_lines_report_of_a_model(alone: Any) -> None:
    """What was found is printed with the marks, the sentence and the layers."""
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as captured:
        for part in text.found(alone[2].search, alone[2].answer, alone[2].score):
            console.print(part)
    assert all(part in captured.get() for part in ("as given", "Leave it alone", "weights at zero", "hidden"))


@pytest.mark.slow
def test_the_users_model_is_not_touched(alone: Any) -> None:
    """Configuration, weights and optimizer are as before, and the model that comes back is another."""
    model, (config, weights), result = alone
    assert model.get_config() == config
    for found, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, before)
    assert int(np.asarray(model.optimizer.iterations)) == 0
    assert result.model is not model
    assert not {id(layer) for layer in model.layers} & {id(layer) for layer in result.model.layers}
    model.fit(X, NOISE, verbose=0)  # and it can still be trained


@pytest.mark.slow
def test_it_comes_back_compiled_and_plain(better: fitwell.Result) -> None:
    """Loss, metrics and optimizer are those of `compile`; no layer is fitwell's; it can be trained on."""
    model = better.model
    assert model.loss == "sparse_categorical_crossentropy"
    assert type(model.optimizer) is keras.optimizers.Adam
    assert float(np.asarray(model.optimizer.learning_rate)) == pytest.approx(0.2)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    copy = keras.models.clone_model(model)
    copy.compile("sgd", model.loss)
    assert len(copy.fit(X, NOISE, verbose=0).history["loss"]) == 1


@pytest.mark.slow
def test_predictions_are_the_models(better: fitwell.Result) -> None:
    """`predict` is the Keras model's own; scores are of rows held out, by the compiled loss and metrics."""
    np.testing.assert_array_equal(better.predict(X), better.model.predict(X, verbose=0))
    assert set(better.scores) == {"unregularized", "minimum", "one_standard_error"}
    held_out = better.answer.held_out_predictions["minimum"]
    expected = -np.log(held_out[np.arange(48), NOISE]).mean()
    assert better.scores["minimum"]["loss"] == pytest.approx(expected, rel=1e-4)
    assert better.scores["minimum"]["accuracy"] == pytest.approx((held_out.argmax(axis=1) == NOISE).mean())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # as of any model that was not fitted
def test_a_run_is_saved(better: fitwell.Result, tmp_path: Path) -> None:
    """Model, document and both tables are written; Keras alone loads the model, and `load` predicts with it."""
    run = better.save(tmp_path / "run")
    names = ["histories.parquet", "model.keras", "report.html", "run.json", "strengths.parquet", "tfjs"]
    assert sorted(path.name for path in run.iterdir()) == names
    loaded = keras.saving.load_model(run / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), better.predict(X))
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert document["layers"] == better.layers.to_dicts()  # type: ignore[union-attr]
    assert document["choice"]["minimum"]["l1"] == {"hidden": 3.0, "last": 1.0}
    assert pl.read_parquet(run / "strengths.parquet").equals(better.table)
    np.testing.assert_array_equal(fitwell.load(run).predict(X), better.predict(X))


# What is refused


@keras.saving.register_keras_serializable(package="tests")
class Stepping(keras.Model):
    def train_step(self, data: Any) -> Any:
        """Its own."""
        return super().train_step(data)


def stepping() -> Any:
    inputs = keras.Input((3,))
    model = Stepping(inputs, L.Dense(2)(inputs), name="own")
    model.compile("sgd", "mse")
    return model


def uncompiled() -> Any:
    return keras.Sequential([keras.Input((3,)), L.Dense(2)], name="own")


def one_hot() -> Any:
    model = uncompiled()
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    ("model", "x", "y", "options", "sentence"),
    [
        (uncompiled, X, Y, {}, r"'own' is not compiled: call model.compile"),
        (stepping, X, Y, {}, r"'own' has its own train_step\(\)"),
        (make, X, Y, {"refit": "ensemble"}, "comes back as one network of its own architecture"),
        (make, X, Y, {"hidden": (8,)}, "has its own layers: leave out 'hidden'"),
        (make, X, Y, {"task": "regression"}, "leave out 'task'"),
        (make, X, Y, {"refit_seeds": 2}, "comes back as one network of its own architecture"),
        (make, X, Y, {"weights": "old"}, "'weights' must be 'fresh' or 'given'. Got 'old'"),
        (make, X, Y[:-1], {}, "x has 48 rows, but y has 47"),
        (make, X, (Y, Y), {}, "does not take these targets"),
        (make, X, Y + 1, {}, "The model gives 2 numbers, so y must hold classes 0 to 1. Got 1 to 2"),
        (make, X, Y - 1, {}, "y must hold classes 0 to 1. Got -1 to 0"),
        (one_hot, X, np.eye(3)[Y], {}, "does not take these targets"),
        (make, X[:, :2], Y, {}, r"'small' takes x of the shape \(rows, \d\). Got \(rows, 2\)"),
        (make, (X, X), Y, {}, "'small' takes 1 inputs, but x has 2"),
        (make, X, None, {}, "y is missing"),
        (make, X, Y, {"learning_rate": 0.0}, "'learning_rate' must be a finite number above 0. Got 0.0"),
        (make, X, Y, {"regularizers": ["l3"]}, "no regularizer 'l3'"),
        (make, X, Y, {"strengths": 4, "depth": "spiral"}, "'depth' must be 'search' or one of"),
        (make, X, Y, {"strengths": [{"l2": {"hiden": 0.1}}]}, "Did you mean 'hidden'"),
        (make, X, Y, {"strengths": [{"dropout": {"last": 0.1}}]}, "'dropout' does not act on a layer 'last'"),
        (make, X, Y, {"class_weight": {5: 1.0}, "sample_weight": np.ones(3)}, "sample_weight"),
        (one_hot, X, np.eye(2)[Y], {"strengths": [{"dropout": 0.5}]}, "'dropout' acts on no layer"),
    ],
)
def test_wrong_arguments(model: Any, x: Any, y: Any, options: dict[str, Any], sentence: str) -> None:
    """Each gets one short sentence before anything trains."""
    with pytest.raises(InputError, match=sentence) as caught:
        fitwell.tune(model(), x, y, **{**OPTIONS, **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", [{"y": Y}, {"weights": "given"}], ids=str)
def test_what_only_models_take(option: dict[str, Any]) -> None:
    """Arguments of models are refused for a table, and not silently left out."""
    with pytest.raises(InputError, match="go with a Keras model and arrays"):
        fitwell.tune(X, Y, **OPTIONS, **option)


@pytest.mark.slow
def test_a_regularizer_without_a_place_is_not_searched() -> None:
    """A linear model has no hidden units: of the default search only L2 is left, and its own L2 is a candidate."""
    model = keras.Sequential([keras.Input((3,)), L.Dense(1, kernel_regularizer=R.L2(0.01), name="only")])
    model.compile("sgd", "mse")
    result = fitwell.tune(model, X, Y * 1.0, **{**OPTIONS, "strengths": 4})
    assert list(result.search.candidates.strengths) == ["l2"]
    assert result.search.candidates.count == 4
    assert result.search.candidates.regularization(1).l2 == pytest.approx(0.01)


GIVEN = {"kernel_regularizer": R.L2(0.25)}


def candidates(strengths: Any, **hidden: Any) -> Any:
    """The candidates of a search of a small model, which is not trained."""
    options = make_options(strengths=strengths)
    weighing = {"sample_weight": None, "class_weight": None, "weights": "fresh"}
    return read_model(fitwell.opened(make(**hidden)), X, Y, options, splits={"cv": 2}, **weighing).candidates(options)


@pytest.mark.parametrize("kind", [int, np.int64, np.int32])
def test_as_many_are_tried_as_were_asked_for(kind: type) -> None:
    """A number of strengths counts all: none at all, the model as given where it has some, and those drawn."""
    assert [candidates(kind(count)).count for count in (1, 2, 3, 8)] == [1, 2, 3, 8]
    found = [candidates(kind(count), **GIVEN) for count in (2, 3, 8)]
    assert [one.count for one in found] == [2, 3, 8]
    assert {one.given for one in found} == {1}
    assert all(dict(one.regularization(1)["l2"]) == {"hidden": 0.25, "last": 0.0} for one in found)
    # fewer are the first of more, so a larger search only adds
    np.testing.assert_array_equal(found[1].flat, found[2].flat[:, :3])
    assert candidates([{"l1": 0.1}], **GIVEN).count == 3  # a list is tried besides


def test_the_least_number_of_strengths() -> None:
    """One strength is none for a model with regularization of its own, and regularizers must act somewhere."""
    with pytest.raises(InputError, match=r"'strengths' must be at least 2 for a model with .* as given\. Got 1\."):
        candidates(1, **GIVEN)
    with pytest.raises(InputError, match=r"'strengths' must be a whole number of at least 1\. Got True\."):
        candidates(True)
    single = keras.Sequential([keras.Input((3,)), L.Dense(2, "softmax")])
    single.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(InputError, match=r"'regularizers' must name one that acts on a layer .* Got 'dropout'\."):
        fitwell.tune(single, X, Y, **{**OPTIONS, "strengths": 4, "regularizers": "dropout"})


@pytest.mark.parametrize("engine", ["numpy", "ray", "ray:auto,gpus=1"])
def test_engines_of_tables_are_refused(engine: str) -> None:
    """A Keras model is trained by JAX, in this process: a sentence says so."""
    with pytest.raises(InputError, match=r"trains the dense network of tables.*Keras model.*leave out .engine"):
        check_model_options(Options(engine=engine))
