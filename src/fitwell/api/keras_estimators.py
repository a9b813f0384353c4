"""scikit-learn's estimators of a Keras model of one's own."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self, cast

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, check_consistent_length, column_or_1d, compute_class_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from fitwell.analysis.honest import Method
from fitwell.analysis.selection import RuleName
from fitwell.api.estimator_base import ProbabilityClassifier, SearchedEstimator, checked_groups
from fitwell.data.arrays import read_inputs
from fitwell.errors import InputError, InputTypeError
from fitwell.keras.backend import import_keras
from fitwell.keras.heads import as_probabilities, head_of, targets_for
from fitwell.problems.given import opened_model
from fitwell.problems.options import DepthName, Pruning, Start, Strengths
from fitwell.regularization.grids import DEFAULT_COUNT
from fitwell.regularization.regularizer import Regularizer
from fitwell.regularization.table import DEFAULT_REGULARIZERS

BATCH = 32
"""Rows that Keras predicts at once."""


class _SearchedKeras(SearchedEstimator):
    """What both estimators share: arguments, reading, and the model."""

    model: Any
    epochs: int
    batch_size: int | None
    patience: int
    weights: Start

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "patience": self.patience,
            "weights": self.weights,
        }

    def _read(self, X: Any, *, reset: bool) -> np.ndarray:
        """Return inputs [n, ...] as the model takes them; of a frame all columns are numbers."""
        rows = 2 if reset else 1
        if hasattr(X, "columns") or hasattr(X, "column_names"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return cast(
                np.ndarray, check_array(read_inputs(X, import_keras().config.floatx()), ensure_min_samples=rows)
            )
        return cast(np.ndarray, validate_data(self, X, reset=reset, allow_nd=True, ensure_min_samples=rows))

    def _made(self, shape: tuple[int, ...], outputs: int) -> Any:
        """Return the model, or what the function that was given in its place makes."""
        given = self.model
        if opened_model(given) is not None:
            return given
        if not callable(given):
            raise InputTypeError(
                "'model' must be a compiled keras.Model, or a function of the shape of a row and the number of outputs "
                f"that returns one. Got {type(given).__name__}."
            )
        made = given(shape, outputs)
        if opened_model(made) is None:
            raise InputTypeError(
                f"The function 'model' must return a compiled keras.Model. It returned {type(made).__name__}."
            )
        return made

    def _predictions(self, X: Any) -> np.ndarray:
        """What the model gives for new rows, [n, numbers]."""
        check_is_fitted(self)
        rows = self._read(X, reset=False)
        # whole batches: of another shape Keras would compile anew, and round otherwise
        filled = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % BATCH, axis=0)])
        found = np.asarray(self.result_.predictor.predict(filled))
        return found.reshape(len(found), -1)[: len(rows)]

    def __sklearn_clone__(self) -> Self:
        """Share the model with a clone: no fit changes it, and not every model can be copied."""
        without = copy.copy(self)
        without.model = None
        cloned: Any = super(_SearchedKeras, without).__sklearn_clone__()
        cloned.model = self.model
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        model = state.get("model")
        # where there is a model of Keras, Keras has been imported
        keras = sys.modules.get("keras")
        return {**state, "model": _Kept(model)} if keras and isinstance(model, keras.Model) else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        model = state.get("model")
        super().__setstate__({**state, "model": model.model} if isinstance(model, _Kept) else state)


class _Kept:
    """A Keras model that is pickled by Keras, and comes back without a warning of its optimizer."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __reduce__(self) -> Any:
        return _restored, tuple(self.model.__reduce__())


def _restored(make: Callable[..., Any], given: tuple[Any, ...]) -> _Kept:
    with warnings.catch_warnings():  # the optimizer's state is not used, so it may be missing
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        return _Kept(make(*given))


