"""The sections of a report that show rows: conditions, examples, labels, weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from synth_assets.contracts.measured import wilson
from synth_assets.evaluation.map_of_rows import ALONE, KINDS, MOST, map_of_rows
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import charts
from synth_assets.report.one_round import Round, query
from synth_assets.report.pages import (
    Number,
    Picture,
    Section,
    Table,
    general,
    interval,
    number,
    text,
    total,
)
from synth_assets.resources.home import encoder
from synth_assets.resources.own_encoder import chosen
from synth_assets.resources.storage.quoted import identifier, literal

SHOWN = 30  # cells, values and labels that a table or a picture has
FARTHEST = 6  # real rows without a kept row near that are shown
EXAMPLES = 2  # rows at each end of a score
BINS = 30
MOVES = 8  # of labels that a terminal is shown
NUMBERS = ("double", "int64", "bool")  # types of scores that are numbers


def _scores(recipe: Recipe) -> dict[str, str]:
    """Score that is a number -> the stage that has it for all of its rows."""
    found = {}
    for rule in recipe.filters.values():
        column = rule.score_column()
        if rule.columns.get(column) in NUMBERS:
            found[column] = "scores" if rule.raw.get(column) in NUMBERS else "filtered"
    return found


def of_conditions(round_: Round) -> Section:
    """Yield and mean scores by the values that were asked for."""
    recipe, scores = round_.recipe, _scores(round_.recipe)
    attributes = [*(["label"] if recipe.labels else []), *recipe.attributes]
    if not attributes:
        return Section.of("conditions", [])
    values = ", ".join(
        f"{{name: {literal(name)}, place: {i}, value: g.{identifier(name)}::varchar}}"
        for i, name in enumerate(attributes)
    )
    means = "".join(
        f", avg(({stage}.{identifier(name)})::double) as {identifier('mean ' + name)}"
        for name, stage in scores.items()
    )
    sql = query("conditions").replace("{values}", values).replace("{means}", means)
    rows = round_.ask(sql, most=SHOWN)
    parts = [_heat_map(name, [row for row in rows if row["name"] == name], scores) for name in attributes]
    late = ", ".join(name for name, stage in scores.items() if stage == "filtered")
    more = [f"Means of {late} are of kept rows."] if late else []
    return Section.of("conditions", [part for part in parts if part], *more)


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


def of_map(round_: Round) -> Section:
    """Where real, kept and dropped rows are. NotInstalled where there is no encoder."""
    rows = round_.ask(query("map"), most=MOST) if round_.recipe.metrics.diversity else []
    of = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    encode = chosen(round_.recipe.encoder, encoder()).encode
    found = map_of_rows({kind: [row["text"] for row in each] for kind, each in of.items()}, encode)
    if found is None:
        return Section.of("map", [])
    of[ALONE] = [of["real"][i] for i in found.alone]
    hover = [_said(name, row) for name, each in of.items() for row in each]
    cut = [
        f"{len(e):,} of {e[0]['texts']:,} {k}"
        for k, e in of.items()
        if k != ALONE and e and len(e) < e[0]["texts"]
    ]
    caption = (
        f"Different texts, drawn by a hash of their ids: {', '.join(cut)}" if cut else "All different texts"
    )
    parts: list[Table | Picture] = [
        Picture("map of the rows", partial(charts.places, found.series()), caption, hover)
    ]
    alone = [
        [text(of["real"][i]["text"]), text(of["kept"][found.nearest[i]]["text"]), number(found.likeness[i])]
        for i in found.alone[:FARTHEST]
    ]
    if alone:
        told = f"the farthest of the {len(found.alone):,} real rows without a kept row near"
        parts.append(Table(["real row", "nearest kept row", "cosine similarity"], alone, told))
    return Section.of("map", parts, share=f"{found.share:.0%}")


def _said(kind: str, row: Mapping[str, Any]) -> str:
    why = f" ({text(row['why'], 120)})" if row["why"] else ""
    return f"{kind}{why}: {text(row['text'])}"


def of_examples(round_: Round) -> Section:
    """Rows at the ends of each score, kept and dropped."""
    recipe, scores = round_.recipe, _scores(round_.recipe)
    shown = [*_kept_ends(round_, scores), *round_.ask(query("nearest_dropped"), most=EXAMPLES)]
    parts, same = [], []
    for rule in recipe.filters.values():
        score = rule.score_column()
        rows = [row for row in shown if row["score"] in (score, rule.name)]
        if len({row["value"] for row in rows}) < 2:  # kept rows are all alike, nothing else to see
            same += [f"{score} {general(row['value'])}" for row in rows[:1] if row["what"] != "dropped"]
            if all(row["what"] != "dropped" for row in rows):
                continue
        lines = [
            [
                r["what"],
                general(r["value"]),
                *([text(r["label"], 60)] if recipe.labels else []),
                text(r["text"]),
            ]
            for r in rows
        ]
        columns = ["row", "score", *(["label"] if recipe.labels else []), "text"]
        parts.append(Table(columns, lines, f"{rule.name}, wanted {rule.threshold() or 'any'}"))
    more = [f"All kept rows have: {', '.join(same)}."] if same else []
    return Section.of("examples", parts, *more)


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


def of_labels(round_: Round) -> Section:
    """Whose labels the rows have, and which were changed."""
    if not round_.recipe.labels:
        return Section.of("labels", [])
    sources = round_.ask(query("label_sources"))
    moves = round_.ask(query("label_moves"), most=SHOWN)
    rows = [
        [text(r["label_source"]), number(r["rows"], 0), number(r["changed"], 0), number(r["confidence"])]
        for r in sources
    ]
    parts = [Table(["labelled by", "rows", "changed", "mean confidence"], rows)] if rows else []
    if moves:
        names = ("label_source", "former_label", "label")
        lines = [[*(text(r[c], 60) for c in names), number(r["rows"], 0), text(r["example"])] for r in moves]
        parts.append(Table(["changed by", "asked for", "now", "rows", "example"], lines))
    return Section.of("labels", parts)


def changed_labels(round_: Round) -> Iterator[str | Table]:
    """How many labels were changed, from what to what, and how many rightly where `metrics.truth` says what
    is right; nothing where none could be."""
    recipe, kept = round_.recipe, round_.counts["kept"]
    people = recipe.labelled.human or recipe.by_people
    if not recipe.labels or not kept or (recipe.labelled.by == "condition" and not people):
        return
    truth = recipe.metrics.truth.get("label")
    right = f"l.label = f.{identifier(truth.column)}::varchar" if truth else "null::boolean"
    moves = round_.ask(query("changed_labels").replace("{right}", right))
    changed, rightly, known = (int(total(moves, name) or 0) for name in ("rows", "rightly", "known"))
    words = f"labelled by {recipe.labelled.by}: {changed:,} of {kept:,} labels changed"
    yield words + (f", {rightly:,} of {known:,} rightly" if known else "") + "."
    lines = [
        [*(text(r[c], 60) for c in ("former_label", "label")), number(r["rows"], 0)]
        + ([number(r["rightly"], 0)] if known else [])
        for r in moves[:MOVES]
    ]
    if lines:
        yield Table(["label asked for", "now", "rows", *(["rightly"] if known else [])], lines)


def of_weights(round_: Round) -> Section:
    """How much weight the rows have, by origin."""
    rows = round_.ask(query("weights"))
    everything = next((row for row in rows if row["origin"] is None and row["rows"]), None)
    if everything is None:
        return Section.of("weights", [])
    lines = []
    for r in rows:
        counts = [number(r["rows"], 0), number(r["effective"], 1), number(r["weight"] / everything["weight"])]
        lines.append([r["origin"] or "all", *counts, general(r["least"]), general(r["most"])])
    columns = ["origin", "rows", "effective size", "share of the weight", "lightest", "heaviest"]
    parts: list[Table | Picture] = [Table(columns, lines)]
    if everything["least"] < everything["most"]:
        parts.append(_histogram(round_, everything["least"], everything["most"]))
    return Section.of("weights", parts)


def _histogram(round_: Round, least: float, most: float) -> Picture:
    width = (most - least) / BINS
    counts: dict[str, list[int]] = {}
    for row in round_.ask(query("weight_bins"), bins=BINS, least=least, width=width):
        counts.setdefault(row["origin"], [0] * BINS)[row["bin"]] = row["rows"]
    edges = [least + i * width for i in range(BINS + 1)]
    return Picture("weights", partial(charts.outlines, edges, counts, "weight"), "Rows by weight")
