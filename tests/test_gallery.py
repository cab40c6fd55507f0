"""Every recipe of the gallery: short, right, and made for real. (What each asks: test_gallery_*.py.)"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.core.answer_schema import Schema
from synth_assets.core.identity import tagged_hash
from synth_assets.generation.conditions.asking import questions
from synth_assets.recipe.load import load
from synth_assets.recipe.review_files import review_file
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.home import warehouse
from synth_assets.stages.seeds import seed_rows
from tests.gallery import ROUND, make, recipe_like

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
SYSTEMS = sorted(path.stem for path in GALLERY.glob("*.yaml"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_recipe_is_short_names_its_source_and_is_right(
    project: Path, system: str, capsys: pytest.CaptureFixture
) -> None:
    lines = (GALLERY / f"{system}.yaml").read_text(encoding="utf-8").splitlines()
    head = " ".join(line for line in lines[:6] if line.startswith("#"))
    assert len(lines) <= 40
    assert re.search(r"Survey: (section \d|appendix [A-D])", head, re.IGNORECASE), head
    assert re.search(r"\(.+ (19|20)\d\d", head), f"the paper and its year: {head}"
    recipe_like(system)
    assert main(["check", f"like_{system}"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_seed_asks_the_same_to_the_byte(project: Path, system: str) -> None:
    first, again = make(system, whatever, encode=encode), None
    (project / "recipes" / f"like_{system}.yaml").unlink()
    again = make(system, whatever, encode=encode)
    asks = any(step.asks for step in first.recipe.steps.values())
    assert first.model.prompts or not asks  # nothing is written, and an annotator labels what is there
    assert again.model.prompts == first.model.prompts
    assert list(again.conditions["row_id"]) == list(first.conditions["row_id"])
    known = set(seed_rows(first.recipe)["row_id"])
    for ids in first.conditions["demonstration_ids"]:
        assert set(ids) <= known  # the lineage of a row leads to what it was shown


def whatever(prompt: str, schema: Schema | None, sampling: Mapping[str, Any]) -> str:
    """An answer that fits the question, and depends on nothing else."""
    mark = tagged_hash("answer/1", prompt)[:6]
    return json.dumps(schema.example(f"a text {mark}")) if schema else f"- one {mark}\n- two {mark}"


def encode(texts: Sequence[str]) -> Any:
    import numpy as np

    angles = [int(tagged_hash("angle/1", text)[:4], 16) / 2**16 for text in texts]
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_an_unknown_system_is_refused_with_the_alternatives(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["new", "mine", "--like", "atrprompt"]) == 2
    error = capsys.readouterr().err
    assert "simprompt" in error
    assert not (project / "recipes" / "mine.yaml").exists()


def test_simprompt_asks_for_each_class_and_drops_refusals(project: Path) -> None:
    said = iter(["I apologize, but I cannot do that.", *(f"a film number {n} to watch" for n in range(99))])
    made = make("simprompt", lambda *_: next(said), rows=4)
    assert len(made.model.prompts) == 8
    assert made.model.prompts[0].startswith(
        "Write one movie review of one or two sentences. the reviewer did"
    )
    assert list(made.rejected["scorer"]) == ["refusal"]
    assert made.kept["label"].value_counts().to_dict() == {"positive": 4, "negative": 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    "systems", [SYSTEMS[i::4] for i in range(4)], ids=["first", "second", "third", "fourth"]
)
def test_every_system_runs_with_the_embedded_model(
    systems: list[str], project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A row a cell, a few words an answer. Most answers of so small a model do not fit: they are rows with
    their reasons, and where a step has no other, its check stops the round."""
    sampling_for = Request.sampling_for
    monkeypatch.setattr(Request, "sampling_for", lambda *given: {**sampling_for(*given), "max_tokens": 40})
    monkeypatch.setattr("synth_assets.generation.conditions.asking.ROUNDS", 1)
    for system in systems:
        recipe = recipe_like(system)
        path = project / "recipes" / f"{recipe.name}.yaml"
        text = path.read_text(encoding="utf-8")
        for old, new in SMALL.items():
            text = re.sub(f"(?m){old}", new, text)
        path.write_text(text, encoding="utf-8")
        run = ["run", recipe.name, "--round", ROUND]
        if (code := main(run)) == 2 and "the model gave no" in capsys.readouterr().err:
            for name, _, given, _ in questions(load(path)):  # a person may list what the model does not
                file = review_file(recipe.reviews, name, given)
                file.parent.mkdir(exist_ok=True)
                file.write_text("- one\n- two\n")
            code = main(run)
        assert code in (0, 1), capsys.readouterr().err
        sql = f"select count(*), count(reason) + count(*) filter (accepted) from {recipe.name}.steps"
        rows, told = warehouse().query(sql).fetchall()[0]
        assert rows == told > 0, system


SMALL = {
    r", (influence|variability): \{[^}]*\}": "",  # a student learns nothing of a row
    r"student_(agreement|confidence): \{[^}]*\}, ": "",
    r"^  learning_dynamics: .*\n": "",
    r", by: top, score: influence": "",
    r"^weights: \{by: (bilevel|learning_to_reweight|token_weights)\}.*\n": "",
    r"^labelled: \{by: (clean_pool|cross_partition).*\n": "",
    r"^student: .*\n": "",
    r"^minimum_yield: .*\n": "",
    r"^rows: \d+": "rows: 1\nminimum_yield: 0.0",
    r"\bsamples: \d+": "samples: 2",
    r"\bat_least: \d+\}$": "at_least: 1}",  # of a vote
    r"\b(n|breadth|depth): \d+": r"\1: 2",
    r"\bbetween: \[3, 7\]": "between: [1, 1]",
}
