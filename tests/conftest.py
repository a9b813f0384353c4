"""Strict JAX, seeds on demand, and a small problem for all tests.

Two CPU devices must be asked for before JAX starts; warnings are errors by
`pyproject.toml`.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import jax
import numpy as np
import pytest
from example_tables import QUICK, mixed

from fitwell.api.tune import tune
from fitwell.data.row_sets import RowSets
from fitwell.engine.job import Dataset
from fitwell.engine.losses import CLASSIFICATION, REGRESSION, Loss
from fitwell.engine.network import DenseNetwork
from fitwell.results.result import Result

jax.config.update("jax_num_cpu_devices", 2)

# programs of the same shape are compiled once for all tests
CACHE = "FITWELL_TESTS_CACHE"
"""Names a directory in which compiled programs stay for the next run, as in `make check`; else each run begins anew."""

if CACHE not in os.environ:
    _OWN = tempfile.TemporaryDirectory(prefix="fitwell-tests-")
    os.environ[CACHE] = _OWN.name  # for the workers, which the process that has read this starts
jax.config.update("jax_compilation_cache_dir", os.environ[CACHE])
# never a developer's own
os.environ["FITWELL_CACHE"] = str(Path(os.environ[CACHE]) / "fitwell")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# tracing makes millions of objects that stay: to look through all of them so often took a twentieth of the time
gc.set_threshold(50_000, 20, 20)

# no network at test time; and files, for a database would take all of MLflow
os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

hypothesis.settings.register_profile("fitwell", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("fitwell")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--seeds N``."""
    parser.addoption("--seeds", type=int, default=1, help="run what takes a seed with seeds 0 to N - 1")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the `seed` fixture its range."""
    seeds = metafunc.config.getoption("seeds")
    own = any("seed" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    if seeds > 1 and "seed" in metafunc.fixturenames and not own:
        metafunc.parametrize("seed", range(seeds), indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of the most slow tests, so that no long one is left when the other worker has ended."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="module")
def quickly_compiled() -> Iterator[None]:
    """Compile what a file's tests train without optimising it: small models compile for longer than they train."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(autouse=True)
def no_figure_is_left() -> Iterator[None]:
    """Whatever a test of any file opened by pyplot is closed, so that a later one can count figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed: 0, or each of a range with ``--seeds N``."""
    return getattr(request, "param", 0)


def set_random_seed() -> None:
    """Seed Keras, and with it Python and NumPy."""
    import keras  # once fitwell has said on which backend

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def seeded_module() -> None:
    """Give what a file's fixtures build the same first weights in every run."""
    set_random_seed()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Give what a test builds the same first weights, whatever ran before it."""
    set_random_seed()


@pytest.fixture(autouse=True)
def strict_ranks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Allow no silent rank promotion in our own array code (Keras's layers rely on it)."""
    ours = {"engine", "regularization", "test_invariants.py"} & set(request.path.parts)
    with jax.numpy_rank_promotion("raise" if ours else "allow"):
        yield


@pytest.fixture
def float64() -> Iterator[None]:
    """Let JAX compute in float64 in this test."""
    with jax.enable_x64(True):
        yield


class Problem(NamedTuple):
    """What `fitwell.engine.training.train` needs beside the strengths."""

    network: Any
    dataset: Dataset
    row_sets: RowSets
    loss: Loss


def make_problem(
    seed: int = 0,
    *,
    regression: bool = False,
    own: bool = True,
    dtype: Any = np.float32,
    rows: int = 41,
    inputs: int = 4,
    hidden: tuple[int, ...] = (5,),
    folds: int = 3,
) -> Problem:
    """Fold r holds out rows r, r + folds, ...: of unequal size, padded with row 0, which fold 0 holds out."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, inputs))
    held_out = tuple(np.arange(r, rows, folds, dtype=np.int32) for r in range(folds))
    train = tuple(np.setdiff1d(np.arange(rows, dtype=np.int32), part) for part in held_out)
    signal = values[:, 0] - values[:, 1] ** 2 + rng.normal(size=rows)
    if regression:
        shift, scale = np.array([signal[part].mean() for part in train]), np.full(folds, 2.0)
        targets = ((signal - shift[:, None]) / 2).astype(dtype)
    else:
        classes = np.digitize(signal, np.quantile(signal, [1 / 3, 2 / 3])).astype(np.int32)
        targets = np.stack([classes] * folds)
        shift, scale = np.zeros(folds), np.ones(folds)
    encoded = np.stack([(values - values[part].mean(axis=0)) / values[part].std(axis=0) for part in train])
    dataset = Dataset(
        inputs=encoded.astype(dtype) if own else values.astype(dtype),
        targets=targets if own else targets[0],
        own=own,
        shift=shift if own else np.full(folds, shift[0]),
        scale=scale,
    )
    network = DenseNetwork(inputs, hidden, 1 if regression else 3)
    loss = REGRESSION if regression else CLASSIFICATION
    return Problem(network, dataset, RowSets(train, held_out, rows), loss)


@pytest.fixture(scope="session")
def problem() -> Callable[..., Problem]:
    """`make_problem`."""
    return make_problem


@pytest.fixture(scope="session")
def result() -> Result:
    """A small search on the mixed table, for all tests that only look at it."""
    return tune(mixed(), "ill", **QUICK)
