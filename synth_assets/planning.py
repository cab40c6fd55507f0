"""`synth plan`: what a round would make and pay, before it does.

The same functions that make a round are run, with a model that asks nobody: what the call log has is answered
from there, what it lacks is counted and taken to be answered. So the number of calls is exact as long as what
is asked is answered and accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from math import sqrt
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.definitions.events import AssetKeyPartitionKey

from partitions import cell_key
from resources.call_log import REUSABLE, Answer, CallLog
from resources.encoder import MiniLM
from resources.lake import FILE
from resources.language_model import Request
from resources.models import Model, NamedModel, resolve_model
from synth_assets import tables
from synth_assets.annotation import annotators
from synth_assets.assets import by_model
from synth_assets.assets.conditions import quota
from synth_assets.assets.labelled import reannotated
from synth_assets.assets.metrics import last_measured
from synth_assets.assets.nightly import made_by_cell
from synth_assets.assets.scores import scoring
from synth_assets.assets.seeds import seed_rows
from synth_assets.assets.stage import key, rounds_before
from synth_assets.assets.values import around
from synth_assets.errors import UserError
from synth_assets.evaluation.measure import drawn_for_the_model, drawn_pairs
from synth_assets.evaluation.measured import Z95
from synth_assets.generation.asked import answers, questions, read_review, review_file, was_edited
from synth_assets.generation.chain import foresee, run
from synth_assets.generation.conditions import design
from synth_assets.generation.providers import Around

if TYPE_CHECKING:
    import pandas as pd

    from resources.lake import Lake
    from synth_assets.protocols import Message
    from synth_assets.recipe import Recipe
    from synth_assets.recipe_sections import Facts
    from synth_assets.schema import Schema

CHUNK = 500
HISTORY = 2_000  # calls that an estimate rests on, at the most
BY_ROUND = ("filtered", "rejected", "labelled", "weighted", "metrics")


@dataclass
class Estimate:
    """A sum over calls that were not made yet, with its 95 % interval; None where there is no history."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "unknown"
        return f"{self.value:,.4g} ({self.low:,.4g} to {self.high:,.4g})"


@dataclass
class Line:
    """One stage of one cell (or of the whole round): its state, and the calls that it would make."""

    stage: str
    cell: str | None
    state: str  # new, stale, unchanged, or orphaned
    why: str = ""
    calls: int = 0  # to make
    from_log: int = 0
    tokens: Estimate = field(default_factory=Estimate)
    cost: Estimate = field(default_factory=Estimate)  # US dollars
    seconds: float | None = None
    what: str = ""  # of the metrics: which of them asks

    def __str__(self) -> str:
        return f"{self.stage} ({self.what})" if self.what else self.stage


class Foreseen:
    """`protocols.Completes` that asks nobody and counts what would be asked. Its answers have `lines`."""

    def __init__(self, log: CallLog, model: Model) -> None:
        self._log, self.model, self._endpoint = log, model, model.endpoint
        self._seen: set[str] = set()
        self.calls = self.from_log = 0
        self.lines = 0

    @property
    def api(self) -> str:
        return self.model.api

    @property
    def name(self) -> str:
        return self.model.name

    def complete(
        self,
        messages: Iterable[Sequence[Message]],
        sampling: Mapping[str, Any],
        replicates: Iterable[str],
        schema: Schema | None = None,
    ) -> Iterator[Answer]:
        pairs = zip(messages, replicates, strict=True)
        requests = (Request(question, sampling, replicate, schema) for question, replicate in pairs)
        while chunk := list(islice(requests, CHUNK)):
            identities = [request.identity(self.model, self._endpoint) for request in chunk]
            known = self._log.find(identities)
            for request, identity in zip(chunk, identities, strict=True):
                answer = known.get(identity)
                self._count(identity, answer)
                if answer is not None and answer.outcome == "invalid" and schema is not None:
                    request = request.corrected(answer)
                    identity = request.identity(self.model, self._endpoint)
                    answer = self._log.find([identity]).get(identity)
                    self._count(identity, answer)
                yield answer or Answer(identity, "ok", text=_any_answer(identity, schema, self.lines))

    def _count(self, identity: str, answer: Answer | None) -> None:
        if identity not in self._seen:
            self._seen.add(identity)
            self.calls += answer is None
            self.from_log += answer is not None


def _any_answer(identity: str, schema: Schema | None, lines: int) -> str:
    """A text that fits, other than every other one."""
    text = f"an answer that is not there yet {identity}"
    if lines:
        return "\n".join(f"- {text} {line}" for line in range(lines))
    return text if schema is None else json.dumps(schema.example(text))


