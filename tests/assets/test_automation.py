"""What Dagster does by itself: the first seeds, the stages of a round after its rows, the nightly round."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from synth_assets import code_location
from synth_assets.assets import keeper
from synth_assets.assets.code_location import build
from synth_assets.assets.dagster_internals import scheduled
from synth_assets.assets.factory import partitions_of
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.core.days import today
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import tables
from tests.endpoint import Endpoint

OLD, NEW = "2026-11-19", "2026-11-20"


@pytest.fixture
def defs(project: Path) -> dg.Definitions:
    return build({"reviews": load(project / "recipes" / "reviews.yaml")})


def asset(stage: str) -> dg.AssetKey:
    return dg.AssetKey(["reviews", stage])


def made(
    instance: dg.DagsterInstance, stage: str, partition: str | None = None, version: str = "rows"
) -> None:
    tags = {"dagster/data_version": version}
    instance.report_runless_asset_event(dg.AssetMaterialization(asset(stage), partition=partition, tags=tags))


def test_seeds_are_made_once(defs: dg.Definitions) -> None:
    with dagster_instance() as instance:
        first = dg.evaluate_automation_conditions(defs, instance)
        assert first.get_num_requested(asset("seeds")) == 1
        assert first.total_requested == 1
        made(instance, "seeds")
        second = dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor)
        assert second.total_requested == 0


def test_a_round_follows_when_all_its_cells_are_there(defs: dg.Definitions) -> None:
    """Also a round of the past; reading the seeds again starts nothing."""
    with dagster_instance() as instance:
        made(instance, "seeds")
        tick = dg.evaluate_automation_conditions(defs, instance)
        for stage in ("conditions", "generations", "scores"):
            made(instance, stage, cell_key(OLD, "negative"))
        tick = dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor)
        assert tick.total_requested == 0
        for stage in ("conditions", "generations", "scores"):
            made(instance, stage, cell_key(OLD, "positive"))
        tick = dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor)
        for stage in ("filtered", "rejected", "labelled", "weighted", "metrics", "report"):
            assert tick.get_requested_partitions(asset(stage)) == {OLD}, stage
        for stage in ("filtered", "rejected", "labelled", "weighted", "metrics", "report"):
            made(instance, stage, OLD)
        made(instance, "seeds")
        tick = dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor)
        assert tick.get_num_requested(asset("training_set")) == tick.total_requested == 1
        made(instance, "training_set")
        tick = dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor)
        assert tick.total_requested == 0


def test_the_nightly_schedule_asks_for_the_round_of_the_day(defs: dg.Definitions, project: Path) -> None:
    schedule = defs.resolve_schedule_def("reviews_nightly")
    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == "reviews_round"
    with (
        dagster_instance() as instance,
        dg.build_schedule_context(
            instance,
            scheduled_execution_time=datetime(2026, 11, 20, 2, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        ) as context,
    ):
        requests = schedule.evaluate_tick(context).run_requests
    assert requests is not None
    assert [request.partition_key for request in requests] == [NEW]


def test_nights_are_looked_after_while_the_schedule_is_on(
    defs: dg.Definitions, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = defs.resolve_sensor_def("reviews_keep")
    round_ = today("UTC")
    with dagster_instance() as instance:
        made(instance, "conditions", cell_key(round_, "negative"))
        recipe = load(project / "recipes" / "reviews.yaml")
        rows = tables.schema(recipe, "conditions").empty_table()
        FolderLake(project / ".synth" / "lake").write(
            "reviews", "conditions", {"round": round_, "cell": "negative"}, rows
        )

        def looks(last: float | None) -> list[str | None]:
            context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def())
            context._last_tick_completion_time = last  # Dagster's builder of contexts does not take it
            return [request.partition_key for request in sensor.evaluate_tick(context).run_requests or ()]

        now = time.time()
        assert looks(now) == []
        monkeypatch.setattr(keeper, "switched_on_at", lambda *_: 0.0)
        assert looks(None) == looks(now - 3600) == []  # after a while without one the schedule asks first
        assert looks(now) == [round_]


def test_a_changed_prompt_is_another_code_version_and_a_threshold_is_none_of_the_generations(
    defs: dg.Definitions, project: Path, edit
) -> None:
    def version(definitions: dg.Definitions, stage: str) -> str | None:
        return definitions.resolve_asset_graph().get(asset(stage)).code_version

    threshold = build({"reviews": load(edit("between: [2, 40]", "between: [2, 30]"))})
    assert version(threshold, "generations") == version(defs, "generations")
    assert version(threshold, "scores") == version(defs, "scores")
    assert version(threshold, "filtered") != version(defs, "filtered")
    prompt = build({"reviews": load(edit("({{ tone }})", "[{{ tone }}]"))})
    assert version(prompt, "generations") != version(defs, "generations")
    assert version(prompt, "conditions") == version(defs, "conditions")


def test_after_an_edit_only_the_latest_round_is_made_again(project: Path, edit) -> None:
    """And of it only what was there, stage by stage, as far as the rows change."""
    today_ = today("UTC")
    with dagster_instance() as instance:
        defs = build({"reviews": load(project / "recipes" / "reviews.yaml")})
        made(instance, "seeds")
        for round_ in (OLD, today_):
            for stage in ("conditions", "generations", "scores"):
                made(instance, stage, cell_key(round_, "negative"))
        tick = dg.evaluate_automation_conditions(defs, instance)
        tick = dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor)
        assert tick.total_requested == 0
        edited = build({"reviews": load(edit("witty", "dry"))})
        tick = dg.evaluate_automation_conditions(edited, instance, cursor=tick.cursor)
        assert tick.get_requested_partitions(asset("conditions")) == {cell_key(today_, "negative")}
        assert tick.total_requested == 1
        made(instance, "conditions", cell_key(today_, "negative"))  # the same rows as before
        tick = dg.evaluate_automation_conditions(edited, instance, cursor=tick.cursor)
        assert tick.total_requested == 0
        made(instance, "conditions", cell_key(today_, "negative"), version="other rows")
        tick = dg.evaluate_automation_conditions(edited, instance, cursor=tick.cursor)
        assert tick.get_requested_partitions(asset("generations")) == {cell_key(today_, "negative")}
        assert tick.total_requested == 1


@pytest.mark.parametrize(("refresh", "rounds"), [("all", 2), ("none", 0)])
def test_a_recipe_says_which_rounds_are_made_again(project: Path, edit, refresh: str, rounds: int) -> None:
    edit("rows: 6", f"rows: 6\nrefresh: {refresh}")
    with dagster_instance() as instance:
        defs = build({"reviews": load(project / "recipes" / "reviews.yaml")})
        made(instance, "seeds")
        for round_ in (OLD, NEW):
            made(instance, "conditions", cell_key(round_, "negative"))
        tick = dg.evaluate_automation_conditions(defs, instance)
        edited = build({"reviews": load(edit("witty", "dry"))})
        tick = dg.evaluate_automation_conditions(edited, instance, cursor=tick.cursor)
        assert tick.get_num_requested(asset("conditions")) == rounds


@pytest.mark.parametrize(("night", "day"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_night_on_which_the_clocks_change_has_one_round(project: Path, edit, night: str, day: int) -> None:
    """In Berlin that day has 23 or 25 hours; the cron line's hour is skipped or comes twice."""
    recipe = load(edit("rows: 6", "rows: 6\ntimezone: Europe/Berlin"))
    assert recipe.schedule is not None
    around = date.fromisoformat(night) - timedelta(days=1)
    assert scheduled("30 2 * * *", "Europe/Berlin", around, around + timedelta(days=1)) == [night]
    rounds = partitions_of(recipe, "filtered")
    assert isinstance(rounds, dg.TimeWindowPartitionsDefinition)
    window = rounds.time_window_for_partition_key(night)
    assert (window.end.timestamp() - window.start.timestamp()) / 3600 == day


