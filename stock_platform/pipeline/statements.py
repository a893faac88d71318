"""A broker's statement: transactions from a CSV file.

Belongs here: reading rows, naming the line of what is wrong. Does not: storing (portfolio.py).

Columns, in any order and case, further ones are ignored: ``ticker`` (or symbol), ``side`` (buy or
sell; or action, type), ``quantity`` (shares, units), ``price``, ``date`` (executed_at,
trade_date), and perhaps ``currency``, ``fee`` (commission), ``user``, ``external_id`` (id,
order_id).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from stock_platform.domain.errors import InputError
from stock_platform.pipeline.portfolio import Order

COLUMNS: dict[str, tuple[str, ...]] = {
    "ticker": ("ticker", "symbol"),
    "side": ("side", "action", "type"),
    "quantity": ("quantity", "shares", "units", "qty"),
    "price": ("price", "unit_price"),
    "executed_at": ("executed_at", "date", "trade_date", "time"),
    "currency": ("currency",),
    "fee": ("fee", "fees", "commission"),
    "user": ("user", "user_id"),
    "external_id": ("external_id", "id", "order_id", "transaction_id"),
}
_NEEDED = ("ticker", "side", "quantity", "price", "executed_at")
_SIDES = {"b": "buy", "bought": "buy", "purchase": "buy", "s": "sell", "sold": "sell"}


def read_statement(path: Path, user: str) -> list[tuple[int, Order]]:
    """The orders of a file, each with the number of its line.

    Args:
        path: a CSV file with a header; commas or semicolons.
        user: of rows that name none.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError("file", str(path), f"give a readable CSV file ({why})") from None
    return read_statement_text(text, str(path), user)


def read_statement_text(text: str, name: str, user: str) -> list[tuple[int, Order]]:
    """``read_statement`` of a file's text; ``name`` is what errors call it.

    Raises:
        InputError: it has no header, or lacks a column.
    """
    lines = text.splitlines()
    head = lines[0] if lines else ""
    rows = list(csv.reader(lines, delimiter=";" if head.count(";") > head.count(",") else ","))
    if not rows:
        raise InputError("file", name, "give a CSV file with a header and rows")
    places = _places(name, rows[0])
    return [
        (number, _order(row, places, user))
        for number, row in enumerate(rows[1:], start=2)
        if any(cell.strip() for cell in row)
    ]


def _places(name_of_file: str, header: Sequence[str]) -> dict[str, int]:
    given = {name.strip().lower().replace(" ", "_"): at for at, name in enumerate(header)}
    places = {}
    for name, spellings in COLUMNS.items():
        found = [given[s] for s in spellings if s in given]
        if found:
            places[name] = found[0]
        elif name in _NEEDED:
            raise InputError(
                "file",
                name_of_file,
                f"give it a column {' or '.join(spellings)}; it has {', '.join(given) or 'none'}",
            )
    return places


def _order(row: Sequence[str], places: dict[str, int], user: str) -> Order:
    def cell(name: str) -> str:
        at = places.get(name)
        return row[at].strip() if at is not None and at < len(row) else ""

    side = cell("side").lower()
    return Order(
        user=cell("user") or user,
        ticker=cell("ticker"),
        side=_SIDES.get(side, side),
        quantity=cell("quantity"),
        price=cell("price").removeprefix("$"),
        executed_at=cell("executed_at"),
        currency=cell("currency") or None,
        fee=cell("fee").removeprefix("$") or 0,
        external_id=cell("external_id") or None,
    )
