"""Documents: models of TensorFlow.js are read, written ones load there, and of what is damaged nothing is used."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfjs_node import Node, NodeError

from fitwell.errors import FileError, InputError
from fitwell.tfjs.document import (
    MOST_DEPTH,
    MOST_TEXT,
    MOST_VALUES,
    Directory,
    Document,
    parse_document,
    read_document,
    write_document,
)
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TWO = "const [x, w] = ['x', 'w'].map(name => tf.input({shape: [4], name}));"
SAVED: dict[str, tuple[str, list[str]]] = {
    "sequential": (
        "return tf.sequential({layers: [tf.layers.dense({name: 'a', units: 3, inputShape: [4], activation: 'relu'}),"
        " tf.layers.batchNormalization({name: 'n'}), tf.layers.dense({name: 'b', units: 2})]});",
        ["a_input", "a", "n", "b"]),
    "functional": (
        "const x = tf.input({shape: [6, 4], name: 'x'}); const h = tf.layers.lstm({name: 'l', units: 3}).apply(x);"
        "return tf.model({inputs: x, outputs: tf.layers.dense({name: 'y', units: 2}).apply(h)});",
        ["x", "l", "y"]),
    "shared": (
        f"{TWO} const d = tf.layers.dense({{name: 'd', units: 4}});"
        "const both = tf.layers.concatenate({name: 'c'}).apply([d.apply(x), d.apply(w)]);"
        "const y = tf.layers.dense({name: 'y', units: 1}).apply(both);"
        "return tf.model({inputs: [w, x], outputs: [y, d.apply(d.apply(x))]});",
        ["w", "x", "d", "c", "y"]),
    "nested": (
        "const layers = [tf.layers.dense({name: 'i', units: 3, inputShape: [4]})];"
        "const inner = tf.sequential({name: 'tower', layers});"
        f"{TWO} const e = tf.layers.dense({{name: 'e', units: 4}}).apply(w);"
        "const sum = tf.layers.add({name: 's'}).apply([inner.apply(x), inner.apply(w)]);"
        "return tf.model({inputs: [x, w], outputs: [sum, inner.apply(e)]});",
        ["x", "w", "tower", "s", "e"]),
    "states": (
        "const [x, w] = ['x', 'w'].map(name => tf.input({shape: [5, 2], name}));"
        "const [, h, c] = tf.layers.lstm({name: 'e', units: 3, returnState: true}).apply(x);"
        "const y = tf.layers.lstm({name: 'd', units: 3}).apply(w, {initialState: [h, c]});"
        "return tf.model({inputs: [x, w], outputs: y});",
        ["x", "w", "e", "d"]),
    "trained": (
        "const model = tf.sequential({layers: [tf.layers.dense({name: 'a', units: 1, inputShape: [4]})]});"
        "model.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError', metrics: ['accuracy']});"
        "await model.fit(tf.ones([8, 4]), tf.ones([8, 1]), {epochs: 1, verbose: 0});"
        "model.setUserDefinedMetadata({unit: 'mm'}); return model;",
        ["a_input", "a"]),
}  # fmt: skip
SAVE = """
const model = await (async () => {%s})();
await save(model, given.directory, {includeOptimizer: %s});
return Object.fromEntries(model.weights.map(w => [w.originalName, w.read()]));
"""


@pytest.fixture(scope="module")
def saved(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, dict[str, np.ndarray]]]:
    """A function of a name that saves the model in TensorFlow.js, once; it returns the path and the weights."""
    made: dict[str, tuple[Path, dict[str, np.ndarray]]] = {}

    def save(name: str) -> tuple[Path, dict[str, np.ndarray]]:
        if name not in made:
            directory = tmp_path_factory.mktemp(name)
            code = SAVE % (SAVED[name][0], "true" if name == "trained" else "false")
            made[name] = directory / "model.json", node(code, directory=directory)
        return made[name]

    return save


# ---- models of TensorFlow.js -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAVED)
def test_a_model_of_tensorflow_js_is_read(saved: Any, name: str) -> None:
    """With its layers, and with its weights to the bit."""
    path, weights = saved(name)
    document = read_document(path)
    assert sorted(layer.name for layer in document.graph.layers) == sorted(SAVED[name][1])
    assert document.weights.keys() == weights.keys()
    for key, values in weights.items():
        np.testing.assert_array_equal(document.weights[key], values)
    assert bool(document.notices) == (name == "trained")


def test_calls_are_those_of_tensorflow_js(saved: Any) -> None:
    """Of shared layers, nested models and states, counted from 0."""
    shared = read_document(saved("shared")[0]).graph
    assert shared.inputs == (TfjsTensor("w"), TfjsTensor("x"))
    assert shared.layer("d").calls[:2] == ((TfjsTensor("x"),), (TfjsTensor("w"),))
    assert shared.layer("c").calls == ((TfjsTensor("d", 0), TfjsTensor("d", 1)),)
    nested = read_document(saved("nested")[0]).graph
    assert nested.layer("tower").calls == ((TfjsTensor("x"),), (TfjsTensor("w"),), (TfjsTensor("e"),))
    assert nested.layer("s").calls == ((TfjsTensor("tower", 0), TfjsTensor("tower", 1)),)
    assert nested.outputs == (TfjsTensor("s"), TfjsTensor("tower", 2))
    inner = nested.layer("tower").graph
    assert inner is not None
    assert inner.sequential
    assert [layer.name for layer in inner.layers] == ["i_input", "i"]
    states = read_document(saved("states")[0]).graph
    assert states.layer("d").calls == ((TfjsTensor("w"), TfjsTensor("e", 0, 1), TfjsTensor("e", 0, 2)),)


def test_training_and_metadata_are_kept(saved: Any) -> None:
    """As they stand in the file; of the optimizer's state there is a notice."""
    document = read_document(saved("trained")[0])
    assert document.metadata == {"unit": "mm"}
    assert document.training is not None
    assert document.training["loss"] == "mean_squared_error"
    assert document.training["optimizer_config"]["class_name"] == "Adam"
    assert "state of an optimizer" in document.notices[0]
    assert all("/m" not in name for name in document.weights)
    plain = read_document(saved("sequential")[0])
    assert (plain.training, plain.metadata) == (None, None)


