"""Which columns matter for held-out rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fitwell.api.tune import tune
from fitwell.data.encoding import inputs_of_columns
from fitwell.problems.tables import read_table
from fitwell.results.result import Result
from fitwell.studies import importance


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    """A number and a category tell the target, a date and a noise column do not."""
    random = np.random.default_rng(0)
    size = random.normal(size=300)
    town = random.choice(["Oslo", "Rome", "Kyiv"], 300)
    noise = random.normal(size=300)
    day = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 10, 26), eager=True)[:300]
    target = 3 * size + 2.0 * (town == "Oslo") + random.normal(0, 0.3, 300)
    frame = pl.DataFrame({"day": day, "noise": noise, "town": town, "size": size, "target": target})
    return frame.with_columns(size=pl.when(pl.int_range(300) % 17 > 0).then("size"))


@pytest.fixture(scope="module")
def result(table: pl.DataFrame) -> Result:
    """A small search on it."""
    return tune(table, "target", strengths=4, epochs=40, hidden=(16,), cv=3)


def test_what_tells_the_target_matters(result: Result) -> None:
    """In their order, with intervals that hold the estimate; noise has no importance that is sure."""
    found = result.importance
    assert found is not None
    assert found["column"].to_list()[:2] == ["size", "town"]
    assert set(found["column"]) == {"day", "noise", "town", "size"}
    assert (found["low"] <= found["increase"]).all()
    assert (found["increase"] <= found["high"]).all()
    assert found["low"][0] > 0
    noise = found.filter(pl.col("column") == "noise").row(0, named=True)
    assert noise["low"] < 0.05 * found["increase"][0]
    assert (found["chance"][:2] < 1e-6).all()
    assert noise["chance"] > 0.005


def test_nothing_is_dealt_where_nothing_changes(table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows dealt to themselves raise no loss: what is measured is the dealing, and it is the same for a seed."""
    quick = {"strengths": 2, "epochs": 3, "hidden": (4,), "cv": 3}
    first, again = tune(table, "target", **quick).importance, tune(table, "target", **quick).importance
    assert first is not None
    assert again is not None
    assert first.equals(again)
    monkeypatch.setattr(importance, "_dealt", lambda encoded, columns, random: encoded)
    still = tune(table, "target", **quick).importance
    assert still is not None
    assert still["increase"].abs().max() < 1e-9


def test_every_input_belongs_to_one_column(table: pl.DataFrame) -> None:
    """A date's parts, the mark of a missing number, and the levels of a category go together."""
    read = read_table(table, "target")
    places = inputs_of_columns(read.columns, read.layout)
    assert sorted(np.concatenate(list(places.values())).tolist()) == list(range(read.layout.width))
    for column, inputs in places.items():
        assert all(read.layout.names[place].startswith(column) for place in inputs)
    assert len(places["size"]) == 2  # itself, and whether it is missing


def test_rows_of_a_group_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row six times in one group: taken for rows of their own, chance would be far smaller."""
    random = np.random.default_rng(1)
    x = random.normal(size=(40, 2))
    table = pl.DataFrame({"x": x[:, 0], "z": x[:, 1], "y": x[:, 0] + random.normal(0, 1.5, 40), "who": np.arange(40)})
    table = pl.concat([table] * 6)
    asked = {"strengths": 2, "epochs": 30, "hidden": (8,), "cv": 3, "groups": "who", "batch_size": 16}
    grouped = tune(table, "y", **asked).importance
    monkeypatch.setattr(importance, "_units", lambda row_sets: np.arange(row_sets.n_rows))
    alone = tune(table, "y", **asked).importance
    assert grouped is not None
    assert alone is not None
    assert grouped["increase"].to_list() == alone["increase"].to_list()
    assert alone["chance"][0] < grouped["chance"][0] / 10
