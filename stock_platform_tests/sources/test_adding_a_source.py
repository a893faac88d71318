"""The page that shows how to add a source is true: its code runs, and conforms."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stock_platform import sources
from stock_platform.sources.registry import SOURCES
from stock_platform_tests.sources.conformance import SourceConformance

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-source.md"
HEADED = re.compile(r"^## [^`\n]*`([^`]+)`[^\n]*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def code() -> dict[str, str]:
    """File name -> the first block of Python below its heading."""
    found = {}
    for name, text in HEADED.findall(PAGE.read_text(encoding="utf-8")):
        block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
        assert block, name
        found[name] = block[1]
    return found


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[SourceConformance]]:
    """The page's test class, its source registered."""
    files = code()
    folder = tmp_path_factory.mktemp("sources")
    (folder / "acme").mkdir()
    for name, text in files.items():
        if name.startswith("sources/"):
            (folder / name.removeprefix("sources/")).write_text(text, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setattr(sources, "__path__", [*sources.__path__, str(folder)])
    try:
        module = importlib.import_module("stock_platform.sources.acme")
        patch.setitem(SOURCES, "acme", module.SPEC)
        scope: dict[str, Any] = {"__name__": "acme_page"}
        exec(compile(files["stock_platform_tests/sources/test_acme.py"], str(PAGE), "exec"), scope)  # noqa: S102 - our own page
        yield scope["TestAcme"]
    finally:
        patch.undo()
        for name in [n for n in sys.modules if n.startswith("stock_platform.sources.acme")]:
            del sys.modules[name]


CLAIMS = [name for name in dir(SourceConformance) if name.startswith("test_")]


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_worked_example_conforms(acme: type[SourceConformance], claim: str) -> None:
    """Every claim of the conformance suite, with each of its cases."""
    test = getattr(acme(), claim)
    marks = [m for m in getattr(test, "pytestmark", []) if m.name == "parametrize"]
    if not marks:
        test()
    for mark in marks:
        names, cases = mark.args
        keys = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
        for case in cases:
            test(**dict(zip(keys, case if len(keys) > 1 else [case], strict=True)))


def test_the_page_covers_the_folder() -> None:
    """Four files and a test, each under a heading of its own."""
    assert list(code()) == [
        "sources/acme/config.py",
        "sources/acme/client.py",
        "sources/acme/parse.py",
        "sources/acme/__init__.py",
        "stock_platform_tests/sources/test_acme.py",
    ]
