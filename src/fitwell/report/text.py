"""What the command line prints. Every function formats numbers that others computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fitwell.analysis.findings import Findings
from fitwell.analysis.found import Answer, Search
from fitwell.analysis.honest import Score
from fitwell.analysis.readings import Reading, as_read, reading_of
from fitwell.engine.plan import Plan
from fitwell.errors import counted
from fitwell.report.words import LEAVE_IT_ALONE, chosen_by, columns_needed, cut_short, streamed_in, verdict, verdict_of

LOSS_COLUMNS = {
    "held out": "held_out_loss",
    "std. error": "standard_error",
    "paired error": "paired_error",
    "training": "train_loss",
}
"""Columns of the strengths, by their headings."""

SECOND = ("paired error", "std. error", "training")
"""Those that a narrow console goes without, in this order."""

HEADINGS = {"share_of_zeros": "weights at zero"}
"""Of columns that are not named after a regularizer."""
METHOD_WORDS = {
    "bbc": "corrected for having chosen (BBC-CV)",
    "nested": "nested cross-validation",
    "bates": "nested cross-validation, interval of Bates, Hastie and Tibshirani",
}
# more would not fit on a screen with the rest of the report
SHOWN = 10
"""Strengths in the printed table; all are in the saved one."""

NAMED = 2
"""Layers whose strength is named in the printed table; of more the range is told."""


def read(summary: dict[str, Any]) -> list[RenderableType]:
    """Say what was read: rows, columns by kind, task, classes, and what was set aside; of arrays their shapes."""
    if "columns" not in summary:
        return _read_arrays(summary)
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary["columns"].items())
    lines = [f"Read      {summary['rows']:,} rows; columns: {kinds}; {summary['inputs']} inputs once encoded"]
    if summary["rows_without_target"]:
        lines.append(f"          {_set_aside(summary['rows_without_target'])}")
    lines.append(f"Target    {summary['target']}: {_task(summary)}")
    if weights := _weights(summary):
        lines.append(f"Weights   {weights}")
    # named, each with its reason: a column that is silently missing is found much later
    lines += [f"Set aside {name}: {reason}" for name, reason in _some(summary["set_aside"])]
    lines += [f"Note      {name}: {reason}" for name, reason in _some(summary["remarks"])]
    return [Text(line) for line in lines]


def _read_arrays(summary: dict[str, Any]) -> list[RenderableType]:
    shapes = ", ".join(" x ".join(map(str, shape)) or "1" for shape in summary["inputs"])
    lines = [f"Read      {counted(summary['rows'], 'row')}; inputs of a row: {shapes}"]
    if "model" in summary:
        kernels, places = counted(summary["kernels"], "kernel"), counted(summary["dropout_places"], "place")
        parameters = counted(summary["parameters"], "parameter")
        lines.append(f"Model     {summary['model']}: {parameters}, {kernels}, {places} for dropout")
    return [Text(line) for line in lines]


def planned(plan: Plan) -> list[RenderableType]:
    """Say what will be trained, and about how long it takes."""
    blocks, devices = counted(plan.blocks, "block"), counted(plan.devices, "device")
    those = ", the best on a part of the rows" if plan.screened else ""
    left_out = f" (of {plan.asked}{those}: time is short)" if plan.strengths < plan.asked else ""
    lines = [
        f"Training  {plan.row_sets} row sets x {plan.strengths} strengths{left_out} = {plan.networks:,} networks "
        f"at once, at most {plan.epochs} epochs",
        f"          {blocks} on {devices}, batches of {plan.batch_size} rows, {_bytes(plan.memory)}, about "
        f"{_seconds(plan.seconds)}",
    ]
    if plan.windows:
        lines.append(f"          {streamed_in(plan.windows, plan.window_rows)}")
    if plan.begun:
        lines.append(f"          goes on from epoch {plan.begun}")
    if plan.budget and plan.seconds > plan.budget:
        lines.append(f"          time for {_seconds(plan.budget)} of it: the worst strengths leave earlier")
    return [Text(line) for line in lines]


def found(search: Search, answer: Answer, score: Score) -> list[RenderableType]:
    """Say what the search found: the unregularized network, the best strengths, the choice, the scores."""
    short = [Text(line, style="bold") for line in cut_short(search.plan, search.ended)]
    parts: list[RenderableType] = [Text(""), *short, *_unregularized(search), Text(""), strengths(search), Text("")]
    parts += _choice(search)
    if answer.layers is not None:
        parts += [Text(""), layers(answer.layers, search.candidates.regularization(answer.chosen).beside)]
    parts += [Text(""), *scores(answer, score), *_remarks(search)]
    parts += [Text(""), *(Text(line, style="bold") for line in verdict_of(search, answer))]
    parts += [Text(line) for line in columns_needed(answer)]
    return parts


def strengths(search: Search) -> Fitting:
    """The best strengths: mean held-out loss and its standard error over row sets."""
    best = search.table.head(SHOWN)
    reading = reading_of(search.loss_name)
    by = "" if search.scoring is None else f" by {search.scoring}"
    title = f"The best {best.height} of {search.candidates.count} strengths{by} ({reading.name}, at their best epochs)"
    if cut := int(search.histories.cut.sum()):
        title += f"; {cut} cut while still improving, ranked last"
    cells: dict[str, list[str]] = {}
    for row in best.to_dicts():
        regularization = search.candidates.regularization(row["strength"])
        numbers = {name: _strength(regularization[name]) for name in search.candidates.strengths}
        numbers["learning rate"] = f"{row['learning_rate']:.3g}"
        if search.scoring is not None:
            numbers["score"] = f"{row['score']:.4g}"
        numbers |= {heading: f"{_read(reading, row, name):.4g}" for heading, name in _losses(search).items()}
        marks = [_mark(search, row["strength"]), f"cut after epoch {row['cut_after']}" if row["cut_after"] else ""]
        for heading, cell in {**numbers, "epoch": str(row["best_epoch"]), "": ", ".join(filter(None, marks))}.items():
            cells.setdefault(heading, []).append(cell)
    return Fitting([_table(title, cells, without) for without in ((), SECOND[:1], SECOND[:2], SECOND)])


def _losses(search: Search) -> dict[str, str]:
    """Name the columns of losses; where a score was chosen by, the paired error is of that, and stays out."""
    return {h: name for h, name in LOSS_COLUMNS.items() if search.scoring is None or name != "paired_error"}


def _title(left_out: Sequence[str]) -> str:
    elsewhere = f"; {', '.join(left_out)} on a wider console, and in JSON" if left_out else ""
    return f"Cross-validated scores{elsewhere}"


def _read(reading: Reading, row: Mapping[str, Any], name: str) -> float:
    value = row[name]
    return reading.error(row["held_out_loss"], value) if name.endswith("error") else reading.value(value)


def _table(title: str, cells: Mapping[str, Sequence[str]], without: Sequence[str]) -> Table:
    """A table without some of its columns; where one is left out, headings of two words stand in two lines."""
    table = Table(title=title, title_justify="left", title_style="")
    shown = {heading: column for heading, column in cells.items() if heading not in without}
    for heading, column in shown.items():
        if not heading:  # marks may go on in the next line
            table.add_column(overflow="fold")
            continue
        lines = heading.split() if without else [heading]
        # whole or not there: what is cut off may be an exponent
        table.add_column("\n".join(lines), justify="right", min_width=max(map(len, [*lines, *column])))
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


@dataclass(frozen=True)
class Fitting:
    """The first of some tables that is no wider than the console; the last, if none is."""

    tables: Sequence[Table]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich's protocol of this name."""
        anything = options.update(max_width=10_000)
        fit = (one for one in self.tables if Measurement.get(console, anything, one).minimum <= options.max_width)
        yield next(fit, self.tables[-1])


