"""Which model a recipe means, where it is and what it costs. Models of your own stand in `models.yaml`:

    generator:                       # the alias that a recipe's `model:` names
      name: gpt-4.1-mini
      base_url: https://api.openai.com/v1
      key_env: OPENAI_API_KEY
      prices:
        - {from: 2026-01-01, prompt: 0.40, completion: 1.60, batch: 0.5}   # US dollars a million tokens
      parameters: {temperature: 0.7}       # what a recipe does not say itself
      requests_per_minute: 500

Prices are what the user writes, never guessed: a model without one costs an unknown amount (None).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import TypeAdapter, ValidationError

from synth_assets.contracts.model_spec import NamedModel, Price
from synth_assets.core import strict_yaml
from synth_assets.core.addresses import check_address, check_secrets, without_login
from synth_assets.core.errors import UserError
from synth_assets.resources.gateway.embedded_server import packaged_model
from synth_assets.resources.gateway.network import certificates
from synth_assets.resources.storage.files import sha256

OPENAI = "https://api.openai.com/v1"
ORGANIZATION, PROJECT = "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"  # which the client puts into headers by itself
INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"  # signs of no width, which come along when one copies
NOT_IN_HEADERS = re.compile(r"[^\x20-\x7e]")
# where neither a recipe nor a model's entry says it
PARAMETERS: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 256}
# behind the requests of other processes, an answer of the embedded server may take minutes
EMBEDDED: dict[str, Any] = {"api": "completions", "timeout_s": 600}
FREE = Price.model_validate({"from": date.min, "prompt": 0, "completion": 0})  # what the embedded model costs


def models_file() -> Path:
    """`$SYNTH_MODELS`, by default models.yaml in the working directory; it need not exist."""
    return Path(os.environ.get("SYNTH_MODELS") or "models.yaml").absolute()


def named_models(path: Path) -> dict[str, NamedModel]:
    """Alias -> model. UserError names file, line and field of what is wrong."""
    return dict(_named(path, path.read_bytes())) if path.exists() else {}


@lru_cache(maxsize=8)  # asked for each stage's version
def _named(path: Path, content: bytes) -> dict[str, NamedModel]:
    document = strict_yaml.read(path, content)
    try:
        return TypeAdapter(dict[str, NamedModel]).validate_python(document.content)
    except ValidationError as error:
        raise strict_yaml.refusal(document, error.errors()) from error


@dataclass(frozen=True)
class Model:
    """A model at an endpoint; `base_url` None is the embedded server, which serves `model_path`."""

    name: str
    base_url: str | None = None
    endpoint_name: str | None = None
    api: Literal["chat", "completions"] = "chat"
    key_env: str = "OPENAI_API_KEY"  # the variable's name; the key itself is read when it is sent
    max_concurrency: int = 16
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_s: float = 120
    structured: Literal["json_schema", "json_object", "words"] = "json_schema"
    system: Literal["system", "user"] = "system"
    headers: Mapping[str, str] = field(default_factory=dict)  # of each call -> the variable's name
    query: Mapping[str, str] = field(default_factory=dict)
    samples: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    model_path: Path | None = None
    price: Price | None = None  # None: not known

    @cached_property
    def does_without(self) -> dict[str, Any]:
        """What the entry says that the endpoint does not take, as `wire.body_of` reads it."""
        nulls: dict[str, Any] = {name: None for name, value in self.parameters.items() if value is None}
        return nulls | ({"system": "user"} if self.system == "user" else {})

    def beside(self, environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and parameters of the address of each call. UserError for a variable that is not set."""
        wanted = (*self.headers.values(), *self.query.values())
        missing = sorted({variable for variable in wanted if not held(variable, environ)})
        if missing:
            fix = f"set the variable {', '.join(missing)}"
            raise UserError(f"model {self.name!r} at {self.address} sends it along: {fix}.", "no_key", fix)
        headers, query = (
            {n: held(v, environ) for n, v in given.items()} for given in (self.headers, self.query)
        )
        return headers, {**dict(parse_qsl(urlsplit(self.base_url or "").query)), **query}

    @property
    def endpoint(self) -> str:
        """Whose weights answer, as identities have it: the name that is given, else the address."""
        if self.endpoint_name is None:
            return self.address
        return address(self.endpoint_name) if "://" in self.endpoint_name else self.endpoint_name

    @property
    def address(self) -> str:
        """Where it is asked: the file's hash for the embedded server, else the URL without secrets."""
        if self.base_url is None:
            return f"embedded:{sha256(self.file())[:16]}"
        return address(self.base_url)

    def file(self) -> Path:
        """The GGUF file that the embedded server is to serve."""
        return self.model_path or packaged_model()


