"""Task metrics: those of the kept libraries, published numbers, and no crash on nothing."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.contracts.measured import Measured
from synth_assets.evaluation import facts, faithfulness, preference
from synth_assets.evaluation.preference import Comparison
from synth_assets.evaluation.resampling import bootstrap_mean
from synth_assets.evaluation.round import right_share
from synth_assets.evaluation.task_metrics import (
    auc,
    bleu,
    chrf,
    exact_match,
    multiple_choice,
    pass_at_k,
    rouge_l,
    set_f1,
    solve_rate,
    span_f1,
    spans,
    token_f1,
)

DATA = Path(__file__).parents[3] / "shared/data"


def texts(n: int, seed: int) -> list[str]:
    choose, words = random.Random(seed), ["the", "a", "cat", "dog", "sat", "ran", "on.", "mat,", "hill"]
    return [" ".join(choose.choices(words, k=choose.randint(1, 20))) for _ in range(n)]


def test_spans_are_those_of_seqeval() -> None:
    # seqeval 1.2.2, get_entities(tags), its ends made exclusive
    assert spans(["B-PER", "I-PER", "O", "B-LOC"]) == {("PER", 0, 2), ("LOC", 3, 4)}
    assert spans(["I-PER", "I-LOC", "I-LOC", "B-LOC"]) == {("PER", 0, 1), ("LOC", 1, 3), ("LOC", 3, 4)}
    assert spans(["O", "O"]) == spans([]) == set()
    assert spans(["B", "I", "B"]) == {("", 0, 2), ("", 2, 3)}  # tags without a type


def test_span_f1_wants_the_type_and_both_ends() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O", "O", "O"]]
    found = [["B-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "I-ORG", "O", "O"]]
    assert span_f1(found, gold).value == pytest.approx(2 * 1 / (3 + 3))
    assert span_f1(gold, gold).value == 1.0


def test_sets_are_counted_together() -> None:
    gold = [[("a", "in", "b"), ("b", "in", "c")], [("d", "of", "e")]]
    found = [[("a", "in", "b"), ("a", "in", "b")], [("d", "of", "e"), ("e", "of", "d")]]
    measured = set_f1(found, gold)
    assert measured.value == pytest.approx(2 * 2 / (3 + 3))
    assert measured.n == 2
    assert set_f1([[]], [[]]).why == "nothing was found, and nothing is there to find"


def test_answers_are_compared_in_squads_normal_form() -> None:
    gold = [["Paris", "the city of Paris"], ["1815"], [""], []]
    answers = ["The  paris!", "in 1815", "", "anything"]
    assert exact_match(answers, gold).value == pytest.approx(2 / 3)  # the last one has no right answer
    assert token_f1(answers, gold).value == pytest.approx((1 + 2 / 3 + 1) / 3)


def test_pass_at_k_is_the_share_of_draws_that_hold_a_program_that_passes() -> None:
    programs = [True, True, False, False, False, False, False]
    for k in range(1, 8):
        draws = list(combinations(programs, k))
        assert pass_at_k([(7, 2)], k).value == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_at_k([(100_000, 1)], 1000).value == pytest.approx(0.01)  # no overflow
    assert pass_at_k([(10, 5), (2, 1)], 5).n == 1


def test_the_solve_rates_of_four_published_models() -> None:
    path = DATA / "gsm8k/example_model_solutions.jsonl"
    if not path.exists():
        pytest.skip(f"needs {path}")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    rates = [solve_rate([r[n]["solution"] for r in rows], [r["ground_truth"] for r in rows]) for n in names]
    assert [round(100 * m.value, 2) for m in rates] == [21.68, 39.04, 34.72, 56.25]
    assert all(m.low < m.value < m.high and m.n == 1319 for m in rates)


def test_auc_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    chance = np.random.default_rng(0)
    positive = chance.random(200) < 0.3
    for scores in (chance.normal(size=200) + positive, chance.integers(4, size=200) + positive):
        measured = auc(scores, positive)
        assert measured.value == pytest.approx(roc_auc_score(positive, scores))
        assert measured.low < measured.value < measured.high
    assert auc([1.0, 2.0], [True, True]).why == "rows are not of two classes"
    known = auc([0.2, 0.9, 0.4], [False, True, True])
    assert auc([0.2, 0.9, 0.4, None, math.nan, 0.7], [False, True, True, True, False, None]) == known


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    import sacrebleu

    found, one, other = texts(60, 0), texts(60, 1), texts(60, 2)
    both = list(map(list, zip(one, other, strict=True)))
    assert bleu(found, both).value == pytest.approx(sacrebleu.corpus_bleu(found, [one, other]).score)
    assert chrf(found, both).value == pytest.approx(sacrebleu.corpus_chrf(found, [one, other]).score)
    uneven = [refs[: 1 + i % 2] for i, refs in enumerate(both)]
    streams = [one, [refs[1] if len(refs) > 1 else None for refs in uneven]]
    assert bleu(found, uneven).value == pytest.approx(sacrebleu.corpus_bleu(found, streams).score)
    for measured in (bleu(found, both), chrf(found, both)):
        assert 0 < measured.low < measured.value < measured.high < 100


def test_rouge_l_is_that_of_rouge_score() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    # its logging library would close the stream that pytest captures, when Dagster sets up logging anew
    sys.modules["absl.logging"].get_absl_handler().python_handler.stream = sys.__stderr__
    for found, right in zip([*texts(100, 0), "", "Don't!"], [*texts(100, 1), "cat", "don t"], strict=True):
        expected = scorer.score(right, found)["rougeL"].fmeasure
        assert rouge_l([found], [[right]]).value == pytest.approx(expected, abs=1e-12)
    assert rouge_l(["a cat"], [["a dog", "a cat"]]).value == 1.0


def test_options_are_chosen_and_weighed_by_their_probabilities() -> None:
    true = [[math.log(0.4), math.log(0.1)], [math.log(0.1), math.log(0.3)], []]
    false = [[math.log(0.3)], [math.log(0.2), math.log(0.4)], [-1.0]]
    scores = multiple_choice(true, false)
    assert scores["mc1"].value == 0.5  # the best answer of the second is its first
    assert scores["mc2"].value == pytest.approx((0.5 / 0.8 + 0.4 / 1.0) / 2)
    assert multiple_choice([[-2000.0]], [[-2001.0]])["mc2"].value == pytest.approx(1 / (1 + math.exp(-1)))


# every measure, from a list of texts: the same on both sides, or as labels of one class
MEASURES: dict[str, Callable[[list[str]], Any]] = {
    "agreement": lambda rows: faithfulness.agreement(rows, rows),
    "proportion": lambda rows: faithfulness.proportion([True for _ in rows]),
    "correctness": lambda rows: right_share([bool(r) for r in rows]),
    "correctness by people": lambda rows: right_share(
        [bool(r) for r in rows], dict.fromkeys(range(len(rows) // 2), True)
    ),
    "ppi": lambda rows: faithfulness.ppi_mean([1.0] * len(rows), [1.0] * len(rows), [1.0] * len(rows)),
    "mean": lambda rows: bootstrap_mean([1.0] * len(rows)),
    "entity_error": lambda rows: facts.entity_error(rows, rows),
    "fact_scores": lambda rows: facts.verdict_scores([[True] for _ in rows], 3),
    "set_f1": lambda rows: set_f1([[r] for r in rows if r], [[r] for r in rows if r]),
    "span_f1": lambda rows: span_f1([r.split() for r in rows], [r.split() for r in rows]),
    "exact_match": lambda rows: exact_match(rows, [[r] for r in rows]),
    "token_f1": lambda rows: token_f1(rows, [[] for _ in rows]),
    "solve_rate": lambda rows: solve_rate(rows, rows),
    "pass_at_k": lambda rows: pass_at_k([(len(r), 0) for r in rows], 2),
    "auc": lambda rows: auc([1.0] * len(rows), [True] * len(rows)),
    "bleu": lambda rows: bleu(rows, [[r] for r in rows]),
    "chrf": lambda rows: chrf(rows, [[r] for r in rows]),
    "chrf without references": lambda rows: chrf(rows, [[] for _ in rows]),
    "rouge_l": lambda rows: rouge_l(rows, [[r] for r in rows]),
    "multiple_choice": lambda rows: multiple_choice([[-1.0] * len(r) for r in rows], [[-1.0] for _ in rows]),
    "level_shares": lambda rows: preference.level_shares(["A"] * len(rows)),
    "level_agreement": lambda rows: preference.level_agreement(["B"] * len(rows), ["B"] * len(rows)),
    "mean_ranks": lambda rows: preference.mean_ranks([{"x": 1, "y": 2}] * len(rows)),
    "win_tie_lose": lambda rows: preference.win_tie_lose([1.0 if r else None for r in rows]),
    "position_bias": lambda rows: preference.position_bias(
        [0.5] * len(rows), [None if r else 1.0 for r in rows]
    ),
    "elo": lambda rows: preference.elo([Comparison("x", "y", 1.0 if r else None) for r in rows]),
    "bradley_terry": lambda rows: preference.bradley_terry([Comparison("x", "y", 1.0) for _ in rows]),
    "bradley_terry, ties": lambda rows: preference.bradley_terry([Comparison("x", "y", 0.5) for _ in rows]),
}


@pytest.mark.parametrize("none", [None, float("nan")])
def test_evidence_that_a_step_left_out_has_no_entity(none: float | None) -> None:
    rows = pd.DataFrame({"text": ["It was Bob Ray.", "It was Bob Ray."], "said": ["Bob Ray.", none]})
    look: Any = SimpleNamespace(filtered=rows)
    assert [found.value for found in facts.Evidence(wanted="said").measure(look)] == [0.5]


@pytest.mark.parametrize("rows", [[], ["Paris"], ["Paris"] * 5, [""], [""] * 5], ids=str)
@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_gives_a_value_or_says_why_not(measure: str, rows: list[str]) -> None:
    found = MEASURES[measure](rows)
    for measured in [found] if isinstance(found, Measured) else found.values():
        numbers = [x for x in (measured.value, measured.low, measured.high) if x is not None]
        assert all(type(x) is float and math.isfinite(x) for x in numbers)
        if measured.value is None or measured.low is None or measured.high is None:
            assert measured.why
            assert measured.low is measured.high is None
        elif measure != "elo":  # whose value may rest on the order of the games
            assert measured.low <= measured.value <= measured.high


def test_metrics_of_evaluate_give_the_same_values_and_write_no_file(tmp_path: Path) -> None:
    from synth_assets.evaluation import AUC, Agreement, ExactMatch, PassAtK, SetF1, SpanF1, WinTieLose

    assert ExactMatch(cache_dir=str(tmp_path)).compute(predictions=["Paris"], references=[["paris!"]]) == {
        "exact_match": 1.0,
        "low": pytest.approx(0.2065, abs=1e-4),
        "high": 1.0,
        "n": 1,
        "why": "",
    }
    assert not list(tmp_path.iterdir())
    assert Agreement().compute(predictions=["a", None, "b"], references=["a", "b", "b"])["accuracy_n"] == 2
    triples = [[["a", "in", "b"]]], [[["a", "in", "b"], ["b", "in", "c"]]]
    assert SetF1().compute(predictions=triples[0], references=triples[1])["set_f1"] == pytest.approx(2 / 3)
    assert SpanF1().compute(predictions=[["B-PER"]], references=[["B-PER"]])["span_f1"] == 1.0
    assert PassAtK().compute(predictions=[[True, False], [False, False]], k=2)["pass_at_2"] == 0.5
    assert AUC().compute(predictions=[0.1, 0.9], references=[False, True])["auc"] == 1.0
    first = Agreement().compute(predictions=[None, "b"], references=["a", "b"])
    assert (first["accuracy"], first["accuracy_n"]) == (1.0, 1)
    with pytest.raises(ValueError, match="predictions: the value at place 1 is None"):
        ExactMatch().compute(predictions=["Paris", None], references=[["paris"], ["rome"]])
    unread = WinTieLose().compute(predictions=[math.nan, 1.0])
    assert (unread["win"], unread["win_n"], unread["win_rate"]) == (1.0, 1, 1.0)
    nothing = WinTieLose().compute(predictions=[])
    assert nothing["win_rate"] is None
    assert nothing["win_rate_why"] == "no rows"


def test_every_metric_and_measurement_is_found_in_the_package() -> None:
    from synth_assets import evaluation
    from synth_assets.evaluation import huggingface

    for name in huggingface.__all__:
        assert getattr(evaluation, name) is getattr(huggingface, name)
    with pytest.raises(AttributeError):
        evaluation.Nothing  # noqa: B018
