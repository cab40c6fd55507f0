"""What several people say of a row, as one answer: of those that count, in the way that a recipe names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.contracts.decision import CHOSEN, RANDOM, text_id

if TYPE_CHECKING:
    import numpy as np

# (n, annotators) answers, classes -> (n, K) how likely each class is
Aggregate = Callable[[Sequence[Sequence[str | None]], Sequence[str]], "np.ndarray"]
CLOSE = 1e-9  # probabilities that are alike
SEEN = "random, suggestion seen"  # how a row was drawn whose label measures nothing all the same


class Draw(NamedTuple):
    """How a row came to be labelled: only one that was drawn at random measures."""

    how: str = CHOSEN
    probability: float | None = None  # of being drawn, of a random one


class Vote(NamedTuple):
    """What a person says of a row: a label, labels, or spans (start, end, kind)."""

    row_id: str
    person: str
    value: Any
    draw: Draw = Draw()


class Word(NamedTuple):
    """What people together say of a row. Where they are divided, the first one's word holds: to leave such
    rows out would leave the easy ones to measure by."""

    value: Any
    draw: Draw
    divided: bool = False


def votes_of(reviews: Iterable[Mapping[str, Any]], kind: str, texts: Mapping[str, str]) -> list[Vote]:
    """The votes in rows of `reviews`: of a kind, about rows that have a text. Spans count as long as the text
    is the one in which they stand."""
    found = []
    for each in reviews:
        if each["kind"] != kind or each["row_id"] not in texts:
            continue
        if kind == "spans" and each["text_id"] and each["text_id"] != text_id(texts[each["row_id"]]):
            continue
        how = SEEN if each["draw"] == RANDOM and each["saw_suggestion"] else each["draw"]
        draw = Draw(how, each["probability"] if how == RANDOM else None)
        found.append(Vote(each["row_id"], each["person"], read(kind, each["value"]), draw))
    return found


def written(kind: str, value: Any) -> str | None:
    """A value as a column of texts has it: a label, a choice and a text as they are, all else as JSON."""
    if value is None:
        return None
    value = sorted(value) if kind in ("labels", "spans") else value
    return value if kind in ("label", "choice", "text") else json.dumps(value, ensure_ascii=False)


def read(kind: str, value: str | None) -> Any:
    """The value again."""
    return value if value is None or kind in ("label", "choice", "text") else json.loads(value)


def together(
    votes: Iterable[Vote], classes: Sequence[str], kind: str, aggregate: Aggregate
) -> dict[str, Word]:
    """Row id -> what people say of it. Where some votes measure, these alone count: a label that somebody saw
    a suggestion of would make the sample lean to it."""
    by_row: dict[str, dict[str, Vote]] = {}
    for vote in votes:
        by_row.setdefault(vote.row_id, {})[vote.person] = vote
    for row_id, said in by_row.items():
        blind = {person: vote for person, vote in said.items() if vote.draw.how == RANDOM}
        by_row[row_id] = blind or said
    draws = {row: max((v.draw for v in said.values()), key=_likely) for row, said in by_row.items()}
    decided = _DECIDED[kind](by_row, classes, aggregate) if by_row else {}
    return {row: Word(value, draws[row], divided) for row, (value, divided) in decided.items()}


def _likely(draw: Draw) -> float:
    return draw.probability or 0.0


ByRow = Mapping[str, Mapping[str, Vote]]  # row -> person -> vote, the first one first
Decided = dict[str, tuple[Any, bool]]  # row -> value, and whether people are divided about it


def _label(by_row: ByRow, classes: Sequence[str], aggregate: Aggregate) -> Decided:
    """The likeliest label; of several that are as likely, the one that was said first."""
    if not by_row:
        return {}
    people = sorted({person for said in by_row.values() for person in said})
    answers = [[said[p].value if p in said else None for p in people] for said in by_row.values()]
    found: Decided = {}
    for (row, said), p in zip(by_row.items(), aggregate(answers, classes), strict=True):
        best = [classes[k] for k in (p >= p.max() - CLOSE).nonzero()[0]]
        first = next((vote.value for vote in said.values() if vote.value in best), best[0])
        found[row] = first, len(best) > 1
    return found


def _labels(by_row: ByRow, classes: Sequence[str], aggregate: Aggregate) -> Decided:
    """Each label by itself."""
    found: Decided = {row: ([], False) for row in by_row}
    for name in classes:
        said = {
            row: {p: v._replace(value="yes" if name in v.value else "no") for p, v in votes.items()}
            for row, votes in by_row.items()
        }
        for row, (value, divided) in _label(said, ["no", "yes"], aggregate).items():
            names, before = found[row]
            found[row] = [*names, *([name] if value == "yes" else [])], before or divided
    return found


def _spans(by_row: ByRow, classes: Sequence[str], aggregate: Aggregate) -> Decided:
    """Those that more than half of the people marked, from and to the same character. No two of them overlap,
    since no person's do."""
    found: Decided = {}
    for row, votes in by_row.items():
        said = [{tuple(span) for span in vote.value} for vote in votes.values()]
        counts = Counter(span for spans in said for span in spans)
        halves = {span for span, n in counts.items() if 2 * n == len(said)}
        most = {span for span, n in counts.items() if 2 * n > len(said)}
        found[row] = sorted(most | (halves & said[0])), bool(halves)
    return found


_DECIDED = {"label": _label, "labels": _labels, "spans": _spans}
