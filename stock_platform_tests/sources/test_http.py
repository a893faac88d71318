"""The HTTP layer and its cache, on a transport that tests script."""

from __future__ import annotations

import gzip
import logging
import resource
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import Malformed, RateLimited, Unavailable
from stock_platform.sources.cache import HttpCache, Kept
from stock_platform.sources.http import FRESH_SECONDS, HttpClient, kept_since
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.transport import HttpOptions, Response, Secrets, retry_after
from stock_platform_tests.sources.vendors import KEY, NOON, FakeTime, Vendor


def text_of(response: Response) -> str:
    if response.body == b"bad":
        raise Malformed("s", "bad body")
    return response.body.decode()


def client(
    vendor: Vendor | None,
    time: FakeTime | None = None,
    secrets: Secrets | None = None,
    base_url: str = "https://vendor.test",
    clock: FixedClock | None = None,
    cache_dir: Path | None = None,
    **options: object,
) -> HttpClient:
    time = time or FakeTime()
    transport = httpx.MockTransport(vendor) if vendor is not None else None
    return HttpClient(
        "s",
        base_url,
        quota=MemoryQuota(time.now, time.sleep),
        limits=[Limit(100, 60.0)],
        clock=clock or FixedClock(NOON),
        options=HttpOptions(transport=transport, wall=time.now, cache_dir=cache_dir, **options),  # type: ignore[arg-type]  # test shorthand
        secrets=secrets,
    )


def get(http: HttpClient, **options: object) -> str:
    with http.call() as call:
        return call.get("/x", {"a": 1}, text_of, **options)  # type: ignore[arg-type]  # test shorthand


# ---- retries and refusals ----


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("1.5", 1.5),
        ("Thu, 21 Nov 2024 00:01:00 GMT", 60.0),
        ("Wed, 20 Nov 2024 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    """Seconds or a date; a date in the past is now; nonsense is nothing."""
    now = datetime(2024, 11, 21, tzinfo=UTC).timestamp()
    assert retry_after({"retry-after": header}, now) == seconds


def test_three_refusals_are_enough() -> None:
    """A vendor that keeps refusing is left alone after three, even if each wait was short."""
    vendor = Vendor([httpx.Response(429, headers={"retry-after": "1"})])
    with pytest.raises(RateLimited) as caught:
        get(client(vendor))
    assert (len(vendor.asked), caught.value.requests, caught.value.rate_limited) == (3, 3, 3)


def test_retry_after_of_an_outage_is_obeyed() -> None:
    """503 with Retry-After blocks the source; the retry waits for it."""
    time = FakeTime()
    vendor = Vendor(
        [httpx.Response(503, headers={"retry-after": "20"}), httpx.Response(200, text="y")]
    )
    assert get(client(vendor, time)) == "y"
    assert time.slept == [20.0]


def test_other_answers_are_the_readers() -> None:
    """4xx means what the vendor's parser says; it is not retried."""
    vendor = Vendor([httpx.Response(404, text="no such thing")])
    assert get(client(vendor)) == "no such thing"
    assert len(vendor.asked) == 1


def test_an_unexpected_error_of_the_reader_is_not_swallowed() -> None:
    """Only SourceErrors are part of the protocol."""

    def read(response: Response) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), client(Vendor([httpx.Response(200)])).call() as call:
        call.get("/x", {}, read)


def test_an_unexpected_error_does_not_show_the_key() -> None:
    """A reader that trips may tell of the body, and the body may echo the key."""

    def read(response: Response) -> str:
        raise KeyError(response.body.decode())

    http = client(
        Vendor([httpx.Response(200, text=f"api key {KEY}")]), secrets=Secrets(headers={"K": KEY})
    )
    with pytest.raises(KeyError, match=r"api key \*\*\*") as caught, http.call() as call:
        call.get("/x", {}, read)
    assert KEY not in repr(caught.value)


