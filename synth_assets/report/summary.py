"""What a round came to, in a few short tables for the terminal; all of it read through the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from synth_assets.report.metrics import ORDER, SHOWN, TERMINAL, TRUST
from synth_assets.resources.home import lake, warehouse
from synth_assets.resources.storage.warehouse import identifier

if TYPE_CHECKING:
    import pandas as pd


def summary(recipe: str, round_: str) -> Iterator[str]:
    """Lines of the report on one round."""
    metrics = _rows(recipe, round_, "select * from {recipe}.metrics where round = $round")
    yield from _funnel(recipe, round_)
    yield from _diversity(metrics)
    yield from _accuracy(metrics)
    yield from _in_context(metrics)
    yield from _trust(metrics)
    yield from _cost(recipe, round_)
    yield ""
    yield f"Files    {lake().root / recipe}"
    query = f"select text, label, weight from {recipe}.weighted where round = '{round_}' limit 5"
    yield f'SQL      synth sql "{query}"'
    yield f"Report   synth report {recipe} --round {round_} --open"
    yield "UI       make ui"


def _rows(recipe: str, round_: str, sql: str) -> pd.DataFrame:
    return warehouse().query(sql.replace("{recipe}", identifier(recipe)), {"round": round_}).df()


def _funnel(recipe: str, round_: str) -> Iterator[str]:
    yield f"{recipe}, round {round_}"
    yield ""
    yield f"{'rows':24}{'generated':>10}{'accepted':>10}{'kept':>10}{'yield':>8}"
    for r in _rows(recipe, round_, "select * from {recipe}.funnel where round = $round").itertuples():
        yield f"{r.cell:24}{r.generated:>10,}{r.accepted:>10,}{r.kept:>10,}{r[6]:>8.2f}"
    yield ""
    yield f"{'dropped because of':24}{'rows':>10}  threshold"
    for r in _rows(recipe, round_, "select * from {recipe}.dropped where round = $round").itertuples():
        yield f"{r.scorer:24}{r.rows:>10,}  {r.threshold if isinstance(r.threshold, str) else ''}".rstrip()


def _diversity(metrics: pd.DataFrame) -> Iterator[str]:
    names = ["vocabulary", "distinct_1", "distinct_2", "self_bleu_4", "average_pairwise_similarity"]
    rows = metrics[metrics["name"].isin(names)]
    if rows.empty:
        return
    slices = list(dict.fromkeys(rows["slice"]))
    yield ""
    yield f"{f'diversity of {int(rows.n.iloc[0])} rows':32}" + "".join(f"{s:>14}" for s in slices)
    for name in names:
        values = rows[rows["name"] == name].set_index("slice")["value"]
        yield f"{name:32}" + "".join(
            f"{_number(values.get(s), 0 if name == 'vocabulary' else 3):>14}" for s in slices
        )


def _accuracy(metrics: pd.DataFrame) -> Iterator[str]:
    accuracy = metrics[metrics["name"] == "accuracy"].set_index("slice")
    gain = metrics[metrics["name"] == "accuracy_gain"].set_index("slice")
    if accuracy.empty:
        return
    yield ""
    head = (
        "accuracy of a student trained on",
        "accuracy",
        "95 % interval",
        "against seeds",
        "95 % interval",
        "n",
    )
    yield "{:40}{:>9}  {:15}{:>14}  {:17}{:>5}".format(*head)
    for name, words in ORDER:
        if name not in accuracy.index:
            continue
        a = accuracy.loc[name]
        line = f"{words:40}{_number(a['value']):>9}  {_interval(a):15}"
        yield f"{line}{_gain(gain, name)}{int(a['n']):>5}"


def _in_context(metrics: pd.DataFrame) -> Iterator[str]:
    """The same table of a model that is shown rows of each set, by the metric of the task."""
    gain = metrics[metrics["name"] == "in_context_gain"].set_index("slice")
    rows = metrics[metrics["name"].str.startswith("in_context_") & (metrics["name"] != "in_context_gain")]
    if rows.empty:
        return
    yield ""
    name = rows["name"].iloc[0].removeprefix("in_context_")
    head = ("the model, answering when shown", name, "95 % interval", "against seeds", "95 % interval", "n")
    yield "{:38}{:>11}  {:15}{:>14}  {:17}{:>5}".format(*head)
    for _, row in rows.iterrows():
        words = SHOWN.get(row["slice"], row["slice"])
        line = f"{words:38}{_number(row['value']):>11}  {_interval(row):15}"
        yield f"{line}{_gain(gain, row['slice'])}{int(row['n']):>5}"


def _gain(gain: pd.DataFrame, of: str) -> str:
    if of not in gain.index or gain.loc[of, "value"] != gain.loc[of, "value"]:
        return " " * 33
    return f"{gain.loc[of, 'value']:>+14.3f}  {_interval(gain.loc[of], '+.3f'):17}"


def _trust(metrics: pd.DataFrame) -> Iterator[str]:
    rows = metrics[(metrics["slice"] == "filtered") & metrics["value"].notna()].set_index("name")
    known = [(TRUST[name], rows.loc[name]) for name in TERMINAL if name in rows.index]
    if not known:
        return
    yield ""
    yield f"{'kept rows of this round':62}{'value':>9}  {'95 % interval':15}{'n':>8}"
    for words, row in known:
        yield f"{words:62}{_number(row['value']):>9}  {_interval(row):15}{int(row['n']):>8,}"


def _cost(recipe: str, round_: str) -> Iterator[str]:
    """What the round's calls took when they were made, whichever run made them."""
    yield ""
    rows = _rows(recipe, round_, "select * from {recipe}.cost where round = $round")
    width = max([16, *(len(stage) + 1 for stage in rows["stage"])])
    yield f"{'model calls':{width}}{'model':32}{'calls':>8}{'tokens':>12}{'cost':>12}"
    for r in rows.itertuples():
        tokens = r.prompt_tokens + r.completion_tokens
        cost = "unknown" if r.cost != r.cost else f"${r.cost:,.4f}"
        yield f"{r.stage:{width}}{r.model:32}{r.calls:>8,}{_number(tokens, 0):>12}{cost:>12}"


def _number(value: float | None, digits: int = 3) -> str:
    return "unknown" if value is None or value != value else f"{value:,.{digits}f}"


def _interval(row: pd.Series, kind: str = ".3f") -> str:
    return "" if row["low"] != row["low"] else f"{row['low']:{kind}} to {row['high']:{kind}}"
