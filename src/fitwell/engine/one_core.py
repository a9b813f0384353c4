"""BLAS on one core while somebody trains: the limit is the whole process's, and several searches may run at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController


class _Limit:
    """Set by who comes first and lifted by who leaves last: each lifting its own would restore another's."""

    def __init__(self) -> None:
        self.lock, self.users, self.limiter = Lock(), 0, None
        self.controller = ThreadpoolController()

    def enter(self) -> None:
        with self.lock:
            self.users += 1
            if self.users == 1:
                limiter: Any = self.controller.limit(limits=1, user_api="blas")
                self.limiter = limiter

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0 and self.limiter is not None:
                self.limiter.restore_original_limits()
                self.limiter = None


# made at the first use: it looks through the libraries that are loaded
_limit = cache(_Limit)


@contextmanager
def blas_on_one_core() -> Iterator[None]:
    """Hold BLAS to one core; when nobody holds it any more it has as many as before."""
    limit = _limit()
    limit.enter()
    try:
        yield
    finally:
        limit.leave()
