"""The market's truth."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.errors import InputError
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market import names, real
from stock_platform.sandbox.market.generator import NEVER
from stock_platform.sandbox.market.intraday import minutes
from stock_platform.sandbox.market.market import Market
from stock_platform_tests.sandbox.conftest import CONFIG

needs_real = pytest.mark.skipif(not real.available(), reason="needs bokeh_sampledata")


@needs_real
@pytest.mark.parametrize("ticker", sorted(real.COMPANIES))
def test_listed_actions_explain_the_adjusted_close(ticker: str, market: Market) -> None:
    """Every real split and dividend, and no other, turns close into the adjusted close."""
    history = next(h for h in market.histories if h.ticker == ticker)
    asset = next(a for a in market.assets if a.name == real.COMPANIES[ticker][0])
    made = market.history(asset)
    sessions = made.traded(0, NEVER)
    last = market.completed() - 1
    prices, _ = made.values(sessions)
    adjusted = prices[3] / made.split_factor(sessions, last) * made.dividend_factor(sessions, last)
    stated = history.bars["adj_close"].to_numpy()
    # The file was made later: what happened after 2013 scales all of it alike.
    steps = np.abs(np.diff(np.log(adjusted / stated)))
    at = sessions[1:]
    special = at == market.time.find(date(2004, 11, 15))  # of 3.08 the file took off 3.03
    assert steps[~special].max() < 0.0004
    assert steps[special].max(initial=0) < 0.002


@needs_real
def test_real_bars_are_as_shipped_and_on_sessions(market: Market) -> None:
    """The truth of a real ticker is its file, on days that the calendar calls sessions."""
    shipped = next(h.bars for h in market.histories if h.ticker == "AAPL")
    truth = market.bars("AAPL")
    assert truth["session"].to_list() == shipped["session"].to_list()
    assert truth["close"].to_list() == pytest.approx(shipped["close"].to_list(), abs=1e-4)
    assert market.splits("AAPL").rows() == [
        (date(2000, 6, 21), 2.0),
        (date(2005, 2, 28), 2.0),
    ]
    assert market.dividends("AAPL")["amount"].to_list() == [2.65] * 3


def test_generated_bars_are_bars(market: Market) -> None:
    """low <= open, close <= high, positive prices and volumes, in cents from a dollar up."""
    for asset in market.assets[len(market.histories) :][:120]:
        history = market.history(asset)
        prices, volume = history.values(history.traded(0, NEVER))
        o, high, low, c = prices
        assert (low <= np.minimum(o, c)).all()
        assert (high >= np.maximum(o, c)).all()
        assert (low > 0).all()
        assert (volume > 0).all()
        cents = prices[:, c >= 2] * 100
        assert np.allclose(cents, np.rint(cents), atol=1e-6)


def test_splits_are_visible_in_the_traded_prices(market: Market) -> None:
    """Across a split the as-traded price moves by the ratio, and nothing else jumps like it."""
    seen = 0
    for asset in market.assets[len(market.histories) :]:
        history = market.history(asset)
        for split in history.splits:
            around = history.traded(split.at - 1, split.at + 1)
            if len(around) == 2 and asset.alive(split.at - 1) and asset.alive(split.at):
                close = history.values(around)[0][3]
                if close.min() > 0.5:
                    assert close[0] / close[1] == pytest.approx(split.ratio, rel=0.2)
                    seen += 1
    assert seen > 100


def test_the_same_seed_gives_the_same_market() -> None:
    """Fewer symbols, and a longer horizon, leave every shared bar as it was."""
    small = replace(CONFIG, symbols=40, real=False)
    longer = replace(CONFIG, symbols=700, real=False, until=date(2014, 6, 30))
    one, two = Market(small), Market(longer)
    for asset in one.assets:
        twin = two.assets[asset.number]
        assert twin.name == asset.name
        assert twin.spells == asset.spells
        symbol = asset.ticker_at(one.started() - 1).canonical
        if one.carrying(symbol, one.started() - 1) is asset:
            assert one.bars(symbol).equals(two.bars(symbol))
            assert one.splits(symbol).equals(two.splits(symbol))
            assert one.dividends(symbol).equals(two.dividends(symbol))
    other = Market(replace(small, seed=8))
    assert not one.bars("AAPL").equals(other.bars("AAPL"))


def test_processes_agree() -> None:
    """Another process, with other hash seeds, makes the same market."""
    program = (
        "import hashlib; from stock_platform_tests.sandbox.conftest import CONFIG;"
        "from dataclasses import replace;"
        "from stock_platform.sandbox.market.market import Market;"
        "market = Market(replace(CONFIG, symbols=30));"
        "text = market.listing().write_json() + market.bars('NA').write_json();"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop()) == 65


def test_lives_of_every_kind_occur(market: Market) -> None:
    """Listings, delistings, renames, class shares, preferreds and traps are all there."""
    table = market.listing()
    assert {"CS", "ETF", "PFD", "WARRANT", "UNIT", "ADRC"} <= set(table["kind"])
    assert {"NA", "TRUE", "NAN", "ON", "NULL"} <= set(table["symbol"])
    assert table["delisted_on"].count() > 10
    assert table.filter(pl.col("listed_on") > date(2008, 6, 1)).height > 10
    assert table.filter(pl.col("former").list.len() > 0).height > 10
    suffixed = table.filter(pl.col("symbol").str.ends_with(".PRA"))["polygon"].to_list()
    assert suffixed
    assert all("pA" in ticker for ticker in suffixed)


def test_tickers_are_unique_among_the_living() -> None:
    """No two assets carry one ticker at a time; a reused one changes hands after a delisting."""
    market = Market(replace(CONFIG, symbols=4000))
    spells: dict[str, list[tuple[int, int]]] = {}
    for asset in market.assets:
        for spell in asset.spells:
            life = (max(spell.start, asset.listed), min(spell.end, asset.delisted))
            if life[0] < life[1]:
                spells.setdefault(spell.ticker.canonical, []).append(life)
    shared = [sorted(lives) for lives in spells.values() if len(lives) > 1]
    assert shared, "no ticker is ever reused"
    for lives in shared:
        for before, after in pairwise(lives):
            assert before[1] <= after[0]


def test_spellings_of_the_vendors() -> None:
    """Each vendor's way to write what is no common stock."""
    assert names.Ticker("BRK", "B").yahoo == "BRK-B"
    assert names.Ticker("BRK", "B").polygon == "BRK.B"
    assert names.Ticker("BAC", "PRA").yahoo == "BAC-PA"
    assert names.Ticker("BAC", "PRA").polygon == "BACpA"
    assert names.Ticker("XYZ", "WS").yahoo == "XYZ-WT"
    assert names.Ticker("XYZ", "U").yahoo == "XYZ-UN"


