"""The tutorial, line by line: its commands, recipe and Python run in the order in which they are read."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synth_assets.cli import main
from tests.endpoint import ADJECTIVES, NOUNS, Endpoint
from tests.test_docs import ROOT


def critic(body: dict[str, Any]) -> str:
    """Writes reviews for the prompts of the tutorial; labels a text by what it says at its end."""
    asked = body["messages"][-1]["content"]
    if asked.endswith("Sentiment:"):
        return "negative" if "bore" in asked.rpartition("review: ")[2] else "positive"
    n, end = body["seed"], "a bore" if "Negative review" in asked else "a joy"
    what, film = f"{ADJECTIVES[n % 10]} {NOUNS[n // 10 % 10]}", ADJECTIVES[n // 100 % 10]
    return f"the {what} of this {film} film, {n}, is {end}"


@pytest.mark.slow
def test_the_tutorial_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    with Endpoint(say=critic) as endpoint:
        endpoint.logprobs = False  # its tokens would be no labels
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        (project / "recipes" / "reviews.yaml").unlink()
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if language == "yaml":
                (project / "recipes" / "reviews.yaml").write_text(block, encoding="utf-8")
            elif language == "python":
                exec(block, found)
            elif language == "bash":
                for line in block.splitlines():
                    run(shlex.split(line, comments=True))
    assert len(found["test"]) == 968
    assert found["after"] > 0.4
    assert (project / "reviews_set" / "README.md").is_file()


def run(line: list[str]) -> None:
    if line[0] == "pip":
        subprocess.run([sys.executable, "-m", *line], check=True)
    else:
        assert (line[0], main(line[1:])) == ("synth", 0), line
