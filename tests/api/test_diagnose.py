"""`fitwell.diagnose` from one end to the other, on problems whose answer is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
from example_tables import mixed
from sklearn.model_selection import KFold, ShuffleSplit

import keras
from fitwell import diagnose
from fitwell.analysis.findings import LearningCurve
from fitwell.analysis.intervals import Interval, figures
from fitwell.analysis.verdict import VERDICTS, Reduction, Verdict
from fitwell.errors import FileError, InputError, TrainingError
from fitwell.regularization.strengths import Regularization
from fitwell.results.diagnosis import Diagnosis
from fitwell.studies import evidence

BARE: dict[str, Any] = {"larger": False, "learning_curve": False, "strengths": 4}
TINY: dict[str, Any] = {**BARE, "hidden": (4,), "epochs": 3, "cv": 3, "repeats": 1}


def numbers(rows: int, inputs: int, seed: int = 0) -> tuple[np.random.Generator, np.ndarray]:
    """A generator, and rows of normal inputs."""
    generator = np.random.default_rng(seed)
    return generator, generator.normal(size=(rows, inputs))


@pytest.fixture(scope="module")
def overfitted() -> Diagnosis:
    """Sixty rows, a quarter of the labels flipped, and a network wide enough to learn them by heart."""
    generator, x = numbers(60, 10)
    y = np.where(generator.random(60) < 0.25, x[:, 0] < 0, x[:, 0] > 0).astype(int)
    options = {**BARE, "hidden": (64,), "epochs": 40, "learning_rate": 0.01, "repeats": 1}
    return diagnose(x, y, **options, null=True, memorisation=True)


@pytest.fixture(scope="module")
def underfitted() -> Diagnosis:
    """A ring, and a network of a single unit, which can only cut it in two."""
    _, x = numbers(120, 2)
    y = ((x**2).sum(axis=1) > 1.4).astype(int)
    options = {**BARE, "larger": True, "hidden": 1, "epochs": 60, "learning_rate": 0.03, "repeats": 1}
    return diagnose(x, y, **options)


def model(inputs: int = 3, penalty: float = 0.0) -> Any:
    """A small compiled classifier."""
    keras.utils.set_random_seed(0)
    regularizer = keras.regularizers.L2(penalty) if penalty else None
    layers = [keras.Input((inputs,)), keras.layers.Dense(6, "relu", kernel_regularizer=regularizer)]
    made = keras.Sequential([*layers, keras.layers.Dense(2, "softmax", kernel_regularizer=regularizer)])
    made.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    return made


@pytest.fixture(scope="module")
def shackled() -> Diagnosis:
    """A Keras model with so much L2 of its own that it learns nothing of an easy target."""
    _, x = numbers(90, 3)
    return diagnose(model(penalty=1.0), x, (x[:, 0] > 0).astype(int), **BARE, epochs=12, cv=5, repeats=1)


@pytest.fixture(scope="module")
def on_table() -> Diagnosis:
    """A Keras model on a table's encoded columns, with a learning curve."""
    from fitwell.problems.tables import read_table

    width = read_table(mixed(), "ill", cv=5).layout.width
    options = {**BARE, "learning_curve": True, "epochs": 4, "repeats": 1}
    return diagnose(mixed(), "ill", model=model(width), **options)


@pytest.fixture(scope="module")
def grouped() -> tuple[Diagnosis, Diagnosis]:
    """The same diagnosis of a table with groups, twice."""
    frame = mixed(60).with_columns(pl.int_range(pl.len()).floordiv(5).alias("family"))
    first, second = (diagnose(frame, "dose", groups="family", **TINY) for _ in range(2))
    return first, second


