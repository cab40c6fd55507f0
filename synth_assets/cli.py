"""The `synth` command: each command is a module of commands/, with its options and its work."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

from synth_assets.commands.options import COMMANDS, module_of, said_of
from synth_assets.commands.output import Output, failed, nobody_listens, protect
from synth_assets.core.errors import SYSTEMS, Mistake, UserError, reasons
from synth_assets.core.signals import stopping

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
SQLITE_REFUSALS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: see `core.errors.STATUSES`."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    out = Output(given[0] if given else "", "--json" in given)
    try:
        _prepare(out.command)
        options = _parsed(given, out)
        out.json, options.out = getattr(options, "json", False), out
        with out.whole():
            code = _done(options, out)
        return out.finish(code)
    except UserError as error:  # of an option's value
        return out.finish(failed(out, error))
    except BrokenPipeError:  # synth show ... | head
        nobody_listens()
        return 0


def _prepare(command: str) -> None:
    """For this terminal and this machine, whatever they are, before the command loads any library."""
    protect()
    if sys.platform == "win32" or not find_spec("fcntl"):
        raise UserError(SYSTEMS)
    if command in COMMANDS:
        from synth_assets.resources.home import home
        from synth_assets.resources.machine import prepare

        prepare(home())


def _parsed(given: list[str], out: Output) -> argparse.Namespace:
    """The options. What is wrong with them ends the process, as argparse does it."""
    parser = _parser(out.command)
    try:
        options, unknown = parser.parse_known_args(given)
        if unknown:
            command = getattr(options, "parser", parser)
            command.error(_unrecognized(unknown, command))
        return options
    except SystemExit as end:
        if isinstance(end.__cause__, UserError):
            out.wrong(*end.__cause__.mistakes)
            out.finish(2)
        raise


def _done(options: argparse.Namespace, out: Output) -> int:
    """The exit code of the command, of which it is said what is wrong."""
    try:
        with stopping() as status:
            try:
                return options.command(options) or 0
            except KeyboardInterrupt:
                why = "stopped; run again to go on: what was answered is kept."
                with suppress(OSError):  # its terminal was closed
                    print(why, file=sys.stderr)
                out.wrong(Mistake(why, "stopped"))
                return status()
    except UserError as error:
        return failed(out, error)
    except BrokenPipeError:
        raise
    except SystemExit as end:  # of a method of one's own: no command ends so, and nothing may look made
        return failed(out, _told_in_full(end), "unexpected")
    except Exception as error:
        refused = error if isinstance(error, OSError) else _refused(error)
        if refused is None:
            return failed(out, _told_in_full(error), "unexpected")
        where = "" if isinstance(refused, OSError) else f" (in Dagster's records of {_home()})"
        words = f"{refused}{where}. What was there before stays; mend this and run again."
        return failed(out, words, "system")


def _home() -> str:
    from synth_assets.resources.home import home

    return str(home())


def _told_in_full(error: BaseException) -> str:
    """What nobody has foreseen, in one line; the rest is for those who mend it."""
    import tempfile
    import traceback

    words = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="synth-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return words
    return f"{words}. It is a fault of synth-assets, or of a method of your own: {file.name} says where."


def _refused(error: BaseException) -> BaseException | None:
    """What the system refused in the first place, where a library such as Dagster says something else."""
    import sqlite3

    found = None
    for at in reasons(error):
        full = isinstance(at, OSError) and at.errno in REFUSALS
        name = getattr(at, "sqlite_errorname", "") if isinstance(at, sqlite3.Error) else ""
        if full or name.startswith(SQLITE_REFUSALS):
            found = at
    return found


def _unrecognized(given: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """What a command does not know, and what may be meant."""
    options = [name for action in parser._actions for name in action.option_strings]
    near = {name: found for name in given if (found := get_close_matches(name.partition("=")[0], options, 1))}
    hint = "".join(f" Did you mean {found} for {name}?" for name, (found,) in near.items())
    return f"unrecognized arguments: {' '.join(given)}.{hint}"


def _version() -> str:
    from importlib.metadata import version

    return f"synth-assets {version('synth-assets')}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        try:
            super().error(message)
        except SystemExit as end:
            raise end from UserError(message, "usage", f"see {self.prog} --help")


class _Version(argparse.Action):
    """Asked for when it is wanted: it reads the installed package's files."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object, **named: object) -> None:
        print(_version())
        parser.exit()


def _parser(asked: str) -> _Parser:
    """With the options of the one command that is asked for: no other is imported."""
    parser = _Parser(prog="synth", description="Synthetic text data sets from recipes.")
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = commands.add_parser(name, help=said_of(name))
        if name == asked:
            module = import_module(f"synth_assets.commands.{module_of(name)}")
            module.options(command)
            command.set_defaults(command=module.command, parser=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
