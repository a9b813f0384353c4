"""Damaged TensorFlow.js documents, a million of them: each is read, or refused in a sentence; nothing else may happen.

Documents of all shapes are changed at random: nodes of their JSON deleted, repeated, exchanged and replaced by odd
values, bytes of the text, the length of weight files, their paths. What is read must be written and read again to the
same graph; some of it is also built in Keras. One in `ON_DISK` lies in real files, among them links and pipes. An input
is made again by its number and the seed: ``python benchmarks/fuzz_tfjs.py --only NUMBER --seed SEED``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fitwell.errors import FileError
from fitwell.tfjs.document import Document, parse_document, read_document, write_document
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.topology import parse_topology, write_topology

ON_DISK = 100
"""One input of so many lies in real files."""

BUILD = 500
"""One document of so many that are read is built in Keras, which takes a thousand times as long."""

CHUNK = 2000
LONGEST = 3000
"""Characters of a refusal."""

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e300, float("nan"), float("inf"), 2**31 - 1, 2**31, 2**63, 10**30, "",
    "x", "y", "..", "/", "\0", "\x1b[2J\n", "\ud800", "é", "a" * 2000, "NaN", "1", "__proto__", "constructor", [], {},
    [[]], [None], [[[]]], {"": None}, [[["x", 0, 0, {}]]], ["x", 0, 0], {"class_name": "Dense", "config": {}}, "Model",
    "Sequential", "InputLayer", "LSTM", "Bidirectional", "channelsLast", {"class_name": "__keras_tensor__"}, "float16",
    [2**31, 2**31], {"\x1b[2J": "\ud800"},
]  # fmt: skip
PATHS: list[Any] = [
    "../w.bin", "/etc/passwd", "a/../../w.bin", "C:\\w.bin", "\\\\host\\w.bin", "https://example.org/w.bin", ".", "",
    "./", "file:///etc/passwd", "w.bin\0.json", "link.bin", "pipe.bin", "directory", "linked/w.bin", "model.json",
    "missing.bin", "%2e%2e/w.bin", "~/w.bin", "$HOME/w.bin", "CON", "a" * 5000, 7, None, ["w.bin"], "/dev/zero",
    "/proc/self/mem", "..",
]  # fmt: skip
TOKENS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\ud800", b"null", b"NaN", b"1e999", b"-", b"9" * 30, b"\xff",
    b"\0", b"\xef\xbb\xbf", b"[" * 300, b'{"a":' * 300, b"//", b"'", b"\n",
]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A document that is fine: its model.json and its weight files."""

    text: str
    shards: dict[str, bytes]


@dataclass
class Damaged:
    """A changed one; `told` says what was done to it."""

    text: bytes
    shards: dict[str, bytes]
    sizes: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def size(self, path: str) -> int:
        """Bytes of a weight file, or what it is said to have."""
        self._known(path)
        return self.sizes.get(path, len(self.shards[path]))

    def read(self, path: str) -> bytes:
        """Its bytes."""
        self._known(path)
        return self.shards[path]

    def _known(self, path: str) -> None:
        if path not in self.shards:
            raise FileError(f"There is no weight file '{path[:50]}' beside the model.")


@dataclass
class Findings:
    """What came of many inputs.

    Attributes
    ----------
    loaded
        Read, and found the same once written and read again.
    tried, built
        Of these, given to Keras, and not refused there.
    refused
        By the first words of the sentence, those that were refused when they were built too.
    other
        Inputs by their numbers, and what was raised.
    memory
        Largest bytes of a process.
    """

    inputs: int = 0
    loaded: int = 0
    tried: int = 0
    built: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    other: dict[int, str] = field(default_factory=dict)
    memory: int = 0

    def add(self, more: Findings) -> None:
        """Take in those of other inputs."""
        self.inputs += more.inputs
        self.loaded += more.loaded
        self.tried += more.tried
        self.built += more.built
        self.refused += more.refused
        self.other |= more.other
        self.memory = max(self.memory, more.memory)


# ---- documents that are fine -----------------------------------------------------------------------------------------


