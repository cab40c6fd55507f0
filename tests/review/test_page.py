"""The review page in a browser: what a person does is stored once, whatever happens in between."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.resources import home
from tests.browser import chrome
from tests.conftest import settle
from tests.review import killed
from tests.review.made_up import LABELS, SPANS, desk, recipe, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no chromium and chromedriver on the PATH: apt-get install chromium chromium-driver",
    ),
]

TEXTS = [f"This is review number {n}, and it is neither long nor short." for n in range(40)]
HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">ab\u202ecd"
# as WebDriver has them
ENTER, BACKSPACE, CONTROL, LEFT, RIGHT = "\ue007", "\ue003", "\ue009", "\ue012", "\ue014"
SHOWN = "return document.getElementById('main').dataset.row"


class Browser:
    """A person's keys and eyes."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.complaints()  # of the page before
        self.driver.get(address)

    @property
    def row(self) -> str:
        return self.driver.execute_script(SHOWN)

    def sees(self, text: str) -> bool:
        return text in self.driver.execute_script("return document.body.innerText")

    def press(self, *keys: str, held: str = "") -> None:
        from selenium.webdriver import ActionChains

        actions = ActionChains(self.driver)
        if held:
            actions.key_down(held).send_keys(*keys).key_up(held).perform()
        else:
            actions.send_keys(*keys).perform()

    def answer(self, key: str) -> str:
        """Press it, and wait for the next row; the row that was answered."""
        row = self.row
        self.press(key)
        wait(lambda: self.row != row, "the next row")
        return row

    def complaints(self) -> list[str]:
        """What the browser has to say of the page: what it did not allow, what did not load."""
        return [each["message"] for each in self.driver.get_log("browser")]


def wait(happens: Callable[[], Any], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver = chrome()
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return settle(tmp_path, monkeypatch)


def labels() -> dict[str, Any]:
    """What holds: row -> label."""
    return {each.row_id: each.value for each in home.decisions().current("reviews") if each.kind == "label"}


def test_thirty_rows_by_the_keyboard_with_undo_edit_and_reload(here: Path, browser: Browser) -> None:
    with serving(desk(recipe(), TEXTS)) as address:
        browser.open(address)
        said = {}
        for n in range(30):
            key = "12"[n % 2]
            said[browser.answer(key)] = ["negative", "positive"][n % 2]
            if n == 10:  # back over two rows, and answered otherwise
                browser.answer("u")
                browser.answer("u")
                said |= {browser.answer("2"): "positive", browser.answer("2"): "positive"}
            if n == 15:
                row = browser.row
                browser.press("e")
                browser.press(" Really.")
                browser.press(ENTER, held=CONTROL)
                wait(lambda: browser.sees("The new text is stored"), "the text to be stored")
                assert browser.row == row
                assert browser.sees("nor short. Really.")
            if n == 20:
                row = browser.row
                browser.driver.refresh()
                assert browser.row == row
        assert labels() == said
        assert len(said) == 30
        assert browser.sees("30 answered, 10 left")
        texts = [each for each in home.decisions().all("reviews") if each.kind == "text"]
        assert len(texts) == 1
        assert texts[0].value.endswith("nor short. Really.")
        assert all(each.seconds and each.seconds < 20 for each in home.decisions().all("reviews"))
        assert browser.complaints() == []


def test_two_windows_on_one_row_and_two_browsers_on_one_queue(here: Path, browser: Browser) -> None:
    with serving(desk(recipe(), TEXTS)) as address:
        browser.open(address)
        one = browser.driver.current_window_handle
        browser.driver.switch_to.new_window("tab")
        browser.open(address)  # the same browser: the same row
        row = browser.answer("1")
        browser.driver.switch_to.window(one)
        assert browser.row == row
        browser.answer("2")
        assert browser.sees("in another window (negative), which stays")
        assert labels() == {row: "negative"}
        browser.open(address.replace("127.0.0.1", "localhost"))  # cookies of its own: another browser
        mine = browser.row
        browser.driver.switch_to.window(browser.driver.window_handles[-1])
        assert browser.row != mine
        browser.answer("1")
        browser.driver.close()
        browser.driver.switch_to.window(one)
        browser.answer("1")
        assert len(labels()) == 3 == len(home.decisions().all("reviews"))


def test_a_server_that_is_killed_between_key_and_answer_loses_nothing(here: Path, browser: Browser) -> None:
    """Once before the decision is on the disk, and once behind it; the page sends it again by itself."""
    desk(recipe(), TEXTS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with killed.servers(port) as start:
        start("before")
        browser.open(f"http://127.0.0.1:{port}")
        said = {browser.answer("1"): "negative"}
        for dies, (key, label) in {"behind": ("2", "positive"), "never": ("1", "negative")}.items():
            row = browser.row
            browser.press(key)
            wait(lambda: browser.sees("Not stored yet"), "the page to say so")
            assert browser.row == row
            start(dies)
            wait(lambda: browser.row != row, "the next row")  # noqa: B023
            said[row] = label
        said[browser.answer("2")] = "positive"
    assert labels() == said
    assert len(said) == 4
    assert len(home.decisions().all("reviews")) == 4


def test_pairs_ratings_and_several_labels_by_keys(here: Path, browser: Browser) -> None:
    of = desk(recipe("{gold: 0}", LABELS), TEXTS[:2])
    with serving(of) as address:
        browser.open(address)
        browser.press("1", "2", "1")
        row = browser.answer(ENTER)
        assert [(each.row_id, each.value) for each in home.decisions().all("reviews")] == [(row, ["actors"])]


def test_spans_by_keys_and_by_the_mouse(here: Path, browser: Browser) -> None:
    """Places are counted in characters: an emoji and a sign that is shown by its name are one."""
    text = "\U0001f600\u202e Ann sings in Rome."
    with serving(desk(recipe("{gold: 0}", SPANS), [text])) as address:
        browser.open(address)
        browser.press(RIGHT, RIGHT)
        for _ in range(3):
            if browser.driver.execute_script("return getSelection().toString().trim()") == "Ann":
                break
            browser.press(RIGHT)
        browser.press("1")
        for _ in range(2):
            browser.driver.execute_script(
                "const words = document.querySelector('.text').lastChild, at = words.data.indexOf('Rome');"
                "getSelection().setBaseAndExtent(words, at - 1, words, at + 4)"
            )
            browser.press("2")  # the second time on its own place
        assert browser.sees("Rome · place")
        browser.press("1", BACKSPACE)
        assert not browser.sees("Rome · place")
        browser.press(LEFT, "2")
        browser.answer(ENTER)
    (decision,) = home.decisions().all("reviews")
    assert [(text[start:end], kind) for start, end, kind in decision.value] == [
        ("Ann", "person"),
        ("Rome", "place"),
    ]


def test_hostile_rows_stay_text_and_the_browser_has_nothing_to_complain_of(
    here: Path, browser: Browser
) -> None:
    with serving(desk(recipe(), [HOSTILE] * 2)) as address:
        browser.open(address)
        browser.answer("1")
        assert browser.sees("<script>document.title")
        assert browser.sees("U+202E")
        assert browser.driver.title.startswith("Which sentiment")
        assert (
            browser.driver.execute_script(
                "return document.querySelectorAll('article script, article img').length"
            )
            == 0
        )
        browser.press("?")
        assert browser.sees("One key stores the answer")
        assert browser.complaints() == []
