"""The catalog's asset where a directory cannot be true, in a real Dagster run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from stock_platform.orchestration.build import build_definitions
from stock_platform.orchestration.resources import using
from stock_platform.pipeline.runtime import Platform
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform.storage import assets, catalog

NOW = datetime(2013, 3, 1, 23, tzinfo=UTC)


def test_a_refused_directory_fails_the_run(database_url: str, tmp_path: Path) -> None:
    """A web page in place of the file: the run fails with the reason, and nothing is changed."""
    with SandboxServer(SandboxConfig(symbols=40, now=NOW)) as vendors:
        for number, fault in enumerate((None, "html")):
            vendors.app.faults.clear()
            if fault:
                vendors.app.faults.add([{"vendor": "nasdaqtrader", "kind": fault}])
            settings = load_settings(
                database_url=database_url, home=tmp_path / str(number), market_time=NOW,
                start_date=date(2013, 1, 2), sources="nasdaqtrader",
                nasdaqtrader_base_url=vendors.base_url("nasdaqtrader"),
            )  # fmt: skip
            with Platform.from_settings(settings) as platform, using(platform):
                before = assets.universe(platform.db)
                job = build_definitions(settings).resolve_job_def("catalog_job")
                with dg.DagsterInstance.ephemeral() as instance:
                    result = job.execute_in_process(
                        {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                        instance,
                        raise_on_error=False,
                    )
                after = assets.universe(platform.db)
                if fault is None:
                    assert result.success
                    assert after.height >= 30
                    continue
                assert not result.success
                assert after.equals(before)
                assert catalog.runs(platform.db)["status"].to_list()[0] == "refused"
                (failed,) = [e for e in result.all_node_events if e.is_step_failure]
                data = failed.step_failure_data
                assert "nothing was changed" in str(data.error or data.user_failure_data)
