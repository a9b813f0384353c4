"""Keras models to layers of TensorFlow.js."""

from fitwell.tfjs.writing.graph import Written, to_tfjs
from fitwell.tfjs.writing.layers import REFUSED, WRITERS

__all__ = ["REFUSED", "WRITERS", "Written", "to_tfjs"]
