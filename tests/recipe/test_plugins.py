"""Methods of a user's own: the examples of docs/plugins.md, by their place and by their names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.table import design
from synth_assets.generation.steps import chain
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages import tables
from synth_assets.stages.seeds import seed_rows
from tests.conftest import forget
from tests.generation.test_generation import ROUND, Said, Scripted
from tests.test_docs import examples

MODULE = "\n\n".join(examples("python", "docs/plugins.md"))
(SECTIONS,) = [yaml.safe_load(e) for e in examples("yaml", "docs/plugins.md") if e.startswith("conditions:")]


@pytest.fixture
def module(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of the examples, on the path."""
    path = project / "my_methods.py"
    path.write_text(MODULE, encoding="utf-8")
    (project / "places.csv").write_text("city,country\nOslo,Norway\nLima,Peru\n", encoding="utf-8")
    monkeypatch.syspath_prepend(project)
    forget("my_methods")
    yield path
    forget("my_methods")


def with_sections(sections: dict[str, Any]) -> Recipe:
    path = Path("recipes/reviews.yaml")
    recipe = yaml.safe_load(path.read_text(encoding="utf-8")) | sections
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return load(path)


def installed(folder: Path) -> None:
    """What pip leaves of a package that declares them."""
    info = folder / "my_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-methods\nVersion: 1.0\n")
    points = {
        "filters": "exclamations = my_methods:Exclamations",
        "values": "csv = my_methods:Column",
        "steps": "mask = my_methods:Mask",
        "tools": "shout = my_methods:shout",
    }
    lines = [f"[synth_assets.{group}]\n{point}\n" for group, point in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    forget("my_methods")


def run(recipe: Recipe) -> list[dict[str, Any]]:
    seeds, made = seed_rows(recipe), dict[str, Any]()
    conditions = design(recipe, seeds, round_=ROUND, cell="negative", rows=2)
    model = Scripted([Said("one two three four five"), Said("!")], api="chat")
    for stage in recipe.step_stages:
        found = chain.run(recipe, stage, conditions, seeds, model, made, lambda *_: ())
        made[stage] = tables.to_arrow(recipe, stage, found.assign(model=None)).to_pandas()
    return made["generations"].to_dict("records")


def test_the_examples_work_by_their_place(module: Path, capsys: pytest.CaptureFixture) -> None:
    recipe = with_sections(SECTIONS)
    assert main(["check", "reviews"]) == 0, capsys.readouterr().err
    assert "tool         my_methods:shout (step loud)" in capsys.readouterr().out
    assert list(recipe.filters) == ["exclamations", "calm"]
    assert tables.columns(recipe, "filtered")["masked"] == "int64"
    first, second = run(recipe)
    assert {first["place"], second["place"]} <= {"Oslo", "Lima"}
    assert (first["text"], first["masked"], second["text"]) == ("ONE TWO THREE [MASK] FIVE", 1, "!")


def test_the_examples_work_by_their_names_once_installed(module: Path) -> None:
    installed(module.parent)
    recipe = with_sections(
        {
            "conditions": {"place": {"csv": "places.csv", "field": "city"}},
            "steps": {
                "draft": "Write from {{ place }}.",
                "loud": {"tool": "shout", "input": "{{ draft }}"},
                "text": {"mask": "{{ loud }}", "every": 4},
            },
            "filters": {"exclamations": {}, "calm": {"filter": "exclamations", "at_most": 0}},
        }
    )
    assert run(recipe)[0]["text"] == "ONE TWO THREE [MASK] FIVE"
    for old, new, message in [
        ("exclamations", "exclamation", r"mean 'exclamations'.* exclamations \(my-methods 1\.0\), field,"),
        ("csv: places.csv", "cvs: places.csv", r"place: unknown source of values 'cvs'.*csv \(my-methods"),
        ("mask:", "maks:", r"steps\.text: give exactly one of `prompt`.* or `mask` \(my-methods 1\.0\)"),
        ("shout", "shuot", r"steps\.loud\.tool: unknown tool 'shuot'\..*python, retrieve, shout \(my-meth"),
        ("every: 4", "evry: 4", r"steps\.text\.evry: unknown field 'evry'\. Did you mean 'every'"),
        ("field: city", "feild: city", r"conditions\.place\.feild: unknown field 'feild'"),
    ]:
        text = Path("recipes/reviews.yaml").read_text(encoding="utf-8")
        Path("recipes/wrong.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(UserError, match=message):
            load(Path("recipes/wrong.yaml"))


def test_a_name_that_is_taken_is_refused_with_both_places(module: Path) -> None:
    module.write_text(MODULE.replace('"exclamations"', '"words"'), encoding="utf-8")
    both = (
        r"filter 'words' is there twice: synth_assets\.curation\.filters\.rules:Words \(built in\) and my_met"
    )
    with pytest.raises(UserError, match=both):
        with_sections({"filters": {"my_methods:Exclamations": {}}})
    installed(module.parent)
    with pytest.raises(UserError, match=r"'exclamations': my_methods:Exclamations .* has another `name`"):
        with_sections({"filters": {"exclamations": {}}})


EDITED = ["filters", "scorers", "conditions", "steps.loud", "steps.text"]


def test_an_edit_of_a_plug_in_makes_stale_what_uses_it(module: Path) -> None:
    with_sections(SECTIONS)
    sections = [*EDITED, "steps.draft", "seeds", "values", "labels", "annotator", "metrics"]

    def versions() -> dict[str, str]:
        forget("my_methods")
        recipe = load(Path("recipes/reviews.yaml"))
        return {section: recipe.version(section) for section in sections}

    before = versions()
    module.write_text(MODULE.replace("text.upper()", "text.title()"), encoding="utf-8")
    after = versions()
    assert [section for section in sections if before[section] != after[section]] == EDITED


def test_loading_a_recipe_imports_only_the_methods_that_it_names(module: Path) -> None:
    with_sections({"conditions": {"length": {"number": [1, 9]}, "label": "labels"}})
    code = """if 1:
        import sys
        from pathlib import Path
        from synth_assets.core.registry import FILTERS, STEPS, TOOLS, VALUES
        from synth_assets.recipe.load import load
        load(Path("recipes/reviews.yaml"))
        every = [e.target for r in (FILTERS, VALUES, STEPS, TOOLS) for e in r.known.values()]
        modules = {target.partition(":")[0] for target in every}
        print(*sorted(m.rpartition("synth_assets.")[2] for m in modules & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [
        "curation.filters.duplicates",
        "curation.filters.rules",
        "generation.conditions.drawn",
        "generation.steps.prompt",
    ], done.stderr
