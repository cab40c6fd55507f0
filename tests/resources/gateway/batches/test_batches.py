"""The provider's Batch API: nothing is paid twice and nothing is lost, whoever is killed, and when."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_assets.assets.code_location import build
from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import main
from synth_assets.contracts.model_spec import Price
from synth_assets.core.answer_schema import Schema
from synth_assets.core.asking import Answer
from synth_assets.core.errors import UserError
from synth_assets.partitions import cell_key
from synth_assets.recipe.load import load
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.call_log.rows import Entry
from synth_assets.resources.gateway.batches import api, records, submit
from synth_assets.resources.gateway.batches import collect as batches_collect
from synth_assets.resources.gateway.batches.collect import collect
from synth_assets.resources.gateway.batches.submit import Pending
from synth_assets.resources.gateway.budget import Cap
from synth_assets.resources.gateway.language_model import Calls, LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from synth_assets.resources.home import call_log, warehouse
from tests.assets.test_round import ROUND
from tests.batch_endpoint import BatchEndpoint
from tests.endpoint import reviewer
from tests.forked import python

ASSET, PARTITION = "reviews/generations", "negative|2026-11-21"
CONTEXT = {"run_id": "run-1", "asset": ASSET, "partition_key": PARTITION}
HALF = Price.model_validate({"from": "2026-01-01", "prompt": 1000, "completion": 1000, "batch": 0.5})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_collect, "GRACE_S", 0.0)
    monkeypatch.setattr(api, "BACKOFF", 0.0)
    monkeypatch.setattr("synth_assets.assets.rounds.POLL_S", 0.0)


@pytest.fixture
def provider() -> Iterator[BatchEndpoint]:
    with BatchEndpoint(polls=0) as served:
        yield served


class Partition:
    """One partition, as a stage has it: `ask` returns answers, or the words of what is pending."""

    def __init__(
        self, provider: BatchEndpoint, root: Path | str, caps: Sequence[Cap] = (), **model: Any
    ) -> None:
        self.log = CallLog(root / "calls.sqlite" if isinstance(root, Path) else root)
        self.model, self.caps = Model("m", base_url=provider.url, **model), caps
        self.calls = Calls()

    def ask(self, *prompts: str, schema: Schema | None = None) -> list[Answer] | str:
        owner = LanguageModel(self.log, Path(), CONTEXT, self.caps)
        asked = [Request([{"role": "user", "content": p}], {"max_tokens": 2}, schema=schema) for p in prompts]
        try:
            return submit.answers(owner, self.model, asked)
        except Pending as pending:
            return str(pending)
        finally:
            self.calls = owner.calls

    def collect(self) -> str:
        return str(collect(self.log, ASSET))

    def outcomes(self, *prompts: str) -> list[str]:
        found = self.ask(*prompts)
        assert not isinstance(found, str), found
        return [answer.outcome for answer in found]

    def rows(self) -> Counter[str]:
        return Counter(outcome for (outcome,) in self.log.execute("SELECT outcome FROM calls"))


@pytest.fixture
def partition(provider: BatchEndpoint, tmp_path: Path) -> Partition:
    return Partition(provider, tmp_path)


def test_what_is_missing_is_submitted_once_and_its_answers_are_in_order(
    partition: Partition, provider: BatchEndpoint
) -> None:
    assert partition.ask("q1", "q2", "q1") == "requests with the provider: 2 in batch_1"
    assert partition.ask("q1", "q2") == "requests with the provider: 2 in batch_1"
    assert partition.ask("q1", "q2", "q3") == "requests with the provider: 2 in batch_1, 1 in batch_2"
    assert partition.collect() == "batch_1 completed: 2 ok; batch_2 completed: 1 ok"
    found = partition.ask("q1", "q2", "q1", "q3")
    assert [answer.text for answer in found] == ["q1!", "q2!", "q1!", "q3!"]
    assert (partition.calls.calls, partition.calls.from_log, partition.calls.prompt_tokens) == (3, 0, 15)
    assert set(provider.paid.values()) == {1}
    assert partition.rows() == {"ok": 3}
    contexts = partition.log.execute("SELECT DISTINCT run_id, asset, partition_key FROM calls")
    assert contexts == [("run-1", ASSET, PARTITION)]
    assert list(partition.log.verify()) == []


def test_a_line_asks_what_the_call_asks(partition: Partition, provider: BatchEndpoint) -> None:
    partition.ask("q")
    ((line,),) = provider.lines
    request = Request([{"role": "user", "content": "q"}], {"max_tokens": 2})
    LanguageModel(CallLog(":memory:"), Path()).complete(partition.model, [request])
    (call,) = provider.requests
    identity = request.identity(partition.model)
    assert line == {"custom_id": identity, "method": "POST", "url": "/v1/chat/completions", "body": call}


def test_it_works_on_postgres(provider: BatchEndpoint, postgres: str) -> None:
    partition = Partition(provider, postgres, [Cap("r", 1.0)], price=HALF)
    provider.script(ending="expired", leave_out={"q2"})
    assert partition.ask("q1", "q2") == "requests with the provider: 2 in batch_1"
    assert partition.collect() == "batch_1 expired: 1 ok, 1 timed_out"
    assert partition.ask("q1", "q2") == "requests with the provider: 1 in batch_2"
    partition.collect()
    assert partition.outcomes("q1", "q2") == ["ok", "ok"]
    assert spent(partition) == pytest.approx(2 * 7 * 0.0005)


def test_a_file_has_its_bounds(
    partition: Partition, provider: BatchEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "MAX_REQUESTS", 2)
    partition.ask("a", "b", "c")
    monkeypatch.setattr(submit, "MAX_REQUESTS", 50)
    monkeypatch.setattr(submit, "MAX_BYTES", 1000)
    partition.ask(*(f"{i}" * 400 for i in range(3)))
    assert [len(lines) for lines in provider.lines] == [2, 1, 1, 1, 1]


# ---- kills


def run_and_die(code: str, *arguments: str) -> None:
    """Another process, which kills itself."""
    assert python(code, *arguments).wait() == -signal.SIGKILL


SUBMIT = """
import os, signal, sys
from pathlib import Path
from synth_assets.resources.gateway.batches import api, records, submit
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.language_model import LanguageModel
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request
from tests.resources.gateway.batches.test_batches import CONTEXT

