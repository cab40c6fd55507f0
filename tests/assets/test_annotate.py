"""Texts of the user's own, from the plan to the export, by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.resources.home import warehouse
from tests.endpoint import Endpoint

RECIPE = """
task:
  annotate: {file: tickets.csv, text: body, fields: [ticket]}
  classify: {refund: they want money back, fault: it does not work}
  text: ticket
  label: topic
steps:
  text: {annotate: answer, prompts: 2}
model: gpt-test
metrics: {student: false, diversity: false, faithfulness: false, privacy: false}
"""


def answer(body: dict[str, Any]) -> str:
    asked = body["messages"][-1]["content"]
    return json.dumps({"topic": "refund" if "Ticket: money" in asked else "fault"})


def tickets(n: int) -> None:
    lines = ["body,ticket", *(f"{'money' if i % 2 else 'it broke'} {i},T{i}" for i in range(n))]
    Path("tickets.csv").write_text("\n".join(lines), encoding="utf-8")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_plan_is_kept_a_new_text_asks_for_itself_and_a_set_has_all(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tickets(6)
    (project / "recipes" / "tickets.yaml").write_text(RECIPE, encoding="utf-8")
    with Endpoint(say=answer) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        assert said(capsys, "plan", "tickets")["total"]["calls"] == 12
        assert main(["run", "tickets"]) == 0
        assert len(endpoint.requests) == 12
        tickets(7)
        plan = said(capsys, "plan", "tickets")
        assert plan["total"]["calls"] == 2
        assert "what stands in tickets.csv" in json.dumps(plan)
        assert main(["run", "tickets"]) == 0
        assert len(endpoint.requests) == 14
    rows = warehouse().query(
        "select text, label, ticket, l.confidence, l.entropy, label_source from tickets.labelled l "
        "join (select row_id, ticket from tickets.filtered) using (row_id) order by text"
    )
    found = rows.fetchall()
    assert len(found) == 7
    assert found[0] == ("it broke 0", "fault", "T0", 1.0, 0.0, "annotator")
    assert {text.partition(" ")[0] for text, label, *_ in found if label == "refund"} == {"money"}
    assert main(["export", "tickets", "--to", "set"]) == 0
    card = (project / "set" / "README.md").read_text(encoding="utf-8")
    assert "7 rows: ticket, with topic; 7 texts of the user's own, annotated by a model" in card
    assert "written by a language model" not in card
