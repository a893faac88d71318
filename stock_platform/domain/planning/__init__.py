"""The request planner: from missing cells to the calls that get them.

Belongs here: the planner's public names. Does not: running a plan (pipeline/).
"""

from stock_platform.domain.planning.model import Plan, PlanAsset, Uncovered
from stock_platform.domain.planning.planner import plan
from stock_platform.domain.planning.simulate import Event, Way, compare, simulate

__all__ = ["Event", "Plan", "PlanAsset", "Uncovered", "Way", "compare", "plan", "simulate"]
