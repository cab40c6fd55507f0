"""The report on one round: what was made, at which cost, and what it is worth, as a page of its own.

All of it is asked of the warehouse, which counts and sums there; what comes out of it is small, however many
rows the round has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.home import home
from resources.warehouse import Warehouse, identifier, literal
from synth_assets import charts
from synth_assets.errors import UserError
from synth_assets.evaluation.usefulness import wilson
from synth_assets.metric_sections import INDEPENDENT, Metrics, differences, metric_sections
from synth_assets.pages import (
    Number,
    Picture,
    Section,
    Table,
    dollars,
    general,
    html,
    interval,
    number,
    save,
    text,
)

if TYPE_CHECKING:
    from synth_assets.recipe import Recipe

SHOWN = 30  # cells, values and labels that a table or a picture has
EXAMPLES = 2  # rows at each end of a score
BINS = 30
NUMBERS = ("double", "int64", "bool")  # types of scores that are numbers
DROPPED = "dropped"


class Round:
    """One round of a recipe, as the warehouse has it."""

    def __init__(self, recipe: Recipe, warehouse: Warehouse, round_: str) -> None:
        self.recipe, self.day, self._warehouse = recipe, round_, warehouse
        (self.counts,) = self.ask("select * from {recipe}.rounds where round = $round")

    def ask(self, sql: str, round_: str | None = None) -> list[dict[str, Any]]:
        """Rows of a query about {recipe} and $round, by default this one."""
        sql = sql.replace("{recipe}", identifier(self.recipe.name))
        answer = self._warehouse.query(sql, {"round": round_ or self.day})
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]

    def metrics(self, round_: str | None = None) -> Metrics:
        rows = self.ask("select * exclude (round) from {recipe}.metrics where round = $round", round_)
        return {
            (row["name"], row["slice"]): (row["value"], row["low"], row["high"], row["n"]) for row in rows
        }


def latest_round(recipe: Recipe, warehouse: Warehouse, stage: str, round_: str | None = None) -> str:
    """This round, or the latest one that has rows of the stage. UserError names the rounds that are there."""
    sql = f"select distinct round::varchar from {identifier(recipe.name)}.{identifier(stage)} order by 1"
    rounds = [day for (day,) in warehouse.query(sql).fetchall()]
    if not rounds:
        raise UserError(f"{recipe.name}.{stage} has no rows yet: `synth run {recipe.name}` makes a round.")
    if round_ and round_ not in rounds:
        raise UserError(
            f"{recipe.name}.{stage} has no round {round_}: the latest are {', '.join(rounds[-5:])}. "
            f"`synth run {recipe.name}` makes one."
        )
    return round_ or rounds[-1]


def place(recipe: str, round_: str) -> Path:
    return home() / "reports" / recipe / f"{round_}.html"


def write(recipe: Recipe, warehouse: Warehouse, round_: str, to: Path) -> list[Section]:
    """Write the page, whole or not at all; returns what it says."""
    found = sections(Round(recipe, warehouse, round_))
    words = f"{text(recipe.task.text)}; synthetic rows, made by a language model and measured on real ones"
    save(html(f"{recipe.name}, round {round_}", f"{words}. Intervals are 95 %.", found), to)
    return found


def sections(round_: Round) -> list[Section]:
    metrics = round_.metrics()
    found = [
        _made(round_),
        _funnel(round_),
        *metric_sections(metrics, round_.recipe.labels),
        *([_conditions(round_), _examples(round_)] if round_.counts["kept"] is not None else []),
        _labels(round_),
        _weights(round_),
        *([_changes(round_, metrics)] if metrics else []),
    ]
    return [section for section in found if section.parts]


def _made(round_: Round) -> Section:
    recipe, there = round_.recipe, round_.counts
    facts = [
        ("labels", text(", ".join(recipe.labels))) if recipe.labels else None,
        ("rows asked for", str(number(there["asked"], 0))),
        ("rows kept", str(number(there["kept"], 0))),
        ("rows of the training set", str(number(there["training_rows"], 0))),
        *((words, _time(there[name])) for name, words in TIMES.items()),
    ]
    parts = [Table(["", ""], [fact for fact in facts if fact])]
    calls = round_.ask("select * from {recipe}.cost where round = $round")
    if calls:
        parts.append(_cost(calls))
    words = "A call counts in the round that used it first. A cost is unknown where a model has no price."
    return Section("made", "What was made, and its cost", words, parts)


TIMES = {"first_call": "first call", "last_call": "last call"}


def _time(stamp: str | None) -> str:
    """A time of the call log, to the second."""
    return "unknown" if stamp is None else f"{stamp[:19].replace('T', ' ')} UTC"


def _cost(calls: Sequence[Mapping[str, Any]]) -> Table:
    lines = [_calls(row["stage"], text(row["model"]), [row]) for row in calls]
    columns = ["stage", "model", "calls", "prompt tokens", "completion tokens", "US dollars"]
    return Table(columns, [*lines, _calls("all", "", calls)])


def _calls(stage: str, model: str, rows: Sequence[Mapping[str, Any]]) -> list[object]:
    names = ("calls", "prompt_tokens", "completion_tokens", "cost")
    *counts, cost = (_sum([row[name] for row in rows]) for name in names)
    return [stage, model, *(number(n, 0) for n in counts), dollars(cost)]


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum, if all of it is known."""
    return None if any(v is None for v in values) else float(sum(v for v in values if v is not None))


