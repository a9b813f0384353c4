"""What the command line prints. Every function formats numbers that others computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fitwell.diagnosis import Diagnosis
from fitwell.engine.plan import Plan
from fitwell.results import LEAVE_IT_ALONE, Result

HEADINGS = {"weight_dropout": "weight dropout", "share_of_zeros": "weights at zero"}
METHOD_WORDS = {
    "bbc": "corrected for having chosen (BBC-CV)",
    "nested": "nested cross-validation",
    "bates": "nested cross-validation, interval of Bates, Hastie and Tibshirani",
}
SHOWN = 10
"""Strengths in the printed table; all are in the saved one."""


def read(summary: dict[str, Any]) -> list[RenderableType]:
    """Say what was read: rows, columns by kind, task, classes, and what was set aside."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary["columns"].items())
    lines = [f"Read      {summary['rows']:,} rows; columns: {kinds}; {summary['inputs']} inputs once encoded"]
    if summary["rows_without_target"]:
        lines.append(f"          {summary['rows_without_target']:,} rows without a target were set aside")
    lines.append(f"Target    {summary['target']}: {_task(summary)}")
    lines += [f"Set aside {name}: {reason}" for name, reason in _some(summary["set_aside"])]
    lines += [f"Note      {name}: {reason}" for name, reason in _some(summary["remarks"])]
    return [Text(line) for line in lines]


def planned(plan: Plan) -> list[RenderableType]:
    """Say what will be trained, and about how long it takes."""
    blocks = "1 block" if plan.blocks == 1 else f"{plan.blocks} blocks"
    devices = "1 device" if plan.devices == 1 else f"{plan.devices} devices"
    lines = [
        f"Training  {plan.row_sets} row sets x {plan.strengths} strengths = {plan.networks:,} networks at once, "
        f"at most {plan.epochs} epochs",
        f"          {blocks} on {devices}, batches of {plan.batch_size} rows, {_bytes(plan.memory)}, about "
        f"{_seconds(plan.seconds)}",
    ]
    return [Text(line) for line in lines]


def found(result: Result) -> list[RenderableType]:
    """Say what the search found: the unregularized network, the best strengths, the choice, the scores."""
    parts: list[RenderableType] = [Text(""), *_unregularized(result), Text(""), strengths(result), Text("")]
    parts += _choice(result)
    if result.layers is not None:
        parts += [Text(""), layers(result.layers)]
    parts += [Text(""), *scores(result), *_remarks(result)]
    return parts


def strengths(result: Result) -> Table:
    """The best strengths: mean held-out loss and its standard error over row sets."""
    best = result.table.head(SHOWN)
    title = f"The best {best.height} of {result.candidates.count} strengths ({result.loss_name}, at their best epochs)"
    table = Table(title=title, title_justify="left", title_style="")
    names = list(result.candidates.strengths)
    headings = [*names, "learning rate", "held out", "std. error", "paired error", "training", "epoch", ""]
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for row in best.to_dicts():
        numbers = [f"{row[name]:.3g}" for name in [*names, "learning_rate"]]
        losses = [f"{row[name]:.4g}" for name in ("held_out_loss", "standard_error", "paired_error", "train_loss")]
        table.add_row(*numbers, *losses, str(row["best_epoch"]), _mark(result, row["strength"]))
    return table


def layers(chosen: pl.DataFrame) -> Table:
    """The strengths of the network that is handed over, by layer, and the share of its weights that are zero."""
    table = Table(title="The network handed over", title_justify="left", title_style="")
    names = [name for name in chosen.columns if name == "layer" or chosen[name].drop_nulls().len()]
    for name in names:
        table.add_column(HEADINGS.get(name, name), justify="left" if name == "layer" else "right")
    for row in chosen.select(names).to_dicts():
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    return table


def scores(result: Result) -> list[RenderableType]:
    """Cross-validated scores of the networks compared."""
    table = Table()
    table.add_column("cross-validated")
    for heading in next(iter(result.scores.values())):
        table.add_column(heading, justify="right")
    for name, values in result.scores.items():
        table.add_row(_scored(result, name), *(f"{value:.4g}" for value in values.values()))
    of = "one network at the minimum" if result.refit == "ensemble" else "a network so chosen"
    return [
        table,
        Text("These scores are optimistic: the same rows chose the epochs and the strengths."),
        Text(f"Honest    {result.score}, of {of}; {METHOD_WORDS[result.score.method]}"),
    ]


def diagnosed(found: Diagnosis) -> list[RenderableType]:
    """Say the verdict and its reasons."""
    return [Text(""), Text(f"{found.verdict[0].upper()}{found.verdict[1:]}.", style="bold"), *map(Text, found.reasons)]


