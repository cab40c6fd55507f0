"""A set that is made from its own rows wears out; seeds that weigh more after a fall hold it up."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.contracts.weighing import MixedIn, WeighContext, Weighing
from synth_assets.core.errors import UserError
from synth_assets.curation.weights.students import Equal
from synth_assets.curation.weights.weigh import weigh
from synth_assets.evaluation.diversity import falls, of_rounds
from synth_assets.evaluation.metric_rows import Row, table
from synth_assets.recipe.load import load
from synth_assets.stages import metrics, weighted
from synth_assets.stages.run import Run

PARTS = [
    ["my", "your", "our"],
    [
        "card",
        "loan",
        "account",
        "transfer",
        "deposit",
        "cheque",
        "mortgage",
        "fee",
        "app",
        "branch",
        "statement",
    ],
    ["fails", "stops", "hangs", "vanishes", "doubles", "returns", "expires", "bounces"],
    ["today", "again", "twice", "abroad", "online", "suddenly", "monthly", "silently", "early", "late"],
    ["in-Rome", "at-home", "on-Monday", "by-phone", "over-night", "near-Oslo", "in-May", "at-work"],
]
WITH_SEEDS = {"least": 0.1, "most": 3.0, "fall": 0.1}
ROUNDS, ROWS = 10, 100


def real(chance: random.Random, n: int) -> list[str]:
    return [" ".join(map(chance.choice, PARTS)) for _ in range(n)]


def encode(texts: Sequence[str]) -> np.ndarray:
    """Bags of words."""
    found = np.zeros((len(texts), 64), np.float32)
    for i, text in enumerate(texts):
        for word in text.split():
            found[i, int(md5(word.encode()).hexdigest()[:8], 16) % 64] += 1
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def learned(training: pd.DataFrame, chance: random.Random) -> list[str]:
    """Rows of a model of pairs of words that is trained on weighted rows, and likes what is frequent."""
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for text, weight in zip(training["text"], training["weight"], strict=True):
        words = ["", *text.split()]
        for word, following in itertools.pairwise(words):
            after[word][following] += weight

    def text() -> str:
        words = [""]
        while words[-1] in after:
            known = after[words[-1]]
            words += chance.choices(list(known), [n**1.2 for n in known.values()])
        return " ".join(words[1:])

    return [text() for _ in range(ROWS)]


def verdicts(way: Weighing | None) -> list[bool]:
    """Whether `diversity_holds` is green after each of ten rounds, whose model learns from the round before;
    without a way to weigh, the rows of each round are real ones."""
    chance = random.Random(0)
    seeds = pd.DataFrame({"text": real(chance, 150), "label": None})
    by_round, fall, found = {"00": real(chance, ROWS)}, None, []
    for number in range(1, ROUNDS + 1):
        made = real(chance, ROWS)
        if way is not None:
            rows = pd.DataFrame({"text": list(by_round.values())[-1], "label": None})
            made = learned(weigh(rows, seeds, way, WeighContext(encode, seeds), fall), chance)
        by_round[f"{number:02}"] = made
        told = of_rounds(dict(list(by_round.items())[-6:]), encode)
        fall = max(falls(told).values())
        found.append(metrics._diversity(told, 0.2).fine)
    return found


def test_a_set_that_feeds_on_itself_sets_off_the_guard_and_a_healthy_one_does_not() -> None:
    assert sum(verdicts(Equal(by="none"))) <= 1
    assert all(verdicts(None))


def test_seeds_that_weigh_more_after_a_fall_hold_it_up() -> None:
    assert sum(verdicts(Equal(by="none", seeds=0.1))) <= 2  # as much as they weigh without a fall
    assert all(verdicts(Equal(by="none", seeds=WITH_SEEDS)))


@pytest.mark.parametrize(
    ("fall", "weight"), [(None, 0.1), (-0.3, 0.1), (0.0, 0.1), (0.05, 0.325), (0.2, 1.0), (0.7, 1.0)]
)
def test_what_seeds_weigh_rises_with_the_fall(fall: float | None, weight: float) -> None:
    assert MixedIn().at(fall) == pytest.approx(weight)


def mixing(project: Path, *edits: tuple[str, str]) -> Any:
    path = project / "recipes" / "reviews.yaml"
    text = path.read_text() + "\nweights: {seeds: {least: 0.25, most: 1.25}}\n"
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return load(path)


def test_a_round_goes_by_the_metrics_of_the_round_before(project: Path) -> None:
    fallen = table([Row("round_distinct_2", day, value) for day, value in (("1", 0.5), ("2", 0.45))])
    told: list[str] = []

    class Here(Run):
        def rounds(self, stage: str) -> list[str]:
            return ["1", "2"] if stage == "metrics" else []

        def read(self, stage: str, *places: Any, columns: Any = None) -> Any:
            assert (stage, places) == ("metrics", ({"round": "2"},))
            return fallen

        def before(self, stage: str, columns: Any = None, cell: str | None = None) -> Any:
            return pd.DataFrame()

        def say(self, words: str) -> None:
            told.append(words)

    recipe = mixing(project)
    labels = [*(["negative", "positive"] * 4)]
    texts = [f"text {n}" for n in range(8)]
    rows = pd.DataFrame({"row_id": texts, "round": "3", "text": texts, "label": labels})
    seeds = rows[:4].assign(split="demonstration")
    run = Here(recipe, None, type("Encoder", (), {"encode": staticmethod(encode)})(), "3")  # type: ignore[arg-type]
    made = weighted.compute(run, rows, seeds).rows
    weights = made.groupby("origin")["weight"].sum()
    assert weights["seed"] == pytest.approx(
        0.75 * weights["synthetic"]
    )  # half of the fall that calls for all
    assert told == ["the diversity of 2 had fallen by 10%: the seeds weigh 0.75 times the synthetic rows"]


@pytest.mark.parametrize(
    ("old", "new", "place", "why"),
    [
        ("rows: 6", "rows: 6\nmetrics: {diversity: false}", "weights.seeds", "leave that on"),
        ("demonstration: 4, ", "demonstration: 0, ", "weights.seeds", "there are none"),
        ("most: 1.25", "most: 0.1", "weights.seeds.most", "write 0.25 or more"),
        ("{least: 0.25, most: 1.25}", "-1", "weights.seeds", "greater than or equal to 0"),
    ],
)
def test_what_it_rests_on_is_there(project: Path, old: str, new: str, place: str, why: str) -> None:
    with pytest.raises(UserError) as refused:
        mixing(project, (old, new), *([("k: 2", "k: 0")] if "demonstration" in old else []))
    assert [(m.field, why in str(m)) for m in refused.value.mistakes] == [(place, True)]