class KerasClassifierCV(ProbabilityClassifier, _SearchedKeras):
    """A Keras model for classes whose regularization is chosen by cross-validation, every fold and strength at once.

    `fitwell.tune` of your own compiled model as an estimator: it comes back regularized, with the same layers, trained
    on all rows; see `fitwell.tune` for arguments that are not explained here.

    Parameters
    ----------
    model
        A compiled `keras.Model` (or `fitwell.opened` of one) that ends with as many numbers as there are classes, or,
        of two classes, with one. It is not touched, and clones share it. Or a function that makes one: it is given
        the shape of a row, such as ``(4,)``, and the number of classes, whenever the estimator is fitted.
    strengths, regularizers, depth
        What is searched. The model without regularization is always among the candidates, and as it was given.
    cv
        Number of folds (drawn by `random_state`, stratified; of whole groups, if `fit` is given `groups`), a splitter,
        or pairs (train, held-out) of row numbers.
    repeats
        How often a number of folds is drawn anew.
    rule, honest
        Which strength is chosen, and how the loss on new rows is corrected for the choice.
    epochs, batch_size, patience
        The most epochs; rows of a batch (None: an eighth of the rows, 16 to 256); epochs without improvement after
        which a strength stops.
    class_weight
        Weights of classes in training: a dict from label to weight, or `"balanced"`.
    weights
        Where training starts: `"fresh"` first weights, or those that the model was `"given"`.
    pruning, memory, time_budget
        See `fitwell.tune`.
    random_state
        Of folds, strengths, first weights, row orders and noise. A number makes all repeatable to the bit on a machine.
    verbose
        1 prints where the search stands.
    n_jobs
        The most cores to train on. None takes all, as does -1.

    Attributes
    ----------
    classes_
        [k], the labels in the order of the columns of `predict_proba`.
    n_features_in_, feature_names_in_, regularization_, n_iter_, strengths_, scores_path_, histories_, \
    score_interval_, network_, result_, diagnosis_
        As in `MLPClassifierCV`; losses are those of the model, and `network_` is the model that predicts.

    Examples
    --------
    >>> import keras
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> layers = [keras.Input((4,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")]
    >>> model = keras.Sequential(layers)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> clf = KerasClassifierCV(model, strengths=3, epochs=5, cv=2, random_state=0).fit(X, y)
    >>> clf.predict_proba(X).shape
    (150, 3)
    """

    def __init__(
        self,
        model: Any,
        *,
        strengths: Strengths = DEFAULT_COUNT,
        regularizers: Sequence[str | Regularizer] = DEFAULT_REGULARIZERS,
        depth: DepthName = "constant",
        cv: Any = 5,
        repeats: int = 1,
        rule: RuleName = "1se",
        honest: Method = "bbc",
        epochs: int = 150,
        batch_size: int | None = None,
        patience: int = 25,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        weights: Start = "fresh",
        pruning: Pruning = "early",
        memory: int | None = None,
        time_budget: float | str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.model = model
        self.strengths = strengths
        self.regularizers = regularizers
        self.depth: DepthName = depth
        self.cv = cv
        self.repeats = repeats
        self.rule: RuleName = rule
        self.honest: Method = honest
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.class_weight = class_weight
        self.weights: Start = weights
        self.pruning: Pruning = pruning
        self.memory = memory
        self.time_budget = time_budget
        self.random_state = random_state
        self.verbose = verbose
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Search the regularization, and train the chosen model on all rows.

        Parameters
        ----------
        X
            Numbers: [n, d], an array or a frame, or an array [n, ...] of the shape that the model takes.
        y
            [n], at least two classes.
        sample_weight
            [n], weights of rows, in training and where losses are measured.
        groups
            [n], rows of one group stay in one fold.

        Raises
        ------
        InputError, ValueError
            What is wrong with the data, the model or an argument, in a sentence.
        """
        rows, codes = self._read(X, reset=True), self._encoded(y)
        check_consistent_length(rows, codes)
        count = len(self.classes_)
        made = self._made(rows.shape[1:], count)
        opened = opened_model(made)
        assert opened is not None, "`_made` has asked"
        self._head = head_of(opened.model, count)
        floats = import_keras().config.floatx()
        groups = checked_groups(groups, codes)
        self._search(
            {
                "table": made,
                "target": rows,
                "y": targets_for(opened.model, self._head, codes, count, floats),
                "cv": self._splits(codes, groups, classification=True),
                "groups": groups,
                "sample_weight": sample_weight,
                "class_weight": self._weights_of_classes(codes),
            }
        )
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities [n, k], columns in the order of `classes_`."""
        return as_probabilities(self._predictions(X), self._head)

    def _weights_of_classes(self, codes: np.ndarray) -> dict[int, float] | None:
        """Return the weights of classes by their places."""
        if self.class_weight is None:
            return None
        found = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_[codes])
        return {place: float(weight) for place, weight in enumerate(found)}


