"""Stage `scores`: what depends on a row alone, scored once, whatever the thresholds are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from synth_assets.annotation import annotators
from synth_assets.contracts.filter import Context, Filter
from synth_assets.core import templates
from synth_assets.core.asking import Answer, Behind, LabelLogprobs, TokenLogprob
from synth_assets.core.records import records
from synth_assets.core.text.pairs import both
from synth_assets.recipe.recipe import Recipe
from synth_assets.stages.run import Run
from synth_assets.stages.stage import ANSWERED, Chart, Made, Stage, Table

JUDGING: dict[str, Any] = {"temperature": 0.0, "max_tokens": 256}
Heard = dict[str, list[str]]  # row id, or text, -> identities of the calls about it


def compute(run: Run, generations: Table, seeds: Table) -> Made:
    """Scores of each row by itself, whatever the thresholds."""
    rows = generations[generations["accepted"]].reset_index(drop=True)
    if run.engine(len(rows)):
        scored = {name: stays(f) for name, f in run.recipe.filters.items() if f.raw}
        run.say(shared_out(len(rows), scored))
    for name in run.recipe.filters:
        rows = measured(run, name, rows, seeds)
    numbers = [n for f in run.recipe.filters.values() for n, kind in f.raw.items() if kind == "double"]
    return Made(rows, {"histograms": Chart("panels", "rows by score", {n: rows[n] for n in numbers})})


def asks(run: Run, generations: Table, seeds: Table) -> None:
    """What the filters that ask a model would ask of the accepted rows."""
    accepted = generations[generations["accepted"].astype(bool)].reset_index(drop=True)
    for name, rule in run.recipe.filters.items():
        if rule.asks:
            run.sure_first(accepted, partial(measured, run, name, seeds=seeds))


def measured(run: Run, name: str, rows: Table, seeds: Table) -> Table:
    """The rows with the raw columns of one filter and, if it asks, the calls that it asked about each."""
    rule, heard = run.recipe.filters[name], Heard()
    looks = scoring(run, seeds, heard)
    if why := rule.lacks(looks):
        run.warn(f"filters.{name} is unknown: {why}")
        return rows.assign(**dict.fromkeys(rule.raw))
    read = rule.reads(rows, looks)
    rows = rows.assign(**_measure(run, rule, read, looks))
    if why := rule.untold(rows):
        run.warn(f"filters.{name} is unknown of some rows: {why}.")
    if not rule.asks:
        return rows
    keys = zip(read["row_id"], read["text"], strict=True)
    return rows.assign(**{f"{name}_calls": [[*heard.get(i, ()), *heard.get(t, ())] for i, t in keys]})


def _measure(run: Run, rule: Filter, rows: Table, looks: Context) -> dict[str, list[Any]]:
    """The raw columns of a filter; of many rows, on the workers of an engine."""
    engine = run.engine(len(rows)) if rule.raw and len(rows) and not stays(rule) else None
    if not engine:
        return rule.measure(rows, looks)
    plain = replace(looks, encode=None, annotate=None, ask=None)  # these do not leave this process
    size = -(-len(rows) // (4 * engine.workers))
    parts = [rows.iloc[at : at + size] for at in range(0, len(rows), size)]
    found = list(engine.map(partial(rule.measure, context=plain), parts, f"scores of {rule.name}"))
    return {name: [value for part in found for value in part[name]] for name in found[0]}


def stays(rule: Filter) -> str:
    """Why this process scores a filter, however many rows there are; empty where workers do."""
    if rule.asks:
        return "asks a model"
    if rule.encodes:
        return "reads vectors"
    return "" if rule.by_row or rule.by_workers else "looks at all rows"


def shared_out(rows: int, filters: Mapping[str, str]) -> str:
    """Who scores which filter of a large set, for people; of each why this process does, or nothing."""
    there = ", ".join(name for name, why in filters.items() if not why) or "none"
    here = ", ".join(f"{name} ({why})" for name, why in filters.items() if why) or "none"
    return f"filters of {rows:,} rows, on Ray: {there}; in this process: {here}"


def scoring(run: Run, seeds: Table, heard: Heard | None = None) -> Context:
    """What the scorers of a row look at. Their calls are noted in `heard`."""
    task, noted = run.recipe.task, Heard() if heard is None else heard
    pairs = both(seeds, task.pair)

    def annotate(
        texts: Sequence[str], model: str | None = None, k: int | None = None
    ) -> list[LabelLogprobs | None]:
        annotator = run.recipe.annotator
        shown = annotators.demonstrations(pairs, annotator.k if k is None else k, run.recipe.seed)
        asked, unread = _Noted(run.model(model), texts, noted), list[Answer]()
        found = annotators.label_logprobs(texts, shown, task, asked, annotator.max_tokens, unread)
        if 2 * len(unread) > len(texts):
            why = annotators.why_unread(unread, task.verbalizers())
            run.warn(f"{len(unread)} of {len(texts)} rows have no label of the annotator: {why}.")
        return found

    def ask(
        template: str,
        rows: Table,
        told: Mapping[str, str],
        model: str | None,
        max_tokens: int = JUDGING["max_tokens"],
    ) -> list[str | None]:
        common = {**task.fields(), **told}
        fields = ({**common, **task.of_label(row["label"]), **row} for row in records(rows))
        questions = (templates.chat(templates.render(template, row), "") for row in fields)
        asked = _Noted(run.model(model), list(rows["row_id"]), noted)
        answers = asked.complete(questions, {**JUDGING, "max_tokens": max_tokens}, ["judge"] * len(rows))
        return [answer.text if answer.outcome in ("ok", "truncated") else None for answer in answers]

    return Context(
        verbalizers=task.verbalizers(),
        demonstrations=list(pairs.loc[pairs["split"] == "demonstration", "text"]),
        held_out=list(pairs.loc[pairs["split"].isin(["validation", "test"]), "text"]),
        pair=task.pair,
        target=task.predict,
        encode=run.encode,
        no_encoder=run.no_encoder,
        annotate=annotate,
        ask=ask,
    )


def unread(run: Run, name: str, rows: Table) -> str:
    """Why rows of the round have no score of a filter that asks the annotator, and what helps; empty where
    that is not known. Read in the calls of the lake."""
    places = [{"used_by": "scores", "round": run.round, "cell": cell} for cell in sorted(run.recipe.cells)]
    places = [place for place in places if run.there("calls", place)]
    rule, column = run.recipe.filters[name], f"{name}_calls"
    if not (rule.asks and rule.of_labels and places and column in rows):
        return ""
    calls = run.read("calls", *places, columns=["call_id", "outcome", "text", "logprobs"])
    calls = calls[calls["call_id"].isin({call for of_row in rows[column] for call in of_row})]
    words, answers = run.recipe.task.verbalizers(), list[Answer]()
    for call in calls.drop_duplicates("call_id").itertuples():
        said = call.logprobs if isinstance(call.logprobs, str) else "[]"  # NaN, where no call has any
        tokens = [TokenLogprob(*token) for token in json.loads(said)]
        answer = Answer(call.call_id, call.outcome, call.text, logprobs=tokens)
        answers += [answer] if annotators.read(answer, words) is None else []
    return annotators.why_unread(answers, words)


@dataclass
class _Noted(Behind):
    """A model whose calls are noted under what each is about."""

    about: Sequence[str]
    heard: Heard

    def complete(self, *asked: Any, **named: Any) -> Iterator[Answer]:
        for about, answer in zip(self.about, self.model.complete(*asked, **named), strict=True):
            self.heard.setdefault(about, []).append(answer.identity)
            yield answer


def stage(recipe: Recipe) -> Stage:
    """The stage of a recipe."""
    return Stage(
        "scores",
        compute,
        reads=["generations", "seeds"],
        sections=["labels", "scorers", "annotator", "seed"],
        checks=ANSWERED,
        asks=asks,
        model=recipe.annotator_model,
        pays=any(rule.asks for rule in recipe.filters.values()),
    )
