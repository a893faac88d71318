"""What changed between what is known and a directory of today.

Belongs here: telling listings, delistings, renames, reused tickers, re-listings and new names
apart, by evidence. Does not: merging sources (snapshot.py), writing (storage/catalog.py). Pure.

A ticker alone proves nothing: companies change theirs, and others take them over. So an asset
and a row of the directory are the same one by the best evidence there is:

    1.00  the same FIGI of the share class
    0.98  the same CIK, and the same kind of share, of which neither side has another
    0.96  the same name, word by word, and no other security has it
    0.92  the same issuer and kind of share (``CSW Industrials, Inc. Common Stock``), alone
    0.5-0.8  like names: reported, never applied

Only evidence of ``CERTAIN`` or more renames. A ticker that both sides have stays its asset's,
under whatever name, unless FIGI or CIK contradict it, or a share became a fund with another
name, or its asset is found elsewhere by certain evidence (GOOG became GOOGL the day another
class took GOOG). Assets never seen in a directory (a watchlist's fund) are not judged missing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import polars as pl

from stock_platform.domain.catalog.names import issuer, likeness, same_name, words
from stock_platform.domain.catalog.snapshot import SNAPSHOT

Row = Mapping[str, Any]

CERTAIN = 0.9
DOUBTFUL = 0.5
LIKE = 0.5
"""Overlap of names from which a rename is worth reporting."""

UNLIKE = 0.6
"""Likeness below which two names are of different issuers."""

FORGOTTEN = timedelta(days=30)
"""After which a ticker without any name or number is taken for another asset's."""

_FACTS = ("name", "exchange", "asset_class", "currency", "cik", "figi", "isin")

KNOWN: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "symbol": pl.String(),  # the current or the last ticker
    "valid_from": pl.Date(),  # from which it has it
    "name": pl.String(),
    "exchange": pl.String(),
    "asset_class": pl.String(),
    "kind": pl.String(),
    "cik": pl.String(),
    "figi": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "active": pl.Boolean(),
    "last_seen": pl.Date(),  # the last directory that had it; null: none did
}

CHANGES: dict[str, pl.DataType] = {
    "kind": pl.String(),  # Kind
    "asset_id": pl.Int32(),  # null: a new asset
    "ticker": pl.String(),
    "former_ticker": pl.String(),
    "on": pl.Date(),  # from when; the last session of a delisting
    "earliest": pl.Date(),  # it may have been from this day on; null: ``on`` is exact
    "name": pl.String(),
    "former_name": pl.String(),
    "exchange": pl.String(),
    "former_exchange": pl.String(),
    "evidence": pl.String(),
    "score": pl.Float64(),
    "applied": pl.Boolean(),
}


class Kind(StrEnum):
    """What happened to an asset."""

    LISTED = "listed"
    DELISTED = "delisted"
    RENAMED = "renamed"  # another ticker
    REUSED = "reused"  # its ticker is another asset's now
    RELISTED = "relisted"
    NAMED = "named"  # another name, the same ticker
    MOVED = "moved"  # another exchange


@dataclass(frozen=True)
class CatalogDiff:
    """What a directory changes.

    Attributes:
        changes: CHANGES; ``applied`` is False for what is doubtful.
        same: asset_id, and SNAPSHOT: who every known row is.
        new: SNAPSHOT, and ``valid_from`` (null: the catalog's first fill, since ever).
    """

    changes: pl.DataFrame
    same: pl.DataFrame
    new: pl.DataFrame

    def counts(self) -> dict[str, int]:
        """Applied changes by kind; ``doubtful``: renames that were not applied."""
        done = self.changes.filter("applied")["kind"].to_list()
        found = {str(kind): Counter(done)[str(kind)] for kind in Kind}
        return found | {"doubtful": self.changes.height - len(done)}


def compare(
    known: pl.DataFrame,
    snapshot: pl.DataFrame,
    *,
    as_of: date,
    previous: date | None = None,
    last_session: date | None = None,
    whole: bool = True,
) -> CatalogDiff:
    """What ``snapshot`` changes in what is ``known``.

    Args:
        known: KNOWN; active and delisted assets.
        snapshot: SNAPSHOT of what is listed.
        as_of: the day of the snapshot.
        previous: the day of the one before; None: this is the first.
        last_session: the last one that a missing symbol may have traded on; default: ``as_of``.
        whole: the snapshot has all there is, so that what is missing is delisted.
    """
    work = _Comparison(known, snapshot, as_of, previous, last_session or as_of, whole=whole)
    return work.run()


