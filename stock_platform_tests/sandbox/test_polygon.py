"""Polygon's aggregates and reference data, as recorded."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import polars as pl
import pytest

from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market import real
from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.sandbox.conftest import CONFIG, epoch

needs_real = pytest.mark.skipif(not real.available(), reason="needs bokeh_sampledata")
GROUPED = "/polygon/v2/aggs/grouped/locale/us/market/stocks/"
KEY = {"Authorization": "Bearer good-key"}
WRONG = {"Authorization": "Bearer wrong"}


def get(client: httpx.Client, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
    answer = client.get(path, params=query or None, headers=KEY)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize(
    ("recorded", "path", "query"),
    [
        ("aggs-aapl-2023-01.json", "/v2/aggs/ticker/AAPL/range/1/day/2013-01-02/2013-02-01", {}),
        ("mock-v2_aggs_grouped_locale_us_market_stocks_2005-04-04_adjusted_true.json",
         "/v2/aggs/grouped/locale/us/market/stocks/2013-02-27", {}),
        ("mock-v2_aggs_ticker_AAPL_prev.json", "/v2/aggs/ticker/AAPL/prev", {}),
        ("mock-v3_reference_tickers.json", "/v3/reference/tickers", {"limit": 2, "type": "CS"}),
        ("mock-v3_reference_splits.json", "/v3/reference/splits", {"limit": 1000}),
        ("mock-v3_reference_dividends.json", "/v3/reference/dividends", {"limit": 1000}),
        ("mock-vX_reference_tickers_META_events_types_ticker_change.json",
         "/vX/reference/tickers/AAPL/events", {}),
    ],
)  # fmt: skip
def test_keys_are_those_recorded(
    client: httpx.Client, shared_fixtures: Path, recorded: str, path: str, query: dict[str, Any]
) -> None:
    """Envelope and rows have the recorded keys, in the recorded order."""
    theirs = json.loads((shared_fixtures / "payloads/polygon" / recorded).read_text())
    ours = get(client, "/polygon" + path, **query)
    if "next_url" not in theirs:
        ours.pop("next_url", None)
    assert list(ours) == list(theirs)
    mine, real_ = ours["results"], theirs["results"]
    if isinstance(real_, list):
        full = max(mine, key=len)
        assert list(full) == list(real_[0])
        assert len(mine) > 0
    else:
        assert list(mine) == list(real_)
        assert list(mine["events"][0]) == list(real_["events"][0])


@pytest.mark.parametrize(
    ("recorded", "headers", "path", "status"),
    [
        ("error-401-unknown-key.json", WRONG, GROUPED + "2013-02-27", 401),
        ("error-403-not-authorized.json", KEY, GROUPED + "2009-02-27", 403),
    ],
)  # fmt: skip
def test_errors_are_those_recorded(
    client: httpx.Client,
    shared_fixtures: Path,
    recorded: str,
    headers: dict[str, str],
    path: str,
    status: int,
) -> None:
    """A 401 words it in ``error``, a 403 in ``message``."""
    theirs = json.loads((shared_fixtures / "payloads/polygon" / recorded).read_text())
    answer = client.get(path, headers=headers)
    assert answer.status_code == status
    assert list(answer.json()) == list(theirs)
    assert answer.json()["status"] == theirs["status"]


def test_keys_come_as_parameter_or_header(client: httpx.Client) -> None:
    """apiKey and bearer both work; none is a 401, and is not counted against anybody."""
    path = GROUPED + "2013-02-27"
    assert client.get(path, params={"apiKey": "good-key"}).status_code == 200
    assert client.get(path, headers=KEY).status_code == 200
    missing = client.get(path)
    assert missing.status_code == 401
    assert missing.json()["error"] == "API Key was not provided"


def test_grouped_is_every_bar_of_the_date(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Unadjusted, it is the truth as traded, under the ticker of the date, stamped at the close."""
    day = date(2012, 11, 23)
    body = get(client, f"{GROUPED}{day}", adjusted="false")
    market = sandbox.market
    session = market.time.find(day)
    assert session is not None
    numbers, prices, volume = market.day(session)
    rows = {row["T"]: row for row in body["results"]}
    assert len(rows) == body["resultsCount"] == len(numbers) > 500
    for at, number in enumerate(numbers.tolist()):
        row = rows[market.assets[number].ticker_at(session).polygon]
        assert [row[k] for k in "ohlc"] == pytest.approx(prices[:, at].tolist(), abs=1e-4)
        assert row["v"] == volume[at]
        assert row["t"] == epoch(2012, 11, 23, 18) * 1000  # a half day
    assert [r["T"] for r in body["results"]] != sorted(rows)
    assert any("vw" not in r for r in body["results"])


