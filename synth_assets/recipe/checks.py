"""What the sections of a recipe need of each other. Each check yields what is wrong, as a ValueError."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.provider import Listed, Provider
from synth_assets.contracts.section import as_wrong, one_of, wrong
from synth_assets.contracts.weighing import MixedIn
from synth_assets.core import templates
from synth_assets.core.registry import made_of
from synth_assets.recipe import review
from synth_assets.recipe.accepted import accepted
from synth_assets.recipe.annotate import annotated
from synth_assets.recipe.columns import OF_ROWS, RESERVED
from synth_assets.recipe.remembering import remembering
from synth_assets.recipe.rounds import ends
from synth_assets.recipe.sections import GOLD
from synth_assets.recipe.skipping import skipping
from synth_assets.recipe.steering import score_columns, steering

if TYPE_CHECKING:
    from synth_assets.contracts.step import StepBase
    from synth_assets.recipe.recipe import Recipe

NO_VALUE = ("null", "__hive_default_partition__")  # of a partition, to who reads folders as columns
NO_CELL = re.compile(r"[|,\[\]\"'\n]|\.\.\.")  # what cannot stand in a partition's name


def tried(check: Callable[..., Any], *given: Any) -> Iterator[ValueError]:
    """What a check yields or raises. Of a part of a recipe, what rests on a section that is not there is not
    checked."""
    try:
        yield from check(*given) or ()
    except ValueError as error:
        yield error
    except AttributeError as error:
        missing = error.obj is given[0] and error.name in getattr(type(error.obj), "model_fields", ())
        if not missing:
            raise


def _template(template: str, known: Iterable[str], *where: str) -> None:
    with as_wrong(*where):
        templates.check(template, dict.fromkeys(known), "its template")


Wrong = Iterator[ValueError]


def labels(recipe: Recipe) -> Wrong:
    """Labels that other sections name are labels of the task, and can stand in the name of a partition."""
    labels = set(recipe.task.classify)
    for label in filter(NO_CELL.search, recipe.task.classify if recipe.of_labels else ()):
        yield ValueError(f"label {label!r} names a partition: leave out | , [ ] quotes and ...")
    for why in _same_in_sql("label", recipe.task.classify):
        fix = "write another name, map it with seeds.label_values, and let prompts say the old (verbalizer)"
        yield wrong(f"{why}: {fix}", "task", "classify")
    for value, label in recipe.seeds.label_values.items():
        yield from tried(one_of, "label", label, labels, "seeds", "label_values", value)


def _same_in_sql(what: str, names: Iterable[str]) -> Iterator[str]:
    """What SQL cannot tell apart: names of folders that mean no value there, names that differ in case."""
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in NO_VALUE:
            yield f"{what} {name!r} means that there is no value, to SQL"
        elif (other := seen.setdefault(name.casefold(), name)) != name:
            yield f"{what} {name!r} and {other!r} are one name to SQL, which leaves out case"


def fields_of_seeds(recipe: Recipe) -> Wrong:
    """Further columns of the seeds stand beside those that every seed has."""
    spec, found = recipe.seeds, []
    if (spec.file or "").startswith(f"stage://{recipe.name}/"):
        why = "a recipe cannot have its own rows as seeds: name a stage of another one"
        yield wrong(why, "seeds", "file")
    same = {"text": spec.text} | ({"label": spec.label} if recipe.labels and not spec.label_values else {})
    taken = {"row_id", "split", "text", *(["label"] if recipe.labels else [])}
    for name in spec.fields:
        if name.casefold() in taken and same.get(name) != name:
            why = f"{name} is a column that every seed has: give that column of yours another name"
            yield wrong(why, "seeds", "fields")
        else:
            found.append(name)
    for why in _same_in_sql("field", found):
        yield wrong(f"{why}: give the column another name", "seeds", "fields")


def pair(recipe: Recipe) -> Wrong:
    """The other text of a pair is a column of the rows, and of the seeds."""
    if (name := recipe.task.pair) is None:
        return
    texts = [c for c, kind in recipe.row_columns.items() if kind == "string" and c not in ("text", "label")]
    yield from tried(one_of, "column of texts", name, texts, "task", "pair")
    if recipe.seeds.origin and recipe.seeds.columns.get(name) != "string":
        yield wrong(f"the seeds need it, too: add {name} to seeds.fields, as text", "task", "pair")


def predict(recipe: Recipe) -> Wrong:
    """What is learned stands in columns of the rows and of the seeds, and a student can learn it."""
    if (target := recipe.task.predict) is None:
        for name in (name for name, rule in recipe.filters.items() if rule.of_target):
            yield wrong("it reads what `task.predict` names: write that, or leave it out", "filters", name)
        return
    if recipe.labels:
        yield wrong("a row has a label, or this: leave out `classify` or `predict`", "task", "predict")
    seeds = recipe.seeds.columns
    for column in target.columns:
        of_rows = [c for c, kind in recipe.row_columns.items() if kind in target.types and c != "text"]
        what = f"column ({' or '.join(target.types)})"
        yield from tried(one_of, what, column, of_rows, "task", "predict", target.word)
        if recipe.seeds.origin and seeds.get(column) not in target.types:
            why = f"the seeds need it, too: add {column} to seeds.fields, as {' or '.join(target.types)}"
            yield wrong(why, "task", "predict", target.word)
    if recipe.task.pair and target.word == "spans":
        yield wrong("spans stand in one text: leave it out", "task", "pair")
    student = recipe.student
    yield from tried(one_of, f"student of {target.word}", student.by, target.students, "student", "by")
    if student.soft or student.smoothing or student.ensembling:
        yield wrong(f"soft, smoothing and ensembling are of one label a row, not of {target.word}", "student")


def order(recipe: Recipe) -> Wrong:
    """Labels that have an order are there."""
    if recipe.task.ordered and not recipe.labels:
        yield wrong("it is the labels' order: write them as `task.classify`", "task", "ordered")


def within(recipe: Recipe) -> Wrong:
    """What demonstrations and row have in common is a field of the seeds, and a condition."""
    shown = recipe.demonstrations
    if shown and shown.within:
        place = ("demonstrations", "within")
        yield from tried(one_of, "field of the seeds", shown.within, [*recipe.seeds.fields, "label"], *place)
        known = [*recipe.attributes, *(["label"] if recipe.of_labels else [])]
        if shown.within.casefold() not in known:
            why = (
                f"it needs a condition of that name: `{shown.within.casefold()}: {{column: {shown.within}}}`"
            )
            yield wrong(why, *place)


def labels_of_words(recipe: Recipe) -> Wrong:
    """So are those of the baseline."""
    labels = set(recipe.task.classify)
    for label in recipe.metrics.word_list:
        yield from tried(one_of, "label", label, labels, "metrics", "word_list")


def filters_needed(recipe: Recipe) -> Wrong:
    """Ways to weigh and to label may need a filter, and each other."""
    for way in (recipe.weights, recipe.labelled):
        for needed, written in way.needs.items():
            if needed not in recipe.filters:
                add = f"add `{needed}: {written}` to filters"
                yield ValueError(f"{way.place} needs that filter: {add}")


def confidences(recipe: Recipe) -> Wrong:
    """What a way to weigh reads is there."""
    if recipe.weights.labelled_by and recipe.labelled.by not in recipe.weights.labelled_by:
        why = f"{recipe.labelled.place} gives other confidences: weigh by `confidence` or `none`"
        yield wrong(why, "weights", "by")


def weighed(recipe: Recipe) -> Wrong:
    """So is the column, and it has numbers."""
    for name in recipe.weights.columns_needed():
        yield from tried(one_of, "numeric column", name, score_columns(recipe), "weights", "of")


def mixed_in(recipe: Recipe) -> Wrong:
    """Seeds that weigh more after a fall of the diversity are there, and so is that."""
    if isinstance(recipe.weights.seeds, MixedIn):
        if not recipe.metrics.diversity:
            yield wrong("it goes by metrics.diversity: leave that on", "weights", "seeds")
        if not recipe.seeds.has("demonstration"):
            why = "they are those of the split demonstration, and there are none: add some to seeds.splits"
            yield wrong(why, "weights", "seeds")


def gold(recipe: Recipe) -> Wrong:
    """Some ways to weigh learn from seeds, and so may a filter."""
    if recipe.weights.needs_gold and not any(map(recipe.seeds.has, GOLD)):
        yield wrong(f"it needs seeds in the split {' or '.join(GOLD)}", "weights", "by")
    for name, rule in recipe.filters.items():
        if getattr(rule, "taught_by", None) == "seeds" and not recipe.seeds.has("demonstration"):
            yield wrong("it needs seeds in the split demonstration", "filters", name, "taught_by")


RESTING: dict[str, Callable[[Recipe], bool]] = {  # section -> whether it rests on labels
    "conditions": lambda recipe: "label" in recipe.conditions,
    "filters": lambda recipe: any(rule.of_labels for rule in recipe.filters.values()),
    "labelled": lambda recipe: recipe.labelled.by != "condition" or recipe.labelled.human is not None,
    "metrics": lambda recipe: bool(recipe.metrics.model_alone or recipe.metrics.word_list),
    "weights": lambda recipe: recipe.weights.needs_labels,
}


MEANT = {  # section -> what of it needs no label
    "conditions": "conditions of another name",
    "filters": "target, field, duplicate, near_duplicate, novelty and all that look at texts",
    "labelled": "nothing, values stay as they were made",
    "metrics": "student, truth, in_context, diversity and privacy",
    "weights": "by none and by field",
}


def without_labels(recipe: Recipe) -> Wrong:
    """What rests on labels needs some."""
    for section, rests in RESTING.items() if not recipe.labels else ():
        yield from tried(_rests, recipe, section, rests)


def _rests(recipe: Recipe, section: str, rests: Callable[[Recipe], bool]) -> Wrong:
    if not rests(recipe):
        return
    if (target := recipe.task.predict) is None:
        yield wrong("this rests on labels: write them as `task.classify`", section)
        return
    what = ", ".join(name for name, rule in recipe.filters.items() if rule.of_labels)
    of = what if section == "filters" else "this"
    why = f"{of} needs one label a row, and rows have {target.word} (task.predict): leave it out"
    yield wrong(f"{why}. What has a meaning there: {MEANT[section]}", section)


def cells(recipe: Recipe) -> Wrong:
    """What cuts a round is one thing."""
    if recipe.of_labels:
        for field in ("cell",) if recipe.cell else ("shards",) if recipe.shards > 1 else ():
            yield wrong("the labels cut a round: leave it out", field)
    elif recipe.cell:
        listed = [name for name, values in recipe.attributes.items() if isinstance(values, dict)]
        yield from tried(one_of, "attribute with listed values", recipe.cell, listed, "cell")
        for name in filter(NO_CELL.search, recipe.cells):
            yield wrong(f"{name!r} names a partition: leave out | , [ ] quotes and ...", "cell")
        for why in _same_in_sql("value", recipe.cells):
            yield wrong(f"{why}: write another value", "cell")


def values_above(recipe: Recipe) -> Wrong:
    """A condition may depend on those written above it, and on the label."""
    above = ["label", "definition", "verbalizer", *recipe.task.fields()]
    for name, values in recipe.attributes.items():
        if isinstance(values, Provider):
            yield from _provider(recipe, name, values, above)
        above.append(name)


def _provider(recipe: Recipe, name: str, values: Provider, above: list[str]) -> Wrong:
    place = ("conditions", name)
    for column in {f"{name}_{part}" for part in values.beside} & {*recipe.attributes, *RESERVED}:
        yield wrong(f"its column {column} is there already: choose another name", *place)
    for template in values.templates():
        yield from tried(_template, template, [*above, *values.knows], *place)
    if (other := values.rests_on()) is not None:
        yield from tried(one_of, "condition", other, above, *place)
    listed = [a for a in above if isinstance(recipe.attributes.get(a), dict)]
    for other in sorted((values.named if isinstance(values, Listed) else set()) - {"label"}):
        yield from tried(one_of, "condition with listed values", other, listed, *place)


def names_of_steps(recipe: Recipe) -> Wrong:
    """No step is called what a condition is called."""
    for name in recipe.steps:
        if name in recipe.attributes:
            yield wrong("a condition has the same name: choose another one", "steps", name)


def chain(recipe: Recipe) -> Wrong:
    """Where a step may stand, and what it needs around it."""
    sampled = [name for name, step in recipe.steps.items() if step.per_question > 1]
    for name in sampled[1:]:
        why = f"one step is where rows part that share a question: write it here or at {sampled[0]}"
        yield wrong(why, "steps", name, "samples")
    for name, step in recipe.steps.items():
        yield from tried(_step, recipe, name, step)


def _step(recipe: Recipe, name: str, step: StepBase) -> None:
    step.check(recipe, name)


def filter_names(recipe: Recipe) -> Wrong:
    """Scores become columns of their row, beside those that are there."""
    columns = {name: [*rule.raw, *rule.columns] for name, rule in recipe.filters.items()}
    for name, rule in recipe.filters.items():
        taken = {c: f"the filter {n}" for n, others in columns.items() if n != name for c in others}
        taken |= dict.fromkeys(recipe.condition_columns, "the conditions")
        if rule.renamed or made_of(type(rule)):
            taken |= dict.fromkeys([*OF_ROWS, *recipe.row_columns], "the row")
            taken |= dict.fromkeys(rule.renamed, "this kind of filter")
        for column in [column for column in columns[name] if column in taken][:1]:
            why = f"{column} is a column of {taken[column]}: choose another name"
            yield wrong(why, "filters", name)


def output_names(recipe: Recipe) -> Wrong:
    """Fields of an answer become columns of its row, beside those that are there."""
    taken = dict.fromkeys(OF_ROWS, "the platform")
    for name, rule in recipe.filters.items():
        taken |= dict.fromkeys([*rule.raw, *rule.columns], f"the filter {name}")
    taken |= dict.fromkeys(recipe.condition_columns, "the conditions")
    for step, spec in recipe.steps.items():
        for name in spec.columns_of(recipe):
            if name in taken and name not in spec.fills:
                why = f"{name} is a column of {taken[name]}: choose another name"
                yield wrong(why, "steps", step, spec.columns_in, name)


def measured_columns(recipe: Recipe) -> Wrong:
    """Columns that a metric reads are conditions or fields of the last step."""
    texts = [name for name, kind in recipe.row_columns.items() if kind == "string"]
    if recipe.metrics.evidence is not None:
        yield from tried(one_of, "column", recipe.metrics.evidence, texts, "metrics", "evidence")
    if recipe.metrics.facts and recipe.metrics.facts.of is not None:
        yield from tried(one_of, "column", recipe.metrics.facts.of, texts, "metrics", "facts", "of")
    if recipe.metrics.judge:
        told, place = _told(recipe), ("metrics", "judge", "question")
        yield from tried(_template, recipe.metrics.judge.question, told, *place)
    for column, truth in recipe.metrics.truth.items():
        for name in (column, truth.column):
            yield from tried(one_of, "column", name, recipe.row_columns, "metrics", "truth", column)


def _told(recipe: Recipe) -> list[str]:
    """What a template over a row may say."""
    of_labels = ("definition", "verbalizer") if recipe.labels else ()
    return sorted({*recipe.task.fields(), *recipe.row_columns, *of_labels})


def filter_columns(recipe: Recipe) -> Wrong:
    """So are those that a filter reads, of a type that it reads."""
    columns = recipe.row_columns
    for name, rule in recipe.filters.items():
        for template, more in rule.templates().items():
            yield from tried(_template, template, [*_told(recipe), *more], "filters", name)
        for column, types in rule.columns_needed().items():
            fitting = [c for c, kind in columns.items() if kind in types]
            what = f"column ({' or '.join(sorted(types))})"
            yield from tried(one_of, what, column, fitting, "filters", name)


def in_context(recipe: Recipe) -> Wrong:
    """What a model answers that is shown rows."""
    if (wanted := recipe.metrics.in_context) is None:
        return
    place, shown = ("metrics", "in_context"), recipe.shown_fields
    if not recipe.seeds.has("test"):
        yield wrong("it needs seeds in the split test", *place)
    if wanted.answer not in shown:
        yield from tried(one_of, "field of seeds and rows", wanted.answer, shown, *place, "answer")
        return
    blank = dict.fromkeys(shown, "")
    told = {**recipe.task.fields(), **blank, "demonstrations": [blank]}
    told.pop(wanted.answer)
    field = "complete" if wanted.prompt is None else "prompt"
    _template(wanted.template, told, *place, field)
    with as_wrong(*place, field):
        templates.render(wanted.template, told)


CHECKS = (
    *(labels, labels_of_words, fields_of_seeds, pair, predict, annotated, order, within, filters_needed),
    *(confidences, weighed, gold, without_labels, cells, values_above, remembering, names_of_steps, chain),
    *(skipping, filter_names, output_names, filter_columns, measured_columns, in_context, review.fits),
    *(steering, ends, accepted, mixed_in),
)


def all_checked(recipe: Recipe) -> list[ValueError]:
    """All that is wrong. What rests on a mistake that was found before is not always to be checked."""
    found: list[ValueError] = []
    for check in CHECKS:
        try:
            found.extend(tried(check, recipe))
        except LookupError:
            if not found:
                raise
    return found
