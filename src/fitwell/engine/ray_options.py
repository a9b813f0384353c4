"""How a search runs on Ray: which cluster, how many workers, and what each of them has. Ray is not imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from fitwell.arguments import is_real, is_whole
from fitwell.errors import InputError


@dataclass(frozen=True)
class Ray:
    """A search on Ray: `engine=Ray(...)`, or the same as a text, `"ray:ADDRESS,workers=8,cpus=2,gpus=1"`.

    Attributes
    ----------
    address
        Of the cluster, as `ray.init` takes it: `"auto"`, `"HOST:PORT"` or `"ray://HOST:PORT"`. Empty takes the Ray that
        runs in this process already, or the one that the environment variable RAY_ADDRESS names; if there is neither,
        one is started on this machine and stopped afterwards.
    workers
        The most workers; 0 is as many as the cluster has room for.
    cpus, gpus
        What each worker has for itself. 0 CPUs are one, and for JAX on processors as many as it has devices; 0 GPUs are
        one where JAX trains and the cluster has any.
    every
        The workers' state is brought back after so many calls of a few epochs each. After a death the calls since then
        are trained again: 1 is one call at the most.
    train
        What trains in the workers: `"auto"`, `"numpy"` or `"jax"`, as without Ray.

    Examples
    --------
    >>> Ray.read("ray")
    Ray(address='', workers=0, cpus=0, gpus=0, every=1, train='auto')
    >>> str(Ray.read("ray:auto,cpus=2,gpus=1")), Ray.read("ray://head:10001").address
    ('ray:auto,cpus=2,gpus=1', 'ray://head:10001')
    """

    address: str = ""
    workers: int = 0
    cpus: int = 0
    gpus: float = 0
    every: int = 1
    train: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("workers", 0), ("cpus", 0), ("every", 1)):
            value = getattr(self, name)
            if not is_whole(value) or value < least:
                raise InputError(f"Ray's '{name}' must be a whole number of at least {least}. Got {value!r}.")
        if not is_real(self.gpus) or self.gpus < 0:
            raise InputError(f"Ray's 'gpus' must be a number of at least 0. Got {self.gpus!r}.")
        if self.train not in ("auto", "numpy", "jax"):
            raise InputError(f"Ray's 'train' must be 'auto', 'numpy' or 'jax'. Got {self.train!r}.")
        if not isinstance(self.address, str) or "," in self.address:
            raise InputError(f"Ray's 'address' must be one address, such as 'auto'. Got {self.address!r}.")

    @classmethod
    def read(cls, text: str) -> Ray:
        """Read what `str` writes.

        Raises
        ------
        InputError
            It is no such text.
        """
        first, *rest = text.split(",")
        # Ray's own addresses begin with the same word
        address = first if first.startswith("ray://") else first.removeprefix("ray").removeprefix(":")
        found: dict[str, Any] = {"address": address}
        for part in rest:
            name, _, value = part.partition("=")
            if name not in READERS or not value:
                raise InputError(
                    f"'engine' must be such as 'ray', 'ray:ADDRESS' or 'ray:ADDRESS,{'=N,'.join(READERS)}=NAME'. "
                    f"Got {text!r}."
                )
            found[name] = _number(name, value, READERS[name])
        return cls(**found)

    def __str__(self) -> str:
        """Return the text that is read back."""
        there = self.address.startswith("ray://")
        parts = [self.address if there else f"ray:{self.address}" if self.address else "ray"]
        named = [(one.name, getattr(self, one.name), one.default) for one in fields(self)[1:]]
        return ",".join([*parts, *(f"{name}={value}" for name, value, default in named if value != default)])


READERS: Mapping[str, Callable[[str], Any]] = {"workers": int, "cpus": int, "gpus": float, "every": int, "train": str}
"""How the parts of a text behind the address are read."""


def is_ray(engine: object) -> bool:
    """Return whether an engine is Ray."""
    return isinstance(engine, Ray) or (isinstance(engine, str) and engine.split(",")[0].split(":")[0] == "ray")


def _number(name: str, value: str, read: Callable[[str], Any]) -> Any:
    try:
        number = read(value)
    except ValueError:
        raise InputError(f"Ray's '{name}' must be a number. Got {value!r}.") from None
    return int(number) if isinstance(number, float) and number.is_integer() else number
