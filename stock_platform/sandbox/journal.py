"""What the sandbox was asked: counts and a log that a test can assert on.

Belongs here: counting. Does not: limits (``limits`` counts arrivals), API keys (an account
appears as a label such as ``key-1``).
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CallRecord:
    """One call: ``at`` is epoch seconds of arrival; ``fault`` a fault's kind, or None."""

    at: float
    vendor: str
    endpoint: str
    symbol: str
    tile: str
    account: str
    status: int
    fault: str | None
    cells: int
    seconds: float


class Journal:
    """Calls by vendor, endpoint and status; cells; tiles asked more than once."""

    def __init__(self, keep: int) -> None:
        self._lock = threading.Lock()
        self._log: deque[CallRecord] = deque(maxlen=keep)
        self._calls: Counter[tuple[str, str, int]] = Counter()
        self._cells: Counter[str] = Counter()
        self._tiles: Counter[tuple[str, str]] = Counter()
        self._faults: Counter[tuple[str, str]] = Counter()

    def add(self, record: CallRecord) -> None:
        """Count one call."""
        with self._lock:
            self._log.append(record)
            self._calls[record.vendor, record.endpoint, record.status] += 1
            self._cells[record.vendor] += record.cells
            if record.fault:
                self._faults[record.vendor, record.fault] += 1
            if record.status == 200 and not record.fault:
                self._tiles[record.vendor, record.tile] += 1

    def report(self, log: bool = False) -> dict[str, Any]:
        """Totals by vendor.

        ``calls``, ``by_endpoint`` (endpoint -> status -> calls), ``by_status``, ``cells``,
        ``tiles`` (different good answers), ``repeated`` (calls for a tile that had already
        been answered well), ``faults`` (kind -> calls); ``log`` when asked for.
        """
        with self._lock:
            vendors: dict[str, Any] = {}
            for (vendor, endpoint, status), count in sorted(self._calls.items()):
                entry = vendors.setdefault(
                    vendor, {"calls": 0, "by_endpoint": {}, "by_status": {}, "faults": {}}
                )
                entry["calls"] += count
                entry["by_endpoint"].setdefault(endpoint, {})[str(status)] = count
                entry["by_status"][str(status)] = entry["by_status"].get(str(status), 0) + count
            for vendor, entry in vendors.items():
                asked = [n for (v, _), n in self._tiles.items() if v == vendor]
                entry["cells"] = self._cells[vendor]
                entry["tiles"] = len(asked)
                entry["repeated"] = sum(asked) - len(asked)
            for (vendor, kind), count in self._faults.items():
                vendors[vendor]["faults"][kind] = count
            made: dict[str, Any] = {
                "calls": sum(e["calls"] for e in vendors.values()),
                "cells": sum(e["cells"] for e in vendors.values()),
                "vendors": vendors,
            }
            if log:
                made["log"] = [asdict(record) for record in self._log]
            return made

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._log.clear()
            for counter in (self._calls, self._cells, self._tiles, self._faults):
                counter.clear()
