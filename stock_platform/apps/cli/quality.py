"""``stock-platform quality``: how good the stored prices are.

Belongs here: showing scores, gaps and their trend. Does not: scoring (pipeline/scoring.py),
gathering (pipeline/quality.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN_GAPS = 20


def quality(
    ticker: Annotated[
        str | None, typer.Argument(help="One ticker, as of now; default: all, as scored last.")
    ] = None,
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Score first what changed since the last time.")
    ] = False,
    fill: Annotated[
        bool,
        typer.Option("--fill", help="Ask first for what gaps lack, within spare quota; score."),
    ] = False,
    json: Json = False,
) -> None:
    """Show quality scores from 0 to 100, gaps with their reasons, and how they went."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.pipeline.filling import fill_gaps
    from stock_platform.pipeline.quality import of_ticker, overview
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.pipeline.scoring import score

    names = read_tickers([ticker] if ticker else [])
    with Platform.from_settings() as platform:
        report = fill_gaps(platform) if fill else None
        if refresh or fill:
            score(platform)
        facts = of_ticker(platform, names[0]) if names else overview(platform)
    if report is not None:
        facts["fill"] = report.to_dict()
        output.note(
            f"{report.filled:,} sessions filled with {report.calls.total():,} calls, "
            f"{report.halts:,} proven halts, {report.left:,} left for another day"
        )
    if json:
        output.show_json(facts)
    elif names:
        _show_ticker(facts)
    else:
        _show_overview(facts)


def _show_overview(facts: Mapping[str, Any]) -> None:
    from stock_platform.apps.cli import output

    if facts["scored_at"] is None or facts["changed_since"]:
        since = f"{facts['changed_since']:,} assets changed since the last scoring"
        output.note(
            f"{since if facts['scored_at'] else 'nothing was scored yet'}: "
            "stock-platform quality --refresh"
        )
    if facts["scored_at"] is None:
        return
    _scores("scope", facts["scopes"], title=f"Scored {facts['scored_at']:%Y-%m-%d %H:%MZ}")
    _scores("ticker", facts["worst_tickers"], title=f"Lowest of {facts['tickers']:,} tickers")
    if not facts["worst_tickers"]:
        output.note(f"all {facts['tickers']:,} tickers score 100")
    _scores("source", facts["sources"])
    if facts["gaps"]:
        output.show_table(
            ["gaps because", "gaps", "sessions"],
            [[g["reason"], g["gaps"], g["sessions"]] for g in facts["gaps"]],
        )
    _trend([{"of": row["scope"], **row} for row in facts["trend"]])


def _show_ticker(facts: Mapping[str, Any]) -> None:
    from stock_platform.apps.cli import output

    if facts["scores"] is None:
        output.note(f"nothing was asked for of {facts['ticker']}")
        return
    _scores("ticker", [{"ticker": facts["ticker"], **facts["scores"]}])
    _scores("source", facts["sources"])
    output.show_table(
        ["year", "expected", "stored", "priced", "doubted", "quarantined"],
        [
            [str(y["year"]), y["expected"], y["stored"], y["priced"], y["doubted"], y["aside"]]
            for y in facts["years"]
        ],
    )
    if facts["rules"]:
        output.show_table(["rule", "sessions"], [[k, v] for k, v in facts["rules"].items()])
    show_gaps(facts["gaps"])
    if facts["doubted"]:
        days = " ".join(str(day) for day in facts["doubted"])
        output.note(f"doubted or quarantined last: {days} (explain {facts['ticker']} DATE)")
    _trend([{"of": facts["ticker"], **row} for row in facts["trend"]])


def show_gaps(gaps: Sequence[Mapping[str, Any]]) -> None:
    """Gaps as a table; of many, the first ones."""
    from stock_platform.apps.cli import output

    if gaps:
        output.show_table(
            ["gap", "from", "to", "sessions", "said by"],
            [
                [g["reason"], g["start"], g["end"], g["sessions"], ", ".join(g.get("sources", []))]
                for g in gaps[:SHOWN_GAPS]
            ],
        )
        if len(gaps) > SHOWN_GAPS:
            output.note(f"and {len(gaps) - SHOWN_GAPS:,} more; --json has all")


def _scores(name: str, rows: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
    from stock_platform.apps.cli import output

    if rows:
        keys = ("overall", "completeness", "accuracy", "consistency", "timeliness")
        output.show_table(
            [name, "overall", "complete", "accurate", "consistent", "timely", "cells", "newest"],
            [
                [r[name], *(_number(r[k]) for k in keys), r["expected"], r["last_session"]]
                for r in rows
            ],
            title=title,
        )


def _trend(rows: Sequence[Mapping[str, Any]]) -> None:
    from stock_platform.apps.cli import output

    if len(rows) > 1:
        keys = ("overall", "completeness", "accuracy", "consistency", "timeliness")
        output.show_table(
            ["day", "of", "overall", "complete", "accurate", "consistent", "timely"],
            [[r["day"], r["of"], *(_number(r[k]) for k in keys)] for r in rows],
            title="How it went",
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
