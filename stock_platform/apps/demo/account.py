"""What happened in the demo, as data, and whether it is as it should be.

Belongs here: gathering from the database and the sandbox. Does not: printing (words.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from stock_platform.apps.demo import world
from stock_platform.apps.demo.truth import Comparison, all_bars, compare
from stock_platform.apps.demo.world import World
from stock_platform.pipeline.store import Store
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market.market import Market
from stock_platform.storage import readers

if TYPE_CHECKING:
    from stock_platform.apps.demo.steps import Part, Ran
    from stock_platform.pipeline.runtime import Platform

IN_FLIGHT = 0.5
"""Seconds within which a call may arrive that was on its way when a 429 was given."""

_SHOWN = "AAPL"


def gather(
    platform: Platform, made: World, parts: Sequence[tuple[Part, Ran]], sandbox: str
) -> dict[str, Any]:
    """Everything there is to tell, and ``problems``: what fell short, in words."""
    said = world.report(sandbox)
    scopes = [_scope(platform, part, ran) for part, ran in parts]
    market = Market(SandboxConfig.from_mapping(made.sandbox()))
    compared, renamed = _compare(platform, market, [part for part, _ in parts])
    calls = {name: entry["calls"] for name, entry in said["vendors"].items()}
    statuses: Counter[str] = Counter()
    for entry in said["vendors"].values():
        statuses.update(entry["by_status"])
    facts: dict[str, Any] = {
        "scopes": scopes,
        "calls": calls,
        "total_calls": sum(calls.values()),
        "one_call_per_ticker": sum(part.asked for part, _ in parts),
        "one_call_per_ticker_and_day": sum(part.missing for part, _ in parts),
        "statuses": dict(sorted(statuses.items())),
        "faults": {fault["kind"]: fault["acted"] for fault in said["faults"] if fault["acted"]},
        "limits": {name: said["limits"][name]["limits"] for name in sorted(calls) if calls[name]},
        "clock_rate": said["clock_rate"],
        "violations": said["violations"],
        "retry_after": waits(said["log"]),
        "quarantine": _quarantine(platform),
        "truth": {
            "bars": compared.bars,
            "equal": compared.equal,
            "in_quarantine": compared.withheld,
            "different": compared.different,
            "missing": compared.missing,
            "extra": compared.extra,
            "under_former_tickers": renamed,
        },
        "prices": _prices(platform),
    }
    return facts | {"problems": problems(facts)}


def problems(facts: dict[str, Any]) -> list[str]:
    """What fell short of what was promised."""
    found = []
    if facts["violations"]:
        found.append(f"{facts['violations']:,} calls beyond a vendor's limit")
    found.extend(
        f"Retry-After of {wait['asked']:g} s was not obeyed"
        for wait in facts["retry_after"]
        if not wait["obeyed"]
    )
    for scope in facts["scopes"]:
        if scope["error"]:
            found.append(f"a run of the {scope['scope']} scope failed: {scope['error']}")
        unsettled = scope["expected"] - scope["settled"]
        if unsettled:
            found.append(f"{unsettled:,} cells of the {scope['scope']} scope are not settled")
    truth = facts["truth"]
    found.extend(
        f"{truth[kind]:,} {text}"
        for kind, text in (
            ("different", "prices differ from the truth"),
            ("missing", "prices are missing and not in quarantine"),
            ("extra", "prices are not in the truth"),
        )
        if truth[kind]
    )
    return found


def waits(log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each 429 with Retry-After: how long was asked, and how long nobody called."""
    found = []
    for call in log:
        if call["fault"] != "http_429":
            continue
        later = [
            other["at"] - call["at"]
            for other in log
            if other["vendor"] == call["vendor"] and other["at"] > call["at"] + IN_FLIGHT
        ]
        waited = min(later, default=None)
        found.append(
            {
                "vendor": call["vendor"],
                "asked": world.RETRY_AFTER,
                "waited": waited,
                "obeyed": waited is None or waited >= world.RETRY_AFTER,
            }
        )
    return found


def _scope(platform: Platform, part: Part, ran: Ran) -> dict[str, Any]:
    return {
        "scope": part.scope,
        "assets": part.assets.height,
        "start": part.start,
        "end": part.end,
        "sessions": len(part.grid.sessions),
        "needed": part.missing,
        **platform.coverage(part.grid).to_dict(),
        "seconds": round(ran.seconds, 1),
        "runs": ran.result.run_ids if ran.result else [],
        "partitions": ran.result.partitions if ran.result else 0,
        "error": ran.result.error if ran.result else None,
        "checks": [
            {"asset": c.asset, "name": c.name, "passed": c.passed}
            for c in (ran.result.checks if ran.result else [])
        ],
    }


def _compare(platform: Platform, market: Market, parts: Sequence[Part]) -> tuple[Comparison, int]:
    """All parts against the truth; and the market's bars that nobody looked for.

    Those are of companies that were renamed or delisted before the catalog was learned.
    """
    found, looked_for = Comparison(), 0
    for part in parts:
        tickers = part.assets["ticker"].to_list()
        if part.scope == "market":
            looked_for = compare(platform.db, market, tickers, part.start, part.end).bars
            tickers = [ticker for ticker in tickers if ticker not in world.TICKERS]
        found += compare(platform.db, market, tickers, part.start, part.end)
    return found, all_bars(market, world.MARKET_FIRST, world.LAST) - looked_for


def _quarantine(platform: Platform) -> dict[str, Any]:
    rows = readers.quarantined(platform.db)
    reasons = rows.select(pl.col("reasons").explode()).drop_nulls().to_series().value_counts()
    return {
        "rows": rows.height,
        "reasons": dict(reasons.sort("count", "reasons", descending=[True, False]).iter_rows()),
    }


def _prices(platform: Platform) -> list[dict[str, Any]]:
    """A ticker's closes around its last dividend: as traded, and adjusted."""
    store = Store(platform.db)
    ids = platform.assets_for([_SHOWN], register=False)["asset_id"].to_list()
    paid = readers.dividends(platform.db, ids).filter(
        pl.col("ex_date").is_between(world.FIRST, world.LAST)
    )
    frames = [
        store.prices(_SHOWN, world.FIRST, world.LAST, adjust=adjust).select(
            "ticker", "session", pl.col("close").alias(name)
        )
        for adjust, name in (("none", "as_traded"), ("all", "adjusted"))
    ]
    both = frames[0].join(frames[1], on=["ticker", "session"]).join(
        paid.select(pl.col("ex_date").alias("session"), pl.col("amount").alias("dividend")),
        on="session",
        how="left",
    )  # fmt: skip
    at = both.with_row_index().filter(pl.col("dividend").is_not_null())["index"]
    middle = int(at[-1]) if len(at) else both.height - 1
    return both.sort("session").slice(max(0, middle - 2), 4).to_dicts()
