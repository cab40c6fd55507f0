"""A first look: a few rows of a round, really asked for, and what the filters say that look at a row alone.

The stages' own functions ask, under the same identities as the round: what they asked is in the call log, and
the round does not pay it again. Nothing is written into the lake, and no run waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synth_assets.assets.logged_model import LoggedRun
from synth_assets.contracts.filter import Context
from synth_assets.core.asking import Behind
from synth_assets.core.errors import UserError
from synth_assets.curation.keep import keep
from synth_assets.report.tried import Step, Tried, Verdict
from synth_assets.resources import home
from synth_assets.stages import conditions, scores, values
from synth_assets.stages.accepted import of_row
from synth_assets.stages.generations import check_steps
from synth_assets.stages.graph import graph
from synth_assets.stages.seeds import seed_rows

if TYPE_CHECKING:
    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.core.asking import Answer, Completes, Message
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.resources.gateway.language_model import Calls
    from synth_assets.stages.stage import Stage, Table

AT_ONCE = 8  # questions
NOT_ALONE = "needs the whole set"
HIDDEN = ("round", "cell", "replicate", "demonstration_set", "demonstration_ids", "row_id")  # of a condition


def preview(recipe: Recipe, round_: str, n: int, spent: Calls | None = None) -> Iterator[Tried]:
    """`n` rows of the round, those of all cells in turn, as they come. Rows that answer the same question
    are asked for together: there may be some more. `spent` gets what they took. UserError as `synth check`
    has them."""
    if n < 1:
        raise UserError(f"{n} rows: ask for at least one.")
    check_steps(recipe)
    first = _Preview(recipe, round_)
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="preview")
    try:
        asked = [pool.submit(first.rows, *question) for question in first.questions(n)]
        for done in as_completed(asked):
            yield from done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if spent is not None:
            for run in first.runs:
                spent.include(run.calls)


class _Preview:
    """The stages of a round up to the scores, each in the place of its partition in the lake."""

    run_id = "preview"
    log = logging.getLogger("synth_assets.preview")  # warnings alone are seen

    def __init__(self, recipe: Recipe, round_: str) -> None:
        self.recipe, self.round = recipe.model_copy(update={"mode": "online"}), round_  # somebody waits
        self._lake, self._model, self._encoder = home.lake(), home.language_model(), home.encoder()
        self._stages = {stage.name: stage for stage in graph(self.recipe)}
        self._seeds = seed_rows(recipe, self._lake)
        self.runs: list[_Run] = []
        self._made: dict[tuple[str, str], Table] = {("seeds", ""): self._seeds}
        if recipe.listed:
            self._made["values", ""] = values.listed(self._run("values"))

    def questions(self, n: int) -> Iterator[tuple[int, Table]]:
        """The conditions of each question, behind the place of its first row."""
        samples, cells = self.recipe.samples, self.recipe.cells
        whole = -(-n // samples)
        found = []
        for at, cell in enumerate(cells):
            wanted = whole // len(cells) + (at < whole % len(cells))
            if wanted:
                rows = conditions.first(self._run("conditions", cell), self._seeds, wanted * samples)
                found += [
                    (start, at, rows[start : start + samples]) for start in range(0, len(rows), samples)
                ]
        place = 0
        for *_, rows in sorted(found, key=lambda each: each[:2]):
            yield place, rows.reset_index(drop=True)
            place += len(rows)

    def rows(self, place: int, asked: Table) -> list[Tried]:
        """What came of the rows of one question."""
        cell = asked["cell"].iloc[0]
        before: dict[str, Table] = {}
        steps: list[list[Step]] = [[] for _ in range(len(asked))]
        for stage, name in self.recipe.step_stages.items():
            run = self._run(stage, cell)
            make = self._stages[stage].asks
            assert make is not None
            made = make(run, conditions=asked, **before)
            assert made is not None
            for row, found in zip(made.to_dict("records"), steps, strict=True):
                found.append(
                    _step(name, stage, row, run.heard, list(self.recipe.steps[name].columns_of(self.recipe)))
                )
            before[stage] = made
        said = self._filtered(before["generations"], cell)
        shown = [name for name in asked if name not in HIDDEN]
        return [
            Tried(
                *(self.recipe.name, row["row_id"], self.round, cell, place + at),
                {name: row[name] for name in shown if row[name] is not None},
                found,
                said.get(row["row_id"], ()),
            )
            for at, (row, found) in enumerate(zip(asked.to_dict("records"), steps, strict=True))
        ]

    def _filtered(self, rows: Table, cell: str) -> dict[str, list[Verdict]]:
        """Row id -> what each filter says of it, of rows that were accepted."""
        rows = rows[rows["accepted"].astype(bool)].reset_index(drop=True)
        said: dict[str, list[Verdict]] = {row: [] for row in rows["row_id"]}
        alone = of_row(self.recipe)
        for name, rule in self.recipe.filters.items() if said else ():
            verdicts = self._verdicts(name, rows, cell) if name in alone else {}
            for row, found in said.items():
                found.append(verdicts.get(row) or Verdict(name, None, None, rule.threshold(), NOT_ALONE))
        return said

    def _verdicts(self, name: str, rows: Table, cell: str) -> dict[str, Verdict]:
        """Row id -> what a filter says that looks at each row alone."""
        rule = self.recipe.filters[name]
        measured = scores.measured(self._run("scores", cell), name, rows, self._seeds)
        kept, dropped = keep(measured, [rule], Context(self.recipe.task.verbalizers()))
        column, wanted = rule.score_column(), rule.threshold()
        passed = [(row, True, "") for row in kept.to_dict("records")]
        rows_of = [*passed, *((row, False, row["reason"]) for row in dropped.to_dict("records"))]
        return {
            row["row_id"]: Verdict(name, _number(row[column]), fine, wanted, why)
            for row, fine, why in rows_of
        }

    def _run(self, stage: str, cell: str = "") -> _Run:
        place = {"round": self.round, "cell": cell} if cell else {}
        made: Stage = self._stages[stage]
        run = _Run(self, self.recipe, made, place, self._model, self._encoder, self._lake, self._made)
        self.runs.append(run)
        return run


class _Run(LoggedRun):
    """The run of one stage, which notes what was asked and answered."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.heard = _Heard()

    def model(self, spec: str | NamedModel | None = None, what: str = "", lines: int = 0) -> Completes:
        return _Noting(super().model(spec, what, lines), self.heard)


