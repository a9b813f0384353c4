"""What a diagnosis found, as numbers: the verdict, the tests it rests on, and what further trainings showed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fitwell.analysis.intervals import Interval, Test
from fitwell.analysis.learning_curve import PowerLaw
from fitwell.analysis.verdict import Evidence, Help, Reduction, Verdict
from fitwell.engine.ending import Ended
from fitwell.engine.plan import Plan
from fitwell.regularization.strengths import Regularization


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
    lowest
        Lowest training loss of either target: as far down as it came. (Zero is no bound of every loss.)
    half_learned, half_learned_of_target
        First epoch at which the training loss is below the middle of `chance` and `lowest`, of the shuffled target and
        of the true one; None if there is none.
    """

    chance: float
    train_loss: float
    lowest: float
    half_learned: int | None
    half_learned_of_target: int | None


@dataclass(frozen=True)
class AsGiven:
    """The network as given, at its last epoch.

    Attributes
    ----------
    train_loss, held_out_loss
        Means over row sets.
    gap
        Held-out minus training loss with its interval. It is shown and decides nothing.
    epochs, turned
        Epochs trained, and the epoch at which the mean held-out loss was lowest; None if that was the last.
    regularization
        What it has.
    """

    train_loss: float
    held_out_loss: float
    gap: Test
    epochs: int
    turned: int | None
    regularization: Regularization


@dataclass(frozen=True)
class Findings:
    """A verdict and all numbers behind it.

    Attributes
    ----------
    verdict, evidence
        The word, the cure, and the tests.
    as_given
        The network that was judged.
    chosen, chosen_number
        Regularization of the cure (as given, if the network does not overfit), and its number among the candidates.
    learning_curve, noise, memorisation
        None where not asked for, or where they could not be had.
    asked
        Which of these were asked for.
    looks
        How many repeats of the folds there were at each look; the last decided.
    loss_name, level, worth
        What was measured, the level of all intervals, and the share of the loss that is worth acting on.
    ended, plan
        That the search was ended before its epochs were over, and how it was cut; None where nothing is known of it.
    """

    verdict: Verdict
    evidence: Evidence
    as_given: AsGiven
    chosen: Regularization
    chosen_number: int
    learning_curve: LearningCurve | None
    noise: Noise | None
    memorisation: Memorisation | None
    asked: frozenset[str]
    loss_name: str
    level: float
    worth: float
    looks: tuple[int, ...] = (1,)
    ended: Ended | None = None
    plan: Plan | None = None

    @property
    def hurried(self) -> bool:
        """Whether a further training may be missing because there was no time for it."""
        return self.ended is not None or (self.plan is not None and self.plan.budget > 0)
