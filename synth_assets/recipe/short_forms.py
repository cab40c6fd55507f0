"""The short forms in which filters and conditions may be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_assets.contracts.filter import FILTERS, Filter
from synth_assets.contracts.named import named
from synth_assets.contracts.section import NAME, wrong
from synth_assets.core.errors import unknown
from synth_assets.generation.conditions.files import provider


def filter_of(name: str, section: Any) -> Filter:
    """The filter of a section, which may be empty: its defaults. ValidationError, with the place in it."""
    kind = filter_class(name, section)
    if not kind.renamed and isinstance(section, Mapping):
        section = {field: value for field, value in section.items() if field != "filter"}
    return kind.model_validate(section or {})


def filter_class(name: str, section: Any) -> type[Filter]:
    """The filter that a section names by `filter`, or else by its own name."""
    says = isinstance(section, Mapping) and "filter" in section
    kind = str(section["filter"] if says else name)
    if kind not in FILTERS:
        other = "" if says else f" Under another name, say which it is: `{name}: {{filter: judge}}`."
        raise wrong(f"{unknown('filter', kind, FILTERS)}{other}", *(["filter"] if says else []))
    if kind == name:
        return FILTERS[kind]
    if name in FILTERS:
        raise wrong(f"{name} is a filter itself: give this {kind} another name")
    if not NAME.fullmatch(str(name)):
        raise wrong(f"filter {str(name)!r}: use lower-case letters, digits and _")
    return named(name, FILTERS[kind])


def condition_values(values: Any) -> Any:
    """A list, or values with weights, as value -> weight; a section that names a provider as that."""
    if isinstance(values, list):
        return {str(value): 1.0 for value in values}
    if isinstance(values, Mapping):
        found = provider(values)
        return found.model_validate(dict(values)) if found else {str(v): w for v, w in values.items()}
    return values
