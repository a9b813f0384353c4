"""A trained network back as a plain Keras model: chosen strengths as ordinary layers and regularizers."""

from __future__ import annotations

import copy as copying
import itertools
import warnings
from typing import Any

import jax
import numpy as np

from fitwell.engine.network import Variables
from fitwell.errors import FitwellWarning
from fitwell.keras import anatomy
from fitwell.keras.anatomy import KERNEL_ARGUMENTS, is_dropout, kind, parts, walk
from fitwell.keras.backend import import_keras, is_keras_own
from fitwell.keras.compiled import compile_alike
from fitwell.keras.internals import all_layers
from fitwell.keras.keras_network import KerasNetwork, build_subclassed, finalize, plain
from fitwell.keras.rebuilding import Layer, is_graph, rebuild
from fitwell.regularization.strengths import Regularization


def close(
    model: Any, network: KerasNetwork, variables: Variables, regularization: Regularization | None, sample: Any
) -> Any:
    """Return a plain Keras model with trained weights, compiled as `model` was.

    Parameters
    ----------
    model
        As it was given; is not touched.
    network
        What was trained.
    variables
        Of one network.
    regularization
        What is written into the new model in the place of its own; None keeps its own.
    sample
        Inputs of one or a few rows.
    """
    original = network.original
    writer = None if regularization is None else _Writer(network, regularization)
    if is_graph(original):
        make, behind = (writer.make, writer.behind) if writer else (plain, _nothing)
        rebuilt = rebuild(original, make, behind, any_rows=original is not model)  # a copy that was built on a sample
        closed, news = rebuilt.model, [rebuilt.made.get(id(layer)) for layer in walk(original)]  # Keras makes inputs
    else:
        closed = build_subclassed(original, sample)
        news = list(walk(closed))
        if writer:
            writer.write_into(closed)
    _set_weights(news, network, variables)
    decay, decayed = _weight_decay(network, regularization)
    compile_alike(closed, model, _exempt(network, news, decayed))
    if regularization is not None:
        # a number stays one: not every optimizer takes None
        closed.optimizer.weight_decay = decay or (None if closed.optimizer.weight_decay is None else 0.0)
    closed.optimizer.build(closed.trainable_variables)  # else Keras warns when a saved model is loaded
    return closed


def _weight_decay(network: KerasNetwork, regularization: Regularization | None) -> tuple[float, list[bool]]:
    """Return the one weight decay of an optimizer, and for each trainable variable whether it acts there."""
    places, flags = iter(network.layers.decayed or ()), [bool(flag) for flag in network.decayed(None)]
    if regularization is None:
        return 0.0, flags
    chosen = [regularization.in_keras("optimizer", next(places)).get("weight_decay", 0.0) if f else 0.0 for f in flags]
    levels = {number for number in chosen if number > 0}
    if len(levels) > 1:
        warnings.warn(
            "Keras's optimizers have one weight decay for all layers, and the chosen one differs by layer: the "
            "model is trained with it, and its optimizer has none for further training.",
            FitwellWarning,
            stacklevel=2,
        )
    # where it is off everywhere, what was exempt stays exempt
    return (levels.pop(), [number > 0 for number in chosen]) if len(levels) == 1 else (0.0, flags)


def _exempt(network: KerasNetwork, news: list[Layer | None], decayed: list[bool]) -> list[Any]:
    """Return the variables of the new layers, given in the order of the original's, on which no decay acts."""
    exempt = {id(v) for v, yes in zip(network.original.trainable_variables, decayed, strict=True) if not yes}
    pairs = [(a, b) for a, b in zip(walk(network.original), news, strict=True) if b is not None and not is_dropout(a)]
    variables = [v for a, b in pairs for v in zip(a.trainable_variables, b.trainable_variables, strict=True)]
    return [new for old, new in variables if id(old) in exempt]


def zeros(network: KerasNetwork, variables: Variables) -> dict[str, float]:
    """Return the share of weights that are exactly zero, by the kernels' places."""
    flags = network.penalised(None)
    leaves = [np.asarray(leaf) for leaf, yes in zip(variables.trainable, flags, strict=True) if yes]
    counts: dict[str, list[int]] = {}
    for place, leaf in zip(network.layers.kernels, leaves, strict=True):
        count = counts.setdefault(place, [0, 0])
        count[0] += int((leaf == 0).sum())
        count[1] += leaf.size
    return {place: zero / total for place, (zero, total) in counts.items()}


