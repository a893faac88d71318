"""Comparisons with the ways others do it."""

from __future__ import annotations

import pytest

from stock_platform.domain.capabilities import Capabilities, Limit
from stock_platform.domain.planning import compare, plan
from stock_platform.domain.planning.simulate import finish_of
from stock_platform.domain.symbols import AssetClass
from stock_platform_tests.domain.planning.builders import BOTH, POLYGON, TODAY, YAHOO, full, market


def test_a_market_day_against_other_ways() -> None:
    """One call, against one a ticker; and what each source does alone."""
    assets = market(600)
    needed = full(assets, 1)
    made = plan(needed, assets, BOTH, today=TODAY)
    ways = {way.name: way for way in compare(made, assets, BOTH, today=TODAY)}
    assert ways["this plan"].calls == 1
    assert ways["one call per ticker (yahoo)"].calls == 600
    assert ways["one call per ticker per day (yahoo)"].calls == 600
    assert ways["polygon alone"].calls == 1
    assert ways["yahoo alone"].calls == 600
    assert (ways["yahoo alone"].finish_seconds or 0) > 500


def test_one_call_per_ticker_and_day_is_days_of_work() -> None:
    """6,000 tickers x two years as single cells: three million calls, more than a month."""
    assets = market(6000)
    needed = full(assets, 500)
    made = plan(needed, assets, BOTH, today=TODAY)
    ways = {way.name: way for way in compare(made, assets, BOTH, today=TODAY)}
    worst = ways["one call per ticker per day (yahoo)"]
    assert worst.calls == 3_000_000
    assert (worst.finish_seconds or 0) > 30 * 86_400


def test_a_source_that_cannot_says_what_is_left() -> None:
    """A source alone reports the cells it cannot get."""
    assets = market(3, AssetClass.CRYPTO)
    made = plan(full(assets, 2), assets, BOTH, today=TODAY)
    ways = {way.name: way for way in compare(made, assets, BOTH, today=TODAY)}
    assert ways["polygon alone"].uncovered_cells == 6
    assert ways["polygon alone"].finish_seconds is None


def test_extrapolation_continues_the_rate() -> None:
    """Beyond what is worked out call by call, the slowest window sets the rate."""
    source = Capabilities("s", YAHOO.endpoints, (Limit(1000, 3600.0),))
    assert finish_of(1_000_000, source) == pytest.approx(3600 * 1000, rel=0.01)
    assert finish_of(0, POLYGON) == 0.0
