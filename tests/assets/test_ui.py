"""The Dagster UI as a user has it: `synth ui`, a browser, and rows made by clicking."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from synth_assets.assets.in_process import dagster_instance
from synth_assets.assets.nightly import switched_on
from synth_assets.cli import main
from synth_assets.core.days import today
from synth_assets.partitions import cell_key
from synth_assets.resources.home import lake
from tests.browser import Page, chrome, descendants, is_running, launch, serving, wait_until
from tests.endpoint import Endpoint, various

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no chromium and chromedriver on the PATH: apt-get install chromium chromium-driver",
    ),
]

TODAY = today("UTC")
YESTERDAY = (date.fromisoformat(TODAY) - timedelta(days=1)).isoformat()
GROUP = "/locations/synth_assets/asset-groups/reviews"
DIALOG = "//*[@role = 'dialog']"
MADE_BY_CELL = ("conditions", "generations", "scores")
STAGES = ("seeds", *MADE_BY_CELL, "filtered", "rejected", "labelled", "weighted", "metrics", "feedback")


def test_a_user_makes_one_cell_of_a_round_by_clicking(page: Page, edit: Callable[[str, str], Path]) -> None:
    round_ = today("UTC")
    page.open("/locations/synth_assets/asset-groups/reviews")
    page.see(*STAGES, seconds=60)

    page.open("/automation")
    page.see("reviews_nightly", "At 02:00 AM UTC", "reviews_follow")
    assert switched_on() == set()
    page.click("//*[@data-index][contains(., 'reviews_nightly')]//label[contains(@class, 'Switch')]")
    page.wait(lambda: switched_on() == {"reviews_nightly"}, "the schedule to be on")

    page.open("/assets/reviews/plan")
    page.click("//button[contains(., 'Materialize')]")
    page.click("//*[@role = 'dialog']//button[. = 'Latest']")
    page.click("//*[@role = 'dialog']//button[. = 'Launch 1 run']")
    page.wait(lambda: plan_of(round_), "the plan to be made", seconds=60)
    page.open(f"/assets/reviews/plan?view=partitions&partition={round_}")
    page.see("calls", "from_log", "[Show Markdown]")

    with dagster_instance() as instance:
        page.open("/assets/reviews/seeds")
        page.click("//button[. = 'Materialize']")
        seeds = dg.AssetKey(["reviews", "seeds"])
        page.wait(lambda: instance.get_latest_materialization_event(seeds), "rows of the seeds")

        page.open("/locations/synth_assets/jobs/reviews_cell")
        page.click("//button[contains(., 'Materialize all')]")
        page.click("//*[@role = 'dialog']//button[. = 'Latest']")
        page.click("//*[@role = 'dialog']//*[contains(text(), 'Select a partition')]")
        page.click("//*[@title = 'negative']")
        page.click("//button[. = 'Launch 1 run']")
        page.wait(lambda: instance.get_runs(dg.RunsFilter(job_name="reviews_cell")), "the run to be queued")
        (run,) = instance.get_runs(dg.RunsFilter(job_name="reviews_cell"))
        page.open(f"/runs/{run.run_id}")
        page.see("Success", f"negative|{round_}", "3 assets", seconds=60)

        for stage in MADE_BY_CELL:
            made = instance.get_materialized_partitions(dg.AssetKey(["reviews", stage]))
            assert made == {cell_key(round_, "negative")}, stage

    page.open("/assets/reviews/generations")
    page.click("//tr[contains(., 'outcomes')]//a[. = '[Show Markdown]']")
    page.wait(lambda: any(page.widths_of_plots()), "a plot to be drawn")

    cell = f"/assets/reviews/conditions?view=partitions&partition=negative|{round_}"
    page.open(cell)
    page.see("Materialized")
    edit("the reviewer did not like it", "the reviewer hated it")
    page.open("/locations")
    page.click("//button[. = 'Reload']")
    page.wait(lambda: page.shows_after_opening(cell, "Unsynced (1)"), "the reload to be over", seconds=60)
    page.click("//*[contains(text(), 'Unsynced')]")
    page.see("has a new code version")


def test_materialize_all_makes_a_whole_round(scripted: Endpoint, page: Page) -> None:
    """The group page asks for rounds, and nothing else; so it does for several of them."""
    page.open(GROUP)
    page.see(*STAGES, "training_set", "report", seconds=60)
    page.click("//button[contains(., 'Materialize all')]")
    page.see("reviews / plan", "Failed and missing")
    page.write(f"{DIALOG}//input[@type = 'text']", f"[{YESTERDAY}...{TODAY}]")
    page.click(f"{DIALOG}//button[. = 'Launch backfill']")
    page.see("Created backfill")
    page.wait(lambda: materialized("report") == {YESTERDAY, TODAY}, "two rounds", seconds=600)
    page.open("/assets/reviews/feedback?view=partitions")
    page.see("Materialized (4)")
    assert rows("conditions") == rows("generations") == 2 * 2 * 3
    assert rows("filtered") + rows("rejected") == 2 * 2 * 3
    assert rows("feedback") == 2 * 2
    assert materialized("plan") == materialized("metrics") == {YESTERDAY, TODAY}
    assert len(scripted.requests) == 2 * 2 * 3
    page.wait(lambda: handed_over() == TODAY, "the training set of the latest round")
    page.wait(lambda: backfills() == ["COMPLETED_SUCCESS"], "the end of the backfill", seconds=180)

    page.open("/locations/synth_assets/resources/synth_lake")
    page.see("The rows that were made", "Lake")
    page.open("/assets/reviews/filtered")  # one stage of one round, and the one that is made with it
    page.click("//button[contains(., 'Materialize')]")
    page.click(f"{DIALOG}//button[. = 'Confirm']")
    page.click(f"{DIALOG}//button[. = 'Latest']")
    page.click(f"{DIALOG}//button[. = 'Launch 1 run']")
    page.wait(lambda: made_of_round(TODAY, "filtered") == 2, "the stage to be made again", seconds=120)
    page.wait(lambda: made_of_round(TODAY, "rejected") == 2, "what is made with it")
    assert made_of_round(YESTERDAY, "filtered") == made_of_round(TODAY, "metrics") == 1


def test_jobs_make_a_cell_of_several_rounds_and_a_whole_round(scripted: Endpoint, page: Page) -> None:
    page.open("/locations/synth_assets/jobs/reviews_cell")
    page.wait(lambda: rows("seeds"), "the seeds to be made by themselves", seconds=90)
    page.click("//button[contains(., 'Materialize all')]")
    page.click(f"{DIALOG}//button[. = 'Confirm']")  # that there never was a plan, which is no obstacle
    page.write(f"{DIALOG}//input[@type = 'text']", f"[{YESTERDAY}...{TODAY}]")
    page.click(f"{DIALOG}//*[contains(text(), 'Select a partition')]")
    page.click("//*[@title = 'negative']")
    page.click(f"{DIALOG}//button[. = 'Launch backfill']")
    negative = {cell_key(day, "negative") for day in (YESTERDAY, TODAY)}
    page.wait(lambda: materialized("scores") == negative, "one cell of two rounds", seconds=600)
    assert rows("scores") == 2 * 3

    page.open("/locations/synth_assets/jobs/reviews_round/partitions")
    page.click("//button[contains(., 'Launch backfill')]")
    page.click(f"{DIALOG}//button[. = 'Latest']")
    page.click(f"{DIALOG}//button[contains(., 'Submit 1 run')]")
    page.wait(lambda: materialized("report") == {TODAY}, "the round", seconds=600)
    assert rows("generations") == (1 + 2) * 3  # of today's, the other cell
    assert made_of_round(f"negative|{TODAY}", "generations") == 1  # it was there

    assert main(["run", "reviews", "--round", YESTERDAY]) == 0
    page.open("/overview/activity/timeline")
    page.see("reviews_cell", "reviews_round", "Jobless asset materializations")
    with dagster_instance() as instance:
        assert all(run.remote_job_origin for run in instance.get_runs())


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_all_that_it_started_ends_with_it(project: Path, scripted: Endpoint, told: signal.Signals) -> None:
    """Also a run that waits for a model."""
    scripted.delay_s = 60
    with serving(project) as (ui, address):
        launch(address, "reviews_round", TODAY)
        wait_until(lambda: scripted.requests, 120)
        started = descendants(ui.pid)
        assert len(started) >= 5  # dagster, its code server, webserver, daemon, the run
        ui.send_signal(told)
        assert ui.wait(timeout=5) == 0
        assert not [pid for pid in started if is_running(pid)]
    with dagster_instance() as instance:
        assert "reviews_round" in {run.job_name for run in instance.get_runs()}
        assert all(run.is_finished for run in instance.get_runs())


def rows(stage: str) -> int:
    return sum(
        pq.read_metadata(file).num_rows for file in (lake().folder("reviews") / stage).rglob("*.parquet")
    )


def materialized(stage: str) -> set[str]:
    with dagster_instance() as instance:
        return set(instance.get_materialized_partitions(dg.AssetKey(["reviews", stage])))


def handed_over() -> object:
    """The round that the training set is of."""
    with dagster_instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["reviews", "training_set"]))
    made = event.asset_materialization if event else None
    return made.metadata["round"].value if made else None


def made_of_round(partition: str, stage: str) -> int:
    """How many times a partition was made."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(["reviews", stage]), asset_partitions=[partition])
    with dagster_instance() as instance:
        return len(instance.fetch_materializations(wanted, limit=100).records)


def backfills() -> list[str]:
    with dagster_instance() as instance:
        return [backfill.status.name for backfill in instance.get_backfills()]


def plan_of(round_: str) -> bool:
    with dagster_instance() as instance:
        return round_ in instance.get_materialized_partitions(dg.AssetKey(["reviews", "plan"]))


@pytest.fixture
def page(project: Path, edit: Callable[[str, str], Path]) -> Iterator[Page]:
    """A browser on `synth ui` of the project, with 3 rows a cell. All ends with the test."""
    edit("rows: 6", "rows: 3\nrefresh: none")
    with serving(project) as (_, address):
        driver = chrome()
        try:
            yield Page(driver, address, project)
        finally:
            driver.quit()


@pytest.fixture
def scripted(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A model that is no model."""
    with Endpoint(say=various) as endpoint:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        yield endpoint