def _strength(value: Any) -> str:
    """A strength: one number and, where layers differ, where it is; or the range of its numbers."""
    if not isinstance(value, Mapping):
        return f"{value:.3g}"
    on = {place: f"{number:.3g}" for place, number in value.items() if number > 0}
    if len(on) <= NAMED:
        return ", ".join(f"{number} ({place})" for place, number in on.items())
    low, high = min(value.values()), max(value.values())
    return f"{low:.3g} to {high:.3g} by layer"


def layers(chosen: pl.DataFrame, beside: Sequence[str] = ()) -> Table:
    """The strengths of the network that is handed over, by layer, what it has beside, and its share of zero weights."""
    title = ", with ".join(["The network handed over", *([", ".join(beside)] if beside else [])])
    table = Table(title=title, title_justify="left", title_style="")
    # a strength that acts nowhere would be an empty column
    names = [name for name in chosen.columns if name == "layer" or chosen[name].drop_nulls().len()]
    for name in names:
        table.add_column(HEADINGS.get(name, name.replace("_", " ")), justify="left" if name == "layer" else "right")
    for row in chosen.select(names).to_dicts():
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    return table


def scores(answer: Answer, score: Score) -> list[RenderableType]:
    """Cross-validated scores of the networks compared; a narrow console goes without the last of them."""
    # of all: where rows of one class alone are scored, there is no AUC
    headings = list(dict.fromkeys(heading for values in answer.scores.values() for heading in values))
    names = [_scored(answer, name) for name in answer.scores]
    names += [f"{one.name}, {one.regularization}" if one.regularization else one.name for one in answer.baselines]
    rows = [*answer.scores.values(), *(one.scores for one in answer.baselines)]
    cells = {"": names} | {
        heading: [f"{row[heading]:.4g}" if heading in row else "" for row in rows] for heading in headings
    }
    tables = [_table(_title(headings[count:]), cells, headings[count:]) for count in range(len(headings), 0, -1)]
    # the corrected loss is of one network; a mean of several is rarely worse
    of = "one network at the minimum" if answer.refit == "ensemble" else "a network so chosen"
    return [
        Fitting(tables),
        *([] if answer.by_target is None else [_by_target(answer.by_target)]),
        Text("These scores are optimistic: the same rows chose the epochs and the strengths."),
        Text(f"Honest    {as_read(score)}, of {of}; {METHOD_WORDS[score.method]}"),
    ]


