"""The numbers behind the pictures of a diagnosis, as small tables, in the unit of its loss as its sentences are."""

from __future__ import annotations

import numpy as np
import polars as pl

from fitwell.analysis.findings import Findings, LearningCurve
from fitwell.analysis.intervals import Interval, corrected_t
from fitwell.analysis.selection import standard_error
from fitwell.analysis.series import CHOSEN, GIVEN, UNREGULARIZED
from fitwell.engine.histories import Histories

LAW_POINTS = 100
"""Of the drawn power law: evenly by the logarithm of the rows, as it is drawn."""


def diagnosis_curves(found: Findings, histories: Histories, given: int = 0) -> pl.DataFrame:
    """Training and held-out curves of the network that was judged, and of its cure where that is a regularization.

    Parameters
    ----------
    given
        Number of the network as given.

    Returns
    -------
    Columns `network` ("unregularized" or "as given", "chosen"), `rows` ("training" or "held out"), `epoch`, `loss`,
    `low`, `high`: the mean over row sets with one standard error on either side.
    """
    folds = len(histories.held_out_loss) // found.looks[-1]
    networks = {GIVEN if str(found.as_given.regularization) != "none" else UNREGULARIZED: given}
    networks |= {CHOSEN: found.chosen_number} if found.chosen_number != given else {}
    parts = []
    for name, number in networks.items():
        for rows, losses in (("training", histories.train_loss), ("held out", histories.held_out_loss)):
            band = _band(losses[:, number, : histories.epochs[number]], folds)
            parts.append(band.select(pl.lit(name).alias("network"), pl.lit(rows).alias("rows"), pl.all()))
    return pl.concat(parts)


def _band(losses: np.ndarray, folds: int) -> pl.DataFrame:
    mean = losses.mean(axis=0)
    # one row set has no spread; its band is the line itself
    error = np.nan_to_num(standard_error(losses, folds))
    frame = pl.DataFrame({"loss": mean, "low": mean - error, "high": mean + error})
    return _finite(frame.select(pl.int_range(1, pl.len() + 1).alias("epoch"), pl.all()))


def measured_points(curve: LearningCurve) -> pl.DataFrame:
    """What was measured: `rows` that trained, mean held-out `loss`, and its interval from `low` to `high`.

    The interval is the corrected resampled one of `corrected_t`, at the level of all others.
    """
    law = curve.law
    tests = [corrected_t(losses, law.test_to_train, law.level) for losses in curve.losses]
    return _finite(_intervals(curve.sizes, [test.interval for test in tests]))


def law_line(curve: LearningCurve) -> pl.DataFrame:
    """The fitted power law from the fewest rows that were trained with to twice the most: `rows` and `loss`."""
    rows, law = np.geomspace(curve.sizes.min(), 2 * curve.sizes.max(), LAW_POINTS), curve.law
    return pl.DataFrame({"rows": rows, "loss": law.limit + law.scale * rows**-law.rate})


def forecast(curve: LearningCurve) -> pl.DataFrame:
    """What the law says of twice the rows: one row of `rows`, `loss`, and its interval from `low` to `high`."""
    rows = 2 * curve.sizes.max()
    return _finite(_intervals(np.array([rows]), [curve.law.at(float(rows))]))


def _intervals(rows: np.ndarray, found: list[Interval]) -> pl.DataFrame:
    numbers = np.array([(one.estimate, one.low, one.high) for one in found])
    return pl.DataFrame({"rows": rows.astype(float)} | dict(zip(("loss", "low", "high"), numbers.T, strict=True)))


def _finite(frame: pl.DataFrame) -> pl.DataFrame:
    """The same with null for what is not known: neither JSON nor a picture has a place for infinity."""
    losses = pl.col("loss", "low", "high")
    return frame.with_columns(pl.when(losses.is_finite()).then(losses))
