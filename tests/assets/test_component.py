"""The component's attributes, as `dg check yaml` looks at them: by their JSON Schema alone."""

from __future__ import annotations

from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from synth_assets.assets.component import SynthRecipes


def said(attributes: dict) -> list[str]:
    schema = SynthRecipes.get_model_cls().model_json_schema()
    return [error.message for error in Draft202012Validator(schema).iter_errors(attributes)]


def test_mistakes_of_recipes_and_of_their_data_are_said_in_their_own_words(project: Path, edit) -> None:
    (project / "pyproject.toml").touch()
    assert said({"recipes": ["reviews"]}) == []
    path = edit("duplicate: {}", "duplicat: {}")
    (message,) = said({"recipes": ["reviews"]})
    mistake, rest = message.splitlines()
    assert mistake.startswith(f"{path}:21: filters.duplicat: unknown filter 'duplicat'.")
    assert rest == "A recipe that `synth check` finds right was expected"
    edit("duplicat: {}", "duplicate: {}")
    edit("seeds.csv", "seedz.csv")
    edit("{{ label }} ({{ tone }})", "{{ label }} ({{ tune }})")
    lines = [text.partition(":")[0].strip() for text in path.read_text(encoding="utf-8").splitlines()]
    (message,) = said({"recipes": ["reviews"]})
    steps, seeds, _ = message.splitlines()
    assert steps.startswith(
        f"{path}:{1 + lines.index('text', 5)}: steps.text: unknown field in the prompt 'tune'."
    )
    assert seeds.startswith(f"{path}:{1 + lines.index('seeds')}: seeds.file: ")
    assert "seedz.csv" in seeds
    inline = yaml.safe_load(path.read_text(encoding="utf-8"))
    (message,) = said({"recipes": {"films": inline}})
    assert message.splitlines()[0].startswith("films.steps.text: unknown field in the prompt 'tune'.")