@pytest.mark.slow
def test_a_wide_network_on_few_rows_overfits(overfitted: Diagnosis) -> None:
    """The verdict says so, what it takes lowers the held-out loss, and the numbers are those of the search."""
    assert overfitted.verdict == "overfits"
    assert overfitted.cure in ("regularization", "fewer epochs")
    assert overfitted.findings.evidence.search.held_out.low > 0
    assert overfitted.findings.evidence.growth is None
    assert overfitted.findings.as_given.turned is not None
    assert overfitted.findings.as_given.turned < overfitted.findings.as_given.epochs == 40
    given = overfitted.histories.held_out_loss[:, 0, -1]
    assert overfitted.findings.as_given.held_out_loss == pytest.approx(given.mean())
    assert np.isfinite(overfitted.histories.held_out_loss[:, 0]).all()  # as given it trained to the end
    assert overfitted.findings.as_given.gap.difference == pytest.approx(
        overfitted.findings.as_given.held_out_loss - overfitted.findings.as_given.train_loss
    )


@pytest.mark.slow
def test_a_shuffled_target_is_no_better_than_chance(overfitted: Diagnosis) -> None:
    """The lowest loss is below that of unused rows; by heart it is learned far below chance, but later."""
    noise, memory = overfitted.findings.noise, overfitted.findings.memorisation
    assert noise is not None
    assert memory is not None
    assert noise.lowest <= noise.honest
    assert noise.honest > noise.constant - 0.05
    shares = np.bincount([0, 1])  # at best a constant is the entropy of two shares
    assert 0.6 < noise.constant <= np.log(len(shares))
    assert memory.train_loss < memory.chance / 2
    assert memory.half_learned is not None
    assert memory.half_learned >= (memory.half_learned_of_target or 1)
    sentences = [line for line in overfitted.reasons if "shuffled target" in line]
    assert len(sentences) == 2
    assert figures(noise.lowest) in sentences[0]
    assert figures(memory.train_loss, 2) in sentences[1]


@pytest.mark.slow
def test_a_network_of_one_unit_underfits(underfitted: Diagnosis) -> None:
    """A larger network is what it takes: it lowers the held-out loss and the training loss."""
    assert underfitted.verdict == "underfits"
    growth = underfitted.findings.evidence.growth
    assert growth is not None
    assert growth.held_out.low > 0
    assert growth.train.low > 0
    assert underfitted.cure == growth.best
    assert underfitted.findings.chosen == underfitted.findings.as_given.regularization == Regularization()


@pytest.mark.slow
def test_its_own_regularization_may_be_too_much(shackled: Diagnosis) -> None:
    """Shares of a model's own penalties are tried, and here they, or none, are the cure of an underfitted model."""
    given = shackled.candidates.given
    assert given > 0
    l2 = shackled.candidates.strengths["l2"].reshape(shackled.candidates.count, -1)
    np.testing.assert_allclose(l2[-2:], [0.3 * l2[given], 0.1 * l2[given]])
    assert shackled.verdict == "underfits"
    assert shackled.cure == "no regularization" or shackled.cure.startswith("l2 ")
    assert shackled.findings.as_given.regularization.l2 != 0
    assert f"As given it has {shackled.findings.as_given.regularization}." in shackled.reasons


@pytest.mark.slow
def test_a_model_on_a_table(on_table: Diagnosis) -> None:
    """The model's loss and the table's rows are in the summary, and the learning curve has three sizes."""
    assert on_table.verdict in VERDICTS
    curve = on_table.findings.learning_curve
    assert isinstance(curve, LearningCurve)
    np.testing.assert_allclose(curve.sizes, [18, 36, 72])
    assert curve.losses.shape == (3, 5)
    assert "The last doubling of the rows changed it by" in str(on_table)


@pytest.mark.slow
def test_what_is_not_asked_is_not_trained(grouped: tuple[Diagnosis, Diagnosis]) -> None:
    """Without larger networks, fewer rows and shuffled targets there is no word of them; nor is blame on the rows."""
    found = grouped[0]
    assert found.findings.evidence.growth is None
    assert found.findings.learning_curve is None
    assert found.findings.noise is None
    assert found.findings.memorisation is None
    assert "shuffled" not in str(found)
    assert "too few rows for a learning curve" not in str(found)  # it was not asked for


