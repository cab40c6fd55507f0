"""A language model as a judge: which of two answers is better, and how good one answer is.

The metric `judge` compares rows of this round with rows of the last one; people say how far to trust it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from synth_assets.contracts.measure import Look, Metric, row
from synth_assets.contracts.measured import Measured, proportion
from synth_assets.core import templates
from synth_assets.core.text.arithmetic import rating
from synth_assets.evaluation.metric_rows import table
from synth_assets.recipe.measuring import Judged
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.core.asking import Completes, Message

SAMPLING: dict[str, Any] = {"temperature": 0.0, "max_tokens": 512}
SCORES = re.compile(r"\(?(\d+(?:\.\d+)?)(?:\s*,\s*|\s+)(\d+(?:\.\d+)?)\)?")
PROMPTS = yaml.safe_load((Path(__file__).parent / "prompts.yaml").read_text(encoding="utf-8"))
PAIR, RUBRIC = PROMPTS["pair"], PROMPTS["rating"]
SHOWN = 5  # pairs, to people, the least sure first
Pairs = list[tuple[Any, Any]]  # a row of this round, and one of the last, as dicts


class Pair(NamedTuple):
    """A question and the answers of two systems."""

    question: str
    first: str
    second: str


class Verdict(NamedTuple):
    """What a judge that saw a pair in both orders says; None where an answer of it cannot be read."""

    forward: float | None  # about the first system, shown first
    swapped: float | None  # about the second system, shown first
    margin: float | None  # the first system's score less the second's, mean of both orders

    @property
    def verdict(self) -> float | None:
        """About the first system; orders that contradict each other are a tie."""
        return both_orders(self.forward, self.swapped)

    @property
    def confidence(self) -> float | None:
        """Points between the systems, 0 where the orders contradict each other."""
        if self.forward is None or self.swapped is None or self.margin is None:
            return None
        return abs(self.margin) if self.forward == 1 - self.swapped else 0.0


def by_score(first: float, second: float) -> float:
    """The verdict that two scores are, higher being better."""
    return 0.5 + 0.5 * ((first > second) - (first < second))


def both_orders(forward: float | None, swapped: float | None) -> float | None:
    """One verdict from a judge that saw a pair in both orders: `forward` is about the first system shown
    first, `swapped` about the second one shown first. Orders that contradict each other are a tie."""
    if forward is None or swapped is None:
        return None
    return forward if forward == 1 - swapped else 0.5


def judge_pairs(
    pairs: Sequence[Pair], model: Completes, prompt: str = PAIR, max_tokens: int = SAMPLING["max_tokens"]
) -> list[Verdict]:
    """A verdict a pair; two calls each, one an order (Vicuna's judge, Chiang et al. 2023).

    `prompt` is a format string with `{question}`, `{first}` and `{second}`.
    """
    shown = [shown for p in pairs for shown in (p, Pair(p.question, p.second, p.first))]
    said = ask([prompt.format(**pair._asdict()) for pair in shown], model, "judge pair", max_tokens)
    scores = [None if text is None else read_pair(text) for text in said]
    return [_verdict(*both) for both in zip(scores[::2], scores[1::2], strict=True)]


def reliability(judge: Sequence[float | None], people: Sequence[float | None]) -> dict[str, Measured]:
    """Of verdicts on the same pairs, None where there is none: how often the judge says what people say
    (`accuracy`, and `kappa`), and the `win_rate` of all pairs, the judge's, corrected by the people's
    (prediction-powered inference, Angelopoulos et al. 2023). The pairs of people are a random sample."""
    from synth_assets.evaluation.faithfulness import agreement, ppi_mean
    from synth_assets.evaluation.resampling import bootstrap_mean

    known = [(j, p) for j, p in zip(judge, people, strict=True) if j is not None]
    both = [(j, p) for j, p in known if p is not None]
    rest = [j for j, p in known if p is None]
    found = agreement([j for j, _ in both], [p for _, p in both])
    said = [p for _, p in both]
    rate = ppi_mean(said, [j for j, _ in both], rest, least=0, most=1) if rest else bootstrap_mean(said)
    return {"accuracy": found["accuracy"], "kappa": found["kappa"], "win_rate": rate}


def rate(
    answers: Sequence[tuple[str, str]],
    model: Completes,
    rubric: str = RUBRIC,
    low: float = 0,
    high: float = 5,
    max_tokens: int = SAMPLING["max_tokens"],
) -> list[float | None]:
    """The rating of each (question, answer), from `low` to `high` (AlpaGasus, Chen et al. 2023); None where
    there is none to read. `rubric` is a format string with `{question}`, `{answer}`, `{low}` and `{high}`."""
    prompts = [rubric.format(question=q, answer=a, low=low, high=high) for q, a in answers]
    said = ask(prompts, model, "judge rating", max_tokens)
    return [None if text is None else rating(text, low, high) for text in said]


def read_pair(text: str) -> tuple[float, float] | None:
    """The two scores on the first line, `8 9`, `8, 9` or `(8, 9)`; None if it holds anything else."""
    found = SCORES.fullmatch(text.strip().partition("\n")[0].strip())
    return (float(found[1]), float(found[2])) if found else None


def ask(
    prompts: Sequence[str], model: Completes, replicate: str, max_tokens: int = SAMPLING["max_tokens"]
) -> list[str | None]:
    """What a model says to each prompt, were it cut, as scores come first; None where it gives no answer."""
    messages: list[list[Message]] = [[{"role": "user", "content": prompt}] for prompt in prompts]
    sampling = {**SAMPLING, "max_tokens": max_tokens}
    answers = model.complete(messages, sampling, [replicate] * len(messages))
    return [answer.text if answer.outcome in ("ok", "truncated") else None for answer in answers]


def _verdict(forward: tuple[float, float] | None, swapped: tuple[float, float] | None) -> Verdict:
    one, other = (None if scores is None else by_score(*scores) for scores in (forward, swapped))
    both = forward and swapped and (forward[0] - forward[1] - swapped[0] + swapped[1]) / 2
    return Verdict(one, other, both)


class Judge(Metric):
    """Which of two rows a model prefers, each pair in both orders."""

    name = "judge"

    wanted: Judged

    def models(self) -> Sequence[str | NamedModel | None]:
        """The one that it names, or the annotator's."""
        return (self.wanted.model,)

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing where no round was measured before. Pairs of which it is not sure are told to people."""
        from synth_assets.evaluation.people import verdicts as chosen
        from synth_assets.evaluation.preference import route

        before, file = look.before(), self.wanted.people
        if before is None:
            return table([])
        pairs = drawn_pairs(look.filtered, before.kept, self.wanted.rows)
        verdicts = self._verdicts(look, pairs)
        _, doubted = route([v.confidence for v in verdicts], at_least=1)
        if texts := [[row["text"] for row in pairs[i]] for i in doubted[:SHOWN]]:
            look.told["judge_not_sure"] = [["this round", "the round before"], *texts]
        people = {**(look.verdicts(file) if file else {}), **chosen(look.reviews)}
        asked = bool(file or people)
        said = [people.get((new["row_id"], old["row_id"])) for new, old in pairs] if asked else None
        return preference(verdicts, before.round, said)

    def ask(self, look: Look) -> None:
        """Of rows that are not there yet: two calls a pair."""
        if (before := look.before()) is None:
            return
        if look.filtered is not None:
            self._verdicts(look, drawn_pairs(look.filtered, before.kept, self.wanted.rows))
            return
        most = look.recipe.most_rows * len(look.recipe.cells)
        look.expect(look.model(self.wanted.model, "judge"), 2 * min(self.wanted.rows, most))

    def _verdicts(self, look: Look, pairs: Pairs) -> list[Verdict]:
        """A verdict a pair: a question, and the rows as its answers."""
        task = look.recipe.task
        told = [{**task.fields(), **task.of_label(new["label"]), **new} for new, _ in pairs]
        asked = [templates.render(self.wanted.question, fields) for fields in told]
        shown = [Pair(q, new["text"], old["text"]) for q, (new, old) in zip(asked, pairs, strict=True)]
        judge = look.model(self.wanted.model, "judge")
        return judge_pairs(shown, judge, max_tokens=self.wanted.max_tokens)


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
    from synth_assets.evaluation.preference import position_bias, win_tie_lose

    if not verdicts:
        return table([])
    slice_, of = f"against {round_}", {"against": round_}
    found = {
        **win_tie_lose([v.verdict for v in verdicts]),
        **position_bias([v.forward for v in verdicts], [v.swapped for v in verdicts]),
        "unread": proportion([v.verdict is None for v in verdicts]),
    }
    del found["standard_error"]  # the interval of win_rate says it
    rows = [row(f"judge_{name}", slice_, measured, **of) for name, measured in found.items()]
    if people is not None:
        held = reliability([v.verdict for v in verdicts], people)
        rows += [row(f"judge_{name}", f"people, {slice_}", measured, **of) for name, measured in held.items()]
    return table(rows)
