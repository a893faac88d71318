"""What a directory changes: the traps that real ones have, one by one."""

from __future__ import annotations

from datetime import date

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_platform.domain.catalog import SNAPSHOT
from stock_platform.domain.catalog.diff import CERTAIN
from stock_platform_tests.domain.catalog.builders import (
    SUMMER,
    after,
    directory,
    known,
    told,
)

ACME = ("ACME", "Acme Tools, Inc. - Common Stock")


def test_the_first_directory_is_no_news() -> None:
    """It lists everybody, since ever, and changes nothing."""
    diff = after(known(directory()), directory(ACME), previous=None)
    assert (diff.new["symbol"].to_list(), diff.new["valid_from"].to_list()) == (["ACME"], [None])
    assert diff.changes.is_empty()


def test_listings_and_delistings() -> None:
    """Who is new is dated after the last directory; who is gone left by the last session."""
    diff = after(
        known(directory(ACME)), directory(("BOLT", "Bolt Corp. Common Stock")),
        last_session=date(2025, 7, 18),
    )  # fmt: skip
    assert told(diff) == [("listed", "BOLT", None), ("delisted", "ACME", None)]
    assert diff.changes["on"].to_list() == [SUMMER, date(2025, 7, 18)]
    assert diff.new["valid_from"].to_list() == [date(2025, 3, 29)]
    assert diff.changes.filter(kind="delisted")["asset_id"].to_list() == [1]


def test_a_rename_keeps_the_asset() -> None:
    """The same name under another ticker, with its warrants, and on another exchange."""
    before = directory(
        ("KDLY", "Kindly MD, Inc. - Common Stock"), ("KDLYW", "Kindly MD, Inc. - Warrants"),
        {"symbol": "CSWI", "name": "CSW Industrials, Inc. - Common Stock", "exchange": "XNAS"},
    )  # fmt: skip
    now = directory(
        ("NAKA", "Kindly MD, Inc. - Common Stock"), ("NAKAW", "Kindly MD, Inc. - Warrants"),
        ("CSW", "CSW Industrials, Inc. Common Stock"),
    )  # fmt: skip
    diff = after(known(before), now)
    assert told(diff) == [
        ("renamed", "CSW", "CSWI"), ("renamed", "NAKA", "KDLY"), ("renamed", "NAKAW", "KDLYW"),
        ("moved", "CSW", "CSWI"),
    ]  # fmt: skip
    assert diff.new.is_empty()
    row = diff.changes.row(1, named=True)
    assert (row["on"], row["earliest"], row["asset_id"]) == (SUMMER, date(2025, 3, 29), 1)


def test_ticker_and_name_at_once() -> None:
    """Another ticker and another name the same day: by CIK or FIGI, else it is only reported."""
    name = "Square Peg, Inc. Common Stock"
    new = "Block and Peg, Inc. Common Stock"
    for number in ({"cik": "0001512673"}, {"figi": "BBG0018SLC07"}):
        before = directory({"symbol": "SQ", "name": name, **number})
        diff = after(known(before), directory({"symbol": "XYZ", "name": new, **number}))
        assert told(diff) == [("renamed", "XYZ", "SQ"), ("named", "XYZ", "SQ")]
    diff = after(known(directory(("SQ", name))), directory(("XYZ", new)))
    assert sorted(told(diff)) == [("delisted", "SQ", None), ("listed", "XYZ", None)]


def test_doubtful_renames_are_told_and_not_done() -> None:
    """Like names are shown with their score; both assets stand as they would without."""
    before = directory(("CUBA", "The Herzfeld Caribbean Basin Fund, Inc. - Common Stock"))
    diff = after(known(before), directory(("HERZ", "Herzfeld Caribbean Fund, Inc. - Common Stock")))
    assert sorted(told(diff)) == [("delisted", "CUBA", None), ("listed", "HERZ", None)]
    assert told(diff, applied=False) == [("renamed", "HERZ", "CUBA")]
    assert diff.changes.filter(~pl.col("applied"))["score"].item() < 0.9


