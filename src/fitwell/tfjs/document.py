"""A `model.json` and the weight files beside it: data, perhaps of a stranger, of which nothing is run."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from fitwell.errors import FileError, InputError
from fitwell.tfjs.graph import TfjsGraph
from fitwell.tfjs.topology import GRAPH_MODEL, parse_topology, write_topology
from fitwell.tfjs.weights import QuantizationLoss, read_weights, write_weights

MODEL_JSON = "model.json"
METADATA = "userDefinedMetadata"
"""Key of a model.json: what a person keeps beside the model, under TensorFlow.js's name."""

# weights are not in it, so even models of thousands of layers have a few MiB
MOST_TEXT = 64 * 2**20
"""Bytes of a model.json."""

# Python's parser recurses: far deeper, it would end the process
MOST_DEPTH = 200
"""Of lists and objects within each other; a model of models has about eight for each."""

# an empty list takes 3 bytes of text and some 60 of memory: a small file must not become a large one
MOST_VALUES = 2_000_000
"""In lists and objects; commas in texts count too."""

# Windows knows neither flag
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""For a pipe: that nobody writes to it is seen after it is opened."""

_TEXTS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Texts in JSON; one without an end reaches to the end, or each quote in it would be tried."""

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

    graph: TfjsGraph
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
        inside = self.path
        mode = size = 0
        try:
            for part in Path(path).parts:
                # every part of the path, for a directory on the way may be a link too
                inside = inside / part
                found = inside.lstat()
                mode, size = found.st_mode, found.st_size
                if stat.S_ISLNK(mode):
                    raise FileError(f"'{inside}' is a link, and weight files are read from the model's directory only.")
        except FileError:
            raise
        except (OSError, ValueError) as error:
            raise FileError(f"There is no weight file '{self.path / path}' beside the model.") from error
        if not stat.S_ISREG(mode):
            raise FileError(f"'{inside}' must be a file of weights, and it is none.")
        return size

    def read(self, path: str) -> bytes:
        """Its bytes."""
        return _bytes(self.path / path, self.size(path), NO_LINK)


def read_document(path: Path) -> Document:
    """Read a model.json and its weight files.

    Raises
    ------
    FileError
        Whatever is wrong with them.
    """
    text = _text(path)
    with _naming(path):
        return parse_document(text, Directory(path.parent))


def metadata_in(path: Path) -> dict[str, Any]:
    """Read the `userDefinedMetadata` of a model.json, empty if it holds none; its weight files are not looked at.

    Raises
    ------
    FileError
        It is not there, or damaged.
    """
    text = _text(path)
    with _naming(path):
        return _object_or_none(_object(text), METADATA) or {}


def _text(path: Path) -> bytes:
    """Read the bytes of a model.json, if it is a file and no larger than any should be."""
    try:
        if not path.exists():
            raise FileError(f"There is no file '{path}': give the model.json that TensorFlow.js wrote.")
        if not path.is_file():
            raise FileError(f"'{path}' must be a file: give the model.json that TensorFlow.js wrote.")
        # before it is opened: a stranger's file may be of any size
        if path.stat().st_size > MOST_TEXT:
            raise FileError(f"'{path}' has more than {MOST_TEXT:,} bytes, and no more are read.")
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"'{path}' cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    return _bytes(path, MOST_TEXT)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong inside it."""
    try:
        yield
    except FileError as error:
        raise FileError(f"'{path}': {error}") from error


def parse_document(text: bytes, shards: Shards) -> Document:
    """Read a document from the bytes of its model.json and a place where weight files are looked up."""
    found = _object(text)
    # the usual mix-up: what the converter makes of a SavedModel
    if found.get("format") == "graph-model":
        raise FileError(GRAPH_MODEL)
    if "modelTopology" not in found:
        raise FileError("It has no 'modelTopology': give the model.json that model.save() of TensorFlow.js wrote.")
    graph = parse_topology(found["modelTopology"])
    training, metadata = (_object_or_none(found, key) for key in ("trainingConfig", METADATA))
    manifest = found.get("weightsManifest")
    weights, state = read_weights([] if manifest is None else manifest, shards.size, shards.read)
    return Document(graph, weights, training, metadata, (OPTIMIZER,) if state else ())


def write_document(
    directory: Path,
    graph: TfjsGraph,
    weights: Mapping[str, np.ndarray],
    *,
    training: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    quantize: str | None = None,
) -> list[QuantizationLoss]:
    """Write model.json and weight files into an existing directory; return what quantization took.

    Raises
    ------
    InputError
        The graph refers to what is not there, or the metadata is no JSON.
    """
    topology = write_topology(graph)  # first: a graph that is refused leaves no files
    manifest, losses = write_weights(directory, weights, quantize=quantize)
    document: dict[str, Any] = {
        "format": "layers-model",
        "generatedBy": "fitwell",
        "convertedBy": None,
        "modelTopology": topology,
        "weightsManifest": manifest,
    }
    document |= {} if training is None else {"trainingConfig": dict(training)}
    document |= {} if metadata is None else {METADATA: dict(metadata)}
    try:
        # JavaScript's JSON.parse refuses NaN, and then the whole file
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"The model's settings or its 'metadata' are no JSON ({error}).") from error
    # ASCII with escapes, so that it is read alike whatever encoding a server declares
    (directory / MODEL_JSON).write_text(text, encoding="ascii")
    return losses


def _object(text: bytes) -> dict[str, Any]:
    found = _json(text)
    if not isinstance(found, dict):
        raise FileError("It must hold one JSON object, as TensorFlow.js writes it.")
    return found


def _object_or_none(found: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    value = found.get(key)
    if value is not None and not isinstance(value, dict):
        raise FileError(f"'{key}' must be an object. Got {type(value).__name__}.")
    return value


def _bytes(path: Path, most: int, flags: int = 0) -> bytes:
    """Read a regular file: what it is, is asked of the opened one, since names may be given to another meanwhile."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | NO_WAIT | flags)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FileError(f"'{path}' is no file any more: try again.")
            # no more than was looked at: the file may grow meanwhile
            return file.read(most)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"'{path}' cannot be read ({error.strerror}).") from error


def _json(text: bytes) -> Any:
    if len(text) > MOST_TEXT:
        raise FileError(f"It has more than {MOST_TEXT:,} bytes, and no more are read.")
    try:
        # some editors on Windows put a byte order mark in front
        decoded = text.decode("utf-8-sig")
        _check_size(decoded)
        return json.loads(decoded, parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise FileError(f"It is no text in UTF-8 ({error.reason} at byte {error.start}).") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"It is no JSON ({str(error)[:200]}).") from error


def _check_size(text: str) -> None:
    """Bound what a parser would make of it before it does: it recurses, and an empty list takes 3 bytes of text."""
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise FileError(f"It holds more than {MOST_VALUES:,} values, and no more are read.")
    depth = most = 0
    # brackets inside of texts are no lists
    for character in filter("[]{}".__contains__, _TEXTS.sub("", text)):
        depth += 1 if character in "[{" else -1
        most = max(most, depth)
    if most > MOST_DEPTH:
        raise FileError(f"More than {MOST_DEPTH} lists and objects lie within each other, and no more are read.")


def _no_number(name: str) -> NoReturn:
    raise FileError(f"It holds {name}, which is no number that JSON knows.")


def _finite(text: str) -> float:
    value = float(text)
    # 1e999 is JSON, and Python makes infinity of it
    if not np.isfinite(value):
        raise FileError(f"It holds the number {text[:50]}, which is too large.")
    return value
