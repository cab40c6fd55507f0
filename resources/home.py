"""Where everything lives: `$SYNTH_HOME`, by default `.synth` in the working directory."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    return Path(os.environ.get("SYNTH_HOME") or ".synth").absolute()


def recipes() -> Path:
    """The folder of the recipes: `$SYNTH_RECIPES`, by default `recipes` in the working directory."""
    return Path(os.environ.get("SYNTH_RECIPES") or "recipes").absolute()
