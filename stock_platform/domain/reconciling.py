"""One truth from what several sources tell of splits and dividends.

Belongs here: which tellings are of one action, which of them stands, and what contradicts it.
Does not: keeping tellings (storage/actions.py), applying actions (corporate_actions.py).

Sources agree on most actions. Where they do not, it is mostly a day's difference in the ex-date,
rounded cash, or a total beside one of its parts. So tellings of different sources a few days
apart are taken for one action: a split within a week, whatever its ratio, and a dividend within
four days if the amounts are near each other or the day is the same. What most vendors say stands
(a vendor counts once, however many ways to ask it there are); among equals the source that comes
first in ``TRUST``. A source never contradicts itself: two actions that it tells are two actions.

A telling that lost is a conflict, a row that says who said what; none is dropped. The outcome
depends on what is told alone, not on the order in which it came.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

import polars as pl

Kind = Literal["split", "dividend"]
KINDS: tuple[Kind, ...] = ("split", "dividend")

VALUE: dict[Kind, str] = {"split": "ratio", "dividend": "amount"}
"""The column that holds what a telling says."""

TRUST = (
    "files", "polygon", "tiingo", "alpaca", "alpha_vantage", "finnhub",
    "yahoo", "yfinance_library", "yahoo_page",
)  # fmt: skip
"""Sources, best first: one's own files, then vendors that keep actions as such, then those whose
actions are marks in a chart (Yahoo's cash is adjusted for splits, and rounded). Others follow."""

FAMILIES = {"yfinance_library": "yahoo", "yahoo_page": "yahoo"}
"""Sources that repeat another one: together they have one voice."""

WITHIN: dict[Kind, timedelta] = {"split": timedelta(days=7), "dividend": timedelta(days=4)}
"""How far apart tellings of one action can be: funds pay every week, a weekend is between."""

CONFLICTS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "kind": pl.String(),  # split, dividend
    "ex_date": pl.Date(),  # of the action in force
    "value": pl.Float64(),  # its ratio, or its cash a share
    "source": pl.String(),  # who says otherwise
    "told_ex_date": pl.Date(),
    "told_value": pl.Float64(),
    "told_currency": pl.String(),
    "what": pl.String(),  # which of them differ: date, value, currency
}


@dataclass(frozen=True)
class Reconciled:
    """What stands, and what was said against it.

    Attributes:
        in_force: SPLITS or DIVIDENDS, one row an asset and ex-date, and ``sources``: those that
            agree on the value, in alphabetical order.
        conflicts: CONFLICTS.
    """

    in_force: pl.DataFrame
    conflicts: pl.DataFrame


@dataclass(frozen=True)
class _Telling:
    day: date
    source: str
    value: float
    currency: str | None
    fetched_at: datetime | None
    rank: int

    @property
    def order(self) -> tuple[int, str, date]:
        return (self.rank, self.source, self.day)


@dataclass
class _Claim:
    """Tellings of one value within a few days, of as many sources."""

    tellings: list[_Telling]
    against: list[_Telling] = field(default_factory=list)

    @property
    def sources(self) -> set[str]:
        return {t.source for t in self.tellings}

    @property
    def strength(self) -> tuple[Any, ...]:
        """Sorts the better claim first."""
        best = min(t.order for t in self.tellings)
        return (-len({FAMILIES.get(s, s) for s in self.sources}), *best)

    def chosen(self, taken: set[date]) -> _Telling:
        """The telling whose day and value stand: of the day that most vendors say."""

        def merit(telling: _Telling) -> tuple[Any, ...]:
            same = {FAMILIES.get(t.source, t.source) for t in self.tellings if t.day == telling.day}
            return (telling.day in taken, -len(same), *telling.order)

        return min(self.tellings, key=merit)


def reconcile(told: pl.DataFrame, kind: Kind, trust: Sequence[str] = TRUST) -> Reconciled:
    """What is in force of everything told.

    Args:
        told: SPLITS or DIVIDENDS of any number of assets and sources, one row an asset, ex-date
            and source.
        kind: which of them.
        trust: sources, best first; others come after them, by name.
    """
    value = VALUE[kind]
    columns = [c for c in told.columns if c != "sources"]
    if told.is_empty():
        empty = told.with_columns(pl.lit(None, pl.List(pl.String())).alias("sources"))
        return Reconciled(empty, pl.DataFrame(schema=CONFLICTS))
    ranks = {name: number for number, name in enumerate(trust)}
    runs = _runs(told, kind).with_columns(
        pl.col("source")
        .replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)
        .alias("_rank")
    )
    currencies = pl.col("currency").drop_nulls().n_unique() if kind == "dividend" else pl.lit(1)
    agreed = runs.group_by("_run").agg(
        (
            (pl.col("source").n_unique() == pl.len())
            & (pl.col("ex_date").n_unique() == 1)
            & (currencies <= 1)
            & _near(pl.col(value).min(), pl.col(value).max(), kind)
        ).alias("_agreed"),
        pl.col("source").unique().sort().alias("sources"),
    )
    runs = runs.join(agreed, on="_run", how="left")
    plain = (
        runs.filter("_agreed")
        .sort("_run", "_rank", "source")
        .unique("_run", keep="first", maintain_order=True)
        .select(*columns, "sources")
    )
    disputed = runs.filter(~pl.col("_agreed"))
    settled: list[dict[str, Any]] = []
    conflicts: list[dict[str, Any]] = []
    for (asset_id, _), run in disputed.group_by("asset_id", "_run", maintain_order=True):
        _settle(asset_id, run, kind, settled, conflicts)
    made = pl.DataFrame(settled, schema=plain.schema)
    return Reconciled(
        pl.concat([plain, made]).sort("asset_id", "ex_date"),
        pl.DataFrame(conflicts, schema=CONFLICTS).sort(
            "asset_id", "ex_date", "source", "told_ex_date"
        ),
    )


