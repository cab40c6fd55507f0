"""`synth ui`: open the Dagster UI on the same data."""

import argparse
import os
import sys
from pathlib import Path


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", default="3000")


def command(options: argparse.Namespace) -> None:
    from synth_assets.assets.in_process import dagster_instance

    workspace = Path("workspace.yaml")
    if not workspace.exists():
        workspace = Path(__file__).parents[2] / "workspace.yaml"
    with dagster_instance():  # sets DAGSTER_HOME, and ends runs whose process died
        pass
    dagster = Path(sys.executable).with_name("dagster")
    os.execv(dagster, [str(dagster), "dev", "-w", str(workspace), "-p", str(options.port)])
