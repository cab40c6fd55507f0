"""The walls between the rooms: who may import whom, how long a file is, and what loading costs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BESIDE = ("resources", "partitions", "sql")  # folders of the repository that are packages of synth_assets
LINES = 400
PURE = ["core", "contracts", "generation", "curation", "annotation", "evaluation", "selection", "students"]
HEAVY = [
    "dagster",
    "synth_assets.resources",
    "pandas",
    "numpy",
    "pyarrow",
    "openai",
    "sklearn",
    "matplotlib",
    "evaluate",
]

LATE = {
    "curation.filters.naive_bayes",
    "curation.keep",
    "curation.labels.aggregation",
    "curation.labels.enhance",
    "curation.labels.relabel",
    "curation.likeness.duplicates",
    "curation.likeness.novelty",
    "curation.likeness.on_workers",
    "curation.likeness.prefix_join",
    "curation.likeness.runs",
    "curation.likeness.similarity_join",
    "curation.noise",
    "curation.weights.bilevel",
    "curation.weights.token_transformer",
    "curation.weights.token_weights",
    "evaluation.diversity",
    "evaluation.faithfulness",
    "evaluation.huggingface",
    "evaluation.people",
    "evaluation.preference",
    "evaluation.privacy",
    "evaluation.resampling",
    "evaluation.round",
    "evaluation.signal_rows",
    "evaluation.signals",
    "evaluation.similarity",
    "evaluation.targets",
    "evaluation.task_metrics",
    "evaluation.tuned_judge",
    "evaluation.usefulness",
    "selection.methods",
    "students.boosting",
    "students.crossfit",
    "students.softmax",
    "students.targets",
    "students.tfidf",
    "students.transformer",
}

GROUND = {"core", "contracts"}
DATA = GROUND | {"selection", "students", "recipe"}
METHODS = {"generation", "curation", "annotation", "evaluation"}
BELOW_ASSETS = DATA | METHODS | {"resources", "stages", "planning", "report", "sql"}
MAY_IMPORT: dict[str, set[str]] = {  # room -> rooms, imports inside functions and for types included
    "core": set(),
    "contracts": {"core"},
    "resources": GROUND,
    "selection": GROUND,
    "students": GROUND,
    "recipe": GROUND | {"selection", "students"},
    **dict.fromkeys(METHODS, DATA),
    "partitions": {"core", "recipe"},
    "sql": {"core", "resources"},
    "stages": DATA | METHODS,
    "planning": DATA | METHODS | {"resources", "stages"},
    "report": DATA | METHODS | {"resources", "stages"},
    "review": DATA | {"annotation", "evaluation", "resources", "stages", "report"},
    "assets": BELOW_ASSETS | {"partitions"},
    "commands": BELOW_ASSETS | {"partitions", "assets", "review"},
    "notebook": BELOW_ASSETS | {"partitions", "assets", "review", "commands"},
    "code_location": {"core", "recipe", "assets", "resources"},
    "cli": {"core", "commands", "resources"},
}
MODULES_TOO = {  # single modules of rooms that are closed otherwise
    "recipe": {
        "resources.home",
        "resources.gateway.models",
        "resources.storage.files",
        "resources.storage.sources",
    },
    "commands": {"commands.options", "commands.output"},
}
RUN = {  # what `stages.run` hands to the stages: the one door to the world
    "resources.home",
    "resources.ray_engine",
    "resources.sandbox.python",
    "resources.sandbox.tools",
    "resources.storage.lake",
    "resources.storage.sources",
}
DAGSTER = {"assets", "partitions", "code_location"}  # rooms that may import it
INTERNALS = {"assets.dagster_internals", "assets.dagster_queue"}  # modules that may import its private names


def files() -> dict[str, Path]:
    """Module (without `synth_assets`) -> its file."""
    places = [(ROOT / "synth_assets", ROOT / "synth_assets"), *((ROOT / name, ROOT) for name in BESIDE)]
    found = {}
    for folder, above in places:
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(above).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return {module: file for module, file in found.items() if module}


def nodes(tree: ast.AST, for_types: bool) -> Iterator[ast.AST]:
    """All that is in it; `for_types`: also under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if for_types or not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from nodes(node, for_types)


def imports(file: Path, for_types: bool = True) -> Iterator[tuple[str, str]]:
    """(module, name) of every import of a file, wherever in it that stands."""
    for node in nodes(ast.parse(file.read_text(encoding="utf-8")), for_types):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


@cache
def edges(for_types: bool = True) -> frozenset[tuple[str, str]]:
    """(importer, imported), modules of ours."""
    known, found = files(), set()
    for importer, file in known.items():
        for module, name in imports(file, for_types):
            package, _, inside = module.partition(".")
            if package == "synth_assets":
                whole = f"{inside}.{name}".strip(".")
                found.add((importer, whole if whole in known else inside))
    return frozenset(found)