class _Writer:
    """Writes strengths into layers: as they are made anew, or into those of a subclassed model."""

    def __init__(self, network: KerasNetwork, regularization: Regularization) -> None:
        self.network, self.regularization = network, regularization
        self.rates = {id(p.layer): regularization.in_keras("dropout", p.place).get("rate", 0.0) for p in network.places}
        self.added = {id(p.layer) for p in network.places if p.rate is None}
        self.taken = {layer.name for layer in all_layers(network.original)}
        self.penalties: dict[int, dict[str, Any]] = {}
        for kernel in network.kernels:
            argument = next(a for layer in parts(kernel.layer) if (a := _argument(layer, kernel.variable)))
            self.penalties.setdefault(id(kernel.layer), {})[argument] = self._regularizer(kernel.place)

    def make(self, layer: Layer) -> Layer:
        """Make a layer anew with the strengths of its places, and without any regularization of its own."""
        keras = import_keras()
        if is_dropout(layer):
            rate = self.rates.get(id(layer), 0.0)
            if kind(layer) in anatomy.OTHER_NOISE:
                return keras.layers.Dropout(rate, name=layer.name)
            return plain(layer, rate=rate)
        config = copying.deepcopy(layer.get_config())
        for key in _keys(config, "_regularizer"):
            _write(config, key, self.penalties.get(id(layer), {}).get(key))
        for key in ("dropout", "recurrent_dropout"):
            if is_keras_own(layer):  # what others mean by it is not known
                _write(config, key, 0.0)
        for inner in parts(layer):
            if inner is not layer and id(inner) in self.rates:
                config[anatomy.rate_argument(layer, inner)] = self.rates[id(inner)]
        return plain(layer, **config)

    def behind(self, layer: Layer) -> Layer | None:
        """Return the dropout that belongs behind a layer, if any was chosen."""
        rate = self.rates[id(layer)] if id(layer) in self.added else 0.0
        return import_keras().layers.Dropout(rate, name=self._free_name(layer)) if rate > 0 else None

    def _free_name(self, layer: Layer) -> str:
        """Return a name for the dropout behind a layer that no layer of the model has: Keras takes no name twice."""
        name = f"{layer.name}_dropout"
        numbered = (f"{name}_{number}" for number in itertools.count(1))
        return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in self.taken)

    def write_into(self, closed: Any) -> None:
        """Set rates and regularizers of a subclassed model's layers, whose configurations are its own affair."""
        for variable in closed.trainable_variables:
            variable.regularizer = None
        pairs = [(a, b) for x, y in zip(walk(self.network.original), walk(closed), strict=True)
                 for a, b in zip(parts(x), parts(y), strict=True)]  # fmt: skip
        for old, new in pairs:
            if id(old) in self.rates:
                new.rate = self.rates[id(old)]
            for attribute in KERNEL_ARGUMENTS:
                argument = anatomy.regularizer_argument(new, attribute)
                if hasattr(new, argument) and anatomy.getattr_built(new, attribute) is not None:
                    regularizer = self._of_variable(getattr(old, attribute), argument)
                    setattr(new, argument, regularizer and import_keras().regularizers.get(regularizer))
                    getattr(new, attribute).regularizer = getattr(new, argument)

    def _of_variable(self, variable: Any, argument: str) -> Any:
        layer = next((kernel.layer for kernel in self.network.kernels if kernel.variable is variable), None)
        return self.penalties.get(id(layer), {}).get(argument)

    def _regularizer(self, place: str) -> dict[str, Any] | None:
        """One of Keras's regularizers as a configuration."""
        regularizers = import_keras().regularizers
        # the class that a person would have written, so that configurations compare equal
        kinds = {("l1",): regularizers.L1, ("l2",): regularizers.L2, ("l1", "l2"): regularizers.L1L2}
        on = {name: value for name, value in self.regularization.in_keras("regularizer", place).items() if value}
        return regularizers.serialize(kinds[tuple(sorted(on))](**on)) if on else None


def _argument(layer: Layer, variable: Any) -> str | None:
    held = (a for a in KERNEL_ARGUMENTS if anatomy.getattr_built(layer, a) is variable)
    return next((anatomy.regularizer_argument(layer, a) for a in held), None)


def _nothing(layer: Layer) -> None:
    del layer


def _keys(config: Any, ending: str) -> set[str]:
    """All keys with an ending, at any depth: wrappers hold the configurations of the layers in them."""
    if isinstance(config, dict):
        here = {key for key in config if isinstance(key, str) and key.endswith(ending)}
        return here.union(*(_keys(value, ending) for value in config.values()))
    return set().union(*(_keys(value, ending) for value in config)) if isinstance(config, list | tuple) else set()


def _write(config: Any, key: str, value: Any) -> None:
    """Set a key wherever it stands, at any depth."""
    if isinstance(config, dict):
        for inner in config.values():
            _write(inner, key, value)
        if key in config:
            config[key] = value
    elif isinstance(config, list | tuple):
        for inner in config:
            _write(inner, key, value)


def _set_weights(news: list[Layer | None], network: KerasNetwork, variables: Variables) -> None:
    """Set the weights and flags of the new layers, which are given in the order of the original's."""
    trainable, other = network.variables_of(jax.tree.map(np.asarray, variables))
    values = {id(v): value for v, value in zip(network.copy.trainable_variables, trainable, strict=True)}
    values |= {id(v): value for v, value in zip(network.copy.non_trainable_variables, other, strict=True)}
    for old, copy, new in zip(walk(network.original), walk(network.copy), news, strict=True):
        if new is None or is_dropout(old):
            continue  # has no weights, and may have come back as another class
        for old_part, new_part in zip(_with_weights(old), _with_weights(new), strict=True):
            new_part.trainable = old_part.trainable
        for variable, weight in zip(copy.weights, new.weights, strict=True):
            weight.assign(values[id(variable)])
        for part in parts(new):
            finalize(part)


def _with_weights(layer: Layer) -> list[Layer]:
    return [inner for inner in parts(layer) if not is_dropout(inner) and inner.weights]
