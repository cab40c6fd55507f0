"""`synth compare A B`: two sets side by side: a recipe, RECIPE@ROUND, or the folder of an export.

What was measured when they were made is taken as it is. What compares only on equal terms is measured again:
students of one kind on the same test rows, diversity of equally many rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from synth_assets.core.asking import Encode
from synth_assets.core.errors import UserError
from synth_assets.core.text.pairs import both
from synth_assets.evaluation import usefulness
from synth_assets.evaluation.diversity import diversity
from synth_assets.recipe.load import load
from synth_assets.recipe.measuring import Student
from synth_assets.recipe.recipe import Recipe
from synth_assets.report import pages
from synth_assets.report.card import CARD, FILES, measured
from synth_assets.report.metrics import differences, gained
from synth_assets.report.one_round import by_name, latest_round
from synth_assets.report.pages import Section, Table, dollars, general, interval, number, share, text, total
from synth_assets.report.views import show
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.home import recipes, warehouse
from synth_assets.resources.own_encoder import chosen
from synth_assets.resources.storage.process import processors
from synth_assets.resources.storage.quoted import identifier, literal
from synth_assets.resources.storage.warehouse import as_pattern
from synth_assets.students.made import build

TRAINED = 5_000  # rows of a set that its student sees
VARIED = 1_000  # rows of a set whose diversity is measured
METRICS = 200  # rows of their table


@dataclass(frozen=True)
class Side:
    """One of the two sets."""

    name: str
    labels: frozenset[str]
    size: int
    synthetic: int
    rows: pd.DataFrame  # row_id, text, label, weight, origin and more; TRAINED at the most
    card: Mapping[str, list[dict[str, Any]]]  # title of a section of the card -> its rows
    recipe: Recipe | None  # of a set that is not a folder
    made_by: str  # what makes its metrics


def compare(a: str, b: str, encoder: MiniLM) -> list[Section]:
    """UserError for a set that is not there, and for two that are of different tasks."""
    sides = [_side(words) for words in (a, b)]
    first, second = sides
    if first.labels != second.labels:
        tasks = [f"{s.name} has {', '.join(sorted(s.labels)) or 'no labels'}" for s in sides]
        raise UserError(f"{' and '.join(tasks)}: sets of different tasks cannot be compared.")
    encoders = [s.recipe.encoder for s in sides if s.recipe]
    encoder = chosen(encoders[0] if encoders else None, encoder)
    made = [_sets(sides, encoders), _funnel(sides), _cost(sides)]
    return [*made, _students(sides, encoder), _diversity(sides, encoder.encode), _metrics(sides)]


def _side(name: str) -> Side:
    recipe, at, round_ = name.partition("@")
    if (recipes() / f"{recipe}.yaml").is_file():
        return _of_recipe(load(recipes() / f"{recipe}.yaml"), round_ if at else None)
    folder = Path(name).expanduser()
    for kind, file in FILES.items():
        if (folder / file).is_file() and (folder / "README.md").is_file():
            return _of_folder(name, folder, folder / file, kind)
    known = ", ".join(sorted(path.stem for path in recipes().glob("*.yaml"))) or "none"
    raise UserError(
        f"{name!r} is neither a recipe, nor RECIPE@ROUND, nor the folder of an export. Recipes are: "
        f"{known}. `synth export NAME --to DIR` makes a folder."
    )


COUNTS = ("select count(*) as size, count(*) filter (where origin = 'synthetic') as synthetic", "")
SAMPLE = ("select *", f"order by md5(row_id), row_id limit {TRAINED}")


def _of_recipe(recipe: Recipe, round_: str | None) -> Side:
    target = show(recipe)
    day = latest_round(recipe, "weighted", round_)
    sql = f"from {identifier(recipe.name)}.weighted where round = $round"
    counts, rows = (target.query(f"{q} {sql} {o}", {"round": day}).df() for q, o in (COUNTS, SAMPLE))
    name, made_by = f"{recipe.name}@{day}", f"`synth run {recipe.name} --round {day}` measures it."
    size, synthetic = map(int, counts.iloc[0])
    card = measured(recipe, target, day)
    return Side(name, frozenset(recipe.labels), size, synthetic, rows, card, recipe, made_by)


def _of_folder(name: str, folder: Path, file: Path, kind: str) -> Side:
    read = "read_json" if kind == "jsonl" else "read_parquet"
    card, source = _card(folder), f"{read}({literal(as_pattern(file))})"
    try:
        with duckdb.connect(config={"threads": processors()}) as connection:
            columns = set(connection.sql(f"from {source}").columns)
            if not {"row_id", "text"} <= columns:
                raise UserError(
                    f"{file} of the stage {card['stage']} has no rows with row_id and text: export weighted, "
                    "filtered or generations."
                )
            sql = _rows(source, columns, "seed" if card["stage"] == "seeds" else "synthetic")
            counts, rows = (connection.sql(f"{q} from ({sql}) {o}").df() for q, o in (COUNTS, SAMPLE))
    except duckdb.Error as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"{file} cannot be read, export the set again: {why}") from error
    made_by = "Its card has none: export a round that was measured."
    size, synthetic = map(int, counts.iloc[0])
    return Side(name, frozenset(card["labels"]), size, synthetic, rows, card["measured"], None, made_by)


def _card(folder: Path) -> dict[str, Any]:
    """What the card of an export says."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} has no {CARD}, which exports have by now: export the set again.") from None
    except ValueError:
        card = None
    if not isinstance(card, dict) or not {"stage", "labels", "measured"} <= set(card):
        raise UserError(f"{folder / CARD} is not the card of an export: export the set again.")
    return card


