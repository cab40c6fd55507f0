"""What the lake says of a recipe's rounds, as far as what ends them asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from synth_assets.recipe.load import load
from synth_assets.report.so_far import so_far, why_ended
from synth_assets.report.views import show
from synth_assets.resources.home import lake, warehouse
from synth_assets.stages import tables

DAYS = ["2026-11-20", "2026-11-21"]
UNTIL = "{accuracy: 0.9, no_gain: 2, budget: 5, accepted: 900, no_new_documents: true}"


def write(recipe: Any, stage: str, round_: str, *rows: dict[str, Any], **place: str) -> None:
    """These rows of a stage; what they do not say is null."""
    schema = tables.schema(recipe, stage)
    place = {"round": round_, **place}
    filled = [{**dict.fromkeys(schema.names), "round": round_, "cell": "negative", **row} for row in rows]
    table = tables.to_arrow(recipe, stage, pd.DataFrame(filled, columns=schema.names))
    lake().write(recipe.name, stage, {name: place[name] for name in tables.stages(recipe)[stage]}, table)


@pytest.fixture
def recipe(project: Path, edit: Any) -> Any:
    (project / "topics.txt").write_text("law\nart\n")
    edit("tone: [angry, calm, witty]", "tone: {file: topics.txt}")
    return load(edit("rows: 6", f"rows: 6\nrounds: {{until: {UNTIL}}}"))


def test_what_ends_rounds_is_read_from_their_tables(recipe: Any) -> None:
    assert why_ended(recipe, lake(), warehouse()) is None  # no round, and no view
    for day, tones in zip(DAYS, (["law", "art"], ["art", None]), strict=True):
        write(recipe, "conditions", day, *({"tone": tone} for tone in tones), cell="negative")
        write(recipe, "filtered", day, {"text": day}, {"text": f"again {day}"})
        accuracy = {"name": "accuracy", "slice": "weighted", "value": 0.8, "low": 0.7, "high": 0.95}
        change = {**accuracy, "name": "accuracy_change", "slice": "weighted, against it", "low": -0.1}
        write(recipe, "metrics", day, accuracy, change, {"name": "macro_f1", "slice": "weighted"})
        calls = [
            {"call_id": "shared", "cost": 1.5, "outcome": "ok"},
            {"call_id": day, "cost": 0.5, "outcome": "ok"},
        ]
        lost = {"call_id": f"lost {day}", "outcome": "rate_limited"}
        place = {"used_by": "generations", "cell": "negative"}
        write(recipe, "calls", day, *({**call, "used_by": "generations"} for call in (*calls, lost)), **place)
    show(recipe)
    found = so_far(recipe, DAYS, warehouse())
    assert (found.kept, found.spent, found.unpriced) == (4, 2.5, 0)  # a call that two rounds use is paid once
    assert found.new == {"tone": 0}
    assert {day: [row["name"] for row in of] for day, of in found.metrics.items()} == {
        day: ["accuracy", "accuracy_change"] for day in DAYS
    }
    why = "The rounds have ended: 2 rounds in a row have no gain in accuracy"
    assert str(why_ended(recipe, lake(), warehouse())).startswith(why)

    write(
        recipe,
        "calls",
        DAYS[1],
        {"call_id": "unpriced", "outcome": "ok", "used_by": "scores"},
        used_by="scores",
        cell="negative",
    )
    assert so_far(recipe, DAYS, warehouse()).unpriced == 1
    write(recipe, "conditions", DAYS[1], {"tone": "music"}, cell="negative")
    assert so_far(recipe, DAYS, warehouse()).new == {"tone": 1}


def test_where_it_cannot_be_read_no_round_begins(recipe: Any) -> None:
    write(recipe, "conditions", DAYS[0], {"tone": "law"}, cell="negative")
    show(recipe)
    write(recipe, "metrics", DAYS[0], {"name": "accuracy", "slice": "weighted"})
    lake().file(recipe.name, "metrics", {"round": DAYS[0]}).write_bytes(b"damaged")
    assert str(why_ended(recipe, lake(), warehouse())).startswith(
        "It cannot be read whether the rounds have ended:"
    )
