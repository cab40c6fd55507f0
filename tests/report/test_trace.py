"""`synth trace`: the whole story of a row, from the lake alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from synth_assets.cli import main
from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.resources.home import home
from synth_assets.resources.storage.folder_lake import FolderLake
from tests.assets.test_round import ROUND, ask, one_in
from tests.conftest import settle
from tests.endpoint import Endpoint, reviewer


def trace(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["trace", *arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def row_where(condition: str) -> str:
    return str(ask(f"select row_id from reviews.lineage where {condition} order by 1 limit 1")[0][0])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two rounds, in which some rows are too short."""
    with pytest.MonkeyPatch.context() as patch, Endpoint(say=one_in(4, "sh\x1b[2Jort")) as served:
        folder = settle(tmp_path_factory.mktemp("finished"), patch)
        patch.setenv("SYNTH_MODEL", "scripted")
        patch.setenv("OPENAI_BASE_URL", served.url)
        path = folder / "recipes" / "reviews.yaml"
        text = path.read_text(encoding="utf-8").replace("rows: 6", "rows: 9")
        path.write_text(text.replace(f"{folder}/", ""), encoding="utf-8")
        for round_ in ("2026-11-20", ROUND):
            assert main(["run", "reviews", "--round", round_]) == 0
    return folder


@pytest.fixture
def rounds(finished: Path, project: Path) -> None:
    shutil.copytree(finished, project, dirs_exist_ok=True)


def test_a_rows_story_is_told_from_a_copy_of_the_lake(
    rounds: None, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    kept = row_where("outcome = 'kept' and round = '2026-11-20'")
    dropped = row_where("scorer = 'words'")
    shutil.copytree(project / ".synth" / "lake", project / "copy" / "lake")
    shutil.rmtree(project / ".synth")
    monkeypatch.setenv("SYNTH_HOME", str(project / "copy"))

    told = json.loads(trace(capsys, kept, "--json"))
    (step,) = told["steps"]
    assert step["answer"] == told["text"]
    assert step["model"] == "scripted"
    assert (step["prompt_tokens"], step["completion_tokens"], step["cost"]) == (5, 2, None)
    prompt = step["messages"][-1]["content"]
    assert [d["text"] in prompt for d in told["demonstrations"]] == [True, True]
    assert prompt.endswith(f"{told['conditions']['label']} ({told['conditions']['tone']}):")
    assert [(f["scorer"], f["verdict"]) for f in told["filters"]] == [
        ("words", "passed"),
        ("duplicate", "passed"),
    ]
    assert (told["label"], told["former_label"], told["label_source"]) == (
        told["cell"],
        told["cell"],
        "condition",
    )
    assert [(t["round"], t["weight"]) for t in told["training_sets"]] == [("2026-11-20", 1.0), (ROUND, 1.0)]

    words = trace(capsys, f"reviews.{kept[:12]}")
    for part in (told["text"], "(angry):", "cost unknown", "5 + 2 tokens", "passed", ROUND, step["call_id"]):
        assert part.replace("(angry)", f"({told['conditions']['tone']})") in words

    words = trace(capsys, dropped)
    assert "dropped, wanted at least 2 and at most 40" in words
    assert "duplicate                  unknown  not asked" in words
    assert "in none" in words
    assert "\x1b" not in words  # a terminal does not obey an answer
    assert "sh\\x1b[2Jort" in words


class Own(RowFilter):
    name = "own"
    columns: ClassVar[dict[str, str]] = {"own_found": "double"}

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[float]]:
        return {"own_found": [float("and" in text) for text in rows["text"]]}


@pytest.mark.parametrize(
    ("name", "section"),
    [("evidence", "evidence: {answer: tone}"), ("own", f"{__name__}:Own: {{at_least: 1}}")],
)
def test_a_filter_whose_score_has_a_column_of_another_name(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture, name: str, section: str
) -> None:
    edit("tone: [angry, calm, witty]", "tone: [and]")
    edit("  words: {between: [2, 40]}\n  duplicate: {}", f"  duplicate: {{}}\n  {section}")
    endpoint.say = one_in(4, "short")
    assert main(["run", "reviews", "--round", ROUND]) == 0
    dropped, kept = row_where(f"scorer = '{name}'"), row_where("outcome = 'kept'")
    words = trace(capsys, dropped)
    assert "duplicate                 not kept  passed" in words
    assert f"{name:24}         0  dropped, wanted at least 1" in words
    assert f"{name}_found" not in words
    words = trace(capsys, kept)
    assert f"{name:24}         1  passed" in words
    assert f"{name}_found" not in words

    (project / "recipes" / "reviews.yaml").write_text(
        "steps: half of a"
    )  # while it is written, rows stay told
    assert f"{name:24}         0  dropped, wanted at least 1" in trace(capsys, dropped)