def plan(recipe: Recipe, round_: str, instance: dg.DagsterInstance, lake: Lake, log: CallLog) -> list[Line]:
    """What `synth run` would do for this round. UserError as `synth check` has them; asks no model."""
    seeds = seed_rows(recipe)
    state = _States(recipe, round_, instance, lake)
    annotator = resolve_model(recipe.annotator_model)
    lines = [state.line("seeds", None, changed=state.differs("seeds", {}, seeds))]
    looks = around(recipe, lake, round_, seeds, MiniLM().encode)
    if recipe.listed:
        asked, known = _listed(recipe, looks, log)
        looks = Around(looks.rows, looks.encode, known)
        lines.append(state.line("values", None, asked, log, resolve_model(recipe.model)))
    for cell in recipe.cells:
        rows = quota(recipe, lake, {"round": round_, "cell": cell})
        conditions = design(recipe, seeds, round_=round_, cell=cell, rows=rows, around=looks)
        place = {"round": round_, "cell": cell}
        lines.append(state.line("conditions", cell, changed=state.differs("conditions", place, conditions)))
        found, made = _steps(recipe, place, conditions, looks.shown, state, lake, log)
        lines += found
        rows = made[made["accepted"].astype(bool)].reset_index(drop=True)
        scorers = _scorers(recipe, rows, seeds, log)
        lines += [state.line("scores", cell, asked, log, asked.model) for asked in scorers]
    asked = Foreseen(log, annotator)
    test = seeds[seeds["split"] == "test"]
    if recipe.metrics.model_alone and len(test):
        alone = drawn_for_the_model(test, recipe.metrics.model_alone, recipe.seed)
        _label(list(alone["text"]), recipe, seeds, asked)
    asking = {"metrics": asked, "labelled": _reannotated(recipe, round_, lake, log, annotator)}
    for stage in BY_ROUND:
        lines.append(state.line(stage, None, asking.get(stage), log, annotator))
    lines += _by_model(recipe, round_, seeds, state, lake, log)
    return [*lines, *state.orphans()]


def _steps(
    recipe: Recipe,
    place: Mapping[str, str],
    conditions: pd.DataFrame,
    shown: pd.DataFrame,
    state: _States,
    lake: Lake,
    log: CallLog,
) -> tuple[list[Line], pd.DataFrame]:
    """The steps of one cell, a line for each model that one asks, and the rows that would come of them."""
    lines: list[Line] = []
    made: dict[str, pd.DataFrame] = {}
    for stage, step in recipe.step_stages.items():
        models = [resolve_model(spec) for spec in recipe.models_of(step)]
        asking = [Foreseen(log, model) for model in models]
        if asking:
            made[stage] = run(recipe, stage, conditions, shown, asking[0], dict(made), user=asking[-1])
            found = zip(asking, models, strict=True)
            lines += [state.line(stage, place["cell"], asked, log, model) for asked, model in found]
            continue
        lines.append(state.line(stage, place["cell"]))
        if lines[-1].state == "unchanged":
            made[stage] = lake.read(recipe.name, stage, [place], tables.schema(recipe, stage))
        else:
            made[stage] = foresee(recipe, stage, conditions, shown, dict(made))
    return lines, made["generations"]


def _listed(
    recipe: Recipe, looks: Around, log: CallLog
) -> tuple[Foreseen, Callable[[str, str], Sequence[str]]]:
    """The questions for values that a model lists, as if each answer had as many as are asked for."""
    asked = Foreseen(log, resolve_model(recipe.model))
    foreseen: dict[tuple[str, str], Sequence[str]] = {}
    for name, section, given, question in questions(recipe):
        asked.lines = section.wanted
        file = review_file(recipe.reviews, name, given)
        there = looks.asked(name, given) or (read_review(file) if was_edited(file) else ())
        foreseen[name, given] = there or answers(name, section, given, question, asked)
    return asked, lambda name, given: foreseen[name, given]


def _scorers(recipe: Recipe, rows: pd.DataFrame, seeds: pd.DataFrame, log: CallLog) -> Iterable[Foreseen]:
    """What the scorers of these rows would ask, model by model, the annotator's first."""
    asked: dict[str | None, Foreseen] = {None: Foreseen(log, resolve_model(recipe.annotator_model))}

    def model_of(spec: str | None) -> Foreseen:
        return asked.setdefault(spec, Foreseen(log, resolve_model(spec or recipe.annotator_model)))

    looks = scoring(recipe, seeds, MiniLM().encode, model_of)
    for rule in recipe.filters.values():
        if rule.asks:
            rule.measure(rows, looks)
    return asked.values()


