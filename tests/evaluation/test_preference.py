"""Preference: levels, ranks, pairs in both orders, ratings of systems, and a judge behind an endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from synth_assets.core.asking import Answer
from synth_assets.core.text.arithmetic import rating
from synth_assets.evaluation.judging import Pair, Verdict, both_orders, by_score, judge_pairs, rate, read_pair
from synth_assets.evaluation.preference import (
    Comparison,
    bradley_terry,
    elo,
    level_agreement,
    level_shares,
    mean_ranks,
    position_bias,
    route,
    win_tie_lose,
)
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from tests.endpoint import Endpoint

REVIEWS = Path(__file__).parents[3] / "shared/data/vicuna_blog/eval/table/review"
BLOG = "vicuna-13b_20230322-clean-lang"  # the reviews of the published totals


def reviews(folders: str = "*") -> dict[str, list[dict[str, Any]]]:
    """Folder and pair of systems -> the judge's reviews of 80 answers of both."""
    files = [f for folder in folders.split() for f in sorted(REVIEWS.glob(f"{folder}/*.jsonl"))]
    if not files:
        pytest.skip(f"needs {REVIEWS}")
    lines = {f"{f.parent.name}/{f.stem}": f.read_text("utf-8").splitlines() for f in files}
    return {name: [json.loads(line) for line in rows] for name, rows in lines.items()}


def systems(name: str) -> tuple[str, str]:
    one, other = name.partition("/")[2].removeprefix("review_").split("_")
    return one.partition("-")[0], other.partition("-")[0]


def test_the_published_totals_and_wins_of_vicuna() -> None:
    totals, wins = {}, {}
    for name, rows in reviews(BLOG).items():
        scores = [row["score"] for row in rows]
        other, _ = systems(name)
        totals[other] = tuple(map(sum, zip(*scores, strict=True)))
        wins[other] = win_tie_lose([by_score(vicuna, rival) for rival, vicuna in scores])["win"].value * 80
    assert totals == {"llama": (513, 694), "alpaca": (583, 704), "bard": (664, 655.5), "gpt35": (693, 638)}
    assert (round(wins["llama"]), round(wins["alpaca"])) == (77, 76)


def test_the_scores_of_published_reviews_are_read() -> None:
    rows = [row for file in reviews().values() for row in file]
    read = [(read_pair(row["text"]), tuple(row["score"])) for row in rows]
    assert all(found == score for found, score in read if found is not None)
    # those of three questions on mathematics begin with a solution: a person put their scores in
    assert {row["question_id"] for row, (found, _) in zip(rows, read, strict=True) if found is None} == {
        68,
        69,
        70,
    }


@pytest.mark.parametrize("folders", ["*", f"{BLOG} others"])
def test_the_order_of_five_systems(folders: str) -> None:
    compared = [
        Comparison(*systems(name), by_score(*row["score"]))
        for name, rows in reviews(folders).items()
        for row in rows
    ]
    strengths = bradley_terry(compared)
    assert sorted(strengths, key=lambda s: -strengths[s].value) == [
        "gpt35",
        "vicuna",
        "bard",
        "alpaca",
        "llama",
    ]
    assert strengths["alpaca"].high < strengths["bard"].low
    assert np.mean([m.value for m in strengths.values()]) == pytest.approx(1000)
    # whatever the order: that of online ratings is not asserted, it changes with it
    assert bradley_terry(compared[::-1]) == strengths
    assert elo(compared[::-1])["gpt35"].value != pytest.approx(elo(compared)["gpt35"].value, abs=1)


def games(n: int, strengths: Mapping[str, float], seed: int = 0) -> list[Comparison]:
    """Games of systems drawn by chance, of natural-logarithm strengths; one in ten is a tie."""
    random = np.random.default_rng(seed)
    played = []
    for _ in range(n):
        one, other = random.choice(list(strengths), 2, replace=False)
        won = random.random() < 1 / (1 + np.exp(strengths[other] - strengths[one]))
        played.append(Comparison(str(one), str(other), 0.5 if random.random() < 0.1 else float(won)))
    return played


def test_bradley_terry_is_the_most_likely() -> None:
    played = games(300, {"a": 0.0, "b": 0.5, "c": 1.5, "d": -1.0})
    found = {s: m.value for s, m in bradley_terry(played).items()}

    def cost(s: np.ndarray) -> float:
        at = dict(zip("abcd", s, strict=True))
        p = [1 / (1 + np.exp(at[g.second] - at[g.first])) for g in played]
        return -sum(
            g.verdict * np.log(q) + (1 - g.verdict) * np.log(1 - q) for g, q in zip(played, p, strict=True)
        )

    best = minimize(cost, np.zeros(4), tol=1e-10).x
    assert list(found.values()) == pytest.approx(1000 + 400 / np.log(10) * (best - best.mean()), abs=0.1)


