"""What a model measures for the stage `metrics`: it answers test rows, shown rows of each set, looks facts
up, and compares the rows of two rounds. Of rows that are not there yet, it says how many calls it may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synth_assets.annotation import people
from synth_assets.core import templates
from synth_assets.core.asking import Message
from synth_assets.evaluation import in_context, judging
from synth_assets.evaluation import round as of_round
from synth_assets.evaluation.facts import atomic_facts, supported
from synth_assets.evaluation.preference import route
from synth_assets.generation.conditions.knowledge import retrieve
from synth_assets.generation.steps.prompt import parsed
from synth_assets.recipe.measuring import InContext, Judged
from synth_assets.recipe.recipe import Recipe
from synth_assets.selection.select import ranked
from synth_assets.stages.run import Run, passes
from synth_assets.stages.stage import Table, short

SETS = ("seeds", "generations", "filtered")  # whose rows a model is shown
ANSWERED = ("ok", "truncated", "refused")  # a text that was cut may hold the answer; a refusal is wrong
SHOWN = 5  # pairs, to people
Pairs = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]  # a row of this round, and one of the last


def in_context_rows(run: Run, sets: Mapping[str, Table], seeds: Table) -> Table:
    """Metric rows of what the model answers with the rows of each set, and with none."""
    wanted = run.recipe.metrics.in_context
    assert wanted
    test = test_rows(run.recipe, wanted, seeds)
    gold = [in_context.right(wanted.by, value) for value in test[wanted.answer]]
    said = _answers(run, wanted, sets, test)
    return in_context.taught(wanted.by, said, gold, passes)


def ask_in_context(run: Run, now: Mapping[str, Table | None], seeds: Table) -> None:
    """The same questions, with these rows of this round and those of the rounds before."""
    import pandas as pd

    wanted = run.recipe.metrics.in_context
    assert wanted
    test = test_rows(run.recipe, wanted, seeds)
    sets = {"seeds": seeds[seeds["split"] == "demonstration"]}
    for name, rows in now.items():
        if rows is None:
            run.expect(run.model(wanted.model, "in context"), len(test))
            continue
        so_far = pd.concat([run.before(name), rows], ignore_index=True)
        sets[name] = so_far[so_far["accepted"]] if "accepted" in so_far else so_far
    _answers(run, wanted, sets, test)


def test_rows(recipe: Recipe, wanted: InContext, seeds: Table) -> Table:
    """The real rows that are asked: `wanted.rows` of those of which it is known what is right."""
    test = seeds[(seeds["split"] == "test") & seeds[wanted.answer].notna()]
    drawn = ranked(test["row_id"], recipe.seed, "in context")[: wanted.rows]
    return test[test["row_id"].isin(drawn)].reset_index(drop=True)


def _answers(
    run: Run, wanted: InContext, sets: Mapping[str, Table], test: Table
) -> dict[str, list[str | None]]:
    """Set -> an answer a test row, None where the model gave none."""
    recipe, model = run.recipe, run.model(wanted.model, "in context")
    one_line, nothing = "\n" in wanted.stop, list[dict[str, Any]]()
    shown = {"no rows": [nothing] * len(test)}
    for name in SETS:
        rows = sets.get(name, test[:0])
        rows = rows.loc[rows[wanted.answer].notna(), ["row_id", *recipe.shown_fields]]
        if len(rows):
            shown[name] = in_context.shown(rows, len(test), wanted.k, recipe.seed)
    found = {}
    for name, rows in shown.items():
        questions = list(_questions(recipe, wanted, test, rows, model.api))
        answers = model.complete(questions, wanted.sampling(), ["in context"] * len(questions))
        found[name] = [
            parsed(answer, None, one_line)["text"] or "" if answer.outcome in ANSWERED else None
            for answer in answers
        ]
    return found


def _questions(
    recipe: Recipe, wanted: InContext, test: Table, shown: Sequence[Any], api: str
) -> Iterator[Sequence[Message]]:
    """A prompt a test row. All that it may say of the row itself is not the answer."""
    fields = [name for name in recipe.shown_fields if name != wanted.answer]
    for row, demonstrations in zip(test[fields].to_dict("records"), shown, strict=True):
        told = {**recipe.task.fields(), **row, "demonstrations": demonstrations}
        text = templates.render(wanted.template, told)
        under_role = wanted.prompt is not None
        yield templates.chat(text, recipe.task.role) if under_role else templates.completion(text, api)


def verdicts_on_facts(run: Run, kept: Table | None) -> list[list[bool | None]]:
    """Of the facts of some kept rows, whether passages support them. A row without an answer is left out."""
    recipe, wanted = run.recipe, run.recipe.metrics.facts
    assert wanted
    model = run.model(wanted.model, "facts", lines=wanted.k)
    if kept is None:
        run.expect(model, (1 + wanted.k) * min(wanted.rows, recipe.rows * len(recipe.cells)))
        return []
    drawn = ranked(kept["row_id"], recipe.seed, "facts")[: wanted.rows]
    listed = atomic_facts(list(kept.loc[kept["row_id"].isin(drawn), "text"]), model)
    known = [facts for facts in listed if facts is not None]
    return supported(known, lambda fact: retrieve(wanted.file, fact, wanted.passages), model)


def judged(run: Run, pairs: Pairs | None) -> list[judging.Verdict]:
    """A verdict a pair: a question, and the rows as its answers."""
    wanted, task = run.recipe.metrics.judge, run.recipe.task
    assert wanted
    model = run.model(wanted.model, "judge")
    if pairs is None:
        run.expect(model, 2 * min(wanted.rows, run.recipe.rows * len(run.recipe.cells)))
        return []
    told = [{**task.fields(), **task.of_label(new["label"]), **new} for new, _ in pairs]
    asked = [templates.render(wanted.question, fields) for fields in told]
    shown = [judging.Pair(q, new["text"], old["text"]) for q, (new, old) in zip(asked, pairs, strict=True)]
    return judging.judge_pairs(shown, model)


def preference(wanted: Judged, pairs: Pairs, verdicts: Sequence[judging.Verdict], round_: str) -> Table:
    """Metric rows of the verdicts against the round `round_`, beside those of people if there are any."""
    if wanted.people is None:
        return of_round.preference(verdicts, round_)
    said = people.read_verdicts(wanted.people)
    by_people = [said.get((new["row_id"], old["row_id"])) for new, old in pairs]
    return of_round.preference(verdicts, round_, by_people)


def doubted(pairs: Pairs, verdicts: Sequence[judging.Verdict]) -> list[str]:
    """Lines of a table of the pairs of which the judge is not sure, for people, the least sure first."""
    _, places = route([v.confidence for v in verdicts], at_least=1)
    shown = [pairs[i] for i in places[:SHOWN]]
    return [f"| {short(new['text'])} | {short(old['text'])} |" for new, old in shown]
