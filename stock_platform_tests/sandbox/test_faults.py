"""Faults on demand."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from stock_platform.domain.errors import InputError
from stock_platform.sandbox.faults import BARS, FaultBook, read_fault, spoil
from stock_platform.sandbox.server import SandboxServer

CHART = "/yahoo/v8/finance/chart/{}?range=1y&interval=1d"
GROUPED = "/polygon/v2/aggs/grouped/locale/us/market/stocks/2013-02-28?apiKey=good-key"


def inject(client: httpx.Client, *rules: dict[str, Any]) -> None:
    assert client.post("/_sandbox/faults", json=list(rules)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status", "content"),
    [
        ("http_429", 429, b"Too Many Requests\r\n"),
        ("http_500", 500, b"<html>"),
        ("http_503", 503, b"<html>"),
        ("error_200", 200, b'{"chart":{"result":null,"error":{"code":'),
        ("html", 200, b"<!DOCTYPE html>"),
        ("empty", 200, b""),
    ],
)
def test_faults_that_replace_the_answer(
    client: httpx.Client, kind: str, status: int, content: bytes
) -> None:
    """Each shows what it is named after, once, and then the vendor answers again."""
    inject(client, {"kind": kind, "vendor": "yahoo", "once": True})
    bad = client.get(CHART.format("AAPL"))
    assert bad.status_code == status
    assert bad.content.startswith(content)
    assert "retry-after" not in bad.headers
    assert client.get(CHART.format("AAPL")).json()["chart"]["error"] is None


def test_polygon_words_its_own_errors(client: httpx.Client) -> None:
    """429 with Retry-After, and an error within a 200, in Polygon's envelope."""
    inject(
        client,
        {"kind": "http_429", "vendor": "polygon", "retry_after": 7, "nth": 1},
        {"kind": "error_200", "vendor": "polygon", "endpoint": "grouped", "nth": 1},
    )
    limited = client.get(GROUPED)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    inside = client.get(GROUPED)
    assert (inside.status_code, inside.json()["status"]) == (200, "ERROR")
    assert client.get(GROUPED).json()["resultsCount"] > 400


def test_a_truncated_body_is_not_json(client: httpx.Client) -> None:
    """The body ends early under a matching content-length."""
    inject(client, {"kind": "truncated"})
    answer = client.get(CHART.format("AAPL"))
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        answer.json()


def test_a_disconnect_breaks_the_body(client: httpx.Client) -> None:
    """The connection closes before the promised length, and no cell counts as served."""
    inject(client, {"kind": "disconnect", "once": True})
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(CHART.format("AAPL"))
    report = client.get("/_sandbox/report").json()
    assert report["vendors"]["yahoo"]["cells"] == 0
    assert client.get(CHART.format("AAPL")).status_code == 200


def test_slow_answers_late(client: httpx.Client) -> None:
    """A client with less patience than the fault's seconds times out."""
    inject(client, {"kind": "slow", "seconds": 0.6, "once": True})
    with pytest.raises(httpx.ReadTimeout):
        client.get(CHART.format("AAPL"), timeout=0.2)


def test_stale_answers_lack_the_latest_sessions(client: httpx.Client) -> None:
    """The answer is the one of some days ago."""
    fresh = client.get(CHART.format("AAPL")).json()["chart"]["result"][0]["timestamp"]
    inject(client, {"kind": "stale", "days": 7, "once": True})
    stale = client.get(CHART.format("AAPL")).json()["chart"]["result"][0]["timestamp"]
    assert fresh[-1] - stale[-1] >= 5 * 86_400


@pytest.mark.parametrize("kind", BARS)
def test_bar_faults_spoil_both_vendors(sandbox: SandboxServer, kind: str) -> None:
    """Every kind of wrong bar reaches the wire of both vendors, and changes some rows only."""
    with httpx.Client(base_url=sandbox.url) as client:
        good_chart, good_grouped = client.get(CHART.format("IBM")), client.get(GROUPED)
        inject(client, {"kind": kind, "share": 0.05})
        bad_chart, bad_grouped = client.get(CHART.format("IBM")), client.get(GROUPED)
    closes, spoilt = (
        list(zip(*(a.json()["chart"]["result"][0]["indicators"]["quote"][0][c]
                   for c in ("open", "high", "low", "close")), strict=True))
        for a in (good_chart, bad_chart)
    )  # fmt: skip
    changed = sum(a != b for a, b in zip(closes, spoilt, strict=True))
    assert 0 < changed <= 0.06 * len(closes) + 1
    rows = {r["T"]: r for r in good_grouped.json()["results"]}
    bad = {r["T"]: r for r in bad_grouped.json()["results"]}
    changed = sum(
        bad.get(t, {}).get("c") != r["c"] or bad[t]["h"] != r["h"] for t, r in rows.items()
    )
    assert 0 < changed <= 0.06 * len(rows) + 1


def test_high_below_low_means_it() -> None:
    """The named defect is the one that appears."""
    columns = {
        "open": np.array([2.0]), "high": np.array([3.0]), "low": np.array([1.0]),
        "close": np.array([2.5]), "volume": np.array([10.0]),
    }  # fmt: skip
    spoil(columns, read_fault({"kind": "high_below_low"}))
    assert columns["high"][0] < columns["low"][0]
    spoil(columns, read_fault({"kind": "wrong_100x"}))
    assert columns["close"][0] == 250.0


def test_rules_match_by_vendor_endpoint_symbol_and_count() -> None:
    """Patterns, nth, every, times and probability select calls; the first match acts."""
    book = FaultBook(
        [
            {"kind": "html", "symbol": "AA*", "nth": 2},
            {"kind": "empty", "vendor": "polygon", "endpoint": "range", "every": 3},
            {"kind": "http_500", "symbol": "MSFT", "times": 2},
        ]
    )

    def kinds(calls: int, *what: str) -> list[str | None]:
        found = [book.choose(*what) for _ in range(calls)]
        return [f.kind if f else None for f in found]

    assert kinds(3, "yahoo", "chart", "AAPL") == [None, "html", None]
    assert kinds(6, "polygon", "range", "IBM") == [None, None, "empty", None, None, "empty"]
    assert kinds(3, "yahoo", "chart", "MSFT") == ["http_500", "http_500", None]


def test_probability_is_seeded() -> None:
    """The same seed meets the same calls with the same faults, about as often as asked."""
    books = [FaultBook([{"kind": "http_500", "probability": 0.1}], seed=3) for _ in range(2)]
    seen = [[bool(b.choose("v", "e", "s")) for _ in range(2000)] for b in books]
    assert seen[0] == seen[1]
    assert 150 < sum(seen[0]) < 250


@pytest.mark.parametrize(
    "rule",
    [{"kind": "explode"}, {}, {"kind": "html", "probability": 2}, {"kind": "html", "x": 1}, 3],
)
def test_bad_rules_are_refused(client: httpx.Client, rule: Any) -> None:
    """A rule that means nothing is a clear 400, and no rule is added."""
    with pytest.raises(InputError):
        read_fault(rule)
    answer = client.post("/_sandbox/faults", json=[rule])
    assert answer.status_code == 400
    assert "fault" in answer.json()["error"]
    assert client.get("/_sandbox/report").json()["faults"] == []
