"""`synth clean`: it says what it would remove, and removes nothing but that."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from synth_assets.assets import rounds
from synth_assets.assets.in_process import dagster_instance, run_round
from synth_assets.cli import main
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from synth_assets.report.views import current
from synth_assets.resources.home import call_log, home
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.vectors import Vectors
from synth_assets.resources.storage.vectors import files as files_of_vectors
from tests.assets.test_round import ROUND, one_in
from tests.commands.test_verify import files
from tests.endpoint import Endpoint

BEFORE = "2026-11-20"


def ask(sql: str) -> list[tuple]:
    return current()[0].query(sql).fetchall()


def made(stage: str) -> set[str]:
    with dagster_instance() as instance:
        return instance.get_materialized_partitions(dg.AssetKey(["reviews", stage]))


def test_a_cell_that_the_recipe_no_longer_has_is_in_no_view_and_no_set_and_goes_with_yes(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("positive: the reviewer liked it}", "positive: the reviewer liked it, mixed: both}")
    edit("demonstration: 4", "demonstration: 6")
    seeds = project / "seeds.csv"
    whole = seeds.read_text()
    seeds.write_text(whole + "".join(f"some of it is good {i},mixed\n" for i in range(6)))
    assert main(["run", "reviews", "--round", BEFORE]) == 0
    edit(", mixed: both}", "}")
    seeds.write_text(whole)
    for stage in ("conditions", "generations", "filtered", "labelled", "calls"):
        assert ask(f"select * from reviews.{stage} where cell = 'mixed'") == []
    assert ask("select distinct label from reviews.weighted order by 1") == [("negative",), ("positive",)]
    main(["run", "reviews", "--round", ROUND])
    assert ask(f"select count(*) from reviews.weighted where round = '{ROUND}'") == [(24,)]
    assert ask("select * from reviews.weighted where label = 'mixed'") == []

    before, paid = files(project), len(endpoint.requests)
    capsys.readouterr()
    assert main(["clean", "reviews"]) == 0
    out = capsys.readouterr().out
    assert "orphaned" in out
    assert "add --yes" in out
    assert files(project) == before
    assert main(["clean", "reviews", "--yes"]) == 0
    gone = {path for path in before if "cell=mixed" in path.parts}
    assert len(gone) == 3 + 2 + 1  # conditions, generations, scores; calls; feedback
    assert files(project) == {path: content for path, content in before.items() if path not in gone}
    assert made("generations") == {f"{c}|{r}" for c in ("negative", "positive") for r in (BEFORE, ROUND)}
    assert main(["verify", "reviews"]) == 0
    main(["clean", "reviews"])
    assert "nothing to remove." in capsys.readouterr().out
    assert len(endpoint.requests) == paid


def test_old_rounds_go_and_come_back_free(project: Path, endpoint: Endpoint, capsys) -> None:
    for round_ in (BEFORE, ROUND):
        main(["run", "reviews", "--round", round_])
    whole, paid = files(project), len(endpoint.requests)
    assert main(["clean", "--keep-rounds", "1", "--yes"]) == 0
    assert ask("select distinct round::text from reviews.generations") == [(ROUND,)]
    assert made("metrics") == {ROUND}
    assert made("scores") == {f"negative|{ROUND}", f"positive|{ROUND}"}
    with dagster_instance() as instance:
        latest = instance.get_latest_materialization_event(dg.AssetKey(["reviews", "metrics"]))
        assert latest.asset_materialization.partition == ROUND
    assert main(["verify"]) == 0
    main(["run", "reviews", "--round", BEFORE])
    assert files(project) == whole
    assert main(["clean", "--before", "2026-12-01", "--yes"]) == 0
    assert {path.parent.name for path in files(project)} == {"seeds"}
    assert made("metrics") == set()
    assert len(endpoint.requests) == paid
    assert main(["clean", "--before", "soon"]) == 2
    assert "'soon' is no date" in capsys.readouterr().err


def test_texts_of_rejected_rows_go_and_their_reasons_stay(project: Path, endpoint: Endpoint) -> None:
    endpoint.say = one_in(2, "short")
    main(["run", "reviews", "--round", ROUND])
    (rejected,) = ask("select count(*) from reviews.rejected")[0]
    assert rejected > 0
    others = ask("select row_id, text from reviews.weighted order by 1")
    assert main(["clean", "reviews", "--rejected-texts", "--yes"]) == 0
    assert ask("select count(text), count(reason) from reviews.rejected") == [(0, rejected)]
    assert ask("select row_id, text from reviews.weighted order by 1") == others
    assert files_of_vectors(home() / "vectors") == []  # of which texts can be guessed
    assert main(["verify", "reviews"]) == 0  # what is missing was meant to go


def test_a_recipe_that_is_gone_keeps_its_rows_until_it_is_said_so(
    project: Path, after_a_round: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "recipes" / "reviews.yaml").unlink()
    main(["clean", "--yes"])
    assert len(files(project)) > 0
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("SYNTH_RECIPES", "nowhere")
        assert main(["clean", "--gone", "--yes"]) == 2  # there, nothing says which recipes there are
    assert main(["clean", "--gone", "--yes"]) == 0
    assert files(project) == {}
    with dagster_instance() as instance:
        known = instance.all_asset_keys()
        assert not any(instance.get_latest_materialization_event(key) for key in known)


def test_what_a_run_is_at_work_on_is_left(project: Path, after_a_round: Endpoint, capsys) -> None:
    whole = files(project)
    with dagster_instance() as instance:
        run = instance.create_run_for_job(
            dg.GraphDefinition("reviews_cell").to_job(),
            tags={"dagster/partition": str(cell_key(ROUND, "negative"))},
            status=dg.DagsterRunStatus.STARTED,
        )
        assert main(["clean", "reviews", "--before", "2026-12-01", "--yes"]) == 0
        assert "a run is at work on it" in capsys.readouterr().out
        assert files(project) == whole
        instance.delete_run(run.run_id)


def test_vectors_are_a_cache_that_goes_when_it_is_said_so(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    call_log().count()
    for name in ("a", "b"):
        Vectors(home() / "vectors", name).keep(["one text"], np.zeros((1, 384), np.float32))
    damaged = home() / "vectors" / "a.sqlite"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert main(["clean"]) == 0
    assert "nothing to remove" in capsys.readouterr().out
    for words in (["verify"], ["verify", "--repair"]):
        main(words)
        assert f"vectors of texts in {damaged}, a cache: " in capsys.readouterr().out
    assert not damaged.exists()
    assert main(["clean", "--vectors"]) == 0
    assert len(files_of_vectors(home() / "vectors")) == 1
    assert main(["clean", "--vectors", "--yes"]) == 0
    assert "removed 1 of 1" in capsys.readouterr().out
    assert files_of_vectors(home() / "vectors") == []


def test_what_killed_processes_left_goes_and_what_a_living_one_writes_stays(project: Path) -> None:
    lake = FolderLake(home() / "lake")
    lake.write("reviews", "seeds", {}, pa.table({"n": [1]}))
    path = lake.path("reviews", "seeds", {})
    left = path.with_name(".part.parquet.elsewhere:1@2.3"), path.with_name(_dead())
    for file in left:
        file.touch()
    assert main(["clean", "--yes"]) == 0
    assert [file.exists() for file in left] == [True, False]  # of another machine nothing is known


def test_what_is_old_of_the_history_goes_and_what_rows_rest_on_stays(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """All of it is older than today. Runs whose rows were replaced go; of the others, their logs."""
    main(["run", "reviews", "--round", ROUND])
    edit("between: [2, 40]", "between: [2, 30]")
    main(["run", "reviews", "--round", ROUND])
    before, made_of = files(project), made("filtered")
    with dagster_instance() as instance:
        runs = instance.get_runs_count()
    clean = ["clean", "reviews", "--older-than", "0d"]
    assert main(clean) == 0
    assert "12 prompts of the call log, which the lake has too" in capsys.readouterr().out
    with dagster_instance() as instance:
        assert instance.get_runs_count() == runs
    assert main([*clean, "--yes"]) == 0
    assert "on disk: " in capsys.readouterr().out
    with dagster_instance() as instance:
        assert 0 < instance.get_runs_count() < runs
        assert instance.event_log_storage.get_logs_for_run("") == []  # what no run said
    logs = (home() / "history" / "runs").glob("*.db")
    assert {path.name for path in logs} <= {"index.db", ".db"}
    assert files(project) == before
    assert made("filtered") == made_of
    assert call_log().has_put_away()
    paid = len(endpoint.requests)
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert capsys.readouterr().err.count("unchanged") == 4
    with dagster_instance() as instance:
        run_round(load(project / "recipes" / "reviews.yaml"), ROUND, instance, quiet=True, again=True)
    assert len(endpoint.requests) == paid
    assert not call_log().has_put_away()
    assert ask("select count(*) from reviews.calls where messages = ''") == [(0,)]
    assert main(["verify", "reviews"]) == 0


@pytest.mark.parametrize(("keep", "left"), [(1, {ROUND}), (2, {BEFORE, ROUND})])
def test_rounds_go_where_the_recipe_says_so(project: Path, edit, keep: int, left: set[str]) -> None:
    edit('schedule: "0 2 * * *"', f'schedule: {{cron: "0 2 * * *", keep: {keep}}}')
    lake = FolderLake(home() / "lake")
    for round_ in (BEFORE, ROUND):
        lake.write("reviews", "filtered", {"round": round_}, pa.table({"n": [1]}))
    assert main(["clean", "--older-than", "90", "--yes"]) == 0
    assert {place["round"] for place in lake.partitions("reviews", "filtered", ["round"])} == left
    assert main(["clean", "--older-than", "soon"]) == 2


def _dead() -> str:
    from synth_assets.resources.storage.process import this_process

    return f".part.parquet.{this_process().partition(':')[0]}:{2**22 + 1}@1.3"


def test_a_run_leaves_a_report_which_goes_with_its_round_and_with_rejected_texts(
    project: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "BESIDE", ("report",))  # tests leave it out
    assert main(["run", "reviews", "--round", ROUND]) == 0
    page = home() / "reports" / "reviews" / f"{ROUND}.html"
    assert page.exists()
    assert made("report") == {ROUND}
    main(["clean", "reviews", "--rejected-texts", "--yes"])
    assert not page.exists()
    assert made("report") == set()
    main(["report", "reviews", "--round", ROUND])
    assert page.exists()
    main(["clean", "reviews", "--before", "2026-11-23", "--yes"])
    assert not page.exists()
