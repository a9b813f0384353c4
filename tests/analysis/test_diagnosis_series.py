"""The numbers behind a diagnosis's pictures, against what they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fitwell
from fitwell.analysis.diagnosis_series import diagnosis_curves, forecast, law_line, measured_points
from fitwell.analysis.findings import LearningCurve
from fitwell.analysis.intervals import corrected_t
from fitwell.analysis.learning_curve import fit_power_law
from fitwell.analysis.verdict import reduction

SIZES = np.array([25.0, 50.0, 100.0, 200.0])
JITTER = np.array([0.01, -0.01, 0.02, -0.02, 0.0])


def curve(row_sets: int = 5, fall: float = 2.0) -> LearningCurve:
    """Losses that fall with the root of the rows."""
    losses = 0.5 + fall * SIZES[:, None] ** -0.5 + JITTER[:row_sets] * SIZES[:, None] ** -0.2
    law = fit_power_law(SIZES, losses, 0.9, test_to_train=0.25)
    falls = reduction(losses[-2], losses[-1], 0.25, 0.8)
    return LearningCurve(SIZES, losses, law, law.change(100, 200), law.change(200, 400), falls)


@pytest.fixture(scope="module")
def overfits() -> fitwell.Diagnosis:
    """A network that overfits: few rows, much noise. Stopping is cure enough."""
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 8))
    y = (x[:, 0] + random.normal(size=60) > 0).astype(int)
    options = {"strengths": [{"l2": 0.03}, {"l2": 0.3}], "learning_rate": 0.01, "epochs": 40, "hidden": 32}
    return fitwell.diagnose(x, y, learning_curve=False, **options)


def test_measured_points_are_means_with_their_corrected_interval() -> None:
    """The mean over row sets at each size, and the interval of the test that the verdict uses."""
    found = curve()
    frame = measured_points(found)
    assert frame["rows"].to_list() == SIZES.tolist()
    np.testing.assert_allclose(frame["loss"], found.losses.mean(axis=1), rtol=1e-12)
    tests = [corrected_t(losses, 0.25, 0.9) for losses in found.losses]
    np.testing.assert_allclose(frame.select("low", "high"), [(test.low, test.high) for test in tests])
    # the break: without the correction the interval would be narrower
    assert (frame["high"] > [corrected_t(losses, 0.0, 0.9).high for losses in found.losses]).all()


def test_the_law_and_its_forecast_meet_at_twice_the_rows() -> None:
    """The line is the law at its rows, its end the forecast, whose interval is the law's."""
    found = curve()
    line, ahead = law_line(found), forecast(found)
    np.testing.assert_allclose(line["loss"], [found.law.at(rows).estimate for rows in line["rows"]])
    assert line["rows"][0] == pytest.approx(25)
    assert line["rows"][-1] == pytest.approx(400)
    interval = found.law.at(400.0)
    assert ahead.rows() == [(400.0, interval.estimate, interval.low, interval.high)]
    assert line["loss"][-1] == pytest.approx(ahead["loss"][0])


def test_an_interval_without_an_end_is_null() -> None:
    """A single row set says nothing of its spread: neither JSON nor a picture has a place for infinity."""
    alone = curve(row_sets=1)
    assert measured_points(alone)["low"].null_count() == 4
    assert forecast(alone).row(0)[2:] == (None, None)
    assert forecast(alone)["loss"][0] == alone.law.at(400.0).estimate
    assert measured_points(curve())["low"].null_count() == 0


def test_curves_are_means_over_row_sets_with_one_standard_error(overfits) -> None:
    """Of the network as given and of the cure, at every epoch they trained; repeats do not narrow the band."""
    found, histories = replace(overfits.findings, chosen_number=2), overfits.histories
    frame = diagnosis_curves(found, histories)
    assert frame["network"].unique(maintain_order=True).to_list() == ["unregularized", "chosen"]
    for network, number in (("unregularized", 0), ("chosen", found.chosen_number)):
        for rows, losses in (("training", histories.train_loss), ("held out", histories.held_out_loss)):
            part = frame.filter(network=network, rows=rows)
            epochs = histories.epochs[number]
            assert part["epoch"].to_list() == list(range(1, epochs + 1))
            np.testing.assert_allclose(part["loss"], losses[:, number, :epochs].mean(axis=0))
            error = losses[:, number, :epochs].std(axis=0, ddof=1) / np.sqrt(5)
            np.testing.assert_allclose(part["high"] - part["loss"], error)
    repeats = found.looks[-1]
    assert len(histories.train_loss) == 5 * repeats
    assert repeats > 1  # the break: all row sets would seem to be more data
    at_last = overfits.histories.held_out_loss[:, 0, -1].mean()
    assert frame.filter(network="unregularized", rows="held out")["loss"][-1] == pytest.approx(at_last)
    assert at_last == pytest.approx(found.as_given.held_out_loss)


def test_a_network_that_is_left_alone_has_no_second_curve(overfits) -> None:
    """Where the choice is the network as given there is one; with regularization of its own it is called so."""
    alone = overfits.findings
    assert alone.chosen_number == 0
    assert diagnosis_curves(alone, overfits.histories)["network"].unique().to_list() == ["unregularized"]
    has = replace(alone, as_given=replace(alone.as_given, regularization=fitwell.Regularization(l2=0.1)))
    assert diagnosis_curves(has, overfits.histories)["network"].unique().to_list() == ["as given"]
