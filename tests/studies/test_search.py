"""The one road, by strangers: a problem and an executor that fitwell has never seen, each a class in one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from example_tables import mixed

from fitwell import tune
from fitwell.data.row_sets import RowSets, folds
from fitwell.engine.executor import Epochs, Job, Measured
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import REGRESSION
from fitwell.engine.network import DenseNetwork, Variables
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.plan import Listener, Plan
from fitwell.engine.stopping import Screening
from fitwell.engine.training import train_all
from fitwell.errors import InputError, TrainingError
from fitwell.problems.options import Options
from fitwell.problems.problem import Fitted
from fitwell.regularization.by_layer import Layers
from fitwell.regularization.regularizer import Axes
from fitwell.regularization.strengths import Candidates
from fitwell.report.text import planned
from fitwell.studies import search as road
from fitwell.studies.answering import answer
from fitwell.studies.evidence import Questions, judge_problem
from fitwell.studies.search import search

ROWS, INPUTS = 60, 4
STRENGTHS = [{"l2": 0.03}, {"l2": 0.3}]
OPTIONS = Options(strengths=STRENGTHS, learning_rate=0.05, epochs=12, batch_size=48, refit="single", rule="min")


class Line:
    """A linear model: outputs are inputs times weights."""

    layers = Layers(("line",), ())

    def init(self, key: Any, dtype: Any) -> Variables:
        """Weights of zero."""
        del key
        return Variables({"kernel": jnp.zeros((INPUTS, 1), dtype)}, ())

    def penalised(self, trainable: Any) -> Any:
        """The weights."""
        del trainable
        return {"kernel": Axes()}

    def decayed(self, trainable: Any) -> Any:
        """The same."""
        return self.penalised(trainable)

    def apply(self, variables: Variables, inputs: Any, on_units: Any) -> tuple[Any, Any]:
        """Return a product."""
        del on_units
        return inputs @ variables.trainable["kernel"], ()

    def constrain(self, trainable: Any) -> Any:
        """Every value is allowed."""
        return trainable


@dataclass(frozen=True, eq=False)
class LineOnArrays:
    """A new kind of problem: everything that fitwell asks of one, and no other file knows of it."""

    inputs: np.ndarray
    targets: np.ndarray
    row_sets: RowSets

    network, loss, strata = Line(), REGRESSION, None
    may_stay, joins, constant_loss, source, step = False, False, None, None, 0.0
    summary = {"what": "a line"}  # noqa: RUF012

    def check(self, options: Options) -> None:
        """Whatever is asked can be done."""

    def dataset(self, seed: int, first: int = 0) -> Dataset:
        """The same rows for all."""
        del seed, first
        count = self.row_sets.count
        return Dataset(self.inputs, self.targets, False, np.zeros(count), np.ones(count))

    def candidates(self, options: Options) -> Candidates:
        """Those of the options."""
        return options.candidates(self.network.layers)

    def settings(self, options: Options) -> Settings:
        """Those of the options."""
        return options.settings()

    def on(self, row_sets: RowSets) -> LineOnArrays:
        """The same rows, cut otherwise."""
        return replace(self, row_sets=row_sets)

    def larger(self) -> dict[str, Any]:
        """There is no larger line."""
        return {}

    def shuffled(self, seed: int) -> LineOnArrays:
        """The targets dealt anew."""
        return replace(self, targets=np.random.default_rng(seed).permutation(self.targets))

    def warm_up(self) -> None:
        """Nothing is needed."""

    def predictions(self, raw: Any) -> Any:
        """As they are."""
        return raw

    def score(self, predictions: Any, mean_loss: float) -> dict[str, float]:
        """The mean loss, which is known."""
        del predictions
        return {"loss": mean_loss}

    def finish(self, networks: Sequence[Fitted]) -> tuple[Any, None]:
        """The weights are all there is."""
        (one,) = networks
        return np.asarray(one.variables.trainable["kernel"]), None

    def predict_rows(self, predictor: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """A product."""
        return self.inputs[rows] @ predictor[:, 0]


@pytest.fixture(scope="module")
def problem() -> LineOnArrays:
    """A noisy plane."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(ROWS, INPUTS)).astype(np.float32)
    targets = (inputs @ [1.0, -1.0, 0.5, 0.0] + rng.normal(size=ROWS)).astype(np.float32)
    return LineOnArrays(inputs, targets, folds(targets, "regression", cv=5, seed=0))


@pytest.mark.slow
def test_a_new_kind_of_problem_passes_the_whole_road(problem: LineOnArrays) -> None:
    """It is searched, refitted on all rows, scored and diagnosed by what stood here before it came."""
    said: list[str] = []
    listener = Listener(on_read=lambda summary: said.append(summary["what"]), on_plan=lambda _: said.append("plan"))
    result = answer(search(problem, OPTIONS, listener))
    assert said == ["a line", "plan"]
    assert [str(result.search.candidates.regularization(g)) for g in range(3)] == ["none", "l2 = 0.03", "l2 = 0.3"]
    assert result.predictor.shape == (INPUTS, 1)
    assert result.scores["minimum"]["loss"] == pytest.approx(result.search.histories.best_loss.min(), rel=1e-3)
    assert result.score.interval.low < result.score.value < result.score.interval.high
    found = judge_problem(problem, replace(OPTIONS, to_the_end=True), Questions(larger=False, null=True))
    assert found.verdict in ("overfits", "underfits", "needs data", "fits well", "undecided")
    assert found.findings.noise is not None


