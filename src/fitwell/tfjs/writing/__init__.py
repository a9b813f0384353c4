"""Keras models to layers of TensorFlow.js."""

from fitwell.tfjs.writing.write_model import Written, to_tfjs
from fitwell.tfjs.writing.writers import REFUSED, WRITERS

__all__ = ["REFUSED", "WRITERS", "Written", "to_tfjs"]
