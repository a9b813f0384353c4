"""scikit-learn's estimators of the search: what `LassoCV` is for linear models, for dense networks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, Self, cast

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fitwell.analysis.honest import Method
from fitwell.analysis.selection import RuleName
from fitwell.api.tune import tune
from fitwell.data.target import Task
from fitwell.engine.engines import Engine
from fitwell.engine.histories import Histories
from fitwell.engine.plan import QUIET, Listener, Progress
from fitwell.errors import InputError, InputTypeError, counted
from fitwell.problems.options import DEFAULT_HIDDEN, DepthName, Pruning, Refit, Schedule, Strengths
from fitwell.regularization.grids import DEFAULT_COUNT
from fitwell.regularization.regularizer import Regularizer
from fitwell.regularization.strengths import Regularization
from fitwell.regularization.table import DEFAULT_REGULARIZERS
from fitwell.results.predictors import TablePredictor
from fitwell.results.result import Result
from fitwell.startup import cpu_devices

_NAMES = {
    "hidden": "hidden_layer_sizes",
    "learning_rate": "learning_rate_init",
    "schedule": "learning_rate",
    "epochs": "max_iter",
    "patience": "n_iter_no_change",
    "seed": "random_state",
}
"""What `tune` calls otherwise."""


class _SearchedMLP(BaseEstimator):
    """What both estimators share: arguments, reading, the search, and what it found."""

    classes_: np.ndarray

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
        learning_rate_init: float | None = None,
        learning_rate: Schedule = "constant",
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 150,
        n_iter_no_change: int = 25,
        pruning: Pruning = "early",
        engine: Engine = "auto",
        memory: int | None = None,
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
        self.learning_rate_init = learning_rate_init
        self.learning_rate: Schedule = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.n_iter_no_change = n_iter_no_change
        self.pruning: Pruning = pruning
        self.engine: Engine = engine
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose
        self.n_jobs = n_jobs

    @property
    def network_(self) -> Any:
        """The plain keras.Model, made when it is asked for; see `fitwell.Result.model`."""
        check_is_fitted(self)
        try:
            return self.result_.model
        except InputError as error:  # Keras is not installed: then there is no such attribute, as `hasattr` has it
            raise AttributeError(str(error)) from error

    def __sklearn_tags__(self) -> Any:
        """Missing values are no reason to refuse a table."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _search(self, table: Any, y: np.ndarray, groups: Any, task: Task) -> None:
        """Tune on what was read, and keep what it found."""
        check_consistent_length(table, y)
        try:
            self.result_: Result = self._tuned(table, y, self._splits(y, groups, task), task)
        except (InputError, InputTypeError) as error:
            raise _in_these_words(error) from error
        found = self.result_.search
        self.n_iter_ = int(found.histories.best_epoch[self.result_.answer.chosen])
        self.regularization_: Regularization = self.result_.regularization
        self.strengths_ = [found.candidates.regularization(g) for g in range(found.candidates.count)]
        self.histories_: Histories = found.histories
        self.scores_path_: np.ndarray = found.histories.at_best("held_out_loss")
        interval = self.result_.score.interval
        self.score_interval_ = (interval.low, interval.high)

    def _tuned(self, table: Any, y: np.ndarray, cv: Any, task: Task) -> Result:
        return tune(
            table,
            y,
            task=task,
            cv=cv,
            repeats=self.repeats,
            hidden=self.hidden_layer_sizes,
            strengths=self.strengths,
            regularizers=self.regularizers,
            depth=self.depth,
            learning_rate=self.learning_rate_init,
            epochs=self.max_iter,
            batch_size=None if self.batch_size == "auto" else cast(int, self.batch_size),
            patience=self.n_iter_no_change,
            pruning=self.pruning,
            schedule=self.learning_rate,
            refit=self.refit,
            rule=self.rule,
            honest=self.honest,
            refit_seeds=self.refit_seeds,
            seed=self._seed(),
            memory=self.memory,
            engine=self.engine,
            devices=_devices(self.n_jobs),
            listener=Listener(on_progress=_print_progress) if self.verbose else QUIET,
        )

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

    def _splits(self, y: np.ndarray, groups: Any, task: str) -> Any:
        """Return folds as `tune` takes them: their number, which it draws by itself, or (train, held-out) pairs."""
        if groups is None and isinstance(self.cv, Integral):
            return self.cv
        splitter: Any = self.cv
        if isinstance(splitter, Integral):
            kind = StratifiedGroupKFold if task == "classification" else GroupKFold
            splitter = kind(int(splitter))
        splitter = check_cv(splitter, y, classifier=task == "classification")
        return list(splitter.split(np.zeros((len(y), 1)), y, groups))

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _numbers(self, X: Any) -> np.ndarray:
        """Probabilities [n, k] or values [n] of new rows."""
        check_is_fitted(self)
        return self._predictor.predict_numbers(self._read(X, reset=False))

    @property
    def _predictor(self) -> TablePredictor:
        return cast(TablePredictor, self.result_.predictor)


