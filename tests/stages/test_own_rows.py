"""Ten rounds of a set that is written from its own rows alone set off the guard; ten that see real rows, too,
do not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from tests.through import through

OFF = dict.fromkeys(("student", "privacy", "faithfulness"), False)
WORDS = 8  # of a text, each with a place of its own
DAYS = [f"2026-11-{day:02}" for day in range(1, 11)]


def drawn(n: int, *parts: object) -> int:
    return zlib.crc32(repr(parts).encode()) % n


def mixed(prompt: str, *_: Any) -> str:
    """A text whose words are each of one of the texts that the prompt shows: it has no word of its own."""
    shown = [text.split() for text in prompt.split(" | ")[1:]]
    return " ".join(shown[drawn(len(shown), prompt, place)][place] for place in range(WORDS))


def recipe(shown: dict[str, Any]) -> Recipe:
    return inline(
        {
            "task": {"text": "text"},
            "seeds": {"file": "seeds.csv", "splits": {"demonstration": 40}},
            "conditions": {"number": {"number": [1, 1_000_000]}},
            "demonstrations": {"sets": 12, "rounds": "last", **shown},
            "steps": {"text": "{{ number }}{% for d in demonstrations %} | {{ d.text }}{% endfor %}"},
            "rows": 36,
            "minimum_yield": 0.0,
            "metrics": OFF,
        },
        "films",
    )


def held(of: Recipe, folder: Path) -> Iterator[bool]:
    """Of each round, whether the guard is green."""
    for day in DAYS:
        (metrics,) = through(of, mixed, folder, day).made["metrics"]
        yield metrics.verdicts["diversity_holds"][0].fine


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    texts = [" ".join(f"w{place}x{drawn(30, text, place)}" for place in range(WORDS)) for text in range(40)]
    Path("seeds.csv").write_text("\n".join(["text", *texts]))
    return tmp_path


def test_a_set_of_its_own_rows_alone_is_stopped_within_ten_rounds(folder: Path) -> None:
    assert False in held(recipe({"k": 4, "pool": "kept"}), folder)


def test_a_set_that_sees_real_rows_too_goes_on_for_ten_rounds(folder: Path) -> None:
    assert list(held(recipe({"mix": {"seeds": 6, "kept": 2}}), folder)) == [True] * 10
