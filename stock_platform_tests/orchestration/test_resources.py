from __future__ import annotations

import pytest

from stock_platform.domain.errors import InputError
from stock_platform.orchestration.resources import (
    FilesResource,
    PlatformResource,
    PolygonResource,
    YahooResource,
)


def resource(
    yahoo: YahooResource | None = None,
    polygon: PolygonResource | None = None,
    files: FilesResource | None = None,
) -> PlatformResource:
    return PlatformResource(
        yahoo=yahoo or YahooResource(),
        polygon=polygon or PolygonResource(),
        files=files or FilesResource(),
    )


def test_unset_is_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource that decides nothing leaves the settings alone."""
    monkeypatch.setenv("STOCK_PLATFORM_SOURCES", "yahoo")
    assert resource().settings().sources == ("yahoo",)


def test_sources_decide_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched on, off, or pointed elsewhere."""
    monkeypatch.setenv("STOCK_PLATFORM_SOURCES", "yahoo,polygon")
    settings = resource(
        yahoo=YahooResource(base_url="http://127.0.0.1:9"),
        polygon=PolygonResource(enabled=False),
        files=FilesResource(enabled=True, path="/data/*.csv"),
    ).settings()
    assert settings.sources == ("yahoo", "files")
    assert settings.yahoo_base_url == "http://127.0.0.1:9"
    assert settings.files_path == "/data/*.csv"


def test_a_bad_address_is_refused() -> None:
    """The settings' own check holds for resources."""
    with pytest.raises(InputError, match="YAHOO_BASE_URL"):
        resource(yahoo=YahooResource(base_url="ftp://x")).settings()


def test_a_vendor_tells_its_limits() -> None:
    """Limits are data, shared with the planner."""
    assert YahooResource().capabilities.source == "yahoo"
    assert PolygonResource().capabilities.limits
