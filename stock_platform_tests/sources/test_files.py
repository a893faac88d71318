"""The user's own files: what is read, what is refused, and how it is told."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import PARSED_BARS, Basis, Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.errors import InputError, Malformed, NoData, UnknownSymbol
from stock_platform.sources.base import Answer
from stock_platform.sources.files.client import FilesSource, ticker_of
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup

HEADER = "date,open,high,low,close,volume\n"
ROWS = "2024-03-04,10,11,9,10.5,1000\n2024-03-05,11,12,10,11.5,2000\n"


def source(path: Path, **options: Any) -> FilesSource:
    built = build(
        Setup(
            SOURCES["files"].capabilities,
            MemoryQuota(),
            options={"path": str(path), **options},
        )
    )
    assert isinstance(built, FilesSource)
    return built


def fetch(path: Path, symbol: str = "AAPL", **options: Any) -> Answer:
    interval = Interval(options.get("interval", "1d"))
    tile = Tile("files", "history", interval, date(2024, 3, 1), date(2024, 3, 31), 1, symbol)
    return source(path, **options).fetch(tile)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_one_file_a_ticker(tmp_path: Path) -> None:
    """The file's name is the ticker; bars are stamped at the session's opening."""
    write(tmp_path, "AAPL.csv", HEADER + ROWS)
    write(tmp_path, "BRK.B.csv", HEADER + ROWS)
    answer = fetch(tmp_path)
    assert dict(answer.bars.schema) == PARSED_BARS
    assert answer.bars["close"].to_list() == [10.5, 11.5]
    assert answer.bars["ts"].to_list() == [datetime(2024, 3, d, 14, 30, tzinfo=UTC) for d in (4, 5)]
    assert (answer.basis, answer.requests) == (Basis.AS_TRADED, 0)
    assert source(tmp_path).symbols() == ["AAPL", "BRK.B"]


def test_a_file_of_many_tickers(tmp_path: Path) -> None:
    """A symbol column says which rows are whose; NA and TRUE are tickers."""
    text = "ticker;day;Open;High;Low;Last;Vol\n" + "".join(
        f"{t};2024-03-04;10;11;9;{c};5\n" for t, c in (("NA", 1), ("TRUE", 2), ("BRK-B", 3))
    )
    write(tmp_path, "all.csv", text)
    assert source(tmp_path).symbols() == ["BRK.B", "NA", "TRUE"]
    assert fetch(tmp_path, "TRUE").bars["close"].to_list() == [2.0]
    assert fetch(tmp_path, "BRK.B").bars["close"].to_list() == [3.0]


def test_columns_can_be_named(tmp_path: Path) -> None:
    """A mapping tells what columns of other names mean."""
    write(tmp_path, "AAPL.csv", "Tag,Eroeffnung,Hoch,Tief,Schluss\n2024-03-04,1,2,0.5,1.5\n")
    names = {"date": "Tag", "open": "Eroeffnung", "high": "Hoch", "low": "Tief"}
    assert fetch(tmp_path, columns=names | {"close": "Schluss"}).bars["close"].to_list() == [1.5]
    with pytest.raises(Malformed, match=r"AAPL.csv: line 1: no column for close; it has Tag"):
        fetch(tmp_path, columns=names)
    with pytest.raises(Malformed, match="no column 'Ende'"):
        fetch(tmp_path, columns=names | {"close": "Ende"})


def test_decimal_commas(tmp_path: Path) -> None:
    """1.234,56 with semicolons, as German files have it."""
    write(
        tmp_path, "AAPL.csv", "date;open;high;low;close\n04.03.2024;1.234,5;1.240;1.230,25;1.235\n"
    )
    bar = fetch(tmp_path, decimal_comma=True, date_format="%d.%m.%Y").bars.row(0, named=True)
    assert (bar["session"], bar["open"], bar["high"], bar["low"], bar["close"]) == (
        date(2024, 3, 4),
        1234.5,
        1240.0,
        1230.25,
        1235.0,
    )


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-04",
        "20240304",
        "2024/03/04",
        "2024-03-04 00:00:00-05:00",
        "2024-03-04T16:00:00",
        "20240304 00:00",
        "1709562600",
        "1709562600000",
    ],
)
def test_dates_without_a_format(tmp_path: Path, text: str) -> None:
    """Dates that can mean one day only need no format."""
    write(tmp_path, "AAPL.csv", HEADER + f"{text},10,11,9,10.5,1000\n")
    assert fetch(tmp_path).bars["session"].to_list() == [date(2024, 3, 4)]


def test_unreadable_rows_are_told_by_line(tmp_path: Path) -> None:
    """Each row that cannot be read has its line and a reason a column; the others are bars."""
    write(
        tmp_path,
        "AAPL.csv",
        HEADER
        + "2024-03-04,10,11,9,10.5,1000\n"
        + "03/05/2024,10,11,9,10.5,1000\n"
        + "2024-03-06,ten,11,,10.5,1e3\n"
        + "\n"
        + '2024-03-07,10,11,9,"10,5",1000\n'
        + '2024-03-08,10,11,9,10.5,"1,000"\n',
    )
    answer = fetch(tmp_path)
    assert answer.bars["session"].dt.day().to_list() == [4, 8]
    assert answer.bars["volume"].to_list() == [1000.0, 1000.0]
    assert answer.rejected["reasons"].to_list() == [
        ["line 3: date: '03/05/2024' is not a date of the format"],
        ["line 4: open: 'ten' is not a number", "line 4: low is missing"],
        ["line 6: close: '10,5' is not a number"],
    ]
    assert '"file": "AAPL.csv"' in answer.rejected["row"][0]


def test_duplicates(tmp_path: Path) -> None:
    """Equal rows are one bar; of rows that differ the first counts and the other is told."""
    write(tmp_path, "AAPL.csv", HEADER + ROWS + ROWS + "2024-03-05,11,12,10,99,2000\n")
    answer = fetch(tmp_path)
    assert answer.bars["close"].to_list() == [10.5, 11.5]
    assert answer.rejected["reasons"].to_list() == [
        ["line 6: another row of the same time, after line 3"]
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + ROWS + "2024-03-06,1,2,3,4,5,6,7\n", r"AAPL.csv: line 4: 8 fields .* has 6"),
        ("", r"AAPL.csv: line 1: no header"),
        ("just words\n", r"no column for date, open"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, text: str, said: str) -> None:
    """A file that is no table of prices: its name, the line, what is wrong."""
    write(tmp_path, "AAPL.csv", text)
    with pytest.raises(Malformed, match=said):
        fetch(tmp_path)


def test_other_bytes_are_no_text(tmp_path: Path) -> None:
    """Latin-1 and binary files are refused in words, not with a traceback."""
    (tmp_path / "AAPL.csv").write_bytes(HEADER.encode() + b"2024-03-04,\xff\xfe,1,1,1,1\n")
    with pytest.raises(Malformed, match=r"AAPL.csv: line 2: not UTF-8"):
        fetch(tmp_path)
    (tmp_path / "AAPL.csv").unlink()
    (tmp_path / "AAPL.parquet").write_bytes(b"PAR0")
    with pytest.raises(Malformed, match=r"AAPL.parquet: not a Parquet file"):
        fetch(tmp_path)


def test_parquet(tmp_path: Path) -> None:
    """Typed columns are taken as they are; one file may hold many tickers."""
    pl.DataFrame(
        {
            "symbol": ["AAPL", "MSFT", "AAPL"],
            "date": [date(2024, 3, 4), date(2024, 3, 4), date(2024, 3, 5)],
            **{name: [1.0, 2.0, 3.0] for name in ("open", "high", "low", "close")},
            "volume": [1, 2, 3],
        }
    ).write_parquet(tmp_path / "market.parquet")
    assert source(tmp_path).symbols() == ["AAPL", "MSFT"]
    assert fetch(tmp_path).bars["close"].to_list() == [1.0, 3.0]


def test_gzip_and_globs(tmp_path: Path) -> None:
    """Compressed CSV is read; a glob chooses files."""
    (tmp_path / "2024").mkdir()
    with gzip.open(tmp_path / "2024" / "AAPL.csv.gz", "wt") as file:
        file.write(HEADER + ROWS)
    write(tmp_path, "MSFT.csv", HEADER + ROWS)
    assert fetch(tmp_path).bars.height == 2
    assert source(tmp_path / "*" / "*.gz").symbols() == ["AAPL"]
    assert ticker_of(Path("brk.b.csv.gz")) == "brk.b"


def test_intraday_stamps(tmp_path: Path) -> None:
    """Naive stamps are in the exchange's zone or the one given; others are what they say."""
    rows = "2024-03-04 09:30:00,1,1,1,1,1\n2024-03-04T14:31:00Z,2,2,2,2,2\n"
    write(tmp_path, "AAPL.csv", HEADER + rows)
    answer = fetch(tmp_path, interval="1m")
    assert answer.bars["ts"].to_list() == [
        datetime(2024, 3, 4, 14, 30, tzinfo=UTC),
        datetime(2024, 3, 4, 14, 31, tzinfo=UTC),
    ]
    assert answer.bars["session"].to_list() == [date(2024, 3, 4)] * 2
    moved = fetch(tmp_path, interval="1m", zone="Europe/Berlin")
    assert moved.bars["ts"][0] == datetime(2024, 3, 4, 8, 30, tzinfo=UTC)


