"""Budgets and wishes to end, from the arguments to what is said of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, mixed

from fitwell import Listener, MLPClassifierCV, diagnose, tune
from fitwell.engine.ending import Ending
from fitwell.engine.plan import QUIET
from fitwell.errors import InputError, TrainingError
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import make_options
from fitwell.problems.tables import read_table
from fitwell.results.diagnosis import Diagnosis
from fitwell.results.result import Result
from fitwell.studies.simple_models import baselines
from fitwell.studies.time_limits import ending_of

LONG: dict[str, Any] = {**QUICK, "epochs": 40, "patience": 40}


class Impatient(Listener):
    """Wants the end when it was told of so many epochs."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch, self.last = epoch, 0

    def on_progress(self, progress: Any) -> None:
        """Keep where the search stands."""
        self.last = progress.epoch

    def wants_end(self) -> bool:
        """Ask for the end."""
        return self.last >= self.epoch


def predicted(found: Result) -> np.ndarray:
    """Probabilities of some rows."""
    return found.predict(mixed(30)).select(pl.selectors.float()).to_numpy()


@pytest.fixture(scope="module")
def ended() -> Result:
    """A search that was ended after ten or fifteen epochs."""
    return tune(mixed(), "ill", **LONG, listener=Impatient(10))


def test_what_was_cut_short_is_said(ended: Result, tmp_path: Path) -> None:
    """In words, in JSON, and first of all in the report."""
    sentence = "Ended by hand after epoch 15: 4 strengths of 4 were still in training, and might have improved further."
    assert sentence in str(ended)
    document = ended.to_json()
    assert document["cut_short"] == [sentence]
    assert document["ended"] == {"reason": "interrupted", "epoch": 15, "running": 4, "trained": 4, "asked": 4}
    page = (ended.save(tmp_path / "run") / "report.html").read_text(encoding="utf-8")
    assert page.index(sentence) < page.index("is not shown to overfit" if "not shown" in page else "overfits")


def test_the_answer_is_whole(ended: Result) -> None:
    """It has a model, scores, an interval, importance: that of a search of so many epochs."""
    short = tune(mixed(), "ill", **{**LONG, "epochs": 15})
    assert short.search.ended is None
    np.testing.assert_array_equal(predicted(ended), predicted(short))
    assert ended.score.interval == short.score.interval
    assert ended.answer.scores == short.answer.scores
    assert ended.answer.importance is not None
    whole = tune(mixed(), "ill", **LONG)
    assert not np.array_equal(predicted(ended), predicted(whole))


def test_an_ended_search_is_not_repeated_inside_its_folds() -> None:
    """Nested cross-validation trains many times as much: in its place the corrected score is given, and named."""
    found = tune(mixed(), "ill", **LONG, honest="nested", listener=Impatient(5))
    assert found.score.method == "bbc"
    assert tune(mixed(), "ill", **{**LONG, "epochs": 3}, honest="nested").score.method == "nested"


def test_a_budget_that_suffices_changes_nothing() -> None:
    """Predictions are the same bit for bit."""
    with_budget, without = (tune(mixed(), "ill", **LONG, time_budget=budget) for budget in ("1h", None))
    assert with_budget.search.ended is None
    np.testing.assert_array_equal(predicted(with_budget), predicted(without))


@pytest.mark.slow
def test_a_budget_that_does_not_suffice() -> None:
    """Fewer strengths, an end before all epochs, and all of it said; a list of one's own is tried whole."""
    table, begun = mixed(6000), time.perf_counter()
    found = tune(table, "ill", time_budget=5, patience=1000, epochs=1000, pruning="none")
    assert time.perf_counter() - begun < 25  # to the end it would take minutes, and the machine may be busy
    assert found.search.ended is not None
    assert found.search.ended.reason == "out of time"
    assert found.search.candidates.count < found.search.plan.asked == 32
    assert f"Of 32 strengths there was time for {found.search.candidates.count}." in str(found)
    mine = [{"l2": 10.0**-power} for power in range(1, 9)]
    own = tune(table, "ill", time_budget=4, patience=1000, epochs=1000, pruning="none", strengths=mine)
    assert own.search.candidates.count == own.search.plan.asked == 9


