"""Every recipe of the gallery: short, right, and made for real. (What each asks: test_gallery_*.py.)"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from synth_assets.cli import main
from synth_assets.contracts.provider import Provider
from synth_assets.contracts.step import StepBase
from synth_assets.core.answer_schema import Schema
from synth_assets.core.identity import tagged_hash
from synth_assets.generation.conditions.asking import questions
from synth_assets.generation.steps.tool import ToolStep
from synth_assets.recipe.load import load
from synth_assets.recipe.measuring import Metrics
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review_files import review_file
from synth_assets.recipe.sections import Annotator
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


# Systems that have among them all that the gallery is made of: every kind of step, tool, value source,
# filter, label method, weight and metric, and every setting of what asks a model.
# `test_golden` runs all systems.
COVER = [
    *("alpaca", "alpagasus", "chain_of_thought", "coannotating", "code", "evol_instruct", "gpt3mix"),
    *("human_labels", "lab", "llmaaa", "math_problems", "ner", "oss_instruct", "regen", "s3"),
    *("self_prompting", "supergen", "symgen", "synthie", "explore_instruct", "tabular", "tinystories"),
    *("toxigen", "translation", "ultrachat"),
]


@pytest.mark.slow
@pytest.mark.parametrize("systems", [COVER[::2], COVER[1::2]], ids=["half of them", "the others"])
def test_the_gallerys_methods_run_with_the_embedded_model(
    systems: list[str], project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A row a cell, a few words an answer. Most answers of so small a model do not fit: they are rows with
    their reasons, and where a step has no other, its check stops the round."""
    sampling_for = Request.sampling_for
    monkeypatch.setattr(Request, "sampling_for", lambda *given: {**sampling_for(*given), "max_tokens": 12})
    monkeypatch.setattr("synth_assets.generation.conditions.asking.ROUNDS", 1)
    for system in systems:
        recipe = small(system)
        run = ["run", recipe.name, "--round", ROUND]
        if (code := main(run)) == 2 and "the model gave no" in capsys.readouterr().err:
            for name, _, given, _ in questions(recipe):  # a person may list what the model does not
                file = review_file(recipe.reviews, name, given)
                file.parent.mkdir(exist_ok=True)
                file.write_text("- one\n- two\n")
            code = main(run)
        assert code in (0, 1), capsys.readouterr().err
        sql = f"select count(*), count(reason) + count(*) filter (accepted) from {recipe.name}.steps"
        rows, told = warehouse().query(sql).fetchall()[0]
        assert rows == told > 0, system


def test_the_cover_has_all_that_the_gallery_is_made_of(project: Path) -> None:
    recipes = {system: small(system) for system in SYSTEMS}
    made_of = {system: set(parts(recipe)) for system, recipe in recipes.items()}

    def questions_of(system: str) -> int:
        recipe = recipes[system]
        return max(1, len(recipe.cells)) * (1 + sum(step.asks for step in recipe.steps.values()))

    left, cover = set().union(*made_of.values()), []
    while left:  # what has most of it for its questions
        cover.append(max(SYSTEMS, key=lambda s: len(made_of[s] & left) / questions_of(s)))
        left -= made_of[cover[-1]]
    missing = set().union(*made_of.values()) - set().union(*(made_of[system] for system in COVER))
    assert not missing, f"in COVER, there is no {sorted(missing)}; a cover is: {' '.join(sorted(cover))}"


def parts(value: Any) -> Iterator[str]:
    """The classes that a recipe consists of; of what asks a model, the settings that it has, too."""
    if isinstance(value, BaseModel):
        kind = type(value)
        yield kind.__qualname__
        if isinstance(value, ToolStep):
            yield f"tool {value.tool}"
        for name in value.model_fields_set:
            if issubclass(kind, (StepBase, Provider, Metrics, Annotator, Recipe)):
                yield f"{kind.__qualname__}.{name}"
            yield from parts(getattr(value, name))
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from parts(each)


def small(system: str) -> Recipe:
    """The recipe of this system with as little to ask as it can have."""
    text = (GALLERY / f"{system}.yaml").read_text(encoding="utf-8")
    for old, new in SMALL.items():
        text = re.sub(f"(?m){old}", new, text)
    path = Path("recipes") / f"like_{system}.yaml"
    path.write_text(text, encoding="utf-8")
    if not Path("data").exists():
        shutil.copytree(GALLERY / "data", "data")
    return load(path)


SMALL = {
    r", (influence|variability): \{[^}]*\}": "",  # a student learns nothing of a row
    r"(student_(agreement|confidence)|loss_mixture): \{[^}]*\}, ": "",
    r"^  learning_dynamics: .*\n": "",
    r"\{from: kept, by: variability, top: 25\}": "kept",
    r", by: top, score: influence": "",
    r"^weights: \{by: (bilevel|learning_to_reweight|token_weights)\}.*\n": "",
    r"^labelled: \{by: (clean_pool|cross_partition).*\n": "",
    r"^student: .*\n": "",
    r"^minimum_yield: .*\n": "",
    r"^rows: \d+": "rows: 1\nminimum_yield: 0.0",
    r"\bsamples: \d+": "samples: 2",
    r"\bk: (\d\d|[3-9])": "k: 2",  # rows that a prompt shows
    r"\bat_least: \d+\}$": "at_least: 1}",  # of a vote
    r"\b(n|breadth|depth): \d+": r"\1: 2",
    r"\bbetween: \[3, 7\]": "between: [1, 1]",
}
