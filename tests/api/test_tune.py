from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, mixed
from sklearn import metrics

import keras
from fitwell.api.tune import Listener, tune
from fitwell.engine.engines import Engine
from fitwell.engine.plan import Progress
from fitwell.errors import InputError, InputTypeError, TrainingError
from fitwell.problems.options import Options
from fitwell.problems.tables import read_table
from fitwell.regularization.grids import sobol
from fitwell.regularization.strengths import Regularization
from fitwell.results.result import Result
from fitwell.results.storage import load


@pytest.fixture(scope="module")
def regression():
    return tune(mixed(), "dose", **QUICK)


def test_the_unregularized_network_is_always_first(result) -> None:
    """Number 0 has no regularization, and appears in the table and the scores."""
    assert result.search.candidates.regularization(0) == Regularization()
    assert 0 in result.table["strength"].to_list()
    assert "unregularized" in result.scores


def test_the_table_is_sorted_by_held_out_loss(result) -> None:
    """The first row of the table is the minimum."""
    losses = result.table["held_out_loss"].to_list()
    assert losses == sorted(losses)
    assert result.table["strength"][0] == result.choice.minimum


def test_the_ensemble_is_the_mean_of_the_fold_networks(result) -> None:
    """The Keras model gives the mean probability of 4 strengths x 3 folds, computed here network by network."""
    import jax

    problem = read_table(mixed(), "ill", cv=3)
    dataset = problem.dataset()
    from fitwell.engine.network import DenseNetwork, Variables
    from fitwell.engine.training import train_all

    options = Options(hidden=(8,), strengths=4, epochs=6, refit="ensemble")
    network = DenseNetwork(problem.layout.width, (8,), 2)
    trained = train_all(
        network, dataset, problem.row_sets, options.candidates(), loss=problem.loss, settings=options.settings()
    )
    probabilities = []
    for g in result.answer.members:
        variables = trained.variables(g)
        for r in range(3):
            one = Variables([{k: v[r] for k, v in layer.items()} for layer in variables.trainable], ())
            probabilities.append(jax.nn.softmax(network.apply(one, dataset.inputs[r])[0]))
    found = result.predictor.predict_numbers(mixed())
    np.testing.assert_allclose(found, np.mean(probabilities, axis=0), rtol=1e-4, atol=1e-6)
    assert len(probabilities) == 12


def test_a_seed_repeats_a_run_to_the_bit(result) -> None:
    """The same seed gives the same curves and predictions bit for bit; another seed does not."""
    again = tune(mixed(), "ill", **QUICK)
    np.testing.assert_array_equal(result.search.histories.held_out_loss, again.search.histories.held_out_loss)
    np.testing.assert_array_equal(result.predictor.predict_numbers(mixed()), again.predictor.predict_numbers(mixed()))
    other = tune(mixed(), "ill", **QUICK, seed=1)
    assert not np.array_equal(result.search.histories.held_out_loss, other.search.histories.held_out_loss)


WEIGHTS = np.where(np.arange(90) % 5 == 0, 0, np.random.default_rng(3).gamma(1.0, size=90))


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(
    ("target", "class_weight"),
    [("ill", {"yes": 3}), ("ill", "balanced"), ("dose", None)],
    ids=["dict", "balanced", ""],
)
def test_measured_losses_are_weighted(engine: Engine, target: str, class_weight: Any) -> None:
    """Of every fold they are scikit-learn's of the predictions and weights, and so are the scores; unweighted not."""
    given: dict[str, Any] = {"sample_weight": WEIGHTS, "class_weight": class_weight}
    found = tune(mixed(), target, **QUICK, engine=engine, **given)
    table = read_table(mixed(), target, cv=3, **given)
    y, weight = table.target.values, WEIGHTS.copy()
    if class_weight == "balanced":
        weight *= 1 / np.bincount(y, WEIGHTS)[y]
    elif class_weight:
        weight[y == 1] *= 3
    loss = metrics.log_loss if table.target.classes else metrics.mean_squared_error
    predicted, best = found.answer.held_out_predictions["minimum"], found.search.histories.at_best("held_out_loss")
    for r, rows in enumerate(table.row_sets.held_out):
        mine, given_loss = (y[rows], predicted[rows]), best[r, found.choice.minimum]
        assert given_loss == pytest.approx(loss(*mine, sample_weight=weight[rows]), rel=1e-5)
        assert abs(loss(*mine) / given_loss - 1) > 1e-3
    name, power = ("log loss", 1) if table.target.classes else ("RMSE", 2)
    assert found.scores["minimum"][name] ** power == pytest.approx(loss(y, predicted, sample_weight=weight), rel=1e-9)
    # what it is compared with is measured alike
    for simple in found.answer.baselines:
        assert simple.scores[name] ** power == pytest.approx(
            loss(y, simple.predictions, sample_weight=weight), rel=1e-9
        )
        by_fold = [loss(y[h], simple.predictions[h], sample_weight=weight[h]) for h in table.row_sets.held_out]
        np.testing.assert_allclose(simple.fold_loss, by_fold, rtol=1e-5)
    if class_weight == "balanced":
        assert found.answer.baselines[0].loss == pytest.approx(np.log(2), rel=1e-12)


