"""Keras models written for TensorFlow.js compute there what they compute in Keras."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from tfjs_node import Node
from tfjs_written import CASES, IMAGE, LINE, chain, data, graph, randomised

import fitwell.keras.layers as own
import keras
from fitwell.errors import InputError
from fitwell.tfjs.document import write_document
from fitwell.tfjs.graph import TfjsGraph, TfjsLayer, TfjsTensor
from fitwell.tfjs.writing import LAYER_WRITERS, NOT_WRITTEN, Written, to_tfjs
from fitwell.tfjs.writing.sheet import as_float32
from keras import layers

PREDICT = """
const outputs = [];
for (const one of given.cases) {
  try {
    const model = await load(one.path);
    outputs.push([].concat(model.predict(one.inputs.length === 1 ? one.inputs[0] : one.inputs)));
  } catch (error) {
    outputs.push(String(error.message ?? error));
  }
}
return outputs;
"""
TOLERANCE = 1e-5
GROUPS = 12
KEYS = sorted(CASES)
NOT_ON_WASM = {
    "Conv3DTranspose: strides longer than the kernel", "Conv3D: channels first, softmax",
    "Conv3DTranspose: plain", "MaxPooling3D: same", "MaxPooling3D: valid", "Conv3D: plain", "Conv3D: dilation",
    "AveragePooling3D: same", "AveragePooling3D: valid",
}  # fmt: skip
"""Cases whose kernels the wasm backend lacks or gets wrong."""


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled() -> Iterator[None]:
    """Compile each of the hundreds of small models' steps without optimising it, which takes half the time."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def in_keras(model: keras.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    made = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
    return [np.asarray(one) for one in (made if isinstance(made, list | tuple) else [made])]


def in_tfjs(node: Node, directory: Path, cases: dict[str, tuple[Written, list[np.ndarray]]]) -> dict[str, Any]:
    """Predict by several written models in one call."""
    sent = []
    for number, (written, inputs) in enumerate(cases.values()):
        folder = directory / str(number)
        folder.mkdir()
        write_document(folder, written.graph, written.weights)
        sent.append({"path": folder / "model.json", "inputs": inputs})
    return dict(zip(cases, node(PREDICT, cases=sent), strict=True))


