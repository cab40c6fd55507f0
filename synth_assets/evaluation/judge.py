"""A model compares rows of this round with rows of the last one, and people say how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.measure import Look, Metric, row
from synth_assets.core import templates
from synth_assets.evaluation.faithfulness import proportion
from synth_assets.evaluation.judging import Pair, Verdict, judge_pairs, reliability
from synth_assets.evaluation.metric_rows import table
from synth_assets.evaluation.preference import position_bias, route, win_tie_lose
from synth_assets.recipe.measuring import Judged
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.model_spec import NamedModel

SHOWN = 5  # pairs, to people, the least sure first
Pairs = list[tuple[Any, Any]]  # a row of this round, and one of the last, as dicts


class Judge(Metric):
    """Which of two rows a model prefers, each pair in both orders."""

    name = "judge"

    wanted: Judged

    def models(self) -> Sequence[str | NamedModel | None]:
        """The one that it names, or the annotator's."""
        return (self.wanted.model,)

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing where no round was measured before. Pairs of which it is not sure are told to people."""
        before, file = look.before(), self.wanted.people
        if before is None:
            return table([])
        pairs = drawn_pairs(look.filtered, before.kept, self.wanted.rows)
        verdicts = self._verdicts(look, pairs)
        _, doubted = route([v.confidence for v in verdicts], at_least=1)
        if texts := [[row["text"] for row in pairs[i]] for i in doubted[:SHOWN]]:
            look.told["judge_not_sure"] = [["this round", "the round before"], *texts]
        people = look.verdicts(file) if file else {}
        said = [people.get((new["row_id"], old["row_id"])) for new, old in pairs] if file else None
        return preference(verdicts, before.round, said)

    def ask(self, look: Look) -> None:
        """Of rows that are not there yet: two calls a pair."""
        if (before := look.before()) is None:
            return
        if look.filtered is not None:
            self._verdicts(look, drawn_pairs(look.filtered, before.kept, self.wanted.rows))
            return
        most = look.recipe.rows * len(look.recipe.cells)
        look.expect(look.model(self.wanted.model, "judge"), 2 * min(self.wanted.rows, most))

    def _verdicts(self, look: Look, pairs: Pairs) -> list[Verdict]:
        """A verdict a pair: a question, and the rows as its answers."""
        task = look.recipe.task
        told = [{**task.fields(), **task.of_label(new["label"]), **new} for new, _ in pairs]
        asked = [templates.render(self.wanted.question, fields) for fields in told]
        shown = [Pair(q, new["text"], old["text"]) for q, (new, old) in zip(asked, pairs, strict=True)]
        return judge_pairs(shown, look.model(self.wanted.model, "judge"))


def drawn_pairs(now: pd.DataFrame, last: pd.DataFrame, n: int) -> Pairs:
    """Pairs of a row of this round and one of the last, of the same cell, as dicts: the cells take turns."""
    by_cell = []
    for cell, rows in now.groupby("cell"):
        both = [
            {r["row_id"]: r for r in side.to_dict("records")} for side in (rows, last[last["cell"] == cell])
        ]
        order = [ranked(side, "pairs") for side in both]
        by_cell.append([(both[0][a], both[1][b]) for a, b in zip(*order, strict=False)])
    longest = max(map(len, by_cell), default=0)
    return [pairs[i] for i in range(longest) for pairs in by_cell if i < len(pairs)][:n]


def preference(
    verdicts: Sequence[Verdict], round_: str, people: Sequence[float | None] | None = None
) -> pd.DataFrame:
    """How often the judge prefers this round's rows to those of `round_`, how much the order decides, and how
    far it says what people say of the same pairs."""
    if not verdicts:
        return table([])
    slice_, of = f"against {round_}", {"against": round_}
    found = {
        **win_tie_lose([v.verdict for v in verdicts]),
        **position_bias([v.forward for v in verdicts], [v.swapped for v in verdicts]),
        "unread": proportion([v.verdict is None for v in verdicts]),
    }
    rows = [row(f"judge_{name}", slice_, measured, **of) for name, measured in found.items()]
    if people is not None:
        held = reliability([v.verdict for v in verdicts], people)
        rows += [row(f"judge_{name}", f"people, {slice_}", measured, **of) for name, measured in held.items()]
    return table(rows)
