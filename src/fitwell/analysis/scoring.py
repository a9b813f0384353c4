"""Choosing by a score instead of the loss: scikit-learn's scorers by name, on held-out predictions and draws of them.

The usual ones are computed here for many weightings of the rows at once, for a bootstrap asks for a thousand; any other
name is scikit-learn's own scorer. Higher is better, and errors are negative, as there.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from inspect import signature
from typing import Any

import numpy as np

from fitwell.errors import InputError

Scorer = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Scores [D] of targets [n] (class indices or values) and predictions ([n, k] probabilities or [n] values), with rows
weighted in D ways, [D, n]; NaN where the weighted rows do not say, such as those of one class."""


@dataclass(frozen=True)
class Scoring:
    """A score by its name.

    Attributes
    ----------
    name
        scikit-learn's.
    task
        `"classification"` or `"regression"`.
    two_classes
        Whether it asks for two classes; the second one is the positive one.
    best
        The highest that there can be; infinite if there is none.
    scores
        What computes it.
    quick
        Whether it is computed for all weightings at once.
    weighs
        Whether rows may have weights; that they were drawn several times is none.
    """

    name: str
    task: str
    two_classes: bool
    best: float
    scores: Scorer
    quick: bool = True
    weighs: bool = True

    def check(self, task: str, classes: int, *, weighted: bool = False) -> None:
        """Raise an InputError if it is none for this target."""
        if task != self.task:
            raise InputError(
                f"'scoring' must be a score of {task}, for the target is {_target(task, classes)}, such as "
                f"{', '.join(repr(one.name) for one in SCORINGS.values() if one.task == task)}. Got {self.name!r}, "
                f"which is one of {self.task}."
            )
        if self.two_classes and classes != 2:
            several = f"{self.name}_{'ovr' if self.name == 'roc_auc' else 'macro'}"
            instead = f": choose {several!r}" if several in (*SCORINGS, "jaccard_macro") else ""
            raise InputError(
                f"'scoring' must be a score of {classes} classes, which the target has. Got {self.name!r}, which is of "
                f"two{instead}."
            )
        if weighted and not self.weighs:
            raise InputError(
                f"'scoring' must be a score that heeds row weights, which these rows have. Got {self.name!r}, which "
                "heeds none: choose another, or leave out the weights."
            )


def _target(task: str, classes: int) -> str:
    return "a number" if task == "regression" else f"one of {classes} classes"


def scoring_named(name: Any) -> Scoring:
    """Return the score of this name.

    Raises
    ------
    InputError
        There is none.
    """
    if isinstance(name, str) and name in SCORINGS:
        return SCORINGS[name]
    # imported only for what is not computed here
    from sklearn.metrics import get_scorer, get_scorer_names

    names = [one for one in get_scorer_names() if _kind(get_scorer(one)) != CLUSTERS and not one.endswith("_samples")]
    if not isinstance(name, str) or name not in names:
        near = get_close_matches(str(name), names, 3)
        known = ", ".join(repr(one) for one in near or list(SCORINGS))
        raise InputError(f"'scoring' must be the name of one of scikit-learn's scorers, such as {known}. Got {name!r}.")
    task = "regression" if _kind(get_scorer(name)) == "_regression" else "classification"
    weighs = "sample_weight" in signature(_function_of(get_scorer(name))).parameters and name not in WITHOUT_WEIGHTS
    scores = partial(_by_scikit_learn, name)
    return Scoring(name, task, name in OF_TWO, np.inf, scores, quick=False, weighs=weighs)


CLUSTERS = "_supervised"
"""Module of scikit-learn's scorers that compare clusters: they do not ask which class is which."""

OF_TWO = ("jaccard", "neg_negative_likelihood_ratio", "positive_likelihood_ratio")
"""Of those that scikit-learn computes, these ask for two classes."""


WITHOUT_WEIGHTS = ("roc_auc_ovo", "roc_auc_ovo_weighted")
"""Of those that scikit-learn computes, these take weights and refuse them."""


def _kind(scorer: Any) -> str:
    return _function_of(scorer).__module__.rpartition(".")[2]  # nothing else says of which task it is


def _function_of(scorer: Any) -> Any:
    """Return the public function of scikit-learn's that a scorer calls, by the name that it shows."""
    from sklearn import metrics

    # a few have none: they are of classes, and know no weights
    name = repr(scorer).removeprefix("make_scorer(").split(",")[0].rstrip(")")
    return getattr(metrics, name, lambda targets, predictions: None)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return weights @ values.astype(float) / weights.sum(axis=1)


