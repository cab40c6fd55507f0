"""Every line of docs/dagster.md, in a project that create-dagster makes."""

from __future__ import annotations

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.endpoint import Endpoint
from tests.forked import command
from tests.installed import variables

ROOT = Path(__file__).parents[1]
OURS = ("create-dagster", "dg", "synth")
GUIDE = ROOT / "docs" / "dagster.md"
BLOCK = re.compile(r"^```(bash|yaml|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"`(src/my_project/[\w/]+\.(?:py|yaml))`")


def customer(body: dict[str, Any]) -> str:
    """Writes what the definition in the prompt asks for; labels a text by its words."""
    asked, n = body["messages"][-1]["content"], body["seed"]
    if asked.endswith("Intent:"):
        return "lost_card" if "lost" in asked.rstrip().splitlines()[-2].lower() else "declined"
    thing = ["wallet", "bag", "train", "hotel", "park", "taxi", "office", "gym"][n % 8]
    if "lost or stolen" in asked:
        return f"I lost my card in the {thing} yesterday around {n % 97} o'clock, what now?"
    return f"Why was my payment of {n % 997} euros refused at the {thing} this morning?"


class Shell:
    """A terminal in which the guide is followed line by line."""

    def __init__(self, folder: Path, prints: Path, url: str) -> None:
        bin_ = Path(sys.executable).parent
        self.folder, self.prints = folder, prints
        self.env = variables(
            PATH=f"{bin_}:{os.environ['PATH']}", OPENAI_BASE_URL=url, PYTHONPATH="src", NO_COLOR="1"
        )

    def run(self, line: str) -> str:
        """One line; returns what it prints. It has to end well."""
        if line.startswith("pip install"):  # all of it is here, and PYTHONPATH stands for the project
            return ""
        if line.startswith("cd "):
            self.folder = self.folder / line.removeprefix("cd ")
            return ""
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=", 1)
            self.env[name] = value.replace("$PWD", str(self.folder))
            return ""
        if line == "dg dev":
            return self.opens(line)
        refused = line.startswith("! ")
        words = self.bash(f"printf '%s\\0' {line.removeprefix('! ')}").split("\0")[:-1]
        if words[0] not in OURS:
            return self.bash(line)
        done = command(words, self.prints, self.folder, env=self.env)
        assert (done.wait() == 0) != refused, f"{line}\n{done.said()}"
        return done.said()

    def bash(self, line: str) -> str:
        call = ["bash", "-c", line]
        return subprocess.run(
            call, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def opens(self, line: str) -> str:
        """The UI answers, and ends when it is told to."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        started = subprocess.Popen(
            ["bash", "-c", f"exec {line} --port {port}"],
            cwd=self.folder,
            env=self.env,
            start_new_session=True,
        )
        try:
            for _ in range(240):
                assert started.poll() is None
                try:
                    return urlopen(f"http://127.0.0.1:{port}/server_info", timeout=60).read().decode()
                except (URLError, OSError):
                    time.sleep(0.5)
            raise AssertionError("the UI does not answer")
        finally:
            os.killpg(started.pid, signal.SIGINT)
            started.wait(300)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(say=customer) as served:
        served.logprobs = False
        yield served


def blocks() -> Iterator[tuple[str, str, str]]:
    """Language, text, and the file that the paragraph before names last."""
    text, end = GUIDE.read_text(encoding="utf-8"), 0
    for found in BLOCK.finditer(text):
        places = PLACE.findall(text[end : found.start()])
        yield found[1], found[2], places[-1] if places else ""
        end = found.end()


@pytest.mark.slow
def test_the_guide_is_right_line_by_line(tmp_path: Path, endpoint: Endpoint) -> None:
    shell, said = Shell(tmp_path, tmp_path / "printed", endpoint.url), dict[str, list[str]]()
    recipe = tmp_path / "my_project" / "recipes" / "my_sets.yaml"
    for language, text, place in blocks():
        if language == "yaml" and text.startswith("seeds:"):
            before = recipe.read_text()
            recipe.write_text(re.sub(r"^seeds:.*?(?=^\w)", f"{text}\n", before, flags=re.M | re.S))
        elif language in ("python", "yaml"):
            assert place, text
            (shell.folder / place).write_text(text)
        for line in text.splitlines() if language == "bash" else ():
            said.setdefault(line, []).append(shell.run(line))
            if line.startswith("dg scaffold"):  # a small round
                small = recipe.read_text().replace("rows: 100", "rows: 6").replace("_alone: 40", "_alone: 4")
                recipe.write_text(small)
    assert "synth_assets.SynthRecipes" in said["dg list components"][0]
    assert "my_sets_round" in said["dg list defs"][0]
    (counted,) = (words for line, (words, *_) in said.items() if line.startswith("synth sql"))
    assert "lost_card" in counted
    assert "declined" in counted
    home = tmp_path / "my_project" / ".synth"
    model = pickle.loads((home / "storage" / "classifier").read_bytes())
    assert set(model.classes_) == {"lost_card", "declined"}
    assert (home / "storage" / "support" / "tickets").exists()
    assert not (home / "storage" / "ml").exists()  # what the recipes make is in the lake
    assert len(endpoint.requests) < 100


@pytest.mark.slow
def test_a_wrong_recipe_is_told_by_dg_with_the_recipes_own_words(tmp_path: Path, endpoint: Endpoint) -> None:
    shell = Shell(tmp_path, tmp_path / "printed", endpoint.url)
    for line in ("create-dagster project my_project --no-uv-sync", "cd my_project"):
        shell.run(line)
    shell.run("dg scaffold defs synth_assets.SynthRecipes my_sets")
    recipe = shell.folder / "recipes" / "my_sets.yaml"
    defs = shell.folder / "src" / "my_project" / "defs" / "my_sets" / "defs.yaml"
    right = recipe.read_text()
    recipe.write_text(right.replace("  words:", "  wrds:"))
    line = 1 + right[: right.index("  words:")].count("\n")
    told = shell.run("! dg check yaml")
    assert f"{recipe}:{line}: filters.wrds: unknown filter 'wrds'. Did you mean 'words'?" in told
    assert "attributes.recipes.0" in told
    assert "unknown filter 'wrds'. Did you mean 'words'?" in shell.run("! dg check defs --no-check-yaml")
    inline = "\n".join(f"      {row}" for row in recipe.read_text().splitlines())
    defs.write_text(
        f"type: synth_assets.SynthRecipes\nattributes:\n  recipes:\n    bank:\n{inline}\n  grp: x\n"
    )
    told = shell.run("! dg check yaml")
    assert "bank.filters.wrds: unknown filter 'wrds'. Did you mean 'words'?" in told
    assert "'grp' was unexpected" in told
    defs.write_text(defs.read_text().replace("wrds", "words").replace("  grp: x\n", ""))
    assert "All definitions loaded successfully" in shell.run("dg check defs")
    assert "bank_round" in shell.run("dg list defs")


@pytest.mark.slow
def test_dg_works_in_this_repository(tmp_path: Path) -> None:
    shell = Shell(ROOT, tmp_path / "printed", "http://127.0.0.1:9/v1")
    shell.env |= {"SYNTH_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    del shell.env["PYTHONPATH"]
    assert "synth_assets.SynthRecipes" in shell.run("dg list components")
    assert "All definitions loaded successfully" in shell.run("dg check defs")
    assert "movie_reviews_round" in shell.run("dg list defs")
    shell.run("dg launch --assets movie_reviews/seeds")
    assert (tmp_path / "lake" / "movie_reviews" / "seeds" / "part.parquet").exists()
    assert "dagster" in shell.run("dg dev")
