"""Named models: `models.yaml` says where a model is, how fast it may be asked, and what it costs.

    generator:                       # the alias that a recipe's `model:` names
      name: gpt-4.1-mini
      base_url: https://api.openai.com/v1
      key_env: OPENAI_API_KEY
      prices:
        - {from: 2026-01-01, prompt: 0.40, completion: 1.60}   # US dollars a million tokens

Prices are what the user writes, never guessed: a model without one costs an unknown amount (None).
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from synth_assets import strict_yaml


class Price(BaseModel):
    """US dollars for a million tokens, valid from a day on."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    since: date = Field(alias="from")
    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)

    @property
    def free(self) -> bool:
        return self.prompt == self.completion == 0

    def cost(self, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
        """Dollars of one call; None when a token count is not known."""
        if prompt_tokens is None or completion_tokens is None:
            return None
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class NamedModel(BaseModel):
    """One entry of models.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    base_url: str | None = None  # default: OPENAI_BASE_URL, else OpenAI
    api: Literal["chat", "completions"] = "chat"
    key_env: str = "OPENAI_API_KEY"
    max_concurrency: int = Field(default=16, ge=1)
    timeout_s: float = Field(default=120, gt=0)
    prices: list[Price] = []

    def price(self, day: date) -> Price | None:
        """The price of that day: the latest entry that had begun."""
        begun = [p for p in self.prices if p.since <= day]
        return max(begun, key=lambda p: p.since) if begun else None


def models_file() -> Path:
    """`$SYNTH_MODELS`, by default models.yaml in the working directory; it need not exist."""
    return Path(os.environ.get("SYNTH_MODELS") or "models.yaml").absolute()


def named_models(path: Path) -> dict[str, NamedModel]:
    """Alias -> model. UserError names file, line and field of what is wrong."""
    if not path.exists():
        return {}
    document = strict_yaml.read(path)
    try:
        return TypeAdapter(dict[str, NamedModel]).validate_python(document.content)
    except ValidationError as error:
        raise strict_yaml.refusal(document, error.errors(), _fields) from error


def _fields(where: strict_yaml.Place) -> list[str]:
    return ["from", "prompt", "completion"] if "prices" in where else list(NamedModel.model_fields)
