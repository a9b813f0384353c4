"""The pictures of a diagnosis on matplotlib's axes."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from example_tables import mixed
from matplotlib import pyplot
from matplotlib.figure import Figure

import fitwell
from fitwell.analysis.diagnosis_series import diagnosis_curves, forecast, law_line, measured_points
from fitwell.errors import InputError

mpl.use("agg")


@pytest.fixture(scope="module")
def found() -> fitwell.Diagnosis:
    """Of a small network, with a learning curve."""
    return fitwell.diagnose(mixed(120), "ill", strengths=2, epochs=8, hidden=(8,), larger=False)


def test_curves_are_those_of_the_network_that_was_judged(found) -> None:
    """A line for each of its rows, in the loss's own unit."""
    ax = Figure().subplots()
    assert found.plot.curves(ax) is ax
    frame = diagnosis_curves(found.findings, found.histories, found.candidates.given)
    drawn = {str(line.get_label()): line.get_xydata() for line in ax.lines}
    for (network, rows), part in frame.partition_by("network", "rows", as_dict=True).items():
        assert np.array_equal(drawn[f"{network}, {rows}"], part.select("epoch", "loss").to_numpy())
    assert ax.get_ylabel() == "log loss"
    assert pyplot.get_fignums() == []


def test_the_cure_is_drawn_beside_it(found) -> None:
    """Where it is another strength."""
    ax = Figure().subplots()
    replace(found, findings=replace(found.findings, chosen_number=1)).plot.curves(ax)
    assert {str(line.get_label()).split(",")[0] for line in ax.lines} == {"unregularized", "chosen", "_best epoch"}


def test_a_learning_curve_has_points_a_law_and_a_forecast(found) -> None:
    """Each is its frame, intervals too; the law goes on to twice the rows."""
    ax = Figure().subplots()
    assert found.plot.learning_curve(ax) is ax
    curve = found.findings.learning_curve
    points, line, ahead = measured_points(curve), law_line(curve), forecast(curve)
    measured, known, beyond, twice = [one.get_xydata() for one in ax.lines]
    assert np.array_equal(measured, points.select("rows", "loss").to_numpy())
    assert np.array_equal(np.concatenate([known, beyond]), line.select("rows", "loss").to_numpy())
    assert known[-1, 0] <= curve.sizes[-1] < beyond[0, 0]
    assert np.array_equal(twice, ahead.select("rows", "loss").to_numpy())
    bars = np.concatenate([np.array(one.get_segments()) for one in ax.collections])
    assert np.array_equal(bars[:, :, 1], np.concatenate([one.select("low", "high") for one in (points, ahead)]))
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_xticklabels()] == [f"{rows:,.0f}" for rows in bars[:, 0, 0]]
    ax.figure.draw_without_rendering()
    assert pyplot.get_fignums() == []


def test_a_law_that_does_not_fall_is_said_so(found) -> None:
    """A flat one has no term of rows."""
    curve = found.findings.learning_curve
    flat = replace(curve, law=replace(curve.law, limit=0.7, scale=0.0))
    ax = Figure().subplots()
    replace(found, findings=replace(found.findings, learning_curve=flat)).plot.learning_curve(ax)
    assert "power law: 0.7, whatever the rows" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_what_there_is_not_is_a_sentence(found) -> None:
    """Whether it was asked for or not, and no figure is made."""
    without = replace(found.findings, learning_curve=None)
    assert repr(found.plot) == "Pictures of this diagnosis: curves(), learning_curve()."
    assert replace(found, findings=without).plot.names == ["curves"]
    with pytest.raises(InputError, match=r"There is no 'learning_curve' of this diagnosis: .*too few"):
        replace(found, findings=without).plot.learning_curve()
    with pytest.raises(InputError, match="it was not asked for"):
        replace(found, findings=replace(without, asked=frozenset())).plot.learning_curve()
    assert pyplot.get_fignums() == []
    assert found.plot.learning_curve().figure is pyplot.gcf()
