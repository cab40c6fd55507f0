"""Every example in the documents runs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import smtplib
import sqlite3
import threading
from datetime import date
from email.message import EmailMessage
from http.server import HTTPServer
from pathlib import Path

import pytest
import yaml

from synth_assets.assets.alerts import post
from synth_assets.cli import main
from synth_assets.core.registry import FILTERS, VALUES
from synth_assets.recipe import columns
from synth_assets.recipe.load import load
from synth_assets.recipe.measuring import Metrics
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.short_forms import values_of
from synth_assets.report.views import current
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.models import named_models
from synth_assets.resources.home import warehouse
from synth_assets.resources.storage.looks import COLUMNS
from synth_assets.resources.storage.warehouse import VIEWS

ROOT = Path(__file__).parents[1]


def examples(language: str, *documents: str) -> list[str]:
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in documents)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shown(project: Path) -> None:
    shutil.copy(ROOT / "recipes" / "movie_reviews.yaml", project / "recipes")
    current()


@pytest.mark.parametrize(
    "query", examples("sql", "README.md", "docs/sql.md", "docs/evaluation.md", "docs/troubleshooting.md")
)
def test_queries_run_on_the_views(shown: None, query: str) -> None:
    assert warehouse().query(query).fetchall() == []


@pytest.mark.parametrize("line", "".join(examples("bash", "docs/sql.md")).splitlines())
def test_commands_run_on_the_views(shown: None, line: str, capsys: pytest.CaptureFixture) -> None:
    synth, *arguments = shlex.split(line, comments=True)
    assert synth == "synth"
    code = main(arguments)
    if arguments[0] == "trace":
        assert (code, "no row's id starts with" in capsys.readouterr().err) == (2, True)
    else:
        assert code == 0


def test_the_guide_to_sql_reads_from_outside(shown: None) -> None:
    found: dict = {}
    exec(examples("python", "docs/sql.md")[0], found)
    assert [len(found[name]) for name in ("training", "kept", "calls")] == [0, 0, 0]


def test_the_guide_to_sql_names_every_view() -> None:
    guide = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    for name in [*columns.STAGES, "steps", *(path.stem for path in VIEWS.glob("*.sql"))]:
        assert f"`{name}`" in guide, name


@pytest.mark.parametrize("query", examples("sqlite", "docs/sql.md"))
def test_queries_run_on_the_call_log(tmp_path: Path, query: str) -> None:
    log = CallLog(tmp_path / "calls.sqlite")
    assert log.count() == 0
    with sqlite3.connect(tmp_path / "calls.sqlite") as connection:
        assert connection.execute(query).fetchall() == []


def test_the_models_file_of_the_guide_is_right(tmp_path: Path) -> None:
    (text,) = [e for e in examples("yaml", "docs/providers.md") if e.startswith("judge:")]
    (tmp_path / "models.yaml").write_text(text, encoding="utf-8")
    assert named_models(tmp_path / "models.yaml")["judge"].price(date(2026, 11, 22)) is not None


@pytest.mark.parametrize("example", examples("python", "docs/evaluation.md"))
def test_metrics_are_used_alone_as_the_guide_says(example: str) -> None:
    found: dict = {}
    exec(example, found)
    if "judge" in found:
        assert [v.level for v in found["verdicts"]] == [5, 1]
        assert (found["stand"], found["for_people"]) == ([0], [1])
        assert found["reliability"]["accuracy"].value == 1
    elif "rated" in found:
        assert found["rows_to_label"] == 381
        assert found["rated"].low < found["rated"].value < found["rated"].high
        assert found["strengths"]["ours"].value == found["strengths"]["base"].value  # a win each, and a tie
    else:
        assert (found["exact"], found["spans"]["span_f1"]) == (1.0, 1.0)
        assert 0 < found["self_bleu"] < 1


def test_the_guide_to_evaluation_names_every_setting_of_the_metrics(project: Path, edit) -> None:
    text, whole = examples("yaml", "docs/evaluation.md")
    shown = {name for example in (text, whole) for name in yaml.safe_load(example)["metrics"]}
    assert shown == set(Metrics.model_fields) - {"word_list"}
    path = edit("schedule:", text.replace("evidence: passage", "evidence: tone") + "schedule:")
    assert load(path).metrics.collapse == 0.2
    shutil.copytree(ROOT / "docs" / "gallery" / "data", project / "data")
    (project / "recipes" / "guide.yaml").write_text(whole, encoding="utf-8")
    assert main(["check", "guide"]) == 0


@pytest.mark.parametrize("text", examples("yaml", "README.md"))
def test_the_readmes_recipe_is_right(project: Path, text: str, capsys: pytest.CaptureFixture) -> None:
    recipe = yaml.safe_load(text)
    labels = list(recipe["task"]["classify"])
    lines = ["question,intent", *(f"question {i} about {labels[i % 2]},{labels[i % 2]}" for i in range(400))]
    (project / "data").mkdir()
    (project / recipe["seeds"]["file"]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (project / "recipes" / "bank.yaml").write_text(text, encoding="utf-8")
    assert main(["check", "bank"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("text", [e for e in examples("yaml", "docs/recipes.md") if e.startswith("task:")])
def test_the_recipes_of_the_guide_are_right(project: Path, text: str, capsys: pytest.CaptureFixture) -> None:
    (project / "recipes" / "guide.yaml").write_text(text, encoding="utf-8")
    (project / "manual").mkdir()
    (project / "graph.csv").write_text("Ann,lives in,Oslo\nOslo,is in,Norway\n", encoding="utf-8")
    (project / "manual" / "post.md").write_text("# Returns\n## Post\nIt is free.\n", encoding="utf-8")
    assert main(["check", "guide"]) == 0, capsys.readouterr().err
    if "documents:" in text:
        said = capsys.readouterr().out
        assert "passage: 1 piece of at most 300 words, of 1 file" in said
        assert "From manual/post.md, Returns > Post:" in said


def test_the_guide_shows_every_source_of_values_as_it_is_written() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    table = text[text.index("| source | values |") : text.index("A condition may depend on")]
    shown = set()
    for example in re.findall(r"`({.*?})`(?=,| \|)", table):
        shown.add(type(values_of(yaml.safe_load(example))).name)
    assert shown == set(VALUES.known)


def test_the_guide_names_every_section_and_filter() -> None:
    guide = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name in [*Recipe.model_fields, *FILTERS.known]:
        assert f"`{name}`" in guide or name == "name", name


def test_a_night_goes_on_to_e_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example takes what the webhook is told, and the message beside it is such a one."""
    (program,), (message,) = (examples(kind, "docs/increments.md") for kind in ("python", "json"))
    sent: list[EmailMessage] = []
    monkeypatch.setattr(smtplib.SMTP, "connect", lambda *_: (220, b"ready"))
    monkeypatch.setattr(smtplib.SMTP, "send_message", lambda _, mail: sent.append(mail))
    monkeypatch.setattr(smtplib.SMTP, "quit", lambda _: None)
    found: dict = {}
    exec(program, found)
    night = json.loads(message)
    with HTTPServer(("127.0.0.1", 0), found["Mail"]) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert post(f"http://127.0.0.1:{server.server_port}/", night) == ""
    (mail,) = sent
    assert (mail["Subject"], mail.get_content().strip()) == ("reviews: failed", night["text"])
    assert {*night} == {"text", "recipe", "checks", *COLUMNS}
