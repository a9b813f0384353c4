"""TensorFlow.js layers models as Keras models: settings, names, masks, and files that somebody made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfjs_node import Node
from tfjs_read import CASES, difference, document, make, outputs_of, quick_compiling

import fitwell.keras.layers as own
import keras
from fitwell.errors import FileError, InputError
from fitwell.tfjs.document import read_document
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.reading import LAYER_READERS, NOT_READ, Read, from_tfjs
from fitwell.tfjs.writing import to_tfjs
from keras import layers

TOLERANCE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled() -> Iterator[None]:
    """Compile without optimising."""
    with quick_compiling():
        yield


def chain(*entries: tuple[str, dict[str, Any]], shape: tuple[int | None, ...] = (4,)) -> TfjsGraph:
    """Return the graph of a chain of layers named a, b, ..., as a file would give it."""
    made = [TfjsLayer("InputLayer", "x", {"batch_input_shape": [None, *shape], "dtype": "float32"})]
    for name, (class_name, config) in zip("abcdefgh", entries, strict=False):
        made.append(TfjsLayer(class_name, name, config, ((TfjsTensor(made[-1].name),),)))
    return TfjsGraph("m", tuple(made), (TfjsTensor("x"),), (TfjsTensor(made[-1].name),), sequential=True)


def dense(units: int = 3, inputs: int = 4, name: str = "a") -> dict[str, np.ndarray]:
    """Return the weights of a dense layer."""
    random = np.random.default_rng(0)
    kernel, bias = random.normal(size=(inputs, units)), random.normal(size=units)
    return {f"{name}/kernel": kernel.astype("float32"), f"{name}/bias": bias.astype("float32")}


def read_case(node: Node, folder: Path, source: str) -> tuple[Read, dict[str, Any]]:
    """Make one model in TensorFlow.js and read it."""
    made = make(node, folder, {"case": source})["case"]
    assert "error" not in made, made["error"]
    found = document(made)
    return from_tfjs(found.graph, found.weights), made


def test_what_is_read(node: Node, tmp_path: Path) -> None:
    """Regularizers, initializers, constraints and `trainable` with the numbers of the file."""
    read, made = read_case(
        node,
        tmp_path,
        "chain(L.dense({name: 'd', units: 3, inputShape: [4], trainable: false,"
        " kernelRegularizer: tf.regularizers.l2({l2: 0.25}), biasRegularizer: tf.regularizers.l1({l1: 0.5}),"
        " kernelInitializer: tf.initializers.leCunNormal({}),"
        " biasConstraint: tf.constraints.maxNorm({maxValue: 0.5})}),"
        " L.dense({name: 'e', units: 1, kernelRegularizer: tf.regularizers.l1l2({l1: 0.125, l2: 0.5})}))",
    )
    first, second = read.model.layers
    assert isinstance(read.model, keras.Sequential)
    assert [layer.name for layer in read.model.layers] == ["d", "e"]
    assert (first.trainable, second.trainable) == (False, True)
    assert isinstance(first.kernel_regularizer, keras.regularizers.L2)
    assert isinstance(first.bias_regularizer, keras.regularizers.L1)
    assert (float(first.kernel_regularizer.l2), float(first.bias_regularizer.l1)) == (0.25, 0.5)
    assert isinstance(second.kernel_regularizer, keras.regularizers.L1L2)
    assert (float(second.kernel_regularizer.l1), float(second.kernel_regularizer.l2)) == (0.125, 0.5)
    assert first.kernel_initializer.distribution == "truncated_normal"
    assert first.bias_constraint.max_value == 0.5
    stored = document(made).weights
    assert np.array_equal(first.bias.numpy(), stored["d/bias"])  # not projected, unlike in the next line
    assert not np.allclose(first.bias_constraint(first.bias), stored["d/bias"])
    assert any("constraints of d act" in notice for notice in read.notices)


def test_the_penalties_are_the_same(node: Node, tmp_path: Path) -> None:
    """What the weights cost, behind a hard sigmoid too; break: the scaled weights cost more."""
    source = (
        "chain(L.dense({units: 3, activation: 'hardSigmoid', inputShape: [5, 4], kernelRegularizer: P}),"
        " L.simpleRNN({units: 2, activation: 'hardSigmoid', kernelRegularizer: P, recurrentRegularizer: P}))"
    ).replace("P", "tf.regularizers.l1l2({l1: 0.1, l2: 0.2})")
    read, made = read_case(node, tmp_path, source)
    weights = document(made).weights
    kernels = [values for name, values in weights.items() if name.endswith("kernel")]
    expected = sum(0.1 * np.abs(values).sum() + 0.2 * np.square(values).sum() for values in kernels)
    assert float(sum(read.model.losses)) == pytest.approx(expected, rel=1e-6)
    assert len(kernels) == 3
    recurrent = read.model.layers[-1]
    assert np.allclose(recurrent.get_weights()[0], kernels[1] * 1.2)
    assert float(recurrent.cell.kernel_regularizer.l1) != pytest.approx(0.1)


def test_a_penalty_of_a_depthwise_layer_is_found(node: Node, tmp_path: Path) -> None:
    """TensorFlow.js writes it under the constraint's name, and cannot load its own file."""
    read, made = read_case(node, tmp_path, CASES["DepthwiseConv2D: penalty"])
    assert float(read.model.layers[0].depthwise_regularizer.l2) == pytest.approx(0.1)
    assert read.model.layers[0].depthwise_constraint is None
    config = document(made).graph.layers[1].config
    assert config["depthwise_constraint"]["class_name"] == "L1L2"


