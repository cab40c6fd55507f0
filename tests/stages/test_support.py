"""Seeds from the user's table: types, what is left out and said, and splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synth_assets.core.errors import UserError
from synth_assets.core.values import equal, named
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import home
from synth_assets.stages.seeds import seeds_of
from synth_assets.stages.support import Support, as_text, of_kind

LABELS = {"neg": "they did not like it", "pos": "they liked it"}


def recipe_of(seeds: dict[str, Any], **more: Any) -> Recipe:
    recipe = {"task": {"classify": LABELS}, "seeds": seeds, "steps": {"text": "a"}, "rows": 1}
    return inline({**recipe, **more}, "made")


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The seeds of a file with this content."""
    monkeypatch.chdir(tmp_path)

    def made(content: str, name: str = "a.csv", **section: Any) -> Support:
        Path(name).write_text(content, encoding="utf-8")
        return seeds_of(recipe_of({"file": name, "splits": {"test": 0}, **section}))

    return made


def splits(found: Support) -> dict[str, Counter[str]]:
    return {split: Counter(rows["label"]) for split, rows in found.rows.groupby("split")}


def test_what_is_left_out_is_counted_and_said(seeds) -> None:
    found = seeds(
        '{"text": "a", "label": "pos"}\n{"text": null, "label": "pos"}\n{"label": "pos"}\n'
        '{"text": "b", "label": null}\n{"text": "a", "label": "neg"}\n{"text": "a ", "label": "pos"}\n',
        "a.jsonl",
    )
    assert found.rows["text"].tolist() == ["a"]
    assert found.said == [
        "2 rows left out (no text): the first is a.jsonl:2",
        "1 row left out (no label): the first is a.jsonl:4: 'b'",
        "1 row left out (there already, with another label): the first is a.jsonl:5: 'a' is neg, and pos in "
        "a.jsonl:1",
        "1 row left out (there already): the first is a.jsonl:6: 'a'",
    ]
    assert (found.read, found.first[0][:23]) == ("utf-8, JSON, 6 rows", "a.jsonl:1: text 'a', la")


def test_fields_keep_what_the_file_says(seeds) -> None:
    rows = '{"text": "a", "label": 1, "year": 2020, "of": ["x", "y"]}\n{"text": "b", "label": null}\n' + (
        '{"text": "c", "label": 0, "year": null, "of": []}\n'
    )
    values = {1: "pos", 0: "neg"}
    years = seeds(rows, "a.jsonl", fields=["year"], label_values=values).rows.set_index("text")["year"]
    assert (years["a"], pd.isna(years["c"])) == ("2020", True)
    kinds = {"year": "integer", "of": ["text"]}
    typed = seeds(rows, "a.jsonl", fields=kinds, label_values=values).rows.set_index("text")
    assert typed.loc["a", ["year", "of"]].tolist() == [2020, ["x", "y"]]
    listed = as_text(pd.Series([np.array(["x", "y"]), ["x", "y"], None], dtype=object))  # of an Arrow table
    assert listed == ["['x', 'y']", "['x', 'y']", None]
    assert typed.loc["c", ["year", "of"]].tolist() == [None, []]
    large = seeds("text,label,n\na,pos,1234567890123456789\n", fields={"n": "integer"}).rows
    assert large["n"].tolist() == [1234567890123456789]
    with pytest.raises(UserError, match=r"seeds\.fields\.n: 'many' \(a\.csv:3\) is no number"):
        seeds("text,label,n\na,pos,1\nb,neg,many\n", fields={"n": "number"})


@pytest.mark.parametrize(
    ("said", "value", "same"),
    [
        (5, 5.0, True),
        (5, "5.0", True),
        (5, "05", False),
        (5, "9" * 5_000, False),
        (9007199254740993, 9007199254740992, False),
        ("5", "5.0", False),
        (True, "TRUE", True),
        (True, 1, False),
        ("true", "TRUE", False),
        (None, float("nan"), True),
        ("", None, False),
    ],
)
def test_a_value_of_yaml_and_one_of_a_file_are_equal_by_one_rule(said: Any, value: Any, same: bool) -> None:
    assert equal(said, value) is same


def test_labels_are_named_by_the_same_rule() -> None:
    assert [named(value, ["1", "True"]) for value in (1, 1.0, "1.0", True, "true", "2")] == [
        *("1", "1", "1", "True", "True", None)
    ]
    assert [of_kind("2.0", "integer"), of_kind("TRUE", "boolean"), of_kind('["a"]', ("text",))] == [
        2,
        True,
        ["a"],
    ]


def test_a_where_of_a_truth_value_finds_it_in_a_csv(seeds) -> None:
    rows = "text,label,sure\na,pos,true\nb,neg,TRUE\nc,neg,false\n"
    assert set(seeds(rows, where={"sure": True}).rows["text"]) == {"a", "b"}


def many(rare: int, of: int = 1000) -> str:
    return "text,label\n" + "".join(f"text {i},{'pos' if i < rare else 'neg'}\n" for i in range(of))


