"""Tables whose inputs are encoded when it is a row set's turn: the same search to the last bit, in less memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed

from fitwell.api.tune import tune
from fitwell.data.encoded_later import EncodedCopies, EncodedLater
from fitwell.data.row_sets import on_all_rows
from fitwell.engine.executor import Job
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.training import Trained, train_all
from fitwell.errors import TrainingError
from fitwell.problems import tables
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.tables import TableData, read_table
from fitwell.regularization.strengths import Candidates
from fitwell.results.predictors import TablePredictor
from fitwell.results.result import Result
from fitwell.studies.search import recording
from fitwell.trees import tree_leaves

ROWS = 150
QUICK = {"strengths": 3, "epochs": 6, "cv": 4, "hidden": (6, 5), "devices": 2}
ON = Candidates({"l2": np.array([0, 1e-2, 1e-1]), "dropout": np.array([0, 0.2, 0.4])}, np.full(3, 1e-2))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is encoded at once is a few rows."""
    monkeypatch.setattr("fitwell.data.encoding.ENCODED_INPUTS", 100)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table counts as large."""
    monkeypatch.setattr(tables, "MOST_COPIED", 0)


def with_gaps() -> pl.DataFrame:
    """Numbers, categories, dates and booleans, some of them missing, and what rows count."""
    frame, random = mixed(ROWS), np.random.default_rng(1)
    gaps = [
        pl.when(pl.Series(random.random(ROWS) < 0.1)).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
        if name != "ill"
    ]
    return frame.with_columns(*gaps, weight=pl.Series(random.gamma(1.0, size=ROWS)))


def everything(result: Result) -> list[Any]:
    """All numbers that a search has found."""
    search, answer = result.search, result.answer
    histories = search.histories
    curves = [histories.train_loss, histories.held_out_loss, histories.train_metric, histories.held_out_metric]
    records = histories.records.sums if histories.records else ()
    simple = [one.fold_loss for one in answer.baselines] + [one.predictions for one in answer.baselines]
    assert answer.importance is not None
    importance = answer.importance.drop("column").to_numpy()
    assert isinstance(result.predictor, TablePredictor)
    predicted = result.predictor.predict_numbers(with_gaps())
    return [
        *curves,
        histories.row_loss,
        *records,
        *simple,
        importance,
        *answer.held_out_predictions.values(),
        predicted,
    ]


def same(ones: list[Any], others: list[Any]) -> list[bool]:
    """Whether each is the same to the last bit."""
    return [np.asarray(one).tobytes() == np.asarray(other).tobytes() for one, other in zip(ones, others, strict=True)]


@pytest.mark.parametrize(
    ("target", "options"),
    [
        pytest.param("ill", {}, id="classes"),
        pytest.param(
            "ill", {"sample_weight": "weight", "class_weight": "balanced", "repeats": 2}, id="weights, repeats"
        ),
        pytest.param("dose", {"refit": "single", "refit_seeds": 2}, id="values, networks on all rows"),
    ],
)
def test_a_search_is_the_same(monkeypatch: pytest.MonkeyPatch, target: str, options: dict[str, Any]) -> None:
    """Curves, losses of rows, simple models, importance and what is handed over, bit for bit; another seed's differ."""
    table = with_gaps().drop_nulls(target)
    asked = {**QUICK, "engine": "numpy", **options}
    stacked, another = (everything(tune(table, target, **asked, seed=seed)) for seed in (0, 1))
    monkeypatch.setattr(tables, "MOST_COPIED", 0)
    lent, lend = [], EncodedCopies.lent
    monkeypatch.setattr(EncodedCopies, "lent", lambda copies, r: lent.append((copies, r)) or lend(copies, r))
    monkeypatch.setattr(EncodedLater, "stacked", lambda _: pytest.fail("all were encoded at once"))
    found = everything(tune(table, target, **asked, seed=0))
    assert all(same(found, stacked))
    assert not any(same(found[:4], another[:4]))
    assert {r for _, r in lent} == set(range(4 * options.get("repeats", 1)))
    # the break: inputs of other row sets are other numbers
    monkeypatch.setattr(EncodedCopies, "lent", lambda copies, r: lend(copies, 0))
    assert not any(same(everything(tune(table, target, **asked, seed=0))[:4], stacked[:4]))


def read(frame: pl.DataFrame, **options: Any) -> TableData:
    """A table in four folds."""
    return read_table(frame, "ill", cv=4, **options)


def trained_on(table: TableData, engine: Any = NumpyExecutor, dataset: Dataset | None = None) -> Trained:
    """All epochs of all strengths."""
    problem = DenseOnTable(table, (6, 5))
    settings = Settings(epochs=4, batch_size=16, stopping=None, executor=engine, devices=2)
    data = problem.dataset(0) if dataset is None else dataset
    return train_all(problem.network, data, problem.row_sets, ON, loss=problem.loss, settings=settings)


