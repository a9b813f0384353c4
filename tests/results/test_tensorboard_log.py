from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitwell
from fitwell.errors import FileError, InputError
from fitwell.results.result import Result
from fitwell.results.tracked import strengths_of, tracked

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")


@pytest.fixture(scope="module")
def log(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result, logged."""
    return fitwell.log_to_tensorboard(result, tmp_path_factory.mktemp("logs") / "log")


def read(run: Path) -> Any:
    """What TensorBoard's own reader finds in one of its runs."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run)).Reload()


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """By tag, each step and its value."""
    events = read(run)
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_the_curves_are_read_back(result: Result, log: Path) -> None:
    """Every epoch of every curve is a step of its run, to the rounding of float32; a changed number would be seen."""
    for network, curves in tracked(result).curves.items():
        found = scalars(log / network)
        assert set(found) == set(curves)
        for name, curve in curves.items():
            assert [step for step, _ in found[name]] == list(range(1, len(curve) + 1))
            np.testing.assert_array_equal([value for _, value in found[name]], curve.astype(np.float32))
    held_out = [value for _, value in scalars(log / "chosen")["log loss/held out"]]
    other = tracked(result).curves["unregularized"]["log loss/held out"].astype(np.float32)
    assert not np.array_equal(held_out, other)  # the break


def test_scores_and_words_are_read_back(result: Result, log: Path) -> None:
    """The honest loss, its interval and all scores are there, and the result as text."""
    found = scalars(log / "scores")
    assert found.keys() == tracked(result).numbers.keys()
    assert found["honest/loss"] == [(0, np.float32(result.score.value))]
    events = read(log / "scores")
    text = events.Tensors("summary")[0].tensor_proto.string_val[0].decode()
    assert [line.strip() for line in text.splitlines()] == [line.strip() for line in str(result).splitlines()]
    assert events.SummaryMetadata("summary").plugin_data.plugin_name == "text"


def test_every_strength_is_a_row_of_hyperparameters(result: Result, log: Path) -> None:
    """What the tab HParams asks its data for: each strength, by its own values, with its held-out loss."""
    from tensorboard.plugins.hparams import metadata

    runs = sorted((log / "strengths").iterdir())
    assert [run.name for run in runs] == ["000", "001", "002", "003"]
    for strength, run in enumerate(runs):
        data = read(run).summary_metadata
        started = metadata.parse_session_start_info_plugin_data(
            data[metadata.SESSION_START_INFO_TAG].plugin_data.content
        )
        assert {key: value.number_value for key, value in started.hparams.items()} == strengths_of(result, strength)
        experiment = metadata.parse_experiment_plugin_data(data[metadata.EXPERIMENT_TAG].plugin_data.content)
        assert [info.name.tag for info in experiment.metric_infos] == ["held-out loss"]
        assert {info.name for info in experiment.hparam_infos} == set(started.hparams)
        best = result.search.histories.best_loss[strength]
        assert scalars(run)["held-out loss"] == [
            (result.search.histories.best_epoch[strength], pytest.approx(best, rel=1e-6))
        ]
    first = metadata.parse_session_start_info_plugin_data(
        read(runs[0]).summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    )
    assert dict(first.hparams) != dict(started.hparams)  # the break


def test_layers_are_told_as_text(tmp_path: Path) -> None:
    """A strength that differs by layer is no one number: it is a text of all."""
    from tensorboard.plugins.hparams import metadata

    from fitwell.results.tensorboard_log import _events

    with _events(tmp_path) as events:
        events.hyperparameters({"l2": '{"dense": 0.1}', "learning_rate": 0.01}, "held-out loss", "one")
    content = read(tmp_path).summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    assert (values["l2"].string_value, values["learning_rate"].number_value) == ('{"dense": 0.1}', 0.01)


def test_a_log_is_not_mixed_with_another(result: Result, log: Path, tmp_path: Path) -> None:
    """A directory that exists is refused, and stays as it was; nothing is left of a log that failed."""
    before = sorted(path.name for path in log.rglob("*"))
    with pytest.raises(FileError, match="exists already: name another directory for this log"):
        fitwell.log_to_tensorboard(result, log)
    assert sorted(path.name for path in log.rglob("*")) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"'.*file/log' cannot be made"):
        fitwell.log_to_tensorboard(result, tmp_path / "file" / "log")


def test_what_to_install(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TensorBoard one sentence says what to install, before anything is written."""
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(InputError, match=r'takes the package tensorboard.*: pip install "fitwell\[tensorboard\]"'):
        fitwell.log_to_tensorboard(result, tmp_path / "log")
    assert not (tmp_path / "log").exists()


@pytest.mark.slow
def test_neither_tensorflow_nor_torch_is_needed(tmp_path: Path) -> None:
    """A log is written with the package tensorboard alone."""
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["torch"] = sys.modules["tensorboardX"] = None
import fitwell, numpy as np
x = np.random.default_rng(0).normal(size=(60, 3))
print(fitwell.log_to_tensorboard(fitwell.tune(x, x[:, 0] > 0, strengths=2, epochs=2), "log"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "log").rglob("events.*"))) == 5
