"""scikit-learn's estimators: its own checks, and the answers of `tune`."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed
from scipy.sparse import csr_array
from scipy.special import expit, softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fitwell import InputError, MLPClassifierCV, MLPRegressorCV, Result, diagnose, load, tune
from fitwell.api import estimator_base
from fitwell.api.estimator_base import ProbabilityClassifier

SMALL: dict[str, Any] = {"strengths": 3, "max_iter": 40, "cv": 2, "random_state": 0}
CHECKED = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.01, "batch_size": 16}


REPEATED = "folds and batches count rows: two rows may come into two of them, and a row of weight 2 does not"


def not_expected(estimator: Any) -> dict[str, str]:
    """The checks that must fail, each with its reason; a step with all rows is tested in `test_dense_training.py`."""
    del estimator
    return {"check_sample_weight_equivalence_on_dense_data": REPEATED}


@parametrize_with_checks(
    [MLPClassifierCV(**SMALL, **CHECKED), MLPRegressorCV(**SMALL, **CHECKED)], expected_failed_checks=not_expected
)
@pytest.mark.filterwarnings("ignore:The target 'target' is determined one to one:fitwell.FitwellWarning")
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    """All of them, but for what its own stochastic estimators are allowed, too."""
    check(estimator)


def test_it_is_what_tune_finds() -> None:
    """The same folds, networks and choice; another seed is another search."""
    x, y = load_breast_cancer(return_X_y=True)
    found = MLPClassifierCV(strengths=4, max_iter=15, random_state=3).fit(x, y)
    result = tune(x, y, task="classification", strengths=4, epochs=15, seed=3)
    np.testing.assert_array_equal(found.predict_proba(x), result.predictor.predict_numbers(x))
    assert found.regularization_ == result.regularization
    assert found.n_iter_ == result.table.filter(pl.col("strength") == result.answer.chosen)["best_epoch"].item()
    np.testing.assert_array_equal(found.scores_path_, result.search.histories.at_best("held_out_loss"))
    assert found.scores_path_.shape == (5, len(found.strengths_)) == (5, 4)
    assert found.score_interval_ == (result.score.interval.low, result.score.interval.high)
    other = clone(found).set_params(random_state=4).fit(x, y)
    assert not np.array_equal(other.predict_proba(x), found.predict_proba(x))
    np.testing.assert_allclose(np.exp(found.predict_log_proba(x)), found.predict_proba(x), rtol=1e-6)


@pytest.mark.parametrize("class_weight", [{0: 4.0}, "balanced"], ids=str)
def test_weights_are_tunes(class_weight: Any) -> None:
    """Of rows and of classes, by their labels. Without either it is another network."""
    x, y = load_breast_cancer(return_X_y=True)
    weights = np.random.default_rng(0).gamma(1.0, size=len(y))
    some: dict[str, Any] = {"strengths": 2, "hidden": (8,), "seed": 3, "epochs": 8}
    estimator = MLPClassifierCV((8,), strengths=2, max_iter=8, random_state=3, class_weight=class_weight)
    found = clone(estimator).fit(x, y, weights)
    result = tune(x, y, task="classification", sample_weight=weights, class_weight=class_weight, **some)
    np.testing.assert_array_equal(found.predict_proba(x), result.predictor.predict_numbers(x))
    np.testing.assert_array_equal(found.scores_path_, result.search.histories.at_best("held_out_loss"))
    without = clone(estimator).fit(x, y), clone(estimator).set_params(class_weight=None).fit(x, y, weights)
    assert not any(np.array_equal(other.scores_path_, found.scores_path_) for other in without)
    values = MLPRegressorCV((8,), strengths=2, max_iter=8, random_state=3).fit(x, x[:, 0] + x[:, 1], weights)
    result = tune(x, x[:, 0] + x[:, 1], task="regression", sample_weight=weights, **some)
    np.testing.assert_array_equal(values.predict(x), result.predictor.predict_numbers(x))


def test_weights_of_classes_that_no_table_can_hold() -> None:
    """Labels that a table takes for missing are weighed by their places; one that is not there is named."""
    x, _ = load_iris(return_X_y=True)
    y = np.array(["", "NA", "None"])[np.arange(150) % 3]
    some: dict[str, Any] = {"hidden_layer_sizes": (8,), "strengths": 2, "max_iter": 8, "random_state": 0}
    one = MLPClassifierCV(class_weight={"NA": 5.0}, **some).fit(x, y)
    two = MLPClassifierCV(class_weight={1: 5.0}, **some).fit(x, np.arange(150) % 3)
    np.testing.assert_array_equal(one.predict_proba(x), two.predict_proba(x))
    assert not np.array_equal(one.scores_path_, MLPClassifierCV(**some).fit(x, y).scores_path_)
    with pytest.raises(InputError, match=r"'class_weight' names the class 'n/a', and y has \['', 'NA', 'None'\]"):
        MLPClassifierCV(class_weight={"n/a": 5.0}, **some).fit(x, y)
    with pytest.raises(InputError, match="must have one value for each of the 150 rows"):
        MLPClassifierCV(**some).fit(x, y, np.ones(3))


def test_values_in_their_own_unit() -> None:
    """A regression's predictions are tune's, and its score is scikit-learn's R2."""
    x, y = load_diabetes(return_X_y=True)
    found = MLPRegressorCV(strengths=4, max_iter=30, random_state=0).fit(x, 1000 * y)
    result = tune(x, 1000 * y, task="regression", strengths=4, epochs=30, seed=0)
    np.testing.assert_array_equal(found.predict(x), result.predictor.predict_numbers(x))
    assert 0.4 < found.score(x, 1000 * y) < 0.9