def _by_target(found: pl.DataFrame) -> Fitting:
    """Scores of each of several targets; a narrow console goes without the last of them."""
    shown = found.head(SHOWN)
    headings = shown.columns[1:]
    cells = {"": shown["target"].to_list()} | {
        heading: ["" if value is None else f"{value:.4g}" for value in shown[heading]] for heading in headings
    }
    more = f" (of {found.height}, the first {SHOWN})" if found.height > SHOWN else ""
    tables = [_table(f"Each target{more}", cells, headings[count:]) for count in range(len(headings), 0, -1)]
    return Fitting(tables)


def diagnosed(found: Findings) -> list[RenderableType]:
    """Say the verdict and its reasons."""
    headline, *lines = verdict(found).split("\n")
    return [Text(""), Text(headline, style="bold"), *map(Text, lines)]


def saved(
    search: Search, answer: Answer, seconds: Mapping[str, float], directory: Any, without_tfjs: str | None
) -> list[RenderableType]:
    """Say what was saved; `without_tfjs` is why it is not there for TensorFlow.js, if so."""
    members = len(answer.members)
    if answer.refit == "ensemble":
        folds = search.folds  # those of one repeat: they hold every row out once
        what = f"the mean of {members * folds} networks ({members} strengths x {folds} folds)"
    else:
        what = f"a network trained on all rows with {search.candidates.regularization(answer.members[0])}"
    return [
        Text(f"Saved     {directory}: {what}"),
        Text(
            "          model.keras, encoding.json, run.json, and Parquet files of strengths, curves and held-out rows"
        ),
        Text(f"Open      {directory}/report.html"),
        Text(
            f"          not for TensorFlow.js: {without_tfjs}"
            if without_tfjs
            else "          tfjs/: the same in Node and browsers"
        ),
        Text(f"          {seconds['total']:.1f} s, {seconds['compile']:.1f} s of them compilation"),
    ]


def _unregularized(search: Search) -> list[RenderableType]:
    plain = search.unregularized()
    if not np.isfinite(plain["best_held_out_loss"]):
        return [Text("Without regularization the network diverged: its loss was not finite. Lower the learning rate.")]
    reading = reading_of(search.loss_name)
    train, held_out = reading.value(plain["train_loss"]), reading.value(plain["held_out_loss"])
    line = (
        f"Without regularization, after {plain['epochs']} epochs: {reading.name} {train:.4g} on training rows, "
        f"{held_out:.4g} on held-out rows, a gap of {held_out - train:.4g}"
    )
    lowest = reading.value(plain["best_held_out_loss"])
    best = f"(held-out {reading.name} was lowest at epoch {plain['best_epoch']}: {lowest:.4g})"
    return [Text(line), Text(best)]


def _choice(search: Search) -> list[RenderableType]:
    given, choice = search.candidates.given, search.choice
    lines = chosen_by(search.scoring)
    lines += [f"As given            {_chosen(search, given)}"] if given else []
    rules = {
        "minimum": (choice.minimum, ""),
        "one standard error": (
            choice.one_standard_error,
            "(the most regularized strength within one standard error, that of the paired difference to the minimum)",
        ),
        "confidence set": (
            choice.most_regularized,
            f"(the most regularized of {_as_good(search)} not significantly worse than the best, 90%)",
        ),
    }
    # rules that choose the same are one line
    for index in dict.fromkeys(index for index, _ in rules.values()):
        names = [name for name, (chosen, _) in rules.items() if chosen == index]
        lines.append(f"{', '.join(names).capitalize():<18}  {_chosen(search, index)}")
        lines += [rules[name][1] for name in names if rules[name][1]]
    if choice.leave_alone:
        lines.append(LEAVE_IT_ALONE)
    return [Text(line) for line in lines]


