"""The numbers behind every picture, as small tables: drawn in a report, and by `Result.plot`.

They are made of what a run keeps in its files, so that a picture of a search and one of its saved run are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fitwell.analysis.class_pictures import calibration_of, confusion_of, precision_recall_of, roc_curve_of
from fitwell.analysis.held_out import ANSWER, WEIGHT
from fitwell.analysis.readings import reading_of

UNREGULARIZED, GIVEN, CHOSEN = "unregularized", "as given", "chosen"

BOTH = "minimum and one standard error"
"""Mark of a strength that both rules choose."""

MOST_DOTS = 1000
"""Rows in a picture with a dot for each: more would be one blot."""

SPARKS = 40
"""Points of a small picture of a curve."""


@dataclass(frozen=True, eq=False)
class RunTables:
    """What a run keeps of its search.

    Attributes
    ----------
    document
        `run.json`; see `fitwell.Result.to_json`.
    strengths, histories, held_out
        The tables beside it; `held_out` is None for arrays.
    input_paths
        Likewise, None where whole columns were not regularized.
    """

    document: Mapping[str, Any]
    strengths: pl.DataFrame
    histories: pl.DataFrame
    held_out: pl.DataFrame | None = None
    input_paths: pl.DataFrame | None = None

    @property
    def regularizers(self) -> list[str]:
        """Names of the strengths that were searched."""
        names = self.strengths.columns
        return names[1 : names.index("learning_rate")]

    @property
    def varied(self) -> list[str]:
        """Those that are not the same for all candidates."""
        return [name for name in self.regularizers if self.strengths[name].drop_nulls().n_unique() > 1]

    @property
    def compared(self) -> dict[str, int]:
        """Numbers of the strengths that are compared, by name; one that has a name already gets no second."""
        choice = self.document["choice"]
        given = {GIVEN: choice["given"]} if choice["given"] else {}
        numbers = {UNREGULARIZED: 0, **given, CHOSEN: self.document["chosen"]}
        return {name: number for name, number in numbers.items() if number not in _before(numbers, name)}

    @property
    def classes(self) -> list[str]:
        """Names of the classes; empty for regression."""
        return list(self.document["data"].get("classes", {}))


def _before(numbers: Mapping[str, int], name: str) -> list[int]:
    names = list(numbers)
    return [numbers[other] for other in names[: names.index(name)]]


def curve_bands(run: RunTables) -> pl.DataFrame:
    """Training and held-out curves of the strengths that are compared, with a band of one standard error over folds.

    Repeated folds show the same rows again, and do not narrow it; see `fitwell.analysis.selection.standard_error`.

    Returns
    -------
    Columns `network`, `rows` ("training" or "held out"), `epoch`, `loss`, `low`, `high`, in the unit that people read.
    """
    reading = reading_of(run.document["loss"])
    parts = []
    for name, number in run.compared.items():
        curves = run.histories.filter(pl.col("strength") == number)
        for rows, column in (("training", "train_loss"), ("held out", "held_out_loss")):
            of = pl.col(column)
            # one row set has no spread; its band is the line itself
            error = (of.std() / math.sqrt(run.document["folds"])).fill_null(0)
            band = curves.group_by("epoch").agg(loss=of.mean(), low=of.mean() - error, high=of.mean() + error)
            parts.append(band.sort("epoch").select(pl.lit(name).alias("network"), pl.lit(rows).alias("rows"), pl.all()))
    return _as_read(pl.concat(parts), reading.is_root)


def _as_read(frame: pl.DataFrame, is_root: bool) -> pl.DataFrame:
    losses = [name for name in ("loss", "low", "high") if name in frame.columns]
    finite = frame.with_columns(pl.when(pl.col(losses).is_finite()).then(pl.col(losses)))
    return finite.with_columns(pl.col(losses).clip(0).sqrt()) if is_root else finite


def path_points(run: RunTables) -> pl.DataFrame:
    """Every strength that did not diverge with its held-out loss, one standard error on either side, and its mark.

    Returns
    -------
    Columns `strength` (its number), the regularizers, `learning_rate`, `loss`, `low`, `high`, `epoch`, `mark`
    ("minimum", "one standard error", "unregularized", "confidence set", "cut" or "other") and `regularization`.
    """
    choice, reading = run.document["choice"], reading_of(run.document["loss"])
    # the first that is true is the mark
    number = pl.col("strength")
    marks = {
        BOTH: (number == choice["minimum"]["strength"]) & (number == choice["one_standard_error"]["strength"]),
        "minimum": number == choice["minimum"]["strength"],
        "one standard error": number == choice["one_standard_error"]["strength"],
        UNREGULARIZED: number == 0,
        GIVEN: (number == choice["given"]) & pl.lit(choice["given"] > 0),
        "cut": pl.col("cut_after").is_not_null(),
        "confidence set": number.is_in(choice["confidence_set"]),
    }
    mark = pl.coalesce([pl.when(where).then(pl.lit(name)) for name, where in marks.items()] + [pl.lit("other")])
    loss, error = pl.col("held_out_loss"), pl.col("standard_error").fill_nan(0)
    points = run.strengths.filter(~pl.col("diverged")).select(
        "strength",
        *run.regularizers,
        "learning_rate",
        loss=loss,
        low=loss - error,
        high=loss + error,
        epoch="best_epoch",
        mark=mark,
        regularization="regularization",
    )
    return _as_read(points, reading.is_root)


def loss_window(points: pl.DataFrame) -> tuple[float, float]:
    """The losses of `path_points` that are worth a look: those of hopeless strengths would press all into a line.

    Three in four strengths and the unregularized network fill two thirds of it at the least.
    """
    low, high = float(points["low"].min()), float(points["high"].max())  # type: ignore[arg-type]
    unregularized = points.filter(pl.col("mark") == UNREGULARIZED)["high"]
    worth = max([float(points["high"].quantile(0.75) or high), *unregularized.to_list()])
    top = min(low + 1.5 * (worth - low), high)
    return low - 0.03 * (top - low), top + 0.03 * (top - low)


def strength_range(strengths: pl.Series) -> tuple[float, float]:
    """The least and the largest strength above zero: the ends of a logarithmic axis."""
    positive = strengths.filter(strengths > 0)
    return (float(positive.min()), float(positive.max())) if len(positive) else (1e-4, 1e-4)  # type: ignore[arg-type]


def strength_ticks(low: float, high: float) -> list[float]:
    """Strengths to name on an axis between these: powers of ten, or where there are too few, the ends and the middle.

    Examples
    --------
    >>> strength_ticks(2e-4, 0.3), strength_ticks(0.2, 0.8), strength_ticks(0.3, 0.3)
    ([0.001, 0.01, 0.1], [0.2, 0.4, 0.8], [0.3])
    """
    decades = [float(f"1e{power}") for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    # what spans less than a decade has no power of ten inside
    ends = [float(f"{value:.1g}") for value in (low, (low * high) ** 0.5, high)]
    return decades if len(decades) > 1 else list(dict.fromkeys(ends))


def best_points(curves: pl.DataFrame) -> pl.DataFrame:
    """The lowest point of each held-out curve of `curve_bands`: the best epoch."""
    known = curves.filter((pl.col("rows") == "held out") & pl.col("loss").is_not_null())
    return known.sort("loss", maintain_order=True).unique("network", keep="first", maintain_order=True)


def spark_lines(run: RunTables) -> dict[int, list[float]]:
    """The mean held-out curve of every strength, by its number, at no more than `SPARKS` epochs."""
    means = (
        run.histories.group_by("strength", "epoch").agg(loss=pl.col("held_out_loss").mean()).sort("strength", "epoch")
    )
    found = {}
    for (number,), curve in means.partition_by("strength", as_dict=True).items():
        losses = curve["loss"].to_numpy()
        places = np.unique(np.linspace(0, len(losses) - 1, SPARKS).astype(int))
        found[int(number)] = losses[places].tolist()
    return found


def importance_bars(run: RunTables, most: int = 20) -> pl.DataFrame:
    """The most important columns: `column`, `increase` of the held-out loss, `low`, `high`."""
    found = run.document.get("importance") or []
    schema = {"column": pl.String, "increase": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(found, schema=schema).head(most)


def input_lines(run: RunTables, most: int = 20) -> pl.DataFrame:
    """The weights of the columns by strength, those first that come in first: `InputsUsed.paths`, and who is needed.

    Returns
    -------
    `column`, `value` of the strength, `weight`, `used_in`, and `needed` ("yes" or "no"); of two networks with the same
    strength (and other learning rates) the means.
    """
    found = (run.document.get("inputs") or [])[:most]
    assert run.input_paths is not None, "no regularizer acted on whole columns"
    about = pl.DataFrame(
        {
            "column": pl.Series([row["column"] for row in found], dtype=pl.String),
            "needed": pl.Series(["yes" if row["needed"] else "no" for row in found], dtype=pl.String),
            "place": pl.Series(range(len(found)), dtype=pl.Int64),
        }
    )
    of = pl.col("weight", "used_in").mean()
    lines = run.input_paths.group_by("column", "value").agg(of).join(about, on="column").sort("place", "value")
    return lines.drop("place")


def input_strength(run: RunTables) -> float | None:
    """The chosen strength of `input_lines`, if it is above zero."""
    assert run.input_paths is not None, "no regularizer acted on whole columns"
    chosen = run.input_paths.filter(strength=run.document["chosen"])["value"]
    return float(chosen[0]) if len(chosen) and chosen[0] > 0 else None


def _predictors(run: RunTables) -> list[str]:
    assert run.held_out is not None, "arrays have no table of held-out rows"
    suffix = f": {run.classes[0]}" if run.classes else ""
    names = [ANSWER, UNREGULARIZED, "linear model"]
    return [name for name in names if f"{name}{suffix}" in run.held_out.columns]


def probabilities_of(run: RunTables, predictor: str) -> np.ndarray:
    """Held-out probabilities [n, k] of one predictor; NaN for rows never held out."""
    assert run.held_out is not None, "arrays have no table of held-out rows"
    columns = [f"{predictor}: {label}" for label in run.classes]
    return run.held_out.select(pl.col(columns).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def class_numbers(run: RunTables) -> np.ndarray:
    """The class of every row, int [n]."""
    assert run.held_out is not None, "arrays have no table of held-out rows"
    places = {label: place for place, label in enumerate(run.classes)}
    return run.held_out["target"].replace_strict(places, return_dtype=pl.Int64).to_numpy()


def weights_of(run: RunTables) -> np.ndarray | None:
    """What every row counts, float [n]; None where all count alike."""
    assert run.held_out is not None, "arrays have no table of held-out rows"
    return run.held_out[WEIGHT].to_numpy() if WEIGHT in run.held_out.columns else None


def by_predictor(run: RunTables, picture: str) -> pl.DataFrame:
    """ROC, precision-recall or calibration curves of two classes, one below the other, with a column `network`.

    Parameters
    ----------
    picture
        `"roc"`, `"precision_recall"` or `"calibration"`; see `fitwell.analysis.class_pictures`. The positive class is
        the second.
    """
    of = {"roc": roc_curve_of, "precision_recall": precision_recall_of, "calibration": calibration_of}[picture]
    positive, weights = class_numbers(run) == 1, weights_of(run)
    parts = [
        of(positive, probabilities_of(run, name)[:, 1], weights=weights).select(pl.lit(name).alias("network"), pl.all())
        for name in _predictors(run)
    ]
    return pl.concat(parts)


def confusion(run: RunTables) -> pl.DataFrame:
    """Which classes held-out rows are taken for by the answer; see `confusion_of`."""
    probabilities, weights = probabilities_of(run, ANSWER), weights_of(run)
    known = np.isfinite(probabilities).all(axis=1)
    counted = None if weights is None else weights[known]
    return confusion_of(class_numbers(run)[known], probabilities[known].argmax(axis=1), run.classes, counted)


def predicted_and_true(run: RunTables) -> pl.DataFrame:
    """Dots of a regression: `row`, `true`, `predicted`, `residual`; at most `MOST_DOTS`, evenly by target."""
    known = _counting(run).filter(pl.col(ANSWER).is_not_null()).sort("target")
    if known.height > MOST_DOTS:
        known = known[np.linspace(0, known.height - 1, MOST_DOTS).astype(int).tolist()]
    true, predicted = pl.col("target"), pl.col(ANSWER)
    return known.select("row", true=true, predicted=predicted, residual=true - predicted)


def worst_rows(run: RunTables, most: int = 20) -> pl.DataFrame:
    """The rows that count and have the highest held-out loss of the answer.

    Returns
    -------
    `row`, `target`, `predicted`, `loss`, and for classes the probability that the right one was given. Rows with a key
    have it behind their number, rows with a weight that.
    """
    worst = _counting(run).filter(pl.col("loss").is_not_null()).sort("loss", descending=True).head(most)
    called = ["row", *(name for name in ("key", WEIGHT) if name in worst.columns)]
    if not run.classes:
        return worst.select(*called, "target", predicted=pl.col(ANSWER), residual=pl.col("target") - pl.col(ANSWER))
    taken = probabilities_of(RunTables(run.document, run.strengths, run.histories, worst), ANSWER)
    names = [run.classes[place] for place in taken.argmax(axis=1)] if worst.height else []
    predicted = pl.Series("predicted", names, dtype=pl.String)
    right = (-worst["loss"]).exp().alias("probability of the right class")
    return worst.select(*called, "target", predicted, right, "loss")


def _counting(run: RunTables) -> pl.DataFrame:
    """The held-out rows without those of weight 0: what they lose is no matter."""
    assert run.held_out is not None, "arrays have no table of held-out rows"
    return run.held_out.filter(pl.col(WEIGHT) > 0) if WEIGHT in run.held_out.columns else run.held_out
