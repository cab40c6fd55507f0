"""`synth plan`: what a round would make and pay, before it does.

The same functions that make a round are run, with a model that asks nobody: what the call log has is answered
from there, what it lacks is counted and taken to be answered. So the number of calls is exact as long as what
is asked is answered and accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_assets.annotation import annotators
from synth_assets.assets.states import States
from synth_assets.contracts.model_spec import NamedModel
from synth_assets.contracts.provider import Around
from synth_assets.core.errors import UserError
from synth_assets.evaluation.of_students import drawn_for_the_model
from synth_assets.evaluation.round import drawn_pairs
from synth_assets.generation.conditions.asking import answers, questions
from synth_assets.generation.conditions.table import design
from synth_assets.generation.steps.chain import foresee, run
from synth_assets.planning.foreseen import Foreseen
from synth_assets.recipe.review_files import read_review, review_file, was_edited
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.gateway.models import Model, resolve_model
from synth_assets.stages import by_model, tables
from synth_assets.stages.conditions import quota
from synth_assets.stages.labelled import reannotated
from synth_assets.stages.metrics import last_measured
from synth_assets.stages.scores import scoring
from synth_assets.stages.seeds import seed_rows
from synth_assets.stages.stage import rounds_before
from synth_assets.stages.values import around

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.planning.estimates import Line
    from synth_assets.recipe.measuring import Facts
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.storage.lake import Lake

BY_ROUND = ("filtered", "rejected", "labelled", "weighted", "metrics")


def plan(recipe: Recipe, round_: str, instance: dg.DagsterInstance, lake: Lake, log: CallLog) -> list[Line]:
    """What `synth run` would do for this round. UserError as `synth check` has them; asks no model."""
    seeds = seed_rows(recipe)
    state = States(recipe, round_, instance, lake)
    annotator = resolve_model(recipe.annotator_model)
    lines = [state.line("seeds", None, changed=state.differs("seeds", {}, seeds))]
    looks = around(recipe, lake, round_, seeds, MiniLM().encode)
    if recipe.listed:
        asked, known = _listed(recipe, looks, log)
        looks = Around(looks.rows, looks.encode, known)
        lines.append(state.line("values", None, asked, log, resolve_model(recipe.model)))
    for cell in recipe.cells:
        rows = quota(recipe, lake, {"round": round_, "cell": cell})
        conditions = design(recipe, seeds, round_=round_, cell=cell, rows=rows, around=looks)
        place = {"round": round_, "cell": cell}
        lines.append(state.line("conditions", cell, changed=state.differs("conditions", place, conditions)))
        found, made = _steps(recipe, place, conditions, looks.shown, state, lake, log)
        lines += found
        rows = made[made["accepted"].astype(bool)].reset_index(drop=True)
        scorers = _scorers(recipe, rows, seeds, log)
        lines += [state.line("scores", cell, asked, log, asked.model) for asked in scorers]
    asked = Foreseen(log, annotator)
    test = seeds[seeds["split"] == "test"]
    if recipe.metrics.model_alone and len(test):
        alone = drawn_for_the_model(test, recipe.metrics.model_alone, recipe.seed)
        _label(list(alone["text"]), recipe, seeds, asked)
    asking = {"metrics": asked, "labelled": _reannotated(recipe, round_, lake, log, annotator)}
    for stage in BY_ROUND:
        lines.append(state.line(stage, None, asking.get(stage), log, annotator))
    lines += _by_model(recipe, round_, seeds, state, lake, log)
    return [*lines, *state.orphans()]


def _steps(
    recipe: Recipe,
    place: Mapping[str, str],
    conditions: pd.DataFrame,
    shown: pd.DataFrame,
    state: States,
    lake: Lake,
    log: CallLog,
) -> tuple[list[Line], pd.DataFrame]:
    """The steps of one cell, a line for each model that one asks, and the rows that would come of them."""
    lines: list[Line] = []
    made: dict[str, pd.DataFrame] = {}
    for stage, step in recipe.step_stages.items():
        models = [resolve_model(spec) for spec in recipe.models_of(step)]
        asking = [Foreseen(log, model) for model in models]
        if asking:
            made[stage] = run(recipe, stage, conditions, shown, asking[0], dict(made), user=asking[-1])
            found = zip(asking, models, strict=True)
            lines += [state.line(stage, place["cell"], asked, log, model) for asked, model in found]
            continue
        lines.append(state.line(stage, place["cell"]))
        if lines[-1].state == "unchanged":
            made[stage] = lake.read(recipe.name, stage, [place], tables.schema(recipe, stage))
        else:
            made[stage] = foresee(recipe, stage, conditions, shown, dict(made))
    return lines, made["generations"]


def _listed(
    recipe: Recipe, looks: Around, log: CallLog
) -> tuple[Foreseen, Callable[[str, str], Sequence[str]]]:
    """The questions for values that a model lists, as if each answer had as many as are asked for."""
    asked = Foreseen(log, resolve_model(recipe.model))
    foreseen: dict[tuple[str, str], Sequence[str]] = {}
    for name, section, given, question in questions(recipe):
        asked.lines = section.wanted
        file = review_file(recipe.reviews, name, given)
        there = looks.asked(name, given) or (read_review(file) if was_edited(file) else ())
        foreseen[name, given] = there or answers(name, section, given, question, asked)
    return asked, lambda name, given: foreseen[name, given]


def _scorers(recipe: Recipe, rows: pd.DataFrame, seeds: pd.DataFrame, log: CallLog) -> Iterable[Foreseen]:
    """What the scorers of these rows would ask, model by model, the annotator's first."""
    asked: dict[str | None, Foreseen] = {None: Foreseen(log, resolve_model(recipe.annotator_model))}

    def model_of(spec: str | None) -> Foreseen:
        return asked.setdefault(spec, Foreseen(log, resolve_model(spec or recipe.annotator_model)))

    looks = scoring(recipe, seeds, MiniLM().encode, model_of)
    for rule in recipe.filters.values():
        if rule.asks:
            rule.measure(rows, looks)
    return asked.values()


