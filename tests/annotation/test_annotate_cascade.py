"""`task: annotate` with `acquire` and `cascade`: which texts a round takes, and whom it asks about each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from synth_assets.core.asking import Answer, TokenLogprob
from synth_assets.planning.bounds import Bounds
from synth_assets.planning.estimates import Line
from synth_assets.planning.foreseen import Planned
from synth_assets.planning.plan import sums
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.sandbox import tools
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.stages import conditions, tables
from synth_assets.stages.generations import stage
from synth_assets.stages.seeds import seed_rows
from tests.annotation.test_annotate import NAMES, Encoder, answered, asked_of, recipe, right, write
from tests.annotation.test_annotate import folder as folder
from tests.gallery import Asks, Model, Said
from tests.through import through

ROUNDS = ("2026-11-22", "2026-11-23", "2026-11-24")
MODELS = "a: {name: cheap, base_url: http://127.0.0.1:1}\nb: {name: dear, base_url: http://127.0.0.1:1}\n"


def of_file(**acquire: Any) -> dict[str, Any]:
    return {"annotate": {"file": "tickets.csv", "text": "body", "acquire": acquire}}


@pytest.mark.parametrize("by", ["random", "fast_vote_k", "k_means", "facility_location"])
def test_rounds_walk_over_the_texts_and_none_comes_twice(folder: Path, by: str) -> None:
    texts = [f"ticket {n} about a {NAMES[n % 3]}" for n in range(14)]
    write(texts)
    of = recipe(of_file(by=by), rows=5)
    rounds = [answered(of, right, day)[0] for day in ROUNDS]
    assert [len(rows) for rows in rounds] == [5, 5, 4]
    assert sorted(text for rows in rounds for text in rows["item"]) == sorted(texts)
    again, _ = answered(recipe(of_file(by="margin"), rows=5), right, ROUNDS[1])
    assert list(again["row_id"]) == list(rounds[1]["row_id"])  # a round keeps what it has


def test_the_second_round_takes_the_texts_of_which_a_student_of_the_first_is_least_sure(folder: Path) -> None:
    clear = [f"{n} {word} {word} {word} {NAMES[n % 3]}" for n, word in enumerate(["cat", "dog", "owl"] * 6)]
    mixed = [f"{n} cat dog owl {NAMES[n % 3]}" for n in range(40, 43)]
    write([*clear, *mixed])
    of = recipe(of_file(by="entropy"), rows=9)
    first = through(of, right, folder, ROUNDS[0]).rows("conditions")
    second = through(of, right, folder, ROUNDS[1]).rows("conditions")
    left = {text for text in mixed if text not in set(first["item"])}
    assert left <= set(second["item"])


class Two(Asks):
    """A run with a cheap model, and the dear one of the cascade."""

    dear: Any = None

    def model(self, spec: Any = None, what: str = "", lines: int = 0) -> Any:
        return self.dear if what == "cascade" else self.model_of


class Unsure(Model):
    """Says how sure it is of a word: the less, the higher the number of the ticket."""

    def complete(self, messages: Any, sampling: Any, replicates: Any, schema: Any = None) -> Any:
        questions = list(messages)
        answers = super().complete(questions, {}, replicates, schema)
        for question, said in zip(questions, answers, strict=True):
            p = -0.001 * (1 + int(asked_of(question[-1]["content"]).split()[1]))
            yield Said(said.text, said.identity, logprobs=[TokenLogprob(said.text, p, top(said.text, p))])


def top(word: str, p: float) -> dict[str, float]:
    return {word: p} | {name: -9.0 for name in NAMES if name != word}


def wrong_from(n: int) -> Any:
    """Who is right of the tickets before the `n`th alone."""

    def say(prompt: str, *_: Any) -> str:
        number, label = int(asked_of(prompt).split()[1]), asked_of(prompt).split()[-1]
        return label if number < n else NAMES[NAMES.index(label) - 1]

    return say


def cascade(target: float = 0.95) -> Recipe:
    write([f"ticket {n} about a {NAMES[n % 3]}" for n in range(200)])
    Path("models.yaml").write_text(MODELS, encoding="utf-8")
    step = {"annotate": "logprobs", "cascade": {"model": "b", "target": target}}
    return recipe({"annotate": {"file": "tickets.csv", "text": "body"}}, steps={"text": step})


def made(of: Recipe, cheap: Model, dear: Model) -> Any:
    run = Two(of, FolderLake(Path("lake")), Encoder, ROUNDS[0], "1", tools=tools.run, model_of=cheap)  # type: ignore
    run.dear = dear
    run.lake.write(of.name, "seeds", {}, tables.to_arrow(of, "seeds", seed_rows(of)))
    rows = conditions.compute(run, run.read("seeds")).rows
    found = stage(of, "text").compute(run, rows)
    tables.to_arrow(of, "generations", found.rows)
    return found


def test_the_dear_model_is_asked_where_the_cheap_one_is_not_sure_and_about_some_others(folder: Path) -> None:
    cheap, dear = Unsure(wrong_from(150), name="cheap"), Model(wrong_from(999), name="dear")
    found = made(cascade(), cheap, dear)
    rows = found.rows
    wrong = sum(text.split()[-1] != label for text, label in zip(rows["text"], rows["label"], strict=True))
    assert wrong <= 10  # of 200: the target is .95
    by = Counter(rows["annotator"])
    assert by["dear"] == len(dear.prompts) == len(set(dear.prompts))
    assert 50 <= by["dear"] < 150  # a quarter is wrong
    assert Counter(rows["model"]) == by
    assert rows["cheap_answer"].notna().all()
    calls = {len(each) for each in rows.loc[rows["annotator"] == "dear", "answer_calls"]}
    assert calls == {2}  # both models' are known
    sentence = found.numbers["cascade"]
    assert f"asked about {by['dear']} of 200 texts" in sentence


def test_who_wants_more_asks_about_more_texts_and_about_the_same_ones(folder: Path) -> None:
    asked = [Model(wrong_from(999)) for _ in range(2)]
    for target, dear in zip((0.8, 0.95), asked, strict=True):
        made(cascade(target), Unsure(wrong_from(150)), dear)
    assert {*asked[0].prompts} < {*asked[1].prompts}


def test_whose_answers_are_all_wrong_is_asked_in_vain_and_the_dear_model_about_all(folder: Path) -> None:
    dear = Model(wrong_from(999))
    rows = made(cascade(), Unsure(wrong_from(0)), dear).rows
    assert len(dear.prompts) == 200
    assert set(rows["annotator"]) == {"dear"}


def test_of_what_nobody_knows_how_sure_it_is_nothing_is_taken(folder: Path) -> None:
    dear = Model(wrong_from(999))
    assert set(made(cascade(), Model(wrong_from(999)), dear).rows["annotator"]) == {"dear"}


class Failing(Model):
    """Answers nothing."""

    outcome = "provider_error"

    def complete(self, messages: Any, sampling: Any, replicates: Any, schema: Any = None) -> Any:
        for said in super().complete(messages, {}, replicates, schema):
            yield Answer(said.identity, self.outcome, error="nobody is there")


def test_a_dear_answer_that_failed_agrees_with_nothing_and_is_seen(folder: Path) -> None:
    rows = made(cascade(), Unsure(wrong_from(999)), Failing(wrong_from(999))).rows
    assert set(rows["reason"]) == {"provider_error"}


def test_a_budget_that_ends_among_the_cheap_calls_pays_no_dear_ones(folder: Path) -> None:
    cheap, dear = Failing(wrong_from(999)), Model(wrong_from(999))
    cheap.outcome = "over_budget"
    rows = made(cascade(), cheap, dear).rows
    assert (set(rows["reason"]), dear.prompts) == ({"over_budget"}, [])


def planned(of: Recipe, log: CallLog) -> dict[str, tuple[int, int, int]]:
    """What for -> calls at the most, at the fewest, and answered by the log."""
    run = Planned(of, FolderLake(Path("lake")), Encoder, ROUNDS[0], "1", log=log, bounds=Bounds(), own="a")  # type: ignore
    run.made = {("seeds", ""): seed_rows(of)}
    rows = conditions.compute(run, seed_rows(of)).rows
    asks = stage(of, "text").asks
    assert asks
    asks(run, conditions=rows)
    return {what: (m.calls, m.calls - m.maybe, m.from_log) for (what, _), m in run.asked.items()}


def test_a_plan_says_between_which_numbers_the_calls_of_the_dear_model_are(folder: Path) -> None:
    of = cascade()
    found = planned(of, CallLog(folder / "calls.sqlite"))
    assert found[""] == (200, 200, 0)
    most, fewest, _ = found["cascade"]
    assert most == 200
    assert 20 < fewest < 100


def test_the_plan_is_printed_with_both_numbers() -> None:
    lines = [Line("generations", "1", "new", calls=300, fewest=87), Line("scores", "1", "new")]
    assert "87-300 calls to make" in "\n".join(sums(lines))


def test_the_lower_the_target_the_less_is_asked(folder: Path) -> None:
    log = CallLog(folder / "calls.sqlite")
    fewest = [planned(cascade(target), log)["cascade"][1] for target in (0.99, 0.95, 0.8)]
    assert fewest == sorted(fewest, reverse=True)
    assert len(set(fewest)) == 3


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"steps": {"text": {"annotate": "answer", "cascade": {"model": "b"}}}},
            "nobody knows how sure it is",
        ),
        (
            {"steps": {"text": {"annotate": "logprobs", "cascade": {"model": "b"}}}, "shards": 2},
            "whole round",
        ),
        (
            {"steps": {"text": {"annotate": "logprobs", "cascade": {"model": "b"}}}, "mode": "batch"},
            "in turns",
        ),
        ({"task": of_file(by="entropy")}, "write `rows`"),
        ({"task": of_file(by="entropi"), "rows": 5}, "Did you mean 'entropy'"),
        (
            {"task": {**of_file(), "predict": {"number": "score"}, "classify": {}}, "rows": 5},
            "its student learns labels",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(folder: Path, more: dict[str, Any], why: str) -> None:
    with pytest.raises(Exception, match=why):
        recipe(more.pop("task", None), **more)
