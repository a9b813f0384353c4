"""A network of two plain JAX functions on arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from fitwell.analysis.scores import score_of
from fitwell.data.arrays import read_arrays, read_inputs
from fitwell.data.row_sets import RowSets, folds
from fitwell.data.training_rows import warn_of_unseen_classes
from fitwell.engine import noise
from fitwell.engine.job import Dataset, Settings
from fitwell.engine.losses import CLASSIFICATION, REGRESSION, Loss
from fitwell.engine.network import OnUnits, Variables
from fitwell.engine.optimizers import Optimizer
from fitwell.errors import InputError, InputTypeError
from fitwell.problems.options import Options
from fitwell.problems.problem import Fitted, Problem
from fitwell.regularization.by_layer import Layers
from fitwell.regularization.regularizer import Axes
from fitwell.regularization.strengths import Candidates
from fitwell.trees import tree_map

LOSSES = {"log loss": CLASSIFICATION, "squared error": REGRESSION}


@dataclass(frozen=True, eq=False)
class Network:
    """A network for `fitwell.train`, made of two plain JAX functions.

    Attributes
    ----------
    init
        ``init(key) -> parameters``: first weights from a JAX random key, a tree of arrays.
    apply
        ``apply(parameters, inputs) -> outputs``, inputs [rows, ...], outputs [rows, k]: logits for the log loss,
        values [rows, 1] for the squared error. For dropout, ``apply(parameters, inputs, drop)``: call
        ``drop(units)`` on what every hidden layer gives; it changes nothing in prediction.
    kernels
        ``kernels(path, array) -> bool``: which parameters penalties and weight dropout act on; `path` is the
        parameter's place as text, such as ``['dense']['kernel']``. None takes all with two axes or more.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> def init(key):
    ...     return {"kernel": jax.random.normal(key, (4, 3)), "bias": jnp.zeros(3)}
    >>> def apply(parameters, inputs):
    ...     return inputs @ parameters["kernel"] + parameters["bias"]
    >>> Network(init, apply).init(jax.random.key(0))["bias"].shape
    (3,)
    """

    init: Callable[[jax.Array], Any]
    apply: Callable[..., jax.Array]
    kernels: Callable[[str, Any], bool] | None = None

    def __post_init__(self) -> None:
        for name in ("init", "apply"):
            if not callable(getattr(self, name)):
                raise InputTypeError(f"'{name}' must be a function. Got {type(getattr(self, name)).__name__}.")
        # by their number, not their names: a person's functions may call them anything
        if len(inspect.signature(self.apply).parameters) not in (2, 3):
            raise InputTypeError(
                "'apply' must take (parameters, inputs) or (parameters, inputs, drop). "
                f"Got {inspect.signature(self.apply)}."
            )

    @property
    def drops(self) -> bool:
        """Whether `apply` takes `drop`."""
        return len(inspect.signature(self.apply).parameters) == 3


def read_functions(
    network: Network,
    x: Any,
    y: Any,
    *,
    loss: str | Loss | None,
    optimizer: Optimizer,
    splits: dict[str, Any],
    seed: int,
) -> FunctionsOnArrays:
    """Read the data of a network of two functions and draw its row sets; see `fitwell.train`."""
    if not isinstance(network, Network):
        raise InputTypeError(f"'network' must be a fitwell.Network. Got {type(network).__name__}.")
    arrays = read_arrays(x, y)
    targets, measured = _targets(arrays.targets, loss)
    # folds are stratified only where targets are surely classes
    task = "classification" if measured is CLASSIFICATION else "regression"
    row_sets = folds(targets, task, seed=seed, **splits)
    if task == "classification":
        warn_of_unseen_classes(row_sets, targets)
    functions = FunctionNetwork(network, _count_drops(network, arrays.inputs, targets, measured))
    return FunctionsOnArrays(functions, arrays.inputs, targets, measured, optimizer, row_sets, task)


@dataclass(frozen=True, eq=False)
class FunctionsOnArrays:
    """A network of two functions on arrays, as a `Problem`.

    Attributes
    ----------
    network, inputs, targets, loss, optimizer
        What is trained, how, on what.
    row_sets
        See `Problem`.
    task
        `"classification"` or `"regression"`.
    """

    network: FunctionNetwork
    inputs: Any
    targets: np.ndarray
    loss: Loss
    optimizer: Optimizer
    row_sets: RowSets
    task: str

    may_stay, step = False, 0.0
    joins = False
    constant_loss = None
    source = None

    @property
    def summary(self) -> dict[str, Any]:
        """See `Problem`."""
        shapes = [list(leaf.shape[1:]) for leaf in jax.tree.leaves(self.inputs)]
        return {"rows": len(self.targets), "inputs": shapes}

    @property
    def strata(self) -> np.ndarray | None:
        """See `Problem`."""
        return self.targets if self.task == "classification" else None

    def check(self, options: Options) -> None:
        """See `Problem`: whatever was read can be finished."""

    def dataset(self, seed: int, first: int = 0) -> Dataset:
        """See `Problem`; the network draws its own first weights."""
        del seed, first
        count = self.row_sets.count
        return Dataset(self.inputs, self.targets, False, np.zeros(count), np.ones(count))

    def candidates(self, options: Options) -> Candidates:
        """See `Problem`."""
        return options.candidates(self.network.layers)

    def settings(self, options: Options) -> Settings:
        """See `Problem`."""
        return replace(options.settings(), optimizer=self.optimizer)

    def on(self, row_sets: RowSets) -> FunctionsOnArrays:
        """See `Problem`."""
        return replace(self, row_sets=row_sets)

    def larger(self) -> dict[str, Problem]:
        """See `Problem`: how to make it larger only its author knows."""
        return {}

    def shuffled(self, seed: int) -> FunctionsOnArrays:
        """See `Problem`."""
        return replace(self, targets=np.random.default_rng(seed).permutation(self.targets))

    def warm_up(self) -> None:
        """See `Problem`: nothing is needed."""

    def predictions(self, raw: Any) -> Any:
        """See `Problem`."""
        return raw

    def score(self, predictions: Any, mean_loss: float) -> dict[str, float]:
        """See `Problem`; what another loss predicts only its author knows."""
        del mean_loss
        return score_of(self.task, self.targets, predictions) if self.loss in LOSSES.values() else {}

    def finish(self, networks: Sequence[Fitted]) -> tuple[FunctionPredictor, None]:
        """Keep the parameters of the one network."""
        (network,) = networks
        return FunctionPredictor(self.network.functions, network.variables.trainable, self.loss), None

    def predict_rows(self, predictor: Any, rows: np.ndarray) -> Any:
        """See `Problem`."""
        return predictor.predict(jax.tree.map(lambda leaf: leaf[rows], self.inputs))


@dataclass(frozen=True, eq=False)
class FunctionNetwork:
    """The engine's network of two functions.

    Attributes
    ----------
    functions
        The user's.
    drops
        How often `apply` calls `drop`.
    """

    functions: Network
    drops: int

    @property
    def layers(self) -> Layers:
        """Where strengths act: kernels by their paths, dropped units by the order of the calls of `drop`."""
        # shapes only: the names of a large network's kernels must not cost its weights
        shapes = jax.eval_shape(self.functions.init, jax.random.key(0))
        named = jax.tree_util.tree_leaves_with_path(shapes)
        flags = jax.tree.leaves(self.penalised(shapes))
        names = [jax.tree_util.keystr(path) for (path, _), yes in zip(named, flags, strict=True) if yes]
        return Layers(tuple(names), tuple(f"drop_{i + 1}" for i in range(self.drops)))

    def init(self, key: noise.Key, dtype: Any) -> Variables:
        """Draw the first parameters."""
        del dtype
        # two words, as JAX's threefry keys are: a person's `init` gets a key of JAX's own
        return Variables(self.functions.init(jax.random.wrap_key_data(key, impl="threefry2x32")), ())

    def penalised(self, trainable: Any) -> Any:
        """Return which parameters are kernels; their last two axes are taken for inputs and outputs."""
        kernels = self.functions.kernels or (lambda path, array: len(array.shape) >= 2)
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: Axes() if kernels(jax.tree_util.keystr(path), leaf) else False, trainable
        )

    def decayed(self, trainable: Any) -> Any:
        """Return the kernels."""
        return self.penalised(trainable)

    def input_scales(self, trainable: Any) -> Any:
        """None: what is done to inputs is the function's own."""
        return tree_map(lambda _: False, trainable)

    def input_kernels(self, trainable: Any) -> Any:
        """None: which parameters see the inputs is the function's own."""
        return self.input_scales(trainable)

    def apply(self, variables: Variables, inputs: Any, on_units: OnUnits | None) -> tuple[jax.Array, Any]:
        """Apply the user's function."""
        return apply_functions(self.functions, variables.trainable, inputs, on_units), ()

    def constrain(self, trainable: Any) -> Any:
        """Every value is allowed."""
        return trainable


