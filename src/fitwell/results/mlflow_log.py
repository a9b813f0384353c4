"""A result in MLflow: settings, curves, scores, the report, and a model that predicts raw tables."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fitwell._version import __version__
from fitwell.extras import import_extra
from fitwell.results.result import Result
from fitwell.results.storage import load
from fitwell.results.tracked import tracked

MODEL = "model"
"""Name of the model in a run."""

AT_ONCE = 1000
"""Metrics that MLflow takes in one call."""

LOGGED = ("report.html", "run.json", "strengths.parquet", "histories.parquet")
"""Files of a saved run that are kept as artifacts; `strengths.csv` is the table once more, which MLflow shows."""


def log_to_mlflow(result: Result) -> str:
    """Log what a search found to MLflow: into the active run, else into a new one.

    - *Parameters*: the chosen strengths, and how they were searched.
    - *Metrics*: training and held-out loss of the unregularized and of the chosen network (and of a model as given), an
      epoch a step; the honest loss with its interval, cross-validated scores, baselines.
    - *Artifacts*: `report.html`, the table of all strengths, `run.json`, every curve.
    - *A model* of MLflow's `python_function` flavor, ``runs:/<run>/model``, which takes what `Result.predict` takes and
      gives the same; a table's predictions come as a pandas frame. It needs fitwell where it is loaded.

    Returns
    -------
    The run's id.

    Raises
    ------
    InputError
        MLflow is not installed, or the model cannot be saved (functions of `fitwell.train`); nothing is logged then.

    Examples
    --------
    >>> import mlflow  # doctest: +SKIP
    >>> with mlflow.start_run(run_name="dropout"):  # doctest: +SKIP
    ...     fitwell.log_to_mlflow(result)
    """
    mlflow = import_extra("mlflow", "mlflow", "mlflow.pyfunc")
    with tempfile.TemporaryDirectory(prefix="fitwell-") as directory:
        # first: what cannot be saved is refused before there is a run
        saved = result.save(Path(directory) / "run")
        with _run(mlflow) as run:
            _log_numbers(mlflow, run, result)
            for name in LOGGED:
                mlflow.log_artifact(str(saved / name))
            mlflow.log_text(result.table.write_csv(), "strengths.csv")
            mlflow.log_text(str(result), "summary.txt")
            _log_model(mlflow, result, Path(directory))
    return run


@contextmanager
def _run(mlflow: Any) -> Iterator[str]:
    """Yield the id of the active run, which is somebody's own to end, or of a new one."""
    if active := mlflow.active_run():
        yield active.info.run_id
        return
    with mlflow.start_run() as run:
        yield run.info.run_id


def _log_numbers(mlflow: Any, run: str, result: Result) -> None:
    from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]

    found, now = tracked(result), int(time.time() * 1000)
    metrics = [Metric(_name(name), value, now, 0) for name, value in found.numbers.items()]
    for network, curves in found.curves.items():
        for name, curve in curves.items():
            # an epoch at which a network diverged has no number
            told = [(epoch, loss) for epoch, loss in enumerate(curve.tolist(), 1) if np.isfinite(loss)]
            metrics += [Metric(_name(f"{network}/{name}"), loss, now, epoch) for epoch, loss in told]
    client = mlflow.MlflowClient()
    for start in range(0, len(metrics), AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + AT_ONCE])
    mlflow.log_params(found.settings)


def _log_model(mlflow: Any, result: Result, directory: Path) -> None:
    # what predicts, and nothing of the search: it travels to wherever the model is served
    inside = directory / MODEL
    inside.mkdir()
    result.predictor.write(inside)
    mlflow.pyfunc.log_model(
        name=MODEL,
        # no pickle: the files are read by `_load_pyfunc`, in this module
        loader_module=__name__,
        data_path=str(inside),
        # given, for MLflow would load the model in another process to see what it imports
        pip_requirements=[f"fitwell=={__version__}", "pandas"],
    )


def _name(text: str) -> str:
    """Return a name with MLflow's letters only."""
    return re.sub(r"[^\w./: -]", "_", text)


class TableModel:
    """What MLflow calls to predict.

    Parameters
    ----------
    directory
        Where `Result.predictor` was written.
    """

    def __init__(self, directory: str) -> None:
        self._predictor = load(directory)

    def predict(self, rows: Any) -> Any:
        """Predict rows as `Result.predict` does; of a table as a pandas frame, which MLflow's servers know."""
        found = self._predictor.predict(rows)
        return found.to_pandas() if hasattr(found, "to_pandas") else found


def _load_pyfunc(path: str) -> TableModel:
    """Load a logged model; MLflow asks for a function of this name."""
    return TableModel(path)
