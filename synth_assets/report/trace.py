"""A row's whole story, from the condition to the training sets, as the warehouse tells it."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.recipe import Recipe
from synth_assets.report.one_round import ask, query
from synth_assets.resources.home import recipes
from synth_assets.resources.storage.warehouse import Warehouse

Ask = Callable[..., list[dict[str, Any]]]
CALLS = "_calls"  # what the columns of a filter's calls end with
SHORTEST = 6  # characters of an id
MATCHES = 10  # that an error lists
CALL = (  # of a step with its call
    *("model", "endpoint", "outcome", "prompt_tokens", "completion_tokens", "tokens_from", "cost"),
    *("latency_s", "attempts", "time", "finish_reason", "accepted", "reason", "error", "thoughts"),
)


def story(warehouse: Warehouse, row_id: str, of: Recipe | None = None) -> dict[str, Any]:
    """The story of the one row whose id starts so (`RECIPE.ID` names the recipe too), ready for JSON. `of`:
    its recipe, which may stand elsewhere than among the recipes.

    UserError when no row or more than one has such an id.
    """
    recipe, row_id = _find(warehouse, row_id)
    about = partial(ask, warehouse, recipe, row_id=row_id)
    (row,) = about("select * from {recipe}.lineage where row_id = $row_id")
    scores = {n: v for n, v in json.loads(row["scores"] or "{}").items() if not n.endswith(CALLS)}
    return {
        "recipe": recipe,
        **{name: row[name] for name in ("row_id", "round", "cell", "outcome", "text")},
        "conditions": json.loads(row["conditions"]),
        "demonstrations": about(query("demonstrations")),
        "steps": [_step(step) for step in about(query("steps"))],
        "scores": scores,
        "scored_by": list(_scored_by(about, row)),
        "filters": list(_verdicts(row, scores, _score_columns(recipe, of))),
        "label": row["final_label"],
        **{name: row[name] for name in ("former_label", "label_source", "confidence")},
        "people": about(query("decided")) if _asks_people(recipe, of) else [],
        "training_sets": about(
            "select round, label, weight from {recipe}.weighted where row_id = $row_id order by round"
        ),
    }


def _scored_by(about: Ask, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The calls that scores and the label of a row rest on, and which filter asked. Rows from before scores
    noted their calls: those whose prompt ends with the row's text."""
    (scores,) = about("select * from {recipe}.scores where row_id = $row_id") or [{}]
    noted = {name.removesuffix(CALLS): ids for name, ids in scores.items() if name.endswith(CALLS)}
    filter_of = {call: name for name, ids in noted.items() for call in ids or ()}
    unknown = all(ids is None for ids in noted.values())
    shown = json.dumps(f": {row['text']}\n", ensure_ascii=False)[1:-1]
    for call in about(query("scored_by"), shown=shown, calls=" ".join(filter_of), unknown=unknown):
        yield {**_step(call), "filter": filter_of.get(call["call_id"])}


def _find(warehouse: Warehouse, given: str) -> tuple[str, str]:
    """Recipe and id of the one row that is meant."""
    recipe, _, start = given.rpartition(".")
    if len(start) < SHORTEST:
        raise UserError(f"{start!r} is too short: give at least {SHORTEST} characters of the row's id.")

    def matches(columns: str, table: str) -> list[tuple[Any, ...]]:
        where = "starts_with(row_id, $start) and $recipe in ('', recipe)"
        sql = f"select recipe, row_id, {columns}, text from {table} where {where} order by all"
        return warehouse.query(sql, {"start": start, "recipe": recipe}).fetchall()

    rows = matches("round, cell", "lineage")
    if len(rows) == 1:
        return rows[0][0], rows[0][1]
    if rows:
        lines = [f"  {r}.{i}  round {d}, {c}: {_short(t)}" for r, i, d, c, t in rows[:MATCHES]]
        lines += [f"  and {len(rows) - MATCHES} more"] if len(rows) > MATCHES else []
        fix = "give more of the id, or its recipe."
        raise UserError("\n".join([f"{given!r} stands for {len(rows)} rows: {fix}", *lines]))
    for of, row_id, split, text in matches("split", "seeds"):
        raise UserError(f"{row_id} is a seed of {of} (split {split}), which no model made: {_short(text)}")
    raise UserError(
        f"no row's id starts with {given!r}. Ids are the column row_id of every stage: "
        f'synth sql "select recipe, row_id, text from lineage"'
    )


def _asks_people(recipe: str, of: Recipe | None) -> bool:
    try:
        return (of or load(recipes() / f"{recipe}.yaml")).review is not None
    except UserError:
        return False


def _score_columns(recipe: str, of: Recipe | None) -> dict[str, str]:
    """Filter -> the column of its score, in the order of the recipe; none where that is wrong or gone."""
    try:
        filters = (of or load(recipes() / f"{recipe}.yaml")).filters
    except UserError:
        return {}
    return {name: rule.score_column() for name, rule in filters.items()}


