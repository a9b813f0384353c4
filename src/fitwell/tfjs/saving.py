"""A Keras model as a TensorFlow.js layers model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fitwell.directories import fresh_directory
from fitwell.errors import FileError, InputError
from fitwell.keras.backend import import_keras
from fitwell.keras.probing import probes
from fitwell.tfjs.document import MODEL_JSON, read_document, write_document
from fitwell.tfjs.reading import from_tfjs
from fitwell.tfjs.reading.keras_names import KERAS_NAMES
from fitwell.tfjs.schema import ASSETS, MODULE, SCHEMA_FILE
from fitwell.tfjs.training_config import written_training_config
from fitwell.tfjs.weights import QUANTIZED
from fitwell.tfjs.writing import to_tfjs

FILES = (MODEL_JSON, "group*-shard*of*.bin", SCHEMA_FILE, MODULE, *ASSETS, "package.json")
"""All that is written for TensorFlow.js, as patterns."""

# a largest difference takes many rows to be seen, and these take a moment
PROBES = 256


@dataclass(frozen=True)
class Saved:
    """What a person should know of a file that was written.

    Attributes
    ----------
    notices
        Sentences: what was left out, which names had to change.
    quantized
        Largest difference that quantized weights make to the outputs for random inputs, as a share of the largest
        output; None if they were not quantized, NaN if it could not be measured.
    """

    notices: tuple[str, ...]
    quantized: float | None = None

    def __str__(self) -> str:
        lines = list(self.notices)
        if self.quantized is not None:
            change = f"at most {self.quantized:.2g} of the largest ({PROBES} random rows)"
            lines.append(f"Quantized weights change the outputs by {change}.")
        return "\n".join(lines)


def save(
    model: Any,
    directory: str | Path,
    *,
    quantize: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Saved:
    """Write a Keras model for TensorFlow.js: `model.json` and weight files, all or nothing.

    Parameters
    ----------
    model
        keras.Model made of layers, Sequential or functional.
    directory
        Must be new or empty; with `force` an earlier one is replaced.
    quantize
        `"float16"`, `"uint16"` or `"uint8"`: kernels take half or a quarter of the space, and the outputs change a
        little.
    metadata
        What to keep beside the model, plain JSON; it stands in the file as `userDefinedMetadata`. That of a file that
        was loaded is had by `fitwell.tfjs.metadata`.

    Returns
    -------
    What was left out and how much quantization changes, to print.

    Raises
    ------
    InputError
        A layer that TensorFlow.js cannot be made to compute alike; the sentence names it and what to use instead.
    FileError
        The directory exists, or cannot be written.

    Examples
    --------
    >>> import fitwell, keras, tempfile
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> fitwell.tfjs.save(model, tempfile.mkdtemp()).notices
    ()
    """
    directory = Path(directory)
    empty = directory.is_dir() and not any(directory.iterdir())
    with fresh_directory(directory, force=force or empty, mark=MODEL_JSON, ours=FILES) as inside:
        return write(model, inside, quantize=quantize, metadata=metadata)


def write(
    model: Any, directory: Path, *, quantize: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Saved:
    """Write a model into an existing directory; see `save`."""
    # before the model is walked: a misspelt name is answered at once
    if quantize is not None and quantize not in QUANTIZED:
        raise InputError(f"'quantize' must be one of {', '.join(QUANTIZED)}. Got {quantize!r}.")
    written = to_tfjs(model)
    training, untold = written_training_config(model, [tensor.layer for tensor in written.graph.outputs])
    kept = dict(metadata or {})
    if written.names:
        kept[KERAS_NAMES] = dict(written.names)
    write_document(
        directory, written.graph, written.weights, training=training, metadata=kept or None, quantize=quantize
    )
    notices = (*written.notices, *untold)
    return Saved(notices, None if quantize is None else _change(model, directory))


def _change(model: Any, directory: Path) -> float:
    """Measure what the weights as they stand in the files change in the outputs."""
    document = read_document(directory / MODEL_JSON)
    try:
        quantized = from_tfjs(document.graph, document.weights).model
        inputs = probes(model, PROBES)
    except (FileError, InputError):  # written, but not to be read back or probed: then it is not known
        return float("nan")
    # through the reader, so that it is measured what a reader gets
    pairs = zip(_outputs(model, inputs), _outputs(quantized, inputs), strict=True)
    # outputs that are all zero would divide by zero
    return max(float(np.abs(one - two).max() / max(np.abs(one).max(), np.finfo(float).tiny)) for one, two in pairs)


def _outputs(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    found = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    return [np.asarray(output, float) for output in import_keras().tree.flatten(found)]
