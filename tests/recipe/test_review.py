"""The section `review`."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from tests.test_docs import examples

RECIPE = """
task: {classify: {negative: bad, positive: good}}
conditions: {label: labels}
steps: {text: "a {{ label }} text"}
rows: 3
"""


def recipe(folder: Path, section: str, text: str = RECIPE) -> Recipe:
    path = folder / "reviews.yaml"
    path.write_text(f"{text}{section}\n", encoding="utf-8")
    return load(path)


def test_an_empty_section_has_good_defaults(tmp_path: Path) -> None:
    assert recipe(tmp_path, "").review is None
    review = recipe(tmp_path, "review: {}").review
    assert review is not None
    assert (review.ask, review.show, review.by_people) == ("label", "blind", "majority")
    assert review.agreement is not None
    assert review.agreement.at_least == 0.8
    assert recipe(tmp_path, "review: {agreement: null}").review.agreement is None


def test_the_guide_says_what_a_recipe_may_say(tmp_path: Path) -> None:
    sections = examples("yaml", "docs/people.md")
    assert len(sections) == 2
    for section in sections:
        assert recipe(tmp_path, section).review is not None


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("review: {control: 2}", "review.control"),
        ("review: {ask: rating, agreement: {at_least: 0.9}}", "review.agreement: this is of labels"),
        ("review: {by: chance}", "review.by"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, section: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        recipe(tmp_path, section)


def test_what_people_decided_is_shown_where_prompts_show_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"review\.demonstrations: no prompt shows rows"):
        recipe(tmp_path, "review: {demonstrations: true}")


def test_labels_are_asked_where_rows_have_some(tmp_path: Path) -> None:
    text = 'task: {text: post}\nsteps: {text: "a text"}\nrows: 3\n'
    with pytest.raises(UserError, match=r"review\.ask: rows have no label: write `ask: rating`"):
        recipe(tmp_path, "review: {}", text)
    assert recipe(tmp_path, "review: {ask: rating}", text).review.ask == "rating"
