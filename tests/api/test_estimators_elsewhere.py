"""Estimators in scikit-learn's displays and in other people's tools: skore, MLflow, shap, joblib."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import StackingRegressor
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fitwell import MLPClassifierCV, MLPRegressorCV

SMALL: dict[str, Any] = {"strengths": 3, "max_iter": 30, "cv": 2, "random_state": 0, "learning_rate_init": 0.02}


@pytest.fixture(scope="module")
def iris() -> tuple[pd.DataFrame, pd.Series]:
    """Inputs and classes."""
    x, y = load_iris(return_X_y=True, as_frame=True)
    return x, y


@pytest.fixture(scope="module")
def fitted(iris: tuple[pd.DataFrame, pd.Series]) -> MLPClassifierCV:
    """On all rows of iris."""
    return MLPClassifierCV(**SMALL).fit(*iris)


@pytest.fixture
def agg() -> Iterator[None]:
    """Draw on no screen."""
    before = plt.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


def test_joblib_keeps_it(tmp_path: Path, iris: Any, fitted: Any) -> None:
    """What is loaded predicts the same, bit for bit."""
    joblib.dump(fitted, tmp_path / "clf.joblib")
    again = joblib.load(tmp_path / "clf.joblib")
    np.testing.assert_array_equal(again.predict_proba(iris[0]), fitted.predict_proba(iris[0]))


@pytest.mark.usefixtures("agg")
@pytest.mark.parametrize("method", ["auto", "decision_function", "predict_proba", "predict"])
def test_a_boundary_is_drawn(iris: Any, method: str) -> None:
    """Of two columns, by each of the methods: what is drawn is what the estimator says of the grid."""
    x, y = iris[0].iloc[:, 2:], iris[1]
    found = MLPClassifierCV(**SMALL).fit(x, y == 1)
    shown = DecisionBoundaryDisplay.from_estimator(found, x, grid_resolution=5, response_method=method)
    grid = pd.DataFrame(np.column_stack([shown.xx0.ravel(), shown.xx1.ravel()]), columns=x.columns)
    said = getattr(found, "decision_function" if method == "auto" else method)(grid)
    expected = said[:, 1] if method == "predict_proba" else said
    np.testing.assert_allclose(shown.response, expected.reshape(5, 5))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_transformers(iris: Any, library: str) -> None:
    """With scikit-learn's switch for the output of transformers it is given frames, and finds their columns by name."""
    x, y = iris
    scaled = ColumnTransformer([("scaled", StandardScaler(), list(x.columns[:2]))], remainder="passthrough")
    with config_context(transform_output=library):
        pipe = make_pipeline(scaled, MLPClassifierCV(**SMALL)).fit(x, y)
        assert list(pipe[-1].feature_names_in_)[:2] == ["scaled__sepal length (cm)", "scaled__sepal width (cm)"]
        framed = pipe.predict_proba(x)
    plain = make_pipeline(clone(scaled), MLPClassifierCV(**SMALL)).fit(x, y)
    np.testing.assert_array_equal(framed, plain.predict_proba(x))


@pytest.mark.slow
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_predictions_are_numpy(library: str) -> None:
    """Of a frame, too: what scikit-learn stacks and transforms back it takes for NumPy's arrays."""
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    frame = x if library == "pandas" else pl.from_pandas(x)
    regressor = MLPRegressorCV(**SMALL)
    stacked = StackingRegressor([("mlp", regressor)], cv=2).fit(frame, y)
    logs = TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp).fit(frame, y)
    for found in (regressor.fit(frame, y), stacked, logs):
        assert isinstance(found.predict(frame), np.ndarray)
        assert found.score(frame, y) > 0.3


def test_other_libraries_cannot_be_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counterpart: with a pandas Series in their place scikit-learn's tools fail, which is why they are NumPy's."""
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    before = MLPRegressorCV.predict
    monkeypatch.setattr(MLPRegressorCV, "predict", lambda self, X: pd.Series(before(self, X), index=X.index))
    with pytest.raises(AttributeError, match="'Series' object has no attribute 'reshape'"):
        TransformedTargetRegressor(MLPRegressorCV(**SMALL), func=np.log, inverse_func=np.exp).fit(x, y).predict(x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The set_.* function will be deprecated:PendingDeprecationWarning")
def test_shap_explains_it(iris: Any, fitted: Any) -> None:
    """What it gives to the columns adds up to the probabilities."""
    import shap

    explained = shap.Explainer(fitted.predict_proba, iris[0], seed=0)(iris[0].iloc[::30])
    assert explained.values.shape == (5, 4, 3)
    total = explained.base_values + explained.values.sum(axis=1)
    np.testing.assert_allclose(total, fitted.predict_proba(iris[0].iloc[::30]), atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType")
def test_mlflow_keeps_it(tmp_path: Path, iris: Any, fitted: Any) -> None:
    """By its scikit-learn flavour: loaded as an estimator, and as a function of frames."""
    import mlflow.pyfunc
    import mlflow.sklearn

    where = str(tmp_path / "model")
    mlflow.sklearn.save_model(fitted, where, serialization_format="cloudpickle", pip_requirements=["fitwell"])
    again = mlflow.sklearn.load_model(where)
    np.testing.assert_array_equal(again.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(where).predict(iris[0]), fitted.predict(iris[0]))


@pytest.mark.slow
@pytest.mark.usefixtures("agg")
def test_skore_reports_on_it(iris: Any) -> None:
    """On rows that were kept apart, and by cross-validation: the numbers are scikit-learn's."""
    import skore

    x_train, x_new, y_train, y_new = train_test_split(*iris, random_state=0)
    clf = MLPClassifierCV(**SMALL)
    report = skore.EstimatorReport(clf, X_train=x_train, y_train=y_train, X_test=x_new, y_test=y_new)
    again = clone(clf).fit(x_train, y_train)
    assert report.metrics.accuracy() == accuracy_score(y_new, again.predict(x_new))
    assert report.metrics.log_loss() == pytest.approx(log_loss(y_new, again.predict_proba(x_new)))
    crossed = skore.CrossValidationReport(clf, *iris, splitter=2)
    expected = cross_val_score(clf, *iris, cv=2, scoring="accuracy")
    np.testing.assert_array_equal(crossed.metrics.accuracy(aggregate=None).to_numpy().ravel(), expected)
    assert "diagnosis_" not in vars(crossed.reports_[0].estimator_)  # which would have trained for long
