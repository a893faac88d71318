"""Reading Google Finance's quote page: bytes to a quote, or an error.

Belongs here: the page of one symbol. Does not: asking (client.py). Pure.

Two layouts are read, and what one lacks is taken from the other:

* The element that carries the quote (until 2025): ``data-last-price``,
  ``data-currency-code`` (of pairs: ``data-source`` and ``data-target``),
  ``data-last-normal-market-timestamp`` in epoch seconds, ``data-exchange``.
* ``AF_initDataCallback({key: 'ds:2', hash: '9', data: [...], sideChannel: {}})``, the page's
  own data. Somewhere in it stands the symbol's entity, a list: [1] is [ticker, exchange] or
  null for a pair; [2] its name; [4] the currency; [5] is [price, change, ...]; [7] the
  previous close; [11] is [epoch seconds]; [15] of a pair is [base, quote, ...]; [21] is
  ``AAPL:NASDAQ`` or ``EUR-USD``. Other symbols have entities in the same data.

Google does not end its pages with ``</html>``; a page cut short has no readable entity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import unquote

import polars as pl
from selectolax.lexbor import LexborHTMLParser

from stock_platform.domain.errors import Malformed, UnknownSymbol
from stock_platform.sources.base import QUOTES
from stock_platform.sources.google_finance.config import NAME
from stock_platform.sources.html import canonical_path, check_wall, read_page, shown, title_of
from stock_platform.sources.money import Money
from stock_platform.sources.payload import excerpt, instant, number

PRICE, PREVIOUS, STAMP, PAIR, KEY = 5, 7, 11, 15, 21
DEEPEST = 60

_CALLBACK = re.compile(r"AF_initDataCallback\(\{.{0,200}?\bdata:\s*(?=\[)", re.DOTALL)
_NOT_FOUND = re.compile(
    r"(?:couldn.t|could not|did not|didn.t) (?:find|match)|no (?:matches|results) (?:found|for)"
    r"|no results",
    re.IGNORECASE,
)


def parse_quote(status: int, body: bytes, *, symbol: str, name: str) -> pl.DataFrame:
    """QUOTES of a page, one row; prices in the major unit of the currency.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        symbol: canonical ticker, for the frame.
        name: what Google was asked for.

    Raises:
        UnknownSymbol: 404, or a page that says so. Unavailable: a wall. RateLimited.
            Malformed: no page, another page, or one without a price.
    """
    check_wall(NAME, status, body)
    page = read_page(NAME, body, whole=False)
    if status == 404:
        raise UnknownSymbol(NAME, symbol, f"{name}: {excerpt(body)}")
    if status != 200:
        raise Malformed(NAME, f"HTTP {status}: {excerpt(body)}")
    about = re.search(r"/quote/([^/]+)$", canonical_path(page))
    if about is not None and unquote(about[1]).upper() != name.upper():
        raise Malformed(NAME, f"asked for {name}, was given {unquote(about[1])}")
    data, element = _entity(body, name), _element(page, name)
    if data is None and element is None:
        raise _missing(page, symbol, name)
    row = {**(data or {}), **{k: v for k, v in (element or {}).items() if v is not None}}
    if row.get("previous_close") is None:
        row["previous_close"] = _labelled(page, "Previous close")
    if row.get("price") is None:
        raise Malformed(NAME, f"no price of {name} in the page: {title_of(page)}")
    money = Money.of(row.get("currency"))
    values: dict[str, object] = dict.fromkeys(QUOTES)
    for column in ("price", "previous_close"):
        value = row.get(column)
        values[column] = money.price(value) if isinstance(value, float) else None
    values |= {"symbol": symbol, "ts": row.get("ts"), "currency": money.currency}
    return pl.DataFrame([values], schema=QUOTES)


def _missing(page: LexborHTMLParser, symbol: str, name: str) -> Exception:
    """What a page without a quote of ours means."""
    text = page.body.text(separator=" ") if page.body is not None else ""
    if "google finance" in title_of(page).lower() and _NOT_FOUND.search(text):
        return UnknownSymbol(NAME, symbol, f"{name}: Google finds no match")
    return Malformed(NAME, f"an HTML page without a quote of {name}: {title_of(page)}")


def _element(page: LexborHTMLParser, name: str) -> dict[str, object] | None:
    """The quote of the element that carries one; None where there is none of ours."""
    ticker, _, exchange = name.partition(":")
    for node in page.css("[data-last-price]"):
        attributes = node.attributes
        market = attributes.get("data-exchange")
        base, quote = attributes.get("data-source"), attributes.get("data-target")
        if market and exchange and market.upper() != exchange:
            continue
        if base and quote and f"{base}-{quote}".upper() != ticker:
            continue
        try:
            stamp = attributes.get("data-last-normal-market-timestamp")
            return {
                "price": shown(attributes.get("data-last-price")),
                "currency": attributes.get("data-currency-code") or quote,
                "ts": instant(stamp) if stamp else None,
            }
        except ValueError as error:
            raise Malformed(NAME, f"{name}: {error}") from None
    return None


def _labelled(page: LexborHTMLParser, label: str) -> float | None:
    """The number beside a label, or None; the names of classes change, the words do not."""
    for node in page.css("div, span, td"):
        if node.text(deep=False, strip=True) != label:
            continue
        place = node
        for _ in range(4):
            following = place.next
            while following is not None and not following.text(strip=True):
                following = following.next
            if following is not None:
                try:
                    return shown(following.text(strip=True))
                except ValueError:
                    pass  # the label's explanation; the number stands further on
            if place.parent is None:
                break
            place = place.parent
    return None


def _entity(body: bytes, name: str) -> dict[str, object] | None:
    """The symbol's entity in the page's data; None where there is none."""
    text = body.decode("utf-8", errors="replace")
    decoder = json.JSONDecoder()
    broken = False
    for match in _CALLBACK.finditer(text):
        try:
            data, _ = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            broken = True
            continue
        for entity in _lists(data):
            if _is_of(entity, name):
                return _read_entity(entity, name)
    if broken:
        raise Malformed(NAME, f"page cut short, or broken data in it, after {len(body)} bytes")
    return None


def _lists(data: object, depth: int = 0) -> Iterator[list[object]]:
    if isinstance(data, list) and depth < DEEPEST:
        yield data
        for value in data:
            yield from _lists(value, depth + 1)


def _is_of(entity: list[object], name: str) -> bool:
    if len(entity) <= STAMP or not isinstance(entity[PRICE], list) or not entity[PRICE]:
        return False
    if not isinstance(entity[2], str):
        return False
    told = entity[KEY] if len(entity) > KEY else None
    if isinstance(told, str):
        return told == name
    place = entity[1]
    if isinstance(place, list) and len(place) > 1:
        return f"{place[0]}:{place[1]}" == name
    pair = entity[PAIR] if len(entity) > PAIR else None
    return isinstance(pair, list) and len(pair) > 1 and f"{pair[0]}-{pair[1]}" == name


def _read_entity(entity: list[object], name: str) -> dict[str, object]:
    price, pair = entity[PRICE], entity[PAIR] if len(entity) > PAIR else None
    currency = entity[4] if isinstance(entity[4], str) else None
    if currency is None and entity[1] is None and isinstance(pair, list) and len(pair) > 1:
        currency = pair[1] if isinstance(pair[1], str) else None
    stamp, at = entity[STAMP], None
    try:
        if isinstance(stamp, list) and stamp:
            at = instant(stamp[0])
        return {
            "price": number(price[0]) if isinstance(price, list) else None,
            "previous_close": number(entity[PREVIOUS]),
            "currency": currency,
            "ts": at if isinstance(at, datetime) else None,
        }
    except ValueError as error:
        raise Malformed(NAME, f"{name}: {error}") from None
