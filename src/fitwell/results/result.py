"""The result of a search: what was found, what it answers, and what predicts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fitwell._version import __version__
from fitwell.analysis.baselines import Baseline
from fitwell.analysis.found import Answer, Search
from fitwell.analysis.honest import Score
from fitwell.analysis.selection import Choice, standard_error
from fitwell.analysis.series import RunTables
from fitwell.regularization.strengths import Regularization
from fitwell.report import words
from fitwell.report.fragments import search_fragment
from fitwell.report.plots import RunPlots
from fitwell.results.predictors import Predicts
from fitwell.results.record import Record, library_versions, plain_types
from fitwell.results.storage import StoredRun, store_run


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """What `tune` found.

    Attributes
    ----------
    search
        The strengths, their curves and the rules' choices.
    answer
        Which networks are handed over, and their cross-validated scores.
    score
        Loss on new rows of one network at the strength and epoch that the search chooses, corrected for having chosen
        them, with its interval; see `fitwell.analysis.honest.Score`. With an ensemble it is that of one network at the
        minimum, and the mean of several is rarely worse. Where a score was chosen by, it is that score on new rows.
    predictor
        The fitted model with its encodings.
    record
        What was read, seed and times.
    """

    search: Search
    answer: Answer
    score: Score
    predictor: Predicts
    record: Record

    @property
    def model(self) -> Any:
        """The plain Keras model: takes encoded numbers, loads anywhere without fitwell.

        It gives probabilities or values; but where float32 cannot hold the values apart (`predictor.units`), standard
        deviations from their mean.
        """
        return self.predictor.model

    @property
    def regularization(self) -> Regularization:
        """The strengths chosen by the one-standard-error rule (those of the model as given, if it is left alone)."""
        return self.search.candidates.regularization(self.answer.chosen)

    @property
    def choice(self) -> Choice:
        """What each rule chooses; see `fitwell.analysis.selection.Choice`."""
        return self.search.choice

    @property
    def table(self) -> pl.DataFrame:
        """All strengths, best first: mean held-out loss, what each network has, and more; see `Search.table`."""
        return self.search.table

    @property
    def comparison(self) -> pl.DataFrame:
        """The network as given, unregularized, and chosen, side by side; see `Search.comparison`."""
        return self.search.comparison(self.answer.chosen)

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Cross-validated scores of the networks that are compared; see `Answer.scores`."""
        return self.answer.scores

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """What the class shares (or the mean) and a linear model reach on the same folds; empty for arrays."""
        return self.answer.baselines

    @property
    def importance(self) -> pl.DataFrame | None:
        """Which columns matter for held-out rows; see `fitwell.studies.importance`. None for Keras models."""
        return self.answer.importance

    @property
    def inputs(self) -> pl.DataFrame | None:
        """Which columns the networks use, at which strength each comes in, and whether it is needed.

        None unless a regularizer of whole columns was searched, such as `"l1_inputs"`; see
        `fitwell.analysis.inputs_used.InputsUsed`.
        """
        return self.answer.inputs

    @property
    def held_out(self) -> pl.DataFrame | None:
        """Every row of a table as networks predict it that did not train on it; None for arrays and several targets."""
        return self.answer.held_out

    @property
    def by_target(self) -> pl.DataFrame | None:
        """Of several targets: cross-validated scores of each, see `Answer.by_target`; else None."""
        return self.answer.by_target

    @property
    def layers(self) -> pl.DataFrame | None:
        """Of a Keras model: the strengths of each layer of `model`; see `Answer.layers`. None for a table."""
        return self.answer.layers

    @property
    def plot(self) -> RunPlots:
        """Pictures on matplotlib's axes, each a method: ``result.plot.curves(ax=None)``; see `RunPlots`."""
        answer = self.answer
        tables = self.table, self.search.curves(), answer.held_out, answer.input_paths
        return RunPlots(RunTables(self.to_json(), *tables))

    def __str__(self) -> str:
        """The comparison, and what was chosen, as text."""
        return words.comparison(self.search, self.answer, self.score)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return search_fragment(self.search, self.answer, self.score, self.record.summary)

    def predict(self, table: Any) -> Any:
        """Predict new rows, a frame in its own library; see `TablePredictor.predict` and `ModelPredictor.predict`."""
        return self.predictor.predict(table)

    def to_json(self) -> dict[str, Any]:
        """Everything but the curves and the model, as plain types."""
        search, answer, choice = self.search, self.answer, self.choice
        document = {
            "fitwell": __version__,
            "data": self.record.summary,
            "plan": {**asdict(search.plan), "networks": search.plan.networks, "blocks": search.plan.blocks},
            "folds": search.folds,
            "ended": None if search.ended is None else asdict(search.ended),
            "cut_short": words.cut_short(search.plan, search.ended),
            "unregularized": search.unregularized(),
            "strengths": [self._by_layer(row) for row in search.table.to_dicts()],
            "choice": {
                "minimum": self._strength(choice.minimum),
                "one_standard_error": self._strength(choice.one_standard_error),
                "most_regularized": self._strength(choice.most_regularized),
                "confidence_set": np.flatnonzero(choice.confidence_set).tolist(),
                "given": search.candidates.given,
                "leave_alone": choice.leave_alone,
            },
            "layers": None if answer.layers is None else answer.layers.to_dicts(),
            "refit": answer.refit,
            "members": list(answer.members),
            "chosen": answer.chosen,
            "scoring": search.scoring,
            "score": {**asdict(self.score), "loss" if search.scoring is None else "value": self.score.value},
            "scores": answer.scores,
            "by_target": None if answer.by_target is None else answer.by_target.to_dicts(),
            "baselines": [self._baseline(one) for one in answer.baselines],
            "verdict": {
                "sentences": words.verdict_of(search, answer),
                "overfits": None if answer.verdict is None else answer.verdict.overfits,
                "cure": None if answer.verdict is None else answer.verdict.cure,
                "tests": None if answer.verdict is None else asdict(answer.verdict),
            },
            "importance": None if answer.importance is None else answer.importance.to_dicts(),
            "inputs": None if answer.inputs is None else answer.inputs.to_dicts(),
            "loss": search.loss_name,
            "metric": search.metric_name,
            "diverged_networks": int(search.histories.diverged.sum()),
            "command": self.record.command,
            "seed": self.record.seed,
            "seconds": self.record.seconds,
            "versions": library_versions(),
        }
        return plain_types(document)

    def save(self, directory: str | Path, *, force: bool = False) -> Path:
        """Write the model, the encoding and the whole search into a new directory, all or nothing.

        Its sub-directory `tfjs` holds the same for TensorFlow.js; if that cannot be, `"tfjs"` in `run.json` says why.

        Parameters
        ----------
        directory
            Must not exist, unless `force` is set and it is an earlier run of fitwell (or empty): then it is replaced.

        Raises
        ------
        FileError
            It exists, or cannot be written.
        """
        return self.store(directory, force=force).directory

    def store(self, directory: str | Path, *, force: bool = False) -> StoredRun:
        """Do what `save` does, and return why the run is not there for TensorFlow.js, if so."""
        # tables beside the JSON: curves of hundreds of networks are long
        tables = {"strengths": self.table, "histories": self.search.curves()}
        more = {"held_out": self.answer.held_out, "input_paths": self.answer.input_paths}
        tables |= {name: frame for name, frame in more.items() if frame is not None}
        return store_run(Path(directory), self.predictor, self.to_json(), tables, force=force)

    def _by_layer(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of the table, with an object by layer where a strength is no one number."""
        regularization = self.search.candidates.regularization(row["strength"])
        return {name: regularization.get(name, value) for name, value in row.items()}

    def _baseline(self, one: Baseline) -> dict[str, Any]:
        return {
            "name": one.name,
            "regularization": one.regularization,
            "loss": one.loss_name,
            "held_out_loss": one.loss,
            "standard_error": float(standard_error(one.fold_loss[:, None], self.search.folds)[0]),
            "scores": one.scores,
            "seconds": one.seconds,
        }

    def _strength(self, index: int) -> dict[str, Any]:
        search = self.search
        regularization = search.candidates.regularization(index)
        return {
            "strength": index,
            **dict(regularization.items()),
            "regularization": str(regularization),
            "learning_rate": float(search.candidates.learning_rate[index]),
            "epoch": int(search.histories.best_epoch[index]),
            "held_out_loss": float(search.histories.best_loss[index]),
        }