root, url, then = sys.argv[1:4]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if then == "created": records.opened = die
if then == "intended": api.upload = die
owner = LanguageModel(CallLog(Path(root) / "calls.sqlite"), Path(root), CONTEXT)
asked = [Request([{"role": "user", "content": f"q{i}"}], {"max_tokens": 2}) for i in range(20)]
try:
    submit.answers(owner, Model("m", base_url=url), asked)
except submit.Pending:
    pass
"""


@pytest.mark.parametrize(("then", "made"), [("created", 1), ("intended", 0)])
def test_a_process_that_is_killed_before_it_knows_its_batch_pays_once(
    partition: Partition, provider: BatchEndpoint, tmp_path: Path, then: str, made: int
) -> None:
    run_and_die(SUBMIT, str(tmp_path), provider.url, then)
    assert len(provider.batches) == made
    prompts = [f"q{i}" for i in range(20)]
    assert partition.ask(*prompts) == "requests with the provider: 20 in a batch that is not confirmed yet"
    partition.collect()
    if not made:
        assert partition.ask(*prompts) == "requests with the provider: 20 in batch_1"
        partition.collect()
    assert partition.outcomes(*prompts) == ["ok"] * 20
    assert list(provider.paid.values()) == [1] * 20
    assert partition.rows() == {"ok": 20}


def test_a_connection_that_breaks_after_the_batch_was_made_pays_once(
    partition: Partition, provider: BatchEndpoint
) -> None:
    provider.lose_answers = 1
    assert partition.ask("q1") == "requests with the provider: 1 in a batch that is not confirmed yet"
    assert partition.collect() == "batch_1 completed: 1 ok"
    assert partition.outcomes("q1") == ["ok"]
    assert len(provider.batches) == 1


def test_a_batch_that_may_still_appear_is_not_given_up(
    partition: Partition, provider: BatchEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_collect, "GRACE_S", 60.0)
    provider.refuse.append(("/batches", 500, "who knows"))
    assert "not confirmed" in str(partition.ask("q1"))
    assert "1 requests in a batch that is not confirmed yet" in partition.collect()
    monkeypatch.setattr(batches_collect, "GRACE_S", 0.0)
    assert "was never made: its requests are sent again" in partition.collect()
    assert partition.ask("q1") == "requests with the provider: 1 in batch_1"


COLLECT = """
import os, signal, sys
from pathlib import Path
from synth_assets.resources.gateway.batches import collect
from synth_assets.resources.call_log.log import CallLog
from tests.resources.gateway.batches.test_batches import ASSET

