"""A search that is chosen by a score: what scikit-learn would choose on the same held-out predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, median_absolute_error

import fitwell
from fitwell.analysis.selection import choose_among
from fitwell.errors import InputError
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import make_options
from fitwell.problems.tables import read_table
from fitwell.studies.answering import answer
from fitwell.studies.scored import held_out_scores
from fitwell.studies.search import Searched, search

SETTINGS: dict[str, Any] = {"strengths": 8, "epochs": 25, "learning_rate": 0.02, "pruning": "none"}


def rows(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Make 150 rows, a quarter of them positive."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(150, 5))
    return x, (x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=150) > 1).astype(int)


def searched(scoring: str | None, y: np.ndarray | None = None, weight: np.ndarray | None = None) -> Searched:
    """Search on these rows."""
    x, classes = rows()
    table = read_table(x, classes if y is None else y, cv=3, sample_weight=weight)
    return search(DenseOnTable(table, (8,)), make_options(hidden=(8,), scoring=scoring, **SETTINGS))


def by_scikit_learn(found: Searched, metric: Any, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Score the held-out predictions of every strength in every fold, [R, G]."""
    predicted = found.trained.held_out_predictions(list(range(found.candidates.count)))
    said = predicted[..., 1] if predicted.ndim > 2 else predicted
    weight = np.ones(len(y)) if weight is None else weight
    return np.array(
        [
            [metric(y[held], one[held], sample_weight=weight[held]) for one in said]
            for held in found.problem.row_sets.held_out
        ]
    )


@pytest.fixture(scope="module")
def by_precision() -> Searched:
    """A search that is to be chosen by average precision."""
    return searched("average_precision")


def test_the_choice_is_that_of_scikit_learns_scores(by_precision: Searched) -> None:
    """Minimum, rules, and the ensemble's strengths; the loss would choose otherwise, and training knows nothing."""
    result = answer(by_precision)
    scores = by_scikit_learn(by_precision, average_precision_score, rows()[1])
    np.testing.assert_allclose(result.search.held_out_scores, scores, rtol=1e-6)
    expected = choose_among(-scores, by_precision.candidates, folds=3, test_to_train=0.5)
    assert (result.choice.minimum, result.choice.one_standard_error) == (expected.minimum, expected.one_standard_error)
    assert result.answer.members == tuple(np.argsort(-scores.mean(axis=0), kind="stable")[:4].tolist())
    assert result.score.name == "average_precision"
    assert result.score.naive == pytest.approx(scores.mean(axis=0).max(), rel=1e-6)
    assert result.table["strength"][0] == expected.minimum
    by_loss = answer(searched(None))
    assert not np.array_equal(by_loss.search.order, result.search.order)
    assert by_loss.search.histories.held_out_loss.tobytes() == result.search.histories.held_out_loss.tobytes()
    document = result.to_json()
    assert document["scoring"] == document["score"]["name"] == "average_precision"
    assert document["score"]["value"] == result.score.value
    assert by_loss.to_json()["scoring"] is None
    assert "chosen by average_precision" in str(result)
    assert "chosen by" not in str(by_loss)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_values_are_in_the_targets_unit(*, weighted: bool) -> None:
    """Of scikit-learn's own scorer, with row weights or none."""
    y = 100 + 20 * rows()[0][:, 0] + np.random.default_rng(1).normal(size=150)  # no copy of a column
    weight = np.random.default_rng(0).gamma(2.0, size=150) if weighted else None
    found = searched("neg_median_absolute_error", y, weight)
    scores = held_out_scores(found).of_strengths
    np.testing.assert_allclose(scores, -by_scikit_learn(found, median_absolute_error, y, weight), rtol=1e-5)
    assert scores.max() < -0.1


def test_several_targets_have_no_score() -> None:
    """A sentence says how many there are."""
    with pytest.raises(InputError, match="'scoring' is of one target, and there are 2"):
        fitwell.tune(rows()[0], np.stack([rows()[1]] * 2, axis=1), scoring="accuracy", **SETTINGS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scoring": "average_precison"}, "'average_precision'"),
        ({"scoring": "r2"}, "must be a score of classification"),
        ({"scoring": "f1", "honest": "nested"}, "'honest' must be 'bbc'"),
    ],
)
def test_what_cannot_be_is_refused_before_training(given: dict[str, Any], message: str) -> None:
    """In a sentence that names the argument."""
    with pytest.raises(InputError, match=message):
        fitwell.tune(*rows(), **given, **SETTINGS)
