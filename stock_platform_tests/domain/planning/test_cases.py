"""The cases that a planner of market data must get right, one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Capabilities, Limit, QuotaState, Tile, TileShape
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError
from stock_platform.domain.planning import Plan, PlanAsset, plan
from stock_platform.domain.planning.schedule import relaxed
from stock_platform.domain.symbols import AssetClass
from stock_platform_tests.domain.planning.builders import (
    BOTH,
    DEEP_POLYGON,
    POLYGON,
    TODAY,
    US,
    YAHOO,
    assigned,
    column,
    full,
    grid,
    market,
    row,
    sessions,
)


def checked(made: Plan) -> Plan:
    """Every needed cell is in one tile, or in one uncovered part; never in both."""
    total = assigned(made)
    for part in made.uncovered:
        total += part.cells.onto(made.needed)
    assert (total == made.needed.mask).all()
    assert made.lower_bound_calls <= made.lower_bound_calls_in_time <= made.calls
    assert made.lower_bound_seconds <= made.finish_seconds + 1e-9
    return made


def test_one_ticker_is_one_call() -> None:
    """Two years of one ticker are one row call."""
    assets = market(1)
    made = checked(plan(full(assets, 504), assets, BOTH, today=TODAY))
    assert made.tiles == (
        Tile("yahoo", "chart", Interval.DAY, sessions(504)[0].item(), TODAY, 1, "ST00001"),
    )


def test_a_portfolio_is_a_call_a_ticker() -> None:
    """Five tickers and two years are five row calls."""
    assets = market(5)
    made = checked(plan(full(assets, 504), assets, BOTH, today=TODAY))
    assert made.calls_by_source == {"yahoo": 5}
    assert made.calls_ratio == 1.0


def test_market_day_is_one_call() -> None:
    """6,000 tickers and one session are one grouped call."""
    assets = market(6000)
    made = checked(plan(full(assets, 1), assets, BOTH, today=TODAY))
    assert made.tiles == (Tile("polygon", "grouped", Interval.DAY, TODAY, TODAY),)
    assert made.finish_seconds < 1


def test_market_of_two_years_is_a_call_a_session() -> None:
    """6,000 tickers and two years are one grouped call a session, in less than 105 minutes."""
    assets = market(6000)
    made = checked(plan(full(assets, 503), assets, BOTH, today=TODAY))
    assert made.calls_by_source == {"polygon": 503}
    assert made.finish_seconds < 105 * 60
    assert made.calls_ratio == 1.0
    assert made.finish_ratio == 1.0


def test_new_listings_go_by_rows_and_yesterday_by_column() -> None:
    """5,900 tickers missing a day and 100 missing two years: about 101 calls."""
    assets = market(6000)
    mask = np.zeros((6000, 503), dtype=np.bool_)
    mask[:, -1] = True
    mask[5900:] = True
    made = checked(plan(grid(assets, mask), assets, BOTH, today=TODAY))
    assert made.calls == 101
    assert made.calls_ratio == 1.0
    assert made.finish_ratio <= 1.02
    assert Tile("polygon", "grouped", Interval.DAY, TODAY, TODAY) in made.tiles


def test_nothing_needed_is_a_plan_of_no_calls() -> None:
    """A range that is settled already is planned too where a standby source is on."""
    assets = market(3)
    sources = (*BOTH, replace(YAHOO, source="library", standby=True))
    needed = grid(assets, np.zeros((3, 20), np.bool_))
    for cells in (needed, needed.trimmed()):
        assert checked(plan(cells, assets, sources, today=TODAY)).calls == 0


def test_crypto_rides_along_by_rows() -> None:
    """Coins that only the row source knows are called beside the market's columns."""
    assets = market(500) | market(40, AssetClass.CRYPTO, 1001, "24/7")
    made = checked(plan(full(assets, 20), assets, BOTH, today=TODAY))
    assert made.calls_by_source == {"polygon": 20, "yahoo": 40}
    assert made.calls_ratio == 1.0


def test_history_beyond_the_grouped_endpoint_goes_by_rows() -> None:
    """Ten years reach beyond grouped calls; the row calls for that bring the rest along."""
    assets = market(300)
    made = checked(plan(full(assets, 2520), assets, BOTH, today=TODAY))
    assert made.calls_by_source == {"yahoo": 300}
    assert made.calls_ratio == 1.0


def test_columns_where_no_row_source_knows_the_ticker() -> None:
    """Tickers that the row source does not know are had by columns as deep as those go."""
    assets = market(50)
    unknown = [("yahoo", i) for i in (3, 4)]
    made = checked(plan(full(assets, 600), assets, BOTH, today=TODAY, unknown=unknown))
    assert made.calls_by_source["yahoo"] == 48
    assert [part.reason for part in made.uncovered] == [
        "older than polygon reaches (730 days) and no other source is on"
    ]
    assert set(made.uncovered[0].cells.assets.tolist()) == {3, 4}
    oldest = np.datetime64(TODAY - timedelta(days=730))
    assert (made.uncovered[0].cells.sessions < oldest).all()