@needs_real
def test_adjusted_means_splits_up_to_now(client: httpx.Client) -> None:
    """Before the 2005 split both forms are served: as traded, and halved."""
    client.post("/_sandbox/clock", json={"now": "2005-03-05T12:00:00Z"})
    path = "/polygon/v2/aggs/ticker/AAPL/range/1/day/2005-02-24/2005-03-01"
    adjusted = get(client, path)["results"]
    raw = get(client, path, adjusted="false")["results"]
    assert [r["c"] / a["c"] for r, a in zip(raw, adjusted, strict=True)] == pytest.approx(
        [2, 2, 1, 1], rel=1e-4
    )
    assert [a["v"] / r["v"] for r, a in zip(raw, adjusted, strict=True)] == [2, 2, 1, 1]


def test_the_free_plan_sees_two_years_and_no_unfinished_day(client: httpx.Client) -> None:
    """403 for today until it is over in New York, for the future, and for what is too old."""
    client.post("/_sandbox/clock", json={"now": "2013-03-01T23:00:00Z"})
    today = get(client, GROUPED + "2013-03-01", 403)
    assert today["message"].startswith("Attempted to request today's data before end of day.")
    assert get(client, GROUPED + "2013-02-28")["status"] == "DELAYED"
    assert get(client, GROUPED + "2013-02-27")["status"] == "OK"
    for day in ("2013-03-04", "2011-02-28"):
        assert "data timeframe" in get(client, GROUPED + day, 403)["message"]
    assert get(client, GROUPED + "2011-03-01")["resultsCount"] > 0
    client.post("/_sandbox/clock", json={"now": "2013-03-02T05:01:00Z"})
    assert get(client, GROUPED + "2013-03-01")["status"] == "DELAYED"


def test_same_day_hours_moves_the_end_of_day() -> None:
    """With 18.5 the day may be read from 18:30 on."""
    config = SandboxConfig(
        symbols=5, now=datetime(2013, 3, 1, 23, 29, tzinfo=UTC), start=CONFIG.start,
        same_day_hours=18.5, limits={"polygon": []},
    )  # fmt: skip
    with SandboxServer(config) as server, httpx.Client(base_url=server.url) as client:
        get(client, GROUPED + "2013-03-01", 403)
        client.post("/_sandbox/clock", json={"now": "2013-03-01T23:30:00Z"})
        assert get(client, GROUPED + "2013-03-01")["resultsCount"] > 0


