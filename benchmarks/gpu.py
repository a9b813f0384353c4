"""The JAX engine on a GPU: its numbers against NumPy's, networks per second, share of the card's peak, Keras beside it.

Written for a card that is there for minutes only: every section is a process of its own with a time to end at, every
line is printed as it is measured, and all ends within `--seconds`. A check that fails makes the exit status 1, after
everything has been measured. `--device cpu` runs the same in tiny sizes, for trying this script out.

The networks and folds are those of the digits table, as in `digits.py`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import digits
import measuring

GIB = 2**30
BATCH_SIZE, CLASSES, FEATURES = digits.BATCH_SIZE, 10, 64


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes
    ----------
    networks
        Of the searches, from small to large.
    blocks
        Networks trained together that are compared with the engine's own choice.
    epochs
        Of every network.
    warm
        Seconds of a search above which it is not repeated with the program that is there already.
    others
        Networks of the searches that are compared with Keras and NumPy.
    rounds
        How often Keras is compared.
    product
        Rows of the square matrices whose product is the peak.
    profiled
        Networks of the blocks whose kernels are counted.
    strengths
        Of the answers: the default, and many.
    """

    networks: tuple[int, ...] = (1, 10, 100, 1000, 10_000, 100_000)
    blocks: tuple[int, ...] = (1000, 10_000)
    epochs: int = 10
    warm: float = 2.0
    others: int = 1000
    rounds: int = 3
    product: int = 8192
    profiled: tuple[int, ...] = (40, 1000)
    strengths: tuple[int, ...] = (32, 320)


TINY = Size(
    networks=(1, 10, 100),
    blocks=(50,),
    epochs=2,
    warm=1.0,
    others=10,
    rounds=1,
    product=512,
    profiled=(10,),
    strengths=(4,),
)
SIZES = {"gpu": Size(), "cpu": TINY}

WIDTHS = {"32-16": (32, 16), "128-64": (128, 64), "512-256": (512, 256)}
"""Units of the hidden layers, between 64 features and 10 classes."""


@dataclass(frozen=True)
class Asked:
    """What a section's process is told.

    Attributes
    ----------
    device
        `gpu` or `cpu`.
    until
        `time.time()` at which it is to be done.
    width
        One of `WIDTHS`, where a section is about one.
    """

    device: str
    until: float
    width: str = ""

    @property
    def size(self) -> Size:
        """How much is measured."""
        return SIZES[self.device]

    @property
    def left(self) -> float:
        """Seconds until it is to be done."""
        return self.until - time.time()


def say(text: str = "") -> None:
    """Print a line now: the process may be stopped at any time."""
    print(text, flush=True)


def say_row(values: Iterable[Any]) -> None:
    """Print a line of a Markdown table."""
    say("| " + " | ".join(measuring.cell(value) for value in values) + " |")


def say_header(names: str) -> None:
    """Print the head of a Markdown table; semicolons part its columns."""
    columns = [name.strip() for name in names.split(";")]
    say_row(columns)
    say_row(["---"] * len(columns))


# The search


def row_sets_of(networks: int, target: Any) -> Any:
    """Five folds, or one of them for a single network."""
    from fitwell.data.row_sets import from_splitter

    pairs = list(digits.splitter().split(target, target))
    return from_splitter(pairs[: min(networks, digits.FOLDS)], len(target))


