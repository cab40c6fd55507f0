"""What a set teaches a model that is shown rows of it, and what rows are against the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.cli import main
from synth_assets.evaluation.in_context import shown
from synth_assets.evaluation.task_metrics import BY_NAME, program, right, score, taught, truth
from synth_assets.recipe.load import load
from synth_assets.resources.home import warehouse
from synth_assets.resources.sandbox.python import run_many
from synth_assets.stages.run import passes
from tests.endpoint import Endpoint

ROUND = "2026-11-21"
RECIPE = """
task: {text: question}
seeds: {file: seeds.csv, text: question, fields: [answer], splits: {demonstration: 6, test: 8}}
conditions: {rule: [one, two]}
design: balanced
steps:
  pair: {prompt: "Write a question by rule {{ rule }}.", output: {question: text, answer: text, sure: text}}
  text: {tool: compose, input: "{{ pair.question }}", fields: {answer: pair.answer, sure: pair.sure}}
rows: 12
filters: {words: {between: [2, 5]}}
metrics:
  truth: {answer: {column: sure, by: exact_match}, sure: {column: answer}}
  in_context:
    complete: |
      {% for d in demonstrations %}
      {{ d.text }} => {{ d.answer }}
      {% endfor %}
      {{ text }} =>
    answer: answer
    by: exact_match
    k: 2
    stop: ["\\n"]
