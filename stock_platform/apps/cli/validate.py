"""``stock-platform validate`` and ``rules``: what is wrong with prices, and by which rules.

Belongs here: showing findings and rules. Does not: finding (domain/validation), reading
(pipeline/inspecting.py).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stock_platform.apps.cli.selection import Json
from stock_platform.domain.errors import InputError, one_of

if TYPE_CHECKING:
    from stock_platform.pipeline.inspecting import Inspection

SHOWN = 40
WIDTH = 26
"""Of a repair's text, so that a table fits 100 columns; JSON has all of it."""


def validate(
    what: Annotated[str, typer.Argument(help="A CSV or Parquet file, or a stored ticker.")],
    level: Annotated[
        str, typer.Option(help="basic, standard, strict or comprehensive.")
    ] = "comprehensive",
    calendar: Annotated[
        str | None,
        typer.Option(help="Of a file: XNYS, XLON, 24/7, ...; finds gaps and wrong sessions."),
    ] = None,
    asset_class: Annotated[
        str | None, typer.Option(help="Of a file: stock, etf, fund, crypto, fx, commodity, index.")
    ] = None,
    basis: Annotated[
        str, typer.Option(help="Of a file: as_traded or split_adjusted.")
    ] = "split_adjusted",
    interval: Annotated[str, typer.Option(help="1m, 5m, 15m, 1h or 1d.")] = "1d",
    *,
    json: Json = False,
) -> int:
    """Tell what is wrong with a file's prices or a ticker's stored quotes; nothing is stored.

    Columns such as Adj Close, Dividends, Stock Splits and Capital Gains are judged too. Ends
    with 0 where nothing is an error, else with 3.
    """
    from stock_platform.apps.cli import DONE, PARTLY, output
    from stock_platform.domain.bars import Interval
    from stock_platform.domain.validation import Level
    from stock_platform.pipeline.inspecting import inspect_file, inspect_ticker
    from stock_platform.settings import load_settings

    if level not in tuple(Level):
        raise InputError("level", level, one_of(Level))
    bar = Interval.parse(interval)
    path = Path(what).expanduser()
    if path.is_file():
        from stock_platform.domain.bars import Basis
        from stock_platform.domain.calendar import get_calendar
        from stock_platform.domain.symbols import AssetClass
        from stock_platform.sources.files.config import FilesOptions

        if basis not in (str(Basis.AS_TRADED), str(Basis.SPLIT_ADJUSTED)):
            allowed = one_of([str(Basis.AS_TRADED), str(Basis.SPLIT_ADJUSTED)])
            raise InputError("basis", basis, allowed)
        if asset_class is not None and asset_class not in tuple(AssetClass):
            raise InputError("asset-class", asset_class, one_of(AssetClass))
        if calendar is not None:
            get_calendar(calendar)
        found = inspect_file(
            path,
            FilesOptions(str(path), basis=Basis(basis), interval=bar),
            level=Level(level),
            rulebook=load_settings().rulebook,
            calendar=calendar,
            asset_class=asset_class,
        )
    elif path.suffix.lower() in (".csv", ".gz", ".parquet", ".pq", ".tsv", ".txt") or "/" in what:
        raise InputError("what", what, "give a file that is there, or a stored ticker")
    else:
        from stock_platform.apps.cli.selection import read_tickers
        from stock_platform.pipeline.runtime import Platform

        (ticker,) = read_tickers([what])
        with Platform.from_settings() as platform:
            found = [inspect_ticker(platform, ticker, level=Level(level), interval=bar)]
    if json:
        rows = [{"ticker": one.ticker, **row} for one in found for row in one.found.to_dicts()]
        output.show_json(rows)
    else:
        for one in found:
            _show(one)
    wrong = any((one.found["severity"] == "error").any() for one in found)
    return PARTLY if wrong else DONE


def _show(one: Inspection) -> None:
    from stock_platform.apps.cli import output

    if not one.found.is_empty():
        output.show_table(
            ["rule", "from", "to", "bars", "sure", "repair"],
            [
                [
                    r["rule"], r["first_session"], r["last_session"], r["rows"],
                    f"{r['severity']} {r['confidence']:.0%}", (r["repair"] or "")[:WIDTH],
                ]
                for r in one.found.head(SHOWN).iter_rows(named=True)
            ],
        )  # fmt: skip
    count = output.plural(one.found.height, "finding")
    more = f", the first {SHOWN} shown" if one.found.height > SHOWN else ""
    output.note(f"{one.ticker}: {output.plural(one.rows, 'bar')}, {count}{more}")


def rules(
    name: Annotated[str | None, typer.Argument(help="A rule, to read its page.")] = None,
    *,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Print the rules file to begin one's own with.")
    ] = False,
    json: Json = False,
) -> None:
    """List the rules of validation, or explain one."""
    from stock_platform.apps.cli import output
    from stock_platform.domain.validation.pages import all_pages, defaults_text

    if defaults:
        sys.stdout.write(defaults_text())
        return
    pages = all_pages()
    if name is not None:
        chosen = [page for page in pages if page.name == name]
        if not chosen:
            raise InputError("rule", name, one_of([page.name for page in pages], name))
        pages = chosen
    if json:
        output.show_json([vars(page) for page in pages])
    elif name is not None:
        typer.echo(pages[0].text())
    else:
        output.show_table(
            ["rule", "level", "severity", "what it catches"],
            [[p.name, p.level, p.severity, p.title] for p in pages],
        )
