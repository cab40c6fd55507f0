"""What the sections of a recipe need of each other: checks that raise ValueError, or ValidationError."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from synth_assets.contracts.provider import Listed, Provider
from synth_assets.contracts.section import as_wrong, one_of, wrong
from synth_assets.core import templates
from synth_assets.core.errors import unknown
from synth_assets.core.registry import made_of
from synth_assets.recipe.columns import OF_ROWS
from synth_assets.recipe.sections import GOLD

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

NO_CELL = re.compile(r"[|,\[\]\"'\n]|\.\.\.")  # what cannot stand in a partition's name


def _check_template(template: str, known: Iterable[str], *where: str) -> None:
    with as_wrong(*where):
        templates.check(template, dict.fromkeys(known), "its template")


def labels(recipe: Recipe) -> None:
    """Labels that other sections name are labels of the task."""
    labels = set(recipe.task.classify)
    named = [(f"seeds.label_values.{value}", label) for value, label in recipe.seeds.label_values.items()]
    for place, label in (*named, *(("metrics.word_list", label) for label in recipe.metrics.word_list)):
        if label not in labels:
            raise ValueError(str(unknown("label", label, labels, place)))
    for label in filter(NO_CELL.search, labels):
        raise ValueError(f"label {label!r} names a partition: leave out | , [ ] quotes and ...")
    for way in (recipe.weights, recipe.labelled):
        for needed, written in way.needs.items():
            if needed not in recipe.filters:
                add = f"add `{needed}: {written}` to filters"
                raise ValueError(f"{way.place} needs that filter: {add}")
    if recipe.weights.labelled_by and recipe.labelled.by not in recipe.weights.labelled_by:
        why = f"{recipe.labelled.place} gives other confidences: weigh by `confidence` or `none`"
        raise wrong(why, "weights", "by")
    gold = any(recipe.seeds.splits.get(split) for split in GOLD)
    if recipe.weights.needs_gold and not gold:
        raise wrong(f"it needs seeds in the split {' or '.join(GOLD)}", "weights", "by")


def without_labels(recipe: Recipe) -> None:
    """What rests on labels needs some; what cuts a round is one thing."""
    if recipe.labels:
        if recipe.cell or recipe.shards > 1:
            raise wrong("the labels cut a round: leave it out", "cell" if recipe.cell else "shards")
        return
    resting = {
        "conditions": "label" in recipe.conditions,
        "filters": any(rule.of_labels for rule in recipe.filters.values()),
        "labelled": recipe.labelled.by != "condition" or recipe.labelled.human is not None,
        "metrics": bool(recipe.metrics.model_alone or recipe.metrics.word_list),
        "weights": recipe.weights.needs_labels,
    }
    for section, rests in resting.items():
        if rests:
            raise wrong("this rests on labels: write them as `task.classify`", section)
    if recipe.cell:
        listed = [name for name, values in recipe.attributes.items() if isinstance(values, dict)]
        one_of("attribute with listed values", recipe.cell, listed, "cell")
        for name in filter(NO_CELL.search, recipe.cells):
            raise wrong(f"{name!r} names a partition: leave out | , [ ] quotes and ...", "cell")


def values_above(recipe: Recipe) -> None:
    """A condition may depend on those written above it, and on the label."""
    above = ["label", "definition", "verbalizer", *recipe.task.fields()]
    for name, values in recipe.attributes.items():
        if isinstance(values, Provider):
            _check_provider(recipe, name, values, above)
        above.append(name)


def _check_provider(recipe: Recipe, name: str, values: Provider, above: list[str]) -> None:
    for template in values.templates():
        _check_template(template, [*above, *values.knows], "conditions", name)
    if (other := values.rests_on()) is not None:
        one_of("condition", other, above, "conditions", name)
    listed = [a for a in above if isinstance(recipe.attributes.get(a), dict)]
    for other in (values.named if isinstance(values, Listed) else set()) - {"label"}:
        one_of("condition with listed values", other, listed, "conditions", name)


def chain(recipe: Recipe) -> None:
    """What a step may be called, where it may stand, and what it needs around it."""
    for name in set(recipe.steps) & set(recipe.attributes):
        raise wrong("a condition has the same name: choose another one", "steps", name)
    sampled = [name for name, step in recipe.steps.items() if step.per_question > 1]
    if len(sampled) > 1:
        why = f"one step is where rows part that share a question: write it here or at {sampled[0]}"
        raise wrong(why, "steps", sampled[1], "samples")
    for name, step in recipe.steps.items():
        step.check(recipe, name)


def filter_names(recipe: Recipe) -> None:
    """Scores become columns of their row, beside those that are there."""
    columns = {name: [*rule.raw, *rule.columns] for name, rule in recipe.filters.items()}
    for name, rule in recipe.filters.items():
        taken = {c: f"the filter {n}" for n, others in columns.items() if n != name for c in others}
        taken |= dict.fromkeys(recipe.attributes, "the conditions")
        if rule.renamed or made_of(type(rule)):
            taken |= dict.fromkeys([*OF_ROWS, *recipe.row_columns], "the row")
            taken |= dict.fromkeys(rule.renamed, "this kind of filter")
        for column in columns[name]:
            if column in taken:
                why = f"{column} is a column of {taken[column]}: choose another name"
                raise wrong(why, "filters", name)


def output_names(recipe: Recipe) -> None:
    """Fields of an answer become columns of its row, beside those that are there."""
    taken = dict.fromkeys(OF_ROWS, "the platform")
    for name, rule in recipe.filters.items():
        taken |= dict.fromkeys([*rule.raw, *rule.columns], f"the filter {name}")
    taken |= dict.fromkeys(recipe.attributes, "the conditions")
    for step, spec in recipe.steps.items():
        for name in spec.columns_of(recipe):
            if name in taken:
                why = f"{name} is a column of {taken[name]}: choose another name"
                raise wrong(why, "steps", step, spec.columns_in, name)


def filter_columns(recipe: Recipe) -> None:
    """Columns that a filter reads are conditions or fields of the last step, of a type that it reads."""
    columns = recipe.row_columns
    told = {*recipe.task.fields(), *columns, *(("definition", "verbalizer") if recipe.labels else ())}
    known = [name for name, kind in columns.items() if kind == "string"]
    if recipe.metrics.evidence is not None:
        one_of("column", recipe.metrics.evidence, known, "metrics", "evidence")
    if recipe.metrics.judge:
        _check_template(recipe.metrics.judge.question, sorted(told), "metrics", "judge", "question")
    for name, rule in recipe.filters.items():
        for template, more in rule.templates().items():
            _check_template(template, [*sorted(told), *more], "filters", name)
        for column, types in rule.columns_needed().items():
            fitting = [c for c, kind in columns.items() if kind in types]
            one_of(f"column ({' or '.join(sorted(types))})", column, fitting, "filters", name)


def answers(recipe: Recipe) -> None:
    """What is held against the truth, and what a model answers that is shown rows."""
    for column, truth in recipe.metrics.truth.items():
        for name in (column, truth.column):
            one_of("column", name, recipe.row_columns, "metrics", "truth", column)
    if (wanted := recipe.metrics.in_context) is None:
        return
    place, shown = ("metrics", "in_context"), recipe.shown_fields
    one_of("field of seeds and rows", wanted.answer, shown, *place, "answer")
    if not recipe.seeds.splits.get("test"):
        raise wrong("it needs seeds in the split test", *place)
    blank = dict.fromkeys(shown, "")
    told = {**recipe.task.fields(), **blank, "demonstrations": [blank]}
    told.pop(wanted.answer)
    field = "complete" if wanted.prompt is None else "prompt"
    _check_template(wanted.template, told, *place, field)
    with as_wrong(*place, field):
        templates.render(wanted.template, told)


CHECKS = (labels, without_labels, values_above, chain, filter_names, output_names, filter_columns, answers)
