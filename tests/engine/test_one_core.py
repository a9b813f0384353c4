"""BLAS has one core while anybody trains, and afterwards what it had."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fitwell.engine.one_core import blas_on_one_core


def threads() -> set[int]:
    """Of all BLAS libraries that are loaded."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_last_one_to_leave_lifts_it() -> None:
    """Two that overlap: the first to leave takes the limit from nobody, and none is left behind."""
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = blas_on_one_core(), blas_on_one_core()
        first.__enter__()
        assert threads() == {1}
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == before != {1}


def test_it_is_lifted_after_an_error() -> None:
    """Whatever ends the training."""
    with threadpool_limits(2, user_api="blas"):
        with pytest.raises(KeyboardInterrupt), blas_on_one_core():
            raise KeyboardInterrupt
        assert threads() != {1}
