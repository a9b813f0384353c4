"""scikit-learn's estimators of the search: what `LassoCV` is for linear models, for dense networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import polars as pl
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from fitwell.analysis.honest import Method
from fitwell.analysis.selection import RuleName
from fitwell.api.estimator_base import ProbabilityClassifier, SearchedEstimator, checked_groups, checked_target
from fitwell.data.notation import MISSING_MARKS, without_marks
from fitwell.data.table_files import as_frame
from fitwell.data.target import Task, read_target
from fitwell.engine.engines import Engine
from fitwell.errors import InputError, InputTypeError
from fitwell.problems.options import DEFAULT_HIDDEN, DepthName, Pruning, Refit, Schedule, Strengths
from fitwell.regularization.grids import DEFAULT_COUNT
from fitwell.regularization.regularizer import Regularizer
from fitwell.regularization.table import DEFAULT_REGULARIZERS
from fitwell.results.predictors import TablePredictor


class _SearchedMLP(SearchedEstimator):
    """What both estimators share: arguments, and reading."""

    _names: ClassVar = {
        "hidden": "hidden_layer_sizes",
        "learning_rate": "learning_rate_init",
        "schedule": "learning_rate",
        "epochs": "max_iter",
        "patience": "n_iter_no_change",
        "seed": "random_state",
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = DEFAULT_HIDDEN,
        *,
        strengths: Strengths = DEFAULT_COUNT,
        regularizers: Sequence[str | Regularizer] = DEFAULT_REGULARIZERS,
        depth: DepthName = "constant",
        cv: Any = 5,
        repeats: int = 1,
        rule: RuleName = "1se",
        refit: Refit = "ensemble",
        refit_seeds: int = 1,
        honest: Method = "bbc",
        scoring: str | None = None,
        learning_rate_init: float | None = None,
        learning_rate: Schedule = "constant",
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 150,
        n_iter_no_change: int = 25,
        pruning: Pruning = "early",
        engine: Engine = "auto",
        memory: int | None = None,
        time_budget: float | str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.strengths = strengths
        self.regularizers = regularizers
        self.depth: DepthName = depth
        self.cv = cv
        self.repeats = repeats
        self.rule: RuleName = rule
        self.refit: Refit = refit
        self.refit_seeds = refit_seeds
        self.honest: Method = honest
        self.scoring = scoring
        self.learning_rate_init = learning_rate_init
        self.learning_rate: Schedule = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.n_iter_no_change = n_iter_no_change
        self.pruning: Pruning = pruning
        self.engine: Engine = engine
        self.memory = memory
        self.time_budget = time_budget
        self.random_state = random_state
        self.verbose = verbose
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        """Missing values are no reason to refuse a table."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {
            "hidden": self.hidden_layer_sizes,
            "learning_rate": self.learning_rate_init,
            "epochs": self.max_iter,
            "batch_size": None if self.batch_size == "auto" else self.batch_size,
            "patience": self.n_iter_no_change,
            "schedule": self.learning_rate,
            "engine": self.engine,
        }

    def _choosing(self) -> dict[str, Any]:
        return super()._choosing() | {
            "refit": self.refit,
            "refit_seeds": self.refit_seeds,
            "scoring": self.scoring,
        }

    def _tune(
        self, table: Any, y: np.ndarray, names: np.ndarray, groups: Any, task: Task, weighing: Mapping[str, Any]
    ) -> None:
        """Search on a table; `names` are the targets `y` as `tune` is to read them, `weighing` what rows count."""
        check_consistent_length(table, y)
        groups = checked_groups(groups, y)
        cv = self._splits(y, groups, classification=task == "classification")
        table, column = (table, None) if groups is None else _with_groups(table, groups)
        self._search({"table": table, "target": names, "task": task, "cv": cv, "groups": column, **weighing})

    def _read(self, X: Any, *, reset: bool) -> Any:
        """Check inputs as scikit-learn does, and return them as `tune` and its predictor take them."""
        framed = hasattr(X, "columns") or hasattr(X, "column_names")
        if framed:
            # of a frame only names and their number: its columns may hold anything
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            rows = 2 if reset else 1
            X = validate_data(self, X, reset=reset, ensure_all_finite="allow-nan", ensure_min_samples=rows)
        if reset:
            self._framed = framed
        elif framed != self._framed:
            # the columns then go by their places, as scikit-learn has warned
            names = [column.name for column in self._predictor.columns]
            return np.asarray(X) if framed else pl.DataFrame(X, schema=names, orient="row")
        return X

    def _numbers(self, X: Any) -> np.ndarray:
        """Probabilities [n, k] or values [n] of new rows."""
        check_is_fitted(self)
        return self._predictor.predict_numbers(self._read(X, reset=False))

    @property
    def _predictor(self) -> TablePredictor:
        return cast(TablePredictor, self.result_.predictor)


