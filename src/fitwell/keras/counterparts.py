"""Strengths as Keras holds them: regularizers of kernels and rates of dropout layers."""

from __future__ import annotations

from typing import Any

from fitwell.keras.backend import import_keras
from fitwell.regularization.strengths import Regularization


def keras_regularizer(regularization: Regularization, place: str) -> Any:
    """Return the Keras regularizer of a kernel: L1, L2 or L1L2 by which of them are on; None if none is."""
    held = regularization.in_keras("regularizer", place)
    on = {attribute: strength for attribute, strength in held.items() if strength}
    if not on:
        return None
    regularizers = import_keras().regularizers
    kinds = {("l1",): regularizers.L1, ("l2",): regularizers.L2, ("l1", "l2"): regularizers.L1L2}
    return kinds[tuple(sorted(on))](**on)


def dropout_rate(regularization: Regularization, place: str) -> float:
    """Return the rate of the dropout layer at a place of units."""
    return regularization.in_keras("dropout", place).get("rate", 0.0)
