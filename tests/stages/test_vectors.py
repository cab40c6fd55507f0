"""The sentence vectors of kept rows as an asset, and who takes them from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from synth_assets.cli import main
from synth_assets.core.content import text_hash
from synth_assets.core.errors import NotInstalled
from synth_assets.core.text.pairs import MARK
from synth_assets.recipe.load import load
from synth_assets.resources import home
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.vectors import Vectors
from synth_assets.stages import tables
from synth_assets.stages.run import LEARNT, Run
from synth_assets.stages.vectors import compute
from tests.assets.test_round import ROUND, ask
from tests.conftest import QUICK
from tests.endpoint import Endpoint
from tests.resources.storage.test_vectors import Counted
from tests.test_docs import examples

ALIKE = """
select max(abs(list_dot_product(vector, vector) - 1)), count(*), count(distinct encoder), max(len(vector))
from reviews.vectors v join reviews.filtered f using (row_id)
"""


@pytest.fixture
def made(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """The encoder of this process."""
    encoder = Counted(home.home() / "vectors")
    monkeypatch.setattr(home, "MiniLM", lambda store: encoder)
    home.encoder.cache_clear()
    yield encoder
    home.encoder.cache_clear()


def test_vectors_are_in_sql_and_a_lost_cache_is_filled_from_them(
    made: Counted, endpoint: Endpoint, edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("rows: 6", f"{QUICK}\nvectors: true")
    assert main(["run", "reviews", "--round", ROUND]) == 0
    [(_, rows, encoders, wide)] = ask(ALIKE)
    assert (rows, encoders, wide) == (12, 1, 384)
    assert ask("select count(*) from vectors where field = 'text'") == [(12,)]

    [query] = [each for each in examples("sql", "docs/operations.md") if "vectors" in each]
    assert len(ask(query)) == 5

    texts = [text for (text,) in ask("select text from reviews.filtered")]
    shutil.rmtree(home.home() / "vectors")  # as on another machine
    new = Counted(home.home() / "vectors")
    run = Run(load(Path("recipes/reviews.yaml")), home.lake(), new, "2026-11-22")
    assert (run.encode(texts) == made.encode(texts)).all()
    assert new.counted == 0
    run.encode(["another"])
    assert new.counted == 1

    monkeypatch.setattr(Run, "read", lambda *args, **given: pytest.fail("it was learnt"))
    Run(run.recipe, run.lake, new, "2026-11-22").encode(texts)
    other = Counted(home.home() / "vectors", "b")
    monkeypatch.undo()
    Run(run.recipe, run.lake, other, "2026-11-22").encode(texts)
    assert other.counted == len({*texts})


def test_switched_on_later_only_vectors_are_made_and_damaged_ones_stop_no_round(
    project: Path, after_a_round: Endpoint, edit, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("rows: 6", "rows: 6\nvectors: true")
    said = capsys.readouterr
    assert main(["plan", "reviews", "--round", ROUND]) == 0
    states = [line.split() for line in said().out.splitlines() if "unchanged" in line or "new" in line]
    assert [line[0] for line in states if line[-1] == "new"] == ["vectors"]
    assert "stale" not in {word for line in states for word in line}
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert [line.split()[2] for line in said().err.splitlines() if "written" in line] == ["vectors"]

    place = home.home() / "lake" / "reviews" / "vectors" / f"round={ROUND}" / "part.parquet"
    whole, kept = place.read_bytes(), Vectors(project / "own", "a")
    for now, learnt in ((whole[:500], 0), (whole, 1)):
        place.write_bytes(now)
        run = Run(load(Path("recipes/reviews.yaml")), home.lake(), Counted(project / "own"), "2026-11-22")
        encode = run.encode
        assert LEARNT not in run.shared  # who asks for no vector reads none
        assert len(encode(["one"])) == 1
        assert len(kept.learnt()) == learnt


def test_both_texts_of_a_pair_have_one(project: Path, tmp_path: Path) -> None:
    usual = load(Path("recipes/reviews.yaml"))
    recipe = usual.model_copy(
        update={"vectors": True, "task": usual.task.model_copy(update={"pair": "premise"})}
    )
    rows = pd.DataFrame({"row_id": ["a", "b"], "text": ["one", f"two{MARK}"], "premise": ["three", None]})
    run = Run(recipe, FolderLake(tmp_path), Counted(tmp_path), ROUND)
    made = compute(run, rows)
    assert made.rows[["row_id", "field"]].to_numpy().tolist() == [
        ["a", "text"],
        ["b", "text"],
        ["a", "premise"],
    ]
    assert made.rows["text_hash"][1] == text_hash("two ")
    assert tables.to_arrow(recipe, "vectors", made.rows).num_rows == 3
    assert compute(run, rows[:0]).rows.empty


def test_without_an_encoder_they_are_unknown_and_the_round_goes_on(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise NotInstalled("the encoder is not installed. Fix: synth setup encoder")

    encoder, said = Counted(tmp_path), list[str]()
    monkeypatch.setattr(encoder, "folder", missing)
    monkeypatch.setattr(Run, "warn", lambda run, words: said.append(words))
    recipe = load(Path("recipes/reviews.yaml"))
    run = Run(recipe, FolderLake(tmp_path), encoder, ROUND)
    made = compute(run, pd.DataFrame({"row_id": ["a"], "text": ["one"]}))
    assert tables.to_arrow(recipe, "vectors", made.rows).num_rows == 0
    assert said == ["the vectors are unknown: the encoder is not installed. Fix: synth setup encoder"]
