"""Draw docs/plots.svg, the picture of docs/report.md: ``python docs/make_plots.py`` (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer

import fitwell


def main() -> None:
    """Tune the breast cancer table and draw what that page draws."""
    result = fitwell.tune(*load_breast_cancer(return_X_y=True, as_frame=True), strengths=16)
    plt.rcParams.update({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "fitwell"})
    figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    result.plot.curves(axes[0, 0]).set_title("It learns by heart, and is kept from it")
    result.plot.path(ax=axes[0, 1:])
    result.plot.strength_map("l2", "dropout", ax=axes[1, 0])
    result.plot.importance(8, ax=axes[1, 1])
    result.plot.calibration(axes[1, 2])
    figure.savefig(Path(__file__).with_name("plots.svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
