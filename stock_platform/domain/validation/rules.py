"""The rules a bar must pass, each a named, vectorised expression.

Belongs here: rules, their level and severity, judging a frame by them. Does not: choosing
among sources (choosing.py).

A rule is a function without arguments whose docstring says what it catches; it returns an
expression that is true where a bar fails. Rules see the bar as traded, with the session's
hours beside it: asset_id, interval, source, ts, session, open, high, low, close, volume,
vwap, basis, fetched_at, opens, closes (null where the day is no session), now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS, Basis


class Level(StrEnum):
    """How much is checked; each level includes the ones before it."""

    BASIC = "basic"
    STANDARD = "standard"
    STRICT = "strict"
    COMPREHENSIVE = "comprehensive"

    @property
    def included(self) -> frozenset[Level]:
        """This level and those before it."""
        order = list(Level)
        return frozenset(order[: order.index(self) + 1])


class Severity(StrEnum):
    """An error sends the row to quarantine; a warning stays on it as a flag."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """A named rule. ``failing`` is true where a bar fails it."""

    name: str
    level: Level
    severity: Severity
    failing: pl.Expr
    about: str


RULES: dict[str, Rule] = {}

TOLERANCE = 1e-6
"""Relative slack of comparisons between prices: vendors round each of them by itself."""

PRICE_CEILING, VOLUME_CEILING = 1e12, 1e16
"""What NUMERIC(20,8) and NUMERIC(24,8) cannot hold."""


def _rule(level: Level, severity: Severity) -> Callable[[Callable[[], pl.Expr]], None]:
    def register(define: Callable[[], pl.Expr]) -> None:
        name = define.__name__
        RULES[name] = Rule(name, level, severity, define(), (define.__doc__ or "").strip())

    return register


def _column(name: str) -> pl.Expr:
    return pl.col(name)


_open, _high, _low, _close = (_column(name) for name in PRICE_COLUMNS)


@_rule(Level.BASIC, Severity.ERROR)
def missing_price() -> pl.Expr:
    """Open, high, low or close is absent or not a number."""
    return pl.any_horizontal(
        *(_column(c).is_null() | ~_column(c).is_finite() for c in PRICE_COLUMNS)
    )


@_rule(Level.BASIC, Severity.ERROR)
def missing_key() -> pl.Expr:
    """The bar has no asset, no stamp or no session."""
    return pl.any_horizontal(*(_column(c).is_null() for c in ("asset_id", "ts", "session")))


@_rule(Level.BASIC, Severity.ERROR)
def number_out_of_bounds() -> pl.Expr:
    """No column holds it: a price from 10^12, or a volume from 10^16 or not a number."""
    prices = (_column(c) >= PRICE_CEILING for c in PRICE_COLUMNS)
    volume = _column("volume")
    return pl.any_horizontal(*prices, ~volume.is_finite(), volume.abs() >= VOLUME_CEILING)


@_rule(Level.BASIC, Severity.ERROR)
def not_as_traded() -> pl.Expr:
    """The source adjusts for dividends too: the traded price cannot be had back from it."""
    return _column("basis") == str(Basis.FULLY_ADJUSTED)


@_rule(Level.BASIC, Severity.WARNING)
def missing_volume() -> pl.Expr:
    """The source gives no volume."""
    return _column("volume").is_null()


@_rule(Level.STANDARD, Severity.ERROR)
def price_not_positive() -> pl.Expr:
    """A price is zero or negative."""
    return pl.any_horizontal(*(_column(c) <= 0 for c in PRICE_COLUMNS))


@_rule(Level.STANDARD, Severity.ERROR)
def high_below_low() -> pl.Expr:
    """The high is below the low."""
    return _high < _low * (1 - TOLERANCE)


@_rule(Level.STANDARD, Severity.ERROR)
def open_outside_range() -> pl.Expr:
    """The open is above the high or below the low."""
    return (_open > _high * (1 + TOLERANCE)) | (_open < _low * (1 - TOLERANCE))


@_rule(Level.STANDARD, Severity.ERROR)
def close_outside_range() -> pl.Expr:
    """The close is above the high or below the low."""
    return (_close > _high * (1 + TOLERANCE)) | (_close < _low * (1 - TOLERANCE))


@_rule(Level.STANDARD, Severity.ERROR)
def volume_negative() -> pl.Expr:
    """The volume is negative."""
    return _column("volume") < 0


@_rule(Level.STANDARD, Severity.ERROR)
def stamp_in_future() -> pl.Expr:
    """The bar begins after now."""
    return _column("ts") > _column("now")


@_rule(Level.STANDARD, Severity.ERROR)
def not_a_session() -> pl.Expr:
    """The asset's exchange does not trade on that day."""
    return _column("opens").is_null()


@_rule(Level.STANDARD, Severity.ERROR)
def stamp_outside_session() -> pl.Expr:
    """The bar does not begin within its session: a shifted zone, or a wrong day."""
    return (_column("ts") < _column("opens")) | (_column("ts") >= _column("closes"))


@_rule(Level.STANDARD, Severity.ERROR)
def session_not_over() -> pl.Expr:
    """A daily bar was fetched before its session closed: it is not final."""
    return (_column("interval") == "1d") & (_column("fetched_at") < _column("closes"))


@_rule(Level.STANDARD, Severity.WARNING)
def no_trades() -> pl.Expr:
    """The volume is zero: the prices are carried over, not traded."""
    return _column("volume") == 0


@_rule(Level.STANDARD, Severity.WARNING)
def vwap_outside_range() -> pl.Expr:
    """The volume-weighted average price is above the high, below the low or not a number."""
    return (_column("vwap") > _high * (1 + TOLERANCE)) | (_column("vwap") < _low * (1 - TOLERANCE))


def judge(bars: pl.DataFrame, level: Level) -> pl.DataFrame:
    """``bars`` with ``reasons`` (errors) and ``flags`` (warnings): lists of rule names.

    A comparison with an absent value fails no rule; absence has rules of its own.
    """
    judged = bars
    for severity, column in ((Severity.ERROR, "reasons"), (Severity.WARNING, "flags")):
        rules = [r for r in RULES.values() if r.level in level.included and r.severity is severity]
        failed = [
            pl.when(rule.failing.fill_null(value=False)).then(pl.lit(rule.name))
            for rule in rules
        ]  # fmt: skip
        judged = judged.with_columns(pl.concat_list(failed).list.drop_nulls().alias(column))
    return judged
