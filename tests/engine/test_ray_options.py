"""How a search on Ray is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from fitwell.engine.engines import checked_engine
from fitwell.engine.ray_options import Ray, is_ray
from fitwell.errors import InputError


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("ray", Ray()),
        ("ray:auto", Ray("auto")),
        ("ray:10.0.0.1:6379,workers=8", Ray("10.0.0.1:6379", workers=8)),
        ("ray://head:10001,cpus=2,gpus=0.5", Ray("ray://head:10001", cpus=2, gpus=0.5)),
        ("ray,every=3,train=numpy", Ray(every=3, train="numpy")),
    ],
)
def test_a_text_is_read_and_written(text: str, options: Ray) -> None:
    """Both ways; the object and the text are one engine."""
    assert Ray.read(text) == options
    assert str(options) == text == checked_engine(options) == checked_engine(text)
    assert is_ray(text)
    assert is_ray(options)


@pytest.mark.parametrize("engine", ["auto", "numpy", "jax", "rays", "", None])
def test_what_is_not_ray(engine: Any) -> None:
    """Other engines, and names that only begin alike."""
    assert not is_ray(engine)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ray,auto", "'engine' must be such as 'ray', 'ray:ADDRESS' or 'ray:ADDRESS,workers=N,"),
        ("ray,cores=2", "'engine' must be such as"),
        ("ray,cpus=", "'engine' must be such as"),
        ("ray,cpus=two", "Ray's 'cpus' must be a number. Got 'two'."),
        ("ray,cpus=-1", "Ray's 'cpus' must be a whole number of at least 0. Got -1."),
        ("ray,every=0", "Ray's 'every' must be a whole number of at least 1. Got 0."),
        ("ray,gpus=-1", "Ray's 'gpus' must be a number of at least 0. Got -1."),
        ("ray,train=torch", "Ray's 'train' must be 'auto', 'numpy' or 'jax'. Got 'torch'."),
    ],
)
def test_a_wrong_text_is_refused(text: str, message: str) -> None:
    """In a sentence, before anything is read."""
    with pytest.raises(InputError) as error:
        checked_engine(text)
    assert str(error.value).startswith(message)


def test_an_address_is_one() -> None:
    """With a comma it would be read as something else."""
    with pytest.raises(InputError, match="Ray's 'address' must be one address"):
        Ray("a,b")
