"""What `diagnose` found: the verdict, its reasons in plain words, and every number behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fitwell._version import __version__
from fitwell.analysis.diagnosis_series import diagnosis_curves, forecast, law_line, measured_points
from fitwell.analysis.findings import Findings
from fitwell.engine.histories import Histories
from fitwell.engine.plan import Plan
from fitwell.regularization.strengths import Candidates
from fitwell.report import words
from fitwell.report.diagnosis_plots import DiagnosisPlots
from fitwell.report.fragments import diagnosis_fragment
from fitwell.results.record import Record, library_versions, plain_types
from fitwell.results.storage import store_diagnosis


@dataclass(frozen=True, repr=False, eq=False)
class Diagnosis:
    """A verdict and its evidence; print it for the reasons in words.

    Attributes
    ----------
    findings
        The verdict, its tests and all numbers behind it.
    candidates, histories, plan
        The search.
    record
        What was read, seed and times.
    """

    findings: Findings
    candidates: Candidates
    histories: Histories
    plan: Plan
    record: Record

    @property
    def verdict(self) -> str:
        """`"overfits"`, `"underfits"`, `"needs data"`, `"fits well"` or `"undecided"`."""
        return self.findings.verdict.word

    @property
    def cure(self) -> str:
        """`"regularization"`, `"fewer epochs"`, a larger or less regularized network, `"more rows"`, or `""`."""
        return self.findings.verdict.cure

    @property
    def missing(self) -> tuple[str, ...]:
        """Where undecided: what might help by more than is worth acting on, as far as the rows can tell."""
        return self.findings.verdict.missing

    @property
    def rows_needed(self) -> float | None:
        """Where undecided: about how many times as many rows would decide it (infinite: no number would); else None."""
        return self.findings.verdict.rows if self.verdict == "undecided" else None

    @property
    def reasons(self) -> list[str]:
        """The evidence in sentences."""
        return words.reasons(self.findings)

    @property
    def plot(self) -> DiagnosisPlots:
        """Pictures on matplotlib's axes: ``diagnosis.plot.curves()``, ``.learning_curve()``; see `DiagnosisPlots`."""
        return DiagnosisPlots(self.findings, self.histories, self.candidates.given)

    def __str__(self) -> str:
        return words.verdict(self.findings)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return diagnosis_fragment(self.findings, self.record.summary)

    def to_json(self) -> dict[str, Any]:
        """Verdict, reasons and numbers as plain types."""
        found = self.findings
        given, curve = found.as_given, found.learning_curve
        document = {
            "fitwell": __version__,
            "data": self.record.summary,
            "verdict": self.verdict,
            "cure": self.cure,
            "missing": list(self.missing),
            "rows_needed": self.rows_needed,
            "repeats": list(found.looks),
            "reasons": self.reasons,
            "train_loss": given.train_loss,
            "held_out_loss": given.held_out_loss,
            "gap": asdict(given.gap),
            # what was not asked is left out, rather than null among the tests
            "evidence": {name: asdict(test) for name, test in vars(found.evidence).items() if test is not None},
            "epochs": given.epochs,
            "turned_at_epoch": given.turned,
            "regularization": {
                "given": dict(given.regularization.items()),
                "chosen": dict(found.chosen.items()),
                # with what is no strength, such as dropout inside recurrent cells
                "given_text": str(given.regularization),
                "chosen_text": str(found.chosen),
            },
            "learning_curve": None
            if curve is None
            else {
                "rows": curve.sizes.tolist(),
                "held_out_loss": curve.losses.mean(axis=1).tolist(),
                "half_as_many_rows_cost": asdict(curve.half),
                "twice_as_many_rows_gain": asdict(curve.twice),
            },
            "null": asdict(found.noise) if found.noise else None,
            "memorisation": asdict(found.memorisation) if found.memorisation else None,
            "loss": found.loss_name,
            "level": found.level,
            "worth": found.worth,
            "networks": self.plan.networks,
            "ended": None if found.ended is None else asdict(found.ended),
            "command": self.record.command,
            "seed": self.record.seed,
            "seconds": self.record.seconds["total"],
            "versions": library_versions(),
            "pictures": self._pictures(),
        }
        # losses of networks that diverged are not finite, and JSON has no name for that
        return plain_types(document)

    def _pictures(self) -> dict[str, Any]:
        found, curve = self.findings, self.findings.learning_curve
        frames = {"curves": diagnosis_curves(found, self.histories, self.candidates.given)}
        if curve is not None:
            frames |= {"measured": measured_points(curve), "law": law_line(curve), "forecast": forecast(curve)}
        shown = {name: frame.to_dicts() for name, frame in frames.items()}
        return {"measured": [], "law": [], "forecast": [], **shown}

    def save(self, directory: str | Path, *, force: bool = False) -> Path:
        """Write `diagnosis.json` and `report.html` into a new directory, all or nothing.

        Parameters
        ----------
        directory
            Must not exist, unless `force` is set and it is an earlier diagnosis (or empty): then it is replaced.

        Raises
        ------
        FileError
            It exists, or cannot be written.
        """
        return store_diagnosis(Path(directory), self.to_json(), force=force)
