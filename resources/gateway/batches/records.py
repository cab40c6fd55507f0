"""What is written down about batches, in the tables `batches` and `batched` of the call log's database.

A batch is `intended`, then `open`, and then as the provider says that it ended; or `crowded` (it found no
place there), or `dropped` (it was never made).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from synth_assets.contracts.model_spec import Price
from synth_assets.core.answer_schema import Schema
from synth_assets.resources.call_log.database import CHUNK, Execute, chunks, marks
from synth_assets.resources.call_log.leases import BATCH
from synth_assets.resources.call_log.log import CallLog
from synth_assets.resources.gateway.budget import Budget, Cap, Use, total
from synth_assets.resources.gateway.models import Model
from synth_assets.resources.gateway.request import Request

CROWDED_S = 1800.0  # before a batch that found no place is tried again
FOREVER = 1e12  # seconds since 1970: the claims of a batch end when it is collected
UNFINISHED = "status IN ('intended', 'open')"
COLUMNS = "key, provider_id, process, model, endpoint, caps, run_id, asset, partition_key, time"
REACH = (  # of a model, to ask it later; of headers and query the variables' names
    *("name", "base_url", "api", "key_env", "timeout_s", "structured", "system", "headers", "query"),
)


@dataclass(frozen=True)
class Batch:
    """A batch, and for whom it is. `price` is that of a batched call, `caps` what it is reserved in."""

    key: str
    provider_id: str | None  # None: the provider has not said that it exists
    process: str | None  # who creates it; None: nobody any more
    model: Model
    price: Price | None
    endpoint: str
    caps: Sequence[Cap]
    run_id: str | None
    asset: str
    partition_key: str
    time: float  # seconds since 1970: when the provider was asked to create it
    waiting: int = 0  # requests that are with the provider
    learnt: Mapping[str, Any] = field(default_factory=dict)  # what the endpoint refuses, see `wire.body_of`
    refused: str = ""  # why no request can succeed, if that was seen
    doubt: str = ""  # why it may be that none can: all were refused, for a reason unknown

    @classmethod
    def of(cls, *row: Any) -> Batch:
        """From the values of COLUMNS, and the number of requests that wait."""
        key, provider_id, process, model, endpoint, caps, *rest = row
        known = json.loads(model)
        cost, learnt = known.pop("price"), known.pop("learnt", {})
        refused, doubt = known.pop("refused", ""), known.pop("doubt", "")
        price = Price.model_validate(cost) if cost else None
        limits = [Cap(**cap) for cap in json.loads(caps)]
        batch = cls(key, provider_id, process, Model(**known), price, endpoint, limits, *rest)
        return replace(batch, learnt=learnt, refused=refused, doubt=doubt)

    def row(self) -> list[Any]:
        """The values of COLUMNS."""
        caps = json.dumps([asdict(cap) for cap in self.caps])
        whose = self.run_id, self.asset, self.partition_key
        return [
            *(self.key, self.provider_id, self.process, self.reach, self.endpoint, caps, *whose, self.time)
        ]

    @property
    def reach(self) -> str:
        """How to ask the model later, and what that costs, as JSON."""
        cost = self.price.model_dump(mode="json", by_alias=True) if self.price else None
        known = {name: getattr(self.model, name) for name in REACH}
        found = {"learnt": dict(self.learnt), "refused": self.refused, "doubt": self.doubt}
        return json.dumps({**known, "price": cost, **found}, default=dict)

    @property
    def context(self) -> dict[str, str | None]:
        """Who asked, as the call log has it."""
        return {"run_id": self.run_id, "asset": self.asset, "partition_key": self.partition_key}

    @property
    def holder(self) -> str:
        """Who has its claims, in the place of a process."""
        return f"{BATCH}{self.key}"

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.provider_id or "a batch that is not confirmed yet"

    def __str__(self) -> str:
        return f"{self.name} of {self.asset} {self.partition_key}"


class Batched(NamedTuple):
    """A request of a batch, with all that the call log keeps of it."""

    identity: str
    request: Request
    parameters: Mapping[str, Any]
    reserved: Use

    @classmethod
    def of(cls, identity: str, question: str, reserved: str) -> Batched:
        """From the columns of `batched`."""
        asked = json.loads(question)
        schema = Schema.of(dict(asked["schema"])) if asked["schema"] else None
        request = Request(asked["messages"], asked["parameters"].get("sampling") or {}, schema=schema)
        return cls(identity, request, asked["parameters"], Use(*json.loads(reserved)))

    def row(self, batch: str) -> list[str]:
        """The columns of `batched`."""
        schema = self.request.schema
        fields, messages = list(schema.fields) if schema else None, list(self.request.messages)
        question = {"messages": messages, "parameters": self.parameters, "schema": fields}
        return [batch, self.identity, json.dumps(question, default=dict), json.dumps(self.reserved)]


def write(execute: Execute, batch: Batch, requests: Sequence[Batched]) -> None:
    """A batch that is about to be created, with its requests, whose claims it takes over."""
    execute(f"INSERT INTO batches ({COLUMNS}, status) VALUES {marks(11)}", [*batch.row(), "intended"])
    for chunk in chunks(requests):
        insert = "INSERT INTO batched (batch, identity, request, reserved) VALUES "
        execute(insert + marks(len(chunk), 4), [v for asked in chunk for v in asked.row(batch.key)])
        change = f"UPDATE claims SET process = ?, until = ? WHERE identity IN {marks(len(chunk))}"
        execute(change, [batch.holder, FOREVER, *(asked.identity for asked in chunk)])


def opened(log: CallLog, key: str, provider_id: str) -> None:
    """The provider has made the batch."""
    change = "UPDATE batches SET provider_id = ?, status = 'open', process = NULL WHERE key = ?"
    log.execute(f"{change} AND status = 'intended'", (provider_id, key))


def note(log: CallLog, key: str, column: Literal["time", "process", "status"], value: Any) -> None:
    """Write down what has changed of a batch."""
    log.execute(f"UPDATE batches SET {column} = ? WHERE key = ?", (value, key))


def withdraw(log: CallLog, batch: Batch, ask_again: bool) -> None:
    """The batch was not made: its requests are free. `ask_again`: somebody is to ask for the partition."""
    with log.transaction() as execute:
        if not execute("SELECT 1 FROM batches WHERE key = ? AND status = 'intended'", (batch.key,)):
            return
        rows = execute("SELECT reserved FROM batched WHERE batch = ?", (batch.key,))
        reserved = total(Use(*json.loads(text)) for (text,) in rows)
        Budget(log, batch.caps).settle(reserved, Use(0, 0), execute)
        execute("DELETE FROM claims WHERE process = ?", (batch.holder,))
        execute("DELETE FROM batched WHERE batch = ?", (batch.key,))
        end = "UPDATE batches SET status = 'dropped'" if ask_again else "DELETE FROM batches"
        execute(f"{end} WHERE key = ?", (batch.key,))


def unfinished(log: CallLog, asset: str, partition: str | None = None) -> list[Batch]:
    """Batches of an asset, or of one of its partitions, that are not collected yet."""
    query = (
        f"SELECT {COLUMNS}, (SELECT count(*) FROM batched WHERE batch = key AND spent IS NULL) FROM batches "
        f"WHERE {UNFINISHED} AND asset = ? AND partition_key = coalesce(?, partition_key) ORDER BY time, key"
    )
    return [Batch.of(*row) for row in log.execute(query, (asset, partition))]


def some_open(log: CallLog, endpoint: str) -> bool:
    """Whether any batch is with the provider at this endpoint, or about to be."""
    query = f"SELECT 1 FROM batches WHERE {UNFINISHED} AND endpoint = ? LIMIT 1"
    return bool(log.execute(query, (endpoint,)))


def partitions(log: CallLog, asset: str) -> dict[str, str | None]:
    """Partition -> key of its latest batch, or None as long as it waits for one."""
    query = "SELECT partition_key, key, status, time FROM batches WHERE asset = ? ORDER BY time, key"
    latest: dict[str, str] = {}
    waiting: set[str] = set()
    now = log.now(log.execute)
    for partition, key, status, made in log.execute(query, (asset,)):
        latest[partition] = key
        if status in ("intended", "open") or (status == "crowded" and abs(now - made) < CROWDED_S):
            waiting.add(partition)
    return {partition: None if partition in waiting else key for partition, key in latest.items()}


def relearn(execute: Execute, batch: Batch) -> None:
    """Note what its endpoint was found to refuse, for whoever asks it next."""
    execute("UPDATE batches SET model = ? WHERE key = ?", (batch.reach, batch.key))


def refused(log: CallLog, asset: str, partition: str) -> tuple[str, str]:
    """Why no request of a partition can succeed, and why it may be that none can, if its batches that have
    ended say so. Who tells it forgets them (`forget`), and the next run asks again."""
    query = f"SELECT {COLUMNS} FROM batches WHERE asset = ? AND partition_key = ? AND NOT {UNFINISHED}"
    batches = [Batch.of(*row) for row in log.execute(query, (asset, partition))]
    certain = next((batch.refused for batch in batches if batch.refused), "")
    return certain, next((batch.doubt for batch in batches if batch.doubt), "")


def learnt(log: CallLog, endpoint: str, name: str) -> dict[str, Any]:
    """What batches have found that a model refuses."""
    told: dict[str, Any] = {}
    for (model,) in log.execute("SELECT model FROM batches WHERE endpoint = ? ORDER BY time", (endpoint,)):
        known = json.loads(model)
        told |= known.get("learnt", {}) if known["name"] == name else {}
    return told


def forget(log: CallLog, asset: str, partition: str) -> None:
    """Delete what has ended of a partition."""
    mine = f"asset = ? AND partition_key = ? AND NOT {UNFINISHED}"
    with log.transaction() as execute:
        keys = f"SELECT key FROM batches WHERE {mine}"
        execute(f"DELETE FROM batched WHERE batch IN ({keys})", (asset, partition))
        execute(f"DELETE FROM batches WHERE {mine}", (asset, partition))


def attempts(log: CallLog, asset: str, partition: str) -> dict[str, int]:
    """Identity -> attempts that were spent on it, in the partition's batches that have brought it back."""
    query = (
        "SELECT identity, sum(spent) FROM batched JOIN batches ON key = batch "
        "WHERE asset = ? AND partition_key = ? AND spent > 0 GROUP BY identity"
    )
    return {identity: int(spent) for identity, spent in log.execute(query, (asset, partition))}