def _funnel(round_: Round) -> Section:
    cells = round_.ask("select * from {recipe}.yield where round = $round order by yield, cell")
    total = {"cell": "all"} | {n: _sum([row[n] for row in cells]) for n in ("generated", "rejected", "kept")}
    rows = [_yield(row) for row in [total, *cells[:SHOWN]]]
    columns = ["cell", "generated", "accepted", "kept", "yield", "95 % interval"]
    caption = f"the {SHOWN} cells of the lowest yield, of {len(cells):,}" if len(cells) > SHOWN else ""
    parts: list[Table | Picture] = [Table(columns, rows, caption)]
    if round_.counts["kept"] is not None and cells:
        parts.append(_fates(cells[:SHOWN]))
    dropped = round_.ask("""
        select stage, scorer, threshold, sum(rows) as rows, sum(rows) / sum(sum(rows)) over () as share
        from {recipe}.dropped where round = $round group by all order by rows desc, scorer limit 100""")
    if dropped:
        lines = [
            [
                text(row["scorer"], 60),
                text(row["stage"], 60),
                text(row["threshold"] or "", 60),
                number(row["rows"], 0),
                number(row["share"], share=row["share"]),
            ]
            for row in dropped
        ]
        parts.append(Table(["dropped by", "stage", "wanted", "rows", "of all dropped"], lines))
    words = "Rows that were asked for, answered, accepted as an answer, and kept by the filters."
    return Section("funnel", "From generated to kept", words, parts if cells else [])


def _fates(cells: Sequence[Mapping[str, Any]]) -> Picture:
    fates = {"kept": "kept", "dropped by a filter": "dropped", "failed": "rejected"}
    bars = {words: [int(row[name]) for row in cells] for words, name in fates.items()}
    svg = charts.stacked("rows by cell", bars, [row["cell"] for row in cells])
    return Picture(svg, "What became of the rows of each cell")


def _yield(row: Mapping[str, Any]) -> list[object]:
    generated, kept = row["generated"], row["kept"]
    known = kept is not None and generated
    low, high = wilson(int(kept), int(generated)) if known else (None, None)
    counts = [number(n, 0) for n in (generated, generated - row["rejected"], kept)]
    return [text(row["cell"]), *counts, number(kept / generated if known else None), interval(low, high)]


def _scores(recipe: Recipe) -> dict[str, str]:
    """Score that is a number -> the stage that has it for all of its rows."""
    found = {}
    for rule in recipe.filters.values():
        column = rule.score_column()
        if rule.columns.get(column) in NUMBERS:
            found[column] = "scores" if rule.raw.get(column) in NUMBERS else "filtered"
    return found


def _conditions(round_: Round) -> Section:
    recipe, scores = round_.recipe, _scores(round_.recipe)
    attributes = [*(["label"] if recipe.labels else []), *recipe.attributes]
    if not attributes:
        return Section("conditions", "Conditions", "", [])
    values = ", ".join(
        f"{{name: {literal(name)}, place: {i}, value: g.{identifier(name)}}}"
        for i, name in enumerate(attributes)
    )
    means = "".join(
        f", avg(({stage}.{identifier(name)})::double) as {identifier('mean ' + name)}"
        for name, stage in scores.items()
    )
    rows = round_.ask(f"""
        select
          c.name, c.value, count(*) as rows, count(filtered.row_id) as kept,
          count(*) over (partition by c.name) as values_of_it,
          sum(count(*)) over (partition by c.name) as rows_of_it{means}
        from (
          select row_id, unnest([{values}]) as c from {{recipe}}.generations as g where round = $round
        ) as g
        left join {{recipe}}.filtered as filtered on filtered.row_id = g.row_id and filtered.round = $round
        left join {{recipe}}.scores as scores on scores.row_id = g.row_id and scores.round = $round
        where c.value is not null
        group by c.name, c.place, c.value
        qualify row_number() over (partition by c.name order by count(*) desc, c.value) <= {SHOWN}
        order by c.place, c.value""")
    parts = [_heat_map(name, [row for row in rows if row["name"] == name], scores) for name in attributes]
    words = (
        "Yield, and mean of each score that is not the same everywhere, by the values that were asked for. "
        "The stronger the colour of a cell, the higher it is in its column."
    )
    late = [name for name, stage in scores.items() if stage == "filtered"]
    if late:
        words += f" Means of {', '.join(late)} are of kept rows."
    return Section("conditions", "Conditions", words, [part for part in parts if part])