root, dies = sys.argv[1], len(sys.argv) > 2
collect.CHUNK = 3
log, appended = CallLog(Path(root) / "calls.sqlite"), []
def append(entries, within, write=log.append):
    write(entries, within)
    appended.append(entries)
    if dies and len(appended) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
log.append = append
print(collect.collect(log, ASSET))
"""


def test_a_collection_that_is_killed_goes_on_and_doubles_nothing(
    provider: BatchEndpoint, tmp_path: Path
) -> None:
    partition = Partition(provider, tmp_path, [Cap("r", 1.0)], price=HALF)
    prompts = [f"q{i}" for i in range(20)]
    provider.script(statuses={"q1": 500})  # q1, q10, q11, ...
    partition.ask(*prompts)
    run_and_die(COLLECT, str(tmp_path), "dies")
    assert partition.rows().total() == 9  # three chunks of three; the fourth was not committed
    partition.collect()
    assert partition.rows() == {"ok": 9, "provider_error": 11}
    assert spent(partition) == pytest.approx(9 * 7 * 0.0005)


def test_collectors_at_the_same_time_write_each_row_once(provider: BatchEndpoint, tmp_path: Path) -> None:
    partition = Partition(provider, tmp_path, [Cap("r", 10.0)], price=HALF)
    provider.script(statuses={"q7": 500})
    partition.ask(*(f"q{i}" for i in range(200)))
    processes = [python(COLLECT, str(tmp_path)) for _ in range(4)]
    assert [p.wait() for p in processes] == [0] * 4
    assert partition.rows() == {"ok": 189, "provider_error": 11}
    assert spent(partition) == pytest.approx(189 * 7 * 0.0005)


def test_processes_that_submit_at_the_same_time_pay_once(
    partition: Partition, provider: BatchEndpoint, tmp_path: Path
) -> None:
    processes = [python(SUBMIT, str(tmp_path), provider.url, "lives") for _ in range(4)]
    assert [p.wait() for p in processes] == [0] * 4
    assert sum(map(len, provider.lines)) == 20
    partition.collect()
    assert partition.outcomes(*(f"q{i}" for i in range(20))) == ["ok"] * 20


def test_what_somebody_is_asking_online_is_waited_for(partition: Partition, provider: BatchEndpoint) -> None:
    request = Request([{"role": "user", "content": "q1"}], {"max_tokens": 2})
    identity = request.identity(partition.model)
    partition.log.claim([identity])
    answer = Answer(identity, "ok", text="from online")
    entry = Entry(answer, request.messages, request.parameters(partition.model, 0), "m", provider.url)

    def answered_later() -> None:
        while not provider.batches:
            time.sleep(0.01)
        partition.log.append([entry])

    threading.Thread(target=answered_later, daemon=True).start()
    assert partition.ask("q1", "q2") == "requests with the provider: 1 in batch_1"
    ((line,),) = provider.lines
    assert line["custom_id"] != identity


# ---- what a batch may come to


def test_an_expired_batch_sends_only_what_is_missing(partition: Partition, provider: BatchEndpoint) -> None:
    provider.script(ending="expired", leave_out={"q2"})
    partition.ask("q1", "q2", "q3")
    assert partition.collect() == "batch_1 expired: 2 ok, 1 timed_out"
    assert partition.ask("q1", "q2", "q3") == "requests with the provider: 1 in batch_2"
    partition.collect()
    assert partition.outcomes("q1", "q2", "q3") == ["ok"] * 3
    assert list(provider.paid.values()) == [1, 1, 1]
    assert (partition.calls.calls, partition.calls.failed) == (3, 0)


def test_a_request_that_fails_in_four_batches_is_a_failure_until_somebody_asks_again(
    partition: Partition, provider: BatchEndpoint
) -> None:
    for number in range(1, 5):
        provider.script(statuses={"bad": 500})
        sent = 2 if number == 1 else 1
        assert partition.ask("good", "bad") == f"requests with the provider: {sent} in batch_{number}"
        partition.collect()
    good, bad = partition.ask("good", "bad")
    assert (good.outcome, bad.outcome, bad.error) == ("ok", "provider_error", "500: scripted 500")
    assert (partition.calls.calls, partition.calls.failed) == (2, 1)
    assert partition.outcomes("good", "bad") == ["ok", "provider_error"]
    records.forget(partition.log, ASSET, PARTITION)  # as a stage does that has its rows
    assert partition.ask("good", "bad") == "requests with the provider: 1 in batch_5"


def test_a_request_that_the_provider_refuses_is_not_sent_again(
    partition: Partition, provider: BatchEndpoint
) -> None:
    provider.script(statuses={"long": 400})
    partition.ask("short", "too long")
    partition.collect()
    assert partition.outcomes("short", "too long") == ["ok", "provider_error"]
    assert len(provider.batches) == 1


def test_a_batch_that_fails_as_a_whole_says_why(partition: Partition, provider: BatchEndpoint) -> None:
    wrong = {"code": "model_not_found", "message": "there is no model m"}
    for _ in range(4):
        provider.script(ending="failed", errors=[wrong])
        partition.ask("q1", "q2")
        said = partition.collect()
    assert said.endswith("failed: 2 provider_error (model_not_found: there is no model m)")
    words = "batch batch_4 failed (model_not_found: there is no model m)"
    assert [answer.error for answer in partition.ask("q1", "q2")] == [words, words]
    assert provider.paid == {}


def test_a_batch_that_finds_no_place_waits_and_spends_no_attempt(
    partition: Partition, provider: BatchEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        provider.script(ending="failed", errors=[{"code": "token_limit_exceeded", "message": "full"}])
        partition.ask("q")
        partition.collect()
    assert collect(partition.log, ASSET).partitions == {PARTITION: None}
    with monkeypatch.context() as patch:
        patch.setattr(CallLog, "now", lambda *_: time.time() - 3600)  # the clock was set back since
        assert collect(partition.log, ASSET).partitions[PARTITION] is not None
    monkeypatch.setattr(records, "CROWDED_S", 0.0)
    assert collect(partition.log, ASSET).partitions[PARTITION] is not None
    partition.ask("q")
    partition.collect()
    assert partition.outcomes("q") == ["ok"]
    assert partition.rows() == {"ok": 1}


def test_who_cancels_a_batch_gets_no_other(partition: Partition, provider: BatchEndpoint) -> None:
    provider.script(ending="cancelled", leave_out={"q2"})
    partition.ask("q1", "q2")
    partition.collect()
    assert partition.outcomes("q1", "q2") == ["ok", "provider_error"]


def test_broken_lines_lose_nothing_else(partition: Partition, provider: BatchEndpoint) -> None:
    junk = [b"\xff\xfe\x00", b'{"custom_id": "nobody"}', b"[1]", b'{"custom_id": {}}', b"[" * 100_000, b""]
    provider.script(junk=junk, leave_out={"q2"})
    partition.ask("q1", "q2", "q3")
    assert partition.collect() == "batch_1 completed: 2 ok, 1 provider_error"
    assert partition.ask("q1", "q2", "q3") == "requests with the provider: 1 in batch_2"


@pytest.mark.parametrize(
    "response",
    [None, 7, {"status_code": "x"}, {"status_code": 200}, {"status_code": 200, "body": {"choices": [0]}}],
)
def test_a_line_that_is_no_answer_is_a_failure(
    partition: Partition, provider: BatchEndpoint, response: Any
) -> None:
    partition.ask("q1", "q2")
    ((first, _),) = provider.lines
    provider.scripts.clear()
    strange = json.dumps({"custom_id": first["custom_id"], "response": response}).encode()
    provider._scripted["batch_1"].junk.append(strange)
    provider._scripted["batch_1"].leave_out = {"q1"}
    assert partition.collect() == "batch_1 completed: 1 ok, 1 provider_error"


def test_an_answer_that_does_not_fit_gets_one_more_turn(
    partition: Partition, provider: BatchEndpoint
) -> None:
    def say(body: dict[str, Any]) -> str:
        return '{"text": 1}' if len(body["messages"]) == 1 else '{"text": "one"}'

    provider.say = say
    schema = Schema.of({"text": "text"})
    assert partition.ask("q1", schema=schema) == "requests with the provider: 1 in batch_1"
    assert partition.collect() == "batch_1 completed: 1 invalid"
    assert partition.ask("q1", schema=schema) == "requests with the provider: 1 in batch_2"
    partition.collect()
    (answer,) = partition.ask("q1", schema=schema)
    assert (answer.outcome, answer.text) == ("ok", '{"text": "one"}')
    assert partition.calls.calls == 2
    assert list(provider.paid.values()) == [1, 1]


# ---- budgets


def spent(partition: Partition) -> float:
    """Of the first cap, in dollars."""
    ((amount,),) = partition.log.execute("SELECT amount FROM budget WHERE scope = 'r dollars'")
    return amount / 1e9


def test_a_batch_reserves_what_it_can_cost_and_settles_what_it_did(
    provider: BatchEndpoint, tmp_path: Path
) -> None:
    most = (2 + 32 + 2) * 0.0005  # of one request: prompt, template, answer
    partition = Partition(provider, tmp_path, [Cap("r", 2.5 * most)], price=HALF)
    assert partition.ask("q1", "q2", "q3") == "requests with the provider: 2 in batch_1"
    assert partition.calls.over_budget == 1
    assert spent(partition) == pytest.approx(2 * most)
    partition.collect()
    assert spent(partition) == pytest.approx(2 * 7 * 0.0005)
    assert partition.ask("q1", "q2", "q3") == "requests with the provider: 1 in batch_2"
    partition.collect()
    assert partition.ask("q1", "q2", "q3", "q4") == "requests with the provider: 1 in batch_3"
    provider.script()
    partition.collect()
    assert [round(a.cost, 6) for a in partition.ask("q1", "q2", "q3", "q4")] == [0.0035] * 4
    assert partition.calls.cost == pytest.approx(4 * 0.0035)


def test_what_no_batch_can_pay_is_over_budget(provider: BatchEndpoint, tmp_path: Path) -> None:
    partition = Partition(provider, tmp_path, [Cap("r", 10, "tokens")])
    assert partition.outcomes("q1", "q2") == ["over_budget", "over_budget"]
    assert partition.calls.over_budget == 2
    assert provider.batches == {}
    assert Partition(provider, tmp_path, [Cap("r", 100, "tokens")]).ask("q1") == (
        "requests with the provider: 1 in batch_1"
    )


@pytest.mark.parametrize(
    ("price", "message"), [(None, "price of the model 'm' is not known"), (0.0, r"as in `batch: 0\.5`")]
)
def test_a_budget_needs_the_price_of_a_batch(
    provider: BatchEndpoint, tmp_path: Path, price: float | None, message: str
) -> None:
    known = None if price is None else HALF.model_copy(update={"batch": None})
    with pytest.raises(UserError, match=message):
        Partition(provider, tmp_path, [Cap("r", 1.0)], price=known).ask("q")
    assert provider.files == {}


# ---- what a person has to mend


def test_an_endpoint_without_the_routes_is_told_apart(partition: Partition, provider: BatchEndpoint) -> None:
    provider.has_batches = False
    with pytest.raises(UserError, match=r"has no Batch API \(404: no such route\): remove `mode: batch`"):
        partition.ask("q")
    provider.has_batches = True
    assert partition.ask("q") == "requests with the provider: 1 in batch_1"  # nothing was left behind


@pytest.mark.parametrize("where", ["/files", "/batches"])
def test_a_refused_key_is_named_by_its_variable(
    partition: Partition, provider: BatchEndpoint, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    provider.refuse.append((where, 401, "wrong key: sk-very-secret"))
    with pytest.raises(UserError, match="variable OPENAI_API_KEY") as error:
        partition.ask("q")
    assert "sk-very-secret" not in str(error.value)
    partition.ask("q")
    provider.refuse.append(("/batches", 401, "wrong key: sk-very-secret"))
    said = partition.collect()
    assert "OPENAI_API_KEY" in said
    assert "sk-very-secret" not in said


def test_what_heals_is_asked_again(partition: Partition, provider: BatchEndpoint) -> None:
    for path, status in (("/files", 500), ("/files", 429), ("/batches", 429)):
        provider.refuse.append((path, status, "busy"))
    assert partition.ask("q") == "requests with the provider: 1 in batch_1"
    provider.refuse.append(("/batches", 503, "busy"))
    assert "not available now (503: busy)" in partition.collect()
    provider.refuse.append(("/files", 500, "busy"))
    assert "not available now (500: busy)" in partition.collect()
    assert partition.collect() == "batch_1 completed: 1 ok"


def test_a_provider_that_refuses_again_and_again_leaves_nothing_behind(
    partition: Partition, provider: BatchEndpoint
) -> None:
    provider.refuse.extend([("/files", 500, "busy")] * 4)
    with pytest.raises(UserError, match="Nothing was submitted: run again"):
        partition.ask("q")
    assert partition.log.execute("SELECT * FROM batches, batched, claims") == []
    assert partition.ask("q") == "requests with the provider: 1 in batch_1"


def test_a_batch_of_another_project_stays_open_and_says_so(
    partition: Partition, provider: BatchEndpoint
) -> None:
    partition.ask("q")
    provider.refuse.append(("/batches", 404, "no such batch"))
    said = partition.collect()
    assert "is the key in OPENAI_API_KEY that of another project?" in said
    assert partition.ask("q") == "requests with the provider: 1 in batch_1"


def test_a_batch_that_the_provider_has_forgotten_is_sent_again(
    partition: Partition, provider: BatchEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition.ask("q")
    provider.batches.clear()
    monkeypatch.setattr(batches_collect, "KEPT_S", 0.0)
    assert partition.collect() == "batch_1 expired: 1 timed_out"
    assert partition.ask("q") == "requests with the provider: 1 in batch_1"


def test_without_time_everything_is_left_for_later(partition: Partition, provider: BatchEndpoint) -> None:
    partition.ask("q")
    found = collect(partition.log, ASSET, seconds=0.0)
    assert [batch.name for batch in found.open] == ["batch_1"]
    assert found.partitions == {PARTITION: None}
    assert provider.looks.total() == 0


def test_a_request_that_is_with_the_provider_is_not_asked_online_too(
    partition: Partition, provider: BatchEndpoint
) -> None:
    partition.ask("q1")
    asked = [Request([{"role": "user", "content": p}], {"max_tokens": 2}) for p in ("q2", "q1")]
    with pytest.raises(UserError, match=r"in batch_1 of reviews/generations negative\|2026-11-21"):
        list(submit.not_in_batches(partition.log, partition.model, asked))
    assert len(list(submit.not_in_batches(partition.log, partition.model, asked[:1]))) == 1
    partition.collect()
    assert len(list(submit.not_in_batches(partition.log, partition.model, asked))) == 2


# ---- a round on a real Dagster instance


@pytest.fixture
def served(project: Path, edit: Callable[[str, str], Path]) -> Iterator[BatchEndpoint]:
    """The recipe's model is at this provider, at half price in batches."""
    with BatchEndpoint(polls=0, say=reviewer) as provider:
        prices = "prices: [{from: 2026-01-01, prompt: 1000, completion: 1000, batch: 0.5}]"
        (project / "models.yaml").write_text(f"cheap: {{name: m, base_url: {provider.url}, {prices}}}\n")
        edit("rows: 6", "rows: 6\nmodel: cheap\nmode: batch\nbudget: {round: 4.00}")
        yield provider


