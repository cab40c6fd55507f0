"""The commands as methods, for Python and notebooks: the same functions, which return data.

import synth_assets as synth
bank = synth.load("bank")
bank.preview(3)
bank.run(rows=20)
bank.rows("weighted")
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.section import NAME
from synth_assets.core import strict_yaml
from synth_assets.core.errors import UserError, unknown
from synth_assets.recipe.annotate import ALL
from synth_assets.recipe.load import load as load_file
from synth_assets.recipe.load import parsed
from synth_assets.resources import home

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.assets.logged_model import Seen
    from synth_assets.planning.estimates import Line
    from synth_assets.recipe.recipe import Recipe
    from synth_assets.report.card import Format
    from synth_assets.report.pages import Table
    from synth_assets.report.tried import Tried
    from synth_assets.resources.storage.warehouse import Warehouse

Day = str | date | None  # a round; None: the latest, or for what makes one, today's
SECONDS = 0.2  # between two pictures of a bar


def load(recipe: str | Path | Mapping[str, Any], name: str | None = None, replace: bool = False) -> DataSet:
    """The data set of a recipe: the name of one among the recipes, a YAML file, YAML text, or a mapping.

    Text and mappings need a `name`. When they are right, they are written among the recipes, where the UI
    and the commands find them; another recipe of that name is replaced only with `replace`.
    """
    if isinstance(recipe, Path) or (isinstance(recipe, str) and recipe.endswith((".yaml", ".yml"))):
        path = Path(recipe).expanduser().absolute()
        return DataSet(_in_its_place(path), path)
    if isinstance(recipe, str) and name is None and ":" not in recipe:  # a name: it is no YAML of a recipe
        if not NAME.fullmatch(recipe):
            raise unknown("recipe", recipe, [path.stem for path in home.recipes().glob("*.yaml")])
        return DataSet(load_file(home.recipes() / f"{recipe}.yaml"))
    if not isinstance(recipe, str | Mapping):
        kind = type(recipe).__name__
        raise UserError(f"a recipe is a name, a YAML file, YAML text or a mapping, and no {kind}.")
    if name is None:
        raise UserError('a recipe that is no file needs a name: synth.load(recipe, name="bank").')
    content = recipe.encode() if isinstance(recipe, str) else _as_yaml(recipe)
    return DataSet(_written(content, home.recipes() / f"{name}.yaml", replace))


def _in_its_place(path: Path) -> Recipe:
    """The recipe of a file that may stand anywhere. UserError when it would take another one's rows."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file.")
    recipe, there = load_file(path), home.recipes() / f"{path.stem}.yaml"
    if there.exists() and not _same(there, path.read_bytes()):
        raise UserError(f"{path} has the name of {there}, which says something else: rename one of them.")
    return recipe


def _as_yaml(recipe: Mapping[str, Any]) -> bytes:
    import yaml

    try:
        return yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True, encoding="utf-8")
    except yaml.YAMLError as error:
        what = "a recipe holds texts, numbers, dates, lists and mappings"
        raise UserError(f"{what}: {' '.join(map(str, error.args))}.") from error


def _written(content: bytes, path: Path, replace: bool) -> Recipe:
    """The recipe, and its file among the recipes."""
    from synth_assets.resources.storage.files import write

    recipe = parsed(content, path)
    if path.exists() and _same(path, content):
        return recipe
    if path.exists() and not replace:
        raise UserError(f"{path} says something else: choose another name, or write `replace=True`.")
    write(path, content.decode())
    return recipe


def _same(path: Path, content: bytes) -> bool:
    """Whether a recipe's file says the same; how it is written does not matter."""
    try:
        return strict_yaml.read(path).content == strict_yaml.parse(path, content).content
    except UserError:  # it is no YAML
        return False