def test_an_excluded_endpoint_is_not_used() -> None:
    """Without entitlement to grouped calls the market's day goes by rows."""
    assets = market(30)
    made = checked(
        plan(full(assets, 1), assets, BOTH, today=TODAY, exclude={("polygon", "grouped")})
    )
    assert made.calls_by_source == {"yahoo": 30}


def test_everything_excluded_says_so() -> None:
    """With every endpoint failing, nothing is planned and the reason names them."""
    assets = market(2)
    exclude = {("polygon", "grouped"), ("yahoo", "chart")}
    made = checked(plan(full(assets, 3), assets, BOTH, today=TODAY, exclude=exclude))
    assert made.calls == 0
    assert [p.reason for p in made.uncovered] == [
        "polygon and yahoo cannot be used now and no other source is on"
    ]


@pytest.mark.parametrize(
    ("sources", "asset_class", "interval", "reason"),
    [
        ((), AssetClass.STOCK, Interval.DAY, "no source is on"),
        ((POLYGON,), AssetClass.CRYPTO, Interval.DAY, "no source that is on serves crypto"),
        (
            BOTH,
            AssetClass.STOCK,
            Interval.MINUTE,
            "no source that is on serves 1m bars of stock",
        ),
    ],
)
def test_reasons(
    sources: tuple[Capabilities, ...], asset_class: AssetClass, interval: Interval, reason: str
) -> None:
    """Cells without any source say why."""
    assets = market(2, asset_class)
    made = checked(plan(full(assets, 3, interval), assets, sources, today=TODAY))
    assert [(p.reason, len(p.cells)) for p in made.uncovered] == [(reason, 6)]
    assert made.calls == made.lower_bound_calls == 0
    assert made.finish_seconds == 0.0


def test_unknown_everywhere_says_so() -> None:
    """A ticker that no source knows says which were asked."""
    assets = market(1)
    unknown = {("polygon", 1), ("yahoo", 1)}
    made = checked(plan(full(assets, 3), assets, BOTH, today=TODAY, unknown=unknown))
    assert [p.reason for p in made.uncovered] == [
        "unknown to polygon and yahoo and no other source is on"
    ]


def test_sessions_outside_the_listing_and_to_come_are_not_asked_for() -> None:
    """Before the listing, after the delisting, and the future are uncovered, each with why."""
    days = sessions(10, TODAY + timedelta(days=3)).tolist()
    assets = {
        1: PlanAsset(1, "AAA", AssetClass.STOCK, listed_on=days[3]),
        2: PlanAsset(2, "BBB", AssetClass.STOCK, delisted_on=days[5]),
    }
    needed = CellGrid.rectangle(assets, days)
    made = checked(plan(needed, assets, BOTH, today=TODAY))
    counts = {p.reason: len(p.cells) for p in made.uncovered}
    to_come = sum(1 for d in days if d > TODAY)
    assert counts == {
        "before the asset was listed": 3,
        "after the asset was delisted": 10 - 6 - to_come,
        "the session is still to come": 2 * to_come,
    }


def test_a_quota_nearly_spent_sends_the_work_elsewhere() -> None:
    """With a day's allowance used up, a source gets only what cannot wait for others."""
    scarce = Capabilities("scarce", (row("daily"),), (Limit(25, 86_400.0),), preference=1)
    assets = market(10)
    needed = full(assets, 200)
    fresh = checked(plan(needed, assets, (scarce, YAHOO), today=TODAY))
    spent = {"scarce": QuotaState(spent=(24,))}
    late = checked(plan(needed, assets, (scarce, YAHOO), spent, today=TODAY))
    assert late.calls_by_source.get("scarce", 0) <= 1
    assert late.finish_seconds < 60
    assert fresh.finish_seconds <= relaxed(late.finish_seconds)


def test_a_blocked_source_is_waited_for_only_if_it_must_be() -> None:
    """A Retry-After moves calls to the other source, unless there is none."""
    assets = market(4)
    blocked = {"yahoo": QuotaState(blocked_seconds=600.0)}
    made = checked(plan(full(assets, 3), assets, BOTH, blocked, today=TODAY))
    assert made.calls_by_source == {"polygon": 3}
    alone = checked(plan(full(assets, 3), assets, (YAHOO,), blocked, today=TODAY))
    assert alone.calls_by_source == {"yahoo": 4}
    assert alone.finish_seconds > 600


