"""All that is used of Dagster's private modules, so that a new version of it is looked at in one place."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import (
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    CachingStaleStatusResolver,
    StaleStatus,
    extract_data_provenance_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.execution import compute_logs
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._utils.schedules import cron_string_iterator

from synth_assets.assets.printed import copied
from synth_assets.recipe.recipe import usual_prefix

if TYPE_CHECKING:
    from synth_assets.resources.storage.lake import Partition

# `dg.sensor` itself gives it, as None
warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)

compute_logs.tail_to_stream = copied
CheckFailed = DagsterAssetCheckFailedError  # what a blocking check raises in the run of one process
Interrupted = DagsterExecutionInterruptedError  # what a signal raises in it


def scheduled(cron: str, timezone: str, after: date, until: date) -> list[str]:
    """The rounds that a cron line asks for, after a day and up to and including another."""
    days, day = list[str](), after + timedelta(days=1)
    while day <= until:  # a line may ask for something every minute: one look a day is enough
        midnight = datetime.combine(day, datetime.min.time(), ZoneInfo(timezone))
        tick = next(cron_string_iterator(midnight.timestamp(), cron, timezone))
        if tick.date() <= until:
            days.append(tick.date().isoformat())
        day = tick.date() + timedelta(days=1)
    return days


def staleness(
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec],
    partitions: Mapping[dg.AssetKey, Sequence[str]] | None = None,
    idle: Collection[dg.AssetKey] = (),
) -> CachingStaleStatusResolver:
    """What the UI says of the assets' partitions: missing, stale and why, or fresh. Those named here are
    looked up at once, all others one by one. `idle`: assets that change nothing of what depends on them,
    also where that was made before it did."""
    made = [dg.AssetsDefinition(specs=[a]) if isinstance(a, dg.AssetSpec) else a for a in assets]
    graph = AssetGraph.from_assets(AssetGraph.normalize_assets(made))
    now = TemporalContext(effective_dt=datetime.now(UTC), last_event_id=None)
    view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
    return _Resolver(instance, graph, view, partitions or {}, idle)


def named(make: Callable[[], Any], type_: type, description: str) -> dg.ResourceDefinition:
    """What `make` makes for a run, as a resource that the UI shows with its type: Dagster's own wrapping has
    a `<lambda>`."""
    kind = dg.IOManagerDefinition if issubclass(type_, dg.IOManager) else dg.ResourceDefinition
    made: Any = kind(lambda _: make(), description=description)
    made._hardcoded_resource_type = type_
    return made


@contextmanager
def seen_from(instance: dg.DagsterInstance, location: str) -> Iterator[None]:
    """Runs that this process makes meanwhile belong to a code location: the UI's timeline and its pages of
    jobs leave others out."""
    create = instance.create_run_for_job
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), SINGLETON_REPOSITORY_NAME)

    def with_origin(job_def: dg.JobDefinition, **given: Any) -> Any:
        origin = RemoteJobOrigin(repository, job_def.name)
        return create(job_def, **given, remote_job_origin=origin)

    setattr(instance, "create_run_for_job", with_origin)  # noqa: B010 - mypy takes methods as fixed
    try:
        yield
    finally:
        delattr(instance, "create_run_for_job")


def running_schedules(instance: dg.DagsterInstance) -> set[str]:
    """Names of the schedules that are switched on."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return {state.name for state in states if state.is_running}


def switched_on_at(instance: dg.DagsterInstance, schedule: str) -> float | None:
    """When a schedule was switched on, in seconds since 1970; None where it is off."""
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        if state.name == schedule and state.is_running:
            return float(getattr(state.instigator_data, "start_timestamp", None) or 0.0)
    return None


def hold(instance: dg.DagsterInstance, pool: str) -> None:
    """Let a pool have its default limit from its first run on. Dagster learns of a pool in the look at its
    queue in which the first of its runs wait, and lets all of those through."""
    storage = instance.event_log_storage
    if pool not in storage.get_concurrency_keys():
        storage.initialize_concurrency_limit_to_default(pool)


