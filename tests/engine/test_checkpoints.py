"""A search that is broken off goes on to the same numbers, whatever broke it and whatever was damaged."""

from __future__ import annotations

import resource
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from example_tables import mixed

from fitwell.engine.checkpoints import FILES_KEPT, Checkpoints, Snapshot, read_note
from fitwell.engine.ending import Ending
from fitwell.engine.engines import executor_of
from fitwell.engine.job import Settings
from fitwell.engine.plan import Listener, Progress
from fitwell.engine.stopping import Stopping
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.errors import FileError, FitwellWarning, InputError
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.tables import read_table
from fitwell.regularization.strengths import Candidates

SIX = Candidates(
    {"l2": np.array([0, 1e-3, 1e-2, 0.1, 0, 0]), "dropout": np.array([0, 0, 0, 0.1, 0.2, 0.5])},
    np.array([0.01, 0.02, 0.03, 0.01, 0.02, 0.001]),
)
HOW = Settings(
    epochs=12,
    batch_size=16,
    stopping=Stopping(patience=8, rungs=(3, 6, 9), kept=0.7, finalists=2),
    devices=1,
    block_strengths=2,
    call_epochs=1,
)


class Broken(BaseException):
    """The process dies."""


def dying(epoch: int) -> Listener:
    """Die when so many epochs are told of."""

    def on_progress(progress: Progress) -> None:
        if progress.epoch == epoch:
            raise Broken

    return Listener(on_progress=on_progress)


@pytest.fixture(scope="module", params=["numpy", "jax"])
def trains(request: pytest.FixtureRequest) -> Callable[..., Trained]:
    """Train six strengths on a table, by either engine, written down after every call."""
    table = read_table(mixed(), "ill", cv=3, seed=0)
    problem = DenseOnTable(table, (8,))
    units = np.arange(90) // 2

    def train(
        directory: Path | None = None,
        listener: Listener | None = None,
        *,
        candidates: Candidates = SIX,
        of: DenseOnTable = problem,
        **others: Any,
    ) -> Trained:
        checkpoints = None if directory is None else Checkpoints(directory, {"said": "by me"}, soonest=0, share=np.inf)
        how = replace(HOW, executor=executor_of(request.param), units=units, checkpoints=checkpoints, **others)
        return train_all(
            of.network, of.dataset(0), of.row_sets, candidates, loss=of.loss, settings=how, listener=listener
        )

    return train


@pytest.fixture(scope="module")
def whole(trains: Callable[..., Trained]) -> Trained:
    """The search that nothing broke."""
    return trains()


