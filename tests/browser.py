"""`synth ui` and a browser on it, as a person uses them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--window-size=1600,1000",
)


HURRIED = Path(__file__).parent / "hurried"
PATIENCE_S = 600  # what is waited for comes at once, where nothing else runs


def chrome() -> Any:
    """A browser without a window; `quit` ends it."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    return Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))


@contextmanager
def serving(project: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`synth ui` on the project, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join(filter(None, [str(HURRIED), os.environ.get("PYTHONPATH")]))
    here = {
        "SYNTH_HOME": str(project / ".synth"),
        "SYNTH_RECIPES": str(project / "recipes"),
        "PYTHONPATH": path,
    }
    command = [sys.executable, "-m", "synth_assets.cli", "ui", "--port", str(port)]
    log = project / "ui.log"
    with log.open("wb") as out:
        ui = subprocess.Popen(command, env=os.environ | here, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for_port(ui, port, log)
        yield ui, f"http://127.0.0.1:{port}"
    finally:
        ui.terminate()
        ui.wait(timeout=120)


def _wait_for_port(ui: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if ui.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"`synth ui` does not answer:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)


LAUNCH = """mutation ($given: ExecutionParams!) { launchRun(executionParams: $given) { __typename } }"""


def launch(address: str, job: str, partition: str) -> None:
    """Ask the UI's server for a run, as its pages do."""
    selector = {
        "repositoryLocationName": "synth_assets",
        "repositoryName": "__repository__",
        "jobName": job,
    }
    tags = [{"key": "dagster/partition", "value": partition}]
    given = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}}
    body = json.dumps({"query": LAUNCH, "variables": {"given": given}}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"


def descendants(pid: int) -> set[int]:
    """Ids of the processes that it started, and that those did."""
    parents = {int(stat.parent.name): int(_fields(stat)[1]) for stat in Path("/proc").glob("[0-9]*/stat")}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that has ended and is still to be taken note of is none."""
    return _fields(Path(f"/proc/{pid}/stat"))[0] not in "Z?"


def _fields(stat: Path) -> list[str]:
    """State, parent and the rest."""
    try:
        return stat.read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ["?", "0"]


def wait_until(happens: Callable[[], Any]) -> None:
    """Wait for what happens by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.2)


class Page:
    """The browser in a person's words. Everything waits; what never happens fails with a screenshot."""

    def __init__(self, driver: Any, address: str, pictures: Path) -> None:
        self._driver, self._address, self._pictures = driver, address, pictures

    def open(self, path: str) -> None:
        self._driver.get(self._address + path)

    def leave(self) -> None:
        """To an empty page: one on which something turns takes half a processor."""
        self._driver.get("about:blank")

    def shows_after_opening(self, path: str, text: str) -> bool:
        self.open(path)
        end = time.monotonic() + 15
        while time.monotonic() < end:
            if text in self._driver.execute_script("return document.body.innerText"):
                return True
            time.sleep(0.2)
        return False

    def see(self, *texts: str) -> None:
        def unseen() -> list[str]:
            shown = self._driver.execute_script("return document.body.innerText")
            return [text for text in texts if text not in shown]

        self.wait(lambda: not unseen(), f"{texts} to be shown")

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

    def write(self, xpath: str, text: str) -> None:
        """Write into the first field that is there, in the place of what it says, and leave it."""
        from selenium.webdriver import Keys

        def written() -> bool:
            self.click(xpath)
            field = self._driver.switch_to.active_element
            field.send_keys(Keys.CONTROL + "a" + Keys.NULL, text, Keys.ENTER, Keys.TAB)
            time.sleep(1)  # a page that still loads empties it
            return field.get_attribute("value") == text

        self.wait(written, f"{text} to be taken at {xpath}")

    def widths_of_plots(self) -> list[int]:
        """Widths in pixels of the drawn pictures that the page itself contains; 0 is a broken one."""
        plots = "[...document.querySelectorAll('[role=dialog] img[src^=\"data:image/png\"]')]"
        return self._driver.execute_script(f"return {plots}.map(image => image.naturalWidth)")

    def wait(self, happens: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not happens():
            if time.monotonic() > deadline:
                picture = self._pictures / "failure.png"
                self._driver.save_screenshot(str(picture))
                pytest.fail(f"waited {PATIENCE_S} s for {what} at {self._driver.current_url}; see {picture}")
            time.sleep(0.2)
