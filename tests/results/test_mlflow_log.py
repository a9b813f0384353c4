from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed

import fitwell
from fitwell.errors import InputError
from fitwell.results.mlflow_log import LOGGED
from fitwell.results.result import Result
from fitwell.results.tracked import tracked

# its import alone takes seconds
pytestmark = [
    pytest.mark.slow,
    # of a type of MLflow's own, when it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """MLflow, with its records in a directory of these tests."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path_factory.mktemp("mlflow") / "mlruns").as_uri())
    yield mlflow
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def run(mlflow: ModuleType, result: Result) -> str:
    """A result, logged."""
    assert mlflow.active_run() is None
    return fitwell.log_to_mlflow(result)


def test_the_choice_is_read_back(mlflow: ModuleType, result: Result, run: str) -> None:
    """Chosen strengths and options are parameters; the honest loss, its interval, scores and baselines are metrics."""
    data = mlflow.get_run(run).data
    found = tracked(result)
    assert data.params == {name: str(value) for name, value in found.settings.items()}
    assert found.numbers.items() <= data.metrics.items()
    assert data.metrics["honest/low"] < data.metrics["honest/loss"] < data.metrics["honest/high"]
    assert data.params["l2"] != str(found.settings["dropout"])  # the break
    assert mlflow.active_run() is None


def test_the_curves_are_read_back(mlflow: ModuleType, result: Result, run: str) -> None:
    """Each epoch of each curve is a step of a metric, to the last bit; another network's would differ."""
    client = mlflow.MlflowClient()
    for network, curves in tracked(result).curves.items():
        for name, curve in curves.items():
            history = sorted(client.get_metric_history(run, f"{network}/{name}"), key=lambda metric: metric.step)
            assert [metric.step for metric in history] == list(range(1, len(curve) + 1))
            assert [metric.value for metric in history] == curve.tolist()
    first = [
        client.get_metric_history(run, f"{network}/log loss/held out")[-1].value for network in tracked(result).curves
    ]
    assert len(set(first)) == 2  # the break


def test_report_and_tables_are_artifacts(mlflow: ModuleType, result: Result, run: str, tmp_path: Path) -> None:
    """The report, the whole search, and the table of strengths once more as text that MLflow shows."""
    names = {item.path for item in mlflow.artifacts.list_artifacts(run_id=run)}
    assert names >= {*LOGGED, "strengths.csv", "summary.txt"}
    mlflow.artifacts.download_artifacts(run_id=run, dst_path=str(tmp_path))
    assert pl.read_parquet(tmp_path / "strengths.parquet").equals(result.table)
    assert pl.read_csv(tmp_path / "strengths.csv")["strength"].to_list() == result.table["strength"].to_list()
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "summary.txt").read_text() == str(result)


def test_the_model_predicts_raw_tables(mlflow: ModuleType, result: Result, run: str) -> None:
    """Loaded by MLflow it predicts a pandas frame as the result does, to the last bit; other rows otherwise."""
    model = mlflow.pyfunc.load_model(f"runs:/{run}/model")
    new = mixed(rows=40, seed=5).drop("ill")
    found = model.predict(new.to_pandas())
    expected = result.predict(new)
    assert pl.from_pandas(found).equals(expected)
    assert not pl.from_pandas(model.predict(mixed(rows=40, seed=6).to_pandas())).equals(expected)  # the break
    assert "fitwell==" in Path(mlflow.pyfunc.get_model_dependencies(f"runs:/{run}/model")).read_text()


def test_a_run_of_ones_own_is_written_into(mlflow: ModuleType, result: Result) -> None:
    """The active run takes all, keeps what it has, and stays open."""
    with mlflow.start_run(run_name="mine") as own:
        mlflow.log_param("mine", 1)
        assert fitwell.log_to_mlflow(result) == own.info.run_id
        assert mlflow.active_run().info.run_id == own.info.run_id
    data = mlflow.get_run(own.info.run_id).data
    assert data.params["mine"] == "1"
    assert "honest/loss" in data.metrics


def test_a_keras_model_predicts_arrays(mlflow: ModuleType) -> None:
    """A Keras model of one's own comes back from MLflow as what takes its arrays; its own network is compared, too."""
    import keras

    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, "relu", kernel_regularizer="l2"),
        keras.layers.Dense(2, "softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    result = fitwell.tune(model, x, y, cv=3, strengths=3, epochs=3)
    run = fitwell.log_to_mlflow(result)
    loaded: Any = mlflow.pyfunc.load_model(f"runs:/{run}/model")
    np.testing.assert_array_equal(loaded.predict(x), result.predict(x))
    given = [name for name in mlflow.get_run(run).data.metrics if name.startswith("as given/")]
    assert len(given) == 4


def test_what_cannot_be_saved_leaves_no_run(
    mlflow: ModuleType, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result without a model that can be written is refused before there is a run."""

    def refuse(*_: Any) -> Path:
        raise InputError("A network of two functions cannot be saved.")

    before = len(mlflow.search_runs(output_format="list"))
    with monkeypatch.context() as changed:
        changed.setattr(Result, "save", refuse)
        with pytest.raises(InputError, match="cannot be saved"):
            fitwell.log_to_mlflow(result)
    assert len(mlflow.search_runs(output_format="list")) == before
    fitwell.log_to_mlflow(result)
    assert len(mlflow.search_runs(output_format="list")) == before + 1  # the break


def test_what_to_install(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MLflow one sentence says what to install."""
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    with pytest.raises(InputError, match=r'takes the package mlflow.*: pip install "fitwell\[mlflow\]"'):
        fitwell.log_to_mlflow(result)
