"""What workers of Ray make is what this process makes: near duplicates, scores of a row, vectors."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synth_assets.assets.logged_model import Watched
from synth_assets.contracts.filter import Context
from synth_assets.core.errors import UserError
from synth_assets.curation.filters.duplicates import Duplicate, NearDuplicate
from synth_assets.curation.keep import keep
from synth_assets.curation.likeness import duplicates, on_workers, similarity_join
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources import encoder, ray_engine
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.vectors import Vectors
from synth_assets.stages import filtered, scores
from synth_assets.stages.run import Run
from tests.engine import Here, hard


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
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.delenv("RAY_ADDRESS", raising=False)
        told = list[str]()
        engine = ray_engine.RayEngine(told.append)
        assert (engine.workers, told) == (2, ["starts Ray: 2 workers"])
        yield engine
        import ray

        ray.shutdown()


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


@pytest.mark.slow
def test_texts_that_a_worker_takes_with_it_are_joined_anew_and_where_it_goes_on_an_error_says_so(
    small: None, ray_of_two: ray_engine.RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    actors, times = ray_of_two.actors, list[int]()

    def lost(*given: Any) -> list[Any]:
        made = actors(*given)
        if len(times) > on_workers.AGAIN:
            return made
        times.append(1)
        ray.kill(made[0])
        return made

    given = hard(150), 0.6, 10, (1, 3)
    monkeypatch.setattr(ray_of_two, "actors", lost)
    with pytest.raises(UserError, match=r"Ray lost what it worked on .*: run it again"):
        on_workers.near(ray_of_two, *given)
    times.pop()
    for here, there in zip(similarity_join.near(*given), on_workers.near(ray_of_two, *given), strict=True):
        assert here.tolist() == there.tolist()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_an_address_without_a_cluster_is_named_with_the_fix(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(UserError, match=rf"RAY_ADDRESS is {address}.*refused\).*on a node of it"):
        ray_engine.RayEngine(print)


def recipe() -> Recipe:
    said = {
        "task": {"classify": {"low": "few", "high": "many"}},
        "seeds": {"file": "a.csv", "splits": {"demonstration": 1}},
        "steps": {"text": "x"},
        "rows": 9,
        "filters": {"words": {}, "form": {"filter": "pattern", "pattern": "a.*"}, "copied_ngram": {}}
        | {"copied_meaning": {}, "novelty": {}, "duplicate": {}, "near_duplicate": {}},
    }
    return inline(said, "made")


class Saying(Run):
    """On an engine, whatever the number of rows; what people are told is kept."""

    said: list[str]
    by: Any

    def engine(self, rows: int) -> Any:
        return self.by

    def say(self, words: str) -> None:
        self.said.append(words)


def saying(folder: Path, by: Any) -> Saying:
    run = Saying(recipe(), FolderLake(folder), MiniLM(), "r", "low")
    run.said, run.by = [], by
    return run


@pytest.mark.slow
def test_filters_of_a_row_give_the_same_on_ray_and_who_scores_which_is_said(
    tmp_path: Path, small: None, ray_of_two: ray_engine.RayEngine
) -> None:
    made = pd.DataFrame({"text": hard(60)}).assign(accepted=True, label="low", cell="low", round="r")
    made = made.assign(error=None, reason="ok")
    made["row_id"] = [f"r{i}" for i in range(60)]
    seeds = pd.DataFrame({"text": [hard(60)[-1]], "label": ["low"], "split": ["demonstration"]})
    here, there = saying(tmp_path, None), saying(tmp_path, ray_of_two)
    pd.testing.assert_frame_equal(
        scores.compute(there, made, seeds).rows, scores.compute(here, made, seeds).rows
    )
    assert here.said == []
    here_why = "copied_meaning (reads vectors), novelty (looks at all rows)"
    assert there.said == [
        f"filters of 60 rows, on Ray: copied_ngram, form, words; in this process: {here_why}"
    ]
    lake = scores.compute(here, made, seeds).rows.drop(columns=["text", "accepted", "label"])
    filtered.compute(there, made, lake, seeds)
    why = "duplicate (looks at all rows)"
    assert there.said[1:] == [f"filters of 60 rows, on Ray: near_duplicate; in this process: {why}"]


TEXTS = [f"{text} {i}" for i, text in enumerate(hard(90))]


def kept(folder: Path) -> dict[int, np.ndarray]:
    model = MiniLM(store=lambda: folder)
    return dict(Vectors(folder, model.version() or "").read(TEXTS))


@pytest.mark.slow
def test_vectors_by_ray_are_those_of_one_process_and_are_kept(
    tmp_path: Path, ray_of_two: ray_engine.RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "TOGETHER", 20)
    model = MiniLM(remember=0, store=lambda: tmp_path)
    model.encode(TEXTS[:7])
    asked = list[int]()

    def engines(new: int) -> ray_engine.RayEngine:
        asked.append(new)
        return ray_of_two

    found = model.encode(TEXTS, engines)
    np.testing.assert_allclose(found, MiniLM(remember=0).encode(TEXTS), atol=1e-6, rtol=0)
    assert {place: vector.tolist() for place, vector in kept(tmp_path).items()} == dict(
        enumerate(found.tolist())
    )
    assert np.array_equal(model.encode(TEXTS, engines), found)
    assert asked == [83]  # those that were there are not made again, nor is anybody asked for them


def test_what_was_made_when_workers_fail_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails(Here):
        def map(self, function: Any, parts: Any, what: str) -> Iterator[Any]:
            yield from map(function, parts[:2])
            raise UserError("gone")

    monkeypatch.setattr(encoder, "TOGETHER", 20)
    with pytest.raises(UserError, match="gone"):
        Watched(MiniLM(store=lambda: tmp_path), lambda new: Fails()).encode(TEXTS)
    assert len(kept(tmp_path)) == 40


def test_another_encoder_on_a_worker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MiniLM(remember=0)
    monkeypatch.setattr(MiniLM, "version", lambda self: str(self.threads == 1))
    monkeypatch.setattr(model, "_threads", 2)
    with pytest.raises(UserError, match=r"on a worker \(.*is another one.*copy that folder to each node"):
        model.encode(TEXTS, lambda new: Here())


def slow_or_wrong(part: int) -> int:
    if part < 0:
        raise UserError("a filter's own words")
    time.sleep(part)
    return part


@pytest.mark.slow
def test_people_are_told_how_far_it_is_while_a_part_is_long_and_errors_are_those_of_the_function(
    ray_of_two: ray_engine.RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[str]()
    monkeypatch.setattr(ray_of_two, "_say", told.append)
    monkeypatch.setattr(ray_engine, "TELL", 0.2)
    assert list(ray_of_two.map(slow_or_wrong, [0, 1], "some")) == [0, 1]
    assert sum(words in ("Ray: some, 0 of 2 parts", "Ray: some, 1 of 2 parts") for words in told) > 2
    assert told[-1] == "Ray: some, 2 of 2 parts"
    with pytest.raises(UserError) as raised:
        list(ray_of_two.map(slow_or_wrong, [0, -1], "some"))
    assert str(raised.value) == "a filter's own words"


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
