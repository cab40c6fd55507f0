"""A judge with a rubric, and the log-probability of what was generated, as scores of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.core.text.arithmetic import rating
from synth_assets.recipe.load import load
from synth_assets.resources.home import warehouse
from tests.endpoint import Endpoint

ROUND = "2026-11-20"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("4.5\nThe answer is right.", 4.5),
        ("Score: 4", 4.0),
        ("score:3.5 x", 3.5),
        ("**Score:** 4\nfine", 4.0),
        ("5/5", 5.0),
        ("4 out of 5.", 4.0),
        ("I would say the score is hard to give", None),
        ("Of the 3 parts, two are good", None),
        ("Score (0-5): 4", 4.0),
        ("**Rating (1 to 5):** 3", 3.0),
        ("Score (4) for 2 parts", 4.0),
        ("评分：4", 4.0),
        ("87", None),
        ("-1", None),
        ("", None),
    ],
)
def test_a_rating_is_read_as_alpagasus_reads_it(answer: str, value: float | None) -> None:
    assert rating(answer, 0, 5) == value


def say(body: dict[str, Any]) -> str:
    """Writes reviews that end in a number, and rates them by it; one of them it does not rate."""
    prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    if "Rate it from 0 to 5" not in prompt:
        return f"a film of {body['seed'] % 1000} hours"
    stars = len(prompt.split("a film of ")[1].split()[0])
    return "no idea" if stars == 1 else f"{stars + 2}\nIt has {stars} digits."


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with Endpoint(say=say) as served:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        yield served


def ask(sql: str) -> list[tuple]:
    return warehouse().query(sql).fetchall()


def test_a_judge_keeps_what_it_rates_high_enough_and_says_why_not(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("  duplicate: {}", "  judge: {at_least: 5}")
    main(["plan", "reviews", "--round", ROUND])
    assert "24 calls" in capsys.readouterr().out.replace(",", "")
    main(["run", "reviews", "--round", ROUND])
    assert len(endpoint.requests) == 24
    kept = ask("select text, judge from reviews.filtered")
    assert all(len(text.split()[3]) == 3 and rated == 5 for text, rated in kept)  # the threshold is inclusive
    for text, value, reason in ask("select text, value, reason from reviews.rejected where scorer = 'judge'"):
        digits = len(text.split()[3])
        assert value == (None if digits == 1 else digits + 2)
        assert "no idea" in reason if digits == 1 else f"It has {digits} digits." in reason
    calls = ask("select count(*) from reviews.calls where used_by = 'scores'")
    assert calls == [(12,)]


def test_moving_the_threshold_asks_nobody_and_another_rubric_asks_again(
    project: Path, endpoint: Endpoint, edit
) -> None:
    edit("  duplicate: {}", "  judge: {at_least: 5}")
    main(["run", "reviews", "--round", ROUND])
    edit("at_least: 5}", "at_least: 1}")
    main(["run", "reviews", "--round", ROUND])
    assert len(endpoint.requests) == 24
    edit("at_least: 1}", "at_least: 1, rubric: 'Rate it from 0 to 5: {{ text }} ({{ tone }})'}")
    main(["run", "reviews", "--round", ROUND])
    assert len(endpoint.requests) == 36


def test_two_judges_and_two_patterns_each_under_a_name_of_its_own(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    def rude(body: dict[str, Any]) -> str:
        prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        if "Is it polite?" not in prompt:
            return say(body)
        return "2\nno" if int(prompt.split("a film of ")[1].split()[0]) % 3 == 0 else "5\nyes"

    endpoint.say = rude
    edit("rows: 6", "rows: 12")
    edit(
        "  duplicate: {}",
        """  begin: {filter: pattern, pattern: 'a film of [1-7].*'}
  end: {filter: pattern, pattern: '.*[0-7] hours'}
  length: {filter: judge, at_least: 4}
  manners: {filter: judge, rubric: 'Is it polite? Rate it from 0 to 5: {{ text }}', at_least: 4.5}""",
    )
    main(["run", "reviews", "--round", ROUND])
    assert len(endpoint.requests) == 72  # rows, and two ratings of each
    assert ask("select count(length_judge_answer), count(manners) from reviews.scores") == [(24, 24)]
    dropped = dict(ask("select text, scorer from reviews.rejected"))
    for (text,) in ask("select text from reviews.generations"):
        hours = text.split()[3]
        fails = {
            "begin": hours[0] in "089",
            "end": hours[-1] in "89",
            "length": len(hours) == 1,
            "manners": int(hours) % 3 == 0,
        }
        assert dropped.get(text) == next((name for name, so in fails.items() if so), None)
    reasons = ask("select distinct reason from reviews.rejected where scorer = 'manners'")
    assert reasons == [("manners 2, wanted at least 4.5: 2 no",)]
    capsys.readouterr()
    assert main(["tune", "reviews", "--filter", "manners"]) == 0
    assert "manners, at_least" in capsys.readouterr().out
    assert len(endpoint.requests) == 72


def test_a_judge_of_rows_without_labels_is_told_of_none(
    project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    recipe = "task: {text: proverb}\nsteps: {text: Write one.}\nrows: 2\nfilters: {judge: {at_least: 1}}\n"
    (project / "recipes" / "plain.yaml").write_text(recipe + "metrics: {judge: {}}\n", encoding="utf-8")
    assert main(["check", "plain"]) == 0, capsys.readouterr().err
    endpoint.say = lambda body: "4\ngood" if "Rate it" in body["messages"][-1]["content"] else "One day."
    main(["run", "plain", "--round", ROUND])
    assert any(prompt.startswith("This is a proverb.") for prompt in endpoint.prompts)


def test_a_rubric_that_asks_for_an_unknown_field_is_refused(project: Path, edit) -> None:
    path = edit("  duplicate: {}", "  judge: {rubric: 'Rate {{ txt }}'}")
    with pytest.raises(UserError, match=r"filters\.judge.*'txt'.*text"):
        load(path)


def test_rows_carry_their_mean_logprob_when_the_step_asks_for_it(
    project: Path, endpoint: Endpoint, edit
) -> None:
    edit("  duplicate: {}", "  generation_logprob: {at_least: -1}")
    with pytest.raises(UserError, match="logprob"):
        load(project / "recipes" / "reviews.yaml")
    edit("    max_tokens: 30", "    max_tokens: 30\n    logprobs: true")
    main(["run", "reviews", "--round", ROUND])
    assert ask("select distinct logprob, generation_logprob from reviews.filtered") == [(-0.5, -0.5)]
