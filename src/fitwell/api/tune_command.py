"""`fitwell tune`: its options, and what it prints and saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitwell.api.command_options import (
    DATA_HELP,
    SEARCHED,
    TARGET_HELP,
    AsJson,
    BatchRows,
    ClassWeights,
    DroppedColumns,
    EngineName,
    GroupColumn,
    HiddenUnits,
    MemoryGiB,
    MissingMarks,
    ModelFile,
    RegularizerNames,
    Seed,
    TaskName,
    TimeBudget,
    TimeColumn,
    WeightColumn,
    bytes_of,
    hidden_layers,
    load_model,
    names_in,
    one_or_several,
    opened_table,
    seconds_of,
    weights_of_classes,
)
from fitwell.api.command_running import (
    by_command,
    exit_if_interrupted,
    left_of_budget,
    listening,
    print_parts,
    say_warnings,
    shell_command,
    told_to_end,
)
from fitwell.directories import RUN_FILE
from fitwell.errors import InputError, TrainingError

if TYPE_CHECKING:
    from rich.console import Console

    from fitwell.results.result import Result
    from fitwell.results.storage import StoredRun

UNSAVED = "Nothing will be saved: stop, and add --out DIRECTORY, to keep the model."


def tune_command(
    context: typer.Context,
    data: Annotated[Path | None, typer.Argument(help=DATA_HELP)] = None,
    target: Annotated[list[str] | None, typer.Option("--target", help=TARGET_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="New directory for the model and the whole search.")] = None,
    force: Annotated[bool, typer.Option(help="Replace the directory if it is an earlier run.")] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the search that was interrupted before it wrote this directory.")
    ] = None,
    model: ModelFile = None,
    task: TaskName = None,
    cv: Annotated[int, typer.Option(help="Folds.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often the folds are drawn anew.")] = 1,
    groups: GroupColumn = None,
    time: TimeColumn = None,
    drop: DroppedColumns = None,
    missing: MissingMarks = None,
    key: Annotated[
        str | None, typer.Option(help="Column: what a row is called among those predicted worst; no input then.")
    ] = None,
    hidden: HiddenUnits = "128,64",
    strengths: Annotated[int, typer.Option(help="Strengths to try; the first is no regularization.")] = 32,
    regularizers: RegularizerNames = SEARCHED,
    depth: Annotated[str, typer.Option(help="Of strengths: constant, funnel, rising or search.")] = "constant",
    learning_rate: Annotated[float | None, typer.Option(help="Fix Adam's step size; searched if not given.")] = None,
    epochs: Annotated[int, typer.Option(help="The most epochs; a search usually ends long before.")] = 150,
    batch_size: BatchRows = None,
    patience: Annotated[int, typer.Option(help="Epochs without improvement after which a strength stops.")] = 25,
    pruning: Annotated[str, typer.Option(help="early: the worst strengths leave on the way; or none.")] = "early",
    refit: Annotated[
        str | None, typer.Option(help="ensemble of the fold networks, or single: one network on all rows.")
    ] = None,
    rule: Annotated[str, typer.Option(help="Strength of a single refit: 1se, min or confidence-set.")] = "1se",
    honest: Annotated[
        str, typer.Option(help="How the loss on new rows is corrected for choosing: bbc, nested or bates.")
    ] = "bbc",
    scoring: Annotated[
        str | None,
        typer.Option(help="Choose by this score, one of scikit-learn's names, such as average_precision; not by loss."),
    ] = None,
    refit_seeds: Annotated[int, typer.Option(help="Networks averaged in a single refit.")] = 1,
    schedule: Annotated[str, typer.Option(help="Of the learning rate: constant, cosine or cooldown.")] = "constant",
    memory: MemoryGiB = None,
    engine: EngineName = "auto",
    budget: TimeBudget = None,
    seed: Seed = 0,
    sample_weight: WeightColumn = None,
    class_weight: ClassWeights = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors, and with --json the document.")] = False,
) -> None:
    """Find the regularization for a table: train every fold times every strength at once."""
    output = "json" if as_json else "none" if quiet else "text"
    say_warnings(not quiet)
    if resume is not None:
        from fitwell.api.resuming import begun_command

        _check_alone(context)
        run_tune(**begun_command(resume), output=output)
        return
    if data is None or not target:
        raise InputError("A table and its '--target' are needed, or '--resume' with the directory of a search.")
    options = {
        "task": task,
        "cv": cv,
        "repeats": repeats,
        "groups": groups,
        "time": time,
        "drop": drop or (),
        "missing": missing,
        "key": key,
        "hidden": hidden_layers(hidden),
        "strengths": strengths,
        "regularizers": names_in(regularizers),
        "depth": depth,
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "patience": patience,
        "pruning": pruning,
        "refit": refit,
        "rule": rule,
        "honest": honest,
        "scoring": scoring,
        "refit_seeds": refit_seeds,
        "schedule": schedule,
        "memory": bytes_of(memory),
        "engine": engine,
        "time_budget": seconds_of(budget),
        "seed": seed,
        "sample_weight": sample_weight,
        "class_weight": weights_of_classes(class_weight),
    }
    run_tune(data, one_or_several(target), out, force, output, options, model)


def _check_alone(context: typer.Context) -> None:
    """Refuse what was said when the search began: it would be another search."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    # by the name: typer may have an enumeration of its own
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    others = sorted(given - {"resume", "as_json", "quiet"})
    if others:
        names = ", ".join("DATA" if name == "data" else f"--{name.replace('_', '-')}" for name in others)
        raise InputError(f"'--resume' goes on with what the search began with: leave out {names}.")