def test_weights_that_are_all_the_same_are_none(result: Result) -> None:
    """Bit for bit: rows of weight 2.5, and classes of one weight; and a constant factor is no other weight."""
    for given in ({"sample_weight": np.full(90, 2.5)}, {"class_weight": {"no": 2, "yes": 2}}):
        again = tune(mixed(), "ill", **QUICK, **given)
        np.testing.assert_array_equal(again.search.histories.held_out_loss, result.search.histories.held_out_loss)
        assert (again.score, again.scores) == (result.score, result.scores)
    one, other, another = (tune(mixed(), "ill", **QUICK, sample_weight=w) for w in (WEIGHTS, 8 * WEIGHTS, WEIGHTS + 1))
    np.testing.assert_array_equal(one.search.histories.held_out_loss, other.search.histories.held_out_loss)
    assert (one.score, one.scores) == (other.score, other.scores)
    assert not np.array_equal(one.search.histories.held_out_loss, another.search.histories.held_out_loss)


def test_a_row_of_no_weight_teaches_and_measures_nothing() -> None:
    """Whatever its target, the search is the same to the last bit; a row that weighs anything is seen."""
    folds = [(np.flatnonzero(np.arange(90) % 3 != k), np.arange(k, 90, 3)) for k in range(3)]

    def found(rows: np.ndarray) -> Result:
        frame = mixed().with_columns(pl.Series("dose", np.where(rows, 77.0, mixed()["dose"])))
        return tune(frame, "dose", **{**QUICK, "cv": folds}, sample_weight=WEIGHTS)

    plain, far, wrong = found(np.zeros(90, bool)), found(WEIGHTS == 0), found(np.arange(90) == 7)
    np.testing.assert_array_equal(plain.search.histories.held_out_loss, far.search.histories.held_out_loss)
    np.testing.assert_array_equal(plain.search.histories.train_loss, far.search.histories.train_loss)
    assert (plain.score, plain.scores) == (far.score, far.scores)
    assert plain.answer.importance is not None
    assert plain.answer.importance.equals(far.answer.importance)
    assert not plain.answer.importance.equals(wrong.answer.importance)
    for one, other in zip(plain.answer.baselines, far.answer.baselines, strict=True):
        np.testing.assert_array_equal(one.fold_loss, other.fold_loss)
    np.testing.assert_allclose(plain.predictor.predict_numbers(mixed()), far.predictor.predict_numbers(mixed()))
    assert not np.array_equal(plain.search.histories.held_out_loss, wrong.search.histories.held_out_loss)


@pytest.mark.parametrize(
    "how", [{"honest": "nested"}, {"honest": "bates"}, {"refit": "single"}, {"repeats": 2}], ids=str
)
def test_weights_go_wherever_rows_go(how: dict[str, Any]) -> None:
    """Inner folds, refits and repeats weigh the same rows: the score is finite, and not that without weights."""
    scores = [tune(mixed(), "ill", **QUICK, **how, sample_weight=w).score for w in (WEIGHTS, None)]
    assert np.isfinite([score.value for score in scores]).all()
    assert abs(scores[0].value / scores[1].value - 1) > 1e-3


def test_cross_validated_scores_never_saw_the_row(result) -> None:
    """The score's log loss is the mean of the rows' own held-out losses."""
    row_loss = result.search.histories.row_loss[result.choice.minimum]
    assert result.scores["minimum"]["log loss"] == pytest.approx(row_loss.mean(), rel=1e-5)


def test_regression_predicts_in_the_targets_units(regression) -> None:
    """Predictions are near the target's mean, and R2 and RMSE are of its own units."""
    dose = mixed()["dose"].to_numpy()
    predicted = regression.predict(mixed())["dose"].to_numpy()
    assert abs(predicted.mean() - dose.mean()) < dose.std()
    held_out = regression.answer.held_out_predictions["minimum"]
    assert regression.scores["minimum"]["RMSE"] == pytest.approx(np.sqrt(((held_out - dose) ** 2).mean()))
    assert regression.search.histories.row_loss[regression.choice.minimum] == pytest.approx(
        (held_out - dose) ** 2, rel=1e-4
    )


