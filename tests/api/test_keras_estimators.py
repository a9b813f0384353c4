"""Estimators of a Keras model: scikit-learn's own checks, and the answers of `tune`."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import keras
from fitwell import KerasClassifierCV, KerasRegressorCV, diagnose, opened, tune

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SMALL: dict[str, Any] = {"strengths": 3, "epochs": 20, "cv": 2, "random_state": 0}
CHECKED: dict[str, Any] = {"strengths": 1, "epochs": 30, "cv": 2, "random_state": 0, "batch_size": 16}


def classifier(shape: tuple[int, ...], outputs: int, *, end: Any = "softmax", loss: Any = None) -> Any:
    """One hidden layer, and an end that the loss takes."""
    hidden = [keras.layers.Flatten(), keras.layers.Dense(16, "relu")]
    model = keras.Sequential([keras.Input(shape), *hidden, keras.layers.Dense(outputs, end)])
    model.compile(keras.optimizers.Adam(0.02), loss or "sparse_categorical_crossentropy")
    return model


def regressor(shape: tuple[int, ...], outputs: int) -> Any:
    """A plane."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(outputs)])
    model.compile(keras.optimizers.Adam(0.05), "mean_squared_error")
    return model


class Named:
    """A function that is called by its name, not by where it is: tests that run in parallel must have one name."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, shape: tuple[int, ...], outputs: int) -> Any:
        """Make the model."""
        return self.make(shape, outputs)

    def __repr__(self) -> str:
        return self.make.__name__


@pytest.fixture(scope="module")
def iris() -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and names of classes whose order is another one than that in which they come."""
    x, y = load_iris(return_X_y=True)
    return x, np.array(["setosa", "NA", "b"])[y]


@pytest.fixture(scope="module")
def fitted(iris: Any) -> KerasClassifierCV:
    """With a model of iris's shape."""
    return KerasClassifierCV(classifier((4,), 3), **SMALL).fit(*iris)


def plane(shape: tuple[int, ...], outputs: int) -> Any:
    """Without a hidden layer: scikit-learn's checks fit it some two hundred times."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(outputs, "softmax")])
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    return model


FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "rows are dealt to folds and batches, whatever they weigh: a row "
    "that weighs 2 is in one of them, two rows may be in two",
    "check_class_weight_classifiers": "weights of classes count in training only: by the loss of rows as they come, "
    "which chooses the epoch, the first is best where one class weighs ten million times as much",
}


OF_THE_BASE = ("sample_weights_list", "sample_weights_pandas", "sample_weights_not", "sample_weights_shape")
OF_THE_BASE += ("overwrite_params", "dont_overwrite", "fit_check_is_fitted", "pipeline_consistency", "positive_only")
OF_THE_BASE += ("fit_score_takes",)
"""Words of checks of what `estimator_base.py` does: here they take a minute, and `MLPClassifierCV` passes them, too."""


def of_its_own(check: Any) -> bool:
    """Whether a check asks about what is the Keras estimators' own; of arrays in memory maps one check is enough."""
    mapped = "readonly_memmap" in check.keywords and "train" in check.func.__name__
    return not mapped and not any(word in check.func.__name__ for word in OF_THE_BASE)


OF_CLASSIFIERS = [
    check for _, check in estimator_checks_generator(KerasClassifierCV(Named(plane), **CHECKED)) if of_its_own(check)
]


@pytest.mark.slow
@pytest.mark.parametrize("check", OF_CLASSIFIERS, ids=lambda check: check.func.__name__)
def test_scikit_learns_own_checks(check: Any, request: pytest.FixtureRequest) -> None:
    """All of them, but for those of the base, and for those whose reason to fail is given."""
    if reason := FAILURES.get(check.func.__name__):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    check(KerasClassifierCV(Named(plane), **CHECKED))


OF_REGRESSORS = [
    check
    for _, check in estimator_checks_generator(KerasRegressorCV(Named(regressor), **CHECKED))
    if any(word in check.func.__name__ for word in ("regressor", "supervised", "nan_inf", "pickle"))
]
"""The regressor shares all but its target with the classifier (`_read` reads the inputs of both), whose other checks
would be the same ones again: they take minutes, and passed when all of them were last run (with `KerasRegressorCV` in
the list above)."""


@pytest.mark.slow
@pytest.mark.parametrize("check", OF_REGRESSORS, ids=lambda check: check.func.__name__)
def test_scikit_learns_checks_of_regressors(check: Any) -> None:
    """What they ask of a target of numbers, and whether inputs are read at all."""
    check(KerasRegressorCV(Named(regressor), **CHECKED))