def test_hard_sigmoid_by_its_name_would_differ(node: Node, tmp_path: Path) -> None:
    """Break: Keras's function of this name, and the file's weights, give other numbers."""
    for source in (CASES["Dense: hard sigmoid"], CASES["LSTM: last step"]):
        read, made = read_case(node, tmp_path, source)
        assert difference(outputs_of(read.model, made["inputs"]), made["outputs"]) <= TOLERANCE
        by_name = keras.Sequential([keras.Input(made["inputs"][0].shape[1:])])
        if "dense" in source:
            by_name.add(layers.Dense(3, activation="hard_sigmoid"))
        else:
            by_name.add(layers.LSTM(3, recurrent_activation="hard_sigmoid"))
        by_name.set_weights(list(document(made).weights.values()))
        assert difference(outputs_of(by_name, made["inputs"]), made["outputs"]) > 1e-3


def test_bilinear_by_its_name_would_differ(node: Node, tmp_path: Path) -> None:
    """Break: Keras samples other places."""
    _, made = read_case(node, tmp_path, CASES["UpSampling2D: bilinear"])
    by_name = layers.UpSampling2D((2, 3), interpolation="bilinear")(made["inputs"][0])
    assert difference([np.asarray(by_name)], made["outputs"]) > 1e-3


def test_normalization_of_another_axis_is_that_of_webgl() -> None:
    """The cpu and wasm backends of TensorFlow.js are wrong there, so the formula is compared, and it is said."""
    random = np.random.default_rng(0)
    values = {
        name: random.uniform(0.5, 2, 2).astype("float32")
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    graph = chain(("BatchNormalization", {"axis": 1, "epsilon": 0.1}), shape=(2, 3))
    read = from_tfjs(graph, {f"a/{name}": value for name, value in values.items()})
    rows = random.normal(size=(5, 2, 3)).astype("float32")
    gamma, beta, mean, variance = (value[:, None] for value in values.values())
    expected = (rows - mean) / np.sqrt(variance + 0.1) * gamma + beta
    assert np.allclose(outputs_of(read.model, [rows])[0], expected, atol=1e-5)
    assert any("WebGL" in notice for notice in read.notices)
    assert not from_tfjs(
        chain(("BatchNormalization", {"axis": -1}), shape=(2,)), {f"a/{name}": value for name, value in values.items()}
    ).notices


# ---- masks -----------------------------------------------------------------------------------------------------------

MASKED = {
    "hands it that of an earlier layer": "chain(L.masking({inputShape: [5, 4]}), L.gru({units: 3}),"
    " L.repeatVector({n: 5}), L.gru({units: 2}))",
    "begins with masked steps": "graph([[5, 4], [3]], (x, a) => L.gru({units: 3}).apply(L.masking().apply(x),"
    " {initialState: [a]}))",
    "what the step before gave": "chain(L.embedding({inputDim: 5, outputDim: 3, maskZero: true, inputShape: [5]}),"
    " L.bidirectional({layer: L.lstm({units: 3, returnSequences: true})}))",
    "not all have the same mask": "graph([[5, 4], [5, 4]], (x, y) => L.gru({units: 2}).apply("
    "L.concatenate().apply([L.masking().apply(x), y])))",
}


@pytest.mark.parametrize("reason", MASKED)
def test_masks_that_differ_are_refused(node: Node, tmp_path: Path, reason: str) -> None:
    """TensorFlow.js makes and saves these, and Keras would give other numbers."""
    with pytest.raises(FileError, match=reason):
        read_case(node, tmp_path, MASKED[reason])


def test_a_mask_that_lingers_changes_outputs(node: Node) -> None:
    """Why the first of them is refused: the same layers give other numbers if the mask is taken by themselves."""
    whole, parts = node(
        """
        const L = tf.layers, first = tf.sequential({layers: [L.masking({inputShape: [5, 4]}), L.gru({units: 3})]});
        const second = tf.sequential({layers: [L.repeatVector({n: 5, inputShape: [3]}), L.gru({units: 2})]});
        const both = tf.sequential({layers: [...first.layers, ...second.layers]});
        const x = given.x;
        return [both.predict(x), second.predict(first.predict(x))];
        """,
        x=np.array([[[0] * 4, [1] * 4, [0] * 4, [2] * 4, [0] * 4]], "float32"),
    )
    assert np.abs(whole - parts).max() > 1e-3


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    ["a/{}", "a/lstm_cell/{}", "a/lstm_cell_7/{}", "a/#"],
)
def test_spellings_of_weights(spelling: str) -> None:
    """By the weight's name, behind a cell's, or by number: the same model."""
    random = np.random.default_rng(0)
    shapes = {"kernel": (4, 8), "recurrent_kernel": (2, 8), "bias": (8,)}
    values = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    config = {"units": 2, "activation": "tanh", "recurrent_activation": "sigmoid"}
    named = {spelling.format(name).replace("#", str(i)): value for i, (name, value) in enumerate(values.items())}
    read = from_tfjs(chain(("LSTM", config), shape=(5, 4)), dict(reversed(named.items())))
    for weight, value in zip(read.model.layers[0].get_weights(), values.values(), strict=True):
        assert np.array_equal(weight, value)


