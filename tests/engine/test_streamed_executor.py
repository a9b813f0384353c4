"""Training from disk in windows: the numbers of a table in memory that is given the same orders, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed

from fitwell.data.disk_tables import on_disk
from fitwell.data.encoding import stack
from fitwell.data.windows import Windows
from fitwell.engine import plain_noise, streamed_executor
from fitwell.engine.executor import Job
from fitwell.engine.job import Settings
from fitwell.engine.network import DenseNetwork
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.snapshots import identity_of
from fitwell.engine.streamed_executor import StreamedExecutor, streamed, windows_of
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import TrainingError
from fitwell.problems.tables import TableData, read_table
from fitwell.regularization.strengths import Candidates

ROWS = 700
STRENGTHS = Candidates(
    {
        "l1": np.array([0, 1e-3, 0]),
        "l2": np.array([0, 0, 1e-2]),
        "dropout": np.array([0, 0.4, 0.1]),
        "weight_dropout": np.array([0, 0, 0.3]),
    },
    np.array([3e-3, 1e-2, 3e-3]),
)


def table_on_disk(folder: Path, frame: pl.DataFrame, target: Any = "ill", **options: Any) -> TableData:
    """Write a table, and read it from there."""
    frame.write_parquet(folder / "table.parquet")
    with on_disk(folder / "table.parquet") as table:
        return read_table(table, target, on_disk=True, **{"cv": 3, **options})


@pytest.fixture(scope="module", params=["classes", "values, weighted", "groups", "repeats"])
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TableData:
    """Tables that differ in what is done with rows."""
    frame, random = mixed(ROWS), np.random.default_rng(0)
    options: dict[str, Any] = {}
    if request.param == "values, weighted":
        frame = frame.with_columns(weight=pl.Series(random.integers(0, 3, ROWS)))
        options = {"target": "dose", "sample_weight": "weight"}
    if request.param == "groups":  # of unequal sizes
        group = np.where(random.random(ROWS) < 0.5, 0, random.integers(1, 5, ROWS))
        options, frame = {"groups": "group"}, frame.with_columns(group=pl.Series(group))
    if request.param == "repeats":
        options = {"repeats": 2}
    return table_on_disk(tmp_path_factory.mktemp("table"), frame, **options)


def settings(**others: Any) -> Settings:
    """A few epochs, losses of units kept."""
    given = {"epochs": 3, "batch_size": 16, "stopping": None, "call_epochs": 2, "units": np.arange(ROWS) % 50}
    return Settings(**{**given, **others})


def train(
    table: TableData, executor: Any, chosen: Settings, candidates: Candidates = STRENGTHS, activation: str = "relu"
) -> Trained:
    """Train, with the inputs in memory where the executor is NumPy's own."""
    dataset = table.dataset()
    if not (isinstance(executor, type) or getattr(executor, "streams", False)):
        dataset = replace(dataset, inputs=stack(table.encodings, table.raw))
    network = DenseNetwork(table.layout.width, (8, 5), table.outputs, activation=activation)
    chosen = replace(chosen, executor=executor)
    return train_all(network, dataset, table.row_sets, candidates, loss=table.loss, settings=chosen)


def in_windows(rows: int) -> Any:
    """What trains in windows of so many rows."""

    def make(job: Job, chosen: Settings, estimate: bool = False) -> StreamedExecutor:
        return StreamedExecutor(job, chosen, estimate, Windows(ROWS, rows))

    make.streams = True  # type: ignore[attr-defined]
    return make