def test_an_id_that_is_not_one_row_says_what_there_is(
    rounds: None, project: Path, capsys: pytest.CaptureFixture
) -> None:
    def refused(row_id: str) -> str:
        capsys.readouterr()
        assert main(["trace", row_id]) == 2
        return capsys.readouterr().err

    row_id, seed = row_where("true"), ask("select row_id from reviews.seeds limit 1")[0][0]
    assert "at least 6 characters" in refused(row_id[:5])
    assert "no row's id starts with 'zzzzzz'" in refused("zzzzzz")
    assert f"{seed} is a seed of reviews" in refused(seed)

    shutil.copyfile(project / "recipes" / "reviews.yaml", project / "recipes" / "again.yaml")
    shutil.copytree(project / ".synth" / "lake" / "reviews", project / ".synth" / "lake" / "again")
    error = refused(row_id)
    assert "stands for 2 rows" in error
    assert f"  again.{row_id}  round " in error
    assert f"reviews.{row_id}\nround" in trace(capsys, f"reviews.{row_id}")


def test_a_row_that_nothing_was_asked_for_yet(
    rounds: None, project: Path, capsys: pytest.CaptureFixture
) -> None:
    row_id = row_where("true")
    for stage in ("generations", "scores", "filtered", "rejected", "labelled", "weighted", "calls"):
        shutil.rmtree(project / ".synth" / "lake" / "reviews" / stage)
    words = trace(capsys, row_id)
    assert "not filtered yet" in words
    assert "not asked" in words


def test_a_story_of_several_steps_has_each_steps_call(
    project: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture
) -> None:
    path = project / "recipes" / "reviews.yaml"
    text = path.read_text(encoding="utf-8")
    steps = text[text.index("  text:\n    complete") : text.index("rows: 6")]
    chain = '  outline: "Name a {{ tone }} point."\n  text: "Write of {{ outline }}, {{ label }}."\n'
    path.write_text(text.replace(steps, chain), encoding="utf-8")
    assert main(["run", "reviews", "--round", ROUND]) == 0
    told = json.loads(trace(capsys, row_where("outcome = 'kept'"), "--json"))
    outline, last = told["steps"]
    assert (outline["step"], last["step"]) == ("generations_outline", "generations")
    assert last["messages"][-1]["content"] == f"Write of {outline['answer']}, {told['cell']}."
    assert last["answer"] == told["text"]


def test_a_story_has_the_annotators_call(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    edit("  duplicate: {}", "  duplicate: {}\n  label_agreement: {at_least: 0.0}")
    endpoint.logprobs = False
    assert main(["run", "reviews", "--round", ROUND]) == 0
    told = json.loads(trace(capsys, row_where("outcome = 'kept'"), "--json"))
    (call,) = told["scored_by"]
    assert call["messages"][-1]["content"].endswith(f"Review: {told['text']}\nSentiment:")
    assert "scores: the annotator was asked" in trace(capsys, told["row_id"])


def test_a_story_has_the_call_of_a_judge_whose_rubric_goes_on_behind_the_text(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    behind = "Think of tone, of words, of sense. " * 9
    assert len(behind) > 300
    edit("  duplicate: {}", f"  judge: {{rubric: 'How good is {{{{ text }}}}? {behind}From 1 to 5.'}}")
    endpoint.say = lambda body: "5" if behind.strip() in str(body) else reviewer(body)
    assert main(["run", "reviews", "--round", ROUND]) == 0
    row_id = row_where("outcome = 'kept'")
    told = json.loads(trace(capsys, row_id, "--json"))
    (call,) = told["scored_by"]
    assert f"How good is {told['text']}? {behind}" in call["messages"][-1]["content"]
    assert (call["filter"], call["answer"], call["cost"], call["prompt_tokens"]) == ("judge", "5", None, 5)
    assert "judge_calls" not in told["scores"]
    words = trace(capsys, row_id)
    assert "scores: the annotator was asked, for judge" in words
    assert "cost unknown" in words
    lake = FolderLake(home() / "lake")
    for place in lake.partitions("reviews", "scores", ["round", "cell"]):  # as before they noted their calls
        table = lake.table("reviews", "scores", place)
        lake.write("reviews", "scores", place, table.drop_columns(["judge_calls"]))
    assert json.loads(trace(capsys, row_id, "--json"))["scored_by"] == []
