"""Rounds that were asked for together: a later one goes by what an earlier one tells."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import dagster as dg
import pytest

from synth_assets.assets.failures import heard_of, lives_here
from synth_assets.assets.in_process import dagster_instance, run_round
from synth_assets.recipe.load import load
from synth_assets.report.so_far import rounds_of
from synth_assets.resources.home import lake
from tests.conftest import QUICK
from tests.endpoint import Endpoint

FIRST, SECOND = "2026-11-20", "2026-11-21"


def asked(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> str:
    """A run of the first round that is in the queue, or that another process is at."""
    tags = {"dagster/partition": FIRST, **tags}
    return instance.create_run_for_job(
        dg.job(name="reviews_round")(lambda: None), status=status, tags=tags
    ).run_id


def test_an_earlier_round_that_waits_in_the_queue_is_made_first(
    project: Path, endpoint: Endpoint, edit
) -> None:
    recipe = load(edit("rows: 6", f"{QUICK}\nfeedback: {{rows: yield}}"))
    with dagster_instance() as instance:
        asked(instance, dg.DagsterRunStatus.NOT_STARTED)
        run_round(recipe, SECOND, instance)
    assert rounds_of(recipe, lake()) == [FIRST, SECOND]
    assert lake().has("reviews", "metrics", {"round": FIRST})


def test_a_round_that_goes_by_no_other_is_made_alone(project: Path, endpoint: Endpoint, edit) -> None:
    recipe = load(edit("rows: 6", QUICK))
    with dagster_instance() as instance:
        asked(instance, dg.DagsterRunStatus.NOT_STARTED)
        run_round(recipe, SECOND, instance)
    assert rounds_of(recipe, lake()) == [SECOND]


def test_what_is_kept_waits_for_a_round_that_is_being_made(
    project: Path, endpoint: Endpoint, edit, capsys: pytest.CaptureFixture
) -> None:
    """Of any recipe: rows that an earlier round keeps are no rows of a later one."""
    recipe = load(edit("rows: 6", QUICK))
    with dagster_instance() as instance:
        run = asked(instance, dg.DagsterRunStatus.STARTED, **lives_here())
        other = threading.Thread(target=run_round, args=(recipe, SECOND, instance))
        with heard_of(instance, run):
            other.start()
            while f"waits for {FIRST}" not in capsys.readouterr().err:
                assert other.is_alive()
                time.sleep(0.05)
            assert not lake().has("reviews", "filtered", {"round": SECOND})
            instance.report_run_failed(instance.get_run_by_id(run))
        other.join()
    assert lake().has("reviews", "filtered", {"round": SECOND})
