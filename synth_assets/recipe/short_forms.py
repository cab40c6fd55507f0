"""The sections that are of the class that a word in them says, and the short forms in which they may be
written. What is wrong in one is a ValidationError, and pydantic puts the section's place in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, TypeAdapter

from synth_assets.contracts.filter import Filter, named
from synth_assets.contracts.provider import Provider
from synth_assets.contracts.section import NAME, class_of, wrong
from synth_assets.contracts.step import StepBase
from synth_assets.core.registry import FILTERS, STEPS, VALUES

Weighed = dict[str, Annotated[float, Field(gt=0)]]  # value -> weight
ONE_WAY = (
    "give exactly one of `prompt` (a chat message), `complete` (text to go on with), `tool`, `vote` and"
    " `turns`"
)


def filter_of(name: str, section: Any) -> Filter:
    """The filter of a section, which may be empty: its defaults."""
    kind = filter_class(name, section)
    if not kind.renamed and isinstance(section, Mapping):
        section = {field: value for field, value in section.items() if field != "filter"}
    return kind.model_validate(section or {})


def filter_class(name: str, section: Any) -> type[Filter]:
    """The filter that a section names by `filter`, or else by its own name."""
    if not isinstance(section, Mapping) or "filter" not in section:
        other = f" Under another name, say which it is: `{name}: {{filter: judge}}`."
        return class_of(FILTERS, name, Filter, hint="" if ":" in name else other)
    kind = class_of(FILTERS, section["filter"], Filter, "filter")
    if name == kind.name:
        return kind
    if name in FILTERS.known:
        raise wrong(f"{name} is a filter itself: give this {section['filter']} another name")
    if not NAME.fullmatch(name):
        raise wrong(f"filter {name!r}: use lower-case letters, digits and _")
    return named(name, kind)


def values_of(section: Any) -> Any:
    """Of a condition: a list, or values with weights, as value -> weight; or the source of values that the
    section names by `source`, or by the source's own word."""
    if isinstance(section, list):
        return {str(value): 1.0 for value in section}
    if section == "labels" or isinstance(section, Provider):
        return section
    if not isinstance(section, Mapping):
        raise wrong("write a list of values, `value: weight`, or where they come from: `{file: PATH}`")
    numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in section.values()]
    own = [word for word in section if word in VALUES.known]
    word = own[0] if own else None
    for other in own[1:]:  # the word of one source may be a field of another
        if set(section) <= set(class_of(VALUES, other, Provider).fields_of()):
            word = other
    if not all(numbers) and "source" in section:
        rest = {field: value for field, value in section.items() if field != "source"}
        return class_of(VALUES, section["source"], Provider, "source").model_validate(rest)
    if not all(numbers) and word is not None:
        return class_of(VALUES, word, Provider).model_validate(dict(section))
    if not all(numbers):
        raise wrong(f"{VALUES.unknown(next(iter(section)))} Or write a list, or `value: weight`.")
    return TypeAdapter(Weighed).validate_python({str(v): weight for v, weight in section.items()})


def step_of(section: Any) -> StepBase:
    """The step of a section, which names it by `step`, or by its own word. A text is a prompt."""
    if isinstance(section, StepBase):
        return section
    if not isinstance(section, Mapping):
        section = {"prompt": section}
    if "step" in section:
        rest = {field: value for field, value in section.items() if field != "step"}
        return class_of(STEPS, section["step"], StepBase, "step").model_validate(rest)
    own = [word for word in section if word in STEPS.known]
    built_in = [word for word in own if not STEPS.known[word].package]
    words = built_in or own  # a plug-in's word may be a field of a built-in step
    if len(words) != 1:
        more = [f"`{word}` ({entry.package})" for word, entry in STEPS.known.items() if entry.package]
        raise wrong(", or ".join([ONE_WAY, *more]))
    return class_of(STEPS, words[0], StepBase).model_validate(dict(section))


AnyFilter = Annotated[
    SerializeAsAny[Filter],
    BeforeValidator(lambda given: filter_of(*given) if isinstance(given, tuple) else given),
]
AnyValues = Annotated[Literal["labels"] | Weighed | SerializeAsAny[Provider], BeforeValidator(values_of)]
AnyStep = Annotated[SerializeAsAny[StepBase], BeforeValidator(step_of)]
