"""How the tables of bars are partitioned, compressed and dropped.

Belongs here: the choices and their checks. Does not: applying them (setup.py).

The defaults follow a measurement of 15.2 million daily bars (6,000 symbols x 10 years): chunks
of a year take 142 bytes a row before compression and 43 after, chunks of a month 75 after, and
chunks of a week more after than before. Minutes come 390 times as often, so a week of them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stock_platform.domain.errors import InputError, one_of
from stock_platform.storage.tables import PRICE_TABLES, RAW_TABLES

TABLES = (*RAW_TABLES, *PRICE_TABLES)
"""The tables that TimescaleDB partitions, within the schema ``stocks``."""

SEGMENTS = {
    "raw_quotes": ("asset_id", "interval", "source"),
    "raw_intraday": ("asset_id", "interval", "source"),
    "validated_prices": ("asset_id", "interval"),
    "intraday_prices": ("asset_id", "interval"),
}
"""What a compressed batch of rows has in common: reads and writes name it and so find theirs."""

_CHUNK_DAYS = {
    "raw_quotes": 365,
    "validated_prices": 365,
    "raw_intraday": 7,
    "intraday_prices": 7,
}
_COMPRESS_AFTER_DAYS = {
    "raw_quotes": 45,
    "validated_prices": 45,
    "raw_intraday": 14,
    "intraday_prices": 14,
}
_LEAST = 7
_MOST = 36_500


@dataclass(frozen=True)
class TimescaleOptions:
    """What to apply, in days by the name of the table; what is not named has its default.

    Attributes:
        chunk_days: the time that one chunk spans; changing it concerns new chunks only.
        compress_after_days: how long after its end a chunk is compressed. Late corrections
            should have come by then: they are possible after, and cost more.
        retention_days: how long bars are kept; a table that is not named keeps them for ever.

    Raises:
        InputError: an unknown table, or a number of days that is not allowed.
    """

    chunk_days: Mapping[str, int] = field(default_factory=dict)
    compress_after_days: Mapping[str, int] = field(default_factory=dict)
    retention_days: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (
            ("chunk_days", 1),
            ("compress_after_days", 1),
            ("retention_days", _LEAST),
        ):
            for table, days in getattr(self, name).items():
                if table not in TABLES:
                    raise InputError(f"{name}: table", table, one_of(TABLES))
                if not least <= days <= _MOST:
                    allowed = f"{table} takes {least} to {_MOST:,} days"
                    raise InputError(name, days, allowed)

    def chunk(self, table: str) -> int:
        """Days that a chunk of the table spans."""
        return self.chunk_days.get(table, _CHUNK_DAYS[table])

    def compress_after(self, table: str) -> int:
        """Days from a chunk's end to its compression."""
        return self.compress_after_days.get(table, _COMPRESS_AFTER_DAYS[table])

    def retention(self, table: str) -> int | None:
        """Days that bars are kept; None: for ever."""
        return self.retention_days.get(table)
