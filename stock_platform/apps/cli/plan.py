"""``stock-platform plan``: what a backfill would cost, without doing any of it.

Belongs here: showing a plan. Does not: making it (domain/planning). Nothing is fetched and
nothing is written: tickers nobody has stored yet get ids for the length of the command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        finishes: the plan's expected end in seconds, by source.
    """

    expected: int
    plan: Plan
    assets: int
    assumed: bool = False


def plan(
    tickers: Tickers = None,
    *,
    start: Start,
    end: End = None,
    scope: ScopeOption = Scope.WATCHLIST,
    shards: Shards = None,
    tickers_file: TickersFile = None,
    retry_failed: RetryFailed = False,
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
        made = forecast(platform, wanted, retry_failed=retry_failed)
        blind = made.assumed and not lists_the_market(platform)
    facts = describe(made, wanted)
    if json:
        output.show_json(facts | {"tiles": made.plan.to_dict()["tiles"]})
    else:
        _show(made, facts)
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


def forecast(platform: Platform, wanted: Selection, *, retry_failed: bool = False) -> Forecast:
    """Plan what is missing of a selection. Raises InputError where nobody is selected."""
    from stock_platform.domain.planning import plan as make

    assets, strangers = who(platform, wanted)
    grid = platform.cells(assets, wanted.sessions)
    needed = platform.missing(grid, retry_failed=retry_failed).trimmed()
    if strangers and len(strangers) == assets.height:
        known: dict[int, PlanAsset] = {}
    else:
        known = platform.market.plan_assets(needed.assets[needed.assets >= 0])
    sources = platform.capabilities
    made = make(
        needed,
        known | strangers,
        list(sources.values()),
        {name: platform.quota.state(name, c.limits) for name, c in sources.items()},
        today=platform.clock.now().date(),
    )
    assumed = wanted.scope is Scope.MARKET and bool(strangers)
    return Forecast(len(grid), made, assets.height, assumed)


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
