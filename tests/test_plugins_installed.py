"""The seven kinds of methods of one's own, as a user has them: in a package that is installed beside the
wheel into a new environment, named by their entry points; and in a module on the path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from synth_assets.cli import main
from tests.conftest import SEEDS, forget
from tests.endpoint import Endpoint
from tests.installed import environment, install, one_process
from tests.test_docs import examples

__all__ = ["environment"]

ROUND = "2026-11-22"
POINTS = {
    "filters": {"exclamations": "Exclamations"},
    "values": {"csv": "Column"},
    "steps": {"mask": "Mask"},
    "tools": {"shout": "shout"},
    "labels": {"keywords": "Keywords"},
    "weights": {"short": "Short"},
    "metrics": {"ended": "Ended"},
}
RECIPE = """
task:
  classify: {negative: the reviewer did not like it, positive: the reviewer liked it}
  text: review
seeds: {file: seeds.csv, splits: {demonstration: 4, test: 4}}
conditions: {label: labels, place: PLACE}
steps:
  draft: "{{ definition }}: write a film review by someone from {{ place }}."
  loud: {tool: TOOL, input: "{{ draft }}"}
  text: MASK
rows: 3
model: {name: scripted, base_url: URL}
filters: {FILTER: {at_most: 3}, calm: {filter: "FILTER", at_most: 5}}
minimum_yield: 0.0
labelled: {by: "LABEL", words: {positive: [WONDERFUL], negative: [DULL]}}
weights: {by: "WEIGH", words: 4, power: 2, levelled: false}
metrics: {student: false, diversity: false, privacy: false, faithfulness: false, METRIC: {mark: "!"}}
"""
BY_NAME = {
    "PLACE": "{csv: places.csv, field: city}",
    "TOOL": "shout",
    "MASK": '{mask: "{{ loud }}", every: 4}',
    "FILTER": "exclamations",
    "LABEL": "keywords",
    "WEIGH": "short",
    "METRIC": "ended",
}
BY_PLACE = {
    "PLACE": '{source: "my_methods:Column", csv: places.csv, field: city}',
    "TOOL": '"my_methods:shout"',
    "MASK": '{step: "my_methods:Mask", mask: "{{ loud }}", every: 4}',
    "FILTER": "my_methods:Exclamations",
    "LABEL": "my_methods:Keywords",
    "WEIGH": "my_methods:Short",
    "METRIC": '"my_methods:Ended"',
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The examples of the guide as a package that declares them."""
    folder = tmp_path / "package"
    folder.mkdir()
    module = "\n\n".join(examples("python", "docs/plugins.md"))
    (folder / "my_methods.py").write_text(module, encoding="utf-8")
    lines = ["[project]", 'name = "my-methods"', 'version = "1.0"']
    lines += ["[tool.setuptools]", 'py-modules = ["my_methods"]']
    for kind, points in POINTS.items():
        lines.append(f'[project.entry-points."synth_assets.{kind}"]')
        lines += [f'{word} = "my_methods:{name}"' for word, name in points.items()]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def answer(body: dict) -> str:
    prompt = body["messages"][-1]["content"]
    return "dull, dull, dull!" if "not" in prompt else "what a wonderful film it was!"


@pytest.mark.slow
def test_every_command_knows_the_methods_of_a_package(
    environment: Path, package: Path, tmp_path: Path
) -> None:
    install(environment, package)
    with one_process(environment, tmp_path, OPENAI_API_KEY="scripted") as synth:
        use_every_command(synth, tmp_path, BY_NAME)


def test_every_command_knows_the_methods_of_a_module_on_the_path(
    package: Path, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("OPENAI_API_KEY", "scripted")
    forget("my_methods")

    def synth(*arguments: str) -> str:
        capsys.readouterr()
        code, (out, err) = main(arguments), capsys.readouterr()
        assert code == 0, f"synth {' '.join(arguments)}: {err}{out}"
        return out

    use_every_command(synth, project, BY_PLACE)
    forget("my_methods")


def use_every_command(synth: Callable[..., str], folder: Path, named: Mapping[str, str]) -> None:
    (folder / "seeds.csv").write_text(SEEDS, encoding="utf-8")
    (folder / "places.csv").write_text("city,country\nOslo,Norway\nLima,Peru\n", encoding="utf-8")
    (folder / "recipes").mkdir(exist_ok=True)
    with Endpoint(say=answer) as endpoint:
        recipe = RECIPE.replace("URL", endpoint.url)
        for word, text in named.items():
            recipe = recipe.replace(word, text)
        (folder / "recipes" / "own.yaml").write_text(recipe, encoding="utf-8")
        assert "own is right" in synth("check", "own")
        assert "6 calls to make" in synth("plan", "own", "--round", ROUND)
        synth("run", "own", "--round", ROUND)
        assert len(endpoint.requests) == 6
    assert "0 calls to make" in synth("plan", "own", "--round", ROUND)
    rows = synth("sql", "select place, text, masked, exclamations, calm from own.filtered", "--csv")
    assert re.search(r"(Oslo|Lima),WHAT A WONDERFUL \[MASK\] IT WAS!,1,1\.0,1\.0", rows)
    sure = synth("sql", "select distinct confidence from own.labelled", "--csv")
    assert sure.split() == ["confidence", "1.0"]  # each text has words of one label
    assert "0.4" in synth("sql", "select round(min(weight), 2) from own.weighted", "--csv")
    measured = synth("sql", "select name, value from own.metrics where name = 'ended'", "--csv")
    assert "ended,1.0" in measured
    row_id = synth("sql", "select row_id from own.filtered limit 1", "--csv").split()[-1]
    story = synth("trace", row_id)
    assert "exclamations" in story
    synth("report", "own", "--to", "page.html")
    assert "ended" in (folder / "page.html").read_text(encoding="utf-8")
    synth("export", "own", "--to", "set")
    assert json.loads((folder / "set" / "card.json").read_text(encoding="utf-8"))