def test_strengths_without_a_finite_estimate_are_unknown() -> None:
    never_lost = [Comparison("a", "b", 1.0)] * 9 + [Comparison("b", "c", 1.0), Comparison("c", "b", 1.0)]
    apart = [Comparison("a", "b", 0.5), Comparison("c", "d", 0.5)]
    for played in (never_lost, apart):
        assert {m.value for m in bradley_terry(played).values()} == {None}
    seldom = bradley_terry([Comparison("a", "b", 1.0)] * 30 + [Comparison("a", "b", 0.0)])
    assert seldom["a"].value == pytest.approx(1000 + 200 * np.log10(30))
    assert seldom["a"].low is None  # one resample in three has no game that b won
    assert bradley_terry([]) == elo([]) == {}


def test_one_game_of_elo_by_hand() -> None:
    ratings = elo([Comparison("a", "b", 1.0), Comparison("b", "c", 0.5)], k=32)
    assert ratings["a"].value == 1016
    assert ratings["b"].value == pytest.approx(984 + 32 * (0.5 - 1 / (1 + 10 ** (16 / 400))))
    assert sum(m.value for m in ratings.values()) == pytest.approx(3000)


def test_levels_of_two_raters() -> None:
    random = np.random.default_rng(0)
    places = random.integers(4, size=200)
    others = np.clip(places + random.integers(-1, 2, size=200), 0, 3)
    first, second = (["ABCD"[i] for i in p] for p in (places, others))
    found = level_agreement(first, second)
    assert found["kappa"].value == pytest.approx(cohen_kappa_score(places, others))
    assert found["weighted_kappa"].value == pytest.approx(
        cohen_kappa_score(places, others, weights="quadratic")
    )
    assert found["spearman"].value == pytest.approx(spearmanr(places, others).statistic)
    assert all(m.low < m.value < m.high for m in found.values())
    shares = level_shares([*first, None])
    assert {s: m.value * m.n for s, m in shares.items()} == pytest.approx({s: first.count(s) for s in "ABCD"})
    with pytest.raises(KeyError, match="E"):
        level_agreement(["E"], ["A"])


def test_ranks_of_responses() -> None:
    rankings = [{"us": 1, "them": 2}, {"us": 1, "them": 1}, {"us": 3, "them": 1, "human": 2}, {"human": 1}]
    assert {s: m.value for s, m in mean_ranks(rankings).items()} == {"us": 5 / 3, "them": 4 / 3, "human": 1.5}
    verdicts = [by_score(-r["us"], -r["them"]) for r in rankings if {"us", "them"} <= r.keys()]
    assert verdicts == [1.0, 0.5, 0.0]
    found = {name: m.value for name, m in win_tie_lose([*verdicts, 1.0, None]).items()}
    error = found.pop("standard_error")
    assert found == {"win": 0.5, "tie": 0.25, "lose": 0.25, "win_score": 1.25, "win_rate": 0.625}
    assert error == pytest.approx(np.std([1, 0.5, 0, 1], ddof=1) / 2)


def test_graded_verdicts_win_above_a_half() -> None:
    found = {name: m.value for name, m in win_tie_lose([0.9, 0.7, 0.5, 0.2]).items()}
    assert (found["win"], found["tie"], found["lose"]) == (0.5, 0.25, 0.25)
    assert found["win_rate"] == pytest.approx(0.575)
    assert win_tie_lose([0.9])["standard_error"].why == "one row has no interval"


def test_a_judge_that_favours_a_place_is_found_out() -> None:
    assert both_orders(1.0, 0.0) == 1.0
    assert both_orders(1.0, 1.0) == 0.5
    assert both_orders(0.5, 0.5) == 0.5
    assert both_orders(0.5, 0.0) == 0.5  # a tie, and a win: not consistent
    assert both_orders(1.0, None) is None
    fair = position_bias([1.0, 0.0, 0.5, None], [0.0, 1.0, 0.5, 1.0])
    assert (fair["flipped"].value, fair["first_place"].value) == (0.0, 0.5)
    biased = position_bias([1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0])
    assert (biased["flipped"].value, biased["first_place"].value) == (0.5, 0.75)