def test_row_sources_share_by_rate() -> None:
    """Two row sources take parts in proportion to what they can do in the time."""
    slow = Capabilities("slow", (row("daily"),), (Limit(10, 60.0),), preference=1)
    fast = Capabilities("fast", (row("daily"),), (Limit(40, 60.0),), preference=2)
    assets = market(1000)
    made = checked(plan(full(assets, 300), assets, (slow, fast), today=TODAY))
    assert made.calls == 1000
    assert made.calls_by_source["fast"] == pytest.approx(800, rel=0.05)
    assert made.finish_ratio <= 1.03


def test_an_unhealthy_source_gets_less() -> None:
    """A source that fails half the time counts for half its rate."""
    one = Capabilities("one", (row("daily"),), (Limit(30, 60.0),), preference=1)
    two = Capabilities("two", (row("daily"),), (Limit(30, 60.0),), preference=2)
    assets = market(900)
    made = checked(plan(full(assets, 300), assets, (one, two), today=TODAY, health={"one": 0.5}))
    assert made.calls_by_source["one"] == pytest.approx(300, rel=0.06)


def test_intraday_is_cut_into_spans() -> None:
    """Minute bars of five sessions a call: a month of one ticker takes five calls."""
    minute = row("1m", intervals=(Interval.MINUTE,), depth_days=29, max_sessions=5, to_now=False)
    source = replace(YAHOO, endpoints=(minute,))
    assets = market(3)
    made = checked(plan(full(assets, 21, Interval.MINUTE), assets, (source,), today=TODAY))
    assert made.calls == 3 * 5
    assert made.calls_ratio == 1.0
    for tile in made.tiles:
        assert len(made.covers(tile).sessions) <= 5


def test_a_call_to_the_present_reaches_as_far_as_its_span() -> None:
    """Where only the last 100 sessions are served, older ones go elsewhere or nowhere."""
    compact = Capabilities(
        "compact", (row("daily", max_sessions=100),), (Limit(25, 86_400.0),), preference=1
    )
    assets = market(1)
    made = checked(plan(full(assets, 150), assets, (compact,), today=TODAY))
    assert made.calls == 1
    assert [p.reason for p in made.uncovered] == [
        "older than compact reaches (100 sessions) and no other source is on"
    ]
    assert len(made.covers(made.tiles[0])) == 100


@pytest.mark.parametrize("density", [0.001, 0.05, 0.5])
def test_random_holes_are_close_to_the_bounds(density: float) -> None:
    """Holes at random: calls and finish stay near what no plan can beat."""
    mask = np.random.default_rng(7).random((1500, 500)) < density
    assets = market(1500)
    made = checked(plan(grid(assets, mask), assets, BOTH, today=TODAY))
    assert made.finish_ratio <= 1.10
    assert made.calls_ratio <= 1.10


def test_two_grouped_sources_share_the_sessions() -> None:
    """Columns are shared by rate like rows."""
    other = Capabilities("other", (column(),), (Limit(15, 60.0),), preference=60)
    assets = market(2000)
    made = checked(plan(full(assets, 400), assets, (POLYGON, other), today=TODAY))
    assert made.calls == 400
    assert made.calls_by_source["other"] == pytest.approx(300, rel=0.05)


def test_families_of_columns_that_overlap() -> None:
    """A ticker one grouped source does not know is had from the other, others from either."""
    other = Capabilities("other", (column(),), (Limit(5, 60.0),), preference=60)
    assets = market(60)
    made = checked(
        plan(full(assets, 8), assets, (POLYGON, other), today=TODAY, unknown={("polygon", 9)})
    )
    assert not made.uncovered
    assert made.calls <= 16


def test_runs_of_one_backfill_choose_the_same_tiles() -> None:
    """32 shards, each planned within the whole, make the calls of one plan; so do days."""
    assets = market(320)
    whole = full(assets, 30)
    one = checked(plan(whole, assets, BOTH, today=TODAY))
    assert one.calls_by_source == {"polygon": 30}
    tiles: set[Tile] = set()
    for shard in range(32):
        mask = whole.mask & (whole.assets % 32 == shard)[:, None]
        part = whole.with_mask(mask).trimmed()
        made = checked(plan(part, assets, BOTH, today=TODAY, wider=whole))
        assert made.calls_by_source == {"polygon": 30}
        tiles |= set(made.tiles)
    assert tiles == set(one.tiles)
    alone = plan(part, assets, BOTH, today=TODAY)
    assert alone.calls_by_source == {"yahoo": 10}


def test_days_of_one_backfill_choose_rows_over_all_of_it() -> None:
    """A day of a ticker whose whole history is due asks for the whole history."""
    assets = market(3)
    whole = full(assets, 252)
    day = CellGrid.rectangle(assets, [TODAY])
    made = checked(plan(day, assets, BOTH, today=TODAY, wider=whole))
    assert made.calls_by_source == {"yahoo": 3}
    assert all(tile.start == whole.sessions[0].item() for tile in made.tiles)
    assert all(len(made.covers(tile)) == 1 for tile in made.tiles)


