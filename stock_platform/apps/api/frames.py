"""Frames as bytes: JSON, CSV and Arrow, made in one go.

Belongs here: formats and their media types, and which of them a request asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from io import BytesIO

import polars as pl
from polars import selectors as cs

from stock_platform.apps.api.problems import Problem

STAMP = "%Y-%m-%dT%H:%M:%S%.fZ"


class Format(StrEnum):
    """How rows are written."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}


def choose(given: Format | None, accept: str | None) -> Format:
    """The format asked for by parameter, or else by Accept; JSON where anything will do.

    Raises:
        Problem: 406, nothing that is accepted can be given.
    """
    if given is not None:
        return given
    best, found = 0.0, None
    for part in (accept or "*/*").split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            quality = 0.0
        for kind, media in MEDIA_TYPES.items():
            if name in ("*/*", media, f"{media.partition('/')[0]}/*") and quality > best:
                best, found = quality, kind
    if found is None:
        raise Problem(406, f"accept one of {', '.join(MEDIA_TYPES.values())}")
    return found


def json_rows(frame: pl.DataFrame) -> bytes:
    """A JSON array of objects; stamps are ISO in UTC, what is not a number is null."""
    return (
        frame.with_columns(cs.datetime().dt.strftime(STAMP), cs.float().fill_nan(None))
        .write_json()
        .encode()
    )


def csv_rows(frame: pl.DataFrame, *, header: bool = True) -> bytes:
    """CSV; stamps as in JSON, lists as ``a|b``."""
    flat = frame.with_columns(
        cs.datetime().dt.strftime(STAMP),
        cs.by_dtype(pl.List(pl.String())).list.join("|"),
    )
    return flat.write_csv(include_header=header).encode()


def arrow_rows(frame: pl.DataFrame) -> bytes:
    """An Arrow IPC stream."""
    buffer = BytesIO()
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def streamed(frames: Iterable[pl.DataFrame], kind: Format, head: bytes) -> Iterator[bytes]:
    """Rows of many frames as one body, a piece a frame; ``head`` opens the JSON's object."""
    if kind is Format.ARROW:
        yield from _arrow_pieces(frames)
        return
    for number, frame in enumerate(frames):
        if kind is Format.CSV:
            yield csv_rows(frame, header=number == 0)
            continue
        rows = json_rows(frame)[1:-1]
        if number == 0:
            yield head + b"["
            first = True
        if rows:
            yield rows if first else b"," + rows
            first = False
    if kind is Format.JSON:
        yield b"]}"


def _arrow_pieces(frames: Iterable[pl.DataFrame]) -> Iterator[bytes]:
    import pyarrow as pa

    buffer = BytesIO()
    writer = None
    for frame in frames:
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if writer is None:
            writer = pa.ipc.new_stream(buffer, table.schema)
        writer.write_table(table)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    if writer is not None:
        writer.close()
    yield buffer.getvalue()
