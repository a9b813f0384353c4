"""What a result tells experiment trackers, whichever they are: settings, numbers, and curves by epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitwell._version import __version__
from fitwell.results.result import Result

ABOUT = ("task", "target", "rows", "model", "parameters")
"""What is told of the data and of a model, where there is such."""


@dataclass(frozen=True)
class Tracked:
    """A result as trackers take it.

    Attributes
    ----------
    settings
        The chosen strengths and how they were searched.
    numbers
        The honest loss, scores and baselines, by names such as `honest/loss`.
    curves
        Of each network that is compared (`"unregularized"`, `"chosen"`, and `"as given"`), by name of the curve: float
        [E], the mean over row sets of every epoch that it trained.
    """

    settings: dict[str, str | int | float]
    numbers: dict[str, float]
    curves: dict[str, dict[str, np.ndarray]]


def tracked(result: Result) -> Tracked:
    """Return what trackers are told of a result."""
    search, rows = result.search, result.comparison["network"].to_list()
    numbers = {"as given": search.candidates.given, "unregularized": 0, "chosen": result.answer.chosen}
    return Tracked(
        settings=_settings(result),
        numbers={name: value for name, value in _numbers(result) if np.isfinite(value)},
        curves={name: curves_of(result, numbers[name]) for name in rows},
    )


def curves_of(result: Result, strength: int) -> dict[str, np.ndarray]:
    """Return the curves of a strength, means over row sets: float [E] each."""
    search = result.search
    epochs = search.histories.epochs[strength]
    names = {
        f"{search.loss_name}/training": "train_loss",
        f"{search.loss_name}/held out": "held_out_loss",
        f"{search.metric_name}/training": "train_metric",
        f"{search.metric_name}/held out": "held_out_metric",
    }
    curves = {name: getattr(search.histories, field)[:, strength, :epochs] for name, field in names.items()}
    return {name: curve.mean(axis=0) for name, curve in curves.items() if not np.isnan(curve).all()}


def strengths_of(result: Result, strength: int) -> dict[str, str | float]:
    """Return a strength's number of every regularizer that was searched, as JSON where layers differ, and its rate."""
    candidates = result.search.candidates
    regularization = candidates.regularization(strength)
    values = {name: _plain(regularization[name]) for name in candidates.strengths}
    return {**values, "learning_rate": float(candidates.learning_rate[strength])}


def _plain(value: Any) -> str | float:
    return json.dumps(dict(value)) if isinstance(value, Mapping) else float(value)


def _settings(result: Result) -> dict[str, str | int | float]:
    search, answer, plan = result.search, result.answer, result.search.plan
    chosen = answer.chosen
    return {
        **strengths_of(result, chosen),
        "regularization": str(result.regularization),
        "epoch": int(search.histories.best_epoch[chosen]),
        "refit": answer.refit,
        "strengths": plan.strengths,
        "row_sets": plan.row_sets,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "loss": search.loss_name,
        "seed": result.record.seed,
        "fitwell": __version__,
        **{name: result.record.summary[name] for name in ABOUT if name in result.record.summary},
    }


def _numbers(result: Result) -> Iterator[tuple[str, float]]:
    score = result.score
    yield f"honest/{result.search.scoring or 'loss'}", score.value
    yield "honest/low", score.interval.low
    yield "honest/high", score.interval.high
    yield "honest/uncorrected", score.naive
    for network, scores in result.scores.items():
        yield from ((f"cross-validated/{network.replace('_', ' ')}/{name}", value) for name, value in scores.items())
    for one in result.baselines:
        yield f"baselines/{one.name}/held-out loss", one.loss
        yield from ((f"baselines/{one.name}/{name}", value) for name, value in one.scores.items())
    yield "diverged networks", float(result.search.histories.diverged.sum())
    yield "seconds", float(result.record.seconds["total"])