@pytest.mark.slow
def test_a_single_refit_is_one_network_on_all_rows() -> None:
    """refit='single' has one tower, at the chosen strength, and averages several seeds if asked."""
    one = tune(mixed(), "ill", **QUICK, refit="single", rule="min")
    assert one.answer.members == (one.choice.minimum,)
    assert len(one.predictor.encodings) == 1
    assert sum(layer.name.endswith("dense_0") for layer in one.model.layers) == 1
    three = tune(mixed(), "ill", **QUICK, refit="single", refit_seeds=3)
    assert sum(layer.name.endswith("dense_0") for layer in three.model.layers) == 3


@pytest.mark.slow
def test_time_takes_a_single_refit() -> None:
    """With a time column every fold trains on earlier rows, and the model is trained on all of them."""
    result = tune(mixed(), "ill", **QUICK, time="visit")
    assert result.answer.refit == "single"
    never = np.isnan(result.answer.held_out_predictions["minimum"]).all(axis=1)
    assert 0 < never.sum() < 90


@pytest.mark.slow
def test_given_strengths_are_searched() -> None:
    """An explicit list is searched as it is, behind no regularization at all."""
    result = tune(mixed(), "ill", strengths=[{"l2": 0.01}, Regularization(dropout=0.4)], epochs=3, hidden=(8,), cv=3)
    assert [str(result.search.candidates.regularization(g)) for g in range(3)] == ["none", "l2 = 0.01", "dropout = 0.4"]


@pytest.mark.slow
def test_targets_of_extreme_size() -> None:
    """A target in units of 1e20 or 1e-20 gives the same choice, and losses in its own units."""
    results = []
    for unit in (1.0, 1e20, 1e-20):
        frame = mixed().with_columns(pl.col("dose") * unit)
        results.append(tune(frame, "dose", **QUICK))
        loss = results[-1].search.histories.best_loss / unit**2
        np.testing.assert_allclose(loss, results[0].search.histories.best_loss, rtol=1e-3)
        assert results[-1].choice.minimum == results[0].choice.minimum


@pytest.mark.slow
def test_a_refit_follows_the_searchs_schedule() -> None:
    """With a cosine schedule the single refit stops on the search's curve: it differs from a constant rate."""
    options = {**QUICK, "refit": "single", "rule": "min", "strengths": [{"l2": 0.01}], "learning_rate": 0.01}
    predictions = [
        tune(mixed(), "ill", **options, schedule=schedule).predictor.predict_numbers(mixed())
        for schedule in ("constant", "cosine")
    ]
    assert not np.allclose(*predictions)


@pytest.mark.slow
def test_an_ensemble_of_repeats_takes_one_repeat() -> None:
    """Repeated folds are searched together, and the model holds the networks of the first repeat only."""
    result = tune(mixed(), "ill", **QUICK, repeats=2)
    assert result.search.plan.row_sets == 6
    assert result.search.folds == 3
    assert len(result.predictor.encodings) == 3


def test_the_listener_hears_in_order() -> None:
    """What was read comes first, then the plan, then progress up to the end."""
    heard: list[str] = []
    done: list[float] = []
    listener = Listener(
        on_read=lambda summary: heard.append("read"),
        on_plan=lambda plan: heard.append("plan"),
        on_progress=lambda progress: (heard.append("progress"), done.append(progress.done)),
    )
    tune(mixed(), "ill", **QUICK, listener=listener)
    assert heard[:3] == ["read", "plan", "progress"]
    assert done[-1] == 1.0
    assert done == sorted(done)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"refit": "double"}, "'refit' must be 'ensemble' or 'single'. Got 'double'"),
        ({"rule": "best"}, "'rule' must be"),
        ({"epochs": 0}, "'epochs' must be a whole number of at least 1. Got 0"),
        ({"patience": 0}, "'patience' must"),
        ({"hidden": (8, 0)}, "'hidden' must be whole numbers of at least 1"),
        ({"strengths": 0}, "'strengths' must be a whole number of at least 1. Got 0"),
        ({"strengths": [{"dropout": 1.2}]}, r"'dropout' strength must lie in \[0, 1\). Got 1.2"),
        ({"strengths": [{"l3": 1.0}]}, "no regularizer 'l3'"),
        ({"regularizers": ["l3"]}, "no regularizer 'l3'"),
        ({"learning_rate": -1.0}, "'learning_rate' must be a finite number above 0"),
        ({"schedule": "linear"}, "'constant', 'cosine' or 'cooldown'"),
        ({"seed": -1}, "'seed' must be a whole number of at least 0"),
        ({"batch_size": 0}, "'batch_size' must be a whole number of at least 1"),
        ({"batch_size": 2.5}, "'batch_size' must be a whole number of at least 1"),
        ({"strengths": [{"l2": "much"}]}, "Got much"),
        ({"strengths": sobol(4), "learning_rate": 0.1}, "leave out 'learning_rate'"),
        ({"strengths": sobol(4).take([1, 2])}, "first candidate must have all strengths 0"),
        ({"cv": 30, "repeats": 1}, "The ensemble would hold 120 networks"),
        ({"task": "ranking"}, "task"),
    ],
)
def test_wrong_arguments(options: dict, sentence: str) -> None:
    """Each wrong argument gets its sentence."""
    with pytest.raises(InputError, match=sentence):
        tune(mixed(), "ill", **{**QUICK, **options})


