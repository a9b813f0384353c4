"""Topologies: all spellings are read to the same graph, what is written is read again, and no reference dangles."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitwell.errors import FileError, InputError
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.topology import MOST_NESTED, parse_topology, write_topology

INPUT = {"batch_input_shape": [None, 4], "dtype": "float32"}


def dense(name: str, *calls: list[Any], **config: Any) -> dict[str, Any]:
    """A layer of a functional model in the file."""
    return {"name": name, "class_name": "Dense", "config": {"name": name, **config}, "inbound_nodes": list(calls)}


def given_input(name: str, **config: Any) -> dict[str, Any]:
    made = {"name": name, **INPUT, **config}
    return {"name": name, "class_name": "InputLayer", "config": made, "inbound_nodes": []}


def take(layer: str, call: int = 0, output: int = 0, **arguments: Any) -> list[Any]:
    return [layer, call, output, arguments]


def model(*layers: dict[str, Any], inputs: Any = (("x", 0, 0),), outputs: Any = (("y", 0, 0),)) -> dict[str, Any]:
    """A functional model in the file, from x to y."""
    ends = {"input_layers": [list(end) for end in inputs], "output_layers": [list(end) for end in outputs]}
    return {"class_name": "Model", "config": {"name": "model", "layers": list(layers), **ends}}


def chain(*layers: dict[str, Any], **config: Any) -> dict[str, Any]:
    """A Sequential in the file."""
    return {"class_name": "Sequential", "config": {"name": "chain", "layers": list(layers), **config}}


def first(name: str = "a", **config: Any) -> dict[str, Any]:
    return {"class_name": "Dense", "config": {"name": name, **INPUT, "units": 2, **config}}


def nested(name: str = "inner") -> dict[str, Any]:
    """A model in a model, with two outputs, called with `h`."""
    inner = model(
        given_input("x"), dense("y", [take("x")]), dense("z", [take("y")]), outputs=[("y", 0, 0), ("z", 0, 0)]
    )
    inner["config"]["name"] = name
    return {"name": name, **inner, "inbound_nodes": [[take("x")], [take("x")]]}


# ---- what is read ----------------------------------------------------------------------------------------------------


def test_a_sequential_gets_an_input() -> None:
    """From the first layer's shape, or the InputLayer that stands there."""
    graph = parse_topology(chain(first(), dense("b", units=1)))
    assert graph == TfjsGraph(
        "chain",
        (
            TfjsLayer("InputLayer", "a_input", INPUT),
            TfjsLayer("Dense", "a", {**INPUT, "units": 2}, ((TfjsTensor("a_input"),),)),
            TfjsLayer("Dense", "b", {"units": 1}, ((TfjsTensor("a"),),)),
        ),
        (TfjsTensor("a_input"),),
        (TfjsTensor("b"),),
        sequential=True,
    )
    clash = parse_topology(chain(first(), dense("a_input")))
    assert [layer.name for layer in clash.layers] == ["a_input_", "a", "a_input"]
    old = {"class_name": "Dense", "config": {"name": "a", "input_shape": [4], "dtype": None}}
    assert parse_topology(chain(old)).layers[0] == TfjsLayer("InputLayer", "a_input", INPUT)
    explicit = parse_topology(chain(given_input("x"), dense("b", units=1)))
    assert [layer.name for layer in explicit.layers] == ["x", "b"]
    assert explicit.layers[0] == TfjsLayer("InputLayer", "x", INPUT)


@pytest.mark.parametrize(
    "around",
    [
        lambda made: {**made, "keras_version": "tfjs-layers 4.22.0", "backend": "tensor_flow.js"},
        lambda made: {"keras_version": "2.15.0", "backend": "tensorflow", "model_config": made, "training_config": {}},
        lambda made: {**made, "model_config": None},
        lambda made: {"class_name": made["class_name"], "config": made["config"]["layers"]},
        lambda made: {"className": made["class_name"], "config": made["config"]},
    ],
    ids=["TensorFlow.js", "converter", "null", "bare list", "camelCase"],
)
def test_all_shapes_of_a_topology_are_read(around: Any) -> None:
    """They differ in what is around the layers only; a bare list has no name."""
    made = chain(first(), dense("b"))
    expected = parse_topology(made)
    found = parse_topology(around(made))
    assert replace(found, name="chain") == expected
    changed = copy.deepcopy(made)
    changed["config"]["layers"][1]["config"]["units"] = 3
    assert replace(parse_topology(around(changed)), name="chain") != expected


