"""What simple models reach on the same folds: the class shares (or the mean), and a linear model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fitwell.analysis.selection import paired_standard_error


@dataclass(frozen=True, repr=False, eq=False)
class Baseline:
    """A simple model, cross-validated on the row sets of a search.

    Attributes
    ----------
    name
        `"class shares"`, `"mean of the target"` or `"linear model"`; of several targets `"means of the targets"` or
        `"shares of the labels"`.
    regularization
        Of the linear model: the strength of its lowest held-out loss; empty for the others.
    loss_name
        That of the search: `"log loss"` or `"squared error"`, of several targets a mean over them.
    fold_loss
        float [R], held-out losses; NaN where it diverged.
    scores
        As of any network; see `fitwell.analysis.scores.score_of`.
    predictions
        Of every row by a model that did not train on it, [n, k] probabilities or [n] values.
    seconds
        What training it took.
    """

    name: str
    regularization: str
    loss_name: str
    fold_loss: np.ndarray
    scores: dict[str, float]
    predictions: np.ndarray
    seconds: float

    @property
    def loss(self) -> float:
        """Mean held-out loss over row sets."""
        return float(self.fold_loss.mean())


def losses_of_rows(
    task: str, targets: np.ndarray, predictions: np.ndarray, scale: float | np.ndarray = 1.0
) -> np.ndarray:
    """Return the log loss or squared error of every row, float [n]; NaN where there is no prediction.

    Parameters
    ----------
    targets, predictions
        As of `fitwell.analysis.scores.score_of`; of several targets means over them.
    scale
        Of several values, [k]: errors count in its units.

    Examples
    --------
    >>> losses_of_rows("regression", np.array([1.0, 2.0]), np.array([1.0, 4.0])).tolist()
    [0.0, 4.0]
    """
    if task == "regression":
        return (
            (targets - predictions) ** 2 if targets.ndim == 1 else (((targets - predictions) / scale) ** 2).mean(axis=1)
        )
    if task == "multilabel":
        right = np.where(targets > 0, predictions, 1 - predictions)
        return -np.log(np.maximum(right, np.finfo(float).tiny)).mean(axis=1)
    # a probability that was rounded to 0 must not make the mean of all rows infinite
    return -np.log(np.maximum(predictions[np.arange(len(targets)), targets], np.finfo(float).tiny))


def as_good(baseline: Baseline, network: np.ndarray, folds: int | None = None) -> bool:
    """Whether a baseline's mean loss is within one standard error of a network's [R], that of the paired difference.

    Parameters
    ----------
    folds
        Row sets that carry information of their own; see `fitwell.analysis.selection.standard_error`.
    """
    losses = np.stack([network, baseline.fold_loss], axis=1)
    error = paired_standard_error(losses, 0, folds)[1]
    # NaN (a single row set, or one that diverged) is no evidence
    return bool(baseline.loss <= network.mean() + np.nan_to_num(error))
