"""Models made in TensorFlow.js: small ones for each layer and option that is read into Keras.

A case is a JavaScript expression of a model, with `L` for `tf.layers`, `chain(...layers)` for a Sequential and
`graph([shapes], (...inputs) => outputs)` for a functional model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fitwell.tfjs.document import Document, read_document

ROWS = 3

PRELUDE = """
const L = tf.layers;
const chain = (...layers) => tf.sequential({layers});
const graph = (shapes, join) => {
  const inputs = shapes.map(shape => tf.input({shape}));
  return tf.model({inputs, outputs: join(...inputs)});
};
const make = source => new Function('tf', 'L', 'chain', 'graph', `return (${source});`)(tf, L, chain, graph);
let seed = 1;
const normal = (shape, spread) => tf.randomNormal(shape, 0, spread, 'float32', seed++);
const randomise = model => {
  for (const weight of model.weights) {
    const drawn = normal(weight.shape, 0.5);
    weight.val.assign(/variance|gamma/.test(weight.name) ? drawn.abs().add(0.3) : drawn);
  }
};
const arrays = (model, source) => model.inputs.map(input => {
  const shape = input.shape.map((size, axis) => size ?? (axis ? 6 : given.rows));
  if (/embedding/.test(source)) {
    const length = tf.util.sizeFromShape(shape);
    return tf.tensor(Float32Array.from({length}, (_, i) => (i * 7 + 3 * (i >> 2)) % 4), shape);
  }
  if (!/masking/.test(source)) return normal(shape, 1.5);
  const kept = Array.from({length: shape[0] * shape[1]}, (_, i) => (i * 5 + 2) % 3 ? 1 : 0);
  return normal(shape, 1.5).mul(tf.tensor(kept, [shape[0], shape[1], ...shape.slice(2).fill(1)]));
});
"""

COMPARE = """
const answers = {};
for (const [key, source] of Object.entries(given.cases)) {
  try {
    const model = make(source);
    randomise(model);
    const inputs = arrays(model, source);
    const outputs = model.predict(inputs.length === 1 ? inputs[0] : inputs, {batchSize: given.rows});
    await save(model, `${given.folder}/${given.folders[key]}`);
    const count = model.outputs.length;
    answers[key] = {inputs, outputs: count === 1 ? [outputs].flat() : outputs};
  } catch (error) {
    answers[key] = {error: String(error.stack ?? error)};
  }
}
return answers;
"""

IMAGE = "inputShape: [5, 6, 2]"
CUBE = "inputShape: [4, 5, 3, 2]"
STEPS = "inputShape: [5, 4]"
ACTIVATIONS = (
    "elu", "selu", "relu", "relu6", "linear", "sigmoid", "hardSigmoid", "softplus", "softsign", "tanh", "softmax",
    "logSoftmax", "gelu", "gelu_new", "mish", "swish",
)  # fmt: skip

_HARD = "activation: 'hardSigmoid'"
_PENALTY = "kernelRegularizer: tf.regularizers.l1l2({l1: 0.01, l2: 0.02})"
_TOWER = "tf.sequential({name: 'tower', layers: [L.dense({units: 3, activation: 'tanh', inputShape: [4]})]})"
_TWO_IN = (
    "(() => { const a = tf.input({shape: [4]}), b = tf.input({shape: [4]});"
    " return tf.model({name: 'pair', inputs: [a, b], outputs:"
    " [L.add().apply([a, b]), L.dense({units: 2, name: 'inside'}).apply(b)]}); })()"
)


def _rnn(kind: str) -> dict[str, str]:
    """Return the cases that all recurrent layers have."""
    lower = {"SimpleRNN": "simpleRNN", "LSTM": "lstm", "GRU": "gru"}[kind]
    states = 2 if kind == "LSTM" else 1
    names = ", ".join("abc"[: states + 1])
    first = f"L.{lower}({{units: 3"
    return {
        f"{kind}: last step": f"chain({first}, {STEPS}}}))",
        f"{kind}: sequences": f"chain({first}, returnSequences: true, {STEPS}}}))",
        f"{kind}: backwards": f"chain({first}, goBackwards: true, returnSequences: true, {STEPS}}}))",
        f"{kind}: without bias": f"chain({first}, useBias: false, {STEPS}}}))",
        f"{kind}: relu": f"chain({first}, activation: 'relu', {STEPS}}}))",
        f"{kind}: any length": f"chain({first}, inputShape: [null, 4]}}))",
        f"{kind}: mask": f"chain(L.masking({{{STEPS}}}), {first}}}))",
        f"{kind}: mask, sequences": f"chain(L.masking({{{STEPS}}}), {first}, returnSequences: true}}))",
        f"{kind}: mask, backwards": f"chain(L.masking({{{STEPS}}}), {first}, goBackwards: true}}))",
        f"{kind}: returned states": f"graph([[5, 4]], x => {first}, returnState: true}}).apply(x))",
        f"{kind}: given states": f"graph([[5, 4]{', [3]' * states}], ({names}) => {first}}})"
        f".apply(a, {{initialState: [{names[3:]}]}}))",
        f"{kind}: encoder and decoder": f"graph([[5, 4], [4, 4]], (x, y) => {{"
        f" const [, ...states] = {first}, returnState: true}}).apply(x);"
        f" return {first}, returnSequences: true}}).apply(y, {{initialState: states}}); }})",
    }


CASES: dict[str, str] = {
    "Dense: linear": "chain(L.dense({units: 3, inputShape: [4]}))",
    "Dense: without bias": "chain(L.dense({units: 3, useBias: false, inputShape: [4]}))",
    "Dense: hard sigmoid": f"chain(L.dense({{units: 3, {_HARD}, inputShape: [4]}}))",
    "Dense: on sequences": f"chain(L.dense({{units: 3, activation: 'relu', {STEPS}}}))",
    "Dense: penalties": f"chain(L.dense({{units: 3, {_PENALTY}, inputShape: [4]}}))",
    "Dense: constraints": "chain(L.dense({units: 3, kernelConstraint: tf.constraints.maxNorm({maxValue: 0.5}),"
    " biasConstraint: tf.constraints.nonNeg(), inputShape: [4]}))",
    "Dense: frozen": "chain(L.dense({units: 3, trainable: false, inputShape: [4]}), L.dense({units: 2}))",
    "Dense: shared": "graph([[4], [4]], (a, b) => { const d = L.dense({units: 3});"
    " return [d.apply(a), L.add().apply([d.apply(b), d.apply(a)])]; })",
    **{f"Activation: {name}": f"chain(L.activation({{activation: '{name}', inputShape: [6]}}))"
       for name in ACTIVATIONS},
    "Activation: softmax on sequences": f"chain(L.activation({{activation: 'softmax', {STEPS}}}))",
    "Dropout: inference": "chain(L.dropout({rate: 0.5, seed: 3, inputShape: [4]}), L.dense({units: 2}))",
    "Dropout: noise shape": f"chain(L.dropout({{rate: 0.5, noiseShape: [null, 1, 4], {STEPS}}}))",
    "SpatialDropout1D": f"chain(L.spatialDropout1d({{rate: 0.5, {STEPS}}}))",
    "GaussianDropout": "chain(L.gaussianDropout({rate: 0.5, inputShape: [4]}))",
    "GaussianNoise": "chain(L.gaussianNoise({stddev: 0.5, inputShape: [4]}))",
    "AlphaDropout": "chain(L.alphaDropout({rate: 0.5, inputShape: [4]}))",
    "Flatten: image": f"chain(L.flatten({{{IMAGE}}}), L.dense({{units: 2}}))",
    "Flatten: channels first": "chain(L.flatten({dataFormat: 'channelsFirst', inputShape: [2, 5, 6]}))",
    "Reshape: known": "chain(L.reshape({targetShape: [2, 3], inputShape: [6]}))",
    "Reshape: one unknown": "chain(L.reshape({targetShape: [-1, 3], inputShape: [6]}))",
    "Permute": "chain(L.permute({dims: [3, 1, 2], inputShape: [2, 3, 4]}))",
    "RepeatVector": "chain(L.repeatVector({n: 3, inputShape: [4]}))",
    "Masking: through dense": f"chain(L.masking({{{STEPS}}}), L.dense({{units: 3}}), L.lstm({{units: 2}}))",
    "Masking: value": f"chain(L.masking({{maskValue: 1, {STEPS}}}), L.simpleRNN({{units: 2}}))",
    "Masking: output": f"chain(L.masking({{{STEPS}}}))",
    "Masking: concatenated": "graph([[5, 4]], x => { const m = L.masking().apply(x);"
    " return L.gru({units: 2}).apply(L.concatenate().apply([m, L.dense({units: 2}).apply(m)])); })",
    "Masking: lost in LeakyReLU": f"chain(L.masking({{{STEPS}}}), L.leakyReLU(), L.dense({{units: 2}}))",
    "Masking: behind a recurrent layer": f"chain(L.gru({{units: 3, returnSequences: true, {STEPS}}}), L.masking(),"
    " L.gru({units: 2}))",
    "Masking: kept by normalization": f"chain(L.masking({{{STEPS}}}), L.layerNormalization(), L.batchNormalization(),"
    " L.prelu(), L.reLU(), L.dropout({rate: 0.1}), L.gru({units: 2}))",
    "Masking: lost in pooling and flattening": "graph([[5, 4]], x => { const m = L.masking().apply(x);"
    " return [L.globalMaxPooling1d().apply(m), L.flatten().apply(m), L.maxPooling1d({poolSize: 2}).apply(m)]; })",
    "Masking: multiplied and added": "graph([[5, 4]], x => { const m = L.masking().apply(x);"
    " const d = L.dense({units: 4}).apply(m); return [L.multiply().apply([m, d]), L.maximum().apply([m, d]),"
    " L.average().apply([m, d])]; })",
    "Masking: in time": "graph([[5, 4]], x => { const m = L.masking().apply(x), n = L.masking({maskValue: 1}).apply(x);"
    " return L.gru({units: 2}).apply(L.concatenate({axis: 1}).apply([m, n])); })",
    "Embedding: plain": "chain(L.embedding({inputDim: 4, outputDim: 3, inputLength: 5}))",
    "Embedding: mask": "chain(L.embedding({inputDim: 4, outputDim: 3, maskZero: true, inputLength: 5}),"
    " L.lstm({units: 2}))",
    "Embedding: flattened": "chain(L.embedding({inputDim: 4, outputDim: 3, inputLength: 5}), L.flatten(),"
    " L.dense({units: 1}))",
    "Conv1D: plain": f"chain(L.conv1d({{filters: 3, kernelSize: 2, {STEPS}}}))",
    "Conv1D: same, strides": f"chain(L.conv1d({{filters: 3, kernelSize: 3, padding: 'same', strides: 2, {STEPS}}}))",
    "Conv1D: dilation": f"chain(L.conv1d({{filters: 3, kernelSize: 2, dilationRate: 2, {STEPS}}}))",
    "Conv1D: hard sigmoid": f"chain(L.conv1d({{filters: 3, kernelSize: 2, {_HARD}, {STEPS}}}))",
    "Conv2D: plain": f"chain(L.conv2d({{filters: 3, kernelSize: 2, {IMAGE}}}))",
    "Conv2D: same, strides": f"chain(L.conv2d({{filters: 3, kernelSize: [3, 2], padding: 'same', strides: 2,"
    f" activation: 'relu', {IMAGE}}}))",
    "Conv2D: dilation": f"chain(L.conv2d({{filters: 3, kernelSize: 2, dilationRate: 2, useBias: false, {IMAGE}}}))",
    "Conv2D: hard sigmoid": f"chain(L.conv2d({{filters: 3, kernelSize: 2, {_HARD}, {_PENALTY}, {IMAGE}}}))",
    "Conv2D: channels first": "chain(L.conv2d({filters: 3, kernelSize: 2, dataFormat: 'channelsFirst',"
    " inputShape: [2, 5, 6]}))",
    "Conv3D: plain": f"chain(L.conv3d({{filters: 3, kernelSize: 2, {CUBE}}}))",
    "Conv3D: same, strides": f"chain(L.conv3d({{filters: 3, kernelSize: 2, padding: 'same', strides: 2, {CUBE}}}))",
    "Conv2DTranspose: plain": f"chain(L.conv2dTranspose({{filters: 3, kernelSize: 2, {IMAGE}}}))",
    "Conv2DTranspose: same, strides": f"chain(L.conv2dTranspose({{filters: 3, kernelSize: 3, padding: 'same',"
    f" strides: 2, {IMAGE}}}))",
    "Conv2DTranspose: valid, strides": f"chain(L.conv2dTranspose({{filters: 3, kernelSize: 3, strides: 2, {IMAGE}}}))",
    "Conv2DTranspose: strides beyond the kernel": "chain(L.conv2dTranspose({filters: 3, kernelSize: 2, strides: 3,"
    f" {IMAGE}}}))",
    "Conv3DTranspose: plain": f"chain(L.conv3dTranspose({{filters: 3, kernelSize: 2, {CUBE}}}))",
    "Conv3DTranspose: same, strides": f"chain(L.conv3dTranspose({{filters: 3, kernelSize: 3, padding: 'same',"
    f" strides: 2, {CUBE}}}))",
    "SeparableConv2D: plain": f"chain(L.separableConv2d({{filters: 3, kernelSize: 2, {IMAGE}}}))",
    "SeparableConv2D: depth multiplier": "chain(L.separableConv2d({filters: 3, kernelSize: 2, depthMultiplier: 2,"
    f" padding: 'same', {IMAGE}}}))",
    "SeparableConv2D: hard sigmoid, strides": "chain(L.separableConv2d({filters: 3, kernelSize: 2, strides: 2,"
    f" {_HARD}, {IMAGE}}}))",
    "DepthwiseConv2D: plain": f"chain(L.depthwiseConv2d({{kernelSize: 2, {IMAGE}}}))",
    "DepthwiseConv2D: depth multiplier, same": "chain(L.depthwiseConv2d({kernelSize: 3, depthMultiplier: 3,"
    f" padding: 'same', strides: 2, {IMAGE}}}))",
    "DepthwiseConv2D: penalty": "chain(L.depthwiseConv2d({kernelSize: 2,"
    f" depthwiseRegularizer: tf.regularizers.l2({{l2: 0.1}}), {IMAGE}}}))",
    "Cropping2D": f"chain(L.cropping2D({{cropping: [[1, 0], [2, 1]], {IMAGE}}}))",
    "ZeroPadding2D: sides": f"chain(L.zeroPadding2d({{padding: [[1, 0], [2, 1]], {IMAGE}}}))",
    "ZeroPadding2D: one number": f"chain(L.zeroPadding2d({{padding: 2, {IMAGE}}}))",
    "ZeroPadding2D: channels first": "chain(L.zeroPadding2d({padding: [1, 2], dataFormat: 'channelsFirst',"
    " inputShape: [2, 5, 6]}))",
    "UpSampling2D: nearest": f"chain(L.upSampling2d({{size: [2, 3], {IMAGE}}}))",
    "UpSampling2D: bilinear": f"chain(L.upSampling2d({{size: [2, 3], interpolation: 'bilinear', {IMAGE}}}))",
    "UpSampling2D: channels first": "chain(L.upSampling2d({dataFormat: 'channelsFirst', inputShape: [2, 5, 6]}))",
    **{f"{kind}Pooling1D: {name}": f"chain(L.{kind.lower()}Pooling1d({{{options}{STEPS}}}))"
       for kind in ("Max", "Average")
       for name, options in (("plain", ""), ("same, strides", "poolSize: 3, strides: 2, padding: 'same', "))},
    **{f"{kind}Pooling{rank}D: {name}": f"chain(L.{kind.lower()}Pooling{rank}d({{{options}{shape}}}))"
       for kind in ("Max", "Average") for rank, shape in ((2, IMAGE), (3, CUBE))
       for name, options in (("plain", ""), ("same, strides", "poolSize: 3, strides: 2, padding: 'same', "))},
    "MaxPooling2D: channels first": "chain(L.maxPooling2d({dataFormat: 'channelsFirst', inputShape: [2, 5, 6]}))",
    **{f"Global{kind}Pooling{rank}D": f"chain(L.global{kind}Pooling{rank}d({{{shape}}}))"
       for kind in ("Max", "Average") for rank, shape in ((1, STEPS), (2, IMAGE))},
    "GlobalAveragePooling1D: mask": f"chain(L.masking({{{STEPS}}}), L.globalAveragePooling1d())",
    "GlobalAveragePooling1D: mask, dense": "chain(L.embedding({inputDim: 4, outputDim: 3, maskZero: true,"
    " inputLength: 5}), L.globalAveragePooling1d(), L.dense({units: 2}))",
    "GlobalAveragePooling2D: channels first": "chain(L.globalAveragePooling2d({dataFormat: 'channelsFirst',"
    " inputShape: [2, 5, 6]}))",
    "BatchNormalization: vectors": "chain(L.batchNormalization({inputShape: [4]}))",
    "BatchNormalization: images": f"chain(L.batchNormalization({{{IMAGE}}}))",
    "BatchNormalization: without scale and center": "chain(L.batchNormalization({scale: false, center: false,"
    " epsilon: 0.1, momentum: 0.5, inputShape: [4]}))",
    "LayerNormalization: plain": f"chain(L.layerNormalization({{{STEPS}}}))",
    "LayerNormalization: two axes": f"chain(L.layerNormalization({{axis: [1, 2], epsilon: 0.1, {STEPS}}}))",
    "LayerNormalization: without scale and center": "chain(L.layerNormalization({scale: false, center: false,"
    " inputShape: [4]}))",
    "ReLU: plain": "chain(L.reLU({inputShape: [4]}))",
    "ReLU: largest value": "chain(L.reLU({maxValue: 0.7, inputShape: [4]}))",
    "LeakyReLU: default": "chain(L.leakyReLU({inputShape: [4]}))",
    "LeakyReLU: slope": "chain(L.leakyReLU({alpha: 0.1, inputShape: [4]}))",
    "PReLU: plain": "chain(L.prelu({inputShape: [4]}))",
    "PReLU: shared axes": f"chain(L.prelu({{sharedAxes: [1, 2], {IMAGE}}}))",
    "ELU": "chain(L.elu({inputShape: [4]}))",
    "ThresholdedReLU: default": "chain(L.thresholdedReLU({inputShape: [4]}))",
    "ThresholdedReLU: theta": "chain(L.thresholdedReLU({theta: 0.3, inputShape: [4]}), L.dense({units: 2}))",
    "ThresholdedReLU: below zero": "chain(L.thresholdedReLU({theta: -0.7, inputShape: [4]}), L.dense({units: 2}))",
    "Softmax: default": "chain(L.softmax({inputShape: [4]}))",
    "Softmax: last axis": f"chain(L.softmax({{axis: -1, {STEPS}}}))",
    **{f"{name}: two": f"graph([[4], [4]], (a, b) => L.{name.lower()}().apply([a, b]))"
       for name in ("Add", "Average", "Multiply", "Maximum", "Minimum", "Concatenate")},
    "Add: three": "graph([[4], [4], [4]], (a, b, c) => L.add().apply([a, b, c]))",
    "Multiply: broadcast": "graph([[5, 4], [1, 4]], (a, b) => L.multiply().apply([a, b]))",
    "Concatenate: first axis": "graph([[2, 4], [3, 4]], (a, b) => L.concatenate({axis: 1}).apply([a, b]))",
    "Dot: vectors": "graph([[4], [4]], (a, b) => L.dot({axes: 1}).apply([a, b]))",
    "Dot: normalized": "graph([[4], [4]], (a, b) => L.dot({axes: -1, normalize: true}).apply([a, b]))",
    "Dot: sequences": "graph([[5, 4], [4, 3]], (a, b) => L.dot({axes: [2, 1]}).apply([a, b]))",
    **_rnn("SimpleRNN"), **_rnn("LSTM"), **_rnn("GRU"),
    "SimpleRNN: hard sigmoid": f"chain(L.simpleRNN({{units: 3, {_HARD}, {STEPS}}}))",
    "GRU: hard sigmoid": f"chain(L.gru({{units: 3, {_HARD}, {STEPS}}}))",
    "LSTM: sigmoid gates": f"chain(L.lstm({{units: 3, recurrentActivation: 'sigmoid', {STEPS}}}))",
    "LSTM: penalty": f"chain(L.lstm({{units: 3, {_PENALTY}, {STEPS}}}))",
    "GRU: sigmoid gates": f"chain(L.gru({{units: 3, recurrentActivation: 'sigmoid', {STEPS}}}))",
    "RNN: LSTM cell": f"chain(L.rnn({{cell: L.lstmCell({{units: 3}}), {STEPS}}}))",
    "RNN: GRU cell": f"chain(L.rnn({{cell: L.gruCell({{units: 3}}), returnSequences: true, {STEPS}}}))",
    "RNN: simple cell": f"chain(L.rnn({{cell: L.simpleRNNCell({{units: 3}}), {STEPS}}}))",
    "RNN: stack of cells": "chain(L.rnn({cell: L.stackedRNNCells({cells: [L.lstmCell({units: 3}),"
    f" L.gruCell({{units: 2}}), L.simpleRNNCell({{units: 4}})]}}), {STEPS}}}))",
    "RNN: list of cells": f"chain(L.rnn({{cell: [L.gruCell({{units: 3}}), L.gruCell({{units: 2}})], {STEPS}}}))",
    "ConvLSTM2D: plain": "chain(L.convLstm2d({filters: 2, kernelSize: 2, inputShape: [3, 5, 4, 2]}))",
    "ConvLSTM2D: same, sequences": "chain(L.convLstm2d({filters: 2, kernelSize: 3, padding: 'same',"
    " returnSequences: true, inputShape: [3, 5, 4, 2]}))",
    "ConvLSTM2D: sigmoid gates, strides": "chain(L.convLstm2d({filters: 2, kernelSize: 2, strides: 2,"
    " recurrentActivation: 'sigmoid', inputShape: [3, 5, 4, 2]}))",
    **{f"Bidirectional: {merge}": "chain(L.bidirectional({layer: L.lstm({units: 3, returnSequences: true}),"
       f" mergeMode: '{merge}', {STEPS}}}))" for merge in ("concat", "sum", "mul", "ave")},
    "Bidirectional: none": "graph([[5, 4]], x => L.bidirectional({layer: L.gru({units: 3}), mergeMode: null})"
    ".apply(x))",
    "Bidirectional: GRU, last step": "chain(L.bidirectional({layer: L.gru({units: 3}), mergeMode: 'concat',"
    f" {STEPS}}}))",
    "Bidirectional: SimpleRNN, backwards": "chain(L.bidirectional({layer: L.simpleRNN({units: 3, goBackwards: true}),"
    f" mergeMode: 'sum', {STEPS}}}))",
    "Bidirectional: mask": f"chain(L.masking({{{STEPS}}}), L.bidirectional({{layer: L.gru({{units: 3}}),"
    " mergeMode: 'concat'}))",
    "Bidirectional: returned states": "graph([[5, 4]], x => L.bidirectional({layer: L.lstm({units: 3,"
    " returnState: true}), mergeMode: 'concat'}).apply(x))",
    "Bidirectional: given states": "graph([[5, 4], [3], [3]], (x, a, b) => L.bidirectional({layer: L.gru({units: 3}),"
    " mergeMode: 'concat'}).apply(x, {initialState: [a, b]}))",
    "TimeDistributed: LSTM": "chain(L.timeDistributed({layer: L.lstm({units: 2}), inputShape: [3, 4, 2]}))",
    "TimeDistributed: mask": f"chain(L.masking({{{STEPS}}}), L.timeDistributed({{layer: L.dense({{units: 3}})}}),"
    " L.gru({units: 2}))",
    "TimeDistributed: BatchNormalization": f"chain(L.timeDistributed({{layer: L.batchNormalization(), {STEPS}}}))",
    "TimeDistributed: Dense": f"chain(L.timeDistributed({{layer: L.dense({{units: 3}}), {STEPS}}}))",
    "TimeDistributed: Conv2D": "chain(L.timeDistributed({layer: L.conv2d({filters: 2, kernelSize: 2}),"
    " inputShape: [3, 5, 4, 2]}))",
    "TimeDistributed: hard sigmoid": f"chain(L.timeDistributed({{layer: L.dense({{units: 3, {_HARD}}}), {STEPS}}}))",
    "TimeDistributed: Flatten": "chain(L.timeDistributed({layer: L.flatten(), inputShape: [3, 5, 4]}))",
    "Rescaling: vectors": "chain(L.rescaling({scale: [0.5, 1, 2], offset: [1, 0, -1], inputShape: [3]}))",
    "Rescaling: matrix": "chain(L.rescaling({scale: 1, offset: [[0, -2], [1, 3]], inputShape: [2, 2]}))",
    "Rescaling: numbers": "chain(L.rescaling({scale: 0.5, offset: 2, inputShape: [4]}))",
    "Model: Sequential in Sequential": f"chain({_TOWER}, L.dense({{units: 2}}))",
    "Model: mask inside": f"graph([[5, 4]], x => chain(L.masking({{{STEPS}}}), L.gru({{units: 3}})).apply(x))",
    "Model: in a Model in a Sequential": f"chain(tf.sequential({{name: 'outer', layers: [{_TOWER},"
    " L.dense({units: 3})]}), L.dense({units: 2}))",
    "Model: shared": f"graph([[4], [4]], (a, b) => {{ const t = {_TOWER};"
    " return L.add().apply([t.apply(a), t.apply(b)]); })",
    "Model: two inputs and outputs": f"graph([[4], [4]], (a, b) => {{ const [s, d] = {_TWO_IN}.apply([a, b]);"
    " return L.concatenate().apply([d, s]); })",
    "Model: several ends": "graph([[4], [3]], (a, b) => { const d = L.dense({units: 3}).apply(a);"
    " return [L.add().apply([d, b]), L.dense({units: 2}).apply(d)]; })",
    "Model: inputs in another order": "(() => { const [x, w] = ['x', 'w'].map(name => tf.input({shape: [4], name}));"
    " return tf.model({inputs: [w, x], outputs: L.concatenate().apply([x, L.dense({units: 2}).apply(w)])}); })()",
    "Model: names with a slash": "chain(L.dense({name: 'block/dense', units: 3, inputShape: [4]}),"
    " L.dense({name: 'block/out', units: 2}))",
}  # fmt: skip
"""By ``Class: variant``, or the class alone."""


def make(node: Any, folder: Path, cases: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Make models in TensorFlow.js and save them, each in a directory of its own; return what goes in and out."""
    folders = {key: f"m{number}" for number, key in enumerate(cases)}
    made = node(PRELUDE + COMPARE, cases=dict(cases), folder=str(folder), folders=folders, rows=ROWS)
    return {key: {**found, "file": folder / folders[key] / "model.json"} for key, found in made.items()}


def outputs_of(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Call a Keras model, without compiling it for these shapes."""
    found = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
    return [np.asarray(output) for output in (found if isinstance(found, list | tuple) else [found])]


@contextmanager
def quick_compiling() -> Iterator[None]:
    """Compile each of the hundreds of small models' steps without optimising it, which takes half the time."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def difference(ones: list[np.ndarray], others: list[np.ndarray]) -> float:
    """Return the largest difference as a share of the largest output."""
    assert [one.shape for one in ones] == [other.shape for other in others]
    return max(
        float(np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float32).tiny))
        for one, other in zip(ones, others, strict=True)
    )


def document(made: Mapping[str, Any]) -> Document:
    """Read the file of a case."""
    return read_document(made["file"])
