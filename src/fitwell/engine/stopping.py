"""Who goes on training: decisions on the mean over row sets, taken by all strengths together. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stopping:
    """When strengths leave a search.

    Attributes
    ----------
    patience
        A strength leaves when its held-out loss has not improved for this many epochs.
    halvings
        After these epochs the worse half of the strengths still running leaves (successive halving, Jamieson and
        Talwalkar, AISTATS 2016). Empty: none leaves.
    finalists
        At least this many strengths survive every halving, and the search ends once the best this many have left.
    to_the_end
        Whether the protected strengths train for all epochs, so that what the last epoch does to them is known.
    """

    patience: int = 15
    halvings: tuple[int, ...] = (10, 25, 60)
    finalists: int = 4
    to_the_end: bool = False


def still_running(
    rules: Stopping,
    running: np.ndarray,
    best_loss: np.ndarray,
    best_epoch: np.ndarray,
    before: int,
    after: int,
    *,
    protected: tuple[int, ...] = (0,),
) -> np.ndarray:
    """Return which strengths train on after the epochs `before` to `after`.

    Protected strengths (the unregularized network, and the network as given) are never halved away: they leave when
    they stop improving, or not at all. Strengths that are in memory at different times (waves) are asked about
    separately: each wave halves and ends by itself.

    Parameters
    ----------
    running
        bool [G], who trained until now.
    best_loss, best_epoch
        [G], of the mean over row sets; infinite for a strength that diverged.
    before, after
        Epochs done before and after the last call.
    protected
        Numbers of the protected strengths among those asked about.
    """
    improving = np.isfinite(best_loss) & (after - best_epoch < rules.patience)
    kept = np.zeros_like(running)
    kept[list(protected)] = rules.to_the_end & np.isfinite(best_loss[list(protected)])
    staying = running & (improving | kept)
    # a call trains several epochs, so a halving's epoch may lie inside it
    if any(before < epoch <= after for epoch in rules.halvings):
        staying &= _better_half(rules, running, best_loss, protected)
    # among all, those that left too: no rest may train on that is behind the ones that are done
    leaders = np.argsort(best_loss, kind="stable")[: rules.finalists]
    if not staying[leaders].any() and not staying[list(protected)].any():
        return np.zeros_like(running)
    return staying


def _better_half(rules: Stopping, running: np.ndarray, best_loss: np.ndarray, protected: tuple[int, ...]) -> np.ndarray:
    # stable: of equals the first stays, on every machine
    order = [g for g in np.argsort(best_loss, kind="stable") if running[g]]
    kept = np.zeros_like(running)
    # half is rounded up: of three, two stay
    kept[order[: max(rules.finalists, -(-len(order) // 2))]] = True
    kept[list(protected)] = True
    return kept
