"""What people are asked of rows, and what they answered: CSV files, one row or pair a line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.annotation.votes import Draw, Vote
from synth_assets.contracts.decision import BETTER, CHOSEN, NO_PROBABILITY, RANDOM, check_draw
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.text.cells import bare
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

PAIR = ("first_id", "second_id", "better")
Line = tuple[int, list[str]]  # of a file, with the values that are there


def pairs_to_judge(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], n: int) -> pd.DataFrame:
    """A table of `n` of the pairs, drawn at random, for people who do not see which round a text is of."""
    import pandas as pd

    by_ids = {f"{new['row_id']}/{old['row_id']}": (new, old) for new, old in pairs}
    drawn = [by_ids[ids] for ids in ranked(by_ids, "people")[:n]]
    rows = []
    for pair in drawn:
        swapped = ranked([row["row_id"] for row in pair], "side")[0] != pair[0]["row_id"]
        first, second = pair[::-1] if swapped else pair
        rows.append((first["row_id"], second["row_id"], first["text"], second["text"], ""))
    return pd.DataFrame(rows, columns=["first_id", "second_id", "first", "second", "better"])


def read_verdicts(file: str) -> dict[tuple[str, str], float]:
    """Both ids of a pair -> the verdict about the first: 1 it is better, 0.5 a tie, 0. Each pair stands there
    in both orders; one without a verdict is not judged yet. UserError names file, line and what is wrong."""
    place = f"metrics.judge.people {file}"
    _, rows = _read(place, file, ", ".join(PAIR), PAIR)
    verdicts = dict[tuple[str, str], float]()
    for line, (first, second, better) in rows:
        if not better:
            continue
        if better not in BETTER:
            raise unknown("verdict", better, BETTER, f"{place}:{line}")
        verdict = BETTER[better]
        if verdicts.setdefault((first, second), verdict) != verdict:
            raise UserError(f"{place}:{line}: the pair has two verdicts: take one of the lines out.")
        verdicts[second, first] = 1 - verdict
    return verdicts


def _read(
    place: str, file: str, wanted: str, *columns: Sequence[str], more: Sequence[str] = ()
) -> tuple[Sequence[str], list[Line]]:
    """Of the `columns`, the first ones that a CSV file has, and their values and those of `more` (empty where
    it lacks them), with the lines on which rows begin. UserError says that `place` wants a file with the
    columns `wanted`."""
    lines: list[Line] = []
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened, strict=True)
            there, begin = list(rows.fieldnames or ()), rows.line_num + 1
            read = next((names for names in columns if {*names} <= {*there}), None)
            for row in rows:
                if None in row:
                    why = "more values than columns: put what has a comma into quotes"
                    raise UserError(f"{place}:{begin}: {why}.")
                names = [*(read or ()), *more]
                lines.append((begin, [bare((row.get(name) or "").strip()).strip() for name in names]))
                begin = rows.line_num + 1
    except FileNotFoundError as error:
        raise UserError(f"{place}: there is no such file: write a CSV file with {wanted}.") from error
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}: name a CSV file.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{place}: {error}: save it as CSV in UTF-8.") from error
    if read is None:
        raise UserError(f"{place}: wanted the columns {wanted}, there are {', '.join(there) or 'none'}.")
    return read, lines


@dataclass(frozen=True)
class HumanLabels:
    """Labels of a file, by the row's `row_id` or by its `text`."""

    file: str
    column: str
    said: Sequence[Vote]  # each line by itself; its row is what `column` has
    lines: Mapping[str, int]  # value of the column -> the last line of it

    @property
    def labels(self) -> int:
        """How many rows it labels."""
        return len(self.lines)

    @property
    def random(self) -> int:
        """How many of these were drawn at random."""
        return len({vote.row_id for vote in self.said if vote.draw.how == RANDOM})

    def votes(self, rows: pd.DataFrame) -> list[Vote]:
        """What each person says of each of the rows."""
        ids: dict[str, list[str]] = {}
        for value, row_id in zip(rows[self.column], rows["row_id"], strict=True):
            ids.setdefault(value.strip(), []).append(row_id)
        return [vote._replace(row_id=row) for vote in self.said for row in ids.get(vote.row_id, ())]

    def beyond(self, values: Collection[str]) -> list[str]:
        """What it labels that is not among these."""
        there = {value.strip() for value in values}
        return [value for value in self.lines if value not in there]

    def refuse(self, known: Collection[str]) -> None:
        """UserError for the first row that is not known."""
        for value in self.beyond(known):
            near = get_close_matches(value, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            some = ", ".join(sorted(known)[:3]) or "none"
            raise UserError(
                f"labelled.human {self.file}:{self.lines[value]}: no row has the {self.column} "
                f"{value[:60]!r}.{hint} There are {len(known):,}, such as {some}. Mend the line or take it "
                "out: an edited prompt makes other rows."
            )


def read_human(file: str, labels: Sequence[str], pairs: bool = False) -> HumanLabels:
    """A CSV file with `row_id` or `text` (of `pairs`, whose first texts may stand in several, `row_id`), and
    `label`; a line whose label is empty is not labelled yet. A row may have several
    lines, of several people; `person` may say whose each is. `draw` and `probability` may say how the row was
    drawn: without them it counts as chosen. UserError names file, line and what is wrong."""
    place = f"labelled.human {file}"
    ways, more = [("row_id", "label"), *([] if pairs else [("text", "label")])], ("draw", "probability")
    wanted = "row_id and label" if pairs else "row_id (or text) and label"
    (column, _), rows = _read(place, file, wanted, *ways, more=(*more, "person"))
    said, lines, unnamed = dict[str, dict[str, Vote]](), dict[str, int](), set[str]()
    for line, (value, label, draw, probability, person) in rows:
        if not label:
            continue
        if not value:
            raise UserError(f"{place}:{line}: {label} is the label of no row: write the row's {column}.")
        if label not in labels:
            raise unknown("label", label, labels, f"{place}:{line}")
        whose, lines[value] = person or f"line {line}", line
        vote = Vote(value, whose, label, _draw(f"{place}:{line}", draw, probability))
        before = said.setdefault(value, {}).setdefault(whose, vote)
        if before.value != label:
            why = f"{person} says {before.value} of {value[:60]!r}, and {label}"
            raise UserError(f"{place}:{line}: {why}: take one of the lines out.")
        unnamed |= {value} if not person else set()
    for value in unnamed:
        _check_divided(f"{place}:{lines[value]}", value, [vote.value for vote in said[value].values()])
    return HumanLabels(file, column, [v for votes in said.values() for v in votes.values()], lines)


def _draw(place: str, how: str, probability: str) -> Draw:
    """What the line at `place` says of it. UserError where a random row lacks its probability."""
    try:
        share = float(probability) if how == RANDOM else None
    except ValueError:
        raise UserError(f"{place}: {NO_PROBABILITY.format(probability or 'nothing')}") from None
    check_draw(place, how or CHOSEN, share)
    return Draw(how or CHOSEN, share)


def _check_divided(place: str, value: str, said: Sequence[str]) -> None:
    """UserError where as many lines say one label as another: of people who are not named, it may be a line
    too many."""
    (label, most), *others = Counter(said).most_common(2)
    if others and others[0][1] == most:
        raise UserError(
            f"{place}: {value[:60]!r} is {label}, and as often {others[0][0]}: let one more person decide, "
            "take one of the lines out, or say in a column `person` whose each is."
        )
