"""The kinds of steps that make a row: a model is asked, a tool is run, the samples of a question vote, two
models talk. A step is of the kind whose word (`prompt` or `complete`, `tool`, `vote`, `turns`) it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

from resources.sources import fingerprint
from synth_assets.errors import unknown
from synth_assets.generation.tools import OF_A_TEXT
from synth_assets.schema import Kind, Schema, kind_of
from synth_assets.sections import NAME, ModelSpec, wrong

OUTPUT = "output is written as `field: type`, and needs `text: text`, the text of the row"
# every tool -> its settings
TOOLS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(OF_A_TEXT, ()),
    "function": ("function",),
    "retrieve": ("file", "k"),
    "python": ("timeout_s", "memory_mib"),
    "sql": ("file", "timeout_s", "ordered"),
}
IN_A_DIALOGUE = ("history", "turn")  # what its templates know besides


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and sum(word in value for word in WORDS) != 1:
            raise ValueError(
                "give exactly one of `prompt` (a chat message), `complete` (text to go on with), `tool`, "
                "`vote` and `turns`"
            )
        return value


class _Sampled(_Step):
    """Sampling that is not said here is as the model's entry in models.yaml says, or 1, 1 and 256."""

    asks: ClassVar[bool] = True

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] = []
    model: ModelSpec | None = None  # default: the recipe's model

    def sampling(self) -> dict[str, Any]:
        """What is said here; the rest is the model's."""
        said = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        stop = {"stop": list(self.stop)} if self.stop else {}
        return {name: value for name, value in said.items() if value is not None} | stop


class _Unasked(_Step):
    """A step that asks no model."""

    asks: ClassVar[bool] = False
    samples: ClassVar[int] = 1
    model: ClassVar[None] = None
    answer_schema: ClassVar[None] = None
    under_role: ClassVar[bool] = False


class Prompted(_Sampled):
    """What a model is asked: `complete` is text that it goes on with, `prompt` a chat message."""

    prompt: str | None = None
    complete: str | None = None

    @property
    def template(self) -> str:
        return self.prompt if self.prompt is not None else str(self.complete)

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.template,)

    @property
    def under_role(self) -> bool:
        """Whether the task's role stands over what is asked."""
        return self.prompt is not None


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


class ToolStep(_Unasked):
    """A tool of TOOLS makes the text of `input`. `fields` are answers' fields that become columns."""

    kind: ClassVar[Literal["tool"]] = "tool"

    tool: str
    input: str = Field(min_length=1)
    timeout_s: float = Field(default=5, gt=0, le=3600)
    memory_mib: int = Field(default=512, ge=64)
    file: str | None = None  # sql: a SQLite or DuckDB file; retrieve: a text with a passage a line
    k: int = Field(default=1, ge=1)  # passages that are retrieved
    ordered: bool = False  # results in another order are other results
    function: str | None = None  # package.module:name, a function str -> str
    fields: dict[str, str] = {}  # column -> step.field of an earlier step with `output`

    @field_validator("fields")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not NAME.fullmatch(name) or name == "text":
                raise wrong(f"{name!r} is no name of a column: use lower-case letters, digits and _", name)
        return value

    @model_validator(mode="after")
    def _settings(self) -> ToolStep:
        if self.tool not in TOOLS:
            raise wrong(str(unknown("tool", self.tool, TOOLS)), "tool")
        known = TOOLS[self.tool]
        for name in sorted(self.model_fields_set - {"tool", "input", "fields", *known}):
            raise wrong(str(unknown(f"setting of {self.tool}", name, known)), name)
        for name in {"file", "function"} & set(known):
            if getattr(self, name) is None:
                raise wrong(f"{self.tool} needs `{name}`", "tool")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in TOOLS[self.tool]}

    @property
    def template(self) -> str:
        return self.input

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def works_with(self) -> str | None:
        """Hash of the file that decides its results: the data base, or the module of the function."""
        if self.file is not None:
            return fingerprint(self.file)
        if self.function is None:
            return None
        try:
            module = find_spec(self.function.partition(":")[0])
        except Exception:  # of a package on the way; chain.check says what is wrong
            return None
        return fingerprint(module.origin) if module and module.origin else None


class VoteStep(_Unasked):
    """Self-consistency (Wang et al. 2022) and SymGen's vote (Ye et al. 2023): of the samples of a question,
    the first of the largest group of equal texts goes on, if the group has `at_least` members."""

    kind: ClassVar[Literal["vote"]] = "vote"
    columns: ClassVar[Mapping[str, str]] = {"votes": "int64"}

    vote: str = Field(min_length=1)
    at_least: int = Field(default=1, ge=1)

    @property
    def template(self) -> str:
        return self.vote

    @property
    def templates(self) -> tuple[str, ...]:
        return (self.vote,)


class Turns(BaseModel):
    """How many rounds a dialogue has: a number is short for `between: [number, number]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    between: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1, le=100)]]

    @model_validator(mode="after")
    def _in_order(self) -> Turns:
        if self.between[0] > self.between[1]:
            raise wrong("the smaller number comes first", "between")
        return self


class TurnsStep(_Sampled):
    """A dialogue of a simulated user and an assistant (UltraChat, Ding et al. 2023), round after round."""

    kind: ClassVar[Literal["turns"]] = "turns"
    samples: ClassVar[int] = 1
    answer_schema: ClassVar[None] = None
    under_role: ClassVar[bool] = False
    columns: ClassVar[Mapping[str, str]] = {"turns": "list<string>", "turn_calls": "list<string>"}

    turns: Turns
    user: str = Field(min_length=1)  # what the model is asked that plays the user
    assistant: str = Field(min_length=1)  # what stands over the chat that the assistant sees
    user_model: ModelSpec | None = None  # default: the step's model

    @field_validator("turns", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"between": [value, value]} if isinstance(value, int) else value

    @property
    def template(self) -> str:
        return f"{self.user}\n{self.assistant}"

    @property
    def templates(self) -> tuple[str, ...]:
        return self.user, self.assistant


WORDS = ("prompt", "complete", "tool", "vote", "turns")
KINDS: Mapping[str, type[_Step]] = {"tool": ToolStep, "vote": VoteStep, "turns": TurnsStep}


def class_of(section: Any) -> type[_Step]:
    """The class of a step as it is written."""
    if not isinstance(section, Mapping):
        return type(section) if isinstance(section, _Step) else Step
    return next((found for word, found in KINDS.items() if word in section), Step)


AnyStep = Annotated[
    Annotated[Step, Tag("Step")]
    | Annotated[ToolStep, Tag("ToolStep")]
    | Annotated[VoteStep, Tag("VoteStep")]
    | Annotated[TurnsStep, Tag("TurnsStep")],
    Discriminator(lambda value: class_of(value).__name__),
]
TAGS = ("Step", *(found.__name__ for found in KINDS.values()))  # that pydantic puts into places
