"""Containers without Docker: namespaces of the kernel."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def container(host: str) -> list[str]:
    """What makes a command one of another host, with ids of processes of its own."""
    spaces = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*spaces, "sh", "-ec", f'hostname {host}; exec "$@"', "sh"]


def may_unshare() -> bool:
    """Whether this machine lets us."""
    tried = [*container("one"), "true"]
    return bool(shutil.which("unshare")) and not subprocess.run(tried, capture_output=True).returncode


in_containers = pytest.mark.skipif(
    not may_unshare(), reason="no namespaces: unshare is not there, or not allowed"
)
