"""Rows of a vendor's directory, gathered: one a symbol, the others rejected with a reason.

Belongs here: what every reader of a directory does with its rows. Does not: anything of one
vendor's form.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from stock_platform.domain.errors import Malformed, UnknownSymbol
from stock_platform.sources.payload import rejected_frame, rejected_row

Row = Mapping[str, object]


class Gathered:
    """Rows read so far; ``source`` and ``what`` (the directory) are for messages."""

    def __init__(self, source: str, what: str) -> None:
        self._source = source
        self._what = what
        self._found: dict[str, Row] = {}
        self._rejected: list[dict[str, object]] = []

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._found

    def add(self, raw: object, row: Row) -> None:
        """Take ``row``, made of ``raw``; a second one that says the same is no news.

        One that differs is rejected.
        """
        symbol = str(row["symbol"])
        if self._found.setdefault(symbol, row) != row:
            self.reject(raw, "another row of the same symbol", symbol)

    def reject(self, raw: object, reason: str, symbol: str | None = None) -> None:
        """Leave ``raw`` out, with the reason."""
        self._rejected.append(rejected_row(raw, reason, symbol=symbol))

    def frames(self, schema: Mapping[str, pl.DataType]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows in ``schema``, sorted by symbol, and REJECTED.

        Raises:
            Malformed: there are rows, and none can be read.
        """
        if self._rejected and not self._found:
            reasons = self._rejected[0]["reasons"]
            raise Malformed(
                self._source,
                f"none of {len(self._rejected)} rows of {self._what} can be read: {reasons}",
            )
        made = [[self._found[s].get(name) for name in schema] for s in sorted(self._found)]
        return (
            pl.DataFrame(made, schema=dict(schema), orient="row"),
            rejected_frame(self._rejected),
        )


def only(
    source: str, frames: tuple[pl.DataFrame, pl.DataFrame], symbol: str | None, where: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both frames, or the rows of one symbol in them.

    Raises:
        UnknownSymbol: ``symbol`` is not among them; ``where`` was looked.
    """
    if symbol is None:
        return frames
    frame, rejected = (frame.filter(pl.col("symbol") == symbol) for frame in frames)
    if frame.is_empty():
        raise UnknownSymbol(source, symbol, f"not in {where}")
    return frame, rejected
