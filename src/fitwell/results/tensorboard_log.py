"""A result in TensorBoard: curves of the compared networks, scores, every strength as a row of hyperparameters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fitwell.directories import fresh_directory
from fitwell.errors import FileError
from fitwell.extras import import_extra
from fitwell.results.result import Result
from fitwell.results.tracked import strengths_of, tracked

WRITER = "summary.writer.event_file_writer"
"""TensorBoard's own, which needs no TensorFlow."""

LOSS = "held-out loss"
"""What the table of hyperparameters compares strengths by."""


def log_to_tensorboard(result: Result, directory: str | Path) -> Path:
    """Log what a search found for TensorBoard, into a new directory.

    Its sub-directories are TensorBoard's runs: `unregularized`, `chosen` (and `as given`, a model's own) hold training
    and held-out losses by epoch; `scores` the honest loss with its interval, cross-validated scores, baselines, and the
    summary as text; `strengths/000` and on one strength each, for the tab *HParams*: what it is, and its held-out loss
    at its best epoch.

    Only the package `tensorboard` is needed, neither TensorFlow nor PyTorch.

    Returns
    -------
    The directory: ``tensorboard --logdir`` shows it.

    Raises
    ------
    InputError
        TensorBoard is not installed.
    FileError
        The directory exists, or cannot be written.

    Examples
    --------
    >>> fitwell.log_to_tensorboard(result, "logs/dropout")  # doctest: +SKIP
    """
    import_extra("tensorboard", "tensorboard", f"tensorboard.{WRITER}")
    directory = Path(directory)
    # TensorBoard would draw both logs as one curve
    if directory.exists():
        raise FileError(f"'{directory}' exists already: name another directory for this log.")
    found = tracked(result)
    with fresh_directory(directory, force=False, mark=".", ours=()) as inside:
        for network, curves in found.curves.items():
            with _events(inside / network) as events:
                for name, curve in curves.items():
                    for epoch, loss in enumerate(curve.tolist(), 1):
                        events.scalar(name, loss, epoch)
        with _events(inside / "scores") as events:
            for name, number in found.numbers.items():
                events.scalar(name, number, 0)
            events.text("summary", "\n".join(f"    {line}" for line in str(result).splitlines()))
            events.text("settings", "\n".join(f"    {name} = {value}" for name, value in found.settings.items()))
        _log_strengths(result, inside / "strengths")
    return directory


def _log_strengths(result: Result, directory: Path) -> None:
    histories = result.search.histories
    losses = histories.at_best("held_out_loss").mean(axis=0)
    for strength, loss in enumerate(losses.tolist()):
        with _events(directory / f"{strength:03d}") as events:
            events.hyperparameters(strengths_of(result, strength), LOSS, f"strength {strength}")
            if np.isfinite(loss):
                events.scalar(LOSS, loss, int(histories.best_epoch[strength]))


class Events:
    """A file of events, as TensorBoard's protocol buffers; TensorFlow's own writer would need TensorFlow."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number of a step."""
        self._write(step, tag=tag, simple_value=value)

    def text(self, tag: str, markdown: str) -> None:
        """Write a text."""
        kind = _part("compat.proto.types_pb2").DT_STRING
        tensor = _part("compat.proto.tensor_pb2").TensorProto(dtype=kind, string_val=[markdown.encode()])
        metadata = _part("plugins.text.metadata").create_summary_metadata(tag, "")
        self._write(0, tag=tag, tensor=tensor, metadata=metadata)

    def hyperparameters(self, values: Mapping[str, str | float], metric: str, name: str) -> None:
        """Write what the tab *HParams* knows a run by: values, name, and the metric that runs are compared by."""
        api_pb2, metadata = _part("plugins.hparams.api_pb2"), _part("plugins.hparams.metadata")
        plugin_data_pb2 = _part("plugins.hparams.plugin_data_pb2")
        kinds = {str: api_pb2.DATA_TYPE_STRING, float: api_pb2.DATA_TYPE_FLOAT64}
        about = [api_pb2.HParamInfo(name=key, type=kinds[type(value)]) for key, value in values.items()]
        measured = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=metric))]
        start = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=time.time())
        for key, value in values.items():
            if isinstance(value, str):
                start.hparams[key].string_value = value
            else:
                start.hparams[key].number_value = value
        end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
        version = metadata.PLUGIN_DATA_VERSION
        for tag, said in (
            (metadata.EXPERIMENT_TAG, {"experiment": api_pb2.Experiment(hparam_infos=about, metric_infos=measured)}),
            (metadata.SESSION_START_INFO_TAG, {"session_start_info": start}),
            (metadata.SESSION_END_INFO_TAG, {"session_end_info": end}),
        ):
            content = plugin_data_pb2.HParamsPluginData(version=version, **said)
            self._plugin(tag, metadata.PLUGIN_NAME, content.SerializeToString())

    def _plugin(self, tag: str, plugin: str, content: bytes) -> None:
        kind = _part("compat.proto.summary_pb2").SummaryMetadata
        data = kind.PluginData(plugin_name=plugin, content=content)
        self._write(0, tag=tag, metadata=kind(plugin_data=data))

    def _write(self, step: int, **value: Any) -> None:
        kind = _part("compat.proto.summary_pb2").Summary
        summary = kind(value=[kind.Value(**value)])
        self._writer.add_event(_part("compat.proto.event_pb2").Event(wall_time=time.time(), step=step, summary=summary))


def _part(name: str) -> Any:
    """Return one of TensorBoard's modules; what is in those of its protocol buffers no type checker knows."""
    return import_module(f"tensorboard.{name}")


@contextmanager
def _events(directory: Path) -> Iterator[Events]:
    """Yield the events of one of TensorBoard's runs; each file is whole when it is left."""
    writer = _part(WRITER).EventFileWriter(str(directory))
    try:
        yield Events(writer)
    finally:
        writer.close()