@pytest.mark.slow
def test_a_seed_repeats_a_diagnosis(grouped: tuple[Diagnosis, Diagnosis]) -> None:
    """The same call gives the same text and the same numbers, but for the seconds."""
    first, second = grouped
    assert str(first) == str(second)
    documents = [{**found.to_json(), "seconds": None} for found in grouped]
    assert documents[0] == documents[1]


@pytest.mark.slow
def test_time_splits() -> None:
    """With a time column, later rows are held out; repeats are of no use there and must be 1."""
    unsaid = {name: value for name, value in TINY.items() if name != "repeats"}
    found = diagnose(mixed(60), "ill", time="visit", **unsaid)
    assert found.verdict in VERDICTS
    assert diagnose(mixed(60), "ill", **{**unsaid, "cv": KFold(3)}).plan.row_sets == 3
    with pytest.raises(InputError, match="'repeats' must be 1"):
        diagnose(mixed(60), "ill", time="visit", **{**TINY, "repeats": 2})


def values(found: Any) -> Iterator[float]:
    """Every number in an object, the ends of its reductions and of its intervals by a share too."""
    if isinstance(found, Reduction):
        yield from (found.share, found.low, found.high, found.test.level)
    if isinstance(found, LearningCurve):
        yield from values(found.gain)
    if isinstance(found, Interval):
        yield from (found.estimate, found.low, found.high, found.level)
    elif is_dataclass(found):
        for field in fields(found):
            yield from values(getattr(found, field.name))
    elif isinstance(found, int | float) and not isinstance(found, bool):
        yield float(found)


def written(value: float) -> set[str]:
    """The ways in which a text may write a number, without its sign."""
    ways = {figures(value), figures(value, 2), f"{value:.0%}".removesuffix("%"), f"{value:g}"}
    return {way.lstrip("+-") for way in ways}


@pytest.mark.slow
@pytest.mark.parametrize("which", ["shackled", "on_table", "grouped"])
def test_the_text_says_what_the_object_holds(request: pytest.FixtureRequest, which: str) -> None:
    """The text begins with the verdict; each number in it is one of the object's, and its JSON is valid."""
    found = request.getfixturevalue(which)
    found = found[0] if isinstance(found, tuple) else found
    text = str(found)
    assert text.startswith(f"{found.verdict.capitalize()}.\n")
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["verdict"] == found.verdict
    known = set().union(*(written(value) for value in values(found)))
    for name in (
        found.findings.chosen,
        found.findings.as_given.regularization,
        found.cure,
        *(m for m in [found.findings.evidence.growth and found.findings.evidence.growth.best] if m),
    ):
        text = text.replace(str(name), "") if str(name) else text
    said = re.findall(r"\d[\d,]*\.?\d*(?:e[+-]?\d+)?", text)
    assert said
    assert [number for number in said if number.rstrip(".,") not in known] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cv": 2}, "needs at least 3 folds. Got 2: use cv=5"),
        ({"level": 1.0}, "'level' must lie between 0.5 and 1. Got 1.0"),
        ({"worth": 0}, "'worth' must lie between 0 and 1. Got 0"),
        ({"model": "model.keras"}, "'model' must be a keras.Model"),
        ({"strengths": [{"l2": 0.0}]}, "'strengths' must be at least 2"),
        ({"cv": ShuffleSplit(5), "repeats": 1}, "held-out rows of 'cv' overlap"),
        ({"regularizers": ()}, "'regularizers' must name at least one"),
    ],
    ids=["folds", "level", "worth", "model", "strengths", "overlap", "regularizers"],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    """What is wrong is said in one sentence that names it."""
    with pytest.raises((InputError, TypeError), match=message) as raised:
        diagnose(mixed(60), "ill", **{**TINY, **options})
    assert "\n" not in str(raised.value)


