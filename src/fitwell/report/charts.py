"""The charts of a report as Vega-Lite specifications, of the numbers of `analysis/series.py`.

Colours are names of the page's own (`page.css`), so that one chart is right in light, in dark and on paper. Names that
come from a table are values in the charts' data and nowhere else: never a field, an expression or a title.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from fitwell.analysis.readings import reading_of
from fitwell.analysis.series import (
    BOTH,
    RunTables,
    best_points,
    by_predictor,
    confusion,
    curve_bands,
    importance_bars,
    input_lines,
    input_strength,
    loss_window,
    path_points,
    predicted_and_true,
    strength_range,
    strength_ticks,
)

ChartSpec = dict[str, Any]

COLOURS = {
    "unregularized": "var(--first)",
    "as given": "var(--third)",
    "chosen": "var(--second)",
    "answer": "var(--second)",
    "linear model": "var(--third)",
}
"""Of networks, the same in every chart."""

MARKS = {
    BOTH: ("diamond", "var(--second)"),
    "minimum": ("diamond", "var(--second)"),
    "one standard error": ("triangle-up", "var(--second)"),
    "unregularized": ("square", "var(--first)"),
    "as given": ("square", "var(--third)"),
    "confidence set": ("circle", "var(--ink)"),
    "cut": ("cross", "var(--faint)"),
    "other": ("circle", "var(--faint)"),
}
"""Shape and colour of a strength by its mark."""

CHOSEN_MARKS = [BOTH, "minimum", "one standard error"]
"""Those that a rule chose."""

MOST_CLASSES = 20
"""In a picture of which classes are taken for which."""

LOSS_FORMAT = ".4~g"


def charts_of(run: RunTables) -> dict[str, ChartSpec]:
    """Return the charts of a search, each by the name of its place in the page."""
    charts = {"curves": curves(run)}
    charts |= {f"path-{number}": path(run, name) for number, name in enumerate(run.regularizers)}
    pairs = enumerate(combinations(run.varied, 2))
    charts |= {f"map-{number}": strength_map(run, *pair) for number, pair in pairs}
    if run.document.get("importance"):
        charts["importance"] = importance(run)
    if run.input_paths is not None and run.input_paths.height:
        charts["inputs"] = inputs(run)
    if run.held_out is None:
        return charts
    if not run.classes:
        return charts | {"predicted": predicted(run), "residuals": residuals(run)}
    if len(run.classes) == 2:
        charts |= {"calibration": calibration(run), "roc": roc(run), "precision-recall": precision_recall(run)}
    return charts | ({"confusion": confusion_map(run)} if len(run.classes) <= MOST_CLASSES else {})


def chart_of_layers(
    frame: pl.DataFrame, layers: Sequence[ChartSpec], *, height: int = 300, zoom: Sequence[str] = ("x", "y")
) -> ChartSpec:
    """A chart of some layers over one table, as wide as its place, moved and zoomed with the mouse along some axes."""
    first, *rest = layers
    by_mouse = {"type": "interval", "encodings": list(zoom), "zoom": "wheel![event.shiftKey]"}
    params = [{"name": "zoom", "select": by_mouse, "bind": "scales"}] if zoom else []
    return {
        "width": "container",
        "height": height,
        "data": {"values": frame.to_dicts()},
        "layer": [first | {"params": params}, *rest],
    }


def value_axis(field: str, title: str, **more: Any) -> ChartSpec:
    """An axis of numbers."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def tip(field: str, title: str, kind: str = "quantitative") -> ChartSpec:
    """A line of what is shown of the thing that is pointed at."""
    return {"field": field, "type": kind, "title": title} | ({"format": LOSS_FORMAT} if kind == "quantitative" else {})


def _network_colour(frame: pl.DataFrame) -> ChartSpec:
    names = frame["network"].unique(maintain_order=True).to_list()
    scale = {"domain": names, "range": [COLOURS[name] for name in names]}
    return {"field": "network", "type": "nominal", "title": None, "scale": scale}


def curves(run: RunTables) -> ChartSpec:
    """Training and held-out curves with their bands, and the epoch that was chosen."""
    return learning_curves(curve_bands(run), reading_of(run.document["loss"]).name)


