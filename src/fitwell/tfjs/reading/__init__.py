"""TensorFlow.js layers models as Keras models."""

from fitwell.tfjs.reading.read_model import Read, from_tfjs
from fitwell.tfjs.reading.readers import LAYER_READERS, NOT_READ

__all__ = ["LAYER_READERS", "NOT_READ", "Read", "from_tfjs"]
