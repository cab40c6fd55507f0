"""The mutation table (docs/increments.md): what an edit makes again, and what it pays again.

Each line edits a finished round, looks at which partitions Dagster calls stale, runs the round again and
counts the requests that arrive. The round is made once and copied.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from synth_assets.assets.code_location import build, recipe_definitions
from synth_assets.assets.dagster_internals import staleness
from synth_assets.assets.factory import key, others
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.contracts.decision import Decision
from synth_assets.partitions import cell_key
from synth_assets.recipe.feedback_files import Line as Told
from synth_assets.recipe.feedback_files import write_feedback
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import decisions, home, warehouse
from tests.assets.test_seeds_from_asset import a_round
from tests.assets.test_seeds_from_asset import materialize as materialize_their_table
from tests.conftest import SEEDS, forget
from tests.endpoint import Endpoint

ROUND = "2026-11-21"
TABLE = Path(__file__).parents[2] / "docs" / "increments.md"
RECIPE = """
task:
  classify: {negative: they did not like it, positive: they liked it}
  text: review
  label: sentiment
  instruction: Be brief.
seeds: {file: seeds.csv, splits: {demonstration: 4, validation: 2, test: 4}}
conditions: {label: labels, tone: {angry: 1, calm: 1, witty: 1}, known: {documents: "manual/*.md"}}
demonstrations: {k: 2, sets: 3}
steps:
  idea: "idea: {{ instruction }} One idea, {{ tone }}, of {{ known }}, {{ verbalizer }}: {{ definition }}."
  draft: "draft: {{ idea }}"
  text: {prompt: "text: {{ draft }} as in {{ demonstrations[0].text }}", temperature: 0.5}
rows: 6
model: generator
annotator: {model: judge, k: 4}
filters:
  words: {between: [2, 40]}
  duplicate: {}
  label_agreement: {at_least: 0.0}
  own_methods:Lines: {at_most: 9}
minimum_yield: 0.0
weights: {by: label_agreement, power: 2, seeds: 0.25}
metrics: {model_alone: 3, student: false, diversity: false, privacy: false, faithfulness: false}
review: {by_people: majority, control: 0.3}
feedback: {rows: yield}
schedule: "0 2 * * *"
"""
METHOD = """
from synth_assets.contracts.filter import RowFilter


class Lines(RowFilter):
    name = "own_lines"

    def value(self, text, context):
        return 1.0 + text.count("; ")
