"""Every example of the guide to annotation makes a round, and every line of its table is so."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets.core.answer_schema import Schema
from synth_assets.recipe.load import inline
from tests.test_docs import examples
from tests.through import through

GUIDE = "docs/annotate.md"
PEOPLE, PLACES = ("Ann", "Ola", "Mia"), ("Oslo", "Rome")
MANY = range(24)
WORDS = {  # what a text says of a label
    **{"refund": "my money back", "fault": "it broke", "praise": "I am happy"},
    **{"sport": "the team won", "business": "shares fell", "politics": "a new law"},
    **{"poor": "a dirty room", "fair": "a plain room", "good": "a lovely room"},
    **{"supported": "as the source says", "open": "as nobody says"},
    **{"first": "worse", "second": "better", "tie": "equal"},
}


def said(n: int, *names: str) -> str:
    return f"{WORDS[names[n % len(names)]]} {n}"


def write(name: str, columns: str, *rows: tuple[str, ...]) -> None:
    with (Path("data") / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns.split(), *rows])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    topics = ("refund", "fault", "praise")
    write("tickets.csv", "body ticket", *((said(n, *topics), str(n)) for n in MANY))
    write("known.csv", "text label", *((f"known: {said(n, *topics)}", topics[n % 3]) for n in MANY))
    write(
        "headlines.csv", "text", *((f"{said(n, 'sport', 'business')}, {said(n, 'politics')}",) for n in MANY)
    )
    write(
        "sentences.csv", "text", *((f"{PEOPLE[n % 3]} sings in {PLACES[n % 2]} on day {n}.",) for n in MANY)
    )
    write("stays.csv", "text", *((said(n, "poor", "fair", "good"),) for n in MANY))
    write("claims.csv", "claim source", *((said(n, "supported", "open"), f"source {n}") for n in MANY))
    replies = ((said(n, "second", "tie"), f"reply {n}", f"question {n}") for n in MANY)
    write("replies.csv", "reply_b reply_a question", *replies)
    return tmp_path


def answer(prompt: str, schema: Schema | None, sampling: Any) -> str:
    """Of the last text of a prompt: what its words say."""
    if schema is None:
        return "since it says so"
    text = re.findall(r"^[A-Z]\w*(?: \w+)?: (.*)$", prompt, re.MULTILINE)
    body = next(line for line in reversed(text) if any(w in line for w in (*WORDS.values(), "sings")))
    found: dict[str, Any] = {}
    for name, kind in schema.fields:
        if name == "explanation":
            found[name] = "it says so"
        elif name in ("person", "place"):
            found[name] = [each for each in (PEOPLE if name == "person" else PLACES) if each in body]
        elif kind == ("text",):
            found[name] = [label for label in ("sport", "business", "politics") if WORDS[label] in body]
        else:
            found[name] = next(label for label in kind if WORDS[label] in body)
    return json.dumps(found)


@pytest.mark.parametrize("text", examples("yaml", GUIDE))
def test_the_examples_say_what_each_text_is(data: Path, text: str) -> None:
    quiet = {"student": {"features": "tfidf"}, "metrics": {"diversity": False, "faithfulness": False}}
    recipe = inline({**yaml.safe_load(text), **quiet, "model": "a"}, "guide")
    made = through(recipe, answer, data)
    rows = made.rows("filtered")
    assert len(rows) == len(MANY)
    column = recipe.task.predict.columns[0] if recipe.task.predict else "label"
    for value, body in zip(rows[column], rows["text"], strict=True):
        if column == "marked":
            assert re.fullmatch(r"<person>\w+</person> sings in <place>\w+</place> on day \d+\.", value)
        else:
            names = [value] if isinstance(value, str) else value
            assert all(WORDS[name] in body for name in names), (value, body)
            assert len(names) == (2 if column == "topics" else 1)
    step: Any = recipe.steps["text"]
    assert (rows["confidence"].notna() == (step.ways > 1)).all()


def test_of_a_preference_each_text_stands_first_in_some_prompts(data: Path) -> None:
    """A model that always takes the first text is found out: its answers part."""
    text = next(each for each in examples("yaml", GUIDE) if "reply_b" in each)
    recipe = inline({**yaml.safe_load(text), "metrics": {"diversity": False}, "model": "a"}, "guide")
    made = through(recipe, lambda *_: '{"better": "first"}', data)
    rows = made.rows("filtered")
    assert rows["answers"].map(list).tolist() == [["first", "first", "second"]] * len(MANY)
    assert set(rows["confidence"].round(2)) == {0.67}
    shown = [prompt for prompt in made.model.prompts if "Question: question 0\n" in prompt]
    assert [re.search("First: (.*)", prompt)[1] for prompt in shown] == ["reply 0", "reply 0", "better 0"]
