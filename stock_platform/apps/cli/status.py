"""``stock-platform status``: what is stored, what is missing and why.

Belongs here: gathering and showing. Does not: coverage itself (pipeline/coverage.py).
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    import polars as pl

    from stock_platform.domain.cells import CellGrid
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.settings import Settings

_STATES = ("stored", "no_data", "not_listed", "waiting", "failed", "missing")
_MOST_QUARANTINED = 100_000


def status(
    ticker: Annotated[
        str | None, typer.Argument(help="One ticker; default: an overview of everything.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="First day counted; default: STOCK_PLATFORM_START_DATE.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Last day counted; default: the last completed session.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Show coverage by scope or ticker, with reasons, the last run, quarantine and quotas."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import completed_sessions, read_span, read_tickers
    from stock_platform.pipeline.runtime import Platform

    names = read_tickers([ticker] if ticker else [])
    with Platform.reading() as platform:
        first, last = read_span(start, end)
        sessions = completed_sessions(
            platform.settings, first or first_day(platform.settings, last), last
        )
        facts = one(platform, names[0], sessions) if names else overview(platform, sessions)
    if json:
        output.show_json(facts)
    elif names:
        _show_one(facts)
    else:
        _show_overview(facts)


def first_day(settings: Settings, end: date | None) -> date:
    """The settings' first day, or the last one counted where the market's clock is before that."""
    from stock_platform.domain.calendar import get_calendar

    exchange = get_calendar(settings.calendar)
    last = exchange.last_completed(settings.clock.now())
    return min(settings.start_date, end or last, last)


def overview(platform: Platform, sessions: Any) -> dict[str, Any]:
    """Both scopes, the last run, the quarantine and the quotas."""
    from stock_platform.apps.cli.sources import describe
    from stock_platform.storage import assets as catalog

    watched = platform.watchlist_assets()
    market = catalog.universe(platform.db, "market", calendar=platform.settings.calendar)
    return {
        "start": sessions[0].astype(object),
        "end": sessions[-1].astype(object),
        "sessions": len(sessions),
        "watchlist": scope(platform, watched, sessions, each=True),
        "market": scope(platform, market, sessions, each=False),
        "last_run": last_run(platform),
        "quarantine": quarantine(platform),
        "sources": [
            {k: entry[k] for k in ("source", "on", "state", "quota")}
            for entry in describe(platform)
        ],
    }


def scope(platform: Platform, assets: pl.DataFrame, sessions: Any, *, each: bool) -> dict[str, Any]:
    """The coverage of some assets; ``each`` adds one entry an asset."""
    grid = platform.cells(assets, sessions)
    report = platform.coverage(grid)
    found = {"assets": assets.height, **report.to_dict()}
    if each:
        names = dict(assets.select("asset_id", "ticker").iter_rows())
        found["tickers"] = sorted(
            (
                {"ticker": names[row["asset_id"]]} | {s: row[s] for s in _STATES}
                for row in report.by_asset().iter_rows(named=True)
            ),
            key=lambda row: str(row["ticker"]),
        )
    return found


def one(platform: Platform, ticker: str, sessions: Any) -> dict[str, Any]:
    """Everything about one ticker. Raises InputError for one that is not in the database."""
    import polars as pl

    from stock_platform.storage import readers

    assets = platform.assets_for([ticker], register=False)
    asset_id = int(assets["asset_id"][0])
    grid = platform.cells(assets, sessions)
    report = platform.coverage(grid)
    bars = readers.prices(platform.db, [asset_id])
    years = report.by_session().group_by(pl.col("session").dt.year().alias("year"))
    return {
        **{k: assets[k][0] for k in ("ticker", "asset_id", "asset_class", "calendar")},
        "shard": assets["shard"][0],
        "listed_on": assets["listed_on"][0],
        "delisted_on": assets["delisted_on"][0],
        **report.to_dict(),
        "years": years.agg(pl.col(_STATES).sum()).sort("year").to_dicts(),
        "prices": {
            "bars": bars.height,
            "first": bars["session"].min(),
            "last": bars["session"].max(),
            "last_close": bars["close"][-1] if bars.height else None,
            "sources": dict(bars["source"].value_counts().iter_rows()),
            "flagged": bars.filter(pl.col("flags").list.len() > 0).height,
        },
        "splits": readers.splits(platform.db, [asset_id]).select("ex_date", "ratio").to_dicts(),
        "dividends": readers.dividends(platform.db, [asset_id]).height,
        "quarantine": quarantine(platform, [asset_id]),
        "gaps": reasoned_gaps(platform, assets, gaps(grid, report.codes), sessions),
    }


def reasoned_gaps(
    platform: Platform, asset: pl.DataFrame, open_runs: list[dict[str, Any]], sessions: Any
) -> list[dict[str, Any]]:
    """Sessions without a price, with why: those that need a call, and those that none would help.

    Args:
        platform: for what is known of the asset.
        asset: ASSETS, of one.
        open_runs: what ``gaps`` found.
        sessions: gaps before the first and after the last of these are left out.
    """
    from stock_platform.domain.gaps import reason_of
    from stock_platform.pipeline.board import Board
    from stock_platform.pipeline.gaps import find_gaps
    from stock_platform.pipeline.quality import gap_dicts

    needs = {"missing", "waiting", "failed"}
    found = gap_dicts(find_gaps(platform, Board.of(platform, asset)))
    both = [run | {"reason": reason_of(run["state"]), "sources": []} for run in open_runs]
    first, last = sessions[[0, -1]].astype(object)
    both += [
        gap for gap in found
        if gap["state"] not in needs and gap["start"] <= last and gap["end"] >= first
    ]  # fmt: skip
    return sorted(both, key=lambda gap: gap["start"])


def gaps(grid: CellGrid, codes: Any) -> list[dict[str, Any]]:
    """Runs of sessions that need a call, of a grid of one asset."""
    from stock_platform.pipeline.coverage import NAMES

    found: list[dict[str, Any]] = []
    for day, code in zip(grid.sessions.astype(object), codes[0] if len(codes) else (), strict=True):
        state = NAMES[code] if code < len(NAMES) else ""
        if state not in ("missing", "waiting", "failed"):
            found.append({"state": ""})
        elif found and found[-1]["state"] == state:
            found[-1] |= {"end": day, "sessions": found[-1]["sessions"] + 1}
        else:
            found.append({"state": state, "start": day, "end": day, "sessions": 1})
    return [gap for gap in found if gap["state"]]


def last_run(platform: Platform) -> dict[str, Any] | None:
    """The run that made the last call; None where no call was made yet."""
    from stock_platform.storage import readers

    log = readers.fetch_log(platform.db, limit=1)
    if log.is_empty():
        return None
    run_id = log["run_id"][0]
    if run_id is None:
        return {"run_id": None, "finished_at": log["finished_at"][0], "calls": []}
    calls = readers.fetch_summary(platform.db, run_id=run_id)
    return {
        "run_id": run_id,
        "started_at": calls["first"].min(),
        "finished_at": calls["last"].max(),
        "calls": calls.select("source", "status", "calls", "requests", "rows").to_dicts(),
    }


def quarantine(platform: Platform, asset_ids: list[int] | None = None) -> dict[str, Any]:
    """Rows put aside, in all and by reason."""
    from stock_platform.apps.cli.backfill import reasons_of
    from stock_platform.storage import readers

    rows = readers.quarantined(platform.db, asset_ids, limit=_MOST_QUARANTINED)
    return {"rows": rows.height, "reasons": reasons_of(rows)}


def _show_overview(facts: dict[str, Any]) -> None:
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.sources import quota_text

    watch, market = facts["watchlist"], facts["market"]
    output.show_table(
        ["scope", "assets", "settled", *_STATES],
        [
            [name, found["assets"], f"{found['share']:.1%}" if found["expected"] else ""]
            + [found["states"].get(s, 0) for s in _STATES]
            for name, found in (("watchlist", watch), ("market", market))
        ],
        title=f"Cells of {facts['sessions']:,} sessions, {facts['start']}..{facts['end']}",
    )
    if not watch["assets"] and not market["assets"]:
        output.note("nothing is stored yet: stock-platform backfill AAPL --start 2024-01-02")
    if watch["tickers"]:
        output.show_table(
            ["ticker", *_STATES],
            [[row["ticker"], *(row[s] for s in _STATES)] for row in watch["tickers"]],
        )
    _show_reasons(
        [
            {"scope": name, **row}
            for name in ("watchlist", "market")
            for row in facts[name]["reasons"]
        ]
    )
    run = facts["last_run"]
    if run:
        calls = [f"{c['source']} {c['status']} {c['calls']:,}" for c in run["calls"]]
        output.show_pairs(
            {"last run": run["run_id"] or "none; a single call", "finished": run["finished_at"]}
            | ({"calls": calls} if calls else {})
        )
    on = [entry for entry in facts["sources"] if entry["on"]]
    used = [entry for entry in on if _is_used(entry["quota"])]
    output.show_pairs(
        {"quarantine": _quarantine_text(facts["quarantine"])}
        | {f"{entry['source']} quota left": quota_text(entry["quota"]) for entry in used}
        | {"quota untouched": [entry["source"] for entry in on if entry not in used]}
    )


def _is_used(quota: dict[str, Any]) -> bool:
    return quota["blocked_seconds"] > 0 or any(limit["spent"] for limit in quota["limits"])


def _show_reasons(reasons: list[dict[str, Any]]) -> None:
    from stock_platform.apps.cli import output

    if reasons:
        first = 0 if "scope" in reasons[0] else 1
        output.show_table(
            ["scope", "state", "reason", "source", "cells"][first:],
            [
                [r.get("scope"), r["status"], r["reason"], r["source"], r["cells"]][first:]
                for r in reasons[:20]
            ],
        )


def _quarantine_text(found: dict[str, Any]) -> str:
    reasons = ", ".join(f"{name} {count:,}" for name, count in found["reasons"].items())
    return f"{found['rows']:,} rows" + (f": {reasons}" if reasons else "")


def _show_one(facts: dict[str, Any]) -> None:
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.quality import show_gaps

    prices = facts["prices"]
    output.show_pairs(
        {
            "ticker": f"{facts['ticker']} ({facts['asset_class']}, {facts['calendar']})",
            "asset": f"{facts['asset_id']}, shard {facts['shard']}",
            "listed": f"{_or_unknown(facts['listed_on'])} to {facts['delisted_on'] or 'today'}",
            "settled": f"{facts['settled']:,} of {facts['expected']:,} cells",
            "prices": f"{prices['bars']:,} bars {prices['first']}..{prices['last']}"
            if prices["bars"]
            else "none",
            "last close": prices["last_close"],
            "from": [f"{name} {count:,}" for name, count in prices["sources"].items()],
            "splits": [f"{s['ratio']:g} for 1 on {s['ex_date']}" for s in facts["splits"]],
            "dividends": facts["dividends"],
            "quarantine": _quarantine_text(facts["quarantine"]),
        }
    )
    output.show_table(
        ["year", *_STATES], [[str(y["year"]), *(y[s] for s in _STATES)] for y in facts["years"]]
    )
    _show_reasons(facts["reasons"])
    show_gaps(facts["gaps"])


def _or_unknown(day: date | None) -> str:
    return str(day) if day else "unknown"
