"""Performance of predictions, in the numbers people know."""

from __future__ import annotations

import numpy as np


def score_of(task: str, targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Score predictions of rows; rows with NaN (never held out) are left out.

    Parameters
    ----------
    task
        `"classification"` or `"regression"`.
    targets
        [n], class indices or values.
    predictions
        [n, k] probabilities, or [n] values.

    Returns
    -------
    ``{"log loss", "accuracy"}`` and, for two classes, ``"AUC"``; or ``{"RMSE", "R2", "mean absolute error"}``.
    Nothing where no row has a prediction.
    """
    known = np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)
    if not known.any():  # a network that diverged
        return {}
    targets, predictions = targets[known], predictions[known]
    return _classification(targets, predictions) if task == "classification" else _regression(targets, predictions)


def _classification(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    right = probabilities[np.arange(len(targets)), targets]
    scores = {
        # a probability that was rounded to 0 must not make the mean of all rows infinite
        "log loss": float(-np.log(np.maximum(right, np.finfo(float).tiny)).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == targets).mean()),
    }
    if probabilities.shape[1] == 2 and len(np.unique(targets)) == 2:
        scores["AUC"] = area_under_curve(targets == 1, probabilities[:, 1])
    return scores


def area_under_curve(positive: np.ndarray, scores: np.ndarray) -> float:
    """Return how often a positive row has the higher score of a random pair with a negative one; ties count half.

    The area under the ROC curve, by ranks (Mann and Whitney 1947); scikit-learn's `roc_auc_score` takes a second to
    import.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # the mean rank of rows with one score, counted from 1
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above, below = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - above * (above + 1) / 2) / (above * below))


def _regression(targets: np.ndarray, values: np.ndarray) -> dict[str, float]:
    errors = targets - values
    spread = ((targets - targets.mean()) ** 2).sum()
    return {
        "RMSE": float(np.sqrt((errors**2).mean())),
        # targets that are all the same leave no spread to explain
        "R2": float(1 - (errors**2).sum() / spread) if spread > 0 else float("nan"),
        "mean absolute error": float(np.abs(errors).mean()),
    }
