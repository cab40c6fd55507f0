"""The whole loop: a round, people who decide, and what is made again of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.contracts.decision import Decision
from synth_assets.resources.home import decisions
from tests.assets.test_round import ROUND, ask
from tests.conftest import QUICK
from tests.endpoint import Endpoint
from tests.test_docs import examples


def test_decisions_are_labels_and_metrics_and_nothing_is_paid_again(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("rows: 6", f"{QUICK.replace('rows: 6', 'rows: 12')}\nreview: {{agreement: {{at_least: 0.6}}}}")
    assert main(["run", "reviews", "--round", ROUND]) == 0
    asked = len(endpoint.requests)
    assert ask("select count(*) from reviews.reviews") == [(0,)]
    assert main(["export", "reviews", "--to", "set"]) == 2
    assert "is not released: Nobody has said whether the labels are right" in capsys.readouterr().err

    rows = ask("select row_id, label from reviews.labelled order by 1")
    other = {"negative": "positive", "positive": "negative"}
    said = [
        Decision(f"d{n}", "reviews", row, ROUND, "ann", "label", label if n else other[label], **drawn)
        for n, (row, label) in enumerate(rows[:20])
        for drawn in [{"draw": "random", "probability": 20 / len(rows)} if n < 16 else {}]
    ]
    assert decisions().append(*said) == 20
    before = made_at()
    capsys.readouterr()
    assert main(["plan", "reviews", "--round", ROUND]) == 0
    told = capsys.readouterr().out
    assert "what people decided has changed" in told
    assert "0 calls to make" in told
    assert main(["run", "reviews", "--round", ROUND]) == 0
    again = {stage for stage, at in made_at().items() if at != before[stage]}
    assert again == {"reviews", "labelled", "weighted", "metrics"}
    assert len(endpoint.requests) == asked

    human = "select label <> machine_label, count(*) from reviews.labelled where label_source = 'human'"
    assert ask(f"{human} group by 1 order by 1") == [(False, 19), (True, 1)]
    (row,) = ask("select value, n from reviews.metrics where name = 'people_agreement'")
    assert row == (15 / 16, 16)
    assert main(["export", "reviews", "--to", "set"]) == 0
    assert "People agree with 93.8% of the labels" in json.loads(Path("set/card.json").read_text())["people"]

    for sql in examples("sql", "docs/people.md"):
        assert ask(sql.replace("movie_reviews", "reviews"))
    for line in examples("bash", "docs/people.md")[-1].splitlines():
        command = shlex.split(line.replace("movie_reviews", "reviews"), comments=True)
        assert (command[0], main(command[1:])) == ("synth", 0), line
    capsys.readouterr()
    assert main(["trace", rows[0][0]]) == 0
    assert "people\n  ann                     " in capsys.readouterr().out

    decisions().append(*said)  # a retry
    capsys.readouterr()
    assert main(["run", "reviews", "--round", ROUND]) == 0
    unchanged = "reviews 2026-11-21: filtered, rejected, reviews, labelled, weighted, metrics unchanged"
    assert unchanged in capsys.readouterr().err

    for file in Path(".synth").glob("reviews.sqlite*"):
        file.unlink()
    assert [main(["verify", "reviews", *more]) for more in ([], ["--repair"], [])] == [1, 0, 0]
    out = capsys.readouterr().out
    assert "20 decisions of people are in the lake alone: `synth verify reviews --repair` puts" in out
    assert "20 decisions of people are back from the lake" in out
    assert len(decisions().current("reviews")) == 20


def made_at() -> dict[str, int]:
    """Stage -> when its file was written last."""
    files = Path(".synth/lake/reviews").rglob("part.parquet")
    found: dict[str, int] = {}
    for file in files:
        stage = file.relative_to(".synth/lake/reviews").parts[0]
        found[stage] = max(found.get(stage, 0), file.stat().st_mtime_ns)
    return {stage: at for stage, at in found.items() if stage not in ("calls", "feedback", "weighted.parts")}
