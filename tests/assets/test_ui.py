"""The Dagster UI as a user has it: `synth ui`, a browser, and rows made by clicking."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synth_assets.assets.in_process import dagster_instance
from synth_assets.assets.nightly import switched_on
from synth_assets.cli import main
from synth_assets.commands.ui import lost
from synth_assets.core.days import today
from synth_assets.partitions import cell_key
from synth_assets.resources.home import lake
from tests.browser import Page, chrome, descendants, is_running, launch, serving, wait_until
from tests.conftest import settle
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
BEFORE, YESTERDAY = ((date.fromisoformat(TODAY) - timedelta(days=n)).isoformat() for n in (2, 1))
LOCATION = "/locations/synth_assets"
DIALOG = "//*[@role = 'dialog']"
MADE_BY_CELL = ("conditions", "generations", "scores")
STAGES = ("seeds", *MADE_BY_CELL, "filtered", "rejected", "labelled", "weighted", "metrics", "feedback")


def test_materialize_all_makes_a_whole_round(scripted: Endpoint, page: Page) -> None:
    """The group page asks for rounds, and nothing else; so it does for several of them, which come in order:
    what a student of the first got wrong is what the second is asked about."""
    page.open(f"{LOCATION}/asset-groups/films")
    page.see(*STAGES, "training_set", "report")
    page.click("//button[contains(., 'Materialize all')]")
    page.see("films / plan", "Failed and missing")
    page.write(f"{DIALOG}//input[@type = 'text']", f"[{YESTERDAY}...{TODAY}]")
    page.click(f"{DIALOG}//button[. = 'Launch backfill']")
    page.see("Created backfill")
    page.leave()
    page.wait(lambda: materialized("films/report") == {YESTERDAY, TODAY}, "two rounds")
    page.open("/assets/films/feedback?view=partitions")
    page.see("Materialized (4)")
    assert rows("films/conditions") == rows("films/generations") == 2 * 2 * 3
    assert rows("films/filtered") + rows("films/rejected") == 2 * 2 * 3
    assert rows("films/feedback") == 2 * 2
    asked = {day: signals_of("films", day) for day in (YESTERDAY, TODAY)}
    assert asked[YESTERDAY].isna().all()
    assert asked[TODAY].notna().all()
    assert materialized("films/plan") == materialized("films/metrics") == {YESTERDAY, TODAY}
    assert len(scripted.requests) == 2 * 2 * 3
    page.wait(lambda: handed_over() == TODAY, "the training set of the latest round")
    page.wait(lambda: backfills() == ["COMPLETED_SUCCESS"], "the end of the backfill")

    page.open(f"{LOCATION}/resources/synth_lake")
    page.see("The rows that were made", "Lake")
    page.open("/assets/films/filtered")  # alone: what is made with it stays
    page.click("//button[contains(., 'Materialize')]")
    page.click(f"{DIALOG}//button[. = 'Latest']")
    page.click(f"{DIALOG}//button[. = 'Launch 1 run']")
    page.wait(lambda: times_made("films/filtered", TODAY) == 2, "the stage to be made again")
    assert times_made("films/rejected", TODAY) == 1
    assert times_made("films/metrics", TODAY) == 1


def test_jobs_make_a_cell_of_several_rounds_and_a_whole_round(page: Page) -> None:
    page.open(f"{LOCATION}/jobs/books_cell")
    page.wait(lambda: rows("books/seeds"), "the seeds to be made by themselves")
    page.click("//button[contains(., 'Materialize all')]")
    page.click(f"{DIALOG}//button[. = 'Confirm']")  # that there never was a plan, which is no obstacle
    page.write(f"{DIALOG}//input[@type = 'text']", f"[{YESTERDAY}...{TODAY}]")
    page.click(f"{DIALOG}//*[contains(text(), 'Select a partition')]")
    page.click("//*[@title = 'negative']")
    before = len(backfills())
    page.click(f"{DIALOG}//button[. = 'Launch backfill']")
    page.wait(lambda: len(backfills()) > before, "the backfill to be there")
    page.leave()
    negative = {cell_key(day, "negative") for day in (YESTERDAY, TODAY)}
    page.wait(lambda: materialized("books/scores") == negative, "one cell of two rounds")
    assert rows("books/scores") == 2 * 3

    page.open(f"{LOCATION}/jobs/books_round/partitions")
    page.click("//button[contains(., 'Launch backfill')]")
    page.click(f"{DIALOG}//button[. = 'Latest']")
    page.click(f"{DIALOG}//button[contains(., 'Submit 1 run')]")
    page.wait(lambda: len(backfills()) > before + 1, "the second backfill to be there")
    page.leave()
    page.wait(lambda: materialized("books/report") == {TODAY}, "the round")
    assert rows("books/generations") == (1 + 2) * 3  # of today's, the other cell
    assert times_made("books/generations", f"negative|{TODAY}") == 1  # it was there

    page.wait(lambda: not at_work(), "the end of all runs")
    assert main(["run", "books", "--round", YESTERDAY]) == 0
    page.open("/overview/activity/timeline")
    page.see("books_cell", "books_round", "Jobless asset materializations")
    with dagster_instance() as instance:
        assert all(run.remote_job_origin for run in instance.get_runs())


def test_a_user_makes_one_cell_of_a_round_by_clicking(site: Path, page: Page) -> None:
    """With the embedded model. The schedule comes last: while it is on, tonight's round is made."""
    page.open("/assets/reviews/plan")
    page.click("//button[contains(., 'Materialize')]")
    page.click(f"{DIALOG}//button[. = 'Latest']")
    page.click(f"{DIALOG}//button[. = 'Launch 1 run']")
    page.wait(lambda: TODAY in materialized("reviews/plan"), "the plan to be made")
    page.open(f"/assets/reviews/plan?view=partitions&partition={TODAY}")
    page.see("calls", "from_log", "[Show Markdown]")

    with dagster_instance() as instance:
        page.open("/assets/reviews/seeds")
        page.click("//button[. = 'Materialize']")
        seeds = dg.AssetKey(["reviews", "seeds"])
        page.wait(lambda: instance.get_latest_materialization_event(seeds), "rows of the seeds")

        page.open(f"{LOCATION}/jobs/reviews_cell")
        page.click("//button[contains(., 'Materialize all')]")
        page.click(f"{DIALOG}//button[. = 'Latest']")
        page.click(f"{DIALOG}//*[contains(text(), 'Select a partition')]")
        page.click("//*[@title = 'negative']")
        page.click("//button[. = 'Launch 1 run']")
        page.wait(lambda: instance.get_runs(dg.RunsFilter(job_name="reviews_cell")), "the run to be queued")
        (run,) = instance.get_runs(dg.RunsFilter(job_name="reviews_cell"))
        page.open(f"/runs/{run.run_id}")
        page.see("Success", f"negative|{TODAY}", "3 assets")
    for stage in MADE_BY_CELL:
        assert materialized(f"reviews/{stage}") == {cell_key(TODAY, "negative")}, stage

    page.open("/assets/reviews/generations")
    page.click("//tr[contains(., 'outcomes')]//a[. = '[Show Markdown]']")
    page.wait(lambda: any(page.widths_of_plots()), "a plot to be drawn")

    cell = f"/assets/reviews/conditions?view=partitions&partition=negative|{TODAY}"
    page.open(cell)
    page.see("Materialized")
    recipe = site / "recipes" / "reviews.yaml"
    recipe.write_text(recipe.read_text().replace("the reviewer did not like it", "the reviewer hated it"))
    page.open("/locations")
    page.click("//button[. = 'Reload']")
    page.wait(lambda: page.shows_after_opening(cell, "Unsynced (1)"), "the reload to be over")
    page.click("//*[contains(text(), 'Unsynced')]")
    page.see("has a new code version")

    page.open("/automation")
    page.see("reviews_nightly", "At 02:00 AM UTC", "reviews_follow")
    assert switched_on() == set()
    switch = "//*[@data-index][contains(., 'reviews_nightly')]//label[contains(@class, 'Switch')]"
    page.click(switch)
    page.wait(lambda: switched_on() == {"reviews_nightly"}, "the schedule to be on")
    page.click(switch)
    page.wait(lambda: switched_on() == set(), "the schedule to be off")