def held(log: CallLog, identities: Sequence[str]) -> dict[str, str]:
    """Identity -> key of the batch, for those of at most CHUNK that are with a provider."""
    if not identities:
        return {}
    query = "SELECT identity, batch FROM batched WHERE spent IS NULL AND identity IN "
    return dict(log.execute(query + marks(len(identities)), identities))


def find(log: CallLog, keys: Iterable[str]) -> Iterator[Batch]:
    """The batches with these keys."""
    for key in keys:
        for row in log.execute(f"SELECT {COLUMNS} FROM batches WHERE key = ?", (key,)):
            yield Batch.of(*row)


def waiting(execute: Execute, key: str, identities: Sequence[str]) -> Iterator[Batched]:
    """Those of at most CHUNK requests that the batch still waits for."""
    among = f"spent IS NULL AND identity IN {marks(len(identities))}"
    query = f"SELECT identity, request, reserved FROM batched WHERE batch = ? AND {among}"
    for row in execute(query, (key, *identities)):
        yield Batched.of(*row)


def rest(log: CallLog, key: str) -> Iterator[list[str]]:
    """Chunks of what the batch waits for; each is to be settled before the next is read."""
    query = f"SELECT identity FROM batched WHERE batch = ? AND spent IS NULL LIMIT {CHUNK}"
    while rows := log.execute(query, (key,)):
        yield [identity for (identity,) in rows]


def brought_back(execute: Execute, batch: Batch, identities: Sequence[str], spent: int) -> None:
    """Requests are with the provider no more; their claims end."""
    among = f"identity IN {marks(len(identities))}"
    execute(f"UPDATE batched SET spent = ? WHERE batch = ? AND {among}", (spent, batch.key, *identities))
    execute(f"DELETE FROM claims WHERE process = ? AND {among}", (batch.holder, *identities))
