"""Cells of the calibration's tables: shares and means with their errors."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest


def rate(hits: np.ndarray, interval: bool = True) -> str:
    """Write a share with its 95% binomial interval (Clopper and Pearson)."""
    share = f"{np.mean(hits):.1%}"
    if not interval:
        return share
    low, high = binomtest(int(np.sum(hits)), len(hits)).proportion_ci(0.95)
    return f"{share} ({low:.1%} to {high:.1%})"


def percent(share: float) -> str:
    """Write a share."""
    return f"{share:.1%}"


def with_error(values: np.ndarray) -> str:
    """Write a mean with its standard error."""
    return f"{values.mean():+.4f} ± {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def verdict_on(met: bool | np.bool_) -> str:
    """Say whether a target is met."""
    return "pass" if met else "FAIL"
