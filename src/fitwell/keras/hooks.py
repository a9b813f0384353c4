"""What training does inside a Keras model: hooks on the layers of a private copy.

Keras's own dropout and regularizers take Python numbers only. So the calls of some layers of the copy are wrapped:
where units are dropped, the program's `on_units` is asked while a training step is traced; what only the model as given
has (penalties of biases and activities, dropout inside recurrent cells) is weighed by `own`, 1 in that candidate and 0
in all others; and dense and convolutional layers are computed in an equal way that is faster for many networks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import jax

from fitwell.engine.network import OnUnits
from fitwell.keras.anatomy import DROPOUTS, OTHER_NOISE, UnitPlace, is_penalty, kind, names, parts, walk
from fitwell.keras.backend import import_keras
from fitwell.keras.convolutions import batched_call
from fitwell.keras.descriptions import Named, described, grouped, owners
from fitwell.keras.rebuilding import Layer

Call = Callable[..., Any]


@dataclass
class TrainingStep:
    """One training step in the making.

    Attributes
    ----------
    on_units
        The program's.
    draws
        How often units were dropped so far: a layer that is called twice draws twice.
    penalties
        Of activities, to be added to the loss in the model as given.
    """

    on_units: OnUnits
    draws: int = 0
    penalties: list[Any] = field(default_factory=list)

    def drop(self, units: Any, place: int, noise_shape: tuple[int, ...] | None = None) -> Any:
        """Drop units at a place."""
        number, self.draws = self.draws, self.draws + 1
        if noise_shape is None and units.ndim == 2:  # dense layers give their units transposed: see `_dense`
            return self.on_units(units.T, place, draw=number).T
        return self.on_units(units, place, draw=number, noise_shape=noise_shape)


# no argument: Keras calls the layers, and their signatures have no place for one
_step: ContextVar[TrainingStep | None] = ContextVar("step", default=None)


@contextmanager
def training_step(on_units: OnUnits | None) -> Iterator[TrainingStep | None]:
    """Let the hooks know that a training step is traced (or, with None, a prediction)."""
    step = None if on_units is None else TrainingStep(on_units)
    token = _step.set(step)
    try:
        yield step
    finally:
        _step.reset(token)


@dataclass(frozen=True)
class Own:
    """What of the model's own regularization has no row in the table of regularizers.

    Attributes
    ----------
    variables
        (number among the trainable variables, regularizer).
    names
        For people: what it is, in which layers.
    """

    variables: tuple[tuple[int, Any], ...]
    names: tuple[str, ...]


def install(copy: Any, places: list[UnitPlace], counterparts: dict[int, Layer], penalised: Collection[int]) -> Own:
    """Wrap the layers of a private copy, and take its own regularizers off.

    Parameters
    ----------
    places
        Of the original, in the order of the strengths.
    counterparts
        id of an original's layer to the copy's.
    penalised
        Numbers of the trainable variables on which the strengths of penalties act.
    """
    for layer in (inner for outer in walk(copy) for inner in parts(outer)):
        # before the dropout hooks, which must wrap the faster call and not be replaced by it
        faster = _dense(layer) if _is_plain_dense(layer) else batched_call(layer)
        if faster is not None:
            layer.call = faster
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False  # cuDNN's recurrent kernels know no axis of strengths
    found = [*_weigh_noise(copy, {id(counterparts[id(place.layer)]) for place in places}), *_weigh_activities(copy)]
    for number, place in enumerate(places):
        layer = counterparts[id(place.layer)]
        layer.call = _behind(layer, number) if place.rate is None else _dropping(layer, number)
    variables, penalties = _take_off(copy, penalised)
    return Own(tuple(variables), grouped([*found, *penalties]))


def _take_off(copy: Any, penalised: Collection[int]) -> tuple[list[tuple[int, Any]], list[Named]]:
    others: list[tuple[int, Any]] = []
    found: list[Named] = []
    owner = owners(copy)
    for number, variable in enumerate(copy.trainable_variables):
        regularizer = variable.regularizer
        # a searched kernel's L1 and L2 are strengths of the candidate; all else is weighed by `own`
        if regularizer is not None and not (is_penalty(regularizer) and number in penalised):
            others.append((number, regularizer))
            layer = owner.get(id(variable), str(copy.name))
            found += [(f"{variable.name} {what}", layer) for what in described(regularizer)]
        # else Keras would add the penalty to the loss of every candidate
        variable.regularizer = None
    return others, found


def _is_plain_dense(layer: Layer) -> bool:
    # a subclass may compute something else
    return type(layer) is import_keras().layers.Dense


def _dense(layer: Layer) -> Call:
    """Multiply ``kernel.T @ inputs.T`` and give a transposed view: over many strengths that needs no other transposing.

    Measured on digits (`benchmarks/keras_models.py`): as fast as the built-in network; as Keras multiplies, 20% slower.
    """
    keras, plain = import_keras(), layer.call

    def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # sequences keep Keras's product; a symbolic tensor is no array yet
        if getattr(inputs, "ndim", 0) != 2 or keras.backend.is_keras_tensor(inputs):
            return plain(inputs, *args, **kwargs)
        kernel = keras.ops.convert_to_tensor(layer.kernel)
        units = jax.lax.dot_general(kernel, inputs, (((0,), (1,)), ((), ())))
        if layer.bias is not None:
            units = units + keras.ops.convert_to_tensor(layer.bias)[:, None]
        return units.T if layer.activation is None else layer.activation(units.T)

    return call


def _behind(layer: Layer, place: int) -> Call:
    """Drop what the layer gives (the first, if it gives its states too)."""
    keras, plain = import_keras(), layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        outputs, step = plain(*args, **kwargs), _step.get()
        if step is None or kwargs.get("training") is False:
            return outputs
        # states beside the output are what the next step begins with: they are not dropped
        flat = keras.tree.flatten(outputs)
        return keras.tree.pack_sequence_as(outputs, [step.drop(flat[0], place), *flat[1:]])

    return call


def _dropping(layer: Layer, place: int) -> Call:
    """Take the place of the model's own dropout layer."""
    plain = layer.call
    together = DROPOUTS.get(kind(layer), 0)

    def call(inputs: Any, *args: Any, training: bool = False, **kwargs: Any) -> Any:
        step = _step.get()
        if step is None or not training:
            return inputs
        if kind(layer) in OTHER_NOISE:
            own = step.on_units.own
            # noise that is no dropout has no strength: it acts in the model as given only
            inputs = own * plain(inputs, *args, training=True, **kwargs) + (1 - own) * inputs
        return step.drop(inputs, place, _noise_shape(layer, inputs.shape, together))

    return call


