"""What a stage may ask of the world: the few methods of a language model and of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.schema import Schema

Encode = Callable[[Sequence[str]], "np.ndarray"]  # n texts -> (n, d) float32, rows of length 1
Message = Mapping[str, str]  # role, content
LabelLogprobs = Mapping[str, float]  # label -> log-probability of its verbalizer


class Result(Protocol):
    """What a tool made of one text; `reason` is ok, or a word of the tool's closed vocabulary."""

    @property
    def reason(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def error(self) -> str | None: ...


# tool, its settings, inputs -> one result an input, in their order
RunsTools = Callable[[str, Mapping[str, Any], Sequence[str]], Iterable[Result]]


class TokenLogprob(Protocol):
    """A token of an answer with the log-probabilities of its alternatives."""

    @property
    def logprob(self) -> float: ...
    @property
    def top(self) -> Mapping[str, float]: ...


class Answer(Protocol):
    """What came back for one request; `outcome` is one of the closed vocabulary (ok, truncated, ...)."""

    @property
    def identity(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def logprobs(self) -> Sequence[TokenLogprob] | None: ...
    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def completion_tokens(self) -> int | None: ...
    @property
    def error(self) -> str | None: ...


class Completes(Protocol):
    """A language model. `api` says whether it goes on with a text or answers a chat."""

    @property
    def api(self) -> str: ...

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
        ...
