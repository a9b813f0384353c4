"""Keras models to layers of TensorFlow.js."""

from fitwell.tfjs.writing.write_model import Written, to_tfjs
from fitwell.tfjs.writing.writers import LAYER_WRITERS, NOT_WRITTEN

__all__ = ["LAYER_WRITERS", "NOT_WRITTEN", "Written", "to_tfjs"]
