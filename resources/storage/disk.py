"""What the data home takes on disk, by folder, and what of that comes with each night."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

PARTS = {  # folder or file of the data home -> what it is called
    "lake": "lake",
    "calls.sqlite": "call log",
    "reviews.sqlite": "reviews",
    "history": "Dagster's history",
    "vectors": "vectors of texts",
    "storage": "output of stages",
    "schedules": "Dagster's ticks",
    "reports": "reports",
}


def taken(home: Path) -> dict[str, int]:
    """What it is called -> bytes; whatever has no name of its own is `other`."""
    found = dict.fromkeys((*PARTS.values(), "other"), 0)
    for file in home.rglob("*"):
        name = file.relative_to(home).parts[0]
        name = name.removesuffix("-wal").removesuffix("-shm")  # what is on its way into a database
        with suppress(FileNotFoundError):  # a run that is at work has moved it
            found[PARTS.get(name, "other")] += file.stat().st_size if file.is_file() else 0
    return {name: size for name, size in found.items() if size}


def on_disk(home: Path, rounds: int) -> str:
    """A line for people: all, by folder, and a round's share of it."""
    sizes = taken(home)
    by = ", ".join(f"{name} {_mega(size)}" for name, size in sorted(sizes.items(), key=lambda item: -item[1]))
    each = f", {_mega(sum(sizes.values()) / rounds)} a round of {rounds:,}" if rounds else ""
    return f"on disk: {_mega(sum(sizes.values()))}{each}: {by}"


def _mega(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
