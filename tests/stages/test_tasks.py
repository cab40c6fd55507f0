"""Pairs, numbers and spans through the stages, on small and on real data."""

from __future__ import annotations

import csv
import json
import re
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from synth_assets.commands.export import export
from synth_assets.commands.sample import sample_rows
from synth_assets.contracts.filter import Context, Filter
from synth_assets.contracts.reading import Reading
from synth_assets.core.errors import UserError
from synth_assets.core.registry import FILTERS
from synth_assets.core.text.pairs import MARK, both
from synth_assets.curation.keep import keep
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.storage.sources import read_rows
from synth_assets.stages.scores import scoring
from synth_assets.stages.seeds import seed_rows, seeds_of
from synth_assets.students.classifier import Student
from synth_assets.students.tfidf import Tfidf
from tests.gallery import Asks, Model, Say
from tests.test_docs import ROOT
from tests.through import encode, through

SHARED = ROOT.parent / "shared" / "data"
LABELS = {"yes": "so it is", "no": "it is not"}
PAIRS = """premise,text,label
it rains,one is wet,yes
it rains,one is wet,yes
it snows,one is wet,yes
a long premise of more than eight words about a lake,one is dry,no
it is hot,one is dry,no
"""
CONLL = """-DOCSTART- -X- O O

# id = 1
Ann\tNNP\tB-person
Lee\tNNP\tI-person
sings\tVBZ\tO
.\t.\tO

Oslo NNP I-place
is VBZ O
cold JJ O
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    return tmp_path


def recipe(task: dict[str, Any], **more: Any) -> Recipe:
    usual = {
        "student": {"features": "tfidf"},
        "metrics": {"diversity": False, "faithfulness": False},
        "rows": 4,
        "model": "a",
    }
    return inline({"task": task, "steps": {"text": "Write."}, **usual, **more}, "guide")


def pairs(folder: Path, **more: Any) -> Recipe:
    (folder / "pairs.csv").write_text(PAIRS, encoding="utf-8")
    seeds = {"file": "pairs.csv", "fields": ["premise"], "splits": {"demonstration": 2, "test": 2}}
    task = {"classify": LABELS, "pair": "premise", "text": "hypothesis", "label": "truth"}
    return recipe(task, seeds=seeds, conditions={"premise": ["it rains"]}, **more)


def test_seeds_are_copies_if_both_texts_are(folder: Path) -> None:
    found = seeds_of(pairs(folder))
    assert sorted(found.rows["premise"][found.rows["text"] == "one is wet"]) == ["it rains", "it snows"]
    assert list(found.said) == ["1 row left out (there already): the first is pairs.csv:3: 'one is wet'"]


def test_people_who_label_see_both(folder: Path) -> None:
    rows = pd.DataFrame([{"row_id": "1", "text": "it is loud", "premise": "it thunders"}])
    run: Any = SimpleNamespace(recipe=pairs(folder), round="2026-01-01", read=lambda *_: rows)
    list(sample_rows(run, 5, 0, Path("people.csv")))
    (row,) = csv.DictReader((folder / "people.csv").open(encoding="utf-8"))
    assert (row["premise"], row["text"]) == ("it thunders", "it is loud")
    run.read = lambda *_: rows.iloc[:0]
    with pytest.raises(UserError, match="no row of 2026-01-01 was kept"):
        list(sample_rows(run, 5, 0, Path("none.csv")))


def test_a_row_without_the_other_text_has_its_own_alone() -> None:
    rows = pd.DataFrame({"text": ["one", "two"], "premise": [float("nan"), None]})
    assert list(both(rows, "premise")["text"]) == [f"one{MARK}", f"two{MARK}"]


def test_a_mark_in_a_text_makes_no_pair_of_it() -> None:
    rows = pd.DataFrame({"text": [f"a{MARK}b", "c"], "premise": [f"d{MARK}e", None]})
    assert list(both(rows, None)["text"]) == ["a b", "c"]
    assert list(both(rows, "premise")["text"]) == [f"a b{MARK}d e", f"c{MARK}"]


def test_the_annotator_is_asked_about_both_and_shown_both(folder: Path) -> None:
    made = pairs(folder, filters={"label_agreement": {}})
    model = Model(lambda *_: "yes")
    encoder: Any = SimpleNamespace(encode=encode, folder=Path)
    run = Asks(made, lake=None, encoder=encoder, model_of=model)
    rows = pd.DataFrame([{"row_id": "1", "text": "one is loud", "premise": "it thunders", "label": "yes"}])
    looks = scoring(run, seed_rows(made))
    rule = made.filters["label_agreement"]
    rule.measure(rule.reads(rows, looks), looks)
    (prompt,) = model.prompts
    assert prompt.endswith("Hypothesis: one is loud\nPremise: it thunders\nTruth:")
    assert "Hypothesis: one is dry\nPremise: " in prompt


@pytest.mark.parametrize(
    "task", [{"classify": LABELS, "pair": "score"}, {"pair": "score"}, {"predict": {"number": "score"}}]
)
def test_a_recipe_without_seeds_makes_its_rows(folder: Path, task: dict[str, Any]) -> None:
    made = recipe(task, conditions={"score": [1, 2]}, filters={"duplicate": {}, "contamination": {}})
    numbers = count()
    done = through(made, lambda *_: f"text {next(numbers)}", folder)
    assert len(done.rows("weighted")) == 4 * len(made.cells)
    assert set(done.rows("weighted")["score"].astype(int)) == {1, 2}


WRITTEN = [  # premise, text
    ("it thunders tonight", "one is loud"),
    ("he sings at home", "one is loud"),  # the same text of another premise
    ("it thunders tonight", "one is loud"),
    ("so a long premise of more than eight words about a lake", "nothing is left"),  # as a test row's
]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        *((rule, [0, 1, 3]) for rule in ("duplicate", "near_duplicate", "semantic_duplicate", "novelty")),
        ("contamination", [0, 1, 2]),
    ],
)
def test_likeness_is_that_of_both_texts(rule: str, kept: list[int]) -> None:
    filter_: Filter = FILTERS.find(rule)()
    rows = pd.DataFrame(WRITTEN, columns=["premise", "text"]).assign(label="yes", cell="yes", at=range(4))
    test = f"nothing{MARK}a long premise of more than eight words about a lake"
    looks = Context(verbalizers={}, held_out=[test], encode=encode, pair="premise")
    rows = rows.assign(**filter_.measure(filter_.reads(rows, looks), looks))
    assert list(keep(rows, [filter_], looks)[0]["at"]) == kept
    assert list(keep(rows, [filter_], looks)[0]["text"]) == [WRITTEN[at][1] for at in kept]


NAMED = {"predict": {"spans": "marked", "of": ["person", "place"]}}


def named(folder: Path, conll: str = CONLL, **more: Any) -> Recipe:
    (folder / "a.conll").write_text(conll, encoding="utf-8")
    seeds = {"file": "a.conll", "fields": ["marked"], "splits": {"demonstration": 1, "test": 1}}
    return recipe(NAMED, seeds=seeds, conditions={"marked": [SENTENCE]}, **more)


SENTENCE = "<place>New Oslo</place> is cold."


def test_conll_comes_in_as_marked_text(folder: Path) -> None:
    rows = seed_rows(named(folder))
    assert set(rows["marked"]) == {"<person>Ann Lee</person> sings .", "<place>Oslo</place> is cold"}
    with pytest.raises(UserError, match="'animal' is none of person, place, as of the row 'Ann Lee"):
        seed_rows(named(folder, CONLL.replace("B-person", "B-animal")))
    with pytest.raises(UserError, match=r"line 4 ends with no tag \(O, B-kind, I-kind\)"):
        seed_rows(named(folder, CONLL.replace("B-person", "")))
    seeds = seed_rows(named(folder, CONLL.replace("Ann\t", "10\xa0000\t")))
    assert "10\xa0000 Lee sings ." in set(seeds["text"])  # a token may have a blank that parts no word


def test_columns_of_tokens_and_tags_are_read_as_conll(folder: Path) -> None:
    lines = [{"words": ["Ann", "Lee", "sings"], "ner": [1, 2, 0]}, {"words": ["Oslo"], "ner": [3]}]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    read = {"tokens": "words", "tags": "ner", "names": ["O", "B-person", "I-person", "B-place"]}
    seeds = {"file": "a.jsonl", "read": read, "fields": {"spans": ["text"], "kinds": ["text"]}}
    predict = {"spans": "spans", "kinds": "kinds", "of": ["person", "place"]}
    steps = {"text": {"prompt": "Write.", "output": {"text": "text", "spans": ["text"], "kinds": ["text"]}}}
    made = recipe({"predict": predict}, seeds={**seeds, "splits": {"demonstration": 2}}, steps=steps)
    rows = seed_rows(made).set_index("text")
    assert dict(rows["spans"]) == {"Ann Lee sings": ["Ann Lee"], "Oslo": ["Oslo"]}
    no_sentences = ([], None, "B-person", [1, 2], [7], [-100])
    for wrong in [*({"words": ["Ann"], "ner": tags} for tags in no_sentences), {"words": [1], "ner": [1]}]:
        (folder / "a.jsonl").write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(UserError, match=r"a.jsonl: line 1: `words` .* a list of texts, `ner` one of"):
            seed_rows(made)


def test_tokens_and_tags_are_read_of_a_file_that_has_the_text_too(folder: Path) -> None:
    rows = {"text": ["Ann  sings", ""], "t": [["Ann", "sings"], []], "n": [[1, 0], []]}
    pd.DataFrame(rows).to_parquet("a.parquet")
    read = Reading(tokens="t", tags="n", names=["O", "B-person"])
    assert list(read_rows("a.parquet", read, ["text"])["marked"]) == ["<person>Ann</person> sings", ""]


def test_spans_go_out_as_tokens_with_tags_and_are_seeds_again(folder: Path) -> None:
    steps = {"text": {"tool": "unmark", "input": "{{ marked }}"}}
    made = named(folder, steps=steps, rows=1, filters={"target": {}})
    through(made, lambda *_: "", folder / ".synth")
    assert export(made, folder / "out", "conll").total() == 1
    out = folder / "out" / "train.conll"
    assert out.read_text() == "New\tB-place\nOslo\tI-place\nis\tO\ncold\tO\n.\tO\n\n"
    card = (folder / "out" / "README.md").read_text()
    assert "- token-classification" in card
    assert "configs:" not in card  # of the files that `datasets` loads
    again = set(seed_rows(named(folder, f"{CONLL}\n{out.read_text()}"))["marked"])
    assert "<place>New Oslo</place> is cold ." in again
    other = {"text": {"tool": "normalise", "input": "{{ marked }}"}}
    through(unread := named(folder, steps=other, rows=1), lambda *_: "", folder / ".synth")
    counts = [export(unread, folder / kind, kind).total() for kind in ("jsonl", "conll")]
    assert counts == [1, 0]  # spans that cannot be read are left out, and do not count
    with pytest.raises(UserError, match="--format conll is of spans"):
        export(pairs(folder), folder / "other", "conll")


def test_a_round_that_is_worse_than_the_last_one_is_told_by_the_measure_of_its_task(folder: Path) -> None:
    """The model scores rightly in the first round, and in the second the other way round."""
    words = ["awful", "weak", "decent", "fine", "superb"]
    rows = [{"text": f"a {words[i % 5]} film {i}", "score": i % 5 + 1} for i in range(60)]
    (folder / "scores.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    numbers = count()
    more = {
        "seeds": {"file": "scores.jsonl", "fields": {"score": "number"}, "splits": {"test": 30}},
        "conditions": {"word": dict.fromkeys(words, 1)},
        "steps": {"text": {"prompt": "A {{ word }} film.", "output": {"text": "text", "score": "number"}}},
        "rows": 40,
    }
    made = recipe({"predict": {"number": "score"}}, **more)

    def say(turned: bool) -> Say:
        def answer(prompt: str, *_: Any) -> str:
            word = next(w for w in words if w in prompt)
            score = words.index(word) + 1
            return json.dumps({"text": f"{word} {next(numbers)}", "score": 6 - score if turned else score})

        return answer

    through(made, say(turned=False), folder, "2026-11-22")
    after = through(made, say(turned=True), folder, "2026-11-23")
    assert after.metric("rmse_change", "weighted, against 2026-11-22") < 0
    (verdict,) = after.made["metrics"][0].verdicts["accuracy_holds"]
    assert not verdict.fine
    assert verdict.words.startswith("rmse ")


def test_rounds_of_numbers_go_by_the_rows_that_a_student_is_furthest_off(folder: Path) -> None:
    """The model scores one word wrongly: the next round is shown real rows of it, and draws it more often."""
    words = ["awful", "weak", "decent", "superb"]
    rows = [
        {"text": f"a {w} film {i}", "score": 3.0 * at, "word": w}
        for at, w in enumerate(words)
        for i in range(10)
    ]
    (folder / "scores.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    numbers = count()
    made = recipe(
        {"predict": {"number": "score"}},
        seeds={
            "file": "scores.jsonl",
            "fields": {"score": "number", "word": "text"},
            "splits": {"validation": 24, "test": 8},
        },
        conditions={"word": words, "off": {"rows": {"from": "validation", "by": "error", "top": 3}}},
        steps={
            "text": {"prompt": "A {{ word }} film. {{ off }}", "output": {"text": "text", "score": "number"}}
        },
        rows=40,
        feedback={"rows": "error"},
    )

    def say(prompt: str, *_: Any) -> str:
        at = words.index(prompt.split()[1])
        return json.dumps({"text": f"a {words[at]} film {next(numbers)}", "score": 0 if at == 3 else 3 * at})

    first, second = (through(made, say, folder, day) for day in ("2026-11-22", "2026-11-23"))
    of = first.rows("signals").dropna(subset="attribute_value").set_index("attribute_value")["value"]
    assert of.idxmax() == "superb"
    assert of["superb"] > 5  # the mean absolute error, in points
    assert first.rows("conditions")["off_signal"].isna().all()
    shown = second.rows("conditions")
    assert all("superb" in text for text in shown["off"])
    assert (shown["word"] == "superb").sum() > 15 > (first.rows("conditions")["word"] == "superb").sum()


@pytest.mark.parametrize(
    ("name", "task", "told"),
    [
        ("error", {"text": "note"}, "error is of a student: write what it learns as `task.classify` or"),
        ("confusion", {"predict": {"number": "score"}}, "confusion rests on labels"),
    ],
)
def test_a_signal_of_a_student_needs_what_it_learns(name: str, task: Any, told: str) -> None:
    seeds = {"file": "scores.jsonl", "fields": {"score": "number"}, "splits": {"validation": 24}}
    text = {"prompt": "Write.", "output": {"text": "text", "score": "number"}}
    with pytest.raises(UserError, match=re.escape(told)):
        recipe(task, seeds=seeds, steps={"text": text}, feedback={"rows": name})


def test_a_student_of_both_texts_of_real_news_is_better_than_one_of_titles(folder: Path) -> None:
    """The rows of this round are real ones, so that what they teach is known."""
    file = SHARED / "gold_text" / "ag_news_test.csv"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with file.open(encoding="utf-8") as lines:
        rows = [{"label": y, "title": title, "text": text} for y, title, text in csv.reader(lines)][:600]
    (folder / "news.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = {"classify": {"1": "world", "2": "sport", "3": "business", "4": "science"}, "pair": "title"}
    made = recipe(
        task,
        seeds={"file": "news.jsonl", "fields": ["title"], "splits": {"demonstration": 8, "test": 100}},
        conditions={
            "story": {"rows": "seeds", "split": "unlabeled", "label": "same"},
            "title": {"of": "story", "field": "title"},
        },
        steps={"text": {"tool": "compose", "input": "{{ story }}"}},
        rows=30,
        filters={"contamination": {}},
    )
    done = through(made, lambda *_: "", folder)
    trained, test = done.rows("weighted"), seed_rows(made).query("split == 'test'")
    alone = Tfidf(Student(list("1234"))).fit(trained["title"], list(trained["label"]))
    right = (alone.predict_proba(test["title"]).argmax(axis=1) == test["label"].astype(int) - 1).mean()
    assert done.metric("accuracy", "weighted") > right + 0.02
    assert done.metric("contamination", "filtered") == 0