def sources() -> list[Source]:
    """Return documents of all shapes, small ones, since thousands of them are read in a second."""
    with tempfile.TemporaryDirectory() as name:
        written = [_written(Path(name) / str(number), *made) for number, made in enumerate(_models())]
    chained = json.loads(written[0].text)
    topology = chained["modelTopology"]
    shapes = [
        {"model_config": {key: topology[key] for key in ("class_name", "config")}, "training_config": {"loss": "mse"}},
        {"class_name": "Sequential", "config": topology["config"]["layers"][1:]},
    ]
    shapes[1]["config"][0]["config"] |= {"batch_input_shape": [None, 3], "dtype": "float32"}
    others = [Source(json.dumps(chained | {"modelTopology": shape}), written[0].shards) for shape in shapes]
    camel = re.sub(r'(?<=[a-z])_([a-z])(?=\w*":)', lambda found: found[1].upper(), written[1].text)
    return [*written, *others, Source(camel, written[1].shards)]


def _models() -> Iterator[tuple[TfjsGraph, dict[str, np.ndarray], dict[str, Any]]]:
    start = TfjsLayer("InputLayer", "x", {"batch_input_shape": [None, 3], "dtype": "float32"})
    x, h = TfjsTensor("x"), TfjsTensor("h")
    hidden = TfjsLayer("Dense", "h", {"units": 3, "activation": "relu", "kernel_regularizer": _L2}, ((x,),))
    weights = {"h/kernel": np.eye(3, dtype="float32"), "h/bias": np.zeros(3, "float32")}
    yield (TfjsGraph("chain", (start, hidden), (x,), (h,), sequential=True), weights,
           {"training": {"loss": "mean_squared_error", "metrics": [], "optimizer_config": _ADAM}})  # fmt: skip
    shared = replace(hidden, calls=((x,), (h,)))
    both = TfjsLayer("Concatenate", "c", {"axis": -1}, ((TfjsTensor("h", 0), TfjsTensor("h", 1)),))
    yield (
        TfjsGraph("shared", (start, shared, both), (x,), (TfjsTensor("c"), TfjsTensor("h", 1))),
        weights,
        {"quantize": "uint8"},
    )
    inner = TfjsGraph("inner", (start, hidden), (x,), (h,), sequential=True)
    outer = TfjsGraph(
        "inner", (start, TfjsLayer("Sequential", "tower", {}, ((x,),), inner)), (x,), (TfjsTensor("tower"),)
    )
    model = TfjsLayer("Model", "m", {}, ((TfjsTensor("a"),), (TfjsTensor("m"),)), replace(outer, name="m"))
    entry = replace(start, name="a")
    yield (TfjsGraph("nested", (entry, model), (TfjsTensor("a"),), (TfjsTensor("m", 1), TfjsTensor("m", 0))), weights,
           {"metadata": {"classes": ["é", "b"], "n": 3}, "quantize": "float16"})  # fmt: skip
    steps = [TfjsLayer("InputLayer", name, {"batch_input_shape": [None, 4, 2], "dtype": "float32"}) for name in "pq"]
    encoder = TfjsLayer(
        "LSTM", "e", {"units": 2, "return_state": True, "unit_forget_bias": True}, ((TfjsTensor("p"),),)
    )
    decoder = TfjsLayer("LSTM", "d", {"units": 2}, ((TfjsTensor("q"), TfjsTensor("e", 0, 1), TfjsTensor("e", 0, 2)),))
    shapes = {"kernel": (2, 8), "recurrent_kernel": (2, 8), "bias": (8,)}
    states = {f"{layer}/{name}": np.ones(shape, "float32") for layer in "ed" for name, shape in shapes.items()}
    yield (
        TfjsGraph("states", (*steps, encoder, decoder), (TfjsTensor("q"), TfjsTensor("p")), (TfjsTensor("d"),)),
        states,
        {},
    )


