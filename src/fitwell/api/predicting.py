"""What `fitwell predict` does: small files are read whole, large ones a block of rows at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
import typer

from fitwell.data.delimited import TextTable
from fitwell.data.opened_blocks import is_large, open_blocks
from fitwell.data.table_files import as_it_stands, open_table
from fitwell.errors import FileError, counted
from fitwell.report.files import append_csv, check_table_file, write_tables
from fitwell.report.progress import RowsBar
from fitwell.results.block_predictions import predict_blocks
from fitwell.results.predictors import TablePredictor
from fitwell.results.storage import load

PRINTED_IN_MEMORY = 2**24
"""Bytes; more are kept in a file until all rows are predicted."""

Use = Callable[[Iterator[pl.DataFrame]], int]


def predict_file(run: Path, data: Path, out: Path | None, keep: Sequence[str], *, force: bool, quiet: bool) -> None:
    """Predict a file's rows with a saved run into `out`, or as CSV to standard output: all of them, or nothing."""
    if out is not None:
        # before Keras is loaded and anything predicted
        check_table_file(out, force=force, source=data)
    # before the run is: a wrong path is answered at once
    table = None if is_large(data) else open_table(data)
    predictor = _load_table_run(run)
    rows = _predict(predictor, data, table, keep, _print_csv if out is None else _writing(out, force), quiet)
    if out is not None and not quiet:
        typer.echo(f"Saved {counted(rows, 'prediction')}: {out}", err=True)


def _load_table_run(run: Path) -> TablePredictor:
    predictor = load(run)
    if not isinstance(predictor, TablePredictor):
        raise FileError(f"'{run}' holds a Keras model of arrays, not of a table: predict with fitwell.load in Python.")
    return predictor


def _predict(
    predictor: TablePredictor,
    data: Path,
    table: pl.DataFrame | TextTable | None,
    keep: Sequence[str],
    use: Use,
    quiet: bool,
) -> int:
    """Hand the predictions to `use`; without a `table` the file is large."""
    blocks = open_blocks(data, predictor.rows_at_once) if table is None else None
    if blocks is not None:
        _say_ignored(predictor, blocks.names, keep, quiet)
        with RowsBar(quiet=quiet) as bar:
            rows = predict_blocks(predictor, blocks, keep, use, on_progress=bar.show)
        if rows is not None:
            return rows
    table = open_table(data) if table is None else table
    if blocks is None:
        _say_ignored(predictor, as_it_stands(table).columns, keep, quiet)
    return use(iter([predictor.predict(table, keep=keep)]))


def _say_ignored(predictor: TablePredictor, names: Sequence[str], keep: Sequence[str], quiet: bool) -> None:
    # a misspelt column would otherwise pass for one that was never there
    ignored = [name for name in predictor.ignored_names(names) if name not in keep]
    if ignored and not quiet:
        typer.echo(f"Ignored columns that the run did not train on: {', '.join(ignored)}", err=True)


def _writing(out: Path, force: bool) -> Use:
    return lambda tables: write_tables(tables, out, force=force)


def _print_csv(tables: Iterator[pl.DataFrame]) -> int:
    # an error in the last row must not come behind half of the predictions
    with tempfile.SpooledTemporaryFile(PRINTED_IN_MEMORY) as content:
        try:
            rows = append_csv(tables, content)
            content.seek(0)
        except OSError as error:
            reason, where = error.strerror or error, tempfile.gettempdir()
            raise FileError(
                f"The predictions cannot be kept in '{where}' ({reason}) until all are there: name a file by --out."
            ) from error
        try:
            # nothing else goes to standard output, so that it can be piped
            shutil.copyfileobj(content, _Echo())
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FileError(f"The predictions cannot be printed ({error.strerror or error}).") from error
    return rows


class _Echo:
    """Standard output, as typer finds it."""

    def write(self, content: bytes) -> None:
        typer.echo(content, nl=False)
