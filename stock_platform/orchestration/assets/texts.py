"""What the UI says of each asset.

Belongs here: descriptions in markdown. Does not: anything that runs.
"""

from __future__ import annotations

SCOPES = {
    "watchlist": (
        "**Scope `watchlist`**: the tracked tickers, a partition a session and ticker. "
        "Meant for up to some 100,000 partitions a run."
    ),
    "market": (
        "**Scope `market`**: every listed symbol, a partition a session and shard "
        "(32 shards by asset id, frozen for ever)."
    ),
}

DESCRIPTIONS = {
    "raw_quotes": """\
Daily bars as the vendors gave them, with vendor, fetch time and adjustment basis.

A run reads the **coverage ledger**, plans the fewest calls that fill what is missing of its
partitions, and commits rows, coverage and the record of each call together, one transaction a
batch. What is stored is never asked for again; a run that dies keeps what it had.

A partition that is materialized has been *asked for*: whether every ticker of it is there is
in the ledger, in its `coverage` metadata and in the check `coverage`. Cells a source has no
quota for are `waiting`; the sensor `resume_waiting` comes back for them.

Table `stocks.raw_quotes`; one call's answer may hold more than was asked, and is kept too.""",
    "validated_prices": """\
The one bar a session that we stand behind, as traded: no split or dividend is in it.

For every cell the raw quotes of all sources are judged by named rules; the best acceptable
source is chosen, split-adjusted quotes are restored to what was traded. Rows that fail a rule
go to `stocks.quarantine` with their reasons; warnings stay as `flags`.

Table `stocks.validated_prices`. Adjusted prices are the views `stocks.prices_split_adjusted`
and `stocks.prices_adjusted`, or `open_store().prices(..., adjust="all")`.""",
    "weekly_prices": """\
Validated prices by week (Monday to Sunday, by session date), in the basis of the week's last
session. They are kept up to date in the transaction that writes validated prices; this asset
derives the weeks of its partitions again and says what differed (normally nothing).

Table `stocks.weekly_prices`.""",
    "monthly_prices": """\
Validated prices by calendar month, in the basis of the month's last session. They are kept up
to date in the transaction that writes validated prices; this asset derives the months of its
partitions again and says what differed (normally nothing).

Table `stocks.monthly_prices`.""",
    "indicators": """\
Daily simple and log returns of the fully adjusted close, and their volatility over 21 and 63
sessions (annualised). The sessions after a partition whose windows it enters are derived too.

Table `stocks.indicators`.""",
    "corporate_actions": """\
Splits and dividends of every asset, told beside prices and applied on read: a new split
changes no stored price, and makes every adjusted read right at once.

One call a kind and day where a source tells of the whole market (`POLYGON_API_KEY`); without
one, Yahoo's price calls bring the tracked tickers' actions, and sources that tell of one symbol
a call are asked. What each source says is kept with its time; what stands is reconciled from
all of them, and who says otherwise is in `stocks.action_conflicts`. What a source no longer
tells has ended, and its history is kept.

Tables `stocks.splits_in_force`, `stocks.dividends_in_force`, what was told in `stocks.splits`
and `stocks.dividends`. `stock-platform actions TICKER` shows them.""",
    "reconciliation": """\
Stored prices **compared with other sources**: a small share chosen by chance, new every day, and
every bar that something speaks against (a rule's finding, a far move, the first after a split).
Only quota that nothing else needs is spent, and never more than a fifth of a day's.

Two against one outvote a quote: it goes to quarantine (`outvoted`) and another source's takes its
place, the former value stays in `stocks.prices_history`. One against one stays open, and the bar
gets the flag `disputed`. A source's accuracy counts when the router chooses whom to ask first.

Tables `stocks.source_checks` (counts by day and source) and `stocks.price_checks` (opinions on
single quotes). `stock-platform reconcile` does the same.""",
    "quality": """\
How good the stored daily prices are, from 0 to 100: **completeness**, **accuracy**,
**consistency** across sources, **timeliness**, and **overall**, for every ticker, partition,
source and day of both scopes. Only what was judged or compared since the last run is read again.

The metadata shows the scopes, the worst tickers, the sources, the gaps with their reasons, and a
heatmap of the last sessions: what came in time, later, or not. Its numbers are plotted over time;
`stocks.quality_trend` has the trend of every ticker. Asset checks hold the scores and every rule
of validation against thresholds (`[checks]` of the rules' file), and the whole store against its
own promises: unique keys, references, freshness.

Tables `stocks.quality_scores`, `stocks.quality_trend`, `stocks.gaps`. `stock-platform quality`.""",
    "catalog": """\
Who is listed, and who was: US stocks and ETFs from NASDAQ Trader's directory with the SEC's CIKs
(and from Alpha Vantage and others where they are on), delisted ones, the largest coins, and a
curated list of commodities, indices, currencies and bond ETFs. An asset's id outlives renames; a
reused ticker is another asset; who is delisted becomes inactive and is never deleted. The metadata
shows what changed, renames with their evidence; doubtful ones are shown and not applied. A
directory that cannot be true (a web page, half a file) is refused and changes nothing.

Tables `stocks.assets`, `stocks.asset_symbols`, `stocks.catalog_runs`, `stocks.catalog_changes`.
Without a directory, symbols come from whole-market prices (`POLYGON_API_KEY`).""",
    "series": """\
Economic series such as GDP, UNRATE or DGS10 with every value as it was published: a revision is
a row of its own, so that history can be read as it was known on any day (view
`stocks.series_latest` has the newest). The series are those of the run's config, or of
`STOCK_PLATFORM_SERIES`; one that fails does not stop the others.

Tables `stocks.series`, `stocks.series_values`. Needs a source of series (`FRED_API_KEY`).""",
    "performance": """\
Every portfolio day by day: market value, cost, what went in and out, dividends, realised gains,
and the time-weighted return since the first purchase, in `STOCK_PLATFORM_PORTFOLIO_CURRENCY`.
Splits are applied to quantities, foreign money goes by the day's rate. An account is rebuilt
whole, and only where a transaction, price or action of it changed.

Table `stocks.portfolio_performance`. Follows from `stocks.portfolio_transactions`, which
`stock-platform portfolio`, the API and other systems' INSERTs fill.""",
}


def describe(name: str, scope: str | None = None) -> str:
    """The description of an asset of a scope."""
    return "\n\n".join(filter(None, [DESCRIPTIONS[name], SCOPES.get(scope or "")]))