"""
MANUAL = {
    "old.md": "# Heat\n\nOf 1995.\n\n# Ran\n\nOf 1985.",
    "new.md": "# Dune\n\nOf 2021.\n\n# Tár\n\nOf 2022.",
    "tv.md": "# Dark\n\nOf 2017.",
}
MODELS = """
generator: {{name: strong, base_url: &here {url}}}
other: {{name: stronger, base_url: {url}}}
judge: {{name: cheap, base_url: {url}}}
another_judge: {{name: cheaper, base_url: {url}}}
"""
TOLD = "recipes/reviews.feedback/2026-11-20.yaml"
BY_CELL = ("conditions", "generations_idea", "generations_draft", "generations", "scores")
BY_ROUND = ("filtered", "reviews", "labelled", "weighted", "metrics")


def answer(body: dict[str, Any]) -> str:
    """Depends on the prompt and the seed alone; a label for what is to be labelled."""
    prompt = body["messages"][-1]["content"]
    if prompt.endswith("Sentiment:"):
        return "negative"
    text = "words " + sha256(f"{prompt} {body['seed']}".encode()).hexdigest()[:12]
    return json.dumps({"text": text, "rating": 3}) if "response_format" in body else text


def kind(body: dict[str, Any]) -> str:
    prompt = body["messages"][-1]["content"]
    return "label" if prompt.endswith("Sentiment:") else prompt.partition(":")[0]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(say=answer) as served:
        served.logprobs = False
        yield served


@pytest.fixture(scope="module")
def finished(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished round."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        settle_in(folder, endpoint, patch)
        (folder / "seeds.csv").write_text(SEEDS)
        (folder / "recipes").mkdir()
        (folder / "recipes" / "reviews.yaml").write_text(RECIPE)
        (folder / "own_methods.py").write_text(METHOD)
        (folder / "manual").mkdir()
        for file, films in MANUAL.items():
            (folder / "manual" / file).write_text(films)
        write_feedback(folder / TOLD, [], [Told("cell", cell, 6, 6) for cell in ("negative", "positive")], "")
        (folder / "people.csv").write_text("row_id,label\n")
        (folder / "models.yaml").write_text(MODELS.format(url=endpoint.url))
        assert main(["run", "reviews", "--round", ROUND]) == 0
    return folder


def settle_in(folder: Path, endpoint: Endpoint, patch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "RECIPES", "MODEL", "MODELS", "CALL_LOG"):
        patch.delenv(f"SYNTH_{name}", raising=False)
    patch.setenv("DAGSTER_HOME", str(folder / ".synth"))
    patch.chdir(folder)
    patch.syspath_prepend(folder)
    forget("own_methods")


@pytest.fixture
def copy(finished: Path, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, for one test. Dagster's own tables name no path, so that a copy is as good."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    settle_in(tmp_path, endpoint, monkeypatch)
    endpoint.requests.clear()
    return tmp_path


def recipe_of(folder: Path) -> Recipe:
    return load(folder / "recipes" / "reviews.yaml")


def stale(recipe: Recipe) -> set[str]:
    """Stages with stale partitions in the round; `stage cell` where only some cells are."""
    found: set[str] = set()
    with dagster_instance() as instance:
        cells = [str(cell_key(ROUND, cell)) for cell in recipe.cells]
        partitions = {key(recipe, stage): cells for stage in BY_CELL}
        partitions |= {key(recipe, stage): [ROUND] for stage in BY_ROUND}
        assets = [*(recipe_definitions(recipe).assets or ()), *others(recipe)]
        resolver = staleness(instance, assets, partitions)

        def is_stale(stage: str, partition: str | None) -> bool:
            return resolver.get_status(key(recipe, stage), partition).value == "STALE"

        if is_stale("seeds", None):
            found.add("seeds")
        for stage in BY_CELL:
            cells = [cell for cell in recipe.cells if is_stale(stage, cell_key(ROUND, cell))]
            found |= {stage} if len(cells) == len(recipe.cells) else {f"{stage} {cell}" for cell in cells}
        return found | {stage for stage in BY_ROUND if is_stale(stage, ROUND)}


def materialize(recipe: Recipe, *stages: str) -> None:
    """What a person does who clicks: these stages, of all cells."""
    job = build({recipe.name: recipe}).resolve_implicit_global_asset_job_def()
    with dagster_instance() as instance:
        for stage in stages:
            partitions = [None] if stage == "seeds" else [cell_key(ROUND, cell) for cell in recipe.cells]
            for partition in partitions:
                assert job.execute_in_process(
                    instance=instance, asset_selection=[key(recipe, stage)], partition_key=partition
                ).success


SOME = -1  # as many as have another prompt: one at least, not all
CHANGED = -2  # as many as have other condition values
CHAIN = "generations_idea, generations_draft, generations"


@dataclass(frozen=True)
class Line:
    """One line of the table: an edit of a file, the requests of each kind that the next run pays, and what is
    stale at once. `then` is stale once seeds and conditions have been made again, which is free."""

    name: str
    old: str
    new: str
    paid: Mapping[str, int] = field(default_factory=dict)
    stale: str = ""
    then: str | None = None
    file: str = "recipes/reviews.yaml"
    free: bool = False  # it asks nothing, and stands beside the others that do not


def every(n: int, *kinds: str) -> dict[str, int]:
    return dict.fromkeys(kinds or ("idea", "draft", "text", "label"), n)


TONES = "{angry: 1, calm: 1, witty: 1}"
SHOWN = "i looked at my watch every ten minutes"
LINES = [
    Line(
        "a condition value added",
        TONES,
        "{angry: 1, calm: 1, witty: 1, dry: 1}",
        every(CHANGED),
        "conditions",
    ),
    Line("a condition value removed", TONES, "{angry: 1, calm: 1}", every(CHANGED), "conditions"),
    Line("a condition value changed", TONES, "{angry: 1, calm: 1, dry: 1}", every(CHANGED), "conditions"),
    Line(
        "a document added, changed or removed",
        "Of 1985.",
        "Of 1985, by Kurosawa.",
        every(CHANGED),
        "conditions",
        file="manual/old.md",
    ),
    Line("the weight of a value", TONES, "{angry: 9, calm: 1, witty: 1}", every(CHANGED), "conditions"),
    Line(
        "a constraint",
        "rows: 6",
        "rows: 6\nconstraints: [\"tone != 'witty'\"]",
        every(CHANGED),
        "conditions",
    ),
    Line("the design", "rows: 6", "rows: 6\ndesign: latin", every(CHANGED), "conditions"),
    Line("a feedback that a person edits", "negative: 6", "negative: 8", every(2), "", file=TOLD),
    Line("that draws remember", "rows: 6", "rows: 6\nremember: true", every(CHANGED), "conditions"),
    Line(
        "a label's name",
        "positive: they liked it}",
        "good: they liked it}\nseeds_label: good",
        {**every(6, "idea", "draft", "text"), "label": 15},
        "seeds, conditions negative, scores negative, filtered, metrics",
    ),
    Line(
        "a label's definition",
        "positive: they liked it",
        "positive: they loved it",
        every(6),
        "conditions",
        "generations_idea positive, generations_draft positive, generations positive",
    ),
    Line(
        "a label's verbalizer",
        "positive: they liked it",
        "positive: {definition: they liked it, verbalizer: great}",
        {**every(6, "idea", "draft", "text"), "label": 15},
        "conditions, scores, metrics",
        "generations_idea positive, generations_draft positive, generations positive, scores, metrics",
    ),
    Line("the role", "instruction: Be brief.", "instruction: Be brief.\n  role: A critic.", every(12), CHAIN),
    Line("the instruction", "Be brief.", "Be long.", every(12), "generations_idea"),
    Line("the first step's prompt", "One idea", "An idea", every(12), "generations_idea"),
    Line(
        "a middle step's prompt",
        "draft: {{",
        "draft: now {{",
        every(12, "draft", "text", "label"),
        "generations_draft",
    ),
    Line("the last step's prompt", "as in", "like", every(12, "text", "label"), "generations"),
    Line(
        "the `when` of a step",  # rows that are asked as before pay nothing; the others are their drafts
        "temperature: 0.5",
        "temperature: 0.5, when: \"tone != 'witty'\", otherwise: draft",
        every(SOME, "label"),
        "generations",
    ),
    Line(
        "the output schema",
        "temperature: 0.5",
        "temperature: 0.5, output: {text: text, rating: integer}",
        every(12, "text", "label"),
        "generations",
    ),
    Line("more rows", "rows: 6", "rows: 8", every(4), "conditions"),
    Line("fewer rows", "rows: 6", "rows: 4", {}, "conditions"),
    Line(
        "how many rows are to pass (`accepted`)",
        "rows: 6",
        "rows: {accepted: 8, at_most: 12}",
        every(4),
        "conditions, metrics",  # those by the feedback, which goes
    ),
    Line("the demonstration policy", "sets: 3", "sets: 1", every(SOME, "text", "label"), "conditions"),
    Line(
        "which earlier rounds' kept rows are taken",
        "sets: 3",
        "sets: 3, pool: kept, rounds: last",
        {},
        "conditions",
        free=True,  # no earlier round has kept any
    ),
    Line(
        "a seed row added",
        "text,label\n",
        "text,label\nnever again,negative\n",
        {},
        "seeds",
        file="seeds.csv",
    ),
    Line("a seed row changed", SHOWN, f"{SHOWN} or so", {}, "seeds", file="seeds.csv"),
    Line("a seed row removed", f"{SHOWN},negative\n", "", {}, "seeds", file="seeds.csv"),
    Line("an asset in the place of the seeds' file", "file: seeds.csv", "asset: my/table", {}, "seeds"),
    Line("the size of a split", "test: 4", "test: 2", {}, "seeds"),
    Line("how seeds are drawn, read or typed", "seeds.csv,", "seeds.csv, read: {},", {}, "seeds", free=True),
    Line(
        "the other text of a pair, or what is predicted",
        "label: sentiment",
        "label: sentiment\n  pair: tone",
        every(15, "label"),
        "seeds, scores, filtered, labelled, weighted, metrics",
    ),
    Line("the order of labels", "text: review", "text: review\n  ordered: true", {}, "metrics", free=True),
    Line("the model", "model: generator", "model: other", every(12), CHAIN),
    Line(
        "the model's entry in models.yaml",
        "name: strong,",
        "name: newer,",
        every(12),
        CHAIN,
        file="models.yaml",
    ),
    Line(
        "a price, a limit, a header, how a schema or a system is told, in models.yaml",
        "name: strong,",
        "name: strong, max_concurrency: 2, headers: {X-Path: PATH}, structured: words, system: user,",
        file="models.yaml",
        free=True,
    ),
    Line(
        "an `endpoint_name` that is the address so far",
        "}\nother: {",
        ", endpoint_name: *here}\nother: {",
        file="models.yaml",
        free=True,
    ),
    Line(
        "a step's temperature",
        "temperature: 0.5",
        "temperature: 0.7",
        every(12, "text", "label"),
        "generations",
    ),
    Line(
        "log-probabilities of a step",
        "temperature: 0.5",
        "temperature: 0.5, logprobs: true",
        every(12, "text", "label"),
        "generations",
    ),
    Line("a filter's threshold", "between: [2, 40]", "between: [2, 30]", {}, "filtered", free=True),
    Line(
        "a filter added",
        "  duplicate: {}",
        "  duplicate: {}\n  refusal: {}",
        {},
        "scores, filtered",
        free=True,
    ),
    Line(
        "a scorer's prompt", "model: judge, k: 4", "model: judge, k: 2", every(15, "label"), "scores, metrics"
    ),
    Line(
        "`max_tokens` of the annotator, a judge or `facts`",
        "model: judge, k: 4",
        "model: judge, k: 4, max_tokens: 2",
        every(15, "label"),
        "scores, metrics",
    ),
    Line("the judge's model", "model: judge", "model: another_judge", every(15, "label"), "scores, metrics"),
    Line("a method of one's own", '"; "', '";"', {}, "scores, filtered", file="own_methods.py", free=True),
    Line("the weights", "power: 2", "power: 1", {}, "weighted", free=True),
    Line(
        "the levelling of weights", "seeds: 0.25", "seeds: 0.25, levelled: false", {}, "weighted", free=True
    ),
    Line(
        "seeds that weigh more after a fall of diversity",
        "seeds: 0.25",
        "seeds: {least: 0.25}",
        {},
        "weighted, metrics",  # of which this recipe has no diversity yet
        free=True,
    ),
    Line(
        "label enhancement", "rows: 6", "rows: 6\nlabelled: {by: label_agreement}", {}, "labelled", free=True
    ),
    Line(
        "labels by people, or how their rows were drawn",
        "rows: 6",
        "rows: 6\nlabelled: {human: people.csv}",
        {},
        "labelled",
    ),
    Line("a decision of people about a row", "", "", {}, "reviews", free=True),
    Line(
        "how several people's labels become one",
        "by_people: majority",
        "by_people: dawid_skene",
        {},
        "labelled",
        free=True,
    ),
    Line(
        "how far people have to agree with the labels",
        "control: 0.3",
        "control: 0.3, agreement: {at_least: 0.9}",
        {},
        "metrics",
        free=True,
    ),
    Line(
        "what people decided as demonstrations",
        "control: 0.3",
        "control: 0.3, demonstrations: true",
        {},
        "conditions",
        free=True,  # no earlier round has a row that people labelled
    ),
    Line(
        "what a label by people costs, or may cost",
        "control: 0.3",
        "control: 0.3, price: 0.1",
        {},
        "metrics",
        free=True,
    ),
    Line("what people are shown, and in which order", "control: 0.3", "control: 0.4", free=True),
    Line("the encoder", "rows: 6", "rows: 6\nencoder: ./none", {}, "labelled, weighted, metrics", free=True),
    Line("whether vectors are an asset", "rows: 6", "rows: 6\nvectors: true", {}),
    Line("the student", "student: false, ", "", {}, "metrics", free=True),
    Line(
        "the signals that rounds go by",
        "feedback: {rows: yield}",
        "feedback: {rows: error}",
        stale="conditions, metrics",
        free=True,
    ),
    Line("an evaluation", "model_alone: 3", "model_alone: 4", every(1, "label"), "metrics"),
    Line("the schedule", "0 2 * * *", "0 3 * * *", free=True),
    Line(
        "how failed nights are made up, and how many rounds stay",
        "schedule: ",
        "schedule:\n  catch_up: 3\n  tries: 2\n  keep: 90\n  cron: ",
        free=True,
    ),
    Line(
        "how many rounds there are, and what ends them",
        "rows: 6",
        "rows: 6\nrounds: {count: 9, until: {budget: 5, accepted: 900}}",
        free=True,
    ),
    Line("the budget", "rows: 6", "rows: 6\nbudget: {tokens: {day: 1000000}}", free=True),
    Line(
        "a comment or the order of keys",
        "model: generator\nannotator: {model: judge, k: 4}\n",
        "# so\nannotator: {model: judge, k: 4}\nmodel: generator\n",
        free=True,
    ),
    Line("the call log, lost or changed by hand", "", "", free=True),
    Line("the version of this software", "", "", free=True),
]


TOGETHER = [line for line in LINES if line.free]


@pytest.mark.parametrize("line", [line for line in LINES if not line.free], ids=lambda line: line.name)
def test_an_edit_makes_and_pays_again_what_the_table_says(
    line: Line, copy: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = values_of_rows()
    edit(copy, line, monkeypatch)
    recipe = recipe_of(copy)
    assert stale(recipe) == parts(line.stale)
    if line.then is not None:
        materialize(recipe, "conditions")
        assert stale(recipe) == parts(line.then)
    if recipe.seeds.asset:
        with dagster_instance() as instance:
            materialize_their_table(instance)
            a_round(recipe, instance)
    else:
        assert main(["run", "reviews", "--round", ROUND]) == 0
    paid = Counter(map(kind, endpoint.requests))
    changed = len([row for row, value in values_of_rows().items() if before.get(row) != value])
    for what, n in line.paid.items():
        assert 0 < paid[what] < 12 if n == SOME else paid[what] == (changed if n == CHANGED else n), what
    if line.file != "seeds.csv":  # of what is shown, seeds may have moved
        assert set(paid) == set(line.paid)
    assert set(paid) <= {"idea", "draft", "text", "label"}
    assert stale(recipe) == set()


def test_edits_that_ask_nothing_make_again_what_the_table_says(
    copy: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one for what is stale, and all together for what the next run pays."""
    for line in TOGETHER:
        before = (copy / line.file).read_text()
        edit(copy, line, monkeypatch)
        assert stale(recipe_of(copy)) == parts(line.stale), line.name
        (copy / line.file).write_text(before)
        for file in (copy / ".synth").glob("reviews.sqlite*"):
            file.unlink()
    for line in TOGETHER:
        edit(copy, line, monkeypatch)
    assert main(["run", "reviews", "--round", ROUND]) == 0
    assert endpoint.requests == []
    assert stale(recipe_of(copy)) == set()