def test_a_whole_model_in_camel_case() -> None:
    """Among it the keys beside the configs."""
    made = model(given_input("x"), dense("y", [take("x")], use_bias=False))
    text = json.dumps(made)
    for key in ("batch_input_shape", "use_bias", "inbound_nodes", "input_layers", "output_layers", "class_name"):
        head, *tail = key.split("_")
        text = text.replace(f'"{key}"', f'"{head}{"".join(part.title() for part in tail)}"')
    assert "_" not in text
    assert parse_topology(json.loads(text)) == parse_topology(made)


def test_calls_of_nested_models_count_from_0() -> None:
    """In the file from 1, since the model's own graph is 0 there."""
    made = model(
        given_input("x"), nested(), dense("y", [take("inner", 1, 1)], [take("inner", 2, 0)]),
        outputs=[("y", 0, 0), ("y", 1, 0), ("inner", 2, 1)],
    )  # fmt: skip
    graph = parse_topology(made)
    assert graph.layer("y").calls == ((TfjsTensor("inner", 0, 1),), (TfjsTensor("inner", 1, 0),))
    assert graph.outputs == (TfjsTensor("y", 0), TfjsTensor("y", 1), TfjsTensor("inner", 1, 1))
    inner = graph.layer("inner")
    assert inner.class_name == "Model"
    assert inner.graph is not None
    assert inner.graph.outputs == (TfjsTensor("y"), TfjsTensor("z"))
    assert inner.calls == ((TfjsTensor("x"),), (TfjsTensor("x"),))
    assert [layer.name for layer in graph.walk()] == ["x", "inner", "x", "y", "z", "y"]
    written = write_topology(graph)["config"]
    assert written["layers"] == made["config"]["layers"]
    assert written["output_layers"] == made["config"]["output_layers"]


def test_a_sequential_begins_with_a_model() -> None:
    """Whose input is taken for its own."""
    inner = {"class_name": "Model", "config": nested("inner")["config"]}
    inner["config"]["output_layers"] = [["z", 0, 0]]
    graph = parse_topology(chain(inner, dense("b")))
    assert graph.layers[0] == TfjsLayer("InputLayer", "inner_input", INPUT)
    assert graph.layers[1].graph is not None


def test_states_are_further_tensors_of_a_call() -> None:
    """Of an RNN that returns them, as many as it has."""
    encoder = {**dense("enc", [take("x")], return_state=True), "class_name": "LSTM"}
    decoder = {**dense("y", [take("x"), take("enc", 0, 1), take("enc", 0, 2)]), "class_name": "LSTM"}
    graph = parse_topology(model(given_input("x"), encoder, decoder))
    assert graph.layer("y").calls == ((TfjsTensor("x"), TfjsTensor("enc", 0, 1), TfjsTensor("enc", 0, 2)),)
    decoder["inbound_nodes"][0][2][2] = 3
    with pytest.raises(FileError, match=re.escape("output 3 (counted from 0) of 'enc', which has 3")):
        parse_topology(model(given_input("x"), encoder, decoder))


@pytest.mark.parametrize(("class_name", "most"), [("RNN", 63), ("Bidirectional", 63), ("GRU", 1), ("Dense", 0)])
def test_some_layers_do_not_say_how_many_outputs_they_have(class_name: str, most: int) -> None:
    """Of these more are let pass, up to an odd number."""
    layer = {**dense("r", [take("x")], return_state=True), "class_name": class_name}
    parse_topology(model(given_input("x"), layer, dense("y", [take("r", 0, most)])))
    with pytest.raises(FileError, match=f"refers to output {most + 1}"):
        parse_topology(model(given_input("x"), layer, dense("y", [take("r", 0, most + 1)])))


def test_one_tensor_may_stand_for_a_list_of_one() -> None:
    """As Keras 3 writes inputs and old versions wrote calls."""
    made = model(given_input("x"), dense("y", take("x")))
    made["config"] |= {"input_layers": ["x", 0, 0], "output_layers": ["y", 0, 0]}
    assert parse_topology(made) == parse_topology(model(given_input("x"), dense("y", [take("x")])))


