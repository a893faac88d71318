"""The Dagster code location.

Belongs here: the one object that Dagster loads. Does not: anything else
(orchestration/build.py).
"""

from stock_platform.orchestration.build import build_definitions

defs = build_definitions()
