"""Live prices: who is to be asked for a quote now, of whom, and what of an answer is believed.

Belongs here: due assets by their exchange's hours, the share of a quota that quotes may use, the
choice of calls, rules for quotes. Does not: asking (pipeline/live.py), storing
(storage/quotes.py). Pure.

Time is cut into slots of so many minutes, the same for all assets (``:00 :15 :30 :45``), so that
those who are due are due together and can be asked for in one call. An asset is asked once in
each slot in which its exchange trades; a slot that nobody was running in is not made up for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Capabilities, Limit, LiveQuotes, QuotaState
from stock_platform.domain.symbols import AssetClass

# Who is watched: ``every`` is the minutes of a slot (0: never), ``asked_at`` the last time.
WATCHED: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ticker": pl.String(),
    "asset_class": pl.String(),
    "calendar": pl.String(),
    "every": pl.Int32(),
    "asked_at": UTC_STAMP,
}

# A quote as it is judged and stored; ``quoted_at`` is the exchange's stamp.
QUOTED: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "source": pl.String(),
    "quoted_at": UTC_STAMP,
    "session": pl.Date(),
    "price": pl.Float64(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "previous_close": pl.Float64(),
    "volume": pl.Float64(),
    "currency": pl.String(),
    "fetched_at": UTC_STAMP,
}

AHEAD = timedelta(minutes=2)
"""How far a vendor's clock may run ahead of ours."""

SPIKE = 0.5
"""Of the last close: a quote further away than this is not believed."""

TOLD_BY = timedelta(days=30)
"""A close older than this says nothing of today's price."""

TICK_SECONDS = 20.0
"""How long one round of asking may take; shorter windows of a quota are as good as new in it."""

HOUR_SECONDS = 3600.0

UNLIMITED = 10_000
"""Calls of a round to a source without limits."""

OLDER = "older than the quote that is stored"
FUTURE = "its stamp is in the future"
NOT_POSITIVE = "its price is not a positive number"
NO_STAMP = "it has no stamp of the exchange"
NO_SESSION = "its stamp is before the exchange's first session"
FAR = "more than 50 % away from the last close, without a split"


def due(watched: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The rows of WATCHED that are to be asked for at an instant."""
    begun: dict[tuple[str, int], datetime | None] = {}
    mask = []
    for calendar, every, asked_at in watched.select("calendar", "every", "asked_at").iter_rows():
        key = (calendar, every)
        if key not in begun:
            since = get_calendar(calendar).trading_since(now) if every > 0 else None
            begun[key] = None if since is None else max(since, slot(now, every))
        start = begun[key]
        mask.append(start is not None and (asked_at is None or asked_at < start))
    return watched.filter(pl.Series(mask, dtype=pl.Boolean()))


def slot(now: datetime, minutes: int) -> datetime:
    """When the slot of so many minutes began that an instant is in; UTC, from midnight on."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    length = timedelta(minutes=minutes)
    return midnight + (now - midnight) // length * length


def allowance(limits: Iterable[Limit], state: QuotaState) -> int:
    """How many calls quotes may spend now; histories always find some left.

    Of a window of up to an hour, half of what is left, but one call at least (it waits its turn
    like every other). Of a day or a month, what there is while less than half of it is spent.
    """
    if state.blocked_seconds > 0:
        return 0
    rooms = []
    for limit, spent in zip(limits, state.spent, strict=True):
        if limit.seconds > HOUR_SECONDS:
            rooms.append(limit.calls // 2 - spent)
        elif limit.seconds < TICK_SECONDS:
            rooms.append(max(1, int(limit.calls * TICK_SECONDS / limit.seconds / 2)))
        else:
            rooms.append(max(1, (limit.calls - spent) // 2))
    return max(0, min(rooms, default=UNLIMITED))


@dataclass(frozen=True)
class QuoteCall:
    """One call for quotes: asset ids and tickers, in the same order."""

    source: str
    asset_ids: tuple[int, ...]
    tickers: tuple[str, ...]


def route(
    wanted: pl.DataFrame,
    sources: Sequence[Capabilities],
    left: Mapping[str, int],
    not_of: Collection[tuple[str, int]] = (),
) -> list[QuoteCall]:
    """The calls that ask for assets, each of the best source that can tell.

    Those that name many symbols a call come first, among them those that see all venues, then by
    preference; an asset beyond what is left of a source goes to the next one.

    Args:
        wanted: asset_id, ticker, asset_class, calendar.
        sources: their preference as health has it.
        left: by account, the calls that may be spent.
        not_of: (source, asset id) of those not to be asked there.
    """
    room = dict(left)
    calls = []
    remaining = list(wanted.select("asset_id", "ticker", "asset_class", "calendar").iter_rows())
    for source in sorted((s for s in sources if s.live is not None), key=_order):
        mine = [
            row
            for row in remaining
            if (source.source, row[0]) not in not_of and serves(source, row)
        ]
        size = source.live.at_once if source.live else 1
        for first in range(0, len(mine), size):
            if room.get(source.account, 0) <= 0:
                break
            part = mine[first : first + size]
            room[source.account] -= 1
            calls.append(
                QuoteCall(source.source, tuple(r[0] for r in part), tuple(r[1] for r in part))
            )
            taken = {r[0] for r in part}
            remaining = [row for row in remaining if row[0] not in taken]
    return calls


def _order(source: Capabilities) -> tuple[bool, bool, int, int, str]:
    live = source.live or LiveQuotes(())
    return live.at_once == 1, live.one_venue, -live.at_once, source.preference, source.source


def serves(source: Capabilities, row: tuple[int, str, str, str]) -> bool:
    """Whether a source tells live prices of an asset (asset_id, ticker, class, calendar)."""
    live = source.live
    if live is None or AssetClass(row[2]) not in live.asset_classes:
        return False
    abroad = AssetClass(row[2]) in _LISTED and row[3] != "XNYS"
    return live.abroad or not abroad


_LISTED = (AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND, AssetClass.INDEX)


def judge(
    quotes: pl.DataFrame, latest: pl.DataFrame, closes: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """QUOTED with ``reasons``, why a quote is not to be shown: a list, empty for good ones.

    A quote with the stamp of the stored one is good, and no news.

    Args:
        quotes: QUOTED.
        latest: asset_id, quoted_at of what is stored.
        closes: asset_id, session, close: the last one of each, in shares of today.
        now: the present.
    """
    stored = latest.select("asset_id", pl.col("quoted_at").alias("_stored"))
    known = closes.select(
        "asset_id", pl.col("session").alias("_on"), pl.col("close").alias("_close")
    )
    price, stamp = pl.col("price"), pl.col("quoted_at")
    sound = price.is_not_null() & price.is_finite() & (price > 0)
    recent = pl.col("session") - pl.col("_on") <= TOLD_BY
    rules = (
        (NOT_POSITIVE, ~sound),
        (NO_STAMP, stamp.is_null()),
        (FUTURE, stamp > now + AHEAD),
        (NO_SESSION, stamp.is_not_null() & pl.col("session").is_null()),
        (OLDER, stamp < pl.col("_stored")),
        (FAR, sound & recent & ((price / pl.col("_close") - 1).abs() > SPIKE)),
    )
    return (
        quotes.join(stored, on="asset_id", how="left", maintain_order="left")
        .join(known, on="asset_id", how="left", maintain_order="left")
        .with_columns(
            pl.concat_list(
                pl.when(hit.fill_null(value=False)).then(pl.lit(reason)) for reason, hit in rules
            )
            .list.drop_nulls()
            .alias("reasons")
        )
        .select(*QUOTED, "reasons")
    )
