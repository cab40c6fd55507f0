"""Table `signals`: what the metrics of a round say that the set lacks, for the next round to go by. Steering
sees no row of the split `test`: it is taken out of all that a signal is given."""

from __future__ import annotations

from dataclasses import replace

from synth_assets.contracts.measure import Before, Look
from synth_assets.core.errors import NotInstalled
from synth_assets.stages import tables
from synth_assets.stages.run import Run
from synth_assets.stages.stage import Table

TOLD = "What the set lacks, by the signals that the recipe names, for the next round to go by."


def signalled(run: Run, look: Look) -> Table:
    """What each signal that the recipe names says of a round. One that needs what is not installed says
    nothing."""
    from synth_assets.evaluation import signal_rows

    seen, found = without_test(look), {}
    for name in run.recipe.signals:
        try:
            found[name] = signal_rows.signalled(name, seen)
        except NotInstalled as error:
            run.warn(f"signal {name} is unknown: {error}")
    return signal_rows.table(run.round, found)


def without_test(look: Look) -> Look:
    """The same look without test rows, and without what was measured on them."""

    def before() -> Before | None:
        last = look.before()
        return last and last._replace(metrics=last.metrics.iloc[:0])

    seeds = look.seeds[look.seeds["split"] != "test"].reset_index(drop=True)
    return replace(look, seeds=seeds, before=before, shared={}, told={})


def last(run: Run, name: str) -> dict[str, float]:
    """Row id -> value of a signal in the last round before this one that has signals. Read, and not declared,
    as the rows of earlier rounds are."""
    if "signals" not in tables.stages(run.recipe) or not (rounds := run.rounds("signals")):
        return {}
    rows = run.read("signals", {"round": rounds[-1]})
    rows = rows[(rows["name"] == name) & rows["row_id"].notna()]
    return dict(zip(rows["row_id"], rows["value"], strict=True))
