"""What is handed over predicts what the search recorded, also where float32 could not hold the target."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, mixed
from tfjs_node import MISSING, ROOT, available

from fitwell.api.export import export
from fitwell.api.tune import tune
from fitwell.data.target_units import VALUES
from fitwell.errors import TrainingError
from fitwell.problems import dense
from fitwell.results.result import Result
from fitwell.results.storage import load
from fitwell.studies import handing_over

pytestmark = pytest.mark.slow

OFFSET = 1.7e9
"""Seconds since 1970, of which the table's differ by minutes."""


def stamped(rows: int = 300) -> pl.DataFrame:
    """A moment that depends on two numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2))
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "at": OFFSET + 60 * (x[:, 0] - x[:, 1])})


@pytest.fixture(scope="module")
def result() -> Result:
    """An ensemble on such a table."""
    return tune(stamped(), "at", **{**QUICK, "epochs": 30})


def test_a_large_offset_is_not_lost(result: Result) -> None:
    """Every row has a prediction of its own, as near the truth as the score says; float32 alone has one for all."""
    predicted = result.predict(stamped())["at"].to_numpy()
    assert len(np.unique(predicted)) > 290
    error = float(np.sqrt(np.mean((predicted - stamped()["at"].to_numpy()) ** 2)))
    assert error < 1.2 * result.scores["ensemble"]["RMSE"] < 60
    assert len(np.unique(predicted.astype(np.float32))) < 10  # the break: float32's step is 128 seconds there


def test_the_same_after_saving_and_in_a_single_refit(result: Result, tmp_path: Path) -> None:
    """A saved run knows the units; so does one network on all rows; an exported model comes with a sentence."""
    run = result.save(tmp_path / "run")
    np.testing.assert_array_equal(load(run).predict_numbers(stamped()), result.predictor.predict_numbers(stamped()))
    _, units = export(run, "keras", tmp_path / "model.keras")
    shift, scale = result.predictor.units.shift, result.predictor.units.scale
    assert f"in float64 a value is {shift!r} + {scale!r} * output" in units
    single = tune(stamped(), "at", **{**QUICK, "epochs": 30}, refit="single").predict(stamped())["at"]
    assert single.n_unique() > 290


@pytest.mark.skipif(not available(), reason=MISSING)
def test_javascript_applies_the_units_too(result: Result, tmp_path: Path) -> None:
    """`predict.js` gives Python's numbers to well below what float32 could tell apart."""
    export(result.save(tmp_path / "run"), "tfjs", tmp_path / "web")
    records = stamped()[:50].drop("at").to_dicts()
    done = subprocess.run(
        ["node", str(tmp_path / "web" / "predict.js"), json.dumps(records)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NODE_PATH": str(ROOT / "node_modules")},
    )
    found = [row["prediction"] for row in json.loads(done.stdout)]
    np.testing.assert_allclose(found, result.predict(stamped()[:50])["at"], rtol=0, atol=0.01)


def test_an_ordinary_target_stays_in_the_model() -> None:
    """Where float32 is enough the plain Keras model gives the values themselves."""
    frame = stamped().with_columns(pl.col("at") - OFFSET)
    found = tune(frame, "at", **QUICK)
    assert found.predictor.units == VALUES


@pytest.mark.parametrize("target", ["dose", "ill"])
def test_what_does_not_predict_what_was_trained_is_an_error(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault on the way into the model is found: here a kernel that is a tenth too large, or not at all."""
    frame = mixed().drop_nulls()
    tune(frame, target, **QUICK)  # it passes as it is

    whole = dense.tower

    def wrong(*arguments: Any, **named: Any) -> Any:
        found = whole(*arguments, **named)
        return replace(found, layers=[(1.1 * kernel, bias) for kernel, bias in found.layers])

    monkeypatch.setattr(dense, "tower", wrong)
    with pytest.raises(
        TrainingError, match=r"does not predict what was trained: of row \d+ it says .*please report it"
    ):
        tune(frame, target, **QUICK)


def test_predictions_are_compared_by_their_spread() -> None:
    """Rounding passes, whatever the size of the numbers; a thousandth of the spread does not, nor does NaN."""
    recorded, rows = 1e6 + np.arange(5.0), np.arange(5)
    handing_over._compare(recorded, recorded + 1e-4, rows)
    for wrong in (recorded + 0.5, np.where(rows == 3, np.nan, recorded)):
        with pytest.raises(TrainingError, match="of row"):
            handing_over._compare(recorded, wrong, rows)


def test_numbers_of_16_bits_are_compared_by_their_steps() -> None:
    """One step of bfloat16 at 0.55 is rounding there, and a fault in float32; a tenth is a fault in both."""
    recorded, rows = np.array([0.08, 0.554688, 0.69]), np.arange(3)
    one_step = recorded + np.array([0, 2.0**-8, 0])
    handing_over._compare(recorded, one_step, rows, 2.0**-7)
    for wrong, step in ((one_step, 0.0), (recorded + 0.1, 2.0**-7)):
        with pytest.raises(TrainingError, match="of row"):
            handing_over._compare(recorded, wrong, rows, step)
