"""What a model may answer about a text: its label, a number, several labels or spans; and several answers as
one, with how sure they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log2
from statistics import median_low
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.annotation.annotators import label_in
from synth_assets.contracts.section import NAME
from synth_assets.core.text import marks

if TYPE_CHECKING:
    from synth_assets.recipe.sections import Task


class Said(NamedTuple):
    """One answer that could be read, and how likely each label is, where the endpoint says that."""

    value: Any
    p: Mapping[str, float] | None = None


class Wanted:
    """Base of what is asked: the fields of the answer, and what becomes of them. Its values are those of the
    task's column."""

    asks: tuple[str, str]  # an order and a question, with the task's words for text and label

    def __init__(self, task: Task) -> None:
        self.task = task

    @property
    def column(self) -> str:
        """Of the value, in answers as in rows."""
        return self.task.predict.columns[0] if self.task.predict else "label"

    @property
    def fields(self) -> dict[str, Any]:
        """Of an answer in JSON -> type (core/answer_schema.py)."""
        raise NotImplementedError

    def meanings(self) -> dict[str, str]:
        """What may be answered, and what it means."""
        return self.task.definitions

    def read(self, found: Mapping[str, Any], text: str) -> Any:
        """The value that the fields of an answer say. ValueError: what it is not."""
        assert self.task.predict
        return self.task.predict.read({**found, "text": text})

    def named(self, answer: str) -> Any:
        """The value that an answer without fields says; None where it says none."""
        return None

    def shown(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """The fields of the right answer to a row that is known; None where it is not."""
        assert self.task.predict
        value = self.task.predict.known_of(row)
        return None if value is None else {self.column: value}

    def agreed(self, values: Sequence[Any]) -> Any:
        """One value of several: here, what more than half of the lists have."""
        counts = Counter(each for value in values for each in value)
        return sorted(each for each, n in counts.items() if 2 * n > len(values))

    def words(self, value: Any) -> str:
        """A value as a text, by which answers are equal."""
        return ", ".join(map(str, value))

    def stored(self, value: Any, text: str) -> Any:
        """As the column has it."""
        return value


class OneLabel(Wanted):
    """A label of the codebook."""

    asks = ("Say the {label} of the {text}.", "Which {label} does the {text} have?")

    @property
    def _field(self) -> str:
        return self.task.label if NAME.fullmatch(self.task.label) else "label"

    @property
    def fields(self) -> dict[str, Any]:
        return {self._field: list(self.task.verbalizers().values())}

    def meanings(self) -> dict[str, str]:
        words = self.task.verbalizers()
        return {words[label]: meaning for label, meaning in self.task.definitions.items()}

    def read(self, found: Mapping[str, Any], text: str) -> str:
        return {word: label for label, word in self.task.verbalizers().items()}[found[self._field]]

    def named(self, answer: str) -> str | None:
        return label_in(answer, self.task.verbalizers())

    def shown(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        word = self.task.verbalizers().get(str(row.get("label")))
        return word and {self._field: word}  # type: ignore[return-value]

    def words(self, value: str) -> str:
        return value


class Number(Wanted):
    """A number; several agree on the one in the middle."""

    asks = ("Say the {column} of the {text} as a number.", "Which {column} has the {text}, as a number?")

    @property
    def fields(self) -> dict[str, Any]:
        return {self.column: "number"}

    def agreed(self, values: Sequence[float]) -> float:
        return median_low(values)

    def words(self, value: float) -> str:
        return f"{value:g}"


class Several(Wanted):
    """Any number of labels."""

    asks = (
        "Say which of these labels fit the {text}: any number of them, or none.",
        "Which of these labels does the {text} have? It may have several, or none.",
    )

    @property
    def fields(self) -> dict[str, Any]:
        return {self.column: ["text"]}


class Spans(Wanted):
    """Parts of the text, listed by their kinds: a list is answered more reliably than a text with marks."""

    asks = (
        "Copy each part of the {text} that is of one of these kinds, letter by letter.",
        "Which parts of the {text} are of these kinds? Copy them letter by letter.",
    )

    @property
    def fields(self) -> dict[str, Any]:
        return {kind: ["text"] for kind in self.task.definitions}

    def read(self, found: Mapping[str, Any], text: str) -> list[marks.Span]:
        if sign := marks.MARK.search(text):
            raise ValueError(f"the text has {sign[0]} in it, which looks like the mark of a span")
        return marks.found(text, ((kind, each) for kind in self.task.definitions for each in found[kind]))

    def shown(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        assert self.task.predict
        if (spans := self.task.predict.known_of(row)) is None:
            return None
        return {
            kind: [row["text"][s.start : s.end] for s in spans if s.kind == kind]
            for kind in self.task.definitions
        }

    def words(self, value: Sequence[marks.Span]) -> str:
        return ", ".join(f"{span.kind} {span.start}-{span.end}" for span in value)

    def stored(self, value: Sequence[marks.Span], text: str) -> str:
        return marks.marked(text, value)


def wanted(task: Task) -> Wanted:
    """What the task asks of a text."""
    kinds = {"number": Number, "labels": Several, "spans": Spans}
    return kinds[task.predict.word](task) if task.predict else OneLabel(task)


def together(of: Wanted, said: Sequence[Said], text: str) -> dict[str, Any]:
    """The columns of a row of which this was said: the value, and its confidence and entropy (in bits), which
    one answer alone does not tell, unless it came with probabilities."""
    if of.task.predict is None:
        each = [s.p or {y: float(y == s.value) for y in of.task.classify} for s in said]
        p = {y: sum(one[y] for one in each) / len(each) for y in of.task.classify}
        value = max((s.value for s in said), key=p.__getitem__)  # of equals, the first
        key, made = value, {"label": value}
    else:
        value = said[0].value if len(said) == 1 else of.agreed([s.value for s in said])
        p = {word: n / len(said) for word, n in Counter(of.words(s.value) for s in said).items()}
        key, made = of.words(value), {of.column: of.stored(value, text)}
    told = len(said) > 1 or said[0].p is not None
    if of.task.predict is None:
        made["label_probabilities"] = p if told else None
    entropy = sum(-share * log2(share) for share in p.values() if 0 < share < 1)
    return {**made, "confidence": p.get(key, 0.0) if told else None, "entropy": entropy if told else None}
