from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fitwell.results.result import Result
from fitwell.results.tracked import curves_of, strengths_of, tracked


def test_the_curves_are_those_of_the_search(result: Result) -> None:
    """Means over row sets of every epoch trained, of the unregularized network and of the chosen one, and no others."""
    found, histories = tracked(result), result.search.histories
    assert list(found.curves) == ["unregularized", "chosen"]
    for network, strength in {"unregularized": 0, "chosen": result.answer.chosen}.items():
        epochs = histories.epochs[strength]
        held_out = found.curves[network]["log loss/held out"]
        np.testing.assert_array_equal(held_out, histories.held_out_loss[:, strength, :epochs].mean(axis=0))
        assert held_out[histories.best_epoch[strength] - 1] == pytest.approx(histories.best_loss[strength])
        assert set(found.curves[network]) == {
            f"{name}/{of}" for name in ("log loss", "accuracy") for of in ("training", "held out")
        }
    other = (result.answer.chosen + 1) % 4
    assert (
        curves_of(result, other)["log loss/held out"][0] != found.curves["chosen"]["log loss/held out"][0]
    )  # the break


def test_the_numbers_are_the_results(result: Result) -> None:
    """The honest loss and its interval, scores, baselines; what is no number is left out."""
    numbers = tracked(result).numbers
    assert numbers["honest/loss"] == result.score.value
    assert (numbers["honest/low"], numbers["honest/high"]) == (result.score.interval.low, result.score.interval.high)
    assert numbers["cross-validated/ensemble/AUC"] == result.scores["ensemble"]["AUC"]
    assert numbers["baselines/linear model/held-out loss"] == result.baselines[1].loss
    diverged = replace(result, answer=replace(result.answer, scores={"unregularized": {"AUC": float("nan")}}))
    assert "cross-validated/unregularized/AUC" in numbers
    assert "cross-validated/unregularized/AUC" not in tracked(diverged).numbers


def test_the_settings_are_the_choice(result: Result) -> None:
    """The chosen strengths by name, the learning rate, and how they were searched; all are plain types."""
    settings = tracked(result).settings
    chosen = result.regularization
    assert {"l2": settings["l2"], "dropout": settings["dropout"]} == {"l2": chosen.l2, "dropout": chosen.dropout}
    assert settings["epoch"] == result.search.histories.best_epoch[result.answer.chosen]
    assert (settings["rows"], settings["target"], settings["strengths"], settings["row_sets"]) == (90, "ill", 4, 3)
    assert json.loads(json.dumps(settings)) == settings
    assert strengths_of(result, 0) == {"l2": 0.0, "dropout": 0.0, "learning_rate": settings_rate(result, 0)}


def settings_rate(result: Result, strength: int) -> float:
    """The learning rate of a strength."""
    return float(result.search.candidates.learning_rate[strength])
