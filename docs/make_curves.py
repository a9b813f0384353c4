"""Draw docs/curves.svg, the picture of the README: ``python docs/make_curves.py`` (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

import fitwell
from fitwell.results.result import Result

COLOURS = {"unregularized": "#b3452c", "chosen": "#1f5fa8"}


def main() -> None:
    """Tune the breast cancer table without letting strengths leave early, and draw two of its strengths."""
    x, y = load_breast_cancer(return_X_y=True)
    result = fitwell.tune(x, y, epochs=100, patience=100, seed=0)
    chosen = next(g for g in result.search.histories.order if result.search.histories.epochs[g] == 100)
    plt.rcParams.update({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "fitwell"})
    figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    draw(axes, result, 0, "unregularized", "no regularization")
    draw(axes, result, int(chosen), "chosen", str(result.search.candidates.regularization(int(chosen))))
    axes.set(yscale="log", xlabel="epoch", ylabel="log loss, mean of 5 folds", xlim=(1, 100))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(Path(__file__).with_name("curves.svg"), metadata={"Date": None})


def draw(axes: plt.Axes, result: Result, strength: int, colour: str, label: str) -> None:
    """Draw a strength's held-out loss with its best epoch, and its training loss."""
    held_out = result.search.histories.held_out_loss[:, strength].mean(axis=0)
    train = result.search.histories.train_loss[:, strength].mean(axis=0)
    epochs = np.arange(1, len(held_out) + 1)
    axes.plot(epochs, held_out, color=COLOURS[colour], label=f"held-out rows, {label}")
    axes.plot(epochs, train, color=COLOURS[colour], linestyle=":", label=f"training rows, {label}")
    best = result.search.histories.best_epoch[strength] - 1
    axes.plot(epochs[best], held_out[best], "o", color=COLOURS[colour], markersize=5)


if __name__ == "__main__":
    main()
