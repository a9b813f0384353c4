"""Programs that this process has made before: a search like an earlier one neither lifts nor compiles them again.

Lifting a network over strengths and row sets, and writing down what came of it, is most of a small search: a second of
Python, of which the same network traced alone takes a part. So a program is known by what the run of *one* network
computes, all of it (primitives, their parameters, constants to the last bit), and by the shapes over which it is
lifted. Cross-validation of an estimator, whose searches differ by their rows only, then makes its programs once. What
was traced for this is what is lifted where a program is new: the Python of a network runs once for both.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import wraps
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun
from jax.sharding import Mesh

MOST_SEARCHES = 8
"""Searches whose programs are kept: those that were asked for last."""

_DERIVATIVES = {
    "custom_jvp_call": ("jvp_jaxpr_fun", "jvp_jaxpr_thunk"),
    "custom_vjp_call": ("fwd_jaxpr_thunk", "bwd", "out_trees"),
}
"""Parameters that say how a function is differentiated: in a run that has been written down nothing is any more."""


_UNCLEAR = (" at 0x", " object", "array(", "...")
"""In a text that does not say all: a place in memory, or numbers that are rounded or left out."""


class Programs(NamedTuple):
    """What a search runs, compiled; and a block's state, as shapes."""

    state: Any
    start: Callable[..., Any]
    advance: Callable[..., Any]
    measure: Callable[..., Any] | None


class RepeatedPrograms:
    """The programs of the latest searches, by their shapes, and by what they compute; any thread may ask."""

    def __init__(self, most: int = MOST_SEARCHES) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Hashable, str], Programs] = OrderedDict()
        self._lock = threading.Lock()

    def knows_shapes(self, shapes: Hashable) -> bool:
        """Whether it is worth while to ask what a search computes."""
        with self._lock:
            return any(known == shapes for known, _ in self._kept)

    def find(self, shapes: Hashable, computed: str | None) -> Programs | None:
        """Return the programs, if they were kept."""
        with self._lock:
            if computed is None or (shapes, computed) not in self._kept:
                return None
            self._kept.move_to_end((shapes, computed))
            return self._kept[shapes, computed]

    def keep(self, shapes: Hashable, computed: str | None, programs: Programs) -> None:
        """Keep programs, in place of those that nobody has asked for the longest; None cannot be told from others."""
        if computed is None:
            return
        with self._lock:
            self._kept[shapes, computed] = programs
            self._kept.move_to_end((shapes, computed))
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def forget(self) -> None:
        """Let all go."""
        with self._lock:
            self._kept.clear()


OF_THIS_PROCESS = RepeatedPrograms()


def shapes_of(*trees: Any) -> Hashable:
    """Return what tells arguments of one shape from others: their structure, and shapes, types and places of arrays."""
    leaves, structure = jax.tree.flatten(trees)
    return structure, tuple((leaf.shape, str(leaf.dtype), getattr(leaf, "sharding", None)) for leaf in leaves)


class Traced:
    """A function that has been traced: a call of it, lifted or not, does what was traced, and runs no Python of it.

    Parameters
    ----------
    function
        What is traced, once and now.
    arguments
        Arrays, or their shapes.
    axis
        Name and size of an axis that the function may take means over.

    Attributes
    ----------
    program
        All that is computed.
    results
        Shapes of the results.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], axis: tuple[str, int]) -> None:
        # a function of its own: what JAX remembers of another may be older than what that closes over
        @wraps(function)
        def here(*values: Any) -> Any:
            return function(*values)

        self.program, self.results = jax.make_jaxpr(here, axis_env=[axis], return_shape=True)(*arguments)
        # JAX writes it into the text of what it is lifted to
        self.__name__ = here.__name__

    def __call__(self, *arguments: Any) -> Any:
        """Return the results for arrays of the shapes that were traced."""
        computed = jaxpr_as_fun(self.program)(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(self.results), computed)


def what_they_compute(functions: Iterable[Traced]) -> str | None:
    """Return a digest of all that some functions compute; None if something in them cannot be told from another."""
    said = hashlib.sha256()
    for function in functions:
        try:
            _Writer(said).write(function.program)
        except _CannotBeToldError:
            return None
    return said.hexdigest()


class _CannotBeToldError(Exception):
    """Something has no text that stands for it alone."""


class _Writer:
    """Writes a program into a digest; variables are called by their numbers, in the order in which they appear."""

    def __init__(self, said: Any) -> None:
        self._said = said
        self._numbers: dict[Any, int] = {}
        self._defined_until_now = 0

    def write(self, value: Any) -> None:
        """Write whatever may be a part of a program, with its kind, so that no two kinds look alike."""
        if isinstance(value, ClosedJaxpr):
            self._say("closed", len(value.consts))
            for constant in value.consts:
                self.write(_as_array(constant))
            self._program(value.jaxpr)
        elif isinstance(value, Jaxpr):
            self._program(value)
        elif isinstance(value, np.ndarray | np.generic | jax.Array):
            array = _as_array(value)
            self._say("array", array.shape, array.dtype)
            self._said.update(np.ascontiguousarray(array).tobytes())
        elif isinstance(value, Mapping):
            self._say("mapping", len(value))
            for key in sorted(value, key=str):
                self._say(key)
                self.write(value[key])
        elif isinstance(value, tuple | list):
            self._say(type(value).__qualname__, len(value))
            for part in value:
                self.write(part)
        else:
            self._plain(value)

    def _program(self, program: Jaxpr) -> None:
        # a mean over an axis is an effect to JAX; any other is something outside, which the text does not say
        if any(type(effect).__name__ != "NamedAxisEffect" for effect in program.effects):
            raise _CannotBeToldError
        self._say("program", len(program.eqns))
        for variable in (*program.constvars, *program.invars):
            self._defined(variable)
        for equation in program.eqns:
            self._say(equation.primitive.name)
            for variable in equation.invars:
                self._used(variable)
            derivatives = _DERIVATIVES.get(equation.primitive.name, ())
            self.write({key: value for key, value in equation.params.items() if key not in derivatives})
            for variable in equation.outvars:
                self._defined(variable)
        for variable in program.outvars:
            self._used(variable)

    def _defined(self, variable: Any) -> None:
        # anew at a second visit: JAX has one object for all calls of a function, and its variables come again
        self._numbers[variable] = self._defined_until_now
        self._defined_until_now += 1
        self._say("is", self._numbers[variable], variable.aval)

    def _used(self, variable: Any) -> None:
        if isinstance(variable, Literal):
            self._say("literal", variable.aval)
            self.write(_as_array(variable.val))
        else:
            self._say("variable", self._numbers[variable])

    def _plain(self, value: Any) -> None:
        text = repr(value)
        # what is called by where it lies in memory may be anything, and something else next time
        if (callable(value) and not isinstance(value, type | Mesh)) or any(part in text for part in _UNCLEAR):
            raise _CannotBeToldError
        self._say(type(value).__qualname__, text)

    def _say(self, *words: Any) -> None:
        self._said.update("\x1f".join(map(str, words)).encode() + b"\x1e")


def _as_array(value: Any) -> np.ndarray:
    # a random key of JAX's own type is no array of numbers
    if jax.numpy.issubdtype(getattr(value, "dtype", np.dtype(float)), jax.dtypes.extended):
        raise _CannotBeToldError
    return np.asarray(value)
