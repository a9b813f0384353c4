"""Performance of predictions, in the numbers people know."""

from __future__ import annotations

import numpy as np


def score_of(
    task: str, targets: np.ndarray, predictions: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, float]:
    """Score predictions of rows; rows with NaN (never held out) are left out.

    Parameters
    ----------
    task
        `"classification"` or `"regression"`.
    targets
        [n], class indices or values.
    predictions
        [n, k] probabilities, or [n] values.
    weight
        [n], what each row counts; None is 1.

    Returns
    -------
    ``{"log loss", "accuracy"}`` and, for two classes, ``"AUC"``; or ``{"RMSE", "R2", "mean absolute error"}``.
    Nothing where no row has a prediction.
    """
    known = np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)
    if weight is not None:
        known &= weight > 0
    if not known.any():  # a network that diverged
        return {}
    kept = targets[known], predictions[known], None if weight is None else weight[known]
    return _classification(*kept) if task == "classification" else _regression(*kept)


def _classification(
    targets: np.ndarray, probabilities: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, float]:
    right = probabilities[np.arange(len(targets)), targets]
    scores = {
        # a probability that was rounded to 0 must not make the mean of all rows infinite
        "log loss": float(np.average(-np.log(np.maximum(right, np.finfo(float).tiny)), weights=weight)),
        "accuracy": float(np.average(probabilities.argmax(axis=1) == targets, weights=weight)),
    }
    if probabilities.shape[1] == 2 and len(np.unique(targets)) == 2:
        scores["AUC"] = area_under_curve(targets == 1, probabilities[:, 1], weight)
    return scores


def area_under_curve(positive: np.ndarray, scores: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return how often a positive row has the higher score of a random pair with a negative one; ties count half.

    Rows are drawn by their weights. The area under the ROC curve (Mann and Whitney 1947); scikit-learn's
    `roc_auc_score` takes a second to import.
    """
    _, place = np.unique(scores, return_inverse=True)
    weight = np.ones(len(scores)) if weight is None else weight
    # what the rows of one score weigh, by class; negatives below it count whole, those at it half
    above, below = (np.bincount(place, weight * mine, minlength=place.max() + 1) for mine in (positive, ~positive))
    beaten = np.cumsum(below) - below / 2
    return float((above * beaten).sum() / (above.sum() * below.sum()))


def _regression(targets: np.ndarray, values: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
    errors = targets - values
    spread = np.average((targets - np.average(targets, weights=weight)) ** 2, weights=weight)
    squared = np.average(errors**2, weights=weight)
    return {
        "RMSE": float(np.sqrt(squared)),
        # targets that are all the same leave no spread to explain
        "R2": float(1 - squared / spread) if spread > 0 else float("nan"),
        "mean absolute error": float(np.average(np.abs(errors), weights=weight)),
    }
