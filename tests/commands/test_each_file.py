"""Each file of a finished home is lost or damaged: it is named, or nothing depends on it; and where one whole
copy of its content is left, a repair and a run bring the same tables without a call.

The files are taken in groups of which none holds what another one is mended from. SYNTH_SEED=3 pytest ... has
other damages.
"""

from __future__ import annotations

import gc
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.resources.storage.lake import FILE
from tests.conftest import endpoint_of, settle
from tests.endpoint import Endpoint

ROUND = "2026-11-21"
RECIPE = """
task:
  classify: {negative: the reviewer did not like it, positive: the reviewer liked it}
  text: review
  label: sentiment
seeds: {file: seeds.csv, splits: {demonstration: 4, test: 4}}
conditions: {label: labels, tone: [angry, calm]}
steps: {text: "Write a {{ tone }} review, {{ label }}."}
rows: 4
filters: {label_agreement: {at_least: 0.0}}
minimum_yield: 0.0
metrics: {student: false, diversity: false, privacy: false, faithfulness: false}
"""
RECIPES = ("films", "books")
GROUPS: dict[str, Callable[[Path], bool]] = {  # in their order: a file is in the first that it fits
    "the call log": lambda path: path.name == "calls.sqlite",
    "calls in the lake": lambda path: path.name == FILE and "calls" in path.parts,
    "tables": lambda path: path.name == FILE,
    "what was made when": lambda path: path.name == "index.db",
    "runs": lambda path: path.parts[0] == "history" and path.name.endswith(".db"),
    "schedules": lambda path: path.suffix == ".db",
    "the rest": lambda path: True,
}


def cut(path: Path, _: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def delete(path: Path, _: random.Random) -> None:
    path.unlink()


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for place in chance.choices(range(len(content)), k=20) if content else ():
        content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


DAMAGES = (cut, empty, delete, flip)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        (folder / "recipes" / "reviews.yaml").unlink()
        for name in RECIPES:
            (folder / "recipes" / f"{name}.yaml").write_text(RECIPE)
        with endpoint_of("each file", patch) as endpoint:
            endpoint.logprobs = False
            for name in RECIPES:
                assert main(["run", name, "--round", ROUND]) == 0
                assert main(["report", name]) == 0
        gc.collect()  # closes what is open
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Endpoint]]:
    settle(tmp_path, monkeypatch)
    for place in ("recipes", ".synth"):
        shutil.rmtree(tmp_path / place)
        shutil.copytree(finished / place, tmp_path / place)
    with endpoint_of("each file", monkeypatch) as endpoint:
        yield tmp_path / ".synth", endpoint
    gc.collect()


def tables(home: Path) -> dict[Path, bytes]:
    return {path.relative_to(home): path.read_bytes() for path in home.rglob(FILE)}


def group(home: Path, name: str) -> list[Path]:
    """The files of a home that are in this group, sorted."""
    found = []
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        first = next(each for each, fits in GROUPS.items() if fits(path.relative_to(home)))
        found += [path] if first == name else []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUPS)
def test_each_file_of_a_home_may_be_damaged(
    copy: tuple[Path, Endpoint], capsys: pytest.CaptureFixture, name: str
) -> None:
    home, endpoint = copy
    before = tables(home)
    chance = random.Random(f"{name} {os.environ.get('SYNTH_SEED', 1)}")
    damaged = {path: chance.choice(DAMAGES) for path in group(home, name)}
    for path, damage in damaged.items():
        damage(path, chance)
    named = set[Path]()
    for _ in range(5):  # one of Dagster's files is named at a time
        capsys.readouterr()
        whole = main(["verify"]) == 0
        said = "".join(capsys.readouterr())
        named |= {path for path in damaged if str(path) in said}
        if whole:
            break
        if advice := re.search(r"`(mkdir [^`]+)`", said):
            subprocess.run(advice[1], shell=True, check=True)
        elif settings := re.search(r"error: (\S+) cannot be used .* delete it", said):
            Path(settings[1]).unlink()
        else:
            main(["verify", "--repair"])
        gc.collect()
    assert whole, "\n".join([said, *(f"{damage.__name__} {path}" for path, damage in damaged.items())])
    for command in (["plan", "films"], ["sql", "from weighted"], ["show", "films"], ["report", "books"]):
        assert main(command) == 0, (command, capsys.readouterr().err, damaged)
    for recipe in RECIPES:
        assert main(["run", recipe, "--round", ROUND]) == 0, damaged
        assert main(["nights", recipe]) == 0, damaged
    assert tables(home) == before, damaged
    assert endpoint.requests == [], damaged
    assert {path for path in damaged if path.name == FILE} <= named
