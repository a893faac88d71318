"""What every answer of Alpha Vantage has in common: a status of 200, and its errors inside.

Belongs here: from a body to a JSON object or lines of CSV, or to an error. Does not: bars
(parse.py), feeds (facts.py). Pure.

A failure is an object with one sentence, under ``Note``, ``Information`` or ``Error Message``
(which of them has changed over the years), also where CSV was asked for:

    ... 1 request per second, ... 5 calls per minute        too fast: wait a moment
    ... 25 requests per day                                 until the day ends; names the key
    ... is a premium endpoint, a premium feature            the plan lacks it
    the parameter apikey is invalid or missing, **demo**    the key is wrong
    Invalid API call                                        an unknown symbol, or a bad call

The first names the daily limit, too, and all of them the premium plans: order matters. An
empty object is how some functions say that they have nothing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from stock_platform.domain.errors import (
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.alpha_vantage.config import DAY_SECONDS, NAME, ZONE
from stock_platform.sources.payload import as_mapping, excerpt, read_json, read_text

COMPLAINTS = ("Error Message", "Information", "Note")
ONE_MINUTE = 60.0
_ECHOED_KEY = re.compile(r"(api ?key as:? )\S+", re.IGNORECASE)
_TOO_FAST = ("per second", "sparingly", "burst")
_TOO_MANY_A_MINUTE = ("per minute", "/minute", "call frequency", "call volume")
_TOO_MANY_A_DAY = ("per day", "/day", "daily rate limit", "daily limit", "daily quota")


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        what: for messages; the canonical symbol where it is about one.
        now: when the vendor gave the answer.
        pace: seconds of ours for one of the vendor's (below 1 where its clock runs faster).
    """

    what: str
    now: datetime
    pace: float = 1.0


def document(status: int, body: bytes, asked: Asked) -> Mapping[str, object]:
    """The answer's object, once it is known not to be an error.

    Raises:
        RateLimited, NotEntitled, UnknownSymbol, Unavailable, Malformed.
    """
    if status != 200 and not body.lstrip().startswith(b"{"):
        raise _by_status(status, excerpt(body), asked)
    found = as_mapping(NAME, read_json(NAME, body), "the answer")
    for complaint in COMPLAINTS:
        if isinstance(found.get(complaint), str):
            raise _error_of(str(found[complaint]), asked)
    if status != 200:
        said = str(found.get("message") or found.get("error") or found.get("detail") or "")
        raise _by_status(status, said or f"HTTP {status}", asked)
    return found


def table(status: int, body: bytes, asked: Asked, needed: set[str]) -> list[dict[str, str | None]]:
    """The rows of a CSV answer, by its header's names; short rows lack their last values.

    Raises:
        Malformed: no such header, or cut short in the middle of a line. As ``document``.
    """
    if status != 200 or body.lstrip().startswith(b"{"):
        document(status, body, asked)
        raise Malformed(NAME, f"an object instead of CSV: {excerpt(body)}")
    text = read_text(NAME, body)
    lines = list(csv.reader(text.splitlines()))
    header = [name.strip() for name in lines[0]]
    if not needed <= set(header):
        raise Malformed(NAME, f"no CSV header of {asked.what} but: {excerpt(body)}")
    if not text.endswith("\n"):
        raise Malformed(NAME, f"CSV cut short after {len(body)} bytes")
    return [_named(header, line) for line in lines[1:] if line]


def _named(header: list[str], line: list[str]) -> dict[str, str | None]:
    """A line's cells by column; of one with more cells than columns what is left over, as ``""``.

    An unquoted comma has then shifted the others.
    """
    left = {"": ",".join(line[len(header) :])} if any(line[len(header) :]) else {}
    return {**dict(zip(header, [*line, *[None] * (len(header) - len(line))], strict=False)), **left}


def _by_status(status: int, said: str, asked: Asked) -> SourceError:
    text = _ECHOED_KEY.sub(r"\1***", said)
    if status in (401, 402, 403):
        return NotEntitled(NAME, f"HTTP {status}: {text}")
    return Malformed(NAME, f"the request for {asked.what} was refused, HTTP {status}: {text}")


def _error_of(sentence: str, asked: Asked) -> SourceError:
    said = _ECHOED_KEY.sub(r"\1***", " ".join(sentence.split()))
    low = said.lower()
    if any(words in low for words in _TOO_FAST):
        return RateLimited(NAME, f"too many calls: {said}")
    if any(words in low for words in _TOO_MANY_A_MINUTE):
        return RateLimited(NAME, f"too many calls: {said}", ONE_MINUTE * asked.pace)
    if any(words in low for words in _TOO_MANY_A_DAY):
        return RateLimited(NAME, f"too many calls: {said}", until_midnight(asked))
    if "rate limit" in low:
        return RateLimited(NAME, f"too many calls: {said}", ONE_MINUTE * asked.pace)
    if "premium" in low or "subscri" in low or "entitle" in low:
        return NotEntitled(NAME, f"not in this plan: {said}")
    if "apikey" in low or "api key" in low or "demo" in low:
        return NotEntitled(NAME, said)
    if "invalid api call" in low or "symbol" in low:
        return UnknownSymbol(NAME, asked.what, said)
    if "try again" in low or "unavailable" in low or "maintenance" in low or "internal" in low:
        return Unavailable(NAME, said)
    return Malformed(NAME, f"the request for {asked.what} was refused: {said}")


def until_midnight(asked: Asked) -> float:
    """Seconds until the vendor's day ends, by our guess of where it does."""
    local = asked.now.astimezone(ZoneInfo(ZONE))
    following = local.date() + timedelta(days=1)
    midnight = datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(ZONE))
    return min(DAY_SECONDS, (midnight - asked.now).total_seconds()) * asked.pace