def test_planning_again_on_what_is_left_keeps_what_is_done() -> None:
    """After some tiles are done, the plan for the rest is the rest of the plan."""
    assets = market(400)
    needed = full(assets, 40)
    first = plan(needed, assets, BOTH, today=TODAY)
    left = needed
    for tile in first.tiles[:15]:
        left = left.difference(first.covers(tile))
    second = checked(plan(left, assets, BOTH, today=TODAY))
    assert set(second.tiles) == set(first.tiles[15:])


def test_newest_sessions_come_first() -> None:
    """A source's column calls go from the newest session to the oldest."""
    assets = market(300)
    made = plan(full(assets, 30), assets, (DEEP_POLYGON,), today=TODAY)
    starts = [tile.start for tile in made.by_source()["polygon"]]
    assert starts == sorted(starts, reverse=True)


ALPACA = Capabilities(
    "alpaca",
    (
        row(
            "bars", shape=TileShape.BLOCK, asset_classes=US, to_now=False,
            max_symbols=100, bars_a_request=10_000,
        ),
    ),
    (Limit(200, 60.0),),
    preference=45,
    concurrency=4,
)  # fmt: skip


def test_blocks_take_a_large_rectangle_by_the_page() -> None:
    """6,000 tickers x 503 sessions: 19 tickers a page of 10,000 bars, 316 requests."""
    assets = market(6000)
    made = checked(plan(full(assets, 503), assets, [POLYGON, ALPACA], today=TODAY))
    assert made.calls_by_source.keys() == {"alpaca"}
    assert made.calls == -(-6000 // 19)
    assert made.calls_ratio == 1.0
    assert made.finish_seconds < 120
    assert max(len(tile.members) for tile in made.tiles) == 19


def test_blocks_name_as_many_as_they_may() -> None:
    """A day of the market without a whole-market call: 100 tickers a request."""
    assets = market(6000)
    made = checked(plan(full(assets, 1), assets, [ALPACA], today=TODAY))
    assert made.calls == 60
    both = checked(plan(full(assets, 1), assets, [POLYGON, ALPACA], today=TODAY))
    assert both.calls_by_source == {"polygon": 1}


def test_rows_of_unequal_spans_are_not_sent_together() -> None:
    """A hole of yesterday does not ask for ten years of its neighbour's."""
    assets = market(200)
    mask = np.zeros((200, 2000), dtype=np.bool_)
    mask[:100, -1] = True
    mask[100:] = True
    made = checked(plan(grid(assets, mask), assets, [ALPACA], today=TODAY))
    sizes = {len(tile.members) for tile in made.tiles}
    assert sizes == {100, 5}
    assert made.calls == 1 + 100 // 5


def test_a_plan_is_json() -> None:
    """to_dict has figures, reasons and calls, and limits the list of calls on request."""
    assets = market(4)
    made = plan(full(assets, 30), assets, BOTH, today=TODAY)
    data = made.to_dict(tiles=2)
    assert data["calls"] == 4
    assert len(data["tiles"]) == 2
    assert data["cells"] == data["covered"] == 120


def test_nothing_needed_is_an_empty_plan() -> None:
    """No cells, no calls."""
    made = plan(full(market(3), 0), market(3), BOTH, today=TODAY)
    assert (made.calls, made.finish_seconds, made.lower_bound_calls) == (0, 0.0, 0)
    empty = CellGrid.from_pairs([])
    assert plan(empty, {}, BOTH, today=TODAY).calls == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"assets": market(2)}, "assets: 3"),
        ({"sources": (YAHOO, YAHOO)}, "sources: 'yahoo'"),
        ({"wider": full(market(3), 5, Interval.HOUR)}, "wider: '1h'"),
    ],
)
def test_bad_input_names_the_parameter(changes: dict[str, Any], text: str) -> None:
    """An asset without description, a source twice, a mix of intervals."""
    arguments = {"needed": full(market(3), 5), "assets": market(3), "sources": BOTH, **changes}
    with pytest.raises(InputError, match=text):
        plan(**arguments, today=TODAY)


def test_depth_counts_from_the_day_given() -> None:
    """The oldest session a source serves moves with the market's date."""
    assets = market(2000)
    needed = CellGrid.rectangle(assets, [date(2024, 7, 31)])
    near = plan(needed, assets, BOTH, today=TODAY)
    far = plan(needed, assets, BOTH, today=TODAY + timedelta(days=1))
    assert near.calls_by_source == {"polygon": 1}
    assert far.calls_by_source == {"yahoo": 2000}
