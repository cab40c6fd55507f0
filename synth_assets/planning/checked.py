"""Whether a recipe is right, without a model: all that `synth check` says of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.annotation.people import read_human, read_verdicts
from synth_assets.contracts.provider import Around, Provider
from synth_assets.core.days import today
from synth_assets.core.errors import NotInstalled, UserError, together
from synth_assets.curation.filters.language import spoken
from synth_assets.generation.conditions.asking import questions
from synth_assets.generation.conditions.knowledge import retrieve
from synth_assets.generation.conditions.table import design, of_texts
from synth_assets.generation.steps import chain
from synth_assets.planning.missing import missing
from synth_assets.recipe.annotate import ALL
from synth_assets.recipe.load import placed
from synth_assets.recipe.recipe import Recipe
from synth_assets.resources.gateway.batches import submit
from synth_assets.resources.gateway.embedded_server import PACKAGED
from synth_assets.resources.gateway.models import resolve_model
from synth_assets.resources.home import encoder, lake
from synth_assets.resources.own_encoder import chosen
from synth_assets.resources.storage.warehouse import plain
from synth_assets.stages.generations import check_steps
from synth_assets.stages.seeds import seeds_of
from synth_assets.stages.texts import texts_of

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.model_spec import NamedModel

Said = Iterator[tuple[str, str]]  # what it is about, and what is to be seen of it
PROMPT = "prompt"
ELSEWHERE = ("no_key", "mistake")  # a key or a model's file that may be there where the recipe runs
LABELS = 6  # whose rows are counted
HEARD = 50  # texts that tell the language

SMALL = (
    "steps.{} is a chat prompt for the embedded model, which has 135 million parameters and follows "
    "examples, not instructions: write `complete`, as `synth new NAME --model embedded` does, or name "
    "another model."
)
SMALL_ANNOTATOR = (
    "steps.{0} asks the embedded model, which has 135 million parameters, in words: write `{0}: {{annotate: "
    "logprobs}}`, which reads how likely each label is as the next word, or name another model."
)
UNMEASURED = (
    "the seeds have no test rows: nothing will tell whether the set is better than they are alone. Write "
    "`test: 40`, or more, into seeds.splits."
)


def check_recipe(recipe: Recipe, path: Path | None = None) -> Said:
    """Read the seeds, draw a row of each cell and render its prompts; yields what a person wants to see.

    Raises UserError with all that is wrong, at the end. `path`: its file, where it is not among the recipes.
    """
    wrong: list[UserError] = []
    seeds: list[pd.DataFrame] = []  # once they are read

    def look(field: str, part: Said) -> Said:
        try:
            yield from part
        except UserError as error:
            wrong.append(placed(error, recipe, field, path))

    yield from look("steps", _steps_are_right(recipe))
    yield from look("seeds", _seeds(recipe, seeds))
    for name, _, given, question in questions(recipe):
        yield "values", f"{name}{f' for {given}' if given else ''}: {question}"
    for name, values in recipe.attributes.items():
        yield from look(f"conditions.{name}", _told(name, values))
    yield "fields", ", ".join(chain.fields(recipe))
    for cell in recipe.cells if seeds and not wrong else ():
        yield from look("conditions", _cell(recipe, cell, seeds[0]))
    yield from look("steps", _steps(recipe))
    yield from look("encoder", _encoder(recipe))
    filters = [f"{n} ({f.threshold()})" if f.threshold() else n for n, f in recipe.filters.items()]
    yield "filters", ", ".join(filters) or "none"
    yield from look("model", _other_models(recipe))
    yield from look("labelled.human", _of_people(recipe))
    yield from look("metrics.judge.people", _of_judge(recipe))
    yield from look("metrics.facts.file", _of_facts(recipe))
    if (quoted := plain(recipe.name)) != recipe.name:
        yield "note", f"SQL has {recipe.name} for itself: in queries, write {quoted}.filtered and the like."
    if recipe.start.isoformat() > today(recipe.timezone):
        yield (
            "warning",
            (
                f"start is {recipe.start}, which is in the future: today is {today(recipe.timezone)} in "
                f"{recipe.timezone}, and until then there is no round to make."
            ),
        )
    yield "schedule", f"{recipe.nightly.cron if recipe.nightly else 'none'} ({recipe.timezone})"
    if wrong:
        raise together({str(error): error for error in wrong}.values())


def _steps_are_right(recipe: Recipe) -> Said:
    check_steps(recipe)
    yield from ()


def _seeds(recipe: Recipe, read: list[pd.DataFrame]) -> Said:
    seeds, said, how, first = seeds_of(recipe, lake())
    yield from missing(recipe)
    counts = seeds["split"].value_counts()
    yield "seeds", ", ".join(f"{counts[s]:,} {s}" for s in counts.index) or "none"
    if how:
        yield "", f"of {recipe.seeds.origin} ({how})"
    for split in counts.index if recipe.labels else ():
        of = seeds["label"][seeds["split"] == split].value_counts()
        yield (
            "",
            f"{split}: {', '.join(f'{n:,} {label}' for label, n in of.head(LABELS).items())}"
            + (f" and {len(of) - LABELS} labels more" if len(of) > LABELS else ""),
        )
    for words in first:
        yield "row", words
    for words in said:
        yield "note", words
    if len(seeds) and recipe.labels and "test" not in counts:
        yield "warning", UNMEASURED
    yield from _of_english(recipe, list(seeds["text"].head(HEARD)))
    read.append(seeds)


def _of_english(recipe: Recipe, texts: list[str]) -> Said:
    """What of the recipe reads English alone, where the seeds are in another language."""
    knows = {f"filters.{name}": rule.english() for name, rule in recipe.filters.items()}
    if recipe.metrics.evidence:
        knows["metrics.evidence"] = "names by their capitals, and months"
    knows = {name: what for name, what in knows.items() if what}
    if knows and texts and (language := spoken(texts)) not in ("en", ""):
        told = ", ".join(f"{name} ({what})" for name, what in knows.items())
        yield "warning", f"the seeds read as {language!r}, and of these parts something is English: {told}."


def _told(name: str, values: object) -> Said:
    if isinstance(values, Provider) and (words := values.told()):
        yield "values", f"{name}: {words}"


def is_small(spec: str | NamedModel) -> bool:
    """Whether it is the packaged model; where it is not installed, nothing is known of another."""
    try:
        model = resolve_model(spec)
    except NotInstalled:
        return True
    except UserError:
        return False
    return model.name == Path(PACKAGED).stem


def _cell(recipe: Recipe, cell: str, seeds: pd.DataFrame) -> Said:
    """The prompt of each step. What stands for answers need not suit a later one: then, its template."""
    around = Around(
        {"seeds": seeds}, chosen(recipe.encoder, encoder()).encode, lambda name, given: [f"<{name}>"]
    )
    if recipe.task.annotate:
        row = yield from _texts(recipe, cell, seeds, around)
    else:
        row = design(recipe, seeds, round_=today(recipe.timezone), cell=cell, rows=1, around=around)
        yield "cell", f"{cell}: {recipe.asks_for}; the first prompt is"
    first = next(iter(recipe.steps))
    for name, step in recipe.steps.items():
        try:
            text = "\n".join(chain.shown(recipe, name, row, seeds))
        except UserError as error:
            if name == first:
                raise error.of(f"steps.{name}") from error
            text = step.template
        if name != first:
            yield "", f"and of {name}, without the answers before it,"
        yield PROMPT, text


def _texts(recipe: Recipe, cell: str, seeds: pd.DataFrame, around: Around) -> Generator[Any, None, Any]:
    """What there is to annotate; the conditions of the first text."""
    found, annotated = texts_of(recipe, seeds), recipe.task.annotate
    assert annotated
    if cell == recipe.cells[0]:
        yield "texts", f"{len(found.rows):,} of {annotated.texts.origin} ({found.read})"
        for words in found.said:
            yield "note", words
    if found.rows.empty:
        raise UserError(f"task.annotate: {annotated.file} has no text that is no seed: add some.")
    most = "" if recipe.rows == ALL else f", at most {recipe.rows:,} a round"
    yield "cell", f"{cell}: the texts that no round has{most}; the first prompt is"
    return of_texts(recipe, found.rows.head(1), round_=today(recipe.timezone), cell=cell, around=around)


def _steps(recipe: Recipe) -> Said:
    for name, step in recipe.steps.items():
        if step.answer_schema:
            yield "output", f"{step.answer_schema}" + _of(recipe, name)
    for name, step in recipe.steps.items():
        for model in recipe.models_of(name):
            yield "model", f"{_model(recipe, model)}" + _of(recipe, name)
            if step.under_role and is_small(model):
                yield "warning", (SMALL_ANNOTATOR if step.name == "annotate" else SMALL).format(name)
        for tool in step.tools:
            yield "tool", f"{tool}" + _of(recipe, name)
    if recipe.mode == "batch":
        each = " a step" if len(recipe.steps) > 1 else ""
        yield "mode", f"batch: rows go through the Batch API and are collected within a day{each}"


def _other_models(recipe: Recipe) -> Said:
    """Those that no step asks: whether their entries are right."""
    asked = [recipe.annotator_model, *(model for rule in recipe.filters.values() for model in rule.models())]
    measured = (recipe.metrics.judge, recipe.metrics.facts, recipe.metrics.in_context)
    asked += [part.model for part in measured if part and part.model]
    for model in asked:
        try:
            resolve_model(model)
        except UserError as error:
            if error.code not in ELSEWHERE:
                raise
    yield from ()


def _encoder(recipe: Recipe) -> Said:
    """Whether the recipe's own one can be read, where it is there."""
    if recipe.encoder:
        with suppress(NotInstalled):  # which is said, and stops no round
            own = chosen(recipe.encoder, encoder())  # the same one that reads examples, loaded once
            yield "encoder", f"{recipe.encoder}: vectors of {own.dimensions:,} numbers"


