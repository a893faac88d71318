"""The store's reading of many tickers at once: latest prices, wide frames, streams.

Belongs here: shapes for a whole market. Does not: prices of chosen tickers and how they are
adjusted (store.py), SQL (storage/readers.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time

import numpy as np
import polars as pl

from stock_platform.domain.bars import VALIDATED_PRICES, Adjust, Interval
from stock_platform.domain.errors import InputError, one_of
from stock_platform.storage import assets as catalog
from stock_platform.storage import readers
from stock_platform.storage.connection import Database

DATE_LENGTH = len("2024-01-31")
FIELDS = ("close", "open", "high", "low", "volume", "vwap")
ROWS = readers.STREAM_ROWS


class BulkReads(ABC):
    """What ``Store`` reads for many tickers; ``tickers=None`` means every active one."""

    _db: Database

    def latest(
        self,
        tickers: str | Iterable[str] | None = None,
        *,
        until: date | str | None = None,
        interval: str = "1d",
        as_of: datetime | date | str | None = None,
    ) -> pl.DataFrame:
        """The last price of each ticker, as traded, by ticker.

        Args:
            tickers: None is every active asset.
            until: the last session that counts; None is the last there is.
            interval: a bar's length: 1m, 5m, 15m, 1h or 1d.
            as_of: as for ``prices``: what this database knew then; None: now.

        Returns:
            Columns of ``prices``; tickers without a price are left out.

        Raises:
            InputError: an unknown ticker, a date or an interval that is none.
        """
        bar, last = Interval.parse(interval), as_date("until", until)
        moment = as_moment("as_of", as_of)
        names = self._names(tickers)
        ids = names["asset_id"].to_list()
        frame = readers.latest(self._db, ids, bar, until=last, as_of=moment)
        return _named(frame, names).sort("ticker")

    def wide(
        self,
        tickers: str | Iterable[str] | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
        *,
        field: str = "close",
        adjust: str = "none",
        interval: str = "1d",
    ) -> pl.DataFrame:
        """One value of each bar as a matrix: a row a session, a column a ticker.

        Args:
            tickers: None is every active asset.
            start: first session.
            end: last session, inclusive.
            field: close, open, high, low, volume or vwap.
            adjust: as for ``prices``.
            interval: as for ``prices``, but for weeks and months.

        Returns:
            ``session`` (``ts`` for bars shorter than a day), ascending, and a column a ticker
            that has any price, by name; null where there is no bar.

        Raises:
            InputError: as for ``prices``; a field that does not exist.
        """
        if field not in FIELDS:
            raise InputError("field", field, one_of(FIELDS))
        index = "ts" if Interval.parse(interval).intraday else "session"
        frames = self.stream(tickers, start, end, adjust=adjust, interval=interval)
        return as_matrix(frames, index, field)

    def stream(
        self,
        tickers: str | Iterable[str] | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
        *,
        adjust: str = "none",
        interval: str = "1d",
        rows: int = ROWS,
    ) -> Iterator[pl.DataFrame]:
        """What ``prices`` gives, in frames: for results larger than memory.

        Prices of all frames are of one moment. A connection is held until the end; close the
        iterator to leave early.

        Args:
            tickers: None is every active asset.
            start: first session.
            end: last session, inclusive.
            adjust: as for ``prices``.
            interval: as for ``prices``, but for weeks and months.
            rows: of a frame, about: a ticker, or its session where bars are shorter than a
                day, is not torn. By ticker, then by time.

        Raises:
            InputError: as for ``prices``, at once; ``rows`` below 1.
        """
        mode, bar = Adjust.parse(adjust), Interval.parse(interval)
        first, last = as_span(start, end)
        if rows < 1:
            raise InputError("rows", str(rows), "use a number from 1")
        names = self._names(tickers)
        return self._stream(names, first, last, mode, bar, rows)

    def _stream(
        self,
        names: pl.DataFrame,
        first: date | None,
        last: date | None,
        mode: Adjust,
        bar: Interval,
        rows: int,
    ) -> Iterator[pl.DataFrame]:
        ids = names["asset_id"].to_list()
        for frame in readers.stream_prices(self._db, ids, first, last, bar, rows=rows):
            yield _named(self._adjusted(frame, mode), names)

    def _names(self, tickers: str | Iterable[str] | None) -> pl.DataFrame:
        """asset_id and ticker, by ticker, one row an asset."""
        if tickers is None:
            known = catalog.universe(self._db)
            names = known.select("asset_id", "ticker")
        else:
            found = self._resolve([tickers] if isinstance(tickers, str) else list(tickers))
            names = pl.DataFrame(
                {"asset_id": list(found.values()), "ticker": list(found)},
                schema={"asset_id": pl.Int32(), "ticker": pl.String()},
            ).unique("asset_id", keep="first", maintain_order=True)
        return names.sort("ticker")

    def resolve(self, tickers: Iterable[str]) -> dict[str, int]:
        """Asset ids by canonical ticker.

        Raises:
            InputError: a ticker that is not in the database, or none at all.
        """
        return self._resolve(list(tickers))

    def span(self, ticker: str, interval: str = "1d") -> tuple[date, date] | None:
        """The first and last session of a ticker's stored bars; None: it has none.

        Raises:
            InputError: an unknown ticker, or an interval that is none.
        """
        found = list(self._resolve([ticker]).values())
        return readers.session_span(self._db, found, Interval.parse(interval))

    @abstractmethod
    def _resolve(self, tickers: list[str]) -> dict[str, int]:
        """Asset ids by canonical ticker. Raises InputError."""

    @abstractmethod
    def _adjusted(self, frame: pl.DataFrame, mode: Adjust) -> pl.DataFrame:
        """Prices after adjustment, rows in their order."""


def as_matrix(frames: Iterable[pl.DataFrame], index: str, field: str) -> pl.DataFrame:
    """``index``, ascending, and a column a ticker with its values of ``field``, by name.

    Numbers are put in their places in one array, which takes a tenth of what a pivot does.
    """
    columns: dict[str, int] = {}
    empty = np.zeros(0, dtype=np.int64)
    times, places, values = [empty], [empty], [np.zeros(0)]
    for frame in frames:
        runs = frame["ticker"].rle().struct.unnest()
        codes = [columns.setdefault(name, len(columns)) for name in runs["value"]]
        places.append(np.repeat(np.array(codes, dtype=np.int64), runs["len"].to_numpy()))
        times.append(frame[index].to_physical().to_numpy().astype(np.int64))
        values.append(frame[field].to_numpy())  # null is NaN there
    at, rows = np.unique(np.concatenate(times), return_inverse=True)
    matrix = np.full((len(columns), len(at)), np.nan)
    matrix[np.concatenate(places), rows] = np.concatenate(values)
    kind = VALIDATED_PRICES[index]
    physical = pl.Int32() if kind == pl.Date() else pl.Int64()
    return pl.DataFrame(
        [
            pl.Series(index, at).cast(physical).cast(kind),
            *(
                pl.Series(name, matrix[columns[name]], dtype=pl.Float64(), nan_to_null=True)
                for name in sorted(columns)
            ),
        ]
    )


def as_span(start: date | str | None, end: date | str | None) -> tuple[date | None, date | None]:
    """First and last session, either of them open. Raises InputError."""
    first, last = as_date("start", start), as_date("end", end)
    if first and last and first > last:
        raise InputError("start", str(first), f"use a date up to the end, {last}")
    return first, last


def as_date(parameter: str, value: date | str | None) -> date | None:
    """A date from ISO text. Raises InputError."""
    if value is None or isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise InputError(parameter, value, "use a date like 2024-01-31") from None


def as_moment(parameter: str, value: datetime | date | str | None) -> datetime | None:
    """An aware instant: a stamp's (UTC where it has no zone), or the end of a day in UTC.

    Raises:
        InputError: text that is neither.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = (
                date.fromisoformat(value)
                if len(value) <= DATE_LENGTH
                else datetime.fromisoformat(value)
            )
        except ValueError:
            raise InputError(
                parameter, value, "use a date or a time like 2024-01-31 or 2024-01-31T21:00Z"
            ) from None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time.max, UTC)


def _named(frame: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    joined = frame.join(names, on="asset_id", how="left", maintain_order="left")
    return joined.select("ticker", pl.exclude("ticker", "asset_id", "interval"))