def test_minutes_add_up_to_the_day(market: Market) -> None:
    """A session's minutes have the day's open, high, low, close and volume."""
    for asset in market.assets[:60]:
        history = market.history(asset)
        session = history.traded(0, market.completed())[-1:]
        if not len(session):
            continue
        day, volume = history.values(session)
        made = minutes(market, asset, int(session[0]))
        assert made.prices[0, 0] == day[0, 0]
        assert made.prices[1].max() == day[1, 0]
        assert made.prices[2].min() == day[2, 0]
        assert made.prices[3, -1] == day[3, 0]
        assert made.volume.sum() == volume[0]
        assert (made.volume >= 0).all()
        assert len(made.stamps) in (390, 210)


def test_real_tickers_are_generated_after_their_histories_end() -> None:
    """In a market of today AAPL still trades, with made-up prices."""
    market = Market(SandboxConfig(symbols=10, now=datetime(2026, 3, 4, 12, tzinfo=UTC)))
    assert not market.histories
    assert market.bars("AAPL")["session"][-1] == date(2026, 3, 3)
    assert market.listing().filter(pl.col("symbol") == "AAPL")["delisted_on"][0] is None


def test_unknown_symbol_is_named(market: Market) -> None:
    """Asking the truth for a symbol that is not there says so."""
    with pytest.raises(InputError, match="NOSUCH"):
        market.bars("NOSUCH")