def test_names_that_keras_refuses() -> None:
    """A slash is replaced, two names stay two, and it is said."""
    made = [TfjsLayer("InputLayer", "in/x", {"batch_input_shape": [None, 4], "dtype": "float32"})]
    for name in ("b/d", "b_d", "b_d_"):
        made.append(TfjsLayer("Dense", name, {"units": 4}, ((TfjsTensor(made[-1].name),),)))
    graph = TfjsGraph("m/1", tuple(made), (TfjsTensor("in/x"),), (TfjsTensor("b_d_"),))
    weights = {key: value for name in ("b/d", "b_d", "b_d_") for key, value in dense(4, name=name).items()}
    read = from_tfjs(graph, weights)
    assert [layer.name for layer in read.model.layers] == ["in_x", "b_d__", "b_d", "b_d_"]
    assert len(read.notices) == 1
    assert "'b/d' is 'b_d__'" in read.notices[0]


def test_a_part_has_no_name_of_another_layer() -> None:
    """The layers that stand for an activation give way."""
    graph = chain(("Dense", {"units": 3, "activation": "hard_sigmoid"}), ("Dense", {"units": 3}))
    renamed = tuple(
        TfjsLayer(layer.class_name, {"b": "a_stretch"}.get(layer.name, layer.name), layer.config, layer.calls)
        for layer in graph.layers
    )
    graph = TfjsGraph("m", renamed, graph.inputs, (TfjsTensor("a_stretch"),), sequential=True)
    read = from_tfjs(graph, dense() | dense(3, 3, "a_stretch"))
    assert [layer.name for layer in read.model.layers] == ["a", "a_stretch_", "a_hard_sigmoid", "a_stretch"]


def test_each_layer_of_a_chain_is_called_once() -> None:
    """So that what lies between is reached as in any Sequential."""
    read = from_tfjs(chain(("Dense", {"units": 3}), ("Dense", {"units": 3})), dense() | dense(3, 3, "b"))
    inside = keras.Model(read.model.inputs, read.model.layers[0].output)
    assert inside([np.ones((2, 4))]).shape == (2, 3)


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({}, "'a/kernel' is missing"),
        ({"a/kernel": np.zeros((4, 3))}, "'a/bias' is missing"),
        (dense() | {"a/scale": np.zeros(3)}, "'a/scale', which none"),
        (dense(units=2), r"'a/kernel' has the shape \[4, 2\].*\[4, 3\]"),
        (dense() | {"a/bias": np.zeros((1, 3))}, r"'a/bias' has the shape \[1, 3\]"),
    ],
)
def test_weights_that_do_not_fit(weights: dict[str, np.ndarray], reason: str) -> None:
    """Missing, too many, or of another shape; the one that fits is read."""
    graph = chain(("Dense", {"units": 3}))
    with pytest.raises(FileError, match=reason):
        from_tfjs(graph, weights)
    assert from_tfjs(graph, dense()).notices == ()