def _heat_map(name: str, rows: Sequence[Mapping[str, Any]], scores: Mapping[str, str]) -> Table | None:
    """A line a value. None where each row has a value of its own."""
    if not rows or rows[0]["values_of_it"] == rows[0]["rows_of_it"]:
        return None
    means = {score: [row[f"mean {score}"] for row in rows] for score in scores}
    columns = {score: found for score, found in means.items() if len(set(found)) > 1}
    yields = _shaded([row["kept"] / row["rows"] for row in rows])
    intervals = [interval(*wilson(row["kept"], row["rows"])) for row in rows]
    counts = [number(row["rows"], 0) for row in rows]
    shaded = [_shaded(found) for found in columns.values()]
    lines: list[list[object]] = [
        [text(row["value"], 80), *cells]
        for row, *cells in zip(rows, counts, yields, intervals, *shaded, strict=True)
    ]
    more = rows[0]["values_of_it"] - len(rows)
    words = f"and {more:,} more values" if more else ""
    return Table([name, "rows", "yield", "95 % interval", *columns], lines, words)


def _shaded(means: Sequence[float | None]) -> list[Number]:
    known = [m for m in means if m is not None]
    low, span = min(known), max(known) - min(known)
    return [number(m, share=(m - low) / span if m is not None and span else None) for m in means]


def _examples(round_: Round) -> Section:
    recipe, scores = round_.recipe, _scores(round_.recipe)
    found = [*_kept_ends(round_, scores), *_nearest_dropped(round_)]
    parts, same = [], []
    for rule in recipe.filters.values():
        score = rule.score_column()
        rows = [row for row in found if row["score"] in (score, rule.name)]
        if len({row["value"] for row in rows}) < 2:  # kept rows are all alike, nothing else to see
            same += [f"{score} {general(row['value'])}" for row in rows[:1] if row["what"] != DROPPED]
            if all(row["what"] != DROPPED for row in rows):
                continue
        lines = [_example(row, recipe) for row in rows]
        columns = ["row", "score", *(["label"] if recipe.labels else []), "text"]
        parts.append(Table(columns, lines, f"{rule.name}, wanted {rule.threshold() or 'any'}"))
    words = "The lowest and the highest of the kept rows, and the dropped ones nearest to the threshold."
    if same:
        words += f" All kept rows have: {', '.join(same)}."
    return Section("examples", "Examples at the ends of the scores", words, parts)


def _example(row: Mapping[str, Any], recipe: Recipe) -> list[object]:
    label = [text(row["label"], 60)] if recipe.labels else []
    return [row["what"], general(row["value"]), *label, text(row["text"])]


def _kept_ends(round_: Round, scores: Mapping[str, str]) -> list[dict[str, Any]]:
    parts = [
        f"""(select {literal(name)} as score, '{what} kept' as what, {i} as place,
              ({identifier(name)})::double as value, label, text, row_id
            from {{recipe}}.filtered where round = $round and {identifier(name)} is not null
            order by {identifier(name)} {order}, row_id limit {EXAMPLES})"""
        for name in scores
        for i, (what, order) in enumerate((("lowest", "asc"), ("highest", "desc")))
    ]
    if not parts:
        return []
    rows = round_.ask(f"{' union all '.join(parts)} order by score, place, value, row_id")
    once = dict[tuple[str, str], dict[str, Any]]()  # a row may be at both ends of a few rows
    for row in rows:
        once.setdefault((row["score"], row["row_id"]), row)
    return list(once.values())


def _nearest_dropped(round_: Round) -> list[dict[str, Any]]:
    bound = "try_cast(regexp_extract(threshold, '{} (\\S+)', 1) as double)"
    low, high = (f"abs(value - {bound.format(words)})" for words in ("at least", "at most"))
    return round_.ask(f"""
        select scorer as score, '{DROPPED}' as what, value, label, text
        from {{recipe}}.rejected
        where round = $round and value is not null
        qualify row_number() over (
          partition by scorer order by least({low}, {high}) nulls last, row_id
        ) <= {EXAMPLES}
        order by all""")


