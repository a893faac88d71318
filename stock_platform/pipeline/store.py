"""``open_store``: prices for Python users, adjusted on read.

Belongs here: the public reading API. Does not: SQL (storage/readers.py), adjustment
(domain/corporate_actions.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Literal, Self

import polars as pl

from stock_platform.domain.aggregates import to_periods
from stock_platform.domain.bars import Adjust, Interval
from stock_platform.domain.corporate_actions import SPLITS, apply_adjustments
from stock_platform.domain.errors import InputError
from stock_platform.domain.reconciling import Kind
from stock_platform.domain.symbols import parse_symbol
from stock_platform.pipeline.bulk import BulkReads, as_date, as_moment, as_span
from stock_platform.settings import Settings, load_settings
from stock_platform.storage import actions, readers
from stock_platform.storage import assets as catalog
from stock_platform.storage.connection import Database
from stock_platform.storage.quotes import latest as latest_quotes
from stock_platform.storage.series import series as read_series

LONGEST_PERIOD = timedelta(days=31)
PERIODS = {"1wk": "weekly", "1mo": "monthly"}


class Store(BulkReads):
    """Prices, corporate actions and coverage of one database. Use as a context manager."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def prices(
        self,
        tickers: str | Iterable[str],
        start: date | str | None = None,
        end: date | str | None = None,
        *,
        adjust: str = "none",
        interval: str = "1d",
        as_of: datetime | date | str | None = None,
    ) -> pl.DataFrame:
        """Validated prices, by ticker and then by time.

        Args:
            tickers: one ticker or several, in any common spelling.
            start: first session; None is the first there is.
            end: last session, inclusive; None is the last there is.
            adjust: "none" as traded, "splits", or "all" (splits and dividends, CRSP-style).
            interval: a bar's length: 1m, 5m, 15m, 1h or 1d; or 1wk, 1mo.
            as_of: prices and actions as this database knew them then: at a moment (UTC
                where it has no zone), or at the end of a day in UTC. None: now.

        Returns:
            Columns ticker, ts (UTC, bar start), session (exchange's local date), open,
            high, low, close, volume, vwap, source, flags. Weekly and monthly bars have
            period (first calendar day), sessions and last_session instead of ts, vwap,
            source and flags, and session is the period's last session.

        Raises:
            InputError: an unknown ticker, inverted dates, an interval or adjustment that
                does not exist.
        """
        wanted = [tickers] if isinstance(tickers, str) else list(tickers)
        mode = Adjust.parse(adjust)
        first, last = as_span(start, end)
        moment = as_moment("as_of", as_of)
        return self.of_assets(self._names(wanted), first, last, mode, interval, moment).drop(
            "asset_id"
        )

    def of_assets(
        self,
        names: pl.DataFrame,
        first: date | None,
        last: date | None,
        mode: Adjust,
        interval: str,
        moment: datetime | None = None,
    ) -> pl.DataFrame:
        """``prices`` of assets with the names to show: asset_id, then the columns of ``prices``.

        ``names`` holds asset_id and ticker, one row an asset, though two assets may have had one
        ticker; the others are as for ``prices``.

        Raises:
            InputError: an interval that does not exist.
        """
        names = names.sort("ticker", "asset_id")  # bars come in this order
        asset_ids = names["asset_id"].to_list()
        if interval not in PERIODS:
            bar = Interval.parse(interval)
            stored = readers.prices(self._db, asset_ids, first, last, bar, moment)
            frame = self._adjusted(stored, mode, moment)
        elif mode is Adjust.ALL or moment is not None:
            frame = self._derived_periods(asset_ids, interval, first, last, mode, moment)
        else:
            stored = readers.periods(self._db, asset_ids, PERIODS[interval], first, last)
            frame = self._adjusted(stored, mode)
        named = frame.join(names, on="asset_id", how="left", maintain_order="left")
        if interval in PERIODS or moment is not None:
            named = named.sort("ticker", "asset_id", "period" if interval in PERIODS else "ts")
        return named.select("asset_id", "ticker", pl.exclude("ticker", "asset_id", "interval"))

    def quotes(self, tickers: str | Iterable[str] | None = None) -> pl.DataFrame:
        """The newest price of each ticker, or of all that have one, by ticker.

        Returns:
            Columns ticker, price, previous_close, volume, currency, quoted_at (the exchange's
            stamp, UTC), session, source, stored_at, age_seconds (from the stamp to stored).

        Raises:
            InputError: an unknown ticker.
        """
        ids = None
        if tickers is not None:
            wanted = [tickers] if isinstance(tickers, str) else list(tickers)
            ids = list(self._resolve(wanted).values())
        return latest_quotes(self._db, ids).drop("asset_id")

    def series(
        self,
        ids: str | Iterable[str],
        start: date | str | None = None,
        end: date | str | None = None,
        *,
        as_of: date | str | None = None,
    ) -> pl.DataFrame:
        """Values of economic series, by id and date.

        Args:
            ids: one id or several, such as GDP.
            start: first date.
            end: last date, inclusive.
            as_of: as the values were known on that day; None: the newest.

        Returns:
            Columns series_id, source, date, value (null: published as missing), known_from.

        Raises:
            InputError: a date that is none.
        """
        wanted = [ids] if isinstance(ids, str) else list(ids)
        return read_series(
            self._db,
            [name.strip().upper() for name in wanted],
            as_date("start", start),
            as_date("end", end),
            as_date("as_of", as_of),
        )

    def splits(
        self, tickers: str | Iterable[str], *, as_of: datetime | date | str | None = None
    ) -> pl.DataFrame:
        """Splits in force: ticker, ex_date, ratio (4-for-1: 4.0), source.

        Raises:
            InputError: an unknown ticker, or ``as_of`` is no date.
        """
        return self._actions(tickers, "split", as_of)

    def dividends(
        self, tickers: str | Iterable[str], *, as_of: datetime | date | str | None = None
    ) -> pl.DataFrame:
        """Dividends in force as paid: ticker, ex_date, amount (cash a share), currency, source.

        Raises:
            InputError: an unknown ticker, or ``as_of`` is no date.
        """
        return self._actions(tickers, "dividend", as_of)

    def _actions(
        self, tickers: str | Iterable[str], kind: Kind, as_of: datetime | date | str | None
    ) -> pl.DataFrame:
        moment = as_moment("as_of", as_of)
        ids = self._resolve([tickers] if isinstance(tickers, str) else list(tickers))
        frame = actions.in_force(self._db, list(ids.values()), kind, moment)
        names = pl.DataFrame(
            {"asset_id": list(ids.values()), "ticker": list(ids.keys())},
            schema={"asset_id": pl.Int32(), "ticker": pl.String()},
        )
        return (
            names.join(frame, on="asset_id")
            .sort("ticker", "ex_date")
            .select("ticker", "ex_date", *actions.TOLD[kind].compared, "source")
        )

    def _adjusted(
        self, frame: pl.DataFrame, mode: Adjust, as_of: datetime | None = None
    ) -> pl.DataFrame:
        if mode is Adjust.NONE or frame.is_empty():
            return frame
        ids = frame["asset_id"].unique().to_list()
        return apply_adjustments(
            frame,
            readers.splits(self._db, ids, as_of),
            readers.dividends(self._db, ids, as_of),
            mode,
            closes=readers.closes_before_dividends(self._db, ids, as_of),
        )

    def _derived_periods(
        self,
        asset_ids: list[int],
        interval: str,
        first: date | None,
        last: date | None,
        mode: Adjust,
        as_of: datetime | None,
    ) -> pl.DataFrame:
        """Periods of days that are adjusted first, or were known then.

        A dividend inside a period divides it, too.
        """
        every: Literal["1w", "1mo"] = "1w" if interval == "1wk" else "1mo"
        days = readers.prices(
            self._db,
            asset_ids,
            first and first - LONGEST_PERIOD,
            last and last + LONGEST_PERIOD,
            as_of=as_of,
        )
        if mode is Adjust.ALL:
            adjusted = self._adjusted(days, mode, as_of)
            frame = to_periods(adjusted, pl.DataFrame(schema=SPLITS), every)
        else:
            frame = to_periods(days, readers.splits(self._db, asset_ids, as_of), every)
        frame = frame.filter(
            pl.col("last_session") >= (first or date.min),
            pl.col("first_session") <= (last or date.max),
        ).with_columns(pl.col("last_session").alias("session"))
        return frame if mode is Adjust.ALL else self._adjusted(frame, mode, as_of)

    def _resolve(self, tickers: list[str]) -> dict[str, int]:
        if not tickers:
            raise InputError("tickers", tickers, "name at least one ticker")
        canonical = [parse_symbol(t).ticker for t in tickers]
        found = catalog.resolve_any(self._db, canonical)
        for ticker in canonical:
            if ticker not in found:
                raise catalog.unknown_ticker(self._db, ticker)
        return {t: found[t] for t in canonical}

    def close(self) -> None:
        """Close the connections."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_store(url: str | None = None) -> Store:
    """The store at ``url``, or at the reader's, ``DATABASE_URL`` or the embedded server.

    ``STOCK_PLATFORM_READER_URL`` names the same database for a user who only reads. As the
    reader nothing can be written, and no statement takes longer than
    ``STOCK_PLATFORM_READER_TIMEOUT_SECONDS``.
    """
    settings = load_settings(**({"database_url": url} if url else {}))
    if url is None and settings.reader_url is not None:
        return Store(reading_database(settings))
    return Store(Database(settings.resolve_database_url()))


def reading_database(settings: Settings) -> Database:
    """The database for surfaces that only read: as the reader, if one is set."""
    session = {}
    if settings.reader_url is not None:
        session["default_transaction_read_only"] = "on"
        if settings.reader_timeout_seconds:
            session["statement_timeout"] = f"{round(settings.reader_timeout_seconds * 1000)}ms"
    return Database(settings.resolve_reader_url(), "stock_platform_reader", session=session)
