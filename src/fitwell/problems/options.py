"""How a search is to be done, checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from fitwell.analysis.honest import METHODS
from fitwell.analysis.selection import RULES
from fitwell.arguments import is_real, is_whole, whole_number
from fitwell.engine.checkpoints import Checkpoints
from fitwell.engine.ending import AT_THE_END, Ending
from fitwell.engine.engines import checked_engine
from fitwell.engine.job import Settings
from fitwell.engine.stopping import Stopping
from fitwell.errors import InputError, InputTypeError
from fitwell.regularization.by_layer import Layers
from fitwell.regularization.grids import DEFAULT_COUNT, sobol
from fitwell.regularization.regularizer import Regularizer, Table, resolve
from fitwell.regularization.strengths import Candidates, Regularization, Strength, from_settings
from fitwell.regularization.table import BUILT_IN, DEFAULT_REGULARIZERS

ENSEMBLE_STRENGTHS = 4
"""Strengths whose fold networks are averaged: the recipe measured on 15 real tables (see the design notes)."""

Pruning = Literal["early", "none"]
Refit = Literal["ensemble", "single"]
Schedule = Literal["constant", "cosine", "cooldown"]
DepthName = Literal["constant", "funnel", "rising", "search"]
Start = Literal["fresh", "given"]
"""What a person may choose by name; see `fitwell.tune`."""


DEFAULT_HIDDEN = (128, 64)
"""Units of the hidden layers: wide enough to overfit most tables."""

WHOLE = {"strengths": 1, "epochs": 1, "batch_size": 1, "patience": 1, "refit_seeds": 1, "seed": 0}
WHOLE |= {"memory": 0, "devices": 1}
"""The options that are whole numbers, and the least of each."""

UNSET = ("batch_size", "memory", "devices")
"""Those of them that may be None: the machine and the rows decide."""

Strengths = int | Candidates | Sequence[Mapping[str, Strength]]


@dataclass(frozen=True)
class Options:
    """How a search is done; see `fitwell.tune` for what is not said here.

    Attributes
    ----------
    to_the_end
        Whether the network as given trains for all epochs, whatever becomes of it, as a diagnosis wants; the losses of
        single rows, which only a score on new rows needs, are then not kept.
    ending
        When to end before all epochs are over.
    checkpoints
        Where the search itself is written down, of all that is trained.
    """

    hidden: tuple[int, ...] = DEFAULT_HIDDEN
    strengths: Strengths = DEFAULT_COUNT
    regularizers: tuple[Regularizer, ...] = tuple(BUILT_IN[name] for name in DEFAULT_REGULARIZERS)
    depth: str = "constant"
    learning_rate: float | None = None
    epochs: int = 150
    batch_size: int | None = None
    patience: int = 25
    pruning: str = "early"
    schedule: str = "constant"
    refit: str = "ensemble"
    rule: str = "1se"
    honest: str = "bbc"
    scoring: str | None = None
    refit_seeds: int = 1
    seed: int = 0
    memory: int | None = None
    devices: int | None = None
    engine: str = "auto"
    to_the_end: bool = False
    ending: Ending = AT_THE_END
    checkpoints: Checkpoints | None = None

    def __post_init__(self) -> None:
        _check_options(self)
        self.settings()  # wrong numbers are refused before anything is read

    @property
    def stopping(self) -> Stopping:
        """Who leaves a search when."""
        rules = Stopping(patience=self.patience, to_the_end=self.to_the_end)
        return rules if self.pruning == "early" else replace(rules, rungs=())

    @property
    def table(self) -> Table:
        """The regularizers that settings may name: fitwell's, and those that were passed in."""
        return {**BUILT_IN, **{one.name: one for one in self.regularizers}}

    def candidates(self, layers: Layers | None = None) -> Candidates:
        """Return the strengths to search, in a network with these layers."""
        if isinstance(self.strengths, Candidates):
            _check_candidates(self.strengths, self.learning_rate)
            return self.strengths
        if is_whole(self.strengths):
            ranges = {"learning_rate": self.learning_rate, "seed": self.seed, "layers": layers, "depth": self.depth}
            return sobol(self.strengths, _acting(self.regularizers, layers), **ranges)
        if not isinstance(self.strengths, Sequence) or not all(isinstance(item, Mapping) for item in self.strengths):
            raise InputTypeError(
                "'strengths' must be a number, Candidates, or a list of settings such as [{'l2': 0.01}]. "
                f"Got {self.strengths!r}."
            )
        return from_settings(self.strengths, self.learning_rate, layers, self.table)

    def settings(self) -> Settings:
        """Return how the search is trained."""
        return Settings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            stopping=self.stopping,
            schedule=self.schedule,
            seed=self.seed,
            memory=self.memory,
            devices=self.devices,
            ending=self.ending,
        )


