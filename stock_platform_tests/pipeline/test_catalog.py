"""The catalog over time, against the sandbox's directories and its moving market."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import InputError, UnknownSymbol
from stock_platform.pipeline.directories import DirectoryReport, curated_list
from stock_platform.pipeline.runtime import Platform
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.market import Market
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform.storage import assets, catalog
from stock_platform.storage.connection import Database

START, END = date(2018, 1, 2), date(2021, 3, 31)
EARLY, LATE = datetime(2020, 10, 2, 23, tzinfo=UTC), datetime(2021, 3, 30, 23, tzinfo=UTC)
KEY = "sandbox-key-4711"


@pytest.fixture
def vendors() -> Iterator[SandboxServer]:
    config = SandboxConfig(
        symbols=700, start=START, until=END, now=EARLY, real=False, clock_rate=6000.0,
        keys={"polygon": [KEY]},
    )  # fmt: skip
    with SandboxServer(config) as server:
        yield server


@contextmanager
def at(
    moment: datetime, vendors: SandboxServer, url: str, home: Path, sources: str
) -> Iterator[Platform]:
    """The platform when it is ``moment``, there and at the vendors."""
    vendors.market.time.freeze(moment)
    with pytest.MonkeyPatch.context() as patch:
        for name in sources.split(","):
            patch.setenv(f"STOCK_PLATFORM_{name.upper()}_BASE_URL", vendors.base_url(name))
        patch.setenv("DATABASE_URL", url)
        patch.setenv("POLYGON_API_KEY", KEY)
        patch.setenv("ALPHA_VANTAGE_API_KEY", KEY)
        patch.setenv("STOCK_PLATFORM_HOME", str(home / f"{moment:%Y%m%d}"))
        patch.setenv("STOCK_PLATFORM_MARKET_TIME", moment.isoformat())
        patch.setenv("STOCK_PLATFORM_CLOCK_RATE", "6000")
        patch.setenv("STOCK_PLATFORM_START_DATE", "2019-01-02")
        patch.setenv("STOCK_PLATFORM_SOURCES", sources)
        with Platform.from_settings(load_settings(_env_file=None)) as platform:
            yield platform


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def session_of(market: Market, moment: datetime) -> int:
    return market.time.opened(moment) - 1


def truth(market: Market) -> dict[str, dict[str, Asset]]:
    """What happened between EARLY and LATE: assets by their ticker now, or the last one."""
    first, last = session_of(market, EARLY), session_of(market, LATE)
    found: dict[str, dict[str, Asset]] = {"listed": {}, "delisted": {}, "renamed": {}}
    for asset in market.assets:
        then, now = asset.alive(first), asset.alive(last)
        ticker = asset.ticker_at(last).canonical
        if now and not then and asset.listed > first:
            found["listed"][ticker] = asset
        elif then and not now:
            found["delisted"][asset.ticker_at(asset.delisted - 1).canonical] = asset
        elif then and now and asset.ticker_at(first).canonical != ticker:
            found["renamed"][ticker] = asset
    return found


def shares(platform: Platform) -> DirectoryReport:
    return platform.refresh_catalog(shares_only=True).directories[0]


def told(report: DirectoryReport, kind: str) -> set[str]:
    rows = report.changes.filter(pl.col("applied") & (pl.col("kind") == kind))
    return set(rows["ticker"].to_list())


@pytest.mark.parametrize("sources", ["nasdaqtrader", "nasdaqtrader,sec"])
def test_six_months_of_the_market(
    vendors: SandboxServer, database_url: str, home: Path, sources: str
) -> None:
    """Exactly the true listings, delistings and renames; assets keep their ids and history."""
    with at(EARLY, vendors, database_url, home, sources) as platform:
        first = shares(platform)
        assert (first.status, first.changes.height) == ("applied", 0)
        before = assets.universe(platform.db)
        again = shares(platform)
        assert (again.status, again.counts["listed"]) == ("unchanged", 0)
    expected = truth(vendors.market)
    assert all(expected.values()), "the market must have something of everything"
    with at(LATE, vendors, database_url, home, sources) as platform:
        dry = platform.refresh_catalog(dry_run=True, shares_only=True).directories[0]
        assert dry.status == "dry run"
        assert assets.universe(platform.db).equals(before)
        report = shares(platform)
        assert dry.changes.drop("asset_id").equals(report.changes.drop("asset_id"))
        assert told(report, "renamed") == set(expected["renamed"])
        assert told(report, "delisted") | told(report, "reused") == set(expected["delisted"])
        assert told(report, "listed") == set(expected["listed"])
        ids = dict(before.select("ticker", "asset_id").iter_rows())
        for ticker, asset in expected["renamed"].items():
            former = asset.ticker_at(session_of(vendors.market, EARLY)).canonical
            assert assets.resolve(platform.db, [ticker]) == {ticker: ids[former]}
            assert assets.resolve(platform.db, [former], EARLY.date()) == {former: ids[former]}
            assert platform.assets_for([former])["ticker"].to_list() == [ticker]
        for ticker in expected["delisted"]:
            facts = catalog.facts_of(platform.db, ids[ticker])
            assert not facts["active"]
            assert facts["delisted_on"] is not None
        kept = catalog.runs(platform.db)
        assert kept["status"].to_list() == ["applied"] * 3
        assert assets.universe(platform.db).filter(pl.col("ticker").is_in(expected["listed"]))[
            "shard"
        ].n_unique() > 1  # fmt: skip


def test_a_market_backfill_over_a_rename(
    vendors: SandboxServer, database_url: str, home: Path
) -> None:
    """Whole-market answers from both sides of a rename are the asset's, and nobody else's."""
    sources = "nasdaqtrader,polygon"
    with at(EARLY, vendors, database_url, home, sources) as platform:
        shares(platform)
    market = vendors.market
    expected = truth(market)
    with at(LATE, vendors, database_url, home, sources) as platform:
        shares(platform)
        days = [date(2020, 9, 30), date(2020, 10, 1), date(2021, 3, 26), date(2021, 3, 29)]
        grid = platform.cells(platform.shard_assets(), days)
        for batches in (stream := platform.fetch(grid, "test")):
            platform.write_fetch(batches, "test")
        assert stream.report.calls["polygon"] == len(days)
        stored = raw(platform.db)
        for ticker, asset in (expected["renamed"] | expected["listed"]).items():
            asset_id = assets.resolve(platform.db, [ticker])[ticker]
            mine = stored.filter(pl.col("asset_id") == asset_id).sort("session")
            assert mine["session"].to_list() == traded(market, asset, days), ticker
            assert mine["close"].to_list() == closes(market, asset, days), ticker


@pytest.mark.parametrize("vendor", ["polygon", "yahoo"])
def test_history_is_asked_under_the_ticker_of_its_day(
    vendors: SandboxServer, database_url: str, home: Path, vendor: str
) -> None:
    """Polygon has each day under its own ticker, Yahoo all under today's: both give it whole."""
    sources = f"nasdaqtrader,{vendor}"
    with at(EARLY, vendors, database_url, home, sources) as platform:
        shares(platform)
    market = vendors.market
    ticker, asset = min(truth(market)["renamed"].items())
    days = (
        get_calendar("XNYS").sessions(date(2020, 9, 1), date(2021, 3, 29)).astype(object).tolist()
    )
    with at(LATE, vendors, database_url, home, sources) as platform:
        shares(platform)
        grid = platform.cells(platform.assets_for([ticker]), days)
        for batches in (stream := platform.fetch(grid, "test")):
            platform.write_fetch(batches, "test")
        stored = raw(platform.db).sort("session")
        assert stored["asset_id"].n_unique() == 1
        assert stored["session"].to_list() == traded(market, asset, days)
        assert stream.report.calls[vendor] <= 2 < len(days)


