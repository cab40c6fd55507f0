"""`task: annotate`: the user's own texts as rows, a scripted model as their annotator."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from synth_assets.core.asking import TokenLogprob
from synth_assets.core.errors import UserError
from synth_assets.generation.steps import chain
from synth_assets.recipe.load import inline
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.sandbox import tools
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import conditions, tables
from synth_assets.stages.generations import stage
from tests.gallery import Asks, Model, Said
from tests.test_docs import ROOT
from tests.through import encode, through

NAMES = ["refund", "bug", "praise"]
TEXTS = [f"ticket {n} about a {NAMES[n % 3]}" for n in range(9)]
CODEBOOK = {name: f"the customer writes about a {name}" for name in NAMES}
QUIET = {
    "metrics": {"diversity": False, "faithfulness": False},
    "student": {"features": "tfidf"},
    "model": "a",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / ".synth"))
    write(TEXTS)
    return tmp_path


def write(texts: list[str]) -> None:
    lines = ["body,ticket", *(f'"{text}",{100 + n}' for n, text in enumerate(texts))]
    Path("tickets.csv").write_text("\n".join(lines), encoding="utf-8")


def recipe(task: Mapping[str, Any] | None = None, **more: Any) -> Recipe:
    usual = {"annotate": POOL, "classify": CODEBOOK, "text": "ticket", "label": "topic"}
    return inline({"task": {**usual, **(task or {})}, **QUIET, **more}, "tickets")


def asked_of(prompt: str) -> str:
    """The text that a prompt asks about."""
    return re.findall(r"^Ticket: (.*)$", prompt, re.MULTILINE)[-1]


def right(prompt: str, *_: Any) -> str:
    return json.dumps({"topic": asked_of(prompt).split()[-1]})


def answered(
    of: Recipe, say: Callable[..., str], round_: str = "2026-11-22", model: Any = None, place: str = "lake/1"
) -> Any:
    """The rows of `generations`, and the model that was asked."""
    model, (lake, cell) = model or Model(say), place.split("/")
    run = Named(of, FolderLake(Path(lake)), Encoder, round_, cell, tools=tools.run, model_of=model)  # type: ignore
    if not run.lake.has(of.name, "seeds", {}):
        from synth_assets.stages.seeds import seed_rows

        run.lake.write(of.name, "seeds", {}, tables.to_arrow(of, "seeds", seed_rows(of)))
    rows = conditions.compute(run, run.read("seeds")).rows
    run.lake.write(of.name, "conditions", run.place, tables.to_arrow(of, "conditions", rows))
    made = stage(of, "text").compute(run, run.read("conditions", run.place)).rows
    tables.to_arrow(of, "generations", made)
    return made, model


class Encoder:
    encode = staticmethod(encode)


def test_a_text_is_a_row_and_its_label_the_answer(folder: Path) -> None:
    made = through(recipe(), right, folder)
    rows = made.rows("weighted")
    assert sorted(rows["text"]) == sorted(TEXTS)
    assert len(made.model.prompts) == 9
    assert all(text.endswith(label) for text, label in zip(rows["text"], rows["label"], strict=True))
    kept = made.rows("filtered")
    assert dict(zip(kept["text"], kept["ticket"], strict=True))[TEXTS[4]] == "104"
    assert set(made.rows("labelled")["label_source"]) == {"annotator"}
    assert made.rows("labelled")["confidence"].isna().all()  # one answer tells nothing of it
    assert made.model.prompts[0].startswith(
        "Say the topic of the ticket.\n\n- bug: the customer writes about"
    )


@pytest.mark.parametrize("n", [2, 11, 100])
def test_any_number_of_labels_asks_about_each_text_once(folder: Path, n: int) -> None:
    labels = {f"kind_{i}": f"it is of kind {i}" for i in range(n)}
    write([f"ticket of kind_{i % n}" + " again" * (i // n) for i in range(40)])
    of = recipe({"classify": labels})
    say = lambda prompt, *_: json.dumps({"topic": asked_of(prompt).split()[2]})  # noqa: E731
    rows, model = answered(of, say)
    assert len(model.prompts) == 40
    assert rows["accepted"].all()
    assert of.cells == ["1"]
    assert (rows["label"] == [text.split()[2] for text in rows["text"]]).all()


def test_a_text_is_never_a_row_of_two_rounds_and_a_new_one_asks_itself_alone(folder: Path) -> None:
    of = recipe(rows=5)
    first, _ = answered(of, right, "2026-11-22")
    second, _ = answered(of, right, "2026-11-23")
    assert len(first) == 5
    assert len(second) == 4
    assert sorted([*first["text"], *second["text"]]) == sorted(TEXTS)
    with pytest.raises(UserError, match="rows of other rounds: add texts") as told:
        answered(of, right, "2026-11-24")
    assert [mistake.code for mistake in told.value.mistakes] == ["nothing_new"]  # which is no failure
    write(["a new praise", *TEXTS])
    again, _ = answered(of, right, "2026-11-22")
    assert list(again["text"]) == list(first["text"])
    assert list(again["row_id"]) == list(first["row_id"])
    more, _ = answered(of, right, "2026-11-23")
    assert {*more["text"]} - {*second["text"]} == {"a new praise"}


class Noted(Model):
    """Keeps what makes a call another one: the question, the name of the sample, and the model."""

    def of(self, what: str) -> Any:
        return replace(self, name=what) if what else self

    def complete(self, messages: Any, sampling: Any, replicates: Any, schema: Any = None) -> Any:
        questions, names = list(messages), list(replicates)
        of = "" if self.name == "scripted" else f" {self.name}"
        NOTED.update((q[-1]["content"], n + of) for q, n in zip(questions, names, strict=True))
        return super().complete(questions, sampling, names, schema)


LAKES, NOTED = count(), set[tuple[str, str]]()


class Named(Asks):
    """A run that tells models apart by what they are asked for."""

    def model(self, spec: Any = None, what: str = "", lines: int = 0) -> Any:
        return self.model_of.of(what) if isinstance(self.model_of, Noted) else self.model_of


def calls(of: Recipe, round_: str = "2026-11-22") -> frozenset[tuple[str, str]]:
    """What a first round of a recipe asks."""
    found, lake = Noted(right), f"lake{next(LAKES)}"
    NOTED.clear()
    for cell in of.cells:
        answered(of, right, round_, found, f"{lake}/{cell}")
    return frozenset(NOTED)


def test_no_call_rests_on_round_cell_or_place(folder: Path) -> None:
    before = calls(recipe())
    write(["first of all a bug", *reversed(TEXTS)])
    ((question, sample),) = calls(recipe(shards=2), "2026-12-01") - before
    assert question.endswith("Ticket: first of all a bug")
    assert sample == "annotate/0"


SEEDS = [f"seed {n} of a {NAMES[n % 3]},{NAMES[n % 3]}" for n in range(6)]
POOL = {"file": "tickets.csv", "text": "body", "fields": ["ticket"]}
LOGPROBS = {"text": {"annotate": "logprobs"}}
OTHER = {"classify": {**CODEBOOK, "bug": "something is wrong"}}
ALL, NONE = len(TEXTS), 0
EDITS: dict[str, tuple[Callable[[], Recipe], int]] = {  # line of the guide -> the edit, texts that are asked
    "a text added": (lambda: edited([*TEXTS, "a new bug"]), 1),
    "a text removed, or the order of the file": (lambda: edited(TEXTS[:3:-1]), NONE),
    "a text changed": (lambda: edited([f"{TEXTS[0]} bug", *TEXTS[1:]]), 1),
    "another field that rows keep": (lambda: recipe({"annotate": {**POOL, "fields": []}}), NONE),
    "a field that prompts show": (lambda: recipe({"annotate": {**POOL, "shown": ["ticket"]}}), ALL),
    "a definition of the codebook, a label, the instruction": (lambda: recipe(OTHER), ALL),
    "a label, with `annotate: logprobs`": (
        lambda: recipe({"classify": {**CODEBOOK, "thanks": "they thank"}}, steps=LOGPROBS),
        ALL,
    ),
    "a definition, with `annotate: logprobs`": (lambda: recipe(OTHER, steps=LOGPROBS), NONE),
    "one more of `prompts` or `samples`": (
        lambda: recipe(steps={"text": {"annotate": "answer", "prompts": 2}}),
        ALL,
    ),
    "a seed that is shown": (lambda: nearest([SEEDS[0].replace("seed", "sead"), *SEEDS[1:]]), 1),
    "the number of rows a round": (lambda: recipe(rows=5), NONE),
    "`acquire`": (lambda: recipe({"annotate": {**POOL, "acquire": {"by": "k_means"}}}, rows=9), NONE),
    "a cascade added, with `annotate: logprobs`": (lambda: recipe(steps=two_models(0.95)), ALL),
    "a cascade's `target` or `delta`": (lambda: recipe(steps=two_models(0.8)), NONE),
}


def two_models(target: float) -> dict[str, Any]:
    """Nobody knows how sure the cheap one is: the dear one is asked about each text."""
    return {"text": {"annotate": "logprobs", "cascade": {"model": "b", "target": target}}}


def edited(texts: list[str]) -> Recipe:
    write(texts)
    return recipe()


def nearest(seeds: list[str]) -> Recipe:
    Path("seeds.csv").write_text("\n".join(["text,label", *seeds]), encoding="utf-8")
    shown = {"k": 1, "by": "nearest"}
    return recipe(seeds={"file": "seeds.csv", "splits": {"demonstration": 6}}, demonstrations=shown)


@pytest.mark.parametrize("line", EDITS)
def test_an_edit_asks_again_what_the_guide_says(folder: Path, line: str) -> None:
    base = {"seed": lambda: nearest(SEEDS), "logprobs": lambda: recipe(steps=LOGPROBS)}
    base["cascade's"] = lambda: recipe(steps=two_models(0.95))
    before = calls(next((make() for word, make in base.items() if word in line), recipe()))
    edit, n = EDITS[line]
    again = calls(edit()) - before
    assert len(again) == n


def test_the_guide_has_each_line() -> None:
    guide = (ROOT / "docs" / "annotate.md").read_text(encoding="utf-8").partition("## What an edit")[2]
    assert re.findall(r"^\| ([^|]+?) \|", guide, re.MULTILINE)[1:] == list(EDITS)


def test_several_ways_to_ask_vote_and_tell_how_sure_they_are(folder: Path) -> None:
    """Of seven answers about a bug, one names its topic in a sentence, two are wrong, one cannot be read."""
    answers = {0: "Topic: bug", 1: '{"topic": "praise"}', 2: '{"topic": "praise"}', 3: "who knows"}

    def say(prompt: str, *_: Any) -> str:
        place = list(dict.fromkeys(p for p in model.prompts if asked_of(p) == asked_of(prompt))).index(prompt)
        return answers.get(place, right(prompt)) if asked_of(prompt).endswith("bug") else right(prompt)

    model = Model(say)
    rows, _ = answered(recipe(steps={"text": {"annotate": "answer", "prompts": 7}}), say, model=model)
    assert len(model.prompts) == len(set(model.prompts)) == 63
    by_text = rows.set_index("text")
    bug, praise = by_text.loc[TEXTS[1]], by_text.loc[TEXTS[2]]
    assert list(bug["answers"]) == ["bug", "praise", "praise", None, "bug", "bug", "bug"]
    assert (bug["label"], round(bug["confidence"], 3), round(bug["entropy"], 3)) == ("bug", 0.667, 0.918)
    assert bug["label_probabilities"] == {"refund": 0, "bug": 4 / 6, "praise": 2 / 6}
    assert (praise["label"], praise["confidence"], praise["entropy"]) == ("praise", 1, 0)
    assert len(bug["answer_calls"]) == 7


def test_explain_asks_why_each_example_is_right_and_shows_that(folder: Path) -> None:
    shown = {"k": 2, "by": "nearest"}
    seeds = nearest(SEEDS).seeds.model_dump(exclude_unset=True)

    def say(prompt: str, schema: Any, *_: Any) -> str:
        if schema is None:
            return f"since {asked_of(prompt)}"
        return json.dumps({"explanation": "it says so", "topic": asked_of(prompt).split()[-1]})

    of = recipe(steps={"text": {"annotate": "explain"}}, seeds=seeds, demonstrations=shown)
    rows, model = answered(of, say)
    whys = [p for p in model.prompts if "Explain briefly why" in p]
    assert len(whys) <= 6
    assert len(model.prompts) == len(whys) + 9
    for why in whys:
        assert [name for name in NAMES if f"is {name}." in why] == [asked_of(why).split()[-1]]
        assert sum(name in why for name in NAMES) == 1  # it never sees another label
    last = model.prompts[-1]
    assert last.count('Answer: {"explanation": "since seed ') == 2
    assert set(rows["explanation"]) == {"it says so"}


class Sure(Model):
    """Gives log-probabilities of the words, where `top` has some."""

    top: Mapping[str, float] = {}

    def complete(self, messages: Any, sampling: Any, replicates: Any, schema: Any = None) -> Any:
        for said in super().complete(messages, {}, replicates, schema):
            tokens = [TokenLogprob(said.text, -0.1, dict(self.top))] if self.top else None
            yield Said(said.text, said.identity, logprobs=tokens)


def test_log_probabilities_tell_how_sure_a_label_is_and_without_them_the_word_counts(folder: Path) -> None:
    of = recipe(steps={"text": {"annotate": "logprobs"}})
    say = lambda prompt, *_: asked_of(prompt).split()[-1]  # noqa: E731
    rows, _ = answered(of, say, model=Sure(say))
    assert all(text.endswith(label) for text, label in zip(rows["text"], rows["label"], strict=True))
    assert rows["confidence"].isna().all()
    sure = Sure(lambda *_: "bug")
    sure.top = {"bug": -0.5, "praise": -1.5, "refund": -3.0}
    rows, _ = answered(of, say, model=sure)
    assert set(rows["label"]) == {"bug"}
    assert rows["confidence"].iloc[0] == pytest.approx(0.690, abs=1e-3)
    assert rows["entropy"].iloc[0] == pytest.approx(1.106, abs=1e-3)
    sure.top = {"praise": -0.1, "refund": -3.0}  # of a word that begins like another label
    assert answered(of, say, model=sure)[0]["confidence"].isna().all()


WRONG = {  # what is wrong -> what of the recipe is other, and words of the message
    "nothing to say": ({"task": {"annotate": POOL}}, "write `classify` or `predict` beside it"),
    "conditions": ({"conditions": {"tone": ["a", "b"]}}, "rows are your own texts: leave it out"),
    "another step": ({"steps": {"text": "Label {{ item }}"}}, "leave `steps` out"),
    "a step of no text": (
        {"task": {"classify": CODEBOOK}, "steps": {"text": {"annotate": "answer"}}, "rows": 3},
        "task: {annotate: {file: texts.csv}}",
    ),
    "too many ways": ({"steps": {"text": {"annotate": "answer", "prompts": 8}}}, "a number from 1 to 7"),
    "logprobs twice": ({"steps": {"text": {"annotate": "logprobs", "samples": 2}}}, "is asked once"),
    "logprobs of a number": (
        {"task": {"annotate": POOL, "predict": {"number": "score"}}, "steps": LOGPROBS},
        "they are of labels: write `annotate: answer`",
    ),
    "calibrated words": (
        {"steps": {"text": {"annotate": "answer", "calibrate": True}}},
        "of `annotate: logprobs`",
    ),
    "one word for two": (
        {"task": {"annotate": POOL, "classify": {y: {"definition": y, "verbalizer": "w"} for y in NAMES}}},
        "have the same verbalizer",
    ),
    "a template of nothing": (
        {"steps": {"text": {"annotate": "answer", "prompts": ["{{ body }}"]}}},
        "unknown field in the prompt 'body'",
    ),
    "agreeing with itself": ({"filters": {"label_agreement": {}}}, "use the filter `annotators`"),
    "a column of the platform": (
        {"task": {"annotate": {**POOL, "fields": ["label"]}, "classify": CODEBOOK}},
        "label is",
    ),
    "shown, and not kept": (
        {"task": {"annotate": {**POOL, "shown": ["tickets"]}, "classify": CODEBOOK}},
        "Did you mean 'ticket'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_said_with_its_fix(folder: Path, name: str) -> None:
    changes, words = WRONG[name]
    with pytest.raises(UserError) as refused:
        chain.check(
            inline({"task": {"annotate": POOL, "classify": CODEBOOK}, "model": "a", **changes}, "wrong")
        )
    assert words in str(refused.value)


def test_what_is_a_seed_or_stands_there_twice_is_not_asked(folder: Path) -> None:
    """Texts and seeds may stand in one file."""
    write([*TEXTS, TEXTS[0]])
    lines = ["text,label", f"{TEXTS[3]},refund", f"{TEXTS[4]},bug"]
    Path("seeds.csv").write_text("\n".join(lines), encoding="utf-8")
    of = recipe(seeds={"file": "seeds.csv", "splits": {"test": 2}})
    rows, _ = answered(of, right)
    assert sorted(rows["text"]) == sorted({*TEXTS} - {TEXTS[3], TEXTS[4]})


def test_a_row_whose_answers_cannot_be_read_is_rejected_and_says_why(folder: Path) -> None:
    say = lambda prompt, *_: "no idea" if asked_of(prompt) == TEXTS[0] else right(prompt)  # noqa: E731
    rows, _ = answered(recipe(minimum_yield=0), say)
    (row,) = rows[~rows["accepted"]].to_dict("records")
    assert (row["reason"], row["text"]) == ("invalid", "no idea")
    assert "not one JSON object" in row["error"]


def test_fields_keep_their_types_and_only_the_rows_that_are_wanted_are_asked(folder: Path) -> None:
    lines = ["body,Ticket ID,stars,lang", "a bug,7,5,en", "ein bug,8,1,de", "a refund,,3,en"]
    Path("tickets.csv").write_text("\n".join(lines), encoding="utf-8")
    pool = {"file": "tickets.csv", "text": "body", "fields": {"Ticket ID": "text", "stars": "integer"}}
    rows, model = answered(recipe({"annotate": {**pool, "where": {"lang": "en"}, "shown": ["stars"]}}), right)
    found = rows.set_index("text")[["Ticket ID", "stars"]].to_dict("index")
    assert found == {"a bug": {"Ticket ID": "7", "stars": 5}, "a refund": {"Ticket ID": "", "stars": 3}}
    assert sorted(prompt.split("\n\n")[-1] for prompt in model.prompts) == [
        "Stars: 3\nTicket: a refund",
        "Stars: 5\nTicket: a bug",
    ]


def test_where_ways_to_ask_part_the_label_is_wrong_more_often(folder: Path) -> None:
    """CoAnnotating: agreement with the truth falls with the entropy of seven answers of a noisy annotator."""
    write([f"ticket {n} about a {NAMES[n % 3]}" for n in range(150)])
    noise = Random(1)

    def say(prompt: str, *_: Any) -> str:
        number, label = int(asked_of(prompt).split()[1]), asked_of(prompt).split()[-1]
        return json.dumps({"topic": noise.choice(NAMES) if noise.random() < number / 150 else label})

    rows, _ = answered(recipe(steps={"text": {"annotate": "answer", "prompts": 7}}), say)
    right_ = rows["label"] == rows["text"].str.split().str[-1]
    third = rows["entropy"].rank(pct=True) * 3
    low, middle, high = (right_[(third > n) & (third <= n + 1)].mean() for n in range(3))
    assert low > middle > high
    assert low > 0.95
