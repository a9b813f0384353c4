from __future__ import annotations

from typing import Any

import pytest
from example_tables import QUICK, mixed

import fitwell
from fitwell.api.diagnose import diagnose
from fitwell.api.train import train
from fitwell.api.tune import tune
from fitwell.engine.listening import checked_listener, told_both
from fitwell.engine.plan import QUIET, Listener, Plan, Progress
from fitwell.errors import InputTypeError

NOWHERE = "no-such-table"


class Losses(fitwell.Listener):
    """One of a person's own, with a method of the three."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_progress(self, progress: fitwell.Progress) -> None:
        """Keep the lowest loss."""
        self.seen.append(progress.best_loss)


class Callback:
    """What is no listener, though it has the methods."""

    on_read = on_plan = on_progress = staticmethod(print)


class Epochs(Listener):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """As Keras calls it."""


class Nothing(Listener):
    on_plan = None  # type: ignore[assignment]


class Static(Listener):
    def on_progress(self) -> None:  # type: ignore[override]
        """Take nothing."""


WRONG = {
    "a function": (print, r"'listener' must be a fitwell\.Listener, such as .*\. Got builtin_function_or_method\."),
    "several": ([Losses()], r"'listener' must be a fitwell\.Listener.* Got list\."),
    "no listener": (Callback(), r"'listener' must be a fitwell\.Listener.* Got Callback\."),
    "a class": (Losses, r"'listener' must be .* Got the class Losses: give an object of it\."),
    "a method of Keras's": (Epochs(), r"a method 'on_epoch_end', which is never called: .* on_plan and on_progress\."),
    "a field": (Listener(on_progress=3), "'on_progress' of 'listener' must be a function of one argument. Got 3."),  # type: ignore[arg-type]
    "no method": (Nothing(), "'on_plan' of 'listener' must be a function of one argument. Got None."),
    "no argument": (Static(), r"'on_progress' of 'listener' must be .* Got one that takes \(\) -> 'None'\."),
    "two arguments": (Listener(on_read=lambda a, b: None), r"'on_read' of 'listener' .* Got one that takes \(a, b\)\."),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("search", [tune, diagnose])
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_listener_is_one_sentence(case: str, search: Any) -> None:
    """It is refused by the argument's name, before the table is looked for; a right one is not."""
    listener, sentence = WRONG[case]
    with pytest.raises(InputTypeError, match=sentence):
        search(NOWHERE, "y", listener=listener)
    with pytest.raises(fitwell.FileError, match=NOWHERE):  # the break
        search(NOWHERE, "y", listener=Losses())


def test_functions_are_searched_alike() -> None:
    """`train` refuses a wrong listener before it looks at the network."""
    with pytest.raises(InputTypeError, match="'listener' must be"):
        train("no network", [], [], listener=print)  # type: ignore[arg-type]


def test_what_is_taken() -> None:
    """None is one that does nothing; functions of any origin, and optional arguments, are functions of one argument."""
    assert checked_listener(None) is QUIET
    for function in (print, [].append, lambda one, two=2: None, lambda *all_of_them: None, str):
        listener = Listener(on_progress=function)
        assert checked_listener(listener) is listener


def test_methods_and_functions_hear_the_same() -> None:
    """A class with a method hears what a function hears, and to both the search is the same."""
    mine, heard, plans = Losses(), [], []
    tune(mixed(), "ill", **QUICK, listener=mine)
    tune(mixed(), "ill", **QUICK, listener=Listener(on_progress=heard.append, on_plan=plans.append))
    assert mine.seen == [progress.best_loss for progress in heard] != []
    assert {type(progress) for progress in heard} == {Progress}
    assert [type(plan) for plan in plans] == [Plan]


def test_two_are_told_as_one() -> None:
    """Both hear everything, the first first; one alone would not hear the other's."""
    heard: list[tuple[str, Any]] = []

    def one(name: str) -> Listener:
        return Listener(
            on_read=lambda said: heard.append((name, said)), on_progress=lambda said: heard.append((name, said))
        )

    both = told_both(one("a"), told_both(one("b"), QUIET))
    both.on_read({"rows": 3})
    both.on_progress(4)  # type: ignore[arg-type]
    assert heard == [("a", {"rows": 3}), ("b", {"rows": 3}), ("a", 4), ("b", 4)]


def test_either_of_two_may_want_the_end() -> None:
    """And neither has to; what takes an argument is refused."""
    no, yes = Listener(), Listener(wants_end=lambda: True)
    assert [told_both(*pair).wants_end() for pair in ((no, no), (no, yes), (yes, no))] == [False, True, True]
    assert checked_listener(yes) is yes
    with pytest.raises(InputTypeError, match="'wants_end' of 'listener' must be a function of no arguments"):
        checked_listener(Listener(wants_end=lambda progress: True))  # type: ignore[arg-type]


def test_an_error_of_a_listener_ends_the_search() -> None:
    """What a listener raises comes out, whichever executor trains."""

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt(f"epoch {progress.epoch}")

    with pytest.raises(KeyboardInterrupt, match="epoch 5"):
        tune(mixed(), "ill", **{**QUICK, "epochs": 10}, listener=Listener(on_progress=stop))
