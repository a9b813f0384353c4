"""Simple models beside a search: their losses, and when one of them is as good as the network."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from fitwell.analysis.baselines import Baseline, as_good, losses_of_rows


def baseline(*losses: float) -> Baseline:
    """A linear model with these held-out losses."""
    return Baseline("linear model", "", "log loss", np.array(losses), {}, np.zeros(0), 0.0)


def test_losses_of_rows_are_those_of_scikit_learn() -> None:
    """Their mean is the log loss; a probability of 0 is no infinity, and what has no prediction has no loss."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 50)
    probabilities = random.dirichlet(np.ones(3), 50)
    losses = losses_of_rows("classification", targets, probabilities)
    assert losses.mean() == pytest.approx(log_loss(targets, probabilities, labels=range(3)), rel=1e-12)
    assert losses.mean() != pytest.approx(log_loss(targets, probabilities[:, ::-1], labels=range(3)))  # the break
    assert np.isfinite(losses_of_rows("classification", np.array([0]), np.array([[0.0, 1.0]]))).all()
    assert np.isnan(losses_of_rows("regression", np.ones(1), np.array([np.nan]))).all()


def test_as_good_within_one_standard_error_of_the_paired_difference() -> None:
    """Folds that are hard for both cancel: what counts is how much the difference varies."""
    network = np.array([0.1, 0.9, 0.5, 0.3])
    assert as_good(baseline(*network), network)
    assert not as_good(baseline(*(network + 0.01)), network)  # always worse, however the folds differ
    assert as_good(baseline(*(network + np.array([0.3, -0.2, -0.2, 0.2]))), network)
    assert as_good(baseline(*(network - 0.2)), network)
    assert not as_good(baseline(np.nan, 0.1, 0.1, 0.1), network)
    # of a single row set nothing but a lower loss is known
    assert as_good(baseline(0.4), np.array([0.5]))
    assert not as_good(baseline(0.6), np.array([0.5]))


def test_losses_of_several_targets() -> None:
    """Means over targets: of values in the given units, of labels of each one's log loss, which is finite."""
    targets, values = np.array([[1.0, 10.0], [3.0, 10.0]]), np.array([[0.0, 0.0], [3.0, 10.0]])
    assert losses_of_rows("regression", targets, values).tolist() == [50.5, 0]
    assert losses_of_rows("regression", targets, values, np.array([2.0, 5.0])).tolist() == [(0.25 + 4) / 2, 0]
    labels, probabilities = np.array([[1, 0], [1, 0]]), np.array([[0.5, 0.75], [0.0, 0.0]])
    losses = losses_of_rows("multilabel", labels, probabilities)
    assert losses[0] == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert np.isfinite(losses).all()
