"""Recipes are read from files: every error names file, line and field."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from synth_assets.contracts.section import NAME
from synth_assets.core import strict_yaml
from synth_assets.core.errors import UserError, unknown
from synth_assets.recipe.recipe import Recipe

TAKEN = {"main", "warehouse", "system", "temp", "information_schema", "pg_catalog"}  # schemas and catalogs


def load(path: Path) -> Recipe:
    """Read and check one recipe; every error names the file and, where there is one, the line."""
    if not path.exists():
        raise unknown("recipe", path.stem, [p.stem for p in path.parent.glob("*.yaml")], str(path.parent))
    if not NAME.fullmatch(path.stem):
        raise UserError(f"{path}: a recipe's name has lower-case letters, digits and _, not {path.stem!r}.")
    if path.stem in TAKEN:
        raise UserError(f"{path}: in SQL, {path.stem} is the name of something else: rename the file.")
    document = strict_yaml.read(path)
    if "name" in document.content:
        line = document.lines[("name",)]
        raise UserError(f"{path}:{line}: the recipe's name is its file's name: remove `name`.")
    try:
        return Recipe.model_validate({**document.content, "name": path.stem})
    except ValidationError as error:
        raise strict_yaml.refusal(document, error.errors()) from error
