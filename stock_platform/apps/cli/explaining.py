"""``stock-platform explain``: why a price is what it is, or why there is none.

Belongs here: showing it within 100 columns. Does not: finding out (pipeline/explaining.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stock_platform.apps.cli.selection import Json

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 96


def explain(
    ticker: Annotated[str, typer.Argument(help="A ticker in any common spelling.")],
    day: Annotated[str, typer.Argument(metavar="DATE", help="Such as 2024-01-31.")],
    *,
    rules: Annotated[
        bool, typer.Option("--rules", help="Also what every rule said of every quote.")
    ] = False,
    json: Json = False,
) -> None:
    """Tell why a ticker's price of a day is what it is: sources, rules, choice, calls."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import read_date, read_tickers
    from stock_platform.pipeline.explaining import explain as gather
    from stock_platform.pipeline.runtime import Platform

    (name,) = read_tickers([ticker])
    when = read_date("date", day)
    with Platform.reading() as platform:
        facts = gather(platform, name, when)
    if json:
        output.show_json(facts)
    else:
        _show(facts, rules=rules)


def _show(facts: Mapping[str, Any], *, rules: bool) -> None:
    import textwrap

    from stock_platform.apps.cli import output

    asset = facts["asset"]
    name = f", {asset['name']}" if asset["name"] else ""
    money = f" ({asset['currency']})" if asset["currency"] else ""
    typer.echo(f"{asset['ticker']}{name} on {facts['date']}{money}")
    for sentence in facts["story"]:
        lines = textwrap.wrap(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ")
        typer.echo("\n".join(lines))
    rows = [
        [q["source"], how, *(_num(bar[k]) for k in ("open", "high", "low", "close", "volume"))]
        for q in facts["quotes"]
        for how, bar in (("as it came", q["as_it_came"]), ("as traded", q["as_traded"]))
        if bar is not None
    ]
    price, adjusted = facts["price"], facts["adjusted"]
    if price:
        bars = {"price": price, "by splits": adjusted["splits"], "by all": adjusted["all"]}
        rows += [
            ["->", how, *(_num(bar[k]) for k in ("open", "high", "low", "close", "volume"))]
            for how, bar in bars.items()
        ]
    if rows:
        output.show_table(["source", "", "open", "high", "low", "close", "volume"], rows)
    if facts["actions"]:
        output.show_table(
            ["ex-date", "action", "value", "told by"],
            [[a["ex_date"], a["kind"], a["value"], a["sources"]] for a in facts["actions"]],
        )
    for q in facts["quotes"]:
        call = q["call"]
        if call:
            words = (
                f"{q['source']}: call {call['fetch_id']} ({call['tile']}), {call['status']}, "
                f"run {call['run_id'] or 'none'}"
            )
            typer.echo("\n".join(textwrap.wrap(words, WIDTH)))
        counts: dict[str, int] = {}
        for r in q["rules"]:
            counts[r["verdict"]] = counts.get(r["verdict"], 0) + 1
        said = ", ".join(f"{n} {word}" for word, n in counts.items())
        typer.echo(f"{q['source']}: rules: {said}")
        if rules:
            output.show_table(
                ["rule", "level", "verdict", "detail"],
                [
                    [r["rule"], r["level"], r["verdict"], textwrap.shorten(r["detail"], 44)]
                    for r in q["rules"]
                ],
            )


def _num(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"