def _reannotated(recipe: Recipe, round_: str, lake: Lake, log: CallLog, model: Model) -> Foreseen | None:
    """What label enhancement would ask: exactly, or of every row if there are none yet."""
    if not recipe.labelled.reannotate:
        return None
    asked = Foreseen(log, model)
    try:
        rows = lake.read(recipe.name, "filtered", [{"round": round_}], tables.schema(recipe, "filtered"))
    except UserError:  # not made yet
        asked.calls = recipe.rows * len(recipe.cells)
        return asked
    reannotated(recipe, rows, MiniLM().encode, asked)
    return asked


def _by_model(
    recipe: Recipe, round_: str, seeds: pd.DataFrame, state: _States, lake: Lake, log: CallLog
) -> Iterator[Line]:
    """What the metrics would ask, a line for each of them that has its own questions."""
    wanted = recipe.metrics

    def line(what: str, spec: str | NamedModel | None, count: Callable[[Model], Foreseen]) -> Line:
        model = resolve_model(spec or recipe.annotator_model)
        return state.line("metrics", None, count(model), log, model, what=what)

    if shown := wanted.in_context:
        yield line("in context", shown.model, lambda m: _in_context(recipe, round_, seeds, lake, log, m))
    if looked := wanted.facts:
        yield line("facts", looked.model, lambda m: _facts(recipe, looked, round_, lake, log, m))
    if judge := wanted.judge:
        yield line("judge", judge.model, lambda m: _judged(recipe, round_, lake, log, m))


def _in_context(
    recipe: Recipe, round_: str, seeds: pd.DataFrame, lake: Lake, log: CallLog, model: Model
) -> Foreseen:
    """What a model would be asked that is shown rows: exactly, or at the most if there are no rows yet."""
    import pandas as pd

    asked, wanted = Foreseen(log, model), recipe.metrics.in_context
    assert wanted
    sets = {"seeds": seeds[seeds["split"] == "demonstration"]}
    test = by_model.test_rows(recipe, wanted, seeds)
    cells = [{"round": round_, "cell": cell} for cell in recipe.cells]
    for stage, places in {"generations": cells, "filtered": [{"round": round_}]}.items():
        try:
            now = lake.read(recipe.name, stage, places, tables.schema(recipe, stage))
        except UserError:  # not made yet
            asked.calls += len(test)
            continue
        sets[stage] = pd.concat([rounds_before(recipe, lake, stage, round_), now], ignore_index=True)
    if "generations" in sets:
        sets["generations"] = sets["generations"][sets["generations"]["accepted"]]
    by_model.in_context_answers(recipe, wanted, sets, test, asked)
    return asked


def _facts(recipe: Recipe, wanted: Facts, round_: str, lake: Lake, log: CallLog, model: Model) -> Foreseen:
    """What would be asked of facts, `k` of a row where nobody has listed them: of as many rows as are wanted,
    if there are none yet."""
    asked = Foreseen(log, model)
    asked.lines = wanted.k
    try:
        kept = lake.read(recipe.name, "filtered", [{"round": round_}], tables.schema(recipe, "filtered"))
    except UserError:  # not made yet
        asked.calls = (1 + wanted.k) * min(wanted.rows, recipe.rows * len(recipe.cells))
        return asked
    by_model.verdicts_on_facts(recipe, wanted, kept, asked)
    return asked


def _judged(recipe: Recipe, round_: str, lake: Lake, log: CallLog, model: Model) -> Foreseen:
    """What the judge of the metrics would be asked: exactly, or at the most if there are no rows yet."""
    asked = Foreseen(log, model)
    before = last_measured(recipe, lake, round_)
    if before is None or recipe.metrics.judge is None:
        return asked
    schema = tables.schema(recipe, "filtered")
    try:
        now, last = (lake.read(recipe.name, "filtered", [{"round": r}], schema) for r in (round_, before))
    except UserError:  # not made yet
        asked.calls = 2 * min(recipe.metrics.judge.rows, recipe.rows * len(recipe.cells))
        return asked
    judge = recipe.metrics.judge
    by_model.judged(recipe, judge, drawn_pairs(now, last, judge.rows), asked)
    return asked


def _label(texts: list[str], recipe: Recipe, seeds: pd.DataFrame, asked: Foreseen) -> None:
    shown = annotators.demonstrations(seeds, recipe.annotator.k, recipe.seed)
    annotators.label_logprobs(texts, recipe.task, shown, asked)


