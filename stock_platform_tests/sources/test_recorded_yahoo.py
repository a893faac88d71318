"""Real recorded answers of Yahoo give the bars that were looked up by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    RateLimited,
    SourceError,
    UnknownSymbol,
)
from stock_platform.domain.symbols import default_calendar, parse_symbol
from stock_platform.sources.yahoo.parse import Chart, parse_chart

NOW = datetime(2026, 11, 21, tzinfo=UTC)

# file, symbol, bars, first session, last session, opening of the last, its close and volume
GOOD = [
    line.split()
    for line in """
aapl-1d-2020-01          AAPL          1    2020-01-02 2020-01-02 14:30 75.0875015258789   135480400
aapl-1d-2020-08-31_11-07-dividend AAPL 49   2020-08-31 2020-11-06 14:30 118.69000244140625 114457900
aapl-1d-2025             AAPL          126  2025-04-30 2025-10-28 13:30 269.0              41534800
btc-usd-1d               BTC-USD       3    2020-01-01 2020-01-03 00:00 7344.88427734375 28111481032
eurusd-x-1d              EUR/USD       3    2020-01-01 2020-01-03 00:00 1.1171437501907349 0
fund-0P000071W8-TO       0P000071W8.TO 1    2020-01-02 2020-01-02 14:30 73.72000122070312  0
gc-f-futures             GC=F          1    2020-01-02 2020-01-02 -     1524.5             214
gs2c-de-1d               GS2C.DE       4    2025-10-23 2025-10-28 08:00 20.079999923706055 28989
msft-1d-2021-dividends   MSFT          252  2021-02-01 2022-01-28 14:30 308.260009765625   49743700
nvda-1d-2021-split       NVDA          252  2021-02-01 2022-01-28 14:30 22.84000015258789  543774000
ocdo-l-GBp               OCDO.L        1    2020-01-02 2020-01-02 08:00 12.595             728520
pp-historical01          MUV2.DE       123  2017-11-27 2018-05-25 07:00 188.3              -
pp-historical02          MUV2.DE       124  2017-11-27 2018-05-25 07:00 188.3000030517578  553716
scheb-historicalData     AAPL          10   2024-09-30 2024-10-11 13:30 227.5500030517578  31668000
tsla-1d-max-no-dividends TSLA          3303 2010-06-29 2023-08-11 13:30 242.64999389648438 98866600
wskt-jk-1d               WSKT.JK       1    2020-01-02 2020-01-02 02:00 1505.0             23547100
wsu-de-null-bar          WSU.DE        3    2023-08-04 2023-08-08 07:00 33.20000076293945  10846
""".splitlines()
    if line
]


def read(
    folder: Path,
    name: str,
    symbol: str,
    status: int = 200,
    interval: Interval = Interval.DAY,
    now: datetime = NOW,
) -> Chart:
    ticker = parse_symbol(symbol)
    return parse_chart(
        status,
        (folder / "payloads" / "yahoo_chart" / name).read_bytes(),
        symbol=ticker.ticker,
        interval=interval,
        calendar=default_calendar(ticker),
        now=now,
    )


@pytest.mark.parametrize("expected", GOOD, ids=[row[0] for row in GOOD])
def test_bars(shared_fixtures: Path, expected: list[str]) -> None:
    """Dates in the exchange's zone, stamps at the opening, numbers as given."""
    name, symbol, count, first, last, opening, close, volume = expected
    chart = read(shared_fixtures, f"{name}.json", symbol)
    assert chart.bars.height == int(count)
    assert chart.bars["session"].is_sorted()
    assert chart.bars["session"].n_unique() == int(count)
    assert str(chart.bars["session"][0]) == first
    bar = chart.bars.row(-1, named=True)
    assert str(bar["session"]) == last
    if opening != "-":
        assert bar["ts"] == datetime.fromisoformat(f"{last}T{opening}+00:00")
    assert bar["close"] == float(close)
    assert bar["volume"] == (None if volume == "-" else float(volume))
    assert chart.rejected.is_empty()


def test_live_last_bars_are_left_out(shared_fixtures: Path) -> None:
    """Both were recorded on 2025-10-29, in and after the session."""
    for name, symbol in (("aapl-1d-2025", "AAPL"), ("gs2c-de-1d", "GS2C.DE")):
        chart = read(shared_fixtures, f"{name}.json", symbol)
        assert chart.unfinished == {date(2025, 10, 29)}


