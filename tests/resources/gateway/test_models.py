"""models.yaml: aliases, and what a call costs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from synth_assets.contracts.model_spec import NamedModel, Price
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model, named_models, resolve_model
from synth_assets.resources.gateway.request import Request
from tests.endpoint import Endpoint

MODELS = """
judge:
  name: gpt-4.1-mini
  base_url: http://127.0.0.1:8000/v1
  prices:
    - {from: 2026-01-01, prompt: 0.4, completion: 1.6}
    - {from: 2026-06-01, prompt: 0.2, completion: 0.8}
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(MODELS, encoding="utf-8")
    monkeypatch.setenv("SYNTH_MODELS", str(path))
    return path


def test_an_alias_is_a_model_with_its_price_of_today(models: Path) -> None:
    model = resolve_model("judge", {})
    assert (model.name, model.base_url) == ("gpt-4.1-mini", "http://127.0.0.1:8000/v1")
    assert model.price is not None
    assert model.price.completion == 0.8
    assert resolve_model(None, {"SYNTH_MODEL": "judge"}).name == "gpt-4.1-mini"


def test_the_price_is_that_of_the_day(models: Path) -> None:
    judge = named_models(models)["judge"]
    assert judge.price(date(2025, 12, 31)) is None
    assert [judge.price(date(2026, month, 1)).prompt for month in (1, 5, 6, 12)] == [0.4, 0.4, 0.2, 0.2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("name: gpt", "nam: gpt", 3, "unknown field 'nam'. Did you mean 'name'"),
        ("prompt: 0.4", "promt: 0.4", 5, "unknown field 'promt'. Did you mean 'prompt'"),
        ("prompt: 0.4", "prompt: -1", 5, "greater than or equal to 0"),
        ("from: 2026-01-01", "from: soon", 5, "date"),
        ("prices:", "parameters: {stream: true}\n  prices:", 5, "stream is said by the request itself"),
        ("base_url: ", "api: chatt\n  base_url: ", 4, "'chat' or 'completions'"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(
    models: Path, old: str, new: str, line: int, message: str
) -> None:
    models.write_text(MODELS.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        resolve_model("judge", {})
    assert f"{models}:{line}: " in str(caught.value)


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        (Price.model_validate({"from": "2026-01-01", "prompt": 2, "completion": 10}), (5, 2), 30e-6),
        (Price.model_validate({"from": "2026-01-01", "prompt": 2, "completion": 10}), None, None),
        (Price.model_validate({"from": "2026-01-01", "prompt": 0, "completion": 0}), None, 0.0),
        (None, (5, 2), None),
    ],
)
def test_a_call_costs_what_its_tokens_cost_or_an_unknown_amount(
    tmp_path: Path, price: Price | None, usage: tuple[int, int] | None, cost: float | None
) -> None:
    with Endpoint() as endpoint:
        endpoint.usage = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else None
        gateway = LanguageModel(CallLog(tmp_path / "calls.sqlite"), tmp_path / "server")
        model = Model("m", base_url=endpoint.url, price=price)
        requests = [Request([{"role": "user", "content": text}]) for text in "ab"]
        answers = gateway.complete(model, requests)
        assert [a.cost for a in answers] == pytest.approx([cost, cost])
        assert gateway.calls.cost == (None if cost is None else pytest.approx(2 * cost))
        later = LanguageModel(gateway.call_log, tmp_path)
        again = later.complete(model, requests)
        assert [a.cost for a in again] == pytest.approx([cost, cost])  # what it cost then
        assert later.calls.cost == 0.0  # what it costs now


def test_an_entry_in_the_recipe_may_have_prices_too() -> None:
    entry = NamedModel.model_validate(
        {
            "name": "m",
            "base_url": "http://localhost:1/v1",
            "prices": [{"from": "2026-01-01", "prompt": 1, "completion": 2}],
        }
    )
    price = resolve_model(entry, {}).price
    assert price is not None
    assert price.cost(1_000_000, 500_000) == 2.0
