"""What tests share: a small recipe on a small seeds file, in a data home of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tests.azure import azure, azurite
from tests.endpoint import Endpoint, reviewer
from tests.postgres import postgres, postgres_server
from tests.quick_rounds import quick_rounds
from tests.s3 import s3, s3_server

__all__ = [
    "after_a_round",
    "azure",
    "azurite",
    "edit",
    "endpoint",
    "first_round",
    "postgres",
    "postgres_server",
    "project",
    "quick_rounds",
    "s3",
    "s3_server",
]

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy: each worker has one core
    os.environ.setdefault(threads, "1")

ROUND = "2026-11-21"
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
# in the place of its `rows: 6`, where no student is the point
QUICK = "rows: 6\nmetrics: {student: false, diversity: false, privacy: false, faithfulness: false}"


# files, longest first
LONGEST = (
    *("test_golden", "test_ui", "test_docs_dagster", "test_increments", "test_gallery", "test_wheel"),
    *("test_plugins_installed", "test_round", "test_metrics", "test_batches", "test_labels", "test_weights"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No process is left with a long file when the others have nothing to do any more."""
    order = {name: n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(params=["s3", *(["azure"] if shutil.which("azurite-blob") else [])])
def store(request: pytest.FixtureRequest) -> str:
    """An empty prefix of an object store, of which this process has the key."""
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def no_instance_left() -> Iterator[None]:
    """Dagster remembers the instance that was opened last, and trips over it when it is gone. (A schedule's
    context opens one of its own: left open, it brings back the one before it whenever Python removes it.)"""
    yield
    if state := sys.modules.get("dagster._core.storage.defs_state.base"):
        state._current_storage.set(None)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recipes/reviews.yaml, its seeds file and an empty data home."""
    return settle(tmp_path, monkeypatch)


def settle(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make it a project, and the place to work in."""
    for name in (
        "SYNTH_HOME",
        "SYNTH_CALL_LOG",
        "SYNTH_RECIPES",
        "SYNTH_MODEL",
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        "DAGSTER_HOME",
    ):
        patch.delenv(name, raising=False)
    patch.chdir(folder)
    patch.setenv("DAGSTER_HOME", str(folder / ".synth"))  # restored when the test ends
    seeds = folder / "seeds.csv"
    seeds.write_text(SEEDS, encoding="utf-8")
    (folder / ".synth").mkdir()
    (folder / "recipes").mkdir()
    (folder / "recipes" / "reviews.yaml").write_text(RECIPE.replace("SEEDS", str(seeds)), encoding="utf-8")
    return folder


@pytest.fixture
def endpoint(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """The recipe's model is at this endpoint, as for a user who sets these two variables."""
    with Endpoint(say=reviewer) as served:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        yield served


@pytest.fixture(scope="session")
def first_round(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project in which the round `ROUND` was made, and the test's name that its endpoint had."""
    from synth_assets.cli import main

    folder, name = tmp_path_factory.mktemp("first_round"), f"{os.environ.get('PYTEST_XDIST_WORKER')}/first"
    with pytest.MonkeyPatch.context() as patch:
        recipe = settle(folder, patch) / "recipes" / "reviews.yaml"
        recipe.write_text(recipe.read_text().replace(f"{folder}/", ""))
        with endpoint_of(name, patch):
            assert main(["run", "reviews", "--round", ROUND]) == 0
    return folder, name


@pytest.fixture
def after_a_round(
    first_round: tuple[Path, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Endpoint]:
    """The project with the round `ROUND`, for tests in which that is what was before. Gives its endpoint, of
    which nothing was asked yet."""
    from synth_assets.report.views import current

    folder, name = first_round
    shutil.copytree(folder, project, dirs_exist_ok=True)
    with endpoint_of(name, monkeypatch) as served:
        current()  # in its warehouse are the paths of the other
        yield served


@contextmanager
def endpoint_of(name: str, patch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """The reviewer at an address that it has as often as it is started."""
    endpoint = Endpoint(say=reviewer)
    with mock.patch.dict(os.environ, PYTEST_CURRENT_TEST=name):
        endpoint.__enter__()
    patch.setenv("SYNTH_MODEL", "scripted")
    patch.setenv("OPENAI_BASE_URL", endpoint.url)
    try:
        yield endpoint
    finally:
        endpoint.__exit__()


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


def forget(module: str) -> None:
    """What was found of methods of one's own is looked up again, as in a new process."""
    from synth_assets.core import registry

    sys.modules.pop(module, None)
    for each in (registry.imported, registry.made_of, registry._plugged_in):
        each.cache_clear()
    for each in vars(registry).values():
        if isinstance(each, registry.Registry):
            each.__dict__.pop("known", None)
