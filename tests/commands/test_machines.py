"""What machines read: the page on all that a recipe may say, the schema beside recipes, the skill."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from synth_assets.cli import main
from synth_assets.commands.install_skill import SKILL
from synth_assets.commands.options import COMMANDS
from synth_assets.core.errors import CODES, STATUSES, Mistake, status_of
from synth_assets.core.registry import FILTERS, LABELS, METRICS, STEPS, TOOLS, VALUES, WEIGHTS
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.schema import LINE
from tests.test_docs import examples

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> str:
    models = "judge: {name: big, base_url: 'https://me:hidden@models.test/v1', key_env: JUDGE_KEY}\n"
    (project / "models.yaml").write_text(models, encoding="utf-8")
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    assert main(["context"]) == 0
    return capsys.readouterr().out


def test_context_names_all_that_a_recipe_may_say(page: str) -> None:
    named = set(re.findall(r"^ *- `(?:synth )?([^`]+)`", page, re.MULTILINE))
    registries = (FILTERS, VALUES, STEPS, TOOLS, LABELS, WEIGHTS, METRICS)
    known = {word for registry in registries for word in registry.known}
    gallery = {path.stem for path in (ROOT / "docs" / "gallery").glob("*.yaml")}
    assert {*Recipe.fields_of(), *known, *gallery, *COMMANDS, *CODES, "judge"} - named == set()
    assert "- `k` (integer at least 0, default 4): Rows that a prompt shows." in page
    assert "- `words`: Number of words, as white space cuts them; those of Chinese" in page
    assert "reviews" in page.partition("## Recipes here")[2]


def test_context_says_whether_a_key_is_there_and_never_the_key(page: str) -> None:
    line = "- `judge`: big at https://models.test/v1, chat, key in JUDGE_KEY, which is set"
    assert line in page
    assert "OPENAI_API_KEY, which is not set" in page
    assert not re.search("secret|hidden", page)


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "embedded"])
def test_a_new_recipe_has_its_schema_beside_it(
    project: Path, model: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["new", "bank", "--model", model]) == 0
    path = project / "recipes" / "bank.yaml"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    place = first.removeprefix("# yaml-language-server: $schema=")
    schema = json.loads((path.parent / place).read_text(encoding="utf-8"))
    assert load(path).name == "bank"
    document = json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []
    capsys.readouterr()
    (path.parent / place).unlink()
    assert main(["schema", "--write"]) == 0
    said = capsys.readouterr().out
    assert (path.parent / place).is_file()
    assert "reviews.yaml" in said
    assert "bank.yaml" not in said
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema


def test_the_skill_goes_where_agents_look_and_leaves_what_was_changed(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    for _ in range(2):
        assert main(["install-skill"]) == 0
    there = project / ".claude" / "skills" / "synth-assets" / "SKILL.md"
    assert there.read_text(encoding="utf-8") == SKILL.read_text(encoding="utf-8")
    there.write_text("mine", encoding="utf-8")
    assert main(["install-skill"]) == 2
    assert "--force" in capsys.readouterr().err
    assert there.read_text(encoding="utf-8") == "mine"
    assert main(["install-skill", "--force"]) == 0
    assert main(["install-skill", "--to", "elsewhere"]) == 0
    assert (project / "elsewhere" / "SKILL.md").is_file()


def test_the_skill_names_commands_and_options_that_there_are(capsys: pytest.CaptureFixture) -> None:
    head, text = SKILL.read_text(encoding="utf-8").removeprefix("---\n").split("---\n", 1)
    assert {"name", "description"} == {*yaml.safe_load(head)}
    lines = re.findall(r"`synth ([\w-]+)((?: [^`]*)?)`", text)
    assert len(lines) >= 8
    for name, rest in lines:
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        helped = capsys.readouterr().out
        assert end.value.code == 0
        assert {option for option in rest.split() if option.startswith("-")} <= {
            *re.findall(r"--?\w[\w-]*", helped)
        }


def test_the_list_for_language_models_has_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)]+)\)", (ROOT / "llms.txt").read_text(encoding="utf-8")))
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    assert {*pages, "README.md"} - linked == set()
    assert all((ROOT / page).is_file() for page in linked)


def test_the_examples_of_the_guide_run(project: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copy(ROOT / "recipes" / "movie_reviews.yaml", project / "recipes")
    for line in "".join(examples("bash", "docs/machines.md")).splitlines():
        assert main(shlex.split(line)[1:]) == 0
        assert json.loads(capsys.readouterr().out)["recipe"] == "movie_reviews"
    assert examples("yaml", "docs/machines.md") == [LINE]


def test_the_codes_are_documented() -> None:
    text = (ROOT / "docs" / "machines.md").read_text(encoding="utf-8").partition("## Error codes")[2]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)) == CODES


def test_the_exit_statuses_are_documented_and_each_code_has_one() -> None:
    text = (ROOT / "docs" / "machines.md").read_text(encoding="utf-8").partition("## Exit statuses")[2]
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)
    assert {int(number): words for number, words in rows} == STATUSES
    assert {status_of([Mistake("", code)]) for code in CODES} == {0, 1, 2, 3, 69, 75}
    assert {1, 2, 3, 69, 75} < {*STATUSES}
    assert status_of([]) == 0
