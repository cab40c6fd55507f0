"""`synth install-skill`: tell coding agents how to use synth, in .claude/skills of this folder."""

import argparse
from pathlib import Path

from synth_assets.core.errors import UserError

SKILL = Path(__file__).parents[1] / "skill" / "SKILL.md"
FOLDER = Path(".claude") / "skills" / "synth-assets"  # where coding agents look


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    parser.add_argument("--force", action="store_true", help="write over a file that says something else")


def command(options: argparse.Namespace) -> None:
    from synth_assets.resources.storage.files import write

    to, text = options.to.expanduser() / SKILL.name, SKILL.read_text(encoding="utf-8")
    if to.exists() and to.read_text(encoding="utf-8") != text and not options.force:
        raise UserError(f"{to} says something else: keep it, or write over it with --force.")
    write(to, text)
    print(f"wrote {to}")