def ask(sql: str) -> list[tuple]:
    return warehouse().query(sql).fetchall()


def run(*options: str) -> int:
    return main(["run", "reviews", "--round", ROUND, *options])


def tick(defs: dg.Definitions, instance: dg.DagsterInstance) -> Any:
    """What the sensor does, once."""
    resources = {"synth_language_model": LanguageModel(call_log(), Path())}
    repository = defs.get_repository_def()
    context = dg.build_sensor_context(instance, repository_def=repository, resources=resources)
    return defs.resolve_sensor_def("reviews_collect").evaluate_tick(context)


def test_a_round_goes_on_where_its_batches_are(
    project: Path, served: BatchEndpoint, capsys: pytest.CaptureFixture
) -> None:
    served.script(ending="expired", leave_out={"negative (angry)", "negative (witty)"})
    assert run() == 75
    out = capsys.readouterr().out
    assert "negative: requests with the provider: 6 in batch_1\n" in out
    assert "positive: requests with the provider: 6 in batch_2\n" in out
    assert f"Go on later: synth run reviews --round {ROUND}\n" in out
    assert ask("select count(*) from reviews.generations") == [(0,)]
    assert run() == 75
    captured = capsys.readouterr()
    asked = [line["body"]["messages"][-1]["content"] for line in served.lines[0]]
    missing = sum("negative (calm)" not in prompt for prompt in asked)
    assert 0 < missing < 6
    assert f"negative: requests with the provider: {missing} in batch_3\n" in captured.out
    assert "positive" not in captured.out
    assert f"reviews generations {ROUND} negative: batch_1 expired: {6 - missing} ok" in captured.err
    assert run() == 0
    assert "accuracy of a student trained on" in capsys.readouterr().out
    assert ask("select sum(accepted) from reviews.funnel") == [(12,)]
    ((calls, cost),) = ask("select sum(calls), sum(cost) from reviews.cost")
    assert (calls, round(cost, 6)) == (12, 12 * 7 * 0.0005)
    assert list(served.paid.values()) == [1] * 12
    assert served.requests == []  # nothing went online
    assert run() == 0
    assert served.paid.total() == 12
    with dagster_instance() as instance:
        made = instance.fetch_materializations(dg.AssetKey(["reviews", "generations"]), limit=100).records
    told = [record.asset_materialization.metadata for record in made]
    assert sum(metadata["calls"].value for metadata in told) == 12  # once, in the run that they were made for
    assert sum(metadata["cost"].value for metadata in told) == pytest.approx(12 * 7 * 0.0005)


