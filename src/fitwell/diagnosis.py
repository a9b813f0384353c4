"""What `diagnose` found: the verdict, its reasons in plain words, and every number behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fitwell._version import __version__
from fitwell.analysis.intervals import Interval, Test, figures
from fitwell.analysis.learning_curve import PowerLaw
from fitwell.analysis.verdict import Evidence, Help, Reduction
from fitwell.engine.histories import Histories
from fitwell.engine.plan import Plan
from fitwell.regularization.strengths import Candidates, Regularization


@dataclass(frozen=True)
class LearningCurve:
    """Held-out loss of the network (with the cure, if one was found) by the number of its training rows.

    Attributes
    ----------
    sizes
        float [S], training rows.
    losses
        float [S, R], held-out losses at epochs that the other row sets chose.
    law
        Fitted power law.
    half, twice
        What the last doubling of the rows has lowered the loss by, and what the next one would, by the law.
    falls
        Share by which the last doubling has lowered the loss, as measured: whether the curve still falls. Its lower end
        is the bound of a one-sided test (level 95%: a 90% interval), since more rows are not expected to harm.
    """

    sizes: np.ndarray
    losses: np.ndarray
    law: PowerLaw
    half: Interval
    twice: Interval
    falls: Reduction

    @property
    def gain(self) -> Interval:
        """What the next doubling would lower the loss by, as a share of it."""
        loss = abs(float(self.losses[-1].mean())) or 1.0
        return Interval(self.twice.estimate / loss, self.twice.low / loss, self.twice.high / loss, self.twice.level)


@dataclass(frozen=True)
class Noise:
    """The same search on a shuffled target, where there is nothing to find.

    Attributes
    ----------
    as_given, lowest, honest
        Held-out losses: of the network as given at its last epoch; the lowest of all strengths and epochs, which chance
        made low; and of what the search chose for rows that had no part in choosing.
    found
        What the search seems to help, tested honestly.
    constant
        Loss of the best prediction that is the same for all rows: what can be reached; None where it is not known.
    """

    as_given: float
    lowest: float
    honest: float
    found: Help
    constant: float | None


@dataclass(frozen=True)
class Memorisation:
    """The network as given on a shuffled target: all that it learns there, it learns by heart.

    Attributes
    ----------
    chance
        Lowest mean held-out loss on the shuffled target.
    train_loss
        Loss on training rows at the last epoch.
    half_learned, half_learned_of_target
        First epoch at which the training loss is below half of `chance`, of the shuffled target and of the true one;
        None if there is none.
    """

    chance: float
    train_loss: float
    half_learned: int | None
    half_learned_of_target: int | None


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """A verdict and its evidence; print it for the reasons in words.

    Attributes
    ----------
    verdict
        `"overfits"`, `"underfits"`, `"needs data"`, `"fits well"` or `"undecided"`.
    cure
        `"regularization"`, `"fewer epochs"`, a larger or less regularized network, `"more rows"`, or `""`.
    missing
        Where undecided: what might help by more than is worth acting on, as far as the rows can tell.
    evidence
        The tests.
    train_loss, held_out_loss, gap
        Of the network as given at its last epoch: means over row sets, and held-out minus training loss with its
        interval. The gap is shown and decides nothing.
    epochs, turned
        Epochs trained, and the epoch at which the mean held-out loss was lowest; None if that was the last.
    given, chosen
        Regularization as given, and that of the cure (as given, if the network does not overfit).
    learning_curve, noise, memorisation
        None where not asked for, or (the learning curve) where the rows are too few.
    candidates, histories, plan
        The search.
    loss_name, level, worth, summary, seed, seconds
        For the record; see `fitwell.diagnose`.
    """

    verdict: str
    cure: str
    missing: tuple[str, ...]
    evidence: Evidence
    train_loss: float
    held_out_loss: float
    gap: Test
    epochs: int
    turned: int | None
    given: Regularization
    chosen: Regularization
    learning_curve: LearningCurve | None
    noise: Noise | None
    memorisation: Memorisation | None
    candidates: Candidates
    histories: Histories
    plan: Plan
    loss_name: str
    level: float
    worth: float
    summary: dict[str, Any]
    seed: int
    seconds: float
    asked: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return "\n".join([f"{self.verdict[0].upper()}{self.verdict[1:]}.", *self.reasons])

    __repr__ = __str__

    @property
    def reasons(self) -> list[str]:
        """The evidence in sentences."""
        return list(self._sentences())

    def to_json(self) -> dict[str, Any]:
        """Verdict, reasons and numbers as plain types."""
        curve = self.learning_curve
        evidence = {name: asdict(found) for name, found in vars(self.evidence).items() if found is not None}
        document = {
            "fitwell": __version__,
            "data": self.summary,
            "verdict": self.verdict,
            "cure": self.cure,
            "missing": list(self.missing),
            "reasons": self.reasons,
            "train_loss": self.train_loss,
            "held_out_loss": self.held_out_loss,
            "gap": asdict(self.gap),
            "evidence": evidence,
            "epochs": self.epochs,
            "turned_at_epoch": self.turned,
            "regularization": {"given": dict(self.given.items()), "chosen": dict(self.chosen.items())},
            "learning_curve": None
            if curve is None
            else {
                "rows": curve.sizes.tolist(),
                "held_out_loss": curve.losses.mean(axis=1).tolist(),
                "half_as_many_rows_cost": asdict(curve.half),
                "twice_as_many_rows_gain": asdict(curve.twice),
            },
            "null": asdict(self.noise) if self.noise else None,
            "memorisation": asdict(self.memorisation) if self.memorisation else None,
            "loss": self.loss_name,
            "level": self.level,
            "worth": self.worth,
            "networks": self.plan.networks,
            "seed": self.seed,
            "seconds": self.seconds,
        }
        return _plain(document)

    def _sentences(self) -> Iterator[str]:
        evidence, name = self.evidence, self.loss_name
        yield (
            f"On its training rows the {name} is {figures(self.train_loss)}, on held-out rows "
            f"{figures(self.held_out_loss)} (gap {_interval(self.gap, first=True)})."
        )
        if self.turned:
            what = "turned upwards" if self.verdict == "overfits" else "was lowest"
            yield f"Held-out {name} {what} at epoch {self.turned} of {self.epochs}."
        yield from self._cures()
        if evidence.growth is not None:
            yield self._growth(evidence.growth)
        yield from self._rows()
        yield from self._left_alone()
        if self.noise:
            yield self._noise(self.noise)
        if self.memorisation:
            yield self._memorisation(self.memorisation)
        for name, found in (("null", self.noise), ("memorisation", self.memorisation)):
            if found is None and name in self.asked:
                why = "on a shuffled target networks diverged, or memory did not suffice"
                yield f"What '{name}' asks is not known: {why}."

    def _cures(self) -> Iterator[str]:
        evidence = self.evidence
        stopping = evidence.earlier
        if self.verdict != "overfits":
            yield (
                f"The regularizations and earlier epochs that were tried change the held-out {self.loss_name} by "
                f"{_change(evidence.search.held_out)}: no evidence that it overfits."
            )
            return
        if stopping.helps:
            yield f"Stopping at epoch {stopping.epoch} lowers it {_lowers(stopping)}."
        if self.cure == "fewer epochs" and not np.isfinite(evidence.beyond.test.high):
            yield "That is cure enough; whether regularization adds to it is not known, since its networks diverged."
        elif self.cure == "fewer epochs":
            yield f"That is cure enough: regularization changes it by {_change(evidence.beyond)} beyond that."
        elif evidence.regularization.helps:
            beyond = f" ({_change(evidence.beyond)} beyond what stopping does)" if stopping.helps else ""
            yield f"Regularization lowers it {_lowers(evidence.regularization)}{beyond}: {self.chosen}."
        else:
            yield f"Regularization or stopping, whichever the other rows choose, lowers it {_lowers(evidence.search)}."

    def _growth(self, growth: Help) -> str:
        if self.verdict == "underfits":
            return (
                f"A larger, freer or longer trained network lowers it {_lowers(growth)}, and the training loss by "
                f"{growth.train.share:.0%}: {growth.best}."
            )
        changes = f"Larger, freer and longer trained networks change it by {_change(growth.held_out)}"
        if growth.helps:
            return f"{changes} ({growth.best}), but not surely the training loss: that is no underfitting."
        return f"{changes}."

    def _rows(self) -> Iterator[str]:
        curve = self.learning_curve
        if curve is None:
            if "learning curve" in self.asked:
                why = "there are too few rows for a learning curve, or training on fewer of them diverged"
                yield f"How much more rows would help is not known: {why}."
            return
        cured = "With that cure, twice" if self.verdict == "overfits" else "Twice"
        falls = curve.falls
        known = "" if curve.twice.low > 0 else ", which may be nothing"
        yield (
            f"The last doubling of the rows changed it by {_change(falls, level=True)}. "
            f"{cured} the rows would lower it by about {_interval(curve.twice, labelled=True)}{known}."
        )

    def _left_alone(self) -> Iterator[str]:
        worth = f"{self.worth:.0%} of the held-out {self.loss_name}"
        if self.verdict in ("fits well", "needs data"):
            yield (
                "Leave it alone: no strength is better than the network as given"
                + (f" by {worth} or more." if self.verdict == "fits well" else "; more rows are what would help.")
            )
        if self.verdict == "undecided":
            nothing = "Nothing else" if self.evidence.growth and self.evidence.growth.helps else "Nothing"
            what = " or ".join([", ".join(self.missing[:-1]), self.missing[-1]] if self.missing[1:] else self.missing)
            yield (
                f"{nothing} is shown to help, but these rows cannot rule out that {what} would help by more than "
                f"{worth}. More rows would decide it; so may more folds, or drawing them anew more often."
            )

    def _noise(self, noise: Noise) -> str:
        constant = (
            ""
            if noise.constant is None
            else f"; the best constant prediction has {figures(noise.constant)} on all rows"
        )
        lowest, honest = figures(noise.lowest), figures(noise.honest)
        alone = ": the difference is what searching alone makes look better" if noise.lowest < noise.honest else ""
        if lowest == honest:
            alone = ": searching alone makes nothing look better here"
        return (
            f"On a shuffled target, where there is nothing to learn, the lowest {self.loss_name} of the same search is"
            f" {lowest}, and {honest} on rows that had no part in choosing{alone}{constant}."
        )

    def _memorisation(self, memorisation: Memorisation) -> str:
        slow, fast = memorisation.half_learned, memorisation.half_learned_of_target
        reached = f"by epoch {slow}" if slow else f"not within {self.epochs} epochs"
        target = f"by epoch {fast}" if fast else f"not within {self.epochs} epochs"
        return (
            f"Of a shuffled target it learns by heart down to a training {self.loss_name} of "
            f"{figures(memorisation.train_loss, 2)} (chance: {figures(memorisation.chance, 2)}): half of it {reached}, "
            f"of the true target {target}."
        )


def _interval(found: Test | Interval, *, first: bool = False, labelled: bool = False) -> str:
    """An estimate with its interval; the first one, and one of another level than the last, says the level."""
    estimate = found.difference if isinstance(found, Test) else found.estimate
    level = f"{found.level * 100:.4g}% interval " if first or labelled else ""
    opening = ", " if first else " ("
    text = f"{figures(estimate, 2)}{opening}{level}{figures(found.low, 2)} to {figures(found.high, 2)}"
    return text if first else f"{text})"


def _lowers(found: Help) -> str:
    """To which loss, and by which share of it, with its interval."""
    share = found.held_out
    return f"to {figures(found.chosen_loss)}, by {share.share:.0%} ({share.low:.0%} to {share.high:.0%})"


def _change(found: Reduction, *, level: bool = False) -> str:
    """A change of the loss as a share, negative where it falls, with its interval (and the level of that)."""
    name = f"{found.test.level * 100:.4g}% interval " if level else ""
    return f"{_percent(-found.share)} ({name}{_percent(-found.high)} to {_percent(-found.low)})"


def _percent(share: float) -> str:
    return f"{share:+.0%}" if abs(share) >= 0.005 else "0%"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