@pytest.mark.usefixtures("later")
def test_held_out_rows_teach_nothing() -> None:
    """Whatever their features, what trains in their row set keeps every bit; in others it does not."""
    frame = with_gaps()
    held_out = pl.Series(np.isin(np.arange(ROWS), read(frame).row_sets.held_out[0]))
    moved = frame.with_columns(pl.when(held_out).then(pl.col("dose") * 7).otherwise("dose").alias("dose"))
    one, other = (trained_on(read(table)) for table in (frame, moved))
    for mine, others in zip(tree_leaves(one.variables(1)), tree_leaves(other.variables(1)), strict=True):
        assert mine[0].tobytes() == others[0].tobytes()
    assert one.histories.train_loss[0].tobytes() == other.histories.train_loss[0].tobytes()
    assert all(not np.array_equal(one.histories.train_loss[r], other.histories.train_loss[r]) for r in (1, 2, 3))


@pytest.mark.slow
@pytest.mark.usefixtures("later")
def test_jax_trains_on_the_same_numbers() -> None:
    """It has all inputs encoded at once: to the last bit what it makes of arrays; and it counts their memory."""
    table = read(with_gaps())
    later = table.dataset()
    stacked = replace(later, inputs=later.inputs.stacked())
    found = [trained_on(table, JaxExecutor, dataset) for dataset in (later, stacked)]
    curves = [(one.histories.train_loss, one.histories.held_out_loss, one.histories.row_loss) for one in found]
    assert all(same(list(curves[0]), list(curves[1])))
    np.testing.assert_allclose(curves[0][1], trained_on(table).histories.held_out_loss, rtol=1e-4)
    assert later.bytes_at_once == stacked.bytes_at_once == stacked.bytes
    assert later.bytes == stacked.bytes - stacked.inputs.nbytes + table.raw.nbytes
    assert found[0].plan == found[1].plan


def test_what_is_large() -> None:
    """Copies for all row sets of more than a quarter of a GiB; one row set alone needs its copy whatever it takes."""
    table = read(with_gaps())
    width = table.layout.width
    for rows, expected in ((tables.MOST_COPIED // (16 * width), False), (tables.MOST_COPIED // (16 * width) + 1, True)):
        sets = replace(table.row_sets, n_rows=rows)
        assert replace(table, row_sets=sets).encodes_later is expected
    assert not replace(table, row_sets=replace(on_all_rows(ROWS), n_rows=tables.MOST_COPIED)).encodes_later
    assert isinstance(table.dataset().inputs, np.ndarray)


# ---- memory ----------------------------------------------------------------------------------------------------------


def peak_of(table: TableData, most_copied: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Bytes that a search has in use at the most beyond the features, and those that were planned."""
    monkeypatch.setattr(tables, "MOST_COPIED", most_copied)
    problem = DenseOnTable(table, (4,))
    settings = Settings(epochs=2, batch_size=256, devices=2, executor=NumpyExecutor)
    settings = recording(settings, problem.row_sets, ON.count)
    tracemalloc.start()
    try:
        trained = train_all(
            problem.network, problem.dataset(0), problem.row_sets, ON, loss=problem.loss, settings=settings
        )
        return tracemalloc.get_traced_memory()[1], trained.plan.memory - (0 if most_copied else table.raw.nbytes)
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_the_plan_is_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a fifth, and never more; copies for all row sets take more than what is planned for a few."""
    monkeypatch.setattr("fitwell.data.encoding.ENCODED_INPUTS", 2**13)
    random = np.random.default_rng(0)
    x = random.normal(size=(30_000, 40))
    table = read_table(x, (x[:, 0] + random.normal(size=len(x)) > 0).astype(int), cv=8)
    (taken, planned), (all_taken, _) = (peak_of(table, most, monkeypatch) for most in (0, 2**40))
    assert 0.8 * planned < taken <= planned < 0.8 * all_taken


def made_with(table: TableData, memory: int | None, devices: int = 2) -> NumpyExecutor:
    """An executor that may use so much."""
    problem = DenseOnTable(table, (6, 5))
    settings = Settings(epochs=4, batch_size=16, stopping=None, memory=memory, devices=devices)
    return NumpyExecutor(Job(problem.network, problem.dataset(0), problem.row_sets, ON, problem.loss), settings)


def most_of(executor: NumpyExecutor) -> int:
    """The most encoded copies of its table."""
    assert executor.copies is not None
    return executor.copies.most


@pytest.mark.usefixtures("later")
def test_what_is_kept_is_planned() -> None:
    """The features and a copy for each thread and one more; with less memory fewer copies, with too little an error."""
    table = read(with_gaps())
    dataset, copy = table.dataset(), table.copy_bytes
    ample = made_with(table, 2**30)
    assert most_of(ample) == 3
    for copies in (2, 1):
        budget = ample.plan.memory - (3 - copies) * copy
        less = made_with(table, budget)
        assert (most_of(less), less.plan.memory) == (copies, budget)
        assert less.plan == replace(ample.plan, memory=budget)
    with pytest.raises(TrainingError, match="smallest block"):
        made_with(table, dataset.bytes + copy)
    assert most_of(made_with(table, 2**30, devices=1)) == 2
    shared = table.on(on_all_rows(ROWS, 3))
    assert most_of(made_with(shared, 2**30)) == 1