@pytest.mark.parametrize("strengths", [[0.1, 0.2], "32", {"l2": [0.1]}])
def test_strengths_of_a_wrong_type(strengths) -> None:
    """Strengths that are neither a number nor settings are refused with what was given."""
    with pytest.raises(InputTypeError, match="'strengths' must be a number, Candidates, or a list of settings"):
        tune(mixed(), "ill", **{**QUICK, "strengths": strengths})


@pytest.mark.parametrize(("memory", "sentence"), [(0, "encoded table"), (100_000, "smallest block")])
def test_too_little_memory(memory: int, sentence: str) -> None:
    """A budget that the table or the smallest block does not fit is refused with both numbers."""
    with pytest.raises(TrainingError, match=f"{sentence}.*memory budget is 0 MiB"):
        tune(mixed(), "ill", **QUICK, memory=memory)


def test_everything_diverged() -> None:
    """When no network survives, the error says so once."""
    with pytest.raises(TrainingError, match="All 12 networks diverged"):
        tune(mixed(), "dose", **QUICK, learning_rate=1e30)


@pytest.mark.slow
def test_a_keras_model_goes_on_and_another_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its architecture: another activation is another search, though its weights have the same shapes."""
    monkeypatch.setattr("fitwell.engine.checkpoints.SOONEST", 0.0)
    monkeypatch.setattr("fitwell.engine.checkpoints.SHARE", np.inf)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)).astype("float32"), rng.integers(0, 2, 60)

    def model(activation: str) -> Any:
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((4,)),
            keras.layers.Dense(6, activation, name="a"),
            keras.layers.BatchNormalization(name="b"),
        ]
        made = keras.Sequential([*layers, keras.layers.Dense(2, "softmax", name="c")], name="m")
        made.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
        return made

    def die(progress: Progress) -> None:
        if progress.epoch == 8:
            raise KeyboardInterrupt

    asked: dict[str, Any] = {"strengths": 3, "epochs": 8, "cv": 2, "seed": 1}
    whole = tune(model("relu"), x, y, **asked)
    with pytest.raises(KeyboardInterrupt):
        tune(model("relu"), x, y, **asked, checkpoint=tmp_path, listener=Listener(on_progress=die))
    with pytest.raises(InputError, match="cannot go on: options have changed"):
        tune(model("tanh"), x, y, **asked, checkpoint=tmp_path)
    epochs: list[int] = []
    listener = Listener(on_progress=lambda progress: epochs.append(progress.epoch))
    found = tune(model("relu"), x, y, **asked, checkpoint=tmp_path, listener=listener)
    assert epochs == [8]
    np.testing.assert_array_equal(found.search.histories.held_out_loss, whole.search.histories.held_out_loss)
    np.testing.assert_array_equal(found.predict(x), whole.predict(x))


@pytest.mark.slow
@pytest.mark.parametrize("refit", ["ensemble", "single"])
def test_learned_scales_of_the_inputs(refit: Any, tmp_path: Path) -> None:
    """Both engines agree, and what is saved predicts what was trained."""
    asked: dict[str, Any] = {**QUICK, "strengths": [{"input_scaling": 8.0, "l2": 0.001}], "learning_rate": 0.02}
    found, other = (tune(mixed(), "ill", **asked, refit=refit, engine=engine) for engine in ("numpy", "jax"))
    curves = [run.search.histories.held_out_loss for run in (found, other)]
    np.testing.assert_allclose(*curves, rtol=1e-3)
    assert not np.allclose(curves[0][:, 0], curves[0][:, 1], rtol=1e-2)
    predicted = found.predictor.predict_numbers(mixed())
    np.testing.assert_allclose(other.predictor.predict_numbers(mixed()), predicted, rtol=0.02)
    saved = load(found.save(tmp_path / "run"))
    np.testing.assert_array_equal(saved.predict_numbers(mixed()), predicted)