def address(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    parts = urlsplit(without_login(url))
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def resolve_model(spec: str | NamedModel | None, environ: Mapping[str, str] = os.environ) -> Model:
    """What a recipe's `model:` means: "embedded", an alias of models.yaml, a model's name (at
    OPENAI_BASE_URL, or at OpenAI), or an entry as models.yaml has them. SYNTH_MODEL (an alias, a name, or a
    GGUF file to serve) stands in for "embedded" or nothing. UserError: wrong models.yaml, address, file, no
    key."""
    if spec is None or spec == "embedded":
        spec = environ.get("SYNTH_MODEL") or "embedded"
    if isinstance(spec, str):
        if spec == "embedded" or spec.endswith(".gguf"):
            return Model(**EMBEDDED, **_file(spec), parameters=PARAMETERS, price=FREE)
        spec = named_models(models_file()).get(spec) or NamedModel(name=spec)
    base_url = spec.base_url or environ.get("OPENAI_BASE_URL") or OPENAI
    try:
        check_address(base_url)
    except UserError as error:
        raise UserError(f"OPENAI_BASE_URL: {error}", error.code, error.fix) from None
    try:
        check_secrets(base_url)
    except UserError as error:
        raise UserError(f"model: {error}", error.code, error.fix) from None
    if urlsplit(base_url).scheme.lower() == "https":
        certificates(environ)
    entry = spec.model_dump(exclude={"base_url", "prices", "parameters", "reasoning"})
    parameters = {**PARAMETERS, **spec.parameters, **_thinking(spec)}
    price = spec.price(datetime.now(UTC).date())
    model = Model(**entry, base_url=base_url, parameters=parameters, price=price)
    model.beside(environ)
    for variable in (ORGANIZATION, PROJECT):
        held(variable, environ)
    key_of(model, environ)  # a missing key is better told now than after the first stages ran
    return model


def _thinking(spec: NamedModel) -> dict[str, Any]:
    """What `reasoning` is among the parameters."""
    if spec.reasoning is None:
        return {}
    effort, tokens = spec.reasoning.effort, spec.reasoning.tokens
    return ({"reasoning_effort": effort} if effort else {}) | ({"reasoning_tokens": tokens} if tokens else {})


def what_answers(spec: str | NamedModel, environ: Mapping[str, str] = os.environ) -> Any:
    """What of a model can change an answer, as JSON: neither waiting nor prices nor keys. An alias counts as
    what models.yaml says of it, and SYNTH_MODEL as in `resolve_model`."""
    if spec == "embedded":
        spec = environ.get("SYNTH_MODEL") or spec
    if isinstance(spec, str):
        spec = named_models(models_file()).get(spec, spec)
    if isinstance(spec, str):
        return spec
    decide = spec.model_dump(include={"name", "base_url", "api", "parameters", "reasoning"})
    return decide | ({"base_url": spec.endpoint_name} if spec.endpoint_name else {})


def _file(name: str) -> dict[str, Any]:
    """Fields of a Model that the embedded server serves: the packaged one, or a GGUF file's path."""
    path = packaged_model() if name == "embedded" else Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"model: there is no file {path}; give a GGUF file (in SYNTH_MODEL, or as model:).")
    return {"name": path.stem, "base_url": None, "model_path": path}


def held(variable: str, environ: Mapping[str, str]) -> str:
    """What a variable holds that goes into a header, without the blanks and line ends around it that mounted
    files of secrets have. UserError for a character that no header may hold: it comes from pasting."""
    value = environ.get(variable, "").strip().strip(INVISIBLE).strip()
    if odd := NOT_IN_HEADERS.search(value):
        name = unicodedata.name(odd[0], "a control character").lower()
        fix = f"set {variable} again, without it"
        raise UserError(
            f"the variable {variable} has a character at place {odd.start() + 1} that no header may hold "
            f"({name}, U+{ord(odd[0]):04X}): {fix}.",
            "wrong_value",
            fix,
        )
    return value


def key_of(model: Model, environ: Mapping[str, str]) -> str:
    """The API key. A server on this machine may do without, and one that is told who asks by a header or the
    address; the embedded one is never told it."""
    if model.base_url is None:
        return "none"
    if key := held(model.key_env, environ):
        return key
    if model.headers or model.query or _on_this_machine(urlsplit(model.base_url).hostname or ""):
        return "none"
    fix = f"set the variable {model.key_env}"
    raise UserError(f"model {model.name!r} at {model.address} needs a key: {fix}.", "no_key", fix)


def _on_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
