"""What a search says of overfitting, from what it trained anyway."""

from __future__ import annotations

from dataclasses import dataclass

from fitwell.analysis.verdict import Help, Reduction


@dataclass(frozen=True)
class SearchVerdict:
    """Whether the network as given overfits, and what cures it, as far as a search can say.

    The tests are those of `fitwell.diagnose`, which besides trains the network to its last epoch, tries larger ones and
    fewer rows, and draws the folds anew. So a search says "overfits", or that it does not show it, and never that a
    network fits well.

    Attributes
    ----------
    cure
        `"regularization"` or `"fewer epochs"`; `""` where no strength and no earlier epoch surely helps.
    search, earlier
        Of all strengths and epochs, and of earlier epochs alone, against the network as given at its last epoch.
    beyond
        How much lower the held-out loss is with the strengths than with fewer epochs alone.
    epochs
        Epochs that the network as given was trained for.
    best_epoch
        Where its held-out loss was lowest.
    """

    cure: str
    search: Help
    earlier: Help
    beyond: Reduction
    epochs: int
    best_epoch: int

    @property
    def overfits(self) -> bool:
        """Whether some strength, or an earlier epoch, surely has a lower held-out loss."""
        return self.search.helps