def _labels(round_: Round) -> Section:
    if not round_.recipe.labels:
        return Section("labels", "Labels", "", [])
    changed = "label is distinct from former_label"
    sources = round_.ask(f"""
        select label_source, count(*) as rows, count(*) filter (where {changed}) as changed,
          avg(confidence) as confidence
        from {{recipe}}.labelled where round = $round group by all order by all""")
    moves = round_.ask(f"""
        select label_source, former_label, label, count(*) as rows, min_by(text, row_id) as example
        from {{recipe}}.labelled where round = $round and {changed}
        group by all order by rows desc, label_source, former_label, label limit {SHOWN}""")
    rows = [
        [text(r["label_source"]), number(r["rows"], 0), number(r["changed"], 0), number(r["confidence"])]
        for r in sources
    ]
    parts = [Table(["labelled by", "rows", "changed", "mean confidence"], rows)] if rows else []
    if moves:
        names = ("label_source", "former_label", "label")
        lines = [[*(text(r[c], 60) for c in names), number(r["rows"], 0), text(r["example"])] for r in moves]
        parts.append(Table(["changed by", "asked for", "now", "rows", "example"], lines))
    return Section("labels", "Label enhancement", "Whose label a kept row carries on.", parts)


def _weights(round_: Round) -> Section:
    rows = round_.ask("""
        select origin, count(*) as rows, sum(weight) as weight, min(weight) as least, max(weight) as most,
          sum(weight) ** 2 / sum(weight ** 2) as effective
        from {recipe}.weighted where round = $round group by rollup (origin) order by origin nulls last""")
    everything = next((row for row in rows if row["origin"] is None and row["rows"]), None)
    if everything is None:
        return Section("weights", "Weights", "", [])
    lines = [
        [
            row["origin"] or "all",
            number(row["rows"], 0),
            number(row["effective"], 1),
            number(row["weight"] / everything["weight"]),
            general(row["least"]),
            general(row["most"]),
        ]
        for row in rows
    ]
    columns = ["origin", "rows", "effective size", "share of the weight", "lightest", "heaviest"]
    parts: list[Table | Picture] = [Table(columns, lines)]
    if everything["least"] < everything["most"]:
        parts.append(_histogram(round_, everything["least"], everything["most"]))
    words = (
        "The training set so far. Its effective size is how many rows of one weight say as much: "
        "(sum of weights)² / sum of their squares (Kish 1965)."
    )
    return Section("weights", "Weights", words, parts)


def _histogram(round_: Round, least: float, most: float) -> Picture:
    width = (most - least) / BINS
    found = round_.ask(f"""
        select
          origin, least({BINS - 1}, floor((weight - {least!r}) / {width!r}))::int as bin, count(*) as rows
        from {{recipe}}.weighted where round = $round group by all order by origin desc, bin""")
    counts: dict[str, list[int]] = {}
    for row in found:
        counts.setdefault(row["origin"], [0] * BINS)[row["bin"]] = row["rows"]
    edges = [least + i * width for i in range(BINS + 1)]
    return Picture(charts.histogram("weights", edges, counts), "Rows by weight")


def _changes(round_: Round, now: Metrics) -> Section:
    (found,) = round_.ask("select max(round)::varchar as day from {recipe}.metrics where round < $round")
    if not found["day"]:
        return Section("changes", "Changes", "", [])
    before = round_.metrics(found["day"])
    table = differences(before, now, "before", "now", 2 * SHOWN)
    counts = round_.ask(f"""
        select round::varchar as round, asked, kept, training_rows, calls, cost from {{recipe}}.rounds
        where round in ($round, {literal(found["day"])}) order by round""")
    names = {"asked": "rows asked for", "kept": "rows kept", "training_rows": "rows of the training set"}
    names |= {"calls": "calls", "cost": "US dollars"}
    lines = [[words, *_before_and_now([row[name] for row in counts])] for name, words in names.items()]
    parts = [Table(["", "before", "now", "difference"], lines)] if len(counts) == 2 else []
    parts += [table] if table.rows else []
    words = f"Before is round {found['day']}. {INDEPENDENT}"
    return Section("changes", "Changes since the last round", words, parts)


def _before_and_now(values: Sequence[float | None]) -> Iterator[Number]:
    yield from map(general, values)
    before, now = values
    yield general(None if before is None or now is None else now - before, "+")
