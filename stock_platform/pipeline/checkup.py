"""The sources' checkup: those that were down are tried again, with one cheap call each.

Belongs here: whom to try, and what is said of each. Does not: what to ask (probe.py), when
(orchestration/health.py), telling people (alerting.py).

A source whose circuit is open is left alone until its pause is over. Then whoever comes first
tries it; without a checkup that is a fetch, whose cells wait for it, or nobody for days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stock_platform.domain.errors import InputError, RateLimited, SourceError
from stock_platform.domain.health import Circuit, Health
from stock_platform.pipeline.probe import log_call, probe, question_for, refusal_record

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.sources.base import Source

CHECKUP = "checkup"


@dataclass(frozen=True)
class Checkup:
    """What is known of a source now.

    Attributes:
        source: its name.
        circuit: closed, open or half_open, after the trial where there was one.
        tried: whether it was asked.
        said: its answer, its last error, or why it was not asked; in words.
    """

    source: str
    circuit: str
    tried: bool
    said: str


def check_sources(platform: Platform) -> list[Checkup]:
    """Try the sources in play whose pause is over; what is known of each of them, by name."""
    known, now = platform.health.all(), platform.health.now()
    found = []
    for name, source in sorted(platform.live_sources.items()):
        health = known.get(name, Health())
        circuit = health.circuit(now)
        if circuit is Circuit.HALF_OPEN:
            found.append(_tried(platform, source))
        elif circuit is Circuit.OPEN:
            until = f"{health.open_until:%H:%M:%S} UTC" if health.open_until else "later"
            found.append(
                Checkup(name, str(circuit), False, f"not before {until}: {health.last_error}")
            )
        else:
            last = health.last_success_at
            said = f"answered last at {last:%Y-%m-%d %H:%M} UTC" if last else "not asked yet"
            found.append(Checkup(name, str(circuit), False, said))
    return found


def _tried(platform: Platform, source: Source) -> Checkup:
    name, keyed = source.capabilities.source, source.capabilities.needs_key is not None
    try:
        question_for(source.capabilities, platform.clock.now())
    except InputError as error:
        return Checkup(name, str(Circuit.HALF_OPEN), False, str(error))
    if not platform.router.may_try(name):
        return Checkup(name, str(Circuit.OPEN), False, "another process is trying it")
    began = datetime.now(UTC)
    try:
        verdict, record = probe(source, platform.clock.now(), began)
    except RateLimited as error:  # no fault; it stays as it is until somebody gets an answer
        log_call(platform.db, refusal_record(CHECKUP, f"{name} {CHECKUP}", error, began))
        return Checkup(name, _circuit(platform, name), True, str(error))
    except SourceError as error:
        log_call(platform.db, refusal_record(CHECKUP, f"{name} {CHECKUP}", error, began))
        platform.router.failed(name, CHECKUP, error, keyed=keyed)
        platform.router.flush(name)
        return Checkup(name, _circuit(platform, name), True, str(error))
    log_call(platform.db, record)
    platform.health.succeeded(name, record.latency_ms / 1000)
    return Checkup(name, _circuit(platform, name), True, verdict.said)


def _circuit(platform: Platform, name: str) -> str:
    health = platform.health.all().get(name, Health())
    return str(health.circuit(platform.health.now()))
