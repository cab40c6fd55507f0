"""Steps with `when`: rows of which it is not true are not asked, and stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import warehouse
from synth_assets.stages.generations import check_steps
from tests.endpoint import Endpoint
from tests.generation.steps import test_step_kinds
from tests.generation.steps.test_step_kinds import run, scripted
from tests.generation.test_generation import ROUND
from tests.test_docs import examples

with_steps = test_step_kinds.with_steps
MENDED = """
  draft: {prompt: "Write a {{ tone }} review.", output: {body: text, rating: integer}}
  better: {prompt: "Mend {{ draft.body }}", output: {body: text, stars: integer}, when: "draft.rating < 3"}
  text:
    prompt: "Shorten {% if better.body %}{{ better.body }}{% else %}{{ draft.body }}{% endif %}"
    when: "draft.body != 'short'"
    otherwise: draft.body
"""


def answers(*fields: dict[str, object]) -> list[str]:
    return [json.dumps(each) for each in fields]


def test_rows_that_are_not_asked_stay_and_prompts_behind_find_them_empty(
    with_steps: Callable[..., Recipe],
) -> None:
    drafts = answers(*({"body": b, "rating": r} for b, r in (("a", 1), ("b", 5), ("short", 4), ("c", 2))))
    better = scripted(*answers({"body": "A", "stars": 3}, {"body": "C", "stars": 4}))
    last = scripted("1", "2", "3")
    made = run(with_steps(MENDED), 4, draft=scripted(*drafts), better=better, text=last)
    assert better.replicates == [f"{ROUND}/negative/{n}/better" for n in (0, 3)]  # as without `when`
    assert [messages[-1]["content"] for messages in last.asked] == ["Shorten A", "Shorten b", "Shorten C"]
    middle, rows = made["generations_better"], made["generations"]
    assert middle["accepted"].tolist() == rows["accepted"].tolist() == [True] * 4
    assert middle["reason"].tolist() == [None, "skipped", "skipped", None]
    assert middle["stars"].tolist() == [3, None, None, 4]
    assert middle["text"].tolist() == [better.answers[0].text, None, None, better.answers[1].text]
    assert rows["text"].tolist() == ["1", "2", "short", "3"]
    assert rows["reason"].tolist() == [None, None, "skipped", None]
    assert rows["stage"].tolist() == rows["error"].tolist() == [None] * 4
    assert list(rows["call_id"].notna()) == [True, True, False, True]


@pytest.mark.parametrize(
    "step",
    [
        'prompt: "{{ draft }}"',
        'prompt: "{{ draft }}", output: {text: text, n: integer, tags: [text]}',
        'tool: calculate, input: "{{ draft }}"',
        'vote: "{{ draft }}"',
        'turns: 2, user: "You ask. {{ draft }}", assistant: "You answer."',
    ],
)
def test_each_kind_of_step_may_be_left_out(with_steps: Callable[..., Recipe], step: str) -> None:
    """Here of all rows but the first, and nobody is asked for the others."""
    of = '{prompt: "Go.", samples: 2}' if step.startswith("vote") else '"Go."'
    recipe = with_steps(f"  draft: {of}\n  text: {{{step}, when: \"draft == '2'\", otherwise: draft}}\n")
    said = '{"text": "2", "n": 1, "tags": []}' if "output" in step else "2"
    made = run(recipe, 4, draft=scripted("2", "3", "4", "5"), text=(model := scripted(said)))
    rows = made["generations"]
    assert rows["reason"].tolist() == [None, "skipped", "skipped", "skipped"]
    assert rows["accepted"].tolist() == [True] * 4
    assert rows["text"].tolist()[1:] == ["3", "4", "5"]
    assert len(model.asked) == {"p": 1, "t": 0, "v": 0}[step[0]] + 4 * step.startswith("turns")


def test_a_row_without_the_other_text_is_rejected(with_steps: Callable[..., Recipe]) -> None:
    steps = '  a: {prompt: Go., when: "false"}\n  text: {prompt: "{{ a }}", when: "a", otherwise: a}\n'
    rows = run(with_steps(steps), 2, a=scripted("a"), text=scripted("b"))["generations"]
    assert rows["reason"].tolist() == ["empty", "empty"]
    assert set(rows["error"]) == {"a has no text here"}
    assert set(rows["stage"]) == {"generations"}


def test_an_expression_that_fails_on_an_answer_rejects_its_row_alone(
    with_steps: Callable[..., Recipe],
) -> None:
    """A number that nobody was asked for is compared; what the error advises helps."""

    def made(rule: str) -> list[dict[str, Any]]:
        models = (
            answers({"body": "a", "rating": 1}, {"body": "b", "rating": 5}),
            answers({"body": "A", "stars": 4}),
        )
        draft, better = (scripted(*said) for said in models)
        recipe = with_steps(MENDED.replace("draft.body != 'short'", rule))
        rows = run(recipe, 2, draft=draft, better=better, text=scripted("t"))["generations"]
        return rows[["reason", "accepted", "text", "error"]].to_dict("records")

    fine, failed = made("better.stars > 3")
    assert (fine["reason"], failed["reason"], failed["accepted"]) == (None, "undecided", False)
    assert "'better.stars > 3' fails where better is {'body': '', 'stars': None}: " in failed["error"]
    (advice,) = re.findall(r"So write `(.*)`\.", failed["error"])
    assert [(row["reason"], row["text"]) for row in made(advice)] == [(None, "t"), ("skipped", "b")]


def test_an_expression_that_fails_on_conditions_is_a_mistake_of_the_recipe(
    with_steps: Callable[..., Recipe],
) -> None:
    recipe = with_steps('  text: {prompt: Go., when: "tone > 3", otherwise: tone}\n')
    with pytest.raises(
        UserError, match=r"when 'tone > 3' fails where tone is '\w+': .*not supported"
    ) as told:
        run(recipe, 1, text=scripted("a"))
    assert (told.value.code, told.value.mistakes[0].field) == ("wrong_value", "steps.text.when")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("draft.rating <", "draft.ratin <", r"steps\.better: unknown field of draft 'ratin'.*mean 'rating'"),
        (
            "draft.rating <",
            "tones <",
            r"steps\.better: unknown name in `when` 'tones'.*mean 'tone'\? Known: de",
        ),
        ("draft.rating <", "draft <", r"steps\.better: draft has fields: write draft\.body or draft\.rating"),
        ("draft.rating <", "better.stars <", r"unknown name in `when` 'better'"),  # of itself
        ("draft.rating < 3", "draft.rating <", r"when 'draft\.rating <' is no expression"),
        ("draft.rating < 3", "{{ draft.rating < 3 }}", r"is no expression .*: write it without braces"),
        ("draft.rating < 3", "draft.rating = 3", r"is no expression .*with `==` for equal"),
        (
            "    otherwise: draft.body\n",
            "",
            r"steps\.text\.when: .*add `otherwise:` and one of tone, draft\.body",
        ),
        (
            "otherwise: draft.body",
            "otherwise: draft.bod",
            r"otherwise: unknown column of texts .*'draft\.body'\?",
        ),
        ("otherwise: draft.body", "otherwise: draft.rating", r"otherwise: unknown column of texts"),
        (
            "rating < 3",
            "rating < 3, otherwise: tone".replace(", ", '", '),
            r"better\.otherwise: .*it is empty",
        ),
        ("    when: \"draft.body != 'short'\"\n", "", r"steps\.text\.otherwise: .*write `when`, too"),
    ],
)
def test_what_cannot_be_is_refused(
    with_steps: Callable[..., Recipe], old: str, new: str, message: str
) -> None:
    assert old in MENDED
    steps = MENDED.replace(old, new, 1).replace('otherwise: tone"', "otherwise: tone")
    with pytest.raises(UserError, match=message):
        check_steps(with_steps(steps))


def test_rows_that_are_left_out_are_neither_planned_nor_paid(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A round of the guide's example: what its plan says, what it asks, what is said of its rows."""
    (example,) = (e for e in examples("yaml", "docs/recipes.md") if "when:" in e)
    off = (
        "minimum_yield: 1\nmetrics: {student: false, diversity: false, privacy: false, faithfulness: false}\n"
    )
    (project / "recipes" / "mended.yaml").write_text(example + off, encoding="utf-8")

    def planned() -> tuple[int, int, int]:
        capsys.readouterr()
        assert main(["plan", "mended", "--round", ROUND, "--json"]) == 0
        total = json.loads(capsys.readouterr().out)["total"]
        return total["fewest_calls"], total["calls"], total["from_log"]

    with Endpoint(say=said) as endpoint:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        assert planned() == (8, 16, 0)
        assert main(["run", "mended", "--round", ROUND]) == 0, capsys.readouterr()
        mended = len(endpoint.requests) - 8
        assert 0 < mended < 8
        assert planned() == (0, 0, 8 + mended)
    table = (
        "select reason, accepted, count(*), count(call_id) from mended.generations group by all order by 1"
    )
    rows = warehouse().query(table).fetchall()
    assert rows == [("skipped", True, 8 - mended, 0), (None, True, mended, mended)]
    counts = "select generated, rejected, kept, yield from mended.yield"
    assert warehouse().query(counts).fetchall() == [(8, 0, 8, 1.0)]
    ids = "select row_id from mended.generations where reason = 'skipped'"
    assert main(["trace", f"mended.{warehouse().query(ids).fetchall()[0][0]}"]) == 0
    assert "\ngenerations: skipped\n\nfilters" in capsys.readouterr().out


def said(body: dict[str, Any]) -> str:
    prompt, number = body["messages"][-1]["content"], body["seed"] % 5 + 1
    return (
        f"Mended: {prompt}"
        if prompt.startswith("Make")
        else json.dumps({"question": f"{prompt} {body['seed']}", "rating": number})
    )
