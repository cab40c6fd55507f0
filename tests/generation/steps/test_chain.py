"""A chain of steps: what each is asked, what a failure in the middle loses, what an edit pays for again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from synth_assets.assets.code_location import build
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.core.errors import UserError
from synth_assets.generation.conditions.table import design
from synth_assets.generation.steps import chain
from synth_assets.partitions import cell_key
from synth_assets.recipe import columns
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.home import warehouse
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.sources import read_rows
from synth_assets.stages import tables
from synth_assets.stages.support import support
from tests.batch_endpoint import BatchEndpoint
from tests.conftest import RECIPE
from tests.endpoint import Endpoint
from tests.generation.test_generation import ROUND, Said, Scripted

STEPS = """steps:
  outline: "Facts that a {{ tone }} customer tells."
  draft:
    prompt: "Write from these facts: {{ outline }}"
    output: {body: text, rating: integer, keywords: [text]}
  text: "Shorten, {{ draft.rating }} stars: {{ draft.body }}"
"""
STAGES = ["generations_outline", "generations_draft", "generations"]
AT = "2026-11-21"


@pytest.fixture
def steps(project: Path) -> Callable[[str], Path]:
    """Write the recipe with these steps."""

    def write(text: str) -> Path:
        head, rest = RECIPE.replace("SEEDS", str(project / "seeds.csv")).split("steps:\n")
        path = project / "recipes" / "reviews.yaml"
        rest = rest[rest.index("rows: 6") :] + "metrics: {student: false, diversity: false}\n"
        path.write_text(head + text + rest, encoding="utf-8")
        return path

    return write


@pytest.fixture
def recipe(steps: Callable[[str], Path]) -> Recipe:
    return load(steps(STEPS))


@pytest.fixture
def seeds(recipe: Recipe) -> pd.DataFrame:
    return support(read_rows(recipe.seeds.file), recipe.seeds, recipe.cells, recipe.seed).rows


@pytest.fixture
def conditions(recipe: Recipe, seeds: pd.DataFrame) -> pd.DataFrame:
    return design(recipe, seeds, round_=ROUND, cell="negative", rows=4)


def draft(body: str = "a draft", rating: int = 2, keywords: tuple[str, ...] = ("a",)) -> Said:
    return Said(json.dumps({"body": body, "rating": rating, "keywords": list(keywords)}))


def ask(
    recipe: Recipe, conditions: pd.DataFrame, seeds: pd.DataFrame, *answers: list[Said], lake: FolderLake
) -> tuple[list[pd.DataFrame], list[Scripted]]:
    """The rows of each step, by way of the lake as in a run, and what each model was asked."""
    made: dict[str, pd.DataFrame] = {}
    models = [Scripted(said, api="chat") for said in answers]
    for stage, model in zip(recipe.step_stages, models, strict=False):
        rows = chain.run(recipe, stage, conditions, seeds, model, made).assign(model="m")
        place = {"round": ROUND, "cell": "negative"}
        lake.write("reviews", stage, place, tables.to_arrow(recipe, stage, rows))
        made[stage] = lake.read("reviews", stage, [place], tables.schema(recipe, stage))
    return [rows.astype(object).where(rows.notna(), None) for rows in made.values()], models


@pytest.fixture
def lake(tmp_path: Path) -> FolderLake:
    return FolderLake(tmp_path / "lake")


def test_each_step_is_asked_with_the_answers_before_it(
    recipe: Recipe, conditions: pd.DataFrame, seeds: pd.DataFrame, lake: FolderLake
) -> None:
    answers = [[Said("fact")], [draft("long", 4)], [Said("short")]]
    (*_, last), models = ask(recipe, conditions, seeds, *answers, lake=lake)
    assert [model.asked[0][-1]["content"] for model in models[1:]] == [
        "Write from these facts: fact",
        "Shorten, 4 stars: long",
    ]
    assert [model.replicates[3] for model in models] == [
        f"{ROUND}/negative/3/outline",
        f"{ROUND}/negative/3/draft",
        f"{ROUND}/negative/3",  # as a recipe of one step has it
    ]
    assert list(last["row_id"]) == list(conditions["row_id"])
    assert set(last["text"]) == {"short"}


def test_a_failure_in_the_middle_is_a_row_that_is_not_asked_again(
    recipe: Recipe, conditions: pd.DataFrame, seeds: pd.DataFrame, lake: FolderLake
) -> None:
    answers = [
        [Said("a"), Said(None, "timed_out", error="60 s"), Said("c"), Said("d")],
        [draft(), Said('{"rating": 2}'), draft()],
        [Said("short"), Said("")],
    ]
    (_, middle, last), models = ask(recipe, conditions, seeds, *answers, lake=lake)
    assert [len(model.asked) for model in models] == [4, 3, 2]
    assert list(last["row_id"]) == list(conditions["row_id"])
    assert list(last["accepted"]) == [True, False, False, False]
    assert last["reason"].tolist() == [None, "timed_out", "invalid", "empty"]
    assert last["stage"].tolist() == [None, "generations_outline", "generations_draft", "generations"]
    assert last["error"][1] == "60 s"
    assert last["text"].tolist() == ["short", None, '{"rating": 2}', None]  # what there is of an answer
    assert list(last["call_id"].notna()) == [True, False, False, True]
    assert list(last["model"].notna()) == [True, True, True, True]  # the asset says which
    assert middle["rating"].dropna().tolist() == [2, 2]
    assert middle["text"][0] == draft().text  # an answer without a field text is there whole


def test_an_answer_of_which_no_prompt_can_be_made_fails_alone(
    steps: Callable[[str], Path], conditions: pd.DataFrame, seeds: pd.DataFrame, lake: FolderLake
) -> None:
    prompt = "{{ 12 // draft.rating }} {{ draft.keywords[1] }} {{ draft.body }}"
    recipe = load(steps(STEPS.replace("Shorten, {{ draft.rating }} stars: {{ draft.body }}", prompt)))
    drafts = [
        draft("fine", 3, ("a", "b")),
        draft("no second keyword", 2),
        draft("division by zero", 0, ("a", "b")),
        draft("{{ role }}", 5, ("{% if %}", "{{ 1 / 0 }}")),
    ]
    (*_, last), models = ask(recipe, conditions, seeds, [Said("a")], drafts, [Said("t")], lake=lake)
    assert [m[-1]["content"] for m in models[-1].asked] == ["4 b fine", "2 {{ 1 / 0 }} {{ role }}"]
    assert last["reason"].tolist() == [None, "no_prompt", "no_prompt", None]
    assert set(last["stage"].dropna()) == {"generations"}
    assert "division" in last["error"][2]


def test_fields_keep_their_types_and_names_on_the_way(
    steps: Callable[[str], Path], conditions: pd.DataFrame, seeds: pd.DataFrame, lake: FolderLake
) -> None:
    """Also in a table with rows that were rejected, and for fields that are called as methods of a dict."""
    text = STEPS.replace("rating: integer", "items: integer").replace("draft.rating", "draft.items")
    recipe = load(steps(text.replace("draft.body", "draft.keywords | join('+')")))
    said = [Said(json.dumps({"body": "b", "items": 2**53 - 1, "keywords": ["x", "y"]})), Said("no JSON")]
    _, models = ask(recipe, conditions, seeds, [Said("a")], said, [Said("t")], lake=lake)
    assert models[-1].asked[0][-1]["content"] == "Shorten, 9007199254740991 stars: x+y"


def test_rows_that_an_earlier_step_does_not_have_are_an_error(
    recipe: Recipe, conditions: pd.DataFrame, seeds: pd.DataFrame, lake: FolderLake
) -> None:
    tables_, _ = ask(recipe, conditions.head(3), seeds, [Said("a")], [draft()], lake=lake)
    before = dict(zip(STAGES, tables_, strict=False))
    with pytest.raises(UserError, match="generations_outline does not have 1 of the rows yet"):
        chain.run(recipe, "generations", conditions, seeds, Scripted([]), before)


def test_a_recipe_of_one_step_is_as_it_was(project: Path) -> None:
    recipe = load(project / "recipes" / "reviews.yaml")
    assert tables.stages(recipe) == {s: cut for s, cut in columns.STAGES.items() if s not in tables.ONLY}
    assert list(tables.columns(recipe, "generations"))[-7:] == [
        "accepted",
        "reason",
        "error",
        "call_id",
        "model",
        "prompt_tokens",
        "completion_tokens",
    ]


def test_the_stages_of_a_chain_are_in_the_order_of_its_steps(recipe: Recipe) -> None:
    assert [s for s in tables.stages(recipe) if s.startswith("generations")] == STAGES
    assert list(tables.columns(recipe, "generations_draft")) == [
        *("row_id", "round", "cell", "text", "body", "rating", "keywords", "accepted", "reason", "error"),
        *("stage", "call_id", "model", "prompt_tokens", "completion_tokens"),
    ]


def test_a_step_is_stale_by_what_it_says_itself(recipe: Recipe, steps: Callable[[str], Path]) -> None:
    def changed(old: str, new: str) -> list[str]:
        after = load(steps(STEPS.replace(old, new)))
        sections = ["samples", *(f"steps.{name}" for name in recipe.steps)]
        return [s for s in sections if recipe.version(s) != after.version(s)]

    assert changed("Facts that", "Things that") == ["steps.outline"]
    assert changed("output: {body: text, ", "temperature: 0.5\n    output: {body: text, ") == ["steps.draft"]
    assert changed("    prompt: ", "    model: other\n    prompt: ") == ["steps.draft"]
    assert changed("Shorten", "Cut") == ["steps.text"]
    prompt = '"Facts that a {{ tone }} customer tells."'
    assert changed(prompt, f"{{prompt: {prompt}, samples: 2}}") == ["samples"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  text:", "  txt:", r"reviews\.yaml:\d+: steps: the last step makes the row and must be called te"),
        ("  outline:", "  text:", r"text is written twice"),
        ("  outline:", "  label:", r":\d+: steps\.label: label means something else in prompts"),
        ("  outline:", "  Outline:", r":\d+: steps\.Outline: step 'Outline': use lower-case letters"),
        ("  outline:", "  tone:", r":\d+: steps\.tone: a condition has the same name"),
        (
            '"Facts that a {{ tone }} customer tells."\n  draft:\n',
            '{prompt: "Facts", samples: 2}\n  draft:\n    samples: 2\n',
            r":\d+: steps\.draft\.samples: .*write it here or at outline",
        ),
        (
            "    prompt: ",
            "    modle: m\n    prompt: ",
            r"steps\.draft\.modle: unknown field.*Did you mean 'mod",
        ),
        ("body: text", "body: txet", r"steps\.draft\.output\.body: unknown type 'txet'"),
        ("{body: text, rating: integer, keywords: [text]}", "{}", r"steps\.draft\.output: output is written"),
        ("{{ draft.body }}", "{{ draft.bdy }}", r"steps\.text: unknown field of draft 'bdy'.*mean 'body'"),
        ("{{ draft.body }}", "{{ draft['bdy'] }}", r"steps\.text: unknown field of draft 'bdy'"),
        (
            "{{ draft.body }}",
            "{{ draft }}",
            r"steps\.text: draft has fields: write draft\.body or draft\.rat",
        ),
        ("{{ outline }}", "{{ outlin }}", r"steps\.draft: unknown field in the prompt 'outlin'.*'outline'"),
        ("{{ tone }}", "{{ draft.body }}", r"steps\.outline: unknown field in the prompt 'draft'"),
        ("{{ tone }}", "{% tone }}", r"steps\.outline: prompt, line 1: "),
    ],
)
def test_what_is_wrong_in_a_chain_is_refused(
    steps: Callable[[str], Path], capsys: pytest.CaptureFixture, old: str, new: str, message: str
) -> None:
    assert old in STEPS
    steps(STEPS.replace(old, new, 1))
    assert main(["check", "reviews"]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error


def test_check_shows_the_prompt_of_every_step(recipe: Recipe, capsys: pytest.CaptureFixture) -> None:
    assert main(["check", "reviews"]) == 0
    out = capsys.readouterr().out
    assert "and of draft, without the answers before it,\n    | Write from these facts: <outline>\n" in out
    assert "(step draft)" in out


# ---- rounds on a real Dagster instance


def writer(body: dict[str, Any]) -> str:
    """Answers each step by what its prompt begins with; every text is another."""
    asked = body["messages"][-1]["content"]
    if asked.startswith("Write"):
        return json.dumps({"body": f"body of {asked[-12:]}", "rating": 3, "keywords": []})
    return f"{'facts' if asked.startswith(('Facts', 'Things')) else 'the short text'} {body['seed']}"


@pytest.fixture
def endpoint(project: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with Endpoint(say=writer) as served:
        monkeypatch.setenv("SYNTH_MODEL", "scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        yield served


def run() -> int:
    return main(["run", "reviews", "--round", AT])


def again() -> None:
    """The cells once more, without what is made of the whole round."""
    job = build({"reviews": load(Path("recipes") / "reviews.yaml")}).resolve_job_def("reviews_cell")
    with dagster_instance() as instance:
        for cell in ("negative", "positive"):
            assert job.execute_in_process(instance=instance, partition_key=cell_key(AT, cell)).success


def sql(query: str) -> list[tuple]:
    return warehouse().query(query).fetchall()


def paid(endpoint: Endpoint) -> list[int]:
    """Requests since the last look: to outline, draft, text."""
    prompts = list(endpoint.prompts)
    endpoint.requests.clear()
    steps = [("Facts", "Things"), ("Write",), ("Shorten", "Cut")]
    return [sum(p.startswith(words) for p in prompts) for words in steps]


def stale(recipe: Recipe) -> list[str]:
    """Stages whose materializations have another code version than the recipe now."""
    graph = build({"reviews": recipe}).resolve_asset_graph()
    with dagster_instance() as instance:
        found = []
        for stage in ("conditions", *STAGES, "scores"):
            key = dg.AssetKey(["reviews", stage])
            (record,) = instance.fetch_materializations(key, limit=1).records
            tags = record.event_log_entry.asset_materialization.tags
            if tags["dagster/code_version"] != graph.get(key).code_version:
                found.append(stage)
    return found


def test_a_round_of_a_chain_and_what_its_edits_pay(endpoint: Endpoint, steps: Callable[[str], Path]) -> None:
    assert run() == 0
    assert paid(endpoint) == [12, 12, 12]
    assert sql("select sum(generated), sum(accepted) from reviews.funnel") == [(12, 12)]
    calls = "select used_by, count(*) from reviews.calls group by 1 order by 1"
    assert sql(calls) == [(stage, 12) for stage in sorted(STAGES)]
    assert sql("select count(distinct row_id), count(distinct call_id) from reviews.steps") == [(12, 36)]
    again()
    assert paid(endpoint) == [0, 0, 0]

    last = STEPS.replace("Shorten", "Cut")
    assert stale(load(steps(last))) == ["generations"]
    again()
    assert paid(endpoint) == [0, 0, 12]

    middle = last.replace("from these", "from those")
    assert stale(load(steps(middle))) == ["generations_draft"]
    again()
    assert paid(endpoint) == [0, 12, 0]  # the draft's body is the same, and so is the last prompt

    first = middle.replace("Facts that", "Things that")
    assert stale(load(steps(first))) == ["generations_outline"]
    again()
    assert paid(endpoint) == [12, 12, 12]
    steps(STEPS)
    again()
    assert paid(endpoint) == [0, 0, 0]  # back to what was paid


def test_rows_that_a_middle_step_drops_are_rejected_rows_and_only_they_are_asked_again(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("synth_assets.resources.gateway.sending.BACKOFF", 0.0)
    down = {"now": True}

    def sometimes(body: dict[str, Any]) -> str:
        if down["now"] and body["messages"][-1]["content"].startswith("Write") and body["seed"] % 3 == 0:
            raise RuntimeError("overloaded")
        return writer(body)

    endpoint.say = sometimes
    assert run() == 75  # what drops them is a call without an answer
    ((failed,),) = sql("select count(*) from reviews.rejected")
    assert 0 < failed < 12
    assert paid(endpoint) == [12, 12 - failed + 4 * failed, 12 - failed]  # an attempt is made four times
    assert sql("select distinct stage, scorer from reviews.rejected") == [
        ("generations_draft", "provider_error")
    ]
    assert sql("select sum(generated), sum(accepted) from reviews.funnel") == [(12, 12 - failed)]
    assert sql("select count(*) from reviews.generations where stage = 'generations_draft'") == [(failed,)]
    down["now"] = False
    assert run() == 0
    assert paid(endpoint) == [0, failed, failed]
    assert sql("select sum(accepted) from reviews.funnel") == [(12,)]
    capsys.readouterr()
    assert main(["show", "reviews", "--stage", "generations_draft", "-n", "1"]) == 0
    assert "rating                3" in capsys.readouterr().out


def test_a_step_with_a_model_of_its_own(
    endpoint: Endpoint, project: Path, steps: Callable[[str], Path]
) -> None:
    with Endpoint(say=writer) as strong:
        (project / "models.yaml").write_text(f"strong: {{name: large, base_url: {strong.url}}}\n")
        steps(STEPS.replace("    prompt: ", "    model: strong\n    prompt: "))
        assert run() == 0
        assert paid(strong) == [0, 12, 0]
        assert paid(endpoint) == [12, 0, 12]
    assert sql("select distinct model from reviews.generations_draft") == [("large",)]


def test_a_chain_goes_through_batches_a_step_at_a_time(
    project: Path, steps: Callable[[str], Path], capsys: pytest.CaptureFixture
) -> None:
    with BatchEndpoint(polls=0, say=writer) as provider:
        (project / "models.yaml").write_text(f"cheap: {{name: m, base_url: {provider.url}}}\n")
        path = steps(STEPS)
        path.write_text(path.read_text().replace("rows: 6", "rows: 6\nmodel: cheap\nmode: batch"))
        for batch in ("batch_1", "batch_3", "batch_5"):
            assert run() == 75  # the rest of the chain waits for them
            assert f"negative: requests with the provider: 6 in {batch}\n" in capsys.readouterr().out
        assert run() == 0
        assert sql("select sum(accepted) from reviews.funnel") == [(12,)]
        assert list(provider.paid.values()) == [1] * 36