def test_a_weight_belongs_to_one_layer() -> None:
    """Nested models name their weights without a prefix, so that two layers may claim one."""
    inner = TfjsLayer("Sequential", "inner", graph=chain(("Dense", {"units": 4})), calls=((TfjsTensor("a"),),))
    outer = chain(("Dense", {"units": 4}))
    graph = TfjsGraph("m", (*outer.layers, inner), outer.inputs, (TfjsTensor("inner"),))
    with pytest.raises(FileError, match=r"'a/kernel' belongs to two layers"):
        from_tfjs(graph, dense(4))


# ---- what authors of files write -------------------------------------------------------------------------------------


def test_a_dropout_rate_is_taken_at_its_word() -> None:
    """`dropoutRate`, which TensorFlow.js ignores, drops weights here, and it is said."""
    graph = chain(("Dense", {"units": 3, "dropout_rate": 0.25}), ("Dense", {"units": 3}))
    read = from_tfjs(graph, dense() | dense(3, 3, "b"))
    first, second = read.model.layers
    assert isinstance(first, own.Dense)
    assert not isinstance(second, own.Dense)
    assert float(first.dropout_rate.numpy()) == 0.25
    assert any("dropoutRate 0.25, which TensorFlow.js ignores" in notice for notice in read.notices)
    rows = np.ones((2, 4), "float32")
    assert np.allclose(
        read.model(rows),
        (rows @ dense()["a/kernel"] + dense()["a/bias"]) @ dense(3, 3)["a/kernel"] + dense(3, 3)["a/bias"],
        atol=1e-5,
    )
    assert not np.allclose(first(rows, training=True), first(rows))
    assert np.allclose(second(rows[:, :3], training=True), second(rows[:, :3]))


@pytest.mark.parametrize("rate", [1, -0.1, 1.5, "0.5", True, [0.1], {}])
def test_a_bad_dropout_rate(rate: Any) -> None:
    """It is refused by the layer's name, not ignored."""
    with pytest.raises(FileError, match=r"'a' \(Dense\).*'dropout_rate'"):
        from_tfjs(chain(("Dense", {"units": 3, "dropout_rate": rate})), dense())


