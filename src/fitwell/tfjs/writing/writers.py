"""Which of Keras's layers are written, and by what; which are refused, and why."""

from __future__ import annotations

import math
from typing import Any

from fitwell.tfjs.writing import (
    activations,
    write_attention,
    write_convolutions,
    write_layers,
    write_normalization,
    write_pooling,
    write_recurrent,
)
from fitwell.tfjs.writing.sheet import LayerCall, Value, Writer

AUGMENTATION = "it changes data in training only"
NOTHING = "it does nothing at inference"
UNCALLABLE = "TensorFlow.js cannot call a layer with an activity regularizer"


def write_leaky_relu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `LeakyReLU`."""
    return activations.add_leaky_relu(call, inputs[0], "", float(call.layer.negative_slope))


def write_elu(call: LayerCall, inputs: list[Value]) -> Value:
    """Write an `ELU`."""
    return activations.add_elu(call, inputs[0], "", float(call.layer.alpha))


def write_repeat_vector(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `RepeatVector`."""
    return call.add("RepeatVector", inputs, n=int(call.layer.n))


def write_masking(call: LayerCall, inputs: list[Value]) -> Value:
    """Write a `Masking`."""
    value = float(call.layer.mask_value)
    if not math.isfinite(value):
        call.refuse(f"its mask_value is {value}, and a model.json holds only finite numbers; take one that is.")
    return call.add("Masking", inputs, mask_value=value)


def write_spectral_normalization(call: LayerCall, inputs: list[Value]) -> Any:
    """Write the layer in a `SpectralNormalization`, whose kernel is kept normalised."""
    call.note("it is left out: its layer's kernel is written as it was normalised last.")
    return call.write(call.sheet, call.layer.layer, inputs, {}, call.shapes)


AUGMENTATIONS = (
    "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization",
    "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
)  # fmt: skip
"""Layers that return their input outside of training (those that do not at inference are not here)."""

LAYER_WRITERS: dict[str, Writer] = {
    "Dense": write_layers.write_dense,
    "Activation": write_layers.write_activation,
    "Dropout": write_layers.write_dropout,
    "GaussianDropout": write_layers.simple_writer("GaussianDropout", rate="rate"),
    "GaussianNoise": write_layers.simple_writer("GaussianNoise", stddev="stddev"),
    "AlphaDropout": write_layers.write_alpha_dropout,
    "SpatialDropout1D": write_layers.simple_writer("SpatialDropout1D", rate="rate"),
    "SpatialDropout2D": write_layers.left_out_writer(f"TensorFlow.js has none, and {NOTHING}"),
    "SpatialDropout3D": write_layers.left_out_writer(f"TensorFlow.js has none, and {NOTHING}"),
    "BatchNormalization": write_normalization.write_batch_normalization,
    "LayerNormalization": write_normalization.write_layer_normalization,
    "GroupNormalization": write_normalization.write_group_normalization,
    "RMSNormalization": write_normalization.write_rms_normalization,
    "UnitNormalization": write_normalization.write_unit_normalization,
    "Embedding": write_layers.write_embedding,
    "Masking": write_masking,
    "Conv1D": write_convolutions.write_convolution,
    "Conv2D": write_convolutions.write_convolution,
    "Conv3D": write_convolutions.write_convolution,
    "Conv1DTranspose": write_convolutions.write_transposed,
    "Conv2DTranspose": write_convolutions.write_transposed,
    "Conv3DTranspose": write_convolutions.write_transposed,
    "DepthwiseConv1D": write_convolutions.write_depthwise,
    "DepthwiseConv2D": write_convolutions.write_depthwise,
    "SeparableConv1D": write_convolutions.write_separable,
    "SeparableConv2D": write_convolutions.write_separable,
    **{f"{kind}Pooling{rank}D": write_pooling.pooling_writer(f"{kind}Pooling{rank}D")
       for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"Global{kind}Pooling{rank}D": write_pooling.global_pooling_writer(kind, rank)
       for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"ZeroPadding{rank}D": write_pooling.resize_sides_writer("padding", 1) for rank in (1, 2, 3)},
    **{f"Cropping{rank}D": write_pooling.resize_sides_writer("cropping", -1) for rank in (1, 2, 3)},
    "UpSampling1D": write_pooling.write_up_sampling_1d,
    "UpSampling2D": write_pooling.write_up_sampling_2d,
    "UpSampling3D": write_pooling.write_up_sampling_3d,
    "Resizing": write_pooling.write_resizing,
    "CenterCrop": write_pooling.write_center_crop,
    "Flatten": write_layers.write_flatten,
    "Reshape": write_layers.write_reshape,
    "Permute": write_layers.simple_writer("Permute", dims="dims"),
    "RepeatVector": write_repeat_vector,
    "SimpleRNN": write_recurrent.recurrent_writer("SimpleRNN"),
    "LSTM": write_recurrent.recurrent_writer("LSTM"),
    "GRU": write_recurrent.recurrent_writer("GRU"),
    "RNN": write_recurrent.write_rnn,
    "ConvLSTM2D": write_recurrent.write_conv_lstm,
    "Bidirectional": write_recurrent.write_bidirectional,
    "TimeDistributed": write_recurrent.write_time_distributed,
    "ReLU": write_layers.write_relu,
    "LeakyReLU": write_leaky_relu,
    "PReLU": write_layers.write_prelu,
    "ELU": write_elu,
    "Softmax": write_layers.write_softmax,
    **{name: write_layers.merge_writer(name) for name in ("Add", "Average", "Multiply", "Maximum", "Minimum")},
    "Subtract": write_layers.write_subtract,
    "Concatenate": write_layers.write_concatenate,
    "Dot": write_layers.write_dot,
    "Rescaling": write_normalization.write_rescaling,
    "Normalization": write_normalization.write_normalization,
    "Attention": write_attention.write_attention,
    "AdditiveAttention": write_attention.write_additive_attention,
    "MultiHeadAttention": write_attention.write_multi_head_attention,
    "GroupQueryAttention": write_attention.write_grouped_query_attention,
    "EinsumDense": write_attention.write_einsum_dense,
    "Discretization": write_layers.write_discretization,
    "CategoryEncoding": write_layers.write_category_encoding,
    "SpectralNormalization": write_spectral_normalization,
    "Identity": write_layers.left_out_writer(NOTHING),
    "ActivityRegularization": write_layers.left_out_writer(UNCALLABLE),
    **{name: write_layers.left_out_writer(AUGMENTATION) for name in AUGMENTATIONS},
}  # fmt: skip
"""Writers by the names of `keras.layers`."""

