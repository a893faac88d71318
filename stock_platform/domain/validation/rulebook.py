"""Which rules judge, and with what thresholds, for each class of assets.

Belongs here: thresholds, their meaning and their bounds, reading them from a mapping. Does not:
opening files (settings.py), rules themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from stock_platform.domain.errors import InputError, one_of
from stock_platform.domain.quality import SCORES
from stock_platform.domain.symbols import AssetClass

CERTAIN = 0.99
"""From here on a repair is applied."""


class Action(StrEnum):
    """What a rule's findings lead to.

    BY_CONFIDENCE: an error from ``error_confidence`` on, else a warning. WARNING and ERROR:
    always that. OFF: the rule is not asked.
    """

    BY_CONFIDENCE = "by_confidence"
    WARNING = "warning"
    ERROR = "error"
    OFF = "off"


def _bounded(default: float, low: float, high: float, about: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "about": about})


@dataclass(frozen=True)
class Thresholds:
    """Numbers that rules compare with; moves are fractions (0.5 is 50 %)."""

    spike_move: float = _bounded(0.5, 0.01, 100, "a move beyond it, and back, is a spike")
    spike_rows: float = _bounded(3, 1, 20, "longest spike, in bars")
    volatilities: float = _bounded(6, 2, 50, "a jump is beyond so many robust deviations")
    unit_tolerance: float = _bounded(0.15, 0.01, 0.5, "how near to 100 or 1,000 a jump must be")
    split_tolerance: float = _bounded(0.08, 0.01, 0.4, "how near to a split's ratio a jump must be")
    stale_rows: float = _bounded(3, 2, 20, "so many equal bars are stale, whatever their range")
    stale_volume: float = _bounded(100, 0, 1e9, "traded less than this, equal bars can be chance")
    zero_volume_rows: float = _bounded(5, 2, 60, "shortest run without volume that is told")
    traded_share: float = _bounded(0.9, 0.5, 1, "share of bars with volume in a series that trades")
    source_move: float = _bounded(0.02, 1e-4, 1, "sources farther apart than this disagree")
    dividend_share: float = _bounded(0.035, 0.001, 1, "a smaller dividend cannot be seen in prices")
    adjusted_excess: float = _bounded(0.005, 0, 1, "smaller steps without a dividend are not told")
    fresh_sessions: float = _bounded(3, 1, 1000, "sessions after which a silent series is stale")


_THRESHOLDS = {f.name: f for f in fields(Thresholds)}


@dataclass(frozen=True)
class Rulebook:
    """Thresholds and actions, by asset class.

    Attributes:
        default: thresholds of every class that has none of its own.
        classes: thresholds by asset class.
        actions: what a rule leads to, by (asset class or "default", rule).
        error_confidence: findings at least so sure are errors.
        checks: where asset checks fail, by name: a score (0 to 100), or a rule (the share of
            judged sessions that may fail it); see domain/quality.py for the usual ones.
    """

    default: Thresholds = field(default_factory=Thresholds)
    classes: Mapping[str, Thresholds] = field(default_factory=dict)
    actions: Mapping[tuple[str, str], Action] = field(default_factory=dict)
    error_confidence: float = 0.9
    checks: Mapping[str, float] = field(default_factory=dict)

    def of(self, asset_class: str | None) -> Thresholds:
        """The thresholds of an asset class."""
        return self.classes.get(asset_class or "", self.default)

    def action(self, rule: str, asset_class: str | None) -> Action:
        """What the rule leads to for an asset class."""
        own = self.actions.get((asset_class or "", rule))
        return own or self.actions.get(("default", rule), Action.BY_CONFIDENCE)

    @classmethod
    def read(cls, given: Mapping[str, Any], rules: tuple[str, ...]) -> Rulebook:
        """The rulebook of a mapping (of a TOML file), on top of the built-in numbers.

        Tables ``thresholds`` and ``rules`` hold names and values; their subtables, named by
        asset classes, hold those of a class. ``checks`` holds thresholds of asset checks.
        ``error_confidence`` stands at the top.

        Args:
            given: the mapping.
            rules: names of the rules there are.

        Raises:
            InputError: an unknown table, class, threshold, rule or value; names it.
        """
        _known("validation rules", given, ("thresholds", "rules", "checks", "error_confidence"))
        thresholds, classes = _read_thresholds(_table("thresholds", given))
        return cls(
            thresholds,
            classes,
            _read_actions(_table("rules", given), rules),
            _number("error_confidence", given.get("error_confidence", 0.9), 0.5, 1.0),
            _read_checks(_table("checks", given), rules),
        )


def _read_thresholds(given: Mapping[str, Any]) -> tuple[Thresholds, dict[str, Thresholds]]:
    plain = {k: v for k, v in given.items() if not isinstance(v, Mapping)}
    nested = {k: v for k, v in given.items() if isinstance(v, Mapping)}
    _known("asset class in thresholds", nested, tuple(AssetClass))
    base = _with(Thresholds(), "thresholds", plain)
    return base, {name: _with(base, f"thresholds.{name}", own) for name, own in nested.items()}


def _with(base: Thresholds, place: str, given: Mapping[str, Any]) -> Thresholds:
    _known(f"threshold in {place}", given, tuple(_THRESHOLDS))
    values = {
        name: _number(f"{place}.{name}", value, meta["low"], meta["high"])
        for name, value in given.items()
        for meta in (_THRESHOLDS[name].metadata,)
    }
    return replace(base, **values)


def _read_actions(
    given: Mapping[str, Any], rules: tuple[str, ...]
) -> dict[tuple[str, str], Action]:
    found: dict[tuple[str, str], Action] = {}
    tables = {k: v for k, v in given.items() if isinstance(v, Mapping)}
    _known("asset class in rules", tables, tuple(AssetClass))
    plain = {k: v for k, v in given.items() if not isinstance(v, Mapping)}
    for place, table in {"default": plain, **tables}.items():
        _known("rule", table, rules)
        for name, value in table.items():
            if value not in tuple(Action):
                raise InputError(f"rules.{name}", value, one_of(Action))
            found[place, name] = Action(value)
    return found


def _read_checks(given: Mapping[str, Any], rules: tuple[str, ...]) -> dict[str, float]:
    _known("check", given, (*SCORES, *rules))
    return {
        name: _number(f"checks.{name}", value, 0, 100 if name in SCORES else 1)
        for name, value in given.items()
    }


def _table(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    table = given.get(name, {})
    if not isinstance(table, Mapping):
        raise InputError(f"validation rules {name}", table, "give a table of names and values")
    return table


def _known(what: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in given:
        if name not in names:
            raise InputError(what, name, one_of(names))


def _number(parameter: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(parameter, value, f"use a number from {low:g} to {high:g}")
    return float(value)