class _Comparison:
    def __init__(
        self,
        known: pl.DataFrame,
        snapshot: pl.DataFrame,
        as_of: date,
        previous: date | None,
        last_session: date,
        *,
        whole: bool,
    ) -> None:
        active = known.filter("active").unique("symbol", keep="first", maintain_order=True)
        self.held: dict[str, Row] = {r["symbol"]: r for r in active.iter_rows(named=True)}
        self.rows: dict[str, Row] = {r["symbol"]: r for r in snapshot.iter_rows(named=True)}
        self.past: dict[str, list[Row]] = {}
        for row in known.filter(~pl.col("active")).iter_rows(named=True):
            self.past.setdefault(row["symbol"], []).append(row)
        self.as_of, self.last_session, self.whole = as_of, last_session, whole
        self.first = previous is None
        earliest = previous + timedelta(days=1) if previous else None
        self.earliest = earliest if earliest and earliest < as_of else None
        self.pairs: dict[str, Row] = {}  # ticker of the row: the asset it is
        self.changes: list[dict[str, Any]] = []

    def run(self) -> CatalogDiff:
        self._stay()
        self._find_renamed()
        self._come_back()
        paired = {asset["asset_id"] for asset in self.pairs.values()}
        gone = [a for a in self.held.values() if a["asset_id"] not in paired]
        fresh = [row for ticker, row in self.rows.items() if ticker not in self.pairs]
        self._doubts([a for a in gone if a["last_seen"]], fresh)
        for asset in gone:
            self._leave(asset)
        for row in fresh:
            self._arrive(row)
        for ticker, asset in self.pairs.items():
            self._compare_facts(asset, self.rows[ticker])
        return self._result(fresh)

    # ---- who is who ----

    def _stay(self) -> None:
        """Pair what has the same ticker on both sides, unless something contradicts it."""
        for ticker, asset in self.held.items():
            row = self.rows.get(ticker)
            if row is not None and contradiction(asset, row) is None:
                self.pairs[ticker] = asset

    def _find_renamed(self) -> None:
        """Pair assets and rows under different tickers, the best evidence first.

        Besides those left over, tickers that have another name now may be taken apart, if the
        old name, or the FIGI, is found under another ticker.
        """
        moved = {t: a for t, a in self.pairs.items() if _may_have_moved(a, self.rows[t])}
        taken = {a["asset_id"] for t, a in self.pairs.items() if t not in moved}
        gone = [a for a in self.held.values() if a["asset_id"] not in taken]
        fresh = [r for t, r in self.rows.items() if t not in self.pairs or t in moved]
        for key, score, words_for_it in _EVIDENCE:
            assets = _alone(gone, key, self.held.values())
            rows = _alone(fresh, key, self.rows.values())
            for value in assets.keys() & rows.keys():
                asset, row = assets[value], rows[value]
                if asset["symbol"] == row["symbol"] or not _may_be(asset, row):
                    continue
                stays = asset["symbol"] in moved or (
                    row["symbol"] in moved and _told(moved[row["symbol"]])
                )
                if stays and key not in (_figi, _name):
                    continue
                if self.pairs.get(asset["symbol"]) is asset:
                    del self.pairs[asset["symbol"]]
                self.pairs[row["symbol"]] = asset
                self._note(
                    Kind.RENAMED,
                    asset,
                    row,
                    evidence=f"{words_for_it}: {_shown(value)}",
                    score=score,
                )
                gone.remove(asset)
                fresh.remove(row)

    def _come_back(self) -> None:
        """Pair new rows with assets that were delisted under their ticker and are the same."""
        for ticker, row in self.rows.items():
            if ticker in self.pairs:
                continue
            for asset in sorted(self.past.get(ticker, ()), key=_gone_on, reverse=True):
                why = _same_again(asset, row, self.as_of)
                if why is not None:
                    self.pairs[ticker] = asset
                    self._note(Kind.RELISTED, asset, row, evidence=why, score=0.95)
                    break

    def _doubts(self, gone: list[Row], fresh: list[Row]) -> None:
        """Report the likeliest renames among what is left, without applying them.

        Rare words weigh more: two companies are not alike for being Acquisition Corp.
        """
        if not self.whole or not gone or not fresh:
            return
        rare = _Rarity(r["name"] for r in (*self.held.values(), *self.rows.values()))
        told = [(row, rare.words_of(row["name"])) for row in fresh]
        for asset in gone:
            own = rare.words_of(asset["name"])
            alike = [
                (found, row["symbol"], row)
                for row, theirs in told
                if row["kind"] == asset["kind"] and (found := rare.overlap(own, theirs)) >= LIKE
            ]
            for found, _, row in sorted(alike, key=lambda pair: (-pair[0], pair[1]))[:1]:
                self._note(
                    Kind.RENAMED,
                    asset,
                    row,
                    evidence="like names, not proof",
                    score=round(DOUBTFUL + 0.3 * found, 2),
                    applied=False,
                )

    # ---- what happened ----

    def _leave(self, asset: Row) -> None:
        row = self.rows.get(asset["symbol"])
        if row is not None:
            why = contradiction(asset, row) or "its ticker is another asset's"
            self._note(Kind.REUSED, asset, row, on=self.last_session, evidence=why, score=0.95)
        elif self.whole and asset["last_seen"] is not None:
            self._note(
                Kind.DELISTED,
                asset,
                asset,
                on=asset["delisted_on"] or self.last_session,
                evidence="not in the directory any more",
                score=0.95,
            )

    def _arrive(self, row: Row) -> None:
        if self.first and not self.past.get(row["symbol"]) and row["symbol"] not in self.held:
            return  # the first fill is no news
        self._note(Kind.LISTED, None, row, on=row["listed_on"] or self.as_of,
                   evidence=f"new in {row['source']}", score=1.0)  # fmt: skip

    def _compare_facts(self, asset: Row, row: Row) -> None:
        if asset["name"] and row["name"] and not same_name(asset["name"], row["name"]):
            self._note(Kind.NAMED, asset, row, evidence="the same ticker or number", score=1.0)
        if asset["exchange"] and row["exchange"] and asset["exchange"] != row["exchange"]:
            self._note(Kind.MOVED, asset, row, evidence="the same asset", score=1.0)

    def _note(
        self,
        kind: Kind,
        asset: Row | None,
        row: Row,
        *,
        evidence: str,
        score: float,
        on: date | None = None,
        applied: bool = True,
    ) -> None:
        old: Row = asset or {}
        renamed = bool(asset) and old["symbol"] != row["symbol"]
        exact = kind in (Kind.LISTED, Kind.DELISTED) and (row["listed_on"] or row["delisted_on"])
        self.changes.append(
            {
                "kind": str(kind),
                "asset_id": old.get("asset_id"),
                "ticker": row["symbol"],
                "former_ticker": old["symbol"] if renamed else None,
                "on": on or self.as_of,
                "earliest": None if exact else self.earliest,
                "name": row["name"],
                "former_name": old.get("name"),
                "exchange": row["exchange"],
                "former_exchange": old.get("exchange"),
                "evidence": evidence,
                "score": score,
                "applied": applied,
            }
        )

    def _result(self, fresh: Iterable[Row]) -> CatalogDiff:
        changes = pl.DataFrame(self.changes, schema=CHANGES, orient="row")
        same = pl.DataFrame(
            [{"asset_id": a["asset_id"], **self.rows[t]} for t, a in sorted(self.pairs.items())],
            schema={"asset_id": pl.Int32(), **SNAPSHOT},
            orient="row",
        )
        new = pl.DataFrame(
            [
                {**row, "valid_from": None if self._since_ever(row) else self._began(row)}
                for row in sorted(fresh, key=lambda r: str(r["symbol"]))
            ],
            schema={**SNAPSHOT, "valid_from": pl.Date()},
            orient="row",
        )
        order = {str(kind): rank for rank, kind in enumerate(Kind)}
        ranked = changes.with_columns(
            pl.col("kind").replace_strict(order, return_dtype=pl.Int8).alias("rank")
        ).sort("rank", "ticker", maintain_order=True)
        return CatalogDiff(ranked.drop("rank"), same, new)

    def _since_ever(self, row: Row) -> bool:
        """Whether nothing says that the ticker was not always this asset's."""
        ticker = row["symbol"]
        return self.first and ticker not in self.held and not self.past.get(ticker)

    def _began(self, row: Row) -> date:
        """The day from which a ticker is a new asset's: the last directory did not have it."""
        day: date = row["listed_on"] or self.earliest or self.as_of
        taken = [a["delisted_on"] for a in self.past.get(row["symbol"], ()) if a["delisted_on"]]
        if row["symbol"] in self.held:  # reused: the holder keeps what was its own
            taken.append(self.last_session)
        began: date = max([day, *(last + timedelta(days=1) for last in taken)])
        return began