def test_a_round_that_waits_is_made_in_one_go(
    project: Path, served: BatchEndpoint, capsys: pytest.CaptureFixture
) -> None:
    served.polls = 3
    served.script(ending="expired", leave_out={"(angry)"})
    assert run("--wait") == 0
    captured = capsys.readouterr()
    assert "accuracy of a student trained on" in captured.out
    assert "batch_1 expired: " in captured.err
    assert ask("select sum(accepted) from reviews.funnel") == [(12,)]
    assert list(served.paid.values()) == [1] * 12


def test_the_sensor_collects_and_asks_for_the_partition(project: Path, served: BatchEndpoint) -> None:
    served.polls = 1
    defs = build({"reviews": load(project / "recipes" / "reviews.yaml")})
    job = defs.resolve_job_def("reviews_cell")
    assert defs.resolve_sensor_def("reviews_collect").default_status == dg.DefaultSensorStatus.RUNNING
    generations, scores = dg.AssetKey(["reviews", "generations"]), dg.AssetKey(["reviews", "scores"])

    with dagster_instance() as instance:
        everything = defs.resolve_implicit_global_asset_job_def()
        everything.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(["reviews", "seeds"])])
        for cell in ("negative", "positive"):
            done = job.execute_in_process(instance=instance, partition_key=cell_key(ROUND, cell))
            assert done.success
            (observed,) = done.get_asset_observation_events()
            assert observed.asset_observation_data.asset_observation.description.startswith("requests with")
            assert [e.step_key for e in done.get_step_skipped_events()] == ["reviews__scores"]
            assert done.get_asset_check_evaluations() == []
        assert instance.get_materialized_partitions(generations) == set()

        follow = dg.evaluate_automation_conditions(defs, instance)
        nothing = tick(defs, instance)
        assert nothing.run_requests == []
        assert f"6 requests in batch_2 of reviews/generations positive|{ROUND}" in nothing.skip_message
        requests = tick(defs, instance).run_requests
        assert {r.partition_key for r in requests} == {f"negative|{ROUND}", f"positive|{ROUND}"}
        again = tick(defs, instance).run_requests
        assert [r.run_key for r in again] == [r.run_key for r in requests]  # so that Dagster runs each once
        for request in requests:
            made = job.execute_in_process(
                instance=instance,
                partition_key=request.partition_key,
                asset_selection=list(request.asset_selection),
            )
            assert made.success
        assert len(instance.get_materialized_partitions(scores)) == 2
        assert tick(defs, instance).skip_message == "no batch is open"

        follow = dg.evaluate_automation_conditions(defs, instance, cursor=follow.cursor)
        assert follow.get_requested_partitions(dg.AssetKey(["reviews", "filtered"])) == {ROUND}
    assert run() == 0
    assert ask("select sum(kept) from reviews.funnel") == [(12,)]
    assert list(served.paid.values()) == [1] * 12