class KerasRegressorCV(RegressorMixin, _SearchedKeras):
    """A Keras model for values whose regularization is chosen by cross-validation, every fold and strength at once.

    `fitwell.tune` of your own compiled model as an estimator; the model sees the targets as they are.

    Parameters
    ----------
    model
        A compiled `keras.Model` (or `fitwell.opened` of one) that ends with as many numbers as a row has targets. It is
        not touched, and clones share it. Or a function that makes one: it is given the shape of a row, such as
        ``(4,)``, and the number of targets, whenever the estimator is fitted.
    strengths, regularizers, depth, cv, repeats, rule, honest, epochs, batch_size, patience, weights, pruning, memory, \
    time_budget, random_state, verbose, n_jobs
        As in `KerasClassifierCV`; folds are not stratified.

    Attributes
    ----------
    n_features_in_, feature_names_in_, regularization_, n_iter_, strengths_, scores_path_, histories_, \
    score_interval_, network_, result_, diagnosis_
        As in `KerasClassifierCV`.

    Examples
    --------
    >>> import keras
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> reg = KerasRegressorCV(model, strengths=3, epochs=5, cv=2, random_state=0).fit(X, y / 100)
    >>> reg.predict(X[:5]).shape
    (5,)
    """

    def __init__(
        self,
        model: Any,
        *,
        strengths: Strengths = DEFAULT_COUNT,
        regularizers: Sequence[str | Regularizer] = DEFAULT_REGULARIZERS,
        depth: DepthName = "constant",
        cv: Any = 5,
        repeats: int = 1,
        rule: RuleName = "1se",
        honest: Method = "bbc",
        epochs: int = 150,
        batch_size: int | None = None,
        patience: int = 25,
        weights: Start = "fresh",
        pruning: Pruning = "early",
        memory: int | None = None,
        time_budget: float | str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.model = model
        self.strengths = strengths
        self.regularizers = regularizers
        self.depth: DepthName = depth
        self.cv = cv
        self.repeats = repeats
        self.rule: RuleName = rule
        self.honest: Method = honest
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.weights: Start = weights
        self.pruning: Pruning = pruning
        self.memory = memory
        self.time_budget = time_budget
        self.random_state = random_state
        self.verbose = verbose
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        """Several values of a row are targets, too."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Search the regularization, and train the chosen model on all rows.

        `y` are finite numbers, [n] or [n, outputs]. See `KerasClassifierCV.fit`.
        """
        rows, values = self._read(X, reset=True), _checked_values(y)
        check_consistent_length(rows, values)
        groups = checked_groups(groups, values)
        self._single = values.ndim == 1
        targets = values[:, None] if self._single else values
        self._search(
            {
                "table": self._made(rows.shape[1:], targets.shape[1]),
                "target": rows,
                "y": targets,
                "cv": self._splits(values, groups, classification=False),
                "groups": groups,
                "sample_weight": sample_weight,
            }
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the value of each row, [n], or its values [n, outputs]."""
        found = self._predictions(X).astype(np.float64)
        return found[:, 0] if self._single else found


def _checked_values(y: Any) -> np.ndarray:
    """Return targets [n] or [n, outputs], finite floats."""
    if y is None:
        raise InputError("KerasRegressorCV requires y to be passed, but the target y is None.")
    dtype: Any = np.float64
    values = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    if values.ndim == 2 and values.shape[1] == 1:
        values = column_or_1d(values, warn=True)
    return values