def test_a_reused_ticker_is_not_asked_of_who_names_by_today(
    vendors: SandboxServer, database_url: str, home: Path
) -> None:
    """Yahoo has today's holder under it: the old company's history is not there."""
    with at(LATE, vendors, database_url, home, "nasdaqtrader,yahoo") as platform:
        old = assets.register(
            platform.db,
            [assets.NewAsset("QQQQ", "stock", "XNYS", delisted_on=date(2019, 5, 1))],
        )["QQQQ"]
        new = assets.register(
            platform.db,
            [assets.NewAsset("QQQQ", "stock", "XNYS", listed_on=date(2020, 1, 2))],
        )["QQQQ"]
        assert old != new
        chart = platform.sources["yahoo"].capabilities.endpoints[0]
        tile = Tile("yahoo", chart.name, chart.intervals[-1], date(2019, 1, 2), date(2019, 4, 1))
        mine = Tile(**{**vars(tile), "asset_id": new, "symbol": "QQQQ"})
        theirs = Tile(**{**vars(tile), "asset_id": old, "symbol": "QQQQ"})
        assert platform.market.naming(mine, chart) == [mine]
        with pytest.raises(UnknownSymbol, match="another asset's now"):
            platform.market.naming(theirs, chart)


def test_what_cannot_be_true_changes_nothing(
    vendors: SandboxServer, database_url: str, home: Path
) -> None:
    """An error page in a 200, and a market of half the size: refused in words, and kept so."""
    with at(EARLY, vendors, database_url, home, "nasdaqtrader") as platform:
        shares(platform)
        before = assets.universe(platform.db)
        vendors.app.faults.add([{"vendor": "nasdaqtrader", "kind": "error_200"}])
        report = platform.refresh_catalog(shares_only=True)
        made = report.directories[0]
        assert (made.status, report.added) == ("refused", 0)
        assert "malformed" in str(made.reason)
        assert assets.universe(platform.db).equals(before)
        assert catalog.runs(platform.db)["status"].to_list() == ["refused", "applied"]
    small = SandboxConfig(symbols=300, start=START, until=END, now=EARLY, real=False)
    with (
        SandboxServer(small) as half,
        at(EARLY, half, database_url, home / "half", "nasdaqtrader") as platform,
    ):
        made = shares(platform)
        assert made.status == "refused"
        assert "would vanish" in str(made.reason)
        assert assets.universe(platform.db).equals(before)
        forced = platform.refresh_catalog(shares_only=True, force=True).directories[0]
        assert forced.status == "applied"
        assert forced.counts["delisted"] > 300


