"""scikit-learn's estimators: its own checks, and the answers of `tune`."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fitwell import InputError, MLPClassifierCV, MLPRegressorCV, Result, tune

SMALL: dict[str, Any] = {"strengths": 3, "max_iter": 40, "cv": 2, "random_state": 0}
CHECKED = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.01, "batch_size": 16}


@parametrize_with_checks([MLPClassifierCV(**SMALL, **CHECKED), MLPRegressorCV(**SMALL, **CHECKED)])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    """All of them, with no failure that is expected."""
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
        ({"learning_rate": "cosin"}, "'learning_rate' must be 'constant' or 'cosine'. Got 'cosin'"),
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
