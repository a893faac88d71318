"""The demo: a market filled offline, through the real thing, with what goes wrong on the way.

Belongs here: the demo's world (world.py), its steps (steps.py), its account (account.py,
words.py), the comparison with the sandbox's truth (truth.py). Does not: anything the platform
itself needs; options (cli/demo.py).
"""

from __future__ import annotations

from stock_platform.apps.demo.steps import run_demo

__all__ = ["run_demo"]