def test_labels_come_back_as_they_were() -> None:
    """Texts that mean missing in a table, more than ten classes, and booleans are labels."""
    x, _ = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    for labels in (np.array(["", "NA", "None"]), np.arange(12), np.array([False, True]), np.array([-1.0, 2.0])):
        y = labels[np.arange(len(x)) % len(labels)]
        inputs = np.column_stack([x, 3 * (np.arange(len(x)) % len(labels)) + rng.normal(0, 0.3, len(x))])
        found = MLPClassifierCV(strengths=2, max_iter=60, learning_rate_init=0.02, random_state=0).fit(inputs, y)
        np.testing.assert_array_equal(found.classes_, np.unique(labels))
        assert found.predict(inputs).dtype == labels.dtype
        # by chance it were one in as many; columns of probabilities in another order would be found out
        assert found.score(inputs, y) > 0.6


def test_a_saved_run_has_the_names_of_classes(tmp_path: Path) -> None:
    """As they are, wherever a table's reader would tell them apart; else their places. A rare class is named, too."""
    x, y = load_iris(return_X_y=True)
    for labels, read in (
        (["a", "b c", "d"], ("a", "b c", "d")),
        (["10", "9", "b"], ("9", "10", "b")),  # numbers by value: another order than that of `classes_`
        ([7, 8, 10], ("7", "8", "10")),
        (["NA", "b", "c"], ("0", "1", "2")),  # missing in a table
        (["1", "1.0", "2"], ("0", "1", "2")),  # two that mean the same in a table
    ):
        found = MLPClassifierCV(**SMALL, learning_rate_init=0.02).fit(x, np.array(labels)[y])
        found.result_.save(tmp_path / "run", force=True)
        saved = load(tmp_path / "run")
        assert saved.classes == read
        assert found.score(x, np.array(labels)[y]) > 0.9
        if read != ("0", "1", "2"):
            predicted = saved.predict(pl.DataFrame(x, schema=["x0", "x1", "x2", "x3"], orient="row"))["target"]
            assert predicted.to_list() == found.predict(x).tolist()
    with pytest.raises(ValueError, match="Class 'rare' has 1 row, fewer than the 2 folds"):
        MLPClassifierCV(**SMALL).fit(x, ["rare", *["a", "b"] * 74, "a"])


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_as_they_are(library: str) -> None:
    """Mixed columns with missing values, without a pipeline; columns are found by their names."""
    table = mixed(300)
    y, x = table["ill"].to_numpy(), table.drop("ill")
    frame = {"pandas": x.to_pandas, "polars": lambda: x, "pyarrow": x.to_arrow}[library]()
    found = MLPClassifierCV(**SMALL).fit(frame, y)
    assert list(found.feature_names_in_) == x.columns
    assert found.n_features_in_ == x.width
    assert found.predict(frame).shape == (300,)
    result = tune(x, y, task="classification", strengths=3, epochs=40, cv=2, seed=0)
    np.testing.assert_array_equal(found.predict_proba(frame), result.predictor.predict_numbers(x))