def test_further_trainings_that_fail_cost_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """If networks of the learning curve or of a shuffled target diverge, that is said, and the verdict stands."""

    def failing(*_: Any) -> Any:
        raise TrainingError("3 of 20 networks diverged")

    for name in ("learning_curve", "null_search", "memorised"):
        monkeypatch.setattr(evidence, name, failing)
    asked = {"learning_curve": True, "null": True, "memorisation": True}
    found = diagnose(mixed(60), "ill", **{**TINY, **asked})
    assert found.verdict in VERDICTS
    assert (found.findings.learning_curve, found.findings.noise, found.findings.memorisation) == (None, None, None)
    assert "What 'null' asks is not known" in str(found)
    assert "training on fewer of them diverged" in str(found)


def test_no_such_file() -> None:
    """A path that leads nowhere is a file error."""
    with pytest.raises(FileError, match=r"There is no file no\.csv"):
        diagnose("no.csv", "ill", **TINY)


def test_a_network_that_diverges() -> None:
    """A learning rate far too high ends in a sentence that says so, and not in a verdict."""
    with pytest.raises(TrainingError, match="lower the learning rate"):
        diagnose(mixed(60), "dose", **TINY, learning_rate=1e20)


@pytest.mark.slow
def test_undecided_draws_the_folds_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many repeats stand beside the first, which stay; where they could not decide, none is drawn."""
    first = diagnose(mixed(), "ill", **TINY)

    def judged(more_folds: bool) -> Diagnosis:
        words = [Verdict("undecided", "", ("twice as many rows",), 2.0, more_folds), Verdict("fits well", "")]
        with monkeypatch.context() as patch:
            patch.setattr(evidence, "judge", lambda *_, **__: words.pop(0))
            return diagnose(mixed(), "ill", **TINY)

    again = judged(more_folds=True)
    assert (again.verdict, again.findings.looks, again.to_json()["repeats"]) == ("fits well", (1, 4), [1, 4])
    assert again.histories.held_out_loss.shape[0] == 12
    np.testing.assert_array_equal(again.histories.held_out_loss[:3], first.histories.held_out_loss)
    losses = again.histories.held_out_loss[:, 0, 0]
    assert len(np.unique(losses)) == 12  # other folds, other first weights
    assert "The folds were drawn 4 times, for after 1 it was not clear." in str(again)
    stayed = judged(more_folds=False)
    assert (stayed.verdict, stayed.findings.looks, stayed.rows_needed) == ("undecided", (1,), 2.0)
    assert "About 2 times as many rows would decide it; more folds of these would not." in str(stayed)


def test_rows_that_do_not_count_alike() -> None:
    """Weights reach every training: balanced, the best constant of three classes loses log 3, shuffled or not."""
    frame = mixed(120).with_columns(pl.Series("ill", np.array(["a", "b", "c"])[np.arange(120) ** 2 % 7 % 3]))
    given = {"strengths": 2, "epochs": 6, "hidden": (6,), "cv": 3, "repeats": 1, "null": True, "memorisation": True}
    weights = np.where(np.arange(120) % 5 == 0, 0, np.random.default_rng(0).gamma(1.0, size=120))
    found, plain = (
        diagnose(frame, "ill", **given, **weighing)
        for weighing in ({"class_weight": "balanced", "sample_weight": weights}, {})
    )
    assert found.findings.noise is not None
    assert plain.findings.noise is not None
    assert found.findings.noise.constant == pytest.approx(np.log(3), rel=1e-12)
    assert plain.findings.noise.constant != pytest.approx(np.log(3), rel=1e-3)
    assert found.findings.memorisation is not None
    assert np.isfinite(found.histories.held_out_loss[:, 0]).any()
    one, other = (np.nanmean(each.histories.held_out_loss[:, 0]) for each in (found, plain))
    assert abs(one / other - 1) > 1e-3
