"""Reading Alpaca's snapshots: bytes to quotes, or an error.

Belongs here: ``snapshot`` and ``snapshots``. Does not: bars (parse.py), asking (client.py). Pure.

``snapshots`` is an object of snapshots by ticker; one that has none is absent or null
(https://github.com/alpacahq/alpaca-py/issues/157). A snapshot has ``latestTrade`` (``t`` its
stamp, ``p`` US dollars), and the bars ``dailyBar`` and ``prevDailyBar``, of the feed asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from stock_platform.domain.errors import Malformed, NoData
from stock_platform.sources.alpaca.config import NAME
from stock_platform.sources.alpaca.parse import FIELDS, Row, document_of, some_of, stamp_of
from stock_platform.sources.base import QUOTES
from stock_platform.sources.payload import as_mapping, number, rejected_frame, rejected_row


def parse_snapshot(status: int, body: bytes, *, ticker: str, symbol: str) -> pl.DataFrame:
    """QUOTES of one ticker's latest trade, its day so far, and the close before.

    Raises:
        UnknownSymbol. NoData: known, but without a trade. NotEntitled, RateLimited,
            Unavailable, Malformed.
    """
    document = document_of(status, body)
    given = document.get("symbol", ticker)
    if given != ticker:
        raise Malformed(NAME, f"asked for {ticker}, was given {given}")
    return pl.DataFrame([_quote(document, symbol)], schema=QUOTES, orient="row")


def parse_snapshots(
    status: int, body: bytes, *, asked: Mapping[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """QUOTES and REJECTED of several tickers; those without a trade are in neither.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        asked: canonical tickers by Alpaca's spelling.

    Raises:
        UnknownSymbol: ``symbol`` is the ticker that the vendor names. NoData: none has a trade.
        NotEntitled, RateLimited, Unavailable, Malformed.
    """
    document = document_of(status, body)
    strangers = sorted(set(document) - set(asked))
    if strangers and len(strangers) == len(document):
        raise Malformed(NAME, f"asked for {some_of(asked)}, was given {some_of(strangers)}")
    rows: list[Row] = []
    rejected: list[Row] = []
    for ticker, snapshot in document.items():
        if ticker in strangers:
            rejected.append(rejected_row(snapshot, f"{ticker} was not asked for"))
        elif snapshot is not None:
            symbol = asked[ticker]
            try:
                rows.append(_quote(as_mapping(NAME, snapshot, f"{symbol}: the snapshot"), symbol))
            except NoData:
                continue
            except Malformed as error:
                rejected.append(rejected_row(snapshot, error.detail, symbol=symbol))
    if not rows and rejected:
        raise Malformed(NAME, f"none of {len(rejected)} snapshots: {rejected[0]['reasons']}")
    if not rows:
        raise NoData(NAME, f"no quote of {some_of(asked)}")
    return pl.DataFrame(rows, schema=QUOTES, orient="row"), rejected_frame(rejected)


def _quote(snapshot: Mapping[str, object], symbol: str) -> Row:
    """A row of QUOTES. Raises NoData, Malformed."""
    if "latestTrade" not in snapshot:
        raise Malformed(NAME, f"{symbol}: no latestTrade in the snapshot")
    trade, day, before = (
        as_mapping(NAME, snapshot.get(name) or {}, name)
        for name in ("latestTrade", "dailyBar", "prevDailyBar")
    )
    if not trade:
        raise NoData(NAME, f"{symbol}: no trade yet")
    try:
        row: Row = {
            "symbol": symbol,
            "ts": stamp_of(trade.get("t")),
            "price": number(trade.get("p")),
            **{name: number(day.get(FIELDS[name])) for name in ("open", "high", "low", "volume")},
            "previous_close": number(before.get("c")),
            "currency": "USD",
        }
    except ValueError as error:
        raise Malformed(NAME, f"{symbol}: the snapshot cannot be read: {error}") from None
    if row["price"] is None:
        raise Malformed(NAME, f"{symbol}: the latest trade has no price")
    return row