def test_actions_beside_prices(tmp_path: Path) -> None:
    """Dividends beside split-adjusted prices are made as paid by the later splits."""
    text = "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n" + "".join(
        f"2024-03-0{d},1,1,1,1,1,{paid},{split}\n"
        for d, paid, split in ((4, 0, 0), (5, 0.25, 0), (6, 0, 4), (7, 0.25, 0))
    )
    write(tmp_path, "AAPL.csv", text)
    answer = fetch(tmp_path, basis="split_adjusted", currency="USD")
    assert answer.splits.rows() == [("AAPL", date(2024, 3, 6), 4.0)]
    assert answer.dividends.rows() == [
        ("AAPL", date(2024, 3, 5), 1.0, "USD"),
        ("AAPL", date(2024, 3, 7), 0.25, "USD"),
    ]
    assert fetch(tmp_path).dividends["amount"].to_list() == [0.25, 0.25]


def test_what_is_not_there(tmp_path: Path) -> None:
    """An unknown ticker, an empty range, an empty folder: each its own error."""
    write(tmp_path, "AAPL.csv", HEADER + "2023-01-03,1,1,1,1,1\n")
    with pytest.raises(UnknownSymbol, match="in none of 1 files"):
        fetch(tmp_path, "MSFT")
    with pytest.raises(NoData, match=r"no rows in 2024-03-01..2024-03-31"):
        fetch(tmp_path)
    with pytest.raises(InputError, match="files path"):
        source(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"basis": "odd"}, "files basis: 'odd'"),
        ({"interval": "2d"}, "interval: '2d'"),
        ({"zone": "Mars"}, "files zone: 'Mars'"),
        ({"columns": {"price": "x"}}, "files columns: 'price'"),
        ({"colour": "red"}, "files option: 'colour'"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    """A wrong option is named with what is allowed, before any file is read."""
    write(tmp_path, "AAPL.csv", HEADER + ROWS)
    with pytest.raises(InputError, match=said):
        source(tmp_path, **options)


def test_capabilities_follow_the_options(tmp_path: Path) -> None:
    """Basis and interval are the user's to declare; files have no limits."""
    write(tmp_path, "AAPL.csv", HEADER + ROWS)
    endpoint = source(tmp_path, basis="fully_adjusted", interval="1h").capabilities.endpoints[0]
    assert (endpoint.basis, endpoint.intervals) == (Basis.FULLY_ADJUSTED, (Interval.HOUR,))
    assert SOURCES["files"].capabilities.limits == ()


def test_real_files(shared_fixtures: Path) -> None:
    """Lean's raw bars of 21 tickers in one file, and zipline's folder with actions."""
    lean = shared_fixtures / "prices" / "lean" / "equity_usa_daily_raw.csv.gz"
    tile = Tile("files", "history", Interval.DAY, date(2014, 6, 5), date(2014, 6, 10), 1, "AAPL")
    answer = source(lean).fetch(tile)
    assert answer.bars["session"].dt.day().to_list() == [5, 6, 9, 10]
    assert answer.bars["close"][1] > 600 > answer.bars["close"][2] * 6
    zipline = shared_fixtures / "prices" / "zipline_csvdir"
    answer = source(zipline, basis="split_adjusted").fetch(tile)
    assert answer.splits.rows() == [("AAPL", date(2014, 6, 9), 7.0)]
