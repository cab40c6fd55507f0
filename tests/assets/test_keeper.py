"""The keeper of rounds: what a night is at, and what is to be made next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from synth_assets.assets import alerts
from synth_assets.assets import keeper as keeper_module
from synth_assets.assets.code_location import build, stage_assets
from synth_assets.assets.factory import COMPLETE, LANGUAGE_MODEL_POOL, PROCESS_TAG
from synth_assets.assets.failures import HEARD, KIND, WHY, end_dead_runs, heard_of
from synth_assets.assets.in_process import dagster_instance, run_round
from synth_assets.assets.keeper import Keeper, Night
from synth_assets.assets.made_rounds import MadeRounds
from synth_assets.assets.nightly import keep
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.home import call_log, lake
from synth_assets.resources.storage.process import this_process
from synth_assets.stages import tables
from tests.batch_endpoint import BatchEndpoint
from tests.endpoint import Endpoint, reviewer

CELLS, ROUND = (
    ("conditions", "generations", "scores"),
    ("filtered", "rejected", "labelled", "weighted", "metrics"),
)
NIGHTS = ["2026-11-18", "2026-11-19", "2026-11-20"]
NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@pytest.fixture
def recipe(project: Path) -> Recipe:
    return load(project / "recipes" / "reviews.yaml")


@pytest.fixture
def instance(project: Path) -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule is on since today."""
    monkeypatch.setattr(keeper_module, "switched_on_at", lambda *_: datetime.now(UTC).timestamp())


def keeper(recipe: Recipe, instance: dg.DagsterInstance, now: datetime = NOW) -> Keeper:
    return keep(recipe, instance, stage_assets(recipe), now)


def next_of(keeper: Keeper, tonight: bool = True) -> Night | None:
    return keeper.next(keeper.due(tonight))


def made(
    instance: dg.DagsterInstance, recipe: Recipe, round_: str, *stages: str, complete: bool = True
) -> None:
    """These stages of a round, as a run makes them."""
    for stage in stages:
        cells = recipe.cells if stage in CELLS else [""]
        for cell in cells:
            place = {"round": round_} | ({"cell": cell} if cell else {})
            lake().write(recipe.name, stage, place, tables.schema(recipe, stage).empty_table())
            tags = {"dagster/data_version": "rows"} | ({COMPLETE: "true"} if complete else {})
            partition = cell_key(round_, cell) if cell else round_
            asset = dg.AssetKey([recipe.name, stage])
            event = dg.AssetMaterialization(asset, partition=partition, tags=tags)
            instance.report_runless_asset_event(event)


def failed(
    instance: dg.DagsterInstance, recipe: Recipe, round_: str, kind: str, why: str, cell: str = ""
) -> None:
    """A run of the whole round that failed, or of a cell."""
    job = dg.GraphDefinition(f"{recipe.name}_{'cell' if cell else 'round'}").to_job()
    partition = cell_key(round_, cell) if cell else round_
    run = instance.create_run_for_job(job, tags={"dagster/partition": str(partition), KIND: kind, WHY: why})
    instance.report_run_failed(run, why)


def test_a_round_is_whole_when_its_last_stage_is(recipe: Recipe, instance: dg.DagsterInstance) -> None:
    first, second, third = NIGHTS
    made(instance, recipe, first, *CELLS, *ROUND)
    made(instance, recipe, second, "conditions")
    nights = keeper(recipe, instance).due(tonight=True)
    assert [(n.round, n.state) for n in nights] == [
        (first, "whole"),
        (second, "partly made"),
        (third, "not begun"),
    ]


def test_nights_are_made_in_order(recipe: Recipe, instance: dg.DagsterInstance) -> None:
    first, second, third = NIGHTS
    made(instance, recipe, first, *CELLS, *ROUND)
    made(instance, recipe, second, *CELLS)
    assert next_of(keeper(recipe, instance)).round == second
    made(instance, recipe, second, *ROUND)
    assert next_of(keeper(recipe, instance)).round == third
    assert next_of(keeper(recipe, instance), tonight=False) is None