def assert_same(found: Trained, expected: Trained) -> None:
    """Every number is the same bit for bit."""
    for name, value in vars(expected.histories).items():
        if name != "records":
            np.testing.assert_array_equal(getattr(found.histories, name), value, err_msg=name)
    assert found.histories.records is not None
    assert expected.histories.records is not None
    for mine, other in zip(found.histories.records.sums, expected.histories.records.sums, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert jax.tree.all(jax.tree.map(np.array_equal, found.best, expected.best))


def heard() -> tuple[list[int], Listener]:
    """A list of the epochs that a listener is told of."""
    epochs: list[int] = []
    return epochs, Listener(on_progress=lambda progress: epochs.append(progress.epoch))


@pytest.mark.parametrize("epoch", [2, 3, 7])
def test_what_was_broken_off_goes_on(
    trains: Callable[..., Trained], whole: Trained, tmp_path: Path, epoch: int
) -> None:
    """Before, at and after rungs: the epochs that are left are trained, and no others."""
    with pytest.raises(Broken):
        trains(tmp_path, dying(epoch))
    assert len(list(tmp_path.iterdir())) <= FILES_KEPT
    epochs, listener = heard()
    assert_same(trains(tmp_path, listener), whole)
    # what dies while it tells of an epoch has not written that one down yet
    assert epochs[0] == epoch
    # and once more, from its end
    epochs, listener = heard()
    assert_same(trains(tmp_path, listener), whole)
    assert not epochs


def test_waves_go_on(trains: Callable[..., Trained], whole: Trained, tmp_path: Path) -> None:
    """With too little memory for all, those that are over are not trained again."""
    memory = whole.plan.memory - 1
    in_waves = trains(memory=memory)
    assert len(in_waves.plan.waves) == 2
    seen: list[int] = []

    def die(progress: Progress) -> None:
        seen.append(progress.epoch)
        if seen.count(2) == 2:
            raise Broken

    with pytest.raises(Broken):
        trains(tmp_path, Listener(on_progress=die), memory=memory)
    epochs, listener = heard()
    assert_same(trains(tmp_path, listener, memory=memory), in_waves)
    assert epochs[0] == 2
    assert 1 not in epochs


def test_the_last_good_file_is_taken(trains: Callable[..., Trained], whole: Trained, tmp_path: Path) -> None:
    """One bit that is wrong, or an end that is missing, is noticed; where nothing is whole, all is trained anew."""
    with pytest.raises(Broken):
        trains(tmp_path, dying(6))
    older, newer = sorted(tmp_path.iterdir())
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    epochs, listener = heard()
    with pytest.warns(FitwellWarning, match="is damaged: the search goes on from an earlier file"):
        assert_same(trains(tmp_path, listener), whole)
    assert epochs[0] == 5
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    epochs, listener = heard()
    with pytest.warns(FitwellWarning, match="is damaged"):
        assert_same(trains(tmp_path, listener), whole)
    assert epochs[0] == 1
    assert not older.exists()  # replaced by newer ones


def test_what_has_changed_is_refused(trains: Callable[..., Trained], tmp_path: Path) -> None:
    """By its name: rows, folds, strengths, options; and nothing is lost by that."""
    with pytest.raises(Broken):
        trains(tmp_path, dying(4))
    files = sorted(path.name for path in tmp_path.iterdir())

    def table(**others: Any) -> DenseOnTable:
        return DenseOnTable(read_table(**{"table": mixed(), "target": "ill", "cv": 3, "seed": 0, **others}), (8,))

    cell = mixed().with_columns(dose=mixed()["dose"].to_numpy() + np.eye(90)[7] * 1e-3)
    changes: list[tuple[str, dict[str, Any]]] = [
        ("rows", {"of": table(table=cell)}),
        ("rows, folds", {"of": table(seed=1)}),
        ("strengths", {"candidates": replace(SIX, learning_rate=SIX.learning_rate * 1.01)}),
        ("options", {"seed": 1}),
        ("options", {"stopping": Stopping(patience=9)}),
        ("options", {"batch_size": 8}),
    ]
    for named, change in changes:
        with pytest.raises(InputError, match=rf"cannot go on: {named} have changed since"):
            trains(tmp_path, **change)
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_a_search_that_is_ended_goes_on_from_before(
    trains: Callable[..., Trained], whole: Trained, tmp_path: Path
) -> None:
    """Its end is no state of the search: whoever goes on with it trains to the end."""
    asked = iter(range(1, 100))
    ended = trains(tmp_path, ending=Ending(wanted=lambda: next(asked) >= 4))
    assert ended.ended is not None
    assert_same(trains(tmp_path), whole)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_no_search(trains: Callable[..., Trained], whole: Trained, tmp_path: Path) -> None:
    """It is said once, and nothing is left half-written."""
    with warnings.catch_warnings(record=True) as said, files_of_at_most(5000):
        warnings.simplefilter("always")
        found = trains(tmp_path / "search")
    assert_same(found, whole)
    about = [str(one.message) for one in said if issubclass(one.category, FitwellWarning)]
    assert len(about) == 1
    assert "cannot be written down" in about[0]
    assert list((tmp_path / "search").iterdir()) == []


def test_files_are_few_and_go_away(tmp_path: Path) -> None:
    """The last two are kept with their note, and clearing leaves what is somebody else's."""
    made = Checkpoints(tmp_path / "search", note=["a", 1])
    assert made.latest() is None
    assert not made.has_written
    for number in range(5):
        made.write(Snapshot({"number": number}, {"values": np.arange(number)}))
    assert made.has_written
    names = sorted(path.name for path in made.directory.iterdir())
    assert [name[:13] for name in names] == ["search-000004", "search-000005"]
    found = made.latest()
    assert found is not None
    assert found.about["number"] == 4
    np.testing.assert_array_equal(found.arrays["values"], np.arange(4))
    assert read_note(made.directory) == ["a", 1]
    (made.directory / "mine.txt").touch()
    made.clear()
    assert [path.name for path in made.directory.iterdir()] == ["mine.txt"]
    with pytest.raises(FileError, match="holds no search that could go on"):
        read_note(made.directory)


def test_writing_takes_a_small_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a file that took a second the next comes twenty seconds later; without a cost after ten."""
    now = [0.0]
    monkeypatch.setattr("fitwell.engine.checkpoints.time.perf_counter", lambda: now[0])
    made = Checkpoints(tmp_path)

    def due_at(seconds: float) -> bool:
        now[0] = seconds
        return made.is_due

    assert [due_at(9.0), due_at(10.0)] == [False, True]
    monkeypatch.setattr("fitwell.engine.checkpoints._write", lambda *_: now.__setitem__(0, now[0] + 1))
    made.write(Snapshot({}, {}))
    assert [due_at(30.9), due_at(31.1)] == [False, True]
