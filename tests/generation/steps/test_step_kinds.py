"""Steps that are no single prompt: tools, votes, dialogues, and samples in the middle of a chain."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.table import design
from synth_assets.generation.steps import chain
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import warehouse
from synth_assets.resources.sandbox import tools
from synth_assets.stages import tables
from synth_assets.stages.generations import check_steps
from synth_assets.stages.seeds import seed_rows
from tests.conftest import RECIPE
from tests.endpoint import Endpoint
from tests.generation.test_generation import ROUND, Said, Scripted
from tests.test_docs import examples


@pytest.fixture
def with_steps(project: Path) -> Callable[..., Recipe]:
    """The recipe with these steps."""

    def write(steps: str, more: str = "") -> Recipe:
        head, rest = RECIPE.replace("SEEDS", str(project / "seeds.csv")).split("steps:\n")
        rest = rest[rest.index("rows: 6") :] + "metrics: {student: false, diversity: false}\n"
        path = project / "recipes" / "reviews.yaml"
        path.write_text(f"{head}steps:\n{steps}{rest}{more}", encoding="utf-8")
        return load(path)

    return write


def run(recipe: Recipe, rows: int, **models: Scripted) -> dict[str, pd.DataFrame]:
    """The rows of each step, by way of its table. `models` by step; `NAME_user` plays the user."""
    seeds, made = seed_rows(recipe), dict[str, pd.DataFrame]()
    conditions = design(recipe, seeds, round_=ROUND, cell="negative", rows=rows)
    for stage, name in recipe.step_stages.items():
        asked, user = models.get(name), models.get(f"{name}_user")
        found = chain.run(recipe, stage, conditions, seeds, asked, made, tools.run, user)
        made[stage] = tables.to_arrow(recipe, stage, found.assign(model=None)).to_pandas()
    return {stage: table.astype(object).where(table.notna(), None) for stage, table in made.items()}


def scripted(*answers: str | Said) -> Scripted:
    return Scripted([Said(a) if isinstance(a, str) else a for a in answers], api="chat")


# ---- tools


def test_an_attack_is_a_rejected_row_and_the_rows_beside_it_go_on(with_steps: Callable[..., Recipe]) -> None:
    recipe = with_steps(
        '  program: "Write a program about {{ tone }}."\n'
        '  result: {tool: python, input: "{{ program }}", timeout_s: 4, memory_mib: 256}\n'
        '  text: {tool: compose, input: "It prints {{ result }}."}\n'
    )
    attacks = ["print(open('/etc/passwd').read())", "import time; time.sleep(60)", "1 / 0", "x = 1"]
    made = run(recipe, 6, program=scripted("print(6 * 7)", *attacks, "print('last')"))
    reasons = [None, "forbidden", "timed_out", "error", "empty", None]
    assert made["generations_result"]["reason"].tolist() == reasons
    assert made["generations"]["reason"].tolist() == reasons
    assert set(made["generations"]["stage"].dropna()) == {"generations_result"}
    assert "division by zero" in made["generations"]["error"][3]
    assert made["generations"]["text"][made["generations"]["accepted"].astype(bool)].tolist() == [
        "It prints 42.",
        "It prints last.",
    ]


def shout(text: str) -> Any:
    return text.upper() if text != "nothing" else None


@pytest.mark.parametrize(
    ("tool", "said", "text", "error"),
    [
        ("calculate", "2 * (1,000 + 0.5)", "2001", None),
        ("calculate", "2 * two", None, "cannot be calculated"),
        ("final_answer", "So it is\n#### $1,200.00", "1200", None),
        ("final_answer", "I do not know", None, "no final answer"),
        ("normalise", "The Cat!", "cat", None),
        ("entities", "to Paris", '[{"kind": "name", "text": "Paris", "start": 3}]', None),
        (f"function, function: '{__name__}:shout'", "aloud", "ALOUD", None),
        (
            f"function, function: '{__name__}:shout'",
            "nothing",
            None,
            "gave a NoneType",
        ),
    ],
)
def test_a_tool_makes_the_text_or_says_why_not(
    with_steps: Callable[..., Recipe], tool: str, said: str, text: str | None, error: str | None
) -> None:
    recipe = with_steps(f'  draft: "Go."\n  text: {{tool: {tool}, input: "{{{{ draft }}}}"}}\n')
    (row,) = run(recipe, 1, draft=scripted(said))["generations"].to_dict("records")
    assert (row["accepted"], row["text"], row["reason"]) == (text is not None, text, error and "error")
    assert (error or "") in (row["error"] or "")


def test_a_passage_is_retrieved_for_a_question(with_steps: Callable[..., Recipe], tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("The Nile flows north.\nThe Alps are high.\nLisbon lies on the Tagus.\n")
    tool = f'{{tool: retrieve, input: "{{{{ draft }}}}", file: {corpus}, k: 1}}'
    recipe = with_steps(f'  draft: "Go."\n  text: {tool}\n')
    made = run(recipe, 2, draft=scripted("Where does the Nile flow?", "xyz"))["generations"]
    assert made["text"].tolist() == ["The Nile flows north.", None]
    assert made["reason"].tolist() == [None, "empty"]


def test_fields_of_an_answer_become_columns_of_the_composed_row(with_steps: Callable[..., Recipe]) -> None:
    recipe = with_steps(
        '  draft: "Go."\n'
        '  judge: {prompt: "Rate {{ draft }}", output: {rating: integer, tags: [text]}}\n'
        '  text: {tool: compose, input: "{{ draft }}", fields: {stars: judge.rating, tags: judge.tags}}\n'
    )
    judged = scripted('{"rating": 4, "tags": ["a"]}', '{"rating": 0, "tags": []}')
    table = run(recipe, 2, draft=scripted("a text"), judge=judged)["generations"]
    assert table["stars"].tolist() == [4, 0]
    assert [list(tags) for tags in table["tags"]] == [["a"], []]
    assert tables.columns(recipe, "filtered")["stars"] == "int64"


# ---- samples and votes


def test_rows_of_a_question_share_what_was_answered_before_they_part(
    with_steps: Callable[..., Recipe],
) -> None:
    steps = '  plan: "Plan it {{ tone }}."\n  text: {prompt: "Do {{ plan }}", samples: 3}\n'
    recipe = with_steps(steps)
    first, second = scripted("one", "two", "three"), scripted("a", "b", "c", "d", "e", "f", "g")
    made = run(recipe, 7, plan=first, text=second)
    assert first.replicates == [f"{ROUND}/negative/{n}/plan" for n in (0, 3, 6)]
    assert made["generations_plan"]["text"].tolist() == ["one"] * 3 + ["two"] * 3 + ["three"]
    assert [m[-1]["content"] for m in second.asked] == ["Do one"] * 3 + ["Do two"] * 3 + ["Do three"]
    assert second.replicates == [f"{ROUND}/negative/{n}" for n in range(7)]
    plain = with_steps(steps.replace(", samples: 3", ""))
    assert plain.version("steps.text") == recipe.version("steps.text")
    assert plain.version("steps.plan") != recipe.version("steps.plan")


def test_what_a_shared_step_drops_is_dropped_for_all_rows_of_the_question(
    with_steps: Callable[..., Recipe],
) -> None:
    recipe = with_steps('  plan: "Plan it."\n  text: {prompt: "Do {{ plan }}", samples: 2}\n')
    made = run(recipe, 4, plan=scripted(Said(None, "refused"), "two"), text=scripted("done"))
    assert made["generations"]["reason"].tolist() == ["refused", "refused", None, None]


@pytest.fixture
def database(project: Path) -> Path:
    path = project / "numbers.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT 1 AS n UNION SELECT 2 UNION SELECT 3")
    return path


VOTE = """  query: {prompt: "Write SQL.", samples: 4}
  result: {tool: sql, input: "{{ query }}", file: numbers.db}
  text: {vote: "{{ result }}", at_least: 2}