class DataSet:
    """A data set, as its recipe was when it was loaded. What goes wrong is a UserError, with the fix; its
    `mistakes` are for programs, as with `--json`."""

    def __init__(self, recipe: Recipe, path: Path | None = None) -> None:
        self.recipe, self.name, self._path = recipe, recipe.name, path

    def __repr__(self) -> str:
        rows = "all texts" if self.recipe.rows == ALL else self.recipe.asks_for
        cells = f"{len(self.recipe.cells)} cells of {rows}"
        return f"{self.name}: {cells}; steps {', '.join(self.recipe.steps)}"

    def check(self) -> Text:
        """Whether the recipe is right, without a model: seeds, the first prompts, models, filters."""
        from synth_assets.commands.check import line
        from synth_assets.planning.checked import check_recipe
        from synth_assets.report.pages import Table

        found, right = list(check_recipe(self.recipe, self._path)), f"{self.name} is right."
        data = {"found": [{"what": name, "says": words} for name, words in found]}
        lines = "\n".join([*(line(*each) for each in found), right])
        return Text(lines, data, _page([Table(["what", "says"], found), right]))

    def plan(self, rows: int | None = None, round: Day = None) -> Plan:
        """What `run` would make and pay, before it does."""
        from synth_assets.assets.in_process import dagster_instance, planned
        from synth_assets.commands.options import check_round, with_rows

        recipe = with_rows(self.recipe, rows)
        with dagster_instance(reads=True) as instance:
            day = check_round(recipe, _day(round))
            return Plan(planned(recipe, day, instance, home.lake(), home.call_log()))

    def preview(self, n: int = 3, round: Day = None) -> Preview:
        """A few rows, really asked for, with prompts, scores, verdicts. The round does not pay them again."""
        from synth_assets.assets.preview import preview
        from synth_assets.commands.options import check_round

        rows = Preview()
        with _bar(n) as bar:
            for row in preview(self.recipe, check_round(self.recipe, _day(round)), n):
                rows.append(row)
                bar.show(len(rows), "rows", rows._repr_html_())
            bar.show(n, f"{len(rows)} rows")
        rows.sort(key=lambda row: row.place)
        return rows

    def run(
        self,
        rows: int | None = None,
        round: Day = None,
        wait: bool = False,
        rounds: int | str | None = None,
    ) -> Text:
        """Make one round, by default today's, with so many rows a cell; what it came to. `rounds`, as of
        `synth run`: the first so many, one after the other, `"all"` that the recipe says, or days as
        `"2026-11-01..2026-11-22"`; what each and the last of them came to. RoundFailed when a check stops
        one. With `mode: batch`, what is with the provider: run it again later, or `wait`."""
        from synth_assets.assets.in_process import dagster_instance
        from synth_assets.assets.logged_model import watched
        from synth_assets.assets.several import not_whole, run_rounds
        from synth_assets.commands.options import check_round, named_line, wanted_rounds, with_rows
        from synth_assets.planning.missing import missing
        from synth_assets.report.one_round import Round
        from synth_assets.report.round import main_parts, summary

        if round is not None and rounds is not None:
            raise UserError("`round` is one day and `rounds` are several: write one of them.", "usage")
        recipe, said = with_rows(self.recipe, rows), list[str]()
        days = [check_round(recipe, _day(round))]
        wanted = days if rounds is None else wanted_rounds(recipe, str(rounds))
        for name, says in missing(recipe):
            print(named_line(name, says), file=sys.stderr)
        number = wanted if isinstance(wanted, int) else len(wanted)
        with _bar(number * _length(recipe)) as bar, dagster_instance() as instance, watched(bar.watch):
            made = run_rounds(recipe, wanted, instance, wait, said.append, quiet=bar.moves)
            bar.show(bar.total, "done")
        told = {"rounds": made.rounds, "pending": made.pending, "ended": made.ended}
        if made.pending or not made.rounds:
            return Text("\n".join([*said, *made.pending, *filter(None, [made.ended])]), told)
        if rounds is not None:
            said += [f"not whole: {words}" for words in not_whole(recipe, made.rounds)]
        said += filter(None, [made.ended])
        last = made.rounds[-1]
        parts = [*(["\n".join(said)] if said else []), *main_parts(recipe, last)]
        of = Round(recipe, home.warehouse(), last).data()
        return Text("\n".join([*said, *summary(recipe, last)]), {**told, **of}, _page(parts))

    def rows(self, stage: str = "weighted", round: Day = None) -> pd.DataFrame:
        """The rows of a stage, of its latest round or of this one."""
        from synth_assets.commands import show
        from synth_assets.report.one_round import latest_round
        from synth_assets.stages.tables import stages

        of_rounds = "round" in stages(self.recipe).get(stage, ())
        day = latest_round(self.recipe, stage, _day(round)) if of_rounds else None
        return show.rows(self.recipe, stage, round_=day).df()

    def metrics(self, round: Day = None) -> pd.DataFrame:
        """What was measured, in the latest round or in this one: a row a value, with its interval."""
        return self.rows("metrics", round)

    def sql(self, query: str, **parameters: Any) -> pd.DataFrame:
        """The answer of the warehouse; `$name` in the query is the parameter of that name."""
        return self._warehouse().query(query, parameters).df()

    def trace(self, row_id: str) -> Story:
        """A row's whole story, by how its id starts."""
        from synth_assets.report.trace import story

        return Story(story(self._warehouse(), f"{self.name}.{row_id}", self.recipe))

    def report(self, round: Day = None, to: str | Path | None = None) -> Page:
        """The page on the latest round, or on this one."""
        from synth_assets.commands.report import page

        return Page(page(self.recipe, _day(round), Path(to) if to else None))

    def export(
        self,
        to: str | Path,
        format: Format = "hf",
        stage: str = "weighted",
        round: Day = None,
        seeds: bool = False,
        unreleased: bool = False,
    ) -> Path:
        """Write the set into a new folder, with its dataset card; `seeds`: with those of the training set;
        `unreleased`: also where people do not agree with the labels so far."""
        from synth_assets.commands.export import export

        folder = Path(to).expanduser().absolute()
        export(self.recipe, folder, format, stage, _day(round), seeds, unreleased)
        return folder

    def _warehouse(self) -> Warehouse:
        """With all recipes as they are now, and this one, which may stand elsewhere."""
        from synth_assets.commands.options import current_warehouse
        from synth_assets.report.views import show

        return show(self.recipe, current_warehouse())


