"""The exceptions, and how messages count."""

from __future__ import annotations

import pytest

from fitwell.errors import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(0, "row", "0 rows"), (1, "row", "1 row"), (2, "class", "2 classes"), (1, "class", "1 class"),
     (12345, "missing value", "12,345 missing values")],
)  # fmt: skip
def test_numbers_of_things(number: int, noun: str, text: str) -> None:
    """One thing is singular, any other number is plural, and thousands are set apart."""
    assert counted(number, noun) == text
