"""Keras models to layers of TensorFlow.js."""

from fitwell.tfjs.writing.layers import REFUSED, WRITERS
from fitwell.tfjs.writing.write_model import Written, to_tfjs

__all__ = ["REFUSED", "WRITERS", "Written", "to_tfjs"]
