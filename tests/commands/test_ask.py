"""`synth check --ask`: three short questions, and what the entry should say. `synth new --provider`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from synth_assets.cli import main
from synth_assets.recipe.load import load
from synth_assets.resources.gateway.models import named_models
from synth_assets.resources.home import call_log
from tests.endpoint import Endpoint
from tests.resources.gateway.shapes import REFUSED, message

Printed = pytest.CaptureFixture[str]
PROVIDERS = yaml.safe_load(
    (Path(__file__).parents[2] / "synth_assets" / "commands" / "providers.yaml").read_text(encoding="utf-8")
)
FRUIT = json.dumps({"text": "fig", "number": 3})


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("OPENAI_BASE_URL", "htp://127.0.0.1:8000/v1", "write http://127.0.0.1:8000/v1"),
        ("SSL_CERT_FILE", "gone.pem", "SSL_CERT_FILE names gone.pem, and there is no such file"),
    ],
)
def test_check_refuses_an_address_or_certificates_that_cannot_be(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv("SYNTH_MODEL", "scripted")
    assert main(["check", "reviews"]) == 0  # a key that is not set here may be where it runs
    monkeypatch.setenv(variable, value)
    assert main(["check", "reviews"]) == 2
    assert says in capsys.readouterr().err
    (project / "models.yaml").write_text("scripted: {name: m, base_url: 'http://::1:8768/v1'}\n")
    assert main(["check", "reviews"]) == 2
    assert "models.yaml:1: scripted.base_url" in capsys.readouterr().err


def refusing(*names: str) -> Any:
    """An endpoint that refuses these things, and gives JSON to who asks for it."""

    def play(body: dict[str, Any]) -> Any:
        if answer := next(filter(None, (REFUSED[name](body) for name in names)), None):
            return answer
        says = FRUIT if "fruit" in json.dumps(body["messages"]) else "yes"
        return {"choices": [message(f"<think>so</think>{says}")], "usage": {}}

    return play


def asked(project: Path, endpoint: Endpoint, capsys: Printed, entry: str = "") -> tuple[str, dict[str, Any]]:
    """What is said of an alias, and the entry that it should have."""
    (project / "models.yaml").write_text(f"mine:\n  name: m\n  base_url: {endpoint.url}\n{entry}")
    capsys.readouterr()
    assert main(["check", "mine", "--ask"]) == 0
    out = capsys.readouterr().out
    told = [line.removeprefix("    | ") for line in out.splitlines() if line.startswith("    | ")]
    return out, yaml.safe_load("\n".join(told) or "{}").get("mine", {})


def test_an_endpoint_is_asked_and_the_entry_that_is_told_spares_every_try(
    project: Path, endpoint: Endpoint, capsys: Printed
) -> None:
    names = ("OpenAI, limit", "OpenAI, temperature", "pydantic, seed", "DeepSeek, schema", "Gemma's template")
    endpoint.play = refusing(*names, "no log-probabilities")
    prices = "  prices: [{from: 2026-01-01, prompt: 1, completion: 1}]\n"
    out, entry = asked(project, endpoint, capsys, prices)
    first, *_ = out.splitlines()
    assert first.startswith(f"ask          m at {endpoint.url}: 3 questions, at most ")
    assert "tokens ($0.0" in first
    assert "text: answered, with thoughts before it" in out
    assert entry["structured"] == "words"
    assert entry["system"] == "user"
    nulls = dict.fromkeys(("max_tokens", "temperature", "seed", "logprobs"))
    assert entry["parameters"] == {**nulls, "max_completion_tokens": 300}
    (project / "models.yaml").write_text(yaml.safe_dump({"mine": entry}))
    endpoint.requests.clear()
    assert main(["check", "mine", "--ask"]) == 0
    assert "its entry may stay as it is." in capsys.readouterr().out
    assert len(endpoint.requests) == 3
    assert call_log().count() == 6  # they are logged as all calls are


def test_thoughts_that_took_all_tokens_get_room(project: Path, endpoint: Endpoint, capsys: Printed) -> None:
    endpoint.play = lambda _: {"choices": [message("", "length", reasoning_content="so")]}
    _, entry = asked(project, endpoint, capsys)
    assert entry["reasoning"] == {"tokens": 4000}


def test_log_probabilities_of_other_tokens_than_the_answers_are_told_to_be_left_out(
    project: Path, endpoint: Endpoint, capsys: Printed
) -> None:
    endpoint.say = lambda body: FRUIT if "fruit" in json.dumps(body) else "yes"
    out, entry = asked(project, endpoint, capsys)
    assert "with 2 alternatives a token, of which none begins the answer" in out
    assert entry["parameters"] == {"logprobs": None}


def test_a_recipe_is_checked_and_its_models_are_asked(
    project: Path, endpoint: Endpoint, capsys: Printed
) -> None:
    endpoint.say = lambda body: FRUIT if "fruit" in json.dumps(body) else "a yes"  # begins with its token
    assert main(["check", "reviews", "--ask", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert [line["what"] for line in found].count("ask") == 1
    assert found[-1]["says"] == "its entry may stay as it is."
    assert len(endpoint.requests) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_new_recipe_names_the_entry_of_its_provider(project: Path, capsys: Printed, provider: str) -> None:
    models = project / "models.yaml"
    models.write_text("other: {name: o}\n")
    assert main(["new", "bank", "--provider", provider]) == 0
    assert load(project / "recipes" / "bank.yaml").model == provider
    entry = named_models(models)[provider]
    assert entry.name == PROVIDERS[provider]["entry"]["name"]
    assert named_models(models)["other"].name == "o"
    before = models.read_text()
    assert main(["new", "again", "--provider", provider]) == 0
    assert models.read_text() == before


def test_a_provider_that_nobody_knows_is_refused_with_the_known_ones(project: Path, capsys: Printed) -> None:
    assert main(["new", "bank", "--provider", "openrooter"]) == 2
    assert "Did you mean 'openrouter'" in capsys.readouterr().err
    assert not (project / "recipes" / "bank.yaml").exists()
    assert main(["new", "bank", "--provider", "ollama", "--model", "gemma3:4b"]) == 0
    assert named_models(project / "models.yaml")["ollama"].name == "gemma3:4b"


def test_the_catalogue_of_the_docs_is_that_of_the_command() -> None:
    text = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
    for name, known in PROVIDERS.items():
        address = known["entry"].get("base_url", "https://api.openai.com/v1").split("//")[1]
        assert f"| `{name}` | `{address}` | {known['refuses']} | [" in text
        assert all(f"({url})" in text for url in known["sources"])
