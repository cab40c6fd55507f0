"""A round to review that nobody had to make, and a person at a browser without a window."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import uvicorn
from starlette.testclient import TestClient

from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.review.desk import Desk
from synth_assets.review.rows import Rows
from synth_assets.review.server import Site
from synth_assets.stages import tables

ROUND = "2026-11-21"
TASK = """
task:
  classify: {negative: the reviewer did not like it, positive: the reviewer liked it}
  text: review
  label: sentiment
"""
LABELS = """
task: {predict: {labels: topics, of: {plot: of the story, actors: of who plays}}}
"""
SPANS = """
task: {predict: {spans: marked, of: {person: a name, place: where it is}}}
"""


def recipe(section: str = "{gold: 0, double: 0}", task: str = TASK) -> Recipe:
    """In the project that a test works in."""
    path = Path("recipes/reviews.yaml")
    steps = "steps: {text: {tool: compose, input: 'a text'}}" if task == TASK else EXTRACTED[task]
    path.write_text(f"{task}{steps}\nrows: 100\nreview: {section}\n", encoding="utf-8")
    return load(path)


EXTRACTED = {
    LABELS: "steps: {text: {prompt: Write., output: {text: text, topics: [text]}}}",
    SPANS: "steps: {text: {prompt: Write., output: {text: text, marked: text}}}",
}


def write(of: Recipe, stage: str, rows: Sequence[Mapping[str, Any]], **place: str) -> None:
    """Rows of a stage; of a column that is not there nothing is known."""
    empty = tables.schema(of, stage).empty_table().to_pandas()
    frame = pd.DataFrame(rows).assign(**place).reindex(columns=empty.columns)
    home.lake().write(
        of.name, stage, place, tables.to_arrow(of, stage, frame.astype(object).where(frame.notna(), None))
    )


def desk(of: Recipe, texts: Sequence[str], label: str = "positive", **columns: Any) -> Desk:
    """Rows r0, r1, ... with these texts."""
    rows = [
        {"row_id": f"r{n}", "text": text, "label": label, "cell": label, **columns}
        for n, text in enumerate(texts)
    ]
    write(of, "filtered", rows, round=ROUND)
    return Desk(of, Rows(of, home.lake(), ROUND), home.decisions())


class Person:
    """Fills in the form of the page that they are at."""

    def __init__(self, site: Site, name: str = "", browser: Person | None = None) -> None:
        """`browser`: at another window of the same one."""
        self.client = TestClient(site.app(), "http://127.0.0.1:3100", follow_redirects=True)
        if browser:
            self.client.cookies = browser.client.cookies
        if name:
            self.client.post("/who", data={"person": name})
        self.look()

    def look(self, path: str = "/") -> str:
        return self.took(self.client.get(path))

    def took(self, response: Any) -> str:
        self.status, self.page = response.status_code, response.text
        return self.page

    def field(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        return found[1] if found else ""

    def form(self, **fields: Any) -> dict[str, Any]:
        names = ("secret", "decision_id", "row_id", "last")
        return {**{name: self.field(name) for name in names}, "seconds": "4.5", **fields}

    def send(self, **fields: Any) -> str:
        return self.took(self.client.post("/answer", data=self.form(**fields), headers={"X-Page": "1"}))

    def answers(self, *value: str, **fields: Any) -> str:
        return self.send(value=list(value), **fields)

    def undoes(self) -> str:
        return self.send(do="undo", decision_id=str(uuid4()))

    @property
    def notice(self) -> str:
        found = re.search(r'<p id="notice" role="status">(.*?)</p>', self.page, re.DOTALL)
        return found[1] if found else ""


def stored() -> list[tuple[str, str, Any]]:
    """Row, kind and value of all decisions, also those that were taken back."""
    return [(each.row_id, each.kind, each.value) for each in home.decisions().all("reviews")]


@contextmanager
def serving(of: Desk, port: int = 0) -> Iterator[str]:
    """The page of a desk, in a thread; its address."""
    listens = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(Site(of, None, "ana").app(), log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listens],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listens.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listens.close()
