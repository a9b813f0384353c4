"""A `model.json` and the weight files beside it: data, perhaps of a stranger, of which nothing is run."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from fitwell.errors import FileError, InputError
from fitwell.tfjs.graph import Graph
from fitwell.tfjs.topology import parse_topology, write_topology
from fitwell.tfjs.weights import Loss, read_weights, write_weights

MODEL_FILE = "model.json"
MOST_TEXT = 64 * 2**20
"""Bytes of a model.json."""

MOST_DEPTH = 200
"""Of lists and objects within each other; a model of models has about eight for each."""

NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

OPTIMIZER = "The file holds the state of an optimizer, which is not used: training begins anew."


@dataclass(frozen=True)
class Document:
    """What the files hold.

    Attributes
    ----------
    graph
        The layers.
    weights
        By the names in the file, without an optimizer's state.
    training
        `trainingConfig` as it stands there, or None.
    metadata
        `userDefinedMetadata`, or None.
    notices
        What a person should know.
    """

    graph: Graph
    weights: dict[str, np.ndarray]
    training: dict[str, Any] | None
    metadata: dict[str, Any] | None
    notices: tuple[str, ...]


class Shards(Protocol):
    """Where the weight files are looked up by their paths in the manifest."""

    def size(self, path: str) -> int:
        """Bytes of a file, without reading it."""
        ...

    def read(self, path: str) -> bytes:
        """Its bytes."""
        ...


@dataclass(frozen=True)
class Directory:
    """Weight files in a directory: regular ones only, and none by way of a link."""

    path: Path

    def size(self, path: str) -> int:
        """Bytes of a file, without reading it."""
        return self._checked(path).st_size

    def read(self, path: str) -> bytes:
        """Its bytes."""
        self._checked(path)
        try:
            return (self.path / path).read_bytes()
        except OSError as error:
            raise FileError(f"The weight file '{self.path / path}' cannot be read ({error.strerror}).") from error

    def _checked(self, path: str) -> Any:
        inside = self.path
        try:
            found = inside.stat()
            for part in Path(path).parts:
                inside = inside / part
                found = inside.lstat()
                if stat.S_ISLNK(found.st_mode):
                    raise FileError(f"'{inside}' is a link, and weight files are read from the model's directory only.")
        except (OSError, ValueError) as error:
            raise FileError(f"There is no weight file '{self.path / path}' beside the model.") from error
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"'{inside}' must be a file of weights, and it is none.")
        return found


def read_document(path: Path) -> Document:
    """Read a model.json and its weight files.

    Raises
    ------
    FileError
        Whatever is wrong with them.
    """
    if not path.exists():
        raise FileError(f"There is no file '{path}': give the model.json that TensorFlow.js wrote.")
    if not path.is_file():
        raise FileError(f"'{path}' must be a file: give the model.json that TensorFlow.js wrote.")
    try:
        if path.stat().st_size > MOST_TEXT:
            raise FileError(f"'{path}' has more than {MOST_TEXT:,} bytes, and no more are read.")
        text = path.read_bytes()
    except OSError as error:
        raise FileError(f"'{path}' cannot be read ({error.strerror}).") from error
    try:
        return parse_document(text, Directory(path.parent))
    except FileError as error:
        raise FileError(f"'{path}': {error}") from error


def parse_document(text: bytes, shards: Shards) -> Document:
    """Read a document from the bytes of its model.json and a place where weight files are looked up."""
    found = _json(text)
    if not isinstance(found, dict):
        raise FileError("It must hold one JSON object, as TensorFlow.js writes it.")
    if found.get("format") == "graph-model":
        raise FileError("It is a graph model, which has no layers: save it by model.save() of a model of tf.layers.")
    if "modelTopology" not in found:
        raise FileError("It has no 'modelTopology': give the model.json that model.save() of TensorFlow.js wrote.")
    graph = parse_topology(found["modelTopology"])
    weights, state = read_weights(found.get("weightsManifest") or [], shards.size, shards.read)
    training = found.get("trainingConfig")
    if training is not None and not isinstance(training, dict):
        raise FileError(f"'trainingConfig' must be an object. Got {type(training).__name__}.")
    metadata = found.get("userDefinedMetadata")
    notices = (OPTIMIZER,) if state else ()
    return Document(graph, weights, training, metadata if isinstance(metadata, dict) else None, notices)


def write_document(
    directory: Path,
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    *,
    training: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    quantize: str | None = None,
) -> list[Loss]:
    """Write model.json and weight files into an existing directory; return what quantization took.

    Raises
    ------
    InputError
        The graph refers to what is not there, or the metadata is no JSON.
    """
    manifest, losses = write_weights(directory, weights, quantize=quantize)
    document: dict[str, Any] = {
        "format": "layers-model",
        "generatedBy": "fitwell",
        "convertedBy": None,
        "modelTopology": write_topology(graph),
        "weightsManifest": manifest,
    }
    document |= {} if training is None else {"trainingConfig": dict(training)}
    document |= {} if metadata is None else {"userDefinedMetadata": dict(metadata)}
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"The model's settings or its 'metadata' are no JSON ({error}).") from error
    (directory / MODEL_FILE).write_text(text, encoding="utf-8")
    return losses


def _json(text: bytes) -> Any:
    if len(text) > MOST_TEXT:
        raise FileError(f"It has more than {MOST_TEXT:,} bytes, and no more are read.")
    try:
        _check_depth(text)
        return json.loads(text.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise FileError(f"It is no text in UTF-8 ({error.reason} at byte {error.start}).") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"It is no JSON ({str(error)[:200]}).") from error


def _check_depth(text: bytes) -> None:
    """Bound the nesting before a parser recurses; brackets in texts count too, which does no harm at this depth."""
    depth = most = 0
    for character in text.translate(None, NO_BRACKETS):
        depth += 1 if character in b"[{" else -1
        most = max(most, depth)
    if most > MOST_DEPTH:
        raise FileError(f"More than {MOST_DEPTH} lists and objects lie within each other, and no more are read.")


def _no_number(name: str) -> NoReturn:
    raise FileError(f"It holds {name}, which is no number that JSON knows.")


def _finite(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise FileError(f"It holds the number {text[:50]}, which is too large.")
    return value
