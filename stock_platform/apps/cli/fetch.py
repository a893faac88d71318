"""``stock-platform fetch``: ask one source, show what it says, store nothing.

Belongs here: one source's answer on a screen. Does not: choosing sources (domain/planning),
reading answers (sources/).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.apps.cli.prices import Format
from stock_platform.apps.cli.selection import End, Json, Start
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from stock_platform.domain.bars import Interval
    from stock_platform.domain.capabilities import Capabilities, Endpoint, Tile
    from stock_platform.domain.symbols import Symbol
    from stock_platform.sources.base import Answer


def fetch(
    source: Annotated[str, typer.Argument(help="yahoo, polygon or files.")],
    ticker: Annotated[str, typer.Argument(help="A ticker in any common spelling.")],
    start: Start,
    end: End = None,
    interval: Annotated[str, typer.Option(help="1m, 5m, 15m, 1h or 1d.")] = "1d",
    format: Annotated[Format, typer.Option(help="How to print the bars.")] = Format.TABLE,  # noqa: A002 - the option's name
    *,
    json: Json = False,
) -> None:
    """Ask one source for a ticker's bars and print them; nothing is stored.

    The call counts against the source's quota. Prices are in the basis the source gives.
    """
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.prices import write
    from stock_platform.apps.cli.selection import read_date
    from stock_platform.domain.bars import Interval
    from stock_platform.domain.calendar import get_calendar
    from stock_platform.domain.symbols import default_calendar, parse_symbol
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.pipeline.wiring import build_source, lacks
    from stock_platform.sources.registry import spec_of

    spec_of(source)
    symbol, bar = parse_symbol(ticker), Interval.parse(interval)
    with Platform.from_settings() as platform:
        settings = platform.settings
        now = platform.clock.now()
        first = read_date("start", start)
        last = read_date("end", end) if end else now.date()
        if first > last:
            raise InputError("start", start, f"use a date up to the end, {last}")
        days = get_calendar(default_calendar(symbol)).sessions(first, last)
        if not len(days):
            raise InputError(
                "start..end", f"{first}..{last}", f"use a range with a session of {symbol}"
            )
        missing = lacks(source, settings)
        if missing is not None:
            raise InputError(missing, "", f"set it to use the source {source}")
        asked = build_source(source, settings, platform.quota, platform.clock)
        try:
            endpoint = choose_endpoint(asked.capabilities, symbol, bar)
            answers = [
                asked.fetch(tile)
                for tile in tiles(
                    asked.capabilities, endpoint, symbol, bar, list(days.astype(object))
                )
            ]
        finally:
            asked.close()
    frame = bars(answers, endpoint, source, bar, first, last)
    write(frame, Format.JSON if json else format, None)
    for line in remarks(answers, endpoint):
        output.note(line)


def choose_endpoint(capabilities: Capabilities, symbol: Symbol, interval: Interval) -> Endpoint:
    """The endpoint that serves one symbol's bars. Raises InputError naming what there is."""
    from stock_platform.domain.capabilities import TileShape

    rows = [e for e in capabilities.endpoints if e.shape is TileShape.ROW]
    served = [e for e in rows if interval in e.intervals]
    if not served:
        there = dict.fromkeys(str(i) for e in rows for i in e.intervals)
        raise InputError("interval", str(interval), f"{capabilities.source} has {', '.join(there)}")
    for endpoint in served:
        if symbol.asset_class in endpoint.asset_classes:
            return endpoint
    kinds = dict.fromkeys(str(c) for e in served for c in e.asset_classes)
    raise InputError("ticker", symbol.ticker, f"{capabilities.source} has {', '.join(kinds)}")


def tiles(
    capabilities: Capabilities,
    endpoint: Endpoint,
    symbol: Symbol,
    interval: Interval,
    days: list[date],
) -> Iterator[Tile]:
    """The calls for a range, no longer than one call may span."""
    from stock_platform.domain.capabilities import Tile

    step = endpoint.max_sessions or len(days)
    for at in range(0, len(days), step):
        part = days[at : at + step]
        yield Tile(
            capabilities.source, endpoint.name, interval, part[0], part[-1], 0, symbol.ticker
        )


def bars(
    answers: list[Answer],
    endpoint: Endpoint,
    source: str,
    interval: Interval,
    first: date,
    last: date,
) -> pl.DataFrame:
    """The bars of the days asked for.

    Columns ticker, interval, ts (UTC, bar start), session, open, high, low, close, volume,
    vwap, trades, source, basis.
    """
    import polars as pl

    parts = [
        a.bars.with_columns(pl.lit(str(a.basis or endpoint.basis)).alias("basis")) for a in answers
    ]
    return (
        pl.concat(parts)
        .filter(pl.col("session").is_between(first, last))
        .unique("ts", keep="first", maintain_order=True)
        .rename({"symbol": "ticker"})
        .with_columns(pl.lit(str(interval)).alias("interval"), pl.lit(source).alias("source"))
        .select(
            "ticker", "interval", "ts", "session", "open", "high", "low", "close", "volume",
            "vwap", "trades", "source", "basis",
        )
    )  # fmt: skip


def remarks(answers: list[Answer], endpoint: Endpoint) -> Iterator[str]:
    """What else the answers tell."""
    from stock_platform.apps.cli.output import plural

    requests = sum(a.requests for a in answers)
    cached = " (from the cache)" if all(a.cached for a in answers) else ""
    basis = answers[0].basis or endpoint.basis
    currency = answers[0].currency
    money = f", {currency}" if currency else ""
    yield f"prices {str(basis).replace('_', '-')}{money}; {plural(requests, 'request')}{cached}"
    for answer in answers:
        for day, ratio in answer.splits.select("ex_date", "ratio").iter_rows():
            yield f"split {ratio:g} for 1 on {day}"
        for day, amount in answer.dividends.select("ex_date", "amount").iter_rows():
            yield f"dividend {amount:g} on {day}"
        for row in answer.rejected.head(5).iter_rows(named=True):
            yield f"unreadable row of {row['session']}: {', '.join(row['reasons'] or [])}"
        if answer.rejected.height > 5:
            yield f"and {answer.rejected.height - 5} more unreadable rows"
