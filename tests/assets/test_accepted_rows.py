"""A round that asks for rows until enough pass: what is planned, paid and written."""

from __future__ import annotations

import json
import logging
import re
import signal
import time
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synth_assets.assets.in_process import dagster_instance
from synth_assets.assets.logged_model import LoggedRun
from synth_assets.assets.several import days
from synth_assets.cli import main
from synth_assets.core.days import today
from synth_assets.recipe.load import load
from synth_assets.report.so_far import rounds_of
from synth_assets.resources import home
from synth_assets.stages import conditions
from synth_assets.stages.seeds import seed_rows
from tests.conftest import QUICK, ROUND
from tests.endpoint import Endpoint
from tests.forked import command


def half(body: dict[str, Any]) -> str:
    """One word, or three: half of the texts pass."""
    found = sha256(json.dumps([body.get("prompt"), body["seed"]]).encode()).hexdigest()
    return f"{found[:9]} is good" if int(found, 16) % 2 else found[:9]


@pytest.fixture
def endpoint(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    rows = QUICK.replace("rows: 6", "rows: {accepted: 6, at_most: 60}")
    path = project / "recipes" / "reviews.yaml"
    path.write_text(path.read_text().replace("rows: 6", rows))
    with Endpoint(say=half) as served:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        yield served


def planned(capsys: pytest.CaptureFixture, round_: str = ROUND) -> dict[tuple[str, str | None], Any]:
    capsys.readouterr()
    assert main(["plan", "reviews", "--round", round_, "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    return {(line["stage"], line["cell"]): line for line in lines}


def test_a_round_is_what_was_planned(
    project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    lines = planned(capsys)
    made = lines["generations", "positive"]
    assert (made["fewest"], made["calls"]) == (6, 60)
    assert lines["conditions", "positive"]["why"] == "6 rows are to pass, at most 60 are asked for"
    assert lines["conditions", "positive"]["calls"] == 0
    assert endpoint.requests == []

    assert main(["run", "reviews", "--round", ROUND]) == 0
    paid, warehouse = len(endpoint.requests), home.warehouse()
    rows = warehouse.query("""
        select g.cell, count(*), count(*) filter (contains(text, ' ')),
          last(contains(text, ' ') order by replicate)
        from reviews.generations g join reviews.conditions using (row_id) group by 1 order by 1""").fetchall()
    assert [(cell, passed, last) for cell, _, passed, last in rows] == [
        ("negative", 6, True),
        ("positive", 6, True),
    ]
    assert 12 < sum(count for _, count, *_ in rows) <= paid <= 60
    assert warehouse.query("select sum(calls) from reviews.cost").fetchall() == [(paid,)]
    asked = "select distinct asset from calls where partition_key like '%positive%'"
    assert home.call_log().execute(asked) == [("reviews/generations",)]

    lines = planned(capsys, "2026-11-22")
    words = lines["conditions", "positive"]["why"]
    found = re.fullmatch(
        r"6 rows are to pass: likely (\d+) are asked for \((\d+) to (\d+)\), by the yield of the round "
        r"before; at most 60",
        words,
    )
    assert found, words
    likely, fewest, most = map(int, found.groups())
    assert 6 <= fewest < likely < most <= 60
    tokens = lines["generations", "positive"]["tokens"]
    assert tokens["value"] == pytest.approx(7 * likely)
    assert tokens["most"] > 7 * 60

    edit(project, "accepted: 6", "accepted: 8")
    line = planned(capsys)["generations", "positive"]
    assert line["from_log"] >= 6
    assert line["fewest"] <= 2 + len(rows) < line["calls"] == 60 - line["from_log"]
    edit(project, "accepted: 8, at_most: 60", "accepted: 6, at_most: 70")
    lines = planned(capsys)  # it needs none of them
    assert {line["state"] for line in lines.values()} == {"unchanged"}
    assert sum(line["calls"] for line in lines.values()) == 0


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "recipes" / "reviews.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_budget_ends_it_and_what_was_answered_is_not_paid_again(
    project: Path, endpoint: Endpoint
) -> None:
    def made() -> Any:
        recipe = load(project / "recipes" / "reviews.yaml")
        seeds, stage = seed_rows(recipe, home.lake()), conditions.stage(recipe)
        asker, place = (
            SimpleNamespace(log=logging.getLogger(), run_id="test"),
            {"round": ROUND, "cell": "positive"},
        )
        world = home.language_model(), home.encoder(), home.lake()
        run = LoggedRun(asker, recipe, stage, place, *world, made={("seeds", ""): seeds})
        found = stage.compute(run, seeds=seeds)
        return found, [verdict for verdict in run.verdicts() if not verdict.fine]

    edit(project, "minimum_yield: 0.0", "minimum_yield: 0.0\nbudget: {tokens: {round: 700}}")
    found, held = made()
    (verdict,) = found.verdicts["enough_rows"]
    assert not verdict.fine
    assert re.search(
        r"\d of 6 rows passed of \d+ asked for .* It ended there: .*700.* not paid again\.", verdict.words
    )
    assert len(held) == 1
    paid = len(endpoint.requests)
    edit(project, "round: 700", "round: 70000")
    found, held = made()
    assert found.verdicts["enough_rows"][0].fine
    assert held == []
    assert len(endpoint.requests) == len({json.dumps(body) for body in endpoint.requests}) > paid


def test_a_first_round_that_was_killed_before_it_had_a_row_is_the_first_of_so_many(
    project: Path, endpoint: Endpoint
) -> None:
    """The next day: its answers are in the log, and nothing of it in the lake."""
    yesterday = (date.fromisoformat(today("UTC")) - timedelta(days=1)).isoformat()
    endpoint.delay_s = 0.1
    process = command(["synth", "run", "reviews", "--round", yesterday], Path("run.log"))
    while len(endpoint.requests) < 3:
        assert process.poll() is None, f"it ended before it could be killed: {process.said()}"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    recipe = load(project / "recipes" / "reviews.yaml")
    assert not rounds_of(recipe, home.lake())
    with dagster_instance() as instance:
        assert days(recipe, 2, instance) == [yesterday, today("UTC")]
