"""The road of `tune(table)`: how many rooms it passes, and that it never climbs back up."""

from __future__ import annotations

import pytest
from road import Road, road_of_tune

from test_architecture import storey

MOST_MODULES, MOST_CALLS = 76, 177
"""Before there was one road: 43 and 87. Since then more kinds of files are read, losses are kept by unit, and what
JAX, Keras, SciPy and scikit-learn did on it is done by files of ours, without their imports; an epoch is a call into C;
scores for classes of unequal size are two files, Student's t is one, and targets may be several; every answer has a
verdict, simple models beside it, and which columns matter, by more than chance; a search may be ended, and written
down, and be told of a cluster.
(Two calls more or less by what was imported before.)"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def road() -> Road:
    """What a small search passes."""
    return road_of_tune()


def climbs(calls: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Calls from a storey to one that builds on it."""
    return sorted(call for call in calls if storey(call[1]) > storey(call[0]))


def test_the_road_is_no_longer_than_it_was(road: Road) -> None:
    """A reader of `tune` passes so many rooms at the most; a longer way needs a reason, and a new number here."""
    assert len(road.modules) <= MOST_MODULES
    assert len(road.calls) <= MOST_CALLS
    assert {"fitwell.studies.search", "fitwell.engine.numpy_executor", "fitwell.keras.plain_model"} <= road.modules


def test_the_road_only_goes_down(road: Road) -> None:
    """No file calls, or is called back by, one that builds on it: data flows one way while it runs, too."""
    assert climbs(road.calls) == []
    upwards = {("fitwell.engine.training", "fitwell.studies.search")}  # the break
    assert climbs(road.calls | upwards) == list(upwards)
