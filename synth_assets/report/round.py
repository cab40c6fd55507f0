"""The report on one round: what was made, at which cost, and what it is worth, as a page of its own.

All of it is asked of the warehouse, which counts and sums there; what comes out of it is small, however many
rows the round has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from synth_assets.core.errors import NotInstalled
from synth_assets.evaluation.metric_rows import parts_of
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import charts, pages
from synth_assets.report.metrics import Metrics, differences, in_short, metric_sections
from synth_assets.report.one_round import Round, by_name, query
from synth_assets.report.pages import Number, Picture, Section, Table, general, number, share, text, total
from synth_assets.report.rows import (
    SHOWN,
    changed_labels,
    of_conditions,
    of_examples,
    of_labels,
    of_map,
    of_weights,
)
from synth_assets.report.so_far import why_ended
from synth_assets.resources.home import encoder, lake, warehouse
from synth_assets.resources.storage import files
from synth_assets.resources.storage.warehouse import Warehouse, plain
from synth_assets.stages import feedback
from synth_assets.stages.run import Run


def summary(recipe: Recipe, round_: str) -> Iterator[str]:
    """Lines for a terminal."""
    for part in main_parts(recipe, round_):
        yield from pages.aligned(part) if isinstance(part, Table) else (part,)


def main_parts(recipe: Recipe, round_: str) -> Iterator[str | Table]:
    """The main tables of the page, with lines between them, and where to read on."""
    at = Round(recipe, warehouse(), round_)
    rows = at.metrics()
    measured = by_name(rows)
    metrics = {key: value for key, value in measured.items() if in_short(*key, value[0])}
    told = (_funnel(at), *metric_sections(metrics, []), _unknown(rows))
    shown = [part for section in told for part in section.parts]
    yield from (f"{recipe.name}, round {round_}", "", at.verdict())
    for part in changed_labels(at):
        yield from ("", part)
    for table in [*shown, *_cost(at)]:
        yield from ("", table) if isinstance(table, Table) else ()
    names = ["text", *recipe.task.columns, *(["label"] if recipe.labels else []), "weight"]
    columns = ", ".join(map(plain, names))
    sql = f"select {columns} from {plain(recipe.name)}.weighted where round = '{round_}' limit 5"
    words = sql.replace('"', '\\"')  # a shell's
    yield from ("", f"Files    {lake().place(recipe.name)}", f'SQL      synth sql "{words}"')
    yield from (f"Report   synth report {recipe.name} --round {round_} --open", "UI       synth ui")


def write(recipe: Recipe, warehouse: Warehouse, round_: str, to: Path) -> list[Section]:
    """Write the page, whole or not at all; returns what it says."""
    at = Round(recipe, warehouse, round_)
    written = sections(at)
    made = "texts of your own, annotated" if recipe.task.annotate else "synthetic rows, made"
    words = f"{text(recipe.task.text)}; {made} by a language model and measured on real ones"
    title, words = f"{recipe.name}, round {round_}", f"{words}. Intervals are 95 %."
    files.write(to, pages.html(title, words, written, at.verdict()))
    return written


def sections(round_: Round) -> list[Section]:
    """Everything that is known of the round."""
    measured, mapped, no_map = round_.metrics(), list[Section](), list[dict[str, Any]]()
    metrics, slices = by_name(measured), parts_of(measured, round_.recipe.labels)
    try:
        mapped = [of_map(round_)] if round_.counts["kept"] is not None else []
    except NotInstalled as error:
        no_map = [{"name": "map", "slice": "of the rows", "value": None, "reason": str(error)}]
    every = [
        _made(round_),
        _funnel(round_),
        *mapped,
        *metric_sections(metrics, round_.recipe.labels, slices),
        *([of_conditions(round_), of_examples(round_)] if round_.counts["kept"] is not None else []),
        of_labels(round_),
        of_weights(round_),
        *([_changes(round_, metrics)] if metrics else []),
        _asked_next(round_),
        _nights(round_),
        _unknown([*no_map, *measured]),
    ]
    return [section for section in every if section.parts]


NIGHTS = 14  # that a page shows
COUNTS = {"asked": "rows asked for", "kept": "rows kept", "training_rows": "rows of the training set"}


def _made(round_: Round) -> Section:
    recipe, there = round_.recipe, round_.counts
    facts = [("labels", text(", ".join(recipe.labels)))] if recipe.labels else []
    facts += [(words, str(number(there[name], 0))) for name, words in COUNTS.items()]
    for name in ("first_call", "last_call"):  # times of the call log, to the second
        at = there[name] and f"{there[name][:19].replace('T', ' ')} UTC"
        facts.append((name.replace("_", " "), at or "unknown"))
    ended = why_ended(recipe, lake(), warehouse())
    return Section.of(
        "made", [Table(["", ""], facts), *_cost(round_)], *([text(ended, 400)] if ended else [])
    )


def _cost(round_: Round) -> list[Table]:
    calls = round_.ask(query("cost"))
    lines = [_calls(row["stage"], text(row["model"]), [row]) for row in calls]
    columns = ["stage", "model", "calls", "prompt tokens", "completion tokens", "US dollars"]
    return [Table(columns, [*lines, _calls("all", "", calls)])] if calls else []


def _calls(stage: str, model: str, rows: Sequence[Mapping[str, Any]]) -> list[object]:
    names = ("calls", "prompt_tokens", "completion_tokens", "cost")
    *counts, cost = (total(rows, name) for name in names)
    return [stage, model, *(number(n, 0) for n in counts), pages.dollars(cost)]


def _funnel(round_: Round) -> Section:
    cells = round_.ask("select * from {recipe}.yield where round = $round order by yield, cell")
    whole = {"cell": "all"} | {n: total(cells, n) for n in ("generated", "rejected", "kept")}
    rows = [_yield(row) for row in [whole, *cells[:SHOWN]]]
    columns = ["cell", "generated", "accepted", "kept", "yield", "95 % interval"]
    caption = f"the {SHOWN} cells of the lowest yield, of {len(cells):,}" if len(cells) > SHOWN else ""
    parts: list[Table | Picture] = [Table(columns, rows, caption)]
    if round_.counts["kept"] is not None and cells:
        parts.append(_fates(cells[:SHOWN]))
    dropped = round_.ask(query("dropped"))
    if dropped:
        lines = [
            [text(row[name] or "", 60) for name in ("scorer", "stage", "threshold")]
            + [number(row["rows"], 0), number(row["share"], share=row["share"])]
            for row in dropped
        ]
        parts.append(Table(["dropped by", "stage", "wanted", "rows", "of all dropped"], lines))
    return Section.of("funnel", parts if cells else [])


def _fates(cells: Sequence[Mapping[str, Any]]) -> Picture:
    fates = {"kept": "kept", "dropped by a filter": "dropped", "failed": "rejected"}
    bars = {words: [int(row[name]) for row in cells] for words, name in fates.items()}
    drawing = partial(charts.stacked, bars, [row["cell"] for row in cells])
    return Picture("rows by cell", drawing, "What became of the rows of each cell")


def _yield(row: Mapping[str, Any]) -> list[object]:
    generated, kept = row["generated"], row["kept"]
    counts = [number(n, 0) for n in (generated, generated - row["rejected"], kept)]
    return [text(row["cell"]), *counts, *share(kept, generated)]


def _changes(round_: Round, now: Metrics) -> Section:
    (last,) = round_.ask("select max(round)::varchar as day from {recipe}.metrics where round < $round")
    if not last["day"]:
        return Section.of("changes", [])
    counts = round_.ask(query("counts"), before=last["day"])
    names = COUNTS | {"calls": "calls", "cost": "US dollars"}
    lines = [[words, *_before_and_now([row[name] for row in counts])] for name, words in names.items()]
    parts = [Table(["", "before", "now", "difference"], lines)] if len(counts) == 2 else []
    compared = differences(by_name(round_.metrics(round=last["day"])), now, "before", "now", 2 * SHOWN)
    parts += [compared] if compared.rows else []
    return Section.of("changes", parts, pages.WORDS["independent"], **last)


def _asked_next(round_: Round) -> Section:
    """What the next round asks for, beside what this one asked for."""
    recipe, rows = round_.recipe, []
    for line in feedback.compared(Run(recipe, lake(), encoder(), feedback.day_after(round_.day))):
        change = None if line.before is None else line.now - line.before
        numbers = [general(line.now), general(line.before), general(change, "+"), general(line.why)]
        rows.append([text(line.of), text(line.name), *numbers])
    table = Table(["", "", "next", "now", "change", recipe.feedback.rows], rows)
    return Section.of(
        "asked", [table] if rows else [], file=text(f"{recipe.name}.feedback/{round_.day}.yaml")
    )


def _nights(round_: Round) -> Section:
    """How far the rounds before are, the latest first."""
    rows = round_.ask(query("nights"), most=NIGHTS)
    lines = [
        [row["round"], text(row["state"]), text(row["made"]), pages.dollars(row["cost"])]
        + [text(row[name] or "") for name in ("changed", "why")]
        for row in rows
    ]
    columns = ["round", "state", "made", "US dollars", "changed since the one before", "why"]
    return Section.of("nights", [Table(columns, lines)] if lines else [])


def _unknown(measured: Sequence[Mapping[str, Any]]) -> Section:
    """What was not measured, and why."""
    why: dict[str, dict[str, list[str]]] = {}
    for row in measured:
        if row["value"] is None and row.get("reason"):
            why.setdefault(row["reason"], {}).setdefault(row["name"], []).append(row["slice"])
    lines = [
        [text("; ".join(f"{n} ({', '.join(of)})" for n, of in names.items()), 400), text(reason, 400)]
        for reason, names in why.items()
    ]
    return Section.of("unknown", [Table(["metrics", "why"], lines)] if lines else [])


def _before_and_now(values: Sequence[float | None]) -> Iterator[Number]:
    yield from map(general, values)
    before, now = values
    yield general(None if before is None or now is None else now - before, "+")