def _rows(file: str, columns: Collection[str], origin: str) -> str:
    """SQL of what is compared of the rows of an exported file."""
    read = ["row_id::varchar as row_id", "text::varchar as text"]
    read.append("label::varchar as label" if "label" in columns else "null as label")
    read.append("weight::double as weight" if "weight" in columns else "1.0 as weight")
    read.append("origin" if "origin" in columns else f"{literal(origin)} as origin")
    return f"select {', '.join(read)} from {file}{' where accepted' if 'accepted' in columns else ''}"


def _sets(sides: Sequence[Side], encoders: Sequence[str | None]) -> Section:
    names = {"generated": "rows asked for", "accepted": "rows accepted", "kept": "rows kept"}
    counts: dict[str, list[float | None]] = {
        "rows": [s.size for s in sides],
        "synthetic rows": [s.synthetic for s in sides],
        "rounds": [len(s.card["Rounds"]) for s in sides],
        **{name: [total(s.card["Rounds"], column) for s in sides] for column, name in names.items()},
    }
    lines: list[list[object]] = [[name, *(number(n, 0) for n in ns)] for name, ns in counts.items()]
    shares = map(share, counts["rows kept"], counts["rows asked for"])
    lines += [[name, *cells] for name, *cells in zip(["yield", "95 % interval"], *shares, strict=True)]
    columns = ["", *(f"{letter}: {s.name}" for letter, s in zip("AB", sides, strict=True))]
    return Section("sets", "The sets", _whose(encoders), [Table(columns, lines)])


def _whose(encoders: Sequence[str | None]) -> str:
    """Which encoder reads both sets, where their recipes have two."""
    if len({*encoders}) < 2:
        return ""
    a, b = (name or "the one that comes with it" for name in encoders)
    return f"Texts of both sets are read by the encoder of A's recipe ({a}), and not by that of B's ({b})."


def _funnel(sides: Sequence[Side]) -> Section:
    """Dropped rows by filter, with their share of what was asked for."""
    dropped = [{(r["filter"], r["wanted"] or ""): r["dropped"] for r in s.card["Filters"]} for s in sides]
    asked = [total(s.card["Rounds"], "generated") for s in sides]
    lines = []
    for name, wanted in dict.fromkeys(key for of_side in dropped for key in of_side):
        cells: list[object] = []
        for of_side, n in zip(dropped, asked, strict=True):
            rows = of_side.get((name, wanted), 0)
            cells += [number(rows, 0), number(rows / n if n else None)]
        lines.append([text(name), text(wanted), *cells])
    columns = ["dropped by", "wanted", "A", "of all", "B", "of all"]
    return Section("funnel", "Dropped rows", "", [Table(columns, lines)] if lines else [])


def _cost(sides: Sequence[Side]) -> Section:
    of_sides = [s.card["Models and cost"] for s in sides]
    lines: list[list[object]] = []
    for stage, model in dict.fromkeys((r["stage"], r["model"]) for rows in of_sides for r in rows):
        lines.append([text(stage), text(model)])
        for rows in of_sides:
            lines[-1] += _paid([r for r in rows if (r["stage"], r["model"]) == (stage, model)])
    lines.append(["all", "", *(cell for rows in of_sides for cell in _paid(rows))])
    columns = ["stage", "model", *(f"{s}: {c}" for s in "AB" for c in ("calls", "tokens", "dollars"))]
    words = "Calls of all rounds of each set; a cost is unknown where a model has no price."
    return Section("cost", "Cost", words, [Table(columns, lines)])


def _paid(rows: Sequence[Mapping[str, Any]]) -> list[object]:
    prompt, completion = (total(rows, name) for name in ("prompt_tokens", "completion_tokens"))
    tokens = None if prompt is None or completion is None else prompt + completion
    return [number(total(rows, "calls"), 0), number(tokens, 0), dollars(total(rows, "dollars"))]


