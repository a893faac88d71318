"""How Alpha Vantage writes: sentences for errors, numbered fields, spellings.

Belongs here: formats its functions share. Does not: data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Asset, Floats
from stock_platform.sandbox.market.names import Ticker
from stock_platform.sandbox.vendors.base import JSON, Answer, Call

CSV = "application/x-download"
_PLANS = "https://www.alphavantage.co/premium/"
NO_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
NO_FUNCTION = "This API function ({}) does not exist."
BAD_CALL = (
    "Invalid API call. Please retry or visit the documentation "
    "(https://www.alphavantage.co/documentation/) for {}."
)
TOO_FAST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more "
    f"sparingly (1 request per second). You may subscribe to any of the premium plans at {_PLANS} "
    "to lift the free key rate limit (25 requests per day), raise the per-second burst limit, and "
    "instantly unlock all premium endpoints"
)
PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of "
    f"the premium plans at {_PLANS} to instantly unlock all premium endpoints"
)
FULL = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature "
    f"for the {{}} endpoint. You may subscribe to any of the premium plans at {_PLANS} to "
    "instantly unlock all premium features"
)
NAMES = ("open", "high", "low", "close", "volume")


def complaint(key: str, said: str) -> Answer:
    """One sentence, under ``Error Message`` or ``Information``, with a status of 200."""
    return document({key: said})


def bad_call(call: Call) -> Answer:
    """The answer to an unknown symbol, and to anything else it does not like."""
    return complaint("Error Message", BAD_CALL.format(call.query.get("function", "")))


def document(value: Mapping[str, Any], cells: int = 0) -> Answer:
    """JSON as it is printed."""
    return Answer(json.dumps(value, indent=4, allow_nan=False).encode(), 200, JSON, cells=cells)


def lines(rows: list[list[str]], cells: int = 0) -> Answer:
    """CSV; what has a comma is quoted."""
    quoted = [[f'"{v}"' if "," in v else v for v in row] for row in rows]
    text = "".join(",".join(row) + "\r\n" for row in quoted)
    return Answer(text.encode(), 200, CSV, cells=cells)


def entitled(call: Call) -> bool:
    """Whether the caller has a premium plan."""
    return call.query.get("apikey", "").startswith("premium")


def bars(
    call: Call,
    meta: list[tuple[str, str]],
    name: str,
    stamps: list[str],
    prices: Floats,
    volume: Floats | None,
    decimals: tuple[int, int],
) -> Answer:
    """A series, newest first, as JSON or (``datatype=csv``) lines; oldest first as given.

    ``decimals`` are those of prices and volumes; a null is a field that is missing.
    """
    columns = {n: row.copy() for n, row in zip(NAMES, prices, strict=False)}
    columns["volume"] = np.zeros(len(stamps)) if volume is None else volume.copy()
    spoil(columns, call.fault)
    shown = NAMES if volume is not None else NAMES[:4]
    texts = {
        n: ["" if np.isnan(v) else f"{v:.{decimals[n == 'volume']}f}" for v in columns[n].tolist()]
        for n in shown
    }
    order = range(len(stamps) - 1, -1, -1)
    if call.query.get("datatype") == "csv":
        rows = [[stamps[i], *(texts[n][i] for n in shown)] for i in order]
        return lines([["timestamp", *shown], *rows], len(stamps))
    series = {
        stamps[i]: {f"{k}. {n}": texts[n][i] for k, n in enumerate(shown, 1) if texts[n][i]}
        for i in order
    }
    numbered = {f"{k}. {label}": value for k, (label, value) in enumerate(meta, 1)}
    return document({"Meta Data": numbered, name: series}, len(stamps))


def spelled(ticker: Ticker) -> str:
    """``BRK-B``, ``BAC-P-A``, ``XYZ-WS``, ``XYZ-U``."""
    tail = ticker.suffix
    if tail.startswith("PR"):
        tail = f"P-{tail[2:]}"
    return f"{ticker.root}-{tail}" if tail else ticker.root


def asset_of(call: Call) -> Asset | None:
    """The asset that carries ``symbol`` and still trades."""
    text = call.query.get("symbol", "").upper()
    canonical = re.sub(r"-", ".", re.sub(r"-P-([A-Z])$", r".PR\1", text))
    started = call.market.time.opened(call.now)
    asset = call.market.carrying(canonical, started - 1) if text else None
    return asset if asset is not None and asset.delisted >= started else None


def completed(call: Call) -> int:
    """How many sessions have closed."""
    closes = call.market.time.closes
    return int(np.searchsorted(closes, call.now.timestamp(), side="right"))