class MLPClassifierCV(ProbabilityClassifier, _SearchedMLP):
    """A dense network for classes whose regularization is chosen by cross-validation, every fold and strength at once.

    What `sklearn.linear_model.LogisticRegressionCV` is for linear models; names of arguments are those of
    `sklearn.neural_network.MLPClassifier` where it has them. A frame (pandas, polars, Arrow) is taken as it is:
    numbers, categories, flags, dates, missing values; an array must hold numbers, and NaN is a missing value.

    Parameters
    ----------
    hidden_layer_sizes
        Units of the hidden layers: wide enough to overfit.
    strengths, regularizers, depth
        What is searched; see `fitwell.tune`. No regularization at all is always among the candidates.
    cv
        Number of folds (drawn by `random_state`, stratified; of whole groups, if `fit` is given `groups`), a splitter,
        or pairs (train, held-out) of row numbers.
    repeats
        How often a number of folds is drawn anew.
    rule, refit, refit_seeds, honest
        Which strength is chosen, what predicts, and how the loss on new rows is corrected for the choice; see
        `fitwell.tune`. With `refit="ensemble"` the best strengths' networks are averaged, with `"single"` one network
        is trained on all rows.
    scoring
        What strengths are chosen by, the name of one of scikit-learn's scorers, such as `"average_precision"`; see
        `fitwell.tune`. None chooses by the loss.
    learning_rate_init
        Of Adam. None searches it with the strengths.
    learning_rate
        Its schedule: `"constant"`, `"cosine"`, or `"cooldown"`, which falls linearly to zero in the second half of
        `max_iter`.
    batch_size
        Rows of a batch; `"auto"` takes an eighth of the rows, 16 to 256.
    max_iter
        The most epochs; a search usually ends long before.
    n_iter_no_change
        Epochs without improvement after which a strength stops.
    pruning, engine, memory, time_budget
        See `fitwell.tune`.
    random_state
        Of folds, strengths, first weights, row orders and noise. A number makes all repeatable to the bit on a machine.
    verbose
        1 prints where the search stands.
    n_jobs
        The most cores to train on. None takes all, as does -1: unlike elsewhere in scikit-learn, for folds and
        strengths are one program.
    class_weight
        What the rows of a class count, a dict from label to weight (1 for those not named), or `"balanced"`; None is 1.

    Attributes
    ----------
    classes_
        [k], the labels in the order of the columns of `predict_proba`.
    n_features_in_, feature_names_in_
        Of the inputs; the names where they had some.
    regularization_, n_iter_
        The strengths chosen by `rule`, and the epoch at which their held-out loss was lowest.
    strengths_
        [G], the candidates.
    scores_path_
        float [R, G], the held-out loss of each in every fold, at its best epoch; with `scoring` that score, of which
        higher is better.
    histories_
        All curves: `held_out_loss`, `train_loss` [R, G, epochs] and more.
    score_interval_
        The interval of the loss (or with `scoring` of that score) on new rows, corrected for having chosen; see
        `result_.score`.
    network_
        The plain keras.Model.
    result_
        The `fitwell.Result`: print it, `save` it for Python, Node and browsers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifierCV(strengths=4, max_iter=20, random_state=0).fit(X, y)
    >>> clf.predict_proba(X).shape
    (150, 3)
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = DEFAULT_HIDDEN,
        *,
        strengths: Strengths = DEFAULT_COUNT,
        regularizers: Sequence[str | Regularizer] = DEFAULT_REGULARIZERS,
        depth: DepthName = "constant",
        cv: Any = 5,
        repeats: int = 1,
        rule: RuleName = "1se",
        refit: Refit = "ensemble",
        refit_seeds: int = 1,
        honest: Method = "bbc",
        scoring: str | None = None,
        learning_rate_init: float | None = None,
        learning_rate: Schedule = "constant",
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 150,
        n_iter_no_change: int = 25,
        pruning: Pruning = "early",
        engine: Engine = "auto",
        memory: int | None = None,
        time_budget: float | str | None = None,
        random_state: Any = None,
        verbose: int = 0,
        n_jobs: int | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
    ) -> None:
        # named once more, for scikit-learn reads what an estimator takes off its own constructor
        super().__init__(
            hidden_layer_sizes,
            strengths=strengths,
            regularizers=regularizers,
            depth=depth,
            cv=cv,
            repeats=repeats,
            rule=rule,
            refit=refit,
            refit_seeds=refit_seeds,
            honest=honest,
            scoring=scoring,
            learning_rate_init=learning_rate_init,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            n_iter_no_change=n_iter_no_change,
            pruning=pruning,
            engine=engine,
            memory=memory,
            time_budget=time_budget,
            random_state=random_state,
            verbose=verbose,
            n_jobs=n_jobs,
        )
        self.class_weight: Mapping[Any, float] | Literal["balanced"] | None = class_weight

    def __sklearn_tags__(self) -> Any:
        """A row may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Search the regularization, and train what predicts.

        Parameters
        ----------
        X
            [n, d], a frame or an array.
        y
            [n], at least two classes; or [n, k] of labels, each 0 or 1 ("multilabel-indicator").
        sample_weight
            [n], what each row counts, 0 or more, in training and in all losses; see `fitwell.tune`. None is 1.
        groups
            [n], rows of one group stay in one fold.

        Raises
        ------
        InputError, ValueError
            What is wrong with the data or an argument, in a sentence.
        """
        if _are_labels(y):
            return self._fit_labels(X, y, sample_weight, groups)
        table, codes = self._read(X, reset=True), self._encoded(y)
        read = _read_classes(self.classes_)
        if self.scoring is not None and read is not None and (np.diff(read) < 0).any():
            read = None  # of two classes a score has the second for the positive one: that of `classes_`
        # what a table's reader does not tell apart goes by its place
        self._places = np.arange(len(self.classes_)) if read is None else read
        by_class = self.class_weight if read is not None else _by_place(self.class_weight, self.classes_)
        weighing = {"sample_weight": _checked_weights(sample_weight), "class_weight": by_class}
        self._tune(table, codes, codes if read is None else self.classes_[codes], groups, "classification", weighing)
        return self

    def _fit_labels(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Self:
        """Fit on labels [n, k], each 0 or 1."""
        if self.class_weight is not None:
            raise InputError(
                "'class_weight' goes with the classes of one target, and y has labels: leave it out, or give a "
                "'sample_weight'."
            )
        table, labels = self._read(X, reset=True), check_array(y, accept_sparse=True, input_name="y")
        labels = (labels.toarray() if issparse(labels) else labels).astype(int)
        # as `MLPClassifier` has them: of labels the classes are their places
        self.classes_ = self._places = np.arange(labels.shape[1])
        weighing = {"sample_weight": _checked_weights(sample_weight)}
        self._tune(table, labels, labels, groups, "classification", weighing)
        return self

    @property
    def _has_labels(self) -> bool:
        return self._predictor.task == "multilabel"

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities [n, k], columns in the order of `classes_`; of labels those that a row has each."""
        return self._numbers(X)[:, self._places]

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row, [n]; or 0 or 1 for each label, [n, k]."""
        probabilities = self.predict_proba(X)
        return (probabilities > 0.5).astype(int) if self._has_labels else self._most_probable(probabilities)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log odds of the second class [n]; of more than two classes their log probabilities [n, k].

        Of labels they are the log odds of each, [n, k]. All numbers are finite.
        """
        check_is_fitted(self)
        if not self._has_labels:
            return super().decision_function(X)
        least = np.finfo(np.float32).tiny
        probabilities = self.predict_proba(X).astype(np.float64)
        return np.log(np.maximum(probabilities, least)) - np.log(np.maximum(1 - probabilities, least))


