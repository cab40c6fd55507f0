"""The Dagster UI as a user has it: `synth ui`, a browser, and one cell of a round made by clicking."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_assets.assets.in_process import dagster_instance
from synth_assets.core.days import today
from synth_assets.partitions import cell_key

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no chromium and chromedriver on the PATH: apt-get install chromium chromium-driver",
    ),
]

MADE_BY_CELL = ("conditions", "generations", "scores")
STAGES = ("seeds", *MADE_BY_CELL, "filtered", "rejected", "labelled", "weighted", "metrics", "feedback")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--window-size=1600,1000",
)


def test_a_user_makes_one_cell_of_a_round_by_clicking(page: Page, edit: Callable[[str, str], Path]) -> None:
    round_ = today("UTC")
    page.open("/locations/synth_assets/asset-groups/reviews")
    page.see(*STAGES, seconds=60)

    page.open("/automation")
    page.see("reviews_nightly", "At 02:00 AM UTC", "reviews_follow")

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

    page.open("/assets/reviews/plan")
    page.click("//button[contains(., 'Materialize')]")
    page.click("//*[@role = 'dialog']//button[. = 'Latest']")
    page.click("//*[@role = 'dialog']//button[. = 'Launch 1 run']")
    page.wait(lambda: plan_of(round_), "the plan to be made", seconds=60)
    page.open(f"/assets/reviews/plan?view=partitions&partition={round_}")
    page.see("calls", "from_log", "[Show Markdown]")

    cell = f"/assets/reviews/conditions?view=partitions&partition=negative|{round_}"
    page.open(cell)
    page.see("Materialized")
    edit("the reviewer did not like it", "the reviewer hated it")
    page.open("/locations")
    page.click("//button[. = 'Reload']")
    page.wait(lambda: page.shows_after_opening(cell, "Unsynced (1)"), "the reload to be over", seconds=60)
    page.click("//*[contains(text(), 'Unsynced')]")
    page.see("has a new code version")


def plan_of(round_: str) -> bool:
    with dagster_instance() as instance:
        return round_ in instance.get_materialized_partitions(dg.AssetKey(["reviews", "plan"]))


class Page:
    """The browser in a person's words. Everything waits; what never happens fails with a screenshot."""

    def __init__(self, driver: Any, address: str, pictures: Path) -> None:
        self._driver, self._address, self._pictures = driver, address, pictures

    def open(self, path: str) -> None:
        self._driver.get(self._address + path)

    def shows_after_opening(self, path: str, text: str, seconds: float = 5) -> bool:
        self.open(path)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in self._driver.execute_script("return document.body.innerText"):
                return True
            time.sleep(0.2)
        return False

    def see(self, *texts: str, seconds: float = 30) -> None:
        def unseen() -> list[str]:
            shown = self._driver.execute_script("return document.body.innerText")
            return [text for text in texts if text not in shown]

        self.wait(lambda: not unseen(), f"{texts} to be shown", seconds)

    def click(self, xpath: str) -> None:
        """Click the first visible element that is there and enabled."""
        from selenium.common.exceptions import WebDriverException

        def clicked() -> bool:
            for element in self._driver.find_elements("xpath", xpath):
                with suppress(WebDriverException):  # it moved or went while the page loads: look again
                    if element.is_displayed() and element.is_enabled():
                        element.click()
                        return True
            return False

        self.wait(clicked, f"something to click at {xpath}")

    def widths_of_plots(self) -> list[int]:
        """Widths in pixels of the drawn pictures that the page itself contains; 0 is a broken one."""
        plots = "[...document.querySelectorAll('[role=dialog] img[src^=\"data:image/png\"]')]"
        return self._driver.execute_script(f"return {plots}.map(image => image.naturalWidth)")

    def wait(self, happens: Callable[[], Any], what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not happens():
            if time.monotonic() > deadline:
                picture = self._pictures / "failure.png"
                self._driver.save_screenshot(str(picture))
                pytest.fail(f"waited {seconds:g} s for {what} at {self._driver.current_url}; see {picture}")
            time.sleep(0.2)


@pytest.fixture
def page(address: str, tmp_path: Path) -> Iterator[Page]:
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    try:
        yield Page(driver, address, tmp_path)
    finally:
        driver.quit()


@pytest.fixture
def address(project: Path, edit: Callable[[str, str], Path]) -> Iterator[str]:
    """`synth ui` on the project, with 3 rows a cell. All that it started ends with the test."""
    edit("rows: 6", "rows: 3\nrefresh: none")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = {"SYNTH_HOME": str(project / ".synth"), "SYNTH_RECIPES": str(project / "recipes")}
    command = [sys.executable, "-m", "synth_assets.cli", "ui", "--port", str(port)]
    log = project / "ui.log"
    with log.open("wb") as out:
        ui = subprocess.Popen(command, env=os.environ | here, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for_port(ui, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(ui)
        for server in (project / ".synth" / "server").glob("*/server.json"):  # it has a session of its own
            with suppress(ProcessLookupError):
                os.kill(json.loads(server.read_text())["pid"], signal.SIGTERM)


def _wait_for_port(ui: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if ui.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"`synth ui` does not answer:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)


def _end(ui: subprocess.Popen[bytes]) -> None:
    """The whole process group: politely, then not."""
    for polite in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(ui.pid, polite)
        with suppress(subprocess.TimeoutExpired):
            ui.wait(timeout=10)
