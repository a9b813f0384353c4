"""Units of a target of numbers: what a model gives in float32, and what a person wants in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitwell.data.target import standardise

UNIT_ROUNDOFF = float(np.finfo(np.float32).eps) / 2
"""Share of a number by which float32 may be off."""

NEGLIGIBLE = 1e-4
"""Rounding that no one notices, as a share of a target's standard deviation."""

LEAST, MOST = 1e-30, 1e30
"""Between them float32 has room for what weights make of a number on its way."""


@dataclass(frozen=True)
class TargetUnits:
    """A value is ``shift + scale * output`` of a model, in float64.

    Attributes
    ----------
    shift, scale
        0 and 1: the model itself gives values. Of several targets float [k].
    """

    shift: float | NDArray[np.float64] = 0.0
    scale: float | NDArray[np.float64] = 1.0

    @property
    def are_values(self) -> bool:
        """Whether the model itself gives values."""
        return bool(np.all(self.shift == 0.0) and np.all(self.scale == 1.0))

    def to_json(self) -> dict[str, Any]:
        """Return shift and scale as plain types."""
        return {name: np.asarray(getattr(self, name), float).tolist() for name in ("shift", "scale")}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TargetUnits:
        """Read what `to_json` returned."""
        found = (stored.get("shift", 0.0), stored.get("scale", 1.0))
        return cls(*(np.array(one, float) if isinstance(one, list) else float(one) for one in found))

    def of(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the values of outputs."""
        return self.shift + self.scale * outputs.astype(np.float64)

    def within(self, shift: Any, scale: Any) -> tuple[Any, Any]:
        """Return shift and scale of a network whose values are ``shift + scale * output`` as outputs of the model."""
        return (shift - self.shift) / self.scale, scale / self.scale


VALUES = TargetUnits()
"""The model itself gives values."""


def units_of(values: NDArray[np.float64]) -> TargetUnits:
    """Choose the units of a model of these values [n] or [n, k]: the values themselves where float32 holds them apart.

    Seconds since 1970 or Julian dates are far larger than they differ: rounded to float32's seven digits all of a table
    may be one number. Then the model gives standard deviations from the mean.
    """
    if values.ndim > 1:
        each = [units_of(column) for column in values.T]
        if all(one.are_values for one in each):
            return VALUES
        return TargetUnits(np.array([one.shift for one in each]), np.array([one.scale for one in each]))
    shift, scale = standardise(values, np.arange(len(values)))
    largest = float(np.abs(values).max())
    if UNIT_ROUNDOFF * largest <= NEGLIGIBLE * scale and scale >= LEAST and largest <= MOST:
        return VALUES
    return TargetUnits(shift, scale)
