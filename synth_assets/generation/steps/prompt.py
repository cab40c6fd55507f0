"""A step: render the prompts of a condition table, ask the model, parse the answers into rows.

A call that failed is a row with its reason, never a missing row and never an empty text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_serializer, field_validator, model_validator

from synth_assets.contracts.section import NAME, wrong
from synth_assets.contracts.step import Prompted
from synth_assets.core import templates
from synth_assets.core.answer_schema import Kind, Schema, SchemaError, kind_of

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Answer, Completes, Message
    from synth_assets.recipe.task import Task

Said = Mapping[str, Mapping[str, Any]]  # name of an earlier step -> row id -> its text, or its fields
COLUMNS = ("text", "reason", "error", "call_id", "prompt_tokens", "completion_tokens")  # from an answer
DROPPED = ["replicate", "demonstration_set", "demonstration_ids"]  # of the conditions


def fields(task: Task, attributes: list[str]) -> list[str]:
    """The names that a step's template may use."""
    of_label = ["label", "definition", "verbalizer"] if task.classify else []
    return [*task.fields(), *of_label, "demonstrations", *attributes]


def values(
    task: Task, conditions: pd.DataFrame, seeds: pd.DataFrame, said: Said | None = None
) -> Iterator[dict[str, Any]]:
    """What the template of each condition row is filled with."""
    common = task.fields()
    shown = {row["row_id"]: row for row in seeds.to_dict("records")}
    columns = list(conditions)
    for condition in conditions.itertuples(index=False, name=None):
        row = dict(zip(columns, condition, strict=True))
        yield {
            **common,
            **row,
            "demonstrations": [shown[i] for i in row["demonstration_ids"]],
            **{name: answers[row["row_id"]] for name, answers in (said or {}).items()},
        }


def messages(
    step: Step,
    task: Task,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    api: str,
    said: Said | None = None,
) -> Iterator[list[Message]]:
    """The rendered messages of each condition row (p = E(e_task, e_condition, e_demo), Eq. 1)."""
    for fields in values(task, conditions, seeds, said):
        text = templates.render(step.template, fields)
        yield templates.chat(text, task.role) if step.prompt is not None else templates.completion(text, api)


def answered(
    step: Step,
    task: Task,
    conditions: pd.DataFrame,
    seeds: pd.DataFrame,
    model: Completes,
    suffix: str = "",
    said: Said | None = None,
) -> dict[str, list[Any]]:
    """Column -> a value a condition row, in the same order: what is left of the answers, or why none is.

    `said` are the answers of the steps before; `suffix` tells this step's samples from those of other steps.

    Prompts are rendered as the model takes them, and of an answer stays what its row needs. Rows are asked
    in the table's order, in which neighbours show different demonstrations: an inference server then reads
    each of these prefixes about once, and not once in every slot.
    """
    schema = step.answer_schema
    answers = model.complete(
        messages(step, task, conditions, seeds, model.api, said),
        step.sampling(),
        replicates(conditions, suffix),
        schema,
    )
    made: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, *step.columns)}
    for answer in answers:
        row = parsed(answer, schema, one_line="\n" in step.stop)
        for name, values in made.items():
            values.append(row.get(name))
    return made


def replicates(conditions: pd.DataFrame, suffix: str) -> list[str]:
    return [f"{r.round}/{r.cell}/{r.replicate}{suffix}" for r in conditions.itertuples()]


def parsed(answer: Answer, schema: Schema | None, one_line: bool) -> dict[str, Any]:
    """The columns of one answer: its text, or its fields, or why there are none.

    A rejected row has the whole answer as its text, as far as there is one.
    """
    row: dict[str, Any] = {
        "text": _clean(answer.text, one_line),
        "reason": None,
        "error": answer.error,
        "call_id": answer.identity,
        "logprob": _mean_logprob(answer),
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


def _mean_logprob(answer: Answer) -> float | None:
    """Mean log-probability of the answer's tokens (SuperGen's quality score, Meng et al. 2022)."""
    known = [token.logprob for token in answer.logprobs or ()]
    return sum(known) / len(known) if known else None


def _clean(text: str | None, one_line: bool) -> str | None:
    """Text without white space around it; its first line where a line was asked for."""
    text = (text or "").strip()
    return (text.splitlines()[0].strip() if one_line and text else text) or None


OUTPUT = "output is written as `field: type`, and needs `text: text`, the text of the row"


class Step(Prompted):
    """One prompted sub-task: a row's only one, or one of a chain (sample-wise decomposition, Long et al.
    2024, section 3.1.2)."""

    kind: ClassVar[Literal["prompt"]] = "prompt"

    samples: int = Field(default=1, ge=1)  # answers to each question: rows with the same condition values
    logprobs: bool = False  # a column `logprob`: the mean log-probability of the answer's tokens
    output: dict[str, Annotated[Kind, BeforeValidator(kind_of)]] | None = None  # fields of a JSON answer

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
    def answer_schema(self) -> Schema | None:
        """What the answer has to be; None for any text."""
        return Schema.of(self.output) if self.output else None

    @property
    def columns(self) -> dict[str, str]:
        """What its table has besides the text: column -> type."""
        schema, known = self.answer_schema, {"logprob": "double"} if self.logprobs else {}
        return {n: kind for n, kind in (schema.columns if schema else {}).items() if n != "text"} | known
