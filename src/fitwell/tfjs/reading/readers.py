"""Which of TensorFlow.js's classes are read, and by what; which are refused, and why."""

from __future__ import annotations

from fitwell.keras.backend import import_keras
from fitwell.tfjs.reading import read_images, read_layers, read_recurrent
from fitwell.tfjs.reading.layer_settings import LayerSettings
from fitwell.tfjs.reading.read_layers import Made, Reader


def time_distributed(settings: LayerSettings, name: str) -> Made:
    """Read a `TimeDistributed` layer."""
    class_name, config = settings.nested("layer")
    if class_name not in LAYER_READERS or class_name in ("TimeDistributed", "Bidirectional"):
        raise settings.refuse(f"wraps a {class_name[:50]!r}, which is not read there.")
    inner = str(config.get("name", class_name.lower()))[:200].replace("/", "_")
    one = LAYER_READERS[class_name](settings.inside(class_name, config), inner)
    keras = import_keras()
    if not all(isinstance(part, keras.layers.Layer) for part in one.parts):
        raise settings.refuse(f"wraps a {class_name}, which Keras has no layer for: use it without TimeDistributed.")
    wrapped = [keras.layers.TimeDistributed(part, name=name if not i else f"{name}_{part.name}")
               for i, part in enumerate(one.parts)]  # fmt: skip
    return Made(tuple(wrapped), one.weights, one.stretched, one.notices)


LAYER_READERS: dict[str, Reader] = {
    "Dense": read_layers.dense,
    "Activation": read_layers.activation,
    "Dropout": read_layers.dropout,
    "SpatialDropout1D": read_layers.simple("SpatialDropout1D", rate="share"),
    "GaussianDropout": read_layers.simple("GaussianDropout", rate="share"),
    "GaussianNoise": read_layers.simple("GaussianNoise", stddev="number"),
    "AlphaDropout": read_layers.simple("AlphaDropout", rate="share"),
    "Flatten": read_layers.flatten,
    "Reshape": read_layers.reshape,
    "Permute": read_layers.simple("Permute", dims="wholes"),
    "RepeatVector": read_layers.simple("RepeatVector", n="whole"),
    "Masking": read_layers.masking,
    "Embedding": read_layers.embedding,
    "Conv1D": read_images.convolution("Conv1D", 1),
    "Conv2D": read_images.convolution("Conv2D", 2, channels_first=True),
    "Conv3D": read_images.convolution("Conv3D", 3),
    "Conv2DTranspose": read_images.convolution("Conv2DTranspose", 2, dilated=False),
    "Conv3DTranspose": read_images.convolution("Conv3DTranspose", 3, dilated=False),
    "SeparableConv2D": read_images.convolution("SeparableConv2D", 2, "depthwise_kernel", "pointwise_kernel"),
    "DepthwiseConv2D": read_images.convolution("DepthwiseConv2D", 2, "depthwise_kernel", dilated=False),
    "Cropping2D": read_images.cropping,
    "ZeroPadding2D": read_images.zero_padding,
    "UpSampling2D": read_images.up_sampling,
    **{f"{kind}Pooling{rank}D": read_images.pooling(f"{kind}Pooling{rank}D", rank)
       for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{f"Global{kind}Pooling{rank}D": read_images.global_pooling(f"Global{kind}Pooling{rank}D", rank)
       for kind in ("Max", "Average") for rank in (1, 2)},
    "BatchNormalization": read_layers.batch_normalization,
    "LayerNormalization": read_layers.layer_normalization,
    "ReLU": read_layers.relu,
    "LeakyReLU": read_layers.leaky_relu,
    "PReLU": read_layers.prelu,
    "ELU": read_layers.elu,
    "ThresholdedReLU": read_layers.thresholded_relu,
    "Softmax": read_layers.softmax,
    **{name: read_layers.merge(name) for name in ("Add", "Average", "Multiply", "Maximum", "Minimum")},
    "Concatenate": read_layers.concatenate,
    "Dot": read_layers.dot,
    "SimpleRNN": read_recurrent.recurrent("SimpleRNN"),
    "LSTM": read_recurrent.recurrent("LSTM"),
    "GRU": read_recurrent.recurrent("GRU"),
    "RNN": read_recurrent.rnn,
    "ConvLSTM2D": read_recurrent.conv_lstm,
    "Bidirectional": read_recurrent.bidirectional,
    "TimeDistributed": time_distributed,
    "Rescaling": read_layers.rescaling,
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