def _noise_shape(layer: Layer, shape: tuple[int, ...], together: int) -> tuple[int, ...] | None:
    """Shape of the noise if it is not that of the units: 1 where a layer drops units together."""
    if together:
        channels_first = getattr(layer, "data_format", "channels_last") == "channels_first"
        ones = (1,) * together
        return (shape[0], shape[1], *ones) if channels_first else (shape[0], *ones, shape[-1])
    wanted = getattr(layer, "noise_shape", None)
    return None if wanted is None else tuple(shape[i] if n is None else n for i, n in enumerate(wanted))


def _weigh_noise(copy: Any, searched: Collection[int]) -> list[Named]:
    """Let the dropout inside recurrent cells act in the model as given only; name where there is some."""
    keras, named = import_keras(), names(copy)
    found: list[Named] = []
    for outer in walk(copy):
        for cell in parts(outer):
            for method, rate in (("get_dropout_mask", "dropout"), ("get_recurrent_dropout_mask", "recurrent_dropout")):
                if hasattr(cell, method) and (value := float(getattr(cell, rate, 0.0))) > 0:
                    setattr(cell, method, _weighed(keras, getattr(cell, method)))
                    found.append((f"{rate} = {value:.3g}", f"inside {named[id(outer)]}"))
            # `_dropping` weighs it
            if kind(cell) in OTHER_NOISE and id(cell) in searched and float(cell.rate) > 0:
                found.append((f"{kind(cell)} = {float(cell.rate):.3g}", named[id(outer)]))
    return found


def _weighed(keras: Any, mask_of: Call) -> Call:
    def mask(*args: Any, **kwargs: Any) -> Any:
        drawn, step = mask_of(*args, **kwargs), _step.get()
        own = step.on_units.own if step else 0.0
        # a mask of ones where `own` is 0; arithmetic, since it is traced
        return keras.tree.map_structure(lambda leaf: own * leaf + (1 - own), drawn)

    return mask


def _weigh_activities(copy: Any) -> list[Named]:
    """Take activity regularizers off; they are added in the model as given only. Name where there are some."""
    named = names(copy)
    found: list[Named] = []
    for name, layer in ((named[id(outer)], inner) for outer in walk(copy) for inner in parts(outer)):
        regularizer = getattr(layer, "activity_regularizer", None)
        if regularizer is not None and hasattr(layer, "call"):
            layer.activity_regularizer = None
            layer.call = _penalising(layer, regularizer)
            found += [(f"activity {what}", name) for what in described(regularizer)]
    return found


def _penalising(layer: Layer, regularizer: Any) -> Call:
    keras, plain = import_keras(), layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        outputs, step = plain(*args, **kwargs), _step.get()
        if step is not None:  # as Keras does: divided by the rows of the batch
            step.penalties += [regularizer(leaf) / leaf.shape[0] for leaf in keras.tree.flatten(outputs)]
        return outputs

    return call
