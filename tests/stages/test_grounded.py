"""A knowledge graph in one declaration: what rows are asked with, where it stands, what holds them to it,
and how much of it was used; against a run without it (Long et al. 2024, section 4.2)."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.knowledge import Triple, read_triples
from synth_assets.recipe.load import inline
from tests.through import Through, through

OFF = dict.fromkeys(("diversity", "student", "privacy", "faithfulness"), False)
TOWNS = [
    f"{a}{b}" for a in ("North", "South", "East", "West") for b in ("ford", "ham", "wick", "bury", "ley")
]
LANDS = ["Arland", "Berland", "Corland", "Dorland"]
GRAPH = [(town, "lies in", LANDS[n % 4]) for n, town in enumerate(TOWNS)]
KNOWN = GRAPH[: len(GRAPH) // 2]  # what the model has read of; the rest is held out


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    rows = "\n".join(map(",".join, GRAPH))
    Path("graph.csv").write_text(f"head,relation,tail\n{rows}\n")
    return tmp_path


def writes(prompt: str, *_: object) -> str:
    """A model that states the facts of its prompt, one in five wrongly; without any, it puts towns that it
    knows into some land."""
    state = Random(prompt)
    told = re.findall(r"^(\w+) \| lies in \| (\w+)$", prompt, re.MULTILINE)
    if not told:
        told = [(town, state.choice(LANDS)) for town, _, _ in state.sample(KNOWN, 2)]
    wrong = [
        (town, land if state.random() > 0.2 else state.choice(["Erland", "Furland"])) for town, land in told
    ]
    return " ".join(f"The town {town} is part of {land}." for town, land in wrong)


def stated(made: Through) -> list[Triple]:
    texts = " ".join(made.rows("filtered")["text"])
    return [(town, "lies in", land) for town, land in re.findall(r"town (\w+) is part of (\w+)\.", texts)]


def written(folder: Path, days: int = 2, **said: object) -> tuple[list[Triple], list[Through]]:
    of = inline({"task": {"text": "text"}, "rows": 10, "minimum_yield": 0.0, **said}, "towns")
    made = [through(of, writes, folder / of.name, f"2026-11-{day:02}") for day in range(1, days + 1)]
    return [fact for each in made for fact in stated(each)], made


def test_entities_are_covered_and_errors_fall_against_a_run_without_knowledge(folder: Path) -> None:
    facts, made = written(
        folder,
        conditions={"facts": {"triples": "graph.csv", "size": 2, "place": True}},
        remember=True,
        steps={"text": "Facts:\n{{ facts }}\n\nSay so, and nothing more."},
        filters={"grounded": {"of": "facts"}},
        metrics={**OFF, "evidence": "facts", "knowledge": True},
    )
    plain, _ = written(
        folder / "plain",
        conditions={"tone": [f"tone {n}" for n in range(10)]},
        steps={"text": "Write of some towns, {{ tone }}."},
        metrics=OFF,
    )

    def errors(said: list[Triple]) -> float:
        return sum(fact not in GRAPH for fact in said) / len(said)

    def coverage(said: list[Triple]) -> float:
        return len({town for town, _, _ in said} & {*TOWNS}) / len(TOWNS)

    assert errors(facts) == 0 < 0.5 < errors(plain)
    assert coverage(plain) <= 0.5 < coverage(facts)
    held_out = {town for town, *_ in GRAPH} - {town for town, *_ in KNOWN}
    assert {town for town, *_ in facts} & held_out
    assert made[-1].metric("entity_error", "filtered") == 0
    assert made[0].metric("knowledge_used", "facts") >= 0.5
    assert made[-1].metric("knowledge_used", "facts") == 1
    assert made[-1].metric("knowledge_kept", "facts") < 1
    rejected = made[0].rows("rejected")
    assert {*rejected["scorer"]} == {"grounded"}
    assert rejected["reason"].str.contains("facts does not have (?:Er|Fur)land").all()
    asked = made[0].rows("conditions")
    there = read_triples(Path("graph.csv"))
    for row in asked.to_dict("records"):
        lines = [int(line) - 2 for line in row["facts_lines"].split(", ")]  # after the header
        assert row["facts"] == "\n".join(" | ".join(there[line]) for line in lines)
    assert {*asked["facts_file"]} == {"graph.csv"}


def test_passages_say_where_they_stand_and_a_row_without_one_says_nothing(folder: Path) -> None:
    Path("corpus.txt").write_text("\nNorthford is old.\n\nEastham is new.\n")
    of = {"passages": "corpus.txt", "query": "{{ town }}", "place": True}
    _, (made,) = written(
        folder,
        days=1,
        conditions={"town": ["Northford", "Eastham", "Nowhere"], "us": of},
        design="balanced",
        steps={"text": "From {{ us_file }}, line {{ us_line }}: {{ us }}"},
        metrics=OFF,
    )
    rows = made.rows("conditions").drop_duplicates("town").set_index("town")
    assert rows["us_line"].to_dict() == {"Northford": 2, "Eastham": 4, "Nowhere": None}
    assert "From corpus.txt, line 4: Eastham is new." in made.model.prompts


def test_a_column_of_a_place_is_not_to_be_there_already() -> None:
    with pytest.raises(UserError, match="facts_file"):
        inline(
            {
                "task": {"text": "text"},
                "conditions": {"facts": {"triples": "graph.csv", "place": True}, "facts_file": ["a", "b"]},
                "steps": {"text": "Write of {{ facts }}."},
                "rows": 1,
            },
            "towns",
        )
