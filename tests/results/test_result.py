from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from revised import revised

from fitwell.errors import FileError
from fitwell.regularization.by_layer import Layers
from fitwell.report import words
from fitwell.results import storage
from fitwell.results.result import Result


def test_a_run_holds_the_whole_search(result, tmp_path: Path) -> None:
    """The saved files are the ones promised, and the tables hold every strength and every epoch trained."""
    run = result.save(tmp_path / "run")
    names = {"encoding.json", "model.keras", "run.json", "report.html", "tfjs"}
    names |= {f"{table}.parquet" for table in ("strengths", "histories", "held_out")}
    assert {path.name for path in run.iterdir()} == names
    assert pl.read_parquet(run / "held_out.parquet").equals(result.held_out)
    assert pl.read_parquet(run / "strengths.parquet").equals(result.table)
    curves = pl.read_parquet(run / "histories.parquet")
    assert curves.height == 3 * result.search.histories.epochs.sum()
    first = curves.filter((pl.col("row_set") == 1) & (pl.col("strength") == 2) & (pl.col("epoch") == 1))
    assert first["held_out_loss"][0] == result.search.histories.held_out_loss[1, 2, 0]


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
    plain = result.search.unregularized()
    last = result.search.histories.epochs[0] - 1
    assert plain["train_loss"] == pytest.approx(result.search.histories.train_loss[:, 0, last].mean())
    assert plain["gap"] == pytest.approx(plain["held_out_loss"] - plain["train_loss"])
    assert plain["best_held_out_loss"] <= plain["held_out_loss"]


def test_the_standard_error_is_over_row_sets(result) -> None:
    """It is the standard deviation of the row sets' losses over the root of their number."""
    losses = result.search.histories.at_best("held_out_loss")[:, result.choice.minimum]
    assert result.table["standard_error"][0] == pytest.approx(losses.std(ddof=1) / np.sqrt(3), rel=1e-6)


def as_given(result: Result, *, alone: bool = False, members: tuple[int, ...] = (2,)) -> Result:
    """The result as if strength 2 had been the network as given, trained once on all rows."""
    candidates = replace(result.search.candidates, given=2)
    choice = replace(result.choice, given=2, leave_alone=alone)
    chosen = 2 if alone else members[0]
    return revised(result, candidates=candidates, choice=choice, refit="single", members=members, chosen=chosen)


def test_the_comparison(result: Result) -> None:
    """Losses are means over row sets at the best epochs, differences are paired with the chosen, and it has none."""
    found = as_given(result, members=(1,))
    frame = found.comparison
    assert frame["network"].to_list() == ["as given", "unregularized", "chosen"]
    held_out = result.search.histories.at_best("held_out_loss")
    numbers = [2, 0, 1]
    np.testing.assert_allclose(frame["held_out_loss"], held_out.mean(axis=0)[numbers], rtol=1e-12)
    np.testing.assert_allclose(
        frame["training_loss"], result.search.histories.at_best("train_loss").mean(axis=0)[numbers]
    )
    differences = held_out[:, numbers] - held_out[:, [1]]
    np.testing.assert_allclose(frame["difference"], differences.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(frame["standard_error"], differences.std(axis=0, ddof=1) / np.sqrt(3), atol=1e-12)
    assert frame["epoch"].to_list() == result.search.histories.best_epoch[numbers].tolist()
    assert frame["regularization"].to_list() == [str(result.search.candidates.regularization(g)) for g in numbers]
    assert result.comparison["network"].to_list() == ["unregularized", "chosen"]


def test_what_was_chosen(result: Result) -> None:
    """With an ensemble the strength of the 1se rule stands for the answer; its strengths are the regularization."""
    assert result.answer.refit == "ensemble"
    assert result.answer.chosen == result.choice.one_standard_error
    assert result.regularization == result.search.candidates.regularization(result.choice.one_standard_error)
    assert as_given(result, members=(3,)).regularization == result.search.candidates.regularization(3)


def test_what_is_stored_is_said(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`store` says whether the run is there for TensorFlow.js, as its document does."""
    whole = result.store(tmp_path / "whole")
    assert (whole.directory, whole.without_tfjs) == (tmp_path / "whole", None)
    monkeypatch.setattr(storage, "add_tfjs", lambda *_: "a GRU")
    assert result.store(tmp_path / "part").without_tfjs == "a GRU"
    assert json.loads((tmp_path / "part" / "run.json").read_text())["tfjs"] == "a GRU"


def test_it_prints_the_comparison(result: Result) -> None:
    """One line a network, as wide as its numbers need, and the sentence only where the network is left alone."""
    lines = str(as_given(result, alone=True)).splitlines()
    assert lines[0] == "3 row sets x 4 strengths = 12 networks; log loss"
    assert lines[1].split() == ["training", "held", "out", "difference", "std.", "error", "epoch"]
    assert [line.split("  ")[0] for line in lines[2:5]] == ["as given", "unregularized", "chosen"]
    assert lines[5].startswith("Leave it alone: ")
    assert lines[6] == f"{result.score}."
    assert lines[7].startswith("The network as given, at epoch ")
    assert len(lines) == 7 + len(words.verdict_of(result.search, result.answer))
    assert len(str(result).splitlines()) == len(lines) - 2  # no row "as given", no sentence
    assert repr(result) == str(result)


def test_a_diverged_network_is_compared(result: Result) -> None:
    """Where the network as given diverged the comparison still prints, and the document is strict JSON."""
    histories = result.search.histories
    curve = histories.held_out_loss.copy()
    curve[:, 2] = np.nan
    broken = replace(histories, held_out_loss=curve, best_epoch=np.where(np.arange(4) == 2, 0, histories.best_epoch))
    found = as_given(revised(result, histories=broken), members=(1,))
    assert "nan" in str(found).splitlines()[2]
    json.dumps(found.to_json(), allow_nan=False)


def test_the_document_has_strengths_by_layer(result: Result) -> None:
    """Which was given, whether it is left alone, strengths by layer and the layers' table are all in it."""
    layers = Layers(("hidden_1", "output"), ("hidden_1",))
    strengths = {"l2": np.repeat(result.search.candidates.strengths["l2"][:, None], 2, axis=1) * [1.0, 2.0]}
    candidates = replace(result.search.candidates, strengths=strengths, layers=layers, given=2)
    table = pl.DataFrame({"layer": ["hidden_1"], "l2": [0.5], "share_of_zeros": [None]})
    found = revised(as_given(result, alone=True), candidates=candidates, layers=table)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (document["choice"]["given"], document["choice"]["leave_alone"]) == (2, True)
    assert document["choice"]["confidence_set"] == np.flatnonzero(found.choice.confidence_set).tolist()
    assert document["choice"]["most_regularized"]["strength"] == found.choice.most_regularized
    assert document["layers"] == [{"layer": "hidden_1", "l2": 0.5, "share_of_zeros": None}]
    minimum = document["choice"]["minimum"]
    row = strengths["l2"][minimum["strength"]]
    assert minimum["l2"] == (0.0 if not row.any() else {"hidden_1": row[0], "output": row[1]})
    rows = {entry["strength"]: entry for entry in document["strengths"]}
    for g, (first, last) in enumerate(strengths["l2"]):
        assert rows[g]["l2"] == ({"hidden_1": first, "output": last} if first else 0.0)
        assert rows[g]["regularization"] == str(candidates.regularization(g))
    assert document["choice"]["minimum"]["regularization"] == rows[minimum["strength"]]["regularization"]
    assert result.to_json()["layers"] is None