# ---- what is written -------------------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn, name: str = "m", depth: int = 0) -> TfjsGraph:
    """Small models with shared layers, several inputs and outputs, states, and models within."""
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from("abcdefg"), unique=True, max_size=4))
        layers = [TfjsLayer("InputLayer", f"{name}_in", INPUT)]
        for one in names:
            layers.append(TfjsLayer("Dense", f"{name}/{one}", {"units": 3}, ((TfjsTensor(layers[-1].name),),)))
        ends = (TfjsTensor(layers[0].name),), (TfjsTensor(layers[-1].name),)
        return TfjsGraph(name, tuple(layers), *ends, sequential=True)
    inputs = [TfjsLayer("InputLayer", f"{name}_x{n}", INPUT) for n in range(draw(st.integers(1, 3)))]
    layers, tensors = list(inputs), [TfjsTensor(layer.name) for layer in inputs]
    for number in range(draw(st.integers(0, 4))):
        own, takes, made, graph = f"{name}_{number}", 1, 1, None
        kind, config = draw(st.sampled_from([("Dense", {"units": 1}), ("LSTM", {"return_state": True}), ("Model", {})]))
        if kind == "Model" and depth < 2:
            graph = draw(graphs(own, depth + 1))
            kind, takes, made = "Sequential" if graph.sequential else "Model", len(graph.inputs), len(graph.outputs)
        elif kind == "Model":
            kind, takes = "Add", 2
        elif kind == "LSTM":
            made = 3
        calls = draw(st.lists(st.tuples(*[st.sampled_from(tensors)] * takes), min_size=1, max_size=2))
        layers.append(TfjsLayer(kind, own, config, tuple(calls), graph))
        tensors += [TfjsTensor(own, call, output) for call in range(len(calls)) for output in range(made)]
    outputs = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=3))
    ends = draw(st.permutations([TfjsTensor(layer.name) for layer in inputs]))
    return TfjsGraph(name, tuple(layers), tuple(ends), tuple(outputs))


@settings(max_examples=150)
@given(graphs())
def test_what_is_written_is_read(graph: TfjsGraph) -> None:
    """The same graph, by way of text."""
    text = json.dumps(write_topology(graph))
    assert parse_topology(json.loads(text)) == graph


@settings(max_examples=50)
@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_in_the_file_does_not_matter(graph: TfjsGraph, random: Any) -> None:
    """To which layers there are, and every one is behind those that it takes tensors of."""
    made = write_topology(graph)
    if not graph.sequential:
        random.shuffle(made["config"]["layers"])
    found = parse_topology(made)
    assert {layer.name: layer for layer in found.layers} == {layer.name: layer for layer in graph.layers}
    seen: set[str] = set()
    for layer in found.layers:
        assert {tensor.layer for call in layer.calls for tensor in call} <= seen
        seen.add(layer.name)


def test_what_is_written_looks_like_tensorflow_js() -> None:
    """Lists of triples for one input, too, empty arguments, and no shape of Keras 3."""
    graph = parse_topology(model(given_input("x"), dense("y", [take("x")], units=1)))
    assert write_topology(graph) == {
        "class_name": "Model",
        "config": {
            "name": "model",
            "layers": [given_input("x"), dense("y", [["x", 0, 0, {}]], units=1)],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["y", 0, 0]],
        },
        "keras_version": "tfjs-layers 4.22.0",
        "backend": "tensor_flow.js",
    }


# ---- what is refused -------------------------------------------------------------------------------------------------


def deep(count: int) -> dict[str, Any]:
    made = chain(first())
    for number in range(count):
        made = chain({**made, "config": {**made["config"], "name": f"m{number}"}})
    return made


