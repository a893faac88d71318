"""Resources: the platform, and each of its sources.

Belongs here: what can be set per deployment in the UI or in code, and the life of the
platform within a run. Does not: keys and addresses of databases, which come from the
environment alone (settings.py) so that no page shows them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from typing import Any, ClassVar

import polars as pl
from dagster import ConfigurableResource, InitResourceContext, ResourceDependency
from pydantic import Field, PrivateAttr

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Capabilities, Tile, TileShape
from stock_platform.domain.errors import InputError
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.wiring import build_source
from stock_platform.settings import Settings, load_settings
from stock_platform.sources.base import Source
from stock_platform.sources.registry import spec_of

_given: ContextVar[Platform | None] = ContextVar("given", default=None)


@contextmanager
def using(platform: Platform | None) -> Iterator[None]:
    """Within it, runs in this process share ``platform``; whoever made it closes it."""
    token = _given.set(platform)
    try:
        yield
    finally:
        _given.reset(token)


class SourceResource(ConfigurableResource[Any], ABC):
    """One vendor: whether and where it is asked. Its limits hold across all processes."""

    vendor: ClassVar[str]

    enabled: bool | None = Field(
        default=None, description="Whether it may be asked; unset: as STOCK_PLATFORM_SOURCES says."
    )

    @abstractmethod
    def overrides(self) -> dict[str, Any]:
        """The settings this resource decides, by name."""

    @property
    def capabilities(self) -> Capabilities:
        """What the vendor can be asked, and how often."""
        return spec_of(self.vendor).capabilities

    def open(self, platform: Platform) -> Source:
        """The vendor's client, on the platform's durable quotas; close it after use.

        Raises:
            InputError: it lacks something, such as a key.
        """
        return build_source(self.vendor, platform.settings, platform.quota, platform.clock)

    def bars(self, platform: Platform, ticker: str, start: date, end: date) -> pl.DataFrame:
        """A ticker's daily bars as the vendor gives them, for assets of your own: PARSED_BARS.

        Nothing is stored.

        Raises:
            InputError: the vendor has no call for one ticker.
            SourceError: the vendor did not answer with bars.
        """
        for endpoint in self.capabilities.endpoints:
            if endpoint.shape is TileShape.ROW and Interval.DAY in endpoint.intervals:
                source = self.open(platform)
                try:
                    tile = Tile(self.vendor, endpoint.name, Interval.DAY, start, end, symbol=ticker)
                    return source.fetch(tile).bars
                finally:
                    source.close()
        raise InputError("source", self.vendor, "use a source that answers for one ticker")


class YahooResource(SourceResource):
    """Yahoo's v8 chart: one ticker's history a call, without a key."""

    vendor: ClassVar[str] = "yahoo"

    base_url: str | None = Field(
        default=None, description="A proxy or the sandbox; unset: STOCK_PLATFORM_YAHOO_BASE_URL."
    )

    def overrides(self) -> dict[str, Any]:
        """See the base."""
        return {"yahoo_base_url": self.base_url} if self.base_url else {}


class PolygonResource(SourceResource):
    """Polygon (Massive): the whole US market a call. The key comes from POLYGON_API_KEY."""

    vendor: ClassVar[str] = "polygon"

    base_url: str | None = Field(
        default=None, description="A proxy or the sandbox; unset: STOCK_PLATFORM_POLYGON_BASE_URL."
    )

    def overrides(self) -> dict[str, Any]:
        """See the base."""
        return {"polygon_base_url": self.base_url} if self.base_url else {}


class FilesResource(SourceResource):
    """The user's own CSV and Parquet files."""

    vendor: ClassVar[str] = "files"

    path: str | None = Field(
        default=None, description="A folder or glob; unset: STOCK_PLATFORM_FILES_PATH."
    )
    columns: dict[str, str] | None = Field(
        default=None, description="Our column: your column; unset: STOCK_PLATFORM_FILES_COLUMNS."
    )

    def overrides(self) -> dict[str, Any]:
        """See the base."""
        given = {"files_path": self.path, "files_columns": self.columns}
        return {name: value for name, value in given.items() if value is not None}


class PlatformResource(ConfigurableResource[Any]):
    """Settings, database, quotas and sources; made when first used, closed with the run."""

    yahoo: ResourceDependency[YahooResource]
    polygon: ResourceDependency[PolygonResource]
    files: ResourceDependency[FilesResource]

    _platform: Platform | None = PrivateAttr(default=None)

    @property
    def sources(self) -> tuple[SourceResource, ...]:
        """The source resources."""
        return self.files, self.polygon, self.yahoo

    def settings(self) -> Settings:
        """This process's settings, with what the source resources decide.

        Raises:
            InputError: a setting's value is not allowed.
        """
        overrides: dict[str, Any] = {}
        for source in self.sources:
            overrides |= source.overrides()
        settings = load_settings(**overrides)
        decided = {s.vendor: s.enabled for s in self.sources if s.enabled is not None}
        if not decided:
            return settings
        names = [name for name in settings.sources if decided.get(name, True)]
        names += [name for name, on in decided.items() if on and name not in names]
        return load_settings(**overrides, sources=",".join(names))

    def make(self) -> Platform:
        """A platform; nothing is connected yet."""
        return Platform.from_settings(self.settings())

    def get(self) -> Platform:
        """The platform of this run, or the one that ``using`` gave to runs of this process.

        Raises:
            InputError: a setting's value is not allowed.
        """
        given = _given.get()
        if given is not None:
            return given
        if self._platform is None:
            self._platform = self.make()
        return self._platform

    @contextmanager
    def yield_for_execution(
        self,
        context: InitResourceContext,  # noqa: ARG002  # Dagster's signature
    ) -> Iterator["PlatformResource"]:
        """Close the platform when the run, or the tick, is over."""
        try:
            yield self
        finally:
            if self._platform is not None:
                self._platform.close()
                self._platform = None
