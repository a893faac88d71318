"""The platform follows what people hold.

Belongs here: events, currencies and the grace period, in one verb. Does not: SQL
(storage/tracking.py), the work that follows (backfilling.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import AssetClass, default_calendar, parse_symbol
from stock_platform.pipeline.performance import rate_tickers, rates_of
from stock_platform.storage import assets, tracking

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

LEAD = timedelta(days=10)
"""Rates are asked for from so long before the first one that is needed: there are holidays."""


@dataclass(frozen=True)
class Followed:
    """What changed; assets by id.

    Attributes:
        events: acted on.
        started: tracked from now on.
        queued: with a history to fill, currency pairs among them.
        stopped: not tracked any more.
        last_event: the newest event's id, or None.
    """

    events: int = 0
    started: list[int] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    last_event: int | None = None


def follow(platform: Platform) -> Followed:
    """Act on the portfolio events that nobody has acted on; safe to call at any time."""
    now = platform.clock.now()
    grace = timedelta(days=platform.settings.portfolio_grace_days)
    seen = tracking.follow_events(platform.db, now)
    rates = _follow_rates(platform) if seen.events else []
    return Followed(
        seen.events,
        seen.started,
        [*seen.queued, *rates],
        tracking.stop_idle(platform.db, now, grace),
        seen.last_event,
    )


def _follow_rates(platform: Platform) -> list[int]:
    own = platform.settings.portfolio_currency
    held = tracking.currencies_held(platform.db)
    wanted = {currency: day for currency, day in held.items() if currency != own}
    known = rates_of(platform.db, set(wanted), own)
    new = {}
    for currency in wanted.keys() - known.keys():
        try:
            symbol = parse_symbol(rate_tickers(currency, own)[0])
        except InputError:
            continue  # no pair of currencies: performance tells that its rate lacks
        if symbol.asset_class is AssetClass.FX:
            new[currency] = assets.NewAsset(symbol.ticker, "fx", default_calendar(symbol))
    made = assets.register(platform.db, new.values())
    known |= {currency: made[asset.ticker] for currency, asset in new.items()}
    since: dict[int, date] = {
        abs(pair): wanted[currency] - LEAD for currency, pair in known.items()
    }
    return tracking.follow_rates(platform.db, since, platform.clock.now())
