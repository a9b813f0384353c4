"""The report of a search in a real browser: nothing is asked of the network, tables sort, charts say their numbers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from browser import needs_browser, visit
from example_tables import QUICK, mixed
from revised import revised
from rich.console import Console

from fitwell.api.tune import tune
from fitwell.errors import InputError
from fitwell.report import page
from fitwell.report import text as report
from fitwell.report.search_page import search_page
from fitwell.results.result import Result
from fitwell.results.storage import read_run

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two classes, one of them and a column with names that a page must not take for its own."""
    table = mixed().rename({"age": EVIL})
    table = table.with_columns(pl.col("ill").replace({"yes": f"yes {EVIL}"}))
    return tune(table, "ill", **QUICK).save(tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def of_numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a target of numbers."""
    return tune(mixed().drop("ill"), "dose", **QUICK).save(tmp_path_factory.mktemp("page") / "run")


def test_the_page_says_what_was_found(saved: Path) -> None:
    """Verdict, honest score and baselines are those of the run, and what comes from the table is text."""
    whole = (saved / "report.html").read_text()
    run = read_run(saved)
    for sentence in run.document["verdict"]["sentences"]:
        assert page.text(sentence) in whole
    assert "linear model" in whole
    assert EVIL not in whole
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in whole
    assert len(whole.encode()) < 2_000_000
    ours = whole.replace(page._script(), "")
    assert ours.count("<script") == 3  # data, charts, ours


@pytest.mark.parametrize("target", ["ill", "dose"])
def test_the_worst_rows_have_their_names(tmp_path: Path, target: str) -> None:
    """Of the column that was asked for, as text that a page does not take for its own; new rows need not have it."""
    names = [f"row {i} {EVIL}" for i in range(89)]
    table = mixed().with_columns(pl.Series("who", [None, *names]))
    result = tune(table, target, key="who", **QUICK)
    assert result.held_out is not None
    assert result.held_out["key"].to_list() == [None, *names]
    run = result.save(tmp_path / "run")
    whole = (run / "report.html").read_text()
    assert EVIL not in whole
    worst = result.held_out.sort("loss", descending=True, nulls_last=True)["key"][0]
    assert f">{page.text(worst)}<" in whole
    assert ">who" in whole
    assert read_run(run).held_out.equals(result.held_out)
    np.testing.assert_array_equal(
        result.predictor.predict_numbers(mixed()), tune(mixed(), target, **QUICK).predictor.predict_numbers(mixed())
    )


def test_the_page_made_anew_is_the_same(saved: Path) -> None:
    """It is made of the run's files alone; of another run it is another."""
    assert search_page(read_run(saved)) == (saved / "report.html").read_text()
    document = json.loads((saved / "run.json").read_text())
    run = read_run(saved)
    changed = type(run)({**document, "seed": 12345}, run.strengths, run.histories, run.held_out)
    assert search_page(changed) != search_page(run)


def test_without_the_script_the_page_says_so(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources that were not built have no charts, and nothing else is missing."""
    monkeypatch.setattr(page, "SCRIPT", "no-such-file.js.gz")
    whole = search_page(read_run(saved))
    assert page.UNBUILT in whole
    assert len(whole) < 200_000
    assert "All strengths" in whole


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(("width", "dark", "paper"), [(1280, False, False), (390, True, False), (800, False, True)])
def test_in_a_browser(saved: Path, width: int, dark: bool, paper: bool) -> None:
    """No request, no complaint, no dialog; it is no wider than the window, and every chart is there, in this light."""
    step = """
      const charts = [...document.querySelectorAll('.chart')];
      return {wide: document.documentElement.scrollWidth, page: getComputedStyle(document.body).backgroundColor,
              empty: charts.filter(chart => !chart.querySelector('svg .mark-symbol, svg .mark-line, svg .mark-rect'))
                           .map(chart => chart.id),
              charts: charts.length};
    """
    seen = visit(saved / "report.html", step, width=width, dark=dark, paper=paper)
    assert seen["said"] == []
    assert [url for url in seen["requests"] if not url.startswith(("file:", "data:"))] == []
    assert seen["answer"]["wide"] <= width
    assert seen["answer"]["empty"] == []
    assert seen["answer"]["charts"] == 1 + 2 + 1 + 1 + 4  # curves, paths, their map, importance, of two classes
    assert (seen["answer"]["page"] == "rgb(255, 255, 255)") != dark
    if not paper:
        assert "held-out" in seen["tooltip"] or "log loss" in seen["tooltip"]


@pytest.mark.slow
@needs_browser
def test_tables_sort_and_text_stays_text(saved: Path) -> None:
    """A click on a heading sorts by numbers, a second turns it round; a column's name is shown as it is written."""
    step = """
      const table = [...document.querySelectorAll('table')].find(one => one.textContent.includes('learning rate'));
      const heading = [...table.querySelectorAll('th button')].find(one => one.textContent === 'learning rate');
      const place = [...heading.closest('tr').children].indexOf(heading.closest('th'));
      const shown = () => [...table.tBodies[0].rows].map(row => parseFloat(row.children[place].textContent));
      const before = shown(); heading.click(); const up = shown(); heading.click(); const down = shown();
      const bars = document.getElementById('chart-importance').textContent;
      return {before, up, down, sorted: heading.closest('th').getAttribute('aria-sort'), bars};
    """
    found = visit(saved / "report.html", step)["answer"]
    assert found["up"] == sorted(found["before"])
    assert found["down"] == sorted(found["before"], reverse=True)
    assert found["sorted"] == "descending"
    assert found["up"] != found["before"]  # so it was sorted
    assert EVIL in found["bars"]


@pytest.mark.slow
@needs_browser
def test_a_target_of_numbers_in_a_browser(of_numbers: Path) -> None:
    """Predicted and true values, residuals, and RMSE instead of squared errors."""
    step = "return {ids: [...document.querySelectorAll('.chart')].map(one => one.id), text: document.body.innerText}"
    seen = visit(of_numbers / "report.html", step)
    assert seen["said"] == []
    assert {"chart-predicted", "chart-residuals"} <= set(seen["answer"]["ids"])
    assert "RMSE on new rows" in seen["answer"]["text"]
    assert "mean of the target" in seen["answer"]["text"]


def test_many_classes_and_arrays(result: Result, tmp_path: Path) -> None:
    """What is only of tables or of few classes is left out, not empty."""
    bare = revised(result, held_out=None, importance=None, baselines=()).save(tmp_path / "bare")
    assert not (bare / "held_out.parquet").exists()
    whole = (bare / "report.html").read_text()
    assert "predicted worst" not in whole
    assert "chart-importance" not in whole
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(22), 6)
    many = tune(rng.normal(size=(132, 3)), labels, task="classification", **QUICK).save(tmp_path / "many")
    assert "chart-confusion" not in (many / "report.html").read_text()


@pytest.mark.parametrize("labels", [False, True], ids=["values", "labels"])
def test_several_targets_have_scores_each(labels: bool, tmp_path: Path) -> None:
    """In a table; pictures of one target are left out, and what the run keeps makes the same page."""
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 2)) * [1, 1000]
    targets = pl.DataFrame((values > 0).astype(int) if labels else values, schema=[f"one {EVIL}", "other"])
    found = tune(random.normal(size=(60, 3)), targets, strengths=2, epochs=3, hidden=(4,), cv=3)
    saved = found.save(tmp_path / "run")
    whole = (saved / "report.html").read_text()
    assert "Each target" in whole
    assert (f"0 {(values[:, 1] <= 0).sum()}, 1 " if labels else f"mean {values[:, 1].mean():.4g}, standard") in whole
    assert EVIL not in whole
    assert ("all labels right" if labels else "relative squared error") in whole
    assert "The rows that are predicted worst" not in whole
    assert found.by_target is not None
    assert page.text(f"{found.by_target[found.by_target.columns[1]][1]:.4g}") in whole
    assert search_page(read_run(saved)) == whole
    with pytest.raises(InputError, match="only of tables with one target"):
        found.plot.predicted()
    assert "Each target" in printed(found)
    assert f"2 {'labels' if labels else 'numbers'}" in printed(found)


def printed(found: Result) -> str:
    """What the command prints of a result."""
    console = Console(width=200, file=io.StringIO())
    for part in (*report.read(found.record.summary), *report.found(found.search, found.answer, found.score)):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