def test_rows_without_an_answer_and_lost_files_are_not_whole(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    first, second, _ = NIGHTS
    made(instance, recipe, first, "conditions")
    made(instance, recipe, first, "generations", complete=False)
    made(instance, recipe, first, "scores", *ROUND)
    made(instance, recipe, second, *CELLS, *ROUND)
    lake().remove(recipe.name, "filtered", {"round": second})
    assert [n.state for n in keeper(recipe, instance).due()] == ["partly made", "partly made"]


def test_a_refresh_that_stopped_in_the_middle_is_made_whole(
    recipe: Recipe, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are new, and what was made of the old ones is still there."""
    made(instance, recipe, NIGHTS[0], *CELLS, *ROUND)
    made(instance, recipe, NIGHTS[0], "generations")
    monkeypatch.setattr(MadeRounds, "_left", lambda *_: True)  # looks closely: see the round below
    assert next_of(keeper(recipe, instance), tonight=False).state == "partly made"


def test_a_round_that_nobody_answered_is_made_by_the_next_try(
    recipe: Recipe, project: Path, edit, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_, now = datetime.now(UTC).date().isoformat(), datetime.now(UTC)
    monkeypatch.setenv("SYNTH_MODEL", "scripted")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(UserError):
        run_round(recipe, round_, instance, quiet=True)
    (night,) = keeper(recipe, instance, now).due()
    assert (night.state, night.tries) == ("failed", 1)
    assert night.why.startswith("nobody answers at http://127.0.0.1:9/v1")
    with Endpoint(say=reviewer) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        run_round(recipe, round_, instance, quiet=True)
        assert [n.state for n in keeper(recipe, instance, now).due()] == ["whole"]
        asked = len(served.requests)
        name = dg.AssetKey(["reviews", "conditions"])
        again = build({"reviews": recipe}).resolve_job_def("reviews_cell")
        again.execute_in_process(
            instance=instance, partition_key=cell_key(round_, "negative"), asset_selection=[name]
        )
        assert [n.state for n in keeper(recipe, instance, now).due()] == ["whole"]  # the same rows
        assert len(served.requests) == asked
        edited = load(edit("between: [2, 40]", "between: [2, 30]"))
        assert [n.state for n in keeper(edited, instance, now).due()] == ["stale"]
        assert next_of(keeper(edited, instance, now), tonight=False) is None


def test_a_night_goes_on_when_its_batches_are_back(
    project: Path, edit, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensor that collects leaves the night to the keeper, which asks for the whole of it once."""
    round_, now = datetime.now(UTC).date().isoformat(), datetime.now(UTC)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    with BatchEndpoint(polls=0, say=reviewer) as provider:
        edit("rows: 6", f"rows: 6\nmode: batch\nmodel: {{name: m, base_url: {provider.url}}}")
        recipe = load(project / "recipes" / "reviews.yaml")
        defs = build({"reviews": recipe})
        assert len(run_round(recipe, round_, instance, quiet=True)) == 2  # cells that wait
        (night,) = keeper(recipe, instance, now).due()
        assert (night.state, night.why) == ("with the provider", "6 in batch_1, 6 in batch_2")
        assert next_of(keeper(recipe, instance, now)) is None
        resources = {"synth_language_model": LanguageModel(call_log(), project)}
        context = dg.build_sensor_context(
            instance, repository_def=defs.get_repository_def(), resources=resources
        )
        assert not defs.resolve_sensor_def("reviews_collect").evaluate_tick(context).run_requests
        assert next_of(keeper(recipe, instance, now)).round == round_
        assert run_round(recipe, round_, instance, quiet=True) == []
        assert [n.state for n in keeper(recipe, instance, now).due()] == ["whole"]
        assert list(provider.paid.values()) == [1] * 12
    assert lake().table("reviews", "weighted", {"round": round_}).num_rows


def test_a_night_without_an_endpoint_is_tried_again_and_then_made_up(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    night, now = datetime.now(UTC).date().isoformat(), datetime.now(UTC)
    failed(instance, recipe, night, "unreachable", "nobody answers at http://m")
    (state,) = keeper(recipe, instance, now).due()
    assert (state.state, state.why) == ("failed", "nobody answers at http://m")
    assert timedelta(minutes=1) < state.again - now < timedelta(minutes=3)
    assert next_of(keeper(recipe, instance, now), tonight=False) is None
    assert next_of(keeper(recipe, instance, now + timedelta(minutes=3)), tonight=False).round == night
    for _ in range(2):
        failed(instance, recipe, night, "unreachable", "nobody answers at http://m")
    later = now + timedelta(minutes=31)
    assert next_of(keeper(recipe, instance, later), tonight=False) is None or later.date() != now.date()
    assert next_of(keeper(recipe, instance, now + timedelta(days=1)), tonight=False).round == night
    assert next_of(keeper(recipe, instance, now + timedelta(days=8)), tonight=False) is None


@pytest.mark.parametrize("kind", ["over_budget", "check_failed", "wrong_value"])
def test_what_another_try_would_not_mend_waits_for_another_day(
    recipe: Recipe, instance: dg.DagsterInstance, kind: str
) -> None:
    now = datetime.now(UTC)
    night = now.date().isoformat()
    failed(instance, recipe, night, kind, "12 requests were not sent: reviews/all")
    (state,) = keeper(recipe, instance, now).due()
    assert state.state == ("over budget" if kind == "over_budget" else "failed")
    later = keeper(recipe, instance, now + timedelta(hours=1))
    assert next_of(later, tonight=False) is None or now.hour == 23
    assert next_of(keeper(recipe, instance, now + timedelta(days=1)), tonight=False).round == night


def test_a_night_without_a_new_text_is_no_failure(recipe: Recipe, instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    failed(instance, recipe, now.date().isoformat(), "nothing_new", "the 9 texts are rows of other rounds.")
    (night,) = (found := keeper(recipe, instance, now)).due()
    assert (night.state, night.next) == ("nothing new", "Nothing is left to do.")
    assert not night.needs_somebody
    assert next_of(found) is None


def test_a_run_whose_process_is_gone_ends_and_its_night_goes_on(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    job = dg.GraphDefinition(f"{recipe.name}_round").to_job()
    place = this_process().partition(":")[0]
    tags = {PROCESS_TAG: f"{place}:1@1", "dagster/partition": now.date().isoformat()}
    for deaths in (1, 2):
        run = instance.create_run_for_job(job, tags=tags)
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job.name, message=""), run.run_id)
        assert keeper(recipe, instance, now).due()[-1].state == "making"
        end_dead_runs(instance)
        (night,) = keeper(recipe, instance, now).due()
        assert night.why.startswith("The process ended before the run did")
        assert ("memory" in night.why) == (deaths == 2)
        assert night.tries == deaths
        assert night.again is not None


def test_a_cell_at_which_the_process_died_twice_is_named(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    day = now.date().isoformat()
    for kind, cell in (("died", "negative"), ("died", "positive"), ("died", "negative")):
        failed(instance, recipe, day, kind, "The process ended.", cell=cell)
    (night,) = keeper(recipe, instance, now).due()
    assert night.why == (
        "The process ended. It has ended so 2 times at negative: the machine may have too little memory."
    )


def test_rows_without_an_answer_are_asked_for_a_few_times_and_then_told(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    day = now.date().isoformat()
    made(instance, recipe, day, *CELLS, *ROUND, complete=False)
    assert next_of(keeper(recipe, instance, now)).round == day
    job = dg.GraphDefinition(f"{recipe.name}_round").to_job()
    for tries in (1, 2, 3):
        run = instance.create_run_for_job(job, tags={"dagster/partition": day})
        for event in ("PIPELINE_START", "PIPELINE_SUCCESS"):
            instance.report_dagster_event(dg.DagsterEvent(event, job.name, message=""), run.run_id)
        night = keeper(recipe, instance, now).due()[-1]
        assert (night.state, night.tries, night.needs_somebody) == ("partly made", tries, tries == 3)
        assert next_of(keeper(recipe, instance, now)) is None


def test_a_refresh_of_an_old_round_that_failed_is_tried_again(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    old = (now - timedelta(days=20)).date().isoformat()
    made(instance, recipe, old, "conditions")
    assert keeper(recipe, instance, now).due() == []
    failed(instance, recipe, old, "unreachable", "nobody answers at http://m")
    assert [night.round for night in keeper(recipe, instance, now).due()] == [old]
    (night,) = keeper(recipe, instance, now + timedelta(days=9)).last(1)
    assert night.next.startswith("It is too old to be tried again by itself.")


def test_a_recipe_that_never_got_as_far_as_its_metrics_alarms(
    recipe: Recipe, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = NOW - timedelta(days=2)
    monkeypatch.setattr(keeper_module, "switched_on_at", lambda *_: since.timestamp())
    made(instance, recipe, NIGHTS[0], "conditions")
    assert keeper(recipe, instance).late() == "has had no whole night since 2026-11-18: 2 were due."
    with Endpoint(say=lambda _: "fine") as hook:
        monkeypatch.setenv(alerts.WEBHOOK, hook.url)
        told = alerts.tell(recipe, keeper(recipe, instance), [], None)
        assert alerts.tell(recipe, keeper(recipe, instance), [], told) == told
        assert [message["text"] for message in hook.requests] == [
            "reviews has had no whole night since 2026-11-18: 2 were due."
        ]
    made(instance, recipe, NIGHTS[2], *CELLS, *ROUND)
    assert keeper(recipe, instance).late() == ""


def test_the_pool_holds_from_the_first_run(instance: dg.DagsterInstance) -> None:
    """Dagster lets all through that waits when it hears of a pool for the first time."""
    (pool,) = instance.event_log_storage.get_pool_limits()
    assert (pool.name, pool.limit, pool.from_default) == (LANGUAGE_MODEL_POOL, 1, True)


def test_what_runs_is_not_started_twice_whoever_else_has_died(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    """A daemon that was killed alone, and is back: the process of its run lives."""
    now = datetime.now(UTC)
    job = dg.GraphDefinition(f"{recipe.name}_round").to_job()
    tags = {PROCESS_TAG: this_process(), "dagster/partition": now.date().isoformat()}
    run = instance.create_run_for_job(job, tags=tags)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job.name, message=""), run.run_id)
    end_dead_runs(instance)
    assert [night.state for night in keeper(recipe, instance, now).due()] == ["making"]
    assert next_of(keeper(recipe, instance, now)) is None


def test_a_run_of_this_process_that_it_does_not_make_is_over(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    """As a database of runs says that has lost its last words."""
    now = datetime.now(UTC)
    tags = {PROCESS_TAG: this_process(), HEARD: f"{now.timestamp():.0f}"}
    job = dg.GraphDefinition(f"{recipe.name}_round").to_job()
    run = instance.create_run_for_job(job, tags={**tags, "dagster/partition": now.date().isoformat()})
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job.name, message=""), run.run_id)
    with heard_of(instance, run.run_id):
        end_dead_runs(instance)
        assert keeper(recipe, instance, now).due()[-1].state == "making"
    end_dead_runs(instance)
    assert keeper(recipe, instance, now).due()[-1].state == "failed"


@pytest.mark.parametrize(
    ("silent_s", "began", "state"), [(5, True, "making"), (90, True, "failed"), (90, False, "failed")]
)
def test_a_run_of_another_container_ends_when_nothing_is_heard_of_it(
    recipe: Recipe, instance: dg.DagsterInstance, silent_s: int, began: bool, state: str
) -> None:
    """Also of one whose process died before it said that it begins."""
    now = datetime.now(UTC)
    tags = {PROCESS_TAG: "elsewhere:1@1", HEARD: f"{now.timestamp() - silent_s:.0f}"}
    job = dg.GraphDefinition(f"{recipe.name}_round").to_job()
    run = instance.create_run_for_job(job, tags={**tags, "dagster/partition": now.date().isoformat()})
    if began:
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job.name, message=""), run.run_id)
    end_dead_runs(instance)
    assert keeper(recipe, instance, now).due()[-1].state == state


@pytest.mark.parametrize(("missed", "rounds"), [("skip", NIGHTS[2:]), ("catch_up", NIGHTS[1:])])
def test_nights_without_a_daemon_are_skipped_or_made(
    project: Path, edit, instance: dg.DagsterInstance, missed: str, rounds: list[str]
) -> None:
    recipe = load(edit("rows: 6", f"rows: 6\nmissed_nights: {missed}"))
    made(instance, recipe, NIGHTS[0], *CELLS, *ROUND)
    states = keeper(recipe, instance).due(tonight=True)
    assert [night.round for night in states if not night.is_whole] == rounds


def test_rounds_end_and_each_waits_for_those_before_it(
    project: Path, edit, instance: dg.DagsterInstance
) -> None:
    """Without `rounds`, a night that cannot be made today is passed over."""
    path = edit("rows: 6", "rows: 6\nrounds: 4")
    recipe, without = load(path), load(path).model_copy(update={"rounds": None})
    long_ago, now = "2026-10-02", datetime.now(UTC)
    today = now.date().isoformat()
    made(instance, recipe, long_ago, *CELLS)
    assert next_of(keeper(recipe, instance)).round == long_ago
    assert next_of(keeper(without, instance)).round == NIGHTS[2]
    failed(instance, recipe, long_ago, "check_failed", "minimum_yield")
    assert next_of(keeper(recipe, instance, now)) is None
    assert next_of(keeper(without, instance, now)).round == today

    made(instance, recipe, long_ago, *CELLS, *ROUND)
    made(instance, recipe, NIGHTS[0], *CELLS, *ROUND)
    made(instance, recipe, NIGHTS[1], *CELLS, *ROUND)
    assert next_of(keeper(recipe, instance)).round == NIGHTS[2]
    assert not keeper(recipe, instance).ended
    made(instance, recipe, NIGHTS[2], *CELLS)
    at_last = keeper(recipe, instance, NOW + timedelta(days=1))
    assert next_of(at_last).round == NIGHTS[2]  # begun, and so it is one of them
    assert at_last.ended == "The rounds have ended: there are 4 of 4 rounds."
    made(instance, recipe, NIGHTS[2], *ROUND)
    at_last = keeper(recipe, instance, NOW + timedelta(days=9))
    assert next_of(at_last) is None
    assert at_last.late() == ""
    assert {night.state for night in at_last.due(tonight=True)} == {"whole"}

    definitions = build({"reviews": recipe})
    (schedule,) = definitions.schedules or ()
    with dg.build_schedule_context(instance, scheduled_execution_time=now) as context:
        assert schedule.evaluate_tick(context).skip_message == at_last.ended


def test_a_schedule_says_how_far_back_and_how_often(
    project: Path, edit, instance: dg.DagsterInstance
) -> None:
    path = edit('schedule: "0 2 * * *"', 'schedule: {cron: "0 2 * * *", catch_up: 1, tries: 1}')
    recipe = load(path)
    for night in NIGHTS[:2]:
        made(instance, recipe, night, "conditions")
    assert [night.round for night in keeper(recipe, instance).due()] == NIGHTS[1:2]
    (schedule,) = build({"reviews": recipe}).schedules or ()
    assert schedule.cron_schedule == "0 2 * * *"


def test_the_webhook_hears_of_a_night_once_and_why(
    recipe: Recipe, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    night = now.date().isoformat()
    failed(instance, recipe, night, "over_budget", "12 requests were not sent: reviews/day")
    with Endpoint(say=lambda _: "fine") as hook:
        monkeypatch.setenv(alerts.WEBHOOK, hook.url + "/T0/secret")
        told = None
        for _ in range(2):
            asked = keeper(recipe, instance, now)
            told = alerts.tell(recipe, asked, asked.due(), told)
        (message,) = hook.requests
    assert message["text"] == (
        f"reviews {night}: over budget: 12 requests were not sent: reviews/day. Nothing was made. "
        "The rest is made when the budget allows it: it is tried tomorrow. Once raised: "
        f"synth run reviews --round {night}"
    )
    assert (message["state"], message["kept"]) == ("over budget", None)
    assert json.loads(told) == {night: "over budget: 12 requests were not sent: reviews/day."}


def test_a_webhook_that_is_no_address_stops_nobody() -> None:
    assert alerts.post("http://a host/x", {}) == "InvalidURL"


def test_a_clock_that_was_set_back_keeps_no_night_waiting(recipe: Recipe) -> None:
    keeper = keep(recipe, dg.DagsterInstance.ephemeral(), [], NOW)
    keeper.__dict__["_on_since"] = 0.0
    again = keeper._again([(NOW + timedelta(hours=1)).timestamp()], "unreachable")
    assert again is not None
    assert again <= NOW + timedelta(minutes=2)


def test_a_round_that_is_made_is_whole_while_an_automation_looks_at_it(
    recipe: Recipe, instance: dg.DagsterInstance
) -> None:
    made(instance, recipe, NIGHTS[0], *CELLS, *ROUND)
    job = dg.GraphDefinition("reviews_round").to_job()
    tags = {"dagster/partition": NIGHTS[0]}
    instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    known = keeper(recipe, instance).made._at
    states = [Keeper(known, alone=alone).nights([NIGHTS[0]])[0].state for alone in (False, True)]
    assert states == ["making", "whole"]