TEXT = "TensorFlow.js's layers take no strings: look words up in JavaScript, and write the model from their numbers on."

NOT_WRITTEN: dict[str, str] = {
    "GRU with reset_after=True": write_recurrent.RESET_AFTER,
    "Layers with stateful=True": "Recurrent " + write_recurrent.STATEFUL,
    "Lambda": "It holds Python code, which TensorFlow.js cannot run; use layers or keras.ops for the same.",
    "TorchModuleWrapper": "It holds a module of another library; build the model of Keras's layers.",
    "JaxLayer": "It holds Python code, which TensorFlow.js cannot run; build the model of Keras's layers.",
    "FlaxLayer": "It holds Python code, which TensorFlow.js cannot run; build the model of Keras's layers.",
    "TFSMLayer": "It holds a graph of TensorFlow; build the model of Keras's layers.",
    "StringLookup": TEXT,
    "IntegerLookup": "TensorFlow.js has no look-up of numbers: do it in JavaScript, and write the model behind it.",
    "TextVectorization": TEXT,
    "Hashing": "TensorFlow.js has no hashes of layers: do it in JavaScript, and write the model behind it.",
    "HashedCrossing": "TensorFlow.js has no hashes of layers: do it in JavaScript, and write the model behind it.",
    "ConvLSTM1D": "TensorFlow.js has ConvLSTM2D alone; give the input an axis of size 1 and use that.",
    "ConvLSTM3D": "TensorFlow.js has ConvLSTM2D alone; use Conv3D layers.",
    "MelSpectrogram": "TensorFlow.js has no spectra in layers: compute them in JavaScript.",
    "STFTSpectrogram": "TensorFlow.js has no spectra in layers: compute them in JavaScript.",
    "ReversibleEmbedding": "It shares one matrix between two uses; use an Embedding and a Dense layer.",
    "RandomCrop": "It crops at inference too, to a random place; use CenterCrop or Resizing.",
    "MaxNumBoundingBoxes": "TensorFlow.js has no boxes in layers: cut them in JavaScript.",
    "Pipeline": "It holds a list of layers for data; put them into the model one by one.",
    "AutoContrast": "TensorFlow.js cannot express it; do it in JavaScript.",
    "Solarization": "TensorFlow.js cannot express it; do it in JavaScript.",
    "Equalization": "TensorFlow.js cannot express it; do it in JavaScript.",
    "ContrastLimitedAdaptiveHistogramEqualization": "TensorFlow.js cannot express it; do it in JavaScript.",
    **{f"Adaptive{kind}Pooling{rank}D": "TensorFlow.js pools windows of one size; use pooling with a known size."
       for kind in ("Max", "Average") for rank in (1, 2, 3)},
}  # fmt: skip
"""What is not written, and what to use instead."""

UNKNOWN = "it is none of Keras's layers that TensorFlow.js can express; build the model of layers that are."
