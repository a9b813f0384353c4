"""Calibration in short: scores and verdicts where the truth is known; the whole is `benchmarks/calibration.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import binom

from fitwell.analysis import verdict

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
REPLICATIONS = 40
SURE = 0.999
"""Of every statement: a chance finding once in a thousand changes of the numbers."""


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    """The benchmark as a module; it imports its neighbour `measuring` by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location("calibration", BENCHMARKS / "calibration.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "calibration", module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def scored(calibration) -> ModuleType:
    """The part about scores."""
    return sys.modules[calibration.score_section.__module__]


def fewest(rate: float, replications: int = REPLICATIONS) -> int:
    """Fewest hits of all replications that a true rate of this size gives."""
    return int(binom.ppf(1 - SURE, replications, rate))


def most(rate: float) -> int:
    """Most hits of all replications that a true rate of this size gives."""
    return int(binom.ppf(SURE, REPLICATIONS, rate))


def test_fresh_rows_are_held_out_from_the_same_networks(scored):
    """Holding out fresh rows leaves every network's weights as they were, up to rounding."""
    problem = scored.SCORED[1]
    batch = scored.Batch.drawn(problem, 0, 2)
    one, other = (batch.train(batch.row_sets, epochs=1, fresh=fresh) for fresh in (False, True))
    assert all(layer["kernel"].any() for layer in one.best.trainable)
    for mine, theirs in zip(one.best.trainable, other.best.trainable, strict=True):
        np.testing.assert_allclose(mine["kernel"], theirs["kernel"], atol=1e-5)


def test_a_replication_is_the_same_in_every_batch(scored):
    """The rows of a sample do not depend on the samples beside it."""
    problem = scored.SCORED[2]
    together, single = scored.Batch.drawn(problem, 0, 3), scored.Batch.drawn(problem, 2, 1)
    rows = slice(4 * problem.rows, 6 * problem.rows)
    np.testing.assert_array_equal(together.inputs[rows], single.inputs[: 2 * problem.rows])
    np.testing.assert_array_equal(together.targets[rows], single.targets[: 2 * problem.rows])


def test_the_score_of_pure_noise(scored):
    """On pure noise the corrected interval covers the truth and chance; the naive loss is below the truth."""
    scores = scored.score_all(scored.SCORED[0], REPLICATIONS)["min"]
    assert scores.covers(scores.truth).sum() >= fewest(0.85)
    assert scores.covers(np.log(2)).sum() >= fewest(0.85)
    assert (scores.naive < scores.truth).sum() > most(0.5)
    too_low = scores.naive - scores.truth
    corrected = scores.estimate - scores.truth
    assert too_low.mean() < -3 * too_low.std(ddof=1) / np.sqrt(REPLICATIONS)
    assert abs(corrected.mean()) < 4 * corrected.std(ddof=1) / np.sqrt(REPLICATIONS)


def test_overfitting_is_found(calibration):
    """A wide network on few rows with flipped labels is said to overfit."""
    judged = calibration.judge_all(calibration.JUDGED[1], REPLICATIONS // 2)
    assert judged.words.count("overfits") >= fewest(0.9, REPLICATIONS // 2)


def test_no_false_alarm_where_there_is_no_cure(calibration, scored):
    """A small network that still improves is not said to overfit; break: where it does overfit, it is."""
    alarms = []
    for problem in (calibration.JUDGED[0], scored.SCORED[0]):
        batch = calibration.Batch.drawn(problem, 0, REPLICATIONS)
        histories = batch.train(batch.row_sets).histories
        names = tuple(map(str, range(problem.candidates.count)))
        alarms.append(0)
        for mine in batch.slices():
            train, held_out = histories.train_loss[mine], histories.held_out_loss[mine]
            menu = verdict.Menu(names, train, held_out)
            ratio = 1 / (calibration.FOLDS - 1)
            found = verdict.weigh(menu, train[:, 0, -1], held_out[:, 0, -1], ratio, calibration.FOLDS, 0.95)
            alarms[-1] += found.helps
    assert alarms[0] <= most(0.05)
    assert alarms[1] > most(0.05)
