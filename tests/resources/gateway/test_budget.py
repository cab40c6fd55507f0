"""A budget holds: across processes, after a kill, and before the first call where a price is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.cli import main
from synth_assets.contracts.model_spec import Price
from synth_assets.core.errors import UserError
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.budget import Budget, Cap, Use, most
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.home import warehouse
from tests.assets.test_round import ROUND
from tests.endpoint import Endpoint, reviewer
from tests.forked import python
from tests.resources.call_log.test_call_log import where

__all__ = ["where"]

DEAR = Price.model_validate({"from": "2026-01-01", "prompt": 1000, "completion": 1000})  # $0.007 for 7 tokens
SPENT = "SELECT scope, amount FROM budget"


def ask(n: int) -> list[Request]:
    return [Request([{"role": "user", "content": f"q{i}"}], {"max_tokens": 2}) for i in range(n)]


def test_what_is_reserved_covers_what_a_call_can_cost() -> None:
    use = most(["fünf", "two"], 10, DEAR)
    assert use.tokens == (5 + 32) + (3 + 32) + 10
    assert use.nanodollars == use.tokens * 1_000_000
    with pytest.raises(UserError, match="max_tokens"):
        most(["text"], None, DEAR)


def test_a_call_over_the_cap_is_not_sent_and_says_so(tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        model = Model("m", base_url=endpoint.url, price=DEAR, max_concurrency=1)
        log = CallLog(tmp_path / "calls.sqlite")
        gateway = LanguageModel(log, tmp_path, caps=[Cap("r/round", 0.10)])
        answers = gateway.complete(model, ask(30))
    sent = [a for a in answers if a.outcome == "ok"]
    held = [a for a in answers if a.outcome == "over_budget"]
    assert len(sent) == len(endpoint.requests) == log.count()
    assert len(sent) + len(held) == 30
    assert 0.05 < sum(a.cost or 0 for a in sent) <= 0.10
    assert held[0].error == "r/round is capped at 0.1 dollars"


def test_with_an_unknown_price_nothing_is_sent(tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        gateway = LanguageModel(CallLog(tmp_path / "c.sqlite"), tmp_path, caps=[Cap("r", 1.0)])
        with pytest.raises(UserError, match=r"price of the model 'm' is not known: add it to models\.yaml"):
            gateway.complete(Model("m", base_url=endpoint.url), ask(1))
        assert endpoint.requests == []


def test_a_cap_in_tokens_needs_no_price(tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        caps = [Cap("r", 70, "tokens")]
        model = Model("m", base_url=endpoint.url, max_concurrency=1)
        answers = LanguageModel(CallLog(tmp_path / "c.sqlite"), tmp_path, caps=caps).complete(model, ask(20))
        assert (
            sum(a.outcome == "ok" for a in answers) == len(endpoint.requests) == 5
        )  # of 7 tokens, 36 at most


def test_every_cap_must_allow_a_call(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "c.sqlite")
    budget = Budget(log, [Cap("day", 100, "tokens"), Cap("round", 10, "tokens")])
    assert budget.reserve(Use(0, 8)) is None
    assert budget.reserve(Use(0, 8)) == "round is capped at 10 tokens"
    assert dict(log.execute(SPENT)) == {"day tokens": 8, "round tokens": 8}
    budget.settle(Use(0, 8), Use(0, 1))
    assert budget.reserve(Use(0, 8)) is None


def test_a_call_whose_end_is_not_known_stays_counted(tmp_path: Path) -> None:
    Budget(CallLog(tmp_path / "c.sqlite"), [Cap("r", 10, "tokens")]).reserve(Use(0, 8))  # then: kill -9
    assert Budget(CallLog(tmp_path / "c.sqlite"), [Cap("r", 10, "tokens")]).reserve(Use(0, 8)) is not None


@pytest.mark.parametrize(("status", "spent"), [(500, 0), (429, 0), (0, 36)])
def test_a_refused_call_costs_nothing_and_a_broken_one_may_have_been_billed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, spent: int
) -> None:
    monkeypatch.setattr("synth_assets.resources.gateway.sending.BACKOFF", 0.0)
    with Endpoint() as endpoint:
        gateway = LanguageModel(CallLog(tmp_path / "c.sqlite"), tmp_path, caps=[Cap("r", 1000, "tokens")])
        gateway.complete(Model("m", base_url=endpoint.url), ask(1)[:1])
        endpoint.fail_next(status)
        gateway.complete(Model("m", base_url=endpoint.url), [*ask(2)[1:]])
        assert dict(gateway.call_log.execute(SPENT)) == {"r tokens": 7 + spent + 7}


def test_the_cap_holds_with_eight_processes(where: Path | str) -> None:
    with Endpoint() as endpoint:
        processes = [python(SPENDER, str(where), endpoint.url, str(i)) for i in range(8)]
        assert [p.wait() for p in processes] == [0] * 8
    log = CallLog(where)
    with log.transaction() as execute:
        ((spent, calls),) = execute("SELECT sum(cost), count(*) FROM calls WHERE outcome = 'ok'")
    assert calls == len(endpoint.requests) < 8 * 40
    assert 0.5 < spent <= 1.00  # what is reserved for calls in flight holds others back


SPENDER = """
import sys
from pathlib import Path
from synth_assets.resources.gateway.budget import Cap
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model, Price
from synth_assets.resources.gateway.request import Request

where, url, who = sys.argv[1:]
price = Price.model_validate({"from": "2026-01-01", "prompt": 1000, "completion": 1000})
gateway = LanguageModel(CallLog(where), Path(), caps=[Cap("r", 1.00)])
asked = [Request([{"role": "user", "content": f"{who} {i}"}], {"max_tokens": 2}) for i in range(40)]
gateway.complete(Model("m", base_url=url, price=price, max_concurrency=4), asked)
"""


def test_a_round_over_its_budget_is_partial_red_and_goes_on_when_it_is_raised(
    project: Path, edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with Endpoint(say=reviewer) as endpoint:
        prices = "prices: [{from: 2026-01-01, prompt: 1000, completion: 1000}]"
        (project / "models.yaml").write_text(f"dear: {{name: m, base_url: {endpoint.url}, {prices}}}\n")
        edit("rows: 6", "rows: 6\nmodel: dear\nbudget: {round: 0.40}")
        assert main(["run", "reviews", "--round", ROUND]) == 3
        error = capsys.readouterr().err
        assert "check answered: " in error
        assert f"reviews/round/{ROUND} is capped at 0.4 dollars. Raise it and run again." in error
        paid = len(endpoint.requests)
        assert 0 < paid < 12
        kept = warehouse().query("select count(*) from reviews.generations where accepted").fetchall()
        assert kept == [(paid,)]
        edit("{round: 0.40}", "{round: 4.00}")
        assert main(["run", "reviews", "--round", ROUND]) == 0
        assert len(endpoint.requests) == 12
        ((calls, cost),) = warehouse().query("select sum(calls), sum(cost) from reviews.cost").fetchall()
        assert (calls, round(cost, 6)) == (12, 0.084)
