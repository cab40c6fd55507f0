"""How a recipe, or models.yaml, says which model is meant, and what it costs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from synth_assets.contracts.section import TOKENS, Section, Strict, wrong
from synth_assets.core.addresses import check_address, has_login
from synth_assets.core.errors import UserError

# what a request says itself, and is no sampling
OURS = ("messages", "prompt", "model", "seed", "n", "stream", "logprobs", "response_format", "json_schema")
SAMPLING = ("temperature", "top_p", "max_tokens")  # what steps say too
LEFT_OUT = ("seed", "n", "logprobs")  # of these, what null may leave out


VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
KEY = re.compile(r"(?:sk|pk|rk|gsk|csk|hf|xai|nvapi|r8|tgp|fw|pplx|ghp|glpat)[-_]|AIza|eyJ", re.IGNORECASE)
LOG_IN = re.compile(r"(?:Bearer|Basic|Token)\s+\S{16,}", re.IGNORECASE)
# no parameters of a model: what a client of its own would take for headers and keys
OF_CALLS = (
    *("extra-headers", "extra-query", "default-headers", "headers", "authorization", "proxy-authorization"),
    *("api-key", "apikey", "x-api-key", "access-token", "auth-token", "password", "secret"),
)


class Price(Strict):
    """US dollars for a million tokens, valid from a day on."""

    model_config = ConfigDict(populate_by_name=True)

    since: date = Field(alias="from")
    """The first day of this price."""
    prompt: float = Field(ge=0, le=1e6)
    """US dollars a million tokens of the prompt."""
    completion: float = Field(ge=0, le=1e6)
    """US dollars a million tokens of the answer."""
    batch: float | None = Field(default=None, ge=0, le=1)
    """Share of it that a batched call costs."""

    @property
    def free(self) -> bool:
        return self.prompt == self.completion == 0

    def cost(self, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
        """Dollars of one call; None when a token count is not known."""
        if prompt_tokens is None or completion_tokens is None:
            return None
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6

    def batched(self) -> Price | None:
        """What a call in a batch costs; None when the entry does not say it."""
        if self.batch is None:
            return self if self.free else None
        lower = {"prompt": self.prompt * self.batch, "completion": self.completion * self.batch}
        return self.model_copy(update=lower)


class Reasoning(Strict):
    """How much a reasoning model thinks before it answers."""

    effort: str | None = None
    """Sent as `reasoning_effort`: minimal, low, medium, high, or what else the endpoint knows."""
    tokens: int = Field(default=0, ge=0, le=TOKENS)
    """Room for thoughts, beside that of each answer."""


class NamedModel(Section):
    """One entry of models.yaml."""

    newer: ClassVar[tuple[str, ...]] = ("headers", "query", "system", "reasoning", "endpoint_name")

    name: str = Field(min_length=1)
    """As the endpoint calls it."""
    base_url: str | None = None
    """Default: OPENAI_BASE_URL, else OpenAI."""
    endpoint_name: str | None = Field(default=None, min_length=1)
    """Whose weights answer, in the place of the address: what was paid for at one address of this name counts
    at each."""
    api: Literal["chat", "completions"] = "chat"
    """Chat messages, or a text that goes on."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key."""
    headers: dict[str, str] = {}
    """Header of each call -> the environment variable that holds it."""
    query: dict[str, str] = {}
    """Parameter of the address of each call -> the environment variable that holds it."""
    max_concurrency: int = Field(default=16, ge=1, le=10_000)
    """Calls in flight, at the most: of a process, or of all that share a call log in Postgres."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Kept by all processes together."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Kept by all processes together."""
    timeout_s: float = Field(default=120, gt=0, le=86_400)
    """Of one call."""
    structured: Literal["json_schema", "json_object", "words"] = "json_schema"
    """How a schema is asked for; words: no response_format, and a code fence or a note around the JSON is no
    mistake."""
    system: Literal["system", "user"] = "system"
    """user: the endpoint takes no system message; it is put before the first one of the user."""
    reasoning: Reasoning | None = None
    """How much it thinks before it answers."""
    samples: int = Field(default=1, ge=1, le=1_000)
    """Answers to one question that the endpoint gives in one call (its `n`)."""
    parameters: dict[str, Any] = {}
    """Sampling that a recipe does not say itself; null leaves one out, whatever a recipe says."""
    prices: list[Price] = []
    """From a day on; without a price, costs are unknown and not 0."""

    @model_validator(mode="before")
    @classmethod
    def _no_sampling(cls, value: Any) -> Any:
        for name in SAMPLING if isinstance(value, Mapping) else ():
            if name in value:
                own = f"`parameters: {{{name}: {value[name]}}}`"
                raise wrong(f"a model has it as {own}, a step of a recipe as `{name}: {value[name]}`", name)
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        try:
            if value:
                check_address(value)
        except UserError as error:
            raise wrong(error) from None
        return value

    @field_validator("endpoint_name")
    @classmethod
    def _is_no_login(cls, value: str | None) -> str | None:
        """It is in every log."""
        if value and has_login(value):
            raise ValueError("this has a user or a password in it: leave them out")
        return value

    @field_validator("key_env", "headers", "query")
    @classmethod
    def _variables(cls, value: Any) -> Any:
        """What is secret is in the environment, and its name here. What may be a secret is not repeated."""
        named = value if isinstance(value, dict) else {"": value}
        for name, variable in named.items():
            if name and not HEADER.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header or parameter: letters, digits, - and _")
            if not VARIABLE.fullmatch(variable) or (looks_secret(variable) and variable not in os.environ):
                fix = f"write the name of an environment variable{' here' * (not name)}, and set it to that"
                raise wrong(
                    UserError(f"this looks like a secret itself: {fix}", "wrong_value", fix),
                    *filter(None, [name]),
                )
        return value

    @field_validator("parameters")
    @classmethod
    def _no_secrets(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Parameters go into the body of each call, and with it into every log."""
        for name, inside in value.items():
            if name.lower().replace("_", "-") in OF_CALLS or _has_secret(inside):
                fix = "write `headers: {NAME: VARIABLE}` beside parameters, and set that environment variable"
                raise wrong(
                    UserError(f"parameters are for the body, and in every log: {fix}", "wrong_value", fix),
                    name,
                )
        return value

    @field_validator("parameters")
    @classmethod
    def _sampling_only(cls, value: dict[str, Any]) -> dict[str, Any]:
        free = {name for name in LEFT_OUT if name in value and value[name] is None}
        if taken := sorted(set(OURS) & set(value) - free):
            raise ValueError(f"{', '.join(taken)} is said by the request itself: leave it out of parameters")
        return value

    def price(self, day: date) -> Price | None:
        """The price of that day: the latest entry that had begun."""
        begun = [p for p in self.prices if p.since <= day]
        return max(begun, key=lambda p: p.since) if begun else None


def looks_secret(text: str) -> bool:
    """Whether it is a key rather than the name of a variable: by how providers begin theirs, or as it is long
    and of letters and digits without a joint."""
    long = any(len(part) >= 16 and re.search(r"\d", part) for part in text.split("_"))
    return long or bool(len(text) >= 16 and KEY.match(text))


def _has_secret(value: Any) -> bool:
    """Whether a key stands in it, or what a header of a log-in says."""
    if isinstance(value, Mapping):
        return any(str(name).lower() in OF_CALLS or _has_secret(inside) for name, inside in value.items())
    if isinstance(value, list | tuple):
        return any(map(_has_secret, value))
    if not isinstance(value, str):
        return False
    return bool(
        LOG_IN.fullmatch(value) or (KEY.match(value) and len(value) >= 16 and not re.search(r"\s", value))
    )


def _spec(value: Any) -> Any:
    """Errors are those of one form alone."""
    return value if isinstance(value, str) else NamedModel.model_validate(value)


ModelSpec = Annotated[str | NamedModel, BeforeValidator(_spec)]
