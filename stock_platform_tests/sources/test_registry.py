"""The list of vendors, and what holds for every one of them."""

from __future__ import annotations

import pytest

from stock_platform.domain.errors import InputError
from stock_platform.sources.payload import excerpt, number
from stock_platform.sources.quota import HOLD_SECONDS
from stock_platform.sources.registry import SOURCES, spec_of
from stock_platform.sources.transport import HttpOptions


def test_the_vendors_there_are() -> None:
    """A new vendor is one line; this list tells of it."""
    assert sorted(SOURCES) == ["files", "polygon", "yahoo"]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_capabilities_are_consistent(name: str) -> None:
    """Names agree; endpoints are unique; every endpoint serves something."""
    capabilities = SOURCES[name].capabilities
    assert capabilities.source == name
    names = [endpoint.name for endpoint in capabilities.endpoints]
    assert len(set(names)) == len(names)
    assert all(e.intervals and e.asset_classes for e in capabilities.endpoints)
    assert (SOURCES[name].base_url is None) == (not capabilities.limits)


def test_an_unknown_source_is_named() -> None:
    """With those there are."""
    with pytest.raises(InputError, match="source: 'yahu' is not allowed; use one of files"):
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
    ],
)
def test_numbers(value: object, read: float | None) -> None:
    """Numbers in any dress a vendor gives them."""
    assert number(value) == read


@pytest.mark.parametrize("value", [True, "12,5", "ten", float("nan"), "inf", [1], {}])
def test_not_numbers(value: object) -> None:
    """What is not a finite number is said, never guessed."""
    with pytest.raises(ValueError, match="number"):
        number(value)


def test_excerpts() -> None:
    """A page's title, or the first words on one line."""
    assert excerpt(b"<html><title> Are you\n human? </title>") == "Are you human?"
    assert excerpt(b"a\n b" + b"c" * 500).startswith("a bccc")
    assert len(excerpt(b"x" * 5000)) < 200
