"""The list of vendors, and what holds for every one of them."""

from __future__ import annotations

import importlib
import pkgutil

import grimp
import pytest

from stock_platform import sources
from stock_platform.domain.errors import InputError
from stock_platform.sources.payload import excerpt, number
from stock_platform.sources.quota import HOLD_SECONDS
from stock_platform.sources.registry import SOURCES, spec_of
from stock_platform.sources.transport import HttpOptions

ROOM = "stock_platform.sources"
FOLDERS = sorted(m.name for m in pkgutil.iter_modules(sources.__path__) if m.ispkg)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_is_registered(folder: str) -> None:
    """A vendor that is not in the registry would be dead code."""
    module = importlib.import_module(f"{ROOM}.{folder}")
    specs = getattr(module, "SPECS", None) or (module.SPEC,)
    assert all(SOURCES[spec.capabilities.source] is spec for spec in specs)


def test_vendors_know_nothing_of_each_other() -> None:
    """So that one can be taken away, or be wrong, alone."""
    graph = grimp.build_graph("stock_platform", include_external_packages=False)
    vendors = {f"{ROOM}.{folder}" for folder in FOLDERS}
    for importer in vendors:
        for imported in vendors - {importer}:
            assert not graph.find_shortest_chains(importer, imported, as_packages=True)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_capabilities_are_consistent(name: str) -> None:
    """Names agree; endpoints are unique; every endpoint serves something."""
    capabilities = SOURCES[name].capabilities
    assert capabilities.source == name
    names = [endpoint.name for endpoint in capabilities.endpoints]
    assert len(set(names)) == len(names)
    assert all(e.intervals and e.asset_classes for e in capabilities.endpoints)
    assert capabilities.endpoints or capabilities.feeds
    assert (SOURCES[name].base_url is None) == (not capabilities.limits)


def test_an_unknown_source_is_named() -> None:
    """With those there are."""
    hint = r"source: 'yahu' is not allowed; did you mean yahoo\? use one of"
    with pytest.raises(InputError, match=hint):
        spec_of("yahu")


def test_a_call_ends_before_its_slot_is_given_up() -> None:
    """The longest call is shorter than the time a slot is held for it."""
    assert HttpOptions().total_timeout < HOLD_SECONDS


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        ("", None),
        (3, 3.0),
        ("1.12e+08", 1.12e8),
        ("1,234,567.5", 1234567.5),
        (" -4 ", -4.0),
        ("1 234 567.5", 1234567.5),
        ("1\u00a0234", 1234.0),
        ("1'234.5", 1234.5),
    ],
)
def test_numbers(value: object, read: float | None) -> None:
    """Numbers in any dress a vendor gives them."""
    assert number(value) == read


@pytest.mark.parametrize("value", [True, "12,5", "1 2", "12 34", "ten", float("nan"), "inf", [1]])
def test_not_numbers(value: object) -> None:
    """What is not a finite number is said, never guessed."""
    with pytest.raises(ValueError, match="number"):
        number(value)


def test_excerpts() -> None:
    """A page's title, or the first words on one line."""
    assert excerpt(b"<html><title> Are you\n human? </title>") == "Are you human?"
    assert excerpt(b"a\n b" + b"c" * 500).startswith("a bccc")
    assert len(excerpt(b"x" * 5000)) < 200
