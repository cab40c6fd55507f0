"""Stage `feedback`: what a round tells the next one. It is external to the graph, so that the loop over
rounds is no cycle: the metrics make it and report it, the next round's conditions read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.recipe.feedback_files import Asked, Line, read_feedback, write_feedback
from synth_assets.recipe.recipe import Recipe
from synth_assets.recipe.review_files import was_edited
from synth_assets.recipe.steering import columns_steered
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Made, Markdown, Table, short

LEAST, MOST = 0.5, 2.0  # of what is asked without feedback
STEPS = 100  # of a bisection: more than doubles have
EDITED = " edited "  # in a data version: behind that of what was measured


HEAD = (
    "What the round after {round} asks for, by {by} (`feedback` of the recipe {recipe}).",
    "Change the numbers: a file that was edited is not written again, and the rounds after it go by it.",
    "Delete it, and they go by what was measured.",
)


def compute(run: Run, by_cell: Mapping[str, float | None], asked_for: Table, signals: Table | None) -> Made:
    """What the next round asks for, beside what this one asked for; also in a file that a person may edit."""
    recipe, by = run.recipe, run.recipe.feedback.rows
    rows = told(recipe, {cell: by_cell[cell] for cell in recipe.cells}, run.round, signals)
    if by == "fixed":
        return Made(rows)
    lines = list(_lines(_as_told(recipe, rows), _of_round(run, asked_for), _whys(by, rows, signals)))
    path = recipe.feedback_file(run.round)
    head = [line.format(round=run.round, by=by, recipe=recipe.name) for line in HEAD]
    try:
        if not write_feedback(path, head, lines, by):
            run.warn(f"{path} was edited: the next round goes by it.")
    except OSError as error:
        run.warn(f"{path} cannot be written: {error.strerror}.")
    return Made(rows, {"asked": as_table(lines, by), "file": str(path)})


def compared(run: Run) -> list[Line]:
    """What the round before asks of this one, beside what that one was asked for; empty where it asks for
    nothing."""
    recipe, day, by = run.recipe, told_by(run), run.recipe.feedback.rows
    places = [{"round": day, "cell": cell} for cell in recipe.cells]
    there = all(run.there(stage, place) for stage in ("feedback", "conditions") for place in places)
    if by == "fixed" or not there:
        return []
    rows, signals = run.read("feedback", *places), None
    if recipe.signals and run.there("signals", {"round": day}):
        signals = run.read("signals", {"round": day})
    now, path = _as_told(recipe, rows), recipe.feedback_file(day)
    if was_edited(path):
        now = read_feedback(path, now, _steered(recipe))
    asked_for = run.read("conditions", *places, columns=["cell"])
    return list(_lines(now, _of_round(replace(run, round=day), asked_for), _whys(by, rows, signals)))


def as_table(lines: Sequence[Line], by: str) -> Markdown:
    """For people."""
    head = f"| | | asked next | asked before | change | {by} |\n| - | - | - | - | - | - |\n"
    return Markdown(head + "\n".join("| " + " | ".join(map(short, columns(line))) + " |" for line in lines))


def columns(line: Line) -> list[Any]:
    """Of a line, for a table: what it is, now, before, the change, and why."""
    change = None if line.before is None else f"{line.now - line.before:+g}"
    return [line.of, line.name, line.now, line.before, change, line.why]


def _lines(now: Asked, before: Asked, whys: Mapping[tuple[str, str], float]) -> Iterator[Line]:
    for cell, n in now.rows.items():
        yield Line("cell", cell, n, before.rows.get(cell), whys.get(("cell", cell)))
    for attribute, values in now.weights.items():
        for value, factor in values.items():
            was = before.weights.get(attribute, {}).get(value, 1.0)
            yield Line(attribute, value, factor, was, whys.get((attribute, value)))


def _as_told(recipe: Recipe, rows: Table) -> Asked:
    """What the rows of all cells say of what the recipe has: it may have been edited since."""
    weights = rows["weights"].iloc[0] if "weights" in rows else None
    asked_for = {cell: int(n) for cell, n in zip(rows["cell"], rows["rows"], strict=True)}
    return Asked(asked_for, _drawn(recipe, json.loads(weights)) if isinstance(weights, str) else {})


def _of_round(run: Run, asked_for: Table) -> Asked:
    """What a round was asked for."""
    weights = _said(run, run.recipe.cells[0]).weights if run.recipe.feedback.signals else {}
    return Asked(asked_for["cell"].value_counts().to_dict(), weights)


def _whys(by: str, rows: Table, signals: Table | None) -> dict[tuple[str, str], float]:
    """Of cells and values, what was measured."""
    found = dict(zip(rows["cell"], rows["value" if "value" in rows else "yield"], strict=True))
    whys = {("cell", cell): value for cell, value in found.items() if value == value and value is not None}
    for attribute, values in (of_values(by, signals) if signals is not None else {}).items():
        whys |= {(attribute, value): number for value, number in values.items()}
    return whys


def told(recipe: Recipe, yields: Mapping[str, float | None], round_: str, signals: Table | None) -> Table:
    """A row a cell: what the next round asks for, of about `rows` rows a cell. By a signal, also how often
    values of attributes are drawn, against their own weights, which is the same for all cells."""
    import pandas as pd

    name = recipe.feedback.rows
    rows_of = {"round": round_, "cell": list(yields), "yield": list(yields.values())}
    if signals is None or name not in recipe.feedback.signals:
        return pd.DataFrame({**rows_of, "rows": list(quotas(yields, recipe.most_rows).values())})
    of_cells = signals[(signals["name"] == name) & signals["row_id"].isna() & signals["attribute"].isna()]
    by_cell = of_cells.set_index("cell")["value"]
    values = {cell: by_cell.get(cell) for cell in yields}
    weights = {
        attribute: {value: round(factor, 3) for value, factor in bounded(found).items()}
        for attribute, found in _drawn(recipe, of_values(name, signals)).items()
    }
    asked = {"rows": list(proportional(values, recipe.most_rows).values()), "value": list(values.values())}
    return pd.DataFrame({**rows_of, **asked, "weights": json.dumps(weights, ensure_ascii=False)})


def of_values(name: str, signals: Table) -> dict[str, dict[str, float]]:
    """Attribute -> value -> what the signal says of it in all cells."""
    found: dict[str, dict[str, float]] = {}
    rows = signals[(signals["name"] == name) & signals["attribute"].notna() & signals["cell"].isna()]
    for row in rows.to_dict("records"):
        found.setdefault(row["attribute"], {})[row["attribute_value"]] = row["value"]
    return found


def quotas(yields: Mapping[str, float | None], rows: int) -> dict[str, int]:
    """Rows to ask of each cell, so that each keeps about the same number: inverse to last round's yield.

    The sum stays `rows` times the number of cells; no cell gets more than twice or less than half of
    `rows`. A cell without a known yield, or with none at all, is taken to yield as the worst known.
    """
    known = [y for y in yields.values() if y]
    if not known:
        return dict.fromkeys(yields, rows)
    inverse = {cell: 1 / (y or min(known)) for cell, y in yields.items()}
    total = sum(inverse.values())
    shares = {cell: len(yields) * v / total for cell, v in inverse.items()}
    return {cell: round(rows * min(MOST, max(LEAST, share))) for cell, share in shares.items()}


def proportional(values: Mapping[str, float | None], rows: int) -> dict[str, int]:
    """Rows to ask of each cell, in proportion to a signal, in the same bounds. The sum is exactly `rows`
    times the number of cells."""
    exact = {cell: rows * share for cell, share in bounded(values).items()}
    found = {cell: int(n) for cell, n in exact.items()}
    missing = rows * len(values) - sum(found.values())
    for cell in sorted(exact, key=lambda cell: found[cell] - exact[cell])[:missing]:
        found[cell] += 1
    return found


def bounded(values: Mapping[str, float | None]) -> dict[str, float]:
    """In proportion to the values, from LEAST to MOST, and 1 in the mean. What is under 0 counts as 0, what
    is unknown as the mean; 1 for all, where nothing is more than 0."""
    known = [max(0.0, v) for v in values.values() if v is not None and v == v]
    if not any(known):
        return dict.fromkeys(values, 1.0)
    mean = sum(known) / len(known)
    least = max(known) * 1e-9  # of 0 all have as much, where the others are full
    parts = {name: mean if v is None or v != v else max(v, least) for name, v in values.items()}
    low, high = 0.0, MOST / least
    for _ in range(STEPS):
        factor = (low + high) / 2
        total = sum(min(MOST, max(LEAST, factor * part)) for part in parts.values())
        low, high = (factor, high) if total < len(parts) else (low, factor)
    return {name: min(MOST, max(LEAST, high * part)) for name, part in parts.items()}


def asked(run: Run) -> Asked | None:
    """What the round before asks of this one; None where nothing does. A file of it that a person has edited
    wins."""
    recipe = run.recipe
    if recipe.feedback.rows == "fixed":
        return None
    day = told_by(run)
    before = {"round": day, "cell": run.cell}
    lost = run.there("conditions", before) and run.there("metrics", {"round": day})
    if lost and not run.there("feedback", before):
        raise UserError(
            f"{recipe.name}: round {day} was measured, but what it tells the next one of "
            f"{run.cell!r} is lost. Run it again: synth run {recipe.name} --round {day}"
        )
    return _said(run, run.cell)


def edited_before(run: Run) -> str:
    """That a person has edited what a round is asked for, in words; else empty."""
    path = run.recipe.feedback_file(told_by(run))
    return f"{path.parent.name}/{path.name} was edited" if was_edited(path) else ""


def version(recipe: Recipe, told: Table, measured: str) -> str:
    """The data version of what a round tells a cell, which is the one row of `told`: that of what was
    `measured`, with a hash of what a person has made of it behind it where that is something else."""
    round_, cell = told["round"].iloc[0], told["cell"].iloc[0]
    path = recipe.feedback_file(round_)
    if recipe.feedback.rows == "fixed" or not was_edited(path):
        return measured
    said = _as_told(recipe, told)
    every = Asked(dict.fromkeys(recipe.cells, recipe.most_rows) | said.rows, said.weights)
    try:
        now = read_feedback(path, every, _steered(recipe))
    except UserError as error:  # which the next round stops at
        return f"{measured}{EDITED}{tagged_hash('edited/1', str(error))}"
    other = [now.rows[cell], {name: of for name, of in now.weights.items() if of}]
    if other == [said.rows[cell], {name: of for name, of in said.weights.items() if of}]:
        return measured
    return f"{measured}{EDITED}{tagged_hash('edited/1', other)}"


def day_after(round_: str) -> str:
    """The round that this one tells."""
    return (date.fromisoformat(round_) + timedelta(days=1)).isoformat()


def told_by(run: Run) -> str:
    """The round that tells this one. By a signal it is the last one that was measured, whatever nights a
    schedule leaves out; by yield the day before, as it always was: rounds that are made keep their rows."""
    measured = run.rounds("metrics") if run.recipe.feedback.signals else []
    day_before = date.fromisoformat(run.round) - timedelta(days=1)
    return measured[-1] if measured else day_before.isoformat()


def _said(run: Run, cell: str) -> Asked:
    """What the round before has told of a cell; without it, what the recipe says."""
    said, before = Asked(dict.fromkeys(run.recipe.cells, run.recipe.most_rows), {}), told_by(run)
    if run.there("feedback", {"round": before, "cell": cell}):
        told = _as_told(run.recipe, run.read("feedback", {"round": before, "cell": cell}))
        said = Asked(said.rows | told.rows, told.weights)
    path = run.recipe.feedback_file(before)
    return read_feedback(path, said, _steered(run.recipe)) if was_edited(path) else said


def _steered(recipe: Recipe) -> dict[str, list[str] | None]:
    """The attributes whose values a file may weigh, with the values where the recipe lists them."""
    if not recipe.feedback.signals:
        return {}
    attributes = {name: recipe.attributes[name] for name in columns_steered(recipe)}
    return {name: list(of) if isinstance(of, dict) else None for name, of in attributes.items()}


def _drawn(recipe: Recipe, of: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Of attributes and values, those that the recipe draws by weight. Seeds, and rounds before an edit, may
    have others."""
    found, steered = dict[str, dict[str, float]](), _steered(recipe)
    for name, values in of.items():
        listed = steered.get(name, ())
        known = {value: number for value, number in values.items() if listed is None or value in listed}
        if known:
            found[name] = known
    return found