def _as_good(search: Search) -> str:
    count = int(search.choice.confidence_set.sum())
    return f"the {count} strengths that are" if count > 1 else "1 strength that is"


def _chosen(search: Search, index: int) -> str:
    rate = search.candidates.learning_rate[index]
    epoch, loss = search.histories.best_epoch[index], search.histories.best_loss[index]
    regularization = search.candidates.regularization(index)
    reading = reading_of(search.loss_name)
    held_out = f"{reading.name} {reading.value(loss):.4g}{_by_score(search, index)}"
    return f"{regularization}; learning rate {rate:.3g}, epoch {epoch}; {held_out}"


def _by_score(search: Search, index: int) -> str:
    scores = search.held_out_scores
    return "" if scores is None else f"; {search.scoring} {scores[:, index].mean():.4g}"


def _remarks(search: Search) -> list[RenderableType]:
    # counted and said once, not warned about in each network
    diverged = int(search.histories.diverged.sum())
    if not diverged:
        return []
    which = int(search.histories.diverged.any(axis=0).sum())
    what, they = counted(diverged, "network"), "it ranks" if diverged == 1 else "they rank"
    return [Text(f"{what} of {counted(which, 'strength')} diverged; {they} last, the others are not affected.")]


def _cell(name: str, value: Any) -> str:
    if value is None or name == "layer":
        return value or ""
    return f"{value:.1%}" if name == "share_of_zeros" else f"{value:.3g}"


def _mark(search: Search, strength: int) -> str:
    # 0 is the unregularized network itself, which has its mark
    candidates = search.candidates
    # what has no column stands beside the mark
    name = ", with ".join(["as given", *([", ".join(candidates.own_names)] if candidates.own_names else [])])
    given = {name: candidates.given} if candidates.given else {}
    marks = {
        "unregularized": 0,
        **given,
        "minimum": search.choice.minimum,
        "one standard error": search.choice.one_standard_error,
    }
    diverged = [] if np.isfinite(search.histories.best_loss[strength]) else ["diverged"]
    return ", ".join([*(mark for mark, marked in marks.items() if marked == strength), *diverged])


def _scored(answer: Answer, name: str) -> str:
    names = {
        "as_given": "as given, best epoch",
        "unregularized": "unregularized, best epoch",
        "one_standard_error": "one standard error",
        "ensemble": f"mean of the best {answer.averaged}",
    }
    return names.get(name, name)


def _weights(summary: dict[str, Any]) -> str:
    """What rows count, where they do not count alike."""
    found = [f"rows by {summary['sample_weight']!r}"] if "sample_weight" in summary else []
    by_class = summary.get("class_weight")
    if isinstance(by_class, dict):
        shown = [f"{name} {weight:g}" for name, weight in list(by_class.items())[:SHOWN]]
        found.append("classes " + ", ".join(shown + ["..."] * (len(by_class) > SHOWN)))
    elif by_class:
        found.append(f"classes {by_class}")
    return "; ".join(found)


def _task(summary: dict[str, Any]) -> str:
    if "by_target" in summary:
        what = (
            "labels, any of which a row may have" if summary["task"] == "multilabel" else "numbers, predicted together"
        )
        return f"{len(summary['by_target'])} {what}"
    if summary["task"] == "regression":
        return f"regression, mean {summary['target_mean']:.4g}, standard deviation {summary['target_sd']:.4g}"
    total = sum(summary["classes"].values())
    # a target with hundreds of classes must not fill the screen
    shown = list(summary["classes"].items())[:SHOWN]
    balance = ", ".join(f"{name} {count:,} ({count / total:.0%})" for name, count in shown)
    more = ", ..." if len(shown) < len(summary["classes"]) else ""
    return f"classification, {len(summary['classes'])} classes: {balance}{more}"


def _set_aside(count: int) -> str:
    return f"{counted(count, 'row')} without a target {'was' if count == 1 else 'were'} set aside"


def _some(items: dict[str, Any], most: int = SHOWN) -> Iterable[tuple[str, Any]]:
    """Return the first few items, and how many more there are."""
    more = len(items) - most
    rest = [("...", f"and {more:,} more")] if more > 0 else []
    return [*list(items.items())[:most], *rest]


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
