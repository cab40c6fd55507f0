"""What metrics look at of very many rows: a sample, over rounds in a lake."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import run as run_of_stages
from synth_assets.stages import samples
from synth_assets.stages.metrics import looking
from synth_assets.stages.run import Run
from synth_assets.stages.samples import NOTE, Samples
from tests.through import Through, through

MOST = 12
WORDS = ["ash", "elm", "fir", "oak", "yew", "bay", "box", "fig"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    pairs = list(itertools.pairwise(WORDS))
    rows = [f"{label} news of {a} and {b},{label}" for label in ("wet", "dry") for a, b in pairs]
    Path("seeds.csv").write_text("\n".join(["text,label", *rows]))
    return tmp_path


def recipe() -> Recipe:
    splits = {"demonstration": 4, "validation": 4, "test": 6}
    return inline(
        {
            "task": {"text": "news", "label": "kind", "classify": {"wet": "of rain", "dry": "of sun"}},
            "seeds": {"file": "seeds.csv", "splits": splits},
            "conditions": {"label": "labels"},
            "steps": {"text": "Write {{ verbalizer }} news."},
            "rows": 10,
            "filters": {"words": {"at_most": 6}},
            "minimum_yield": 0.0,
        },
        "news",
    )


def a_round(folder: Path, day: int) -> Through:
    """Twenty rows, of which four are too long."""
    numbers = itertools.count()

    def say(prompt: str, *_: Any) -> str:
        n = next(numbers)
        long = " and more of the same kind" if n % 5 == 4 else ""
        return f"{prompt.split()[1]} {WORDS[n % 8]} {WORDS[(n + day) % 7]} {n}{long}"

    return through(recipe(), say, folder, f"2026-11-{day:02}")


def look_at(folder: Path, day: int) -> Any:
    run = Run(recipe(), FolderLake(folder / "lake"), MiniLM(), f"2026-11-{day:02}")
    stages = ("generations", "filtered", "labelled", "weighted", "seeds")
    cells = [{"round": run.round, "cell": cell} for cell in sorted(run.recipe.cells)]
    places = {"generations": cells, "seeds": [{}]}
    return looking(run, **{s: run.read(s, *places.get(s, [{"round": run.round}])) for s in stages})


def test_very_many_rows_are_measured_by_a_sample_that_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = a_round(folder, 1).rows("metrics").set_index(["name", "slice"])
    assert not whole["reason"].str.contains(NOTE, na=False).any()
    monkeypatch.setattr(samples, "MOST", MOST)
    found = a_round(folder, 1).rows("metrics").set_index(["name", "slice"])
    assert {*found.index} - {*whole.index} <= {("learning_curve", "weighted@12")}
    assert found.loc[("contamination", "filtered"), "n"] == MOST
    assert found.loc[("contamination", "filtered"), "high"] > whole.loc[("contamination", "filtered"), "high"]
    assert found.loc[("contamination", "filtered"), "reason"] == NOTE
    assert found.loc[("yield", "all")].equals(whole.loc[("yield", "all")])  # counted, and not drawn
    assert found.loc[("accuracy", "seeds")].equals(whole.loc[("accuracy", "seeds")])
    again = a_round(folder, 1).rows("metrics").set_index(["name", "slice"])
    pd.testing.assert_frame_equal(found, again)


def test_samples_of_all_rounds_are_rows_of_theirs_and_have_most_in_common(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2, 3):
        a_round(folder, day)
    monkeypatch.setattr(run_of_stages, "THIN_FROM", 5)  # rows are thinned as they come
    looked, stages = look_at(folder, 3), ("generations", "filtered", "labelled")
    both_rounds = looked.latest("filtered", 1)
    assert {*both_rounds["round"]} == {"2026-11-02", "2026-11-03"}
    whole, kept_before = {stage: looked.so_far(stage) for stage in stages}, looked.before().kept
    monkeypatch.setattr(samples, "MOST", MOST)
    drawn = look_at(folder, 3)
    for stage in stages:
        rows, sample = whole[stage], drawn.so_far(stage)
        wanted = rows[rows["row_id"].isin(sample["row_id"])].reset_index(drop=True)
        assert len(sample) == MOST < len(rows)
        assert sample["round"].nunique() > 1
        pd.testing.assert_frame_equal(sample, wanted)
    made, kept = drawn.so_far("generations"), drawn.so_far("filtered")
    of_made = set(made["row_id"]) & set(whole["filtered"]["row_id"])
    assert of_made
    assert of_made <= set(kept["row_id"])  # what is kept of a sample is in that of the kept rows
    assert set(drawn.labelled["row_id"]) == set(drawn.filtered["row_id"])
    assert both_rounds.groupby("round").size().min() > MOST
    latest = drawn.latest("filtered", 1)  # of each of these rounds a sample of its own
    assert latest.groupby("round").size().to_dict() == {"2026-11-02": MOST, "2026-11-03": MOST}
    before = drawn.before()
    assert before.round == "2026-11-02"
    assert len(before.kept) == len(before.weighted) == MOST
    assert set(before.kept["row_id"]) <= set(kept_before["row_id"])


def test_as_many_rows_as_are_looked_at_are_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pd.DataFrame({"row_id": [f"r{n}" for n in range(MOST)]})
    monkeypatch.setattr(samples, "MOST", MOST)
    found = Samples(0)
    assert found.of(rows) is rows
    assert not found.taken
    monkeypatch.setattr(samples, "MOST", MOST - 1)
    assert len(found.of(rows)) == MOST - 1
    assert found.taken
    assert len(Samples(1).of(rows).merge(found.of(rows))) < MOST  # another seed, another sample
