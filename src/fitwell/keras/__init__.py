"""Keras models, in and out."""
