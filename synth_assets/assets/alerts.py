"""What tells people of nights that need them, and of runs that have failed: a message to `$SYNTH_WEBHOOK`."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from synth_assets.assets.failures import WITHIN, why_failed
from synth_assets.assets.keeper import Keeper, Night
from synth_assets.assets.morning import note
from synth_assets.recipe.recipe import Recipe

WEBHOOK = "SYNTH_WEBHOOK"  # its URL is a secret: whoever knows it can write there
TIMEOUT_S = 10
LATE = "late"  # what is told of a recipe whose nights are not whole for a while


def alert_on_failure() -> dg.SensorDefinition:
    """The sensor that tells the webhook of a failed run; it is on where its variable is set."""

    @dg.run_failure_sensor(
        name="alert_on_failure",
        default_status=dg.DefaultSensorStatus.RUNNING
        if WEBHOOK in os.environ
        else dg.DefaultSensorStatus.STOPPED,
        description=f"Says to the webhook ${WEBHOOK} which run has failed, and why.",
    )
    def alert(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        url, tags = os.environ.get(WEBHOOK), context.dagster_run.tags
        if not url:
            return dg.SkipReason(f"the variable {WEBHOOK} is not set.")
        asked = "dagster/schedule_name" in tags or "dagster/sensor_name" in tags
        if WITHIN in tags or (asked and context.dagster_run.job_name.endswith("_round")):
            return dg.SkipReason("it is told of the night as a whole.")
        trouble = post(url, message(context))
        if trouble:
            raise dg.Failure(f"the webhook of {WEBHOOK} did not take the message: {trouble}")
        return None

    return alert


def tell(recipe: Recipe, keeper: Keeper, nights: Sequence[Night], told: str | None) -> str:
    """Tell the webhook of each night that needs somebody, once a cause, and when none is whole for a while;
    with `tell: always` of each that is whole, too. Takes and returns what was told so far."""
    before: dict[str, str] = json.loads(told or "{}")
    url = os.environ.get(WEBHOOK, "")
    late = keeper.late() if url else ""
    now = {night.round: before.get(night.round, "") for night in nights}
    if late:
        if late != before.get(LATE) and post(url, _body(recipe, late, state=LATE)):
            url = ""  # it takes nothing now, and may take long to say so: the rest is told at the next look
        else:
            now[LATE] = late
    for night in nights:
        if url and needs_telling(recipe, night) and night.said != now[night.round]:
            (row,) = note(recipe, keeper.lake, [night])
            if post(url, of_a_night(recipe, night, row, keeper.made.red(night.round))):
                break
            now[night.round] = night.said
    return json.dumps({of: words for of, words in now.items() if words})


def needs_telling(recipe: Recipe, night: Night) -> bool:
    """Whether nothing more happens to the night today, or somebody wants to hear of it anyway."""
    if night.is_whole:
        return recipe.nightly is not None and recipe.nightly.tell == "always"
    return night.needs_somebody


def of_a_night(recipe: Recipe, night: Night, row: Mapping[str, Any], red: Sequence[str]) -> dict[str, Any]:
    """What is posted of a night, whose `row` of the view `nights` says what it brought, and whose checks in
    `red` failed."""
    cost = "" if row["cost"] is None else f" for ${row['cost']:,.4f}"
    made, changed = f"{row['made'].capitalize()}{cost}.", f"{row['changed']}." if row["changed"] else ""
    text = " ".join(filter(None, [f"{night.round}: {night.said}", made, changed, night.next, *red]))
    return _body(recipe, text, **row, checks=[*red])


def _body(recipe: Recipe, text: str, **more: Any) -> dict[str, Any]:
    """`text` for people (as Slack, Teams and Mattermost show it), the rest for programs."""
    return {"text": f"{recipe.name} {text}", "recipe": recipe.name, **more}


def message(context: dg.RunFailureSensorContext) -> dict[str, Any]:
    """What is posted: `text` for people (as Slack, Teams and Mattermost show it), the rest for programs."""
    run = context.dagster_run
    assets = sorted(asset.to_user_string() for asset in run.asset_selection or ())
    partition = run.tags.get("dagster/partition")
    why = [line for line in why_failed(context.instance, run).splitlines() if line.strip()]
    return {
        "text": f"Run {run.run_id[:8]} failed: {', '.join(assets) or run.job_name} {partition or ''}. "
        + " ".join(why[:3]),
        "run_id": run.run_id,
        "job": run.job_name,
        "assets": assets,
        "partition": partition,
    }


def post(url: str, body: dict[str, Any]) -> str:
    """Post JSON; returns what went wrong, without the URL."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        urlopen(request, timeout=TIMEOUT_S).close()
    except HTTPError as error:
        return f"status {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        return type(error).__name__
    return ""
