"""A Keras model as pure functions: the engine's `PureNetwork`, over a private copy of the model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fitwell.engine import noise
from fitwell.engine.network import OnUnits, Variables
from fitwell.errors import InputError
from fitwell.keras import anatomy, hooks
from fitwell.keras.backend import import_keras
from fitwell.keras.descriptions import in_every_network
from fitwell.keras.internals import mask_of
from fitwell.keras.rebuilding import Layer, from_config, is_graph, rebuild, seeded
from fitwell.regularization.by_layer import Layers
from fitwell.regularization.regularizer import Axes, Regularizer


class Outputs(NamedTuple):
    """What a Keras model gives.

    Attributes
    ----------
    predictions
        Its outputs, [rows, ...] or a tree of such.
    added
        What it adds to the loss itself (`add_loss`, and in training its own penalties): [] in training; [rows] in
        prediction, each row for itself, so that none depends on its neighbours. None if nothing.
    masks
        For each array of the predictions, [rows, ...], what a loss counts of it (padding is left out); None for all.
    """

    predictions: Any
    added: Any
    masks: Any = ()


STEP_OF_TYPE = {"bfloat16": 2.0**-7, "float16": 2.0**-10}
"""Of the numbers of 16 bits in which layers compute under a policy of mixed precision; of all others 0."""


@dataclass(frozen=True, eq=False)
class KerasNetwork:
    """The engine's `PureNetwork` of a Keras model.

    Attributes
    ----------
    original
        The model; a built copy of it if it was not built.
    copy
        A private copy of the model, with hooks on its layers.
    kernels
        Those that penalties act on, in the order of the trainable variables.
    places
        Where units are dropped.
    layers
        Their names.
    optimizer
        What the model was compiled with; None if it was not.
    own
        Regularization of the model's own that has no row in the table.
    always
        What regularizes it and no strength takes the place of, named: it is in every network.
    values
        The first weights as the model has them.
    """

    original: Any
    copy: Any
    kernels: tuple[anatomy.Kernel, ...]
    places: tuple[anatomy.UnitPlace, ...]
    layers: Layers
    optimizer: Any
    own: hooks.Own
    always: tuple[str, ...]
    values: Variables
    _penalised: tuple[Axes | Literal[False], ...]
    _decayed: tuple[Axes | Literal[False], ...]
    _changing: tuple[int, ...]
    _constant: tuple[np.ndarray, ...]

    @property
    def described(self) -> str:
        """Its architecture as Keras writes it down, whatever its layers are called; empty if Keras cannot."""
        try:
            text = self.original.to_json()
        except (NotImplementedError, TypeError, ValueError):
            return ""
        # Keras numbers the layers of a process: the same model made twice has other names
        names = {name: f'"{place}"' for place, name in enumerate(dict.fromkeys(re.findall(r'"name": ("[^"]*")', text)))}
        return re.sub(r'"[^"]*"', lambda found: names.get(found[0], found[0]), text)

    def init(self, key: noise.Key, dtype: Any) -> Variables:
        """Return the model's weights as they are: fresh ones come from `first_weights`."""
        del key, dtype
        return jax.tree.map(jnp.asarray, self.values)

    def penalised(self, trainable: Any) -> Any:
        """Return the axes of every kernel in `kernels`."""
        del trainable
        return list(self._penalised)

    def decayed(self, trainable: Any) -> Any:
        """Return some axes for every variable that the model's optimizer lets decay, biases too."""
        del trainable
        return list(self._decayed)

    @property
    def step(self) -> float:
        """From one number to the next in the coarsest that a layer computes in, as a share; see `STEP_OF_TYPE`."""
        return max((STEP_OF_TYPE.get(layer.compute_dtype, 0.0) for layer in anatomy.walk(self.original)), default=0.0)

    def input_scales(self, trainable: Any) -> Any:
        """A model's inputs have no scales of ours."""
        return [False] * len(trainable)

    def input_kernels(self, trainable: Any) -> Any:
        """Which kernels of a model see its inputs is not looked for."""
        return self.input_scales(trainable)

    def own_strengths(self, row: Regularizer) -> np.ndarray:
        """Return the model's own strength of a regularizer at each of its places, float64 [L]."""
        if row.keras and row.keras.holder == "optimizer":
            number = float(getattr(self.optimizer, row.keras.attribute, None) or 0.0)
            return np.full(len(self.layers.of(row)), number)
        return np.array([place.strength(row) for place in (self.places if row.on_units else self.kernels)], float)

    def apply(self, variables: Variables, inputs: Any, on_units: OnUnits | None) -> tuple[Outputs, Any]:
        """Return the model's outputs and the state that training changes; see `PureNetwork.apply`."""
        with hooks.training_step(on_units) as step:
            predictions, after, losses = self._called(variables, inputs, training=step is not None)
        # a second pass, only for models that call `add_loss`: their sums mix the rows
        added = self._added_by_row(variables, inputs) if losses else None
        if step is not None:
            penalties = [*step.penalties, *(f(variables.trainable[number]) for number, f in self.own.variables)]
            # `add_loss` is part of the model in every candidate, penalties are the given model's only
            terms = [*losses, *(step.on_units.own * jnp.sum(penalty) for penalty in penalties)]
            added = sum(jnp.sum(term) for term in terms) if terms else None
        masks = tuple(mask_of(leaf) for leaf in jax.tree.leaves(predictions))
        return Outputs(predictions, added, masks), [after[number] for number in self._changing]

    def _called(self, variables: Variables, inputs: Any, training: bool) -> Any:
        """Outputs, all non-trainable variables afterwards, and losses that layers add."""
        # what no step changes is a constant of the program: as a variable every network would have a copy
        state = [jnp.asarray(value) for value in self._constant]
        for number, value in zip(self._changing, variables.state, strict=True):
            state[number] = value
        return self.copy.stateless_call(
            list(variables.trainable), state, keras_inputs(inputs), training=training, return_losses=True
        )

    def _added_by_row(self, variables: Variables, inputs: Any) -> Any:
        def one(row: Any) -> Any:
            alone = jax.tree.map(lambda leaf: leaf[None], row)
            return sum(jnp.sum(loss) for loss in self._called(variables, alone, training=False)[2])

        return jax.vmap(one)(inputs)

    def constrain(self, trainable: Any) -> Any:
        """Apply the variables' constraints, as Keras does after every step."""
        pairs = zip(self.copy.trainable_variables, trainable, strict=True)
        return [value if v.constraint is None else v.constraint(value) for v, value in pairs]

    def variables_of(self, values: Variables) -> tuple[list[Any], list[Any]]:
        """Return trainable and all other weights in the copy's order."""
        other = list(self._constant)
        for number, value in zip(self._changing, values.state, strict=True):
            other[number] = value
        return list(values.trainable), other


