"""Promises of programs that are kept for the next search of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fitwell.engine import jax_executor, repeated_programs
from fitwell.engine.executor import Job
from fitwell.engine.jax_executor import JaxExecutor, _OneNetwork
from fitwell.engine.job import Settings
from fitwell.engine.network import Variables
from fitwell.engine.repeated_programs import (
    OF_THIS_PROCESS,
    Programs,
    RepeatedPrograms,
    Traced,
    shapes_of,
    what_they_compute,
)
from fitwell.engine.trained import Trained
from fitwell.engine.training import train_all
from fitwell.regularization.strengths import Candidates

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SHORT = Settings(epochs=4, call_epochs=2, stopping=None)
AXIS = ("row_sets", 3)
X = np.arange(3, dtype=np.float32)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Each test begins with no program, and leaves none that it has changed."""
    OF_THIS_PROCESS.forget()
    yield
    OF_THIS_PROCESS.forget()


@pytest.fixture
def lifted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often a program is lifted."""
    count = [0]
    original = jax_executor.lift

    def counting(*arguments: Any, **named: Any) -> Any:
        count[0] += 1
        return original(*arguments, **named)

    monkeypatch.setattr(jax_executor, "lift", counting)
    return count


def strengths(count: int = 3, seed: int = 0) -> Candidates:
    drawn = np.random.default_rng(seed).uniform(0.1, 0.9, (2, count))
    return Candidates({"l2": drawn[0] / 100, "dropout": drawn[1] / 2}, np.full(count, 0.01))


def searched(problem: Any, candidates: Candidates | None = None, settings: Settings = SHORT) -> Trained:
    return train_all(
        problem.network,
        problem.dataset,
        problem.row_sets,
        candidates or strengths(),
        loss=problem.loss,
        settings=settings,
    )


def same(first: Trained, second: Trained) -> bool:
    ours, theirs = (jax.tree.leaves((one.best, one.histories.held_out_loss)) for one in (first, second))
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_a_search_like_an_earlier_one_makes_no_program(problem: Callable[..., Any], lifted: list[int]) -> None:
    """Other rows, other strengths, other networks' objects: it is not lifted again, and has its own numbers."""
    searched(problem(0))
    assert lifted == [1]
    again = searched(problem(1), strengths(seed=5))
    assert (lifted, again.compilations) == ([1], 1)
    OF_THIS_PROCESS.forget()
    assert same(again, searched(problem(1), strengths(seed=5)))
    assert lifted == [2]
    assert not same(again, searched(problem(0)))


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    # of the problem; of the settings; whether shapes alone tell it
    "rows": ({"rows": 43}, {}, True),
    "units": ({"hidden": (6,)}, {}, False),
    "shared inputs": ({"own": False}, {}, True),
    "task": ({"regression": True}, {}, True),
    "schedule": ({}, {"schedule": "cosine"}, False),
    "batches": ({}, {"batch_size": 4}, False),
    "strengths at once": ({}, {"block_strengths": 2}, True),
    "epochs of a call": ({}, {"call_epochs": 4}, False),
}


def known_by(case: Any, **others: Any) -> tuple[Any, str | None]:
    job = Job(case.network, case.dataset, case.row_sets, strengths(), case.loss)
    executor = JaxExecutor(job, replace(SHORT, **others))
    executor._put_data()
    return executor._shapes(), _OneNetwork(executor).computed


@pytest.mark.parametrize("change", CHANGES)
def test_another_search_is_another_program(problem: Callable[..., Any], change: str) -> None:
    """Of another size, with another loss or other settings, a search is known by something else; of other rows, not."""
    of_problem, of_settings, by_shapes = CHANGES[change]
    usual, other = known_by(problem(0)), known_by(problem(0, **of_problem), **of_settings)
    assert usual == known_by(problem(1))
    assert usual != other
    assert (usual[0] != other[0]) == by_shapes
    assert None not in (usual[1], other[1])


class Scaled:
    """A network whose outputs are multiplied by a number that no shape shows."""

    def __init__(self, network: Any, scale: Any) -> None:
        self.network, self.scale = network, scale

    def apply(self, variables: Variables, inputs: Any, on_units: Any) -> Any:
        """The network's outputs, multiplied."""
        outputs, state = self.network.apply(variables, inputs, on_units)
        return outputs * self.scale, state

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


class Retraced(Traced):
    """The deliberate break: what is lifted is the function itself, whose Python runs once more."""

    def __init__(self, function: Callable[..., Any], *others: Any) -> None:
        super().__init__(function, *others)
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        """Run the function's Python."""
        return self._function(*arguments)


