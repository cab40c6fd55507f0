"""The files of docs/cluster: the settings on a real Postgres, and names that code and pages know."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

from synth_assets.assets.in_process import dagster_instance
from synth_assets.cli import _parser
from tests.postgres import PASSWORD
from tests.test_docs import ROOT, examples

FOLDER = ROOT / "docs" / "cluster"
GUIDE = (FOLDER / "README.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SETTINGS = yaml.safe_load((FOLDER / "dagster.yaml").read_text(encoding="utf-8"))


def test_the_settings_are_those_of_an_instance_on_postgres(
    project: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres.replace("postgresql://", "postgresql+psycopg2://"))
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    shutil.copy(FOLDER / "dagster.yaml", project)
    with dagster_instance() as instance:
        assert type(instance.run_launcher).__name__ == "RayRunLauncher"
        assert instance.run_launcher.address == "http://127.0.0.1:1"
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        run = instance.create_run_for_job(dg.job(name="some")(lambda: None))
        assert instance.event_log_storage.get_concurrency_keys() == {"language_model"}
        assert instance.event_log_storage.get_concurrency_info("language_model").slot_count == 4
        assert PASSWORD not in json.dumps(instance.get_ref().to_dict())  # which launchers are given
    with dg.DagsterInstance.get() as again:
        assert again.get_run_by_id(run.run_id)


def test_the_containers_run_commands_and_have_variables_that_there_are() -> None:
    services = COMPOSE["services"]
    assert {name for name, service in services.items() if "image" not in service} == set()
    variables = set(COMPOSE["x-synth"]["environment"])
    assert set(re.findall(r"env: (\w+)", (FOLDER / "dagster.yaml").read_text())) <= variables
    for name in ("SYNTH_HOME", "SYNTH_RECIPES", "SYNTH_CALL_LOG", "SYNTH_LAKE"):
        assert name in (ROOT / "resources" / "home.py").read_text(encoding="utf-8")
        assert name in GUIDE
    for name in variables - {"OPENAI_API_KEY"}:
        assert f"`{name}`" in GUIDE
    for service in services.values():
        program, *arguments = shlex.split(service.get("command", "postgres"))
        assert program in ("synth", "ray", "postgres")
        if program == "synth":
            _parser(arguments[0]).parse_args(arguments)
    for line in "".join(examples("bash", "docs/cluster/README.md")).splitlines():
        if line.startswith("synth"):
            _parser(shlex.split(line)[1]).parse_args(shlex.split(line)[1:])
    used = {volume.partition(":")[0] for each in services.values() for volume in each.get("volumes", ())}
    assert used == {*COMPOSE["volumes"]}


def test_rays_options_are_those_of_ray() -> None:
    from click.testing import CliRunner
    from ray.scripts.scripts import start

    known = CliRunner().invoke(start, ["--help"]).output
    cluster = yaml.safe_load((FOLDER / "kuberay.yaml").read_text(encoding="utf-8"))
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    said = [f"--{name}" for group in groups for name in group["rayStartParams"]]
    commands = [service.get("command", "") for service in COMPOSE["services"].values()]
    commands += examples("text", "docs/cluster/README.md")
    said += [o for line in commands if line.startswith("ray ") for o in re.findall(r"--[\w-]+", line)]
    assert len(said) > 5
    for option in said:
        assert option in known, option


def test_the_image_copies_what_is_there_and_installs_an_extra_that_there_is() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    for source in re.findall(r"^COPY (\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()
    (extra,) = re.findall(r"synth-assets\[(\w+)\]", text)
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    kubernetes = yaml.safe_load((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8"))["run_launcher"]
    assert {*kubernetes} == {*SETTINGS["run_launcher"]}
    assert kubernetes["config"]["dagster_home"] == re.findall(r"SYNTH_HOME=(\S+)", text)[0]


def test_what_was_not_tested_says_so() -> None:
    for name in ("kuberay.yaml", "kubernetes.yaml"):
        assert "Not tested by us" in (FOLDER / name).read_text(encoding="utf-8")
        assert f"[{name}]({name})" in GUIDE
