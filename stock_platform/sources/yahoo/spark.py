"""Reading Yahoo's ``/v7/finance/spark``: the price now of up to twenty symbols.

Belongs here: quotes out of an answer. Does not: bars (parse.py), asking (client.py). Pure.

``{"spark": {"result": [{"symbol": "AAPL", "response": [{"meta": {...}}]}], "error": null}}``;
``meta`` is the chart's: ``regularMarketPrice`` at ``regularMarketTime`` (the exchange's stamp, in
epoch seconds), and with ``range=1d`` the close before it as ``chartPreviousClose``. Symbols that
Yahoo does not know are left out. No crumb is wanted. There is no official reference; as its users
describe it, more than twenty symbols are refused with HTTP 400.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from stock_platform.domain.errors import Malformed, NoData, UnknownSymbol
from stock_platform.sources.base import QUOTES
from stock_platform.sources.money import Money, without_float32_noise
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    excerpt,
    instant,
    number,
    read_json,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.yahoo.config import NAME
from stock_platform.sources.yahoo.envelope import check_text, error_of

MOST_SYMBOLS = 20


def parse_spark(
    status: int, body: bytes, names: Mapping[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """QUOTES of an answer, and REJECTED.

    Args:
        status: the HTTP status.
        body: decoded bytes.
        names: the canonical ticker of each symbol, as Yahoo spells it, that was asked for.

    Raises:
        NoData: it has none of them. SourceError: what the answer stands for instead.
    """
    check_text(status, body)
    document = as_mapping(NAME, read_json(NAME, body), "the answer")
    envelope = document.get("spark") or document.get("finance")
    if envelope is None:
        raise Malformed(NAME, f"no spark in the answer: {excerpt(body)}")
    spark = as_mapping(NAME, envelope, "spark")
    error = spark.get("error")
    if error is not None or status >= 400:
        said = error if isinstance(error, dict) else {"description": str(error or "")}
        code, words = str(said.get("code") or ""), str(said.get("description") or "")
        failure = error_of(status, code, words, ", ".join(names.values()))
        if isinstance(failure, UnknownSymbol) and len(names) > 1:
            raise NoData(NAME, f"no quote of {', '.join(names.values())}")
        raise failure
    found: dict[str, dict[str, object]] = {}
    rejected = []
    for one in as_list(NAME, spark.get("result") or [], "spark.result"):
        entry = as_mapping(NAME, one, "spark.result[]")
        symbol = names.get(str(entry.get("symbol")).upper())
        if symbol is None:
            continue
        try:
            row = _row(entry, symbol)
        except (ValueError, Malformed) as problem:
            rejected.append(rejected_row(entry, str(problem), symbol=symbol))
            continue
        if row is not None:
            found[symbol] = row
    if not found and not rejected:
        raise NoData(NAME, f"no quote of {', '.join(names.values())}")
    frame = pl.DataFrame([found[s] for s in sorted(found)], schema=QUOTES)
    return frame, rejected_frame(rejected)


def _row(entry: Mapping[str, object], symbol: str) -> dict[str, object] | None:
    """One quote; None where there is no price, as of what trades no more."""
    answers = as_list(NAME, entry.get("response") or [], "response")
    if not answers:
        return None
    meta = as_mapping(NAME, as_mapping(NAME, answers[0], "response[0]").get("meta"), "meta")
    stamp = meta.get("regularMarketTime")
    money = Money.of(meta.get("currency"))
    prices = {
        name: _price(meta.get(key), money)
        for name, key in (
            ("price", "regularMarketPrice"),
            ("high", "regularMarketDayHigh"),
            ("low", "regularMarketDayLow"),
            ("previous_close", "chartPreviousClose"),
        )
    }
    if prices["price"] is None or stamp is None:
        return None
    return {
        **dict.fromkeys(QUOTES),
        "symbol": symbol,
        "ts": instant(stamp),
        **prices,
        "volume": number(meta.get("regularMarketVolume")),
        "currency": money.currency,
    }


def _price(value: object, money: Money) -> float | None:
    found = number(value)
    return None if found is None else money.price(without_float32_noise(found))