def learning_curves(bands: pl.DataFrame, name: str) -> ChartSpec:
    """Curves by epoch of a loss called `name`, from `network`, `rows`, `epoch`, `loss`, `low` and `high`."""
    colour = _network_colour(bands)
    x, y = value_axis("epoch", "epoch"), value_axis("loss", name, scale={"zero": False})
    dash = {"field": "rows", "type": "nominal", "title": None}
    dash |= {"scale": {"domain": ["held out", "training"], "range": [[1, 0], [4, 3]]}}
    tips = [tip("network", "network", "nominal"), tip("rows", "rows", "nominal"), tip("epoch", "epoch")]
    tips += [tip("loss", name), tip("low", "one standard error below"), tip("high", "above")]
    area = {"mark": {"type": "area", "opacity": 0.15}}
    area["encoding"] = {"x": x, "y": value_axis("low", name), "y2": {"field": "high"}, "color": colour, "detail": dash}
    line = {"mark": {"type": "line", "strokeWidth": 2, "interpolate": "linear"}}
    line["encoding"] = {"x": x, "y": y, "color": colour, "strokeDash": dash}
    hover = {"mark": {"type": "point", "opacity": 0, "size": 120}, "encoding": {"x": x, "y": y, "tooltip": tips}}
    best: ChartSpec = {"data": {"values": best_points(bands).to_dicts()}}
    best["mark"] = {"type": "point", "filled": True, "size": 90, "opacity": 1}
    best["encoding"] = {"x": x, "y": y, "color": colour, "tooltip": tips}
    return chart_of_layers(bands, [area, line, hover, best], height=340)


def path(run: RunTables, regularizer: str) -> ChartSpec:
    """Held-out loss by one strength, the others being what they are: every candidate is a point."""
    name, points = reading_of(run.document["loss"]).name, path_points(run)
    shown = points.filter(pl.col(regularizer).is_not_null())
    place, x = _strength_axis(shown[regularizer], "place", regularizer)
    y = value_axis(
        "loss", f"held-out {name}", scale={"zero": False, "domain": list(loss_window(points)), "clamp": True}
    )
    tips = [tip("regularization", "strength", "nominal"), tip("learning_rate", "learning rate"), tip("loss", name)]
    tips += [tip("low", "one standard error below"), tip("high", "above"), tip("epoch", "epoch")]
    tips += [tip("mark", "mark", "nominal")]
    colour, shape = _mark_scales(points)
    bar: ChartSpec = {"mark": {"type": "rule", "opacity": 0.35}, "encoding": {"x": x, "y": y | {"field": "low"}}}
    bar["encoding"] |= {"y2": {"field": "high"}, "color": colour}
    dot: ChartSpec = {"mark": {"type": "point", "filled": True, "opacity": 0.9}}
    size = {"condition": {"test": f"indexof({CHOSEN_MARKS!r}, datum.mark) >= 0", "value": 190}, "value": 60}
    dot["encoding"] = {"x": x, "y": y, "color": colour, "shape": shape, "size": size, "tooltip": tips}
    # what matters is drawn last, on top
    order = {mark: rank for rank, mark in enumerate(reversed(MARKS))}
    on_top = shown.with_columns(place=place).sort(pl.col("mark").replace_strict(order, return_dtype=pl.Int64))
    kept = ["place", "loss", "low", "high", "learning_rate", "epoch", "mark", "regularization"]
    return chart_of_layers(on_top.select(kept), [bar, dot], height=280)


def _strength_axis(values: pl.Series, field: str, name: str) -> tuple[pl.Series, ChartSpec]:
    """Places [G] of strengths on a logarithmic axis, and the axis: it has no zero, so that stands left of the least."""
    low, high = strength_range(values)
    zero, ticks = low / 5, strength_ticks(low, high)
    axis: ChartSpec = {
        "values": [zero, *ticks],
        "labelExpr": f"datum.value < {low / 2!r} ? '0' : format(datum.value, '~g')",
    }
    scale = {"type": "log", "domain": [zero / 1.3, high * 1.3], "nice": False}
    placed = values.to_frame("value").select(pl.when(pl.col("value") > 0).then("value").otherwise(zero)).to_series()
    return placed.alias(field), value_axis(field, name.replace("_", " "), scale=scale, axis=axis)


def _mark_scales(points: pl.DataFrame) -> tuple[ChartSpec, ChartSpec]:
    names = [mark for mark in MARKS if mark in points["mark"].unique().to_list()]
    common = {"field": "mark", "type": "nominal", "title": None}
    colour = common | {"scale": {"domain": names, "range": [MARKS[name][1] for name in names]}}
    return colour, common | {"scale": {"domain": names, "range": [MARKS[name][0] for name in names]}}


