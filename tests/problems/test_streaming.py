"""Tables larger than memory: told before they are read, searched from disk, with all that an answer has."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed

from fitwell.api.diagnose import diagnose
from fitwell.api.tune import tune
from fitwell.engine import streamed_executor
from fitwell.engine.plan import Listener
from fitwell.errors import InputError, TrainingError
from fitwell.problems import streaming
from fitwell.problems.streaming import is_streamed, values_in
from fitwell.report import text
from fitwell.results.result import Result
from fitwell.studies import search

ROWS, MEMORY = 6000, 900_000
QUICKLY: dict[str, Any] = {"cv": 3, "strengths": 3, "epochs": 3, "hidden": 4, "patience": 3}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that is larger than `MEMORY`, once it is encoded for three folds."""
    found = tmp_path_factory.mktemp("streaming") / "table.parquet"
    random = np.random.default_rng(0)
    more = {f"x{number}": random.normal(size=ROWS) for number in range(8)}
    mixed(ROWS).with_columns(**more).write_parquet(found)
    return found


@pytest.fixture(scope="module")
def small_windows() -> Any:
    """Windows may be small, and what is kept for a score is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed_executor, "LEAST_ROWS", 100)
        patch.setattr(streamed_executor, "WINDOW_SHARE", 0.25)
        patch.setattr(search, "MOST_UNITS", 100)
        yield


@pytest.fixture(scope="module")
def result(path: Path, small_windows: None) -> Result:
    """A search from disk."""
    del small_windows
    return tune(path, "ill", memory=MEMORY, **QUICKLY)


def test_the_table_is_streamed(result: Result) -> None:
    """The plan says so, in memory's bounds, and so does what is printed."""
    plan = result.search.plan
    assert plan.windows > 1
    assert (plan.windows - 1) * plan.window_rows < ROWS <= plan.windows * plan.window_rows
    assert plan.memory <= MEMORY
    words = "\n".join(map(str, text.planned(plan)))
    assert f"streamed in {plan.windows} windows of {plan.window_rows:,} rows" in words


@pytest.mark.slow
def test_an_answer_has_all_that_others_have(result: Result, path: Path) -> None:
    """Baselines, importance, held-out rows, a score on new rows, predictions, run.json; as good as in memory."""
    assert [one.name for one in result.answer.baselines] == ["class shares", "linear model"]
    assert result.answer.importance is not None
    assert result.answer.importance["column"][0] == "age"
    assert result.held_out is not None
    assert result.held_out.height == ROWS
    in_memory = tune(path, "ill", **QUICKLY)
    assert in_memory.search.plan.windows == 0
    assert result.score.value == pytest.approx(in_memory.score.value, rel=0.1)
    assert result.to_json()["plan"]["windows"] == result.search.plan.windows
    predicted = result.predictor.predict(pl.read_parquet(path).head(5))
    assert len(predicted) == 5


