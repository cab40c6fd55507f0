"""The rules of filters: bounds, the best of a group, and where they end."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from synth_assets.cli import main
from synth_assets.contracts.filter import Context
from synth_assets.core.registry import FILTERS
from synth_assets.curation.keep import ended, keep
from synth_assets.recipe.load import load
from tests.assets.test_round import ROUND, ask

CONTEXT = Context(verbalizers={})


def scored(*words: float | None, label: str = "a") -> pd.DataFrame:
    """Rows whose number of words is known; one letter of `label` a row, or one for all."""
    labels = list(label) if len(label) > 1 else [label] * len(words)
    ids = [f"r{i}" for i in range(len(words))]
    return pd.DataFrame({"row_id": ids, "label": labels, "cell": labels, "text": ids, "words": list(words)})


def kept_by(rows: pd.DataFrame, **rule: object) -> tuple[list[str], set[str]]:
    kept, dropped = keep(rows, [FILTERS.find("words").model_validate(rule)], CONTEXT)
    return list(kept["row_id"]), set(dropped["threshold"])


@pytest.mark.parametrize(
    ("rule", "rows", "words"),
    [
        ({"at_least": 3}, ["r0", "r1", "r3"], "at least 3"),  # inclusive
        ({"top": 1}, ["r0", "r3"], "among the best 1 of its label"),
        ({"top": 1, "per": "all"}, ["r3"], "among the best 1 of all"),
        ({"top": 1, "lowest": True, "per": "cell"}, ["r2", "r5"], "among the lowest 1 of its cell"),
        ({"share": 0.5}, ["r0", "r1", "r3"], "among the best 50 % of its label"),
        ({"share": 0.5, "per": "all"}, ["r0", "r1", "r3"], "among the best 50 % of all"),
        ({"top": 1, "at_most": 3}, ["r0", "r5"], "at most 3 and among the best 1 of its label"),
    ],
)
def test_a_rule_and_its_words(rule: dict, rows: list[str], words: str) -> None:
    """Equal scores: the first row stays. An unknown score never does, and is not counted in a share."""
    assert kept_by(scored(3, 3, 1, 9, None, 2, label="aaabbb"), **rule) == (rows, {words})


def test_rows_without_a_label_are_one_group() -> None:
    rows = scored(1, 2, 3).assign(label=None, cell=["1", "2", "3"])
    assert kept_by(rows.drop(columns="cell"), top=2) == (["r1", "r2"], {"among the best 2 of all"})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"top": 1, "share": 0.5}, "top and share both"),
        ({"lowest": True}, "add one of them"),
        ({"per": "cell"}, "add one of them"),
        ({"top": 0}, "greater than or equal to 1"),
        ({"share": 1.5}, "less than or equal to 1"),
    ],
)
def test_rules_that_mean_nothing_are_refused(rule: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FILTERS.find("words").model_validate(rule)


def test_filters_end_where_a_cell_has_no_row_left() -> None:
    rules = {"words": {"at_least": 3}, "duplicate": {}}
    filters = [FILTERS.find(name).model_validate(rule) for name, rule in rules.items()]
    kept, dropped = keep(scored(3, 4, 1, 2, label="aabb").assign(text="same"), filters, CONTEXT)
    assert list(kept["row_id"]) == ["r0", "r1"]  # copies, which nobody looked for any more
    assert list(kept["duplicate"]) == [None, None]
    assert set(dropped["scorer"]) == {"words"}
    end = ended(filters, kept, dropped)
    assert end
    assert (end.filter.name, end.few) == ("duplicate", {"b": 0})


def test_filters_end_before_one_that_needs_more_rows_than_are_left() -> None:
    """Students need ten rows of each label; twelve of b are left, and four of a."""
    rules = {"words": {"at_least": 3}, "student_agreement": {}, "duplicate": {}}
    filters = [FILTERS.find(name).model_validate(rule) for name, rule in rules.items()]
    kept, dropped = keep(scored(*[1] * 8, *[3] * 16, label="a" * 12 + "b" * 12), filters, CONTEXT)
    assert kept["label"].value_counts().to_dict() == {"b": 12, "a": 4}
    assert kept[["student_agreement", "student_label", "duplicate"]].isna().all(axis=None)
    words = "the filter student_agreement needs 10 rows of each of two labels or more, there are 4 a"
    assert str(ended(filters, kept, dropped)) == words
    assert ended(filters[:1], kept, dropped) is None


def test_a_moved_rule_asks_nothing_again(project: Path, edit) -> None:
    before = load(project / "recipes" / "reviews.yaml").version("scorers")
    after = load(edit("words: {between: [2, 40]}", "words: {top: 5, per: all, lowest: true}"))
    assert after.version("scorers") == before


def test_a_cell_that_a_filter_emptied_is_a_red_check_that_names_the_filter(
    project: Path, endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("words: {between: [2, 40]}", "words: {top: 3, per: all}\n  student_confidence: {}")
    endpoint.say = lambda body: (
        f"so {body['seed']}"
        if "positive" in body["messages"][-1]["content"][-30:]
        else f"and so {body['seed']}"
    )
    assert main(["run", "reviews", "--round", ROUND]) == 1
    error = capsys.readouterr().err
    assert (
        "check rows_present: no row is left of positive. student_confidence and the filters behind it were "
        "not applied. The filter words dropped most of them (6). Ask for more rows, or loosen words." in error
    )
    assert "Traceback" not in error
    assert ask("select distinct scorer, threshold from reviews.rejected") == [
        ("words", "among the best 3 of all")
    ]
    assert ask("select count(*), count(student_confidence) from reviews.filtered") == [(3, 0)]


def test_a_filter_that_needs_more_rows_than_are_left_is_a_red_check_too(
    project: Path, endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """Five rows are left of one label, and twelve of the other: too few for students."""
    edit("rows: 6", "rows: 12")
    edit(
        "words: {between: [2, 40]}", "words: {between: [2, 40]}\n  pattern: {pattern: so.*}\n  influence: {}"
    )
    asked = iter(range(24))
    endpoint.say = lambda body: (
        f"so {body['seed']}"
        if "positive" in body["messages"][-1]["content"][-30:] or next(asked) < 5
        else f"and so {body['seed']}"
    )
    assert main(["run", "reviews", "--round", ROUND]) == 1
    error = capsys.readouterr().err
    assert (
        "check rows_present: the filter influence needs 10 rows of each of two labels or more, "
        "there are 5 negative. influence and the filters behind it were not applied. The filter pattern "
        "dropped most of them (7). Ask for more rows, or loosen pattern." in error
    )
    assert "Traceback" not in error
    counts = "select count(*), count(influence), count(duplicate) from reviews.filtered"
    assert ask(counts) == [(17, 0, 0)]


@pytest.mark.parametrize("bound", ["at_least", "at_most"])
def test_a_bound_is_a_number(bound: str) -> None:
    with pytest.raises(ValidationError, match="is no number to work with"):
        FILTERS.find("words").model_validate({bound: float("nan")})
