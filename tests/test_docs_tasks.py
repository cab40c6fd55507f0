"""Every example of the guide to tasks makes a round: a scripted model, all stages, Parquet between them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets.recipe.load import inline
from tests.gallery import Say
from tests.test_docs import ROOT, examples
from tests.through import Through, through

GUIDE = "docs/tasks.md"
NAMES = {"person": ["Ann", "Ola", "Mia", "Tom"], "place": ["Oslo", "Rome", "Lima", "Cairo"]}
VERBS = ("sings", "works", "sleeps", "waits", "reads")
WORDS = {  # what texts have of a label or number
    **{"sport": "the team won the match", "business": "the firm sold its shares"},
    **{"politics": "the minister lost the vote", "poor": "a dull waste", "fair": "a passable evening"},
    **{"good": "a lovely delight", "entailment": "so it is", "contradiction": "no never"},
    **{str(n): f"{word} film" for n, word in enumerate(("awful", "weak", "decent", "fine", "superb"), 1)},
}


def of(*names: str, n: int) -> str:
    return f"{' and '.join(WORDS[name] for name in names)}, take {n} {'abcdefgh'[n % 8] * (n % 5 + 1)}"


def marked(n: int) -> str:
    person, place = (NAMES[kind][(n + i) % 4] for i, kind in enumerate(NAMES))
    return f"<person>{person}</person> {VERBS[n % 5]} in <place>{place}</place> on day {n}."


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    ns = range(100, 124)
    pairs = ["text,premise,label", *(f'"{of(y, n=n)}",premise {n},{y}' for n in ns for y in RELATIONS)]
    (folder / "pairs.csv").write_text("\n".join(pairs), encoding="utf-8")
    (folder / "passages.txt").write_text(
        "\n".join(" ".join(f"w{n}x{i}" for i in range(8)) for n in range(12))
    )
    ratings = ["text,label", *(f'"{of(y, n=n)}",{y}' for n in ns for y in ("poor", "fair", "good"))]
    (folder / "ratings.csv").write_text("\n".join(ratings), encoding="utf-8")
    scores = ["text,score", *(f'"{of(str(n % 5 + 1), n=n)}",{n % 5 + 1}' for n in ns)]
    (folder / "scores.csv").write_text("\n".join(scores), encoding="utf-8")
    topics = [["sport"], ["business", "politics"], ["politics"], ["sport", "business"]]
    lines = [{"text": of(*topics[n % 4], n=n), "topics": topics[n % 4]} for n in ns]
    (folder / "topics.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    tags = (f"{NAMES['person'][n % 4]} B-person\n{VERBS[n % 5]} O\nin O\n" for n in ns)
    conll = [
        f"{tag}{NAMES['place'][n % 3]} B-place\non O\nday O\n{n} O\n. O\n"
        for n, tag in zip(ns, tags, strict=True)
    ]
    (folder / "entities.conll").write_text("\n".join(conll), encoding="utf-8")
    return folder


RELATIONS = ("entailment", "contradiction")


def told(pattern: str, by: Mapping[str, str] | None = None) -> Callable[[str], list[str]]:
    """What the prompt asks for, found by a pattern."""
    return lambda prompt: [(by or {}).get(w, w) for w in re.search(pattern, prompt)[1].split(", ")]


ASKED = {
    "premise": told(r"certainly (\w+) if", {"true": "entailment", "false": "contradiction"}),
    "rating": told(r"they were (\w+)", {"disappointed": "poor", "in": "fair", "pleased": "good"}),
    "number": told(r"gets (\d) of"),
    "labels": told(r"nothing else: (.*)\."),
}


def say(task: Mapping[str, Any]) -> Say:
    """A model that writes what it is asked for; one answer in ten cannot be used."""
    numbers, learned = count(), task.get("predict", {})
    kind = next((k for k in ("number", "labels", "spans") if k in learned), None)
    asked = ASKED.get(kind or ("premise" if "pair" in task else "rating"))

    def answer(prompt: str, *_: Any) -> str:
        n = next(numbers)
        if asked is None:
            return json.dumps({"marked": "<person>Ann sings." if n % 10 == 9 else marked(n)})
        return of(*asked(prompt), n=n)

    return answer


MEASURED = {  # what the example is of -> metrics, and the least that the students of its rows are worth
    "pair": {"accuracy": 0.9},
    "ordered": {"accuracy": 0.9, "quadratic_kappa": 0.9},
    "number": {"spearman": 0.9},
    "labels": {"micro_f1": 0.9, "subset_accuracy": 0.5, "macro_f1": 0.9},
    "spans": {"span_f1": 0.9},
}


@pytest.mark.parametrize("text", examples("yaml", GUIDE))
def test_the_examples_make_a_round_whose_students_learn(data: Path, text: str) -> None:
    written = yaml.safe_load(text)
    task = written["task"]
    recipe = inline({**written, "student": {"features": "tfidf"}, "model": "a"}, "guide")
    assert recipe.task.order == (["poor", "fair", "good"] if "ordered" in task else [])
    made = through(recipe, say(task), data.parent)
    rows = made.rows("weighted")
    assert len(rows) > 10
    assert "\x1f" not in "".join([*rows["text"], *made.rows("filtered")["text"], *made.model.prompts])
    words = {**task, **task.get("predict", {})}
    of_it = next(name for name in MEASURED if name in words)
    for name, least in MEASURED[of_it].items():
        assert made.metric(name, "weighted") >= least, name
    assert set(recipe.task.columns) <= set(rows)
    _has_no_gaps(made)


def _has_no_gaps(made: Through) -> None:
    """What is learned of a row is there, in every row of the training set; pictures show the measures."""
    rows = made.rows("weighted")
    for column in made.recipe.task.columns:
        assert rows[column].notna().all(), column
    (metrics,) = made.made["metrics"]
    assert "not known" not in metrics.numbers["verdict"]
    assert {"rmse", "micro_f1", "span_f1", "accuracy"} & {*metrics.numbers}


def test_the_guide_names_every_measure() -> None:
    guide = (ROOT / GUIDE).read_text(encoding="utf-8")
    for names in MEASURED.values():
        for name in names:
            assert f"`{name}`" in guide