def room_of(module: str) -> str:
    return module.partition(".")[0]


def allowed(importer: str, imported: str) -> bool:
    here, there = room_of(importer), room_of(imported)
    if here == there and here != "commands":
        return True
    if importer == "stages.run" and imported in RUN:
        return True
    return there in MAY_IMPORT[here] or imported in MODULES_TOO.get(here, ())


def test_every_room_imports_only_what_is_below_it() -> None:
    assert sorted(edge for edge in edges() if not allowed(*edge)) == []


def test_the_table_itself_has_no_circle() -> None:
    left = {here: set(there) for here, there in MAY_IMPORT.items()}
    while free := {here for here, there in left.items() if not there & set(left)}:
        left = {here: there for here, there in left.items() if here not in free}
    assert left == {}


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Imports inside functions included, those for types alone left out."""
    above: dict[str, set[str]] = {}
    for importer, imported in edges(for_types=False):
        above.setdefault(importer, set()).add(imported)

    def below(module: str) -> set[str]:
        found, left = set[str](), [module]
        while left:
            new = above.get(left.pop(), set()) - found
            found |= new
            left += new
        return found

    reached = {module: below(module) for module in above}
    circles = {
        frozenset(other for other in all_ if module in reached.get(other, ()))
        for module, all_ in reached.items()
        if module in all_
    }
    assert circles == set()


def test_only_the_assets_know_dagster_and_one_module_its_private_names() -> None:
    of_dagster = {
        (module, name)
        for module, file in files().items()
        for name, _ in imports(file)
        if name.partition(".")[0] == "dagster"
    }
    assert {module for module, _ in of_dagster if room_of(module) not in DAGSTER} == set()
    assert {module for module, name in of_dagster if "._" in name} == INTERNALS


def test_only_storage_knows_where_the_lake_has_what() -> None:
    """Others ask the lake: its rows may come to be elsewhere than in files of this machine."""
    place = re.compile(r"lake(\(\))?\.(root|path|folder)\b")
    opens = ROOT / "resources" / "home.py"
    inside = [opens, *(ROOT / "resources" / "storage").glob("*.py")]
    rooms = [path for room in ("synth_assets", *BESIDE) for path in (ROOT / room).rglob("*.py")]
    assert [str(path) for path in rooms if path not in inside and place.search(path.read_text())] == []


def test_no_top_level_package_but_ours_is_imported_from_the_repository() -> None:
    """`resources` and the others are found inside synth_assets only: under two names, they would be two."""
    python = [*files().values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    found = {(str(f), m) for f in python for m, _ in imports(f) if m.partition(".")[0] in BESIDE}
    assert found == set()


def test_no_file_is_longer_than_a_reader_likes() -> None:
    lengths = {
        str(f.relative_to(ROOT)): len(f.read_text(encoding="utf-8").splitlines()) for f in files().values()
    }
    assert [name for name, lines in lengths.items() if lines > LINES] == []


def loaded(code: str, names: list[str]) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint('\\n', *[n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().rsplit("\n", 2)[-2].split()


@pytest.mark.parametrize("room", PURE)
def test_pure_stages_know_neither_dagster_nor_resources_nor_each_other(room: str) -> None:
    others = [m for other in METHODS - {room} for m in modules(other)]
    code = "\n".join(f"import {m}" for m in modules(room))
    assert loaded(code, HEAVY + others) == []


def modules(room: str) -> list[str]:
    """Modules of a room, but those that are there to use a heavy library: who needs one imports it late."""
    return [f"synth_assets.{m}" for m in files() if m.startswith(f"{room}.") and m not in LATE]


@pytest.mark.parametrize("module", ["synth_assets", "synth_assets.notebook"])
def test_the_package_loads_nothing_heavy(module: str) -> None:
    heavy = [name for name in HEAVY if name != "synth_assets.resources" or module == "synth_assets"]
    assert loaded(f"import {module}", heavy) == []


def test_help_loads_nothing_heavy() -> None:
    code = "from synth_assets.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert loaded(code, HEAVY) == []


def test_loading_the_definitions_loads_no_library_of_the_stages() -> None:
    heavy = [n for n in HEAVY if n not in ("dagster", "synth_assets.resources")]
    assert loaded("import synth_assets.code_location", heavy) == []


def test_dagster_finds_the_definitions_right(tmp_path: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "SYNTH_HOME": str(tmp_path)}
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "definitions",
        "validate",
        "-w",
        "workspace.yaml",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr
