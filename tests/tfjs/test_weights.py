"""Weights in files: the same numbers here and in TensorFlow.js, and a refusal of everything else."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tfjs_node import Node

from fitwell.errors import FileError, InputError
from fitwell.tfjs.document import Directory
from fitwell.tfjs.weights import MOST_BYTES, QUANTIZED, parse_manifest, read_weights, write_weights

DECODE = """
const fs = require('fs');
const parts = given.manifest.flatMap(group => group.paths.map(name => fs.readFileSync(given.directory + '/' + name)));
const whole = Buffer.concat(parts);
const data = whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.byteLength);
return tf.io.decodeWeights(data, given.manifest.flatMap(group => group.weights));
"""
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
DTYPES = st.sampled_from(["float32", "int32", "bool"])
WEIGHTS = st.dictionaries(
    st.text("abc/_1", min_size=1, max_size=8), st.tuples(DTYPES, SHAPES).flatmap(lambda one: arrays(*one)), max_size=4
)
ODD_FLOATS = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4028235e38, 65504.0, 65520.0, 6e-8, -1.0 / 3]


def read(directory: Path, manifest: Any) -> tuple[dict[str, np.ndarray], bool]:
    shards = Directory(directory)
    return read_weights(manifest, shards.size, shards.read)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two sets of weights hold the same bits, apart from NaN's."""
    return list(one) == list(other) and all(map(_same, one.values(), other.values()))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return np.array_equal(one, other)
    return np.array_equal(one, other, equal_nan=True) and np.array_equal(
        np.signbit(one)[~np.isnan(one)], np.signbit(other)[~np.isnan(other)]
    )


@settings(max_examples=60)
@given(WEIGHTS, st.integers(1, 40))
def test_what_is_written_is_read(weights: dict[str, np.ndarray], shard_bytes: int) -> None:
    """The same weights in the same order, also from shards that end within a number."""
    with tempfile.TemporaryDirectory() as name:
        manifest, losses = write_weights(Path(name), weights, shard_bytes=shard_bytes)
        found, state = read(Path(name), manifest)
    assert same(found, weights)
    assert not losses
    assert not state


def test_a_byte_that_differs_is_seen(tmp_path: Path) -> None:
    """The deliberate break: one bit in a shard."""
    weights = {"a": np.arange(6, dtype="float32")}
    manifest, _ = write_weights(tmp_path, weights, shard_bytes=10)
    shard = tmp_path / "group1-shard2of3.bin"
    data = bytearray(shard.read_bytes())
    data[3] ^= 1
    shard.write_bytes(data)
    assert not same(read(tmp_path, manifest)[0], weights)


def random_weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "normal": generator.normal(size=(7, 30)).astype("float32"),
        "far": generator.normal(1e6, 1, size=(3, 5)).astype("float32"),
        "sparse": np.where(generator.random((9, 9)) < 0.5, 0, generator.normal(size=(9, 9))).astype("float32"),
        "constant": np.full((2, 3), -0.7, "float32"),
        "zeros": np.zeros((4, 4), "float32"),
        "tiny": generator.normal(0, 1e-40, size=(2, 8)).astype("float32"),
        "large": generator.uniform(-9e37, 9e37, size=(2, 8)).astype("float32"),
        "bias": generator.normal(size=30).astype("float32"),
        "one": np.ones((1, 1), "float32"),
        "whole": np.arange(6, dtype="int32").reshape(2, 3),
        "flags": np.array([[True, False], [False, True]]),
    }


def in_tfjs(node: Node, directory: Path, manifest: Any) -> dict[str, np.ndarray]:
    found = node(DECODE, directory=directory, manifest=manifest)
    return {name: values.astype(bool) if values.dtype == "uint8" else values for name, values in found.items()}


