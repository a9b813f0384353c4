"""Which of TensorFlow.js's classes are read, and by what; which are refused, and why."""

from __future__ import annotations

from fitwell.keras.backend import import_keras
from fitwell.tfjs.reading import read_images, read_layers, read_recurrent
from fitwell.tfjs.reading.layer_settings import LayerSettings
from fitwell.tfjs.reading.read_layers import Made, Reader


def read_time_distributed(settings: LayerSettings, name: str) -> Made:
    """Read a `TimeDistributed` layer."""
    class_name, config = settings.nested("layer")
    if class_name not in LAYER_READERS or class_name in ("TimeDistributed", "Bidirectional"):
        raise settings.refuse(f"wraps a {class_name[:50]!r}, which is not read there.")
    # cut: names of strangers may be of any length
    inner = str(config.get("name", class_name.lower()))[:200].replace("/", "_")
    one = LAYER_READERS[class_name](settings.inside(class_name, config), inner)
    keras = import_keras()
    # a function cannot be wrapped
    if not all(isinstance(part, keras.layers.Layer) for part in one.parts):
        raise settings.refuse(f"wraps a {class_name}, which Keras has no layer for: use it without TimeDistributed.")
    wrapped = [keras.layers.TimeDistributed(part, name=name if not i else f"{name}_{part.name}")
               for i, part in enumerate(one.parts)]  # fmt: skip
    return Made(tuple(wrapped), one.weights, one.stretched, one.notices)


LAYER_READERS: dict[str, Reader] = {
    "Dense": read_layers.read_dense,
    "Activation": read_layers.read_activation,
    "Dropout": read_layers.read_dropout,
    "SpatialDropout1D": read_layers.simple_reader("SpatialDropout1D", rate="share"),
    "GaussianDropout": read_layers.simple_reader("GaussianDropout", rate="share"),
    "GaussianNoise": read_layers.simple_reader("GaussianNoise", stddev="number"),
    "AlphaDropout": read_layers.simple_reader("AlphaDropout", rate="share"),
    "Flatten": read_layers.read_flatten,
    "Reshape": read_layers.read_reshape,
    "Permute": read_layers.simple_reader("Permute", dims="wholes"),
    "RepeatVector": read_layers.simple_reader("RepeatVector", n="whole"),
    "Masking": read_layers.read_masking,
    "Embedding": read_layers.read_embedding,
    "Conv1D": read_images.convolution_reader("Conv1D", 1),
    "Conv2D": read_images.convolution_reader("Conv2D", 2, channels_first=True),
    "Conv3D": read_images.convolution_reader("Conv3D", 3),
    "Conv2DTranspose": read_images.convolution_reader("Conv2DTranspose", 2, dilated=False),
    "Conv3DTranspose": read_images.convolution_reader("Conv3DTranspose", 3, dilated=False),
    "SeparableConv2D": read_images.convolution_reader("SeparableConv2D", 2, "depthwise_kernel", "pointwise_kernel"),
    "DepthwiseConv2D": read_images.convolution_reader("DepthwiseConv2D", 2, "depthwise_kernel", dilated=False),
    "Cropping2D": read_images.read_cropping,
    "ZeroPadding2D": read_images.read_zero_padding,
    "UpSampling2D": read_images.read_up_sampling,
    **{f"{kind}Pooling{rank}D": read_images.pooling_reader(f"{kind}Pooling{rank}D", rank)
       for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"Global{kind}Pooling{rank}D": read_images.global_pooling_reader(f"Global{kind}Pooling{rank}D", rank)
       for kind in ("Max", "Average") for rank in (1, 2)},
    "BatchNormalization": read_layers.read_batch_normalization,
    "LayerNormalization": read_layers.read_layer_normalization,
    "ReLU": read_layers.read_relu,
    "LeakyReLU": read_layers.read_leaky_relu,
    "PReLU": read_layers.read_prelu,
    "ELU": read_layers.read_elu,
    "ThresholdedReLU": read_layers.read_thresholded_relu,
    "Softmax": read_layers.read_softmax,
    **{name: read_layers.merge_reader(name) for name in ("Add", "Average", "Multiply", "Maximum", "Minimum")},
    "Concatenate": read_layers.read_concatenate,
    "Dot": read_layers.read_dot,
    "SimpleRNN": read_recurrent.recurrent_reader("SimpleRNN"),
    "LSTM": read_recurrent.recurrent_reader("LSTM"),
    "GRU": read_recurrent.recurrent_reader("GRU"),
    "RNN": read_recurrent.read_rnn,
    "ConvLSTM2D": read_recurrent.read_conv_lstm,
    "Bidirectional": read_recurrent.read_bidirectional,
    "TimeDistributed": read_time_distributed,
    "Rescaling": read_layers.read_rescaling,
}  # fmt: skip
"""Readers by the names that TensorFlow.js registers."""

NOT_READ: dict[str, str] = {
    "Resizing": "TensorFlow.js's own does not run in a model; resize before it, or use UpSampling2D.",
    "CenterCrop": "TensorFlow.js's own does not run in a model; use Cropping2D.",
    "CategoryEncoding": "TensorFlow.js's own does not run in a model; use an Embedding.",
    "RandomWidth": "It does not run in a model; augment the data before it.",
    "Lambda": "It holds code, and no code of a file is run; use layers.",
}
"""Classes that are not read, and why."""
