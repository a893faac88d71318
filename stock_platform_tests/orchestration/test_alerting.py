"""Alerts of runs, from real runs."""

from pathlib import Path

import dagster as dg

from stock_platform.orchestration.alerting import alert_sensor, failure_sensor
from stock_platform.orchestration.resources import platform_resource, using
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.storage import alerts


@dg.op(config_schema={"fails": bool})
def work(context: dg.OpExecutionContext) -> None:
    """Fails if it is told to."""
    if context.op_config["fails"]:
        raise dg.Failure("the disk is full", allow_retries=False)


@dg.job
def some_job() -> None:
    """A job of one step."""
    work()


def run(instance: dg.DagsterInstance, *, fails: bool) -> dg.ExecuteInProcessResult:
    quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
    return some_job.execute_in_process(
        {"ops": {"work": {"config": {"fails": fails}}}, "loggers": quiet},
        instance=instance,
        raise_on_error=False,
    )


def test_a_failed_run_is_an_alert_until_one_succeeds(
    instance: dg.DagsterInstance, database_url: str, tmp_path: Path
) -> None:
    """It has the step's own words; the same job's success ends it."""
    failed = run(instance, fails=True)
    platform = Platform.from_settings(load_settings(database_url=database_url, home=tmp_path))
    resources = {"platform": platform_resource()}
    with platform, using(platform):
        context = dg.build_run_status_sensor_context(
            "alert_run_failures",
            dagster_event=failed.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=failed.dagster_run,
            resources=resources,
        ).for_run_failure()
        with context:
            failure_sensor()(context)
        (alert,) = alerts.open_alerts(platform.db)
        assert (alert.kind, alert.subject) == ("run_failed", "some_job")
        assert "the disk is full" in alert.message
        watch = alert_sensor()
        with dg.build_sensor_context(instance=instance, resources=resources) as tick:
            watch(tick)
        assert alerts.open_alerts(platform.db)
        run(instance, fails=False)
        with dg.build_sensor_context(instance=instance, resources=resources) as tick:
            watch(tick)
        assert alerts.open_alerts(platform.db) == []


def test_both_run_by_themselves() -> None:
    """Nobody has to switch them on."""
    for sensor in (alert_sensor(), failure_sensor()):
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
