"""``stock-platform plan``: what a backfill would cost, without doing any of it.

Belongs here: showing a plan. Does not: making it (domain/planning). Nothing is fetched and
nothing is written: tickers nobody has stored yet get ids for the length of the command.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import (
    End,
    Json,
    RetryFailed,
    Scope,
    ScopeOption,
    Selection,
    Shards,
    Start,
    Tickers,
    TickersFile,
)
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from stock_platform.domain.planning import Plan, PlanAsset
    from stock_platform.domain.planning.simulate import Way
    from stock_platform.pipeline.runtime import Platform

ASSUMED_SYMBOLS = 8_000
"""Size of a market that is not in the catalog yet."""


@dataclass(frozen=True)
class Forecast:
    """A plan, and what it is about.

    Attributes:
        expected: cells of the selection.
        plan: for those that need a call.
        assets: in the selection.
        assumed: whether the market's size is a guess.
        ways: other ways to get the same cells, where they were asked for.
    """

    expected: int
    plan: Plan
    assets: int
    assumed: bool = False
    ways: tuple[Way, ...] = ()


def plan(
    tickers: Tickers = None,
    *,
    start: Start,
    end: End = None,
    scope: ScopeOption = Scope.WATCHLIST,
    shards: Shards = None,
    tickers_file: TickersFile = None,
    retry_failed: RetryFailed = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Beside the ways of others: a call per ticker and day, a call per ticker, each "
            "source alone.",
        ),
    ] = False,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="When each source would make which calls.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the calls a backfill would make, by source, and when it would end."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import select
    from stock_platform.pipeline.runtime import Platform

    with Platform.from_settings() as platform:
        wanted = select(
            platform.settings, scope=scope, tickers=tickers, tickers_file=tickers_file,
            shards=shards, start=start, end=end,
        )  # fmt: skip
        made = forecast(platform, wanted, retry_failed=retry_failed, compared=compare)
        schedule = steps(platform, made.plan) if timeline else []
        blind = made.assumed and not lists_the_market(platform)
    facts = describe(made, wanted)
    if json:
        more: dict[str, Any] = {"tiles": made.plan.to_dict()["tiles"]}
        if compare:
            more["compared"] = [asdict(way) for way in made.ways]
        if timeline:
            more["timeline"] = schedule
        output.show_json(facts | more)
    else:
        _show(made, facts)
        if made.ways:
            _show_ways(made.ways)
        if timeline:
            _show_timeline(schedule)
    if blind:
        output.note(
            "a backfill needs a source that knows who is in the market: set POLYGON_API_KEY (free)"
        )


def lists_the_market(platform: Platform) -> bool:
    """Whether a source that is on answers for the whole market at once."""
    from stock_platform.domain.capabilities import TileShape

    return any(
        endpoint.shape is TileShape.COLUMN
        for source in platform.capabilities.values()
        for endpoint in source.endpoints
    )


def forecast(
    platform: Platform, wanted: Selection, *, retry_failed: bool = False, compared: bool = False
) -> Forecast:
    """Plan what is missing of a selection. Raises InputError where nobody is selected."""
    from stock_platform.domain.planning.simulate import compare

    assets, strangers = who(platform, wanted)
    grid = platform.cells(assets, wanted.sessions)
    needed = platform.missing(grid, retry_failed=retry_failed).trimmed()
    if strangers and len(strangers) == assets.height:
        known: dict[int, PlanAsset] = {}
    else:
        known = platform.market.plan_assets(needed.assets[needed.assets >= 0])
    made = platform.plan_of(needed, known | strangers)
    ways: tuple[Way, ...] = ()
    if compared:
        terms = platform.terms()
        ways = compare(
            made, known | strangers, terms["sources"], terms["quotas"],
            today=platform.clock.now().date(), latency=terms["latency"],
        )  # fmt: skip
    assumed = wanted.scope is Scope.MARKET and bool(strangers)
    return Forecast(len(grid), made, assets.height, assumed, ways)


def who(platform: Platform, wanted: Selection) -> tuple[pl.DataFrame, dict[int, PlanAsset]]:
    """The selected assets (asset_id, calendar), and those among them that are not stored yet."""
    import polars as pl

    from stock_platform.domain.symbols import parse_symbol
    from stock_platform.storage import assets as catalog

    if wanted.scope is Scope.MARKET:
        found = catalog.universe(
            platform.db, "market", calendar=platform.settings.calendar, shards=list(wanted.shards)
        )
        if found.is_empty() and not catalog.universe(platform.db, "market").height:
            count = ASSUMED_SYMBOLS * len(wanted.shards) // 32
            symbols = [parse_symbol(_letters(n)) for n in range(count)]
            return _temporary(symbols, platform.settings.calendar)
        return found.select("asset_id", "calendar"), {}
    if not wanted.tickers:
        found = platform.watchlist_assets()
        if found.is_empty():
            raise InputError("tickers", "", "name at least one: no ticker is tracked yet")
        return found.select("asset_id", "calendar"), {}
    known = catalog.resolve(platform.db, wanted.tickers)
    stored = catalog.by_id(platform.db, list(known.values())).select("asset_id", "calendar")
    fresh, strangers = _temporary([parse_symbol(t) for t in wanted.tickers if t not in known])
    return pl.concat([stored, fresh]), strangers


def _temporary(
    symbols: list[Any], calendar: str | None = None
) -> tuple[pl.DataFrame, dict[int, PlanAsset]]:
    import polars as pl

    from stock_platform.domain.planning import PlanAsset
    from stock_platform.domain.symbols import default_calendar

    made = {
        -1 - n: PlanAsset(-1 - n, s.ticker, s.asset_class, calendar=calendar or default_calendar(s))
        for n, s in enumerate(symbols)
    }
    frame = pl.DataFrame(
        {"asset_id": list(made), "calendar": [a.calendar for a in made.values()]},
        schema={"asset_id": pl.Int32(), "calendar": pl.String()},
    )
    return frame, made


def _letters(number: int) -> str:
    """A made-up ticker: AAAA, AAAB, ..."""
    letters = ""
    for _ in range(4):
        number, rest = divmod(number, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def describe(made: Forecast, wanted: Selection) -> dict[str, Any]:
    """The forecast as data."""
    found = made.plan
    tickers_days = len(found.needed) - found.uncovered_cells
    facts = found.to_dict(tiles=0)
    facts.pop("tiles")
    return {
        "scope": str(wanted.scope),
        "start": wanted.start,
        "end": wanted.end,
        "sessions": len(wanted.sessions),
        "assets": made.assets,
        "assets_assumed": made.assumed,
        "expected": made.expected,
        "already": made.expected - len(found.needed),
        **facts,
        "calls_ratio": round(found.calls_ratio, 4),
        "finish_ratio": round(found.finish_ratio, 4),
        "one_call_per_ticker": int(found.needed.mask.any(axis=1).sum()),
        "one_call_per_ticker_and_day": tickers_days,
    }


def _show(made: Forecast, facts: dict[str, Any]) -> None:
    from stock_platform.apps.cli import output

    found = made.plan
    assets = f"about {made.assets:,} (the catalog is empty)" if made.assumed else made.assets
    output.show_pairs(
        {
            "scope": facts["scope"],
            "sessions": f"{facts['sessions']:,} ({facts['start']}..{facts['end']})",
            "assets": assets,
            "cells": f"{facts['expected']:,}, {facts['already']:,} of them settled already",
            "calls": f"{found.calls:,} (at least {found.lower_bound_calls_in_time:,} to be done "
            f"by then, ratio {found.calls_ratio:.2f}; {found.lower_bound_calls:,} with all the "
            "time in the world)",
            "expected finish": f"in {output.duration(found.finish_seconds)} (at least "
            f"{output.duration(found.lower_bound_seconds)}, ratio {found.finish_ratio:.2f})",
            "one call per ticker": f"{facts['one_call_per_ticker']:,} calls",
            "per ticker and day": f"{facts['one_call_per_ticker_and_day']:,} calls",
        }
    )
    groups: dict[tuple[str, str], int] = {}
    for tile in found.tiles:
        groups[tile.source, tile.endpoint] = groups.get((tile.source, tile.endpoint), 0) + 1
    if groups:
        output.show_table(
            ["source", "endpoint", "calls", "done in"],
            [
                [s, e, n, output.duration(found.finish_by_source.get(s, 0.0))]
                for (s, e), n in sorted(groups.items())
            ],
        )
    if found.uncovered:
        output.show_table(
            ["cells without a source", "assets", "why"],
            [[len(u.cells), len(u.cells.assets), u.reason] for u in found.uncovered],
        )


TIMELINE_STEPS = 12
"""Rows of a timeline."""

BAR_WIDTH = 20


def steps(platform: Platform, made: Plan) -> list[dict[str, Any]]:
    """The plan's calls by source over time: equal spans, each with what is asked in it.

    Of each: source, start and end (seconds from now), calls, first and last call in words.
    """
    from stock_platform.domain.planning.simulate import simulate

    terms = platform.terms()
    events = simulate(made, terms["sources"], terms["quotas"], latency=terms["latency"])
    if not events:
        return []
    width = max(max(event.end for event in events) / TIMELINE_STEPS, 1e-9)
    found: dict[tuple[int, str], list[Any]] = {}
    for event in events:
        step = min(int(event.start / width), TIMELINE_STEPS - 1)
        found.setdefault((step, event.tile.source), []).append(event)
    return [
        {
            "source": source,
            "start": round(step * width, 1),
            "end": round((step + 1) * width, 1),
            "calls": len(inside),
            "first": inside[0].tile.describe(),
            "last": inside[-1].tile.describe(),
        }
        for (step, source), inside in sorted(found.items(), key=lambda item: item[0])
    ]


def _show_timeline(schedule: list[dict[str, Any]]) -> None:
    from stock_platform.apps.cli import output

    most = max((step["calls"] for step in schedule), default=1)
    output.show_table(
        ["from", "to", "source", "calls", "", "first call"],
        [
            [
                output.duration(step["start"]),
                output.duration(step["end"]),
                step["source"],
                step["calls"],
                "#" * max(1, round(step["calls"] / most * BAR_WIDTH)),
                step["first"],
            ]
            for step in schedule
        ],
    )


def _show_ways(ways: tuple[Way, ...]) -> None:
    from stock_platform.apps.cli import output

    able = [way for way in ways if way.calls or way.finish_seconds is not None]
    output.show_table(
        ["way", "calls", "done in", "cells it cannot get"],
        [
            [
                way.name,
                way.calls,
                "never" if way.finish_seconds is None else output.duration(way.finish_seconds),
                way.uncovered_cells,
            ]
            for way in able
        ],
    )
    if len(able) < len(ways):
        names = ", ".join(way.name.removesuffix(" alone") for way in ways if way not in able)
        output.note(f"none of it alone: {names}")
