"""Near duplicates by several workers are those of this process: the same scores, rows and nearest rows."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.contracts.filter import Context
from synth_assets.core.errors import UserError
from synth_assets.curation.filters.duplicates import Duplicate, NearDuplicate
from synth_assets.curation.keep import keep
from synth_assets.curation.likeness import duplicates, on_workers, similarity_join
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import ray_engine
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import scores
from synth_assets.stages.run import Run

WORDS = ["a", "bee", "sea", "Straße", "日本語", "и", "e\u0301", "😀", "ten"]


class Here:
    """An engine whose workers are this process, one after the other."""

    workers = 3

    def call(self, function: Callable[..., Any], *args: Any, returns: int) -> list[Any]:
        found = list(function(*args))
        assert len(found) == returns
        return found

    def actor(self, kind: type, *args: Any) -> Any:
        made = kind(*args)

        class Method:
            def __init__(self, name: str) -> None:
                self.remote = getattr(made, name)

        return type("Actor", (), {"__getattr__": lambda _, name: Method(name)})()

    def get(self, references: Sequence[Any], what: str) -> list[Any]:
        return list(references)

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any], what: str) -> list[Any]:
        return [function(part) for part in parts]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of a few rows have several blocks, and are large."""
    for module in (on_workers, similarity_join):
        monkeypatch.setattr(module, "BLOCK", 40)
    monkeypatch.setattr(duplicates, "SMALL", 0)


@pytest.fixture(scope="module")
def ray_of_two() -> Iterator[ray_engine.RayEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOKY_MAX_CPU_COUNT", "2")
        patch.delenv("RAY_ADDRESS", raising=False)
        told = list[str]()
        engine = ray_engine.RayEngine(told.append)
        assert (engine.workers, told) == (2, ["starts Ray: 2 workers"])
        yield engine
        import ray

        ray.shutdown()


def hard(count: int) -> list[str]:
    """Empty and short texts, copies, ties, and chains in which each is like the one before."""
    chance = random.Random(3)
    made = ["", "a", "A!", " ", "日本語"]
    while len(made) < count:
        words = chance.choice(made).split() if chance.random() < 0.6 else []
        words = words or [
            chance.choice(WORDS) + str(chance.randrange(9)) for _ in range(chance.randint(0, 25))
        ]
        if words and chance.random() < 0.7:
            words[chance.randrange(len(words))] = chance.choice(WORDS)
        made.append(" ".join(words))
    return made


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=40),
    st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    st.integers(0, 10),
    st.booleans(),
)
def test_any_small_set(texts: list[str], at_most: float, earlier: int, keep_all: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (on_workers, similarity_join):
            patch.setattr(module, "BLOCK", 7)
        given = (texts, at_most, min(earlier, len(texts)), (1, 3), keep_all)
        wanted, found = similarity_join.near(*given), on_workers.near(Here(), *given)
    assert [of.tolist() for of in found] == [of.tolist() for of in wanted]


@pytest.mark.slow
def test_ray_drops_the_same_rows_with_the_same_words(small: None, ray_of_two: ray_engine.RayEngine) -> None:
    texts = hard(120)
    rows = pd.DataFrame({"row_id": [f"r{i}" for i in range(100)], "text": texts[20:]})
    rows = rows.assign(cell=["x", "y"] * 50, label=["x", "y"] * 50)
    filters = [Duplicate(), NearDuplicate(at_most=0.6)]
    alone = keep(rows, filters, Context({}, earlier=texts[:20]))
    by_ray = keep(rows, filters, Context({}, earlier=texts[:20], engines=lambda _: ray_of_two))
    assert set(alone[1]["scorer"]) == {"duplicate", "near_duplicate"}
    for here, there in zip(alone, by_ray, strict=True):
        pd.testing.assert_frame_equal(here, there)


def recipe() -> Recipe:
    said = {
        "task": {"classify": {"low": "few", "high": "many"}},
        "seeds": {"file": "a.csv", "splits": {"demonstration": 1}},
        "steps": {"text": "x"},
        "rows": 9,
        "filters": {"words": {}, "form": {"filter": "pattern", "pattern": "a.*"}, "copied_ngram": {}},
    }
    return inline(said, "made")


@pytest.mark.slow
def test_filters_of_a_row_give_the_same_on_ray(
    tmp_path: Any, ray_of_two: ray_engine.RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pd.DataFrame({"text": hard(60)}).assign(accepted=True, label="low", cell="low", round="r")
    made["row_id"] = [f"r{i}" for i in range(60)]
    seeds = pd.DataFrame({"text": [hard(60)[-1]], "label": ["low"], "split": ["demonstration"]})
    run = Run(recipe(), FolderLake(tmp_path), MiniLM(), "r", "low")
    monkeypatch.delenv(ray_engine.VARIABLE, raising=False)
    wanted = scores.compute(run, made, seeds).rows
    monkeypatch.setattr(Run, "engine", lambda _, rows: ray_of_two)
    pd.testing.assert_frame_equal(scores.compute(run, made, seeds).rows, wanted)


def test_a_set_below_the_size_loads_nothing_of_ray() -> None:
    code = (
        "import sys; from synth_assets.resources import ray_engine as e\n"
        "assert e.engine(10_000_000, print, print) is None and 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_ray_the_size_that_was_asked_for_is_an_error_and_the_default_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: None)
    warned = list[str]()
    monkeypatch.delenv(ray_engine.VARIABLE, raising=False)
    assert ray_engine.engine(10_000_001, print, warned.append) is None
    assert "this process works on them alone" in warned[0]
    monkeypatch.setenv(ray_engine.VARIABLE, "1000")
    assert ray_engine.engine(1000, print, print) is None
    with pytest.raises(UserError, match=r"Ray is not installed.*synth-assets\[cluster\]"):
        ray_engine.engine(1001, print, print)
    monkeypatch.setenv(ray_engine.VARIABLE, "many")
    with pytest.raises(UserError, match="SYNTH_RAY_ROWS is 'many': write a number of rows"):
        ray_engine.engine(5, print, print)
