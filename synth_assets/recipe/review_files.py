"""Review files: values that a model listed, for a person to edit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from synth_assets.core.errors import UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.core.strict_yaml import not_yaml
from synth_assets.resources.home import shared
from synth_assets.resources.storage.files import write

EDITED = "# As written: "


def review_file(folder: Path, name: str, given: str) -> Path:
    """Where the values of an attribute (for these values of others) may be edited."""
    words = re.sub(r"[^a-z0-9]+", "_", given.lower())
    suffix = f".{words}.{tagged_hash('given/1', given)[:6]}" if given else ""
    return folder / f"{name}{suffix}.yaml"


def write_review(path: Path, question: str, values: Sequence[str]) -> bool:
    """A YAML list of the values, for a person to edit, with the question above it. False, and the file is
    left as it is, when someone has edited it."""
    if was_edited(path):
        return False
    head = ["# Values that the model gave to:", *(f"#   {line}" for line in question.splitlines())]
    head.append("# Change, remove or add lines: a file that was edited is not written again.")
    items = yaml.safe_dump(list(values), allow_unicode=True, width=10**6, default_flow_style=False)
    text = "\n".join(head) + "\n" + items
    written(path, text)
    return True


def was_edited(path: Path) -> bool:
    """Whether there is a review file that a person has edited."""
    return path.exists() and is_edited(path.read_bytes())


def is_edited(content: bytes) -> bool:
    """Whether a person has edited what was written."""
    first, _, rest = content.decode("utf-8", "replace").partition("\n")
    return first != f"{EDITED}{tagged_hash('review/1', rest)}"


def written(path: Path, text: str) -> None:
    """Write what a person may edit, here or on another machine of the same lake."""
    write(path, f"{EDITED}{tagged_hash('review/1', text)}\n{text}")
    shared(path.parent, path.name, is_edited, changed=True)


def read_review(path: Path) -> list[str]:
    """The values of a review file; all scalars are text. UserError when it is no list of different texts."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # `- no` stays "no"
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise not_yaml(path, error) from error
    if not isinstance(values, list) or not values:
        raise UserError(f"{path} has no values: write one a line, `- value`.")
    for value in values:
        if not isinstance(value, str) or not value.strip():
            fix = "write `- value`, and a value with `: ` in quotes."
            raise UserError(f"{path}: {value!r} is no text: {fix}")
    if len(set(values)) < len(values):
        raise UserError(f"{path} repeats {max(values, key=values.count)!r}: keep one of it.")
    return values