def last_tick(cron: str, timezone: str, until: datetime) -> datetime | None:
    """When a cron line was due last, within a day."""
    due = None
    for tick in cron_string_iterator((until - timedelta(days=1)).timestamp(), cron, timezone):
        if tick > until:
            return due
        due = tick
    return due


def failing(
    instance: dg.DagsterInstance, asset: dg.AssetKey, checks: Iterable[str], partition: str
) -> dict[str, str]:
    """Those of an asset's checks that failed when they were last evaluated for a partition -> their words."""
    keys, of = [dg.AssetCheckKey(asset, name) for name in checks], PartitionKeyFilter(key=partition)
    found: dict[str, str] = {}
    for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(keys, of).items():
        event = record.event.get_dagster_event() if record.event else None
        if event and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            said = event.asset_check_evaluation_data
            found |= {} if said.passed else {key.name: str(said.description)}
    return found


def version_made(
    resolver: CachingStaleStatusResolver, asset: dg.AssetKey, partition: str | None
) -> str | None:
    """The code version that a partition was made with; None where it was never made."""
    record = resolver._get_latest_data_version_record(AssetKeyPartitionKey(asset, partition))
    made = extract_data_provenance_from_entry(record.event_log_entry) if record else None
    return made.code_version if made else None


def tags_made(
    resolver: CachingStaleStatusResolver, asset: dg.AssetKey, partition: str | None
) -> Mapping[str, str]:
    """The tags that a partition was made with; none where it was never made."""
    record = resolver._get_latest_data_version_record(AssetKeyPartitionKey(asset, partition))
    made = record.event_log_entry.asset_materialization if record else None
    return (made.tags or {}) if made else {}


def last_verdict(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, partition: str
) -> dg.AssetCheckEvaluation | None:
    """What the check of a partition found last; None where it was never evaluated."""
    storage, of = instance.event_log_storage, PartitionKeyFilter(key=partition)
    history = storage.get_asset_check_execution_history(check, limit=1, partition_filter=of)
    return history[0].evaluation if history else None