def test_a_day_without_bars_has_no_results(client: httpx.Client) -> None:
    """Holidays and unknown tickers are 200, count 0, and lack the key."""
    for path in (GROUPED + "2012-12-25", "/polygon/v2/aggs/ticker/NOSUCH/prev",
                 "/polygon/v2/aggs/ticker/NOSUCH/range/1/day/2012-12-03/2012-12-05"):  # fmt: skip
        body = get(client, path)
        assert (body["resultsCount"], body["status"]) == (0, "OK")
        assert "results" not in body


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_a_range_is_paged(sandbox: SandboxServer, client: httpx.Client, sort: str) -> None:
    """next_url, which holds no key, leads through every bar once."""
    path = "/polygon/v2/aggs/ticker/IBM/range/1/day/2012-01-03/2012-03-30"
    body = get(client, path, limit=20, sort=sort, adjusted="false")
    rows = list(body["results"])
    pages = 1
    while "next_url" in body:
        assert "Key" not in body["next_url"]
        assert body["next_url"].startswith(sandbox.base_url("polygon"))
        body = get(client, body["next_url"])
        rows += body["results"]
        pages += 1
    truth = sandbox.market.bars("IBM", date(2012, 1, 3), date(2012, 3, 30))
    closes = truth["close"].to_list()
    assert pages == -(-len(closes) // 20)
    assert [r["c"] for r in rows] == (closes if sort == "asc" else closes[::-1])
    first = min(r["t"] for r in rows)
    assert first == epoch(2012, 1, 3, 5) * 1000  # New York's midnight


def test_a_range_is_cut_to_the_plan(client: httpx.Client) -> None:
    """Partly visible: cut, DELAYED when the end is cut; not at all: 403."""
    wide = get(client, "/polygon/v2/aggs/ticker/IBM/range/1/day/2005-01-01/2013-03-20")
    assert wide["status"] == "DELAYED"
    assert wide["results"][0]["t"] == epoch(2011, 3, 2, 5) * 1000
    old = get(client, "/polygon/v2/aggs/ticker/IBM/range/1/day/2005-01-01/2006-01-01", 403)
    assert "data timeframe" in old["message"]
    today = get(client, "/polygon/v2/aggs/ticker/IBM/range/1/day/2013-03-02/2013-03-02", 403)
    assert today["status"] == "NOT_AUTHORIZED"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("1/day/2012-13-01/2012-12-01", "'from'"),
        ("1/day/2012-12-01/soon", "'to'"),
        ("1/day/2012-12-02/2012-12-01", "before 'from'"),
        ("1/fortnight/2012-12-01/2012-12-02", "timespan"),
        ("0/day/2012-12-01/2012-12-02", "multiplier"),
        ("1/day/2012-12-01/2012-12-02?limit=60000", "limit"),
    ],
)
def test_bad_ranges_are_a_400(client: httpx.Client, path: str, words: str) -> None:
    """What cannot be read is refused in ``error``."""
    body = get(client, f"/polygon/v2/aggs/ticker/IBM/range/{path}", 400)
    assert words in body["error"]


