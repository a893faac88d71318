"""Coins, currencies, indices and futures: one truth, seeded, that agrees with itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import default_calendar, parse_symbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market.market import Market
from stock_platform.sandbox.market.others import Kind, Others

NOW = datetime(2024, 3, 9, 17, tzinfo=UTC)
CONFIG = SandboxConfig(symbols=0, now=NOW, start=date(2023, 1, 1))
FRIDAY = date(2024, 3, 8)


@pytest.fixture(scope="module")
def others() -> Others:
    return Others(CONFIG)


def test_every_symbol_is_canonical(others: Others) -> None:
    """As the domain spells, classes and keeps the calendar of them."""
    for one in others.symbols():
        parsed = parse_symbol(one.symbol)
        assert (parsed.ticker, parsed.asset_class.value) == (one.symbol, one.asset_class.value)
        assert one.calendar == default_calendar(parsed)
    kinds = {one.asset_class for one in others.symbols()}
    assert kinds == set(Kind)


def test_bars_fill_the_calendar_and_are_possible(others: Others) -> None:
    """One bar a completed session; low <= open, close <= high; prices above zero."""
    for one in others.symbols():
        bars = others.bars(one.symbol)
        sessions = get_calendar(one.calendar).sessions(CONFIG.first_date, FRIDAY)
        assert bars["session"].to_list() == sessions.tolist(), one.symbol
        inside = (pl.col("low") <= pl.min_horizontal("open", "close")) & (
            pl.max_horizontal("open", "close") <= pl.col("high")
        )
        assert bars.select((inside & (pl.col("low") > 0)).all()).item(), one.symbol
        assert bars["volume"].min() >= 0  # type: ignore[operator]  # numbers


def test_crosses_agree(others: Others) -> None:
    """Opens and closes of pairs multiply out, also of pairs nobody lists."""
    cross, euro, pound = (others.bars(s) for s in ("EUR/GBP", "EUR/USD", "GBP/USD"))
    back, coin, in_euro = (others.bars(s) for s in ("USD/EUR", "BTC-USD", "BTC-EUR"))
    for name in ("open", "close"):
        assert (cross[name] * pound[name]).to_list() == pytest.approx(
            euro[name].to_list(), rel=5e-5
        )
        assert (back[name] * euro[name]).to_list() == pytest.approx([1.0] * euro.height, rel=5e-5)
    weekdays = coin.join(in_euro, on="session").join(euro, on="session", suffix="_fx")
    made = weekdays["close_right"] * weekdays["close_fx"]
    assert made.to_list() == pytest.approx(weekdays["close"].to_list(), rel=5e-5)


@pytest.mark.parametrize("symbol", ["BTC-USD", "DOGE-EUR", "USD/JPY", "^GSPC", "^N225", "GC=F"])
@pytest.mark.parametrize("minutes", [1, 15, 60])
def test_minutes_add_up_to_the_day(others: Others, symbol: str, minutes: int) -> None:
    """First open, highest high, lowest low, last close and all the volume."""
    day = others.bars(symbol, FRIDAY, FRIDAY).row(0, named=True)
    path = others.intraday(symbol, FRIDAY, minutes)
    opens, closes = get_calendar(default_calendar(parse_symbol(symbol))).open_close(FRIDAY)
    assert path["ts"][0] == opens
    assert path["ts"][-1] < closes
    assert path.height == -(-(closes - opens).total_seconds() // (60 * minutes))
    assert (path["open"][0], path["close"][-1]) == (day["open"], day["close"])
    assert (path["high"].max(), path["low"].min()) == (day["high"], day["low"])
    assert path["volume"].sum() == pytest.approx(day["volume"])
    assert path.select((pl.col("low") <= pl.min_horizontal("open", "close")).all()).item()
    assert path.select((pl.col("high") >= pl.max_horizontal("open", "close")).all()).item()


def test_the_day_in_progress(others: Others) -> None:
    """Left out unless asked for; then as far as it has come, and no minute of the future."""
    assert others.bars("BTC-USD")["session"].max() == FRIDAY
    live = others.bars("BTC-USD", live=True)
    assert live["session"].max() == date(2024, 3, 9)
    path = others.intraday("BTC-USD", date(2024, 3, 9))
    assert path.height == 17 * 60
    assert live.row(-1, named=True)["close"] == path["close"][-1]
    assert live.row(-1, named=True)["high"] == path["high"].max()
    assert others.bars("EUR/USD", live=True)["session"].max() == FRIDAY
    assert others.intraday("EUR/USD", date(2024, 3, 9)).is_empty()


def test_the_same_in_every_process_and_at_every_time() -> None:
    """Seeded; a later present or last date adds bars and changes none."""
    first = Others(CONFIG)
    later = Others(replace(CONFIG, now=datetime(2025, 1, 5, tzinfo=UTC)))
    other = Others(replace(CONFIG, seed=8))
    for symbol in ("ETH-USDT", "EUR/JPY", "CL=F"):
        bars = first.bars(symbol)
        assert later.bars(symbol, end=FRIDAY).equals(bars)
        assert first.bars(symbol, now=datetime(2023, 6, 1, tzinfo=UTC)).height < bars.height
        assert not other.bars(symbol).equals(bars)
        assert first.intraday(symbol, FRIDAY).equals(later.intraday(symbol, FRIDAY))


def test_an_unknown_symbol(others: Others) -> None:
    """Told with where to look."""
    assert others.find("NOPE-USD") is None
    assert others.find("EUR/EUR") is None
    with pytest.raises(InputError, match=r"Others\.symbols"):
        others.bars("AAPL")


def test_the_market_has_them() -> None:
    """By the market's own time."""
    market = Market(CONFIG)
    market.time.freeze(datetime(2024, 3, 9, 0, 30, tzinfo=UTC))
    assert market.others.intraday("BTC-USD", date(2024, 3, 9)).height == 30
