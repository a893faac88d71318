"""Yahoo's chart, as recorded."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import polars as pl
import pytest

from stock_platform.sandbox.market import real
from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.sandbox.conftest import epoch

needs_real = pytest.mark.skipif(not real.available(), reason="needs bokeh_sampledata")
PATH = "/yahoo/v8/finance/chart/"
NEW_YORK = ZoneInfo("America/New_York")


def chart(client: httpx.Client, symbol: str, **query: Any) -> dict[str, Any]:
    answer = client.get(PATH + symbol, params={"interval": "1d", **query})
    assert answer.status_code == 200, answer.text
    body = answer.json()["chart"]
    assert body["error"] is None
    result: dict[str, Any] = body["result"][0]
    return result


def quote(result: dict[str, Any]) -> dict[str, list[Any]]:
    made: dict[str, list[Any]] = result["indicators"]["quote"][0]
    return made


def days(result: dict[str, Any]) -> list[date]:
    return [datetime.fromtimestamp(t, NEW_YORK).date() for t in result["timestamp"]]


def shape(value: Any, path: str = "") -> set[str]:
    """Every key of a payload with the type of what it holds; numbers are one type."""
    if isinstance(value, dict):
        digits = {k: "STAMP" if k.isdigit() else k for k in value}
        return {p for k, v in value.items() for p in shape(v, f"{path}.{digits[k]}")}
    if isinstance(value, list):
        inner = {p for item in value[:3] for p in shape(item, f"{path}[]")}
        return inner or {f"{path}[]"}
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else None
    return {f"{path}:{kind or type(value).__name__}"}


@pytest.mark.parametrize(
    ("recorded", "query"),
    [
        ("aapl-1d-2020-01.json", {}),
        ("aapl-1d-2020-08-31_11-07-dividend.json", {"events": "div|split|earn"}),
        ("scheb-historicalData.json", {}),
        ("aapl-1d-2025.json", {"events": "div"}),
        ("tsla-1d-max-no-dividends.json", {}),
    ],
)
def test_keys_and_types_are_those_recorded(
    client: httpx.Client, shared_fixtures: Path, recorded: str, query: dict[str, Any]
) -> None:
    """Key by key, type by type, and in meta in the same order, as a real answer."""
    real_body = json.loads((shared_fixtures / "payloads/yahoo_chart" / recorded).read_text())
    # AAPL had a split in 2005 and dividends in 2012; GOOG neither.
    symbol = "AAPL" if query else "GOOG"
    span = {"period1": epoch(2005, 1, 1), "period2": epoch(2013, 3, 1)}
    if query.get("events") == "div":
        span["period1"] = epoch(2012, 1, 1)
    ours = client.get(PATH + symbol, params={"interval": "1d", **span, **query}).json()
    assert shape(ours) == shape(real_body)
    assert list(ours["chart"]["result"][0]["meta"]) == list(real_body["chart"]["result"][0]["meta"])
    assert list(ours["chart"]["result"][0]) == list(real_body["chart"]["result"][0])


def test_an_empty_intraday_answer_is_as_recorded(
    client: httpx.Client, shared_fixtures: Path
) -> None:
    """1m over a weekend: no timestamp, ``quote: [{}]``, no adjclose."""
    path = shared_fixtures / "payloads/yahoo_chart/aapl-1m-weekend-empty.json"
    weekend = {"period1": epoch(2013, 2, 23, 5), "period2": epoch(2013, 2, 24, 5)}
    ours = client.get(PATH + "AAPL", params={"interval": "1m", **weekend}).json()
    assert shape(ours) == shape(json.loads(path.read_text()))


@needs_real
def test_prices_are_split_adjusted_as_of_now_in_32_bits(
    sandbox: SandboxServer, client: httpx.Client
) -> None:
    """Values are the true bars over later splits, volumes times them, as float32 widened."""
    result = chart(client, "AAPL", period1=epoch(2005, 2, 1), period2=epoch(2005, 4, 1))
    truth = sandbox.market.bars("AAPL", date(2005, 2, 1), date(2005, 3, 31))
    factor = np.where(truth["session"] < date(2005, 2, 28), 2.0, 1.0)
    for name in ("open", "high", "low", "close"):
        expected = (truth[name].to_numpy() / factor).astype(np.float32).astype(np.float64)
        assert quote(result)[name] == expected.tolist()
    assert quote(result)["volume"] == (truth["volume"].to_numpy() * factor).astype(int).tolist()
    assert days(result) == truth["session"].to_list()


@needs_real
def test_a_later_split_changes_what_was_served_before(
    sandbox: SandboxServer, client: httpx.Client
) -> None:
    """Asked before the split of 2005-02-28 the prices are as traded; after, half."""
    span = {"period1": epoch(2005, 2, 1), "period2": epoch(2005, 2, 15)}
    after = quote(chart(client, "AAPL", **span))["close"]
    client.post("/_sandbox/clock", json={"now": "2005-02-20T12:00:00Z"})
    before = quote(chart(client, "AAPL", **span))["close"]
    assert np.asarray(before) / np.asarray(after) == pytest.approx(2.0)


@needs_real
def test_adjclose_adds_dividends(client: httpx.Client) -> None:
    """adjclose is the close times CRSP's factor of the later dividends; the last is the close."""
    result = chart(client, "AAPL", period1=epoch(2012, 8, 1), period2=epoch(2013, 3, 2))
    close = np.array(quote(result)["close"])
    adjusted = np.array(result["indicators"]["adjclose"][0]["adjclose"])
    assert adjusted[-1] == close[-1]
    at = days(result).index(date(2013, 2, 7))
    assert adjusted[at:].tolist() == close[at:].tolist()
    assert adjusted[at - 1] / close[at - 1] == pytest.approx(1 - 2.65 / close[at - 1], rel=1e-6)
    assert (adjusted[:5] / close[:5] < 0.99).all()


