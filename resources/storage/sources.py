"""Reading the user's own rows: CSV, TSV, JSON lines or Parquet, from disk or from an installed package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.core.errors import UserError, unknown
from synth_assets.resources.storage.files import sha256

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")


def locate(file: str) -> Path:
    """The path of `file`; package://NAME/path points into an installed package, which is not imported."""
    if not file.startswith("package://"):
        path = Path(file)
    else:
        package, _, inside = file.removeprefix("package://").partition("/")
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            fix = "pip install it, or name a file."
            raise UserError(f"seeds.file: package {package!r} is not installed: {fix}")
        path = Path(spec.submodule_search_locations[0]) / inside
    if not path.is_file():
        folder = path.parent
        near = sorted(p.name for p in folder.iterdir() if p.suffix in FORMATS) if folder.is_dir() else []
        there = f" In that folder: {', '.join(near)}." if near else ""
        raise UserError(f"seeds.file: {file} does not exist.{there}")
    return path


def fingerprint(file: str) -> str | None:
    """Hash of the file's bytes, read once as long as it does not change; None where there is no such file."""
    try:
        return sha256(locate(file))
    except UserError:
        return None


def read_rows(file: str) -> pd.DataFrame:
    """All rows of the file, values as they are written (text in CSV). UserError names what is wrong."""
    import pandas as pd

    path = locate(file)
    try:
        if path.suffix in (".csv", ".tsv"):
            separator = "\t" if path.suffix == ".tsv" else ","
            rows = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8")
        elif path.suffix == ".jsonl":
            rows = pd.read_json(path, lines=True, dtype=False, encoding="utf-8")
        elif path.suffix == ".parquet":
            rows = pd.read_parquet(path)
        else:
            raise unknown("format of a seeds file", path.suffix, FORMATS, f"seeds.file {file}")
    except UnicodeDecodeError as error:
        raise UserError(
            f"seeds.file {file}: not UTF-8 (line {_line(path)}): save it as UTF-8, "
            "for example with: iconv -f LATIN1 -t UTF-8"
        ) from error
    except pd.errors.EmptyDataError as error:
        raise UserError(f"seeds.file {file}: the file is empty.") from error
    except (pd.errors.ParserError, ValueError) as error:
        raise UserError(f"seeds.file {file}: {error}") from error
    if rows.empty:
        raise UserError(f"seeds.file {file}: the file has no rows.")
    return rows


def _line(path: Path) -> int | str:
    """The first line that is not UTF-8."""
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        return error.object.count(b"\n", 0, error.start) + 1
    return "?"
