"""Budgets: the most that a call can cost is reserved before it is sent, and settled when it is answered.

Caps hold across processes, because the amounts are kept in the call log's own database and are changed in
one transaction. A call whose end is not known (a killed process, a timeout) stays counted with the most it
could have cost: the provider may have billed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from synth_assets.contracts.model_spec import Price
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.database import Execute
from synth_assets.resources.call_log.log import CallLog

Part = Mapping[str, Any]  # fields of an Answer
NANO = 1_000_000_000  # amounts are whole numbers: tokens, or billionths of a dollar
OVERHEAD = 32  # tokens that a chat template puts around a message, at the most


@dataclass(frozen=True)
class Cap:
    """At most `limit` (dollars or tokens) for all calls of a scope, such as `reviews/day/2026-11-22`."""

    scope: str
    limit: float
    unit: str = "dollars"  # or tokens

    @property
    def key(self) -> str:
        """What the call log calls it."""
        return f"{self.scope} {self.unit}"

    def amount(self, use: Use) -> int:
        """What counts of a use, in whole numbers."""
        return use.tokens if self.unit == "tokens" else use.nanodollars

    @property
    def whole(self) -> int:
        """The limit in whole numbers."""
        return int(self.limit) if self.unit == "tokens" else round(self.limit * NANO)


class Use(NamedTuple):
    """What a call takes, or can take at the most."""

    nanodollars: int
    tokens: int


class Budget:
    """Caps that all hold for every call. Without caps everything is allowed, and nothing is written."""

    def __init__(self, call_log: CallLog, caps: Sequence[Cap] = ()) -> None:
        self._call_log, self.caps = call_log, tuple(caps)
        self.owed: list[tuple[Use, Use]] = []  # reserved and used, of calls that have ended

    def check_price(self, name: str, price: Price | None) -> None:
        """Raises UserError when a cap is in dollars and the model's price is not known."""
        if price is None and any(cap.unit == "dollars" for cap in self.caps):
            raise UserError(
                f"the budget is in dollars, and the price of the model {name!r} is not known: add it to "
                f"models.yaml, as in `{name}: {{name: {name}, prices: [{{from: 2026-01-01, prompt: 0.40, "
                "completion: 1.60}]}` (dollars a million tokens), or give the budget in tokens."
            )

    def reserve(self, use: Use) -> str | None:
        """Set `use` aside in every cap; or in none, and say which cap is in the way."""
        return self.reserve_each([use])[0]

    def reserve_each(self, uses: Sequence[Use], within: Execute | None = None) -> list[str | None]:
        """The same for many. `within`: as part of this transaction."""
        if not (self.caps and uses):
            return [None] * len(uses)
        with nullcontext(within) if within else self._call_log.transaction(alone=False) as execute:
            return self._reserve(uses, execute)

    def _reserve(self, uses: Sequence[Use], within: Execute) -> list[str | None]:
        left = {cap: cap.whole - self._amount(cap, within) for cap in self._in_order}
        in_the_way: list[str | None] = []
        allowed = []
        for use in uses:
            full = next((cap for cap in self.caps if cap.amount(use) > left[cap]), None)
            in_the_way.append(f"{full.scope} is capped at {full.limit:g} {full.unit}" if full else None)
            if not full:
                left = {cap: rest - cap.amount(use) for cap, rest in left.items()}
                allowed.append(use)
        self._add(within, total(allowed), +1)
        return in_the_way

    def settle(self, reserved: Use, used: Use, within: Execute | None = None) -> None:
        """Give back what was reserved and not used. `within`: as part of this transaction."""
        if self.caps and reserved != used:
            with nullcontext(within) if within else self._call_log.transaction(alone=False) as execute:
                self._add(execute, reserved, -1)
                self._add(execute, used, +1)

    def owe(self, reserved: Use, used: Use) -> None:
        """Have it given back by `pay`."""
        if self.caps and reserved != used:
            self.owed.append((reserved, used))

    def pay(self, within: Execute) -> None:
        """Give back what is owed; who has committed this clears `owed`."""
        self.settle(total(r for r, _ in self.owed), total(u for _, u in self.owed), within)

    @property
    def _in_order(self) -> list[Cap]:
        """The caps in the order of all who change them: nobody waits for who waits for him."""
        return sorted(self.caps, key=lambda cap: cap.key)

    def _amount(self, cap: Cap, execute: Execute) -> int:
        """What is spent and reserved; nobody else changes it until the transaction ends."""
        execute(
            "INSERT INTO budget (scope, amount) VALUES (?, 0) "
            "ON CONFLICT (scope) DO UPDATE SET amount = budget.amount",
            (cap.key,),
        )
        ((amount,),) = execute("SELECT amount FROM budget WHERE scope = ?", (cap.key,))
        return int(amount)

    def _add(self, execute: Execute, use: Use, sign: int) -> None:
        for cap in self._in_order:
            change = (sign * cap.amount(use), cap.key)
            execute("UPDATE budget SET amount = amount + ? WHERE scope = ?", change)


def most(texts: Sequence[str], max_tokens: int | None, price: Price | None) -> Use:
    """The most that a call can take: a token is at least one byte. UserError without max_tokens."""
    if max_tokens is None:
        raise UserError("a budget needs max_tokens in every step: without it a call has no upper bound.")
    prompt = sum(len(text.encode("utf-8", "replace")) + OVERHEAD for text in texts)
    return use_of(prompt, max_tokens, price)


def use_of(prompt_tokens: int, completion_tokens: int, price: Price | None) -> Use:
    """What a call with these counts takes."""
    dollars = price.cost(prompt_tokens, completion_tokens) if price else 0.0
    return Use(round((dollars or 0.0) * NANO), prompt_tokens + completion_tokens)


def used(parts: Sequence[Part], reserved: Use, price: Price | None, billed: bool) -> Use:
    """What a call took. Where that is not told, all that was reserved, unless it is sure to be free."""
    counts = tokens(parts)
    if counts is not None:
        return use_of(*counts, price)
    return reserved if billed else Use(0, 0)


def tokens(parts: Sequence[Part]) -> tuple[int, int] | None:
    """Prompt and completion tokens of a call, if it was told."""
    counts = [(part.get("prompt_tokens"), part.get("completion_tokens")) for part in parts]
    if not counts or any(None in pair for pair in counts):
        return None
    return sum(p or 0 for p, _ in counts), sum(c or 0 for _, c in counts)


def cost(part: Part, price: Price | None) -> float | None:
    """Dollars of an answer. A call without one may have been billed: unknown, unless it is free."""
    if price is None:
        return None
    return 0.0 if price.free else price.cost(part.get("prompt_tokens"), part.get("completion_tokens"))


def total(uses: Iterable[Use]) -> Use:
    """All of them together."""
    return Use(*map(sum, zip(Use(0, 0), *uses, strict=True)))