"""


def test_of_the_samples_of_a_question_one_of_the_largest_group_of_equal_results_goes_on(
    with_steps: Callable[..., Recipe], database: Path
) -> None:
    right, wrong = "SELECT n FROM numbers WHERE n > 1", "SELECT 2"
    backwards = "SELECT n FROM numbers WHERE n > 1 ORDER BY n DESC"
    queries = [wrong, right, "DROP TABLE numbers", backwards, "SELECT 1", "SELECT 2", "SELECT 3", "SELEC"]
    table = run(with_steps(VOTE), 8, query=scripted(*queries))["generations"]
    assert table["reason"].tolist() == [
        *("outvoted", None, "forbidden", "outvoted"),
        *("no_majority", "no_majority", "no_majority", "error"),
    ]
    assert (table["text"][1], table["votes"][1]) == ("[[2],[3]]", 2)
    assert table["error"][0] == "1 votes, the winner has 2"
    in_order = VOTE.replace("file:", "ordered: true, file:")
    ordered = run(with_steps(in_order), 4, query=scripted(right, backwards))["generations"]
    assert ordered["text"][0] == "[[2],[3]]"
    assert ordered["votes"][0] == 2
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (3,)


def test_an_edit_of_a_tool_or_its_file_concerns_its_stage_alone(
    with_steps: Callable[..., Recipe], database: Path
) -> None:
    sections = ["samples", "steps.query", "steps.result", "steps.text"]

    def versions(steps: str) -> dict[str, str]:
        recipe = with_steps(steps)
        return {section: recipe.version(section) for section in sections}

    def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
        return [s for s in sections if before[s] != after[s]]

    before = versions(VOTE)
    assert changed(before, versions(VOTE.replace("file:", "timeout_s: 1, file:"))) == ["steps.result"]
    assert changed(before, versions(VOTE.replace("least: 2", "least: 3"))) == ["steps.text"]
    assert changed(before, versions(VOTE.replace("samples: 4", "samples: 5"))) == ["samples", "steps.text"]
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO numbers VALUES (4)")
    assert changed(before, versions(VOTE)) == ["steps.result"]


# ---- dialogues

TALK = """  text:
    turns: {between: [2, 4]}
    user: "{{ turn }}: {{ history | map(attribute='text') | join(' / ') }}"
    assistant: "Answer a {{ tone }} customer."
