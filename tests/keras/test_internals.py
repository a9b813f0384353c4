"""Keras's private API: one test for each use of it, on the Keras that is installed; and no use of it elsewhere."""

from __future__ import annotations

import ast
import inspect
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitwell
import keras
from fitwell.keras import internals

L = keras.layers
ROOT = Path(fitwell.__file__).parent
INTERNALS = ROOT / "keras" / "internals.py"

PUBLIC = {"_replace", "_exit"}
"""Names that Python calls public in spite of their underscore: of a NamedTuple, and of `os`."""


# ---- what Keras does -------------------------------------------------------------------------------------------------


def test_inner_layers() -> None:
    """A Bidirectional holds its two directions, each of these its cell; a layer without others holds none."""
    layer = L.Bidirectional(L.GRU(2))
    layer.build((None, 3, 2))
    directions = internals.inner_layers(layer)
    assert {id(inner) for inner in directions} == {id(layer.forward_layer), id(layer.backward_layer)}
    assert internals.inner_layers(layer.forward_layer) == [layer.forward_layer.cell]
    assert internals.inner_layers(L.Dense(1)) == []


def test_all_layers() -> None:
    """A model, its layers, those of nested models and those inside of layers are all there, each once."""
    wrapper = L.TimeDistributed(L.Dense(2, name="wrapped"), name="wrapper")
    nested = keras.Sequential([keras.Input((3, 2)), wrapper], name="nested")
    model = keras.Sequential([keras.Input((3, 2)), nested], name="outer")
    found = [layer.name for layer in internals.all_layers(model)]
    assert {"outer", "nested", "wrapper", "wrapped"} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("make", [lambda: L.MultiHeadAttention(4, 2), lambda: L.GroupQueryAttention(2, 4, 2)])
