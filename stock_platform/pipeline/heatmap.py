"""A picture of how fresh prices are: a row a ticker or shard, a column a session.

Belongs here: what each cell of the picture is, and drawing it. Does not: what is known of cells
(board.py), where the picture is shown (orchestration/assets/quality.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from stock_platform.domain.coverage import SHARDS, CellStatus
from stock_platform.domain.quality import Fact
from stock_platform.pipeline.board import Board

COLUMNS = 60
ROWS = 40

INK, PAPER, GRID = (40, 44, 52), (255, 255, 255), (226, 228, 233)
KINDS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("not expected", (241, 242, 245)),
    ("within a day", (26, 127, 75)),
    ("later", (150, 205, 160)),
    ("explained: no bar", (176, 184, 196)),
    ("waiting", (240, 180, 60)),
    ("quarantined", (142, 84, 178)),
    ("missing or failed", (208, 60, 56)),
)
"""What a cell can be, and its colour; the order is that of the codes."""

_NOT, _PROMPT, _LATER, _NONE, _WAITING, _ASIDE, _MISSING = range(len(KINDS))


@dataclass(frozen=True, eq=False)
class Picture:
    """Names of rows, sessions of columns, and the colour of each cell (uint8, RGB)."""

    title: str
    names: Sequence[str]
    sessions: Sequence[date]
    colours: npt.NDArray[np.uint8]
    legend: Sequence[tuple[str, tuple[int, int, int]]]


def cell_kinds(board: Board) -> npt.NDArray[np.uint8]:
    """What each place of the board is: an index into KINDS."""
    kinds = np.full(board.grid.mask.shape, _NOT, dtype=np.uint8)
    stored = board.state(CellStatus.STORED)
    kinds[board.expected & ~stored] = _MISSING
    kinds[board.state(CellStatus.WAITING)] = _WAITING
    kinds[stored] = _LATER
    kinds[stored & board.has(Fact.PROMPT)] = _PROMPT
    kinds[stored & board.has(Fact.ASIDE) & ~board.has(Fact.PRICED)] = _ASIDE
    kinds[board.state(CellStatus.NO_DATA) | board.state(CellStatus.NOT_LISTED)] = _NONE
    return kinds


def of_tickers(board: Board, worst_first: Sequence[int]) -> Picture:
    """The last sessions of some assets: the first of ``worst_first`` that the board has."""
    at = {int(asset): row for row, asset in enumerate(board.grid.assets)}
    rows = [at[asset] for asset in worst_first if asset in at][:ROWS]
    inside = board.grid.mask[rows].any(axis=0)
    columns = np.flatnonzero(inside)[-COLUMNS:]
    palette = np.array([colour for _, colour in KINDS], dtype=np.uint8)
    kinds = cell_kinds(board)[rows][:, columns]
    names = board.assets["ticker"].to_list()
    return Picture(
        "Freshness of tracked tickers", [names[row] for row in rows],
        board.grid.sessions[columns].astype(object).tolist(), palette[kinds], KINDS,
    )  # fmt: skip


def of_shards(board: Board, asset_ids: Sequence[int]) -> Picture:
    """The last sessions of the market by shard: the share of expected cells that are there."""
    inside = np.isin(board.grid.assets, np.asarray(asset_ids))
    columns = np.flatnonzero(np.isin(board.grid.sessions, board.dates))[-COLUMNS:]
    expected, stored = board.expected, board.state(CellStatus.STORED)
    shares = np.full((SHARDS, len(columns)), np.nan)
    for shard in range(SHARDS):
        rows = np.flatnonzero(inside & (board.grid.assets % SHARDS == shard))
        want = expected[np.ix_(rows, columns)].sum(axis=0)
        have = (expected & stored)[np.ix_(rows, columns)].sum(axis=0)
        shares[shard, want > 0] = have[want > 0] / want[want > 0]
    legend = [("not asked for", KINDS[_NOT][1])]
    legend += [(f"{share:.0%} there", _shade(share)) for share in (0, 0.5, 0.9, 0.99, 1)]
    colours = np.array([[_shade(s) for s in row] for row in shares], dtype=np.uint8)
    return Picture(
        "Freshness of the market", [f"{shard:02d}" for shard in range(SHARDS)],
        board.grid.sessions[columns].astype(object).tolist(), colours, legend,
    )  # fmt: skip


def _shade(share: float) -> tuple[int, int, int]:
    """Red to green; the last tenth, which matters, is half of the way."""
    if np.isnan(share):
        return KINDS[_NOT][1]
    at = share / 0.9 * 0.5 if share < 0.9 else 0.5 + (share - 0.9) * 5
    stops = np.array([KINDS[_MISSING][1], (245, 205, 95), KINDS[_PROMPT][1]], dtype=float)
    red, green, blue = (float(np.interp(at, [0, 0.5, 1], stops[:, i])) for i in range(3))
    return round(red), round(green), round(blue)


def draw(picture: Picture, cell: int = 14) -> bytes:
    """A PNG of a picture, of a palette's colours: some 10 kB."""
    font, small = ImageFont.load_default(12), ImageFont.load_default(11)
    left = 14 + max((round(font.getlength(n)) for n in picture.names), default=40)
    top, rows, columns = 52, len(picture.names), len(picture.sessions)
    width = max(left + columns * cell + 56, 640)
    image = Image.new("RGB", (width, top + rows * cell + 62), PAPER)
    pen = ImageDraw.Draw(image)
    span = f"{picture.sessions[0]} to {picture.sessions[-1]}" if columns else "no session"
    pen.text((10, 8), f"{picture.title}, {span}", INK, ImageFont.load_default(15))
    for column, day in enumerate(picture.sessions):
        x = left + column * cell
        if column == 0 or day.month != picture.sessions[column - 1].month:
            pen.line((x, top - 6, x, top + rows * cell), INK)
            pen.text((x + 3, top - 18), f"{day:%b %Y}", INK, small)
    for row, name in enumerate(picture.names):
        y = top + row * cell
        pen.text((8, y), name, INK, font)
        for column in range(columns):
            x = left + column * cell
            red, green, blue = (int(v) for v in picture.colours[row, column])
            pen.rectangle((x, y, x + cell - 2, y + cell - 2), (red, green, blue))
    x, y = 10, top + rows * cell + 14
    for label, colour in picture.legend:
        room = 24 + round(small.getlength(label))
        if x + room > width:
            x, y = 10, y + 20
        pen.rectangle((x, y, x + 11, y + 11), colour, GRID)
        pen.text((x + 16, y - 1), label, INK, small)
        x += room + 6
    out = BytesIO()
    image.quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()
