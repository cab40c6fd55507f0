"""How many tokens calls can take that were not made yet: at most, and likely, from their rendered prompts.

No tokenizer of a provider is at hand. At most: what a budget sets aside (a token is at least one byte of
UTF-8, a chat template puts 32 tokens around a message, an answer has `max_tokens`), and an answer that has to
fit a schema is asked for once more. Where a prompt shows an answer that is not there yet, that counts with
its `max_tokens`; to another model, which has other tokens, with TO_ANOTHER times as many. Likely: four bytes
a token, and answers as long as a seed row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from synth_assets.resources.gateway.request import longest_answer, most_of

if TYPE_CHECKING:
    from synth_assets.contracts.model_spec import Price
    from synth_assets.resources.gateway.models import Model
    from synth_assets.resources.gateway.request import Request

NOT_THERE = "an answer that is not there yet"
SHOWN = re.compile(rf"{NOT_THERE} ([0-9a-f]+)")
BYTES = 4  # a token of English, about; of other scripts, two to four times the tokens
TO_ANOTHER = 4
REASON = 512  # tokens of what is wrong with an answer, when it is asked for once more


class Tokens(NamedTuple):
    """Of a prompt, and of the answer to it."""

    prompt: float
    completion: float

    def plus(self, other: Tokens, times: float = 1) -> Tokens:
        """Both together."""
        return Tokens(self.prompt + times * other.prompt, self.completion + times * other.completion)

    def dollars(self, price: Price | None) -> float | None:
        """What they cost; None where there is no price."""
        return (
            None if price is None else (self.prompt * price.prompt + self.completion * price.completion) / 1e6
        )


NONE = Tokens(0, 0)


@dataclass
class Bounds:
    """What one plan knows of its requests. `usual`: tokens of a seed row, where there are some."""

    usual: float | None = None
    perhaps: bool = False  # whether what is asked now is asked only if answers are as they may be
    share: float = 1.0  # of it, that is likely to be asked
    _asked: dict[str, tuple[str, int]] = field(default_factory=dict)  # identity -> model, longest answer
    _longest: Tokens = NONE

    def of(self, request: Request, identity: str, model: Model) -> tuple[Tokens, Tokens]:
        """At most, and likely."""
        longest = longest_answer(request, model) or 0
        self._asked[identity] = model.name, longest
        text = "\n".join(message["content"] for message in request.messages)
        written = most_of(request, model, None, in_words=True).tokens - longest
        shown = [self._asked.get(identity, ("", 0)) for identity in SHOWN.findall(text)]
        later = sum(most * (1 if name == model.name else TO_ANOTHER) for name, most in shown)
        most = Tokens(written + later, longest)
        if request.schema is not None:
            most = most.plus(Tokens(most.prompt + longest + REASON, longest))
        there = len(SHOWN.sub("", text).encode()) / BYTES
        likely = Tokens(there + sum(self.usual_of(most) for _, most in shown), self.usual_of(longest))
        self._longest = Tokens(max(self._longest.prompt, most.prompt), max(self._longest.completion, longest))
        return most, likely

    def unseen(self) -> tuple[Tokens, Tokens]:
        """The same of a call about a row that is not there yet: at most, as the longest prompt of the plan
        with an answer in it."""
        prompt, answer = self._longest
        return Tokens(prompt + TO_ANOTHER * answer, answer), Tokens(
            prompt / BYTES, self.usual_of(int(answer))
        )

    def usual_of(self, longest: int) -> float:
        """Tokens that an answer is likely to have."""
        return longest / 2 if self.usual is None else min(self.usual, longest)
