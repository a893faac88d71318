"""Polygon's reference data: tickers, one ticker, splits, dividends, ticker changes.

Belongs here: the lists, their filters, order and pages; who one ticker is. Does not: bars.

Tickers are those of today, or of the ``date`` asked; a split or dividend stands under the
ticker of its own date. Splits are listed up to two weeks before they happen, as announced.
A dividend's ``cash_amount`` is as paid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.polygon.wire import (
    BAD_TIME,
    count,
    error,
    flag,
    listing,
    pack,
    request_id,
    unpack,
)

ANNOUNCED = timedelta(days=14)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda a, b: bool(a == b),
    ".gt": lambda a, b: bool(a > b),
    ".gte": lambda a, b: bool(a >= b),
    ".lt": lambda a, b: bool(a < b),
    ".lte": lambda a, b: bool(a <= b),
}


def tickers(call: Call) -> Answer:
    """``/v3/reference/tickers``."""
    query = unpack(call.query)
    if isinstance(query, Answer):
        return query
    time = call.market.time
    session = time.opened(call.now) - 1
    if "date" in query:
        try:
            asked = time.index(date.fromisoformat(query["date"]) + timedelta(days=1)) - 1
        except ValueError:
            return error(400, BAD_TIME.format("date"))
        session = min(session, asked)
    active = flag(query, "active", True)
    rows = []
    for asset in call.market.assets:
        if asset.listed > session or (asset.delisted > session) != active:
            continue
        if query.get("market", "stocks") != "stocks":
            continue
        row = _ticker(call, asset, session, active)
        if (
            _passes(row, query, "ticker")
            and query.get("type", row["type"]) == row["type"]
            and query.get("exchange", row["primary_exchange"]) == row["primary_exchange"]
            and query.get("search", "").lower() in f"{row['ticker']} {row['name']}".lower()
        ):
            rows.append(row)
    return _page(call, query, rows, "ticker", "asc", 100, with_count=True)


def ticker(call: Call) -> Answer:
    """``/v3/reference/tickers/{symbol}``: who carries a ticker; made-up shares at true prices."""
    time = call.market.time
    session = time.opened(call.now) - 1
    asset = call.market.carrying(call.path["symbol"], session, "polygon")
    if asset is None:
        body = {"status": "NOT_FOUND", "request_id": request_id(), "message": "Ticker not found."}
        return Answer(dump(body), 404)
    row = _ticker(call, asset, session, asset.delisted > session)
    row.pop("last_updated_utc")
    history = call.market.history(asset)
    traded = history.traded(asset.listed, session + 1)[-1:]
    shares = 1_000_000 * (10 + asset.number % 900)
    close = float(history.values(traded)[0][3, 0]) if len(traded) else 0.0
    row |= {
        "market_cap": round(shares * close, 2),
        "sic_code": "3571",
        "sic_description": "ELECTRONIC COMPUTERS",
        "ticker_root": asset.ticker_at(session).root,
        "homepage_url": f"https://www.{asset.ticker_at(session).root.lower()}.example",
        "list_date": time.day(asset.listed).isoformat(),
        "share_class_shares_outstanding": shares,
        "weighted_shares_outstanding": shares,
    }
    return Answer(dump({"results": row, "status": "OK", "request_id": request_id()}))


def splits(call: Call) -> Answer:
    """``/v3/reference/splits``."""
    query = unpack(call.query)
    if isinstance(query, Answer):
        return query
    horizon = call.market.time.index(call.now.date() + ANNOUNCED)
    rows = []
    for asset in _assets(call, query):
        for split in call.market.history(asset).splits:
            if split.at < horizon and asset.alive(split.at):
                row = {
                    "execution_date": call.market.time.day(split.at).isoformat(),
                    "split_from": split.denominator,
                    "split_to": split.numerator,
                    "ticker": asset.ticker_at(split.at).polygon,
                }
                reverse = split.numerator < split.denominator
                if (
                    _passes(row, query, "ticker")
                    and _passes(row, query, "execution_date")
                    and query.get("reverse_split", str(reverse)).lower() == str(reverse).lower()
                ):
                    rows.append(row)
    return _page(call, query, rows, "execution_date", "desc", 10)


def dividends(call: Call) -> Answer:
    """``/v3/reference/dividends``."""
    query = unpack(call.query)
    if isinstance(query, Answer):
        return query
    time = call.market.time
    horizon = time.index(call.now.date() + ANNOUNCED)
    rows = []
    for asset in _assets(call, query):
        for paid in call.market.history(asset).dividends:
            if paid.at < horizon and asset.alive(paid.at):
                day = time.day(paid.at)
                row = {
                    "cash_amount": paid.amount,
                    "declaration_date": (day - timedelta(days=21)).isoformat(),
                    "dividend_type": "CD",
                    "ex_dividend_date": day.isoformat(),
                    "frequency": 4,
                    "pay_date": (day + timedelta(days=14)).isoformat(),
                    "record_date": (day + timedelta(days=1)).isoformat(),
                    "ticker": asset.ticker_at(paid.at).polygon,
                }
                if _passes(row, query, "ticker") and _passes(row, query, "ex_dividend_date"):
                    rows.append(row)
    return _page(call, query, rows, "ex_dividend_date", "desc", 10)


def events(call: Call) -> Answer:
    """``/vX/reference/tickers/{symbol}/events``: the tickers an asset has carried."""
    time = call.market.time
    session = time.opened(call.now) - 1
    asset = call.market.carrying(call.path["symbol"], session, "polygon")
    if asset is None:
        body = {"status": "NOT_FOUND", "request_id": request_id(), "message": "Ticker not found."}
        return Answer(dump(body), 404)
    spells = [s for s in asset.spells if s.start <= session and s.end > asset.listed]
    changes = [
        {
            "ticker_change": {"ticker": spell.ticker.polygon},
            "type": "ticker_change",
            "date": time.day(max(spell.start, asset.listed)).isoformat(),
        }
        for spell in reversed(spells)
    ]
    identity = _identity(asset)
    results = {
        "name": asset.name,
        "composite_figi": identity["composite_figi"],
        "cik": identity["cik"],
        "events": changes,
    }
    return Answer(dump({"results": results, "status": "OK", "request_id": request_id()}))


def _ticker(call: Call, asset: Asset, session: int, active: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "ticker": asset.ticker_at(session).polygon,
        "name": asset.name,
        "market": "stocks",
        "locale": "us",
        "primary_exchange": asset.exchange,
        "type": asset.kind,
        "active": active,
        "currency_name": "usd",
    }
    identity = _identity(asset)
    if asset.kind == "ETF":
        identity.pop("cik")
    row |= identity
    if not active:
        row["delisted_utc"] = f"{call.market.time.day(asset.delisted)}T00:00:00Z"
    return row | {"last_updated_utc": f"{call.market.time.day(session)}T00:00:00Z"}


def _identity(asset: Asset) -> dict[str, str]:
    digest = hashlib.sha256(f"{asset.number}/{asset.name}".encode()).hexdigest().upper()
    return {
        "cik": f"{1_000_000 + asset.number:010d}",
        "composite_figi": f"BBG00{digest[:7]}",
        "share_class_figi": f"BBG00{digest[7:14]}",
    }


def _assets(call: Call, query: Mapping[str, str]) -> Iterable[Asset]:
    """All assets, or those that ever carried the one ticker asked for."""
    if "ticker" in query:
        return call.market.spelled(query["ticker"], "polygon")
    return call.market.assets


def _passes(row: Mapping[str, Any], query: Mapping[str, str], name: str) -> bool:
    return all(
        compare(row[name], query[name + suffix])
        for suffix, compare in _COMPARE.items()
        if name + suffix in query
    )


def _page(
    call: Call,
    query: Mapping[str, str],
    rows: list[dict[str, Any]],
    sort: str,
    order: str,
    default: int,
    with_count: bool = False,
) -> Answer:
    """Sort, cut, and link to what is left."""
    limit = count(query, default, 1000)
    if isinstance(limit, Answer):
        return limit
    key = query.get("sort", sort)
    if rows and key not in rows[0]:
        return error(400, f"The 'sort' parameter is invalid: {key}")
    if query.get("order", "asc" if "sort" in query else order) == "desc":
        rows.sort(key=lambda row: (row[key], row["ticker"]), reverse=True)
    else:
        rows.sort(key=lambda row: (row[key], row["ticker"]))
    offset = int(query.get("page_marker", "0"))
    following = None
    if offset + limit < len(rows):
        kept = {k: v for k, v in query.items() if k not in ("apiKey", "cursor")}
        path = f"/v3/reference/{_PATHS[sort]}"
        cursor = pack(kept | {"limit": limit, "page_marker": offset + limit})
        following = f"{call.base}{path}?cursor={cursor}"
    return listing(rows[offset : offset + limit], following, with_count)


_PATHS = {"ticker": "tickers", "execution_date": "splits", "ex_dividend_date": "dividends"}
