"""From a search to the columns that its networks use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fitwell
from fitwell.analysis.inputs_used import COUNTED_WEIGHT
from fitwell.results.result import Result
from fitwell.results.storage import read_run

QUICK: dict[str, Any] = {"epochs": 40, "hidden": (16,), "cv": 3, "batch_size": 16, "learning_rate": 0.01, "seed": 0}
STRENGTHS = [{"l1_inputs": 0.05}, {"l1_inputs": 0.3, "input_scaling": 2.0}, {"l1_inputs": 1e6}]
TRUE, NOISE = {"size", "town"}, {"level", "noise", "other"}


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """A number that may be missing and a category tell the target; two numbers and a category do not."""
    random = np.random.default_rng(0)
    size, town = random.normal(size=240), random.choice(["Oslo", "Rome", "Kyiv"], 240)
    noise = {"noise": random.normal(size=240), "other": random.normal(size=240)}
    frame = pl.DataFrame({"level": random.choice(list("abcde"), 240), "size": size, "town": town, **noise})
    target = 2 * size + 2.0 * (town == "Oslo") + random.normal(0, 0.5, 240)
    frame = frame.with_columns(pl.Series("target", target))
    return frame.with_columns(size=pl.when(pl.int_range(240) % 17 > 0).then("size"))


@pytest.fixture(scope="module")
def result(table: pl.DataFrame) -> Result:
    """A search on it whose last strength pulls everything to zero."""
    return fitwell.tune(table, "target", strengths=STRENGTHS, **QUICK)


def test_what_tells_the_target_is_needed_and_enters_first(result: Result) -> None:
    """And what tells nothing does neither; another strength than the chosen one is none of this."""
    found = result.inputs
    assert found is not None
    assert set(found.filter("needed")["column"]) == TRUE
    assert set(found["column"][:2]) == TRUE
    assert found.columns == ["column", "enters", "used_in", "weight", "chance", "needed"]
    assert (found.filter("needed")["used_in"] == 1).all()
    noise = found.filter(pl.col("column").is_in(list(NOISE)))
    assert noise["weight"].max() < COUNTED_WEIGHT  # type: ignore[operator]
    assert "Needed are 2 of 5 columns, without which held-out rows are predicted worse: " in str(result)


def test_a_column_that_no_network_looks_at_has_no_importance(result: Result) -> None:
    """No rise at all and a chance of 1, however means over deals are rounded."""
    assert result.inputs is not None
    assert result.importance is not None
    ignored = result.inputs.filter(weight=0)["column"].to_list()
    assert len(ignored) > 1
    found = result.importance.filter(pl.col("column").is_in(ignored))
    assert found["increase"].to_list() == [0.0] * len(ignored)
    assert found["chance"].to_list() == [1.0] * len(ignored)


def kernels_of(result: Result) -> list[np.ndarray]:
    """First kernels of the networks handed over: three folds of each strength, one strength after the other."""
    width = len(result.predictor.encodings[0].layout.names)
    return [np.asarray(weights) for weights in result.model.weights if weights.ndim == 2 and weights.shape[0] == width]


def test_norms_are_those_of_the_kernels(table: pl.DataFrame) -> None:
    """Of what is handed over, whose first kernels hold the learned scales; those of another strength are others."""
    found = fitwell.tune(table, "target", strengths=[STRENGTHS[1]], refit="ensemble", **QUICK)
    names, kernels, paths = found.predictor.encodings[0].layout.names, kernels_of(found), found.answer.input_paths
    places = {column: [i for i, name in enumerate(names) if name.startswith(column)] for column in table.columns[:-1]}
    norms = {column: np.sqrt(np.stack([(k[where] ** 2).sum() for k in kernels])) for column, where in places.items()}
    assert paths is not None
    assert len(kernels) == 3 * len(found.answer.members) == 6
    for place, strength in enumerate(found.answer.members):
        means = {column: values[3 * place : 3 * place + 3].mean() for column, values in norms.items()}
        expected = {column: mean / max(means.values()) for column, mean in means.items()}
        for number in found.answer.members:
            shown = paths.filter(strength=number)
            weights = dict(zip(shown["column"], shown["weight"], strict=True))
            assert (weights == pytest.approx(expected, rel=1e-4)) == (number == strength)


def test_at_a_strength_beyond_everything_no_column_is_left(table: pl.DataFrame) -> None:
    """First weights are exactly zero, it beats no constant, and so it shows no column entering."""
    found = fitwell.tune(table, "target", strengths=[STRENGTHS[2]], refit="ensemble", **QUICK)
    by_strength = np.array(kernels_of(found)).reshape(2, 3, -1)
    gone = np.array([not kernels.any() for kernels in by_strength])
    assert gone.tolist() == [strength == 1 for strength in found.answer.members]
    assert found.answer.input_paths is not None
    assert found.answer.input_paths["value"].unique().to_list() == [0.0]


def test_it_is_kept_with_the_run(result: Result, tmp_path: Path) -> None:
    """In JSON, in a table beside it, and in the report; a search of other regularizers has none of it."""
    run = result.save(tmp_path / "run")
    found = json.loads((run / "run.json").read_text())["inputs"]
    assert result.inputs is not None
    assert found == result.inputs.to_dicts()
    saved = read_run(run).input_paths
    assert saved is not None
    assert saved.equals(result.answer.input_paths)
    assert "chart-inputs" in (run / "report.html").read_text()
    again = result.save(run, force=True)
    assert (again / "input_paths.parquet").is_file()


def test_only_where_whole_columns_are_regularized(table: pl.DataFrame, tmp_path: Path) -> None:
    """Otherwise nothing is said of them, and nothing is written."""
    other = fitwell.tune(table, "target", strengths=[{"l2": 0.01}], **QUICK)
    assert other.inputs is None
    assert other.to_json()["inputs"] is None
    run = other.save(tmp_path / "run")
    assert not (run / "input_paths.parquet").exists()
    assert "chart-inputs" not in (run / "report.html").read_text()
    assert read_run(run).input_paths is None
    assert "Needed are" not in str(other)


def test_a_regularizer_of_ones_own(table: pl.DataFrame) -> None:
    """`on_inputs` is given which inputs are one column, and is then read like fitwell's own."""
    seen = []

    def first_column_only(strength: Any, kernel: Any, step: fitwell.regularization.regularizer.Step) -> Any:
        seen.append(step.axes.groups)
        first = np.array([number == 0 for number in step.axes.groups or ()])
        return kernel * (1 - np.float32(1) * (strength > 0) * first)

    mine = fitwell.Regularizer("mine", "drops the first column", "log", 1e-3, 1.0, on_inputs=first_column_only)
    found = fitwell.tune(table, "target", regularizers=[mine], strengths=[{"mine": 1.0}], **QUICK)
    assert found.inputs is not None
    groups = seen[0]
    assert len(set(groups)) == 5
    paths = found.answer.input_paths
    assert paths is not None
    gone = paths.filter((pl.col("value") > 0) & (pl.col("weight") == 0))
    assert gone["column"].to_list() == [table.columns[1]]  # numbers come first