class Text(str):
    """What a command prints, with `data`: what `--json` tells a program."""

    data: Mapping[str, Any]
    _shown: str

    def __new__(cls, says: str, data: Mapping[str, Any] | None = None, shown: str = "") -> Text:
        text = super().__new__(cls, says)
        text.data, text._shown = data or {}, shown
        return text

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        style = "font-family:monospace;white-space:pre-wrap;word-break:normal;margin:0"
        return self._shown or f'<pre style="{style}">{html.escape(self)}</pre>'


class Plan(list["Line"]):
    """What a round would make and pay, a line a stage and cell."""

    @property
    def totals(self) -> dict[str, Any]:
        """The sums: calls, from_log, tokens, cost, seconds; None for what is not known."""
        from synth_assets.planning.plan import totals

        return totals(self)

    def __repr__(self) -> str:
        from synth_assets.planning.plan import report

        return "\n".join(report(self))

    def _repr_html_(self) -> str:
        from synth_assets.planning.plan import sums
        from synth_assets.report.pages import Table, number

        columns = ["stage", "cell", "state", "calls", "in the log", "why"]
        rows: list[list[object]] = []
        for line in self:
            asks = line.calls + line.from_log
            calls = [number(line.calls, 0), number(line.from_log, 0)] if asks else ["", ""]
            rows.append([line, line.cell or "", line.state, *calls, line.why])
        return _page([Table(columns, rows), *sums(self)])


class Preview(list["Tried"]):
    """Rows of a first look."""

    def __repr__(self) -> str:
        from synth_assets.report.tried import lines

        return "\n\n".join("\n".join(lines(row)) for row in self)

    def _repr_html_(self) -> str:
        from synth_assets.report.tried import html

        return html(self)


class Story(dict[str, Any]):
    """A row's whole story, as data."""

    def __repr__(self) -> str:
        from synth_assets.report.trace import tell

        return "\n".join(tell(self))

    def _repr_html_(self) -> str:
        return Text(repr(self))._repr_html_()


class Page:
    """An HTML page in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        """In a frame of its own: its styles, and texts of models, stay inside."""
        content = html.escape(self.path.read_text(encoding="utf-8"))
        return f'<iframe sandbox srcdoc="{content}" style="width:100%;height:40em;border:0"></iframe>'


def _page(parts: Iterable[str | Table]) -> str:
    """Lines and tables for a notebook."""
    from synth_assets.report.pages import fragment

    return "\n".join(Text(p)._repr_html_() if isinstance(p, str) else fragment(p) for p in parts)


def _day(round: Day) -> str | None:
    """As rounds are named; a time of a table is the day of it."""
    return round if round is None or isinstance(round, str) else round.isoformat()[:10]


def _length(recipe: Recipe) -> int:
    """How many things a round begins or makes: partitions of stages, and rows of steps."""
    from synth_assets.stages.graph import graph
    from synth_assets.stages.tables import stages

    cut, cells = stages(recipe), len(recipe.cells)
    partitions = sum(cells if "cell" in cut[stage.name] else 1 for stage in graph(recipe))
    rows = 0 if recipe.rows == ALL else recipe.most_rows  # nobody has looked yet how many texts there are
    return partitions + cells * rows * len(recipe.steps)


class _Bar:
    """How far something is, where a notebook shows it; elsewhere it does nothing."""

    def __init__(self, total: int, update: Callable[[str], None] | None) -> None:
        self.total, self.done, self._update, self._next = total, 0, update, 0.0

    @property
    def moves(self) -> bool:
        """Whether somebody sees it."""
        return self._update is not None

    def watch(self, seen: Seen) -> None:
        """One thing more of a round has come."""
        self.done = min(self.done + 1, self.total)
        words = " ".join([seen.stage, *seen.place.values()])
        if time.monotonic() >= self._next:
            self.show(self.done, words)

    def show(self, done: int, words: str, below: str = "") -> None:
        if self._update:
            self._next = time.monotonic() + SECONDS
            bar = f'<progress max="{self.total}" value="{done}" style="width:20em"></progress>'
            self._update(f"<div>{bar} {html.escape(words)}</div>{below}")


@contextmanager
def _bar(total: int) -> Iterator[_Bar]:
    """A bar, if a notebook runs this."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is None:
        yield _Bar(total, None)
        return
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)
    yield _Bar(total, lambda shown: handle.update(HTML(shown)))
