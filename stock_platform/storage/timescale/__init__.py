"""TimescaleDB, where the server has it: partitions by time, compression, aggregates, retention.

Belongs here: what the rest of the platform calls. Does not: how (state.py, setup.py,
conversion.py, aggregates.py).

Everything works on plain PostgreSQL too, under the same names of tables and views.
"""

from __future__ import annotations

from stock_platform.storage.timescale.conversion import Advance
from stock_platform.storage.timescale.options import TABLES, TimescaleOptions
from stock_platform.storage.timescale.setup import Step, cancel, set_up, set_up_fresh
from stock_platform.storage.timescale.state import (
    Extension,
    TableState,
    TimescaleStatus,
    detect,
    timescale_status,
)

__all__ = [
    "TABLES",
    "Advance",
    "Extension",
    "Step",
    "TableState",
    "TimescaleOptions",
    "TimescaleStatus",
    "cancel",
    "detect",
    "set_up",
    "set_up_fresh",
    "timescale_status",
]