def test_verdicts_of_little_confidence_go_to_people() -> None:
    assert route([3.0, 0.5, None, 1.0, 0.0], 1.0) == ([0, 3], [2, 4, 1])


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("4.5\nIt is accurate.", 4.5),
        ("Score: 4", 4.0),
        ("score:3.5 x", 3.5),
        ("It is good.", None),
        ("", None),
        ("7\nbeyond the scale", None),
    ],
)
def test_ratings_are_read(answer: str, read: float | None) -> None:
    assert rating(answer, 0, 5) == read


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("8 9\nBoth are fine.", (8, 9)),
        ("8.5, 7", (8.5, 7)),
        ("(10, 1)\n", (10, 1)),
        ("8\n9", None),
        ("8 9 7", None),
        ("nan inf", None),
        ("Assistant 1 is better", None),
        ("", None),
    ],
)
def test_pairs_of_scores_are_read(answer: str, read: tuple[float, float] | None) -> None:
    assert read_pair(answer) == read


@dataclass
class Bound:
    """`protocols.Completes` of one model at one endpoint."""

    language_model: LanguageModel
    model: Model
    api: str = "chat"

    def complete(
        self, messages: Iterable[Sequence[Any]], sampling: Any, replicates: Iterable[str], schema: Any = None
    ) -> Iterator[Answer]:
        pairs = zip(messages, replicates, strict=True)
        return self.language_model.stream(
            self.model, (Request(tuple(m), sampling, r, schema) for m, r in pairs)
        )


def says(body: Mapping[str, Any]) -> str:
    """A judge that counts words, and gives the answer shown first 2 points for its place."""
    prompt = body["messages"][-1]["content"]
    if "[Answer]" in prompt:
        return "4.5\nfine" if "good" in prompt else "I cannot say."
    first, second = (len(a.split()) for a in re.findall(r"Answer\]\n(.*)\n\[The End", prompt))
    return f"{first + 2} {second}\nby their words" if first + second else "none has a word"


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bound]:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    context = {"run_id": "r", "asset": "a/metrics", "partition_key": "p"}
    with Endpoint(say=says) as endpoint:
        language_model = LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path / "server", context)
        yield Bound(language_model, Model("judge", base_url=endpoint.url))


def test_a_judge_sees_each_pair_in_both_orders(judge: Bound) -> None:
    found = judge_pairs(
        [Pair("q", "one two three four", "one"), Pair("q", "one", "one two"), Pair("q", "", "")], judge
    )
    assert found == [Verdict(1.0, 0.0, 3.0), Verdict(1.0, 1.0, -1.0), Verdict(None, None, None)]
    assert [v.verdict for v in found] == [1.0, 0.5, None]  # two points for its place turn a margin of one
    assert [v.confidence for v in found] == [3.0, 0.0, None]
    bias = position_bias([v.forward for v in found], [v.swapped for v in found])
    assert (bias["flipped"].value, bias["first_place"].value) == (0.5, 0.75)


def test_a_judge_rates_answers(judge: Bound) -> None:
    assert rate([("q", "a good one"), ("q", "{braces}")], judge) == [4.5, None]


def test_preferences_are_metrics_of_evaluate_too() -> None:
    from synth_assets.evaluation import BradleyTerry, Elo, FactF1AtK, MultipleChoice, RatingAgreement

    games = {"predictions": [1.0, 0.5, 0.0] * 5, "first": ["a", "b", "a"] * 5, "second": ["b", "a", "b"] * 5}
    strength = BradleyTerry().compute(**games)
    assert strength["a"] == pytest.approx(strength["b"])
    assert strength["a_low"] < strength["a"] < strength["a_high"]
    assert set(Elo().compute(**games)) >= {"a", "b"}
    same = ["A", "B", "C", "D"] * 5
    assert RatingAgreement().compute(predictions=same, references=same)["weighted_kappa"] == 1
    found = MultipleChoice().compute(predictions=[[-1.0, -2.0]], references=[[-3.0]])
    assert found["mc1"] == 1
    assert FactF1AtK().compute(predictions=[[True, True, False]], k=2)["fact_f1_at_2"] == pytest.approx(0.8)


def test_ratings_and_ranks_of_people_are_told_by_the_classes() -> None:
    from synth_assets.evaluation import MeanRank, RatingShares

    shares = RatingShares().compute(predictions=["A", "B", "A", None])
    assert (shares["A"], shares["B"], shares["D"], shares["A_n"]) == (2 / 3, 1 / 3, 0.0, 3)
    ranks = MeanRank().compute(predictions=[[1, 2, 3], [1, 1, 3]], systems=["ours", "base", "old"])
    assert (ranks["ours"], ranks["base"], ranks["old"]) == (1.0, 1.5, 3.0)