def _reannotated(recipe: Recipe, round_: str, lake: Lake, log: CallLog, model: Model) -> Foreseen | None:
    """What label enhancement would ask: exactly, or of every row if there are none yet."""
    if not recipe.labelled.reannotate:
        return None
    asked = Foreseen(log, model)
    try:
        rows = lake.read(recipe.name, "filtered", [{"round": round_}], tables.schema(recipe, "filtered"))
    except UserError:  # not made yet
        asked.calls = recipe.rows * len(recipe.cells)
        return asked
    reannotated(recipe, rows, MiniLM().encode, asked)
    return asked


def _by_model(
    recipe: Recipe, round_: str, seeds: pd.DataFrame, state: States, lake: Lake, log: CallLog
) -> Iterator[Line]:
    """What the metrics would ask, a line for each of them that has its own questions."""
    wanted = recipe.metrics

    def line(what: str, spec: str | NamedModel | None, count: Callable[[Model], Foreseen]) -> Line:
        model = resolve_model(spec or recipe.annotator_model)
        return state.line("metrics", None, count(model), log, model, what=what)

    if shown := wanted.in_context:
        yield line("in context", shown.model, lambda m: _in_context(recipe, round_, seeds, lake, log, m))
    if looked := wanted.facts:
        yield line("facts", looked.model, lambda m: _facts(recipe, looked, round_, lake, log, m))
    if judge := wanted.judge:
        yield line("judge", judge.model, lambda m: _judged(recipe, round_, lake, log, m))