def test_a_diagnosis_that_is_ended_says_what_it_does_not_know() -> None:
    """The verdict is of the epochs that were trained, and what was not trained is not known."""
    options: dict[str, Any] = {"hidden": (8,), "epochs": 40, "cv": 3, "strengths": 4, "repeats": 1}
    found = diagnose(mixed(300), "ill", **options, null=True, listener=Impatient(10))
    assert isinstance(found, Diagnosis)
    text = str(found)
    assert "Ended by hand after epoch 15" in text
    assert "or there was no time" in text
    assert "What 'null' asks is not known: on a shuffled target networks diverged, or memory or time" in text
    assert found.findings.as_given.epochs == 15
    assert json.loads(json.dumps(found.to_json()))["ended"]["epoch"] == 15


@pytest.mark.slow
def test_a_diagnosis_within_a_budget() -> None:
    """It tries fewer strengths, and leaves out what there is no time for."""
    begun = time.perf_counter()
    found = diagnose(mixed(4000), "ill", time_budget=6, epochs=1000, null=True)
    assert time.perf_counter() - begun < 30  # to the end it would take minutes, and the machine may be busy
    assert found.plan.strengths < found.plan.asked
    assert found.findings.ended is not None
    assert f"Of {found.plan.asked} strengths there was time for {found.plan.strengths}." in str(found)
    assert "What 'null' asks is not known" in str(found)


def test_an_estimator_has_a_budget() -> None:
    """It is `tune`'s, and its name is in the sentence that refuses it."""
    x, y = mixed(60).select("dose", "age").fill_null(0).to_numpy(), mixed(60)["ill"].to_numpy()
    quick: dict[str, Any] = {"hidden_layer_sizes": (4,), "strengths": 2, "max_iter": 4, "cv": 2}
    fitted = MLPClassifierCV(**quick, time_budget="1h").fit(x, y)
    assert fitted.result_.search.plan.budget > 3000
    with pytest.raises(InputError, match="'time_budget' must be a time above 0"):
        MLPClassifierCV(**quick, time_budget=0).fit(x, y)


def test_what_does_not_go_with_a_budget() -> None:
    """A score that trains many times as much, and a time in which not even the table can be read."""
    with pytest.raises(InputError, match="'honest' must be 'bbc' with a time budget: 'nested' trains several times"):
        tune(mixed(), "ill", honest="nested", time_budget=60)
    with pytest.raises(
        TrainingError, match=r"The 0\.1 s of the budget leave no time to train: .* Give it at least \d+ s"
    ):
        tune(mixed(), "ill", **QUICK, time_budget=0.1)


def test_a_linear_model_for_which_there_is_no_time_is_left_out() -> None:
    """Its place is empty; ended by hand a search waits for it."""
    table = read_table(mixed(), "ill", cv=3)

    def names(ending: Ending) -> list[str]:
        return [one.name for one in baselines(table, make_options(ending=ending))]

    assert names(Ending(deadline=time.perf_counter())) == ["class shares"]
    assert names(Ending(wanted=lambda: True)) == ["class shares", "linear model"]
    assert names(Ending(deadline=time.perf_counter() + 1000)) == ["class shares", "linear model"]


def test_what_is_kept_for_the_end() -> None:
    """More for more rows, half of it for a diagnosis, a compilation for a refit; without a budget nothing."""

    def ending(rows: int = 90, **options: Any) -> Any:
        problem = DenseOnTable(read_table(mixed(rows), "ill", cv=3), (8,))
        return ending_of(problem, make_options(**options), QUIET, 100.0, time.perf_counter())

    assert ending().reserve < ending(9000).reserve < 10
    assert ending(to_the_end=True).reserve > 50
    assert (ending().compilations, ending(refit="single").compilations > 0) == (0, True)
    assert (ending().droppable, ending(strengths=[{"l2": 0.1}]).droppable) == (True, False)
    problem = DenseOnTable(read_table(mixed(), "ill", cv=3), (8,))
    assert ending_of(problem, make_options(), QUIET).left() == np.inf