@needs_real
def test_events_are_those_asked_for(client: httpx.Client) -> None:
    """div and split are filtered; amounts are in today's shares; none asked, no key."""
    span = {"period1": epoch(2003, 1, 1), "period2": epoch(2004, 1, 1)}
    both = chart(client, "MSFT", events="div|split", **span)["events"]
    stamp = epoch(2003, 2, 18, 14, 30)
    assert both["splits"] == {
        str(stamp): {"date": stamp, "numerator": 2, "denominator": 1, "splitRatio": "2:1"}
    }
    assert [e["amount"] for e in both["dividends"].values()] == [0.08, 0.16]
    assert set(chart(client, "MSFT", events="split", **span)["events"]) == {"splits"}
    assert set(chart(client, "MSFT", events="div,splits,capitalGains", **span)["events"]) == {
        "dividends",
        "splits",
    }
    assert "events" not in chart(client, "MSFT", **span)


def test_dividends_before_a_split_are_split_adjusted(
    sandbox: SandboxServer, client: httpx.Client
) -> None:
    """A generated payer that split later: the amount is what was paid over the ratio."""
    market = sandbox.market
    last = market.started() - 1
    for asset in market.assets[len(market.histories) :]:
        history = market.history(asset)
        pairs = [
            (paid, split)
            for split in history.splits
            for paid in history.dividends
            if paid.at < split.at <= last
        ]
        if pairs and asset.delisted > last:
            break
    paid = pairs[0][0]
    opens = int(market.time.opens[paid.at])
    ratio = np.prod([s.ratio for s in history.splits if paid.at < s.at <= last])
    result = chart(
        client, asset.ticker_at(last).yahoo, period1=opens, period2=opens + 1, events="div"
    )
    assert result["events"]["dividends"][str(opens)]["amount"] == pytest.approx(
        paid.amount / ratio, abs=1e-6
    )


def test_period2_is_exclusive_and_stamps_are_openings(client: httpx.Client) -> None:
    """A bar whose opening equals period2 is not in; DST moves the opening in UTC."""
    opens = epoch(2012, 3, 12, 13, 30)
    first = chart(client, "IBM", period1=epoch(2012, 3, 9), period2=opens)
    assert first["timestamp"] == [epoch(2012, 3, 9, 14, 30)]
    both = chart(client, "IBM", period1=epoch(2012, 3, 9), period2=opens + 1)
    assert both["timestamp"] == [epoch(2012, 3, 9, 14, 30), opens]


