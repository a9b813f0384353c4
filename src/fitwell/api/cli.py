"""The `fitwell` command. Its sub-commands are named after the API; nothing heavy is imported before one runs."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from fitwell._version import __version__
from fitwell.api.command_running import (
    INTERRUPT_EXIT,
    catch_signals,
    last_words,
    say_warnings,
    show_warning,
    signals,
)
from fitwell.api.diagnose_command import diagnose_command
from fitwell.api.tune_command import run_tune, tune_command
from fitwell.errors import FitwellError

# typer's own status for a wrong option, so that scripts ask for one
INPUT_EXIT = 2

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


def main() -> None:
    """Run the command; an error is one sentence on standard error and exit status 2."""
    catch_signals()
    warnings.showwarning = show_warning
    try:
        app()
    except FitwellError as error:
        typer.echo(f"fitwell: {error}", err=True)
        sys.exit(INPUT_EXIT)
    except (KeyboardInterrupt, SystemExit):
        # a SystemExit that is not ours keeps its status
        if not signals:
            raise
        typer.echo(last_words(), err=True)
        sys.exit(INTERRUPT_EXIT + signals[0])
    except BrokenPipeError:  # the reader of our output has gone, as in `fitwell ... | head`
        # else Python complains once more when it flushes on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


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


app.command(
    "tune",
    epilog="Examples:  fitwell tune wdbc.csv --target diagnosis --out run/   |   "
    "fitwell tune prices.parquet --target price --groups street --json",
)(tune_command)
app.command(
    "diagnose",
    epilog="Examples:  fitwell diagnose churn.csv --target churned   |   "
    "fitwell diagnose prices.parquet --target price --model model.keras --null",
)(diagnose_command)


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

    say_warnings(not quiet)
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
    run_tune(breast_cancer(), "diagnosis", out, False, "text", {"seed": seed, "time_budget": None})