X, Y = given_input("x"), dense("y", [take("x")])
KERAS_3 = {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}], "kwargs": {}}
REFUSED = {
    "no object": ([], "'modelTopology' must be an object. Got list"),
    "nothing": ({}, "must be a Sequential or functional model. Got 'None'"),
    "other class": ({"class_name": "Dense", "config": {}}, "must be a Sequential or functional model. Got 'Dense'"),
    "class of class": ({"class_name": ["Model"], "config": {}}, "must be a Sequential or functional model"),
    "graph model": ({"node": [], "versions": {}}, "It is a graph model, which has no layers"),
    "model_config": ({"model_config": "{}"}, "'model_config' must be an object. Got str"),
    "no config": ({"class_name": "Model"}, "The config of the Model must be an object. Got NoneType"),
    "no config of a chain": ({"class_name": "Sequential"}, "The config of the Sequential must be an object"),
    "no layers": ({"class_name": "Sequential", "config": {}}, "The layers of 'sequential' must be a list"),
    "empty": (chain(), "The model 'chain' has no layers"),
    "no layer": (chain(first(), 7), "A layer must be an object. Got int"),  # type: ignore[arg-type]
    "name of the model": (chain(first(), name={}), "has the name '{}', which is no name"),
    "no name": (chain({**first(), "config": INPUT}), "has the name 'None', which is no name"),
    "empty name": (chain(first("")), "has the name '', which is no name"),
    "half a letter": (chain(first("a\ud800")), "which is no name"),
    "control character": (chain(first("a\x1b[2J")), "which is no name"),
    "long name": (chain(first("a" * 1001)), "which is no name"),
    "no class": (chain({"config": INPUT}), "has the class 'None', which is no name"),
    "config of a layer": (chain({"class_name": "Dense", "config": []}), "The config of a Dense must be an object"),
    "no shape": (chain(dense("a")), "The first layer of 'chain' has no 'batch_input_shape'"),
    "shape": (chain(first(batch_input_shape="4")), "must have a 'batch_input_shape' of numbers. Got '4'"),
    "odd shape": (chain(first(batch_input_shape="\0")), "of numbers. Got '\\x00'"),
    "length": (chain(first(batch_input_shape=[None, -4])), "'batch_input_shape' of numbers. Got [None, -4]"),
    "fraction": (chain(first(batch_input_shape=[None, 1.5])), "'batch_input_shape' of numbers"),
    "truth": (chain(first(batch_input_shape=[None, True])), "'batch_input_shape' of numbers"),
    "infinite": (chain(first(batch_input_shape=[None, float("inf")])), "'batch_input_shape' of numbers"),
    "rank": (chain(first(batch_input_shape=[1] * 9)), "'batch_input_shape' of numbers"),
    "product": (chain(first(batch_input_shape=[None, 2**20, 2**20])), "has more than 2,147,483,648 numbers"),
    "huge": (chain(first(batch_input_shape=[None, 10**300])), "has more than 2,147,483,648 numbers"),
    "dtype": (chain(first(dtype="string")), "'a' has the type 'string', and only float32, int32 and bool are read"),
    "policy": (chain(first(dtype={"class_name": "DTypePolicy"})), "has the type \"{'class_name': 'DTypePolicy'}\""),
    "input behind": (chain(first(), X), "The inputs of 'chain' must be its input layers, each once"),
    "twice in a chain": (chain(first(), dense("a")), "Two layers of 'chain' are called 'a'"),
    "twice": (model(X, Y, Y), "Two layers of 'model' are called 'y'"),
    "two names": (model(X, {**Y, "name": "z"}), "The layer 'z' is called 'y' in its own config"),
    "odd name": (model(X, {**Y, "name": ["y"]}), "has the name \"['y']\", which is no name"),
    "many": (chain(*[X] * 20_001), "The layers of 'chain' must have at most 20,000 entries. Got 20,001"),
    "nesting": (deep(MOST_NESTED + 1), f"More than {MOST_NESTED} models lie within each other"),
    "several outputs": (
        chain(first(), {"class_name": "GRU", "config": {"name": "g", "return_state": True}}),
        "The layer 'g' of the Sequential 'chain' has several outputs"),
    "nodes": (model(X, {**Y, "inbound_nodes": 3}), "'inbound_nodes' of 'y' must be a list. Got int"),
    "node": (model(X, dense("y", 3)), "A call of 'y' must be a list. Got int"),  # type: ignore[arg-type]
    "Keras 3": (model(X, dense("y", KERAS_3)), "is written as Keras 3 does, and TensorFlow.js cannot load that"),  # type: ignore[arg-type]
    "short": (model(X, dense("y", [["x", 0]])), "A call of 'y' must name a layer, a call and an output. Got ['x', 0]"),
    "text": (model(X, dense("y", [["x", "0", 0]])), "must name a layer, a call and an output"),
    "true call": (model(X, dense("y", [["x", True, 0]])), "must name a layer, a call and an output"),
    "layer": (model(X, dense("y", [take("w")])), "A call of 'y' refers to the layer 'w', which is not in the model"),
    "call": (model(X, dense("y", [take("x", 1)])), "A call of 'y' refers to call 1 (counted from 0) of 'x'"),
    "huge call": (model(X, dense("y", [take("x", 10**30)])), "of 'x', which has 1"),
    "negative call": (model(X, dense("y", [take("x", -1)])), "refers to call -1 and output 0 of 'x'"),
    "output": (model(X, dense("y", [take("x", 0, 1)])), "refers to output 1 (counted from 0) of 'x', which has 1"),
    "negative output": (model(X, dense("y", [take("x", 0, -1)])), "refers to call 0 and output -1 of 'x'"),
    "uncalled": (model(X, dense("a"), dense("y", [take("a")])), "call 0 (counted from 0) of 'a', which has 0"),
    "nested call": (model(X, nested(), dense("y", [take("inner", 0)])), "refers to call 0 and output 0 of 'inner'"),
    "nested calls": (model(X, nested(), dense("y", [take("inner", 3)])), "call 2 (counted from 0) of 'inner'"),
    "nested output": (model(X, nested(), dense("y", [take("inner", 1, 2)])), "output 2 (counted from 0) of 'inner'"),
    "nested inputs": (
        model(X, {**nested(), "inbound_nodes": [[take("x"), take("x")]]}, Y),
        "The model 'inner' has 1 inputs, and is called with others"),
    "cycle": (model(X, dense("y", [take("z")]), dense("z", [take("y")])), "The model 'model' has a cycle"),
    "itself": (model(X, dense("y", [take("y")])), "The model 'model' has a cycle"),
    "arguments": (model(X, dense("y", [take("x", training=True)])), "the argument 'training', which is not read"),
    "odd layer": (model(X, dense("y", [take("\x1b[2J")])), "refers to the layer '\\x1b[2J', which is not in the model"),
    "odd class": (model(X, {**Y, "class_name": "\x1b[2J"}), "has the class '\\x1b[2J', which is no name"),
    "kind of arguments": (model(X, dense("y", [["x", 0, 0, 7]])), "The arguments of a call of 'y' must be an object"),
    "no tensors": (model(X, dense("y", [])), "The layer 'y' of 'model' is called with no tensors"),
    "called input": (
        model(X, {**given_input("w"), "inbound_nodes": [[take("x")]]}, Y, inputs=[("x", 0, 0), ("w", 0, 0)]),
        "The input layer 'w' takes tensors"),
    "no inputs": (model(X, Y, inputs=[]), "'input_layers' names no layer"),
    "no outputs": (model(X, Y, outputs=[]), "'output_layers' names no layer"),
    "ends": ({"class_name": "Model", "config": {"layers": [X, Y]}}, "'input_layers' must be a list. Got NoneType"),
    "dict of ends": (
        {"class_name": "Model", "config": {"layers": [X, Y], "input_layers": {"p": ["x", 0, 0]}}},
        "'input_layers' must be a list. Got dict"),
    "no input": (model(X, Y, inputs=[("y", 0, 0)]), "its input layers, each once. Got y, and its input layers are x"),
    "input twice": (model(X, Y, inputs=[("x", 0, 0)] * 2), "must be its input layers, each once. Got x, x"),
    "input left out": (model(X, given_input("w"), Y), "its input layers, each once. Got x, and its"),
    "output layer": (model(X, Y, outputs=[("w", 0, 0)]), "'output_layers' refers to the layer 'w', which is not in"),
    "output call": (model(X, Y, outputs=[("y", 1, 0)]), "An input or output of 'model' refers to call 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_damaged_topology_is_refused(case: str) -> None:
    """In a sentence of its own; what is damaged is fine otherwise."""
    made, said = REFUSED[case]
    with pytest.raises(FileError, match=re.escape(said)):
        parse_topology(made)


def test_what_the_cases_are_made_of_is_fine() -> None:
    """Or they would be refused for something else."""
    parse_topology(chain(first(), dense("b")))
    parse_topology(model(X, Y))
    parse_topology(model(X, nested(), dense("y", [take("inner", 1)])))
    parse_topology(deep(MOST_NESTED))


def test_no_damaged_topology_is_written() -> None:
    """In nested models neither: TensorFlow.js would load it for ever (all cases: test_soundness.py)."""
    x, y = TfjsLayer("InputLayer", "x", INPUT), TfjsLayer("Dense", "y", {}, ((TfjsTensor("x"),),))
    sound = TfjsGraph("m", (x, y), (TfjsTensor("x"),), (TfjsTensor("y"),))
    damaged = replace(sound, layers=(x, replace(y, calls=((TfjsTensor("w"),),))))
    write_topology(sound)
    for graph in (damaged, replace(sound, layers=(x, TfjsLayer("Model", "y", {}, ((TfjsTensor("x"),),), damaged)))):
        with pytest.raises(InputError, match="refers to the layer 'w', which is not in the model"):
            write_topology(graph)