def keras_inputs(inputs: Any) -> Any:
    """Return inputs as Keras takes them: several in a list or a dict."""
    return list(inputs) if isinstance(inputs, tuple) else inputs


def open_network(
    model: Any,
    sample: Any,
    *,
    penalise: list[str] | None = None,
    dropout_after: list[str] | None = None,
) -> KerasNetwork:
    """Make a network of a Keras model.

    Parameters
    ----------
    model
        Is not touched.
    sample
        Inputs of one or a few rows, as Keras takes them.
    penalise, dropout_after
        Names of layers, in place of all kernels and of all hidden layers that have no dropout.

    Raises
    ------
    InputError
        The model cannot be copied, has no trainable variables, or a name is wrong.
    """
    copy, counterparts, graphs = _private_copy(model, sample)
    # a model that is not built has no kernels to look at yet
    original = model if model.built and model.trainable_variables else _private_copy(model, sample)[0]
    if original is not model:
        counterparts = {id(a): b for a, b in _pairs(original, copy)}
        graphs = rebuild(original, from_config).graphs if is_graph(original) else {}
    if not original.trainable_variables:
        raise InputError(f"The model '{model.name}' has no trainable weights: there is nothing to tune.")
    _check_names(original, penalise, "penalise")
    _check_names(original, dropout_after, "dropout_after")
    if dropout_after and not graphs:
        raise InputError(
            f"Dropout cannot be put into '{model.name}', a subclassed model whose graph is not known: put "
            "keras.layers.Dropout layers into it, or build it from keras.Input."
        )
    kernels = anatomy.kernels(original)
    if penalise is not None:
        # a kernel inside a layer is called "layer:part"
        kernels = [kernel for kernel in kernels if kernel.place.split(":")[0] in set(penalise)]
    places = anatomy.unit_places(original, graphs, dropout_after)
    numbers = {id(v): i for i, v in enumerate(original.trainable_variables)}
    chosen = {numbers[id(kernel.variable)]: kernel.axes for kernel in kernels}
    optimizer = getattr(model, "optimizer", None)
    decayed = anatomy.decayed(original, optimizer)
    own = hooks.install(copy, places, counterparts, chosen)
    values = [np.asarray(v) for v in copy.trainable_variables], [np.asarray(v) for v in copy.non_trainable_variables]
    # after the hooks are on: dropout that they replace no longer moves its seed
    changing = _changing(copy, values, sample)
    return KerasNetwork(
        original=original,
        copy=copy,
        kernels=tuple(kernels),
        places=tuple(places),
        layers=Layers(
            tuple(k.place for k in kernels), tuple(p.place for p in places), tuple(d for d in decayed if d is not None)
        ),
        optimizer=optimizer,
        own=own,
        always=in_every_network(original, {id(place.layer) for place in places}),
        values=Variables(values[0], [values[1][i] for i in changing]),
        _penalised=tuple(chosen.get(i, False) for i in range(len(values[0]))),
        _decayed=tuple(Axes() if place is not None else False for place in decayed),
        _changing=tuple(changing),
        _constant=tuple(values[1]),
    )


