"""Files of what a round asks of the next one, for a person to look at and to edit."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from synth_assets.core import strict_yaml
from synth_assets.core.errors import UserError, unknown
from synth_assets.recipe.review_files import was_edited, written

MOST_ROWS, MOST_WEIGHT = 10_000_000, 1_000.0


class Asked(NamedTuple):
    """What a round is asked for."""

    rows: dict[str, int]  # cell -> rows
    weights: dict[str, dict[str, float]]  # attribute -> value -> how often, against its own weight


class Line(NamedTuple):
    """One thing that the next round is asked for."""

    of: str  # cell, or the attribute whose value it is
    name: str
    now: float
    before: float | None  # what this round was asked for
    why: float | None = None  # what was measured


def write_feedback(path: Path, head: Sequence[str], lines: Sequence[Line], measure: str) -> bool:
    """The lines as YAML, each with what it was before and why. False, and the file is left as it is, when
    someone has edited it."""
    if was_edited(path):
        return False
    text = "\n".join([*(f"# {line}" for line in head), *_yaml(lines, measure), ""])
    written(path, text)
    return True


def _yaml(lines: Sequence[Line], measure: str) -> Iterator[str]:
    yield "rows:"
    above = "cell"
    for line in lines:
        if line.of != above:
            if above == "cell":
                yield "weights:"
            yield f"{_key(line.of, '  ')}:"
            above = line.of
        why = f"; {measure} {_known(line.why)}" if line.why is not None else ""
        indent = "  " if line.of == "cell" else "    "
        now = f"{line.now:.0f}" if line.of == "cell" else f"{line.now:g}"
        yield f"{_key(line.name, indent)}: {now} # {_known(line.before)} before{why}"


def _key(name: str, indent: str) -> str:
    """Quoted where YAML would read it as something else; before a `:` of its own line where it is long."""
    key = yaml.safe_dump({name: 0}, allow_unicode=True, width=10**6)
    if not key.startswith("? "):
        return indent + key.rpartition(": 0")[0]
    text = yaml.safe_dump(name, allow_unicode=True, width=10**9, default_style='"').rstrip("\n")
    return f"{indent}? {text}\n{indent}"


def _known(value: float | None) -> str:
    return "unknown" if value is None or math.isnan(value) else f"{value:.3g}" if value % 1 else f"{value:g}"


def read_feedback(path: Path, told: Asked, steered: Mapping[str, Collection[str] | None]) -> Asked:
    """What the file says; as it was `told` where it says nothing. `steered`: the attributes that may have
    weights, with their values where the recipe lists them. UserError for what it cannot say."""
    document = strict_yaml.read(path)
    # by name alone: `no: 3` is of the value "no"
    said = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    for name in set(said) - {"rows", "weights"}:
        raise unknown("part", name, ("rows", "weights"), f"{path}:{document.line((name,))}")
    rows, weights = dict(told.rows), {name: dict(values) for name, values in told.weights.items()}
    at = partial(_place, document)
    for cell, n in _mapping(at("rows"), said.get("rows", {})).items():
        if cell not in rows:
            raise unknown("cell", cell, rows, at("rows", cell))
        rows[cell] = int(_number(at("rows", cell), n, 1, MOST_ROWS, whole=True))
    for name, values in _mapping(at("weights"), said.get("weights", {})).items():
        if not (weights or steered):
            why = "the recipe draws no condition by weights: delete it here, or write `design: product`"
            raise UserError(f"{at('weights', name)}: {why} there.")
        if name not in {*weights, *steered}:
            raise unknown("condition", name, sorted({*weights, *steered}), at("weights", name))
        known, listed = weights.setdefault(name, {}), steered.get(name)
        for value, factor in _mapping(at("weights", name), values).items():
            if listed is not None and value not in {*known, *listed}:
                raise unknown("value", value, [*listed], at("weights", name, value))
            known[value] = _number(at("weights", name, value), factor, 1e-6, MOST_WEIGHT)
    return Asked(rows, weights)


def _place(document: strict_yaml.Document, *of: str) -> str:
    """Where something is written: file, line, field."""
    return f"{document.path}:{document.line(of)}: {'.'.join(of)}"


def _mapping(at: str, said: Any) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise UserError(
            f"{at} has to be written as `name: number`, a line each; or delete the file, and what was "
            "measured holds."
        )
    return said


def _number(at: str, said: Any, least: float, most: float, whole: bool = False) -> float:
    try:
        number = int(said) if whole else float(said)
    except (TypeError, ValueError):
        number = math.nan
    if not least <= number <= most:
        kind = "whole number" if whole else "number"
        raise UserError(f"{at} is {str(said)[:60]!r}: write a {kind} from {least:g} to {most:,.0f}.")
    return number
