"""Python as macOS has it: on the path of a process (PYTHONPATH), it takes away what only Linux has.

psutil, which does without on macOS, may still look."""

import builtins
import io
import os
import sys

for name in (
    "sched_getaffinity",
    "sched_setaffinity",
    "memfd_create",
    "eventfd",
    "posix_fadvise",
    "pidfd_open",
):
    if hasattr(os, name):
        delattr(os, name)


def _hidden(function):
    def looked_for(path, *rest, **named):
        place = os.fspath(path) if isinstance(path, str | bytes | os.PathLike) else ""
        asker = sys._getframe(1).f_globals.get("__name__", "")
        if str(place).startswith("/proc") and not asker.startswith("psutil"):
            raise FileNotFoundError(2, "No such file or directory", place)
        return function(path, *rest, **named)

    return looked_for


io.open = builtins.open = _hidden(builtins.open)
for name in ("stat", "readlink", "listdir", "scandir"):
    setattr(os, name, _hidden(getattr(os, name)))
