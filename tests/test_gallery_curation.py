"""Recipes of the gallery for curation: what is dropped, weighed or labelled anew, and by what."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.annotation.people import read_human
from synth_assets.annotation.votes import together
from synth_assets.contracts.weighing import WeighContext
from synth_assets.curation.labels import aggregation
from synth_assets.curation.labels.enhance import enhance
from synth_assets.curation.weights.weigh import weigh
from synth_assets.recipe.measuring import Metrics
from synth_assets.stages.seeds import seed_rows
from tests.gallery import Made, Say, make, recipe_like
from tests.through import through

OFF = dict.fromkeys(("diversity", "student", "privacy", "faithfulness"), False)
WORD = {"positive": "lovely", "negative": "dull"}
OTHER = {"positive": "negative", "negative": "positive"}


def written(label: str, n: int) -> str:
    return f"the {WORD[label]} film has part {n}"


def label_in(text: str) -> str:
    return next(label for label, word in WORD.items() if word in text)


def vectors(texts: Sequence[str], words: Sequence[str], noise: float) -> Any:
    """Which of the words a text has, and noise of its own, of length 1."""
    own = [np.random.default_rng(list(text.encode())).normal(0, noise, 8) for text in texts]
    has = [[2.0 * (word in text) for word in words] for text in texts]
    found = np.hstack([has, own]).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def encode(texts: Sequence[str]) -> Any:
    return vectors(texts, list(WORD.values()), noise=0.5)


@pytest.fixture
def texts(project: Path) -> list[str]:
    """60 texts without a label and 24 reviews that have one, in the place of those of the gallery."""
    data = project / "data"
    data.mkdir()
    unlabeled = [written(label, n) for n in range(30) for label in WORD]
    (data / "unlabeled.txt").write_text("\n".join(unlabeled), encoding="utf-8")
    reviews = [(written(label, n), label) for n in range(100, 112) for label in WORD]
    (data / "reviews.csv").write_text("text,label\n" + "\n".join(map(",".join, reviews)), encoding="utf-8")
    return unlabeled


def coder(wrong: Sequence[str] = ()) -> Say:
    """Labels the last text of a prompt rightly, but for some."""

    def say(prompt: str, *_: Any) -> str:
        text = re.findall(r"the \w+ film has part \d+", prompt)[-1]
        label = label_in(text)
        return json.dumps({"sentiment": OTHER[label] if text in wrong else label})

    return say


def annotator(wrong: Sequence[str] = ()) -> Callable[[Sequence[str]], Iterator[Mapping[str, float]]]:
    def annotate(texts: Sequence[str]) -> Iterator[Mapping[str, float]]:
        for text in texts:
            label = OTHER[label_in(text)] if text in wrong else label_in(text)
            yield {y: -0.1 if y == label else -2.4 for y in WORD}

    return annotate


def labelled(made: Made, **more: Any) -> pd.DataFrame:
    rows = enhance(made.kept, made.recipe.labelled, labels=made.recipe.labels, encode=encode, **more)
    return rows.set_index("text")


def weights(made: Made) -> pd.Series:
    """Text -> weight."""
    seeds = seed_rows(made.recipe)
    context = WeighContext(encode, seeds[seeds["split"] == "validation"])
    return weigh(made.kept, seeds, made.recipe.weights, context).set_index("text")["weight"]


def test_sungen_lets_rows_that_do_not_have_their_label_weigh_less(project: Path) -> None:
    count = iter(range(999))

    def say(prompt: str, *_: Any) -> str:
        if "List" in prompt:
            return "- one\n- two"
        n = next(count)
        asked = "positive" if "in positive" in prompt else "negative"
        return written(OTHER[asked] if n % 5 == 0 else asked, n)

    made = make("sungen", say, rows=60)
    wrong = made.kept["text"].map(label_in) != made.kept["label"]
    assert len(made.kept) == 120
    assert wrong.sum() == 24
    found = weights(made).to_numpy()
    assert found[wrong].mean() < 0.5 * found[~wrong].mean()


def test_alpagasus_keeps_a_row_of_four_and_a_half_and_none_without_a_score(project: Path) -> None:
    said = ["4.5\nIt is right.", "4.4\nNearly.", "Score: 5. It is right.", "It is right.", "9\nIt is right."]
    count = iter(range(99))
    made = make("alpagasus", lambda *_: said[next(count) % 5], rows=24)
    asked = seed_rows(made.recipe).set_index("text")
    for row, prompt in zip(made.generations.to_dict("records"), made.model.prompts, strict=True):
        assert f"Instruction: {row['text']}\n" in prompt
        assert f"Response: {asked.loc[row['text'], 'output']}\n" in prompt
    assert len(set(made.generations["text"])) == 24
    assert set(made.kept["judge"]) == {4.5, 5.0}
    assert len(made.kept) == 10
    why = made.rejected.set_index("judge_answer")["reason"]
    assert why["It is right."].iloc[0].startswith("judge is unknown")
    assert why["9\nIt is right."].iloc[0].startswith("judge is unknown")
    assert why["4.4\nNearly."].iloc[0] == "judge 4.4, wanted at least 4.5: 4.4 Nearly."


def test_freeal_asks_again_beside_medoids_of_its_clean_pool_until_all_is_in_it(texts: list[str]) -> None:
    def share_right(rows: pd.DataFrame) -> float:
        return float((rows["text"].map(label_in) == rows["label"]).mean())

    wrong = texts[:10]
    first = make("freeal", coder(wrong), rows=60, encode=encode)
    said = first.generations[first.generations["accepted"]]
    assert (len(said), share_right(said)) == (
        60,
        pytest.approx(50 / 60),
    )  # each text in the part of one label
    assert share_right(first.kept) >= share_right(said) + 0.04
    assert len(first.kept) > 30
    (Path("recipes") / "like_freeal.yaml").unlink()

    pool = first.kept[["row_id", "round", "text", "label"]]
    second = make("freeal", coder(wrong[8:]), rows=60, round_="2026-11-23", encode=encode, earlier=pool)
    labels = dict(zip(pool["text"], pool["label"], strict=True))
    for prompt in second.model.prompts:
        shown = re.findall(r"(.+) => (positive|negative)\n", prompt)
        assert len({*shown}) == 10
        assert all(labels[text] == label for text, label in shown)
    assert not {*second.kept["text"]} & {*pool["text"]}
    pool = pd.concat([pool, second.kept])
    assert len(pool) > len(first.kept)
    assert share_right(pool) >= share_right(said) + 0.04


def test_mckd_labels_texts_anew_by_students_that_learned_from_other_texts(texts: list[str]) -> None:
    wrong = texts[:10]
    made = make("mckd", coder(), rows=60, annotate=annotator(wrong))
    assert not made.model.prompts
    assert len(made.kept) == 60
    rows = labelled(made)
    assert sum(rows["former_label"] != rows.index.map(label_in)) == 10
    assert list(rows["label"]) == list(rows.index.map(label_in))
    assert set(rows.loc[wrong, "label_source"]) == {"student"}


def test_people_say_the_last_word_on_what_a_model_labelled(project: Path) -> None:
    def annotate(texts: Sequence[str]) -> Iterator[Mapping[str, float]]:
        for text in texts:
            p = {"negative": -0.1, "positive": -2.4}
            yield p if len(text) % 2 else {"negative": -2.4, "positive": -0.1}

    made = make("human_labels", coder(), rows=60, annotate=annotate)
    people = read_human(made.recipe.labelled.human or "", made.recipe.labels)
    said = together(people.votes(made.kept), made.recipe.labels, "label", aggregation.majority)
    rows = labelled(made, human=[said[i].value if i in said else None for i in made.kept["row_id"]])
    assert not people.beyond(rows.index)
    labels = {vote.row_id: vote.value for vote in people.said}
    for text, label in labels.items():
        found = rows.loc[text]
        assert (found["label"], found["label_source"], found["confidence"]) == (label, "human", 1)
    assert any(rows.loc[text, "former_label"] != label for text, label in labels.items())
    assert {text for text, source in rows["label_source"].items() if source == "human"} == set(labels)


def test_llmaaa_takes_the_texts_that_a_student_is_least_sure_of_and_weighs_wrong_labels_less(
    texts: list[str], project: Path
) -> None:
    """A text that says nothing of its label is asked about before those that the student knows."""
    dim = [f"the usual film has part {n}" for n in range(5)]
    (project / "data" / "unlabeled.csv").write_text("\n".join(["text", *texts, *dim]), encoding="utf-8")
    wrong = texts[:12]

    def say(prompt: str, *_: Any) -> str:
        text = re.findall(r"the \w+ film has part \d+", prompt)[-1]
        label = "positive" if text in dim else label_in(text)
        return json.dumps({"sentiment": OTHER[label] if text in wrong else label})

    recipe = recipe_like("llmaaa").model_copy(update={"metrics": Metrics(**OFF)})
    first, second = (through(recipe, say, project, day) for day in ("2026-11-22", "2026-11-23"))
    gold = set(first.rows("seeds").query("split == 'validation'")["text"])
    assert len(gold) == 8
    for prompt in first.model.prompts:
        assert not any(text in prompt for text in gold)
    asked = set(first.rows("conditions")["item"])
    assert len(asked) == 20
    assert not asked & set(second.rows("conditions")["item"])
    assert set(dim) <= asked | set(second.rows("conditions")["item"])
    everything = through(recipe.model_copy(update={"rows": 60}), say, project / "all")
    found = everything.rows("weighted").query("origin == 'synthetic'").set_index("text")["weight"]
    wrong = [text for text in wrong if text in found]
    assert found[wrong].mean() < 0.5 * found.drop(wrong).mean()


def test_wanli_keeps_the_half_that_students_cannot_tell_and_starts_from_it(project: Path) -> None:
    marks = {"certainly true": "true", "may be true": "open", "certainly false": "false"}
    count = iter(range(9999))

    def say(prompt: str, *_: Any) -> str:
        n = next(count)
        mark = next(word for meaning, word in marks.items() if meaning in prompt)
        return json.dumps({"premise": f"Part {n} is {mark if n % 2 else 'vague'}.", "hypothesis": f"No {n}."})

    def encode(texts: Sequence[str]) -> Any:
        return vectors(texts, [*marks.values(), "vague"], noise=0.3)

    made = make("wanli", say, rows=200, encode=encode)
    seeds = seed_rows(made.recipe).set_index("text")["label"]
    for row, prompt in zip(made.conditions.to_dict("records"), made.model.prompts, strict=True):
        assert {seeds[text] for text in seeds.index if text in prompt} == {row["label"]}
        assert prompt.endswith(row["start"])  # the nearest stands last
    unsure = made.rejected[made.rejected["scorer"] == "variability"]
    for label, kept in made.kept.groupby("label"):
        others = unsure[unsure["label"] == label]
        assert len(kept) == math.ceil((len(kept) + len(others)) / 2)
        assert kept["variability"].min() >= others["variability"].max()
    assert made.kept["text"].str.contains("vague").mean() > 0.9
    (project / "recipes" / "like_wanli.yaml").unlink()
    unsure = made.kept.set_index("row_id")["variability"].to_dict()
    more = {"earlier": made.kept, "signals": {"variability": unsure}}
    again = make("wanli", say, rows=30, round_="2026-11-23", encode=encode, **more)
    for label, starts in again.conditions.groupby("label")["start"]:  # each of the most ambiguous, then again
        of_label = made.kept[made.kept["label"] == label]
        assert set(starts) == set(of_label.nlargest(25, "variability")["text"])


def test_fewgen_lets_the_words_of_a_label_weigh_more(project: Path) -> None:
    count = iter(range(999))

    def say(prompt: str, *_: Any) -> str:
        n = next(count)
        asked = "positive" if prompt.endswith('in positive sentiment is: "') else "negative"
        return written(asked, n) if n % 2 else f"the usual film has part {n}"

    made = make("fewgen", say, rows=60)
    shown = re.findall(r'in (\w+) sentiment is: "[^"]+"', made.model.prompts[0])
    assert len(shown) == 8
    found = weights(made)
    plain = found.index.str.contains("usual")
    assert found[~plain].mean() > 1.2 * found[plain].mean()
    assert (made.recipe.student.smoothing, made.recipe.student.ensembling) == (0.15, True)