@pytest.mark.parametrize("quantize", [None, *QUANTIZED])
def test_tensorflow_js_decodes_the_same_numbers(node: Node, tmp_path: Path, quantize: str | None) -> None:
    """Bit for bit, and a scale that differs a little is seen."""
    weights = random_weights()
    if quantize in (None, "float16"):
        weights["odd"] = np.resize(np.array(ODD_FLOATS, "float32"), (3, 5))
    manifest, losses = write_weights(tmp_path, weights, quantize=quantize, shard_bytes=501)
    here = read(tmp_path, manifest)[0]
    assert same(here, in_tfjs(node, tmp_path, manifest))
    changed = {loss.name for loss in losses}
    kernels = {name for name, values in weights.items() if values.dtype == "float32" and values.ndim > 1}
    assert changed == (set() if quantize is None else kernels - {"one"})
    assert same({n: here[n] for n in weights if n not in changed}, {n: weights[n] for n in weights if n not in changed})
    if quantize in ("uint8", "uint16"):
        manifest[0]["weights"][0]["quantization"]["scale"] *= 1 + 1e-6
        assert not same(here, in_tfjs(node, tmp_path, manifest))


def test_other_peoples_quantization_is_decoded_alike(node: Node, tmp_path: Path) -> None:
    """Whole numbers with halves on both sides of 0, several groups, and all halves there are."""
    halves = np.arange(2**16, dtype="<u2")
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) + halves.tobytes()[:1001])
    (tmp_path / "b.bin").write_bytes(halves.tobytes()[1001:] + halves.tobytes())
    whole = {"dtype": "uint8", "min": -64, "scale": 0.5, "original_dtype": "int32"}
    wide = {"dtype": "uint16", "min": -0.1, "scale": 1e-3, "original_dtype": "float32"}
    manifest = [
        {"paths": ["./a.bin"], "weights": [
            {"name": "whole", "shape": [256], "dtype": "int32", "quantization": whole},
            {"name": "half", "shape": [2**16], "dtype": "float32", "quantization": {"dtype": "float16"}}]},
        {"paths": ["b.bin"], "weights": [
            {"name": "wide", "shape": [2, 2**15], "dtype": "float32", "quantization": wide}]},
    ]  # fmt: skip
    here = read(tmp_path, manifest)[0]
    assert same(here, in_tfjs(node, tmp_path, manifest))
    assert here["whole"][1] == -63  # -63.5, rounded as JavaScript does
    assert here["half"][0x3C00] == 1


@pytest.mark.parametrize(("quantize", "steps"), [("uint8", 255), ("uint16", 65535)])
def test_the_loss_is_what_is_lost(tmp_path: Path, quantize: str, steps: int) -> None:
    """Half a step at most, exact zeros kept, and the largest difference reported."""
    weights = random_weights()
    manifest, losses = write_weights(tmp_path, weights, quantize=quantize)
    found = read(tmp_path, manifest)[0]
    for loss in losses:
        exact = weights[loss.name].astype(float)
        largest = np.abs(found[loss.name] - exact).max()
        assert loss.largest == largest
        assert loss.share == largest / (np.abs(exact).max() or 1)
        rounding = np.abs(exact).max() * 2**-23 + 2e-45
        assert largest <= (exact.max() - exact.min()) / steps / 2 + rounding
        if exact.min() < 0 < exact.max():
            assert (found[loss.name][exact == 0] == 0).all()
    assert sum(loss.largest > 0 for loss in losses) >= 4


def test_half_precision_clips_and_tells(tmp_path: Path) -> None:
    """Numbers beyond 65504 become that, infinite ones stay."""
    weights = {"a": np.array([[1e6, -np.inf, 1.0, -7e4]], "float32")}
    manifest, (loss,) = write_weights(tmp_path, weights, quantize="float16")
    assert read(tmp_path, manifest)[0]["a"].tolist() == [[65504.0, -np.inf, 1.0, -65504.0]]
    assert loss.largest == 1e6 - 65504