def difference(expected: list[np.ndarray], got: Any) -> float:
    """Return the largest difference relative to the largest output."""
    assert not isinstance(got, str), got
    assert [one.shape for one in got] == [one.shape for one in expected]
    pairs = zip(expected, got, strict=True)
    return max(float(np.abs(a.astype("f8") - b).max() / max(np.abs(a).max(), 1e-9)) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not support mask", "ignore:Explicitly requested dtype")
@pytest.mark.parametrize("group", range(GROUPS))
def test_every_case_predicts_the_same_in_tensorflow_js(group: int, node: Node, wasm: Node, tmp_path: Path) -> None:
    models = {key: CASES[key]() for key in KEYS[group::GROUPS]}
    inputs = {key: data(model) for key, model in models.items()}
    expected = {key: in_keras(model, inputs[key]) for key, model in models.items()}
    written = {key: (to_tfjs(model), inputs[key]) for key, model in models.items()}
    for backend, leave in ((node, set()), (wasm, NOT_ON_WASM)):
        chosen = {key: one for key, one in written.items() if key not in leave}
        (folder := tmp_path / backend.backend).mkdir()
        got = in_tfjs(backend, folder, chosen)
        wrong = {key: got[key] for key in chosen if isinstance(got[key], str)}
        assert not wrong, backend.backend
        far = {key: error for key in chosen if not (error := difference(expected[key], got[key])) <= TOLERANCE}
        assert not far, backend.backend


def test_every_layer_that_is_claimed_has_a_case() -> None:
    assert {key.split(":")[0] for key in CASES} >= LAYER_WRITERS.keys()
    assert not NOT_WRITTEN.keys() & LAYER_WRITERS.keys()
    assert all(hasattr(layers, name) for name in LAYER_WRITERS)
    assert all(hasattr(layers, name) for name in NOT_WRITTEN if " " not in name)


def changed(graph: TfjsGraph, change: Any) -> TfjsGraph:
    """Return the graph with a layer changed."""
    return TfjsGraph(graph.name, tuple(map(change, graph.layers)), graph.inputs, graph.outputs, graph.sequential)


BREAKS: dict[str, tuple[str, dict[str, Any]]] = {
    "Activation: hard_sigmoid": ("Rescaling", {"scale": 1.0}),
    "LSTM: hard_sigmoid": ("LSTM", {"recurrent_activation": "sigmoid"}),
    "Normalization: adapted": ("Rescaling", {"offset": 0.0}),
    "ReLU: all options": ("ThresholdedReLU", {"theta": 0.0}),
    "LeakyReLU: plain": ("LeakyReLU", {"alpha": 0.3}),
    "Conv1D: causal": ("ZeroPadding2D", {"padding": [[0, 4], [0, 0]]}),
    "Conv2DTranspose: output padding": ("Cropping2D", {"cropping": [[1, 0], [1, 0]]}),
    "BatchNormalization: first axis": ("BatchNormalization", {"epsilon": 0.5}),
    "GroupNormalization: images": ("LayerNormalization", {"epsilon": 1.0}),
    "RMSNormalization: rows": ("Cropping2D", {"cropping": [[0, 0], [1, 0]]}),
    "Attention: scaled, causal": ("Rescaling", {"offset": 0.0}),
    "operations: arithmetic": ("Rescaling", {"offset": 0.25}),
}
"""Settings of a recipe that, changed, must show."""


@pytest.mark.slow
def test_a_recipe_with_a_setting_changed_differs(node: Node, tmp_path: Path) -> None:
    cases, expected = {}, {}
    for key, (class_name, setting) in BREAKS.items():
        model = CASES[key]()
        inputs, written = data(model), to_tfjs(model)

        def change(layer: TfjsLayer, class_name: str = class_name, setting: dict[str, Any] = setting) -> TfjsLayer:
            config = {**layer.config, **setting} if layer.class_name == class_name else layer.config
            return TfjsLayer(layer.class_name, layer.name, config, layer.calls)

        broken = Written(changed(written.graph, change), written.weights, {}, ())
        assert broken.graph != written.graph, key
        expected[key], cases[key] = in_keras(model, inputs), (broken, inputs)
    got = in_tfjs(node, tmp_path, cases)
    near = {key for key in cases if not isinstance(got[key], str) and difference(expected[key], got[key]) <= 1e-3}
    assert not near


def test_names_that_tensorflow_js_refuses_are_replaced_and_told(node: Node, tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((3,), name="_in put"),
            layers.Dense(2, name="_größe 1"),
            layers.Dense(2, name="gr__e 1"),
            layers.Dense(2, name="日本"),
            layers.Activation("hard_silu", name="fine"),
        ],
        name="_ü",
    )
    written = to_tfjs(randomised(model))
    assert all(re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9._]*", layer.name) for layer in written.graph.layers)
    assert len({layer.name for layer in written.graph.layers}) == len(written.graph.layers)
    assert written.names == {"in_put": "_in put", "gr__e_1": "_größe 1", "gr__e_1_1": "gr__e 1", "layer": "日本"}
    inputs = data(model)
    assert difference(in_keras(model, inputs), in_tfjs(node, tmp_path, {"": (written, inputs)})[""]) <= TOLERANCE


