"""Reading the SEC's company tickers: bytes to a directory, or an error.

Belongs here: the forms of the file, and the pages that come in its place. Does not: asking
(client.py). Pure.

    company_tickers           {"0": {"cik_str": 320193, "ticker": "AAPL", "title": "Apple Inc."}}
    company_tickers_exchange  {"fields": ["cik", "name", "ticker", "exchange"], "data": [[...]]}
    company_tickers_mf        {"fields": ["cik", "seriesId", "classId", "symbol"], "data": [[...]]}

Rows are keyed by their number, largest company first. Tickers are written with a dash: BRK-B,
BAC-PB, GRP-UN. A CIK is a number; here it has its ten digits. Refusals are web pages with a
status of 403: one says that we did not say who we are, the other that we asked too fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
)
from stock_platform.domain.symbols import AssetClass, from_vendor
from stock_platform.sources.base import LISTINGS
from stock_platform.sources.gathered import Gathered
from stock_platform.sources.payload import as_list, as_mapping, excerpt, read_json
from stock_platform.sources.sec.config import NAME, SHUT_OUT_SECONDS, USER_AGENT_VARIABLE

EXCHANGES = {
    "nasdaq": "XNAS",
    "nyse": "XNYS",
    "nyse american": "XASE",
    "nyse arca": "ARCX",
    "cboe": "BATS",
}
TICKERS = ("ticker", "symbol")
CIKS = ("cik_str", "cik")
NAMES = ("title", "name")
CIK_DIGITS = 10


def parse_tickers(status: int, body: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LISTINGS, sorted by symbol, and REJECTED.

    The SEC does not tell shares from ETFs, so ``asset_class`` is null but for a fund's ticker
    (five letters, the last an X). The exchange is there in one of the forms.

    Raises:
        NotEntitled: 403, with what to do about it. RateLimited: asked too fast. NoData: no
            rows. Malformed: another form, or no row that can be read.
    """
    if status != 200 or b"Undeclared Automated Tool" in body or b"Threshold Exceeded" in body:
        raise _refusal(status, body)
    found = Gathered(NAME, "the tickers")
    document = as_mapping(NAME, read_json(NAME, body), "the answer")
    if not document:
        raise Malformed(NAME, "an empty object: no rows")
    count = 0
    for entry in _entries(document):
        count += 1
        try:
            row = _row(entry)
        except (InputError, ValueError) as error:
            found.reject(entry, str(error))
        else:
            found.add(entry, row)
    if not count:
        raise NoData(NAME, "the file has no rows")
    return found.frames(LISTINGS)


def _refusal(status: int, body: bytes) -> SourceError:
    said = excerpt(body)
    page = body.decode("utf-8", errors="replace")
    if "Threshold Exceeded" in page:
        return RateLimited(NAME, f"too many calls: {said}", SHUT_OUT_SECONDS)
    if status in (401, 403) or "Undeclared Automated Tool" in page:
        return NotEntitled(
            NAME,
            f"HTTP {status}: {said}. The SEC wants to know who asks: set {USER_AGENT_VARIABLE} "
            "to 'name e-mail'",
        )
    return Malformed(NAME, f"the tickers were refused, HTTP {status}: {said}")


def _entries(document: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The rows of either form, by field. Raises Malformed."""
    if "fields" not in document:
        for number, raw in document.items():
            yield as_mapping(NAME, raw, f"row {number}")
        return
    names = [str(name) for name in as_list(NAME, document["fields"], "fields")]
    if not set(TICKERS) & set(names) or not set(CIKS) & set(names):
        raise Malformed(NAME, f"no ticker or no CIK among the fields {', '.join(names)}")
    if "data" not in document:
        raise Malformed(NAME, "fields but no data")
    for raw in as_list(NAME, document["data"], "data"):
        values = as_list(NAME, raw, "a row of data")
        yield dict(zip(names, values, strict=False))


def _row(entry: Mapping[str, object]) -> dict[str, object]:
    """Raises InputError or ValueError."""
    ticker = _first(entry, TICKERS)
    if ticker is None:
        raise ValueError("no ticker")
    symbol = from_vendor(ticker.upper(), "polygon")  # dashes are read as people write them
    cik = _first(entry, CIKS)
    if cik is None or not cik.isdecimal() or len(cik) > CIK_DIGITS:
        raise ValueError(f"CIK is {cik!r}")
    exchange = _first(entry, ("exchange",))
    return {
        "symbol": symbol.ticker,
        "vendor_symbol": ticker,
        "name": _first(entry, NAMES),
        "exchange": EXCHANGES.get((exchange or "").lower(), exchange),
        "asset_class": str(AssetClass.FUND) if symbol.asset_class is AssetClass.FUND else None,
        "active": True,
        "cik": cik.zfill(CIK_DIGITS),
    }


def _first(entry: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    """The first of these fields that says something, as text."""
    for name in names:
        value = entry.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return " ".join(str(value).split())
    return None