@pytest.mark.parametrize("name", SAVED)
def test_what_was_read_is_written_and_loaded_again(node: Node, saved: Any, tmp_path: Path, name: str) -> None:
    """TensorFlow.js predicts the same by both files, and something else after one weight has changed."""
    path, _ = saved(name)
    document = read_document(path)
    write_document(tmp_path, document.graph, document.weights, training=document.training, metadata=document.metadata)
    again = read_document(tmp_path / "model.json")
    assert again.graph == document.graph
    assert (again.training, again.metadata) == (document.training, document.metadata)
    first = next(iter(document.weights))
    (tmp_path / "changed").mkdir()
    write_document(tmp_path / "changed", document.graph, {**document.weights, first: document.weights[first] + 1})
    code = """
      const models = await Promise.all(given.paths.map(load));
      const inputs = models[0].inputs.map(input => tf.ones(input.shape.map(n => n ?? 3)));
      return models.map(model => [].concat(model.predict(inputs.length > 1 ? inputs : inputs[0])));"""
    paths = [path, tmp_path / "model.json", tmp_path / "changed" / "model.json"]
    theirs, ours, changed = node(code, paths=paths)
    for one, two in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(theirs, changed, strict=True))


# ---- what is written -------------------------------------------------------------------------------------------------


def two_layers(sequential: bool) -> tuple[TfjsGraph, dict[str, np.ndarray]]:
    """A dense network of 5, 4 and 2 units with weights."""
    generator = np.random.default_rng(1)
    layers = (
        TfjsLayer("InputLayer", "x", {"batch_input_shape": [None, 5], "dtype": "float32"}),
        TfjsLayer("Dense", "h", {"units": 4, "activation": "relu"}, ((TfjsTensor("x"),),)),
        TfjsLayer("Dense", "y", {"units": 2}, ((TfjsTensor("h"),),)),
    )
    shapes = {"h/kernel": (5, 4), "h/bias": (4,), "y/kernel": (4, 2), "y/bias": (2,)}
    weights = {name: generator.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    return TfjsGraph("net", layers, (TfjsTensor("x"),), (TfjsTensor("y"),), sequential), weights


def predicted(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    w = {name: values.astype(float) for name, values in weights.items()}
    return np.maximum(x @ w["h/kernel"] + w["h/bias"], 0) @ w["y/kernel"] + w["y/bias"]


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("quantize", [None, "float16", "uint8", "uint16"])
def test_tensorflow_js_predicts_what_numpy_says(
    node: Node, tmp_path: Path, sequential: bool, quantize: str | None
) -> None:
    """By the weights as they are read from the file; those of one sign less are told apart."""
    graph, weights = two_layers(sequential)
    losses = write_document(tmp_path, graph, weights, quantize=quantize)
    document = read_document(tmp_path / "model.json")
    assert document == Document(graph, document.weights, None, None, ())
    x = np.random.default_rng(2).normal(size=(7, 5)).astype("float32")
    found = node("return (await load(given.path)).predict(given.x);", path=tmp_path / "model.json", x=x)
    np.testing.assert_allclose(found, predicted(document.weights, x), rtol=1e-5, atol=1e-5)
    assert np.abs(found - predicted({**weights, "h/bias": -weights["h/bias"]}, x)).max() > 0.1
    assert [loss.name for loss in losses] == ([] if quantize is None else ["h/kernel", "y/kernel"])
    exact = np.abs(found - predicted(weights, x)).max()
    assert exact < {None: 1e-5, "float16": 1e-2, "uint16": 1e-3, "uint8": 0.1}[quantize]


def test_metadata_of_all_kinds_is_kept(node: Node, tmp_path: Path) -> None:
    """Also what is not ASCII, here and in TensorFlow.js."""
    graph, weights = two_layers(True)
    metadata = {"städte": ["Łódź", "東京", "\ud800"], "n": 1, "deep": {"a": [None, True, 1e300, -0.5]}}
    write_document(tmp_path, graph, weights, metadata=metadata)
    assert read_document(tmp_path / "model.json").metadata == metadata
    metadata["städte"] = metadata["städte"][:2]
    write_document(tmp_path, graph, weights, metadata=metadata)
    code = "return (await load(given.path)).getUserDefinedMetadata();"
    assert node(code, path=tmp_path / "model.json") == metadata


@pytest.mark.parametrize("metadata", [{"a": float("nan")}, {"a": {1, 2}}, {"a": np.float32(1)}])
def test_metadata_must_be_json(tmp_path: Path, metadata: Any) -> None:
    """In a sentence, not by a traceback."""
    with pytest.raises(InputError, match="'metadata' are no JSON"):
        write_document(tmp_path, *two_layers(True), metadata=metadata)


def test_a_graph_that_is_refused_leaves_no_files(tmp_path: Path) -> None:
    """It is looked at before weights are written."""
    graph, weights = two_layers(True)
    with pytest.raises(InputError, match="must begin with its input"):
        write_document(
            tmp_path, TfjsGraph("g", graph.layers, graph.inputs, (TfjsTensor("h"),), sequential=True), weights
        )
    assert not list(tmp_path.iterdir())


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The model.json of a small model."""
    directory = tmp_path / "model"
    directory.mkdir()
    write_document(directory, *two_layers(False))
    read_document(directory / "model.json")
    return directory / "model.json"


def refused(path: Path, said: str) -> None:
    with pytest.raises(FileError, match=re.escape(said)) as caught:
        read_document(path)
    assert len(str(caught.value)) < 2000
    assert "\n" not in str(caught.value)


def rewritten(path: Path, **changed: Any) -> dict[str, Any]:
    document = json.loads(path.read_bytes()) | changed
    path.write_text(json.dumps(document))
    return document


def with_path(path: Path, shard: Any) -> None:
    manifest = json.loads(path.read_bytes())["weightsManifest"]
    rewritten(path, weightsManifest=[{**manifest[0], "paths": [shard]}])


def only_name(path: Path) -> str:
    return json.loads(path.read_bytes())["weightsManifest"][0]["paths"][0]


TEXTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "It is no JSON"),
    "no JSON": (b"{'a': 1}", "It is no JSON"),
    "cut": (b'{"modelTopology": {"class', "It is no JSON"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "It is no text in UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), "It is no text in UTF-8"),
    "list": (b"[]", "It must hold one JSON object"),
    "null": (b"null", "It must hold one JSON object"),
    "NaN": (b'{"a": NaN}', "It holds NaN, which is no number that JSON knows"),
    "Infinity": (b'{"a": [-Infinity]}', "It holds -Infinity, which is no number"),
    "overflow": (b'{"a": 1e999}', "It holds the number 1e999, which is too large"),
    "digits": (b'{"a": ' + b"9" * 5000 + b"}", "It is no JSON"),
    "deep lists": (b'{"a":' + b"[" * 100_000, f"More than {MOST_DEPTH} lists and objects lie within each other"),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, f"More than {MOST_DEPTH} lists and objects"),
    "deep behind a text": (b'{"\\"]]": "]]' + b"]" * 300 + b'", "a":' + b"[" * 300, f"More than {MOST_DEPTH} lists"),
    "values": (b"[" + b"0," * MOST_VALUES + b"0]", f"It holds more than {MOST_VALUES:,} values"),
    "quotes": (b'{"a": "' + b'\\"' * 10**6, "It is no JSON"),
    "no topology": (b'{"format": "layers-model"}', "It has no 'modelTopology'"),
    "no topology but null": (b'{"modelTopology": null}', "'modelTopology' must be an object. Got NoneType"),
    "graph model": (b'{"format": "graph-model", "modelTopology": {}}', "It is a graph model, which has no layers"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_damaged_text_is_refused(plain: Path, case: str) -> None:
    """In a sentence, and soon: a million quotes are looked at once each."""
    text, said = TEXTS[case]
    plain.write_bytes(text)
    refused(plain, said)


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "training": ({"trainingConfig": "adam"}, "'trainingConfig' must be an object. Got str"),
    "metadata": ({"userDefinedMetadata": [1]}, "'userDefinedMetadata' must be an object. Got list"),
    "manifest": ({"weightsManifest": 0}, "'weightsManifest' must be a list. Got int"),
    "no weights": ({"modelTopology": {"class_name": "Sequential", "config": []}}, "has no layers"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_other_types_are_refused(plain: Path, case: str) -> None:
    """At the top of the file; those within are in the tests of the topology and the weights."""
    changed, said = CHANGES[case]
    rewritten(plain, **changed)
    refused(plain, said)


def test_what_is_not_known_is_passed_over(plain: Path) -> None:
    """Keys of others, a byte order mark, and brackets in texts do no harm."""
    expected = read_document(plain).graph
    document = rewritten(plain, signature={"a": 1}, fromSomeone=["[" * 1000, '\\"[' * 300])
    assert read_document(plain).graph == expected
    plain.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    assert read_document(plain).graph == expected


def test_a_model_without_weights_has_no_manifest(plain: Path) -> None:
    """TensorFlow.js leaves it out or writes null."""
    rewritten(plain, weightsManifest=None)
    assert read_document(plain).weights == {}


def test_large_files_are_not_read(plain: Path) -> None:
    """By their size alone, which takes no memory."""
    with plain.open("r+b") as file:
        file.truncate(MOST_TEXT + 1)
    refused(plain, "has more than 67,108,864 bytes")
    with pytest.raises(FileError, match="It has more than 67,108,864 bytes"):
        parse_document(bytes(MOST_TEXT + 1), Directory(plain.parent))


def test_large_shards_are_not_read(plain: Path) -> None:
    """Sizes are compared first."""
    with (plain.parent / only_name(plain)).open("r+b") as file:
        file.truncate(2**40)
    refused(plain, "The weight files hold 1,099,511,627,776 bytes, and the manifest asks for 136")


@pytest.mark.parametrize("size", [0, 135, 137])
def test_shards_must_be_used_up(plain: Path, size: int) -> None:
    """To the byte."""
    with (plain.parent / only_name(plain)).open("r+b") as file:
        file.truncate(size)
    refused(plain, f"The weight files hold {size} bytes, and the manifest asks for 136")


def test_a_missing_file_is_named(plain: Path) -> None:
    """The model itself, and a shard."""
    refused(plain.parent / "other.json", "There is no file")
    refused(plain / "model.json", "There is no file")
    refused(plain.parent, "must be a file: give the model.json")
    refused(plain.parent / ("x" * 300), "cannot be read (File name too long)")
    refused(plain.parent / "a\0b", "There is no file")
    (plain.parent / only_name(plain)).unlink()
    refused(plain, "There is no weight file")
    with_path(plain, "x" * 999)
    refused(plain, "There is no weight file")


@pytest.mark.parametrize("shard", ["/etc/hosts", "../secret.bin", "a/../../secret.bin", "C:\\w.bin", "http://a/w.bin"])
def test_a_path_that_leads_elsewhere_is_refused(plain: Path, shard: str) -> None:
    """Although something of the right size lies there."""
    (plain.parent.parent / "secret.bin").write_bytes(bytes(136))
    with_path(plain, shard)
    refused(plain, "would lie outside of the model's directory, so it is not read")


def test_links_are_not_followed(plain: Path) -> None:
    """Neither of a file nor of a directory on the way, wherever they lead; the model.json itself may be one."""
    name = only_name(plain)
    shard = plain.parent / name
    beside = plain.parent / "real.bin"
    shard.rename(beside)
    shard.symlink_to("real.bin")
    refused(plain, "is a link, and weight files are read from the model's directory only")
    (plain.parent / "away").symlink_to(plain.parent)
    with_path(plain, "away/real.bin")
    refused(plain, "is a link")
    with_path(plain, "real.bin")
    linked = plain.parent / "linked.json"
    linked.symlink_to(plain)
    assert read_document(linked).weights


def test_shards_in_directories_are_read(plain: Path) -> None:
    """Of the model's own."""
    (plain.parent / "parts").mkdir()
    (plain.parent / only_name(plain)).rename(plain.parent / "parts" / "w.bin")
    with_path(plain, "./parts/w.bin")
    assert read_document(plain).weights


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_only_files_are_read(plain: Path) -> None:
    """A pipe would be waited for, and a socket or directory is no file."""
    shard = plain.parent / only_name(plain)
    shard.unlink()
    os.mkfifo(shard)
    refused(plain, "must be a file of weights, and it is none")
    os.mkfifo(plain.parent / "pipe.json")
    refused(plain.parent / "pipe.json", "must be a file: give the model.json")
    shard.unlink()
    shard.mkdir()
    refused(plain, "must be a file of weights, and it is none")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("becomes", ["pipe", "link"])
def test_a_file_that_changes_after_it_was_looked_at(plain: Path, monkeypatch: pytest.MonkeyPatch, becomes: str) -> None:
    """It is the opened file that is asked what it is: a pipe is not waited for, a link not followed."""
    shard = plain.parent / only_name(plain)
    secret = plain.parent.parent / "secret.bin"
    secret.write_bytes(bytes(136))
    opened = os.open

    def swapped(path: Any, *arguments: Any) -> int:
        if Path(path) == shard:
            shard.unlink()
            os.mkfifo(shard) if becomes == "pipe" else shard.symlink_to(secret)
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", swapped)
    refused(plain, "is no file any more: try again" if becomes == "pipe" else "cannot be read (")


def test_reading_opens_no_address_and_writes_nothing(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the file asks for."""
    before = sorted(plain.parent.rglob("*"))
    monkeypatch.setattr(socket, "socket", None)
    with_path(plain, "https://example.org/w.bin")
    refused(plain, "would lie outside")
    assert sorted(plain.parent.rglob("*")) == before


def test_tensorflow_js_refuses_what_we_refuse(node: Node, plain: Path) -> None:
    """A weight too few in the shard; that the fixture itself loads shows the other tests."""
    with (plain.parent / only_name(plain)).open("r+b") as file:
        file.truncate(100)
    refused(plain, "The weight files hold 100 bytes")
    with pytest.raises(NodeError):
        node("return (await load(given.path)).predict(tf.ones([1, 5]));", path=plain)


# ---- thousands of damaged documents ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fuzzing() -> Any:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("fuzz_tfjs", BENCHMARKS / "fuzz_tfjs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "fuzz_tfjs", module)
        spec.loader.exec_module(module)
        yield module


def test_damaged_documents_are_read_or_refused(fuzzing: Any, tmp_path: Path) -> None:
    """Nothing but a document or a sentence, of dozens of kinds; `benchmarks/fuzz_tfjs.py` does it a million times."""
    corpus = fuzzing.sources()
    for source in corpus:
        assert fuzzing.parse_document(source.text.encode(), fuzzing.Damaged(b"", source.shards)).notices
    findings = fuzzing.examine(corpus, 0, range(4000), tmp_path, build=50)
    assert findings.other == {}
    assert 0 < findings.built <= findings.tried
    refused_by_reader = findings.refused.total() - (findings.tried - findings.built)
    assert findings.loaded + refused_by_reader == findings.inputs == 4000
    assert findings.loaded > 400
    assert len(findings.refused) > 50


def test_a_sentence_that_cannot_be_shown_is_found(
    fuzzing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deliberate break of the sentences: one that would clear a person's screen."""

    def unprintable(*_: Any) -> None:
        raise FileError("It holds \x1b[2J.")

    monkeypatch.setattr(fuzzing, "parse_document", unprintable)
    findings = fuzzing.examine(fuzzing.sources(), 0, range(1, 3), tmp_path, build=0)
    assert findings.other.keys() == {1, 2}
    assert "cannot be printed" in findings.other[1]


def test_other_exceptions_are_found(fuzzing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deliberate break: a reader that trusts the weight files; the input is told by its number."""
    monkeypatch.setattr(fuzzing.Damaged, "_known", lambda *_: None)
    corpus = fuzzing.sources()
    findings = fuzzing.examine(corpus, 0, range(500), tmp_path, build=0)
    assert "KeyError" in next(iter(findings.other.values()))
    number = next(number for number in findings.other if number % fuzzing.ON_DISK)
    again = fuzzing.made_input(corpus, 0, number)
    with pytest.raises(KeyError):
        fuzzing.parse_document(again.text, again)