class Reference(NumpyExecutor):
    """Has all in memory, and rows in the order that windows of `rows` rows give, written as a plain loop."""

    window = ROWS
    unequal = False

    def __init__(self, job: Job, chosen: Settings, estimate: bool = False) -> None:
        super().__init__(job, chosen, estimate)
        if self.unequal:
            self.batching = replace(self.batching, unequal=True)

    def _order(self, r: int, epoch: int) -> Any:
        key, order = super()._order(r, epoch)
        mine = plain_noise.folded(plain_noise.folded(plain_noise.words_of(self.settings.seed), 2**32 - 1), epoch)
        visits = np.argsort(plain_noise.levels(mine, -(-ROWS // self.window)), kind="stable")
        seen = [row for number in visits for row in order if row // self.window == number]
        return key, np.array(seen, order.dtype)


def reference(rows: int, unequal: bool = False) -> Any:
    """Return what trains in memory like windows of so many rows."""
    kind = type("InMemory", (Reference,), {"window": rows, "unequal": unequal})
    return lambda *given: kind(*given)


def check_same(mine: Trained, other: Trained) -> None:
    """Weights and what was chosen bit for bit; losses, whose means are added up window by window, to rounding."""
    for one, its in zip(mine.best.trainable, other.best.trainable, strict=True):
        assert one["kernel"].tobytes() == its["kernel"].tobytes()
        assert one["bias"].tobytes() == its["bias"].tobytes()
    found, its = mine.histories, other.histories
    assert found.best_epoch.tolist() == its.best_epoch.tolist()
    for name in ("train_loss", "held_out_loss", "train_metric", "held_out_metric", "row_loss", "best_loss"):
        np.testing.assert_allclose(getattr(found, name), getattr(its, name), rtol=2e-6, err_msg=name)
    assert (found.records is None) == (its.records is None)
    if found.records and its.records:
        for one, sums in zip(found.records.sums, its.records.sums, strict=True):
            np.testing.assert_allclose(one, sums, rtol=2e-6)
    np.testing.assert_allclose(mine.held_out_predictions([1, 0]), other.held_out_predictions([1, 0]), rtol=1e-5)


def test_one_window_is_the_table_in_memory(table: TableData) -> None:
    """All orders are those of memory; the break: with another seed they are not."""
    mine, whole = train(table, in_windows(ROWS), settings()), train(table, reference(ROWS), settings())
    check_same(mine, whole)
    check_same(mine, train(table, lambda *given: NumpyExecutor(*given), settings()))
    with pytest.raises(AssertionError):
        check_same(train(table, in_windows(ROWS), settings(seed=1)), whole)


@pytest.mark.parametrize("rows", [350, 23])
def test_windows_are_an_order_of_the_table_in_memory(table: TableData, rows: int) -> None:
    """Bit for bit, whatever stands across a window's end; of groups, whose sizes differ, each takes its own steps.

    The break: windows of another size.
    """
    unequal = table.row_sets.groups is not None
    mine = train(table, in_windows(rows), settings(schedule="cosine"))
    check_same(mine, train(table, reference(rows, unequal), settings(schedule="cosine")))
    with pytest.raises(AssertionError):
        check_same(mine, train(table, reference(rows + 40, unequal), settings(schedule="cosine")))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> TableData:
    """One table."""
    return table_on_disk(tmp_path_factory.mktemp("plain"), mixed(ROWS))


def test_a_strength_alone_is_itself_among_others(plain: TableData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit; and whether row sets are encoded together or one after another, in C or in NumPy."""
    together = train(plain, in_windows(97), settings(), activation="tanh")
    monkeypatch.setattr(streamed_executor, "ENCODED_AT_ONCE", 0)
    alone = train(plain, in_windows(97), settings(), STRENGTHS.take([0, 2]), activation="tanh")
    for one, its in zip(alone.best.trainable, together.best.trainable, strict=True):
        assert one["kernel"][:, 1].tobytes() == its["kernel"][:, 2].tobytes() != its["kernel"][:, 1].tobytes()
    check_same(together, train(plain, reference(97), settings(), activation="tanh"))


def test_nothing_of_held_out_rows_reaches_training(tmp_path: Path, plain: TableData) -> None:
    """Change all that a row set holds out: its weights do not change by one bit; another row set's do."""
    held_out = plain.row_sets.held_out[0]
    frame, changed = mixed(ROWS), np.isin(np.arange(ROWS), held_out)
    dose = np.where(changed, -7.0, frame["dose"].to_numpy())
    other = table_on_disk(tmp_path, frame.with_columns(dose=pl.Series(dose)))
    np.testing.assert_array_equal(other.row_sets.held_out[0], held_out)
    last = settings(epochs=1)
    before, after = (train(one, in_windows(200), last).best.trainable[0]["kernel"] for one in (plain, other))
    assert before[0].tobytes() == after[0].tobytes()
    assert before[1].tobytes() != after[1].tobytes()


def test_without_a_budget_memory_is_asked_once(plain: TableData, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a search itself takes must not cut its table otherwise; another table's inputs ask anew."""
    monkeypatch.setattr(streamed_executor, "LEAST_ROWS", 10)
    inputs, other = plain.dataset().inputs, plain.dataset().inputs
    row = inputs.row_bytes + 4 * inputs.input_bytes
    monkeypatch.setattr(streamed_executor, "host_memory", lambda: 400 * row)
    before = windows_of(inputs, settings())
    monkeypatch.setattr(streamed_executor, "host_memory", lambda: 40 * row)
    assert windows_of(inputs, settings()) == before != windows_of(other, settings())


def test_the_budget_decides_the_windows(plain: TableData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of it holds one, encoded for several row sets; one window trains as in memory; too little is said."""
    monkeypatch.setattr(streamed_executor, "LEAST_ROWS", 10)
    monkeypatch.setattr(streamed_executor, "WINDOW_SHARE", 0.01)  # the rest is little beside large tables only
    inputs = plain.dataset().inputs
    row = inputs.row_bytes + 4 * inputs.input_bytes
    assert windows_of(inputs, settings(memory=100 * row * 100)).count == 7
    assert windows_of(inputs, settings(memory=100 * row * ROWS)).count == 1
    job = Job(DenseNetwork(plain.layout.width, (8,), 2), plain.dataset(), plain.row_sets, STRENGTHS, plain.loss)
    several = streamed(job, settings(memory=100 * row * 200))
    assert isinstance(several, StreamedExecutor)
    assert (several.plan.windows, several.plan.window_rows) == (4, 175)
    assert several.plan.memory <= 100 * row * 200
    whole = streamed(job, settings())
    assert type(whole) is NumpyExecutor
    assert whole.plan.windows == 0
    with pytest.raises(TrainingError, match="memory budget"):
        streamed(job, settings(memory=10_000))


def test_every_window_is_read_once_in_a_pass(plain: TableData, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch reads the table twice, whatever the blocks and row sets; in another order of windows every time."""
    read: list[int] = []
    inputs = plain.dataset().inputs
    window = type(inputs).window

    def told(self: Any, rows: slice) -> Any:
        read.append(rows.start // 97)
        return window(self, rows)

    monkeypatch.setattr(type(inputs), "window", told)
    train(plain, in_windows(97), settings(epochs=2, block_strengths=1))
    passes = [read[at : at + 8] for at in range(0, len(read), 8)]
    assert all(sorted(one) == list(range(8)) for one in passes)
    assert len(passes) >= 5  # and one, at least, for the losses of single rows
    assert passes[1] == list(range(8))
    assert passes[0] != passes[2] != passes[1]


def test_a_search_from_disk_goes_on(plain: TableData, tmp_path: Path) -> None:
    """It is known again by all that its inputs are made of; another table, or other windows, are another search.

    What is written down of its blocks is all that there is: trained on from there, they have the same bits.
    """
    job = Job(DenseNetwork(plain.layout.width, (8,), 2), plain.dataset(), plain.row_sets, STRENGTHS, plain.loss)
    chosen = settings()

    def made(rows: int, of: Job = job) -> tuple[StreamedExecutor, dict[str, str]]:
        executor = StreamedExecutor(of, chosen, False, Windows(ROWS, rows))
        return executor, identity_of(of, chosen, executor.plan, executor)

    (executor, known), (other, again) = made(97), made(97)
    assert known == again
    assert {name for name in known if made(98)[1][name] != known[name]} == {"options"}
    changed = table_on_disk(tmp_path, mixed(ROWS).with_columns(dose=pl.lit(1.5) * pl.col("dose")))
    assert {name for name in known if made(97, replace(job, dataset=changed.dataset()))[1][name] != known[name]} == {
        "rows"
    }
    blocks, _ = executor.advance(executor.start(np.arange(3)), 0, 1)
    written = other.restored(executor.saved(blocks))
    unbroken, broken = executor.advance(blocks, 1, 1)[0], other.advance(written, 1, 1)[0]
    for one, its in zip(unbroken, broken, strict=True):
        assert one.weights.tobytes() == its.weights.tobytes()  # type: ignore[attr-defined]
