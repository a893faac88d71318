"""The request planner: from missing cells to the calls that get them.

Belongs here: the planner's public names. Does not: running a plan (pipeline/).
"""

from stock_platform.domain.planning.model import Plan, PlanAsset, Uncovered
from stock_platform.domain.planning.planner import plan

__all__ = ["Plan", "PlanAsset", "Uncovered", "plan"]