def _in_context(
    recipe: Recipe, round_: str, seeds: pd.DataFrame, lake: Lake, log: CallLog, model: Model
) -> Foreseen:
    """What a model would be asked that is shown rows: exactly, or at the most if there are no rows yet."""
    import pandas as pd

    asked, wanted = Foreseen(log, model), recipe.metrics.in_context
    assert wanted
    sets = {"seeds": seeds[seeds["split"] == "demonstration"]}
    test = by_model.test_rows(recipe, wanted, seeds)
    cells = [{"round": round_, "cell": cell} for cell in recipe.cells]
    for stage, places in {"generations": cells, "filtered": [{"round": round_}]}.items():
        try:
            now = lake.read(recipe.name, stage, places, tables.schema(recipe, stage))
        except UserError:  # not made yet
            asked.calls += len(test)
            continue
        sets[stage] = pd.concat([rounds_before(recipe, lake, stage, round_), now], ignore_index=True)
    if "generations" in sets:
        sets["generations"] = sets["generations"][sets["generations"]["accepted"]]
    by_model.in_context_answers(recipe, wanted, sets, test, asked)
    return asked


def _facts(recipe: Recipe, wanted: Facts, round_: str, lake: Lake, log: CallLog, model: Model) -> Foreseen:
    """What would be asked of facts, `k` of a row where nobody has listed them: of as many rows as are wanted,
    if there are none yet."""
    asked = Foreseen(log, model)
    asked.lines = wanted.k
    try:
        kept = lake.read(recipe.name, "filtered", [{"round": round_}], tables.schema(recipe, "filtered"))
    except UserError:  # not made yet
        asked.calls = (1 + wanted.k) * min(wanted.rows, recipe.rows * len(recipe.cells))
        return asked
    by_model.verdicts_on_facts(recipe, wanted, kept, asked)
    return asked


def _judged(recipe: Recipe, round_: str, lake: Lake, log: CallLog, model: Model) -> Foreseen:
    """What the judge of the metrics would be asked: exactly, or at the most if there are no rows yet."""
    asked = Foreseen(log, model)
    before = last_measured(recipe, lake, round_)
    if before is None or recipe.metrics.judge is None:
        return asked
    schema = tables.schema(recipe, "filtered")
    try:
        now, last = (lake.read(recipe.name, "filtered", [{"round": r}], schema) for r in (round_, before))
    except UserError:  # not made yet
        asked.calls = 2 * min(recipe.metrics.judge.rows, recipe.rows * len(recipe.cells))
        return asked
    judge = recipe.metrics.judge
    by_model.judged(recipe, judge, drawn_pairs(now, last, judge.rows), asked)
    return asked


def _label(texts: list[str], recipe: Recipe, seeds: pd.DataFrame, asked: Foreseen) -> None:
    shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
    annotators.label_logprobs(texts, recipe.task, shown, asked)


def report(lines: Sequence[Line]) -> Iterator[str]:
    """For the terminal."""
    yield f"{'stage':22}{'cell':18}{'state':12}{'calls':>8}{'in the log':>12}  why"
    for line in lines:
        counted = f"{line.calls:>8,}{line.from_log:>12,}" if line.calls + line.from_log else " " * 20
        yield f"{line!s:22}{line.cell or '':18}{line.state:12}{counted}  {line.why}".rstrip()
    total = totals(lines)
    yield ""
    yield f"{total['calls']:,} calls to make, {total['from_log']:,} answered by the log"
    for line in lines:
        if line.calls:
            time = "unknown" if line.seconds is None else f"{line.seconds:,.0f} s at the last run's rate"
            where = f"{line} {line.cell or ''}".strip()
            yield f"{where:40}tokens {line.tokens}, dollars {line.cost}, time {time}"


def totals(lines: Sequence[Line]) -> dict[str, Any]:
    """Sums; None as soon as one part is not known."""

    def known(values: Iterable[float | None]) -> float | None:
        found = list(values)
        return None if None in found else sum(v for v in found if v is not None)

    asking = [line for line in lines if line.calls]
    return {
        "calls": sum(line.calls for line in lines),
        "from_log": sum(line.from_log for line in lines),
        "tokens": known(line.tokens.value for line in asking),
        "cost": known(line.cost.value for line in asking),
        "seconds": known(line.seconds for line in asking),
    }


def as_json(lines: Sequence[Line]) -> str:
    return json.dumps({"lines": [asdict(line) for line in lines], "total": totals(lines)}, indent=1)