@pytest.mark.slow
def test_it_is_what_tune_finds(iris: Any, fitted: Any) -> None:
    """The same folds, networks and choice; the model that was given is as it was."""
    x, labels = iris
    model = classifier((4,), 3)
    before = [np.array(weight) for weight in model.get_weights()]
    found = KerasClassifierCV(model, **SMALL).fit(x, labels)
    assert all(map(np.array_equal, before, model.get_weights()))
    _, codes = np.unique(labels, return_inverse=True)
    result = tune(model, x, codes, strengths=3, epochs=20, cv=2, seed=0)
    # bit for bit; predictions round by how many rows are predicted at once
    assert all(map(np.array_equal, found.network_.get_weights(), result.model.get_weights()))
    np.testing.assert_allclose(found.predict_proba(x), result.predict(x), rtol=1e-5)
    np.testing.assert_array_equal(found.predict_proba(x), fitted.predict_proba(x))  # a model made anew, of its shape
    np.testing.assert_array_equal(found.predict_proba(x)[140:], found.predict_proba(x[140:]))
    np.testing.assert_array_equal(found.scores_path_, result.search.histories.at_best("held_out_loss"))
    assert found.regularization_ == result.regularization
    assert list(found.classes_) == ["NA", "b", "setosa"]
    assert found.score(x, labels) > 0.9
    np.testing.assert_allclose(found.network_.predict(x, verbose=0), found.predict_proba(x), rtol=1e-6)
    named = KerasClassifierCV(opened(model), **SMALL).fit(pd.DataFrame(x, columns=list("abcd")), labels)
    assert list(named.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(named.predict_proba(pd.DataFrame(x, columns=list("abcd"))), found.predict_proba(x))


HEADS = {
    "one-hot": (3, 3, "softmax", "categorical_crossentropy"),
    "logits": (3, 3, None, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    "one sigmoid": (2, 1, "sigmoid", "binary_crossentropy"),
    "one logit": (2, 1, None, keras.losses.BinaryCrossentropy(from_logits=True)),
}


@pytest.mark.slow
@pytest.mark.parametrize("head", list(HEADS))
def test_probabilities_of_every_end(iris: Any, head: str) -> None:
    """Targets are what the loss wants, and what the model gives becomes probabilities of the labels."""
    classes, outputs, end, loss = HEADS[head]
    x, labels = iris[0], iris[1] if classes == 3 else iris[1] == "setosa"
    found = KerasClassifierCV(classifier((4,), outputs, end=end, loss=loss), **SMALL).fit(x, labels)
    given = found.network_.predict(x, verbose=0)
    ends = {"one-hot": given, "logits": softmax(given, axis=1)}
    second = expit(given[:, 0]) if end is None else given[:, 0]
    expected = ends.get(head, np.column_stack([1 - second, second]))
    np.testing.assert_allclose(found.predict_proba(x), expected, atol=1e-6)
    assert found.score(x, labels) > 0.9


@pytest.mark.slow
def test_values_one_or_several() -> None:
    """As many as the targets have; one alone has no axis of its own."""
    x, y = load_diabetes(return_X_y=True)
    values = np.column_stack([y / 100, 3 - y / 50])
    both = KerasRegressorCV(regressor, **SMALL).fit(10 * x, values)
    assert both.predict(10 * x).shape == (442, 2)
    assert both.score(10 * x, values) > 0.3
    one = KerasRegressorCV(regressor((10,), 1), **SMALL).fit(10 * x, values[:, 0])
    result = tune(regressor((10,), 1), 10 * x, values[:, :1], strengths=3, epochs=20, cv=2, seed=0)
    np.testing.assert_allclose(one.predict(10 * x), result.predict(10 * x)[:, 0], rtol=1e-5)
    with pytest.raises(ValueError, match="The model gives 1 numbers for each row, and y has 2"):
        KerasRegressorCV(regressor((10,), 1), **SMALL).fit(10 * x, values)


@pytest.mark.slow
def test_rows_of_any_shape(iris: Any) -> None:
    """A function is given the shape of a row; pictures stay pictures."""
    x, labels = iris
    shapes: list[Any] = []
    found = KerasClassifierCV(lambda *given: shapes.append(given) or classifier(*given), **SMALL)
    found.fit(x.reshape(-1, 2, 2), labels)
    assert shapes == [((2, 2), 3)]
    assert found.predict_proba(x.reshape(-1, 2, 2)).shape == (150, 3)


@pytest.mark.slow
def test_weights_of_rows_and_classes(iris: Any) -> None:
    """Those of `tune`, by labels; balanced ones are numbers of rows by classes."""
    x, labels = iris[0][:120], iris[1][:120]
    model, weights = plane((4,), 3), np.linspace(0.5, 2, 120)
    _, codes = np.unique(labels, return_inverse=True)
    by_code = {0: 0.8, 1: 2.0, 2: 0.8}  # 120 rows by three classes by 50, 20, 50
    result = tune(model, x, codes, strengths=3, epochs=20, cv=2, seed=0, sample_weight=weights, class_weight=by_code)
    for given in ("balanced", {"setosa": 0.8, "NA": 0.8, "b": 2.0}):
        found = KerasClassifierCV(model, **SMALL, class_weight=given).fit(x, labels, weights)
        assert all(map(np.array_equal, found.network_.get_weights(), result.model.get_weights()))
    other = KerasClassifierCV(model, **SMALL, class_weight={"b": 4.0}).fit(x, labels, weights)
    assert not all(map(np.array_equal, other.network_.get_weights(), result.model.get_weights()))


@pytest.mark.slow
def test_it_is_kept(iris: Any, fitted: Any) -> None:
    """Pickled, copied deep or not, it predicts the same and warns of nothing; before it is fitted, too."""
    for again in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), copy.copy(fitted)):
        np.testing.assert_array_equal(again.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
        assert again.model.loss == "sparse_categorical_crossentropy"
    unfitted = pickle.loads(pickle.dumps(clone(fitted)))
    np.testing.assert_array_equal(unfitted.fit(*iris).predict_proba(iris[0]), fitted.predict_proba(iris[0]))
    assert "KerasClassifierCV" in fitted._repr_html_()


@pytest.mark.slow
def test_a_model_that_cannot_be_copied_is_shared(iris: Any) -> None:
    """A loss of one's own is known by no name, so that Keras can copy no model that has it; clones need no copy."""

    def sparse_own(true: Any, predicted: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(true, predicted)

    model = classifier((4,), 3, loss=sparse_own)
    with pytest.raises(TypeError, match="Could not locate function"):
        copy.deepcopy(model)
    clf = KerasClassifierCV(model, **SMALL)
    assert clone(clf).model is model
    assert clone(clf).get_params() == clf.get_params()
    pipe = make_pipeline(StandardScaler(), clf)
    assert cross_val_score(pipe, *iris, cv=2).mean() > 0.85


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # a grid copies what it holds
def test_models_are_searched(iris: Any) -> None:
    """In a grid whose candidates are a model and a function."""
    grid = {"model": [classifier((4,), 3), plane]}
    found = GridSearchCV(KerasClassifierCV(plane, **SMALL), grid, cv=2).fit(*iris)
    assert found.cv_results_["mean_test_score"].min() > 0.7
    assert found.score(*iris) > 0.9


@pytest.mark.slow
def test_a_diagnosis_of_the_model(iris: Any) -> None:
    """What `diagnose` says of the model and the rows."""
    x, labels = iris
    found = KerasClassifierCV(plane, strengths=2, epochs=5, cv=3, random_state=0).fit(x, labels)
    _, codes = np.unique(labels, return_inverse=True)
    expected = diagnose(plane((4,), 3), x, codes, cv=3, strengths=2, epochs=5, seed=0)
    assert str(found.diagnosis_) == str(expected)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "'model' must be a compiled keras.Model, or a function of the shape of a row .* Got NoneType"),
        (lambda shape, outputs: "model", "The function 'model' must return a compiled keras.Model. It returned str"),
        (keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), "is not compiled"),
        (classifier((4,), 2), "gives 2 numbers, and the target has 3 classes"),
        (classifier((5,), 3), r"takes x of the shape \(rows, 5\). Got \(rows, 4\)"),
    ],
)
def test_a_model_that_cannot_be_is_refused(iris: Any, model: Any, message: str) -> None:
    """By a sentence, when it is fitted."""
    with pytest.raises((ValueError, TypeError), match=message):
        KerasClassifierCV(model, **SMALL).fit(*iris)


def test_inputs_that_cannot_be_are_refused(iris: Any) -> None:
    """Sparse ones, frames that hold text, missing values, and one class."""
    clf = KerasClassifierCV(classifier, **SMALL)
    with pytest.raises(TypeError, match=r"'\.toarray\(\)' to convert to a dense"):
        clf.fit(csr_array(iris[0]), iris[1])
    with pytest.raises(ValueError, match="Column 'a' of x must hold numbers, but holds text"):
        clf.fit(pd.DataFrame({"a": ["b", "c"] * 75}), iris[1])
    with pytest.raises(ValueError, match="NaN"):
        clf.fit(np.where(iris[0] > 7, np.nan, iris[0]), iris[1])
    with pytest.raises(ValueError, match="Got one class: 'b'"):
        clf.fit(iris[0], ["b"] * 150)
