"""All that something paid for or stored is found by, of a recipe and of a small round of it, as JSON.

What is read: the definitions that Dagster loads, the lake's files, the warehouse's views and the call log,
each as any other program would read them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

# All that this needs of the product: where modules move, only these lines change.
from synth_assets.cli import main as synth
from synth_assets.code_location import defs as code_location
from synth_assets.recipe.load import load
from synth_assets.recipe.versions import PARTS
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.parted_lake import PartedLake
from tests.endpoint import Endpoint

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"
SYSTEMS = sorted(path.stem for path in GALLERY.glob("*.yaml"))
RECIPES = [*(f"like_{system}" for system in SYSTEMS), "movie_reviews"]
ROUND = "2026-11-22"
ROWS = 3  # a cell
FIRST = 3  # ids that are written out; the others are in a hash
SHORT = 12  # characters of such a hash
ASKED = {"calls": ["run_id", "time", "latency_s"]}  # when and by whom: another one each time
MEASURED = {"metrics": ["value", "low", "high"]}  # by students, whose last digits another machine may change
DIGITS = 3  # of other numbers, for the same reason
WORDS = [
    *("river", "kettle", "garden", "mirror", "train", "copper", "winter", "ladder", "orange"),
    *("doctor", "bridge", "candle", "market", "violin", "pepper", "island", "marble", "pocket"),
    *("anchor", "blanket", "castle", "dragon", "engine", "feather", "guitar", "hammer", "insect"),
    *("jacket", "lantern", "needle", "ocean", "pillow", "rabbit", "saddle", "temple", "umbrella"),
    *("valley", "wagon", "yellow", "zebra"),
]
NEW = {  # columns that stages have had since the golden files were made
    "calls": re.compile("thoughts"),
    "scores": re.compile(r"\w+_calls"),
    "rejected": re.compile("at_least|at_most"),
    "metrics": re.compile("set|set_rows|gold|said|against|attribute|attribute_value"),
    "rounds": re.compile("state"),
    **dict.fromkeys(("nights", "training_set", "signals"), re.compile(".*")),  # views
}
NONE = re.compile("(?!)")
OF_PEOPLE = {
    "review",
    "reviews",
    "by_people",
    "costs",
    "agreement",
    "shows_decided",
}  # of a recipe that asks people, and of no other
SMALL = {  # a round of three rows teaches no student, and few of its rows may be left
    r", (influence|variability): \{[^}]*\}": "",
    r"(student_(agreement|confidence)|loss_mixture): \{[^}]*\}, ": "",
    r"^  learning_dynamics: .*\n": "",
    r", by: top, score: influence": "",
    r"^weights: \{by: (bilevel|learning_to_reweight|token_weights)\}.*\n": "",
    r"^labelled: \{by: (clean_pool|cross_partition).*\n": "",
    r"^student: .*\n": "",
    r"^feedback: .*\n": "",
    r"\{from: kept, by: variability, top: 25\}": "kept",
    r"^minimum_yield: .*\n": "",
    r"^rows: ": "minimum_yield: 0.0\nrows: ",
    r"\bsamples: \d+": "samples: 2",
    r"\bat_least: \d+\}$": "at_least: 1}",  # of a vote
    r"\b(n|breadth|depth): \d+": r"\1: 2",
    r"\bmodel_alone: \d+": "model_alone: 6",
    r"\btest: 1000": "test: 60",
    r"^  (student|diversity): true$": r"  \1: false",
    r", human: data/human_labels.csv": "",  # they name rows that people saw
    r"\w+\.\w+ == label": "true",  # the model knows no labels
    r"if found == wanted else": "if found else",
}
ANSWERS = {  # what later steps of the gallery's chains hold against each other, by the field's name
    "answer": "river",
    "choices": ["river", "garden"],
    "code": "def f():\n    return 1",
    "expression": "2 + 3",
    "fits": True,
    "holds": True,
    "kinds": ["person", "place"],
    "known": "5",
    "lines": ["assert f() == 1"],
    "pair": ["river", "garden"],
    "program": "print(5)",
    "rating": 5,
    "right": "river",
    "solution": "They are <<2+3=5>>5.\n#### 5",
    "spans": ["river", "garden"],
    "sql": "select name from country",
    "unfit": False,
}


def settle(recipe: str, folder: Path, patch_: Any) -> Path:
    """Make the folder a project with this recipe and its data, and the place to work in; its YAML."""
    for name in [name for name in os.environ if name.startswith(("SYNTH_", "OPENAI_", "DAGSTER_"))]:
        if name != "SYNTH_GOLDEN":
            patch_.delenv(name)
    patch_.chdir(folder)
    patch_.setenv("DAGSTER_HOME", str(folder / ".synth"))
    system = recipe.removeprefix("like_")
    if system != recipe:
        assert quietly(["new", recipe, "--like", system]) == 0
    else:
        (folder / "recipes").mkdir()
        shutil.copy(ROOT / "recipes" / f"{recipe}.yaml", folder / "recipes")
    return folder / "recipes" / f"{recipe}.yaml"


def declared(path: Path) -> dict[str, Any]:
    """What the recipe in this file says, of the project in the working directory; nothing is made."""
    return {"sections": sections(path), "assets": assets(), "automation": automation()}


def made(path: Path, patch_: Any) -> dict[str, Any]:
    """What a small round of the recipe makes."""
    text = path.read_text(encoding="utf-8")
    for old, new in SMALL.items():
        text = re.sub(f"(?m){old}", new, text)
    if not re.search("^metrics:", text, re.MULTILINE):
        text += "\nmetrics: {diversity: false, student: false}\n"
    path.write_text(text, encoding="utf-8")
    patch_.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)  # a third of the time
    with scripted(path.stem, Scripted(text).say) as endpoint:
        endpoint.logprobs = "logprob" in text
        patch_.setenv("SYNTH_MODEL", "scripted")
        patch_.setenv("OPENAI_BASE_URL", endpoint.url)
        code = quietly(["run", path.stem, "--round", ROUND, "--rows", str(ROWS)])
    home = path.parents[1] / ".synth"
    return {
        "exit code of the round": code,
        "views": views(home / "warehouse.duckdb", path.stem),
        "partitions": stored(home / "lake" / path.stem),
        "data versions": data_versions(),
        "calls": calls(home / "calls.sqlite"),
    }


def sections(path: Path) -> dict[str, str]:
    """The hash of each section of the recipe, and of each part that has a name of its own."""
    recipe = load(path)
    steps = [f"steps.{name}" for name in recipe.steps]
    said = set(recipe.model_dump(mode="json")) - {"name"}  # `seeds` of both is the part's
    without = OF_PEOPLE if recipe.review is None else set()
    without = without if recipe.signals else without | {"signals"}
    without = without if recipe.vectors else without | {"vectors"}
    return {name: recipe.version(name) for name in sorted({*said, *PARTS, *steps} - without)}


def assets() -> dict[str, Any]:
    """Asset key -> its version and what Dagster finds its partitions and checks by."""
    graph = definitions().resolve_asset_graph()
    checks = defaultdict(list)
    for check in graph.asset_check_keys:
        checks[check.asset_key].append(check.name)
    found = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        found[key.to_user_string()] = {
            "version": node.code_version,
            "cut": cut(node.partitions_def),
            "checks": sorted(checks[key]),
            "reads": sorted(parent.to_user_string() for parent in node.parent_keys),
            "group": node.group_name,
            "pools": sorted(node.pools or ()),
        }
    return found


def cut(partitions: dg.PartitionsDefinition | None) -> Any:
    if partitions is None:
        return None
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return {d.name: cut(d.partitions_def) for d in partitions.partitions_defs}
    if isinstance(partitions, dg.StaticPartitionsDefinition):
        return list(partitions.get_partition_keys())
    first = partitions.get_first_partition_key()
    return f"{type(partitions).__name__} {partitions.timezone} from {first}"


def automation() -> dict[str, list[str]]:
    """What a running daemon has switched on by name."""
    found = definitions()
    return {
        "jobs": sorted(job.name for job in found.jobs or ()),
        "schedules": sorted(f"{s.name}: {s.cron_schedule}" for s in found.schedules or ()),
        "sensors": sorted(sensor.name for sensor in found.sensors or ()),
    }


def definitions() -> dg.Definitions:
    """As Dagster loads them, of the recipes in the working directory."""
    return code_location if isinstance(code_location, dg.Definitions) else code_location()


def views(warehouse: Path, recipe: str) -> dict[str, str]:
    """View -> its columns with their types."""
    query = (
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = ? order by table_name, ordinal_position"
    )
    found: dict[str, list[str]] = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for view, column, kind in connection.execute(query, [recipe]).fetchall():
            if not NEW.get(view, NONE).fullmatch(column):
                found.setdefault(view, []).append(f"{column} {kind}")
    return {view: ", ".join(columns) for view, columns in found.items()}


def stored(lake: Path) -> dict[str, Any]:
    """Path in the lake -> its columns, the first ids of its rows, and a hash of its content. What students
    say of rows (`signals`) is left out."""
    rows, files = PartedLake(FolderLake(lake.parent)), sorted(lake.rglob("part.parquet"))
    found = {}
    for path in (path for path in files if not {"signals", "weighted.parts"} & {*path.parts}):
        place = str(path.parent.relative_to(lake))
        if place.startswith("weighted/"):  # in parts: whoever asks the lake has whole rows
            path = rows.file(lake.name, "weighted", {"round": place.partition("=")[2]})
        found[place] = of_table(path, place)
    return found


def of_table(path: Path, place: str) -> dict[str, Any]:
    table, stage = pq.ParquetFile(path).read(), place.partition("/")[0]
    table = table.drop_columns([c for c in table.column_names if NEW.get(stage, NONE).fullmatch(c)])
    columns = [f"{field.name} {field.type}" for field in table.schema]
    kept = table.drop_columns([*ASKED.get(stage, ()), *MEASURED.get(stage, ())])
    rows = [json.dumps(rounded(row), sort_keys=True, default=str) for row in kept.to_pylist()]
    if stage == "calls":  # in the order of their answers
        rows = sorted(rows)
    found = {"columns": ", ".join(columns), "rows": len(rows), "content": short("\n".join(rows))}
    for name in {"row_id", "call_id"} & set(table.column_names):
        ids = pc.drop_null(table[name]).to_pylist()
        found[name] = (sorted(ids) if stage == "calls" else ids)[:FIRST]
    return found


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0  # no -0.0
    if isinstance(value, Mapping):
        return {name: rounded(part) for name, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def data_versions() -> dict[str, dict[str, str]]:
    """Asset -> partition -> what tells the stages below that its rows are others; where no number with a
    fraction is among the rows."""
    found: dict[str, dict[str, str]] = {}
    with dg.DagsterInstance.get() as instance:
        for key in sorted(instance.all_asset_keys()):
            for record in instance.fetch_materializations(key, limit=50).records:
                made = record.asset_materialization
                if made.tags and has_no_fractions(made):
                    version = made.tags["dagster/data_version"]
                    found.setdefault(key.to_user_string(), {})[str(made.partition)] = version
    return {key: dict(sorted(versions.items())) for key, versions in found.items()}


def has_no_fractions(made: dg.AssetMaterialization) -> bool:
    columns = made.metadata.get("dagster/column_schema")
    return columns is not None and not re.search("double|labels", str(columns.value))


def calls(log: Path) -> dict[str, Any]:
    """Asset and partition that asked -> the keys of its calls, and how the first questions begin."""
    query = (
        "select coalesce(asset, '-') || ' ' || coalesce(partition_key, '-'), identity, messages, outcome "
        "from calls order by 1, identity"
    )
    if not log.exists():
        return {}
    with sqlite3.connect(log) as connection:
        rows = connection.execute(query).fetchall()
    asked = defaultdict(list)
    for who, identity, messages, outcome in rows:
        asked[who].append((identity, outcome, json.loads(messages)[-1]["content"][:60]))
    return {
        who: {
            "calls": len(asked[who]),
            "all": short("\n".join(f"{identity} {outcome}" for identity, outcome, _ in asked[who])),
            "first": {identity: question for identity, _, question in asked[who][:FIRST]},
        }
        for who in sorted(asked)
    }


def short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:SHORT]


class Scripted:
    """A model that answers any recipe of the gallery with what fits, and the same to the same question."""

    def __init__(self, recipe: str) -> None:
        classes = yaml.safe_load(recipe)["task"].get("classify") or {}
        told = classes.items() if isinstance(classes, dict) else ((label, None) for label in classes)
        self.labels = [d.get("verbalizer", y) if isinstance(d, dict) else y for y, d in told]

    def say(self, body: Mapping[str, Any]) -> str:
        chat = body.get("messages")
        asked = chat[-1]["content"] if chat else body["prompt"]
        draw = Draw(f"{asked} {body['seed']}")
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        if schema := schema or body.get("json_schema"):
            return json.dumps(self.fitting(schema, draw))
        if wanted := re.search(r"Answer with a list of (\d+)", asked):
            return "\n".join(f"- {draw.sentence(2)} {i}" for i in range(int(wanted[1])))
        if self.labels and body.get("max_tokens", 256) <= 10:
            return str(draw.one(self.labels))
        if re.search(r"\b(rate|rating|scale|score)\b", asked, re.IGNORECASE):
            return f"5\nIt is {draw.sentence(6)}."
        if re.search(r"[Aa]nswer (with a few|in at most five) words", asked):
            return str(ANSWERS["answer"])
        if re.search(r"[Aa]nswer is", asked):
            return f"It is {draw.sentence(6)}. The answer is 5."
        return draw.sentence(20)

    def fitting(self, schema: Mapping[str, Any], draw: Draw) -> Any:
        return {
            name: ANSWERS[name] if name in ANSWERS else self.value(kind, draw)
            for name, kind in schema["properties"].items()
        }

    def value(self, kind: Mapping[str, Any], draw: Draw) -> Any:
        if "enum" in kind:
            return draw.one(kind["enum"])
        match kind["type"]:
            case "string":
                return draw.sentence(9)
            case "array":
                return [self.value(kind["items"], draw) for _ in range(2)]
            case "boolean":
                return draw.one([True, False])
            case "integer":
                return draw.one([3, 4, 5])
            case "number":
                return draw.one([0.25, 0.5, 0.75])
        raise AssertionError(f"no answer for {kind}")


class Draw:
    """Choices that depend on a text alone."""

    def __init__(self, text: str) -> None:
        self.text, self.drawn = text, 0

    def one(self, choices: list[Any]) -> Any:
        self.drawn += 1
        digest = hashlib.sha256(f"{self.drawn} {self.text}".encode("utf-8", "surrogatepass")).digest()
        return choices[int.from_bytes(digest[:6], "big") % len(choices)]

    def sentence(self, words: int) -> str:
        """Different ones, of which the longer ones name what answers name."""
        drawn = [self.one(WORDS) for _ in range(words)]
        return " ".join([*drawn[:-3], "river", "and", "garden"] if words > 6 else drawn)


@contextmanager
def scripted(name: str, say: Callable[[dict[str, Any]], str]) -> Iterator[Endpoint]:
    """A model at an address of its own, always the same one: it is part of what calls are found by. Where
    another run of the tests has it, this waits."""
    deadline = time.monotonic() + 60
    while True:
        with patch.dict(os.environ, PYTEST_CURRENT_TEST=f"golden/{name}"):
            endpoint = Endpoint(say=say).__enter__()
        if endpoint.url.endswith(":8001/v1"):
            break
        endpoint.__exit__()
        assert time.monotonic() < deadline, f"the address of {name} is not free"
        time.sleep(0.2)
    try:
        yield endpoint
    finally:
        endpoint.__exit__()


def quietly(arguments: list[str]) -> int:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        code = synth(arguments)
    assert code in (0, 1), said.getvalue()  # 1: a check stopped a round, with what it had made
    return code
