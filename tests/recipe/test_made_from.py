"""What has changed since a stage was made, in the recipe's own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synth_assets.recipe.load import load
from synth_assets.recipe.made_from import changes, in_short, made_from


@pytest.mark.parametrize(
    ("sections", "old", "new", "words"),
    [
        (["rows"], "rows: 6", "rows: 8", "rows 6 -> 8"),
        (["filters"], "between: [2, 40]", "between: [2, 30]", "filters.words.at_most 40.0 -> 30.0"),
        (["filters"], "  duplicate: {}\n", "", "gone: filters.duplicate.at_most"),
        (
            ["conditions"],
            "angry, calm, witty",
            "angry, calm, dry",
            "gone: conditions.tone.witty; new: conditions.tone.dry 1.0",
        ),
        (
            ["codebook"],
            "the reviewer liked it",
            "a fan wrote this review",
            'task.classify.positive.definition: "the reviewer liked it" -> "a fan wrote this review"',
        ),
        (["labels"], "positive: the", "good: the", "new: task.classify.good.definition the reviewer"),
        (
            ["steps.text"],
            "{{ label }} ({{ tone }}):",
            "{{ label }} [{{ tone }}]:",
            'steps.text.complete: "({{ tone }}):" -> "[{{ tone }}]:", after "}}"',
        ),
        (["steps.text"], "max_tokens: 30", "max_tokens: 40", "steps.text.max_tokens 30 -> 40"),
        (["steps.text"], "rows: 6", "rows: 6\nmodel: gpt-4.1-mini", "model embedded -> gpt-4.1-mini"),
    ],
)
def test_an_edit_is_told_in_words(
    project: Path, edit: Callable[[str, str], Path], sections: list[str], old: str, new: str, words: str
) -> None:
    path = project / "recipes" / "reviews.yaml"
    before = made_from(load(path), *sections)
    if "good" in new:
        (project / "seeds.csv").write_text((project / "seeds.csv").read_text().replace("positive", "good"))
    edit(old, new)
    assert words in in_short(changes(before, made_from(load(path), *sections)))


def test_another_file_of_seeds_is_told(project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    before = made_from(recipe, "seeds")
    with (project / "seeds.csv").open("a") as file:
        file.write("one more,negative\n")
    assert changes(before, made_from(recipe, "seeds")) == [f"what stands in {project}/seeds.csv has changed"]


def test_a_threshold_is_no_change_of_the_scores(project: Path, edit: Callable[[str, str], Path]) -> None:
    path = project / "recipes" / "reviews.yaml"
    before = made_from(load(path), "scorers")
    edit("between: [2, 40]", "between: [2, 30]")
    assert changes(before, made_from(load(path), "scorers")) == []


def test_many_changes_are_cut_short() -> None:
    lines = changes({}, dict.fromkeys("abcde", 1))
    assert in_short(lines) == "new: a 1; new: b 1; new: c 1; and 2 more changes"


def test_an_address_is_kept_without_what_may_be_secret_in_it(project: Path) -> None:
    path = project / "recipes" / "reviews.yaml"
    text = path.read_text(encoding="utf-8")
    model = '\nmodel: {name: m, base_url: "https://me:hush@host/v1?api-key=hush"}\n'
    path.write_text(text + model, encoding="utf-8")
    said = made_from(load(path), "steps.text", "model")
    assert said["model.base_url"] == "https://host/v1"
    assert "hush" not in str(said)