def _verdicts(
    row: Mapping[str, Any], scores: Mapping[str, Any], columns: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """What each filter said of the row. A filter behind the one that dropped it was not asked."""
    of_filter = row["dropped_by"] == "filtered"
    if of_filter:
        columns.setdefault(row["scorer"], row["scorer"])  # the recipe no longer has it
    asked = of_filter or row["outcome"] == "kept"
    for name, column in columns.items():
        dropped = name == row["scorer"]
        yield {
            "scorer": name,
            "column": column,
            "value": row["value"] if dropped else scores.get(column),
            "verdict": ("dropped" if dropped else "passed") if asked else "not asked",
            "threshold": row["threshold"] if dropped else None,
        }
        asked = asked and not dropped


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step with its call, as it was sent and answered; what the lake does not have is None."""
    sent = {name: json.loads(step[name]) if step[name] else None for name in ("messages", "parameters")}
    ids = {name: step[name] for name in ("step", "call_id")}
    return {**ids, **sent, "answer": step["text"], **{name: step[name] for name in CALL}}


def tell(row: Mapping[str, Any]) -> Iterator[str]:
    """The story as lines for a terminal."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    yield f"{row['recipe']}.{row['row_id']}"
    yield f"round {row['round']}, cell {row['cell']}: {plain(row['outcome'] or 'not filtered yet')}"
    yield from block(row["text"], width, "  ")
    yield from ("", "conditions")
    for name, value in row["conditions"].items():
        if value is not None:  # the label, where there are none
            yield from block(str(value), width, f"  {name:24}")
    if row["demonstrations"]:
        yield from ("", "demonstrations")
        for shown in row["demonstrations"]:
            yield from block(shown["text"], width, f"  {shown['row_id'][:8]} {plain(shown['label']):15}")
    for step in row["steps"]:
        yield from ("", f"{step['step']}: {plain(step['reason'] or 'accepted')}")
        yield from _call(step, width) if step["call_id"] else ()
    for call in row["scored_by"]:
        of = f", for {plain(call['filter'])}" if call["filter"] else ""
        yield from ("", f"{call['step']}: the annotator was asked{of}")
        yield from _call(call, width)
    yield from _curation(row, width)


def _call(step: Mapping[str, Any], width: int) -> Iterator[str]:
    for message in step["messages"] or []:
        yield f"  {message['role']}"
        yield from block(message["content"], width, "    ")
    if step["thoughts"]:
        yield "  thoughts"
        yield from block(step["thoughts"], width, "    ")
    yield "  answer"
    yield from block(step["answer"], width, "    ")
    if step["error"]:
        yield from block(step["error"], width, "  error  ")
    tokens = f"{_known(step['prompt_tokens'])} + {_known(step['completion_tokens'])} tokens"
    cost = "cost unknown" if step["cost"] is None else f"${step['cost']:.6f}"
    seconds = "time unknown" if step["latency_s"] is None else f"{step['latency_s']:.2f} s"
    parts = [_known(step["model"]), tokens, cost, seconds, f"attempts: {_known(step['attempts'])}"]
    if step["finish_reason"] not in (None, "stop"):
        parts.append(f"ended with {plain(step['finish_reason'])}")
    yield from block(", ".join([*parts, _known(step["time"])]), width, "  ")
    sampling = {n: v for n, v in (step["parameters"] or {}).items() if n != "schema"}
    yield from block(valued(sampling), width, "  asked with ")
    yield f"  call {step['call_id']}"


def _curation(row: Mapping[str, Any], width: int) -> Iterator[str]:
    yield from ("", "filters")
    for verdict in row["filters"]:
        wanted = f", wanted {verdict['threshold']}" if verdict["threshold"] else ""
        # the lake keeps no score of a dropped row that depends on the other rows
        gone = verdict["value"] is None and verdict["verdict"] == "passed" and row["outcome"] != "kept"
        value = "not kept" if gone else valued(verdict["value"])
        yield f"  {verdict['scorer']:24}{value:>10}  {verdict['verdict']}{wanted}"
    judged = {verdict["column"] for verdict in row["filters"]}
    for name, value in row["scores"].items():
        if name not in judged:
            yield f"  {name:24}{valued(value)}"
    if row["label"] is not None:
        asked = "" if row["label"] == row["former_label"] else f", asked for {plain(row['former_label'])}"
        words = f"{plain(row['label'])}{asked}, says {row['label_source']}"
        yield from ("", "label", f"  {words}; confidence {valued(row['confidence'])}")
    if row["people"]:
        yield from ("", "people")
    for said in row["people"]:
        seen = ", saw a suggestion" if said["saw_suggestion"] else ""
        words = f"{plain(said['value'] or said['kind'])}, drawn {plain(said['draw'])}{seen}; {said['time']}"
        yield from block(words, width, f"  {plain(said['person'])[:22]:24}")
    yield from ("", "training sets")
    for held in row["training_sets"]:
        yield f"  {held['round']:24}weight {valued(held['weight'])}"
    if not row["training_sets"]:
        yield "  in none"


def block(text: str | None, width: int, first: str) -> Iterator[str]:
    """A text under its name, its own line breaks kept, long lines wrapped."""
    lines = plain(text or "nothing").splitlines() or [""]
    wrapped = [part for line in lines for part in textwrap.wrap(line, width - len(first)) or [""]]
    for i, line in enumerate(wrapped):
        yield f"{' ' * len(first) if i else first}{line}".rstrip()


def plain(text: Any) -> str:
    """Text whose control characters a terminal does not obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in str(text))


def _known(value: Any) -> str:
    return "unknown" if value is None else plain(value)


def valued(value: Any) -> str:
    """A value as people read it; what is not known says so."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {valued(v)}" for name, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(valued, value))
    if isinstance(value, str) and value.isspace():  # where an answer stops
        return repr(value)
    return f"{value:.4g}" if isinstance(value, float) else _known(value)


def _short(text: str | None) -> str:
    return textwrap.shorten(plain(text or "nothing"), 60, placeholder=" ...")