def test_one_filer_has_many_securities() -> None:
    """A CIK tells the issuer: a called preferred and a new one are two assets."""
    both = {"cik": "0000070858"}
    before = directory(
        {"symbol": "BAC", "name": "Bank of Land Common Stock", **both},
        {"symbol": "BAC.PRA", "name": "Bank of Land Preferred Stock, Series A", **both},
    )
    now = directory(
        {"symbol": "BAC", "name": "Bank of Land Common Stock", **both},
        {"symbol": "BAC.PRB", "name": "Bank of Land Preferred Stock, Series B", **both},
    )
    assert sorted(told(after(known(before), now))) == [
        ("delisted", "BAC.PRA", None), ("listed", "BAC.PRB", None),
    ]  # fmt: skip


def test_a_name_that_two_have_proves_nothing() -> None:
    """Two securities of one name: neither is told from the other by it."""
    name = "Twin Bancorp Depositary Shares"
    diff = after(known(directory(("TWNA", name), ("TWNB", name))), directory(("TWNC", name)))
    assert sorted(told(diff)) == [
        ("delisted", "TWNA", None), ("delisted", "TWNB", None), ("listed", "TWNC", None),
    ]  # fmt: skip


def test_a_unit_is_not_its_share() -> None:
    """A SPAC's units, shares, warrants and rights are different kinds, whatever they are called."""
    spac = "Good Acquisition Corp. I"
    diff = after(known(directory(("GOODU", f"{spac} - Units"))), directory(
        ("GOOD", f"{spac} - Class A Ordinary Shares"), ("GOODW", f"{spac} - Warrants"),
        ("GOODR", f"{spac} - Rights"),
    ))  # fmt: skip
    assert {kind for kind, _, _ in told(diff)} == {"delisted", "listed"}
    assert told(diff, applied=False) == []


def test_a_ticker_changes_hands_between_directories() -> None:
    """GOOG became GOOGL, and another class of shares took GOOG: nobody is mixed up."""
    before = directory(("GOOG", "Google Inc. - Class A Common Stock"))
    now = directory(
        ("GOOG", "Google Inc. - Class C Capital Stock"),
        ("GOOGL", "Google Inc. - Class A Common Stock"),
    )
    held = known(before)
    diff = after(held, now)
    assert told(diff) == [("listed", "GOOG", None), ("renamed", "GOOGL", "GOOG")]
    assert diff.same.filter(pl.col("symbol") == "GOOGL")["asset_id"].to_list() == [1]
    assert diff.new["symbol"].to_list() == ["GOOG"]


def test_a_ring_of_renames() -> None:
    """A took B's ticker and B took A's: by name, each keeps its id."""
    one, two = "First Alpha Trust - Common Stock", "Second Beta Company - Common Stock"
    diff = after(
        known(directory(("AAA", one), ("BBB", two))), directory(("AAA", two), ("BBB", one))
    )
    assert sorted(told(diff)) == [("renamed", "AAA", "BBB"), ("renamed", "BBB", "AAA")]
    assert diff.new.is_empty()


def test_a_reused_ticker_is_a_new_asset() -> None:
    """Another FIGI, another CIK and issuer, or a fund where a company was."""
    old = {"symbol": "FIG", "name": "Simplify Macro Strategy ETF", "asset_class": "etf"}
    new = {"symbol": "FIG", "name": "Figma, Inc. Class A Common Stock"}
    diff = after(known(directory(old)), directory(new), last_session=date(2025, 7, 18))
    assert told(diff) == [("listed", "FIG", None), ("reused", "FIG", None)]
    assert diff.new["valid_from"].to_list() == [date(2025, 7, 19)]
    one = {"symbol": "T", "name": "Tango Corp.", "cik": "0000000001"}
    other = {"symbol": "T", "name": "Zulu Works Inc.", "cik": "0000000002"}
    assert ("reused", "T", None) in told(after(known(directory(one)), directory(other)))
    same_name = other | {"name": "Tango Corporation"}  # a new holding company
    assert told(after(known(directory(one)), directory(same_name))) == []
    figis = one | {"figi": "BBG1"}, same_name | {"figi": "BBG2"}
    assert ("reused", "T", None) in told(after(known(directory(figis[0])), directory(figis[1])))


def test_a_company_that_only_changes_its_name_stays() -> None:
    """A whole new name under the same ticker is a new name; nothing else contradicts it."""
    before = directory(("POWW", "AMMO, Inc. - Common Stock"))
    diff = after(known(before), directory(("POWW", "Outdoor Holding Company - Common Stock")))
    assert told(diff) == [("named", "POWW", None)]