@dataclass(frozen=True, eq=False)
class Weights:
    """Some strengths of `PlainLoop`, and how far it is with them: [R, S, INPUTS] each."""

    numbers: np.ndarray
    weights: np.ndarray
    best: np.ndarray
    best_loss: np.ndarray
    best_epoch: np.ndarray


class PlainLoop:
    """A new executor: gradient descent of lines by a plain loop in NumPy, behind the same five verbs."""

    compile_seconds, compilations = 0.0, 0

    def __init__(self, job: Job, settings: Settings, estimate: bool = False) -> None:
        del estimate
        self.job, self.settings = job, settings
        sets, strengths = job.row_sets.count, job.candidates.count
        self.plan = Plan(sets, strengths, settings.epochs, 1, ROWS, 1, strengths, strengths, 0, 0.0)
        self.verbs: list[str] = []

    def start(self, strengths: np.ndarray) -> list[Weights]:
        """One block of lines at zero."""
        self.verbs.append("start")
        shape = (self.plan.row_sets, len(strengths))
        zeros, worst = np.zeros((*shape, INPUTS)), np.full(len(strengths), np.inf)
        return [Weights(strengths, zeros, zeros, worst, np.zeros(len(strengths), int))]

    def loss(self, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Squared errors [S, rows] of lines [S, INPUTS]."""
        data = self.job.dataset
        return (weights @ data.inputs[rows].T - data.targets[rows]) ** 2

    def advance(self, blocks: Sequence[Weights], first: int, count: int) -> tuple[list[Weights], list[Epochs]]:
        """One step on all rows is an epoch."""
        self.verbs.append("advance")
        done = [self._advance(block, first, count) for block in blocks]
        return [block for block, _ in done], [epochs for _, epochs in done]

    def _advance(self, block: Weights, first: int, count: int) -> tuple[Weights, Epochs]:
        weights, best = block.weights.copy(), block.best.copy()
        best_loss, best_epoch = block.best_loss.copy(), block.best_epoch.copy()
        l2 = self.job.candidates.strengths.get("l2", np.zeros(self.plan.strengths))[block.numbers, None]
        curves = np.zeros((4, self.plan.row_sets, len(block.numbers), count))
        rows = np.zeros((*curves.shape[1:], int(self.job.row_sets.n_held_out.max())))
        data, rate = self.job.dataset, self.job.candidates.learning_rate[block.numbers, None]
        for epoch in range(count):
            for r, (train, held_out) in enumerate(
                zip(self.job.row_sets.train, self.job.row_sets.held_out, strict=True)
            ):
                errors = weights[r] @ data.inputs[train].T - data.targets[train]
                weights[r] -= rate * (2 * errors @ data.inputs[train] / len(train) + 2 * l2 * weights[r])
                curves[0, r, :, epoch] = self.loss(weights[r], train).mean(axis=1)
                curves[1, r, :, epoch] = self.loss(weights[r], held_out).mean(axis=1) if len(held_out) else np.inf
                rows[r, :, epoch, : len(held_out)] = self.loss(weights[r], held_out)
            mean = curves[1, :, :, epoch].mean(axis=0)
            better = (mean < best_loss) | np.isinf(mean)  # a refit holds nothing out and keeps its last epoch
            best[:, better] = weights[:, better]
            best_loss, best_epoch = np.where(better, mean, best_loss), np.where(better, first + epoch + 1, best_epoch)
        best_loss = np.where(np.isinf(best_loss), 0.0, best_loss)
        return Weights(block.numbers, weights, best, best_loss, best_epoch), Epochs(curves, rows, best_loss, best_epoch)

    def repack(self, blocks: Sequence[Weights], strengths: np.ndarray) -> list[Weights]:
        """One block is one block."""
        self.verbs.append("repack")
        return list(blocks) if len(strengths) else []

    def measure(self, variables: Variables) -> Iterator[Measured]:
        """All at once."""
        self.verbs.append("measure")
        kernels = variables.trainable["kernel"][..., 0]
        most = int(self.job.row_sets.n_held_out.max())
        outputs = np.zeros((*kernels.shape[:2], most, 1))
        losses = np.zeros((*kernels.shape[:2], most))
        for r, rows in enumerate(self.job.row_sets.held_out):
            outputs[r, :, : len(rows), 0] = kernels[r] @ self.job.dataset.inputs[rows].T
            losses[r, :, : len(rows)] = self.loss(kernels[r], rows)
        yield Measured(np.arange(kernels.shape[1]), outputs, losses)

    def read(self, blocks: Sequence[Weights], strengths: np.ndarray) -> Variables:
        """The best lines."""
        self.verbs.append("read")
        (block,) = blocks
        places = [int(np.flatnonzero(block.numbers == g)[0]) for g in strengths]
        return Variables({"kernel": block.best[:, places, :, None]}, ())


def test_a_new_executor_stands_behind_the_same_search(problem: LineOnArrays) -> None:
    """Five verbs are all that a search asks for; with plain gradient descent JAX gives the same numbers."""
    made: list[PlainLoop] = []

    def executor(*arguments: Any) -> PlainLoop:
        made.append(PlainLoop(*arguments))
        return made[-1]

    from fitwell.engine.optimizers import sgd

    candidates = problem.candidates(OPTIONS)
    whole = Settings(epochs=12, batch_size=ROWS, stopping=None, optimizer=sgd(), seed=0)
    arguments = (problem.network, problem.dataset(0), problem.row_sets, candidates)
    loop = train_all(*arguments, loss=problem.loss, settings=replace(whole, executor=executor))
    jax = train_all(*arguments, loss=problem.loss, settings=whole)
    assert set(made[0].verbs) == {"start", "advance", "repack", "measure", "read"}
    held_out = [run.histories.held_out_loss for run in (loop, jax)]
    np.testing.assert_allclose(*held_out, rtol=1e-4)
    np.testing.assert_allclose(loop.histories.row_loss, jax.histories.row_loss, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(*(run.best.trainable["kernel"] for run in (loop, jax)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(*(run.held_out_predictions([1, 2]) for run in (loop, jax)), rtol=1e-3, atol=1e-5)
    other = replace(candidates, learning_rate=candidates.learning_rate * 1.01)  # the break
    wrong = train_all(*arguments[:3], other, loss=problem.loss, settings=whole).histories.held_out_loss
    assert not np.allclose(held_out[0], wrong, rtol=1e-4)


def test_a_search_by_another_executor_is_answered(problem: LineOnArrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choice, refit and score follow from what it gave, with no word of who multiplied."""
    monkeypatch.setattr(LineOnArrays, "settings", lambda _, options: replace(options.settings(), executor=PlainLoop))
    result = answer(search(problem, OPTIONS))
    assert result.predictor.shape == (INPUTS, 1)
    assert np.isfinite(result.score.value)


def test_nothing_is_trained_that_cannot_be_finished(problem: LineOnArrays) -> None:
    """A problem's own check, and folds that do not fit the method, come before the plan."""
    planned: list[Plan] = []
    listener = Listener(on_plan=planned.append)

    class Unfinished(LineOnArrays):
        def check(self, _: Options) -> None:
            raise TrainingError("it cannot be finished")

    with pytest.raises(TrainingError, match="cannot be finished"):
        search(Unfinished(problem.inputs, problem.targets, problem.row_sets), OPTIONS, listener)
    two = problem.on(folds(problem.targets, "regression", cv=2, seed=0))
    with pytest.raises(InputError, match="at least 3 folds"):
        search(two, replace(OPTIONS, honest="nested"), listener)
    assert planned == []


@pytest.mark.slow
def test_strengths_compared_on_a_part_of_the_rows_are_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there was no time for all: when the search is planned, and in its words; of a small table nothing is."""
    hurry: dict[str, Any] = {"epochs": 20, "hidden": (8,), "cv": 2, "time_budget": 60}
    plans: list[Plan] = []
    make_plan = NumpyExecutor._make_plan

    def slow(executor: NumpyExecutor, estimate: bool) -> tuple[Plan, int]:
        plan, copies = make_plan(executor, estimate)
        return replace(plan, epoch_seconds=1.5), copies

    # on every machine an epoch is taken to be so slow that there is no time for all
    monkeypatch.setattr(NumpyExecutor, "_make_plan", slow)
    # a table of a thousand rows counts as large
    monkeypatch.setattr(road, "Screening", partial(Screening, rows=1, steps=1))
    found = tune(mixed(1000), "ill", **hurry, listener=Listener(on_plan=plans.append))
    plan = found.search.plan
    assert plan.strengths < plan.asked == plan.screened == 32
    assert f"Of 32 strengths there was time for {plan.strengths}, the best on a part of the rows." in str(found)
    said = "".join(str(line) for line in planned(plans[0]))
    assert "strengths (of 32, the best on a part of the rows: time is short)" in said


def test_scales_are_the_dense_networks_own() -> None:
    """It has them if a strength learns them, and not else; another network is told so in a sentence."""
    dense = DenseNetwork(4, (3,), 1)
    learned = Candidates({"input_scaling": np.array([0.0, 3.0])}, np.full(2, 0.01))
    assert road.made_for(dense, learned) == replace(dense, scaled=True)
    assert road.made_for(dense, Candidates({"l2": np.array([0.0, 3.0])}, np.full(2, 0.01))) is dense
    with pytest.raises(InputError, match="'input_scaling' acts on the dense network of tables, and not on a model"):
        road.made_for(Line(), learned)  # type: ignore[arg-type]
