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
        workspace = Path(__file__).parents[1] / "assets" / "workspace.yaml"
    with dagster_instance():  # sets DAGSTER_HOME, and ends runs whose process died
        pass
    dagster = [sys.executable, "-m", "dagster"]  # of this environment, wherever its commands are
    os.execv(sys.executable, [*dagster, "dev", "-w", str(workspace), "-p", str(options.port)])