def test_weights_are_written_bit_for_bit_and_the_model_is_left_as_it_is() -> None:
    model = chain(
        IMAGE, lambda: layers.Conv2D(4, 3, activation="silu"), layers.BatchNormalization, layers.Flatten,
        lambda: layers.Dense(2, activation="hard_sigmoid"),
    )()  # fmt: skip
    config, before = json.dumps(model.get_config()), [np.array(one) for one in model.get_weights()]
    written = to_tfjs(model)
    names = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"}
    expected = {
        f"{layer.name}/{one.name}": np.asarray(one) for layer in model.layers for one in layer.weights
        if one.name in names
    }  # fmt: skip
    assert written.weights.keys() == expected.keys()
    assert all(written.weights[name].tobytes() == expected[name].tobytes() for name in expected)
    assert json.dumps(model.get_config()) == config
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, model.get_weights(), strict=True))


def test_the_same_model_is_written_the_same_twice() -> None:
    for key in ("nested: names twice", "shared: towers", "MultiHeadAttention: plain"):
        model = CASES[key]()
        first, second = to_tfjs(model), to_tfjs(model)
        assert first.graph == second.graph
        assert first.notices == second.notices
        assert first.weights.keys() == second.weights.keys()


def test_a_chain_is_sequential_and_nothing_else_is() -> None:
    assert to_tfjs(CASES["Dense: plain"]()).graph.sequential
    for key in (
        "Add: three",
        "LSTM: states",
        "shared: twice in a row",
        "RMSNormalization: rows",
        "nested: names twice",
    ):
        assert not to_tfjs(CASES[key]()).graph.sequential, key


def test_layers_come_behind_those_that_they_take_tensors_of() -> None:
    for key in ("nested: names twice", "operations: arithmetic", "shared: towers"):
        seen: set[str] = set()
        for layer in to_tfjs(CASES[key]()).graph.layers:
            assert {tensor.layer for tensor in layer.calls[0]} <= seen
            seen.add(layer.name)


def test_a_shared_layer_is_one_layer_with_several_calls() -> None:
    graph = to_tfjs(CASES["shared: towers"]()).graph
    tower = graph.layer("tower")
    assert [call[0].layer for call in tower.calls] == ["in0", "in1"]
    assert TfjsTensor("tower", 1) in {tensor for layer in graph.layers for call in layer.calls for tensor in call}


def test_fitwells_layers_are_kerass_at_inference(node: Node, tmp_path: Path) -> None:
    model = chain((4,), lambda: own.Dense(3, activation="relu", dropout_rate=0.4), lambda: own.Dropout(0.25))()
    written, inputs = to_tfjs(model), data(model)
    assert [layer.class_name for layer in written.graph.layers] == ["InputLayer", "Dense", "Dropout"]
    assert written.graph.layers[-1].config["rate"] == 0.25
    assert difference(in_keras(model, inputs), in_tfjs(node, tmp_path, {"": (written, inputs)})[""]) <= TOLERANCE


def test_that_weights_are_not_dropped_there_is_told() -> None:
    """A rate of zero drops none here either, and needs no notice."""
    model = chain((4,), lambda: own.Dense(3, dropout_rate=0.4, name="drops"), lambda: own.Dense(2))()
    (notice,) = to_tfjs(model).notices
    assert notice.startswith("Layer 'drops' (Dense): its dropping of weights (dropout_rate) is left out")
    model.layers[0].dropout_rate = 0.0
    assert to_tfjs(model).notices == ()


def test_regularizers_and_frozen_layers_are_kept_and_constraints_told() -> None:
    model = chain(
        (4,),
        lambda: layers.Dense(
            3, kernel_regularizer=keras.regularizers.L1(0.5), bias_regularizer="l2", kernel_constraint="non_neg",
            activity_regularizer="l1", trainable=False,
        ),
        lambda: layers.Dense(2, kernel_regularizer=keras.regularizers.OrthogonalRegularizer()),
    )()  # fmt: skip
    written = to_tfjs(model)
    first, second = written.graph.layers[1].config, written.graph.layers[2].config
    assert first["kernel_regularizer"] == {"class_name": "L1L2", "config": {"l1": 0.5, "l2": 0.0}}
    assert first["bias_regularizer"]["config"] == pytest.approx({"l1": 0, "l2": 0.01})
    assert (first["trainable"], second["trainable"]) == (False, True)
    assert not [key for key in first if "constraint" in key or "activity" in key]
    assert second["kernel_regularizer"] is None
    told = " ".join(written.notices)
    assert all(word in told for word in ("constraints", "activity regularizer", "OrthogonalRegularizer"))


