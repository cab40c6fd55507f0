"""Dialogues: a model plays the user, another one or the same answers, round after round, and each is told all
that was said before (UltraChat, Ding et al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from synth_assets.contracts.model_spec import ModelSpec, NamedModel
from synth_assets.contracts.section import Strict, wrong
from synth_assets.contracts.step import Sampled, Work
from synth_assets.core import templates
from synth_assets.core.asking import Answer, Completes, Message
from synth_assets.core.errors import UserError
from synth_assets.generation.steps import prompt
from synth_assets.selection.select import pick


@dataclass
class _Talk:
    """One row's dialogue, as far as it has come."""

    fields: Mapping[str, Any]  # what its templates know besides the history
    replicate: str
    rounds: int
    history: list[dict[str, str]] = field(default_factory=list)  # role, text
    answers: list[Answer] = field(default_factory=list)
    reason: str | None = None
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """The columns of the step's table; a rejected row has its dialogue up to there as its text."""
        return {
            "text": "\n".join(_lines(self.history)) or None,
            "reason": self.reason,
            "error": self.error,
            "call_id": self.answers[-1].identity if self.answers else None,
            "prompt_tokens": _sum([answer.prompt_tokens for answer in self.answers]),
            "completion_tokens": _sum([answer.completion_tokens for answer in self.answers]),
            "turns": [turn["text"] for turn in self.history] if self.reason is None else None,
            "turn_calls": [answer.identity for answer in self.answers],
        }


def _messages(role: str, text: str, history: Sequence[Mapping[str, str]], api: str) -> list[Message]:
    """Who plays the user is told the dialogue by the template; the assistant sees it as its chat. A model
    that completes goes on with the dialogue as a text, a line a turn."""
    if api == "completions":
        lines = [text, "", *_lines(history), f"{role.capitalize()}:"]
        return [{"role": "user", "content": "\n".join(lines)}]
    if role == "user":
        return [{"role": "user", "content": text}]
    chat = [{"role": turn["role"], "content": turn["text"]} for turn in history]
    return [{"role": "system", "content": text}, *chat]


def _lines(history: Sequence[Mapping[str, str]]) -> list[str]:
    return [f"{turn['role'].capitalize()}: {turn['text']}" for turn in history]


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


class Turns(Strict):
    """How many rounds a dialogue has: a number is short for `between: [number, number]`."""

    between: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1, le=100)]]
    """The fewest and the most rounds."""

    @model_validator(mode="after")
    def _in_order(self) -> Turns:
        if self.between[0] > self.between[1]:
            raise wrong("the smaller number comes first", "between")
        return self


class TurnsStep(Sampled):
    """A dialogue of a simulated user and an assistant (UltraChat, Ding et al. 2023), round after round."""

    name = "turns"
    columns: ClassVar[Mapping[str, str]] = {"turns": "list<string>", "turn_calls": "list<string>"}
    in_turns = True
    inside: ClassVar[Mapping[str, Any]] = {"history": [{"role": "user", "text": "<user>"}], "turn": 1}

    turns: Turns
    """Rounds of a dialogue: a number, or {between: [3, 7]}."""
    user: str = Field(min_length=1)
    """What the model is asked that plays the user."""
    assistant: str = Field(min_length=1)
    """What stands over the chat that the assistant sees."""
    user_model: ModelSpec | None = None
    """Default: the step's model."""

    @field_validator("turns", mode="before", json_schema_input_type=int | Turns)
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"between": [value, value]} if isinstance(value, int) else value

    @property
    def templates(self) -> tuple[str, ...]:
        return self.user, self.assistant

    def models(self, default: str | NamedModel) -> list[str | NamedModel]:
        return [*super().models(default), *([self.user_model] if self.user_model else [])]

    def check(self, recipe: Any, name: str) -> None:
        if recipe.mode == "batch":
            why = "a round takes a batch of its own, up to a day: a dialogue needs `mode: online`"
            raise wrong(why, "steps", name)
        for taken in set(self.inside) & {*recipe.steps, *recipe.attributes}:
            why = f"in a dialogue, {taken} means something else: rename the condition or step"
            raise wrong(why, "steps", name)

    def run(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """In each round all rows that go on are asked together: first who plays the user, then the model as
        assistant. A row whose turn fails is rejected alone."""
        assert work.model is not None
        low, high = self.turns.between
        lengths = {str(n): 1.0 for n in range(low, high + 1)}
        talks = [
            _Talk(fields, replicate, int(pick(lengths, "turns", fields["row_id"])))
            for fields, replicate in zip(work.fields(), work.replicates(), strict=True)
        ]
        parts = (("user", self.user, work.user or work.model), ("assistant", self.assistant, work.model))
        for turn in range(1, high + 1):
            for role, template, asked in parts:
                going = [talk for talk in talks if talk.rounds >= turn and talk.reason is None]
                self._turn(role, template, asked, going, turn, told=bool(work.said))
        return (talk.row() for talk in talks)

    def _turn(
        self, role: str, template: str, model: Completes, talks: Sequence[_Talk], turn: int, told: bool
    ) -> None:
        """Ask once for each dialogue, and write down what was said."""
        asked: list[tuple[_Talk, list[Message]]] = []
        for talk in talks:
            try:
                text = templates.render(template, {**talk.fields, "history": talk.history, "turn": turn})
            except UserError as error:
                if not (talk.history or told):  # it rests on no answer: the recipe's mistake
                    raise
                talk.reason, talk.error = "no_prompt", str(error)
            else:
                asked.append((talk, _messages(role, text.strip(), talk.history, model.api)))
        if not asked:
            return
        goes_on = model.api == "completions"
        sampling = {"stop": ["\n"], **self.sampling()} if goes_on else self.sampling()
        replicates = [f"{talk.replicate}/{turn}" for talk, _ in asked]
        answers = model.complete([messages for _, messages in asked], sampling, replicates)
        for (talk, _), answer in zip(asked, answers, strict=True):
            row = prompt.parsed(answer, None, one_line="\n" in self.stop or goes_on)
            talk.answers.append(answer)
            talk.reason, talk.error = row["reason"], row["error"]
            if row["text"] is not None:
                talk.history.append({"role": role, "text": row["text"]})
