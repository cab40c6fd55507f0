"""What tells people that a run has failed: a message to a webhook, `$SYNTH_WEBHOOK`."""

import json
import os
from typing import Any

import dagster as dg

WEBHOOK = "SYNTH_WEBHOOK"  # its URL is a secret: whoever knows it can write there
TIMEOUT_S = 10


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
        url = os.environ.get(WEBHOOK)
        if not url:
            return dg.SkipReason(f"the variable {WEBHOOK} is not set.")
        trouble = _post(url, message(context))
        if trouble:
            raise dg.Failure(f"the webhook of {WEBHOOK} did not take the message: {trouble}")
        return None

    return alert


def message(context: dg.RunFailureSensorContext) -> dict[str, Any]:
    """What is posted: `text` for people (as Slack, Teams and Mattermost show it), the rest for programs."""
    run = context.dagster_run
    assets = sorted(asset.to_user_string() for asset in run.asset_selection or ())
    partition = run.tags.get("dagster/partition")
    why = [line for line in str(context.failure_event.message).splitlines() if line.strip()]
    return {
        "text": f"Run {run.run_id[:8]} failed: {', '.join(assets) or run.job_name} {partition or ''}. "
        + " ".join(why[:3]),
        "run_id": run.run_id,
        "job": run.job_name,
        "assets": assets,
        "partition": partition,
    }


def _post(url: str, body: dict[str, Any]) -> str:
    """Post JSON; returns what went wrong, without the URL."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        urlopen(request, timeout=TIMEOUT_S).close()
    except HTTPError as error:
        return f"status {error.code}"
    except (OSError, ValueError) as error:
        return type(error).__name__
    return ""
