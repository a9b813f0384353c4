"""Weights in TensorFlow.js's files: a manifest that says what lies where, and shards that hold the bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fitwell.errors import FileError, InputError

SHARD_BYTES = 4 * 2**20
MOST_BYTES = 2 * 2**30
"""Of all weights of a model: more does not fit into one array of a browser anyway."""
MOST_WEIGHTS = 100_000
MOST_SHARDS = 10_000
QUANTIZED = {"float16": "<f2", "uint16": "<u2", "uint8": "<u1"}
DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "?"}


@dataclass(frozen=True)
class Spec:
    """A weight as a manifest describes it.

    Attributes
    ----------
    stored
        NumPy's name of the type in the file.
    scale, minimum
        Of quantized weights, value = stored * scale + minimum; None for others.
    optimizer
        Whether it is the state of an optimizer.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: str
    scale: float | None
    minimum: float | None
    optimizer: bool

    @property
    def count(self) -> int:
        """Numbers."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.count * np.dtype(self.stored).itemsize


@dataclass(frozen=True)
class Loss:
    """What quantization took from one weight: the largest difference, and that as a share of its largest value."""

    name: str
    largest: float
    share: float


def parse_manifest(manifest: Any) -> tuple[list[str], list[Spec]]:
    """Return the shards' paths, in order, and the weights that lie in them one behind the other.

    Raises
    ------
    FileError
        It is not a manifest, or holds what is not read: strings, complex numbers, paths that lead elsewhere.
    """
    paths: list[str] = []
    specs: list[Spec] = []
    for group in _list(manifest, "'weightsManifest'", MOST_SHARDS):
        if not isinstance(group, dict):
            raise FileError("Each part of 'weightsManifest' must be an object with 'paths' and 'weights'.")
        paths += [_path(path) for path in _list(group.get("paths"), "'paths' of the weights", MOST_SHARDS)]
        specs += [_spec(entry) for entry in _list(group.get("weights"), "'weights' of the manifest", MOST_WEIGHTS)]
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FileError(f"The weight '{twice}' is in the manifest twice.")
    return paths, specs


def read_weights(
    manifest: Any, size: Callable[[str], int], read: Callable[[str], bytes]
) -> tuple[dict[str, np.ndarray], bool]:
    """Read all weights but an optimizer's state; return them, and whether there was such a state.

    Parameters
    ----------
    size, read
        Functions of a shard's path: bytes on disk, asked for before anything is read, and the bytes.
    """
    paths, specs = parse_manifest(manifest)
    wanted, found = sum(spec.size for spec in specs), sum(size(path) for path in paths)
    if wanted > MOST_BYTES:
        raise FileError(f"The manifest asks for {wanted:,} bytes of weights, and at most {MOST_BYTES:,} are read.")
    if wanted != found:
        raise FileError(
            f"The weight files hold {found:,} bytes, and the manifest asks for {wanted:,}: they are not of this model."
        )
    parts = [read(path) for path in paths]
    data = b"".join(parts)
    if len(data) != wanted:
        raise FileError("The weight files changed while they were read: try again.")
    weights, offset = {}, 0
    for spec in specs:
        if not spec.optimizer:
            weights[spec.name] = _decoded(spec, np.frombuffer(data, spec.stored, spec.count, offset))
        offset += spec.size
    return weights, any(spec.optimizer for spec in specs)


def write_weights(
    directory: Path, weights: Mapping[str, np.ndarray], *, quantize: str | None = None, shard_bytes: int = SHARD_BYTES
) -> tuple[list[dict[str, Any]], list[Loss]]:
    """Write shards into a directory; return the manifest, and what quantization took from each weight.

    Parameters
    ----------
    quantize
        A key of `QUANTIZED`: float weights of more than one number are written so.
    """
    if quantize is not None and quantize not in QUANTIZED:
        raise InputError(f"'quantize' must be one of {', '.join(QUANTIZED)}. Got {quantize!r}.")
    entries, losses, parts = [], [], []
    for name, values in weights.items():
        entry, stored = _encoded(name, np.asarray(values), quantize)
        entries.append(entry)
        parts.append(stored.tobytes())
        if "quantization" in entry:
            losses.append(_loss(name, np.asarray(values, float), _decoded(_spec(entry), stored.ravel())))
    data = b"".join(parts)
    count = max(1, -(-len(data) // shard_bytes))
    paths = [f"group1-shard{number + 1}of{count}.bin" for number in range(count)]
    for number, path in enumerate(paths):
        (directory / path).write_bytes(data[number * shard_bytes : (number + 1) * shard_bytes])
    return [{"paths": paths, "weights": entries}], losses


def _encoded(name: str, values: np.ndarray, quantize: str | None) -> tuple[dict[str, Any], np.ndarray]:
    dtype = "bool" if values.dtype == bool else "int32" if values.dtype.kind in "iu" else "float32"
    with np.errstate(over="ignore"):
        plain = np.ascontiguousarray(values, np.dtype(DTYPES[dtype]))
    entry: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": dtype}
    if quantize is None or dtype != "float32" or plain.size < 2:
        return entry, plain
    if quantize == "float16":
        half = np.float32(np.finfo(np.float16).max)
        entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        return entry, np.clip(plain, -half, half).astype(QUANTIZED["float16"])
    if not np.isfinite(plain).all():
        raise InputError(
            f"The weight '{name}' holds values that are not finite, so it cannot be quantized as {quantize}."
        )
    low, high = float(plain.min()), float(plain.max())
    steps = np.iinfo(QUANTIZED[quantize]).max
    scale = (high - low) / steps or 1.0
    # zero stays zero where it lies inside: exact zeros mean that a weight was dropped for good
    low = round(low / scale) * scale if low < 0 < high else low
    entry["quantization"] = {"dtype": quantize, "min": low, "scale": scale, "original_dtype": "float32"}
    stored = np.clip(np.rint((plain.astype(float) - low) / scale), 0, steps)
    return entry, stored.astype(QUANTIZED[quantize])


def _decoded(spec: Spec, stored: np.ndarray) -> np.ndarray:
    """Numbers as TensorFlow.js makes them: products and sums in double precision, then rounded."""
    if spec.scale is not None and spec.minimum is not None:
        with np.errstate(over="ignore"):
            values = stored.astype(float) * spec.scale + spec.minimum
        if spec.dtype == "int32":
            values = np.clip(np.rint(values), -(2**31), 2**31 - 1)
    else:
        values = stored
    with np.errstate(over="ignore"):
        return values.astype(np.dtype(DTYPES[spec.dtype])).reshape(spec.shape)


def _loss(name: str, values: np.ndarray, found: np.ndarray) -> Loss:
    largest = float(np.abs(values - found).max(initial=0.0))
    return Loss(name, largest, largest / (float(np.abs(values).max(initial=0.0)) or 1.0))


def _spec(entry: Any) -> Spec:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise FileError("Each weight of the manifest must be an object with a 'name'.")
    name, dtype = entry["name"][:200], entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise FileError(f"The weight '{name}' has the type {str(dtype)[:50]!r}, and only {', '.join(DTYPES)} are read.")
    shape = _list(entry.get("shape"), f"The shape of the weight '{name}'", 16)
    if not all(type(length) is int and 0 <= length < 2**31 for length in shape):
        raise FileError(f"The shape of the weight '{name}' must be whole numbers. Got {str(shape)[:100]}.")
    stored, scale, minimum = _quantization(name, dtype, entry.get("quantization"))
    optimizer = entry.get("group") == "optimizer"
    return Spec(name, tuple(shape), dtype, stored, scale, minimum, optimizer)


def _quantization(name: str, dtype: str, found: Any) -> tuple[str, float | None, float | None]:
    if found is None:
        return DTYPES[dtype], None, None
    stored = found.get("dtype") if isinstance(found, dict) else None
    if not isinstance(stored, str) or stored not in QUANTIZED or dtype == "bool":
        raise FileError(f"The weight '{name}' is quantized in a way that is not known: {str(found)[:100]}.")
    if stored == "float16":
        if dtype != "float32":
            raise FileError(f"The weight '{name}' is quantized as float16, and its type is {dtype}.")
        return QUANTIZED[stored], None, None
    scale, least = _number(found.get("scale")), _number(found.get("min"))
    if scale is None or least is None:
        raise FileError(f"The weight '{name}' is quantized, and its 'scale' or 'min' is no number: {str(found)[:100]}.")
    return QUANTIZED[stored], scale, least


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and type(value) is not bool and abs(value) < 1e300 else None


def _path(path: Any) -> str:
    """Return a shard's path if it stays inside of the model's directory."""
    if not isinstance(path, str) or not path or len(path) > 1000 or any(ord(c) < 32 for c in path):
        raise FileError(f"A path of a weight file must be a text. Got {str(path)[:100]!r}.")
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not pure.name:
        raise FileError(f"The weight file '{path[:200]}' lies outside of the model's directory, so it is not read.")
    return path


def _list(value: Any, what: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise FileError(f"{what} must be a list. Got {type(value).__name__}.")
    if len(value) > most:
        raise FileError(f"{what} has {len(value):,} entries, and at most {most:,} are read.")
    return value
