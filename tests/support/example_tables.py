"""Small tables for tests, made from fixed seeds."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

QUICK = {"strengths": 4, "epochs": 6, "hidden": (8,), "cv": 3}
"""Options that make a search small."""

QUICK_ARGUMENTS = ["--strengths", "4", "--epochs", "6", "--hidden", "8", "--cv", "3"]


def mixed(rows: int = 90, seed: int = 0) -> pl.DataFrame:
    """Numbers with missing values, a category with missing values, a flag, a date; classes `no` and `yes`."""
    random = np.random.default_rng(seed)
    age = random.normal(40, 12, rows).round(1)
    city = random.choice(["Oslo", "Łódź", "São Paulo"], rows)
    risk = age / 12 + (city == "Oslo") * 1.5 + random.normal(0, 0.7, rows)
    days = random.integers(0, 700, rows)
    return pl.DataFrame(
        {
            "age": [None if missing else float(a) for a, missing in zip(age, random.random(rows) < 0.1, strict=True)],
            "city": [None if missing else str(c) for c, missing in zip(city, random.random(rows) < 0.1, strict=True)],
            "smoker": random.random(rows) < 0.3,
            "visit": [date(2022, 1, 1) + timedelta(days=int(d)) for d in days],
            "dose": random.gamma(2.0, 2.0, rows).round(3),
            "ill": np.where(risk > np.median(risk), "yes", "no"),
        }
    )
