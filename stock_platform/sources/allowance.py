"""What vendors say in headers about what is left of their limits.

Belongs here: the headers in general use, and a source's own by its ``Meter``. Does not: acting
on them (quota.py and storage/quota.py), Retry-After (transport.py).

Read are the IETF's drafts (``RateLimit: limit=100, remaining=50, reset=5``; ``RateLimit:
"default";r=50;t=30`` with ``RateLimit-Policy: "default";q=100;w=60``; ``RateLimit-Limit``,
``-Remaining``, ``-Reset``; https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers)
and the same three with ``X-`` before them, as GitHub, Finnhub, Alpaca and most others write them.
A reset is seconds from now, or an instant: epoch seconds or milliseconds, or an HTTP date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from stock_platform.domain.capabilities import Meter, Reading

EPOCH_SECONDS = 1e9
EPOCH_MILLISECONDS = 1e12
"""Larger numbers are instants; a smaller one is a span."""

_FAMILIES = ("x-ratelimit", "x-rate-limit", "ratelimit")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_PAIR = re.compile(r"\b(limit|remaining|reset|r|t|q|w)\s*=\s*(\d+(?:\.\d+)?)")


def readings(headers: Mapping[str, str], now: float, meter: Meter | None = None) -> list[Reading]:
    """What an answer's headers say is left; what cannot be read is passed over.

    Args:
        headers: lower-case names, or a mapping that does not mind.
        now: epoch seconds, for a vendor that does not send its own time in ``Date``.
        meter: a header of the source's own.
    """
    now = _instant(headers.get("date", "")) or now
    found = [reading for family in _FAMILIES if (reading := _triple(headers, family, now))]
    found += _structured(headers)
    if meter is not None:
        used = _number(headers.get(meter.header, ""))
        if used is not None:
            left = max(0.0, meter.most - used) / meter.each
            found.append(Reading(left, seconds=meter.seconds))
    return found


def _triple(headers: Mapping[str, str], family: str, now: float) -> Reading | None:
    remaining = _number(headers.get(f"{family}-remaining", ""))
    if remaining is None:
        return None
    limit = headers.get(f"{family}-limit", "")
    window = re.search(r";\s*w=(\d+)", limit)  # "100, 100;w=60" of the older drafts
    return Reading(
        remaining,
        _number(limit),
        _span(headers.get(f"{family}-reset", ""), now),
        float(window[1]) if window else None,
    )


def _structured(headers: Mapping[str, str]) -> Iterator[Reading]:
    """Of the field RateLimit, one reading a policy."""
    policies = {
        name: dict(pairs) for name, pairs in _items(headers.get("ratelimit-policy", "")) if name
    }
    for name, pairs in _items(headers.get("ratelimit", "")):
        values = policies.get(name, {}) | dict(pairs)
        remaining = values.get("r", values.get("remaining"))
        if remaining is not None:
            yield Reading(
                remaining,
                values.get("q", values.get("limit")),
                values.get("t", values.get("reset")),
                values.get("w"),
            )


def _items(text: str) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    parts = text.split(",") if ";" in text else [text]  # the older form has commas inside
    for part in parts:
        name = part.split(";")[0].strip().strip('"') if ";" in part else ""
        yield name, [(key, float(value)) for key, value in _PAIR.findall(part)]


def _span(text: str, now: float) -> float | None:
    number = _number(text)
    if number is None:
        at = _instant(text)
        return None if at is None else max(0.0, at - now)
    if number >= EPOCH_MILLISECONDS:
        return max(0.0, number / 1000 - now)
    return max(0.0, number - now) if number >= EPOCH_SECONDS else number


def _number(text: str) -> float | None:
    found = _NUMBER.match(text.strip())
    value = float(found[0]) if found else None
    return value if value is not None and math.isfinite(value) else None


def _instant(text: str) -> float | None:
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