def _runs(told: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """``told`` with ``_run``, a number shared by tellings close enough to be of one action."""
    ordered = told.unique(["asset_id", "ex_date", "source"], keep="first").sort(
        "asset_id", "ex_date", "source"
    )
    gap = pl.col("ex_date") - pl.col("ex_date").shift(1)
    begins = (pl.col("asset_id") != pl.col("asset_id").shift(1)) | (gap > WITHIN[kind])
    return ordered.with_columns(begins.fill_null(value=True).cum_sum().alias("_run"))


def _near(low: pl.Expr, high: pl.Expr, kind: Kind) -> pl.Expr:
    """``near`` of columns, ``low <= high``."""
    if kind == "split":
        step = pl.max_horizontal(low.log().abs(), high.log().abs())
        return (high / low).log() <= pl.max_horizontal(pl.lit(1e-4), 0.02 * step)
    return high - low <= pl.max_horizontal(
        0.005 * high, pl.min_horizontal(pl.lit(0.0051), 0.05 * high)
    )


def near(a: float, b: float, kind: Kind) -> bool:
    """Whether two values are one, rounded differently.

    Ratios: within a fiftieth of the step they make (1.4983 is 3 for 2). Cash: within half a
    percent, or half a cent of a sum to which that is little.
    """
    low, high = min(a, b), max(a, b)
    if kind == "split":
        step = max(abs(math.log(low)), abs(math.log(high)))
        return math.log(high / low) <= max(1e-4, 0.02 * step)
    return high - low <= max(0.005 * high, min(0.0051, 0.05 * high))


def _settle(
    asset_id: object,
    run: pl.DataFrame,
    kind: Kind,
    settled: list[dict[str, Any]],
    conflicts: list[dict[str, Any]],
) -> None:
    """Add the rows in force and the conflicts of one run in which sources differ."""
    value = VALUE[kind]
    tellings = [
        _Telling(
            row["ex_date"],
            row["source"],
            row[value],
            row.get("currency"),
            row.get("fetched_at"),
            row["_rank"],
        )
        for row in run.iter_rows(named=True)
    ]
    standing: dict[date, _Telling] = {}
    # a claim that knows one day only has it before those that can do with another
    for claim in sorted(
        _contest(_claims(tellings, kind), kind),
        key=lambda c: (len({t.day for t in c.tellings}), c.strength),
    ):
        best = claim.chosen(set(standing))
        if best.day not in standing:
            standing[best.day] = best
            row = {
                "asset_id": asset_id,
                "ex_date": best.day,
                "source": best.source,
                value: best.value,
                "currency": best.currency,
                "fetched_at": best.fetched_at,
                "sources": sorted(claim.sources),
            }
            settled.append({name: row[name] for name in row if name in (*run.columns, "sources")})
        stands = standing[best.day]
        conflicts += [
            {
                "asset_id": asset_id,
                "kind": kind,
                "ex_date": stands.day,
                "value": stands.value,
                "source": telling.source,
                "told_ex_date": telling.day,
                "told_value": telling.value,
                "told_currency": telling.currency,
                "what": differs,
            }
            for telling in (*claim.tellings, *claim.against)
            if (differs := _differences(telling, stands, kind))
        ]


def _claims(tellings: list[_Telling], kind: Kind) -> list[_Claim]:
    """Tellings of near values in one currency, one a source, nearest days first."""
    claims: list[_Claim] = []
    for telling in sorted(tellings, key=lambda t: (t.day, t.order)):
        fits = [
            claim
            for claim in claims
            if telling.source not in claim.sources
            and all(
                near(telling.value, other.value, kind)
                and telling.day - other.day <= WITHIN[kind]
                and not _foreign(telling, other)
                for other in claim.tellings
            )
        ]
        if fits:
            nearest = max(fits, key=lambda c: (c.tellings[-1].day, len(c.tellings)))
            nearest.tellings.append(telling)
        else:
            claims.append(_Claim([telling]))
    return claims


def _contest(claims: list[_Claim], kind: Kind) -> list[_Claim]:
    """The claims that stand, the others' tellings noted against them."""
    standing: list[_Claim] = []
    for claim in sorted(claims, key=lambda c: c.strength):
        rivals = [other for other in standing if _rivals(claim, other, kind)]
        if rivals:
            rivals[0].against += claim.tellings
        else:
            standing.append(claim)
    return standing


def _rivals(a: _Claim, b: _Claim, kind: Kind) -> bool:
    """Whether both cannot be true: no source tells both, and they are too much alike."""
    if a.sources & b.sources:
        return False
    gaps = [abs(x.day - y.day) for x in a.tellings for y in b.tellings]
    if kind == "split":
        return min(gaps) <= WITHIN[kind]
    if min(gaps) == timedelta():
        return True
    low, high = sorted((a.tellings[0].value, b.tellings[0].value))
    return min(gaps) <= WITHIN[kind] and high <= 1.25 * low


def _foreign(a: _Telling, b: _Telling) -> bool:
    return a.currency is not None and b.currency is not None and a.currency != b.currency


def _differences(telling: _Telling, best: _Telling, kind: Kind) -> str:
    found = []
    if telling.day != best.day:
        found.append("date")
    if not near(telling.value, best.value, kind):
        found.append("value")
    if _foreign(telling, best):
        found.append("currency")
    return ", ".join(found)