def test_a_test_split_has_the_labels_own_shares_where_there_are_too_few_of_one(seeds) -> None:
    found = seeds(many(50), splits={"demonstration": 32, "test": 200})
    assert splits(found)["test"] == {"neg": 190, "pos": 10}
    assert splits(found)["demonstration"] == {"neg": 16, "pos": 16}
    assert "the labels' own shares" in found.said[0]
    assert splits(seeds(many(200), splits={"test": 200}))["test"] == {"neg": 100, "pos": 100}  # as ever
    one = seeds(many(1), draw="stratified", splits={"demonstration": 8, "test": 0.2})
    assert splits(one) == {
        "demonstration": {"neg": 7, "pos": 1},
        "test": {"neg": 200},
        "unlabeled": {"neg": 792},
    }
    equal_ = seeds(many(200), draw="stratified", splits={"test": {"rows": 100, "labels": "equal"}})
    assert splits(equal_)["test"] == {"neg": 50, "pos": 50}


def test_copies_are_on_one_side_where_the_draw_is_stratified(seeds) -> None:
    rows = "text,label\n" + "".join(
        f"Film {i} caf\u00e9,pos\nfilm {i} CAFE\u0301!,pos\nno {i},neg\n" for i in range(30)
    )
    asked = {"demonstration": 8, "test": 8}
    as_ever = seeds(rows, splits=asked)
    assert "differs in case or punctuation only" in as_ever.said[-1]
    found = seeds(rows, splits=asked, draw="stratified")
    found.rows["film"] = found.rows["text"].str.extract(r"(\d+)")[0] + found.rows["label"]
    assert set(found.rows.groupby("film")["split"].nunique()) == {1}
    assert {split: sum(of.values()) for split, of in splits(found).items()} == {**asked, "unlabeled": 74}


def test_a_row_is_its_text_and_fields_where_the_draw_is_stratified(seeds) -> None:
    rows = "premise,hypothesis,label\n" + "".join(
        f"p{i},h{j},{'pos' if j else 'neg'}\n" for i in range(9) for j in (0, 1)
    )
    section = {"text": "premise", "fields": ["hypothesis"]}
    found = seeds(rows, **section, draw="stratified")
    assert (len(found.rows), found.rows["row_id"].nunique(), found.said) == (18, 18, [])
    assert "9 rows left out (there already, with another label)" in seeds(rows, **section).said[0]


def test_splits_of_files_and_of_columns(seeds, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,label\nText 3!,neg\nunseen,pos\n", encoding="utf-8")
    found = seeds(many(10, 20), splits={"demonstration": 4, "test": {"file": "test.csv"}})
    assert splits(found)["test"] == {"neg": 1, "pos": 1}
    assert "1 row left out (a copy of it is in another split): the first is a.csv:5" in found.said[0]
    (tmp_path / "test.csv").write_text("text,label\ntext 3,neg\n", encoding="utf-8")  # letter by letter
    found = seeds(many(10, 20), splits={"demonstration": 4, "test": {"file": "test.csv"}})
    assert found.rows["split"][found.rows["text"] == "text 3"].tolist() == ["test"]
    rows = "text,label,fold\n" + "".join(
        f"t{i},pos,{fold}\n" for i, fold in enumerate(["train", "dev", "test", ""] * 3)
    )
    by_column = seeds(rows, splits={"column": "fold"})
    assert Counter(by_column.rows["split"]) == dict.fromkeys(["demonstration", "validation", "test"], 3) | {
        "unlabeled": 3
    }
    drawn = seeds(rows, splits={"column": "fold", "demonstration": 1, "values": {"dev": "test"}})
    assert Counter(drawn.rows["split"]) == {"test": 6, "unlabeled": 5, "demonstration": 1}
    of_numbers = seeds(
        "text,label,fold\na,pos,1.0\nb,pos,\n", splits={"column": "fold", "values": {"1": "test"}}
    )
    assert Counter(of_numbers.rows["split"]) == {"test": 1, "unlabeled": 1}
    with pytest.raises(UserError, match=r"'held out' \(a\.csv:2\) is no split.*values: \{held out: test\}"):
        seeds("text,label,fold\na,pos,held out\n", splits={"column": "fold"})


def test_an_edited_file_of_a_split_makes_the_seeds_stale_also_beside_an_asset(project: Path) -> None:
    recipe = recipe_of({"asset": "my/table", "splits": {"test": {"file": "test.csv"}}})
    versions = set()
    for text in ("a", "another"):
        (project / "test.csv").write_text(f"text,label\n{text},pos\n", encoding="utf-8")
        versions.add(recipe.version("seeds"))
    assert len(versions) == 2


def test_what_another_recipe_made_is_seeds(project: Path) -> None:
    with pytest.raises(UserError, match=r"no rows of weighted yet: `synth run other`"):
        seeds_of(recipe_of({"file": "stage://other/weighted", "splits": {"test": 0}}))
    for day, text in (("2026-11-21", "old"), ("2026-11-22", "new")):
        rows = pa.table({"text": [text], "label": ["pos"]})
        home.lake().write("other", "weighted", {"round": day}, rows)
    found = seeds_of(recipe_of({"file": "stage://other/weighted", "splits": {"test": 0}}))
    assert found.rows["text"].tolist() == ["new"]


def test_a_file_of_which_nothing_is_left_says_why(seeds) -> None:
    found = seeds('text,label\n" ",pos\n,neg\n')
    assert (len(found.rows), found.said[0][:30]) == (0, "2 rows left out (no text): the")
