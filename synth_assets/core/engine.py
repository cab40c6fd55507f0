"""What works on a set with the processors of several machines: the few methods of it that methods use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from synth_assets.core.errors import UserError


class Lost(UserError):
    """A worker is gone, and with it what it held."""


class Engine(Protocol):
    """Calls functions elsewhere. What comes back is a reference: given to a call, it is the value there."""

    @property
    def workers(self) -> int:
        """How many functions run at once."""

    def call(self, function: Callable[..., Any], *args: Any, returns: int) -> list[Any]:
        """References to each value of the tuple of `returns` values that the function returns."""

    def actors(self, kind: type, given: Sequence[Sequence[Any]]) -> list[Any]:
        """Objects of workers, one of each arguments, on different ones as far as there are so many.
        `actor.METHOD.remote(...)` gives a reference; calls are done in order."""

    def get(self, references: Sequence[Any], what: str) -> list[Any]:
        """The values. Meanwhile people are told how many of them are there, of `what`. Lost where a worker
        has taken one with it, and it cannot be made again."""

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any], what: str) -> Iterator[Any]:
        """What a function makes of each part, in their order, as it comes. What the function holds is sent to
        a worker once. Meanwhile people are told how many parts are done."""


# rows -> what works on so many, or None: this process
Engines = Callable[[int], "Engine | None"]