def test_metrics_are_late_after_two_nights_where_the_schedule_is_on(
    defs: dg.Definitions, project: Path
) -> None:
    assert defs.resolve_asset_graph().get(asset("metrics")).freshness_policy is None
    on = build({"reviews": load(project / "recipes" / "reviews.yaml")}, scheduled=["reviews_nightly"])
    with dagster_instance():
        policy = on.resolve_asset_graph().get(asset("metrics")).freshness_policy
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert (policy.warn_window.to_timedelta(), policy.fail_window.to_timedelta()) == (
        timedelta(hours=36),
        timedelta(days=2),
    )


def test_a_run_that_fails_is_told_to_a_webhook(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with Endpoint(say=lambda _: "fine") as hook:
        monkeypatch.setenv("SYNTH_WEBHOOK", f"{hook.url}/T0/secret")
        monkeypatch.setenv("OPENAI_BASE_URL", hook.url)
        monkeypatch.setenv("SYNTH_MODEL", "gone")
        hook.fail_next(404)
        assert main(["run", "reviews", "--round", NEW]) == 2
        hook.requests.clear()
        defs = code_location.defs()
        with dagster_instance() as instance:
            (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
            (event,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
            context = dg.build_run_status_sensor_context(
                "alert_on_failure",
                dagster_event=event.get_dagster_event(),
                dagster_instance=instance,
                dagster_run=run,
            ).for_run_failure()
            defs.resolve_sensor_def("alert_on_failure")(context)
        (message,) = hook.requests
    assert message["partition"] == f"negative|{NEW}"
    assert "reviews/generations" in message["assets"]
    assert "failed" in message["text"]
    assert "does not know the model 'gone' (404: scripted)" in message["text"]
