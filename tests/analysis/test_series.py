"""The numbers behind the pictures of a search, against its curves and its table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, mixed

import fitwell
from fitwell.analysis.series import (
    BOTH,
    RunTables,
    best_points,
    by_predictor,
    confusion,
    curve_bands,
    loss_window,
    path_points,
    predicted_and_true,
    strength_range,
    strength_ticks,
    worst_rows,
)
from fitwell.results.result import Result


@pytest.fixture(scope="module")
def repeated() -> Result:
    """Of folds that were drawn twice."""
    return fitwell.tune(mixed(), "dose", repeats=2, **QUICK)


@pytest.fixture(params=["result", "repeated"])
def found(request: pytest.FixtureRequest) -> Result:
    """A search of classes, and one of numbers with repeats."""
    return request.getfixturevalue(request.param)


def test_bands_are_means_with_the_standard_error_of_folds(found: Result) -> None:
    """In the unit that people read, at every epoch; row sets that show the same rows again do not narrow them."""
    run, histories = found.plot.run, found.search.histories
    unit = np.sqrt if run.document["loss"] == "squared error" else np.asarray
    bands = curve_bands(run)
    assert bands["network"].unique(maintain_order=True).to_list() == list(run.compared)
    for network, number in run.compared.items():
        for rows, losses in (("training", histories.train_loss), ("held out", histories.held_out_loss)):
            curve = losses[:, number, : histories.epochs[number]].astype(float)
            mean, error = curve.mean(axis=0), curve.std(axis=0, ddof=1) / np.sqrt(3)
            band = bands.filter(network=network, rows=rows)
            assert band["epoch"].to_list() == list(range(1, len(mean) + 1))
            for name, expected in (("loss", mean), ("low", mean - error), ("high", mean + error)):
                np.testing.assert_allclose(band[name], unit(np.maximum(expected, 0)), rtol=1e-5)
    assert len(histories.train_loss) == (6 if unit is np.sqrt else 3)


def test_more_folds_would_narrow_the_bands(repeated: Result) -> None:
    """The counterpart: as if repeats were data of their own."""
    run = repeated.plot.run
    narrow = curve_bands(replace(run, document={**run.document, "folds": 6}))
    assert (narrow["high"] < curve_bands(run)["high"]).all()


def test_the_best_points_are_the_best_epochs(found: Result) -> None:
    """The lowest of the mean held-out loss, which is where each network is taken from."""
    run = found.plot.run
    points = dict(best_points(curve_bands(run)).select("network", "epoch").iter_rows())
    assert points == {name: found.search.histories.best_epoch[number] for name, number in run.compared.items()}


def test_a_path_has_every_strength_and_its_mark(found: Result) -> None:
    """The table's numbers as they are read, and what the rules chose."""
    points, choice = path_points(found.plot.run), found.choice
    loss = found.table["held_out_loss"].to_numpy()
    np.testing.assert_allclose(points["loss"], np.sqrt(loss) if found.search.loss_name == "squared error" else loss)
    assert points["strength"].to_list() == found.table["strength"].to_list()
    marks = dict(points.select("strength", "mark").iter_rows())
    assert marks[choice.minimum] in ("minimum", BOTH)
    assert marks[choice.one_standard_error] in ("one standard error", BOTH)
    assert (marks[choice.minimum] == BOTH) == (choice.minimum == choice.one_standard_error)


def test_a_window_leaves_out_what_is_hopeless() -> None:
    """One loss far above all does not widen it; the unregularized network is always inside."""
    points = pl.DataFrame({"low": [0.1] * 8, "high": [0.2] * 7 + [9.0], "mark": ["unregularized"] + ["other"] * 7})
    low, high = loss_window(points)
    assert 0.05 < low < 0.1
    assert 0.2 < high < 0.3
    worst = points.with_columns(mark=pl.col("mark").reverse())
    assert loss_window(worst)[1] > 9