"""


def knows(body: dict[str, Any]) -> str:
    """Writes pairs, long and wrong ones by rule two. Writes a word in capitals if all the answers that it is
    shown are."""
    prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    if "by rule" in prompt:
        word, long = f"word{body['seed'] % 10_000}", "rule two" in prompt
        asked = f"capitals {'of all the many letters ' * long}of {word}"
        answer = "unsure" if long else word.upper()
        return json.dumps({"question": asked, "answer": answer, "sure": word.upper()})
    *lines, asked = prompt.strip().splitlines()
    answers = [line.rpartition("=> ")[2] for line in lines]
    word = asked.removesuffix(" =>").rpartition(" ")[2]
    return word.upper() if answers and all(map(str.isupper, answers)) else "unsure"


@pytest.fixture
def questions(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    words = [f"seed{n}" for n in range(14)]
    lines = ["question,answer", *(f"capitals of {w},{w.upper()}" for w in words)]
    (project / "seeds.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (project / "recipes" / "capitals.yaml").write_text(RECIPE, encoding="utf-8")
    with Endpoint(say=knows) as served:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        yield served


def test_a_set_is_worth_what_a_model_answers_when_it_is_shown_its_rows(
    questions: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    assert main(["plan", "capitals", "--round", ROUND]) == 0
    out = capsys.readouterr().out
    assert "44 calls to make" in out  # 12 rows, and 8 test rows with each of 4 sets
    assert "metrics (in context)" in out
    assert main(["run", "capitals", "--round", ROUND]) == 0
    out = capsys.readouterr().out
    assert len(questions.requests) == 44
    assert "when shown" in out

    told = metrics("in_context_exact_match")
    assert (told["no rows"], told["seeds"], told["filtered"]) == (0, 1, 1)
    assert 0 <= told["generations"] < 1  # half of what it is shown is wrong
    gains = metrics("in_context_gain")
    assert gains["filtered"] == 0
    assert gains["no rows"] == -1
    assert gains["generations"] == told["generations"] - 1

    assert main(["plan", "capitals", "--round", ROUND]) == 0
    assert "0 calls to make, 44 answered by the log" in capsys.readouterr().out


def test_rows_are_held_against_the_truth_before_and_after_the_filters(questions: Endpoint) -> None:
    assert main(["run", "capitals", "--round", ROUND]) == 0
    told = metrics("truth_exact_match")
    assert told == {"answer of generations": 0.5, "answer of filtered": 1.0}
    assert set(metrics("truth_accuracy")) == set(metrics("truth_kappa"))


def test_an_edit_of_what_is_asked_makes_the_metrics_stale_and_nothing_else(questions: Endpoint) -> None:
    path = Path("recipes/capitals.yaml")
    before = load(path)
    path.write_text(RECIPE.replace("k: 2", "k: 1"), encoding="utf-8")
    after = load(path)
    assert after.version("metrics") != before.version("metrics")
    assert after.version("filters", "labels", "seeds") == before.version("filters", "labels", "seeds")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("answer: answer\n", "answer: anser\n", "Did you mean 'answer'?"),
        ("by: exact_match\n    k", "by: exact\n    k", "exact_match"),
        ("{{ text }} =>", "{{ answer }} =>", "answer"),  # of the test row
        ("{{ d.answer }}\n", "{{ d.rule }}\n", "rule"),
        (", test: 8", "", "split test"),
        ("complete: |", "vote: |", "give one of `prompt`"),
        ("column: sure", "column: shure", "Did you mean 'sure'?"),
        ("by: exact_match}", "by: exactly}", "exact_match"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    questions: Endpoint, old: str, new: str, complaint: str, capsys: pytest.CaptureFixture
) -> None:
    assert old in RECIPE
    Path("recipes/capitals.yaml").write_text(RECIPE.replace(old, new), encoding="utf-8")
    assert main(["check", "capitals"]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert "recipes/capitals.yaml:" in error


def test_rows_of_a_set_take_turns_and_no_prompt_shows_one_twice() -> None:
    rows = pd.DataFrame({"row_id": [f"r{i}" for i in range(5)], "text": list("abcde")})
    prompts = shown(rows, 5, 2)
    assert sorted(row["text"] for prompt in prompts for row in prompt) == sorted("aabbccddee")
    assert all(prompt[0] != prompt[1] for prompt in prompts)
    assert [len(prompt) for prompt in shown(rows, 3, 9)] == [5, 5, 5]
    assert shown(rows, 5, 2, seed=1) != prompts


def test_what_is_right_is_read_as_its_metric_needs_it() -> None:
    assert right("exact_match", "a, b") == ["a, b"]
    assert right("set_f1", "Bergen (place); Ola (person)\n") == ["Bergen (place)", "Ola (person)"]
    assert right("set_f1", np.array(["Bergen", "Ola"])) == ["Bergen", "Ola"]
    assert right("solve_rate", 42) == ["42"]
    assert right("token_f1", None) is right("token_f1", float("nan")) is None


@pytest.mark.parametrize("by", BY_NAME)
def test_every_metric_takes_what_is_right_wrong_missing_and_empty(by: str) -> None:
    gold = [right(by, text) for text in ("the 42 red boats", "7 blue boats", "")]
    good = score(by, ["the 42 red boats", "7 blue boats", None], gold)
    bad = score(by, ["nothing", "", ""], gold)
    assert good.n == 2
    assert good.value is not None
    assert bad.value is not None
    assert good.value > bad.value
    assert score(by, [None, None, None], gold).why
    assert score(by, [], []).value is None


def test_a_program_passes_when_its_tests_do() -> None:
    tests = ["assert double(2) == 4", "assert double(0) == 0"]
    answers = {
        "seeds": ["```python\ndef double(n):\n    return 2 * n\n```", "def double(n): return n", None],
        "filtered": ["def double(n):\n    return n + n", "def double(n): return n * 2", "while True: pass"],
    }
    found = taught(
        "pass_at_1",
        answers,
        [tests, tests, None],
        lambda programs: [ran.reason == "ok" for ran in run_many(programs)],
    )
    values = dict(zip(zip(found["name"], found["slice"], strict=True), found["value"], strict=True))
    assert values == {
        ("in_context_pass_at_1", "seeds"): 0.5,
        ("in_context_pass_at_1", "filtered"): 1.0,
        ("in_context_gain", "filtered"): 0.5,
    }
    assert program("x = 1", ["assert x"]) == "x = 1\npass\nassert x"


def test_an_answer_passes_only_where_its_tests_were_run() -> None:
    early = [
        "exit()",
        "import os\nos._exit(0)",
        "if 0: \\",
        "else: \\",
        "import sys\n@(lambda f: sys.exit())",
    ]
    tests = ["def check():", "    assert f(2) == 4", "check()"]
    wrong, right = "def f(x): return 0", "def f(x): return 2 * x"
    answers = [*(f"{wrong}\n{end}" for end in early), wrong, right]
    assert passes([program(answer, tests) for answer in answers]) == [*[False] * 6, True]


def test_labels_are_held_against_the_truth_with_kappa() -> None:
    rows = pd.DataFrame({"said": ["a", "b", "b", None], "gold": ["a", "b", "a", "b"]})
    found = truth("label", "filtered", "said", rows, "gold").set_index("name")["value"]
    assert found["truth_accuracy"] == pytest.approx(2 / 3)
    assert found["truth_kappa"] == pytest.approx(0.4)


def test_columns_of_lists_are_sets_of_their_members() -> None:
    said, gold = [np.array(["Bergen", "Ola"]), np.array(["Tarn"]), None], [np.array(["Ola", "Bergen"])] * 3
    rows = pd.DataFrame({"said": said, "gold": gold})
    (found,) = truth("set_f1", "filtered", "said", rows, "gold").to_dict("records")
    assert (found["value"], found["n"]) == (pytest.approx(4 / 7), 2)
    assert found["slice"] == "said of filtered"


def metrics(name: str) -> dict[str, float]:
    sql = f"select slice, value from capitals.metrics where name = '{name}'"
    return dict(warehouse().query(sql).fetchall())
