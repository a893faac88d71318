"""People's decisions about quotes that failed, and how validation honours them.

Belongs here: whether a decision still stands, what it changes, what no decision can change. Does
not: storing them (storage/decisions.py), rules (rules.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS, UTC_STAMP

ACCEPTED = "accepted_by_person"
"""The flag of a price that is one by a person's decision; the rules it failed stand beside it."""

REJECTED = "rejected_by_person"
"""The reason of a quote that stays in quarantine by a person's decision."""

NEVER = frozenset(
    {
        "missing_price", "missing_key", "number_out_of_bounds", "not_as_traded",
        "price_not_positive", "high_below_low", "open_outside_range", "close_outside_range",
        "volume_negative", "stamp_in_future", "not_a_session", "unstorable_number",
    }
)  # fmt: skip
"""Rules that every validated price fulfils: nobody can accept a row that fails one of them."""

KEY = ["asset_id", "interval", "source", "ts"]

COMPARED = [*PRICE_COLUMNS, "volume", "basis"]

# Decisions that stand, with the raw quote as it was when a person judged it.
DECISIONS: dict[str, pl.DataType] = {
    "decision_id": pl.Int64(),
    "verdict": pl.String(),  # accept, reject
    "asset_id": pl.Int32(),
    "interval": pl.String(),
    "source": pl.String(),
    "ts": UTC_STAMP,
    **dict.fromkeys((*PRICE_COLUMNS, "volume"), pl.Float64()),
    "basis": pl.String(),
}


@dataclass(frozen=True)
class Decisions:
    """Decisions about some raw quotes.

    Attributes:
        standing: asset_id, interval, source, ts and _decided (accept, reject).
        void: ids of those whose raw quote is another one now.
    """

    standing: pl.DataFrame
    void: tuple[int, ...] = ()


def standing(raw: pl.DataFrame, decisions: pl.DataFrame) -> Decisions:
    """Which of ``decisions`` (DECISIONS) hold for ``raw`` (RAW_QUOTES); others are void.

    Decisions about quotes that are not in ``raw`` are neither.
    """
    if decisions.is_empty():
        return Decisions(decisions.select(*KEY, pl.col("verdict").alias("_decided")))
    both = decisions.join(raw.select(*KEY, *COMPARED), on=KEY, how="inner", suffix="_now")
    same = pl.all_horizontal(pl.col(c).eq_missing(pl.col(f"{c}_now")) for c in COMPARED)
    return Decisions(
        both.filter(same).select(*KEY, pl.col("verdict").alias("_decided")),
        tuple(both.filter(~same)["decision_id"].to_list()),
    )


def honour(judged: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    """Judged quotes with people's decisions applied, and ``_accepted``.

    The rules that an accepted quote failed become its flags, unless one of them is of NEVER:
    then the quote stays out. A rejected quote fails ``rejected_by_person`` besides.

    Args:
        judged: quotes with reasons and flags (lists of rules).
        decided: ``Decisions.standing``.
    """
    if decided.is_empty():
        return judged.with_columns(pl.lit(value=False).alias("_accepted"))
    known = judged.join(decided, on=KEY, how="left", maintain_order="left")
    bearable = pl.col("reasons").list.set_intersection(sorted(NEVER)).list.len() == 0
    accepted = ((pl.col("_decided") == "accept") & bearable).fill_null(value=False)
    rejected = (pl.col("_decided") == "reject").fill_null(value=False)
    known = known.with_columns(accepted.alias("_accepted"), rejected.alias("_rejected"))
    one = pl.List(pl.String)
    return known.with_columns(
        pl.when("_accepted")
        .then(pl.concat_list("flags", "reasons", pl.lit([ACCEPTED], one)))
        .otherwise(pl.col("flags"))
        .alias("flags"),
        pl.when("_accepted")
        .then(pl.lit([], one))
        .when("_rejected")
        .then(pl.concat_list("reasons", pl.lit([REJECTED], one)))
        .otherwise(pl.col("reasons"))
        .alias("reasons"),
    ).drop("_decided", "_rejected")
