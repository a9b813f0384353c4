"""Every row as networks predict it that did not train on it: what pictures and the worst rows are taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from fitwell.analysis.baselines import losses_of_rows

WEIGHT = "weight"
"""The column of what rows count, where they do not count alike."""

ANSWER = "answer"
"""The name of what is handed over, among the predictors of `held_out_rows`."""


def held_out_rows(
    task: str,
    targets: np.ndarray,
    classes: Sequence[str],
    row_numbers: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    keys: pl.Series | None = None,
    weights: np.ndarray | None = None,
) -> pl.DataFrame:
    """Put the held-out predictions of all rows side by side.

    Parameters
    ----------
    task, targets
        As of `fitwell.analysis.scores.score_of`.
    classes
        Names of the classes; empty for regression.
    row_numbers
        int [n], data rows as people count them, from 1.
    predictions
        By predictor (`ANSWER` first), [n, k] probabilities or [n] values; NaN for rows never held out.
    keys
        What the rows are called, text [n]; None where they have numbers only.
    weights
        What rows count where losses are measured, [n]; None where they count alike.

    Returns
    -------
    Columns `row`, `key` (if rows have any), `weight` (if they do not count alike), `target` (a class by its name),
    `loss` (of the answer: log loss or squared error, of that one row whatever it counts), and for each predictor its
    values ``"answer"`` or, with classes, its probabilities ``"answer: yes"``, ... Rows never held out are null there.
    """
    columns: dict[str, pl.Series] = {"row": pl.Series(row_numbers)}
    if keys is not None:
        columns["key"] = keys
    if weights is not None:
        columns[WEIGHT] = pl.Series(weights)
    columns["target"] = pl.Series(np.asarray(classes)[targets].tolist() if classes else targets)
    columns["loss"] = pl.Series(losses_of_rows(task, targets, predictions[ANSWER]))
    for name, found in predictions.items():
        if not classes:
            columns[name] = pl.Series(found)
            continue
        for place, label in enumerate(classes):
            # what a table of many classes would hold twice over is rounding
            columns[f"{name}: {label}"] = pl.Series(found[:, place].astype(np.float32))
    floats = [name for name, values in columns.items() if values.dtype.is_float()]
    return pl.DataFrame(columns).with_columns(pl.col(floats).fill_nan(None))
