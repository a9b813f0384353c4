"""A run in a directory: what `Result.save` writes, and what is loaded to predict."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fitwell.analysis.series import RunTables
from fitwell.data.columns import Column
from fitwell.data.encoding import Encoding
from fitwell.data.target import TargetOutput
from fitwell.data.target_units import TargetUnits
from fitwell.directories import DIAGNOSIS_FILE, RUN_FILE, fresh_directory, write_aside
from fitwell.errors import FileError
from fitwell.keras.backend import import_keras
from fitwell.keras.plain_model import PlainModel, read_plain_model
from fitwell.report.diagnosis_page import diagnosis_page
from fitwell.report.search_page import search_page
from fitwell.results.for_tfjs import TFJS, add_tfjs
from fitwell.results.predictors import ENCODING_FILE, FORMAT, MODEL_FILE, ModelPredictor, Predicts, TablePredictor

OPTIONAL = ("held_out", "input_paths")
"""Written only of tables, and where whole columns were regularized."""

TABLES = ("strengths", "histories", *OPTIONAL)
"""What `store_run` writes beside the document, each as ``NAME.parquet``."""

REPORT_FILE = "report.html"
# what a replaced run may lose: any other name in its directory is somebody's own
RUN_FILES = (RUN_FILE, MODEL_FILE, ENCODING_FILE, *(f"{name}.parquet" for name in TABLES), REPORT_FILE, TFJS)
"""All that is written into a run's directory."""


@dataclass(frozen=True)
class StoredRun:
    """A run that was saved.

    Attributes
    ----------
    directory
        Where it is.
    without_tfjs
        Why it is not there for TensorFlow.js; None if it is.
    """

    directory: Path
    without_tfjs: str | None = None


def store_run(
    directory: Path,
    predictor: Predicts,
    document: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    *,
    force: bool,
) -> StoredRun:
    """Write a run into a new directory, all or nothing.

    Parameters
    ----------
    document
        The whole search as plain types; `"tfjs"` is added, why that is missing or None.
    tables
        By their names in `TABLES`.
    force
        Replace an earlier run.
    """
    with fresh_directory(directory, force=force, mark=RUN_FILE, ours=RUN_FILES) as inside:
        # first: what cannot be saved at all is refused before the rest is written
        predictor.write(inside)
        without_tfjs = add_tfjs(predictor, inside)
        # `allow_nan=False`: a number that JSON has not must be noticed here, not by the reader
        text = json.dumps({**document, "tfjs": without_tfjs}, ensure_ascii=False, indent=1, allow_nan=False)
        (inside / RUN_FILE).write_text(text, encoding="utf-8")
        for name, frame in tables.items():
            frame.write_parquet(inside / f"{name}.parquet")
        # from what was just written, as `fitwell report` makes it anew
        (inside / REPORT_FILE).write_text(search_page(read_run(inside)), encoding="utf-8")
    return StoredRun(directory, without_tfjs)


def read_run(directory: Path) -> RunTables:
    """Read what a run keeps of its search.

    Raises
    ------
    FileError
        The directory is not a run's, or is damaged.
    """
    path = directory / RUN_FILE
    if not path.is_file():
        raise FileError(f"'{directory}' is not a directory of `fitwell tune`: '{RUN_FILE}' is missing.")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        files = {name: directory / f"{name}.parquet" for name in TABLES}
        tables = {name: pl.read_parquet(file) for name, file in files.items() if file.is_file() or name not in OPTIONAL}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, pl.exceptions.PolarsError) as error:
        raise FileError(f"'{directory}' is damaged ({_first_line(error)}): tune again.") from error
    if "verdict" not in document:
        raise FileError(
            f"'{directory}' is a run of fitwell {document.get('fitwell', '?')}, without a report: tune again."
        )
    return RunTables(document, **tables)


def store_diagnosis(directory: Path, document: Mapping[str, Any], *, force: bool) -> Path:
    """Write a diagnosis and its report into a new directory, all or nothing."""
    with fresh_directory(directory, force=force, mark=DIAGNOSIS_FILE, ours=(DIAGNOSIS_FILE, REPORT_FILE)) as inside:
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
        (inside / DIAGNOSIS_FILE).write_text(text, encoding="utf-8")
        (inside / REPORT_FILE).write_text(diagnosis_page(json.loads(text)), encoding="utf-8")
    return directory


