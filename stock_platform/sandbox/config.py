"""What a sandbox is made of: its market, its clock, its limits, its faults.

Belongs here: values and their checks. Does not: acting on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

from stock_platform.domain.errors import InputError, one_of

Limit = tuple[int, float]
"""At most this many requests in any window of this many seconds."""

MAX_SYMBOLS = 20_000


@dataclass(frozen=True)
class SandboxConfig:
    """Everything that decides what a sandbox answers.

    Equal configurations give equal markets in every process; ``now``, ``until``, ``symbols``
    and ``clock_rate`` may differ without changing any bar that two of them share.

    Attributes:
        symbols: how many generated symbols, beside the real ones.
        seed: seed of the generated market and of the faults' dice.
        now: the market's time, frozen (aware; naive is taken as UTC). None: the real time.
        start: first date of the generated histories; default 1 January five years back.
        until: last date for which bars exist at all; default the date of ``now``, or 30 days
            from today when time is real. Set it later than ``now`` to move time on a
            running sandbox (``POST /_sandbox/clock``).
        real: serve the real histories of ``bokeh_sampledata`` (AAPL, FB, GOOG, IBM, MSFT from
            2000 to 2013-03-01) when it is installed and ``now`` is no later than a week after
            their end; otherwise those tickers are generated.
        clock_rate: how many times faster the vendors' limits run than the wall clock.
        limits: by vendor, instead of the vendor's own: ``{"yahoo": [[2000, 3600]]}``.
            An empty list lifts the vendor's limits.
        keys: by vendor, the API keys it knows. A vendor that is absent takes any key.
        retry_after: vendors whose own 429 says in Retry-After how many (real) seconds to
            wait. In life neither Yahoo nor Polygon does.
        faults: rules as in ``faults.Fault``.
        off: vendors that answer 503 to everything.
        same_day_hours: hours after New York's midnight of the session's date from which the
            free Polygon plan may read that day. 24, as in life: once the day is over. 18.5
            would be 18:30 of the same day.
        call_log: how many calls the log keeps.
    """

    symbols: int = 500
    seed: int = 7
    now: datetime | None = None
    start: date | None = None
    until: date | None = None
    real: bool = True
    clock_rate: float = 1.0
    limits: Mapping[str, Sequence[Limit]] = field(default_factory=dict)
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    retry_after: Sequence[str] = ()
    faults: Sequence[Mapping[str, Any]] = ()
    off: Sequence[str] = ()
    same_day_hours: float = 24.0
    call_log: int = 100_000

    def __post_init__(self) -> None:
        if not 0 <= self.symbols <= MAX_SYMBOLS:
            raise InputError("symbols", self.symbols, f"give 0 to {MAX_SYMBOLS}")
        if not 0.001 <= self.clock_rate <= 1_000_000:
            raise InputError("clock_rate", self.clock_rate, "give 0.001 to 1000000")
        if self.now is not None and self.now.tzinfo is None:
            object.__setattr__(self, "now", self.now.replace(tzinfo=UTC))
        if self.first_date >= self.last_date:
            raise InputError(
                "start", str(self.first_date), f"give a date before {self.last_date} (now or until)"
            )

    @property
    def first_date(self) -> date:
        """First date of the generated histories."""
        return self.start or date((self.now or datetime.now(UTC)).year - 5, 1, 1)

    @property
    def last_date(self) -> date:
        """Last date with bars."""
        if self.until is not None:
            return self.until
        return self.now.date() if self.now else datetime.now(UTC).date() + timedelta(days=30)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SandboxConfig:
        """From JSON-like values; dates and stamps are ISO texts.

        Raises:
            InputError: an unknown name, or a value that is not allowed.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError("sandbox configuration", unknown[0], one_of(sorted(known)))
        made = dict(values)
        try:
            for name in ("start", "until"):
                if isinstance(made.get(name), str):
                    made[name] = date.fromisoformat(made[name])
            if isinstance(made.get("now"), str):
                made["now"] = datetime.fromisoformat(made["now"])
        except ValueError as error:
            raise InputError(name, made[name], "give an ISO date") from error
        return cls(**made)

    @classmethod
    def from_json(cls, text: str) -> SandboxConfig:
        """From a JSON object; see ``from_mapping``."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError("sandbox configuration", text[:60], f"not JSON: {error}") from error
        if not isinstance(values, dict):
            raise InputError("sandbox configuration", text[:60], "give a JSON object")
        return cls.from_mapping(values)
