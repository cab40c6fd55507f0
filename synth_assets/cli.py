"""The `synth` command: each command is a module of commands/, with its options and its work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from synth_assets.core.errors import UserError

COMMANDS = (  # as `synth --help` lists them
    *("new", "setup", "check", "run", "plan", "sample", "tune", "show", "sql", "trace", "verify", "report"),
    *("compare", "export", "clean", "ui"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: done; 2: the user's mistake, said on standard error; 1: a check that blocks."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parser(given[0] if given else "").parse_args(given)
        return options.command(options) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # synth show ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {error}. What was there before stays; mend this and run again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run again to go on: what was answered is kept.", file=sys.stderr)
        return 130


def _parser(asked: str) -> argparse.ArgumentParser:
    """With the options of the one command that is asked for: no other is imported."""
    parser = argparse.ArgumentParser(prog="synth", description="Synthetic text data sets from recipes.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = commands.add_parser(name, help=_help(name))
        if name == asked:
            module = import_module(f"synth_assets.commands.{name}")
            module.options(command)
            command.set_defaults(command=module.command)
    return parser


def _help(name: str) -> str:
    """The first line of the command's module says what it does, behind its name."""
    with (Path(__file__).parent / "commands" / f"{name}.py").open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].rstrip('."\n')


if __name__ == "__main__":
    sys.exit(main())
