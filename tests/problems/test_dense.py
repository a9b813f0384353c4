"""The dense network of tables on several targets at once: its training, its losses, and what it hands over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from fitwell.api.tune import tune
from fitwell.data.target_units import VALUES
from fitwell.engine.jax_executor import JaxExecutor
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.network import Variables
from fitwell.engine.numpy_executor import NumpyExecutor
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.problems.dense import DenseOnTable
from fitwell.problems.tables import read_table
from fitwell.regularization.strengths import Candidates

ROWS, FOLDS, EPOCHS, RATE = 120, 3, 5, 0.05
ENGINES = {"jax": JaxExecutor, "numpy": NumpyExecutor}
TARGETS = {"values": ["a", "b", "c"], "labels": ["one", "two"]}
ALL_ON = Candidates(
    {
        "l1": np.array([0, 1e-2, 0, 3e-3]),
        "l2": np.array([0, 1e-2, 3e-2, 1e-1]),
        "dropout": np.array([0, 0.4, 0.2, 0]),
        "weight_dropout": np.array([0, 0, 0.3, 0.2]),
    },
    np.array([3e-3, 3e-3, 1e-2, 5e-2]),
)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Three numbers in units far apart, two labels, and what tells them."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(ROWS, 4)), random.normal(size=(ROWS, 3))
    values = {"a": 3 * x[:, 0] + noise[:, 0], "b": 1e4 + 1e3 * (x[:, 1] ** 2 + noise[:, 1]), "c": 1e-3 * noise[:, 2]}
    labels = {"one": np.where(x[:, 2] + noise[:, 0] > 0, "yes", "no"), "two": (x[:, 0] * x[:, 1] > 0).astype(int)}
    return pl.DataFrame({f"x{j}": x[:, j] for j in range(4)} | values | labels)


def problem_of(frame: pl.DataFrame, kind: str, hidden: tuple[int, ...] = (6, 5), **options: Any) -> DenseOnTable:
    """The targets of a kind; those of the other kind are left out."""
    drop = [name for other, names in TARGETS.items() if other != kind for name in names]
    return DenseOnTable(read_table(frame, TARGETS[kind], cv=FOLDS, drop=drop, **options), hidden)


def precise(dataset: Dataset) -> Dataset:
    """In float64."""
    names = ("inputs", "targets", *(("weight", "train_weight") if dataset.weight is not None else ()))
    return replace(dataset, **{name: getattr(dataset, name).astype(float) for name in names})


def trained_on(
    problem: DenseOnTable, dataset: Dataset, candidates: Candidates, engine: Any, batch_size: int = 16
) -> Trained:
    """All epochs of all strengths."""
    settings = Settings(epochs=EPOCHS, batch_size=batch_size, stopping=None, executor=engine)
    return train_all(problem.network, dataset, problem.row_sets, candidates, loss=problem.loss, settings=settings)


# ---- training --------------------------------------------------------------------------------------------------------


def linear_by_hand(problem: DenseOnTable, dataset: Dataset, r: int, l2: float, outputs: int) -> list[float]:
    """Held-out losses of a linear model, a step of Adam (Kingma and Ba 2015) on all training rows an epoch."""
    train, held_out = problem.row_sets.train[r], problem.row_sets.held_out[r]
    x, y = dataset.inputs[r], dataset.targets[r]
    values = problem.table.target.task == "regression"
    weights = np.zeros((x.shape[1] + 1, y.shape[1]))
    mean, square, losses = np.zeros_like(weights), np.zeros_like(weights), []
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    for step in range(1, EPOCHS + 1):
        raw = x[train] @ weights
        wrong = 2 * (raw - y[train]) if values else expit(raw) - y[train]
        slope = x[train].T @ wrong / (len(train) * outputs)
        slope[:-1] += 2 * l2 * weights[:-1]
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        weights = weights - RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        raw, known = x[held_out] @ weights, y[held_out]
        each = (raw - known) ** 2 if values else -np.log(np.where(known > 0, expit(raw), expit(-raw)))
        losses.append(float(each.mean()))
    return losses


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_linear_model_is_the_textbooks(frame: pl.DataFrame, kind: str, engine: str) -> None:
    """Its held-out losses, means over targets; with the penalty beside a sum over them they are others."""
    problem = problem_of(frame, kind, hidden=())
    dataset, k = precise(problem.dataset(0)), len(TARGETS[kind])
    shapes = (FOLDS, k, dataset.inputs.shape[2]), (FOLDS, k, 1)
    first = Variables([{"kernel": np.zeros(shapes[0]), "bias": np.zeros(shapes[1])}], ())
    candidates = Candidates({"l2": np.array([0, 0.05])}, np.full(2, RATE))
    whole = len(problem.row_sets.train[0])
    found = trained_on(problem, replace(dataset, first=first), candidates, ENGINES[engine], whole).histories
    for r in range(FOLDS):
        for g, l2 in enumerate((0, 0.05)):
            expected = linear_by_hand(problem, dataset, r, l2, k)
            np.testing.assert_allclose(found.held_out_loss[r, g], expected, rtol=1e-9)
        assert not np.allclose(found.held_out_loss[r, 1], linear_by_hand(problem, dataset, r, 0.05, 1), rtol=1e-4)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", TARGETS)
def test_numpy_and_jax_agree(frame: pl.DataFrame, kind: str) -> None:
    """To rounding, with all regularizers, weights of rows, and batches; with other weights of rows they do not."""
    weight = np.random.default_rng(1).gamma(1.0, size=ROWS)
    dataset = {w: precise(problem_of(frame, kind, sample_weight=weight[::w]).dataset(0)) for w in (1, -1)}
    problem = problem_of(frame, kind, sample_weight=weight)
    curves = [trained_on(problem, dataset[1], ALL_ON, engine).histories for engine in ENGINES.values()]
    for name in ("train_loss", "held_out_loss", "train_metric", "held_out_metric"):
        np.testing.assert_allclose(*(getattr(one, name) for one in curves), rtol=1e-9)
    other = trained_on(problem, dataset[-1], ALL_ON, NumpyExecutor).histories
    assert not np.allclose(other.held_out_loss, curves[0].held_out_loss, rtol=1e-3)


@pytest.mark.parametrize("kind", TARGETS)
def test_alone_or_together(frame: pl.DataFrame, kind: str) -> None:
    """A strength among others is itself alone, bit for bit."""
    problem = problem_of(frame, kind)
    dataset = problem.dataset(0)
    together = trained_on(problem, dataset, ALL_ON, NumpyExecutor)
    alone = trained_on(problem, dataset, ALL_ON.take([2]), NumpyExecutor)
    for mine, others in zip(alone.variables(0).trainable, together.variables(2).trainable, strict=True):
        np.testing.assert_array_equal(mine["kernel"], others["kernel"])
    assert not np.array_equal(alone.variables(0).trainable[0]["kernel"], together.variables(1).trainable[0]["kernel"])


@pytest.mark.parametrize("kind", TARGETS)
def test_held_out_rows_teach_nothing(frame: pl.DataFrame, kind: str) -> None:
    """Whatever their inputs and targets, training in their row set does not change by one bit; in others it does."""
    held_out = pl.Series(np.arange(ROWS) % FOLDS == 0)
    folds = [((~held_out).to_numpy(), held_out.to_numpy()), (held_out.to_numpy(), (~held_out).to_numpy())]
    moved = frame.with_columns(
        *(pl.when(held_out).then(pl.col(name).reverse() * 7).otherwise(name) for name in ("x0", "a", "b")),
        two=pl.when(held_out).then(1 - pl.col("two")).otherwise("two"),
    )
    found = []
    for table in (frame, moved):
        drop = [name for other, names in TARGETS.items() if other != kind for name in names]
        problem = DenseOnTable(read_table(table, TARGETS[kind], cv=folds, drop=drop), (6,))
        found.append(trained_on(problem, problem.dataset(0), ALL_ON, NumpyExecutor).histories.train_loss)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert (found[0][1] != found[1][1]).all()


# ---- units -----------------------------------------------------------------------------------------------------------


def test_each_value_is_standardised_by_training_rows(frame: pl.DataFrame) -> None:
    """As it is alone, weighted or not."""
    for weight in (None, np.random.default_rng(1).gamma(1.0, size=ROWS)):
        options: dict[str, Any] = {"cv": FOLDS, "sample_weight": weight}
        several = DenseOnTable(read_table(frame, TARGETS["values"], **options), (4,)).dataset(0)
        for j, name in enumerate(TARGETS["values"]):
            alone = DenseOnTable(read_table(frame, name, task="regression", **options), (4,)).dataset(0)
            np.testing.assert_array_equal(several.targets[:, :, j], alone.targets)
            np.testing.assert_array_equal(several.shift[:, j], alone.shift)
            np.testing.assert_array_equal(several.scale[:, j], alone.scale)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_constant_loss_is_that_of_the_best_constant(frame: pl.DataFrame, kind: str) -> None:
    """The means have relative squared error 1; of labels it is the mean of their entropies. Others lose more."""
    problem = problem_of(frame, kind)
    values = problem.table.target.values
    best = values.mean(axis=0)

    def loss(constant: np.ndarray) -> float:
        if kind == "values":
            return float((((values - constant) / values.std(axis=0)) ** 2).mean())
        return float(-np.log(np.where(values > 0, constant, 1 - constant)).mean())

    assert problem.constant_loss == pytest.approx(loss(best), rel=1e-12)
    assert problem.constant_loss < loss(0.9 * best)


# ---- what is handed over ---------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"strengths": 3, "epochs": 8, "hidden": (6,), "cv": FOLDS}


@pytest.mark.parametrize("kind", TARGETS)
def test_what_is_searched_is_what_predicts(frame: pl.DataFrame, kind: str) -> None:
    """Predictions are near the held-out ones of the same rows, in every target's own unit, and scores are by target."""
    drop = [name for other, names in TARGETS.items() if other != kind for name in names]
    result = tune(frame, TARGETS[kind], drop=drop, **SMALL)
    assert result.by_target is not None
    assert result.by_target["target"].to_list() == TARGETS[kind]
    numbers = result.predictor.predict_numbers(frame)
    held_out = result.answer.held_out_predictions["ensemble"]
    assert numbers.shape == held_out.shape == (ROWS, len(TARGETS[kind]))
    # networks that have not seen a row say nearly what the mean of all says
    for one, other in zip(numbers.T, held_out.T, strict=True):
        assert np.abs(one.mean() - other.mean()) < 0.2 * other.std()
    assert result.held_out is None
    assert [one.name for one in result.baselines][1] == "linear model"
    assert result.importance is not None


def test_a_target_alone_in_a_list_is_that_target(frame: pl.DataFrame) -> None:
    """Bit for bit."""
    found = [tune(frame, target, drop=["b", "c", *TARGETS["labels"]], **SMALL) for target in ("a", ["a"])]
    np.testing.assert_array_equal(*(one.predictor.predict_numbers(frame) for one in found))
    assert found[0].by_target is None


def test_values_far_from_zero_keep_their_digits(frame: pl.DataFrame) -> None:
    """Seconds since 1970 beside a plain number: the far one has a shift and scale outside the model, in float64."""
    far = frame.with_columns(b=1.7e9 + pl.col("a"))
    drop = ["c", *TARGETS["labels"]]
    near, found = (tune(one, ["a", "b"], drop=drop, **SMALL) for one in (frame, far))
    assert near.predictor.units is VALUES
    assert np.asarray(found.predictor.units.scale)[0] == 1
    a, b = found.predictor.predict_numbers(far).T
    # one is the other and a constant: so are its predictions, nearly, and none is rounded to the next
    assert np.corrcoef(a, b - 1.7e9)[0, 1] > 0.5
    assert len(np.unique(b)) == ROWS