def test_an_array_after_a_frame_goes_by_place() -> None:
    """And a frame after an array: scikit-learn warns, and the numbers are the same."""
    x, y = load_iris(return_X_y=True, as_frame=True)
    framed = MLPClassifierCV(**SMALL).fit(x, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        by_place = framed.predict_proba(x.to_numpy())
    np.testing.assert_array_equal(by_place, framed.predict_proba(x))
    plain = MLPClassifierCV(**SMALL).fit(x.to_numpy(), y)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        named = plain.predict_proba(x)
    np.testing.assert_array_equal(named, plain.predict_proba(x.to_numpy()))


def test_groups_stay_together() -> None:
    """By a number of folds or a splitter of groups; without groups other rows are held out."""
    x, y = load_iris(return_X_y=True)
    groups = np.arange(len(x)) // 5
    by_number = MLPClassifierCV(**{**SMALL, "cv": 3}).fit(x, y, groups=groups)
    table = pl.DataFrame({"group": groups, **{f"x{i}": x[:, i] for i in range(4)}})
    tuned = tune(table, y, groups="group", task="classification", cv=3, strengths=3, epochs=40, seed=0)
    np.testing.assert_array_equal(by_number.predict_proba(x), tuned.predictor.predict_numbers(x))
    # of 30 groups, not of 150 rows
    assert by_number.score_interval_ == (tuned.score.interval.low, tuned.score.interval.high)
    assert by_number.n_features_in_ == 4
    for found in (by_number, MLPClassifierCV(**{**SMALL, "cv": GroupKFold(3)}).fit(x, y, groups=groups)):
        assert found.scores_path_.shape[0] == 3
    pairs = list(GroupKFold(3).split(x, y, groups))
    given = MLPClassifierCV(**{**SMALL, "cv": pairs}).fit(x, y)
    np.testing.assert_array_equal(given.scores_path_, found.scores_path_)
    assert not np.array_equal(MLPClassifierCV(**{**SMALL, "cv": 3}).fit(x, y).scores_path_, by_number.scores_path_)


def test_it_is_kept_and_copied() -> None:
    """Pickled it predicts the same, bit for bit; a clone has its arguments and nothing else."""
    x, y = load_iris(return_X_y=True)
    found = MLPClassifierCV(**SMALL).fit(x, y)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(x), found.predict_proba(x))
    assert again.regularization_ == found.regularization_
    assert not hasattr(clone(found), "classes_")
    assert "MLPClassifierCV" in found._repr_html_()


