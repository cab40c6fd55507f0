"""The user's own rows, from wherever they are: files, folders, patterns, archives, databases, another recipe.

What is in one file is read by formats.py; here is which files there are, and how they are put together.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.reading import Reading
from synth_assets.core.errors import UserError, unknown
from synth_assets.resources.storage.files import sha256
from synth_assets.resources.storage.formats import DATABASES, FORMATS, Part, Wrong, table

if TYPE_CHECKING:
    import pandas as pd

PACKED = (".gz", ".zip")
# what a damaged file raises, one with a password, and one that is packed in a way that Python does not know
UNPACKING = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
FIELD = "seeds.file"
STAGE = "stage://"


def locate(file: str) -> Path:
    """The path of `file`; package://NAME/path points into an installed package, which is not imported."""
    if not file.startswith("package://"):
        return Path(file).expanduser()
    package, _, inside = file.removeprefix("package://").partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        fix = "pip install it, or name a file."
        raise UserError(f"{FIELD}: package {package!r} is not installed: {fix}")
    return Path(spec.submodule_search_locations[0]) / inside


def files_of(file: str) -> list[Path]:
    """The files that a path, a folder or a pattern means, sorted. UserError where there is none."""
    if file.startswith(STAGE):
        return _of_stage(file)
    path = locate(file)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = _of_dataset(path) or sorted(each for each in path.rglob("*") if _is_read(each, path))
    else:
        within = Path(path.anchor)
        try:
            matched = list(within.glob(str(path.relative_to(within))))
        except ValueError:
            raise UserError(f"{FIELD}: {file}: ** stands for whole folders, as in data/**/*.csv.") from None
        said = _hidden(path.parts)  # by the pattern itself
        found = sorted(e for e in matched if e.is_file() and _hidden(e.parts) <= said)
    if not found:
        folder = path if path.is_dir() else path.parent
        near = sorted(p.name for p in folder.iterdir() if _is_read(p, folder)) if folder.is_dir() else []
        there = f" In that folder: {', '.join(near)}." if near else ""
        what = "has no file of rows" if path.is_dir() else "does not exist"
        raise UserError(f"{FIELD}: {file} {what}.{there}")
    return found


def _of_stage(file: str) -> list[Path]:
    """The rows that another recipe made; `weighted` has those of all rounds in each."""
    from synth_assets.resources.home import lake

    recipe, _, stage = file.removeprefix(STAGE).partition("/")
    rows = lake()
    places = [place for _, place in rows.everything(recipe, stage)] if recipe and stage else []
    if not places:
        why = f"there are no rows of {stage or 'a stage'} yet: `synth run {recipe}` makes them"
        raise UserError(f"{FIELD}: {file}: {why}. It is written stage://RECIPE/STAGE.")
    places = places[-1:] if stage == "weighted" else places
    return [rows.file(recipe, stage, place) for place in places]


def _is_read(path: Path, folder: Path) -> bool:
    """Whether it is a file of rows, and not hidden."""
    inside = path.relative_to(folder).parts
    return _suffix(path.name) in FORMATS + PACKED and path.is_file() and not _hidden(inside)


def _hidden(parts: Iterable[str]) -> int:
    """How many of them are the names of hidden files and folders, such as .ipynb_checkpoints."""
    return sum(part.startswith(".") for part in parts)


def _suffix(name: str) -> str:
    """What says the format: lower case, without that of a single packed file."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _of_dataset(folder: Path) -> list[Path]:
    """The Arrow files of a folder that `datasets` saved, in their order: of a set, or of its splits."""
    whole = folder / "dataset_dict.json"
    if whole.is_file():
        splits = json.loads(whole.read_text(encoding="utf-8"))["splits"]
        return [path for split in splits for path in _of_dataset(folder / split)]
    state = folder / "state.json"
    if not state.is_file():
        return []
    return [folder / each["filename"] for each in json.loads(state.read_text("utf-8"))["_data_files"]]


def _parts(path: Path) -> Iterator[Part]:
    """What is to be read of a file: itself, or what is packed in it."""
    suffix, name = _suffix(path.name), str(path)
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = sorted(n for n in archive.namelist() if _suffix(n) in FORMATS and _plain(n))
            yield from (Part(f"{name}/{n}", _suffix(n), path, archive.read(n)) for n in inside)
        if not inside:
            raise Wrong(f"it has no file of rows in it ({', '.join(FORMATS)})")
        return
    if suffix not in FORMATS:
        raise unknown("format of a seeds file", suffix, FORMATS + PACKED)
    content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else None
    split = path.parent if (path.parent.parent / "dataset_dict.json").is_file() else None
    yield Part(name, suffix, path, content, {"split": split.name} if split else {})


def _plain(name: str) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def fingerprint(file: str) -> str | None:
    """Hash of what the files hold, read once as long as they do not change; None where there is none."""
    try:
        found = files_of(file)
    except UserError:
        return None
    logs = [log for path in found if _suffix(path.name) in DATABASES for log in _beside(path)]
    if len(found) == 1 and not logs:
        return sha256(found[0])
    names = [f"{path.name} {sha256(path)}" for path in [*found, *logs]]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _beside(database: Path) -> list[Path]:
    """What a database has written and not yet taken into its file."""
    return [path for end in ("-wal", ".wal") if (path := Path(f"{database}{end}")).is_file()]


def read_rows(
    file: str, reading: Reading | None = None, wanted: Collection[str] | None = None, field: str = FIELD
) -> pd.DataFrame:
    """All rows of a file, a folder, or the files of a pattern, one after the other: see formats.py. A column
    that one file does not have is None there. UserError names the file, the line and what is wrong."""
    found: list[Any] = []
    for path in files_of(file):
        part = None
        try:
            for part in _parts(path):
                found.append(table(part, reading or Reading(), wanted))
        except UserError as error:
            raise UserError(
                f"{field} {part.name if part else path}: {error}", error.code, error.fix
            ) from error
        except RecursionError as error:
            raise UserError(f"{field} {path}: its values are nested too deep.") from error
        except UNPACKING as error:
            raise UserError(f"{field} {path}: it cannot be unpacked ({error})") from error
    if sum(map(len, found)) == 0:
        raise UserError(f"{field} {file}: the file has no rows.")
    return found[0] if len(found) == 1 else _together(found)


def _together(found: list[Any]) -> pd.DataFrame:
    """Tables below one another, whose columns may be others; each value stays what it is."""
    import pandas as pd

    read = list(dict.fromkeys(each.attrs.pop("read") for each in found))
    whole = pd.concat([each.astype(object) for each in found])
    whole.attrs["read"] = f"{len(found)} files ({'; '.join(read)})"
    return whole


def place(at: Any) -> str:
    """Where a row stands, in words, by its entry in the index."""
    return f"{at[0]}{at[1]}" if isinstance(at, tuple) else f"row {at + 1}"