def _accuracy(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _mean(predictions.argmax(axis=1) == targets, weights)


def _cells(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weight of the rows [D, k] called a class rightly, called it, and of it."""
    classes = np.arange(predictions.shape[1])
    called, true = predictions.argmax(axis=1)[:, None] == classes, targets[:, None] == classes
    return weights @ (called & true).astype(float), weights @ called.astype(float), weights @ true.astype(float)


def _of_classes(which: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Precision, recall or F1 of each class [D, k]: 0 where nothing is called it, NaN where it is not there at all."""
    right, called, true = _cells(targets, predictions, weights)
    below = {"precision": called, "recall": true, "f1": (called + true) / 2}[which]
    there = (called + true) > 0
    return np.where(there, np.divide(right, below, out=np.zeros_like(right), where=below > 0), np.nan)


def _of_second(which: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.nan_to_num(_of_classes(which, targets, predictions, weights)[:, 1])


def _macro(which: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.nanmean(_of_classes(which, targets, predictions, weights), axis=1)


def _balanced_accuracy(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    right, _, true = _cells(targets, predictions, weights)
    with np.errstate(invalid="ignore"):
        return np.nanmean(right / true, axis=1)


def _log_loss(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    right = predictions[np.arange(len(targets)), targets]
    least = np.finfo(right.dtype).eps  # as scikit-learn has it: no probability is taken for 0 or 1
    return _mean(np.log(np.clip(right, least, 1 - least).astype(float)), weights)


def _brier(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    squares = (predictions.astype(float) - np.eye(predictions.shape[1])[targets]) ** 2
    return -_mean(squares[:, 1] if squares.shape[1] == 2 else squares.sum(axis=1), weights)


def _ranked(of_one: Scorer, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Score the ranking of the second of two classes, or the mean over more, each against all others."""
    classes = [1] if predictions.shape[1] == 2 else range(predictions.shape[1])
    return np.mean([of_one(targets == c, predictions[:, c], weights) for c in classes], axis=0)


def _counted(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the positive and of the other rows at each distinct score or above, [D, t]."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    falling, positive = weights[:, order], positive[order]
    return np.cumsum(falling * positive, axis=1)[:, last], np.cumsum(falling * ~positive, axis=1)[:, last]


def _area(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    right, wrong = _counted(positive, scores, weights)
    # beside each score's positive rows: the others below it, and half of those that share it
    below = wrong[:, -1:] - (wrong + _before(wrong)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((right - _before(right)) * below).sum(axis=1) / (right[:, -1] * wrong[:, -1])


def _average_precision(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    right, wrong = _counted(positive, scores, weights)
    called = right + wrong
    precision = np.divide(right, called, out=np.zeros_like(right), where=called > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((right - _before(right)) * precision).sum(axis=1) / right[:, -1]


def _before(sums: np.ndarray) -> np.ndarray:
    return np.pad(sums[:, :-1], ((0, 0), (1, 0)))


def _squared(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return -_mean((targets - predictions.astype(float)) ** 2, weights)


def _root(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return -np.sqrt(-_squared(targets, predictions, weights))


def _absolute(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return -_mean(np.abs(targets - predictions.astype(float)), weights)


def _explained(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mean = _mean(targets, weights)
    # from the middle of all targets, or the square of a large mean takes the digits
    away = targets - targets.mean()
    spread = _mean(away**2, weights) - (mean - targets.mean()) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, 1 + _squared(targets, predictions, weights) / spread, np.nan)


def _by_scikit_learn(name: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ask scikit-learn's scorer, one weighting after another; NaN where it cannot say, as of rows of one class."""
    from sklearn.metrics import get_scorer

    scorer, found = get_scorer(name), np.full(len(weights), np.nan)
    for place, weight in enumerate(weights):
        rows = np.flatnonzero(weight > 0)
        # rows drawn twice are there twice, for not every score knows weights
        whole = np.array_equal(weight, weight.round())
        rows, given = (
            (np.repeat(rows, weight[rows].astype(int)), {}) if whole else (rows, {"sample_weight": weight[rows]})
        )
        with warnings.catch_warnings(), contextlib.suppress(ValueError):
            warnings.simplefilter("ignore")  # of scores that are undefined
            found[place] = scorer(_held(predictions[rows]), rows[:, None], targets[rows], **given)
    return found


def _held(predictions: np.ndarray) -> Any:
    """Make an estimator that predicts what is known, for whatever it is asked."""
    found = _estimators()[predictions.ndim == 1]()
    found.held = predictions
    if predictions.ndim > 1:
        found.classes_ = np.arange(predictions.shape[1])
    return found


@cache
def _estimators() -> tuple[type[Any], type[Any]]:
    """Make the classes of a classifier and of a regressor once: scikit-learn takes its time over a class."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Regressor(RegressorMixin, BaseEstimator):
        """Of values [n]."""

        held: np.ndarray
        fitted_ = True

        def predict(self, X: Any) -> np.ndarray:  # noqa: N803
            del X
            return self.held

    class Classifier(ClassifierMixin, BaseEstimator):
        """Of probabilities [n, k]."""

        held: np.ndarray
        classes_: np.ndarray

        def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
            del X
            return self.held

        def predict(self, X: Any) -> np.ndarray:  # noqa: N803
            del X
            return self.held.argmax(axis=1)

    return Classifier, Regressor


def _classes(name: str, scores: Scorer, *, two: bool = False, best: float = 1.0) -> Scoring:
    return Scoring(name, "classification", two, best, scores)


SCORINGS = {
    one.name: one
    for one in (
        _classes("accuracy", _accuracy),
        _classes("balanced_accuracy", _balanced_accuracy),
        _classes("average_precision", partial(_ranked, _average_precision)),
        _classes("roc_auc", partial(_ranked, _area), two=True),
        _classes("roc_auc_ovr", partial(_ranked, _area)),
        *(_classes(name, partial(_of_second, name), two=True) for name in ("f1", "precision", "recall")),
        *(_classes(f"{name}_macro", partial(_macro, name)) for name in ("f1", "precision", "recall")),
        _classes("neg_log_loss", _log_loss, best=0.0),
        _classes("neg_brier_score", _brier, best=0.0),
        Scoring("r2", "regression", False, 1.0, _explained),
        Scoring("neg_mean_squared_error", "regression", False, 0.0, _squared),
        Scoring("neg_root_mean_squared_error", "regression", False, 0.0, _root),
        Scoring("neg_mean_absolute_error", "regression", False, 0.0, _absolute),
    )
}
"""Those that are computed here."""