"""


def test_a_dialogue_alternates_and_each_turn_knows_all_turns_before(
    with_steps: Callable[..., Recipe],
) -> None:
    user, assistant = (Scripted([Said(f"{who}{n}") for n in range(50)], api="chat") for who in "ua")
    made = run(with_steps(TALK), 8, text=assistant, text_user=user)["generations"]
    rounds = [len(turns) // 2 for turns in made["turns"]]
    assert set(rounds) == {2, 3, 4}
    assert list(made["turns"][0][:2]) == ["u0", "a0"]
    assert made["text"][0].startswith("User: u0\nAssistant: a0\nUser: ")
    assert len(user.asked) == len(assistant.asked) == sum(rounds)
    assert user.asked[0] == [{"role": "user", "content": "1:"}]
    assert user.asked[8 + 3][0]["content"] == "2: u3 / a3"
    assert [m["role"] for m in assistant.asked[8 + 3]] == ["system", "user", "assistant", "user"]
    assert [m["content"] for m in assistant.asked[8 + 3]][1:] == ["u3", "a3", "u3"]
    assert assistant.asked[8 + 3][0]["content"].startswith("Answer a")
    assert [r.rpartition("/")[2] for r in user.replicates] == [
        *["1"] * 8,
        *["2"] * 8,
        *["3"] * sum(n > 2 for n in rounds),
        *["4"] * sum(n > 3 for n in rounds),
    ]


def test_a_model_that_completes_goes_on_with_the_dialogue_line_by_line(
    with_steps: Callable[..., Recipe],
) -> None:
    user, model = (Scripted([Said(text)], api="completions") for text in ("hello\nAssistant: more", "hi"))
    made = run(with_steps(TALK.replace("[2, 4]", "[1, 1]")), 1, text=model, text_user=user)["generations"]
    assert made["text"].tolist() == ["User: hello\nAssistant: hi"]
    assert model.asked[0][0]["content"].endswith("User: hello\nAssistant:")


def test_a_dialogue_whose_turn_fails_is_rejected_alone(with_steps: Callable[..., Recipe]) -> None:
    recipe = with_steps(TALK.replace("[2, 4]", "[2, 2]"))
    answers = scripted("fine", "good", Said(None, "refused", error="no"))
    made = run(recipe, 3, text=answers, text_user=scripted("hello"))["generations"]
    assert made["reason"].tolist() == [None, None, "refused"]
    assert made["text"][2] == "User: hello"
    assert (made["error"][2], made["turns"][2]) == ("no", None)
    assert len(answers.asked) == 5


def test_a_turn_of_which_no_prompt_can_be_made_fails_its_row(with_steps: Callable[..., Recipe]) -> None:
    asks = "{% if history and history[1].text == 'odd' %}{{ history[9].text }}{% endif %}hello"
    talk = TALK.replace("[2, 4]", "[2, 2]").replace("{{ turn }}: ", asks)
    made = run(with_steps(talk), 2, text=scripted("odd", "fine"), text_user=scripted("hello"))["generations"]
    assert made["reason"].tolist() == ["no_prompt", None]


# ---- what is refused


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("{tool: pyton, input: x}", r"text\.tool: unknown tool 'pyton'\. Did you mean 'python'"),
        ("{tool: python, inptu: x}", r"text\.inptu: unknown field 'inptu'\. Did you mean 'input'"),
        ("{tool: python, input: x, file: a.db}", r"text\.file: unknown setting of python 'file'.*timeout_s"),
        ("{tool: sql, input: x}", r"text\.tool: sql needs `file`"),
        ("{tool: sql, input: x, file: none.db}", r"none\.db: no such data base file"),
        (
            "{tool: function, input: x, function: 'json:lods'}",
            r"unknown function 'lods'\. Did you mean 'loads'",
        ),
        ("{tool: compose, input: x, prompt: y}", r"steps\.text: give exactly one of `prompt`"),
        ("{tool: compose, input: '{{ drat }}'}", r"steps\.text: unknown field in the prompt 'drat'"),
        ("{tool: compose, input: x, fields: {a: draft.b}}", r"text\.fields\.a: unknown field of an earlier"),
        ("{vote: x}", r"steps\.text: a vote is of several rows: give a step before it `samples`"),
        ("{vote: x, at_lest: 2}", r"text\.at_lest: unknown field 'at_lest'\. Did you mean 'at_least'"),
        ("{turns: {between: [3, 2]}, user: x, assistant: y}", r"text\.turns\.between: the smaller number"),
        (
            "{turns: 2, user: '{{ histry }}', assistant: y}",
            r"unknown field in the prompt 'histry'.*'history'",
        ),
    ],
)
def test_what_is_wrong_in_a_step_is_refused(
    with_steps: Callable[..., Recipe], steps: str, message: str
) -> None:
    with pytest.raises(UserError) as refused:
        check_steps(with_steps(f"  draft: Go.\n  text: {steps}\n"))
    assert re.search(message, str(refused.value)), refused.value


def test_a_dialogue_does_not_go_through_batches(with_steps: Callable[..., Recipe]) -> None:
    with pytest.raises(UserError, match=r"steps\.text: a round takes a batch of its own"):
        with_steps(TALK, "mode: batch\n")


@pytest.mark.parametrize("steps", [e for e in examples("yaml", "docs/recipes.md") if e.startswith("steps:")])
def test_the_steps_of_the_guide_are_right(with_steps: Callable[..., Recipe], steps: str) -> None:
    chain.check(with_steps(steps.removeprefix("steps:\n")))


# ---- a round


def player(body: dict[str, Any]) -> str:
    """Answers by what the prompt begins with; solutions of one problem differ by their seed."""
    asked = body["messages"][-1]["content"]
    if body["messages"][0]["role"] == "system":
        return f"reply {len(body['messages'])}"
    return (
        f"solution\n#### {body['seed'] % 2}" if asked.startswith("Solve") else f"{asked[:5]} {body['seed']}"
    )


ROUND_TRIP = """  problem: "Problem for {{ tone }} people."
  solution: {prompt: "Solve {{ problem }}", samples: 3}
  value: {tool: final_answer, input: "{{ solution }}"}
  chosen: {vote: "{{ value }}", at_least: 2}
  text:
    turns: 2
    user: "Ask about {{ chosen }} {{ turn }}"
    assistant: "You know {{ problem }}"
    user_model: guest
