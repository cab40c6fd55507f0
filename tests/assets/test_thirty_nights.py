"""Thirty nights of the schedule and the sensor, under a clock that is only said: which rounds they ask for,
when, and whom they tell. What runs come to is played here; test_nights_with_daemon.py has the real thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.test_utils import freeze_time

from synth_assets.assets import alerts, keeper, nightly
from synth_assets.assets.code_location import build
from synth_assets.assets.dagster_internals import scheduled
from synth_assets.assets.factory import PROCESS_TAG
from synth_assets.assets.in_process import dagster_instance
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.process import this_process
from tests.assets.test_keeper import CELLS, ROUND, failed, made

ZONE = ZoneInfo("America/New_York")
FIRST = date(2026, 10, 12)
DAYS = [(FIRST + timedelta(days=n)).isoformat() for n in range(30)]  # the clocks change on 2026-11-01
OFF = ["2026-10-25", "2026-10-26", "2026-10-27"]
DOWN = "nobody answers at http://m"


class World:
    """One recipe, its schedule and its sensor. `script`: what the runs of a round come to, one after the
    other."""

    def __init__(self, recipe: Recipe, instance: dg.DagsterInstance, patch: pytest.MonkeyPatch) -> None:
        self.recipe, self.instance = recipe, instance
        self.now = datetime.combine(FIRST, datetime.min.time(), ZONE)
        self.script: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.messages: list[dict] = []
        self._cursor: str | None = None
        self._looked: float | None = None
        found = build({recipe.name: recipe})
        (self._schedule,) = found.schedules
        (self._sensor,) = [sensor for sensor in found.sensors if sensor.name.endswith("_keep")]
        world = self

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return world.now.astimezone(tz)

        patch.setattr(keeper, "datetime", Clock)
        patch.setattr(nightly, "time", SimpleNamespace(time=lambda: self.now.timestamp()))
        patch.setattr(alerts, "post", lambda _, body: self.messages.append(body) or "")
        patch.setenv(alerts.WEBHOOK, "http://hook/secret")

    def switch_on(self) -> None:
        place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("synth_assets"), "__repository__")
        data = ScheduleInstigatorData(self._schedule.cron_schedule, self.now.timestamp())
        origin = RemoteInstigatorOrigin(place, self._schedule.name)
        self.instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
        )

    def tick(self) -> int:
        """The schedule asks; how many runs it asked for."""
        with (
            freeze_time(self.now),
            dg.build_schedule_context(self.instance, scheduled_execution_time=self.now) as context,
        ):
            asked = self._schedule(context)
            return self._run([asked] if isinstance(asked, dg.RunRequest) else [])

    def look(self, minutes: float) -> int:
        """The sensor asks so many minutes later."""
        self.now += timedelta(minutes=minutes)
        with freeze_time(self.now):
            context = dg.SensorEvaluationContext(
                None, self._looked, cursor=self._cursor, instance=self.instance
            )
            asked, self._looked = self._sensor(context), self.now.timestamp()
            if isinstance(asked, dg.SkipReason):
                return 0
            self._cursor = asked.cursor
            return self._run(asked.run_requests)

    def _run(self, requests) -> int:
        for request in requests:
            self.asked.append(request.partition_key)
            script = self.script.get(request.partition_key, [])
            self._comes_to(script.pop(0) if script else "whole", request.partition_key)
        return len(requests)

    def _comes_to(self, what: str, round_: str) -> None:
        make: Callable = lambda *stages, **rest: made(self.instance, self.recipe, round_, *stages, **rest)  # noqa: E731
        fail: Callable = lambda *said: failed(self.instance, self.recipe, round_, *said)  # noqa: E731
        match what:
            case "whole":
                make(*CELLS, *ROUND)
            case "down":
                fail("unreachable", DOWN)
            case "over budget":
                make("conditions")
                make("generations", complete=False)
                fail("over_budget", "4 requests were not sent: reviews/day is capped at 9 tokens")
            case "cut in generation":
                make("conditions")
                self._dies(round_)
            case "cut in filtering":
                make(*CELLS)
                self._dies(round_)
            case "cut between stages":
                make(*CELLS, "filtered", "rejected")
                self._dies(round_)

    def _dies(self, round_: str) -> None:
        """A run that looks as if it went on: its process is gone."""
        job = dg.GraphDefinition(f"{self.recipe.name}_round").to_job()
        place = this_process().partition(":")[0]
        tags = {PROCESS_TAG: f"{place}:1@1", "dagster/partition": round_}
        run = self.instance.create_run_for_job(job, tags=tags)
        begun = dg.DagsterEvent("PIPELINE_START", job.name, message="")
        self.instance.report_dagster_event(begun, run.run_id)

    def made_in_order(self) -> list[str]:
        """The rounds, in the order in which their last stages were made."""
        wanted = dg.AssetRecordsFilter(dg.AssetKey([self.recipe.name, "metrics"]))
        records = self.instance.fetch_materializations(wanted, limit=1_000, ascending=True).records
        return [str(record.partition_key) for record in records]


@pytest.fixture
def instance(project: Path) -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as instance:
        yield instance


@pytest.fixture
def world(
    instance: dg.DagsterInstance, edit: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> World:
    rest = "missed_nights: catch_up\ntimezone: America/New_York\nstart: 2026-02-20"
    path = edit('schedule: "0 2 * * *"', f'schedule: {{cron: "30 1 * * *", tries: 2, catch_up: 3}}\n{rest}')
    return World(load(path), instance, monkeypatch)


@pytest.mark.slow
def test_thirty_nights(world: World) -> None:
    world.switch_on()
    world.script = {
        "2026-10-14": ["cut in generation"],
        "2026-10-16": ["cut in filtering"],
        "2026-10-18": ["cut between stages"],
        "2026-10-21": ["down"] * 4,  # two tries in each of two nights
        "2026-10-22": ["down"] * 2,
        "2026-11-04": ["over budget"],
    }
    for day in DAYS:
        if day in OFF:
            continue
        world.now = datetime.fromisoformat(f"{day}T01:30").replace(tzinfo=ZONE)
        world.tick()
        world.look(1.0)  # where the daemon was away: the first look
        while world.look(3.0):
            pass
    assert world.made_in_order() == DAYS
    assert {day: world.asked.count(day) for day in DAYS if world.asked.count(day) != 1} == {
        "2026-10-14": 2,
        "2026-10-16": 2,
        "2026-10-18": 2,
        "2026-10-21": 5,
        "2026-10-22": 3,
        "2026-11-04": 2,
    }
    told = [
        message for message in world.messages if "round" in message
    ]  # others: of no whole night for a while
    assert [(message["round"], message["state"]) for message in told] == [
        ("2026-10-21", "failed"),
        ("2026-10-22", "failed"),
        ("2026-11-04", "over budget"),
    ]
    assert [message["why"] for message in told[:2]] == [DOWN, DOWN]


@pytest.mark.parametrize(("day", "at"), [("2026-03-08", "30 2"), ("2026-11-01", "30 1")])
def test_a_night_on_which_the_clocks_change_has_one_round(day: str, at: str) -> None:
    """02:30 is left out in spring, 01:30 comes twice in autumn."""
    around = [date.fromisoformat(day) + timedelta(days=n) for n in (-2, -1, 0, 1)]
    nights = scheduled(f"{at} * * *", "America/New_York", around[0], around[-1])
    assert nights == [each.isoformat() for each in around[1:]]
