"""What of a recipe goes by signals of the rounds before, and what that needs of the other sections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.provider import Pool, Provider
from synth_assets.contracts.section import wrong
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.registry import SIGNALS, made_of
from synth_assets.recipe.remembering import NOTHING_COUNTED, counts

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

NUMBERS = ("double", "int64")
OF_VALIDATION = ("error", "confusion", "coverage")  # signals of the validation rows
OF_LABELS = ("confusion", "entropy", "disagreement")
OF_CELLS = ("confusion", "diversity")  # which say nothing of single rows
UNWEIGHED = ("balanced", "coverage")  # designs that use each value as often


def signals_of(recipe: Recipe) -> list[str]:
    """The signals that a round has to tell."""
    return sorted({name for name, _ in _named(recipe)})


def goes_by_earlier(recipe: Recipe) -> bool:
    """Whether what a round asks for depends on the rounds before it."""
    takes = recipe.shows_kept or recipe.shows_decided or recipe.growing or recipe.task.annotate
    return bool(recipe.feedback.rows != "fixed" or recipe.signals or recipe.remember or takes)


def _named(recipe: Recipe) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Signal, and where it is named."""
    for name, values in recipe.attributes.items():
        if isinstance(values, Provider) and values.signal is not None:
            yield values.signal, ("conditions", name, "by")
    shown = recipe.demonstrations
    score = shown.score if shown else None
    if score and score not in score_columns(recipe) and (":" in score or score in SIGNALS.known):
        yield score, ("demonstrations", "score")
    for name in recipe.feedback.signals:
        yield name, ("feedback", "rows")


def score_columns(recipe: Recipe) -> dict[str, str]:
    """Columns of the kept rows that have numbers, or what may be read as some -> type."""
    scored = {c: t for rule in recipe.filters.values() for c, t in rule.columns.items()}
    return {name: kind for name, kind in {**recipe.row_columns, **scored}.items() if kind in NUMBERS}


def columns_steered(recipe: Recipe) -> dict[str, str]:
    """The attributes whose values may be drawn more or less often -> the field of the seeds with the same
    values: those whose values are known before a row is drawn, but for what is taken in turn."""
    if recipe.design in UNWEIGHED:
        return {}
    return {
        name: getattr(values, "column", name)
        for name, values in recipe.attributes.items()
        if name != recipe.cell
        and (
            isinstance(values, dict) or (isinstance(values, Pool) and not (values.depends or recipe.remember))
        )
    }


def made_by(recipe: Recipe) -> list[Any]:
    """The signals, and what those are made of that are one's own."""
    found: list[Any] = [*recipe.signals]
    for name in recipe.signals:
        if ":" in name or (name in SIGNALS.known and SIGNALS.known[name].package):
            found.append(made_of(SIGNALS.find(name)))
    return found


def steering(recipe: Recipe) -> Iterator[ValueError]:
    """Signals that are named are there, and what they look at."""
    for name, place in _named(recipe):
        other = ("yield", "fixed") if place[0] == "feedback" else ()
        if why := _missing(recipe, name, *other) or (name == "unused" and _cannot_use(recipe, place)):
            yield wrong(why, *place)
        elif place[0] == "demonstrations" and name in (*OF_VALIDATION, *OF_CELLS):
            yield wrong(
                f"{name} is a number of other rows: write a score of the kept ones, or entropy", *place
            )
        elif place[0] == "conditions" and name in OF_CELLS:
            yield wrong(f"{name} is a number of cells, not of rows: write another one", *place)
        elif place[0] == "conditions" and (origin := _rows_of(name)) not in (None, _taken(recipe, place[1])):
            yield wrong(f"{name} is a number of {origin} rows: write `from: {origin}`", *place)


def _cannot_use(recipe: Recipe, place: tuple[str, ...]) -> str:
    """Why nobody there could go by what is unused; else empty."""
    if place[0] == "demonstrations" or (place[0] == "conditions" and _taken(recipe, place[1]) == "kept"):
        return "kept rows are used already: write another signal"
    weighed = (recipe.attributes[name] for name in columns_steered(recipe))
    if place[0] == "feedback" and not any(isinstance(each, Pool) for each in weighed):
        turns = "with `remember`, balanced or coverage they come in turn by themselves"
        return f"no source is drawn by weights that could be changed ({turns}): leave it out"
    return ""


def _taken(recipe: Recipe, condition: str) -> str | None:
    """Which rows a condition takes: kept ones, or a split of the seeds."""
    values = recipe.attributes[condition]
    return "kept" if isinstance(values, Provider) and values.takes_kept else getattr(values, "split", None)


def _rows_of(signal: str) -> str | None:
    """Of which rows it is; None where only its function knows."""
    if signal in OF_VALIDATION:
        return "validation"
    own = signal in ("entropy", "disagreement") or signal not in SIGNALS.known
    return "kept" if own and ":" not in signal else None


def _missing(recipe: Recipe, name: str, *other: str) -> str | UserError | None:
    """What a signal lacks."""
    columns = score_columns(recipe)
    if name not in SIGNALS.known and name in columns:
        return None
    if name not in SIGNALS.known and ":" not in name:
        return unknown("signal", name, [*SIGNALS.known, *columns, *other])
    if ":" in name:
        try:
            SIGNALS.find(name)
        except UserError as error:
            return error
    if name in OF_VALIDATION and not recipe.seeds.has("validation"):
        return (
            f"{name} looks at the validation rows, and there are none: add `validation: 50` to seeds.splits"
        )
    if name == "unused" and not counts(recipe):
        return f"{NOTHING_COUNTED}: name another signal"
    if name == "error" and not (recipe.labels or recipe.task.predict):
        what = "write what it learns as `task.classify` or `task.predict`"
        return f"error is of a student: {what}, or name another signal"
    if name in OF_LABELS and not recipe.labels:
        return f"{name} rests on labels: write them as `task.classify`, or name another signal"
    return None