def test_a_real_port_that_nobody_listens_on() -> None:
    """The address that cannot be reached is named, in one line."""
    with pytest.raises(Unavailable, match=r"cannot reach http://127.0.0.1:9") as caught:
        get(client(None, base_url="http://user:pw@127.0.0.1:9/"))
    assert "pw" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_connections() -> None:
    """Over a real socket: gzip is undone, a body cut short is Unavailable."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = gzip.compress(b"hello")
            self.send_response(200)
            self.send_header("content-encoding", "gzip")
            extra = 10 if self.path.startswith("/x") else 0
            self.send_header("content-length", str(len(body) + extra))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    http = client(None, base_url=f"http://127.0.0.1:{server.server_port}")
    try:
        with http.call() as call:
            assert call.get("/whole", {}, text_of) == "hello"
        with pytest.raises(Unavailable, match="cannot reach"):
            get(http)
    finally:
        http.close()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_of_this_machine_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy is for vendors, not for the sandbox."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    for host in ("127.0.0.1", "localhost", "[::1]"):
        with pytest.raises(Unavailable, match=r"cannot reach .*(refused|connect|assign)"):
            get(client(None, base_url=f"http://{host}:9"))


# ---- secrets ----


def test_keys_in_parameters_stay_secret(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """A key in the query is sent, and is in no error, log or cache."""
    caplog.set_level(logging.DEBUG)
    http = client(
        Vendor([httpx.Response(200, text="ok"), httpx.ConnectError(f"https://x/?apikey={KEY}")]),
        secrets=Secrets(params={"apikey": KEY}),
        cache_dir=tmp_path,
    )
    assert get(http, cache=True) == "ok"
    assert "s3cr3t" not in repr(http.secrets)
    with pytest.raises(Unavailable) as caught, http.call() as call:
        call.get("/y", {}, text_of)
    http.close()
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in caplog.text
    assert all(b"s3cr3t" not in p.read_bytes() for p in tmp_path.iterdir())


def test_every_spelling_of_a_key_is_cut_out() -> None:
    """Plain, quoted, and without the scheme of a header."""
    secrets = Secrets(headers={"Authorization": f"Bearer {KEY}"})
    said = f"key {KEY} in s3cr3t%2Bkey%2Fwith%3Dsigns or s3cr3t%2Bkey/with%3Dsigns"
    assert "s3cr3t" not in secrets.redact(said)


# ---- cache ----


def test_a_second_client_finds_it_on_disk(tmp_path: Path) -> None:
    """The cache outlives the process; a hit makes no request and takes no grant."""
    vendor = Vendor([httpx.Response(200, text="first"), httpx.Response(200, text="second")])
    for _ in range(2):
        http = client(vendor, cache_dir=tmp_path)
        assert get(http, cache=True) == "first"
        http.close()
    assert len(vendor.asked) == 1


def test_six_hours_then_the_etag(tmp_path: Path) -> None:
    """After six hours the vendor is asked whether it still holds; 304 renews it."""
    time = FakeTime()
    vendor = Vendor(
        [
            httpx.Response(200, text="body", headers={"etag": '"v1"'}),
            httpx.Response(304),
            httpx.Response(200, text="new", headers={"etag": '"v2"'}),
        ]
    )
    http = client(vendor, time, cache_dir=tmp_path)
    assert get(http, cache=True) == "body"
    time.seconds += FRESH_SECONDS - 1
    assert get(http, cache=True) == "body"
    assert len(vendor.asked) == 1
    time.seconds += 2
    assert get(http, cache=True) == "body"
    assert vendor.asked[1].headers["if-none-match"] == '"v1"'
    assert get(http, cache=True) == "body"
    assert len(vendor.asked) == 2
    time.seconds += FRESH_SECONDS + 1
    assert get(http, cache=True) == "new"
    http.close()


def test_asking_again_uses_no_older_answer(tmp_path: Path) -> None:
    """What was kept before the moment is asked for again, with its ETag; once, then kept anew."""
    time = FakeTime()
    etag = {"etag": '"v1"'}
    vendor = Vendor(
        [httpx.Response(200, text="old", headers=etag), httpx.Response(200, text="corrected")]
    )
    http = client(vendor, time, cache_dir=tmp_path)
    assert get(http, cache=True) == "old"
    time.seconds += 60
    with kept_since(time.now()):
        assert get(http, cache=True) == "corrected"
        assert get(http, cache=True) == "corrected"
    with kept_since(None):
        assert get(http, cache=True) == "corrected"
    assert [r.headers.get("if-none-match") for r in vendor.asked] == [None, '"v1"']
    http.close()


def test_errors_are_never_kept(tmp_path: Path) -> None:
    """A 200 that reads as an error is asked for again; so is any other status."""
    vendor = Vendor(
        [
            httpx.Response(200, text="bad"),
            httpx.Response(404, text="gone"),
            httpx.Response(200, text="good"),
        ]
    )
    http = client(vendor, cache_dir=tmp_path)
    with pytest.raises(Malformed):
        get(http, cache=True)
    assert get(http, cache=True) == "gone"
    assert get(http, cache=True) == "good"
    http.close()


def test_what_no_longer_reads_is_dropped(tmp_path: Path) -> None:
    """An answer kept by an earlier version that today's parser refuses is asked for anew."""
    http = client(Vendor([httpx.Response(200, text="good")]), cache_dir=tmp_path)
    address = "https://vendor.test/x?a=1"
    http.cache.store(address, Kept(200, b"bad", http.options.wall(), NOON))
    assert get(http, cache=True) == "good"
    assert get(http, cache=True) == "good"
    http.close()


