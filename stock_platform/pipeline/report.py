"""What a fetch did, in numbers that a person and a test can check.

Belongs here: the report and progress of one fetch. Does not: printing them (apps/),
metadata (orchestration/).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """A moment of a fetch: cells done of cells asked for, calls made by source."""

    asked: int
    done: int
    rows: int
    calls: dict[str, int]
    planned_calls: int
    expected_seconds: float


ProgressCallback = Callable[[Progress], None]


@dataclass
class FetchReport:
    """The account of one fetch.

    Attributes:
        cells: cells of the grid. already: settled before it began. asked: the rest.
        states: cells asked for by the state this fetch left them in.
        reasons: cells not stored, by "state: reason".
        calls: HTTP requests by source, as counted against quotas.
        rows: raw rows delivered (surplus included).
        doubted: cells whose bar cannot be true, for which other sources were asked too.
        failures: failed calls by "source: status".
        rate_limited: 429s met, and calls put off for want of quota.
        shared: tiles another run had fetched in the meantime.
        unknown_symbols: tickers in whole-market answers that belong to no asset.
        sources: how each source fares when the fetch ends, as ``router.account`` tells.
        plan: the first plan as data (calls by source, bounds, expected finish).
    """

    cells: int = 0
    already: int = 0
    asked: int = 0
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    cached: int = 0
    rows: int = 0
    rejected: int = 0
    doubted: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    rate_limited: int = 0
    shared: int = 0
    discovered: int = 0
    unknown_symbols: set[str] = field(default_factory=set)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)

    @property
    def total_calls(self) -> int:
        """HTTP requests of all sources."""
        return sum(self.calls.values())

    @property
    def unsettled(self) -> int:
        """Cells asked for that still need a call: failed or waiting."""
        return self.states["failed"] + self.states["waiting"]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "cells": self.cells,
            "already": self.already,
            "asked": self.asked,
            "states": dict(self.states),
            "reasons": dict(self.reasons.most_common(20)),
            "calls": dict(self.calls),
            "total_calls": self.total_calls,
            "cached": self.cached,
            "rows": self.rows,
            "rejected": self.rejected,
            "doubted": self.doubted,
            "failures": dict(self.failures),
            "rate_limited": self.rate_limited,
            "shared": self.shared,
            "discovered": self.discovered,
            "unknown_symbols": sorted(self.unknown_symbols)[:50],
            "sources": self.sources,
            "plan": self.plan,
        }