def contradiction(asset: Row, row: Row) -> str | None:
    """Why a row with an asset's ticker is another asset, or None."""
    if asset["figi"] and row["figi"]:
        same = asset["figi"] == row["figi"]
        return None if same else f"another FIGI: {asset['figi']}, now {row['figi']}"
    if not _other_issuer(asset, row):
        return None
    if asset["cik"] and row["cik"] and asset["cik"] != row["cik"]:
        return f"another CIK and issuer: {asset['cik']}, now {row['cik']}"
    if asset["asset_class"] != row["asset_class"] and {
        asset["asset_class"], row["asset_class"],
    } == {"stock", "etf"} and likeness(asset["name"], row["name"]) < UNLIKE:  # fmt: skip
        return f"a {asset['asset_class']} became a {row['asset_class']} with another name"
    return None


def _may_have_moved(asset: Row, row: Row) -> bool:
    """Whether an asset is perhaps not the row that has its ticker."""
    if not _told(asset):  # registered by hand: it says nothing of itself
        return asset["last_seen"] is None
    if asset["figi"] and row["figi"]:
        return False
    return bool(asset["name"] and row["name"]) and not same_name(asset["name"], row["name"])


def _told(row: Row) -> bool:
    return bool(row["name"] or row["figi"] or row["cik"])