def made_with(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """The assets of the backfill that a run belongs to; none where it belongs to none."""
    backfill = instance.get_backfill(run.tags.get("dagster/backfill", ""))
    return set(backfill.asset_selection or ()) if backfill else set()


def is_missing(status: StaleStatus) -> bool:
    """Whether the partition was never made."""
    return status == StaleStatus.MISSING


def is_stale(status: StaleStatus) -> bool:
    """Whether the partition would come out otherwise."""
    return status == StaleStatus.STALE


class _Resolver(CachingStaleStatusResolver):
    """Dagster's own asks the database two to six questions a partition; here most are answered already."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        graph: Any,
        view: Any,
        partitions: Mapping[dg.AssetKey, Sequence[str]],
        idle: Collection[dg.AssetKey],
    ) -> None:
        super().__init__(instance, graph, loading_context=view)
        self._idle, self._made, self._partitions = idle, instance, dict(partitions)  # not looked up yet
        self._latest: dict[Any, Any] = {}  # AssetKeyPartitionKey -> record of its materialization, or None

    def _look_up(self, asset: dg.AssetKey) -> None:
        """All partitions of an asset at once, before the first of them is asked for."""
        if not (names := self._partitions.pop(asset, ())):
            return
        self._latest |= dict.fromkeys((AssetKeyPartitionKey(asset, name) for name in names), None)
        happened = dg.DagsterEventType.ASSET_MATERIALIZATION
        ids = self._made.event_log_storage.get_latest_storage_id_by_partition(asset, happened, set(names))
        wanted = dg.AssetRecordsFilter(asset, storage_ids=list(ids.values()))
        for record in self._made.fetch_materializations(wanted, limit=len(ids)).records if ids else ():
            self._latest[AssetKeyPartitionKey(asset, record.partition_key)] = record

    def _get_stale_causes_materialized(self, key: AssetKeyPartitionKey) -> Iterator[Any]:
        for cause in super()._get_stale_causes_materialized(key=key):
            if cause.dependency is None or cause.dependency.asset_key not in self._idle:
                yield cause

    def _get_latest_data_version_record(self, key: AssetKeyPartitionKey) -> Any:
        self._look_up(key.asset_key)
        return self._latest[key] if key in self._latest else super()._get_latest_data_version_record(key=key)

    def _is_dep_updated(self, provenance: Any, dep_key: AssetKeyPartitionKey) -> bool:
        self._look_up(dep_key.asset_key)
        latest, read = self._latest.get(dep_key), provenance.input_storage_ids[dep_key.asset_key]
        if latest is not None and latest.storage_id == read:
            return False
        return super()._is_dep_updated(provenance, dep_key)


def rounds_at_work(instance: dg.DagsterInstance, but: str = "") -> dict[str, set[str | None]]:
    """Recipe -> rounds that unfinished runs are at, `but` one; None where a run does not say which."""
    statuses = ("STARTED", "STARTING", "CANCELING", "QUEUED", "NOT_STARTED")
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus[name] for name in statuses])
    busy: dict[str, set[str | None]] = {}
    for run in instance.get_runs(filters=unfinished):
        recipes, round_ = recipes_and_round(run)
        for recipe in recipes if run.run_id != but else ():
            busy.setdefault(recipe, set()).add(round_)
    return busy


def recipes_and_round(run: dg.DagsterRun) -> tuple[set[str], str | None]:
    """Which recipes a run is for, and which round; None where it does not say."""
    partition = run.tags.get("dagster/partition")
    round_ = run.tags.get("dagster/partition/round") or (partition and partition.rpartition("|")[2])
    selected = {asset.path[-2] for asset in run.asset_selection or () if len(asset.path) > 1}
    return selected or {run.job_name.removesuffix("_cell").removesuffix("_round")}, round_


def will_make(instance: dg.DagsterInstance, run: dg.DagsterRun, step: str, asset: dg.AssetKey) -> None:
    """Say that a run will make an asset, though its job does not: as long as the run goes on, no automation
    makes it."""
    from dagster._core.events import AssetMaterializationPlannedData

    planned = AssetMaterializationPlannedData(asset)
    event = dg.DagsterEvent.build_asset_materialization_planned_event(run.job_name, step, planned)
    instance.report_dagster_event(event, run.run_id)


def note_input(instance: dg.DagsterInstance, asset: dg.AssetKey, source: dg.AssetKey) -> int:
    """Let partitions that were made before the asset came after this source be as those made since, while
    the source was not: Dagster would show each as unsynced. Returns how many there were."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from sqlalchemy import select, update

    storage: Any = instance.event_log_storage
    pointer = get_input_event_pointer_tag(source)
    tags = {get_input_data_version_tag(source): DEFAULT_DATA_VERSION.value, pointer: NULL_EVENT_POINTER}
    made, events = dg.DagsterEventType.ASSET_MATERIALIZATION, SqlEventLogStorageTable
    latest = list(storage.get_latest_storage_id_by_partition(asset, made).values())
    noted = 0
    for ids in (latest[i : i + 500] for i in range(0, len(latest), 500)):
        old = events.c.id.in_(ids) & ~events.c.event.contains(pointer, autoescape=True)
        with storage.index_connection() as connection:
            for number, text in connection.execute(select(events.c.id, events.c.event).where(old)).fetchall():
                event = json.loads(text)
                rows = event["dagster_event"]["event_specific_data"]["materialization"]
                rows["tags"] = {**(rows["tags"] or {}), **tags}
                new = update(events).where(events.c.id == number).values(event=json.dumps(event))
                noted += connection.execute(new).rowcount
    return noted


def forget(instance: dg.DagsterInstance, recipe: str, stage: str, partitions: Sequence[Partition]) -> None:
    """Dagster shows these partitions as missing from now on.

    Its own storage wipes whole assets only (`wipe_asset_partitions` is not implemented there), so the
    partitions' events are deleted from its index, as `delete_run` does with those of a run.
    """
    from dagster._core.storage.event_log.schema import (
        AssetEventTagsTable,
        AssetKeyTable,
        SqlEventLogStorageTable,
    )
    from sqlalchemy import delete, select, update

    storage: Any = instance.event_log_storage
    asset = dg.AssetKey([*usual_prefix(), recipe, stage])
    names = ["|".join(p[c] for c in ("cell", "round") if c in p) for p in partitions]
    for i in range(0, len(names), 500):
        events = SqlEventLogStorageTable.c
        theirs = (events.asset_key == asset.to_string()) & events.partition.in_(names[i : i + 500])
        tags = AssetEventTagsTable.c.event_id.in_(select(events.id).where(theirs))
        with storage.index_connection() as connection:
            connection.execute(delete(AssetEventTagsTable).where(tags))
            connection.execute(delete(SqlEventLogStorageTable).where(theirs))
            latest = update(AssetKeyTable).where(AssetKeyTable.c.asset_key == asset.to_string())
            connection.execute(latest.values(last_materialization=None))  # is looked up again
    instance.wipe_asset_cached_status([asset])
    if instance.has_asset_key(asset) and not instance.get_materialized_partitions(asset):
        instance.wipe_assets([asset])


def runs_of_what_is_there(instance: dg.DagsterInstance) -> set[str]:
    """The runs that made last, or observed last, what there is of any partition: their events are what
    Dagster knows of it."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from sqlalchemy import func, select

    storage: Any = instance.event_log_storage
    events, kinds = SqlEventLogStorageTable.c, ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")
    last = (
        select(func.max(events.id))
        .where(events.asset_key.isnot(None) & events.dagster_event_type.in_(kinds))
        .group_by(events.asset_key, events.partition, events.dagster_event_type)
    )
    with storage.index_connection() as connection:
        return {run for (run,) in connection.execute(select(events.run_id).where(events.id.in_(last)))}


def log_file(instance: dg.DagsterInstance, run_id: str) -> Path | None:
    """The file that holds the log of a run, where each has one."""
    place = getattr(instance.event_log_storage, "path_for_shard", None)
    return Path(place(run_id)) if place else None


def purge_log_of_no_run(instance: dg.DagsterInstance, before: datetime) -> None:
    """Remove what is older of the log of what no run said, such as that a round is made as a whole. What is
    read of it Dagster has in its index too, where it stays."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
    from sqlalchemy import delete

    log = log_file(instance, RUNLESS_RUN_ID)
    if log is None or not log.is_file():
        return
    storage: Any = instance.event_log_storage
    older = SqlEventLogStorageTable.c.timestamp < before.astimezone(UTC).replace(tzinfo=None)
    with storage.run_connection(RUNLESS_RUN_ID) as connection:
        connection.execute(delete(SqlEventLogStorageTable).where(older))
    shrink(log)


def old_ticks(instance: dg.DagsterInstance, before: datetime) -> int:
    """How many ticks of schedules and sensors are older; the last of each is none of them."""
    from sqlalchemy import func, select

    storage: Any = instance.schedule_storage
    with storage.connect() as connection:
        return int(connection.execute(select(func.count()).where(_older(before))).scalar())


def purge_ticks(instance: dg.DagsterInstance, before: datetime) -> None:
    """Remove the ticks that `old_ticks` counts."""
    from dagster._core.storage.schedules.schema import JobTickTable
    from sqlalchemy import delete

    storage: Any = instance.schedule_storage
    with storage.connect() as connection:
        connection.execute(delete(JobTickTable).where(_older(before)))


def _older(before: datetime) -> Any:
    from dagster._core.storage.schedules.schema import JobTickTable
    from sqlalchemy import func, select

    ticks = JobTickTable.c
    last = select(func.max(ticks.id)).group_by(ticks.selector_id)
    return (ticks.timestamp < before.astimezone(UTC).replace(tzinfo=None)) & ticks.id.notin_(last)


def shrink(file: Path) -> None:
    """Give what was removed from a SQLite file back to the disk, unless somebody is at work on it."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(file, isolation_level=None)) as connection,
    ):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
