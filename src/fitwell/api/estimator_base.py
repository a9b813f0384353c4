"""What scikit-learn's estimators of a search share: how they read, what they keep, and what they answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from numbers import Integral
from typing import Any, ClassVar, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fitwell.analysis.honest import Method
from fitwell.analysis.selection import RuleName
from fitwell.api.diagnose import diagnose
from fitwell.api.tune import tune
from fitwell.engine.histories import Histories
from fitwell.errors import InputError, InputTypeError
from fitwell.problems.options import DepthName, Pruning, Strengths
from fitwell.regularization.strengths import Regularization
from fitwell.results.diagnosis import Diagnosis
from fitwell.results.result import Result
from fitwell.startup import cpu_devices

ON_DEMAND = frozenset(("diagnosis_", "network_"))
"""Attributes that are made when they are asked for, which takes from seconds to minutes."""


class SearchedEstimator(BaseEstimator):
    """A search as an estimator: what was found is kept under scikit-learn's names.

    A subclass has the arguments of its network, and says what of them `tune` and `diagnose` take.
    """

    strengths: Strengths
    regularizers: Any
    depth: DepthName
    cv: Any
    repeats: int
    rule: RuleName
    honest: Method
    pruning: Pruning
    memory: int | None
    time_budget: float | str | None
    random_state: Any
    verbose: int
    n_jobs: int | None

    _names: ClassVar[Mapping[str, str]] = {"seed": "random_state"}
    """What `tune` calls otherwise."""

    def _settings(self) -> dict[str, Any]:
        """Arguments of `tune` that `diagnose` has as well."""
        return {
            "strengths": self.strengths,
            "regularizers": self.regularizers,
            "depth": self.depth,
            "pruning": self.pruning,
            "memory": self.memory,
            "time_budget": self.time_budget,
        }

    def _choosing(self) -> dict[str, Any]:
        """Arguments of `tune` alone."""
        return {"repeats": self.repeats, "rule": self.rule, "honest": self.honest, "devices": _devices(self.n_jobs)}

    def _search(self, data: Mapping[str, Any]) -> None:
        """Tune on `data`, as `tune` and `diagnose` both take them, and keep what was found."""
        vars(self).pop("diagnosis_", None)  # of other rows
        try:
            asked: dict[str, Any] = {**data, **self._settings(), "seed": self._seed()}
            self.result_: Result = tune(**asked, **self._choosing(), verbose=int(self.verbose))
        except (InputError, InputTypeError) as error:
            raise self._in_these_words(error) from error
        # the diagnosis draws its folds at least twice, unless it is told otherwise
        self._asked: dict[str, Any] | None = asked | ({"repeats": self.repeats} if self.repeats > 1 else {})
        found = self.result_.search
        self.n_iter_ = int(found.histories.best_epoch[self.result_.answer.chosen])
        self.regularization_: Regularization = self.result_.regularization
        self.strengths_ = [found.candidates.regularization(g) for g in range(found.candidates.count)]
        self.histories_: Histories = found.histories
        scores = found.held_out_scores
        self.scores_path_: np.ndarray = found.histories.at_best("held_out_loss") if scores is None else scores
        interval = self.result_.score.interval
        self.score_interval_ = (interval.low, interval.high)

    @cached_property
    def diagnosis_(self) -> Diagnosis:
        """What `fitwell.diagnose` says of the rows and settings of the last `fit`; see there.

        It trains when it is first asked for, on the rows that `fit` was given and of which the estimator keeps no copy.
        """
        check_is_fitted(self)
        if self._asked is None:
            raise AttributeError(
                "The training rows are not kept with an estimator that is pickled or copied, and its diagnosis was not "
                "asked for before: ask for 'diagnosis_' where it was fitted, or call fitwell.diagnose with the rows."
            )
        try:
            return diagnose(**self._asked)
        except (InputError, InputTypeError) as error:
            raise self._in_these_words(error) from error

    @property
    def network_(self) -> Any:
        """The plain keras.Model, made when it is asked for; see `fitwell.Result.model`."""
        check_is_fitted(self)
        try:
            return self.result_.model
        except InputError as error:  # Keras is not installed: then there is no such attribute, as `hasattr` has it
            raise AttributeError(str(error)) from error

    def __dir__(self) -> list[str]:
        """All names but those of what would have to be made: who shows an estimator asks for all that it names."""
        # not scikit-learn's own, which makes every attribute to see whether it is there
        hidden = ON_DEMAND - vars(self).keys()
        return [name for name in object.__dir__(self) if name not in hidden and hasattr(self, name)]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the rows out: a pickle holds what was found."""
        state = cast(dict[str, Any], super().__getstate__())
        return {**state, "_asked": None} if "_asked" in state else state

    def _splits(self, y: np.ndarray, groups: Any, *, classification: bool) -> Any:
        """Return folds as `tune` takes them: their number, which it draws by itself, or (train, held-out) pairs."""
        if isinstance(self.cv, Integral):
            return self.cv
        splitter: Any = check_cv(self.cv, y, classifier=classification)
        return list(splitter.split(np.zeros((len(y), 1)), y, groups))

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _in_these_words(self, error: InputError | InputTypeError) -> InputError | InputTypeError:
        """Return an error of `tune` that calls the arguments as they are called here."""
        # only as the first word: columns may be called so
        return type(error)(re.sub(r"^'(\w+)'", lambda found: f"'{self._names.get(found[1], found[1])}'", str(error)))


class ProbabilityClassifier(ClassifierMixin):
    """What follows from the probabilities of classes."""

    classes_: np.ndarray

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities [n, k], columns in the order of `classes_`."""
        raise NotImplementedError

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):  # of a probability that is 0
            return np.log(self.predict_proba(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log odds of the second class [n]; of more than two classes their log probabilities [n, k].

        Probabilities that are 0 count as the least that float32 tells from it, so that all numbers are finite.
        """
        least = np.finfo(np.float32).tiny
        logs = np.log(np.maximum(self.predict_proba(X).astype(np.float64), least))
        return logs[:, 1] - logs[:, 0] if len(self.classes_) == 2 else logs

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row, [n]."""
        return self._most_probable(self.predict_proba(X))

    def _most_probable(self, probabilities: np.ndarray) -> np.ndarray:
        return self.classes_[probabilities.argmax(axis=1)]

    def _encoded(self, y: Any) -> np.ndarray:
        """Learn `classes_`, and return the place of each row's class among them, [n]."""
        labels = checked_target(y, dtype=None)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"At least two classes are needed to tell apart. Got one class: '{self.classes_[0]}'.")
        return codes


def checked_target(y: Any, dtype: Any) -> np.ndarray:
    """Return a target [n] without infinities and missing values."""
    return check_array(column_or_1d(y, warn=True), ensure_2d=False, dtype=dtype, input_name="y")


def checked_groups(groups: Any, y: np.ndarray) -> np.ndarray | None:
    """Return the group of each row [n], if there are any."""
    if groups is None:
        return None
    groups = column_or_1d(groups)
    check_consistent_length(groups, y)
    return groups


def _devices(jobs: int | None) -> int | None:
    """Return how many cores `n_jobs` names; None are all, as is -1."""
    if jobs is None or jobs == -1:
        return None
    if not isinstance(jobs, Integral) or jobs == 0:
        raise InputTypeError(f"'n_jobs' must be a number of cores, or -1 for all. Got {jobs!r}.")
    return int(jobs) if jobs > 0 else max(1, cpu_devices() + 1 + int(jobs))