"""


def test_a_round_pays_what_the_plan_says_and_nothing_twice(
    with_steps: Callable[..., Recipe],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """Two cells of two questions: a problem, three solutions and a dialogue of four turns each."""

    def planned() -> dict[str, Any]:
        capsys.readouterr()
        assert main(["plan", "reviews", "--round", ROUND, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    with Endpoint(say=player) as host, Endpoint(say=player) as guest:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", host.url)
        (project / "models.yaml").write_text(f"guest: {{name: guest, base_url: {guest.url}}}\n")
        with_steps(ROUND_TRIP)
        assert main(["check", "reviews"]) == 0
        shown = capsys.readouterr().out
        assert "tool         final_answer (step value)" in shown
        assert "model        guest at" in shown
        assert planned()["total"]["calls"] == 4 + 12 + 16
        assert main(["run", "reviews", "--round", ROUND]) == 0
        assert (len(host.requests), len(guest.requests)) == (4 + 12 + 8, 8)
        after = planned()
        assert (after["total"]["calls"], after["total"]["from_log"]) == (0, 32)
        assert {line["state"] for line in after["lines"]} == {"unchanged"}
    sql = warehouse().query
    calls = sql("select used_by, count(*) from reviews.calls group by 1 order by 1").fetchall()
    assert calls == [("generations", 16), ("generations_problem", 4), ("generations_solution", 12)]
    kept = sql("select row_id, len(turns) from reviews.filtered").fetchall()
    assert [turns for _, turns in kept] == [4] * 4
    capsys.readouterr()
    assert main(["verify"]) == 0
    assert main(["trace", kept[0][0]]) == 0
    assert "Solve Probl" in capsys.readouterr().out
    assert sql("select count(*) from reviews.rejected where scorer = 'outvoted'").fetchall() == [(8,)]
