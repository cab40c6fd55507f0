"""Decisions of this home in files: written for other programs and other homes, and taken from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.annotation import conll, exchange, label_studio
from synth_assets.annotation.exchange import Of, Read, Row
from synth_assets.contracts.decision import Decision
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.identity import tagged_hash
from synth_assets.recipe.review import kind_asked
from synth_assets.resources import home
from synth_assets.resources.storage.files import write
from synth_assets.review.opened import opened
from synth_assets.stages import tables

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

SHOWN = 10  # of what was not taken
READERS: Mapping[str, Callable[[str, Of], Read]] = {
    ".csv": exchange.of_csv,
    ".jsonl": exchange.of_jsonl,
    ".json": label_studio.of_tasks,
    ".conll": conll.of_conll,
}


def export(recipe: Recipe, to: Path, round_: str | None = None) -> Iterator[str]:
    """Write the decisions into a new file, by its ending: CSV and JSON lines have all that was ever decided,
    Label Studio's tasks the rows of a round in the order of the queue, with what holds, CoNLL the spans. What
    was written, in words."""
    suffix, of, store = _suffix(to), of_recipe(recipe), home.decisions()
    if to.exists():
        raise UserError(f"{to} exists: people may have worked in it. Choose another name.")
    if suffix == ".json":
        yield from _tasks(recipe, to, round_, of)
        return
    if suffix == ".conll" and of.kind != "spans":
        raise UserError(f"{to}: CoNLL is of spans, and people are asked for a {of.kind} here: write .csv.")
    said = store.current(recipe.name) if suffix == ".conll" else store.all(recipe.name)
    if suffix == ".conll":
        said = [each for each in said if each.kind == "spans" and of.row(each.row_id)]
    text = {".csv": exchange.to_csv, ".jsonl": exchange.to_jsonl, ".conll": conll.to_conll}[suffix](said, of)
    write(to, text)
    yield f"{len(said):,} decisions are in {to}."


def _tasks(recipe: Recipe, to: Path, round_: str | None, of: Of) -> Iterator[str]:
    desk = opened(recipe, round_)
    places = [{"row_id": p.row_id, "draw": p.draw, "probability": p.probability} for p in desk.queue.places]
    shown: dict[str, Any] = {}
    if recipe.review and recipe.review.show == "suggestion":
        items = (desk.rows.item(place.row_id) for place in desk.queue.places)
        shown = {item.row_id: item.suggestion for item in items if item and item.suggestion is not None}
    held = [each for each in home.decisions().current(recipe.name) if each.kind in (of.kind, "text", "skip")]
    write(to, label_studio.to_tasks(places, held, of, shown))
    yield f"{len(places):,} rows of {desk.rows.round} are in {to}. The labelling interface of their project:"
    yield label_studio.config(of)


class Taken(NamedTuple):
    """What came of a file."""

    new: int
    there: int
    left: list[tuple[str, str]]


def take(recipe: Recipe, file: Path, person: str = "") -> Iterator[str]:
    """Store the decisions of a file that are new; what was taken, and what not and why. UserError where it is
    nothing that can be read, or nothing of it could be taken."""
    read = READERS[_suffix(file)]
    home.made()
    try:
        text = file.read_bytes().decode("utf-8-sig")  # line ends as they are: they may be in a text
        found = read(text, of_recipe(recipe, person))
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}: name a file that is there.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: {error}: save it in UTF-8.") from error
    except UserError as error:
        raise UserError(f"{file}: {error}.") from error
    taken = _store(recipe, found)
    if taken.left and not taken.new + taken.there:
        place, why = taken.left[0]
        raise UserError(f"{file}: none of {len(taken.left):,} decisions could be taken: {place}: {why}.")
    yield f"{taken.new:,} decisions of {file} are new, {taken.there:,} were there already."
    if taken.left:
        yield f"{len(taken.left):,} were not taken:"
        yield from (f"  {place}: {why}" for place, why in taken.left[:SHOWN])
        if len(taken.left) > SHOWN:
            yield f"  and {len(taken.left) - SHOWN:,} more"
    rounds = Counter(each.round for each in found.decisions if each.round)
    if taken.new and rounds:
        yield f"To make labels and metrics of them: synth run {recipe.name} --round {max(rounds)}"


def _store(recipe: Recipe, found: Read) -> Taken:
    store, left, new, there = home.decisions(), list(found.left), list[Decision](), 0
    known = {each.decision_id: each for each in store.all(recipe.name)}
    for each in found.decisions:
        before = known.get(each.decision_id)
        if before and (before.value, before.kind) != (each.value, each.kind):
            each = _corrected(before, each)  # an annotation that was changed keeps its id
            before = known.get(each.decision_id)
        if before:
            there += 1
        else:
            known[each.decision_id] = each
            new.append(each)
    try:
        return Taken(store.append(*new), there, left)
    except UserError:  # one of them; then one by one
        stored = 0
        for each in new:
            try:
                stored += store.append(each)
            except UserError as error:
                left.append((f"decision {each.decision_id}", str(error).removesuffix(".")))
        return Taken(stored, there, left)


def _corrected(before: Decision, now: Decision) -> Decision:
    id_ = tagged_hash("correction/1", [before.decision_id, now.kind, now.value])
    return replace(now, decision_id=id_, corrects=before.decision_id, time="")


def of_recipe(recipe: Recipe, person: str = "") -> Of:
    """Of the rows of all rounds, and the seeds."""
    if recipe.review is None:
        raise UserError(f"{recipe.name} asks people nothing: write `review: {{}}` into its recipe.")
    import pyarrow as pa

    lake, rows, pair = home.lake(), dict[str, Row](), recipe.task.pair
    columns = ["row_id", "text", *filter(None, [pair])]
    for stage, cut in (("seeds", ()), ("filtered", ("round",))):
        schema = pa.schema([f for f in tables.schema(recipe, stage) if f.name in columns])
        for place in lake.partitions(recipe.name, stage, cut) if cut else [{}]:
            if lake.has(recipe.name, stage, place):
                found = lake.read(recipe.name, stage, [place], schema)
                texts = zip(*(found[name] for name in columns[1:] if name in found), strict=True)
                each = (Row(tuple(str(t or "") for t in of), place.get("round", "")) for of in texts)
                rows |= dict(zip(found["row_id"], each, strict=True))
    return Of(recipe.name, kind_asked(recipe), list(recipe.task.definitions), rows, person)


def _suffix(file: Path) -> str:
    if file.suffix not in READERS:
        raise unknown("ending of a file", file.suffix or "none", READERS, str(file))
    return file.suffix
