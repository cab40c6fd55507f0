"""The review page: from a key to the next text, as a browser measures it, and a queue of 100,000 rows.

    python benchmarks/review.py

Prints the median over 200 keys, the time to the first page of 100,000 rows, and to a page at their end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synth_assets.resources import home
from synth_assets.review.desk import Desk, Who
from synth_assets.review.rows import Rows
from tests.browser import chrome
from tests.conftest import settle
from tests.review.made_up import ROUND, desk, recipe, serving

KEYS, ROWS = 200, 100_000
MEASURE = """
window.took = [];
let pressed = 0;
document.addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
new MutationObserver(() => requestAnimationFrame(() => window.took.push(performance.now() - pressed)))
  .observe(document.body, { childList: true });
"""


def keys() -> list[float]:
    """Milliseconds from a key to the frame in which the next text is drawn."""
    from selenium.webdriver import ActionChains

    texts = [f"This is review number {n}: " + "neither long nor short, " * 20 for n in range(KEYS + 1)]
    driver = chrome()
    try:
        with serving(desk(recipe(), texts)) as address:
            driver.get(address)
            driver.execute_script(MEASURE)
            for n in range(KEYS):
                ActionChains(driver).send_keys("12"[n % 2]).perform()
                while driver.execute_script("return window.took.length") <= n:
                    time.sleep(0.01)
            return driver.execute_script("return window.took")
    finally:
        driver.quit()


def pages() -> dict[str, float]:
    """Seconds to the first page of a long queue, and to one behind 90,000 answers."""
    of = recipe()
    desk(of, [f"This is review number {n}, and it is neither long nor short." for n in range(ROWS)])
    start = time.perf_counter()
    opened = Desk(of, Rows(of, home.lake(), ROUND), home.decisions())
    built = time.perf_counter()
    opened.next(Who("ana", "a"))
    took = {"reading and ordering": built - start, "first page": time.perf_counter() - built}
    for name, answered in {"next, at the begin": 0, "next, behind 90,000": 90_000}.items():
        for place in islice(opened.queue.places, answered):
            opened.queue.answered(place.row_id, "ben")
        opened.next(Who("ana", "a"))
        each = []
        for _ in range(50):
            start = time.perf_counter()
            item = opened.next(Who("ana", "a"))
            assert item
            opened.queue.skipped(item.row_id, "ana")
            opened._shown.clear()
            each.append(time.perf_counter() - start)
        took[name] = median(each)
    return took


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        settle(Path(folder), patch)
        took = sorted(keys())
        print(f"key to next text: median {median(took):.0f} ms, 95 % {took[int(0.95 * len(took))]:.0f} ms")
        for name, seconds in pages().items():
            print(f"{name}: {1000 * seconds:.1f} ms")


if __name__ == "__main__":
    main()