def run_tune(
    data: Any,
    target: str | list[str],
    out: Path | None,
    force: bool,
    output: str,
    options: dict[str, Any],
    model: Path | None = None,
    shell: str | None = None,
) -> None:
    """Search, print what was found, and save it if asked.

    Parameters
    ----------
    output
        `"text"`, `"json"` or `"none"`.
    shell
        The command that began the search, if this one goes on with it.
    """
    from fitwell.directories import check_directory
    from fitwell.keras.backend import check_backend

    check_backend()
    checkpoints = None
    if out is not None:
        # before the search: an hour of training must not end in "exists already"
        check_directory(out, force=force, mark=RUN_FILE)
        from fitwell.api.resuming import checkpoints_of

        command = {"data": data, "target": target, "out": out, "force": force, "options": options, "model": model}
        checkpoints = checkpoints_of({**command, "shell": shell or shell_command()}, resumed=shell is not None)
    # before the seconds of importing JAX: a wrong path is answered at once
    frame = opened_table(data, target, options, model)
    from fitwell.api.tune import tune

    if model is not None:
        options = {**options, "model": load_model(model)}

    # said before training, for after an hour of it it would be too late
    with listening(output, UNSAVED if out is None else "") as (console, listener), told_to_end(listener) as told:
        try:
            result = tune(frame, target, listener=told, checkpoint=checkpoints, **left_of_budget(options))
        except TrainingError:  # it would fail again
            if checkpoints is not None:
                checkpoints.clear()
            raise
        result = by_command(result, shell)
    if output == "text":
        from fitwell.report import text

        print_parts(console, text.found(result.search, result.answer, result.score))
    # after the report: if the disk is full, one has at least read the answer
    stored = None if out is None else result.store(out, force=force)
    if checkpoints is not None:
        checkpoints.clear()
    _finish(console, result, stored, output)
    exit_if_interrupted(result.search.ended)


def _finish(console: Console, result: Result, stored: StoredRun | None, output: str) -> None:
    if output == "json":
        document = {**result.to_json(), "saved": str(stored.directory) if stored else None}
        typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
    elif output == "text" and stored:
        from fitwell.report import text

        seconds = result.record.seconds
        print_parts(console, text.saved(result.search, result.answer, seconds, stored.directory, stored.without_tfjs))
