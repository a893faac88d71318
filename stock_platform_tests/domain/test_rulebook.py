"""Rules and thresholds: read from a mapping, by asset class, with clear errors."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from stock_platform.domain.errors import InputError
from stock_platform.domain.validation import RULE_NAMES, Rulebook, Thresholds, findings
from stock_platform.domain.validation.pages import all_pages, as_markdown, defaults_text
from stock_platform_tests.domain import faults


def test_the_file_we_ship_says_what_the_code_does() -> None:
    """Its thresholds are the built-in ones, every one of them is there, and it reads."""
    given = tomllib.loads(defaults_text())
    plain = {k: v for k, v in given["thresholds"].items() if not isinstance(v, dict)}
    assert plain == asdict(Thresholds())
    assert Rulebook.read(given, RULE_NAMES).of("crypto").spike_move == 1.0


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"thresholds": {"spike": 1}}, "'spike'"),
        ({"thresholds": {"fx": {"spike": 1}}}, "'spike'"),
        ({"thresholds": {"bonds": {"spike_move": 1}}}, "'bonds'"),
        ({"thresholds": {"spike_move": "much"}}, "'much'"),
        ({"thresholds": {"spike_move": -1}}, "-1"),
        ({"rules": {"spikes": "off"}}, "'spikes'"),
        ({"rules": {"spike": "maybe"}}, "'maybe'"),
        ({"rules": {"moon": {"spike": "off"}}}, "'moon'"),
        ({"levels": {}}, "'levels'"),
        ({"error_confidence": 2}, "2"),
        ({"checks": {"spikes": 0.1}}, "'spikes'"),
        ({"checks": {"spike": 2}}, "2"),
        ({"checks": {"accuracy": 101}}, "101"),
    ],
)
def test_what_there_is_not_gets_a_clear_error(given: dict[str, Any], named: str) -> None:
    """An unknown table, class, threshold, rule or value is named, with what is allowed."""
    with pytest.raises(InputError, match="use") as raised:
        Rulebook.read(given, RULE_NAMES)
    assert named in str(raised.value)


def test_a_class_has_thresholds_and_actions_of_its_own() -> None:
    """A doubling that comes back is a spike for a stock, not for a coin, and off is off."""
    bars, _ = faults.spike(1.9)(faults.history(2, seed=1), 3)
    book = Rulebook.read(
        {"thresholds": {"crypto": {"spike_move": 1.0}}, "rules": {"fx": {"spike": "off"}}},
        RULE_NAMES,
    )
    of = {"stock": 2, "crypto": 0, "fx": 0}
    for asset_class, count in of.items():
        found = findings(bars, classes={1: asset_class, 2: asset_class}, rulebook=book)
        assert found.height == count, asset_class
    strict = Rulebook.read({"rules": {"spike": "error"}}, RULE_NAMES)
    assert set(findings(bars, rulebook=strict)["severity"]) == {"error"}


def test_the_rules_pages_are_current() -> None:
    """docs/rules.md is what the docstrings give, and every rule has a page."""
    shown = Path(__file__).parents[2] / "docs" / "rules.md"
    assert shown.read_text(encoding="utf-8") == as_markdown()
    assert {page.name for page in all_pages()} == set(RULE_NAMES)
    assert all(page.about for page in all_pages())