def strength_map(run: RunTables, one: str, other: str) -> ChartSpec:
    """The loss of every candidate by two of its strengths."""
    reading, points = reading_of(run.document["loss"]), path_points(run)
    shown = points.filter(pl.col(one).is_not_null() & pl.col(other).is_not_null())
    (across, x), (up, y) = _strength_axis(shown[one], "x", one), _strength_axis(shown[other], "y", other)
    axes = {"x": x, "y": y}
    colours = [shown["loss"].min(), loss_window(points)[1]]
    scale = {"scheme": "viridis", "reverse": True, "domain": colours, "clamp": True}
    colour = value_axis("loss", f"held-out {reading.name}", scale=scale, legend={"gradientLength": 140})
    colour["legend"] |= {"orient": "bottom", "direction": "horizontal"}
    tips = [tip("regularization", "strength", "nominal"), tip("loss", "loss"), tip("mark", "mark", "nominal")]
    dot = {"mark": {"type": "point", "filled": True, "size": 140, "opacity": 1}}
    dot["encoding"] = {**axes, "color": colour, "tooltip": tips}
    best = {"transform": [{"filter": "indexof(datum.mark, 'minimum') >= 0"}], "mark": {"type": "point", "size": 320}}
    best["mark"] |= {"strokeWidth": 2.5, "color": "var(--second)", "filled": False}
    best["encoding"] = axes
    frame = shown.select("loss", "mark", "regularization").with_columns(across, up)
    return chart_of_layers(frame, [dot, best], height=300)


def importance(run: RunTables) -> ChartSpec:
    """How much worse held-out rows are predicted once a column is dealt out anew."""
    bars, loss = importance_bars(run), run.document["loss"]
    y = {"field": "column", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 150}}
    x = value_axis("increase", f"rise of the held-out {loss}")
    tips = [tip("column", "column", "nominal"), tip("increase", "rise"), tip("low", "95% from"), tip("high", "to")]
    bar = {"mark": {"type": "bar", "color": "var(--second)", "opacity": 0.75}}
    bar["encoding"] = {"x": x, "y": y, "tooltip": tips}
    rule = {"mark": {"type": "rule", "color": "var(--ink)"}, "encoding": {"x": value_axis("low", x["title"]), "y": y}}
    rule["encoding"]["x2"] = {"field": "high"}
    return chart_of_layers(bars, [bar, rule], height=max(120, 22 * bars.height), zoom=["x"])


def inputs(run: RunTables) -> ChartSpec:
    """How heavily networks weigh the columns, by the strength that pulls whole columns to zero."""
    paths, chosen = input_lines(run), input_strength(run)
    place, x = _strength_axis(paths["value"], "place", "strength")
    y = value_axis("weight", "weight by that of the heaviest column")
    count = paths["column"].n_unique()
    # in the order of the data: names of a table are values, and nothing else
    colour: ChartSpec = {"field": "column", "type": "nominal", "title": None, "sort": None}
    colour |= {"scale": {"scheme": "tableau20"}, "legend": {"labelLimit": 150, "symbolLimit": 40}}
    dash = {"field": "needed", "type": "nominal", "title": "needed", "scale": {"domain": ["yes", "no"]}}
    dash["scale"] |= {"range": [[1, 0], [4, 3]]}
    tips = [tip("column", "column", "nominal"), tip("value", "strength"), tip("weight", "weight")]
    tips += [tip("used_in", "share of folds that use it"), tip("needed", "needed", "nominal")]
    line = {"mark": {"type": "line", "point": {"size": 40}, "strokeWidth": 2}}
    line["encoding"] = {"x": x, "y": y, "color": colour, "strokeDash": dash, "tooltip": tips}
    rule: ChartSpec = {"data": {"values": [] if chosen is None else [{"place": chosen}]}}
    rule |= {"mark": {"type": "rule", "color": "var(--ink)", "opacity": 0.6}, "encoding": {"x": x}}
    return chart_of_layers(paths.with_columns(place), [line, rule], height=max(300, 18 * count))


def calibration(run: RunTables) -> ChartSpec:
    """How often what was predicted came true, with Wilson's intervals: ideally on the diagonal."""
    frame = by_predictor(run, "calibration")
    unit = {"domain": [0, 1]}
    x = value_axis("predicted", "predicted probability", scale=unit)
    y = value_axis("observed", "observed share", scale=unit)
    tips = [tip("network", "network", "nominal"), tip("predicted", "predicted"), tip("observed", "observed")]
    tips += [tip("low", "95% from"), tip("high", "to"), tip("count", "rows")]
    colour = _network_colour(frame)
    bars = {"mark": {"type": "rule", "opacity": 0.4}, "encoding": {"x": x, "y": y | {"field": "low"}, "color": colour}}
    bars["encoding"]["y2"] = {"field": "high"}
    line = {"mark": {"type": "line", "point": {"size": 60, "filled": True}}}
    line["encoding"] = {"x": x, "y": y, "color": colour, "tooltip": tips}
    return chart_of_layers(frame, [bars, line, _diagonal()])