def test_an_answer_from_before_it_was_settled_is_not_used() -> None:
    """settled_at is by the market's clock, at which the answer was received."""
    vendor = Vendor([httpx.Response(200, text="early")])
    http = client(vendor)
    later = NOON + timedelta(hours=1)
    for _ in range(2):
        get(http, cache=True, settled_at=later)
    assert len(vendor.asked) == 2
    get(http, cache=True, settled_at=NOON)
    assert len(vendor.asked) == 2


def our_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """pytest listens to hishel's logger too, which no longer reaches the root (see full disk)."""
    return [r.getMessage() for r in caplog.records if r.name.startswith("stock_platform")]


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning, and everything works without the disk."""
    (tmp_path / "file").write_text("in the way")
    http = client(Vendor([httpx.Response(200, text="ok")]), cache_dir=tmp_path / "file")
    for number in range(3):
        with http.call() as call:
            assert call.get(f"/{number}", {}, text_of, cache=True) == "ok"
    warnings = our_warnings(caplog)
    assert len(warnings) == 1
    assert "going on without it" in warnings[0]
    assert "\n" not in warnings[0]
    http.close()


def test_a_damaged_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cache file that is no database is left out with one warning."""
    (tmp_path / "s.sqlite3").write_bytes(b"not a database" * 100)
    http = client(Vendor([httpx.Response(200, text="ok")]), cache_dir=tmp_path)
    assert get(http, cache=True) == "ok"
    assert get(http, cache=True) == "ok"
    assert len(our_warnings(caplog)) == 1
    http.close()


FULL_DISK = """
import logging, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from stock_platform.sources.cache import HttpCache, Kept
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
cache = HttpCache(Path(sys.argv[1]) / "c.sqlite3", memory_bytes=0)
noise = __import__("random").Random(1).randbytes(50_000)
for n in range(20):
    cache.store(f"https://x/{n}", Kept(200, noise, float(n), datetime(2024, 1, 1, tzinfo=UTC)))
    cache.load(f"https://x/{n}")
print("done")
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """A disk that fills up in the middle: one clear line, and the work goes on."""
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "done"
    assert len(lines) == 2, lines
    assert lines[0].startswith("WARNING HTTP cache")
    assert done.stderr == ""


def test_memory_is_bounded() -> None:
    """The oldest answers leave when the memory part is full."""
    cache = HttpCache(None, memory_bytes=250)
    for number in range(5):
        cache.store(str(number), Kept(200, b"x" * 100, float(number), NOON))
    assert [cache.load(str(n)) is not None for n in range(5)] == [False, False, False, True, True]
    cache.drop("4")
    assert cache.load("4") is None


def test_threads_share_the_cache(tmp_path: Path) -> None:
    """Many threads store and load at once, and each reads what was written."""
    cache = HttpCache(tmp_path / "c.sqlite3", memory_bytes=0)
    wrong: list[str] = []

    def work(number: int) -> None:
        for round_ in range(5):
            address, body = f"{number}/{round_}", f"{number}/{round_}".encode() * 100
            cache.store(address, Kept(200, body, float(round_), NOON))
            found = cache.load(address)
            if found is None or found.body != body:
                wrong.append(address)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache.close()
    assert wrong == []


# ---- walls ----------------------------------------------------------------------------

CHALLENGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(403, text=CHALLENGE),
        httpx.Response(401, text="<html><title>Access Denied</title></html>"),
        httpx.Response(403, text="", headers={"x-datadome": "protected"}),
        httpx.Response(403, text="{}", headers={"cf-mitigated": "challenge"}),
    ],
)
def test_a_wall_is_no_refusal_of_the_key(answer: httpx.Response) -> None:
    """What stands before the vendor is Unavailable for now, and is not knocked at again."""
    vendor = Vendor([answer])
    with pytest.raises(Unavailable, match=r"instead of the answer \(HTTP 40[13]\)") as caught:
        get(client(vendor))
    assert (caught.value.requests, caught.value.at_once) == (1, False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_plain_refusal_is_left_to_the_vendor(status: int) -> None:
    """Vendors say no in JSON, in words, and on bare pages of their servers."""
    for text in ('{"message": "no"}', "Forbidden", "<html><title>401 Authorization</title></html>"):
        assert get(client(Vendor([httpx.Response(status, text=text)]))) == text


def test_a_redirect_to_nowhere() -> None:
    """A Location that is no address is told, not tripped over."""
    moved = Response(302, {"location": "http://[bad::"}, b"", NOON)
    with pytest.raises(Unavailable, match="sends us to no address at all"):
        client(None).transport.check(moved)


def test_a_key_that_cannot_travel() -> None:
    """A key with letters that no header can carry is told, without the key."""
    secrets = Secrets(headers={"X-Key": "schl\u00fcssel\u4e2d"})
    with pytest.raises(Malformed, match="cannot ask") as caught:
        get(client(Vendor([httpx.Response(200)]), secrets=secrets))
    assert "schl" not in str(caught.value)
