"""``stock-platform fetch``: ask one source, show what it says, store nothing.

Belongs here: one source's answer on a screen. Does not: choosing sources (domain/planning),
reading answers (sources/).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.apps.cli.prices import Format, Output
from stock_platform.apps.cli.selection import End, Json
from stock_platform.domain.errors import InputError, SourceError

if TYPE_CHECKING:
    import polars as pl

    from stock_platform.domain.bars import Interval
    from stock_platform.domain.batches import CallRecord
    from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed, Tile
    from stock_platform.domain.symbols import Symbol
    from stock_platform.sources.base import Answer, Source


_HIDDEN = {"options": ("contract", "in_the_money", "last_trade_at", "currency")}
"""Columns that a table has no room for; every other format has them."""


def fetch(
    source: Annotated[str, typer.Argument(help="A source of `stock-platform sources`.")],
    tickers: Annotated[
        list[str] | None,
        typer.Argument(help="Tickers in any common spelling, or ids of series.", metavar="TICKER"),
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(
            help="bars, quote, profile, listing, splits, dividends, series, series_info or "
            "options; default: bars, or what the source is for."
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="First day, such as 2024-01-31; default: a month ago.")
    ] = None,
    end: End = None,
    interval: Annotated[str, typer.Option(help="1m, 5m, 15m, 1h or 1d.")] = "1d",
    expiry: Annotated[
        str | None, typer.Option(help="Of an option chain; default: the nearest.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option(help="Default: the output's suffix, else a table.")
    ] = None,
    output: Output = None,
    *,
    json: Json = False,
) -> int:
    """Ask one source for tickers' bars, or for what else it tells; nothing is stored.

    The calls count against the source's quota. Prices are in the basis the source gives.
    """
    from stock_platform.apps.cli.prices import choose_format, hidden, write
    from stock_platform.apps.cli.selection import read_date
    from stock_platform.domain.bars import Interval
    from stock_platform.pipeline.probe import log_call
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.pipeline.wiring import build_source, lacks
    from stock_platform.sources.registry import spec_of

    capabilities = spec_of(source).capabilities
    feed = choose_feed(capabilities, what)
    bar = Interval.parse(interval)
    chosen = Format.JSON if json else choose_format(format, output)
    with Platform.from_settings() as platform:
        settings = platform.settings
        missing = lacks(source, settings)
        if missing is not None:
            raise InputError(missing, "", f"set it to use the source {source}")
        today = platform.clock.now().date()
        asked = build_source(source, settings, platform.quota, platform.clock)
        try:
            if feed is None:
                last = read_date("end", end) if end else today
                first = read_date("start", start) if start else last - timedelta(days=30)
                if first > last:
                    raise InputError("start", start, f"use a date up to the end, {last}")
                found = ask_bars(asked, source, tickers or [], bar, first, last)
            else:
                found = ask_facts(
                    asked,
                    feed,
                    tickers or [],
                    start=read_date("start", start) if start else None,
                    end=read_date("end", end) if end else None,
                    expiry=read_date("expiry", expiry) if expiry else None,
                )
        finally:
            asked.close()
        for record in found.calls:
            log_call(platform.db, record)
    unit = "bar" if feed is None else "row"
    hide = ("interval", "source", "basis", *hidden(bar)) if feed is None else _HIDDEN.get(feed, ())
    return found.show(lambda frame: write(frame, chosen, output, unit=unit, hide=hide))


@dataclass
class Found:
    """Frames of what was answered, remarks for people, what failed, and the calls made."""

    frames: list[pl.DataFrame] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    errors: list[SourceError] = field(default_factory=list)

    def show(self, write: Callable[[pl.DataFrame], None]) -> int:
        """Print everything; the exit code. A single failure is raised as it is."""
        import polars as pl

        from stock_platform.apps.cli import DONE, FAILED, PARTLY, one_line, output

        if not self.frames and len(self.errors) == 1:
            raise self.errors[0]
        if self.frames:
            write(pl.concat(self.frames))
        for line in self.remarks:
            output.note(line)
        for error in self.errors:
            sys.stderr.write(f"error: {one_line(str(error))}\n")
        return DONE if not self.errors else PARTLY if self.frames else FAILED


def choose_feed(capabilities: Capabilities, what: str | None) -> Feed | None:
    """The feed of that name, None for bars. Raises InputError naming what the source has."""
    from stock_platform.domain.capabilities import TileShape
    from stock_platform.domain.errors import one_of

    has_bars = any(e.shape is not TileShape.COLUMN for e in capabilities.endpoints)
    there: list[str] = ["bars"] * has_bars + [str(feed) for feed in capabilities.feeds]
    wanted = (what or there[0]).lower().replace("-", "_")
    if wanted not in there:
        raise InputError("what", what, f"{capabilities.source} has no such thing; {one_of(there)}")
    return next((feed for feed in capabilities.feeds if feed == wanted), None)


def ask_bars(
    asked: Source, source: str, tickers: list[str], interval: Interval, first: date, last: date
) -> Found:
    """The bars of every ticker; what fails for one does not stop the others."""
    from stock_platform.domain.calendar import get_calendar
    from stock_platform.domain.symbols import default_calendar, parse_symbol
    from stock_platform.pipeline.probe import call_record, refusal_record

    if not tickers:
        raise InputError("ticker", "", "name at least one")
    symbols = list(dict.fromkeys(parse_symbol(text) for text in tickers))
    calls: list[tuple[Endpoint, list[Tile]]] = []
    for symbol in symbols:
        endpoint = choose_endpoint(asked.capabilities, symbol, interval)
        days = get_calendar(default_calendar(symbol)).sessions(first, last)
        if not len(days):
            raise InputError(
                "start..end", f"{first}..{last}", f"use a range with a session of {symbol}"
            )
        calls.append(
            (endpoint, list(tiles(asked.capabilities, endpoint, symbol, interval, days.tolist())))
        )
    found = Found()
    for endpoint, parts in joined(calls):
        answers: list[Answer] = []
        made: list[Tile] = []
        waiting = deque(parts)
        began = datetime.now(UTC)
        while waiting:
            tile = waiting.popleft()
            try:
                answers.append(asked.fetch(tile))
                made.append(tile)
            except SourceError as error:
                found.errors.append(error)
                found.calls.append(refusal_record(endpoint.name, tile.describe(), error, began))
                rest = without_unknown(tile, error)
                if rest is None:
                    answers.clear()  # half a range is not an answer
                    break
                waiting.appendleft(rest)
        if not answers:
            continue
        found.calls += [
            call_record(source, endpoint.name, tile.describe(), answer, began)
            for tile, answer in zip(made, answers, strict=True)
        ]
        found.frames.append(bars(answers, endpoint, source, interval, first, last))
        found.remarks += remarks(answers, endpoint)
    return found


def without_unknown(tile: Tile, error: SourceError) -> Tile | None:
    """A block without the symbol that the source does not know; None if nothing is left."""
    members = tuple(m for m in tile.members if m[1] != getattr(error, "symbol", None))
    return replace(tile, members=members) if 0 < len(members) < len(tile.members) else None


def joined(calls: list[tuple[Endpoint, list[Tile]]]) -> Iterator[tuple[Endpoint, list[Tile]]]:
    """The calls, with those of a block endpoint that ask for the same days made one."""
    from stock_platform.domain.capabilities import TileShape

    blocks: dict[tuple[str, date, date], tuple[Endpoint, list[Tile]]] = {}
    for endpoint, parts in calls:
        if endpoint.shape is not TileShape.BLOCK:
            yield endpoint, parts
            continue
        for tile in parts:
            key = (endpoint.name, tile.start, tile.end)
            blocks.setdefault(key, (endpoint, []))[1].append(tile)
    for endpoint, parts in blocks.values():
        for at in range(0, len(parts), endpoint.max_symbols):
            some = parts[at : at + endpoint.max_symbols]
            members = tuple((n, tile.symbol or "") for n, tile in enumerate(some, start=1))
            yield endpoint, [replace(some[0], asset_id=None, symbol=None, members=members)]


def ask_facts(
    asked: Source,
    feed: Feed,
    tickers: list[str],
    *,
    start: date | None,
    end: date | None,
    expiry: date | None,
) -> Found:
    """What a feed says of every ticker, or as a whole."""
    from stock_platform.domain.capabilities import Feed
    from stock_platform.domain.symbols import parse_symbol
    from stock_platform.pipeline.probe import call_record, refusal_record
    from stock_platform.sources.base import Question

    names: list[str | None] = [
        text.strip().upper()
        if feed in (Feed.SERIES, Feed.SERIES_INFO)
        else parse_symbol(text).ticker
        for text in tickers
    ]
    found = Found()
    for name in names or [None]:
        began, question = datetime.now(UTC), Question(feed, name, start, end, expiry)
        try:
            facts = asked.ask(question)
        except SourceError as error:
            found.errors.append(error)
            found.calls.append(refusal_record(str(feed), question.describe(), error, began))
            continue
        source = asked.capabilities.source
        found.calls.append(call_record(source, str(feed), question.describe(), facts, began))
        found.frames.append(facts.frame)
        found.remarks += rejections(facts.rejected)
    return found


def choose_endpoint(capabilities: Capabilities, symbol: Symbol, interval: Interval) -> Endpoint:
    """The endpoint that serves one symbol's bars. Raises InputError naming what there is."""
    from stock_platform.domain.capabilities import TileShape

    rows = [e for e in capabilities.endpoints if e.shape is not TileShape.COLUMN]
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
        .unique(["symbol", "ts"], keep="first", maintain_order=True)
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
        yield from rejections(answer.rejected)


def rejections(rejected: pl.DataFrame) -> Iterator[str]:
    """The first rows that could not be read, and how many more there are."""
    for row in rejected.head(5).iter_rows(named=True):
        yield f"unreadable row of {row['session']}: {', '.join(row['reasons'] or [])}"
    if rejected.height > 5:
        yield f"and {rejected.height - 5} more unreadable rows"