def edit(folder: Path, line: Line, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("importlib.metadata.version", lambda _: "99.0")
    if line.name.startswith("the call log"):
        (folder / ".synth" / "calls.sqlite").unlink(missing_ok=True)
    if line.name.startswith("a decision"):
        ((row,),) = warehouse().query("select min(row_id) from reviews.filtered").fetchall()
        decisions().append(Decision("d1", "reviews", row, ROUND, "ann", "label", "positive"))
    if line.name.startswith("a document"):
        (folder / "manual" / "tv.md").rename(folder / "manual" / "films.md")
        (folder / "manual" / "films.md").write_text("# Jaws\n\nOf 1975.")
    path = folder / line.file
    text = path.read_text()
    assert line.old in text
    text = text.replace(line.old, line.new, 1)
    if "seeds_label: good" in text:  # the rows of the file keep their word for it
        text = text.replace("\nseeds_label: good", "").replace(
            "seeds: {", "seeds: {label_values: {positive: good}, "
        )
    if "accepted: 8" in text:  # which makes it needless
        text = text.replace("feedback: {rows: yield}\n", "")
    if "pair: tone" in text:  # which seeds have, too
        text = text.replace("seeds: {", "seeds: {fields: [tone], ")
        head, *rows = SEEDS.splitlines()
        (folder / "seeds.csv").write_text("\n".join([f"{head},tone", *(f"{row},calm" for row in rows)]))
    if "least: 0.25" in text:
        text = text.replace("diversity: false", "diversity: true")
    path.write_text(text)
    forget("own_methods")


def parts(words: str) -> set[str]:
    return set(filter(None, words.split(", ")))


def values_of_rows() -> dict[tuple[str, int], str]:
    """Cell and number of a row -> its condition values."""
    found = warehouse().query("select cell, replicate, tone || known from reviews.conditions").fetchall()
    return {(cell, replicate): values for cell, replicate, values in found}


def test_the_guide_has_each_line(copy: Path) -> None:
    lines = re.findall(r"^\| ([^|]+?) \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert lines[1:] == [line.name for line in LINES]


def test_rows_that_were_left_out_come_back_free(copy: Path, endpoint: Endpoint) -> None:
    for rows in (4, 6):
        assert main(["run", "reviews", "--round", ROUND, "--rows", str(rows)]) == 0
        assert warehouse().query("select count(*) from reviews.generations").fetchall() == [(2 * rows,)]
    assert endpoint.requests == []


def test_a_label_that_is_removed_is_in_no_view_and_no_training_set(copy: Path, endpoint: Endpoint) -> None:
    """Its files stay until somebody cleans up."""
    path = copy / "recipes" / "reviews.yaml"
    text = path.read_text().replace("positive: they liked it}", "good: they liked it}")
    path.write_text(text.replace("seeds: {", "seeds: {label_values: {positive: good}, "))
    assert main(["run", "reviews", "--round", ROUND]) == 0
    for stage in (*BY_CELL, "filtered", "rejected"):
        cells = warehouse().query(f"select distinct cell from reviews.{stage}").fetchall()
        assert ("positive",) not in cells, stage
    assert ("positive",) not in warehouse().query("select distinct label from reviews.weighted").fetchall()
    there = home() / "lake" / "reviews" / "generations" / f"round={ROUND}" / "cell=positive" / "part.parquet"
    assert there.exists()
