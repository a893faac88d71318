"""The user's own files as data: where they are and what their columns mean.

Belongs here: options and capabilities. Does not: reading tables (parse.py), finding files
(client.py). There are no limits and no key. A session that is absent from a file says
nothing: files have gaps of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, TileShape
from stock_platform.domain.errors import InputError, one_of
from stock_platform.domain.symbols import AssetClass

NAME = "files"

# Names a column may have in a file without being told, in lower case.
KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker"),
    "date": ("date", "datetime", "timestamp", "time", "session", "day"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last"),
    "volume": ("volume", "vol", "v"),
    "vwap": ("vwap", "vw"),
    "trades": ("trades", "n"),
    "split": ("split", "splits", "stock splits"),
    "dividend": ("dividend", "dividends"),
}
NEEDED = ("date", "open", "high", "low", "close")
NUMBERS = ("open", "high", "low", "close", "volume", "vwap", "trades", "split", "dividend")


@dataclass(frozen=True)
class FilesOptions:
    """What the user says of the files.

    Attributes:
        path: a file, a folder (searched with its subfolders), or a glob.
        columns: our name -> the file's; names of KNOWN_NAMES are found by themselves.
            Without a symbol column the file's name is the ticker.
        basis: what the prices are adjusted for.
        interval: of the bars.
        date_format: strptime's; None reads ISO dates, 20240131 and epoch stamps.
        decimal_comma: 1.234,56 instead of 1,234.56.
        zone: IANA zone of stamps without one (intraday); None is the exchange's.
        currency: of the prices.
    """

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)
    basis: Basis = Basis.AS_TRADED
    interval: Interval = Interval.DAY
    date_format: str | None = None
    decimal_comma: bool = False
    zone: str | None = None
    currency: str | None = None

    @classmethod
    def read(cls, given: Mapping[str, object]) -> FilesOptions:
        """The options in a mapping by name; None stands for the default.

        Raises:
            InputError: an unknown option or value, or no path.
        """
        values = {name: value for name, value in given.items() if value is not None}
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise InputError("files option", unknown[0], one_of(cls.__dataclass_fields__))
        path = str(values.get("path", ""))
        if not path:
            raise InputError("files path", path, "give a file, a folder or a glob")
        columns = values.get("columns", {})
        if not isinstance(columns, Mapping):
            raise InputError("files columns", columns, "give a mapping such as close=Last")
        for name in columns:
            if name not in KNOWN_NAMES:
                raise InputError("files columns", name, one_of(KNOWN_NAMES))
        zone = values.get("zone")
        if zone is not None:
            try:
                ZoneInfo(str(zone))
            except (ZoneInfoNotFoundError, ValueError):
                raise InputError("files zone", zone, "use an IANA name: Europe/Berlin") from None
        return cls(
            path=path,
            columns={str(ours): str(theirs) for ours, theirs in columns.items()},
            basis=_basis(values.get("basis", Basis.AS_TRADED)),
            interval=Interval.parse(str(values.get("interval", Interval.DAY))),
            date_format=_text(values.get("date_format")),
            decimal_comma=bool(values.get("decimal_comma", False)),
            zone=_text(zone),
            currency=_text(values.get("currency")),
        )


def capabilities(interval: Interval = Interval.DAY, basis: Basis = Basis.AS_TRADED) -> Capabilities:
    """What files of one interval and basis can answer."""
    return Capabilities(
        source=NAME,
        endpoints=(
            Endpoint(
                name="history",
                shape=TileShape.ROW,
                intervals=(interval,),
                asset_classes=tuple(AssetClass),
                basis=basis,
                complete=False,
                end_of_day=False,
                actions=True,
                tickers_then=None,
            ),
        ),
        preference=10,
        concurrency=2,
    )


CAPABILITIES = capabilities()


def _basis(value: object) -> Basis:
    try:
        return Basis(str(value))
    except ValueError:
        raise InputError("files basis", value, one_of(Basis)) from None


def _text(value: object) -> str | None:
    return str(value) if value is not None else None