def _students(sides: Sequence[Side], encoder: MiniLM) -> Section:
    """Both sets' students on the same test rows, which neither was trained on."""
    if not sides[0].labels:
        return Section("students", "", "", [])
    test = _test_rows(sides)
    title = "Students on the same test rows"
    if test is None or test.empty:
        why = "Their recipes have no test row in common that neither set has."
        why = "Both are folders, which have no test rows." if test is None else why
        return Section("students", title, why, [Table(["", "accuracy"], [["both", number(None)]])])
    student, why = _student(sides)
    sets = {x: both(s.rows.dropna(subset=["label"]), None) for x, s in zip("AB", sides, strict=True)}
    made = build(student, encoder.encode, encoder.folder)
    predicted = usefulness.predictions(sets, test, made)
    right = {x: None if p is None else p.right for x, p in predicted.items()}
    metrics = by_name(row._asdict() for row in usefulness.compare(right, len(test), "A"))
    accuracy = {x: metrics["accuracy", x] for x in "AB"}
    lines = [[x, number(value), interval(low, high)] for x, (value, low, high, _) in accuracy.items()]
    if gain := metrics.get(("accuracy_gain", "B")):
        lines.append(["B against A", *gained(gain)])
    words = (
        f"Trained again on at most {TRAINED:,} rows of each set, with their weights; tested on {len(test):,} "
        f"real rows that neither sample has. The student is {why}. The difference is paired: its interval is "
        "of the same rows."
    )
    if any(s.recipe and s.recipe.task.pair for s in sides):
        words += " It reads the texts alone, and not what they are paired with."
    if lacking := [s.name for x, s in zip("AB", sides, strict=True) if right[x] is None]:
        words += f" {' and '.join(lacking)}: a label of the test rows is in no row."
    return Section("students", title, words, [Table(["trained on", "accuracy", "95 % interval"], lines)])


def _student(sides: Sequence[Side]) -> tuple[Student, str]:
    """The student that both sides' recipes ask for, or the fast one, and in words which it is and why."""
    first, second = (s.recipe and s.recipe.student for s in sides)
    if first and first == second:
        return first, f"that of both recipes ({_options(first)})"
    fast, why = Student(), "the folder of an export does not say which was meant"
    if first and second:
        why = f"A's recipe asks for another ({_options(first)}) than B's ({_options(second)})"
    return fast, f"the fast one ({_options(fast)}), as {why}"


def _options(student: Student) -> str:
    """As the recipe has it: `by: boosting, features: tfidf`."""
    options = {"by": student.by, **student.model_dump(exclude_defaults=True)}
    return ", ".join(f"{name}: {str(value).lower()}" for name, value in options.items())


def _seeds(recipe: Recipe, splits: Sequence[str]) -> pd.DataFrame:
    listed = ", ".join(map(literal, splits))
    sql = f"select row_id, text, label from {identifier(recipe.name)}.seeds where split in ({listed})"
    return warehouse().query(sql).df().drop_duplicates(["text", "label"])


def _test_rows(sides: Sequence[Side]) -> pd.DataFrame | None:
    """Test rows that the recipes have in common, without what is in a set; None if both are folders."""
    tests = [_seeds(s.recipe, ["test"]) for s in sides if s.recipe]
    if not tests:
        return None
    test, *others = tests
    for other in others:
        test = test.merge(other[["text", "label"]], on=["text", "label"])
    trained = pd.concat([s.rows["text"] for s in sides])
    return both(test[~test["text"].isin(trained)].reset_index(drop=True), None)


def _diversity(sides: Sequence[Side], encode: Encode) -> Section:
    sets = {x: s.rows[s.rows["origin"] == "synthetic"] for x, s in zip("AB", sides, strict=True)}
    n = min(VARIED, *map(len, sets.values()))
    if recipe := next((s.recipe for s in sides if s.recipe), None):
        seeds = _seeds(recipe, ["unlabeled", "test"])
        if len(seeds) >= n:
            sets["real"] = seeds.sort_values("row_id")
    of_sets = [diversity(list(rows["text"][:n]), encode).assign(slice="") for rows in sets.values()]
    a, b, *real = (by_name(rows.astype(object).to_dict("records")) for rows in of_sets)
    table = differences(a, b, "A", "B", METRICS)
    lines = [
        [name, *cells, *(general(of_real[str(name), ""][0]) for of_real in real)]
        for name, _, *cells in table.rows  # there are no slices
    ]
    columns = ["measure", *table.columns[2:], *(["real"] if real else [])]
    words = f"Of {n:,} synthetic rows each: most measures depend on the size of a set."
    if few := [s.name for x, s in zip("AB", sides, strict=True) if len(sets[x]) < 2]:
        words = f"Fewer than two synthetic rows: {' and '.join(few)}."
    return Section("diversity", "Diversity", words, [Table(columns, lines)])


def _metrics(sides: Sequence[Side]) -> Section:
    words = f"As they were measured when the sets were made. {pages.WORDS['independent']}"
    words += "".join(f" {s.name} has no metrics. {s.made_by}" for s in sides if not s.card["Metrics"])
    a, b = (by_name(s.card["Metrics"]) for s in sides)
    table = differences(a, b, "A", "B", METRICS)
    table = table if table.rows else Table(["metric", "A", "B"], [["all", number(None), number(None)]])
    return Section("metrics", "Metrics", words, [table])
