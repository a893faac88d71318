"""Google Finance's page of a symbol.

Belongs here: names, the element and the data that carry the quote. Does not: prices
(``pages``).

A share is found under its own exchange alone, a pair under ``EUR-USD``; what is not found is
a page that says so, with a status of 200. One symbol in two has the layout of 2024, with the
``data-`` attributes; the others have the quote in the page's data alone, as recorded in 2026.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any
from zlib import crc32

from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.pages import (
    HTML,
    Last,
    document,
    last_of_other,
    last_of_share,
    trading,
)

_EXCHANGES = {"XNAS": "NASDAQ", "XNYS": "NYSE", "ARCX": "NYSEARCA", "XASE": "NYSEAMERICAN"}
_INDICES = {
    ".INX:INDEXSP": "^GSPC", ".DJI:INDEXDJX": "^DJI", ".IXIC:INDEXNASDAQ": "^IXIC",
    "RUT:INDEXRUSSELL": "^RUT", "VIX:INDEXCBOE": "^VIX", "UKX:INDEXFTSE": "^FTSE",
    "NI225:INDEXNIKKEI": "^N225",
}  # fmt: skip


def page(call: Call) -> Answer:
    """Answer ``/finance/quote/{symbol}``."""
    name = call.path["symbol"]
    found = _found(call, name)
    if found is None:
        body = "<main><div>We couldn't find any match for your search.</div></main>"
        return Answer(document("Google Finance", "", body), content_type=HTML)
    title, last = found
    ticker, _, exchange = name.partition(":")
    entity: list[Any] = [None] * 26
    entity[0] = entity[14] = f"/g/{crc32(name.encode()):x}"
    entity[1] = [ticker, exchange] if exchange else None
    entity[2] = title
    entity[3] = 0 if exchange else 3
    entity[4] = last.currency if exchange else None
    change = last.price - last.previous
    entity[5] = [last.price, round(change, 4), round(change / last.previous * 100, 6), 2, 2, 2]
    entity[7] = last.previous
    entity[11] = [last.stamp]
    entity[12] = "America/New_York" if exchange else None
    entity[15] = [*name.split("-"), "", "", "", "", 1] if not exchange else None
    entity[21] = name
    other = ["/m/0", ["OTHER", "NASDAQ"], "Another Inc", 0, "USD", [1.0, 0, 0, 2, 2, 2], None, 1.0]
    other += [None, None, None, [last.stamp], None, None, "/m/0", None, None, None, None, None]
    blocks = [_block("ds:5", []), _block("ds:0", [[other, [None]]]), _block("ds:2", [[[entity]]])]
    old = crc32(name.encode()) % 2 == 0
    body = "<main>" + (_element(name, title, last) if old else f"<h1>{escape(title)}</h1>")
    head = f'<link rel="canonical" href="https://www.google.com/finance/quote/{name}">'
    kind = "Stock Price & News" if exchange else "Currency Exchange Rate & News"
    whole = document(f"{title} ({ticker}) {kind} - Google Finance", head,
                     body + "</main>\n" + "".join(blocks))  # fmt: skip
    return Answer(whole, content_type=HTML, cells=1)


def _found(call: Call, name: str) -> tuple[str, Last] | None:
    """Title and last price of what is called so."""
    ticker, _, exchange = name.partition(":")
    if name in _INDICES or not exchange:
        tries = [_INDICES.get(name, ""), ticker, ticker.replace("-", "/")]
        for symbol in tries:
            instrument = call.market.others.find(symbol) if symbol else None
            last = last_of_other(call, symbol) if instrument is not None else None
            if instrument is not None and last is not None:
                return instrument.name, last
        return None
    asset = trading(call, ticker)
    if asset is None or _EXCHANGES.get(asset.exchange) != exchange:
        return None
    share = last_of_share(call, asset)
    return (asset.name, share) if share is not None else None


def _element(name: str, title: str, last: Last) -> str:
    ticker, _, exchange = name.partition(":")
    if exchange:
        own = f'data-exchange="{exchange}" data-currency-code="{last.currency}"'
    else:
        base, quote = name.split("-")
        own = f'data-source="{base}" data-target="{quote}"'
    sign = "$" if last.currency == "USD" else ""
    return (
        f'<c-wiz><div jscontroller="x" {own} data-last-price="{last.price}" '
        f'data-last-normal-market-timestamp="{last.stamp}" data-tz-offset="-18000000">'
        f'<div class="zzDege">{escape(title)}</div><div class="YMlKec fxKbKc">'
        f"{sign}{last.price:,.2f}</div></div>"
        '<div class="gyFHrc"><span><div class="mfs7Fc">Previous close</div>'
        "<div>The last closing price</div></span>"
        f'<div class="P6K39c">{sign}{last.previous:,.4f}</div></div><p>{ticker}</p></c-wiz>'
    )


def _block(key: str, data: Any) -> str:
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f"<script class=\"{key}\" nonce=\"x\">AF_initDataCallback({{key: '{key}', hash: '1', "
        f"data:{text}, sideChannel: {{}}}});</script>\n"
    )
