"""The pictures of a search on matplotlib's axes: what is drawn is what the report draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, mixed
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import fitwell
from fitwell.analysis.series import (
    RunTables,
    by_predictor,
    confusion,
    curve_bands,
    importance_bars,
    input_lines,
    loss_window,
    path_points,
    predicted_and_true,
)
from fitwell.errors import InputError, InputTypeError
from fitwell.report.charts import charts_of
from fitwell.report.plots import LACKS, RunPlots
from fitwell.results.storage import read_run

mpl.use("agg")

BOTH, ONE = "<script>alert(1)</script>", r"$\frac$"
"""Names that a page and a picture must take as they are."""


@pytest.fixture(scope="module")
def two(result) -> RunPlots:
    """Of two classes."""
    return result.plot


@pytest.fixture(scope="module")
def numbers() -> RunPlots:
    """Of a regression."""
    return fitwell.tune(mixed(), "dose", **QUICK).plot


@pytest.fixture(scope="module")
def three() -> RunPlots:
    """Of three classes, with names that are hard to draw; one regularizer."""
    table = mixed().rename({"age": BOTH}).with_columns(pl.col("city").fill_null(ONE))
    table = table.with_columns(pl.col("city").replace("Oslo", ONE))
    return fitwell.tune(table, "city", regularizers=["l2"], **QUICK).plot


@pytest.fixture(scope="module")
def columns() -> RunPlots:
    """Of a search that pulls whole columns to zero."""
    strengths = [{"l1_inputs": strength} for strength in (0.01, 0.03, 0.1)]
    longer = {**QUICK, "strengths": strengths, "epochs": 40, "learning_rate": 0.01}
    return fitwell.tune(mixed(), "ill", **longer).plot


@pytest.fixture(params=["two", "numbers", "three"])
def plots(request: pytest.FixtureRequest) -> RunPlots:
    """Each of them."""
    return request.getfixturevalue(request.param)


def axes(count: int = 1) -> list[Axes]:
    """Axes of a figure that pyplot does not know."""
    return list(Figure().subplots(1, count, squeeze=False)[0])


def lines(ax: Axes) -> dict[str, np.ndarray]:
    """What lines show, [n, 2] by their label."""
    return {str(line.get_label()): np.asarray(line.get_xydata(), float) for line in ax.lines}


def values(frame: pl.DataFrame, *columns: str) -> np.ndarray:
    """Columns of a frame as floats, null as NaN."""
    return frame.select(pl.col(columns).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def equal(drawn: np.ndarray, frame: pl.DataFrame, *columns: str) -> bool:
    """Whether a line shows these columns, to the last bit."""
    return np.array_equal(drawn, values(frame, *columns), equal_nan=True)


def test_the_pictures_are_those_of_the_report(plots: RunPlots) -> None:
    """What there is of a search is what its report shows."""
    charts = {name.split("-")[0] if name != "precision-recall" else name for name in charts_of(plots.run)}
    told = {"map": "strength_map", "precision-recall": "precision_recall"}
    assert {told.get(name, name) for name in charts} == set(plots.names)
    assert all(f"{name}()" in repr(plots) for name in plots.names)


def test_axes_in_axes_out(plots: RunPlots) -> None:
    """Every picture is drawn on the axes that are given, and pyplot has no figure; what is drawn can be rendered."""
    for name in plots.names:
        if name == "path":
            given = axes(len(plots.run.regularizers))
            assert plots.path(ax=given).tolist() == given
        else:
            given = axes()
            assert getattr(plots, name)(ax=given[0]) is given[0]
        assert pyplot.get_fignums() == []
        given[0].figure.draw_without_rendering()


def test_without_axes_pyplot_makes_a_figure(plots: RunPlots) -> None:
    """One for each picture, as scikit-learn's displays do."""
    for number, name in enumerate(plots.names, 1):
        drawn = np.ravel(np.array([getattr(plots, name)()], dtype=object))[-1]
        assert drawn.figure is pyplot.gcf()
        assert len(pyplot.get_fignums()) == number
        drawn.figure.draw_without_rendering()


def test_curves_are_the_bands(plots: RunPlots) -> None:
    """A line for each network and its rows, a dot at the lowest held-out loss, and the colours' meaning."""
    (ax,), frame = axes(), curve_bands(plots.run)
    plots.curves(ax)
    drawn = [line for line in ax.lines if line.get_label() != "_best epoch"]
    parts = frame.partition_by("network", "rows", as_dict=True)
    assert {str(line.get_label()) for line in drawn} == {", ".join(key) for key in parts}
    for (network, rows), part in parts.items():
        assert equal(lines(ax)[f"{network}, {rows}"], part, "epoch", "loss")
    colours = {str(line.get_label()).split(",")[0]: to_hex(line.get_color()) for line in drawn}
    assert colours["unregularized"] == "#d1495b"
    assert colours["chosen"] == "#1d6fb8"
    dots = [line.get_xydata().ravel().tolist() for line in ax.lines if line.get_label() == "_best epoch"]
    held_out = [part.sort("loss").row(0, named=True) for (_, rows), part in parts.items() if rows == "held out"]
    assert sorted(dots) == sorted([one["epoch"], one["loss"]] for one in held_out)
    # bands: their outline passes through both ends
    first = frame.filter(network="unregularized", rows="held out")
    outline = ax.collections[0].get_paths()[0].vertices
    assert set(first["low"]) | set(first["high"]) <= set(outline[:, 1].tolist())


