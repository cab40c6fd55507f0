"""With --json a command prints one object and nothing else; exit codes are those of the words for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from synth_assets.core.errors import CODES
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint

HEAD = ["command", "ok", "exit_code", "errors"]
Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(capfd: pytest.CaptureFixture) -> Asked:
    """What a command says to a program; nothing of it may be said twice."""

    def ask(*arguments: str, code: int = 0) -> dict[str, Any]:
        capfd.readouterr()
        try:
            ended: object = main([*arguments, "--json"])
        except SystemExit as end:  # argparse
            ended = end.code
        assert ended == code
        said = json.loads(capfd.readouterr().out)
        assert list(said)[:4] == HEAD
        assert (said["command"], said["ok"], said["exit_code"]) == (arguments[0], code == 0, code)
        assert {error["code"] for error in said["errors"]} <= {*CODES}
        return said

    return ask


def test_a_round_in_json(endpoint: Endpoint, edit, asked: Asked) -> None:
    edit("words: {between: [2, 40]}", "words: {between: [2, 40]}\n  distinct_words: {at_least: 0.1}")
    found = {each["what"]: each["says"] for each in asked("check", "reviews")["found"]}
    assert found["filters"].startswith("words (at least 2 and at most 40)")
    tried = asked("try", "reviews", "-n", "2", "--round", ROUND)["rows"]
    assert [(row["reason"], row["filters"][0]["passed"]) for row in tried] == [(None, True)] * 2
    made = asked("run", "reviews", "--round", ROUND)
    assert (made["rounds"], made["pending"], made["rows"]["kept"]) == ([ROUND], [], 12)
    assert any(m["name"] == "yield" and m["value"] == 1 for m in made["metrics"])
    rows = asked("show", "reviews", "-n", "2")["rows"]
    assert [type(row["weight"]) for row in rows] == [float, float]
    assert Path(asked("report", "reviews")["page"]).is_file()
    (sweep,) = asked("tune", "reviews", "--filter", "distinct_words")["sweeps"]
    assert [p["kept"] for p in sweep["points"] if p["current"]] == [12]
    sets = asked("compare", "reviews", "reviews")["sections"][0]["tables"][0]
    assert sets["rows"][0] == ["rows", 12, 12]
    assert asked("plan", "reviews", "--round", ROUND)["total"]["calls"] == 0
    assert asked("verify", "reviews")["lost"] == {"reviews": 0}
    (file,) = Path(".synth/lake").glob("**/filtered/**/part.parquet")
    file.unlink()
    damaged = asked("verify", "reviews", code=1)
    assert [(e["code"], e["file"]) for e in damaged["errors"]] == [("damaged", str(file.absolute()))]


def test_a_check_that_stops_a_round_is_an_error_with_its_name(endpoint: Endpoint, edit, asked: Asked) -> None:
    edit("minimum_yield: 0.0", "minimum_yield: 1.0")
    edit("words: {between: [2, 40]}", "words: {at_least: 40}")
    stopped = asked("run", "reviews", "--round", ROUND, code=1)
    assert {e["code"] for e in stopped["errors"]} == {"check_failed"}
    assert any("check rows_present: " in e["message"] for e in stopped["errors"])


def test_mistakes_of_a_file_have_line_field_and_code(project: Path, edit, asked: Asked) -> None:
    path = edit("rows: 6", "rowz: 6\nmode: slow")
    text = path.read_text(encoding="utf-8").splitlines()
    errors = asked("check", "reviews", code=2)["errors"]
    assert [(e["field"], e["code"], e["fix"]) for e in errors] == [
        ("rowz", "unknown_field", "write rows in the place of rowz"),
        ("mode", "unknown_name", "write 'online' or 'batch'"),
    ]
    assert [text[e["line"] - 1] for e in errors] == ["rowz: 6", "mode: slow"]
    assert {e["file"] for e in errors} == {str(path)}


def test_what_a_check_finds_in_other_files_stands_at_the_field_that_names_them(
    project: Path, edit, asked: Asked
) -> None:
    path = edit("splits: {demonstration: 4", "label: sentiment, splits: {demonstration: 4")
    edit("duplicate: {}", "duplicate: {}\nlabelled: {human: nobody.csv}")
    errors = asked("check", "reviews", code=2)["errors"]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [(e["field"], lines[e["line"] - 1].partition(":")[0]) for e in errors] == [
        ("seeds.label", "seeds"),
        ("labelled.human", "labelled"),
    ]


def test_options_that_are_wrong_and_recipes_that_are_not_there(project: Path, asked: Asked) -> None:
    assert asked("show", code=2)["errors"][0]["code"] == "usage"
    (error,) = asked("run", "review", code=2)["errors"]
    assert (error["code"], error["fix"]) == ("unknown_name", "write reviews in the place of review")


def test_a_key_that_is_not_set_has_a_code(project: Path, edit, asked: Asked) -> None:
    edit("rows: 6", "rows: 6\nmodel: gpt-4.1-mini")
    (error,) = asked("run", "reviews", "--round", ROUND, code=2)["errors"]
    assert (error["code"], error["fix"]) == ("no_key", "set the variable OPENAI_API_KEY")


def test_the_version_is_said(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out.startswith("synth-assets ")) == (0, True)
