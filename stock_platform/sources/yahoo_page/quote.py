"""Reading Yahoo's quote page: the answers of its API that the page carries.

Belongs here: quote and profile. Does not: asking (client.py), the history page (history.py).
Pure.

The page holds ``<script type="application/json" data-sveltekit-fetched data-url=...>``, each
with a JSON object whose ``body`` is, as text, what the API of ``data-url`` answered:
``/v7/finance/quote?symbols=`` (``quoteResponse.result``), ``/v10/finance/quoteSummary/X``
(modules price, summaryDetail, assetProfile, defaultKeyStatistics) and
``/v1/finance/quoteType/X``. Values are bare or ``{"raw": 636.38, "fmt": "636.38"}``; stamps
are epoch seconds. Where those are missing, the ``fin-streamer`` elements that show the quote
are read: ``data-symbol``, ``data-field``, ``data-value``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
from selectolax.lexbor import LexborHTMLParser

from stock_platform.domain.errors import Malformed, SourceError, UnknownSymbol
from stock_platform.sources.base import PROFILES, QUOTES
from stock_platform.sources.html import canonical_path, check_wall, read_page, shown, title_of
from stock_platform.sources.money import Money
from stock_platform.sources.payload import excerpt, instant, number
from stock_platform.sources.yahoo_page.config import NAME

Values = Mapping[str, object]

QUOTE_FIELDS = {
    "price": ("regularMarketPrice",),
    "open": ("regularMarketOpen", "open"),
    "high": ("regularMarketDayHigh", "dayHigh"),
    "low": ("regularMarketDayLow", "dayLow"),
    "previous_close": ("regularMarketPreviousClose", "previousClose"),
}
VOLUME = ("regularMarketVolume", "volume")
CLASSES = {
    "EQUITY": "stock",
    "ETF": "etf",
    "MUTUALFUND": "fund",
    "CRYPTOCURRENCY": "crypto",
    "CURRENCY": "fx",
    "INDEX": "index",
    "FUTURE": "commodity",
}
MICS = {
    "NMS": "XNAS", "NGM": "XNAS", "NCM": "XNAS", "NAS": "XNAS", "NYQ": "XNYS", "PCX": "ARCX",
    "ASE": "XASE", "BTS": "BATS", "LSE": "XLON", "GER": "XETR", "FRA": "XFRA", "PAR": "XPAR",
    "AMS": "XAMS", "BRU": "XBRU", "MIL": "XMIL", "MCE": "XMAD", "EBS": "XSWX", "VIE": "XWBO",
    "STO": "XSTO", "HEL": "XHEL", "CPH": "XCSE", "OSL": "XOSL", "JPX": "XTKS", "HKG": "XHKG",
    "SHH": "XSHG", "SHZ": "XSHE", "KSC": "XKRX", "TOR": "XTSE", "ASX": "XASX", "NSI": "XNSE",
    "BSE": "XBOM", "SAO": "BVMF",
}  # fmt: skip
"""Yahoo's exchange codes as MICs."""


def parse_quote(status: int, body: bytes, *, symbol: str, spelled: str) -> pl.DataFrame:
    """QUOTES of a quote page, one row; prices in the major unit of the currency.

    Raises:
        UnknownSymbol: 404. Unavailable: a wall. RateLimited. Malformed: also a page about
            another symbol, or without a price.
    """
    page, told = _read(status, body, symbol, spelled)
    try:
        money = Money.of(_first(told, ("currency",)))
        row: dict[str, object] = {
            name: money.price(_number(told, fields)) for name, fields in QUOTE_FIELDS.items()
        }
        row["volume"] = _number(told, VOLUME)
        stamp = _first(told, ("regularMarketTime",))
        row["ts"] = instant(stamp) if stamp is not None else None
    except ValueError as error:
        raise Malformed(NAME, f"{spelled}: {error}") from None
    if row["price"] is None:
        raise Malformed(NAME, f"no price of {spelled} in the page: {title_of(page)}")
    row |= {"symbol": symbol, "currency": money.currency}
    return pl.DataFrame([row], schema_overrides=QUOTES).select(list(QUOTES)).cast(QUOTES)  # type: ignore[arg-type]  # a schema is a mapping


def parse_profile(status: int, body: bytes, *, symbol: str, spelled: str) -> pl.DataFrame:
    """PROFILES of a quote page, one row. ``listed_on`` is the first date Yahoo has.

    Raises:
        As ``parse_quote``; Malformed where the page does not name the company.
    """
    page, told = _read(status, body, symbol, spelled)
    name = _words(told, "longName") or _words(told, "shortName")
    if name is None:
        raise Malformed(NAME, f"no name of {spelled} in the page: {title_of(page)}")
    kind, code = _words(told, "quoteType"), _words(told, "exchange")
    try:
        row: dict[str, object] = {
            "symbol": symbol,
            "name": name,
            "exchange": MICS.get(code or "") or _words(told, "fullExchangeName") or code,
            "asset_class": CLASSES.get((kind or "").upper()),
            "currency": Money.of(_first(told, ("currency",))).currency,
            "country": _words(told, "country"),
            "sector": _words(told, "sector"),
            "industry": _words(told, "industry"),
            "website": _words(told, "website"),
            "listed_on": _first_trade(told),
            "shares_outstanding": _number(told, ("sharesOutstanding",)),
            "market_cap": _number(told, ("marketCap",)),
        }
    except ValueError as error:
        raise Malformed(NAME, f"{spelled}: {error}") from None
    whole = {column: row.get(column) for column in PROFILES}
    return pl.DataFrame([whole], schema=PROFILES)


