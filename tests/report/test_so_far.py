"""What the rounds have come to, from tables on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.recipe.load import inline
from synth_assets.report.so_far import so_far, why_ended
from synth_assets.report.views import show
from synth_assets.resources.storage.lake import Lake
from synth_assets.resources.storage.warehouse import Warehouse
from tests.through import through

OFF = dict.fromkeys(("diversity", "student", "privacy", "faithfulness"), False)
DAYS = [f"2026-11-{day:02}" for day in (1, 2, 3)]


def test_sets_of_triples_that_were_all_taken_before_are_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    Path("graph.csv").write_text("\n".join(f"town {n},lies in,land" for n in range(8)))
    of = inline(
        {
            "task": {"text": "text"},
            "conditions": {"facts": {"triples": "graph.csv", "size": 2}},
            "remember": True,
            "steps": {"text": "State these facts: {{ facts }}"},
            "rows": 3,
            "rounds": {"until": {"no_new_documents": True}},
            "minimum_yield": 0.0,
            "metrics": OFF,
        },
        "towns",
    )
    for day in DAYS:
        made = through(of, lambda prompt, *_: prompt, tmp_path, day)
    warehouse = show(of, Warehouse(tmp_path / "views.duckdb", tmp_path / "lake"))
    assert so_far(of, DAYS[:2], warehouse).new["facts"] >= 1  # of 8 triples, 6 at most in a round
    assert so_far(of, DAYS, warehouse).new == {"facts": 0}
    assert "facts" in str(why_ended(of, Lake(tmp_path / "lake"), warehouse))
    earlier = warehouse.query(
        "select facts from towns.conditions where round < $day", {"day": DAYS[2]}
    ).fetchall()
    assert {*made.rows("conditions")["facts"]} - {facts for (facts,) in earlier}  # though sets are others
