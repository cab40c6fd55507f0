"""How the texts of a step `annotate` are asked, and what is read of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.annotation import annotators
from synth_assets.annotation.answers import Said, together, wanted
from synth_assets.core import templates
from synth_assets.core.answer_schema import Schema, SchemaError
from synth_assets.core.text.pairs import MARK, both
from synth_assets.recipe.annotate import ITEM

if TYPE_CHECKING:
    from synth_assets.annotation.asking import AnnotateStep
    from synth_assets.contracts.step import Work
    from synth_assets.core.asking import Answer, Message

Row = Mapping[str, Any]
Way = Mapping[str, Any]
BLOCKS = ("ask", "codebook", "examples", "row")  # of a prompt
SHOWN = 60  # characters of an answer in a message
READ = ("ok", "invalid", "truncated")  # outcomes of which there may be something to read
PREFERRED = {"first": "second", "second": "first"}  # labels of which of two texts is the better one
WHY = "Explain briefly why the {label} of this {text} is {answer}."


@cache
def ways() -> Sequence[Way]:
    """Ways to ask the same question, as ways.yaml has them."""
    import yaml

    found: list[Way] = yaml.safe_load(Path(__file__).with_name("ways.yaml").read_bytes())
    return found


class Asked:
    """The rows of a step, as they are asked, and what is read of the answers. `reasons`: id of an example ->
    why its answer is right."""

    def __init__(self, step: AnnotateStep, work: Work, reasons: Mapping[str, Answer] | None = None) -> None:
        self.step, self.work, self.task, self.role = step, work, work.of, work.task["role"]
        self.wanted, self._reasons = wanted(work.of), reasons or {}
        self._ways = [ways()[0]] * len(step.own) if step.own else ways()[: step.ways]
        explained = {"explanation": "text"} if step.annotate == "explain" else {}
        self.schema = Schema.of({**explained, **self.wanted.fields})
        self.rows = list(work.fields())
        shown = {each["row_id"]: each for row in self.rows for each in row["demonstrations"]}
        self.examples = {name: self._example(each) for name, each in shown.items()}

    def _example(self, row: Row) -> dict[str, Any]:
        """A row that is shown, with its answer as the model would write it."""
        answer, why = self.wanted.shown(row), self._reasons.get(row["row_id"])
        explained = {"explanation": (why.text or "").strip()} if why else {}
        said = json.dumps({**explained, **answer}, ensure_ascii=False) if answer is not None else ""
        return {**row, **explained, "answer": said}

    def failed(self, row: Row) -> dict[str, Any] | None:
        """Why a row is not asked: nobody has explained an example that it shows."""
        for shown in row["demonstrations"]:
            why = self._reasons.get(shown["row_id"])
            if why and why.outcome not in ("ok", "truncated"):
                error = f"why an example is what it is was not answered: {why.error or why.outcome}"
                return {"text": None, "reason": why.outcome, "error": error}
        return None

    def why(self, row: Row) -> str:
        """The question why an example is what it is."""
        answer = self.wanted.shown(row) or {}
        said = next(iter(answer.values())) if len(answer) == 1 else json.dumps(answer, ensure_ascii=False)
        said = ", ".join(said) or "none" if isinstance(said, list) else said
        return f"{self._lines(row)}\n{WHY.format(label=self._label, text=self.task.text, answer=said)}"

    @property
    def _label(self) -> str:
        return self.wanted.column if self.task.predict else self.task.label

    def prompt(self, row: Row, number: int) -> str:
        """The question about a row, asked in one of the ways, or by one's own template."""
        way, examples = self._ways[number], [self.examples[each["row_id"]] for each in row["demonstrations"]]
        words = {"label": self._label, "text": self.task.text, "column": self.wanted.column}
        ask = self.wanted.asks[way["ask"]].format(**words)
        told = [f"{self._lines(each)}\nAnswer: {each['answer']}" for each in examples if each["answer"]]
        explain = "Explain briefly first, and then answer." if self.step.annotate == "explain" else ""
        blocks = {
            "ask": "\n".join(filter(None, [ask, self.task.instruction, explain])),
            "codebook": "\n".join(self._codebook(way)),
            "examples": "\n\n".join(told),
            "row": self._lines({**row, "text": row[ITEM]}, self._swaps(way)),
        }
        if self.step.own:
            return templates.render(self.step.own[number], {**row, **blocks, "demonstrations": examples})
        then = [way["then"]] if "then" in way and blocks["codebook"] else []
        return "\n\n".join(filter(None, [*(blocks[name] for name in way["order"]), *then]))

    def _codebook(self, way: Way) -> list[str]:
        told = [name if name == of else f"{name}: {of}" for name, of in self.wanted.meanings().items()]
        told = told[::-1] if way.get("reversed") else told
        return [f"({n}) {each}" if way.get("options") else f"- {each}" for n, each in enumerate(told, 1)]

    @property
    def _preference(self) -> bool:
        """Whether the question is which of two texts is the better one."""
        return bool(self.task.pair) and {*PREFERRED} <= {*self.task.classify}

    def _swaps(self, way: Way) -> bool:
        return bool(way.get("swapped")) and self._preference

    def _lines(self, row: Row, swapped: bool = False) -> str:
        """What is shown of a row, a line a column."""
        lines = [(name, row[name]) for name in self.task.annotate.shown if row.get(name) is not None]
        pair = [self.task.pair] if self.task.pair else []
        texts = [*(row[name] for name in pair), row["text"]]
        names = [*PREFERRED] if self._preference else [*pair, self.task.text]
        lines += zip(names, texts[::-1] if swapped else texts, strict=True)
        return "\n".join(f"{name.capitalize()}: {value}" for name, value in lines)

    def next_word(self, row: Row, api: str) -> list[Message]:
        """The question whose next word is a label, as annotators are asked it."""
        ids = [each["row_id"] for each in row["demonstrations"]]
        seeds = both(self.work.seeds, self.task.pair).set_index("row_id", drop=False).loc[ids]
        text = f"{row[ITEM]}{MARK}{row[self.task.pair] or ''}" if self.task.pair else row[ITEM]
        return annotators.messages_of(text, self.task, seeds, api)

    def made(
        self, row: Row, answers: Sequence[Answer], p: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """The columns of a row of these answers. `p`: probabilities of the labels, by the one answer."""
        said: list[Said | None] = []
        errors: list[tuple[str, str]] = []
        whys: list[str | None] = []
        for at, answer in enumerate(answers):
            try:
                value, why = self._read(answer, row[ITEM], p)
            except ValueError as error:
                errors.append(("invalid" if answer.outcome in READ else answer.outcome, str(error)))
                said.append(None)
                continue
            swapped = self._swaps(self._ways[at // self.step.samples])
            said.append(Said(PREFERRED.get(value, value) if swapped else value, p))
            whys.append(why)
        made = {
            "call_id": answers[0].identity,
            "answer_calls": [answer.identity for answer in answers],
            "answers": [each and self.wanted.words(each.value) for each in said],
            "explanation": next(iter(whys), None),
            "prompt_tokens": _sum([answer.prompt_tokens for answer in answers]),
            "completion_tokens": _sum([answer.completion_tokens for answer in answers]),
        }
        if not (known := [each for each in said if each is not None]):
            reason, words = errors[0]
            return {**made, "text": answers[0].text, "reason": reason, "error": words}
        return {**made, "text": row[ITEM], **together(self.wanted, known, row[ITEM])}

    def _read(self, answer: Answer, text: str, p: Mapping[str, float] | None) -> tuple[Any, str | None]:
        """What an answer says of a text, and why. ValueError where that cannot be read."""
        if answer.outcome not in READ:
            raise ValueError(answer.error or answer.outcome)
        if self.step.annotate == "logprobs":
            return max(p, key=p.__getitem__) if p else self._word(answer), None
        try:
            found = self.schema.parse(answer.text or "")
        except SchemaError:
            value = self.wanted.named(answer.text or "") if self.step.annotate == "answer" else None
            if value is None:
                raise
            return value, None
        return self.wanted.read(found, text), found.get("explanation")

    def _word(self, answer: Answer) -> str:
        words = self.task.verbalizers()
        if (value := annotators.label_in(answer.text or "", words)) is not None:
            return value
        if self.work.tools is None:  # of a plan: an answer that is not there yet
            return next(iter(words))
        fix = "let it say more (`max_tokens: 30`), or write `annotate: answer`"
        raise ValueError(f"{(answer.text or '')[:SHOWN]!r} is none of the labels: {fix}")


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None