def make_options(**given: Any) -> Options:
    """Return options whose whole numbers are Python's own, whoever made them, and whose engine is a text."""
    whole = {name: _whole(name, given[name], least) for name, least in WHOLE.items() if name in given}
    engine = {"engine": checked_engine(given["engine"])} if "engine" in given else {}
    return Options(**{**given, **whole, **engine})


def _check_candidates(candidates: Candidates, learning_rate: float | None) -> None:
    if learning_rate is not None:
        raise InputError("Candidates have their own learning rates: leave out 'learning_rate'.")
    if any(np.any(values[0] != 0) for values in candidates.strengths.values()):
        raise InputError("The first candidate must have all strengths 0: the unregularized network is always searched.")


def hidden_units(hidden: int | Sequence[int]) -> tuple[int, ...]:
    """Return the units of the hidden layers, checked."""
    units = tuple(hidden) if isinstance(hidden, Sequence | np.ndarray) else (hidden,)
    for number in units:
        if not is_whole(number) or number < 1:
            raise InputError(f"'hidden' must be whole numbers of at least 1, one for each layer. Got {number!r}.")
    return tuple(int(number) for number in units)


def regularizer_list(regularizers: str | Regularizer | Sequence[str | Regularizer]) -> tuple[Regularizer, ...]:
    """Return regularizers, given by name or as they are; one alone need not stand in a list."""
    alone = isinstance(regularizers, str | Regularizer)
    if not alone and not isinstance(regularizers, Iterable):
        raise InputTypeError(f"'regularizers' must be names, such as ['l2', 'dropout']. Got {regularizers!r}.")
    return tuple(resolve(one, BUILT_IN) for one in ([regularizers] if alone else regularizers))


def _check_options(options: Options) -> None:
    if not options.regularizers and is_whole(options.strengths):
        raise InputError(f"'regularizers' must name at least one of {', '.join(BUILT_IN)}. Got none.")
    if options.refit not in get_args(Refit):
        raise InputError(f"'refit' must be 'ensemble' or 'single'. Got {options.refit!r}.")
    if options.schedule not in get_args(Schedule) and not callable(options.schedule):
        raise InputError(f"'schedule' must be 'constant', 'cosine' or 'cooldown'. Got {options.schedule!r}.")
    if options.pruning not in get_args(Pruning):
        raise InputError(f"'pruning' must be 'early' or 'none'. Got {options.pruning!r}.")
    checked_engine(options.engine)
    if options.rule not in RULES:
        raise InputError(f"'rule' must be '1se', 'min' or 'confidence-set'. Got {options.rule!r}.")
    if options.honest not in METHODS:
        raise InputError(f"'honest' must be 'bbc', 'nested' or 'bates'. Got {options.honest!r}.")
    if options.scoring is not None:
        _check_scoring(options)
    for name, least in WHOLE.items():
        _whole(name, getattr(options, name), least)
    _check_rate(options.learning_rate)
    _check_strengths(options)


def _check_scoring(options: Options) -> None:
    from fitwell.analysis.scoring import scoring_named  # only for who asks for one

    scoring_named(options.scoring)
    if options.honest != "bbc":
        raise InputError(
            f"'honest' must be 'bbc' where a strength is chosen by 'scoring'. Got {options.honest!r}, which corrects "
            "losses only."
        )


def _check_rate(learning_rate: Any) -> None:
    if learning_rate is not None and not (is_real(learning_rate) and learning_rate > 0):
        raise InputError(f"'learning_rate' must be a finite number above 0. Got {learning_rate!r}.")


def _check_strengths(options: Options) -> None:
    """Refuse wrong strengths of a list before anything is read; where they act is known with the network's layers."""
    if isinstance(options.strengths, Sequence) and not isinstance(options.strengths, str):
        for setting in options.strengths:
            if isinstance(setting, Mapping):
                Regularization(dict(setting), options.table)


def _whole(name: str, value: Any, least: int) -> Any:
    """Return a whole number as Python's own; what may stand in its place as it is."""
    if value is None and name in UNSET:
        return None
    # a list of strengths is looked at when the network's layers are known
    if name == "strengths" and not is_whole(value) and not isinstance(value, int | float):
        return value
    # so many bytes may well be written 8e9
    if name == "memory" and isinstance(value, float) and value.is_integer():
        value = int(value)
    return whole_number(name, value, least)


def _acting(regularizers: Sequence[Regularizer], layers: Layers | None) -> list[Regularizer]:
    acting = [one for one in regularizers if layers is None or layers.of(one)]
    if regularizers and not acting:
        names = ", ".join(repr(one.name) for one in regularizers)
        raise InputError(f"'regularizers' must name one that acts on a layer of this network. Got {names}.")
    return acting