def test_todays_bar_is_live(sandbox: SandboxServer, client: httpx.Client) -> None:
    """While the session is open its bar is partial and stamped now; after the close, 16:00:01."""
    client.post("/_sandbox/clock", json={"now": "2013-03-01T17:00:00Z"})
    live = chart(client, "AAPL", range="5d")
    assert live["timestamp"][-1] == epoch(2013, 3, 1, 17)
    assert len(live["timestamp"]) == 5
    truth = sandbox.market.bars("AAPL")
    assert truth["session"][-1] == date(2013, 2, 28)
    assert live["meta"]["regularMarketTime"] == epoch(2013, 3, 1, 17)
    client.post("/_sandbox/clock", json={"now": "2013-03-01T23:00:00Z"})
    closed = chart(client, "AAPL", range="5d")
    assert closed["timestamp"][-1] == epoch(2013, 3, 1, 21) + 1
    final = sandbox.market.bars("AAPL").row(-1, named=True)
    assert quote(closed)["close"][-1] == pytest.approx(final["close"], rel=1e-6)
    assert quote(live)["volume"][-1] < quote(closed)["volume"][-1] == final["volume"]
    assert quote(live)["high"][-1] <= quote(closed)["high"][-1]


def test_before_the_opening_today_has_no_bar(client: httpx.Client) -> None:
    """An hour before the bell the last bar is yesterday's; asking for today alone is a 400."""
    client.post("/_sandbox/clock", json={"now": "2013-03-01T13:30:00Z"})
    assert days(chart(client, "AAPL", range="5d"))[-1] == date(2013, 2, 28)
    query: dict[str, Any] = {
        "interval": "1d",
        "period1": epoch(2013, 3, 1, 14),
        "period2": epoch(2013, 3, 2),
    }
    assert client.get(PATH + "AAPL", params=query).status_code == 400


def test_max_at_a_day_comes_back_quarterly(client: httpx.Client) -> None:
    """The silent downsampling: dataGranularity says 3mo, the current quarter stands twice."""
    result = chart(client, "IBM", range="max", events="div")
    assert result["meta"]["dataGranularity"] == "3mo"
    stamps = [datetime.fromtimestamp(t, NEW_YORK) for t in result["timestamp"]]
    assert {(s.month, s.day, s.hour) for s in stamps[:-1]} == {
        (1, 1, 0), (4, 1, 0), (7, 1, 0), (10, 1, 0)
    }  # fmt: skip
    assert stamps[-1] == datetime(2013, 3, 1, 16, 0, 1, tzinfo=NEW_YORK)
    keys = set(result["events"]["dividends"])
    assert keys <= {str(t) for t in result["timestamp"]}


def test_weeks_and_months_are_grouped(sandbox: SandboxServer, client: httpx.Client) -> None:
    """A month's bar is the first open, the extremes, the last close, the summed volume."""
    span = {"period1": epoch(2012, 5, 1), "period2": epoch(2012, 7, 1)}
    result = chart(client, "IBM", interval="1mo", **span)
    truth = sandbox.market.bars("IBM", date(2012, 5, 1), date(2012, 5, 31))
    assert days(result) == [date(2012, 5, 1), date(2012, 6, 1)]
    assert quote(result)["high"][0] == pytest.approx(truth["high"].max(), rel=1e-6)
    assert quote(result)["volume"][0] == truth["volume"].sum()
    weekly = chart(client, "IBM", interval="1wk", **span)
    assert {d.weekday() for d in days(weekly)} == {0}


@pytest.mark.parametrize(("interval", "bars"), [("1m", 390), ("5m", 78), ("30m", 13), ("1h", 7)])
def test_intraday_bars(
    sandbox: SandboxServer, client: httpx.Client, interval: str, bars: int
) -> None:
    """One session of minutes adds up to its day; there is no adjclose."""
    result = chart(client, "AAPL", interval=interval, period1=epoch(2013, 2, 28),
                   period2=epoch(2013, 3, 1))  # fmt: skip
    assert len(result["timestamp"]) == bars
    assert "adjclose" not in result["indicators"]
    truth = sandbox.market.bars("AAPL", date(2013, 2, 28), date(2013, 2, 28)).row(0, named=True)
    assert max(quote(result)["high"]) == pytest.approx(truth["high"], rel=1e-6)
    assert sum(quote(result)["volume"]) == truth["volume"]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"interval": "5m", "range": "1y"}, 422, "must be within the last 60 days"),
        ({"interval": "1m", "range": "1mo"}, 422, "Only 8 days worth of 1m"),
        ({"interval": "1h", "range": "5y"}, 422, "must be within the last 730 days"),
        ({"interval": "7m", "range": "1d"}, 422, "interval=7m is not supported"),
        ({"interval": "1d", "range": "7d"}, 422, "range=7d is not supported"),
        ({"period1": 10, "period2": 5}, 400, "start date cannot be after end date"),
        ({"period1": 0, "period2": 1000}, 400, "Data doesn't exist for startDate = 0, endDate"),
    ],
)
def test_refusals_are_yahoos(
    client: httpx.Client, query: dict[str, Any], status: int, words: str
) -> None:
    """Status, envelope and wording of what Yahoo cannot serve."""
    answer = client.get(PATH + "AAPL", params={"interval": "1d", **query})
    assert answer.status_code == status
    body = answer.json()["chart"]
    assert body["result"] is None
    assert words in body["error"]["description"]


