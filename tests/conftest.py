"""What tests share: a small recipe on a small seeds file, in a data home of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import postgres, postgres_server

__all__ = ["edit", "postgres", "postgres_server", "project"]

SEEDS = """text,label
the plot is dull and the jokes are old,negative
a tedious film without one idea,negative
i looked at my watch every ten minutes,negative
the actors seem as tired as the script,negative
two hours of noise and nothing to remember,negative
the ending makes no sense at all,negative
a warm and clever story about two sisters,positive
the best performance of her career,positive
i laughed from the first scene to the last,positive
beautifully shot and full of surprises,positive
a thriller that never lets you go,positive
every scene has a reason to be there,positive
"""

RECIPE = """
task:
  classify: {negative: the reviewer did not like it, positive: the reviewer liked it}
  text: review
  label: sentiment
seeds: {file: SEEDS, splits: {demonstration: 4, validation: 2, test: 4}}
conditions: {label: labels, tone: [angry, calm, witty]}
demonstrations: {k: 2, sets: 3}
steps:
  text:
    complete: |
      {% for d in demonstrations %}
      {{ label }}: {{ d.text }}
      {% endfor %}
      {{ label }} ({{ tone }}):
    stop: ["\\n"]
    max_tokens: 30
rows: 6
filters:
  words: {between: [2, 40]}
  duplicate: {}
minimum_yield: 0.0
schedule: "0 2 * * *"
"""


@pytest.fixture(autouse=True)
def no_instance_left() -> Iterator[None]:
    """Dagster remembers the instance that was opened last, and trips over it when it is gone."""
    yield
    if state := sys.modules.get("dagster._core.storage.defs_state.base"):
        state._current_storage.set(None)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recipes/reviews.yaml, its seeds file and an empty data home."""
    for name in (
        "SYNTH_HOME",
        "SYNTH_CALL_LOG",
        "SYNTH_RECIPES",
        "SYNTH_MODEL",
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        "DAGSTER_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / ".synth"))  # restored when the test ends
    seeds = tmp_path / "seeds.csv"
    seeds.write_text(SEEDS, encoding="utf-8")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "reviews.yaml").write_text(RECIPE.replace("SEEDS", str(seeds)), encoding="utf-8")
    return tmp_path


@pytest.fixture
def edit(project: Path):
    """`edit(old, new)` changes the recipe's text; `old` must be there."""

    def change(old: str, new: str) -> Path:
        path = project / "recipes" / "reviews.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        return path

    return change
