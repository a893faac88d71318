"""A person's decision about a row in quarantine, and what follows from it at once.

Belongs here: what may be decided, judging cells again. Does not: what a decision means to the
rules (domain/validation/decisions.py), its record (storage/decisions.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stock_platform.domain.bars import Interval
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError
from stock_platform.domain.validation.decisions import NEVER
from stock_platform.storage import decisions
from stock_platform.storage.decisions import Decision

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform


def decide(
    platform: Platform, quarantine_id: str, verdict: Decision, reason: str, by: str
) -> dict[str, Any]:
    """Accept or reject a row in quarantine; its cell is judged again at once.

    Args:
        platform: the database, clock and rules.
        quarantine_id: the entry's id, or its first characters.
        verdict: accept makes the row the validated price; reject keeps it out.
        reason: why, in a few words.
        by: who decides.

    Returns:
        The entry after it (storage.decisions.entry).

    Raises:
        InputError: no such entry, no reason, or a row that can never be a price.
    """
    if not reason.strip():
        raise InputError("reason", reason, "say why in a few words")
    if not by.strip():
        raise InputError("by", by, "name the person who decides")
    given = decisions.entry(platform.db, quarantine_id)
    broken = sorted(NEVER & set(given["reasons"]))
    if verdict == "accept" and (given["stage"] == "parse" or broken):
        why = ", ".join(broken) or "it could not be read"
        raise InputError("id", quarantine_id, f"reject it: no price can be such a row ({why})")
    at = platform.clock.now()
    decisions.decide(platform.db, given["quarantine_id"], verdict, reason.strip(), by.strip(), at)
    if given["stage"] == "validation" and given["asset_id"] and given["session"]:
        cell = CellGrid.from_pairs(
            [(given["asset_id"], given["session"])], Interval(given["interval"])
        )
        judge_again(platform, cell)
    return decisions.entry(platform.db, given["quarantine_id"])


def judge_again(platform: Platform, cells: CellGrid) -> int:
    """Judge cells, and derive again what prices of theirs enter; prices that became others."""
    changed, judged = 0, [cells]
    for batch in platform.validate(cells):
        changed += platform.write_validated(batch).updated
        judged.append(batch.grid)
    if cells.interval is Interval.DAY:
        platform.refresh_indicators(CellGrid.union([grid for grid in judged if grid]))
    return changed
