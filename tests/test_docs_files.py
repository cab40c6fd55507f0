"""Every example of the guide to data files is read as it says."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import yaml

from synth_assets.contracts.reading import Reading
from synth_assets.generation.conditions.table import design
from synth_assets.recipe.load import inline
from synth_assets.resources.storage.formats import FORMATS
from synth_assets.stages.seeds import seeds_of
from tests.test_docs import ROOT, examples

GUIDE = "docs/files.md"
LABELS = {"negative": "bad", "positive": "good"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [(f"café number {i}", list(LABELS)[i % 2]) for i in range(16)]
    table = "".join(f"{text};{label}\n" for text, label in rows)
    (folder / "old.csv").write_bytes(f"text;label\n{table}".encode("cp1252"))
    (folder / "reviews.csv").write_text(f"text,label\n{table.replace(';', ',')}", encoding="utf-8")
    (folder / "test.csv").write_text("text,label\nanother one,positive\n", encoding="utf-8")
    scored = (json.dumps({"text": text, "label": y, "score": len(y) / 16}) for text, y in rows)
    (folder / "scored.jsonl").write_text("\n".join(scored), encoding="utf-8")
    with sqlite3.connect(folder / "reviews.sqlite") as connection:
        connection.execute("create table reviews (body, label, stars)")
        connection.executemany("insert into reviews values (?, ?, 5)", rows)
    return folder


@pytest.mark.parametrize("text", examples("yaml", GUIDE))
def test_the_examples_are_read(data: Path, text: str) -> None:
    written = yaml.safe_load(text)
    labels = {} if "conditions" in written else {"classify": LABELS}
    recipe = inline({"task": labels, "steps": {"text": "Write."}, "rows": 4, **written}, "guide")
    seeds = seeds_of(recipe).rows
    assert set(seeds["split"]) >= {"demonstration"}
    if "conditions" in written:
        rows = design(recipe, seeds, round_="2026-11-22", cell="1", rows=4)
        assert set(rows["score"]) == {
            0.5
        }  # of "negative" and "positive": the rows that the constraint allows


def test_the_guide_names_every_format_and_option() -> None:
    guide = (ROOT / GUIDE).read_text(encoding="utf-8")
    for name in [*(f for f in FORMATS if f not in (".csv", ".tab")), *Reading.model_fields]:
        assert f"`{name}" in guide, name