def test_a_sensor_that_can_do_nothing_says_why(
    project: Path, served: BatchEndpoint, edit: Callable[[str, str], Path]
) -> None:
    run()
    defs = build({"reviews": load(project / "recipes" / "reviews.yaml")})
    served.refuse.append(("/batches", 503, "under repair"))
    with dagster_instance() as instance:
        assert "is not available now (503: under repair)" in tick(defs, instance).skip_message
        assert served.looks.total() == 1  # the other batch of that provider was not tried
        edit("classify: {negative:", "classify: {bad:")
        (project / "seeds.csv").write_text("text,label\na,bad\n")
        defs = build({"reviews": load(project / "recipes" / "reviews.yaml")})
        requests = tick(defs, instance).run_requests
        assert [r.partition_key for r in requests] == [f"positive|{ROUND}"]  # there is no other any more


def test_a_partition_that_is_made_again_keeps_its_rows_until_the_new_ones_are_there(
    project: Path, served: BatchEndpoint
) -> None:
    run("--wait")
    rows = "select count(*) from reviews.generations"
    assert run("--rows", "8") == 75
    assert ask(rows) == [(12,)]
    assert run("--rows", "8") == 0
    assert ask(rows) == [(16,)]
    assert list(served.paid.values()) == [1] * 16