def test_recorded_errors_are_word_for_word(client: httpx.Client, shared_fixtures: Path) -> None:
    """404 is the recorded body; 422 is, but for its stamps; 429 is plain text."""
    folder = shared_fixtures / "payloads/yahoo_chart"
    missing = client.get(PATH + "NOSUCH", params={"interval": "1d", "range": "5d"})
    assert missing.status_code == 404
    assert missing.json() == json.loads((folder / "error-404-delisted.json").read_text())
    recorded = json.loads((folder / "error-422-5m-range.json").read_text())
    text = recorded["chart"]["error"]["description"]
    query: dict[str, Any] = {
        "interval": "5m",
        "period1": epoch(2012, 1, 1),
        "period2": epoch(2012, 1, 5),
    }
    ours = client.get(PATH + "AAPL", params=query).json()
    stamps = (f"{query['period1']}", f"{query['period2']}")
    expected = text.replace("1770111238", stamps[0]).replace("1770975238", stamps[1])
    assert ours["chart"]["error"] == recorded["chart"]["error"] | {"description": expected}


def test_delisted_renamed_and_quiet_symbols(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Delisted: 404 or a 200 without currency. Renamed: the old ticker is a 404. No trade: no
    row, or a row of nulls."""
    market = sandbox.market
    table = market.listing()
    gone = table.filter(pl.col("delisted_on").is_not_null())
    query = {"interval": "1d", "range": "5d"}
    statuses = set()
    for row in gone.iter_rows(named=True):
        holder = market.carrying(row["symbol"], market.started() - 1)
        if holder is None or holder.number != row["number"]:
            continue
        answer = client.get(PATH + row["yahoo"], params=query)
        statuses.add(answer.status_code)
        if answer.status_code == 200:
            (result,) = answer.json()["chart"]["result"]
            assert result["meta"]["currency"] is None
            assert "timestamp" not in result
    assert statuses == {200, 404}
    renamed = table.filter((pl.col("former").list.len() > 0) & pl.col("delisted_on").is_null()).row(
        0, named=True
    )
    assert client.get(PATH + renamed["former"][0], params=query).status_code == 404
    assert client.get(PATH + renamed["yahoo"], params=query).status_code == 200
    nulls = missing = 0
    live = table.filter(pl.col("delisted_on").is_null() & ~pl.col("real"))
    for row in live.iter_rows(named=True):
        truth = market.bars(row["symbol"], date(2012, 1, 1))
        sessions = market.time.index(date(2013, 3, 2)) - market.time.index(
            max(date(2012, 1, 1), row["listed_on"])
        )
        if truth.height < sessions:
            span = {"period1": epoch(2012, 1, 1), "period2": epoch(2013, 3, 2)}
            result = chart(client, row["yahoo"], **span)
            closes = quote(result)["close"]
            assert sum(c is not None for c in closes) == truth.height
            nulls += None in closes
            missing += len(closes) < sessions
    assert nulls
    assert missing


def test_crumb_and_cookie(client: httpx.Client) -> None:
    """What browsers and yfinance fetch before they ask."""
    assert client.get("/yahoo/v1/test/getcrumb").text
    assert "A3=" in client.get("/yahoo/").headers["set-cookie"]


def test_now_has_its_zone(client: httpx.Client) -> None:
    """meta's zone and offset are New York's at the market's time."""
    client.post("/_sandbox/clock", json={"now": datetime(2012, 7, 2, 15, tzinfo=UTC).isoformat()})
    meta = chart(client, "IBM", range="1d")["meta"]
    assert (meta["timezone"], meta["gmtoffset"]) == ("EDT", -14_400)
    assert meta["exchangeTimezoneName"] == "America/New_York"
    assert meta["currentTradingPeriod"]["regular"]["start"] == epoch(2012, 7, 2, 13, 30)
