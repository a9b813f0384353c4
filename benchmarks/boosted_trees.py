"""One whole process of boosted trees with their defaults: what `answer.py` times beside `fitwell tune`.

    pip install lightgbm catboost
    python benchmarks/boosted_trees.py lightgbm table.csv

Five folds with early stopping on the held-out rows (50 rounds, at most 2,000), then all rows with the rounds that were
best on average: read, train, score, print. As many threads as the library takes by itself.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

MOST_ROUNDS, PATIENCE, FOLDS = 2000, 50, 5


def make(kind: str, classes: int, rounds: int, patience: int | None) -> Any:
    """An estimator with the library's defaults; early stopping where there is patience."""
    if kind == "lightgbm":
        import lightgbm

        return (lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor)(n_estimators=rounds, verbose=-1)
    import catboost

    chosen = {"iterations": rounds, "verbose": False, "allow_writing_files": False, "early_stopping_rounds": patience}
    return (catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor)(**chosen)


def fitted(kind: str, classes: int, train: Any, held_out: Any) -> tuple[Any, int]:
    """Train with early stopping; return the estimator and its best round."""
    estimator = make(kind, classes, MOST_ROUNDS, PATIENCE)
    if kind == "lightgbm":
        import lightgbm

        evaluated = {"eval_X": held_out[0], "eval_y": held_out[1]}
        estimator.fit(*train, **evaluated, callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)])
        return estimator, max(1, estimator.best_iteration_)
    estimator.fit(*train, eval_set=held_out, use_best_model=True)
    return estimator, estimator.get_best_iteration() + 1


def loss(estimator: Any, classes: int, inputs: np.ndarray, targets: np.ndarray) -> float:
    """Log loss, or squared error."""
    if not classes:
        return float(np.mean((estimator.predict(inputs) - targets) ** 2))
    chosen = estimator.predict_proba(inputs)[np.arange(len(targets)), targets.astype(int)]
    return float(-np.log(np.clip(chosen, 1e-15, 1)).mean())


def main() -> None:
    """Answer for one table whose target is the column `target`."""
    kind, path = sys.argv[1:3]
    import polars as pl
    from sklearn.model_selection import KFold, StratifiedKFold

    frame = pl.read_csv(path, infer_schema_length=None)
    inputs, targets = frame.drop("target").to_numpy(), frame["target"].to_numpy()
    classes = frame["target"].n_unique() if frame["target"].dtype.is_integer() else 0
    classes = classes if classes <= 20 else 0
    folds = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=0)
    losses, rounds = [], []
    for train, held_out in folds.split(inputs, targets):
        parts = ((inputs[rows], targets[rows]) for rows in (train, held_out))
        estimator, best = fitted(kind, classes, *parts)
        rounds.append(best)
        losses.append(loss(estimator, classes, inputs[held_out], targets[held_out]))
    make(kind, classes, round(np.mean(rounds)), None).fit(inputs, targets)
    mean = float(np.mean(losses))
    print(json.dumps({"loss": mean if classes else mean**0.5, "rounds": rounds}))


if __name__ == "__main__":
    main()
