"""Conditions: one row a request-to-be (Long et al. 2024, section 3.1.1, conditional prompting).

Every choice is made by rank of a hash (see selection): a row keeps its values when rows, values or
seeds are added elsewhere, and so keeps its identity and its paid answer. Under an edited recipe:

========  ===================================================================  =====================  ========
plan      what it promises of the counts                                       more rows               weights
========  ===================================================================  =====================  ========
product   each attribute is drawn by itself; shares go towards the weights     earlier rows stay       yes
balanced  counts of two values of an attribute never differ by more than 1     earlier rows stay       refused
coverage  balanced, and pairs of values that were seen least come first        earlier rows stay       refused
latin     counts are within 1 of rows x share (a Latin hypercube)              rows are drawn anew     yes
========  ===================================================================  =====================  ========

Under `product` a new value changes only rows that take it, and a removed one only rows that had it. The
others count what was used before, and draw anew. Where a recipe remembers, balanced and coverage count what
the cell's earlier rounds used, too, and product takes the values of sources in turn as well.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, combinations, islice
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.provider import Around, Draw, Pool, Provider
from synth_assets.core import templates
from synth_assets.core.errors import UserError
from synth_assets.core.identity import row_id
from synth_assets.core.values import plain
from synth_assets.generation.conditions.demonstrations import demonstrations_of
from synth_assets.generation.conditions.in_turn import InTurn
from synth_assets.generation.conditions.turns import Turns
from synth_assets.selection.select import pick, ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.recipe.recipe import Recipe

Values = Mapping[str, Mapping[str, float]]  # attribute -> value -> weight
TOGETHER = 1_000  # texts that are encoded at once
ATTEMPTS = 50  # draws of a question's values until the constraints allow them


def design(
    recipe: Recipe, seeds: pd.DataFrame, *, round_: str, cell: str, rows: int, around: Around | None = None
) -> pd.DataFrame:
    """The condition table of one cell: `rows` rows, values spread over them by the recipe's design.

    Rows share `sets` sets of `k` demonstrations of the cell's label; neighbouring rows use different
    sets, but for the `samples` rows of one question, which stand together. Raises UserError when there are
    fewer than `k` demonstrations, or no values that the constraints allow.
    """
    label = cell if recipe.labels else None
    of_label = recipe.task.of_label(label)
    around = around or Around(rows={"seeds": seeds})
    questions = list(_questions(recipe, -(-rows // recipe.samples), around, round_, cell))
    place = (recipe.seed, round_, cell)
    shown = [demonstrations_of(recipe, around, i, row, place) for i, row in enumerate(questions)]
    table = []
    for i in range(rows):
        question = i // recipe.samples
        values = {name: questions[question][name] for name in recipe.attributes}
        table.append(
            {
                "row_id": row_id(round_, cell, i, values),
                "round": round_,
                "cell": cell,
                "replicate": i,
                "label": label,
                **values,
                **_beside(recipe, values, around),
                "definition": of_label.get("definition"),
                "verbalizer": of_label.get("verbalizer"),
                "demonstration_set": shown[question][0],
                "demonstration_ids": shown[question][1],
            }
        )
    return _typed(recipe, table)


def of_texts(recipe: Recipe, texts: pd.DataFrame, *, round_: str, cell: str, around: Around) -> pd.DataFrame:
    """The condition table of texts that are annotated, in their order. Each keeps its id, and what it is
    shown, whichever others there are."""
    place, task = (recipe.seed, round_, cell), {**recipe.task.fields(), "label": None}
    own = [plain({name: row[name] for name in recipe.attributes}) for row in texts.to_dict("records")]
    query = recipe.demonstrations.query if recipe.demonstrations else None
    table = []
    for i, (name, row) in enumerate(zip(texts["row_id"], own, strict=True)):
        if query is not None and around.encode and i % TOGETHER == 0:  # the encoder remembers them
            around.encode([templates.render(query, {**task, **each}) for each in own[i : i + TOGETHER]])
        # the nearest have no draw in them; what is drawn goes by the text, and not by its place
        number = int(name[:6], 16) if query is None else 0
        turn, ids = demonstrations_of(recipe, around, number, {**task, **row}, place)
        of_it = {"row_id": name, "round": round_, "cell": cell, "replicate": i, "label": None, **row}
        shown = {"demonstration_set": turn, "demonstration_ids": ids}
        table.append({**of_it, "definition": None, "verbalizer": None, **shown})
    return _typed(recipe, table)


def _typed(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """As a table, in which whole numbers stay whole beside a row without one."""
    import pandas as pd

    made = pd.DataFrame(rows)
    for name, kind in recipe.condition_columns.items():
        if kind != "string" and rows:
            made[name] = pd.Series([row[name] for row in rows], dtype=object)
    return made


def _questions(recipe: Recipe, n: int, around: Around, round_: str, cell: str) -> Iterator[dict[str, Any]]:
    """The values of `n` questions. What the constraints do not allow is drawn again; under a design that
    counts values, the next row of it is taken. A row that conditions take in turn gives its place to the next
    one, where none of the draws with it is allowed."""
    place = (recipe.seed, round_, cell)
    counted = iter(_counted(recipe, n * (ATTEMPTS if recipe.constraints else 1), around, place))
    in_turn = any(isinstance(v, Provider) and v.in_turn for v in recipe.attributes.values())
    most = max((len(table) for table in around.rows.values()), default=0) if in_turn else 0
    settled = [rule for rule in recipe.constraints if not templates.names_in(rule) & _drawn_again(recipe)]
    skipped, turns = 0, InTurn(recipe.attributes, around, place, _constrained(recipe))
    for question in range(n):
        for refused, turn in enumerate(range(question + skipped, question + skipped + most + 1)):
            draws = max(2, ATTEMPTS >> refused // 8)  # a rule that no row fits is not to cost minutes
            rows = (
                _row(recipe, next(counted, {}), around, place, (question, turn, attempt), turns)
                for attempt in range(draws)
            )
            if (row := _first_allowed(rows, settled, recipe.constraints)) is not None:
                skipped = turn - question
                turns.took(row)
                yield row
                break
        else:
            with_rows = f" with any of {most:,} rows" if in_turn else ""
            why = f"none of {ATTEMPTS} draws of values for cell {cell!r}{with_rows} is allowed"
            fix = "loosen them, or list the values that go together with `by`."
            raise UserError(f"constraints: {why}: {fix}")


def _first_allowed(
    rows: Iterable[dict[str, Any]], settled: Sequence[str], rules: Sequence[str]
) -> dict[str, Any] | None:
    """The first draw that the rules allow; none where one refuses it that is `settled` by its first draw."""
    for at, row in enumerate(rows):
        if not at and not allowed(row, settled):
            return None
        if allowed(row, rules):
            return row
    return None


def _constrained(recipe: Recipe) -> set[str]:
    """The conditions that constraints name, and those that these depend on."""
    found, left = set[str](), {name for rule in recipe.constraints for name in templates.names_in(rule)}
    while left:
        name = left.pop()
        found.add(name)
        source = recipe.attributes.get(name)
        if isinstance(source, Provider):
            told = {other for each in source.templates() for other in templates.names(each)}
            left |= ({*told, source.rests_on() or name} & {*recipe.attributes}) - found
    return found


def _drawn_again(recipe: Recipe) -> set[str]:
    """The conditions that have another value when a question is drawn once more."""
    found = set[str]()
    for name, values in recipe.attributes.items():
        taken = isinstance(values, Provider) and (values.in_turn or values.rests_on() not in (None, *found))
        if name != recipe.cell and not (taken and isinstance(values, Draw)):
            found.add(name)
    return found


def _counted(recipe: Recipe, n: int, around: Around, place: Sequence[object]) -> Iterable[dict[str, str]]:
    """Rows of a design that counts values; product draws each value by itself, where the row is made, but for
    the values of sources that are taken in turn over the rounds."""
    in_turn = recipe.design == "product"
    if in_turn and around.before is None:
        return ()
    pools: dict[str, Mapping[str, float]] = {}  # of the attributes that have the same values in all rows
    for name, values in recipe.attributes.items():
        if isinstance(values, Mapping) and name != recipe.cell and not in_turn:
            pools[name] = around.steered(name, values)
        elif isinstance(values, Pool) and not values.depends:
            weights = around.steered(name, values.pool(name, {}, around))
            if not in_turn or len({*weights.values()}) < 2:
                pools[name] = weights
    return draw(pools, n, "balanced" if in_turn else recipe.design, *place, before=around.before or ())


def _row(
    recipe: Recipe,
    counted: Mapping[str, str],
    around: Around,
    place: tuple[object, ...],
    numbers: tuple[int, int, int],
    turns: InTurn,
) -> dict[str, Any]:
    """The values of one question, attribute by attribute: each may depend on those above it. `numbers`: of
    the question, of the row that it takes in turn, and of draws that were refused."""
    *_, cell = place
    question, taken, refused = numbers
    label = str(cell) if recipe.labels else None
    row: dict[str, Any] = {**recipe.task.fields(), "label": label, **recipe.task.of_label(label)}
    for name, values in recipe.attributes.items():
        in_turn = isinstance(values, Provider) and values.in_turn  # taken whatever the constraints refused
        attempt = refused if turns.again(name) else 0
        again = [f"attempt {attempt}"] if attempt else []
        parts = (*place, taken, name) if in_turn else (*place, *again, question, name)
        if name == recipe.cell:
            row[name] = cell
        elif name in counted:
            row[name] = counted[name]
        elif isinstance(values, Mapping):
            row[name] = pick(around.steered(name, values), *parts)
        elif isinstance(values, Draw):  # before the next: of what is both, a design counts the pool
            row[name] = values.draw(row, around, *parts)
        elif isinstance(values, Pool):
            weights = around.steered(name, values.pool(name, row, around))
            row[name] = turns.value(name, row, weights, attempt) or pick(weights, *parts)
    return row


def _beside(recipe: Recipe, values: Mapping[str, Any], around: Around) -> dict[str, Any]:
    """The columns that values bring along. No id rests on them: where a text stands may change alone."""
    return {
        f"{name}_{part}": told
        for name, source in recipe.attributes.items()
        if isinstance(source, Provider) and source.beside
        for part, told in source.about(values[name], around).items()
    }


def allowed(row: Mapping[str, Any], rules: Sequence[str]) -> bool:
    """Whether every rule holds: Jinja expressions about the row's values, `tone != "angry" or to == "bank"`.

    Raises UserError, with the rule, when it is no expression or names no value of the row.
    """
    for rule in rules:
        expression = templates.expression(rule)
        try:
            if not expression(**row):
                return False
        except Exception as error:  # an expression is a program: 1 / (length | int) may divide by zero
            if isinstance(error, TypeError) and any(row[n] is None for n in templates.names_in(rule)):
                return False  # there is no value to compare
            known = ", ".join(sorted(row)) or "none"
            raise UserError(f"constraint {rule!r}: {error}. Known values: {known}.") from error
    return True


def draw(
    values: Values, n: int, plan: str, *parts: object, before: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, str]]:
    """The first `n` rows of a design that `parts` (seed, round, cell) fix: attribute -> value. `before`: rows
    that earlier rounds took, which balanced and coverage go on from.

    Raises UserError for an attribute without values, and weights in a plan that uses all values alike.
    """
    for name, weights in values.items():
        if not weights:
            raise UserError(f"{name} has no values: give at least one.")
        if plan in ("balanced", "coverage") and len(set(weights.values())) > 1:
            raise UserError(f"{name} has weights, and {plan} uses each value as often: use product or latin.")
    if plan == "product":
        return [{a: pick(vs, *parts, i, a) for a, vs in values.items()} for i in range(n)]
    if plan == "latin":
        columns = {name: _stratified(weights, n, *parts, 0, name) for name, weights in values.items()}
        return [{name: column[i] for name, column in columns.items()} for i in range(n)]
    return list(islice(_in_blocks(values, plan == "coverage", before, *parts), n))


def _in_blocks(
    values: Values, spread: bool, before: Sequence[Mapping[str, Any]], *parts: object
) -> Iterator[dict[str, str]]:
    """Rows without end. Each attribute takes all of its values in a random order, then all in another one.

    With `spread`, of the values that are left the one comes first whose pairs with the row's other values
    were seen least (a greedy covering array, as in AETG, Cohen et al. 1997).
    """

    def turns(name: str) -> Turns:
        taken = (row[name] for row in before)
        return Turns(values[name], lambda left, turn: ranked(left, *parts, turn, name), taken)

    of = {name: turns(name) for name in values}
    seen: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
    for row in before if spread else ():
        seen.update(combinations(((name, row[name]) for name in values), 2))
    while True:
        made: dict[str, str] = {}
        for name, its in of.items():
            pairs = {v: sum(seen[w, (name, v)] for w in made.items()) for v in its.left if spread}
            made[name] = its.take(min(pairs, key=pairs.__getitem__) if pairs else its.left[0])
        seen.update(combinations(made.items(), 2) if spread else ())
        yield made


def _stratified(weights: Mapping[str, float], n: int, *parts: object) -> list[str]:
    """`n` values, one from each n-th of the unit interval that the weights divide, in a random order."""
    order = ranked(weights, *parts)
    bounds = list(accumulate(Fraction(weights[v]) for v in order))  # exact: a bound may be a stratum's middle
    places = ranked(map(str, range(n)), *parts, "row")
    return [order[bisect(bounds, Fraction(2 * int(k) + 1, 2 * n) * bounds[-1])] for k in places]
