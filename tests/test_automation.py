"""What Dagster does by itself: the first seeds, the stages of a round after its rows, the nightly round."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from partitions import cell_key
from synth_assets.definitions import build
from synth_assets.recipe import load
from synth_assets.running import dagster_instance

OLD, NEW = "2026-11-19", "2026-11-20"


@pytest.fixture
def defs(project: Path) -> dg.Definitions:
    return build({"reviews": load(project / "recipes" / "reviews.yaml")})


def asset(stage: str) -> dg.AssetKey:
    return dg.AssetKey(["reviews", stage])


def made(instance: dg.DagsterInstance, stage: str, partition: str | None = None) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(asset(stage), partition=partition))


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
        for stage in ("filtered", "rejected", "labelled", "weighted", "metrics"):
            assert tick.get_requested_partitions(asset(stage)) == {OLD}, stage
        for stage in ("filtered", "rejected", "labelled", "weighted", "metrics"):
            made(instance, stage, OLD)
        made(instance, "seeds")
        tick = dg.evaluate_automation_conditions(defs, instance, cursor=tick.cursor)
        assert tick.total_requested == 0


def test_the_nightly_schedule_asks_for_each_cell_of_the_day(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("reviews_nightly")
    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    with dagster_instance() as instance:
        context = dg.build_schedule_context(
            instance,
            scheduled_execution_time=datetime(2026, 11, 20, 2, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        )
        requests = schedule.evaluate_tick(context).run_requests
    assert requests is not None
    assert {r.partition_key for r in requests} == {cell_key(NEW, "negative"), cell_key(NEW, "positive")}


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