def test_a_path_has_every_candidate(two: RunPlots) -> None:
    """At its strength and its loss, by its mark; zero at zero."""
    (ax,), points = axes(), path_points(two.run)
    two.path("dropout", ax)
    drawn = lines(ax)
    assert sum(map(len, drawn.values())) == points.height == 4
    for (mark,), part in points.partition_by("mark", as_dict=True).items():
        assert equal(drawn[mark], part, "dropout", "loss")
    assert drawn["unregularized"][0, 0] == 0
    assert ax.get_ylim() == pytest.approx(loss_window(points))
    segments = np.concatenate([np.array(bars.get_segments()) for bars in ax.collections])
    assert sorted(segments[:, :, 1].tolist()) == sorted(values(points, "low", "high").tolist())
    assert ax.get_xlabel() == "dropout"


def test_hopeless_strengths_are_counted_not_drawn_into_view(two: RunPlots) -> None:
    """One that is far worse than all others does not press them into a line: it lies outside, and is counted."""
    worse = pl.when(pl.col("strength") == 3).then(99.0).otherwise("held_out_loss").alias("held_out_loss")
    (ax,) = axes()
    RunPlots(replace(two.run, strengths=two.run.strengths.with_columns(worse))).path("l2", ax)
    assert ax.get_ylim()[1] < 5
    assert ax.texts[0].get_text() == "1 above"
    (ax,) = axes()
    two.path("l2", ax)
    assert "above" not in ax.texts[0].get_text()


def test_strengths_that_differ_by_layer_are_counted(two: RunPlots) -> None:
    """They are no one number, so that they have no place on the axis."""
    null = pl.when(pl.col("strength") != 3).then("l2").alias("l2")
    (ax,) = axes()
    RunPlots(replace(two.run, strengths=two.run.strengths.with_columns(null))).path("l2", ax)
    assert "1 by layer" in ax.texts[0].get_text()
    assert sum(map(len, lines(ax).values())) == 3


def test_all_paths_side_by_side(two: RunPlots) -> None:
    """One for each regularizer in the order of the search; another number of axes is a sentence."""
    given = axes(2)
    assert [one.get_xlabel() for one in two.path(ax=given)] == two.run.regularizers == ["l2", "dropout"]
    with pytest.raises(InputError, match=r"'ax' must be 2 axes, for l2, dropout; .* Got 1\."):
        two.path(ax=given[0])
    with pytest.raises(InputError, match=r"'l1' was not searched: name one of l2, dropout\."):
        two.path("l1")
    assert two.path().shape == (2,)
    assert len(pyplot.get_fignums()) == 1


def test_one_path_takes_axes_alone(three: RunPlots) -> None:
    """Where one regularizer was searched, its axes need no list."""
    (ax,) = axes()
    assert three.path(ax=ax).tolist() == [ax]
    assert three.path(ax=np.array([[ax]])).tolist() == [ax]


def test_a_map_has_every_candidate(two: RunPlots) -> None:
    """At its two strengths, coloured by its loss, the minimum in a ring."""
    (ax,), points = axes(), path_points(two.run).sort("loss", descending=True)
    two.strength_map(ax=ax)
    dots = ax.collections[0]
    assert equal(np.asarray(dots.get_offsets()), points, "l2", "dropout")
    assert np.asarray(dots.get_array()).tolist() == points["loss"].to_list()
    assert equal(lines(ax)["minimum"], points.tail(1), "l2", "dropout")
    (turned,) = axes()
    two.strength_map("dropout", ax=turned)
    assert (turned.get_xlabel(), turned.get_ylabel()) == ("dropout", "l2")
    with pytest.raises(InputError, match=r"'one' and 'other' must be two regularizers\. Got 'l2' twice"):
        two.strength_map("l2", "l2")
    with pytest.raises(InputError, match="'weight_decay' was not searched"):
        two.strength_map("l2", "weight_decay")


def test_importance_is_drawn_with_its_interval(three: RunPlots) -> None:
    """A bar for each column, the most important on top, named as in the table."""
    (ax,), bars = axes(), importance_bars(three.run)
    three.importance(ax=ax)
    assert [bar.get_width() for bar in ax.patches] == bars["increase"].to_list()
    segments = np.array(ax.collections[0].get_segments())
    assert np.array_equal(segments[:, :, 0], values(bars, "low", "high"))
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == bars["column"].to_list()
    assert BOTH in labels
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    (fewer,) = axes()
    assert len(three.importance(2, fewer).patches) == 2