def staleness(
    instance: dg.DagsterInstance,
    graph: Any,
    partitions: Mapping[dg.AssetKey, Sequence[str]] | None = None,
) -> CachingStaleStatusResolver:
    """What the UI says of partitions: missing, stale and why, or fresh. Those named here are looked up at
    once, all others one by one."""
    from datetime import UTC, datetime

    from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext

    now = TemporalContext(effective_dt=datetime.now(UTC), last_event_id=None)
    view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
    return _Resolver(instance, graph, view, partitions or {})


class _Resolver(CachingStaleStatusResolver):
    """Dagster's own asks the database two to six questions a partition; here most are answered already."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        graph: Any,
        view: Any,
        partitions: Mapping[dg.AssetKey, Sequence[str]],
    ) -> None:
        super().__init__(instance, graph, loading_context=view)
        self._latest: dict[Any, Any] = {}  # AssetKeyPartitionKey -> record of its materialization, or None
        for asset, names in partitions.items():
            self._latest |= dict.fromkeys((AssetKeyPartitionKey(asset, name) for name in names), None)
            ids = instance.event_log_storage.get_latest_storage_id_by_partition(
                asset, dg.DagsterEventType.ASSET_MATERIALIZATION, set(names)
            )
            wanted = dg.AssetRecordsFilter(asset, storage_ids=list(ids.values()))
            for record in instance.fetch_materializations(wanted, limit=len(ids)).records if ids else ():
                self._latest[AssetKeyPartitionKey(asset, record.partition_key)] = record

    def _get_latest_data_version_record(self, key: AssetKeyPartitionKey) -> Any:
        return self._latest[key] if key in self._latest else super()._get_latest_data_version_record(key=key)

    def _is_dep_updated(self, provenance: Any, dep_key: AssetKeyPartitionKey) -> bool:
        latest, read = self._latest.get(dep_key), provenance.input_storage_ids[dep_key.asset_key]
        if latest is not None and latest.storage_id == read:
            return False
        return super()._is_dep_updated(provenance, dep_key)


class _States:
    """Which partitions of a round are there, and which would come out otherwise."""

    def __init__(self, recipe: Recipe, round_: str, instance: dg.DagsterInstance, lake: Lake) -> None:
        from synth_assets.definitions import build

        self._recipe, self._round, self._lake = recipe, round_, lake
        graph = build({recipe.name: recipe}).resolve_asset_graph()
        self._resolver = staleness(instance, graph, self._partitions())
        self._changed: dict[
            str | None, str
        ] = {}  # cell (None: a whole round) -> the stage that changes first

    def _partitions(self) -> dict[dg.AssetKey, list[str]]:
        """What the round has of each stage that is made cell by cell."""
        cells = [cell_key(self._round, cell) for cell in self._recipe.cells]
        return {asset: [str(cell) for cell in cells] for asset in made_by_cell(self._recipe)}

    def differs(self, stage: str, place: Mapping[str, str], rows: pd.DataFrame) -> bool:
        """Whether the lake has other rows there."""
        if not self._lake.path(self._recipe.name, stage, place).exists():
            return True
        schema = tables.schema(self._recipe, stage)
        there = self._lake.read(self._recipe.name, stage, [place], schema)
        new, old = (tables.to_arrow(self._recipe, stage, table) for table in (rows, there))
        return tables.content_hash(new) != tables.content_hash(old)

    def line(
        self,
        stage: str,
        cell: str | None,
        asked: Foreseen | None = None,
        log: CallLog | None = None,
        model: Model | None = None,
        changed: bool | None = None,
        what: str = "",
    ) -> Line:
        state, why = self._state(stage, cell, changed)
        line = Line(stage, cell, state, why, what=what)
        if asked is not None and log is not None and model is not None:
            line.calls, line.from_log = asked.calls, asked.from_log
            asset = key(self._recipe, stage).to_user_string()
            line.tokens, line.cost, line.seconds = _history(log, asset, model, asked.calls)
        return line

    def _state(self, stage: str, cell: str | None, changed: bool | None) -> tuple[str, str]:
        """`changed`: what is known of the rows themselves; else it follows from what the stage reads."""
        from dagster._core.definitions.data_version import StaleStatus

        cut = tables.stages(self._recipe)[stage]
        partition = cell_key(self._round, str(cell)) if "cell" in cut else self._round if cut else None
        status = self._resolver.get_status(key(self._recipe, stage), partition)
        upstream = self._changed.get(cell) or (next(iter(self._changed.values()), "") if cell is None else "")
        if status == StaleStatus.MISSING:
            self._changed.setdefault(cell, stage)
            return "new", ""
        if changed is False:
            return "unchanged", ""
        causes = self._resolver.get_stale_causes(key(self._recipe, stage), partition)
        why = "other rows" if changed else "; ".join(dict.fromkeys(cause.reason for cause in causes))
        if changed or upstream or status == StaleStatus.STALE:
            self._changed.setdefault(cell, stage)
            return "stale", why or f"{upstream} changes"
        return "unchanged", ""

    def orphans(self) -> Iterator[Line]:
        """Partitions of the round that the recipe does not have any more."""
        for stage, cut in tables.stages(self._recipe).items():
            if cut == ("round", "cell"):
                round_ = self._lake.path(self._recipe.name, stage, {"round": self._round}).parent
                for file in sorted(round_.glob(f"cell=*/{FILE}")):
                    cell = unquote(file.parent.name.removeprefix("cell="))
                    if cell not in self._recipe.cells:
                        yield Line(stage, cell, "orphaned", "the recipe has no such cell")


def _history(log: CallLog, asset: str, model: Model, calls: int) -> tuple[Estimate, Estimate, float | None]:
    """Tokens, dollars and seconds of so many calls, from what the same asset's calls of this model took."""
    if not calls:
        free = Estimate(0.0, 0.0, 0.0)
        return free, free, 0.0
    outcomes = ", ".join(f"'{outcome}'" for outcome in REUSABLE)
    rows = log.execute(
        "SELECT prompt_tokens, completion_tokens, run_id, time FROM calls "
        f"WHERE asset = ? AND model = ? AND outcome IN ({outcomes}) ORDER BY id DESC LIMIT {HISTORY}",
        (asset, model.name),
    )
    counts = [(p, c) for p, c, *_ in rows if p is not None and c is not None]
    tokens = _sum([p + c for p, c in counts], calls)
    price = model.price
    costs = [price.cost(p, c) for p, c in counts] if price else []
    cost = _sum([cost for cost in costs if cost is not None], calls)
    return tokens, cost, _seconds([time for *_, run, time in rows if run == rows[0][2]], calls)


