"""``stock-platform sources``: what each source can do, and what is left of its quota.

Belongs here: showing capabilities and quotas. Does not: what they are (sources/<vendor>/
config.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    from stock_platform.domain.capabilities import Capabilities, Endpoint
    from stock_platform.pipeline.runtime import Platform


def sources(*, json: Json = False) -> None:
    """List the sources: what one call covers, limits, keys, and the quota left."""
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform

    with Platform.from_settings() as platform:
        found = describe(platform)
    if json:
        output.show_json(found)
        return
    output.show_table(
        ["source", "state", "one call covers", "intervals", "history", "prices", "quota left"],
        [
            [
                entry["source"] if first else "",
                entry["state"] if first else "",
                endpoint["covers"],
                ", ".join(endpoint["intervals"]),
                endpoint["history"],
                endpoint["basis"].replace("_", "-"),
                quota_text(entry["quota"]) if first else "",
            ]
            for entry in found
            for first, endpoint in _marked(entry["endpoints"])
        ],
    )


def _marked(items: list[Any]) -> list[tuple[bool, Any]]:
    return [(number == 0, item) for number, item in enumerate(items)]


def describe(platform: Platform) -> list[dict[str, Any]]:
    """Every source there is, best first."""
    from stock_platform.pipeline.wiring import lacks, scale_limits
    from stock_platform.sources.registry import SOURCES

    settings = platform.settings
    found = []
    for name, spec in SOURCES.items():
        own = platform.capabilities.get(name)
        own = own or scale_limits(spec.capabilities, settings.clock_rate)
        missing = lacks(name, settings)
        state = "on" if name in platform.sources else "off"
        if missing is not None:
            state = f"off: set {missing}"
        elif name not in platform.sources:
            named = bool(settings.sources)
            state = "off: not in STOCK_PLATFORM_SOURCES" if named else "off by default"
        found.append(
            {
                "source": name,
                "on": name in platform.sources,
                "state": state,
                "needs": own.needs_key,
                "key_set": settings.key(own.needs_key) is not None if own.needs_key else None,
                "preference": own.preference,
                "endpoints": [_endpoint(e) for e in own.endpoints],
                "quota": quota(platform, own),
            }
        )
    return sorted(found, key=lambda entry: (not entry["on"], entry["preference"]))


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    from stock_platform.domain.capabilities import TileShape

    whole = endpoint.shape is TileShape.COLUMN
    span = "any range" if endpoint.max_sessions is None else f"{endpoint.max_sessions} sessions"
    days = endpoint.depth_days
    return {
        "name": endpoint.name,
        "shape": str(endpoint.shape),
        "covers": "every symbol x 1 session" if whole else f"1 symbol x {span}",
        "intervals": [str(i) for i in endpoint.intervals],
        "asset_classes": [str(c) for c in endpoint.asset_classes],
        "history": "all" if days is None else f"{days + 1:,} days",
        "depth_days": days,
        "basis": str(endpoint.basis),
    }


def quota(platform: Platform, capabilities: Capabilities) -> dict[str, Any]:
    """What is left of a source's limits now."""
    state = platform.quota.state(capabilities.account, capabilities.limits)
    spent = [*state.spent, *[0] * len(capabilities.limits)]
    return {
        "blocked_seconds": round(state.blocked_seconds, 1),
        "limits": [
            {
                "calls": limit.calls,
                "seconds": limit.seconds,
                "spent": used,
                "left": max(0, limit.calls - used),
            }
            for limit, used in zip(capabilities.limits, spent, strict=False)
        ],
    }


def quota_text(left: dict[str, Any]) -> str:
    """``4 of 5 a minute; 1,990 of 2,000 an hour``."""
    from stock_platform.apps.cli.output import duration

    parts = [
        f"{limit['left']:,} of {limit['calls']:,} {_window(limit['seconds'])}"
        for limit in left["limits"]
    ]
    if left["blocked_seconds"] > 0:
        parts.insert(0, f"blocked for {duration(left['blocked_seconds'])}")
    return "; ".join(parts) or "unlimited"


def _window(seconds: float) -> str:
    from stock_platform.apps.cli.output import duration

    named = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour", 86_400.0: "a day"}
    return named.get(seconds) or f"in {duration(seconds)}"