def test_names_are_compared_by_their_words() -> None:
    """Dashes, case, legal forms and abbreviations are no news; nor is a move between exchanges."""
    before = directory(("SHOP", "Shopify Inc. Class A Subordinate Voting Shares"),
                       ("KMB", "Kimberly-Clark Corp Common Stock"))  # fmt: skip
    now = directory(
        {"symbol": "SHOP", "name": "Shopify Inc - Class A  Subordinate Voting Shares",
         "exchange": "XNAS"},
        {"symbol": "KMB", "name": "KIMBERLY-CLARK Corporation - Common Stock"},
    )  # fmt: skip
    assert told(after(known(before), now)) == [("moved", "SHOP", None)]


def test_back_again_or_another() -> None:
    """A delisted ticker that comes back is the same asset by name or number, else another."""
    gone = known(directory(ACME), active=pl.lit(value=False), delisted_on=pl.lit(date(2025, 4, 30)))
    back = after(gone, directory(ACME))
    assert told(back) == [("relisted", "ACME", None)]
    assert back.same["asset_id"].to_list() == [1]
    other = after(gone, directory(("ACME", "Acme Robots Ltd. - Ordinary Shares")))
    assert told(other) == [("listed", "ACME", None)]
    assert other.new["valid_from"].item() == date(2025, 5, 1)
    nameless = directory({"symbol": "ACME", "name": None})
    assert told(after(gone, nameless)) == [("listed", "ACME", None)]
    recent = gone.with_columns(pl.lit(date(2025, 7, 16)).alias("delisted_on"))
    assert told(after(recent, nameless)) == [("relisted", "ACME", None)]


def test_what_no_directory_ever_had_is_not_missed() -> None:
    """A fund on the watchlist is in no directory: that does not delist it."""
    held = known(directory(("VFINX", "Vanguard 500 Index Fund")), seen=None)
    diff = after(held, directory(ACME))
    assert told(diff) == [("listed", "ACME", None)]


def test_a_partial_list_delists_nobody() -> None:
    """The largest coins: one that falls out of them is still a coin."""
    coin = {"symbol": "XYZ-USD", "name": "Xyz", "asset_class": "crypto"}
    diff = after(known(directory(coin)), directory(coin | {"symbol": "ABC-USD", "name": "Abc"}),
                 whole=False)  # fmt: skip
    assert told(diff) == [("listed", "ABC-USD", None)]


def test_registered_by_hand_before_the_rename_was_known() -> None:
    """The hand-made asset gives the ticker up to the one that was renamed to it."""
    meta = "Meta Platforms, Inc. - Class A Common Stock"
    old = known(directory(("FB", meta)))
    mine = known(directory({"symbol": "META", "name": None}), seen=None).with_columns(
        (pl.col("asset_id") + 1).alias("asset_id")
    )
    diff = after(pl.concat([old, mine]), directory(("META", meta)))
    assert sorted(told(diff)) == [("renamed", "META", "FB"), ("reused", "META", None)]
    assert diff.same["asset_id"].to_list() == [1]


names = st.sampled_from(["Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta"])
shares = st.sampled_from(["Common Stock", "Class B Common Stock", "Warrants", "Units"])
rows = st.lists(
    st.tuples(st.sampled_from([f"T{i}" for i in range(9)]), names, shares),
    max_size=9,
    unique_by=lambda row: row[0],
)


@settings(max_examples=150, deadline=None)
@given(rows, rows)
def test_every_row_is_exactly_one_asset(
    before: list[tuple[str, str, str]], now: list[tuple[str, str, str]]
) -> None:
    """Each row is a known asset or a new one; each asset is a row or has left; no id twice."""
    first, second = (
        directory(*((t, f"{name} Works, Inc. - {kind}") for t, name, kind in side))
        for side in (before, now)
    )
    diff = after(known(first), second)
    told_of = sorted([*diff.same["symbol"], *diff.new["symbol"]])
    assert told_of == sorted(second["symbol"].to_list())
    ids = diff.same["asset_id"].to_list()
    assert len(set(ids)) == len(ids)
    done = diff.changes.filter("applied")
    left = done.filter(pl.col("kind").is_in(["delisted", "reused"]))["asset_id"].to_list()
    assert sorted([*ids, *left]) == list(range(1, first.height + 1))
    again = known(second)  # the same directory once more
    assert after(again, second).changes.is_empty()
    assert dict(diff.same.drop("asset_id").schema) == SNAPSHOT
    assert all(score >= CERTAIN for score in done["score"])
