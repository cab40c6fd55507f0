"""What people are asked of rows, and what they answered: CSV files, one row or pair a line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.errors import UserError, unknown
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

BETTER = {"first": 1.0, "tie": 0.5, "second": 0.0}  # the verdict about the first text of a pair
PAIR = ("first_id", "second_id", "better")


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
    columns, rows = read(place, file, ", ".join(PAIR))
    if not set(PAIR) <= set(columns):
        raise UserError(
            f"{place}: wanted the columns {', '.join(PAIR)}, there are {', '.join(columns) or 'none'}."
        )
    found = dict[tuple[str, str], float]()
    for line, row in rows:
        first, second, better = ((row[name] or "").strip() for name in PAIR)
        if not better:
            continue
        if better not in BETTER:
            raise unknown("verdict", better, BETTER, f"{place}:{line}")
        verdict = BETTER[better]
        if found.setdefault((first, second), verdict) != verdict:
            raise UserError(f"{place}:{line}: the pair has two verdicts: take one of the lines out.")
        found[second, first] = 1 - verdict
    return found


def read(place: str, file: str, columns: str) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    """The columns of a CSV file, and its rows with the lines on which they begin. UserError says that `place`
    wants a file with `columns`."""
    found = []
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened, strict=True)
            there = list(rows.fieldnames or ())
            begin = rows.line_num + 1
            for row in rows:
                if None in row:
                    why = "more values than columns: put what has a comma into quotes"
                    raise UserError(f"{place}:{begin}: {why}.")
                found.append((begin, row))
                begin = rows.line_num + 1
    except FileNotFoundError as error:
        raise UserError(f"{place}: there is no such file: write a CSV file with {columns}.") from error
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}: name a CSV file.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{place}: {error}: save it as CSV in UTF-8.") from error
    return there, found