def check_subject(page: LexborHTMLParser, spelled: str, path: str) -> None:
    """Raise Malformed where the page says that it is about another symbol, or none."""
    place = re.match(r"/(?:[a-z]{2}/)?quote/([^/]+)", path)
    told = unquote(place[1]).upper() if place else None
    if told is None:
        named = re.search(r"\(([^()\s]+)\)", title_of(page))
        told = named[1].upper() if named else None
    if path and not place:
        raise Malformed(NAME, f"not a page about {spelled} but {path}: {title_of(page)}")
    if told is not None and told != spelled.upper():
        raise Malformed(NAME, f"asked for {spelled}, was given {told}")


def _read(
    status: int, body: bytes, symbol: str, spelled: str
) -> tuple[LexborHTMLParser, list[Values]]:
    """The page, and every object in it that is about the symbol, the fullest first."""
    check_wall(NAME, status, body)
    page = read_page(NAME, body)
    if status == 404:
        raise UnknownSymbol(NAME, symbol, excerpt(body))
    if status != 200:
        raise Malformed(NAME, f"HTTP {status}: {excerpt(body)}")
    check_subject(page, spelled, canonical_path(page))
    told = [*_blobs(page, spelled), _streamed(page, spelled)]
    if not any(told):
        raise Malformed(NAME, f"an HTML page without a quote of {spelled}: {title_of(page)}")
    return page, told


def _blobs(page: LexborHTMLParser, spelled: str) -> list[Values]:
    """What the API's answers in the page say of the symbol."""
    own: list[Values] = []
    others: list[Values] = []
    summary: list[Values] = []
    for path, query, answer in _fetched(page):
        results = _results(answer)
        if path.startswith("/v7/finance/quote"):
            alone = parse_qs(query).get("symbols") == [spelled]
            found = [x for x in results if x.get("symbol") == spelled]
            (own if alone else others).extend(found)
        elif path.endswith(f"/quoteSummary/{spelled}") and results:
            modules = results[0]
            names = (
                "price", "summaryDetail", "assetProfile", "summaryProfile",
                "defaultKeyStatistics", "quoteType",
            )  # fmt: skip
            summary.extend(x for x in map(modules.get, names) if isinstance(x, dict))
        elif path.endswith(f"/quoteType/{spelled}"):
            others.extend(x for x in results if x.get("symbol") == spelled)
    return [*own, *summary, *others]


def _fetched(page: LexborHTMLParser) -> Iterator[tuple[str, str, Values]]:
    """Path, query and answer of every request whose answer stands in the page."""
    for node in page.css("script[data-sveltekit-fetched]"):
        try:
            url = urlsplit(node.attributes.get("data-url") or "")
        except ValueError:
            continue  # no address: not one of the API's
        if not url.path.startswith(("/v7/finance/", "/v10/finance/", "/v1/finance/")):
            continue
        try:
            document = json.loads(node.text())
            text = document.get("body") if isinstance(document, dict) else None
            answer = json.loads(text) if isinstance(text, str) else text
        except (ValueError, RecursionError) as error:
            raise _broken(url.path, error) from None
        if isinstance(answer, dict):
            yield unquote(url.path), url.query, answer


def _broken(path: str, error: Exception) -> SourceError:
    return Malformed(NAME, f"broken JSON in the page, of {path}: {error}")


def _results(answer: Values) -> list[Values]:
    """``result`` of the one envelope of an answer of Yahoo's API."""
    for envelope in answer.values():
        results = envelope.get("result") if isinstance(envelope, dict) else None
        if isinstance(results, list):
            return [x for x in results if isinstance(x, dict)]
    return []


def _streamed(page: LexborHTMLParser, spelled: str) -> dict[str, object]:
    """Fields of the elements that show the quote."""
    found: dict[str, object] = {}
    for node in page.css("fin-streamer[data-field]"):
        attributes = node.attributes
        about = attributes.get("data-symbol")
        if about is not None and about != spelled:
            continue
        value = attributes.get("data-value") or attributes.get("value") or node.text(strip=True)
        field = attributes.get("data-field")
        if field and value and (about is not None or field != "regularMarketPrice"):
            try:
                found.setdefault(field, shown(value))
            except ValueError:
                continue  # "4:00PM EDT" and the like: what is no number is not used
    return {name: value for name, value in found.items() if value is not None}


def _first(told: Sequence[Values], fields: Sequence[str]) -> object:
    """The first value there is under one of the names; formatted values are unpacked."""
    for field in fields:
        for values in told:
            value = values.get(field)
            if isinstance(value, dict):
                value = value.get("raw")
            if value is not None and value != "":
                return value
    return None


def _number(told: Sequence[Values], fields: Sequence[str]) -> float | None:
    try:
        return number(_first(told, fields))
    except ValueError as error:
        raise ValueError(f"{fields[0]}: {error}") from None


def _words(told: Sequence[Values], field: str) -> str | None:
    value = _first(told, (field,))
    return value.strip() or None if isinstance(value, str) else None


def _first_trade(told: Sequence[Values]) -> date | None:
    stamp = _first(told, ("firstTradeDateMilliseconds",))
    if stamp is None:
        return None
    at: datetime = instant(stamp, 0.001)
    try:
        return at.astimezone(ZoneInfo(_words(told, "exchangeTimezoneName") or "UTC")).date()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return at.date()