def test_columns_by_strength(columns: RunPlots) -> None:
    """A line for each column through its weights, dashed where it is not needed; fewer if fewer are asked for."""
    (ax, fewer), frame = axes(2), input_lines(columns.run)
    columns.inputs(ax=ax)
    drawn = {str(line.get_label()): line for line in ax.lines if not str(line.get_label()).startswith("_")}
    assert set(drawn) == set(frame["column"])
    for (name,), part in frame.partition_by("column", as_dict=True).items():
        assert equal(np.asarray(drawn[name].get_xydata(), float), part, "value", "weight")
        assert (drawn[name].get_linestyle() == "-") == (part["needed"][0] == "yes")
    named = [str(line.get_label()) for line in columns.inputs(2, fewer).lines]
    assert [name for name in named if not name.startswith("_")] == frame["column"].unique(maintain_order=True)[
        :2
    ].to_list()


@pytest.mark.parametrize(
    ("picture", "across", "up"),
    [
        ("calibration", "predicted", "observed"),
        ("roc", "false_positive_rate", "true_positive_rate"),
        ("precision_recall", "recall", "precision"),
    ],
)
def test_pictures_of_two_classes(two: RunPlots, picture: str, across: str, up: str) -> None:
    """A line for each predictor; the positive class is named."""
    (ax,), frame = axes(), by_predictor(two.run, picture)
    getattr(two, picture)(ax)
    drawn = lines(ax)
    assert {name for name in drawn if name != "_diagonal"} == {"answer", "unregularized", "linear model"}
    for (network,), part in frame.partition_by("network", as_dict=True).items():
        assert equal(drawn[network], part, across, up)
    assert ax.get_ylabel().endswith(" of yes")
    assert ("_diagonal" in drawn) == (picture != "precision_recall")


def test_a_confusion_matrix(three: RunPlots) -> None:
    """Shares as colours, numbers as text, classes in their order, whatever they are called."""
    (ax,), frame = axes(), confusion(three.run)
    three.confusion(ax)
    assert np.array_equal(np.asarray(ax.images[0].get_array()).ravel(), frame["share"].to_numpy())
    assert [text.get_text() for text in ax.texts] == [f"{count:,}" for count in frame["count"]]
    assert [text.get_text() for text in ax.get_xticklabels()] == three.run.classes
    assert ONE in three.run.classes


def test_pictures_of_numbers(numbers: RunPlots) -> None:
    """A dot for each held-out row."""
    frame = predicted_and_true(numbers.run)
    (one, other) = axes(2)
    assert equal(lines(numbers.predicted(one))["rows"], frame, "predicted", "true")
    assert equal(lines(numbers.residuals(other))["rows"], frame, "predicted", "residual")
    assert len(frame) == 90
    ends = lines(one)["_equal"]
    assert ends[:, 0].tolist() == ends[:, 1].tolist() == [frame["true"].min(), frame["true"].max()]


def test_what_a_search_has_nothing_for_is_a_sentence(two, numbers, three) -> None:
    """It says why and what there is, before a figure is made."""
    arrays = RunPlots(RunTables(two.run.document | {"importance": None}, two.run.strengths, two.run.histories))
    cases: list[tuple[RunPlots, str, str]] = [
        (numbers, "roc", "the target has no classes"),
        (numbers, "confusion", "the target has no classes"),
        (three, "calibration", "it takes two classes, and the target has 3"),
        (three, "strength_map", "it takes two strengths that were searched"),
        (two, "residuals", "the target has classes"),
        (arrays, "predicted", "only of tables with one target is every row's held-out prediction kept"),
        (arrays, "precision_recall", "only of tables with one target is every row's held-out prediction kept"),
        (arrays, "importance", "only of tables is it known"),
        (two, "inputs", "no regularizer acted on whole columns"),
    ]
    for plots, picture, why in cases:
        assert picture not in plots.names
        with pytest.raises(InputError) as caught:
            getattr(plots, picture)()
        assert (
            str(caught.value) == f"There is no '{picture}' of this search: {why}. There are {', '.join(plots.names)}."
        )
    assert arrays.names == ["curves", "path", "strength_map"]
    assert set(LACKS) == {name for name in vars(RunPlots) if not name.startswith("_")} - {"names"}
    with pytest.raises(InputTypeError, match="'ax' must be axes"):
        two.roc(ax=Figure())  # type: ignore[arg-type]
    assert pyplot.get_fignums() == []


def test_a_saved_run_has_the_same_pictures(result: Any, tmp_path: Path) -> None:
    """What is drawn of its files is what is drawn of the search, to the last bit; of other curves it is not."""
    saved = RunPlots(read_run(result.save(tmp_path / "run")))
    assert saved.names == result.plot.names
    one, other, third = axes(3)
    for name in ("curves", "calibration", "roc", "precision_recall"):
        drawn, again = lines(getattr(result.plot, name)(one)), lines(getattr(saved, name)(other))
        assert drawn.keys() == again.keys()
        assert all(np.array_equal(drawn[key], again[key], equal_nan=True) for key in drawn)
    half = saved.run.histories.with_columns(pl.col("held_out_loss") / 2)
    key = "chosen, held out"
    assert not np.array_equal(lines(RunPlots(replace(saved.run, histories=half)).curves(third))[key], lines(one)[key])
