"""What is installed beside what tables need: for models of one's own, for plots, for experiment trackers."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType

from fitwell.errors import InputError

LIBRARIES_OF_MODELS = ("jax", "keras", "optax")


def is_installed() -> bool:
    """Return whether Keras and JAX are installed."""
    return not _missing()


def check_installed() -> None:
    """Raise an InputError unless Keras and JAX are installed."""
    if missing := _missing():
        are = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"{', '.join(missing)} {are} not installed. Tables need neither Keras nor JAX, but this does: "
            'pip install "fitwell[keras]".'
        )


def check_matplotlib() -> None:
    """Raise an InputError unless matplotlib is installed."""
    if find_spec("matplotlib") is None:
        raise InputError(
            "matplotlib is not installed. The report.html of a saved run needs no library for its pictures, but plots "
            'in Python need this one: pip install "fitwell[plot]".'
        )


def import_extra(extra: str, package: str, *modules: str) -> ModuleType:
    """Import modules that an extra of fitwell brings, and return their package.

    Raises
    ------
    InputError
        The package is not installed, with what to install.
    """
    try:
        for module in modules:
            import_module(module)
        return import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(
            f'This takes the package {package}, which is not installed ({error}): pip install "fitwell[{extra}]".'
        ) from error


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _missing() -> list[str]:
    return [name for name in LIBRARIES_OF_MODELS if find_spec(name) is None]
