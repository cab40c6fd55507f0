"""`synth new`: write a commented recipe to start from."""

import argparse
import re
import shutil
from datetime import date
from pathlib import Path

from synth_assets.core.errors import UserError, unknown


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument(
        "--like", metavar="SYSTEM", help="one of the gallery, such as attrprompt, with its data"
    )


def command(options: argparse.Namespace) -> None:
    from synth_assets.contracts.section import NAME
    from synth_assets.recipe.load import TAKEN
    from synth_assets.resources.home import recipes

    if not NAME.fullmatch(options.name):
        raise UserError(f"a recipe's name has lower-case letters, digits and _, not {options.name!r}.")
    if options.name in TAKEN:
        raise UserError(f"in SQL, {options.name} is the name of something else: choose another name.")
    path = recipes() / f"{options.name}.yaml"
    if path.exists():
        raise UserError(f"{path} exists: choose another name, or edit it.")
    source = _like(options.like) if options.like else Path(__file__).parent / "new_recipe.yaml"
    text = source.read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in sorted(set(re.findall(r"\bdata/\w+\.\w+", text))) if options.like else ():
        if not Path(file).exists():
            Path(file).parent.mkdir(exist_ok=True)
            shutil.copyfile(source.parent / file, file)
            print(f"wrote {file}")
    path.write_text(text.replace("TODAY", date.today().isoformat()), encoding="utf-8")
    print(f"wrote {path}\nedit it, then: synth check {options.name}")


def _like(system: str) -> Path:
    gallery = Path(__file__).parents[1] / "gallery"
    if not (gallery / f"{system}.yaml").is_file():
        raise unknown("system of the gallery", system, [path.stem for path in gallery.glob("*.yaml")])
    return gallery / f"{system}.yaml"
