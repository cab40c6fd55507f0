"""What works on a set with the processors of several machines: the few methods of it that methods use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol


class Engine(Protocol):
    """Calls functions elsewhere. What comes back is a reference: given to a call, it is the value there."""

    @property
    def workers(self) -> int:
        """How many functions run at once."""

    def call(self, function: Callable[..., Any], *args: Any, returns: int) -> list[Any]:
        """References to each value of the tuple of `returns` values that the function returns."""

    def actor(self, kind: type, *args: Any) -> Any:
        """A worker's own object. `actor.METHOD.remote(...)` gives a reference; calls are done in order."""

    def get(self, references: Sequence[Any], what: str) -> list[Any]:
        """The values. Meanwhile people are told how many of them are there, of `what`."""

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any], what: str) -> Iterator[Any]:
        """What a function makes of each part, in their order, as it comes. What the function holds is sent to
        a worker once. Meanwhile people are told how many parts are done."""


# rows -> what works on so many, or None: this process
Engines = Callable[[int], "Engine | None"]
