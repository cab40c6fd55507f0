"""What people are asked of rows, and what they answered: CSV files, one row or pair a line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.core.errors import UserError, unknown
from synth_assets.core.text.cells import bare
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

BETTER = {"first": 1.0, "tie": 0.5, "second": 0.0}  # the verdict about the first text of a pair
PAIR = ("first_id", "second_id", "better")
RANDOM, CHOSEN = "random", "chosen"  # how a row was drawn; `chosen by` may say what chose it
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


class Draw(NamedTuple):
    """How a row came to be labelled: only one that was drawn at random measures."""

    how: str = CHOSEN
    probability: float | None = None  # of being drawn, of a random one


@dataclass(frozen=True)
class HumanLabels:
    """Labels of a file, by the row's `row_id` or by its `text`."""

    file: str
    column: str
    labels: Mapping[str, str]
    draws: Mapping[str, Draw]
    lines: Mapping[str, int]

    @property
    def random(self) -> int:
        """How many labels are of rows that were drawn at random."""
        return sum(draw.how == RANDOM for draw in self.draws.values())

    def of(self, rows: pd.DataFrame) -> list[str | None]:
        """A label or None for each row."""
        return [self.labels.get(value.strip()) for value in rows[self.column]]

    def columns(self, rows: pd.DataFrame) -> dict[str, list[Any]]:
        """How each of the rows was drawn, and how likely; None for those without a label."""
        drawn = [self.draws.get(value.strip(), Draw("")) for value in rows[self.column]]
        return {
            "human_draw": [draw.how or None for draw in drawn],
            "human_probability": [draw.probability for draw in drawn],
        }

    def beyond(self, values: Collection[str]) -> list[str]:
        """What it labels that is not among these."""
        there = {value.strip() for value in values}
        return [value for value in self.labels if value not in there]

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
    `label`; a line whose label is empty is not labelled yet. Of a row with several lines, the label that most
    of them say. `draw` and `probability` may say how the row was drawn: without them it counts as chosen.
    UserError names file, line and what is wrong."""
    place = f"labelled.human {file}"
    ways, more = [("row_id", "label"), *([] if pairs else [("text", "label")])], ("draw", "probability")
    wanted = "row_id and label" if pairs else "row_id (or text) and label"
    (column, _), rows = _read(place, file, wanted, *ways, more=more)
    said, draws, lines = dict[str, Counter[str]](), dict[str, Draw](), dict[str, int]()
    for line, (value, label, draw, probability) in rows:
        if not label:
            continue
        if not value:
            raise UserError(f"{place}:{line}: {label} is the label of no row: write the row's {column}.")
        if label not in labels:
            raise unknown("label", label, labels, f"{place}:{line}")
        said.setdefault(value, Counter())[label] += 1
        drawn = _draw(f"{place}:{line}", draw, probability)
        draws[value] = max(draws.get(value, drawn), drawn, key=lambda d: d.probability or 0)
        lines[value] = line
    label_of = {value: _majority(f"{place}:{lines[value]}", value, each) for value, each in said.items()}
    return HumanLabels(file, column, label_of, draws, lines)


def _draw(place: str, how: str, probability: str) -> Draw:
    """What the line at `place` says of it. UserError where a random row lacks its probability."""
    if how != RANDOM:
        if how and how != CHOSEN and not how.startswith(f"{CHOSEN} by "):
            raise unknown("draw", how, (RANDOM, CHOSEN, f"{CHOSEN} by ..."), place)
        return Draw(how or CHOSEN)
    try:
        likely = float(probability)
    except ValueError:
        likely = 0.0
    if not 0 < likely <= 1:
        raise UserError(
            f"{place}: {probability or 'nothing'} is the probability of a row that was drawn at random: "
            "write how many rows were drawn over how many there were, such as 0.1 (or chosen as its draw)."
        )
    return Draw(RANDOM, likely)


def _majority(place: str, value: str, said: Counter[str]) -> str:
    (label, most), *others = said.most_common(2)
    if others and others[0][1] == most:
        raise UserError(
            f"{place}: {value[:60]!r} is {label}, and as often {others[0][0]}: let one more person decide, "
            "or take one of its lines out."
        )
    return label
