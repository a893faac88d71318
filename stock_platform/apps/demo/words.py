"""What happened in the demo, in words.

Belongs here: printing. Does not: knowing (account.py).
"""

from __future__ import annotations

from typing import Any

from stock_platform.apps.cli.output import (
    console,
    duration,
    plural,
    show_pairs,
    show_table,
)


def say(text: str) -> None:
    """A step, on stdout."""
    console().print(text, markup=False, soft_wrap=True)


def show(facts: dict[str, Any]) -> None:
    """Print the account."""
    rows = {f"{scope['scope']} filled": _filled(scope) for scope in facts["scopes"]}
    rows |= {
        "calls": f"{_by(facts['calls'], facts['total_calls'])}; one per ticker would be "
        f"{facts['one_call_per_ticker']:,}, one per ticker and day "
        f"{facts['one_call_per_ticker_and_day']:,}",
        "limits": f"{plural(facts['violations'], 'violation')}{_limits(facts)}",
        "faults": _faults(facts),
        "quarantined": _quarantined(facts["quarantine"]),
        "against the truth": _truth(facts["truth"]),
        "time": _time(facts),
    }
    console().print()
    show_pairs(rows, title="What happened")
    console().print()
    show_table(
        ["ticker", "session", "close as traded", "close adjusted", "dividend"],
        [list(row.values()) for row in facts["prices"]],
        title="Stored as traded, adjusted on read",
    )
    if facts["problems"]:
        for problem in facts["problems"]:
            console().print(f"fell short: {problem}", style="bold red", markup=False)
    else:
        console().print("All as it should be.", style="bold green")


def _filled(scope: dict[str, Any]) -> str:
    states = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in scope["states"].items())
    before = scope["expected"] - scope["needed"]
    text = (
        f"{scope['assets']:,} assets x {scope['sessions']:,} sessions, {scope['expected']:,} "
        f"cells: {states}"
    )
    if not scope["runs"]:
        return f"{text}; nothing was left to do"
    if before:
        text += f"; {before:,} were there before (the call that lists the symbols brings a session)"
    runs = ", ".join(run.partition("-")[0] for run in scope["runs"])
    return f"{text}; run {runs}, {scope['partitions']:,} partitions, {duration(scope['seconds'])}"


def _by(counts: dict[str, int], total: int) -> str:
    parts = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))
    return f"{total:,}" + (f" ({parts})" if parts else "")


def _limits(facts: dict[str, Any]) -> str:
    kept = [f"{name} {' and '.join(every)}" for name, every in facts["limits"].items() if every]
    if not kept:
        return ""
    return f" of {', '.join(kept)}, clocks running {facts['clock_rate']:g} times as fast"


def _faults(facts: dict[str, Any]) -> str:
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in sorted(facts["faults"].items()))
    told = "".join(
        f"; asked to wait {wait['asked']:g} s, called again after {wait['waited']:.1f} s"
        for wait in facts["retry_after"]
        if wait["waited"] is not None
    )
    return (kinds or "none left to meet") + told


def _quarantined(found: dict[str, Any]) -> str:
    reasons = ", ".join(f"{name} {n:,}" for name, n in found["reasons"].items())
    return plural(found["rows"], "row") + (f": {reasons}" if reasons else "")


def _truth(found: dict[str, Any]) -> str:
    text = f"{found['equal']:,} of {found['bars']:,} bars equal"
    if found["in_quarantine"]:
        text += f", {found['in_quarantine']:,} withheld in quarantine"
    wrong = {k: found[k] for k in ("different", "missing", "extra") if found[k]}
    text += "".join(f", {n:,} {kind}" for kind, n in wrong.items())
    if found["under_former_tickers"]:
        text += (
            f"; {found['under_former_tickers']:,} more are of companies renamed or delisted since"
        )
    return text


def _time(facts: dict[str, Any]) -> str:
    parts = ", ".join(f"{s['scope']} {duration(s['seconds'])}" for s in facts["scopes"])
    return f"{duration(facts['seconds'])} in all ({parts})"
