"""Tiingo's shares: days, minutes of IEX, and who a share is.

Belongs here: spelling, what is published when, adjustment. Does not: coins (``coins``), forms
(``wire``), the token and limits.

As recorded: a day's ``date`` is its date at UTC midnight; prices are raw, ``adj...`` by CRSP's
factors of splits and dividends up to now, and a day has the split and dividend that went ex on
it. Minutes are stamped in UTC at their start. Weeks and months are stamped on their last
session. A day is there an hour and a half after its close. A ticker is today's, of what trades
no more too. Without dates there is only the last row. Lower case is fine.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.frame import join
from stock_platform.sandbox.market.intraday import minutes
from stock_platform.sandbox.market.names import Ticker
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.tiingo.wire import (
    PARTS,
    SECONDS,
    STEP,
    answer,
    error,
    newest,
    read_span,
    rounded,
    spoilt,
    stamp_text,
)

PUBLISHED_SECONDS = 5_400
EXCHANGES = {"XNAS": "NASDAQ", "XNYS": "NYSE", "XASE": "NYSE MKT", "ARCX": "NYSE ARCA"}


def spell(ticker: Ticker) -> str:
    """``BRK-B``, ``SPG-P-J``, ``ACHR-WS``, ``AAM-U``."""
    if ticker.suffix.startswith("PR"):
        return "-".join(part for part in (ticker.root, "P", ticker.suffix[2:]) if part)
    return f"{ticker.root}-{ticker.suffix}" if ticker.suffix else ticker.root


def daily(call: Call) -> Answer:
    """``/tiingo/daily/{symbol}/prices``."""
    asset = _asset(call)
    if asset is None:
        return error(404, f"Error: Ticker '{call.path['symbol']}' not found")
    span = read_span(call)
    if isinstance(span, Answer):
        return span
    grain = call.query.get("resampleFreq", "daily").lower()
    if grain not in ("daily", "weekly", "monthly", "annually"):
        return error(400, "Error: resampleFreq must be daily, weekly, monthly or annually")
    market, history = call.market, call.market.history(asset)
    done = int(np.sum(market.time.closes + PUBLISHED_SECONDS <= call.now.timestamp()))
    first = market.time.index(span.start)
    last = min(market.time.index(span.end + timedelta(days=1)), done)
    sessions = history.traded(first, last) if span.whole else history.traded(0, done)[-1:]
    prices, volume = history.values(sessions)
    splits = history.split_factor(sessions, done - 1)
    factor = history.dividend_factor(sessions, done - 1) / splits
    ratios = {s.at: s.ratio for s in history.splits}
    paid = {d.at: d.amount for d in history.dividends}
    columns, keep = spoilt(prices, volume, call)
    made = []
    for n, session in enumerate(sessions.tolist()):
        if not keep[n]:
            continue
        raw = {name: rounded(columns[name][n]) for name in ("close", "high", "low", "open")}
        adjusted = {
            f"adj{name.title()}": round(value * float(factor[n]), 10) for name, value in raw.items()
        }
        made.append(
            {
                "date": f"{market.time.day(session)}T00:00:00.000Z",
                **raw,
                "volume": int(columns["volume"][n]),
                **adjusted,
                "adjVolume": int(columns["volume"][n] * splits[n]),
                "divCash": float(paid.get(session, 0.0)),
                "splitFactor": float(ratios.get(session, 1.0)),
            }
        )
    return answer(made if grain == "daily" else _longer(made, grain))


def meta(call: Call) -> Answer:
    """``/tiingo/daily/{symbol}``."""
    asset = _asset(call)
    if asset is None:
        return error(404, "Not found.")
    time = call.market.time
    done = int(np.sum(time.closes + PUBLISHED_SECONDS <= call.now.timestamp()))
    traded = call.market.history(asset).traded(0, done)
    body = {
        "ticker": spell(asset.ticker_at(time.opened(call.now) - 1)),
        "name": asset.name,
        "description": f"{asset.name} is made up.",
        "startDate": time.day(int(traded[0])).isoformat() if len(traded) else None,
        "endDate": time.day(int(traded[-1])).isoformat() if len(traded) else None,
        "exchangeCode": EXCHANGES.get(asset.exchange, asset.exchange),
    }
    return Answer(dump(body))


def iex(call: Call) -> Answer:
    """``/iex/{symbol}/prices``: the last 10,000 bars at the most; volumes only if asked for."""
    asset = _asset(call)
    if asset is None:
        return error(404, "Not found.")
    span = read_span(call)
    if isinstance(span, Answer):
        return span
    step = STEP.fullmatch(call.query.get("resampleFreq", "5min"))
    if step is None or step[2].lower() == "day" or not int(step[1]):
        return error(400, "Error: resampleFreq must be in 'Min' or 'Hour' only")
    length = int(step[1]) * SECONDS[step[2].lower()]
    time = call.market.time
    opened = time.opened(call.now)
    first = time.index(span.start) if span.whole else opened - 1
    last = min(time.index(span.end + timedelta(days=1)), opened) if span.whole else opened
    frames = []
    for session in call.market.history(asset).traded(first, last).tolist():
        fine = minutes(call.market, asset, session).before(call.now.timestamp())
        frames.append(fine.grouped(fine.stamps // length * length))
    frame = newest(join(frames))
    columns, keep = spoilt(frame.prices, frame.volume, call)
    wanted = call.query.get("columns", "open,high,low,close").lower().split(",")
    shown = [name for name in (*PARTS, "volume") if name in wanted]
    made = [
        {"date": stamp_text(stamp, "%Y-%m-%dT%H:%M:%S.000Z")}
        | {name: rounded(columns[name][n]) for name in shown}
        for n, stamp in enumerate(frame.stamps.tolist())
        if keep[n]
    ]
    return answer(made)


def _asset(call: Call) -> Asset | None:
    """Who carries the ticker today."""
    wanted = call.path["symbol"].upper()
    session = call.market.time.opened(call.now) - 1
    root, _, rest = wanted.partition("-")
    suffix = f"PR{rest[2:]}" if rest.startswith("P-") else "PR" if rest == "P" else rest
    return call.market.carrying(Ticker(root, suffix).canonical, session)


def _longer(rows: list[dict[str, Any]], grain: str) -> list[dict[str, Any]]:
    """Weeks, months or years of days; raw as they are, under the last day's date."""
    groups: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for row in rows:
        day = date.fromisoformat(row["date"][:10])
        key = {
            "weekly": tuple(day.isocalendar()[:2]),
            "monthly": (day.year, day.month),
            "annually": (day.year,),
        }[grain]
        groups.setdefault(key, []).append(row)
    return [
        group[-1]
        | {
            "open": group[0]["open"],
            "high": max(row["high"] for row in group),
            "low": min(row["low"] for row in group),
            "volume": sum(row["volume"] for row in group),
        }
        for group in groups.values()
    ]