class MLPRegressorCV(RegressorMixin, _SearchedMLP):
    """A dense network for values whose regularization is chosen by cross-validation, every fold and strength at once.

    What `sklearn.linear_model.LassoCV` is for linear models. The target may have any unit: it is standardised inside.

    Parameters
    ----------
    hidden_layer_sizes, strengths, regularizers, depth, cv, repeats, rule, refit, refit_seeds, honest, scoring, \
    learning_rate_init, learning_rate, batch_size, max_iter, n_iter_no_change, pruning, engine, memory, \
    time_budget, random_state, verbose, n_jobs
        As in `MLPClassifierCV`.

    Attributes
    ----------
    n_features_in_, feature_names_in_, regularization_, n_iter_, strengths_, scores_path_, histories_, \
    score_interval_, network_, result_
        As in `MLPClassifierCV`; losses are squared errors in the target's own unit, and of several targets means over
        them of the squared error in units of each one's variance.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressorCV(strengths=4, max_iter=20, random_state=0).fit(X, y)
    >>> model.predict(X[:5]).shape
    (5,)
    """

    def __sklearn_tags__(self) -> Any:
        """Values may be several for each row."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Search the regularization, and train what predicts; `y` [n] or [n, k] are finite numbers.

        See `MLPClassifierCV.fit` for the others.
        """
        table, values = self._read(X, reset=True), _values(y)
        self._tune(table, values, values, groups, "regression", {"sample_weight": _checked_weights(sample_weight)})
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the value of each row, [n], or its values, [n, k]."""
        return self._numbers(X)


def _are_labels(y: Any) -> bool:
    """Whether a target is [n, k] of labels; what has other classes in several columns is refused."""
    if _columns_of(y) < 2:
        return False
    kind = type_of_target(y, input_name="y")
    if kind == "multiclass-multioutput":
        raise InputError(
            "Several targets must be labels, each 0 or 1. Got columns with other classes (multiclass-multioutput): fit "
            "an estimator for each, as sklearn.multioutput.MultiOutputClassifier does."
        )
    return kind == "multilabel-indicator"


def _values(y: Any) -> np.ndarray:
    """Return a target [n] or [n, k] of finite numbers."""
    if _columns_of(y) < 2:
        return checked_target(y, dtype="numeric")
    return check_array(y, dtype="numeric", input_name="y")


def _columns_of(y: Any) -> int:
    """How many columns a target has; 1 also of what is no target, which is refused elsewhere."""
    try:
        shape = y.shape if issparse(y) else np.asarray(y).shape
    except ValueError:  # lists of unequal length
        return 1
    return shape[1] if len(shape) == 2 else 1


def _checked_weights(sample_weight: Any) -> np.ndarray | None:
    """Return weights of rows [n] as numbers, if there are any; whether they fit the rows, `tune` says."""
    if sample_weight is None:
        return None
    return check_array(column_or_1d(sample_weight), ensure_2d=False, dtype="numeric", input_name="sample_weight")


def _by_place(class_weight: Any, classes: np.ndarray) -> Any:
    """Return weights by the places of classes, which a table knows by nothing else."""
    if not isinstance(class_weight, Mapping):
        return class_weight
    places = {label: place for place, label in enumerate(classes.tolist())}
    for label in class_weight:
        if label not in places:
            raise InputError(f"'class_weight' names the class {label!r}, and y has {list(places)}.")
    return {places[label]: weight for label, weight in class_weight.items()}


def _with_groups(table: Any, groups: np.ndarray) -> tuple[pl.DataFrame, str]:
    """Return a table with a column of groups, as `tune` takes them, and the name of that column."""
    frame, name = as_frame(table), "groups"
    while name in frame.columns:
        name += "_"
    return frame.with_columns(as_frame({name: groups})), name


def _read_classes(classes: np.ndarray) -> np.ndarray | None:
    """Return the place of each class among those that a table's reader makes of them.

    Numbers come before texts there, and by value. None where the reader makes one of two classes, or takes one for
    missing, as it does with "NA".
    """
    try:
        marked = without_marks(as_frame({"class": classes}), MISSING_MARKS)
        read, kept = read_target(marked, "class", "classification")
    except (InputError, InputTypeError):
        return None
    return read.values if len(kept) == len(read.classes) == len(classes) else None