def test_projections(make: Any) -> None:
    """With kernels given to these layers, attention is what its definition says of them."""
    layer, random = make(), np.random.default_rng(0)
    query, value = random.normal(size=(1, 3, 5)).astype("float32"), random.normal(size=(1, 6, 5)).astype("float32")
    layer.build(query_shape=query.shape, value_shape=value.shape)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    found = internals.projections(layer)
    kernels = [np.asarray(dense.kernel) for dense in found]
    biases = [np.asarray(dense.bias) for dense in found]
    q, k, v = (np.einsum("sf,fhd->hsd", x[0], kernels[i]) + biases[i][:, None]
               for i, x in enumerate((query, value, value)))  # fmt: skip
    k, v = (np.repeat(x, 4 // len(x), axis=0) for x in (k, v))
    scores = np.exp(np.einsum("hqd,hkd->hqk", q, k) / np.sqrt(2))
    heads = np.einsum("hqk,hkd->hqd", scores / scores.sum(-1, keepdims=True), v)
    expected = np.einsum("hqd,hdf->qf", heads, kernels[3]) + biases[3]
    np.testing.assert_allclose(layer(query, value)[0], expected, rtol=1e-4, atol=1e-5)


def test_has_gate() -> None:
    """Attention with a gate is known from attention without."""
    assert internals.has_gate(L.MultiHeadAttention(1, 2, use_gate=True)) is True
    assert internals.has_gate(L.MultiHeadAttention(1, 2)) is False


def test_sliding_window_of() -> None:
    """The window of an attention that looks only so far, and None of one that sees all."""
    assert internals.sliding_window_of(L.MultiHeadAttention(1, 2, sliding_window=3)) == 3
    assert internals.sliding_window_of(L.MultiHeadAttention(1, 2)) is None


def test_graph_of_sequential() -> None:
    """A Sequential has a graph, with its own inputs and outputs, once it knows its inputs."""
    model = keras.Sequential([L.Dense(2)])
    assert internals.graph_of_sequential(model) is None
    model(np.ones((1, 3)))
    graph = internals.graph_of_sequential(model)
    assert graph is not None
    assert (graph.inputs, graph.outputs) == (model.inputs, model.outputs)
    assert isinstance(graph.layers[0], L.InputLayer)
    assert graph.layers[1:] == model.layers


def test_operation_of() -> None:
    """Of a tensor the layer that made it, of an input its InputLayer, of a sum the operation."""
    source, dense = keras.Input((2,), name="source"), L.Dense(2)
    assert isinstance(internals.operation_of(source), L.InputLayer)
    assert internals.operation_of(source).name == "source"
    assert internals.operation_of(dense(source)) is dense
    assert type(internals.operation_of(source + source)).__name__ == "Add"


def test_node_of() -> None:
    """A tensor of a layer's second call leads to that call: its layer, arguments, tensors taken and given."""
    one, two, layer = keras.Input((3, 2)), keras.Input((3, 2)), L.Attention()
    layer([one, one])
    tensor = layer([one, two], use_causal_mask=True)
    node = internals.node_of(tensor)
    assert node.operation is layer
    assert node.arguments.args[0][0] is one
    assert node.arguments.args[0][1] is two
    assert node.arguments.kwargs["use_causal_mask"] is True
    assert [id(given) for given in node.input_tensors] == [id(one), id(two)]
    assert [id(given) for given in node.outputs] == [id(tensor)]


def test_nodes_of() -> None:
    """A layer has a node for each call, the first one first."""
    one, two, layer = keras.Input((2,)), keras.Input((2,)), L.Dense(1)
    made = [layer(one), layer(two)]
    assert [id(node.outputs[0]) for node in internals.nodes_of(layer)] == [id(tensor) for tensor in made]
    assert [id(node.input_tensors[0]) for node in internals.nodes_of(layer)] == [id(one), id(two)]


def test_nodes_behind() -> None:
    """Layers that take what a layer gives are found behind it, and no others."""
    source = keras.Input((2,))
    first, second, third = L.Dense(1), L.Dense(1), L.Dense(1)
    third(first(source))
    second(source)
    behind = internals.nodes_behind(internals.operation_of(source))
    assert [node.operation for node in behind] == [first, second]
    assert [node.operation for node in internals.nodes_behind(first)] == [third]
    assert not internals.nodes_behind(third)


def test_same_output() -> None:
    """The same output of two calls is the same, another output or that of another layer is not."""
    source, layer = keras.Input((3, 2)), L.GRU(2, return_state=True)
    (one, state), (two, _) = layer(source), layer(source)
    assert internals.same_output(one, two)
    assert not internals.same_output(one, state)
    assert not internals.same_output(one, source)
    array = np.ones(2)
    assert internals.same_output(array, array)
    assert not internals.same_output(array, np.ones(2))


class Twice(keras.Operation):
    """An operation of one's own."""

    def call(self, x: Any) -> Any:
        """Return the double."""
        return 2 * x

    def compute_output_spec(self, x: Any) -> Any:
        """Return the shape of the inputs."""
        return keras.KerasTensor(x.shape, x.dtype)


def test_kind_of_operation() -> None:
    """Operations of `keras.ops` have the names that writers know them by; one's own has none."""
    source = keras.Input((2,))
    made = [source + 1, keras.ops.relu(source), keras.activations.relu(source, negative_slope=0.1), Twice()(source)]
    kinds = [internals.kind_of_operation(internals.operation_of(tensor)) for tensor in made]
    assert kinds == ["numpy.Add", "nn.Relu", "activations.ReLU", None]


def test_mask_of() -> None:
    """What an Embedding gives carries the mask of its zeros, and what a Dense gives carries none."""
    given: Any = L.Embedding(5, 2, mask_zero=True)(np.array([[1, 0]]))
    assert np.asarray(internals.mask_of(given)).tolist() == [[True, False]]
    assert internals.mask_of(L.Dense(1)(np.ones((1, 2)))) is None


def test_set_mask() -> None:
    """A loss counts only what the mask of the outputs shows."""
    model = keras.Sequential([keras.Input((2, 1)), L.Identity()])
    model.compile(loss="mse")
    outputs = keras.ops.array([[[1.0], [7.0]]])
    internals.set_mask(outputs, keras.ops.array([[True, False]]))
    assert float(model.compute_loss(None, keras.ops.zeros((1, 2, 1)), outputs)) == pytest.approx(1.0)
    internals.set_mask(outputs, None)
    assert internals.mask_of(outputs) is None
    assert float(model.compute_loss(None, keras.ops.zeros((1, 2, 1)), outputs)) == pytest.approx(25.0)


def test_given_to_compile() -> None:
    """The very objects that `compile` was given; nothing of a model that is not compiled."""
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    assert not internals.given_to_compile(model)
    loss, metric = (lambda y, z: (y - z) ** 2), keras.metrics.MeanAbsoluteError()
    model.compile("sgd", loss, metrics=[metric], loss_weights=[2.0])
    given = internals.given_to_compile(model)
    assert given["optimizer"] is model.optimizer
    assert given["loss"] is loss
    assert given["metrics"][0] is metric
    assert list(given["loss_weights"]) == [2.0]
    assert "weighted_metrics" in given


def test_decays() -> None:
    """Variables that are excluded by themselves or by name do not decay, all others do; the optimizer stays unbuilt."""
    kernel, bias, scale = (keras.Variable(np.ones(2), name=name) for name in ("kernel", "bias", "scale"))
    optimizer = keras.optimizers.AdamW()
    assert internals.decays(optimizer, bias)
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_list=[scale], var_names=["bias"])
    assert [internals.decays(optimizer, variable) for variable in (kernel, bias, scale)] == [True, False, False]
    assert not optimizer.built


def announced() -> keras.Variable:
    """A variable that has no value yet: Keras makes it at the end of the scope, or of the next one."""
    with keras.StatelessScope(initialize_variables=False):
        return keras.Variable(keras.initializers.Ones(), shape=(2,))


def test_forget_unbuilt_variables() -> None:
    """A variable that was announced and forgotten gets no value when the next scope ends; else it would."""
    variable = announced()
    with keras.StatelessScope():
        pass
    assert variable._value is not None
    forgotten = announced()
    internals.forget_unbuilt_variables()
    with keras.StatelessScope():
        pass
    assert forgotten._value is None


@pytest.mark.parametrize("output_padding", [None, 0])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (2, 3, 1), (4, 2, 1), (3, 1, 2)])
def test_transposed_padding(kernel: int, stride: int, dilation: int, padding: str, output_padding: int | None) -> None:
    """An axis spread by hand, with these zeros around it, and an ordinary convolution give Keras's transposed one."""
    layer = L.Conv1DTranspose(
        1, kernel, stride, padding, dilation_rate=dilation, output_padding=output_padding, use_bias=False
    )
    layer.build((1, 5, 1))
    random = np.random.default_rng(0)
    values, weights = random.normal(size=5), random.normal(size=kernel)
    layer.set_weights([weights[:, None, None]])
    left, right = internals.transposed_padding(kernel, stride, dilation, padding, output_padding)
    spread = np.zeros((len(values) - 1) * stride + 1)
    spread[::stride] = values
    around = np.pad(spread, (max(left, 0), max(right, 0)))[max(-left, 0) : len(spread) + max(left, 0) + right]
    wide = np.zeros((kernel - 1) * dilation + 1)
    wide[::dilation] = weights
    np.testing.assert_allclose(
        layer(values[None, :, None].astype("float32"))[0, :, 0],
        np.convolve(around, wide, "valid"),
        rtol=1e-4,
        atol=1e-5,
    )