def test_a_recipe_that_goes_back_online_does_not_pay_twice(
    project: Path, served: BatchEndpoint, edit: Callable[[str, str], Path], capsys: pytest.CaptureFixture
) -> None:
    served.polls = 1
    served.script(ending="cancelled", leave_out={"(angry)"})
    run()
    edit("mode: batch", "mode: online")
    assert run() == 2
    assert f"in batch_1 of reviews/generations negative|{ROUND}: to ask now" in capsys.readouterr().err
    assert run() == 2  # the first batch is collected, and what it lacked was asked online
    assert "in batch_2 of" in capsys.readouterr().err
    assert run() == 0
    angry = sum("(angry)" in line["body"]["messages"][-1]["content"] for line in served.lines[0])
    assert len(served.requests) == angry
    assert served.paid.total() == 12 - angry


def test_failures_that_stay_are_rows_with_the_providers_words(project: Path, served: BatchEndpoint) -> None:
    for _ in range(8):
        served.script(ending="failed", errors=[{"code": "nope", "message": "wrong model"}])
    assert run("--wait") == 1  # no row is left
    assert len(served.batches) == 8
    words = ask("select distinct reason, regexp_replace(error, '[0-9]+', '') from reviews.generations")
    assert words == [("provider_error", "batch batch_ failed (nope: wrong model)")]


def test_the_embedded_model_is_refused_before_anything_runs(
    project: Path, edit: Callable[[str, str], Path], capsys: pytest.CaptureFixture
) -> None:
    edit("rows: 6", "rows: 6\nmode: batch")
    for command in (["check", "reviews"], ["run", "reviews"]):
        assert main(command) == 2
        assert "the embedded model has no Batch API: remove `mode: batch`" in capsys.readouterr().err
    assert not list((project / ".synth").glob("lake/**/*.parquet"))


def test_check_says_the_mode(project: Path, served: BatchEndpoint, capsys: pytest.CaptureFixture) -> None:
    assert main(["check", "reviews"]) == 0
    out = capsys.readouterr().out
    assert "mode         batch" in out
    assert "$500 and $500 a million tokens" in out