def test_half_precision_is_written_as_float32_and_told() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = chain((4,), lambda: layers.Dense(3))()
    finally:
        keras.config.set_dtype_policy("float32")
    written = to_tfjs(model)
    assert {one.dtype for one in written.weights.values()} == {np.dtype("float32")}
    assert any("float32" in notice for notice in written.notices)


class Own(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        """Return the inputs."""
        return inputs


class OwnDense(keras.layers.Dense):
    pass


class OwnModel(keras.Model):
    def call(self, inputs: Any) -> Any:
        """Return the inputs."""
        return inputs


def _masked(*parts: Any) -> Any:
    return chain((5,), lambda: layers.Embedding(5, 3, mask_zero=True), *parts, dtype="int32")


REFUSALS: dict[str, tuple[Any, str]] = {
    "no mask value": (chain(LINE, lambda: layers.Masking(np.nan, name="gaps")), "'gaps' .*mask_value is nan.*finite"),
    "GRU": (chain(LINE, lambda: layers.GRU(2, name="gru")), "'gru' .*reset_after=True.*LSTM"),
    "stateful": (
        lambda: keras.Sequential([keras.Input(LINE, batch_size=2), layers.LSTM(2, stateful=True)]), "stateful"
    ),
    "Lambda": (chain((4,), lambda: layers.Lambda(lambda x: x, output_shape=(4,), name="mine")), "'mine'.*Python code"),
    "own layer": (chain((4,), Own), "none of Keras's layers"),
    "own subclass": (chain((4,), lambda: OwnDense(2)), "none of Keras's layers"),
    "own model": (OwnModel, "Python code of its own"),
    "not built": (lambda: keras.Sequential([layers.Dense(2)]), "not built"),
    "no model": (lambda: 3, "A Keras model is needed"),
    "exponential": (chain((4,), lambda: layers.Dense(2, activation="exponential")), "'exponential'.*use another"),
    "own activation": (chain((4,), lambda: layers.Dense(2, activation=lambda x: x)), "none that TensorFlow.js knows"),
    "activation in a cell": (chain(LINE, lambda: layers.LSTM(2, activation="hard_sigmoid")), "inside a recurrent"),
    "average behind a mask": (_masked(layers.GlobalAveragePooling1D), "masked steps"),
    "mask lost": (_masked(lambda: layers.ELU(), lambda: layers.LSTM(2)), "lost or another"),
    "mask left behind": (
        graph(LINE, join=lambda x: layers.LSTM(2)(keras.ops.copy(layers.Masking()(x)))), "lost or another"
    ),
    "mask of others": (
        _masked(lambda: layers.LSTM(3), lambda: layers.RepeatVector(5), lambda: layers.LSTM(2)), "that of another layer"
    ),
    "zeros at masked steps": (
        _masked(lambda: layers.Bidirectional(layers.LSTM(2, return_sequences=True))), "zeros"
    ),
    "division": (graph((4,), (4,), join=lambda x, y: x / y), "divides by a tensor"),
    "operation": (graph((4,), join=lambda x: keras.ops.exp(x)), "express this operation"),
    "rms_scaling": (chain((4,), lambda: layers.LayerNormalization(rms_scaling=True)), "RMSNormalization"),
    "scores": (
        graph((4, 3), (4, 3), join=lambda q, v: layers.Attention()([q, v], return_attention_scores=True)),
        "return_attention_scores",
    ),
    "strings": (lambda: keras.Model(i := keras.Input((1,), dtype="string"), layers.Identity()(i)), "strings"),
    "one axis": (chain((), lambda: layers.Identity()), "two axes or more"),
    "unknown size to crop": (chain((None, 3), lambda: layers.Cropping1D(1)), "crops only known sizes"),
    "einsum": (chain((4, 4), lambda: layers.EinsumDense("abc,bd->adc", (3, 4))), "equation"),
    "ways apart": (
        chain(LINE, lambda: layers.Bidirectional(
            layers.LSTM(2), backward_layer=layers.LSTM(2, go_backwards=True, activation="relu"))),
        "configured as its forward layer",
    ),
    "einsum of tensors": (
        graph((4, 4), (4, 4), join=lambda x, y: keras.ops.einsum("bij,bjk->bik", x, y)), "one axis with a fixed matrix"
    ),
    "einsum of a sum": (
        graph((4, 4), join=lambda x: keras.ops.einsum("bij,jk->bi", x, np.ones((4, 2), "float32"))), "one axis with a"
    ),
    "einsum of a batch": (
        lambda: keras.Model(
            i := keras.Input((4,), batch_size=3), keras.ops.einsum("bi,bk->ki", i, np.ones((3, 3), "float32"))
        ),
        "one axis with a fixed",
    ),
    "softmax of a batch": (graph((4,), join=lambda x: keras.ops.softmax(x, axis=None)), "joins all rows"),
    "rows of the batch": (graph((2, 3), join=lambda x: keras.ops.reshape(x, (-1, 3))), "batch must stay"),
    "rows of the batch, any length": (graph((None, 3), join=lambda x: keras.ops.reshape(x, (-1, 3))), "batch must"),
    "cut decimals": (
        graph((4,), join=lambda x: keras.Sequential([keras.Input((4,), dtype="int32"), layers.Dense(2)])(x)),
        "cuts off decimals"
    ),
    "any size": (chain((None, None, 4), lambda: layers.GroupNormalization(2)), "known input size"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Layer .* does not support mask", "ignore:You passed `rms_scaling")
@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_equal_is_refused_in_one_sentence(name: str) -> None:
    make, sentence = REFUSALS[name]
    with pytest.raises(InputError, match=sentence) as error:
        to_tfjs(make())
    assert "\n" not in str(error.value)


def test_weights_beyond_float32_are_refused() -> None:
    """They would be infinite in the file; the largest float32, and infinity itself, are left as they are."""
    with pytest.raises(InputError, match=r"-1e\+60.*3\.4e38"):
        as_float32(np.array([1.0, -1e60]))
    largest = np.finfo(np.float32).max
    assert as_float32(np.array([largest, -np.inf])).tolist() == [largest, -np.inf]


def test_a_quantized_layer_is_refused() -> None:
    model = chain((4,), lambda: layers.Dense(2))()
    model.layers[0].quantize("int8")
    with pytest.raises(InputError, match="before quantize"):
        to_tfjs(model)


@pytest.mark.filterwarnings("ignore:Layer .* does not support mask")
def test_the_masks_of_a_model_that_was_loaded_are_recognised(node: Node, tmp_path: Path) -> None:
    model = CASES["LSTM: mask"]()
    functional = keras.Model(model.inputs, model.outputs)
    functional.save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras")
    written, inputs = to_tfjs(loaded), data(loaded)
    assert difference(in_keras(model, inputs), in_tfjs(node, tmp_path, {"": (written, inputs)})[""]) <= TOLERANCE


def test_a_mask_given_by_hand_is_refused() -> None:
    x, mask = keras.Input(LINE), keras.Input((LINE[0],), dtype="bool")
    with pytest.raises(InputError, match="mask="):
        to_tfjs(keras.Model([x, mask], layers.LSTM(2)(x, mask=mask)))


def test_a_deep_model_is_written() -> None:
    tensor = inputs = keras.Input((2,))
    shared = layers.Dense(2)
    for _ in itertools.repeat(None, 250):
        tensor = shared(tensor)
    assert len(to_tfjs(keras.Model(inputs, tensor)).graph.layer(shared.name).calls) == 250
