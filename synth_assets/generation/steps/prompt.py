"""A step: render the prompts of a condition table, ask the model, parse the answers into rows.

A call that failed is a row with its reason, never a missing row and never an empty text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_serializer, field_validator, model_validator

from synth_assets.contracts.section import NAME, wrong
from synth_assets.contracts.step import Prompted, Work
from synth_assets.core import templates
from synth_assets.core.answer_schema import Kind, Schema, SchemaError, kind_of
from synth_assets.core.asking import Answer, Message


def parsed(answer: Answer, schema: Schema | None, one_line: bool) -> dict[str, Any]:
    """The columns of one answer: its text, or its fields, or why there are none.

    `logprob` is the mean over its tokens (SuperGen's quality score, Meng et al. 2022). A rejected row
    has the whole answer as its text, as far as there is one.
    """
    text = (answer.text or "").strip()
    known = [token.logprob for token in answer.logprobs or ()]
    row: dict[str, Any] = {
        "text": (text.splitlines()[0].strip() if one_line and text else text) or None,
        "reason": None,
        "error": answer.error,
        "call_id": answer.identity,
        "logprob": sum(known) / len(known) if known else None,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }
    if answer.outcome != "ok":
        return row | {"reason": answer.outcome}
    try:
        found = schema.parse(answer.text or "") if schema else {"text": row["text"]}
    except SchemaError as wrong:
        return row | {"reason": "invalid", "error": str(wrong)}
    if not (found.get("text", row["text"]) or "").strip():
        return row | {"reason": "empty"}
    return row | found


OUTPUT = "output is written as `field: type`, and needs `text: text`, the text of the row"


class Step(Prompted):
    """One prompted sub-task: a row's only one, or one of a chain (sample-wise decomposition, Long et al.
    2024, section 3.1.2)."""

    words = ("prompt", "complete")

    samples: int = Field(default=1, ge=1, le=10_000)
    """Answers to each question: rows with the same condition values."""
    logprobs: bool = False
    """A column `logprob`: the mean log-probability of the answer's tokens."""
    output: dict[str, Annotated[Kind, BeforeValidator(kind_of)]] | None = None
    """Fields of a JSON answer: field -> type."""

    def sampling(self) -> dict[str, Any]:
        return super().sampling() | ({"logprobs": 1} if self.logprobs else {})

    @field_validator("output", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not value:
            raise ValueError(OUTPUT)
        for name in value:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                why = "use lower-case letters, digits and _, and quotes around yes, no, on and off"
                raise wrong(f"{name!r} is no name of a column: {why}", str(name))
        return value

    @field_serializer("output")
    def _in_order(self, output: dict[str, Kind] | None) -> Any:
        """The order of the fields is part of what is asked, and a hash sorts the keys of a mapping."""
        return list(output.items()) if output is not None else None

    @model_validator(mode="after")
    def _output(self) -> Step:
        if self.output is None:
            return self
        if self.output.get("text", "text") != "text":
            raise wrong("the text of a row has the type text", "output", "text")
        if self.complete is not None:
            raise wrong("a text that goes on is no JSON: ask with `prompt`, not with `complete`", "output")
        if self.stop:
            raise wrong("an answer with `output` ends where its JSON ends: leave out `stop`", "stop")
        return self

    @property
    def per_question(self) -> int:
        return self.samples

    @property
    def answer_schema(self) -> Schema | None:
        return Schema.of(self.output) if self.output else None

    def columns_of(self, recipe: Any) -> dict[str, str]:
        schema, known = self.answer_schema, {"logprob": "double"} if self.logprobs else {}
        return {n: kind for n, kind in (schema.columns if schema else {}).items() if n != "text"} | known

    def check(self, recipe: Any, name: str) -> None:
        if name == "text" and self.output and "text" not in self.output:
            raise wrong(OUTPUT, "steps", name, "output")

    def messages(self, work: Work, api: str) -> Iterator[list[Message]]:
        """The rendered messages of each row (p = E(e_task, e_condition, e_demo), Eq. 1)."""
        for fields in work.fields():
            text = templates.render(self.template, fields)
            chat = self.prompt is not None
            yield templates.chat(text, work.task["role"]) if chat else templates.completion(text, api)

    def shown(self, work: Work) -> Iterator[str]:
        yield from (message["content"] for message in next(self.messages(work, "completions")))

    def run(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """Prompts are rendered as the model takes them. They are asked in the table's order, where neighbours
        show different demonstrations: a server reads each prefix about once, and not once in every slot."""
        schema, model = self.answer_schema, work.model
        assert model is not None
        asked = self.messages(work, model.api)
        for answer in model.complete(asked, self.sampling(), work.replicates(), schema):
            yield parsed(answer, schema, one_line="\n" in self.stop)