def _sum(each: Sequence[float], n: int) -> Estimate:
    """Of `n` more like `each`; the interval has the mean's own error in it."""
    m = len(each)
    if m < 2:
        return Estimate()
    mean = sum(each) / m
    deviation = sqrt(sum((x - mean) ** 2 for x in each) / (m - 1))
    error = Z95 * deviation * sqrt(n + n * n / m)
    return Estimate(n * mean, max(0.0, n * mean - error), n * mean + error)


def _seconds(times: Sequence[str], calls: int) -> float | None:
    """At the rate of the last run's calls."""
    from datetime import datetime

    if len(times) < 2:
        return None
    took = (datetime.fromisoformat(times[0]) - datetime.fromisoformat(times[-1])).total_seconds()
    return calls * took / (len(times) - 1)


def report(lines: Sequence[Line]) -> Iterator[str]:
    """For the terminal."""
    yield f"{'stage':22}{'cell':18}{'state':12}{'calls':>8}{'in the log':>12}  why"
    for line in lines:
        counted = f"{line.calls:>8,}{line.from_log:>12,}" if line.calls + line.from_log else " " * 20
        yield f"{line!s:22}{line.cell or '':18}{line.state:12}{counted}  {line.why}".rstrip()
    total = totals(lines)
    yield ""
    yield f"{total['calls']:,} calls to make, {total['from_log']:,} answered by the log"
    for line in lines:
        if line.calls:
            time = "unknown" if line.seconds is None else f"{line.seconds:,.0f} s at the last run's rate"
            where = f"{line} {line.cell or ''}".strip()
            yield f"{where:40}tokens {line.tokens}, dollars {line.cost}, time {time}"


def totals(lines: Sequence[Line]) -> dict[str, Any]:
    """Sums; None as soon as one part is not known."""

    def known(values: Iterable[float | None]) -> float | None:
        found = list(values)
        return None if None in found else sum(v for v in found if v is not None)

    asking = [line for line in lines if line.calls]
    return {
        "calls": sum(line.calls for line in lines),
        "from_log": sum(line.from_log for line in lines),
        "tokens": known(line.tokens.value for line in asking),
        "cost": known(line.cost.value for line in asking),
        "seconds": known(line.seconds for line in asking),
    }


def as_json(lines: Sequence[Line]) -> str:
    return json.dumps({"lines": [asdict(line) for line in lines], "total": totals(lines)}, indent=1)
