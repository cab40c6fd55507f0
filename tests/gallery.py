"""Runs a recipe of the gallery with a scripted model, without Dagster: what is asked, what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from synth_assets.cli import main
from synth_assets.contracts.provider import Around
from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import TokenLogprob
from synth_assets.curation.filters.students import OfStudents
from synth_assets.curation.keep import keep
from synth_assets.generation.conditions.asking import answers, questions
from synth_assets.generation.conditions.table import design, of_texts
from synth_assets.generation.steps import chain
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.sandbox import tools
from synth_assets.stages.run import Run
from synth_assets.stages.scores import scoring
from synth_assets.stages.seeds import seed_rows
from synth_assets.stages.texts import texts_of
from synth_assets.students import LEAST

ROUND = "2026-11-22"
Answer = str | Mapping[str, Any]
Say = Callable[[str, "Schema | None", Mapping[str, Any]], str]  # prompt, schema, sampling -> answer


@dataclass(frozen=True)
class Said:
    text: str | None
    identity: str
    outcome: str = "ok"
    logprobs: Any = None
    prompt_tokens: int | None = 5
    completion_tokens: int | None = 7
    error: str | None = None


@dataclass
class Model:
    """Answers each prompt as `say` does; `prompts` are what it was asked, the messages of one as one text.

    Where log-probabilities are wanted, a whole answer is one token, as likely as `sure` says.
    """

    say: Say
    sure: Callable[[str], float] = lambda answer: -1.0
    api: str = "chat"
    name: str = "scripted"
    prompts: list[str] = field(default_factory=list)

    def complete(
        self,
        messages: Iterable[Any],
        sampling: Mapping[str, Any],
        replicates: Iterable[str],
        schema: Schema | None = None,
    ) -> Iterator[Said]:
        for message, replicate in zip(messages, replicates, strict=True):
            prompt = "\n".join(part["content"] for part in message)
            self.prompts.append(prompt)
            text, identity = self.say(prompt, schema, sampling), f"call {len(self.prompts)} {replicate}"
            tokens = [TokenLogprob(text, self.sure(text), {})] if sampling.get("logprobs") else None
            yield Said(text, identity, logprobs=tokens)


@dataclass
class Asks(Run):
    """A run whose only model is the scripted one."""

    model_of: Any = None

    def model(self, spec: Any = None, what: str = "", lines: int = 0) -> Any:
        return self.model_of


@dataclass
class Made:
    """What became of one round of a recipe."""

    recipe: Recipe
    model: Model
    listed: dict[tuple[str, str], list[str]]  # attribute, given -> values that the model listed
    conditions: pd.DataFrame
    steps: dict[str, pd.DataFrame]  # stage -> its rows
    kept: pd.DataFrame
    rejected: pd.DataFrame

    @property
    def generations(self) -> pd.DataFrame:
        return self.steps["generations"]


def recipe_like(system: str) -> Recipe:
    """`synth new like_SYSTEM --like SYSTEM` in the working directory."""
    name = f"like_{system}"
    assert main(["new", name, "--like", system]) == 0
    from synth_assets.resources.home import recipes

    return load(recipes() / f"{name}.yaml")


def make(
    system: str,
    say: Say,
    rows: int = 4,
    round_: str = ROUND,
    earlier: pd.DataFrame | None = None,
    encode: Callable[..., Any] | None = None,
    annotate: Callable[..., Any] | None = None,
    sure: Callable[[str], float] = lambda answer: -1.0,
    signals: Mapping[str, Mapping[str, float]] | None = None,
    **changes: Any,
) -> Made:
    """One round of all cells, `rows` a cell. `earlier`: rows that rounds before kept; `signals`: what the
    last one said of rows, by their ids.

    Filters that need a student are left out where there are too few rows to teach one.
    """
    recipe = recipe_like(system).model_copy(update={"rows": rows, **changes})
    model, seeds = Model(say, sure), seed_rows(recipe)
    listed = {(name, given): answers(name, s, given, q, model) for name, s, given, q in questions(recipe)}
    tables = {"seeds": seeds} | ({} if earlier is None else {"kept": earlier})
    may_show = pd.concat(tables.values(), ignore_index=True)
    before, told = [] if recipe.remember else None, signals or {}
    around = Around(
        tables,
        encode,
        lambda name, given: listed.get((name, given), ()),
        before,
        signals=lambda name: told.get(name, {}),
    )
    chain.check(recipe)
    if recipe.task.annotate:
        texts = texts_of(recipe, seeds).rows.head(rows)
        by_cell = [of_texts(recipe, texts, round_=round_, cell=recipe.cells[0], around=around)]
    else:
        by_cell = [
            design(recipe, seeds, round_=round_, cell=cell, rows=rows, around=around) for cell in recipe.cells
        ]
    steps: dict[str, list[pd.DataFrame]] = {stage: [] for stage in recipe.step_stages}
    for conditions in by_cell:
        before: dict[str, pd.DataFrame] = {}
        for stage in recipe.step_stages:
            before[stage] = chain.run(recipe, stage, conditions, may_show, model, before, tools.run, model)
            steps[stage].append(before[stage])
    made = {stage: pd.concat(tables, ignore_index=True) for stage, tables in steps.items()}
    accepted = made["generations"][made["generations"]["accepted"].astype(bool)].reset_index(drop=True)
    encoder = SimpleNamespace(encode=encode, folder=Path)
    context = replace(
        scoring(Asks(recipe, lake=None, encoder=encoder, model_of=model), seeds),
        earlier=[] if earlier is None else list(earlier["text"]),
        annotate=annotate,
    )
    filters = [f for f in recipe.filters.values() if rows >= LEAST or not isinstance(f, OfStudents)]
    for rule in filters:
        accepted = accepted.assign(**rule.measure(accepted, context))
    kept, rejected = keep(accepted, filters, context)
    return Made(recipe, model, listed, pd.concat(by_cell, ignore_index=True), made, kept, rejected)


def script(rules: Mapping[str, Answer | Callable[[str], Answer]]) -> Say:
    """Answers a prompt by the first rule whose words stand in it."""

    def say(prompt: str, *_: Any) -> str:
        rule = next(answer for words, answer in rules.items() if words in prompt)
        answer = rule(prompt) if callable(rule) else rule
        return answer if isinstance(answer, str) else json.dumps(answer)

    return say


def turns(*answers: Answer) -> Callable[[str], Answer]:
    """One after the other, from the start again at the end."""
    calls = iter(range(10**6))
    return lambda _: answers[next(calls) % len(answers)]
