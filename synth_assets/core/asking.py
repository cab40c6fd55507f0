"""What a stage may ask of the world: the few methods of a language model and of an encoder, and an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.core.answer_schema import Schema

Encode = Callable[[Sequence[str]], "np.ndarray"]  # n texts -> (n, d) float32, rows of length 1
Message = Mapping[str, str]  # role, content
LabelLogprobs = Mapping[str, float]  # label -> log-probability of its verbalizer


@dataclass(frozen=True)
class Result:
    """What a tool made of one text; `reason` is ok, or a word of the tool's closed vocabulary."""

    reason: str
    text: str | None = None
    error: str | None = None


# tool, its settings, inputs -> one result an input, in their order
RunsTools = Callable[[str, Mapping[str, Any], Sequence[str]], Iterable[Result]]


class Completes(Protocol):
    """A language model. `api` says whether it goes on with a text or answers a chat."""

    @property
    def api(self) -> str: ...

    @property
    def name(self) -> str: ...

    def complete(
        self,
        messages: Iterable[Sequence[Message]],
        sampling: Mapping[str, Any],
        replicates: Iterable[str],
        schema: Schema | None = None,
    ) -> Iterable[Answer]:
        """One answer a message list, in that order, as they come: messages are read a little ahead.

        With a schema an answer that does not fit it is `invalid`, with the reason as its error.
        """


@dataclass
class Behind:
    """Base of what stands before a model and listens or counts: its API and its name are the model's."""

    model: Completes

    @property
    def api(self) -> str:
        return self.model.api

    @property
    def name(self) -> str:
        return self.model.name


REUSABLE = ("ok", "truncated", "refused", "invalid")  # the model has spoken; the others may be asked again
OUTCOMES = (*REUSABLE, "rate_limited", "provider_error", "timed_out", "over_budget")


@dataclass(frozen=True)
class TokenLogprob:
    """One token of an answer: its natural-log probability, and those of the likeliest alternatives."""

    token: str
    logprob: float
    top: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What became of one request. Whatever is not known is None, never 0."""

    identity: str
    outcome: str  # one of OUTCOMES
    text: str | None = None
    finish_reason: str | None = None
    logprobs: list[TokenLogprob] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None  # US dollars
    latency_s: float | None = None  # of the attempt that counted, without the waits before it
    attempts: int = 1
    error: str | None = None
    tokens_from: str | None = None  # who counted them: provider, or estimated
    thoughts: str | None = None  # what a reasoning model wrote before its text
    from_log: bool = False
