"""The table of layers in the documentation is that of the tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from fitwell.tfjs import reading, writing

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The program that writes the page."""
    spec = importlib.util.spec_from_file_location("make_layer_table", DOCS / "make_layer_table.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_tests_compare(maker: ModuleType) -> None:
    """After a change of layers or cases: ``python docs/make_layer_table.py``."""
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page()


def test_every_claim_has_a_case(maker: ModuleType) -> None:
    """No class is claimed that nothing compares; break: without its cases a class is found out."""
    for classes, cases in ((writing.LAYER_WRITERS, "tfjs_written"), (reading.LAYER_READERS, "tfjs_read")):
        found = maker.variants(__import__(cases).CASES)
        assert [name for name in classes if not found[name]] == []
    assert not maker.variants(["Dense: plain"])["Conv2D"]


def test_a_class_is_claimed_or_refused() -> None:
    """Never both."""
    assert not writing.LAYER_WRITERS.keys() & writing.NOT_WRITTEN.keys()
    assert not reading.LAYER_READERS.keys() & reading.NOT_READ.keys()
