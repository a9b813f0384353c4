"""What a search found and what it answers, as numbers: for a person's eye, for JSON, and for a report's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fitwell.analysis.baselines import Baseline
from fitwell.analysis.search_verdict import SearchVerdict
from fitwell.analysis.selection import Choice, paired_standard_error, standard_error
from fitwell.engine.ending import Ended
from fitwell.engine.histories import Histories
from fitwell.engine.plan import Plan
from fitwell.regularization.strengths import Candidates


@dataclass(frozen=True, repr=False, eq=False)
class Search:
    """What was searched, how every network fared, and what the rules choose.

    Attributes
    ----------
    plan, candidates, histories, choice
        How the search was cut, its strengths, its curves, and the rules' choices.
    folds
        Row sets that carry information of their own: all, or those of one repeat.
    loss_name, metric_name
        What the losses and the metrics are.
    scoring, held_out_scores
        What was chosen by, if not by the loss, and its values float [R, G]: higher is better, minus infinity for
        strengths that diverged.
    ended
        That the search was ended before its epochs were over: what was in training then might have improved further.
    """

    plan: Plan
    candidates: Candidates
    histories: Histories
    choice: Choice
    folds: int
    loss_name: str
    metric_name: str
    scoring: str | None = None
    held_out_scores: np.ndarray | None = None
    ended: Ended | None = None

    @property
    def order(self) -> np.ndarray:
        """Strengths from the best to the worst by what was chosen by, int [G]; see `Histories.order`."""
        by = self.held_out_scores
        return self.histories.order if by is None else self.histories.order_by(-by.mean(axis=0))

    @property
    def table(self) -> pl.DataFrame:
        """All strengths, best first: mean held-out loss at the best epoch, its standard error, and more.

        A strength that differs by layer is null: it is no one number. `regularization` says all that a network has.
        `cut_after` is the epoch after which a strength had to leave though it was still improving, null for the others:
        those that were cut follow all that finished, for their losses might have fallen further. Where a score was
        chosen by, `score` is its mean and `score_error` the standard error of that; `paired_error` is of the score,
        too, and the best by it come first.
        """
        histories, order = self.histories, self.order
        held_out, train = histories.at_best("held_out_loss"), histories.at_best("train_loss")
        diverged = histories.diverged.any(axis=0)
        columns: dict[str, Any] = {"strength": np.arange(self.candidates.count)}
        columns |= {name: pl.Series(values).fill_nan(None) for name, values in self.candidates.numbers.items()}
        columns["learning_rate"] = self.candidates.learning_rate
        losses = {
            "held_out_loss": held_out.mean(axis=0),
            "standard_error": standard_error(held_out, self.folds),
            "paired_error": self.choice.standard_error,
            "train_loss": train.mean(axis=0),
        }
        if self.held_out_scores is not None:
            losses |= {
                "score": self.held_out_scores.mean(axis=0),
                "score_error": standard_error(np.where(diverged, np.nan, self.held_out_scores), self.folds),
            }
        columns |= {name: np.where(diverged, np.nan, values) for name, values in losses.items()}
        columns["best_epoch"] = histories.best_epoch
        columns["epochs"] = histories.epochs
        cut_after = [int(e) if cut else None for e, cut in zip(histories.epochs, histories.cut, strict=True)]
        columns["cut_after"] = pl.Series(cut_after, dtype=pl.Int64)
        columns["diverged"] = diverged
        columns["regularization"] = [str(self.candidates.regularization(g)) for g in range(self.candidates.count)]
        return pl.DataFrame(columns)[order.tolist()]

    def comparison(self, chosen: int) -> pl.DataFrame:
        """The network as given (if it has regularization of its own), unregularized, and chosen, side by side.

        Losses are means over row sets at each one's best epoch; `difference` is the held-out loss minus that of the
        chosen, `standard_error` that of this paired difference.
        """
        rows = {"as given": self.candidates.given} if self.candidates.given else {}
        rows |= {"unregularized": 0, "chosen": chosen}
        held_out, train = self.histories.at_best("held_out_loss"), self.histories.at_best("train_loss")
        error = paired_standard_error(held_out, chosen, self.folds)
        numbers = list(rows.values())
        columns: dict[str, Any] = {"network": list(rows)}
        columns["training_loss"] = train.mean(axis=0)[numbers]
        columns["held_out_loss"] = held_out.mean(axis=0)[numbers]
        columns["difference"] = columns["held_out_loss"] - held_out.mean(axis=0)[chosen]
        columns["standard_error"] = error[numbers]
        columns["epoch"] = self.histories.best_epoch[numbers]
        columns["regularization"] = [str(self.candidates.regularization(g)) for g in numbers]
        return pl.DataFrame(columns)

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

    def curves(self) -> pl.DataFrame:
        """One row for each row set, strength and epoch that was trained."""
        histories = self.histories
        r, g, e = np.nonzero(~np.isnan(histories.train_loss) | ~np.isnan(histories.held_out_loss))
        values = {
            name: getattr(histories, name)[r, g, e]
            for name in ("train_loss", "held_out_loss", "train_metric", "held_out_metric")
        }
        return pl.DataFrame({"row_set": r, "strength": g, "epoch": e + 1, **values})


@dataclass(frozen=True, repr=False, eq=False)
class Answer:
    """Which networks are handed over, and how they fare on rows that they did not train on.

    Attributes
    ----------
    refit
        `"ensemble"` or `"single"`.
    members
        Numbers of the strengths whose networks are handed over.
    chosen
        Number of the strength that stands for the answer: that of a single refit, else by the one-standard-error rule.
    averaged
        Strengths averaged in the scores of `"ensemble"`; 0 if there is none.
    scores
        Cross-validated scores (rows predicted by networks that did not train on them) of `"unregularized"`,
        `"minimum"`, `"one_standard_error"` and `"ensemble"`, each at its best epoch. All are optimistic: the same rows
        chose the epoch and, but for the first, the strength. NaN where the network diverged.
    held_out_predictions
        For the same names, [n, k] probabilities or [n] values, or what a Keras model gives; NaN for rows never held
        out.
    layers
        Of a Keras model: one row for each layer where a strength acts, with the strengths of the network that is handed
        over and the share of its weights that are exactly zero. None for a table.
    verdict
        What the search shows of overfitting; None where its row sets do not let it say.
    baselines
        Of a table: what the class shares (or the mean) and a linear model reach on the same row sets.
    importance
        Of a table's columns; see `fitwell.studies.importance`. None for Keras models.
    held_out
        Every row of a table with its held-out predictions; see `fitwell.analysis.held_out`. None for arrays, and where
        a row has several targets.
    inputs, input_paths
        Where a regularizer of whole columns was searched: which of them the networks use, and at which strength each
        comes in; see `fitwell.analysis.inputs_used.InputsUsed`. None otherwise.
    by_target
        Of several targets: one row for each, with its cross-validated scores of what is handed over (with a single
        refit, of the strength that it takes); see `fitwell.analysis.scores.score_of`.
    """

    refit: str
    members: tuple[int, ...]
    chosen: int
    averaged: int
    scores: dict[str, dict[str, float]]
    held_out_predictions: dict[str, Any]
    layers: pl.DataFrame | None = None
    verdict: SearchVerdict | None = None
    baselines: tuple[Baseline, ...] = ()
    importance: pl.DataFrame | None = None
    held_out: pl.DataFrame | None = None
    by_target: pl.DataFrame | None = None
    inputs: pl.DataFrame | None = None
    input_paths: pl.DataFrame | None = None