def _of_people(recipe: Recipe) -> Said:
    if recipe.labelled.human:
        people = read_human(recipe.labelled.human, recipe.labels, bool(recipe.task.pair))
        yield "human", f"{people.labels:,} labels in {people.file}, {people.random:,} drawn at random"


def _of_judge(recipe: Recipe) -> Said:
    if recipe.metrics.judge and recipe.metrics.judge.people:
        verdicts = len(read_verdicts(recipe.metrics.judge.people)) // 2
        yield "judge", f"{verdicts:,} verdicts of people in {recipe.metrics.judge.people}"


def _of_facts(recipe: Recipe) -> Said:
    if recipe.metrics.facts and recipe.metrics.facts.file:
        retrieve(recipe.metrics.facts.file, "", 1)
    yield from ()


def _of(recipe: Recipe, step: str) -> str:
    return f" (step {step})" if len(recipe.steps) > 1 else ""


def _model(recipe: Recipe, spec: str | NamedModel) -> str:
    """The model in words; a key that is missing here may be set where the recipe runs."""
    try:
        model = resolve_model(spec)
    except UserError as error:
        if error.code not in ELSEWHERE:
            raise
        return f"{spec if isinstance(spec, str) else spec.name} (not ready here: {error})"
    price = model.price
    if recipe.mode == "batch":
        submit.check(model)
        price = price and price.batched()
    costs = f"${price.prompt:g} and ${price.completion:g} a million tokens" if price else "price not known"
    return f"{model.name} at {model.endpoint}, {model.api}, {'free' if price and price.free else costs}"
