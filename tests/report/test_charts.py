"""The charts of a report: sound Vega-Lite, of the numbers of `series.py`, with names of a table in values only."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from example_tables import QUICK, mixed

from fitwell.analysis.series import RunTables, curve_bands, path_points
from fitwell.api.tune import tune
from fitwell.report.charts import COLOURS, MARKS, charts_of
from fitwell.results.storage import read_run

NAME = "price [€], \"net\" 'of' tax.x"
"""Of a column: whatever Vega reads in a field's name or in an expression."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunTables]:
    """A run of two classes, one of numbers, and one that pulls whole columns to zero."""
    directory, table = tmp_path_factory.mktemp("charts"), mixed().rename({"dose": NAME})
    classes = tune(table, "ill", **QUICK).save(directory / "classes")
    numbers = tune(table.drop("ill"), NAME, **QUICK).save(directory / "numbers")
    strengths = [{"l1_inputs": strength} for strength in (0.01, 0.1)]
    longer = {**QUICK, "strengths": strengths, "epochs": 40, "learning_rate": 0.01}
    columns = tune(table, "ill", **longer).save(directory / "columns")
    return {"classes": read_run(classes), "numbers": read_run(numbers), "columns": read_run(columns)}


def texts(value: Any, inside: str = "") -> list[tuple[str, str]]:
    """All texts of a specification but those of its data, each with the key it stands under."""
    if isinstance(value, dict):
        return [found for key, item in value.items() if key != "values" for found in texts(item, key)]
    if isinstance(value, list):
        return [found for item in value for found in texts(item, inside)]
    return [(inside, value)] if isinstance(value, str) else []


@pytest.mark.parametrize("kind", ["classes", "numbers", "columns"])
def test_every_chart_compiles(runs: dict[str, RunTables], kind: str) -> None:
    """Vega-Lite takes each without a complaint; a mark that it does not know it does not take."""
    for spec in charts_of(runs[kind]).values():
        assert vl_convert.vegalite_to_vega(spec)["marks"]
    broken = json.loads(json.dumps(charts_of(runs[kind])["curves"]))
    broken["layer"][0]["mark"] = {"type": "no such mark"}
    with pytest.raises(ValueError, match="conversion failed"):
        vl_convert.vegalite_to_vega(broken)


@pytest.mark.parametrize("kind", ["classes", "numbers", "columns"])
def test_names_of_a_table_are_values_only(runs: dict[str, RunTables], kind: str) -> None:
    """A column may be called anything: it is never a field, an expression or a title."""
    charts = charts_of(runs[kind])
    assert not [found for spec in charts.values() for found in texts(spec) if NAME in found[1]]
    if kind == "classes":
        assert NAME in {row["column"] for row in charts["importance"]["data"]["values"]}


def test_columns_are_drawn_in_the_order_in_which_they_enter(runs: dict[str, RunTables]) -> None:
    """A line for each, the chosen strength marked; a run without such strengths has no such chart."""
    spec = charts_of(runs["columns"])["inputs"]
    rows = spec["data"]["values"]
    assert list(dict.fromkeys(row["column"] for row in rows)) == [
        row["column"] for row in runs["columns"].document["inputs"]
    ]
    assert {row["needed"] for row in rows} <= {"yes", "no"}
    assert len(spec["layer"]) == 2
    assert "inputs" not in charts_of(runs["classes"])


def test_colours_are_the_pages(runs: dict[str, RunTables]) -> None:
    """Every colour is a name that page.css has for light and for dark; the map of losses has a scale of its own."""
    style = Path(__file__).parents[2].joinpath("src/fitwell/report/page.css").read_text(encoding="utf-8")
    used = {
        name for spec in charts_of(runs["classes"]).values() for name in re.findall(r"var\((--\w+)\)", json.dumps(spec))
    }
    assert {"--first", "--second"} <= used
    assert all(style.count(f"{name}:") == 2 for name in used)
    every = [*COLOURS.values(), *(colour for _, colour in MARKS.values())]
    assert all(re.fullmatch(r"var\(--\w+\)", colour) for colour in every)


def test_charts_hold_the_series(runs: dict[str, RunTables]) -> None:
    """What is drawn is what `series.py` counts, row for row; a run of numbers is drawn as RMSE."""
    for run in runs.values():
        charts = charts_of(run)
        assert charts["curves"]["data"]["values"] == curve_bands(run).to_dicts()
        drawn = {row["loss"] for row in charts["path-0"]["data"]["values"]}
        assert drawn <= set(path_points(run)["loss"].to_list())
    title = charts_of(runs["numbers"])["curves"]["layer"][1]["encoding"]["y"]["title"]
    assert title == "RMSE"