def write_report(directory: Path) -> Path:
    """Make the report of a saved run, or of a saved diagnosis, anew."""
    path = directory / DIAGNOSIS_FILE
    if path.is_file():
        try:
            whole = diagnosis_page(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError) as error:
            raise FileError(f"'{path}' is damaged ({_first_line(error)}): diagnose again.") from error
    else:
        whole = search_page(read_run(directory))
    write_aside(directory / REPORT_FILE, lambda aside: aside.write_text(whole, encoding="utf-8"))
    return directory / REPORT_FILE


def load(directory: str | Path, *, compiled: bool = False) -> TablePredictor | ModelPredictor:
    """Load what `Result.save` or ``fitwell tune --out`` wrote, of a table or of arrays, ready to predict.

    Parameters
    ----------
    compiled
        Whether the model comes compiled as it was saved. To predict, neither loss nor optimizer is needed, and a loss
        of one's own may not be known here.

    Raises
    ------
    FileError
        The directory is not there, is not one of fitwell's, or is damaged.
    """
    directory = Path(directory)
    if (directory / MODEL_FILE).is_file() and not (directory / ENCODING_FILE).is_file():
        return ModelPredictor(_load_model(directory, compiled=compiled))
    return _load_table(directory, compiled=compiled)


def _load_table(directory: Path, *, compiled: bool) -> TablePredictor:
    stored = _read_encoding(directory)
    try:
        columns = tuple(Column.from_json(item) for item in stored["columns"])
        encodings = tuple(Encoding.from_json(item) for item in stored["encodings"])
        about = {key: stored[key] for key in ("target", "task", "label_type")}
        # runs from before there were other heads have none
        about["head"] = stored.get("head", "probabilities")
        about["units"] = TargetUnits.from_json(stored)
        about["outputs"] = tuple(
            TargetOutput(one["name"], tuple(one["classes"]), one["label_type"]) for one in stored.get("outputs", ())
        )
        about["missing"] = None if stored.get("missing") is None else tuple(stored["missing"])
        classes = tuple(stored["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"'{directory / ENCODING_FILE}' is damaged ({error}): tune again.") from error
    network = _read_plain(directory / MODEL_FILE)
    # ours are not compiled, but somebody may have trained one further
    if network is None or (compiled and network.is_compiled):
        network = _load_model(directory, compiled=compiled)
    return TablePredictor(columns=columns, encodings=encodings, classes=classes, network=network, **about)


def _read_encoding(directory: Path) -> Mapping[str, Any]:
    path = directory / ENCODING_FILE
    if not directory.is_dir():
        raise FileError(f"There is no directory '{directory}': give the one that `fitwell tune --out` wrote.")
    if not path.is_file() or not (directory / MODEL_FILE).is_file():
        raise FileError(
            f"'{directory}' is not a directory of `fitwell tune`: '{ENCODING_FILE}' or '{MODEL_FILE}' is missing."
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FileError(f"'{path}' is damaged ({error}): tune again.") from error
    # rather no prediction than one by rules that have changed
    if not isinstance(stored, dict) or stored.get("format") not in range(1, FORMAT + 1):
        found = stored.get("format") if isinstance(stored, dict) else type(stored).__name__
        raise FileError(
            f"'{path}' has format {found!r}, and this fitwell reads 1 to {FORMAT}: upgrade fitwell or tune again."
        )
    return stored


def _read_plain(path: Path) -> PlainModel | None:
    """Read a table's own model; None leaves the file, or what is wrong with it, to Keras."""
    try:
        return read_plain_model(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _load_model(directory: Path, *, compiled: bool) -> Any:
    keras = import_keras()
    try:
        with warnings.catch_warnings():  # the optimizer's state is not used, so it may be missing
            warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
            return keras.saving.load_model(directory / MODEL_FILE, compile=compiled, safe_mode=True)
    except Exception as error:  # Keras and h5py raise many kinds for a damaged file
        raise FileError(f"'{directory / MODEL_FILE}' cannot be loaded ({_first_line(error)}): tune again.") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
