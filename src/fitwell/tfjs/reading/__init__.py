"""TensorFlow.js layers models as Keras models."""

from fitwell.tfjs.reading.read_model import Read, from_tfjs
from fitwell.tfjs.reading.readers import READERS, REFUSED

__all__ = ["READERS", "REFUSED", "Read", "from_tfjs"]
