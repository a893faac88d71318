"""Portfolios, from what people type to stored transactions.

Belongs here: checking orders whole and giving them an asset, a currency and a day. Does not:
SQL (storage/portfolio.py), lots and returns (domain/portfolio), data: nobody waits for any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.clock import Clock
from stock_platform.domain.errors import InputError
from stock_platform.domain.portfolio.transactions import (
    Side,
    Transaction,
    check_not_future,
    read_currency,
    read_number,
    read_user,
)
from stock_platform.domain.symbols import Symbol, default_calendar, default_currency, parse_symbol
from stock_platform.storage import assets
from stock_platform.storage import portfolio as book
from stock_platform.storage.connection import Database

EARLIEST = date(1900, 1, 1)


@dataclass(frozen=True)
class Order:
    """A transaction as people write it; everything but the fields without default may be left out.

    Attributes:
        ticker: in any common spelling.
        quantity, price, fee: numbers, or text of numbers.
        executed_at: a date, or a date and time with its zone (without: the exchange's); None: now.
            A date alone stands for noon at the exchange.
        currency: None: the asset's.
    """

    user: str
    ticker: str
    side: str
    quantity: str | float | Decimal
    price: str | float | Decimal
    executed_at: str | date | datetime | None = None
    currency: str | None = None
    fee: str | float | Decimal = 0
    external_id: str | None = None


def enter_orders(
    db: Database, clock: Clock, orders: Sequence[Order], *, new_tickers: bool = False
) -> book.Entered:
    """Check orders and store them, all or none; what they start happens elsewhere.

    A ticker that the catalog lacks is registered where there is no catalog of the market yet
    (its first fetch tells whether it exists), or with ``new_tickers``; else it is refused.

    Raises:
        InputError: names the parameter, the value and what is allowed.
    """
    read = [_read(order, clock.now()) for order in orders]
    strict = _only_known(db, new_tickers=new_tickers)
    known = assets.resolve(db, [made.symbol.ticker for made in read])
    unknown = {m.symbol.ticker: m.symbol for m in read if m.symbol.ticker not in known}
    if strict and unknown:
        raise _typo(db, next(iter(unknown)))
    known |= assets.register(
        db,
        [assets.NewAsset(t, s.asset_class, default_calendar(s)) for t, s in unknown.items()],
    )
    table = assets.by_id(db, sorted(set(known.values())))
    currencies = dict(table.select("asset_id", "currency").iter_rows())
    return book.enter(
        db,
        [
            made.transaction(known[made.symbol.ticker], currencies[known[made.symbol.ticker]])
            for made in read
        ],
    )


def check_orders(
    db: Database, clock: Clock, orders: Sequence[Order], *, new_tickers: bool = False
) -> dict[int, InputError]:
    """What is wrong with each of the orders by itself, by its place in the list.

    Whether all of them together sell more than is held is found when they are entered.
    """
    wrong: dict[int, InputError] = {}
    read: dict[int, _Read] = {}
    for at, order in enumerate(orders):
        try:
            read[at] = _read(order, clock.now())
        except InputError as error:
            wrong[at] = error
    strict = _only_known(db, new_tickers=new_tickers)
    known = assets.resolve(db, [made.symbol.ticker for made in read.values()])
    for at, made in read.items():
        if strict and made.symbol.ticker not in known:
            wrong[at] = _typo(db, made.symbol.ticker)
    return dict(sorted(wrong.items()))


@dataclass(frozen=True)
class _Read:
    """An order that is right by itself."""

    symbol: Symbol
    user: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    currency: str | None
    executed_at: datetime
    trade_date: date
    external_id: str | None

    def transaction(self, asset_id: int, currency: str | None) -> Transaction:
        return Transaction(
            user_id=self.user,
            asset_id=asset_id,
            side=self.side,
            quantity=self.quantity,
            price=self.price,
            currency=self.currency or currency or default_currency(self.symbol),
            fee=self.fee,
            executed_at=self.executed_at,
            trade_date=self.trade_date,
            external_id=self.external_id,
        )


def _read(order: Order, now: datetime) -> _Read:
    symbol = parse_symbol(order.ticker)
    external = order.external_id.strip() if order.external_id else None
    if external and (len(external) > 200 or not external.isprintable()):
        raise InputError("external_id", external[:40], "use at most 200 printable characters")
    at, day = _when(order.executed_at, default_calendar(symbol), now)
    return _Read(
        symbol=symbol,
        user=read_user(order.user),
        side=Side.parse(order.side),
        quantity=read_number("quantity", order.quantity),
        price=read_number("price", order.price, zero=True),
        fee=read_number("fee", order.fee, zero=True),
        currency=read_currency(order.currency) if order.currency else None,
        executed_at=at,
        trade_date=day,
        external_id=external or None,
    )


def _only_known(db: Database, *, new_tickers: bool) -> bool:
    """Whether tickers that the catalog lacks are refused.

    To be found before tickers are resolved: what others register meanwhile can make a catalog,
    and is in it then.
    """
    return not new_tickers and assets.has_catalog(db)


def _typo(db: Database, ticker: str) -> InputError:
    near = assets.similar(db, ticker)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return InputError(
        "ticker", ticker, f"{hint}use a ticker of the catalog, or say that it is new (--new-ticker)"
    )


def _when(
    value: str | date | datetime | None, calendar: str, now: datetime
) -> tuple[datetime, date]:
    """The instant in UTC, and its date at the exchange."""
    zone = ZoneInfo(get_calendar(calendar).zone)
    at = _instant(value, zone, now)
    day = at.astimezone(zone).date()
    if day < EARLIEST:
        raise InputError("executed_at", str(value), f"use a date from {EARLIEST} on")
    alone = isinstance(value, date) and not isinstance(value, datetime)
    if isinstance(value, str) and len(value.strip()) == len("2024-01-31"):
        alone = True
    if alone and day == now.astimezone(zone).date():
        at = min(at, now)
    check_not_future(at, now)
    return at, day


def _instant(value: str | date | datetime | None, zone: ZoneInfo, now: datetime) -> datetime:
    if value is None:
        return now
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InputError(
                "executed_at", value, "use a date like 2024-01-31, or 2024-01-31T15:30:00-05:00"
            ) from None
        if value.time() == time(0) and value.tzinfo is None:
            value = value.date()
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(12), zone)
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InputError("executed_at", str(value), "use a date of our time") from None


def transaction_row(t: Transaction, ticker: str) -> dict[str, Any]:
    """A transaction as the command line and the API show it; ``date`` is the trade date."""
    return {
        "id": t.transaction_id,
        "user": t.user_id,
        "ticker": ticker,
        "side": str(t.side),
        "quantity": float(t.quantity),
        "price": float(t.price),
        "fee": float(t.fee),
        "currency": t.currency,
        "date": t.trade_date,
        "executed_at": t.executed_at,
        "external_id": t.external_id,
    }
