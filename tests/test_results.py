from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fitwell.errors import FileError


def test_a_run_holds_the_whole_search(result, tmp_path: Path) -> None:
    """The saved files are the ones promised, and the tables hold every strength and every epoch trained."""
    run = result.save(tmp_path / "run")
    names = ["encoding.json", "histories.parquet", "model.keras", "run.json", "strengths.parquet"]
    assert sorted(path.name for path in run.iterdir()) == names
    assert pl.read_parquet(run / "strengths.parquet").equals(result.table)
    curves = pl.read_parquet(run / "histories.parquet")
    assert curves.height == 3 * result.histories.epochs.sum()
    first = curves.filter((pl.col("row_set") == 1) & (pl.col("strength") == 2) & (pl.col("epoch") == 1))
    assert first["held_out_loss"][0] == result.histories.held_out_loss[1, 2, 0]


def test_the_document_is_strict_json(result) -> None:
    """to_json holds plain types only, versions and seed among them, and no NaN."""
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["seed"] == 0
    assert document["plan"]["networks"] == 12
    assert {"jax", "keras", "python"} <= set(document["versions"])
    assert len(document["strengths"]) == 4


def test_a_run_is_not_overwritten(result, tmp_path: Path) -> None:
    """Saving twice needs force."""
    run = result.save(tmp_path / "run")
    with pytest.raises(FileError, match="--force"):
        result.save(run)
    result.save(run, force=True)


def test_the_gap_is_held_out_minus_training_loss(result) -> None:
    """The unregularized network's numbers are those of its last epoch's curves."""
    plain = result.unregularized()
    last = result.histories.epochs[0] - 1
    assert plain["train_loss"] == pytest.approx(result.histories.train_loss[:, 0, last].mean())
    assert plain["gap"] == pytest.approx(plain["held_out_loss"] - plain["train_loss"])
    assert plain["best_held_out_loss"] <= plain["held_out_loss"]


def test_the_standard_error_is_over_row_sets(result) -> None:
    """It is the standard deviation of the row sets' losses over the root of their number."""
    losses = result.histories.at_best("held_out_loss")[:, result.choice.minimum]
    assert result.table["standard_error"][0] == pytest.approx(losses.std(ddof=1) / np.sqrt(3), rel=1e-6)