def make_job(hidden: Sequence[int], networks: int) -> Any:
    """So many networks on digits: folds times strengths."""
    import numpy as np

    from fitwell.engine.executor import Job
    from fitwell.engine.job import Dataset
    from fitwell.engine.losses import CLASSIFICATION
    from fitwell.engine.network import DenseNetwork
    from fitwell.regularization.grids import sobol

    inputs, target = digits.load()
    row_sets = row_sets_of(networks, target)
    dataset = Dataset(inputs, target, False, np.zeros(row_sets.count), np.ones(row_sets.count))
    candidates = sobol(networks // row_sets.count, learning_rate=digits.LEARNING_RATE)
    return Job(DenseNetwork(FEATURES, tuple(hidden), CLASSES), dataset, row_sets, candidates, CLASSIFICATION)


class Timed:
    """An executor with a clock at each verb; the rest of a search is Python that records and decides."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor
        self.seconds: dict[str, float] = {"start": 0.0, "advance": 0.0, "repack": 0.0, "read": 0.0}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def start(self, strengths: Any) -> Any:
        """See `Executor`; with compilation the first time."""
        return self._clocked("start", self.executor.start, strengths)

    def advance(self, blocks: Any, first: int, count: int) -> tuple[Any, Iterator[Any]]:
        """See `Executor`; what is counted is the wait for what was trained."""
        advanced, epochs = self._clocked("advance", self.executor.advance, blocks, first, count)
        return advanced, self._each(iter(epochs))

    def repack(self, blocks: Any, strengths: Any) -> Any:
        """See `Executor`."""
        return self._clocked("repack", self.executor.repack, blocks, strengths)

    def read(self, blocks: Any, strengths: Any) -> Any:
        """See `Executor`."""
        return self._clocked("read", self.executor.read, blocks, strengths)

    def _each(self, epochs: Iterator[Any]) -> Iterator[Any]:
        nothing = object()
        while (one := self._clocked("advance", next, epochs, nothing)) is not nothing:
            yield one

    def _clocked(self, name: str, run: Callable[..., Any], *arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return run(*arguments)
        finally:
            self.seconds[name] += time.perf_counter() - begin


def train_once(executor: Any, job: Any, settings: Any) -> dict[str, Any]:
    """Train a search as `train_all` does; an executor that has trained before compiles nothing."""
    from fitwell.engine.training import Training

    timed: Any = Timed(executor)
    compiled = executor.compile_seconds
    begin = time.perf_counter()
    training = Training(job, timed, executor.plan, settings, None, None)
    for wave in executor.plan.waves:
        training.train_wave(training.begin_wave(wave))
    training.check_some_trained()
    compile_seconds = executor.compile_seconds - compiled
    seconds = time.perf_counter() - begin - compile_seconds
    parts = {**timed.seconds, "start": timed.seconds["start"] - compile_seconds}
    accuracy = training.curves[3][..., -1]
    return {"seconds": seconds, "compile": compile_seconds, "parts": parts, "best": training.best, "accuracy": accuracy}


def train(
    hidden: Sequence[int], networks: int, epochs: int, *, block: int | None = None, engine: str = "jax", warm: float = 0
) -> dict[str, Any]:
    """Train a search by an engine, once more if that took less than `warm` seconds, and measure the best networks."""
    import numpy as np

    from fitwell.engine.engines import executor_of
    from fitwell.engine.job import Settings

    job = make_job(hidden, networks)
    settings = Settings(epochs=epochs, batch_size=BATCH_SIZE, stopping=None)
    settings = settings if block is None else replace(settings, block_networks=block)
    executor = executor_of(engine)(job, settings, False)
    found = train_once(executor, job, settings)
    compile_seconds, cold = found["compile"], found["seconds"]
    if cold < warm:
        found = train_once(executor, job, settings)
    begin = time.perf_counter()
    for _ in executor.measure(found["best"]):
        pass
    plan = executor.plan
    return {
        **found,
        "compile": compile_seconds,
        "cold": cold,
        "measure": time.perf_counter() - begin,
        "networks": plan.networks,
        "block": plan.row_sets * plan.block_strengths,
        "waves": len(plan.waves),
        "planned": plan.memory,
        "operations": operations(job, plan),
        "accuracy": float(np.nanmedian(found["accuracy"])),
        "threads": plan.devices,
    }


def operations(job: Any, plan: Any) -> float:
    """Floating point operations of all matrix products of a search.

    In a step one forward and two back, but for the inputs, which have no gradient; after an epoch one forward, of the
    held-out rows and of as many training rows.
    """
    sizes = job.network.sizes
    every = sum(one * other for one, other in itertools.pairwise(sizes))
    step = plan.batch_size * (6.0 * every - 2.0 * sizes[0] * sizes[1])
    measured = 2.0 * every * 2 * int(job.row_sets.n_held_out.max())
    return plan.networks * plan.epochs * (plan.steps * step + measured)


# The device


def device_of(asked: Asked) -> Any:
    """Return the device, or fail loudly if it is of another kind."""
    import jax

    device = jax.local_devices()[0]
    if device.platform != asked.device:
        raise SystemExit(f"JAX's first device is of the kind '{device.platform}', not '{asked.device}'.")
    return device


def peak_memory(device: Any) -> int | None:
    """Most bytes of the device's memory that this process has used."""
    statistics_ = device.memory_stats()
    return statistics_.get("peak_bytes_in_use") if statistics_ else None


def measure_peak(rows: int, precision: str) -> tuple[float, float]:
    """Operations a second of a float32 product of square matrices, and its error against float64."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    generator = np.random.default_rng(0)
    one, other = (generator.normal(size=(rows, rows)).astype(np.float32) for _ in range(2))
    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
    left, right = jax.device_put(one), jax.device_put(other)
    found = jax.block_until_ready(multiply(left, right))
    few = one[:32].astype(float) @ other
    error = float(np.linalg.norm(np.asarray(found[:32], float) - few) / np.linalg.norm(few))
    return 2.0 * rows**3 / _seconds(lambda: multiply(left, right)), error


def measure_copy(device: Any, size: int) -> float:
    """Bytes a second that the device's memory moves, read and written."""
    import jax
    import jax.numpy as jnp

    array = jax.device_put(jnp.ones(size // 4, jnp.float32), device)
    double = jax.jit(lambda a: a * 2)
    jax.block_until_ready(double(array))
    return 2.0 * size / _seconds(lambda: double(array))


def _seconds(run: Callable[[], Any], together: int = 20, repeats: int = 5) -> float:
    """Seconds of a call, several on their way at once; the median of all but the first, in which clocks rise."""
    import jax

    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(together - 1):
            run()
        jax.block_until_ready(run())
        found.append((time.perf_counter() - begin) / together)
    return statistics.median(found[1:])


PEAKS = {"as JAX multiplies by default": "default", "float32 throughout": "highest"}
"""Of a GPU the default is TF32: float32 whose factors are rounded to 11 bits."""


def section_peaks(asked: Asked) -> None:
    """Speed of one large product, which all shares are of."""
    device = device_of(asked)
    say_header(f"product of {asked.size.product} x {asked.size.product}; TFLOP/s; error against float64")
    for name, precision in PEAKS.items():
        speed, error = measure_peak(asked.size.product, precision)
        say_row([name, 1e-12 * speed, f"{error:.1e}"])
    copied = measure_copy(device, GIB if asked.device == "gpu" else GIB // 16)
    say(f"\nMemory moves {1e-9 * copied:,.0f} GB/s, read and written. Device: {device.device_kind}.")


# Section 1: the same numbers


class Checks:
    """Prints each check as it is made, and knows whether one has failed."""

    def __init__(self) -> None:
        self.failed = 0
        say_header("check; found; expected; ")

    def at_most(self, what: str, found: float, most: float) -> None:
        """Check that a difference is small; NaN is not."""
        self._say(what, f"{found:.1e}", f"at most {most:.0e}" if most else "0", found <= most)

    def more_than(self, what: str, found: float, least: float) -> None:
        """Check that a deliberate break is seen."""
        self._say(what, f"{found:.1e}", f"more than {least:.0e}", found > least)

    def _say(self, what: str, found: str, expected: str, passed: bool) -> None:
        self.failed += not passed
        say_row([what, found, expected, "pass" if passed else "**FAIL**"])


@dataclass(frozen=True)
class Problem:
    """A small search, three folds times eight strengths, and what is changed of it."""

    dtype: str = "float64"
    engine: str = "jax"
    only: tuple[int, ...] = tuple(range(8))
    block: int | None = 8
    epochs: int = 3
    seed: int = 0
    wild: int | None = None  # this strength diverges
    shuffled: str = ""  # `held_out` or `train`: these rows of the first fold get other targets

    def trained(self) -> Any:
        """Train it."""
        from fitwell.engine.training import train_all

        job, settings = self.job(), self.settings()
        parts = (job.network, job.dataset, job.row_sets, job.candidates)
        return train_all(*parts, loss=job.loss, settings=settings)

    def settings(self) -> Any:
        """How it is trained."""
        from fitwell.engine.engines import executor_of
        from fitwell.engine.job import Settings

        return Settings(
            epochs=self.epochs,
            batch_size=BATCH_SIZE,
            stopping=None,
            seed=self.seed,
            call_epochs=2,
            block_strengths=self.block,
            executor=executor_of(self.engine),
        )

    def job(self) -> Any:
        """What is trained."""
        import numpy as np

        from fitwell.data.row_sets import from_splitter
        from fitwell.engine.executor import Job
        from fitwell.engine.job import Dataset
        from fitwell.engine.losses import CLASSIFICATION
        from fitwell.engine.network import DenseNetwork

        inputs, target = digits.load()
        row_sets = from_splitter(list(digits.splitter().split(target, target))[:3], len(target))
        if self.shuffled:
            rows = getattr(row_sets, self.shuffled)[0]
            target = target.copy()
            target[rows] = np.random.default_rng(1).permutation(target[rows])
        dataset = Dataset(inputs.astype(self.dtype), target, False, np.zeros(3), np.ones(3))
        network = DenseNetwork(FEATURES, WIDTHS["32-16"], CLASSES)
        return Job(network, dataset, row_sets, self._candidates(), CLASSIFICATION)

    def _candidates(self) -> Any:
        import numpy as np

        from fitwell.regularization.strengths import Candidates

        rates = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 3e-3, 2e-3, 1e-2])
        if self.wild is not None:
            rates[self.wild] = 1e300
        strengths = {
            "l1": np.array([0, 1e-3, 0, 0, 0, 3e-3, 3e-4, 1e-4]),
            "l2": np.array([0, 0, 1e-2, 0, 0, 1e-3, 3e-2, 1e-1]),
            "dropout": np.array([0, 0, 0, 0.4, 0, 0.2, 0.5, 0.1]),
            "weight_dropout": np.array([0, 0, 0, 0, 0.3, 0.2, 0.1, 0.5]),
        }
        return Candidates(strengths, rates).take(list(self.only))


def difference(one: Any, other: Any, at: Any = slice(None)) -> float:
    """Largest relative difference of the held-out and training losses of some strengths."""
    import numpy as np

    pairs = [(getattr(one.histories, name)[:, at], getattr(other.histories, name)) for name in LOSSES]
    return float(max(np.max(abs(a - b) / abs(b)) for a, b in pairs))


LOSSES = ("train_loss", "held_out_loss")


def other_bits(one: Any, other: Any, r: Any = slice(None), g: Any = slice(None)) -> int:
    """How many of the best networks' numbers are not the same to the last bit."""
    import numpy as np

    from fitwell.trees import tree_leaves

    pairs = zip(tree_leaves(one.best), tree_leaves(other.best), strict=True)
    return sum(int(np.sum(a[r][:, g].view(np.uint8) != b[r][:, g].view(np.uint8))) for a, b in pairs)


def elsewhere(problem: Problem, device: Any) -> tuple[int, float]:
    """How many arrays of a block in training, of its data or strengths are not on the one device alone.

    The second is the seconds that compilation took.
    """
    import jax
    import numpy as np

    from fitwell.engine.jax_executor import JaxExecutor

    executor = JaxExecutor(problem.job(), problem.settings())
    blocks, _ = executor.advance(executor.start(np.arange(8)), 0, 1)
    leaves = jax.tree.leaves([(block.state, block.values) for block in blocks] + [executor._data, executor._rows])
    count = sum(leaf.devices() != {device} for leaf in leaves) + (executor.plan.devices != 1)
    return count, executor.compile_seconds


def section_checks(asked: Asked) -> None:
    """Equalities that hold on the device; each kind with a deliberate break that is seen."""
    import jax

    device, checks = device_of(asked), Checks()
    one = Problem()
    with jax.enable_x64(True):
        count, compile_seconds = elsewhere(one, device)
        checks.at_most("arrays that are not on the one device", count, 0)
        together = one.trained()
        by_numpy = replace(one, engine="numpy").trained()
        checks.at_most(
            "losses by JAX there and by NumPy on the processor, float64", difference(together, by_numpy), 1e-9
        )
        other = replace(one, engine="numpy", seed=1).trained()
        checks.more_than("the same, NumPy with another seed", difference(together, other), 1e-3)
        for g in (0, 5):
            alone = replace(one, only=(g,), block=1).trained()
            checks.at_most(f"losses of strength {g} among 8 and alone", difference(together, alone, [g]), 1e-9)
        checks.more_than("the same, strength 6 among 8", difference(together, alone, [6]), 1e-3)
        checks.at_most("one block of 8 and four of 2", difference(together, replace(one, block=2).trained()), 1e-9)
        again = one.trained()
        checks.at_most("bytes of the best networks that differ, trained again", other_bits(again, together), 0)
        _check_bits(checks, one, together)
    _check_float32(checks)
    say(
        f"\nThe program took {compile_seconds:.2g} s to be compiled, and {again.seconds['compile']:.2g} s when it was "
        "in the directory of programs."
    )
    if checks.failed:
        raise SystemExit(f"{checks.failed} checks failed.")


def _check_bits(checks: Checks, one: Problem, together: Any) -> None:
    wild = replace(one, wild=4).trained()
    if not wild.histories.diverged[:, 4].all():
        raise SystemExit("The network that was to diverge did not.")
    others = [g for g in range(8) if g != 4]
    checks.at_most("the same, beside one that diverges", other_bits(wild, together, g=others), 0)
    short = replace(one, epochs=1)
    before = short.trained()
    for rows, check in (("held_out", checks.at_most), ("train", checks.more_than)):
        changed = other_bits(replace(short, shuffled=rows).trained(), before, r=slice(1))
        check(f"the same of fold 1, with other targets in its {rows.replace('_', '-')} rows", changed, 0)


def _check_float32(checks: Checks) -> None:
    import jax

    one = Problem(dtype="float32")
    by_numpy = replace(one, engine="numpy").trained()
    with jax.default_matmul_precision("highest"):
        checks.at_most("losses by JAX and by NumPy, float32 throughout", difference(one.trained(), by_numpy), 1e-3)
    checks.at_most("the same, as JAX multiplies by default", difference(one.trained(), by_numpy), 5e-2)


# Section 2: networks per second


def section_networks(asked: Asked) -> None:
    """Searches from small to large, in the engine's own blocks and in larger ones; NumPy beside them."""
    device, size, hidden = device_of(asked), asked.size, WIDTHS[asked.width]
    peaks = [measure_peak(size.product, precision)[0] for precision in PEAKS.values()]
    say(f"\n64-{asked.width}-10; peaks in this process: {1e-12 * peaks[0]:.3g} and {1e-12 * peaks[1]:.3g} TFLOP/s.\n")
    say_header(NETWORKS_HEADER)
    rates: dict[int | None, float] = {}
    for networks in size.networks:
        larger = [block for block in size.blocks if block <= networks]
        # many networks take long: the fastest blocks until here, and those that were not tried before
        fastest = min(rates, key=lambda block: rates[block], default=None)
        fresh = [block for block in larger if block not in rates]
        for block in (None, *larger) if networks <= size.others else dict.fromkeys((fastest, *fresh)):
            smaller = [b for b in rates if (b or 0) <= (block or 0)] if block not in rates else [block]
            expected = networks * rates[smaller[-1]] if smaller else 0.0
            if expected > asked.left:
                say_row(["JAX", networks, block or "own", f"left out: about {expected:,.0f} s"])
            elif found := tried(lambda n=networks, b=block: train(hidden, n, size.epochs, block=b, warm=size.warm)):
                rates[block] = found["cold"] / networks
                say_row(networks_row("JAX", found, peaks, peak_memory(device)))
        if networks == size.others:
            by_numpy = train(hidden, networks, size.epochs, engine="numpy")
            say_row(networks_row(f"NumPy, {by_numpy['threads']} cores", by_numpy, None, None))


NETWORKS_HEADER = (
    "engine; networks; in blocks of; waves; s of compilation; training; of it start; waiting; reading; the rest; "
    "measuring; networks/s; TFLOP/s; share of the product by default; of float32's; plan GiB; most used until here GiB"
)


def networks_row(engine: str, found: dict[str, Any], peaks: Sequence[float] | None, memory: int | None) -> list[Any]:
    """Cells of a search."""
    speed = found["operations"] / found["seconds"]
    parts = [found["parts"][name] for name in ("start", "advance", "read")]
    parts.append(found["seconds"] - sum(parts))
    return [
        *(engine, found["networks"], found["block"], found["waves"], found["compile"], found["seconds"], *parts),
        *(found["measure"], found["networks"] / found["seconds"], 1e-12 * speed),
        *((f"{100 * speed / peak:.2g}%" for peak in peaks) if peaks else ("", "")),
        *(found["planned"] / GIB, memory / GIB if memory else None),
    ]


def tried(run: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Run it; memory that does not suffice is a row, and no end of the section."""
    import jax

    from fitwell.errors import TrainingError

    try:
        return run()
    except (TrainingError, MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        say_row(["JAX", f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"])
        return None


# Section 3: Keras beside it


def section_keras(asked: Asked) -> None:
    """Keras's `fit` and a search on the same device, in turns."""
    import keras

    device_of(asked)
    if keras.backend.backend() != "jax":
        raise SystemExit(f"Keras runs on {keras.backend.backend()}, not on JAX.")
    size, (inputs, target) = asked.size, digits.load()
    folds = list(digits.splitter().split(inputs, target))
    fit_keras(keras, (8,), inputs, target, folds[0], size.epochs)  # what the first fit of a process costs is no model's
    say_header(KERAS_HEADER)
    ratios: dict[str, list[list[float]]] = {}
    rounds = itertools.product(range(size.rounds), WIDTHS.items())
    for number, (name, hidden) in rounds:
        if asked.left < 5:
            break
        whole, compiled, accuracy = fit_keras(keras, hidden, inputs, target, folds[number], size.epochs)
        ours = train(hidden, size.others, size.epochs)
        mine, trained = (ours["compile"] + ours["cold"]) / size.others, ours["cold"] / size.others
        pair = [whole / mine, compiled / trained]
        ratios.setdefault(f"64-{name}-10", []).append(pair)
        say_row([name, whole, compiled, accuracy, ours["networks"], mine, trained, ours["accuracy"], *pair])
    say()
    say_header("Keras / fitwell, seconds per network; rounds; all counted; range; no compilation; range")
    for name, pairs in ratios.items():
        found = [(statistics.median(each), measuring.spread(each)) for each in zip(*pairs, strict=True)]
        say_row([name, len(pairs), *itertools.chain.from_iterable(found)])


KERAS_HEADER = (
    "network; Keras s; without compilation; accuracy; fitwell networks; s per network; without compilation; "
    "median accuracy; Keras / fitwell; without compilation"
)


def fit_keras(
    keras: Any, hidden: Sequence[int], inputs: Any, target: Any, fold: Any, epochs: int
) -> tuple[float, float, float]:
    """Fit a network: seconds, seconds without compilation, accuracy of the last epoch."""
    train, held_out = fold
    moments: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: moments.append(time.perf_counter()))
    begin = time.perf_counter()
    l2 = keras.regularizers.L2(digits.L2)
    model = keras.Sequential([keras.Input((FEATURES,))])
    for units in hidden:
        model.add(keras.layers.Dense(units, activation="relu", kernel_regularizer=l2))
        model.add(keras.layers.Dropout(digits.DROPOUT))
    model.add(keras.layers.Dense(CLASSES, kernel_regularizer=l2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(digits.LEARNING_RATE), loss=loss, metrics=["accuracy"])
    history = model.fit(
        inputs[train],
        target[train],
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=(inputs[held_out], target[held_out]),
        callbacks=[clock],
        verbose=0,
    )
    seconds = time.perf_counter() - begin
    # compiled in the first epoch: the others tell what training alone takes
    later = (moments[-1] - moments[0]) / (epochs - 1) * epochs
    return seconds, later, float(history.history["val_accuracy"][-1])


# Section 4: where the time goes


def section_kernels(asked: Asked) -> None:
    """Epochs of one block, and their kernels: how many, how long, and how much of the time the device is at work."""
    device_of(asked)
    peak = measure_peak(asked.size.product, "default")[0]
    say_header(KERNELS_HEADER)
    for block, name in itertools.product(asked.size.profiled, WIDTHS):
        if asked.left < 10:
            say("\nThe others were left out, for the time was over.")
            return
        say_row([f"64-{name}-10", block, *kernels_of(WIDTHS[name], block, peak)])


KERNELS_HEADER = (
    "network; block; ms an epoch; us a network and step; TFLOP/s; share of the product by default; kernels an epoch; "
    "median us; device at work; longest kernels"
)


def kernels_of(hidden: Sequence[int], block: int, peak: float) -> list[Any]:
    """Train a block, and once more while the profiler, which slows launches down, looks at its kernels."""
    import jax
    import numpy as np

    from fitwell.engine.jax_executor import JaxExecutor
    from fitwell.engine.job import Settings

    job, count = make_job(hidden, block), 5
    settings = Settings(epochs=4 * count, batch_size=BATCH_SIZE, stopping=None, block_networks=block, call_epochs=count)
    executor = JaxExecutor(job, settings)
    blocks = executor.start(np.arange(job.candidates.count))

    def epochs(number: int) -> float:
        nonlocal blocks
        begin = time.perf_counter()
        blocks, done = executor.advance(blocks, number * count, count)
        for _ in done:
            pass
        return (time.perf_counter() - begin) / count

    epochs(0)
    seconds = min(epochs(1), epochs(2))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            epochs(3)
        kernels = list(_kernels(folder))
    speed = operations(job, executor.plan) / executor.plan.epochs / seconds
    step = 1e6 * seconds / executor.plan.steps / executor.plan.networks
    cells = [1e3 * seconds, step, 1e-12 * speed, f"{100 * speed / peak:.2g}%"]
    if not kernels:  # a processor has none
        return [*cells, None, None, None, None]
    spent: dict[str, float] = {}
    for kernel, took in kernels:
        spent[kernel] = spent.get(kernel, 0.0) + took
    total = sum(spent.values())
    longest = sorted(spent.items(), key=lambda item: -item[1])[:4]
    return [
        *(*cells, round(len(kernels) / count), 1e6 * statistics.median(took for _, took in kernels)),
        f"{100 * total / count / seconds:.0f}%",
        "; ".join(f"{kernel[:40]} {100 * took / total:.0f}%" for kernel, took in longest),
    ]


def _kernels(folder: str) -> Iterator[tuple[str, float]]:
    """Names and seconds of all that ran on the device."""
    import jax

    for file in Path(folder).rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for line in plane.lines if plane.name.startswith("/device:GPU") else ():
                if line.name.startswith("Stream"):
                    yield from ((event.name, event.duration_ns * 1e-9) for event in line.events)


# Section 5: answers


def section_answers(asked: Asked) -> None:
    """`tune` as a person calls it, all defaults, by the engine that it chooses and by NumPy on the processor."""
    import fitwell

    device_of(asked)
    inputs, target = digits.load()
    say_header("`tune`, all defaults; strengths; s; score on new rows; chosen")
    for strengths in asked.size.strengths:
        for name, engine in ENGINES.items():
            if strengths > asked.size.strengths[0] and name == "JAX":
                continue  # blocks have the same shape, so the programs are there
            begin = time.perf_counter()
            found = fitwell.tune(inputs, target, task="classification", strengths=strengths, engine=engine)
            say_row([name, strengths, time.perf_counter() - begin, found.score, found.regularization])


ENGINES: dict[str, Literal["jax", "numpy"]] = {
    "JAX": "jax",
    "JAX, programs kept": "jax",
    "NumPy on the processor": "numpy",
}

SECTIONS: dict[str, tuple[str, Callable[[Asked], None], tuple[str, ...], float]] = {
    "peaks": ("Peak", section_peaks, ("",), 20),
    "checks": ("The same numbers", section_checks, ("",), 65),
    "networks": ("Networks per second", section_networks, tuple(WIDTHS), 65),
    "keras": ("Keras on the same device", section_keras, ("",), 80),
    "kernels": ("Where the time goes", section_kernels, ("",), 45),
    "answers": ("Answers", section_answers, ("",), 55),
}
"""Title, what runs, once for each width or once, and seconds of 480 that each of them may take."""


def run_section(name: str, asked: Asked, folder: str) -> bool:
    """Run a section in a process of its own, and stop it when its time is over."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "FITWELL_CACHE": folder}
    if name == "keras":
        environment["FITWELL_CACHE"] = "off"  # compilation counts for both
    if asked.device == "cpu":
        environment |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    told = json.dumps({"device": asked.device, "until": asked.until, "width": asked.width})
    command = [sys.executable, str(Path(__file__).resolve()), "--child", name, told]
    try:
        # a little beyond its time: it looks at the clock itself between two measurements
        return subprocess.run(command, env=environment, timeout=max(1.0, asked.left + 10)).returncode == 0
    except subprocess.TimeoutExpired:
        say("\nStopped here: the time was over.")
        return True


def card() -> str:
    """Describe the card and its driver."""
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True)
    except OSError:
        return "no NVIDIA card"
    return f"card, memory and driver: {done.stdout.strip() or done.stderr.strip()}"


def versions() -> str:
    """List the versions of what is measured."""
    names = ("jax", "jaxlib", "jax-cuda13-plugin", "nvidia-cublas", "keras", "optax", "numpy", "scikit-learn", "polars")
    found = [f"Python {sys.version.split()[0]}"]
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def read_arguments() -> argparse.Namespace:
    """Read the command line; in a child process, run its section and leave."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=tuple(SIZES), default="gpu", help="cpu: tiny sizes, shows that it runs")
    parser.add_argument("--seconds", type=float, default=480.0, help="of all sections together")
    parser.add_argument("--only", choices=tuple(SECTIONS), nargs="+", default=list(SECTIONS), help="these sections")
    parser.add_argument("--child", nargs=2, metavar=("SECTION", "JSON"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, told = options.child
        SECTIONS[name][1](Asked(**json.loads(told)))
        sys.exit()
    return options


def main() -> None:
    """Measure and print."""
    options = read_arguments()
    begin = time.time()
    tiny = " (--device cpu: these numbers mean nothing)" if options.device == "cpu" else ""
    say(f"## A GPU{tiny}\n\n{measuring.machine()}; {card()}\n\n{versions()}\n")
    asked = [(name, width) for name in options.only for width in SECTIONS[name][2]]
    shares = [SECTIONS[name][3] for name, _ in asked]
    failed, last = [], ""
    for (name, width), until in zip(asked, itertools.accumulate(shares), strict=True):
        if name != last:
            say(f"\n### {SECTIONS[name][0]}\n")
        with tempfile.TemporaryDirectory() as folder:
            end = begin + options.seconds * until / sum(shares)
            if not run_section(name, Asked(options.device, end, width), folder):
                failed.append(f"{name} {width}".strip())
        last = name
    say(f"\n{time.time() - begin:.0f} s in all.")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
