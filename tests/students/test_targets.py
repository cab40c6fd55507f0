"""Students of numbers, of several labels and of spans."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from synth_assets.core.text.marks import Span, unmarked
from synth_assets.core.text.pairs import MARK, of_pairs
from synth_assets.evaluation.targets import numbers
from synth_assets.students import targets
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made, texts_alone
from synth_assets.students.targets import OfLabels, OfNumbers, OfSpans, decoded
from synth_assets.students.tfidf import Tfidf, terms
from tests.through import encode

WORDS = ["awful", "weak", "decent", "fine", "superb"]
TEXTS = [f"{WORDS[i % 5]} film number {i}" for i in range(60)]
STARS = [float(i % 5) for i in range(60)]
TERMS = Made(texts_alone, lambda labels: Tfidf(Student(labels)), of_vectors=Student)


@pytest.mark.parametrize(("by", "terms"), [("logistic", True), ("logistic", False), ("boosting", False)])
def test_numbers_are_learned_and_weights_count(by: str, terms: bool) -> None:
    wrong = [4 - star for star in STARS]
    weights = [1.0] * len(STARS) + [1e-4] * len(wrong)
    student = OfNumbers(TERMS if terms else Made(encode, Student), by).fit(TEXTS * 2, STARS + wrong, weights)
    said = student.predict([f"a {word} one" for word in WORDS])
    assert said == sorted(said)
    assert said[0] < 1 < 3 < said[-1]


def test_of_many_rows_some_find_the_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = OfNumbers(TERMS, "logistic").fit(TEXTS, STARS).predict(TEXTS)
    monkeypatch.setattr(targets, "MANY", 40)
    said = OfNumbers(TERMS, "logistic").fit(TEXTS, STARS).predict(TEXTS)
    assert numbers(said, STARS)["rmse"].value < 0.2
    assert np.abs(np.subtract(said, whole)).max() < 0.5


def test_a_student_of_answers_knows_about_which_score_a_judge_gives_others() -> None:
    """Answers to the 80 questions of Vicuna, and the mean score that GPT-4 gave each. A student of the odd
    questions has half of the ranks of the even ones, and is nearer than their mean."""
    table = Path(__file__).parents[3] / "shared" / "data" / "vicuna_blog" / "eval" / "table"
    if not table.exists():
        pytest.skip(f"{table} is not there")
    lines = [json.loads(line) for file in sorted(table.glob("answer/*.jsonl")) for line in file.open()]
    answers = {line["answer_id"]: (line["question_id"], line["text"]) for line in lines}
    scores = defaultdict(list)
    for file in sorted(table.glob("review/**/*.jsonl")):
        for review in map(json.loads, file.open()):
            for name, score in zip(("answer1_id", "answer2_id"), review["score"], strict=False):
                if review[name] in answers and score > 0:
                    scores[review[name]].append(score)
    rows = [(*answers[name], float(np.mean(of))) for name, of in scores.items()]
    odd, even = ([(text, score) for at, text, score in rows if at % 2 == left] for left in (1, 0))
    student = OfNumbers(TERMS, "logistic").fit(*zip(*odd, strict=True))
    texts, right = zip(*even, strict=True)
    measured = numbers(student.predict(texts), right)
    assert measured["spearman"].low > 0.45
    assert measured["rmse"].value < 0.9 * np.std(right)


def test_each_label_is_learned_by_itself_and_what_all_rows_have_is_always_said() -> None:
    texts = [f"{'ball' * (i % 2)} {'bank' * (i % 3 == 0)} text {i}" for i in range(60)]
    labels = [["all", *["sport"] * (i % 2), *["money"] * (i % 3 == 0)] for i in range(60)]
    student = OfLabels(TERMS, "logistic", ["all", "sport", "money", "none"]).fit(texts, labels)
    assert student.predict(["a ball", "a bank", "ball and bank", "words"]) == [
        {"all", "sport"},
        {"all", "money"},
        {"all", "sport", "money"},
        {"all"},
    ]


def test_spans_of_names_that_were_never_seen_are_found_by_what_stands_around_them() -> None:
    names, places = ("Ann", "Tom", "Mia", "Ola"), ("Oslo", "Rome", "Lima")
    marked = [f"<p>{n}</p> lives in <l>{p}</l> now." for n in names for p in places]
    texts, spans = zip(*map(unmarked, marked), strict=True)
    student = OfSpans().fit(texts, spans)
    assert student.predict(["Eva lives in Bonn now.", ""]) == [[Span("p", 0, 3), Span("l", 13, 17)], []]
    with pytest.raises(ValueError, match="no row has a span"):
        OfSpans().fit(["a b"], [[]])


def test_no_tag_goes_on_with_a_span_of_another_kind() -> None:
    tags = ["B-x", "I-x", "I-y", "O"]
    scores = np.log([[0.4, 0.1, 0.45, 0.05], [0.1, 0.35, 0.5, 0.05]])
    assert decoded(scores, tags) == ["B-x", "I-x"]


def test_a_vector_of_a_pair_knows_both_texts_and_their_difference() -> None:
    encoded = of_pairs(encode)
    same, other, single = f"one thing{MARK}one thing", f"one thing{MARK}two more", "one thing"
    vectors = encoded([same, other])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors[0, 128:], 0)
    assert vectors[1, 128:].max() > 0
    assert np.array_equal(encoded([single]), encode([single]))


def test_terms_of_a_pair_are_told_apart() -> None:
    assert terms(f"a dog{MARK}a cat") == [
        "a",
        "dog",
        "a dog",
        "second a",
        "second cat",
        "second a cat",
        "both a",
    ]