def test_each_function_has_its_test() -> None:
    """A function added to the module without a test on the installed Keras is found here."""
    functions = inspect.getmembers(internals, inspect.isfunction)
    own = {name for name, function in functions if function.__module__ == internals.__name__}
    assert "inner_layers" in own
    assert {f"test_{name}" for name in own} <= set(globals())


# ---- no use elsewhere ------------------------------------------------------------------------------------------------


def own_names(tree: ast.AST) -> set[str]:
    """Names with an underscore that a file defines itself: functions, classes, fields, what is put on `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "object.__setattr__":
            found |= {value.value for value in node.args if isinstance(value, ast.Constant)}
    return found


def names_of_bases(tree: ast.AST) -> set[str]:
    """Names with an underscore that files of ours define from which a file imports a base of its classes."""
    bases = {ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and bases & {alias.name for alias in node.names}:
            ours = (node.module or "").split(".")
            if ours[0] == "fitwell":
                path = ROOT.joinpath(*ours[1:]).with_suffix(".py")
                found |= own_names(ast.parse(path.read_text(encoding="utf-8")))
    return found


def is_self(node: ast.AST) -> bool:
    """Whether an expression is the object whose method this is."""
    return (isinstance(node, ast.Name) and node.id in ("self", "cls")) or ast.unparse(node) == "super()"


def is_private(name: Any) -> bool:
    """Whether a name begins with one underscore."""
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def read_from_others(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Each private attribute that a file reads or writes, by a dot or by its name in quotes, and of what."""
    by_name = ("getattr", "hasattr", "setattr", "delattr", "attrgetter", "operator.attrgetter")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.value, node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in by_name:
            for value in node.args:
                if isinstance(value, ast.Constant) and is_private(value.value):
                    yield node.args[0], value.value