def _other_issuer(asset: Row, row: Row) -> bool:
    if not asset["name"] or not row["name"]:
        return False
    return issuer(asset["name"]) != issuer(row["name"])


def _may_be(asset: Row, row: Row) -> bool:
    """Whether numbers that both have do not say otherwise."""
    if asset["figi"] and row["figi"]:
        return bool(asset["figi"] == row["figi"])
    if asset["asset_class"] != row["asset_class"]:
        return False
    same_number = not (asset["cik"] and row["cik"]) or asset["cik"] == row["cik"]
    return same_number or same_name(asset["name"], row["name"])


def _same_again(asset: Row, row: Row, as_of: date) -> str | None:
    """Why a delisted asset and a row with its ticker are one, or None."""
    if contradiction(asset, row) is not None:
        return None
    for name, what in (("figi", "FIGI"), ("cik", "CIK")):
        if asset[name] and row[name]:
            same = asset[name] == row[name] and asset["kind"] == row["kind"]
            return f"the same {what} again: {row[name]}" if same else None
    if asset["name"] and row["name"]:
        same = issuer(asset["name"]) == issuer(row["name"]) and asset["kind"] == row["kind"]
        return "the same name again" if same else None
    last = asset["delisted_on"] or asset["last_seen"]
    if last is not None and as_of - last <= FORGOTTEN:
        return f"the same ticker again, last seen {last}"
    return None


def _gone_on(asset: Row) -> date:
    day: date | None = asset["delisted_on"] or asset["last_seen"]
    return day or date.min


class _Rarity:
    """How much words of names tell: those that few names have, the most."""

    def __init__(self, names: Iterable[str | None]) -> None:
        self._count = Counter(word for name in names for word in set(words(name or "").split()))
        self._most = max(2, sum(self._count.values()))

    def words_of(self, name: str | None) -> dict[str, float]:
        """The words of an issuer's name with their weights."""
        found = set(issuer(name or "").split())
        return {word: math.log(self._most / (1 + self._count[word])) ** 2 for word in found}

    def overlap(self, one: Mapping[str, float], other: Mapping[str, float]) -> float:
        """The weight of the words they share, of all they have; 0 to 1."""
        both = sum(weight for word, weight in one.items() if word in other)
        either = sum({**one, **other}.values())
        return both / either if either else 0.0


def _figi(row: Row) -> object:
    return row["figi"] or None


def _cik(row: Row) -> object:
    kind = row["kind"]
    return (row["cik"], kind) if row["cik"] and not _is_many(kind) else None


def _name(row: Row) -> object:
    return (words(row["name"]), row["kind"]) if row["name"] else None


def _issuer(row: Row) -> object:
    kind = row["kind"]
    if not row["name"] or not (kind == "adr" or kind.startswith("common")):
        return None
    return (issuer(row["name"]), kind)


def _is_many(kind: str) -> bool:
    """Kinds of which one filer has many that only their names tell apart."""
    return kind == "etf" or kind.startswith(("preferred", "note", "warrant", "right", "unit"))


_EVIDENCE: tuple[tuple[Callable[[Row], object], float, str], ...] = (
    (_figi, 1.0, "the same FIGI"),
    (_cik, 0.98, "the same CIK and kind of share"),
    (_name, 0.96, "the same name"),
    (_issuer, 0.92, "the same issuer and kind of share"),
)


def _alone(
    candidates: Iterable[Row], key: Callable[[Row], object], everyone: Iterable[Row]
) -> dict[object, Row]:
    """The candidates by key whose key nobody else of their side has."""
    count = Counter(value for row in everyone if (value := key(row)) is not None)
    found = ((key(row), row) for row in candidates)
    return {value: row for value, row in found if value is not None and count[value] == 1}


def _shown(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
