"""`synth try`: a few rows of a round, really asked, shown as they come, and not paid again by the round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth_assets.assets.preview import preview
from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.planning.plan import plan, totals
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.tried import html
from synth_assets.resources.home import call_log, encoder, home, lake
from tests.assets.test_round import ROUND
from tests.batch_endpoint import BatchEndpoint
from tests.endpoint import Endpoint, reviewer
from tests.gallery import recipe_like


def writer(body: dict[str, Any]) -> str:
    """A list to who asks for one, JSON by its schema, a rating to a judge, else another sentence."""
    asked = body["messages"][-1]["content"]
    if "response_format" in body:
        return json.dumps(fitting(body["response_format"]["json_schema"]["schema"], reviewer(body)))
    if "one a line" in asked:
        return "\n".join(f"- {reviewer({**body, 'seed': body['seed'] + n})}" for n in range(40))
    return "5" if "from 0 to 5" in asked else reviewer(body)


def fitting(schema: dict[str, Any], text: str) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            return {name: fitting(part, text) for name, part in schema["properties"].items()}
        case "array":
            return [fitting(schema["items"], text)]
        case "boolean":
            return True
        case "integer" | "number":
            return 1
    return text


@pytest.fixture(autouse=True)
def answers(endpoint: Endpoint) -> None:
    endpoint.say = writer


class New:
    """Nothing of the round is there yet."""

    def state(self, stage: str, cell: str | None, changed: bool | None = None) -> tuple[str, str]:
        return "new", ""

    def orphans(self) -> list[tuple[str, str]]:
        return []


def from_log(recipe: Recipe) -> int:
    """How many of the calls that the round would make are in the log."""
    return totals(plan(recipe, ROUND, lake(), call_log(), encoder(), New()))["from_log"]


def test_rows_are_shown_and_the_round_does_not_pay_them_again(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit(
        "conditions: {label: labels,",
        'conditions:\n  label: labels\n  place: {ask: "List {{ n }}.", n: 4}\n ',
    )
    edit("tone: [angry, calm, witty]}", "tone: [angry, calm, witty]")
    edit("  duplicate: {}", "  duplicate: {}\n  judge: {at_least: 4}")
    assert main(["try", "reviews", "-n", "3", "--round", ROUND]) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"round {ROUND}, cell") == 3
    assert "\n3 rows: 3 passed, but for what needs the whole set.\n" in shown
    assert "tone  " in shown
    assert "(angry):" in shown or "(calm):" in shown or "(witty):" in shown
    assert "duplicate                           needs the whole set" in shown
    assert "judge                            5  passed, wanted at least 4" in shown
    asked = len(endpoint.requests)
    assert asked == 1 + 3 + 3  # the list of places, three rows, three verdicts
    assert not (home() / "lake").exists()
    assert from_log(load(project / "recipes" / "reviews.yaml")) == asked
    assert main(["run", "reviews", "--round", ROUND, "--show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("generations negative: the ") for line in lines) == 6
    assert len(endpoint.requests) == 1 + 12 + 12
    assert call_log().count() == 25


@pytest.mark.parametrize(
    ("system", "rows"),
    [
        ("attrprompt", 3),  # values asked for, judged in other ways
        ("ultrachat", 3),  # a tree of values, dialogues
        ("constitutional_ai", 3),  # steps
        ("evol_instruct", 3),  # seeds
        ("annollm", 5),  # five samples of a question
        ("toxigen", 3),  # annotators
    ],
)
def test_what_is_asked_is_what_the_round_asks(endpoint: Endpoint, system: str, rows: int) -> None:
    recipe = recipe_like(system)
    found = list(preview(recipe, ROUND, 3))
    assert len(found) >= rows
    assert sorted(row.place for row in found) == list(range(len(found)))
    assert all(
        step.prompt for row in found if not row.reason for step in row.steps if recipe.steps[step.name].asks
    )
    assert all({v.filter for v in row.filters} in (set(), set(recipe.filters)) for row in found)
    assert from_log(recipe) == len({repr(sorted(b.items())) for b in endpoint.requests})


@pytest.mark.parametrize("system", ["symgen", "code"])
def test_tools_run_and_say_why_a_row_ends(endpoint: Endpoint, system: str) -> None:
    recipe = recipe_like(system)
    found = list(preview(recipe, ROUND, 1))
    assert len(found) == recipe.samples
    assert {row.reason for row in found} != {None}


def test_a_row_that_is_dropped_says_by_which_filter_and_why(endpoint: Endpoint, edit) -> None:
    recipe = load(edit("between: [2, 40]", "between: [30, 40]"))
    (row,) = preview(recipe, ROUND, 1)
    assert row.reason == "dropped by words"
    assert [v.words for v in row.filters] == ["dropped", "needs the whole set"]
    assert row.filters[0].why.startswith("words 7, wanted at least 30")


def test_a_filter_that_reads_vectors_or_ranks_waits_for_the_whole_set(endpoint: Endpoint, edit) -> None:
    recipe = load(edit("words: {between: [2, 40]}", "copied_meaning: {}\n  words: {top: 3}"))
    (row,) = preview(recipe, ROUND, 1)
    assert [v.why for v in row.filters] == ["needs the whole set"] * 3


def test_what_failed_is_a_row_with_its_reason(endpoint: Endpoint, project: Path) -> None:
    endpoint.finish_reason = "length"
    (row,) = preview(load(project / "recipes" / "reviews.yaml"), ROUND, 1)
    assert (row.reason, list(row.filters)) == ("truncated", [])
    assert '<td style="text-align:left;vertical-align:top">truncated</td>' in html([row])
    with pytest.raises(UserError, match="at least one"):
        next(preview(load(project / "recipes" / "reviews.yaml"), ROUND, 0))


def test_a_budget_holds_for_a_first_look_too(endpoint: Endpoint, edit) -> None:
    recipe = load(edit("rows: 6", "rows: 6\nbudget: {tokens: {round: 400}}"))
    reasons = {row.reason for row in preview(recipe, ROUND, 6)}
    assert "over_budget" in reasons
    assert len(endpoint.requests) < 6


def test_a_first_look_asks_at_once_where_rounds_go_in_batches(
    project: Path, edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("rows: 6", "rows: 6\nmode: batch")
    with BatchEndpoint(polls=9, say=writer) as provider:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        shown = list(preview(load(project / "recipes" / "reviews.yaml"), ROUND, 2))
        assert [row.steps[0].reason for row in shown] == [None, None]
        assert [path for path in provider.paths if not path.endswith("/chat/completions")] == []
