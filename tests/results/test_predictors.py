from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from example_tables import QUICK, mixed

from fitwell.api.tune import tune
from fitwell.errors import FileError, FitwellWarning, InputError
from fitwell.results.predictors import ENCODING_FILE, MODEL_FILE, TablePredictor
from fitwell.results.storage import load


@pytest.fixture
def run(result, tmp_path: Path) -> Path:
    return result.save(tmp_path / "run")


def test_a_loaded_run_predicts_the_same_bit_for_bit(result, run: Path) -> None:
    """What was saved predicts what the result in memory does."""
    np.testing.assert_array_equal(load(run).predict_numbers(mixed()), result.predictor.predict_numbers(mixed()))


@pytest.mark.slow
def test_another_process_predicts_the_same(result, run: Path) -> None:
    """A fresh process needs only the directory."""
    code = "import fitwell, sys; fitwell.load('run').predict('new.csv').write_parquet('out.parquet')"
    mixed().write_csv(run.parent / "new.csv")
    subprocess.run([sys.executable, "-c", code], cwd=run.parent, check=True)
    expected = result.predict(mixed())
    found = pl.read_parquet(run.parent / "out.parquet")
    assert found.columns == ["ill", "probability of no", "probability of yes"]
    assert found["ill"].to_list() == expected["ill"].to_list()
    np.testing.assert_allclose(found["probability of no"], expected["probability of no"], atol=1e-6)


def test_labels_keep_their_type() -> None:
    """Classes 0 and 1 come back as integers, not as text."""
    frame = mixed().with_columns((pl.col("ill") == "yes").cast(pl.Int64).alias("ill"))
    predicted = tune(frame, "ill", **QUICK).predict(frame)
    assert predicted["ill"].dtype == pl.Int64
    assert set(predicted["ill"]) <= {0, 1}


def test_a_frame_comes_back_in_its_library(result) -> None:
    """Of pandas with its index, of Arrow a table; the numbers are those of polars."""
    table = mixed()[:40]
    expected = result.predict(table)
    frame = table.to_pandas().set_index(pd.Index(range(100, 140), name="patient"))
    found = result.predict(frame)
    pd.testing.assert_index_equal(found.index, frame.index)
    assert pl.from_pandas(found).equals(expected)
    assert list(frame.assign(ill_said=found["ill"])["ill_said"]) == expected["ill"].to_list()
    arrow = result.predict(table.to_arrow())
    assert isinstance(arrow, pa.Table)
    assert pl.from_arrow(arrow).equals(expected)
    kept = result.predictor.predict(frame, keep="city")
    assert kept.columns[0] == "city"
    assert kept.index[0] == 100


def test_missing_columns_are_all_named(result) -> None:
    """A table without two of the columns is refused with both names."""
    with pytest.raises(InputError, match=r"'age'.*'city'"):
        result.predict(mixed().drop("age", "city"))


def test_extra_columns_are_ignored_and_named(result) -> None:
    """A new column changes nothing and is reported; the target is no extra column."""
    more = mixed().with_columns(pl.lit(1).alias("weight"))
    assert result.predictor.ignored_columns(more) == ("weight",)
    assert result.predict(more).equals(result.predict(mixed()))


def test_unseen_categories_and_missing_values_are_handled(result) -> None:
    """A city nobody has seen and a row of missing values get probabilities."""
    new = (
        mixed()
        .head(2)
        .with_columns(
            pl.Series("city", ["Atlantis", None]),
            pl.Series("age", [1e9, None]),
            pl.Series("dose", [None, None], dtype=pl.Float64),
        )
    )
    with pytest.warns(FitwellWarning, match="'city' in 1 of 2 rows"):
        numbers = result.predictor.predict_numbers(new)
    assert np.isfinite(numbers).all()
    np.testing.assert_allclose(numbers.sum(axis=1), 1, rtol=1e-5)


def test_a_text_where_a_number_was(result) -> None:
    """The column, the row and the text are named."""
    new = mixed().head(3).with_columns(pl.Series("dose", ["1.5", "much", "2"]))
    with pytest.raises(InputError, match=r"'dose'.*2.*much|much.*'dose'.*2|'dose'.*much.*2"):
        result.predict(new)


