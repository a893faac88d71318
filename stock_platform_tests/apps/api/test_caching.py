"""What is kept of answers, and that it is never older than what was committed."""

from __future__ import annotations

import asyncio
import gzip
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from stock_platform.apps.api import versions as versions_module
from stock_platform.apps.api.bodies import Bodies, Body
from stock_platform.apps.api.routes.prices import takes_gzip
from stock_platform.apps.api.versions import Versions
from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.assets import resolve
from stock_platform.storage.connection import Database
from stock_platform.storage.serving import data_moment, price_versions
from stock_platform.storage.writers import write_validated
from stock_platform_tests.apps.api.conftest import NOW, SESSIONS, START
from stock_platform_tests.storage import worlds

ADDRESS = "/v1/prices/AAPL"
DAYS = worlds.weekdays(START, SESSIONS)


def write(db: Database, seed: int, day: date = DAYS[7]) -> float:
    """Another price of AAPL; its close."""
    asset = resolve(db, ["AAPL"])["AAPL"]
    bars = worlds.raw_bars([asset], [day], seed=seed)
    write_validated(db, worlds.validated(bars))
    return float(bars["close"][0])


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_no_answer_is_older_than_a_commit(
    client: TestClient, filled: Database, encoding: str
) -> None:
    """Whoever asks after a commit sees it, though others ask all the while, ETag or not."""
    stop = False
    params: dict[str, Any] = {"start": str(DAYS[0]), "end": str(DAYS[20])}
    head = {"accept-encoding": encoding}

    def ask_on() -> int:
        count = 0
        while not stop:
            count += client.get(ADDRESS, params=params, headers=head).is_success
        return count

    with ThreadPoolExecutor(2) as threads:
        others = [threads.submit(ask_on) for _ in range(2)]
        try:
            etag = client.get(ADDRESS, params=params, headers=head).headers["etag"]
            for seed in range(1, 16):
                close = write(filled, seed)
                known = {"if-none-match": etag} if seed % 2 else {}
                got = client.get(ADDRESS, params=params, headers={**head, **known})
                assert got.status_code == 200
                assert got.json()["prices"][7]["close"] == close
                assert got.headers["etag"] != etag
                etag = got.headers["etag"]
                again = client.get(ADDRESS, params=params, headers={**head, "if-none-match": etag})
                assert again.status_code == 304
        finally:
            stop = True
        assert all(other.result() > 0 for other in others)


def test_a_change_under_the_same_stamp_is_seen(client: TestClient, filled: Database) -> None:
    """A later commit may have an earlier stamp, or that of the batch before: it is news, too."""
    asset = resolve(filled, ["AAPL"])["AAPL"]
    etags: list[str] = []
    for seed, seconds in ((1, 0), (2, 0), (3, -5)):
        bars = worlds.raw_bars([asset], [DAYS[7]], seed=seed)
        at = NOW + timedelta(seconds=seconds)
        write_validated(filled, replace(worlds.validated(bars), at=at))
        head = {"if-none-match": etags[-1]} if etags else {}
        got = client.get(ADDRESS, headers=head)
        assert got.status_code == 200
        assert got.json()["prices"][7]["close"] == float(bars["close"][0])
        etags.append(got.headers["etag"])
    assert len(set(etags)) == 3


def test_a_price_removed_and_a_currency_changed_are_seen(
    client: TestClient, filled: Database
) -> None:
    """What another program deletes or changes by SQL is gone from the next answer."""
    first = client.get(ADDRESS)
    with filled.connect() as connection:
        connection.execute(
            "delete from stocks.validated_prices p using stocks.tickers t "
            "where p.asset_id = t.asset_id and t.ticker = 'AAPL' and p.session = %s",
            [DAYS[3]],
        )
    fewer = client.get(ADDRESS, headers={"if-none-match": first.headers["etag"]})
    assert len(fewer.json()["prices"]) == SESSIONS - 1
    with filled.connect() as connection:
        connection.execute(
            "update stocks.assets a set currency = 'EUR' from stocks.tickers t "
            "where a.asset_id = t.asset_id and t.ticker = 'AAPL'"
        )
    assert client.get(ADDRESS).headers["etag"] != fewer.headers["etag"]


def test_gzip_is_the_same_body(client: TestClient) -> None:
    """Compressed or not, the rows are equal; ETags differ, and either revalidates either."""
    for kind in ("json", "csv"):
        params = {"format": kind}
        plain = client.get(ADDRESS, params=params, headers={"accept-encoding": "identity"})
        zipped = client.get(ADDRESS, params=params, headers={"accept-encoding": "br, gzip;q=0.5"})
        assert "content-encoding" not in plain.headers
        assert zipped.headers["content-encoding"] == "gzip"
        assert zipped.content == plain.content  # the client has unpacked it
        assert int(zipped.headers["content-length"]) * 3 < len(plain.content)
        assert "Accept-Encoding" in plain.headers["vary"]
        etags = plain.headers["etag"], zipped.headers["etag"]
        assert etags[0] != etags[1]
        for etag in etags:
            for encoding in ("identity", "gzip"):
                head = {"if-none-match": etag, "accept-encoding": encoding}
                assert client.get(ADDRESS, params=params, headers=head).status_code == 304
    arrow = client.get(ADDRESS, params={"format": "arrow"}, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in arrow.headers


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip", True), ("deflate, GZIP;q=1", True), ("x-gzip", True), ("gzip;q=0", False),
        ("gzip; q=0.0", False), ("br", False), ("", False), (None, False),
    ],
)  # fmt: skip
def test_accept_encoding(accepted: str | None, taken: bool) -> None:
    """RFC 9110, 12.5.3: a quality of 0 is a refusal."""
    assert takes_gzip(accepted) is taken


