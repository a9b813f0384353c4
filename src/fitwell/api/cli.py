"""The `fitwell` command. Its sub-commands are named after the API; nothing heavy is imported before one runs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from fitwell._version import __version__
from fitwell.directories import RUN_FILE
from fitwell.errors import FitwellError, FitwellWarning
from fitwell.regularization.table import BUILT_IN, DEFAULT_REGULARIZERS

if TYPE_CHECKING:
    from rich.console import Console

    from fitwell.engine.plan import Listener
    from fitwell.results.diagnosis import Diagnosis
    from fitwell.results.result import Result
    from fitwell.results.storage import StoredRun

_Found = TypeVar("_Found", "Result", "Diagnosis")

# typer's own status for a wrong option, so that scripts ask for one
INPUT_EXIT = 2
# and the signal's number, as shells report it: 130 after Ctrl-C, 143 for a process that was told to end
INTERRUPT_EXIT = 128
UNSAVED = "Nothing will be saved: stop, and add --out DIRECTORY, to keep the model."
INTERRUPTED = "fitwell: interrupted; nothing was written."
WEIGHT_HELP = "Column: what each row counts, in training and in all losses; it is no input then."
CLASS_WEIGHT_HELP = "What the rows of a class count, as in yes=5; may be given several times. Or: balanced."

app = typer.Typer(
    name="fitwell",
    help="LassoCV for neural networks: finds the regularization that cures overfitting.",
    no_args_is_help=True,
    add_completion=False,
    # a fault of ours is a plain traceback that can be sent to us, without the table's values in it
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# which signals came, and do networks train: the handler decides by both
_signals: list[int] = []
_training = threading.Event()


def main() -> None:
    """Run the command; an error is one sentence on standard error and exit status 2."""
    # Python's own handler of the first raises KeyboardInterrupt, which JAX may lose; of the second (batch systems,
    # `timeout`) it has none, and half of a file would stay beside the one it was to become
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    warnings.showwarning = _show_warning
    try:
        app()
    except FitwellError as error:
        typer.echo(f"fitwell: {error}", err=True)
        sys.exit(INPUT_EXIT)
    except (KeyboardInterrupt, SystemExit):
        # a SystemExit that is not ours keeps its status
        if not _signals:
            raise
        typer.echo(INTERRUPTED, err=True)
        sys.exit(INTERRUPT_EXIT + _signals[0])
    except BrokenPipeError:  # the reader of our output has gone, as in `fitwell ... | head`
        # else Python complains once more when it flushes on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _warn(wanted: bool) -> None:
    """Say all warnings of ours, each time, or none of them."""
    warnings.simplefilter("always" if wanted else "ignore", FitwellWarning)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """Print a warning of ours as a sentence; others as Python does, for they are about code."""
    ours = issubclass(category, FitwellWarning)
    text = f"fitwell: {message}" if ours else warnings.formatwarning(message, category, filename, lineno).rstrip()
    typer.echo(text, err=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop at once while networks train, when nothing is being written; else let the writers clean up.

    An exception is no way out of training: raised inside one of JAX's callbacks it is lost, and raised while XLA's
    threads compile it can crash the interpreter on its way out.
    """
    del frame
    _signals.append(number)
    if not _training.is_set():
        raise KeyboardInterrupt
    # the progress bar hides it, and nobody else will show it again
    show_cursor = "\x1b[?25h" if sys.stdout.isatty() else ""
    sys.stdout.write(show_cursor)
    sys.stdout.flush()
    sys.stderr.write(f"{INTERRUPTED}\n")
    sys.stderr.flush()
    os._exit(INTERRUPT_EXIT + number)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fitwell {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    "tune",
    epilog="Examples:  fitwell tune wdbc.csv --target diagnosis --out run/   |   "
    "fitwell tune prices.parquet --target price --groups street --json",
)
def tune_command(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet, Arrow/Feather or JSON-lines file.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    out: Annotated[Path | None, typer.Option(help="New directory for the model and the whole search.")] = None,
    force: Annotated[bool, typer.Option(help="Replace the directory if it is an earlier run.")] = False,
    model: Annotated[
        Path | None,
        typer.Option(help="A .keras file, or TensorFlow.js's model.json, in place of the dense network."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; decided by the target if not given.")
    ] = None,
    cv: Annotated[int, typer.Option(help="Folds.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often the folds are drawn anew.")] = 1,
    groups: Annotated[str | None, typer.Option(help="Column: rows of one group stay in one fold.")] = None,
    time: Annotated[str | None, typer.Option(help="Column: train on earlier rows, hold out later ones.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be given several times.")] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MARK", help="Text that means missing, in place of NA, None, ?, ...; may be given several times."
        ),
    ] = None,
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers.")] = "128,64",
    strengths: Annotated[int, typer.Option(help="Strengths to try; the first is no regularization.")] = 32,
    regularizers: Annotated[str, typer.Option(help=f"Any of {', '.join(BUILT_IN)}.")] = ",".join(DEFAULT_REGULARIZERS),
    depth: Annotated[str, typer.Option(help="Of strengths: constant, funnel, rising or search.")] = "constant",
    learning_rate: Annotated[float | None, typer.Option(help="Fix Adam's step size; searched if not given.")] = None,
    epochs: Annotated[int, typer.Option(help="The most epochs; a search usually ends long before.")] = 150,
    batch_size: Annotated[int | None, typer.Option(help="Rows of a batch; decided by the rows if not given.")] = None,
    patience: Annotated[int, typer.Option(help="Epochs without improvement after which a strength stops.")] = 25,
    pruning: Annotated[str, typer.Option(help="early: the worst strengths leave on the way; or none.")] = "early",
    refit: Annotated[
        str | None, typer.Option(help="ensemble of the fold networks, or single: one network on all rows.")
    ] = None,
    rule: Annotated[str, typer.Option(help="Strength of a single refit: 1se, min or confidence-set.")] = "1se",
    honest: Annotated[
        str, typer.Option(help="How the loss on new rows is corrected for choosing: bbc, nested or bates.")
    ] = "bbc",
    refit_seeds: Annotated[int, typer.Option(help="Networks averaged in a single refit.")] = 1,
    schedule: Annotated[str, typer.Option(help="Of the learning rate: constant or cosine.")] = "constant",
    memory: Annotated[
        float | None, typer.Option(help="GiB that training may use; half of what is free if not given.")
    ] = None,
    engine: Annotated[str, typer.Option(help="What multiplies: auto, numpy or jax.")] = "auto",
    seed: Annotated[int, typer.Option(help="Makes a run repeatable to the bit on one machine.")] = 0,
    sample_weight: Annotated[str | None, typer.Option(help=WEIGHT_HELP)] = None,
    class_weight: Annotated[list[str] | None, typer.Option(metavar="CLASS=WEIGHT", help=CLASS_WEIGHT_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors, and with --json the document.")] = False,
) -> None:
    """Find the regularization for a table: train every fold times every strength at once."""
    options = {
        "task": task,
        "cv": cv,
        "repeats": repeats,
        "groups": groups,
        "time": time,
        "drop": drop or (),
        "missing": missing,
        "hidden": _units(hidden),
        "strengths": strengths,
        "regularizers": _names(regularizers),
        "depth": depth,
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "patience": patience,
        "pruning": pruning,
        "refit": refit,
        "rule": rule,
        "honest": honest,
        "refit_seeds": refit_seeds,
        "schedule": schedule,
        "memory": None if memory is None else _bytes(memory),
        "engine": engine,
        "seed": seed,
        "sample_weight": sample_weight,
        "class_weight": _class_weight(class_weight),
    }
    _warn(not quiet)
    _tune(data, target, out, force, "json" if as_json else "none" if quiet else "text", options, model)


@app.command(
    "diagnose",
    epilog="Examples:  fitwell diagnose churn.csv --target churned   |   "
    "fitwell diagnose prices.parquet --target price --model model.keras --null",
)
def diagnose_command(
    data: Annotated[Path, typer.Argument(help="CSV, TSV, Parquet, Arrow/Feather or JSON-lines file.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    out: Annotated[Path | None, typer.Option(help="New directory for the diagnosis and its report.")] = None,
    force: Annotated[bool, typer.Option(help="Replace the directory if it is an earlier diagnosis.")] = False,
    model: Annotated[
        Path | None,
        typer.Option(help="A .keras file, or TensorFlow.js's model.json, in place of the dense network."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; decided by the target if not given.")
    ] = None,
    cv: Annotated[int, typer.Option(help="Folds, at least 3.")] = 5,
    repeats: Annotated[
        int | None, typer.Option(help="How often the folds are drawn anew; 2 if not given, with --time 1.")
    ] = None,
    groups: Annotated[str | None, typer.Option(help="Column: rows of one group stay in one fold.")] = None,
    time: Annotated[str | None, typer.Option(help="Column: train on earlier rows, hold out later ones.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; may be given several times.")] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MARK", help="Text that means missing, in place of NA, None, ?, ...; may be given several times."
        ),
    ] = None,
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers.")] = "128,64",
    strengths: Annotated[int, typer.Option(help="Strengths to try as a cure.")] = 32,
    regularizers: Annotated[str, typer.Option(help=f"Any of {', '.join(BUILT_IN)}.")] = ",".join(DEFAULT_REGULARIZERS),
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam; 0.001 if not given.")] = None,
    epochs: Annotated[int, typer.Option(help="As many as you train the network for: its last is judged.")] = 100,
    batch_size: Annotated[int | None, typer.Option(help="Rows of a batch; decided by the rows if not given.")] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    worth: Annotated[float, typer.Option(help="Share of the held-out loss that is worth acting on.")] = 0.1,
    null: Annotated[bool, typer.Option("--null", help="Run the same search on a shuffled target too.")] = False,
    memorisation: Annotated[
        bool, typer.Option("--memorisation", help="See how fast a shuffled target is learned by heart.")
    ] = False,
    memory: Annotated[
        float | None, typer.Option(help="GiB that training may use; half of what is free if not given.")
    ] = None,
    engine: Annotated[str, typer.Option(help="What multiplies: auto, numpy or jax.")] = "auto",
    seed: Annotated[int, typer.Option(help="Makes a run repeatable to the bit on one machine.")] = 0,
    sample_weight: Annotated[str | None, typer.Option(help=WEIGHT_HELP)] = None,
    class_weight: Annotated[list[str] | None, typer.Option(metavar="CLASS=WEIGHT", help=CLASS_WEIGHT_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
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
        "hidden": _units(hidden),
        "strengths": strengths,
        "regularizers": _names(regularizers),
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "level": level,
        "worth": worth,
        "null": null,
        "memorisation": memorisation,
        "memory": None if memory is None else _bytes(memory),
        "engine": engine,
        "seed": seed,
        "sample_weight": sample_weight,
        "class_weight": _class_weight(class_weight),
    }
    _warn(True)
    _diagnose(data, target, out, force, model, as_json, options)


@app.command(epilog="Example:  fitwell predict run/ new_patients.csv --out predictions.csv")
def predict(
    run: Annotated[Path, typer.Argument(help="Directory that `fitwell tune --out` wrote.")],
    data: Annotated[Path, typer.Argument(help="Table with the same columns; the target is not needed.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV, TSV, Parquet, Arrow or JSON-lines file; printed as CSV if not given.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Column to put before the predictions; may be given several times.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors.")] = False,
) -> None:
    """Predict the rows of a table with a saved run."""
    from fitwell.api.predicting import predict_file

    _warn(not quiet)
    predict_file(run, data, out, tuple(keep or ()), force=force, quiet=quiet)


@app.command("export", epilog="Example:  fitwell export run/ --to tfjs --out web/")
def export_command(
    run: Annotated[Path, typer.Argument(help="Directory that `fitwell tune --out` wrote.")],
    to: Annotated[str, typer.Option(help="keras, onnx or tfjs (TensorFlow.js).")],
    out: Annotated[Path, typer.Option(help="New file; for tfjs a new directory.")],
    quantize: Annotated[str | None, typer.Option(help="For tfjs: float16, uint16 or uint8.")] = None,
    force: Annotated[bool, typer.Option(help="Replace what was exported before.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors.")] = False,
) -> None:
    """Write a saved run's model for another place: Keras, ONNX, or TensorFlow.js in Node and browsers."""
    from fitwell.keras.backend import check_backend

    check_backend()
    from fitwell.api.export import export

    notices = export(run, to, out, quantize=quantize, force=force)
    if not quiet:
        for notice in notices:
            typer.echo(notice, err=True)
        typer.echo(f"Saved     {out}")


@app.command(epilog="Example:  fitwell report run/")
def report(
    run: Annotated[Path, typer.Argument(help="Directory that `fitwell tune --out` or `fitwell diagnose --out` wrote.")],
) -> None:
    """Make the report of a saved run anew: one HTML file, which asks the network for nothing."""
    from fitwell.results.storage import write_report

    typer.echo(f"Saved     {write_report(run)}")


@app.command(epilog="Example:  fitwell cache --clear")
def cache(clear: Annotated[bool, typer.Option("--clear", help="Delete them.")] = False) -> None:
    """Show what is kept of compiled programs, with which a search of the same shape starts sooner."""
    from fitwell.api.cache import clear_cache, describe_cache

    for line in clear_cache() if clear else describe_cache():
        typer.echo(line)


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Directory to keep the run in.")] = None,
    seed: Annotated[int, typer.Option(help="Makes a run repeatable to the bit on one machine.")] = 0,
) -> None:
    """Tune a real table: 569 breast tumours, 30 measurements each (comes with scikit-learn)."""
    from fitwell.data.examples import breast_cancer

    typer.echo("fitwell tune wdbc.csv --target diagnosis")
    _tune(breast_cancer(), "diagnosis", out, False, "text", {"seed": seed})


def _tune(
    data: Any,
    target: str,
    out: Path | None,
    force: bool,
    output: str,
    options: dict[str, Any],
    model: Path | None = None,
) -> None:
    from fitwell.data.table_files import open_table
    from fitwell.directories import check_directory
    from fitwell.keras.backend import check_backend

    check_backend()
    if out is not None:
        # before the search: an hour of training must not end in "exists already"
        check_directory(out, force=force, mark=RUN_FILE)
    frame = open_table(data)  # before the seconds of importing JAX: a wrong path is answered at once
    from fitwell.api.tune import tune

    if model is not None:
        options = {**options, "model": _model(model)}

    # said before training, for after an hour of it it would be too late
    with _listening(output, UNSAVED if out is None else "") as (console, listener):
        _training.set()
        try:
            result = _by_command(tune(frame, target, listener=listener, **options))
        finally:
            _training.clear()
    if output == "text":
        from fitwell.report import text

        _print(console, text.found(result.search, result.answer, result.score))
    # after the report: if the disk is full, one has at least read the answer
    stored = None if out is None else result.store(out, force=force)
    _finish(console, result, stored, output)


def _by_command(found: _Found) -> _Found:
    """The same with the command that asked for it, which the report shows."""
    return replace(found, record=replace(found.record, command=shlex.join(["fitwell", *sys.argv[1:]])))


def _diagnose(
    data: Path, target: str, out: Path | None, force: bool, model: Path | None, as_json: bool, options: dict[str, Any]
) -> None:
    from fitwell.data.table_files import open_table
    from fitwell.directories import DIAGNOSIS_FILE, check_directory
    from fitwell.keras.backend import check_backend

    check_backend()
    if out is not None:
        check_directory(out, force=force, mark=DIAGNOSIS_FILE)
    frame = open_table(data)  # before the seconds of importing JAX: a wrong path is answered at once
    from fitwell.api.diagnose import diagnose

    if model is not None:
        options = {**options, "model": _model(model)}
    with _listening("json" if as_json else "text") as (console, listener):
        _training.set()
        try:
            found = _by_command(diagnose(frame, target, listener=listener, **options))
        finally:
            _training.clear()
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        from fitwell.report import text

        _print(console, text.diagnosed(found.findings))
    if out is not None:
        found.save(out, force=force)
        if not as_json:
            typer.echo(f"Open      {out}/report.html")


def _finish(console: Console, result: Result, stored: StoredRun | None, output: str) -> None:
    if output == "json":
        document = {**result.to_json(), "saved": str(stored.directory) if stored else None}
        typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
    elif output == "text" and stored:
        from fitwell.report import text

        seconds = result.record.seconds
        _print(console, text.saved(result.search, result.answer, seconds, stored.directory, stored.without_tfjs))


@contextmanager
def _listening(output: str, reminder: str = "") -> Iterator[tuple[Console, Listener]]:
    """Yield where to print, and the listener that prints what was read, a reminder, the plan and a progress bar."""
    from fitwell.engine.plan import Listener
    from fitwell.report.watching import plain_console, watched_on

    console = plain_console()
    if output != "text":
        yield console, Listener()
        return
    with watched_on(console, reminder=reminder) as listener:
        yield console, listener


def _model(path: Path) -> Any:
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


def _print(console: Console, parts: list[Any]) -> None:
    for part in parts:
        console.print(part)


def _units(text: str) -> tuple[int, ...]:
    try:
        # a comma at the end is no layer
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(
            f"expected whole numbers such as 128,64, got '{text}'", param_hint="--hidden"
        ) from None


def _bytes(gibibytes: float) -> int:
    # NaN and infinity are numbers to the command line, too
    if not 0 < gibibytes < 2**20:
        raise typer.BadParameter(f"expected GiB above 0, got {gibibytes}", param_hint="--memory")
    return int(gibibytes * 2**30)


def _class_weight(given: list[str] | None) -> dict[str, float] | str | None:
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


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