def test_log_odds_and_log_probabilities() -> None:
    """They give the probabilities back, and stay finite where a probability is none."""
    x, y = load_iris(return_X_y=True)
    three, two = MLPClassifierCV(**SMALL).fit(x, y), MLPClassifierCV(**SMALL).fit(x, y == 1)
    np.testing.assert_allclose(softmax(three.decision_function(x), axis=1), three.predict_proba(x), rtol=1e-5)
    odds = two.decision_function(x)
    assert odds.shape == (150,)
    np.testing.assert_allclose(expit(odds), two.predict_proba(x)[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(odds > 0, two.predict(x))
    linear = LogisticRegression(max_iter=500).fit(x, y == 1)
    assert odds.shape == linear.decision_function(x).shape
    surely = ProbabilityClassifier()
    surely.classes_ = np.array([0, 1])
    surely.predict_proba = lambda X: np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    low, high = surely.decision_function(x)
    assert low == -high
    assert -100 < low < -80


@pytest.mark.slow
def test_a_diagnosis_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `diagnose` says of the same rows and settings; made once, and by nothing that only looks at an estimator."""
    x, y = load_iris(return_X_y=True)
    found = MLPClassifierCV(**{**SMALL, "cv": 3}).fit(x, y)
    asked: list[Any] = []
    monkeypatch.setattr(estimator_base, "diagnose", lambda **given: asked.append(given) or diagnose(**given))
    found._repr_html_()
    assert not {"diagnosis_", "network_"} & {*dir(found), *vars(found)}
    lost = pickle.loads(pickle.dumps(found))
    assert not asked
    said = found.diagnosis_
    expected = diagnose(x, y, task="classification", cv=3, strengths=3, epochs=40, seed=0)
    assert [*map(str, (said, found.diagnosis_))] == [str(expected)] * 2
    assert len(asked) == 1
    assert asked[0]["table"] is x  # no copy is kept
    assert "diagnosis_" in dir(found)
    assert str(pickle.loads(pickle.dumps(found)).diagnosis_) == str(expected)
    with pytest.raises(AttributeError, match="The training rows are not kept with an estimator that is pickled"):
        _ = lost.diagnosis_
    assert str(found.fit(x[:120], y[:120]).diagnosis_) != str(expected)  # of other rows


def test_a_diagnosis_that_cannot_be() -> None:
    """It needs three folds, and an estimator that is fitted."""
    x, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"at least 3 folds\. Got 2"):
        _ = MLPClassifierCV(**SMALL).fit(x, y).diagnosis_
    with pytest.raises(NotFittedError):
        _ = MLPClassifierCV().diagnosis_


def test_sparse_inputs_are_refused() -> None:
    """In one sentence that says what to do."""
    x, y = load_iris(return_X_y=True)
    with pytest.raises(TypeError, match=r"Sparse data was passed for X.*'\.toarray\(\)' to convert to a dense"):
        MLPClassifierCV(**SMALL).fit(csr_array(x), y)


def test_without_keras_there_is_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install, and whoever looks for attributes finds one less."""
    x, y = load_iris(return_X_y=True)
    found = MLPClassifierCV(**SMALL).fit(x, y)
    assert hasattr(found, "network_")

    def refuse(result: Any) -> Any:
        del result
        raise InputError("keras is not installed")

    monkeypatch.setattr(Result, "model", property(refuse))
    assert not hasattr(found, "network_")
    with pytest.raises(AttributeError, match="keras is not installed"):
        _ = found.network_


def test_progress_and_cores(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed when asked for; on one core the numbers are those of all."""
    x, y = load_iris(return_X_y=True)
    quiet = MLPClassifierCV(**SMALL).fit(x, y)
    assert capsys.readouterr().out == ""
    loud = MLPClassifierCV(**SMALL, verbose=1, n_jobs=1).fit(x, y)
    assert "epoch 5 of 40: 6 networks of 6 in training, best held-out loss" in capsys.readouterr().out
    np.testing.assert_array_equal(loud.predict_proba(x), quiet.predict_proba(x))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_jobs": 0}, "'n_jobs' must be a number of cores, or -1 for all. Got 0"),
        ({"rule": "bset"}, "'rule' must be '1se', 'min' or 'confidence-set'. Got 'bset'"),
        ({"max_iter": 0}, "'max_iter' must be a whole number of at least 1. Got 0"),
        ({"learning_rate": "cosin"}, "'learning_rate' must be 'constant', 'cosine' or 'cooldown'. Got 'cosin'"),
        ({"learning_rate_init": -1.0}, "'learning_rate_init' must"),
        ({"hidden_layer_sizes": (0,)}, "'hidden_layer_sizes' must be whole numbers"),
        ({"cv": "five"}, "cv"),
    ],
)
def test_wrong_arguments_are_refused_when_it_is_fitted(wrong: dict[str, Any], message: str) -> None:
    """By a sentence; making an estimator checks nothing, so that it can be cloned."""
    x, y = load_iris(return_X_y=True)
    estimator = MLPClassifierCV(**{**SMALL, **wrong})
    with pytest.raises((ValueError, TypeError), match=message):
        estimator.fit(x, y)


def test_one_class_is_refused() -> None:
    """It says which one."""
    with pytest.raises(ValueError, match="Got one class: 'a'"):
        MLPClassifierCV(**SMALL).fit(np.eye(4), ["a"] * 4)


def in_a_pipeline(x: Any, y: Any, clf: Any) -> float:
    """Scaled before."""
    return cross_val_score(make_pipeline(StandardScaler(), clf), x, y, cv=2).mean()


def in_columns(x: Any, y: Any, clf: Any) -> float:
    """Only some of the columns."""
    chosen = ColumnTransformer([("some", "passthrough", [0, 2, 3])])
    return make_pipeline(chosen, clf).fit(x, y).score(x, y)


def in_a_grid(x: Any, y: Any, clf: Any) -> float:
    """Its other arguments searched."""
    return GridSearchCV(clf, {"hidden_layer_sizes": [(4,), (32,)]}, cv=2).fit(x, y).best_score_


def calibrated(x: Any, y: Any, clf: Any) -> float:
    """By another fold's probabilities."""
    return CalibratedClassifierCV(clf, cv=2).fit(x, y).score(x, y)


def stacked(x: Any, y: Any, clf: Any) -> float:
    """Beside a linear model."""
    return StackingClassifier([("mlp", clf), ("linear", LogisticRegression(max_iter=500))], cv=2).fit(x, y).score(x, y)


def in_threads(x: Any, y: Any, clf: Any) -> float:
    """Several searches of one process at once."""
    found = cross_validate(clf, x, y, cv=2, n_jobs=2, scoring=("accuracy", "neg_log_loss"))
    return found["test_accuracy"].mean()


@pytest.mark.parametrize("use", [in_a_pipeline, in_columns, in_a_grid, calibrated, stacked, in_threads])
def test_it_stands_where_estimators_stand(use: Any) -> None:
    """Better than the largest class, a third of the rows, by far."""
    x, y = load_iris(return_X_y=True)
    assert use(x, y, MLPClassifierCV(**SMALL, learning_rate_init=0.02)) > 0.85


def test_it_is_looked_into() -> None:
    """Which inputs matter, and how: a column of noise does not."""
    x, y = load_iris(return_X_y=True, as_frame=True)
    x["noise"] = np.random.default_rng(0).normal(size=len(x))
    found = MLPClassifierCV(**SMALL, learning_rate_init=0.02).fit(x, y)
    matters = permutation_importance(found, x, y, n_repeats=3, random_state=0).importances_mean
    assert matters[2:4].min() > matters[4]
    shown = partial_dependence(found, x, [3], grid_resolution=5, response_method="predict_proba")
    assert shown["average"].shape == (3, 5)


def test_groups_are_routed() -> None:
    """From an outer cross-validation by scikit-learn's own switch."""
    x, y = load_iris(return_X_y=True)
    groups = np.arange(len(x)) // 5
    with config_context(enable_metadata_routing=True):
        clf = MLPClassifierCV(**SMALL).set_fit_request(groups=True)
        scores = cross_val_score(clf, x, y, cv=GroupKFold(2), params={"groups": groups})
    assert len(scores) == 2


def test_a_score_to_choose_by() -> None:
    """Its scores are scikit-learn's, of the second of `classes_`, also where a table has another order of classes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3))
    codes = (X[:, 0] + rng.normal(size=90) > 0.8).astype(int)
    y = np.array(["10", "9"])[codes]  # a table has 9 before 10
    held = [np.arange(90) % 3 == k for k in range(3)]
    folds = [(np.flatnonzero(~one), np.flatnonzero(one)) for one in held]
    few: dict[str, Any] = {"hidden_layer_sizes": 4, "strengths": 3, "max_iter": 4, "cv": folds, "random_state": 0}
    clf = MLPClassifierCV(**few, scoring="average_precision").fit(X, y)
    predicted = clf.result_.answer.held_out_predictions["unregularized"][:, 1]
    expected = [average_precision_score(codes[one], predicted[one]) for one in held]
    np.testing.assert_allclose(clf.scores_path_[:, 0], expected, rtol=1e-6)
    assert clf.score_interval_ == (clf.result_.score.interval.low, clf.result_.score.interval.high)
    assert clf.predict_proba(X)[:, 1] == pytest.approx(clf.result_.predictor.predict_numbers(X)[:, 1])
    with pytest.raises(InputError, match="'scoring' must be the name"):
        MLPClassifierCV(**few, scoring=len).fit(X, y)


# ---- several targets -------------------------------------------------------------------------------------------------

QUICK: dict[str, Any] = {"hidden_layer_sizes": (8,), "strengths": 2, "max_iter": 20, "random_state": 0, "cv": 3}


def test_several_values_are_tunes() -> None:
    """Predictions [n, k] in each one's unit, and scikit-learn's R2 of them; in a cross-validation, too."""
    x, y = load_diabetes(return_X_y=True)
    several = np.stack([1000 * y, -y], axis=1)
    found = MLPRegressorCV(**QUICK).fit(x, several)
    result = tune(x, several, task="regression", hidden=(8,), strengths=2, epochs=20, seed=0, cv=3)
    np.testing.assert_array_equal(found.predict(x), result.predictor.predict_numbers(x))
    assert found.predict(x).shape == several.shape
    assert found.score(x, several) == pytest.approx(r2_score(several, found.predict(x)))
    assert cross_val_score(clone(found), x, several, cv=2).shape == (2,)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("sparse", [False, True])
def test_labels_are_tunes(sparse: bool) -> None:
    """An indicator matrix, dense or sparse, as `MLPClassifier` takes and gives it."""
    x, y = make_multilabel_classification(120, n_classes=3, random_state=0)
    found = MLPClassifierCV(**QUICK).fit(x, csr_array(y) if sparse else y)
    result = tune(x, y, task="classification", hidden=(8,), strengths=2, epochs=20, seed=0, cv=3)
    probabilities = found.predict_proba(x)
    np.testing.assert_array_equal(probabilities, result.predictor.predict_numbers(x))
    np.testing.assert_array_equal(found.predict(x), probabilities > 0.5)
    np.testing.assert_allclose(expit(found.decision_function(x)), probabilities, rtol=1e-5)
    theirs = MLPClassifier((8,), max_iter=5, random_state=0).fit(x, y)
    assert found.classes_.tolist() == theirs.classes_.tolist() == [0, 1, 2]
    assert found.predict(x).shape == theirs.predict(x).shape
    assert found.score(x, y) == accuracy_score(y, found.predict(x))


def test_targets_that_are_refused() -> None:
    """Several classes in several columns, and weights of classes of labels."""
    x, y = make_multilabel_classification(60, n_classes=3, random_state=0)
    with pytest.raises(InputError, match="multiclass-multioutput"):
        MLPClassifierCV(**QUICK).fit(x, y + np.arange(60)[:, None] % 2)
    with pytest.raises(InputError, match="'class_weight' goes with the classes of one target"):
        MLPClassifierCV(class_weight="balanced", **QUICK).fit(x, y)
