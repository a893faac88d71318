"""``stock-platform usage``: the calls that were made, by source and day, against the quota.

Belongs here: the report. Does not: counting (storage/readers.py), quotas (sources --json).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    from stock_platform.domain.capabilities import Capabilities

DAY = 86_400.0


def usage(
    days: Annotated[int, typer.Option(min=1, help="The last so many days, today included.")] = 7,
    source: Annotated[str | None, typer.Option(help="Of this source alone.")] = None,
    *,
    json: Json = False,
) -> None:
    """Report calls by source and day (UTC): quota used, failures, cache hits, cost."""
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.sources.registry import SOURCES, spec_of
    from stock_platform.storage import readers

    if source is not None:
        spec_of(source)
    with Platform.reading() as platform:
        rows = readers.usage(platform.db, days, source).to_dicts()
    for row in rows:
        spec = SOURCES.get(row["source"])
        quota = daily_quota(spec.capabilities) if spec else None
        row["quota_a_day"] = quota
        row["quota_used"] = round(row["requests"] / quota, 4) if quota else None
        row["cache_hit_rate"] = round(row["cached"] / row["calls"], 4) if row["calls"] else 0.0
        row["cost"] = 0.0
    if json:
        output.show_json(rows)
        return
    if not rows:
        output.note(f"no call in the last {output.plural(days, 'day')}")
        return
    output.show_table(
        ["day", "source", "calls", "requests", "of a day's", "failed", "429", "cached", "rows",
         "latency", "cost"],
        [
            [
                row["day"], row["source"], row["calls"], row["requests"], _share(row),
                row["failed"], row["rate_limited"], f"{row['cache_hit_rate']:.0%}", row["rows"],
                f"{row['latency_ms'] / 1000:.1f} s", "0",
            ]
            for row in rows
        ],
    )  # fmt: skip
    total = sum(row["requests"] for row in rows)
    output.note(f"{output.plural(total, 'request')}; every source is used within its free plan")


def daily_quota(capabilities: Capabilities) -> int | None:
    """The most requests a day that the limits allow; None where nothing is limited."""
    found = [
        limit.calls if limit.seconds >= DAY else round(limit.calls * DAY / limit.seconds)
        for limit in capabilities.limits
    ]
    return min(found, default=None)


def _share(row: dict[str, Any]) -> str:
    if not row["quota_a_day"]:
        return ""
    return f"{row['quota_used']:.1%} of {row['quota_a_day']:,}"
