"""``stock-platform portfolio``: enter transactions; see what is held and what it earned.

Belongs here: options and tables. Does not: checks and storing (pipeline/portfolio.py), measures
(pipeline/performance.py).

Entering never waits for data: the purchase's event starts its backfill, in ``up``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stock_platform.apps.cli import queue
from stock_platform.apps.cli.prices import Format, Output
from stock_platform.apps.cli.selection import Json

app = typer.Typer(no_args_is_help=True, help="Enter transactions; see positions and performance.")
app.add_typer(queue.app, name="queue")

User = Annotated[str, typer.Option("--user", "-u", help="Whose portfolio.")]
Ticker = Annotated[str, typer.Argument(help="In any common spelling: AAPL, BRK.B, BTC-USD.")]
Quantity = Annotated[str, typer.Argument(help="Shares, of that day.")]
Price = Annotated[str, typer.Option("--price", help="Of one share, as traded.")]
At = Annotated[
    str | None,
    typer.Option("--date", "--at", help="2024-01-31, or 2024-01-31T15:30-05:00; default: now."),
]
Fee = Annotated[str, typer.Option("--fee", help="In the same currency.")]
Paid = Annotated[
    str | None, typer.Option("--currency", help="Of price and fee; default: the asset's.")
]
External = Annotated[
    str | None,
    typer.Option("--external-id", help="Your own number; sent again, it is entered once."),
]
NewTicker = Annotated[
    bool, typer.Option("--new-ticker", help="Take a ticker that the catalog does not have.")
]
InCurrency = Annotated[
    str | None, typer.Option("--currency", help="Default: STOCK_PLATFORM_PORTFOLIO_CURRENCY.")
]
ME = "me"


@app.command("buy")
def buy(
    ticker: Ticker,
    quantity: Quantity,
    price: Price,
    at: At = None,
    fee: Fee = "0",
    currency: Paid = None,
    user: User = ME,
    external_id: External = None,
    *,
    new_ticker: NewTicker = False,
    json: Json = False,
) -> None:
    """Enter a purchase; its history is fetched by itself."""
    _enter("buy", ticker, quantity, price, at, fee, currency, user, external_id, new_ticker, json)


@app.command("sell")
def sell(
    ticker: Ticker,
    quantity: Quantity,
    price: Price,
    at: At = None,
    fee: Fee = "0",
    currency: Paid = None,
    user: User = ME,
    external_id: External = None,
    *,
    json: Json = False,
) -> None:
    """Enter a sale of what is held."""
    _enter("sell", ticker, quantity, price, at, fee, currency, user, external_id, False, json)


def _enter(
    side: str,
    ticker: str,
    quantity: str,
    price: str,
    at: str | None,
    fee: str,
    currency: str | None,
    user: str,
    external_id: str | None,
    new_ticker: bool,
    as_json: bool,
) -> None:
    from stock_platform.apps.cli import output
    from stock_platform.pipeline.portfolio import Order, enter_orders
    from stock_platform.pipeline.runtime import Platform

    order = Order(user, ticker, side, quantity, price, at, currency, fee, external_id)
    with Platform.from_settings() as platform:
        entered = enter_orders(platform.db, platform.clock, [order], new_tickers=new_ticker)
    again = bool(entered.repeated)
    if as_json:
        output.show_json({"transaction_id": entered.ids[0], "entered_before": again})
        return
    typer.echo(f"{'was entered before as' if again else 'entered as'} {entered.ids[0]}")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV: ticker, side, quantity, price, date, ...")],
    user: User = ME,
    *,
    new_ticker: NewTicker = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and store nothing.")] = False,
    json: Json = False,
) -> int:
    """Enter the transactions of a CSV file: all of them, or none.

    Columns: ticker, side (buy or sell), quantity, price, date; and perhaps currency, fee, user,
    external_id. Every line that is wrong is told. Rows with an external id can be imported again.
    """
    from stock_platform.apps.cli import DONE, USAGE, output
    from stock_platform.domain.errors import InputError
    from stock_platform.pipeline.portfolio import check_orders, enter_orders
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.pipeline.statements import read_statement

    rows = read_statement(file, user)
    if not rows:
        raise InputError("file", str(file), "give a file with a transaction in it")
    orders = [order for _, order in rows]
    with Platform.from_settings() as platform:
        wrong = check_orders(platform.db, platform.clock, orders, new_tickers=new_ticker)
        if wrong:
            for at, error in wrong.items():
                typer.echo(f"error: line {rows[at][0]}: {error}", err=True)
            typer.echo(f"nothing of {output.plural(len(rows), 'row')} was stored", err=True)
            return USAGE
        entered = None
        if not dry_run:
            entered = enter_orders(platform.db, platform.clock, orders, new_tickers=new_ticker)
    new = len(rows) - len(entered.repeated) if entered else 0
    before = len(entered.repeated) if entered else 0
    if json:
        output.show_json({"rows": len(rows), "entered": new, "entered_before": before})
        return DONE
    if entered is None:
        typer.echo(f"{output.plural(len(rows), 'row')} would be entered")
    else:
        typer.echo(
            f"{output.plural(new, 'transaction')} entered"
            + (f", {before:,} had been entered before" if before else "")
        )
    return DONE


@app.command("remove")
def remove(
    transaction: Annotated[int, typer.Argument(help="Its id, of `portfolio list`.")],
    user: User = ME,
) -> None:
    """Delete a transaction that was entered by mistake."""
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import portfolio

    with Platform.from_settings() as platform:
        portfolio.remove(platform.db, user, transaction)
    typer.echo(f"removed {transaction}")


@app.command("list")
def list_transactions(
    ticker: Annotated[str | None, typer.Argument(help="Only of this one.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Only this user's.")] = None,
    *,
    json: Json = False,
) -> None:
    """List transactions, in the order of their execution."""
    from stock_platform.apps.cli import output
    from stock_platform.apps.cli.selection import read_tickers
    from stock_platform.pipeline.portfolio import transaction_row
    from stock_platform.pipeline.runtime import Platform
    from stock_platform.storage import assets, portfolio

    wanted = read_tickers([ticker]) if ticker else ()
    with Platform.reading() as platform:
        ids = list(assets.resolve(platform.db, wanted).values()) if wanted else None
        found = portfolio.transactions(platform.db, user, ids)
        table = assets.by_id(platform.db, sorted({t.asset_id for t in found}))
    tickers = dict(table.select("asset_id", "ticker").iter_rows())
    rows = [transaction_row(t, tickers[t.asset_id]) for t in found]
    if json:
        output.show_json(rows)
        return
    columns = ["id", "user", "ticker", "side", "quantity", "price", "fee", "currency", "date"]
    output.show_table(columns, [[row[name] for name in columns] for row in rows])
    if not rows:
        output.note("no transaction is entered: stock-platform portfolio buy AAPL 10 --price 190.5")


@app.command("positions")
def positions(
    user: User = ME,
    currency: InCurrency = None,
    *,
    closed: Annotated[bool, typer.Option("--closed", help="Also what was sold whole.")] = False,
    json: Json = False,
) -> None:
    """What is held: cost, value and gain, in shares of today."""
    import polars as pl

    from stock_platform.apps.cli import output
    from stock_platform.pipeline.runtime import Platform

    with Platform.reading() as platform:
        found = platform.performance(user, currency)
    frame = found.positions
    if not closed:
        frame = frame.filter(pl.col("quantity") > 0)
    if json:
        output.show_json({"positions": frame.to_dicts(), "problems": found.problems})
        return
    shown = {
        "ticker": "ticker", "quantity": "shares", "unit_cost": "paid a share", "price": "price",
        "cost_fifo": "cost", "market_value": "value", "unrealised": "gain",
        "realised_fifo": "realised", "dividends": "dividends",
    }  # fmt: skip
    money = ["cost_fifo", "market_value", "unrealised", "realised_fifo", "dividends"]
    frame = frame.with_columns(
        pl.when(pl.col("quantity") > 0)
        .then((pl.col("cost_fifo") / pl.col("quantity")).round(4))
        .alias("unit_cost"),
        *(pl.col(name).round(2) for name in money),
    )
    output.show_table(list(shown.values()), frame.select(list(shown)).rows())
    _tell(found.problems)


@app.command("performance")
def performance(
    user: User = ME,
    currency: InCurrency = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option(help="Print the days, in this format.")
    ] = None,
    output: Output = None,
    *,
    daily: Annotated[bool, typer.Option("--daily", help="Print the days.")] = False,
    json: Json = False,
) -> None:
    """Value, gains, and time- and money-weighted returns."""
    from stock_platform.apps.cli import output as out
    from stock_platform.apps.cli.prices import choose_format, write
    from stock_platform.pipeline.runtime import Platform

    with Platform.reading() as platform:
        found = platform.performance(user, currency)
    if json:
        days = found.days.to_dicts() if daily else None
        out.show_json(
            {**found.summary, "problems": found.problems, **({"days": days} if days else {})}
        )
    elif daily or format or output:
        write(found.days, choose_format(format, output), output, unit="day")
    else:
        out.show_pairs(_summary(found.summary), title=f"{user}'s portfolio")
    _tell(found.problems)


def _summary(of: dict[str, Any]) -> dict[str, str]:
    def money(name: str) -> str:
        return f"{of[name]:,.2f} {of['currency']}"

    def share(name: str, unit: str = "") -> str:
        return "" if of[name] is None else f"{of[name]:.2%}{unit}"

    return {
        "from": f"{of['first']} to {of['last']}",
        "value": money("market_value"),
        "cost": money("cost"),
        "gain": f"{money('unrealised')} unrealised, {money('realised')} realised",
        "dividends": money("dividends"),
        "paid in": money("contributed"),
        "taken out": money("withdrawn"),
        "time-weighted": share("twr", " in all")
        + (f", {share('twr_annual')} a year" if of["twr_annual"] is not None else ""),
        "money-weighted": share("mwr", " a year") or "none: all flows are of one day or one sign",
    }


def _tell(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(f"note: {problem}", err=True)