def test_one_row_is_enough(result) -> None:
    """A single record predicts as it does among others."""
    alone = result.predictor.predict_numbers(mixed().head(1))
    np.testing.assert_allclose(alone, result.predictor.predict_numbers(mixed())[:1], rtol=1e-5)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda run: (run / MODEL_FILE).unlink(), "'encoding.json' or 'model.keras' is missing"),
        (lambda run: (run / MODEL_FILE).write_bytes(b"no model"), "cannot be loaded"),
        (lambda run: (run / ENCODING_FILE).write_text("{"), "is damaged"),
        (lambda run: (run / ENCODING_FILE).write_text('{"format": 99}'), "has format 99"),
        (lambda run: (run / ENCODING_FILE).write_text('{"format": 1}'), "is damaged"),
    ],
)
def test_damaged_runs(run: Path, damage, sentence: str) -> None:
    """Each damage to a saved run gets its sentence."""
    damage(run)
    with pytest.raises(FileError, match=sentence):
        load(run)


def test_no_such_run(tmp_path: Path) -> None:
    """A directory that is not there is named."""
    with pytest.raises(FileError, match="There is no directory"):
        load(tmp_path / "nowhere")


def test_the_encoding_is_plain_json(run: Path) -> None:
    """The encoding holds plain JSON, no pickle, and says what it predicts."""
    stored = json.loads((run / ENCODING_FILE).read_text(encoding="utf-8"))
    assert stored["target"] == "ill"
    assert stored["classes"] == ["no", "yes"]
    assert len(stored["encodings"]) == 3


def test_unseen_categories_are_counted(result) -> None:
    """A warning counts, by column, the rows whose category training did not have; missing ones are none."""
    new = mixed().with_columns(
        pl.Series("city", [*["Atlantis", "Ys", None], *mixed()["city"][3:]]),
    )
    with pytest.warns(FitwellWarning, match=r"count as \"other\": 'city' in 2 of 90 rows\."):
        predicted = result.predict(new)
    with pytest.warns(FitwellWarning, match="'city' in 2 of 90"):
        kept = result.predictor.predict(new, keep="city")
    assert kept.drop("city").equals(predicted)
    assert kept["city"].equals(new["city"])
    result.predict(mixed())  # a warning would be an error here


# ---- several targets -------------------------------------------------------------------------------------------------

TABLE = pl.DataFrame({"x": np.arange(60.0), "z": np.sin(np.arange(60))}).with_columns(
    a=pl.col("x") + 20 * pl.col("z"),
    b=1.7e9 - pl.col("x") + 30 * pl.col("z"),
    yes=pl.Series(np.where(np.arange(60) % 3 > 0, "yes", "no")),
    flag=pl.Series(np.arange(60) > 30),
)
NAMES = {
    "values": (["a", "b"], ["a", "b"]),
    "labels": (["yes", "flag"], ["yes", "flag", "probability of yes", "probability of flag"]),
}


@pytest.mark.parametrize(("targets", "columns"), NAMES.values(), ids=NAMES)
def test_several_targets_are_columns(targets: list[str], columns: list[str], tmp_path: Path) -> None:
    """A column each, labels in their type and with probabilities; a saved run says the same, bit for bit."""
    drop = [name for other, _ in NAMES.values() for name in other if name not in targets]
    found = tune(TABLE, targets, drop=drop, strengths=2, epochs=3, hidden=(4,), cv=3)
    predicted = found.predict(TABLE)
    assert predicted.columns == columns
    assert predicted.schema["flag" if "flag" in targets else "a"] == TABLE.schema["flag" if "flag" in targets else "a"]
    again = load(found.save(tmp_path / "run"))
    assert again.predict(TABLE).equals(predicted)
    assert isinstance(again, TablePredictor)
    assert again.ignored_columns(TABLE.with_columns(new=1)) == ("new",)
    with pytest.raises(InputError, match=f"'{targets[1]}' cannot be kept, for a prediction is called so"):
        again.predict(TABLE, keep=targets[1])
    if "flag" in targets:
        assert (predicted["flag"] == (predicted["probability of flag"] > 0.5)).all()
    stored = json.loads((tmp_path / "run" / ENCODING_FILE).read_text())
    assert (stored["format"], [one["name"] for one in stored["outputs"]]) == (3, targets)