def roc(run: RunTables) -> ChartSpec:
    """How many of one class are found, by how many of the other are taken for it."""
    return _steps(run, "roc", ("false_positive_rate", "false positive rate"), ("true_positive_rate", "recall"))


def precision_recall(run: RunTables) -> ChartSpec:
    """How many of those called positive are, by how many of the positive are found."""
    return _steps(run, "precision_recall", ("recall", "recall"), ("precision", "precision"))


def _steps(run: RunTables, picture: str, across: tuple[str, str], up: tuple[str, str]) -> ChartSpec:
    frame = by_predictor(run, picture)
    unit = {"domain": [0, 1]}
    x, y = value_axis(*across, scale=unit), value_axis(*up, scale=unit)
    tips = [tip("network", "network", "nominal"), tip(*across), tip(*up), tip("threshold", "threshold")]
    line = {"mark": {"type": "line", "strokeWidth": 2}}
    line["encoding"] = {"x": x, "y": y, "color": _network_colour(frame), "order": {"field": "order"}}
    hover = {"mark": {"type": "point", "opacity": 0, "size": 120}, "encoding": {"x": x, "y": y, "tooltip": tips}}
    ordered = frame.with_row_index("order")
    return chart_of_layers(ordered, [line, hover, *([_diagonal()] if picture == "roc" else [])])


def _diagonal() -> ChartSpec:
    ends = {"data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]}}
    mark = {"type": "line", "color": "var(--faint)", "strokeDash": [2, 3]}
    return ends | {"mark": mark, "encoding": {"x": value_axis("x", ""), "y": value_axis("y", "")}}


def confusion_map(run: RunTables) -> ChartSpec:
    """Which classes held-out rows are taken for."""
    counts = confusion(run).with_columns(pl.col("share").fill_null(0))
    x = {"field": "predicted", "type": "nominal", "title": "predicted", "sort": None, "axis": {"labelAngle": -40}}
    y = {"field": "class", "type": "nominal", "title": "true", "sort": None}
    tips = [tip("class", "true", "nominal"), tip("predicted", "predicted", "nominal"), tip("count", "rows")]
    tips += [{"field": "share", "type": "quantitative", "title": "of its class", "format": ".1%"}]
    opacity = {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1], "range": [0.04, 1]}}
    cell: ChartSpec = {"mark": {"type": "rect", "color": "var(--second)"}}
    cell["encoding"] = {"x": x, "y": y, "fillOpacity": opacity | {"legend": None}, "tooltip": tips}
    ink = {"condition": {"test": "datum.share > 0.6", "value": "var(--page)"}, "value": "var(--ink)"}
    text = {"mark": {"type": "text", "fontSize": 12}, "encoding": {"x": x, "y": y, "color": ink}}
    text["encoding"]["text"] = {"field": "count", "type": "quantitative", "format": ",.1~f"}
    # classes have no scale to move along
    return chart_of_layers(counts, [cell, text], height=max(180, 30 * len(run.classes)), zoom=[])


def predicted(run: RunTables) -> ChartSpec:
    """Predicted and true values of held-out rows."""
    frame = predicted_and_true(run)
    low, high = frame["true"].min(), frame["true"].max()
    x, y = (
        value_axis("predicted", "predicted", scale={"zero": False}),
        value_axis("true", "true", scale={"zero": False}),
    )
    ends = {"data": {"values": [{"predicted": low, "true": low}, {"predicted": high, "true": high}]}}
    line = ends | {
        "mark": {"type": "line", "color": "var(--faint)", "strokeDash": [2, 3]},
        "encoding": {"x": x, "y": y},
    }
    return chart_of_layers(frame, [_dots(x, y), line])


def residuals(run: RunTables) -> ChartSpec:
    """What is left of held-out rows, by what was predicted."""
    x, y = value_axis("predicted", "predicted", scale={"zero": False}), value_axis("residual", "true minus predicted")
    zero = {"mark": {"type": "rule", "color": "var(--faint)"}, "encoding": {"y": {"datum": 0}}}
    return chart_of_layers(predicted_and_true(run), [_dots(x, y), zero])


def _dots(x: ChartSpec, y: ChartSpec) -> ChartSpec:
    tips = [tip("row", "row"), tip("true", "true"), tip("predicted", "predicted"), tip("residual", "residual")]
    # a row's number is no measurement
    tips[0]["format"] = ",d"
    mark = {"type": "point", "filled": True, "size": 28, "opacity": 0.45, "color": "var(--second)"}
    return {"mark": mark, "encoding": {"x": x, "y": y, "tooltip": tips}}