def test_a_dropout_rate_in_a_file(tmp_path: Path) -> None:
    """As a person would write it into the JSON by hand."""
    weights = dense()
    config = {"name": "a", "units": 3, "dropoutRate": 0.5, "batchInputShape": [None, 4]}
    stored = {
        "modelTopology": {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": config}]},
        "weightsManifest": [
            {
                "paths": ["w.bin"],
                "weights": [{"name": n, "shape": list(v.shape), "dtype": "float32"} for n, v in weights.items()],
            }
        ],
    }
    (tmp_path / "model.json").write_text(json.dumps(stored), encoding="utf-8")
    (tmp_path / "w.bin").write_bytes(b"".join(value.tobytes() for value in weights.values()))
    found = read_document(tmp_path / "model.json")
    assert isinstance(from_tfjs(found.graph, found.weights).model.layers[0], own.Dense)


def test_a_converters_file() -> None:
    """Keras 2's settings that TensorFlow.js has no use for are read silently; what it ignores is said."""
    config = {
        "trainable": True, "dtype": "float32", "units": 3, "activation": "linear", "use_bias": True,
        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
        "bias_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None, "bias_regularizer": None,
        "activity_regularizer": None, "kernel_constraint": None, "bias_constraint": None,
        "module": "keras.layers", "registered_name": None, "build_config": {"input_shape": [None, 4]},
    }  # fmt: skip
    assert from_tfjs(chain(("Dense", config)), dense()).notices == ()
    relu = {"max_value": None, "negative_slope": 0.5, "threshold": 0.0}
    read = from_tfjs(chain(("ReLU", relu)), {})
    assert any("negative_slope = 0.5, which TensorFlow.js does not know" in notice for notice in read.notices)
    assert np.array_equal(read.model(-np.ones((1, 4))), np.zeros((1, 4)))


# ---- hostile files ---------------------------------------------------------------------------------------------------

HOSTILE: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "an unknown class": ("Dens", {"units": 3}, (4,)),
    "a name in Keras": ("Wrapper", {}, (4,)),
    "no layer of Keras": ("__import__", {}, (4,)),
    "units beyond the file": ("Dense", {"units": 2**30}, (4,)),
    "units beyond all": ("Dense", {"units": 10**30}, (4,)),
    "no units": ("Dense", {}, (4,)),
    "negative units": ("Dense", {"units": -1}, (4,)),
    "half a unit": ("Dense", {"units": 2.5}, (4,)),
    "units as text": ("Dense", {"units": "3"}, (4,)),
    "units as truth": ("Dense", {"units": True}, (4,)),
    "an unknown activation": ("Dense", {"units": 3, "activation": "os.system"}, (4,)),
    "an activation as a list": ("Dense", {"units": 3, "activation": ["relu"]}, (4,)),
    "an unknown regularizer": ("Dense", {"units": 3, "kernel_regularizer": {"class_name": "Orthogonal"}}, (4,)),
    "a negative penalty": (
        "Dense", {"units": 3, "kernel_regularizer": {"class_name": "L1L2", "config": {"l2": -1}}}, (4,),
    ),
    "a regularizer as text": ("Dense", {"units": 3, "kernel_regularizer": "l2"}, (4,)),
    "an unknown initializer": ("Dense", {"units": 3, "kernel_initializer": {"class_name": "Evil"}}, (4,)),
    "an initializer of texts": (
        "Dense", {"units": 3, "kernel_initializer": {"class_name": "Constant", "config": {"value": "1"}}}, (4,),
    ),
    "an unknown mode": (
        "Dense", {"units": 3, "kernel_initializer": {"class_name": "VarianceScaling", "config": {"mode": "x"}}}, (4,),
    ),
    "an activity regularizer": (
        "Dense", {"units": 3, "activity_regularizer": {"class_name": "L1L2", "config": {"l1": 1, "l2": 1}}}, (4,),
    ),
    "many copies": ("RepeatVector", {"n": 2**31 - 1}, (4,)),
    "huge images": ("UpSampling2D", {"size": [2**15, 2**15]}, (5, 5, 2)),
    "interpolated huge images": ("UpSampling2D", {"size": [2**25, 2], "interpolation": "bilinear"}, (5, 5, 2)),
    "much padding": ("ZeroPadding2D", {"padding": [[2**30, 0], [2**30, 0]]}, (5, 5, 2)),
    "cropped to nothing": ("Cropping2D", {"cropping": [[9, 9], [0, 0]]}, (5, 5, 2)),
    "a huge kernel": ("Conv2D", {"filters": 2, "kernel_size": [2**15, 2**15], "padding": "same"}, (5, 5, 2)),
    "many filters": ("Conv2D", {"filters": 2**30, "kernel_size": 3}, (5, 5, 2)),
    "strides longer than a kernel": (
        "Conv3DTranspose", {"filters": 2, "kernel_size": 1, "strides": 2, "padding": "same"}, (2, 2, 2, 1),
    ),
    "a causal convolution": ("Conv1D", {"filters": 2, "kernel_size": 2, "padding": "causal"}, (5, 2)),
    "channels first in time": ("Conv1D", {"filters": 2, "kernel_size": 2, "data_format": "channels_first"}, (5, 2)),
    "a huge vocabulary": ("Embedding", {"input_dim": 2**30, "output_dim": 2**20}, (4,)),
    "many gates": ("LSTM", {"units": 2**29}, (5, 4)),
    "many cells": ("RNN", {"cell": {"class_name": "StackedRNNCells", "config": {"cells": [{}] * 1000}}}, (5, 4)),
    "a cell of no layer": ("RNN", {"cell": 3}, (5, 4)),
    "a cell that is a layer": ("RNN", {"cell": {"class_name": "Dense", "config": {"units": 2}}}, (5, 4)),
    "a GRU that resets after": ("GRU", {"units": 2, "reset_after": True}, (5, 4)),
    "a state that is kept": ("GRU", {"units": 2, "stateful": True}, (5, 4)),
    "an LSTM of hard sigmoid": ("LSTM", {"units": 2, "activation": "hard_sigmoid"}, (5, 4)),
    "a wrapped wrapper": (
        "TimeDistributed", {"layer": {"class_name": "TimeDistributed", "config": {}}}, (5, 4),
    ),
    "a wrapped Lambda": ("TimeDistributed", {"layer": {"class_name": "Lambda", "config": {}}}, (5, 4)),
    "both ways through a Dense": ("Bidirectional", {"layer": {"class_name": "Dense", "config": {"units": 2}}}, (5, 4)),
    "an axis that is none": ("BatchNormalization", {"axis": 7}, (4,)),
    "an epsilon of text": ("BatchNormalization", {"epsilon": "small"}, (4,)),
    "a shape that does not fit": ("Reshape", {"target_shape": [3, 3]}, (4,)),
    "a shape of texts": ("Reshape", {"target_shape": ["3"]}, (4,)),
    "axes that are none": ("Permute", {"dims": [1, 5]}, (4, 3)),
    "a rate above one": ("Dropout", {"rate": 1.5}, (4,)),
    "no rate": ("Dropout", {}, (4,)),
    "a scale of texts": ("Rescaling", {"scale": ["1"]}, (4,)),
    "an infinite scale": ("Rescaling", {"scale": float("inf")}, (4,)),
    "scales of several lengths": ("Rescaling", {"scale": [[1, 2], [3]]}, (4,)),
    "one tensor to add": ("Add", {}, (4,)),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_layer(what: str) -> None:
    """It is refused by its name, in one sentence, and without the memory that it asks for."""
    class_name, config, shape = HOSTILE[what]
    weights = dense() if class_name == "Dense" else {}
    with pytest.raises(FileError, match="'a") as caught:
        from_tfjs(chain((class_name, config), shape=shape), weights)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("class_name", NOT_READ)
def test_a_class_that_is_refused(class_name: str) -> None:
    """The sentence says why."""
    with pytest.raises(FileError, match=r"'a' .* is not read\. ") as caught:
        from_tfjs(chain((class_name, {})), {})
    assert NOT_READ[class_name] in str(caught.value)
    assert class_name not in LAYER_READERS


def test_calls_that_lead_nowhere() -> None:
    """Outputs that a layer does not have, calls in a circle, and several tensors for one."""
    first = chain(("Dense", {"units": 4}))
    graphs = [
        TfjsGraph("m", first.layers, first.inputs, (TfjsTensor("a", 0, 1),)),
        TfjsGraph("m", first.layers, first.inputs, (TfjsTensor("a", 1),)),
    ]
    for tensors in ((TfjsTensor("a"),), (TfjsTensor("x"), TfjsTensor("x")), ()):
        layer = TfjsLayer("Dense", "a", {"units": 4}, (tensors,))
        graphs.append(TfjsGraph("m", (first.layers[0], layer), first.inputs, (TfjsTensor("a"),)))
    for graph in graphs:
        with pytest.raises(FileError, match="'a'"):
            from_tfjs(graph, dense(4))


def test_nothing_is_left_behind() -> None:
    """A refused file leaves no variables that Keras would make later, and no policy of its own."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.raises(FileError, match="'a/kernel'"):
            from_tfjs(chain(("Dense", {"units": 2**30})), dense())
        read = from_tfjs(chain(("Dense", {"units": 3})), dense())
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert read.model.layers[0].compute_dtype == "float32"
    with keras.StatelessScope():
        pass
    assert np.array_equal(keras.Sequential([keras.Input((2,)), layers.Dense(1)])(np.zeros((1, 2))), [[0]])


# ---- there and back --------------------------------------------------------------------------------------------------


def test_keras_to_tfjs_to_keras() -> None:
    """Weights bit for bit, and the same settings."""
    model = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(3, 2, activation="relu", kernel_regularizer=keras.regularizers.L1(0.25), name="conv"),
            layers.BatchNormalization(momentum=0.5, epsilon=0.25, name="norm"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.25, name="drop"),
            layers.Dense(4, activation="silu", kernel_regularizer=keras.regularizers.L2(0.5), name="dense"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ],
        name="model",
    )
    written = to_tfjs(model)
    back = from_tfjs(written.graph, written.weights).model
    assert isinstance(back, keras.Sequential)
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in model.layers]
    for one, other in zip(model.weights, back.weights, strict=True):
        assert one.path.split("/")[-2:] == other.path.split("/")[-2:]
        assert np.array_equal(one.numpy(), other.numpy())
    kept = (
        "name",
        "rate",
        "units",
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "activation",
        "pool_size",
        "epsilon",
    )
    for one, other in zip(model.layers, back.layers, strict=True):
        before, after = one.get_config(), other.get_config()
        assert {key: before[key] for key in kept if key in before} == {key: after[key] for key in kept if key in after}
        assert before.get("kernel_regularizer") == after.get("kernel_regularizer")


@pytest.mark.parametrize("theta", [0, 0.5, 1.25, -0.5])
def test_a_threshold_comes_back(theta: float) -> None:
    """A `ThresholdedReLU` that was read is written as one again; break: another threshold gives other numbers."""
    rows = np.linspace(-2, 2, 33, dtype="float32")[:, None]  # a threshold itself is among them
    model = from_tfjs(chain(("ThresholdedReLU", {"theta": theta}), shape=(1,)), {}).model
    assert np.array_equal(model(rows), np.where(rows > theta, rows, 0))
    written = to_tfjs(model)
    assert np.array_equal(from_tfjs(written.graph, written.weights).model(rows), model(rows))
    last = written.graph.layers[-1]
    assert (last.class_name, last.config.get("theta", 0)) == ("ThresholdedReLU" if theta else "ReLU", theta)
    other = from_tfjs(chain(("ThresholdedReLU", {"theta": theta + 0.5}), shape=(1,)), {}).model
    assert not np.array_equal(other(rows), model(rows))


@pytest.mark.parametrize("threshold", [0.0, 0.5])
@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("top", [None, 1.5])
def test_a_relu_of_keras_comes_back(top: float | None, slope: float, threshold: float) -> None:
    """With a largest value, a slope and a threshold, by as many layers as it takes."""
    rows = np.linspace(-2, 2, 33, dtype="float32")[:, None]
    relu = layers.ReLU(max_value=top, negative_slope=slope, threshold=threshold)
    written = to_tfjs(keras.Sequential([keras.Input((1,)), relu]))
    assert np.allclose(from_tfjs(written.graph, written.weights).model(rows), relu(rows), atol=1e-6)


def test_a_threshold_with_another_value_below_is_refused() -> None:
    """TensorFlow.js has only zeros there."""
    rows = keras.Input((1,))
    with pytest.raises(InputError, match="only zeros below a threshold"):
        to_tfjs(keras.Model(rows, keras.ops.threshold(rows, 0.5, 1.0)))


PLAIN = [
    "Dense: constraints", "ThresholdedReLU: theta", "ThresholdedReLU: below zero",
    "UpSampling2D: bilinear", "Activation: gelu_new", "Model: shared",
    "GlobalAveragePooling1D: mask", "Bidirectional: SimpleRNN, backwards", "TimeDistributed: hard sigmoid",
]  # fmt: skip

LOAD = """
import sys, numpy as np, keras
for path in sys.argv[1:]:
    model = keras.models.load_model(path)
    stored = np.load(path + ".npz")
    inputs = [stored[name] for name in sorted(stored.files) if name.startswith("in")]
    made = model(inputs[0] if len(inputs) == 1 else inputs)
    expected = stored["out"]
    made = np.asarray(made[0] if isinstance(made, (list, tuple)) else made)
    assert np.allclose(made, expected, atol=1e-6), (path, np.abs(made - expected).max())
assert "fitwell" not in sys.modules
print("same")
"""


@pytest.mark.slow
def test_keras_files_load_without_fitwell(node: Node, tmp_path: Path) -> None:
    """Models that are read are plain Keras models: they are saved and loaded in a process without fitwell."""
    made = make(node, tmp_path, {key: CASES[key] for key in PLAIN})
    paths = []
    for number, (_, case) in enumerate(sorted(made.items())):
        found = document(case)
        model = from_tfjs(found.graph, found.weights).model
        paths.append(str(tmp_path / f"{number}.keras"))
        model.save(paths[-1])
        inputs = {f"in{place}": value for place, value in enumerate(case["inputs"])}
        np.savez(paths[-1] + ".npz", out=outputs_of(model, case["inputs"])[0], **inputs)
    environment = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    program = [sys.executable, "-c", LOAD, *paths]
    run = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert run.stdout.strip() == "same", run.stderr[-2000:]
