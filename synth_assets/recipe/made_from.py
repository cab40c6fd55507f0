"""What a stage was made from, in the recipe's own words, and what is different of it now.

`versions.py` says by a hash that something has changed; this says what. It is kept beside the rows, once a
version, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.filter import RULE
from synth_assets.recipe.versions import asked_of, encoded, texts_of
from synth_assets.resources.gateway.models import address, what_answers
from synth_assets.resources.home import decisions
from synth_assets.resources.storage.sources import fingerprint

if TYPE_CHECKING:
    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.contracts.step import StepBase
    from synth_assets.recipe.recipe import Recipe

Said = Mapping[str, Any]
SHOWN = 8  # words of a text that has changed
SCALAR = (str, int, float, bool, type(None))
# section of a stage (see versions.py) -> where that stands in the recipe, if it is no section by itself
PLACES: Mapping[str, tuple[str, ...]] = {
    "labels": ("task.classify",),
    "codebook": ("task.classify",),
    "samples": ("steps",),
    "conditions": ("conditions", "constraints", "design", "cell", "shards"),
    "values": ("conditions", "task"),
    "annotator": ("annotator.k", "task"),
    "metrics": ("metrics", "student"),
    "scorers": ("filters",),
    "weights.columns": ("weights",),
    "reviews": (),
    "signals": (),
    "vectors": (),
    "by_people": ("review.by_people",),
    "agreement": ("review.agreement",),
    "shows_decided": ("review.demonstrations",),
    "costs": ("review.price", "review.dollars", "review.minutes"),
}
TOLD = {"text_type": "text", "label_type": "label"}  # what a prompt calls it -> the field of the task


def made_from(recipe: Recipe, *sections: str) -> dict[str, Any]:
    """Field -> value of all that these sections of a stage rest on: a superset of what its version hashes.
    What stands in files is a hash, what a model's alias means is spelled out, an address has no secrets."""
    said, found = recipe.model_dump(mode="json"), dict[str, Any]()
    for section in sections:
        for place in PLACES.get(section, (section,)):
            found |= dict(_flat(place, _at(said, place)))
        if section == "reviews":
            found["what people decided"] = decisions().fingerprint(recipe.name)
        if section == "signals":
            found["signals"] = recipe.signals
        if section == "conditions" and recipe.remember:
            found["remember"] = True
        if section == "conditions" and recipe.task.annotate:
            found |= dict(_flat("task", texts_of(recipe)))
        if section == "annotator" and "max_tokens" in said["annotator"]:
            found["annotator.max_tokens"] = recipe.annotator.max_tokens
        if step := _step(recipe, section):
            told = {TOLD.get(name, name): value for name, value in recipe.task.told_by(step).items()}
            found |= dict(_flat("task", told))
            if section == "steps.text" and recipe.task.annotate:
                found |= dict(_flat("task", asked_of(recipe)))
        if section == "scorers":
            limits = {n for n in found if n.startswith("filters.") and n.rpartition(".")[2] in RULE}
            found = {name: value for name, value in found.items() if name not in limits}
        for name, model in _models(recipe, section).items():
            found |= dict(_flat(name, what_answers(model)))
        found |= {"encoder": recipe.encoder} if encoded(recipe, section) else {}
        found |= {f"what stands in {path}": fingerprint(path) for path in files(recipe, section)}
    return {name: address(v) if v and name.endswith(".base_url") else v for name, v in found.items()}


def changes(before: Said, now: Said) -> list[str]:
    """What is different, a field a line: `rows 100 -> 200`; of texts the first words that differ."""
    both = [_change(n, before[n], now[n]) for n in now if n in before and before[n] != now[n]]
    gone = [f"gone: {name}" for name in before if name not in now]
    return [*both, *gone, *(f"new: {name} {_words(now[name])}" for name in now if name not in before)]


def in_short(lines: list[str], most: int = 3) -> str:
    """The first changes, and how many more there are."""
    more = f"and {len(lines) - most} more changes" if len(lines) > most else ""
    return "; ".join([*lines[:most], *([more] if more else [])])


def _at(said: Any, place: str) -> Any:
    for name in place.split("."):
        said = said[name]
    return said


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Fields with their places; a list of words is one field."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(f"{place}.{name}", part)
    elif isinstance(value, list) and not all(isinstance(each, SCALAR) for each in value):
        for number, part in enumerate(value, 1):
            yield from _flat(f"{place}.{number}", part)
    else:
        yield place, value


def _step(recipe: Recipe, section: str) -> StepBase | None:
    return recipe.steps.get(section.removeprefix("steps.")) if section.startswith("steps.") else None


def _models(recipe: Recipe, section: str) -> dict[str, str | NamedModel]:
    """Where a model is named -> which one."""
    if _step(recipe, section):
        return dict(
            zip(("model", "user_model"), recipe.models_of(section.removeprefix("steps.")), strict=False)
        )
    if section == "annotator":
        return {"annotator.model": recipe.annotator_model}
    return {"model": recipe.model} if section in ("model", "values") else {}


def files(recipe: Recipe, section: str) -> list[str]:
    """The files that this section reads."""
    if step := _step(recipe, section):
        return [file for file in step.works_with if file]
    match section:
        case "seeds":
            found: list[str | None] = [*recipe.seeds.files]
        case "labelled":
            found = [recipe.labelled.human]
        case "conditions":
            found = [*map(str, recipe.condition_files)]
            found += [recipe.task.annotate.file] if recipe.task.annotate else []
        case "metrics":
            judge, facts = recipe.metrics.judge, recipe.metrics.facts
            found = [judge.people if judge else None, facts.file if facts else None]
            found += map(str, recipe.condition_files) if recipe.metrics.knowledge else []
        case _:
            found = []
    return [file for file in found if file]


def _change(name: str, before: Any, now: Any) -> str:
    if name.startswith(("what stands in ", "what people decided")):
        return f"{name} has changed"
    if isinstance(before, list) and isinstance(now, list):
        gone = [f"without {_words(v)}" for v in before if v not in now]
        new = [f"with {_words(v)}" for v in now if v not in before]
        return f"{name} {', '.join([*gone, *new]) or 'in another order'}"
    if isinstance(before, str) and isinstance(now, str) and " " in before + now:
        return f"{name}: {_first_words(before.split(), now.split())}"
    return f"{name} {_words(before)} -> {_words(now)}"


def _words(value: Any) -> str:
    return "not set" if value is None else " ".join(str(value).split()[:SHOWN])


def _first_words(before: list[str], now: list[str]) -> str:
    """The words between the part that both texts begin with and the part that both end with."""
    least = min(len(before), len(now))
    begin = next((i for i in range(least) if before[i] != now[i]), least)
    end = next((i for i in range(least - begin) if before[-1 - i] != now[-1 - i]), least - begin)
    parts = [" ".join(text[begin : len(text) - end][:SHOWN]) for text in (before, now)]
    if parts[0] == parts[1]:
        return "other spaces or line ends"
    old, new = (f'"{part}"' if part else "nothing" for part in parts)
    return f"{old} -> {new}" + (f', after "{before[begin - 1]}"' if begin else "")
