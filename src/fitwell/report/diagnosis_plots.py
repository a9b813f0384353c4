"""The pictures of a diagnosis on matplotlib's axes: the numbers of `analysis/diagnosis_series.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fitwell.analysis.diagnosis_series import diagnosis_curves, forecast, law_line, measured_points
from fitwell.analysis.findings import Findings
from fitwell.analysis.intervals import figures
from fitwell.analysis.learning_curve import PowerLaw
from fitwell.engine.histories import Histories
from fitwell.errors import InputError
from fitwell.report.drawing import axes_for, bands, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fitwell.analysis.findings import LearningCurve


@dataclass(frozen=True, eq=False, repr=False)
class DiagnosisPlots:
    """Pictures of a diagnosis; each method draws one and returns its axes.

    `ax` are the axes to draw on; None makes a figure with `matplotlib.pyplot`. Losses are in their own unit, as in the
    diagnosis's sentences.

    Attributes
    ----------
    findings, histories
        What is drawn.
    given
        Number of the network as given.
    """

    findings: Findings
    histories: Histories
    given: int = 0

    def __repr__(self) -> str:
        return f"Pictures of this diagnosis: {', '.join(f'{name}()' for name in self.names)}."

    @property
    def names(self) -> list[str]:
        """The pictures that there are of this diagnosis."""
        return ["curves", *(["learning_curve"] if self.findings.learning_curve else [])]

    def curves(self, ax: Axes | None = None) -> Axes:
        """Draw loss by epoch on training and on held-out rows, of the network that was judged and of its cure.

        Means over row sets with a band of one standard error; the dot is the best epoch.
        """
        axes = axes_for(ax)
        bands(axes, diagnosis_curves(self.findings, self.histories, self.given), self.findings.loss_name)
        return axes

    def learning_curve(self, ax: Axes | None = None) -> Axes:
        """Draw held-out loss by the number of training rows: measured, the fitted power law, and twice the rows by it.

        All intervals are at the diagnosis's level.
        """
        curve = self.findings.learning_curve
        if curve is None:
            why = "the rows were too few" if "learning curve" in self.findings.asked else "it was not asked for"
            raise InputError(f"There is no 'learning_curve' of this diagnosis: {why}. There are curves.")
        axes = axes_for(ax)
        self._draw_learning_curve(axes, curve)
        axes.set(xlabel="training rows", ylabel=f"held-out {self.findings.loss_name}")
        # room for the words, which else would stand on intervals
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.3 * (high - low))
        axes.legend(frameon=False, loc="upper right")
        return axes

    def _draw_learning_curve(self, ax: Axes, curve: LearningCurve) -> None:
        points, line, ahead = measured_points(curve), law_line(curve), forecast(curve)
        blue, level = colour("second"), f"{100 * curve.law.level:g}% interval"
        is_ahead = line["rows"] > curve.sizes.max()
        ax.vlines(points["rows"], points["low"], points["high"], color=blue, alpha=0.5)
        ax.plot(points["rows"], points["loss"], "o", color=blue, label=f"measured, {level}")
        known, unknown = line.filter(~is_ahead), line.filter(is_ahead)
        ax.plot(known["rows"], known["loss"], color=blue, linewidth=1, label=_formula(curve.law))
        ax.plot(unknown["rows"], unknown["loss"], "--", color=blue, linewidth=1, label="_law beyond")
        grey = colour("soft")
        ax.vlines(ahead["rows"], ahead["low"], ahead["high"], color=grey, alpha=0.6, linestyle="--")
        ax.plot(
            ahead["rows"], ahead["loss"], "o", color=grey, markerfacecolor="none", label="twice the rows, by the law"
        )
        ax.set_xscale("log")
        rows = [*points["rows"], *ahead["rows"]]
        ax.set_xticks(rows, [f"{one:,.0f}" for one in rows])
        ax.set_xticks([], minor=True)


def _formula(law: PowerLaw) -> str:
    if not law.scale:
        return f"power law: {figures(law.limit)}, whatever the rows"
    return f"power law: {figures(law.limit)} + {figures(law.scale)} / rows^{figures(law.rate, 2)}"