def test_an_axis_of_strengths_begins_at_the_least_that_is_not_zero() -> None:
    """Zero has no place on a logarithmic axis, and what was not searched at all has one of its own."""
    assert strength_range(pl.Series([0.0, 0.3, 0.002])) == (0.002, 0.3)
    assert strength_range(pl.Series([0.0])) == (1e-4, 1e-4)
    assert strength_ticks(0.002, 0.3) == [0.01, 0.1]
    assert strength_ticks(0.002, 0.008) == [0.002, 0.004, 0.008]
    assert strength_ticks(0.3, 0.3) == [0.3]


def test_a_strength_that_has_a_name_gets_no_second(result: Result) -> None:
    """Left alone, the unregularized network is the chosen one, and is compared with nothing."""
    run = result.plot.run
    alone = RunTables({**run.document, "chosen": 0}, run.strengths, run.histories)
    assert list(alone.compared) == ["unregularized"]
    assert list(run.compared) == ["unregularized", "chosen"]


def counted(run: RunTables, weights: np.ndarray) -> RunTables:
    """The same search, its rows counting this much."""
    assert run.held_out is not None
    return replace(run, held_out=run.held_out.with_columns(weight=pl.Series(weights.astype(float))))


def said_again(run: RunTables, times: np.ndarray) -> RunTables:
    """The same search, with every row in its table so many times."""
    assert run.held_out is not None
    return replace(run, held_out=run.held_out[np.repeat(np.arange(run.held_out.height), times).tolist()])


def as_pictures(run: RunTables) -> dict[str, np.ndarray]:
    """What is drawn of classes, without the rows that the bins of a calibration curve hold: those are no weights."""
    frames = {name: by_predictor(run, name) for name in ("roc", "precision_recall", "calibration")}
    frames["confusion"] = confusion(run)
    kept = {name: frame.drop("count") if name == "calibration" else frame for name, frame in frames.items()}
    return {name: frame.select(pl.selectors.numeric()).fill_null(-1).to_numpy() for name, frame in kept.items()}


def test_a_weight_of_two_is_a_row_that_stands_there_twice(result: Result) -> None:
    """In every picture of classes; only the intervals of a calibration are those of fewer rows."""
    run = result.plot.run
    times = np.random.default_rng(0).integers(0, 4, len(run.held_out))  # type: ignore[arg-type]
    weighted, repeated = as_pictures(counted(run, times)), as_pictures(said_again(run, times))
    for name, drawn in repeated.items():
        shown = slice(2) if name == "calibration" else slice(None)
        np.testing.assert_allclose(weighted[name][:, shown], drawn[:, shown], rtol=1e-12, atol=1e-12)
    alike = as_pictures(run)
    assert not any(np.array_equal(alike[name], drawn) for name, drawn in weighted.items())


def test_rows_that_count_nothing_are_not_shown(result: Result, repeated: Result) -> None:
    """Neither as dots, nor among those predicted worst, where what rows count stands behind what they are called."""
    for run in (result.plot.run, repeated.plot.run):
        worst = worst_rows(run)
        weights = np.ones(run.held_out.height)  # type: ignore[union-attr]
        weights[worst["row"].to_numpy() - 1] = 0
        left = worst_rows(counted(run, weights))
        assert left.columns[:2] == ["row", "weight"]
        assert "weight" not in worst.columns
        assert not set(left["row"]) & set(worst["row"])
    assert set(predicted_and_true(run)["row"]) - set(predicted_and_true(counted(run, weights))["row"]) == set(
        worst["row"]
    )


def test_a_search_with_weights_draws_them() -> None:
    """What the scores of the answer heed, its pictures do: the area under the curve is the score's."""
    found = fitwell.tune(mixed(), "ill", class_weight={"yes": 3}, sample_weight="dose", **QUICK)
    assert found.held_out is not None
    assert found.held_out["weight"].n_unique() > 2
    curve = by_predictor(found.plot.run, "roc").filter(network="answer")
    area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(found.answer.scores["ensemble"]["AUC"], abs=1e-9)
    plain = by_predictor(replace(found.plot.run, held_out=found.held_out.drop("weight")), "roc").filter(
        network="answer"
    )
    assert np.trapezoid(plain["true_positive_rate"], plain["false_positive_rate"]) != pytest.approx(area, abs=1e-4)
