"""A request: one question to a model, and its identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synth_assets.contracts.model_spec import Price
from synth_assets.core.answer_schema import Schema, correction
from synth_assets.core.asking import Answer, Message
from synth_assets.core.identity import request_id
from synth_assets.core.text.utf8 import clean
from synth_assets.resources.gateway.budget import Budget, Use, most
from synth_assets.resources.gateway.models import Model

LIMITS = ("max_tokens", "max_completion_tokens")  # what bounds an answer, by either name


@dataclass(frozen=True)
class Request:
    """One question. `sampling`: temperature, top_p, max_tokens, stop, logprobs (alternatives), and so on;
    what it does not say, the model's entry in models.yaml says."""

    messages: Sequence[Message]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    replicate: str = "0"
    schema: Schema | None = None

    def __post_init__(self) -> None:
        """Half an emoji (a lone surrogate) can neither be sent nor logged: it becomes `?`."""
        if not all(message["content"].isascii() for message in self.messages):
            cleaned = [{**message, "content": clean(message["content"])} for message in self.messages]
            object.__setattr__(self, "messages", cleaned)

    def sampling_for(self, model: Model) -> Mapping[str, Any]:
        """The sampling of this request, and for the rest that of the model's entry."""
        return {**model.parameters, **self.sampling} if model.parameters else self.sampling

    def identity(self, model: Model, endpoint: str | None = None) -> str:
        """The call log's key. `endpoint` spares deriving it for each of many requests."""
        where = endpoint or model.endpoint
        return request_id(messages=self.messages, model=model.name, endpoint=where, **self._asks(model))

    def parameters(self, model: Model, seed: int) -> dict[str, Any]:
        """What the log keeps beside the messages: with the model and the endpoint, all of the identity."""
        return {**self._asks(model), "seed": seed}

    def _asks(self, model: Model) -> dict[str, Any]:
        schema = self.schema.json if self.schema else None
        sampling = self.sampling_for(model)
        return {"api": model.api, "sampling": sampling, "schema": schema, "replicate": self.replicate}

    def corrected(self, answer: Answer) -> Request:
        """The same question with the answer that did not fit, and why: one more turn."""
        turns = correction(self.messages, answer.text or "", answer.error or "")
        return Request(turns, self.sampling, self.replicate, self.schema)


@dataclass(eq=False, slots=True)
class Row:
    """A request on its way to its answer."""

    request: Request
    identity: str
    asked: str  # the identity that is asked: its own, or that of the corrected request
    answer: Answer | None = None
    line: bytes = b""  # of a batch's file

    def correct(self, answer: Answer, model: Model, endpoint: str) -> bool:
        """Ask once more for an answer that fits, and return True; False where it fits, or did not twice."""
        if answer.outcome != "invalid" or self.asked != self.identity or self.request.schema is None:
            return False
        self.request = self.request.corrected(answer)
        self.asked = self.request.identity(model, endpoint)
        return True


@dataclass(eq=False, slots=True)
class Job:
    """Rows that ask the same question: one HTTP call for all of them."""

    rows: list[Row]
    attempts: int = 0
    spent: int = 0  # attempts that count
    billed: int = 0  # answers that came, and could not be used
    patient_until: float = 0.0


def most_of(
    request: Request, model: Model, price: Price | None, samples: int = 1, in_words: bool = False
) -> Use:
    """The most that a call for this request can take."""
    longest = longest_answer(request, model)
    texts = [message["content"] for message in request.messages]
    if in_words and request.schema is not None:
        texts.append(request.schema.instruction())
    return most(texts, longest and longest * samples, price)


def set_aside(
    budget: Budget, jobs: Sequence[Job], model: Model, in_words: bool
) -> list[tuple[Job, Use, str | None]]:
    """Set aside the most that these calls can cost; with it, why the budget does not allow one."""
    if not budget.caps:
        return [(job, Use(0, 0), None) for job in jobs]
    asked = [(job.rows[0].request, model, model.price, len(job.rows)) for job in jobs]
    uses = [most_of(*each, in_words) for each in asked]
    return list(zip(jobs, uses, budget.reserve_each(uses), strict=True))


def longest_answer(request: Request, model: Model) -> int | None:
    """The longest that an answer can be, its thoughts included; providers have two names for it."""
    sampling = request.sampling_for(model)
    limits = [sampling.get(name) for name in LIMITS if name not in model.does_without]
    limit = next(filter(None, limits), None)
    return limit and limit + (sampling.get("reasoning_tokens") or 0)


def about(rows: Sequence[Row], model: Model) -> int:
    """About what a call for these takes of a limit of tokens a minute: four bytes a token, full answers."""
    request = rows[0].request
    prompt = sum(len(m["content"].encode("utf-8", "replace")) for m in request.messages) // 4
    return prompt + len(rows) * (longest_answer(request, model) or 0)
