"""Weights in TensorFlow.js's files: a manifest that says what lies where, and shards that hold the bytes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fitwell.errors import FileError, InputError

# as the converter cuts them: browsers cache files of this size
SHARD_BYTES = 4 * 2**20
MOST_BYTES = 2 * 2**30
"""Of all weights of a model, in the files as in memory: no browser takes more."""

MOST_WEIGHTS = 100_000
MOST_SHARDS = 10_000
# TensorFlow.js has tensors of up to six
MOST_DIMENSIONS = 16
MOST_NAME = 1000
"""Characters of a name or path."""

QUANTIZED = {"float16": "<f2", "uint16": "<u2", "uint8": "<u1"}
DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|u1"}
MADE = {"float32": np.dtype("float32"), "int32": np.dtype("int32"), "bool": np.dtype(bool)}


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
class QuantizationLoss:
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
    _check_single((spec.name for spec in specs), "weight")
    _check_single((str(PurePosixPath(path)) for path in paths), "weight file")
    return paths, specs


def read_weights(
    manifest: Any, size: Callable[[str], int], read: Callable[[str], bytes]
) -> tuple[dict[str, np.ndarray], bool]:
    """Read all weights but an optimizer's state; return them, and whether there was such a state.

    Parameters
    ----------
    size, read
        Functions of a shard's path: bytes on disk, asked for before anything is read, and the bytes.

    Raises
    ------
    FileError
        The manifest and the shards do not fit each other, to the byte, or hold what is not read.
    """
    paths, specs = parse_manifest(manifest)
    wanted = sum(spec.size for spec in specs)
    # quantized weights grow in memory, up to four times
    asked = max(wanted, sum(4 * spec.count for spec in specs))
    if asked > MOST_BYTES:
        raise FileError(f"The manifest asks for {asked:,} bytes of weights, and at most {MOST_BYTES:,} are read.")
    # by the sizes on disk, before a byte is read or memory taken
    found = sum(size(path) for path in paths)
    if wanted != found:
        raise FileError(
            f"The weight files hold {found:,} bytes, and the manifest asks for {wanted:,}: they are not of this model."
        )
    # joined first: a shard may end in the middle of a number
    data = b"".join(read(path) for path in paths)
    # between the look and the reading somebody may have written
    if len(data) != wanted:
        raise FileError("The weight files changed while they were read: try again.")
    weights, offset = {}, 0
    for spec in specs:
        # its state is skipped, but its bytes lie between those of the weights
        if not spec.optimizer:
            weights[spec.name] = _decoded(spec, np.frombuffer(data, spec.stored, spec.count, offset))
        offset += spec.size
    return weights, any(spec.optimizer for spec in specs)


def write_weights(
    directory: Path, weights: Mapping[str, np.ndarray], *, quantize: str | None = None, shard_bytes: int = SHARD_BYTES
) -> tuple[list[dict[str, Any]], list[QuantizationLoss]]:
    """Write shards into a directory; return the manifest, and what quantization took from each weight.

    Parameters
    ----------
    quantize
        A key of `QUANTIZED`: kernels are written so, which are weights of two dimensions and more. The others (biases,
        statistics) are small, and outputs feel their errors most.

    Raises
    ------
    InputError
        Numbers that float32, int32 or the quantization cannot hold.
    """
    if quantize is not None and quantize not in QUANTIZED:
        raise InputError(f"'quantize' must be one of {', '.join(QUANTIZED)}. Got {quantize!r}.")
    entries, losses, parts = [], [], []
    for name, given in weights.items():
        values = np.asarray(given)
        entry, stored = _encoded(name, values, quantize)
        entries.append(entry)
        parts.append(stored.tobytes())
        if "quantization" in entry:
            losses.append(_loss(name, values, _decoded(_spec(entry), stored.ravel())))
    data = b"".join(parts)
    count = max(1, -(-len(data) // shard_bytes))
    paths = [f"group1-shard{number + 1}of{count}.bin" for number in range(count)]
    for number, path in enumerate(paths):
        (directory / path).write_bytes(data[number * shard_bytes : (number + 1) * shard_bytes])
    return [{"paths": paths, "weights": entries}], losses


def _encoded(name: str, values: np.ndarray, quantize: str | None) -> tuple[dict[str, Any], np.ndarray]:
    plain = _plain(name, values)
    dtype = next(dtype for dtype, made in MADE.items() if made == plain.dtype)
    entry: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": dtype}
    if quantize is None or dtype != "float32" or values.ndim < 2 or values.size < 2:
        return entry, plain.astype(DTYPES[dtype])
    if quantize == "float16":
        # beyond 65,504 half precision is infinite, and so would be the outputs
        half = np.float32(np.finfo(np.float16).max)
        entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        return entry, np.where(np.isfinite(plain), np.clip(plain, -half, half), plain).astype(QUANTIZED["float16"])
    low, high = float(plain.min()), float(plain.max())
    if not max(abs(low), abs(high)) < 1e38:  # NaN too
        raise InputError(
            f"The weight '{name}' holds values that are not finite or beyond 1e38, so it cannot be quantized as"
            f" {quantize}."
        )
    steps = np.iinfo(QUANTIZED[quantize]).max
    # equal values have no range, by which nothing could be divided
    scale = (high - low) / steps or 1.0
    # zero stays zero where it lies inside: exact zeros mean that a weight was dropped for good
    low = round(low / scale) * scale if low < 0 < high else low
    entry["quantization"] = {"dtype": quantize, "min": low, "scale": scale, "original_dtype": "float32"}
    # in double precision, as readers compute it back; moving zero may push an end out
    stored = np.clip(np.rint((plain.astype(float) - low) / scale), 0, steps)
    return entry, stored.astype(QUANTIZED[quantize])


def _plain(name: str, values: np.ndarray) -> np.ndarray:
    """Return the values in one of the three types that a file can hold."""
    if values.dtype.kind in "iu":
        if values.size and not -(2**31) <= int(values.min()) <= int(values.max()) < 2**31:
            raise InputError(f"The weight '{name}' holds whole numbers beyond 32 bits, which TensorFlow.js has not.")
        return values.astype(MADE["int32"])
    if values.dtype.kind not in "bfV":  # V: bfloat16
        raise InputError(f"The weight '{name}' must hold numbers. Got {values.dtype}.")
    if values.dtype.kind == "b":
        return values
    with np.errstate(over="ignore"):
        plain = values.astype(MADE["float32"])
    # only wider types can overflow float32; their own infinities are allowed
    if values.dtype.itemsize > 4 and not np.array_equal(np.isfinite(plain), np.isfinite(values)):
        raise InputError(f"The weight '{name}' holds numbers beyond float32, and TensorFlow.js has no larger ones.")
    return plain


def _decoded(spec: Spec, stored: np.ndarray) -> np.ndarray:
    """Return the numbers that TensorFlow.js makes of it: computed in double precision, then rounded."""
    values = stored
    if spec.scale is not None and spec.minimum is not None:
        values = stored.astype(float) * spec.scale + spec.minimum
        if spec.dtype == "int32":
            values = np.floor(values + 0.5)  # as Math.round
            if values.size and not np.abs(values).max() < 2**31:
                raise FileError(f"The weight '{spec.name}' is quantized, and its numbers do not fit int32.")
    with np.errstate(over="ignore"):
        return values.astype(MADE[spec.dtype]).reshape(spec.shape)


def _loss(name: str, values: np.ndarray, found: np.ndarray) -> QuantizationLoss:
    exact = values.astype(float)
    same = exact == found  # infinite ones
    largest = float(np.abs(np.where(same, 0, exact) - np.where(same, 0, found)).max(initial=0.0))
    return QuantizationLoss(name, largest, largest / (float(np.abs(exact).max(initial=0.0)) or 1.0))


def _spec(entry: Any) -> Spec:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise FileError(f"Each weight of the manifest must be an object with a 'name'. Got {str(entry)[:100]!r}.")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise FileError(f"The weight '{name}' has the type {str(dtype)[:50]!r}, and only {', '.join(DTYPES)} are read.")
    shape = _list(entry.get("shape"), f"The shape of the weight '{name}'", MOST_DIMENSIONS)
    # `type`, not `isinstance`: true is a whole number to Python
    if not all(type(length) is int and length >= 0 for length in shape):
        raise FileError(f"The shape of the weight '{name}' must be whole numbers. Got {str(shape)[:100]}.")
    if math.prod(length or 1 for length in shape) > MOST_BYTES:  # NumPy multiplies the lengths beside a 0, too
        raise FileError(f"The weight '{name}' has a shape for more than {MOST_BYTES:,} numbers: {str(shape)[:100]}.")
    stored, scale, minimum = _quantization(name, dtype, entry.get("quantization"))
    return Spec(name, tuple(shape), dtype, stored, scale, minimum, entry.get("group") == "optimizer")


def _quantization(name: str, dtype: str, found: Any) -> tuple[str, float | None, float | None]:
    if found is None:
        return DTYPES[dtype], None, None
    stored = found.get("dtype") if isinstance(found, dict) else None
    if not isinstance(stored, str) or stored not in QUANTIZED or dtype == "bool":
        raise FileError(f"The weight '{name}' is quantized in a way that is not known: {str(found)[:100]!r}.")
    if stored == "float16":
        if dtype != "float32":
            raise FileError(f"The weight '{name}' is quantized as float16, and its type is {dtype}.")
        return QUANTIZED[stored], None, None
    numbers = [n for n in (found.get("scale"), found.get("min")) if isinstance(n, int | float) and type(n) is not bool]
    if len(numbers) < 2 or not all(abs(n) < 1e300 for n in numbers):
        raise FileError(f"The weight '{name}' is quantized, and its 'scale' or 'min' is no number: {str(found)[:100]}.")
    return QUANTIZED[stored], float(numbers[0]), float(numbers[1])


def _path(path: Any) -> str:
    """Return a shard's path if it stays inside of the model's directory."""
    if not isinstance(path, str) or not 0 < len(path) <= MOST_NAME or not path.isprintable():
        raise FileError(f"A path of a weight file must be a text. Got {str(path)[:100]!r}.")
    pure = PurePosixPath(path)
    # also what leads out on Windows: backslashes, drives, streams
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not pure.name:
        raise FileError(
            f"The weight file '{path[:200]}' would lie outside of the model's directory, so it is not read."
        )
    return path


def _check_single(names: Any, what: str) -> None:
    name, times = max(Counter(names).items(), key=lambda item: item[1], default=("", 0))
    if times > 1:
        raise FileError(f"The {what} '{name[:200]}' is in the manifest twice.")


def _list(value: Any, what: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise FileError(f"{what} must be a list. Got {type(value).__name__}.")
    if len(value) > most:
        raise FileError(f"{what} must have at most {most:,} entries. Got {len(value):,}.")
    return value
