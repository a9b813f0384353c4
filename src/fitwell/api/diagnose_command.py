"""`fitwell diagnose`: its options, and what it prints and saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fitwell.api.command_options import (
    SEARCHED,
    AsJson,
    BatchRows,
    ClassWeights,
    DataFile,
    DroppedColumns,
    EngineName,
    GroupColumn,
    HiddenUnits,
    MemoryGiB,
    MissingMarks,
    ModelFile,
    RegularizerNames,
    Seed,
    TargetColumns,
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
    told_to_end,
)


def diagnose_command(
    data: DataFile,
    target: TargetColumns,
    out: Annotated[Path | None, typer.Option(help="New directory for the diagnosis and its report.")] = None,
    force: Annotated[bool, typer.Option(help="Replace the directory if it is an earlier diagnosis.")] = False,
    model: ModelFile = None,
    task: TaskName = None,
    cv: Annotated[int, typer.Option(help="Folds, at least 3.")] = 5,
    repeats: Annotated[
        int | None, typer.Option(help="How often the folds are drawn anew; 2 if not given, with --time 1.")
    ] = None,
    groups: GroupColumn = None,
    time: TimeColumn = None,
    drop: DroppedColumns = None,
    missing: MissingMarks = None,
    hidden: HiddenUnits = "128,64",
    strengths: Annotated[int, typer.Option(help="Strengths to try as a cure.")] = 32,
    regularizers: RegularizerNames = SEARCHED,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam; 0.001 if not given.")] = None,
    epochs: Annotated[int, typer.Option(help="As many as you train the network for: its last is judged.")] = 100,
    batch_size: BatchRows = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    worth: Annotated[float, typer.Option(help="Share of the held-out loss that is worth acting on.")] = 0.1,
    null: Annotated[bool, typer.Option("--null", help="Run the same search on a shuffled target too.")] = False,
    memorisation: Annotated[
        bool, typer.Option("--memorisation", help="See how fast a shuffled target is learned by heart.")
    ] = False,
    memory: MemoryGiB = None,
    engine: EngineName = "auto",
    budget: TimeBudget = None,
    seed: Seed = 0,
    sample_weight: WeightColumn = None,
    class_weight: ClassWeights = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a network overfits, how sure that is, and what would cure it."""
    options = {
        "task": task,
        "cv": cv,
        "repeats": repeats,
        "groups": groups,
        "time": time,
        "drop": drop or (),
        "missing": missing,
        "hidden": hidden_layers(hidden),
        "strengths": strengths,
        "regularizers": names_in(regularizers),
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "level": level,
        "worth": worth,
        "null": null,
        "memorisation": memorisation,
        "memory": bytes_of(memory),
        "engine": engine,
        "time_budget": seconds_of(budget),
        "seed": seed,
        "sample_weight": sample_weight,
        "class_weight": weights_of_classes(class_weight),
    }
    say_warnings(True)
    run_diagnose(data, one_or_several(target), out, force, model, as_json, options)


def run_diagnose(
    data: Path,
    target: str | list[str],
    out: Path | None,
    force: bool,
    model: Path | None,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    """Diagnose, print what was found, and save it if asked."""
    from fitwell.directories import DIAGNOSIS_FILE, check_directory
    from fitwell.keras.backend import check_backend

    check_backend()
    if out is not None:
        check_directory(out, force=force, mark=DIAGNOSIS_FILE)
    # before the seconds of importing JAX: a wrong path is answered at once
    frame = opened_table(data, target, options, model)
    from fitwell.api.diagnose import diagnose

    if model is not None:
        options = {**options, "model": load_model(model)}
    with listening("json" if as_json else "text") as (console, listener), told_to_end(listener) as told:
        found = by_command(diagnose(frame, target, listener=told, **left_of_budget(options)))
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        from fitwell.report import text

        print_parts(console, text.diagnosed(found.findings))
    if out is not None:
        found.save(out, force=force)
        if not as_json:
            typer.echo(f"Open      {out}/report.html")
    exit_if_interrupted(found.findings.ended)
