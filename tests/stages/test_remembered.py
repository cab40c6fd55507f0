"""Draws that remember, over rounds in a lake."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from tests.through import Through, through

OFF = dict.fromkeys(("diversity", "student", "privacy", "faithfulness"), False)
FOUND = {"task": {"text": "story"}, "minimum_yield": 0.0, "metrics": {**OFF, "knowledge": True}}
THEMES = [f"theme {n}" for n in range(7)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    write(THEMES)
    return tmp_path


def write(lines: list[str]) -> None:
    Path("themes.txt").write_text("\n".join(lines))


def recipe(**said: object) -> Recipe:
    conditions = {"theme": {"file": "themes.txt"}, "tone": ["dry", "warm"]}
    steps = {"text": "Write of {{ theme }}."}
    of = {"conditions": conditions, "steps": steps, "rows": 3, "design": "balanced", "remember": True}
    return inline({**FOUND, **of, **said}, "story")


def a_round(of: Recipe, folder: Path, day: int) -> Through:
    return through(of, lambda prompt, *_: f"a story, {prompt}", folder, f"2026-11-{day:02}")


def themes(made: Through) -> list[str]:
    return sorted(made.rows("conditions")["theme"])


def test_rounds_go_on_where_the_last_one_ended(folder: Path) -> None:
    of = recipe()
    made = [a_round(of, folder, day) for day in (1, 2, 3)]
    assert [each.metric("knowledge_used", "theme") for each in made] == [3 / 7, 6 / 7, 1.0]
    first_turn = [*themes(made[0]), *themes(made[1])]
    assert len({*first_turn}) == 6
    assert {*THEMES} - {*first_turn} <= {*themes(made[2])}
    again = a_round(of, folder, 2)  # sees the rounds before it alone
    assert again.rows("conditions").equals(made[1].rows("conditions"))
    write([*THEMES[1:], "a new theme"])
    fourth = themes(a_round(recipe(rows=5), folder, 4))
    assert "a new theme" in fourth
    assert THEMES[0] not in fourth
    assert max(Counter(fourth).values()) == 1
    more = recipe(conditions={"theme": {"file": "themes.txt"}, "tone": ["dry", "warm"], "kind": ["a", "b"]})
    assert {*a_round(more, folder, 5).rows("conditions")["kind"]} == {"a", "b"}  # which no round had before


def test_rows_of_one_question_are_taken_once(folder: Path) -> None:
    of = recipe(steps={"text": {"prompt": "Write of {{ theme }}.", "samples": 2}}, rows=6)
    found = [themes(a_round(of, folder, day)) for day in (1, 2)]
    assert [Counter(each) for each in found] == [dict.fromkeys(each, 2) for each in found]
    assert not {*found[0]} & {*found[1]}


def test_what_was_dropped_is_asked_for_and_not_kept(folder: Path) -> None:
    Path("graph.csv").write_text("Ann,lives in,Oslo\nOslo,is in,Norway\nBo,knows,Cy\nCy,likes,tea")
    Path("corpus.txt").write_text("Ann is a baker\nBo bakes bread\nnobody asks for this")
    conditions = {
        "facts": {"triples": "graph.csv", "size": 2},
        "passage": {"passages": "corpus.txt", "query": "{{ facts }}"},
        "tone": {"by": "a_kind", "values": {"a": ["dry"]}},  # not counted
    }
    of = recipe(
        conditions={"a_kind": ["a"], **conditions},
        steps={"text": "Write of {{ facts }}."},
        filters={"pattern": {"pattern": "(?s)((?!Ann).)*"}},
        rows=2,
    )
    made = a_round(of, folder, 1)
    metrics = made.rows("metrics")[["name", "slice", "value", "n"]].itertuples(index=False)
    found = {(m.name, m.slice): (round(m.value * m.n), m.n) for m in metrics if m.name != "yield"}
    assert found == {
        ("knowledge_used", "facts"): (4, 4),
        ("knowledge_kept", "facts"): (2, 4),
        ("knowledge_used", "passage"): (2, 3),
        ("knowledge_kept", "passage"): (1, 3),
    }


def test_nothing_to_count_is_a_mistake() -> None:
    with pytest.raises(UserError, match="no condition has a source whose items can be counted"):
        recipe(conditions={"theme": ["a", "b"]})


def test_each_cell_remembers_by_itself(folder: Path) -> None:
    of = recipe(cell="tone")
    rows = [a_round(of, folder, day).rows("conditions") for day in (1, 2)]
    for cell in of.cells:
        taken = [theme for each in rows for theme in each.loc[each["cell"] == cell, "theme"]]
        assert len({*taken}) == 6
