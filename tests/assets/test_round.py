"""A whole round on a real Dagster instance, through the command line, against an endpoint on loopback."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_assets.assets.code_location import build
from synth_assets.assets.failures import unanswered
from synth_assets.assets.in_process import dagster_instance, end_dead_runs
from synth_assets.cli import main
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.home import call_log, lake, warehouse
from tests.conftest import ROUND
from tests.endpoint import Endpoint, reviewer
from tests.forked import command
from tests.postgres import PASSWORD


def one_in(n: int, other: str) -> Callable[[dict[str, Any]], str]:
    """One in n answers, by the request's seed, is this text: the same rows each time, in whatever order."""
    return lambda body: reviewer(body) if body["seed"] % n else other


def tables_on_disk(root: Path) -> dict[str, str]:
    files = sorted((root / ".synth" / "lake").glob("**/part.parquet"))
    return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def ask(sql: str) -> list[tuple]:
    return warehouse().query(sql).fetchall()


def test_a_round_makes_every_stage_and_a_second_one_pays_nothing(
    project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    assert main(["run", "reviews", "--round", ROUND]) == 0
    out = capsys.readouterr()
    assert "accuracy of a student trained on" in out.out
    assert "12/12" not in out.err  # one line a cell, of six rows each
    assert "6/6 rows, 6 calls" in out.err
    assert len(endpoint.requests) == 12
    first = tables_on_disk(project)
    assert len(first) == 1 + 3 * 2 + 5 + 1 + 2 + 5  # seeds, by cell, by round, a part, feedback, calls
    assert ask("select sum(calls), sum(cost) from reviews.cost") == [(12, None)]  # the price is not known
    prompts = ask("select messages from reviews.generations join reviews.calls using (call_id)")
    assert len(prompts) == 12
    assert all("negative: " in p or "positive: " in p for (p,) in prompts)
    assert ask("select sum(generated), sum(kept) from reviews.funnel") == [(12, 12)]
    assert ask("select distinct outcome from reviews.lineage") == [("kept",)]

    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert len(endpoint.requests) == 12
    assert tables_on_disk(project) == first


def test_rows_do_not_depend_on_the_order_of_cells_or_on_concurrency(
    project: Path, after_a_round: Endpoint, edit
) -> None:
    before = tables_on_disk(project)
    shutil.rmtree(project / ".synth" / "lake" / "reviews" / "generations")
    edit("rows: 6", f"rows: 6\nmodel: {{name: scripted, base_url: {after_a_round.url}, max_concurrency: 1}}")
    (project / ".synth" / "calls.sqlite").unlink()  # so that every row is asked again
    shutil.rmtree(project / ".synth" / "lake" / "reviews" / "calls" / "used_by=generations")
    job = build({"reviews": load(project / "recipes" / "reviews.yaml")}).resolve_job_def("reviews_cell")
    with dagster_instance() as instance:
        for cell in ["positive", "negative"]:  # as a person may click them
            assert job.execute_in_process(instance=instance, partition_key=cell_key(ROUND, cell)).success
    assert len(after_a_round.requests) == 12
    after = tables_on_disk(project)
    asked_again = {path for path in before if "/calls/" in path}  # they tell when they were asked
    assert {p for p in before if before[p] != after[p]} <= asked_again


def test_a_strong_generator_and_a_cheap_judge_side_by_side(project: Path, endpoint: Endpoint, edit) -> None:
    with Endpoint(say=lambda _: "negative") as judge:
        (project / "models.yaml").write_text(
            f"judge:\n  name: small\n  base_url: {judge.url}\n  parameters: {{max_tokens: 7}}\n"
            "  prices: [{from: 2026-01-01, prompt: 1, completion: 1}]\n"
        )
        edit("rows: 6", "rows: 6\nannotator: {model: judge, k: 4}")
        edit("  duplicate: {}", "  duplicate: {}\n  label_agreement: {}")
        main(["run", "reviews", "--round", ROUND])
        assert len(endpoint.requests) == len(judge.requests) == 12
        assert {body["max_tokens"] for body in judge.requests} == {1}  # what a stage says itself counts
        assert ask("select stage, model, calls, cost from reviews.cost order by all") == [
            ("generations", "scripted", 12, None),
            ("scores", "small", 12, pytest.approx(12 * 7e-6)),
        ]


def test_more_rows_pay_only_for_the_new_ones(after_a_round: Endpoint) -> None:
    assert main(["run", "reviews", "--round", ROUND, "--rows", "8"]) == 0
    assert len(after_a_round.requests) == 4


def test_the_next_round_is_another_sample_and_the_training_set_grows(
    project: Path, endpoint: Endpoint
) -> None:
    main(["run", "reviews", "--round", "2026-11-20"])
    main(["run", "reviews", "--round", ROUND])
    assert len(endpoint.requests) == 24
    assert ask("select round::text, count(*) from reviews.weighted group by 1 order by 1") == [
        ("2026-11-20", 12),
        (ROUND, 24),
    ]


def test_a_round_that_is_killed_goes_on_where_it_stopped(project: Path, endpoint: Endpoint) -> None:
    endpoint.delay_s = 0.2
    killed = command(["synth", "run", "reviews", "--round", ROUND, "--rows", "40"], project / "run.log")
    deadline = time.monotonic() + 60
    while len(endpoint.requests) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    endpoint.settle()
    asked = len(endpoint.requests)
    assert 20 <= asked < 80
    endpoint.delay_s = 0.0
    assert main(["run", "reviews", "--round", ROUND, "--rows", "40"]) == 0
    in_flight = 16
    assert len(endpoint.requests) <= 80 + in_flight
    assert ask("select sum(accepted) from reviews.funnel") == [(80,)]
    with dagster_instance() as instance:
        statuses = [run.status for run in instance.get_runs()]
    assert dg.DagsterRunStatus.STARTED not in statuses
    assert statuses.count(dg.DagsterRunStatus.FAILURE) == 1  # the killed one, ended by the next


def test_a_check_that_fails_stops_the_round_and_says_why(
    project: Path, endpoint: Endpoint, edit, capsys
) -> None:
    edit("words: {between: [2, 40]}", "words: {at_least: 100}")
    assert main(["run", "reviews", "--round", ROUND]) == 1
    error = capsys.readouterr().err
    assert "reviews.filtered 2026-11-21: check rows_present: no row is left of negative, positive." in error
    assert ask("select count(*) from reviews.labelled") == [(0,)]
    assert ask("select distinct scorer, threshold from reviews.rejected") == [("words", "at least 100")]


def test_calls_that_failed_for_good_are_rows_a_warning_and_asked_again(
    project: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The run, its check and whoever asks for the round quote why."""
    monkeypatch.setattr("synth_assets.resources.gateway.sending.BACKOFF", 0.0)
    down, order = {"now": True}, dict[int, int]()

    def sometimes(body: dict[str, Any]) -> str:
        number = order.setdefault(body["seed"], len(order))  # a call that is tried again fails again
        if down["now"] and number % 2:
            raise RuntimeError("overloaded")  # the connection breaks without an answer
        return reviewer(body)

    endpoint.say = sometimes
    assert main(["run", "reviews", "--round", ROUND]) == 75
    (failed,) = ask("select count(*) from reviews.rejected where scorer = 'provider_error'")[0]
    assert failed > 0
    answered = dg.AssetCheckKey(dg.AssetKey(["reviews", "generations"]), "answered")
    with dagster_instance() as instance:
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([answered])[answered]
    assert "FAILED" in latest.status.name
    why = "provider_error (each time: ServerDisconnectedError: Server disconnected)"
    assert why in latest.event.dagster_event.asset_check_evaluation_data.description
    error = capsys.readouterr().err
    assert why in error
    said = f"{failed} calls are without an answer (each time: ServerDisconnectedError: Server disconnected)"
    recipe = load(project / "recipes" / "reviews.yaml")
    assert unanswered(lake(), recipe, ROUND) == said
    assert f"not whole: reviews {ROUND}: partly made: {said}" in error
    down["now"] = False
    asked = len(endpoint.requests)
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert len(endpoint.requests) == asked + failed
    assert unanswered(lake(), recipe, ROUND) == ""
    assert ask("select sum(accepted) from reviews.funnel") == [(12,)]


def test_one_cell_whose_check_fails_leaves_the_other_alone(project: Path, endpoint: Endpoint, edit) -> None:
    endpoint.say = lambda body: "" if "positive" in body["messages"][-1]["content"] else reviewer(body)
    assert main(["run", "reviews", "--round", ROUND]) == 1
    with dagster_instance() as instance:
        key = dg.AssetKey(["reviews", "scores"])
        assert instance.get_materialized_partitions(key) == {f"negative|{ROUND}"}


@pytest.mark.parametrize(
    ("spoil", "message", "status"),
    [
        (lambda m, url: m.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"), "127.0.0.1:9", 69),
        (lambda m, url: m.setenv("OPENAI_BASE_URL", "http://no-such-host.invalid/v1"), "OPENAI_API_KEY", 2),
    ],
)
def test_an_endpoint_that_cannot_answer_is_one_clear_error(
    project: Path, after_a_round: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys, spoil, message, status
) -> None:
    before = tables_on_disk(project)
    spoil(monkeypatch, after_a_round.url)
    assert main(["run", "reviews", "--round", ROUND, "--rows", "7"]) == status
    error = capsys.readouterr().err
    assert error.count("error: ") == 1
    assert message in error
    assert "Traceback" not in error
    after = tables_on_disk(project)
    assert {k: v for k, v in after.items() if "conditions" not in k} == {
        k: v for k, v in before.items() if "conditions" not in k
    }


def test_a_full_disk_is_one_clear_error_and_the_next_run_pays_for_nothing_twice(
    project: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
        assert main(["run", "reviews", "--round", ROUND]) == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert "part.parquet" in error
    assert tables_on_disk(project) == {}
    assert main(["run", "reviews", "--round", ROUND]) == 0


def test_a_wrong_key_is_named_by_its_variable_and_never_shown(
    project: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    endpoint.fail_next(401, times=100, message="Incorrect API key provided: sk-very-secret")
    assert main(["run", "reviews", "--round", ROUND]) == 2
    assert "OPENAI_API_KEY" in capsys.readouterr().err
    written = [p for p in project.rglob("*") if p.is_file() and b"sk-very-secret" in p.read_bytes()]
    assert written == []


def test_a_round_that_is_no_round_is_refused(project: Path, capsys) -> None:
    for day, message in [
        ("yesterday", "is no date"),
        ("2031-01-01", "has rounds from 2026-01-01"),
        ("2025-12-31", "to"),
    ]:
        assert main(["run", "reviews", "--round", day]) == 2
        assert message in capsys.readouterr().err


def test_a_materialization_tells_what_it_made(after_a_round: Endpoint) -> None:
    with dagster_instance() as instance:
        for stage, pictures in {
            "generations": ["outcomes", "lengths"],
            "filtered": ["funnel", "labels"],
        }.items():
            event = instance.get_latest_materialization_event(dg.AssetKey(["reviews", stage]))
            assert event is not None
            metadata = event.asset_materialization.metadata
            assert metadata["dagster/row_count"].value == {"generations": 6, "filtered": 12}[stage]
            assert "row_id" in [c.name for c in metadata["dagster/column_schema"].value.columns]
            assert metadata["preview"].value.startswith("| text")
            for picture in pictures:
                assert "data:image/png;base64," in metadata[picture].value
            assert event.asset_materialization.tags["dagster/data_version"]


def test_feedback_shifts_the_next_rounds_rows(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """Rows about `negative` are made too short, so the next round asks for more of them."""
    edit("rows: 6", "rows: 20\nfeedback: {rows: yield}")

    def short(body: dict[str, Any]) -> str:
        asked = body["messages"][-1]["content"].rsplit("\n", 1)[-1]
        return "short" if asked.startswith("negative") and body["seed"] % 2 else reviewer(body)

    endpoint.say = short
    main(["run", "reviews", "--round", "2026-11-20"])
    main(["run", "reviews", "--round", ROUND])
    asked = dict(ask(f"select cell, count(*) from reviews.conditions where round = '{ROUND}' group by 1"))
    assert asked["negative"] > 20 > asked["positive"]

    for file in (project / ".synth" / "lake" / "reviews" / "feedback").glob(
        "round=2026-11-20/*/part.parquet"
    ):
        file.unlink()
    capsys.readouterr()
    assert main(["run", "reviews", "--round", ROUND]) == 2  # and is not made with another number of rows
    assert "is lost. Run it again: synth run reviews --round 2026-11-20" in capsys.readouterr().err
    assert main(["run", "reviews", "--rounds", f"2026-11-20..{ROUND}"]) == 0
    again = dict(ask(f"select cell, count(*) from reviews.conditions where round = '{ROUND}' group by 1"))
    assert again == asked

    file = project / "recipes" / "reviews.feedback" / "2026-11-20.yaml"  # a person may say otherwise
    file.write_text(file.read_text().replace(f"negative: {asked['negative']}", "negative: 25"))
    capsys.readouterr()
    assert main(["plan", "reviews", "--round", ROUND, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [(line["name"], line["now"], line["before"]) for line in planned["feedback"]] == [
        ("negative", 25, 20),
        ("positive", asked["positive"], 20),
    ]
    (conditions,) = [x for x in planned["lines"] if x["stage"] == "conditions" and x["state"] == "stale"]
    assert (conditions["cell"], conditions["why"]) == (
        "negative",
        "reviews.feedback/2026-11-20.yaml was edited",
    )
    endpoint.requests.clear()
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert ask(f"select count(*) from reviews.conditions where round = '{ROUND}' and cell = 'negative'") == [
        (25,)
    ]
    assert endpoint.requests == []  # the others were paid for before
    assert main(["report", "reviews", "--round", "2026-11-20"]) == 0
    page = (project / ".synth" / "reports" / "reviews" / "2026-11-20.html").read_text()
    assert "What the next round asks for" in page
    with dagster_instance() as instance:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(["reviews", "feedback"]))
        (record, *_) = instance.fetch_materializations(wanted, limit=1).records
        assert "asked before" in record.asset_materialization.metadata["asked"].value


def test_show_and_sql_print_rows(after_a_round: Endpoint, capsys) -> None:
    assert main(["show", "reviews", "--stage", "filtered", "-n", "2"]) == 0
    assert capsys.readouterr().out.count("row_id ") == 2
    assert main(["sql", "select count(*) as rows from reviews.filtered", "--csv"]) == 0
    assert capsys.readouterr().out == "rows\n12\n"
    assert main(["show", "reviews", "--stage", "filterd"]) == 2
    assert "Did you mean 'filtered'" in capsys.readouterr().err


def test_a_dead_run_of_another_machine_is_left_alone(project: Path) -> None:
    with dagster_instance() as instance:
        run = instance.create_run_for_job(
            dg.GraphDefinition("nothing").to_job(), tags={"synth/process": "elsewhere:1@2"}
        )
        instance.report_run_canceling(run)
        end_dead_runs(instance)
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELING


def test_verify_names_a_call_that_somebody_changed(after_a_round: Endpoint, capsys) -> None:
    assert main(["verify"]) == 0
    assert capsys.readouterr().out.startswith("12 calls in ")
    call_log().execute("UPDATE calls SET model = 'another' WHERE id = 3")
    assert main(["verify"]) == 1
    assert "call 3: its identity is " in capsys.readouterr().out


def test_a_round_on_a_call_log_in_postgres(
    project: Path, endpoint: Endpoint, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_CALL_LOG", postgres)
    for _ in range(2):
        assert main(["run", "reviews", "--round", ROUND]) == 0
    assert CallLog(postgres).count() == len(endpoint.requests) == 12
    assert not (project / ".synth" / "calls.sqlite").exists()
    written = [f for f in project.rglob("*") if f.is_file() and PASSWORD.encode() in f.read_bytes()]
    assert written == []


def test_rounds_from_to_are_made_one_after_the_other(project: Path, endpoint: Endpoint, capsys) -> None:
    assert main(["run", "reviews", "--rounds", "2026-11-19..2026-11-21"]) == 0
    assert len(endpoint.requests) == 36
    assert ask("select count(distinct round) from reviews.generations") == [(3,)]
    assert main(["run", "reviews", "--rounds", "2026-11-21..2026-11-19"]) == 2
    assert "write the earlier round first" in capsys.readouterr().err