def test_spans_group_the_days(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Minutes and months add up to the day's and days' volume; weeks begin on Sunday."""
    base = "/polygon/v2/aggs/ticker/IBM/range"
    truth = sandbox.market.bars("IBM", date(2012, 12, 1), date(2012, 12, 31))
    (month,) = get(client, f"{base}/1/month/2012-12-01/2012-12-31")["results"]
    assert month["v"] == truth["volume"].sum()
    assert month["t"] == epoch(2012, 12, 1, 5) * 1000
    weeks = get(client, f"{base}/1/week/2012-12-03/2012-12-14")["results"]
    assert [w["t"] for w in weeks] == [epoch(2012, 12, d, 5) * 1000 for d in (2, 9)]
    minutes = get(client, f"{base}/1/minute/2012-12-03/2012-12-03")["results"]
    assert len(minutes) == 390
    assert sum(m["v"] for m in minutes) == truth["volume"][0]
    quarter_days = get(client, f"{base}/30/minute/2012-12-03/2012-12-03")["results"]
    assert len(quarter_days) == 13


def test_tickers_change_with_the_date(sandbox: SandboxServer, client: httpx.Client) -> None:
    """A renamed asset's old bars stand under its old ticker, its new ones under the new."""
    market = sandbox.market
    table = market.listing().filter(
        (pl.col("former").list.len() > 0) & pl.col("delisted_on").is_null()
    )
    for number in table["number"].to_list():
        asset = market.assets[number]
        change = market.time.day(asset.spells[1].start)
        if date(2011, 6, 1) < change < date(2012, 12, 1):
            break
    old, new = (spell.ticker.polygon for spell in asset.spells)
    span = "range/1/day/2011-03-02/2013-03-01"
    rows = {t: get(client, f"/polygon/v2/aggs/ticker/{t}/{span}")["results"] for t in (old, new)}
    stamp = epoch(change.year, change.month, change.day) * 1000
    assert max(r["t"] for r in rows[old]) < stamp <= min(r["t"] for r in rows[new])
    truth = market.bars(asset.ticker_at(market.started() - 1).canonical, date(2011, 3, 2))
    assert len(rows[old]) + len(rows[new]) == truth.height
    events = get(client, f"/polygon/vX/reference/tickers/{new}/events")["results"]["events"]
    assert [e["ticker_change"]["ticker"] for e in events] == [new, old]
    get(client, f"/polygon/vX/reference/tickers/{old}/events", 404)


def test_reference_tickers_list_the_living_and_the_dead(
    sandbox: SandboxServer, client: httpx.Client
) -> None:
    """Paging covers every asset once; active=false has the delisted, with the date."""
    truth = sandbox.market.listing()

    def everything(**query: Any) -> list[dict[str, Any]]:
        body = get(client, "/polygon/v3/reference/tickers", limit=300, **query)
        rows = list(body["results"])
        while "next_url" in body:
            body = get(client, body["next_url"])
            rows += body["results"]
        return rows

    living = truth.filter(pl.col("delisted_on").is_null())
    dead = truth.filter(pl.col("delisted_on").is_not_null())
    assert sorted(r["ticker"] for r in everything()) == sorted(living["polygon"])
    gone = everything(active="false")
    assert sorted(r["ticker"] for r in gone) == sorted(dead["polygon"])
    assert all(r["delisted_utc"] for r in gone)
    then = everything(date="2009-01-05")
    assert len(then) != living.height
    assert [r["ticker"] for r in everything(ticker="AAPL")] == ["AAPL"]
    some = everything(**{"ticker.gte": "B", "ticker.lt": "C"})
    assert some
    assert all(r["ticker"].startswith("B") for r in some)


def test_splits_and_dividends_are_the_truth(sandbox: SandboxServer, client: httpx.Client) -> None:
    """For every asset with actions: dates, ratios and amounts as paid."""
    market = sandbox.market

    def all_of(path: str) -> list[dict[str, Any]]:
        body = get(client, path, limit=1000)
        rows = list(body["results"])
        while "next_url" in body:
            body = get(client, body["next_url"])
            rows += body["results"]
        return rows

    now = "2013-03-02"
    splits = [r for r in all_of("/polygon/v3/reference/splits") if r["execution_date"] <= now]
    dividends = [
        r for r in all_of("/polygon/v3/reference/dividends") if r["ex_dividend_date"] <= now
    ]
    expected_splits, expected_dividends = [], []
    for asset in market.assets:
        history = market.history(asset)
        for s in history.splits:
            if s.at < market.started() and asset.alive(s.at):
                day = market.time.day(s.at).isoformat()
                expected_splits.append((asset.ticker_at(s.at).polygon, day, s.ratio))
        for d in history.dividends:
            if d.at < market.started() and asset.alive(d.at):
                day = market.time.day(d.at).isoformat()
                expected_dividends.append((asset.ticker_at(d.at).polygon, day, d.amount))
    assert sorted(
        (r["ticker"], r["execution_date"], r["split_to"] / r["split_from"]) for r in splits
    ) == sorted(expected_splits)
    assert sorted(
        (r["ticker"], r["ex_dividend_date"], r["cash_amount"]) for r in dividends
    ) == sorted(expected_dividends)
    reverse = get(client, "/polygon/v3/reference/splits", reverse_split="true", limit=1000)
    assert all(r["split_from"] > r["split_to"] for r in reverse["results"])


def test_a_ticker_has_the_recorded_keys(client: httpx.Client, shared_fixtures: Path) -> None:
    """All but texts and pictures, in the recorded order; an unknown one is a 404."""
    recorded = shared_fixtures / "payloads/polygon/mock-v3_reference_tickers_AAPL.json"
    theirs = json.loads(recorded.read_text())["results"]
    ours = get(client, "/polygon/v3/reference/tickers/AAPL")["results"]
    assert list(ours) == [key for key in theirs if key in ours]
    assert {"list_date", "market_cap", "cik", "composite_figi"} <= set(ours)
    assert get(client, "/polygon/v3/reference/tickers/NOSUCH", 404)["status"] == "NOT_FOUND"


def test_next_url_works_at_the_root_too(sandbox: SandboxServer, client: httpx.Client) -> None:
    """A caller who came without the vendor's prefix is led on without it."""
    body = get(client, "/v3/reference/tickers", limit=1)
    assert urlsplit(body["next_url"]).path == "/v3/reference/tickers"
    assert get(client, body["next_url"])["count"] == 1