@pytest.mark.parametrize(("hours", "final"), [(0.1, False), (3.9, False), (4.1, True), (60, True)])
def test_the_last_bar_is_final_some_hours_after_the_close(
    shared_fixtures: Path, hours: float, final: bool
) -> None:
    """Though it is stamped with the market's time until the next day: its volume is corrected."""
    now = datetime(2025, 10, 29, 20, tzinfo=UTC) + timedelta(hours=hours)
    chart = read(shared_fixtures, "aapl-1d-2025.json", "AAPL", now=now)
    assert chart.unfinished == (set() if final else {date(2025, 10, 29)})
    assert chart.bars["session"].max() == date(2025, 10, 29 if final else 28)


def test_a_null_close_is_no_bar(shared_fixtures: Path) -> None:
    """MUV2.DE has no close on 2017-12-19."""
    chart = read(shared_fixtures, "pp-historical01.json", "MUV2.DE")
    assert date(2017, 12, 19) not in chart.bars["session"].to_list()


def test_actions(shared_fixtures: Path) -> None:
    """Splits and dividends of the answers, on the exchange's dates."""
    chart = read(shared_fixtures, "aapl-1d-2020-08-31_11-07-dividend.json", "AAPL")
    assert chart.splits.rows() == [("AAPL", date(2020, 8, 31), 4.0)]
    assert chart.dividends.rows() == [("AAPL", date(2020, 11, 6), 0.205, "USD")]
    chart = read(shared_fixtures, "nvda-1d-2021-split.json", "NVDA")
    assert chart.splits.rows() == [("NVDA", date(2021, 7, 20), 4.0)]
    chart = read(shared_fixtures, "msft-1d-2021-dividends.json", "MSFT")
    assert chart.dividends["amount"].to_list() == [0.56, 0.56, 0.56, 0.62]
    assert [str(d) for d in chart.dividends["ex_date"]] == [
        "2021-02-17",
        "2021-05-19",
        "2021-08-18",
        "2021-11-17",
    ]


def test_listing_and_currency(shared_fixtures: Path) -> None:
    """First trade and currency of three exchanges."""
    for name, symbol, listed, currency in (
        ("aapl-1d-2020-01", "AAPL", date(1980, 12, 12), "USD"),
        ("ocdo-l-GBp", "OCDO.L", date(2010, 7, 21), "GBP"),
        ("wskt-jk-1d", "WSKT.JK", date(2012, 12, 19), "IDR"),
    ):
        chart = read(shared_fixtures, f"{name}.json", symbol)
        assert (chart.listed_from, chart.currency) == (listed, currency)


def test_a_fund_without_a_ticker_of_ours(shared_fixtures: Path) -> None:
    """0P0000XTS7 is no ticker we parse; its answer is read all the same."""
    body = (shared_fixtures / "payloads/yahoo_chart/fund-0P0000XTS7-missing.json").read_bytes()
    chart = parse_chart(
        200, body, symbol="0P0000XTS7", interval=Interval.DAY, calendar="XNYS", now=NOW
    )
    assert chart.bars["close"].to_list() == [11887.099609375, 11892.1904296875]
    assert [str(d) for d in chart.bars["session"]] == ["2024-09-12", "2024-09-13"]


@pytest.mark.parametrize(
    ("name", "status", "interval", "kind", "said"),
    [
        ("aapl-1m-weekend-empty.json", 200, "1m", NoData, "no bars in the range"),
        ("error-404-delisted.json", 404, "1d", UnknownSymbol, "may be delisted"),
        ("error-422-5m-range.json", 422, "5m", NoData, "within the last 60 days"),
        ("error-429-edge.txt", 429, "1d", RateLimited, "Too Many Requests"),
        ("error-429-edge.txt", 200, "1d", RateLimited, "Too Many Requests"),
        ("scheb-dividendData.json", 200, "1d", Malformed, "was given 1mo bars"),
        ("v7-download-400-no-data.txt", 400, "1d", NoData, "Data doesn't exist"),
    ],
)
def test_errors(
    shared_fixtures: Path,
    name: str,
    status: int,
    interval: str,
    kind: type[SourceError],
    said: str,
) -> None:
    """Empty results, errors by status, silent downsampling: the right error, in words."""
    with pytest.raises(kind, match=said):
        read(shared_fixtures, name, "AAPL", status, Interval(interval))


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folder needs an expectation here."""
    folder = shared_fixtures / "payloads" / "yahoo_chart"
    known = {f"{row[0]}.json" for row in GOOD} | {
        "aapl-1m-weekend-empty.json",
        "error-404-delisted.json",
        "error-422-5m-range.json",
        "error-429-edge.txt",
        "fund-0P0000XTS7-missing.json",
        "scheb-dividendData.json",
        "v7-download-400-no-data.txt",
    }
    assert {p.name for p in folder.iterdir() if not p.name.endswith(".headers.json")} == known
