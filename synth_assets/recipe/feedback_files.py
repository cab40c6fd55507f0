"""Files of what a round asks of the next one, for a person to look at and to edit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import tagged_hash
from synth_assets.core.strict_yaml import not_yaml
from synth_assets.recipe.review_files import EDITED, was_edited
from synth_assets.resources.storage.files import write

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
    write(path, f"{EDITED}{tagged_hash('review/1', text)}\n{text}")
    return True


def _yaml(lines: Sequence[Line], measure: str) -> Iterator[str]:
    yield "rows:"
    above = "cell"
    for line in lines:
        if line.of != above:
            if above == "cell":
                yield "weights:"
            yield f"  {_scalar(line.of)}:"
            above = line.of
        why = f"; {measure} {_known(line.why)}" if line.why is not None else ""
        indent = "  " if line.of == "cell" else "    "
        yield f"{indent}{_scalar(line.name)}: {line.now:g} # {_known(line.before)} before{why}"


def _scalar(name: str) -> str:
    """A key on one line, quoted where YAML would read it as something else."""
    return yaml.safe_dump({name: 0}, allow_unicode=True, width=10**6).rpartition(": 0")[0]


def _known(value: float | None) -> str:
    return "unknown" if value is None or math.isnan(value) else f"{value:.3g}" if value % 1 else f"{value:g}"


def read_feedback(path: Path, told: Asked) -> Asked:
    """What the file says; as it was `told` where it says nothing. UserError for what it cannot say."""
    try:
        said = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise not_yaml(path, error) from error
    said = _mapping(path, said, "the file")
    for name in set(said) - {"rows", "weights"}:
        raise unknown("part", name, ("rows", "weights"), str(path))
    rows = dict(told.rows)
    for cell, n in _mapping(path, said.get("rows", {}), "rows").items():
        if cell not in rows:
            raise unknown("cell", cell, rows, f"{path}: rows")
        rows[cell] = int(_number(path, f"rows.{cell}", n, 1, MOST_ROWS, whole=True))
    weights = {
        attribute: {
            value: _number(path, f"weights.{attribute}.{value}", factor, 1e-6, MOST_WEIGHT)
            for value, factor in _mapping(path, values, f"weights.{attribute}").items()
        }
        for attribute, values in _mapping(path, said.get("weights", {}), "weights").items()
    }
    return Asked(rows, {**told.weights, **weights})


def _mapping(path: Path, said: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise UserError(
            f"{path}: {what} has to be written as `name: number`, a line each; or delete the file, and what "
            "was measured holds."
        )
    return said


def _number(path: Path, what: str, said: Any, least: float, most: float, whole: bool = False) -> float:
    try:
        number = int(said) if whole else float(said)
    except (TypeError, ValueError):
        number = math.nan
    if not least <= number <= most:
        kind = "whole number" if whole else "number"
        raise UserError(f"{path}: {what} is {said!r}: write a {kind} from {least:g} to {most:,.0f}.")
    return number