def private_use(source: str, keras_names: set[str]) -> list[str]:
    """What a file uses of Keras's private modules, and of private attributes that it does not define itself.

    What it defines itself counts too, of other objects, if Keras has a private attribute of that name.
    """
    tree = ast.parse(source)
    own, inherited = own_names(tree), names_of_bases(tree)
    found = [
        name
        for owner, name in read_from_others(tree)
        if not (is_self(owner) and name in inherited)
        and (name not in own or (name in keras_names and not is_self(owner)))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("keras.src")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in names if name.startswith("keras.src")]
        elif (isinstance(node, ast.Attribute) and ast.unparse(node) == "keras.src") or (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("keras.src")
        ):
            found.append("keras.src")
    return found


KERAS_NAMES = {name for _, name in read_from_others(ast.parse(INTERNALS.read_text(encoding="utf-8")))}
OTHERS = sorted(path for path in ROOT.rglob("*.py") if path != INTERNALS)


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_file_uses_private_keras(path: Path) -> None:
    """Whatever has no public name in Keras is asked through `fitwell.keras.internals`."""
    assert private_use(path.read_text(encoding="utf-8"), KERAS_NAMES) == []


def test_module_of_functional(tmp_path: Path) -> None:
    """It is what Keras writes into a file."""
    given = keras.Input((2,))
    keras.Model(given, keras.layers.Dense(1)(given)).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert json.loads(archive.read("config.json"))["module"] == internals.MODULE_OF_FUNCTIONAL


COUNTEREXAMPLES = {
    "tensor._keras_history.operation": ["_keras_history"],
    'getattr(model, "_compile_config", None)': ["_compile_config"],
    'hasattr(model, "_nodes_by_depth")': ["_nodes_by_depth"],
    "class Mine(keras.layers.Dense):\n    def f(self): return self._kernel": ["_kernel"],
    "layer._dtype_policy = None": ["_dtype_policy"],
    "class B:\n    def _functional(self): ...\ndef f(model): return model._functional": ["_functional"],
    "from fitwell.api.estimator_base import SearchedEstimator\n"
    "class Mine(SearchedEstimator):\n    def f(self, model): return self._seed, model._seed": ["_seed"],
    "import keras.src.backend": ["keras.src.backend"],
    "def f():\n    from keras.src.backend import get_keras_mask": ["keras.src.backend.get_keras_mask"],
    "from keras import src": ["keras.src"],
    "keras.src.tree": ["keras.src"],
    'import_module("keras.src.backend")': ["keras.src"],
}


@pytest.mark.parametrize("source", COUNTEREXAMPLES)
def test_private_use_would_be_found(source: str) -> None:
    """The counterpart: each way to use Keras's private API is caught."""
    assert private_use(source, KERAS_NAMES) == COUNTEREXAMPLES[source]


def test_own_private_names_are_allowed() -> None:
    """A file may use what it defines itself, and what Python calls public."""
    source = (
        "import os\nclass A:\n    def __init__(self): self._kept = 1\n    def _functional(self): return self._kept\n"
        "    def f(self): return self._functional()\ndef g(a, state): return a._kept, state._replace(x=1), os._exit\n"
    )
    assert private_use(source, KERAS_NAMES) == []
    assert "_functional" in KERAS_NAMES
