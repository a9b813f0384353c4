"""What class shares, the mean and a linear model reach on the folds of a search, against scikit-learn on the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error

from fitwell.problems.options import make_options
from fitwell.problems.tables import TableData, read_table
from fitwell.studies import simple_models
from fitwell.studies.simple_models import baselines


@pytest.fixture(scope="module")
def tables() -> dict[str, TableData]:
    """Two real tables with their folds."""
    loaders = {"classification": load_breast_cancer, "regression": load_diabetes}
    return {task: read_table(*load(return_X_y=True), task=task) for task, load in loaders.items()}


def fold_losses(table: TableData, model) -> np.ndarray:
    """Held-out losses of one of scikit-learn's models on the same encoded rows of the same folds."""
    losses, sets = [], table.row_sets
    for inputs, train, held_out in zip(table.dataset().inputs, sets.train, sets.held_out, strict=True):
        fitted, true = model.fit(inputs[train], table.target.values[train]), table.target.values[held_out]
        if table.target.task == "regression":
            losses.append(mean_squared_error(true, fitted.predict(inputs[held_out])))
        else:
            losses.append(log_loss(true, fitted.predict_proba(inputs[held_out]), labels=range(table.outputs)))
    return np.array(losses)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_simplest_prediction(tables: dict[str, TableData], task: str) -> None:
    """Class shares and the mean of the training rows, fold by fold, are scikit-learn's dummies."""
    table = tables[task]
    dummy = DummyClassifier(strategy="prior") if task == "classification" else DummyRegressor()
    simplest = baselines(table, make_options(epochs=2))[0]
    np.testing.assert_allclose(simplest.fold_loss, fold_losses(table, dummy), rtol=1e-9)
    every = DummyRegressor(strategy="median") if task == "regression" else DummyClassifier(strategy="uniform")
    assert not np.allclose(simplest.fold_loss, fold_losses(table, every))  # the break


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_linear_model_is_as_good_as_scikit_learns(
    tables: dict[str, TableData], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 2% of the best of eleven strengths on the same folds; trained for an epoch it is not."""
    table = tables[task]
    strengths = np.logspace(-3, 2, 11)
    if task == "classification":
        models = [LogisticRegression(C=strength, max_iter=1000) for strength in strengths]
    else:
        models = [Ridge(alpha=1 / strength) for strength in strengths]
    best = min(fold_losses(table, model).mean() for model in models)
    linear = baselines(table, make_options())[1]
    assert linear.name == "linear model"
    assert linear.loss <= 1.02 * best
    assert linear.predictions.shape[0] == table.row_sets.n_rows
    monkeypatch.setattr(simple_models, "LINEAR_RATE", 1e-4)
    assert baselines(table, make_options(epochs=1))[1].loss > 1.02 * best