@dataclass(frozen=True, eq=False)
class FunctionPredictor:
    """A trained network of two functions.

    Attributes
    ----------
    network
        The functions.
    model
        The parameters.
    loss
        What it was trained with: it says what outputs mean.
    """

    network: Network
    model: Any
    loss: Loss

    def predict(self, inputs: Any) -> Any:
        """Predict rows: probabilities [n, k], or values [n]."""
        outputs = jax.jit(lambda parameters, x: apply_functions(self.network, parameters, x, None))(
            self.model, read_inputs(inputs)
        )
        return jax.tree.map(np.asarray, self.loss.predict(outputs))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Nothing: functions come with none."""
        return {}

    def write(self, directory: Any) -> None:
        """Refuse: functions cannot be written."""
        del directory
        raise InputError("A network of two functions cannot be saved: save its parameters, `result.model`.")


def apply_functions(network: Network, parameters: Any, inputs: Any, on_units: OnUnits | None) -> jax.Array:
    """Apply a network, with a `drop` that numbers its calls."""
    if not network.drops:
        return network.apply(parameters, inputs)
    calls = 0

    def drop(units: jax.Array) -> jax.Array:
        nonlocal calls
        calls += 1
        return on_units(units, calls - 1) if on_units else units

    return network.apply(parameters, inputs, drop)


def _count_drops(network: Network, inputs: Any, targets: np.ndarray, loss: Loss) -> int:
    """Call `apply` on shapes to see how often it drops, and whether it gives what the loss takes."""
    calls = 0

    def count(units: jax.Array) -> jax.Array:
        nonlocal calls
        calls += 1
        return units

    def once(key: jax.Array, rows: Any) -> Any:
        arguments = (network.init(key), rows)
        return network.apply(*arguments, count) if network.drops else network.apply(*arguments)

    # two rows: an output that lost its rows hardly has two of something else
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape[1:]), leaf.dtype), inputs)
    outputs = jax.eval_shape(once, jax.random.key(0), shapes)
    for leaf in jax.tree.leaves(outputs):
        if leaf.shape[:1] != (2,):
            raise InputError(f"'apply' must give one row for each row of x. It gave shape {leaf.shape} for 2 rows.")
    # what somebody's own loss takes is not known here
    if loss in LOSSES.values():
        _check_outputs(outputs, targets, loss)
    return calls


def _check_outputs(outputs: Any, targets: np.ndarray, loss: Loss) -> None:
    shape = getattr(outputs, "shape", ())
    wanted = "as many as y has classes" if loss is CLASSIFICATION else "1"
    least = int(targets.max()) + 1 if loss is CLASSIFICATION else 1
    if len(shape) != 2 or shape[1] < least or (loss is REGRESSION and shape[1] != 1):
        raise InputError(
            f"For the {loss.name} 'apply' must give [rows, k] with k = {wanted}, here {least}. "
            f"It gave shape {shape or type(outputs).__name__} for 2 rows."
        )


def _targets(targets: Any, loss: str | Loss | None) -> tuple[np.ndarray, Loss]:
    if not isinstance(targets, np.ndarray) or targets.reshape(len(targets), -1).shape[1] != 1:
        raise InputError("'y' must be one array [n]: class indices or values.")
    flat = targets.reshape(-1)
    if loss is None:
        loss = CLASSIFICATION if flat.dtype.kind == "i" else REGRESSION
    if isinstance(loss, str) and loss not in LOSSES:
        raise InputError(f"'loss' must be one of {', '.join(map(repr, LOSSES))}, or a Loss. Got {loss!r}.")
    found = LOSSES[loss] if isinstance(loss, str) else loss
    # an index below 0 is that of no class, and its loss would mean nothing
    if found is CLASSIFICATION and (flat.dtype.kind != "i" or flat.min() < 0):
        raise InputError("The log loss needs class indices, whole numbers from 0 on, in 'y'.")
    return flat, found