_L2 = {"class_name": "L1L2", "config": {"l1": 0, "l2": 0.01}}
_ADAM = {"class_name": "Adam", "config": {"learningRate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}}


def _written(directory: Path, graph: TfjsGraph, weights: dict[str, np.ndarray], options: dict[str, Any]) -> Source:
    directory.mkdir()
    write_document(directory, graph, weights, **options)
    document = json.loads((directory / "model.json").read_bytes())
    (group,) = document["weightsManifest"]
    data = (directory / group["paths"][0]).read_bytes()
    state = {"name": "iter", "shape": [], "dtype": "int32", "group": "optimizer"}
    document["weightsManifest"] = [
        {"paths": ["w.bin", "./parts/v.bin"], "weights": group["weights"]},
        {"paths": ["state.bin"], "weights": [state]},
    ]
    return Source(json.dumps(document), {"w.bin": data[:9], "./parts/v.bin": data[9:], "state.bin": bytes(4)})


# ---- and what is done to them ----------------------------------------------------------------------------------------


def damaged(source: Source, rng: random.Random) -> Damaged:
    """Change a document in one way or several."""
    made = Damaged(b"", dict(source.shards))
    found = json.loads(source.text)
    kind = rng.random()
    for _ in range(rng.choice((1, 1, 2, 3)) if kind < 0.75 else 0):
        found = _change_node(found, rng, made.told)
    if 0.75 <= kind < 0.8:
        _change_path(found, rng, made.told)
    try:
        made.text = json.dumps(found, ensure_ascii=rng.random() < 0.8).encode("utf-8", "surrogatepass")
    except RecursionError:  # a document deeper than Python writes
        made.text = b'{"modelTopology":' + b"[" * 5000
    if 0.8 <= kind < 0.92:
        made.text = _change_bytes(made.text, rng, made.told)
    if kind >= 0.92:
        _change_shard(made, rng)
    return made


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Return all containers with their keys, no recursion."""
    places, open_ = [], [node]
    while open_:
        container = open_.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        for key in keys:
            places.append((container, key))
            if isinstance(container[key], dict | list):
                open_.append(container[key])
    return places


def _change_node(document: Any, rng: random.Random, told: list[str]) -> Any:
    places = _places(document) if isinstance(document, dict | list) else []
    if not places:
        return rng.choice(ODD)
    container, key = rng.choice(places)
    name = rng.choices(list(CHANGES), [1 if name in RARE else 20 for name in CHANGES])[0]
    told.append(f"{name} at {str(key)[:30]!r} = {str(container[key])[:60]}")
    changed = CHANGES[name](container, key, places, rng)
    return document if changed is None else changed


def _delete(container: Any, key: Any, _: Any, __: random.Random) -> None:
    del container[key]


def _repeat(container: Any, key: Any, _: Any, rng: random.Random) -> None:
    if isinstance(container, list):
        container[key:key] = [_copy(container[key])] * rng.choice((1, 1, 2, 50))
    else:
        container[rng.choice(["name", "config", "layers", str(key) + "_"])] = _copy(container[key])


def _replace(container: Any, key: Any, _: Any, rng: random.Random) -> None:
    container[key] = _copy(rng.choice(ODD))


def _exchange(container: Any, key: Any, places: Any, rng: random.Random) -> None:
    other, place = rng.choice(places)
    container[key], other[place] = _copy(other[place]), _copy(container[key])


def _put_there(container: Any, key: Any, places: Any, rng: random.Random) -> None:
    other, place = rng.choice(places)
    container[key] = _copy(other[place])


def _near(container: Any, key: Any, _: Any, rng: random.Random) -> None:
    value = container[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = rng.choice([value + 1, value - 1, -value, float(value), str(value), value * 10**9])
    elif isinstance(value, str):
        container[key] = rng.choice([value.upper(), value[:-1], value + "_1", value.title(), [value], value[::-1]])
    else:
        container[key] = [value]


def _wrap(container: Any, key: Any, _: Any, rng: random.Random) -> None:
    value = container[key]
    for _ in range(rng.choice((1, 3, 40, 150, 400))):
        value = rng.choice(([value], {"config": value}, {"layers": [value]}))
    container[key] = value


def _nest(container: Any, key: Any, _: Any, rng: random.Random) -> None:
    value = container[key]
    for number in range(rng.choice((1, 2, 31, 32, 33, 60))):
        layer = (
            value if isinstance(value, dict) else {"class_name": "Dense", "config": {"batch_input_shape": [None, 3]}}
        )
        value = {"class_name": "Sequential", "config": {"name": f"n{number}", "layers": [layer]}}
    container[key] = value


def _rename(container: Any, key: Any, _: Any, rng: random.Random) -> None:
    if isinstance(container, dict):
        other = (
            re.sub("_(.)", lambda found: found[1].upper(), key) if rng.random() < 0.5 else rng.choice(["", "name", "x"])
        )
        container[other] = container.pop(key)


def _shuffle(container: Any, key: Any, _: Any, rng: random.Random) -> None:
    if isinstance(container[key], list):
        rng.shuffle(container[key])


def _take_whole(container: Any, key: Any, _: Any, __: random.Random) -> Any:
    return container[key]


CHANGES: dict[str, Callable[[Any, Any, Any, random.Random], Any]] = {
    "deleted": _delete, "repeated": _repeat, "replaced": _replace, "exchanged": _exchange, "copied over": _put_there,
    "near": _near, "wrapped": _wrap, "nested": _nest, "renamed": _rename, "shuffled": _shuffle, "alone": _take_whole,
}  # fmt: skip


RARE = ("alone", "wrapped", "nested")
"""Changes after which little is left to be read."""


def _copy(value: Any) -> Any:
    """Copy lists and objects only: parts within each other would make a circle."""
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value


def _change_path(document: Any, rng: random.Random, told: list[str]) -> None:
    group = rng.choice(document["weightsManifest"])
    path = rng.choice(PATHS)
    group["paths"][rng.randrange(len(group["paths"]))] = path
    told.append(f"path {str(path)[:50]!r}")


def _change_bytes(text: bytes, rng: random.Random, told: list[str]) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 8))):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 1, 1, 5, 200)))
        piece = rng.choice([b"", rng.choice(TOKENS), rng.randbytes(3), text[start:end] * 2])
        told.append(f"bytes {start} to {end} are {piece[:20]!r}")
        text = text[:start] + piece + text[end:]
    return text[: rng.randrange(len(text))] if text and rng.random() < 0.1 else text


def _change_shard(made: Damaged, rng: random.Random) -> None:
    path = rng.choice(list(made.shards))
    data = made.shards[path]
    name = rng.choice(("cut", "longer", "missing", "other bytes", "said to be longer", "empty"))
    made.told.append(f"{path} {name}")
    if name == "missing":
        del made.shards[path]
    elif name == "said to be longer":
        made.sizes[path] = rng.choice((len(data) + 1, 2**40, 0))
    else:
        made.shards[path] = {
            "cut": data[: rng.randrange(len(data))], "longer": data + bytes(rng.choice((1, 4, 1000))),
            "other bytes": rng.randbytes(len(data)), "empty": b"",
        }[name]  # fmt: skip


# ---- what comes of them ----------------------------------------------------------------------------------------------


def made_input(corpus: list[Source], seed: int, number: int) -> Damaged:
    """Return an input again."""
    rng = random.Random(seed * 2**40 + number)
    return damaged(rng.choice(corpus), rng)


def examine(
    corpus: list[Source], seed: int, numbers: Iterable[int], directory: Path, *, build: int = BUILD
) -> Findings:
    """Read the inputs of some numbers; a directory of one's own is for those in real files."""
    findings = Findings()
    for number in numbers:
        made = made_input(corpus, seed, number)
        findings.inputs += 1
        try:
            document = _on_disk(made, directory) if number % ON_DISK == 0 else parse_document(made.text, made)
            _check(document)
            findings.loaded += 1
            if build and findings.loaded % build == 0:
                findings.tried += 1
                _build(document)
                findings.built += 1
        except FileError as error:
            sentence = str(error)
            if len(sentence) > LONGEST or not sentence.isprintable():
                findings.other[number] = f"a sentence that is too long or cannot be printed: {sentence[:200]!r}"
            else:
                findings.refused[_first_words(sentence)] += 1
        except Exception as error:  # what no reader may raise is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            findings.other[number] = (
                f"{type(error).__name__}: {str(error)[:200]} ({Path(place.filename).name}:{place.lineno})"
            )
    findings.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return findings


def _check(document: Document) -> None:
    """What is read is written, and read again to the same."""
    again = parse_topology(write_topology(document.graph))
    if again != document.graph:
        raise AssertionError(f"read again, it is another graph: {again}")
    json.dumps([document.training, document.metadata], allow_nan=False)
    if not all(values.dtype in ("float32", "int32", "bool") for values in document.weights.values()):
        raise AssertionError("a weight has another type")


def _build(document: Document) -> None:
    from fitwell.tfjs.reading import from_tfjs  # Keras takes seconds to start
    from fitwell.tfjs.training_config import read_training_config

    from_tfjs(document.graph, document.weights)
    if document.training is not None:
        read_training_config(document.training)


def _on_disk(made: Damaged, directory: Path) -> Document:
    """Read an input from files, among links and pipes; reading leaves everything as it is."""
    model = directory / "model"
    for path in sorted(model.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in ("parts", "directory"):
        (model / path).mkdir(parents=True, exist_ok=True)
    for path, data in made.shards.items():
        (model / path).write_bytes(data)
    (directory / "w.bin").write_bytes(made.shards.get("w.bin", b""))
    (model / "link.bin").symlink_to(directory / "w.bin")
    (model / "linked").symlink_to(directory)
    os.mkfifo(model / "pipe.bin")
    (model / "model.json").write_bytes(made.text)
    before = sorted(directory.rglob("*"))
    try:
        return read_document(model / "model.json")
    finally:
        if sorted(directory.rglob("*")) != before:
            raise AssertionError("reading wrote a file")


def _first_words(sentence: str) -> str:
    """Return the words that sentences of one kind share."""
    plain = re.sub(r"^'[^']*model\.json': ", "", sentence)
    plain = plain.partition(" (")[0]
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", plain)
    return " ".join(re.sub(r"-?[\d,]*\d", "N", plain).split()[:7])


# ---- all of it -------------------------------------------------------------------------------------------------------


def run(inputs: int, seed: int, processes: int, build: int) -> Findings:
    """Read that many inputs in several processes, and tell the progress."""
    findings, started = Findings(), time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        starts = range(0, inputs, CHUNK)
        tasks = [pool.submit(_chunk, seed, start, min(start + CHUNK, inputs), build) for start in starts]
        try:
            for done, task in enumerate(as_completed(tasks), 1):
                findings.add(task.result())
                if done % 10 == 0:
                    rate = findings.inputs / (time.monotonic() - started)
                    print(f"{findings.inputs:,} inputs, {rate:,.0f} in a second", file=sys.stderr)
        finally:
            pool.shutdown(cancel_futures=True)  # a fault of this file itself is told at once
    return findings


_corpus: list[Source] = []


def _chunk(seed: int, start: int, end: int, build: int) -> Findings:
    if not _corpus:
        _corpus.extend(sources())
    with tempfile.TemporaryDirectory() as name:
        return examine(_corpus, seed, range(start, end), Path(name), build=build)


def table(findings: Findings, seconds: float) -> str:
    """Return what came of the inputs, to print."""
    rows = [
        ("inputs", f"{findings.inputs:,}"),
        ("read", f"{findings.loaded:,}"),
        ("of them given to Keras", f"{findings.tried:,}"),
        ("of them built", f"{findings.built:,}"),
        ("refused, by the sentence", f"{findings.refused.total():,}"),
        ("other exceptions", f"{len(findings.other):,}"),
        ("largest memory", f"{findings.memory / 2**20:,.0f} MiB"),
        ("inputs in a second", f"{findings.inputs / seconds:,.0f}"),
    ]
    refused = [(f"  {words}", f"{count:,}") for words, count in findings.refused.most_common()]
    return "\n".join(f"{name:<70} {value:>12}" for name, value in rows + refused)


def show(seed: int, number: int) -> None:
    """Print an input, and let it raise what it raises."""
    made = made_input(sources(), seed, number)
    print(
        f"{made.told}\n{made.text[:5000].decode(errors='replace')}\n{ ({k: len(v) for k, v in made.shards.items()}) }"
    )
    document = parse_document(made.text, made)
    _check(document)
    _build(document)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--build", type=int, default=BUILD, help="one of so many is built in Keras; 0 for none")
    parser.add_argument("--only", type=int, help="number of the one input that is shown")
    arguments = parser.parse_args()
    if arguments.only is not None:
        show(arguments.seed, arguments.only)
        return 0
    started = time.monotonic()
    findings = run(arguments.inputs, arguments.seed, arguments.processes, arguments.build)
    print(table(findings, time.monotonic() - started))
    for number, raised in sorted(findings.other.items())[:20]:
        told = made_input(sources(), arguments.seed, number).told
        print(f"input {number} of seed {arguments.seed} ({'; '.join(told)}) raised {raised}")
    return 1 if findings.other else 0


if __name__ == "__main__":
    sys.exit(main())
