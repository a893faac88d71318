"""Which sources are on, built from settings.

Belongs here: turning settings into sources. Does not: what a source can do
(sources/<vendor>/config.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from stock_platform.domain.capabilities import Capabilities, Limit
from stock_platform.domain.clock import Clock
from stock_platform.domain.errors import InputError, one_of
from stock_platform.settings import Settings
from stock_platform.sources.base import Source
from stock_platform.sources.http import HttpOptions
from stock_platform.sources.quota import Quota
from stock_platform.sources.registry import SOURCES, build, spec_of
from stock_platform.sources.spec import Setup

MAX_PAUSE = 5.0
"""Seconds that a fetch waits after a refusal before it goes on with other sources."""

HURRIED: dict[str, Any] = {
    "connect_timeout": 4.0,
    "read_timeout": 6.0,
    "total_timeout": 8.0,
    "attempts": 1,
}


def scale_limits(capabilities: Capabilities, rate: float) -> Capabilities:
    """The capabilities under a clock that runs ``rate`` times as fast (a sandbox's).

    There a vendor's day has no midnight: it is any so many seconds.
    """
    if rate == 1:
        return capabilities
    limits = tuple(Limit(x.calls, x.seconds / rate) for x in capabilities.limits)
    meter = capabilities.meter
    if meter is not None:
        meter = replace(meter, seconds=meter.seconds / rate)
    return replace(capabilities, limits=limits, meter=meter)


def capabilities_of(name: str, settings: Settings) -> Capabilities:
    """A source's capabilities as it is set up here: at its pace, and counted at its address.

    Calls to a stand-in (a sandbox, a replay) are no calls to the vendor, and what it refuses is
    no refusal of the vendor's: they are counted under a name of their own.

    Raises:
        InputError: an unknown source, or its base URL is no address.
    """
    spec = spec_of(name)
    scaled = scale_limits(spec.capabilities, settings.clock_rate)
    address = settings.base_url(name)
    if address is None or address == spec.base_url:
        return scaled
    return replace(scaled, bucket=f"{scaled.account}@{urlsplit(address).netloc.rpartition('@')[2]}")


def chosen(settings: Settings) -> tuple[str, ...]:
    """The sources that may be asked: those named, or else all that are on by default.

    Raises:
        InputError: ``STOCK_PLATFORM_SOURCES`` names an unknown source, or a base URL is set
            for one.
    """
    for name in settings.sources:
        if name not in SOURCES:
            raise InputError("STOCK_PLATFORM_SOURCES", name, one_of(SOURCES, name))
    for name in settings.pointed_sources():
        if name not in SOURCES:
            allowed = f"it is of no source; {one_of(SOURCES)}"
            raise InputError(f"STOCK_PLATFORM_{name.upper()}_BASE_URL", name, allowed)
    by_default = tuple(n for n, spec in SOURCES.items() if spec.capabilities.default_on)
    return settings.sources or by_default


def build_sources(
    settings: Settings, quota: Quota, clock: Clock, *, hurried: bool = False
) -> dict[str, Source]:
    """The sources that are switched on and have what they need, by name, best first.

    ``hurried`` ones give up soon: for what is worth nothing later.

    Raises:
        InputError: as ``chosen``, or a source's own settings are not allowed.
    """
    built = {
        name: build_source(name, settings, quota, clock, max_pause=MAX_PAUSE, hurried=hurried)
        for name in chosen(settings)
        if lacks(name, settings) is None
    }
    return dict(sorted(built.items(), key=lambda item: item[1].capabilities.preference))


def build_source(
    name: str,
    settings: Settings,
    quota: Quota,
    clock: Clock,
    *,
    max_pause: float | None = None,
    hurried: bool = False,
) -> Source:
    """One source by name, whether it is switched on or not.

    ``max_pause`` is the longest wait after a refusal; None waits as long as for the quota.
    ``hurried``: see ``build_sources``.

    Raises:
        InputError: an unknown source; or it lacks something, named by its variable.
    """
    spec = spec_of(name)
    missing = lacks(name, settings)
    if missing is not None:
        raise InputError(missing, "", f"set it to use the source {name}")
    keys = {variable: settings.key(variable) for variable in spec.capabilities.variables}
    options = HttpOptions(
        user_agent=settings.user_agent,
        cache_dir=settings.cache_dir,
        max_wait=settings.max_wait_seconds,
        max_pause=max_pause,
    )
    if hurried:
        options = replace(
            options, max_wait=min(options.max_wait, MAX_PAUSE), max_pause=0.0, **HURRIED
        )
    return build(
        Setup(
            capabilities=capabilities_of(name, settings),
            quota=quota,
            clock=clock,
            keys={variable: key for variable, key in keys.items() if key},
            base_url=settings.base_url(name),
            http=options,
            options=settings.source_options(name),
        )
    )


def lacks(name: str, settings: Settings) -> str | None:
    """The variable a source cannot do without and that is not set, or None."""
    capabilities = spec_of(name).capabilities
    needed = (capabilities.needs_key, *capabilities.also_needs)
    for variable in needed:
        if variable is not None and not settings.key(variable):
            return variable
    if name == "files" and not settings.files_path:
        return "STOCK_PLATFORM_FILES_PATH"
    return None
