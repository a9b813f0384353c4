"""A diagnosis in words and in JSON: hand-made evidence, so that every sentence is seen."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fitwell.analysis.findings import AsGiven, Findings, LearningCurve, Memorisation, Noise
from fitwell.analysis.intervals import corrected_t
from fitwell.analysis.learning_curve import fit_power_law
from fitwell.analysis.verdict import Evidence, Menu, Reduction, beyond, judge, reduction, weigh
from fitwell.engine.histories import Histories
from fitwell.engine.plan import Plan
from fitwell.regularization.strengths import Candidates, Regularization
from fitwell.regularization.table import BUILT_IN
from fitwell.results.diagnosis import Diagnosis
from fitwell.results.record import Record

JITTER = np.array([0.01, -0.01, 0.02, -0.02, 0.0])
RATIO, LEVEL, WORTH = 0.25, 0.95, 0.1


def menu(name: str, *curve: float, train: float = 0.0) -> Menu:
    """One network with this mean held-out curve."""
    held_out = np.array(curve)[None, None] + JITTER[:, None, None]
    return Menu((name,), held_out - train, held_out)


def helped(found: Menu) -> Any:
    """Compared with a network of loss 1 on all rows."""
    return weigh(found, 1 + JITTER, 1 + JITTER, RATIO, 5, LEVEL)


def curve(fall: float) -> LearningCurve:
    """Losses that fall so steeply with the root of the rows."""
    sizes = np.array([25, 50, 100, 200])
    losses = 0.8 + fall * sizes[:, None] ** -0.5 + 0.1 * JITTER
    law = fit_power_law(sizes, losses, LEVEL, test_to_train=RATIO)
    falls = reduction(losses[-2], losses[-1], RATIO, LEVEL)
    return LearningCurve(sizes, losses, law, law.change(100, 200), law.change(200, 400), falls)


NOTHING, CURE = menu("none", 1.0, 1.0), menu("l2 0.1", 0.6, 0.5)
STOPPING = menu("as given", 0.7, 1.0)
BIGGER = menu("four times the units, 32", 0.5, 0.4, train=0.3)


def diagnosis(regularized: Menu, stopped: Menu, growth: Menu | None, rows: LearningCurve | None) -> Diagnosis:
    """A diagnosis of this evidence, judged as ever."""
    search = helped(Menu.joined([stopped, regularized]))
    evidence = Evidence(
        search=search,
        regularization=helped(regularized),
        earlier=helped(stopped),
        beyond=beyond(regularized, stopped, RATIO, 5, LEVEL),
        growth=helped(growth) if growth else None,
        gain=rows.gain if rows else None,
        falls=rows.falls if rows else None,
    )
    empty = np.zeros((5, 2, 2))
    turned = 1 if stopped is STOPPING else None
    findings = Findings(
        verdict=judge(evidence, worth=WORTH),
        evidence=evidence,
        as_given=AsGiven(0.75, 1.0, corrected_t(0.25 + JITTER, RATIO, LEVEL), 2, turned, Regularization()),
        chosen=Regularization(l2=0.1),
        chosen_number=1,
        learning_curve=rows,
        noise=None,
        memorisation=None,
        asked=frozenset(["learning curve"]),
        loss_name="log loss",
        level=LEVEL,
        worth=WORTH,
    )
    return Diagnosis(
        findings=findings,
        candidates=Candidates({"l2": np.array([0.0, 0.1])}, np.ones(2)),
        histories=Histories(*[empty] * 4, *[np.ones(2, int)] * 6),
        plan=Plan(5, 2, 2, 1, 8, 1, 2, 2, 1, 0.0),
        record=Record({"rows": 250}, 0, {"total": 1.0}),
    )


def revised(found: Diagnosis, **changes: Any) -> Diagnosis:
    """The diagnosis with other findings, or other numbers of the network as given."""
    of_given = {name: changes.pop(name) for name in list(changes) if hasattr(found.findings.as_given, name)}
    as_given = replace(found.findings.as_given, **of_given)
    return replace(found, findings=replace(found.findings, as_given=as_given, **changes))


FLAT, FALLING = curve(0.0), curve(6.0)
CASES = {
    "overfits": diagnosis(CURE, NOTHING, None, FLAT),
    "fewer epochs": diagnosis(NOTHING, STOPPING, None, FLAT),
    "both help": diagnosis(CURE, STOPPING, None, FLAT),
    "underfits": diagnosis(NOTHING, NOTHING, BIGGER, FLAT),
    "needs data": diagnosis(NOTHING, NOTHING, NOTHING, FALLING),
    "fits well": diagnosis(NOTHING, NOTHING, NOTHING, FLAT),
    "undecided": diagnosis(NOTHING, NOTHING, NOTHING, None),
}


@pytest.mark.parametrize(
    ("case", "verdict", "parts"),
    [
        ("overfits", "overfits", ["Regularization lowers it to 0.5, by 50% (", "l2 = 0.1", "With that cure, twice"]),
        ("fewer epochs", "overfits", ["turned upwards at epoch 1 of 2", "Stopping at epoch 1", "That is cure enough"]),
        ("both help", "overfits", ["Stopping at epoch 1 lowers it to 0.7", "beyond what stopping does): l2 = 0.1"]),
        ("underfits", "underfits", ["no evidence that it overfits", "and the training loss by 90%: four times"]),
        ("needs data", "needs data", ["Twice the rows would lower it", "more rows are what would help"]),
        ("fits well", "fits well", ["Leave it alone", "by 10% of the held-out log loss or more"]),
        ("undecided", "undecided", ["cannot rule out that twice as many rows would help by more than 10%"]),
    ],
)
def test_the_text_of_every_verdict(case: str, verdict: str, parts: list[str]) -> None:
    """It begins with the verdict, and each sentence stands where its evidence is."""
    found = CASES[case]
    assert found.verdict == verdict
    assert str(found).startswith(f"{verdict.capitalize()}.\nOn its training rows the log loss is 0.75, on held-out")
    assert repr(found) == str(found)
    for part in parts:
        assert part in str(found)


@pytest.mark.parametrize("case", list(CASES))
def test_sentences_of_other_verdicts_are_absent(case: str) -> None:
    """The cure is told where it overfits only, leaving alone where nothing helps, and doubt where it is undecided."""
    found = str(CASES[case])
    word = CASES[case].verdict
    assert ("no evidence that it overfits" in found) == (word != "overfits")
    assert ("Leave it alone" in found) == (word in ("fits well", "needs data"))
    assert ("Nothing is shown to help" in found) == (word == "undecided")
    assert ("A larger, freer or longer trained network lowers it" in found) == (word == "underfits")


@pytest.mark.parametrize("case", list(CASES))
def test_json_is_valid_and_holds_the_verdict(case: str) -> None:
    """JSON of plain types without NaN, with the verdict, the reasons and what it was asked."""
    found = CASES[case]
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (document["verdict"], document["cure"], document["missing"]) == (
        found.verdict,
        found.cure,
        list(found.missing),
    )
    assert document["reasons"] == found.reasons
    assert (document["level"], document["worth"], document["networks"]) == (LEVEL, WORTH, 10)
    assert (document["learning_curve"] is None) == (found.findings.learning_curve is None)


def test_what_the_network_has_as_given_is_told() -> None:
    """By layer, and with what is no strength, in the text and in JSON; of one that has nothing there is no word."""
    has = Regularization({"l2": {"dense": 0.01, "dense_1": 0.0}}, BUILT_IN, ("dropout = 0.2 (inside lstm)",))
    found = revised(CASES["fits well"], regularization=has)
    text = "l2 = 0.01 (dense), dropout = 0.2 (inside lstm)"
    assert f"As given it has {text}." in found.reasons
    told = found.to_json()["regularization"]
    assert told["given"]["l2"] == {"dense": 0.01, "dense_1": 0.0}
    assert (told["given_text"], told["chosen_text"]) == (text, "l2 = 0.1")
    assert "As given" not in str(CASES["fits well"])


def test_json_without_an_end() -> None:
    """An interval without an end, which JSON does not know, is null."""
    found = revised(CASES["fits well"], gap=corrected_t(np.array([1.0]), RATIO, LEVEL), train_loss=np.nan)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["gap"]["low"] is None
    assert document["train_loss"] is None


def test_the_null_search_in_words() -> None:
    """Both numbers are given, and what a constant reaches; a difference is spoken of where there is one."""
    noise = Noise(as_given=0.9, lowest=0.61, honest=0.712, found=helped(NOTHING), constant=0.693)
    found = revised(CASES["fits well"], noise=noise)
    sentence = next(line for line in found.reasons if "shuffled target" in line)
    assert "is 0.61, and 0.712 on rows that had no part in choosing: the difference is what searching alone" in sentence
    assert sentence.endswith("; the best constant prediction has 0.693 on all rows.")
    assert "constant" not in str(revised(found, noise=replace(noise, constant=None)))
    assert "makes nothing look better here" in str(revised(found, noise=replace(noise, lowest=0.712)))
    assert "difference is" not in str(revised(found, noise=replace(noise, lowest=0.8)))
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["null"]["lowest"] == 0.61
    assert "shuffled" not in str(CASES["fits well"])


def test_learning_by_heart_in_words() -> None:
    """How fast noise and the target are learned, or that they are not."""
    fast = revised(CASES["fits well"], memorisation=Memorisation(0.7, 0.05, 0.0, 2, 1))
    text = " ".join(fast.reasons)
    assert "to a training log loss of 0.05 (chance: 0.7): half way by epoch 2, with the true target by epoch 1." in text
    slow = revised(fast, memorisation=Memorisation(0.7, 0.65, 0.65, None, None))
    assert "half way not within 2 epochs, with the true target not within 2 epochs" in str(slow)


def test_what_could_not_be_had_is_said() -> None:
    """A further training that failed costs no verdict, and is not passed over in silence."""
    found = revised(CASES["fits well"], asked=frozenset(["null", "memorisation"]))
    assert "What 'null' asks is not known" in str(found)
    assert "What 'memorisation' asks is not known" in str(found)
    assert "is not known" not in str(CASES["fits well"])


def test_no_infinite_percentage() -> None:
    """If every regularization diverged, what it adds to stopping is not known; in words."""
    case = CASES["fewer epochs"]
    unknown = Reduction(corrected_t(np.array([np.nan, 0.1]), RATIO, LEVEL), False)
    text = str(revised(case, evidence=replace(case.findings.evidence, beyond=unknown)))
    assert "whether regularization adds to it is not known" in text
    assert "inf" not in text
    assert "not known" not in str(case)


def test_larger_networks_that_fit_no_better() -> None:
    """They help on held-out rows but not surely on training rows: said, and no contradiction follows."""
    text = str(diagnosis(NOTHING, NOTHING, menu("four times the units, 32", 0.5, 0.4, train=-0.7), None))
    assert "but not surely the training loss: that is no underfitting." in text
    assert "Nothing else is shown to help" in text


def test_levels_are_not_rounded() -> None:
    """A level of 97.5% is no 98%."""
    gap = corrected_t(0.25 + JITTER, RATIO, 0.975)
    assert "97.5% interval" in str(revised(CASES["fits well"], gap=gap))


def test_percentages_have_one_sign() -> None:
    """No share is printed as -0% or +-3%."""
    for found in CASES.values():
        assert not re.search(r"[+-]0%|\+-|-\+|--", str(found))
