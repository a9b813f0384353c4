"""What a search says of overfitting, by the tests of a diagnosis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from fitwell.api.diagnose import diagnose
from fitwell.api.tune import tune
from fitwell.data.row_sets import RowSets
from fitwell.studies.compared import verdict_of_search

OPTIONS = {"epochs": 100, "learning_rate": 1e-3, "repeats": 2, "pruning": "none", "patience": 100, "strengths": 6}
"""With which a search trains what a diagnosis trains: to the last epoch, on the same folds."""


@pytest.mark.slow
def test_a_search_says_what_a_diagnosis_says() -> None:
    """On the same rows with the same settings they test the same curves, so that one cannot contradict the other."""
    x, y = load_diabetes(return_X_y=True)
    said = tune(x, y, **OPTIONS).answer.verdict
    asked = diagnose(x, y, larger=False, learning_curve=False, **OPTIONS)
    assert said is not None
    assert said.overfits
    assert (asked.verdict, asked.cure) == ("overfits", said.cure)
    for name in ("search", "earlier"):
        one, other = getattr(said, name), getattr(asked.findings.evidence, name)
        assert one.held_out.share == pytest.approx(other.held_out.share, rel=1e-9)
    few = tune(x, y, **{**OPTIONS, "epochs": 3, "cv": 4}).answer.verdict  # the break: hardly trained, nothing to stop
    assert few is not None
    assert few.search.held_out.share != pytest.approx(said.search.held_out.share, rel=0.2)


def test_where_nothing_can_be_said(result) -> None:
    """Two row sets, row sets that overlap, one strength, or a network that diverged: no verdict rather than a guess."""
    search = result.search
    rows = 90
    fold = np.arange(rows) % 3
    sets = [(np.flatnonzero(fold != r), np.flatnonzero(fold == r)) for r in range(3)]
    apart = RowSets(tuple(train for train, _ in sets), tuple(held_out for _, held_out in sets), rows)
    assert verdict_of_search(search.histories, search.candidates, apart) is not None
    two = RowSets(apart.train[:2], apart.held_out[:2], rows)
    assert verdict_of_search(search.histories, search.candidates, two) is None
    overlapping = RowSets(apart.train[:1] * 3, apart.held_out[:1] * 3, rows)
    assert verdict_of_search(search.histories, search.candidates, overlapping) is None
    lost = replace(search.histories, best_loss=np.full(4, np.inf))
    assert verdict_of_search(lost, search.candidates, apart) is None
