"""Real tables that come with scikit-learn."""

from __future__ import annotations

from typing import Any

import polars as pl


def breast_cancer() -> pl.DataFrame:
    """Return 569 breast tumours with 30 measurements each, and their `diagnosis` (Wisconsin, Street et al. 1993)."""
    from sklearn.datasets import load_breast_cancer

    data: Any = load_breast_cancer()
    columns = {str(name): data.data[:, i] for i, name in enumerate(data.feature_names)}
    return pl.DataFrame({**columns, "diagnosis": [str(data.target_names[label]) for label in data.target]})
