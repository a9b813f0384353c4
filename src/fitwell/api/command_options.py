"""What the options of several commands have in common: their help, and how their texts are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fitwell.regularization.table import BUILT_IN, DEFAULT_REGULARIZERS

DATA_HELP = "CSV, TSV, Parquet, Arrow/Feather or JSON-lines file, or a directory of Parquet files."
TARGET_HELP = "Column to predict; given several times, columns predicted together."
DataFile = Annotated[Path, typer.Argument(help=DATA_HELP)]
TargetColumns = Annotated[list[str], typer.Option("--target", help=TARGET_HELP)]
ModelFile = Annotated[
    Path | None,
    typer.Option(help="A .keras file, or TensorFlow.js's model.json, in place of the dense network."),
]
TaskName = Annotated[str | None, typer.Option(help="classification or regression; decided by the target if not given.")]
GroupColumn = Annotated[str | None, typer.Option(help="Column: rows of one group stay in one fold.")]
TimeColumn = Annotated[str | None, typer.Option(help="Column: train on earlier rows, hold out later ones.")]
DroppedColumns = Annotated[list[str] | None, typer.Option(help="Column to leave out; may be given several times.")]
MissingMarks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MARK", help="Text that means missing, in place of NA, None, ?, ...; may be given several times."
    ),
]
HiddenUnits = Annotated[str, typer.Option(help="Units of the hidden layers.")]
RegularizerNames = Annotated[str, typer.Option(help=f"Any of {', '.join(BUILT_IN)}.")]
BatchRows = Annotated[int | None, typer.Option(help="Rows of a batch; decided by the rows if not given.")]
MemoryGiB = Annotated[float | None, typer.Option(help="GiB that training may use; half of what is free if not given.")]
TimeBudget = Annotated[
    str | None,
    typer.Option("--budget", help="How long all of it may take, such as 90s, 5m or 1h; the best so far is the answer."),
]
EngineName = Annotated[
    str,
    typer.Option(help="What multiplies: auto, numpy, jax, or ray; of a cluster: ray:ADDRESS,workers=8,cpus=1,gpus=0."),
]
Seed = Annotated[int, typer.Option(help="Makes a run repeatable to the bit on one machine.")]
WeightColumn = Annotated[
    str | None, typer.Option(help="Column: what each row counts, in training and in all losses; it is no input then.")
]
ClassWeights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS=WEIGHT",
        help="What the rows of a class count, as in yes=5; may be given several times. Or: balanced.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

SEARCHED = ",".join(DEFAULT_REGULARIZERS)


def one_or_several(names: list[str]) -> str | list[str]:
    """Return the target, or the targets if there are several."""
    return names[0] if len(names) == 1 else names


def hidden_layers(text: str) -> tuple[int, ...]:
    """Read units of layers, as in "128,64"."""
    try:
        # a comma at the end is no layer
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(
            f"expected whole numbers such as 128,64, got '{text}'", param_hint="--hidden"
        ) from None


def bytes_of(gibibytes: float | None) -> int | None:
    """Turn a memory in GiB, if one was given, into bytes."""
    if gibibytes is None:
        return None
    # NaN and infinity are numbers to the command line, too
    if not 0 < gibibytes < 2**20:
        raise typer.BadParameter(f"expected GiB above 0, got {gibibytes}", param_hint="--memory")
    return int(gibibytes * 2**30)


def weights_of_classes(given: list[str] | None) -> dict[str, float] | str | None:
    """Weights by class, from texts such as "yes=5"; or the word that stands for all of them."""
    if not given or given == ["balanced"]:
        return given[0] if given else None
    weights: dict[str, float] = {}
    for text in given:
        # a class may hold the sign, too, and a weight does not
        label, _, weight = text.rpartition("=")
        try:
            number = float(weight)
        except ValueError:
            number = None
        if not label or number is None:
            raise typer.BadParameter(
                f"expected balanced, or a class and its weight such as yes=5, got '{text}'", param_hint="--class-weight"
            )
        if label in weights:
            raise typer.BadParameter(f"expected one weight for the class '{label}'", param_hint="--class-weight")
        weights[label] = number
    return weights


def seconds_of(budget: str | None) -> float | None:
    """Read a duration; None is none."""
    from fitwell.arguments import seconds_in  # with NumPy, which `--help` does without

    return None if budget is None else seconds_in("--budget", budget)


def names_in(text: str) -> tuple[str, ...]:
    """Read names between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def opened_table(data: Any, target: str | list[str], options: Mapping[str, Any], model: Path | None) -> Any:
    """Return a table as it is read, or its path where it is larger than memory, and read by the search itself."""
    # a path that is wrong is answered at once
    if model is None and isinstance(data, Path) and data.exists():
        from fitwell.problems.streaming import is_streamed

        asked = ("memory", "engine", "sample_weight", "cv", "repeats")
        if is_streamed(data, target, **{name: options[name] for name in asked}):
            return data
    from fitwell.data.table_files import open_table

    return open_table(data)


def load_model(path: Path) -> Any:
    """Load a compiled model, of Keras or, with its metadata, of TensorFlow.js; notices go to standard error."""
    # by the name alone: Keras refuses what is no .keras file, and says so
    if path.suffix != ".json":
        from fitwell.keras.model_files import load_compiled

        return load_compiled(path)
    from fitwell.keras.opening import opened
    from fitwell.tfjs.loading import load_with_notices, with_training

    loaded = load_with_notices(path)
    model, notice = with_training(loaded.model)
    for line in (*loaded.notices, *([notice] if notice else [])):
        typer.echo(line, err=True)
    return opened(model, metadata=loaded.metadata)