def calls_of_new_program(case: Any) -> int:
    """How often a network's Python is run until its training program, which is new, is compiled."""
    count = [0]

    class Counted(Scaled):
        def apply(self, variables: Variables, inputs: Any, on_units: Any) -> Any:
            """Counts."""
            count[0] += 1
            return super().apply(variables, inputs, on_units)

    network: Any = Counted(case.network, 1.0)
    job = Job(network, case.dataset, case.row_sets, strengths(), case.loss)
    JaxExecutor(job, SHORT)._be_compiled()
    return count[0]


@pytest.mark.slow
def test_python_of_a_network_runs_once(problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once where it is trained, once where losses are measured, once for outputs of held-out rows, once for its cost.

    Where the digest and the programs are each traced from Python, as in the break, it runs 7 times, all but the last
    twice.
    """
    assert calls_of_new_program(problem(0)) == 4
    monkeypatch.setattr(jax_executor, "Traced", Retraced)
    OF_THIS_PROCESS.forget()
    assert calls_of_new_program(problem(0)) == 7


@pytest.mark.slow
def test_what_is_known_is_what_is_lifted(problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that changes after it was asked for its digest trains as it was: no later search finds another's."""
    case = problem(0)
    right = searched(case._replace(network=Scaled(case.network, 1.0)))

    def changed_meanwhile() -> Trained:
        OF_THIS_PROCESS.forget()
        # shapes that seem known have the digest made first
        monkeypatch.setattr(OF_THIS_PROCESS, "knows_shapes", lambda shapes: True)
        network = Scaled(case.network, 1.0)
        digest = what_they_compute

        def changing(functions: Any) -> str | None:
            found = digest(functions)
            network.scale = 3.0
            return found

        monkeypatch.setattr(jax_executor, "what_they_compute", changing)
        return searched(case._replace(network=network))

    assert same(changed_meanwhile(), right)
    monkeypatch.setattr(jax_executor, "Traced", Retraced)
    assert not same(changed_meanwhile(), right)


@pytest.mark.slow
def test_without_constants_the_wrong_program_would_be_taken(
    problem: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deliberate break: what a network computes says all, and with a part of it left out a search goes wrong."""
    case = problem(0)
    one, other = Scaled(case.network, 1.0), Scaled(case.network, 3.0)
    right = searched(case._replace(network=other))
    OF_THIS_PROCESS.forget()
    monkeypatch.setattr(repeated_programs._Writer, "_used", lambda *_: None)
    searched(case._replace(network=one))
    assert not same(searched(case._replace(network=other)), right)


@jax.custom_jvp
def doubled(x: Any) -> Any:
    return 2 * x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 5 * tangents[0]))


TRACED: dict[str, Callable[..., Any]] = {
    "a mean over the axis": lambda x, y: x - jax.lax.pmean(x, "row_sets"),
    "an argument that is not there": lambda x, y: {"y": y, "x": x + 1},
    "a derivative": jax.grad(lambda x, y: (jax.nn.relu(x) ** 3).sum()),
    "a derivative of one's own": lambda x, y: jax.nn.silu(doubled(x)),
    "a loop": lambda x, y: jax.lax.scan(lambda carry, part: (carry * 0.9 + part, carry), 0.0, x),
    "arrays it closes over": lambda x, y: (x + X, x * jnp.asarray(X)),
    "a result that is no argument's": lambda x, y: (jnp.float32(2), x),
}


@pytest.mark.parametrize("name", TRACED)
def test_traced_is_lifted_to_the_same_text(name: str) -> None:
    """What was traced for one, lifted, is word for word the program that the function's Python is lifted to."""
    function, three = TRACED[name], np.ones((3, 3), np.float32)

    def text(one: Callable[..., Any]) -> str:
        return jax.jit(jax.vmap(one, axis_name="row_sets")).lower(three, None).as_text()

    traced = Traced(function, (X, None), AXIS)
    assert text(traced) == text(function)
    assert text(traced) != text(Traced(lambda x, y: x * 7, (X, None), AXIS))
    ours, theirs = (jax.vmap(one, axis_name="row_sets")(three, None) for one in (traced, function))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs) == jax.tree.structure(traced.results)


def test_what_is_closed_over_is_not_copied() -> None:
    """However often it is lifted, an array that a function closes over is in memory once."""
    large = jnp.zeros(1000)
    traced = Traced(lambda x: x.sum() + large, (X,), AXIS)
    assert any(constant is large for constant in traced.program.consts)
    lifted = jax.make_jaxpr(jax.vmap(traced))(np.ones((2, 3), np.float32))
    assert any(constant is large for constant in lifted.consts)


def test_a_function_is_traced_anew() -> None:
    """What a function closes over may have changed since it was traced; JAX remembers the first, as the break shows."""
    scale = [1.0]

    def scaled(x: Any) -> Any:
        return x * scale[0]

    first, remembered = digest(scaled), str(jax.make_jaxpr(scaled)(X))
    scale[0] = 3.0
    assert digest(scaled) != first
    assert str(jax.make_jaxpr(scaled)(X)) == remembered  # the break


def digest(function: Callable[..., Any]) -> str | None:
    return what_they_compute([Traced(function, (X,), AXIS)])


def test_functions_are_told_apart_by_what_they_compute() -> None:
    """Names do not matter; numbers, order, branches, axes and derivatives that are taken do."""
    functions: list[Callable[..., Any]] = [
        lambda x: x + 1,
        lambda x: x + 2,
        lambda x: x * 2,
        lambda x: x + jnp.array([1.0, 2.0, 3.0]),
        lambda x: x + jnp.array([1.0, 2.0, np.nextafter(np.float32(3), np.float32(4))]),
        lambda x: x + np.float32(1.5),
        lambda x: x + np.nextafter(np.float32(1.5), np.float32(2)),
        lambda x: x[0] + x[1],
        lambda x: x[1] + x[0],
        lambda x: (x, x + 1),
        lambda x: jax.lax.pmean(x, "row_sets"),
        lambda x: jax.lax.psum(x, "row_sets"),
        lambda x: jax.lax.fori_loop(0, 3, lambda i, y: y + i, x),
        lambda x: jax.lax.fori_loop(0, 4, lambda i, y: y + i, x),
        lambda x: jax.lax.cond(x[0] > 0, lambda: x, lambda: 2 * x),
        lambda x: jax.lax.cond(x[0] > 0, lambda: 2 * x, lambda: x),
        jax.grad(lambda x: (2 * x).sum()),
        jax.grad(lambda x: doubled(x).sum()),
        jax.nn.relu,
        jax.nn.silu,
        doubled,
    ]
    found = [digest(function) for function in functions]
    assert None not in found
    assert len(set(found)) == len(functions)
    assert found == [digest(function) for function in functions]


def test_functions_that_are_called_again_are_told_apart() -> None:
    """JAX has one object for all calls of a function: what stands in it counts at every call."""
    minus, other = jax.jit(lambda x, y: x - y), jax.jit(lambda x, y: y - x)
    minus(X, X)
    other(X, X)
    one, two = (digest(lambda x, third=third: minus(x, 1) * other(x, 1) * third(x, 1)) for third in (minus, other))
    assert None not in (one, two)
    assert one != two


KEY = jax.random.key(0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + jax.random.uniform(KEY, (3,)),
        lambda x: jax.pure_callback(lambda y: np.asarray(y), X, x),
        lambda x: (jax.debug.callback(print, x), x)[1],
        jax.checkpoint(lambda x: x + 1, policy=lambda *_, **__: True),
    ],
)
def test_what_calls_back_has_no_digest(function: Callable[..., Any]) -> None:
    """A program that leaves for Python, or holds what is no array of numbers, is made anew: there is no text of it."""
    assert digest(function) is None
    assert digest(lambda x: x + 1) is not None