@dataclass
class _Heard:
    """Prompts and answers by the identities of the calls, in their order."""

    prompts: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)


@dataclass
class _Noting(Behind):
    """A model that is listened to."""

    heard: _Heard

    def complete(self, messages: Iterable[Sequence[Message]], *more: Any, **named: Any) -> Iterator[Answer]:
        asked: list[Sequence[Message]] = []

        def noted() -> Iterator[Sequence[Message]]:
            for each in messages:
                asked.append(each)
                yield each

        for at, answer in enumerate(self.model.complete(noted(), *more, **named)):
            told = [message["content"] for message in asked[at]]
            self.heard.prompts[answer.identity] = "\n\n".join(text for text in told if text)
            self.heard.answers[answer.identity] = answer
            yield answer


def _step(name: str, stage: str, row: Mapping[str, Any], heard: _Heard, columns: Sequence[str]) -> Step:
    """One row of a step's table, with what was asked for it. A row that an earlier step ended was not."""
    ended_before = row["stage"] is not None and row["stage"] != stage
    calls = [row["call_id"]] if row["call_id"] in heard.answers and not ended_before else []
    turns = row.get("turn_calls")
    first = next((call for call in (turns if turns is not None else ()) if call in heard.prompts), None)
    return Step(
        name,
        heard.prompts.get(first or (calls[0] if calls else "")),
        heard.answers[calls[0]].text if calls else None,
        None if ended_before else row["text"],
        {column: row[column] for column in columns if row.get(column) is not None},
        None if ended_before else row["reason"],
        None if ended_before else row["error"],
    )


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
