"""The result of a search: what was found, the model, and a directory that holds both."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fitwell._version import __version__
from fitwell.analysis.honest import Score
from fitwell.analysis.selection import Choice, paired_standard_error, standard_error
from fitwell.directories import RUN_FILE, fresh_directory
from fitwell.engine.histories import Histories
from fitwell.engine.plan import Plan
from fitwell.exporting import add_tfjs
from fitwell.prediction import ENCODING_FILE, MODEL_FILE, Predicts, load
from fitwell.regularization.strengths import Candidates, Regularization

__all__ = ["Result", "load"]

STRENGTHS_FILE = "strengths.parquet"
HISTORIES_FILE = "histories.parquet"
RUN_FILES = (RUN_FILE, MODEL_FILE, ENCODING_FILE, STRENGTHS_FILE, HISTORIES_FILE, "tfjs")
"""All that `Result.save` writes."""

LEAVE_IT_ALONE = (
    "Leave it alone: no strength is better than the network as given by more than one standard error of the difference."
)
LIBRARIES = ("jax", "jaxlib", "keras", "numpy", "optax", "polars", "scikit-learn")


@dataclass(frozen=True, repr=False)
class Result:
    """What `tune` found.

    Attributes
    ----------
    summary
        What was read: rows, columns by kind, task, classes.
    plan, candidates, histories, choice
        How the search was cut, its strengths, its curves, and the two rules' choices.
    predictor
        The fitted model with its encodings.
    members
        Numbers of the strengths whose networks are in the model.
    refit
        `"ensemble"` or `"single"`.
    ensemble_size
        Strengths averaged in the scores of `"ensemble"`.
    score
        Loss on new rows of one network at the strength and epoch that the search chooses, corrected for having chosen
        them, with its interval; see `fitwell.analysis.honest.Score`. With an ensemble it is that of one network at the
        minimum, and the mean of several is rarely worse.
    scores
        Cross-validated scores (rows predicted by networks that did not train on them) of `"unregularized"`,
        `"minimum"`, `"one_standard_error"` and `"ensemble"`, each at its best epoch. All are optimistic: the same rows
        chose the epoch and, but for the first, the strength. NaN where the network diverged.
    held_out_predictions
        For the same names, [n, k] probabilities or [n] values; NaN for rows never held out.
    folds
        Row sets that carry information of their own: all, or those of one repeat.
    loss_name, metric_name
        What the losses and the metrics are.
    seed, seconds
        For the record.
    layers
        Of a Keras model: one row for each layer where a strength acts, with the strengths of `model` and the share of
        its weights that are exactly zero. None for a table.
    """

    summary: dict[str, Any]
    plan: Plan
    candidates: Candidates
    histories: Histories
    choice: Choice
    predictor: Predicts
    members: tuple[int, ...]
    refit: str
    ensemble_size: int
    score: Score
    scores: dict[str, dict[str, float]]
    held_out_predictions: dict[str, np.ndarray]
    folds: int
    loss_name: str
    metric_name: str
    seed: int
    seconds: dict[str, float]
    layers: pl.DataFrame | None = None

    @property
    def model(self) -> Any:
        """The plain Keras model: takes encoded numbers, loads anywhere without fitwell."""
        return self.predictor.model

    @property
    def regularization(self) -> Regularization:
        """The strengths chosen by the one-standard-error rule (those of the model as given, if it is left alone)."""
        return self.candidates.regularization(self.chosen)

    @property
    def table(self) -> pl.DataFrame:
        """All strengths, best first: mean held-out loss at the best epoch, its standard error, and more."""
        histories, order = self.histories, self.histories.order
        held_out, train = histories.at_best("held_out_loss"), histories.at_best("train_loss")
        error = standard_error(held_out, self.folds)
        diverged = histories.diverged.any(axis=0)
        columns: dict[str, Any] = {"strength": np.arange(self.candidates.count)}
        columns |= self.candidates.means
        columns["learning_rate"] = self.candidates.learning_rate
        columns["held_out_loss"] = np.where(diverged, np.nan, held_out.mean(axis=0))
        columns["standard_error"] = np.where(diverged, np.nan, error)
        columns["paired_error"] = np.where(diverged, np.nan, self.choice.standard_error)
        columns["train_loss"] = np.where(diverged, np.nan, train.mean(axis=0))
        columns["best_epoch"] = histories.best_epoch
        columns["epochs"] = histories.epochs
        columns["diverged"] = diverged
        return pl.DataFrame(columns)[order.tolist()]

    @property
    def chosen(self) -> int:
        """Number of the strength that stands for the answer: that of a single refit, else by the 1se rule."""
        return self.members[0] if self.refit == "single" else self.choice.chosen("1se")

    @property
    def comparison(self) -> pl.DataFrame:
        """The network as given (if it has regularization of its own), unregularized, and chosen, side by side.

        Losses are means over row sets at each one's best epoch; `difference` is the held-out loss minus that of the
        chosen, `standard_error` that of this paired difference; then follow the cross-validated scores.
        """
        rows = {"as given": self.candidates.given} if self.candidates.given else {}
        rows |= {"unregularized": 0, "chosen": self.chosen}
        held_out, train = self.histories.at_best("held_out_loss"), self.histories.at_best("train_loss")
        error = paired_standard_error(held_out, self.chosen, self.folds)
        numbers = list(rows.values())
        columns: dict[str, Any] = {"network": list(rows)}
        columns["training_loss"] = train.mean(axis=0)[numbers]
        columns["held_out_loss"] = held_out.mean(axis=0)[numbers]
        columns["difference"] = columns["held_out_loss"] - held_out.mean(axis=0)[self.chosen]
        columns["standard_error"] = error[numbers]
        columns["epoch"] = self.histories.best_epoch[numbers]
        columns["regularization"] = [str(self.candidates.regularization(g)) for g in numbers]
        return pl.DataFrame(columns)

    def __str__(self) -> str:
        """The comparison, and what was chosen, as text."""
        plan = self.plan
        head = f"{plan.row_sets} row sets x {plan.strengths} strengths = {plan.networks:,} networks; {self.loss_name}"
        lines = [head, f"{'':<16}{'training':>10}{'held out':>10}{'difference':>12}{'std. error':>12}{'epoch':>7}"]
        for row in self.comparison.to_dicts():
            losses = f"{row['training_loss']:>10.4g}{row['held_out_loss']:>10.4g}{row['difference']:>12.3g}"
            lines.append(
                f"{row['network']:<16}{losses}{row['standard_error']:>12.3g}{row['epoch']:>7}  {row['regularization']}"
            )
        if self.choice.leave_alone:
            lines.append(LEAVE_IT_ALONE)
        lines.append(f"{self.score}.")
        return "\n".join(lines)

    __repr__ = __str__

    def unregularized(self) -> dict[str, float]:
        """The network without regularization, at its last epoch and at its best: losses and their gap."""
        histories = self.histories
        train, held_out = histories.at_last("train_loss")[:, 0].mean(), histories.at_last("held_out_loss")[:, 0].mean()
        return {
            "epochs": int(histories.epochs[0]),
            "train_loss": float(train),
            "held_out_loss": float(held_out),
            "gap": float(held_out - train),
            "best_epoch": int(histories.best_epoch[0]),
            "best_held_out_loss": float(histories.at_best("held_out_loss")[:, 0].mean()),
        }

    def predict(self, table: Any) -> Any:
        """Predict new rows; see `Predictor.predict` and `ModelPredictor.predict`."""
        return self.predictor.predict(table)

    def to_json(self) -> dict[str, Any]:
        """Everything but the curves and the model, as plain types."""
        document = {
            "fitwell": __version__,
            "data": self.summary,
            "plan": {**asdict(self.plan), "networks": self.plan.networks, "blocks": self.plan.blocks},
            "unregularized": self.unregularized(),
            "strengths": self.table.to_dicts(),
            "choice": {
                "minimum": self._chosen(self.choice.minimum),
                "one_standard_error": self._chosen(self.choice.one_standard_error),
                "most_regularized": self._chosen(self.choice.most_regularized),
                "confidence_set": np.flatnonzero(self.choice.confidence_set).tolist(),
                "given": self.candidates.given,
                "leave_alone": self.choice.leave_alone,
            },
            "layers": None if self.layers is None else self.layers.to_dicts(),
            "refit": self.refit,
            "members": list(self.members),
            "score": {**asdict(self.score), "loss": self.score.value},
            "scores": self.scores,
            "loss": self.loss_name,
            "metric": self.metric_name,
            "diverged_networks": int(self.histories.diverged.sum()),
            "seed": self.seed,
            "seconds": self.seconds,
            "versions": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        }
        return _plain(document)

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
        with fresh_directory(Path(directory), force=force, mark=RUN_FILE, ours=RUN_FILES) as inside:
            self.predictor.write(inside)
            document = {**self.to_json(), "tfjs": add_tfjs(self.predictor, inside)}
            text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
            (inside / RUN_FILE).write_text(text, encoding="utf-8")
            self.table.write_parquet(inside / STRENGTHS_FILE)
            self._curves().write_parquet(inside / HISTORIES_FILE)
        return Path(directory)

    def _chosen(self, index: int) -> dict[str, Any]:
        return {
            "strength": index,
            **dict(self.candidates.regularization(index).items()),
            "learning_rate": float(self.candidates.learning_rate[index]),
            "epoch": int(self.histories.best_epoch[index]),
            "held_out_loss": float(self.histories.best_loss[index]),
        }

    def _curves(self) -> pl.DataFrame:
        """One row for each row set, strength and epoch that was trained."""
        histories = self.histories
        r, g, e = np.nonzero(~np.isnan(histories.train_loss) | ~np.isnan(histories.held_out_loss))
        values = {
            name: getattr(histories, name)[r, g, e]
            for name in ("train_loss", "held_out_loss", "train_metric", "held_out_metric")
        }
        return pl.DataFrame({"row_set": r, "strength": g, "epoch": e + 1, **values})


def _plain(value: Any) -> Any:
    """Replace numbers that JSON does not know (a diverged loss) by None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