def test_other_types_are_written_as_float32_and_int32(tmp_path: Path) -> None:
    """What TensorFlow.js has no type for, and Keras may hold."""
    weights: dict[str, Any] = {
        "double": np.array([1 / 3, np.inf]), "half": np.array([0.1], "float16"), "scalar": np.array(2.5),
        "brain": jnp.asarray([[0.1]], "bfloat16"),
        "long": np.array([[-(2**31), 2**31 - 1]]), "small": np.array([255], "uint8"),
    }  # fmt: skip
    manifest, _ = write_weights(tmp_path, weights)
    found = read(tmp_path, manifest)[0]
    assert [values.dtype.name for values in found.values()] == ["float32"] * 4 + ["int32"] * 2
    for name, values in found.items():
        np.testing.assert_array_equal(values, np.asarray(weights[name]).astype(values.dtype))


@pytest.mark.parametrize(
    ("values", "quantize", "said"),
    [
        (np.array([2**31]), None, "holds whole numbers beyond 32 bits"),
        (np.array([1e39]), None, "holds numbers beyond float32"),
        (np.array([1j]), None, "must hold numbers. Got complex128"),
        (np.array(["a"]), None, "must hold numbers"),
        (np.array([[np.nan, 1]]), "uint8", "not finite or beyond 1e38, so it cannot be quantized as uint8"),
        (np.array([[2e38, 1]]), "uint16", "not finite or beyond 1e38"),
        (np.ones((2, 2)), "int4", "'quantize' must be one of float16, uint16, uint8. Got 'int4'"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, values: Any, quantize: Any, said: str) -> None:
    """Rather than another number written."""
    with pytest.raises(InputError, match=re.escape(said)):
        write_weights(tmp_path, {"w": values}, quantize=quantize)
    assert not list(tmp_path.iterdir())


def test_an_optimizers_state_is_left_out(tmp_path: Path) -> None:
    """Its bytes are passed over, and that there was one is told."""
    weights = {"a": np.array([1, 2], "float32"), "iter": np.array(7, "int32"), "b": np.array([[3]], "float32")}
    manifest, _ = write_weights(tmp_path, weights)
    manifest[0]["weights"][1]["group"] = "optimizer"
    found, state = read(tmp_path, manifest)
    assert state
    assert same(found, {name: weights[name] for name in "ab"})


def weight(**changed: Any) -> list[dict[str, Any]]:
    """A manifest of one weight, with entries changed."""
    return [{"paths": ["w.bin"], "weights": [{"name": "w", "shape": [2], "dtype": "float32", **changed}]}]


def quantized(**changed: Any) -> list[dict[str, Any]]:
    return weight(shape=[8], quantization={"dtype": "uint8", "min": 0, "scale": 1, **changed})


REFUSED = {
    "no list": ({}, "'weightsManifest' must be a list. Got dict"),
    "no group": ([7], "Each part of 'weightsManifest' must be an object"),
    "no paths": ([{"weights": []}], "'paths' of the weights must be a list. Got NoneType"),
    "no weights": ([{"paths": []}], "'weights' of the manifest must be a list"),
    "no weight": ([{"paths": [], "weights": ["w"]}], "must be an object with a 'name'. Got 'w'"),
    "no name": (weight(name=None), "must be an object with a 'name'"),
    "empty name": (weight(name=""), "must be an object with a 'name'"),
    "half a letter": (weight(name="a\ud800"), "must be an object with a 'name'"),
    "long name": (weight(name="w" * 1001), "must be an object with a 'name'"),
    "twice": ([*weight(), {"paths": [], "weights": weight()[0]["weights"]}], "weight 'w' is in the manifest twice"),
    "shard twice": ([{"paths": ["w.bin", "./w.bin"], "weights": []}], "weight file 'w.bin' is in the manifest twice"),
    "string": (weight(dtype="string"), "'w' has the type 'string', and only float32, int32, bool are read"),
    "complex": (weight(dtype="complex64"), "has the type 'complex64'"),
    "type of type": (weight(dtype=["float32"]), "has the type"),
    "shape": (weight(shape=2), "The shape of the weight 'w' must be a list. Got int"),
    "rank": (weight(shape=[1] * 17), "must have at most 16 entries. Got 17"),
    "negative": (weight(shape=[-2]), "must be whole numbers. Got [-2]"),
    "fraction": (weight(shape=[2.0]), "must be whole numbers. Got [2.0]"),
    "truth": (weight(shape=[True, 2]), "must be whole numbers. Got [True, 2]"),
    "unknown length": (weight(shape=[None]), "must be whole numbers. Got [None]"),
    "not a number": (weight(shape=[float("nan")]), "must be whole numbers. Got [nan]"),
    "absurd": (weight(shape=[10**9, 10**9]), f"has a shape for more than {MOST_BYTES:,} numbers"),
    "absurd and none": (weight(shape=[2**31 - 1, 2**31 - 1, 2**31 - 1, 0]), "has a shape for more than"),
    "absurd length": (weight(shape=[10**400, 0]), "has a shape for more than"),
    "too many bytes": (weight(shape=[2**30]), "asks for 4,294,967,296 bytes of weights, and at most 2,147,483,648"),
    "too many in memory": (
        weight(shape=[2**30], quantization={"dtype": "uint8", "min": 0, "scale": 1}), "asks for 4,294,967,296 bytes"),
    "short": (weight(shape=[3]), "The weight files hold 8 bytes, and the manifest asks for 12"),
    "long": (weight(shape=[1]), "The weight files hold 8 bytes, and the manifest asks for 4"),
    "kind": (quantized(dtype="int8"), "quantized in a way that is not known"),
    "kind of kind": (quantized(dtype={}), "quantized in a way that is not known"),
    "no object": (weight(quantization=[]), "quantized in a way that is not known"),
    "quantized truth": (weight(dtype="bool", quantization={"dtype": "uint8"}), "quantized in a way that is not known"),
    "half of whole": (weight(dtype="int32", quantization={"dtype": "float16"}), "as float16, and its type is int32"),
    "no scale": (quantized(scale=None), "its 'scale' or 'min' is no number"),
    "true minimum": (quantized(min=True), "its 'scale' or 'min' is no number"),
    "infinite": (quantized(min=float("inf")), "its 'scale' or 'min' is no number"),
    "huge": (quantized(min=10**400), "its 'scale' or 'min' is no number"),
    "beyond 32 bits": (
        weight(shape=[8], dtype="int32", quantization={"dtype": "uint8", "min": 0, "scale": 1e9}), "do not fit int32"),
}  # fmt: skip
PATHS = {
    "absolute": "/etc/passwd",
    "up": "../w.bin",
    "up within": "a/../../w.bin",
    "back slash": "..\\w.bin",
    "drive": "C:w.bin",
    "address": "https://example.org/w.bin",
    "share": "//host/w.bin",
    "directory itself": ".",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_damaged_manifest_is_refused(tmp_path: Path, case: str) -> None:
    """In a sentence of its own, before memory is taken."""
    (tmp_path / "w.bin").write_bytes(bytes(range(240, 248)))
    manifest, said = REFUSED[case]
    with pytest.raises(FileError, match=re.escape(said)):
        read(tmp_path, manifest)


@pytest.mark.parametrize("case", PATHS)
def test_a_path_that_leads_elsewhere_is_refused(case: str) -> None:
    """Whatever lies there."""
    with pytest.raises(FileError, match="would lie outside of the model's directory"):
        parse_manifest([{"paths": [PATHS[case]], "weights": []}])


@pytest.mark.parametrize("path", [7, "", "a\0b", "x" * 1001, None, "a\nb", "\udcff"])
def test_a_path_must_be_a_text(path: Any) -> None:
    """That can be shown, too."""
    with pytest.raises(FileError, match="A path of a weight file must be a text"):
        parse_manifest([{"paths": [path], "weights": []}])


def test_files_that_change_meanwhile_are_refused() -> None:
    """Between asking for the size and reading."""
    with pytest.raises(FileError, match="changed while they were read"):
        read_weights(weight(), lambda _: 8, lambda _: bytes(7))
