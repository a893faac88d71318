from __future__ import annotations

import pytest

from stock_platform.domain.errors import InputError
from stock_platform.orchestration.resources import (
    FilesResource,
    SourceResource,
    platform_resource,
)
from stock_platform.sources.registry import SOURCES


def test_unset_is_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource that decides nothing leaves the settings alone."""
    monkeypatch.setenv("STOCK_PLATFORM_SOURCES", "yahoo")
    assert platform_resource().settings().sources == ("yahoo",)


def test_sources_decide_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched on, off, or pointed elsewhere."""
    monkeypatch.setenv("STOCK_PLATFORM_SOURCES", "yahoo,polygon")
    settings = platform_resource(
        yahoo=SourceResource(vendor="yahoo", base_url="http://127.0.0.1:9"),
        polygon=SourceResource(vendor="polygon", enabled=False),
        files=FilesResource(enabled=True, path="/data/*.csv"),
    ).settings()
    assert settings.sources == ("yahoo", "files")
    assert settings.base_url("yahoo") == "http://127.0.0.1:9"
    assert settings.files_path == "/data/*.csv"


def test_a_bad_address_is_refused() -> None:
    """The settings' own check holds for resources."""
    with pytest.raises(InputError, match="YAHOO_BASE_URL"):
        platform_resource(yahoo=SourceResource(vendor="yahoo", base_url="ftp://x")).settings()


def test_every_vendor_has_a_resource() -> None:
    """By name, with its limits as data, shared with the planner."""
    found = {resource.vendor: resource for resource in platform_resource().sources}
    assert list(found) == list(SOURCES)
    assert found["polygon"].capabilities.limits
