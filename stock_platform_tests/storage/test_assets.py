"""The catalog: identity survives renames, and registering is safe for any number of writers."""

from __future__ import annotations

import threading
import time
from datetime import date

import polars as pl
import pytest

from stock_platform.domain.errors import InputError
from stock_platform.storage import assets
from stock_platform.storage.assets import ALWAYS, FOREVER, NewAsset
from stock_platform.storage.connection import Database


def stock(ticker: str, **facts: object) -> NewAsset:
    return NewAsset(ticker, "stock", "XNYS", **facts)  # type: ignore[arg-type]  # facts of any kind


def test_registering_again_changes_nothing(database: Database) -> None:
    """The same tickers get the same ids; odd tickers are tickers; ids are dense."""
    tickers = ["BRK.B", "NA", "TRUE", "NULL", "A", "BTC-USD", "^GSPC"]
    first = assets.register(database, [stock(t) for t in tickers])
    assert sorted(first) == sorted(tickers)
    assert sorted(first.values()) == list(range(1, 8))
    assert assets.register(database, [stock(t) for t in reversed(tickers)]) == first
    assert assets.count(database) == 7
    assert assets.register(database, []) == {}
    assert assets.resolve(database, ["NA", "none such"]) == {"NA": first["NA"]}
    assert assets.universe(database)["ticker"].to_list() == sorted(tickers)


def test_racing_registrations_agree(database: Database) -> None:
    """Four threads that register overlapping lists see one id a ticker."""
    found: list[dict[str, int]] = []

    def work(shift: int) -> None:
        found.append(assets.register(database, [stock(f"T{i}") for i in range(shift, shift + 200)]))

    threads = [threading.Thread(target=work, args=(shift,)) for shift in (0, 50, 100, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert assets.count(database) == 300
    everything = assets.resolve(database, [f"T{i}" for i in range(300)])
    assert all(part.items() <= everything.items() for part in found)


def test_a_market_registers_at_once(database: Database) -> None:
    """Eight thousand symbols take seconds at the most, and fill 32 shards evenly."""
    started = time.monotonic()
    assets.register(database, [stock(f"S{i}", name=f"Company {i}") for i in range(8_000)])
    assert time.monotonic() - started < 5
    sizes = assets.universe(database).group_by("shard").len()["len"]
    assert sizes.to_list() == [250] * 32
    some = assets.universe(database, shards=[3, 7], calendar="XNYS")
    assert some.height == 500
    assert assets.universe(database, calendar="24/7").is_empty()


def test_facts_are_learned_and_not_overwritten(database: Database) -> None:
    """What the catalog lacks is filled in; what it knows stays."""
    ids = assets.register(database, [stock("AAPL", name="Apple")])
    assets.register(database, [stock("AAPL", name="Other", listed_on=date(1980, 12, 12))])
    row = assets.by_id(database, list(ids.values())).row(0, named=True)
    assert (row["name"], row["listed_on"]) == ("Apple", date(1980, 12, 12))
    assets.set_listing(database, ids["AAPL"], delisted_on=date(2030, 1, 1))
    row = assets.by_id(database, list(ids.values())).row(0, named=True)
    assert (row["listed_on"], row["delisted_on"]) == (date(1980, 12, 12), date(2030, 1, 1))


def test_an_asset_survives_its_rename(database: Database) -> None:
    """FB became META: one asset, two tickers, each on its days; FB can be another's again."""
    change = date(2022, 6, 9)
    (meta,) = assets.register(database, [stock("FB")]).values()
    for _ in range(2):
        assets.rename(database, meta, "META", change)
    assert assets.resolve(database, ["FB", "META"]) == {"META": meta}
    assert assets.resolve(database, ["FB", "META"], on=date(2022, 6, 8)) == {"FB": meta}
    reused = assets.register(database, [stock("FB", listed_on=date(2023, 1, 3))])["FB"]
    assert reused != meta
    mapped = assets.ticker_map(database, date(2022, 6, 1), date(2023, 6, 1))
    assert mapped.rows() == [
        ("FB", meta, ALWAYS, change),
        ("FB", reused, change, FOREVER),
        ("META", meta, change, FOREVER),
    ]
    assert assets.by_id(database, [meta])["ticker"].item() == "META"
    with pytest.raises(InputError, match="FB"):
        assets.rename(database, meta, "FB", date(2024, 1, 2))
    with pytest.raises(InputError, match="from_date"):
        assets.rename(database, meta, "MVRS", change)
    with pytest.raises(InputError, match="asset_id"):
        assets.rename(database, 99, "X", change)


def test_a_reused_ticker_is_another_asset(database: Database) -> None:
    """A listing after the holder's delisting takes the ticker over."""
    (old,) = assets.register(
        database, [stock("Q", listed_on=date(1998, 1, 2), delisted_on=date(2011, 4, 1))]
    ).values()
    new = assets.register(database, [stock("Q", listed_on=date(2024, 11, 1))])["Q"]
    assert new != old
    assert assets.resolve(database, ["Q"], on=date(2005, 1, 3)) == {"Q": old}
    assert assets.resolve(database, ["Q"]) == {"Q": new}
    assert assets.register(database, [stock("Q", listed_on=date(2024, 11, 1))]) == {"Q": new}


def test_tracking(database: Database) -> None:
    """The watchlist is a set of assets."""
    ids = sorted(assets.register(database, [stock(t) for t in ("A", "B", "C")]).values())
    assert assets.track(database, ids[:2]) == 2
    assert assets.track(database, ids) == 1
    assert assets.untrack(database, [ids[0], 99]) == 1
    assert assets.tracked(database) == ids[1:]
    assert assets.universe(database, "watchlist")["asset_id"].to_list() == ids[1:]
    assert assets.universe(database, "watchlist", tickers=["C"])["ticker"].to_list() == ["C"]
    with pytest.raises(InputError, match="99"):
        assets.track(database, [99])


def test_bad_questions_get_clear_answers(database: Database) -> None:
    """An unknown scope or shard names what is allowed; a typo finds its neighbours."""
    with pytest.raises(InputError, match="watchlist, market"):
        assets.universe(database, "everything")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InputError, match="0 to 31"):
        assets.universe(database, shards=[32])
    assets.register(database, [stock(t) for t in ("AAPL", "AAP", "MSFT")])
    assert assets.similar(database, "APPL")[:1] == ["AAPL"]
    assert isinstance(assets.by_id(database, []), pl.DataFrame)
