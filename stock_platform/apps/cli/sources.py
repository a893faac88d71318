"""``stock-platform sources``: what each source can do, how it fares, what is left of its quota.

Belongs here: showing capabilities, health and quotas; resetting and trying a source. Does
not: what they are (sources/<vendor>/config.py, domain/health.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    from stock_platform.domain.capabilities import Capabilities, Endpoint
    from stock_platform.pipeline.runtime import Platform

Name = Annotated[str, typer.Argument(help="A source's name, such as yahoo.", metavar="NAME")]

app = typer.Typer(
    name="sources",
    help="The sources: state, quota left, success rate, last error, next try.",
    invoke_without_command=True,
    no_args_is_help=False,
)


@app.callback()
def sources(context: typer.Context, *, json: Json = False) -> None:
    """List the sources: state, quota left, success rate, last error, next try."""
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform

    if context.invoked_subcommand is not None:
        return
    with Platform.reading() as platform:
        found = describe(platform)
    if json:
        output.show_json(found)
        return
    output.show_table(
        ["source", "state", "quota left", "success", "latency", "next try"],
        [
            [
                entry["source"],
                entry["state"],
                quota_text(entry["quota"]),
                _share(entry["success_rate"]),
                _seconds(entry["latency_seconds"]),
                entry["next_try"],
            ]
            for entry in found
        ],
    )
    failed = {e["source"]: _short(e["last_error"], 200) for e in found if e["last_error"]}
    if failed:
        output.show_pairs(failed, title="Last errors")


@app.command("list")
def listing(context: typer.Context, *, json: Json = False) -> None:
    """List the sources, as without a command."""
    context.invoked_subcommand = None
    sources(context, json=json)


@app.command("show")
def show(name: Name, *, json: Json = False) -> None:
    """Tell all of one source: what one call covers, how far back, limits, key, health."""
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.sources.registry import spec_of

    spec_of(name)
    with Platform.reading() as platform:
        entry = next(e for e in describe(platform) if e["source"] == name)
    if json:
        output.show_json(entry)
        return
    output.show_pairs(
        {
            "source": name,
            "state": entry["state"],
            "address": entry["base_url"],
            "key": entry["needs"],
            "quota left": quota_text(entry["quota"]),
            "success rate": _share(entry["success_rate"]),
            "latency": _seconds(entry["latency_seconds"]),
            "accuracy": entry["accuracy"],
            "last error": entry["last_error"],
            "next try": entry["next_try"],
            "not entitled": "; ".join(f"{k}: {v}" for k, v in entry["not_entitled"].items()),
            "tells": ", ".join(entry["tells"]),
        }
    )
    if entry["endpoints"]:
        output.show_table(
            ["bars", "one call covers", "intervals", "of", "history", "prices"],
            [
                [
                    e["name"],
                    e["covers"],
                    ", ".join(e["intervals"]),
                    ", ".join(e["asset_classes"]),
                    e["history"],
                    e["basis"].replace("_", "-"),
                ]
                for e in entry["endpoints"]
            ],
        )


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.0%}"


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} s"


@app.command("reset")
def reset(name: Name) -> None:
    """Close a source's circuit and forget its failures, refusals and Retry-After.

    Calls that were made still count against its limits.
    """
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.pipeline.wiring import capabilities_of
    from stock_platform.sources.registry import spec_of

    spec_of(name)
    with Platform.from_settings() as platform:
        account = capabilities_of(name, platform.settings).account
        platform.health.reset(name, account)
    output.note(f"{name} will be asked again as if nothing had happened")


@app.command("test")
def try_out(name: Name, *, json: Json = False) -> None:
    """Make one cheap call and tell in a line whether the source works.

    The call counts against the quota, and its outcome for the source's health.
    """
    from datetime import UTC, datetime

    from stock_platform.apps.cli import output
    from stock_platform.domain.errors import SourceError
    from stock_platform.pipeline import probe
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.pipeline.wiring import build_source
    from stock_platform.sources.registry import spec_of

    spec_of(name)
    with Platform.from_settings() as platform:
        source = build_source(name, platform.settings, platform.quota, platform.clock)
        began = datetime.now(UTC)
        try:
            verdict, record = probe.probe(source, platform.clock.now(), began)
        except SourceError as error:
            record = probe.refusal_record("test", f"{name} test", error, began)
            probe.log_call(platform.db, record)
            platform.router.failed(name, "test", error)
            raise
        finally:
            source.close()
        probe.log_call(platform.db, record)
        platform.health.succeeded(name, record.latency_ms / 1000)
    if json:
        output.show_json({"source": name, "works": True, **vars(verdict)})
        return
    took = f"{verdict.latency_ms / 1000:.1f} s, {output.plural(verdict.requests, 'request')}"
    typer.echo(f"{name} works: {verdict.said} ({took})")


def describe(platform: Platform) -> list[dict[str, Any]]:
    """Every source there is, those that are on first, best first."""
    from stock_platform.domain.health import Health
    from stock_platform.pipeline.router import account
    from stock_platform.pipeline.wiring import capabilities_of, chosen, lacks
    from stock_platform.sources.registry import SOURCES

    settings = platform.settings
    on, fares = set(chosen(settings)), account(platform.health)
    unknown = account_of_nobody(Health())
    found = []
    for name, spec in SOURCES.items():
        own = platform.capabilities.get(name) or capabilities_of(name, settings)
        missing = lacks(name, settings)
        state = "on"
        if name not in on:
            state = "off: not in STOCK_PLATFORM_SOURCES" if settings.sources else "off by default"
        elif missing is not None:
            state = f"off: set {missing}"
        elif fares.get(name, unknown)["circuit"] != "closed":
            state = "on, circuit open" if fares[name]["next_try"] else "on, to be tried"
        elif own.standby:
            state = "on, standby"
        found.append(
            {
                "source": name,
                "on": name in platform.sources,
                "state": state,
                "needs": own.needs_key,
                "key_set": settings.key(own.needs_key) is not None if own.needs_key else None,
                "base_url": settings.base_url(name) or spec.base_url,
                "preference": own.preference,
                "standby": own.standby,
                "tells": ["bars"] * bool(own.endpoints) + [str(f) for f in own.feeds],
                "endpoints": [_endpoint(e) for e in own.endpoints],
                "quota": quota(platform, own),
                **fares.get(name, unknown),
            }
        )
    return sorted(found, key=lambda entry: (not entry["on"], entry["preference"]))


def account_of_nobody(health: Any) -> dict[str, Any]:
    """The account of a source that was never asked."""
    return {
        "circuit": "closed",
        "success_rate": None,
        "latency_seconds": None,
        "accuracy": health.accuracy,
        "failures_in_row": 0,
        "last_error": None,
        "last_error_at": None,
        "last_success_at": None,
        "next_try": None,
        "not_entitled": {},
    }


def _short(text: str | None, longest: int = 60) -> str | None:
    return text if text is None or len(text) <= longest else f"{text[:longest].rstrip()}..."


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    from stock_platform.domain.capabilities import TileShape

    span = "any range" if endpoint.max_sessions is None else f"{endpoint.max_sessions} sessions"
    covers = {
        TileShape.COLUMN: "every symbol x 1 session",
        TileShape.ROW: f"1 symbol x {span}",
        TileShape.BLOCK: f"{endpoint.max_symbols} symbols x {span}",
    }
    days = endpoint.depth_days
    return {
        "name": endpoint.name,
        "shape": str(endpoint.shape),
        "covers": covers[endpoint.shape],
        "intervals": [str(i) for i in endpoint.intervals],
        "asset_classes": [str(c) for c in endpoint.asset_classes],
        "history": history(endpoint),
        "depth_days": days,
        "basis": str(endpoint.basis),
    }


def history(endpoint: Endpoint) -> str:
    """``all``, ``731 days``, ``since 2016-01-01``."""
    if endpoint.depth_days is not None:
        return f"{endpoint.depth_days + 1:,} days"
    return f"since {endpoint.since}" if endpoint.since else "all"


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