def saved(result: Result, directory: Any, no_tfjs: str | None) -> list[RenderableType]:
    """Say what was saved; `no_tfjs` is why it is not there for TensorFlow.js, if so."""
    members = len(result.members)
    if result.refit == "ensemble":
        folds = result.folds  # those of one repeat: they hold every row out once
        what = f"the mean of {members * folds} networks ({members} strengths x {folds} folds)"
    else:
        what = f"a network trained on all rows with {result.candidates.regularization(result.members[0])}"
    return [
        Text(f"Saved     {directory}: {what}"),
        Text("          model.keras, encoding.json, run.json, strengths.parquet, histories.parquet"),
        Text(
            f"          not for TensorFlow.js: {no_tfjs}"
            if no_tfjs
            else "          tfjs/: the same in Node and browsers"
        ),
        Text(f"          {result.seconds['total']:.1f} s, {result.seconds['compile']:.1f} s of them compilation"),
    ]


def _unregularized(result: Result) -> list[RenderableType]:
    plain = result.unregularized()
    line = (
        f"Without regularization, after {plain['epochs']} epochs: {result.loss_name} {plain['train_loss']:.4g} on "
        f"training rows, {plain['held_out_loss']:.4g} on held-out rows, a gap of {plain['gap']:.4g}"
    )
    best = f"(held-out {result.loss_name} was lowest at epoch {plain['best_epoch']}: {plain['best_held_out_loss']:.4g})"
    return [Text(line), Text(best)]


def _choice(result: Result) -> list[RenderableType]:
    lines = [
        f"Minimum             {_chosen(result, result.choice.minimum)}",
        f"One standard error  {_chosen(result, result.choice.one_standard_error)}",
        "(the most regularized strength within one standard error, that of the paired difference to the minimum)",
        f"Confidence set      {_chosen(result, result.choice.most_regularized)}",
        f"(the most regularized of {_as_good(result)} not significantly worse than the best, 90%)",
    ]
    if result.choice.leave_alone:
        lines.append(LEAVE_IT_ALONE)
    return [Text(line) for line in lines]


def _as_good(result: Result) -> str:
    count = int(result.choice.confidence_set.sum())
    return f"the {count} strengths that are" if count > 1 else "1 strength that is"


def _chosen(result: Result, index: int) -> str:
    rate = result.candidates.learning_rate[index]
    epoch, loss = result.histories.best_epoch[index], result.histories.best_loss[index]
    regularization = result.candidates.regularization(index)
    return f"{regularization}; learning rate {rate:.3g}, epoch {epoch}; {result.loss_name} {loss:.4g}"


def _remarks(result: Result) -> list[RenderableType]:
    diverged = int(result.histories.diverged.sum())
    if not diverged:
        return []
    which = int(result.histories.diverged.any(axis=0).sum())
    strengths = "1 strength" if which == 1 else f"{which} strengths"
    return [Text(f"{diverged} networks of {strengths} diverged; they rank last, the others are not affected.")]


def _cell(name: str, value: Any) -> str:
    if value is None or name == "layer":
        return value or ""
    return f"{value:.1%}" if name == "share_of_zeros" else f"{value:.3g}"


def _mark(result: Result, strength: int) -> str:
    given = {"as given": result.candidates.given} if result.candidates.given else {}
    marks = {
        "unregularized": 0,
        **given,
        "minimum": result.choice.minimum,
        "one standard error": result.choice.one_standard_error,
    }
    return ", ".join(mark for mark, marked in marks.items() if marked == strength)


def _scored(result: Result, name: str) -> str:
    names = {
        "as_given": "as given, best epoch",
        "unregularized": "unregularized, best epoch",
        "one_standard_error": "one standard error",
        "ensemble": f"mean of the best {result.ensemble_size}",
    }
    return names.get(name, name)


def _task(summary: dict[str, Any]) -> str:
    if summary["task"] == "regression":
        return f"regression, mean {summary['target_mean']:.4g}, standard deviation {summary['target_sd']:.4g}"
    total = sum(summary["classes"].values())
    shown = list(summary["classes"].items())[:SHOWN]
    balance = ", ".join(f"{name} {count:,} ({count / total:.0%})" for name, count in shown)
    more = ", ..." if len(shown) < len(summary["classes"]) else ""
    return f"classification, {len(summary['classes'])} classes: {balance}{more}"


def _some(items: dict[str, Any], most: int = SHOWN) -> Iterable[tuple[str, Any]]:
    """Return the first few items, and how many more there are."""
    more = len(items) - most
    rest = [("...", f"and {more:,} more")] if more > 0 else []
    return [*list(items.items())[:most], *rest]


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