def test_all_that_it_started_ends_with_it(scripted: Endpoint, ui: UI) -> None:
    """Also a run that waits for a model. (That SIGTERM does the same: test_wheel.) The process that has read
    the recipes is started again where it was killed."""
    before = readers(ui)
    for reader in before:
        os.kill(reader, signal.SIGKILL)
    wait_until(lambda: {*readers(ui)} - {*before} and not lost(ui.address))
    scripted.requests.clear()
    scripted.delay_s = 60
    launch(ui.address, "books_round", BEFORE)
    wait_until(lambda: scripted.requests)
    started = descendants(ui.process.pid)
    assert len(started) >= 5  # dagster, its code server, webserver, daemon, the run
    ui.process.send_signal(signal.SIGINT)
    assert ui.process.wait(timeout=120) == 0
    assert not [pid for pid in started if is_running(pid)]
    with dagster_instance() as instance:
        assert BEFORE in {run.tags.get("dagster/partition") for run in instance.get_runs()}
        assert all(run.is_finished for run in instance.get_runs())


def readers(ui: UI) -> list[int]:
    """Processes that have read the recipes."""
    started = descendants(ui.process.pid)
    return [pid for pid in started if b"api\0grpc" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def key(asset: str) -> dg.AssetKey:
    return dg.AssetKey(asset.split("/"))


def rows(asset: str) -> int:
    return sum(pq.read_metadata(file).num_rows for file in Path(lake().place(asset)).rglob("*.parquet"))


def signals_of(recipe: str, day: str) -> Any:
    """Of the rows that a round was asked about."""
    cells = [{"round": day, "cell": cell} for cell in ("negative", "positive")]
    schema = pa.schema([("misread_signal", pa.float64())])
    return lake().read(recipe, "conditions", cells, schema)["misread_signal"]


def materialized(asset: str) -> set[str]:
    with dagster_instance() as instance:
        return set(instance.get_materialized_partitions(key(asset)))


def handed_over() -> object:
    """The round that the training set is of."""
    with dagster_instance() as instance:
        event = instance.get_latest_materialization_event(key("films/training_set"))
    made = event.asset_materialization if event else None
    return made.metadata["round"].value if made else None


def times_made(asset: str, partition: str) -> int:
    wanted = dg.AssetRecordsFilter(key(asset), asset_partitions=[partition])
    with dagster_instance() as instance:
        return len(instance.fetch_materializations(wanted, limit=100).records)


def at_work() -> list[str]:
    with dagster_instance() as instance:
        return [run.run_id for run in instance.get_runs() if not run.is_finished]


def backfills() -> list[str]:
    with dagster_instance() as instance:
        return [backfill.status.name for backfill in instance.get_backfills()]


class UI(NamedTuple):
    process: subprocess.Popen[bytes]
    address: str


@pytest.fixture(scope="module")
def scripted() -> Iterator[Endpoint]:
    """A model that is no model, of all recipes but one."""
    with Endpoint(say=various) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, scripted: Endpoint) -> Iterator[Path]:
    """A project with a recipe for each test, of 3 rows a cell."""
    with pytest.MonkeyPatch.context() as patch:
        folder = settle(tmp_path_factory.mktemp("site"), patch)
        recipe = folder / "recipes" / "reviews.yaml"
        text = recipe.read_text().replace("rows: 6", "rows: 3\nrefresh: none")
        recipe.write_text(text)
        text = re.sub("schedule: .*", f"model: {{name: scripted, base_url: {scripted.url}}}", text)
        (folder / "recipes" / "books.yaml").write_text(text)
        misread = "misread: {rows: {from: validation, by: error, top: 9}, label: any}"
        text = text.replace("{label: labels,", f"{{{misread}, label: labels,")
        (folder / "recipes" / "films.yaml").write_text(text)
        yield folder


@pytest.fixture(scope="module")
def ui(site: Path) -> Iterator[UI]:
    with serving(site) as (process, address):
        yield UI(process, address)


@pytest.fixture(scope="module")
def page(site: Path, ui: UI) -> Iterator[Page]:
    """A browser on `synth ui` of the project."""
    driver = chrome()
    try:
        yield Page(driver, ui.address, site)
    finally:
        driver.quit()
