"""A training step in C and in NumPy, in turns on one core, and the share of a matrix product's speed that C reaches.

The default networks of three tables, and a wide one. A turn trains the same 8 networks for one epoch by either, and
multiplies two matrices of 512 x 512: all ratios are taken within a turn. Seconds are those of the thread.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import measuring

NETWORKS = {
    "breast cancer": ((30, 128, 64, 2), 64, 455),
    "diabetes": ((10, 128, 64, 1), 32, 353),
    "digits": ((64, 128, 64, 10), 128, 1437),
    "wide": ((64, 512, 512, 10), 128, 1437),
}
"""Units, rows of a batch, rows of an epoch."""

STRENGTHS = 8
FASTER, OF_PEAK = 1.3, 0.55
"""At least: NumPy's time over C's, and the wide network's share of a product's speed."""

PRODUCT, PRODUCTS = 512, 40
"""Rows of the square matrices, and how often they are multiplied in a turn."""

ROUNDS, QUICK_ROUNDS = 15, 2


def train(sizes: list[int], batch: int, rows: int, rounds: int) -> dict[str, Any]:
    """Train an epoch by C and by NumPy in turns; seconds of a network's step, and of a product's operation."""
    import numpy as np

    from fitwell.engine.dense_training import DenseTraining, Scratch, drawn_weights
    from fitwell.engine.fused_training import FLOAT, FusedTraining, make_training
    from fitwell.engine.losses import CLASSIFICATION, REGRESSION
    from fitwell.engine.network import DenseNetwork
    from fitwell.engine.one_core import blas_on_one_core
    from fitwell.engine.plain_losses import PLAIN_LOSSES

    rng = np.random.default_rng(0)
    network = DenseNetwork(sizes[0], tuple(sizes[1:-1]), sizes[-1])
    loss = PLAIN_LOSSES[CLASSIFICATION if sizes[-1] > 1 else REGRESSION]
    targets = rng.integers(0, sizes[-1], rows).astype("int32") if sizes[-1] > 1 else rng.normal(size=rows).astype(FLOAT)
    inputs, steps = rng.normal(size=(rows, sizes[0])).astype(FLOAT), -(-rows // batch)
    strengths = {"l2": np.geomspace(1e-5, 1e-2, STRENGTHS), "dropout": np.linspace(0, 0.5, STRENGTHS)}
    given = network, loss, strengths, np.full(STRENGTHS, 1e-3)
    in_c, in_numpy = make_training(*given, FLOAT), DenseTraining(*given, FLOAT)
    if not isinstance(in_c, FusedTraining):
        raise SystemExit("fitwell was installed without a C compiler: there is nothing to compare.")

    def clock(training: DenseTraining) -> Callable[[int], float]:
        weights = np.repeat(drawn_weights(network, (1, 2), FLOAT)[None], STRENGTHS, axis=0)
        state, scratch = [weights, np.zeros_like(weights), np.zeros_like(weights)], Scratch()

        def epoch(number: int) -> float:
            order = np.random.default_rng(number).permutation(rows)
            begin = time.thread_time()
            training.epoch(*state, number * steps, np.ones(steps), inputs, targets, order, batch, (0, number), scratch)
            return (time.thread_time() - begin) / (steps * STRENGTHS)

        return epoch

    square = rng.normal(size=(PRODUCT, PRODUCT)).astype(FLOAT)

    def multiply() -> float:
        begin = time.thread_time()
        for _ in range(PRODUCTS):
            np.matmul(square, square)
        return 2.0 * PRODUCT**3 * PRODUCTS / (time.thread_time() - begin)

    by_c, by_numpy = clock(in_c), clock(in_numpy)
    with blas_on_one_core():
        by_c(0), by_numpy(0), multiply()  # memory is touched for the first time
        turns = [(by_c(n), by_numpy(n), multiply()) for n in range(1, rounds + 1)]
    seconds, others, speeds = zip(*turns, strict=True)
    return {"c": seconds, "numpy": others, "products": speeds}


TASKS = {"train": train}


def main() -> None:
    """Measure and print."""
    options = measuring.arguments(__doc__, TASKS)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    print(measuring.heading("An epoch in C and in NumPy", options))
    rows = []
    for name, (sizes, batch, number) in NETWORKS.items():
        found = measuring.in_child(__file__, "train", sizes=list(sizes), batch=batch, rows=number, rounds=rounds)
        # forward a product, and two back
        operations = 6.0 * batch * sum(one * other for one, other in itertools.pairwise(sizes))
        faster = [other / mine for mine, other in zip(found["c"], found["numpy"], strict=True)]
        share = [operations / mine / peak for mine, peak in zip(found["c"], found["products"], strict=True)]
        rows.append(
            [
                f"{name} {'-'.join(map(str, sizes))}, {batch}",
                1e6 * statistics.median(found["numpy"]),
                1e6 * statistics.median(found["c"]),
                *measuring.against(faster, FASTER),
                1e-9 * operations / statistics.median(found["c"]),
                *(measuring.against(share, OF_PEAK) if name == "wide" else [*measuring.against(share, 0)[:2], "", ""]),
            ]
        )
    header = ["network, batch", "NumPy, us", "C, us", "NumPy over C", "range", "target", "", "C, GFLOP/s"]
    print(measuring.table([*header, "of a product's speed", "range", "target", ""], rows))
    print(f"{rounds} turns of one epoch of {STRENGTHS} networks; CPU microseconds of a network's step, on one core.")


if __name__ == "__main__":
    main()