def test_everything_of_one_moment(filled: Database) -> None:
    """What is read at one moment is not touched by commits meanwhile, and nothing is written."""
    with filled.at_one_moment() as then:
        before = price_versions(then, ["AAPL"], "1d")
        write(filled, 3)
        assert price_versions(then, ["AAPL"], "1d") == before
        assert data_moment(then) == before[0]
        assert price_versions(filled, ["AAPL"], "1d") != before
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), then.connect() as connection:
            connection.execute("delete from stocks.tracked_assets")


def test_versions_are_read_again_only_after_a_commit(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing committed: nothing is counted again; and one question is for all who wait."""
    asked: list[list[str]] = []

    def counted(db: Database, tickers: list[str], interval: str) -> Any:
        asked.append(sorted(tickers))
        return price_versions(db, tickers, interval)

    monkeypatch.setattr(versions_module, "price_versions", counted)
    versions = Versions(filled)

    async def all_of(*tickers: str) -> list[Any]:
        return await asyncio.gather(*(versions.of(ticker, "1d") for ticker in tickers))

    first = asyncio.run(all_of("AAPL", "MSFT", "AAPL", "NONE"))
    assert asked == [["AAPL", "MSFT", "NONE"]]
    assert first[0] == first[2] != first[1]
    assert first[3] is None
    assert asyncio.run(all_of("MSFT", "AAPL")) == [first[1], first[0]]
    assert len(asked) == 1
    write(filled, 9)
    after = asyncio.run(all_of("AAPL", "MSFT"))
    assert after[0] != first[0]
    assert after[1] == first[1]
    assert len(asked) == 2
    versions.close()


def test_without_a_moment_versions_are_always_read(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a standby, whose snapshots tell less, nothing is kept."""
    asked = []

    def on_a_standby(db: Database, tickers: list[str], interval: str) -> Any:
        asked.append(tickers)
        return None, price_versions(db, tickers, interval)[1]

    monkeypatch.setattr(versions_module, "price_versions", on_a_standby)
    versions = Versions(filled)
    for _ in range(3):
        assert versions.read([("AAPL", "1d")])["AAPL", "1d"] is not None
    assert len(asked) == 3
    versions.close()


def test_an_error_reaches_all_who_wait_and_is_not_kept(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is gone: everybody is told; it is back: everybody is answered."""
    versions = Versions(filled)

    def gone(*_: Any) -> Any:
        raise DatabaseError("gone")

    async def both() -> list[Any]:
        asked = (versions.of(ticker, "1d") for ticker in ("AAPL", "MSFT"))
        return await asyncio.gather(*asked, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(versions_module, "price_versions", gone)
        assert [type(error) for error in asyncio.run(both())] == [DatabaseError, DatabaseError]
    assert all(isinstance(found, tuple) for found in asyncio.run(both()))
    versions.close()


def test_bodies_are_made_once_and_bounded() -> None:
    """Ten who ask at once share one making; what is kept stays below its bound; errors go."""
    bodies = Bodies(1000)
    made: list[str] = []

    def make(etag: str, size: int = 100) -> tuple[str, Body]:
        made.append(etag)
        return etag, Body(etag.encode() * size)

    async def ask() -> None:
        got = await asyncio.gather(*(bodies.find("a", lambda: make("a")) for _ in range(10)))
        assert {body.content for _, body in got} == {b"a" * 100}
        assert made == ["a"]
        for letter in "bcdefghijkl":
            await bodies.find(letter, lambda name=letter: make(name))  # type: ignore[misc]
        await bodies.find("l", lambda: make("l"))
        assert made.count("l") == 1
        assert bodies._size == 1000
        await bodies.find("a", lambda: make("a"))
        assert made.count("a") == 2, "the oldest had to go"
        await bodies.find("large", lambda: make("large", 100))
        await bodies.find("large", lambda: make("large", 100))
        assert made.count("large") == 2, "an eighth of the room is not kept"
        with pytest.raises(ZeroDivisionError):
            await bodies.find("wrong", lambda: 1 // 0)  # type: ignore[arg-type,return-value]
        assert (await bodies.find("wrong", lambda: make("wrong", 1)))[1].content == b"wrong"
        # A newer body is kept under what it is, not under what was asked for.
        newer, _ = await bodies.find("v1", lambda: make("v2", 1))
        assert newer == "v2"
        await bodies.find("v1", lambda: make("v1", 1))
        assert made.count("v1") == 1

    asyncio.run(ask())
    bodies.close()
    assert gzip.decompress(Body(b"abc" * 50).zipped().content) == b"abc" * 50
