"""Scores to choose by equal scikit-learn's scorers, for every weighting of the rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from fitwell.analysis.scoring import SCORINGS, scoring_named
from fitwell.errors import InputError


class _Classifier(ClassifierMixin, BaseEstimator):
    """Says what X holds: probabilities."""

    def __init__(self, classes: int = 2) -> None:
        self.classes = classes

    @property
    def classes_(self) -> np.ndarray:
        return np.arange(self.classes)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return X

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return X.argmax(axis=1)


class _Regressor(RegressorMixin, BaseEstimator):
    """Says what X holds: values."""

    fitted_ = True

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return X[:, 0]


def rows_of(task: str, classes: int, seed: int = 0) -> tuple[Any, np.ndarray, np.ndarray]:
    """Make what says X, X, and targets of 60 rows; values are rounded, so that many share a rank."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        targets = rng.normal(5, 2, 60)
        return _Regressor(), (targets + rng.normal(size=60))[:, None], targets
    targets = rng.integers(classes, size=60)
    raw = np.round(rng.gamma(1.0, size=(60, classes)) + np.eye(classes)[targets], 1) + 0.1
    return _Classifier(classes), raw / raw.sum(axis=1, keepdims=True), targets


BY_SCIKIT_LEARN = ("f1_weighted", "matthews_corrcoef", "roc_auc_ovo", "neg_median_absolute_error", "explained_variance")


def every() -> list[tuple[str, int]]:
    """Name all scores that are computed here, and some of scikit-learn's, with the numbers of their classes."""
    found = [scoring_named(name) for name in (*SCORINGS, *BY_SCIKIT_LEARN)]
    return [
        (one.name, k)
        for one in found
        for k in ((0,) if one.task == "regression" else (2,) if one.two_classes else (2, 3))
    ]


@pytest.mark.parametrize(("name", "classes"), every())
def test_a_score_is_that_of_scikit_learn(name: str, classes: int) -> None:
    """Without weights, with weights, and in a draw, in which rows that are there twice count twice."""
    if (name, classes) == ("roc_auc_ovo", 2):
        pytest.skip("of two classes it is roc_auc")
    scoring = scoring_named(name)
    estimator, x, targets = rows_of(scoring.task or "classification", classes)
    rng = np.random.default_rng(1)
    drawn = rng.integers(60, size=60)
    given = rng.gamma(1.0, size=60)
    weights = np.stack([np.ones(60), np.bincount(drawn, minlength=60), given])
    predictions = x[:, 0] if classes == 0 else x
    found = scoring.scores(targets, predictions, weights)
    scorer = get_scorer(name)
    whole, draw = scorer(estimator, x, targets), scorer(estimator, x[drawn], targets[drawn])
    np.testing.assert_allclose(found[:2], [whole, draw], rtol=1e-10)
    if name != "roc_auc_ovo":  # scikit-learn has it without weights only
        np.testing.assert_allclose(found[2], scorer(estimator, x, targets, sample_weight=given), rtol=1e-10)
    # a deliberate break: other targets have another score
    assert abs(scoring.scores(np.roll(targets, 1), predictions, weights)[0] - whole) > 1e-6


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "r2"])
def test_rows_that_do_not_say_have_no_score(name: str) -> None:
    """Rows of one class, or of one value; others beside them keep theirs."""
    scoring = scoring_named(name)
    targets = np.array([0, 0, 1, 1])
    predictions = np.array([0.1, 0.6, 0.4, 0.9])
    shown = predictions if name == "r2" else np.stack([1 - predictions, predictions], axis=1)
    found = scoring.scores(targets, shown, np.array([[1.0, 1, 0, 0], [1, 1, 1, 1]]))
    assert np.isnan(found).tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("avarage_precision", "such as 'average_precision'.*Got 'avarage_precision'"),
        ("rand_score", "'scoring' must be the name of one of scikit-learn's scorers"),
        (len, "'scoring' must be the name of one of scikit-learn's scorers, such as 'accuracy'.*built-in function len"),
    ],
)
def test_names_that_are_none(name: Any, message: str) -> None:
    """Near names are listed; what compares clusters, or is no name, is none."""
    with pytest.raises(InputError, match=message):
        scoring_named(name)


@pytest.mark.parametrize(
    ("name", "task", "classes", "message"),
    [
        ("r2", "classification", 2, "must be a score of classification.*'average_precision'.*Got 'r2'"),
        ("neg_median_absolute_error", "classification", 2, "must be a score of classification"),
        ("matthews_corrcoef", "regression", 0, "must be a score of regression.*'r2'"),
        ("f1", "classification", 3, "choose 'f1_macro'"),
        ("roc_auc", "classification", 3, "choose 'roc_auc_ovr'"),
    ],
)
def test_a_score_of_another_target_is_refused(name: str, task: str, classes: int, message: str) -> None:
    """What could be asked for instead is said."""
    with pytest.raises(InputError, match=message):
        scoring_named(name).check(task, classes)


def test_a_score_that_knows_no_weights_says_so() -> None:
    """In rows that are drawn it is fine, and with weights it is refused."""
    scoring, targets = scoring_named("neg_max_error"), np.arange(4.0)
    assert scoring.scores(targets, targets + np.array([0, 0, 2, 1]), np.array([[1.0, 1, 0, 3]])).tolist() == [-1.0]
    scoring.check("regression", 0)
    scoring_named("r2").check("regression", 0, weighted=True)
    with pytest.raises(InputError, match="heeds row weights"):
        scoring.check("regression", 0, weighted=True)