def first_weights(network: KerasNetwork, model: Any, sample: Any, seeds: list[int]) -> Variables:
    """Draw the first weights of every row set anew, by the layers' own initializers: `Variables` [R, ...].

    Only what training changes is drawn: frozen layers and adapted normalisation keep what the model has.
    """
    drawn = []
    for seed in seeds:
        with seeded(seed):
            # the whole model anew: initializers take their seeds when the layers are made
            fresh, _, _ = _private_copy(model, sample, weights=False)
        other = [np.asarray(v) for v in fresh.non_trainable_variables]
        trainable = [np.asarray(v) for v in fresh.trainable_variables]
        drawn.append(Variables(trainable, [other[i] for i in network._changing]))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def given_weights(network: KerasNetwork, count: int) -> Variables:
    """Start all row sets from the weights that the model has: `Variables` [R, ...]."""
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (count, *leaf.shape)).copy(), network.values)


def plain(layer: Layer, /, **changes: Any) -> Layer:
    """Make a layer anew, with Keras's own class in the place of fitwell's."""
    keras = import_keras()
    if type(layer).__module__ != "fitwell.keras.layers":
        return from_config(layer, **changes)
    config = {**layer.get_config(), **changes}
    if anatomy.kind(layer) == "Dense":
        config = {key: value for key, value in config.items() if key not in ("dropout_rate", "seed")}
        return keras.layers.Dense.from_config(config)
    return keras.layers.Dropout.from_config(config)


def _private_copy(model: Any, sample: Any, weights: bool = True) -> tuple[Any, dict[int, Layer], dict[int, Any]]:
    """Return a built copy, the copies of the layers by the ids of the originals, and the model's graphs."""
    if is_graph(model):
        rebuilt = rebuild(model, plain)
        copy, graphs = rebuilt.model, rebuilt.graphs
    else:
        copy, graphs = build_subclassed(model, sample), {}
    if not copy.built:
        _call_once(copy, sample)
    pairs = list(_pairs(model, copy))
    for old, new in pairs:
        # only where it differs: Keras sets it on all layers inside, too
        if old.trainable != new.trainable:
            new.trainable = old.trainable
    if weights:
        _copy_weights(pairs)
    return copy, {id(old): new for old, new in pairs}, graphs


def build_subclassed(model: Any, sample: Any) -> Any:
    """Make a subclassed model anew, with fresh weights."""
    try:
        copy = type(model).from_config(model.get_config())
    except Exception as error:  # whatever the model's own __init__ raises
        raise InputError(
            f"The model '{model.name}' is a subclass ({type(model).__name__}) that cannot be made anew from its "
            f"get_config() ({type(error).__name__}): give it a get_config() that its __init__ takes, or build it "
            "from keras.Input."
        ) from error
    _call_once(copy, sample)
    return copy


def _call_once(copy: Any, sample: Any) -> None:
    try:
        copy(sample, training=False)
    except Exception as error:
        raise InputError(
            f"The model '{copy.name}' does not take these inputs ({type(error).__name__}: {first_line(error)})."
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _pairs(original: Any, copy: Any) -> list[tuple[Layer, Layer]]:
    """All layers of the original, inner ones too, with those of the copy."""
    olds = [inner for outer in anatomy.walk(original) for inner in anatomy.parts(outer)]
    news = [inner for outer in anatomy.walk(copy) for inner in anatomy.parts(outer)]
    # else weights would land in other layers, without an error where shapes agree
    if [anatomy.kind(a) for a in olds] != [anatomy.kind(b) for b in news]:
        raise InputError(
            f"The model '{original.name}' made anew from its configuration has other layers than the original "
            "(they were added later, or depend on something that get_config() does not say): build it from keras.Input."
        )
    return list(zip(olds, news, strict=True))


def _copy_weights(pairs: list[tuple[Layer, Layer]]) -> None:
    """Copy weights by name, layer by layer; inner layers come after the outer ones, whose names may be ambiguous."""
    for old, new in pairs:
        values = {variable.name: variable for variable in old.weights} if old.built else {}
        for variable in new.weights:
            if variable.name in values and values[variable.name].shape == variable.shape:
                variable.assign(values[variable.name])
        finalize(new)


def finalize(layer: Layer) -> None:
    """Let a layer that keeps constants made of its weights (adapted normalisation) make them anew."""
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()


def _changing(copy: Any, values: tuple[list[Any], list[Any]], sample: Any) -> list[int]:
    """Numbers of the non-trainable variables that a training step changes (moving statistics, seeds)."""
    found: list[int] = []

    def step(trainable: Any, other: Any, inputs: Any) -> Any:
        with hooks.training_step(_Still()):
            _, after = copy.stateless_call(trainable, other, inputs, training=True)
        # by identity: what a step does not assign comes back as the very same object
        found.extend(i for i, (old, new) in enumerate(zip(other, after, strict=True)) if new is not old)
        return 0

    # shapes only: nothing is computed
    jax.eval_shape(step, *values, sample)
    return found


class _Still:
    """`OnUnits` that drops nothing."""

    own = 1.0

    def __call__(self, units: Any, *_: Any, **__: Any) -> Any:
        return units


def _check_names(model: Any, wanted: list[str] | None, argument: str) -> None:
    known = list(anatomy.names(model).values())
    for name in wanted or []:
        if name not in known:
            raise InputError(f"'{argument}' must name layers of the model. Got '{name}'; it has: {', '.join(known)}.")
