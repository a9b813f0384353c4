"""Performance of predictions, in the numbers people know."""

from __future__ import annotations

import numpy as np

from fitwell.analysis.class_scores import (
    balanced_accuracy,
    brier_score,
    calibration_error,
    confusion_matrix,
    macro_f1,
)
from fitwell.analysis.ranking import Ranking, at_best_threshold


def score_of(
    task: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Score predictions of rows; rows with NaN (never held out), and those of weight 0, are left out.

    Parameters
    ----------
    task
        `"classification"`, `"regression"` or `"multilabel"`.
    targets
        [n], class indices or values; of several targets [n, k].
    predictions
        [n, k] probabilities, or [n] values, [n, k] of several targets.
    weights
        [n], what each row counts; None is 1 each.

    Returns
    -------
    Of regression ``{"RMSE", "R2", "mean absolute error"}``. Of classification ``{"log loss", "accuracy", "AUC",
    "average precision", "balanced accuracy", "Brier score", "calibration error", "F1"}``, where AUC, average precision
    and F1 are of the second of two classes, and of more the mean over classes, each against all others. The calibration
    error is that of the second class's probability, or of more classes that of the highest one. Accuracies, and F1 of
    more than two classes, are of the most probable class. F1 of two is at the threshold that makes it highest, and with
    it come ``"precision"``, ``"recall"`` and this ``"threshold"``; each row is decided by a threshold that other rows
    chose (see `at_best_threshold`). A class without rows leaves log loss, accuracy, Brier score and calibration error.
    Nothing where no row has a prediction.

    Of several values means over them, ``{"relative squared error", "R2"}``, the first in units of each one's variance.
    Of labels ``{"label log loss", "label accuracy", "all labels right", "AUC", "average precision", "Brier score"}``,
    means over labels but for the third, the share of rows without a mistake.
    """
    known = np.isfinite(predictions).reshape(len(predictions), -1).all(axis=1)
    if weights is not None:
        known &= weights > 0
    if not known.any():  # a network that diverged
        return {}
    kept = targets[known], predictions[known], None if weights is None else weights[known]
    if targets.ndim > 1:
        return _several(task, *kept)
    return _classification(*kept) if task == "classification" else _regression(*kept)


def scores_of_each(
    task: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> list[dict[str, float]]:
    """Score each of several targets [n, k] by itself; see `score_of`."""
    if task == "regression":
        return [score_of(task, *pair, weights) for pair in zip(targets.T, predictions.T, strict=True)]
    both = np.stack([1 - predictions, predictions], axis=-1)
    return [score_of("classification", targets[:, j], both[:, j], weights) for j in range(targets.shape[1])]


def _several(task: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
    each = scores_of_each(task, targets, predictions, weights)
    mean = {name: float(np.mean([one[name] for one in each])) for name in each[0] if all(name in one for one in each)}
    if task == "regression":
        return {"relative squared error": 1 - mean["R2"], "R2": mean["R2"]}
    right = ((predictions > 0.5) == targets).all(axis=1)
    found = {"label log loss": mean["log loss"], "label accuracy": mean["accuracy"]}
    found["all labels right"] = float(np.average(right, weights=weights))
    return found | {name: mean[name] for name in ("AUC", "average precision", "Brier score") if name in mean}


def _classification(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
    right, called = probabilities[np.arange(len(targets)), targets], probabilities.argmax(axis=1)
    usual = {
        # a probability that was rounded to 0 must not make the mean of all rows infinite
        "log loss": float(np.average(-np.log(np.maximum(right, np.finfo(float).tiny)), weights=weights)),
        "accuracy": float(np.average(called == targets, weights=weights)),
    }
    classes = probabilities.shape[1]
    said = (targets == 1, probabilities[:, 1]) if classes == 2 else (called == targets, probabilities.max(axis=1))
    of_probabilities = {
        "Brier score": brier_score(targets, probabilities, weights),
        "calibration error": calibration_error(*said, weights),
    }
    matrix = confusion_matrix(targets, called, classes, weights)
    if classes < 2 or not matrix.any(axis=1).all():
        return usual | of_probabilities  # a mean over fewer classes would be another number
    each = [(targets == c, probabilities[:, c]) for c in ([1] if classes == 2 else range(classes))]
    rankings = (Ranking.of(*one, weights) for one in each)
    area, precision = np.mean([(one.area_under_curve, one.average_precision) for one in rankings], axis=0).tolist()
    told_apart = {"AUC": area, "average precision": precision, "balanced accuracy": balanced_accuracy(matrix)}
    decided = at_best_threshold(*said, weights) if classes == 2 else {"F1": macro_f1(matrix)}
    return usual | told_apart | of_probabilities | decided


def _regression(targets: np.ndarray, values: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
    errors = targets - values
    each = 1.0 if weights is None else weights
    spread = (each * (targets - np.average(targets, weights=weights)) ** 2).sum()
    return {
        "RMSE": float(np.sqrt(np.average(errors**2, weights=weights))),
        # targets that are all the same leave no spread to explain
        "R2": float(1 - (each * errors**2).sum() / spread) if spread > 0 else float("nan"),
        "mean absolute error": float(np.average(np.abs(errors), weights=weights)),
    }