def test_delisted_before_the_catalog_began(
    vendors: SandboxServer, database_url: str, home: Path
) -> None:
    """Alpha Vantage's list adds the dead, each with its days; a reused ticker is two assets."""
    with at(LATE, vendors, database_url, home, "nasdaqtrader,alpha_vantage") as platform:
        made = shares(platform)
    market = vendors.market
    last = session_of(market, LATE)
    dead = [a for a in market.assets if a.delisted <= last and a.listed < a.delisted]
    assert made.counts["delisted_before"] == len(dead)
    alive = {a.ticker_at(last).canonical: a for a in market.assets if a.alive(last)}
    reused = [a for a in dead if a.ticker_at(last).canonical in alive]
    assert reused, "the market must have a reused ticker"
    with Database(database_url) as db:
        for asset in reused:
            ticker = asset.ticker_at(last).canonical
            gone = market.time.day(asset.delisted - 1)
            old = assets.resolve(db, [ticker], gone - timedelta(days=3))[ticker]
            new = assets.resolve(db, [ticker])[ticker]
            assert old != new
            assert catalog.facts_of(db, old)["name"] == asset.name
            assert catalog.facts_of(db, new)["name"].startswith(alive[ticker].name)


def test_coins_and_the_curated_list(vendors: SandboxServer, database_url: str, home: Path) -> None:
    """The largest coins, and commodities, indices, currencies and bond ETFs, each once."""
    with at(LATE, vendors, database_url, home, "nasdaqtrader,coingecko") as platform:
        report = platform.refresh_catalog()
        by_name = {made.directory: made for made in report.directories}
        assert {n: m.status for n, m in by_name.items()} == dict.fromkeys(
            ("shares", "crypto", "curated"), "applied"
        )
        found = assets.resolve(platform.db, ["BTC-USD", "ETH-USD", "GC=F", "^GSPC", "EUR/USD"])
        assert len(found) == 5
        assert assets.by_id(platform.db, [found["BTC-USD"]])["calendar"].item() == "24/7"
        assert "^GSPC" not in set(assets.universe(platform.db)["ticker"])
        again = platform.refresh_catalog()
        assert (again.added, {m.status for m in again.directories}) == (0, {"unchanged"})
        with pytest.raises(InputError, match="source"):
            platform.refresh_catalog(only=["yahoo"])
    rows = list(curated_list())
    assert len({row.ticker for row in rows}) == len(rows) > 70
    assert {row.asset_class for row in rows} == {"commodity", "index", "fx", "etf"}


def raw(db: Database) -> pl.DataFrame:
    with db.connect() as connection:
        rows = connection.execute(
            "select asset_id, session, close::float8 from stocks.raw_quotes"
        ).fetchall()
    schema = {"asset_id": pl.Int32, "session": pl.Date, "close": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def traded(market: Market, asset: Asset, days: list[date]) -> list[date]:
    return [day for day, _ in bars(market, asset, days)]


def closes(market: Market, asset: Asset, days: list[date]) -> list[float]:
    return [close for _, close in bars(market, asset, days)]


def bars(market: Market, asset: Asset, days: list[date]) -> list[tuple[date, float]]:
    """The true closes of an asset on some days, whatever its ticker was."""
    history = market.history(asset)
    found = []
    for day in days:
        at_day = market.time.index(day)
        sessions = history.traded(at_day, at_day + 1)
        if len(sessions):
            found.append((day, float(history.values(sessions)[0][3, 0])))
    return found
