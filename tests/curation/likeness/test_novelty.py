"""Novelty: exact ROUGE-L however long the texts, greedy order, and the numbers of published data."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from synth_assets.contracts.filter import Context
from synth_assets.curation.likeness import novelty
from synth_assets.curation.likeness.novelty import LANE, Pool
from tests.curation.test_curation import run, table

DATA = Path(__file__).parents[4] / "shared/data"


def rouge_l(a: list[str], b: list[str]) -> float:
    common = [0] * (len(b) + 1)  # longest common subsequence, a row of the table at a time
    for word in a:
        before = common[:]
        for j, other in enumerate(b):
            common[j + 1] = before[j] + 1 if word == other else max(before[j + 1], common[j])
    return 2 * common[-1] / (len(a) + len(b))


def random_texts(words: str, shortest: int, longest: int, n: int) -> list[str]:
    choose = random.Random(0)
    return [" ".join(choose.choices(words, k=choose.randint(shortest, longest))) for _ in range(n)]


def read(name: str) -> str:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    return path.read_text(encoding="utf-8")


def test_nearest_by_hand() -> None:
    pool = Pool(["the cat sat", "a dog", "The cat, SAT!", "!?"])
    assert pool.nearest("the cat sat") == (1.0, 0)  # the first of the best
    assert pool.nearest("sat the dog on") == (2 / 6, 1)
    assert pool.nearest("the the cat") == (4 / 6, 0)
    assert pool.nearest("no bird") == (0.0, None)
    assert pool.nearest("电影 ?") == (0.0, None)
    assert pool.nearest("… ?") == (None, None)
    assert Pool().nearest("a") == (0.0, None)
    pool.add("no bird")
    assert pool.nearest("no bird")[1] == 4


@pytest.mark.parametrize("first", [1, 10, novelty.FIRST])
@pytest.mark.parametrize(
    ("words", "shortest", "longest"),
    [
        ("abcdef", 1, 9),
        ("abcdefghijklmnop", LANE - 2, LANE + 2),
        ("abcdefghijklmnop", 2 * LANE - 2, 2 * LANE + 2),
        ("abcd", 1, 200),
        ("a", 1, 200),  # every bit of every lane carries
    ],
)
def test_nearest_equals_every_comparison(monkeypatch, first, words, shortest, longest) -> None:
    monkeypatch.setattr(novelty, "FIRST", first)
    texts = random_texts(words, shortest, longest, 30)
    pool = Pool(texts[5:])
    for text in texts[:5]:
        scores = [rouge_l(text.split(), other.split()) for other in texts[5:]]
        assert pool.nearest(text) == (max(scores), scores.index(max(scores)))


def test_scores_equal_those_of_rouge_score() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    # its logging library would close the stream that pytest captures, when Dagster sets up logging anew
    sys.modules["absl.logging"].get_absl_handler().python_handler.stream = sys.__stderr__
    texts = ["Don't go to the U.S.A. in 2024", "na\u0131ve \u0130stanbul", "the \u212aelvin_scale, naïve"]
    others = ["Do not go to the usa in 2024!", "na ve i stanbul", "THE KELVIN scale: na-ve", "?", ""]
    texts, others = (
        texts + random_texts("abcdefgh", 1, 80, 60)[:30],
        others + random_texts("hgfedcba", 1, 80, 60),
    )
    pool = Pool(others)
    for text in texts:
        expected = [scorer.score(other, text)["rougeL"].fmeasure for other in others]
        assert pool.nearest(text)[0] == pytest.approx(max(expected), abs=1e-12)


def test_a_row_is_compared_with_demonstrations_earlier_rounds_and_kept_rows() -> None:
    shown, before = "name three good books for children", "what is the capital of this country"
    rows = [
        f"{shown} now",  # 12/13 to a demonstration
        f"{before} now",  # 14/15 to an earlier round
        "write one short poem about the sea",
        "write one short poem about my cat",  # 10/14 to the row before: dropped
        "write one little text about my cat",  # like the dropped row alone
        "... ?",
    ]
    context = Context(verbalizers={}, demonstrations=[shown], earlier=[before])
    kept, rejected = run(table(*rows), context, novelty={})
    assert list(kept["text"]) == [rows[2], rows[4]]
    assert rejected["value"].to_list() == pytest.approx(
        [12 / 13, 14 / 15, 10 / 14, float("nan")], nan_ok=True
    )
    assert "unknown" in rejected["reason"].iloc[-1]


@pytest.mark.parametrize("tens", range(1, 16))
def test_a_score_of_exactly_the_threshold_is_kept(tens: int) -> None:
    shared = [f"w{i}" for i in range(7 * tens)]
    rows = [" ".join(shared + [f"{end}{i}" for i in range(3 * tens)]) for end in "xy"]
    kept, _ = run(table(*rows), novelty={})
    assert kept["novelty"].to_list() == [0.0, 0.7]


def test_two_seeds_of_self_instruct_repeat_an_earlier_seed() -> None:
    lines = read("self_instruct/seed_tasks.jsonl").splitlines()
    seeds, pool, scores = [json.loads(line)["instruction"] for line in lines], Pool(), []
    for seed in seeds:
        scores.append(pool.nearest(seed)[0])
        pool.add(seed)
    assert (len(scores), sum(score > 0.7 for score in scores)) == (175, 2)


def test_greedy_novelty_of_the_sub_tasks_of_explore_instruct() -> None:
    folder = DATA / "explore_instruct/en_data/demo_domain"
    trees = [json.loads(read(str(path))) for path in sorted(folder.glob("*.json"))]
    if not trees:
        pytest.skip(f"needs {folder}")
    tasks = [[e["instruction"] for e in tree.get("examples", [])[:400]] for tree in trees]
    kept = [run(table(*task), Context(verbalizers={}), novelty={})[0] for task in tasks]
    assert (sum(map(len, tasks)), sum(map(len, kept))) == (3202, 1891)


@pytest.mark.parametrize(
    ("instruction", "broken"),
    [
        ("Name three good books for children.", 0),
        ("Explain mapping and the filed graphite.", 0),  # whole words only
        ("Name three books", 1),
        ("word " * 150, 0),
        ("word " * 151, 1),
        ("Describe the Images in this album", 1),
        ("Tell me how to go  to Rome", 1),
        ("write a program that adds numbers", 1),
        ("Explain how to write a program", 0),
        ("- list the planets by size", 1),
        ("Écris un poème sur la mer", 1),
        ("(draw)", 3),
        ("", 1),
    ],
)
def test_rules_that_an_instruction_breaks(instruction: str, broken: int) -> None:
    kept, rejected = run(table(instruction), instruction_rules={})
    assert [*kept["instruction_rules"], *rejected["value"]] == [broken]
    assert len(kept) == (broken == 0)
