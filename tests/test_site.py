"""The documents as a site: it loads nothing from elsewhere, and leaves nothing out."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from synth_assets.core.errors import CODES
from synth_assets.core.registry import FILTERS, LABELS, METRICS, STEPS, TOOLS, VALUES, WEIGHTS
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.gateway.models import named_models, resolve_model
from tests.stages.test_checks import ALL
from tests.test_docs import ROOT, examples

DOCS = ROOT / "docs"
TROUBLE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does it: a dead link, a lost anchor or a page that no menu names is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link\b(?![^>]*canonical)[^>]*?\bhref=\"?([^\" >]+)", text)
        assert [place for place in loaded if re.match("(https?:)?//", place)] == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\W?https?:|@import", sheet.read_text(encoding="utf-8")), sheet.name


@pytest.mark.slow
def test_the_reference_has_every_word_of_a_recipe(site: Path) -> None:
    pages = {
        "recipe": Recipe.fields_of(),
        "filters": FILTERS.known,
        "values": VALUES.known,
        "steps": [*STEPS.known, *TOOLS.known],
        "labels": LABELS.known,
        "weights": WEIGHTS.known,
        "metrics": METRICS.known,
    }
    for name, words in pages.items():
        text = (site / "reference" / f"{name}.html").read_text(encoding="utf-8")
        assert {*words} <= {*re.findall(r"<h3 id=\"[^\"]+\"><code>(\w+)</code>", text)}, name


def test_links_lead_somewhere_in_the_repository_too() -> None:
    beside = ("README.md", "CONTRIBUTING.md", "AGENTS.md", "CHANGELOG.md", "llms.txt")
    for path in [*(ROOT / name for name in beside), *DOCS.rglob("*.md")]:
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in [*re.findall(r"\]\(([^)#\s]+)", text), *re.findall(r"src=\"([^\"]+)\"", text)]:
            outside = re.match("https?://", link)
            assert outside or (path.parent / link).exists(), f"{path.relative_to(ROOT)}: {link}"


def test_the_guide_to_installing_has_every_extra() -> None:
    text = (DOCS / "install.md").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == {*extras}


def test_concepts_explain_each_word_before_they_use_it() -> None:
    text = (DOCS / "concepts.md").read_text(encoding="utf-8").partition("\n## ")[2]
    text = re.sub(r"^#+ .*$|`[^`]*`|\]\([^)]*\)", "", text, flags=re.MULTILINE)
    words = re.findall(r"\*\*(.+?)\*\*", text)
    assert len(words) > 30
    for word in words:
        before = text.partition(f"**{word}**")[0].replace("**", "")
        stem = word.lower().removesuffix("s")
        assert not re.search(rf"\b{re.escape(stem)}s?\b", before, re.IGNORECASE), word


def test_troubleshooting_has_every_check_and_code() -> None:
    checks = TROUBLE.partition("\n## Checks")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### `(\w+)`$", checks, re.MULTILINE)) == {name for _, name in ALL}
    codes = TROUBLE.partition("\n## Codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", codes, re.MULTILINE) == [*CODES]


@pytest.mark.parametrize("message", examples("text", "docs/troubleshooting.md", "docs/networks.md"))
def test_troubleshooting_has_messages_that_there_are(message: str) -> None:
    parts = [re.escape(part) for part in message.strip().split("...")]
    assert any(re.search(".*".join(parts), said, re.DOTALL) for said in said_in_code()), message


def said_in_code() -> set[str]:
    """All texts of the code; what is filled in is `{}`."""
    found: set[str] = set()
    for folder in ("synth_assets", "resources"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
                    found.add("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


@pytest.mark.parametrize("text", examples("yaml", "docs/providers.md"))
def test_models_of_providers_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SYNTH_MODELS", str(tmp_path / "models.yaml"))
    entries = yaml.safe_load(text)
    if "model" in entries:  # a line of a recipe
        keys = {"OPENAI_API_KEY": "scripted"}
        assert resolve_model(entries["model"], keys).name
        return
    (tmp_path / "models.yaml").write_text(text, encoding="utf-8")
    for alias, entry in named_models(tmp_path / "models.yaml").items():
        variables = (entry.key_env, *entry.headers.values(), *entry.query.values())
        model = resolve_model(alias, dict.fromkeys(variables, "scripted"))
        assert model.base_url
        assert model.base_url == (entry.base_url or "https://api.openai.com/v1")