class MLPClassifierCV(ClassifierMixin, _SearchedMLP):
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
    learning_rate_init
        Of Adam. None searches it with the strengths.
    learning_rate
        Its schedule: `"constant"` or `"cosine"`.
    batch_size
        Rows of a batch; `"auto"` takes an eighth of the rows, 16 to 256.
    max_iter
        The most epochs; a search usually ends long before.
    n_iter_no_change
        Epochs without improvement after which a strength stops.
    pruning, engine, memory
        See `fitwell.tune`.
    random_state
        Of folds, strengths, first weights, row orders and noise. A number makes all repeatable to the bit on a machine.
    verbose
        1 prints where the search stands.
    n_jobs
        The most cores to train on. None takes all, as does -1: unlike elsewhere in scikit-learn, for folds and
        strengths are one program.

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
        float [R, G], the held-out loss of each in every fold, at its best epoch.
    histories_
        All curves: `held_out_loss`, `train_loss` [R, G, epochs] and more.
    score_interval_
        The interval of the loss on new rows, corrected for having chosen; see `result_.score`.
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

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Search the regularization, and train what predicts.

        Parameters
        ----------
        X
            [n, d], a frame or an array.
        y
            [n], at least two classes.
        groups
            [n], rows of one group stay in one fold.

        Raises
        ------
        InputError, ValueError
            What is wrong with the data or an argument, in a sentence.
        """
        table, labels = self._read(X, reset=True), _checked(y, dtype=None)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"At least two classes are needed to tell apart. Got one class: '{self.classes_[0]}'.")
        self._search(table, codes, groups, "classification")
        # classes are read as texts, whose order is not that of numbers
        self._order = [int(name) for name in self._predictor.classes]
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities [n, k], columns in the order of `classes_`."""
        numbers = self._numbers(X)
        probabilities = np.empty_like(numbers)
        probabilities[:, self._order] = numbers
        return probabilities

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):  # of a probability that is 0
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row, [n]."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


class MLPRegressorCV(RegressorMixin, _SearchedMLP):
    """A dense network for values whose regularization is chosen by cross-validation, every fold and strength at once.

    What `sklearn.linear_model.LassoCV` is for linear models. The target may have any unit: it is standardised inside.

    Parameters
    ----------
    hidden_layer_sizes, strengths, regularizers, depth, cv, repeats, rule, refit, refit_seeds, honest, \
    learning_rate_init, learning_rate, batch_size, max_iter, n_iter_no_change, pruning, engine, memory, \
    random_state, verbose, n_jobs
        As in `MLPClassifierCV`.

    Attributes
    ----------
    n_features_in_, feature_names_in_, regularization_, n_iter_, strengths_, scores_path_, histories_, \
    score_interval_, network_, result_
        As in `MLPClassifierCV`; losses are squared errors in the target's own unit.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressorCV(strengths=4, max_iter=20, random_state=0).fit(X, y)
    >>> model.predict(X[:5]).shape
    (5,)
    """

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Search the regularization, and train what predicts; `y` [n] are finite numbers. See `MLPClassifierCV.fit`."""
        self._search(self._read(X, reset=True), _checked(y, dtype="numeric"), groups, "regression")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the value of each row, [n]."""
        return self._numbers(X)


def _in_these_words(error: InputError | InputTypeError) -> InputError | InputTypeError:
    """Return an error of `tune` that calls the arguments as they are called here."""
    # only as the first word: columns may be called so
    return type(error)(re.sub(r"^'(\w+)'", lambda found: f"'{_NAMES.get(found[1], found[1])}'", str(error)))


def _checked(y: Any, dtype: Any) -> np.ndarray:
    """Return a target [n] without infinities and missing values."""
    return check_array(column_or_1d(y, warn=True), ensure_2d=False, dtype=dtype, input_name="y")


def _devices(jobs: int | None) -> int | None:
    """Return how many cores `n_jobs` names; None are all, as is -1."""
    if jobs is None or jobs == -1:
        return None
    if not isinstance(jobs, Integral) or jobs == 0:
        raise InputTypeError(f"'n_jobs' must be a number of cores, or -1 for all. Got {jobs!r}.")
    return int(jobs) if jobs > 0 else max(1, cpu_devices() + 1 + int(jobs))


def _print_progress(progress: Progress) -> None:
    print(
        f"epoch {progress.epoch} of {progress.epochs}: {counted(progress.running, 'network')} of {progress.networks:,} "
        f"in training, best held-out loss {progress.best_loss:.4g}"
    )
