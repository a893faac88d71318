"""Resources: the platform, and each of its sources.

Belongs here: what can be set per deployment in the UI or in code, and the life of the
platform within a run. Does not: keys and addresses of databases, which come from the
environment alone (settings.py) so that no page shows them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from typing import Any

import polars as pl
from dagster import ConfigurableResource, InitResourceContext, ResourceDependency
from pydantic import Field, PrivateAttr

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Capabilities, Tile, TileShape
from stock_platform.domain.errors import InputError
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.wiring import build_source, chosen
from stock_platform.settings import Settings, load_settings
from stock_platform.sources.base import Source
from stock_platform.sources.registry import SOURCES, spec_of

_given: ContextVar[Platform | None] = ContextVar("given", default=None)


@contextmanager
def using(platform: Platform | None) -> Iterator[None]:
    """Within it, runs in this process share ``platform``; whoever made it closes it."""
    token = _given.set(platform)
    try:
        yield
    finally:
        _given.reset(token)


class SourceResource(ConfigurableResource[Any]):
    """One vendor: whether and where it is asked. Its limits hold across all processes.

    Its key comes from the environment (``sources/<vendor>/config.py`` names the variable).
    """

    vendor: str = Field(description="The source's name, as in `stock-platform sources`.")
    enabled: bool | None = Field(
        default=None, description="Whether it may be asked; unset: as STOCK_PLATFORM_SOURCES says."
    )
    base_url: str | None = Field(
        default=None,
        description="A proxy or the sandbox; unset: STOCK_PLATFORM_<SOURCE>_BASE_URL, or the "
        "vendor's own address.",
    )

    def overrides(self) -> dict[str, Any]:
        """The settings this resource decides, by name."""
        return {f"{self.vendor}_base_url": self.base_url} if self.base_url else {}

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


class FilesResource(SourceResource):
    """The user's own CSV and Parquet files."""

    vendor: str = "files"
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


def source_resource(name: str) -> SourceResource:
    """The resource of a registered vendor, which decides nothing yet."""
    return FilesResource() if name == "files" else SourceResource(vendor=name)


class PlatformResource(ConfigurableResource[Any]):
    """Settings, database, quotas and sources; made when first used, closed with the run.

    Made by ``platform_resource``, which gives it a dependency for every vendor there is.
    """

    _platform: Platform | None = PrivateAttr(default=None)

    @property
    def sources(self) -> tuple[SourceResource, ...]:
        """The source resources."""
        return tuple(getattr(self, name) for name in SOURCES)

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
        names = [name for name in chosen(settings) if decided.get(name, True)]
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


_metaclass: Any = type(PlatformResource)
_Wired = _metaclass(
    "PlatformResource",
    (PlatformResource,),
    {
        "__module__": __name__,
        "__doc__": PlatformResource.__doc__,
        "__annotations__": dict.fromkeys(SOURCES, ResourceDependency[SourceResource]),
    },
)


def platform_resource(**given: SourceResource) -> PlatformResource:
    """The platform with a resource a vendor: those given, the others as the settings say."""
    made: PlatformResource = _Wired(**{name: source_resource(name) for name in SOURCES} | given)
    return made