@pytest.mark.slow
def test_all_in_one_window_is_as_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, whatever is asked for; the break: another seed."""
    asked: dict[str, Any] = {**QUICKLY, "refit": "single", "honest": "nested"}
    in_memory = tune(path, "ill", **asked)
    monkeypatch.setattr(streaming, "is_streamed", lambda *given, **options: True)

    def numbers(found: Result) -> str:
        document = str({name: part for name, part in found.to_json().items() if name not in ("seconds", "plan")})
        return re.sub(r"'seconds': [0-9.e-]+", "", document)

    from_disk = tune(path, "ill", **asked)
    assert numbers(from_disk) == numbers(in_memory)
    assert numbers(tune(path, "ill", **asked, seed=1)) != numbers(in_memory)


@pytest.mark.slow
def test_a_diagnosis_is_streamed_too(path: Path, small_windows: None) -> None:
    """Fewer rows, more folds and larger networks are row sets and networks of the same table."""
    del small_windows
    plans: list[Any] = []
    found = diagnose(
        path, "ill", cv=3, repeats=1, epochs=2, hidden=4, memory=MEMORY, listener=Listener(on_plan=plans.append)
    )
    assert all(plan.windows > 1 for plan in plans)
    assert found.verdict


def test_weighted_numbers_are_streamed_and_refitted(path: Path, tmp_path: Path, small_windows: None) -> None:
    """Of delimited text, on all rows at the end."""
    del small_windows
    pl.read_parquet(path).with_columns(weight=pl.int_range(ROWS) % 3).write_csv(tmp_path / "table.csv")
    asked: dict[str, Any] = {**QUICKLY, "sample_weight": "weight", "refit": "single"}
    found = tune(tmp_path / "table.csv", "dose", memory=MEMORY, **asked)
    assert found.search.plan.windows > 1
    assert found.score.value == pytest.approx(tune(tmp_path / "table.csv", "dose", **asked).score.value, rel=0.05)


def test_what_is_streamed_is_told_from_the_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows and columns of Parquet, by the fields of text; small files are not asked about without a budget."""
    table = mixed(500)
    values = ROWS * 14
    assert values_in(path) == values
    assert is_streamed(path, "ill", memory=values * 12 - 1, cv=3)
    assert not is_streamed(path, "ill", memory=values * 12, cv=3)
    assert is_streamed(str(path), ["ill", "smoker"], memory=1000)
    for unlike in ({"engine": "jax"}, {"engine": "ray:auto"}, {"sample_weight": np.ones(ROWS)}, {"memory": None}):
        assert not is_streamed(path, "ill", **{"memory": 1000, **unlike})
    assert is_streamed(path.parent, "ill", memory=1000)
    assert not any(is_streamed(other, "ill", memory=1000) for other in (table, path.with_name("none.parquet")))
    assert not is_streamed(path, np.ones(ROWS), memory=1000)
    table.write_csv(tmp_path / "table.csv")
    assert values_in(tmp_path / "table.csv") == pytest.approx(500 * 6, rel=0.02)
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress((tmp_path / "table.csv").read_bytes()))
    assert values_in(tmp_path / "table.csv.gz") == pytest.approx(500 * 6, rel=0.9)
    table.write_ndjson(tmp_path / "table.jsonl")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    assert values_in(tmp_path / "table.jsonl") == values_in(tmp_path / "broken.parquet") == 0
    monkeypatch.setattr(streaming, "SMALL", 100)
    assert not is_streamed(path, "ill")
    monkeypatch.setattr(streaming, "host_memory", lambda: values * 10 - 1)
    assert is_streamed(path, "ill")


def test_too_little_for_any_window_is_said(path: Path) -> None:
    """Before anything is trained."""
    with pytest.raises(TrainingError, match="memory budget is 0 MiB: raise it"):
        tune(path, "ill", memory=100_000, **QUICKLY)


def test_labels_beside_a_streamed_table_are_refused_in_a_sentence(path: Path) -> None:
    """A list of texts may be names of columns; that it is labels is seen once the table is open."""
    with pytest.raises(
        InputError, match=r"^The target must be a column of the file where a table is larger than memory"
    ):
        tune(path, ["yes", "no"] * (ROWS // 2), memory=MEMORY, **QUICKLY)


def test_what_numpy_cannot_train_is_refused_in_a_sentence(path: Path) -> None:
    """A schedule of one's own needs JAX, which needs the table in memory."""
    said = "A table that is larger than memory is trained by NumPy, which cannot train a schedule of your own"
    with pytest.raises(InputError, match=said):
        tune(path, "ill", memory=MEMORY, schedule=lambda step: 1.0, **QUICKLY)


def test_a_file_that_cannot_be_read_is_left_to_who_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking whether it is large raises nothing: the reader's sentence comes."""
    mixed(50).write_csv(tmp_path / "table.csv")

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    assert not is_streamed(tmp_path / "table.csv", "ill", memory=10)