@pytest.mark.slow
def test_what_has_no_digest_is_made_anew(problem: Callable[..., Any], lifted: list[int]) -> None:
    """A network of which nothing can be said is lifted for every search, and is right."""
    case = problem(0)

    class Calling(Scaled):
        def apply(self, variables: Variables, inputs: Any, on_units: Any) -> Any:
            """Calls Python."""
            outputs, state = self.network.apply(variables, inputs, on_units)
            jax.debug.callback(lambda: None)
            return outputs, state

    network = Calling(case.network, 1.0)
    assert same(searched(case._replace(network=network)), searched(case._replace(network=network)))
    assert lifted == [2]


def test_only_the_latest_are_kept() -> None:
    """Those that nobody asks for make room; what cannot be told from others is not kept at all."""
    kept = RepeatedPrograms(most=2)
    one, two, three = (Programs(None, print, print, None) for _ in range(3))
    kept.keep("a", "1", one)
    kept.keep("a", "2", two)
    assert kept.find("a", "1") is one
    kept.keep("b", "1", three)
    assert kept.find("a", "2") is None
    assert (kept.find("a", "1"), kept.find("b", "1")) == (one, three)
    kept.keep("c", None, one)
    assert kept.find("c", None) is None
    assert (kept.knows_shapes("a"), kept.knows_shapes("c")) == (True, False)


def test_shapes_tell_structures_types_and_sizes() -> None:
    """Arguments of one shape are told from all others."""
    cases = [X, X.astype(np.float64), X[:2], X[None], (X,), {"a": X}, optax.EmptyState(), None]
    found = [shapes_of(case) for case in cases]
    assert len(set(found)) == len(cases)
    assert found == [shapes_of(case) for case in cases]


@pytest.mark.slow
def test_threads_may_search_at_once(problem: Callable[..., Any]) -> None:
    """Searches of several threads share programs, and each has its own numbers."""
    alone = [searched(problem(seed)) for seed in range(3)]
    OF_THIS_PROCESS.forget()
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda seed: searched(problem(seed)), range(3)))
    assert all(map(same, alone, together))
