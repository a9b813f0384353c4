"""Who listens to a search: checked before anything is read, and two that are told as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fitwell.engine.plan import QUIET, Listener
from fitwell.errors import InputTypeError

HEARD_BY = ("on_read", "on_plan", "on_progress")
"""All that a listener is told by."""

ASKED_BY = "wants_end"
"""What a listener is asked by."""


def checked_listener(listener: Any) -> Listener:
    """Return the argument `listener`; None is one that does nothing.

    Raises
    ------
    InputTypeError
        It is no listener, or could not be told everything.
    """
    if listener is None:
        return QUIET
    if not isinstance(listener, Listener):
        is_class = isinstance(listener, type)
        got = f"the class {listener.__name__}: give an object of it" if is_class else type(listener).__name__
        raise InputTypeError(
            f"'listener' must be a fitwell.Listener, such as fitwell.Listener(on_progress=print). Got {got}."
        )
    # such as Keras's on_epoch_end, for which one would wait in vain
    for name in dir(listener):
        if name.startswith("on_") and name not in HEARD_BY:
            raise InputTypeError(f"'listener' has a method '{name}', which is never called: it hears {_named()}.")
    for name in HEARD_BY:
        _check_method(name, getattr(listener, name), "one argument", [None])
    _check_method(ASKED_BY, getattr(listener, ASKED_BY), "no arguments", [])
    return listener


def told_both(first: Listener, second: Listener) -> Listener:
    """Return a listener that tells the first, then the second; either may want the end."""

    def both(name: str) -> Callable[[Any], None]:
        functions = [getattr(listener, name) for listener in (first, second)]

        def tell(said: Any) -> None:
            for function in functions:
                function(said)

        return tell

    return Listener(
        **{name: both(name) for name in HEARD_BY}, wants_end=lambda: first.wants_end() or second.wants_end()
    )


def _check_method(name: str, method: Any, takes: str, arguments: list[Any]) -> None:
    if not callable(method):
        raise InputTypeError(f"'{name}' of 'listener' must be a function of {takes}. Got {method!r}.")
    try:
        inspect.signature(method).bind(*arguments)
    except ValueError:  # what is written in C may not say what it takes
        return
    except TypeError as error:
        raise InputTypeError(
            f"'{name}' of 'listener' must be a function of {takes}. Got one that takes {inspect.signature(method)}."
        ) from error


def _named() -> str:
    return f"{', '.join(HEARD_BY[:-1])} and {HEARD_BY[-1]}"
